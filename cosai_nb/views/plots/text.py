"""Groups of jobs and their names: whatever a tag, code or job ID holds, it ends as one short line of known glyphs.

::

    label(value)       one value: missing ones named, control characters escaped, shortened in the middle
    labels(keys)       one text per group, no two alike
    width(text)        how wide a drawable text is, in sizes of its font
    cut(text, most)    a drawable text without its end; folded(text, most): in lines
    families()         the font families to draw outside text with
    flat, by_group, keep_largest    tables of groups: labels as columns, one table a group, the largest groups
    Groups.of(data)    the groups of what a plot draws: their names, short and whole, and what a click on one asks for
"""

from __future__ import annotations

import math
import os
import re
import unicodedata
from collections import Counter
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
import pandas as pd
from matplotlib.font_manager import FontProperties, findfont, get_font

from cosai_nb.stats.counts import Counted, batches
from cosai_nb.table.dtypes import TEXT
from cosai_nb.views import wording

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.ft2font import FT2Font

    from cosai_nb.views.figure import Pick
    from cosai_nb.views.wording import About

LONGEST = 36
"""Columns that a label may fill (a CJK character fills two)."""
CJK_FAMILIES = (
    *("Noto Sans CJK SC", "Noto Sans SC", "Noto Sans CJK JP", "Source Han Sans SC", "PingFang SC"),
    *("Hiragino Sans GB", "Heiti TC", "Microsoft YaHei", "SimHei", "WenQuanYi Zen Hei"),
    *("WenQuanYi Micro Hei", "Droid Sans Fallback", "Arial Unicode MS"),
)
_MEASURED_POINTS = 100
Key = tuple[str | None, ...]
"""Labels of a group in the columns that jobs are grouped by, None for a missing one."""
_GLYPHS = re.compile(r"\\\$|.")
"""Characters of a drawable text: a dollar goes with the backslash before it."""


@cache
def _fonts(wanted: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[FT2Font, ...]]:
    """Return those families that are installed, and their fonts; asking for others would be warned of."""
    names, fonts = [], []
    for name in (*wanted, "DejaVu Sans", *CJK_FAMILIES):
        try:
            font = get_font(findfont(FontProperties(family=[name]), fallback_to_default=False))
        except (ValueError, RuntimeError):  # not installed, or a file that is no font
            continue
        if name not in names:
            names.append(name)
            fonts.append(font)
    return tuple(names), tuple(fonts)


def families() -> list[str]:
    """Return the font families to draw outside text with: the user's, then those with CJK that are installed.

    Examples
    --------
    >>> "DejaVu Sans" in families()
    True
    """
    return list(_fonts(tuple(mpl.rcParams["font.family"]))[0])


def _glyphs(text: str) -> Iterable[str]:
    """Yield each character, escaped where it would not be drawn as itself (controls, bidi marks, missing glyphs)."""
    fonts = _fonts(tuple(mpl.rcParams["font.family"]))[1]
    for character in text:
        if unicodedata.category(character) == "Zs":
            yield " "
        elif character == "$":
            yield r"\$"
        elif character.isprintable() and any(font.get_char_index(ord(character)) for font in fonts):
            yield character
        else:
            yield character.encode("unicode_escape").decode("ascii")


def _width(glyph: str) -> int:
    if glyph == r"\$":
        return 1
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in glyph)


def _fit(glyphs: Iterable[str], columns: int) -> list[str]:
    kept: list[str] = []
    for glyph in glyphs:
        columns -= _width(glyph)
        if columns < 0:
            break
        kept.append(glyph)
    return kept


def label(value: object, *, longest: int = LONGEST) -> str:
    r"""Return a value as text that matplotlib draws in one line, as it is, without an exception or a warning.

    Parameters
    ----------
    value : object
        A label of a group, an ID, a message.
    longest : int
        Columns that it may fill; longer text loses its middle.

    Returns
    -------
    str
        With ``$`` escaped (no mathtext), control and bidi characters and those that no font has as ``\x..``; of an ID the
        first six characters and the last four.

    Examples
    --------
    >>> label("cost $5"), label("a\nb\u202e"), label(None)
    ('cost \\$5', 'a\\nb\\u202e', '(none)')
    >>> label("x" * 100 + "y" * 100, longest=9)
    'xxxx…yyyy'
    >>> label("p1e44ccd4b9a74a6fa2d0d1a4d3eb0b9f")
    'p1e44c…0b9f'
    """
    if value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return wording.NO_LABEL
    text = wording.short_id(str(value))
    if nothing := wording.blank(text):
        return nothing
    whole = _fit(_glyphs(text[: longest + 1]), longest)
    if len(whole) == len(text):
        return "".join(whole)
    half = (longest - 1) // 2
    head = _fit(_glyphs(text[: half + 1]), half)
    tail = _fit(_glyphs(text[: -half - 2 : -1]), half)
    return "".join([*head, "…", *reversed(tail)])


