"""list_jobs: pages side by side, no second lost, loops, expired tokens, jobs that move, and what a store spares."""

import os
import random
import shutil
import threading
import time
from datetime import UTC, date, datetime, timedelta, timezone
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from cosai_nb.arguments import SERVICE_ZONE, moment
from cosai_nb.emulator import Emulator, Fault, Scenario
from cosai_nb.errors import (
    AnswerError,
    DeniedError,
    FileError,
    IncompleteWarning,
    MismatchError,
    RefusedError,
    SettingsError,
)
from cosai_nb.query import fetch_jobs, list_jobs
from cosai_nb.service.listing import Scope, Span, Window, Windows
from cosai_nb.service.parsing import Fields
from cosai_nb.table.frame import conform
from cosai_nb.table.store import JobStore

DAY = 1_790_006_400  # 2026-09-22T00:00:00+0800
QUEUE = "p1"
WEEK = {"start": "2026-11-02", "end": "2026-11-09"}


def text(moment):
    return datetime.fromtimestamp(moment, SERVICE_ZONE).strftime("%Y-%m-%dT%H:%M:%S%z")


def job(job_id, created, state="Success", queue=QUEUE):
    created = created if isinstance(created, str) else text(created)
    return (
        f"<JobsDetail><JobId>{job_id}</JobId><State>{state}</State><QueueId>{queue}</QueueId><Tag>Translation</Tag>"
        f"<CreationTime>{created}</CreationTime></JobsDetail>"
    )


def page(*jobs, token=""):
    return f"<Response>{''.join(jobs)}<NextToken>{token}</NextToken></Response>"


def asked(url):
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


class Queue:
    """A service that knows some jobs, as creation time by ID; pages as documented, both bounds exclusive."""

    def __init__(self, wire, created, *, size=100, order=lambda jobs: jobs, inclusive=False, **headers):
        self.wire, self.size, self.inclusive, self.headers = wire, size, inclusive, headers
        self.jobs = order(sorted(created.items(), key=lambda job: (job[1], job[0])))
        self.client = wire.client_of(self)
        self.pages = 0

    def __call__(self, url, _headers):
        self.pages += 1
        params = asked(url)
        slack = 1 if self.inclusive else 0
        low, high = (
            int(datetime.strptime(params[name], "%Y-%m-%dT%H:%M:%S%z").timestamp())
            for name in ("startCreationTime", "endCreationTime")
        )
        here = [pair for pair in self.jobs if low - slack < pair[1] < high + slack]
        first = int(params.get("nextToken", "0"))
        more = str(first + self.size) if first + self.size < len(here) else ""
        return self.wire.reply(
            body=page(*(job(*pair) for pair in here[first : first + self.size]), token=more), **self.headers
        )

    def list(self, *windows, **settings):
        return list_records(self.client, windows or (Window(DAY, DAY + 86_400),), **settings)


def list_records(client, windows, *, on_tick=lambda: None, **settings):
    """List one queue's windows; returns records by ID, the windows read, and how it ended."""
    plan = Windows(
        client.path, [(Scope(QUEUE, "Translation"), window) for window in windows], fields=Fields()
    )
    end = client.run(plan, on_tick=on_tick, **settings)
    records = {job_id: record for of in plan.records.values() for job_id, record in of.items()}
    return SimpleNamespace(records=records, read=[window for _, window, _ in plan.read], end=end)


