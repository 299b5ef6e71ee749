"""Jobs whose truth is known: simulated once from a seed, then seen as of any instant. No HTTP here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cosai_nb.emulator.details import Details, details_of
from cosai_nb.emulator.discipline import FOREVER, NEVER, start_times
from cosai_nb.emulator.scenario import WIRE_ZONE, Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STATES = ("Submitted", "Running", "Success", "Failed", "Pause", "Cancel")
NOT_YET = -1
"""In a Snapshot: the job does not exist yet, or the time is not reached."""

QUICK_FAILURES = (
    ("InvalidArgument", "The file type does not match the Type of the Input."),
    ("ResourceNotFound", "The input object does not exist."),
    ("ResourceDownloadFailed", "The input object could not be read <timeout & reset>."),
)
SLOW_FAILURE = ("InternalError", "We encountered an internal error. Please try again.")
CODES = ("Success", *(code for code, _ in QUICK_FAILURES), SLOW_FAILURE[0])
MESSAGES = ("", *(message for _, message in QUICK_FAILURES), SLOW_FAILURE[1])
_SLOW = len(CODES) - 1
_UUID_EPOCH_S = 12_219_292_800  # from 1582-10-15, where UUIDv1 counts from, to 1970
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every job as the service shows it at one instant; arrays in submission order.

    Parameters
    ----------
    now : float
        The instant, seconds since the epoch.
    state : ndarray of int8
        Position in STATES, NOT_YET where the job is not submitted yet.
    start_time, end_time : ndarray of int64
        Whole seconds since the epoch as on the wire, NOT_YET where not reached. A cancelled job ends without a start.
    """

    now: float
    state: NDArray[np.int8]
    start_time: NDArray[np.int64]
    end_time: NDArray[np.int64]


