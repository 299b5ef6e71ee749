"""Tables of the schema's Arrow types from runs of row groups of Parquet files.

::

    pieces_of(path)          a file as fragments of up to a million rows
    tables(fragment, names)  its rows that count
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cosai_nb.errors import CosaiError, FileError, FrameError
from cosai_nb.schema import COLUMNS, Outcome
from cosai_nb.table.dtypes import ARROW_TYPES, exact, from_arrow
from cosai_nb.table.times import NAT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

ROWS = 1 << 20
"""Rows of a fragment: as many as pyarrow writes into a row group."""
BATCH = 1 << 18
"""Rows of a frame that is counted: its columns fit into a processor's cache, or nearly."""

_BUFFER = 1 << 20  # without one pyarrow keeps all bytes of a row group
_TEXT_TYPES = {pa.string(), pa.large_string(), pa.string_view()}
_CATEGORY = ARROW_TYPES["category"]


class Fragment(NamedTuple):
    """Some row groups of one Parquet file, and which of their rows do not count; may be pickled."""

    path: str
    size: int
    changed_ns: int
    """The file's size and time of change: a fragment is never read from another file."""
    first: int
    last: int
    """The first row group, and the one after the last."""
    rows: int
    """Rows in them, with those that do not count."""
    partition: tuple[tuple[str, str | None], ...] = ()
    """Columns that stand in the path."""
    left_out: bytes = b""
    """A bit a row, the highest of a byte first: 1 where the row does not count. Empty where all count."""


class DamagedFile(Exception):  # noqa: N818 - never leaves this module
    """A file proved unreadable, or holds what does not fit."""

    def __init__(self, path: str, cause: Exception) -> None:
        super().__init__(path)
        self.path = path
        self.cause = cause

    def public(self) -> CosaiError:
        """Return the error that a caller sees."""
        if isinstance(self.cause, CosaiError):
            return type(self.cause)(f"{self.path}: {self.cause}")
        if isinstance(self.cause, FileNotFoundError):
            return FileError(
                f"{self.path} was removed, or its store compacted, while it was read: ask again."
            )
        if isinstance(self.cause, OSError) and self.cause.errno:
            return FileError(f"{self.path} cannot be read: {self.cause.strerror}.")
        said = str(self.cause).partition("\n")[0].rstrip(".")
        return FileError(
            f"{self.path} is no whole Parquet file, but cut, damaged or something else ({said})."
        )


# --- fragments ---


def pieces_of(path: Path, partition: tuple[tuple[str, str | None], ...] = ()) -> list[Fragment]:
    """Cut a file into runs of row groups of up to :data:`ROWS` rows."""
    try:
        entry = path.stat()
        if not entry.st_size:
            raise FileError("The file is empty, without a byte.")
        stamp = (str(path), entry.st_size, entry.st_mtime_ns)
        metadata, _ = _footer(*stamp)
    except (pa.ArrowException, OSError) as error:
        raise DamagedFile(str(path), error) from error
    counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    pieces, first, held = [], 0, 0
    for group, count in enumerate(counts):
        if group > first and held + count > ROWS:
            pieces.append(Fragment(*stamp, first, group, held, partition))
            first, held = group, 0
        held += count
    return [*pieces, Fragment(*stamp, first, len(counts), held, partition)]


@lru_cache(maxsize=64)
def _footer(path: str, size: int, changed_ns: int) -> tuple[Any, Any]:  # noqa: ARG001 - they say which state of the file
    with pq.ParquetFile(path) as file:
        return file.metadata, file.schema_arrow


def schema_of(piece: Fragment) -> pa.Schema:
    """Return the columns of the file."""
    return _footer(piece.path, piece.size, piece.changed_ns)[1]


def names_in(piece: Fragment) -> set[str]:
    """Return the columns of the file and of its path."""
    return {*schema_of(piece).names, *(name for name, _ in piece.partition)}


# --- tables of fragments ---


