"""``report`` that remembers: --since and --keep say what changed, and --watch lists, renews the page and ends cleanly."""

import os
import re
import signal
import subprocess
import sys
import threading

import pandas as pd
import pytest

import cosai_nb as cn
from cosai_nb import cli, query
from cosai_nb.cli import read
from cosai_nb.emulator import Emulator, Scenario
from cosai_nb.errors import FileError, UnavailableError

DAY = 86_400


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7, scenario=Scenario(jobs=300)) as running:
        yield running


@pytest.fixture
def here(emulator, tmp_path, monkeypatch):
    for name, value in emulator.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    emulator.set_time(emulator.workload.scenario.start.timestamp() + 5 * DAY)
    return tmp_path


@pytest.fixture
def written(monkeypatch):
    """Replace ``write_report`` by one that notes what it was called with."""
    calls = []

    def write(jobs, path, **said):
        calls.append({"jobs": jobs, "path": path, **said})
        path.write_text("<h1>page</h1>")
        return path

    monkeypatch.setattr(cn, "write_report", write)
    return calls


def jobs_every_hour(days):
    created = pd.date_range("2026-11-01T00:30", periods=24 * days, freq="h", tz="UTC")
    texts = pd.DataFrame({
        "JobId": [f"j{number}" for number in range(len(created))], "State": "Success", "Tag": "T", "QueueId": "q1",
        "CreationTime": created, "StartTime": created, "EndTime": created,
    })  # fmt: skip
    return cn.add_timings(texts, observed_at=created[-1] + pd.Timedelta("20min"))


@pytest.fixture
def kept(here):
    cn.write_jobs(jobs_every_hour(5), here / "jobs.parquet")
    return here


# ---------------------------------------------------------------- --since and --keep


def test_since_reports_the_last_days_and_hands_over_those_before(kept, written):
    assert cli.main(["report", "jobs.parquet", "--since", "2d"]) == 0
    (call,) = written
    jobs, previous = call["jobs"]["creation_time"], call["previous"]["creation_time"]
    assert jobs.min() == pd.Timestamp("2026-11-03T23:30Z")
    assert jobs.max() == pd.Timestamp("2026-11-05T23:30Z")
    assert (previous.min(), previous.max()) == (
        pd.Timestamp("2026-11-01T23:30Z"),
        pd.Timestamp("2026-11-03T22:30Z"),
    )
    assert (call["keep"], call["every"]) == (None, None)


def test_where_nothing_is_before_a_kept_summary_takes_its_place(kept, written):
    assert cli.main(["report", "jobs.parquet", "--since", "30d", "--keep", "kept"]) == 0
    assert cli.main(["report", "jobs.parquet", "--since", "30d"]) == 0
    with_folder, without = written
    assert with_folder["previous"] is None
    assert str(with_folder["keep"]) == "kept"
    assert without["previous"].empty


def test_two_reports_that_keep_their_summary_say_what_changed(kept):
    cn.write_jobs(jobs_every_hour(3), kept / "early.parquet")
    assert cli.main(["report", "early.parquet", "--keep", "kept", "-o", "a.html"]) == 0
    assert (
        cli.main(["report", "jobs.parquet", "--start", "2026-11-04T08:00", "--keep", "kept", "-o", "b.html"])
        == 0
    )
    assert "No earlier summary is kept yet" in (kept / "a.html").read_text(encoding="utf-8")
    assert "What changed against 72 jobs" in (kept / "b.html").read_text(encoding="utf-8")
    assert len(list((kept / "kept").iterdir())) == 2


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (["jobs.parquet", "--since", "2d", "--last", "1d"], "leave out --last"),
        (["jobs.parquet", "--watch", "15m"], "--store FOLDER"),
        (["--store", "jobs", "--watch", "0"], "how often"),
        (["jobs.parquet", "--since", "soon"], "--since"),
    ],
)
def test_what_cannot_be_is_wrong_usage(kept, capsys, said, why):
    with pytest.raises(SystemExit) as ended:
        cli.main(["report", *said])
    assert ended.value.code == 2
    assert why in capsys.readouterr().err


def test_a_store_without_jobs_gives_a_page_that_says_so(here, capsys):
    cn.JobStore(here / "jobs")
    assert cli.main(["report", "--store", "jobs", "--since", "7d", "--keep", "kept", "-o", "a.html"]) == 0
    assert "there are no jobs to report on" in (here / "a.html").read_text(encoding="utf-8")


# ---------------------------------------------------------------- --watch