class Workload:
    """A simulated workload.

    Parameters
    ----------
    scenario : Scenario, optional
        What to simulate; by default a week of 20,000 jobs in three queues.
    seed : int
        The same seed and scenario give the same jobs, to the last digit.

    Attributes
    ----------
    queue, tag, level, code : ndarray of int
        Positions in ``scenario.queues``, ``scenario.tags`` and CODES, and the JobLevel, in submission order.
    creation_time, start_time, end_time : ndarray of float64
        Exact times, seconds since the epoch; NaN where it never happens. A cancelled job ends without a start.
    audio_s : ndarray of float64
        Length of the audio [s], NaN for other tags.
    job_ids, queue_ids : list of str
        As on the wire.

    Examples
    --------
    >>> import numpy as np
    >>> week = Workload(seed=7)
    >>> len(week.job_ids), np.unique(week.truth["fate"]).tolist()
    (20000, ['Cancel', 'Failed', 'Pause', 'Success'])
    """

    def __init__(self, scenario: Scenario | None = None, *, seed: int = 7) -> None:
        self.scenario = scenario or Scenario()
        self.seed = seed
        rng = np.random.default_rng(seed)
        self._draw_jobs(rng)
        self._draw_outcomes(rng)
        self._run_queues(rng)
        self._name(rng)

    @property
    def observed_at(self) -> float:
        """End of the submissions, seconds since the epoch."""
        return self.scenario.start.timestamp() + self.scenario.duration_h * _HOUR_S

    def _draw_jobs(self, rng: np.random.Generator) -> None:
        scenario = self.scenario
        n = scenario.jobs
        self.creation_time = scenario.start.timestamp() + _arrivals(scenario, rng)
        names = [tag.name for tag in scenario.tags]
        cells = [(q, names.index(t), w) for q, spec in enumerate(scenario.queues) for t, w in spec.mix]
        share = np.array([weight for _, _, weight in cells])
        cell = rng.choice(len(cells), size=n, p=share / share.sum())
        self.queue = np.array([queue for queue, _, _ in cells])[cell]
        self.tag = np.array([tag for _, tag, _ in cells])[cell]
        by_level = np.array([spec.order == "priority" for spec in scenario.queues])[self.queue]
        self.level = np.where(by_level, rng.choice(3, size=n, p=scenario.levels), 0)
        impatient = rng.random(n) < scenario.cancel_rate
        patience = rng.exponential(scenario.patience_s, n)
        self._cancel_at = np.where(impatient, self.creation_time + patience, FOREVER)
        self._variant = rng.integers(2**32, size=n)

    def _draw_outcomes(self, rng: np.random.Generator) -> None:
        """Draw run time and code of each job twice: for a start in quiet hours and for one in the incident."""
        scenario, n = self.scenario, self.scenario.jobs
        run = np.empty(n)
        for position, tag in enumerate(scenario.tags):
            of_tag = self.tag == position
            count = int(of_tag.sum())
            if tag.sigma is None:
                run[of_tag] = rng.exponential(tag.mean_s, count)
            else:
                run[of_tag] = rng.lognormal(np.log(tag.mean_s) - tag.sigma**2 / 2, tag.sigma, count)
        speech = np.array([tag.name == "SpeechRecognition" for tag in scenario.tags])[self.tag]
        self.audio_s = np.where(speech, np.clip(np.round(run * rng.uniform(5, 8, n), 2), 0.5, 18_000), np.nan)
        fails_at, slow_at, quick_run = rng.random(n), rng.random(n), rng.uniform(0.3, 4.0, n)
        quick_code = 1 + rng.choice(len(QUICK_FAILURES), size=n, p=(0.4, 0.35, 0.25))

        def regime(rate: Any, slow_share: Any, slowdown: float) -> tuple[Floats, NDArray[np.int_]]:
            fails, slow = fails_at < rate, slow_at < slow_share
            code = np.where(fails, np.where(slow, _SLOW, quick_code), 0)
            factor = np.where(fails & slow, 4.0, 1.0) * slowdown
            return np.where(fails & ~slow, quick_run, run * factor), code

        rate = np.array([tag.failure_rate for tag in scenario.tags])[self.tag]
        slow_share = np.array([tag.slow_failures for tag in scenario.tags])[self.tag]
        self._quiet = regime(rate, slow_share, 1.0)
        incident = scenario.incident
        # in an incident it is the service that fails, not the input: all failures are slow, but not four times
        self._hit = regime(incident.failure_rate, 1.0, incident.slowdown / 2) if incident else self._quiet

    def _run_queues(self, rng: np.random.Generator) -> None:
        scenario = self.scenario
        zero = scenario.start.timestamp()
        self.start_time = np.full(scenario.jobs, np.nan)
        in_incident = np.zeros(scenario.jobs, dtype=bool)
        for position, spec in enumerate(scenario.queues):
            members = np.flatnonzero(self.queue == position)
            incident = (
                scenario.incident if scenario.incident and scenario.incident.queue == position else None
            )
            hit = (zero + incident.start_h * _HOUR_S, zero + incident.end_h * _HOUR_S) if incident else None
            paused = spec.paused_h or NEVER
            starts = start_times(
                self.creation_time[members].tolist(),
                _run_time(self._quiet[0][members].tolist(), self._hit[0][members].tolist(), hit),
                servers=spec.servers,
                order=spec.order,
                levels=self.level[members].tolist(),
                cancel_at=self._cancel_at[members].tolist(),
                paused=(zero + paused[0] * _HOUR_S, zero + paused[1] * _HOUR_S),
                rng=rng,
            )
            self.start_time[members] = starts
            if hit:
                in_incident[members] = (starts >= hit[0]) & (starts < hit[1])
        run = np.where(in_incident, self._hit[0], self._quiet[0])
        self.code = np.where(in_incident, self._hit[1], self._quiet[1])
        never = np.isnan(self.start_time)
        cancelled = np.where(np.isfinite(self._cancel_at), self._cancel_at, np.nan)
        self.end_time = np.where(never, cancelled, self.start_time + run)

    def _name(self, rng: np.random.Generator) -> None:
        """Name jobs by the UUIDv1 of their creation, as the service was seen to do."""
        node = int(rng.integers(2**47)) | (1 << 40)  # a random node has the multicast bit
        clock = rng.integers(2**14, size=self.scenario.jobs).tolist()
        ticks = ((self.creation_time + _UUID_EPOCH_S) * 1e7).astype(np.int64)
        order = np.arange(len(ticks))
        ticks = np.maximum.accumulate(ticks - order) + order  # two jobs of one tick would share a name
        speech = [tag.name == "SpeechRecognition" for tag in self.scenario.tags]
        self.job_ids = [
            f"{'s' if speech[tag] else 'a'}{tick & 0xFFFFFFFF:08x}{(tick >> 32) & 0xFFFF:04x}"
            f"1{tick >> 48:03x}{0x8000 | seq:04x}{node:012x}"
            for tag, tick, seq in zip(self.tag.tolist(), ticks.tolist(), clock, strict=True)
        ]
        self.queue_ids = ["p" + rng.bytes(16).hex() for _ in self.scenario.queues]

    def as_of(self, now: float) -> Snapshot:
        """Return every job as it is shown at ``now``, seconds since the epoch."""
        started, ended = self.start_time <= now, self.end_time <= now
        state = np.where(self._paused(now)[self.queue], STATES.index("Pause"), STATES.index("Submitted"))
        state[started] = STATES.index("Running")
        state[ended] = np.where(self.code[ended] == 0, STATES.index("Success"), STATES.index("Failed"))
        state[ended & ~started] = STATES.index("Cancel")
        state[self.creation_time > now] = NOT_YET
        return Snapshot(
            now=now,
            state=state.astype(np.int8),
            start_time=_whole_seconds(self.start_time, started),
            end_time=_whole_seconds(self.end_time, ended),
        )

    def _paused(self, now: float) -> NDArray[np.bool_]:
        hour = (now - self.scenario.start.timestamp()) / _HOUR_S
        windows = [spec.paused_h or NEVER for spec in self.scenario.queues]
        return np.array([low <= hour and (hour < high or high == FOREVER) for low, high in windows])

    def queue_is_paused(self, position: int, now: float) -> bool:
        """Return whether a queue is paused at ``now``."""
        return bool(self._paused(now)[position])

    def details(self, number: int) -> Details:
        """Return what job ``number`` in submission order is about."""
        tag = self.scenario.tags[self.tag[number]].name
        return details_of(tag, number, int(self._variant[number]))

    @cached_property
    def truth(self) -> Mapping[str, NDArray[Any]]:
        """Columns of exact values in submission order, with what will become of jobs that are unfinished now.

        ``job_id, tag, queue_id, job_level, creation_time, start_time, end_time`` (seconds since the epoch, not
        rounded; NaN where it never happens), ``fate`` (the last State), ``code``, ``audio_s`` and the texts of
        :class:`~cosai_nb.emulator.details.Details`.
        """
        last = self.as_of(FOREVER).state
        details = [self.details(number) for number in range(self.scenario.jobs)]
        texts = ("input_object", "output_object", "user_data", "input_lang", "input_type")
        options = ("target_lang", "target_type", "engine_model")
        return {
            "job_id": np.array(self.job_ids),
            "tag": np.array([tag.name for tag in self.scenario.tags])[self.tag],
            "queue_id": np.array(self.queue_ids)[self.queue],
            "job_level": self.level,
            "creation_time": self.creation_time,
            "start_time": self.start_time,
            "end_time": self.end_time,
            "fate": np.array(STATES)[last],
            "code": np.array(CODES)[self.code],
            "audio_s": self.audio_s,
            **{text: np.array([getattr(detail, text) for detail in details]) for text in (*texts, *options)},
        }


