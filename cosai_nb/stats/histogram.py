"""The duration histogram: the saved summary of a set of jobs, from which every statistic can be asked again.

For each hour of creation (UTC), queue_id, tag, outcome, code and key of your own it holds how many jobs took each whole
second, for each measure and class of :mod:`cosai_nb.stats.measures`. Nothing is rounded that the service had not rounded,
and no job is dropped: every job is in exactly one class of ``queue_latency`` and of ``total_time``. It merges by ``+``,
exactly and in any order.

The file holds the columns of :meth:`DurationHistogram.to_frame`, one row a count, so DuckDB or pandas read it as it is; the
schema's metadata entry ``cosai_nb`` holds as-of time, rows left out and the form's number as JSON.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cosai_nb import arguments
from cosai_nb.errors import FileError, FrameError
from cosai_nb.schema import UNFINISHED as UNFINISHED_OUTCOMES
from cosai_nb.stats.counts import HOUR, SAVED, Counted, Counter, Groups, class_codes, hours_of
from cosai_nb.stats.measures import CLASSES, ENDED, GAVE_UP, UNFINISHED, UNUSABLE, group_columns, moments
from cosai_nb.table.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from cosai_nb.stats.measures import Ints

KEYS = (HOUR, "queue_id", "tag", "outcome", "code")
"""The keys of every histogram."""
_FORM = 1
_OWN = ("measure", "kind", "value", "jobs", "class", "seconds")
_KINDS = {"ended": ENDED, "unfinished": UNFINISHED, "unusable": UNUSABLE}
_SEVERAL = (list, tuple, set, frozenset, np.ndarray, pd.Index, pd.Series)


class DurationHistogram(Counted):
    """Exact counts of durations by hour, queue, tag, outcome and code; made by :meth:`from_jobs`.

    Attributes
    ----------
    as_of : pandas.Timestamp
        The newest ``observed_at``; NaT where there are no jobs.
    left_out : dict of str to int
        Rows of the frame that are no jobs (not_found, invalid_id, unread), by outcome.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": ["Success", "Submitted"],
    ...     "CreationTime": "2026-11-01T10:00:00Z", "StartTime": ["2026-11-01T10:00:07Z", "-"],
    ...     "EndTime": ["2026-11-01T10:00:09Z", "-"]})
    >>> jobs = cn.add_timings(texts, observed_at="2026-11-01T10:01:00Z")
    >>> histogram = DurationHistogram.from_jobs(jobs)
    >>> histogram.to_frame()[["outcome", "measure", "kind", "value", "jobs"]].head(2)
       outcome        measure        kind  value  jobs
    0  success  queue_latency       ended      7     1
    1  waiting  queue_latency  unfinished     60     1
    >>> (histogram + histogram).jobs
    4
    """

    @classmethod
    def from_jobs(cls, jobs: Any, *, keys: Sequence[str] = ()) -> DurationHistogram:
        """Count jobs.

        Parameters
        ----------
        jobs : pandas.DataFrame, path or JobStore
            One row per job.
        keys : sequence of str, optional
            Further columns to keep apart, such as ``input_lang``; their values are kept as text.

        Raises
        ------
        TypeError, FrameError, FileError
            ``jobs`` is no source of jobs, a column is missing or is not in its documented form, or a file cannot be read.
        """
        counter = cls._counter(group_columns(keys))
        counter.add_jobs(jobs)
        return cls._of(counter)

    @staticmethod
    def _counter(keys: Sequence[str]) -> Counter:
        if clash := next((key for key in keys if key in _OWN), None):
            raise FrameError(
                f"The key {clash!r} has the name of a column of the histogram's own table; rename the frame's column."
            )
        names = (*KEYS, *sorted(set(keys) - set(KEYS)))
        return Counter(dict.fromkeys(SAVED, names))

    @classmethod
    def _of(cls, counter: Counter) -> DurationHistogram:
        counted = counter.counted()
        return cls(counted.tables, counted.as_of, counted.left_out)

    @property
    def _latency(self) -> pd.DataFrame:
        return self.tables["queue_latency"]

    @property
    def jobs(self) -> int:
        """Number of jobs."""
        return int(self._latency["jobs"].sum())

    def __add__(self, other: object) -> DurationHistogram:
        if not isinstance(other, DurationHistogram):
            return NotImplemented
        if set(self.keys) != set(other.keys):
            raise FrameError(
                f"A histogram by {', '.join(self.keys)} cannot be added to one by {', '.join(other.keys)}; "
                "build both with the same keys=."
            )
        counter = self._counter(self.keys)
        counter.add_counted(self)
        counter.add_counted(other)
        return self._of(counter)

    def __radd__(self, other: object) -> DurationHistogram:
        return self if other == 0 else NotImplemented  # sum() begins with 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DurationHistogram):
            return NotImplemented
        return (
            self.left_out == other.left_out
            and str(self.as_of) == str(other.as_of)  # NaT is not equal to itself
            and all(self.tables[name].equals(other.tables[name]) for name in SAVED)
        )

    __hash__ = None  # type: ignore[assignment]  # it compares by content, which is large

    def __repr__(self) -> str:
        cells = Groups.of(self._latency, self.keys).number
        return f"<DurationHistogram of {self.jobs:,} jobs in {cells:,} cells by {', '.join(self.keys)}, as of {self.as_of}>"

    def where(
        self,
        *,
        start: str | pd.Timestamp | None = None,
        end: str | pd.Timestamp | None = None,
        **labels: object,
    ) -> DurationHistogram:
        """Return the jobs with these labels, created in ``start`` ≤ hour < ``end``.

        Parameters
        ----------
        start, end : str or pandas.Timestamp, optional
            Full hours; text without a zone is UTC.
        **labels : str or list of str, optional
            One label or several of any key but ``hour``; None stands for a missing one.

        Returns
        -------
        DurationHistogram
            Empty where no job has the label; without ``left_out``, since rows that are no jobs have no labels.
            FrameError where there is no such key, or a time is not on the hour.
        """
        chosen = choose(self, start=start, end=end, labels=labels, trim=True)
        return DurationHistogram(chosen.tables, self.as_of, {})

    def groups(
        self, by: str | Sequence[str], *, measures: Sequence[str] = SAVED
    ) -> Iterator[tuple[tuple[Any, ...], DurationHistogram]]:
        """Yield each combination of the keys' labels, missing ones (NaN, NaT) last, and the part that has it.

        The parts have these ``measures`` only; fewer are faster.
        """
        names = group_columns(by)
        self.check_keys(names)
        groups = Groups.of(self._latency, names)
        order = {name: _rows_by_group(groups.place(self.tables[name]), groups.number) for name in measures}
        for number, labels in enumerate(zip(*groups.labels, strict=True)):
            rows_of = {name: rows[number] for name, rows in order.items()}
            yield (
                labels,
                DurationHistogram(
                    cast("Any", _Taken(self.tables, rows_of.__getitem__, rows_of)), self.as_of, {}
                ),
            )

    def cells(self) -> pd.DataFrame:
        """Return one row per combination of labels.

        Returns
        -------
        pandas.DataFrame
            The keys, ``jobs``, and the number of jobs of each duration and class: ``queue_latency_ended``,
            ``queue_latency_unfinished``, ``queue_latency_unusable``, ``run_time_ended`` …
        """
        groups = Groups.of(self._latency, self.keys)
        numbers: dict[str, Ints] = {}
        for measure, table in self.tables.items():
            if not measure.endswith("_hour"):
                here, kinds = groups._replace(of_row=groups.place(table)), _kinds_of(table)
                numbers |= {
                    f"{measure}_{word}": here.sum(table["jobs"], kinds == kind)
                    for word, kind in _KINDS.items()
                }
        return pd.DataFrame(
            {
                **dict(zip(self.keys, groups.labels, strict=True)),
                "jobs": groups.sum(self._latency["jobs"]),
                **numbers,
            }
        )

    def to_frame(self) -> pd.DataFrame:
        """Return every count.

        Returns
        -------
        pandas.DataFrame
            The keys, ``measure``, ``kind`` (ended, unfinished, unusable), ``value`` and ``jobs``. ``value`` is in
            seconds, and in clock hours after the hour of creation for the measures that end in ``_hour``.
        """
        parts = []
        for measure, table in self.tables.items():
            words = pd.Categorical.from_codes(np.minimum(_kinds_of(table), 2), categories=pd.Index([*_KINDS]))
            part = table[list(self.keys)].assign(
                measure=pd.Categorical([measure] * len(table), categories=SAVED),
                kind=words,
                value=table["seconds"],
                jobs=table["jobs"],
            )
            parts.append(part)
        return _stacked(parts, self.keys)

    def save(self, path: str | Path) -> None:
        """Write a Parquet file with the columns of :meth:`to_frame`; an older file stays until it is whole."""
        target = arguments.path(path)
        known = None if pd.isna(self.as_of) else round(self.as_of.timestamp() * 1000)
        note = json.dumps({"form": _FORM, "as_of_ms": known, "left_out": self.left_out}, sort_keys=True)
        table = pa.Table.from_pandas(self.to_frame(), preserve_index=False)
        table = table.replace_schema_metadata({"cosai_nb": note})
        try:
            write_whole(target, lambda file: pq.write_table(table, file, compression="zstd"))
        except OSError as error:
            raise FileError(f"The histogram could not be written to {target}: {error}") from error

    @classmethod
    def load(cls, path: str | Path) -> DurationHistogram:
        """Read what :meth:`save` wrote; FileError where the file is not there or is no histogram."""
        source = arguments.path(path)
        try:
            table = pq.read_table(source)
            note = json.loads((table.schema.metadata or {})[b"cosai_nb"])
            if note["form"] != _FORM:
                raise FileError(
                    f"{source} holds a histogram of form {note['form']}; this version reads form {_FORM}. "
                    "Build it again from the jobs."
                )
            return cls._read(table.to_pandas(), note)
        except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
            if isinstance(error, FileError):
                raise
            raise FileError(f"{source} cannot be read as a duration histogram: {error!r}") from error

    @classmethod
    def _read(cls, table: pd.DataFrame, note: dict[str, Any]) -> DurationHistogram:
        alive = table["outcome"].isin([str(outcome) for outcome in UNFINISHED_OUTCOMES])
        kind = table["kind"].map(_KINDS).to_numpy(dtype=np.int64)
        gave_up = (kind == UNFINISHED) & ~alive.to_numpy() & (table["measure"] == "queue_latency").to_numpy()
        kind = np.where(gave_up, GAVE_UP, kind)
        keys = [name for name in table.columns if name not in _OWN[:4]]
        counts = table[keys].assign(
            **{"class": pd.Categorical.from_codes(kind, categories=pd.Index(CLASSES))},
            seconds=table["value"].astype(np.int64),
            jobs=table["jobs"].astype(np.int64),
        )
        as_of = pd.NaT if note["as_of_ms"] is None else moments([note["as_of_ms"]])[0]
        left_out = {str(name): int(number) for name, number in note["left_out"].items()}
        measures = table["measure"].astype(object)
        tables = {name: counts[(measures == name).to_numpy()] for name in SAVED}
        counter = cls._counter(keys)  # sorts, and leaves out the labels that a part does not have
        counter.add_counted(Counted(tables, as_of, left_out))
        return cls._of(counter)


class _Taken(Mapping[str, pd.DataFrame]):
    """Some rows of tables, each taken when it is first asked for: a statistic needs few of them."""

    def __init__(
        self,
        tables: Mapping[str, pd.DataFrame],
        rows_of: Callable[[str], Ints],
        names: Iterable[str],
        *,
        trim: bool = True,
    ) -> None:
        self._tables, self._rows_of, self._names, self._trim = tables, rows_of, tuple(names), trim
        self._taken: dict[str, pd.DataFrame] = {}

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self._taken:
            part = self._tables[name].iloc[self._rows_of(name)].reset_index(drop=True)
            keys = [key for key in part.columns if key not in (HOUR, *_OWN)] if self._trim else []
            self._taken[name] = part.assign(**{key: part[key].cat.remove_unused_categories() for key in keys})
        return self._taken[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


def choose(
    counted: Counted,
    labels: Mapping[str, object],
    *,
    start: str | pd.Timestamp | None = None,
    end: str | pd.Timestamp | None = None,
    hours: Ints | None = None,
    trim: bool = False,
) -> Counted:
    """Return the counted jobs that :meth:`DurationHistogram.where` describes.

    ``hours`` are those of creation that may be left, since the epoch. ``recent`` stays what it was. Unless ``trim`` the labels that
    no job has stay among the categories, which no statistic sees.
    """
    counted.check_keys(tuple(labels))
    if HOUR in labels:
        raise FrameError("Hours are chosen by start= and end=, not by hour=.")
    window = tuple(
        None if edge is None else _full_hour(edge, name) for edge, name in ((start, "start"), (end, "end"))
    )

    def rows_of(name: str) -> Ints:
        return _chosen(counted.tables[name], window, labels, hours)

    return Counted(
        cast("Any", _Taken(counted.tables, rows_of, counted.tables, trim=trim)),
        counted.as_of,
        {},
        counted.recent,
    )


def _kinds_of(table: pd.DataFrame) -> Any:
    """Return the class of each row as a file tells it: a job that gave up is an unfinished one with an ended outcome."""
    kinds = class_codes(table)
    return np.where(kinds == GAVE_UP, UNFINISHED, kinds)


def _rows_by_group(group: Any, groups: int) -> list[Any]:
    order = np.argsort(group, kind="stable")
    edges = np.searchsorted(group[order], np.arange(groups + 1))
    return [order[begin:end] for begin, end in itertools.pairwise(edges)]


def _chosen(
    table: pd.DataFrame,
    window: tuple[int | None, ...],
    labels: Mapping[str, object],
    hours: Ints | None,
) -> Ints:
    """Choose the rows of a table: None and NaN mean a missing label; a missing hour lies in no window."""
    kept = np.ones(len(table), dtype=bool)
    if any(edge is not None for edge in window):
        hour = hours_of(table)
        start, end = window
        kept = (hour >= (0 if start is None else start)) & (True if end is None else hour < end)
    if hours is not None:
        kept &= np.isin(hours_of(table), hours)
    for key, wanted in labels.items():
        several = wanted if isinstance(wanted, _SEVERAL) else [wanted]
        missing = any(label is None or label is pd.NA or label != label for label in several)  # noqa: PLR0124  # NaN
        text = {str(label) for label in several}
        chosen = np.array([label in text for label in table[key].cat.categories] + [missing], dtype=bool)
        kept &= chosen[table[key].cat.codes.to_numpy()]
    return np.flatnonzero(kept)


def _full_hour(moment: str | pd.Timestamp, name: str) -> int:
    try:
        time = pd.Timestamp(moment)
    except ValueError as error:
        raise FrameError(f"{name}={moment!r} is no time; write it as '2026-11-01T00:00Z'.") from error
    if pd.isna(time):
        raise FrameError(f"{name}={moment!r} is no time; write it as '2026-11-01T00:00Z'.")
    time = time.tz_localize("UTC") if time.tzinfo is None else time.tz_convert("UTC")
    if time != time.floor("h"):
        raise FrameError(
            f"{name}={moment} is not on the hour, and the histogram knows hours of creation only; "
            "choose a full hour, or cut the jobs frame first."
        )
    return int(time.timestamp()) // 3600


def _stacked(parts: list[pd.DataFrame], keys: Sequence[str]) -> pd.DataFrame:
    """Put tables with categories of their own below each other."""
    for key in keys:
        if key != HOUR:
            union = pd.api.types.union_categoricals([part[key] for part in parts], sort_categories=True)
            for part in parts:
                part[key] = part[key].cat.set_categories(union.categories)
    return pd.concat(parts, ignore_index=True)
