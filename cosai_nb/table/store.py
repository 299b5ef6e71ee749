"""A folder of Parquet parts: a job that has ended is never queried again.

::

    folder/
    ├── jobs-<BLAKE2 of the bytes>.parquet   observations: the columns of ``jobs``, version in the Parquet metadata
    ├── .jobs-….<random>.tmp                 being written; left behind by a writer that was killed
    ├── _listed/<BLAKE2>.json                windows of creation time whose jobs have all ended and are stored
    ├── _queues/<BLAKE2>.json                names of queues by ID
    └── _set-aside/                          files that are no valid part, moved here and never deleted

A store holds *observations*: what the service said of a job at one moment. Which one of a job counts is decided when they
are read:

1. one of an ended job counts before one of an unfinished job, because an ended job never changes;
2. then the newer one (``observed_at``) counts;
3. that the service no longer knows an ID is an observation too, and never hides what was seen before.

One ID in two buckets is two jobs. An observation without a bucket (version 0.1.0 wrote none) is of the bucket that others of its ID
are of.

A text that was queried on top (``columns=``) is told by the last observation that was queried with it. A part has the
columns that its observations were queried with, which is how "absent from the answer" differs from "not queried".

A name that follows from the content makes every other rule simple. A part is never changed; one that was cut or
overwritten no longer fits its name; two writers can only collide on equal bytes; and a part may be unlinked
without any lock as soon as another durable part holds the same observations. Names that begin with ``.`` or ``_`` are
skipped by pandas, pyarrow and DuckDB alike.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
import uuid
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cosai_nb import arguments
from cosai_nb.errors import CosaiWarning, FileError
from cosai_nb.schema import COLUMNS, ENDED, NOT_A_JOB, Outcome
from cosai_nb.table.dtypes import ARROW_TYPES, TEXT, arrow_text, category_array, from_arrow, text_of
from cosai_nb.table.frame import conform, keys_of_jobs, progress_of
from cosai_nb.table.ids import ids_of
from cosai_nb.table.notes import QUEUES, digest, note, notes, place

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

Parts = dict[str, tuple[str, ...]]
"""Names of parts, each with the texts beyond the schema that it holds."""
_Among = tuple[tuple[str, ...], Callable[[pa.Table], Any]]
"""Which observations to read: the columns that decide, read of all of them, and how."""
T = TypeVar("T")

FORMAT = 1
PART_NAME = re.compile(r"jobs-([0-9a-f]{32})\.parquet")
PART_ROWS = 1_000_000

_FORMAT_KEY = b"cosai_nb.store"
_SET_ASIDE = "_set-aside"
_LEFT = re.compile(r"\.jobs-.*\.tmp")
_ABANDONED_S = 3600.0  # a younger file may still be growing
# a question to a compacted store reads the row groups that answer it, not a million rows
_GROUP_ROWS = 65_536
_READ_TRIES = 20
_NEEDED = ("job_id", "outcome", "observed_at")
_PART, _KEY = "_part", "_key"
_SCHEMA = pa.schema(
    [(column.name, ARROW_TYPES[column.dtype]) for column in COLUMNS.values()],
    metadata={_FORMAT_KEY: str(FORMAT).encode()},
)


class JobStore:
    """A folder that remembers every job seen; made where it is missing.

    Several processes may read, fill and compact one store at the same time, and any of them may be killed at any moment:
    each loses at most what it had not yet written. ``pandas.read_parquet(folder)`` and DuckDB's
    ``read_parquet('folder/*.parquet')`` read it as it is; only :meth:`jobs` (or a store that was compacted) has one row a job.

    Parameters
    ----------
    folder : str or path
        Where the parts are; ``~`` is your home.

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
        self.folder = arguments.path(folder)
        self._checked: Parts = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            files = sorted(path.name for path in self.folder.glob("*.parquet") if _is_seen(path))
        except OSError as error:
            raise FileError(f"{self.folder} cannot be a store: {error.strerror}. Name another.") from None
        if files and not any(map(PART_NAME.fullmatch, files)):
            raise FileError(f"{self.folder} is no store: it holds {files[0]}. Name a folder of its own.")

    def __repr__(self) -> str:
        return f"JobStore({str(self.folder)!r})"

    def jobs(self, job_ids: Iterable[str] | None = None) -> pd.DataFrame:
        """Return one row a job, sorted by creation time; one ID in two buckets is two jobs.

        Parameters
        ----------
        job_ids : iterable of str, optional
            Only these; default all.

        Returns
        -------
        pandas.DataFrame
            The columns of ``cosai_nb.COLUMNS``, the texts that were queried on top (``str``), ``queue_name`` (category) where
            names are known, and two more: ``last_seen`` (datetime64[ms, UTC]), when the service last showed the job (NaT for an
            ID that it never knew), and ``forgotten`` (bool), True where the service has since said that it does not know it.

        Raises
        ------
        FileError
            Where the folder cannot be read.

        Warns
        -----
        CosaiWarning
            Where a file is no valid part; it is moved to ``_set-aside/`` and named, never deleted.
        """
        among = _among(job_ids)
        newest, _ = self._read(lambda parts: _newest(parts, read_parts(self.folder, parts, among=among)))
        known = ~newest["outcome"].isin(NOT_A_JOB).to_numpy()
        # twice stands a job that the service no longer knows
        forgotten = known & pd.Series(keys_of_jobs(newest)).duplicated(keep=False).to_numpy()
        ids = pd.factorize(newest["job_id"])[0]
        found = np.bincount(ids, known) > 0  # of each ID, whether it is a job in any bucket
        kept = known | ~(found[ids] | pd.Series(ids).duplicated(keep="last").to_numpy())
        jobs = self.named(conform(newest[kept].reset_index(drop=True)))
        return jobs.assign(last_seen=jobs["observed_at"].where(known[kept]), forgotten=forgotten[kept])

    @property
    def queue_names(self) -> dict[str, str]:
        """Names of queues by ID, as far as listings into this store have told them."""
        known: dict[str, str] = {}
        for said in notes(self.folder / QUEUES):
            known |= said
        return known

    def name_queues(self, names: Mapping[str, str | None]) -> None:
        """Remember names of queues by ID; the newest name of a queue counts.

        Raises
        ------
        FileError
            Where the folder cannot be written.
        """
        known = self.queue_names
        new = {queue: name for queue, name in names.items() if name is not None and known.get(queue) != name}
        if new:
            note(self.folder, QUEUES, new)

    def named(self, jobs: pd.DataFrame) -> pd.DataFrame:
        """Return jobs with the column ``queue_name`` (category) where this store knows names of queues."""
        known = self.queue_names
        return named(jobs, known) if known else jobs

    def ended_ids(
        self,
        job_ids: Iterable[str] | None = None,
        columns: Collection[str] = (),
        buckets: Collection[str] | None = None,
    ) -> set[str]:
        """Return the IDs, or those of ``job_ids``, whose jobs need not be queried again.

        Parameters
        ----------
        job_ids : iterable of str, optional
            Only these; default all.
        columns : collection of str
            Texts beyond ``cosai_nb.COLUMNS`` that are needed too: a job counts only where it was seen ended and queried
            with each of them.
        buckets : collection of str, optional
            Only jobs of these, and those whose bucket is not known; default all.
        """
        among = _among(job_ids)

        def read(parts: Parts) -> set[str]:
            seen = read_parts(self.folder, parts, ["job_id", "outcome", "bucket"], among)
            ended = seen.filter(_is_ended(seen))
            if buckets is not None:
                wanted = pa.array([*buckets, None], pa.string())
                ended = ended.filter(pc.is_in(ended["bucket"].cast("string"), value_set=wanted))
            holds = [np.array([text in texts for texts in parts.values()], bool) for text in columns]
            told = [ended.filter(pa.array(each[ended[_PART].to_numpy()])) for each in holds]
            return set.intersection(*({*each["job_id"].to_pylist()} for each in (ended, *told)))

        return self._read(read)

    def created_between(self, start: int, end: int) -> pd.DataFrame:
        """Return in short the observations of jobs created in a window, and of ended ones without a creation time.

        Parameters
        ----------
        start, end : int
            Seconds since the epoch; ``end`` is not in the window.

        Returns
        -------
        pandas.DataFrame
            job_id, tag, queue_id, bucket, outcome and creation_time; one row an observation, in no order.
        """
        first, last = (pa.scalar(moment * 1000, pa.timestamp("ms", "UTC")) for moment in (start, end))

        def here(seen: pa.Table) -> Any:
            created = seen["creation_time"]
            inside = pc.and_(pc.greater_equal(created, first), pc.less(created, last))
            return pc.if_else(created.is_null(), _is_ended(seen), inside)

        columns = ["job_id", "tag", "queue_id", "bucket", "outcome", "creation_time"]
        among = ("creation_time", "outcome"), here
        seen = self._read(lambda parts: read_parts(self.folder, parts, columns, among))
        return from_arrow(seen.select(columns))

    def add(self, jobs: pd.DataFrame) -> int:
        """Store the observations in a ``jobs`` frame as one part, durably; rows that tell of no job are left out.

        Parameters
        ----------
        jobs : pandas.DataFrame
            As ``fetch_jobs`` returns, with the texts that were queried on top and names of queues; other columns of your own
            are not kept.
            ``invalid_id`` and ``unread`` rows say nothing of a job.

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
        seen = conform(jobs)
        if "queue_name" in jobs.columns:
            pairs = jobs[["queue_id", "queue_name"]].drop_duplicates().dropna()
            self.name_queues(dict(zip(pairs["queue_id"].map(str), pairs["queue_name"].map(str), strict=True)))
        seen = seen[(~seen["outcome"].isin([Outcome.INVALID_ID, Outcome.UNREAD])).to_numpy()]
        if len(seen):
            self._checked[write_part(self.folder, seen)] = _texts_in(seen)
        return len(seen)

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
        No lock is needed: a part is unlinked only after parts that hold its observations are durable, and its name says
        what was in it. The worst that two compactions at once can do is to write the same observations twice.
        """
        old, newest, queried = self._read(lambda all_: (all_, *_newest(all_, read_parts(self.folder, all_))))
        new: Parts = {}
        for texts in dict.fromkeys(queried):
            alike = newest[np.fromiter((each == texts for each in queried), bool, len(newest))]
            for first in range(0, len(alike), PART_ROWS):
                part = alike.iloc[first : first + PART_ROWS]
                new[write_part(self.folder, part[[*COLUMNS, *texts]])] = texts
        self._checked |= new
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

    def _read(self, read: Callable[[Parts], T]) -> T:
        """Read parts; again where one was compacted away in between, or damaged since it was checked."""
        checked_again = False
        for _ in range(_READ_TRIES):
            try:
                return read(valid_parts(self.folder, self._checked))
            except FileNotFoundError:
                continue
            except pa.ArrowInvalid as error:
                if checked_again:
                    raise FileError(f"A part of the store {self.folder} {error}.") from error
                checked_again = True
                self._checked.clear()
        raise FileError(f"The store {self.folder} is rewritten faster than it can be read: try again.")


