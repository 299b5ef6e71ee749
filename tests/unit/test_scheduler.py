"""Jitter, budget, rate, requests in flight: what is known of a service, and when the next request is due."""

from __future__ import annotations

import itertools
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosai_nb.errors import DeniedError, RefusedError, UnavailableError
from cosai_nb.service.pace import InFlight, Pace, Rate, RetryQuota, backoff
from cosai_nb.service.replies import http_date, retry_after
from cosai_nb.service.scheduler import Get, Scheduler

START = InFlight().size


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("1", 1.0),
        ("1.5", 1.5),
        ("0", 0.0),
        (" 2 ", 2.0),
        ("-5", None),
        ("abc", None),
        ("", None),
        (None, None),
        ("86400", 60.0),
        ("1e20", 60.0),
        ("inf", 60.0),
        ("nan", None),
        ("-inf", None),
        ("Thu, 01 Jan 1970 00:16:43 GMT", 3.0),  # now is 1000
        ("Thu, 01 Jan 1970 00:16:43", 3.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 60.0),
        ("Mon, 99 Foo 2022 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_read_leniently(header, seconds):
    assert retry_after(header, 1000.0) == seconds


@given(st.text(max_size=60))
def test_no_header_text_breaks_the_readers(text):
    seconds = retry_after(text, 0.0)
    assert seconds is None or 0 <= seconds <= 60
    assert http_date(text) is None or isinstance(http_date(text), float)


def test_a_date_without_zone_is_utc_wherever_the_notebook_runs(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        assert http_date("Tue, 14 Nov 2023 22:13:20") == 1_700_000_000.0
        assert http_date("Tue, 14 Nov 2023 22:13:20 -0000") == 1_700_000_000.0
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_jitter_is_full_and_capped(attempt, chance):
    delay = backoff(attempt, chance)
    assert 0 <= delay <= 20
    assert delay == chance * min(0.2 * 2.0**attempt if attempt < 1000 else 20.0, 20.0)


# ---- the budget of retries


def test_quota_spends_and_earns_botocores_figures():
    quota = RetryQuota()
    assert [quota.take() for _ in range(36)] == [14] * 35 + [0]  # 500 // 14
    quota.give(14)  # a success returns the whole cost of its last retry
    assert [quota.take(), quota.take()] == [14, 0]
    for _ in range(14):  # one that was not retried returns one token; ten were left
        quota.give(0)
    assert [quota.take(), quota.take()] == [14, 0]


def test_quota_never_holds_more_than_it_began_with():
    quota = RetryQuota(tokens=14)
    for _ in range(100):
        quota.give(0)
    assert [quota.take() for _ in range(2)] == [14, 0]


# ---- the rate


def send(rate, number, *, at, every):
    """Send some requests that all come through at once; return the time after them."""
    for _ in range(number):
        at = max(at, rate.turn(at))
        rate.sent(at)
        rate.succeeded(at)
        at += every
    return at


def throttle(rate, now):
    """Throttle until the rate takes it seriously."""
    rate.sent(now)
    return next(number for number in range(1, 100) if rate.throttled(now, now))


def test_no_rate_never_waits():
    rate = Rate(None)
    assert send(rate, 1000, at=0.0, every=0.0) == 0.0
    assert rate.now is None


def test_fifty_requests_a_second_are_evenly_spaced():
    rate, turns = Rate(50.0), [0.0]
    for _ in range(400):
        turns.append(max(turns[-1], rate.turn(turns[-1])))
        rate.sent(turns[-1])
    spaces = [later - sooner for sooner, later in itertools.pairwise(turns[1:])]
    assert min(spaces) == pytest.approx(1 / 50)
    assert max(spaces) == pytest.approx(1 / 50)


def test_a_pause_earns_no_burst():
    rate = Rate(10.0)
    rate.sent(0.0)
    assert send(rate, 11, at=300.0, every=0.0) == pytest.approx(301.0)


def test_one_throttled_answer_among_many_slows_nothing():
    rate = Rate(None)
    now = send(rate, 1000, at=0.0, every=0.002)
    for _ in range(50):
        rate.sent(now)
        assert not rate.throttled(now, now)
        now = send(rate, 100, at=now, every=0.002)
    assert rate.now is None


def test_throttled_answers_in_a_row_halve_the_pace_of_the_last_second():
    rate = Rate(None)
    now = send(rate, 500, at=0.0, every=0.01)
    assert throttle(rate, now) <= 5
    assert rate.now == pytest.approx(50, abs=1)


def test_a_burst_of_throttling_halves_once():
    rate = Rate(40.0)
    now = send(rate, 100, at=0.0, every=0.0)
    sent = [now] * 16
    assert [rate.throttled(at, now + 0.1) for at in sent].count(True) == 1
    halved = rate.now
    assert halved == pytest.approx(20.0, abs=2)
    assert throttle(rate, now + 0.3) == 1  # while nothing comes through, each one says: wait
    assert rate.now == halved  # but no rate would help
    now = send(rate, 40, at=now + 0.5, every=0.0)
    throttle(rate, now)
    assert rate.now == pytest.approx(10.0, abs=2)


def test_the_rate_comes_back_in_ten_seconds_and_stays_below_the_ceiling():
    rate = Rate(40.0)
    began = send(rate, 100, at=0.0, every=0.0)
    throttle(rate, began)
    now = began
    while rate.now < 40.0:
        now = send(rate, 1, at=now, every=0.0)
        assert rate.now <= 40.0
    assert 9 <= now - began <= 11
    send(rate, 100, at=now, every=0.0)
    assert rate.now == 40.0


def test_a_limit_that_is_gone_is_found_out_soon():
    rate = Rate(None)
    began = send(rate, 100, at=0.0, every=0.02)
    throttle(rate, began)
    now = began
    while rate.now < 1000.0:
        now = send(rate, 1, at=now, every=0.0)
    assert 10 <= now - began <= 18


@given(
    st.floats(0.01, 1000),
    st.lists(st.sampled_from(["throttled", "succeeded", "sent", "pause"]), max_size=60),
)
def test_rate_is_never_above_the_users(ceiling, deeds):
    rate, now = Rate(ceiling), 0.0
    for deed in deeds:
        if deed == "pause":
            now += 1.5
        elif deed == "sent":
            now = max(now, rate.turn(now))
            rate.sent(now)
        elif deed == "throttled":
            rate.throttled(now, now)
        else:
            rate.succeeded(now)
        assert 0 < rate.now <= ceiling


@pytest.mark.parametrize("ceiling", [0.3, 0.5])
def test_the_floor_is_no_reason_to_go_above_a_slow_users_rate(ceiling):
    rate = Rate(ceiling)
    now = 0.0
    for _ in range(5):
        now = send(rate, 5, at=now, every=0.0)
        throttle(rate, now)
    assert rate.now == ceiling


def test_throttling_stops_at_a_floor():
    rate, now, rates = Rate(8.0), 0.0, []
    for _ in range(20):
        now = send(rate, 1, at=now + 1.0, every=0.0)
        throttle(rate, now)
        rates.append(rate.now)
    assert 0.5 <= min(rates) < 1.0


def test_after_an_idle_hour_the_first_throttle_still_knows_the_speed():
    rate = Rate(None)
    now = send(rate, 500, at=0.0, every=0.0)
    now = send(rate, 110, at=now + 3600, every=0.01)
    throttle(rate, now)
    assert rate.now == pytest.approx(50.0, abs=1)


@pytest.mark.parametrize("asked", [1, 3, 16])
def test_a_throttle_in_the_first_moment_of_a_call_does_not_slow_all_that_follows(asked):
    """The first moments show a fraction of a call's pace; 300 requests then took 40 s and more."""
    rate = Rate(None)
    now = send(rate, asked, at=0.0, every=0.001)
    throttle(rate, now)
    assert send(rate, 300, at=now, every=0.002) - now < 20


def test_ten_minutes_without_a_request_forget_a_throttle():
    rate = Rate(None)
    now = send(rate, 100, at=0.0, every=0.02)
    throttle(rate, now)
    rate.turn(now + 599)
    assert rate.now is not None
    rate.turn(now + 601)
    assert rate.now is None


# ---- requests in flight


def test_answers_that_were_sent_before_a_change_say_nothing_of_it():
    flight = InFlight(start=8)
    for _ in range(8):
        flight.answered(0.0, 8, 1.0, 64)
    assert flight.size == 16
    for _ in range(100):
        flight.answered(0.5, 8, 1.5, 64)
    assert flight.size == 16


def test_a_size_that_is_not_in_full_use_is_not_judged():
    flight = InFlight(start=8)
    for number in range(100):
        flight.answered(float(number), 3, number + 0.5, 64)
    assert flight.size == 8


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 80)), max_size=400), st.integers(1, 64))
def test_the_size_stays_within_bounds_whatever_comes(answers, ceiling):
    flight, now = InFlight(), 0.0
    for took, alongside in answers:
        now += 1.0
        flight.answered(now - took, alongside, now, ceiling)
        assert 1 <= flight.size <= max(ceiling, START)


