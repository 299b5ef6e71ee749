"""What a workload is made of: queues, kinds of job, the rhythm of a week, an incident."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Literal

WIRE_ZONE = timezone(timedelta(hours=8))
"""The service writes every time in +0800."""

Order = Literal["fifo", "priority", "random"]

OFFICE_HOURS = (
    *(0.6, 0.35, 0.25, 0.2, 0.2, 0.25, 0.4, 0.8),
    *(1.6, 2.6, 3.0, 2.7, 1.7, 2.3, 3.1, 3.0),
    *(2.7, 2.2, 1.5, 1.2, 1.0, 1.1, 1.9, 6.6),
)
"""Relative arrival rate by hour of day: two office peaks, and a batch of submissions before midnight."""


@dataclass(frozen=True, slots=True)
class TagSpec:
    """One kind of job.

    Parameters
    ----------
    name : str
        Tag as on the wire.
    mean_s : float
        Mean run time of jobs that succeed outside of incidents [s].
    sigma : float or None
        Standard deviation of the logarithm of the run time; None makes it exponential.
    failure_rate : float
        Share of jobs that fail outside of incidents.
    slow_failures : float
        Share of those failures that take four times the run time; the others end within seconds.
    """

    name: str
    mean_s: float
    sigma: float | None = 0.8
    failure_rate: float = 0.03
    slow_failures: float = 0.3


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """One queue.

    Parameters
    ----------
    name : str
        Name of the queue in ``/ai_queue``.
    servers : int
        Jobs that run at the same time (MaxConcurrent).
    mix : tuple of (str, float)
        Tags and their shares; shares of all queues together are scaled to 1.
    order : {"fifo", "priority", "random"}
        Who is next. Job levels above 0 occur in ``priority`` queues only, since the documents promise that
        a larger level is served earlier.
    paused_h : tuple of (float, float) or None
        Hours after the scenario's start between which no job of this queue starts.
    """

    name: str
    servers: int
    mix: tuple[tuple[str, float], ...]
    order: Order = "fifo"
    paused_h: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Incident:
    """Some hours in which one queue is slow and fails.

    Parameters
    ----------
    queue : int
        Position of the queue in the scenario.
    start_h, end_h : float
        Hours after the scenario's start; jobs that start to run in between are hit.
    slowdown : float
        Factor on the run time.
    failure_rate : float
        Share of jobs that fail.
    """

    queue: int
    start_h: float
    end_h: float
    slowdown: float = 2.0
    failure_rate: float = 0.25


@dataclass(frozen=True, slots=True)
class Scenario:
    """A week of a bucket, by default.

    Parameters
    ----------
    jobs : int
        Number of jobs submitted. Given their number, Poisson arrivals are independent draws from the rate.
    start : datetime
        When submissions begin.
    duration_h : float
        Hours of submissions; the emulator's clock stands at their end.
    tags, queues, incident
        See their classes.
    profile : tuple of 24 float
        Relative arrival rate by hour of day (+0800).
    weekend : float
        Factor on the rate on Saturdays and Sundays.
    cancel_rate : float
        Share of jobs whose owner would cancel them if they wait too long.
    patience_s : float
        Mean of the exponential wait after which those are cancelled [s].
    levels : tuple of float
        Shares of JobLevel 0, 1, 2 in priority queues.
    """

    jobs: int = 20_000
    start: datetime = datetime(2026, 11, 2, tzinfo=WIRE_ZONE)
    duration_h: float = 168.0
    tags: tuple[TagSpec, ...] = (
        TagSpec("Translation", mean_s=260.0, sigma=0.9, failure_rate=0.035),
        TagSpec("SpeechRecognition", mean_s=260.0, sigma=0.7, failure_rate=0.025),
        TagSpec("WordsGeneralize", mean_s=12.0, sigma=0.5, failure_rate=0.015),
    )
    queues: tuple[QueueSpec, ...] = (
        QueueSpec("queue-ai-process-1", 10, (("Translation", 0.44), ("WordsGeneralize", 0.16))),
        QueueSpec("queue-speeching-1", 6, (("SpeechRecognition", 0.27),)),
        QueueSpec(
            "queue-ai-process-2",
            2,
            (("Translation", 0.08), ("WordsGeneralize", 0.05)),
            order="priority",
            paused_h=(167.5, float("inf")),
        ),
    )
    incident: Incident | None = Incident(queue=0, start_h=2 * 24 + 10, end_h=2 * 24 + 13)
    profile: tuple[float, ...] = OFFICE_HOURS
    weekend: float = 0.75
    cancel_rate: float = 0.03
    patience_s: float = 300.0
    levels: tuple[float, float, float] = (0.85, 0.1, 0.05)

    def __post_init__(self) -> None:
        known = {tag.name for tag in self.tags}
        used = {name for queue in self.queues for name, _ in queue.mix}
        if not used or not used <= known:
            raise ValueError(
                f"The queues of a Scenario use tags {sorted(used)}; tags= describes {sorted(known)}."
            )
        if self.jobs < 1 or self.duration_h <= 0 or any(queue.servers < 1 for queue in self.queues):
            raise ValueError("A Scenario needs at least one job, some hours, and a server in each queue.")
        if len(self.profile) != 24 or min(self.profile) < 0 or max(self.profile) <= 0:  # noqa: PLR2004 - hours of a day
            raise ValueError("A Scenario's profile is 24 rates, none negative, one above zero.")
        if self.incident and not 0 <= self.incident.queue < len(self.queues):
            raise ValueError(f"The incident is in queue {self.incident.queue} of {len(self.queues)}.")
