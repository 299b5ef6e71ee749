"""watch_jobs: only what has not ended is asked, pauses grow and shrink, any end leaves a frame that says what was not read."""

import re
import time
from datetime import datetime

import pandas as pd
import pytest

from cosai_nb.arguments import SERVICE_ZONE
from cosai_nb.emulator import Emulator, Scenario
from cosai_nb.emulator.workload import STATES
from cosai_nb.errors import DeniedError, FileError, IncompleteWarning
from cosai_nb.query import fetch_jobs, watch, watch_jobs
from cosai_nb.service.client import INTERRUPTED, Clock
from cosai_nb.table.frame import add_timings, conform
from cosai_nb.table.store import JobStore

START = datetime(2026, 11, 2, 23, 30, tzinfo=SERVICE_ZONE).timestamp()


class Pauses:
    """Time that passes only while the watch waits: the emulator's clock goes on by as much."""

    def __init__(self, emulator, *, interrupt_after=None, at=None):
        self.emulator, self.waited = emulator, []
        self.interrupt_after, self.at = interrupt_after, at
        self.clock = Clock(monotonic=lambda: emulator.now, time=time.time, sleep=self.sleep)

    def sleep(self, seconds):
        self.waited.append(seconds)
        if self.at is not None:
            self.at(len(self.waited))
        if self.interrupt_after is not None and len(self.waited) > self.interrupt_after:
            raise KeyboardInterrupt
        self.emulator.advance(seconds)


@pytest.fixture(scope="module")
def running():
    with Emulator(seed=7, scenario=Scenario(jobs=3_000, duration_h=24)) as emulator:
        yield emulator


@pytest.fixture
def emulator(running):
    running.set_time(START)
    return running


@pytest.fixture
def ids(emulator):
    """Five that have ended and all that have not, some of which have not begun to run."""
    states = [STATES[code] if code >= 0 else None for code in emulator.snapshot().state]
    by_state = {state: [] for state in {*STATES, None}}
    for job_id, state in zip(emulator.job_ids, states, strict=True):
        by_state[state].append(job_id)
    emulator.requests.clear()
    return by_state["Success"][:5] + by_state["Running"] + by_state["Submitted"]


def asked(emulator):
    return [job_id for entry in emulator.requests for job_id in entry.path[9:].split(",")]


def test_all_end_and_only_the_unfinished_are_asked_again(emulator, ids):
    pauses = Pauses(emulator)
    jobs = watch_jobs(ids, client=emulator.client(clock=pauses.clock), every=30, progress=False)
    assert jobs["job_id"].tolist() == ids
    assert jobs["outcome"].isin(["success", "failed", "cancelled"]).all()
    assert len(pauses.waited) >= 3
    times = asked(emulator)
    assert [times.count(job_id) for job_id in ids[:5]] == [1] * 5
    assert len(times) < len(ids) * (len(pauses.waited) + 1)
    again = fetch_jobs(ids, client=emulator.client(), progress=False)
    pd.testing.assert_frame_equal(jobs.drop(columns="observed_at"), again.drop(columns="observed_at"))


def test_pauses_grow_while_nothing_changes_and_shrink_at_a_change(wire):
    states = iter(["Submitted"] * 7 + ["Running"] * 2 + ["Success"])
    time_ = wire.FakeTime()

    def answer(_url, _headers):
        job = f"<JobsDetail><JobId>a1</JobId><State>{next(states)}</State></JobsDetail>"
        return wire.reply(body=f"<Response>{job}</Response>")

    jobs = watch_jobs(["a1"], client=wire.client_of(answer, clock=time_.clock), every=10, progress=False)
    assert jobs["outcome"].tolist() == ["success"]
    assert time_.waits == [10, 15, 22.5, 33.75, 50.625, 60, 60, 10, 15]


def test_an_interrupt_gives_what_is_there(emulator, ids):
    pauses = Pauses(emulator, interrupt_after=1)
    with pytest.warns(
        IncompleteWarning, match=rf"\d+ of {len(ids)} jobs had not ended when the watch was interrupted"
    ):
        jobs = watch_jobs(ids, client=emulator.client(clock=pauses.clock), progress=False)
    assert jobs["job_id"].tolist() == ids
    assert set(jobs["outcome"]) >= {"success", "running"}


