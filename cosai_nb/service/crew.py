"""The workers of a batch: they share a place to take lists of IDs from."""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from cosai_nb.arguments import MAX_LIST
from cosai_nb.errors import (
    AnswerError,
    CosaiError,
    DeniedError,
    MismatchError,
    RefusedError,
    UnavailableError,
)
from cosai_nb.schema import Record
from cosai_nb.service.parsing import Answer, parse_jobs
from cosai_nb.service.reader import MAX_BYTES
from cosai_nb.service.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cosai_nb.service.client import Client

MAX_JOB_BYTES = 2**20
_LISTS_REFUSED = frozenset({400, 404, 414})


class Crew(Workers[list[Record] | str]):
    """The workers' shared state; they send home finished records, and the sentence about a repair."""

    def __init__(self, client: Client, ids: Sequence[str], batch_size: int) -> None:
        super().__init__()
        self.client = client
        # /jobs takes IDs of one kind of job a list; the first letter tells the kind
        kinds: dict[str, deque[str]] = {}
        for job_id in ids:
            kinds.setdefault(job_id[0] if client.path == "/jobs" else "", deque()).append(job_id)
        self._fresh = deque(kinds.values())
        self._again: deque[list[str]] = deque()
        self._batch_size = batch_size
        self._asking = 0
        self._failures_in_a_row = 0
        self._lock = threading.Condition()

    def work(self) -> None:
        """Ask list after list until none is left or the call ends."""
        while (ids := self._take()) is not None:
            try:
                self._ask(ids)
            finally:
                with self._lock:
                    self._asking -= 1
                    self._lock.notify_all()

    def _take(self) -> list[str] | None:
        """Return the next list; wait while others may still hand back halves; None at the end."""
        with self._lock:
            while not self.stop.is_set():
                if self._again:
                    ids = self._again.popleft()
                    self._asking += 1
                    return ids
                if self._fresh:
                    self._asking += 1
                    return self._next_fresh()
                if not self._asking:
                    return None
                self._lock.wait(0.1)
            return None

    def _next_fresh(self) -> list[str]:
        kind = self._fresh.popleft()
        taken = max(self.client.list_size or MAX_LIST, self.client.accepted_size)
        ids = [kind.popleft() for _ in range(min(self._batch_size, taken, len(kind)))]
        if kind:
            self._fresh.append(kind)  # kinds take turns, so that an early end is no end of one kind
        return ids

    def _ask(self, ids: list[str]) -> None:
        path = f"{self.client.path}/{','.join(ids)}"
        # a list that is too large comes apart; one job with hours of recognised speech must still be readable
        limit = MAX_JOB_BYTES * len(ids) if len(ids) > 1 else MAX_BYTES
        try:
            parse = partial(parse_answer_to, ids)
            answer, observed_ms = self.client.ask(path, parse, stop=self.stop, max_bytes=limit)
        except DeniedError:
            raise
        except (RefusedError, AnswerError) as error:
            self._refused(ids, error)
        except UnavailableError as error:
            self._give_up(ids, error)
        else:
            with self._lock:
                self._failures_in_a_row = 0
            if answer.repaired:
                self.send_home(answer.repaired)
            self._sort(ids, answer, observed_ms)

    def _refused(self, ids: list[str], error: CosaiError) -> None:
        """Split a list that was refused or unreadable; a single ID gets its row."""
        if len(ids) > 1:
            half = len(ids) // 2
            with self._lock:
                if error.status_code in _LISTS_REFUSED and len(ids) > self.client.accepted_size:
                    # a list as long as one that was answered before is refused for its content, not for its length
                    self.client.list_size = min(half, self.client.list_size or half)
            self._hand_back([ids[:half], ids[half:]])
        elif error.status_code == 404 and error.code:  # noqa: PLR2004 - HTTP's number
            # without a Code it is some web server's 404, which knows nothing of jobs
            self.send_home([Record(ids[0], "not_found")])
        elif isinstance(error, RefusedError):
            self.send_home([Record(ids[0], "unread", error=str(error))])
        else:
            self._give_up(ids, error)

    def _give_up(self, ids: list[str], error: CosaiError) -> None:
        """Ask each of these IDs alone; a single one gets its row. When nothing comes through for long, end the call."""
        with self._lock:
            self._failures_in_a_row += 1
            hopeless = self._failures_in_a_row >= MAX_LIST
        if hopeless:
            raise UnavailableError(
                f"ended after {MAX_LIST} requests in a row gave up; the last said: {error}"
            )
        if len(ids) > 1:
            self._hand_back([[job_id] for job_id in ids])  # one of them may be what the service stumbles over
        else:
            self.send_home([Record(ids[0], "unread", error=str(error))])

    def _hand_back(self, lists: list[list[str]]) -> None:
        with self._lock:
            self._again.extend(lists)
            self._lock.notify_all()

    def _sort(self, ids: list[str], answer: Answer, observed_ms: int) -> None:
        """Match an answer's jobs with the IDs asked; a job that was not asked for is never kept."""
        asked = set(ids)
        jobs = {values[0]: values for values in reversed(answer.jobs) if values[0] in asked}
        not_found = asked.intersection(answer.not_found) - jobs.keys()
        with self._lock:
            if jobs:
                self.client.accepted_size = max(self.client.accepted_size, len(ids))
            elif len(ids) > self.client.accepted_size:
                # A service that takes a list for one strange ID would call all of it unknown. Only a list with a job
                # in it shows that lists are understood.
                not_found = set()
        records = [Record(job_id, "job", observed_ms, None, jobs[job_id]) for job_id in ids if job_id in jobs]
        records += [Record(job_id, "not_found", observed_ms) for job_id in ids if job_id in not_found]
        left = [job_id for job_id in ids if job_id not in jobs and job_id not in not_found]
        if left and len(ids) > 1:
            self._hand_back([[job_id] for job_id in left])
        elif left:
            records.append(Record(left[0], "not_found", observed_ms))
        if records:
            self.send_home(records)


def parse_answer_to(ids: list[str], body: bytes) -> Answer:
    """Parse an answer; one that speaks of other jobs only is no answer to this request, and raises MismatchError."""
    answer = parse_jobs(body)
    names = [values[0] or "a job without JobId" for values in answer.jobs] + answer.not_found
    if names and not set(ids).intersection(names):
        raise MismatchError(
            f"The answer speaks of {names[0][:60]!a} instead: ask again, and look for a cache or proxy between.",
            retryable=True,
        )
    return answer
