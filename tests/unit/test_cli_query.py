"""``cosai-nb query``, ``list`` and ``report``: what is written, what is said, what the exit code is; Ctrl-C keeps what was read."""

import io
import os
import signal
import subprocess
import sys
import time

import pytest

from cosai_nb import cli
from cosai_nb.cli.ask import read_ids
from cosai_nb.emulator import Emulator, Fault, Scenario
from cosai_nb.table.files import read_jobs
from cosai_nb.table.store import JobStore


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7, scenario=Scenario(jobs=600)) as running:
        yield running


@pytest.fixture
def here(emulator, tmp_path, monkeypatch):
    """Stand in an empty folder, with the emulator in the environment and its IDs in a file."""
    for name, value in emulator.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ids.txt").write_text("# our jobs\n\n" + "\n".join(emulator.job_ids) + "\n")
    emulator.set_time(emulator.workload.scenario.start.timestamp() + 9 * 86_400)
    emulator.requests.clear()
    return tmp_path


def test_ids_come_from_files_from_standard_input_and_from_the_command_line(here, monkeypatch):
    (here / "more.txt").write_text("\ufeff# head\na1\r\n\n  a2  \n", encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a3\na4\n")))
    assert read_ids(["more.txt", "a8f3e1c2d4b5", "-"]) == ["a1", "a2", "a8f3e1c2d4b5", "a3", "a4"]
    (here / "a8f3e1c2d4b5").write_text("a5\n")  # a file of that name wins
    assert read_ids(["a8f3e1c2d4b5"]) == ["a5"]
    monkeypatch.setenv("HOME", str(here))
    assert read_ids(["~/more.txt"]) == ["a1", "a2"]


def test_a_file_of_ids_that_is_not_there_is_named(here, emulator, capsys):
    for name in ("gone.txt", "gone"):
        assert cli.main(["query", name, "-o", "jobs.csv"]) == 3
        assert name in capsys.readouterr().err
    assert not emulator.requests


@pytest.mark.parametrize("output", ["jobs.ods", "no/such/jobs.parquet", "folder.csv"])
def test_a_destination_that_cannot_be_written_is_refused_before_anything_is_asked(
    here, emulator, capsys, output
):
    (here / "folder.csv").mkdir()
    assert cli.main(["query", "ids.txt", "-o", output]) == 3
    assert output in capsys.readouterr().err
    assert len(emulator.requests) == 0


def test_query_writes_a_file_and_a_store_and_asks_once(here, emulator, capsys):
    assert cli.main(["query", "ids.txt", "-o", "jobs.parquet", "--store", "kept"]) == 0
    assert "600 jobs in jobs.parquet and kept: " in capsys.readouterr().out
    assert read_jobs("jobs.parquet")["job_id"].tolist() == emulator.job_ids
    waiting = (~read_jobs("jobs.parquet")["outcome"].isin(["success", "failed", "cancelled"])).sum()
    emulator.requests.clear()
    assert cli.main(["query", "ids.txt", "--store", "kept"]) == 0
    assert len(emulator.requests) <= waiting
    assert len(JobStore("kept").jobs()) == 600


@pytest.mark.parametrize("command", [["query", "ids.txt"], ["list", "--tag", "T", "--queue", "q"]])
def test_what_is_read_must_go_somewhere(here, emulator, capsys, command):
    with pytest.raises(SystemExit) as caught:
        cli.main(command)
    assert caught.value.code == 2
    assert "say where to leave the jobs" in capsys.readouterr().err
    assert not emulator.requests


def test_denied_is_3_with_the_reason_and_no_file(here, monkeypatch, capsys):
    monkeypatch.setenv("COS_SECRET_KEY", "wrong")
    assert cli.main(["query", "ids.txt", "-o", "jobs.parquet"]) == 3
    shown = capsys.readouterr()
    assert "denied" in shown.err
    assert "wrong" not in shown.err
    assert not (here / "jobs.parquet").exists()


def test_ids_that_could_not_be_read_are_3_and_the_rest_is_saved(here, monkeypatch, capsys):
    with Emulator(seed=7, scenario=Scenario(jobs=600)) as emulator:
        unreadable = Fault(kind="html", path=emulator.job_ids[0])  # in a list, too
    with Emulator(seed=7, scenario=Scenario(jobs=600), faults=[unreadable]) as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        assert cli.main(["query", "ids.txt", "-o", "jobs.parquet"]) == 3
    shown = capsys.readouterr()
    assert "IDs were not read" in shown.err
    jobs = read_jobs("jobs.parquet")
    assert len(jobs) == 600
    assert 0 < (jobs["outcome"] == "unread").sum() < 600


def test_list_writes_what_query_writes(here, emulator, capsys):
    cli.main(["query", "ids.txt", "-o", "queried.parquet"])
    queue = emulator.queue_ids[1]
    command = [
        "list",
        "--tag",
        "SpeechRecognition",
        "--queue",
        queue,
        "--start",
        "2026-11-02",
        "--end",
        "2026-11-09",
    ]
    assert cli.main([*command, "-o", "listed.csv"]) == 0
    queried = read_jobs("queried.parquet")
    expected = queried[queried["queue_id"] == queue].sort_values(["creation_time", "job_id"])
    assert read_jobs("listed.csv")["job_id"].tolist() == expected["job_id"].tolist()
    assert cli.main([*command, "--state", "Failed", "--state", "Cancel", "--store", "kept"]) == 0
    told = capsys.readouterr().out.splitlines()[-1]
    assert (
        told
        == f"{(expected['outcome'] == 'failed').sum()} jobs in kept: {(expected['outcome'] == 'failed').sum()} failed"
    )


def test_list_says_what_is_wrong_with_its_times(here, capsys):
    assert (
        cli.main(
            ["list", "--tag", "T", "--queue", "q", "--start", "noon", "--end", "2026-11-09", "-o", "x.csv"]
        )
        == 2
    )
    assert "start='noon' is no time" in capsys.readouterr().err


def test_report_of_a_store_and_of_a_file(here, capsys):
    cli.main(["query", "ids.txt", "-o", "jobs.parquet", "--store", "kept"])
    for source in (["--store", "kept"], ["jobs.parquet"]):
        assert cli.main(["report", *source, "-o", "out.html", "--title", "Ours <b>"]) == 0
        page = (here / "out.html").read_text(encoding="utf-8")
        assert "<h1>Ours &lt;b&gt;</h1>" in page
        (here / "out.html").unlink()
    assert "600 jobs in" in capsys.readouterr().out


def test_report_of_nothing_is_3_and_makes_no_folder(here, capsys):
    assert cli.main(["report", "--store", "gone", "-o", "out.html"]) == 3
    assert "There is no store gone" in capsys.readouterr().err
    assert not list(here.glob("gone")) + list(here.glob("out.html"))


@pytest.mark.slow
def test_ctrl_c_saves_what_was_read_and_the_next_run_goes_on(here):
    # at 8,000 bytes a second a list of ten jobs takes a second and a half
    slow = Fault(kind="drip_body", bytes_per_s=8_000)
    with Emulator(seed=7, scenario=Scenario(jobs=600), faults=[slow]) as emulator:
        ids = emulator.job_ids
        (here / "ids.txt").write_text("\n".join(ids))
        process = subprocess.Popen(
            [sys.executable, "-m", "cosai_nb", "query", "ids.txt", "-o", "jobs.parquet", "--store", "kept"],
            env=os.environ | emulator.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        until = time.monotonic() + 60
        while len(emulator.requests) < 20 and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert "600 jobs in jobs.parquet and kept" in out
    jobs = read_jobs("jobs.parquet")
    stored = JobStore("kept").jobs()
    read = jobs.loc[jobs["outcome"] != "unread", "job_id"]
    assert 0 < len(read) < 600
    assert set(stored["job_id"]) == set(read)
