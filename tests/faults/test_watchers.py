"""A week in fast motion: list, report --watch, metrics and check --notify side by side, killed and started again at random."""

from __future__ import annotations

import bisect
import contextlib
import http.client
import http.server
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter

import pytest

import cosai_nb as cn
from cosai_nb.emulator import Emulator, Incident, Scenario

pytestmark = pytest.mark.slow

HOURS, STEP_H = 7 * 24, 8
PATIENCE_S = 120
CHECK = ["--p95-wait", "20m", "--last", "24h", "--state", "alarm.json"]


class Hook(http.server.ThreadingHTTPServer):
    """Keeps what it is told."""

    def __init__(self):
        self.told = []
        super().__init__(("127.0.0.1", 0), HookHandler)


class HookHandler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def hook():
    with Hook() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Machine:
    """Runs commands in a folder, as cron and systemd would."""

    def __init__(self, folder, environment):
        self.folder, self.environment = folder, environment

    def start(self, *command):
        return subprocess.Popen(
            [sys.executable, "-m", "cosai_nb", *command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command, kill_after=None):
        """Run a command to its end, or kill it; return its exit code and what it said."""
        process = self.start(*command)
        try:
            said, _ = process.communicate(timeout=kill_after or PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate(timeout=PATIENCE_S)
            assert kill_after is not None, f"{command} did not end: {said}"
        return process.returncode, said


def whole_page(text):
    return text.rstrip().endswith("</html>") and text.count("<html") == 1


def whole_scrape(request):
    """Scrape once: whether the answer was whole, or None where nothing answers or the server was killed amid it."""
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read().decode()
            # to http.client a head that ends early is a head, and its body is empty
            return text.endswith("# EOF\n") if "Content-Length" in answer.headers else None
    except (OSError, http.client.HTTPException):
        return None


def test_a_week_in_fast_motion(tmp_path, hook):  # noqa: C901, PLR0915 - one story
    chance = random.Random(13)
    scenario = Scenario(
        jobs=3_000,
        duration_h=HOURS,
        incident=Incident(queue=0, start_h=58, end_h=82, slowdown=9.0, failure_rate=0.9),
    )
    with Emulator(seed=3, scenario=scenario) as emulator:
        begin = emulator.now - HOURS * 3600
        clock = []  # at which moment of this machine which time began there

        def set_time(hour):
            clock.append((time.monotonic(), begin + hour * 3600))
            emulator.set_time(begin + hour * 3600)

        set_time(12)
        environment = {
            **os.environ,
            **emulator.environment(),
            "COSAI_NOTIFY_URL": f"http://127.0.0.1:{hook.server_address[1]}/hook",
        }
        machine, port = Machine(tmp_path, environment), free_port()
        assert machine.run("list", "--start", "2d", "--store", "jobs", "-q")[0] == 0
        watch = ["report", "--store", "jobs", "--watch", "1s", "--last", "2h", "-o", "page.html"]
        metrics = ["metrics", "--store", "jobs", "--port", str(port)]
        running = {"watch": machine.start(*watch), "metrics": machine.start(*metrics)}
        scrape = urllib.request.Request(
            f"http://127.0.0.1:{port}/metrics",
            headers={"Accept": "application/openmetrics-text; version=1.0.0"},
        )
        pages, scrapes, verdicts, over = [], [], [], threading.Event()

        def read():
            while not over.wait(0.02):
                with contextlib.suppress(FileNotFoundError):
                    pages.append(whole_page((tmp_path / "page.html").read_text(encoding="utf-8")))
                if (whole := whole_scrape(scrape)) is not None:
                    scrapes.append(whole)
                    over.wait(0.5)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for hour in (*range(12 + STEP_H, HOURS, STEP_H), HOURS):
                set_time(hour)
                kills = chance.random() < 0.4
                if kills:
                    machine.run(
                        "list", "--start", "2d", "--store", "jobs", "-q", kill_after=chance.uniform(0.3, 2)
                    )
                code, said = machine.run("list", "--start", "2d", "--store", "jobs", "-q")
                assert code == 0, said
                if kills:
                    machine.run("check", "--store", "jobs", *CHECK, kill_after=chance.uniform(0.3, 2))
                code, said = machine.run("check", "--store", "jobs", *CHECK)
                assert code in (0, 1, 4), said
                verdicts.append(said.splitlines()[-1].split(":")[0])
                if chance.random() < 0.3:
                    name = chance.choice([*running])
                    (running[name].kill if name == "metrics" else running[name].terminate)()
                    running[name].communicate(timeout=PATIENCE_S)
                    running[name] = machine.start(*(watch if name == "watch" else metrics))
            end = time.monotonic() + PATIENCE_S
            while not (scrapes and pages) and time.monotonic() < end:
                time.sleep(0.1)
        finally:
            over.set()
            reader.join(PATIENCE_S)
            for process in running.values():
                process.terminate()
        ends = {
            name: (process.communicate(timeout=PATIENCE_S)[0], process.returncode)
            for name, process in running.items()
        }

        # every change is told once, in order; one POST is repeated where its sender was killed before it could note the answer
        changes = [(change["at"], change["result"]) for told in hook.told for change in told["changes"]]
        changed = [
            verdict for verdict, before in zip(verdicts, [None, *verdicts], strict=False) if verdict != before
        ]
        assert [result for _, result in dict.fromkeys(changes)] == changed
        assert {"met", "missed"} <= {*changed}
        # pages and scrapes are whole, whenever one looks
        assert pages
        assert all(pages)
        assert scrapes
        assert all(scrapes)
        assert all(code == 0 for _, code in ends.values()), ends
        assert "watch ended" in ends["watch"][0]
        # the store has every job once; of none that had ended was asked twice
        stored = cn.JobStore(tmp_path / "jobs").jobs()
        assert sorted(stored["job_id"]) == sorted(emulator.job_ids)
        ended = dict(zip(emulator.job_ids, emulator.truth["end_time"], strict=True))
        moments, times = zip(*clock, strict=True)
        finals = Counter(
            job_id
            for request in emulator.requests
            if request.status == 200 and (ids := request.path.removeprefix("/ai_jobs/")) != request.path
            for job_id in ids.split(",")
            if ended[job_id] <= times[bisect.bisect(moments, request.at) - 1]
        )
        assert max(finals.values(), default=1) == 1