# ---- the scheduler


class Requests:
    """A plan of so many GETs that keeps what became of each."""

    def __init__(self, number, **settings):
        self.left = [Get(f"/{place}", bytes, item=place, **settings) for place in range(number)][::-1]
        self.read, self.given_up = [], []

    def next(self):
        return self.left.pop() if self.left else None

    def answered(self, get, answer, observed_ms):
        self.read.append(get.item)

    def refused(self, get, error):
        self.given_up.append(get.item)


BROKEN = UnavailableError("broken", status_code=500, code="InternalError", retryable=True)
SLOW = UnavailableError("slow", status_code=503, code="SlowDown", retryable=True)


def scheduler_of(plan, *, pace=None, chance=1.0, **settings):
    return Scheduler(plan, pace or Pace(None), now=0.0, random=lambda: chance, **settings)


def all_due(scheduler, now):
    return list(iter(lambda: scheduler.due(now), None))


def test_a_full_window_waits_for_answers_and_not_for_the_clock():
    """A retry that is due while there is no room for it must not make the loop spin."""
    scheduler = scheduler_of(Requests(30))
    first, *_ = all_due(scheduler, 0.0)
    scheduler.failed(first, BROKEN, 0.1)
    assert len(all_due(scheduler, 0.1)) == 1
    assert scheduler.due(5.0) is None
    assert scheduler.wait(5.0) == math.inf


