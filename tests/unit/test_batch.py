"""Many IDs in flight: nothing lost, nothing twice, nothing foreign."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from types import SimpleNamespace

import pytest

from cosai_nb.errors import CosaiError, DeniedError, MalformedError, OversizedError, UnavailableError
from cosai_nb.schema import Record
from cosai_nb.service.client import INTERRUPTED, Clock
from cosai_nb.service.parsing import MAX_BYTES, Fields
from cosai_nb.service.scheduler import Lists

IDS = [f"j{number:04}" for number in range(100)]


class Service:
    """Answers lists truly, and counts; ``meddle(ids)`` may return another answer, None for the true one."""

    def __init__(self, wire, meddle=lambda _: None, unknown=()):
        self.wire, self.meddle, self.unknown = wire, meddle, set(unknown)
        self.lists: list[list[str]] = []
        self.lock = threading.Lock()

    def __call__(self, url, _headers):
        ids = self.wire.ids_of(url)
        with self.lock:
            self.lists.append(ids)
            answer = self.meddle(ids)
        return self.true(ids) if answer is None else answer

    def true(self, ids):
        known = [job_id for job_id in ids if job_id not in self.unknown]
        return self.wire.reply(
            200, self.wire.xml(known, [job_id for job_id in ids if job_id in self.unknown])
        )


def fetch(client, ids, *, workers=4, batch_size=10, deadline=None, on_records=lambda _: None):
    """Ask for the IDs; what was not read is unread, and says why."""
    plan = Lists(client.path, ids, client.pace, batch_size=batch_size, fields=Fields())
    read = []

    def take():
        records, plan.finished = plan.finished, []
        read.extend(records)
        on_records(records)

    end = client.run(plan, workers=workers, deadline=deadline, on_tick=take)
    read.extend(plan.finished)
    records = {record.job_id: record for record in read}
    assert len(records) == len(read)
    for job_id in ids:
        records.setdefault(job_id, Record(job_id, "unread", error=f"not read: {end}"))
    return SimpleNamespace(
        records=records,
        repairs=plan.repairs,
        ended=None if end is None else str(end),
        failure=end if isinstance(end, CosaiError) and not isinstance(end, UnavailableError) else None,
        interrupted=end == INTERRUPTED,
    )


def fates(fetched) -> Counter[str]:
    assert all(job_id == record.job_id for job_id, record in fetched.records.items())
    assert all(
        record.values[0] == record.job_id for record in fetched.records.values() if record.fate == "job"
    )
    assert all(record.error for record in fetched.records.values() if record.fate == "unread")
    return Counter(record.fate for record in fetched.records.values())


def run(wire, meddle=lambda _: None, ids=IDS, unknown=(), workers=4, batch_size=10, **settings):
    service = Service(wire, meddle, unknown)
    client = settings.pop("client", None) or wire.client_of(service)
    client.fake.answer = service
    fetched = fetch(client, ids, workers=workers, batch_size=batch_size, **settings)
    assert set(fetched.records) == set(ids)
    assert len(fetched.records) == len(ids)
    assert client.fake.most_in_flight <= workers
    return fetched, service, client


def test_all_are_read_in_lists_of_ten(wire):
    fetched, service, _ = run(wire)
    assert fates(fetched) == {"job": 100}
    assert fetched.ended is None
    assert sorted(map(len, service.lists)) == [10] * 10
    assert {record.observed_ms for record in fetched.records.values()} == {1_700_000_060_000}


@pytest.mark.parametrize("batch_size", [1, 3, 10, 50])
@pytest.mark.parametrize("workers", [1, 16])
def test_no_list_is_longer_than_asked_for_or_ten(wire, batch_size, workers):
    _, service, _ = run(wire, batch_size=batch_size, workers=workers)
    assert max(map(len, service.lists)) == min(batch_size, 10)
    assert sum(map(len, service.lists)) == 100


def test_no_ids_ask_nothing(wire):
    fetched, service, _ = run(wire, ids=[])
    assert fetched.records == {}
    assert service.lists == []


def test_unknown_ids_are_not_found(wire):
    fetched, _, _ = run(wire, unknown=IDS[::7])
    assert fates(fetched) == {"job": 85, "not_found": 15}
    assert all(fetched.records[job_id].fate == "not_found" for job_id in IDS[::7])


def test_only_unknown_ids(wire):
    fetched, service, _ = run(wire, unknown=IDS)
    assert fates(fetched) == {"not_found": 100}
    assert len(service.lists) <= 110


# ---- lists that are refused


@pytest.mark.parametrize("status", [400, 404, 414])
@pytest.mark.parametrize("largest", [1, 2, 4, 5, 9])
def test_refused_lists_are_halved_and_the_size_is_kept(wire, status, largest):
    def meddle(ids):
        return wire.fault(status, "InvalidArgument") if len(ids) > largest else None

    fetched, _, client = run(wire, meddle)
    assert fates(fetched) == {"job": 100}
    learnt = {1: 1, 2: 2, 4: 3, 5: 5, 9: 5}[largest]  # 5 comes apart into 2 and 3
    again, service, _ = run(wire, meddle, ids=[f"k{number}" for number in range(60)], client=client)
    assert fates(again) == {"job": 60}
    assert max(map(len, service.lists)) == learnt


def test_a_poisoned_id_gets_its_row_and_lists_stay_long(wire):
    calm = [job_id for job_id in IDS if job_id != "j0037"]
    _, _, client = run(wire, ids=calm[:10])  # a list was answered before

    def meddle(ids):
        return wire.fault(400, "InvalidArgument", "bad id") if "j0037" in ids else None

    fetched, service, _ = run(wire, meddle, client=client)
    assert fates(fetched) == {"job": 99, "unread": 1}
    assert "InvalidArgument: bad id" in fetched.records["j0037"].error
    assert fetched.ended is None
    assert client.pace.list_size is None
    _, service, _ = run(wire, ids=[f"k{number}" for number in range(60)], client=client)
    assert set(map(len, service.lists)) == {10}


def test_a_poisoned_first_list_shrinks_only_until_a_longer_one_is_answered(wire):
    def meddle(ids):
        return wire.fault(400, "InvalidArgument") if "j0000" in ids else None

    _, _, client = run(wire, meddle, workers=4)
    _, service, _ = run(wire, ids=[f"k{number}" for number in range(60)], client=client)
    assert max(map(len, service.lists)) >= 5


def test_a_list_called_unknown_as_one_is_asked_singly(wire):
    """A service without lists would take "a,b" for one strange ID; nothing may be not_found for that."""

    def meddle(ids):
        return wire.reply(200, wire.xml([], [",".join(ids)])) if len(ids) > 1 else None

    fetched, service, _ = run(wire, meddle, unknown=IDS[:3])
    assert fates(fetched) == {"job": 97, "not_found": 3}
    assert max(Counter(job_id for ids in service.lists for job_id in ids).values()) == 2


@pytest.mark.parametrize(
    ("code", "fate"),
    [
        ("JobNotFound", "not_found"),
        ("NoSuchJob", "not_found"),
        ("InvalidParameter.JobIdNotExist", "not_found"),
        ("ResourceNotFound", "unread"),
        ("NotFound", "unread"),
    ],
)
def test_a_404_is_an_unknown_job_only_where_its_code_speaks_of_jobs(wire, code, fate):
    fetched, _, _ = run(wire, lambda ids: wire.fault(404, code) if "j0001" in ids else None)
    assert fates(fetched) == {"job": 99, fate: 1}
    assert fetched.records["j0001"].fate == fate


def test_a_404_without_a_code_speaks_of_the_address(wire):
    page = wire.reply(404, "<html><h1>404 nginx</h1></html>")
    fetched, _, _ = run(wire, lambda _: page, ids=IDS[:5])
    assert fates(fetched) == {"unread": 5}


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchBucket"])
def test_a_404_of_an_object_store_ends_the_call(wire, code):
    fetched, service, _ = run(wire, lambda _: wire.fault(404, code), workers=1)
    assert isinstance(fetched.failure, DeniedError)
    assert len(service.lists) == 1


# ---- answers that cannot be right


def test_an_omitted_job_is_asked_for_alone(wire):
    def meddle(ids):
        return wire.reply(200, wire.xml(ids[1:])) if len(ids) > 1 else None

    fetched, service, _ = run(wire, meddle)
    assert fates(fetched) == {"job": 100}
    assert len(service.lists) == 20


def test_a_single_id_with_an_answer_about_nothing_is_not_found(wire):
    fetched, _, _ = run(wire, lambda _: wire.reply(200, "<Response/>"), ids=IDS[:3])
    assert fates(fetched) == {"not_found": 3}


@pytest.mark.parametrize(
    "foreign", ["j9999", "j0001"]
)  # one that nobody asked for, one that another list asks for
def test_a_foreign_job_is_never_kept(wire, foreign):
    def meddle(ids):
        return wire.reply(200, wire.xml([foreign])) if "j0000" in ids or ids == [foreign] else None

    fetched, _, _ = run(wire, meddle, batch_size=1)
    assert fetched.records["j0000"].fate == "unread"
    assert foreign in fetched.records["j0000"].error
    assert fates(fetched) == {"job": 99, "unread": 1}
    assert "j9999" not in fetched.records


def test_a_foreign_job_beside_the_asked_ones_is_left_out(wire):
    fetched, _, _ = run(wire, lambda ids: wire.reply(200, wire.xml(["j9999", *ids])))
    assert fates(fetched) == {"job": 100}


def test_a_foreign_job_does_not_vouch_for_a_list(wire):
    """Only a job that was asked for shows that the service understands lists, and so what it calls unknown."""

    def meddle(ids):
        return wire.reply(200, wire.xml(["j9999"], ids)) if len(ids) > 1 else None

    fetched, _, client = run(wire, meddle)
    assert fates(fetched) == {"job": 100}
    assert client.pace.accepted_size == 1


def test_a_job_that_is_both_there_and_unknown_is_there(wire):
    fetched, _, _ = run(wire, lambda ids: wire.reply(200, wire.xml(ids, ids)))
    assert fates(fetched) == {"job": 100}


@pytest.mark.parametrize("states", [("Running", "Success"), ("Success", "Running"), ("Submitted", "Failed")])
def test_of_two_answers_for_one_job_the_furthest_counts(wire, states):
    details = "".join(
        f"<JobsDetail><JobId>j0000</JobId><State>{state}</State></JobsDetail>" for state in states
    )
    fetched, _, _ = run(wire, lambda _: wire.reply(200, f"<Response>{details}</Response>"), ids=IDS[:1])
    assert {"Success", "Failed"} & {*fetched.records["j0000"].values}


def test_jobs_in_another_order_are_matched_by_id(wire):
    fetched, _, _ = run(wire, lambda ids: wire.reply(200, wire.xml(reversed(ids))))
    assert fates(fetched) == {"job": 100}


def test_one_malformed_job_costs_only_its_own_row(wire):
    def meddle(ids):
        return wire.reply(200, "<Response><JobsDetail></Response>") if "j0042" in ids else None

    fetched, service, _ = run(wire, meddle)
    assert fates(fetched) == {"job": 99, "unread": 1}
    assert Counter(job_id for ids in service.lists for job_id in ids)["j0042"] <= 3 * 5


@pytest.mark.parametrize("answer", ["500", "reset"])
def test_an_id_that_the_service_stumbles_over_costs_only_its_own_row(wire, answer):
    def meddle(ids):
        if "j0042" not in ids:
            return None
        return (
            wire.fault(500, "InternalError") if answer == "500" else UnavailableError("broke", retryable=True)
        )

    fetched, service, client = run(wire, meddle)
    assert fates(fetched) == {"job": 99, "unread": 1}
    assert fetched.ended is None
    assert client.pace.list_size is None
    assert Counter(job_id for ids in service.lists for job_id in ids)["j0042"] <= 2 + 500 // 14


def test_the_unified_family_is_asked_for_one_kind_a_list(wire):
    """/jobs takes only IDs of one kind of job at a time, and the first letter tells the kind."""

    def meddle(ids):
        return wire.fault(400, "InvalidArgument") if len({job_id[0] for job_id in ids}) > 1 else None

    ids = [f"{'as'[number % 2]}{number}" for number in range(100)]
    client = wire.client_of(lambda *_: None, path="/jobs")
    fetched, service, _ = run(wire, meddle, ids=ids, client=client, workers=1)
    assert fates(fetched) == {"job": 100}
    assert [len(ids) for ids in service.lists] == [10] * 10
    assert [ids[0][0] for ids in service.lists[:4]] == ["a", "s", "a", "s"]  # an early end leaves none out


def test_an_oversized_list_comes_apart(wire):
    def meddle(ids):
        return OversizedError("too large") if len(ids) > 2 else None

    fetched, _, client = run(wire, meddle)
    assert fates(fetched) == {"job": 100}
    assert client.pace.list_size is None  # it says nothing of how long a list may be


def test_one_job_may_be_larger_than_its_share_of_a_list(wire):
    _, service, client = run(wire, ids=IDS[:11], workers=1)
    assert [len(ids) for ids in service.lists] == [10, 1]
    assert [max_bytes for _, max_bytes in client.fake.limits] == [10 * 2**20, MAX_BYTES]


def test_repairs_are_counted(wire):
    body = "<Response><JobsDetail><JobId>j0000</JobId><Tag>Translation<Tag></JobsDetail></Response>"
    fetched, _, _ = run(wire, lambda _: wire.reply(200, body), ids=IDS[:1])
    assert fates(fetched) == {"job": 1}
    assert list(fetched.repairs.values()) == [1]


# ---- ends


def test_denied_ends_the_call_and_keeps_what_was_read(wire):
    def meddle(_):
        return wire.fault(403, "AccessDenied") if len(service_lists) >= 5 else service_lists.append(1)

    service_lists = []
    fetched, service, _ = run(wire, meddle, workers=1)
    assert isinstance(fetched.failure, DeniedError)
    assert fates(fetched) == {"job": 50, "unread": 50}
    assert len(service.lists) == 6
    assert "AccessDenied" in fetched.ended


def test_what_comes_back_after_the_end_is_kept(wire):
    both_in_flight = threading.Barrier(2, timeout=5)

    def answer(url, _headers):
        both_in_flight.wait()
        if "j0000" in url:
            return wire.fault(403, "AccessDenied")
        time.sleep(0.3)  # the call has ended by now, and waits for requests in flight
        return wire.reply(200, wire.xml(wire.ids_of(url)))

    fetched = fetch(wire.client_of(answer, threads=True), IDS[:20], workers=2)
    assert isinstance(fetched.failure, DeniedError)
    assert fates(fetched) == {"job": 10, "unread": 10}


def test_a_bad_key_asks_no_ten_thousand_times(wire):
    ids = [f"j{number}" for number in range(10_000)]
    fetched, service, _ = run(wire, lambda _: wire.fault(401, "InvalidAuthorization"), ids=ids, workers=16)
    assert len(service.lists) <= 16
    assert fates(fetched) == {"unread": 10_000}


@pytest.mark.parametrize(
    "answer",
    [
        lambda wire: wire.fault(500, "InternalError"),
        lambda wire: wire.fault(503, "SlowDown"),
        lambda _: UnavailableError("No connection to the service (Connection refused).", retryable=True),
        lambda wire: wire.reply(200, "<html>please log in</html>"),
        lambda wire: wire.reply(200, b""),
        lambda _: MalformedError("The answer was cut before its end.", retryable=True),
    ],
    ids=["500", "slowdown", "refused", "login page", "empty", "cut"],
)
def test_an_outage_ends_in_few_requests_and_can_be_resumed(wire, answer):
    ids = [f"j{number}" for number in range(5_000)]
    fake = wire.FakeTime(chance=0.5)
    client = wire.client_of(lambda *_: None, clock=fake.clock)
    fetched, service, client = run(wire, lambda _: answer(wire), ids=ids, workers=16, client=client)
    assert fates(fetched) == {"unread": 5_000}
    assert 30 <= fake.now < (35 if "SlowDown" not in fetched.ended else 190)
    assert len(service.lists) < 500
    assert "nothing came through for" in fetched.ended
    assert fetched.failure is None
    resumed, _, _ = run(wire, ids=ids, workers=16, client=client)
    assert fates(resumed) == {"job": 5_000}


def test_one_percent_random_500_loses_nothing(wire):
    chance = random.Random(7)
    ids = [f"j{number}" for number in range(10_000)]
    fetched, service, _ = run(
        wire,
        lambda _: wire.fault(500, "InternalError") if chance.random() < 0.01 else None,
        ids=ids,
        workers=16,
    )
    assert fates(fetched) == {"job": 10_000}
    assert len(service.lists) > 1_000


def test_slowdown_in_bursts_loses_nothing(wire):
    """A service that answers 20 requests a second, on a clock that only waiting moves."""
    fake = wire.FakeTime(chance=0.5)
    served: list[float] = []

    def meddle(_):
        if sum(at > fake.now - 1.0 for at in served) >= 20:
            return wire.fault(503, "SlowDown")
        served.append(fake.now)
        return None

    ids = [f"j{number}" for number in range(3_000)]
    client = wire.client_of(lambda *_: None, clock=fake.clock)
    fetched, service, _ = run(wire, meddle, ids=ids, workers=1, client=client)
    assert fates(fetched) == {"job": 3_000}
    assert len(service.lists) < 1.3 * 300


def test_the_deadline_keeps_what_was_read(wire):
    slow = Clock()

    def meddle(ids):
        if "j0050" in ids:
            time.sleep(0.6)

    client = wire.client_of(lambda *_: None, clock=slow)
    began = time.monotonic()
    fetched, _, _ = run(wire, meddle, workers=1, deadline=0.3, client=client)
    assert time.monotonic() - began < 8
    assert fates(fetched)["job"] >= 50
    assert fates(fetched)["unread"] >= 40
    assert "deadline" in fetched.ended
    assert "deadline" in fetched.records["j0099"].error


def test_a_call_that_is_over_does_not_wait_for_each_of_its_requests(wire):
    hang = threading.Event()

    def answer(*_):
        hang.wait(8)
        return wire.reply(200, wire.xml())

    client = wire.client_of(answer, threads=True, clock=Clock())
    began = time.monotonic()
    fetched = fetch(client, IDS, workers=10, deadline=0.2)
    took = time.monotonic() - began
    hang.set()
    assert took < 4
    assert fates(fetched) == {"unread": 100}


def test_an_interrupt_in_a_callback_keeps_what_was_read(wire):
    seen = []

    def on_records(records):
        seen.extend(records)
        if len(seen) == 30:
            raise KeyboardInterrupt

    fetched, service, _ = run(wire, workers=1, on_records=on_records)
    assert fetched.interrupted
    assert fetched.failure is None
    assert fates(fetched)["job"] >= len(seen) >= 30
    assert len(service.lists) <= 10


@pytest.mark.parametrize("presses", [1, 3])
def test_ctrl_c_keeps_what_was_read_however_often_it_is_pressed(wire, presses):
    def answer(url, _headers):
        time.sleep(0.01)
        return wire.reply(200, wire.xml(wire.ids_of(url)))

    seen = []

    def on_records(records):
        seen.extend(records)
        if len(seen) >= 40:
            for _ in range(presses):
                signal.raise_signal(signal.SIGINT)

    client = wire.client_of(answer, threads=True, clock=Clock())
    began = time.monotonic()
    fetched = fetch(client, IDS, workers=2, on_records=on_records)
    assert time.monotonic() - began < 8
    assert fetched.interrupted
    assert fates(fetched)["job"] == len(seen) >= 40
    assert "interrupted" in fetched.records["j0099"].error
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_during_a_long_hold(wire):
    client = wire.client_of(lambda *_: None, clock=Clock(random=lambda: 1.0))
    answer = wire.fault(503, "SlowDown", Retry_After="60")
    timer = threading.Timer(0.3, lambda: signal.raise_signal(signal.SIGINT))
    timer.start()
    began = time.monotonic()
    fetched, _, _ = run(wire, lambda _: answer, workers=16, client=client)
    assert time.monotonic() - began < 8
    assert fetched.interrupted
    assert fates(fetched) == {"unread": 100}


def test_an_engines_bug_surfaces_in_the_caller(wire):
    def meddle(ids):
        return 1 / 0 if "j0050" in ids else None

    with pytest.raises(ZeroDivisionError):
        run(wire, meddle)


def test_a_callbacks_bug_surfaces(wire):
    with pytest.raises(OSError, match="disk full"):
        run(wire, on_records=lambda _: (_ for _ in ()).throw(OSError("disk full")))


def test_callbacks_come_in_the_calling_thread_and_once_an_id(wire):
    seen = []

    def on_records(records):
        assert threading.current_thread() is threading.main_thread()
        seen.extend(record.job_id for record in records)

    run(wire, workers=8, on_records=on_records)
    assert sorted(seen) == IDS


def test_the_rate_holds_for_all_in_flight(wire):
    fake = wire.FakeTime()
    client = wire.client_of(lambda *_: None, clock=fake.clock, rate=50.0)
    run(wire, batch_size=1, workers=16, client=client)
    assert fake.now == pytest.approx(99 / 50)
