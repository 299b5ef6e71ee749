"""Bytes to records: the only reader of the service's XML.

::

    Response
    ├── JobsDetail*          one job; the wanted paths below it are read, everything else is passed over
    ├── NonExistJobIds*      unknown IDs: one a node, a list in one node, or child elements
    └── NextToken            of a list: where the next page starts

Only whole paths count: a Success job may hold a nested ``State`` = Failed (``Operation/DigitalWatermark/State``). Names
are compared without their namespace. Of repeated nodes the first that holds text counts, and text is stripped, both as in
the whole tree that :func:`parse_tree` gives.

Jobs of one kind have the same tags in the same order. So an answer is split at its angle brackets, and the tags of a job
(its *shape*) say at once where each wanted text stands. A shape is learnt only from a document that expat found
well-formed; that one is read as a tree. A later document needs neither where all its shapes are known, for then only its
texts could be wrong, and texts without control characters and unusual references cannot.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat
from xml.sax.saxutils import unescape

import xmltodict

from cosai_nb.errors import AnswerError, MalformedError, OversizedError
from cosai_nb.schema import WIRE

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 64

Values = tuple[str | None, ...]
_Pick = Callable[[list[str]], Sequence[str]]
PLACE = {column.name: place for place, column in enumerate(WIRE)}
"""Where the text of each column stands in a job's Values."""

_REPEATED = frozenset(column.path for column in WIRE if column.dtype == "category")
# shapes kept, and characters of one: recognised words make shapes without end
_MAX_SHAPES, _MAX_SHAPE = 1_000, 10_000
_MAX_KNOWN, _MAX_KNOWN_TEXT = 4_096, 64
_CONTENT = frozenset({"JobsDetail", "NonExistJobIds", "QueueList"})
_SEPARATORS = re.compile(r"[,;\s]+")
_DECLARATION = re.compile(
    r"""\ufeff?(?:<\?xml version=["']1\.0["'](?: encoding=["'][A-Za-z][\w.-]*["'])?\s*\?>)?\s*""", re.ASCII
)
# Deleted from a body, they leave "<>" a tag, unless a bracket or a control character stands where none may.
_PLAIN = bytes({*range(32, 256), *b"\t\n"} - {*b"<>"})
_NAMED = re.compile("&(?:lt|gt|quot|apos|amp);")
_QUOTES = {"&quot;": '"', "&apos;": "'"}
_ODD = re.compile(r"[\s>:!?\"'=]")  # stands in no tag that is a bare name
# expat itself reports a cut or broken document by either of these two
_ILL_FORMED = (expat.ExpatError, ValueError)
_UNCLOSED = re.compile(rb"<([A-Za-z_][\w.:-]*)>([^<>]+)<\1>")
_FORBIDDEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]|&#(?:x([0-9a-fA-F]{1,8})|([0-9]{1,9}));"
)
_LAST_CHARACTER = 0x10FFFF
# a debugging proxy may echo the request's own headers in its page
_CREDENTIAL = re.compile(
    r"(q-(?:ak|signature)=|(?:security-token|secret_?(?:id|key))[\"']?\s*[:=]\s*[\"']?)[^\s&<\"',;]+",
    re.IGNORECASE,
)
_QUEUE_NODES = (
    "QueueId", "Name", "State", "MaxSize", "MaxConcurrent", "Category", "CreateTime", "UpdateTime",
)  # fmt: skip


