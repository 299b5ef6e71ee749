"""Labels to small integers and back, and counting of integers: the arithmetic below the histogram.

A key column is coded as its sorted labels and an int64 code a row; −1 is a missing label and sorts last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from cosai_nb.stats.frames import HOUR_MS, MISSING, milliseconds

if TYPE_CHECKING:
    from collections.abc import Sequence

Ints = npt.NDArray[np.int64]
Labels = npt.NDArray[Any]
Keys = npt.NDArray[np.integer[Any]]
_LIMIT = 2**62
_SMALL_TABLE = 2**20


class Coded(NamedTuple):
    """Sorted labels (text, or int64 hours since the epoch) and a code per row."""

    labels: Labels
    codes: Ints


def code_labels(column: pd.Series) -> Coded:
    """Code a column by the text of its values; labels that no row has are left out.

    Examples
    --------
    >>> code_labels(pd.Series(["b", "a", None, "b"])).codes
    array([ 1,  0, -1,  1])
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        raw, values = column.cat.codes.to_numpy(), column.cat.categories
    else:
        raw, values = pd.factorize(column)
    labels, order = np.unique(np.array([str(value) for value in values], dtype=object), return_inverse=True)
    codes = np.append(order.astype(np.int64), -1)[raw]  # −1 picks the last, which is −1
    return drop_unused(Coded(labels, codes))


def code_hours(times: pd.Series) -> Coded:
    """Code times by their hour (UTC)."""
    moments = milliseconds(times)
    known = moments != MISSING
    hours = moments // HOUR_MS
    if not known.any():
        return Coded(np.empty(0, dtype=np.int64), np.full(len(moments), -1, dtype=np.int64))
    first = int(hours[known].min())
    shifted = np.where(known, hours - first, 0)
    labels, codes = compact(shifted, int(shifted.max()) + 1)
    return drop_unused(Coded(labels + first, np.where(known, codes, -1)))


def drop_unused(coded: Coded) -> Coded:
    """Drop labels that no row has."""
    used = np.zeros(len(coded.labels) + 1, dtype=bool)
    used[coded.codes] = True
    used = used[:-1]
    if used.all():
        return coded
    renumbered = np.append(np.cumsum(used) - 1, -1)
    return Coded(coded.labels[used], renumbered[coded.codes])


def compact(codes: Ints, space: int) -> tuple[Ints, Ints]:
    """Return the sorted distinct codes below ``space`` and, for each row, its place among them.

    Examples
    --------
    >>> compact(np.array([7, 3, 7]), 8)
    (array([3, 7]), array([1, 0, 1]))
    """
    if space > max(4 * len(codes), _SMALL_TABLE):
        values, places = np.unique(codes, return_inverse=True)
        return values, places.astype(np.int64)
    seen = np.zeros(space, dtype=bool)
    seen[codes] = True
    return np.flatnonzero(seen), (np.cumsum(seen) - 1)[codes]


def number_cells(columns: Sequence[Coded]) -> tuple[list[Ints], Ints]:
    """Give each distinct combination of the columns' codes a number, in sorted order.

    Returns
    -------
    cells : list of int64 arrays
        For each column, the code of each distinct combination.
    cell : int64 array
        For each row, the number of its combination.
    """
    cell = np.zeros(len(columns[0].codes), dtype=np.int64)
    space = 1
    for labels, codes in columns:
        size = len(labels) + 1
        if space * size > _LIMIT:
            distinct, cell = compact(cell, space)
            space = len(distinct)
        cell = cell * size + np.where(codes < 0, size - 1, codes)
        space *= size
    distinct, cell = compact(cell, space)
    row = np.empty(len(distinct), dtype=np.int64)
    row[cell] = np.arange(len(cell))
    return [codes[row] for _, codes in columns], cell


class Counts(NamedTuple):
    """How many jobs each (cell, kind, value) has: sorted, distinct, never 0."""

    cell: Ints
    kind: Ints
    value: Ints
    jobs: Ints


def tally(cell: Ints, kind: Keys, value: Ints, jobs: Ints | None = None) -> Counts:
    """Count the rows of each (cell, kind, value); ``jobs`` says how many a row stands for, otherwise 1.

    Examples
    --------
    >>> tally(np.array([1, 0, 1]), np.array([0, 0, 0]), np.array([5, 9, 5])).jobs
    array([1, 2])
    """
    if not len(cell):
        return Counts(*(np.empty(0, dtype=np.int64) for _ in range(4)))
    kinds, width = int(kind.max()) + 1, int(value.max()) + 1
    values = None
    if (int(cell.max()) + 1) * kinds * width > _LIMIT:
        values, value = np.unique(value, return_inverse=True)
        width = len(values)
    space = (int(cell.max()) + 1) * kinds * width
    short = np.uint32 if space <= 2**32 else np.int64  # half the bytes sort in half the time
    key = (cell.astype(short) * kinds + kind.astype(short)) * width + value.astype(short)
    key, total = _count(key, space, jobs)
    rest, seconds = np.divmod(key.astype(np.int64), width)
    cells, kinds_of = np.divmod(rest, kinds)
    return Counts(cells, kinds_of, seconds if values is None else values[seconds], total)


def _count(key: Keys, space: int, jobs: Ints | None) -> tuple[Keys, Ints]:
    """Sorted distinct keys below ``space``, and how often each came."""
    if jobs is not None:
        order = np.argsort(key, kind="stable")
        key, jobs = key[order], jobs[order]
        first = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
        return key[first], np.add.reduceat(jobs, first)
    if space <= max(4 * len(key), _SMALL_TABLE):
        table = np.bincount(key)
        present = np.flatnonzero(table)
        return present, table[present]
    key = np.sort(key)
    first = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
    return key[first], np.diff(np.append(first, len(key)))


def merge_labels(one: Coded, other: Coded) -> Coded:
    """Code the rows of both, one after the other, by the union of their labels."""
    labels = np.unique(np.concatenate((one.labels, other.labels)))
    codes = [np.append(np.searchsorted(labels, part.labels), -1)[part.codes] for part in (one, other)]
    return Coded(labels, np.concatenate(codes).astype(np.int64))
