"""Did it get slower? A quantile of the queue latency before and after, and the hours at which it changed.

Jobs that are close in time wait together, so a test that takes jobs for independent finds a difference in 80–100 % of the
cases in which nothing changed. Here the interval of each side is as wide as its hours are alike.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cosai_nb import arguments
from cosai_nb.errors import SettingsError
from cosai_nb.stats.counts import NO_HOUR, Groups, class_codes, count, count_all, hours_of, unusable_of
from cosai_nb.stats.intervals import LEVEL, MIN_HOURS, Sample, Woodruff, errors, quantile_errors, student
from cosai_nb.stats.latency import NUMBER, name_of, queues_of, read_shares, sample_of, with_unusable
from cosai_nb.stats.measures import (
    ENDED,
    GAVE_UP,
    HOUR_MS,
    MISSING,
    UNFINISHED,
    check_jobs,
    group_columns,
    milliseconds,
    moments,
)
from cosai_nb.stats.queues import QUEUE_KEYS, queue_states
from cosai_nb.stats.short_table import read_first
from cosai_nb.stats.survival import Curves, quantiles
from cosai_nb.stats.tally import rank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cosai_nb.stats.counts import Counted
    from cosai_nb.stats.measures import Flags, Floats, Ints

SLOWER, FASTER, SAME, TOO_LITTLE = "slower", "faster", "no difference shown", "too little data"
OTHER_HOURS = "windows differ"
SAME_HOURS = 0.9
"""Windows with a smaller share of their jobs in the same hours of the week differ."""
_DAY, _WEEK, _WEEKS = 24, 168, 3
_BY_CHANCE = 0.01
_SHORTEST = 12
"""Hours with jobs that a level lasts, at least."""
FEWEST_HOURS = 30
"""In fewer hours with jobs no step, however large, outweighs the penalty."""
_ENOUGH_FOR_SCALE = 1000
_SIDES = ("before", "after")
_BISECTIONS = 24


def compare(
    before: Any,
    after: Any = None,
    q: float = 0.95,
    *,
    by: str | Sequence[str] | None = None,
    at: Any = None,
    same_hours: bool = True,
    detail: bool = False,
) -> pd.DataFrame:
    """Return how a quantile of the queue latency differs between two sets of jobs, and whether that can be chance.

    Parameters
    ----------
    before, after : pandas.DataFrame, path, JobStore or DurationHistogram
        The jobs of two windows; different sources may be mixed. With ``at`` one source, and no ``after``.
    q : float
        Quantile between 0 and 1; 0.95 gives the columns ``p95_before`` and ``p95_after``.
    by : str or list of str, optional
        Columns (keys of the histogram) to group by.
    at : str, datetime, timedelta or pair, optional
        Compare the jobs of one source that were created before and after this time, or this marker: a pair of time and text.
        Without a zone it is the service's own (+0800). A full hour, unless the source is a frame. Both spans are equally long: as many whole weeks as there are on both sides,
        else whole days, else what the shorter side has. Less than a week on a side are other hours of the week: a day
        against the next is ``windows differ``, unless ``same_hours=False``.
    same_hours : bool
        Refuse windows of different hours of the week, whose difference may be the calendar's. False compares nonetheless.
    detail : bool
        Return all columns, in the order of the table below.

    Returns
    -------
    pandas.DataFrame
        One row per group of either side (index: its labels, ``all`` without ``by``), a missing label being a group. Columns:
        ``p95_before, p95_after, difference, low, high, ratio, verdict, note``, and with ``detail``:

        ===================== =====================================================================
        p95_before, p95_after Kaplan–Meier [seconds]; ``inf`` where not reached, NaN where there are no jobs
        difference            after − before [seconds]; NaN where neither side is reached
        low, high             its 95 % interval; NaN where a side has jobs in less than 14 hours
        ratio                 after ÷ before
        verdict               ``slower``, ``faster``, ``no difference shown``, ``too little data`` or ``windows differ``
        jobs_…                number of jobs before, after
        waiting_…             of these not started and not given up
        unusable_…            jobs whose times are missing or reversed: in no quantile
        blocks_…              hours in which jobs were created
        note                  what to bear in mind; with ``at`` which spans were compared
        p_value               two-sided: at most 0.05 where the interval excludes 0
        hours_in_common       share of the jobs of both sides (of all groups) that lies in the same hours of the week, but for
                              chance; the windows differ below 0.9
        ===================== =====================================================================

        ``attrs["left_out"]`` counts for each side the rows that are no jobs; with ``at``, ``attrs["spans"]`` holds begin and
        end of each side, as texts.

    Raises
    ------
    TypeError, FrameError
        A side is no source of jobs, or lacks a column.
    SettingsError
        ``q`` is not one quantile between 0 and 1; ``at`` is no time, or is given beside ``after``, or neither is.

    Notes
    -----
    The interval is made of those of both sides (MOVER: Zou and Donner 2008) with Welch's degrees of freedom, each side's on the scale
    of log odds of :mod:`cosai_nb.stats.intervals`. In unchanged weeks it excludes 0 in 2 to 6 %; in windows of a day, at a load above
    0.9, in up to 18 %. Where a queue grows Kaplan–Meier is too low; a difference that may stem from that alone is not shown.

    Examples
    --------
    >>> import pandas as pd
    >>> import cosai_nb as cn
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": "Success", "QueueId": "q1", "Tag": "Translation",
    ...     "CreationTime": "2026-11-01T10:00:00+0800",
    ...     "StartTime": ["2026-11-01T10:00:07+0800", "2026-11-01T10:00:14+0800"],
    ...     "EndTime": "2026-11-01T10:00:19+0800"})
    >>> jobs = cn.add_timings(texts)
    >>> cn.compare(jobs[:1], jobs[1:])[["p95_before", "p95_after", "difference", "ratio", "verdict"]]
         p95_before  p95_after  difference  ratio          verdict
    all         7.0       14.0         7.0    2.0  too little data

    >>> created = pd.date_range("2026-11-01", "2026-11-20", freq="h", tz="Asia/Shanghai", inclusive="left")
    >>> waits = pd.to_timedelta((created >= "2026-11-09 10:00+08:00") * 80 + 10, unit="s")
    >>> times = {"CreationTime": created, "StartTime": created + waits, "EndTime": created + waits}
    >>> texts = pd.DataFrame({name: time.strftime("%Y-%m-%dT%H:%M:%S%z") for name, time in times.items()})
    >>> jobs = cn.add_timings(texts.assign(JobId=texts.index.astype(str), State="Success", Tag="t", QueueId="q1"))
    >>> told = cn.compare(jobs, at=("2026-11-09 10:00", "release 2.3")).loc["all"]
    >>> told["verdict"], told["note"]
    ('slower', '1 week before and after 2026-11-09 10:00 +0800 (release 2.3)')
    """
    names, share = group_columns(by), _one_share(q)
    if (after is None) == (at is None):
        raise SettingsError(
            "compare takes the jobs before and after, or all jobs and at=, the time that divides them."
        )
    wanted = {"queue_latency": names, **QUEUE_KEYS, "jobs": (*names, "queue_id")}
    spans, remark = None, ""
    if at is None:
        counts = [count_all(jobs, wanted) for jobs in (before, after)]
    else:
        counts, spans, remark = _divided(before, at, wanted)
    sides = [_Side.of(counted, names, share) for counted in counts]
    common = _hours_in_common(counts)
    index, places = _union([side.groups for side in sides])
    columns: dict[str, dict[str, Any]] = {}
    quantile, reach = [], _Reach(sides, places, share)
    for side, place, name in zip(sides, places, _SIDES, strict=True):
        there = place >= 0
        columns[name] = {
            what: np.where(there, np.append(values, 0)[place], 0) for what, values in side.numbers.items()
        }
        quantile.append(np.where(there, np.append(side.found.value[:, 0], np.nan)[place], np.nan))
    with np.errstate(invalid="ignore", divide="ignore"):
        difference, ratio = quantile[1] - quantile[0], quantile[1] / quantile[0]
    low, high = reach.ends(np.full(len(index), LEVEL))
    name = name_of(share)
    table: dict[str, Any] = {
        f"{name}_before": quantile[0],
        f"{name}_after": quantile[1],
        "difference": difference,
        "low": low,
        "high": high,
        "ratio": ratio,
    }
    growing = [
        np.append(side.growing, False)[place] & (columns[name]["waiting"] > 0)
        for side, place, name in zip(sides, places, _SIDES, strict=True)
    ]
    blocks = [columns[name]["blocks"] for name in _SIDES]
    lost = [np.append(side.lost, "")[place] for side, place in zip(sides, places, strict=True)]
    (least, most), (least_after, most_after) = (
        [np.append(end[:, 0], np.nan)[place] for end in side.with_unusable]
        for side, place in zip(sides, places, strict=True)
    )
    apart = (least_after > most) | (least > most_after)
    told = [
        _judge(*of_row, common=common if same_hours else 1.0)
        for of_row in zip(low, high, *growing, *lost, apart, *blocks, strict=True)
    ]
    table["verdict"] = pd.array([verdict for verdict, _ in told], dtype="str")
    for what in ("jobs", "waiting", "unusable", "blocks"):
        table |= {f"{what}_{name}": columns[name][what].astype(np.int64) for name in _SIDES}
    table["note"] = pd.array(["; ".join(filter(None, (remark, note))) for _, note in told], dtype="str")
    table["p_value"] = reach.p_values(~np.isnan(low))
    table["hours_in_common"] = common
    frame = pd.DataFrame(table).set_axis(index)
    frame.attrs["left_out"] = {name: side.left_out for name, side in zip(_SIDES, sides, strict=True)}
    if spans is not None:
        frame.attrs["spans"] = spans
    first = [*(f"{name}_{side}" for side in _SIDES), "difference", "low", "high", "ratio", "verdict", "note"]
    return frame if detail else read_first(frame, first)


class _Side(NamedTuple):
    """One side of a comparison: its groups, their quantile and its errors, and numbers of jobs."""

    groups: Groups
    sample: Sample
    found: Woodruff
    growing: Any
    numbers: dict[str, Ints]
    lost: list[str]
    with_unusable: tuple[Floats, Floats]
    left_out: dict[str, int]

    @classmethod
    def of(cls, counted: Counted, names: tuple[str, ...], share: float) -> _Side:
        groups, sample = sample_of(counted, "queue_latency", names)
        states = queue_states(counted)
        table = counted.tables["queue_latency"]
        kinds, number = class_codes(table), table["jobs"].to_numpy()
        unusable, lost = unusable_of(groups, table)
        growing = [any(states[queue].growing for queue in mine) for mine in queues_of(counted, groups)]
        numbers = {
            "jobs": groups.sum(number),
            "waiting": groups.sum(number, kinds == UNFINISHED),
            "unusable": unusable,
            "blocks": sample.busy,
        }
        found = quantile_errors(sample, (share,))
        ends = with_unusable(sample.curves, (share,), unusable)
        return cls(
            groups, sample, found, np.array(growing, dtype=bool), numbers, lost, ends, counted.left_out
        )


def _divided(
    jobs: Any, at: Any, wanted: dict[str, tuple[str, ...]]
) -> tuple[list[Counted], dict[str, list[str]], str]:
    """Count the jobs created in equal spans before and after a time; return begin and end of both, and say what they are."""
    when, text = at, ""
    if isinstance(at, datetime):
        at = at, ""
    if isinstance(at, tuple | list) and len(at) == 2:  # noqa: PLR2004 - a pair
        [(when, text)] = arguments.markers([at], arguments.SERVICE_ZONE)  # as figures read it
    moment = 1000 * arguments.moment(when, "at", now=time.time())
    if isinstance(jobs, pd.DataFrame):
        created = milliseconds(check_jobs(jobs, ["creation_time"])["creation_time"])
        begin, end, remark = _spans(created[created != MISSING] // HOUR_MS, moment)
        counts = [
            count_all(jobs[(first <= created) & (created < last)], wanted)
            for first, last in ((begin, moment), (moment, end))
        ]
    else:
        if moment % HOUR_MS:
            raise SettingsError(
                f"at={str(when)!r} must be a full hour: jobs that are no frame are counted by the hour."
            )
        counted = count_all(jobs, wanted)
        hours = hours_of(counted.tables["jobs"])
        begin, end, remark = _spans(hours[hours != NO_HOUR], moment)
        halves: list[dict[str, pd.DataFrame]] = [{}, {}]
        for name, table in counted.tables.items():
            hour = hours_of(table)
            there = hour != NO_HOUR
            start = np.where(there, hour, 0) * HOUR_MS
            for half, first, last in zip(halves, (begin, moment), (moment, end), strict=True):
                half[name] = table[there & (first <= start) & (start < last)]
        counts = [replace(counted, tables=half) for half in halves]
    edges = [_clock(edge) for edge in (begin, moment, end)]
    spans = {"before": edges[:2], "after": edges[1:]}
    return counts, spans, f"{remark} {edges[1]}{f' ({text})' if text else ''}"


def _spans(hours: Ints, moment: int) -> tuple[int, int, str]:
    """Return where the span before a moment begins, where the one after it ends [ms], and how long they are in words."""
    if not len(hours):
        return moment, moment, "no jobs before and after"
    begin, end = int(hours.min()) * HOUR_MS, (int(hours.max()) + 1) * HOUR_MS
    shorter = min(moment - begin, end - moment)
    if shorter <= 0:
        side = "before" if begin >= moment else "after"
        return min(begin, moment), max(end, moment), f"no jobs {side}"
    for hours_long, unit in ((_WEEK, "week"), (_DAY, "day")):
        if number := shorter // (hours_long * HOUR_MS):
            shorter = number * hours_long * HOUR_MS
            length = f"{number} {unit}{'s' * (number > 1)}"
            break
    else:
        length = f"{shorter / HOUR_MS:.1f} h"
    return moment - shorter, moment + shorter, f"{length} before and after"


def _clock(moment: int) -> str:
    """Return a time [ms since the epoch] as the service's clock shows it."""
    return moments([moment])[0].tz_convert(arguments.SERVICE_ZONE).strftime("%Y-%m-%d %H:%M %z")


