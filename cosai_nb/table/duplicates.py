"""Which rows do not count, because their jobs stand in others: in a frame in memory, in files of any size in bounded memory.

::

    hash_texts(texts)        64 bits of each text, worked out on the Arrow buffers
    is_unique(texts)         whether no text stands twice; equal hashes are compared as texts
    repeated_hashes(runs)    which hashes stand more than once in all of many batches
    outranked(jobs, *keys)   of the rows of one job all but the one that ranks highest
    job_keys(ids, buckets)   a number for each job, which an ID alone does not name
    repeated_rows(fragments) the rows of Parquet files that do not count

The IDs of all files are read and hashed. A hash needs 8 bytes where an ID needs 41: those of 8 million IDs are kept in memory, more of
them in a temporary file (``TMPDIR`` says where), which is read back one part of the hash space after the other. A table of bits would
be smaller, but its false hits can only be told from true ones by reading all IDs again, and reading them is what takes the time.

Where no hash stands twice, nothing more is read. Else the rows whose hashes do are read again, some million at a time, and compared:
their IDs and buckets as texts, then by the rule of :func:`cosai_nb.table.frame.one_row_a_job`, or by that of a store. What was found is
remembered for files of the same path, size and time of change.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cosai_nb.errors import FileError
from cosai_nb.schema import ENDED, NOT_A_JOB, PROGRESS, Outcome
from cosai_nb.table.dtypes import category_array, positions, whole
from cosai_nb.table.parquet import ROWS, Fragment, milliseconds, names_in, tables
from cosai_nb.table.threads import ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Words = NDArray[np.uint64]
    Texts = dict[str, frozenset[str]]

T = TypeVar("T")

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio: odd, and its bits look random
_HALF = np.uint64(32)
_WORD = 8
_CACHED_ROWS = 1 << 15  # the words of so many texts stay in the second cache
_IN_MEMORY = 1 << 26
_PART_HASHES = 2_000_000
_COMPARED = 750_000  # jobs whose rows are compared at once, with 200 MB
_RANKED_BY = ("first", "observed", "progress", "texts")
_PROGRESS = {str(outcome): progress for outcome, progress in PROGRESS.items()}
_LEVELS = {str(outcome): 2 if outcome in ENDED else outcome not in NOT_A_JOB for outcome in Outcome}
"""What counts first in a store: a job that has ended, another, that there is none."""


# --- texts and numbers ---


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
            try:
                file.write(few.data)
            except OSError as error:
                raise FileError(
                    f"{tempfile.gettempdir()} has no room for the hashes of job IDs, 8 bytes each ({error.strerror}): "
                    "set TMPDIR to another folder."
                ) from None
        for pieces, result in ahead(
            lambda pieces: _repeated(np.sort(np.concatenate([*pieces, np.empty(0, np.uint64)]))),
            map(pieces_of, range(parts)),
        ):
            repeated = result.result()
            if len(repeated):
                yield repeated, [number for number, each in enumerate(pieces) if among(repeated, each).any()]


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


# --- rows of files ---


@dataclass
class Repeated:
    """Rows that do not count, because others of their jobs do.

    Parameters
    ----------
    bits : dict of int to ndarray of uint8
        For fragments by number, a bit a row, the highest of a byte first.
    count : int
        How many rows.
    example : str
        One of their IDs.
    texts : set of str
        The store's own texts that may stand in them.
    """

    bits: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    count: int = 0
    example: str = ""
    texts: set[str] = field(default_factory=set)

    def marked(self, fragments: Sequence[Fragment]) -> list[Fragment]:
        """Return the fragments with these rows left out."""
        return [
            each._replace(left_out=self.bits[number].tobytes()) if number in self.bits else each
            for number, each in enumerate(fragments)
        ]


def repeated_rows(fragments: Sequence[Fragment], texts: Texts | None = None) -> Repeated:
    """Find the rows that do not count.

    Parameters
    ----------
    fragments : sequence of Fragment
        With all their rows, in order: of rows that rank alike the last counts.
    texts : dict of str to frozenset of str, optional
        The rule of a store counts, and its parts at these paths hold these texts of their own.

    Raises
    ------
    DamagedFile
        An ID or what ranks it cannot be read.
    """
    return _found(tuple(fragments), None if texts is None else tuple(texts.items()))


@lru_cache(maxsize=4)
def _found(
    fragments: tuple[Fragment, ...], of_parts: tuple[tuple[str, frozenset[str]], ...] | None
) -> Repeated:
    texts = None if of_parts is None else dict(of_parts)
    with_id = [number for number, each in enumerate(fragments) if "job_id" in names_in(each)]
    of_run: list[int] = []

    def runs() -> Iterator[Words]:
        read = ahead(lambda number: _in_time(fragments[number], _hashes(fragments[number])), with_id)
        for number, result in read:
            for run in result.result():
                of_run.append(number)
                yield run

    found = Repeated()
    rows = sum(fragments[number].rows for number in with_id)
    for hashes, numbers in _in_rounds(repeated_hashes(runs(), rows)):
        _compare(found, fragments, sorted({of_run[run] for run in numbers}), hashes, texts)
    return found


def _in_time(fragment: Fragment, read: Iterator[T]) -> Iterable[T]:
    """Read now, in the thread that runs this, what is not too much to be kept."""
    return [*read] if fragment.rows <= ROWS else read


def _hashes(fragment: Fragment) -> Iterator[Words]:
    """Return the hashes of the IDs of a fragment, sorted in runs of up to :data:`ROWS`."""
    run, count = np.empty(min(fragment.rows, ROWS), np.uint64), 0
    for table in tables(fragment, ["job_id"], _slice()):
        ids = table["job_id"]
        hashes = hash_chunks(ids.drop_null() if ids.null_count else ids)
        if count + len(hashes) > len(run):
            run[:count].sort()
            yield run[:count]
            run, count = np.empty_like(run), 0
        run[count : count + len(hashes)] = hashes
        count += len(hashes)
    run[:count].sort()
    yield run[:count]


def _slice() -> int:
    """Return how many IDs are read at once: text in the cache is hashed faster, and a million need 100 MB."""
    return max(1, ROWS // 8)


def _compare(
    found: Repeated, fragments: Sequence[Fragment], numbers: Sequence[int], hashes: Words, texts: Texts | None
) -> None:
    """Compare the rows that have one of these hashes, and add those that do not count."""
    is_wanted = _test_for(hashes)

    def candidates(number: int) -> Iterable[pa.Table]:
        return _in_time(fragments[number], _candidates(number, fragments[number], is_wanted, texts))

    held: list[pa.Table] = []
    for _, result in ahead(candidates, numbers):
        for table in result.result():
            held.append(table)
            if sum(map(len, held)) > 2 * _COMPARED:
                seen, lost = _add_outranked(found, held, fragments, texts)
                kept = np.ones(len(seen), bool)
                kept[lost] = False
                held = [seen.filter(pa.array(kept))]
    if held:
        _add_outranked(found, held, fragments, texts)


def _add_outranked(
    found: Repeated, held: list[pa.Table], fragments: Sequence[Fragment], texts: Texts | None
) -> tuple[pa.Table, Ints]:
    """Add the rows of some tables that do not count; return the tables as one, and which of its rows these are."""
    seen = pa.concat_tables(held).combine_chunks()
    held.clear()  # each copy is a hundred megabytes
    keys = (seen[key].to_numpy() for key in _RANKED_BY)
    names = whole(seen["job_id"])
    jobs = job_keys(names, whole(seen["bucket"]))
    lost = outranked(jobs, *keys)
    if len(lost):
        found.count += len(lost)
        found.example = found.example or names[int(lost.min())].as_py()
    of, places, told_of_job = (seen[name].to_numpy()[lost] for name in ("fragment", "row", "progress"))
    for number in np.unique(of).tolist():
        here = of == number
        bits = found.bits.setdefault(number, np.zeros(-(-fragments[number].rows // 8), np.uint8))
        np.bitwise_or.at(bits, places[here] // 8, (128 >> places[here] % 8).astype(np.uint8))
        if texts and told_of_job[here].any():
            found.texts |= texts[fragments[number].path]
    return seen, lost


def _in_rounds(parts: Iterable[tuple[Words, list[int]]]) -> Iterator[tuple[Words, set[int]]]:
    """Put parts of the hash space together, as much as is compared at once."""
    hashes: list[Words] = []
    runs: set[int] = set()
    for repeated, held in parts:
        if hashes and sum(map(len, hashes)) + len(repeated) > _COMPARED:
            yield np.concatenate(hashes), runs
            hashes, runs = [], set()
        hashes.append(repeated)
        runs = runs.union(held)
    if hashes:
        yield np.concatenate(hashes), runs  # in order, as the parts are


def _candidates(
    number: int, fragment: Fragment, is_wanted: Callable[[Words], Ints], texts: Texts | None
) -> Iterator[pa.Table]:
    """Return the rows of a fragment whose IDs have a wanted hash, and what ranks them."""
    first = 0
    for table in tables(fragment, ["job_id", "outcome", "observed_at", "bucket"], _slice()):
        hashes = hash_chunks(table["job_id"].drop_null())
        wanted = is_wanted(hashes)
        rows = np.flatnonzero(table["job_id"].is_valid())[wanted]
        chosen = table.take(pa.array(rows))
        outcome = whole(chosen["outcome"])
        progress = positions(outcome, _PROGRESS, other=0)
        bucket = whole(chosen["bucket"]).cast(pa.string())
        if texts is not None:  # in a store, that an ID is not found gives way to its job in any bucket
            bucket = pc.if_else(pa.array(progress == 0), pa.scalar(None, pa.string()), bucket)
        candidates = pa.table(
            {
                "job_id": chosen["job_id"],
                "bucket": bucket,
                "first": progress if texts is None else positions(outcome, _LEVELS, other=1),
                "observed": milliseconds(whole(chosen["observed_at"])),
                "progress": progress,
                "texts": np.full(len(rows), len(texts[fragment.path]) if texts else 0, np.int16),
                "fragment": np.full(len(rows), number, np.int32),
                "row": (first + rows).astype(np.int32),
            }
        )
        # in files rows that tell of no job are kept
        yield candidates if texts is not None else candidates.filter(pa.array(progress > 0))
        first += len(table)


def _test_for(hashes: Words) -> Callable[[Words], Ints]:
    """Return a function that finds the places of sorted hashes among others; most are told apart by one look into the cache."""
    shift = np.uint64(64 - min(24, max(10, len(hashes).bit_length() + 4)))
    is_near = np.zeros(1 << (64 - int(shift)), bool)
    is_near[hashes >> shift] = True

    def places(others: Words) -> Ints:
        near = np.flatnonzero(is_near[others >> shift])
        return near[among(others[near], hashes)]

    return places
