"""Read jobs from Parquet on disk, batch by batch: only the columns that are needed, one row a job, in bounded memory.

::

    scan(source, columns)        checked frames of up to a quarter of a million rows
    fragments(source, columns)   what scan reads, as small values that another process can scan

**What is read.** A Parquet file; a folder of them (``.parquet``, ``.parq``, ``.pq``; folders in it too, where ``day=2026-11-02`` in
a path is a column); or a :class:`~cosai_nb.JobStore`. Names that begin with ``.`` or ``_`` are skipped, as pandas and DuckDB
do. Frames come in the order of the names, with the dtypes of :data:`cosai_nb.COLUMNS`, whatever Arrow type holds the same
values; columns of your own come as they are, texts as categories.

**What is left out of a folder.** A file that cannot be read, holds no jobs, lacks a column, or has times without a zone: each is
named by one CosaiWarning, and none of its rows counts. As the only file it is an error, and so is a folder in which nothing can be
read. A store moves such files aside by its own rules.

**One row a job.** Of a job that stands in several rows, in one file or in many, one row counts: the one that
:func:`cosai_nb.table.frame.one_row_a_job` keeps of all of them, or the one that ``JobStore.jobs()`` keeps (in a store an ID that is
not found has one row, too, and none where its job is known). Rows without an ID are all kept, and so are all rows of a file
without ``job_id``. The IDs are read before the first frame, to find those that repeat (:mod:`cosai_nb.table.duplicates`); what
was found is remembered for files whose path, size and time of change are the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow as pa

from cosai_nb import arguments
from cosai_nb.errors import CosaiWarning, FileError, FrameError, SettingsError
from cosai_nb.schema import ADDED, COLUMNS
from cosai_nb.table import dtypes, parquet
from cosai_nb.table.duplicates import repeated_rows
from cosai_nb.table.parquet import DamagedFile, Fragment
from cosai_nb.table.store import PART_NAME, JobStore, Parts, reading
from cosai_nb.table.threads import ahead

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection
    from concurrent.futures import Future

    Source = str | os.PathLike[str] | JobStore

_SUFFIXES = {".parquet", ".parq", ".pq"}
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def scan(
    source: Source | Fragment | Iterable[Fragment],
    columns: Sequence[str],
    *,
    optional: Sequence[str] = (),
    rows: int = parquet.BATCH,
    work: Callable[[pd.DataFrame], Any] | None = None,
) -> Iterator[Any]:
    """Read jobs from disk as frames of some columns, one row a job, in bounded memory.

    Parameters
    ----------
    source : path, JobStore, Fragment or iterable of Fragment
        A Parquet file, a folder of them or a store (``~`` is your home); or what :func:`fragments` returned for one.
    columns : sequence of str
        The columns to read, of :data:`cosai_nb.COLUMNS` or your own.
    optional : sequence of str
        Columns to read where they are. Where only some files have one it is missing in the rows of the others; where none
        has it, it is not in the frames.
    rows : int
        The most rows of one frame.
    work : callable, optional
        What to make of each frame, in the two threads that read: then frames are in memory for no longer than that takes.

    Returns
    -------
    iterator of pandas.DataFrame
        Or of what ``work`` makes of each. At least one, which is empty where there are no jobs. Dtypes as in :data:`cosai_nb.COLUMNS`; own columns as they are,
        texts as categories. Categories are the values that occur in the frame (of ``outcome``: all). Each frame has its own
        RangeIndex.

    Raises
    ------
    FileError
        Nothing can be read there, or a file changed or proved damaged after some of its rows were returned.
    FrameError
        The only file lacks a column or holds what does not fit it.
    SettingsError
        ``source`` is no path, or no column is named.

    Warns
    -----
    CosaiWarning
        For each file of a folder that is left out, and where jobs stand more than once.

    Examples
    --------
    >>> import tempfile
    >>> from cosai_nb.schema import Record
    >>> from cosai_nb.table.files import write_jobs
    >>> from cosai_nb.table.frame import frame_of
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for day, job_id in enumerate(["a1", "b2"]):
    ...         write_jobs(frame_of([Record(job_id, "not_found")]), f"{folder}/{day}.parquet")
    ...     [frame["job_id"].tolist() for frame in scan(folder, ["job_id", "outcome"])]
    [['a1', 'b2']]
    """
    names = [*dict.fromkeys([*columns, *optional])]
    if not names:
        raise SettingsError("scan needs the name of at least one column.")
    pieces = _given(source, columns, optional)
    may_leave_out = False
    if pieces is None:
        store, path = _store_or_path(source)
        if store is not None and "queue_name" in names and store.queue_names:  # which no part holds
            own, more = ([name for name in some if name != "queue_name"] for some in (columns, optional))

            def named(jobs: pd.DataFrame) -> Any:
                frame = store.named(jobs)
                frame = frame[[name for name in names if name in frame]]
                return frame if work is None else work(frame)

            return scan(store, [*own, "queue_id"], optional=more, rows=rows, work=named)
        pieces = _of_store(store, columns, optional) if store else _of_files(path, columns, optional)
        # where jobs stand twice, the row that counts may be in the file that proves damaged
        several = len(_one_a_file(pieces)) > 1
        may_leave_out = several and store is None and not any(piece.left_out for piece in pieces)
    there = {name for piece in _one_a_file(pieces) for name in parquet.names_in(piece)}
    names = [name for name in names if name in columns or name in there]
    return _Reader(names, rows, work, may_leave_out=may_leave_out).frames(pieces)


def fragments(source: Source, columns: Sequence[str] = (), *, optional: Sequence[str] = ()) -> list[Fragment]:
    """Return what :func:`scan` reads of a source, in order, in pieces of up to a million rows, or one row group.

    Each piece can be pickled and scanned alone, in any process that sees the same files; all of them together are the source,
    with one row a job. Parameters, errors and warnings are those of :func:`scan`: a file that lacks one of ``columns`` has no
    fragments.

    Examples
    --------
    >>> import tempfile
    >>> from cosai_nb.table.files import write_jobs
    >>> from cosai_nb.table.frame import frame_of
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_jobs(frame_of([]), f"{folder}/jobs.parquet")
    ...     [(piece.first, piece.last, piece.rows) for piece in fragments(folder, ["outcome"])]
    [(0, 1, 0)]
    """
    store, path = _store_or_path(source)
    return _of_store(store, columns, optional) if store else _of_files(path, columns, optional)


def _given(source: object, columns: Sequence[str], optional: Sequence[str]) -> list[Fragment] | None:
    """Return the fragments of a source that is some; their files are checked, for another question may have cut them."""
    pieces = [source] if isinstance(source, Fragment) else source
    if not isinstance(pieces, Sequence) or not all(isinstance(piece, Fragment) for piece in pieces):
        return None
    try:
        for piece in _one_a_file(pieces):
            if not PART_NAME.fullmatch(Path(piece.path).name):  # parts may lack what was not queried
                _check(piece, columns, optional)
    except DamagedFile as damage:
        raise damage.public() from damage.cause
    return [*pieces]


def _one_a_file(pieces: Iterable[Fragment]) -> Collection[Fragment]:
    return {piece.path: piece for piece in pieces}.values()


def _store_or_path(source: Any) -> tuple[JobStore | None, Path]:
    if isinstance(source, JobStore):
        return source, source.folder
    path = arguments.path(source)
    is_store = path.is_dir() and any(PART_NAME.fullmatch(file.name) for file in _files_in(path))
    return (JobStore(path) if is_store else None), path


# --- which files ---


def _files_in(path: Path) -> list[Path]:
    try:
        if not path.is_dir():
            path.stat()
            return [path]
        return sorted(file for file in path.rglob("*") if _is_seen(file.relative_to(path)) and file.is_file())
    except OSError as error:
        raise FileError(
            f"{path} cannot be read: {error.strerror}. Name a Parquet file, a folder of them or a store."
        ) from None


def _of_files(path: Path, columns: Sequence[str], optional: Sequence[str]) -> list[Fragment]:
    files = _files_in(path)
    if not files:
        raise FileError(f"{path} holds no file whose name ends in {', '.join(sorted(_SUFFIXES))}.")
    pieces: list[Fragment] = []
    flaws = []
    for file in files:
        try:
            found = parquet.pieces_of(file, _partition(file.relative_to(path)))
            _check(found[0], columns, optional)
            pieces += found
        except DamagedFile as damage:
            flaws.append(damage)
    while True:
        if not pieces:
            if len(files) == 1:
                raise flaws[0].public() from flaws[0].cause
            raise FileError(
                f"None of the {len(files)} files in {path} can be read. For one: {flaws[0].public()}"
            )
        try:
            repeated = repeated_rows(pieces)
            break
        except DamagedFile as damage:
            flaws.append(damage)
            pieces = [piece for piece in pieces if piece.path != damage.path]
    for flaw in flaws:
        _warn_left_out(flaw)
    if repeated.count:
        rows = sum(piece.rows for piece in pieces)
        warnings.warn(
            f"{repeated.count:,} of {rows:,} rows were left out: their jobs stand more than once ({repeated.example} for one). "
            "The furthest state of each job counts.",
            CosaiWarning,
            stacklevel=1,  # one place, so that a report that asks ten statistics says it once
        )
    return repeated.marked(pieces)


def _is_seen(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and not any(part.startswith((".", "_")) for part in path.parts)


def _partition(path: Path) -> tuple[tuple[str, str | None], ...]:
    """Return the columns in a path as Hive, Spark and Dask write them: ``day=2026-11-02/part.0.parquet``."""
    pairs = [part.split("=", 1) for part in path.parts[:-1] if "=" in part]
    return tuple((name, None if text == _NO_VALUE else unquote(text)) for name, text in pairs)


def _warn_left_out(damage: DamagedFile) -> None:
    warnings.warn(f"{damage.public()} It was left out: none of its rows counts.", CosaiWarning, stacklevel=4)


def _check(piece: Fragment, columns: Sequence[str], optional: Sequence[str]) -> None:
    """Refuse a file from whose schema it is clear that its jobs cannot be counted."""
    schema, there = parquet.schema_of(piece), parquet.names_in(piece)
    missing = [name for name in columns if name not in there and name not in ADDED]
    read = dict.fromkeys([*columns, *optional, "job_id"])  # the last one in any case
    fields = [schema.field(index) for name in read for index in schema.get_all_field_indices(name)]
    names = [field.name for field in fields]
    naive = [
        field.name
        for field in fields
        if field.name in COLUMNS and pa.types.is_timestamp(field.type) and field.type.tz is None
    ]
    said = ""
    if not there & COLUMNS.keys():
        said = (
            f"The file holds no jobs: none of its columns ({_listed(schema.names)}) is one of a jobs frame."
        )
    elif missing:
        said = f"The file lacks {_listed(missing)}; it has {_listed(schema.names)}."
    elif len({*names}) < len(names):
        said = f"The columns {_listed([name for name in {*names} if names.count(name) > 1])} stand more than once."
    elif naive:
        said = (
            f"The times in {_listed(naive)} say no zone. Write the file again with one: "
            f"frame[{naive[0]!r}].dt.tz_localize(…)."
        )
    if said:
        raise DamagedFile(piece.path, FrameError(said))


def _listed(names: Sequence[str], most: int = 30) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more if names else "no column"


def _of_store(store: JobStore, columns: Sequence[str], optional: Sequence[str]) -> list[Fragment]:
    own = [name for name in columns if name not in COLUMNS]

    def read(parts: Parts) -> list[Fragment]:
        lacking = [name for name in own if parts and not any(name in texts for texts in parts.values())]
        if lacking:
            raise FrameError(
                f"No part of the store {store.folder} has {_listed(lacking)}: "
                f"{'name its queues with list_jobs(store=…)' if 'queue_name' in lacking else 'fetch with columns='}."
            )
        texts = {str(store.folder / name): frozenset(texts) for name, texts in parts.items()}
        try:
            pieces = [piece for name in parts for piece in parquet.pieces_of(store.folder / name)]
            repeated = repeated_rows(pieces, texts)
        except DamagedFile as damage:
            with reading(Path(damage.path)):
                raise damage.cause from None
        apart = [
            name
            for name in (*own, *optional)
            if name in repeated.texts and not all(name in each for each in texts.values())
        ]
        if apart:
            raise FileError(
                f"The store {store.folder} may hold {_listed(apart)} of a job in another row than the one that counts. "
                f"{store!r}.compact() puts them into one row."
            )
        return repeated.marked(pieces)

    return store._read(read)  # noqa: SLF001 - this room's own way to read a store that others change


# --- frames ---


class _Reader:
    """Reads units of fragments, without files that prove damaged before a row of theirs was returned."""

    def __init__(
        self,
        names: Sequence[str],
        rows: int,
        work: Callable[[pd.DataFrame], Any] | None,
        *,
        may_leave_out: bool,
    ) -> None:
        self._names, self._rows, self._work, self._may_leave_out = names, rows, work, may_leave_out
        self._damaged: set[str] = set()
        self._returned: set[str] = set()

    def frames(self, pieces: Sequence[Fragment]) -> Iterator[Any]:
        some = False
        try:
            threads = 1 if self._work is None else 2
            for unit, result in ahead(self._read, _units(pieces, self._rows), threads=threads):
                for found in self._readable(unit, result):
                    self._returned |= {piece.path for piece in unit}
                    some = True
                    yield found
        except DamagedFile as damage:
            raise damage.public() from damage.cause
        pa.default_memory_pool().release_unused()  # it keeps 100 MB, which what was counted needs now
        if not some:
            if self._damaged:
                raise FileError(f"No row was read: files are damaged, {min(self._damaged)} for one.")
            nothing = _frame([], self._names)
            yield nothing if self._work is None else self._work(nothing)

    def _read(self, unit: Sequence[Fragment]) -> Iterable[Any]:
        wanted = [piece for piece in unit if piece.path not in self._damaged]
        read = (table for piece in wanted for table in parquet.tables(piece, self._names, self._rows))
        large = len(wanted) == 1 and wanted[0].rows > self._rows
        parts = ([table] for table in read) if large else [[*read]]
        frames = (frame for part in parts if len(frame := _frame(part, self._names)))
        if self._work is not None:
            return [self._work(frame) for frame in frames]
        return frames if large else [*frames]

    def _readable(self, unit: Sequence[Fragment], result: Future[Iterable[Any]]) -> Iterable[Any]:
        while True:
            try:
                anew = any(piece.path in self._damaged for piece in unit)
                return self._read(unit) if anew else result.result()
            except DamagedFile as damage:
                if not self._may_leave_out or damage.path in self._returned:
                    raise
                _warn_left_out(damage)
                self._damaged.add(damage.path)


def _units(pieces: Iterable[Fragment], rows: int) -> Iterator[list[Fragment]]:
    """Put small fragments together, up to so many rows."""
    unit: list[Fragment] = []
    for piece in pieces:
        if unit and sum(each.rows for each in unit) + piece.rows > rows:
            yield unit
            unit = []
        unit.append(piece)
    if unit:
        yield unit


def _frame(parts: Sequence[pa.Table], names: Sequence[str]) -> pd.DataFrame:
    if not parts:
        kinds = [
            dtypes.ARROW_TYPES[COLUMNS[name].dtype] if name in COLUMNS else dtypes.ARROW_TYPES["category"]
            for name in names
        ]
        parts = [pa.table([pa.array([], kind) for kind in kinds], names=[*names])]
    try:
        table = parts[0] if len(parts) == 1 else pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException as error:
        raise FrameError(
            f"The files hold different kinds of values in a column of your own: {error}"
        ) from error
    columns = {name: _values(name, dtypes.whole(table[name])) for name in names}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(table)), copy=False)


def _values(name: str, column: pa.Array) -> Any:
    """Give a column of the schema's Arrow type, or one's own, as pandas holds it."""
    kind = column.type
    if name == "outcome":
        codes = dtypes.positions(column, dtypes.POSITION, other=-1)
        return pd.Categorical.from_codes(codes, dtype=dtypes.OUTCOME)
    if pa.types.is_dictionary(kind):
        return dtypes.category_array(column)
    if pa.types.is_null(kind):
        return dtypes.category_array(column.cast(pa.string()))
    if name not in COLUMNS:
        return dtypes.from_arrow(pa.table({name: column}))[name].array
    if pa.types.is_timestamp(kind):
        return dtypes.time_array(parquet.milliseconds(column).view("M8[ms]"))
    if pa.types.is_string(kind):
        return dtypes.text_array(column)
    if pa.types.is_boolean(kind):  # a tenth of the time of to_numpy
        first, bits = column.offset % 8, np.frombuffer(column.buffers()[1], np.uint8)[column.offset // 8 :]
        return np.unpackbits(bits, bitorder="little", count=first + len(column))[first:].view(bool)
    return dtypes.integers(column) if pa.types.is_integer(kind) else column.to_numpy(zero_copy_only=False)
