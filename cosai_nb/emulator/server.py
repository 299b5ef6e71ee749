"""The emulator: a real HTTP/1.1 server on 127.0.0.1, in a thread with its own event loop."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections import deque
from dataclasses import asdict
from http.client import responses
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import parse_qsl, unquote, urlencode

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest, ResponseStartLine
from tornado.netutil import bind_sockets

from cosai_nb.emulator.api import Api
from cosai_nb.emulator.faults import Fault, FaultPlan, break_connection, spoil
from cosai_nb.emulator.signature import TOKEN_HEADERS, Keys, Request, authorization
from cosai_nb.emulator.wire import wire_time
from cosai_nb.emulator.workload import Snapshot, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from socket import socket

    import numpy as np
    from numpy.typing import NDArray

    from cosai_nb.emulator.workload import Scenario
    from cosai_nb.service.client import Client

HOST = "127.0.0.1"
BUCKET, REGION = "emulated-1250000000", "ap-beijing"
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


class Emulator:
    """The job API on loopback: a real HTTP server with a simulated week of jobs behind it.

    A GET never moves its clock. It listens on 127.0.0.1 only, in a thread of its own, so it works in scripts,
    notebooks and tests alike.

    Parameters
    ----------
    seed : int
        The same seed gives the same jobs.
    scenario : Scenario, optional
        What to simulate; by default 20,000 jobs from 2026-11-02 to 2026-11-09 (+0800), with an incident on
        Wednesday from 10 to 13 o'clock in the first queue.
    family : {"ai", "media", "asr", "doc", "pic", "file"}
        Which jobs, and the paths that they are served under: ``/ai_jobs`` and ``/jobs`` and ``/ai_queue``,
        ``/jobs`` and ``/queue``, ``/asr_jobs`` and ``/asrqueue``, ``/doc_jobs`` and ``/docqueue``, ``/pic_jobs``
        and ``/picqueue``, ``/file_jobs`` (which has no list) and ``/file_queue``. The paths of the other families
        know none of these jobs.
    port : int
        0 takes a free one.
    credentials : (str, str), optional
        Secret ID and key that are let in; random by default.
    token : str, optional
        Session token that must come with them.
    comma_lists : bool
        False refuses more than one ID where lists of IDs are not documented: all paths but ``/jobs`` and
        ``/asr_jobs``.
    max_ids : int
        Longest list of IDs.
    clock_skew_s : float
        How far the server's real clock, which judges signatures, is ahead of this machine's.
    inclusive_bounds : bool
        The documents say that listed jobs are created later than startCreationTime and earlier than
        endCreationTime; True lets jobs of exactly those seconds in as well.
    faults : sequence of Fault
        What goes wrong.
    bucket, region : str
        Whose jobs these are.

    Attributes
    ----------
    job_ids, queue_ids : list of str
        In order of submission, and of the scenario.
    requests : deque of LoggedRequest
        Every request that came in.

    Raises
    ------
    ValueError
        The port is none, or the family.
    OSError
        From :meth:`start`, where the port is taken.

    Examples
    --------
    >>> with Emulator(seed=7) as emulator:
    ...     client = emulator.client()
    ...     emulator
    Emulator('http://127.0.0.1:...', jobs=20000, seed=7, now='2026-11-09T00:00:00+0800')
    """

    def __init__(
        self,
        seed: int = 7,
        *,
        scenario: Scenario | None = None,
        family: str = "ai",
        port: int = 0,
        credentials: tuple[str, str] | None = None,
        token: str | None = None,
        comma_lists: bool = True,
        max_ids: int = 10,
        clock_skew_s: float = 0.0,
        inclusive_bounds: bool = False,
        faults: Sequence[Fault] = (),
        bucket: str = BUCKET,
        region: str = REGION,
    ) -> None:
        if not 0 <= port <= 65535:  # noqa: PLR2004 - beyond it the socket layer wraps round
            raise ValueError(f"port={port} must be 0 (any free one) to 65535.")
        self.workload = Workload(scenario, seed=seed, family=family)
        self.job_ids, self.queue_ids = self.workload.job_ids, self.workload.queue_ids
        self.requests: deque[LoggedRequest] = deque(maxlen=_LOG_SIZE)
        self.family, self.bucket, self.region = family, bucket, region
        pair = credentials or (f"AKIDemulator{secrets.token_hex(8)}", secrets.token_hex(16))
        self._keys = Keys(*pair, token)
        self._api = Api(
            self.workload, self._keys, bucket, region, comma_lists, max_ids, clock_skew_s, inclusive_bounds
        )
        self._plan, self._port = FaultPlan(faults, seed=seed), port
        self._playing: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Bind the port, here so that a taken one raises here, and serve; needed only outside of ``with``."""
        if self._thread:
            raise RuntimeError("The emulator serves already; close it before starting it again.")
        sockets = bind_sockets(self._port, HOST)
        self._port = sockets[0].getsockname()[1]
        ready = threading.Event()
        serving, name = self._serve(sockets, ready), f"cosai-emulator-{self._port}"
        self._thread = threading.Thread(target=asyncio.run, args=[serving], name=name, daemon=True)
        self._thread.start()
        if not ready.wait(_STOP_S):
            raise RuntimeError("The emulator's thread did not come up; the log above says why.")
        return self

    def close(self) -> None:
        """Close every connection, free the port and end the thread."""
        if self._thread:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_STOP_S)
            self._thread = None

    async def _serve(self, sockets: list[socket], ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = HTTPServer(self._handle)
        server.add_sockets(sockets)
        ready.set()
        await self._stop.wait()
        server.stop()
        for task in self._playing:
            task.cancel()
        await asyncio.gather(*self._playing, return_exceptions=True)
        await server.close_all_connections()

    def _handle(self, request: HTTPServerRequest) -> None:
        headers = {name.lower(): value for name, value in request.headers.get_all()}
        answer = self._api.answer(request.method, request.path, request.query, headers)
        path = unquote(request.path)
        fault = self._plan.pick(path)
        pairs = parse_qsl(request.query, keep_blank_values=True)
        shown = urlencode([(k, v) for k, v in pairs if not k.lower().startswith(("q-", "x-ci-", "x-cos-"))])
        done = answer.status, time.monotonic(), fault.kind if fault else ""
        self.requests.append(LoggedRequest(request.method, path, shown, *done))
        sent = spoil(fault, answer, request.query) if fault else answer
        if sent:
            line = ResponseStartLine("HTTP/1.1", sent.status, responses.get(sent.status, "Unknown"))
            headers = {**sent.headers, "Content-Length": str(len(sent.body))}
            body = b"" if request.method == "HEAD" else sent.body
            request.connection.write_headers(line, HTTPHeaders(headers), body)
            request.connection.finish()
        elif fault:
            task = self._loop.create_task(break_connection(fault, request.connection.detach(), answer))
            self._playing.add(task)
            task.add_done_callback(self._playing.discard)

    __enter__ = start

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        place = repr(self.url) if self._thread else "not started"
        jobs, seed = len(self.job_ids), self.workload.seed
        return f"{type(self).__name__}({place}, jobs={jobs}, seed={seed}, now={wire_time(int(self.now))!r})"

    @property
    def port(self) -> int:
        """The port that it listens on.

        Raises
        ------
        RuntimeError
            Where it is not started.
        """
        if not self._thread:
            raise RuntimeError("The emulator is not started: use it in a with block, or call start().")
        return self._port

    @property
    def url(self) -> str:
        """Address for other clients."""
        return f"http://{HOST}:{self.port}"

    @property
    def now(self) -> float:
        """The virtual clock, seconds since the epoch; Date headers show it."""
        return self._api.seen[0].now

    def set_time(self, now: float) -> None:
        """Set the virtual clock, in seconds since the epoch; it may go back."""
        self._api.set_time(now)

    def advance(self, seconds: float) -> None:
        """Move the virtual clock; no new jobs are submitted after the scenario's end, but the old ones go on."""
        self.set_time(self.now + seconds)

    @property
    def truth(self) -> Mapping[str, NDArray[np.generic]]:
        """Exact columns of every job, see :attr:`Workload.truth`."""
        return self.workload.truth

    def snapshot(self) -> Snapshot:
        """Return states and whole-second times of every job as the service shows them now."""
        return self._api.seen[0]

    def client(self, **settings: Any) -> Client:
        """Return a client of this emulator.

        Parameters
        ----------
        **settings
            Arguments of :class:`~cosai_nb.service.client.Client` that win over the emulator's.
        """
        from cosai_nb.service.client import Client  # noqa: PLC0415 - the only tie to the client's side

        own = {"bucket": self.bucket, "region": self.region, "endpoint": self.url, "family": self.family}
        return Client(**{**own, **asdict(self._keys), **settings})

    def authorization(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the headers that let a hand-made GET in for an hour, for ``curl`` and the like.

        Parameters
        ----------
        path : str
            Path before percent-encoding.
        params : mapping, optional
            Query parameters to sign; others may come unsigned.
        """
        start = int(time.time()) - 60
        request = Request("GET", path, tuple((params or {}).items()), {})
        token = {TOKEN_HEADERS[0]: self._keys.token} if self._keys.token else {}
        return {"Authorization": authorization(request, self._keys, (start, start + 3660)), **token}

    def environment(self) -> dict[str, str]:
        """Return the variables that lead another process here, with keys that are worth nothing elsewhere."""
        keys = self._keys
        secret = {"COS_SECRET_ID": keys.secret_id, "COS_SECRET_KEY": keys.secret_key, "COS_TOKEN": keys.token}
        place = {"COSAI_BUCKET": self.bucket, "COSAI_REGION": self.region, "COSAI_ENDPOINT": self.url}
        return {name: value for name, value in {**secret, **place}.items() if value}


def serve(port: int = 0, seed: int = 7, **settings: Any) -> None:
    """Serve until Ctrl-C, and print how to get there.

    Parameters
    ----------
    port : int
        0 takes a free one.
    seed : int
        The same seed gives the same jobs.
    **settings
        Other arguments of :class:`Emulator`.

    Examples
    --------
    >>> serve(port=70_000)
    Traceback (most recent call last):
    ValueError: port=70000 must be 0 (any free one) to 65535.
    """
    with Emulator(seed, port=port, **settings) as emulator:
        try:
            print(guide(emulator), flush=True)  # noqa: T201 - it is what the command is asked for
            threading.Event().wait()
        except KeyboardInterrupt:
            print(f"\nRequests answered: {len(emulator.requests):,}.")  # noqa: T201 - the same


def guide(emulator: Emulator) -> str:
    """Return what a user of another process needs: address, an ID to ask for, and the environment."""
    shown = wire_time(int(emulator.now))
    path = f"{emulator.workload.family.path}/{emulator.job_ids[0]}"
    headers = " ".join(f"-H '{name}: {value}'" for name, value in emulator.authorization(path).items())
    lines = [
        f"The emulator answers at {emulator.url} until Ctrl-C.",
        f"Bucket {emulator.bucket}, region {emulator.region}, {len(emulator.job_ids):,} jobs as of {shown}.",
        f"Queues: {', '.join(emulator.queue_ids)}.",
        "A first question, signed for an hour:",
        f"curl -i {headers} {emulator.url}{path}",
        "For other clients (keys made for this emulator, worth nothing elsewhere):",
        *(f"export {name}={value}" for name, value in emulator.environment().items()),
    ]
    return "\n".join(lines)