def named(jobs: pd.DataFrame, names: Mapping[Any, Any]) -> pd.DataFrame:
    """Return jobs with the column ``queue_name`` (category), from names of queues by ID."""
    queues = text_of(jobs["queue_id"]).dictionary_encode()
    known = [names.get(queue) for queue in queues.dictionary.to_pylist()]
    texts = arrow_text([name if isinstance(name, str) else None for name in known])
    return jobs.assign(queue_name=category_array(texts.take(queues.indices)))


def as_store(store: JobStore | str | os.PathLike[str] | None) -> JobStore | None:
    """Return the store that a ``store=`` argument names."""
    return store if store is None or isinstance(store, JobStore) else JobStore(store)


# --- which observation counts ---


def _newest(parts: Parts, table: pa.Table) -> tuple[pd.DataFrame, list[tuple[str, ...]]]:
    """Return the observations that count, of each ID at most one of a job and, where newer, one of its absence.

    Beside them, for each, the further texts that its job was queried with at any time.
    """
    part = table[_PART].to_numpy()
    seen = from_arrow(table.drop_columns([_PART]))
    observed = seen["observed_at"].astype("int64").to_numpy()
    width = np.array([len(texts) for texts in parts.values()], np.int64)[part]
    order = np.lexsort((width, progress_of(seen), observed, seen["outcome"].isin(ENDED)))
    ordered = seen.iloc[order].assign(**{_KEY: keys_of_jobs(seen)[order]})
    is_job = ~ordered["outcome"].isin(NOT_A_JOB).to_numpy()
    jobs, absent = (ordered[rows].drop_duplicates(_KEY, keep="last") for rows in (is_job, ~is_job))
    last = jobs.set_index(_KEY)["observed_at"].reindex(absent[_KEY]).array
    absent = absent[~(last >= absent["observed_at"].array)]  # never seen is NaT, and NaT >= anything is False
    keys = pd.concat([jobs[_KEY], absent[_KEY]])
    both = seen.loc[keys.index].sort_values(["creation_time", "job_id", "observed_at"])
    keys = keys.reindex(both.index)
    queried: list[tuple[str, ...]] = [()] * len(both)
    for text in _all_texts(parts):
        holds = np.array([text in texts for texts in parts.values()])[part[order]]
        told = ordered[is_job & holds].drop_duplicates(_KEY, keep="last").set_index(_KEY)[text]
        both[text] = told.reindex(keys).array
        there = told.index.get_indexer(keys) >= 0
        queried = [(*texts, text) if here else texts for texts, here in zip(queried, there, strict=True)]
    return both.reset_index(drop=True), queried


