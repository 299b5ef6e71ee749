"""Each fault does on the socket what its name says."""

import gzip
import http.client
import json
import socket
import threading
import time
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from cosai_nb.emulator import Emulator, Fault, Scenario
from cosai_nb.emulator.faults import FaultPlan

SMALL = Scenario(jobs=60)


@pytest.fixture
def broken():
    """Start an emulator with faults; all are closed at the end."""
    started = []

    def start(*faults, **settings):
        emulator = Emulator(seed=1, **{"scenario": SMALL, **settings}, faults=faults).start()
        started.append(emulator)
        return emulator

    yield start
    for emulator in started:
        emulator.close()


def send(emulator, number=0):
    """Open a socket and send one signed GET on it."""
    path = f"/ai_jobs/{emulator.job_ids[number]}"
    connection = socket.create_connection(("127.0.0.1", emulator.port), timeout=5)
    ask_on(connection, emulator, path)
    return connection


def ask_on(connection, emulator, path):
    headers = "".join(f"{name}: {value}\r\n" for name, value in emulator.authorization(path).items())
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode())


def read_all(connection):
    """Read until the server closes."""
    found = b""
    while piece := connection.recv(65536):
        found += piece
    return found


def get(emulator, path=None):
    path = path or f"/ai_jobs/{emulator.job_ids[0]}"
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=10)
    connection.request("GET", path, headers=emulator.authorization(path.partition("?")[0]))
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_status_with_code_and_retry_after(broken):
    emulator = broken(Fault(kind="status", status=429, code="SlowDown", retry_after="-5"))
    answer, body = get(emulator)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "-5")
    assert ET.fromstring(body).findtext("Code") == "SlowDown"
    plain, _ = get(broken(Fault(kind="status", status=500, code="InternalError")))
    assert (plain.status, plain.headers["Retry-After"]) == (500, None)


def test_redirect_to_another_host(broken):
    answer, _ = get(broken(Fault(kind="redirect")))
    assert answer.status == 307
    assert answer.headers["Location"].startswith("http://127.0.0.2")

    moved, _ = get(broken(Fault(kind="redirect", status=302, location="http://127.0.0.3/x")))
    assert (moved.status, moved.headers["Location"]) == (302, "http://127.0.0.3/x")


def test_a_page_that_names_itself_as_the_next(broken):
    emulator = broken(Fault(kind="same_token"))
    path = f"/ai_jobs?queueId={emulator.queue_ids[0]}&tag=Translation&size=3"

    def page(token):
        _, body = get(emulator, f"{path}&nextToken={token}" if token else path)
        seen = ET.fromstring(body)
        return [job.findtext("JobId") for job in seen.findall("JobsDetail")], seen.findtext("NextToken")

    first, token = page("")
    second, same = page(token)
    assert (same, page(same)) == (token, (second, token))
    assert first != second


@pytest.mark.parametrize(
    ("kind", "content_type", "piece"),
    [("html", "text/html", b"<!doctype html>"), ("json", "application/json", b'{"code"')],
)
def test_another_language(broken, kind, content_type, piece):
    answer, body = get(broken(Fault(kind=kind)))
    assert (answer.status, answer.headers["Content-Type"]) == (200, content_type)
    assert body.startswith(piece)


def test_empty(broken):
    answer, body = get(broken(Fault(kind="empty")))
    assert (answer.status, answer.headers["Content-Length"], body) == (200, "0", b"")


def test_doctype(broken):
    _, body = get(broken(Fault(kind="doctype")))
    assert body.index(b"<!DOCTYPE Response [<!ENTITY") < body.index(b"<Response>")
    assert ET.fromstring(body).tag == "Response"  # well-formed: who refuses it, does so for the DOCTYPE


def test_unclosed_tag(broken):
    emulator = broken(Fault(kind="unclosed_tag", nth=1))
    _, body = get(emulator)
    _, good = get(emulator)
    assert body == good.replace(b"</Tag>", b"<Tag>")
    with pytest.raises(ET.ParseError):
        ET.fromstring(body)


def test_other_job(broken):
    emulator = broken(Fault(kind="other_job"))
    _, body = get(emulator)
    other = ET.fromstring(body).findtext("JobsDetail/JobId")
    assert other == emulator.job_ids[0][:-1] + "z"


def test_gzip_bomb(broken):
    answer, body = get(broken(Fault(kind="gzip_bomb")))
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(body) < 100_000
    assert len(gzip.decompress(body)) > 64 * 2**20


def test_cut_body(broken):
    emulator = broken(Fault(kind="cut_body", nth=1))
    answer, body = get(emulator)
    _, good = get(emulator)
    assert int(answer.headers["Content-Length"]) == len(body)
    assert good.startswith(body)
    assert b"<" in body[-3:]
    assert b">" not in body[-3:]