def test_an_interrupt_while_asking_gives_what_is_there(emulator, ids):
    client = emulator.client(clock=Pauses(emulator).clock)
    run = client.run

    def interrupted(*args, **settings):
        return run(*args, **settings) or INTERRUPTED

    client.run = interrupted
    with pytest.warns(IncompleteWarning, match="was interrupted"):
        jobs = watch_jobs(ids, client=client, progress=False)
    assert len(jobs) == len(ids)


def test_a_deadline_is_kept_to_the_second(emulator, ids):
    pauses = Pauses(emulator)
    with pytest.warns(IncompleteWarning, match="the deadline was over"):
        watch_jobs(ids, client=emulator.client(clock=pauses.clock), every=40, deadline=100, progress=False)
    assert sum(pauses.waited) == pytest.approx(100)


def test_an_id_that_nobody_knows_is_not_waited_for(emulator):
    jobs = watch_jobs(["nobody", "a/b"], client=emulator.client(), progress=False)
    assert jobs["outcome"].tolist() == ["not_found", "invalid_id"]


def test_no_ids_are_an_empty_frame_and_no_request():
    jobs = watch_jobs([], progress=False)
    pd.testing.assert_frame_equal(jobs, conform(jobs))
    assert jobs.empty


def test_a_job_that_is_forgotten_keeps_its_last_observation(wire):
    bodies = [
        "<JobsDetail><JobId>a1</JobId><State>Running</State></JobsDetail>",
        "<NonExistJobIds>a1</NonExistJobIds>",
    ]
    client = wire.client_of(lambda *_: wire.reply(body=f"<Response>{bodies.pop(0)}</Response>"))
    assert watch_jobs(["a1"], client=client, progress=False)["outcome"].tolist() == ["running"]


def test_a_service_that_is_down_for_a_while_is_asked_again(wire):
    answers = [wire.fault(503, "ServiceUnavailable")] * 60
    good = wire.reply(
        body="<Response><JobsDetail><JobId>a1</JobId><State>Success</State></JobsDetail></Response>"
    )
    client = wire.client_of(lambda *_: answers.pop() if answers else good)
    assert watch_jobs(["a1"], client=client, progress=False)["outcome"].tolist() == ["success"]


def test_denied_ends_the_watch_with_what_was_read(wire):
    answers = [
        wire.reply(
            body="<Response><JobsDetail><JobId>a1</JobId><State>Running</State></JobsDetail></Response>"
        )
    ]
    client = wire.client_of(lambda *_: answers.pop() if answers else wire.fault(403, "AccessDenied"))
    with pytest.raises(DeniedError, match="AccessDenied") as caught:
        watch_jobs(["a1"], client=client, progress=False)
    assert caught.value.jobs["outcome"].tolist() == ["running"]


def test_a_store_gets_each_change_and_the_last_observation(emulator, ids, tmp_path):
    store = JobStore(tmp_path / "jobs")
    pauses = Pauses(emulator)
    with pytest.warns(IncompleteWarning):
        jobs = watch_jobs(
            ids,
            client=emulator.client(clock=pauses.clock),
            store=store,
            every=20,
            deadline=200,
            progress=False,
        )
    stored = store.jobs(ids).set_index("job_id").loc[ids]
    assert stored["outcome"].tolist() == jobs["outcome"].tolist()
    assert stored["observed_at"].tolist() == jobs["observed_at"].tolist()
    observations = pd.read_parquet(store.folder)
    assert len(observations) <= 4 * len(ids)  # not one a round
    emulator.requests.clear()
    emulator.advance(86_400)
    finally_ = watch_jobs(ids, client=emulator.client(), store=store, progress=False)
    assert set(asked(emulator)) == set(
        jobs.loc[~jobs["outcome"].isin(["success", "failed", "cancelled"]), "job_id"]
    )
    assert finally_["outcome"].isin(["success", "failed", "cancelled"]).all()


