"""Any interleaving of answers, faults, interrupts and clock steps ends, and every ID ends in exactly one record."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosai_nb.errors import (
    AnswerError,
    DeniedError,
    MalformedError,
    MismatchError,
    OversizedError,
    RefusedError,
    UnavailableError,
)
from cosai_nb.schema import Record
from cosai_nb.service import listing
from cosai_nb.service.listing import Scope, Window, Windows, wire_time
from cosai_nb.service.pace import Pace
from cosai_nb.service.parsing import PLACE, Answer, Fields
from cosai_nb.service.scheduler import Lists, Scheduler

STAGES = 6  # 10, 5, 3, 2 and 1 in a list, and once alone for being omitted
FAILURES = 8 + 3 + 1  # of a single ID while others come through, unreadable answers, a corrected clock
PROBES = 80  # in outages that do not end the call


def values(job_id, **texts):
    row = [None] * len(PLACE)
    for name, text in {"job_id": job_id, "state": "Success", **texts}.items():
        row[PLACE[name]] = text
    return tuple(row)


def unavailable(code=None, status=500, **more):
    return UnavailableError("not now", status_code=status, code=code, retryable=True, **more)


ANSWERS = {
    "all": lambda ids: (ids, []),
    "turned round": lambda ids: (ids[::-1], []),
    "one left out": lambda ids: (ids[1:], []),
    "none": lambda _: ([], []),
    "twice": lambda ids: (ids + ids, ids),
    "one more": lambda ids: (["nobody-asked", *ids], ["nor-for-this"]),
    "unknown": lambda ids: (ids[:1], ids[1:]),
    "all unknown": lambda ids: ([], ids),
}
ERRORS = {
    "500": lambda: unavailable("InternalError"),
    "no connection": lambda: unavailable(status=None),
    "SlowDown": lambda: unavailable("SlowDown", 503),
    "429": lambda: unavailable("Any", 429, retry_after=7.0),
    "400": lambda: RefusedError("no", status_code=400, code="InvalidArgument"),
    "404 of a job": lambda: RefusedError("no", status_code=404, code="JobNotFound"),
    "404 of nginx": lambda: RefusedError("no", status_code=404),
    "cut": lambda: MalformedError("cut", retryable=True),
    "too large": lambda: OversizedError("too large"),
    "of another": lambda: MismatchError("of another", retryable=True),
    "clock off": lambda: DeniedError("skewed", status_code=403, code="RequestTimeTooSkewed"),
    "denied": lambda: DeniedError("denied", status_code=403, code="AccessDenied"),
}
KINDS = [*ANSWERS, *ERRORS]
PASSING = [kind for kind in KINDS if kind != "denied"]


class Loop:
    """What the client's loop does, one step at a time, in any order; each step checks what must never happen."""

    def __init__(self, plan, pace, *, workers, ceiling=None, chance=0.5, answer, **settings):
        self.plan, self.workers, self.ceiling, self.chance, self.answer = (
            plan,
            workers,
            ceiling,
            chance,
            answer,
        )
        self.scheduler = Scheduler(plan, pace, now=0.0, random=lambda: chance, workers=workers, **settings)
        self.pace = pace
        self.now = self.quiet_until = 0.0
        self.in_flight, self.sent_at, self.not_before = [], [], {}

    def send(self):
        """Send all that is due, as the client does."""
        while self.send_one():
            pass
        if not self.scheduler.over:
            assert self.scheduler.wait(self.now) > 0, "the loop would spin"

    def send_one(self):
        ended = self.scheduler.end is not None
        get = self.scheduler.due(self.now)
        if get is None:
            return False
        assert not ended
        assert self.now < self.scheduler.until
        assert self.now >= self.quiet_until
        assert self.now >= self.not_before.pop(get, 0.0)
        assert not any(get is other for other in self.in_flight)
        if self.ceiling and self.sent_at:
            assert self.now - self.sent_at[-1] >= 1 / self.ceiling - 1e-9
        self.in_flight.append(get)
        self.sent_at.append(self.now)
        since_hold = sum(other.hold == self.scheduler._hold for other in self.in_flight)
        assert len(self.in_flight) == self.scheduler.in_flight <= self.workers
        assert since_hold <= (1 if self.scheduler._probing else self.pace.in_flight.size)
        return True

    def come_back(self, place, kind):
        """Let any of those in flight come back."""
        if not self.in_flight:
            return
        get = self.in_flight.pop(place % len(self.in_flight))
        came = self.answer(get, kind)
        if not isinstance(came, Exception):
            self.scheduler.answered(get, came, 1_000, self.now)
            return
        corrected = came.code == "RequestTimeTooSkewed" and not get.corrected
        get.corrected |= {"skew"} if corrected else set()
        self.scheduler.failed(get, came, self.now, corrected=corrected)
        if not corrected:
            self.not_before[get] = self.now + max(came.retry_after or 0.0, 0.2 * self.chance)
        if came.retry_after:
            self.quiet_until = max(self.quiet_until, self.now + came.retry_after)

    def step_clock(self, seconds):
        """Let time pass, no further than until something may be due; nothing may be due before."""
        wait = self.scheduler.wait(self.now)
        if self.send_one():
            return
        if seconds >= wait:
            before, self.now = self.now, self.now + wait * 0.999
            if self.now < before + wait:
                assert not self.send_one() or self.scheduler.end is not None, "the loop would sleep too long"
            self.now = before
        self.now += min(seconds, wait)

    def run_to_the_end(self, kinds):
        """Go on as the client's loop does."""
        steps = 0
        while not self.scheduler.over:
            self.send()
            if self.scheduler.end is not None:
                break
            if self.in_flight:
                self.now += 0.02
                self.come_back(0, next(kinds))
            else:
                wait = self.scheduler.wait(self.now)
                assert wait < math.inf, "nothing in flight, nothing due, and not over"
                self.now += wait
            steps += 1
            assert steps < 50_000, "it does not end"


