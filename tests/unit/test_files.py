"""One file a frame: what is written, what is refused, and that a failed write loses nothing."""

from pathlib import Path

import pandas as pd
import pyarrow.csv
import pyarrow.parquet
import pytest

from cosai_nb.errors import FileError, FrameError
from cosai_nb.schema import COLUMNS, WIRE, Record
from cosai_nb.table.files import read_jobs, write_jobs
from cosai_nb.table.frame import conform, frame_of

SUFFIXES = [".parquet", ".csv", ".CSV"]


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