def _run_time(quiet: list[float], hit: list[float], window: tuple[float, float] | None) -> Any:
    if window is None:
        return lambda job, _now: quiet[job]
    low, high = window
    return lambda job, now: hit[job] if low <= now < high else quiet[job]


def _whole_seconds(times: Floats, reached: NDArray[np.bool_]) -> NDArray[np.int64]:
    whole = np.full(len(times), NOT_YET, dtype=np.int64)
    whole[reached] = np.floor(times[reached]).astype(np.int64)
    return whole


def _arrivals(scenario: Scenario, rng: np.random.Generator) -> Floats:
    """Draw ascending arrival times [s after the start] from the piecewise constant rate of the profile."""
    edges = np.unique(np.append(np.arange(0.0, scenario.duration_h), scenario.duration_h))
    clock = [scenario.start.astimezone(WIRE_ZONE) + timedelta(hours=float(hour)) for hour in edges[:-1]]
    rate = np.array([scenario.profile[at.hour] * _day(at, scenario) for at in clock])
    cumulated = np.concatenate([[0.0], np.cumsum(rate * np.diff(edges))])
    hours = np.interp(np.sort(rng.random(scenario.jobs)) * cumulated[-1], cumulated, edges)
    return np.asarray(hours * _HOUR_S)


def _day(at: datetime, scenario: Scenario) -> float:
    saturday = 5
    return scenario.weekend if at.weekday() >= saturday else 1.0