def _hours_in_common(counts: list[Counted]) -> float:
    """Return the share of both sides' jobs that lies in the same hours of the week, with what chance takes from it."""
    sides = []
    for counted in counts:
        table = counted.tables["jobs"]
        hour = hours_of(table)
        known = np.flatnonzero(hour != NO_HOUR)
        sides.append(np.bincount(hour[known] % _WEEK, table["jobs"].to_numpy()[known], _WEEK))
    numbers = [jobs.sum() for jobs in sides]
    if not all(numbers):
        return math.nan
    shares = [jobs / number for jobs, number in zip(sides, numbers, strict=True)]
    pooled = sum(sides) / sum(numbers)
    # the mean |difference| of the shares of two samples of the same hours
    chance = np.sqrt(2 / math.pi * pooled * sum(1 / number for number in numbers)).sum() / 2
    return float(min(np.minimum(*shares).sum() + chance, 1.0))


def _union(groups: list[Groups]) -> tuple[pd.Index[Any], list[Ints]]:
    """Return the index of the groups of either side, in order, and the place of each in both (−1 where it is missing)."""
    if not groups[0].names:
        return groups[0].rows, [np.zeros(1, dtype=np.int64)] * 2
    tables = [pd.DataFrame(dict(zip(one.names, one.labels, strict=True))) for one in groups]
    both = Groups.of(pd.concat(tables, ignore_index=True), groups[0].names)
    shown = pd.DataFrame(dict(zip(both.names, both.labels, strict=True)))
    return both.rows, [one.place(shown) for one in groups]