class Answer(NamedTuple):
    """What an answer of the service says.

    Parameters
    ----------
    jobs : list of tuple of (str or None)
        One tuple a job, aligned with the wanted paths; None where a node is absent or empty. A job of which nothing is
        said (``<JobsDetail/>``) is no job.
    not_found : list of str
        The IDs of NonExistJobIds, each once.
    next_token : str or None
        Where the next page of a list starts.
    repaired : str or None
        A sentence that names the defect, where one was repaired.
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


class Fields:
    """The paths below ``JobsDetail`` that are read, and what was learnt of answers that hold them.

    Parameters
    ----------
    extra : sequence of str
        Paths beyond those of :data:`cosai_nb.schema.WIRE`, in the order of the further values.
    """

    def __init__(self, extra: Sequence[str] = ()) -> None:
        paths, repeated = [*(column.path for column in WIRE), *extra], _REPEATED
        order = sorted(range(len(paths)), key=lambda place: paths[place] not in repeated)
        self._paths = [paths[place] for place in order]
        self._repeated = sum(path in repeated for path in paths)  # the first of the paths
        self._in_order = itemgetter(*sorted(range(len(order)), key=order.__getitem__))
        self._blank: Values = (None,) * len(paths)
        self._shapes: dict[str, tuple[_Pick, _Pick]] = {}
        self._known = _Known()

    def read(self, parts: list[str]) -> Answer:
        """Read a document that was split at its angle brackets: texts at even places, tags at odd ones.

        Raises
        ------
        LookupError
            Where something stands there that no well-formed document had.
        """
        jobs: list[Values] = []
        known, in_order, shapes = self._known.__getitem__, self._in_order, self._shapes
        place = 3
        while parts[place] == "JobsDetail":
            end = parts.index("/JobsDetail", place)
            repeated, single = shapes["<".join(parts[place + 2 : end : 2])]
            texts = parts[place + 1 : end : 2]
            texts.append("")  # where absent columns point to
            values = [*map(known, repeated(texts))]
            values += [(_plain(text) if "&" in text else text).strip() or None for text in single(texts)]
            if (job := in_order(values)) != self._blank:
                jobs.append(job)
            place = end + 2
        collected: dict[str, list[str]] = {"NonExistJobIds": [], "NextToken": []}
        while (tag := parts[place]) != "/Response":
            if parts[place + 2] != f"/{tag}":
                raise LookupError(tag)
            collected[tag].append(_plain(parts[place + 1]))
            place += 4
        if place != len(parts) - 2 or parts[-1].strip():
            raise LookupError("the end")
        return _answer(jobs, **collected)

    def read_tree(self, root: Element) -> Answer:
        """Read a document as a tree."""
        details = _children(root, "JobsDetail")
        jobs = [self._in_order([_text_at(detail, path) for path in self._paths]) for detail in details]
        collected = {
            name: [" ".join(node.itertext()) for node in _children(root, name)]
            for name in ("NonExistJobIds", "NextToken")
        }
        return _answer([job for job in jobs if job != self._blank], **collected)

    def learn(self, parts: list[str]) -> None:
        """Learn the shapes of the jobs of a well-formed document that was split at its angle brackets."""
        place = 3
        with contextlib.suppress(LookupError, ValueError):  # tags that are no bare names
            while parts[place] == "JobsDetail":
                end = parts.index("/JobsDetail", place)
                shape = "<".join(parts[place + 2 : end : 2])
                if _ODD.search(shape):
                    return  # comments and attributes may hold brackets of their own
                if len(shape) <= _MAX_SHAPE and (pick := self._pick(shape)):
                    if len(self._shapes) >= _MAX_SHAPES:
                        self._shapes.clear()
                    self._shapes[shape] = pick
                place = end + 2

    def _pick(self, shape: str) -> tuple[_Pick, _Pick] | None:
        """Return what picks the wanted texts of a job with these tags; None where one is in pieces or stands twice."""
        found: dict[str, int] = {}
        path: list[str] = []
        opened = ""
        for number, tag in enumerate(shape.split("<") if shape else ()):
            if tag[0] == "/":
                here = "/".join(path)
                if here in self._paths and (here != opened or here in found):
                    return None
                found[here] = number
                path.pop()
            elif tag[-1] != "/":
                path.append(tag)
            opened = "/".join(path) if tag[0] != "/" and tag[-1] != "/" else ""
        places = [found.get(path, -1) for path in self._paths]
        if path:  # a JobsDetail in a JobsDetail
            return None
        return itemgetter(*places[: self._repeated]), itemgetter(*places[self._repeated :])


class _Known(dict[str, "str | None"]):
    """Texts as sent to texts as read; repeated ones are one object, because a call may hold millions of jobs."""

    def __missing__(self, sent: str) -> str | None:
        text = _plain(sent).strip() or None
        if len(sent) <= _MAX_KNOWN_TEXT:
            if len(self) >= _MAX_KNOWN:
                self.clear()
            self[sent] = text
        return text


_WIRE_FIELDS = Fields()


def parse_jobs(body: bytes, fields: Fields = _WIRE_FIELDS) -> Answer:
    """Read the jobs of an answer, its unknown IDs and its next token.

    Parameters
    ----------
    body : bytes
        The body of a 200 answer about jobs.
    fields : Fields
        What to read of each job.

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
    parts = _split(body)
    if parts is not None:
        try:
            return fields.read(parts)
        except (LookupError, ValueError):
            pass  # expat says what it is
    root, valid, repaired = _response(body)
    answer = fields.read_tree(root)._replace(repaired=repaired)
    if parts is not None and valid is body:
        fields.learn(parts)
    return answer


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

    def local(_path: object, key: str, value: object) -> tuple[str, object]:
        return key.rpartition(":")[2] if not key.startswith("@") else key, value

    _, valid, _ = _response(body)
    tree: dict[str, Any] = xmltodict.parse(
        valid, encoding="utf-8", force_list=("JobsDetail",), postprocessor=local
    )
    return tree


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
    root, _, _ = _response(body)
    return [{name: _text_at(queue, name) for name in _QUEUE_NODES} for queue in _children(root, "QueueList")]


