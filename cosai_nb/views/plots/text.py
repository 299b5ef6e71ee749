"""Outside text made drawable: whatever a tag, code or job ID holds, it ends as one short line of known glyphs.

::

    label(value)       one value: missing ones named, control characters escaped, shortened in the middle
    labels(keys)       one text per group, no two alike
    columns(text)      how wide a drawable text is
    cut(text, most)    a drawable text without its end
    families()         the font families to draw outside text with
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

import matplotlib as mpl
import pandas as pd
from matplotlib.font_manager import FontProperties, findfont, get_font

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.ft2font import FT2Font

LONGEST = 36
"""Columns that a label may fill (a CJK character fills two)."""
CJK_FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "PingFang SC",
    "Hiragino Sans GB",
    "Heiti TC",
    "Microsoft YaHei",
    "SimHei",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "Arial Unicode MS",
)
_MISSING = "(none)"
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
        With ``$`` escaped (no mathtext), control and bidi characters and those that no font has as ``\x..``.

    Examples
    --------
    >>> label("cost $5"), label("a\nb\u202e"), label(None)
    ('cost \\$5', 'a\\nb\\u202e', '(none)')
    >>> label("x" * 100 + "y" * 100, longest=9)
    'xxxx…yyyy'
    """
    if value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return _MISSING
    text = str(value)
    if not text.strip():
        return f"({len(text)} spaces)" if text else "(empty)"
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
    >>> labels([("Translation", "q1"), "x" * 90, "x" * 91], longest=5)
    ['T…n · q1', 'xx…xx', 'xx…xx (2)']
    """
    texts, seen = [], Counter[str]()
    for key in keys:
        parts = key if isinstance(key, tuple) else (key,)
        room = max(longest // max(len(parts), 1), 3)
        text = " · ".join(label(part, longest=room) for part in parts)
        seen[text] += 1
        texts.append(text if seen[text] == 1 else f"{text} ({seen[text]})")
    return texts


def columns(text: str) -> int:
    r"""Return the columns that drawable text fills.

    Examples
    --------
    >>> columns("$5 翻译".replace("$", r"\$"))
    7
    """
    return sum(map(_width, _GLYPHS.findall(text)))


def cut(text: str, longest: int) -> str:
    """Return drawable text without what is beyond so many columns.

    Examples
    --------
    >>> cut("SpeechRecognition", 7), cut("short", 7)
    ('Speech…', 'short')
    """
    return text if columns(text) <= longest else "".join([*_fit(_GLYPHS.findall(text), longest - 1), "…"])
