"""JobStore: which observation counts, which file is a part, and what becomes of every other file."""

import errno
import json
import os
import shutil
import time
import warnings

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cosai_nb.errors import CosaiWarning, FileError, FrameError, SettingsError
from cosai_nb.schema import COLUMNS, WIRE, Record
from cosai_nb.stats.latency import queue_latency
from cosai_nb.table import store as store_module
from cosai_nb.table.dtypes import TEXT
from cosai_nb.table.frame import frame_of
from cosai_nb.table.notes import listed_windows, mark_listed
from cosai_nb.table.store import FORMAT, PART_NAME, JobStore, as_store, stack

T0 = 1_790_000_000_000
NAMES = [column.name for column in WIRE]


def observation(job_id, state, at_s=0, **texts):
    known = {"job_id": job_id, "state": state, "creation_time": "2026-09-21T00:00:00+0800", **texts}
    return Record(job_id, "job", T0 + at_s * 1000, None, tuple(known.get(name) for name in NAMES))


def absent(job_id, at_s=0):
    return Record(job_id, "not_found", T0 + at_s * 1000)


def parts_of(folder):
    return sorted(path.name for path in folder.glob("*.parquet"))


@pytest.fixture
def store(tmp_path):
    return JobStore(tmp_path / "jobs")


def test_a_later_observation_wins_whatever_the_order_of_the_parts(store):
    store.add(frame_of([observation("a1", "Running", 60)]))
    store.add(frame_of([observation("a1", "Submitted", 0)]))
    assert store.jobs()[["job_id", "state"]].to_numpy().tolist() == [["a1", "Running"]]


def test_an_ended_job_beats_a_later_observation_of_one_that_has_not(store):
    # two notebooks: one machine's answer was slow and is stored late, or a proxy answered from its cache
    store.add(
        frame_of(
            [observation("a1", "Success", 0), observation("a2", "Failed", 5), observation("a2", "Success", 9)]
        )
    )
    store.add(frame_of([observation("a1", "Running", 60), observation("a2", "Submitted", 60)]))
    assert store.jobs().set_index("job_id")["outcome"].to_dict() == {"a1": "success", "a2": "success"}


def test_within_one_second_a_job_that_runs_is_newer_than_one_that_waits(store):
    store.add(frame_of([observation("a1", "Running"), observation("a1", "Submitted")]))
    assert store.jobs()["state"].tolist() == ["Running"]


def test_a_forgotten_job_keeps_its_last_observation(store):
    store.add(
        frame_of(
            [
                observation("a1", "Running", 0),
                observation("a2", "Success", 0),
                observation("a3", "Running", 90),
            ]
        )
    )
    store.add(frame_of([absent("a1", 60), absent("a2", 60), absent("a3", 60), absent("a4", 60)]))
    jobs = store.jobs().set_index("job_id")
    assert jobs["outcome"].to_dict() == {"a1": "running", "a2": "success", "a3": "running", "a4": "not_found"}
    assert jobs["forgotten"].to_dict() == {"a1": True, "a2": True, "a3": False, "a4": False}
    seen = pd.Timestamp(T0, unit="ms", tz="UTC")
    assert jobs.loc["a1", "last_seen"] == seen
    assert jobs.loc["a3", "last_seen"] == seen + pd.Timedelta("90s")
    assert pd.isna(jobs.loc["a4", "last_seen"])


def test_jobs_is_the_frame_and_two_columns(store):
    store.add(frame_of([observation("a1", "Success")]))
    jobs = store.jobs()
    assert [*jobs.columns] == [*COLUMNS, "last_seen", "forgotten"]
    dtypes = {name: str(dtype) for name, dtype in jobs.dtypes.items()}
    assert dtypes["last_seen"] == dtypes["observed_at"] == "datetime64[ms, UTC]"
    assert dtypes["forgotten"] == "bool"
    pd.testing.assert_frame_equal(jobs[[*COLUMNS]], frame_of([observation("a1", "Success")]))


