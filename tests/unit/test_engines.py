"""The seam: one GET over a real socket, whatever the other side does with it, by both engines."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import importlib.util
import logging
import os
import random
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
import urllib3

from cosai_nb.emulator import Emulator, Scenario
from cosai_nb.errors import (
    CosaiError,
    DeniedError,
    MalformedError,
    OversizedError,
    SettingsError,
    UnavailableError,
)
from cosai_nb.query import describe_job, fetch_jobs, list_queues
from cosai_nb.service.client import Client
from cosai_nb.service.credentials import Headers
from cosai_nb.service.engine import MAX_CONNECTIONS, Reply, Route
from cosai_nb.service.engine_requests import RequestsEngine

HEADERS = Headers({"Authorization": "q-sign-algorithm=sha1&q-signature=abc", "x-ci-security-token": "TOKEN"})
LIMIT = 2**20
PROXY_VARIABLES = (
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
    "all_proxy",
    "ALL_PROXY",
)


@pytest.fixture
def engine_of(engine_name):
    """Return what makes an engine of each kind; they are closed at the end."""
    made = []

    def make(url, *, proxies=(), verify=None):
        route = Route.of(url, proxies=None if proxies is None else dict(proxies), verify=verify)
        if engine_name == "curl":
            from cosai_nb.service.engine_curl import CurlEngine

            made.append(CurlEngine(route))
        else:
            made.append(RequestsEngine(route))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def came_of(engine, number=1, *, within=10.0):
    """Collect so many results; a hang is a failure."""
    came, until = [], time.monotonic() + within
    while len(came) < number:
        assert time.monotonic() < until, f"only {len(came)} of {number} came back"
        came += engine.collect(0.25)
    return came


def get(engine, url, *, path="/ai_jobs/j1", timeout=5.0, max_bytes=LIMIT):
    engine.start("key", url + path, HEADERS, timeout=timeout, max_bytes=max_bytes)
    ((key, came),) = came_of(engine, within=timeout + 5)
    assert key == "key"
    if isinstance(came, CosaiError):
        raise came
    return came


@pytest.fixture
def fetch(engine_of):
    """Return a GET by an engine of its own."""
    return lambda url, **settings: get(
        engine_of(url, **{name: settings.pop(name) for name in ("proxies", "verify") if name in settings}),
        url,
        **settings,
    )


def answer(body: bytes = b"<Response/>", head: bytes = b"", status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(body), head, body)


def keep_answering(sock, *_):
    sock.sendall(answer())
    return True


def reset(sock: socket.socket) -> None:
    """Close with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_a_get_with_exactly_these_headers(serve, fetch):
    server = serve(
        lambda sock, *_: sock.sendall(answer(b"<Response>hi</Response>", b"X-Ci-Request-Id: r1\r\n"))
    )
    reply = fetch(server.url)
    assert (reply.status, reply.body) == (200, b"<Response>hi</Response>")
    assert reply.headers["x-ci-request-id"] == "r1"
    first, *lines = server.requests[0].decode().rstrip().split("\r\n")
    assert first == "GET /ai_jobs/j1 HTTP/1.1"
    sent = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert sent == {
        "host": f"127.0.0.1:{server.port}",
        "accept-encoding": "identity",
        **{name.lower(): value for name, value in HEADERS.items()},
        **{name: sent[name] for name in ("user-agent", "connection", "accept") if name in sent},
    }


def test_an_error_status_is_a_reply(serve, fetch):
    server = serve(lambda sock, *_: sock.sendall(answer(b"no", status=b"503 Slow Down")))
    assert fetch(server.url)[::2] == (503, b"no")


def test_a_path_is_sent_as_it_was_signed(serve, fetch):
    server = serve(keep_answering)
    fetch(server.url, path="/ai_jobs/a%2Cb?startCreationTime=2022-07-01T00%3A00%3A00%2B0800&nextToken=")
    assert server.requests[0].split()[1] == (
        b"/ai_jobs/a%2Cb?startCreationTime=2022-07-01T00%3A00%3A00%2B0800&nextToken="
    )


@pytest.mark.parametrize(
    "status", [b"301 Moved", b"302 Found", b"303 See Other", b"307 Temporary", b"308 Permanent"]
)
def test_no_redirect_is_followed_and_no_token_goes_elsewhere(serve, fetch, status):
    elsewhere = serve(lambda sock, *_: sock.sendall(answer()))
    server = serve(
        lambda sock, *_: sock.sendall(answer(b"", b"Location: %b/x\r\n" % elsewhere.url.encode(), status))
    )
    reply = fetch(server.url)
    assert reply.status == int(status[:3])
    assert reply.headers["location"] == f"{elsewhere.url}/x"
    assert elsewhere.connections == 0