class _Reach(NamedTuple):
    """The interval of a difference at any level, from those of both sides."""

    sides: list[_Side]
    places: list[Ints]
    share: float

    def ends(self, level: Floats) -> tuple[Floats, Floats]:
        """Return the ends of the interval of each group (MOVER), at a level for each."""
        taken, freedom = [], self._freedom()
        for side, place in zip(self.sides, self.places, strict=True):
            there = place >= 0
            of_side, cosines = np.full(side.groups.number, LEVEL), side.found.cosines[:, 0].copy()
            of_side[place[there]], cosines[place[there]] = level[there], freedom[there]
            low, high = side.found.ends_to_compare(side.sample, np.array([self.share]), of_side, cosines)
            ends = (low[:, 0], side.found.value[:, 0], high[:, 0])
            taken.append([np.where(there, np.append(values, np.nan)[place], np.nan) for values in ends])
        (low_1, middle_1, high_1), (low_2, middle_2, high_2) = taken
        with np.errstate(invalid="ignore"):
            low = middle_2 - middle_1 - np.hypot(middle_2 - low_2, high_1 - middle_1)
            high = middle_2 - middle_1 + np.hypot(high_2 - middle_2, middle_1 - low_1)
            # a quantile that is not reached lies between its lower end and infinity
            low = np.where(np.isinf(middle_2), low_2 - high_1, low)
            high = np.where(np.isinf(middle_1), high_2 - low_1, high)
        low, high = np.where(np.isinf(high_1), -np.inf, low), np.where(np.isinf(high_2), np.inf, high)
        unknown = np.isnan(low_1) | np.isnan(low_2)
        return np.where(unknown, np.nan, low), np.where(unknown, np.nan, high)

    def _freedom(self) -> Floats:
        """Return Welch's degrees of freedom of each group: more than either side's, because their errors are independent."""
        one, two = (
            [np.append(values[:, 0], np.nan)[place] for values in (side.found.error, side.found.cosines)]
            for side, place in zip(self.sides, self.places, strict=True)
        )
        total = (one[0] ** 2 + two[0] ** 2) ** 2
        parts = one[0] ** 4 / one[1] + two[0] ** 4 / two[1]
        with np.errstate(invalid="ignore"):
            return np.where(parts > 0, total / np.where(parts > 0, parts, 1), one[1])

    def p_values(self, known: Flags) -> Floats:
        """Return 1 − the level at which the interval begins to hold 0, by bisection; NaN where there is no interval."""
        excludes = np.zeros(len(self.places[0]))
        holds = np.ones(len(excludes))
        for _ in range(_BISECTIONS):
            middle = (excludes + holds) / 2
            low, high = self.ends(middle)
            outside = (low > 0) | (high < 0)
            excludes, holds = np.where(outside, middle, excludes), np.where(outside, holds, middle)
        found: Floats = np.where(known, 1 - excludes, np.nan)
        return found