def test_a_store_that_fails_ends_the_watch_with_what_was_read(emulator, ids, tmp_path, monkeypatch):
    def refuse(_store, _jobs):
        raise FileError("no room")

    monkeypatch.setattr(JobStore, "add", refuse)
    with pytest.raises(FileError, match="no room") as caught:
        watch_jobs(ids, client=emulator.client(), store=tmp_path, progress=False)
    assert caught.value.jobs["job_id"].tolist() == ids


def test_a_store_that_fails_at_the_last_observation_leaves_what_was_read(
    emulator, ids, tmp_path, monkeypatch
):
    add, added = JobStore.add, []

    def refuse_later(store, jobs):
        if added:
            raise FileError("no room")
        added.append(len(jobs))
        return add(store, jobs)

    monkeypatch.setattr(JobStore, "add", refuse_later)
    client = emulator.client(clock=Pauses(emulator, interrupt_after=1).clock)
    with pytest.raises(FileError, match="no room") as caught:
        watch_jobs(ids, client=client, store=tmp_path, progress=False)
    assert caught.value.jobs["job_id"].tolist() == ids
    assert added == [len(ids)]


@pytest.mark.parametrize("every", [0, -1, float("nan")])
def test_a_pause_must_be_one(every):
    with pytest.raises(ValueError, match="every="):
        watch_jobs(["a1"], every=every)


def test_one_line_goes_to_stderr_when_something_changes(emulator, ids, capsys):
    pauses = Pauses(emulator)
    watch_jobs(ids, client=emulator.client(clock=pauses.clock), every=30)
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert shown.out == ""
    assert lines[0].startswith(f"5 of {len(ids)} ended (5 success, ")
    assert "time left unknown" in lines[0]
    assert any(" left" in line and "about" in line for line in lines[1:])
    assert any("has waited" in line for line in lines)
    assert lines[-1].startswith(f"{len(ids)} of {len(ids)} ended")
    assert len(lines) == len(set(lines))


def in_a_queue(*, waiting, started=25):
    """A queue that starts a job a minute, ten minutes after it was created, as of the newest start."""
    minutes = pd.date_range("2026-11-01T10:00", periods=80, freq="1min").strftime("%Y-%m-%dT%H:%M:%S+0800")
    number = started + waiting
    texts = {"JobId": [f"j{n}" for n in range(number)], "QueueId": "q1", "Tag": "Translation"}
    texts["State"] = ["Success"] * started + ["Submitted"] * waiting
    texts["CreationTime"] = minutes[:number]
    texts["StartTime"] = [*minutes[10 : 10 + started], *["-"] * waiting]
    texts["EndTime"] = [*minutes[11 : 11 + started], *["-"] * waiting]
    return add_timings(pd.DataFrame(texts), observed_at=minutes[10 + started])


def test_the_last_expected_start_is_told_with_its_interval_or_why_it_is_unknown():
    told = watch.expected_starts(in_a_queue(waiting=5))
    found = re.fullmatch(
        r"the last of 5 waiting jobs is expected to start in 5 min \(80 %: (\d+) to (\d+) min\)",
        told.replace(" min to", " to"),
    )
    assert 1 <= int(found[1]) <= 5 <= int(found[2]) <= 10
    assert watch.expected_starts(in_a_queue(waiting=1)).startswith(
        "the waiting job is expected to start in 1 min"
    )
    assert watch.expected_starts(in_a_queue(waiting=0)) == ""
    told = watch.expected_starts(in_a_queue(waiting=3, started=2))
    assert told.startswith("not known for 3 waiting jobs: too few starts")


