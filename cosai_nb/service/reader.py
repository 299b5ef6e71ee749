"""The events of one XML answer, guarded: no DOCTYPE, no lying encoding, bounded in size and depth.

:mod:`cosai_nb.service.parsing` builds on :func:`read`. It is fast because it makes no tree: it walks a trie of the
wanted paths and lets everything else pass.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from cosai_nb.errors import MalformedError, OversizedError
from cosai_nb.schema import WIRE

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 64

Values = tuple[str | None, ...]
PLACE = {column.name: place for place, column in enumerate(WIRE)}
"""Where the text of each column stands in a job's Values."""


@dataclass(slots=True, eq=False)
class _Level:
    """What is wanted below one element: the text of a leaf by WIRE index, and what lies deeper.

    Deeper is a _Level, or the name of the Reader's list that collects the texts.
    """

    leaves: dict[str, int] = field(default_factory=dict)
    below: dict[str, Any] = field(default_factory=dict)


def _level_of_job() -> _Level:
    job = _Level()
    for index, column in enumerate(WIRE):
        *parents, leaf = column.path.split("/")
        level = job
        for parent in parents:
            level = level.below.setdefault(parent, _Level())
        level.leaves[leaf] = index
    return job


_NOTHING = _Level()
_JOB = _level_of_job()
_RESPONSE = _Level(below={"JobsDetail": _JOB, "NonExistJobIds": "not_found", "NextToken": "next_token"})
_DOCUMENT = _Level(below={"Response": _RESPONSE, "Error": "error"})
_BLANK: Values = (None,) * len(WIRE)
_REPEATS = tuple(column.dtype == "category" for column in WIRE)
# one object for each repeated text of all answers: a call may hold millions of jobs
_known: dict[str, str] = {}
_MAX_KNOWN = 4096
_MAX_KNOWN_TEXT = 64

# The parser itself reports a cut or broken document by either of these two.
_ILL_FORMED = (expat.ExpatError, ValueError)
_DEFECT = re.compile(rb"<([A-Za-z_][\w.:-]*)>([^<>]+)<\1>")
# A debugging proxy may echo the request's own headers in its page.
_CREDENTIAL = re.compile(
    r"(q-(?:ak|signature)=|(?:security-token|secret_?(?:id|key))[\"']?\s*[:=]\s*[\"']?)[^\s&<\"',;]+",
    re.IGNORECASE,
)


def read(body: bytes) -> tuple[Reader, bytes, str | None]:
    """Read strictly; only where that fails, read once more with the documented defect repaired.

    Returns
    -------
    reader : Reader
        What was found.
    sound : bytes
        The body that was read: well-formed and guarded.
    repaired : str or None
        A sentence that names the repaired defect.

    Raises
    ------
    MalformedError
        Not well-formed (``retryable``, for it may have been cut on the way), a DOCTYPE, or an undocumented root.
    OversizedError
        Above 16 MiB or deeper than 64 elements.

    Examples
    --------
    >>> reader, _, repaired = read(b"<Response><JobsDetail><Tag>Translation<Tag></JobsDetail></Response>")
    >>> reader.jobs[0][1], repaired
    ('Translation', 'The answer closed <Tag> by a second opening tag; that was read as its closing tag.')
    """
    if len(body) > MAX_BYTES:
        raise OversizedError(
            f"The answer has {len(body):,} bytes, more than the {MAX_BYTES:,} that are read; "
            "ask for fewer jobs at a time."
        )
    if len(_known) > _MAX_KNOWN:
        _known.clear()
    try:
        return Reader(body), body, None
    except MalformedError as error:
        raise MalformedError(f"{error} It begins: {head(body)}") from None
    except _ILL_FORMED as error:
        refused = _ill_formed(body, error)
    sound, names = _repair(body)
    if not names:
        raise refused
    repaired = f"The answer closed {names} by a second opening tag; that was read as its closing tag."
    try:
        return Reader(sound), sound, repaired
    except _ILL_FORMED:
        raise refused from None


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