def _one_share(q: float) -> float:
    if not isinstance(q, NUMBER):
        raise SettingsError(f"q={q!r} must be one quantile between 0 and 1, such as 0.95.")
    return read_shares(q)[0]


def _judge(
    low: float,
    high: float,
    grew: Any,
    grows: Any,
    lost_before: str,
    lost_after: str,
    apart: Any,
    hours_before: int,
    hours_after: int,
    *,
    common: float,
) -> tuple[str, str]:
    """Return the verdict, and what makes it less sure: Kaplan–Meier is too low where a queue grows in order.

    ``apart``: the quantiles differ whatever the jobs with unusable times waited.
    """
    lost = [f"{name}: {note}" for name, note in zip(_SIDES, (lost_before, lost_after), strict=True) if note]
    notes = lost + [
        f"{name}: a queue grows, and its quantile may be too low"
        for name, growing in zip(_SIDES, (grew, grows), strict=True)
        if growing
    ]
    if math.isnan(low):
        short = min(hours_before, hours_after) < MIN_HOURS
        needed = f"; {MIN_HOURS} are needed on each side" if short else " that say nothing of this quantile"
        notes.append(f"{hours_before} blocks of 1 h before and {hours_after} after{needed}")
        return TOO_LITTLE, "; ".join(notes)
    if common < SAME_HOURS:
        notes.append(
            f"windows differ: {common:.0%} of the jobs are in the same hours of the week; same_hours=False compares them"
        )
        return OTHER_HOURS, "; ".join(notes)
    differs = low > 0 or high < 0
    if (low > 0 and grew) or (high < 0 and grows) or (differs and lost and not apart):
        return SAME, "; ".join([*notes, "the difference may come from that alone"])
    return (SLOWER if low > 0 else FASTER if high < 0 else SAME), "; ".join(notes)


