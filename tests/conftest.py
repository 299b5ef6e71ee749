"""What the tests of the wire share: a clock that only waiting moves, and an engine that answers from a function."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import socket
import subprocess
import threading
from queue import Empty, SimpleQueue
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings as hypothesis_settings

from cosai_nb.errors import CosaiError
from cosai_nb.service.client import Client, Clock
from cosai_nb.service.engine import Reply

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

# a slow minute is no failure; new examples are looked for at a desk, and not where a change waits to land
hypothesis_settings.register_profile(
    "shared machines", deadline=None, derandomize=bool(os.environ.get("CI_RUN"))
)
hypothesis_settings.load_profile("shared machines")

KEYS = {"secret_id": "AKIDEXAMPLE", "secret_key": "SECRETEXAMPLE"}
BUCKET = {"bucket": "test-1234567890", "region": "ap-beijing"}
DATE = "Tue, 14 Nov 2023 22:14:20 GMT"


@pytest.fixture(autouse=True)
def _ctrl_c_interrupts() -> None:
    """A shell starts what it puts in the background with SIGINT ignored; the tests of Ctrl-C need it heard."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark notebooks: nbval collects them, and no decorator can stand in them."""
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.notebook)


class FakeTime:
    """Seconds that pass only while somebody waits; every wait is written down."""

    def __init__(self, epoch: float = 1_700_000_060.0, chance: float = 1.0) -> None:
        self.now = 0.0
        self.epoch = epoch
        self.chance = chance
        self.waits: list[float] = []
        self.clock = Clock(lambda: self.now, lambda: self.epoch + self.now, self._sleep, lambda: self.chance)

    def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


class FakeEngine:
    """Answers each GET by ``answer(url, headers)``, a Reply or an exception; ``asked`` holds what came.

    With ``threads`` each answer is made in a thread of its own, so that it may take its time.
    """

    def __init__(self, answer: Callable[[str, Any], Any], *, threads: bool = False) -> None:
        self.answer, self._threads = answer, threads
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.limits: list[tuple[float, int]] = []
        self.in_flight = self.most_in_flight = 0
        self._came: SimpleQueue[tuple[Any, Any]] = SimpleQueue()

    def start(self, key: Any, url: str, headers: Any, *, timeout: float, max_bytes: int) -> None:
        self.asked.append((url, dict(headers)))
        self.limits.append((timeout, max_bytes))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if self._threads:
            threading.Thread(target=self._answer, args=(key, url, headers), daemon=True).start()
        else:
            self._answer(key, url, headers)

    def _answer(self, key: Any, url: str, headers: Any) -> None:
        answer = self.answer(url, headers)
        if isinstance(answer, BaseException) and not isinstance(answer, CosaiError):
            raise answer
        self._came.put((key, answer))

    def collect(self, seconds: float) -> list[tuple[Any, Any]]:
        collected = []
        with contextlib.suppress(Empty):
            collected.append(self._came.get(timeout=seconds if self._threads else 0))
            while True:
                collected.append(self._came.get_nowait())
        self.in_flight -= len(collected)
        return collected

    def close(self) -> None:
        self._came, self.in_flight = SimpleQueue(), 0


def reply(status: int = 200, body: bytes | str = b"", **headers: str) -> Reply:
    fields = {"Date": DATE, **headers}
    lower = {name.replace("_", "-").lower(): text for name, text in fields.items()}
    return Reply(status, lower, body.encode() if isinstance(body, str) else body)


def fault(status: int, code: str, message: str = "", **headers: str) -> Reply:
    text = f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>req-1</RequestId></Error>"
    return reply(status, text, **headers)


def xml(jobs: Iterable[str] = (), unknown: Iterable[str] = ()) -> str:
    details = (f"<JobsDetail><JobId>{job_id}</JobId><State>Success</State></JobsDetail>" for job_id in jobs)
    missing = (f"<NonExistJobIds>{job_id}</NonExistJobIds>" for job_id in unknown)
    return f"<Response>{''.join(details)}{''.join(missing)}</Response>"


def ids_of(url: str) -> list[str]:
    return url.rpartition("/")[2].split("%2C")


def client_of(answer: Callable[[str, Any], Any], *, threads: bool = False, **settings: Any) -> Client:
    """Return a client whose ``fake`` is a FakeEngine, and whose time is faked unless a clock is given."""
    engine = FakeEngine(answer, threads=threads)
    client = Client(**{**BUCKET, **KEYS, "clock": FakeTime().clock, "engine": engine, **settings})
    client.fake = engine  # type: ignore[attr-defined]  # for the test's eyes
    return client


def workers_have_ended() -> bool:
    """Return whether every worker thread ends; on a busy machine one that was told to may take a moment."""
    workers = [thread for thread in threading.enumerate() if re.match(r"cosai-\d", thread.name)]
    for worker in workers:
        worker.join(timeout=10)
    return not any(worker.is_alive() for worker in workers)


class RawServer:
    """A socket on loopback whose ``talk(sock, request, number)`` sends what it likes; True keeps the connection."""

    def __init__(
        self, talk: Callable[[socket.socket, bytes, int], object], tls: ssl.SSLContext | None = None
    ) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._talk, self._tls, self._open = talk, tls, []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                self._open.append(sock)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True)
            keep, request = True, b""
            while keep:
                while b"\r\n\r\n" not in request:
                    if not (more := sock.recv(65536)):
                        return
                    request += more
                self.requests.append(request)
                keep, request = self._talk(sock, request, len(self.requests)) is True, b""

    def close(self) -> None:
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.close()


@pytest.fixture
def serve():
    """Return what starts a RawServer that ends with the test."""
    servers: list[RawServer] = []

    def start(
        talk: Callable[[socket.socket, bytes, int], object], tls: ssl.SSLContext | None = None
    ) -> RawServer:
        servers.append(RawServer(talk, tls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(params=["requests", "curl"])
def engine_name(request):
    """Each engine in turn."""
    if request.param == "curl" and importlib.util.find_spec("pycurl") is None:
        pytest.skip("pycurl is not installed")
    return request.param


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """Make a self-signed certificate for 127.0.0.1; returns its path, the key beside it as ``key.pem``."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
               "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]  # fmt: skip
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no certificate without the openssl command: {error}")
    return folder / "cert.pem"


@pytest.fixture(scope="session")
def wire() -> SimpleNamespace:
    """Everything above, for modules that importlib mode keeps from importing each other."""
    return SimpleNamespace(
        FakeTime=FakeTime,
        FakeEngine=FakeEngine,
        KEYS=KEYS,
        BUCKET=BUCKET,
        reply=reply,
        fault=fault,
        xml=xml,
        ids_of=ids_of,
        client_of=client_of,
        workers_have_ended=workers_have_ended,
    )