def test_netrc_replaces_nothing(serve, fetch, tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text(
        "machine 127.0.0.1 login user password secret\ndefault login u password p\n"
    )
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    server = serve(lambda sock, *_: sock.sendall(answer()))
    fetch(server.url)
    assert b"q-signature=abc" in server.requests[0]
    assert b"Basic" not in server.requests[0]
    # the trap is real: requests itself falls for it
    plain = requests.get(server.url, timeout=5, proxies={"http": ""})
    assert plain.request.headers["Authorization"].startswith("Basic")


def test_cookies_are_not_kept(serve, engine_of):
    def talk(sock, *_):
        sock.sendall(answer(head=b"Set-Cookie: a=b\r\n"))
        return True

    server = serve(talk)
    engine = engine_of(server.url)
    for _ in range(2):
        get(engine, server.url)
    assert b"ookie" not in server.requests[1]


def test_many_at_once_come_back_by_their_keys(serve, engine_of):
    def talk(sock, request, _):
        sock.sendall(answer(request.split()[1]))
        return True

    engine = engine_of((server := serve(talk)).url)
    for number in range(100):
        engine.start(number, f"{server.url}/{number}", HEADERS, timeout=10, max_bytes=LIMIT)
    came = came_of(engine, 100)
    assert sorted((key, reply.body) for key, reply in came) == [
        (number, b"/%d" % number) for number in range(100)
    ]
    assert engine.collect(0.0) == []


def test_ipv6(fetch):
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"no IPv6 loopback: {error}")

    def serve_one():
        sock, _ = listener.accept()
        with sock:
            sock.recv(10_000)
            sock.sendall(answer())

    threading.Thread(target=serve_one, daemon=True).start()
    with listener:
        assert fetch(f"http://[::1]:{listener.getsockname()[1]}").status == 200


# ---- time