def spread(count, seconds=86_400):
    return {f"a{number:05}": DAY + number * seconds // count for number in range(count)}


def test_what_is_asked_is_what_the_documents_say(wire):
    queue = Queue(wire, {"a1": DAY})
    queue.list(Window(DAY, DAY + 60))
    [(url, _)] = queue.client.fake.asked
    assert "startCreationTime=2026-09-21T23%3A59%3A59%2B0800" in url  # + as %2B, the bound itself left out
    assert asked(url) == {
        "tag": "Translation",
        "queueId": QUEUE,
        "orderByTime": "Asc",
        "size": "100",
        "states": "All",
        "startCreationTime": "2026-09-21T23:59:59+0800",
        "endCreationTime": "2026-09-22T00:01:00+0800",
    }


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("workers", [1, 8])
def test_every_job_comes_and_costs_about_a_hundredth_of_a_request(wire, workers, inclusive):
    queue = Queue(wire, spread(5_000), inclusive=inclusive)
    listed = queue.list(workers=workers)
    assert listed.records.keys() == spread(5_000).keys()
    assert listed.end is None
    assert queue.pages <= 1.2 * 50 + 1
    assert min(listed.read).start == DAY
    assert max(window.end for window in listed.read) == DAY + 86_400


def test_jobs_on_the_bounds_are_in_or_out_as_promised(wire):
    created = {"before": DAY - 1, "first": DAY, "last": DAY + 59, "after": DAY + 60}
    for inclusive in (False, True):
        listed = Queue(wire, created, inclusive=inclusive).list(Window(DAY, DAY + 60))
        assert listed.records.keys() == {"first", "last"}


def test_windows_that_touch_lose_no_second(wire):
    listed = Queue(wire, spread(500, 500)).list(*(Window(DAY + n, DAY + n + 50) for n in range(0, 500, 50)))
    assert len(listed.records) == 500


def test_a_burst_in_one_second_is_listed(wire):
    created = {f"a{number:05}": DAY + 7 for number in range(1_000)} | {"z": DAY + 80_000}
    assert len(Queue(wire, created).list().records) == 1_001


@pytest.mark.parametrize("order", ["Desc", "none"])
def test_a_service_that_ignores_the_order_is_paged_to_the_end(wire, order):
    def shuffle(jobs):
        return jobs[::-1] if order == "Desc" else random.Random(1).sample(jobs, len(jobs))

    listed = Queue(wire, spread(3_000), order=shuffle).list()
    assert len(listed.records) == 3_000


def test_creation_times_that_are_none_still_come(wire):
    pages = [page(job("a1", DAY), job("a2", "-"), token="1"), page(job("a3", DAY + 5))]
    client = wire.client_of(lambda _url, _headers: wire.reply(body=pages.pop(0)))
    listed = list_records(client, [Window(DAY, DAY + 60)])
    assert listed.records.keys() == {"a1", "a2", "a3"}


def test_short_and_empty_pages_are_not_the_end(wire):
    pages = [page(job("a1", DAY), token="1"), page(token="2"), page(job("a2", DAY + 1))]
    client = wire.client_of(lambda _url, _headers: wire.reply(body=pages.pop(0)))
    listed = list_records(client, [Window(DAY, DAY + 60)], workers=1)
    assert listed.records.keys() == {"a1", "a2"}


def test_a_job_that_moves_between_pages_keeps_its_newest_state(wire):
    pages = [
        page(job("a1", DAY, "Submitted"), job("a2", DAY, "Success"), token="1"),
        page(job("a2", DAY, "Running"), job("a1", DAY, "Success"), token="2"),
        page(job("a1", DAY, "Running")),
    ]
    client = wire.client_of(lambda _url, _headers: wire.reply(body=pages.pop(0)))
    listed = list_records(client, [Window(DAY, DAY + 60)], workers=1)
    assert listed.records.keys() == {"a1", "a2"}
    assert all("Success" in record.values for record in listed.records.values())


def test_a_loop_of_tokens_is_begun_again_once(wire):
    pages = [
        page(job("a1", DAY), token="1"),
        page(job("a2", DAY), token="1"),
        page(job("a1", DAY), token="1"),
        page(job("a3", DAY)),
    ]
    client = wire.client_of(lambda _url, _headers: wire.reply(body=pages.pop(0)))
    listed = list_records(client, [Window(DAY, DAY + 60)], workers=1)
    assert listed.end is None
    assert listed.records.keys() == {"a1", "a2", "a3"}


def test_a_loop_that_stays_is_an_error_and_no_endless_listing(wire):
    asked_for = []

    def answer(url, _headers):
        asked_for.append(url)
        return wire.reply(body=page(job("a1", DAY), token="7"))

    with pytest.raises(AnswerError, match=r"read before .nextToken '7'.*List a shorter time") as caught:
        list_jobs(
            tag="Translation",
            queue_id=QUEUE,
            start="2026-09-22",
            end="2026-09-23",
            client=wire.client_of(answer),
        )
    assert len(asked_for) == 4
    assert caught.value.jobs["job_id"].tolist() == ["a1"]


def test_an_expired_token_begins_the_window_again(wire):
    answers = [
        wire.reply(body=page(job("a1", DAY), token="1")),
        wire.fault(400, "InvalidArgument", "nextToken expired"),
        wire.reply(body=page(job("a1", DAY), token="2")),
        wire.reply(body=page(job("a2", DAY))),
    ]
    client = wire.client_of(lambda _url, _headers: answers.pop(0))
    listed = list_records(client, [Window(DAY, DAY + 60)], workers=1)
    assert listed.end is None
    assert listed.records.keys() == {"a1", "a2"}


def test_a_refusal_of_the_first_page_is_not_repeated(wire):
    client = wire.client_of(lambda _url, _headers: wire.fault(400, "InvalidArgument", "no such queue"))
    with pytest.raises(RefusedError, match="no such queue"):
        list_jobs(tag="Translation", queue_id=QUEUE, start="2026-09-22", end="2026-09-23", client=client)
    assert len(client.fake.asked) == 1


@pytest.mark.parametrize(
    "body", [page(job("a1", DAY, queue="p2")), page("<JobsDetail><State>Success</State></JobsDetail>")]
)
def test_an_answer_about_other_jobs_is_never_a_row(wire, body):
    client = wire.client_of(lambda _url, _headers: wire.reply(body=body))
    with pytest.raises(MismatchError, match="not asked for") as caught:
        list_jobs(tag="Translation", queue_id=QUEUE, start="2026-09-22", end="2026-09-23", client=client)
    assert len(caught.value.jobs) == 0


def test_denied_in_the_middle_gives_what_was_listed_and_names_what_was_not(wire):
    queue = Queue(wire, spread(3_000))
    answers = queue.client.fake.answer

    def deny_later(url, headers):
        return wire.fault(403, "AccessDenied") if queue.pages >= 10 else answers(url, headers)

    queue.client.fake.answer = deny_later
    with pytest.raises(DeniedError) as caught:
        list_jobs(
            tag="Translation", queue_id=QUEUE, start="2026-09-22", end="2026-09-23", client=queue.client
        )
    assert 900 <= len(caught.value.jobs) <= 1_100
    note, _ = caught.value.__notes__
    assert "jobs were listed" in note
    assert "2026-09-23T00:00:00+0800" in note


def test_ctrl_c_returns_what_was_listed_with_a_warning(wire, monkeypatch):
    queue = Queue(wire, spread(3_000))
    from cosai_nb.query import fetch

    seen = []
    answer = queue.client.fake.answer

    def slow_in_the_end(url, headers):
        time.sleep(0.5 if queue.pages >= 6 else 0)
        return answer(url, headers)

    queue.client.fake.answer = slow_in_the_end

    def interrupt(_bar, records):
        before = sum(seen)
        seen.append(records)
        if before < 500 <= sum(seen):
            raise KeyboardInterrupt

    monkeypatch.setattr(fetch.tqdm, "update", interrupt)
    with pytest.warns(
        IncompleteWarning, match=r"interrupted: .* jobs were listed; what was created from .* List again"
    ):
        jobs = list_jobs(
            tag="Translation", queue_id=QUEUE, start="2026-09-22", end="2026-09-23", client=queue.client
        )
    assert 500 <= len(jobs) < 3_000
    assert wire.workers_have_ended()


@pytest.mark.parametrize(
    ("states", "sent"),
    [
        (None, "All"),
        (["Failed"], "Failed"),
        (["Success", "Cancel"], "Cancel,Success"),
        (["Failed", "Running"], "All"),
    ],
)
def test_only_states_that_jobs_do_not_leave_are_sent(wire, states, sent):
    body = page(job("a1", DAY, "Failed"), job("a2", DAY, "Running"), job("a3", DAY, "Success"))
    client = wire.client_of(lambda _url, _headers: wire.reply(body=body))
    jobs = list_jobs(
        tag="Translation", queue_id=QUEUE, start="2026-09-22", end="2026-09-23", states=states, client=client
    )
    assert asked(client.fake.asked[0][0])["states"] == sent
    assert set(jobs["state"]) == {"Failed", "Running", "Success"}.intersection(
        states or ["Failed", "Running", "Success"]
    )
    assert [*jobs["state"].cat.categories] == sorted(set(jobs["state"]))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"start": datetime(2026, 9, 22)}, "no time zone: write start='2026-09-22T00:00:00'"),  # noqa: DTZ001 - the point
        ({"end": pd.Timestamp("2026-09-23")}, "no time zone"),
        ({"start": "yesterday"}, "is no time"),
        ({"start": 5}, "is no time"),
        ({"start": pd.NaT}, "start=NaT is no time"),
        ({"end": "2026-09-22"}, "not after"),
        ({"start": "0001-01-01"}, "start=0001-01-01 is not in the years 1970 to 9998"),
        ({"start": "1969-12-31"}, "1970"),
        ({"end": "9999-12-31T23:59:59.5"}, "9998"),
        ({"end": datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-8)))}, "9998"),
        ({"tag": "a&b"}, "tag='a&b' must be"),
        ({"queue_id": ""}, "queue_id='' must be"),
        ({"states": "Failed"}, "must be a list of states"),
        ({"states": ["Broken"]}, "each one of Submitted"),
    ],
)
def test_settings_that_cannot_be_right_are_named(wire, settings, said):
    client = wire.client_of(lambda *_: pytest.fail("asked"))
    good = {"tag": "Translation", "queue_id": QUEUE, "start": "2026-09-22", "end": "2026-09-23"}
    with pytest.raises(SettingsError, match=said):
        list_jobs(client=client, **(good | settings))


