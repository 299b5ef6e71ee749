"""What the explorer draws from: jobs counted once, the few single ones that a view shows, and pages of their list."""

from __future__ import annotations

import dataclasses
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cosai_nb.errors import FrameError
from cosai_nb.schema import COLUMNS, Outcome
from cosai_nb.stats.counts import RECENT_MS, SAVED, Counted, Counter, batches, count_all, only_jobs
from cosai_nb.stats.failures import failed_jobs
from cosai_nb.stats.histogram import KEYS, choose
from cosai_nb.stats.latency import Behind, queues_behind
from cosai_nb.stats.load import longest_jobs, numbers
from cosai_nb.stats.measures import NEEDED
from cosai_nb.stats.queues import eta
from cosai_nb.table.parquet import schema_of
from cosai_nb.table.scan import fragments
from cosai_nb.views.plots.text import queue_names
from cosai_nb.views.selection import CALENDAR, has_label
from cosai_nb.views.wording import WEEKDAYS, duration, label, moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cosai_nb.stats.measures import Flags, Ints
    from cosai_nb.views.selection import Label, Selection

SOMETIMES = ("bucket", "input_lang", "target_lang")
"""Columns that are filtered and grouped by where jobs have them: a bucket where there are several."""
MOST_LABELS = 50
"""Values of a column of one's own that can be filtered by."""
_LABELS = KEYS[1:]
_SHOWN = ("job_id", "tag", "outcome", "code", "message", "creation_time")
LISTED = ("job_id", "tag", "queue_id", "outcome", "code", "creation_time", "queue_latency_s", "run_time_s")
"""Columns of the list of jobs."""
_SEARCHED = ("job_id", "tag", "queue_id", "outcome", "code", "message")
PAGE = 50
_MOST = 20
MOST_STEPPED = 100_000
"""Jobs whose load is counted moment by moment; of more, on full hours, which costs the same for any number."""
_REMEMBERED = 16
_RESERVED = ("self", "start", "end", "by", "q", "tab", "tz", "time", "job_id", "class", "seconds", "jobs")
"""Names that an argument or the counts have."""
_NO_SINGLE = "A histogram knows no single jobs: this view needs the jobs frame."


@dataclasses.dataclass(frozen=True)
class Listing:
    """Which page of the list of jobs is shown: how it is sorted, and what a job must hold."""

    sort: str = "creation_time"
    ascending: bool = False
    text: str = ""
    page: int = 0

    def changed(self, asked: Mapping[str, Any]) -> Listing:
        """Return what a page asks for instead."""
        known = {**dataclasses.asdict(self), **asked}
        sort = known["sort"] if known["sort"] in LISTED else Listing.sort
        return Listing(sort, bool(known["ascending"]), str(known["text"]), max(int(known["page"]), 0))

    def order_of(self, column: str) -> str:
        """Return ascending or descending where the list is sorted by this column, else none."""
        if column != self.sort:
            return "none"
        return "ascending" if self.ascending else "descending"