@pytest.mark.parametrize("where", ["status line", "headers", "body", "chunked body", "trailers"])
def test_a_drip_fed_answer_ends_in_time(serve, fetch, where):
    start = {
        "status line": b"",
        "headers": b"HTTP/1.1 200 OK\r\n",
        "body": b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n",
        "chunked body": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n270f\r\n",
        "trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    }[where]

    def talk(sock, *_):
        sock.sendall(start)
        for byte in b"HTTP/1.1 200 OK X-A: b" * 5 if where == "status line" else b"X-Long: " + b"x" * 100:
            sock.sendall(bytes([byte]))
            time.sleep(0.1)

    server = serve(talk)
    began = time.monotonic()
    with pytest.raises(UnavailableError, match=r"No whole answer within 0\.6 s") as caught:
        fetch(server.url, timeout=0.6)
    assert 0.5 < time.monotonic() - began < 4
    assert caught.value.retryable


def test_many_short_headers_end_in_time_too(serve, fetch):
    def talk(sock, *_):
        sock.sendall(b"HTTP/1.1 200 OK\r\n")
        for number in range(90):
            sock.sendall(b"X-%d: y\r\n" % number)
            time.sleep(0.1)

    server = serve(talk)
    began = time.monotonic()
    with pytest.raises(UnavailableError, match="No whole answer"):
        fetch(server.url, timeout=0.6)
    assert time.monotonic() - began < 4


def test_silence_ends_in_time(serve, fetch):
    server = serve(lambda *_: time.sleep(6))
    began = time.monotonic()
    with pytest.raises(UnavailableError, match="No whole answer"):
        fetch(server.url, timeout=0.4)
    assert time.monotonic() - began < 4


@contextlib.contextmanager
def full_backlog():
    """Give an address that takes no connection: a full backlog drops what wants to connect, as a firewall does."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        time.sleep(0.1)
        yield listener.getsockname()


def test_a_server_that_takes_no_connection_ends_in_time(fetch):
    with full_backlog() as (host, port):
        began = time.monotonic()
        with pytest.raises(UnavailableError, match=r"within 0\.5 s") as caught:
            fetch(f"http://{host}:{port}", timeout=0.5)
        assert time.monotonic() - began < 4
        assert caught.value.retryable


def test_twenty_dead_addresses_share_one_time(monkeypatch):
    with full_backlog() as address:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)] * 20
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_settings: found)
        url = f"http://ci.example:{address[1]}"
        engine = RequestsEngine(Route.of(url, proxies={}))
        began = time.monotonic()
        with pytest.raises(UnavailableError, match=r"within 0\.5 s"):
            get(engine, url, timeout=0.5)
        assert time.monotonic() - began < 4
        engine.close()


def test_a_slow_resolver_ends_in_time(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_settings: time.sleep(6))
    engine = RequestsEngine(Route.of("http://ci.example", proxies={}))
    began = time.monotonic()
    with pytest.raises(UnavailableError, match=r"within 0\.5 s"):
        get(engine, "http://ci.example", timeout=0.5)
    assert time.monotonic() - began < 4
    engine.close()


def drip(sent: bytes):
    """Return a port that answers whatever comes by these bytes, ten a second."""
    listener = socket.create_server(("127.0.0.1", 0))

    def feed():
        sock, _ = listener.accept()
        with contextlib.suppress(OSError), listener, sock:
            sock.recv(10_000)
            for byte in sent:
                sock.sendall(bytes([byte]))
                time.sleep(0.1)

    threading.Thread(target=feed, daemon=True).start()
    return listener.getsockname()[1]


@pytest.mark.parametrize(
    "sent", [b"HTTP/1.1 200 Connection established" + b" " * 30, b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 50]
)
def test_a_proxy_that_drips_its_connect_answer_ends_in_time(fetch, sent):
    began = time.monotonic()
    with pytest.raises(UnavailableError, match=r"within 0\.6 s"):
        fetch("https://ci.example", proxies={"https": f"http://127.0.0.1:{drip(sent)}"}.items(), timeout=0.6)
    assert time.monotonic() - began < 4


def test_a_handshake_that_drips_ends_in_time(fetch):
    began = time.monotonic()
    with pytest.raises(UnavailableError, match=r"within 0\.6 s"):
        fetch(f"https://127.0.0.1:{drip(bytes.fromhex('160303004a020000460303') + bytes(64))}", timeout=0.6)
    assert time.monotonic() - began < 4


def test_each_try_has_its_own_time(serve, engine_of):
    def talk(sock, *_):
        time.sleep(0.3)
        sock.sendall(answer())
        return True

    server = serve(talk)
    engine = engine_of(server.url)
    for _ in range(3):
        assert get(engine, server.url, timeout=0.8).status == 200
    assert server.connections == 1


# ---- size


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_an_oversized_answer_is_left_at_the_limit(serve, fetch, framing):
    sent = []

    def talk(sock, *_):
        head = {
            "length": b"Content-Length: 100000000\r\n",
            "chunked": b"Transfer-Encoding: chunked\r\n",
            "close": b"",
        }
        sock.sendall(b"HTTP/1.1 200 OK\r\n%b\r\n" % head[framing])
        for _ in range(1500):
            block = b"x" * 65536
            sock.sendall(b"10000\r\n" + block + b"\r\n" if framing == "chunked" else block)
            sent.append(len(block))

    server = serve(talk)
    with pytest.raises(OversizedError, match="larger than 1,048,576 bytes") as caught:
        fetch(server.url)
    assert not caught.value.retryable
    time.sleep(0.2)
    assert sum(sent) < 16 * LIMIT


def test_exactly_the_limit_is_read(serve, fetch):
    server = serve(lambda sock, *_: sock.sendall(answer(b"x" * LIMIT)))
    assert len(fetch(server.url).body) == LIMIT


ENDLESS = {
    "chunk of size -1": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", b"x" * 65536),
    "chunk extension": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"x" * 65536),
    "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n" * 1000),
    "long headers": (b"HTTP/1.1 200 OK\r\n", b"X-A: %b\r\n" % (b"y" * 1000)),
    "short headers": (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 1000),
    "one header": (b"HTTP/1.1 200 OK\r\nX-A: ", b"y" * 65536),
    "folded header": (b"HTTP/1.1 200 OK\r\nX-A: b\r\n", b" y\r\n" * 1000),
    "status line": (b"HTTP/1.1 200 ", b"y" * 65536),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "103 Early Hints": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" * 1000),
}


@pytest.mark.parametrize(("start", "endless"), ENDLESS.values(), ids=ENDLESS)
def test_what_never_ends_is_left_soon(serve, fetch, engine_name, start, endless):
    sent = []

    def talk(sock, *_):
        sock.sendall(start)
        for _ in range(300 * LIMIT // len(endless)):
            sock.sendall(endless)
            sent.append(len(endless))

    server = serve(talk)
    if (engine_name, start[-2:]) == ("curl", b"5;"):  # libcurl keeps nothing of it, and only time ends it
        # or, on a fast machine, the end of what is sent
        with pytest.raises((UnavailableError, MalformedError)):
            fetch(server.url, timeout=0.5)
        return
    with pytest.raises(CosaiError) as caught:
        fetch(server.url, timeout=10)
    assert "No whole answer" not in str(caught.value)
    time.sleep(0.2)
    assert sum(sent) < 30 * LIMIT


# ---- cut, broken, compressed

CUT = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<Response>",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n<Response>",
    "between chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n<R\r\n",
}


@pytest.mark.parametrize("sent", CUT.values(), ids=CUT)
def test_a_body_shorter_than_it_says(serve, fetch, sent):
    server = serve(lambda sock, *_: sock.sendall(sent))
    with pytest.raises(MalformedError, match="cut") as caught:
        fetch(server.url)
    assert caught.value.retryable


def test_a_body_longer_than_it_says_is_not_the_next_answer(serve, engine_of):
    def talk(sock, *_):
        sock.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n<Response/>HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        )
        return True

    server = serve(talk)
    engine = engine_of(server.url)
    assert [get(engine, server.url).body for _ in range(2)] == [b"<Response/>", b"<Response/>"]


@pytest.mark.parametrize("status", [b"102 Processing", b"103 Early Hints"])
@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
def test_what_follows_an_informational_answer_is_not_the_next_answer(serve, engine_of, status, late):
    def talk(sock, *_):
        sock.sendall(b"HTTP/1.1 %b\r\n\r\n" % status)
        time.sleep(0.05 * late)
        sock.sendall(answer(b"<Response>%d</Response>" % len(server.requests)))
        return True

    server = serve(talk)
    engine = engine_of(server.url)
    for number in (1, 2, 3):
        try:
            assert get(engine, server.url).body == b"<Response>%d</Response>" % number
        except (
            UnavailableError
        ) as error:  # requests takes the first answer for the last, so this is no answer to it
            assert f"HTTP {status[:3].decode()} in place of an answer" in str(error)  # noqa: PT017


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_what_has_no_body_is_not_waited_for(serve, fetch, status):
    server = serve(
        lambda sock, *_: sock.sendall(b"HTTP/1.1 %b\r\nContent-Length: 10\r\n\r\n" % status) or time.sleep(5)
    )
    began = time.monotonic()
    assert fetch(server.url)[::2] == (int(status[:3]), b"")
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n<Resp"])
def test_a_reset_may_pass(serve, fetch, sent):
    def talk(sock, *_):
        sock.sendall(sent)
        time.sleep(0.1)
        reset(sock)

    with pytest.raises((UnavailableError, MalformedError)) as caught:
        fetch(serve(talk).url)
    assert caught.value.retryable


NO_HTTP = {
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "zeros": b"\x00\x01\x02",
    "status of letters": b"HTTP/1.1 abc\r\n\r\n",
    "no status": b"HTTP/1.1\r\n\r\n",
    "HTTP/0.9": b"<Response/>",
    "chunk of size -5": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n<R/>\r\n0\r\n\r\n",
    "chunk of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n<R/>\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 40\r\n\r\n<R/>",
    "status 99": b"HTTP/1.1 099 Low\r\n\r\n",
    "status 1000": b"HTTP/1.1 1000 High\r\n\r\n",
}


@pytest.mark.parametrize("sent", NO_HTTP.values(), ids=NO_HTTP)
def test_what_is_no_http_may_pass(serve, fetch, sent):
    with pytest.raises((UnavailableError, MalformedError)) as caught:
        fetch(serve(lambda sock, *_: sock.sendall(sent)).url)
    assert caught.value.retryable
    assert str(caught.value).isprintable()


def test_ten_thousand_headers_are_read_or_refused(serve, engine_of):
    page = b"HTTP/1.1 200 OK\r\n%b\r\n" % b"".join(b"X-%d: y\r\n" % number for number in range(10_000))
    engine = engine_of((server := serve(lambda sock, *_: sock.sendall(page))).url)
    engine.start("key", server.url, HEADERS, timeout=5, max_bytes=LIMIT)
    ((_, came),) = came_of(engine)
    assert came.status == 200 if isinstance(came, Reply) else came.retryable


ODD = {
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\n<R/>",
    "HTTP/1.0 kept": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\n<R/>",
    "the same length twice": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n<R/>",
    "chunks and a length": b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n<R/>\r\n0\r\n\r\n",
    "chunk extension": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\n<R/>\r\n0\r\n\r\n",
    "trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n<R/>\r\n0\r\nX-A: b\r\n\r\n",
    "folded header": b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 4\r\n\r\n<R/>",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 4\n\n<R/>",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 4\r\n\r\n<R/>",
    "a colon in the reason": b"HTTP/1.1 200 OK: fine\r\nContent-Length: 4\r\n\r\n<R/>",
    "100 before it": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<R/>",
    "headers of a 100 before it": b"HTTP/1.1 100 Continue\r\nContent-Encoding: gzip\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<R/>",
    "bytes in a header": b"HTTP/1.1 200 OK\r\nX-A: \xff\xfe\r\nContent-Length: 4\r\n\r\n<R/>",
}


@pytest.mark.parametrize("sent", ODD.values(), ids=ODD)
def test_odd_but_valid_http_is_read(serve, fetch, sent):
    reply = fetch(serve(lambda sock, *_: sock.sendall(sent)).url)
    assert (reply.status, reply.body) == (200, b"<R/>")


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"GZIP"])
def test_compression_that_was_not_asked_for_is_named(serve, fetch, encoding):
    body = gzip.compress(b"<Response/>" * 100_000)
    server = serve(lambda sock, *_: sock.sendall(answer(body, b"Content-Encoding: %b\r\n" % encoding)))
    with pytest.raises(MalformedError, match=rf"(?i){encoding.decode()}.*proxy"):
        fetch(server.url)


def test_a_compressed_error_keeps_its_status(serve, fetch):
    page = answer(gzip.compress(b"<html>"), b"Content-Encoding: gzip\r\n", b"503 Busy")
    assert fetch(serve(lambda sock, *_: sock.sendall(page)).url)[::2] == (503, b"")


def test_identity_is_no_compression(serve, fetch):
    server = serve(lambda sock, *_: sock.sendall(answer(head=b"Content-Encoding: identity\r\n")))
    assert fetch(server.url).body == b"<Response/>"


# ---- connections


def test_connections_are_reused(serve, engine_of):
    server = serve(keep_answering)
    engine = engine_of(server.url)
    took = []
    for _ in range(20):
        began = time.monotonic()
        get(engine, server.url)
        took.append(time.monotonic() - began)
    assert (server.connections, len(server.requests)) == (1, 20)
    assert sorted(took)[10] < 0.05  # an answer is taken when it comes, not a tick later


def test_as_many_connections_are_kept_as_there_may_be_workers(serve, engine_of, caplog):
    caplog.set_level(logging.DEBUG)
    number = 80
    together = threading.Barrier(number, timeout=10)

    def talk(sock, *_):
        together.wait()  # an answer only when all are there
        sock.sendall(answer())
        return True

    server = serve(talk)
    engine = engine_of(server.url)
    for _ in range(3):
        for key in range(number):
            engine.start(key, server.url + "/a", HEADERS, timeout=10, max_bytes=LIMIT)
        assert {reply.status for _, reply in came_of(engine, number)} == {200}
    assert server.connections == number < MAX_CONNECTIONS
    assert "pool is full" not in caplog.text


def test_a_connection_closed_between_two_requests_is_survived(serve, engine_of):
    # keep-alive by its headers, and closed all the same
    server = serve(lambda sock, *_: sock.sendall(answer()))
    engine = engine_of(server.url)
    for _ in range(5):
        assert get(engine, server.url).status == 200
        time.sleep(0.05)
    assert server.connections == 5


@pytest.fixture
def tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return context


@pytest.mark.parametrize("how", ["closed", "reset"])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_kept_connections_closed_when_the_next_request_arrives_cost_nothing(
    serve, engine_of, tls, certificate, how, secure
):
    """A proxy that drops idle connections late: every kept one is stale, and each GET is answered all the same."""
    number, answered = 12, set()
    together = threading.Barrier(number, timeout=10)

    def talk(sock, *_):
        if id(sock) in answered:
            reset(sock) if how == "reset" else sock.close()
            return False
        answered.add(id(sock))
        kept.append(sock)  # so that its id stays its own
        if len(answered) <= number:
            together.wait()
        sock.sendall(answer())
        return True

    kept = []
    server = serve(talk, tls if secure else None)
    engine = engine_of(server.url, verify=str(certificate))
    for key in range(number):
        engine.start(key, server.url + "/a", HEADERS, timeout=10, max_bytes=LIMIT)
    assert {reply.status for _, reply in came_of(engine, number)} == {200}
    for _ in range(3):
        assert get(engine, server.url).status == 200


def test_a_fresh_connection_that_breaks_is_not_tried_again_here(serve, tls, certificate, fetch):
    """How often, and when, is the scheduler's business."""
    for context in (None, tls):
        server = serve(lambda *_: False, context)
        with pytest.raises(UnavailableError, match="The connection broke"):
            fetch(server.url, verify=str(certificate))
        assert len(server.requests) == 1


def test_an_engine_works_after_close(serve, engine_of):
    server = serve(keep_answering)
    engine = engine_of(server.url)
    for number in (1, 2, 3):
        assert get(engine, server.url).status == 200
        engine.close()
        assert server.connections == number


def test_close_drops_what_is_in_flight(serve, engine_of):
    server = serve(lambda *_: time.sleep(1))
    engine = engine_of(server.url)
    for key in range(5):
        engine.start(key, server.url + "/a", HEADERS, timeout=10, max_bytes=LIMIT)
    engine.collect(0.1)
    engine.close()
    assert engine.collect(0.3) == []
    engine.start("after", serve(keep_answering).url, HEADERS, timeout=10, max_bytes=LIMIT)
    assert [key for key, _ in came_of(engine)] == ["after"]


FILES = Path("/proc/self/fd")


def sockets() -> int:
    """Count this process's sockets."""
    found = 0
    for file in FILES.iterdir():
        with contextlib.suppress(OSError):
            found += str(file.readlink()).startswith("socket:")
    return found


def becomes(check, *, within=2.0) -> bool:
    until = time.monotonic() + within
    while time.monotonic() < until and not check():
        time.sleep(0.02)
    return check()


@pytest.mark.skipif(not FILES.is_dir(), reason="counts sockets by Linux's /proc")
def test_no_thread_and_no_socket_is_left(wire, engine_name):
    with Emulator(seed=3, scenario=Scenario(jobs=200)) as emulator:
        client = emulator.client(engine=engine_name)
        before, threads = sockets(), threading.active_count()
        fetch_jobs(emulator.job_ids, client=client, batch_size=1, progress=False)
        assert sockets() > before
        assert becomes(
            lambda: not [thread for thread in threading.enumerate() if re.match(r"cosai-\d", thread.name)]
        )
        client.close()
        assert becomes(lambda: sockets() <= before)
        assert threading.active_count() <= threads + 1  # the emulator's own may start late


def test_a_machine_that_starts_no_thread(serve, monkeypatch):
    def fail(_thread):
        raise RuntimeError("can't start new thread")

    server = serve(keep_answering)
    engine = RequestsEngine(Route.of(server.url, proxies={}))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(UnavailableError, match="starts no further thread"):
            get(engine, server.url)
    assert get(engine, server.url).status == 200
    engine.close()


def test_a_refused_connection(fetch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UnavailableError, match="Connection refused") as caught:
        fetch(f"http://127.0.0.1:{port}")
    assert caught.value.retryable


def test_a_name_that_does_not_resolve(fetch, engine_name, monkeypatch):
    def fail(*_args, **_kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    # libcurl has a resolver of its own, which refuses so long a name without asking anybody
    name = "demo-1.ci.ap-nowhere.example" if engine_name == "requests" else f"{'x' * 64}.example"
    with pytest.raises(UnavailableError, match="could not be resolved: check bucket and region") as caught:
        fetch(f"http://{name}")
    assert caught.value.retryable


# ---- TLS


@pytest.fixture
def tls_server(serve, tls):
    return serve(keep_answering, tls)


def test_a_certificate_that_nobody_vouches_for_is_loud(tls_server, fetch, monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DeniedError, match=r"TLS certificate.*Nothing was sent") as caught:
        fetch(tls_server.url)
    assert not caught.value.retryable
    assert tls_server.requests == []


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_bundle_of_the_environment_is_believed(tls_server, engine_of, certificate, monkeypatch, name):
    for other in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, str(certificate))
    engine = engine_of(tls_server.url)
    for _ in range(3):
        assert get(engine, tls_server.url).status == 200
    assert tls_server.connections == 1


def test_a_folder_of_certificates(tls_server, fetch, certificate, tmp_path):
    command = ["openssl", "x509", "-hash", "-noout", "-in", str(certificate)]
    digest = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / f"{digest}.0").write_bytes(certificate.read_bytes())
    assert fetch(tls_server.url, verify=str(tmp_path)).status == 200
    (tmp_path / "empty").mkdir()
    with pytest.raises(DeniedError, match="certificate"):
        fetch(tls_server.url, verify=str(tmp_path / "empty"))


