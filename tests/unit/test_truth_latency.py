"""Against queues whose truth is known: the headline, the bounds and the intervals, beside the naive number."""

from __future__ import annotations

import numpy as np
import pytest

from cosai_nb.stats.latency import queue_latency, run_time
from tests.simulate import (
    MEAN_RUN,
    SERVERS,
    arrivals,
    serve,
    serve_at_random,
    snapshot,
    stationary_queues,
)

pytestmark = pytest.mark.slow
CAPACITY = SERVERS / MEAN_RUN
CALM, HOURS_BEFORE, HOURS_AFTER = 0.8, 4, 48


def p95(seconds):
    return np.quantile(np.floor(seconds), 0.95, method="inverted_cdf")


def surge(seed, load, *, at_random=False):
    """A calm queue, then more arrivals than it can take until 20 % of all jobs wait, then calm again.

    Returns the frame read at that moment, and the waits that its jobs have had in the end.
    """
    rng = np.random.default_rng(seed)
    calm = HOURS_BEFORE * 3600
    created = arrivals(rng, [(calm, CALM * CAPACITY), (10 * 3600, load * CAPACITY)])
    run = rng.exponential(MEAN_RUN, len(created))

    def start(created, run):
        if at_random:
            return serve_at_random(np.random.default_rng(seed + 1000), created, run)
        return serve(created, run)

    started = start(created, run)
    at = next(t for t in range(calm, calm + 36_000, 60) if (started[created <= t] > t).mean() >= 0.2)
    known = int((created <= at).sum())
    later = at + arrivals(rng, [(HOURS_AFTER * 3600, CALM * CAPACITY)])
    created = np.concatenate((created[:known], later))
    run = np.concatenate((run[:known], rng.exponential(MEAN_RUN, len(later))))
    started = start(created, run)[:known]
    created = created[:known]
    return snapshot(created, started, started + run[:known], at), np.floor(started) - np.floor(created)


def errors(cases):
    """Relative errors of the headline, the naive number and Kaplan–Meier, one row a run."""
    found = []
    for jobs, waits in cases:
        row, truth = queue_latency(jobs, q=0.95, detail=True).loc["all"], p95(waits)
        assert row["p95_lower_bound"] <= truth
        assert row["growing"]
        naive = p95(jobs["queue_latency_s"].dropna())
        found.append(
            (row["p95"] / truth - 1, naive / truth - 1, row["p95_estimate"] / truth - 1, row["method"])
        )
    headline, naive, estimate, method = zip(*found, strict=True)
    return np.array(headline), np.array(naive), np.array(estimate), set(method)


@pytest.mark.parametrize("load", [1.4, 1.7, 2.0])
def test_growing_in_order(load, record_property):
    headline, naive, estimate, method = errors(surge(seed, load) for seed in range(8))
    record_property("headline, naive, KM", str((headline.mean(), naive.mean(), estimate.mean())))
    assert method == {"projection"}
    assert abs(headline.mean()) < 0.05
    assert abs(headline).max() < 0.12
    assert naive.mean() < -0.25
    assert estimate.mean() < -0.2


def test_growing_in_random_order(record_property):
    headline, naive, _, method = errors(surge(seed, 1.4, at_random=True) for seed in range(8))
    record_property("headline, worst, naive", str((headline.mean(), abs(headline).max(), naive.mean())))
    assert method == {"estimate"}
    assert abs(headline.mean()) < 0.08
    assert naive.mean() < -0.5


def test_a_backlog_that_no_job_has_outlived_is_not_reached():
    jobs, _ = surge(3, 2.0, at_random=True)
    assert queue_latency(jobs, q=0.95).loc["all", "p95"] == np.inf


def test_lower_bound_is_never_above_the_truth():
    rng = np.random.default_rng(5)
    for load in (0.6, 0.9, 1.1, 1.5):
        for _ in range(5):
            created = arrivals(rng, [(4 * 3600, load * CAPACITY)])
            run = rng.exponential(MEAN_RUN, len(created))
            started = serve_at_random(rng, created, run) if rng.random() < 0.5 else serve(created, run)
            jobs = snapshot(created, started, started + run, int(rng.integers(1800, 4 * 3600)))
            waits = (np.floor(started) - np.floor(created))[: len(jobs)]
            row = queue_latency(jobs, q=(0.5, 0.9, 0.95, 0.99), detail=True).loc["all"]
            for q in (0.5, 0.9, 0.95, 0.99):
                bound = row[f"p{100 * q:g}_lower_bound"]
                assert bound <= np.quantile(waits, q, method="inverted_cdf")
                assert bound <= row[f"p{100 * q:g}_estimate"]


def test_stationary_queue_at_95_percent(record_property):
    created, started, ended = stationary_queues(np.random.default_rng(7), 0.95, runs=40, jobs=40_000)
    wrong = []
    for number in range(40):
        at = int(created[number, 30_000])
        jobs = snapshot(created[number], started[number], ended[number], at)
        truth = p95((started[number] - created[number])[: len(jobs)])
        wrong.append(queue_latency(jobs, q=0.95).loc["all", "p95"] / truth - 1)
    record_property("mean, worst", str((np.mean(wrong), np.abs(wrong).max())))
    assert abs(np.mean(wrong)) < 0.005
    assert np.abs(wrong).max() < 0.03


def test_run_time_of_running_jobs_is_not_biased_to_short_ones():
    rng = np.random.default_rng(3)
    created = arrivals(rng, [(3 * 3600, 0.5)])
    run = rng.exponential(3600, len(created))  # most of the jobs still run at the snapshot
    jobs = snapshot(created, created, created + run, 3 * 3600)
    row = run_time(jobs, q=0.5).loc["all"]
    truth, naive = np.log(2) * 3600, jobs["run_time_s"].median()
    assert row["running"] > 0.3 * row["jobs"]
    assert row["p50"] == pytest.approx(truth, rel=0.05)
    assert naive < 0.75 * truth