class Sources:
    """Jobs, ready to be selected from quickly.

    Parameters
    ----------
    jobs : pandas.DataFrame, path, JobStore or DurationHistogram
        One row per job, or their histogram. Of a frame that lacks a column nothing can be shown: every view raises the error
        that says so.

    Attributes
    ----------
    jobs : pandas.DataFrame, path, JobStore or DurationHistogram
        What was given.
    single : bool
        Whether single jobs are known.
    columns : tuple of str
        What can be filtered and grouped by.
    refused : dict of str to str
        Columns of one's own that cannot, and why.
    names : dict of str to str
        Names of the queues by their ID, where they are known.
    """

    def __init__(self, jobs: Any) -> None:
        self.jobs, self.single = jobs, not isinstance(jobs, Counted)
        self._trouble: FrameError | None = None
        self.refused: dict[str, str] = {}
        self._own: tuple[str, ...] = ()
        self._with = lru_cache(maxsize=_REMEMBERED)(self._count)
        keys: Iterable[str] = _LABELS
        try:
            counted, _ = self._with(frozenset())
            keys = [name for name in counted.tables["jobs"].columns[1:-3] if self._is_known(counted, name)]
        except FrameError as trouble:
            if not isinstance(jobs, pd.DataFrame):
                raise
            self._trouble, self.single = trouble, False
        self.names = {} if self._trouble else queue_names(jobs)
        if self.single:
            self._own = self._find_own()
        self.columns = (*keys, *self._own)
        self._part = lru_cache(maxsize=_REMEMBERED)(self._select)
        self._slowest = lru_cache(maxsize=_REMEMBERED)(self._find_slowest)
        self._failed = lru_cache(maxsize=_REMEMBERED)(self._find_failed)

    # --- columns ---

    @staticmethod
    def _is_known(counted: Counted, name: str) -> bool:
        return name in _LABELS or len(counted.tables["jobs"][name].cat.categories) > (name == "bucket")

    def _find_own(self) -> tuple[str, ...]:
        """Return the columns of one's own that have few labels, and note why the others cannot be filtered by."""
        if isinstance(self.jobs, pd.DataFrame):
            names = [str(name) for name in self.jobs.columns]
        else:
            pieces = fragments(self.jobs)
            names = schema_of(pieces[0]).names if pieces else []
        kept: dict[str, set[str]] = {}
        taken = {*COLUMNS, *CALENDAR, *_RESERVED, *(["queue_name"] if self.names else [])}
        own = [name for name in names if name not in taken]
        self.refused = dict.fromkeys({*names} & {*CALENDAR, *_RESERVED} - {*COLUMNS}, "its name is taken")
        for batch in self._batches(_LABELS[:1], own) if own else ():
            for name in [name for name in own if name not in self.refused and name in batch]:
                kept[name] = kept.get(name, set()) | self._texts_of(batch[name])
                if len(kept[name]) > MOST_LABELS:
                    self.refused[name] = f"it has more than {MOST_LABELS} values"
        return tuple(name for name in own if name not in self.refused)

    def _texts_of(self, column: pd.Series[Any]) -> set[str]:
        """Return the labels of a column as texts; of one that has none, note it."""
        dtype, types = column.dtype, pd.api.types
        kinds = (types.is_bool_dtype, types.is_integer_dtype, types.is_object_dtype, types.is_string_dtype)
        if not isinstance(dtype, pd.CategoricalDtype) and not any(is_kind(dtype) for is_kind in kinds):
            self.refused[str(column.name)] = f"it is no text and no whole number ({dtype})"
            return set()
        try:
            values = column.head(1000).unique()
            values = column.unique() if len(values) <= MOST_LABELS else values
        except TypeError:
            self.refused[str(column.name)] = "it holds values that cannot be compared"
            return set()
        return {str(value) for value in values if not pd.isna(value)}

    # --- counts ---

    def _count(self, own: frozenset[str]) -> tuple[Counted, Behind]:
        """Count all jobs by the usual columns, and by these of one's own: more of them make the tables longer."""
        jobs = self.jobs
        if isinstance(jobs, Counted):
            labels = tuple(name for name in jobs.tables["queue_latency"].columns[1:-3])
            tables = {**count_all(jobs, {"jobs": labels}).tables, **jobs.tables}
            counted = Counted(tables, jobs.as_of, jobs.left_out)
        else:
            counted = count_all(jobs, self._wanted(own), recent_ms=RECENT_MS, ids=True)
        return counted, queues_behind(counted)

    def _wanted(self, own: Iterable[str]) -> dict[str, tuple[str, ...]]:
        there = isinstance(self.jobs, pd.DataFrame)
        sometimes = [name for name in SOMETIMES if not there or name in self.jobs.columns]
        return dict.fromkeys(("jobs", *SAVED), (*_LABELS, *sometimes, *sorted(own)))

    def part(self, selection: Selection) -> tuple[Counted, Behind]:
        """Return the counts of the selected jobs, and the queues behind these, which are judged by all jobs.

        Raises
        ------
        FrameError
            The frame lacks a column.
        """
        if self._trouble is not None:
            raise self._trouble
        by = selection.by if selection.by in self._own else None  # the only one that decides what is counted
        return self._part(dataclasses.replace(selection, by=by, tab="latency", q=0.95))

    def _select(self, selection: Selection) -> tuple[Counted, Behind]:
        used = {*selection.labels, *([selection.by] if selection.by else [])}
        own = frozenset(used & set(self._own))
        counted, behind = self._with(own)
        if selection.is_all:
            return counted, behind
        if selection.whole_hours or not self.single:
            part = choose(
                counted,
                selection.labels,
                start=selection.start,
                end=selection.end,
                hours=selection.hours_of(counted.tables["jobs"]["hour"]),
            )
        else:
            counter = Counter(self._wanted(own))
            every = self._batches((*counter.columns, *selection.labels))
            counter.add_frames(batch[selection.rows_of(batch)] for batch in every)
            part = dataclasses.replace(counter.counted(), left_out={}, as_of=counted.as_of)
            part.recent = counted.recent
        if part.recent is None:
            return part, behind
        rows = selection.rows_of(part.recent)
        part.recent = part.recent[rows].reset_index(drop=True)
        return part, behind.of_rows(rows)

    def options(self, selection: Selection, column: str) -> list[tuple[Label, int]]:
        """Return the labels of a column with their numbers of jobs under the other filters, the most frequent first."""
        by = column if column in self._own else None
        part, _ = self.part(dataclasses.replace(selection.with_labels(column, ()), by=by))
        if column in CALENDAR:
            return _calendar_options(part, column, selection.tz)
        jobs = numbers(part, column)["jobs"]
        found: dict[Label, int] = {
            None if pd.isna(value) else str(value): number
            for value, number in zip(jobs.index.tolist(), jobs.tolist(), strict=True)
        }
        for chosen in selection.labels_of(column):
            found.setdefault(chosen, 0)
        return sorted(found.items(), key=lambda pair: -pair[1])

    def span(self, selection: Selection) -> tuple[pd.Timestamp, pd.Timestamp]:
        """Return the first hour of creation, and the end of the last; NaT where there are no jobs."""
        told = numbers(self.part(selection)[0]).attrs
        return told["first"], told["last"] + pd.Timedelta("1h")

    # --- single jobs ---

    def of(self, selection: Selection) -> Any:
        """Return what the view draws: counts, or the single jobs that matter to it.

        Raises
        ------
        FrameError
            The frame lacks a column, or the view shows single jobs and there is only a histogram.
        """
        part, _ = self.part(selection)
        if selection.tab in ("slowest", "eta") and not self.single:
            raise FrameError(_NO_SINGLE)
        if selection.tab == "eta":
            return self._expected
        if not self.gives_rows(selection):
            if selection.tab != "load":
                return part
            # a load needs no seconds, and of the jobs' table it has its arrivals twenty times as fast
            return dataclasses.replace(part, tables={**part.tables, "queue_latency": part.tables["jobs"]})
        if selection.tab == "slowest":
            return self._slowest(dataclasses.replace(selection, by=None, q=0.95))
        if selection.tab == "errors":
            failed = self._failed(frozenset(set(selection.labels) & set(self._own)))
            return failed[selection.rows_of(failed)]
        if isinstance(self.jobs, pd.DataFrame):
            return self.jobs[selection.rows_of(self.jobs)]
        every = self._batches((*_SHOWN, *NEEDED, *selection.labels, "queue_id"))
        return pd.concat([batch[selection.rows_of(batch)] for batch in every], ignore_index=True)

    def gives_rows(self, selection: Selection) -> bool:
        """Say whether the view draws single jobs: where it shows some, and for the load of few."""
        if not self.single:
            return False
        few = selection.tab == "load" and int(numbers(self.part(selection)[0])["jobs"].sum()) <= MOST_STEPPED
        return few or selection.view.single

    @cached_property
    def _expected(self) -> pd.DataFrame:
        return eta(self._with(frozenset())[0])

    def _find_failed(self, own: frozenset[str]) -> pd.DataFrame:
        """Return the failed jobs with what can be filtered by, and with these columns of one's own."""
        labels = [name for name in self.columns if name not in (*_SHOWN, *self._own)]
        return failed_jobs(self.jobs, (*_SHOWN, *labels, *own, *NEEDED))

    def _find_slowest(self, selection: Selection) -> pd.DataFrame:
        """Return the selected jobs that took longest, the longest first, with every column that is known of them."""
        columns = list(self.jobs.columns) if isinstance(self.jobs, pd.DataFrame) else list(COLUMNS)
        columns = [*dict.fromkeys((*columns, *selection.labels))]
        found = longest_jobs(
            self.jobs, most=_MOST, columns=columns, chosen=None if selection.is_all else selection.rows_of
        )
        return found[columns]

    def _batches(self, columns: Iterable[str], optional: Iterable[str] = ()) -> Iterator[pd.DataFrame]:
        """Yield the jobs with these columns; those of a frame are looked through once, and have all of theirs."""
        if isinstance(self.jobs, pd.DataFrame):
            yield from self._held
        else:
            yield from batches(self.jobs, tuple(columns), optional=tuple(optional))

    @cached_property
    def _held(self) -> list[pd.DataFrame]:
        return list(batches(self.jobs, [*map(str, self.jobs.columns)]))

    def job(self, job_id: str) -> pd.Series[Any] | None:
        """Return every column that is known of a job, None where there is no such job."""
        for batch in self._batches(("job_id", *LISTED), (*COLUMNS, *self._own)):
            rows = np.flatnonzero((batch["job_id"] == job_id).fillna(value=False).to_numpy(dtype=bool))
            if len(rows):
                row: pd.Series[Any] = batch.iloc[int(rows[0])]
                if isinstance(self.jobs, pd.DataFrame):
                    return row
                return row[[*dict.fromkeys([name for name in (*COLUMNS, *row.index) if name in row])]]
        return None

    def page(self, selection: Selection, listing: Listing) -> tuple[pd.DataFrame, int]:
        """Return a page of the list of the selected jobs, and how many there are.

        Raises
        ------
        FrameError
            The frame lacks a column, or there is only a histogram.
        """
        if self._trouble is not None:
            raise self._trouble
        if not self.single:
            raise FrameError("A histogram knows no single jobs, so there is no list of them.")
        most, total, first = PAGE * (listing.page + 1), 0, []
        optional = ("queue_name", "message", "observed_at")
        for batch in self._batches((*LISTED, *selection.labels), optional):
            rows = np.flatnonzero(selection.rows_of(batch))
            some = only_jobs(batch[[name for name in (*LISTED, *optional) if name in batch]].iloc[rows])[0]
            if listing.text:
                some = some[self._holds(some, listing.text)]
            total += len(some)
            first.append(_first(_with_ages(some), listing, most))
        found = _first(pd.concat(first), listing, most)
        return found.iloc[PAGE * listing.page :], total

    def _holds(self, jobs: pd.DataFrame, text: str) -> Flags:
        """Say of each job whether a text stands in it, in upper or lower case."""
        found = np.zeros(len(jobs), dtype=bool)
        for name in [name for name in _SEARCHED if name in jobs]:
            column = jobs[name]
            if isinstance(column.dtype, pd.CategoricalDtype):
                named = [
                    str(value)
                    for value in column.cat.categories
                    if text.lower() in f"{value} {self.names.get(str(value), '')}".lower()
                ]
                found |= has_label(column, named)
            else:
                found |= column.str.contains(text, case=False, regex=False, na=False).to_numpy(dtype=bool)
        return found


