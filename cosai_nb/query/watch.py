"""Poll jobs until they have ended, and show how it goes on."""

from __future__ import annotations

import contextlib
import html
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from cosai_nb.arguments import check, deadline_s, duration, wire_seconds
from cosai_nb.errors import SettingsError
from cosai_nb.query.asked import admit
from cosai_nb.query.fetch import Intake, Rows
from cosai_nb.schema import ENDED, OUTCOME_OF_STATE, Outcome, Record
from cosai_nb.service.client import INTERRUPTED, Client, interrupts
from cosai_nb.service.parsing import PLACE, Fields
from cosai_nb.service.scheduler import Lists, Scheduler
from cosai_nb.stats.queues import eta
from cosai_nb.table.frame import frame_of
from cosai_nb.table.store import as_store

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    import pandas as pd

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
    every: float | str | timedelta = 10.0,
    deadline: float | str | timedelta | None = None,
    workers: int = 64,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Query jobs again and again until all have ended; an interrupt at any time keeps what was read.

    Parameters
    ----------
    job_ids : iterable of str
        IDs, as for :func:`fetch_jobs`. An ID that the service does not know is not waited for.
    client : Client, optional
        Sends the requests; default ``Client.from_env()``. Its clock paces the watch.
    store : JobStore or path, optional
        Where to remember jobs: ended jobs in it are not queried, and each change is stored.
    every : float, str or timedelta
        Seconds between two rounds while jobs change. A round without a change makes the next pause 1.5 times longer, up to
        6 times ``every``; a change sets it back. Only unfinished jobs are queried.
    deadline : float, str or timedelta, optional
        Seconds after which to return in any case, or a text such as ``"2h"``.
    workers : int
        Requests in flight, at most.
    progress : bool, optional
        False shows nothing; else a widget in Jupyter and one line on stderr elsewhere: counts by outcome, the time left,
        the jobs that have waited longest, when those that wait are expected to start (80 % interval) or why that is not known.

    Returns
    -------
    pandas.DataFrame
        The ``jobs`` frame, one row a distinct ID, in first-seen order. Where jobs still wait, ``attrs["expected_starts"]`` says
        when they are expected to start, as the warning does; :func:`cosai_nb.eta` tells it of each. The watch knows the jobs
        that it watches and no others of their queues.

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
    with contextlib.suppress(SettingsError):  # told where there is something to ask
        client = client or Client.from_env()
    bucket = client.bucket if client else None
    ended = memory.ended_ids(ids, buckets=[bucket] if bucket else None) if memory else set()
    open_ids = [job_id for job_id in ids if job_id not in ended]
    intake = Intake(len(open_ids), False if progress is False else None, memory, bucket=bucket)
    watch = _Watch(open_ids, intake)
    with interrupts(), intake.bar:
        if open_ids:
            client, seconds = client or Client.from_env(), duration(every, "every")
            view = View(len(open_ids), shown=progress is not False)
            watch.run(client, view, every=seconds, deadline=deadline_s(deadline), workers=workers)
        jobs = intake.assemble(admitted, Rows(records=watch.records.values(), bucket=bucket))
        # on the way only changes were stored
        intake.with_store(lambda store: store.add(jobs[jobs["job_id"].isin(watch.open)]))
    gap = ""
    if watch.why is _INTERRUPTED:
        intake.end, watch.trouble = INTERRUPTED, ""
    if watch.why:
        trouble = f" (not read: {watch.trouble})" if watch.trouble else ""
        gap = f"{len(watch.open):,} of {len(jobs):,} jobs had not ended when {watch.why}{trouble}. Watch them again, with a "
        gap += "store to go on from here."
        if starts := expected_starts(jobs):
            gap += f" When they start: {starts}."
            jobs.attrs["expected_starts"] = starts
    intake.tell(jobs, gap)
    return jobs


