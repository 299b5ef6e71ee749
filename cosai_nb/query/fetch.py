"""Jobs by ID: one row each, or one job with every node of its answer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from cosai_nb.arguments import MAX_LIST, check
from cosai_nb.errors import InvalidIdError
from cosai_nb.query.run import ask_and_store, assemble, bar, tell, warn_of_repairs
from cosai_nb.service.batch import Fetched, fetch_records
from cosai_nb.service.client import Client
from cosai_nb.service.crew import parse_answer_to
from cosai_nb.service.ids import admit, why_invalid
from cosai_nb.service.parsing import parse_tree
from cosai_nb.table.store import as_store

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    import pandas as pd

    from cosai_nb.service.parsing import Answer
    from cosai_nb.table.store import JobStore


def fetch_jobs(
    job_ids: Iterable[Any],
    *,
    client: Client | None = None,
    batch_size: int = MAX_LIST,
    workers: int = 16,
    store: JobStore | str | os.PathLike[str] | None = None,
    progress: bool | None = None,
    strict: bool = False,
    deadline: float | None = None,
) -> pd.DataFrame:
    """Query jobs by ID: one row per distinct ID, in first-seen order.

    Parameters
    ----------
    job_ids : iterable of str
        IDs; repeated ones are asked once. What cannot be an ID is never sent and becomes an ``invalid_id`` row.
    client : Client, optional
        Whom to ask; default ``Client.from_env()``.
    batch_size : int
        IDs a request, 1 to 10. A service that refuses lists is asked with halves, down to single IDs.
    workers : int
        Requests in flight.
    store : JobStore or path, optional
        Where to remember jobs: only IDs that it has not seen ended are asked, and what comes is stored on the way, at least
        every 5,000 jobs or 10 s. The same call made again resumes one that was cut short. An ID that the service no
        longer knows keeps the row of its last sight (``observed_at`` says when).
    progress : bool, optional
        None shows a bar when the call takes longer than a second; True and False force it.
    strict : bool
        Raise InvalidIdError at the first value that cannot be an ID.
    deadline : float, optional
        Seconds for the whole call; what is not read by then says so.

    Returns
    -------
    pandas.DataFrame
        The ``jobs`` frame, columns as in ``cosai_nb.COLUMNS``; times in UTC, durations in seconds.

    Raises
    ------
    SettingsError
        An argument cannot be right; it is named, and nothing was asked.
    DeniedError
        401, 403 and other answers that make going on pointless; ``error.jobs`` holds what was read before.
    CredentialsError
        Where no client is given and the environment has no credentials.
    FileError
        The store cannot be read or written; ``error.jobs`` holds what was read before.

    Warns
    -----
    IncompleteWarning
        Where the call ended early (Ctrl-C, deadline, service down); the rows not read are ``unread``.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> with cn.Emulator(seed=7) as emulator:
    ...     jobs = cn.fetch_jobs([*emulator.job_ids[:3], "no/id"], client=emulator.client())
    >>> jobs.outcome.tolist()
    ['success', 'success', 'success', 'invalid_id']
    """
    check(
        client=client,
        batch_size=batch_size,
        workers=workers,
        progress=progress,
        strict=strict,
        deadline=deadline,
    )
    admitted = admit(job_ids, strict=strict)
    ids = [entry for entry in admitted if isinstance(entry, str)]
    memory = as_store(store)
    ended = memory.ended_ids(ids) if memory else set()
    asked = [job_id for job_id in ids if job_id not in ended]
    fetched = Fetched({})
    if asked:
        ask = partial(
            fetch_records,
            client or Client.from_env(),
            asked,
            batch_size=batch_size,
            workers=workers,
            deadline=deadline,
        )
        with bar(len(ids), progress, initial=len(ended)) as shown:
            fetched = ask_and_store(ask, memory, shown)
    jobs = assemble(admitted, fetched.records, memory)
    tell(fetched, jobs)
    return jobs


def describe_job(job_id: str, *, client: Client | None = None) -> dict[str, Any]:
    """Return the service's whole answer for one job, every node of it, as xmltodict reads it.

    Parameters
    ----------
    job_id : str
        One ID.
    client : Client, optional
        Whom to ask; default ``Client.from_env()``.

    Returns
    -------
    dict
        ``{"Response": {"JobsDetail": [{...}], ...}}``; ``JobsDetail`` is always a list, ``NonExistJobIds`` is there
        for an ID that the service does not know.

    Raises
    ------
    InvalidIdError
        Where the ID is never sent.
    ServiceError, AnswerError
        The service refuses or cannot be reached; its answer cannot be believed, or speaks of another job.

    Warns
    -----
    RepairedWarning
        Where a documented defect of the answer was repaired.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> with cn.Emulator(seed=7) as emulator:
    ...     answer = cn.describe_job(emulator.job_ids[0], client=emulator.client())
    >>> answer["Response"]["JobsDetail"][0]["State"]
    'Success'
    """
    check(client=client)
    reason = why_invalid(job_id)
    if reason:
        raise InvalidIdError(f"The job ID {str(job_id)[:60]!a} {reason}.")
    client = client or Client.from_env()

    def parse(body: bytes) -> tuple[Answer, dict[str, Any]]:
        return parse_answer_to([job_id], body), parse_tree(body)

    (answer, tree), _ = client.ask(f"{client.path}/{job_id}", parse)
    if answer.repaired:
        warn_of_repairs({answer.repaired: 1})
    return tree
