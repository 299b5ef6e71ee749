"""The emulator over real sockets, asked by clients that are not ours: limits, errors, lists, threads."""

import asyncio
import http.client
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote, urlencode
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from cosai_nb.cli import main
from cosai_nb.emulator import Emulator, Scenario
from cosai_nb.emulator.server import guide
from cosai_nb.emulator.workload import STATES

SMALL = Scenario(jobs=1500)


@pytest.fixture(scope="module")
def small():
    with Emulator(seed=3, scenario=SMALL, credentials=("AKIDTEST", "topsecretkey")) as emulator:
        yield emulator


def ask(emulator, path, params=None, *, method="GET", headers=None):
    """Send one request by the standard library; return status, headers and body."""
    query = f"?{urlencode(params, quote_via=quote)}" if params else ""
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=10)
    signed = emulator.authorization(path, params) if headers is None else headers
    connection.request(method, quote(path, safe="/,") + query, headers=signed)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def jobs_of(body):
    return ET.fromstring(body).findall("JobsDetail")


def error_of(emulator, *args, **kwargs):
    status, headers, body = ask(emulator, *args, **kwargs)
    error = ET.fromstring(body)
    assert error.tag == "Error"
    assert error.findtext("RequestId") == headers["x-ci-request-id"]
    assert error.find("Resource") is None
    return f"{status} {error.findtext('Code')}"


def test_one_job_and_the_headers_of_the_document(small):
    status, headers, body = ask(small, f"/ai_jobs/{small.job_ids[0]}")
    assert status == 200
    assert headers["Content-Type"] == "application/xml"
    assert headers["Server"] == "tencent-ci"
    assert headers["x-ci-request-id"]
    assert parsedate_to_datetime(headers["Date"]).timestamp() == small.now
    (job,) = jobs_of(body)
    assert job.findtext("JobId") == small.job_ids[0]
    assert b"NonExistJobIds" not in body


def test_every_job_is_shown_as_the_truth_says(small):
    """All 1,500 jobs by lists of ten: state and whole-second times against the exact ones."""
    truth, shown = small.truth, {}
    for begin in range(0, 1500, 10):
        _, _, body = ask(small, "/ai_jobs/" + ",".join(small.job_ids[begin : begin + 10]))
        shown.update({job.findtext("JobId"): job for job in jobs_of(body)})
    assert list(shown) == small.job_ids
    seen_states = set()
    for number, job_id in enumerate(small.job_ids):
        job = shown[job_id]
        for column, node in (
            ("creation_time", "CreationTime"),
            ("start_time", "StartTime"),
            ("end_time", "EndTime"),
        ):
            exact = truth[column][number]
            text = (
                "-" if not exact <= small.now else time.strftime("%FT%T+0800", time.gmtime(exact + 8 * 3600))
            )
            assert job.findtext(node) == text
        state = job.findtext("State")
        seen_states.add(state)
        if state in {"Success", "Failed", "Cancel"}:
            assert state == truth["fate"][number]
        assert job.findtext("Code") == (truth["code"][number] if state == "Failed" else "Success")
        assert bool(job.findtext("Message")) == (state == "Failed")
        assert job.findtext("Operation/JobLevel") == str(truth["job_level"][number])
    assert {"Success", "Failed"} <= seen_states


def test_unknown_ids_are_named_and_twins_given_once(small):
    known = small.job_ids[5]
    status, _, body = ask(small, f"/ai_jobs/{known},a0,{known},a1")
    assert (status, len(jobs_of(body))) == (200, 1)
    assert ET.fromstring(body).findtext("NonExistJobIds") == "a0,a1"
    status, _, body = ask(small, "/ai_jobs/a0")
    assert (status, jobs_of(body)) == (200, [])


@pytest.mark.parametrize("job_id", ["..", "%2e%2e", "a b", "a\nb", "<x>&", "用户", "a" * 9000])
def test_strange_ids_are_unknown_jobs_and_nothing_else(small, job_id):
    status, _, body = ask(small, f"/ai_jobs/{job_id}")
    assert status == 200
    assert ET.fromstring(body).findtext("NonExistJobIds") == job_id