def parse_error(body: bytes) -> Fault:
    """Read an error body: XML with or without ``Resource``, JSON, or the head of anything else. Never raises.

    Examples
    --------
    >>> parse_error(b"<Error><Code>AccessDenied</Code><Message>No.</Message></Error>")
    Fault(code='AccessDenied', message='No.', request_id=None)
    >>> parse_error(b"<html>proxy login")
    Fault(code=None, message='<html>proxy login', request_id=None)
    """
    fields: dict[str, str] = {}
    try:
        root, _, _ = _well_formed(body)
        said = root if _local(root) == "Error" else next(iter(_children(root, "Error")), ())
        fields = {_local(node): "".join(node.itertext()) for node in said}
    except AnswerError:
        fields = _json_error(body)
    texts = {key.replace("_", "").lower(): text for key, text in fields.items()}
    fault = Fault(*(head(texts.get(key, "")) or None for key in ("code", "message", "requestid")))
    return fault if any(fault) else Fault(None, head(body) or None, None)


def head(text: bytes | str, *, limit: int = 300) -> str:
    r"""Make outside text fit for a message: short, one line, no control characters, no signature.

    Examples
    --------
    >>> head("x" * 400, limit=5), head(b"a\r\n\x1b[31mb")
    ('xxxxx…', 'a [31mb')
    """
    shown = text[: 8 * limit]
    if isinstance(shown, bytes):
        shown = shown.decode("utf-8", "replace")
    shown = _CREDENTIAL.sub(r"\1***", shown)
    shown = " ".join("".join(char if char.isprintable() else " " for char in shown).split())
    return shown if len(shown) <= limit else shown[:limit] + "…"


def _split(body: bytes) -> list[str] | None:
    """Split plain markup at its angle brackets; None where a bracket may belong to no tag, or expat must judge a text.

    That is so for control and forbidden characters and for references other than the five named ones.
    """
    if len(body) > MAX_BYTES or body.translate(None, _PLAIN) != b"<>" * body.count(b"<"):
        return None
    try:
        text = body.decode()
    except ValueError:
        return None
    if not text.isascii() and ("\ufffe" in text or "\uffff" in text):
        return None
    if "&" in text and text.count("&") != len(_NAMED.findall(text)):
        return None
    text = text[_DECLARATION.match(text).end() :]  # type: ignore[union-attr]  # it matches nothing, too
    parts = text.replace(">", "<").split("<")
    return parts if parts[:2] == ["", "Response"] else None


def _response(body: bytes) -> tuple[Element, bytes, str | None]:
    """Return the tree of a well-formed Response, its valid bytes, and which defect was repaired."""
    root, valid, repaired = _well_formed(body)
    name = _local(root)
    inside = {_local(node) for node in root}
    # the answer to nothing, not one without jobs
    if name == "Error" or ("Error" in inside and not inside & _CONTENT):
        fault = parse_error(valid)
        raise MalformedError(
            f"The answer came as a success but is an <Error>: {fault.code}: {fault.message}",
            code=fault.code,
            request_id=fault.request_id,
        )
    if name != "Response":
        raise MalformedError(
            f"The answer is no <Response> but <{head(name, limit=40)}>; nothing of it was read. It begins: {head(body)}"
        )
    return root, valid, repaired


def _well_formed(body: bytes) -> tuple[Element, bytes, str | None]:
    """Read a document by expat; only where that fails, read it once more with the known defects repaired."""
    if len(body) > MAX_BYTES:
        raise OversizedError(
            f"The answer has {len(body):,} bytes, more than the {MAX_BYTES:,} that are read; "
            "ask for fewer jobs at a time."
        )
    refused: list[MalformedError] = []
    for reading, repaired in _readings(body):
        try:
            return _element(reading), reading, repaired
        except _ILL_FORMED as error:
            refused.append(_ill_formed(body, error))
    raise refused[0]


