"""Outside text, made drawable."""

import warnings

import pytest
from matplotlib.figure import Figure

from cosai_nb.views.plots import text

HOSTILE = [
    "$x^$",
    r"$\frac{$",
    "cost $5 and $6",
    "_q1",
    "",
    "   ",
    "a\nb\r\tc",
    "\x1b[31mred",
    "\u202egnp.exe",
    "翻译任务",
    "🦊",
    "\ud800",
    "%d {x} \\",
    "x" * 20_000,
    "\n" * 500,
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_label_is_one_short_line_that_draws_without_a_warning(value):
    shown = text.label(value)
    assert shown
    assert "\n" not in shown
    assert "\u202e" not in shown
    figure = Figure()
    figure.text(0.1, 0.5, shown, fontfamily=text.families())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # an old matplotlib calls a new pyparsing by its old names
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"matplotlib\.|pyparsing\.")
        figure.canvas.draw()


def test_a_dollar_is_drawn_as_a_dollar():
    assert Figure().text(0, 0, text.label("cost $5 and $6"))._preprocess_math(
        text.label("cost $5 and $6")
    ) == ("cost $5 and $6", False)


def test_a_backslash_before_a_dollar_survives():
    shown = text.label(r"\$a$")
    assert Figure().text(0, 0, shown)._preprocess_math(shown) == (r"\$a$", False)


def test_long_names_lose_their_middle_and_stay_distinct():
    ids = [f"a{'0' * 40}{n}{'f' * 40}" for n in range(3)]
    shown = text.labels(ids, longest=20)
    assert len(set(shown)) == 3
    assert all("…" in one for one in shown)


@pytest.mark.parametrize("wide", ["译", "♈"])  # the second is in matplotlib's own font
def test_wide_characters_count_twice(wide):
    if text.label(wide) != wide:
        pytest.skip(f"no font here has {wide}: apt-get install fonts-noto-cjk")
    assert text.label(wide * 30, longest=11) == f"{wide * 2}…{wide * 2}"


def test_a_character_that_no_font_has_is_escaped():
    assert text.label("a\U0001f98a") in {"a\\U0001f98a", "a\U0001f98a"}
    assert text.label("\ue000") == "\\ue000"  # private use


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_missing_label_has_a_name(value):
    assert text.label(value) == "(none)"


def test_without_any_cjk_font_a_chinese_label_is_escaped(monkeypatch):
    monkeypatch.setattr(text, "CJK_FAMILIES", ())
    text._fonts.cache_clear()
    try:
        assert text.label("译") == "\\u8bd1"
    finally:
        monkeypatch.undo()
        text._fonts.cache_clear()


def test_a_family_that_is_not_installed_is_not_asked_for(caplog):
    text._fonts.cache_clear()
    assert "SimHei-that-is-not-there" not in text._fonts(("SimHei-that-is-not-there",))[0]
    assert not caplog.records
