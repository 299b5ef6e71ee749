"""What to ask next, when to ask again and when to stop: a state machine without threads, locks or sleep.

A *plan* knows what is to be asked: lists of job IDs (:class:`Lists`), pages of a list
(:class:`~cosai_nb.service.listing.Windows`), one address (:class:`Single`). The *scheduler* knows when: it is told the
time, gives the GETs to send now, and takes what came of each. What was learnt of the service (its pace, the lists that it
takes) outlives a call in :class:`Pace`.
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
from cosai_nb.service.parsing import MAX_BYTES, PLACE, Answer, Fields, parse_jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MAX_JOB_BYTES = 2**20
_ANSWER_RETRIES = 2  # of an answer that cannot be read: it was cut once, hardly three times
_LIST_TRIES, _TRIES = 4, 7  # a list comes apart soon, a single ID is worth more
_UNPAID = 99  # the attempt whose backoff is the longest
_HOPELESS_S = 30.0  # an outage that a call survives: longer than a restart, shorter than anybody's patience
_HOLD_S = 5.0  # between two probes of a service that is down, at most: soon enough after it is back
_FORGET_S = 600.0  # longer than any wait of a call: after it, what a call met says nothing of now
_FLOOR = 0.5  # requests a second that throttling never goes below
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


class RetryQuota:
    """A budget of retries, so that an outage is not answered with a storm; the figures are botocore's.

    A retry costs 14 of 500 tokens. A success returns the whole cost of its last retry, or one token. A retry that cannot
    be paid for waits longest.

    Examples
    --------
    >>> quota = RetryQuota(tokens=20)
    >>> quota.take(), quota.take(), quota.give(14), quota.take()
    (14, 0, None, 14)
    """

    COST = 14

    def __init__(self, tokens: int = 500) -> None:
        self._capacity = self._tokens = tokens

    def take(self) -> int:
        """Pay for a retry and return its cost, 0 where the budget is spent."""
        if self._tokens < self.COST:
            return 0
        self._tokens -= self.COST
        return self.COST

    def give(self, paid: int) -> None:
        """Take note of a success whose last retry cost so much."""
        self._tokens = min(self._capacity, self._tokens + (paid or 1))


class Rate:
    """Requests a second: halved when throttled, creeping back, never above the ceiling.

    Parameters
    ----------
    ceiling : float or None
        Requests a second that the user allows; None asks as fast as the service lets us.

    Notes
    -----
    A service may answer SlowDown now and then whatever the rate is. So the rate is halved where more than a tenth of the
    last answers are throttled, once for all that was sent at the old rate, and not again before something comes through:
    where all is throttled, no rate helps. What is halved is the pace of the last second. Successes add, in a second, one
    twentieth of that pace: full speed is back about ten seconds after it was halved once. Beyond it they double the rate
    in a second. Ten minutes without a request forget it all.
    """

    # four throttled answers in a row are more than a tenth of the last 32, one in a hundred hardly ever is
    _OF_LAST, _SHARE = 32, 0.1

    def __init__(self, ceiling: float | None) -> None:
        self._ceiling = self.now = ceiling
        self._throttled, self._before = 0.0, 0.0
        self._next = self._halved = self._began = -math.inf
        self._came_through = True
        self._recent: deque[float] = deque(maxlen=4096)

    def turn(self, now: float) -> float:
        """Return when the next request may be sent."""
        if self.now is None:
            return -math.inf
        if self._recent and now - self._recent[-1] > _FORGET_S:
            self.now, self._throttled = self._ceiling, 0.0
        return self._next

    def sent(self, now: float) -> None:
        """Take note of a request."""
        if not self._recent or now - self._recent[-1] > 1.0:
            self._began = now
        self._recent.append(now)
        if self.now is not None:
            self._next = max(now, self._next) + 1.0 / self.now

    def succeeded(self, sent: float) -> None:
        """Let the rate creep back after a success."""
        self._throttled -= self._throttled / self._OF_LAST
        self._came_through = self._came_through or sent >= self._halved
        if self.now is not None and self.now != self._ceiling:
            self.now += self._before / 20 / self.now if self.now < self._before else min(1.0, self.now)
            self.now = min(self.now, self._ceiling or math.inf)

    def throttled(self, sent: float, now: float) -> bool:
        """Take note of a 429 or SlowDown; return whether they are so many that all should wait."""
        if sent < self._halved:
            return False
        self._throttled += (1.0 - self._throttled) / self._OF_LAST
        if self._throttled <= self._SHARE:
            return False
        if self._came_through and now - self._began >= 1.0:  # the first second shows a fraction of the pace
            pace = float(sum(sent > now - 1.0 for sent in self._recent))
            self._before = min(self.now or math.inf, pace)
            self.now = min(max(self._before / 2, _FLOOR), self._ceiling or math.inf)
        self._came_through = False
        self._halved, self._throttled = now, self._SHARE  # the next one counts at once
        return True


class InFlight:
    """How many requests to have in flight: more while that brings more answers a second, fewer when they only wait longer.

    Answers a second are the requests in flight by the seconds that one takes (Little's law), so they are known as soon
    as some requests of the present size are back: an epoch. The size doubles while each doubling brings a quarter more.
    Then it stays, and now and then a quarter more is tried, in turns with a quarter less where answers take longer than the
    least that was seen: they may wait in a queue. A size that is not in full use (few jobs are left, a rate is in force) is
    not judged.

    Parameters
    ----------
    start : int
        Requests to begin with.
    """

    _REST = 8  # epochs between two trials: one that fails costs a quarter of the pace of one epoch
    _GAIN = 1.25  # of the pace by a doubling, for another
    # a quarter more in flight must bring 6 % more pace, a quarter less may cost 3 %. Where a service slows down bit by bit,
    # each step down is cheap, but many are not: 10 % and 5 % lost a quarter of the pace there. Less is lost in noise.
    _MORE, _LESS = 1.06, 0.97
    _CHANGE = 1.5  # times as long as before: the service is another
    _QUEUEING = 1.3  # times the least seconds: a healthy service is never tried with fewer
    _FEWEST = 4  # below, chance decides more than the service

    def __init__(self, start: int = 16) -> None:
        self.size = self._settled = start  # what to return to after a trial
        # answers a second, and seconds an answer (0 where not known), of the size that was settled on
        self._pace = self._took_s = 0.0
        self._least_s = math.inf
        self._doubling, self._trial, self._up, self._rest = True, False, False, 0
        self._begin(-math.inf)

    def _begin(self, now: float) -> None:
        self._since, self._count, self._logs, self._full = now, 0, 0.0, False
        self._enough = max(self.size if self._doubling else 2 * self.size, 8)

    def answered(self, sent: float, alongside: int, now: float, ceiling: int) -> None:
        """Take note of an answer; what was sent under another size says nothing of this one."""
        if sent < self._since:
            return
        self._count += 1
        # the mean of logarithms: one answer that takes a hundred times as long must not look like a slow service
        self._logs += math.log(max(now - sent, 1e-6))
        self._full = self._full or alongside >= self.size or alongside >= ceiling
        if self._count >= self._enough:
            if self._full:
                self.size = min(self.size, ceiling)
                took_s = math.exp(self._logs / self._count)
                self._least_s = min(self._least_s, took_s)
                self._judge(self.size / took_s, took_s, ceiling)
            self._begin(now)

    def _judge(self, pace: float, took_s: float, ceiling: int) -> None:
        """Decide the size of the next epoch by the answers a second of this one."""
        if self._doubling:
            self._doubling = pace > self._GAIN * self._pace and self.size < ceiling
            if pace < self._MORE * self._pace:
                self.size = max(self.size // 2, min(self._FEWEST, ceiling))
            elif self._doubling:
                self._pace, self.size = pace, min(2 * self.size, ceiling)
        elif not self._trial:
            self._rest_on(pace, took_s, ceiling)
        elif pace < (self._MORE if self._up else self._LESS) * self._pace:
            self._trial, self.size = False, self._settled
        elif self._up:
            self._pace, self._took_s = pace, took_s
            self._try(ceiling, up=True)
        elif took_s < self._QUEUEING * self._least_s:
            self._trial, self._took_s = False, took_s
        else:
            self._try(ceiling, up=False)

    def _rest_on(self, pace: float, took_s: float, ceiling: int) -> None:
        """Take note of an epoch at the size that was settled on; try another where it is time."""
        if not self._took_s:
            self._pace, self._took_s = pace, took_s
        elif not 1 / self._CHANGE < took_s / self._took_s < self._CHANGE:
            # half of this epoch was another service's: measure the next, then follow at once
            self._up, self._took_s = took_s < self._took_s, 0.0
            return
        else:
            self._pace += (pace - self._pace) / 2
            self._took_s += (took_s - self._took_s) / 2
            self._rest -= 1
            if self._rest > 0:
                return
            self._up = not self._up
        self._try(ceiling, up=self._up or took_s < self._QUEUEING * self._least_s)

    def _try(self, ceiling: int, *, up: bool) -> None:
        """Try a quarter more or less; where there is no such size, rest."""
        other = max(self.size + 1, self.size * 5 // 4) if up else self.size * 3 // 4
        self._settled, self._up, self._rest = self.size, up, self._REST
        self.size = min(max(other, self._FEWEST), ceiling)
        self._trial = self.size != self._settled


class Pace:
    """What a client has learnt of its service; it outlives a call.

    Parameters
    ----------
    ceiling : float or None
        Requests a second that the user allows.
    """

    def __init__(self, ceiling: float | None) -> None:
        self.rate, self.quota, self.in_flight = Rate(ceiling), RetryQuota(), InFlight()
        self.list_size: int | None = None  # largest comma list that the service takes, once it refused one
        self.accepted_size = 1  # largest comma list that it has answered


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
        self._streak = 0  # failures since the last success
        self._hold, self._hold_until = 0, -math.inf  # number and end of the last hold
        self._probing = 0  # holds since anything came through
        self._from_before = 0  # in flight since before the last hold: no probe waits for these

    def due(self, now: float) -> Get | None:
        """Return a GET to send now, None where it is not the time for any; ask until it is None."""
        if now >= self.until:
            self.stop(self.DEADLINE_OVER)
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
        self._succeeded_at, self._failing_since, self._streak = now, math.inf, 0
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
        self._streak += 1
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


def backoff(attempt: int, chance: float, *, base: float = 0.2, cap: float = 20.0) -> float:
    """Return seconds of full jitter before retry number ``attempt`` (from 0).

    Examples
    --------
    >>> backoff(0, 1.0), backoff(3, 0.5), backoff(99, 1.0)
    (0.2, 0.8, 20.0)
    """
    return chance * min(base * 2.0 ** min(attempt, 16), cap)


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
