"""What must hold of every summary: bounds in their order, the truth never below the lower bound, no warning."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cosai_nb as cn
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.latency import queue_latency, run_time
from tests.simulate import hand_made, serve, snapshot, with_ids

SECONDS = st.one_of(st.none(), st.integers(-100, 5000))
OUTCOMES = ["success", "failed", "cancelled", "running", "waiting", "unknown", "unread"]
ROWS = st.lists(st.tuples(st.sampled_from(OUTCOMES), SECONDS, SECONDS, SECONDS), max_size=30)
Q = (0.1, 0.5, 0.95)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS, st.sampled_from([None, "tag", "hour", ["outcome", "code"]]))
def test_any_jobs_give_ordered_bounds_and_no_warning(rows, by):
    jobs = hand_made(*rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for summary in (queue_latency(jobs, by, Q, detail=True), run_time(jobs, by, Q, detail=True)):
            for q in ("p10", "p50", "p95"):
                lower, estimate = summary[f"{q}_lower_bound"], summary[f"{q}_estimate"]
                assert (lower.isna() == estimate.isna()).all()
                assert not (lower > estimate).any()
            assert not (summary["p10"] > summary["p50"]).any()
            assert not (summary["p50"] > summary["p95"]).any()
        counted = queue_latency(jobs, by, Q, detail=True)["jobs"].sum()
    assert counted == sum(row[0] != "unread" for row in rows)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.3, 3), st.floats(0.1, 1))
def test_the_lower_bound_is_never_above_the_truth(seed, load, moment):
    rng = np.random.default_rng(seed)
    created = np.sort(rng.random(rng.integers(1, 400))) * 3600
    run = rng.exponential(3600 * load / max(len(created), 1) * 3, len(created))
    started = serve(created, run, servers=3)
    at = int(3600 * moment)
    jobs = snapshot(created, started, started + run, at)
    if jobs.empty:
        return
    there = np.floor(created) <= at
    truth = {
        "queue_latency": np.floor(started) - np.floor(created),
        "run_time": np.floor(started + run) - np.floor(started),
    }
    begun = there & (np.floor(started) <= at)
    for summary, waits in (
        (queue_latency(DurationHistogram.from_jobs(jobs), q=Q, detail=True), truth["queue_latency"][there]),
        (run_time(jobs, q=Q, detail=True), truth["run_time"][begun]),
    ):
        for name, q in zip(("p10", "p50", "p95"), Q, strict=True):
            if len(waits):
                bound = summary.loc["all", f"{name}_lower_bound"]
                assert bound <= np.quantile(waits, q, method="inverted_cdf")


BATCHES = st.lists(
    st.tuples(
        st.sampled_from(["success", "running", "waiting", "cancelled"]),
        st.integers(0, 60),
        st.integers(0, 30),
        st.integers(0, 10),
        st.sampled_from([1, 3, 12, 40]),
        st.sampled_from(["q1", "q2"]),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(BATCHES)
def test_batches_of_one_second_break_no_judgement_of_a_queue(batches):
    """Jobs that are submitted, started and ended together, by the minute: every table has its rows, and no warning."""
    rows, queues = [], []
    for outcome, created, waited, ran, jobs, queue in batches:
        start, end = 60 * (created + waited), 60 * (created + waited + ran)
        times = {"running": (start, None), "waiting": (None, None), "cancelled": (None, end)}
        rows += [(outcome, 60 * created, *times.get(outcome, (start, end)))] * jobs
        queues += [queue] * jobs
    jobs = with_ids(hand_made(*rows, at=3600)).assign(queue_id=pd.Categorical(queues))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alarms, waits, whole = cn.queue_alarms(jobs), cn.eta(jobs), queue_latency(jobs, q=Q, detail=True)
        drained = cn.backlog(jobs, by="queue_id")
    assert len(alarms) == len(drained) == len(set(queues))
    assert len(waits) == whole["waiting"].sum() == sum(row[0] == "waiting" for row in rows)
    assert not (waits["start_low"] > waits["start_high"]).any()
