"""A real HTTP/1.1 server on 127.0.0.1, in a thread with its own event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from http.client import responses
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest, ResponseStartLine
from tornado.netutil import bind_sockets

from cosai_nb.emulator.faults import FaultPlan, break_connection, spoil

if TYPE_CHECKING:
    from cosai_nb.emulator.faults import Fault
    from cosai_nb.emulator.routes import Answer, Api

HOST = "127.0.0.1"
_LOG_SIZE = 1_000_000
_STOP_S = 10.0


class LoggedRequest(NamedTuple):
    """One request that came in; nothing of its signature is kept.

    Parameters
    ----------
    method, path, query : str
        As asked, decoded; parameters of a signature are left out.
    status : int
        Status of the answer; with a ``fault`` that breaks the connection, the one that it would have been.
    at : float
        Seconds of the monotonic clock.
    fault : str
        Kind of the injected fault, empty where there was none.
    """

    method: str
    path: str
    query: str
    status: int
    at: float
    fault: str


class Server:
    """Serves an Api from :meth:`start` until :meth:`close`.

    Parameters
    ----------
    api : Api
        Makes the answers.
    port : int
        0 takes a free one.
    plan : FaultPlan
        What to break.
    """

    def __init__(self, api: Api, *, port: int, plan: FaultPlan) -> None:
        if not 0 <= port <= 65535:  # noqa: PLR2004 - beyond it the socket layer wraps round
            raise ValueError(f"port={port} must be 0 (any free one) to 65535.")
        self.api, self.plan = api, plan
        self.requests: deque[LoggedRequest] = deque(maxlen=_LOG_SIZE)
        self.port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None

    @property
    def serving(self) -> bool:
        """Whether it is started and not closed."""
        return self._thread is not None

    def start(self) -> None:
        """Bind the port, here so that a taken one raises here, and serve."""
        if self.serving:
            raise RuntimeError("The emulator serves already; close it before starting it again.")
        sockets = bind_sockets(self.port, HOST)
        self.port = sockets[0].getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(sockets, ready), name=f"cosai-emulator-{self.port}", daemon=True
        )
        self._thread.start()
        if not ready.wait(_STOP_S):
            raise RuntimeError("The emulator's thread did not come up; the log above says why.")

    def close(self) -> None:
        """Close every connection, free the port and end the thread."""
        if self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STOP_S)
        self._thread = None

    def _run(self, sockets: list[Any], ready: threading.Event) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(sockets, ready))

    async def _serve(self, sockets: list[Any], ready: threading.Event) -> None:
        server = HTTPServer(self._handle)
        server.add_sockets(sockets)
        ready.set()
        await self._stop.wait()
        server.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await server.close_all_connections()

    def _handle(self, request: HTTPServerRequest) -> None:
        headers = {name.lower(): value for name, value in request.headers.get_all()}
        answer = self.api.answer(request.method, request.path, request.query, headers)
        fault = self.plan.pick(unquote(request.path))
        self._log(request, answer, fault)
        if fault is None:
            self._send(request, answer)
        elif (spoilt := spoil(fault, answer, request.query)) is not None:
            self._send(request, spoilt)
        else:
            stream = request.connection.detach()
            task = self._loop.create_task(break_connection(fault, stream, answer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    @staticmethod
    def _send(request: HTTPServerRequest, answer: Answer) -> None:
        headers = HTTPHeaders(answer.headers)
        headers["Content-Length"] = str(len(answer.body))
        line = ResponseStartLine("HTTP/1.1", answer.status, responses.get(answer.status, "Unknown"))
        body = b"" if request.method == "HEAD" else answer.body
        request.connection.write_headers(line, headers, body)
        request.connection.finish()

    def _log(self, request: HTTPServerRequest, answer: Answer, fault: Fault | None) -> None:
        pairs = parse_qsl(request.query, keep_blank_values=True)
        shown = urlencode([(k, v) for k, v in pairs if not k.lower().startswith(("q-", "x-ci-", "x-cos-"))])
        entry = LoggedRequest(
            method=request.method,
            path=unquote(request.path),
            query=shown,
            status=answer.status,
            at=time.monotonic(),
            fault=fault.kind if fault else "",
        )
        self.requests.append(entry)
