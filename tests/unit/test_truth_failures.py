"""Failure rates and load against queues whose truth is known, beside the naive number."""

from __future__ import annotations

import numpy as np
import pytest

from cosai_nb.stats.failures import failure_rates
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.load import queue_load
from tests.simulate import MEAN_RUN, SERVERS, snapshot, stationary_queues

pytestmark = pytest.mark.slow
TRUE_RATE = 0.05


def last_quarter(seed, per_second=20.0):
    """The last 15 minutes of a service whose jobs take a minute if they succeed and time out after ten if they fail."""
    rng = np.random.default_rng(seed)
    created = np.sort(rng.random(rng.poisson(900 * per_second))) * 900
    failed = rng.random(len(created)) < TRUE_RATE
    started = created + rng.exponential(2, len(created))
    run = np.where(failed, rng.normal(590, 10, len(created)), rng.exponential(MEAN_RUN, len(created)))
    return snapshot(created, started, started + run, 900, failed=failed)


def test_slow_failures_of_the_last_15_minutes_are_seen():
    rows = [failure_rates(last_quarter(seed), detail=True).loc["all"] for seed in range(20)]
    rate, naive = (np.array([row[name] for row in rows]) for name in ("rate", "rate_ended"))
    assert abs(rate - TRUE_RATE).max() < 0.01
    assert abs(rate.mean() - TRUE_RATE) < 0.003
    assert naive.mean() == pytest.approx(0.019, abs=0.003)
    covered = [row["low"] <= TRUE_RATE <= row["high"] for row in rows]
    assert np.mean(covered) >= 0.85


def test_failures_slower_than_the_window_are_in_the_bounds():
    """Failures take twenty minutes, so none can have been seen: no rate may claim to know them."""
    rng = np.random.default_rng(1)
    created = np.sort(rng.random(5000)) * 900
    failed = rng.random(5000) < TRUE_RATE
    run = np.where(failed, 1200, rng.exponential(MEAN_RUN, 5000))
    row = failure_rates(snapshot(created, created, created + run, 900, failed=failed), detail=True).loc["all"]
    assert row["failed"] == 0
    assert row["undecided"] == pytest.approx(TRUE_RATE, abs=0.01)
    assert row["low"] <= TRUE_RATE <= row["high"]


def covered(runs, *, bad_hours, hours=168, per_hour=60):
    rng = np.random.default_rng(11)
    hits, wilson = [], []
    for _ in range(runs):
        chance = np.where(rng.random(hours) < 0.05, 0.6, 0.02) if bad_hours else np.full(hours, TRUE_RATE)
        truth = 0.05 * 0.6 + 0.95 * 0.02 if bad_hours else TRUE_RATE
        created = np.sort((np.arange(hours)[:, None] * 3600 + rng.random((hours, per_hour)) * 3600), axis=1)
        failed = rng.random(created.shape) < chance[:, None]
        jobs = snapshot(
            created.ravel(), created.ravel(), created.ravel() + 60, hours * 3600 + 60, failed=failed.ravel()
        )
        row = failure_rates(DurationHistogram.from_jobs(jobs)).loc["all"]
        hits.append(row["low"] <= truth <= row["high"])
        reach = 1.96 * np.sqrt(truth * (1 - truth) / created.size)
        wilson.append(abs(row["rate"] - truth) <= reach)
    return float(np.mean(hits)), float(np.mean(wilson))


def test_the_interval_holds_in_bad_hours_and_where_failures_are_independent():
    alone, binomial_alone = covered(100, bad_hours=False)
    bad, binomial_bad = covered(100, bad_hours=True)
    assert min(alone, binomial_alone) >= 0.88
    assert bad >= 0.85
    assert binomial_bad < 0.4


@pytest.mark.parametrize("load", [0.6, 0.8])
def test_depth_and_utilisation_of_an_m_m_c_queue_are_erlang_s(load):
    created, started, ended = (
        times[0].astype(float)
        for times in stationary_queues(np.random.default_rng(4), load, runs=1, jobs=300_000)
    )
    shift = created[0]
    hours = queue_load(
        snapshot(created - shift, started - shift, ended - shift, ended.max() - shift), "1h", servers=SERVERS
    )
    steady = hours.iloc[1:-2]
    offered = load * SERVERS
    terms = np.cumprod(np.concatenate(([1.0], offered / np.arange(1, SERVERS + 1))))
    delayed = terms[-1] / (1 - load) / (terms[:-1].sum() + terms[-1] / (1 - load))
    assert steady["utilisation"].mean() == pytest.approx(load, abs=0.01)
    assert steady["waiting_mean"].mean() == pytest.approx(delayed * load / (1 - load), rel=0.15)
    assert steady["running_max"].max() == SERVERS
