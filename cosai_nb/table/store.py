"""A folder of Parquet parts: what has ended is never asked again.

A store holds *sights*: what the service said of a job at one moment. Parts are only ever added, so any number of
notebooks may fill one store; which sight of a job counts is decided when it is read:

1. a sight of a job that has ended beats one of a job that has not, for an ended job never changes;
2. then the newer one (``observed_at``) wins;
3. that the service no longer knows an ID is a sight too, and never hides what was seen before.


One part of a store: a Parquet file that is named after its own content.

::

    folder/
    ├── jobs-<BLAKE2 of the bytes>.parquet   sights: the columns of ``jobs``, version in the Parquet metadata
    ├── .jobs-….<random>.tmp                 being written; left behind by a writer that was killed
    └── _set-aside/                          files that are no sound part, moved here and never deleted

A name that follows from the content makes every other rule simple. A part is never changed; one that was cut or
overwritten no longer fits its name; two writers can only collide on equal bytes; and a part may be unlinked
without any lock as soon as another durable part holds the same sights. Names that begin with ``.`` or ``_`` are
skipped by pandas, pyarrow and DuckDB alike.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import threading
import time
import uuid
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cosai_nb.errors import CosaiWarning, FileError, SettingsError
from cosai_nb.schema import COLUMNS, ENDED, NOT_A_JOB, Outcome
from cosai_nb.table.files import path_of
from cosai_nb.table.frame import conform, frame_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path
    from types import TracebackType

    import pandas as pd
    from numpy.typing import NDArray

    from cosai_nb.schema import Record

T = TypeVar("T")

PART_ROWS = 1_000_000
_READ_TRIES = 20


class JobStore:
    """A folder that remembers every job seen; made where it is missing.

    Several processes may read, fill and compact one store at the same time, and any of them may be killed at any moment:
    each loses at most what it had not yet written. ``pandas.read_parquet(folder)`` and DuckDB's
    ``read_parquet('folder/*.parquet')`` read it as it is; only :meth:`jobs` (or a store that was compacted) has one row a job.

    Parameters
    ----------
    folder : str or path
        Where the parts are.

    Raises
    ------
    FileError
        Where it is a file, cannot be made, or holds Parquet files of something else.
    SettingsError
        Where it is no path.

    Examples
    --------
    >>> import tempfile
    >>> import cosai_nb as cn
    >>> with cn.Emulator(seed=7) as emulator, tempfile.TemporaryDirectory() as folder:
    ...     store = cn.JobStore(folder)
    ...     jobs = cn.fetch_jobs(emulator.job_ids[:20], client=emulator.client(), store=store)
    ...     asked = len(emulator.requests)
    ...     again = cn.fetch_jobs(emulator.job_ids[:20], client=emulator.client(), store=store)
    ...     len(store.jobs()), len(emulator.requests) - asked
    (20, 0)
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = path_of(folder)
        self._sound: set[str] = set()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            foreign = holds_foreign_only(self.folder)
        except OSError as error:
            raise FileError(
                f"{self.folder} cannot be a store ({error.strerror}): name a folder that is new or holds a store."
            ) from None
        if foreign:
            raise FileError(
                f"{self.folder} is no store: it holds {foreign} and no part of a store. Name a folder of its own, so that "
                "nobody else's files are moved."
            )

    def __repr__(self) -> str:
        return f"JobStore({str(self.folder)!r})"

    def jobs(self, job_ids: Iterable[str] | None = None) -> pd.DataFrame:
        """Return one row a job, sorted by creation time.

        Parameters
        ----------
        job_ids : iterable of str, optional
            Only these; default all.

        Returns
        -------
        pandas.DataFrame
            The columns of ``cosai_nb.COLUMNS`` and two more: ``last_seen`` (datetime64[ms, UTC]), when the service last
            showed the job (NaT for an ID that it never knew), and ``forgotten`` (bool), True where the service has since said
            that it does not know the ID.

        Raises
        ------
        FileError
            Where the folder cannot be read.

        Warns
        -----
        CosaiWarning
            Where a file is no sound part; it is moved to ``_set-aside/`` and named, never deleted.
        """
        where = _among(job_ids)
        return with_last_seen(newest_of(self._read(lambda names: self._sights(names, where))))

    def ended_ids(self, job_ids: Iterable[str] | None = None) -> set[str]:
        """Return the IDs, or those of ``job_ids``, whose jobs the store has seen ended: they need not be asked again."""
        where, columns = _among(job_ids), ("job_id", "outcome")
        sights = self._read(lambda names: read_parts(self.folder, names, columns, where))
        return set(sights.filter(_is_ended(sights))["job_id"].to_pylist())

    def created_between(self, start: int, end: int) -> pd.DataFrame:
        """Return in short the sights of jobs that were created in a window, and of ended ones without a creation time.

        Parameters
        ----------
        start, end : int
            Seconds since the epoch; ``end`` is not in the window.

        Returns
        -------
        pandas.DataFrame
            job_id, tag, queue_id, outcome and creation_time; one row a sight, in no order.
        """
        first, last = (pa.scalar(moment * 1000, pa.timestamp("ms", "UTC")) for moment in (start, end))

        def here(sights: pa.Table) -> Any:
            created = sights["creation_time"]
            inside = pc.and_(pc.greater_equal(created, first), pc.less(created, last))
            return pc.if_else(created.is_null(), _is_ended(sights), inside)

        where = Where(("creation_time", "outcome"), here)
        columns = ("job_id", "tag", "queue_id", "outcome", "creation_time")
        sights: pd.DataFrame = self._read(
            lambda names: read_parts(self.folder, names, columns, where)
        ).to_pandas()
        return sights

    def add(self, jobs: pd.DataFrame) -> int:
        """Store the sights in a ``jobs`` frame as one part, durably; rows that tell of no job are left out.

        Parameters
        ----------
        jobs : pandas.DataFrame
            As ``fetch_jobs`` returns; ``invalid_id`` and ``unread`` rows say nothing of a job.

        Returns
        -------
        int
            Rows written.

        Raises
        ------
        FileError
            Where the folder cannot be written; what it held is unchanged.
        FrameError
            Where ``jobs`` is no jobs frame.
        """
        sights = conform(jobs)
        told = ~sights["outcome"].isin([Outcome.INVALID_ID, Outcome.UNREAD])
        sights = sights[told.to_numpy()]
        if len(sights):
            self._sound.add(write_part(self.folder, sights))
        return len(sights)

    def compact(self) -> int:
        """Rewrite the store as few large parts with one row a job; safe beside readers and writers, and when killed.

        Returns
        -------
        int
            How many parts were replaced.

        Raises
        ------
        FileError
            Where the folder cannot be written; what it held is unchanged.

        Notes
        -----
        No lock is needed: a part is unlinked only after parts that hold its sights are durable, and its name says what
        was in it. The worst that two compactions at once can do is to write the same sights twice.
        """
        old, sights = self._read(lambda names: (names, self._sights(names, None)))
        newest = newest_of(sights)
        new = {
            write_part(self.folder, newest.iloc[first : first + PART_ROWS])
            for first in range(0, len(newest), PART_ROWS)
        }
        self._sound |= new
        replaced = [name for name in old if name not in new]
        try:
            for name in replaced:
                (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise FileError(
                f"The store {self.folder} was compacted, but its old parts cannot be removed ({error.strerror}): nothing is "
                "lost; allow writing there and compact again."
            ) from None
        return len(replaced)

    def writer(self) -> SightWriter:
        """Return a writer that collects records and stores them in parts; use it in ``with``."""
        return SightWriter(self.add)

    def _sights(self, names: Sequence[str], where: Where | None) -> pd.DataFrame:
        frame: pd.DataFrame = read_parts(self.folder, names, where=where).to_pandas()
        return frame

    def _read(self, read: Callable[[list[str]], T]) -> T:
        """Read parts; again where one was compacted away in between, or damaged since it was checked."""
        checked_again = False
        for _ in range(_READ_TRIES):
            try:
                return read(part_names(self.folder, self._sound))
            except FileNotFoundError:
                continue
            except pa.ArrowInvalid as error:
                if checked_again:
                    raise FileError(f"The store {self.folder} cannot be read: {error}") from error
                checked_again = True
                self._sound.clear()
        raise FileError(f"The store {self.folder} is rewritten faster than it can be read: try again.")


def as_store(store: JobStore | str | os.PathLike[str] | None) -> JobStore | None:
    """Return the store that a ``store=`` argument names."""
    return store if store is None or isinstance(store, JobStore) else JobStore(store)


def _among(job_ids: Iterable[str] | None) -> Where | None:
    """Return what reads only the sights of some jobs."""
    if job_ids is None:
        return None
    if isinstance(job_ids, str | bytes) or not isinstance(job_ids, Iterable):
        raise SettingsError(f"job_ids is {type(job_ids).__name__}: pass a list of IDs, such as [job_id].")
    wanted = _arrow_ids(job_ids)
    return Where(("job_id",), lambda sights: pc.is_in(sights["job_id"], value_set=wanted))


def _is_ended(sights: pa.Table) -> Any:
    return pc.is_in(sights["outcome"].cast("string"), value_set=_arrow_ids(ENDED))


def _arrow_ids(values: Iterable[str]) -> Any:
    return pa.array([str(value) for value in values], pa.string())


FORMAT = 1
SET_ASIDE = "_set-aside"
PART_NAME = re.compile(r"jobs-([0-9a-f]{32})\.parquet")
_FORMAT_KEY = b"cosai_nb.store"
_ABANDONED_AFTER_S = 3600.0
_GROUP_ROWS = (
    65_536  # a question to a compacted store reads the row groups that answer it, not a million rows
)
_NEEDED = ("job_id", "outcome", "observed_at")
_ARROW = {
    "str": pa.string(),
    "category": pa.dictionary(pa.int32(), pa.string()),
    "datetime64[ms, UTC]": pa.timestamp("ms", "UTC"),
    "float64": pa.float64(),
    "Int64": pa.int64(),
    "bool": pa.bool_(),
}
SCHEMA = pa.schema(
    [(column.name, _ARROW[column.dtype]) for column in COLUMNS.values()],
    metadata={_FORMAT_KEY: str(FORMAT).encode()},
)


def write_part(folder: Path, sights: pd.DataFrame) -> str:
    """Write sights as one part and return its name; when this returns, they survive a power cut.

    Raises
    ------
    FileError
        Where the folder cannot be written; what was there is as it was.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(_table_of(sights), sink, compression="zstd", row_group_size=_GROUP_ROWS)
    content = sink.getvalue()
    name = f"jobs-{hashlib.blake2b(content, digest_size=16).hexdigest()}.parquet"
    place(folder / name, content)
    return name


def stack(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put ``jobs`` frames below each other; pandas 2 would warn of every column in which one of them has nothing."""
    stacked: pd.DataFrame = pa.concat_tables([_table_of(jobs) for jobs in frames]).to_pandas()
    return conform(stacked)


def _table_of(jobs: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(jobs[list(COLUMNS)], schema=SCHEMA, preserve_index=False)


def place(target: Path, content: Any) -> None:
    """Put bytes under a name, whole or not at all: temporary file, fsync, rename, fsync of the folder.

    Raises
    ------
    FileError
        Where that is not possible; names the folder and the reason.
    """
    if target.exists():
        return
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
    except OSError as error:
        raise FileError(
            f"The store {target.parent} could not be written ({error.strerror or error}): what it held is unchanged. "
            "Check that the folder still exists, that it may be written and that the disk has room."
        ) from None


def part_names(folder: Path, sound: set[str]) -> list[str]:
    """Return the names of all sound parts in order; move aside what is none, and warn of it.

    Parameters
    ----------
    folder : Path
        The store.
    sound : set of str
        Names that were checked before; grows. A part never changes, so each is checked once.

    Raises
    ------
    FileError
        Where the folder, or a part that was not checked yet, cannot be read; then nothing is moved.
    """
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.is_file())
    except OSError as error:
        raise FileError(f"The store {folder} cannot be read ({error.strerror}).") from None
    names = []
    for entry in entries:
        if entry.name in sound:
            names.append(entry.name)
        elif entry.suffix == ".parquet" and not entry.name.startswith((".", "_")):
            with contextlib.suppress(FileNotFoundError):  # compacted away since the folder was listed
                if _take(entry):
                    sound.add(entry.name)
                    names.append(entry.name)
        elif entry.suffix == ".tmp" and entry.name.startswith(".jobs-"):
            _take_abandoned(entry)
    return names


def holds_foreign_only(folder: Path) -> str | None:
    """Return the name of a Parquet file where the folder holds such files and no part of a store, else None."""
    names = sorted(entry.name for entry in folder.glob("*.parquet") if not entry.name.startswith((".", "_")))
    if not names or any(PART_NAME.fullmatch(name) for name in names):
        return None
    return names[0]


def _take(entry: Path) -> bool:
    """Check a file that stands where parts stand; move it aside where it is none."""
    flaw = _flaw(entry)
    if flaw is None:
        return True
    set_aside(entry, flaw)
    return False


def _flaw(entry: Path) -> str | None:
    """Return why a file is not a sound part of this store, or None."""
    match = PART_NAME.fullmatch(entry.name)
    if match is None:
        return "is no part of this store"
    try:
        with entry.open("rb") as file:
            if hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest() != match[1]:
                return "is cut or was changed after it was written"
            schema = pq.ParquetFile(file).schema_arrow
    except (FileNotFoundError, MemoryError):
        raise
    except OSError as error:
        if error.errno:
            raise unreadable(entry, error) from None
        return f"cannot be read ({error})"
    except (pa.ArrowException, ValueError) as error:
        return f"cannot be read ({type(error).__name__})"
    written = (schema.metadata or {}).get(_FORMAT_KEY, b"")
    if not written.isdigit() or any(name not in schema.names for name in _NEEDED):
        return "is no part of this store"
    if int(written) > FORMAT:
        return f"was written by a newer cosai_nb (store format {int(written)}); upgrade and move it back"
    return None


def unreadable(path: Path, error: OSError) -> FileError:
    """Say that a part cannot be read now: no right to it, too many open files, a disk that stumbles. It may be sound."""
    return FileError(
        f"{path.name} in the store {path.parent} cannot be read ({error.strerror or error}): nothing was moved. "
        "See to that and try again."
    )


def set_aside(entry: Path, flaw: str) -> None:
    """Move a file out of the way, under a name that is still free, and warn; where it cannot be moved, only warn."""
    shelf = entry.parent / SET_ASIDE
    kept = shelf / entry.name
    try:
        shelf.mkdir(exist_ok=True)
        if kept.exists():
            kept = shelf / f"{entry.name}.{uuid.uuid4().hex[:8]}"
        entry.rename(kept)
    except FileNotFoundError:
        return  # another process moved it at the same moment, and warned
    except OSError as error:
        where = f"it could not be moved to {SET_ASIDE}/ ({error.strerror}) and is passed over"
    else:
        where = f"it was moved to {kept}"
    warnings.warn(f"{entry.name} in the store {entry.parent} {flaw}: {where}.", CosaiWarning, stacklevel=2)


def _take_abandoned(entry: Path) -> None:
    """Move aside what a killed writer left; a young file may still be growing."""
    with contextlib.suppress(FileNotFoundError):
        if time.time() - entry.stat().st_mtime > _ABANDONED_AFTER_S:
            set_aside(entry, "was left half-written when its writer was killed")


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; Windows cannot open a folder, and needs no such thing."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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


_PROGRESS = {Outcome.WAITING: 1, Outcome.RUNNING: 2}


def newest_of(sights: pd.DataFrame) -> pd.DataFrame:
    """Return the sights that count: of each ID at most one of a job and, where newer, one of its absence."""
    outcome = sights["outcome"].astype(object)
    ended = outcome.isin(ENDED).to_numpy()
    progress = outcome.map(_PROGRESS).fillna(0).to_numpy()
    observed = sights["observed_at"].astype("int64").to_numpy()
    ordered = sights.iloc[np.lexsort((progress, observed, ended))]
    is_job = ~ordered["outcome"].isin(NOT_A_JOB).to_numpy()
    jobs = ordered[is_job].drop_duplicates("job_id", keep="last")
    absent = ordered[~is_job].drop_duplicates("job_id", keep="last")
    seen = jobs.set_index("job_id")["observed_at"].reindex(absent["job_id"]).array
    absent = absent[~(seen >= absent["observed_at"].array)]  # never seen is NaT, and NaT >= anything is False
    both = sights.loc[jobs.index.append(absent.index)]
    return both.sort_values(["creation_time", "job_id", "observed_at"], ignore_index=True)


def with_last_seen(newest: pd.DataFrame) -> pd.DataFrame:
    """Fold the sights of absence into columns: one row an ID."""
    is_job = ~newest["outcome"].isin(NOT_A_JOB).to_numpy()
    jobs, absent = newest[is_job], newest[~is_job]
    never_seen = absent[~_is_in(absent["job_id"], jobs["job_id"])]
    one_each = conform(newest.loc[jobs.index.append(never_seen.index)].reset_index(drop=True))
    known = ~one_each["outcome"].isin(NOT_A_JOB)
    one_each["last_seen"] = one_each["observed_at"].where(known)
    one_each["forgotten"] = known & _is_in(one_each["job_id"], absent["job_id"])
    return one_each


def _is_in(ids: pd.Series[Any], others: pd.Series[Any]) -> NDArray[np.bool_]:
    """Return which IDs are among others; pandas' own ``isin`` takes ten times as long on this dtype."""
    found: NDArray[np.bool_] = pc.is_in(text_of(ids), value_set=text_of(others)).to_numpy(
        zero_copy_only=False
    )
    return found


_SHELF = "_listed"


def listed_windows(folder: Path, scope: str) -> list[tuple[int, int, int]]:
    """Return the windows remembered for a scope, in no order: start and end in seconds since the epoch, and jobs.

    Raises
    ------
    FileError
        Where the store is gone.
    """
    if not folder.is_dir():
        raise FileError(f"The store {folder} cannot be read: the folder is gone.")
    windows: list[tuple[int, int, int]] = []
    for path in sorted((folder / _SHELF).glob("*.json")):
        try:
            content = path.read_bytes()
            if path.stem != _digest(content):
                continue
            said = json.loads(content)
            if said["scope"] == scope:
                windows += [(start, end, jobs) for start, end, jobs in said["windows"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return windows


def mark_listed(folder: Path, scope: str, windows: Iterable[tuple[int, int, int]]) -> None:
    """Remember windows for a scope; their jobs must be durable already.

    Raises
    ------
    FileError
        Where the folder cannot be written.
    """
    content = json.dumps({"scope": scope, "windows": sorted(windows)}).encode()
    shelf = folder / _SHELF
    try:
        shelf.mkdir(exist_ok=True)
    except OSError as error:
        raise FileError(f"The store {folder} could not be written ({error.strerror}).") from None
    place(shelf / f"{_digest(content)}.json", content)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


FLUSH_ROWS = 5_000
FLUSH_S = 10.0


class SightWriter:
    """Collects records for a store; a kill loses at most ``rows`` records or ``seconds`` of them.

    The clock runs in a timer of its own: when the service stalls, what came before is stored all the same.

    Parameters
    ----------
    store : callable
        Takes the ``jobs`` frame of one part.
    rows, seconds : int, float
        A part is written when so many records wait, or the oldest has waited so long.

    Raises
    ------
    FileError
        From :meth:`add` or :meth:`close`, where a part could not be written; the records are still held.
    """

    def __init__(
        self, store: Callable[[pd.DataFrame], object], *, rows: int = FLUSH_ROWS, seconds: float = FLUSH_S
    ) -> None:
        self._store, self._rows, self._seconds = store, rows, seconds
        self._waiting: list[Record] = []
        self._timer: threading.Timer | None = None
        self._failure: FileError | None = None
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, records: Collection[Record]) -> None:
        """Take finished records; those that tell of no job are passed over."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            self._waiting += [record for record in records if record.fate in {"job", "not_found"}]
            if len(self._waiting) >= self._rows:
                self._flush()
            elif self._waiting and self._timer is None:
                self._timer = threading.Timer(self._seconds, self._on_time)
                self._timer.daemon = True
                self._timer.start()

    def close(self) -> None:
        """Store what waits."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            self._store(frame_of(self._waiting))
            self._waiting = []  # only now: an interrupt in the middle must not lose them

    def _on_time(self) -> None:
        with self._lock:
            try:
                self._flush()
            except FileError as failure:
                self._failure = failure
