"""``cosai-nb check --notify``: each change of the verdict is told once, the URL nowhere, and no hook changes an exit code."""

import contextlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest

import cosai_nb as cn
from cosai_nb import cli
from cosai_nb.cli import notify

SECRET = "T0KENOFTHEHOOK"
PATIENT_S = 60


class LoopbackHook:
    """A hook on loopback; each of ``answers`` (status, body, headers) is given once, then 200."""

    def __init__(self):
        self.told, self.answers, self.statuses = [], [], []
        self.before_answer = lambda: None
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.told.append(json.loads(body))
                assert self.headers["Content-Type"].startswith("application/json")
                assert "Authorization" not in self.headers
                hook.before_answer()
                status, content, headers = hook.answers.pop(0) if hook.answers else (200, b"ok", {})
                hook.statuses.append(status)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/services/{SECRET}?key={SECRET}"

    @property
    def results(self):
        return [body["result"] for body in self.told]

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def hook():
    running = LoopbackHook()
    yield running
    running.close()


@pytest.fixture
def here(hook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COSAI_NOTIFY_URL", hook.url)
    for state in ("Success", "Failed"):
        texts = {"JobId": [f"a{number}" for number in range(300)], "State": state, "QueueId": "q1", "Tag": "Translation",
                 "CreationTime": "2026-11-01T10:00:00+0800", "StartTime": "2026-11-01T10:00:07+0800",
                 "EndTime": "2026-11-01T10:00:09+0800"}  # fmt: skip
        jobs = cn.add_timings(pd.DataFrame(texts), observed_at="2026-11-01T02:01:00Z")
        cn.write_jobs(jobs, "met.parquet" if state == "Success" else "missed.parquet")
    return tmp_path


def check(verdict, *options):
    return cli.main(["check", f"{verdict}.parquet", "--failure-rate", "2%", "--state", "told.json", *options])


def state():
    return json.loads(Path("told.json").read_text())


# ---------------------------------------------------------------- each change once


def test_each_change_is_told_once_with_what_check_found(here, hook, capsys):
    verdicts = ["met", "met", "missed", "missed", "met"]
    assert [check(verdict, "--title", "nightly") for verdict in verdicts] == [0, 0, 1, 1, 0]
    assert hook.results == ["met", "missed", "met"]
    second = hook.told[1]
    capsys.readouterr()
    assert check("missed", "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert {name: second[name] for name in said} == said
    assert (second["title"], second["reminder"], second["told_before"]["result"]) == ("nightly", False, "met")
    assert [change["result"] for change in second["changes"]] == ["missed"]


def test_what_a_hook_refused_is_told_by_the_next_run_and_nothing_is_lost(here, hook, capsys):
    assert check("met") == 0
    hook.answers = [(403, b"", {}), (404, b"no_service", {})]
    assert [check("missed"), check("met")] == [1, 0]
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"cosai-nb: the hook was not told that the verdict is '{verdict}': it answered HTTP {status}. The next run tries again."
        for verdict, status in (("missed", 403), ("met", 404))
    ]
    assert [check("met"), check("met")] == [0, 0]
    assert capsys.readouterr().err == ""
    assert len(hook.told) == 4
    assert [change["result"] for change in hook.told[3]["changes"]] == ["missed", "met"]
    assert hook.told[3]["changes"][0] == hook.told[1]["changes"][0]  # by which a receiver knows it again
    assert state()["untold"] == []


@pytest.mark.parametrize("status", [500, 429, 503])
def test_a_hook_that_fails_for_a_moment_is_tried_again_in_the_same_run(here, hook, capsys, status):
    hook.answers = [(status, b"", {"Retry-After": "0"})]
    assert check("missed") == 1
    assert hook.results == ["missed", "missed"]
    assert check("missed") == 1
    assert (len(hook.told), capsys.readouterr().err) == (2, "")


@pytest.mark.parametrize("status", [201, 202, 204])
def test_every_2xx_is_an_answer(here, hook, status):
    hook.answers = [(status, b"", {})]
    assert [check("missed"), check("missed")] == [1, 1]
    assert hook.results == ["missed"]


def test_what_is_missed_is_told_again_after_a_while_and_what_is_met_is_not(here, hook):
    for verdict, reminders in (("missed", 1), ("met", 0)):
        hook.told.clear()
        check(verdict, "--remind", "24h")
        check(verdict, "--remind", "24h")
        assert hook.results == [verdict]
        long_ago = state()
        long_ago["told"]["at"] = str(datetime.fromisoformat(long_ago["told"]["at"]) - timedelta(hours=25))
        Path("told.json").write_text(json.dumps(long_ago))
        check(verdict)
        for _ in range(2):
            check(verdict, "--remind", "24h")
        assert [body["reminder"] for body in hook.told] == [False] + [True] * reminders


def test_of_runs_at_once_one_tells(here, hook):
    together = threading.Barrier(4)
    hook.before_answer = lambda: time.sleep(0.2)
    codes = []

    def run():
        together.wait(PATIENT_S)
        codes.append(check("missed"))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENT_S)
    assert codes == [1] * 4
    assert hook.results == ["missed"]


