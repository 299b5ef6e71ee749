"""The duration histogram: every job in exactly one class, exact sums, slices and files that give back the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cosai_nb.errors import FileError, FrameError
from cosai_nb.stats.counts import RECENT_MS, count_all
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.measures import Windows
from tests.simulate import hand_made, snapshot

ROWS = (
    ("success", 0, 7, 9),
    ("success", 10, 10, 3000),
    ("failed", 20, 50, 60),
    ("running", 30, 100, None),
    ("waiting", 40, None, None),
    ("waiting", 4000, None, None),  # created in the future of the snapshot
    ("unknown", 60, None, None),
    ("unknown", 70, 90, None),
    ("cancelled", 80, None, 180),
    ("cancelled", 90, None, None),  # nobody knows when
    ("cancelled", 100, 150, 160),
    ("failed", 110, None, 130),  # failed before it began
    ("success", 200, 150, 300),  # started before it was created
    ("success", None, 400, 410),
    ("running", 420, None, None),  # running, and nobody knows since when
)


def seconds(histogram, measure):
    """{(kind, outcome): [seconds, …]} of one measure."""
    table = histogram.to_frame().query("measure == @measure")
    found = {}
    for row in table.itertuples():
        found.setdefault((row.kind, row.outcome), []).extend([row.value] * row.jobs)
    return {key: sorted(values) for key, values in found.items()}


@pytest.fixture
def jobs():
    return hand_made(*ROWS)


@pytest.fixture
def queue():
    rng = np.random.default_rng(4)
    created = np.sort(rng.random(3000)) * 30 * 3600
    started = created + rng.exponential(90, 3000)
    ended = started + rng.exponential(60, 3000)
    tags = np.where(rng.random(3000) < 0.1, None, np.where(rng.random(3000) < 0.5, "Translation", "Words"))
    queues = rng.choice(["q1", "q2"], 3000)
    return snapshot(created, started, ended, 29 * 3600, failed=rng.random(3000) < 0.1, tag=tags, queue=queues)


def test_every_job_is_in_one_class_of_queue_latency(jobs):
    found = seconds(DurationHistogram.from_jobs(jobs), "queue_latency")
    assert found == {
        ("ended", "success"): [0, 7],
        ("ended", "failed"): [30],
        ("ended", "running"): [70],
        ("ended", "unknown"): [20],
        ("ended", "cancelled"): [50],
        ("unfinished", "waiting"): [0, 3560],
        ("unfinished", "unknown"): [3540],
        ("unfinished", "cancelled"): [100, 3510],
        ("unfinished", "failed"): [20],
        ("unusable", "success"): [0, 0],
        ("unusable", "running"): [0],
    }


def test_every_job_that_started_is_in_one_class_of_run_time(jobs):
    found = seconds(DurationHistogram.from_jobs(jobs), "run_time")
    assert found == {
        ("ended", "success"): [2, 10, 150, 2990],
        ("ended", "failed"): [10],
        ("ended", "cancelled"): [10],
        ("unfinished", "running"): [3500],
        ("unfinished", "unknown"): [3510],
        ("unusable", "running"): [0],
    }


def test_every_job_is_in_one_class_of_total_time(jobs):
    found = seconds(DurationHistogram.from_jobs(jobs), "total_time")
    assert found == {
        ("ended", "success"): [9, 100, 2990],
        ("ended", "failed"): [20, 40],
        ("ended", "cancelled"): [60, 100],
        ("unfinished", "running"): [3180, 3570],
        ("unfinished", "waiting"): [0, 3560],
        ("unfinished", "unknown"): [3530, 3540],
        ("unusable", "success"): [0],
        ("unusable", "cancelled"): [0],
    }


def test_hours_of_start_and_end_count_from_the_hour_of_creation():
    jobs = hand_made(("success", 3599, 3600, 7300), ("running", 0, 3599, None), at=8000)
    table = DurationHistogram.from_jobs(jobs).to_frame()
    hours = {row.measure: row.value for row in table[table["outcome"] == "success"].itertuples()}
    assert (hours["start_hour"], hours["end_hour"]) == (1, 2)
    assert set(table.query("outcome == 'running' and measure == 'start_hour'")["value"]) == {0}


def test_a_failed_job_whose_times_are_not_believed_bounds_nothing():
    jobs = hand_made(("failed", 0, None, 100), timing_ok=False)
    assert seconds(DurationHistogram.from_jobs(jobs), "queue_latency") == {("unusable", "failed"): [0]}


def test_rows_that_are_no_jobs_are_counted_and_never_in_it():
    jobs = hand_made(
        ("success", 0, 1, 2), ("not_found", None, None, None), ("unread", None, None, None),
        ("unread", None, None, None), ("invalid_id", None, None, None),
    )  # fmt: skip
    histogram = DurationHistogram.from_jobs(jobs)
    assert histogram.jobs == 1
    assert histogram.left_out == {"invalid_id": 1, "not_found": 1, "unread": 2}
    assert (histogram + histogram).left_out == {"invalid_id": 2, "not_found": 2, "unread": 4}


def test_the_sum_is_the_histogram_of_both_byte_for_byte(queue, tmp_path):
    whole = DurationHistogram.from_jobs(queue)
    parts = [DurationHistogram.from_jobs(queue.iloc[start::3]) for start in range(3)]
    assert parts[2] + parts[0] + parts[1] == whole
    (parts[1] + (parts[0] + parts[2])).save(tmp_path / "sum.parquet")
    whole.save(tmp_path / "whole.parquet")
    assert (tmp_path / "sum.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert parts[0] != whole
    assert whole != "a histogram"


def test_category_order_text_and_unused_labels_make_no_difference(queue):
    other = queue.assign(
        tag=queue["tag"].cat.set_categories(["unused", "Words", "Translation"]),
        queue_id=queue["queue_id"].astype(object),
    )
    assert DurationHistogram.from_jobs(other) == DurationHistogram.from_jobs(queue)


def test_other_keys_do_not_add_up_and_the_sentence_says_why(queue):
    by_level = DurationHistogram.from_jobs(queue.assign(job_level=1), keys=["job_level"])
    with pytest.raises(FrameError, match="by hour, queue_id, tag, outcome, code cannot be added"):
        DurationHistogram.from_jobs(queue) + by_level
    with pytest.raises(TypeError):
        by_level + 1


def test_slices_equal_the_histogram_of_the_sliced_frame(queue):
    histogram = DurationHistogram.from_jobs(queue)

    def of(rows):
        return DurationHistogram.from_jobs(queue[rows])

    def without_time(h):
        h.as_of = pd.NaT  # a slice keeps the as-of time of the whole
        return h

    missing = queue["tag"].isna()
    assert without_time(histogram.where(tag=None)) == without_time(of(missing))
    some = (queue["tag"].isin(["Words"]) | missing) & (queue["queue_id"] == "q2")
    assert without_time(histogram.where(tag=["Words", np.nan], queue_id="q2")) == without_time(of(some))
    late = queue["creation_time"].between("2026-11-01T05:00Z", "2026-11-01T08:59:59Z")
    window = histogram.where(start="2026-11-01T05:00", end=pd.Timestamp("2026-11-01T10:00+01:00"))
    assert without_time(window) == without_time(of(late))
    assert histogram.where(tag="nothing").jobs == 0


def test_a_window_that_cuts_an_hour_is_refused(queue):
    histogram = DurationHistogram.from_jobs(queue)
    with pytest.raises(FrameError, match="not on the hour"):
        histogram.where(start="2026-11-01T05:30Z")
    with pytest.raises(FrameError, match="is no time"):
        histogram.where(end="soon")
    with pytest.raises(FrameError, match=r"no key 'priority'; it has: hour, queue_id.*keys=\['priority'\]"):
        histogram.where(priority="1")


def test_groups_part_the_histogram_and_keep_missing_labels(queue):
    histogram = DurationHistogram.from_jobs(queue)
    groups = list(histogram.groups(["tag", "outcome"]))
    labels = [label for label, _ in groups]
    assert [label[0] for label in labels if label[1] == "failed"][:2] == ["Translation", "Words"]
    assert pd.isna(labels[-1][0])
    total = groups[0][1]
    for label, part in groups:
        tag = None if pd.isna(label[0]) else label[0]
        assert part == histogram.where(tag=tag, outcome=label[1])
        total = total if part is total else total + part
    assert total == histogram
    hours = [label for (label,), _ in histogram.groups("hour")]
    assert hours == sorted(queue["creation_time"].dt.floor("h").unique())


def test_groups_by_more_than_65536_labels():
    size = 70_000
    jobs = hand_made(("success", 0, 1, 2)).loc[[0] * size].reset_index(drop=True)
    histogram = DurationHistogram.from_jobs(
        jobs.assign(name=[f"{n:05d}" for n in range(size)]), keys=["name"]
    )
    groups = histogram.groups("name", measures=["queue_latency"])
    assert next(groups)[0] == ("00000",)
    assert next(groups)[1].jobs == 1


def test_a_file_gives_back_the_same_and_reads_in_duckdb(queue, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    histogram = DurationHistogram.from_jobs(queue.assign(job_level=3), keys=["job_level"])
    path = tmp_path / "waits.parquet"
    histogram.save(path)
    assert DurationHistogram.load(path) == histogram
    found = duckdb.sql(
        f"select sum(jobs), max(value) from '{path}' where measure = 'queue_latency' and kind = 'ended'"
    ).fetchall()
    latency = queue["queue_latency_s"].dropna()
    assert found == [(len(latency), latency.max())]
    assert [file.name for file in tmp_path.iterdir()] == ["waits.parquet"]


def test_an_empty_histogram_saves_loads_and_adds(tmp_path, queue):
    empty = DurationHistogram.from_jobs(queue[:0])
    empty.save(tmp_path / "none.parquet")
    assert DurationHistogram.load(tmp_path / "none.parquet") == empty
    assert empty + DurationHistogram.from_jobs(queue) == DurationHistogram.from_jobs(queue)
    assert (empty.jobs, list(empty.groups("tag")), len(empty.cells())) == (0, [], 0)


def test_files_that_are_none_say_so(tmp_path, queue):
    with pytest.raises(FileError, match=r"nowhere\.parquet"):
        DurationHistogram.load(tmp_path / "nowhere.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(FileError, match=r"text\.parquet"):
        DurationHistogram.load(tmp_path / "text.parquet")
    queue.to_parquet(tmp_path / "jobs.parquet")
    with pytest.raises(FileError, match="cannot be read as a duration histogram"):
        DurationHistogram.load(tmp_path / "jobs.parquet")
    with pytest.raises(FileError, match="could not be written"):
        DurationHistogram.from_jobs(queue).save(tmp_path / "no" / "folder.parquet")


def test_cells_count_each_job_once(queue):
    histogram = DurationHistogram.from_jobs(queue)
    cells = histogram.cells()
    assert cells["jobs"].sum() == histogram.jobs == len(queue)
    by_tag = cells.groupby("tag", observed=True, dropna=False)["jobs"].sum()
    assert by_tag.to_dict()["Words"] == (queue["tag"] == "Words").sum()
    for measure in ("queue_latency", "total_time"):
        kinds = [cells[f"{measure}_{kind}"] for kind in ("ended", "unfinished", "unusable")]
        assert (sum(kinds) == cells["jobs"]).all()
    assert "3,000" not in repr(histogram)
    assert f"{len(queue):,} jobs" in repr(histogram)


def test_times_thousands_of_years_apart_fit():
    far = hand_made(
        ("success", 0, 1, 2), ("waiting", -60_000_000_000, None, None), ("waiting", 2, None, None)
    )
    histogram = DurationHistogram.from_jobs(
        far.assign(observed_at=pd.Timestamp("9990-01-01", tz="UTC").as_unit("ms"))
    )
    assert histogram.jobs == 3
    assert histogram + histogram == histogram + histogram
    assert histogram.to_frame().query("measure == 'queue_latency'")["value"].max() > 3e11


def test_a_histogram_knows_its_keys(queue):
    histogram = DurationHistogram.from_jobs(queue)
    histogram.check_keys(["tag"])
    assert DurationHistogram.from_jobs(queue, keys=["state"]).keys[-1] == "state"
    with pytest.raises(FrameError, match="no key 'state'"):
        histogram.check_keys(["state"])


def test_a_running_job_that_started_before_it_was_created_has_no_run_time():
    jobs = hand_made(("running", 60, 30, None))
    assert seconds(DurationHistogram.from_jobs(jobs), "run_time") == {("unusable", "running"): [0]}


def test_a_job_that_was_created_nobody_knows_when_is_in_no_window():
    jobs = hand_made(("success", None, 5, 9), ("success", 0, 5, 9))
    histogram = DurationHistogram.from_jobs(jobs)
    assert histogram.where(start="2026-11-01").jobs == histogram.where(end="2026-11-02").jobs == 1
    assert histogram.where().jobs == 2


def test_a_file_remembers_the_rows_left_out(tmp_path):
    histogram = DurationHistogram.from_jobs(hand_made(("success", 0, 5, 9), ("unread", None, None, None)))
    histogram.save(tmp_path / "h.parquet")
    assert DurationHistogram.load(tmp_path / "h.parquet").left_out == {"unread": 1}


@pytest.mark.parametrize("name", ["kind", "value", "jobs", "measure"])
def test_a_key_with_the_name_of_a_column_of_the_table_is_refused(name):
    jobs = hand_made(("success", 0, 7, 9)).assign(**{name: "z"})
    with pytest.raises(FrameError, match=f"'{name}'.*rename"):
        DurationHistogram.from_jobs(jobs, keys=[name])


def test_sum_adds_histograms_and_one_key_may_be_given_as_text():
    histogram = DurationHistogram.from_jobs(hand_made(("success", 0, 7, 9)), keys="tag")
    assert sum([histogram, histogram]) == histogram + histogram
    with pytest.raises(FrameError, match="start= and end="):
        histogram.where(hour="2026-11-01T00:00Z")


@pytest.mark.parametrize("freq", ["1h", "6h", "1D", "7D"])
@pytest.mark.parametrize("tz", ["Asia/Shanghai", "Europe/Berlin"])
def test_windows_that_are_read_off_counts_are_those_of_the_jobs(freq, tz):
    rng = np.random.default_rng(5)
    created = np.sort(rng.integers(0, 30 * 86_400, 500))
    started = created + rng.integers(0, 9_000, 500)
    jobs = snapshot(created, started, started + 60, 30 * 86_400)
    windows, keys = Windows.of(freq, tz), {"queue_latency": ("tag", "time"), "jobs": ("outcome", "time")}
    counted = count_all(jobs, {"queue_latency": ("tag",), "jobs": ("outcome",)}, recent_ms=RECENT_MS)
    found, wanted = count_all(counted, keys, windows=windows), count_all(jobs, keys, windows=windows)
    for name, table in wanted.tables.items():
        pd.testing.assert_frame_equal(found.tables[name][[*table]], table)
    assert found.recent is None
