"""What must hold of every comparison and every series: the verdict says what the interval says, whatever the jobs are."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from cosai_nb.stats.change_points import change_points
from cosai_nb.stats.compare import FASTER, SAME, SLOWER, TOO_LITTLE, compare
from cosai_nb.stats.histogram import DurationHistogram
from tests.simulate import hand_made

HOUR = 3600
KIND = st.sampled_from(
    ("success", "success", "success", "cancelled", "waiting", "running", "unread", "reversed")
)
JOB = st.tuples(KIND, st.integers(0, 400), st.integers(0, 60))


def frame(jobs):
    """One job after the other, an hour and some apart."""
    rows = []
    for number, (kind, wait, run) in enumerate(jobs):
        created = number * (HOUR + 7)
        begun, over = created + wait, created + wait + run
        rows.append(
            {
                "success": ("success", created, begun, over),
                "cancelled": ("cancelled", created, None, over),
                "waiting": ("waiting", created, None, None),
                "running": ("running", created, begun, None),
                "unread": ("unread", None, None, None),
                "reversed": ("success", begun + 1, created, created),
            }[kind]
        )
    return hand_made(*rows, at=len(jobs) * (HOUR + 7) + 500)


@settings(max_examples=30, deadline=None)
@given(st.lists(JOB, max_size=45), st.lists(JOB, max_size=45), st.sampled_from((0.5, 0.95)))
def test_the_verdict_is_what_interval_and_p_value_say(first, second, q):
    before, after = frame(first), frame(second)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        row = compare(before, after, q, detail=True).loc["all"]
        counted = compare(DurationHistogram.from_jobs(before), after, q, detail=True).loc["all"]
    pd.testing.assert_series_equal(row, counted)
    assert row["jobs_before"] == sum(job[0] != "unread" for job in first)
    if row["verdict"] == TOO_LITTLE:
        assert min(row["blocks_before"], row["blocks_after"]) < 14
        assert row[["low", "high", "p_value"]].isna().all()
        return
    assert row["low"] <= row["high"]
    assert (row["p_value"] <= 0.05) == (row["low"] > 0 or row["high"] < 0)
    if row["verdict"] == SLOWER:
        assert row["low"] > 0
        assert row["difference"] > 0
    elif row["verdict"] == FASTER:
        assert row["high"] < 0
        assert row["difference"] < 0
    else:
        assert row["verdict"] == SAME
        assert row["low"] <= 0 <= row["high"] or "a line grows" in row["note"]


@settings(max_examples=30, deadline=None)
@given(st.lists(JOB, min_size=20, max_size=60), st.sampled_from((0.5, 0.95)))
def test_nothing_differs_from_itself(made, q):
    jobs = frame(made)
    assert compare(jobs, jobs, q).loc["all", "verdict"] in {SAME, TOO_LITTLE}


@settings(max_examples=25, deadline=None)
@given(st.lists(JOB, max_size=90), st.sampled_from((None, "tag", "outcome")))
def test_changes_come_in_order_and_levels_hang_together(made, by):
    jobs = frame(made)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = change_points(jobs, q=0.5, by=by)
    pd.testing.assert_frame_equal(table, change_points(DurationHistogram.from_jobs(jobs), q=0.5, by=by))
    for _, rows in table.groupby(level=0):
        assert rows["time"].is_monotonic_increasing
        assert rows["time"].is_unique
        assert (rows["jobs_before"] >= 12).all()
        assert np.array_equal(
            rows["p50_after"].to_numpy()[:-1], rows["p50_before"].to_numpy()[1:], equal_nan=True
        )
        assert np.array_equal(rows["jobs_after"].to_numpy()[:-1], rows["jobs_before"].to_numpy()[1:])
