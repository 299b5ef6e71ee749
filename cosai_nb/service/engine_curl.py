"""GETs by libcurl's multi interface, all in the calling thread: the fast engine, where pycurl is installed."""

from __future__ import annotations

import contextlib
import math
import os
import select
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import certifi
import pycurl

from cosai_nb.service import engine
from cosai_nb.service.engine import Failure, Reply, Route
from cosai_nb.service.parsing import head

if TYPE_CHECKING:
    from cosai_nb.errors import CosaiError
    from cosai_nb.service.credentials import Headers
    from cosai_nb.service.engine import Collected

_CERTIFICATE = {pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT_BADFILE, pycurl.E_SSL_ISSUER_ERROR}
_QUICK_EXIT = 322  # CURLOPT_QUICK_EXIT, which pycurl has no name for
_ASKED = (0, select.POLLIN, select.POLLOUT, select.POLLIN | select.POLLOUT)  # by libcurl's own bits
_CLOSE_S = 0.2  # how long closing may hold up the caller
_CUT_IN_HANDSHAKE = ("SYSCALL", "ZERO_RETURN", "eof", "reset", "closed", "failure:", ":00000000:")


class _Transfer:
    """One easy handle, used again and again."""

    __slots__ = ("body", "curl", "head", "key", "max_bytes", "timeout", "timeout_ms", "until")

    def __init__(self, curl: pycurl.Curl) -> None:
        self.curl, self.key, self.head, self.body = curl, None, bytearray(), bytearray()
        self.max_bytes = self.timeout_ms = 0
        self.timeout = self.until = 0.0
        curl.setopt(pycurl.HEADERFUNCTION, self._take_header)
        curl.setopt(pycurl.WRITEFUNCTION, self._write)

    def _take_header(self, line: bytes) -> int | None:
        self.head += line
        return (
            0 if len(self.head) > engine.MAX_HEADER_BYTES else None
        )  # 0, fewer than came, ends the transfer

    def _write(self, chunk: bytes) -> int | None:
        self.body += chunk
        return 0 if len(self.body) > self.max_bytes else None

    def start(self, key: Any, url: str, headers: Headers, timeout: float, max_bytes: int) -> None:
        self.key, self.timeout, self.max_bytes = key, timeout, max_bytes
        self.until = time.monotonic() + timeout
        self.head, self.body = bytearray(), bytearray()
        curl, timeout_ms = self.curl, max(1, int(timeout * 1000))
        curl.setopt(pycurl.URL, url)
        lines = [f"{name}: {text}" for name, text in headers.items()]
        curl.setopt(pycurl.HTTPHEADER, ["Accept-Encoding: identity", *lines])
        if timeout_ms != self.timeout_ms:  # an option that stays costs time all the same
            self.timeout_ms = timeout_ms
            curl.setopt(pycurl.TIMEOUT_MS, timeout_ms)
            curl.setopt(pycurl.FRESH_CONNECT, 0)

    def asks_again(self) -> bool:
        """Prepare for a connection of its own where kept ones were closed before a byte came; libcurl tries five."""
        kept = self.curl.getinfo(pycurl.REQUEST_SIZE) > 0 and self.curl.getinfo(pycurl.NUM_CONNECTS) == 0
        left = self.until - time.monotonic()
        if self.head or not kept or left <= 0:
            return False
        self.curl.setopt(pycurl.FRESH_CONNECT, 1)
        self.curl.setopt(pycurl.TIMEOUT_MS, max(1, int(left * 1000)))
        self.timeout_ms = 0  # the next start sets both anew
        return True

    def reply(self) -> Reply | CosaiError:
        head = self.head.decode("latin-1")
        last = head[head.rfind("\nHTTP/") + 1 :]  # before it stand a proxy's, or those of 100 Continue
        pairs = [line.partition(":") for line in last.split("\n")]
        headers = {name.strip().lower(): text.strip() for name, colon, text in pairs if colon}
        return engine.reply_of(self.curl.getinfo(pycurl.RESPONSE_CODE), headers, bytes(self.body))

    def failure(self, code: int, message: str) -> CosaiError:
        """Return the error for one of libcurl's codes."""
        if len(self.head) > engine.MAX_HEADER_BYTES or len(self.body) > self.max_bytes:
            return Failure.TOO_LARGE.error(self.max_bytes)
        connected = self.curl.getinfo(pycurl.REQUEST_SIZE) > 0  # bytes of requests sent, CONNECT not counted
        if code == pycurl.E_OPERATION_TIMEDOUT:
            return Failure.LATE.error(
                self.timeout if connected else min(self.timeout, engine.CONNECT_TIMEOUT_S)
            )
        number = self.curl.getinfo(pycurl.OS_ERRNO) if code == pycurl.E_COULDNT_CONNECT else 0
        # it may quote a proxy's login before "@", and the other side's own text in brackets
        said = "" if "@" in message else head(message.partition(" (")[0], limit=100)
        brief = os.strerror(number) if number else said or f"curl {code}"
        if connected:
            return Failure.CUT.error() if code == pycurl.E_PARTIAL_FILE else Failure.BROKEN.error(brief)
        if code in _CERTIFICATE:
            return Failure.CERTIFICATE.error(brief)
        if code == pycurl.E_SSL_CONNECT_ERROR:
            cut = any(word in message for word in _CUT_IN_HANDSHAKE)
            return Failure.NO_CONNECTION.error(brief) if cut else Failure.TLS.error(brief)
        tunnel: int = self.curl.getinfo(pycurl.HTTP_CONNECTCODE)
        if 400 <= tunnel < 500:  # noqa: PLR2004 - HTTP's range
            return Failure.PROXY.error(tunnel)
        if code == pycurl.E_COULDNT_RESOLVE_HOST:
            return Failure.NAME.error()
        return Failure.NO_CONNECTION.error(brief)


