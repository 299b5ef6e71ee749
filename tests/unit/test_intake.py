"""What a call does with records as they come: stored in time, held in little memory, put in the order of the IDs."""

import os
import time
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cosai_nb.errors import FileError
from cosai_nb.query import fetch
from cosai_nb.query.asked import admit
from cosai_nb.query.fetch import Intake, Rows
from cosai_nb.schema import WIRE, Record
from cosai_nb.table.frame import frame_from, frame_of, texts_of
from cosai_nb.table.store import JobStore

T0 = 1_790_000_000_000
NAMES = [column.name for column in WIRE]


def told(job_id, state="Success", *texts, at_s=0, **nodes):
    known = {"job_id": job_id, "state": state, "creation_time": "2026-09-21T00:00:00+0800", **nodes}
    return Record(job_id, "job", T0 + at_s * 1000, None, (*(known.get(name) for name in NAMES), *texts))


class Plan:
    def __init__(self):
        self.finished, self.repairs = [], Counter()


class Service:
    """A client that brings each list of records in a moment of its own."""

    def __init__(self, *moments, between=lambda: None):
        self.moments, self.between = moments, between

    def run(self, plan, *, on_tick):
        for records in self.moments:
            plan.finished += records
            try:
                on_tick()
            except FileError as error:
                return error
            self.between()
        return None


@pytest.fixture
def store(tmp_path):
    return JobStore(tmp_path / "jobs")


def parts_of(store):
    return len([*store.folder.glob("*.parquet")])


def test_records_are_stored_by_rows_and_at_the_end(store, monkeypatch):
    monkeypatch.setattr(fetch, "FLUSH_ROWS", 10)
    nine = [told(f"a{number}") for number in range(9)]
    seen = []
    service = Service(
        nine,
        [told("a9")],
        [told("b0"), Record("b1", "unread", error="x")],
        between=lambda: seen.append(parts_of(store)),
    )
    rows = Rows()
    intake = Intake(None, progress=False, store=store, keep=rows.add)
    intake.run(service, Plan())
    assert seen == [0, 1, 1]
    assert parts_of(store) == 2
    assert len(store.jobs()) == 11
    assert rows.ids().to_pylist() == [f"a{number}" for number in range(10)] + ["b0", "b1"]


def test_records_are_stored_by_time_though_nothing_more_comes(store, monkeypatch):
    monkeypatch.setattr(fetch, "FLUSH_S", 0.05)
    seen = []
    service = Service([told("a1")], [], [], between=lambda: (seen.append(parts_of(store)), time.sleep(0.06)))
    intake = Intake(None, progress=False, store=store)
    intake.run(service, Plan())
    assert seen == [0, 1, 1]
    assert store.jobs()["job_id"].tolist() == ["a1"]


def test_what_could_not_be_stored_is_said_and_still_held(store, monkeypatch):
    monkeypatch.setattr(fetch, "FLUSH_ROWS", 1)
    add, failures = store.add, [FileError("disk full")]

    def refuse_once(jobs):
        if failures:
            raise failures.pop()
        return add(jobs)

    monkeypatch.setattr(store, "add", refuse_once)
    rows = Rows()
    intake = Intake(None, progress=False, store=store, keep=rows.add)
    intake.run(Service([told("a1")], [told("a2")]), Plan())
    assert str(intake.failure) == str(intake.end) == "disk full"
    assert store.jobs()["job_id"].tolist() == ["a1"]
    assert rows.ids().to_pylist() == ["a1"]


def test_an_interrupt_while_a_part_is_written_loses_nothing(store, monkeypatch):
    fsync, calls = os.fsync, []

    def interrupted(handle):
        calls.append(handle)
        if len(calls) == 1:
            raise KeyboardInterrupt
        fsync(handle)

    monkeypatch.setattr(os, "fsync", interrupted)
    intake = Intake(None, progress=False, store=store)
    with pytest.raises(KeyboardInterrupt):
        intake.run(Service([told("a1")]), Plan())
    assert [path.name for path in store.folder.iterdir()] == []  # no half file either
    intake.run(Service([]), Plan())
    assert store.jobs()["job_id"].tolist() == ["a1"]


def test_texts_on_top_are_stored_too(store):
    intake = Intake(None, progress=False, store=store, columns={"bitrate": "Bitrate"})
    intake.run(Service([told("a1", "Success", "1"), Record("a2", "not_found", T0)]), Plan())
    assert store.jobs()["bitrate"].fillna("-").tolist() == ["1", "-"]


