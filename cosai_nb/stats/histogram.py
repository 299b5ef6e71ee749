"""The duration histogram: the one summary that every statistic is computed from.

For each cell (hour of creation in UTC × queue_id × tag × outcome × code × your own keys) it holds how many jobs took
each whole second, for each measure and class of :mod:`cosai_nb.stats.censoring`. Nothing is rounded that the
service had not rounded, and no job is dropped: every job of a cell is in exactly one class of ``queue_latency`` and of
``total_time`` (``ENDED``, ``UNFINISHED``, ``UNUSABLE``). It merges by ``+``, exactly and in any order.

::

    DurationHistogram.from_jobs(jobs, keys=())     from a frame, in one pass
    as_histogram(jobs, by=())                      a frame or a histogram, with these keys, as a histogram
    a + b,  a == b,  a.save(path),  DurationHistogram.load(path)
    h.where(tag="Translation", queue_id=[…], start=, end=)    the part of it, without the frame
    h.groups(["tag"], measures=MEASURES)           (labels, part) for each group; a missing label is a group
    h.keys  h.jobs  h.as_of  h.left_out            names; jobs in it; newest observed_at; rows that are no jobs
    h.cells()                                      DataFrame: keys, jobs, and a column per measure and class
    h.to_frame()                                   DataFrame: keys, measure, kind, value, jobs; one row a count
    h.counts(measure)                              Counts(cell, kind, value, jobs), sorted int64 arrays
    h.coded(key)                                   Coded(labels, codes): the label of each cell; code −1 is missing
    h.curve(measure)                               Curve(seconds, ended, unfinished) of all cells together
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cosai_nb import arguments
from cosai_nb.errors import FrameError
from cosai_nb.stats import histogram_table as tables
from cosai_nb.stats import slices
from cosai_nb.stats.censoring import KEYS, MEASURES, Measured, measure_jobs, only_jobs, text_keys
from cosai_nb.stats.coding import (
    Coded,
    Counts,
    Ints,
    code_hours,
    code_labels,
    drop_unused,
    number_cells,
)
from cosai_nb.stats.curves import Curve, pool
from cosai_nb.stats.frames import group_columns

__all__ = ("KEYS", "DurationHistogram", "as_histogram", "only_jobs")

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


class DurationHistogram:
    """Exact counts of durations by hour, queue, tag, outcome and code; made by :meth:`from_jobs`.

    Parameters
    ----------
    columns : mapping of str to Coded
        Sorted labels of each key and the code of each cell.
    counts : mapping of str to Counts
        For each measure, how often each (cell, class, second) occurs.
    as_of : pandas.Timestamp
        The newest ``observed_at``; NaT where there are no jobs.
    left_out : mapping of str to int
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

    def __init__(
        self,
        columns: Mapping[str, Coded],
        counts: Mapping[str, Counts],
        as_of: tables.Moment,
        left_out: Mapping[str, int],
    ) -> None:
        self._columns = dict(columns)
        self._counts = dict(counts)
        self.as_of = as_of
        self.left_out = dict(left_out)

    @classmethod
    def from_jobs(cls, jobs: pd.DataFrame, *, keys: Sequence[str] = ()) -> DurationHistogram:
        """Count a frame.

        Parameters
        ----------
        jobs : pandas.DataFrame
            One row per job.
        keys : sequence of str, optional
            Further columns to keep apart, such as ``input_lang``; their values are kept as text.

        Raises
        ------
        FrameError
            A column is missing or is not in its documented form.
        """
        keys = group_columns(keys)
        jobs, left_out = only_jobs(jobs, keys)
        return cls.from_measured(jobs, measure_jobs(jobs), keys=keys, left_out=left_out)

    @classmethod
    def from_measured(
        cls,
        jobs: pd.DataFrame,
        measured: Mapping[str, Measured],
        *,
        keys: Sequence[str] = (),
        left_out: Mapping[str, int] | None = None,
    ) -> DurationHistogram:
        """Count measures that are worked out already, row by row of what :func:`only_jobs` returns."""
        coded = {"hour": code_hours(jobs["creation_time"])}
        columns, counts = slices.build(
            coded | {key: code_labels(jobs[key]) for key in text_keys(keys)}, measured
        )
        seen = jobs["observed_at"].max()
        as_of = pd.NaT if pd.isna(seen) else pd.Timestamp(seen).tz_convert("UTC").as_unit("ms")
        return cls(columns, counts, as_of, left_out or {})

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the keys, ``hour`` first."""
        return tuple(self._columns)

    @property
    def jobs(self) -> int:
        """Number of jobs."""
        return int(self._counts["queue_latency"].jobs.sum())

    def counts(self, measure: str) -> Counts:
        """Return how often each (cell, class, second) occurs, as sorted int64 arrays."""
        return self._counts[measure]

    def coded(self, key: str) -> Coded:
        """Return the sorted labels of a key (int64 hours since the epoch for ``hour``) and each cell's code."""
        return self._columns[key]

    def curve(self, measure: str) -> Curve:
        """Return the counts per second of all cells together."""
        return pool(self._counts[measure])

    def __add__(self, other: object) -> DurationHistogram:
        if not isinstance(other, DurationHistogram):
            return NotImplemented
        if set(self.keys) != set(other.keys):
            raise FrameError(
                f"A histogram by {', '.join(self.keys)} cannot be added to one by {', '.join(other.keys)}; "
                "build both with the same keys=."
            )
        columns, counts = slices.merge(
            (self._columns, {key: other.coded(key) for key in self.keys}),
            (self._counts, {name: other.counts(name) for name in MEASURES}),
        )
        outcomes = sorted({*self.left_out, *other.left_out})
        left_out = {name: self.left_out.get(name, 0) + other.left_out.get(name, 0) for name in outcomes}
        return DurationHistogram(columns, counts, slices.newest(self.as_of, other.as_of), left_out)

    def __radd__(self, other: object) -> DurationHistogram:
        return self if other == 0 else NotImplemented  # sum() begins with 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DurationHistogram):
            return NotImplemented
        return (
            self.keys == other.keys
            and self.left_out == other.left_out
            and str(self.as_of) == str(other.as_of)  # NaT is not equal to itself
            and all(slices.same(self._columns[key], other.coded(key)) for key in self.keys)
            and all(slices.same(self._counts[name], other.counts(name)) for name in MEASURES)
        )

    __hash__ = None  # type: ignore[assignment]  # it compares by content, which is large

    def __repr__(self) -> str:
        return (
            f"<DurationHistogram of {self.jobs:,} jobs in {len(self._columns['hour'].codes):,} cells "
            f"by {', '.join(self.keys)}, as of {self.as_of}>"
        )

    def where(
        self,
        *,
        start: str | pd.Timestamp | None = None,
        end: str | pd.Timestamp | None = None,
        **labels: object,
    ) -> DurationHistogram:
        """Return the cells with these labels, created in ``start`` ≤ hour < ``end``.

        Parameters
        ----------
        start, end : str or pandas.Timestamp, optional
            Full hours; text without a zone is UTC.
        **labels : str or list of str, optional
            One label or several of any key but ``hour``; None stands for a missing one.

        Returns
        -------
        DurationHistogram
            Empty where no cell has the label; without ``left_out``, since rows that are no jobs belong to no cell.
            FrameError where there is no such key, or a time is not on the hour.
        """
        self.check_keys(tuple(labels))
        if "hour" in labels:
            raise FrameError("Hours are chosen by start= and end=, not by hour=.")
        kept = slices.created_within(self._columns["hour"], start, end)
        for key, wanted in labels.items():
            kept &= slices.labelled(self._columns[key], wanted)
        rows = {name: slices.rows_of(counts, kept) for name, counts in self._counts.items()}
        return self._take(np.flatnonzero(kept), rows)

    def groups(
        self, by: str | Sequence[str], *, measures: Sequence[str] = MEASURES
    ) -> Iterator[tuple[tuple[tables.Label, ...], DurationHistogram]]:
        """Yield each combination of the keys' labels, missing ones last, and the part that has it.

        The parts have these ``measures`` only; fewer are faster.
        """
        names = group_columns(by)
        self.check_keys(names)
        columns = [self._columns[name] for name in names]
        distinct, group = number_cells(columns)
        size = len(distinct[0])
        cells = slices.split_by(group, size)
        parts = {name: slices.rows_by_group(self._counts[name], group, cells) for name in measures}
        for number in range(size):
            labels = tuple(
                tables.shown(name, column.labels, int(codes[number]))
                for name, column, codes in zip(names, columns, distinct, strict=True)
            )
            yield labels, self._take(cells[number], {name: parts[name][number] for name in measures})

    def _take(self, cells: Ints, counts: Mapping[str, Counts]) -> DurationHistogram:
        columns = {
            key: drop_unused(Coded(labels, codes[cells])) for key, (labels, codes) in self._columns.items()
        }
        return DurationHistogram(columns, counts, self.as_of, {})

    def check_keys(self, names: Sequence[str]) -> None:
        """Raise a FrameError unless each name is a key of this histogram."""
        for name in names:
            if name not in self._columns:
                raise FrameError(
                    f"The histogram has no key {name!r}; it has: {', '.join(self.keys)}. "
                    f"Build it with DurationHistogram.from_jobs(jobs, keys=[{name!r}])."
                )

    def cells(self) -> pd.DataFrame:
        """Return one row per cell.

        Returns
        -------
        pandas.DataFrame
            The keys, ``jobs``, and the number of jobs of each duration and class: ``queue_latency_ended``,
            ``queue_latency_unfinished``, ``queue_latency_unusable``, ``run_time_ended`` …
        """
        return tables.cells_table(self._columns, self._counts)

    def to_frame(self) -> pd.DataFrame:
        """Return every count.

        Returns
        -------
        pandas.DataFrame
            The keys, ``measure``, ``kind`` (ended, unfinished, unusable), ``value`` and ``jobs``. ``value`` is in
            seconds, and in clock hours after the hour of creation for the measures that end in ``_hour``.
        """
        return tables.long_table(self._columns, self._counts)

    def save(self, path: str | Path) -> None:
        """Write a Parquet file with the columns of :meth:`to_frame`; an older file stays until it is whole."""
        tables.write_parts((self._columns, self._counts, self.as_of, self.left_out), arguments.path(path))

    @classmethod
    def load(cls, path: str | Path) -> DurationHistogram:
        """Read what :meth:`save` wrote; FileError where the file is not there or is no histogram."""
        return cls(*tables.read_parts(arguments.path(path)))


def as_histogram(
    jobs: pd.DataFrame | DurationHistogram, by: str | Sequence[str] | None = None
) -> DurationHistogram:
    """Return a frame's histogram, or the histogram itself; FrameError unless it can be grouped by these keys."""
    names = group_columns(by)
    if not isinstance(jobs, DurationHistogram):
        return DurationHistogram.from_jobs(jobs, keys=names)
    jobs.check_keys(names)
    return jobs
