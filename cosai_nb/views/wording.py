"""Numbers, times and outside text as a reader wants them; a report says each thing in one way.

::

    duration(8826)            '2.5 h'           inf: 'more than observed'; NaN: '–'
    share(0.0213)             '2.1 %'
    when(moment, "UTC")       '2026-11-03 14:05'
    printable(text)           control and direction characters escaped, long text shortened
    window(start, width, tz)  'Wed 4 Nov 10:00–11:00'
    quantile("p95", 1266, 540, 1560)  'p95 21.1 min (9.0 min to 26.0 min)'
    facts(about)              '20,000 jobs, 0.4 % unfinished'
"""

from __future__ import annotations

import math
import re
import unicodedata
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from cosai_nb.stats.load import numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_TIMES = "No job here has usable times, so nothing is known of its durations."
NO_JOBS = "No jobs to show: the table is empty, or the filters leave nothing."
NO_RATE = "No job here has ended in success or failure, so there is no failure rate."
NO_FAILURE = "No job has failed."
NO_WAITING = "No job is waiting, so there is no start to expect."
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
UNKNOWN = "–"
NO_LABEL = "(none)"
_LONG = 100
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_DAY = pd.Timedelta("1D")
_UTC = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d) UTC")
_ID = re.compile(r"[A-Za-z]{0,3}[0-9a-fA-F]{16,}")
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def duration(seconds: float) -> str:
    """Return seconds in the unit that reads best: s, min, h or days.

    Examples
    --------
    >>> [duration(s) for s in (7, 99, 100, 8826, 400_000, float("inf"), float("nan"))]
    ['7 s', '99 s', '1.7 min', '2.5 h', '4.6 days', 'more than observed', '–']
    """
    if math.isnan(seconds):
        return UNKNOWN
    if math.isinf(seconds):
        return "more than observed"
    for unit, size, most in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 72)):
        if abs(seconds) < size * most:
            return f"{seconds / size:.0f} s" if size == 1 else f"{seconds / size:.1f} {unit}"
    return f"{seconds / 86_400:.1f} days"


def whole_duration(seconds: float) -> str:
    """Return a round duration, that of a tick or a window: the largest unit that it is 1 of, or more.

    Examples
    --------
    >>> [whole_duration(s) for s in (0, 30, 60, 1800, 3600, 86400)]
    ['0', '30 s', '1 min', '30 min', '1 h', '1 d']
    """
    if seconds == 0:
        return "0"
    size, unit = next((size, unit) for size, unit in _UNITS if seconds >= size)
    return f"{seconds / size:g} {unit}"


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


def quantile(
    name: str, seconds: float, low: float = math.nan, high: float = math.nan, *, how: str = ""
) -> str:
    """Return a quantile in words, with its interval where that is known, and how it is known where that must be said.

    Examples
    --------
    >>> quantile("p95", 1266, 540, 1560), quantile("p95", 60, how="lower bound")
    ('p95 21.1 min (9.0 min to 26.0 min)', 'p95 60 s (lower bound)')
    """
    more = "; ".join(filter(None, [how, between(low, high)]))
    return f"{name} {duration(seconds)}{f' ({more})' if more else ''}"


def is_projected(row: Any, name: str) -> bool:
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


def share_range(low: float, high: float) -> str:
    """Return an interval of shares.

    Examples
    --------
    >>> share_range(0.0213, 1)
    '2.1 % to 100 %'
    """
    return f"{share(low)} to {share(high)}"


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


