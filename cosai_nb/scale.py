"""Counting and asking on the machines of a Dask cluster; without one, the same in this process.

::

    summarize(source, keys)              files -> runs of fragments -> counts of each run -> their sum, eight at a time
    fetch_partitioned(wanted, folder)    IDs or windows -> parts -> a store; as many at a time as the cluster has threads

**Counting.** Which row of a job counts is found before anything is sent (:func:`cosai_nb.table.scan.fragments`), and tables of
counts add up exactly and in any order, so a cluster gives the same table as one machine, byte for byte.

**Asking.** What a part is, and why a worker may be killed at any moment: :mod:`cosai_nb.query.parts`. This process hands out the parts
and the rate; credentials are never sent, each worker makes its own client.

Examples
--------
>>> import cosai_nb as cn
>>> from cosai_nb.emulator import Scenario
>>> with cn.Emulator(scenario=Scenario(jobs=200)) as emulator:
...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
>>> cn.scale.summarize(jobs).jobs
200
"""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Iterable, Mapping, Sequence, Sized
from contextlib import closing, suppress
from functools import partial
from itertools import groupby
from operator import itemgetter
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from cosai_nb import arguments, errors
from cosai_nb.errors import CosaiError, FileError, SettingsError
from cosai_nb.query import parts
from cosai_nb.query.fetch import BAR_DELAY_S
from cosai_nb.query.parts import Asked, Task
from cosai_nb.service.client import INTERRUPTED, Client, Interrupts, interrupts
from cosai_nb.service.credentials import Credentials
from cosai_nb.stats.counts import Counted, Counter, count_all
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.measures import group_columns
from cosai_nb.table.ids import ids_of
from cosai_nb.table.scan import fragments
from cosai_nb.table.store import JobStore

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from cosai_nb.query.parts import Settings
    from cosai_nb.table.parquet import Fragment

    Wanted = Mapping[str, Sequence[str]]

__all__ = ["fetch_partitioned", "summarize"]
RUN_ROWS = 1_000_000
"""Rows that a worker counts at a time: some tenths of a second of work, which spread evenly."""
_ADDED_AT_ONCE = 8
_LOOK_S = 0.25  # how often Ctrl-C is looked for
_FIRST_WORKER_S = 60
_MOST_EMPTY = 3  # parts in a row that read nothing: the service is down


# --- counting ---


def summarize(source: Any, keys: str | Sequence[str] = (), *, client: Any = None) -> DurationHistogram:
    """Count all measures of jobs on a Dask cluster: the histogram that ``DurationHistogram.from_jobs`` gives.

    Parameters
    ----------
    source : path, JobStore or pandas.DataFrame
        Parquet files that every worker sees at the same path, or a store. A frame is counted here, since sending it would
        take longer.
    keys : str or sequence of str
        Further columns to keep apart; hour, queue_id, tag, outcome and code always are.
    client : dask.distributed.Client, optional
        The cluster; by default everything is counted in this process, without Dask.

    Returns
    -------
    DurationHistogram
        It takes the place of ``jobs`` in every statistic. It knows no single jobs, so that queues that grow are told by
        lower bounds, not by a projection.

    Raises
    ------
    SettingsError
        ``client`` is none, or Dask is not installed.
    FrameError, FileError
        As from one machine.
    CosaiError
        The cluster ended before all was counted.

    Examples
    --------
    >>> import tempfile
    >>> import cosai_nb as cn
    >>> with cn.Emulator(seed=7) as emulator, tempfile.TemporaryDirectory() as folder:
    ...     jobs = cn.fetch_jobs(emulator.job_ids[:500], client=emulator.client(), store=folder)
    ...     summarize(folder) == summarize(jobs)
    True
    """
    # the histogram's own names of its keys; those that would hide a column of its table are refused
    counter = DurationHistogram._counter(group_columns(keys))  # noqa: SLF001 - see above
    cluster = None if client is None else _cluster(client)
    if hasattr(source, "to_delayed"):
        raise SettingsError(
            "source is a Dask collection, whose partitions may hold one job twice: write it with to_parquet(folder), and pass the folder."
        )
    if cluster is None or not isinstance(source, str | os.PathLike | JobStore):
        counted = count_all(source, counter.wanted)
    else:
        # whole paths: a worker's current folder may be another
        there = (
            JobStore(source.folder.absolute())
            if isinstance(source, JobStore)
            else arguments.path(source).absolute()
        )
        pieces = fragments(there, counter.columns)
        counted = _count_there(cluster, pieces, counter.wanted)
    return DurationHistogram(counted.tables, counted.as_of, counted.left_out)


