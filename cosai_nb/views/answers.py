"""What the report says, asked of the statistics once: sentences, tables and figures all read from here."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cosai_nb.schema import COLUMNS, Outcome
from cosai_nb.stats.backlog import backlog
from cosai_nb.stats.failures import error_pareto, failure_rates
from cosai_nb.stats.frames import check_jobs, group_columns
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.histogram_table import hour_times
from cosai_nb.stats.latency import queue_latency, run_time
from cosai_nb.stats.slices import labelled
from cosai_nb.views.queue_lines import Line, queue_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

OPTIONAL = ("tag", "queue_id", "code", "message", "input_object")
_WINDOWS = {"1h": 48, "6h": 24 * 14, "1D": 24 * 60}


@dataclass(frozen=True)
class Answers:
    """The statistics of one frame.

    Parameters
    ----------
    jobs : pandas.DataFrame
        The frame, with text columns that it lacks added as missing.
    by : tuple of str
        Columns that the report groups by; () where none is there.
    tz : str
        Display zone.
    lacking : list of str
        Names of columns that the frame does not have.
    """

    jobs: pd.DataFrame
    by: tuple[str, ...]
    tz: str
    lacking: list[str]
    histogram: DurationHistogram = field(repr=False)
    latency: pd.DataFrame = field(repr=False)
    latency_by: pd.DataFrame = field(repr=False)
    run: pd.DataFrame = field(repr=False)
    run_by: pd.DataFrame = field(repr=False)
    failures: pd.DataFrame = field(repr=False)
    failures_by: pd.DataFrame = field(repr=False)
    errors: pd.DataFrame = field(repr=False)

    @property
    def count(self) -> int:
        """Number of jobs: rows that are about a job."""
        return int(self.latency["jobs"].sum())

    @property
    def span_s(self) -> float:
        """Seconds from the first creation to the last creation, start or end; NaN where no time is known."""
        times = self.jobs[["creation_time", "start_time", "end_time"]].max().max()
        return float((times - self.jobs["creation_time"].min()) / pd.Timedelta("1s"))

    @cached_property
    def parts(self) -> dict[Any, DurationHistogram]:
        """The histogram of each group by its :func:`plain_key`, the largest first."""
        if not self.by:
            return {}
        found = [
            (plain_key(labels if len(labels) > 1 else labels[0]), part)
            for labels, part in self.histogram.groups(self.by)
        ]
        return dict(sorted(found, key=lambda pair: -pair[1].jobs))

    @cached_property
    def growing(self) -> pd.DataFrame:
        """The latency of the queues whose line grows, the longest line first; none where no line grows."""
        whole = self.latency.iloc[0]
        if not (whole["growing"] and whole["waiting"]):
            return self.latency.head(0)
        queues = queue_latency(self.jobs, by="queue_id", q=0.95)
        grow = queues[queues["growing"].astype(bool) & (queues["waiting"] > 0)]
        return grow.sort_values("waiting", ascending=False, kind="stable")

    @cached_property
    def backlogs(self) -> pd.DataFrame:
        """What waits in each queue, and when it will have started."""
        return backlog(self.jobs, by="queue_id")

    @cached_property
    def lines(self) -> dict[Any, Line]:
        """The line of each queue."""
        return queue_lines(self.jobs)

    @cached_property
    def by_hour(self) -> pd.DataFrame:
        """The jobs created in each hour, and how many of them failed."""
        hours, codes = self.histogram.coded("hour")
        counts = self.histogram.counts("total_time")
        jobs = np.bincount(counts.cell, counts.jobs, len(codes))
        failed = np.where(labelled(self.histogram.coded("outcome"), [str(Outcome.FAILED)]), jobs, 0)
        known = codes >= 0
        table = {
            name: np.bincount(codes[known], numbers[known], len(hours)).astype(np.int64)
            for name, numbers in (("jobs", jobs), ("failed", failed))
        }
        return pd.DataFrame(table, index=hour_times(hours.astype(np.int64)))

    @property
    def usable(self) -> int:
        """Number of jobs of which it is known since when, or how long, they wait."""
        return self.count - int(self.latency["unusable"].sum())

    @property
    def left_out(self) -> dict[str, int]:
        """Rows that are about a query that failed, by outcome."""
        return dict(self.latency.attrs.get("left_out", {}))


def ask(jobs: pd.DataFrame, *, by: str | Sequence[str] | None, tz: str) -> Answers:
    """Ask every statistic of the report.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column without which nothing can be said.
    """
    check_jobs(jobs, [])
    lacking = [name for name in OPTIONAL if name not in jobs.columns]
    wanted = [name for name in group_columns(by) if name not in lacking]
    check_jobs(jobs, wanted)
    if lacking:
        jobs = jobs.assign(
            **{name: pd.Series(None, index=jobs.index, dtype=_dtype(name)) for name in lacking}
        )
    grouped = tuple(wanted)
    counts = DurationHistogram.from_jobs(jobs, keys=grouped)
    latency, run, failures = queue_latency(jobs), run_time(counts), failure_rates(counts)
    return Answers(
        jobs=jobs,
        by=grouped,
        tz=tz,
        lacking=lacking + [name for name in group_columns(by) if name not in jobs.columns],
        histogram=counts,
        latency=latency,
        latency_by=queue_latency(jobs, by=grouped) if grouped else latency,
        run=run,
        run_by=run_time(counts, by=grouped) if grouped else run,
        failures=failures,
        failures_by=failure_rates(counts, by=grouped) if grouped else failures,
        errors=error_pareto(jobs),
    )


def _dtype(name: str) -> Any:
    return COLUMNS[name].dtype


def plain_key(key: Any) -> Any:
    """Return a label that is equal to itself, which NaN is not."""
    if isinstance(key, tuple):
        return tuple(map(plain_key, key))
    return None if pd.isna(key) else key


def hours_of(counts: DurationHistogram) -> int:
    """Return the hours from the first creation to the last."""
    hours = counts.coded("hour").labels
    return int(hours[-1] - hours[0]) if len(hours) else 0


def window_of(counts: DurationHistogram) -> str:
    """Return windows of creation time that are wide enough to hold failures and narrow enough to see when."""
    return next((width for width, most in _WINDOWS.items() if hours_of(counts) <= most), "7D")
