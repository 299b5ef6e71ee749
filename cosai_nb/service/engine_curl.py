"""GETs by libcurl's multi interface, all in the calling thread: the fast engine, where pycurl is installed."""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import certifi
import pycurl

from cosai_nb.service.engine import (
    CONNECT_TIMEOUT_S,
    MAX_CONNECTIONS,
    MAX_HEADER_BYTES,
    Failure,
    Reply,
    Route,
    reply_of,
)
from cosai_nb.service.parsing import head

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cosai_nb.errors import CosaiError

_CERTIFICATE = {pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT_BADFILE, pycurl.E_SSL_ISSUER_ERROR}
_QUICK_EXIT = 322  # CURLOPT_QUICK_EXIT, which pycurl has no name for
_CLOSE_S = 0.2  # how long closing may hold up the caller
_CUT_IN_HANDSHAKE = ("SYSCALL", "ZERO_RETURN", "eof", "reset", "closed", "failure:", ":00000000:")


class _Transfer:
    """One easy handle, used again and again."""

    __slots__ = ("body", "curl", "key", "left", "max_bytes", "received", "timeout", "until")

    def __init__(self, curl: pycurl.Curl) -> None:
        self.curl, self.key, self.body, self.received = curl, None, bytearray(), [b""]
        self.max_bytes = self.left = 0
        self.timeout = self.until = 0.0
        curl.setopt(pycurl.HEADERFUNCTION, self._take_header)
        curl.setopt(pycurl.WRITEFUNCTION, self._write)

    def _take_header(self, line: bytes) -> int | None:
        self.received.append(line)
        self.left -= len(line)
        return None if self.left >= 0 else 0  # fewer than came, which ends the transfer

    def _write(self, chunk: bytes) -> int | None:
        self.body += chunk
        self.left -= len(chunk)
        return None if len(self.body) <= self.max_bytes and self.left >= 0 else 0

    def start(self, key: Any, url: str, headers: Mapping[str, str], timeout: float, max_bytes: int) -> None:
        self.key, self.timeout, self.max_bytes = key, timeout, max_bytes
        self.left = max_bytes + MAX_HEADER_BYTES
        self.until = time.monotonic() + timeout
        self.body = bytearray()
        self.received.clear()
        self.curl.setopt(pycurl.URL, url)
        self.curl.setopt(
            pycurl.HTTPHEADER,
            ["Accept-Encoding: identity", *(f"{name}: {text}" for name, text in headers.items())],
        )
        self.curl.setopt(pycurl.TIMEOUT_MS, max(1, int(timeout * 1000)))
        self.curl.setopt(pycurl.FRESH_CONNECT, 0)

    def is_stale(self) -> bool:
        """Return whether kept connections were closed before one brought a byte; libcurl itself tries five of them."""
        kept = self.curl.getinfo(pycurl.REQUEST_SIZE) > 0 and self.curl.getinfo(pycurl.NUM_CONNECTS) == 0
        return kept and not self.received and time.monotonic() < self.until

    def start_afresh(self) -> None:
        """Ask again by a connection of its own, in the time that is left."""
        self.curl.setopt(pycurl.FRESH_CONNECT, 1)
        self.curl.setopt(pycurl.TIMEOUT_MS, max(1, int((self.until - time.monotonic()) * 1000)))

    def reply(self) -> Reply | CosaiError:
        headers: dict[str, str] = {}
        for line in self.received:
            if line.startswith(b"HTTP/"):
                headers.clear()  # of a proxy, or of 100 Continue
            name, colon, text = line.decode("latin-1").partition(":")
            if colon:
                headers[name.strip().lower()] = text.strip()
        return reply_of(self.curl.getinfo(pycurl.RESPONSE_CODE), headers, bytes(self.body))

    def failure(self, code: int, message: str) -> CosaiError:
        """Return the error for one of libcurl's codes."""
        if self.left < 0 or len(self.body) > self.max_bytes:
            return Failure.TOO_LARGE.error(self.max_bytes)
        connected = self.curl.getinfo(pycurl.REQUEST_SIZE) > 0  # bytes of requests sent, CONNECT not counted
        if code == pycurl.E_OPERATION_TIMEDOUT:
            return Failure.LATE.error(self.timeout if connected else min(self.timeout, CONNECT_TIMEOUT_S))
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
        return (
            Failure.NAME.error()
            if code == pycurl.E_COULDNT_RESOLVE_HOST
            else Failure.NO_CONNECTION.error(brief)
        )


