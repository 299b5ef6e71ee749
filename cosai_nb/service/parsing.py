"""Bytes to records: the only reader of the service's XML.

::

    Response
    ├── JobsDetail*          one job; the wanted paths below it are read, everything else is passed over
    ├── NonExistJobIds*      unknown IDs: one a node, a list in one node, or child elements
    └── NextToken            of a list: where the next page starts

Only whole paths count: a Success job may hold a nested ``State`` = Failed (``Operation/DigitalWatermark/State``). Names
are compared without their namespace. Of repeated nodes the first that holds text wins, and text is stripped, both as in
the whole tree that :func:`parse_tree` gives.

Jobs of one kind have the same tags in the same order. So an answer is split at its angle brackets, and the tags of a job
(its *shape*) say at once where each wanted text stands. A shape is learnt only from a document that expat found
well-formed. A later document needs no expat where all its shapes are known, for then only its texts could be wrong, and
texts without ``&`` and control characters cannot.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import escape

import xmltodict

from cosai_nb.errors import AnswerError, MalformedError, OversizedError
from cosai_nb.schema import WIRE

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 64

Values = tuple[str | None, ...]
_Pick = Callable[[list[str]], Sequence[str]]
PLACE = {column.name: place for place, column in enumerate(WIRE)}
"""Where the text of each column stands in a job's Values."""