STEPS = st.lists(
    st.one_of(
        st.just(("send", 0, "")),
        st.tuples(st.just("send one"), st.just(0), st.just("")),
        st.tuples(st.just("come back"), st.integers(0, 70), st.sampled_from(PASSING)),
        st.tuples(st.just("come back"), st.integers(0, 70), st.sampled_from(PASSING)),
        st.tuples(st.just("come back"), st.integers(0, 70), st.sampled_from(KINDS)),
        st.tuples(st.just("clock"), st.sampled_from([0.001, 0.02, 0.3, 2.0, 10.0, 60.0]), st.just("")),
        st.tuples(st.just("clock"), st.floats(0, 100), st.just("")),
    ),
    max_size=120,
)


def reply_to(get, kind):
    """Answer a list of IDs as ``kind`` says."""
    if kind in ERRORS:
        return ERRORS[kind]()
    jobs, unknown = ANSWERS[kind](get.item)
    return Answer([values(job_id) for job_id in jobs], unknown, None, None)


@settings(max_examples=400)
@given(
    number=st.integers(0, 60),
    steps=STEPS,
    rest=st.lists(st.sampled_from(PASSING), min_size=1, max_size=8),
    interrupted=st.integers(0, 400),
    workers=st.sampled_from([1, 2, 7, 64]),
    batch_size=st.integers(1, 10),
    ceiling=st.sampled_from([None, 0.5, 5.0, 200.0]),
    chance=st.sampled_from([0.0, 0.3, 0.999]),
    deadline=st.sampled_from([math.inf, math.inf, 1.0, 50.0]),
)
def test_every_id_ends_in_exactly_one_record(
    number, steps, rest, interrupted, workers, batch_size, ceiling, chance, deadline
):
    ids = [f"j{place}" for place in range(number)]
    pace = Pace(ceiling)
    plan = Lists("/ai_jobs", ids, pace, batch_size=batch_size, fields=Fields())
    asked = Counter()

    def answer(get, kind):
        asked.update(get.item)
        return reply_to(get, kind)

    loop = Loop(plan, pace, workers=workers, ceiling=ceiling, chance=chance, deadline=deadline, answer=answer)
    for place, (deed, argument, kind) in enumerate(steps):
        if place == interrupted:
            loop.scheduler.stop("interrupted")
        if deed == "send":
            loop.send()
        elif deed == "send one":
            loop.send_one()
        elif deed == "clock":
            loop.step_clock(argument)
        else:
            loop.come_back(argument, kind)
    loop.run_to_the_end(itertools.cycle(rest))
    end = loop.scheduler.end
    while loop.in_flight:  # what comes back after the end is kept as well
        loop.come_back(0, "all")

    read = Counter(record.job_id for record in plan.finished)
    assert set(read) <= set(ids)
    assert set(read.values()) <= {1}
    assert not loop.send_one()
    assert loop.scheduler.over
    assert loop.scheduler.in_flight == 0
    assert all(isinstance(record, Record) for record in plan.finished)
    assert all(record.error for record in plan.finished if record.fate == "unread")
    assert all(record.values[0] == record.job_id for record in plan.finished if record.fate == "job")
    if end is None:
        assert set(read) == set(ids)
    if {*rest, *(kind for _, _, kind in steps)} <= {"", "all", "turned round", "twice", "one more"}:
        assert end in {None, "interrupted", Scheduler.DEADLINE_OVER}
        assert all(record.fate == "job" for record in plan.finished)
    assert all(times <= STAGES * FAILURES + PROBES for times in asked.values())


