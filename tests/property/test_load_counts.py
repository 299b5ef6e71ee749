"""What must hold of every line of jobs: the steps add up, order is nothing, frame and histogram agree."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.load import queue_load
from cosai_nb.stats.queues import backlog
from tests.simulate import hand_made

SECONDS = st.one_of(st.none(), st.integers(-4000, 30_000))
OUTCOMES = ["success", "failed", "cancelled", "running", "waiting", "unknown", "not_found", "unread"]
ROWS = st.lists(
    st.tuples(
        st.sampled_from(OUTCOMES), SECONDS, SECONDS, SECONDS, st.sampled_from([None, "a", "b", "ü", ""])
    ),
    max_size=40,
)
EXACT = ["arrivals", "starts", "ends", "left", "waiting", "running"]
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def frame(rows, at=20_000):
    jobs = hand_made(*(row[:4] for row in rows), at=at)
    return jobs.assign(queue_id=pd.Categorical(np.array([row[4] for row in rows], dtype=object)))


AFTER_THE_AS_OF_TIME = [("success", None, None, None, None), ("failed", 0, None, 20_001, None)]


@quick
@given(ROWS, st.sampled_from(["1min", "7min", "1h"]))
@example(AFTER_THE_AS_OF_TIME, "1min")
def test_steps_add_up_to_the_state_and_no_state_is_negative(rows, freq):
    load = queue_load(frame(rows), freq, by="queue_id")
    for _, group in load.groupby(level="queue_id", dropna=False):
        steps = group[EXACT].cumsum()
        assert (group["waiting"] == steps["arrivals"] - steps["starts"] - steps["left"]).all()
        assert (group["running"] == steps["starts"] - steps["ends"]).all()
    assert (load[EXACT] >= 0).all(axis=None)
    for state in ("waiting", "running"):
        assert (load[f"{state}_max"] >= load[state]).all()
        assert (load[f"{state}_mean"] >= -1e-9).all()
        assert (load[f"{state}_mean"] <= load[f"{state}_max"] + 1e-9).all()
    assert (load["utilisation"].dropna() <= 1).all()
    assert (load["slowdown"].dropna() >= 1).all()


@quick
@given(ROWS)
def test_groups_add_up_to_the_whole(rows):
    jobs = frame(rows)
    whole, parts = queue_load(jobs), queue_load(jobs, by="queue_id")
    if len(whole):
        pd.testing.assert_frame_equal(
            parts[EXACT].groupby(level="time").sum(), whole[EXACT], check_freq=False
        )
    assert (
        backlog(jobs, by="queue_id")[["waiting", "running"]].sum().tolist()
        == backlog(jobs).iloc[0, :2].tolist()
    )


@quick
@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_is_nothing(rows, random):
    jobs = frame(rows)
    order = list(range(len(jobs)))
    random.shuffle(order)
    pd.testing.assert_frame_equal(
        queue_load(jobs.iloc[order], by="queue_id"), queue_load(jobs, by="queue_id")
    )
    pd.testing.assert_frame_equal(backlog(jobs.iloc[order]), backlog(jobs))


@quick
@given(ROWS, st.sampled_from([None, "queue_id", "tag"]))
def test_a_histogram_gives_the_same_counts(rows, by):
    jobs = frame(rows)
    histogram = DurationHistogram.from_jobs(jobs)
    one, other = queue_load(jobs, "1h", by=by), queue_load(histogram, "1h", by=by)
    pd.testing.assert_frame_equal(one[EXACT], other[EXACT])
    assert one.attrs["unusable"] == other.attrs["unusable"]
    last = one.groupby(level=by, dropna=False).last() if by and len(one) else one.tail(1)
    now = backlog(histogram, by=by)
    if len(one):
        assert now["waiting"].tolist() == last["waiting"].tolist()
        assert now["running"].tolist() == last["running"].tolist()
