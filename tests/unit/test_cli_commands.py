"""What all commands share: options by one name and grammar, exit codes, signals, and output that never fails with a traceback."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

import cosai_nb as cn
from cosai_nb import cli, query
from cosai_nb.emulator import Emulator, Fault, Scenario
from cosai_nb.errors import IncompleteWarning, InterruptedWarning
from cosai_nb.schema import Record
from cosai_nb.service.client import Client
from cosai_nb.table.files import read_jobs, write_jobs
from cosai_nb.table.frame import frame_of

COMMANDS = [
    "query",
    "list",
    "watch",
    "queues",
    "describe",
    "check",
    "report",
    "demo",
    "export",
    "lab",
    "emulate",
    "metrics",
    "completion",
    "docs",
]


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7, scenario=Scenario(jobs=600)) as running:
        yield running


@pytest.fixture
def here(emulator, tmp_path, monkeypatch):
    for name, value in emulator.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ids.txt").write_text("\n".join(emulator.job_ids))
    emulator.set_time(emulator.workload.scenario.start.timestamp() + 9 * 86_400)
    emulator.requests.clear()
    return tmp_path


def jobs_of(*fates):
    """Return a frame of jobs a1, a2 … with these fates; ``Success`` and other states are jobs."""
    records = []
    for number, fate in enumerate(fates, 1):
        name = f"a{number}"
        if fate in {"not_found", "invalid_id", "unread"}:
            records.append(Record(name, fate))
        else:
            texts = {"JobId": name, "State": fate, "CreationTime": "2026-11-01T10:00:00+0800",
                     "StartTime": "2026-11-01T10:00:07+0800", "EndTime": "2026-11-01T10:00:09+0800"}  # fmt: skip
            records.append(
                Record(
                    name,
                    "job",
                    1_793_700_000_000,
                    None,
                    tuple(texts.get(column.path) for column in cn.schema.WIRE),
                )
            )
    return frame_of(records)


@pytest.fixture
def asked(monkeypatch):
    """Replace the asking functions by one that notes what it was called with and returns ``asked.result``."""

    class Asked:
        calls: list = []  # noqa: RUF012 - made anew for each test below
        result = jobs_of("Success", "Failed")
        warns = None

    Asked.calls = []

    def replace(name):
        def call(*args, **settings):
            Asked.calls.append((name, *args, settings))
            if Asked.warns is not None:
                import warnings

                warnings.warn("2 of 2 IDs were not read (as it happens).", Asked.warns, stacklevel=2)
            return Asked.result

        monkeypatch.setattr(query, name, call)

    for name in ("fetch_jobs", "list_jobs", "watch_jobs", "list_queues", "describe_job"):
        replace(name)
    return Asked


# ---------------------------------------------------------------- one name and one grammar for one thing


def test_list_hands_over_what_was_said_and_defaults_to_all_queues_of_a_week(here, asked, monkeypatch):
    assert cli.main(["list", "-o", "jobs.csv"]) == 0
    assert cli.main(
        ["list", "--tag", "A", "--tag", "B", "--queue", "q1", "--queue", "译", "--start", "36h", "--end", "1h", "--state", "Failed",
         "--deadline", "1m30s", "--store", "kept", "--column", "bitrate=Operation/MediaInfo/Format/Bitrate"]
    ) == 0  # fmt: skip
    plain, full = asked.calls
    assert plain == (
        "list_jobs",
        {
            "tag": None,
            "queue_id": None,
            "start": "7d",
            "end": None,
            "states": None,
            "progress": False,
            "store": None,
            "deadline": None,
        },
    )
    settings = full[1]
    assert str(settings.pop("store")) == "kept"
    assert settings == {
        "tag": ["A", "B"], "queue_id": ["q1", "译"], "start": "36h", "end": "1h", "states": ["Failed"], "progress": False,
        "deadline": 90.0, "columns": {"bitrate": "Operation/MediaInfo/Format/Bitrate"},
    }  # fmt: skip


def test_watch_needs_no_destination_and_hands_over_its_pace(here, asked, capsys):
    assert cli.main(["watch", "a8f3e1c2d4b5", "--every", "1m", "--deadline", "2h"]) == 0
    assert asked.calls == [
        (
            "watch_jobs",
            ["a8f3e1c2d4b5"],
            {"every": 60.0, "progress": False, "store": None, "deadline": 7200.0},
        )
    ]
    assert capsys.readouterr().out == "2 jobs: 1 success, 1 failed\n"


@pytest.mark.parametrize(
    "command",
    [["query", "ids.txt", "-o", "x.csv"], ["list", "-o", "x.csv"], ["watch", "ids.txt"], ["queues"], ["describe", "a1"],
     ["check", "--ids", "ids.txt", "--failure-rate", "2%"]],
)  # fmt: skip
def test_a_family_makes_its_client(here, asked, monkeypatch, command):
    made = []
    monkeypatch.setattr(
        Client, "from_env", classmethod(lambda _, **settings: made.append(settings) or "client")
    )
    asked.result = {"Response": {}} if command[0] == "describe" else asked.result
    cli.main([*command, "--family", "media", "--deadline", "5s"])
    assert made == [{"family": "media"}]
    [call] = asked.calls
    assert (call[-1]["client"], call[-1]["deadline"]) == ("client", 5.0)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--slo", "600"], "argument --slo: '600' must be DURATION:SHARE, as in 10m:95% or 600:0.95."),
        (
            ["--p95-wait", "soon"],
            "argument --p95-wait: 'soon' must be seconds from 0 up, or a duration such as 90s",
        ),
        (
            ["--failure-rate", "2"],
            "argument --failure-rate/--max-failure-rate: '2' must be a share from 0 to 1",
        ),
        (["--last", "x"], "argument --last: 'x' must be seconds"),
        (["--store", ""], "argument --store: '' is no path"),
    ],
)
@pytest.mark.parametrize("command", ["check", "report"])
def test_what_breaks_the_grammar_is_wrong_usage_with_a_sentence(here, capsys, command, option, said):
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "jobs.parquet", *option])
    assert caught.value.code == cli.WRONG_USAGE
    assert said in capsys.readouterr().err


def test_check_and_report_speak_one_grammar_of_limits(here, capsys):
    write_jobs(jobs_of(*["Success"] * 300), "jobs.parquet")
    for limit in (
        ["--slo", "10m:95%"],
        ["--slo", "600:0.95"],
        ["--p95-wait", "10m"],
        ["--max-failure-rate", "2%"],
    ):
        assert cli.main(["check", "jobs.parquet", *limit]) == 0
        assert cli.main(["report", "jobs.parquet", *limit, "-o", "page.html", "--tz", "+08:00"]) == 0
        assert "UTC+08:00" in (here / "page.html").read_text(encoding="utf-8")
    assert cli.main(["check", "jobs.parquet", "--slo", "5s:95%"]) == cli.MISSED
    assert "slo: missed: 0.00%" in capsys.readouterr().out


def test_check_and_report_choose_jobs_by_tag_queue_and_time(here, capsys):
    jobs = jobs_of(*["Success"] * 6)
    jobs["tag"] = pd.Categorical(["A", "A", "B", "B", "C", "C"])
    jobs["queue_id"] = pd.Categorical(["q1", "q2"] * 3)
    jobs["queue_name"] = ["fast", "slow"] * 3
    for name in ("creation_time", "start_time", "end_time"):
        jobs[name] += pd.to_timedelta(range(6), unit="h").astype("timedelta64[ms]")
    write_jobs(jobs, "jobs.parquet")
    for chosen, number in (
        (["--tag", "A", "--tag", "B"], 4),
        (["--queue", "q1"], 3),
        (["--queue", "slow", "--tag", "C"], 1),
        (["--start", "2026-11-01T12:00:00", "--end", "2026-11-01T14:00:00"], 2),
        (["--last", "0s"], 0),
    ):
        cli.main(["check", "jobs.parquet", "--failure-rate", "5%", "--json", *chosen])
        told = json.loads(capsys.readouterr().out)
        assert told.get("jobs") == number, (chosen, told)
    assert cli.main(["report", "jobs.parquet", "--tag", "A", "-o", "page.html"]) == 0
    assert capsys.readouterr().out.startswith("2 jobs in ")
    assert cli.main(["check", "jobs.parquet", "--failure-rate", "5%", "--start", "noon"]) == cli.WRONG_USAGE
    assert "--start='noon' is no time" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_version(command, capsys):
    for option, said in (
        ("--help", f"usage: cosai-nb {command}"),
        ("--version", f"cosai-nb {cn.__version__}\n"),
    ):
        with pytest.raises(SystemExit) as caught:
            cli.main([command, option])
        assert caught.value.code == 0
        assert capsys.readouterr().out.startswith(said)


def test_help_loads_nothing_heavy():
    code = (
        "import sys, contextlib, io, cosai_nb.cli as cli\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()): cli.main(['query', '--help'])\n"
        "print([m for m in ('pandas', 'numpy', 'requests', 'pyarrow', 'matplotlib', 'qcloud_cos') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_quiet_says_nothing_and_verbose_logs(here, asked, capsys, caplog):
    assert cli.main(["query", "ids.txt", "-o", "x.csv", "-q"]) == 0
    assert capsys.readouterr() == ("", "")
    with caplog.at_level(logging.DEBUG, "cosai_nb"):
        assert cli.main(["query", "ids.txt", "-o", "x.csv", "-v"]) == 0
    assert "query ended after" in caplog.text
    assert "exit code 0" in caplog.text


# ---------------------------------------------------------------- what was read is kept, and the exit code says what happened


def test_queues_are_printed_as_a_table_csv_or_json_lines(here, asked, capsys):
    asked.result = pd.DataFrame({"queue_id": ["q1"], "name": ["译"], "max_concurrent": [10]})
    assert cli.main(["queues"]) == 0
    assert capsys.readouterr().out.split() == ["queue_id", "name", "max_concurrent", "q1", "译", "10"]
    assert cli.main(["queues", "--format", "csv", "-o", "-"]) == 0
    assert capsys.readouterr().out == "queue_id,name,max_concurrent\nq1,译,10\n"
    assert cli.main(["queues", "-o", "queues.jsonl"]) == 0
    assert json.loads((here / "queues.jsonl").read_text()) == {
        "queue_id": "q1",
        "name": "译",
        "max_concurrent": 10,
    }


def test_describe_prints_the_whole_answer(here, emulator, capsys):
    assert cli.main(["describe", emulator.job_ids[0]]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == cn.describe_job(emulator.job_ids[0], client=emulator.client())
    unknown = emulator.job_ids[0][:-4] + "0000"
    assert cli.main(["describe", unknown]) == cli.COULD_NOT_READ
    shown = capsys.readouterr()
    assert json.loads(shown.out)["Response"]["NonExistJobIds"]
    assert f"the service knows no job {unknown}" in shown.err
    assert cli.main(["describe", "../x"]) == cli.WRONG_USAGE


@pytest.mark.parametrize(("fates", "code"), [(("Success", "Success"), 0), (("Success", "not_found"), 3), (("Success", "invalid_id"), 3)])  # fmt: skip
def test_strict_is_3_where_an_id_is_unknown_or_invalid_and_saves_all_the_same(
    here, asked, capsys, fates, code
):
    asked.result = jobs_of(*fates)
    assert cli.main(["query", "ids.txt", "-o", "jobs.parquet"]) == 0
    (here / "jobs.parquet").unlink()
    assert cli.main(["query", "ids.txt", "-o", "jobs.parquet", "--strict"]) == code
    assert len(read_jobs("jobs.parquet")) == 2
    assert ("1 of 2 IDs are unknown or invalid, the first is 'a2'" in capsys.readouterr().err) == (code == 3)


@pytest.mark.parametrize(
    ("fates", "warns", "code"),
    [
        (("invalid_id", "invalid_id"), None, 3),
        (("unread", "unread"), IncompleteWarning, 3),
        (("unread", "invalid_id"), InterruptedWarning, 130),
    ],
)
def test_where_nothing_was_read_the_old_file_stays(here, asked, capsys, fates, warns, code):
    (here / "jobs.csv").write_text("yesterday's")
    asked.result, asked.warns = jobs_of(*fates), warns
    assert cli.main(["query", "ids.txt", "-o", "jobs.csv"]) == code
    assert (here / "jobs.csv").read_text() == "yesterday's"
    assert "nothing was read, and nothing is saved" in capsys.readouterr().err


def test_a_listing_without_jobs_is_an_answer(here, asked, capsys):
    asked.result = jobs_of()
    assert cli.main(["list", "-o", "jobs.csv"]) == 0
    assert capsys.readouterr().out == "0 jobs in jobs.csv: none\n"
    assert len(read_jobs("jobs.csv")) == 0


@pytest.mark.parametrize("shape", ["csv", "jsonl"])
def test_jobs_are_printed_for_the_next_command(here, asked, capsysbinary, shape):
    assert cli.main(["query", "ids.txt", "-o", "-", "--format", shape]) == 0
    shown = capsysbinary.readouterr()
    assert b"2 jobs: 1 success, 1 failed" in shown.err
    lines = shown.out.decode().splitlines()
    if shape == "csv":
        assert lines[0].replace('"', "").startswith("job_id,")
        assert len(lines) == 3
    else:
        assert [json.loads(line)["job_id"] for line in lines] == ["a1", "a2"]


def test_only_text_is_printed(here, asked, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["query", "ids.txt", "-o", "-", "--format", "parquet"])
    assert caught.value.code == cli.WRONG_USAGE
    assert "-o - prints csv or jsonl, not parquet" in capsys.readouterr().err
    assert not asked.calls


def test_wrong_arguments_are_2_and_missing_credentials_3(here, monkeypatch, capsys):
    assert cli.main(["list", "--tag", "a&b", "-o", "x.csv"]) == cli.WRONG_USAGE
    assert "tag=['a&b'] must be" in capsys.readouterr().err
    for name in ("COS_SECRET_ID", "COS_SECRET_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(here))
    assert cli.main(["describe", "a1234567"]) == cli.COULD_NOT_READ


def test_what_nobody_foresaw_is_3_in_every_command(here, monkeypatch, capsys):
    monkeypatch.setattr(query, "fetch_jobs", lambda *_, **__: 1 / 0)
    assert cli.main(["query", "ids.txt", "-o", "x.csv"]) == cli.COULD_NOT_READ
    assert "ZeroDivisionError" in capsys.readouterr().err


# ---------------------------------------------------------------- output that cannot be written


def run(*arguments, env=None, **streams):
    """Run ``cosai-nb`` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "cosai_nb", *arguments], env=os.environ | (env or {}), stderr=subprocess.PIPE, check=False,
        timeout=120, **streams,
    )  # fmt: skip


