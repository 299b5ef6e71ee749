"""Curves against scipy and lifelines, to 1e-9, many groups at once, and by hand where these do not go."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pandas as pd
import pytest

from cosai_nb.stats.survival import Curves, incidence, influence, kaplan_meier, quantiles

lifelines = pytest.importorskip("lifelines")
stats = pytest.importorskip("scipy.stats")
pytestmark = pytest.mark.filterwarnings("ignore:Approximating using")
QS = (0.05, 0.1, 0.5, 0.9, 0.95, 0.99)


def sample(seed, size=400, causes=1):
    rng = np.random.default_rng(seed)
    seconds = rng.integers(0, 60, size)
    return seconds, np.where(rng.random(size) < 0.6, rng.integers(1, causes + 1, size), 0)


def curve_of(seconds, ended, jobs=None, group=None, groups=1):
    seconds = np.asarray(seconds, dtype=np.int64)
    group = np.zeros(len(seconds), dtype=np.int64) if group is None else group
    jobs = np.ones(len(seconds), dtype=np.int64) if jobs is None else np.asarray(jobs)
    return Curves.of(groups, group, seconds, np.asarray(ended, dtype=bool), jobs)


@pytest.mark.parametrize("seed", range(5))
def test_kaplan_meier_is_that_of_scipy_and_lifelines(seed):
    seconds, cause = sample(seed)
    curve, _ = curve_of(seconds, cause > 0)
    survival = kaplan_meier(curve)
    data = stats.CensoredData.right_censored(seconds, cause == 0)
    assert np.allclose(survival, stats.ecdf(data).sf.evaluate(curve.seconds), atol=1e-9, rtol=0)
    fitter = lifelines.KaplanMeierFitter().fit(seconds, cause > 0)
    theirs = fitter.survival_function_at_times(curve.seconds).to_numpy()
    assert np.allclose(survival, theirs, atol=1e-9, rtol=0)
    assert quantiles(curve, QS)[0].tolist() == [fitter.percentile(1 - q) for q in QS]


def test_counts_are_lifelines_weights():
    seconds, ended, jobs = np.repeat([3, 8, 20], 2), np.tile([1, 0], 3), np.array([100, 4, 7, 0, 50, 30])
    fitter = lifelines.KaplanMeierFitter().fit(seconds, ended, weights=jobs)
    curve, _ = curve_of(seconds, ended, jobs)
    theirs = fitter.survival_function_at_times(curve.seconds)
    assert np.allclose(kaplan_meier(curve), theirs, atol=1e-9, rtol=0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.filterwarnings("ignore")  # lifelines warns of ties, of which there are none
def test_aalen_johansen_is_that_of_lifelines(seed):
    rng = np.random.default_rng(seed)
    seconds, cause = rng.permutation(np.arange(1, 301)), rng.integers(0, 3, 300)
    curve, point = curve_of(seconds, cause > 0)
    ours = incidence(curve, np.bincount(point, cause == 1, len(curve.seconds)))
    fitter = lifelines.AalenJohansenFitter(calculate_variance=False).fit(seconds, cause, event_of_interest=1)
    theirs = fitter.cumulative_density_.iloc[:, 0].reindex(curve.seconds.astype(float)).to_numpy()
    assert np.allclose(ours, theirs, atol=1e-9, rtol=0)


def test_the_causes_and_survival_share_out_every_job():
    seconds, cause = sample(9, causes=2)
    curve, point = curve_of(seconds, cause > 0)
    parts = [incidence(curve, np.bincount(point, cause == one, len(curve.seconds))) for one in (1, 2)]
    assert np.allclose(parts[0] + parts[1] + kaplan_meier(curve), 1, atol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 19, 20, 21, 100, 999])
def test_without_unfinished_jobs_the_quantile_is_an_order_statistic(size):
    seconds = np.random.default_rng(size).integers(0, 500, size)
    curve, _ = curve_of(seconds, np.ones(size))
    assert quantiles(curve, QS)[0].tolist() == np.quantile(seconds, QS, method="inverted_cdf").tolist()


def test_a_quantile_that_is_not_reached_is_infinite_and_nothing_gives_nothing():
    curve, _ = curve_of([5, 9], [False, False], [3, 4])
    assert kaplan_meier(curve).tolist() == [1, 1]
    assert quantiles(curve, (0.5,)).tolist() == [[np.inf]]
    assert np.isnan(quantiles(curve_of([], [])[0], (0.5,))).all()


def test_each_of_many_groups_is_what_it_is_alone():
    seconds, cause = sample(3, size=3000, causes=2)
    group = np.random.default_rng(3).integers(0, 40, 3000)
    group[group == 7] = 8  # a group without jobs
    both, point = curve_of(seconds, cause > 0, group=group, groups=40)
    of_cause = np.bincount(point, cause == 1, len(both.seconds))
    for number in range(40):
        mine = group == number
        alone, place = curve_of(seconds[mine], cause[mine] > 0)
        part = slice(both.start[number], both.start[number + 1])
        assert both.seconds[part].tolist() == alone.seconds.tolist()
        assert np.allclose(kaplan_meier(both)[part], kaplan_meier(alone), atol=1e-12)
        assert np.array_equal(quantiles(both, QS)[number], quantiles(alone, QS)[0], equal_nan=True)
        one = np.bincount(place, cause[mine] == 1, len(alone.seconds))
        assert np.allclose(influence(both, of_cause)[:, part], influence(alone, one), atol=1e-12)


def test_influence_is_the_derivative_of_the_share():
    """One job more, of any kind at any second, moves the share by its influence: checked with a thousandth of a job."""
    seconds, cause = sample(5, size=80, causes=2)
    curve, point = curve_of(seconds, cause > 0)
    weights = np.ones(80)

    def share(weights):
        ended, unfinished = (
            np.bincount(point, weights * chosen, len(curve.seconds)) for chosen in (cause > 0, cause == 0)
        )
        ours = replace(curve, ended=ended, unfinished=unfinished)
        return incidence(ours, np.bincount(point, weights * (cause == 1), len(curve.seconds)))[-1]

    moved = influence(curve, np.bincount(point, cause == 1, len(curve.seconds)))
    role = np.select([cause == 1, cause == 2], [0, 1], 2)
    # the last second is left out: what ends there decides whether the curve ends at all
    for job in np.flatnonzero(seconds < seconds.max())[:40]:
        more = weights.copy()
        more[job] += 1e-3
        slope = (share(more) - share(weights)) / 1e-3
        assert moved[role[job], point[job]] == pytest.approx(slope, abs=2e-5)
    assert moved[role, point].sum() == pytest.approx(0, abs=1e-12)


def test_without_unfinished_jobs_a_job_moves_the_share_by_its_part():
    cause = np.array([1, 1, 2, 2, 2])
    curve, point = curve_of([1, 4, 4, 6, 9], cause > 0)
    moved = influence(curve, np.bincount(point, cause == 1, len(curve.seconds)))
    assert moved[np.where(cause == 1, 0, 1), point] == pytest.approx(np.where(cause == 1, 0.6, -0.4) / 5)


def test_a_table_of_counts_is_the_same_as_its_jobs():
    seconds, cause = sample(11)
    rows = pd.DataFrame({"seconds": seconds, "ended": cause > 0}).value_counts().reset_index(name="jobs")
    counted, _ = curve_of(rows["seconds"].to_numpy(), rows["ended"].to_numpy(), rows["jobs"].to_numpy())
    whole, _ = curve_of(seconds, cause > 0)
    assert all(map(np.array_equal, astuple(counted), astuple(whole)))