def _element(body: bytes) -> Element:
    """Build the tree of a well-formed document that has no DOCTYPE and is not too deep; names keep their prefixes."""
    builder, depth = TreeBuilder(), 0

    def begin(name: str, _attributes: object) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise OversizedError(
                f"The answer nests more than {MAX_DEPTH} elements; no documented answer does. It was not read."
            )
        builder.start(name, {})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    # the encoding is forced: a label that lies must not change what the guards see
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler, parser.CharacterDataHandler = _refuse_doctype, builder.data
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.Parse(body, True)
    return builder.close()


def _local(node: Element) -> str:
    return node.tag.rpartition(":")[2]


def _children(node: Element, name: str) -> list[Element]:
    return [child for child in node if _local(child) == name]


def _text_at(node: Element, path: str) -> str | None:
    """Return the first text at a path below a node; text of a node's own children is none of its."""
    level = [node]
    for name in path.split("/"):
        level = [child for parent in level for child in _children(parent, name)]
    texts = ("".join([here.text or "", *(child.tail or "" for child in here)]).strip() for here in level)
    return next(filter(None, texts), None)


def _answer(jobs: list[Values], *, NonExistJobIds: list[str], NextToken: list[str]) -> Answer:  # noqa: N803
    if not NonExistJobIds and not NextToken:  # nearly always
        return Answer(jobs, [], None, None)
    ids = [part for text in NonExistJobIds for part in _SEPARATORS.split(text) if part]
    return Answer(jobs, list(dict.fromkeys(ids)), next(filter(None, map(str.strip, NextToken)), None), None)


def _plain(text: str) -> str:
    return unescape(text, _QUOTES) if "&" in text else text


def _refuse_doctype(*_declaration: object) -> None:
    raise MalformedError(
        "The answer has a DOCTYPE, as a web page has and no answer of the service; it was refused unread. "
        "Check the endpoint, and log in where a portal or proxy between asks for it."
    )


def _readings(body: bytes) -> Iterator[tuple[bytes, str | None]]:
    """Yield a body as it is, without characters that XML forbids, and without tags closed by an opening tag; say so."""
    yield body, None
    said = "The answer "
    if b"<JobsDetail" in body and b"\x00" not in body[:4]:
        valid = _FORBIDDEN.sub(_escaped, body.decode("utf-8", "backslashreplace")).encode()
        if valid != body:
            said += "held characters that XML forbids; each was read as its escape, such as \\x1b"
            yield valid, f"{said}."
            said, body = f"{said} and ", valid
    names: dict[str, None] = {}

    def close(found: re.Match[bytes]) -> bytes:
        if not found[2].strip():
            return found[0]
        names[f"<{head(found[1], limit=40)}>"] = None
        return b"<%b>%b</%b>" % (found[1], found[2], found[1])

    closed = _UNCLOSED.sub(close, body)
    if names:
        shown = ", ".join(list(names)[:5])
        yield closed, f"{said}closed {shown} by a second opening tag; that was read as its closing tag."


def _escaped(found: re.Match[str]) -> str:
    """Return the escape of a character that XML forbids; a reference to one that it allows stays."""
    number = ord(found[0]) if found[0][0] != "&" else int(found[1] or found[2], 16 if found[1] else 10)
    is_allowed = number <= _LAST_CHARACTER and not _FORBIDDEN.fullmatch(chr(number))
    return found[0] if is_allowed else rf"\x{number:02x}"


def _ill_formed(body: bytes, error: Exception) -> MalformedError:
    if not body.strip():
        return MalformedError("The answer is empty; ask again.", retryable=True)
    return MalformedError(
        f"The answer is not well-formed XML ({error}); it may have been cut, or come from a proxy. It begins: {head(body)}",
        retryable=True,
    )


def _json_error(body: bytes) -> dict[str, str]:
    """Return the fields of a JSON error body that are plain texts or numbers; what is nested deeper is no error of ours."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    fields: dict[str, str] = {}
    while isinstance(said, dict):
        inner = said.pop("Response", None) or said.pop("Error", None)
        fields |= {str(key): str(value) for key, value in said.items() if isinstance(value, (str, int))}
        said = inner
    return fields
