"""Any number of Ctrl-C at any moment: the frame with what was read."""

from __future__ import annotations

import random
import signal
import warnings

import pytest

from cosai_nb.emulator import Emulator, Scenario
from cosai_nb.errors import InterruptedWarning
from cosai_nb.query import describe_job, fetch_jobs, list_jobs, watch_jobs
from cosai_nb.service.client import Interrupts

ENGINES = [
    "requests",
    pytest.param(
        "curl", marks=pytest.mark.skipif("not __import__('importlib.util').util.find_spec('pycurl')")
    ),
]
CALLS = 3_000  # far more than the press takes: where it is swallowed the test fails, and does not hang


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7, scenario=Scenario(jobs=1_500, duration_h=24)) as running:
        yield running


class Presser:
    """Presses Ctrl-C ``first`` seconds after the beginning of a ``with``, then while a call runs ``again`` seconds after each press.

    The next press is planned when the last one was dealt with, and no event loop of an earlier test is told: presses that come
    faster than a slow machine can deal with would hold it for ever.
    """

    def __init__(self, first, again):
        self.first, self.again, self.pressed, self.over = first, again, 0, False

    def __enter__(self):
        self.told = signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGALRM, self.press)
        signal.setitimer(signal.ITIMER_REAL, self.first)

    def press(self, *_):
        if self.over:
            return
        signal.setitimer(signal.ITIMER_REAL, self.again)
        # what comes between two calls would hit the test itself
        if not self.pressed or isinstance(signal.getsignal(signal.SIGINT), Interrupts):
            self.pressed += 1
            signal.raise_signal(signal.SIGINT)

    def __exit__(self, *_):
        self.over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.set_wakeup_fd(self.told)


@pytest.mark.parametrize("engine", ENGINES)
def test_fetch_jobs_returns_one_row_an_id_whenever_it_is_interrupted_and_however_often(
    emulator, engine, tmp_path
):
    chance, ends = random.Random(7), []
    for run in range(15):
        client = emulator.client(engine=engine)
        store = tmp_path / str(run) if run % 2 else None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            first = chance.uniform(0.001, 0.6)
            try:
                with Presser(first, chance.choice([0.003, 0.02, 0.2])):
                    jobs = fetch_jobs(emulator.job_ids, client=client, progress=False, store=store)
            except KeyboardInterrupt:  # the signal came when the call had returned, or had not begun
                continue
        said = [warning for warning in caught if issubclass(warning.category, InterruptedWarning)]
        assert jobs["job_id"].tolist() == emulator.job_ids
        unread = (jobs["outcome"] == "unread").sum()
        assert said or not unread
        read = jobs[jobs["outcome"] != "unread"]
        assert (read["creation_time"].astype("int64") // 1000).tolist() == [
            int(moment) for moment in emulator.truth["creation_time"][read.index]
        ]
        ends.append(unread)
        client.close()
    assert len(ends) >= 9
    assert any(0 < unread < len(emulator.job_ids) for unread in ends) or 0 in ends


def test_list_and_watch_return_what_they_have(emulator):
    for first in (0.01, 0.05, 0.1, 0.2):
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            for call, arguments in (
                (list_jobs, {"start": "9d"}),
                (watch_jobs, {"job_ids": emulator.job_ids}),
            ):
                try:
                    with Presser(first, 0.01):
                        jobs = call(client=emulator.client(), progress=False, **arguments)
                except KeyboardInterrupt:  # before or after the call it is the caller's
                    continue
                assert jobs["job_id"].is_unique
                assert call is list_jobs or jobs["job_id"].tolist() == emulator.job_ids


def test_a_job_that_is_described_is_interrupted_as_anything_else(emulator):
    for first in (0.05, 0.0507, 0.0513, 0.052):  # one press, which no moment of a call may swallow
        with pytest.raises(KeyboardInterrupt), Presser(first, 0):  # noqa: PT012 - one call is too short
            for _ in range(CALLS):
                describe_job(emulator.job_ids[0], client=emulator.client())


def test_a_handler_of_the_users_own_is_left_alone_and_what_it_raises_comes_out(emulator):
    class MineError(Exception):
        pass

    def raise_mine(*_):
        raise MineError

    before = signal.signal(signal.SIGINT, raise_mine)
    try:
        with pytest.raises(MineError), Presser(0.05, 0):  # noqa: PT012 - the same
            for _ in range(CALLS):
                fetch_jobs(emulator.job_ids, client=emulator.client(), progress=False)
        assert signal.getsignal(signal.SIGINT) is raise_mine
    finally:
        signal.signal(signal.SIGINT, before)