@pytest.fixture
def missed(here):
    """Return arguments of a check that is missed, on a file with a name that ASCII lacks."""
    write_jobs(jobs_of(*["Failed"] * 300), "译.parquet")
    return ["check", "译.parquet", "--failure-rate", "2%"]


def test_a_reader_that_is_gone_changes_no_verdict_and_is_no_traceback(missed):
    query_all = ["query", "ids.txt", "-o", "-"]
    for arguments, code in (
        (missed, 1),
        ([*missed[:-1], "100%"], 0),
        (["--help"], 0),
        (query_all, 0),
        (["queues"], 0),
    ):
        read, write = os.pipe()
        os.close(read)
        done = run(*arguments, stdout=write)
        os.close(write)
        assert done.returncode == code
        assert b"Traceback" not in done.stderr
        assert b"BrokenPipe" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_below_standard_output_is_3(missed):
    with Path("/dev/full").open("wb") as full:
        done = run(*missed, stdout=full)
    assert done.returncode == 3
    assert b"the output cannot be written (No space left on device)" in done.stderr
    assert b"Traceback" not in done.stderr


def test_what_ascii_lacks_is_escaped(here, missed):
    env = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = run("check", "没有.parquet", "--failure-rate", "2%", "--json", env=env, stdout=subprocess.PIPE)
    assert done.returncode == 3
    assert "没有.parquet" in json.loads(done.stdout)["reason"]
    done = run("report", "译.parquet", "-o", "译.html", env=env, stdout=subprocess.PIPE)
    assert done.returncode == 0
    assert rb"\u8bd1.html (one file" in done.stdout


