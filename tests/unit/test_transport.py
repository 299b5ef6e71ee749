"""The seam: one GET over a real socket, whatever the other side does with it."""

from __future__ import annotations

import contextlib
import gzip
import logging
import socket
import ssl
import struct
import threading
import time

import pytest
import requests
import urllib3

from cosai_nb.errors import DeniedError, MalformedError, OversizedError, SettingsError, UnavailableError
from cosai_nb.service.transport import RequestsTransport, _typed

HEADERS = {"Authorization": "q-sign-algorithm=sha1&q-signature=abc", "x-ci-security-token": "TOKEN"}
LIMIT = 2**20


def answer(body: bytes = b"<Response/>", head: bytes = b"", status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(body), head, body)


def fetch(url, *, timeout=5.0, max_bytes=LIMIT, transport=None, headers=HEADERS):
    transport = transport or RequestsTransport(url, proxies={})
    try:
        return transport.get(f"{url}/ai_jobs/j1", headers, timeout=timeout, max_bytes=max_bytes)
    finally:
        transport.close()


def reset(sock: socket.socket) -> None:
    """Close with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_a_get_with_exactly_these_headers(serve):
    server = serve(
        lambda sock, *_: sock.sendall(answer(b"<Response>hi</Response>", b"X-Ci-Request-Id: r1\r\n"))
    )
    reply = fetch(server.url)
    assert (reply.status, reply.body) == (200, b"<Response>hi</Response>")
    assert reply.headers["x-ci-request-id"] == reply.headers["X-CI-REQUEST-ID"] == "r1"
    first, *lines = server.requests[0].decode().rstrip().split("\r\n")
    assert first == "GET /ai_jobs/j1 HTTP/1.1"
    sent = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert sent == {
        "host": f"127.0.0.1:{server.port}",
        "accept-encoding": "identity",
        **{name.lower(): value for name, value in HEADERS.items()},
        **{name: sent[name] for name in ("user-agent", "connection") if name in sent},
    }


def test_an_error_status_is_a_reply(serve):
    server = serve(lambda sock, *_: sock.sendall(answer(b"no", status=b"503 Slow Down")))
    assert fetch(server.url)[::2] == (503, b"no")


@pytest.mark.parametrize(
    "status", [b"301 Moved", b"302 Found", b"303 See Other", b"307 Temporary", b"308 Permanent"]
)
def test_no_redirect_is_followed_and_no_token_goes_elsewhere(serve, status):
    elsewhere = serve(lambda sock, *_: sock.sendall(answer()))
    server = serve(
        lambda sock, *_: sock.sendall(answer(b"", b"Location: %b/x\r\n" % elsewhere.url.encode(), status))
    )
    reply = fetch(server.url)
    assert reply.status == int(status[:3])
    assert reply.headers["Location"] == f"{elsewhere.url}/x"
    assert elsewhere.connections == 0


def test_netrc_replaces_nothing(serve, tmp_path, monkeypatch):
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
    plain = requests.get(
        server.url, timeout=5, proxies={"http": ""}
    )  # the trap is real: requests itself falls for it
    assert plain.request.headers["Authorization"].startswith("Basic")


def test_cookies_are_not_kept(serve):
    def talk(sock, *_):
        sock.sendall(answer(head=b"Set-Cookie: a=b\r\n"))
        return True

    server = serve(talk)
    transport = RequestsTransport(server.url, proxies={})
    for _ in range(2):
        transport.get(server.url, HEADERS, timeout=5, max_bytes=LIMIT)
    transport.close()
    assert b"ookie" not in server.requests[1]


# ---- time


@pytest.mark.parametrize("where", ["status line", "headers", "body", "chunked body"])
def test_a_drip_fed_answer_ends_in_time(serve, where):
    start = {
        "status line": b"",
        "headers": b"HTTP/1.1 200 OK\r\n",
        "body": b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n",
        "chunked body": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n270f\r\n",
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


def test_many_short_headers_end_in_time_too(serve):
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


def test_silence_ends_in_time(serve):
    server = serve(lambda *_: time.sleep(5))
    began = time.monotonic()
    with pytest.raises(UnavailableError, match="No whole answer"):
        fetch(server.url, timeout=0.4)
    assert time.monotonic() - began < 4


def test_a_server_that_takes_no_connection_ends_in_time():
    """A full backlog drops what wants to connect, as a firewall does."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        time.sleep(0.1)
        began = time.monotonic()
        with pytest.raises(UnavailableError) as caught:
            fetch(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.5)
        assert time.monotonic() - began < 6
        assert caught.value.retryable


def test_each_try_has_its_own_time(serve):
    def talk(sock, *_):
        time.sleep(0.3)
        sock.sendall(answer())
        return True

    server = serve(talk)
    transport = RequestsTransport(server.url, proxies={})
    for _ in range(3):
        assert transport.get(server.url, HEADERS, timeout=0.8, max_bytes=LIMIT).status == 200
    transport.close()
    assert server.connections == 1