class _Waiting:
    """What libcurl waits for: sockets, and a moment.

    poll() is told of a socket without a system call; libcurl takes each back after every answer.
    """

    def __init__(self) -> None:
        self.sockets = select.poll()
        self.until: float | None = None

    def watch(self, event: int, number: int, _multi: object, _data: object) -> None:
        if event != pycurl.POLL_REMOVE:
            self.sockets.register(number, _ASKED[event])
            return
        with contextlib.suppress(KeyError):  # never watched
            self.sockets.unregister(number)

    def ready(self, seconds: float) -> list[tuple[int, int]]:
        """Wait, and return sockets with what happened to them, in libcurl's bits: 1 to read, 2 to write."""
        happened = self.sockets.poll(math.ceil(1000 * max(0.0, seconds)))
        return [
            (number, bool(bits & ~select.POLLOUT) + 2 * bool(bits & select.POLLOUT))
            for number, bits in happened
        ]

    def set_timer(self, milliseconds: int) -> None:
        self.until = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000


class CurlEngine:
    """An :class:`~cosai_nb.service.engine.Engine` of one thread.

    Parameters
    ----------
    route : Route
        How the service is reached.
    """

    def __init__(self, route: Route) -> None:
        self._route = route
        self._open()

    def _open(self) -> None:
        self._waiting = _Waiting()
        self._flying: dict[pycurl.Curl, _Transfer] = {}
        self._free: list[_Transfer] = []
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, engine.MAX_CONNECTIONS)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._waiting.watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._waiting.set_timer)

    def start(self, key: Any, url: str, headers: Headers, *, timeout: float, max_bytes: int) -> None:
        """Begin a GET; see :class:`~cosai_nb.service.engine.Engine`."""
        transfer = self._free.pop() if self._free else _Transfer(self._new_handle())
        transfer.start(key, url, headers, timeout, max_bytes)
        self._flying[transfer.curl] = transfer
        self._multi.add_handle(transfer.curl)

    def collect(self, seconds: float) -> Collected:
        """Return what has finished; see :class:`~cosai_nb.service.engine.Engine`."""
        try:
            return self._collect(seconds)
        except pycurl.error as error:  # of libcurl's own state, which no single GET brought on
            failed = Failure.BROKEN.error(f"curl {error.args[0]}")
            collected: Collected = [(each.key, failed) for each in self._flying.values()]
            self.close()
            return collected

    def _collect(self, seconds: float) -> Collected:
        until, waiting = time.monotonic() + seconds, self._waiting
        while True:
            now = time.monotonic()
            if waiting.until is not None and waiting.until <= now:
                waiting.until = None
                self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
                if collected := self._finished():  # a quick answer, of which no socket will tell any more
                    return collected
            wait = min(until, waiting.until or until) - now
            for number, events in waiting.ready(wait):
                self._multi.socket_action(number, events)
            collected = self._finished()
            if collected or not self._flying or time.monotonic() >= until:
                return collected

    def close(self) -> None:
        """Drop what is in flight; see :class:`~cosai_nb.service.engine.Engine`."""
        for curl in self._flying:
            self._multi.remove_handle(curl)
            curl.close()
        for transfer in self._free:
            transfer.curl.close()
        # libcurl waits for name look-ups to end, which may be long after their requests were given up
        closing = threading.Thread(target=self._multi.close, daemon=True)
        closing.start()
        closing.join(_CLOSE_S)
        self._open()

    def _finished(self) -> Collected:
        collected: Collected = []
        more = 1
        while more:
            more, good, bad = self._multi.info_read()
            for curl, code, message in [*((curl, 0, "") for curl in good), *bad]:
                transfer = self._flying[curl]
                self._multi.remove_handle(curl)
                if code and transfer.asks_again():
                    self._multi.add_handle(curl)
                    continue
                came = transfer.failure(code, message) if code else transfer.reply()
                collected.append((transfer.key, came))
                self._free.append(self._flying.pop(curl))
        return collected

    def _new_handle(self) -> pycurl.Curl:
        """Return a handle with everything that is the same for all requests."""
        curl, verify = pycurl.Curl(), self._route.verify
        peer, host = (0, 0) if verify is False else (1, 2)
        bundle = verify if isinstance(verify, str) else certifi.where()
        file, folder = (None, bundle) if Path(bundle).is_dir() else (bundle, None)
        for option, value in (
            (pycurl.NOSIGNAL, 1),
            (pycurl.FOLLOWLOCATION, 0),
            (pycurl.NETRC, pycurl.NETRC_IGNORED),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
            (pycurl.HTTP_CONTENT_DECODING, 0),
            (pycurl.PATH_AS_IS, 1),  # as it was signed
            (pycurl.CONNECTTIMEOUT_MS, int(engine.CONNECT_TIMEOUT_S * 1000)),
            (pycurl.PROXY, self._route.proxy or ""),
            (pycurl.NOPROXY, ""),  # the environment's exceptions are read already
            *((name, peer) for name in (pycurl.SSL_VERIFYPEER, pycurl.PROXY_SSL_VERIFYPEER)),
            *((name, host) for name in (pycurl.SSL_VERIFYHOST, pycurl.PROXY_SSL_VERIFYHOST)),
            *((name, file) for name in (pycurl.CAINFO, pycurl.PROXY_CAINFO)),
            *((name, folder) for name in (pycurl.CAPATH, pycurl.PROXY_CAPATH)),
        ):
            curl.setopt(option, value)
        with contextlib.suppress(pycurl.error):  # libcurl 7.87
            curl.setopt(_QUICK_EXIT, 1)  # else a request that was given up waits for its name look-up
        return curl