def test_times_without_a_zone_are_the_services_own():
    def window_of(start, end):
        return Window(moment(start, "start", now=0), moment(end, "end", now=0))

    expected = Window(DAY, DAY + 86_400)
    assert window_of("2026-09-22", "2026-09-23") == expected
    assert window_of(date(2026, 9, 22), "2026-09-22T16:00:00Z") == expected
    zone = timezone(timedelta(hours=8))
    assert (
        window_of(datetime(2026, 9, 22, tzinfo=zone), pd.Timestamp("2026-09-22T16:00", tz="UTC")) == expected
    )
    late = datetime(
        2026, 9, 21, 16, 0, 0, 1, tzinfo=UTC
    )  # creation times are whole seconds: the next one counts
    assert window_of(late, "2026-09-23").start == DAY + 1


def test_a_span_is_cut_where_its_jobs_are():
    span = Span(Window(0, 1_000), Scope("p1", "Translation"))
    assert span.left() == 0.0  # nothing is known before the first page
    span.see(list(range(100)))
    assert span.left() == pytest.approx(100 / 99 * 901)
    assert span.cut() == Window(549, 1_000)
    assert (span.end, span.over()) == (549, False)
    span.see([200, 549])
    assert span.over()
    assert span.left() <= 0
    span.see([3])
    assert not span.over()


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7, scenario=Scenario(jobs=3_000)) as running:
        yield running


