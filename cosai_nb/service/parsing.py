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
        _, sound, _ = _read(body, root="Error")
        said = _tree(sound)["Error"]
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
    r"(q-(?:ak|signature)=|(?:security-token|secret_?(?:id|key))[\"']?\s*[:=]\s*[\"']?)[^\s&<\"',;]+",
    re.IGNORECASE,
)
_DEFECT = re.compile(rb"<([A-Za-z_][\w.:-]*)>([^<>]+)<\1>")
_SEPARATORS = re.compile(r"[,;\s]+")

_Trie = dict[str, Any]
"""Below each name: another trie, the index of a WIRE column, or the reader's list that collects the texts."""


def _trie() -> _Trie:
    job: _Trie = {}
    for index, column in enumerate(WIRE):
        *parents, leaf = column.path.split("/")
        node = job
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = index
    return {"JobsDetail": job, "NonExistJobIds": "not_found", "NextToken": "next_token"}


_RESPONSE = _trie()
_JOB = _RESPONSE["JobsDetail"]
_NOTHING: _Trie = {}
_BLANK: Values = (None,) * len(WIRE)
_CATEGORY = tuple(column.dtype == "category" for column in WIRE)
_known: dict[
    str, str
] = {}  # one object for each repeated category text of all answers: frames of millions of jobs
_MAX_KNOWN = 4096
_MAX_KNOWN_TEXT = 64


class _Reader:
    """The events of one answer, with ``root`` as its only accepted root."""

    def __init__(self, body: bytes, *, root: str) -> None:
        self.body = body
        self.jobs: list[Values] = []
        self.not_found: list[str] = []
        self.next_token: list[str] = []
        self.values: list[str | None] = list(_BLANK)
        self.text: list[str] = []
        self.stack: list[_Trie] = []
        self.below: _Trie = {root: _RESPONSE if root == "Response" else _NOTHING}
        self.leaf: int | None = None
        self.collects: list[str] | None = None
        self.depth = 0
        # The encoding is forced: a label that lies must not change what the guards see.
        self.parser = expat.ParserCreate("utf-8")

    def read(self) -> None:
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self._listen()
        try:
            self.parser.Parse(self.body, True)
        finally:
            del (
                self.parser
            )  # it holds this object's methods: without the cycle no garbage collection is needed

    def _listen(self) -> None:
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self.text.append

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        target = self.below.get(name)
        if target is None and ":" in name:
            target = self.below.get(name.rpartition(":")[2])
        if target.__class__ is int:
            self.stack.append(self.below)
            self.below = _NOTHING
            self.leaf = target
            self.text.clear()
        elif target.__class__ is dict:
            self.stack.append(self.below)
            self.below = target
        elif self.stack:
            self._step_aside(target)
        else:
            raise _wrong_root(name.rpartition(":")[2], self.body)

    def _end(self, _name: str) -> None:
        if self.leaf is not None:
            if self.values[self.leaf] is None:
                text = "".join(self.text).strip()
                if text and _CATEGORY[self.leaf] and len(text) <= _MAX_KNOWN_TEXT:
                    text = _known.setdefault(text, text)
                self.values[self.leaf] = text or None
            self.leaf = None
        elif self.below is _JOB:
            job = tuple(self.values)
            if job != _BLANK:
                self.jobs.append(job)
                self.values = list(_BLANK)
        self.below = self.stack.pop()

    def _step_aside(self, collector: str | None) -> None:
        """Pass over a subtree; cheap, for a speech result may hold thousands of words. Collect its texts if told."""
        self.depth = len(self.stack) + 1
        self.parser.StartElementHandler = self._deeper
        self.parser.EndElementHandler = self._back
        if collector is None:
            self.parser.CharacterDataHandler = None
        else:
            self.collects = getattr(self, collector)
            self.text.clear()

    def _deeper(self, _name: str, _attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise OversizedError(
                f"The answer nests more than {MAX_DEPTH} elements; no documented answer does. Nothing of it was read."
            )
        if self.collects is not None:
            self.text.append(" ")

    def _back(self, _name: str) -> None:
        self.depth -= 1
        if self.depth > len(self.stack):
            if self.collects is not None:
                self.text.append(" ")
            return
        if self.collects is not None:
            self.collects.append("".join(self.text))
            self.collects = None
        self._listen()

    def _doctype(self, *_declaration: object) -> None:
        raise MalformedError(
            f"The answer has a DOCTYPE, which no answer of the service has; it was refused unread. It begins: {head(self.body)}"
        )


def _read(body: bytes, *, root: str = "Response") -> tuple[_Reader, bytes, str | None]:
    """Read strictly; only where that fails, read once more with the documented defect repaired."""
    if len(body) > MAX_BYTES:
        raise OversizedError(
            f"The answer has {len(body):,} bytes, more than the {MAX_BYTES:,} that are read; ask for fewer jobs at a time."
        )
    if len(_known) > _MAX_KNOWN:
        _known.clear()
    reader = _Reader(body, root=root)
    try:
        reader.read()
    except (expat.ExpatError, ValueError) as error:
        refused = _ill_formed(body, error)
    else:
        return reader, body, None
    sound, repaired = _repair(body)
    if repaired is None:
        raise refused
    reader = _Reader(sound, root=root)
    try:
        reader.read()
    except (expat.ExpatError, ValueError):
        raise refused from None
    return reader, sound, repaired


def _repair(body: bytes) -> tuple[bytes, str | None]:
    """Close ``<X>text<X>`` by ``</X>``: the one defect that the service's own documents print."""
    names: list[str] = []

    def close(found: re.Match[bytes]) -> bytes:
        if not found[2].strip():
            return found[0]
        names.append(head(found[1], limit=40))
        return b"<%b>%b</%b>" % (found[1], found[2], found[1])

    sound = _DEFECT.sub(close, body)
    if not names:
        return body, None
    which = ", ".join(f"<{name}>" for name in sorted(set(names))[:5])
    return (
        sound,
        f"The answer closed {which} by a second opening tag ({len(names)} times); it was read as a closing tag.",
    )


def _ill_formed(body: bytes, error: Exception) -> MalformedError:
    if not body.strip():
        return MalformedError("The answer is empty; ask again.", retryable=True)
    return MalformedError(
        f"The answer is not well-formed XML ({error}); it may have been cut or come from a proxy. It begins: {head(body)}",
        retryable=True,
    )


def _wrong_root(root: str, body: bytes) -> MalformedError:
    if root != "Error":
        return MalformedError(
            f"The answer is no <Response> but <{head(root, limit=40)}>. It begins: {head(body)}"
        )
    fault = parse_error(body)
    return MalformedError(
        f"The answer came as a success and holds an <Error>: {fault.code}: {fault.message}",
        code=fault.code,
        request_id=fault.request_id,
    )


def _tree(body: bytes) -> dict[str, Any]:
    def local(_path: object, key: str, value: object) -> tuple[str, object]:
        return key.rpartition(":")[2] if not key.startswith("@") else key, value

    tree: dict[str, Any] = xmltodict.parse(
        body, encoding="utf-8", force_list=("JobsDetail",), postprocessor=local
    )
    return tree


def _listed(tree: dict[str, Any], name: str) -> list[Any]:
    response = tree.get("Response")
    found = response.get(name) if isinstance(response, dict) else None
    return found if isinstance(found, list) else [found]


def _texts(node: object) -> Iterator[str]:
    """Every text at and below a node of xmltodict's tree, attributes left out."""
    if isinstance(node, str):
        yield node
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
    while isinstance(said, dict) and (inner := said.get("Response") or said.get("Error")):
        said = inner
    return said