# ---- size


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_an_oversized_answer_is_left_at_the_limit(serve, framing):
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


def test_exactly_the_limit_is_read(serve):
    server = serve(lambda sock, *_: sock.sendall(answer(b"x" * LIMIT)))
    assert len(fetch(server.url).body) == LIMIT


def test_headers_without_end_are_refused(serve):
    def talk(sock, *_):
        sock.sendall(b"HTTP/1.1 200 OK\r\n")
        for number in range(10_000):
            sock.sendall(b"X-%d: %b\r\n" % (number, b"y" * 1000))

    with pytest.raises(UnavailableError):
        fetch(serve(talk).url)


# ---- cut, broken, compressed


def test_a_body_shorter_than_it_says(serve):
    server = serve(
        lambda sock, *_: sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<Response>")
    )
    with pytest.raises(MalformedError, match="cut") as caught:
        fetch(server.url)
    assert caught.value.retryable


def test_chunks_that_end_early(serve):
    server = serve(
        lambda sock, *_: sock.sendall(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n<Response>"
        )
    )
    with pytest.raises(MalformedError, match="cut") as caught:
        fetch(server.url)
    assert caught.value.retryable


def test_a_body_longer_than_it_says_is_not_the_next_answer(serve):
    def talk(sock, *_):
        sock.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n<Response/>HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        )
        return True

    server = serve(talk)
    transport = RequestsTransport(server.url, proxies={})
    bodies = [transport.get(server.url, HEADERS, timeout=5, max_bytes=LIMIT).body for _ in range(2)]
    transport.close()
    assert bodies == [b"<Response/>", b"<Response/>"]


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n<Resp"])
def test_a_reset_may_pass(serve, sent):
    def talk(sock, *_):
        sock.sendall(sent)
        time.sleep(0.1)
        reset(sock)

    with pytest.raises((UnavailableError, MalformedError)) as caught:
        fetch(serve(talk).url)
    assert caught.value.retryable


@pytest.mark.parametrize(
    "sent", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00\x01\x02", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_http_may_pass(serve, sent):
    with pytest.raises(UnavailableError) as caught:
        fetch(serve(lambda sock, *_: sock.sendall(sent)).url)
    assert caught.value.retryable


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"GZIP"])
def test_compression_that_was_not_asked_for_is_named(serve, encoding):
    body = gzip.compress(b"<Response/>" * 100_000)
    server = serve(lambda sock, *_: sock.sendall(answer(body, b"Content-Encoding: %b\r\n" % encoding)))
    with pytest.raises(MalformedError, match=rf"(?i){encoding.decode()}.*proxy"):
        fetch(server.url)


def test_identity_is_no_compression(serve):
    server = serve(lambda sock, *_: sock.sendall(answer(head=b"Content-Encoding: identity\r\n")))
    assert fetch(server.url).body == b"<Response/>"


# ---- connections


def test_connections_are_reused(serve):
    def talk(sock, *_):
        sock.sendall(answer())
        return True

    server = serve(talk)
    transport = RequestsTransport(server.url, proxies={})
    for _ in range(20):
        transport.get(server.url, HEADERS, timeout=5, max_bytes=LIMIT)
    transport.close()
    assert (server.connections, len(server.requests)) == (1, 20)


def test_a_connection_closed_between_two_requests_is_survived(serve):
    server = serve(
        lambda sock, *_: sock.sendall(answer())
    )  # keep-alive by its headers, and closed all the same
    transport = RequestsTransport(server.url, proxies={})
    for _ in range(5):
        assert transport.get(server.url, HEADERS, timeout=5, max_bytes=LIMIT).status == 200
        time.sleep(0.05)
    transport.close()
    assert server.connections == 5


def test_a_transport_works_after_close(serve):
    server = serve(lambda sock, *_: sock.sendall(answer()))
    transport = RequestsTransport(server.url, proxies={})
    transport.close()
    assert fetch(server.url, transport=transport).status == 200


def test_a_refused_connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UnavailableError, match="Connection refused") as caught:
        fetch(f"http://127.0.0.1:{port}")
    assert caught.value.retryable


def test_a_name_that_does_not_resolve(monkeypatch):
    def fail(*_args, **_kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(UnavailableError, match="could not be resolved: check bucket and region") as caught:
        fetch("http://demo-1.ci.ap-nowhere.example")
    assert caught.value.retryable


# ---- TLS


@pytest.fixture
def tls_server(serve, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))

    def talk(sock, *_):
        sock.sendall(answer())
        return True

    return serve(talk, context)


def test_a_certificate_that_nobody_vouches_for_is_loud(tls_server, monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DeniedError, match=r"TLS certificate.*Nothing was sent") as caught:
        fetch(tls_server.url)
    assert not caught.value.retryable
    assert tls_server.requests == []


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_bundle_of_the_environment_is_believed(tls_server, certificate, monkeypatch, name):
    for other in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, str(certificate))
    transport = RequestsTransport(tls_server.url, proxies={})
    for _ in range(3):
        assert transport.get(tls_server.url, HEADERS, timeout=5, max_bytes=LIMIT).status == 200
    transport.close()
    assert tls_server.connections == 1