def test_an_empty_store_gives_an_empty_frame_with_all_columns(store):
    assert store.jobs().shape == (0, len(COLUMNS) + 2)
    assert store.jobs()["queue_latency_s"].dtype == "float64"
    assert store.ended_ids(["a1"]) == set()
    assert store.compact() == 0


def test_rows_that_tell_of_no_job_are_not_stored(store):
    jobs = frame_of(
        [Record("..", "invalid_id", error="x"), Record("a1", "unread", error="down"), absent("a2")]
    )
    assert store.add(jobs) == 1
    assert store.jobs()["job_id"].tolist() == ["a2"]


def test_ended_ids_are_those_that_need_not_be_asked(store):
    states = ["Success", "Failed", "Cancel", "Running", "Submitted", "Pause", "Paused2"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CosaiWarning)
        store.add(frame_of([observation(f"a{number}", state) for number, state in enumerate(states)]))
    store.add(frame_of([absent("a9")]))
    assert store.ended_ids() == {"a0", "a1", "a2"}
    assert store.ended_ids(["a1", "a3", "elsewhere"]) == {"a1"}


def test_only_some_jobs_can_be_read(store):
    store.add(frame_of([observation(f"a{number}", "Success") for number in range(9)]))
    assert store.jobs(["a3", "a7", "none"])["job_id"].tolist() == ["a3", "a7"]


def test_the_same_observations_twice_are_one_file(store):
    jobs = frame_of([observation("a1", "Success")])
    store.add(jobs)
    store.add(jobs)
    [name] = parts_of(store.folder)
    assert PART_NAME.fullmatch(name)


def test_plain_readers_see_the_rows(store):
    store.add(frame_of([observation("a1", "Success", tag="Translation")]))
    store.add(frame_of([observation("a2", "Running")]))
    mark_listed(store.folder, "scope", [(0, 3600)])
    shutil.copytree(store.folder, store.folder / "_set-aside")  # whatever stands aside must not be read
    assert set(pd.read_parquet(store.folder)["job_id"]) == {"a1", "a2"}
    assert pq.read_table(store.folder).num_rows == 2
    found = duckdb.sql(
        f"select job_id, tag from read_parquet('{store.folder}/*.parquet') where outcome = 'success'"
    )
    assert found.fetchall() == [("a1", "Translation")]


def test_compaction_leaves_one_part_and_the_same_jobs(store):
    for number in range(6):
        store.add(
            frame_of(
                [
                    observation("a1", "Running", number),
                    observation(f"b{number}", "Success"),
                    absent("a2", number),
                ]
            )
        )
    store.add(frame_of([absent("a1", 99)]))
    before = store.jobs()
    assert store.compact() == 7
    assert len(parts_of(store.folder)) == 1
    pd.testing.assert_frame_equal(store.jobs(), before)
    pd.testing.assert_frame_equal(JobStore(store.folder).jobs(), before)
    assert len(pd.read_parquet(store.folder)) == 9  # a1 and its absence, a2, six b
    assert store.compact() == 0


def test_compaction_keeps_parts_that_come_meanwhile(store, monkeypatch):
    store.add(frame_of([observation("a1", "Running")]))
    store.add(frame_of([observation("a1", "Success", 5)]))
    from cosai_nb.table import store as module

    write = module.write_part

    def write_late(folder, observations):
        write(folder, frame_of([observation("late", "Success")]))
        return write(folder, observations)

    monkeypatch.setattr(module, "write_part", write_late)
    store.compact()
    assert set(store.jobs()["job_id"]) == {"a1", "late"}


def test_a_reader_survives_a_compaction_between_listing_and_reading(store, monkeypatch):
    store.add(frame_of([observation("a1", "Running")]))
    store.add(frame_of([observation("a2", "Success")]))
    reader = JobStore(store.folder)
    from cosai_nb.table import store as module

    read, calls = module.read_parts, []

    def read_late(*args, **settings):
        if not calls:
            calls.append(1)
            with monkeypatch.context() as patch:
                patch.setattr(module, "read_parts", read)
                store.compact()
        return read(*args, **settings)

    monkeypatch.setattr(module, "read_parts", read_late)
    assert set(reader.jobs()["job_id"]) == {"a1", "a2"}


