"""Curves against scipy and lifelines, to 1e-9, and by hand where these do not go."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cosai_nb.stats.coding import tally
from cosai_nb.stats.curves import Curve, aalen_johansen, first_reaching, kaplan_meier, pool

lifelines = pytest.importorskip("lifelines")
stats = pytest.importorskip("scipy.stats")
pytestmark = pytest.mark.filterwarnings("ignore:Approximating using")


def sample(seed, size=400, causes=1):
    rng = np.random.default_rng(seed)
    seconds = rng.integers(0, 60, size)
    return seconds, np.where(rng.random(size) < 0.6, rng.integers(1, causes + 1, size), 0)


def counted(seconds, cause):
    return pool(tally(np.zeros_like(seconds), np.where(cause > 0, 0, 1), seconds))


@pytest.mark.parametrize("seed", range(5))
def test_kaplan_meier_is_that_of_scipy_and_lifelines(seed):
    seconds, cause = sample(seed)
    curve = counted(seconds, cause)
    survival = kaplan_meier(curve.ended, curve.unfinished)
    data = stats.CensoredData.right_censored(seconds, cause == 0)
    assert np.allclose(survival, stats.ecdf(data).sf.evaluate(curve.seconds), atol=1e-9, rtol=0)
    fitter = lifelines.KaplanMeierFitter().fit(seconds, cause > 0)
    theirs = fitter.survival_function_at_times(curve.seconds).to_numpy()
    assert np.allclose(survival, theirs, atol=1e-9, rtol=0)
    for q in (0.1, 0.5, 0.9, 0.95, 0.99):
        assert first_reaching(curve.seconds, survival, q) == fitter.percentile(1 - q)


def test_counts_are_lifelines_weights():
    curve = Curve(np.array([3, 8, 20]), np.array([100, 7, 50]), np.array([4, 0, 30]))
    fitter = lifelines.KaplanMeierFitter().fit(
        np.repeat(curve.seconds, 2), np.tile([1, 0], 3), weights=np.column_stack(curve[1:]).ravel()
    )
    ours = kaplan_meier(curve.ended, curve.unfinished)
    assert np.allclose(ours, fitter.survival_function_at_times(curve.seconds), atol=1e-9, rtol=0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.filterwarnings("ignore")  # lifelines warns of ties, of which there are none
def test_aalen_johansen_is_that_of_lifelines(seed):
    rng = np.random.default_rng(seed)
    seconds = rng.permutation(np.arange(1, 301))
    cause = rng.integers(0, 3, 300)
    order = np.argsort(seconds)
    ends = [(cause[order] == number).astype(int) for number in range(3)]
    ours = aalen_johansen(ends[1], ends[1] + ends[2], ends[0])
    fitter = lifelines.AalenJohansenFitter(calculate_variance=False).fit(seconds, cause, event_of_interest=1)
    theirs = fitter.cumulative_density_.iloc[:, 0].reindex(seconds[order].astype(float)).to_numpy()
    assert np.allclose(ours, theirs, atol=1e-9, rtol=0)


def test_the_causes_and_survival_share_out_every_job():
    seconds, cause = sample(9, causes=2)
    table = pd.crosstab(seconds, cause).to_numpy()
    either = table[:, 1] + table[:, 2]
    parts = aalen_johansen(table[:, 1], either, table[:, 0]) + aalen_johansen(
        table[:, 2], either, table[:, 0]
    )
    assert np.allclose(parts + kaplan_meier(either, table[:, 0]), 1, atol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 19, 20, 21, 100, 999])
def test_without_unfinished_jobs_the_quantile_is_an_order_statistic(size):
    seconds = np.random.default_rng(size).integers(0, 500, size)
    curve = counted(seconds, np.ones(size, dtype=int))
    survival = kaplan_meier(curve.ended, curve.unfinished)
    for q in (0.05, 0.5, 0.9, 0.95, 0.99):
        theirs = np.quantile(seconds, q, method="inverted_cdf")
        assert first_reaching(curve.seconds, survival, q) == theirs


def test_a_quantile_that_is_not_reached_is_infinite_and_nothing_gives_nothing():
    nobody_ended = kaplan_meier([0, 0], [3, 4])
    assert nobody_ended.tolist() == [1, 1]
    assert first_reaching(np.array([5, 9]), nobody_ended, 0.5) == np.inf
    assert first_reaching(np.empty(0, dtype=np.int64), kaplan_meier([], []), 0.5) == np.inf
    empty = tally(*(np.empty(0, dtype=np.int64) for _ in range(3)))
    assert [len(column) for column in pool(empty)] == [0, 0, 0]


def test_draws_and_groups_are_carried_along():
    ended, unfinished = np.array([[1, 0, 1], [0, 2, 0]]), np.array([[0, 1, 0], [1, 0, 1]])
    both = kaplan_meier(ended, unfinished)
    for row in range(2):
        assert (both[row] == kaplan_meier(ended[row], unfinished[row])).all()
    incidence = aalen_johansen(ended, ended, unfinished)
    assert np.allclose(incidence, 1 - both)


def test_jobs_without_a_time_are_in_no_curve():
    counts = tally(np.array([0, 0, 0]), np.array([0, 1, 2]), np.array([4, 9, 0]))
    curve = pool(counts)
    assert [column.tolist() for column in curve] == [[4, 9], [1, 0], [0, 1]]
