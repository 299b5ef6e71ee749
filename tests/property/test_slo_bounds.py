"""What must hold of every SLO: its bounds hold whatever becomes of the open jobs, and it only decides what they decide."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.slo import check_slo
from tests.simulate import hand_made, serve, snapshot

TIME = st.none() | st.integers(0, 4000)
OUTCOMES = ("success", "failed", "cancelled", "running", "waiting", "unknown", "not_found", "unread")
ROWS = st.lists(st.tuples(st.sampled_from(OUTCOMES), TIME, TIME, TIME), max_size=30)
TARGET = st.floats(0.01, 1)


@settings(max_examples=40, deadline=None)
@given(ROWS, st.integers(0, 4000), TARGET, st.sampled_from([None, "tag", ["hour", "outcome"]]))
def test_every_job_is_counted_once_and_shares_are_in_order(rows, threshold_s, target, by):
    jobs = hand_made(*rows)
    table = check_slo(jobs, threshold_s=threshold_s, target=target, by=by, detail=True)
    counted = check_slo(
        DurationHistogram.from_jobs(jobs), threshold_s=threshold_s, target=target, by=by, detail=True
    )
    same = [
        *table.columns[:6],
        "share_lower_bound",
        "share_upper_bound",
        "met",
        "verdict",
        "not_read",
        "burn_3d",
    ]
    pd.testing.assert_frame_equal(table[same], counted[same])
    counted = table[["on_time", "late", "open", "gave_up", "unusable"]].sum(axis=1)
    assert (counted == table["jobs"]).all()
    assert table["jobs"].sum() == sum(row[0] not in {"not_found", "unread"} for row in rows)
    for row in table.itertuples():
        assert 0 <= row.low <= row.high <= 1
        assert (row.verdict == "no data") == np.isnan(row.share_lower_bound)
        if not np.isnan(row.share):
            assert row.low - 1e-9 <= row.share <= row.high + 1e-9
            assert row.share_lower_bound - 1e-9 <= row.share <= row.share_upper_bound + 1e-9
            assert not np.isnan(row.burn_rate)
            assert (row.burn_rate <= 1) == (1 - row.share <= 1 - target)
        assert (row.met != "undecided") == (row.verdict in {"met", "missed"})


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.3, 3), st.floats(0.05, 1), st.integers(0, 600), TARGET)
def test_the_bounds_hold_and_met_is_never_taken_back(seed, load, moment, threshold_s, target):
    rng = np.random.default_rng(seed)
    created = np.sort(rng.random(rng.integers(1, 300))) * 3600
    run = rng.exponential(3600 * load / len(created) * 3, len(created))
    started = serve(created, run, servers=3)
    at = int(3600 * moment)
    jobs = snapshot(created, started, started + run, at)
    if jobs.empty:
        return
    waits = (np.floor(started) - np.floor(created))[: len(jobs)]
    truth = (waits <= threshold_s).mean()
    row = check_slo(jobs, threshold_s=threshold_s, target=target, detail=True).loc["all"]
    assert row["share_lower_bound"] <= truth <= row["share_upper_bound"]
    if row["verdict"] != "undecided":
        assert row["met"] == (truth >= target)


@settings(max_examples=40, deadline=None)
@given(ROWS, st.integers(0, 3000), st.integers(0, 1000))
def test_a_longer_threshold_never_finds_fewer_on_time(rows, threshold_s, more):
    jobs = hand_made(*rows)
    short, long = (
        check_slo(jobs, threshold_s=seconds, target=0.9).loc["all"]
        for seconds in (threshold_s, threshold_s + more)
    )
    assert short["on_time"] <= long["on_time"]
    assert short["late"] >= long["late"]