def _all_texts(parts: Parts) -> list[str]:
    return [*dict.fromkeys(text for texts in parts.values() for text in texts)]


def _is_ended(seen: pa.Table) -> Any:
    return pc.is_in(seen["outcome"].cast("string"), value_set=pa.array([*ENDED], pa.string()))


# --- reading parts: all of them, or only the rows that a question is about ---


def _among(job_ids: Iterable[str] | None) -> _Among | None:
    """Return what chooses the observations of some jobs."""
    if job_ids is None:
        return None
    wanted = pa.array([str(job_id) for job_id in ids_of(job_ids)], pa.string())
    return ("job_id",), lambda seen: pc.is_in(seen["job_id"], value_set=wanted)


def read_parts(
    folder: Path, parts: Parts, columns: Sequence[str] | None = None, among: _Among | None = None
) -> pa.Table:
    """Read parts, or those of their rows that ``among`` chooses, as one table; a column that a part lacks is null there.

    Without ``columns`` all are read, the parts' further texts with them. ``_part`` says from which part a row is.
    FileNotFoundError says that another process has compacted a part away, ArrowInvalid that one was damaged meanwhile.
    """
    texts = _all_texts(parts) if columns is None else []
    fields = [*map(_SCHEMA.field, columns or _SCHEMA.names), *(pa.field(text, pa.string()) for text in texts)]
    schema = pa.schema([*fields, pa.field(_PART, pa.int32())])
    paths = [folder / name for name in parts]
    masks: list[Any] = [None] * len(paths)
    if among is not None:
        schema_of_all = pa.schema(map(_SCHEMA.field, among[0]))
        decisive = [_read_part(path, schema_of_all) for path in paths]
        # once for all parts: pyarrow would build the set of IDs that are looked for again at each call
        mask = among[1](pa.concat_tables([schema_of_all.empty_table(), *decisive]))
        ends = np.cumsum([len(rows) for rows in decisive])
        masks = [mask.slice(end - len(rows), len(rows)) for end, rows in zip(ends, decisive, strict=True)]
    numbered = enumerate(zip(paths, masks, strict=True))
    tables = [_read_part(path, schema, number, mask) for number, (path, mask) in numbered]
    return pa.concat_tables([schema.empty_table(), *tables])