def test_a_retry_waits_for_its_time():
    scheduler = scheduler_of(Requests(1))
    get = scheduler.due(0.0)
    scheduler.failed(get, BROKEN, 1.0)
    assert scheduler.wait(1.0) == pytest.approx(0.2)
    assert scheduler.due(1.19) is None
    assert scheduler.due(1.2) is get


def test_nothing_is_sent_after_the_deadline():
    scheduler = scheduler_of(Requests(9), deadline=5.0)
    get = scheduler.due(0.0)
    assert scheduler.wait(1.0) == 4.0
    assert scheduler.due(5.0) is None
    assert "deadline" in scheduler.end
    scheduler.failed(get, BROKEN, 5.1)
    assert scheduler.over
    assert scheduler.due(6.0) is None


def test_throttling_holds_everything_back_and_then_lets_one_probe_through():
    plan = Requests(100)
    scheduler = scheduler_of(plan)
    for get in all_due(scheduler, 0.0):
        scheduler.failed(get, SLOW, 0.1)
    assert all_due(scheduler, 0.29) == []
    (probe,) = all_due(scheduler, 0.31)
    scheduler.failed(probe, SLOW, 0.4)
    assert scheduler.wait(0.4) == pytest.approx(0.4)  # the hold grows
    (probe,) = all_due(scheduler, 0.81)
    scheduler.answered(probe, b"", 0, 0.9)
    assert len(all_due(scheduler, 0.9)) == START


def test_retry_after_holds_everything_back():
    scheduler = scheduler_of(Requests(9))
    get = scheduler.due(0.0)
    wait = UnavailableError("wait", status_code=429, retry_after=7.0, retryable=True)
    scheduler.failed(get, wait, 1.0)
    assert all_due(scheduler, 7.9) == []
    assert len(all_due(scheduler, 8.0)) == 9


def test_requests_that_hang_do_not_keep_a_probe_from_being_sent():
    scheduler = scheduler_of(Requests(100), workers=64)
    hanging, *others = all_due(scheduler, 0.0)
    for get in others:
        scheduler.failed(get, SLOW, 0.1)
    (probe,) = all_due(scheduler, 1.0)
    scheduler.answered(probe, b"", 0, 1.1)
    assert len(all_due(scheduler, 1.1)) == START
    scheduler.answered(hanging, b"", 0, 30.0)
    assert scheduler.in_flight == START


def test_an_answer_from_before_a_hold_does_not_end_it():
    scheduler = scheduler_of(Requests(100))
    slow_one, *others = all_due(scheduler, 0.0)
    for get in others:
        scheduler.failed(get, SLOW, 0.1)
    scheduler.answered(slow_one, b"", 0, 0.2)
    assert len(all_due(scheduler, 1.0)) == 1


@pytest.mark.parametrize("error", [BROKEN, SLOW])
def test_after_a_hold_the_service_is_tried_with_few(error):
    pace = Pace(None)
    pace.in_flight = InFlight(start=64)
    scheduler = scheduler_of(Requests(300), pace=pace)
    now = 0.0
    while not scheduler._probing:
        for get in all_due(scheduler, now):
            scheduler.failed(get, error, now + 0.1)
        now += 0.2
    (probe,) = all_due(scheduler, now + 5.0)
    scheduler.answered(probe, b"", 0, now + 5.1)
    assert len(all_due(scheduler, now + 5.1)) == START


