"""GETs by requests and urllib3, each in a thread of a small pool: the engine of a plain installation.

A ``requests.Session`` would read ``~/.netrc``, follow redirects and keep cookies; each of these could replace or leak the
signature, and together they cost three quarters of a request's time. So only requests' adapter is used, for its rules of
proxies and CA bundles, and its urllib3 pool is asked directly.

Socket timeouts start anew with every byte, and name look-ups have none. So the time of a request is kept by the thread
that collects: when it is over, the request has failed, whatever its own thread is doing, and its socket is shut down.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Timeout
from urllib3.exceptions import HTTPError, IncompleteRead

from cosai_nb.errors import CosaiError, SettingsError
from cosai_nb.service import engine
from cosai_nb.service.engine import Failure, Reply, Route

if TYPE_CHECKING:
    from cosai_nb.service.credentials import Headers
    from cosai_nb.service.engine import Collected

_IDLE_S = 0.5  # after which a thread without work ends
_TLS_CUT = (ssl.SSLEOFError, ssl.SSLZeroReturnError)  # a broken connection, not a refused one
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
_here = threading.local()  # .task: what the present thread is asking


@dataclass(slots=True, eq=False, repr=False)
class _Task:
    """One GET in flight; ``connection`` is set while it holds one."""

    key: Any
    target: str
    headers: Headers
    timeout: float
    max_bytes: int
    until: float
    body: bytes | None = None
    received: int = 0  # bytes, whatever the framing says of their number
    connection: Any = None
    connected: bool = False
    is_kept: bool = False


class RequestsEngine:
    """An :class:`Engine` of threads.

    Parameters
    ----------
    route : Route
        How the service is reached.

    Raises
    ------
    SettingsError
        Where the proxy speaks SOCKS and requests cannot.
    """

    def __init__(self, route: Route) -> None:
        self._route = route
        self._todo: SimpleQueue[_Task] = SimpleQueue()
        self._finished: SimpleQueue[tuple[_Task, Reply | CosaiError]] = SimpleQueue()
        self._flying: set[_Task] = set()
        self._lock = threading.Lock()
        self._threads = self._busy = 0
        self._open()

    def _open(self) -> None:
        route, adapter = self._route, HTTPAdapter(pool_maxsize=engine.MAX_CONNECTIONS)
        request = requests.PreparedRequest()
        request.method, request.url, request.headers = "GET", f"{route.url}/", {}  # type: ignore[assignment]  # enough here
        proxies = {urlsplit(route.url).scheme: route.proxy} if route.proxy else {}
        try:
            pool: Any = adapter.get_connection_with_tls_context(request, route.verify, proxies=proxies)
        except requests.exceptions.InvalidSchema:
            raise SettingsError(
                f"The proxy for {route.url} speaks SOCKS, which requests cannot by itself: pip install 'requests[socks]', or "
                "the engine with 'cosai_nb[fast]'."
            ) from None
        adapter.cert_verify(pool, route.url, route.verify, None)  # type: ignore[no-untyped-call]
        pool.ConnectionCls = type("Connection", (_Counted, pool.ConnectionCls), {})
        self._pool = pool
        # a plain proxy is told the whole address, a tunnel only the path
        whole = adapter.request_url(request, proxies) != "/"
        self._prefix = route.url if whole else ""
        self._proxy_headers = adapter.proxy_headers(route.proxy) if route.proxy and whole else {}

    def start(
        self,
        key: Any,
        url: str,
        headers: Headers,
        *,
        timeout: float,
        max_bytes: int,
        body: bytes | None = None,
    ) -> None:
        """Begin a GET, or a POST of a body; see :class:`Engine`."""
        target = self._prefix + url.removeprefix(self._route.url)
        task = _Task(key, target, headers, timeout, max_bytes, time.monotonic() + timeout, body)
        self._flying.add(task)
        with self._lock:
            self._todo.put(task)
            self._busy += 1
            spawn = self._busy > self._threads
            self._threads += spawn
        if spawn:
            try:
                threading.Thread(target=self._work, name=f"cosai-{self._threads}", daemon=True).start()
            except RuntimeError:  # the system allows no more; those at work will take it, where there are any
                with self._lock:
                    self._threads -= 1
                if not self._threads:
                    failed = Failure.NO_CONNECTION.error("this machine starts no further thread")
                    self._finished.put((task, failed))

    def collect(self, seconds: float) -> Collected:
        """Return what has finished; see :class:`Engine`."""
        now = time.monotonic()
        earliest = min((task.until for task in self._flying), default=now)
        collected: Collected = []
        wait: float | None = max(0.0, min(seconds, earliest - now))
        with contextlib.suppress(Empty):
            while True:
                task, came = self._finished.get(timeout=wait) if wait else self._finished.get_nowait()
                wait = None
                if task in self._flying:
                    self._flying.remove(task)
                    collected.append((task.key, came))
        now = time.monotonic()
        if earliest <= now:
            for task in [task for task in self._flying if task.until <= now]:
                self._drop(task)
                collected.append((task.key, Failure.LATE.error(task.timeout)))
        return collected

    def close(self) -> None:
        """Drop what is in flight; see :class:`Engine`."""
        for task in [*self._flying]:
            self._drop(task)
        self._pool.close()
        self._open()

    def _drop(self, task: _Task) -> None:
        """Forget a task and shut its socket down, so that its thread comes free."""
        self._flying.discard(task)
        with contextlib.suppress(OSError, AttributeError):
            task.connection.sock.shutdown(socket.SHUT_RDWR)

    def _work(self) -> None:
        """Ask for task after task, until there is none for a while."""
        while True:
            try:
                task = self._todo.get(timeout=_IDLE_S)
            except Empty:
                with self._lock:
                    if self._todo.empty():
                        self._threads -= 1
                        return
                continue
            came = self._outcome(task)
            with self._lock:
                self._busy -= 1
            self._finished.put((task, came))

    def _outcome(self, task: _Task) -> Reply | CosaiError:
        """Ask, and again free of charge while kept connections turn out to be closed before they brought a byte."""
        if task not in self._flying:
            return Failure.LATE.error(task.timeout)
        _here.task = task
        try:
            while True:
                try:
                    return self._exchange(task)
                except HTTPError:
                    if task.received or not task.is_kept or time.monotonic() >= task.until:
                        raise
        except Exception as error:  # noqa: BLE001 - an answer may make the library raise anything
            return _typed(error, task)
        finally:
            task.connection = _here.task = None

    def _exchange(self, task: _Task) -> Reply | CosaiError:
        task.connected = task.is_kept = False
        left = max(task.until - time.monotonic(), 0.001)
        response = self._pool.urlopen(
            "GET" if task.body is None else "POST",
            task.target,
            body=task.body,
            headers={**task.headers, "Accept-Encoding": "identity", **self._proxy_headers},
            redirect=False,
            retries=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
            timeout=Timeout(connect=min(left, engine.CONNECT_TIMEOUT_S), read=left),
        )
        body = bytearray()
        try:
            if response.status < 200:  # noqa: PLR2004 - HTTP's range: the answer comes later, as if of the next request
                return Failure.BROKEN.error(f"HTTP {response.status} in place of an answer")
            while chunk := response.read(65536, decode_content=False):
                body += chunk
                if len(body) > task.max_bytes:
                    return Failure.TOO_LARGE.error(task.max_bytes)
            task.connection = None  # from here on it is another's
            response.release_conn()
        finally:
            response.close()  # and its connection, where that was not released
        headers = {name.lower(): text for name, text in response.headers.items()}
        return engine.reply_of(response.status, headers, bytes(body))


class _CountedReader(io.RawIOBase):
    """Counts what is read for the present task."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count: int | None = self._raw.readinto(buffer)
        task: _Task = _here.task
        task.received += count or 0
        if task.received > task.max_bytes + engine.MAX_HEADER_BYTES:
            raise Failure.TOO_LARGE.error(task.max_bytes)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer whose bytes are counted."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fp = io.BufferedReader(_CountedReader(self.fp.detach()))


