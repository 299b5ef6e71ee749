"""Jobs of a scan are those of all files read together, whatever the files, the batches and the memory for hashes."""

import itertools
import tempfile
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosai_nb.schema import WIRE, Record
from cosai_nb.table import duplicates, parquet
from cosai_nb.table.duplicates import hash_texts, is_unique, outranked, repeated_hashes
from cosai_nb.table.frame import conform, frame_of, one_row_a_job
from cosai_nb.table.scan import fragments, scan
from cosai_nb.table.store import JobStore

T0 = 1_790_000_000_000
NAMES = [column.name for column in WIRE]
STATES = ["Submitted", "Running", "Success", "Failed", "Paused2", None]
COLUMNS = ["job_id", "outcome", "observed_at", "tag", "creation_time"]

observations = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "cc", "dddddddddd", "é"]), st.sampled_from(STATES), st.integers(0, 4)
    ),
    min_size=1,
    max_size=30,
)


def record(job_id, state, at):
    if state is None:
        return Record(job_id, "not_found", T0 + at * 1000)
    tag = None if at == 1 else f"tag{at}"
    known = {"job_id": job_id, "state": state, "tag": tag, "creation_time": "2026-09-21T00:00:00+0800"}
    return Record(job_id, "job", T0 + at * 1000, None, tuple(known.get(name) for name in NAMES))


def frame(seen):
    with warnings.catch_warnings(action="ignore"):
        return frame_of([record(*each) for each in seen])


@pytest.fixture
def small(monkeypatch):
    """As if a few rows were too many for memory."""
    monkeypatch.setattr(duplicates, "_COMPARED", 2)
    monkeypatch.setattr(duplicates, "ROWS", 4)
    monkeypatch.setattr(parquet, "ROWS", 4)
    monkeypatch.setattr(duplicates, "_PART_HASHES", 3)
    monkeypatch.setattr(duplicates, "_IN_MEMORY", 64)


def together(frames):
    tables = [pa.Table.from_pandas(each, preserve_index=False) for each in frames]
    return (
        pa.concat_tables(tables, promote_options="default")
        .to_pandas()
        .astype({"job_id": "str", "tag": "str"})
    )


@pytest.mark.parametrize("memory", ["large", "small"])
@settings(max_examples=25, deadline=None)
@given(
    seen=observations,
    cuts=st.lists(st.integers(0, 30), max_size=4),
    rows=st.integers(1, 10),
    group=st.integers(1, 9),
)
def test_a_scan_is_what_all_files_together_give(request, memory, seen, cuts, rows, group):
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        if memory == "small":
            request.getfixturevalue("small")
        jobs = frame(seen).assign(row=np.arange(len(seen)))
        jobs.loc[jobs["row"] % 7 == 6, "job_id"] = None
        bounds = [0, *sorted(min(cut, len(seen)) for cut in cuts), len(seen)]
        for number, (first, last) in enumerate(itertools.pairwise(bounds)):
            part = pa.Table.from_pandas(jobs.iloc[first:last], preserve_index=False)
            pq.write_table(part, f"{folder}/{number}.parquet", row_group_size=group)
        frames = [*scan(folder, [*COLUMNS, "row"], rows=rows)]
        assert all(len(each) <= rows for each in frames)
        expected = one_row_a_job(jobs)
        assert together(frames)["row"].tolist() == expected["row"].tolist()
        pieces = fragments(folder, COLUMNS)
        apart = [row for piece in pieces for each in scan(piece, ["row"]) for row in each["row"]]
        assert apart == expected["row"].tolist()


@settings(max_examples=25, deadline=None)
@given(seen=observations, cuts=st.lists(st.integers(0, 30), max_size=4), compact=st.booleans())
def test_a_scan_of_a_store_is_its_jobs(seen, cuts, compact):
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        store = JobStore(folder)
        bounds = [0, *sorted(cuts), len(seen)]
        for first, last in itertools.pairwise(bounds):
            if seen[first:last]:
                store.add(frame(seen[first:last]))
        if compact:
            store.compact()
        found = together(scan(store, COLUMNS))
        key = ["job_id"]
        expected = store.jobs()[COLUMNS].astype({"tag": "str"}).sort_values(key, ignore_index=True)
        pd.testing.assert_frame_equal(
            found.sort_values(key, ignore_index=True).astype(object),
            expected.astype(object),
            check_dtype=False,
        )


texts = st.lists(st.text(max_size=20).filter(lambda text: text.isprintable()), max_size=40)


@given(first=texts, second=texts)
def test_equal_texts_have_equal_hashes_in_any_company_and_others_have_others(first, second):
    told = {}
    for batch in (first, second, [*second, *first]):
        for kind in (pa.string(), pa.large_string()):
            array = pa.array(["before", *batch], kind).slice(1)
            for text, value in zip(batch, hash_texts(array).tolist(), strict=True):
                assert told.setdefault(text, value) == value
    assert len({*told.values()}) == len(told)
    assert is_unique(pa.chunked_array([first], pa.string())) == (len({*first}) == len(first))


@given(
    runs=st.lists(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=10), max_size=5),
    part=st.integers(1, 20),
)
def test_hashes_that_stand_more_than_once_are_found_with_their_runs(runs, part):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_PART_HASHES", part)
        patch.setattr(duplicates, "_IN_MEMORY", 16)
        arrays = [np.sort(np.array(run, np.uint64)) for run in runs]
        found = [*repeated_hashes(arrays, sum(map(len, runs)))]
    both = [value for run in runs for value in run]
    expected = {value for value in both if both.count(value) > 1}
    assert [value for values, _ in found for value in values.tolist()] == sorted(expected)
    for values, numbers in found:
        held = {*values.tolist()}
        assert numbers == [number for number, run in enumerate(runs) if held & {*run}]


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=20
    )
)
def test_what_is_outranked_is_all_but_the_last_of_the_highest(rows):
    names, first, second = zip(*rows, strict=True)
    lost = outranked(np.array([*map(ord, names)]), np.array(first), np.array(second))
    best = {
        name: max((row[1:], place) for place, row in enumerate(rows) if row[0] == name)[1] for name in names
    }
    assert sorted(lost.tolist()) == sorted({*range(len(rows))} - {*best.values()})


def test_texts_with_equal_hashes_are_compared(monkeypatch):
    monkeypatch.setattr(duplicates, "hash_texts", lambda texts: np.zeros(len(texts), np.uint64))
    assert is_unique(pa.chunked_array([["a", "b"], ["c"]]))
    assert not is_unique(pa.chunked_array([["a", "b"], ["a"]]))
    assert len(one_row_a_job(conform(frame([("a", "Success", 0), ("b", "Success", 0)])))) == 2
