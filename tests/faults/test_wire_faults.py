"""Robustness §4 over real sockets, by both engines. For each fault: every ID ends in exactly one row, and no row is wrong.

The clients' clock runs fifty times as fast, so that a Retry-After of a minute takes about a second.
"""

from __future__ import annotations

import contextlib
import functools
import random
import signal
import socket
import ssl
import threading
import time
import warnings
from collections import Counter

import pytest

from cosai_nb.emulator import Emulator, Fault, Scenario
from cosai_nb.errors import CosaiError, DeniedError, IncompleteWarning, RepairedWarning
from cosai_nb.query import fetch_jobs
from cosai_nb.service.client import Clock
from cosai_nb.service.credentials import Credentials

NUMBER = 120
SMALL = Scenario(jobs=NUMBER, duration_h=6.0)
UNKNOWN = "a00000000000011eeb4d60242ac120002"
BAD = ["", "../x", None]
HASTE = 50
FAST = {"monotonic": lambda: time.monotonic() * HASTE, "sleep": lambda seconds: time.sleep(seconds / HASTE)}
KEYS = ("AKIDEXAMPLE", "SECRETEXAMPLE")


@pytest.fixture(autouse=True)
def _engine(engine_name, monkeypatch):
    """Let every client of these tests use the engine whose turn it is."""
    monkeypatch.setattr(Emulator, "client", functools.partialmethod(Emulator.client, engine=engine_name))


@pytest.fixture(autouse=True, scope="module")
def _no_thread_is_left():
    yield
    until = (
        time.monotonic() + 60
    )  # a worker that waits for a stalled answer ends with it, later where the machine is busy
    while workers := [
        one.name for one in threading.enumerate() if one.name.removeprefix("cosai-").isdecimal()
    ]:
        assert time.monotonic() < until, workers
        time.sleep(0.1)


def emulator_of(*faults: Fault, **settings) -> Emulator:
    return Emulator(seed=3, scenario=SMALL, faults=faults, credentials=KEYS, **settings)


def asked(emulator: Emulator) -> list[object]:
    return [*emulator.job_ids, UNKNOWN, *BAD, emulator.job_ids[0]]


def check(jobs, emulator: Emulator) -> Counter[str]:
    """Hold the invariant: one row an ID, in order, and what a row says of a job is the truth."""
    assert jobs["job_id"].tolist() == [*emulator.job_ids, UNKNOWN, "", "../x", "None"]
    assert jobs["outcome"].tolist()[-4:].count("invalid_id") == 3
    outcome = jobs.set_index("job_id")["outcome"]
    assert outcome[UNKNOWN] in {"not_found", "unread"}
    known = jobs.iloc[:NUMBER]
    assert not known["outcome"].isin(["not_found", "invalid_id"]).any()
    read = (known["outcome"] != "unread").to_numpy()
    truth = emulator.workload.as_of(emulator.now)
    seconds = known["start_time"].astype("int64").to_numpy() // 1000
    started = read & (truth.start_time >= 0)
    assert (seconds[started] == truth.start_time[started]).all()
    assert known.loc[read, "error"].isna().all()
    assert known.loc[~read, "error"].notna().all()
    return Counter(
        fate if fate in {"unread", "not_found", "invalid_id"} else "job" for fate in jobs["outcome"]
    )


ALL = {"job": NUMBER, "not_found": 1, "invalid_id": 3}


def fetch(emulator: Emulator, *, client=None, workers=4, ids=None, **settings):
    """Return jobs and whatever ended the call; an incomplete frame must have said so."""
    settings = {"timeout": 5.0, "patience": 600.0, "clock": Clock(**FAST), **settings}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client = client or emulator.client(**settings)
        try:
            jobs, failure = (
                fetch_jobs(ids or asked(emulator), client=client, workers=workers, progress=False),
                None,
            )
        except CosaiError as error:
            jobs, failure = error.jobs, error
        finally:
            client.close()
    said = [warning for warning in caught if issubclass(warning.category, IncompleteWarning)]
    assert bool(said or failure) == bool((jobs["outcome"] == "unread").any())
    return jobs, failure


# ---- what may pass: the faults hit a few requests, and nothing is lost

