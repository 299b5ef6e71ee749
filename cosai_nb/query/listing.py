"""Jobs by queue and creation time, and the queues themselves."""

from __future__ import annotations

import warnings
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from cosai_nb.arguments import check
from cosai_nb.errors import FileError, InterruptedWarning
from cosai_nb.query.recall import QueueMemory
from cosai_nb.query.run import ask_and_store, bar, raise_with, warn_of_repairs
from cosai_nb.query.windows import gaps, window_of
from cosai_nb.schema import State
from cosai_nb.service.client import Client
from cosai_nb.service.listing import Listed, list_records
from cosai_nb.service.parsing import parse_queues
from cosai_nb.service.spans import SERVICE_ZONE, Window
from cosai_nb.table.frame import (
    arrow_text,
    category_array,
    conform,
    frame_of,
    integer_array,
    text_array,
    time_array,
)
from cosai_nb.table.store import as_store
from cosai_nb.table.times import parse_times

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection
    from datetime import date

    from cosai_nb.table.store import JobStore

_QUEUE_COLUMNS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "queue_id": ("QueueId", text_array),
    "name": ("Name", text_array),
    "state": ("State", category_array),
    "max_size": ("MaxSize", integer_array),
    "max_concurrent": ("MaxConcurrent", integer_array),
    "category": ("Category", category_array),
    "create_time": ("CreateTime", lambda texts: time_array(parse_times(texts).values)),
    "update_time": ("UpdateTime", lambda texts: time_array(parse_times(texts).values)),
}
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
        An argument cannot be right; it is named, and nothing was asked.
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
    check(tag=tag, queue_id=queue_id, states=states, client=client, workers=workers, progress=progress)
    window = window_of(start, end)
    wanted = frozenset(map(State, states or ()))
    kept = as_store(store)
    client = client or Client.from_env()
    scope = f"{client.bucket} {client.path} {queue_id} {tag}"
    memory = QueueMemory.of(kept, scope, tag=tag, queue_id=queue_id, window=window) if kept else None
    to_read = gaps(window, memory.known()) if memory else [window]
    listed = Listed()
    if to_read:
        ask = partial(
            list_records, client, to_read, tag=tag, queue_id=queue_id, states=wanted, workers=workers
        )
        ended = memory.ended_ids() if memory else set()
        with bar(None, progress) as shown:
            listed = ask_and_store(ask, kept, shown, worth_storing=lambda record: record.job_id not in ended)
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
    check(client=client)
    client = client or Client.from_env()
    queues: dict[str | None, dict[str, str | None]] = {}
    for page in range(1, _MAX_QUEUE_PAGES):
        params = {"pageNumber": str(page), "pageSize": str(_QUEUE_PAGE)}
        answer, _ = client.ask("/ai_queue", parse_queues, params=params)
        new = {queue_id: queue for queue in answer if (queue_id := queue["QueueId"]) not in queues}
        if not new:
            break
        queues |= new
    return pd.DataFrame(
        {
            name: made(arrow_text([queue[node] for queue in queues.values()]))
            for name, (node, made) in _QUEUE_COLUMNS.items()
        }
    )


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
