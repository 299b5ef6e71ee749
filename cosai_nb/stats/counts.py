"""Counting jobs: from a frame, files, a store or a saved summary to a small table, in one pass.

::

    count(source, keys, measure)        the table hour, keys…, class, seconds, jobs of one measure
    count_all(source, {measure: keys})  several tables from the same pass
    Counter                             adds up frames and tables of counts, and gives the tables
    Groups                              the distinct labels of some keys, and the group of each row of a table

A statistic asks for the keys and the measure that it needs and reads the rest off the table. Every source gives the same
table: sorted by hour, keys (a missing label last), class and seconds, and a label that no job has is left out.

========================= ==================================================================================
measure                   its rows; ``hour`` is the hour of creation, if nothing else is said
========================= ==================================================================================
jobs                      all jobs: class as for queue_latency, 0 seconds
queue_latency, run_time,  class as in :mod:`cosai_nb.stats.measures`; whole seconds
total_time
start_hour                jobs that started: ``seconds`` are clock hours from the hour of creation to that of the start
end_hour                  jobs that ended after they started: the same to the end (to the start where the end is not usable)
left_hour                 jobs that gave up: the same to their end, else to their last observation
========================= ==================================================================================
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cosai_nb.errors import FrameError, SettingsError
from cosai_nb.schema import ENDED as ENDED_OUTCOMES
from cosai_nb.schema import NOT_A_JOB
from cosai_nb.stats.measures import (
    ABSENT,
    CLASSES,
    ENDED,
    GAVE_UP,
    HOUR_MS,
    MEASURES,
    MISSING,
    NEEDED,
    TIME,
    UNFINISHED,
    UNUSABLE,
    Flags,
    Ints,
    Rows,
    Windows,
    check_jobs,
    milliseconds,
    moments,
)
from cosai_nb.stats.tally import Tally, joined, rank, tally
from cosai_nb.table.dtypes import as_frame
from cosai_nb.table.frame import one_row_a_job
from cosai_nb.table.parquet import BATCH, Fragment
from cosai_nb.table.scan import scan
from cosai_nb.table.store import JobStore
from cosai_nb.table.threads import ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

HOUR = "hour"
"""The key that every table has: the hour of creation."""
MOVES = ("arrival", "start", "end", "left")
MOST_LABELS = 100_000
RECENT_MS = 3 * HOUR_MS
NEWEST = 100
"""Single moves are kept for so long, and of each queue so many at least: order and rate are judged by them."""
_MOST_UNUSABLE = 0.01
NO_HOUR = -1_000_000  # before all others, and not so far that the numbers get long
_LAST = 2**36  # what a missing hour or second becomes, to sort behind the others
_PENDING = 2_000_000
HOURS = ("start_hour", "end_hour", "left_hour")
SAVED = (*MEASURES, *HOURS)
_KEYS = ("queue_id", "tag", "outcome", "code")  # a frame without them is no jobs frame
_OWN = ("class", "seconds", "jobs")
MOVED = "moved"
"""Column of ``recent``: when the job started or gave up."""
_ID = "job_id"
_SINGLE = (
    "queue_id",
    "tag",
    "job_level",
    "state",
    "outcome",
    "creation_time",
    "start_time",
    "end_time",
    "observed_at",
    "servers",
)


# --- what was counted ---


@dataclass(eq=False)
class Counted:
    """Tables of counts, and what cannot be counted.

    Parameters
    ----------
    tables : dict of str to pandas.DataFrame
        By measure: ``hour`` (datetime64[ms, UTC]), the keys (category; ``time`` as datetime64[ms, UTC]), ``class``
        (category), ``seconds`` (int64) and ``jobs`` (int64).
    as_of : pandas.Timestamp
        The newest ``observed_at``; NaT where there are no jobs.
    left_out : dict of str to int
        Rows that are no jobs (not_found, invalid_id, unread), by outcome.
    recent : pandas.DataFrame or None
        The jobs that have not ended, and those that started or gave up in the three hours before ``as_of`` (of each queue the newest
        100 at least): single ones, with the class and seconds of their queue latency. None from a saved summary.
    """

    tables: dict[str, pd.DataFrame]
    as_of: Any
    left_out: dict[str, int]
    recent: pd.DataFrame | None = field(repr=False, default=None)

    @property
    def table(self) -> pd.DataFrame:
        """The table of the one measure that was asked for."""
        (only,) = self.tables.values()
        return only

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the keys, ``hour`` first."""
        return tuple(name for name in next(iter(self.tables.values())).columns if name not in _OWN)

    def has(self, wanted: Mapping[str, Sequence[str]]) -> bool:
        """Say whether these measures were counted, each by these keys or more."""
        return all(name in self.tables and {*keys} <= {*self.tables[name]} for name, keys in wanted.items())

    def check_keys(self, names: Sequence[str]) -> None:
        """Raise a FrameError unless each name is a key of these counts."""
        for name in names:
            if name not in self.keys:
                raise FrameError(
                    f"The histogram has no key {name!r}; it has: {', '.join(self.keys)}. "
                    f"Build it with DurationHistogram.from_jobs(jobs, keys=[{name!r}])."
                )


