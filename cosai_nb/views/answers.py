"""What the report says, asked of the statistics once: sentences, tables and figures all read from here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from cosai_nb.schema import COLUMNS
from cosai_nb.stats.backlog import backlog
from cosai_nb.stats.failures import error_pareto, failure_rates
from cosai_nb.stats.frames import check_jobs, group_columns
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.latency import queue_latency, run_time
from cosai_nb.views.queue_lines import Line, queue_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

OPTIONAL = ("tag", "queue_id", "code", "message", "input_object")


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
    latency_by_queue: pd.DataFrame = field(repr=False)
    run: pd.DataFrame = field(repr=False)
    run_by: pd.DataFrame = field(repr=False)
    failures: pd.DataFrame = field(repr=False)
    failures_by: pd.DataFrame = field(repr=False)
    failures_by_hour: pd.DataFrame = field(repr=False)
    errors: pd.DataFrame = field(repr=False)
    lines: dict[Any, Line] = field(repr=False)
    backlogs: pd.DataFrame = field(repr=False)

    @property
    def count(self) -> int:
        """Number of jobs: rows that are about a job."""
        return int(self.latency["jobs"].sum())

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
        latency_by_queue=queue_latency(jobs, by="queue_id", q=0.95),
        run=run,
        run_by=run_time(counts, by=grouped) if grouped else run,
        failures=failures,
        failures_by=failure_rates(counts, by=grouped) if grouped else failures,
        failures_by_hour=failure_rates(counts, freq="1h"),
        errors=error_pareto(jobs),
        lines=queue_lines(jobs),
        backlogs=backlog(jobs, by="queue_id"),
    )


def _dtype(name: str) -> Any:
    return COLUMNS[name].dtype
