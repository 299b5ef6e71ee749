"""Which answer a request gets: routes, lists of IDs, pages of jobs and of queues (api.md §1); no socket here."""

from __future__ import annotations

import base64
import re
import time
import zlib
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

import numpy as np

from cosai_nb.emulator import wire
from cosai_nb.emulator.signature import Keys, Request, check
from cosai_nb.emulator.wire import Refused, invalid
from cosai_nb.emulator.workload import FAMILIES, NOT_YET, STATES, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from cosai_nb.emulator.workload import Snapshot

    Mask = NDArray[np.bool_]
    Show = Callable[[int], bytes]

_JOBS = "|".join(family.path for family in FAMILIES.values())
_QUEUES = "|".join(family.queue_path for family in FAMILIES.values())
_ROUTES = re.compile(rf"(?P<queues>{_QUEUES})|(?P<jobs>{_JOBS})/(?P<ids>.+)|(?P<list>{_JOBS})", re.DOTALL)
_UNIFIED = "/jobs"
_WITHOUT_LIST = "/file_jobs"
_LISTS_OF_IDS = {_UNIFIED, "/asr_jobs"}
"""Where the documents name several IDs; elsewhere they name one."""
_MAX_PAGE = 100
_MAX_FIELDS = 100
_MAX_QUEUES = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and headers of one answer."""

    status: int
    body: bytes
    headers: Mapping[str, str]


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
        snapshot = self.workload.as_of(now)
        show = partial(wire.job_xml, self.workload, snapshot, bucket=self.bucket, region=self.region)
        self.seen = snapshot, cache(show)  # replaced as one: other threads never see half of it

    def answer(self, method: str, raw_path: str, query: str, headers: Mapping[str, str]) -> Answer:
        """Answer one request; ``headers`` by lower-case name."""
        self._requests += 1
        snapshot, show = self.seen
        request_id = base64.b64encode(f"emulator-{self._requests:08d}".encode()).decode()
        trace_id = base64.b64encode(f"trace-{self._requests:08d}".encode()).decode()
        common = {
            "Content-Type": "application/xml",
            "Date": wire.http_date(snapshot.now),
            "Server": "tencent-ci",
            "x-ci-request-id": request_id,
        }
        request = Request(method, unquote(raw_path), parse_qsl(query, keep_blank_values=True), headers)
        try:
            check(request, self.keys, time.time(), skew_s=self.clock_skew_s)
            return Answer(200, self._body(snapshot, show, request, request_id), common)
        except Refused as refused:
            if refused.code == "RequestTimeTooSkewed":  # the one answer whose Date is for setting a clock by
                common["Date"] = wire.http_date(time.time() + self.clock_skew_s)
            body = wire.error_xml(refused.code, refused.message, request_id=request_id, trace_id=trace_id)
            return Answer(refused.status, body, {**common, "x-ci-trace-id": trace_id})

    def _body(self, snapshot: Snapshot, show: Show, request: Request, request_id: str) -> bytes:
        route, params = _ROUTES.fullmatch(request.path), dict(request.params)
        if route is None or route["list"] == _WITHOUT_LIST:
            raise Refused(404, "InvalidUrl", "The requested URL is not valid.")
        if request.method in {"POST", "PUT", "DELETE"}:
            raise Refused(501, "NotImplemented", "The emulator answers queries only.")
        if request.method != "GET":
            raise Refused(405, "MethodNotAllowed", "The method is not allowed against this resource.")
        if len(request.params) > _MAX_FIELDS:
            raise invalid("The query string has too many fields.")
        if route["queues"]:
            return self._queues(snapshot.now, request.path, params, request_id)
        if route["ids"]:
            return self._jobs(snapshot, show, route["jobs"], route["ids"].split(","))
        return self._page(snapshot, show, request.path, params)

    def _jobs(self, snapshot: Snapshot, show: Show, path: str, ids: list[str]) -> bytes:
        ids = list(dict.fromkeys(ids))
        if not all(ids):
            raise invalid("A job ID is empty.")
        if len(ids) > self.max_ids:
            raise invalid(f"At most {self.max_ids} job IDs may be queried at once.")
        if len(ids) > 1 and path not in _LISTS_OF_IDS and not self.comma_lists:
            raise invalid("The job ID is not valid.")
        if path == _UNIFIED and len({job_id[0] for job_id in ids}) > 1:
            raise invalid("The jobs of one query must be of the same kind.")
        known = self._number if path in self._own else {}
        found = [n for n in map(known.get, ids) if n is not None and snapshot.state[n] != NOT_YET]
        shown = {self.workload.job_ids[n] for n in found}
        return wire.response(map(show, found), [job_id for job_id in ids if job_id not in shown])

    def _page(self, snapshot: Snapshot, show: Show, path: str, params: Mapping[str, str]) -> bytes:
        """Answer with one page of a list of jobs, in order of creation (api.md §1.3)."""
        if path not in self._own:
            raise invalid("The queue does not exist.")
        size = _whole(params, "size", default=10, largest=_MAX_PAGE)
        order = params.get("orderByTime") or "Desc"
        if order not in {"Asc", "Desc"}:
            raise invalid("orderByTime must be Asc or Desc.")
        numbers = np.flatnonzero(self._matching(snapshot, path, params))
        if key := params.get("inputObject"):
            same = [self.workload.details(number).input_object == key for number in numbers.tolist()]
            numbers = numbers[np.array(same, dtype=bool)]
        filters = sorted((name, value) for name, value in params.items() if name not in {"nextToken", "size"})
        mark = zlib.crc32(f"{path}{filters}".encode())
        if token := params.get("nextToken"):
            if not (re.fullmatch("[0-9]{1,20}", token) and int(token) >> 32 == mark):
                raise invalid("nextToken does not belong to this list.")
            last = int(token) & 0xFFFFFFFF
            numbers = numbers[numbers > last if order == "Asc" else numbers < last]
        page = (numbers if order == "Asc" else numbers[::-1])[:size].tolist()
        # how a last page is marked is not documented: two likely ways
        end = "" if path == _UNIFIED else None
        return wire.response(map(show, page), (), str(mark << 32 | page[-1]) if size < len(numbers) else end)

    def _matching(self, snapshot: Snapshot, path: str, params: Mapping[str, str]) -> Mask:
        """Return which jobs a list request is about, but for its inputObject."""
        workload, tag = self.workload, params.get("tag")
        if not tag:
            raise invalid("tag is required.")
        queue_id, kind = params.get("queueId"), params.get("queueType") if path == _UNIFIED else None
        if queue_id and queue_id not in workload.queue_ids:
            raise invalid("The queue does not exist.")
        if not queue_id and not kind:
            raise invalid("queueId or queueType is required." if path == _UNIFIED else "queueId is required.")
        queues = [
            known == queue_id if queue_id else workload.queue_category(position) == kind
            for position, known in enumerate(workload.queue_ids)
        ]
        states = set((params.get("states") or "All").split(","))
        if unknown := states - {*STATES, "All"}:
            raise invalid(f"states has an unknown value: {min(unknown)[:40]}.")
        wanted = np.array(["All" in states or state in states for state in STATES])[snapshot.state]
        wanted &= np.array([spec.name == tag for spec in workload.scenario.tags])[workload.tag]
        wanted &= (snapshot.state != NOT_YET) & np.array(queues)[workload.queue]
        slack, created = int(self.inclusive_bounds), np.floor(workload.creation_time)
        if params.get("startCreationTime"):
            wanted &= created > _instant(params, "startCreationTime") - slack
        if params.get("endCreationTime"):
            wanted &= created < _instant(params, "endCreationTime") + slack
        return wanted

    def _queues(self, now: float, path: str, params: Mapping[str, str], request_id: str) -> bytes:
        """Answer with queues (api.md §1.4): a page of all, or those whose IDs are given."""
        workload, state = self.workload, params.get("state") or "All"
        if state not in {"All", "Active", "Paused"}:
            raise invalid("state must be Active or Paused.")
        asked = [queue_id for queue_id in params.get("queueIds", "").split(",") if queue_id]
        if len(asked) > _MAX_QUEUES:
            raise invalid(f"At most {_MAX_QUEUES} queue IDs may be queried at once.")
        known = workload.queue_ids if path == workload.family.queue_path else []
        paused, paging = workload.paused(now), None
        shown = [n for n in range(len(known)) if state in {"All", "Paused" if paused[n] else "Active"}]
        if asked:
            shown = [n for n in shown if known[n] in asked]
        else:
            number = _whole(params, "pageNumber", default=1)
            size = _whole(params, "pageSize", default=10, largest=_MAX_PAGE)
            paging = (len(shown), number, size)
            shown = shown[(number - 1) * size : number * size]
        missing = [queue_id for queue_id in asked if queue_id not in known]
        answer = {"positions": shown, "missing": missing, "paging": paging, "paused": paused}
        return wire.queues_xml(workload, request_id=request_id, bucket=self.bucket, **answer)


def _whole(params: Mapping[str, str], name: str, *, default: int, largest: int = 10**6) -> int:
    text = params.get(name) or str(default)
    if not (re.fullmatch("[0-9]{1,7}", text) and 1 <= int(text) <= largest):
        raise invalid(f"{name} must be a whole number from 1 to {largest}.")
    return int(text)


def _instant(params: Mapping[str, str], name: str) -> float:
    try:
        return datetime.strptime(params[name], "%Y-%m-%dT%H:%M:%S%z").timestamp()
    except (ValueError, OverflowError):
        raise invalid(f"{name} must be of the form 2001-01-01T00:00:00+0800, with + sent as %2B.") from None