def test_a_run_that_finds_the_state_held_says_so(here, hook, monkeypatch, capsys):
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(notify, "_LOCK_S", 0.2)
    with Path(".told.json.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert check("missed") == 1
    assert "another run holds the hook's state told.json; the next one tells." in capsys.readouterr().err
    assert check("missed") == 1
    assert hook.results == ["missed"]


def test_a_kill_between_answer_and_state_repeats_what_a_receiver_can_tell_by_its_time(
    here, hook, monkeypatch
):
    check("met")
    save, calls = notify._save, []

    def killed(*args):
        calls.append(args)
        if len(calls) == 2:  # the first is before the POST
            raise SystemExit
        save(*args)

    monkeypatch.setattr(notify, "_save", killed)
    with pytest.raises(SystemExit):
        check("missed")
    monkeypatch.setattr(notify, "_save", save)
    assert [check("missed"), check("missed")] == [1, 1]
    assert hook.results == ["met", "missed", "missed"]
    assert hook.told[1]["changes"] == hook.told[2]["changes"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_waits_for_the_answer_so_that_nothing_is_told_twice(here, hook, number, code):
    heard, answer = threading.Event(), threading.Event()
    hook.before_answer = lambda: (heard.set(), answer.wait(PATIENT_S))
    command = [
        sys.executable,
        "-m",
        "cosai_nb",
        "check",
        "missed.parquet",
        "--failure-rate",
        "2%",
        "--state",
        "told.json",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert heard.wait(PATIENT_S)
        process.send_signal(number)
        answer.set()
        _, err = process.communicate(timeout=PATIENT_S)
    assert (process.returncode, "Traceback" in err) == (code, False)
    assert state()["told"]["result"] == "missed"
    assert check("missed") == 1
    assert hook.results == ["missed"]


# ---------------------------------------------------------------- a check that fails


def test_a_check_that_could_not_read_is_told(here, hook, monkeypatch, capsys):
    assert check("gone") == 3
    assert hook.results == ["could not read"]
    assert "gone.parquet" in hook.told[0]["reason"]
    from cosai_nb.cli import read

    monkeypatch.setattr(read, "_chosen", lambda *_: {}["a secret of somebody's"])
    Path("told.json").unlink()
    assert check("met") == 3
    assert hook.told[1]["reason"] == "KeyError"


def test_an_interrupted_check_tells_nothing(here, hook, monkeypatch):
    from cosai_nb.cli import read

    monkeypatch.setattr(read, "_check", lambda _: ({"result": "could not read", "reason": "1 of 2"}, 130))
    assert check("met") == 130
    assert hook.told == []


# ---------------------------------------------------------------- hooks that fail


def test_a_redirect_is_not_followed(here, hook, capsys):
    elsewhere = LoopbackHook()
    hook.answers = [(302, b"", {"Location": elsewhere.url}), (307, b"", {"Location": elsewhere.url})]
    assert [check("missed"), check("missed")] == [1, 1]
    elsewhere.close()
    assert capsys.readouterr().err.count("to another address, which is never followed. The next run") == 2
    assert elsewhere.told == []
    assert len(hook.told) == 2


@pytest.mark.parametrize("drips", [False, True])
def test_a_hook_that_hangs_has_its_time(here, serve, monkeypatch, capsys, drips):
    over = threading.Event()

    def hang(sock, _request, _number):
        while drips and not over.wait(0.05):
            sock.sendall(b"H")
        over.wait(PATIENT_S)

    monkeypatch.setattr(notify, "PATIENCE_S", 1.0)
    monkeypatch.setattr(notify, "_TRY_S", 0.5)
    monkeypatch.setenv("COSAI_NOTIFY_URL", serve(hang).url)
    began = time.monotonic()
    assert check("missed") == 1
    assert time.monotonic() - began < PATIENT_S / 2
    over.set()
    assert "No whole answer within 0." in capsys.readouterr().err
    assert state()["untold"][0]["result"] == "missed"


def test_no_connection_and_a_certificate_that_nobody_knows_are_said_once(
    here, serve, certificate, monkeypatch, capsys
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    monkeypatch.setattr(notify, "PATIENCE_S", 1.0)
    server = serve(lambda *_: None, context)
    monkeypatch.setenv("COSAI_NOTIFY_URL", f"{server.url}/{SECRET}")
    assert check("missed") == 1
    [said] = capsys.readouterr().err.splitlines()
    assert "certificate of the service could not be verified" in said
    assert server.requests == []
    with socket.socket() as nobody:  # bound, but it does not listen
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("COSAI_NOTIFY_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}/{SECRET}")
        assert check("missed") == 1
    [said] = capsys.readouterr().err.splitlines()
    assert "No connection to the service" in said


# ---------------------------------------------------------------- forms


@pytest.mark.parametrize(
    ("url", "form"),
    [("https://hooks.slack.com/services/T/B/x", "slack"), ("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=x", "wecom"),
     ("https://example.org/x", "json"), ("http://127.0.0.1:9/hooks.slack.com", "json")],
)  # fmt: skip
def test_the_form_follows_from_the_host(here, monkeypatch, url, form):
    monkeypatch.setenv("COSAI_NOTIFY_URL", url)
    args = cli.parser().parse_args(["check", "met.parquet", "--failure-rate", "2%", "--state", "told.json"])
    assert notify.hook_of(args).form == form
    args.form = "json"
    assert notify.hook_of(args).form == "json"
    assert url not in repr(args) + repr(notify.hook_of(args))


def test_slack_gets_a_text(here, hook, capsys):
    assert check("missed", "--form", "slack", "--title", "a < b & c") == 1
    words = capsys.readouterr().out.strip()
    assert hook.told == [{"text": f"a &lt; b &amp; c: missed\n{words}"}]
    assert check("met", "--form", "slack") == 0
    assert hook.told[1]["text"].startswith("AI jobs: met, was missed\nfailure_rate: met: 0.00%")


def test_wecom_gets_a_text_that_is_short_enough_and_its_body_says_whether_it_was_heard(here, hook, capsys):
    hook.answers = [(200, b'{"errcode": 93000, "errmsg": "invalid webhook url"}', {}), (200, b"<html>", {}),
                    (200, b'{"errcode": 0, "errmsg": "ok"}', {})]  # fmt: skip
    for _ in range(4):
        assert check("missed", "--form", "wecom", "--title", "译" * 1000) == 1
    assert len(hook.told) == 3
    assert hook.told[2]["msgtype"] == "text"
    content = hook.told[2]["text"]["content"]
    assert content == "译" * (2048 // 3)
    said = capsys.readouterr().err.splitlines()
    assert [re.search(r"'missed': (.*?)\.", line)[1] for line in said] == [
        "WeCom answered errcode 93000",
        "its answer has no errcode, as WeCom's has",
    ]


def test_what_was_not_told_before_stands_in_the_text(here, hook):
    check("met", "--form", "slack")
    hook.answers = [(400, b"", {})]
    check("missed", "--form", "slack")
    check("met", "--form", "slack")
    assert re.search(r"AI jobs: met, was met\nnot told before: missed at 20\d\d-", hook.told[2]["text"])


# ---------------------------------------------------------------- the state


@pytest.mark.parametrize(
    "broken",
    [b"", b"{", b"[]", b"null", b"\xff", b'{"told": 1, "untold": []}', b'{"told": null}', b'{"told": null, "untold": [null]}',
     b'{"told": {"result": 1, "at": "2026-11-01T00:00:00+00:00"}, "untold": []}',
     b'{"told": {"result": "missed", "at": "2026-11-01"}, "untold": []}',
     b'{"told": {"result": "missed", "at": "soon"}, "untold": []}'],
)  # fmt: skip
def test_a_broken_state_begins_anew_with_a_sentence(here, hook, capsys, broken):
    Path("told.json").write_bytes(broken)
    assert [check("missed"), check("missed")] == [1, 1]
    assert hook.results == ["missed"]
    assert capsys.readouterr().err == (
        "cosai-nb: the hook's state told.json cannot be read (it is no state of a hook): it begins anew, and the verdict is told.\n"
    )


def test_without_a_state_that_can_be_written_the_hook_is_told_nothing(here, hook, monkeypatch, capsys):
    assert check("missed", "--state", "gone/told.json") == 1
    assert (
        "gone/told.json cannot be written (No such file or directory); until it can be"
        in capsys.readouterr().err
    )
    from cosai_nb.table import files

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_whole", full)
    assert check("missed") == 1
    assert "cannot be written (No space left on device)" in capsys.readouterr().err
    assert hook.told == []


# ---------------------------------------------------------------- the secret


@pytest.mark.parametrize(
    ("given", "status"), [("option", 302), ("option", 500), ("environment", 200), ("environment", 403)]
)
def test_the_url_is_in_no_output_and_no_file(here, hook, given, status):
    hook.answers = [(status, SECRET.encode(), {"Location": hook.url, "Retry-After": "40"})]
    command = [
        sys.executable,
        "-m",
        "cosai_nb",
        "check",
        "missed.parquet",
        "--failure-rate",
        "2%",
        "--state",
        "told.json",
        "-vv",
    ]
    environment = {**os.environ, "COSAI_NOTIFY_URL": hook.url if given == "environment" else ""}
    command += ["--notify", hook.url] if given == "option" else []
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENT_S
    )
    assert done.returncode == 1
    assert len(hook.told) == 1
    written = "".join(path.read_text() for path in here.iterdir() if path.suffix != ".parquet")
    for text in (done.stdout, done.stderr, written, json.dumps(hook.told)):
        assert SECRET not in text


@pytest.mark.parametrize("url", [f"ftp://x/{SECRET}", SECRET, f"https:///{SECRET}", f"https://a:{SECRET}@x/", f"https://x:0/{SECRET}",
                                 f"https://x/{SECRET} y", f"https://x:y/{SECRET}", f"https://译/{SECRET}"])  # fmt: skip
def test_what_is_no_url_is_wrong_usage_and_is_not_shown(here, capsys, url):
    with pytest.raises(SystemExit) as caught:
        check("met", "--notify", url)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "the hook is no http or https URL" in said
    assert SECRET not in said


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--notify", "http://127.0.0.1:9/"], "--notify, --remind and --form need --state FILE"),
        (["--remind", "24h"], "--notify, --remind and --form need --state FILE"), (["--state", "told.json"], "set COSAI_NOTIFY_URL, or give --notify")],
)  # fmt: skip
def test_hook_and_state_go_together(here, monkeypatch, capsys, options, said):
    monkeypatch.delenv("COSAI_NOTIFY_URL")
    with pytest.raises(SystemExit) as caught:
        cli.main(["check", "met.parquet", "--failure-rate", "2%", *options])
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_without_a_state_the_environment_alone_tells_nobody(here, hook):
    assert cli.main(["check", "missed.parquet", "--failure-rate", "2%"]) == 1
    assert hook.told == []


# ---------------------------------------------------------------- killed at random


@pytest.mark.slow
def test_of_a_watch_that_is_killed_at_random_each_change_is_told_once(here, hook):
    """Verdicts change, the hook fails now and then, runs are killed at any moment: what was told is what changed, in order."""
    chance = random.Random(7)
    command = [
        sys.executable,
        "-m",
        "cosai_nb",
        "check",
        "now.parquet",
        "--failure-rate",
        "2%",
        "--state",
        "told.json",
    ]
    took_s = None
    for _ in range(30):
        verdict = chance.choice(["met", "missed"])
        shutil.copy(f"{verdict}.parquet", "now.parquet")
        hook.answers = [(chance.choice([200, 200, 403]), b"", {})]
        began = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            if took_s and chance.random() < 0.6:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=chance.uniform(0.5, 1.0) * took_s)
                process.send_signal(chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
            process.wait(timeout=PATIENT_S)
        took_s = took_s or time.monotonic() - began
    hook.answers = []
    assert check(verdict) == (verdict == "missed")
    heard = [
        change
        for body, status in zip(hook.told, hook.statuses, strict=True)
        if status == 200
        for change in body["changes"]
    ]
    moments = [(change["at"], change["result"]) for change in heard]
    told = list(dict.fromkeys(moments))  # a kill between answer and state is known by the same moment
    assert len(moments) - len(told) <= 2
    assert all(before[1] != after[1] for before, after in itertools.pairwise(told))
    assert told[-1][1] == verdict == state()["told"]["result"]
    assert len(told) > 5