def test_closed_streams_are_no_error(missed):
    done = subprocess.run(
        ["sh", "-c", f'exec "{sys.executable}" -m cosai_nb check 译.parquet --failure-rate 100% >&- 2>&-'],
        check=False,
    )
    assert done.returncode == 0


# ---------------------------------------------------------------- signals


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
@pytest.mark.parametrize("returns", [True, False])
def test_a_signal_ends_a_command_as_ctrl_c_does_and_is_its_exit_code(
    here, asked, monkeypatch, number, code, returns
):
    def interrupted(*_, **__):
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        except KeyboardInterrupt:
            if not returns:
                raise
            import warnings

            warnings.warn("1 of 2 IDs were not read.", InterruptedWarning, stacklevel=2)
        return jobs_of("Success", "unread")

    before = signal.getsignal(number)
    monkeypatch.setattr(query, "fetch_jobs", interrupted)
    assert cli.main(["query", "ids.txt", "-o", "jobs.parquet"]) == code
    assert (here / "jobs.parquet").exists() == returns
    assert signal.getsignal(number) == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_waits_until_what_was_read_is_saved(here, asked, monkeypatch, number, code):
    from cosai_nb.table import files

    write = files.write_jobs

    def impatient(*args, **settings):
        for _ in range(3):
            os.kill(os.getpid(), number)
        write(*args, **settings)

    monkeypatch.setattr(files, "write_jobs", impatient)
    asked.warns = InterruptedWarning
    assert cli.main(["query", "ids.txt", "-o", "jobs.parquet"]) == code
    assert len(read_jobs("jobs.parquet")) == 2


