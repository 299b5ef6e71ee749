"""A service on 127.0.0.1 in a process of its own, for ``bench_fetch.py`` and ``bench_faults.py``.

It is not the emulator: it simulates nothing and checks no signature. It answers ``/ai_jobs/<id>,<id>…`` from jobs rendered
beforehand, of which it only fills in the ID, so that it is faster than every client that reads its answers; it can answer
late without answering fewer at a time; and it breaks answers by a seeded plan. Run as a script, it is that process.
"""

from __future__ import annotations

import heapq
import importlib.util
import inspect
import itertools
import json
import os
import random
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from email.utils import formatdate
from functools import cache
from typing import Any, Literal, NamedTuple, Self

VARIANTS = 4096  # jobs that differ; three digits of an ID say which one it is
TIME = "2024-03-{day:02}T{hour:02}:{minute:02}:{second:02}+0800"
JOB = """\
  <JobsDetail>
    <Code>Success</Code>
    <Message/>
    <JobId>{job_id}</JobId>
    <Tag>Translation</Tag>
    <State>Success</State>
    <CreationTime>{creation_time}</CreationTime>
    <StartTime>{start_time}</StartTime>
    <EndTime>{end_time}</EndTime>
    <QueueId>{queue_id}</QueueId>
    <Input>
      <BucketId>demo-1250000000</BucketId>
      <Region>ap-chongqing</Region>
      <Object>{input_object}</Object>
      <Lang>en</Lang>
      <Type>docx</Type>
    </Input>
    <Operation>
      <Translation>
        <Lang>{target_lang}</Lang>
        <Type>docx</Type>
      </Translation>
      <Output>
        <Region>ap-chongqing</Region>
        <Bucket>demo-1250000000</Bucket>
        <Object>{output_object}</Object>
      </Output>
      <UserData>{user_data}</UserData>
      <JobLevel>0</JobLevel>
    </Operation>
  </JobsDetail>
"""
FIRST, LAST = b'<?xml version="1.0" encoding="utf-8"?>\n<Response>\n', b"</Response>\n"


def job_ids(number: int) -> list[str]:
    """Return so many IDs, as the service writes them; neighbours are different variants."""
    return [f"a{index * 40_503 % 2**32:08x}0f3a11eeb4d60242ac120002" for index in range(number)]


def variant(job_id: str) -> int:
    return int(job_id[6:9], 16)


@cache
def fields(number: int) -> dict[str, str]:
    """Return what a variant says: names of the frame, texts of the wire."""
    day, hour, minute = 1 + number % 28, number % 23, number % 59
    wire = {"day": day, "hour": hour, "minute": minute}
    return {
        "creation_time": TIME.format(**wire, second=1),
        "start_time": TIME.format(**wire, second=2 + number % 30),
        "end_time": TIME.format(**wire | {"hour": hour + 1}, second=number % 60),
        "queue_id": f"p1d0f6a3c5b2e4f7a9c8d7e6f5a4b3c{number % 7:02}",
        "input_object": f"in/manual-{number:06}.docx",
        "target_lang": ("zh", "ja", "de", "fr", "pt")[number % 5],
        "output_object": f"out/manual-{number:06}.docx",
        "user_data": f"ticket {number}",
    }


class Plan(NamedTuple):
    """How a server answers.

    ``delay_s`` each answer; ``share`` of them broken by one of ``kinds``; all throttled for ``throttled_s`` from ``throttled_after_s``
    behind the first request; each connection closed without an answer at the request after ``answers`` others.
    """

    delay_s: float = 0.0
    share: float = 0.0
    kinds: tuple[str, ...] = ()
    throttled_s: float = 0.0
    throttled_after_s: float = 0.5
    answers: int | None = None
    seed: int = 7


class Reply(NamedTuple):
    """Bytes to send after a wait, and what becomes of the connection."""

    data: bytes
    wait_s: float = 0.0
    then: Literal["keep", "close", "reset"] = "keep"


