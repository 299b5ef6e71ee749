"""The waiting lines behind the jobs, one per queue_id: whether they grow and keep order, and who stands where.

::

    read_lines(h)                growing and utilisation of each line, from a histogram
    project(jobs, measured)      fifo of each line, and the waits with each waiting job's projected one

A line is named by its queue_id, None where that is missing. The place in line is counted over the whole queue, so jobs are
projected before they are grouped by anything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from cosai_nb.schema import UNFINISHED as UNFINISHED_OUTCOMES
from cosai_nb.schema import State
from cosai_nb.stats.censoring import ENDED, UNFINISHED, Measured
from cosai_nb.stats.coding import Coded, Ints, code_labels
from cosai_nb.stats.frames import HOUR_MS, milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cosai_nb.stats.histogram import DurationHistogram

GROWTH = 0.05
"""A line grows where more than this share of the jobs created in the last hour is not matched by starts."""
ORDER = 0.95
"""Rank correlation of start order with creation order above which a line counts as served in order."""
_MINUTE_MS = 60_000
_FEWEST_STARTS = 10
_ENOUGH_STARTS = 30


class Line(NamedTuple):
    """Whether a queue grows, and how busy it is (mean ÷ largest number running on the hour, NaN where unknown)."""

    growing: bool
    utilisation: float


class Projection(NamedTuple):
    """Waits with the waiting jobs' projected ones as ENDED, and which lines are served in order (None: unknown)."""

    measured: Measured
    fifo: dict[str | None, bool | None]


def _members(column: Coded) -> Iterator[tuple[str | None, Ints]]:
    """Each label that rows have (None for a missing one), with its rows."""
    order = np.argsort(column.codes, kind="stable")
    ends = np.searchsorted(column.codes[order], np.arange(-1, len(column.labels) + 1))
    for number, label in enumerate((None, *column.labels)):
        rows = order[ends[number] : ends[number + 1]]
        if len(rows):
            yield None if label is None else str(label), rows


def read_lines(histogram: DurationHistogram) -> dict[str | None, Line]:
    """Return what the histogram says of each queue.

    Parameters
    ----------
    histogram : DurationHistogram
        All jobs; a part of a queue says little about its line.

    Returns
    -------
    dict
        By queue_id. The last hour is counted in clock hours: the one that is under way at the as-of time and the one
        before it, since that is what a histogram knows. Running jobs are counted on each full hour, exactly.
    """
    labels, codes = histogram.coded("hour")
    hour = np.append(labels, 0)[codes]
    hour[codes < 0] = np.iinfo(np.int64).min
    now = 0 if pd.isna(histogram.as_of) else int(histogram.as_of.timestamp()) // 3600
    latency, starts, ends = (histogram.counts(name) for name in ("queue_latency", "start_hour", "end_hour"))
    start_at, end_at = hour[starts.cell] + starts.value, hour[ends.cell] + ends.value
    found = {}
    for label, cells in _members(histogram.coded("queue_id")):
        mine = np.zeros(len(hour), dtype=bool)
        mine[cells] = True
        created = latency.jobs[mine[latency.cell] & (hour[latency.cell] >= now - 1)].sum()
        started = mine[starts.cell]
        ended = mine[ends.cell]
        recent = starts.jobs[started & (start_at >= now - 1)].sum()
        moments = np.concatenate((start_at[started], end_at[ended]))
        change = np.concatenate((starts.jobs[started], -ends.jobs[ended]))
        found[label] = Line(bool(created - recent > GROWTH * created), _utilisation(moments, change, now))
    return found


def _utilisation(hours: Ints, change: Ints, now: int) -> float:
    moments, place = np.unique(hours, return_inverse=True)
    running = np.cumsum(np.bincount(place, change, len(moments)))
    lasted = np.diff(np.minimum(np.append(moments, now), now))  # what the hour under way adds is not over yet
    busiest = running[lasted > 0].max(initial=0)
    if busiest <= 0 or lasted.sum() < 1:
        return float("nan")
    return float((running * lasted).sum() / lasted.sum() / busiest)


def project(jobs: pd.DataFrame, latency: Measured) -> Projection:
    """Say which lines are served in order, and for these when each waiting job will have waited how long.

    Parameters
    ----------
    jobs : pandas.DataFrame
        All jobs of the queues.
    latency : Measured
        Their ``queue_latency``, row by row.

    Returns
    -------
    Projection
        A waiting job's projected wait is its age + place in line ÷ starts per second in the last hour. Paused jobs
        do not stand in line; they stay censored, as do all jobs of a line that is not served in order.
    """
    created, started = milliseconds(jobs["creation_time"]), milliseconds(jobs["start_time"])
    now = milliseconds(jobs["observed_at"]).max(initial=np.iinfo(np.int64).min)
    waiting = (latency.kind == UNFINISHED) & is_waiting(jobs)
    kind, value = latency.kind.copy(), latency.value.copy()
    fifo: dict[str | None, bool | None] = {}
    for label, rows in _members(code_labels(jobs["queue_id"])):
        begun = rows[latency.kind[rows] == ENDED]
        recent = begun[started[begun] > now - HOUR_MS]
        in_line = rows[waiting[rows]]
        fifo[label] = _in_order(created, started, begun, now - _order_span(now - created[in_line]))
        if fifo[label] and len(in_line) and len(recent):
            span = min(HOUR_MS, now - int(started[begun].min())) / 1000
            in_line = in_line[np.argsort(created[in_line], kind="stable")]
            ahead = np.arange(1, len(in_line) + 1) * max(span, 1.0) / len(recent)
            value[in_line] += np.rint(ahead).astype(np.int64)
            kind[in_line] = ENDED
    return Projection(Measured(kind, value), fifo)


def is_waiting(jobs: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Say of each job whether it stands in line, if it has not started: not ended, not cancelled, not paused."""
    alive = jobs["outcome"].isin([str(outcome) for outcome in UNFINISHED_OUTCOMES])
    paused = jobs["state"] == str(State.PAUSE) if "state" in jobs.columns else False
    return np.asarray(alive & ~np.asarray(paused), dtype=bool)


def _order_span(ages: Ints) -> int:
    """Return how far back to look [ms]: about as long as jobs wait, for over a longer time any order looks like FIFO."""
    return int(np.clip(2 * np.median(ages), _MINUTE_MS, HOUR_MS)) if len(ages) else HOUR_MS


def _in_order(created: Ints, started: Ints, begun: Ints, since: int) -> bool | None:
    """Judge the starts since then, or the last 30 where these are fewer; None where they cannot tell."""
    recent = begun[started[begun] > since]
    if len(recent) < _ENOUGH_STARTS:
        recent = begun[np.argsort(started[begun], kind="stable")][-_ENOUGH_STARTS:]
    if len(recent) < _FEWEST_STARTS:
        return None
    ranks = [pd.Series(times[recent]).rank().to_numpy() for times in (created, started)]
    first, second = (rank - rank.mean() for rank in ranks)
    scale = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return None if scale == 0 else bool((first * second).sum() / scale > ORDER)