def test_an_ignored_hangup_stays_ignored_and_an_ignored_ctrl_c_does_not_hide_sigterm(
    here, asked, monkeypatch
):
    def terminated(*_, **__):
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    monkeypatch.setattr(query, "fetch_jobs", terminated)
    before = [signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGINT)]  # nohup … &
    try:
        assert cli.main(["query", "ids.txt", "-o", "jobs.parquet"]) == 143
    finally:
        for number, handler in zip((signal.SIGHUP, signal.SIGINT), before, strict=True):
            signal.signal(number, handler)


def test_a_thread_may_run_a_command(here, asked):
    codes = []
    thread = threading.Thread(
        target=lambda: codes.append(cli.main(["query", "ids.txt", "-o", "jobs.parquet"]))
    )
    thread.start()
    thread.join()
    assert codes == [0]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("command", ["query", "watch"])
def test_a_signal_saves_what_was_read(here, number, code, command):
    slow = Fault(kind="drip_body", bytes_per_s=8_000)
    with Emulator(seed=7, scenario=Scenario(jobs=600), faults=[slow]) as emulator:
        (here / "ids.txt").write_text("\n".join(emulator.job_ids))
        process = subprocess.Popen(
            [sys.executable, "-m", "cosai_nb", command, "ids.txt", "-o", "jobs.parquet", "--store", "kept"],
            env=os.environ | emulator.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        until = time.monotonic() + 60
        while len(emulator.requests) < 20 and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in err
    assert "600 jobs in jobs.parquet and kept" in out
    assert 0 < (read_jobs("jobs.parquet")["outcome"] != "unread").sum() < 600


# ---------------------------------------------------------------- completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_every_command(shell, capsys):
    pytest.importorskip("shtab", reason="the extra [completion] is not installed")
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(command in script for command in COMMANDS)
    assert shell != "bash" or "_shtab_cosai_nb_query_pos_0_COMPGEN=_shtab_compgen_files" in script
    assert shell == "tcsh" or "--failure-rate" in script  # shtab knows no options of sub-commands for tcsh


def test_without_shtab_completion_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert cli.main(["completion", "bash"]) == cli.COULD_NOT_READ
    assert "pip install 'cosai_nb[completion]'" in capsys.readouterr().err


# ---------------------------------------------------------------- on the emulator


def test_list_without_tag_and_queue_lists_all_that_query_knows(here, emulator):
    assert cli.main(["query", "ids.txt", "-o", "queried.parquet"]) == 0
    assert cli.main(["list", "--start", "2026-11-01", "--end", "2026-11-10", "-o", "listed.parquet"]) == 0
    assert set(read_jobs("listed.parquet")["job_id"]) == set(read_jobs("queried.parquet")["job_id"])


def test_list_refuses_a_tag_that_nobody_knows_with_the_nearest(here, capsys):
    assert cli.main(["list", "--tag", "translatoin", "-o", "x.csv"]) == cli.WRONG_USAGE
    assert "Translation" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["queues"], ["watch", "few.txt"], ["query", "few.txt", "-o", "x.csv"], ["list", "-o", "x.csv"]])  # fmt: skip
def test_every_asking_command_takes_a_deadline(here, emulator, command):
    (here / "few.txt").write_text("\n".join(emulator.job_ids[:20]))
    assert cli.main([*command, "--deadline", "2m"]) == 0


def test_a_watch_that_its_deadline_ends_is_3(here, capsys):
    assert cli.main(["watch", "ids.txt", "--every", "0.1s", "--deadline", "1s", "-o", "jobs.parquet"]) == 3
    assert "1 of 600 jobs had not ended when the deadline was over" in capsys.readouterr().err
    assert len(read_jobs("jobs.parquet")) == 600
