"""What can go wrong between a service and its client, on demand."""

from __future__ import annotations

import asyncio
import gzip
import random
import re
import socket
import struct
from dataclasses import dataclass, replace
from functools import cache
from http.client import responses
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl

from cosai_nb.emulator import wire
from cosai_nb.emulator.api import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Kind = Literal[
    "status",
    "redirect",
    "html",
    "json",
    "empty",
    "doctype",
    "unclosed_tag",
    "other_job",
    "same_token",
    "gzip_bomb",
    "reset_before_headers",
    "reset_after_headers",
    "cut_body",
    "wrong_length",
    "drip_headers",
    "drip_body",
    "silence",
    "oversized",
    "close",
]


_NEXT_TOKEN = re.compile(rb"<NextToken>\d+</NextToken>")
_OTHER_JOB = re.compile(rb"(<JobId>\w+)\w(?=</JobId>)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong, and when.

    A request is hit when its path contains ``path``, when it is one of ``nth`` (if given) and when chance says so.
    The first fault of a plan that matches wins.

    Parameters
    ----------
    kind : str
        ``status`` (an error with ``status``, ``code`` and ``retry_after``) · ``redirect`` (to ``location``; 307 or the 3xx given as ``status``) · ``html``,
        ``json``, ``empty`` (instead of the XML, with status 200) · ``doctype`` (before the XML) · ``unclosed_tag``
        (``<Tag>…<Tag>``, as the documents print it) · ``other_job`` (one digit of each JobId differs) · ``same_token`` (a
        list's page names itself as the next one) · ``gzip_bomb``
        (64 MiB of spaces, compressed) · ``reset_before_headers``, ``reset_after_headers`` (TCP reset) · ``cut_body``
        (ends in the middle of a tag, with the right length) · ``wrong_length`` (promises more than it sends, and
        closes) · ``drip_headers``, ``drip_body`` (``bytes_per_s``) · ``silence`` (never answers) · ``oversized``
        (100 MB in chunks) · ``close`` (a good answer, then the kept connection is closed).
    nth : int or range or tuple of int, optional
        Which of the requests on ``path``, counted from 1.
    probability : float
        Of being hit; seeded.
    path : str
        Part of the decoded path.
    status, code, retry_after
        For ``status``; ``code`` is the service's own, ``retry_after`` is sent as it stands.
    location : str
        For ``redirect``.
    bytes_per_s : float
        For the drips.

    Examples
    --------
    >>> Fault(kind="status", status=429, code="SlowDown", retry_after="1", nth=range(3, 6)).matches(4)
    True
    """

    kind: Kind
    nth: int | range | tuple[int, ...] | None = None
    probability: float = 1.0
    path: str = ""
    status: int = 503
    code: str = "ServiceUnavailable"
    retry_after: str | None = None
    location: str = "http://127.0.0.2:9/elsewhere"
    bytes_per_s: float = 2.0

    def matches(self, number: int) -> bool:
        """Return whether request ``number`` on the path is one of ``nth``."""
        if self.nth is None:
            return True
        return number == self.nth if isinstance(self.nth, int) else number in self.nth


class FaultPlan:
    """Decides which request is hit; the same seed and order of requests give the same faults."""

    def __init__(self, faults: Sequence[Fault], *, seed: int) -> None:
        self._faults = tuple(faults)
        self._seen = [0] * len(self._faults)
        self._chance = random.Random(seed)

    def pick(self, path: str) -> Fault | None:
        """Return the fault that hits this request, and count it."""
        picked: Fault | None = None
        for position, fault in enumerate(self._faults):
            if fault.path not in path:
                continue
            self._seen[position] += 1
            lucky = fault.probability < 1 and self._chance.random() >= fault.probability
            if picked is None and not lucky and fault.matches(self._seen[position]):
                picked = fault
        return picked


def spoil(fault: Fault, answer: Answer, query: str) -> Answer | None:
    """Return the wrong answer of faults that keep to HTTP, None for those that break it."""
    if fault.kind == "same_token":
        return _same_token(answer, query)
    make = _SPOILERS.get(fault.kind)
    return make(fault, answer) if make else None


def _error(fault: Fault, answer: Answer) -> Answer:
    text = wire.error_xml(fault.code, "Injected by the emulator.", request_id="fault", trace_id="fault")
    extra = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
    return Answer(fault.status, text, {**answer.headers, **extra})


def _same_token(answer: Answer, query: str) -> Answer:
    asked = dict(parse_qsl(query)).get("nextToken")
    if asked is None:
        return answer
    node = wire.leaf("NextToken", asked).encode()
    return replace(answer, body=_NEXT_TOKEN.sub(lambda _: node, answer.body))


def _redirect(fault: Fault, answer: Answer) -> Answer:
    status = fault.status if 300 <= fault.status < 400 else 307  # noqa: PLR2004 - HTTP's range
    return Answer(status, b"", {**answer.headers, "Location": fault.location})


def _other_content(answer: Answer, content_type: str, text: bytes) -> Answer:
    return Answer(200, text, {**answer.headers, "Content-Type": content_type})


@cache
def _packed_spaces() -> bytes:
    return gzip.compress(b" " * (64 * 2**20))


def _gzip_bomb(answer: Answer) -> Answer:
    bomb = gzip.compress(answer.body) + _packed_spaces()  # joined, two gzip files are one
    return Answer(answer.status, bomb, {**answer.headers, "Content-Encoding": "gzip"})


def _doctype(body: bytes) -> bytes:
    laughs = '<!DOCTYPE Response [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    return body.replace(wire.DECLARATION, wire.DECLARATION + laughs.encode(), 1)


def _middle_of_tag(body: bytes) -> int:
    return body.rfind(b"<", 0, max(len(body) * 2 // 3, 1)) + 3


_HTML = b"<!doctype html><html><body>Please <b>log in</b><br></body></html>"
_JSON = b'{"code": "InternalError", "message": "Injected by the emulator."}'
_SPOILERS: dict[str, Callable[[Fault, Answer], Answer]] = {
    "status": _error,
    "redirect": _redirect,
    "html": lambda _, answer: _other_content(answer, "text/html", _HTML),
    "json": lambda _, answer: _other_content(answer, "application/json", _JSON),
    "empty": lambda _, answer: replace(answer, body=b""),
    "doctype": lambda _, answer: replace(answer, body=_doctype(answer.body)),
    "unclosed_tag": lambda _, answer: replace(answer, body=answer.body.replace(b"</Tag>", b"<Tag>")),
    "other_job": lambda _, answer: replace(answer, body=_OTHER_JOB.sub(rb"\1z", answer.body)),
    "gzip_bomb": lambda _, answer: _gzip_bomb(answer),
    "cut_body": lambda _, answer: replace(answer, body=answer.body[: _middle_of_tag(answer.body)]),
}


async def break_connection(fault: Fault, stream: Any, answer: Answer) -> None:
    """Play a fault that does not keep to HTTP on the raw stream of a request, and close it."""
    try:
        await _play(fault, stream, answer)
    except OSError:
        pass  # the client gave up first, which is what many of these faults are for
    finally:
        stream.close()


async def _play(fault: Fault, stream: Any, answer: Answer) -> None:
    match fault.kind:
        case "reset_before_headers":
            _reset_on_close(stream)
        case "reset_after_headers":
            await stream.write(_head(answer, len(answer.body)) + answer.body[:20])
            await asyncio.sleep(0.05)  # a reset overtakes what the client has not read yet
            _reset_on_close(stream)
        case "wrong_length":
            await stream.write(_head(answer, len(answer.body) + 1000) + answer.body)
        case "drip_headers":
            await _drip(stream, _head(answer, len(answer.body)) + answer.body, fault.bytes_per_s)
        case "drip_body":
            await stream.write(_head(answer, len(answer.body)))
            await _drip(stream, answer.body, fault.bytes_per_s)
        case "silence":
            await stream.read_until_close()
        case "oversized":
            await _flood(stream, answer)
        case "close":
            await stream.write(_head(answer, len(answer.body)) + answer.body)


def _head(answer: Answer, length: int | None) -> bytes:
    size = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    lines = [f"{name}: {value}" for name, value in {**answer.headers, **size}.items()]
    status = f"HTTP/1.1 {answer.status} {responses.get(answer.status, 'Unknown')}"
    return "\r\n".join([status, *lines, "", ""]).encode("latin-1")


def _reset_on_close(stream: Any) -> None:
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _drip(stream: Any, data: bytes, bytes_per_s: float) -> None:
    for position in range(len(data)):
        await stream.write(data[position : position + 1])
        await asyncio.sleep(1 / bytes_per_s)


async def _flood(stream: Any, answer: Answer) -> None:
    await stream.write(_head(answer, None))
    opening = answer.body[: answer.body.rfind(b"</Response>")]
    await stream.write(b"%x\r\n%b\r\n" % (len(opening), opening))
    chunk = b"%x\r\n%b\r\n" % (2**16, b" " * 2**16)
    for _ in range(100 * 2**20 // 2**16):
        await stream.write(chunk)
    await stream.write(b"b\r\n</Response>\r\n0\r\n\r\n")
