"""The jobs of a queue by creation time: pages side by side, no job lost, none twice.

A *span* is a stretch of creation time that one worker pages through, oldest first. When a worker has nothing to do, it
takes the later half of what the span with the most left has not reached yet. So the cut follows where the jobs are, and
a listing costs about one page a cut more than paging straight through.

Where the later half was given away, the first ends at the first job beyond it: that rests on ``orderByTime=Asc``, which is
documented. A list in which one job came out of order is paged to its very end instead.

Oldest first, because new jobs come in at the end then and shift no page that is still to be read. For the same reason
``states`` is sent only where jobs do not leave the states asked for; a filter that they leave would shift the rest.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from cosai_nb.errors import AnswerError, CosaiError, MismatchError, RefusedError
from cosai_nb.schema import ENDED, OUTCOME_OF_STATE, Record, State
from cosai_nb.service.parsing import Answer, parse_jobs
from cosai_nb.service.reader import PLACE
from cosai_nb.service.spans import Span, Window, seconds
from cosai_nb.service.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from cosai_nb.service.client import Client

PAGE = 100
_WORTH_CUTTING = 8 * PAGE  # jobs: a cut costs about a page, so what is cut must be several
_ID, _STATE, _QUEUE, _CREATED = (PLACE[name] for name in ("job_id", "state", "queue_id", "creation_time"))
ENDED_STATES = frozenset(state for state, outcome in OUTCOME_OF_STATE.items() if outcome in ENDED)


@dataclass
class Listed:
    """What a listing brought home.

    Parameters
    ----------
    records : dict
        Job ID to its newest record.
    read : dict
        Each window read to its end, to the milliseconds since the epoch at which its first page was answered.
    failure : CosaiError or None
        Why the listing ended early.
    interrupted : bool
        True after Ctrl-C.
    repairs : Counter
        Sentence about a repaired defect of answers, to how many answers had it.
    """

    records: dict[str, Record] = field(default_factory=dict)
    read: dict[Window, int] = field(default_factory=dict)
    failure: CosaiError | None = None
    interrupted: bool = False
    repairs: Counter[str] = field(default_factory=Counter)


class _Page(NamedTuple):
    records: list[Record]
    repaired: str | None


class _Done(NamedTuple):
    window: Window
    since_ms: int


def list_records(
    client: Client,
    windows: Sequence[Window],
    *,
    tag: str,
    queue_id: str,
    states: Collection[State] = (),
    workers: int = 8,
    on_records: Callable[[list[Record]], None] = lambda _: None,
) -> Listed:
    """List the jobs that were created in some windows.

    Parameters
    ----------
    windows : sequence of Window
        Disjoint stretches of creation time.
    states : collection of State
        Only these; empty means all.
    on_records : callable
        Called in this thread with each page's records, and with none twice a second while nothing comes; a job may come
        more than once. A CosaiError of it ends the listing.

    Returns
    -------
    Listed
        Complete where ``failure`` is None and ``interrupted`` False.
    """
    asked = frozenset(states)
    listed = Listed()

    def keep(message: _Page | _Done | None) -> None:
        if isinstance(message, _Done):
            listed.read[message.window] = message.since_ms
        else:
            records = message.records if message else []
            if message and message.repaired:
                listed.repairs[message.repaired] += 1
            for record in records:
                before = listed.records.get(record.job_id, record)
                listed.records[record.job_id] = max(before, record, key=_age)
            on_records(records)

    end = _Crew(client, windows, tag=tag, queue_id=queue_id, states=asked).run(workers, keep)
    listed.interrupted = isinstance(end, KeyboardInterrupt)
    listed.failure = end if isinstance(end, CosaiError) else None
    if asked:
        listed.records = {
            job_id: record for job_id, record in listed.records.items() if record.values[_STATE] in asked
        }
    return listed


def _age(record: Record) -> tuple[bool, int]:
    """Order sights of one job: one that has ended is newer than one that has not."""
    return record.values[_STATE] in ENDED_STATES, record.observed_ms or 0


class _Crew(Workers[_Page | _Done]):
    """The workers' shared state; they send home pages, and windows that are read."""

    def __init__(
        self,
        client: Client,
        windows: Sequence[Window],
        *,
        tag: str,
        queue_id: str,
        states: frozenset[State],
    ) -> None:
        super().__init__()
        self._client = client
        self._queue_id = queue_id
        sent = ",".join(sorted(states)) if states and states <= ENDED_STATES else "All"
        self._params = {
            "tag": tag,
            "queueId": queue_id,
            "orderByTime": "Asc",
            "size": str(PAGE),
            "states": sent,
        }
        self._fresh = deque(windows)
        self._paging: list[Span] = []
        self._lock = threading.Condition()

    def work(self) -> None:
        """Page span after span until none is left or the call ends."""
        while (span := self._take()) is not None:
            try:
                self._page_through(span)
            finally:
                with self._lock:
                    self._paging.remove(span)
                    self._lock.notify_all()

    def _take(self) -> Span | None:
        """Return the next span, or the later half of one that has much left; wait while one may still grow; None at the end."""
        with self._lock:
            while not self.stop.is_set():
                if self._fresh:
                    window = self._fresh.popleft()
                elif not self._paging:
                    return None
                elif (longest := max(self._paging, key=Span.left)).left() >= _WORTH_CUTTING:
                    window = longest.cut()
                else:
                    self._lock.wait(0.1)
                    continue
                span = Span.of(window)
                self._paging.append(span)
                return span
            return None

    def _page_through(self, span: Span) -> None:
        """Page to the span's end; begin once again where the tokens do not lead there."""
        trouble = self._follow_tokens(span)
        if trouble is not None:
            with self._lock:
                span.begin_again()
            trouble = self._follow_tokens(span)
        if trouble is not None:
            raise trouble
        if not self.stop.is_set():
            self.send_home(_Done(Window(span.window.start, span.end), span.since_ms))

    def _follow_tokens(self, span: Span) -> CosaiError | None:
        """Page until the token ends or the span's end is passed; return what is in the way."""
        token, used = "", set[str]()
        while not self.stop.is_set():
            params = self._params | span.window.bounds() | ({"nextToken": token} if token else {})
            try:
                answer, observed_ms = self._client.ask(
                    self._client.path, parse_jobs, params=params, stop=self.stop
                )
            except RefusedError as error:
                if not token:
                    raise
                return error  # an expired token looks like any other refusal
            span.since_ms = span.since_ms or observed_ms
            self._send_home(span.window, answer, observed_ms)
            if self._is_over(span, answer):
                return None
            used.add(token)
            token = answer.next_token or ""
            if token in used:
                return AnswerError(
                    f"The list of queue {self._queue_id!a} leads back to a page that was read before (nextToken "
                    f"{token[:40]!a}), also when begun again. List a shorter time, or query the jobs by ID."
                )
        return None

    def _is_over(self, span: Span, answer: Answer) -> bool:
        with self._lock:
            span.see([seconds(values[_CREATED]) for values in answer.jobs])
            if not answer.next_token:
                span.reached, span.ordered = max(span.end, span.reached), True
            self._lock.notify_all()
            return span.over()

    def _send_home(self, window: Window, answer: Answer, observed_ms: int) -> None:
        records = []
        for values in answer.jobs:
            job_id, queue_id = values[_ID], values[_QUEUE]
            if job_id is None or queue_id not in {None, self._queue_id}:
                raise MismatchError(
                    f"The list of queue {self._queue_id!a} holds job {job_id!a} of queue {queue_id!a}, which was not asked "
                    "for. Check the endpoint."
                )
            if (created := seconds(values[_CREATED])) is None or window.start <= created < window.end:
                records.append(Record(job_id, "job", observed_ms, None, values))
        self.send_home(_Page(records, answer.repaired))