def test_a_bundle_that_is_none(tls_server, fetch, tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(DeniedError, match="TLS"):
        fetch(tls_server.url, verify=str(tmp_path / "ca.pem"))


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_verify_is_switched_off_only_by_the_user(tls_server, fetch):
    assert fetch(tls_server.url, verify=False).status == 200


def test_a_certificate_for_another_name(tls_server, fetch, certificate):
    with pytest.raises(DeniedError, match="certificate"):
        fetch(tls_server.url.replace("127.0.0.1", "localhost"), verify=str(certificate))


def test_drip_feeding_over_tls_ends_in_time(serve, fetch, tls, certificate):
    def talk(sock, *_):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        for _ in range(100):
            sock.sendall(b"x")
            time.sleep(0.1)

    server = serve(talk, tls)
    began = time.monotonic()
    with pytest.raises(UnavailableError, match="No whole answer"):
        fetch(server.url, timeout=0.6, verify=str(certificate))
    assert time.monotonic() - began < 4


def test_a_body_cut_over_tls_without_a_farewell(serve, fetch, tls, certificate):
    def talk(sock, *_):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n<Response>")
        os.close(sock.detach())  # no close_notify

    with pytest.raises((UnavailableError, MalformedError)) as caught:
        fetch(serve(talk, tls).url, verify=str(certificate))
    assert caught.value.retryable


def test_noise_in_the_middle_of_tls_may_pass(serve, fetch, tls, certificate):
    def talk(sock, *_):
        with socket.socket(fileno=sock.detach()) as plain:
            plain.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)  # a record of no key
            time.sleep(0.2)

    with pytest.raises(UnavailableError, match="The connection broke") as caught:
        fetch(serve(talk, tls).url, verify=str(certificate))
    assert caught.value.retryable