def spoil(path, kind):
    content = path.read_bytes()
    if kind == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "flipped":
        path.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    else:
        path.write_text("<html>")


@pytest.mark.parametrize("kind", ["cut", "empty", "flipped", "foreign"])
def test_a_part_that_no_longer_fits_its_name_is_set_aside_and_named(store, kind):
    store.add(frame_of([observation("a1", "Success")]))
    [name] = parts_of(store.folder)
    store.add(frame_of([observation("a2", "Success")]))
    spoil(store.folder / name, kind)
    content = (store.folder / name).read_bytes()
    with pytest.warns(CosaiWarning, match=f"{name}.*cut or was changed.*_set-aside"):
        jobs = JobStore(store.folder).jobs()
    assert jobs["job_id"].tolist() == ["a2"]
    assert (store.folder / "_set-aside" / name).read_bytes() == content
    assert JobStore(store.folder).jobs()["job_id"].tolist() == ["a2"]  # said once, then quiet


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.EMFILE])
@pytest.mark.parametrize("checked", [False, True])
def test_a_part_that_cannot_be_read_now_is_named_and_stays(store, monkeypatch, number, checked):
    store.add(frame_of([observation("a1", "Success")]))
    [name] = parts_of(store.folder)
    reader = store if checked else JobStore(store.folder)
    plain = type(store.folder).open

    def refuse(path, *args, **settings):
        if path.name == name:
            raise OSError(number, os.strerror(number))
        return plain(path, *args, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(type(store.folder), "open", refuse)
        with pytest.raises(FileError, match=f"{name}.*{os.strerror(number)}.*nothing was moved"):
            reader.jobs()
    assert parts_of(store.folder) == [name]
    assert not (store.folder / "_set-aside").exists()
    assert reader.jobs()["job_id"].tolist() == ["a1"]


@pytest.mark.parametrize("kind", ["cut", "empty", "foreign"])
@pytest.mark.parametrize("ask", [JobStore.jobs, JobStore.ended_ids, lambda store: store.jobs(["a2"])])
def test_a_part_damaged_after_it_was_checked_is_set_aside_too(store, kind, ask):
    store.add(frame_of([observation("a1", "Success")]))
    [name] = parts_of(store.folder)
    store.add(frame_of([observation("a2", "Success")]))
    assert len(store.jobs()) == 2
    spoil(store.folder / name, kind)
    with pytest.warns(CosaiWarning, match=f"{name}.*cut or was changed.*_set-aside"):
        assert len(ask(store)) == 1
    assert store.jobs()["job_id"].tolist() == ["a2"]


def test_a_part_that_fits_its_name_and_cannot_be_read_is_named(store):
    store.add(frame_of([observation("a1", "Success")]))
    path = store.folder / parts_of(store.folder)[0]
    table = pq.read_table(path)
    place = table.schema.get_field_index("job_level")
    table = table.set_column(place, "job_level", pa.array(["high"]))
    pq.write_table(table, store.folder / "new.parquet")
    strange = renamed_to_fit(store.folder / "new.parquet")
    with pytest.raises(FileError, match=f"{strange.name}.*high"):
        store.jobs()
    assert strange.exists()


def test_a_question_about_few_jobs_reads_few_parts(store, monkeypatch):
    monkeypatch.setattr(store_module, "_GROUP_ROWS", 4)
    for letter in "abc":
        store.add(frame_of([observation(f"{letter}{number}", "Success", number) for number in range(10)]))
    store.add(frame_of([observation("b7", "Running", 60), absent("b7", 90)]))
    whole = store.jobs()
    read, log = store_module._fitted, []

    def logged(table, schema, number):
        log.append((len(table), len(schema)))
        return read(table, schema, number)

    monkeypatch.setattr(store_module, "_fitted", logged)
    wanted = ["b7", "b3", "c9", "none"]
    few = store.jobs(wanted)
    rows = sum(rows for rows, columns in log if columns > len(COLUMNS))
    assert rows <= 4 + 4 + 4 + 2  # of 32: two row groups of b, one of c, the last part
    expected = whole[whole["job_id"].isin(wanted)].reset_index(drop=True)
    assert few["job_id"].tolist() == expected["job_id"].tolist() == ["b3", "b7", "c9"]
    assert few["forgotten"].tolist() == expected["forgotten"].tolist() == [False, True, False]
    store.compact()
    assert store.ended_ids(wanted) == {"b3", "b7", "c9"}
    assert store.jobs(wanted)["job_id"].tolist() == ["b3", "b7", "c9"]


def test_observations_of_a_window_are_read_in_short(store):
    times = ["2026-09-21T00:00:00+0800", "2026-09-21T00:59:59+0800", "2026-09-21T01:00:00+0800", "-", "-"]
    states = ["Success", "Running", "Success", "Success", "Running"]
    store.add(
        frame_of(
            [
                *(
                    observation(f"a{number}", state, creation_time=created, queue_id="p1")
                    for number, (created, state) in enumerate(zip(times, states, strict=True))
                ),
                absent("a9"),
            ]
        )
    )
    start = 1_789_920_000  # 2026-09-21T00:00:00+0800
    observations = store.created_between(start, start + 3600)
    assert observations["job_id"].tolist() == ["a0", "a1", "a3"]
    assert [*observations.columns] == ["job_id", "tag", "queue_id", "bucket", "outcome", "creation_time"]


def test_a_foreign_parquet_file_is_set_aside_and_other_files_stay(store):
    store.add(frame_of([observation("a1", "Success")]))
    pd.DataFrame({"x": [1]}).to_parquet(store.folder / "trips.parquet")
    (store.folder / "notes.txt").write_text("mine")
    with pytest.warns(CosaiWarning, match=r"trips\.parquet.*no part of this store"):
        assert len(store.jobs()) == 1
    assert (store.folder / "_set-aside" / "trips.parquet").exists()
    assert (store.folder / "notes.txt").read_text() == "mine"


def test_a_second_foreign_file_of_one_name_overwrites_nothing(store):
    store.add(frame_of([observation("a1", "Success")]))
    for text in ("one", "two"):
        (store.folder / "trips.parquet").write_text(text)
        with pytest.warns(CosaiWarning, match=r"trips\.parquet"):
            store.jobs()
    kept = {path.read_text() for path in (store.folder / "_set-aside").iterdir()}
    assert kept == {"one", "two"}


def renamed_to_fit(path):
    import hashlib

    digest = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    return path.rename(path.with_name(f"jobs-{digest}.parquet"))


@pytest.mark.parametrize(
    ("metadata", "said"),
    [({b"cosai_nb.store": str(FORMAT + 1).encode()}, "newer cosai_nb"), ({}, "no part of this store")],
)
def test_a_part_of_another_format_is_set_aside(store, metadata, said):
    store.add(frame_of([observation("a1", "Success")]))
    table = pq.read_table(store.folder / parts_of(store.folder)[0]).replace_schema_metadata(metadata)
    pq.write_table(table, store.folder / "new.parquet")
    alien = renamed_to_fit(store.folder / "new.parquet")
    with pytest.warns(CosaiWarning, match=said):
        assert len(store.jobs()) == 1
    assert (store.folder / "_set-aside" / alien.name).exists()


def test_a_part_with_fewer_and_other_columns_of_this_format_is_read(store):
    store.add(frame_of([observation("a1", "Success", tag="Translation")]))
    path = store.folder / parts_of(store.folder)[0]
    table = pq.read_table(path)
    table = table.drop_columns(["user_data"]).append_column("later_column", pa.array([1]))
    path.unlink()
    pq.write_table(table, store.folder / "old.parquet")
    renamed_to_fit(store.folder / "old.parquet")
    jobs = JobStore(store.folder).jobs()
    assert jobs["tag"].tolist() == ["Translation"]
    assert jobs["user_data"].isna().all()


def test_what_a_killed_writer_left_is_set_aside_when_it_is_surely_dead(store):
    store.add(frame_of([observation("a1", "Success")]))
    old, young = (store.folder / f".jobs-{name}.parquet.0.tmp" for name in ("old", "young"))
    old.write_bytes(b"PAR1")
    young.write_bytes(b"PAR1")
    os.utime(old, (time.time() - 7200,) * 2)
    with pytest.warns(CosaiWarning, match="half-written"):
        store.jobs()
    assert young.exists()
    assert not old.exists()
    assert (store.folder / "_set-aside" / old.name).exists()


def test_a_folder_of_other_parquet_files_is_refused_untouched(tmp_path):
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "trips.parquet")
    with pytest.raises(FileError, match=r"holds trips\.parquet"):
        JobStore(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["trips.parquet"]


def test_a_file_is_no_store(tmp_path):
    (tmp_path / "jobs").write_text("x")
    with pytest.raises(FileError, match="cannot be a store"):
        JobStore(tmp_path / "jobs")


def test_windows_are_remembered_by_scope_and_survive_damage(store):
    mark_listed(store.folder, "b p q t", [(0, 3600, 7), (7200, 9000, 0)])
    mark_listed(store.folder, "b p q t", [(3600, 7200, 2)])
    mark_listed(store.folder, "other", [(1, 2, 0)])
    again = JobStore(store.folder)
    assert sorted(listed_windows(again.folder, ["b p q t"])["b p q t"]) == [
        (0, 3600, 7),
        (3600, 7200, 2),
        (7200, 9000, 0),
    ]
    for path in (store.folder / "_listed").glob("*.json"):
        if [0, 3600, 7] in json.loads(path.read_text())["windows"]:
            path.write_text(
                '{"scope": "b p q t", "windows": [[0, 99999999, 0]]}'
            )  # a wrong window would lose jobs
    assert listed_windows(again.folder, ["b p q t"])["b p q t"] == [(3600, 7200, 2)]


@pytest.mark.parametrize("content", [b'{"scope": "s", "windows": [[0, 3600]]}', b'{"scope": "s"}', b"[]"])
def test_windows_that_do_not_say_how_many_jobs_they_held_are_passed_over(store, content):
    from pathlib import Path

    from cosai_nb.table.notes import digest

    mark_listed(store.folder, "s", [(3600, 7200, 2)])
    Path(store.folder, "_listed", f"{digest(content)}.json").write_bytes(content)
    assert listed_windows(store.folder, ["s", "t"]) == {"s": [(3600, 7200, 2)], "t": []}


def test_a_store_that_is_gone_does_not_look_like_one_without_windows(store):
    shutil.rmtree(store.folder)
    with pytest.raises(FileError, match="the folder is gone"):
        listed_windows(store.folder, ["s"])
    with pytest.raises(FileError, match="cannot be read"):
        store.jobs()


def test_what_cannot_be_meant_is_refused(store):
    for ask in (store.jobs, store.ended_ids):
        for job_ids in ("a1", 7):
            with pytest.raises(SettingsError, match=r"job_ids is (str|int): pass a list of IDs"):
                ask(job_ids)
    with pytest.raises(FrameError, match="This is list, no DataFrame"):
        store.add([observation("a1", "Success")])
    for name in (JobStore, as_store):
        for path in ("", 3, b"jobs"):
            with pytest.raises(SettingsError, match=rf"^{path!r} is no path: name a file or folder"):
                name(path)


# --- texts beyond the schema ---


def with_texts(job_id, state, at_s=0, **texts):
    seen = observation(job_id, state, at_s)
    return frame_of([seen._replace(values=(*seen.values, *texts.values()))], [*texts])


def test_texts_that_were_queried_on_top_are_kept_and_returned(store):
    store.add(with_texts("a1", "Success", bitrate="128000"))
    store.add(frame_of([observation("a2", "Success")]))
    jobs = store.jobs()
    assert [*jobs.columns] == [*COLUMNS, "bitrate", "last_seen", "forgotten"]
    assert jobs["bitrate"].fillna("-").tolist() == ["128000", "-"]
    assert store.jobs(["a1"])["bitrate"].tolist() == ["128000"]
    assert JobStore(store.folder).jobs()["bitrate"].dtype == jobs["job_id"].dtype


@pytest.mark.parametrize("compact", [False, True])
def test_an_ended_job_counts_only_where_it_was_queried_with_all_the_texts(store, compact):
    store.add(frame_of([observation("a1", "Success")]))
    store.add(
        with_texts("a2", "Success", bitrate=None)
    )  # the answer has no such node, and it need not be asked again
    store.add(with_texts("a3", "Running", bitrate="1"))
    store.add(with_texts("a4", "Failed", bitrate="2", codec="aac"))
    store.add(frame_of([absent("a9")]))
    if compact:
        before = store.jobs()
        store.compact()
        pd.testing.assert_frame_equal(store.jobs(), before)
        assert store.compact() == 0
    for reader in (store, JobStore(store.folder)):
        assert reader.ended_ids() == {"a1", "a2", "a4"}
        assert reader.ended_ids(columns=["bitrate"]) == {"a2", "a4"}
        assert reader.ended_ids(["a1", "a4"], columns=["bitrate", "codec"]) == {"a4"}
        assert reader.ended_ids(columns=["never"]) == set()


@pytest.mark.parametrize("compact", [False, True])
def test_texts_of_several_queries_stand_in_one_row(store, compact):
    store.add(with_texts("a1", "Success", 0, bitrate="1", old="x"))
    store.add(with_texts("a1", "Success", 9, codec="aac"))
    store.add(with_texts("a1", "Success", 5, bitrate="2"))
    if compact:
        assert store.compact() == 3
        assert len(parts_of(store.folder)) == 1
    [row] = store.jobs()[["bitrate", "codec", "old"]].to_numpy().tolist()
    assert row == ["2", "aac", "x"]
    assert store.ended_ids(columns=["bitrate", "codec", "old"]) == {"a1"}


def test_within_one_second_the_observation_with_more_texts_counts(store):
    store.add(with_texts("a1", "Success", bitrate="1"))
    store.add(frame_of([observation("a1", "Success")]))
    assert store.ended_ids(columns=["bitrate"]) == {"a1"}
    assert store.jobs()["bitrate"].tolist() == ["1"]


def test_columns_of_ones_own_that_are_no_text_are_not_kept(store):
    team = pd.array(["red"], dtype=TEXT)  # pandas 2 makes objects of a list of texts
    store.add(frame_of([observation("a1", "Success")]).assign(cost=[1.5], forgotten=[True], team=team))
    assert [*store.jobs().columns] == [*COLUMNS, "team", "last_seen", "forgotten"]
    store.add(store.jobs())
    assert [*store.jobs().columns] == [*COLUMNS, "team", "last_seen", "forgotten"]


def test_frames_with_different_texts_are_stacked(store):
    both = stack(
        [with_texts("a1", "Success", bitrate="1"), store.jobs(), frame_of([observation("a2", "Running")])]
    )
    assert both["job_id"].tolist() == ["a1", "a2"]
    assert both["bitrate"].fillna("-").tolist() == ["1", "-"]


def test_names_of_queues_are_kept_and_the_newest_name_counts(tmp_path):
    jobs = frame_of(
        [observation("a1", "Success", queue_id="p1"), observation("a2", "Success", queue_id="p2")]
    )
    store = JobStore(tmp_path)
    store.add(jobs)
    assert "queue_name" not in store.jobs()
    store.name_queues({"p1": "nightly", "p2": None})
    store.name_queues({"p1": "nights"})
    store.add(jobs.assign(queue_name=["nights", "days"]))
    assert store.queue_names == {"p1": "nights", "p2": "days"}
    assert store.jobs().set_index("job_id")["queue_name"].to_dict() == {"a1": "nights", "a2": "days"}
    by_name = queue_latency(tmp_path, by="queue_name")
    assert by_name["jobs"].to_dict() == {"days": 1, "nights": 1}
    assert pd.read_parquet(tmp_path)["job_id"].nunique() == 2