def change_points(jobs: Any, *, q: float = 0.95, by: str | Sequence[str] | None = None) -> pd.DataFrame:
    """Return the hours of creation at which the level of a quantile of the queue latency changed.

    Parameters
    ----------
    jobs : pandas.DataFrame, path, JobStore or DurationHistogram
        One row per job, or their histogram; 30 hours with jobs or more, else no change can be found.
    q : float
        Quantile between 0 and 1.
    by : str or list of str, optional
        Columns (keys of the histogram) to group by.

    Returns
    -------
    pandas.DataFrame
        One row per change, none where there is none (index: labels of the group, ``all`` without ``by``).

        ========================= =================================================================
        time                      the first hour with the new level
        p95_before, p95_after     quantile of all jobs since the change before, and until the next one [seconds]
        ratio                     after ÷ before
        jobs_before, jobs_after   number of these jobs
        found_by                  ``level``: the hourly quantile, or ``waits``: how many of the hour's jobs wait longer than the
                                  quantile of all
        ========================= =================================================================

        ``attrs["note"]`` names groups with too few hours, or too few weeks to know a weekly pattern; ``attrs["left_out"]`` counts the rows that are no jobs.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.
    SettingsError
        ``q`` is not one quantile between 0 and 1, or ruptures is not installed (the extra ``changes``).

    Notes
    -----
    ``ruptures.KernelCPD("rbf", min_size=12)`` with the penalty 3·log(n) on the logarithm of each hour's Kaplan–Meier
    quantile [1]_; a level lasts 12 hours at least. Hours without jobs are skipped: a change is a difference between hours that have jobs. What is below a
    second, the clock's step, counts as one. An hour whose quantile is not reached keeps the level of the last hour that
    reached it, or its own lower bound where that is higher: jobs that still wait can raise the level and never lower it.

    An hour's quantile is noisy where few jobs wait at all. Where it shows no change, the largest CUSUM of the jobs that wait longer
    than the quantile of all hours is compared with its long-run deviation [2]_, at 1 % (Kolmogorov's distribution), widened as
    Student's t is for a deviation that is estimated.

    From three days on the mean of each hour of the day, from two weeks on that of each hour of the week is taken off both
    series. Two weeks that differ and a pattern of two weeks look alike; it takes a third to tell, and ``note`` says where there is none.

    References
    ----------
    .. [1] Arlot, Celisse and Harchaoui (2019), A kernel multiple change-point algorithm via model selection.
    .. [2] Csörgő and Horváth (1997), Limit theorems in change-point analysis.

    Examples
    --------
    >>> import pandas as pd
    >>> import cosai_nb as cn
    >>> created = pd.Series(pd.date_range("2026-11-01", periods=48, freq="h", tz="UTC"))
    >>> started = created + pd.to_timedelta([10] * 24 + [90] * 24, unit="s")
    >>> times = {"CreationTime": created, "StartTime": started, "EndTime": started}
    >>> texts = pd.DataFrame({name: time.dt.strftime("%Y-%m-%dT%H:%M:%SZ") for name, time in times.items()})
    >>> jobs = cn.add_timings(texts.assign(JobId=created.index.astype(str), State="Success", Tag="t", QueueId="q1"))
    >>> cn.change_points(jobs)[["time", "p95_before", "p95_after", "ratio"]]
                             time  p95_before  p95_after  ratio
    all 2026-11-02 00:00:00+00:00        10.0       90.0    9.0
    """
    names, share = group_columns(by), _one_share(q)
    find = _change_finder()
    counted = count(jobs, names, "queue_latency")
    table, name = counted.table, name_of(share)
    groups = Groups.of(table, names)
    hours, levels, excess = _hourly_levels(table, groups, share)
    # below the clock's step of a second nothing can be told apart
    by_level = [
        find(_without_profile(np.log(np.maximum(mine, 1)), hour))
        for mine, hour in zip(levels, hours, strict=True)
    ]
    by_waits = _largest_cusum(
        [_without_profile(mine, hour) for mine, hour in zip(excess, hours, strict=True)], hours
    )
    rows, notes = [], []
    for number, labels in enumerate(groups.plain_labels):
        if short := _too_short(hours[number]):
            notes.append(f"{', '.join(str(label) for label in labels)}: {short}")
        places, how = (by_level[number], "level") if by_level[number] else (by_waits[number], "waits")
        changes = hours[number][places]
        if not len(changes):
            continue
        mine = table[groups.of_row == number]
        seconds, of_jobs = _levels_between(mine, changes, share)
        for place, hour in enumerate(changes.tolist()):
            rows.append((number, hour, *seconds[place : place + 2], *of_jobs[place : place + 2], how))
    group, hour, before, after, jobs_before, jobs_after, found_by = (
        np.array(column) for column in (zip(*rows, strict=True) if rows else ([],) * 7)
    )
    found = pd.DataFrame(
        {
            "time": moments(hour.astype(np.int64) * HOUR_MS),
            f"{name}_before": before.astype(np.float64),
            f"{name}_after": after.astype(np.float64),
            "ratio": _ratio(before.astype(np.float64), after.astype(np.float64)),
            "jobs_before": jobs_before.astype(np.int64),
            "jobs_after": jobs_after.astype(np.int64),
            "found_by": pd.array(found_by.astype(object), dtype="str"),
        }
    ).set_axis(groups.rows[group.astype(np.int64)])
    found.attrs = {"left_out": counted.left_out, "note": "; ".join(notes)}
    return found


