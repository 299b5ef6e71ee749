"""The lines: places by hand, order and growth by hand, utilisation exact on the full hours."""

from __future__ import annotations

import numpy as np
import pytest

from cosai_nb.stats.censoring import ENDED, UNFINISHED, measure_jobs
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.lines import project, read_lines
from tests.simulate import arrivals, hand_made, serve, serve_at_random, snapshot

STARTED = [("running", 60 * n, 60 * n + 600, None) for n in range(1, 41)]  # one a minute, in order


def test_the_oldest_is_next_wherever_it_stands_in_the_frame():
    waiting = [("waiting", 2900, None, None), ("waiting", 2700, None, None), ("waiting", 2800, None, None)]
    jobs = hand_made(*STARTED, *waiting, at=3600)
    latency = measure_jobs(jobs)["queue_latency"]
    measured, fifo = project(jobs, latency)
    assert fifo == {"q1": True}
    # 40 starts since the first one 2,940 s ago: one in 73.5 s
    assert measured.value[-3:].tolist() == [700 + 220, 900 + 74, 800 + 147]
    assert (measured.kind[-3:] == ENDED).all()
    assert (latency.kind[-3:] == UNFINISHED).all()  # what came in is left as it was


def test_the_rate_is_that_of_the_last_hour():
    old = [("running", 10 * n, 10 * n + 5, None) for n in range(1000)]
    fresh = [("running", 20_000 + 100 * n, 20_050 + 100 * n, None) for n in range(36)]
    jobs = hand_made(*old, *fresh, ("waiting", 23_000, None, None), at=23_600)
    measured, _ = project(jobs, measure_jobs(jobs)["queue_latency"])
    assert measured.value[-1] == 600 + 100


@pytest.mark.parametrize(("waits", "expected"), [(range(0, 3600, 90), True), (range(3600, 0, -90), False)])
def test_order_is_the_rank_correlation_of_starts_with_creations(waits, expected):
    jobs = hand_made(*(("running", -wait, 100 - n, None) for n, wait in enumerate(waits)), at=3600)
    assert project(jobs, measure_jobs(jobs)["queue_latency"]).fifo == {"q1": expected}


def test_few_starts_or_all_at_once_tell_no_order():
    few = hand_made(*STARTED[:9])
    at_once = hand_made(*(("running", n, 1000, None) for n in range(50)))
    for jobs in (few, at_once, hand_made(("waiting", 0, None, None))):
        assert project(jobs, measure_jobs(jobs)["queue_latency"]).fifo == {"q1": None}


@pytest.mark.parametrize(("waiting", "growing"), [(5, False), (6, True)])
def test_growing_is_more_than_5_percent_of_those_created_in_the_last_hour(waiting, growing):
    rows = [("success", 7300, 7310, 7320)] * (100 - waiting) + [("waiting", 7300, None, None)] * waiting
    lines = read_lines(DurationHistogram.from_jobs(hand_made(*rows, at=7500)))
    assert lines["q1"].growing is growing
    stale = hand_made(*rows, at=7500 + 7200)  # nothing was created in the last hour
    assert not read_lines(DurationHistogram.from_jobs(stale))["q1"].growing


def test_utilisation_is_mean_over_largest_number_running_on_the_hour():
    hour = 3600
    rows = [
        ("success", 0, 10, 2 * hour + 5),
        ("success", 0, 10, hour + 5),
        ("running", 3 * hour - 9, 3 * hour - 5, None),
    ]
    jobs = hand_made(*rows, at=4 * hour)
    # running at 1 h, 2 h, 3 h, 4 h: 2, 1, 1, 1
    assert read_lines(DurationHistogram.from_jobs(jobs))["q1"].utilisation == pytest.approx(5 / 4 / 2)
    nobody = read_lines(DurationHistogram.from_jobs(hand_made(("waiting", 0, None, None))))
    assert np.isnan(nobody["q1"].utilisation)


def test_queues_are_lines_of_their_own_and_a_missing_one_too():
    jobs = hand_made(*STARTED, *STARTED, queue_id=["q1"] * 40 + [None] * 40)
    histogram = DurationHistogram.from_jobs(jobs)
    assert set(read_lines(histogram)) == {"q1", None}
    assert project(jobs, measure_jobs(jobs)["queue_latency"]).fifo == {None: True, "q1": True}


@pytest.mark.parametrize("minutes", [15, 30])
def test_a_random_order_is_seen_while_waits_are_still_short(minutes):
    """Over a whole hour the starts of a line that is minutes long rise with the creations, in whatever order it is served."""
    rng = np.random.default_rng(minutes)
    created = arrivals(rng, [(4 * 3600, 0.8 / 3), (minutes * 60, 1.4 / 3)])
    run = rng.exponential(60, len(created))
    for serving, expected in ((serve, True), (lambda *queue: serve_at_random(rng, *queue), False)):
        started = serving(created, run)
        jobs = snapshot(created, started, started + run, 4 * 3600 + minutes * 60)
        assert project(jobs, measure_jobs(jobs)["queue_latency"]).fifo == {"q1": expected}