def test_verify_is_switched_off_only_by_the_user(tls_server):
    transport = RequestsTransport(tls_server.url, proxies={}, verify=False)
    with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
        assert fetch(tls_server.url, transport=transport).status == 200


def test_a_certificate_for_another_name(tls_server, certificate):
    url = tls_server.url.replace("127.0.0.1", "localhost")
    with pytest.raises(DeniedError, match="certificate"):
        fetch(url, transport=RequestsTransport(url, proxies={}, verify=str(certificate)))


def test_drip_feeding_over_tls_ends_in_time(serve, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))

    def talk(sock, *_):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        for _ in range(100):
            sock.sendall(b"x")
            time.sleep(0.1)

    server = serve(talk, context)
    began = time.monotonic()
    with pytest.raises(UnavailableError, match="No whole answer"):
        fetch(
            server.url,
            timeout=0.6,
            transport=RequestsTransport(server.url, proxies={}, verify=str(certificate)),
        )
    assert time.monotonic() - began < 4


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


def test_plain_http_where_tls_was_expected_is_loud():
    with pytest.raises(DeniedError, match="No TLS connection") as caught:
        fetch(answer_hello(answer()))
    assert not caught.value.retryable


def test_a_connection_cut_in_the_handshake_may_pass():
    with pytest.raises(UnavailableError) as caught:
        fetch(answer_hello(b""))
    assert caught.value.retryable


def test_a_bundle_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(SettingsError, match=r"/nowhere/ca\.pem"):
        RequestsTransport("https://x")


# ---- proxies


def test_a_proxy_of_the_environment_is_used_and_its_login_is_wanted(serve, monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    proxy = serve(
        lambda sock, *_: sock.sendall(answer(b"login", status=b"407 Proxy Authentication Required"))
    )
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    assert fetch("http://ci.example", transport=RequestsTransport("http://ci.example")).status == 407
    with pytest.raises(DeniedError, match="HTTP 407") as caught:
        fetch("https://ci.example", transport=RequestsTransport("https://ci.example"))
    assert not caught.value.retryable
    assert proxy.requests[1].startswith(b"CONNECT ci.example:443")
    assert b"q-signature" not in proxy.requests[1]
    assert b"TOKEN" not in proxy.requests[1]


def test_a_proxy_that_is_overloaded_may_pass(serve):
    proxy = serve(lambda sock, *_: sock.sendall(answer(b"", status=b"503 Busy")))
    with pytest.raises(UnavailableError) as caught:
        fetch(
            "https://ci.example",
            transport=RequestsTransport("https://ci.example", proxies={"https": proxy.url}),
        )
    assert caught.value.retryable


def test_a_407_in_an_id_is_no_login(serve):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
    transport = RequestsTransport("http://ci.example", proxies={"http": proxy})
    with pytest.raises(UnavailableError):
        transport.get("http://ci.example/ai_jobs/a407", HEADERS, timeout=5, max_bytes=LIMIT)


def test_a_proxys_password_is_not_shown():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = f"http://user:hidden@127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(UnavailableError) as caught:
        fetch(
            "https://ci.example", transport=RequestsTransport("https://ci.example", proxies={"https": proxy})
        )
    assert "hidden" not in f"{caught.value!r} {caught.value.__context__} {caught.value.__cause__}"


# ---- what is said and logged


def test_no_error_holds_the_request(serve):
    server = serve(lambda sock, *_: reset(sock))
    with pytest.raises(UnavailableError) as caught:
        fetch(server.url)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    frames = caught.value.__traceback__
    while frames:
        assert "requests" not in frames.tb_frame.f_code.co_filename
        assert "urllib3" not in frames.tb_frame.f_code.co_filename
        frames = frames.tb_next


def test_an_interrupt_while_reading_leaves_the_request_behind(monkeypatch):
    transport = RequestsTransport("http://x", proxies={})

    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(transport._adapter, "send", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        transport.get("http://x", HEADERS, timeout=1, max_bytes=LIMIT)
    frames = []
    trace = caught.value.__traceback__
    while trace:
        frames.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert "interrupt" not in frames
    assert caught.value.__context__ is None


def test_the_log_of_urllib3_at_debug_holds_no_header(serve, caplog):
    caplog.set_level(logging.DEBUG)
    server = serve(lambda sock, *_: sock.sendall(answer()))
    fetch(server.url)
    assert "/ai_jobs/j1" in caplog.text  # it does log
    assert "TOKEN" not in caplog.text
    assert "q-signature" not in caplog.text


def test_any_failure_of_the_engine_becomes_a_typed_sentence():
    for error in (
        requests.RequestException("x"),
        urllib3.exceptions.HTTPError("x"),
        OSError("x"),
        ConnectionResetError(),
    ):
        failure = _typed(error, 1.0)
        assert failure.retryable
        assert str(failure).endswith(".")
