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
from xml.parsers import expat

import xmltodict

from cosai_nb.errors import MalformedError, OversizedError
from cosai_nb.schema import COLUMNS, WIRE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64

Values = tuple[str | None, ...]


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
    reader, _, repaired = _read(body)
    return Answer(reader.jobs, _ids(reader.not_found), _clean("".join(reader.next_token)), repaired)


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
    _, sound, _ = _read(body)
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
    queues = _listed(parse_tree(body), "QueueList")
    return [
        {name: next(_texts(queue.get(name)), None) for name in names}
        for queue in queues
        if isinstance(queue, dict)
    ]


def parse_missing_queues(body: bytes) -> list[str]:
    """Read the queue IDs that an ``/ai_queue`` answer does not know (``NonExistPIDs``), each once.

    Raises
    ------
    MalformedError, OversizedError
        As :func:`parse_jobs`.

    Examples
    --------
    >>> parse_missing_queues(b"<Response><NonExistPIDs><QueueID>p1</QueueID></NonExistPIDs></Response>")
    ['p1']
    """
    return _ids(list(_texts(_listed(parse_tree(body), "NonExistPIDs"))))


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
        _sound(body, _Reader(root="Error"))
        said = _tree(body)["Error"]
    except (MalformedError, OversizedError):
        said = _json_error(body)
    if not isinstance(said, dict):
        return Fault(None, head(body) or None, None)
    fields = {str(key).replace("_", "").lower(): next(_texts(value), "") for key, value in said.items()}
    return Fault(*(head(fields.get(key, "")) or None for key in ("code", "message", "requestid")))


def head(text: bytes | str, *, limit: int = 300) -> str:
    """Shorten text that came from outside to something fit for a message: one line, no controls, no signature.

    Examples
    --------
    >>> head("x" * 400, limit=5), head(b"a\\r\\n\\x1b[31mb")
    ('xxxxx…', 'a [31mb')
    """
    shown = text[: 8 * limit]
    if isinstance(shown, bytes):
        shown = shown.decode("utf-8", "replace")
    shown = _CREDENTIAL.sub(r"\1***", shown)
    shown = " ".join("".join(char if char.isprintable() else " " for char in shown).split())
    return shown if len(shown) <= limit else shown[:limit] + "…"


# A debugging proxy may echo the request's own headers in its page.
_CREDENTIAL = re.compile(
    r"(q-(?:ak|signature)=|(?:security-token|authorization|secret_?(?:id|key))[\"']?\s*[:=]\s*)[^\s&<\"',;]+", re.IGNORECASE
)
_DEFECT = re.compile(rb"<([A-Za-z_][\w.:-]*)>([^<>]+)<\1>")
_SEPARATORS = re.compile(r"[,;\s]+")

_Trie = dict[str, "_Trie | int | str"]


def _trie() -> _Trie:
    job: _Trie = {}
    for index, column in enumerate(WIRE):
        *parents, leaf = column.path.split("/")
        node = job
        for parent in parents:
            node = node.setdefault(parent, {})  # type: ignore[assignment]  # no WIRE path is another's parent
        node[leaf] = index
    return {"JobsDetail": job, "NonExistJobIds": "not_found", "NextToken": "next_token"}


_RESPONSE = _trie()
_JOB = _RESPONSE["JobsDetail"]
_INSIDE_LEAF: _Trie = {}
_BLANK: Values = (None,) * len(WIRE)
_CATEGORY = tuple(column.dtype == "category" for column in WIRE)
_known: dict[str, str] = {}  # one object for each repeated category text, over all answers; bounded
_MAX_KNOWN = 4096


class _Reader:
    """The events of one answer. ``parser`` is given back with its handlers taken off, so that no cycle is left."""

    __slots__ = ("below", "depth", "jobs", "leaf", "next_token", "not_found", "parser", "root", "stack", "text", "values")

    def __init__(self, *, root: str = "Response") -> None:
        self.root = root
        self.jobs: list[Values] = []
        self.not_found: list[str] = []
        self.next_token: list[str] = []
        self.values: list[str | None] = list(_BLANK)
        self.text: list[str] = []
        self.stack: list[_Trie] = []
        self.below: _Trie = {root: _RESPONSE if root == "Response" else {}}
        self.leaf: int | None = None
        self.depth = 0

    def read(self, body: bytes) -> None:
        # The encoding is forced: a label that lies must not change what the guards have seen.
        self.parser = parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        self._resume()
        try:
            parser.Parse(body, True)
        finally:
            parser.StartElementHandler = parser.EndElementHandler = None
            parser.CharacterDataHandler = parser.StartDoctypeDeclHandler = None

    def _resume(self) -> None:
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self.text.append

    def _start(self, name: str, _attributes: object) -> None:
        target = self.below.get(name)
        if target is None and ":" in name:
            target = self.below.get(name.rpartition(":")[2])
        if target.__class__ is int:
            self.stack.append(self.below)
            self.below = _INSIDE_LEAF
            self.leaf = target  # type: ignore[assignment]  # the line above says so
            self.text.clear()
        elif target.__class__ is dict:
            self.stack.append(self.below)
            self.below = target  # type: ignore[assignment]  # the line above says so
        elif not self.stack:
            raise _wrong_root(name)
        else:
            self._leave(target)  # type: ignore[arg-type]  # str or None is what is left

    def _end(self, _name: str) -> None:
        leaf = self.leaf
        if leaf is not None:
            self.leaf = None
            if self.values[leaf] is None and (text := "".join(self.text).strip()):
                self.values[leaf] = _known.setdefault(text, text) if _CATEGORY[leaf] else text
        elif self.below is _JOB:
            job = tuple(self.values)
            if job != _BLANK:
                self.jobs.append(job)
                self.values = list(_BLANK)
        self.below = self.stack.pop()

    def _leave(self, collect: str | None) -> None:
        """Step over a subtree, or collect its texts."""
        self.depth = len(self.stack) + 1
        parser = self.parser
        if collect is None:
            parser.CharacterDataHandler = None
            parser.StartElementHandler = self._deeper
            parser.EndElementHandler = self._shallower
            return
        texts: list[str] = getattr(self, collect)
        if collect == "next_token" and texts:
            ...
