"""The scheduler against services whose truth is known: outages, throttling, queues; seconds that nobody waits for."""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter

import pytest

from cosai_nb.errors import UnavailableError
from cosai_nb.service.pace import Pace
from cosai_nb.service.parsing import PLACE, Answer, Fields
from cosai_nb.service.scheduler import Lists, Scheduler

REST = (None,) * (len(PLACE) - 1)


def broken():
    return UnavailableError("broken", status_code=500, code="InternalError", retryable=True)


def refused():
    return UnavailableError("No connection (Connection refused).", retryable=True)


def slow():
    return UnavailableError("slow", status_code=503, code="SlowDown", retryable=True)


class Run:
    """Ask ``service(now, chance)``, which gives seconds and an error or None, for some IDs until the call is over.

    ``seconds`` is how long it took, ``sent`` when requests were sent, ``course`` what stood when answers came: the time,
    the answers so far, and the size in flight.
    """

    def __init__(self, service, jobs, *, batch_size=10, pace=None, begin=0.0, seed=1, **settings):
        self.pace, chance, now = pace or Pace(None), random.Random(seed), begin
        plan = Lists(
            "/ai_jobs",
            [f"j{place}" for place in range(jobs)],
            self.pace,
            batch_size=batch_size,
            fields=Fields(),
        )
        scheduler = Scheduler(plan, self.pace, now=now, random=chance.random, **settings)
        self.sent, self.course, self.kinds = [], [], Counter()
        in_flight, stood_still = [], 0
        while not scheduler.over:
            while (get := scheduler.due(now)) is not None:
                took, error = service(now, chance)
                heapq.heappush(in_flight, (now + took, len(self.sent), get, error))
                self.sent.append(now)
            if scheduler.end is not None:
                break
            wait = scheduler.wait(now)
            upcoming = min(now + wait, in_flight[0][0] if in_flight else math.inf)
            stood_still = stood_still + 1 if upcoming == now else 0
            assert stood_still < 100, "the loop spins"
            now = upcoming
            while in_flight and in_flight[0][0] <= now:
                _, _, get, error = heapq.heappop(in_flight)
                self.kinds[None if error is None else error.code] += 1
                if error is None:
                    jobs_read = [(job_id, *REST) for job_id in get.item]
                    scheduler.answered(get, Answer(jobs_read, [], None, None), 0, now)
                else:
                    scheduler.failed(get, error, now)
                self.course.append((now, self.kinds[None], self.pace.in_flight.size))
        self.seconds, self.end = now - begin, scheduler.end
        read = Counter(record.job_id for record in plan.finished if record.fate == "job")
        assert set(read.values()) <= {1}
        self.unread = jobs - len(read)

    def between(self, begin, end):
        """Return answers a second and the mean size between two times."""
        there = [(answers, size) for now, answers, size in self.course if begin <= now < end]
        pace = (there[-1][0] - there[0][0]) / (end - begin)
        return pace, sum(size for _, size in there) / len(there)


def healthy(took):
    return lambda _now, _chance: (took, None)


def down(error, begin, end, *, took=0.02):
    return lambda now, _chance: (took, error() if begin <= now < end else None)


def queue(capacity, took, *, noise=0.0):
    """A server of so many requests a second with a queue before it; an answer takes ``took`` without waiting."""
    free = 0.0

    def answer(now, chance):
        nonlocal free
        base = took(now) if callable(took) else took
        free = max(now + base / 2, free) + 1 / (capacity(now) if callable(capacity) else capacity)
        return free - now + base / 2 * chance.lognormvariate(0, noise), None

    return answer


def limited(most, *, took=0.02):
    """A service that throttles what goes beyond so many requests in a second."""
    served = []

    def answer(now, _chance):
        served[:] = [at for at in served if at > now - 1.0]
        if len(served) >= most:
            return took, slow()
        served.append(now)
        return took, None

    return answer


# ---- outages and throttling


@pytest.mark.parametrize("throttled_s", [1, 5])
@pytest.mark.parametrize("begin", [0.0, 0.3])
@pytest.mark.parametrize("took", [0.02, 0.2])
def test_total_throttling_costs_hardly_more_than_its_own_time(throttled_s, begin, took):
    alone = Run(healthy(took), 50_000).seconds
    run = Run(down(slow, begin, begin + throttled_s, took=took), 50_000)
    assert run.unread == 0
    assert run.seconds < alone + 1.7 * throttled_s + 2
    assert len(run.sent) < 5_000 * 1.03


def test_ten_percent_of_500_lose_nothing():
    run = Run(lambda _now, chance: (0.02, broken() if chance.random() < 0.1 else None), 20_000)
    assert run.unread == 0
    assert len(run.sent) <= 1.25 * 2_000
    singly = Run(
        lambda _now, chance: (0.02, broken() if chance.random() < 0.1 else None), 20_000, batch_size=1
    )
    assert singly.unread == 0
    assert len(singly.sent) <= 1.25 * 20_000
    assert singly.seconds < 1.4 * 20_000 * 0.02 / 64


def test_a_rare_slowdown_at_random_slows_nothing():
    run = Run(lambda _now, chance: (0.02, slow() if chance.random() < 0.005 else None), 100_000)
    assert run.unread == 0
    assert run.seconds < 1.5 * 10_000 * 0.02 / 64