def answer_hello(sent: bytes) -> str:
    """Answer one TLS greeting by ``sent`` and close; returns the URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def greet():
        sock, _ = listener.accept()
        sock.recv(1000)
        sock.sendall(sent)
        sock.close()
        listener.close()

    threading.Thread(target=greet, daemon=True).start()
    return f"https://127.0.0.1:{listener.getsockname()[1]}"


def test_plain_http_where_tls_was_expected_is_loud(fetch):
    with pytest.raises(DeniedError, match="No TLS connection") as caught:
        fetch(answer_hello(answer()))
    assert not caught.value.retryable


def test_a_connection_cut_in_the_handshake_may_pass(fetch):
    with pytest.raises(UnavailableError) as caught:
        fetch(answer_hello(b""))
    assert caught.value.retryable


def test_a_bundle_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(SettingsError, match=r"/nowhere/ca\.pem"):
        Route.of("https://x")


# ---- proxies


@pytest.fixture
def no_proxy_variables(monkeypatch):
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_a_proxy_of_the_environment_is_used_and_its_login_is_wanted(
    serve, fetch, no_proxy_variables, monkeypatch
):
    proxy = serve(
        lambda sock, *_: sock.sendall(answer(b"login", status=b"407 Proxy Authentication Required"))
    )
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    assert fetch("http://ci.example", proxies=None).status == 407
    with pytest.raises(DeniedError, match="HTTP 407") as caught:
        fetch("https://ci.example", proxies=None)
    assert not caught.value.retryable
    assert proxy.requests[0].startswith(b"GET http://ci.example/ai_jobs/j1 ")
    assert proxy.requests[1].startswith(b"CONNECT ci.example:443")
    assert b"q-signature" not in proxy.requests[1]
    assert b"TOKEN" not in proxy.requests[1]


@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_no_proxy_is_heeded(serve, fetch, no_proxy_variables, monkeypatch, variable):
    server, proxy = (
        serve(keep_answering),
        serve(lambda sock, *_: sock.sendall(answer(b"", status=b"407 Login"))),
    )
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv(variable, "127.0.0.1")
    assert fetch(server.url, proxies=None).status == 200
    assert proxy.connections == 0


def tunnel_to(port):
    """Return the ``talk`` of a proxy whose tunnels all lead to a port of this machine."""

    def talk(sock, *_):
        sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port)) as onward, contextlib.suppress(OSError):
            back = threading.Thread(target=pump, args=(onward, sock), daemon=True)
            back.start()
            pump(sock, onward)

    def pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    return talk


def test_tunnels_are_kept_and_a_login_is_sent_to_the_proxy_only(serve, engine_of, tls_server, certificate):
    proxy = serve(tunnel_to(tls_server.port))
    login = {"https": proxy.url.replace("//", "//user:p%40ss@")}
    engine = engine_of(tls_server.url, proxies=login, verify=str(certificate))
    for _ in range(5):
        assert get(engine, tls_server.url).status == 200
    assert (proxy.connections, tls_server.connections) == (1, 1)
    assert b"Proxy-Authorization: Basic dXNlcjpwQHNz" in proxy.requests[0]
    assert b"Basic" not in b"".join(tls_server.requests)


def test_a_proxy_that_is_overloaded_may_pass(serve, fetch):
    proxy = serve(lambda sock, *_: sock.sendall(answer(b"", status=b"503 Busy")))
    with pytest.raises(UnavailableError, match="503") as caught:
        fetch("https://ci.example", proxies={"https": proxy.url})
    assert caught.value.retryable


def test_a_407_in_an_id_is_no_login(fetch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(UnavailableError):
        fetch("http://ci.example", path="/ai_jobs/a407", proxies={"http": proxy})


def test_a_proxys_password_is_not_shown(fetch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = f"http://user:hidden@127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(UnavailableError) as caught:
        fetch("https://ci.example", proxies={"https": proxy})
    assert "hidden" not in f"{caught.value!r} {caught.value.__context__} {caught.value.__cause__}"


@pytest.mark.parametrize(
    "proxy", ["http://proxy:port", "http://proxy:99999", "http://proxy:0", "http://", "ftp://proxy:1", "http://a b:1",
              "http://user:hidden@:80", "http://[::1", "proxy:x"],
)  # fmt: skip
def test_a_proxy_that_cannot_be_one_is_named_at_once(no_proxy_variables, monkeypatch, proxy):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        with monkeypatch.context() as patch:
            patch.setenv(name, proxy)
            with pytest.raises(
                SettingsError, match=r"proxy for https://ci\.example is no proxy's URL"
            ) as caught:
                Route.of("https://ci.example")
            assert "hidden" not in str(caught.value)


def test_socks_without_pysocks_says_what_to_install(wire, no_proxy_variables, monkeypatch):
    if importlib.util.find_spec("socks"):
        pytest.skip("PySocks is installed")
    monkeypatch.setenv("ALL_PROXY", "socks5h://127.0.0.1:1080")
    client = Client(**wire.BUCKET, **wire.KEYS, engine="requests")
    began = time.monotonic()
    with pytest.raises(SettingsError, match=r"SOCKS.*pip install 'requests\[socks\]'"):
        fetch_jobs(["j1"], client=client, progress=False)
    assert time.monotonic() - began < 5


# ---- what is said and logged


def test_no_error_holds_the_request(serve, engine_of):
    def talk(sock, _request, number):
        if number == 1:
            reset(sock)
        else:
            sock.sendall(answer(b"x" * 2 * LIMIT))

    engine = engine_of((server := serve(talk)).url)
    for kind in (UnavailableError, OversizedError):
        engine.start("key", server.url, HEADERS, timeout=5, max_bytes=LIMIT)
        ((_, came),) = came_of(engine)
        assert type(came) is kind
        assert came.__traceback__ is came.__context__ is came.__cause__ is None


def test_the_log_at_debug_holds_no_header(serve, fetch, caplog):
    caplog.set_level(logging.DEBUG)
    server = serve(lambda sock, *_: sock.sendall(answer()))
    fetch(server.url)
    assert "TOKEN" not in caplog.text
    assert "q-signature" not in caplog.text


def test_http_clients_debug_output_is_not_for_us(serve, fetch, tls, certificate, monkeypatch, capfd):
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    monkeypatch.setattr(http.client.HTTPResponse, "debuglevel", 1, raising=False)
    server = serve(keep_answering, tls)
    fetch(server.url, verify=str(certificate))
    fetch(server.url, verify=str(certificate), proxies={"https": serve(tunnel_to(server.port)).url})
    fetch(serve(keep_answering).url)
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


class Foreign(Exception):  # noqa: N818 - of a library of somebody else's
    pass


@pytest.mark.parametrize(
    "error",
    [Foreign("x"), ValueError("x"), RecursionError("x"), MemoryError(), requests.RequestException("x"), OSError("x"),
     urllib3.exceptions.HTTPError("x"), ConnectionResetError(), UnicodeError("x"), AssertionError(), KeyError("x")],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("where", ["urlopen", "read"])
def test_whatever_the_library_raises_becomes_a_typed_sentence(serve, monkeypatch, error, where):
    def fail(*_args, **_settings):
        raise error

    server = serve(keep_answering)
    engine = RequestsEngine(Route.of(server.url, proxies={}))
    owner = urllib3.HTTPConnectionPool if where == "urlopen" else urllib3.HTTPResponse
    monkeypatch.setattr(owner, where, fail)
    with pytest.raises(UnavailableError) as caught:
        get(engine, server.url)
    assert caught.value.retryable
    assert str(caught.value).endswith(".")
    engine.close()


def test_libcurls_own_failure_fails_what_is_in_flight(serve, engine_of, engine_name, monkeypatch, capfd):
    if engine_name != "curl":
        pytest.skip("of libcurl only")
    engine = engine_of((server := serve(keep_answering)).url)

    def fail(*_args):
        raise OSError("no more file descriptors")

    with monkeypatch.context() as patch:
        patch.setattr(engine._waiting, "sockets", SimpleNamespace(register=fail, poll=lambda _: []))
        with pytest.raises(UnavailableError, match=r"The connection broke|within 1 s") as caught:
            get(engine, server.url, timeout=1)
    assert caught.value.retryable
    assert get(engine, server.url).status == 200
    assert "q-signature" not in capfd.readouterr().err


def test_answers_that_no_parser_survives_cost_their_own_row_only(wire, serve, engine_name, monkeypatch):
    """An error body of deeply nested JSON, and a parser that meets what nobody thought of."""

    def talk(sock, request, _):
        ids = wire.ids_of(request.split()[1].decode())
        if "deep" in ids:
            sock.sendall(answer(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, status=b"400 Bad Request"))
        else:
            sock.sendall(answer(wire.xml(ids).encode()))
        return True

    client = Client(**wire.BUCKET, **wire.KEYS, endpoint=serve(talk).url, engine=engine_name, patience=0.5)
    from cosai_nb.service import scheduler

    parse = scheduler.parse_jobs

    def fail(body, fields):
        if b"foreign" in body:
            raise Foreign("what nobody thought of")
        return parse(body, fields)

    monkeypatch.setattr(scheduler, "parse_jobs", fail)
    with pytest.warns(UserWarning, match="2 of 12"):
        jobs = fetch_jobs(
            [*(f"j{number}" for number in range(10)), "deep", "foreign"], client=client, progress=False
        )
    client.close()
    assert jobs["outcome"].tolist() == ["success"] * 10 + ["unread"] * 2
    assert jobs["error"].str.contains("HTTP 400").iloc[10]
    assert jobs["error"].str.contains("could not be read .Foreign").iloc[11]


# ---- signals


class Alarm(Exception):  # noqa: N818 - what a user's own handler raises
    pass


@pytest.fixture
def alarm():
    """Return what makes the user's own handler raise after so many seconds."""

    def ring(*_):
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