@pytest.fixture
def half_time(emulator):
    """Wednesday noon: jobs are still to come, and some have not ended."""
    emulator.set_time(datetime(2026, 11, 4, 11, 30, tzinfo=SERVICE_ZONE).timestamp())
    return emulator


def of_queue(jobs, tag, queue_id):
    here = jobs[(jobs["tag"] == tag) & (jobs["queue_id"] == queue_id)]
    return conform(here.sort_values(["creation_time", "job_id"], ignore_index=True)).drop(
        columns="observed_at"
    )


def test_listing_gives_the_frame_of_querying_by_id(half_time):
    client = half_time.client()
    known = fetch_jobs(half_time.job_ids, client=client, progress=False)
    for tag, queue_id in known[["tag", "queue_id"]].dropna().drop_duplicates().to_numpy():
        listed = list_jobs(tag=tag, queue_id=queue_id, client=client, progress=False, **WEEK)
        name = half_time.workload.scenario.queues[half_time.queue_ids.index(queue_id)].name
        assert set(listed["queue_name"]) == {name}
        listed = listed.drop(columns=["observed_at", "queue_name"])
        pd.testing.assert_frame_equal(listed, of_queue(known, tag, queue_id))


def test_a_store_spares_the_hours_in_which_all_has_ended(half_time, tmp_path):
    client, store = half_time.client(), JobStore(tmp_path / "jobs")
    settings = {
        "tag": "Translation",
        "queue_id": half_time.queue_ids[0],
        "client": client,
        "progress": False,
        **WEEK,
    }
    first = list_jobs(store=store, **settings)
    assert first["outcome"].isin(["running", "waiting"]).any()
    asked_first = len(half_time.requests)
    again = list_jobs(store=store, **settings)
    pages = len(half_time.requests) - asked_first
    assert pages <= 4  # the hours of the incident that is going on
    pd.testing.assert_frame_equal(again.drop(columns="observed_at"), first.drop(columns="observed_at"))

    half_time.advance(7 * 86_400)
    finally_ = list_jobs(store=store, **settings)
    assert set(finally_["outcome"]) <= {"success", "failed", "cancelled"}
    pd.testing.assert_frame_equal(
        finally_.drop(columns="observed_at"), list_jobs(**settings).drop(columns="observed_at")
    )
    before = len(half_time.requests)
    assert len(list_jobs(store=store, **settings)) == len(finally_)
    assert len(half_time.requests) == before  # nothing is left to ask
    assert store.jobs()["job_id"].is_unique