# ---- listing

QUEUES = ("p1", "p2")
BEGIN = 1_700_000_000
TROUBLES = ["500", "no connection", "SlowDown", "429", "clock off"]


class Service:
    """Lists jobs as documented, oldest first; a deed spoils one page."""

    def __init__(self, created, size, deeds):
        self.jobs = {
            queue: sorted((BEGIN + at, f"{queue}j{place}") for place, at in enumerate(created))
            for queue in QUEUES
        }
        self.size, self.deeds = size, deeds
        self.asked = 0

    def __call__(self, get, kind):
        self.asked += 1
        if kind in TROUBLES:
            return ERRORS[kind]()
        if kind == "expired" and "nextToken" in get.params:
            return RefusedError("token", status_code=400, code="InvalidArgument")
        queue, params = get.params["queueId"], get.params
        inside = [
            (at, job_id)
            for at, job_id in self.jobs[queue]
            if params["startCreationTime"] < wire_time(at) < params["endCreationTime"]
        ]
        begin, _, empty = params.get("nextToken", "0").partition(":")
        place = int(begin)
        if kind == "endless":
            return Answer([], [], f"{place}:{self.asked}", None)
        if kind == "empty" and not empty:
            return Answer([], [], f"{place}:empty", None)
        if kind == "loop" and "nextToken" in params:
            return Answer([], [], params["nextToken"], None)
        page = inside[place : place + self.size]
        rest = place + self.size
        rows = [values(job_id, queue_id=queue, creation_time=wire_time(at)) for at, job_id in page]
        if kind == "shuffled":
            rows.reverse()
        if kind == "twice":
            rows += rows[:1]
        return Answer(rows, [], str(rest) if rest < len(inside) or kind == "one page more" else None, None)


PAGES = ["all", "all", "shuffled", "twice", "empty", "one page more", "expired", "loop", *TROUBLES]


@settings(max_examples=300)
@given(
    created=st.lists(st.integers(-5, 65), max_size=60),
    size=st.integers(1, 5),
    steps=st.lists(st.tuples(st.integers(0, 20), st.sampled_from(PAGES)), max_size=150),
    rest=st.lists(st.sampled_from(PAGES), min_size=1, max_size=6),
    cut_at=st.sampled_from([2, 5, 10**9]),
    workers=st.sampled_from([1, 3, 64]),
    windows=st.sampled_from([[(0, 60)], [(0, 20), (20, 60)], [(0, 1), (30, 31), (31, 60)]]),
)
def test_each_job_is_listed_once_in_whatever_order_pages_come(
    created, size, steps, rest, cut_at, workers, windows
):
    asked = [Window(BEGIN + start, BEGIN + end) for start, end in windows]
    scopes = [Scope(queue, "Translation") for queue in QUEUES]
    service = Service(created, size, steps)
    with mock.patch.object(listing, "_WORTH_CUTTING", cut_at):
        plan = Windows("/ai_jobs", itertools.product(scopes, asked), fields=Fields())
        loop = Loop(plan, Pace(None), workers=workers, answer=service)
        for place, kind in steps:
            loop.send()
            loop.come_back(place, kind)
            loop.step_clock(0.1)
        loop.run_to_the_end(itertools.cycle([*rest, "all"]))

    true = {
        scope: {
            job_id for at, job_id in service.jobs[scope.queue_id] for start, end in asked if start <= at < end
        }
        for scope in scopes
    }
    end = loop.scheduler.end
    for scope in scopes:
        assert set(plan.records.get(scope, {})) <= true[scope]
    if end is None:
        for scope in scopes:
            assert set(plan.records.get(scope, {})) == true[scope]
            read = sorted(window for read_scope, window, _ in plan.read if read_scope == scope)
            assert all(one.end <= two.start for one, two in itertools.pairwise(read))
            assert sum(window.end - window.start for window in read) == sum(
                window.end - window.start for window in asked
            )
    else:
        assert isinstance(end, AnswerError | RefusedError | DeniedError | UnavailableError)
        assert {*rest, *(kind for _, kind in steps)} & {"expired", "loop", *TROUBLES}


@pytest.mark.parametrize("workers", [1, 64])
def test_a_list_without_end_ends_in_an_error(workers):
    service = Service([1, 2, 3], 2, [])
    plan = Windows("/ai_jobs", [(Scope("p1", "Translation"), Window(BEGIN, BEGIN + 60))], fields=Fields())
    loop = Loop(plan, Pace(None), workers=workers, answer=service)
    loop.run_to_the_end(itertools.repeat("endless"))
    assert isinstance(loop.scheduler.end, AnswerError)
    assert service.asked <= 101