def _ratio(before: Floats, after: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return after / before


def _hourly_levels(
    table: pd.DataFrame, groups: Groups, share: float
) -> tuple[list[Ints], list[Floats], list[Floats]]:
    """Return for each group the hours of creation that have usable jobs, in order, and two values of each.

    The quantile [seconds]: where an hour does not reach it, the level of the last hour that did, or the hour's own lower bound
    (ages taken as final) where that is higher, so jobs that still wait can raise a level and never lower it. And the number of jobs
    that wait longer than the quantile of all hours, less what is expected of so many; jobs that may go either way are in neither.
    """
    rows = np.flatnonzero((class_codes(table) <= GAVE_UP) & (hours_of(table) != NO_HOUR))
    (of_group, hour), slot = rank([groups.of_row[rows], hours_of(table)[rows]])
    seconds, jobs = (table[name].to_numpy()[rows] for name in ("seconds", "jobs"))
    ended = class_codes(table)[rows] == ENDED
    curves, _ = Curves.of(len(hour), slot, seconds, ended, jobs)
    level, bound = (quantiles(one, (share,))[:, 0] for one in (curves, curves.ages_final))
    of_all, _ = Curves.of(groups.number, groups.of_row[rows], seconds, ended, jobs)
    longer = seconds > quantiles(of_all, (share,))[groups.of_row[rows], 0]
    above, known = (
        np.bincount(slot, np.where(chosen, jobs, 0.0), len(hour)) for chosen in (longer, ended | longer)
    )
    edges = np.searchsorted(of_group, np.arange(groups.number + 1))
    hours, levels, excess = [], [], []
    for begin, end in pairwise(edges.tolist()):
        reached, mine = level[begin:end], bound[begin:end]
        last = pd.Series(np.where(np.isinf(reached), np.nan, reached)).ffill().fillna(0).to_numpy()
        hours.append(hour[begin:end])
        levels.append(np.where(np.isinf(reached), np.maximum(last, mine), reached))
        expected = known[begin:end] * above[begin:end].sum() / max(known[begin:end].sum(), 1)
        excess.append(above[begin:end] - expected)
    return hours, levels, excess


def _too_short(hours: Ints) -> str:
    """Say what cannot be told in so few hours; empty where everything can."""
    if len(hours) < FEWEST_HOURS:
        return f"{len(hours)} hours with usable times, {FEWEST_HOURS} are needed"
    weeks = (hours[-1] + 1 - hours[0]) / _WEEK
    return (
        ""
        if weeks >= _WEEKS
        else f"{weeks:.1f} weeks, a weekly pattern may look like a change in less than {_WEEKS}"
    )


def _without_profile(series: Floats, hours: Ints) -> Floats:
    """Take off the mean of each hour of the week, or of the day where there are less than two weeks."""
    span = hours[-1] + 1 - hours[0] if len(hours) else 0
    period = _WEEK if span >= 2 * _WEEK else _DAY if span >= 3 * _DAY else 0
    if not period:
        return series
    number = np.bincount(hours % period, minlength=period)
    mean = np.bincount(hours % period, series, period) / np.maximum(number, 1)
    found: Floats = series - mean[hours % period]
    return found


def _largest_cusum(series: list[Floats], hours: list[Ints]) -> list[list[int]]:
    """Return for each series where its mean changes, if that is not chance."""
    places, peaks, rests = [], [], []
    for one in series:
        if len(one) < max(FEWEST_HOURS, 2 * _SHORTEST + 1):
            places.append(0)
            peaks.append(0.0)
            rests.append(one)
            continue
        total = np.cumsum(one - one.mean())
        place = int(np.argmax(np.abs(total[_SHORTEST:-_SHORTEST]))) + _SHORTEST + 1
        places.append(place)
        peaks.append(abs(total[place - 1]))
        rests.append(np.concatenate((one[:place] - one[:place].mean(), one[place:] - one[place:].mean())))
    nothing = np.empty(0, dtype=np.int64)
    busy = np.array([len(one) for one in rests], dtype=np.int64)
    error, _, _, cosines = errors(np.concatenate([*rests, nothing]), np.concatenate([*hours, nothing]), busy)
    level = 1 - _BY_CHANCE
    widened = student(cosines, level) / NormalDist().inv_cdf(0.5 + level / 2)
    # the tail of Kolmogorov's distribution
    surprising = math.sqrt(math.log(2 / _BY_CHANCE) / 2) * widened * error
    return [
        [place] if peak > least > 0 else []
        for place, peak, least in zip(places, peaks, surprising, strict=True)
    ]


def _levels_between(table: pd.DataFrame, changes: Ints, share: float) -> tuple[Floats, Ints]:
    """Measure each stretch up to, between and after the changes on all of its jobs, as queue_latency would."""
    hour = hours_of(table)
    stretch = np.searchsorted(changes, hour, side="right")
    if len(changes):
        stretch[hour == NO_HOUR] = -1  # no known creation: in no stretch
    usable = np.flatnonzero((class_codes(table) <= GAVE_UP) & (stretch >= 0))
    number, seconds = table["jobs"].to_numpy(), table["seconds"].to_numpy()
    ended = class_codes(table)[usable] == ENDED
    curves, _ = Curves.of(len(changes) + 1, stretch[usable], seconds[usable], ended, number[usable])
    jobs = np.bincount(stretch[stretch >= 0], number[stretch >= 0], len(changes) + 1).astype(np.int64)
    return quantiles(curves, (share,))[:, 0], jobs


def _change_finder() -> Callable[[Floats], list[int]]:
    """Return the function that finds where a series of logarithms of levels breaks; SettingsError without ruptures."""
    try:
        from ruptures import KernelCPD  # noqa: PLC0415 - an extra: only who looks for change points needs it
    except ImportError as error:
        raise SettingsError(
            "change_points needs the package ruptures, which cannot be imported; "
            'install it with pip install "cosai_nb[changes]".'
        ) from error

    def find(signal: Floats) -> list[int]:
        number = len(signal)
        if number < FEWEST_HOURS:
            return []
        search = KernelCPD("rbf", min_size=_SHORTEST, params={"gamma": _scale(signal)}).fit(signal[:, None])
        return [int(place) for place in search.predict(pen=3 * math.log(number))[:-1]]

    return find


def _scale(signal: Floats) -> float:
    """Return 1 ÷ the median squared distance, as ruptures would; its own way takes 2 GB for the hours of a year."""
    some = signal[np.unique(np.linspace(0, len(signal) - 1, _ENOUGH_FOR_SCALE).astype(np.int64))]
    apart = np.median((some[:, None] - some)[np.triu_indices(len(some), 1)] ** 2)
    return float(1 / apart) if apart > 0 else 1.0