def test_limits_of_lists_of_ids(small):
    eleven = ",".join(small.job_ids[:11])
    assert error_of(small, f"/ai_jobs/{eleven}") == "400 InvalidArgument"
    assert error_of(small, f"/jobs/{eleven}") == "400 InvalidArgument"
    assert error_of(small, f"/ai_jobs/{small.job_ids[0]},,") == "400 InvalidArgument"
    speech = next(job_id for job_id in small.job_ids if job_id[0] == "s")
    other = next(job_id for job_id in small.job_ids if job_id[0] == "a")
    assert error_of(small, f"/jobs/{speech},{other}") == "400 InvalidArgument"
    assert ask(small, f"/ai_jobs/{speech},{other}")[0] == 200


def test_lists_can_be_switched_off():
    with Emulator(scenario=SMALL, comma_lists=False, max_ids=3) as emulator:
        ids = emulator.job_ids
        assert error_of(emulator, f"/ai_jobs/{ids[0]},{ids[1]}") == "400 InvalidArgument"
        assert ask(emulator, f"/ai_jobs/{ids[0]}")[0] == 200
        same = [job_id for job_id in ids if job_id[0] == "a"]
        assert len(jobs_of(ask(emulator, "/jobs/" + ",".join(same[:3]))[2])) == 3
        assert error_of(emulator, "/jobs/" + ",".join(same[:4])) == "400 InvalidArgument"


@pytest.mark.parametrize("path", ["/", "/ai_jobs/", "/other", "/ai_queue/x", "/ai_bucket", "/jobsx"])
def test_other_urls(small, path):
    assert error_of(small, path) == "404 InvalidUrl"


@pytest.mark.parametrize(
    ("method", "expected"),
    [("POST", 501), ("PUT", 501), ("DELETE", 501), ("HEAD", 405), ("PATCH", 405), ("OPTIONS", 405)],
)
def test_other_methods(small, method, expected):
    path = f"/ai_jobs/{small.job_ids[0]}"
    connection = http.client.HTTPConnection("127.0.0.1", small.port, timeout=10)
    # the method is part of what is signed
    from cosai_nb.emulator.signature import Keys, Request, authorization

    now = int(time.time())
    header = authorization(Request(method, path, (), {}), Keys("AKIDTEST", "topsecretkey"), (now, now + 60))
    connection.request(method, path, headers={"Authorization": header})
    answer = connection.getresponse()
    assert answer.status == expected
    assert (answer.read() == b"") == (method == "HEAD")
    connection.close()


def test_refusals_over_the_wire(small):
    path = f"/ai_jobs/{small.job_ids[0]}"
    assert error_of(small, path, headers={}) == "401 MissingAuthorization"
    wrong = {"Authorization": small.authorization(path)["Authorization"][:-4] + "0000"}
    assert error_of(small, path, headers=wrong) == "401 InvalidAuthorization"


def test_a_skewed_clock_shows_itself_in_the_date():
    with Emulator(scenario=SMALL, clock_skew_s=-7200.0) as emulator:
        status, headers, body = ask(emulator, f"/ai_jobs/{emulator.job_ids[0]}")
        assert status == 403
        assert b"RequestTimeTooSkewed" in body
        assert parsedate_to_datetime(headers["Date"]).timestamp() == pytest.approx(time.time() - 7200, abs=5)


def test_a_token_is_asked_for():
    with Emulator(scenario=SMALL, token="T/+=") as emulator:
        path = f"/ai_jobs/{emulator.job_ids[0]}"
        assert ask(emulator, path)[0] == 200
        without = {"Authorization": emulator.authorization(path)["Authorization"]}
        assert error_of(emulator, path, headers=without) == "403 AccessDenied"


# --- lists ------------------------------------------------------------------------------------------------------


def pages(emulator, path="/ai_jobs", **params):
    """Follow NextToken to the end; return the list of pages, each a list of IDs."""
    found, token = [], ""
    while True:
        sent = {**params, "nextToken": token} if token else params
        status, _, body = ask(emulator, path, sent)
        assert status == 200, body
        found.append([job.findtext("JobId") for job in jobs_of(body)])
        token = ET.fromstring(body).findtext("NextToken") or ""
        if not token:
            return found
        assert len(found) < 100


def listed_ids(*args, **params):
    return [job_id for page in pages(*args, **params) for job_id in page]