def _close(multi: pycurl.CurlMulti, sockets: selectors.BaseSelector) -> None:
    multi.close()
    sockets.close()


class _Waiting:
    """What libcurl waits for: sockets, and a moment."""

    def __init__(self) -> None:
        self.sockets = selectors.DefaultSelector()
        self.until: float | None = None

    def watch(self, event: int, number: int, _multi: object, _data: object) -> None:
        known = number in self.sockets.get_map()
        if event == pycurl.POLL_REMOVE:
            if known:
                self.sockets.unregister(number)
            return
        events = (selectors.EVENT_READ if event & pycurl.POLL_IN else 0) | (
            selectors.EVENT_WRITE if event & pycurl.POLL_OUT else 0
        )
        (self.sockets.modify if known else self.sockets.register)(number, events)

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
        self._multi.setopt(pycurl.M_MAXCONNECTS, MAX_CONNECTIONS)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._waiting.watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._waiting.set_timer)

    def start(
        self, key: Any, url: str, headers: Mapping[str, str], *, timeout: float, max_bytes: int
    ) -> None:
        """Begin a GET; see :class:`~cosai_nb.service.engine.Engine`."""
        transfer = self._free.pop() if self._free else _Transfer(self._new_handle())
        transfer.start(key, url, headers, timeout, max_bytes)
        self._flying[transfer.curl] = transfer
        self._multi.add_handle(transfer.curl)

    def collect(self, seconds: float) -> list[tuple[Any, Reply | CosaiError]]:
        """Return what has finished; see :class:`~cosai_nb.service.engine.Engine`."""
        try:
            return self._collect(seconds)
        except pycurl.error as error:  # of libcurl's own state, which no single GET brought on
            failed = Failure.BROKEN.error(f"curl {error.args[0]}")
            collected: list[tuple[Any, Reply | CosaiError]] = [
                (each.key, failed) for each in self._flying.values()
            ]
            self.close()
            return collected

    def _collect(self, seconds: float) -> list[tuple[Any, Reply | CosaiError]]:
        until, waiting = time.monotonic() + seconds, self._waiting
        while True:
            now = time.monotonic()
            if waiting.until is not None and waiting.until <= now:
                waiting.until = None
                self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
                if collected := self._finished():  # a quick answer, of which no socket will tell any more
                    return collected
            wait = min(until, waiting.until or until) - now
            for key, events in waiting.sockets.select(max(0.0, wait)):
                mask = (pycurl.CSELECT_IN if events & selectors.EVENT_READ else 0) | (
                    pycurl.CSELECT_OUT if events & selectors.EVENT_WRITE else 0
                )
                self._multi.socket_action(key.fd, mask)
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
        closing = threading.Thread(target=_close, args=(self._multi, self._waiting.sockets), daemon=True)
        closing.start()
        closing.join(_CLOSE_S)
        self._open()

    def _finished(self) -> list[tuple[Any, Reply | CosaiError]]:
        collected: list[tuple[Any, Reply | CosaiError]] = []
        more = 1
        while more:
            more, good, bad = self._multi.info_read()
            for curl, code, message in [*((curl, 0, "") for curl in good), *bad]:
                transfer = self._flying[curl]
                self._multi.remove_handle(curl)
                if code and transfer.is_stale():
                    transfer.start_afresh()
                    self._multi.add_handle(curl)
                    continue
                del self._flying[curl]
                collected.append(
                    (transfer.key, transfer.failure(code, message) if code else transfer.reply())
                )
                self._free.append(transfer)
        return collected

    def _new_handle(self) -> pycurl.Curl:
        """Return a handle with everything that is the same for all requests."""
        curl, verify = pycurl.Curl(), self._route.verify
        peer, host = int(verify is not False), 2 * int(verify is not False)
        bundle = verify if isinstance(verify, str) else certifi.where()
        file, folder = (None, bundle) if Path(bundle).is_dir() else (bundle, None)
        for option, value in (
            (pycurl.NOSIGNAL, 1),
            (pycurl.FOLLOWLOCATION, 0),
            (pycurl.NETRC, pycurl.NETRC_IGNORED),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
            (pycurl.HTTP_CONTENT_DECODING, 0),
            (pycurl.PATH_AS_IS, 1),  # as it was signed
            (pycurl.CONNECTTIMEOUT_MS, int(CONNECT_TIMEOUT_S * 1000)),
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