def shortened(names: Sequence[str], most: int) -> str:
    """Return the first of many names, and how many more there are.

    Examples
    --------
    >>> shortened(["q1", "q2", "q3"], 2), shortened(["q1", "q2"], 2)
    ('q1, q2 and 1 more', 'q1, q2')
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def sentence(text: str) -> str:
    """Return a note as a sentence; nothing of nothing.

    Examples
    --------
    >>> sentence("a queue grows")
    'A queue grows.'
    """
    return f"{text[0].upper()}{text[1:]}." if text else ""


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


def in_zone(note: str, tz: str) -> str:
    """Return a note of a statistic, whose times are in UTC, with its times in the display zone.

    Examples
    --------
    >>> in_zone("nothing has started since 2026-11-01 00:50 UTC (25 min)", "Asia/Shanghai")
    'nothing has started since 2026-11-01 08:50 (25 min)'
    """
    return _UTC.sub(lambda found: when(pd.Timestamp(found[1], tz="UTC"), tz), note)


def moment(time: Any) -> str:
    """Return a moment, which is in the display zone, as one says it.

    Examples
    --------
    >>> moment(pd.Timestamp("2026-11-04T10:05"))
    'Wed 4 Nov 10:05'
    """
    return f"{WEEKDAYS[time.weekday()][:3]} {time.day} {MONTHS[time.month - 1]} {time.hour:02d}:{time.minute:02d}"


def window(start: pd.Timestamp, width: pd.Timedelta) -> str:
    """Return a window of time, which begins in the display zone, as one says it.

    Examples
    --------
    >>> start = pd.Timestamp("2026-11-04T10:00")
    >>> window(start, pd.Timedelta("1h")), window(start.normalize(), pd.Timedelta("7D"))
    ('Wed 4 Nov 10:00–11:00', 'Wed 4 Nov 2026 to Tue 10 Nov 2026')
    """
    end = start + width
    if width % _DAY:
        same = end.date() == start.date() or (end - _DAY == start.normalize())
        return f"{moment(start)}–{end:%H:%M}" if same else f"{moment(start)} to {moment(end)}"
    days = [
        f"{WEEKDAYS[day.weekday()][:3]} {day.day} {MONTHS[day.month - 1]} {day.year}"
        for day in (start, end - _DAY)
    ]
    return " to ".join(dict.fromkeys(days))


class About(NamedTuple):
    """The jobs of a plot: how many, how many of these unfinished and without usable times, and what is no job."""

    jobs: int
    unfinished: int
    unusable: int
    left_out: int


def about(jobs: Any) -> About:
    """Count the jobs of a source, which may be counts."""
    return about_row(numbers(jobs))


def about_row(told: pd.DataFrame, row: int = 0) -> About:
    """Read one group of :func:`cosai_nb.stats.load.numbers`."""
    jobs, unfinished, unusable = (int(number) for number in told.iloc[row]) if len(told) else (0, 0, 0)
    left_out = sum(told.attrs["left_out"].values()) if told.index.names == [None] else 0
    return About(jobs, unfinished, unusable, left_out)


def facts(of: About, *, shown: int = 1, groups: int = 1) -> str:
    """Return what must be known to read a plot: jobs, share unfinished, and whatever is not in it.

    Parameters
    ----------
    of : About
        All jobs of the plot.
    shown, groups : int
        Groups drawn, groups there are.

    Examples
    --------
    >>> facts(About(20_000, 80, 0, 1), shown=7, groups=12)
    '20,000 jobs, 0.4 % unfinished, 1 ID that is no job left out, the 7 largest of 12 groups'
    """
    said = [jobs_in_words(of.jobs), f"{share(of.unfinished / max(of.jobs, 1))} unfinished"]
    if of.unusable:
        said.append(f"{of.unusable:,} without usable times")
    if of.left_out:
        said.append(
            f"{of.left_out:,} {'ID that is no job' if of.left_out == 1 else 'IDs that are no jobs'} left out"
        )
    if shown < groups:
        said.append(f"the {shown} largest of {groups:,} groups")
    return ", ".join(said)


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


def short_id(text: str) -> str:
    """Return an ID without its middle, another text as it is.

    Examples
    --------
    >>> short_id("p1e44ccd4b9a74a6fa2d0d1a4d3eb0b9f"), short_id("nightly")
    ('p1e44c…0b9f', 'nightly')
    """
    return f"{text[:6]}…{text[-4:]}" if _ID.fullmatch(text) else text


def label(value: Any) -> str:
    """Return the name of a group; a missing key has one too.

    Examples
    --------
    >>> label("Translation"), label(None), label(("q1", None))
    ('Translation', '(none)', 'q1 · (none)')
    """
    if isinstance(value, tuple):
        return " · ".join(label(part) for part in value)
    return NO_LABEL if pd.isna(value) else blank(str(value)) or printable(value, longest=60)


def error_name(row: Any, joint: str = " – ") -> str:
    """Return code and message of an error as one name."""
    parts = [row[part] for part in ("code", "message") if not pd.isna(row[part]) and row[part].strip()]
    return joint.join(printable(part.rstrip("."), longest=80) for part in parts) or "an error without a code"


def blank(text: str) -> str:
    """Return what stands for a text of which nothing is seen; nothing for others."""
    return "" if text.strip() else f"({len(text)} spaces)" if text else "(empty)"


def _escaped(mark: str) -> str:
    if unicodedata.category(mark) not in _HIDDEN_CATEGORIES:
        return mark
    return mark.encode("unicode_escape").decode("ascii")
