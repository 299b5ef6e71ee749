"""Did it get slower? A quantile of the queue latency before and after.

Jobs that are close in time wait together, so a test that takes jobs for independent finds a difference in 80–100 % of the
cases in which nothing changed. Here the interval of each side is as wide as its hours are alike.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cosai_nb import arguments
from cosai_nb.errors import SettingsError
from cosai_nb.stats.counts import NO_HOUR, Groups, class_codes, count_all, hours_of, unusable_of
from cosai_nb.stats.growth import QUEUE_KEYS, queue_states
from cosai_nb.stats.intervals import LEVEL, MIN_HOURS, Sample, Woodruff, p_values, quantile_errors
from cosai_nb.stats.latency import name_of, one_share, queues_of, sample_of, with_unusable
from cosai_nb.stats.measures import (
    HOUR_MS,
    MISSING,
    UNFINISHED,
    check_jobs,
    group_columns,
    milliseconds,
    moments,
)
from cosai_nb.stats.short_table import read_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cosai_nb.stats.counts import Counted
    from cosai_nb.stats.measures import Flags, Floats, Ints

SLOWER, FASTER, SAME, TOO_LITTLE = "slower", "faster", "no difference shown", "too little data"
OTHER_HOURS = "windows differ"
SAME_HOURS = 0.9
"""Windows with a smaller share of their jobs in the same hours of the week differ."""
_DAY, _WEEK = 24, 168
_SIDES = ("before", "after")


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
    names, share = group_columns(by), one_share(q)
    if (after is None) == (at is None):
        raise SettingsError(
            "compare takes the jobs before and after, or all jobs and at=, the time that divides them."
        )
    wanted = {"queue_latency": names, **QUEUE_KEYS, "jobs": (*names, "queue_id")}
    spans, remark = dict[str, list[str]](), ""
    if at is None:
        counts = [count_all(jobs, wanted) for jobs in (before, after)]
    else:
        counts, spans, remark = _divided(before, at, wanted)
    groups = _groups_of_either(counts, names)
    sides = [_Side.of(counted, groups, share) for counted in counts]
    common = _hours_in_common(counts)
    low, high = _ends(sides, share, np.full(groups.number, LEVEL))
    value = [side.found.value[:, 0] for side in sides]
    with np.errstate(invalid="ignore", divide="ignore"):
        difference, ratio = value[1] - value[0], value[1] / value[0]
    told = [
        _judge(sides, one, low[one], high[one], common=common if same_hours else 1.0)
        for one in range(groups.number)
    ]

    def excludes_0(level: Floats) -> Flags:
        low, high = _ends(sides, share, level)
        return (low > 0) | (high < 0)

    name = name_of(share)
    table: dict[str, Any] = {f"{name}_before": value[0], f"{name}_after": value[1]}
    table |= {"difference": difference, "low": low, "high": high, "ratio": ratio}
    table["verdict"] = pd.array([verdict for verdict, _ in told], dtype="str")
    for what in sides[0].numbers:
        table |= {f"{what}_{which}": side.numbers[what] for which, side in zip(_SIDES, sides, strict=True)}
    table["note"] = pd.array(["; ".join(filter(None, (remark, note))) for _, note in told], dtype="str")
    table["p_value"] = np.where(np.isnan(low), np.nan, p_values(excludes_0, groups.number))
    table["hours_in_common"] = common
    frame = pd.DataFrame(table).set_axis(groups.rows)
    left_out = {which: counted.left_out for which, counted in zip(_SIDES, counts, strict=True)}
    frame.attrs = {"left_out": left_out, **({"spans": spans} if spans else {})}
    first = [*(f"{name}_{side}" for side in _SIDES), "difference", "low", "high", "ratio", "verdict", "note"]
    return frame if detail else read_first(frame, first)


# --- both sides ---


class _Side(NamedTuple):
    """One side of a comparison, by group: the quantile and its errors, and numbers of jobs.

    ``least`` and ``most`` are the quantile if the jobs with unusable times waited shortest, and longest.
    """

    sample: Sample
    found: Woodruff
    numbers: dict[str, Ints]
    growing: list[bool]
    lost: list[str]
    least: Floats
    most: Floats

    @classmethod
    def of(cls, counted: Counted, groups: Groups, share: float) -> _Side:
        """Measure the groups of either side on this one."""
        groups, sample = sample_of(counted, "queue_latency", groups.names, groups)
        states, table = queue_states(counted), counted.tables["queue_latency"]
        number, (unusable, lost) = table["jobs"].to_numpy(), unusable_of(groups, table)
        waiting = groups.sum(number, class_codes(table) == UNFINISHED)
        numbers = {
            "jobs": groups.sum(number),
            "waiting": waiting,
            "unusable": unusable,
            "blocks": sample.busy,
        }
        growing = [
            waits > 0 and any(states[queue].growing for queue in queues)
            for waits, queues in zip(waiting, queues_of(counted, groups), strict=True)
        ]
        ends = with_unusable(sample.curves, (share,), unusable)
        return cls(sample, quantile_errors(sample, (share,)), numbers, growing, lost, *ends)


def _groups_of_either(counts: list[Counted], names: tuple[str, ...]) -> Groups:
    groups = [Groups.of(counted.tables["queue_latency"], names) for counted in counts]
    if not names:
        return groups[0]
    labels = [pd.DataFrame(dict(zip(names, one.labels, strict=True))) for one in groups]
    return Groups.of(pd.concat(labels, ignore_index=True), names)


def _ends(sides: list[_Side], share: float, level: Floats) -> tuple[Floats, Floats]:
    """Return the ends of the interval of each group's difference (MOVER), at a level for each."""
    taken = []
    for side in sides:
        found = side.found.ends_to_compare(side.sample, np.array([share]), level, _freedom(sides))
        taken.append((found[0][:, 0], side.found.value[:, 0], found[1][:, 0]))
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


