"""Jobs by queue and creation time, and the queues themselves."""

from __future__ import annotations

import re
import warnings
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from cosai_nb.errors import FileError, InterruptedWarning, SettingsError
from cosai_nb.query.recall import QueueMemory
from cosai_nb.query.run import bar, check_sizes, raise_with, warn_of_repairs
from cosai_nb.query.windows import gaps, window_of
from cosai_nb.schema import Record, State
from cosai_nb.service.client import Client
from cosai_nb.service.listing import Listed, list_records
from cosai_nb.service.parsing import parse_queues
from cosai_nb.service.spans import SERVICE_ZONE, Window
from cosai_nb.table.dtypes import arrow_text, category_array, integer_array, text_array, time_array
from cosai_nb.table.frame import conform, frame_of
from cosai_nb.table.store import as_store
from cosai_nb.table.times import parse_times

if TYPE_CHECKING:
    import os
    from collections.abc import Collection
    from datetime import date

    from cosai_nb.table.store import JobStore

_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_QUEUE_PAGE = 100
_MAX_QUEUE_PAGES = 1_000
_SHOWN_GAPS = 3


def list_jobs(
    *,
    tag: str,
    queue_id: str,
    start: str | date,
    end: str | date,
    states: Collection[str] | None = None,
    client: Client | None = None,
    store: JobStore | str | os.PathLike[str] | None = None,
    workers: int = 8,
    progress: bool | None = None,
) -> pd.DataFrame:
    """List the jobs of one queue and kind that were created in a window, without knowing their IDs.

    Parameters
    ----------
    tag, queue_id : str
        The service requires both; :func:`list_queues` names the queues.
    start, end : str, date or datetime
        Creation time from ``start`` to before ``end``. Texts and dates without a zone are in the service's own time
        (+0800): ``"2026-11-01"``, ``"2026-11-01T08:00:00"``, ``"2026-11-01T00:00:00Z"``. A datetime needs a tzinfo.
    states : collection of str, optional
        Only jobs in these of the six states; default all.
    client : Client, optional
        Whom to ask; default ``Client.from_env()``.
    store : JobStore or path, optional
        Where to remember jobs. Hours that lie in the past and whose jobs have all ended are not listed again, as long as
        the store has all of them; jobs that it has seen and the service has forgotten stay in the frame.
    workers : int
        Stretches of time that are paged side by side.
    progress : bool, optional
        None shows a bar when the call takes longer than a second; True and False force it.

    Returns
    -------
    pandas.DataFrame
        The ``jobs`` frame, one row a job, sorted by creation time and ID.

    Raises
    ------
    SettingsError
        Where tag, queue, times or states cannot be right.
    ServiceError, AnswerError, FileError
        Where the listing ended early; ``error.jobs`` holds what was listed.

    Warns
    -----
    IncompleteWarning
        After Ctrl-C; it names the stretches of time that were not listed.

    Notes
    -----
    The service is asked for all states unless every state asked for is one that jobs do not leave: a filter that they
    leave would shift the pages while they are read, and other jobs would be missed.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> with cn.Emulator(seed=7) as emulator:
    ...     client = emulator.client()
    ...     known = cn.fetch_jobs(emulator.job_ids[:100], client=client)
    ...     day = known.creation_time.min().floor("D")
    ...     jobs = cn.list_jobs(
    ...         tag="Translation", queue_id=known.queue_id[0], start=day, end=day + pd.Timedelta("1D"), client=client
    ...     )
    >>> jobs.job_id.is_unique, jobs.creation_time.is_monotonic_increasing
    (True, True)
    """
    check_sizes(workers=workers)
    window = window_of(start, end)
    wanted = _check_names(tag, queue_id, states)
    kept = as_store(store)
    client = client or Client.from_env()
    scope = f"{client.bucket} {client.path} {queue_id} {tag}"
    memory = QueueMemory.of(kept, scope, tag=tag, queue_id=queue_id, window=window) if kept else None
    to_read = gaps(window, memory.known()) if memory else [window]
    listed = Listed()
    if to_read:
        with bar(None, progress) as shown:
            listed = _list_into(
                memory,
                client,
                to_read,
                shown=shown,
                tag=tag,
                queue_id=queue_id,
                states=wanted,
                workers=workers,
            )
    jobs = _jobs_of(memory, listed, whole=not wanted)
    if wanted:
        jobs = conform(jobs[jobs["state"].isin(wanted)].reset_index(drop=True))
    _tell(listed, jobs, to_read)
    return jobs


