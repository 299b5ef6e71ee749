"""What can go wrong between a service and its client, on demand."""

from __future__ import annotations

import asyncio
import gzip
import random
import re
import socket
import struct
import time
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import cache
from http.client import responses
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from cosai_nb.emulator import wire
from cosai_nb.emulator.api import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Clock = Callable[[], float]
    Spoiler = Callable[["Fault", Answer, Mapping[str, str]], Answer]

_DEPTH = 100_000  # of the nested JSON: a hundred times what a recursive parser takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong, and when.

    A request is hit when its path contains ``path``, when it is one of ``nth`` (if given), when it comes in the
    window from ``from_s`` to ``until_s`` and when chance says so. The first fault of a plan that matches wins.

    Parameters
    ----------
    kind : str
        Another answer: ``status`` (an error with ``status``, ``code`` and ``retry_after``) · ``redirect`` (to
        ``location``; 307 or the 3xx given as ``status``) · ``html``, ``json``, ``empty`` (instead of the XML, with
        status 200) · ``nested_json`` (an error with ``status`` whose JSON is 100,000 levels deep) · ``gzip_bomb``
        (64 MiB of spaces, compressed) · ``far_date`` (a Date header of the year 9999).

        An answer with a defect: ``doctype`` (before the XML) · ``unclosed_tag`` (``<Tag>…<Tag>``, as the documents
        print it) · ``other_job`` (one digit of each JobId differs) · ``twice`` (each job first as it was while it
        waited, then as it is) · ``control_chars`` (``message`` as the Message of each job) · ``cut_body`` (ends in
        the middle of a tag, with the right length) · ``same_token`` (a list's page names itself as the next one) ·
        ``endless_list`` (each page of a list is empty and names another one).

        A broken connection: ``reset_before_headers``, ``reset_after_headers`` (TCP reset) · ``wrong_length``
        (promises more than it sends, and closes) · ``bad_chunk`` (the first chunk's size is ``chunk``; the body
        and ``size`` bytes of spaces follow) · ``oversized`` (``size`` bytes in chunks) · ``drip_headers``,
        ``drip_body`` (``bytes_per_s``) · ``silence`` (never answers) · ``close`` (a good answer, then the kept
        connection is closed) · ``late_close`` (a good answer; the kept connection is reset when the next request
        comes on it, which is neither answered nor logged).
    nth : int or range or tuple of int, optional
        Which of the requests on ``path``, counted from 1.
    probability : float
        Of being hit; seeded.
    path : str
        Part of the decoded path.
    from_s, until_s : float
        Seconds after the emulator's first request, by the real clock.
    status, code, retry_after
        For ``status``; ``code`` is the service's own, ``retry_after`` is sent as it stands.
    location : str
        For ``redirect``.
    bytes_per_s : float
        For the drips.
    chunk : str
        For ``bad_chunk``.
    size : int
        For ``oversized`` and ``bad_chunk`` [bytes].
    message : bytes
        For ``control_chars``, sent as it stands.

    Raises
    ------
    ValueError
        The kind is none of these.

    Examples
    --------
    >>> Fault(kind="status", status=429, code="SlowDown", retry_after="1", nth=range(3, 6)).matches(4)
    True

    One second in which everything is refused:

    >>> throttled = Fault(kind="status", status=503, code="SlowDown", until_s=1.0)
    """

    kind: str
    nth: int | range | tuple[int, ...] | None = None
    probability: float = 1.0
    path: str = ""
    from_s: float = 0.0
    until_s: float = float("inf")
    status: int = 503
    code: str = "ServiceUnavailable"
    retry_after: str | None = None
    location: str = "http://127.0.0.2:9/elsewhere"
    bytes_per_s: float = 2.0
    chunk: str = "-1"
    size: int = 100 * 2**20
    message: bytes = b"\x1b[31mred\x1b[0m &#27; \xc3\x28"

    def __post_init__(self) -> None:
        if self.kind not in {*_SPOILERS, *_BREAKERS}:
            raise ValueError(f"kind={self.kind!r} is none of {', '.join((*_SPOILERS, *_BREAKERS))}.")

    def matches(self, number: int, seconds: float = 0.0) -> bool:
        """Return whether request ``number`` on the path is hit, so many seconds after the first of all."""
        nth = (self.nth,) if isinstance(self.nth, int) else self.nth
        return (nth is None or number in nth) and self.from_s <= seconds < self.until_s


class FaultPlan:
    """Decides which request is hit; the same seed and order of requests give the same faults."""

    def __init__(self, faults: Sequence[Fault], *, seed: int, clock: Clock = time.monotonic) -> None:
        self._faults, self._clock = tuple(faults), clock
        self._seen = [0] * len(self._faults)
        self._chance = random.Random(seed)
        self._began: float | None = None

    def pick(self, path: str) -> Fault | None:
        """Return the fault that hits this request, and count it."""
        now = self._clock()
        self._began = now if self._began is None else self._began
        picked: Fault | None = None
        for position, fault in enumerate(self._faults):
            if fault.path in path:
                self._seen[position] += 1
                lucky = fault.probability < 1 and self._chance.random() >= fault.probability
                if picked is None and not lucky and fault.matches(self._seen[position], now - self._began):
                    picked = fault
        return picked


def spoil(fault: Fault, answer: Answer, query: str) -> Answer | None:
    """Return the wrong answer of faults that keep to HTTP, None for those that break it."""
    make = _SPOILERS.get(fault.kind)
    return make(fault, answer, dict(parse_qsl(query))) if make else None


def _with(answer: Answer, headers: Mapping[str, str], body: bytes, status: int = 200) -> Answer:
    return Answer(status, body, {**answer.headers, **headers})


def _error(fault: Fault, answer: Answer, _: Mapping[str, str]) -> Answer:
    text = wire.error_xml(fault.code, "Injected by the emulator.", request_id="fault", trace_id="fault")
    extra = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
    return _with(answer, extra, text, fault.status)


def _redirect(fault: Fault, answer: Answer, _: Mapping[str, str]) -> Answer:
    status = fault.status if 300 <= fault.status < 400 else 307  # noqa: PLR2004 - HTTP's range
    return _with(answer, {"Location": fault.location}, b"", status)


_packed_spaces = cache(lambda: gzip.compress(b" " * (64 * 2**20)))


def _gzip_bomb(_: Fault, answer: Answer, __: Mapping[str, str]) -> Answer:
    bomb = gzip.compress(answer.body) + _packed_spaces()  # joined, two gzip files are one
    return _with(answer, {"Content-Encoding": "gzip"}, bomb, answer.status)


def _same_token(_: Fault, answer: Answer, params: Mapping[str, str]) -> Answer:
    token = params.get("nextToken", "").encode()
    return replace(answer, body=re.sub(rb"(?<=<NextToken>)\d+", lambda own: token or own[0], answer.body))


def _endless_list(_: Fault, answer: Answer, params: Mapping[str, str]) -> Answer:
    page = wire.response([], next_token=str(time.monotonic_ns()))
    return replace(answer, status=200, body=page) if "tag" in params else answer


_MESSAGE = re.compile(rb"<Message(?:/>|>[^<]*</Message>)")


def _twice(detail: re.Match[bytes]) -> bytes:
    waiting = detail[0]
    for pattern, text, times in (
        (rb"<Code>\w+", rb"<Code>Success", 1),
        (_MESSAGE, rb"<Message/>", 1),
        (rb"<State>\w+", rb"<State>Submitted", 1),
        (rb"<(StartTime|EndTime)>[^<]*", rb"<\1>-", 2),
    ):
        waiting = re.sub(pattern, text, waiting, count=times)
    return waiting + detail[0]


_LAUGHS = b'<!DOCTYPE Response [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
_HTML = b"<!doctype html><html><body>Please <b>log in</b><br></body></html>"
_JSON = b'{"code": "InternalError", "message": "Injected by the emulator."}'
_NESTED = b'{"code": "InternalError", "message": ' + b"[" * _DEPTH + b"]" * _DEPTH + b"}"
_IS_JSON = {"Content-Type": "application/json"}
_FAR = "Fri, 31 Dec 9999 23:59:59 GMT"


def _edit(edit: Callable[[Fault, bytes], bytes]) -> Spoiler:
    return lambda fault, answer, _: replace(answer, body=edit(fault, answer.body))


_SPOILERS: dict[str, Spoiler] = {
    "status": _error,
    "redirect": _redirect,
    "html": lambda _, answer, __: _with(answer, {"Content-Type": "text/html"}, _HTML),
    "json": lambda _, answer, __: _with(answer, _IS_JSON, _JSON),
    "nested_json": lambda fault, answer, _: _with(answer, _IS_JSON, _NESTED, fault.status),
    "gzip_bomb": _gzip_bomb,
    "far_date": lambda _, answer, __: _with(answer, {"Date": _FAR}, answer.body, answer.status),
    "same_token": _same_token,
    "endless_list": _endless_list,
    "empty": _edit(lambda _, __: b""),
    "doctype": _edit(lambda _, body: body.replace(wire.DECLARATION, wire.DECLARATION + _LAUGHS, 1)),
    "unclosed_tag": _edit(lambda _, body: body.replace(b"</Tag>", b"<Tag>")),
    "other_job": _edit(lambda _, body: re.sub(rb"(<JobId>\w+)\w(?=</JobId>)", rb"\1z", body)),
    "cut_body": _edit(lambda _, body: body[: body.rfind(b"<", 0, max(len(body) * 2 // 3, 1)) + 3]),
    "twice": _edit(lambda _, body: re.sub(rb"(?s)<JobsDetail>.*?</JobsDetail>", _twice, body)),
    "control_chars": _edit(
        lambda fault, body: _MESSAGE.sub(lambda _: b"<Message>%b</Message>" % fault.message, body)
    ),
}
_RESETS = ("reset_before_headers", "reset_after_headers", "late_close")
_BREAKERS = (
    "wrong_length",
    "bad_chunk",
    "oversized",
    "drip_headers",
    "drip_body",
    "silence",
    "close",
    *_RESETS,
)


async def break_connection(fault: Fault, stream: Any, answer: Answer) -> None:
    """Play a fault that does not keep to HTTP on the raw stream of a request, and close it."""
    body, good = answer.body, _head(answer, len(answer.body)) + answer.body
    with closing(stream), suppress(OSError):  # of a client that gave up first, which many faults are for
        match fault.kind:
            case "reset_after_headers":
                await stream.write(good[: len(good) - len(body) + 20])
                await asyncio.sleep(0.05)  # a reset overtakes what the client has not read yet
            case "wrong_length":
                await stream.write(_head(answer, len(body) + 1000) + body)
            case "bad_chunk":
                await stream.write(_head(answer, None) + fault.chunk.encode() + b"\r\n" + body)
                await _spaces(stream, fault.size, b"%b")
            case "oversized":
                opening = body[: body.rfind(b"</Response>")]
                await stream.write(_head(answer, None) + b"%x\r\n%b\r\n" % (len(opening), opening))
                await _spaces(stream, fault.size, b"10000\r\n%b\r\n")
                await stream.write(b"b\r\n</Response>\r\n0\r\n\r\n")
            case "drip_headers" | "drip_body":
                at_once = 0 if fault.kind == "drip_headers" else len(good) - len(body)
                await stream.write(good[:at_once])
                await _drip(stream, good[at_once:], fault.bytes_per_s)
            case "silence":
                await stream.read_until_close()
            case "close":
                await stream.write(good)
            case "late_close":
                await stream.write(good)
                await stream.read_bytes(1, partial=True)
        if fault.kind in _RESETS:
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _head(answer: Answer, length: int | None) -> bytes:
    size = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    lines = [f"{name}: {value}" for name, value in {**answer.headers, **size}.items()]
    status = f"HTTP/1.1 {answer.status} {responses.get(answer.status, 'Unknown')}"
    return "\r\n".join([status, *lines, "", ""]).encode("latin-1")


async def _drip(stream: Any, data: bytes, bytes_per_s: float) -> None:
    for byte in data:
        await stream.write(bytes([byte]))
        await asyncio.sleep(1 / bytes_per_s)


async def _spaces(stream: Any, size: int, frame: bytes) -> None:
    """Write spaces by 64 KiB (0x10000), each piece in a frame."""
    for _ in range(size // 2**16):
        await stream.write(frame % (b" " * 2**16))