@dataclass
class _Watch:
    """The newest record of each ID, and what is still open."""

    open: list[str]
    intake: Intake
    why: str = ""
    trouble: str = ""
    records: dict[str, Record] = field(default_factory=dict)
    asked: dict[str, Record] = field(default_factory=dict)
    first: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self.intake.keep = lambda records: self.asked.update({record.job_id: record for record in records})
        self.intake.worth_storing = self._is_change
        self.intake.bar.leave = False

    def run(self, client: Client, view: View, *, every: float, deadline: float, workers: int) -> None:
        """Ask, show and wait until none is open, the deadline is over or the user interrupts."""
        clock, fields, pause = client.clock, Fields(), 0.0
        until = clock.monotonic() + deadline
        try:
            while self.open and not (self.why or self.intake.failure):
                left = until - clock.monotonic()
                if pause and (left <= 0 or not client.sleep(min(pause, left))):
                    self.why = _INTERRUPTED if left > 0 else "the deadline was over"
                    break
                left = max(until - clock.monotonic(), 0.0)
                plan = Lists(client.path, self.open, client.pace, fields=fields)
                self.intake.run(client, plan, workers=workers, deadline=left)
                self.intake.bar.close()  # from here on the view tells
                pause = every if self._take() else min(pause * _SLOWER, every * _SLOWEST)
                view.show(self._progress())
        except KeyboardInterrupt:  # of a clock or handler of the user's
            self.why = _INTERRUPTED
        finally:
            view.close()

    def _is_change(self, record: Record) -> bool:
        return _outcome(self.records.get(record.job_id)) != _outcome(record)

    def _take(self) -> bool:
        """Keep the newest record of each ID; True where a job changed."""
        changed, still_open, end = False, [], self.intake.end
        if end != Scheduler.DEADLINE_OVER:
            self.trouble = str(end or "")
        for job_id in self.open:
            record = self.asked.pop(job_id, None) or Record(job_id, "unread", error=f"not read: {end}")
            before = self.records.get(job_id)
            if before is None or before.fate != "job" or record.fate == "job":
                changed |= self._is_change(record)
                self.records[job_id] = record
            if record.fate == "unread" and end != Scheduler.DEADLINE_OVER:
                self.trouble = self.trouble or record.error or ""
            if record.fate != "not_found" and _outcome(self.records[job_id]) not in ENDED:
                still_open.append(job_id)
        if end == INTERRUPTED:
            self.why = _INTERRUPTED
        self.open = still_open
        return changed

    def _progress(self) -> Progress:
        counts = dict.fromkeys(map(str, Outcome), 0)
        waiting: list[tuple[str, float]] = []
        for job_id, record in self.records.items():
            outcome = _outcome(record)
            counts[outcome] += 1
            created = wire_seconds(record.values[_CREATED]) if outcome == Outcome.WAITING else None
            if created is not None and record.observed_ms is not None:
                waiting.append((job_id, record.observed_ms / 1000 - created))
        oldest = sorted(waiting, key=lambda job: -job[1])[:_SHOWN]
        there = {outcome: count for outcome, count in counts.items() if count}
        # the pace at which jobs have ended since the first round, by the service's clock
        now = max(record.observed_ms or 0 for record in self.records.values())
        self.first = self.first or (now, len(self.open))
        took_s, done = (now - self.first[0]) / 1000, self.first[1] - len(self.open)
        eta_s = len(self.open) * took_s / done if done > 0 and took_s > 0 else None
        known = [record for record in self.records.values() if _outcome(record) in _OUTCOMES.values()]
        starts = expected_starts(frame_of(known)) if waiting else ""
        return Progress(there, len(self.records), len(self.open), eta_s, oldest, self.trouble, starts)


def expected_starts(jobs: pd.DataFrame) -> str:
    """Return when the jobs that wait are expected to start, or why that is not known; empty where none waits."""
    told = eta(jobs)
    known = told[told["start_expected"].notna()]
    parts = []
    if len(known):
        now = jobs["observed_at"].max()
        expected, low, high = (
            spoken(max((known[name].max() - now).total_seconds(), 0.0))
            for name in ("start_expected", "start_low", "start_high")
        )
        if known["start_high"].isna().any():
            high = "unknown"
        last = f"the last of {len(known):,} waiting jobs" if len(known) > 1 else "the waiting job"
        parts.append(f"{last} is expected to start in {expected} (80 %: {low} to {high})")
    if len(unknown := told[told["start_expected"].isna()]):
        why, noun = unknown["note"].value_counts().index[0], "job" if len(unknown) == 1 else "jobs"
        parts.append(f"not known for {len(unknown):,} waiting {noun}: {why}")
    return "; ".join(parts)


def _outcome(record: Record | None) -> str:
    if record is None:
        return ""
    if record.fate != "job":
        return record.fate
    return _OUTCOMES.get(record.values[_STATE] or "", Outcome.UNKNOWN)


