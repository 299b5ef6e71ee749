"""One file a frame: what is written, what is refused, and that a failed write loses nothing."""

import csv
import errno
import gc
import io
import json
import os
import stat
import sys
import threading
from pathlib import Path

import pandas as pd
import pyarrow.csv
import pyarrow.parquet
import pytest

import cosai_nb as cn
from cosai_nb.errors import FileError, FrameError, SettingsError
from cosai_nb.schema import COLUMNS, WIRE, Record
from cosai_nb.table.files import check_destination, read_jobs, write_jobs
from cosai_nb.table.frame import conform, frame_of
from cosai_nb.table.store import JobStore

SUFFIXES = [".parquet", ".csv", ".CSV", ".jsonl"]


def record(job_id="a1", **texts):
    given = {"job_id": job_id, "state": "Success", "creation_time": "2024-03-05T10:00:00.123+0800",
             "start_time": "2024-03-05T10:00:05+0800", "end_time": "2024-03-05T10:00:45+0800"} | texts  # fmt: skip
    return Record(job_id, "job", 1709604060_000, None, tuple(given.get(column.name) for column in WIRE))


def names_in(folder):
    return [path.name for path in folder.iterdir()]


@pytest.fixture
def jobs():
    return frame_of(
        [record(tag="Translation", job_level="9007199254740993", audio_s="0.1"), Record("a2", "not_found")]
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_frame_comes_back_as_it_was(tmp_path, jobs, suffix):
    path = tmp_path / f"jobs{suffix}"
    assert write_jobs(jobs, path) is None
    pd.testing.assert_frame_equal(read_jobs(str(path)), jobs)
    assert names_in(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_frame_comes_back_with_all_dtypes(tmp_path, suffix):
    write_jobs(frame_of([]), tmp_path / f"jobs{suffix}")
    pd.testing.assert_frame_equal(read_jobs(tmp_path / f"jobs{suffix}"), frame_of([]))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_columns_of_the_users_own_are_kept_and_the_index_is_not(tmp_path, jobs, suffix):
    mine = jobs.assign(team=["red", None], cost=[1.5, 2.5]).set_index(pd.Index(["x", "y"]))
    write_jobs(mine, tmp_path / f"jobs{suffix}")
    back = read_jobs(tmp_path / f"jobs{suffix}")
    assert list(back.columns) == [*COLUMNS, "team", "cost"]
    assert back["cost"].tolist() == [1.5, 2.5]
    assert isinstance(back.index, pd.RangeIndex)


def test_a_filtered_frame_comes_back_without_the_categories_it_no_longer_has(tmp_path, jobs):
    part = jobs[jobs["outcome"] == "not_found"]
    for suffix in (".parquet", ".csv"):
        write_jobs(part, tmp_path / f"jobs{suffix}")
        pd.testing.assert_frame_equal(
            read_jobs(tmp_path / f"jobs{suffix}"), conform(part).reset_index(drop=True)
        )


def test_the_parquet_file_is_zstd_and_typed_for_other_programs(tmp_path, jobs):
    write_jobs(jobs, tmp_path / "jobs.parquet")
    file = pyarrow.parquet.ParquetFile(tmp_path / "jobs.parquet")
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert str(file.schema_arrow.field("creation_time").type) == "timestamp[ms, tz=UTC]"


def test_a_csv_that_pandas_wrote_is_read_too(tmp_path, jobs):
    jobs.to_csv(tmp_path / "jobs.csv", index=False)
    pd.testing.assert_frame_equal(read_jobs(tmp_path / "jobs.csv"), jobs)


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_excel_safe_puts_a_quote_before_what_a_spreadsheet_runs(tmp_path, text):
    jobs = frame_of([record(user_data=text, queue_id=text, message="a=1")]).assign(**{"=own": [text]})
    write_jobs(jobs, tmp_path / "safe.csv", excel_safe=True)
    write_jobs(jobs, tmp_path / "plain.csv")
    safe, plain = read_jobs(tmp_path / "safe.csv"), read_jobs(tmp_path / "plain.csv")
    assert safe["user_data"][0] == safe["queue_id"][0] == safe["'=own"][0] == f"'{text}"
    assert plain["user_data"][0] == plain["queue_id"][0] == text
    assert safe["message"][0] == "a=1"
    assert not [
        cell
        for line in (tmp_path / "safe.csv").read_text().splitlines()
        for cell in line.split(",")
        if cell[1:2] == "="
    ]


def test_excel_safe_is_for_csv_only(tmp_path, jobs):
    with pytest.raises(FileError, match=r"jobs\.parquet is no CSV"):
        write_jobs(jobs, tmp_path / "jobs.parquet", excel_safe=True)


@pytest.mark.parametrize("name", ["jobs", "jobs.pkl", "jobs.csv.gz"])
def test_other_suffixes_are_refused_and_the_two_are_named(tmp_path, jobs, name):
    for call in (lambda: write_jobs(jobs, tmp_path / name), lambda: read_jobs(tmp_path / name)):
        with pytest.raises(FileError, match=r"\.parquet or \.csv"):
            call()


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff\xfe", b"PAR1", b"a,b\n1,2\n", b'a,b\n"1', b"a,b\n1\n", b"<html>\n"]
)
def test_a_file_that_holds_no_frame_is_named(tmp_path, suffix, content):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(content)
    with pytest.raises(FileError, match=rf"bad\{suffix} holds no jobs frame"):
        read_jobs(path)


def test_files_that_are_not_there_are_named(tmp_path, jobs):
    for suffix in (".parquet", ".csv"):
        with pytest.raises(FileError, match=rf"none\{suffix} cannot be read: No such file or directory\.$"):
            read_jobs(tmp_path / f"none{suffix}")
        with pytest.raises(FileError, match="cannot be written"):
            write_jobs(jobs, tmp_path / "no folder" / f"jobs{suffix}")


def test_a_folder_is_no_file(tmp_path, jobs):
    (tmp_path / "jobs.csv").mkdir()
    with pytest.raises(FileError, match=r"jobs\.csv cannot be written"):
        write_jobs(jobs, tmp_path / "jobs.csv")
    with pytest.raises(FileError, match=r"jobs\.csv"):
        read_jobs(tmp_path / "jobs.csv")
    assert names_in(tmp_path) == ["jobs.csv"]


def test_a_changed_value_names_file_and_column(tmp_path, jobs):
    path = tmp_path / "jobs.csv"
    write_jobs(jobs, path)
    path.write_text(path.read_text().replace("not_found", "not_fond"))
    with pytest.raises(FileError, match=r"jobs\.csv.*'outcome'"):
        read_jobs(path)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, jobs, suffix, monkeypatch):
    path = tmp_path / f"jobs{suffix}"
    write_jobs(jobs, path)
    before = path.read_bytes()

    def full(_table, file, **_options):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pyarrow.parquet, "write_table", full)
    monkeypatch.setattr(pyarrow.csv, "write_csv", full)
    with pytest.raises(FileError, match=rf"jobs\{suffix} cannot be written: No space left"):
        write_jobs(frame_of([]), path)
    assert path.read_bytes() == before
    assert names_in(tmp_path) == [path.name]


