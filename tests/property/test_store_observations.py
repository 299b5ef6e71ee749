"""Whatever the order of observations, their split into parts and the compactions in between: one store, one answer."""

import itertools
import tempfile

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from cosai_nb.query.list import gaps, settled
from cosai_nb.schema import WIRE, Record
from cosai_nb.service.listing import Window
from cosai_nb.table.frame import frame_of
from cosai_nb.table.store import JobStore

T0 = 1_790_000_000_000
NAMES = [column.name for column in WIRE]
STATES = ["Submitted", "Running", "Success", "Failed", None]
ENDED = {"Success", "Failed"}

observations = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(STATES), st.integers(0, 5)), min_size=1, max_size=20
)


def record(job_id, state, at):
    if state is None:
        return Record(job_id, "not_found", T0 + at * 1000)
    known = {"job_id": job_id, "state": state, "creation_time": "2026-09-21T00:00:00+0800"}
    return Record(job_id, "job", T0 + at * 1000, None, tuple(known.get(name) for name in NAMES))


def expected(seen):
    """Say in plain Python which state of each ID counts and whether it is forgotten."""
    told = {}
    for job_id in {job_id for job_id, _, _ in seen}:
        jobs = [
            (state in ENDED, at, state == "Running", state)
            for name, state, at in seen
            if name == job_id and state
        ]
        gone = [at for name, state, at in seen if name == job_id and state is None]
        if not jobs:
            told[job_id] = (None, None, False)
            continue
        best = max(jobs, key=lambda job: job[:3])
        tied = {job[3] for job in jobs if job[:3] == best[:3]}
        told[job_id] = (tied, best[1], bool(gone) and max(gone) > best[1])
    return told


@settings(max_examples=15, deadline=None)
@given(seen=observations, cuts=st.lists(st.integers(0, 20), max_size=4), compact=st.booleans())
def test_the_observation_that_counts_does_not_depend_on_parts(seen, cuts, compact):
    with tempfile.TemporaryDirectory() as folder:
        store = JobStore(folder)
        bounds = [0, *sorted(cuts), len(seen)]
        for first, last in itertools.pairwise(bounds):
            if seen[first:last]:
                store.add(frame_of([record(*observation) for observation in seen[first:last]]))
            if compact:
                store.compact()
        before = store.jobs()
        jobs = before.set_index("job_id")
        assert jobs.index.is_unique
        told = expected(seen)
        assert set(jobs.index) == set(told)
        for job_id, (states, at, forgotten) in told.items():
            row = jobs.loc[job_id]
            assert (row["state"] in states) if states else pd.isna(row["state"])
            assert row["forgotten"] == forgotten
            assert (
                pd.isna(row["last_seen"])
                if at is None
                else row["last_seen"].timestamp() * 1000 == T0 + at * 1000
            )
        store.compact()
        pd.testing.assert_frame_equal(store.jobs(), before)
        assert store.ended_ids() == {name for name, state, _ in seen if state in ENDED}


windows = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 30)).map(lambda w: (w[0], w[0] + w[1])), max_size=6
)


@given(known=windows, start=st.integers(0, 50), length=st.integers(1, 50))
def test_gaps_and_what_is_known_are_the_window_without_overlap(known, start, length):
    window = Window(start, start + length)
    inside = {second for gap in gaps(window, known) for second in range(*gap)}
    remembered = {second for piece in known for second in range(*piece)}
    assert inside == set(range(*window)) - remembered
    assert sum(end - begin for begin, end in gaps(window, known)) == len(inside)


hours = st.lists(
    st.tuples(st.integers(0, 20_000), st.integers(1, 9_000)).map(lambda w: (w[0], w[0] + w[1])),
    min_size=1,
    max_size=4,
)


@given(read=hours, unfinished=st.lists(st.integers(0, 29_000), max_size=4), asked_s=st.integers(0, 40_000))
def test_what_is_settled_was_read_is_past_and_holds_no_unfinished_job(read, unfinished, asked_s):
    for start, end in settled(read, unfinished, past=asked_s - 60):
        assert start < end <= asked_s - 60
        assert not any(start <= moment < end for moment in unfinished)
        assert gaps(Window(start, end), read) == []
