"""The jobs of queues by creation time: pages side by side, no job lost, none twice.

A *span* is a stretch of creation time of one queue and tag that is paged through, oldest first, one page at a time. When
there is room for more requests, the later half of what the span with the most left has not reached becomes a span of its
own. So the cut follows where the jobs are, and a listing costs about one page a cut more than paging straight through.

Where the later half was given away, the first ends at the first job beyond it: that rests on ``orderByTime=Asc``, which is
documented. A list in which one job came out of order is paged to its very end instead.

Oldest first, because new jobs come in at the end then and shift no page that is still to be read. For the same reason
``states`` is sent only where jobs do not leave the states asked for; a filter that they leave would shift the rest.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from cosai_nb.arguments import SERVICE_ZONE, wire_seconds
from cosai_nb.errors import AnswerError, CosaiError, MismatchError, RefusedError
from cosai_nb.schema import ENDED, OUTCOME_OF_STATE, Record, State, progress_of
from cosai_nb.service.parsing import PLACE, Answer, Fields, Values, parse_jobs
from cosai_nb.service.scheduler import Get

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE = 100
_WORTH_CUTTING = 8 * PAGE  # jobs: a cut costs about a page, so what is cut must be several
_MOST_EMPTY_PAGES = 100  # in a row, each with a new token: more is a list without end
_ID, _STATE, _QUEUE, _CREATED = (PLACE[name] for name in ("job_id", "state", "queue_id", "creation_time"))
ENDED_STATES = frozenset(state for state, outcome in OUTCOME_OF_STATE.items() if outcome in ENDED)


class Window(NamedTuple):
    """A stretch of creation time, in seconds since the epoch: ``start`` is in it, ``end`` is not."""

    start: int
    end: int

    def bounds(self) -> dict[str, str]:
        """Return the service's parameters for it; both are exclusive there: "greater than" and "smaller than".

        Examples
        --------
        >>> Window(1, 3).bounds()
        {'startCreationTime': '1970-01-01T08:00:00+0800', 'endCreationTime': '1970-01-01T08:00:03+0800'}
        """
        return {"startCreationTime": wire_time(self.start - 1), "endCreationTime": wire_time(self.end)}


class Scope(NamedTuple):
    """What the service lists at a time: the jobs of one queue and one tag."""

    queue_id: str
    tag: str


@dataclass(eq=False)
class Span:
    """A window that is being paged, oldest job first; ``end`` moves down when another span takes the rest.

    Parameters
    ----------
    window : Window
        What the service was asked for.
    scope : Scope
        Whose jobs.

    Attributes
    ----------
    end : int
        Where this span ends now.
    reached : int
        Newest creation time seen, or the end where the pages are over.
    jobs : int
        Jobs seen.
    since_ms : int
        When its first page was answered.
    ordered : bool
        False once a job came out of order: then nothing is known of what is still to come.
    """

    window: Window
    scope: Scope

    def __post_init__(self) -> None:
        self.end, self.since_ms, self.begun_again = self.window.end, 0, False
        self.begin()

    def begin(self) -> None:
        """Start at the first page."""
        self.reached, self.jobs, self.ordered = self.window.start - 1, 0, True
        self.token, self.used, self.empty_pages = "", set[str](), 0

    def see(self, created: list[int | None]) -> None:
        """Take note of the creation times of one page."""
        for moment in created:
            self.ordered = self.ordered and moment is not None and moment >= self.reached
            self.reached = max(self.reached, moment or 0)
        self.jobs += len(created)

    def over(self) -> bool:
        """Return whether everything before the end has been seen."""
        return self.ordered and self.reached >= self.end

    def left(self) -> float:
        """Estimate the jobs still to come, from how dense they were so far."""
        if not self.jobs or not self.ordered or self.reached <= self.window.start:
            return 0.0
        return self.jobs / (self.reached - self.window.start) * (self.end - self.reached)

    def cut(self) -> Window:
        """Give the later half of what was not reached away."""
        later = Window((self.reached + self.end) // 2, self.end)
        self.end = later.start
        return later


class Windows:
    """A plan of :class:`~cosai_nb.service.scheduler.Scheduler`: the jobs that were created in some windows.

    Parameters
    ----------
    path : str
        Such as ``/ai_jobs``.
    windows : iterable of (Scope, Window)
        Disjoint within a scope.
    states : frozenset of State
        Those wanted, where the service may be asked for them alone; others may come; empty means all.
    fields : Fields
        What to read of each job.

    Attributes
    ----------
    records : dict
        Scope to job ID to that job's furthest, then newest record.
    finished : list of Record
        What was listed since the list was last emptied; a job may come more than once.
    read : list of (Scope, Window, int)
        Windows read to their end, with the milliseconds since the epoch at which the first page was answered.
    repairs : Counter
        Sentence about a repaired defect of answers, to how many answers had it.
    """

    def __init__(
        self,
        path: str,
        windows: Iterable[tuple[Scope, Window]],
        *,
        states: frozenset[State] = frozenset(),
        fields: Fields,
    ) -> None:
        self._path, self._fields = path, fields
        self._sent = ",".join(sorted(states)) if states and states <= ENDED_STATES else "All"
        self._ready = deque(Span(window, scope) for scope, window in windows)
        self._paging: list[Span] = []
        self.records: dict[Scope, dict[str, Record]] = {}
        self.finished: list[Record] = []
        self.read: list[tuple[Scope, Window, int]] = []
        self.repairs: Counter[str] = Counter()

    def next(self) -> Get | None:
        """Return the next page of a span, or the first of the later half of one that has much left."""
        if self._ready:
            span = self._ready.popleft()
        elif self._paging and (longest := max(self._paging, key=Span.left)).left() >= _WORTH_CUTTING:
            span = Span(longest.cut(), longest.scope)
        else:
            return None
        if span not in self._paging:
            self._paging.append(span)
        params = {
            "tag": span.scope.tag,
            "queueId": span.scope.queue_id,
            "orderByTime": "Asc",
            "size": str(PAGE),
            "states": self._sent,
            **span.window.bounds(),
        }
        if span.token:
            params["nextToken"] = span.token
        return Get(self._path, lambda body: parse_jobs(body, self._fields), item=span, params=params)

    def answered(self, get: Get, answer: Answer, observed_ms: int) -> None:
        """Keep a page's jobs, and go on to the next page unless the span is over."""
        span: Span = get.item
        span.since_ms = span.since_ms or observed_ms
        if answer.repaired:
            self.repairs[answer.repaired] += 1
        created = [wire_seconds(values[_CREATED]) for values in answer.jobs]
        for values, moment in zip(answer.jobs, created, strict=True):
            self._keep(span, values, moment, observed_ms)
        span.see(created)
        if not answer.next_token:
            span.reached, span.ordered = max(span.end, span.reached), True
        if span.over():
            self._paging.remove(span)
            self.read.append((span.scope, Window(span.window.start, span.end), span.since_ms))
            return
        span.used.add(span.token)
        span.token = answer.next_token or ""
        span.empty_pages = 0 if answer.jobs else span.empty_pages + 1
        if span.empty_pages >= _MOST_EMPTY_PAGES:
            raise AnswerError(
                f"The list of queue {span.scope.queue_id!a} has no end: {_MOST_EMPTY_PAGES} pages in a row held no job and "
                "named a next one. List a shorter time, or query the jobs by ID."
            )
        if span.token in span.used:
            trouble = AnswerError(
                f"The list of queue {span.scope.queue_id!a} leads back to a page that was read before (nextToken "
                f"{span.token[:40]!a}), also when begun again. List a shorter time, or query the jobs by ID."
            )
            self._begin_again(span, trouble)
        self._ready.append(span)

    def refused(self, get: Get, error: CosaiError) -> None:
        """Begin a span once again whose token is refused: an expired token looks like any other refusal."""
        span: Span = get.item
        if not (isinstance(error, RefusedError) and span.token):
            raise error
        self._begin_again(span, error)
        self._ready.append(span)

    def _begin_again(self, span: Span, trouble: CosaiError) -> None:
        if span.begun_again:
            raise trouble
        span.begin()
        span.begun_again = True

    def _keep(self, span: Span, values: Values, created: int | None, observed_ms: int) -> None:
        job_id, queue_id = values[_ID], values[_QUEUE]
        if job_id is None or queue_id not in {None, span.scope.queue_id}:
            raise MismatchError(
                f"The list of queue {span.scope.queue_id!a} holds job {job_id!a} of queue {queue_id!a}, which was not asked "
                "for. Check the endpoint."
            )
        if created is not None and not span.window.start <= created < span.window.end:
            return
        record = Record(job_id, "job", observed_ms, None, values)
        records = self.records.setdefault(span.scope, {})
        records[job_id] = max(records.get(job_id, record), record, key=_standing)
        self.finished.append(record)


def _standing(record: Record) -> tuple[bool, int, int]:
    """Order the records of one job: ended before unfinished, then the newer, then the further one counts."""
    state = record.values[_STATE]
    return state in ENDED_STATES, record.observed_ms or 0, progress_of(state)


def wire_time(moment: int) -> str:
    """Write seconds since the epoch as the service does.

    Examples
    --------
    >>> wire_time(0)
    '1970-01-01T08:00:00+0800'
    """
    return datetime.fromtimestamp(moment, SERVICE_ZONE).strftime("%Y-%m-%dT%H:%M:%S%z")
