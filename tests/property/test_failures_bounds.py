"""What must hold of every failure rate: it lies in its bounds, the rows add up, order is nothing, no fault is lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosai_nb.stats.failures import error_pareto, failure_rates, normalise
from cosai_nb.stats.histogram import DurationHistogram
from tests.simulate import hand_made

SECONDS = st.one_of(st.none(), st.integers(-4000, 90_000))
OUTCOMES = ["success", "failed", "cancelled", "running", "waiting", "unknown", "not_found", "unread"]
LABELS = st.sampled_from([None, "a", "b", "ü", ""])
ROWS = st.lists(st.tuples(st.sampled_from(OUTCOMES), SECONDS, SECONDS, SECONDS, LABELS, LABELS), max_size=60)
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def frame(rows, at=70_000):
    jobs = hand_made(*(row[:4] for row in rows), at=at)
    failed = (jobs["outcome"] == "failed").to_numpy()
    code = np.where(failed, np.array([row[4] for row in rows], dtype=object), None)
    return jobs.assign(
        code=pd.Categorical(code),
        tag=pd.Categorical(np.array([row[5] for row in rows], dtype=object)),
        job_id=[f"j{number}" for number in range(len(rows))],
        message=pd.Series(
            np.where(failed, np.array([row[5] for row in rows], dtype=object), None), dtype=object
        ),
    )


@quick
@given(ROWS, st.sampled_from([None, "tag", ["tag", "code"], "hour"]))
def test_a_rate_lies_in_its_bounds_and_these_in_0_to_1(rows, by):
    rates = failure_rates(frame(rows), by, detail=True)
    assert (rates["low"] >= 0).all()
    assert (rates["high"] <= 1).all()
    assert (rates["low"] <= rates["high"]).all()
    known = rates.dropna(subset="rate")
    assert (known["rate"] >= known["low"] - 1e-12).all()
    assert (known["rate"] + known["undecided"] <= known["high"] + 1e-12).all()
    finished = rates[(rates["unfinished"] == 0) & (rates["ended"] > 0)]
    assert np.allclose(finished["rate"], finished["rate_ended"], atol=1e-12)
    assert rates[rates["ended"] == 0]["rate"].isna().all()


@quick
@given(ROWS)
def test_every_job_is_counted_once(rows):
    jobs = frame(rows)
    for rates in (
        failure_rates(jobs, detail=True),
        failure_rates(jobs, "tag", detail=True),
        failure_rates(jobs, freq="1h", detail=True),
    ):
        assert (rates["ended"] + rates["cancelled"] + rates["unfinished"] == rates["jobs"]).all()
        assert rates["jobs"].sum() + sum(rates.attrs["left_out"].values()) == len(jobs)
    by_code, all_codes = (
        failure_rates(jobs, ["tag", "code"], detail=True),
        failure_rates(jobs, "tag", detail=True),
    )
    assert by_code["failed"].sum() == all_codes["failed"].sum()


@quick
@given(ROWS, st.randoms(use_true_random=False), st.sampled_from([None, "tag", "code"]))
def test_the_order_of_the_rows_is_nothing(rows, random, by):
    jobs = frame(rows)
    order = list(range(len(jobs)))
    random.shuffle(order)
    shuffled = jobs.iloc[order]
    pd.testing.assert_frame_equal(failure_rates(shuffled, by), failure_rates(jobs, by))
    pd.testing.assert_frame_equal(error_pareto(shuffled), error_pareto(jobs))


@quick
@given(ROWS, st.sampled_from([None, "tag", "code", ["tag", "code"]]), st.sampled_from([None, "1h", "1D"]))
def test_a_histogram_gives_the_same(rows, by, freq):
    jobs = frame(rows)
    histogram = DurationHistogram.from_jobs(jobs)
    pd.testing.assert_frame_equal(failure_rates(histogram, by, freq=freq), failure_rates(jobs, by, freq=freq))


@quick
@given(ROWS)
def test_a_pareto_holds_every_failure_once_in_falling_order(rows):
    jobs = frame(rows)
    pareto = error_pareto(jobs)
    assert pareto["jobs"].sum() == (jobs["outcome"] == "failed").sum()
    assert pareto["jobs"].is_monotonic_decreasing
    if len(pareto):
        assert abs(pareto["cumulated_share"].iloc[-1] - 1) < 1e-12
    assert (pareto["example_ids"].map(len) == pareto["jobs"].clip(upper=3)).all()
    codes = error_pareto(DurationHistogram.from_jobs(jobs))
    assert codes["jobs"].sum() == pareto["jobs"].sum()


@quick
@given(st.text(max_size=400))
def test_a_message_comes_out_short_and_without_digits_of_its_own(message):
    cleaned = normalise(message)
    assert len(cleaned) <= 300
    assert not any(character in "0123456789" for character in cleaned)
