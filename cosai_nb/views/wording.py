"""Numbers, times and outside text as a reader wants them; a report says each thing in one way.

::

    duration(8826)            '2.5 h'           inf: 'not reached'; NaN: '–'
    share(0.0213)             '2.1 %'
    when(moment, "UTC")       '2026-11-03 14:05'
    printable(text)           control and direction characters escaped, long text shortened
"""

from __future__ import annotations

import math
import unicodedata
from typing import Any

import pandas as pd

UNKNOWN = "–"
NO_LABEL = "(none)"
_LONG = 100
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def duration(seconds: float) -> str:
    """Return seconds in the unit that reads best: s, min, h or days.

    Examples
    --------
    >>> [duration(s) for s in (7, 99, 100, 8826, 400_000, float("inf"), float("nan"))]
    ['7 s', '99 s', '1.7 min', '2.5 h', '4.6 days', 'not reached', '–']
    """
    if math.isnan(seconds):
        return UNKNOWN
    if math.isinf(seconds):
        return "not reached"
    for unit, size, most in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 72)):
        if abs(seconds) < size * most:
            return f"{seconds / size:.0f} s" if size == 1 else f"{seconds / size:.1f} {unit}"
    return f"{seconds / 86_400:.1f} days"


def between(low: float, high: float) -> str:
    """Return an interval of seconds in words; nothing where no end is known, or both read alike.

    Examples
    --------
    >>> between(90, 8826), between(90, float("inf")), between(float("nan"), float("nan")), between(7, 7)
    ('90 s to 2.5 h', '90 s or more', '', '')
    """
    if math.isinf(low):
        return ""
    if math.isnan(low):
        return "" if math.isnan(high) else f"at most {duration(high)}"
    if math.isnan(high) or math.isinf(high):
        return f"{duration(low)} or more"
    ends = duration(low), duration(high)
    return "" if ends[0] == ends[1] else " to ".join(ends)


def is_projected(row: pd.Series[Any], name: str) -> bool:
    """Return whether the headline of a quantile is a projection that differs from the estimate."""
    return bool(row["method"] == "projection" and row[name] != row[f"{name}_estimate"])


def share(part: float) -> str:
    """Return a share in percent; a small one that is not 0 never reads as 0.

    Examples
    --------
    >>> [share(p) for p in (0.0213, 0.00001, 0, 1, 0.9999, float("nan"))]
    ['2.1 %', '< 0.1 %', '0 %', '100 %', '> 99.9 %', '–']
    """
    if math.isnan(part):
        return UNKNOWN
    if part in (0, 1):
        return f"{part:.0%}".replace("%", " %")
    if part < 0.0005:  # noqa: PLR2004 - what rounds to 0.0 %
        return "< 0.1 %"
    if part > 0.9995:  # noqa: PLR2004 - what rounds to 100.0 %
        return "> 99.9 %"
    return f"{100 * part:.1f} %"


def count(number: float) -> str:
    """Return a whole number with thousands separated; '–' where it is not known.

    Examples
    --------
    >>> count(20000), count(float("nan"))
    ('20,000', '–')
    """
    return UNKNOWN if math.isnan(number) else f"{number:,.0f}"


def jobs_in_words(number: float) -> str:
    """Return a number of jobs with its noun.

    Examples
    --------
    >>> jobs_in_words(1), jobs_in_words(20000)
    ('1 job', '20,000 jobs')
    """
    return f"{count(number)} {'job' if number == 1 else 'jobs'}"


def when(moment: Any, tz: str) -> str:
    """Return a moment in the display zone, to the minute; '–' for NaT.

    Examples
    --------
    >>> when(pd.Timestamp("2026-11-03T06:05:59Z"), "Asia/Shanghai")
    '2026-11-03 14:05'
    """
    if pd.isna(moment):
        return UNKNOWN
    return f"{moment.tz_convert(tz):%Y-%m-%d %H:%M}"


def printable(value: Any, *, longest: int = _LONG) -> str:
    r"""Return outside text as it may stand on a page: nothing in it hides, reorders or floods.

    Parameters
    ----------
    value : object
        Text of a field; a missing one becomes '–'.
    longest : int
        Characters kept; where there are more, the number is said.

    Examples
    --------
    >>> print(printable("a\u202eb\x1b[31m"))
    a\u202eb\x1b[31m
    >>> printable("x" * 20_000, longest=5)
    'xxxx… (20,000 characters)'
    >>> printable(None)
    '–'
    """
    if pd.isna(value):
        return UNKNOWN
    text = str(value)
    kept = text if len(text) <= longest else text[: longest - 1]
    if not kept.isprintable():
        kept = "".join(_escaped(mark) for mark in kept)
    return kept if len(text) <= longest else f"{kept}… ({len(text):,} characters)"


def label(value: Any) -> str:
    """Return the name of a group; a missing key has one too.

    Examples
    --------
    >>> label("Translation"), label(None), label(("q1", None))
    ('Translation', '(none)', 'q1 · (none)')
    """
    if isinstance(value, tuple):
        return " · ".join(label(part) for part in value)
    return NO_LABEL if pd.isna(value) else printable(value, longest=60)


def _escaped(mark: str) -> str:
    if unicodedata.category(mark) not in _HIDDEN_CATEGORIES:
        return mark
    return mark.encode("unicode_escape").decode("ascii")
