"""Jobs read from Parquet batch by batch: dtypes, foreign files, damaged files, stores, fragments."""

import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cosai_nb.errors import CosaiWarning, FileError, FrameError, SettingsError
from cosai_nb.schema import COLUMNS, WIRE, Record
from cosai_nb.table import parquet
from cosai_nb.table.dtypes import TEXT
from cosai_nb.table.files import write_jobs
from cosai_nb.table.frame import conform, frame_of, one_row_a_job
from cosai_nb.table.scan import Fragment, fragments, scan
from cosai_nb.table.store import JobStore

CREATED, STARTED, ENDED = (f"2026-09-21T12:00:0{second}+0800" for second in (0, 2, 9))
OBSERVED_MS = 1_790_000_000_000
ALL = [*COLUMNS]


def record(job_id, *, observed_ms=OBSERVED_MS, **texts):
    values = {
        "job_id": job_id,
        "tag": "Translation",
        "state": "Success",
        "queue_id": "p1",
        "creation_time": CREATED,
        "start_time": STARTED,
        "end_time": ENDED,
        "audio_s": "12.5",
        "job_level": "3",
    } | texts
    return Record(job_id, "job", observed_ms, None, tuple(values.get(column.name) for column in WIRE))


def some(*job_ids, **texts):
    return frame_of([record(job_id, **texts) for job_id in job_ids])


JOBS = frame_of(
    [
        record("a1"),
        record("a2", state="Failed", code="E1", tag=None, job_level=None),
        record("a3", state="Submitted", start_time=None, end_time=None, audio_s=None),
        Record("a4", "not_found", OBSERVED_MS),
        Record("", "invalid_id", error="empty"),
    ]
)


def one(source, columns, **settings):
    (frame,) = scan(source, columns, **settings)
    return frame


@pytest.fixture
def folder(tmp_path):
    """Two daily files."""
    write_jobs(some("a1", "a2"), tmp_path / "1.parquet")
    write_jobs(some("b1", tag="SpeechRecognition"), tmp_path / "2.parquet")
    return tmp_path


def test_a_file_of_ours_comes_back_with_its_exact_dtypes(tmp_path):
    write_jobs(JOBS, tmp_path / "jobs.parquet")
    pd.testing.assert_frame_equal(one(tmp_path / "jobs.parquet", ALL), JOBS)
    pd.testing.assert_frame_equal(one(tmp_path, ["tag", "outcome"]), JOBS[["tag", "outcome"]])


