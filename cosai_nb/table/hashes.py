"""Find job IDs that stand more than once: in a frame in memory, in files of any size in bounded memory.

::

    hash_texts(texts)        64 bits of each text, worked out on the Arrow buffers
    is_unique(texts)         whether no text stands twice; equal hashes are compared as texts
    repeated_hashes(runs)    which hashes stand more than once in all of many batches
    outranked(jobs, *keys)   of the rows of one job all but the one that ranks highest
    job_keys(ids, buckets)   a number for each job, which an ID alone does not name

A hash needs 8 bytes where an ID needs 41. Those of 8 million IDs are kept in memory, more of them in a temporary file
(``TMPDIR`` says where), which is read back one part of the hash space after the other. A table of bits would be smaller, but
its false hits can only be told from true ones by reading all IDs again, and reading them is what takes the time.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cosai_nb.errors import FileError
from cosai_nb.table.dtypes import category_array
from cosai_nb.table.threads import ahead

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Words = NDArray[np.uint64]

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio: odd, and its bits look random
_HALF = np.uint64(32)
_WORD = 8
_CACHED_ROWS = 1 << 15  # the words of so many texts stay in the second cache
_IN_MEMORY = 1 << 26
_PART_HASHES = 2_000_000


def hash_texts(texts: pa.Array) -> Words:
    """Hash each text to 64 bits; equal texts have equal hashes in every batch and process.

    Parameters
    ----------
    texts : pyarrow.Array of string or large_string, shape (n,)
        Without nulls. Texts of one length take about 12 ns each, others a few times as long.

    Returns
    -------
    ndarray of uint64, shape (n,)

    Examples
    --------
    >>> hashes = hash_texts(pa.array(["a1", "b2", "a1"]))
    >>> bool(hashes[0] == hashes[2]), bool(hashes[0] == hashes[1])
    (True, False)
    """
    _, ends, content = texts.buffers()
    offsets = np.frombuffer(ends, np.int64 if pa.types.is_large_string(texts.type) else np.int32)
    offsets = offsets[texts.offset : texts.offset + len(texts) + 1]
    lengths = np.diff(offsets)
    if not len(texts) or lengths.min() == lengths.max():
        width = int(lengths[0]) if len(texts) else 0
        return _hash_equal_lengths(content, int(offsets[0]) if len(offsets) else 0, len(texts), width)
    hashes = np.empty(len(texts), np.uint64)
    for length in np.flatnonzero(np.bincount(lengths)):
        rows = np.flatnonzero(lengths == length)
        hashes[rows] = hash_texts(texts.take(pa.array(rows)))
    return hashes


def _hash_equal_lengths(content: Any, first: int, count: int, length: int) -> Words:
    """Mix in the 8-byte words of each text, the last of which may overlap the one before."""
    hashes = np.full(count, length, np.uint64)
    if not length:
        return hashes
    if length < _WORD:
        padded = np.zeros((count, _WORD), np.uint8)
        padded[:, :length] = np.frombuffer(content, np.uint8, count * length, first).reshape(count, length)
        content, first = padded.data, 0
    stride = max(length, _WORD)
    places = [*range(0, stride - _WORD, _WORD), stride - _WORD]
    for start in range(0, count, _CACHED_ROWS):
        mixed = hashes[start : start + _CACHED_ROWS]
        shifted = np.empty_like(mixed)
        for place in places:
            offset = first + start * stride + place
            mixed ^= np.ndarray(mixed.shape, "<u8", content, offset, (stride,))
            mixed *= _MULTIPLIER
            np.right_shift(mixed, _HALF, out=shifted)
            mixed ^= shifted
    return hashes


def is_unique(texts: pa.ChunkedArray) -> bool:
    """Return whether no text stands twice, whatever the nulls are: 0.03 s a million.

    Examples
    --------
    >>> is_unique(pa.chunked_array([["a1", None], ["a2", None]])), is_unique(pa.chunked_array([["a1"], ["a1"]]))
    (True, False)
    """
    texts = texts.drop_null() if texts.null_count else texts  # which would copy them
    hashes = hash_chunks(texts)
    hashes.sort()
    repeated = _repeated(hashes)
    if not len(repeated):
        return True
    alike = texts.filter(pa.array(among(hash_chunks(texts), repeated)))
    return len(alike.unique()) == len(alike)


def hash_chunks(texts: pa.ChunkedArray) -> Words:
    """Hash the texts of a column, as :func:`hash_texts`."""
    hashes = np.empty(len(texts), np.uint64)
    first = 0
    for chunk in texts.chunks:
        hashes[first : first + len(chunk)] = hash_texts(chunk)
        first += len(chunk)
    return hashes


def _repeated(ordered: Words) -> Words:
    """Return, once each, the hashes that stand more than once in a sorted array."""
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    once: Words = again[np.append(True, again[1:] != again[:-1])[: len(again)]]
    return once


def repeated_hashes(runs: Iterable[Words], count: int) -> Iterator[tuple[Words, list[int]]]:
    """Find the hashes that stand more than once, in 200 MB of memory whatever their number.

    Parameters
    ----------
    runs : iterable of ndarray of uint64
        The hashes of one batch each, sorted.
    count : int
        How many hashes there will be at most.

    Yields
    ------
    tuple of (ndarray of uint64, list of int)
        Sorted hashes, no hash in two yields, and the numbers of the runs that hold any of them.

    Raises
    ------
    FileError
        Where the temporary file cannot be written.

    Examples
    --------
    >>> runs = [np.array([1, 5], np.uint64), np.array([2, 5], np.uint64), np.array([3], np.uint64)]
    >>> [(hashes.tolist(), numbers) for hashes, numbers in repeated_hashes(runs, 5)]
    [([5], [0, 1])]
    """
    parts = 1 + count // _PART_HASHES
    edges = np.arange(1, parts, dtype=np.uint64) * np.uint64((2**64 - 1) // parts)
    bounds: list[Ints] = []  # where in the file the hashes of each run and part begin
    written = 0
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:

        def pieces_of(part: int) -> list[Words]:
            pieces = []
            for bound in bounds:
                first, last = bound[part : part + 2].tolist()
                file.seek(first * _WORD)
                pieces.append(np.frombuffer(file.read((last - first) * _WORD), np.uint64))
            return pieces

        for run in runs:
            third = run[2:] == run[:-2]  # which says nothing new, and may be everything
            few = run[np.append([True, True], ~third)] if third.any() else run
            bounds.append(written + np.concatenate([[0], np.searchsorted(few, edges), [len(few)]]))
            written += len(few)
            _write(file, few)
        for pieces, result in ahead(_repeated_in, map(pieces_of, range(parts))):
            repeated = result.result()
            if len(repeated):
                yield repeated, [number for number, each in enumerate(pieces) if among(repeated, each).any()]


def _repeated_in(pieces: Sequence[Words]) -> Words:
    return _repeated(np.sort(np.concatenate([*pieces, np.empty(0, np.uint64)])))


def _write(file: Any, hashes: Words) -> None:
    try:
        file.write(hashes.data)
    except OSError as error:
        raise FileError(
            f"{tempfile.gettempdir()} has no room for the hashes of job IDs, 8 bytes each ({error.strerror}): "
            "set TMPDIR to another folder."
        ) from None


def among(hashes: Words, ordered: Words) -> NDArray[np.bool_]:
    """Return which hashes are in a sorted array."""
    if not len(ordered):
        return np.zeros(len(hashes), bool)
    places = np.minimum(np.searchsorted(ordered, hashes), len(ordered) - 1)
    found: NDArray[np.bool_] = ordered[places] == hashes
    return found


def outranked(jobs: Ints, *keys: NDArray[Any]) -> Ints:
    """Return the rows that stand behind another row of the same job.

    Parameters
    ----------
    jobs : ndarray of int64, shape (n,)
        The job of each row, as a number.
    *keys : ndarray of integers, shape (n,)
        The highest counts, the first key before the others; of rows alike in all of them the last.

    Examples
    --------
    >>> outranked(np.array([7, 8, 7]), np.array([3, 1, 2])).tolist()
    [2]
    """
    order = np.lexsort((*reversed(keys), jobs))
    ordered = jobs[order]
    rows: Ints = order[:-1][ordered[1:] == ordered[:-1]]
    return rows


def job_keys(ids: pa.Array, buckets: pa.Array) -> Ints:
    """Return the same number for rows of one job: of one ID and bucket, and of that ID without a bucket.

    Rows without a bucket were written by version 0.1.0, or are about all buckets that were asked. Where an ID stands in several
    buckets, they go with the first of these by name.

    Examples
    --------
    >>> job_keys(pa.array(["a", "a", "b", "a"]), pa.array(["x", None, None, "y"])).tolist()
    [0, 0, 3, 1]
    """
    names = ids.dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int64)
    categories = category_array(buckets)
    places, number = categories.codes.astype(np.int64), len(categories.categories)
    first = np.full(names.max(initial=-1) + 1, max(number - 1, 0))
    np.minimum.at(first, names[places >= 0], places[places >= 0])
    keys: Ints = names * max(number, 1) + np.where(places < 0, first[names], places)
    return keys