def course(job: pd.Series[Any], tz: str) -> tuple[str, list[tuple[str, float, str]]]:
    """Return the course of one job in words, and its parts: what it did, the share of its time, and how long in words."""
    created, started, ended, seen = (
        job.get(name) for name in ("creation_time", "start_time", "end_time", "observed_at")
    )
    spans: dict[str, float] = {}
    said = []
    if not pd.isna(created):
        said.append(f"created {moment(created.tz_convert(tz))}")
        until = next((time for time in (started, ended, seen) if not pd.isna(time)), created)
        spans["waited"] = max((until - created).total_seconds(), 0)
        waited = duration(spans["waited"])
        if pd.isna(started):
            said.append(f"not started after {waited}")
        else:
            said.append(f"started {moment(started.tz_convert(tz))}, after {waited}")
            until = next((time for time in (ended, seen) if not pd.isna(time)), started)
            spans["ran"] = max((until - started).total_seconds(), 0)
            said.append(f"{'running for' if pd.isna(ended) else 'ran'} {duration(spans['ran'])}")
        if not pd.isna(ended):
            said.append(f"ended {moment(ended.tz_convert(tz))}: {label(job.get('outcome'))}")
    whole = sum(spans.values()) or 1
    parts = [(did, time / whole, f"{did} {duration(time)}") for did, time in spans.items()]
    return " → ".join(said) or "Its times are not known.", parts


