"""Which answer a request gets; everything of HTTP but the socket."""

from __future__ import annotations

import base64
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

from cosai_nb.emulator import wire
from cosai_nb.emulator.listing import job_page, queue_page
from cosai_nb.emulator.signature import Keys, Request, check
from cosai_nb.emulator.wire import Refused, invalid
from cosai_nb.emulator.workload import CODES, MESSAGES, NOT_YET, STATES, Snapshot, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROUTE = re.compile(r"/(?P<family>ai_queue|ai_jobs|jobs)(?:/(?P<ids>.+))?", re.DOTALL)


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
            return Answer(200, self._checked(seen, request_id, method, raw_path, query, headers), common)
        except Refused as error:
            refused = error
        if refused.code == "RequestTimeTooSkewed":  # the one answer whose Date is for setting a clock by
            common["Date"] = wire.http_date(time.time() + self._clock_skew_s)
        trace_id = base64.b64encode(f"trace-{self._requests:08d}".encode()).decode()
        body = wire.error_xml(refused.code, refused.message, request_id=request_id, trace_id=trace_id)
        return Answer(refused.status, body, {**common, "x-ci-trace-id": trace_id})

    def _checked(
        self, seen: _Seen, request_id: str, method: str, raw_path: str, query: str, headers: Mapping[str, str]
    ) -> bytes:
        try:
            params = parse_qsl(query, keep_blank_values=True, max_num_fields=100)
        except ValueError:
            raise invalid("The query string cannot be read.") from None
        request = Request(method, unquote(raw_path), params, headers)
        check(request, self._keys, time.time(), skew_s=self._clock_skew_s)
        return self._body(seen, request, dict(params), request_id)

    def _body(self, seen: _Seen, request: Request, params: dict[str, str], request_id: str) -> bytes:
        route = _ROUTE.fullmatch(request.path)
        if route is None or (route["family"] == "ai_queue" and route["ids"] is not None):
            raise Refused(404, "InvalidUrl", "The requested URL is not valid.")
        if request.method in {"POST", "PUT", "DELETE"}:
            raise Refused(501, "NotImplemented", "The emulator answers queries only.")
        if request.method != "GET":
            raise Refused(405, "MethodNotAllowed", "The method is not allowed against this resource.")
        if route["family"] == "ai_queue":
            queues, missing, paging = queue_page(self.workload, seen.snapshot.now, params)
            return wire.queues_xml(queues, missing, request_id=request_id, bucket=self.bucket, paging=paging)
        if route["ids"] is not None:
            return self._jobs(seen, route["family"], route["ids"])
        page, token = job_page(self.workload, seen.snapshot, request.path, params, inclusive=self._inclusive)
        if token is None and request.path == "/jobs":
            token = ""  # how a last page is marked is not documented: each family does it in one of the likely ways
        return wire.response((self._job(seen, number) for number in page), next_token=token)

    def _jobs(self, seen: _Seen, family: str, text: str) -> bytes:
        ids = list(dict.fromkeys(text.split(",")))
        if not all(ids):
            raise invalid("A job ID is empty.")
        if len(ids) > self._max_ids:
            raise invalid(f"At most {self._max_ids} job IDs may be queried at once.")
        if family == "ai_jobs" and len(ids) > 1 and not self._comma_lists:
            raise invalid("The job ID is not valid.")
        if family == "jobs" and len({job_id[0] for job_id in ids}) > 1:
            raise invalid("The jobs of one query must be of the same kind.")
        state = seen.snapshot.state
        found = {job_id: self._number.get(job_id) for job_id in ids}
        numbers = [number for number in found.values() if number is not None and state[number] != NOT_YET]
        missing = [job_id for job_id, n in found.items() if n is None or state[n] == NOT_YET]
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
            creation_time=int(workload.creation_time[number]),
            start_time=None if start == NOT_YET else start,
            end_time=None if end == NOT_YET else end,
            queue_id=workload.queue_ids[workload.queue[number]],
            job_level=int(workload.level[number]),
            audio_s=float(workload.audio_s[number]),
            details=workload.details(number),
        )