@pytest.mark.parametrize("error", [broken, refused, slow])
@pytest.mark.parametrize("lasts", [5, 20])
@pytest.mark.parametrize(("jobs", "batch_size"), [(50_000, 10), (3_000, 1), (40, 1)])
def test_an_outage_in_the_middle_loses_nothing(error, lasts, jobs, batch_size):
    begin = 0.01 if jobs == 40 else 0.5
    run = Run(down(error, begin, begin + lasts), jobs, batch_size=batch_size)
    assert run.unread == 0
    assert run.end is None
    probes = sum(begin <= at < begin + lasts for at in run.sent)
    assert probes < 64 + 64 + 25
    assert run.seconds < begin + 1.7 * lasts + 5


@pytest.mark.parametrize("error", [broken, refused])
@pytest.mark.parametrize("seed", range(3))
def test_a_long_outage_ends_the_call_in_half_a_minute_and_can_be_resumed(error, seed):
    run = Run(down(error, 0.5, 600), 50_000, seed=seed)
    assert 30 <= run.seconds < 37
    assert "nothing came through for 3" in str(run.end)
    assert 0 < run.unread < 50_000
    resumed = Run(healthy(0.02), 50_000, pace=run.pace, begin=700.0)
    assert resumed.unread == 0
    assert resumed.seconds < 1.1 * Run(healthy(0.02), 50_000).seconds


@pytest.mark.parametrize("took", [0.02, 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_a_limit_is_found_and_kept_to(took, seed):
    run = Run(limited(50, took=took), 50 * 100, batch_size=1, seed=seed)
    assert run.unread == 0
    assert 0.6 <= 5_000 / run.seconds / 50 <= 1.0
    assert run.kinds["SlowDown"] <= 0.1 * len(run.sent)


# ---- requests in flight


@pytest.mark.parametrize(
    ("capacity", "took"), [(200, 0.1), (1000, 0.02), (100, 0.3), (400, 0.1), (2000, 0.02)]
)
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_the_size_settles_near_capacity_times_latency(capacity, took, noise):
    run = Run(queue(capacity, took, noise=noise), capacity * 30, batch_size=1)
    pace, size = run.between(10, 29)
    assert pace >= 0.9 * capacity
    assert 0.8 * capacity * took <= size <= min(2 * capacity * took, 64)
    assert run.seconds < 30 / 0.9


def test_a_queue_that_needs_one_at_a_time_gets_few():
    run = Run(queue(50, 0.02), 50 * 30, batch_size=1)
    pace, size = run.between(5, 29)
    assert pace >= 0.95 * 50
    assert size <= 10


def test_sixty_four_are_in_flight_after_four_round_trips():
    run = Run(healthy(0.02), 5_000, batch_size=1)
    reached = next(now for now, _, size in run.course if size == 64)
    assert reached <= 4 * 0.02
    short = Run(healthy(0.02), 2_000, batch_size=1)
    assert short.seconds <= (2_000 / 64 + 4) * 0.02


@pytest.mark.parametrize("workers", [1, 3, 16])
def test_no_more_are_in_flight_than_workers(workers):
    run = Run(healthy(0.02), 1_000, batch_size=1, workers=workers)
    assert max(Counter(run.sent).values()) <= workers
    assert run.seconds == pytest.approx(1_000 / workers * 0.02, rel=0.1)


@pytest.mark.parametrize("part", [1 / 2, 1 / 3])
def test_the_size_shrinks_with_the_capacity_and_comes_back_with_it(part):
    run = Run(queue(lambda now: 200 * (part if 30 <= now < 60 else 1.0), 0.1), 200 * 70, batch_size=1, seed=3)
    _, before = run.between(20, 30)
    pace, during = run.between(40, 60)
    assert during < 0.75 * before
    assert pace > 0.9 * 200 * part
    pace, after = run.between(68, 75)
    assert after > 1.4 * during
    assert pace > 0.9 * 200


def test_a_queue_behind_a_longer_way_gets_more_in_flight():
    run = Run(queue(200, lambda now: 0.1 if now < 30 else 0.3), 200 * 50, batch_size=1)
    pace, size = run.between(44, 49)
    assert pace > 0.9 * 200
    assert size > 45  # 200 × 0.3 = 60


def test_slower_answers_alone_are_no_reason_to_ask_for_less():
    run = Run(lambda now, _chance: (0.1 if now < 10 else 0.3, None), 12_000, batch_size=1)
    assert run.between(15, 30)[1] > 55


@pytest.mark.parametrize("seed", range(4))
def test_noise_makes_nothing_collapse(seed):
    """Log-normal latencies, and one answer in a hundred takes a hundred times as long."""

    def noisy(_now, chance):
        took = 0.02 * chance.lognormvariate(0, 1)
        return 100 * took if chance.random() < 0.01 else took, None

    run = Run(noisy, 20_000, batch_size=1, seed=seed)
    sizes = [size for now, _, size in run.course if now > 1]
    assert sum(sizes) / len(sizes) > 45
    assert min(sizes) >= 24


@pytest.mark.parametrize(("took", "capacity"), [(0.02, 3000), (0.002, 3000), (0.1, 200)])
def test_a_service_that_slows_down_bit_by_bit_is_no_slope_to_one(took, capacity):
    """Each step down costs little there; many of them must not."""
    in_flight = []

    def answer(now, chance):
        in_flight[:] = [end for end in in_flight if end > now]
        takes = (took + (len(in_flight) + 1) / capacity) * chance.lognormvariate(0, 0.3)
        in_flight.append(now + takes)
        return takes, None

    run = Run(answer, int(capacity * 15), batch_size=1)
    full = 64 / (took + 64 / capacity)
    assert run.between(5, run.seconds - 1)[0] > 0.8 * full