def test_hours_are_known_only_with_the_further_columns_that_are_asked_for(half_time, tmp_path):
    half_time.advance(30 * 86_400)
    settings = {"queue_id": half_time.queue_ids, "client": half_time.client(), "store": tmp_path, **WEEK}
    list_jobs(**settings)
    before = len(half_time.requests)
    assert list_jobs(**settings)["job_id"].size == 3_000
    assert len(half_time.requests) == before
    columns = {"ner": "Operation/WordsGeneralize/NerMethod"}
    jobs = list_jobs(columns=columns, **settings)
    assert len(half_time.requests) > before
    assert (jobs["ner"].notna() == (jobs["tag"] == "WordsGeneralize")).all()
    before = len(half_time.requests)
    pd.testing.assert_frame_equal(list_jobs(columns=columns, **settings), jobs)
    list_jobs(**settings)
    assert len(half_time.requests) == before  # and now they are known with it


LATER = {"Date": "Thu, 24 Sep 2026 00:00:00 GMT"}


def list_days(queue, store, days=(22, 24)):
    first, last = (f"2026-09-{day}" for day in days)
    return list_jobs(
        tag="Translation",
        queue_id=QUEUE,
        start=first,
        end=last,
        client=queue.client,
        store=store,
        progress=False,
    )


@pytest.mark.parametrize("harm", ["remove", "cut", "cut under a store that is open"])
@pytest.mark.filterwarnings("ignore::cosai_nb.errors.CosaiWarning")
def test_hours_whose_jobs_are_no_longer_stored_are_listed_again(wire, tmp_path, harm):
    queue = Queue(wire, spread(500, 2 * 86_400), **LATER)
    store = JobStore(tmp_path / "jobs")
    list_days(queue, store, (22, 23))
    [of_first_day] = store.folder.glob("*.parquet")
    whole = list_days(queue, store)
    assert len(whole) == 500
    queue.pages = 0
    assert len(list_days(queue, store)) == 500
    assert queue.pages == 0
    of_first_day.unlink() if harm == "remove" else os.truncate(of_first_day, 1_000)
    asked_before = len(queue.client.fake.asked)
    again = list_days(queue, store if "open" in harm else store.folder)
    pd.testing.assert_frame_equal(again, whole)
    starts = {asked(url)["startCreationTime"] for url, _ in queue.client.fake.asked[asked_before:]}
    assert starts  # it was asked again, and only for the day that is gone
    assert all(start < "2026-09-23" for start in starts)
    queue.pages = 0
    assert len(list_days(queue, store.folder)) == 500
    assert queue.pages == 0  # and it is known again


def test_windows_remembered_in_the_old_form_are_listed_again(wire, tmp_path):
    queue = Queue(wire, spread(10), **LATER)
    store = JobStore(tmp_path)
    scope = f"{queue.client.bucket} {queue.client.path} {QUEUE} Translation"
    from cosai_nb.table import notes

    content = f'{{"scope": "{scope}", "windows": [[0, 9999999999]]}}'.encode()
    (tmp_path / "_listed").mkdir()
    (tmp_path / "_listed" / f"{notes.digest(content)}.json").write_bytes(content)
    assert len(list_days(queue, store)) == 10