class Masked:
    """A repr that never fails, as of an object whose making was interrupted."""

    def __init__(self, thing):
        self.thing = thing

    def __repr__(self):
        try:
            return repr(self.thing)
        except Exception as error:  # noqa: BLE001
            return f"<{type(error).__name__}>"


def shown(error: BaseException | None) -> str:
    """What a verbose traceback prints: every frame with its locals, without those of this test, and contexts too."""
    if error is None:
        return ""
    frames = [
        frame for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename != __file__
    ]
    texts = [str(Masked(thing)) for frame in frames for thing in frame.f_locals.values()]
    return "\n".join([repr(error), *texts, shown(error.__cause__), shown(error.__context__)])


SECRETS = ("AKIDhidden", "KEYhidden", "TOKENhidden")


def test_an_exception_of_the_users_handler_in_the_middle_of_a_request_comes_through(
    serve, wire, engine_name, alarm
):
    def talk(sock, *_):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6000\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(6000):
                sock.sendall(b"x")
                time.sleep(0.001)

    keys = dict(zip(("secret_id", "secret_key", "token"), SECRETS, strict=True))
    client = Client(**wire.BUCKET, **keys, endpoint=serve(talk).url, engine=engine_name)
    for _ in range(5):
        alarm(0.1)
        began = time.monotonic()
        with pytest.raises(Alarm) as caught:
            describe_job("j1", client=client)
        assert time.monotonic() - began < 4
        assert not re.search("|".join([*SECRETS, "q-sign"]), shown(caught.value))
    client.close()