def test_throttling_costs_neither_tries_nor_budget():
    plan, pace = Requests(200, tries=3), Pace(None)
    scheduler = scheduler_of(plan, pace=pace, chance=0.5)
    now, unlucky = 0.0, 0
    while not scheduler.over:
        for get in all_due(scheduler, now):
            now += 0.05
            if get.item == 0 and unlucky < 8:
                unlucky += 1
                scheduler.failed(get, SLOW, now)
            else:
                scheduler.answered(get, b"", 0, now)
        now += min(scheduler.wait(now), 0.1)
    assert sorted(plan.read) == list(range(200))
    assert sum(bool(pace.quota.take()) for _ in range(50)) == 500 // 14


def test_an_outage_is_not_the_fault_of_a_request():
    plan = Requests(1, tries=3)
    scheduler = scheduler_of(plan, chance=0.0, hopeless=1e9, patience=1e9)
    for now in range(0, 500, 10):
        scheduler.failed(scheduler.due(float(now)), BROKEN, now + 0.5)
    scheduler.answered(scheduler.due(500.0), b"", 0, 500.5)
    assert plan.read == [0]


def test_a_request_that_fails_while_others_come_through_is_given_up():
    plan = Requests(60, tries=7)
    scheduler = scheduler_of(plan, workers=2, chance=0.5)
    now, sent = 0.0, 0
    while not scheduler.over:
        for get in all_due(scheduler, now):
            now += 0.5
            if get.item:
                scheduler.answered(get, b"", 0, now)
            else:
                sent += 1
                scheduler.failed(get, BROKEN, now)
        now += scheduler.wait(now) if scheduler.wait(now) < math.inf else 0.0
    assert plan.given_up == [0]
    assert scheduler.end is None
    assert sent <= 12


def test_what_can_be_divided_is_given_up_in_an_outage_too():
    plan = Requests(1, tries=4, divisible=True)
    scheduler = scheduler_of(plan, chance=0.0)
    for now in range(4):
        scheduler.failed(scheduler.due(float(now)), BROKEN, now + 0.5)
    assert plan.given_up == [0]


def test_a_retry_beyond_the_budget_waits_longest():
    pace = Pace(None)
    while pace.quota.take():
        pass
    plan = Requests(3)
    scheduler = scheduler_of(plan, pace=pace)
    bad, *others = all_due(scheduler, 0.0)
    scheduler.failed(bad, BROKEN, 0.1)
    scheduler.answered(others[0], b"", 0, 0.2)
    assert scheduler.due(0.31) is bad
    scheduler.failed(bad, BROKEN, 0.4)
    assert scheduler.wait(0.4) == pytest.approx(20.0)


@pytest.mark.parametrize(("left", "given_up"), [(0, [0]), (5, [])])
def test_an_outage_ends_the_call_unless_one_request_alone_is_left(left, given_up):
    plan = Requests(1 + left)
    scheduler = scheduler_of(plan, workers=1, chance=0.5)
    now = 0.0
    while not scheduler.over and now < 100:
        for get in all_due(scheduler, now):
            scheduler.failed(get, BROKEN, now + 0.1)
        now += 0.1
        now += 0.0 if scheduler.over else scheduler.wait(now)
    assert 30 <= now <= 60
    assert plan.given_up == given_up
    assert ("nothing came through for" in str(scheduler.end)) == (not given_up)


def test_a_denial_after_an_outage_says_that_it_was_denied():
    denied = DeniedError("denied", status_code=403, code="AccessDenied")

    class Strict(Requests):
        def refused(self, get, error):
            raise error

    scheduler = scheduler_of(Strict(9), workers=1, chance=0.5)
    scheduler.failed(scheduler.due(0.0), BROKEN, 0.1)
    scheduler.failed(scheduler.due(40.0), denied, 40.1)
    assert scheduler.end is denied


def test_refusals_are_answers_and_no_outage():
    plan = Requests(500)
    scheduler = scheduler_of(plan)
    refusal = RefusedError("no", status_code=400, code="InvalidArgument")
    now = 0.0
    while not scheduler.over:
        for get in all_due(scheduler, now):
            scheduler.failed(get, refusal, now + 1.0)
        now += 1.0
    assert scheduler.end is None
    assert sorted(plan.given_up) == list(range(500))