def test_a_job_without_queue_tag_or_time_comes_in_every_listing(wire, tmp_path):
    whole = job("a1", DAY)
    jobs = [
        whole,
        whole.replace("a1", "a2").replace(f"<QueueId>{QUEUE}</QueueId>", ""),
        whole.replace("a1", "a3").replace("<Tag>Translation</Tag>", ""),
        job("a5", DAY + 7_200),
    ]
    client = wire.client_of(lambda *_: wire.reply(body=page(*jobs), **LATER))
    queue = SimpleNamespace(client=client)
    for _ in range(3):
        assert sorted(list_days(queue, tmp_path)["job_id"]) == ["a1", "a2", "a3", "a5"]
    hours = {(asked(url)["startCreationTime"], asked(url)["endCreationTime"]) for url, _ in client.fake.asked}
    assert ("2026-09-21T23:59:59+0800", "2026-09-22T01:00:00+0800") in hours  # theirs only, the second time
    assert len(pd.read_parquet(tmp_path)) == 4  # and they are stored once

    jobs.append(job("a4", "-"))
    folder = tmp_path / "other"
    for _ in range(3):
        assert sorted(list_days(queue, folder)["job_id"]) == ["a1", "a2", "a3", "a4", "a5"]
    assert len(pd.read_parquet(folder)) == 5


def test_a_store_deleted_in_the_middle_leaves_what_was_listed(wire, tmp_path):
    queue = Queue(wire, spread(30), **LATER)
    store = JobStore(tmp_path / "jobs")
    list_days(queue, store, (22, 23))
    answer = queue.client.fake.answer

    def delete_then_answer(url, headers):
        shutil.rmtree(store.folder, ignore_errors=True)
        return answer(url, headers)

    queue.client.fake.answer = delete_then_answer
    queue.jobs.append(("z", DAY + 90_000))
    with pytest.raises(FileError, match="folder still exists") as caught:
        list_days(queue, store)
    assert caught.value.jobs["job_id"].tolist() == ["z"]
    assert "1 jobs were listed" in caught.value.__notes__[0]


def test_a_store_that_cannot_be_read_after_the_listing_leaves_what_was_listed(wire, tmp_path, monkeypatch):
    queue = Queue(wire, spread(30), **LATER)

    def refuse(_store, _job_ids):
        raise FileError("the disk stumbled")

    monkeypatch.setattr(JobStore, "jobs", refuse)
    with pytest.raises(FileError, match="stumbled") as caught:
        list_days(queue, tmp_path)
    assert len(caught.value.jobs) == 30
    assert caught.value.__notes__[0] == "30 jobs were listed before."


def test_ctrl_c_waits_once_for_all_requests_and_not_for_each(wire, monkeypatch):
    from cosai_nb.service import client as module

    monkeypatch.setattr(module, "_LAST_ANSWERS_S", 0.3)
    hang = threading.Event()

    def answer(url, _headers):
        if asked(url)["startCreationTime"] == text(DAY - 1):
            return wire.reply(body=page(job("a1", DAY)))
        hang.wait(20)
        return wire.reply(body=page())

    def interrupt():
        time.sleep(0.2)  # the others have asked by now
        raise KeyboardInterrupt

    windows = [Window(DAY + n, DAY + n + 1) for n in range(8)]
    began = time.monotonic()
    listed = list_records(wire.client_of(answer, threads=True), windows, on_tick=interrupt)
    took = time.monotonic() - began
    hang.set()
    assert listed.end == module.INTERRUPTED
    assert took < 0.2 + 0.3 + 1.5  # seven times would be 2.3 s


