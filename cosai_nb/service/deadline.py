"""A deadline for a whole HTTP exchange, enforced where the bytes arrive.

Socket timeouts start anew with every byte: a server that sends one byte every half second holds a request with
``timeout=1`` for ever, in the headers as well as in the body. Here each read gets only what is left of the request's
total time.
"""

from __future__ import annotations

import io
import threading
import time
from typing import TYPE_CHECKING, Any, cast

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    import socket

_local = threading.local()


def start(seconds: float) -> None:
    """Give everything that this thread reads from now on ``seconds`` in all."""
    _local.until = time.monotonic() + seconds


class _TimedReader(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        remaining = _local.until - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the total time of the request is over")
        self._sock.settimeout(remaining)
        return cast("int | None", self._raw.readinto(buffer))

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedSocket:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def makefile(self, *_args: Any, **_kwargs: Any) -> io.BufferedReader:
        raw = self._sock.makefile("rb", buffering=0)
        return io.BufferedReader(_TimedReader(raw, self._sock))


class _TimedHTTPConnection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = _TimedSocket(self.sock)


class _TimedHTTPSConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = _TimedSocket(self.sock)


class _TimedHTTPPool(HTTPConnectionPool):
    ConnectionCls = _TimedHTTPConnection


class _TimedHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _TimedHTTPSConnection


class DeadlineAdapter(HTTPAdapter):
    """requests' adapter on connections that obey :func:`start`."""

    _POOLS = {"http": _TimedHTTPPool, "https": _TimedHTTPSPool}  # noqa: RUF012 - read only, as urllib3 has it

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool manager, with the timed pools."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Make the proxy's pool manager, with the timed pools."""
        manager = super().proxy_manager_for(*args, **kwargs)
        if manager.proxy is not None and manager.proxy.scheme in self._POOLS:  # SOCKS has pools of its own
            manager.pool_classes_by_scheme = self._POOLS
        return manager
