"""Reading the parts of a store: all of them, or only the rows that a question is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cosai_nb.table.store_parts import SCHEMA, unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class Where(NamedTuple):
    """Which rows to read: the columns that decide, and how; all other columns are read only where a row is kept."""

    columns: tuple[str, ...]
    mask: Callable[[pa.Table], Any]


def read_parts(
    folder: Path, names: Sequence[str], columns: Sequence[str] | None = None, where: Where | None = None
) -> pa.Table:
    """Read parts, or those of their rows that are asked for, as one table; a column that an older part lacks is null there.

    Raises
    ------
    FileNotFoundError
        Where another process has compacted a part away: list the names again.
    FileError
        Where a part cannot be read now; names it and the reason.
    pyarrow.ArrowInvalid
        Where a part was damaged since it was checked; names it.
    """
    schema = _only(SCHEMA.names if columns is None else columns)
    paths = [folder / name for name in names]
    if where is None:
        tables = [_read_part(path, schema) for path in paths]
    else:
        tables = _read_where(paths, schema, where)
    return pa.concat_tables([schema.empty_table(), *tables])


def _only(names: Sequence[str]) -> pa.Schema:
    return pa.schema([SCHEMA.field(name) for name in names])


def _read_where(paths: Sequence[Path], schema: pa.Schema, where: Where) -> list[pa.Table]:
    """Read the rows that are asked for; of parts and row groups without one, only the columns that decide."""
    deciding = _only(where.columns)
    decisive = [_read_part(path, deciding) for path in paths]
    # once for all parts: pyarrow would build the set of IDs that are looked for again at each call
    mask = where.mask(pa.concat_tables([deciding.empty_table(), *decisive]))
    tables, first = [], 0
    for path, rows in zip(paths, decisive, strict=True):
        here = mask.slice(first, len(rows))
        first += len(rows)
        if pc.any(here).as_py():
            tables.append(_read_part(path, schema, here))
    return tables


def _read_part(path: Path, schema: pa.Schema, mask: Any = None) -> pa.Table:
    try:
        with path.open("rb") as file:
            part = pq.ParquetFile(file)
            if mask is None:
                return _fitted(part.read(columns=schema.names), schema)
            return _read_groups(part, schema, mask)
    except (FileNotFoundError, MemoryError):
        raise
    except OSError as error:
        if not error.errno:  # pyarrow says so, of what it read
            raise pa.ArrowInvalid(f"{path.name}: {error}") from None
        raise unreadable(path, error) from None
    except pa.ArrowException as error:
        raise pa.ArrowInvalid(f"{path.name}: {error}") from None


def _read_groups(part: pq.ParquetFile, schema: pa.Schema, mask: Any) -> pa.Table:
    tables, first = [schema.empty_table()], 0
    for group in range(part.num_row_groups):
        rows = part.metadata.row_group(group).num_rows
        here = mask.slice(first, rows)
        first += rows
        if pc.any(here).as_py():
            tables.append(_fitted(part.read_row_group(group, columns=schema.names), schema).filter(here))
    return pa.concat_tables(tables)


def _fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        table[field.name].cast(field.type)
        if field.name in table.column_names
        else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
