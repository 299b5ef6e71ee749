"""The README's recipes for cron and systemd do what it says."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import cosai_nb as cn
from cosai_nb.emulator import Emulator, Scenario

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HOUR = timedelta(hours=1)


def block(kind):
    (found,) = re.findall(rf"```{kind}\n(.*?)```", README, flags=re.DOTALL)
    return found


def here_instead(text, folder):
    """Return a recipe with the paths of this test."""
    return text.replace("/etc/cosai/env", str(folder / "env")).replace("/var/lib/cosai", str(folder))


@pytest.fixture
def told():
    """Return what a hook on loopback was told; ``told.url`` is where it is."""

    class Told(list):
        url = ""

    bodies = Told()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    bodies.url = f"http://127.0.0.1:{server.server_port}/send?key=1&a=b"
    yield bodies
    server.shutdown()
    server.server_close()


def test_the_line_for_cron_lists_checks_and_tells(told, tmp_path):
    fields, command = re.fullmatch(r"(\S+ \S+ \S+ \S+ \S+) (.*)\n", block("crontab")).groups()
    assert fields == "*/5 * * * *"
    assert "%" not in command  # cron makes line breaks of them
    shim = tmp_path / "cosai-nb"
    shim.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m cosai_nb "$@"\n')
    shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
    now = datetime.now().astimezone()
    with Emulator(seed=7, scenario=Scenario(jobs=300, start=now - 30 * HOUR, duration_h=28)) as emulator:
        emulator.set_time(now.timestamp())
        environment = {**emulator.environment(), "COSAI_NOTIFY_URL": told.url}
        (tmp_path / "env").write_text("".join(f'{name}="{value}"\n' for name, value in environment.items()))
        path = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
        }  # cron gives no more than that
        runs = [
            subprocess.run(["sh", "-c", here_instead(command, tmp_path)], env=path, capture_output=True, text=True, check=False,
                           timeout=120)
            for _ in range(2)
        ]  # fmt: skip
    assert [(run.stdout, run.stderr) for run in runs] == [("", "")] * 2
    assert runs[0].returncode == runs[1].returncode in {0, 1, 4}
    assert [body["result"] for body in told] == [
        json.loads((tmp_path / "alarm.json").read_text())["told"]["result"]
    ]
    assert told[0]["result"] != "no data"
    assert len(cn.JobStore(tmp_path / "jobs").jobs()) == 300


def test_systemd_takes_the_units(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    names = []
    for unit in block("ini").split("\n\n"):
        name, text = re.match(r"# (\S+)\n(.*)", unit, flags=re.DOTALL).groups()
        assert "%" not in text  # a specifier of systemd's
        text = here_instead(text, tmp_path).replace("/usr/local/bin/cosai-nb", sys.executable)
        (tmp_path / name).write_text(f"{text}\n")
        names.append(tmp_path / name)
    assert [name.name for name in names] == [
        "cosai-check.service",
        "cosai-check.timer",
        "cosai-metrics.service",
    ]
    done = subprocess.run(
        ["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False, timeout=60
    )
    assert [
        line for line in done.stderr.splitlines() if "cosai-" in line
    ] == []  # this machine's own units are its own matter
