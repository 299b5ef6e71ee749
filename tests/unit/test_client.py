"""One signed GET and its retries, on a clock that only waiting moves."""

from __future__ import annotations

import itertools
import signal
import threading
import time

import pytest

from cosai_nb.errors import (
    AnswerError,
    CredentialsError,
    DeniedError,
    MalformedError,
    RefusedError,
    ServiceError,
    UnavailableError,
)
from cosai_nb.service.client import Clock
from cosai_nb.service.credentials import Credentials
from cosai_nb.service.parsing import Fields, parse_jobs
from cosai_nb.service.scheduler import Lists

PATH = "/ai_jobs/j1"


def ask(client, **settings):
    return client.ask(PATH, parse_jobs, **settings)


def script(*answers):
    """Answer each request by the next of ``answers``; the last one stays."""
    left = list(answers)
    return lambda *_: left.pop(0) if len(left) > 1 else left[0]


def refused(**fields):
    return UnavailableError("No connection to the service (Connection refused).", retryable=True, **fields)


@pytest.fixture
def good(wire):
    return wire.reply(200, wire.xml(["j1"]))


# ---- which requests are sent again


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_asked_again(wire, good, status):
    client = wire.client_of(script(wire.fault(status, "Any"), wire.fault(status, "Any"), good))
    answer, observed_ms = ask(client)
    assert [job[0] for job in answer.jobs] == ["j1"]
    assert observed_ms == 1_700_000_060_000
    assert len(client.fake.asked) == 3


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 405, 407, 411, 414, 451, 501, 204])
def test_what_will_not_pass_is_asked_once(wire, good, status):
    client = wire.client_of(script(wire.fault(status, "Any"), good))
    with pytest.raises((ServiceError, AnswerError)):
        ask(client)
    assert len(client.fake.asked) == 1


def test_no_connection_is_asked_again(wire, good):
    client = wire.client_of(script(refused(), refused(), refused(), good))
    assert ask(client)[0].jobs
    assert len(client.fake.asked) == 4


def test_a_deadline_in_an_outage_says_what_the_outage_was(wire):
    client = wire.client_of(script(refused()))
    with pytest.raises(
        UnavailableError, match=r"deadline of the call was over; the last said: No connection"
    ):
        ask(client, deadline=5)


@pytest.mark.parametrize("body", [b"", b"<Response><JobsDetail><JobId>j1</JobId>", b"<html>login</html>"])
def test_malformed_is_asked_again_twice_at_most(wire, body):
    client = wire.client_of(lambda *_: wire.reply(200, body))
    with pytest.raises(MalformedError):
        ask(client)
    assert len(client.fake.asked) <= 3


def test_an_empty_answer_may_pass(wire, good):
    client = wire.client_of(script(wire.reply(200, b""), wire.reply(200, b""), good))
    assert ask(client)[0].jobs


def test_a_malformed_answer_after_other_failures_still_has_its_two_tries(wire, good):
    broken = wire.reply(200, b"")
    client = wire.client_of(script(refused(), refused(), refused(), broken, broken, good))
    assert ask(client)[0].jobs


# ---- how long it waits


def test_jitter_grows_to_twenty_seconds(wire):
    fake = wire.FakeTime(chance=0.999999)
    asked = []

    def answer(*_):
        asked.append(fake.now)
        return refused()

    with pytest.raises(UnavailableError):
        ask(wire.client_of(answer, clock=fake.clock))
    waits = [round(later - sooner, 3) for sooner, later in itertools.pairwise(asked)]
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 20, 20, 20, 20, 20, 20, 20]


def test_jitter_may_be_nothing(wire, good):
    fake = wire.FakeTime(chance=0.0)
    ask(wire.client_of(script(refused(), good), clock=fake.clock))
    assert fake.now == 0.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("1", 1), ("1.5", 1.5), ("-5", 0), ("abc", 0), ("86400", 60), ("1e20", 60), ("nan", 0), ("inf", 60),
     ("Tue, 14 Nov 2023 22:14:27 GMT", 7), ("Tue, 14 Nov 2000 00:00:00 GMT", 0), ("Fri, 31 Dec 9999 00:00:00 GMT", 60)],
)  # fmt: skip
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed_within_reason(wire, good, status, header, seconds):
    fake = wire.FakeTime(chance=0.0)
    client = wire.client_of(script(wire.fault(status, "Any", Retry_After=header), good), clock=fake.clock)
    assert ask(client)[0].jobs
    assert fake.now == pytest.approx(seconds)