@pytest.mark.parametrize("what", ["describe_job", "list_queues", "fetch_jobs"])
def test_an_exception_of_the_users_handler_shows_no_secret_at_any_moment(wire, engine_name, alarm, what):
    keys = ("AKIDhidden", "KEYhidden")
    with Emulator(seed=3, scenario=Scenario(jobs=40), credentials=keys, token="TOKENhidden") as emulator:
        client = emulator.client(engine=engine_name)
        call = {
            "describe_job": lambda: describe_job(emulator.job_ids[0], client=client),
            "list_queues": lambda: list_queues(client=client),
            "fetch_jobs": lambda: fetch_jobs(emulator.job_ids, client=client, batch_size=2, progress=False),
        }[what]
        call()
        began = time.monotonic()
        call()
        took, chance, caught, text = time.monotonic() - began, random.Random(5), 0, ""
        for _ in range(60):
            try:
                alarm(chance.uniform(0.0001, took))
                call()
                alarm(0)
            except Exception as error:  # noqa: BLE001 - pyarrow 16 makes its own of one that comes in the middle of it
                caught += 1
                text += shown(error)
        assert caught > 3  # on a loaded machine many calls end before
        assert not re.search("|".join([*SECRETS, "q-sign"]), text)
        call()
        client.close()


@pytest.mark.parametrize("raised", [None, KeyboardInterrupt])
def test_the_users_handler_runs_soon_and_what_was_read_is_kept(engine_name, alarm, raised):
    rung = []

    def ring(*_):
        rung.append(time.monotonic())
        if raised:
            raise raised

    signal.signal(signal.SIGALRM, ring)
    with Emulator(seed=3, scenario=Scenario(jobs=60)) as emulator:
        client = emulator.client(engine=engine_name, rate=10.0)
        began = time.monotonic()
        alarm(0.6)
        with pytest.warns(UserWarning, match="interrupted") if raised else contextlib.nullcontext():
            jobs = fetch_jobs(emulator.job_ids, client=client, batch_size=2, progress=False)
        client.close()
    assert 0.6 <= rung[0] - began < 2.5  # all 30 requests take 3 s
    assert signal.getsignal(signal.SIGALRM) is ring
    read = (jobs["outcome"] != "unread").sum()
    assert (5 < read < 60) if raised else read == 60


# ---- fork


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_a_forked_child_opens_connections_of_its_own(serve, wire, engine_name, tls, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))

    def talk(sock, request, _):
        sock.sendall(answer(wire.xml(wire.ids_of(request.split()[1].decode())).encode()))
        return True

    server = serve(talk, tls)
    client = Client(**wire.BUCKET, **wire.KEYS, endpoint=server.url, engine=engine_name)
    began = time.monotonic()

    def works() -> bool:
        return describe_job("j1", client=client)["Response"]["JobsDetail"][0]["JobId"] == "j1"

    assert works()
    for child in (1, 2):
        pid = os.fork()
        if pid == 0:
            code = 1
            with contextlib.suppress(BaseException):
                code = 0 if works() and works() else 1
                client.close()
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert works()
        assert server.connections == 1 + child  # the parent's is still in use
    assert time.monotonic() - began < 20  # at the first try
    client.close()