def test_a_filtered_listing_is_not_taken_for_a_whole_one(half_time, tmp_path):
    half_time.advance(30 * 86_400)
    settings = {
        "tag": "Translation",
        "queue_id": half_time.queue_ids[0],
        "client": half_time.client(),
        **WEEK,
    }
    store = tmp_path / "jobs"
    failed = list_jobs(states=["Failed"], store=store, progress=False, **settings)
    everything = list_jobs(store=store, progress=False, **settings)
    assert set(failed["outcome"]) == {"failed"}
    assert len(everything) == len(list_jobs(progress=False, **settings)) > 5 * len(failed)
    before = len(half_time.requests)
    again = list_jobs(states=["Failed"], store=store, progress=False, **settings)
    assert len(half_time.requests) == before  # now the store knows them all, in any state
    assert again["job_id"].tolist() == failed["job_id"].tolist()


def test_a_listing_again_does_not_store_ended_jobs_again(wire, tmp_path):
    body = page(job("a1", DAY, "Success"), job("a2", DAY, "Running"))
    client = wire.client_of(lambda *_: wire.reply(body=body, Date=f"Tue, 22 Sep 2026 0{hour}:00:00 GMT"))
    for hour in (3, 4):  # noqa: B007 - the answers read it
        list_jobs(
            tag="Translation",
            queue_id=QUEUE,
            start="2026-09-22",
            end="2026-09-23",
            client=client,
            store=tmp_path,
        )
    assert sorted(pd.read_parquet(tmp_path)["job_id"]) == ["a1", "a2", "a2"]


@pytest.mark.parametrize("step", ["add", "name_queues"])
def test_a_store_that_fails_ends_the_listing_with_what_was_listed(half_time, tmp_path, monkeypatch, step):
    def refuse(_store, *_what):
        raise FileError("no room")

    monkeypatch.setattr(JobStore, step, refuse)
    with pytest.raises(FileError, match="no room") as caught:
        list_jobs(
            tag="Translation",
            queue_id=half_time.queue_ids[0],
            client=half_time.client(),
            store=tmp_path,
            **WEEK,
        )
    assert len(caught.value.jobs) > 100


def test_a_store_that_is_full_still_tells_what_it_knows_of_the_window(wire, tmp_path, monkeypatch):
    queue = Queue(wire, spread(30), **LATER)
    list_days(queue, tmp_path, days=(22, 23))

    def refuse(*_what):
        raise FileError("no room")

    monkeypatch.setattr("cosai_nb.query.list.mark_listed", refuse)
    with pytest.raises(FileError, match="no room") as caught:
        list_days(queue, tmp_path)
    assert len(caught.value.jobs) == 30


def test_a_list_without_end_ends_with_a_sentence():
    """Every page is empty and names a next one: a thousand requests a second for ever, once."""
    scenario = Scenario(jobs=50)
    with Emulator(
        seed=7, scenario=scenario, faults=[Fault(kind="endless_list", path="/ai_jobs")]
    ) as emulator:
        with pytest.raises(AnswerError, match="has no end: 100 pages in a row held no job"):
            list_jobs(start="10d", client=emulator.client(), progress=False)
        assert len(emulator.requests) < 2_000
        with pytest.warns(IncompleteWarning, match="the deadline of the call was over"):
            jobs = list_jobs(start="10d", client=emulator.client(rate=20), progress=False, deadline="0.5s")
        assert len(jobs) == 0


def test_all_queues_and_tags_by_default_and_names_as_good_as_ids(half_time):
    client = half_time.client()
    half_time.advance(7 * 86_400)
    everything = list_jobs(start="10d", client=client, progress=False)
    assert set(everything["job_id"]) == set(half_time.job_ids)
    names = [spec.name for spec in half_time.workload.scenario.queues]
    for asked in (names[0], names[0].upper(), half_time.queue_ids[0]):
        jobs = list_jobs(start="10d", queue_id=asked, client=client, progress=False)
        assert set(jobs["queue_name"]) == {names[0]}
        assert len(jobs) == (everything["queue_id"] == half_time.queue_ids[0]).sum()
    two = list_jobs(
        start="10d",
        queue_id=names[1:],
        tag=["translation", "SPEECHRECOGNITION"],
        client=client,
        progress=False,
    )
    assert set(two["queue_name"]) <= set(names[1:])
    assert set(two["tag"]) <= {"Translation", "SpeechRecognition"}
    ago = pd.Timestamp(half_time.now - 36 * 3600, unit="s", tz="UTC")
    recent = list_jobs(start="36h", client=client, progress=False)
    assert recent.empty or recent["creation_time"].min() >= ago
