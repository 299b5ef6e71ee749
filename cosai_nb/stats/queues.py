"""The queues now: when each waiting job will start, and when a queue will be empty.

::

    eta(jobs)               when each waiting job is expected to start and to end
    backlog(jobs)           how many jobs wait and run, and when a queue will be empty

Starts to come are those of :func:`cosai_nb.stats.projection.project`; whether a queue grows is in :mod:`cosai_nb.stats.growth`.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cosai_nb.errors import FrameError, SettingsError
from cosai_nb.stats.counts import NO_HOUR, RECENT_MS, Groups, count_all, hours_of, unusable_of
from cosai_nb.stats.durations import curves_of
from cosai_nb.stats.growth import QUEUE_KEYS, until
from cosai_nb.stats.measures import (
    HOUR_MS,
    MISSING,
    UNFINISHED,
    group_columns,
    milliseconds,
    moments,
    width_ms,
)
from cosai_nb.stats.order import FEWEST, Jobs
from cosai_nb.stats.projection import project
from cosai_nb.stats.rate import steady_since
from cosai_nb.stats.short_table import read_first
from cosai_nb.stats.survival import quantiles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from cosai_nb.stats.counts import Counted
    from cosai_nb.stats.measures import Floats, Ints

_BINS = 20  # a batch comes within one of these parts of the time that rates are taken from
_OUT_OF_QUEUE = "paused: it stands in no queue"
_STALE = "stale: not observed for 30 minutes while others were"
_OVERDUE = "expected to start before the newest record: query again"


# --- when each job starts ---


def eta(jobs: Any, *, level: float = 0.8) -> pd.DataFrame:
    """Return when each waiting job is expected to start and to end.

    Parameters
    ----------
    jobs : pandas.DataFrame, path or JobStore
        One row per job, of all jobs of the queues: a job's place is counted over the whole queue.
    level : float
        Chance that the intervals are to hold.

    Returns
    -------
    pandas.DataFrame
        One row per waiting job, the next to start of each queue first: ``job_id``, ``queue_id``; ``place`` in its queue (of jobs
        created in one second the first of theirs), 0 where it is in none; ``start_expected`` (for these the middle),
        ``start_low``, ``start_high``; ``end_expected``, ``end_low``, ``end_high``: the start and a quantile of the run times of
        its tag; NaT where it cannot be known; ``note``: why.

    Raises
    ------
    TypeError, FrameError, FileError
        ``jobs`` is no source of single jobs, lacks a column, or cannot be read.
    SettingsError
        ``level`` does not lie between 0 and 1.

    Examples
    --------
    >>> import pandas as pd
    >>> import cosai_nb as cn
    >>> minutes = pd.date_range("2026-11-01T10:00:00+0800", periods=60, freq="1min").strftime("%Y-%m-%dT%H:%M:%S%z")
    >>> texts = pd.DataFrame({"JobId": [f"j{n}" for n in range(30)], "State": ["Success"] * 25 + ["Submitted"] * 5,
    ...     "QueueId": "q1", "Tag": "Translation", "CreationTime": minutes[:30],
    ...     "StartTime": [*minutes[10:35], *["-"] * 5], "EndTime": [*minutes[11:36], *["-"] * 5]})
    >>> waiting = cn.eta(cn.add_timings(texts, observed_at="2026-11-01T02:35:00Z"))
    >>> waiting.loc[:1, ["job_id", "place", "start_expected"]]
      job_id  place            start_expected
    0    j25      1 2026-11-01 02:36:01+00:00
    1    j26      2 2026-11-01 02:37:02+00:00
    """
    if not (isinstance(level, int | float | np.number) and 0 < level < 1):
        raise SettingsError(f"level={level!r} must be a chance between 0 and 1, such as 0.8.")
    counted = count_all(jobs, {"run_time": ("tag",)}, recent_ms=RECENT_MS, ids=True)
    if counted.recent is None:
        raise FrameError(
            "A histogram holds no single jobs, so that no place in a queue is known: pass the jobs frame."
        )
    plan = project(counted.recent)
    recent = counted.recent.reindex(columns=["job_id", "queue_id", "tag", "kind", "observed_at"])
    wanted = np.flatnonzero(recent["kind"] == UNFINISHED)
    recent, plan = recent.iloc[wanted], plan.of_rows(wanted)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    middle = (plan.first + plan.last) / 2  # in which order those of one second start is not known
    ways = plan.wait_on(0.0, middle), plan.wait_on(-z, plan.first), plan.wait_on(z, plan.last)
    begins = [milliseconds(recent["observed_at"]) + 1000 * way for way in ways]
    run = _run_times(counted, recent, (0.5, (1 - level) / 2, (1 + level) / 2))
    ends = [start + 1000 * seconds for start, seconds in zip(begins, run.T, strict=True)]
    frame = pd.DataFrame(
        {
            "job_id": recent["job_id"].to_numpy(dtype=object, na_value=np.nan),
            "queue_id": recent["queue_id"].astype(object).to_numpy(),
            "place": plan.first,
        }
    )
    names = ("start_expected", "start_low", "start_high", "end_expected", "end_low", "end_high")
    for name, moment in zip(names, (*begins, *ends), strict=True):
        known = ~np.isnan(plan.work) & np.isfinite(moment)
        frame[name] = moments(np.where(known, np.nan_to_num(moment), MISSING))
    note = np.where(plan.stale, _STALE, np.where(plan.place > 0, plan.note, _OUT_OF_QUEUE))
    overdue = (frame["start_expected"] < counted.as_of) & (note == "")
    frame["note"] = pd.array(np.where(overdue, _OVERDUE, note), dtype="str")
    return read_first(frame.sort_values(["queue_id", "place"], kind="stable", ignore_index=True))


def _run_times(counted: Counted, rows: pd.DataFrame, shares: tuple[float, ...]) -> Floats:
    """Return quantiles of the run times of each row's tag, NaN where no job of that tag has ended."""
    table = counted.table
    groups = Groups.of(table, ("tag",))
    found = quantiles(curves_of(table, groups.of_row, groups.number), shares)
    return np.vstack((found, np.full((1, len(shares)), np.nan)))[groups.place(rows)]