class Groups(NamedTuple):
    """The distinct labels of some keys in order, a missing one last, and the number of each row's group."""

    names: tuple[str, ...]
    labels: list[pd.Index[Any]]
    of_row: Ints

    @classmethod
    def of(cls, table: pd.DataFrame, names: Sequence[str]) -> Groups:
        """Group the rows of a table of counts; without names all are one group."""
        if not names:
            return cls((), [], np.zeros(len(table), dtype=np.int64))
        coded = [_codes_of(table[name]) for name in names]
        distinct, of_row = rank([codes for codes, _ in coded])
        labels = [labels[codes] for (_, labels), codes in zip(coded, distinct, strict=True)]
        return cls(tuple(names), labels, of_row)

    def place(self, rows: pd.DataFrame) -> Ints:
        """Return the group of each row of another table; −1 for one that has none."""
        if len(self.names) == 1:  # a tenth of the time
            codes, theirs = _codes_of(rows[self.names[0]])
            return self.labels[0].get_indexer(theirs)[codes]
        other = Groups.of(rows, self.names)
        if not self.names:
            return other.of_row
        labels = [mine.append(theirs) for mine, theirs in zip(self.labels, other.labels, strict=True)]
        _, same = rank([pd.factorize(both, use_na_sentinel=False)[0] for both in labels])
        numbers = np.full(len(same) + 1, -1)
        numbers[same[: self.number]] = np.arange(self.number)
        return numbers[same[self.number :]][other.of_row]

    @property
    def plain_labels(self) -> list[tuple[Any, ...]]:
        """The labels of each group, None for a missing one, which is equal to itself."""
        if not self.names:
            return [("all",)]
        columns = [[None if pd.isna(label) else label for label in labels] for labels in self.labels]
        return list(zip(*columns, strict=True))

    @property
    def number(self) -> int:
        """How many groups there are."""
        return len(self.labels[0]) if self.names else 1

    @property
    def rows(self) -> pd.Index[Any]:
        """The index of a table with one row a group: ``all`` without names."""
        if len(self.names) > 1:
            return pd.MultiIndex.from_arrays(self.labels, names=list(self.names))
        return self.labels[0].rename(self.names[0]) if self.names else pd.Index(np.array(["all"], object))

    def sum(self, jobs: Any, chosen: Flags | None = None) -> Ints:
        """Add up the jobs of each group, or of some of its rows."""
        rows = slice(None) if chosen is None else chosen
        return np.bincount(self.of_row[rows], np.asarray(jobs)[rows], self.number).astype(np.int64)


def class_codes(table: pd.DataFrame) -> Ints:
    """Return the class of each row of a table as a number, in the order of the measure's classes."""
    return table["class"].cat.codes.to_numpy().astype(np.int64)


def unusable_of(groups: Groups, table: pd.DataFrame) -> tuple[Ints, list[str]]:
    """Return how many jobs of each group have unusable times, and what to say where these are more than 1 % of those that moved."""
    kinds, jobs = class_codes(table), table["jobs"].to_numpy()
    unusable, moved = (groups.sum(jobs, chosen) for chosen in (kinds == UNUSABLE, kinds != UNFINISHED))
    return unusable, [
        f"{lost:,} of {number:,} jobs that started or ended have unusable times (missing or reversed) and are in no quantile, share or rate: "
        "where clocks differ, these are the short waits"
        if lost > _MOST_UNUSABLE * number
        else ""
        for lost, number in zip(unusable.tolist(), moved.tolist(), strict=True)
    ]