def labels(keys: Sequence[object], *, longest: int = LONGEST) -> list[str]:
    """Return one text per group, no two alike; a key of several columns is joined by a dot.

    Examples
    --------
    >>> labels([("Translation", "q1"), ("x" * 90, "q2"), ("x" * 91, "q2")], longest=8)
    ['T…n · q1', 'x…x · q2', 'x…x · q2 (2)']
    >>> labels([f"batch jobs of region {number} (production)" for number in (1, 2)], longest=24)
    ['…region 1 (production)', '…region 2 (production)']
    """
    parts = [key if isinstance(key, tuple) else (key,) for key in keys]
    room = max(longest // max(map(len, parts), default=1), 3)
    columns = [_shortened(column, room) for column in zip(*parts, strict=True)] if parts else []
    texts, seen = [], Counter[str]()
    for some in zip(*columns, strict=True):
        text = " · ".join(some)
        seen[text] += 1
        texts.append(text if seen[text] == 1 else f"{text} ({seen[text]})")
    return texts


def _shortened(values: Sequence[object], longest: int) -> list[str]:
    """Return labels of values; those that would read alike lose the words that they begin with together."""
    short = {value: label(value, longest=longest) for value in values}
    for text in set(short.values()):
        alike = [str(value) for value in short if short[value] == text]
        if len(alike) > 1:
            same = os.path.commonprefix(alike).rstrip()  # noqa: RUF071 - of texts, not of paths
            begin = same.rfind(" ") + 1
            short |= {name: label(f"…{name[begin:]}", longest=longest) for name in alike if begin}
    return [short[value] for value in values]


def width(text: str) -> float:
    r"""Return the width of a line of drawable text, as a multiple of its font's size.

    Examples
    --------
    >>> round(width("two words") / width("two words" * 3), 2), width("$5".replace("$", r"\$")) == width("55")
    (0.33, True)
    """
    wanted = tuple(mpl.rcParams["font.family"])
    return sum(_advance(glyph[-1], wanted) for glyph in _GLYPHS.findall(text))


@lru_cache(maxsize=4096)
def _advance(character: str, wanted: tuple[str, ...]) -> float:
    """Return how far a character moves the pen, in sizes of its font."""
    fonts = _fonts(wanted)[1]
    font = next((font for font in fonts if font.get_char_index(ord(character))), fonts[0])
    font.set_size(_MEASURED_POINTS, 72)
    return font.load_char(ord(character)).linearHoriAdvance / 65_536 / _MEASURED_POINTS


def cut(text: str, widest: float) -> str:
    """Return drawable text without what is beyond a width.

    Examples
    --------
    >>> cut("SpeechRecognition", width("Speech…") + 0.1), cut("short", 7)
    ('Speech…', 'short')
    """
    if width(text) <= widest:
        return text
    kept, room = [], widest - width("…")
    for glyph in _GLYPHS.findall(text):
        room -= width(glyph)
        if room < 0:
            break
        kept.append(glyph)
    return "".join([*kept, "…"])


def folded(text: str, widest: float) -> list[str]:
    """Return drawable text in lines of at most a width, broken between words; a longer word stands alone.

    Examples
    --------
    >>> folded("one two three", width("one two "))
    ['one two', 'three']
    """
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width(longer) <= widest:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


# --- tables of groups ---


def plain(key: Any) -> Any:
    """Return a label, or those of a key, equal to itself: None for a missing one."""
    if isinstance(key, tuple):
        return tuple(map(plain, key))
    return None if pd.isna(key) else key


def keys_of(table: pd.DataFrame, by: Sequence[str]) -> list[Key]:
    """Return the labels of each row."""
    return (
        [plain(key) for key in zip(*(table[name] for name in by), strict=True)] if by else [()] * len(table)
    )


def by_group(table: pd.DataFrame, by: Sequence[str]) -> list[tuple[Key, pd.DataFrame]]:
    """Return labels and rows of each group, in the table's order; the whole table where ``by`` names nothing.

    Through an iterator: ``list`` asks a groupby for its length, at which pandas 2.2 fails where a label is missing.
    """
    if not by:
        return [((), table)]
    return [(plain(key), part) for key, part in iter(table.groupby(list(by), dropna=False, sort=False))]


def keep_largest(
    table: pd.DataFrame, by: Sequence[str], sizes: pd.DataFrame, *, most: int, of: str = "jobs"
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the rows of the largest groups, the largest first, and how many groups are shown of how many there are.

    Parameters
    ----------
    table : pandas.DataFrame
        One or more rows a group.
    by : sequence of str
        Its columns of labels; without any, all rows are kept.
    sizes : pandas.DataFrame
        With the same columns, and ``of``, which a group is as large as.
    most : int
        How many groups to keep.
    """
    if not by:
        return table, {}
    added = sizes.groupby(list(by), dropna=False, sort=False)[of]
    largest = added.sum() if of == "jobs" else added.max()
    kept = largest.sort_values(ascending=False, kind="stable").head(most)
    rows = kept.reset_index()[list(by)].merge(table, on=list(by))
    return rows, {"shown": len(kept), "groups": len(largest)}


def flat(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return a table of groups with its index as columns, labels as pandas' own string dtype."""
    columns: dict[str, Any] = {}
    for name in [str(name) for name in table.index.names if name is not None]:
        values = table.index.get_level_values(name)
        columns[name] = _text_column(values.tolist()) if name in by else values
    return pd.DataFrame(columns | {str(name): table[name].array for name in table.columns})


def _text_column(labels: Sequence[Any]) -> Any:
    """Return labels as pandas' own string dtype, NaN where one is missing, whatever the labels hold."""
    texts = {
        label: None if pd.isna(label) else str(label).encode("utf-8", "backslashreplace").decode("utf-8")
        for label in set(labels)
    }
    return pd.array([texts[label] for label in labels], dtype=TEXT)


def queue_names(jobs: Any, by: Sequence[str] = ("queue_id",)) -> dict[str, str]:
    """Return the name of each queue by its ID, where jobs are grouped by it and have a ``queue_name``.

    A name that several queues share stands with its ID.

    Examples
    --------
    >>> queue_names(pd.DataFrame({"queue_id": ["p1", "p2"], "queue_name": ["nightly", None]}))
    {'p1': 'nightly'}
    """
    pair = ["queue_id", "queue_name"]
    if "queue_id" not in by:
        return {}
    parts: Iterable[pd.DataFrame] = [jobs]
    if isinstance(jobs, Counted):
        parts = [*jobs.tables.values()][:1]
    elif not isinstance(jobs, pd.DataFrame):
        parts = batches(jobs, pair[:1], optional=pair[1:])
    pairs = [part[pair].drop_duplicates() for part in parts if {*pair} <= {*part.columns}]
    if not pairs:
        return {}
    named = pd.concat(pairs).dropna().astype(str).drop_duplicates("queue_id", keep="last")
    shared = named["queue_name"].duplicated(keep=False)
    told = named["queue_name"].where(~shared, named["queue_name"] + " (" + named["queue_id"].str[:8] + "…)")
    return dict(zip(named["queue_id"], told, strict=True))


def describe(jobs: Any, by: Sequence[str], cut: dict[str, int], of: About, **more: Any) -> dict[Any, Any]:
    """Return the attrs of what a plot draws: its jobs, the groups kept, columns grouped by, names of queues."""
    return {"about": of, "drawn": cut, "by": list(by), "names": queue_names(jobs, by), **more}


class Groups(NamedTuple):
    """The groups that a plot draws, by their labels."""

    short: dict[Key, str]
    """For legends and rows: IDs and long names shortened, no two alike."""
    whole: dict[Key, str]
    """For the words of a point."""
    picks: dict[Key, Pick | None]
    """What a click on the group asks for."""

    @classmethod
    def of(
        cls, about_it: Mapping[str, Any], keys: Iterable[Key], *, longest: int = 26, alone: str = ""
    ) -> Groups:
        """Name groups by the attrs of what is drawn; ``alone`` is the only one's name where jobs are not grouped."""
        by, names = about_it["by"], about_it["names"]
        known = list(dict.fromkeys(keys))
        if not by:
            return cls({(): alone}, {(): alone}, {(): None})
        picks: dict[Key, Pick | None] = {key: tuple(zip(by, key, strict=True)) for key in known}
        named = [
            tuple(names.get(part, part) if name == "queue_id" else part for name, part in pick or ())
            for pick in picks.values()
        ]
        short, whole = labels(named, longest=longest), map(wording.label, named)
        return cls(dict(zip(known, short, strict=True)), dict(zip(known, whole, strict=True)), picks)