def _count_there(cluster: Any, pieces: Sequence[Fragment], wanted: Wanted) -> Counted:
    try:
        sums = cluster.map(count_all, _runs(pieces), wanted=wanted, pure=False)
        while len(sums) > 1:
            groups = [sums[first : first + _ADDED_AT_ONCE] for first in range(0, len(sums), _ADDED_AT_ONCE)]
            sums = [cluster.submit(_add, group, wanted, pure=False) for group in groups]
        counted: Counted = sums[0].result()
    except FileError as error:
        error.add_note("A worker says so: every worker must see the files at the same path.")
        raise
    except _cluster_errors() as error:
        raise CosaiError(
            f"The Dask cluster ended before everything was counted ({_said(error)}). Count again on another one, or without "
            "client= in this process.",
            retryable=True,
        ) from error
    return counted


def _runs(pieces: Sequence[Fragment]) -> list[list[Fragment]]:
    """Put fragments together to runs of about :data:`RUN_ROWS`."""
    places = np.cumsum([piece.rows for piece in pieces]) // RUN_ROWS
    numbered = groupby(zip(places, pieces, strict=True), itemgetter(0))
    return [[piece for _, piece in run] for _, run in numbered]


def _add(counts: Iterable[Counted], wanted: Wanted) -> Counted:
    counter = Counter(wanted)
    for part in counts:
        counter.add_counted(part)
    return counter.counted()


# --- the cluster ---


def _cluster(client: Any, name: str = "client") -> Any:
    """Return a usable client of a Dask cluster."""
    try:
        from distributed import Client as Cluster  # noqa: PLC0415 - an extra
    except ImportError:
        raise SettingsError(
            f"{name}= needs Dask: pip install 'cosai_nb[dask]'. Without {name}= all is done in this process."
        ) from None
    if not isinstance(client, Cluster) or client.asynchronous:
        raise SettingsError(
            f"{name} is {type(client).__name__}: pass a dask.distributed.Client that is not asynchronous, or None for this process."
        )
    if client.status != "running":
        raise SettingsError(f"{name} is {client.status}: connect a new dask.distributed.Client.")
    return client


def _cluster_errors() -> tuple[type[BaseException], ...]:
    """Return what a cluster raises that loses its scheduler or its workers; TimeoutError and broken connections are OSErrors."""
    from concurrent.futures import CancelledError  # noqa: PLC0415 - only where Dask is

    from distributed import KilledWorker  # noqa: PLC0415 - an extra

    return (CancelledError, KilledWorker, OSError)


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(": .")


# --- asking ---