_MAX_SHAPES, _MAX_SHAPE = 1_000, 10_000  # shapes kept, and characters of one: recognised words make shapes without end
_MAX_KNOWN, _MAX_KNOWN_TEXT = 4_096, 64
_SEPARATORS = re.compile(r"[,;\s]+")
_DECLARATION = re.compile(
    r"""\ufeff?(?:<\?xml version=["']1\.0["'](?: encoding=["'][A-Za-z][\w.-]*["'])?\s*\?>)?\s*""", re.ASCII
)
_CONTROLS = bytes({*range(32)} - set(b"\t\n"))
_REFERENCES = re.compile(r"&(?:amp|lt|gt|quot|apos);")
_BARE = re.compile(r"(?:/?[^\s<>/:\"'=]+/?<?)*")
_NO_TAG = re.compile(rb"<!|<\?(?!xml )")
_MARKUP = re.compile(
    r"""<!\[CDATA\[(?P<cdata>.*?)\]\]>|<!--.*?-->|<\?.*?\?>|(?P<loose>>)"""
    r"""|<(?P<slash>/?)(?:[^\s<>/:]+:)?(?P<name>[^\s<>/]+)(?:[^<>"']|"[^"]*"|'[^']*')*?(?P<empty>/?)>""",
    re.DOTALL,
)
_REFERENCE = re.compile(r"&(?:#(x?)([0-9A-Fa-f]+)|(\w+));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
# expat itself reports a cut or broken document by either of these two
_ILL_FORMED = (expat.ExpatError, ValueError)
_UNCLOSED = re.compile(rb"<([A-Za-z_][\w.:-]*)>([^<>]+)<\1>")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|&#(?:x0*([0-9a-fA-F]{1,6})|0*([0-9]{1,7}));")
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


class _UnverifiedError(Exception):
    """Only expat can tell whether this document is well-formed."""


class Fields:
    """The paths below ``JobsDetail`` that are read, and what was learnt of answers that hold them.

    Parameters
    ----------
    extra : sequence of str
        Paths beyond those of :data:`cosai_nb.schema.WIRE`, in the order of the further values.
    """

    def __init__(self, extra: Sequence[str] = ()) -> None:
        columns = [(column.path, column.dtype == "category") for column in WIRE] + [(path, False) for path in extra]
        order = sorted(range(len(columns)), key=lambda place: not columns[place][1])
        self._paths = [columns[place][0] for place in order]
        self._repeated = sum(repeats for _, repeats in columns)  # the first of the paths
        self._in_order = itemgetter(*sorted(range(len(order)), key=order.__getitem__))
        self._blank: Values = (None,) * len(columns)
        self._shapes: dict[str, tuple[_Pick, _Pick]] = {}
        self._known = _Known()

    def read(self, parts: list[str], *, verified: bool) -> Answer:
        """Read a document that was split at its angle brackets: texts at even places, tags at odd ones.

        Raises
        ------
        _UnverifiedError
            Where a tag is no bare name, and unless ``verified`` where something stands there that no verified
            document had.
        """
        if parts[1] != "Response":
            raise _UnverifiedError
        if len(self._known) > _MAX_KNOWN:
            self._known.clear()
        jobs: list[Values] = []
        collected: dict[str, list[str]] = {"NonExistJobIds": [], "NextToken": []}
        place = 3
        while (tag := parts[place]) != "/Response":
            if tag == "JobsDetail":
                place = self._read_job(parts, place, jobs, verified=verified)
            elif tag in collected and parts[place + 2] == f"/{tag}":
                collected[tag].append(_plain(parts[place + 1]))
                place += 4
            elif not verified or not _BARE.fullmatch(tag):
                raise _UnverifiedError
            else:
                end = _end_of(parts, place, above=1)
                if tag in collected:
                    collected[tag].append(" ".join(map(_plain, parts[place + 1 : end : 2])))
                place = end + 2
        if not verified and (place != len(parts) - 2 or parts[-1].strip()):
            raise _UnverifiedError
        token = next(filter(None, map(str.strip, collected["NextToken"])), None)
        return Answer(jobs, _ids(collected["NonExistJobIds"]), token, None)

    def _read_job(self, parts: list[str], place: int, jobs: list[Values], *, verified: bool) -> int:
        """Read the job whose tag stands at ``place`` and return where the next tag stands."""
        end = parts.index("/JobsDetail", place)
        pick = self._shapes.get("<".join(parts[place + 2 : end : 2]))
        if pick is None:
            if not verified:
                raise _UnverifiedError
            end = _end_of(parts, place, above=1)
            pick = self._learn("<".join(parts[place + 2 : end : 2]))
        texts = parts[place + 1 : end]
        texts.append("")  # where absent columns point to
        repeated, single = pick
        known = self._known
        values = [known[text] for text in repeated(texts)]
        values += [(_plain(text) if "&" in text else text).strip() or None for text in single(texts)]
        job = self._in_order(values)
        if job != self._blank:
            jobs.append(job)
        return end + 2

    def _learn(self, shape: str) -> tuple[_Pick, _Pick]:
        """Return what picks the wanted texts of a job with these tags, and keep it."""
        if not _BARE.fullmatch(shape):
            raise _UnverifiedError
        found: dict[str, list[list[int]]] = {}
        path: list[str] = []
        open_texts: list[list[int]] = [[]]
        for number, tag in enumerate(shape.split("<") if shape else ()):
            if tag[0] == "/":
                path.pop()
                open_texts.pop()
            elif tag[-1] != "/":
                path.append(tag)
                open_texts.append([])
                found.setdefault("/".join(path), []).append(open_texts[-1])
            open_texts[-1].append(2 * number + 2)
        wanted = [found.get(path, []) for path in self._paths]
        pick = _pick(wanted[: self._repeated]), _pick(wanted[self._repeated :])
        if len(shape) <= _MAX_SHAPE:
            if len(self._shapes) >= _MAX_SHAPES:
                self._shapes.clear()
            self._shapes[shape] = pick
        return pick


def _pick(wanted: list[list[list[int]]]) -> _Pick:
    """Return what picks one text a path: the first with text of the nodes there, each of which may be in pieces."""
    if all(len(nodes) <= 1 and all(len(pieces) == 1 for pieces in nodes) for nodes in wanted):
        return itemgetter(*(nodes[0][0] if nodes else -1 for nodes in wanted))

    def pick(texts: list[str]) -> list[str]:
        nodes_of = [["".join(texts[at] for at in pieces) for pieces in nodes] for nodes in wanted]
        return [next((text for text in nodes if text.strip()), "") for nodes in nodes_of]

    return pick


class _Known(dict[str, "str | None"]):
    """Texts as sent to texts as read; repeated ones are one object, for a call may hold millions of jobs."""

    def __missing__(self, sent: str) -> str | None:
        text = _plain(sent).strip() or None
        if len(sent) <= _MAX_KNOWN_TEXT:
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
            return fields.read(parts, verified=False)
        except (_UnverifiedError, ValueError, IndexError):
            pass  # expat says what it is
    sound, repaired = _well_formed(body)
    if parts is None or sound is not body or _NO_TAG.search(body) or not _BARE.fullmatch(parts[1]):
        parts = _parts(sound)
    _check_root(parts, sound)
    if parts[1] == "Response/":
        return Answer([], [], None, repaired)
    try:
        answer = fields.read(parts, verified=True)
    except _UnverifiedError:  # prefixes, attributes
        answer = fields.read(_parts(sound), verified=True)
    return answer._replace(repaired=repaired)


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
    sound, _ = _well_formed(body)
    parts = _parts(sound)
    _check_root(parts, sound)
    _end_of(parts, 1, above=0)
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
    response = parse_tree(body).get("Response")
    found = response.get("QueueList") if isinstance(response, dict) else None
    return [
        {name: next(_texts(queue.get(name)), None) for name in _QUEUE_NODES}
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
        sound, _ = _well_formed(body)
        parts = _parts(sound)
        _end_of(parts, 1, above=0)
        said = _tree(sound)["Error"] if parts[1] == "Error" else None
    except AnswerError:
        said = _json_error(body)
    fields = said if isinstance(said, dict) else {}
    texts = {str(key).replace("_", "").lower(): next(_texts(value), "") for key, value in fields.items()}
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
    if len(body) > MAX_BYTES or len(body.translate(None, _CONTROLS)) != len(body):
        return None
    try:
        text = body.decode()
    except ValueError:
        return None
    if not text.isascii() and ("\ufffe" in text or "\uffff" in text):
        return None
    if "&" in text and text.count("&") != len(_REFERENCES.findall(text)):
        return None
    text = text[_DECLARATION.match(text).end() :]  # type: ignore[union-attr]  # it matches nothing, too
    parts = text.replace(">", "<").split("<")
    return None if parts[0] or len(parts) != 2 * text.count(">") + 1 else parts


def _check_root(parts: list[str], sound: bytes) -> None:
    """Raise MalformedError where a well-formed document is no Response."""
    root = parts[1].rstrip("/")
    if root == "Error":
        fault = parse_error(sound)
        raise MalformedError(
            f"The answer came as a success but is an <Error>: {fault.code}: {fault.message}",
            code=fault.code,
            request_id=fault.request_id,
        )
    if root != "Response":
        raise MalformedError(
            f"The answer is no <Response> but <{head(root, limit=40)}>; nothing of it was read. It begins: {head(sound)}"
        )


def _well_formed(body: bytes) -> tuple[bytes, str | None]:
    """Check a document by expat; only where that fails, check it once more with the known defects repaired."""
    if len(body) > MAX_BYTES:
        raise OversizedError(
            f"The answer has {len(body):,} bytes, more than the {MAX_BYTES:,} that are read; "
            "ask for fewer jobs at a time."
        )
    try:
        _check(body)
    except _ILL_FORMED as error:
        refused = _ill_formed(body, error)
    else:
        return body, None
    sound, repaired = _repair(body)
    if not repaired:
        raise refused
    try:
        _check(sound)
    except _ILL_FORMED:
        raise refused from None
    return sound, repaired


def _check(body: bytes) -> None:
    # the encoding is forced: a label that lies must not change what the guards see
    parser = expat.ParserCreate("utf-8")
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.Parse(body, True)


def _parts(body: bytes) -> list[str]:
    """Split a well-formed document: tags as bare local names, an empty element with ``/`` behind its name."""
    encoding = "utf-8-sig"
    if b"\x00" in body[:4]:  # expat knows UTF-16 by its zeros
        encoding = "utf-16" if body[:2] in {b"\xff\xfe", b"\xfe\xff"} else f"utf-16-{'bl'[body[1] == 0]}e"
    text = body.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    return _MARKUP.sub(_bare, text).replace(">", "<").split("<")


def _bare(found: re.Match[str]) -> str:
    if found["name"]:
        return f"<{found['slash']}{found['name']}{found['empty']}>"
    return "&gt;" if found["loose"] else escape(found["cdata"] or "")


def _end_of(parts: list[str], place: int, *, above: int) -> int:
    """Return where the element ends whose tag stands at ``place`` below ``above`` others; an empty one ends where it begins."""
    depth = 0
    for at in range(place, len(parts), 2):
        tag = parts[at]
        depth += -1 if tag[0] == "/" else 1
        if above + depth > MAX_DEPTH:
            raise OversizedError(
                f"The answer nests more than {MAX_DEPTH} elements; no documented answer does. It was not read."
            )
        depth -= tag[-1] == "/"
        if depth == 0:
            return at
    raise _UnverifiedError


def _plain(text: str) -> str:
    return _REFERENCE.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    return _NAMED[found[3]] if found[3] else chr(int(found[2], 16 if found[1] else 10))


def _refuse_doctype(*_declaration: object) -> None:
    raise MalformedError(
        "The answer has a DOCTYPE, as a web page has and no answer of the service; it was refused unread."
    )


def _repair(body: bytes) -> tuple[bytes, str | None]:
    """Repair what real answers may have, and say what: tags closed by an opening tag, characters that XML forbids."""
    said = []
    if b"<JobsDetail" in body and b"\x00" not in body[:4]:
        text, forbidden = body.decode("utf-8", "backslashreplace"), 0

        def escaped(found: re.Match[str]) -> str:
            nonlocal forbidden
            number = ord(found[0]) if len(found[0]) == 1 else int(found[1] or found[2], 16 if found[1] else 10)
            if len(found[0]) > 1 and _is_allowed(number):
                return found[0]
            forbidden += 1
            return rf"\x{number:02x}"

        text = _CONTROL.sub(escaped, text)
        if forbidden or text.encode() != body:
            said.append("held characters that XML forbids; each was read as its escape, such as \\x1b")
            body = text.encode()
    names: dict[str, None] = {}

    def close(found: re.Match[bytes]) -> bytes:
        if not found[2].strip():
            return found[0]
        names[f"<{head(found[1], limit=40)}>"] = None
        return b"<%b>%b</%b>" % (found[1], found[2], found[1])

    closed = _UNCLOSED.sub(close, body)
    if names and not _is_sound(body):
        shown = ", ".join(list(names)[:5])
        said.append(f"closed {shown} by a second opening tag; that was read as its closing tag")
        body = closed
    return body, f"The answer {' and '.join(said)}." if said else None


def _is_sound(body: bytes) -> bool:
    try:
        _check(body)
    except (*_ILL_FORMED, MalformedError):
        return False
    return True


def _is_allowed(number: int) -> bool:
    """Return whether XML 1.0 allows a character by its number."""
    return number in {9, 10, 13} or (32 <= number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF and number not in {0xFFFE, 0xFFFF})


def _ill_formed(body: bytes, error: Exception) -> MalformedError:
    if not body.strip():
        return MalformedError("The answer is empty; ask again.", retryable=True)
    return MalformedError(
        f"The answer is not well-formed XML ({error}); it may have been cut, or come from a proxy. It begins: {head(body)}",
        retryable=True,
    )


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
    elif isinstance(node, Mapping):
        for key, child in node.items():
            if not key.startswith("@"):
                yield from _texts(child)


def _ids(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(part for text in texts for part in _SEPARATORS.split(text) if part))


def _json_error(body: bytes) -> object:
    """Return the fields of a JSON error body that are plain texts or numbers; what is nested deeper is no error of ours."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    fields: dict[str, Any] = {}
    while isinstance(said, dict):
        inner = said.pop("Response", None) or said.pop("Error", None)
        fields |= {key: value for key, value in said.items() if isinstance(value, (str, int))}
        said = inner
    return fields
