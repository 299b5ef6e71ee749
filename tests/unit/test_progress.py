"""Calls that take longer than a second show that they live, from before the first answer on; short ones show nothing."""

import io
import time

import pytest

import cosai_nb as cn
from cosai_nb.query import fetch
from cosai_nb.service import client as module

BODY = (
    "<Response><JobsDetail><JobId>a1</JobId><State>Success</State><QueueId>p1</QueueId>"
    "<CreationTime>2026-11-01T00:00:00+0800</CreationTime></JobsDetail></Response>"
)
CALLS = {
    "fetch_jobs": lambda **given: cn.fetch_jobs(["a1"], **given),
    "watch_jobs": lambda **given: cn.watch_jobs(["a1"], **given),
    "list_jobs": lambda **given: cn.list_jobs(
        tag="Translation", queue_id="p1", start="2026-11-01", end="2026-11-02", **given
    ),
}


@pytest.fixture
def shown_before_the_answer(wire, monkeypatch):
    """Return what a call shows until the service, after some seconds, answers it; its second lasts 0.2 s here."""

    def shown(call, seconds, **given):
        stderr, seen = io.StringIO(), []

        def answer(_url, _headers):
            time.sleep(seconds)
            seen.append(stderr.getvalue())
            return wire.reply(body=BODY)

        monkeypatch.setattr("sys.stderr", stderr)
        CALLS[call](client=wire.client_of(answer, threads=True), **given)
        return seen[0]

    monkeypatch.setattr(fetch, "BAR_DELAY_S", 0.2)
    monkeypatch.setattr(module, "_TICK_S", 0.05)
    return shown


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_a_slow_service_is_waited_for_under_a_moving_bar(shown_before_the_answer, call, store, tmp_path):
    given = {"store": tmp_path} if store else {}
    assert shown_before_the_answer(call, 0.8, **given).count("Jobs") >= 3


@pytest.mark.parametrize("call", CALLS)
def test_nothing_is_shown_where_it_is_quick_or_unwanted(shown_before_the_answer, call):
    assert shown_before_the_answer(call, 0.0) == ""
    assert shown_before_the_answer(call, 0.8, progress=False) == ""


def test_the_bar_of_a_watch_goes_when_its_line_comes(shown_before_the_answer, monkeypatch, capsys):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(io, "StringIO", lambda: terminal)
    shown_before_the_answer("watch_jobs", 0.8)
    last = terminal.getvalue().rpartition("\r")[2]
    assert last == "\x1b[K1 of 1 ended (1 success)\n"
