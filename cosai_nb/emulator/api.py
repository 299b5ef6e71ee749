"""Which answer a request gets: routes, lists of IDs, pages of jobs and of queues (api.md §1); no socket here."""

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
from cosai_nb.emulator.signature import Keys, Request, check
from cosai_nb.emulator.wire import Refused, invalid
from cosai_nb.emulator.workload import FAMILIES, NOT_YET, STATES, Snapshot, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

_QUEUE_PATHS = {family.queue_path for family in FAMILIES.values()}
_JOB_PATHS = "|".join(family.path for family in FAMILIES.values())
_JOBS = re.compile(rf"(?P<path>{_JOB_PATHS})(?:/(?P<ids>.+))?", re.DOTALL)
_UNIFIED = "/jobs"
_LISTS_OF_IDS = {_UNIFIED, "/asr_jobs"}
"""Where the documents name several IDs; elsewhere they name one."""
_WITHOUT_LIST = "/file_jobs"
_MAX_PAGE = 100
_MAX_QUEUES = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and headers of one answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Seen:
    """All that depends on the virtual clock, replaced as one when it moves: other threads never see half of it."""

    snapshot: Snapshot
    rendered: dict[int, bytes] = field(default_factory=dict)


@dataclass(repr=False)
class Api:
    """The service over one workload, at one instant of its virtual clock; arguments as of the Emulator."""

    workload: Workload
    keys: Keys
    bucket: str
    region: str
    comma_lists: bool
    max_ids: int
    clock_skew_s: float
    inclusive_bounds: bool

    def __post_init__(self) -> None:
        self._number = {job_id: number for number, job_id in enumerate(self.workload.job_ids)}
        own = self.workload.family.path
        self._own = {own, _UNIFIED} if own == "/ai_jobs" else {own}
        self._requests = 0
        self.set_time(self.workload.observed_at)

    def set_time(self, now: float) -> None:
        """Set the virtual clock, seconds since the epoch."""
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
            request = self._let_in(method, raw_path, query, headers)
            return Answer(200, self._body(seen, request, request_id), common)
        except Refused as error:
            refused = error
        if refused.code == "RequestTimeTooSkewed":  # the one answer whose Date is for setting a clock by
            common["Date"] = wire.http_date(time.time() + self.clock_skew_s)
        trace_id = base64.b64encode(f"trace-{self._requests:08d}".encode()).decode()
        body = wire.error_xml(refused.code, refused.message, request_id=request_id, trace_id=trace_id)
        return Answer(refused.status, body, {**common, "x-ci-trace-id": trace_id})

    def _let_in(self, method: str, raw_path: str, query: str, headers: Mapping[str, str]) -> Request:
        try:
            params = parse_qsl(query, keep_blank_values=True, max_num_fields=100)
        except ValueError:
            raise invalid("The query string cannot be read.") from None
        request = Request(method, unquote(raw_path), params, headers)
        check(request, self.keys, time.time(), skew_s=self.clock_skew_s)
        return request

    def _body(self, seen: _Seen, request: Request, request_id: str) -> bytes:
        route, params = _JOBS.fullmatch(request.path), dict(request.params)
        listed = route is not None and route["ids"] is None
        if (route is None and request.path not in _QUEUE_PATHS) or (listed and request.path == _WITHOUT_LIST):
            raise Refused(404, "InvalidUrl", "The requested URL is not valid.")
        if request.method in {"POST", "PUT", "DELETE"}:
            raise Refused(501, "NotImplemented", "The emulator answers queries only.")
        if request.method != "GET":
            raise Refused(405, "MethodNotAllowed", "The method is not allowed against this resource.")
        if route is None:
            return self._queues(seen.snapshot.now, request.path, params, request_id)
        if not listed:
            return self._jobs(seen, route["path"], route["ids"])
        return self._page(seen, request.path, params)

    def _jobs(self, seen: _Seen, path: str, text: str) -> bytes:
        ids = list(dict.fromkeys(text.split(",")))
        if not all(ids):
            raise invalid("A job ID is empty.")
        if len(ids) > self.max_ids:
            raise invalid(f"At most {self.max_ids} job IDs may be queried at once.")
        if len(ids) > 1 and path not in _LISTS_OF_IDS and not self.comma_lists:
            raise invalid("The job ID is not valid.")
        if path == _UNIFIED and len({job_id[0] for job_id in ids}) > 1:
            raise invalid("The jobs of one query must be of the same kind.")
        found, missing = [], []
        for job_id in ids:
            number = self._number.get(job_id) if path in self._own else None
            if number is None or seen.snapshot.state[number] == NOT_YET:
                missing.append(job_id)
            else:
                found.append(self._job(seen, number))
        return wire.response(found, missing)

    def _job(self, seen: _Seen, number: int) -> bytes:
        if number not in seen.rendered:
            seen.rendered[number] = wire.job_xml(
                self.workload, seen.snapshot, number, bucket=self.bucket, region=self.region
            )
        return seen.rendered[number]

    def _page(self, seen: _Seen, path: str, params: Mapping[str, str]) -> bytes:
        """Answer with one page of a list of jobs, in order of creation (api.md §1.3)."""
        if path not in self._own:
            raise invalid("The queue does not exist.")
        size = _whole(params, "size", default=10, largest=_MAX_PAGE)
        order = params.get("orderByTime") or "Desc"
        if order not in {"Asc", "Desc"}:
            raise invalid("orderByTime must be Asc or Desc.")
        numbers = self._matching(seen.snapshot, path, params)
        if order == "Desc":
            numbers = numbers[::-1]
        filters = sorted((name, value) for name, value in params.items() if name not in {"nextToken", "size"})
        mark = zlib.crc32(f"{path}{filters}".encode())
        begin = _begin(params.get("nextToken", ""), mark, numbers, order)
        page = numbers[begin : begin + size].tolist()
        # how a last page is marked is not documented: two likely ways
        last = "" if path == _UNIFIED else None
        token = str(mark << 32 | page[-1]) if begin + size < len(numbers) else last
        return wire.response((self._job(seen, number) for number in page), next_token=token)

    def _matching(self, snapshot: Snapshot, path: str, params: Mapping[str, str]) -> NDArray[np.int64]:
        """Return positions of the jobs that a list request is about, in order of creation."""
        workload, tag = self.workload, params.get("tag")
        if not tag:
            raise invalid("tag is required.")
        names = [spec.name for spec in workload.scenario.tags]
        wanted = (snapshot.state != NOT_YET) & self._in_queue(path, params)
        wanted &= workload.tag == (names.index(tag) if tag in names else NOT_YET)
        wanted &= _in_states(snapshot, params.get("states") or "All")
        slack = 1 if self.inclusive_bounds else 0
        created = np.floor(workload.creation_time)
        if params.get("startCreationTime"):
            wanted &= created > _instant(params, "startCreationTime") - slack
        if params.get("endCreationTime"):
            wanted &= created < _instant(params, "endCreationTime") + slack
        numbers = np.flatnonzero(wanted)
        if key := params.get("inputObject"):
            same = [workload.details(number).input_object == key for number in numbers.tolist()]
            numbers = numbers[np.array(same, dtype=bool)]
        return numbers

    def _in_queue(self, path: str, params: Mapping[str, str]) -> Mask:
        workload = self.workload
        if queue_id := params.get("queueId"):
            if queue_id not in workload.queue_ids:
                raise invalid("The queue does not exist.")
            return np.asarray(workload.queue == workload.queue_ids.index(queue_id), dtype=bool)
        if path != _UNIFIED:
            raise invalid("queueId is required.")
        kind = params.get("queueType")
        if not kind:
            raise invalid("queueId or queueType is required.")
        queues = range(len(workload.queue_ids))
        of_kind = np.array([workload.queue_category(position) == kind for position in queues])
        return np.asarray(of_kind[workload.queue], dtype=bool)

    def _queues(self, now: float, path: str, params: Mapping[str, str], request_id: str) -> bytes:
        """Answer with queues (api.md §1.4): a page of all, or those whose IDs are given."""
        workload, state = self.workload, params.get("state") or "All"
        if state not in {"All", "Active", "Paused"}:
            raise invalid("state must be Active or Paused.")
        asked = [queue_id for queue_id in params.get("queueIds", "").split(",") if queue_id]
        if len(asked) > _MAX_QUEUES:
            raise invalid(f"At most {_MAX_QUEUES} queue IDs may be queried at once.")
        known = workload.queue_ids if path == workload.family.queue_path else []
        paused, missing, paging = workload.paused(now), [], None
        shown = [n for n in range(len(known)) if state in {"All", "Paused" if paused[n] else "Active"}]
        if asked:
            missing = [queue_id for queue_id in asked if queue_id not in known]
            shown = [n for n in shown if known[n] in asked]
        else:
            number = _whole(params, "pageNumber", default=1)
            size = _whole(params, "pageSize", default=10, largest=_MAX_PAGE)
            paging = (len(shown), number, size)
            shown = shown[(number - 1) * size : number * size]
        answer = {"positions": shown, "missing": missing, "paging": paging, "paused": paused}
        return wire.queues_xml(workload, request_id=request_id, bucket=self.bucket, **answer)


