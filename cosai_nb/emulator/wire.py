"""Jobs, queues and errors as the XML of the documents (api.md §1.3, §1.4, §2, §4).

Element names are written here and in ``templates/`` from the documents, and not shared with the client that reads
them: a wrong name must not be green because both sides made the same mistake.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from hashlib import md5
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import jinja2

from cosai_nb.emulator.workload import NOT_YET, OUTCOMES, STATES, WIRE_ZONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cosai_nb.emulator.workload import Snapshot, Workload

DECLARATION = b'<?xml version="1.0" encoding="utf-8"?>\n'


class Refused(Exception):  # noqa: N818 - it becomes an answer, it is no error of the emulator
    """A documented error, on its way to become an answer: HTTP status, Code and Message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


def invalid(message: str) -> Refused:
    """Return the error for a parameter that cannot be right."""
    return Refused(400, "InvalidArgument", message)


def leaf(name: str, text: str) -> str:
    """Write a node that holds text.

    >>> leaf("Word", "a < b"), leaf("Message", "")
    ('<Word>a &lt; b</Word>', '<Message/>')
    """
    return f"<{name}>{escape(text)}</{name}>" if text else f"<{name}/>"


@lru_cache(1000)  # most jobs start in the second in which they are created
def wire_time(seconds: int) -> str:
    """Write a time in +0800, and ``-`` for one that is not reached.

    >>> wire_time(1657167132), wire_time(NOT_YET)
    ('2022-07-07T12:12:12+0800', '-')
    """
    if seconds == NOT_YET:
        return "-"
    text = datetime.fromtimestamp(seconds, WIRE_ZONE).isoformat()  # five times as fast as strftime
    return text[:-3] + text[-2:]


def http_date(seconds: float) -> str:
    """Write a Date header.

    >>> http_date(0)
    'Thu, 01 Jan 1970 00:00:00 GMT'
    """
    return format_datetime(datetime.fromtimestamp(int(seconds), UTC), usegmt=True)


_ENVIRONMENT = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - |xml escapes
_ENVIRONMENT.filters["xml"] = escape  # and leaves quotes, as the service does
_ENVIRONMENT.filters["wire_time"] = lambda seconds: wire_time(int(seconds))
_ENVIRONMENT.filters["md5"] = lambda text: md5(text.encode(), usedforsecurity=False).hexdigest()


def _template(name: str) -> jinja2.Template:
    """Read a template; its indentation is for its readers and never sent."""
    source = files("cosai_nb.emulator").joinpath("templates", name).read_text("utf-8")
    return _ENVIRONMENT.from_string("".join(part.strip() for part in source.splitlines()))


_JOB, _QUEUES = _template("job.xml"), _template("queues.xml")


def job_xml(workload: Workload, snapshot: Snapshot, number: int, *, bucket: str, region: str) -> bytes:
    """Return the JobsDetail of one job as of a snapshot."""
    state = STATES[snapshot.state[number]]
    code, message = OUTCOMES[workload.code[number] if state == "Failed" else 0]
    tag, about = workload.scenario.tags[workload.tag[number]].name, workload.details(number)
    own = {"tag": tag, "about": about, "state": state, "code": code, "message": message}
    job = {"workload": workload, "snapshot": snapshot, "number": number}
    return _JOB.render(own, **job, bucket=bucket, region=region).encode()


def response(jobs: Iterable[bytes], missing: Sequence[str] = (), next_token: str | None = None) -> bytes:
    """Return an answer; NonExistJobIds is left out when all exist, NextToken when None.

    The form of a filled NonExistJobIds is not documented: several are one node with commas here.
    """
    tail = leaf("NonExistJobIds", ",".join(missing)) if missing else ""
    if next_token is not None:
        tail += leaf("NextToken", next_token)
    return DECLARATION + b"<Response>" + b"".join(jobs) + tail.encode() + b"</Response>"


def queues_xml(workload: Workload, **shown: Any) -> bytes:
    """Return the answer of a queue path.

    ``shown`` are positions of queues, ``missing`` IDs, ``paused`` queues, request_id, bucket, and ``paging``: (total,
    number, size), or None where IDs were asked.
    """
    created = wire_time(int(workload.scenario.start.timestamp()) - 86_400)
    return DECLARATION + _QUEUES.render(workload=workload, created=created, **shown).encode()


def error_xml(code: str, message: str, *, request_id: str, trace_id: str) -> bytes:
    """Return an error's body; CI's has no Resource."""
    nodes = {"Code": code, "Message": message, "RequestId": request_id, "TraceId": trace_id}
    inner = "".join(leaf(name, text) for name, text in nodes.items())
    return f"<?xml version='1.0' encoding='utf-8' ?>\n<Error>{inner}</Error>".encode()