# --- records as Arrow texts ---


def some(seed, number):
    chance = np.random.default_rng(seed)
    tags = [None, "Translation", f"only of {seed}", "Success"]
    records = [
        told(
            f"{seed}-{row}",
            chance.choice(["Success", "Failed", "Running"]),
            tag=tags[chance.integers(4)],
            code=tags[chance.integers(4)],
            audio_s=["1.5", "-", None][chance.integers(3)],
            job_level=["1", None][chance.integers(2)],
            at_s=int(chance.integers(99)),
        )
        for row in range(number)
    ]
    return [*records, Record(f"{seed}-none", "not_found", T0), Record("a/b", "invalid_id", error="x")]


@pytest.mark.parametrize("sizes", [(5, 3), (0, 4), (700, 1, 20)])
def test_the_frame_of_tables_of_texts_is_the_frame_of_all_records(sizes):
    parts = [some(seed, number) for seed, number in enumerate(sizes)]
    whole = frame_of([record for part in parts for record in part])
    pd.testing.assert_frame_equal(frame_from(pa.concat_tables(map(texts_of, parts))), whole)
    rows = np.random.default_rng(7).permutation(len(whole))[: len(whole) // 2]
    table = pa.concat_tables(map(texts_of, parts)).combine_chunks()
    records = [record for part in parts for record in part]
    pd.testing.assert_frame_equal(
        frame_from(table.take(pa.array(rows))), frame_of([records[row] for row in rows])
    )


def test_the_order_is_that_of_the_ids(monkeypatch):
    monkeypatch.setattr(fetch, "FOLD_ROWS", 3)
    admitted = admit(["a3", "no/id", "a1", "None", None, "a2", "a0"])
    rows = Rows(["bitrate"])
    rows.add([told("a0", "Running", "1"), told("a1", "Success", "2"), Record("a2", "not_found", T0)])
    intake = Intake(None, progress=False, end="the deadline was over")
    jobs = intake.assemble(admitted, rows, ["a3", "a1", "None"])
    assert jobs["job_id"].tolist() == ["a3", "no/id", "a1", "None", "None", "a2", "a0"]
    outcomes = ["unread", "invalid_id", "success", "unread", "invalid_id", "not_found", "running"]
    assert jobs["outcome"].tolist() == outcomes
    assert jobs["bitrate"].fillna("-").tolist() == ["-", "-", "2", "-", "-", "-", "1"]
    assert jobs["error"][0] == "not read: the deadline was over"


def test_what_was_not_asked_comes_from_the_store_and_what_it_lost_is_said(store):
    store.add(frame_of([told("a1"), told("a2", at_s=-60)]))
    rows = Rows(records=[told("a0"), Record("a2", "not_found", T0), Record("a5", "not_found", T0)])
    jobs = Intake(None, progress=False, store=store).assemble(admit(["a5", "a2", "a0", "lost", "a1"]), rows)
    assert jobs["job_id"].tolist() == ["a5", "a2", "a0", "lost", "a1"]
    assert jobs["outcome"].tolist() == ["not_found", "success", "success", "unread", "success"]
    assert "no longer in the store" in jobs["error"][3]


@pytest.mark.parametrize("after", [False, True])
def test_an_interrupt_while_records_are_folded_mixes_up_no_rows(monkeypatch, after):
    monkeypatch.setattr(fetch, "FOLD_ROWS", 3)
    rows, calls = Rows(), []
    records = [told(f"a{number}", user_data=f"of a{number}") for number in range(10)]

    def interrupted(*args):
        texts = texts_of(*args) if after else None
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return texts or texts_of(*args)

    monkeypatch.setattr(fetch, "texts_of", interrupted)
    ticks = [records[first : first + 4] for first in range(0, 10, 4)]
    interrupts = 0
    for tick in ticks:
        try:
            rows.add(tick)
        except KeyboardInterrupt:
            interrupts += 1
            rows.add(tick)  # as a tick does that was interrupted
    assert interrupts == 1
    jobs = Intake(None, False).assemble(admit([record.job_id for record in records]), rows)
    assert jobs["job_id"].tolist() == [record.job_id for record in records]
    assert jobs["user_data"].tolist() == [f"of {job_id}" for job_id in jobs["job_id"]]