def _read_part(path: Path, schema: pa.Schema, number: int = 0, mask: Any = None) -> pa.Table:
    """Read the columns of one part; with a mask only the row groups that it leaves something of."""
    with reading(path), path.open("rb") as file:
        part = pq.ParquetFile(file)
        if mask is None:
            return _fitted(part.read(columns=schema.names), schema, number)
        tables, first = [schema.empty_table()], 0
        for group in range(part.num_row_groups):
            here = mask.slice(first, part.metadata.row_group(group).num_rows)
            first += len(here)
            if pc.any(here).as_py():
                rows = part.read_row_group(group, columns=schema.names)
                tables.append(_fitted(rows, schema, number).filter(here))
        return pa.concat_tables(tables)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Tell a part that cannot be read now (no right to it, too many open files, a bad disk) from one that is damaged."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if not error.errno:  # pyarrow says so, of what it read
            raise pa.ArrowInvalid(f"cannot be read ({path.name}: {error})") from None
        raise FileError(
            f"{path.name} in the store {path.parent} cannot be read ({error.strerror or error}): nothing was moved. "
            "See to that and try again."
        ) from None
    except pa.ArrowException as error:
        raise pa.ArrowInvalid(f"cannot be read ({path.name}: {error})") from None


def _fitted(table: pa.Table, schema: pa.Schema, number: int) -> pa.Table:
    def column(field: pa.Field) -> Any:
        if field.name == _PART:
            return pa.repeat(pa.scalar(number, field.type), len(table))
        if field.name in table.column_names:
            return table[field.name].cast(field.type)
        return pa.nulls(len(table), field.type)

    return pa.table([column(field) for field in schema], schema=schema)


