"""Which answer a request gets; everything of HTTP but the socket."""

from __future__ import annotations

import base64
import re
import time
import zlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

import numpy as np

from cosai_nb.emulator import wire
from cosai_nb.emulator.signature import Keys, Request, refusal
from cosai_nb.emulator.workload import CODES, MESSAGES, NOT_YET, STATES, Snapshot, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_JOBS = re.compile(r"/(?:ai_)?jobs")
_MAX_PAGE = 100
_MAX_QUEUES = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and the headers beside the common ones."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedRequest(Exception):  # noqa: N818 - it is an answer, not an error of the emulator
    """Ends the making of an answer with a documented error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


@dataclass(slots=True)
class _Seen:
    """All that depends on the virtual clock, replaced as one when it moves: other threads never see half of it."""

    snapshot: Snapshot
    rendered: dict[int, bytes] = field(default_factory=dict)


class Api:
    """The service over one workload, at one instant of its virtual clock.

    Parameters
    ----------
    workload : Workload
        The truth.
    keys : Keys
        Who is let in.
    bucket, region : str
        Shown in Input and Output.
    comma_lists : bool
        False refuses more than one ID on ``/ai_jobs``, where lists are not documented.
    max_ids : int
        Longest comma list.
    clock_skew_s : float
        How far the server's real clock, which judges signatures, is ahead of this machine's.
    inclusive_bounds : bool
        The documents say that listed jobs are created later than startCreationTime and earlier than
        endCreationTime; True lets jobs of exactly those seconds in as well.
    """

    def __init__(
        self,
        workload: Workload,
        keys: Keys,
        *,
        bucket: str,
        region: str,
        comma_lists: bool = True,
        max_ids: int = 10,
        clock_skew_s: float = 0.0,
        inclusive_bounds: bool = False,
    ) -> None:
        self.workload, self._keys = workload, keys
        self.bucket, self.region = bucket, region
        self._comma_lists, self._max_ids = comma_lists, max_ids
        self._clock_skew_s, self._inclusive = clock_skew_s, inclusive_bounds
        self._number = {job_id: number for number, job_id in enumerate(workload.job_ids)}
        self._created = np.floor(workload.creation_time).astype(np.int64)
        self._requests = 0
        self.set_time(workload.observed_at)

    @property
    def now(self) -> float:
        """The virtual clock, seconds since the epoch."""
        return self._seen.snapshot.now

    def set_time(self, now: float) -> None:
        """Set the virtual clock."""
        self._seen = _Seen(self.workload.as_of(now))

    def snapshot(self) -> Snapshot:
        """Return every job as of the virtual clock."""
        return self._seen.snapshot

    def answer(self, method: str, raw_path: str, query: str, headers: Mapping[str, str]) -> Answer:
        """Answer one request; ``headers`` by lower-case name."""
        self._requests += 1
        request_id = base64.b64encode(f"emulator-{self._requests:08d}".encode()).decode()
        seen = self._seen
        common = {
            "Content-Type": "application/xml",
            "Date": wire.http_date(seen.snapshot.now),
            "Server": "tencent-ci",
            "x-ci-request-id": request_id,
        }
        try:
            params = parse_qsl(query, keep_blank_values=True, max_num_fields=100)
            request = Request(method, unquote(raw_path), params, headers)
            if denied := refusal(request, self._keys, time.time(), skew_s=self._clock_skew_s):
                raise RefusedRequest(denied.status, denied.code, denied.message)
            return Answer(200, self._body(seen, request, dict(params), request_id), common)
        except RefusedRequest as error:
            code, message = error.code, error.message
            status = error.status
        except ValueError:
            status, code, message = 400, "InvalidArgument", "The query string cannot be read."
        if code == "RequestTimeTooSkewed":  # the one answer whose Date is for setting a clock by
            common["Date"] = wire.http_date(time.time() + self._clock_skew_s)
        trace_id = base64.b64encode(f"trace-{self._requests:08d}".encode()).decode()
        body = wire.error_xml(code, message, request_id=request_id, trace_id=trace_id)
        return Answer(status, body, {**common, "x-ci-trace-id": trace_id})

    def _body(self, seen: _Seen, request: Request, params: dict[str, str], request_id: str) -> bytes:
        path = request.path
        known = _JOBS.fullmatch(path) or path == "/ai_queue" or re.match(r"/(?:ai_)?jobs/", path)
        if not known:
            raise RefusedRequest(404, "InvalidUrl", "The requested URL is not valid.")
        if request.method in {"POST", "PUT", "DELETE"}:
            raise RefusedRequest(501, "NotImplemented", "The emulator answers queries only.")
        if request.method != "GET":
            raise RefusedRequest(405, "MethodNotAllowed", "The method is not allowed against this resource.")
        if path == "/ai_queue":
            return self._queues(params, request_id)
        if _JOBS.fullmatch(path):
            return self._page(seen, path, params)
        family, _, ids = path[1:].partition("/")
        return self._jobs(seen, family, ids)

    def _jobs(self, seen: _Seen, family: str, text: str) -> bytes:
        ids = list(dict.fromkeys(text.split(",")))
        if not all(ids):
            raise _invalid("A job ID is empty.")
        if len(ids) > self._max_ids:
            raise _invalid(f"At most {self._max_ids} job IDs may be queried at once.")
        if family == "ai_jobs" and len(ids) > 1 and not self._comma_lists:
            raise _invalid("The job ID is not valid.")
        if family == "jobs" and len({job_id[0] for job_id in ids}) > 1:
            raise _invalid("The jobs of one query must be of the same kind.")
        state = seen.snapshot.state
        found = [(job_id, self._number.get(job_id)) for job_id in ids]
        numbers = [number for _, number in found if number is not None and state[number] != NOT_YET]
        missing = [job_id for job_id, number in found if number is None or state[number] == NOT_YET]
        return wire.response([self._job(seen, number) for number in numbers], missing)

    def _job(self, seen: _Seen, number: int) -> bytes:
        if number not in seen.rendered:
            view = self._view(seen.snapshot, number)
            seen.rendered[number] = wire.job_xml(view, bucket=self.bucket, region=self.region)
        return seen.rendered[number]

    def _view(self, snapshot: Snapshot, number: int) -> wire.JobView:
        workload = self.workload
        state = STATES[snapshot.state[number]]
        code = int(workload.code[number]) if state == "Failed" else 0
        start, end = int(snapshot.start_time[number]), int(snapshot.end_time[number])
        return wire.JobView(
            job_id=workload.job_ids[number],
            tag=workload.scenario.tags[workload.tag[number]].name,
            state=state,
            code=CODES[code],
            message=MESSAGES[code],
            creation_time=int(self._created[number]),
            start_time=None if start == NOT_YET else start,
            end_time=None if end == NOT_YET else end,
            queue_id=workload.queue_ids[workload.queue[number]],
            job_level=int(workload.level[number]),
            audio_s=float(workload.audio_s[number]),
            details=workload.details(number),
        )

    def _page(self, seen: _Seen, path: str, params: dict[str, str]) -> bytes:
        size = _whole(params, "size", default=10, largest=_MAX_PAGE)
        order = params.get("orderByTime") or "Desc"
        if order not in {"Asc", "Desc"}:
            raise _invalid("orderByTime must be Asc or Desc.")
        numbers = self._matching(seen, path, params)
        if order == "Desc":
            numbers = numbers[::-1]
        filters = repr(
            sorted((name, value) for name, value in params.items() if name not in {"nextToken", "size"})
        )
        mark = zlib.crc32(f"{path}{filters}".encode())
        begin = self._begin(params.get("nextToken", ""), mark, numbers, order)
        page = numbers[begin : begin + size]
        more = begin + size < len(numbers)
        token = str(mark << 32 | int(page[-1])) if more else None
        # how the last page is marked is not documented: each family does it in one of the two ways seen as likely
        end = "" if path == "/jobs" else None
        return wire.response([self._job(seen, int(number)) for number in page], (), token if more else end)

    def _matching(self, seen: _Seen, path: str, params: dict[str, str]) -> NDArray[np.int64]:
        """Return positions of the jobs that a list request is about, in order of creation."""
        workload = self.workload
        tag = params.get("tag")
        if not tag:
            raise _invalid("tag is required.")
        wanted = (seen.snapshot.state != NOT_YET) & self._in_queue(path, params)
        names = [spec.name for spec in workload.scenario.tags]
        wanted &= workload.tag == (names.index(tag) if tag in names else -1)
        wanted &= self._in_states(seen, params.get("states") or "All")
        slack = 1 if self._inclusive else 0
        if params.get("startCreationTime"):
            wanted &= self._created > _instant(params, "startCreationTime") - slack
        if params.get("endCreationTime"):
            wanted &= self._created < _instant(params, "endCreationTime") + slack
        numbers = np.flatnonzero(wanted)
        if key := params.get("inputObject"):
            numbers = np.array(
                [n for n in numbers if workload.details(n).input_object == key], dtype=np.int64
            )
        return numbers

    def _in_queue(self, path: str, params: dict[str, str]) -> NDArray[np.bool_]:
        workload = self.workload
        if queue_id := params.get("queueId"):
            if queue_id not in workload.queue_ids:
                raise _invalid("The queue does not exist.")
            return np.asarray(workload.queue == workload.queue_ids.index(queue_id))
        kind = params.get("queueType")
        if path == "/ai_jobs" or not kind:
            raise _invalid(
                "queueId is required." if path == "/ai_jobs" else "queueId or queueType is required."
            )
        of_kind = [self._category(position) == kind for position in range(len(workload.queue_ids))]
        return np.array(of_kind)[workload.queue]

    @staticmethod
    def _in_states(seen: _Seen, text: str) -> NDArray[np.bool_]:
        asked = text.split(",")
        if unknown := set(asked) - {*STATES, "All"}:
            raise _invalid(f"states has an unknown value: {sorted(unknown)[0][:40]}.")
        if "All" in asked:
            return np.ones(len(seen.snapshot.state), dtype=bool)
        return np.isin(seen.snapshot.state, [STATES.index(name) for name in asked])

    @staticmethod
    def _begin(token: str, mark: int, numbers: NDArray[np.int64], order: str) -> int:
        """Return where the page after ``token`` begins: behind the last job of the page before it."""
        if not token:
            return 0
        if not (token.isascii() and token.isdigit() and len(token) <= 20 and int(token) >> 32 == mark):  # noqa: PLR2004 - 64 bits
            raise _invalid("nextToken does not belong to this list.")
        last = int(token) & 0xFFFFFFFF
        if order == "Asc":
            return int(np.searchsorted(numbers, last, side="right"))
        return int(np.searchsorted(-numbers, -last, side="right"))

    def _category(self, position: int) -> str:
        tags = [tag for tag, _ in self.workload.scenario.queues[position].mix]
        return "Speeching" if tags == ["SpeechRecognition"] else "AIProcess"

    def _queues(self, params: dict[str, str], request_id: str) -> bytes:
        """Answer ``GET /ai_queue``."""
        state = params.get("state") or "All"
        if state not in {"All", "Active", "Paused"}:
            raise _invalid("state must be Active or Paused.")
        asked = [queue_id for queue_id in (params.get("queueIds") or "").split(",") if queue_id]
        if len(asked) > _MAX_QUEUES:
            raise _invalid(f"At most {_MAX_QUEUES} queue IDs may be queried at once.")
        views = [
            view
            for view in map(self._queue, range(len(self.workload.queue_ids)))
            if state in {"All", view.state}
        ]
        missing = [queue_id for queue_id in asked if queue_id not in self.workload.queue_ids]
        if asked:
            chosen, paging = [view for view in views if view.queue_id in asked], None
        else:
            number = _whole(params, "pageNumber", default=1)
            size = _whole(params, "pageSize", default=10, largest=_MAX_PAGE)
            chosen, paging = views[(number - 1) * size : number * size], (len(views), number, size)
        return wire.queues_xml(chosen, missing, request_id=request_id, bucket=self.bucket, paging=paging)

    def _queue(self, position: int) -> wire.QueueView:
        spec = self.workload.scenario.queues[position]
        paused = self.workload.queue_is_paused(position, self.now)
        return wire.QueueView(
            queue_id=self.workload.queue_ids[position],
            name=spec.name,
            state="Paused" if paused else "Active",
            max_concurrent=spec.servers,
            category=self._category(position),
            created=int(self.workload.scenario.start.timestamp()) - 86_400,
        )


def _invalid(message: str) -> RefusedRequest:
    return RefusedRequest(400, "InvalidArgument", message)


def _whole(params: Mapping[str, str], name: str, *, default: int, largest: int = 10**6) -> int:
    text = params.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 8 and 1 <= int(text) <= largest):  # noqa: PLR2004 - 7 digits
        raise _invalid(f"{name} must be a whole number from 1 to {largest}.")
    return int(text)


def _instant(params: Mapping[str, str], name: str) -> float:
    try:
        return datetime.strptime(params[name], "%Y-%m-%dT%H:%M:%S%z").timestamp()
    except (ValueError, OverflowError):
        raise _invalid(f"{name} must be of the form 2001-01-01T00:00:00+0800, with + sent as %2B.") from None
