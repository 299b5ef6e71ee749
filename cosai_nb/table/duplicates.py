"""Which rows of Parquet files do not count, because their jobs stand in others: found in bounded memory.

The IDs of all files are read and hashed (:mod:`cosai_nb.table.hashes`). Where no hash stands twice, nothing more is read. Else the
rows whose hashes do are read again, some million at a time, and compared: their IDs and buckets as texts, then by the rule of
:func:`cosai_nb.table.frame.one_row_a_job`, or by that of a store. What was found is remembered for files of the same path, size and
time of change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cosai_nb.schema import ENDED, NOT_A_JOB, PROGRESS, Outcome
from cosai_nb.table.dtypes import positions, whole
from cosai_nb.table.hashes import among, hash_chunks, job_keys, outranked, repeated_hashes
from cosai_nb.table.parquet import ROWS, Fragment, milliseconds, names_in, tables
from cosai_nb.table.threads import ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Words = NDArray[np.uint64]
    Texts = dict[str, frozenset[str]]

T = TypeVar("T")

_COMPARED = 750_000  # jobs whose rows are compared at once, with 200 MB
_RANKED_BY = ("first", "observed", "progress", "texts")
_PROGRESS = {str(outcome): progress for outcome, progress in PROGRESS.items()}
_LEVELS = {str(outcome): 2 if outcome in ENDED else outcome not in NOT_A_JOB for outcome in Outcome}
"""What counts first in a store: a job that has ended, another, that there is none."""


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
        for number, result in ahead(
            lambda number: _in_time(fragments[number], _hashes(fragments[number])), with_id
        ):
            for run in result.result():
                of_run.append(number)
                yield run

    found = Repeated()
    for hashes, numbers in _in_rounds(
        repeated_hashes(runs(), sum(fragments[number].rows for number in with_id))
    ):
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


def _in_rounds(
    parts: Iterable[tuple[Words, list[int]]],
) -> Iterator[tuple[Words, set[int]]]:
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
