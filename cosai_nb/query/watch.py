"""Poll jobs until they have ended."""

from __future__ import annotations

import threading
import warnings
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from cosai_nb.arguments import check
from cosai_nb.errors import FileError, IncompleteWarning, InterruptedWarning
from cosai_nb.query.live import Progress, View, view_of
from cosai_nb.query.run import ask_and_store, assemble, bar, raise_with, warn_of_repairs
from cosai_nb.schema import ENDED, OUTCOME_OF_STATE, Outcome, Record
from cosai_nb.service.batch import DEADLINE_OVER, fetch_records
from cosai_nb.service.client import Client
from cosai_nb.service.ids import admit
from cosai_nb.service.reader import PLACE
from cosai_nb.service.spans import seconds
from cosai_nb.table.store import as_store

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    import pandas as pd
    from tqdm.auto import tqdm

    from cosai_nb.errors import CosaiError
    from cosai_nb.service.batch import Fetched
    from cosai_nb.table.store import JobStore

_OUTCOMES = {str(state): outcome for state, outcome in OUTCOME_OF_STATE.items()}
_INTERRUPTED = "the watch was interrupted"
_SLOWER = 1.5
_SLOWEST = 6.0
_SHOWN = 5
_STATE, _CREATED = PLACE["state"], PLACE["creation_time"]