# --- one part ---


def write_part(folder: Path, seen: pd.DataFrame) -> str:
    """Write observations as one part and return its name; when this returns, they survive a power cut."""
    sink = pa.BufferOutputStream()
    pq.write_table(_table_of(seen), sink, compression="zstd", row_group_size=_GROUP_ROWS)
    content = sink.getvalue()
    name = f"jobs-{digest(content)}.parquet"
    place(folder, folder / name, content)
    return name


def stack(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put ``jobs`` frames below each other; pandas 2 would warn of every column in which one of them has nothing."""
    tables = pa.concat_tables([_table_of(jobs) for jobs in frames], promote_options="default")
    return conform(from_arrow(tables))


def _texts_in(jobs: pd.DataFrame) -> tuple[str, ...]:
    """Return the names of the texts of a frame that are no columns of the schema."""
    return tuple(name for name in jobs.columns if name not in COLUMNS and jobs[name].dtype == TEXT)


def _table_of(jobs: pd.DataFrame) -> pa.Table:
    texts = _texts_in(jobs)
    fields = [*_SCHEMA, *(pa.field(name, pa.string()) for name in texts)]
    schema = pa.schema(fields, metadata=_SCHEMA.metadata)
    return pa.Table.from_pandas(jobs[[*COLUMNS, *texts]], schema=schema, preserve_index=False)


def _is_seen(path: Path) -> bool:
    return not path.name.startswith((".", "_"))


def valid_parts(folder: Path, checked: Parts) -> Parts:
    """Return all valid parts in order; move aside what is none, and warn of it. Each is checked once: it never changes."""
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.is_file())
    except OSError as error:
        raise FileError(f"The store {folder} cannot be read ({error.strerror}).") from None
    parts = {}
    for entry in entries:
        try:
            if entry.suffix == ".parquet" and _is_seen(entry):
                if entry.name not in checked:
                    checked[entry.name] = _texts_of(entry)
                parts[entry.name] = checked[entry.name]
            elif _LEFT.fullmatch(entry.name) and time.time() - entry.stat().st_mtime > _ABANDONED_S:
                _set_aside(entry, "was left half-written when its writer was killed")
        except FileNotFoundError:
            continue  # compacted away since the folder was listed
        except pa.ArrowInvalid as flaw:
            _set_aside(entry, str(flaw))
    return parts


def _texts_of(entry: Path) -> tuple[str, ...]:
    """Return the texts beyond the schema that a part holds; ArrowInvalid says why a file is none."""
    match = PART_NAME.fullmatch(entry.name)
    if match is None:
        raise pa.ArrowInvalid("is no part of this store")
    with reading(entry), entry.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        schema = pq.ParquetFile(file).schema_arrow if digest == match[1] else None
    if schema is None:
        raise pa.ArrowInvalid("is cut or was changed after it was written")
    written = (schema.metadata or {}).get(_FORMAT_KEY, b"")
    if not written.isdigit() or not {*_NEEDED} <= {*schema.names}:
        raise pa.ArrowInvalid("is no part of this store")
    if int(written) > FORMAT:
        raise pa.ArrowInvalid(
            f"was written by a newer cosai_nb (format {int(written)}): upgrade, move it back"
        )
    return tuple(field.name for field in schema if field.name not in COLUMNS and field.type == pa.string())


def _set_aside(entry: Path, flaw: str) -> None:
    """Move a file out of the way, under a name that is still free, and warn; where it cannot be moved, only warn."""
    shelf = entry.parent / _SET_ASIDE
    kept = shelf / entry.name
    try:
        shelf.mkdir(exist_ok=True)
        if kept.exists():
            kept = shelf / f"{entry.name}.{uuid.uuid4().hex[:8]}"
        entry.rename(kept)
    except FileNotFoundError:
        return  # another process moved it at the same moment, and warned
    except OSError as error:
        where = f"it could not be moved to {_SET_ASIDE}/ ({error.strerror}) and is passed over"
    else:
        where = f"it was moved to {kept}"
    warnings.warn(f"{entry.name} in the store {entry.parent} {flaw}: {where}.", CosaiWarning, stacklevel=2)
