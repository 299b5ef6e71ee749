"""A folder of Parquet parts: what has ended is never asked again.

A store holds *sights*: what the service said of a job at one moment. Parts are only ever added, so any number of
notebooks may fill one store; which sight of a job counts is decided when it is read:

1. a sight of a job that has ended beats one of a job that has not, for an ended job never changes;
2. then the newer one (``observed_at``) wins;
3. that the service no longer knows an ID is a sight too, and never hides what was seen before.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cosai_nb.errors import FileError
from cosai_nb.schema import ENDED, NOT_A_JOB, Outcome
from cosai_nb.table.dtypes import text_of
from cosai_nb.table.frame import conform
from cosai_nb.table.store_parts import holds_foreign_only, part_names, read_parts, write_part
from cosai_nb.table.store_windows import listed, mark_listed
from cosai_nb.table.store_writer import SightWriter

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

T = TypeVar("T")

PART_ROWS = 1_000_000
_READ_TRIES = 20
_PROGRESS = {Outcome.WAITING: 1, Outcome.RUNNING: 2}


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
        self.folder = Path(folder)
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
        wanted = None if job_ids is None else list(job_ids)
        return _with_last_seen(_newest(self._read(lambda names: self._sights(names, wanted))))

    def ended_ids(self, job_ids: Iterable[str] | None = None) -> set[str]:
        """Return the IDs, or those of ``job_ids``, whose jobs the store has seen ended: they need not be asked again."""
        columns = ("job_id", "outcome")
        sights = self._read(lambda names: read_parts(self.folder, names, columns))
        ended = sights.filter(pc.is_in(sights["outcome"].cast("string"), value_set=_text(ENDED)))
        ids = set(ended["job_id"].to_pylist())
        return ids if job_ids is None else ids.intersection(job_ids)

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
        newest = _newest(sights)
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

    def listed(self, scope: str) -> list[tuple[int, int]]:
        """Return the windows of creation time (seconds since the epoch) of which everything is known for good.

        Parameters
        ----------
        scope : str
            What was listed: bucket, queue and tag in one text.
        """
        return listed(self.folder, scope)

    def mark_listed(self, scope: str, windows: Iterable[tuple[int, int]]) -> None:
        """Remember windows of which all jobs have ended and are stored.

        Raises
        ------
        FileError
            Where the folder cannot be written.
        """
        mark_listed(self.folder, scope, windows)

    def _sights(self, names: Sequence[str], job_ids: list[str] | None) -> pd.DataFrame:
        sights = read_parts(self.folder, names)
        if job_ids is not None:
            sights = sights.filter(pc.is_in(sights["job_id"], value_set=_text(job_ids)))
        frame: pd.DataFrame = sights.to_pandas()
        return frame

    def _read(self, read: Callable[[list[str]], T]) -> T:
        """Read parts; again where another process has compacted one away in between."""
        for _ in range(_READ_TRIES):
            with contextlib.suppress(FileNotFoundError):
                return read(part_names(self.folder, self._sound))
        raise FileError(f"The store {self.folder} is rewritten faster than it can be read: try again.")


def as_store(store: JobStore | str | os.PathLike[str] | None) -> JobStore | None:
    """Return the store that a ``store=`` argument names."""
    return store if store is None or isinstance(store, JobStore) else JobStore(store)


def _text(values: Iterable[str]) -> Any:
    return pa.array([str(value) for value in values], pa.string())


def _newest(sights: pd.DataFrame) -> pd.DataFrame:
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


def _with_last_seen(newest: pd.DataFrame) -> pd.DataFrame:
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