def http(body: bytes, *, status: str = "200 OK", framing: str = "Content-Length: {}") -> bytes:
    head = f"HTTP/1.1 {status}\r\n{_headers(int(time.time()))}{framing.format(len(body))}\r\n\r\n"
    return head.encode() + body


@cache
def _headers(now: int) -> str:
    return f"Content-Type: application/xml\r\nServer: tencent-ci\r\nDate: {formatdate(now, usegmt=True)}\r\n"


def error(status: str, code: str) -> Reply:
    body = f"<Error><Code>{code}</Code><Message>By plan.</Message><RequestId>r</RequestId></Error>"
    return Reply(http(body.encode(), status=status))


SLOW_DOWN = ("503 Slow Down", "SlowDown")
KINDS = {
    "500": lambda _: error("500 Internal Server Error", "InternalError"),
    "503": lambda _: error("503 Service Unavailable", "ServiceUnavailable"),
    "SlowDown": lambda _: error(*SLOW_DOWN),
    "429": lambda _: error("429 Too Many Requests\r\nRetry-After: 0.1", "SlowDown"),
    "reset before headers": lambda _: Reply(b"", then="reset"),
    "reset after headers": lambda body: Reply(http(b"", framing=f"Content-Length: {len(body)}"), then="reset"),
    "cut XML": lambda body: Reply(http(body[: len(body) * 2 // 3])),
    "wrong length": lambda body: Reply(http(body, framing=f"Content-Length: {len(body) + 100}"), then="close"),
    "bad chunk": lambda body: Reply(http(b"-5\r\n" + body, framing="Transfer-Encoding: chunked"), then="close"),
    "HTML": lambda _: Reply(http(b"<!doctype html><html><body>Please sign in.</body></html>")),
    "JSON": lambda _: Reply(http(b'{"code": "InternalError"}')),
    "empty": lambda _: Reply(http(b"")),
    "one job left out": lambda body: Reply(http(body[: body.rindex(b"  <JobsDetail>")] + LAST)),
    "other jobs": lambda body: Reply(http(body.replace(b"<JobId>a", b"<JobId>b").replace(b"ticket ", b"ticket of another "))),
    "DOCTYPE": lambda body: Reply(http(body.replace(b"<Response>", b"<!DOCTYPE Response []><Response>", 1))),
    "close": lambda body: Reply(http(body), then="close"),
    "late": lambda body: Reply(http(body), wait_s=0.5),
    "silence": lambda _: Reply(b"", wait_s=60.0, then="close"),
}  # fmt: skip


class Server:
    """One thread, one selector: no framework is as fast for answers that are one ``send`` each."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._chance = plan, random.Random(plan.seed)
        self._jobs = [
            tuple(JOB.format(job_id="@", **fields(number)).encode().split(b"@")) for number in range(VARIANTS)
        ]
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._due: list[tuple[float, int, socket.socket, Reply]] = []
        self._order = itertools.count()
        self._answered: dict[socket.socket, int] = {}
        self._began: float | None = None
        self.requests = 0
        self.broken: dict[str, int] = {}

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    def run(self) -> None:
        while True:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            for key, _ in self._selector.select(wait):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._read(key.fileobj, key.data)
            while self._due and self._due[0][0] <= time.monotonic():
                _, _, connection, reply = heapq.heappop(self._due)
                self._send(connection, reply)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()  # blocking: an answer fits the socket's buffer
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answered[connection] = 0
        self._selector.register(connection, selectors.EVENT_READ, bytearray())

    def _read(self, connection: socket.socket, received: bytearray) -> None:
        try:
            data = connection.recv(65_536)
        except OSError:
            data = b""
        received += data
        if not data:
            self._drop(connection)
        elif received.endswith(b"\r\n\r\n"):
            target = bytes(received[4 : received.index(b" ", 4)]).replace(b"%2C", b",")
            received.clear()
            reply = self._counts() if target == b"/counts" else self._reply(connection, target)
            if reply.wait_s:
                due = (time.monotonic() + reply.wait_s, next(self._order), connection, reply)
                heapq.heappush(self._due, due)
            else:
                self._send(connection, reply)

    def _reply(self, connection: socket.socket, target: bytes) -> Reply:
        plan = self._plan
        now = time.monotonic()
        self._began = self._began or now
        self.requests += 1
        if 0 <= now - self._began - plan.throttled_after_s < plan.throttled_s:
            return self._broken("throttled", error(*SLOW_DOWN))
        if self._answered[connection] == plan.answers:
            return self._broken("dropped", Reply(b"", then="close"))
        self._answered[connection] += 1
        parts = [FIRST]
        for job_id in target[target.rindex(b"/") + 1 :].split(b","):
            before, after = self._jobs[int(job_id[6:9], 16)]
            parts += before, job_id, after
        body = b"".join([*parts, LAST])
        if plan.share and self._chance.random() < plan.share:
            kind = self._chance.choice(plan.kinds)
            return self._broken(kind, KINDS[kind](body))
        return Reply(http(body), plan.delay_s)

    def _broken(self, kind: str, reply: Reply) -> Reply:
        self.broken[kind] = self.broken.get(kind, 0) + 1
        return reply

    def _counts(self) -> Reply:
        counts = {"requests": self.requests, "broken": self.broken, "cpu_s": time.process_time()}
        return Reply(http(json.dumps(counts).encode()))

    def _send(self, connection: socket.socket, reply: Reply) -> None:
        if connection not in self._answered:
            return  # the client left before its late answer
        try:
            connection.sendall(reply.data)
        except OSError:
            reply = Reply(b"", then="close")
        if reply.then == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if reply.then != "keep":
            self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        del self._answered[connection]
        self._selector.unregister(connection)
        connection.close()


class Loopback:
    """The server's process, inside ``with``.

    >>> with Loopback(Plan(delay_s=0.02)) as server:  # doctest: +SKIP
    ...     ask(server.url)
    ...     server.counts()["requests"]
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def __enter__(self) -> Self:
        self._process = child(__file__, json.dumps(self._plan))
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, *_: object) -> None:
        stop(self._process)

    def counts(self) -> dict[str, Any]:
        """Return the requests so far, those that were broken by kind, and the CPU seconds of the process."""
        with urllib.request.urlopen(f"{self.url}/counts", timeout=30) as answer:
            return json.load(answer)


def child(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a Python script that reads and prints lines; no proxy of the environment stands before the loopback."""
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.Popen(
        [sys.executable, script, *arguments],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.communicate()


def engines() -> list[str]:
    """Return the engines that are here; one, called ``default``, while Client takes no ``engine=``."""
    from cosai_nb import Client

    if "engine" not in inspect.signature(Client).parameters:
        return ["default"]
    return ["requests", "curl"] if importlib.util.find_spec("pycurl") else ["requests"]


def client(url: str, engine: str, **settings: Any) -> Any:
    from cosai_nb import Client

    if engine != "default":
        settings["engine"] = engine
    keys = {"secret_id": "AKIDEXAMPLE", "secret_key": "SECRETEXAMPLE"}
    return Client(bucket="demo-1250000000", region="ap-chongqing", endpoint=url, **keys, **settings)


def wrong(jobs: Any) -> int:
    """Return how many rows that were read say anything else than the server does of their ID."""
    import pandas as pd

    read = jobs[jobs["outcome"] != "unread"]
    truth = pd.DataFrame([fields(variant(job_id)) for job_id in read["job_id"]], index=read.index)
    bad = (read["outcome"] != "success") | (read["tag"] != "Translation") | ~read["timing_ok"]
    for name in truth:
        said = pd.to_datetime(truth[name], utc=True) if name.endswith("_time") else truth[name]
        bad |= read[name].astype(said.dtype) != said
    return int(bad.sum())


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the client's
    server = Server(Plan(*json.loads(sys.argv[1])))
    print(server.port, flush=True)
    server.run()