def fetch_partitioned(
    wanted: Iterable[Any],
    folder: JobStore | str | os.PathLike[str],
    *,
    client_settings: Settings | None = None,
    dask_client: Any = None,
    rate: float | None = None,
    part_size: int | str | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Fetch jobs into a store, part by part, on a Dask cluster or in this process; a call made again asks for what is missing.

    Parameters
    ----------
    wanted : iterable of str or of mapping
        Job IDs, of which only as many are held as are being asked for; or windows to list: mappings with ``start``, ``end`` and
        optionally ``tag`` and ``queue_id``, as for :func:`cosai_nb.list_jobs`. Parts are cut in the order given, so the same
        IDs in the same order are the same parts.
    folder : path or JobStore
        The store, on storage that every worker and this process see at the same path.
    client_settings : mapping or callable, optional
        How a worker makes its :class:`~cosai_nb.Client`: settings for ``Client.from_env(**settings)``, or a function without
        arguments that returns one. Either is sent to the workers, so neither may hold credentials: these are read there, from
        the worker's environment by default.
    dask_client : dask.distributed.Client, optional
        The cluster. As many parts are asked for at a time as it has threads; by default one, in this process, without Dask.
    rate : float, optional
        Requests a second of all workers together, at most. Each part that is being asked for is given its share, in whole
        requests a second, so with fewer than one a thread fewer parts are asked for at a time.
    part_size : int or str, optional
        IDs a part, default 10,000: what a killed worker loses. Of windows the length, default ``"1h"``; they are cut at multiples
        of it in the service's time (+0800).
    progress : bool, optional
        None shows a bar of parts when the call takes longer than a second; True and False force it.

    Returns
    -------
    pandas.DataFrame
        One row a part: ``part`` (its name), ``state``, ``jobs`` (that the store has of it), ``asked`` (IDs that were sent now; of a window
        the jobs listed), ``unfinished`` (of the jobs) and ``no_job`` (IDs that the service does not know, or that are never sent).

        ========== ==================================================================================
        state      meaning
        ========== ==================================================================================
        there      it was read before, and every job had ended
        read       it was read; jobs that had not ended are asked for by the next call
        incomplete not all was read, or the window was not over; the next call asks for the rest
        not asked  the call ended before its turn
        ========== ==================================================================================

    Raises
    ------
    SettingsError
        An argument cannot be right, or settings hold credentials.
    CredentialsError, DeniedError
        A worker has no credentials, or the service does not take them.
    FileError
        A worker cannot write the store, or writes where this process does not see it.
    CosaiError
        The cluster ended early. What is in the folder stays, and the same call goes on from there.

    Warns
    -----
    IncompleteWarning
        Where parts are incomplete or were not asked for: Ctrl-C, or a service that was down.

    Notes
    -----
    A part of IDs that no longer finds its files (they were deleted, or the store was compacted) is looked up in the store,
    and only what is missing there is asked for; such a window is listed again.

    Examples
    --------
    >>> import tempfile
    >>> import cosai_nb as cn
    >>> with cn.Emulator(seed=7) as emulator, tempfile.TemporaryDirectory() as folder:
    ...     again = [fetch_partitioned(emulator.job_ids[:500], folder, client_settings=emulator.client, part_size=200)
    ...              for _ in range(2)]
    ...     [report[["state", "jobs", "asked"]].values.tolist() for report in again], len(cn.JobStore(folder).jobs())
    ([[['read', 200, 200], ['read', 200, 200], ['read', 100, 100]], [['there', 200, 0], ['there', 200, 0], ['there', 100, 0]]], 500)
    """
    arguments.check(rate=rate, progress=progress)
    cluster = None if dask_client is None else _cluster(dask_client, "dask_client")
    settings = _settings(client_settings, travels=cluster is not None)
    store = folder if isinstance(folder, JobStore) else JobStore(folder)
    entries = iter(ids_of(wanted, "wanted", or_else=", or windows such as [{'start': …, 'end': …}]"))
    try:
        slots, scope = 1, ("", "")
        if cluster is None:
            scope = parts.scope_of(settings)
        else:
            cluster.wait_for_workers(1, _FIRST_WORKER_S)
            slots = sum(cluster.nthreads().values())
            scope = cluster.submit(parts.scope_of, settings, pure=False).result()
    except CosaiError as error:
        if cluster is not None:
            error.add_note("A worker of the cluster says so.")
        raise
    except _cluster_errors() as error:
        raise CosaiError(f"The Dask cluster has no worker ({_said(error)}): nothing was asked.") from error
    tasks = parts.tasks_of(store, parts.parts_of(entries, scope, part_size))
    work = partial(parts.fetch_part, folder=str(store.folder.absolute()), settings=settings)
    done: dict[str, Asked] = {}
    total = len(wanted) if isinstance(wanted, Sized) else None
    delay = 0 if progress else BAR_DELAY_S
    bar = tqdm(desc="Jobs", unit="job", total=total, disable=progress is False, delay=delay)
    with interrupts() as noted, bar:
        if cluster is None:
            came = _here(tasks, work, shares(rate, 1)[0], done)
        else:
            came = _there(cluster, tasks, work, shares(rate, slots), done)
        with closing(came):
            end = _take(came, done, bar, noted)
        for task in tasks:
            done.setdefault(task.part.name, parts.state_before(task))
    return _told(done, store, end)


def shares(rate: float | None, most: int) -> list[float | None]:
    """Divide requests a second among parts that are asked for at a time: whole numbers, so that no second has more.

    Examples
    --------
    >>> shares(7, 4), shares(3.5, 4), shares(0.5, 4), shares(None, 2)
    ([2.0, 2.0, 2.0, 1.0], [1.0, 1.0, 1.0], [0.5], [None, None])
    """
    if rate is None:
        return [None] * most
    if rate < 1:
        return [rate]
    number = min(most, int(rate))
    each, more = divmod(int(rate), number)
    return [float(each + (place < more)) for place in range(number)]


def _here(
    tasks: Iterator[Task], work: Any, share: float | None, done: dict[str, Asked]
) -> Generator[Asked | None]:
    """Do one task after the other; its own warning of what is missing is told once, for all of them."""
    for task in tasks:
        asked = done[task.part.name] = parts.state_before(task)
        if asked.state != "there":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", errors.IncompleteWarning)
                asked = work(task, share)
        yield asked


def _there(
    cluster: Any, tasks: Iterator[Task], work: Any, free: Sequence[float | None], done: dict[str, Asked]
) -> Generator[Asked | None]:
    """Do as many tasks at a time on a cluster as there are shares of the rate; None from time to time while none is done."""
    shares_left, came = deque(free), SimpleQueue[Any]()
    running: dict[Any, float | None] = {}
    try:
        while True:
            while shares_left and (task := next(tasks, None)):
                asked = done[task.part.name] = parts.state_before(task)
                if asked.state == "there":
                    yield asked
                    continue
                share = shares_left.popleft()
                future = cluster.submit(work, task, share, pure=False)
                running[future] = share
                future.add_done_callback(came.put)
            if not running:
                return
            try:
                future = came.get(timeout=_LOOK_S)
            except Empty:
                yield None
                continue
            shares_left.append(running.pop(future))
            yield future.result()
    except CosaiError:  # of a worker's; some are OSErrors
        raise
    except _cluster_errors() as error:
        raise CosaiError(f"The Dask cluster ended early ({_said(error)}).", retryable=True) from error
    finally:
        with suppress(*_cluster_errors()):
            cluster.cancel([*running])


def _take(
    came: Iterator[Asked | None], done: dict[str, Asked], bar: Any, noted: Interrupts
) -> CosaiError | str | None:
    """Take note of what became of parts; return why the call must end early."""
    empty = 0
    try:
        for asked in came:
            if asked is not None:
                done[asked.part] = asked
                read = asked.jobs + asked.no_job
                bar.update(read)
                if isinstance(asked.failure, errors.DeniedError | SettingsError | FileError):
                    return asked.failure
                empty = 0 if read or asked.state != "incomplete" else empty + 1
                if empty == _MOST_EMPTY:
                    return f"{_MOST_EMPTY} parts in a row read nothing"
            if noted.count:
                return INTERRUPTED
    except CosaiError as error:
        return error
    return None


def _resume(store: JobStore, missing: Mapping[str, int]) -> str:
    lacking = " and ".join(f"{number:,} {state}" for state, number in missing.items())
    return (
        f"Of the parts {lacking}; what was read is in {store.folder}. The same call made again, on a cluster or without one, asks "
        "for what is missing only."
    )


def _told(done: Mapping[str, Asked], store: JobStore, end: CosaiError | str | None) -> pd.DataFrame:
    """Return the report; raise or warn of what is missing."""
    columns = [name for name in Asked._fields if name != "failure"]
    report = pd.DataFrame([asked[: len(columns)] for asked in done.values()], columns=columns)
    counts = report["state"].value_counts()
    missing = {state: int(counts.get(state, 0)) for state in ("incomplete", "not asked")}
    if isinstance(end, CosaiError):
        if done:
            end.add_note(_resume(store, missing))
        raise end
    if sum(missing.values()):
        why = end or next((str(asked.failure) for asked in done.values() if asked.failure), "see the report")
        kind = errors.InterruptedWarning if end == INTERRUPTED else errors.IncompleteWarning
        warnings.warn(f"Parts are missing ({why}). {_resume(store, missing)}", kind, stacklevel=3)
    return report


# --- settings that may be sent ---


def _settings(given: Any, *, travels: bool) -> Settings:
    if isinstance(given, Client):
        raise SettingsError(
            "client_settings is a Client, which holds credentials: pass a function that makes one, such as Client.from_env."
        )
    settings = {} if given is None else dict(given) if isinstance(given, Mapping) else given
    if isinstance(settings, dict):
        if secret := {*Credentials._fields, "provider"} & {*settings}:
            raise SettingsError(
                f"client_settings holds {min(secret)!r}: credentials are never sent to workers. Leave it out, and set "
                "COS_SECRET_ID and COS_SECRET_KEY where the workers run, or pass a function that reads them there."
            )
    elif not callable(settings):
        raise SettingsError(
            f"client_settings is {type(given).__name__}: pass settings for Client.from_env, or a function that returns a Client."
        )
    elif travels and (flaw := _why_it_cannot_travel(settings)):
        raise SettingsError(
            f"client_settings {flaw}. Pass a function that reads the credentials where it is called, such as Client.from_env."
        )
    return settings


def _why_it_cannot_travel(provider: Callable[[], Client]) -> str | None:
    """Return what is wrong with a function that workers are to call; None where it may be sent.

    It is called once: were its client's credentials among the bytes that are sent, they would show up there.
    """
    import cloudpickle  # noqa: PLC0415 - comes with Dask

    try:
        sent = cloudpickle.dumps(provider)
    except Exception as error:  # noqa: BLE001 - whatever an object raises that cannot be pickled
        return f"cannot be sent to workers ({type(error).__name__}): it holds a client, a key or a connection"
    with suppress(Exception):  # the credentials may be where the workers are, and not here
        client = provider()
        client.close()
        if any(secret.reveal().encode() in sent for secret in client._credentials if secret):  # noqa: SLF001 - to compare
            return "holds credentials, which are never sent to workers"
    return None