@pytest.fixture
def rounds(monkeypatch):
    """Let a watch end after some rounds, without waiting; ``rounds.after`` is called in each pause."""

    class Rounds:
        most, pauses = 2, []
        after = staticmethod(lambda number: None)

    def sleep(seconds):
        Rounds.pauses.append(seconds)
        Rounds.after(len(Rounds.pauses))
        if len(Rounds.pauses) >= Rounds.most:
            raise KeyboardInterrupt

    Rounds.pauses = []
    monkeypatch.setattr(read.time, "sleep", sleep)
    return Rounds


WATCH = ["report", "--store", "jobs", "--watch", "15m", "-o", "page.html"]


def test_a_watch_lists_what_is_new_and_says_what_it_did(here, emulator, written, rounds, capsys):
    rounds.after = lambda number: emulator.set_time(
        emulator.workload.scenario.start.timestamp() + (5 + number) * DAY
    )
    assert cli.main(WATCH) == 0
    first, second = (len(call["jobs"]) for call in written)
    assert 0 < first < second
    assert {call["every"] for call in written} == {900.0}
    assert 880 < rounds.pauses[0] <= 900
    out = capsys.readouterr().out
    assert f"{second - first:,} new" in out
    assert (
        out.splitlines()[-1] == f"watch ended: page written 2 times, {second:,} new jobs in the store jobs."
    )
    assert len(cn.JobStore(here / "jobs").jobs()) == second


def test_unfinished_jobs_that_the_window_does_not_list_are_queried_again(here, emulator, written, rounds):
    store = cn.JobStore(here / "jobs")
    emulator.set_time(emulator.workload.scenario.start.timestamp() + 2 * DAY)
    early = cn.list_jobs(store=store, client=emulator.client())
    open_ = early.loc[~early["outcome"].isin(["success", "failed", "cancelled"]), "job_id"]
    assert len(open_)
    emulator.set_time(emulator.workload.scenario.start.timestamp() + 6 * DAY)
    rounds.most = 1
    assert cli.main([*WATCH, "--last", "1d"]) == 0
    now = cn.JobStore(here / "jobs").jobs(open_)
    assert now["outcome"].isin(["success", "failed", "cancelled"]).all()


def test_a_listing_that_fails_is_told_once_and_the_watch_goes_on(here, written, rounds, monkeypatch, capsys):
    real, fails = query.list_jobs, iter([True, True, False, True])

    def listing(**said):
        if next(fails):
            raise UnavailableError(f"The service did not answer (request {len(rounds.pauses)}a7f).")
        return real(**said)

    monkeypatch.setattr(query, "list_jobs", listing)
    rounds.most = 4
    assert cli.main(WATCH) == 0
    assert len(written) == 4
    told = capsys.readouterr().err
    assert told.count("The service did not answer") == 2  # the second after a listing that went well
    assert "The watch goes on." in told


def test_a_page_that_cannot_be_written_is_told_once_and_tried_again(here, rounds, monkeypatch, capsys):
    tries = []

    def write(jobs, path, **said):
        tries.append(path)
        if len(tries) < 3:
            raise FileError(
                "The page cannot be written to page.html (No space left on device); name another file."
            )
        return path

    monkeypatch.setattr(cn, "write_report", write)
    rounds.most = 3
    assert cli.main(WATCH) == 0
    printed = capsys.readouterr()
    assert printed.err.count("No space left") == 1
    assert "page written 1 time," in printed.out


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda here: ["-o", "nowhere/page.html"], "there is no folder"),
        (lambda here: (here / "file").write_text("x") and ["--store", "file"], "cannot be a store"),
    ],
)
def test_a_watch_that_can_never_write_ends_at_once(here, rounds, capsys, change, why):
    assert cli.main([*WATCH, *change(here)]) == 3
    assert why in capsys.readouterr().err
    assert rounds.pauses == []


def test_wrong_settings_end_a_watch(here, rounds, capsys):
    assert cli.main([*WATCH, "--queue", "nosuch"]) == 2
    assert "is no queue of this bucket" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that a program can answer")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_watch_cleanly(here, emulator, number):
    command = [
        sys.executable,
        "-m",
        "cosai_nb",
        "report",
        "--store",
        "jobs",
        "--watch",
        "1h",
        "-o",
        "page.html",
        "--keep",
        "kept",
    ]
    process = subprocess.Popen(
        command,
        env=os.environ | emulator.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    limit = threading.Timer(120, process.kill)
    limit.start()
    try:
        first = process.stdout.readline()
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        limit.cancel()
        process.kill()
    assert re.search(r"\d+ jobs in .*page\.html, \d+ new", first), err
    assert process.returncode == 0, err
    assert out.startswith("watch ended: page written 1 time, ")
    assert "Traceback" not in err
    assert sorted(path.name for path in here.iterdir()) == ["jobs", "kept", "page.html"]
    assert "renewed every 1 h" in (here / "page.html").read_text(encoding="utf-8")