def test_patience_ends_a_request(wire):
    fake = wire.FakeTime()
    client = wire.client_of(lambda *_: refused(), clock=fake.clock, patience=5.0)
    with pytest.raises(UnavailableError, match="Connection refused"):
        ask(client)
    assert fake.now <= 5.0
    assert len(client.fake.asked) == 5  # after 0.2, 0.4, 0.8 and 1.6 s; 3.2 more would be too many


def test_a_retry_after_beyond_patience_is_not_waited_for(wire):
    fake = wire.FakeTime()
    client = wire.client_of(
        lambda *_: wire.fault(503, "SlowDown", Retry_After="60"), clock=fake.clock, patience=30
    )
    with pytest.raises(UnavailableError) as caught:
        ask(client)
    assert fake.now == 0.0
    assert caught.value.retry_after == 60.0


def test_a_clock_that_jumps_changes_no_wait(wire):
    fake = wire.FakeTime()

    def answer(*_):
        fake.epoch -= 86_400  # NTP
        return refused()

    client = wire.client_of(answer, clock=fake.clock, patience=5.0)
    with pytest.raises(UnavailableError):
        ask(client)
    assert len(client.fake.asked) == 5


def test_an_outage_costs_time_and_no_budget(wire, good):
    client = wire.client_of(lambda *_: wire.fault(500, "InternalError"), patience=5.0)
    for _ in range(100):
        with pytest.raises(UnavailableError):
            ask(client)
    assert client.pace.quota.take()
    client.fake.answer = script(refused(), good)
    assert ask(client)[0].jobs


def test_throttling_costs_waiting_and_no_budget(wire, good):
    fake = wire.FakeTime()
    slow = [wire.fault(503, "SlowDown"), wire.fault(429, "Any")] * 3
    client = wire.client_of(script(*slow, good), rate=40.0, clock=fake.clock)
    ask(client)
    assert len(client.fake.asked) == 7
    assert fake.now > 1.0
    assert sum(bool(client.pace.quota.take()) for _ in range(50)) == 500 // 14


def test_a_503_that_is_no_slowdown_does_not_slow(wire, good):
    client = wire.client_of(script(wire.fault(503, "ServiceUnavailable"), good), rate=40.0)
    ask(client)
    assert client.pace.rate.now == 40.0


def test_the_rate_holds_for_retries_too(wire, good):
    fake = wire.FakeTime(chance=0.0)
    client = wire.client_of(script(refused(), refused(), good), clock=fake.clock, rate=0.5)
    ask(client)
    assert fake.now == pytest.approx(4.0)


# ---- being stopped


def test_a_deadline_ends_the_retries(wire):
    fake = wire.FakeTime()
    client = wire.client_of(lambda *_: refused(), clock=fake.clock)
    with pytest.raises(UnavailableError, match="deadline"):
        ask(client, deadline="2s")
    assert fake.now == pytest.approx(2.0)