PASSING = {
    "05 read timeout": [Fault(kind="silence", nth=(2, 5))],
    "06 drip-fed body": [Fault(kind="drip_body", nth=(2, 5))],
    "06 drip-fed headers": [Fault(kind="drip_headers", nth=(1, 6))],
    "07 reset before headers": [Fault(kind="reset_before_headers", nth=range(2, 8))],
    "07 reset after headers": [Fault(kind="reset_after_headers", nth=range(2, 8))],
    "08 cut body": [Fault(kind="cut_body", nth=range(2, 5))],
    "08 wrong length": [Fault(kind="wrong_length", nth=range(2, 5))],
    "09 kept connection closed": [Fault(kind="close", probability=0.5)],
    "10 429 without Retry-After": [Fault(kind="status", status=429, code="SlowDown", nth=range(2, 6))],
    **{
        f"12 429 with Retry-After {header}": [
            Fault(kind="status", status=429, code="SlowDown", retry_after=header, nth=range(2, 6))
        ]
        for header in ("1", "1.5", "-5", "abc", "86400", "1e20", "Tue, 14 Nov 2000 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT")
    },
    "13 503 SlowDown in bursts": [Fault(kind="status", code="SlowDown", nth=(2, 3, 4, 5, 10, 11, 12, 13))],
    "14 500 now and then": [Fault(kind="status", status=500, code="InternalError", probability=0.05)],
    "20 HTML now and then": [Fault(kind="html", nth=(2, 7))],
    "JSON now and then": [Fault(kind="json", nth=(2, 7))],
    "empty now and then": [Fault(kind="empty", nth=(2, 7))],
    "DOCTYPE now and then": [Fault(kind="doctype", nth=(2, 7))],
    "other jobs now and then": [Fault(kind="other_job", nth=(2, 7))],
    "a gzip bomb now and then": [Fault(kind="gzip_bomb", nth=3)],
    "100 MB now and then": [Fault(kind="oversized", nth=3)],
    "everything at once": [
        Fault(kind=kind, probability=0.01)
        for kind in ("silence", "reset_after_headers", "cut_body", "wrong_length", "html", "empty", "other_job", "status")
    ],
}  # fmt: skip


@pytest.mark.parametrize("faults", PASSING.values(), ids=PASSING)
@pytest.mark.parametrize(
    "lists", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["lists", "single IDs"]
)
def test_what_passes_loses_nothing(faults, lists):
    with emulator_of(*faults, comma_lists=lists) as emulator:
        jobs, failure = fetch(emulator, timeout=1.5)
        assert failure is None
        assert check(jobs, emulator) == ALL
        assert any(request.fault for request in emulator.requests) or faults[0].probability < 1


def test_01_a_documented_defect_is_repaired_with_a_warning():
    with emulator_of(Fault(kind="unclosed_tag")) as emulator:
        with pytest.warns(RepairedWarning, match="Tag"):
            jobs = fetch_jobs(asked(emulator), client=emulator.client(), progress=False)
        assert check(jobs, emulator) == ALL


# ---- what one ID brings on: the others are read


@pytest.mark.parametrize(
    "kind", ["status", "reset_before_headers", "reset_after_headers", "silence", "drip_body", "wrong_length", "cut_body",
             "html", "json", "empty", "doctype", "other_job", "gzip_bomb", "oversized"],
)  # fmt: skip
def test_what_one_id_brings_on_costs_its_own_row_only(kind):
    poisoned = Emulator(seed=3, scenario=SMALL).job_ids[57]
    with emulator_of(Fault(kind=kind, path=poisoned, status=500, code="InternalError")) as emulator:
        slow = kind == "gzip_bomb"  # the first takes the emulator half a second to make
        jobs, failure = fetch(emulator, timeout=5.0 if slow else 0.3, patience=0.5 * HASTE)
        assert failure is None
        assert check(jobs, emulator) == {**ALL, "job": NUMBER - 1, "unread": 1}
        assert jobs.set_index("job_id")["outcome"][poisoned] == "unread"


# ---- no connection


def test_01_connection_refused():
    with emulator_of() as emulator:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        jobs, _ = fetch(emulator, endpoint=f"http://127.0.0.1:{port}")
        assert check(jobs, emulator) == {"unread": NUMBER + 1, "invalid_id": 3}
        assert jobs["error"].str.contains("Connection refused").any()


def test_02_dns_failure(monkeypatch):
    with emulator_of() as emulator:

        def fail(*_args, **_kwargs):
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", fail)
        jobs, _ = fetch(emulator, endpoint="http://demo.ci.ap-nowhere.example")
        assert check(jobs, emulator) == {"unread": NUMBER + 1, "invalid_id": 3}
        assert jobs["error"].str.contains("could not be resolved").any()