def test_a_watch_that_ends_early_says_when_waiting_jobs_are_expected_to_start(wire, capsys):
    jobs = in_a_queue(waiting=5)
    texts = {
        row.job_id: "".join(
            f"<{node}>{value}</{node}>"
            for node, value in {
                "JobId": row.job_id, "State": row.state, "QueueId": "q1", "Tag": "Translation",
                "CreationTime": _wire(row.creation_time), "StartTime": _wire(row.start_time), "EndTime": _wire(row.end_time),
            }.items()
        )
        for row in jobs.itertuples()
    }  # fmt: skip
    date = f"{jobs['observed_at'].iloc[0]:%a, %d %b %Y %H:%M:%S GMT}"

    def answer(url, _headers):
        found = "".join(f"<JobsDetail>{texts[job_id]}</JobsDetail>" for job_id in wire.ids_of(url))
        return wire.reply(body=f"<Response>{found}</Response>", Date=date)

    client = wire.client_of(answer, clock=wire.FakeTime().clock)
    with pytest.warns(
        IncompleteWarning, match="When they start: the last of 5 waiting jobs is expected to start in 5 min"
    ):
        watched = watch_jobs(jobs["job_id"], client=client, deadline=15)
    assert watched.attrs["expected_starts"] == watch.expected_starts(watched)
    assert f"; start: {watched.attrs['expected_starts']}" in capsys.readouterr().err


def _wire(moment):
    return "-" if pd.isna(moment) else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def test_the_time_left_is_the_pace_so_far(wire):
    rounds = [{"a1", "a2", "a3", "a4"}, {"a1", "a2", "a3"}, {"a1"}, set()]
    dates = [f"Tue, 14 Nov 2023 22:{minute}:00 GMT" for minute in (10, 20, 30, 40)]
    shown = []

    def answer(url, _headers):
        left = rounds[len(shown)]
        jobs = (
            f"<JobsDetail><JobId>{job_id}</JobId><State>{'Running' if job_id in left else 'Success'}</State></JobsDetail>"
            for job_id in wire.ids_of(url)
        )
        return wire.reply(body=f"<Response>{''.join(jobs)}</Response>", Date=dates[len(shown)])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch.View, "show", lambda _view, progress: shown.append(progress))
        watch_jobs(["a1", "a2", "a3", "a4"], client=wire.client_of(answer))
    # 1 ended in 10 min and 3 are left: 30 min; 3 in 20 min and 1 is left: 6 min 40 s
    assert [progress.eta_s for progress in shown] == [None, 1800.0, 400.0, 0.0]
    assert [progress.left for progress in shown] == [4, 3, 1, 0]


def test_the_widget_shows_escaped_text_and_a_stable_repr(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    monkeypatch.setattr(watch, "_in_jupyter", lambda: True)
    view = watch.View(1_234)
    assert shown == [view.widget]
    assert repr(view.widget) == "Watching 1,234 jobs"
    view.show(watch.Progress({"<b>": 2}, 2, 2, 90.0, [("<script>", 61.0), ("a2", 5.0)]))
    assert "<script>" not in view.widget.value
    assert "&lt;script&gt;" in view.widget.value
    assert "0 of 2 ended (2 &lt;b&gt;); about 2 min left" in view.widget.value
    assert repr(view.widget) == "Watching 1,234 jobs"


def test_a_service_that_cannot_be_read_is_said_on_the_way_and_at_the_end(wire, capsys):
    client = wire.client_of(lambda *_: wire.fault(400, "Nonsense"))
    with pytest.warns(IncompleteWarning, match=r"2 of 2 jobs had not ended .* \(not read: .*Nonsense"):
        watch_jobs(["a1", "a2"], client=client, deadline=60)
    assert "0 of 2 ended (2 unread); time left unknown; not read: " in capsys.readouterr().err


def test_in_a_kernel_the_view_is_the_widget_and_elsewhere_a_line(monkeypatch, capsys):
    progress = watch.Progress({"running": 3}, 3, 3, None, [])
    monkeypatch.setattr("IPython.display.display", lambda _: None)
    for kernel, shown, words in (
        (True, True, ""),
        (True, False, ""),
        (False, True, "0 of 3 ended"),
        (False, False, ""),
    ):
        monkeypatch.setattr(watch, "_in_jupyter", lambda kernel=kernel: kernel)
        view = watch.View(3, shown=shown)
        assert (view.widget is not None) == (kernel and shown)
        view.show(progress)
        view.close()
        said = capsys.readouterr().err
        assert said.startswith(words)
        assert bool(said) == bool(words)


def test_no_thread_is_left(emulator, ids, wire):
    watch_jobs(ids[:5], client=emulator.client(), progress=False)
    assert wire.workers_have_ended()