def _in_states(snapshot: Snapshot, text: str) -> Mask:
    asked = text.split(",")
    if unknown := set(asked) - {*STATES, "All"}:
        raise invalid(f"states has an unknown value: {min(unknown)[:40]}.")
    if "All" in asked:
        return np.ones(len(snapshot.state), dtype=bool)
    return np.isin(snapshot.state, [STATES.index(name) for name in asked])


def _begin(token: str, mark: int, numbers: NDArray[np.int64], order: str) -> int:
    """Return where the page after ``token`` begins: behind the last job of the page before it."""
    if not token:
        return 0
    if not (token.isascii() and token.isdigit() and len(token) <= 20 and int(token) >> 32 == mark):  # noqa: PLR2004 - 64 bits
        raise invalid("nextToken does not belong to this list.")
    last = int(token) & 0xFFFFFFFF
    if order == "Asc":
        return int(np.searchsorted(numbers, last, side="right"))
    return int(np.searchsorted(-numbers, -last, side="right"))


def _whole(params: Mapping[str, str], name: str, *, default: int, largest: int = 10**6) -> int:
    text = params.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 8 and 1 <= int(text) <= largest):  # noqa: PLR2004 - 7 digits
        raise invalid(f"{name} must be a whole number from 1 to {largest}.")
    return int(text)


def _instant(params: Mapping[str, str], name: str) -> float:
    try:
        return datetime.strptime(params[name], "%Y-%m-%dT%H:%M:%S%z").timestamp()
    except (ValueError, OverflowError):
        raise invalid(f"{name} must be of the form 2001-01-01T00:00:00+0800, with + sent as %2B.") from None
