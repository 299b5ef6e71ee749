"""fetch_jobs, describe_job: the one place where service and table meet."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from cosai_nb.errors import CosaiError, IncompleteWarning, InvalidIdError, RepairedWarning
from cosai_nb.service.batch import MAX_LIST, Fetched, fetch_records
from cosai_nb.service.client import Client
from cosai_nb.service.ids import admit, why_invalid
from cosai_nb.service.parsing import parse_tree
from cosai_nb.table.frame import frame_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

BAR_DELAY_S = 1.0


def fetch_jobs(
    job_ids: Iterable[Any],
    *,
    client: Client | None = None,
    batch_size: int = MAX_LIST,
    workers: int = 16,
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
    DeniedError
        401, 403 and other answers that make going on pointless; ``error.jobs`` holds what was read before.
    CredentialsError
        Where no client is given and the environment has no credentials.

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
    _check_sizes(batch_size, workers)
    admitted = admit(job_ids, strict=strict)
    ids = [entry for entry in admitted if isinstance(entry, str)]
    fetched = Fetched({})
    if ids:
        client = client or Client.from_env()
        with _bar(len(ids), progress) as bar:
            fetched = fetch_records(
                client,
                ids,
                batch_size=batch_size,
                workers=workers,
                deadline=deadline,
                on_records=lambda records: bar.update(len(records)),
            )
    jobs = frame_of([fetched.records[entry] if isinstance(entry, str) else entry for entry in admitted])
    _tell(fetched, jobs)
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

    Examples
    --------
    >>> import cosai_nb as cn
    >>> with cn.Emulator(seed=7) as emulator:
    ...     answer = cn.describe_job(emulator.job_ids[0], client=emulator.client())
    >>> answer["Response"]["JobsDetail"][0]["State"]
    'Success'
    """
    reason = why_invalid(job_id)
    if reason:
        raise InvalidIdError(f"The job ID {str(job_id)[:60]!a} {reason}.")
    client = client or Client.from_env()
    answer, _ = client.ask(f"{client.path}/{job_id}", parse_tree)
    return answer


def _check_sizes(batch_size: int, workers: int) -> None:
    if not 1 <= batch_size <= MAX_LIST:
        raise ValueError(
            f"batch_size={batch_size} must be 1 to {MAX_LIST}, the most that the service documents."
        )
    if workers < 1:
        raise ValueError(f"workers={workers} must be at least 1.")


def _bar(total: int, progress: bool | None) -> tqdm[Any]:  # noqa: FBT001 - handed through
    return tqdm(
        total=total,
        unit="job",
        desc="Jobs",
        disable=progress is False,
        delay=0 if progress else BAR_DELAY_S,
    )


def _tell(fetched: Fetched, jobs: pd.DataFrame) -> None:
    """Raise or warn for a call that ended early; a short frame never comes back in silence."""
    for sentence, answers in fetched.repairs.items():
        warnings.warn(f"{sentence} ({answers:,} answers)", RepairedWarning, stacklevel=3)
    unread = int((jobs["outcome"] == "unread").sum())
    if fetched.failure is not None:
        failure: CosaiError = fetched.failure
        failure.jobs = jobs
        failure.add_note(
            f"{len(jobs) - unread:,} of {len(jobs):,} IDs were done before; they are in this error's .jobs."
        )
        raise failure
    if unread:
        why = fetched.ended or f"the first says: {jobs.loc[jobs['outcome'] == 'unread', 'error'].iloc[0]}"
        warnings.warn(
            f"{unread:,} of {len(jobs):,} IDs were not read ({why}). Their rows say `unread`; ask for them again.",
            IncompleteWarning,
            stacklevel=3,
        )
