"""What is other than before: queue latency, failure rate and throughput of every group on two sides, each with a verdict.

::

    changes(before, after, by, …) one row a measure and group: both values, the interval of their difference, verdict
    only_in(one, other, key)      labels that one side has and the other has not, with their jobs

The verdict on the queue latency is that of :func:`cosai_nb.compare`. The others are made alike: the interval of a difference,
as wide as the hours of creation are alike, excludes 0 or does not; windows of other hours of the week are not compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cosai_nb.schema import Outcome
from cosai_nb.stats.compare import OTHER_HOURS, SAME, SAME_HOURS, TOO_LITTLE, compare
from cosai_nb.stats.counts import NO_HOUR, RECENT_MS, Groups, count_all, counted_by, hours_of
from cosai_nb.stats.failures import failure_rates
from cosai_nb.stats.growth import QUEUE_KEYS
from cosai_nb.stats.intervals import MIN_HOURS, cosines_of, errors, p_values, student
from cosai_nb.stats.latency import latency_of, queues_behind
from cosai_nb.stats.measures import group_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cosai_nb.stats.counts import Counted
    from cosai_nb.stats.latency import Behind
    from cosai_nb.stats.measures import Floats, Ints

LATENCY, FAILURES, THROUGHPUT = "queue latency p95", "failure rate", "throughput"
ROSE, FELL = "rose", "fell"
NEEDED_KEYS = ("queue_id", "outcome", "code")
"""What must be known of each side beside the columns that are grouped by."""
_P95 = 0.95
_KNOWN = ("", "_low", "_high", "_lower_bound", "_estimate")
_WEEK = 168


def changes(before: Counted, after: Counted, *groupings: Sequence[str]) -> list[pd.DataFrame]:
    """Return what differs between the jobs of two sides, by measure and group.

    Parameters
    ----------
    before, after : Counted or DurationHistogram
        The jobs of two windows that do not overlap, by these columns and :data:`NEEDED_KEYS`.
    *groupings : sequence of str
        Columns to group by, for each table that is returned.

    Returns
    -------
    list of pandas.DataFrame
        One row per measure and group of either side: ``what``, ``by``, ``key`` (the group's label), ``before`` and ``after``
        [seconds, shares, jobs created an hour], each with ``_low`` and ``_high`` (none of a throughput, which is counted) and, of
        the latency, ``_lower_bound`` and ``_estimate``; ``difference`` with ``low, high`` (its 95 % interval), ``p_value``,
        ``verdict``, ``note``, ``jobs_before`` and ``jobs_after``. ``attrs["hours_in_common"]`` is that of ``compare``.

    Notes
    -----
    A difference of rates has the interval that both sides' make (MOVER: Zou and Donner 2008). Throughputs are compared hour of
    the week by hour of the week, in those that both sides cover: what comes back every week is in both and cancels.
    """
    labels = [name for by in groupings for name in group_columns(tuple(by))]
    keys = tuple(dict.fromkeys((*labels, *NEEDED_KEYS)))
    latency = tuple(dict.fromkeys((*labels, "queue_id")))
    wanted = {**QUEUE_KEYS, "jobs": keys, "run_time": keys, "queue_latency": latency}
    sides = [count_all(side, wanted, recent_ms=RECENT_MS) for side in (before, after)]
    behind = [queues_behind(side) for side in sides]
    return [_changes(sides, behind, tuple(by)) for by in groupings]


def _changes(sides: list[Counted], behind: list[Behind], names: tuple[str, ...]) -> pd.DataFrame:
    compared = compare(sides[0], sides[1], by=names or None, detail=True)
    common = float(compared["hours_in_common"].iloc[0])
    both = _Both.of(sides, compared.index, names)
    parts = {
        LATENCY: _latency(sides, behind, both, compared),
        FAILURES: _failures(sides, both, common),
        THROUGHPUT: _throughput(both, common),
    }
    number = {name: compared[name].to_numpy() for name in ("jobs_before", "jobs_after")}
    told = [pd.DataFrame({"what": what, **columns, **number}) for what, columns in parts.items()]
    group: dict[str, Any] = {"by": [names] * len(compared), "key": list(compared.index)}
    table = pd.concat([part.assign(**group) for part in told], ignore_index=True)
    table.attrs["hours_in_common"] = common
    return table


class _Both(NamedTuple):
    """The groups of both sides, and which group of each side a row of the table is (−1: none)."""

    tables: list[pd.DataFrame]
    groups: list[Groups]
    places: list[Ints]

    @classmethod
    def of(cls, sides: list[Counted], index: pd.Index[Any], names: tuple[str, ...]) -> _Both:
        tables = [side.tables["jobs"] for side in sides]
        groups = [Groups.of(table, names) for table in tables]
        rows = index.to_frame(index=False)
        return cls(tables, groups, [one.place(rows) for one in groups])

    def placed(self, frames: list[pd.DataFrame], columns: Sequence[str]) -> list[list[Floats]]:
        """Return columns of each side's table in the order of the rows; NaN where a side lacks the group."""
        return [
            [np.append(frame[name].to_numpy(dtype=np.float64), np.nan)[place] for name in columns]
            for frame, place in zip(frames, self.places, strict=True)
        ]


def _values(sides: list[list[Floats]]) -> dict[str, Any]:
    """Return what is known of the value of both sides as columns."""
    return {
        f"{name}{what}": column
        for name, columns in zip(("before", "after"), sides, strict=True)
        for what, column in zip(_KNOWN, columns, strict=False)
    }


def _latency(
    sides: list[Counted], behind: list[Behind], both: _Both, compared: pd.DataFrame
) -> dict[str, Any]:
    names = both.groups[0].names
    told = [latency_of(side, queues, names, (_P95,)) for side, queues in zip(sides, behind, strict=True)]
    taken = ("difference", "low", "high", "p_value", "verdict", "note")
    return _values(both.placed(told, [f"p95{what}" for what in _KNOWN])) | {
        name: compared[name].array for name in taken
    }


def _failures(sides: list[Counted], both: _Both, common: float) -> dict[str, Any]:
    rates = [failure_rates(side, by=both.groups[0].names or None, detail=True) for side in sides]
    (rate_1, low_1, high_1, hours_1), (rate_2, low_2, high_2, hours_2) = both.placed(
        rates, ("rate", "low", "high", "blocks")
    )
    difference = rate_2 - rate_1
    low = difference - np.hypot(rate_2 - low_2, high_1 - rate_1)
    high = difference + np.hypot(high_2 - rate_2, rate_1 - low_1)
    hours = np.fmin(hours_1, hours_2)
    known = (hours >= MIN_HOURS) & ~np.isnan(difference)
    values = _values([[rate_1, low_1, high_1], [rate_2, low_2, high_2]])
    return values | _judged(difference, low, high, cosines_of(hours), known, common)


def _throughput(both: _Both, common: float) -> dict[str, Any]:
    """Compare how many jobs were created an hour, in the hours of the week that both sides cover."""
    series, covers, first = [], np.ones(_WEEK, dtype=bool), 0
    for table, groups, place in zip(both.tables, both.groups, both.places, strict=True):
        hour = hours_of(table)
        known = hour[hour != NO_HOUR]
        # the first and the last hour may be parts of hours
        first, last = (int(known.min()) + 1, int(known.max())) if len(known) else (0, 0)
        inside = (hour >= first) & (hour < last)
        cell = groups.of_row[inside] * _WEEK + hour[inside] % _WEEK
        jobs = np.bincount(cell, table["jobs"].to_numpy()[inside], groups.number * _WEEK)
        times = np.bincount(np.arange(first, last) % _WEEK, minlength=_WEEK)
        covers &= times > 0
        mean = jobs.reshape(-1, _WEEK) / np.maximum(times, 1)
        series.append(np.vstack([mean, np.zeros(_WEEK)])[place])
    slots = (first + np.arange(_WEEK)) % _WEEK  # as they followed each other
    slots = slots[covers[slots]]
    before, after = (one[:, slots].sum(axis=1) / max(len(slots), 1) for one in series)
    rows, difference = len(before), after - before
    off = ((series[1] - series[0])[:, slots] - difference[:, None]) / max(len(slots), 1)
    found = errors(off.ravel(), np.tile(slots, rows), np.full(rows, len(slots)))
    reach = found.error * student(found.freedom)
    known = ~np.isnan(reach)
    values = _values([[np.where(known, side, np.nan)] for side in (before, after)])
    return values | _judged(difference, difference - reach, difference + reach, found.freedom, known, common)


def _judged(
    difference: Floats, low: Floats, high: Floats, freedom: Floats, known: Any, common: float
) -> dict[str, Any]:
    """Return a difference with its interval, p-value and verdict."""
    with np.errstate(invalid="ignore", divide="ignore"):
        reach = np.where(difference > 0, difference - low, high - difference)
        beyond = np.abs(difference) / reach * student(freedom)
        p_value = p_values(lambda level: student(freedom, level) < beyond, len(beyond))
    verdict = np.where(low > 0, ROSE, np.where(high < 0, FELL, SAME))
    verdict = np.where(known, verdict if not common < SAME_HOURS else OTHER_HOURS, TOO_LITTLE)
    return {
        "difference": difference,
        "low": np.where(known, low, np.nan),
        "high": np.where(known, high, np.nan),
        "p_value": np.where(known, p_value, np.nan),
        "verdict": verdict,
        "note": "",
    }


def only_in(one: Counted, other: Counted, key: str) -> pd.Series[Any]:
    """Return the labels of a key that jobs of one side have and none of the other, with their jobs; of codes the failures."""
    sides = []
    for side in (one, other):
        table = counted_by(side, (key, "outcome"), "total_time").tables["total_time"]
        chosen = table["outcome"] == str(Outcome.FAILED) if key == "code" else table["jobs"] > 0
        jobs = table[chosen.to_numpy()].groupby(key, observed=True)["jobs"].sum()
        sides.append(jobs)
    return sides[0][~sides[0].index.isin(sides[1].index)].sort_values(ascending=False, kind="stable")
