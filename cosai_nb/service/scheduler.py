"""What to ask next, when to ask again and when to stop: a state machine without threads, locks or sleep.

A *plan* knows what is to be asked: lists of job IDs (:class:`Lists`), pages of a list
(:class:`~cosai_nb.service.listing.Windows`), one address (:class:`Single`). The *scheduler* knows when: it is told the
time, gives the GETs to send now, and takes what came of each. What was learnt of the service (its pace, the lists that it
takes) outlives a call in :class:`~cosai_nb.service.pace.Pace`.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count, groupby, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

from cosai_nb import errors
from cosai_nb.arguments import MAX_LIST
from cosai_nb.schema import Record, progress_of
from cosai_nb.service.pace import InFlight, backoff
from cosai_nb.service.parsing import MAX_BYTES, PLACE, Answer, Fields, parse_jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cosai_nb.service.pace import Pace

MAX_JOB_BYTES = 2**20
_ANSWER_RETRIES = 2  # of an answer that cannot be read: it was cut once, hardly three times
_LIST_TRIES, _TRIES = 4, 7  # a list comes apart soon, a single ID is worth more
_UNPAID = 99  # the attempt whose backoff is the longest
_HOPELESS_S = 30.0  # an outage that a call survives: longer than a restart, shorter than anybody's patience
_HOLD_S = 5.0  # between two probes of a service that is down, at most: soon enough after it is back
_NOT_FOUND, _TOO_MANY = 404, 429
_LISTS_REFUSED = frozenset({400, 404, 414})
_ID, _STATE = PLACE["job_id"], PLACE["state"]


@dataclass(slots=True, eq=False)
class Get:
    """One GET and what became of its tries.

    Parameters
    ----------
    path : str
        Path before percent-encoding, for example ``/ai_jobs/<id>,<id>``.
    parse : callable
        Body to answer; an AnswerError of it that says ``retryable`` is retried.
    item : object
        What the plan needs to know of it.
    params : mapping or None
        Query parameters.
    max_bytes : int
        Where to stop reading.
    tries : float
        How often it may fail before it is given up.
    divisible : bool
        Whether its parts can be asked for instead. Where not, only failures count between which others came through: an
        outage is not the fault of a request.
    """

    path: str
    parse: Callable[[bytes], Any]
    item: Any = None
    params: Mapping[str, str] | None = None
    max_bytes: int = MAX_BYTES
    tries: float = math.inf
    divisible: bool = False
    # what became of it, for the scheduler
    failed: int = 0
    counted: int = 0
    unreadable: int = 0
    paid: int = 0
    since: float = math.nan
    sent: float = math.nan
    failed_at: float = math.inf
    alongside: int = 0
    hold: int = 0
    # and for the client: what it has corrected already, and the credentials that it signed with
    corrected: frozenset[str] = frozenset()
    used: Any = None


class Plan(Protocol):
    """What is to be asked, and what an answer means for the rest."""

    def next(self) -> Get | None:
        """Return the next GET, None while there is none."""

    def answered(self, get: Get, answer: Any, observed_ms: int) -> None:
        """Take an answer; what it raises ends the call."""

    def refused(self, get: Get, error: errors.CosaiError) -> None:
        """Take a failure that asking again will not change; what it raises ends the call."""


class Scheduler:
    """Decides when each GET of a plan is sent, sent again or given up.

    Parameters
    ----------
    plan : Plan
        What is to be asked.
    pace : Pace
        What is known of the service.
    now, patience : float
        The time, and seconds for one request in all, with its retries.
    deadline : float
        Seconds for the whole call.
    hopeless : float
        Seconds in which nothing comes through before the call ends.
    workers : int
        Most requests in flight.
    random : callable
        Uniform in [0, 1).

    Attributes
    ----------
    end : CosaiError or str or None
        Why the call ended early: an error, or words.
    in_flight : int
        GETs sent and not come back.
    """

    DEADLINE_OVER = "the deadline of the call was over"

    def __init__(
        self,
        plan: Plan,
        pace: Pace,
        *,
        now: float,
        random: Callable[[], float],
        workers: int = 64,
        patience: float = 180.0,
        deadline: float = math.inf,
        hopeless: float = _HOPELESS_S,
    ) -> None:
        self._plan, self._pace, self._random, self._hopeless = plan, pace, random, hopeless
        self._workers, self._patience, self.until = workers, patience, now + deadline
        self.in_flight = 0
        self.end: errors.CosaiError | str | None = None
        self._again: list[tuple[float, int, Get]] = []
        self._upcoming: Get | None = None
        self._numbers = count()
        self._succeeded_at, self._failing_since = -math.inf, math.inf
        self._streak = 0  # failures since the last success, and what the last of them said
        self._trouble: errors.CosaiError | None = None
        self._hold, self._hold_until = 0, -math.inf  # number and end of the last hold
        self._probing = 0  # holds since anything came through
        self._from_before = 0  # in flight since before the last hold: no probe waits for these

    def due(self, now: float) -> Get | None:
        """Return a GET to send now, None where it is not the time for any; ask until it is None."""
        if now >= self.until:
            self.stop(self.DEADLINE_OVER + (f"; the last said: {self._trouble}" if self._trouble else ""))
        if self.end is not None or not self._has_room() or now < self._hold_until:
            return None
        rate = self._pace.rate
        if now < rate.turn(now):
            return None
        if self._again and self._again[0][0] <= now:
            get: Get | None = heappop(self._again)[2]
        else:
            get, self._upcoming = self._upcoming or self._plan.next(), None
        if get is not None:
            rate.sent(now)
            self.in_flight += 1
            get.sent, get.alongside, get.hold = now, self.in_flight - self._from_before, self._hold
            if not get.failed:
                get.since = now
        return get

    def _has_room(self) -> bool:
        # a service that was down gets one probe at a time
        size = 1 if self._probing else self._pace.in_flight.size
        return self.in_flight < self._workers and self.in_flight - self._from_before < size

    def wait(self, now: float) -> float:
        """Return the seconds until something may be due without anything coming back."""
        earliest = math.inf
        if self._has_room():
            earliest = max(self._hold_until, self._pace.rate.turn(now))
            if earliest <= now:
                earliest = self._again[0][0] if self._again else math.inf
        return max(0.0, min(earliest, self.until) - now)

    @property
    def over(self) -> bool:
        """Whether nothing is left to send or to wait for."""
        if self.end is None and not self.in_flight and not self._again and self._upcoming is None:
            self._upcoming = self._plan.next()
            return self._upcoming is None
        return self.end is not None

    def stop(self, why: errors.CosaiError | str) -> None:
        """End the call early."""
        self.end = self.end or why

    def answered(self, get: Get, answer: Any, observed_ms: int, now: float) -> None:
        """Take an answer that could be read."""
        self._came_back(get)
        self._came_through(get, now)
        pace = self._pace
        pace.quota.give(get.paid)
        pace.rate.succeeded(get.sent)
        pace.in_flight.answered(get.sent, get.alongside, now, self._workers)
        try:
            self._plan.answered(get, answer, observed_ms)
        except errors.CosaiError as error:
            self.stop(error)

    def failed(self, get: Get, error: errors.CosaiError, now: float, *, corrected: bool = False) -> None:
        """Take a failure: send the GET again, later or at once where its cause was ``corrected``, or give it up."""
        self._came_back(get)
        if corrected:
            self._push(get, now)
            return
        throttled = error.status_code == _TOO_MANY or error.code == "SlowDown"
        due = now + self._delay(get, error, throttled=throttled)
        get.failed_at = now
        if isinstance(error, errors.DeniedError) or (isinstance(error, errors.RefusedError) and error.code):
            self._came_through(get, now)
        elif self._note_failure(get, error, now, throttled=throttled):
            due = math.inf
        if self.end is not None:
            return
        if due <= get.since + self._patience:
            self._push(get, due)
            return
        try:
            self._plan.refused(get, error)
        except errors.CosaiError as failure:
            self.stop(failure)

    def _came_back(self, get: Get) -> None:
        self.in_flight -= 1
        if get.hold != self._hold:
            self._from_before -= 1

    def _came_through(self, get: Get, now: float) -> None:
        self._succeeded_at, self._failing_since, self._streak, self._trouble = now, math.inf, 0, None
        if get.hold == self._hold:
            self._probing = 0

    def _delay(self, get: Get, error: errors.CosaiError, *, throttled: bool) -> float:
        """Return the seconds until another try, infinity where there is none."""
        get.unreadable += isinstance(error, errors.AnswerError)
        if not error.retryable or get.unreadable > _ANSWER_RETRIES:
            return math.inf
        attempt, get.failed, get.paid = get.failed, get.failed + 1, 0
        others_come_through = self._succeeded_at > get.failed_at
        if not throttled:  # that costs waiting, nothing else
            get.counted += others_come_through or get.divisible
            if get.counted >= get.tries:
                return math.inf
            if others_come_through:
                get.paid = self._pace.quota.take()
                attempt = attempt if get.paid else _UNPAID
        return max(backoff(attempt, self._random()), error.retry_after or 0.0)

    def _note_failure(self, get: Get, error: errors.CosaiError, now: float, *, throttled: bool) -> bool:
        """Hold everything back where the service throttles or nothing comes through; return whether to give up."""
        self._failing_since = min(self._failing_since, now)
        self._streak, self._trouble = self._streak + 1, error
        failing_s = now - self._failing_since
        if failing_s >= (self._patience if throttled else min(self._hopeless, self._patience)):
            if not self.over:  # where nothing else is left, it may be this request's own fault
                why = f"ended after nothing came through for {failing_s:.0f} s; the last said: {error}"
                self.stop(errors.UnavailableError(why))
            return True
        if throttled:
            down = self._pace.rate.throttled(get.sent, now)
            self._hold_until = max(self._hold_until, now + (error.retry_after or 0.0))
        else:
            down = self._streak > max(4, self._pace.in_flight.size)
        if (down or self._probing) and get.hold == self._hold:
            self._pace.in_flight = InFlight()
            self._hold, self._from_before = self._hold + 1, self.in_flight
            # half of it is sure: by chance alone, an outage could be answered with a storm of probes
            hold_s = backoff(self._probing, (1.0 + self._random()) / 2, cap=_HOLD_S)
            self._hold_until = max(self._hold_until, now + hold_s)
            self._probing += 1
        return False

    def _push(self, get: Get, due: float) -> None:
        heappush(self._again, (due, next(self._numbers), get))


class Single:
    """One GET; its answer and when that was true stand in ``answer`` and ``observed_ms``."""

    def __init__(self, get: Get) -> None:
        self._left: Get | None = get
        self.answer: Any = None
        self.observed_ms = 0

    def next(self) -> Get | None:
        """Return it, once."""
        get, self._left = self._left, None
        return get

    def answered(self, get: Get, answer: Any, observed_ms: int) -> None:  # noqa: ARG002 - as every plan
        """Keep the answer."""
        self.answer, self.observed_ms = answer, observed_ms

    def refused(self, get: Get, error: errors.CosaiError) -> None:  # noqa: ARG002 - as every plan
        """Raise what came instead of an answer."""
        raise error


class Lists:
    """Job IDs in lists: refused ones come apart into halves, and every ID ends in exactly one record.

    Parameters
    ----------
    path : str
        Such as ``/ai_jobs``.
    ids : sequence of str
        Distinct IDs, already admitted.
    pace : Pace
        Where the size of lists that the service takes is kept.
    batch_size : int
        IDs a request, at most.
    fields : Fields
        What to read of each job.

    Attributes
    ----------
    finished : list of Record
        What was read since the list was last emptied.
    repairs : Counter
        Sentence about a repaired defect of answers, to how many answers had it.
    """

    def __init__(
        self, path: str, ids: Sequence[str], pace: Pace, *, batch_size: int = MAX_LIST, fields: Fields
    ) -> None:
        self._path, self._pace, self._batch_size, self._fields = path, pace, batch_size, fields
        self.finished: list[Record] = []
        self.repairs: Counter[str] = Counter()
        # /jobs takes IDs of one kind of job a list; the first letter tells the kind
        letter = itemgetter(0)
        kinds = groupby(sorted(ids, key=letter), letter) if path == "/jobs" else [("", ids)] if ids else []
        self._fresh = deque(deque(kind) for _, kind in kinds)
        self._again: deque[list[str]] = deque()

    def next(self) -> Get | None:
        """Return the next list."""
        if self._again:
            ids = self._again.popleft()
        elif self._fresh:
            kind = self._fresh.popleft()
            taken = max(self._pace.list_size or MAX_LIST, self._pace.accepted_size)
            ids = [kind.popleft() for _ in range(min(self._batch_size, taken, len(kind)))]
            if kind:
                self._fresh.append(kind)  # kinds take turns, so that an early end is no end of one kind
        else:
            return None
        divisible = len(ids) > 1
        return Get(
            f"{self._path}/{','.join(ids)}",
            lambda body: parse_answer_to(ids, body, self._fields),
            item=ids,
            # a list that is too large comes apart; one job with hours of recognised speech must still be readable
            max_bytes=MAX_JOB_BYTES * len(ids) if divisible else MAX_BYTES,
            tries=_LIST_TRIES if divisible else _TRIES,
            divisible=divisible,
        )

    def answered(self, get: Get, answer: Answer, observed_ms: int) -> None:
        """Match an answer's jobs with the IDs asked; a job that was not asked for is never kept."""
        ids: list[str] = get.item
        if answer.repaired:
            self.repairs[answer.repaired] += 1
        if [values[_ID] for values in answer.jobs] == ids:  # nearly always, and three times as fast
            self._pace.accepted_size = max(self._pace.accepted_size, len(ids))
            rows = zip(ids, repeat("job"), repeat(observed_ms), repeat(None), answer.jobs)
            self.finished += map(Record._make, rows)
            return
        # of a job that stands there twice the furthest counts, then the first
        by_progress = sorted(answer.jobs, key=lambda values: progress_of(values[_STATE]), reverse=True)
        jobs = {values[_ID]: values for values in reversed(by_progress) if values[_ID] in ids}
        if jobs:
            self._pace.accepted_size = max(self._pace.accepted_size, len(ids))
        # A service that takes a list for one strange ID would call all of it unknown. Only a list with a job in it
        # shows that lists are understood.
        not_found = answer.not_found if len(ids) <= self._pace.accepted_size else []
        for job_id in ids:
            if job_id in jobs:
                self.finished.append(Record(job_id, "job", observed_ms, None, jobs[job_id]))
            elif job_id in not_found or len(ids) == 1:
                self.finished.append(Record(job_id, "not_found", observed_ms))
            else:
                self._again.append([job_id])

    def refused(self, get: Get, error: errors.CosaiError) -> None:
        """Split a list that was refused, unreadable or given up; a single ID gets its row."""
        ids: list[str] = get.item
        half = len(ids) // 2
        if isinstance(error, errors.UnavailableError) and half:
            # one of them may be what the service stumbles over
            self._again.extend([job_id] for job_id in ids)
        elif isinstance(error, errors.RefusedError | errors.AnswerError) and half:
            if error.status_code in _LISTS_REFUSED and len(ids) > self._pace.accepted_size:
                # a list as long as one that was answered before is refused for its content, not for its length
                self._pace.list_size = min(half, self._pace.list_size or half)
            self._again.extend([ids[:half], ids[half:]])
        elif error.status_code == _NOT_FOUND and "job" in (error.code or "").lower():
            # any other 404 is about the address, not of the job
            self.finished.append(Record(ids[0], "not_found"))
        elif isinstance(error, errors.UnavailableError | errors.RefusedError | errors.AnswerError):
            self.finished.append(Record(ids[0], "unread", error=str(error)))
        else:
            raise error


def parse_answer_to(ids: list[str], body: bytes, fields: Fields) -> Answer:
    """Parse an answer; one about other jobs only is no answer to this request, and raises MismatchError."""
    answer = parse_jobs(body, fields)
    named = [values[_ID] for values in answer.jobs] + answer.not_found
    if named and set(ids).isdisjoint(named):
        other = (named[0] or "a job without JobId")[:60]
        raise errors.MismatchError(
            f"The answer is about {other!a} instead: ask again, and look for a cache or proxy between.",
            retryable=True,
        )
    return answer