def hours_of(table: pd.DataFrame) -> Ints:
    """Return the hour of each row since the epoch, :data:`NO_HOUR` where it is missing."""
    times = milliseconds(table[HOUR])
    return np.where(times == MISSING, NO_HOUR, times // HOUR_MS)


def _codes_of(key: pd.Series) -> tuple[Ints, pd.Index[Any]]:
    """Return a number for each row that sorts as its label does, a missing one last, and the labels in that order."""
    if not isinstance(key.dtype, pd.CategoricalDtype | pd.DatetimeTZDtype):
        key = key.astype(object).map(str, na_action="ignore").astype("category")
    if isinstance(key.dtype, pd.CategoricalDtype):
        labels = np.append(key.cat.categories.to_numpy(dtype=object), np.nan)
        return np.arange(len(labels))[key.cat.codes.to_numpy()], pd.Index(
            labels, dtype=object
        )  # −1 is the last
    (distinct,), place = rank([milliseconds(key)])
    missing = int(len(distinct) > 0 and distinct[0] == MISSING)
    return (place - missing) % max(len(distinct), 1), moments(np.roll(distinct, -missing))


# --- the counter ---


class _Part(NamedTuple):
    """What one batch adds."""

    counts: list[tuple[str, Tally]]
    seen: int
    left_out: dict[str, int]
    single: pd.DataFrame | None


class Counter:
    """Counts jobs and adds counts up, whatever the order in which they come.

    Parameters
    ----------
    wanted : mapping of str to sequence of str
        The keys of each measure.
    windows : Windows, optional
        What the key ``time`` is cut by.
    recent_ms : int
        How far back to keep the single jobs that order and rate of a queue are judged by; 0 keeps none.
    by_start : bool
        Count the jobs that started, and take hour and windows by their start.
    """

    def __init__(
        self,
        wanted: Mapping[str, Sequence[str]],
        windows: Windows | None = None,
        *,
        recent_ms: int = 0,
        by_start: bool = False,
    ) -> None:
        self.wanted = {
            name: tuple(dict.fromkeys(key for key in keys if key != HOUR)) for name, keys in wanted.items()
        }
        self.windows: Any = windows  # there wherever time is a key
        self.by_start = by_start
        keys = dict.fromkeys(key for of_one in self.wanted.values() for key in of_one if key != TIME)
        self._texts: dict[str, dict[str, int]] = {key: {} for key in keys}
        self._tallied = {measure: self._without_time(measure) for measure in wanted}
        self._timed = recent_ms > 0 or any(TIME in keys for keys in self._tallied.values())
        self._parts: dict[str, list[tuple[list[Ints], Ints]]] = {measure: [] for measure in wanted}
        self._recent: list[pd.DataFrame] | None = [] if recent_ms else None
        self._recent_ms = recent_ms
        self._seen = MISSING
        self._lock = Lock()
        self.left_out: dict[str, int] = {}

    @property
    def columns(self) -> list[str]:
        """The columns of a frame that are needed."""
        recent = () if self._recent is None else ("queue_id",)
        return [*dict.fromkeys((*self._texts, *recent, *NEEDED))]

    def add_jobs(self, source: Source, *, optional: Sequence[str] = ()) -> None:
        """Count the jobs of a source (see :func:`batches`)."""
        self._add(batches(source, self.columns, optional=optional, work=self._count))

    def add_frames(self, frames: Iterable[pd.DataFrame]) -> None:
        """Count checked rows, one a job, frame by frame; numpy counts the next ones in threads meanwhile."""
        self._add(found.result() for _, found in ahead(self._count, frames))

    def _add(self, parts: Iterable[_Part]) -> None:
        for part in parts:
            self._seen = max(self._seen, part.seen)
            for outcome, number in part.left_out.items():
                self.left_out[outcome] = self.left_out.get(outcome, 0) + number
            for measure, counts in part.counts:
                self._keep(measure, counts)
            if self._recent is not None:
                self._recent += [part.single] if part.single is not None else []
                # with many queues nearly all is kept: what was looked at already waits until it has doubled
                if sum(map(len, self._recent[1:])) > max(_PENDING // 10, *map(len, self._recent[:1])):
                    self._recent = [self._pruned(self._recent)]

    def _count(self, jobs: pd.DataFrame) -> _Part:
        jobs, left_out = only_jobs(jobs)
        if self.by_start:
            jobs = jobs[jobs["start_time"].notna()]
        rows = Rows(jobs)
        moment = rows.started if self.by_start else rows.created
        codes = {name: self._numbers(name, jobs[name]) for name in self._texts}
        if self._timed and self.windows is not None:
            codes[TIME] = self._times(self.windows.start(moment))
        hour = _units(moment, HOUR_MS, NO_HOUR)
        counts: list[tuple[str, Tally]] = []
        for measure, keys in self._tallied.items():
            few, (at, kind, seconds) = _columns_of(rows, hour, measure)
            keyed = [codes[key] if few is None else codes[key][few] for key in keys]
            counts.append((measure, tally([at, *keyed, kind, seconds])))
        newest = int(rows.seen.max(initial=MISSING))
        single = None if self._recent is None else self._single(rows, hour, codes, max(self._seen, newest))
        return _Part(counts, newest, left_out, single)

    def add_counted(self, counted: Counted) -> None:
        """Count again what was counted by these keys and more."""
        for measure, keys in self._tallied.items():
            saved = "queue_latency" if measure == "jobs" and measure not in counted.tables else measure
            table = counted.tables[saved]
            hour, seconds = hours_of(table), table["seconds"].to_numpy()
            begin = _back(hour, HOUR_MS, NO_HOUR)
            codes = [
                self._times(self.windows.start(begin)) if key == TIME else self._numbers(key, table[key])
                for key in keys
            ]
            rest = [class_codes(table), np.zeros_like(seconds) if measure == "jobs" else seconds]
            self._keep(measure, tally([hour, *codes, *rest], table["jobs"].to_numpy()))
        if not pd.isna(counted.as_of):
            self._seen = max(self._seen, round(counted.as_of.timestamp() * 1000))
        for outcome, number in counted.left_out.items():
            self.left_out[outcome] = self.left_out.get(outcome, 0) + number
        if counted.recent is None:
            self._recent = None
        elif self._recent is not None:
            self._recent.append(counted.recent)

    def _times(self, windows: Ints) -> Ints:
        """Return the start of windows as small numbers."""
        return _units(windows, self.windows.unit, self._no_time)

    @property
    def _no_time(self) -> int:
        return NO_HOUR * (HOUR_MS // self.windows.unit)

    def _without_time(self, measure: str) -> tuple[str, ...]:
        """Return the keys of a measure that are counted: the window of a whole hour follows from the hour."""
        derived = self.windows is not None and self.windows.whole_hours
        return tuple(key for key in self.wanted[measure] if not (derived and key == TIME))

    def counted(self) -> Counted:
        """Return the tables; the counter is used up."""
        as_of: Any = pd.NaT if self._seen == MISSING else moments([self._seen])[0]
        recent = None if self._recent is None else self._pruned(self._recent)
        tables = {measure: self._table(measure) for measure in self.wanted}
        return Counted(tables, as_of, dict(sorted(self.left_out.items())), recent)

    def _numbers(self, name: str, column: pd.Series) -> Ints:
        """Return the number of each row's text, the same in all batches, −1 for a missing one."""
        if isinstance(column.dtype, pd.CategoricalDtype):
            raw, values = column.cat.codes.to_numpy(), column.cat.categories
        else:
            raw, values = pd.factorize(column)
        known = self._texts[name]
        with self._lock:
            numbers = [known.setdefault(str(value), len(known)) for value in values]
        if len(known) > MOST_LABELS:
            raise FrameError(
                f"The column {name!r} has {len(known):,} different values and more: jobs are grouped by a column of at most "
                f"{MOST_LABELS:,}, such as 'tag' or 'queue_id'."
            )
        if numbers == list(range(len(numbers))):
            return raw
        return np.array([*numbers, -1], dtype=np.int32)[raw]  # −1 picks the last, which is −1

    def _keep(self, measure: str, counts: Tally) -> None:
        columns, jobs = counts
        # cheaper to leave out when counted than row by row
        if (columns[-2] == ABSENT).any():
            kept = columns[-2] != ABSENT
            columns, jobs = [column[kept] for column in columns], jobs[kept]
        parts = self._parts[measure]
        parts.append((columns, jobs))
        # what was added up already counts once: else the same rows would be sorted again and again
        if sum(len(jobs) for _, jobs in parts[1:]) > max(_PENDING, len(parts[0][1])):
            self._parts[measure] = [tally(*joined(parts))]

    def _single(self, rows: Rows, hour: Ints, codes: Mapping[str, Ints], now: int) -> pd.DataFrame:
        """Return the jobs that have not ended, and the newest moves of each queue."""
        kind, value = rows.measure("queue_latency")
        moved = np.where(kind == ENDED, rows.started, MISSING)
        left = np.flatnonzero((kind == GAVE_UP) & (rows.created != MISSING))
        moved[left] = rows.created[left] + 1000 * value[left]
        queue = codes["queue_id"] if "queue_id" in codes else pd.factorize(rows.jobs["queue_id"])[0]
        kept = _kept(~rows.over, moved, queue, now - self._recent_ms)
        there = [name for name in dict.fromkeys((_ID, *_SINGLE, *self._texts)) if name in rows.jobs.columns]
        times = {MOVED: moved[kept], HOUR: _back(hour[kept], HOUR_MS, NO_HOUR)}
        if TIME in codes:
            times[TIME] = _back(codes[TIME][kept], self.windows.unit, self._no_time)
        single = rows.jobs[there].iloc[kept].reset_index(drop=True)
        return single.assign(
            kind=kind[kept], seconds=value[kept], **{name: moments(at) for name, at in times.items()}
        )

    def _pruned(self, parts: list[pd.DataFrame]) -> pd.DataFrame:
        some = [part for part in parts if len(part)]
        if not some:
            return parts[0] if parts else pd.DataFrame()
        recent = pd.concat(some, ignore_index=True)
        queue = pd.factorize(recent["queue_id"])[0] + 1
        alive = ~recent["outcome"].isin([str(outcome) for outcome in ENDED_OUTCOMES]).to_numpy()
        kept = _newest(alive, milliseconds(recent[MOVED]), queue, self._seen - self._recent_ms)
        return recent[kept].reset_index(drop=True)

    def _table(self, measure: str) -> pd.DataFrame:
        keys, parts = self._tallied[measure], self._parts.pop(measure)
        columns, jobs = (
            joined(parts) if parts else ([np.empty(0, np.int64)] * (len(keys) + 3), np.empty(0, np.int64))
        )
        labels = []
        for place, key in enumerate((HOUR, *keys)):
            columns[place], of_key = self._in_order(key, columns[place])
            labels.append(of_key)
        columns, jobs = tally(
            [columns.pop(0) for _ in (HOUR, *keys, *_OWN[:2])], jobs
        )  # nobody else holds them
        named: dict[str, Any] = {}
        for key, codes, of_key in zip((HOUR, *keys), columns, labels, strict=False):
            if key in (HOUR, TIME):
                named[key] = of_key[codes]
            else:
                named[key] = pd.Categorical.from_codes(
                    np.where(codes == len(of_key), -1, codes), categories=of_key
                )
        if TIME in self.wanted[measure] and TIME not in keys:
            named[TIME] = moments(self.windows.start(milliseconds(pd.Series(labels[0]))))[columns[0]]
        named = {key: named[key] for key in (HOUR, *self.wanted[measure])}
        kind, seconds = columns[len(keys) + 1 :]
        named["class"] = pd.Categorical.from_codes(kind, categories=pd.Index(CLASSES, dtype=object))
        return pd.DataFrame({**named, "seconds": seconds.astype(np.int64), "jobs": jobs.astype(np.int64)})

    def _in_order(self, key: str, codes: Ints) -> tuple[Ints, pd.Index[Any]]:
        """Return numbers in the order of the labels, a missing one last, and the labels that are used, in order."""
        if key in (HOUR, TIME):
            unit, missing = (HOUR_MS, NO_HOUR) if key == HOUR else (self.windows.unit, self._no_time)
            numbers = codes.astype(np.int64)
            numbers[codes == missing] = _LAST
            (distinct,), place = rank([numbers])
            return place, moments(np.where(distinct == _LAST, MISSING, distinct * unit))
        texts = np.array([*self._texts[key], ""], dtype=object)[:-1]
        used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(texts)))
        order = used[np.argsort(texts[used])]
        numbers = np.full(len(texts) + 1, len(order), dtype=np.int32)
        numbers[order] = np.arange(len(order))
        return numbers[codes], pd.Index(texts[order], dtype=object)


def _kept(alive: Flags, moved: Ints, queue: Ints, since: int) -> Ints:
    """Return the rows of :func:`_newest`; ``queue`` is −1 where it is missing."""
    newest = int(moved.max(initial=MISSING))
    if newest == MISSING:
        return np.flatnonzero(alive)
    # where the newest hours of a batch hold enough moves of each queue, the others need not be looked at
    cut = min(since, newest - RECENT_MS)
    rows = np.flatnonzero(alive | (moved >= cut))
    later = rows[moved[rows] // HOUR_MS > cut // HOUR_MS]
    there, enough = (np.bincount(codes + 1, minlength=1) for codes in (queue, queue[later]))
    if (enough < NEWEST)[: len(enough)][there[: len(enough)] > 0].any() or there[len(enough) :].any():
        rows = np.arange(len(moved))
    return rows[_newest(alive[rows], moved[rows], queue[rows].astype(np.int64) + 1, since)]


def _newest(alive: Flags, moved: Ints, queue: Ints, since: int) -> Flags:
    """Choose the jobs that have not ended, and the newest moves of each queue (MISSING where there is none)."""
    moves = moved != MISSING
    few = np.bincount(queue, moves) <= NEWEST
    kept = alive | (moved >= since) | (moves & few[queue])
    if not (moves & ~kept).any():
        return kept
    first = int(moved[moves].min()) // HOUR_MS
    hour = np.maximum(moved // HOUR_MS - first, -1) + 1  # 0: no move
    width = int(hour.max()) + 1
    each = np.bincount(queue * width + hour, minlength=(int(queue.max()) + 1) * width).reshape(-1, width)
    newer = np.cumsum(each[:, ::-1], axis=1)[:, ::-1] - each
    # the hours that hold the newest moves of a queue are kept whole
    needed = np.maximum((newer >= NEWEST).sum(axis=1), 1)
    kept |= hour >= needed[queue]
    return kept


def only_jobs(jobs: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the rows that are jobs, and the number of the others by outcome."""
    no_job = Rows(jobs).among(*NOT_A_JOB)
    if not no_job.any():
        return jobs, {}
    number = jobs.loc[no_job, "outcome"].astype(str).value_counts()
    return jobs[~no_job], {str(outcome): int(number[outcome]) for outcome in sorted(number.index)}


def _back(numbers: Ints, unit: int, missing: int) -> Ints:
    """Return the start of hours (or seconds) since the epoch, in milliseconds."""
    return np.where(numbers == missing, MISSING, numbers * unit)


def _units(times: Ints, unit: int, missing: int) -> Ints:
    """Return times in hours (or seconds) since the epoch."""
    found = times // unit
    gone = times == MISSING
    return np.where(gone, missing, found) if gone.any() else found


def _columns_of(rows: Rows, hour: Ints, measure: str) -> tuple[Ints | None, tuple[Any, Any, Any]]:
    """Return the jobs that may belong to a measure (None: all), and hour, class and seconds of each."""
    if measure == "jobs":
        kind = rows.measure("queue_latency").kind
        return None, (hour, kind, np.zeros_like(kind))
    if measure in MEASURES:
        return None, (hour, *rows.measure(measure))
    moved, moment = rows.moved(measure.removesuffix("_hour"))
    few = None if moved.all() else np.flatnonzero(moved)
    if few is not None:
        hour, moment = hour[few], moment[few]
    return few, (hour, np.zeros(len(hour), dtype=np.int8), moment // HOUR_MS - hour)


# --- the sources ---


Source = Any
"""A jobs frame, a path, a JobStore, a Counted, or a DurationHistogram."""


def count(
    source: Source, keys: Sequence[str] = (), measure: str = "queue_latency", **options: Any
) -> Counted:
    """Count one measure by some keys; see :func:`count_all`."""
    return count_all(source, {measure: keys}, **options)


def count_all(
    source: Source,
    wanted: Mapping[str, Sequence[str]],
    *,
    windows: Windows | None = None,
    recent_ms: int = 0,
    by_start: bool = False,
    ids: bool = False,
) -> Counted:
    """Count measures by keys in one pass over the columns that they need.

    Parameters
    ----------
    source : pandas.DataFrame, path, JobStore, Counted or DurationHistogram
        One row per job: a frame (or anything with ``__arrow_c_stream__``), a Parquet file or a folder of them, a store; or
        what was counted before, by these keys and more.
    wanted : mapping of str to sequence of str
        The keys of each measure; ``hour`` is always there, ``time`` needs ``windows``.
    windows : Windows, optional
        Windows of creation time.
    recent_ms : int
        How far back to keep the single jobs that order and rate of a queue are judged by, :data:`RECENT_MS` say; 0 keeps none.
    by_start : bool
        Count the jobs that started only, ``hour`` and windows by their start. What was counted before does not know them.
    ids : bool
        Read the IDs of single jobs from files, too: they are half of the bytes.

    Returns
    -------
    Counted
        One table a measure.

    Raises
    ------
    TypeError
        The source is nothing that holds jobs.
    FrameError
        A column is missing or is not in its documented form, or has too many labels.
    FileError
        A file cannot be read.
    """
    derived = {TIME} if windows is not None and windows.whole_hours else set()
    there = {name: [key for key in keys if key not in derived] for name, keys in wanted.items()}
    known = type(source) is Counted and not by_start and source.has(there)
    if known and (windows is None or (derived and not recent_ms)):
        # more keys than asked for stay: to count again costs a sort
        tables = {name: source.tables[name] for name in wanted}
        if windows is None:
            return replace(source, tables=tables)
        return replace(
            source, tables={name: _windowed(table, windows) for name, table in tables.items()}, recent=None
        )
    counter = Counter(wanted, windows, recent_ms=recent_ms, by_start=by_start)
    if isinstance(source, Counted):
        if by_start:
            raise SettingsError(
                "A histogram knows jobs by their creation: by_start=True needs the jobs frame."
            )
        source.check_keys([key for keys in wanted.values() for key in keys if key != TIME])
        if windows is not None and not windows.whole_hours:
            raise SettingsError(
                f"A histogram knows full hours only: windows of {pd.Timedelta(windows.width, 'ms')} in {windows.tz} need the jobs "
                "frame. Ask for freq='1h' or a multiple of it."
            )
        counter.add_counted(source)
        return counter.counted()
    single = (*_SINGLE, _ID) if ids else _SINGLE
    counter.add_jobs(source, optional=single if recent_ms else ())
    return counter.counted()


def _windowed(table: pd.DataFrame, windows: Windows) -> pd.DataFrame:
    """Return a table of counts with the windows of whole hours that its hours lie in."""
    hours = milliseconds(table[HOUR])
    first = np.flatnonzero(np.append(True, hours[1:] != hours[:-1])[: len(hours)])  # they are in order
    starts = windows.start(hours[first])
    return table.assign(**{TIME: moments(np.repeat(starts, np.diff(first, append=len(hours))))})


def counted_by(jobs: Any, names: Sequence[str], measure: str) -> Counted:
    """Return counts of a measure by these keys; more keys than asked for stay, for to count again costs a sort."""
    if isinstance(jobs, Counted) and measure in jobs.tables:
        jobs.check_keys(names)
        return jobs
    return count(jobs, names, measure)


def batches(
    source: Source,
    columns: Sequence[str],
    *,
    optional: Sequence[str] = (),
    work: Callable[[pd.DataFrame], Any] | None = None,
) -> Iterator[Any]:
    """Yield the jobs of a source, checked, one row each, some at a time; optional columns where a file has them.

    With ``work`` what it makes of each batch, in two threads: numpy and Arrow let go of the interpreter.
    """
    fragments = isinstance(source, list) and len(source) > 0 and isinstance(source[0], Fragment)
    if fragments or isinstance(source, str | os.PathLike | JobStore):
        wanted = tuple(dict.fromkeys(columns))
        optional = [name for name in optional if name not in wanted]
        yield from scan(source, wanted, optional=optional, work=work)
        return
    needed = [*dict.fromkeys((*_KEYS, *columns))]
    dtypes = source.dtypes if isinstance(source, pd.DataFrame) else ()
    if any(isinstance(dtype, pd.ArrowDtype) for dtype in dtypes) or (
        not len(dtypes) and hasattr(source, "__arrow_c_stream__")
    ):
        source = as_frame(source, {*needed, *optional, *_SINGLE, _ID, "bucket"})
    jobs = one_row_a_job(check_jobs(source, needed))
    slices = (jobs.iloc[first : first + BATCH] for first in range(0, max(len(jobs), 1), BATCH))
    yield from slices if work is None else (found.result() for _, found in ahead(work, slices))