def test_reset_before_headers(broken):
    with send(broken(Fault(kind="reset_before_headers"))) as connection, pytest.raises(ConnectionResetError):
        read_all(connection)


def test_reset_after_headers(broken):
    with send(broken(Fault(kind="reset_after_headers"))) as connection:
        head = connection.recv(65536)
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        with pytest.raises(ConnectionResetError):
            read_all(connection)


def test_wrong_length(broken):
    emulator = broken(Fault(kind="wrong_length"))
    with send(emulator) as connection:
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    promised = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    assert promised == len(body) + 1000
    with pytest.raises(http.client.IncompleteRead):
        get(emulator)


@pytest.mark.parametrize("kind", ["drip_headers", "drip_body"])
def test_drips(broken, kind):
    with send(broken(Fault(kind=kind, bytes_per_s=50.0))) as connection:
        begin, found = time.monotonic(), b""
        while time.monotonic() - begin < 1.0:
            found += connection.recv(65536)
    dripped = found if kind == "drip_headers" else found.partition(b"\r\n\r\n")[2]
    assert 10 <= len(dripped) <= 60
    assert found.startswith(b"HTTP/1.1")


def test_silence(broken):
    with send(broken(Fault(kind="silence"))) as connection:
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_oversized(broken):
    emulator = broken(Fault(kind="oversized"))
    with send(emulator) as connection:
        head, _, found = connection.recv(65536).partition(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in head
        size = len(found)
        while size < 20 * 2**20:
            size += len(connection.recv(2**20))
    answer, body = get(emulator)  # the server goes on after a client that gave up
    assert answer.status == 200
    assert len(body) > 100 * 2**20
    assert body.endswith(b"</Response>")


def test_close_after_a_good_answer(broken):
    with send(broken(Fault(kind="close"))) as connection:
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    assert b"Connection: close" not in head
    assert ET.fromstring(body).findtext("JobsDetail/JobId")


def test_without_a_fault_the_connection_stays(broken):
    emulator = broken()
    with send(emulator) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        ask_on(connection, emulator, f"/ai_jobs/{emulator.job_ids[1]}")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


# --- the plan ---------------------------------------------------------------------------------------------------


def kinds(plan, paths):
    return [fault.kind if (fault := plan.pick(path)) else "" for path in paths]


def test_nth_counts_the_requests_of_a_path():
    plan = FaultPlan([Fault(kind="html", nth=2, path="/ai_queue"), Fault(kind="empty", nth=(1, 4))], seed=0)
    paths = ["/ai_jobs/a", "/ai_queue", "/ai_jobs/b", "/ai_queue", "/ai_queue"]
    # the empty answers are for the first and fourth of all, but the fourth is the second on /ai_queue: first wins
    assert kinds(plan, paths) == ["empty", "", "", "html", ""]


def test_ranges():
    plan = FaultPlan([Fault(kind="silence", nth=range(2, 4))], seed=0)
    assert kinds(plan, ["/"] * 5) == ["", "silence", "silence", "", ""]


def test_chance_is_seeded_and_of_the_right_size():
    def draw(seed):
        return kinds(FaultPlan([Fault(kind="close", probability=0.2)], seed=seed), ["/"] * 2000)

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    # the share of 2,000 draws leaves 0.2 by 5 standard errors (0.045) once in two million
    assert draw(1).count("close") / 2000 == pytest.approx(0.2, abs=0.045)
    assert set(kinds(FaultPlan([Fault(kind="close", probability=0.0)], seed=1), ["/"] * 100)) == {""}


def test_the_log_names_faults(broken):
    emulator = broken(Fault(kind="html", nth=2))
    for _ in range(3):
        get(emulator)
    assert [entry.fault for entry in emulator.requests] == ["", "html", ""]


def test_close_ends_faults_that_are_still_playing(broken):
    emulator = broken(Fault(kind="silence"), Fault(kind="drip_body"))
    name = f"cosai-emulator-{emulator.port}"
    with send(emulator) as connection:
        deadline = time.monotonic() + 5
        while not emulator.requests and time.monotonic() < deadline:
            time.sleep(0.01)
        begin = time.monotonic()
        emulator.close()
        assert time.monotonic() - begin < 8
        assert connection.recv(1) == b""
    assert name not in {thread.name for thread in threading.enumerate()}


# --- what a hostile server does (findings.md, part 1) -----------------------------------------------------------


@pytest.mark.parametrize("chunk", ["-1", "-5", "zz", "", "ffffffffffffffffff"])
def test_bad_chunk(broken, chunk):
    """The size stands where the first chunk's size belongs; the whole answer and the spaces follow."""
    with send(broken(Fault(kind="bad_chunk", chunk=chunk, size=2**20))) as connection:
        head, _, rest = read_all(connection).partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    size, _, body = rest.partition(b"\r\n")
    assert size == chunk.encode()
    assert body.endswith(b" " * 2**20)
    assert ET.fromstring(body).findtext("JobsDetail/JobId")


def test_a_negative_chunk_size_is_what_the_standard_library_cannot_read(broken):
    with pytest.raises((ValueError, http.client.HTTPException)):
        get(broken(Fault(kind="bad_chunk", chunk="-5", size=0)))


def test_nested_json(broken):
    answer, body = get(broken(Fault(kind="nested_json", status=500)))
    assert (answer.status, answer.headers["Content-Type"]) == (500, "application/json")
    assert body.count(b"[") == body.count(b"]") == 100_000
    with pytest.raises(RecursionError):
        json.loads(body)


@pytest.mark.parametrize("message", [b"\x1b[31m", b"&#27;", b"\xc3\x28", b"\\1 \\g<0>"])
def test_control_chars(broken, message):
    emulator = broken(Fault(kind="control_chars", message=message, nth=1))
    _, body = get(emulator)
    _, good = get(emulator)
    assert body == good.replace(b"<Message/>", b"<Message>%b</Message>" % message)
    assert message in body


def test_the_default_message_is_no_xml(broken):
    _, body = get(broken(Fault(kind="control_chars")))
    with pytest.raises(ET.ParseError):
        ET.fromstring(body)


def test_twice(broken):
    """First as it was while it waited, then as it is; a failed job too, whose Code and Message come with its end."""
    emulator = broken(Fault(kind="twice"), scenario=Scenario(jobs=60, incident=None, cancel_rate=0.0))
    emulator.advance(7 * 86_400)
    failed = np.flatnonzero(emulator.truth["fate"] == "Failed")[0]
    _, body = get(emulator, f"/ai_jobs/{emulator.job_ids[failed]}")
    waiting, ended = ET.fromstring(body).findall("JobsDetail")
    names = ("JobId", "CreationTime", "Tag")
    assert [waiting.findtext(name) for name in names] == [ended.findtext(name) for name in names]
    shown = [waiting.findtext(name) for name in ("State", "StartTime", "EndTime", "Code", "Message")]
    assert shown == ["Submitted", "-", "-", "Success", ""]
    assert (ended.findtext("State"), ended.findtext("Code")) == ("Failed", emulator.truth["code"][failed])


def test_endless_list(broken):
    emulator = broken(Fault(kind="endless_list"))
    path, tokens = f"/ai_jobs?queueId={emulator.queue_ids[0]}&tag=Translation", set()
    for _ in range(5):
        page = ET.fromstring(get(emulator, path)[1])
        assert page.find("JobsDetail") is None
        tokens.add(page.findtext("NextToken"))
        path = f"{path.partition('&nextToken')[0]}&nextToken={page.findtext('NextToken')}"
    assert len(tokens) == 5
    assert b"JobsDetail" in get(emulator)[1]  # a question for a job is no list


def test_far_date(broken):
    answer, body = get(broken(Fault(kind="far_date")))
    assert answer.headers.get_all("Date") == ["Fri, 31 Dec 9999 23:59:59 GMT"]
    assert ET.fromstring(body).findtext("JobsDetail/JobId")


def test_no_such_key(broken):
    """What another host of the bucket says to a path that it takes for an object."""
    answer, body = get(broken(Fault(kind="status", status=404, code="NoSuchKey")))
    assert (answer.status, ET.fromstring(body).findtext("Code")) == (404, "NoSuchKey")


def test_late_close(broken):
    emulator = broken(Fault(kind="late_close"))
    with send(emulator) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):  # it stays open until it is used
            connection.recv(1)
        connection.settimeout(5)
        ask_on(connection, emulator, f"/ai_jobs/{emulator.job_ids[1]}")
        with pytest.raises(ConnectionResetError):
            read_all(connection)
    assert len(emulator.requests) == 1


def test_a_window_of_time():
    clock = iter([100.0, 100.9, 101.0, 104.0, 105.0, 200.0])
    faults = [Fault(kind="empty", until_s=1.0), Fault(kind="html", from_s=4.0, until_s=5.0)]
    plan = FaultPlan(faults, seed=0, clock=lambda: next(clock))
    assert kinds(plan, ["/"] * 6) == ["empty", "empty", "", "html", "", ""]


def test_one_second_of_throttling(broken):
    emulator = broken(Fault(kind="status", code="SlowDown", until_s=1.0))
    begin, answers = time.monotonic(), []
    while not answers or answers[-1] != 200:
        answers.append(get(emulator)[0].status)
        assert time.monotonic() - begin < 5
    assert time.monotonic() - begin > 0.9
    assert set(answers[:-1]) == {503}


def test_a_kind_that_is_none():
    with pytest.raises(ValueError, match=r"kind='sielnce' is none of status, redirect"):
        Fault(kind="sielnce")