@pytest.mark.parametrize("order", ["Desc", "Asc"])
@pytest.mark.parametrize("path", ["/ai_jobs", "/jobs"])
def test_pages_show_each_job_of_a_queue_and_tag_once(small, path, order):
    truth = small.truth
    total = 0
    for queue_id in small.queue_ids:
        for tag in ("Translation", "SpeechRecognition", "WordsGeneralize"):
            listed = pages(small, path, queueId=queue_id, tag=tag, size="100", orderByTime=order)
            ids = [job_id for page in listed for job_id in page]
            expected = truth["job_id"][(truth["queue_id"] == queue_id) & (truth["tag"] == tag)].tolist()
            assert ids == (expected if order == "Asc" else expected[::-1])
            assert len(listed) == max(1, -(-len(expected) // 100))
            total += len(ids)
    assert total == 1500


def test_the_default_page_holds_ten_newest_first(small):
    first = ask(small, "/ai_jobs", {"queueId": small.queue_ids[1], "tag": "SpeechRecognition"})[2]
    ids = [job.findtext("JobId") for job in jobs_of(first)]
    speech = [job_id for job_id in small.job_ids if job_id[0] == "s"]
    assert ids == speech[::-1][:10]


def test_lists_by_state_window_and_object(small):
    truth, snapshot = small.truth, small.snapshot()
    in_list = (truth["queue_id"] == small.queue_ids[0]) & (truth["tag"] == "Translation")
    base = {"queueId": small.queue_ids[0], "tag": "Translation", "size": "100", "orderByTime": "Asc"}
    wanted = in_list & np.isin(snapshot.state, [STATES.index("Failed"), STATES.index("Running")])
    listed = listed_ids(small, **base, states="Failed,Running")
    assert listed == truth["job_id"][wanted].tolist()
    assert listed
    start, end = "2026-11-03T08:00:00+0800", "2026-11-04T09:00:00+0800"
    zero = SMALL.start.timestamp()
    created = np.floor(truth["creation_time"])
    wanted = in_list & (created > zero + 32 * 3600) & (created < zero + 57 * 3600)
    listed = listed_ids(small, **base, startCreationTime=start, endCreationTime=end)
    assert listed == truth["job_id"][wanted].tolist()
    number = int(np.flatnonzero(in_list)[3])
    key = truth["input_object"][number]
    assert listed_ids(small, **base, inputObject=key) == [small.job_ids[number]]


@pytest.mark.parametrize("inclusive", [False, True])
def test_bounds_are_those_of_the_document_or_inclusive(inclusive):
    """The documents say greater and smaller than; whether the service means it is not known."""
    with Emulator(seed=3, scenario=SMALL, inclusive_bounds=inclusive) as emulator:
        number = int(np.flatnonzero(emulator.truth["tag"] == "SpeechRecognition")[50])
        second = time.strftime("%FT%T+0800", time.gmtime(emulator.truth["creation_time"][number] + 8 * 3600))
        base = {"queueId": emulator.queue_ids[1], "tag": "SpeechRecognition", "size": "100"}
        later = listed_ids(emulator, **base, startCreationTime=second)
        earlier = listed_ids(emulator, **base, endCreationTime=second)
        assert (emulator.job_ids[number] in later) == inclusive
        assert (emulator.job_ids[number] in earlier) == inclusive


def test_the_unified_family_lists_by_kind_of_queue(small):
    ids = listed_ids(small, "/jobs", queueType="Speeching", tag="SpeechRecognition", size="100")
    assert sorted(ids) == sorted(job_id for job_id in small.job_ids if job_id[0] == "s")


@pytest.mark.parametrize(
    "changed",
    [
        {"tag": None},
        {"queueId": None},
        {"queueId": "p0"},
        {"size": "101"},
        {"size": "0"},
        {"size": "-1"},
        {"size": "١٠"},
        {"size": "1e2"},
        {"states": "Paused2"},
        {"states": "Failed,"},
        {"orderByTime": "Up"},
        {"startCreationTime": "yesterday"},
        {"startCreationTime": "2026-11-03T08:00:00 0800"},
        {"endCreationTime": "2026-13-03T08:00:00+0800"},
        {"nextToken": "1"},
        {"nextToken": "x" * 3000},
        {"nextToken": "-1"},
    ],
)
def test_list_parameters_that_cannot_be(small, changed):
    params = {"queueId": small.queue_ids[0], "tag": "Translation", **changed}
    params = {name: value for name, value in params.items() if value is not None}
    assert error_of(small, "/ai_jobs", params) == "400 InvalidArgument"


def test_a_token_of_another_list_is_refused(small):
    params = {"queueId": small.queue_ids[0], "tag": "Translation", "size": "5"}
    token = ET.fromstring(ask(small, "/ai_jobs", params)[2]).findtext("NextToken")
    assert ask(small, "/ai_jobs", {**params, "size": "50", "nextToken": token})[0] == 200
    other = {**params, "states": "Failed", "nextToken": token}
    assert error_of(small, "/ai_jobs", other) == "400 InvalidArgument"
    assert error_of(small, "/jobs", {**params, "nextToken": token}) == "400 InvalidArgument"


def test_a_query_string_of_too_many_fields(small):
    path = "/ai_jobs?" + "&".join(f"x{n}=1" for n in range(200))
    connection = http.client.HTTPConnection("127.0.0.1", small.port, timeout=10)
    connection.request("GET", path, headers=small.authorization("/ai_jobs"))
    assert connection.getresponse().status == 400
    connection.close()


def test_queues(small):
    seen = ET.fromstring(ask(small, "/ai_queue")[2])
    assert [seen.findtext(name) for name in ("TotalCount", "PageNumber", "PageSize")] == ["3", "1", "10"]
    lists = seen.findall("QueueList")
    assert [node.findtext("QueueId") for node in lists] == small.queue_ids
    assert [node.findtext("MaxConcurrent") for node in lists] == ["10", "6", "2"]
    assert [node.findtext("State") for node in lists] == ["Active", "Active", "Paused"]
    second = ET.fromstring(ask(small, "/ai_queue", {"pageNumber": "2", "pageSize": "2"})[2])
    assert [node.findtext("QueueId") for node in second.findall("QueueList")] == small.queue_ids[2:]
    paused = ET.fromstring(ask(small, "/ai_queue", {"state": "Paused"})[2])
    assert [node.findtext("QueueId") for node in paused.findall("QueueList")] == small.queue_ids[2:]
    asked = ET.fromstring(ask(small, "/ai_queue", {"queueIds": f"{small.queue_ids[0]},p0"})[2])
    assert asked.find("TotalCount") is None
    assert [node.text for node in asked.findall("NonExistPIDs")] == ["p0"]
    for wrong in ({"state": "Odd"}, {"queueIds": ",".join("abcdefghijk")}, {"pageSize": "x"}):
        assert error_of(small, "/ai_queue", wrong) == "400 InvalidArgument"


# --- clock, threads, handle -------------------------------------------------------------------------------------


def test_a_get_never_moves_the_clock_and_advance_does():
    with Emulator(seed=3, scenario=SMALL) as emulator:
        before = emulator.now
        waiting = int(np.flatnonzero(emulator.snapshot().state == STATES.index("Running"))[0])
        path = f"/ai_jobs/{emulator.job_ids[waiting]}"
        bodies = {ask(emulator, path)[2] for _ in range(5)}
        assert len(bodies) == 1
        assert emulator.now == before
        emulator.advance(86_400)
        status, headers, body = ask(emulator, path)
        assert parsedate_to_datetime(headers["Date"]).timestamp() == before + 86_400
        assert jobs_of(body)[0].findtext("State") in {"Success", "Failed"}
        emulator.set_time(SMALL.start.timestamp() - 1)  # before any was submitted
        body = ask(emulator, path)[2]
        assert ET.fromstring(body).findtext("NonExistJobIds") == emulator.job_ids[waiting]
        assert jobs_of(body) == []
        assert status == 200


def test_the_connection_is_kept(small):
    connection = http.client.HTTPConnection("127.0.0.1", small.port, timeout=10)
    path = f"/ai_jobs/{small.job_ids[0]}"
    ends = set()
    for _ in range(20):
        connection.request("GET", path, headers=small.authorization(path))
        connection.getresponse().read()
        ends.add(connection.sock.getsockname())
    assert len(ends) == 1
    connection.close()


def test_it_works_while_this_thread_s_event_loop_runs():
    """As in a notebook, where the kernel's own loop runs in the thread that starts the emulator."""

    async def cell():
        with Emulator(scenario=SMALL) as emulator:
            answered = ask(emulator, f"/ai_jobs/{emulator.job_ids[0]}")[0]
            await asyncio.sleep(0)
            return answered, asyncio.get_running_loop().is_running()

    assert asyncio.run(cell()) == (200, True)


def test_close_frees_the_port_and_ends_the_thread():
    emulator = Emulator(scenario=SMALL).start()
    port = emulator.port
    kept = socket.create_connection(("127.0.0.1", port))
    name = f"cosai-emulator-{port}"
    assert name in {thread.name for thread in threading.enumerate()}
    emulator.close()
    assert name not in {thread.name for thread in threading.enumerate()}
    kept.settimeout(5)
    assert kept.recv(1) == b""
    kept.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    emulator.close()  # twice is once
    with Emulator(scenario=SMALL, port=port) as again:
        assert again.port == port
        assert ask(again, f"/ai_jobs/{again.job_ids[0]}")[0] == 200


def test_it_can_be_started_again_and_not_twice():
    emulator = Emulator(scenario=SMALL)
    for _ in range(2):
        with emulator:
            assert ask(emulator, f"/ai_jobs/{emulator.job_ids[0]}")[0] == 200
            with pytest.raises(RuntimeError, match="serves already"):
                emulator.start()
    with pytest.raises(RuntimeError, match="not started"):
        _ = emulator.url


def test_a_taken_port_raises_where_it_is_asked_for(small):
    with pytest.raises(OSError, match=r"in use"):
        Emulator(scenario=SMALL, port=small.port).start()


def test_two_at_once_know_their_own_jobs_and_keys_only(small):
    with Emulator(seed=4, scenario=SMALL) as other:
        path = f"/ai_jobs/{small.job_ids[0]}"
        assert error_of(other, path, headers=small.authorization(path)) == "401 SecretidNotExist"
        body = ask(other, path)[2]
        assert ET.fromstring(body).findtext("NonExistJobIds") == small.job_ids[0]


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux' table of sockets")
def test_it_listens_on_loopback_only(small):
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    port = f"{small.port:04X}"
    assert {row[1] for row in listening if row[1].endswith(f":{port}") and row[3] == "0A"} == {
        f"0100007F:{port}"
    }


def test_the_log_counts_and_keeps_no_secret(small):
    before = len(small.requests)
    ask(small, "/ai_jobs", {"queueId": small.queue_ids[0], "tag": "Translation"})
    ask(small, "/ai_jobs/a1", {"q-signature": "abc", "q-ak": "AKIDTEST", "x-ci-security-token": "t"})
    first, second = list(small.requests)[before:]
    assert (first.method, first.path, first.status) == ("GET", "/ai_jobs", 200)
    assert "tag=Translation" in first.query
    assert second.query == ""
    assert "topsecretkey" not in repr(list(small.requests))
    assert "AKIDTEST" not in repr(list(small.requests))


def test_repr_names_the_place_and_no_key(small):
    assert small.url in repr(small)
    assert "topsecretkey" not in f"{small!r} {small} {vars(small)}"
    assert repr(Emulator(scenario=SMALL)).startswith("Emulator(not started")


def test_environment_and_guide_lead_here(small):
    environment = small.environment()
    assert environment["COSAI_ENDPOINT"] == small.url
    assert environment["COS_SECRET_KEY"] == "topsecretkey"
    assert set(environment) == {
        "COS_SECRET_ID",
        "COS_SECRET_KEY",
        "COSAI_BUCKET",
        "COSAI_REGION",
        "COSAI_ENDPOINT",
    }
    text = guide(small)
    for name, value in environment.items():
        assert f"export {name}={value}" in text


@pytest.mark.slow
def test_serve_leads_another_process_here_and_ends_with_ctrl_c():
    """What it prints is enough to ask it; Ctrl-C is a normal end."""
    code = "from cosai_nb.emulator import Scenario, serve; serve(scenario=Scenario(jobs=50))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        exports, curl = {}, ""
        for line in process.stdout:
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                exports[name] = value
            elif line.startswith("curl "):
                curl = line
            if "COSAI_ENDPOINT" in exports:
                break
        _, address = shlex.split(curl)[-2:]
        connection = http.client.HTTPConnection(exports["COSAI_ENDPOINT"].removeprefix("http://"), timeout=10)
        name, _, value = shlex.split(curl)[3].partition(": ")
        connection.request("GET", address.removeprefix(exports["COSAI_ENDPOINT"]), headers={name: value})
        assert connection.getresponse().status == 200
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 0
    assert "Requests answered: 1." in rest


@pytest.mark.parametrize("port", [-1, 65_536, 99_999])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(ValueError, match=f"port={port} must be 0"):
        Emulator(port=port, scenario=Scenario(jobs=10))


def test_the_command_says_in_a_sentence_that_a_port_cannot_be_had(small, capsys):
    for port in (small.port, 99_999):
        with pytest.raises(SystemExit) as caught:
            main(["emulate", "--port", str(port)])
        assert caught.value.code == 2
        assert f"--port {port} cannot be had" in capsys.readouterr().err
