"""Against whole weeks of queues in their steady state, each simulated and counted once: false alarms, misses and intervals."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from cosai_nb.stats.change_points import change_points
from cosai_nb.stats.compare import FASTER, SAME, SLOWER, compare
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.latency import queue_latency
from cosai_nb.stats.slo import check_slo
from tests.simulate import MEAN_RUN, SERVERS, erlang_quantile, snapshot, stationary_queues

pytestmark = pytest.mark.slow
DAY = 86_400
RUNS = 200


def weeks(seed, load, *, runs, days=7, mean_run=MEAN_RUN):
    """Histograms of independent M/M/20 queues, read at the creation of their last job, and the p95 of all waits."""
    jobs = int(days * DAY * load * SERVERS / mean_run)
    times = stationary_queues(np.random.default_rng(seed), load, runs=runs, jobs=jobs, mean_run=mean_run)
    histograms = [
        DurationHistogram.from_jobs(snapshot(created, started, ended, int(created[-1])))
        for created, started, ended in zip(*times, strict=True)
    ]
    return histograms, np.quantile(times[1] - times[0], 0.95, method="inverted_cdf")


@pytest.fixture(scope="module")
def steady(request):
    """The weeks of one load and length, kept while a test asks for them."""
    load, days = request.param
    return load, *weeks(int(load * 1000), load, runs=RUNS, days=days)


def at(*cases):
    """Run a test on the steady weeks of each (load, days)."""
    return pytest.mark.parametrize(
        "steady", cases, indirect=True, ids=lambda case: f"{case[0]} {case[1]} days"
    )


def verdicts(before, after):
    return Counter(compare(one, two).loc["all", "verdict"] for one, two in zip(before, after, strict=True))


@at((0.8, 7), (0.9, 7))
def test_false_alarms_on_an_unchanged_queue(steady, record_property):
    _, found, _ = steady
    runs = RUNS // 2
    told = verdicts(found[:runs], found[runs:])
    record_property("verdicts", str(dict(told)))
    assert told[SLOWER] + told[FASTER] <= 0.10 * runs
    assert told[SAME] >= 0.90 * runs
    assert (
        np.mean([len(change_points(one)) > 0 for one in found[:runs]]) <= 0.05
    )  # 200 unchanged weeks with both loads


@at((0.8, 7))
def test_everything_half_as_slow_again_is_found(steady, record_property):
    """Load 0.8, arrivals and service both × 1.5 slower, so that p95 rises by × 1.5 and by nothing else; 7 days a side."""
    runs = RUNS // 2
    slow = 1.5 * MEAN_RUN
    assert erlang_quantile(0.8, 0.95, mean_run=slow) == pytest.approx(1.5 * erlang_quantile(0.8, 0.95))
    before, (after, _) = steady[1][:runs], weeks(2, 0.8, runs=runs, mean_run=slow)
    told = verdicts(before, after)
    record_property("verdicts", str(dict(told)))
    assert told[SLOWER] >= 0.90 * runs
    back = verdicts(after, before)
    assert back[FASTER] >= 0.90 * runs


def test_service_half_as_slow_again_with_the_same_arrivals_is_found(record_property):
    """The same jobs arrive, each takes × 1.5 as long: load 0.6 becomes 0.9; 5 days a side."""
    runs = 40
    before, _ = weeks(3, 0.6, runs=runs, days=5)
    after, _ = weeks(4, 0.9, runs=runs, days=5, mean_run=1.5 * MEAN_RUN)
    told = verdicts(before, after)
    record_property("verdicts", str(dict(told)))
    assert told[SLOWER] >= 0.90 * runs


@at((0.8, 2), (0.9, 7))
def test_coverage_of_the_interval(steady, record_property):
    load, found, truth = steady
    assert truth == pytest.approx(erlang_quantile(load, 0.95), rel=0.05)  # the simulator itself
    rows = [queue_latency(one, q=0.95, detail=True).loc["all"] for one in found]
    inside = np.mean([row["p95_low"] <= truth <= row["p95_high"] for row in rows])
    record_property("coverage", str(inside))
    assert inside >= {0.8: 0.90, 0.9: 0.85}[load]
    assert min(row["blocks"] for row in rows) >= 14


@at((0.8, 2))
def test_coverage_of_the_interval_of_a_share(steady, record_property):
    load, found, _ = steady
    threshold = int(erlang_quantile(load, 0.95))
    rows = [check_slo(one, threshold_s=threshold, target=0.9).loc["all"] for one in found]
    truth = np.mean([row["share"] for row in rows])
    inside = np.mean([row["low"] <= truth <= row["high"] for row in rows])
    record_property("coverage", str(inside))
    assert inside >= 0.88