class _Counted:
    """Mixed into urllib3's connections: counted answers, no debug output, and the task that holds them."""

    debuglevel = 0  # whatever somebody sets on http.client, no header is printed
    response_class = _Response
    sock: Any

    def connect(self) -> None:
        task: _Task = _here.task
        task.connection, task.connected, task.is_kept = self, False, False
        super().connect()  # type: ignore[misc]  # mixed in
        task.connected = True

    def request(self, *args: Any, **kwargs: Any) -> None:
        task: _Task = _here.task
        task.connection = self
        if self.sock is not None and not task.connected:
            task.connected = task.is_kept = True
        super().request(*args, **kwargs)  # type: ignore[misc]  # mixed in


def _typed(error: Exception, task: _Task) -> CosaiError:
    """Turn a failure of the library into a sentence; the original text holds addresses and object reprs only."""
    chain = _chain(error)
    if found := next((link for link in chain if isinstance(link, CosaiError)), None):
        return found.with_traceback(None)
    if any(isinstance(link, TimeoutError) or "timed out" in str(link) for link in chain):
        return Failure.LATE.error(
            task.timeout if task.connected else min(task.timeout, engine.CONNECT_TIMEOUT_S)
        )
    if task.connected:
        cut = any(isinstance(link, IncompleteRead | http.client.IncompleteRead) for link in chain)
        return Failure.CUT.error() if cut else Failure.BROKEN.error(_brief(error))
    if any(isinstance(link, ssl.SSLCertVerificationError) for link in chain):
        return Failure.CERTIFICATE.error(_brief(error))
    if any(isinstance(link, ssl.SSLError) and not isinstance(link, _TLS_CUT) for link in chain):
        return Failure.TLS.error(_brief(error))
    if tunnel := next(filter(None, (_TUNNEL.match(str(link)) for link in chain)), None):
        if tunnel[1] < "5":
            return Failure.PROXY.error(tunnel[1])
        return Failure.NO_CONNECTION.error(f"the proxy answered HTTP {tunnel[1]}")
    if any(isinstance(link, socket.gaierror) for link in chain):
        return Failure.NAME.error()
    return Failure.NO_CONNECTION.error(_brief(error))


def _chain(error: BaseException) -> list[BaseException]:
    """Return the error with everything that it wraps, by cause, context, ``reason`` or argument."""
    found: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        link = todo.pop()
        if isinstance(link, BaseException) and link not in found:
            found.append(link)
            todo += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
    return found


def _brief(error: BaseException) -> str:
    innermost = next((link for link in _chain(error) if isinstance(link, OSError) and link.strerror), error)
    return getattr(innermost, "strerror", None) or type(innermost).__name__