def test_03_a_wrong_certificate_is_loud_and_not_retried(serve, certificate, monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    server = serve(lambda *_: None, context)
    with emulator_of() as emulator:
        jobs, failure = fetch(emulator, endpoint=server.url)
        assert isinstance(failure, DeniedError)
        assert "certificate" in str(failure)
        assert check(jobs, emulator) == {"unread": NUMBER + 1, "invalid_id": 3}
    assert server.requests == []
    assert server.connections <= 4


def test_04_connect_timeout():
    with emulator_of() as emulator, socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        began = time.monotonic()
        jobs, _ = fetch(emulator, endpoint=endpoint, timeout=0.2, patience=0.3 * HASTE, workers=8)
        assert time.monotonic() - began < 10
        assert check(jobs, emulator) == {"unread": NUMBER + 1, "invalid_id": 3}


# ---- outages


@pytest.mark.parametrize(
    "fault", [Fault(kind="status", status=500, code="InternalError"), Fault(kind="status", code="SlowDown"),
              Fault(kind="html"), Fault(kind="reset_before_headers"), Fault(kind="other_job")],
    ids=["500", "slowdown", "html", "reset", "other jobs"],
)  # fmt: skip
def test_15_an_outage_ends_soon_and_the_same_call_resumes(fault, tmp_path):
    with emulator_of(fault) as emulator:
        jobs, failure = fetch(emulator, patience=60.0)
        assert failure is None
        found = check(jobs, emulator)
        assert found in (
            {"unread": NUMBER + 1, "invalid_id": 3},
            {"unread": NUMBER, "not_found": 1, "invalid_id": 3},
        )
        assert len(emulator.requests) < 300
    with emulator_of() as emulator:
        assert check(fetch(emulator)[0], emulator) == ALL


def test_15_a_service_that_goes_down_in_the_middle_leaves_what_was_read():
    with emulator_of(
        Fault(kind="status", status=500, code="InternalError", nth=range(6, 10_000))
    ) as emulator:
        jobs, failure = fetch(emulator, workers=1)
        assert failure is None
        counts = check(jobs, emulator)
        assert counts == {"job": 50, "unread": NUMBER - 49, "invalid_id": 3}


# ---- denied


@pytest.mark.parametrize("wrong", [{"secret_key": "other"}, {"secret_id": "other"}])
def test_16_a_bad_key_stops_at_once(wrong):
    with emulator_of() as emulator:
        jobs, failure = fetch(emulator, **wrong)
        assert isinstance(failure, DeniedError)
        assert failure.status_code in {401, 403}
        assert failure.code
        assert failure.request_id
        assert failure.code in str(failure)
        assert failure.request_id in str(failure)
        assert "other" not in str(failure)
        assert check(jobs, emulator) == {"unread": NUMBER + 1, "invalid_id": 3}
        assert len(emulator.requests) <= 4


def test_16_denied_in_the_middle_keeps_what_was_read():
    with emulator_of(Fault(kind="status", status=403, code="AccessDenied", nth=range(6, 10_000))) as emulator:
        jobs, failure = fetch(emulator, workers=1)
        assert isinstance(failure, DeniedError)
        assert check(jobs, emulator) == {"job": 50, "unread": NUMBER - 49, "invalid_id": 3}
        assert len(emulator.requests) == 6
        assert "53 of 124" in "".join(failure.__notes__)


@pytest.mark.parametrize("skew", [-7200.0, 7200.0])
def test_17_a_skewed_clock_is_corrected_once(skew):
    with emulator_of(clock_skew_s=skew) as emulator:
        jobs, failure = fetch(emulator, workers=4)
        assert failure is None
        assert check(jobs, emulator) == ALL
        assert sum(request.status == 403 for request in emulator.requests) <= 4  # one a thread, at most


@pytest.mark.parametrize("status", [400, 403])
def test_18_a_token_that_expires_is_renewed(status):
    renewals = []

    def provider():
        renewals.append(1)
        return Credentials.of(*KEYS, "token")

    with emulator_of(
        Fault(kind="status", status=status, code="ExpiredToken", nth=7), token="token"
    ) as emulator:
        jobs, failure = fetch(emulator, provider=provider)
        assert failure is None
        assert check(jobs, emulator) == ALL
        assert len(renewals) == 1


def test_19_a_redirect_is_an_error_and_the_token_stays(serve):
    elsewhere = serve(lambda *_: None)
    with emulator_of(Fault(kind="redirect", location=f"{elsewhere.url}/x"), token="token") as emulator:
        jobs, failure = fetch(emulator)
        assert isinstance(failure, DeniedError)
        assert elsewhere.url in str(failure)
        assert check(jobs, emulator) == {"unread": NUMBER + 1, "invalid_id": 3}
        assert len(emulator.requests) <= 4
    assert elsewhere.connections == 0


def test_20_a_proxy_that_wants_a_login(serve, monkeypatch):
    for name in ("http_proxy", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    text = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    proxy = serve(lambda sock, *_: sock.sendall(text))
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    with emulator_of() as emulator:
        jobs, failure = fetch(emulator, endpoint="http://ci.example")
        assert isinstance(failure, DeniedError)
        assert "proxy" in str(failure)
        assert check(jobs, emulator) == {"unread": NUMBER + 1, "invalid_id": 3}


# ---- time


def test_21_ctrl_c_keeps_what_was_read_and_says_so():
    with emulator_of() as emulator:
        client = emulator.client(rate=20.0)
        threading.Timer(0.5, lambda: signal.raise_signal(signal.SIGINT)).start()
        began = time.monotonic()
        with pytest.warns(IncompleteWarning, match="interrupted"):
            jobs = fetch_jobs(asked(emulator), client=client, batch_size=1, workers=4, progress=False)
        assert time.monotonic() - began < 10  # reading them all would take 60 s or so
        counts = check(jobs, emulator)
        assert counts["job"] >= 3
        assert counts["unread"] > 50
        jobs, _ = fetch(emulator)
        assert check(jobs, emulator) == ALL


@pytest.mark.parametrize("jump_s", [-7200.0, 7200.0])
def test_26_a_clock_that_jumps(jump_s):
    clock = Clock(time=lambda: time.time() + jump_s * (len(emulator.requests) >= 4), **FAST)
    with emulator_of(Fault(kind="status", status=500, code="InternalError", nth=(3, 8))) as emulator:
        began = time.monotonic()
        jobs, failure = fetch(emulator, clock=clock, workers=2)
        assert time.monotonic() - began < 60  # no wait is measured by that clock
        assert failure is None
        assert check(jobs, emulator) == ALL
        if jump_s > 0:  # a signature from the future is refused, and the clock corrected
            assert any(request.status == 403 for request in emulator.requests)


def test_30_a_job_moves_on_between_two_calls():
    with emulator_of() as emulator:
        emulator.advance(-3 * 3600)
        created = [
            job_id
            for job_id, at in zip(emulator.job_ids, emulator.workload.creation_time, strict=True)
            if at <= emulator.now
        ]
        before, _ = fetch(emulator, ids=created)
        assert before["outcome"].isin(["waiting", "running"]).any()
        emulator.advance(3 * 3600)
        after, _ = fetch(emulator, ids=created)
        both = before.merge(after, on="job_id", suffixes=("_before", "_after"))
        assert (both["observed_at_after"] > both["observed_at_before"]).all()
        ended = both["outcome_before"].isin(["success", "failed", "cancelled"])
        assert (both.loc[ended, "outcome_after"] == both.loc[ended, "outcome_before"]).all()
        assert (both["outcome_after"] != both["outcome_before"]).any()
        emulator.advance(-30 * 86_400)  # retention: nobody knows them any more
        gone, _ = fetch(emulator, ids=created)
        assert set(gone["outcome"]) == {"not_found"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_14_one_percent_of_everything_over_ten_thousand_jobs(seed):
    kinds = ["reset_before_headers", "reset_after_headers", "wrong_length", "cut_body", "empty", "status"]
    faults = [
        Fault(kind=kind, probability=0.01 / len(kinds), status=500, code="InternalError") for kind in kinds
    ]
    with Emulator(seed=seed, scenario=Scenario(jobs=10_000), faults=faults) as emulator:
        ids = emulator.job_ids.copy()
        random.Random(seed).shuffle(ids)
        jobs = fetch_jobs(ids, client=emulator.client(), progress=False)
        assert jobs["job_id"].tolist() == ids
        assert not jobs["outcome"].isin(["unread", "not_found", "invalid_id"]).any()
        assert any(request.fault for request in emulator.requests)