def test_an_interrupted_write_leaves_nothing_behind(tmp_path, jobs, monkeypatch):
    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(pyarrow.csv, "write_csv", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_jobs(jobs, tmp_path / "jobs.csv")
    assert names_in(tmp_path) == []


def test_what_is_no_jobs_frame_is_not_written(tmp_path, jobs):
    with pytest.raises(FrameError, match="tag"):
        write_jobs(jobs.drop(columns="tag"), tmp_path / "jobs.csv")
    with pytest.raises(FileError, match="cannot be written"):
        write_jobs(jobs.assign(own=[object(), {1}]), tmp_path / "jobs.csv")
    assert names_in(tmp_path) == []


def test_a_hive_like_folder_adds_no_columns(tmp_path, jobs):
    folder = Path(tmp_path / "team=x")
    folder.mkdir()
    write_jobs(jobs, folder / "jobs.parquet")
    pd.testing.assert_frame_equal(read_jobs(folder / "jobs.parquet"), jobs)


# --- how a file is put in its place ---


def test_a_link_is_followed_and_the_mode_stays(tmp_path, jobs):
    real = tmp_path / "real.csv"
    real.write_text("old")
    real.chmod(0o664)
    link = tmp_path / "jobs.csv"
    link.symlink_to("real.csv")
    write_jobs(jobs, link)
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o664
    pd.testing.assert_frame_equal(read_jobs(real), jobs)
    dangling = tmp_path / "later.csv"
    dangling.symlink_to("new.csv")
    write_jobs(jobs, dangling)
    assert dangling.is_symlink()
    assert (tmp_path / "new.csv").is_file()


def test_a_new_file_has_the_mode_that_the_umask_allows(tmp_path, jobs):
    write_jobs(jobs, tmp_path / "jobs.csv")
    (tmp_path / "usual").touch()
    assert (tmp_path / "jobs.csv").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_a_pipe_is_written_into_and_stays_a_pipe(tmp_path, jobs, suffix):
    pipe = tmp_path / f"jobs{suffix}"
    os.mkfifo(pipe)
    held = []
    reader = threading.Thread(target=lambda: held.append(pipe.read_bytes()))
    reader.start()
    write_jobs(jobs, pipe)
    reader.join()
    (tmp_path / f"copy{suffix}").write_bytes(held[0])
    pd.testing.assert_frame_equal(read_jobs(tmp_path / f"copy{suffix}"), jobs)
    assert pipe.is_fifo()
    check_destination(pipe)


def test_a_device_is_written_into(jobs):
    write_jobs(jobs, "/dev/null", format="csv")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_where_fsync_is_refused_files_and_stores_are_written_all_the_same(
    tmp_path, jobs, monkeypatch, number
):
    def refuse(_handle):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    write_jobs(jobs, tmp_path / "jobs.csv")
    pd.testing.assert_frame_equal(read_jobs(tmp_path / "jobs.csv"), jobs)
    store = JobStore(tmp_path / "store")
    store.add(jobs)
    assert len(store.jobs()) == 2


def test_an_fsync_that_fails_is_an_error(tmp_path, jobs, monkeypatch):
    def fail(_handle):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(FileError, match="Input/output error"):
        write_jobs(jobs, tmp_path / "jobs.csv")
    assert names_in(tmp_path) == []


def test_the_home_folder_is_where_a_tilde_points(tmp_path, jobs, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_jobs(jobs, "~/jobs.csv")
    pd.testing.assert_frame_equal(read_jobs("~/jobs.csv"), jobs)
    JobStore("~/store").add(jobs)
    cn.DurationHistogram.from_jobs(jobs).save("~/counts.parquet")
    assert sorted(names_in(tmp_path)) == ["counts.parquet", "jobs.csv", "store"]


@pytest.mark.parametrize(
    "path", ["a\0b.csv", "\ud800.csv", "~nobody-of-this-name/jobs.csv", "", 7, None, b"x.csv"]
)
def test_what_is_no_path_is_named(jobs, path):
    for call in (lambda: read_jobs(path), lambda: write_jobs(jobs, path), lambda: JobStore(path)):
        with pytest.raises(SettingsError, match="is no path"):
            call()


# --- streams and the other formats ---


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_stream_gets_what_a_file_gets_and_stays_open(tmp_path, jobs, form):
    write_jobs(jobs, tmp_path / f"jobs.{form}")
    expected = (tmp_path / f"jobs.{form}").read_bytes()
    raw, text, below = io.BytesIO(), io.StringIO(), io.BytesIO()
    over = io.TextIOWrapper(below, encoding="ascii")  # as stdout is in a bare container
    for stream in (raw, text, over):
        write_jobs(jobs.assign(message="深圳"), stream, format=form)
        assert not stream.closed
    assert raw.getvalue() == text.getvalue().encode() == below.getvalue()
    assert raw.getvalue().count(b"\n") == expected.count(b"\n")
    assert "深圳" in text.getvalue()


def test_a_stream_needs_a_format_that_there_is(jobs):
    with pytest.raises(SettingsError, match="format="):
        write_jobs(jobs, io.BytesIO())
    with pytest.raises(SettingsError, match="'pickle' is none of parquet, csv, jsonl, xlsx"):
        write_jobs(jobs, io.BytesIO(), format="pickle")
    with pytest.raises(SettingsError, match="stream of text holds no parquet: open the file with mode 'wb'"):
        write_jobs(jobs, io.StringIO(), format="parquet")


def test_what_a_stream_raises_comes_out_as_it_is(jobs):
    class Gone(io.RawIOBase):
        def writable(self):
            return True

        def write(self, _content):
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        write_jobs(jobs, Gone(), format="jsonl")


def test_json_lines_are_what_other_programs_read(tmp_path, jobs):
    write_jobs(jobs, tmp_path / "jobs.jsonl")
    first, second = map(json.loads, (tmp_path / "jobs.jsonl").read_text().splitlines())
    assert list(first) == list(COLUMNS)
    assert first["creation_time"] == "2024-03-05T02:00:00.123Z"
    assert first["observed_at"] == "2024-03-05T02:01:00.000Z"[:19] + "Z"
    assert (first["job_level"], first["timing_ok"], first["code"]) == (9007199254740993, True, None)
    assert second["queue_latency_s"] is None


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_timedelta_of_ones_own_reads_back(tmp_path, jobs, suffix):
    mine = jobs.assign(budget=pd.to_timedelta(["1h", None]), span=pd.to_timedelta(["-90.5s", "400D"]))
    write_jobs(mine, tmp_path / f"jobs{suffix}")
    back = read_jobs(tmp_path / f"jobs{suffix}")
    assert back["budget"].iloc[0] == "0 days 01:00:00"
    for name in ("budget", "span"):
        assert pd.to_timedelta(back[name]).tolist()[0] == mine[name].tolist()[0]
    assert pd.isna(back["budget"].iloc[1])


def test_whole_numbers_of_ones_own_with_gaps_stay_whole(tmp_path, jobs):
    mine = jobs.assign(ticket=pd.array([2**60 + 1, None], "Int64"))
    for suffix in (".parquet", ".csv"):
        write_jobs(mine, tmp_path / f"jobs{suffix}")
        assert read_jobs(tmp_path / f"jobs{suffix}")["ticket"].iloc[0] == 2**60 + 1


def test_a_workbook_for_which_there_is_no_room_leaves_no_tracebacks_behind(jobs, monkeypatch):
    pytest.importorskip("openpyxl")
    left_behind = []
    monkeypatch.setattr(sys, "unraisablehook", left_behind.append)
    with pytest.raises(OSError, match="No space left"), Path("/dev/full").open("wb", buffering=0) as full:
        write_jobs(jobs, full, format="xlsx")
    gc.collect()
    assert not left_behind


def test_a_workbook_holds_text_as_text_and_times_as_times(tmp_path, jobs):
    openpyxl = pytest.importorskip("openpyxl")
    write_jobs(jobs.assign(user_data=["=1+1", "a\x1bb"]), tmp_path / "jobs.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "jobs.xlsx").active
    header, first, second = sheet.iter_rows()
    cells = dict(zip([cell.value for cell in header], first, strict=True))
    assert list(cells) == list(COLUMNS)
    assert (cells["user_data"].value, cells["user_data"].data_type) == ("=1+1", "s")
    assert cells["start_time"].value == pd.Timestamp("2024-03-05 02:00:05")
    assert cells["queue_latency_s"].value == pytest.approx(4.877)
    assert second[list(COLUMNS).index("user_data")].value == "a\ufffdb"
    with pytest.raises(FileError, match="workbook, which is only written"):
        read_jobs(tmp_path / "jobs.xlsx")


def test_without_openpyxl_one_sentence_says_so(tmp_path, jobs, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    for call in (lambda path: write_jobs(jobs, path), check_destination):
        with pytest.raises(
            FileError, match=r"jobs\.xlsx cannot be written: openpyxl is missing.*cosai_nb\[excel\]"
        ):
            call(tmp_path / "jobs.xlsx")
    assert names_in(tmp_path) == []


# --- what a spreadsheet makes of a CSV ---


def saved(path, jobs, *, separator=",", encoding="utf-8-sig", quote=csv.QUOTE_MINIMAL, **edits):
    """Write the cells as a spreadsheet does: quotes only where needed, TRUE and FALSE, and what ``edits`` say."""
    write_jobs(jobs, path)
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    for row, *cells in zip(rows, *edits.values(), strict=True):
        row.update(timing_ok=row["timing_ok"].upper())
        row.update(zip(edits, cells, strict=True))
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0], delimiter=separator, quoting=quote)
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(out.getvalue().encode(encoding))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_csv_that_a_spreadsheet_saved_is_the_same_frame(tmp_path, jobs, separator, encoding):
    edits = {"queue_latency_s": ["4,877", ""]} if separator == ";" else {"tag": ["Translation", ""]}
    saved(tmp_path / "jobs.csv", jobs, separator=separator, encoding=encoding, **edits)
    pd.testing.assert_frame_equal(read_jobs(tmp_path / "jobs.csv"), jobs)


@pytest.mark.parametrize(
    "start", ["2024/3/5 2:00:05", "2024-03-05 02:00:05", "2024-03-05T02:00:05.000", "5.3.2024 02:00:05"]
)
def test_local_forms_of_dates_are_read_where_they_can_mean_one_day_only(tmp_path, jobs, start):
    end = "25.3.2024 02:00:45" if start.startswith("5.") else "2024/3/25 2:00:45"
    two = pd.concat([jobs.head(1)] * 2, ignore_index=True)
    saved(tmp_path / "jobs.csv", two, start_time=[start, start], end_time=["", ""], observed_at=[end, end])
    if start.startswith("5."):
        with pytest.raises(
            FileError, match=r"'start_time' holds '5\.3\.2024 02:00:05' in row 1; write a time"
        ):
            read_jobs(tmp_path / "jobs.csv")  # a column of days up to the 12th says nothing of its order
        return
    back = read_jobs(tmp_path / "jobs.csv")
    assert back["start_time"].tolist() == [pd.Timestamp("2024-03-05T02:00:05Z")] * 2
    assert back["observed_at"].tolist() == [pd.Timestamp("2024-03-25T02:00:45Z")] * 2


def test_the_order_of_day_and_month_is_what_one_day_beyond_the_twelfth_says(tmp_path, jobs):
    two = pd.concat([jobs.head(1)] * 2, ignore_index=True)
    for column, day in (
        (["5/3/2024 2:00:05", "25/3/2024 2:00:05"], "2024-03-05"),
        (["5/3/2024 2:00:05 AM", "5/23/2024 2:00:05 PM"], "2024-05-03"),
    ):
        saved(tmp_path / "jobs.csv", two, start_time=column)
        assert read_jobs(tmp_path / "jobs.csv")["start_time"].iloc[0] == pd.Timestamp(f"{day}T02:00:05Z")


@pytest.mark.parametrize("start", ["3/5/24 2:00", "2024/3/5 2:00", "05.03.2024", "45356.08"])
def test_times_that_lost_something_are_refused_with_column_row_and_what_to_write(tmp_path, jobs, start):
    saved(tmp_path / "jobs.csv", jobs, start_time=[start, ""])
    with pytest.raises(
        FileError, match=r"jobs\.csv holds no jobs frame: Column 'start_time' holds .*(row 1; write|numbers)"
    ):
        read_jobs(tmp_path / "jobs.csv")


def test_an_empty_truth_value_is_worked_out_again(tmp_path, jobs):
    good, early = record("a1"), record("a3", end_time="2024-03-05T10:00:01+0800")
    frame = frame_of([good, early, Record("a2", "not_found")])
    saved(tmp_path / "jobs.csv", frame, timing_ok=["", "", ""])
    assert frame["timing_ok"].tolist() == [True, False, False]
    pd.testing.assert_frame_equal(read_jobs(tmp_path / "jobs.csv"), frame)
