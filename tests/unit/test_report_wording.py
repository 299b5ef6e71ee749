"""What the page says of numbers and of outside text."""

import math
import unicodedata

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosai_nb.views.page import asset, policy, render, write_page
from cosai_nb.views.tables import KINDS, MOST_ROWS, data_table, number
from cosai_nb.views.wording import between, duration, label, printable, share, when


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (99.4, "99 s"), (100, "1.7 min"), (5999, "100.0 min"), (6000, "1.7 h"), (259_199, "72.0 h"), (259_200, "3.0 days"),
     (math.inf, "more than observed"), (math.nan, "–"), (-5, "-5 s")],
)  # fmt: skip
def test_durations(seconds, said):
    assert duration(seconds) == said


@given(st.floats(0, 1))
def test_a_share_reads_0_or_100_only_where_it_is(part):
    assert (share(part) == "0 %") == (part == 0)
    assert (share(part) == "100 %") == (part == 1)


def test_intervals_without_an_end():
    assert between(math.nan, 60) == "at most 60 s"
    assert between(60, math.nan) == "60 s or more"
    assert between(math.inf, math.inf) == ""


@given(st.text(max_size=300))
def test_printable_text_hides_and_reorders_nothing(text):
    shown = printable(text)
    assert all(unicodedata.category(mark) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for mark in shown)
    assert "\n" not in shown


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"]), max_size=100))
def test_plain_text_stays_as_it_is(text):
    assert printable(text) == text


def test_long_text_says_how_long_it_was():
    assert printable("y" * 20_000) == "y" * 99 + "… (20,000 characters)"
    assert len(label("z" * 20_000)) < 90


def test_missing_times_and_labels():
    assert when(pd.NaT, "UTC") == "–"
    assert label(float("nan")) == "(none)"
    assert label(("a", pd.NA)) == "a · (none)"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (-1.5, "-1.5"), (math.inf, "Infinity"), (math.nan, "NaN"), (1e9, "1e+09")]
)
def test_numbers_as_javascript_reads_them(value, text):
    assert number(value) == text


def test_a_table_of_data_keeps_named_indexes_and_says_what_it_leaves_out():
    summary = pd.DataFrame({"n": range(MOST_ROWS + 5), "t": pd.Timestamp("2026-11-01T00:00Z"), "x": math.nan})
    summary.index.name = "hour"
    table = data_table("t", "c", summary)
    kinds = {name: column.kind for name, column in table.columns.items()}
    assert kinds == {"hour": "number", "n": "number", "t": "time", "x": "number"}
    rows = list(table.rows("Asia/Shanghai"))
    assert (len(rows), table.hidden) == (MOST_ROWS, 5)
    assert [cell.text for cell in rows[1]] == ["1", "1", "2026-11-01 08:00", "–"]


def test_a_table_of_data_groups_the_digits_of_large_numbers_and_sorts_by_the_whole_ones():
    rows = list(data_table("t", "c", pd.DataFrame({"n": [1234567, 3], "x": [20395.5, 0.03456]})).rows("UTC"))
    assert [[cell.text for cell in row] for row in rows] == [["1,234,567", "20,396"], ["3", "0.03456"]]
    assert rows[0][1].value == "20395.5"


@pytest.mark.parametrize(
    ("kind", "value", "cell"),
    [
        ("seconds", 8826.0, ("2.5 h", "8826")), ("count", 20000, ("20,000", None)), ("share", 0.5, ("50.0 %", "0.5")),
        ("per hour", 0.01, ("< 0.1", "0.01")), ("per hour", 120.4, ("120", "120.4")), ("per hour", math.nan, ("–", "NaN")),
        ("time", pd.NaT, ("–", None)), ("text", None, ("–", None)), ("id", "a" * 33, ("aaaaaa…aaaa", None)),
    ],
)  # fmt: skip
def test_kinds_of_columns(kind, value, cell):
    assert KINDS[kind].cell(value, "UTC")[:2] == cell


def test_the_policy_admits_our_script_and_style_and_nothing_else():
    said = policy(script=asset("page.js"), style=asset("page.css"))
    assert "unsafe" not in said
    assert said.startswith("default-src 'none'; ")
    assert said.count("'sha256-") == 2
    assert policy(script="a", style="b") != policy(script="a ", style="b")


def test_assets_do_not_end_the_element_that_they_stand_in():
    assert "</" not in asset("page.js")
    assert "<" not in asset("page.css")


def test_a_template_that_lacks_a_value_fails_loudly():
    with pytest.raises(Exception, match="title"):
        render("page.html.j2")


def test_a_page_that_cannot_be_finished_leaves_the_old_one(tmp_path):
    path = tmp_path / "report.html"
    write_page(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_page(path, "new \ud800")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o077  # readable by whom the umask allows, not private as a temporary file
