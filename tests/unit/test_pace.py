"""One clock, one budget, one rate."""

from __future__ import annotations

import itertools
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosai_nb.service.pace import Clock, RateLimiter, RetryQuota, http_date, retry_after

NEVER = threading.Event()


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
    delay = Clock(random=lambda: chance).backoff(attempt)
    assert 0 <= delay <= 20
    assert delay == chance * min(0.2 * 2.0**attempt if attempt < 1000 else 20.0, 20.0)


def test_quota_spends_and_earns_botocores_figures():
    quota = RetryQuota()
    assert [quota.take(throttled=False) for _ in range(36)] == [True] * 35 + [False]  # 500 // 14
    assert [quota.take(throttled=True) for _ in range(3)] == [True, True, False]  # 10 // 5
    for _ in range(14):
        quota.give()
    assert quota.take(throttled=False)
    assert not quota.take(throttled=False)


def test_quota_never_holds_more_than_it_began_with():
    quota = RetryQuota(tokens=14)
    for _ in range(100):
        quota.give()
    assert [quota.take(throttled=False) for _ in range(2)] == [True, False]


def test_quota_is_one_for_all_threads():
    quota = RetryQuota(tokens=14 * 40)
    paid = []
    threads = [
        threading.Thread(target=lambda: paid.extend(quota.take(throttled=False) for _ in range(50)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(paid) == 40


def test_no_rate_never_waits(wire):
    fake = wire.FakeTime()
    limiter = RateLimiter(None, fake.clock)
    for _ in range(1000):
        limiter.acquire(NEVER)
    assert fake.waits == []
    assert limiter.rate is None


def test_sixteen_threads_share_fifty_requests_a_second():
    turns = []
    frozen = Clock(monotonic=lambda: 0.0, wait=lambda _event, seconds: turns.append(seconds))
    limiter = RateLimiter(50.0, frozen)
    threads = [
        threading.Thread(target=lambda: [limiter.acquire(NEVER) for _ in range(25)]) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(turns) == 399  # the first goes at once
    spaces = [later - sooner for sooner, later in itertools.pairwise(sorted([0.0, *turns]))]
    assert min(spaces) == pytest.approx(1 / 50)
    assert max(spaces) == pytest.approx(1 / 50)


def test_fifty_a_second_in_real_time_too():
    limiter = RateLimiter(50.0, Clock())
    began = time.monotonic()
    times: list[float] = []
    threads = [
        threading.Thread(
            target=lambda: [(limiter.acquire(NEVER), times.append(time.monotonic())) for _ in range(4)]
        )
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(times) - began >= 63 / 50
    # no request is ahead of its turn, whichever thread sends it
    assert all(at - began >= turn / 50 - 1e-3 for turn, at in enumerate(sorted(times)))


def test_a_pause_earns_no_burst(wire):
    fake = wire.FakeTime()
    limiter = RateLimiter(10.0, fake.clock)
    limiter.acquire(NEVER)
    fake.now += 3600
    for _ in range(11):
        limiter.acquire(NEVER)
    assert fake.now == pytest.approx(3601.0)


def test_a_burst_of_throttling_halves_once(wire):
    fake = wire.FakeTime()
    limiter = RateLimiter(40.0, fake.clock)
    for _ in range(16):
        limiter.throttled()
    assert limiter.rate == 20.0
    fake.now += 1.0
    limiter.throttled()
    assert limiter.rate == 10.0


def test_rate_comes_back_and_stays_below_the_ceiling(wire):
    fake = wire.FakeTime()
    limiter = RateLimiter(40.0, fake.clock)
    limiter.throttled()
    began = fake.now
    while limiter.rate < 40.0:
        limiter.acquire(NEVER)
        limiter.succeeded()
        assert limiter.rate <= 40.0
    assert 9 <= fake.now - began <= 11
    for _ in range(100):
        limiter.succeeded()
    assert limiter.rate == 40.0


@given(
    st.floats(0.01, 1000),
    st.lists(st.sampled_from(["throttled", "succeeded", "acquire", "pause"]), max_size=60),
)
def test_rate_is_never_above_the_users(wire, ceiling, deeds):
    fake = wire.FakeTime()
    limiter = RateLimiter(ceiling, fake.clock)
    for deed in deeds:
        if deed == "pause":
            fake.now += 1.5
        elif deed == "acquire":
            limiter.acquire(NEVER)
        else:
            getattr(limiter, deed)()
        assert 0 < limiter.rate <= ceiling


@pytest.mark.parametrize("ceiling", [0.01, 0.3, 0.5])
def test_the_floor_is_no_reason_to_go_above_a_slow_users_rate(wire, ceiling):
    limiter = RateLimiter(ceiling, wire.FakeTime().clock)
    limiter.throttled()
    assert limiter.rate == ceiling


def test_throttling_stops_at_a_floor(wire):
    fake = wire.FakeTime()
    limiter = RateLimiter(8.0, fake.clock)
    for _ in range(50):
        limiter.throttled()
        fake.now += 1.0
    assert limiter.rate == 0.5


def test_after_an_idle_hour_the_first_throttle_still_knows_the_speed(wire):
    fake = wire.FakeTime()
    limiter = RateLimiter(None, fake.clock)
    for _ in range(500):
        limiter.acquire(NEVER)
    fake.now += 3600
    for _ in range(100):
        limiter.acquire(NEVER)
        fake.now += 0.01
    limiter.throttled()
    assert limiter.rate == pytest.approx(50.0, abs=1)


@pytest.mark.parametrize("asked", [1, 3, 16])
def test_a_throttle_in_the_first_moment_of_a_call_does_not_slow_all_that_follows(wire, asked):
    """The first moments show a fraction of a call's pace; 300 requests then took 40 s and more."""
    fake = wire.FakeTime()
    limiter = RateLimiter(None, fake.clock)
    for _ in range(asked):
        limiter.acquire(NEVER)
        fake.now += 0.001
    limiter.throttled()
    began = fake.now
    for _ in range(300):
        limiter.acquire(NEVER)
        fake.now += 0.002
        limiter.succeeded()
    assert fake.now - began < 20


def test_ten_minutes_without_a_request_forget_a_throttle(wire):
    fake = wire.FakeTime()
    limiter = RateLimiter(None, fake.clock)
    limiter.acquire(NEVER)
    limiter.throttled()
    fake.now += 599
    limiter.acquire(NEVER)
    assert limiter.rate is not None
    fake.now += 601
    limiter.acquire(NEVER)
    assert limiter.rate is None


def test_a_set_stop_wakes_those_who_wait_for_their_turn():
    limiter = RateLimiter(0.01, Clock())
    stop = threading.Event()
    limiter.acquire(stop)
    threading.Timer(0.05, stop.set).start()
    began = time.monotonic()
    limiter.acquire(stop)
    assert time.monotonic() - began < 5