def watch_jobs(
    job_ids: Iterable[Any],
    *,
    client: Client | None = None,
    store: JobStore | str | os.PathLike[str] | None = None,
    every: float = 10.0,
    deadline: float | None = None,
    workers: int = 16,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Ask for jobs again and again until all have ended; interrupt it at any time and keep what it has.

    Parameters
    ----------
    job_ids : iterable of str
        IDs, as for :func:`fetch_jobs`. An ID that the service does not know is not waited for.
    client : Client, optional
        Whom to ask; default ``Client.from_env()``. Its clock paces the watch.
    store : JobStore or path, optional
        Where to remember jobs: those that it has seen ended are not asked, and each change is stored.
    every : float
        Seconds between two rounds while jobs change. A round without a change makes the next pause 1.5 times longer, up to
        6 times ``every``; a change sets it back. Only jobs that have not ended are asked.
    deadline : float, optional
        Seconds after which to return in any case.
    workers : int
        Requests in flight.
    progress : bool, optional
        False shows nothing; else a widget in Jupyter and one line on stderr elsewhere: counts by outcome, the time left,
        the jobs that have waited longest.

    Returns
    -------
    pandas.DataFrame
        The ``jobs`` frame, one row a distinct ID, in first-seen order.

    Raises
    ------
    SettingsError, DeniedError, FileError
        As :func:`fetch_jobs`; ``error.jobs`` holds what was read before.

    Warns
    -----
    IncompleteWarning
        Where jobs had not ended at the deadline or when the watch was interrupted.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> with cn.Emulator(seed=7) as emulator:
    ...     jobs = cn.watch_jobs(emulator.job_ids[:3], client=emulator.client(), progress=False)
    >>> jobs.outcome.isin(["success", "failed", "cancelled"]).tolist()
    [True, True, True]
    """
    check(client=client, every=every, deadline=deadline, workers=workers, progress=progress)
    admitted = admit(job_ids)
    ids = [entry for entry in admitted if isinstance(entry, str)]
    memory = as_store(store)
    ended = memory.ended_ids(ids) if memory else set()
    watch = _Watch([job_id for job_id in ids if job_id not in ended], memory)
    if watch.open:
        watch.run(
            client or Client.from_env(), every=every, deadline=deadline, workers=workers, progress=progress
        )
    jobs = assemble(admitted, watch.records, memory)
    warn_of_repairs(watch.repairs)
    if memory and watch.open and watch.failure is None:
        try:  # on the way only changes were stored
            memory.add(jobs[jobs["job_id"].isin(watch.open)])
        except FileError as failure:
            watch.failure = failure
    if watch.failure is not None:
        raise_with(
            watch.failure, jobs, f"{len(jobs) - len(watch.open):,} of {len(jobs):,} jobs had ended before."
        )
    if watch.why:
        trouble = "" if watch.why is _INTERRUPTED or not watch.trouble else f" (not read: {watch.trouble})"
        warnings.warn(
            f"{len(watch.open):,} of {len(jobs):,} jobs had not ended when {watch.why}{trouble}. Watch them again, with a store "
            "to go on from here.",
            InterruptedWarning if watch.why is _INTERRUPTED else IncompleteWarning,
            stacklevel=2,
        )
    return jobs


@dataclass
class _Watch:
    """The newest record of each ID, and what is still open."""

    open: list[str]
    store: JobStore | None
    records: dict[str, Record] = field(default_factory=dict)
    repairs: Counter[str] = field(default_factory=Counter)
    failure: CosaiError | None = None
    why: str = ""
    trouble: str = ""
    _first: tuple[int, int] | None = None

    def run(
        self,
        client: Client,
        *,
        every: float,
        deadline: float | None,
        workers: int,
        progress: bool | None,
    ) -> None:
        """Ask, show and wait until none is open, the deadline is over or the user interrupts."""
        view = view_of(progress, len(self.open))
        try:  # no loop directly below it: see Workers._gather
            with bar(len(self.open), False if progress is False else None, leave=False) as first:
                self._poll(client, view, first, every=every, deadline=deadline, workers=workers)
        except KeyboardInterrupt:
            self.why = _INTERRUPTED
        finally:
            view.close()

    def _poll(
        self,
        client: Client,
        view: View,
        first: tqdm[Any],
        *,
        every: float,
        deadline: float | None,
        workers: int,
    ) -> None:
        clock = client.clock
        until = float("inf") if deadline is None else clock.monotonic() + deadline
        pause = every
        while True:
            left = None if deadline is None else until - clock.monotonic()
            ask = partial(fetch_records, client, self.open, workers=workers, deadline=left)
            fetched = ask_and_store(ask, self.store, first, worth_storing=self._is_change)
            first.close()  # from here on the view tells
            changed = self._take(fetched)
            view.show(self._progress())
            if not self.open or self.why or self.failure:
                return
            pause = every if changed else min(pause * _SLOWER, every * _SLOWEST)
            rest = until - clock.monotonic()
            if rest <= 0:
                self.why = "the deadline was over"
                return
            clock.wait(threading.Event(), min(pause, rest))

    def _is_change(self, record: Record) -> bool:
        return _outcome(self.records.get(record.job_id)) != _outcome(record)

    def _take(self, fetched: Fetched) -> bool:
        """Keep the newest record of each ID; True where a job changed."""
        changed = False
        for job_id, record in fetched.records.items():
            before = self.records.get(job_id)
            if before is None or before.fate != "job" or record.fate == "job":
                changed |= self._is_change(record)
                self.records[job_id] = record
        self.repairs += fetched.repairs
        self.failure = fetched.failure
        if fetched.ended != DEADLINE_OVER:
            unread = (record.error for record in fetched.records.values() if record.fate == "unread")
            self.trouble = fetched.ended or next(unread, None) or ""
        if fetched.interrupted:
            self.why = _INTERRUPTED
        gone = {job_id for job_id, record in fetched.records.items() if record.fate == "not_found"}
        self.open = [
            job_id
            for job_id in self.open
            if job_id not in gone and _outcome(self.records[job_id]) not in ENDED
        ]
        return changed

    def _progress(self) -> Progress:
        counts = dict.fromkeys(map(str, Outcome), 0)
        waiting: list[tuple[str, float]] = []
        for job_id, record in self.records.items():
            outcome = _outcome(record)
            counts[outcome] += 1
            created = seconds(record.values[_CREATED]) if outcome == Outcome.WAITING else None
            if created is not None and record.observed_ms is not None:
                waiting.append((job_id, record.observed_ms / 1000 - created))
        oldest = sorted(waiting, key=lambda job: -job[1])[:_SHOWN]
        there = {outcome: count for outcome, count in counts.items() if count}
        return Progress(there, len(self.records), len(self.open), self._eta_s(), oldest, self.trouble)

    def _eta_s(self) -> float | None:
        """Return the seconds left at the pace at which jobs have ended since the first round, by the service's clock."""
        now = max((record.observed_ms or 0 for record in self.records.values()), default=0)
        if self._first is None:
            self._first = (now, len(self.open))
        since, open_then = self._first
        done = open_then - len(self.open)
        return len(self.open) * (now - since) / 1000 / done if done > 0 and now > since else None


def _outcome(record: Record | None) -> str:
    if record is None:
        return ""
    if record.fate != "job":
        return record.fate
    return _OUTCOMES.get(record.values[_STATE] or "", Outcome.UNKNOWN)