# --- how long the queue is now ---


def backlog(
    jobs: Any,
    *,
    by: str | Sequence[str] | None = None,
    recent: str | timedelta = "1h",
) -> pd.DataFrame:
    """Return how many jobs wait and run at the as-of time, and when the queue will be empty.

    Parameters
    ----------
    jobs : pandas.DataFrame, path, JobStore or DurationHistogram
        One row per job; or their histogram, which knows no recent rates.
    by : str or list of str, optional
        Columns to group by.
    recent : str or timedelta
        The time before the as-of time that rates are taken from; no longer than the jobs go back, and only since the
        arrivals last changed, or since the batch in which most of them came.

    Returns
    -------
    pandas.DataFrame
        One row per group (index as in :func:`cosai_nb.queue_latency`): ``waiting`` (in a queue: a frame tells paused jobs and
        stale records apart, which ``note`` counts), ``running``; ``arrival_rate`` and
        ``start_rate`` [jobs per second], NaN where not known: where jobs wait, that at which their queues start them while
        they are not empty; ``eta_s`` [seconds]: waiting ÷ (start rate − arrival rate), ``inf`` where that is not positive,
        which ``note`` calls not clearing; ``drain_s``: when the last of those that wait is projected to start, or waiting ÷
        start rate, if nothing more arrives; ``as_of``; ``note``.

    Raises
    ------
    TypeError, FrameError, FileError
        ``jobs`` is no source of jobs, lacks a column, or cannot be read.
    SettingsError
        ``recent`` is no width of time.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": ["Submitted", "Success"], "QueueId": "q1", "Tag": "Translation",
    ...     "CreationTime": "2026-11-01T10:00:00+0800", "StartTime": ["-", "2026-11-01T10:00:07+0800"], "EndTime": ["-", "2026-11-01T10:00:09+0800"]})
    >>> jobs = cn.add_timings(texts, observed_at="2026-11-01T03:00:00Z")
    >>> cn.backlog(jobs, by="queue_id")[["waiting", "running"]]
              waiting  running
    queue_id
    q1              1        0
    """
    names, span = group_columns(by), width_ms(recent, "recent")
    counted = count_all(jobs, dict.fromkeys(QUEUE_KEYS, names), recent_ms=max(span, RECENT_MS))
    groups = Groups.of(counted.tables["jobs"], names)
    now = NO_HOUR if pd.isna(counted.as_of) else int(counted.as_of.timestamp()) // 3600
    arrived, started, ended, left = (
        groups._replace(of_row=groups.place(table)).sum(table["jobs"], until(table, now))
        for table in counted.tables.values()
    )
    (arrival, start, last), outside, remarks = _recent_rates(counted, groups, span)
    waiting = np.maximum(arrived - started - left - outside, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        eta = np.where(
            start > arrival, waiting / (start - arrival), np.where(np.isnan(start), np.nan, np.inf)
        )
        drain = np.where(np.isnan(last), np.where(start == 0, np.inf, waiting / start), last)
    drain, eta = (np.where(waiting == 0, 0.0, one) for one in (drain, eta))
    notes = []
    for number, rate, end, lost, told in zip(
        waiting, start, eta, unusable_of(groups, counted.tables["jobs"])[1], remarks, strict=True
    ):
        outlook = "not clearing" if np.isinf(end) else ""
        if counted.recent is None:
            outlook = "recent rates need single jobs: pass the jobs frame"
        elif number and np.isnan(rate):
            outlook = "all jobs were created at the as-of time: there are no rates yet"
        notes.append("; ".join(filter(None, (outlook, lost, *told))))
    frame = pd.DataFrame(
        {
            "waiting": waiting,
            "running": started - ended,
            "arrival_rate": arrival,
            "start_rate": start,
            "eta_s": eta,
            "drain_s": drain,
            "as_of": pd.DatetimeIndex([counted.as_of] * groups.number, dtype="datetime64[ms, UTC]"),
            "note": pd.array(notes, dtype="str"),
        }
    ).set_axis(groups.rows)
    frame.attrs["left_out"] = counted.left_out
    return read_first(frame)


def _recent_rates(counted: Counted, groups: Groups, span: int) -> tuple[Floats, Ints, list[list[str]]]:
    """Return of each group arrivals and starts per second, in how many seconds the last that waits starts; how many stand in no queue; remarks."""
    rates, outside = np.full((3, groups.number), np.nan), np.zeros(groups.number, dtype=np.int64)
    arrival, start, last = rates
    notes: list[list[str]] = [[] for _ in range(groups.number)]
    if counted.recent is None or not len(counted.recent):
        return rates, outside, notes
    jobs, plan, group = Jobs.of(counted.recent), project(counted.recent), groups.place(counted.recent)
    outside = np.bincount(group[plan.outside], minlength=groups.number)
    hours = hours_of(counted.tables["jobs"])
    older = (hours != NO_HOUR) & (hours < (jobs.origin - span) // HOUR_MS)
    since, known = -span / 1000, jobs.created[jobs.in_queue]
    if len(known) and not older.any():
        since = max(since, float(known.min()))
    if since >= 0:
        return rates, outside, notes
    observed = jobs.started(since, 0.0) / -since
    start[:] = np.bincount(group, np.where(np.isnan(plan.rate), observed, plan.rate), groups.number)
    arrived = jobs.in_queue & (jobs.created > since) & (jobs.created <= 0)
    until_start = jobs.seen + plan.ahead
    for one in range(groups.number):
        mine = np.flatnonzero(group == one)
        arrival[one] = _arrival_rate(np.sort(jobs.created[mine[arrived[mine]]]) - since, -since)
        notes[one] += plan.notes_of(mine)
        mine = mine[plan.place[mine] > 0]
        if plan.stuck[mine].any():
            last[one] = np.inf
            start[one] = 0.0 if plan.stuck[mine].all() else start[one]
        elif len(mine) and not np.isnan(plan.work[mine]).any():
            last[one] = max(until_start[mine].max(), 0.0)
            notes[one] += [_OVERDUE] if until_start[mine].max() < 0 else []
    return rates, outside, notes


def _arrival_rate(came: Floats, now: float) -> float:
    """Return the rate of arrivals since they last changed; where most came within one batch, since then."""
    begin, width = 0.0, now / _BINS
    each = np.bincount((came / width).astype(np.int64).clip(max=_BINS - 1), minlength=_BINS)
    if len(came) >= FEWEST and each[:-1].max() > len(came) / 2:
        begin = width * (int(each.argmax()) + 1)
    came, span = came[came > begin] - begin, now - begin
    cut, zero, _ = steady_since(came, span, 1.0)
    # what comes in the newest second alone has no rate: that of the whole span holds
    return (len(came) - cut) / (span - zero) if zero < span else len(came) / span