class Reader:
    """One pass over one answer, made on construction.

    Attributes
    ----------
    error : list of str
        Empty, unless the root is no Response but an Error.
    jobs : list of tuple of (str or None)
        Aligned with WIRE; a ``<JobsDetail/>`` that says nothing is no job.
    not_found, next_token : list of str
        All text of each NonExistJobIds and NextToken, with a space where an element begins or ends.
    """

    __slots__ = (
        "_collecting", "_depth", "_here", "_leaf", "_leaves", "_outside", "_parser", "_stack", "_text", "_values",
        "error", "jobs", "next_token", "not_found",
    )  # fmt: skip

    def __init__(self, body: bytes) -> None:
        self.error: list[str] = []
        self.jobs: list[Values] = []
        self.not_found: list[str] = []
        self.next_token: list[str] = []
        self._values: list[str | None] = list(_BLANK)
        self._text: list[str] = []
        self._stack: list[_Level] = []
        self._here = _DOCUMENT
        self._leaves = _DOCUMENT.leaves
        self._leaf: int | None = None
        self._collecting: list[str] | None = None
        self._depth = self._outside = 0
        # The encoding is forced: a label that lies must not change what the guards see.
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = _refuse_doctype
        self._listen()
        try:
            self._parser.Parse(body, True)
        finally:
            del self._parser  # it holds this object's methods: no cycle is left to the garbage collector

    def _listen(self) -> None:
        self._parser.CharacterDataHandler = self._text.append
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        if self._leaf is not None:
            self._step_aside(None)
            return
        leaf = self._leaf = self._leaves.get(name)
        if leaf is not None:
            self._text.clear()
            return
        level = self._here.below.get(name)
        if level.__class__ is not _Level:
            if level is not None or ":" in name or not 0 < len(self._stack) < MAX_DEPTH:
                self._unlisted(name, level)
                return
            level = _NOTHING
        self._stack.append(self._here)
        self._here = level
        self._leaves = level.leaves

    def _end(self, _name: str) -> None:
        leaf = self._leaf
        if leaf is not None:
            self._leaf = None
            if self._values[leaf] is None:
                text = "".join(self._text).strip()
                if _REPEATS[leaf] and len(text) <= _MAX_KNOWN_TEXT:
                    text = _known.setdefault(text, text)
                self._values[leaf] = text or None
            return
        if self._here is _JOB:
            job = tuple(self._values)
            if job != _BLANK:
                self.jobs.append(job)
                self._values = list(_BLANK)
        self._here = self._stack.pop()
        self._leaves = self._here.leaves

    def _unlisted(self, name: str, collector: str | None) -> None:
        """Deal with a prefix, texts to collect, a wrong root or too much depth."""
        if ":" in name:
            self._start(name.rpartition(":")[2], {})
        elif collector is not None:
            self._text.clear()
            self._step_aside(getattr(self, collector))
        elif not self._stack:
            raise MalformedError(
                f"The answer is no <Response> but <{head(name, limit=40)}>; nothing of it was read."
            )
        else:
            raise _too_deep()

    def _step_aside(self, collecting: list[str] | None) -> None:
        """Leave the trie for one subtree, of which only the texts may be wanted."""
        self._collecting = collecting
        self._outside = len(self._stack) + (self._leaf is not None)
        self._depth = self._outside + 1
        if collecting is None:
            self._parser.CharacterDataHandler = None
        self._parser.StartElementHandler = self._deeper
        self._parser.EndElementHandler = self._back

    def _deeper(self, _name: str, _attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _too_deep()
        if self._collecting is not None:
            self._text.append(" ")

    def _back(self, _name: str) -> None:
        self._depth -= 1
        if self._collecting is not None:
            self._text.append(" ")
        if self._depth > self._outside:
            return
        if self._collecting is not None:
            self._collecting.append("".join(self._text))
        self._listen()


def _refuse_doctype(*_declaration: object) -> None:
    raise MalformedError(
        "The answer has a DOCTYPE, as a web page has and no answer of the service; it was refused unread."
    )


def _too_deep() -> OversizedError:
    return OversizedError(
        f"The answer nests more than {MAX_DEPTH} elements; no documented answer does. It was not read."
    )


def _repair(body: bytes) -> tuple[bytes, str]:
    """Close ``<X>text<X>`` by ``</X>``, the one defect that the service's own documents print, and name each X."""
    names: dict[str, None] = {}

    def close(found: re.Match[bytes]) -> bytes:
        if not found[2].strip():
            return found[0]
        names[f"<{head(found[1], limit=40)}>"] = None
        return b"<%b>%b</%b>" % (found[1], found[2], found[1])

    return _DEFECT.sub(close, body), ", ".join(list(names)[:5])


def _ill_formed(body: bytes, error: Exception) -> MalformedError:
    if not body.strip():
        return MalformedError("The answer is empty; ask again.", retryable=True)
    return MalformedError(
        f"The answer is not well-formed XML ({error}); it may have been cut, or come from a proxy. It begins: {head(body)}",
        retryable=True,
    )