class Progress(NamedTuple):
    """Where a watch stands.

    Parameters
    ----------
    counts : mapping
        Outcome to number of jobs, those that there are.
    total : int
        IDs watched.
    left : int
        Those that have not ended.
    eta_s : float or None
        Seconds until all have ended, at the pace since the watch began; None where none has ended since.
    oldest : list of (str, float)
        ID and age in seconds of the jobs that have waited longest.
    trouble : str
        Why the last round could not read them all; empty where it could.
    starts : str
        When those that wait are expected to start, or why that is not known; empty where none waits.
    """

    counts: Mapping[str, int]
    total: int
    left: int
    eta_s: float | None
    oldest: list[tuple[str, float]]
    trouble: str = ""
    starts: str = ""

    def line(self) -> str:
        """Return one line of plain text.

        Examples
        --------
        >>> Progress({"success": 3, "waiting": 1}, 4, 1, 90.0, [("a1", 200.0)]).line()
        '3 of 4 ended (3 success, 1 waiting); about 2 min left; a1 has waited 3 min'
        """
        counts = ", ".join(f"{count:,} {outcome}" for outcome, count in self.counts.items())
        ended = self.total - self.left - self.counts.get(Outcome.NOT_FOUND, 0)
        parts = [f"{ended:,} of {self.total:,} ended ({counts})"]
        if self.left:
            parts.append("time left unknown" if self.eta_s is None else f"about {spoken(self.eta_s)} left")
        parts += [f"{job_id} has waited {spoken(age)}" for job_id, age in self.oldest[:1]]
        parts += [f"start: {self.starts}"] if self.starts else []
        parts += [f"not read: {self.trouble}"] if self.trouble else []
        return "; ".join(parts)

    def table(self) -> str:
        """Return the same as HTML, with the oldest waiting jobs; IDs and states are escaped."""
        rows = "".join(
            f"<tr><td><code>{html.escape(job_id)}</code></td><td>{spoken(age)}</td></tr>"
            for job_id, age in self.oldest
        )
        oldest = f"<table><tr><th>waiting longest</th><th>for</th></tr>{rows}</table>" if rows else ""
        return f"<b>{html.escape(self._replace(oldest=[]).line())}</b>{oldest}"


class View:
    """Shows how a watch goes on: a widget in Jupyter, one line on stderr elsewhere, or nothing.

    Parameters
    ----------
    total : int
        IDs watched.
    shown : bool
        False shows nothing.
    """

    def __init__(self, total: int, *, shown: bool = True) -> None:
        self._shown, self._last = shown, ""
        self.widget = _widget(total) if shown and _in_jupyter() else None

    def show(self, progress: Progress) -> None:
        """Show where the watch stands; a terminal's line is rewritten, a log gets a line at each change."""
        line = progress.line()
        if not self._shown or line == self._last:
            return
        self._last = line
        if self.widget is not None:
            self.widget.value = progress.table()
            return
        sys.stderr.write(f"\r\x1b[K{line}" if sys.stderr.isatty() else f"{line}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """End the line; a closed widget would vanish from the notebook, so that stays."""
        if self._last and self.widget is None and sys.stderr.isatty():
            sys.stderr.write("\n")


def _widget(total: int) -> Any:
    """Display a widget whose text in places that run no widgets does not depend on when it is shown."""
    import ipywidgets  # noqa: PLC0415 - it costs 0.3 s, and only notebooks need it
    from IPython.display import display  # noqa: PLC0415 - the same

    widget = type("Widget", (ipywidgets.HTML,), {"__repr__": lambda _: f"Watching {total:,} jobs"})()
    display(widget)
    return widget


def spoken(seconds: float) -> str:
    """Return a duration in its natural unit.

    Examples
    --------
    >>> [spoken(seconds) for seconds in (42.4, 90, 5400, 200_000)]
    ['42 s', '2 min', '1.5 h', '2.3 d']
    """
    if seconds < 60:  # noqa: PLR2004 - seconds a minute
        return f"{seconds:.0f} s"
    if seconds < 3600:  # noqa: PLR2004 - seconds an hour
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 86400 else f"{seconds / 86400:.1f} d"  # noqa: PLR2004 - seconds a day


def _in_jupyter() -> bool:
    """Return whether this process is a Jupyter kernel; IPython is looked at only where it runs already."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")
