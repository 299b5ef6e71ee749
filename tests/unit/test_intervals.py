"""The long-run variance: what an independent series has, what a remembering one has, and when too little is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from cosai_nb.stats.intervals import (
    MIN_HOURS,
    Sample,
    errors,
    quantile_errors,
    share_that_ends,
    student,
)

pytestmark = pytest.mark.filterwarnings("error")


def remembering(rng, runs, hours, rho):
    """Series of unit variance, each hour ``rho`` of the one before."""
    series = rng.normal(size=(runs, hours))
    for hour in range(1, hours):
        series[:, hour] = rho * series[:, hour - 1] + np.sqrt(1 - rho**2) * series[:, hour]
    return series


@pytest.mark.parametrize(("rho", "hours"), [(0.0, 168), (0.6, 168), (0.85, 720)])
def test_the_variance_of_the_sum_is_the_long_run_one(rho, hours):
    series = remembering(np.random.default_rng(1), 400, hours, rho)
    found = errors(series.ravel(), np.tile(np.arange(hours), 400), np.full(400, hours))
    assert np.mean(found.error**2) == pytest.approx(series.sum(axis=1).var(), rel=0.2)
    assert np.median(found.memory) == pytest.approx((1 + rho) / (1 - rho), rel=0.4)
    assert np.median(found.freedom) > 0.8 * found.cosines[0]
    held = np.abs(series.sum(axis=1)) < student(found.freedom) * found.error
    assert held.mean() >= 0.92


def test_what_comes_back_every_day_costs_nothing():
    hours = np.arange(168)
    series = 5 * np.sin(hours * np.pi / 12) + np.random.default_rng(2).normal(size=168)
    flat = series - 5 * np.sin(hours * np.pi / 12)
    both = errors(np.append(series, flat), np.append(hours, hours), np.array([168, 168])).error
    assert both[0] == pytest.approx(
        both[1]
    )  # as if the hours were independent it would be three and a half times


def test_one_incident_is_no_many():
    one, many = np.zeros(168), np.zeros(168)
    one[80:90], many[::4] = 1.0, 1.0
    series = np.append(one - one.mean(), np.random.default_rng(3).permutation(many) - many.mean())
    found = errors(series, np.tile(np.arange(168), 2), np.array([168, 168]))
    assert found.freedom[0] < 5
    assert found.freedom[1] > 8


def test_groups_do_not_touch_each_other():
    series, busy = np.random.default_rng(4).normal(size=100), np.array([30, 5, 65])
    hours = np.concatenate([np.arange(number) for number in busy])
    together = errors(series, hours, busy)
    assert np.isnan([together.error[1], together.freedom[1]]).all()  # too few hours
    for group, (begin, end) in ((0, (0, 30)), (2, (35, 100))):
        alone = errors(series[begin:end], hours[begin:end], busy[group : group + 1])
        assert [part[group] for part in together] == pytest.approx([part[0] for part in alone])
    assert len(errors(np.empty(0), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)).error) == 0


@pytest.mark.parametrize("freedom", [2, 3, 6, 12, 48])
def test_students_t(freedom):
    assert student(np.array([float(freedom)]))[0] == pytest.approx(t.ppf(0.975, freedom), rel=0.015)


def ask(waits, hours, shares=(0.95,)):
    """The interval of jobs that waited so long, created in these hours."""
    number = len(waits)
    one, yes = np.ones(number, dtype=np.int64), np.ones(number, dtype=bool)
    sample = Sample.of(1, 0 * one, np.asarray(hours), np.asarray(waits), yes, one)
    found = quantile_errors(sample, shares)
    low, high = found.ends(sample, np.array(shares))
    return low[0], high[0], found.reasons(sample, [f"p{100 * share:g}" for share in shares], low)[0]


def test_there_is_a_reason_where_there_is_no_interval():
    rng = np.random.default_rng(5)
    low, high, reason = ask(rng.integers(0, 99, 130), np.arange(130) // 10)
    assert np.isnan([low[0], high[0]]).all()
    assert reason == f"no interval: 13 blocks of 1 h, {MIN_HOURS} are needed"
    # one long jam in 40 hours: how often such a one comes cannot be known
    waits, hours = np.zeros(400, dtype=np.int64), np.arange(400) // 10
    waits[200:280] = 900
    low, high, reason = ask(waits, hours, (0.5, 0.9))
    assert np.isnan(low).tolist() == [False, True]
    assert reason.startswith("no interval of p90: the 40 hours hang together for ")


def test_the_longest_wait_of_few_jobs_is_no_upper_end():
    rng = np.random.default_rng(6)
    low, high, reason = ask(rng.integers(0, 999, 200), np.arange(200), (0.5, 0.99))
    assert high[0] < np.inf == high[1]
    assert (low > 0).all()
    assert reason == ""


def test_what_was_seen_to_happen_has_no_share_of_0():
    hours = np.repeat(np.arange(168), 25)
    failed = np.isin(hours, [40, 120])  # two incidents of an hour in a week: the plain end is below 0
    one = np.ones(len(hours), dtype=np.int64)
    sample = Sample.of(1, 0 * one, hours, one, one > 0, one)
    found = share_that_ends(sample, failed)
    assert found.rate[0] == pytest.approx(2 / 168)
    assert 0 < found.low[0] < found.rate[0] / 2
    assert found.high[0] > 2 * found.rate[0]
