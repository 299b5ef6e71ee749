"""A folder of Parquet parts: what has ended is never asked again.

A store holds *sights*: what the service said of a job at one moment. Parts are only ever added, so any number of
notebooks may fill one store; which sight of a job counts is decided when it is read:

1. a sight of a job that has ended beats one of a job that has not, for an ended job never changes;
2. then the newer one (``observed_at``) wins;
3. that the service no longer knows an ID is a sight too, and never hides what was seen before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from cosai_nb.errors import FileError, SettingsError
from cosai_nb.schema import ENDED, Outcome
from cosai_nb.table.files import path_of
from cosai_nb.table.frame import conform
from cosai_nb.table.store_parts import holds_foreign_only, part_names, write_part
from cosai_nb.table.store_reading import Where, read_parts
from cosai_nb.table.store_sights import newest_of, with_last_seen
from cosai_nb.table.store_writer import SightWriter

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    import pandas as pd

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
    wanted = _text(job_ids)
    return Where(("job_id",), lambda sights: pc.is_in(sights["job_id"], value_set=wanted))


def _is_ended(sights: pa.Table) -> Any:
    return pc.is_in(sights["outcome"].cast("string"), value_set=_text(ENDED))


def _text(values: Iterable[str]) -> Any:
    return pa.array([str(value) for value in values], pa.string())