def _freedom(sides: list[_Side]) -> Floats:
    """Return Welch's degrees of freedom of each group: more than either side's, because their errors are independent."""
    squares = [side.found.error[:, 0] ** 2 for side in sides]
    cosines = [side.found.cosines[:, 0] for side in sides]
    parts = sum(square**2 / freedom for square, freedom in zip(squares, cosines, strict=True))
    known = parts > 0
    found: Floats = np.where(known, sum(squares) ** 2 / np.where(known, parts, 1), cosines[0])
    return found


def _judge(sides: list[_Side], one: int, low: float, high: float, *, common: float) -> tuple[str, str]:
    """Return the verdict on a group, and what makes it less sure: Kaplan–Meier is too low where a queue grows in order."""
    growing, lost = [side.growing[one] for side in sides], [side.lost[one] for side in sides]
    hours = [side.numbers["blocks"][one] for side in sides]
    notes = [f"{name}: {note}" for name, note in zip(_SIDES, lost, strict=True) if note]
    bent = "a queue grows, and its quantile may be too low"
    notes += [f"{name}: {bent}" for name, grows in zip(_SIDES, growing, strict=True) if grows]
    if math.isnan(low):
        verdict = TOO_LITTLE
        few = f"; {MIN_HOURS} are needed on each side"
        why = few if min(hours) < MIN_HOURS else " that say nothing of this quantile"
        notes.append(f"{hours[0]} blocks of 1 h before and {hours[1]} after{why}")
    elif common < SAME_HOURS:
        verdict = OTHER_HOURS
        notes.append(
            f"windows differ: {common:.0%} of the jobs are in the same hours of the week; same_hours=False compares them"
        )
    else:
        verdict = SLOWER if low > 0 else FASTER if high < 0 else SAME
        bent_alone = {SLOWER: growing[0], FASTER: growing[1], SAME: False}[verdict]
        before, after = sides
        # the quantiles differ whatever the jobs with unusable times waited
        apart = after.least[one] > before.most[one] or before.least[one] > after.most[one]
        if bent_alone or (verdict != SAME and any(lost) and not apart):
            verdict = SAME
            notes.append("the difference may come from that alone")
    return verdict, "; ".join(notes)


# --- which windows ---


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
        counts = [
            replace(counted, tables={name: _created(table, *span) for name, table in counted.tables.items()})
            for span in ((begin, moment), (moment, end))
        ]
    edges = [_clock(edge) for edge in (begin, moment, end)]
    spans = {"before": edges[:2], "after": edges[1:]}
    return counts, spans, f"{remark} {edges[1]}{f' ({text})' if text else ''}"


def _created(table: pd.DataFrame, first: int, last: int) -> pd.DataFrame:
    """Return the rows of hours of creation in a span [ms]."""
    begin = hours_of(table) * HOUR_MS
    return table[(first <= begin) & (begin < last)]


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