def _with_ages(jobs: pd.DataFrame) -> pd.DataFrame:
    """Put in how long a job that waits has waited when it was seen."""
    if "observed_at" not in jobs:
        return jobs
    ages = (jobs["observed_at"] - jobs["creation_time"]).dt.total_seconds().clip(lower=0)
    waits = (jobs["outcome"] == Outcome.WAITING).to_numpy(dtype=bool)
    return jobs.assign(queue_latency_s=jobs["queue_latency_s"].mask(waits, ages))


def _first(jobs: pd.DataFrame, listing: Listing, most: int) -> pd.DataFrame:
    """Return the first rows in the order of a list, the missing last."""
    column = jobs[listing.sort].reset_index(drop=True)
    if len(column) > most and listing.sort.endswith(("_s", "_time")):
        # to sort all of them takes ten times as long
        first = column.nsmallest(most) if listing.ascending else column.nlargest(most)
        return jobs.iloc[first.index]
    key = (lambda texts: texts.astype("str")) if isinstance(column.dtype, pd.CategoricalDtype) else None
    return jobs.sort_values(
        listing.sort, ascending=listing.ascending, kind="stable", na_position="last", key=key
    ).head(most)


def _calendar_options(part: Counted, column: str, tz: str) -> list[tuple[Label, int]]:
    """Return weekdays or hours of the day with their numbers of jobs."""
    table = part.tables["jobs"]
    table = table[table["hour"].notna().to_numpy()]
    local = table["hour"].dt.tz_convert(tz).dt
    number: Ints = (local.day_of_week if column == "weekday" else local.hour).to_numpy()
    jobs = np.bincount(number, table["jobs"], minlength=7 if column == "weekday" else 24)
    names: Iterable[str] = WEEKDAYS if column == "weekday" else map(str, range(24))
    return [(name, int(one)) for name, one in zip(names, jobs, strict=True)]
