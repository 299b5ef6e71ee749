"""Many job IDs in flight: lists, halving, workers, early ends; nothing lost.

Every admitted ID ends in exactly one record.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cosai_nb.arguments import MAX_LIST
from cosai_nb.errors import CosaiError, UnavailableError
from cosai_nb.schema import Record
from cosai_nb.service.crew import Crew

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cosai_nb.service.client import Client

DEADLINE_OVER = "the deadline of the call was over"
_WORDS: dict[type, str] = {TimeoutError: DEADLINE_OVER, KeyboardInterrupt: "interrupted"}


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
        Set where going on would be pointless (denied), or where ``on_records`` raised it.
    interrupted : bool
        True after Ctrl-C.
    repairs : Counter
        Sentence about a repaired defect of answers, to how many answers had it.
    """

    records: dict[str, Record]
    ended: str | None = None
    failure: CosaiError | None = None
    interrupted: bool = False
    repairs: Counter[str] = field(default_factory=Counter)


def fetch_records(
    client: Client,
    ids: Sequence[str],
    *,
    batch_size: int = MAX_LIST,
    workers: int = 16,
    deadline: float | None = None,
    on_records: Callable[[list[Record]], None] = lambda _: None,
) -> Fetched:
    """Ask for many jobs at once.

    Parameters
    ----------
    ids : sequence of str
        Distinct IDs, already admitted.
    on_records : callable
        Called in this thread with finished records, as they come, and with none twice a second while nothing comes. A
        CosaiError of it ends the call.

    Returns
    -------
    Fetched
        One record an ID, whatever happens; IDs that were not read say why in ``error``.
    """
    fetched = Fetched({})

    def keep(message: list[Record] | str | None) -> None:
        if isinstance(message, str):
            fetched.repairs[message] += 1
        else:
            finished = message or []
            fetched.records.update((record.job_id, record) for record in finished)
            on_records(finished)

    clock = client.clock
    until = float("inf") if deadline is None else clock.monotonic() + deadline
    end = Crew(client, ids, batch_size).run(
        min(workers, -(-len(ids) // batch_size)), keep, left=lambda: until - clock.monotonic()
    )
    if end is not None:
        fetched.ended = _WORDS.get(type(end)) or str(end)
        fetched.interrupted = isinstance(end, KeyboardInterrupt)
        if isinstance(end, CosaiError) and not isinstance(end, UnavailableError):
            fetched.failure = end
    for job_id in ids:
        fetched.records.setdefault(job_id, Record(job_id, "unread", error=f"not read: {fetched.ended}"))
    return fetched