def list_queues(*, client: Client | None = None) -> pd.DataFrame:
    """List the bucket's AI queues.

    Parameters
    ----------
    client : Client, optional
        Whom to ask; default ``Client.from_env()``.

    Returns
    -------
    pandas.DataFrame
        One row a queue: queue_id, name, state (``Active`` or ``Paused``), max_size (Int64, jobs that may wait),
        max_concurrent (Int64, jobs that may run at once: the servers of utilisation), category, create_time and
        update_time (datetime64[ms, UTC]).

    Examples
    --------
    >>> import cosai_nb as cn
    >>> with cn.Emulator(seed=7) as emulator:
    ...     queues = cn.list_queues(client=emulator.client())
    >>> queues.max_concurrent.tolist()
    [10, 6, 2]
    """
    client = client or Client.from_env()
    queues: dict[str | None, dict[str, str | None]] = {}
    for page in range(1, _MAX_QUEUE_PAGES):
        params = {"pageNumber": str(page), "pageSize": str(_QUEUE_PAGE)}
        answer, _ = client.ask("/ai_queue", parse_queues, params=params)
        new = {queue["QueueId"]: queue for queue in answer if queue["QueueId"] not in queues}
        if not new:
            break
        queues |= new
    return _queue_frame(list(queues.values()))


def _check_names(tag: str, queue_id: str, states: Collection[str] | None) -> frozenset[State]:
    for name, value in {"tag": tag, "queue_id": queue_id}.items():
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            raise SettingsError(
                f"{name}={value!r} must be letters, digits, - and _; the service requires it."
            )
    if isinstance(states, str):
        raise SettingsError(f"states={states!r} is a single text: pass a list, such as [{states!r}].")
    try:
        return frozenset(State(state) for state in states or ())
    except ValueError:
        known = ", ".join(State)
        raise SettingsError(f"states={sorted(map(str, states or ()))} must be of {known}.") from None


def _list_into(
    memory: QueueMemory | None, client: Client, windows: list[Window], *, shown: Any, **settings: Any
) -> Listed:
    """List and store on the way; a store that fails ends the listing, and what was listed is kept."""
    if memory is None:
        return list_records(client, windows, on_records=lambda page: _advance(shown, page), **settings)
    ended = memory.ended_ids()
    records: dict[str, Record] = {}

    def keep(page: list[Record]) -> None:
        _advance(shown, page)
        records.update((record.job_id, record) for record in page)
        writer.add([record for record in page if record.job_id not in ended])

    try:
        with memory.store.writer() as writer:
            return list_records(client, windows, on_records=keep, **settings)
    except FileError as failure:
        return Listed(records, failure=failure)


def _advance(shown: Any, page: list[Record]) -> None:
    shown.update(len(page))


def _jobs_of(memory: QueueMemory | None, listed: Listed, *, whole: bool) -> pd.DataFrame:
    """Return the jobs of the window in order, from the store where it can be read, and let it remember what was listed whole."""
    if memory and not isinstance(listed.failure, FileError):
        try:
            if whole and listed.read:
                memory.remember(listed)
            return memory.jobs(listed.records)
        except FileError as failure:
            listed.failure = listed.failure or failure
    return frame_of([*listed.records.values()]).sort_values(["creation_time", "job_id"], ignore_index=True)


def _tell(listed: Listed, jobs: pd.DataFrame, asked: list[Window]) -> None:
    """Raise or warn for a listing that ended early, with the stretches of time that are missing."""
    warn_of_repairs(listed.repairs)
    missing = [gap for window in asked for gap in gaps(window, listed.read)]
    if not missing:
        if listed.failure is not None:
            raise_with(listed.failure, jobs, f"{len(jobs):,} jobs were listed before.")
        return
    stretches = ", ".join(f"{_shown(gap.start)} to {_shown(gap.end)}" for gap in missing[:_SHOWN_GAPS])
    more = f" and {len(missing) - _SHOWN_GAPS} more" if len(missing) > _SHOWN_GAPS else ""
    note = (
        f"{len(jobs):,} jobs were listed; what was created from {stretches}{more} is not wholly among them."
    )
    if listed.failure is not None:
        raise_with(listed.failure, jobs, note)
    warnings.warn(f"The listing was interrupted: {note} List again.", InterruptedWarning, stacklevel=3)


def _shown(moment: int) -> str:
    return datetime.fromtimestamp(moment, SERVICE_ZONE).strftime("%Y-%m-%dT%H:%M:%S%z")


def _queue_frame(queues: list[dict[str, str | None]]) -> pd.DataFrame:
    texts = {
        name: arrow_text([queue[name] for queue in queues])
        for name in (
            "QueueId",
            "Name",
            "State",
            "MaxSize",
            "MaxConcurrent",
            "Category",
            "CreateTime",
            "UpdateTime",
        )
    }
    return pd.DataFrame(
        {
            "queue_id": text_array(texts["QueueId"]),
            "name": text_array(texts["Name"]),
            "state": category_array(texts["State"]),
            "max_size": integer_array(texts["MaxSize"]),
            "max_concurrent": integer_array(texts["MaxConcurrent"]),
            "category": category_array(texts["Category"]),
            "create_time": time_array(parse_times(texts["CreateTime"]).values),
            "update_time": time_array(parse_times(texts["UpdateTime"]).values),
        }
    )