def tables(piece: Fragment, names: Sequence[str], rows: int) -> Iterator[pa.Table]:
    """Read columns of a fragment, in tables of up to so many rows; rows that do not count are dropped."""
    try:
        entry = Path(piece.path).stat()
        if (entry.st_size, entry.st_mtime_ns) != (piece.size, piece.changed_ns):
            raise FileError("The file was changed while it was read: ask again.")
        metadata, schema = _footer(piece.path, piece.size, piece.changed_ns)
        there = [name for name in names if name in schema.names]
        encoded = [name for name in there if _is_category(name) and schema.field(name).type in _TEXT_TYPES]
        groups = [*range(piece.first, piece.last)]
        with pq.ParquetFile(
            piece.path, metadata=metadata, read_dictionary=encoded, buffer_size=_BUFFER
        ) as file:
            tables: Iterable[Any] = [schema.empty_table().select(there)]
            if groups and there:
                # decodes on one core, and with half the work of a core a column: who is in a hurry reads two fragments at once
                batches = file.iter_batches(rows, groups, there, use_threads=False)
                tables = (pa.Table.from_batches([batch]) for batch in batches)
            first = 0
            for table in tables:
                count = len(table) if there else piece.rows
                fitted = pa.table({name: _column(table, name, count, piece) for name in names})
                kept = _kept(piece, first, count)
                yield fitted if kept is None else fitted.filter(kept)
                first += count
    except (pa.ArrowException, OSError, FrameError) as error:
        raise DamagedFile(piece.path, error) from error


def _kept(piece: Fragment, first: int, count: int) -> Any:
    if not piece.left_out:
        return None
    bits = np.frombuffer(piece.left_out, np.uint8)
    return pa.array(np.unpackbits(bits[first // 8 :], count=count + first % 8)[first % 8 :] == 0)


def _is_category(name: str) -> bool:
    return name not in COLUMNS or COLUMNS[name].dtype == "category"


def _column(table: pa.Table, name: str, count: int, piece: Fragment) -> Any:
    """Return a column of a file in the one Arrow type that it has in the package."""
    if name in table.column_names:
        column = table[name]
    else:
        column = pa.chunked_array([pa.repeat(pa.scalar(dict(piece.partition).get(name), pa.string()), count)])
    kind = column.type
    texts = (kind.value_type if pa.types.is_dictionary(kind) else kind) in _TEXT_TYPES
    if texts and _is_category(name):
        column = _as_category(column)
        if name == "outcome":
            labels = {label for chunk in column.chunks for label in chunk.dictionary.to_pylist()}
            return column if labels <= {*Outcome} and not column.null_count else _exact(column, name)
        return column
    if name not in COLUMNS:
        return column
    target = ARROW_TYPES[COLUMNS[name].dtype]
    if pa.types.is_boolean(target):
        fits = pa.types.is_boolean(kind) and not column.null_count
    else:
        fits = (
            (pa.types.is_null(kind) and name != "outcome")
            or (pa.types.is_string(target) and texts)
            or (pa.types.is_timestamp(target) and pa.types.is_timestamp(kind) and kind.tz is not None)
            or (pa.types.is_floating(target) and _is_number(kind))
            or (pa.types.is_integer(target) and pa.types.is_integer(kind))
        )  # fmt: skip
    return column.cast(target, safe=False) if fits else _exact(column, name)


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def _exact(column: pa.ChunkedArray, name: str) -> Any:
    """Read any other type by the rules for frames, which refuse what does not fit."""
    values = pa.array(exact(from_arrow(pa.table({name: column}))[name], COLUMNS[name]), from_pandas=True)
    column = pa.chunked_array([values])
    return (
        _as_category(column)
        if pa.types.is_dictionary(values.type)
        else column.cast(ARROW_TYPES[COLUMNS[name].dtype])
    )


def _as_category(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if column.type == _CATEGORY:
        return column
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    chunks = [
        pa.DictionaryArray.from_arrays(chunk.indices.cast(pa.int32()), chunk.dictionary.cast(pa.string()))
        for chunk in encoded.chunks
    ]
    return pa.chunked_array(chunks, _CATEGORY)


def milliseconds(times: pa.Array) -> NDArray[np.int64]:
    """Return times as counts since 1970, what is missing as NaT."""
    counts: NDArray[np.int64] = times.cast(pa.int64()).fill_null(NAT).to_numpy(zero_copy_only=False)
    return counts
