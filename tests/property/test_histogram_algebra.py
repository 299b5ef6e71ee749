"""What must hold of every histogram: sums are exact in any order, no job is lost, slices and files give it back."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosai_nb.stats.histogram import DurationHistogram
from tests.simulate import hand_made

SECONDS = st.one_of(st.none(), st.integers(-4000, 50_000), st.just(10**10))
OUTCOMES = ["success", "failed", "cancelled", "running", "waiting", "unknown", "not_found", "unread"]
LABELS = st.sampled_from([None, "a", "b", "ü", ""])
ROWS = st.lists(st.tuples(st.sampled_from(OUTCOMES), SECONDS, SECONDS, SECONDS, LABELS, LABELS), max_size=40)
quick = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def frame(rows, at=20_000):
    jobs = hand_made(*(row[:4] for row in rows), at=at)
    names = {"tag": [row[4] for row in rows], "queue_id": [row[5] for row in rows]}
    return jobs.assign(
        **{name: pd.Categorical(np.array(labels, dtype=object)) for name, labels in names.items()}
    )


@quick
@given(ROWS, ROWS, ROWS)
def test_addition_is_exact_commutative_and_associative(first, second, third):
    a, b, c = (DurationHistogram.from_jobs(frame(rows)) for rows in (first, second, third))
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + b + c == DurationHistogram.from_jobs(frame([*first, *second, *third]))


@quick
@given(ROWS)
def test_every_job_is_counted_once(rows):
    histogram = DurationHistogram.from_jobs(frame(rows))
    no_jobs = [row for row in rows if row[0] in {"not_found", "unread"}]
    assert histogram.jobs == len(rows) - len(no_jobs)
    assert sum(histogram.left_out.values()) == len(no_jobs)
    table = histogram.to_frame()
    jobs = table.groupby("measure", observed=False)["jobs"].sum()
    assert jobs["queue_latency"] == jobs["total_time"] == histogram.jobs >= jobs["run_time"]
    assert (table["jobs"] > 0).all()
    assert (table["value"] >= 0).all()
    assert not table.drop(columns="jobs").duplicated().any()


@quick
@given(ROWS, st.lists(st.sampled_from(["tag", "queue_id", "outcome", "hour"]), min_size=1, unique=True))
def test_groups_add_up_to_the_whole(rows, by):
    histogram = DurationHistogram.from_jobs(frame(rows))
    parts = [part for _, part in histogram.groups(by)]
    assert sum(part.jobs for part in parts) == histogram.jobs
    total = DurationHistogram.from_jobs(frame([]))
    for part in parts:
        total += part
    histogram.left_out = {}  # rows that are no jobs belong to no group
    if parts:
        assert total == histogram


@quick
@given(ROWS, LABELS)
def test_a_slice_is_the_histogram_of_the_slice(rows, label):
    jobs = frame(rows)
    sliced = DurationHistogram.from_jobs(jobs).where(tag=label)
    wanted = jobs["tag"].isna() if label is None else jobs["tag"] == label
    direct = DurationHistogram.from_jobs(jobs[wanted])
    direct.left_out, direct.as_of = {}, sliced.as_of
    assert sliced == direct


@settings(max_examples=15, deadline=None)
@given(ROWS)
def test_a_file_gives_it_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("histograms") / "h.parquet"
    histogram = DurationHistogram.from_jobs(frame(rows))
    histogram.save(path)
    assert DurationHistogram.load(path) == histogram
