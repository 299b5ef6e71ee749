"""How long jobs wait and how long they run: quantiles that count the jobs that have not finished.

A quantile is given four times, as long as there are unfinished jobs: ``lower_bound`` takes their ages for final,
``estimate`` is Kaplan–Meier with them right-censored, ``projection`` adds the place in line ÷ recent start rate where
the line is served in order, and the headline is the projection where such a line grows (there Kaplan–Meier was
25 % low and the projection 2 % high) and the estimate otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cosai_nb.schema import UNFINISHED as UNFINISHED_OUTCOMES
from cosai_nb.stats.censoring import ENDED, UNFINISHED, UNUSABLE, measure_jobs, only_jobs
from cosai_nb.stats.coding import Counts
from cosai_nb.stats.frames import group_columns
from cosai_nb.stats.histogram import DurationHistogram, as_histogram
from cosai_nb.stats.lines import project, read_lines
from cosai_nb.stats.quantiles import (
    Group,
    columns_of,
    make_table,
    name_of,
    quantile_columns,
    quantiles,
    read_shares,
    split_groups,
    window_columns,
)
from cosai_nb.stats.slices import labelled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

QUANTILES = (0.5, 0.9, 0.95, 0.99)
NEEDS_JOBS = "estimate (single jobs needed for a projection)"


def queue_latency(
    jobs: pd.DataFrame | DurationHistogram,
    by: str | Sequence[str] | None = None,
    q: float | Sequence[float] = QUANTILES,
) -> pd.DataFrame:
    """Return quantiles of the time from creation to start, waiting jobs counted.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job, or their histogram, which lacks the order of single jobs: ``fifo`` and the projection are
        missing then.
    by : str or list of str, optional
        Columns (keys of the histogram) to group by; ``hour`` is the hour of creation.
    q : float or sequence of float
        Quantiles between 0 and 1; 0.95 gives the columns ``p95…``.

    Returns
    -------
    pandas.DataFrame
        One row per group (index: its labels; ``all`` without ``by``), a missing label being a group.

        ================= ========================================================================
        jobs, waiting     number of jobs; of these not started and not given up
        unusable          jobs whose times are missing or reversed: in ``jobs``, in no quantile
        growing           a line of the group grew by more than 5 % of its arrivals in the last hour
        fifo              its lines are served in order (rank correlation > 0.95); NA where unknown
        method            what the headline is: ``projection``, or ``estimate``
        p95               headline [seconds]; ``inf`` where not reached, NaN where there are no jobs
        p95_low, _high    95 % interval of the headline, block bootstrap; NaN below 14 blocks
        p95_lower_bound   ages taken as final waits: never above the truth
        p95_estimate      Kaplan–Meier
        p95_projection    with the projected waits; NaN where ``fifo`` does not hold
        utilisation       of the busiest line: mean ÷ largest number running on the hour
        blocks            blocks of hours (of 6 h where utilisation > 0.9) with jobs
        as_of, from, to   newest observed_at; first hour of creation, end of the last
        note              what to bear in mind
        ================= ========================================================================

        ``attrs["left_out"]`` counts the rows that are no jobs.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.

    Notes
    -----
    A quantile is the first whole second that at most ``1 − q`` of the jobs outlast (the service's clock ticks in seconds).

    Examples
    --------
    >>> import pandas as pd
    >>> import cosai_nb as cn
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": ["Success", "Submitted"], "QueueId": "q1",
    ...     "Tag": "Translation", "CreationTime": "2026-11-01T10:00:00+0800",
    ...     "StartTime": ["2026-11-01T10:00:07+0800", "-"], "EndTime": ["2026-11-01T10:00:09+0800", "-"]})
    >>> jobs = cn.add_timings(texts, observed_at="2026-11-01T02:01:00Z")
    >>> cn.queue_latency(jobs)[["jobs", "waiting", "p50", "p95", "p95_lower_bound"]]
         jobs  waiting  p50  p95  p95_lower_bound
    all     2        1  7.0  inf             60.0
    """
    names, shares = group_columns(by), read_shares(q)
    whole, projected, fifo = _with_projection(jobs, names)
    rows = []
    for group in groups_of(whole, names, "queue_latency", fifo):
        row: dict[str, Any] = {
            "jobs": group.jobs.jobs,
            "waiting": group.waiting,
            "unusable": jobs_of_kind(group.jobs, "queue_latency", UNUSABLE),
        }
        row |= {"growing": group.growing, "fifo": group.fifo, "method": "estimate"}
        notes: list[str] = []
        if group.growing and group.waiting:
            row["method"], note = _judge(fifo=group.fifo, single_jobs=projected is not None)
            notes.append(note)
        elif projected is None:
            notes.append("fifo and projection need single jobs: pass the jobs frame")
        head = projected[group.labels] if row["method"] == "projection" and projected else group.jobs
        row |= quantile_columns(group, "queue_latency", shares, head=head, notes=notes)
        ahead = [np.nan] * len(shares)
        if projected and group.fifo:
            ahead = quantiles(projected[group.labels].curve("queue_latency"), shares)
        row |= {f"{name_of(share)}_projection": seconds for share, seconds in zip(shares, ahead, strict=True)}
        rows.append((group.labels, row | window_columns(group, notes)))
    columns = {"jobs": "int64", "waiting": "int64", "unusable": "int64", "growing": "bool", "fifo": "boolean"}
    kinds = ("", "_low", "_high", "_lower_bound", "_estimate", "_projection")
    return make_table(rows, columns_of(columns, shares, kinds), names, whole.left_out)


def run_time(
    jobs: pd.DataFrame | DurationHistogram,
    by: str | Sequence[str] | None = None,
    q: float | Sequence[float] = QUANTILES,
) -> pd.DataFrame:
    """Return quantiles of the time from start to end, running jobs counted.

    Parameters
    ----------
    jobs, by, q
        As in :func:`queue_latency`.

    Returns
    -------
    pandas.DataFrame
        As :func:`queue_latency`, over the jobs that started: ``jobs, running, unusable, method``, the quantiles
        (``p95``, ``p95_low``, ``p95_high``, ``p95_lower_bound``, ``p95_estimate``), ``utilisation``, ``blocks``,
        ``as_of``, ``from``, ``to``, ``note``. A running job is right-censored at ``observed_at − start_time``;
        the headline is always the estimate.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.
    """
    names, shares = group_columns(by), read_shares(q)
    whole = as_histogram(jobs, names)
    rows = []
    for group in groups_of(whole, names, "run_time", {}):
        notes: list[str] = []
        ended, running, lost = (
            jobs_of_kind(group.jobs, "run_time", kind) for kind in (ENDED, UNFINISHED, UNUSABLE)
        )
        row: dict[str, Any] = {"jobs": ended + running + lost, "running": running, "unusable": lost}
        row["method"] = "estimate"
        row |= quantile_columns(group, "run_time", shares, head=group.jobs, notes=notes)
        rows.append((group.labels, row | window_columns(group, notes)))
    columns = {"jobs": "int64", "running": "int64", "unusable": "int64"}
    kinds = ("", "_low", "_high", "_lower_bound", "_estimate")
    return make_table(rows, columns_of(columns, shares, kinds), names, whole.left_out)


def _with_projection(
    jobs: pd.DataFrame | DurationHistogram, names: tuple[str, ...]
) -> tuple[DurationHistogram, dict[tuple[Any, ...], DurationHistogram] | None, dict[str | None, bool | None]]:
    """Return the histogram and, with single jobs, each group's with projected waits and the lines' order."""
    if isinstance(jobs, DurationHistogram):
        return as_histogram(jobs, names), None, {}
    kept, left_out = only_jobs(jobs, names)
    measured = measure_jobs(kept)
    whole = DurationHistogram.from_measured(kept, measured, keys=names, left_out=left_out)
    waits, fifo = project(kept, measured["queue_latency"])
    projected = whole
    if any(fifo.values()) and (waits.kind != measured["queue_latency"].kind).any():
        projected = DurationHistogram.from_measured(kept, {"queue_latency": waits}, keys=names)
    return whole, dict(split_groups(projected, names, ("queue_latency",))), fifo


def groups_of(
    whole: DurationHistogram, names: tuple[str, ...], measure: str, fifo: Mapping[str | None, bool | None]
) -> Iterator[Group]:
    """Yield each group with what is known of the lines that its jobs stand in."""
    lines = read_lines(whole)
    for labels, part in split_groups(whole, names, tuple({"queue_latency", measure})):
        queues, codes = part.coded("queue_id")
        waiting = _waiting_rows(part)
        cells = np.zeros(len(codes), dtype=bool)
        cells[waiting.cell] = True
        if not cells.any():
            cells[:] = True  # nobody waits: the lines that its jobs came through
        mine = [None if code < 0 else str(queues[code]) for code in np.unique(codes[cells])]
        told = (fifo.get(line) for line in mine)
        orders = [order for order in told if order is not None]  # jobs of the other lines stay censored
        known = [lines[line].utilisation for line in mine if not np.isnan(lines[line].utilisation)]
        growing = any(lines[line].growing for line in mine)
        yield Group(
            labels,
            part,
            int(waiting.jobs.sum()),
            growing,
            fifo=all(orders) if orders else None,
            utilisation=max(known, default=float("nan")),
        )


def _waiting_rows(part: DurationHistogram) -> Counts:
    """Return the counts of the jobs that still wait; those that gave up are censored too, and not among them."""
    counts = part.counts("queue_latency")
    alive = labelled(part.coded("outcome"), [str(outcome) for outcome in UNFINISHED_OUTCOMES])
    rows = (counts.kind == UNFINISHED) & alive[counts.cell]
    return Counts(*(column[rows] for column in counts))


def jobs_of_kind(part: DurationHistogram, measure: str, kind: int) -> int:
    """Return how many jobs are in one class of a measure."""
    counts = part.counts(measure)
    return int(counts.jobs[counts.kind == kind].sum())


def _judge(*, fifo: bool | None, single_jobs: bool) -> tuple[str, str]:
    """Return what the headline of a growing line is, and what to say about it."""
    if fifo:
        return "projection", "the estimate is too low: a line that is served in order grows"
    if not single_jobs:
        return NEEDS_JOBS, "a line grows: if it is served in order, the estimate is too low"
    if fifo is None:
        return "estimate", "a line grows, and too few jobs started to tell whether it is served in order"
    return (
        "estimate",
        "a line grows that is not served in order: if it goes on growing, the estimate is too low",
    )
