"""What the report says, asked of the statistics once: sentences, tables and figures all read from here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pandas as pd

from cosai_nb.schema import COLUMNS
from cosai_nb.stats.counts import HOURS, RECENT_MS, Counted, count_all
from cosai_nb.stats.durations import durations
from cosai_nb.stats.failures import FAULT, error_pareto, failed_jobs, failure_rates
from cosai_nb.stats.growth import queue_alarms
from cosai_nb.stats.latency import QUANTILES, Behind, latency_of, queues_behind, run_time
from cosai_nb.stats.load import Times, load_of, numbers, times_of
from cosai_nb.stats.measures import Windows, check_jobs, group_columns, milliseconds
from cosai_nb.stats.queues import eta
from cosai_nb.views.plots.text import plain, queue_names
from cosai_nb.views.wording import in_zone, label, short_id

if TYPE_CHECKING:
    from collections.abc import Sequence

OPTIONAL = ("tag", "queue_id", "code", "message", "input_object")
QUEUE, BUCKET = ("queue_id",), ("bucket",)
AUTO = "auto"
_WINDOWS = {"1h": 48, "6h": 24 * 14, "1D": 24 * 60}
_PLACES = {"queue_id": "queue", "queue_name": "queue"}


@dataclass(frozen=True, eq=False)
class Statistics:
    """What the statistics say of each group of counted jobs, asked when it is first read."""

    counted: Counted = field(repr=False)
    behind: Behind = field(repr=False)
    by: tuple[str, ...]

    @cached_property
    def latency(self) -> pd.DataFrame:
        """The queue latency, with projections."""
        return latency_of(self.counted, self.behind, self.by, QUANTILES)

    @cached_property
    def run(self) -> pd.DataFrame:
        """The run time."""
        return run_time(self.counted, by=self.by, detail=True)

    @cached_property
    def failures(self) -> pd.DataFrame:
        """The failure rates."""
        return failure_rates(self.counted, by=self.by, detail=True)

    def spread(self, measure: str) -> pd.DataFrame:
        """Return how a duration is distributed."""
        return durations(self.counted, self.by, measure=measure)


@dataclass(frozen=True, eq=False)
class Answers:
    """The statistics of one source of jobs.

    Parameters
    ----------
    jobs : pandas.DataFrame, path or JobStore
        A frame has the text columns that it lacked added as missing.
    by : tuple of str
        Columns that the report groups by; () where none is there.
    tz : str
        Display zone.
    lacking : list of str
        Names of columns that the frame does not have.
    counted : Counted
        All that is asked of counts.
    failed : pandas.DataFrame
        The jobs that failed, with what their errors are told by.
    """

    jobs: Any = field(repr=False)
    by: tuple[str, ...]
    tz: str
    lacking: list[str]
    counted: Counted = field(repr=False)
    failed: pd.DataFrame = field(repr=False)

    @cached_property
    def errors(self) -> pd.DataFrame:
        """What fails, the most common first."""
        return error_pareto(self.failed)

    @cached_property
    def whole(self) -> Statistics:
        """The statistics of all jobs."""
        return Statistics(self.counted, queues_behind(self.counted), ())

    @cached_property
    def grouped(self) -> Statistics:
        """The statistics of the report's groups, which are all jobs where it has none."""
        return replace(self.whole, by=self.by) if self.by else self.whole

    # --- how many, and when ---

    @property
    def count(self) -> int:
        """Number of jobs: rows that are about a job."""
        return int(self.whole.latency["jobs"].sum())

    @property
    def usable(self) -> int:
        """Number of jobs of which it is known since when, or how long, they wait."""
        return self.count - int(self.whole.latency["unusable"].sum())

    @property
    def as_of(self) -> Any:
        """The newest observation; NaT where there is none."""
        return self.counted.as_of

    @cached_property
    def times(self) -> Times:
        """The times between which all this happened."""
        return times_of(self.jobs)

    @property
    def span_s(self) -> float:
        """Seconds from the first creation to the last creation, start or end; NaN where no time is known."""
        return float((self.times.end - self.times.first) / pd.Timedelta("1s"))

    @cached_property
    def outcomes(self) -> dict[str, int]:
        """Number of jobs by outcome."""
        found = numbers(self.counted, "outcome")["jobs"]
        return {str(name): int(number) for name, number in found.items()}

    @cached_property
    def window(self) -> str:
        """Windows of creation time that are wide enough to hold failures and narrow enough to see when."""
        hours = (self.times.last - self.times.first) / pd.Timedelta("1h")
        return next((width for width, most in _WINDOWS.items() if not hours > most), "7D")

    @cached_property
    def clock(self) -> tuple[int, int]:
        """From when to when what is drawn over time reaches [ms]: whole windows of creation."""
        windows = Windows.of(self.window, self.tz)
        times = pd.Series([self.times.first, max(self.times.last, self.as_of)])
        first, last = windows.start(milliseconds(times)).tolist()
        return first, last + windows.width

    @property
    def windowed(self) -> Any:
        """What windows of the display zone can be cut from: the counts, where these windows begin on the hour."""
        return self.counted if Windows.of("1h", self.tz).whole_hours else self.jobs

    # --- groups and queues ---

    @cached_property
    def load_of_queues(self) -> pd.DataFrame:
        """The load of each queue in the report's windows."""
        return load_of(self.jobs, self.counted, QUEUE, Windows.of(self.window, self.tz))

    @cached_property
    def sizes(self) -> dict[tuple[str, ...], pd.DataFrame]:
        """Jobs, unfinished and unusable ones of each group, the largest first.

        By the columns that a reader may choose a group by: those of the report, queues, and buckets where there are several.
        """
        wanted = dict.fromkeys((self.by, QUEUE, BUCKET if several_buckets(self.counted) else ()))
        return {
            by: numbers(self.counted, by).sort_values("jobs", ascending=False, kind="stable")
            for by in wanted
            if by and not set(by) & set(self.lacking)
        }

    @property
    def groups(self) -> pd.Index[Any]:
        """The report's groups, the largest first; empty where it has none."""
        return self.sizes[self.by].index if self.by else pd.Index([])

    @cached_property
    def anchors(self) -> dict[tuple[tuple[str, ...], Any], str]:
        """Where each group's figures are, as part of an address: ``queue=nightly``."""
        found: dict[tuple[tuple[str, ...], Any], str] = {}
        taken: set[str] = set()
        for by, groups in self.sizes.items():
            for key in groups.index:
                where = "+".join(_PLACES.get(name, name) for name in by)
                address = anchor = f"{where}={quote(self.name(by, key), safe='')}"
                again = 2
                while anchor in taken:  # names are shown shortened, and queues may share one
                    anchor, again = f"{address}~{again}", again + 1
                taken.add(anchor)
                found[by, plain(key)] = anchor
        return found

    @cached_property
    def queue_names(self) -> dict[str, str]:
        """Names of queues by ID, as far as the jobs have them."""
        return {} if "queue_id" in self.lacking else queue_names(self.jobs)

    def name(self, by: tuple[str, ...], key: Any) -> str:
        """Return the name of a group: that of a queue, or its ID without the middle."""
        parts = key if isinstance(key, tuple) else (key,)
        named = [
            self.queue_names.get(part) or short_id(label(part)) if column == "queue_id" else part
            for column, part in zip(by, parts, strict=True)
        ]
        return " · ".join(map(label, named))

    @cached_property
    def alarms(self) -> pd.DataFrame:
        """What the queues do now, with the evidence; those that stand still or grow first, then by the number waiting."""
        table = self._told(queue_alarms(self.counted))
        alarm = table["state"].isin(["stopped", "growing"])
        order = table.assign(alarm=alarm).sort_values(["alarm", "waiting"], ascending=False, kind="stable")
        return order.drop(columns="alarm")

    @cached_property
    def starts(self) -> pd.DataFrame:
        """When each waiting job is expected to start."""
        return self._told(eta(self.counted))

    def _told(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table whose notes have their times in the display zone."""
        return table.assign(note=table["note"].map(lambda note: in_zone(note, self.tz)))

    @cached_property
    def out_of_queue(self) -> pd.Series:
        """Number of jobs by queue that wait and stand in no queue: paused ones, and those whose latest record is old."""
        out = self.starts[self.starts["place"] == 0]
        return out.groupby("queue_id", dropna=False).size()


def several_buckets(counted: Counted) -> bool:
    """Say whether jobs are of more than one bucket, as far as that was counted."""
    table = counted.tables["jobs"]
    return "bucket" in table and len(table["bucket"].unique()) > 1


def completed(jobs: Any, by: str | Sequence[str] | None) -> tuple[Any, tuple[str, ...], list[str]]:
    """Return jobs with every column that the report reads, by which of the columns they are grouped, and which were missing."""
    names, lacking = group_columns("tag" if by == AUTO else by), []
    if names == ("queue_name",) and not (
        isinstance(jobs, pd.DataFrame) and {*QUEUE, *names} - {*jobs.columns}
    ):
        names = QUEUE  # whose groups are shown by name
    if isinstance(jobs, pd.DataFrame):
        lacking = [name for name in OPTIONAL if name not in jobs.columns]
        names = tuple(name for name in names if name not in lacking)
        check_jobs(jobs, names)
        missing = {name: pd.Series(None, index=jobs.index, dtype=COLUMNS[name].dtype) for name in lacking}
        jobs = jobs.assign(**missing) if missing else jobs
    return jobs, names, lacking


def ask(jobs: Any, *, by: str | Sequence[str] | None, tz: str) -> Answers:
    """Ask every statistic of the report.

    Raises
    ------
    TypeError, FrameError, FileError
        ``jobs`` is no source of jobs, lacks a column without which nothing can be said, or cannot be read.
    """
    jobs, names, lacking = completed(jobs, by)
    one_bucket = isinstance(jobs, pd.DataFrame) and ("bucket" not in jobs or jobs["bucket"].nunique() < 2)  # noqa: PLR2004
    kept = names if one_bucket else (*names, *BUCKET)
    wanted = {
        "jobs": (*kept, "queue_id", "tag", "outcome", "code"),
        "queue_latency": (*kept, "queue_id"),
        "run_time": (*kept, "queue_id", "tag", "outcome", "code"),
        "total_time": (*kept, "queue_id", "outcome", "code"),
        **dict.fromkeys(HOURS, QUEUE),
    }
    counted = count_all(jobs, wanted, recent_ms=RECENT_MS, ids=True)
    if by == AUTO and several_buckets(counted):
        names = (*BUCKET, *names)
    return Answers(jobs, names, tz, lacking, counted, failed_jobs(jobs, (*FAULT, "queue_id", "tag")))