def foreign(kind):
    """The same values as other writers hold them."""
    table = pa.Table.from_pandas(JOBS, preserve_index=False)
    fields = {field.name: field.type for field in table.schema}
    if kind == "plain":
        fields = {name: pa.large_string() if pa.types.is_dictionary(t) else t for name, t in fields.items()}
        fields |= {"audio_s": pa.float32(), "job_level": pa.int16(), "queue_latency_s": pa.decimal128(10, 3)}
    elif kind == "dictionaries":
        texts = pa.dictionary(pa.int16(), pa.large_string())
        fields = {
            name: texts if pa.types.is_string(t) or pa.types.is_large_string(t) else t
            for name, t in fields.items()
        }
    elif kind == "zones":
        fields = {
            name: pa.timestamp("us", "Asia/Shanghai") if pa.types.is_timestamp(t) else t
            for name, t in fields.items()
        }
    elif kind == "nanoseconds":
        fields = {
            name: pa.timestamp("ns", "UTC") if pa.types.is_timestamp(t) else t for name, t in fields.items()
        }
    elif kind == "texts":
        text = JOBS.astype(dict.fromkeys(JOBS, object)).map(
            lambda value: None if pd.isna(value) else str(value)
        )
        times = {
            name: JOBS[name].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
            for name in JOBS
            if "time" in name and name[-2:] == "me"
        }
        times["observed_at"] = JOBS["observed_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        times.pop("queue_latency_s", None)
        return pa.Table.from_pandas(text.assign(**times), preserve_index=False)
    columns = [
        column.cast(fields[name].value_type).dictionary_encode().cast(fields[name])
        if pa.types.is_dictionary(fields[name]) and not pa.types.is_dictionary(column.type)
        else column.cast(fields[name], safe=False)
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    return pa.table(dict(zip(table.column_names, columns, strict=True)))


@pytest.mark.parametrize("kind", ["plain", "dictionaries", "zones", "nanoseconds", "texts"])
@pytest.mark.parametrize("rows", [1 << 20, 2])
def test_foreign_types_that_hold_the_same_values_are_converted(tmp_path, kind, rows):
    pq.write_table(foreign(kind), tmp_path / "jobs.parquet")
    frames = [*scan(tmp_path, ALL, rows=rows)]
    assert [len(frame) for frame in frames] == ([5] if rows > 5 else [2, 2, 1])
    for frame in frames:
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
            name: str(dtype) for name, dtype in JOBS.dtypes.items()
        }
    pd.testing.assert_frame_equal(conform(pd.concat(frames, ignore_index=True)), JOBS)


def test_columns_of_ones_own_come_as_they_are_and_texts_as_categories(tmp_path):
    own = JOBS.assign(
        shop=pd.Series(["x", None, "y", "x", "x"]),
        count=pd.array([1, None, 3, 4, 5], "Int64"),
        size=[1, 2, 3, 4, 5],
        **{"Input.Lang": list("zzyyz")},
    )
    own.to_parquet(tmp_path / "jobs.parquet")
    frame = one(tmp_path, ["shop", "count", "size", "Input.Lang"])
    assert "".join(frame["Input.Lang"]) == "zzyyz"
    assert frame["shop"].tolist()[2:] == ["y", "x", "x"]
    assert frame["shop"].cat.categories.tolist() == ["x", "y"]
    assert frame["count"].tolist() == [1, pd.NA, 3, 4, 5]
    assert frame["size"].dtype == np.int64


def test_small_files_make_one_frame_and_large_row_groups_many(folder, monkeypatch):
    assert one(folder, ["job_id"])["job_id"].tolist() == ["a1", "a2", "b1"]
    assert one(folder, ["tag"])["tag"].cat.categories.tolist() == ["SpeechRecognition", "Translation"]
    assert [frame["job_id"].tolist() for frame in scan(folder, ["job_id"], rows=1)] == [
        ["a1"],
        ["a2"],
        ["b1"],
    ]
    monkeypatch.setattr(parquet, "ROWS", 2)
    pq.write_table(pa.Table.from_pandas(some(*"cdefg")), folder / "3.parquet", row_group_size=1)
    assert [piece[3:6] for piece in fragments(folder)] == [
        (0, 1, 2),
        (0, 1, 1),
        (0, 2, 2),
        (2, 4, 2),
        (4, 5, 1),
    ]
    assert [frame["job_id"].tolist() for frame in scan(folder, ["job_id"], rows=3)] == [
        ["a1", "a2", "b1"], ["c", "d"], ["e", "f", "g"],
    ]  # fmt: skip


def test_names_with_a_dot_or_underscore_are_skipped_and_folders_tell_columns(folder):
    for name in (".jobs.parquet", "_metadata.parquet", "_old/jobs.parquet", "notes.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    for day in ("2026-11-02", "__HIVE_DEFAULT_PARTITION__"):
        (folder / f"day={day}").mkdir()
        write_jobs(some(f"c{day[-2]}"), folder / f"day={day}" / "part.0.parquet")
    frame = one(folder, ["job_id"], optional=["day"])
    assert dict(zip(frame["job_id"], frame["day"].astype(object), strict=True)) == {
        "a1": np.nan, "a2": np.nan, "b1": np.nan, "c0": "2026-11-02", "c_": np.nan,
    }  # fmt: skip
    assert one(folder / "day=2026-11-02" / "part.0.parquet", ["job_id"])["job_id"].tolist() == ["c0"]


def test_optional_columns_are_missing_where_a_file_lacks_them(folder):
    some("c1").assign(shop="x").drop(columns="error").to_parquet(folder / "3.parquet")
    frame = one(folder, ["job_id"], optional=["shop", "error", "nowhere", "queue_id", "job_id"])
    assert [*frame] == ["job_id", "shop", "error", "queue_id"]
    assert frame["shop"].astype(object).isna().tolist() == [True, True, True, False]
    assert frame["error"].isna().all()
    assert frame["error"].dtype == JOBS["error"].dtype


def naive(frame):
    return frame.assign(creation_time=frame["creation_time"].dt.tz_localize(None))


def bad_outcome(frame):
    return frame.assign(outcome="done")


def half(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def holed(path):
    content = bytearray(path.read_bytes())
    content[4:400] = b"\xff" * 396
    path.write_bytes(content)


FLAWS = {
    "empty": (lambda path: path.write_bytes(b""), "empty, without a byte"),
    "half": (half, "no whole Parquet file"),
    "other": (lambda path: path.write_text("job_id\na1\n"), "no whole Parquet file"),
    "hole": (holed, "no whole Parquet file"),
    "foreign": (lambda path: pd.DataFrame({"x": [1]}).to_parquet(path), r"holds no jobs.*\('x'\)"),
    "older": (lambda path: some("z1").drop(columns="tag").to_parquet(path), "lacks 'tag'; it has 'job_id'"),
    "naive": (lambda path: naive(some("z1")).to_parquet(path), "'creation_time' say no zone"),
    "naive text": (
        lambda path: some("z1").assign(creation_time="2026-11-02 00:00:00").to_parquet(path),
        "'creation_time' holds times without a time zone",
    ),
    "ids twice": (
        lambda path: pq.write_table(
            pa.table([["z1"], ["z1"], ["a"], ["success"], JOBS["creation_time"][:1]], ["job_id", "job_id", "tag", "outcome", "creation_time"]), path
        ),
        "'job_id' stand more than once",
    ),
    "outcome": (lambda path: bad_outcome(some("z1")).to_parquet(path), "'outcome' holds 'done' in row 1; write one of"),
    "twice": (
        lambda path: pq.write_table(pa.table([["z1"], ["a"], ["b"]], ["job_id", "tag", "tag"]), path),
        "lacks 'outcome', 'creation_time'|'tag' stand more than once",
    ),
}  # fmt: skip


@pytest.mark.parametrize("flaw", FLAWS)
@pytest.mark.parametrize("rows", [1 << 20, 1])
def test_a_file_that_cannot_be_counted_is_named_and_left_out_of_a_folder_and_an_error_alone(
    folder, flaw, rows
):
    spoil, said = FLAWS[flaw]
    bad = folder / "15.parquet"
    write_jobs(some("z1"), bad)
    spoil(bad)
    columns = ["job_id", "tag", "outcome", "creation_time"]
    with pytest.warns(CosaiWarning, match=said) as seen:
        frames = [*scan(folder, columns, rows=rows)]
    assert pd.concat(frames)["job_id"].tolist() == ["a1", "a2", "b1"]
    assert len(seen) == 1
    assert str(bad) in str(seen[0].message)
    assert "none of its rows counts" in str(seen[0].message)
    with pytest.raises((FileError, FrameError), match=said):
        list(scan(bad, columns, rows=rows))
    if flaw == "ids twice":  # which are read in any case
        with pytest.raises(FrameError, match=said):
            scan(bad, ["tag"])
    alone = folder / "alone"
    alone.mkdir()
    bad.rename(alone / "15.parquet")
    with pytest.raises((FileError, FrameError), match=said):
        list(scan(alone, columns))


def test_a_folder_in_which_nothing_can_be_read_is_an_error(tmp_path):
    with pytest.raises(FileError, match=r"holds no file whose name ends in \.parq"):
        scan(tmp_path, ["tag"])
    with pytest.raises(FileError, match=r"No such file or directory\. Name a Parquet file"):
        scan(tmp_path / "nowhere", ["tag"])
    (tmp_path / "1.parquet").write_bytes(b"")
    (tmp_path / "2.parquet").write_bytes(b"")
    with pytest.raises(FileError, match=r"None of the 2 files .*/1.parquet: .* without a byte"):
        scan(tmp_path, ["tag"])
    for name in "12":
        bad_outcome(some(name)).to_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(FileError, match="No row was read"), pytest.warns(CosaiWarning):
        list(scan(tmp_path, ["outcome"]))


def test_a_file_that_proves_damaged_when_rows_of_it_counted_is_an_error(folder):
    late = some(*"cdef").assign(outcome=["success"] * 3 + ["done"])
    pq.write_table(pa.Table.from_pandas(late), folder / "3.parquet", row_group_size=1)
    frames = scan(folder, ["outcome", "tag"], rows=2)
    with pytest.raises(FrameError, match=r"3\.parquet: .*'done'"):
        list(frames)


def test_work_is_done_on_each_frame_and_on_none_of_a_file_that_proves_damaged(folder):
    late = some(*"cdef").assign(outcome=["success"] * 3 + ["done"])
    pq.write_table(pa.Table.from_pandas(late), folder / "0.parquet", row_group_size=4)
    with pytest.warns(CosaiWarning, match=r"0\.parquet: .*'done'.* none of its rows counts"):
        told = [*scan(folder, ["outcome", "tag"], rows=2, work=lambda frame: frame["tag"].tolist())]
    assert told == [["Translation", "Translation"], ["SpeechRecognition"]]


def test_a_damaged_file_is_an_error_where_the_row_that_counts_may_be_in_it(folder):
    write_jobs(some("a1"), folder / "3.parquet")
    bad_outcome(some("z1")).assign(job_id=None).to_parquet(folder / "4.parquet")
    with pytest.warns(CosaiWarning, match="1 of 5 rows"):
        frames = scan(folder, ["outcome", "tag"])
    with pytest.raises(FrameError, match=r"4\.parquet"):
        list(frames)


def test_no_rows_are_an_empty_frame_with_its_dtypes(tmp_path):
    write_jobs(frame_of([]), tmp_path / "jobs.parquet")
    pd.testing.assert_frame_equal(one(tmp_path, ALL), frame_of([]))
    pd.testing.assert_frame_equal(one(JobStore(tmp_path / "store"), ALL, optional=["own"]), frame_of([]))
    assert one([], ["tag"], optional=["own"]).shape == (0, 1)


def test_a_job_in_two_files_counts_once_in_its_furthest_state(folder):
    waiting = some(
        "b1", "c1", state="Submitted", start_time=None, end_time=None, observed_ms=OBSERVED_MS + 1000
    )
    write_jobs(waiting, folder / "3.parquet")
    Path(folder / "3.parquet").rename(folder / "0.parquet")
    for _ in range(2):
        with pytest.warns(CosaiWarning, match=r"1 of 5 rows were left out: .*\(b1 for one\)"):
            frame = one(folder, ["job_id", "outcome"])
        assert frame.astype(str).to_numpy().tolist() == [
            ["c1", "waiting"], ["a1", "success"], ["a2", "success"], ["b1", "success"],
        ]  # fmt: skip
    with pytest.warns(CosaiWarning, match="1 of 5 rows"):
        pieces = fragments(folder)
    assert [len(one(piece, ["tag"])) for piece in pickle.loads(pickle.dumps(pieces))] == [1, 2, 1]
    assert one(pieces[1:], ["job_id"])["job_id"].tolist() == ["a1", "a2", "b1"]


def test_rows_without_an_id_are_all_kept(folder):
    jobs = some("a1", "a1")
    jobs.assign(job_id=None).to_parquet(folder / "3.parquet")
    jobs.drop(columns="job_id").to_parquet(folder / "4.parquet")
    assert sum(map(len, scan(folder, ["tag"]))) == 7


def test_ids_are_looked_at_once_and_again_after_a_change(folder, monkeypatch):
    scan(folder, ["tag"])
    read = []
    tables = parquet.tables
    monkeypatch.setattr("cosai_nb.table.duplicates.tables", lambda *args: read.append(args) or tables(*args))
    scan(folder, ["tag", "outcome"])
    assert not read
    write_jobs(some("a1"), folder / "2.parquet")
    with pytest.warns(CosaiWarning, match="1 of 3"):
        assert len(one(folder, ["tag"])) == 2
    assert read


def test_a_fragment_of_a_file_that_was_changed_is_refused(folder):
    piece = fragments(folder, ["tag"])[0]
    write_jobs(some("x1", "x2", "x3"), folder / "1.parquet")
    with pytest.raises(FileError, match=r"1\.parquet: The file was changed"):
        list(scan(piece, ["tag"]))
    (folder / "1.parquet").unlink()
    with pytest.raises(FileError, match="was removed"):
        list(scan(piece, ["tag"]))


def test_a_fragment_that_lacks_a_column_is_refused(folder):
    (piece, _) = fragments(folder)
    assert isinstance(piece, Fragment)
    with pytest.raises(FrameError, match="lacks 'shop'"):
        scan(piece, ["shop"])


def test_what_cannot_be_meant_is_refused(folder):
    for source in (None, 7, ["1.parquet"], JOBS):
        with pytest.raises(SettingsError):
            scan(source, ["tag"])
    with pytest.raises(SettingsError, match="at least one column"):
        scan(folder, [])


def test_files_that_disagree_on_a_column_of_ones_own_are_named(folder):
    some("c1").assign(shop=1).to_parquet(folder / "1.parquet")
    some("c2").assign(shop="x").to_parquet(folder / "2.parquet")
    with pytest.raises(FrameError, match="shop"):
        list(scan(folder, ["shop"]))


def test_the_home_folder_is_understood(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    assert one("~", ["job_id"])["job_id"].tolist() == ["a1", "a2", "b1"]


def test_an_early_end_leaves_no_thread_behind(folder):
    import threading

    before = threading.active_count()
    frames = scan(folder, ["job_id"], rows=1)
    next(frames)
    frames.close()
    assert threading.active_count() == before


# --- stores ---


@pytest.fixture
def store(tmp_path):
    return JobStore(tmp_path / "store")


def test_a_store_has_one_row_a_job_by_its_own_rule_and_says_nothing_of_it(store):
    store.add(some("a1", "a2", state="Running", end_time=None))
    store.add(some("a1", observed_ms=OBSERVED_MS + 1000))
    store.add(some("a2", state="Submitted", start_time=None, end_time=None, observed_ms=OBSERVED_MS + 2000))
    for at in (3000, 4000):
        store.add(frame_of([Record(job_id, "not_found", OBSERVED_MS + at) for job_id in ("a1", "a4")]))
    for source in (store, store.folder):
        frame = one(source, ["job_id", "outcome", "observed_at"]).sort_values("job_id", ignore_index=True)
        assert frame["outcome"].tolist() == ["success", "waiting", "not_found"]
        jobs = store.jobs().sort_values("job_id", ignore_index=True)
        pd.testing.assert_frame_equal(frame, jobs[[*frame]])


def test_a_damaged_part_is_set_aside_as_the_store_does(store):
    store.add(some("a1"))
    store.add(some("a2"))
    half(min(store.folder.glob("*.parquet")))
    with pytest.warns(CosaiWarning, match="is cut or was changed.*moved to"):
        assert len(one(JobStore(store.folder), ["tag"])) == 1
    assert len([*(store.folder / "_set-aside").iterdir()]) == 1


@pytest.mark.parametrize("ids", [True, False])
def test_a_part_damaged_after_it_was_checked_is_set_aside_or_named(store, ids):
    store.add(some("a1"))
    store.add(some("a2"))
    store.ended_ids()
    if not ids:
        frames = scan(store, ["tag"])
    holed(min(store.folder.glob("*.parquet")))
    if ids:
        with pytest.warns(CosaiWarning, match="moved to"):
            assert len(one(store, ["tag"])) == 1
    else:
        with pytest.raises(FileError, match=r"jobs-.*changed while it was read"):
            list(frames)


def test_a_store_that_is_compacted_while_it_is_read_says_so(store):
    store.add(some("a1"))
    store.add(some("a2"))
    frames = scan(store, ["tag"])
    store.compact()
    with pytest.raises(FileError, match=r"compacted.*ask again"):
        list(frames)
    assert len(one(store, ["tag"])) == 2


def test_texts_of_a_store_are_read_where_one_row_tells_them(store):
    store.add(some("a1").assign(bitrate=pd.Series(["64"], dtype=TEXT)))
    store.add(some("a2"))
    frame = one(store, ["job_id", "bitrate"]).set_index("job_id")["bitrate"].astype(object)
    assert frame["a1"] == "64"
    assert pd.isna(frame["a2"])
    store.add(some("a1", observed_ms=OBSERVED_MS + 1000))
    with pytest.raises(FileError, match=r"may hold 'bitrate' of a job in another row.*compact\(\)"):
        scan(store, ["bitrate"])
    assert len(one(store, ["job_id"])) == 2
    store.compact()
    assert one(store, ["job_id", "bitrate"]).set_index("job_id")["bitrate"].astype(object)["a1"] == "64"
    with pytest.raises(FrameError, match=r"No part .* has 'shop'"):
        scan(store, ["shop"])


def test_a_scan_of_a_folder_is_the_frame_of_one_row_a_job(folder):
    write_jobs(some("a2", observed_ms=OBSERVED_MS + 1000, message="later"), folder / "3.parquet")
    with warnings.catch_warnings(action="ignore"):
        frame = one(folder, ALL)
        every = [pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))]
        expected = one_row_a_job(conform(pd.concat(every, ignore_index=True)))
    pd.testing.assert_frame_equal(frame, expected.reset_index(drop=True))
