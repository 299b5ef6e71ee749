"""Distinct rows of integer columns, counted: the arithmetic below every table of counts.

::

    tally(columns, jobs)   the distinct rows in order, and how many jobs each stands for
    rank(columns)          the distinct rows in order, and the place of each row among them
    joined(parts)          tallies below each other, to be tallied again

The columns of a row become one integer, which is counted in a table where there are few different ones, and sorted otherwise.
What comes back is held in as few bytes as its numbers need: counts of many groups are hundreds of megabytes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cosai_nb.stats.measures import Ints

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Tally = tuple[list[Ints], Ints]
"""Distinct rows, column by column, and the jobs of each."""
_LIMIT, _SHORT = 2**62, 2**32
_RANKED = 8  # to sort with the way back takes some times as long as to sort
_BYTES = (np.int8, np.int16, np.int32)


def _pack(columns: Sequence[Any], factor: int = 2) -> tuple[Any, int, Callable[[Any], list[Ints]]]:
    """Return one integer a row that sorts as the columns do, how many there can be, and the way back."""
    columns, ranked = list(columns), {}
    while True:
        edges = [(int(column.min()), int(column.max())) for column in columns]
        widths = [high - low + 1 for low, high in edges]
        if math.prod(widths) <= _LIMIT:
            break
        widest = int(np.argmax([0 if place in ranked else width for place, width in enumerate(widths)]))
        ranked[widest], columns[widest] = np.unique(columns[widest], return_inverse=True)
    space, lows = math.prod(widths), [low for low, _ in edges]
    few = space <= _dense(len(columns[0]), factor)  # then a key is an index of a table
    # half the bytes sort in half the time
    dtype = np.int64 if few else np.uint32 if space <= _SHORT else np.uint64
    key: Any = np.zeros(0, dtype=dtype)
    offset = 0
    for column, low, width in zip(columns, lows, widths, strict=True):
        if width == 1:
            continue
        if len(key):
            key *= dtype(width)
            np.add(key, column, out=key, dtype=dtype, casting="unsafe")
        else:
            key = column.astype(dtype)
        offset = offset * width + low
    if not len(key):
        key = np.zeros(len(columns[0]), dtype=dtype)
    # everything is modulo the width of the type, so nothing overflows
    key -= np.uint64(offset % 2**64).astype(dtype)

    def unpack(keys: Any) -> list[Ints]:
        found = []
        for place in reversed(range(len(widths))):
            # numpy takes remainders ten times as slowly as it divides by one number
            rest = keys // keys.dtype.type(widths[place]) if widths[place] > 1 else keys
            value = keys - rest * keys.dtype.type(widths[place])
            if place in ranked:
                found.append(ranked[place][value])
            else:
                dtype = _narrow(*edges[place])
                value = value.astype(dtype)  # modulo its width, as is the sum
                value += dtype(lows[place])
                found.append(value)
            keys = rest
        return found[::-1]

    return key, space, unpack


def _narrow(low: int, high: int) -> Any:
    """Return the shortest type that holds both."""
    return next(
        (dtype for dtype in _BYTES if np.iinfo(dtype).min <= low <= high <= np.iinfo(dtype).max), np.int64
    )


def _dense(rows: int, factor: int = 2) -> int:
    """Return up to how many different keys are counted in a table instead of being sorted."""
    return max(factor * rows, 2**16)


def tally(columns: Sequence[Ints], jobs: Ints | None = None) -> Tally:
    """Return the sorted distinct rows of integer columns, and how many jobs each stands for.

    Parameters
    ----------
    columns : sequence of int arrays, shape (rows,)
        The first decides first.
    jobs : int64 array, shape (rows,), optional
        Jobs of each row; one each by default.

    Examples
    --------
    >>> columns, jobs = tally([np.array([1, 0, 1]), np.array([5, 9, 5])])
    >>> [column.tolist() for column in columns], jobs.tolist(), jobs.dtype
    ([[0, 1], [9, 5]], [1, 2], dtype('int8'))
    """
    if not len(columns[0]):
        return [np.empty(0, dtype=np.int64) for _ in columns], np.empty(0, dtype=np.int64)
    key, space, unpack = _pack(columns)
    del columns  # the last that holds them, often
    if space <= _dense(len(key)):
        seen = np.bincount(key, minlength=space)
        number = seen if jobs is None else np.bincount(key, jobs, space).astype(np.int64)
        key = np.flatnonzero(seen)
        number = number[key]
    else:
        if jobs is None:
            key.sort()
        else:
            order = np.argsort(key, kind="stable")  # what is joined is sorted in itself: a tenth of the time
            key, jobs = key[order], jobs[order]
        first = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
        if jobs is None:
            number = np.diff(np.append(first, len(key)))
        else:
            number = np.add.reduceat(jobs, first, dtype=np.int64)
        key = key[first]
    return unpack(key), number.astype(_narrow(int(number.min()), int(number.max())))


def rank(columns: Sequence[Ints]) -> tuple[list[Ints], Ints]:
    """Return the sorted distinct rows of integer columns, and for each row its place among them.

    Examples
    --------
    >>> rank([np.array([7, 3, 7])])
    ([array([3, 7])], array([1, 0, 1]))
    """
    if not len(columns[0]):
        return [np.empty(0, dtype=np.int64) for _ in columns], np.empty(0, dtype=np.int64)
    key, space, unpack = _pack(columns, _RANKED)
    if space > _dense(len(key), _RANKED):
        distinct, place = np.unique(key, return_inverse=True)
    else:
        seen = np.zeros(space, dtype=bool)
        seen[key] = True
        distinct, place = np.flatnonzero(seen), (np.cumsum(seen, dtype=np.int32)[key] - 1).astype(np.int64)
    return [column.astype(np.int64) for column in unpack(distinct)], place


def joined(parts: list[Tally]) -> Tally:
    """Put tallies below each other, to be tallied again; they are used up."""
    if len(parts) == 1:
        return list(parts[0][0]), parts[0][1]
    columns = []
    for place in range(len(parts[0][0])):  # freed one by one: of many groups they are hundreds of megabytes
        columns.append(np.concatenate([part[place] for part, _ in parts]))
        for part, _ in parts:
            part[place] = columns[-1][:0]
    return columns, np.concatenate([jobs for _, jobs in parts])
