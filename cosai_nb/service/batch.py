"""Many job IDs in flight: lists, halving, workers, early ends; nothing lost.

Every admitted ID ends in exactly one record. Worker threads take lists of IDs from one place, ask, and put
finished records into one queue; only the calling thread reads that queue, so progress bars and stores need no
locks and Ctrl-C has one place to arrive.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from queue import Empty
from typing import TYPE_CHECKING

from cosai_nb.errors import CosaiError, UnavailableError
from cosai_nb.schema import Record
from cosai_nb.service.crew import MAX_LIST, Crew

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cosai_nb.service.client import Client

    OnRecords = Callable[[list[Record]], None]

__all__ = ["DEADLINE_OVER", "MAX_LIST", "Fetched", "fetch_records"]

DEADLINE_OVER = "the deadline of the call was over"
_POLL_S = 0.5  # how long to listen before looking whether anyone is still at work
_FAREWELL_S = 2.0  # how long an ended call waits for requests in flight; they end by their own timeout


@dataclass
class Fetched:
    """What a batch brought home.

    Parameters
    ----------
    records : dict
        ID to its record, for every ID that was asked; complete even where the call ended early.
    ended : str or None
        Why the call ended early, None where it did not.
    failure : CosaiError or None
        Set where going on would be pointless (denied).
    interrupted : bool
        True after Ctrl-C.
    repairs : dict
        Sentence about a repaired defect of answers, to how many answers had it.
    """

    records: dict[str, Record]
    ended: str | None = None
    failure: CosaiError | None = None
    interrupted: bool = False
    repairs: dict[str, int] = field(default_factory=dict)


def fetch_records(
    client: Client,
    ids: Sequence[str],
    *,
    batch_size: int = MAX_LIST,
    workers: int = 16,
    deadline: float | None = None,
    on_records: OnRecords = lambda _: None,
) -> Fetched:
    """Ask for many jobs at once.

    Parameters
    ----------
    client : Client
        Whom to ask.
    ids : sequence of str
        Distinct IDs, already admitted.
    batch_size : int
        IDs a request, 1 to 10; a list that the service refuses is split in halves down to single IDs.
    workers : int
        Threads.
    deadline : float, optional
        Seconds for the whole call.
    on_records : callable
        Called in this thread with finished records, as they come; with none twice a second while nothing comes.

    Returns
    -------
    Fetched
        One record an ID, whatever happens; IDs that were not read say why in ``error``.
    """
    crew = Crew(client, ids, batch_size)
    threads = [
        threading.Thread(target=crew.work, name=f"cosai-{number}", daemon=True)
        for number in range(min(workers, -(-len(ids) // batch_size)))
    ]
    fetched = Fetched({})
    until = None if deadline is None else client.clock.monotonic() + deadline
    try:
        _gather(crew, threads, len(ids), fetched, until, on_records)
    except KeyboardInterrupt:
        fetched.ended, fetched.interrupted = "interrupted", True
    finally:
        crew.stop.set()
        farewell = time.monotonic() + _FAREWELL_S
        for thread in filter(threading.Thread.is_alive, threads):
            thread.join(timeout=max(0.0, farewell - time.monotonic()))
    _drain(crew, fetched, on_records)
    for job_id in ids:
        fetched.records.setdefault(job_id, Record(job_id, "unread", error=f"not read: {fetched.ended}"))
    return fetched


def _gather(
    crew: Crew,
    threads: list[threading.Thread],
    number: int,
    fetched: Fetched,
    until: float | None,
    keep: OnRecords,
) -> None:
    """Start the workers and take in what they send, until all is there or the call ends.

    A function of its own: CPython 3.13.0 does not catch a Ctrl-C that arrives as a ``while`` directly below a ``try`` jumps back.
    """
    for thread in threads:
        thread.start()
    while len(fetched.records) < number and fetched.ended is None:
        _receive(crew, fetched, until, keep, at_work=any(thread.is_alive() for thread in threads))


def _receive(crew: Crew, fetched: Fetched, until: float | None, keep: OnRecords, *, at_work: bool) -> None:
    left = _POLL_S if until is None else until - crew.client.clock.monotonic()
    if left <= 0:
        fetched.ended = DEADLINE_OVER
        return
    try:
        message = crew.messages.get(timeout=min(left, _POLL_S) if at_work else 0)
    except Empty:
        if at_work:
            keep([])  # a progress bar shows itself while nothing comes
        else:
            fetched.ended = "all workers ended without it; report this"
        return
    if isinstance(message, list | str):
        _keep(message, fetched, keep)
    elif isinstance(message, UnavailableError):
        fetched.ended = str(message)
    elif isinstance(message, CosaiError):
        fetched.ended, fetched.failure = str(message), message
    else:
        raise message


def _keep(message: list[Record] | str, fetched: Fetched, on_records: OnRecords) -> None:
    if isinstance(message, str):
        fetched.repairs[message] = fetched.repairs.get(message, 0) + 1
    else:
        fetched.records.update((record.job_id, record) for record in message)
        on_records(message)


def _drain(crew: Crew, fetched: Fetched, on_records: OnRecords) -> None:
    """Keep what workers had finished when the call ended."""
    while True:
        try:
            message = crew.messages.get_nowait()
        except Empty:
            return
        if isinstance(message, list | str):
            _keep(message, fetched, on_records)