def test_ctrl_c_ends_a_long_wait(wire):
    client = wire.client_of(lambda *_: wire.fault(503, "SlowDown", Retry_After="60"), clock=Clock())
    threading.Timer(0.3, lambda: signal.raise_signal(signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        ask(client)
    assert time.monotonic() - began < 20


# ---- corrections


def test_a_clock_that_is_off_is_corrected_once(wire, good):
    fake = wire.FakeTime(epoch=1_700_000_060.0 - 3600)  # an hour behind the Date of every answer
    client = wire.client_of(
        lambda _url, headers: good if "q-key-time=1700000000;" in headers["Authorization"]
        else wire.fault(403, "RequestTimeTooSkewed"),
        clock=fake.clock,
    )  # fmt: skip
    assert ask(client)[0].jobs
    assert len(client.fake.asked) == 2
    ask(client)
    assert len(client.fake.asked) == 3  # the correction is kept
    assert fake.waits == []


def test_a_clock_that_stays_wrong_ends_after_one_correction(wire):
    fake = wire.FakeTime(epoch=0.0)
    client = wire.client_of(lambda *_: wire.fault(403, "RequestTimeTooSkewed"), clock=fake.clock)
    with pytest.raises(DeniedError, match="clock"):
        ask(client)
    assert len(client.fake.asked) == 2


def test_no_correction_without_the_services_time(wire):
    client = wire.client_of(lambda *_: wire.fault(403, "RequestTimeTooSkewed", Date=""))
    with pytest.raises(DeniedError):
        ask(client)
    assert len(client.fake.asked) == 1


@pytest.mark.parametrize(
    ("status", "code"), [(400, "ExpiredToken"), (403, "ExpiredToken"), (401, "SignatureExpired")]
)
def test_expired_credentials_are_renewed_once_for_all_in_flight(wire, good, status, code):
    renewals = []
    all_expired = threading.Barrier(8, timeout=10)

    def provider():
        renewals.append(1)
        return Credentials.of("NEWID", "newkey", "newtoken")

    def answer(url, headers):
        if "q-ak=NEWID" in headers["Authorization"]:
            return wire.reply(200, wire.xml(wire.ids_of(url)))
        all_expired.wait()
        return wire.fault(status, code)

    client = wire.client_of(answer, threads=True, provider=provider, clock=Clock())
    ids = [f"j{number}" for number in range(8)]
    plan = Lists(client.path, ids, client.pace, batch_size=1, fields=Fields())
    assert client.run(plan) is None
    assert sorted(record.job_id for record in plan.finished) == ids
    assert len(renewals) == 1
    assert client.fake.asked[-1][1]["x-ci-security-token"] == "newtoken"
    assert "token=set" in repr(client)


def test_fresh_credentials_that_have_expired_too_end_it(wire):
    client = wire.client_of(
        lambda *_: wire.fault(400, "ExpiredToken"), provider=lambda: Credentials.of("NEWID", "newkey")
    )
    with pytest.raises(DeniedError, match="ExpiredToken"):
        ask(client)
    assert len(client.fake.asked) == 2


def test_without_a_provider_expired_is_denied(wire):
    client = wire.client_of(lambda *_: wire.fault(400, "ExpiredToken"))
    with pytest.raises(DeniedError, match="ExpiredToken"):
        ask(client)
    assert len(client.fake.asked) == 1


def test_a_provider_that_fails_is_told(wire):
    client = wire.client_of(lambda *_: wire.fault(400, "ExpiredToken"), provider=lambda: 1 / 0)
    with pytest.raises(CredentialsError, match="ZeroDivisionError"):
        ask(client)


# ---- what it says


def test_the_error_carries_code_message_and_request_id(wire):
    client = wire.client_of(lambda *_: wire.fault(403, "AccessDenied", "Not yours."))
    with pytest.raises(
        DeniedError, match=r"AccessDenied: Not yours\. \(HTTP 403, request id req-1\)"
    ) as caught:
        ask(client)
    assert (caught.value.status_code, caught.value.code, caught.value.request_id) == (
        403,
        "AccessDenied",
        "req-1",
    )
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_what_the_parser_stumbles_over_is_a_malformed_answer_that_names_it(wire, good):
    client = wire.client_of(lambda *_: good)
    with pytest.raises(MalformedError, match=r"could not be read \(ZeroDivisionError"):
        client.ask(PATH, lambda _: 1 / 0)
    assert len(client.fake.asked) == 1  # it would not read it the second time either


def test_without_a_date_this_machines_clock_tells_when(wire):
    client = wire.client_of(lambda *_: wire.reply(200, wire.xml(["j1"]), Date="soon"))
    assert ask(client)[1] == 1_700_000_060_000


def test_a_refusal_keeps_the_budget(wire):
    client = wire.client_of(lambda *_: wire.fault(400, "InvalidArgument"))
    for _ in range(50):
        with pytest.raises(RefusedError):
            ask(client)
    assert sum(bool(client.pace.quota.take()) for _ in range(50)) == 35


def test_the_size_of_an_answer_is_bounded_whoever_asks(wire, good):
    client = wire.client_of(lambda *_: good, timeout=7.0)
    ask(client)
    ask(client, max_bytes=10**12)
    ask(client, max_bytes=5)
    assert client.fake.limits == [(7.0, 2**24), (7.0, 2**24), (7.0, 5)]
