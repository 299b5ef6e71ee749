"""Bytes to records: the only reader of the service's XML.

::

    Response
    ├── JobsDetail*          one job; WIRE paths below it are read, everything else is stepped over
    ├── NonExistJobIds*      IDs nobody knows: one a node, a list in one node, or child elements
    └── NextToken            of a list: where the next page starts

Only whole paths count: a Success job may hold a nested ``State`` = Failed (``Operation/DigitalWatermark/State``).
Names are compared without their namespace. Of repeated nodes the first that holds text wins, and text is
stripped, both as in the whole tree that :func:`parse_tree` gives.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import xmltodict

from cosai_nb.errors import AnswerError, MalformedError
from cosai_nb.service.reader import Reader, Values, head, read

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEPARATORS = re.compile(r"[,;\s]+")


class Answer(NamedTuple):
    """What an answer of the service says.

    Parameters
    ----------
    jobs : list of tuple of (str or None)
        One tuple a job, aligned with :data:`cosai_nb.schema.WIRE`; None where a node is absent or empty. A job of
        which nothing is said (``<JobsDetail/>``) is no job.
    not_found : list of str
        The IDs of NonExistJobIds, each once.
    next_token : str or None
        Where the next page of a list starts.
    repaired : str or None
        A sentence that names the documented defect, where one was repaired.
    """

    jobs: list[Values]
    not_found: list[str]
    next_token: str | None
    repaired: str | None


class Fault(NamedTuple):
    """What an error body says; every field is short and free of control characters."""

    code: str | None
    message: str | None
    request_id: str | None


def parse_jobs(body: bytes) -> Answer:
    """Read the jobs of an answer, its unknown IDs and its next token.

    Parameters
    ----------
    body : bytes
        The body of a 200 answer of ``/ai_jobs`` or ``/jobs``.

    Raises
    ------
    MalformedError
        Not a documented answer; ``retryable`` where it may have been cut on the way.
    OversizedError
        Above 16 MiB or deeper than 64 elements.

    Examples
    --------
    >>> answer = parse_jobs(
    ...     b"<Response><JobsDetail><JobId>a1</JobId><State>Running</State></JobsDetail>"
    ...     b"<NonExistJobIds>a2</NonExistJobIds></Response>"
    ... )
    >>> answer.jobs[0][0], answer.not_found
    ('a1', ['a2'])
    """
    reader, _, repaired = _response(body)
    next_token = next(filter(None, map(str.strip, reader.next_token)), None)
    return Answer(reader.jobs, _ids(reader.not_found), next_token, repaired)


def parse_tree(body: bytes) -> dict[str, Any]:
    """Read a whole answer, every node of it, known or not, as xmltodict gives it.

    ``JobsDetail`` is always a list; names stand without their namespace prefix.

    Raises
    ------
    MalformedError, OversizedError
        As :func:`parse_jobs`.

    Examples
    --------
    >>> parse_tree(b"<Response><JobsDetail><JobId>a1</JobId></JobsDetail></Response>")
    {'Response': {'JobsDetail': [{'JobId': 'a1'}]}}
    """
    _, sound, _ = _response(body)
    return _tree(sound)


def parse_queues(body: bytes) -> list[dict[str, str | None]]:
    """Read the queues of an ``/ai_queue`` answer.

    Returns
    -------
    list of dict
        QueueId, Name, State, MaxSize, MaxConcurrent, Category, CreateTime and UpdateTime of each queue, as sent.

    Raises
    ------
    MalformedError, OversizedError
        As :func:`parse_jobs`.

    Examples
    --------
    >>> queues = parse_queues(b"<Response><QueueList><QueueId>p1</QueueId></QueueList></Response>")
    >>> queues[0]["QueueId"], queues[0]["State"]
    ('p1', None)
    """
    names = ("QueueId", "Name", "State", "MaxSize", "MaxConcurrent", "Category", "CreateTime", "UpdateTime")
    response = parse_tree(body).get("Response")
    found = response.get("QueueList") if isinstance(response, dict) else None
    return [
        {name: next(_texts(queue.get(name)), None) for name in names}
        for queue in (found if isinstance(found, list) else [found])
        if isinstance(queue, dict)
    ]


def parse_error(body: bytes) -> Fault:
    """Read an error body: XML with or without ``Resource``, JSON, or the head of anything else. Never raises.

    Examples
    --------
    >>> parse_error(b"<Error><Code>AccessDenied</Code><Message>No.</Message></Error>")
    Fault(code='AccessDenied', message='No.', request_id=None)
    >>> parse_error(b"<html>proxy login")
    Fault(code=None, message='<html>proxy login', request_id=None)
    """
    try:
        reader, sound, _ = read(body)
        said = _tree(sound)["Error"] if reader.error else None
    except AnswerError:
        said = _json_error(body)
    fields = said if isinstance(said, dict) else {}
    texts = {str(key).replace("_", "").lower(): next(_texts(value), "") for key, value in fields.items()}
    fault = Fault(*(head(texts.get(key, "")) or None for key in ("code", "message", "requestid")))
    return fault if any(fault) else Fault(None, head(body) or None, None)


def _response(body: bytes) -> tuple[Reader, bytes, str | None]:
    reader, sound, repaired = read(body)
    if reader.error:
        fault = parse_error(sound)
        raise MalformedError(
            f"The answer came as a success but is an <Error>: {fault.code}: {fault.message}",
            code=fault.code,
            request_id=fault.request_id,
        )
    return reader, sound, repaired


def _tree(body: bytes) -> dict[str, Any]:
    def local(_path: object, key: str, value: object) -> tuple[str, object]:
        return key.rpartition(":")[2] if not key.startswith("@") else key, value

    tree: dict[str, Any] = xmltodict.parse(
        body, encoding="utf-8", force_list=("JobsDetail",), postprocessor=local
    )
    return tree


def _texts(node: object) -> Iterator[str]:
    """Every text at and below a node of xmltodict's tree, attributes left out."""
    if isinstance(node, (str, int)):
        yield str(node)
    elif isinstance(node, list):
        for child in node:
            yield from _texts(child)
    elif isinstance(node, dict):
        for key, child in node.items():
            if not key.startswith("@"):
                yield from _texts(child)


def _ids(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(part for text in texts for part in _SEPARATORS.split(text) if part))


def _json_error(body: bytes) -> object:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    while isinstance(said, dict):
        inner = said.pop("Response", None) or said.pop("Error", None)
        if not isinstance(inner, dict):
            break
        said |= inner
    return said
