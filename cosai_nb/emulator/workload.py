"""Jobs whose truth is known: a scenario, simulated once from a seed, then seen as of any instant. No HTTP here."""

from __future__ import annotations

import heapq
import tomllib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

WIRE_ZONE = timezone(timedelta(hours=8))
"""The service writes every time in +0800."""

Order = Literal["fifo", "priority", "random"]

OFFICE_HOURS = (
    *(0.6, 0.35, 0.25, 0.2, 0.2, 0.25, 0.4, 0.8),
    *(1.6, 2.6, 3.0, 2.7, 1.7, 2.3, 3.1, 3.0),
    *(2.7, 2.2, 1.5, 1.2, 1.0, 1.1, 1.9, 6.6),
)
"""Relative arrival rate by hour of day: two office peaks, and a batch of submissions before midnight."""

FOREVER = float("inf")
NEVER = (float("nan"), float("nan"))
"""A window that no time is in."""


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

    Examples
    --------
    >>> TagSpec("Translation", mean_s=60.0).failure_rate
    0.03
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
        Name of the queue.
    servers : int
        Jobs that run at the same time (MaxConcurrent).
    mix : tuple of (str, float)
        Tags and their shares; shares of all queues together are scaled to 1.
    order : {"fifo", "priority", "random"}
        Who is next. Job levels above 0 occur in ``priority`` queues only, since the documents promise that
        a larger level is served earlier.
    paused_h : tuple of (float, float) or None
        Hours after the scenario's start between which no job of this queue starts.

    Examples
    --------
    >>> QueueSpec("nightly", servers=2, mix=(("Translation", 1.0),)).order
    'fifo'
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

    Examples
    --------
    Four hours in which three quarters of the jobs of the second queue fail:

    >>> Incident(queue=1, start_h=10, end_h=14, failure_rate=0.75).slowdown
    2.0
    """

    queue: int
    start_h: float
    end_h: float
    slowdown: float = 2.0
    failure_rate: float = 0.25


class Family(NamedTuple):
    """A family of jobs: its paths, what its IDs begin with, and what its default week is made of (api.md §1.6)."""

    path: str
    queue_path: str
    letter: str
    category: str
    tags: tuple[TagSpec, ...]
    queues: tuple[QueueSpec, ...]


def _family(tags: list[dict[str, Any]], queues: list[dict[str, Any]], **paths: str) -> Family:
    """Read one table of families.toml."""
    for spec in queues:
        spec["mix"] = tuple(spec["mix"].items())
        if "paused_h" in spec:
            spec["paused_h"] = tuple(spec["paused_h"])
    specs = tuple(QueueSpec(**spec) for spec in queues)
    return Family(**paths, tags=tuple(TagSpec(**tag) for tag in tags), queues=specs)


_TABLES = tomllib.loads(files("cosai_nb.emulator").joinpath("families.toml").read_text("utf-8"))
FAMILIES = {name: _family(**table) for name, table in _TABLES["families"].items()}
_OWNER = {tag.name: family for family in FAMILIES.values() for tag in family.tags}


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
    tags, queues
        By default those of the emulator's family.
    incident
        By default on the third day, from 10 to 13 o'clock, in the first queue.
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

    Examples
    --------
    A busy hour of one queue:

    >>> queue = QueueSpec("nightly", servers=2, mix=(("Translation", 1.0),))
    >>> hour = Scenario(jobs=200, duration_h=1.0, tags=(TagSpec("Translation", mean_s=60.0),), queues=(queue,))
    >>> len(Workload(hour, seed=7).job_ids)
    200
    """

    jobs: int = 20_000
    start: datetime = datetime(2026, 11, 2, tzinfo=WIRE_ZONE)
    duration_h: float = 168.0
    tags: tuple[TagSpec, ...] = FAMILIES["ai"].tags
    queues: tuple[QueueSpec, ...] = FAMILIES["ai"].queues
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
            raise ValueError(f"The queues of a Scenario use tags {sorted(used)}; tags= has {sorted(known)}.")
        if self.jobs < 1 or self.duration_h <= 0 or any(queue.servers < 1 for queue in self.queues):
            raise ValueError("A Scenario needs at least one job, some hours, and a server in each queue.")
        if len(self.profile) != 24 or min(self.profile) < 0 or max(self.profile) <= 0:  # noqa: PLR2004 - hours of a day
            raise ValueError("A Scenario's profile is 24 rates, none negative, one above zero.")
        if self.incident and not 0 <= self.incident.queue < len(self.queues):
            raise ValueError(f"The incident is in queue {self.incident.queue} of {len(self.queues)}.")


STATES = ("Submitted", "Running", "Success", "Failed", "Pause", "Cancel")
NOT_YET = -1
"""In a Snapshot: the job does not exist yet, or the time is not reached."""

OUTCOMES = (
    ("Success", ""),
    ("InvalidArgument", "The file type does not match the Type of the Input."),
    ("ResourceNotFound", "The input object does not exist."),
    ("ResourceDownloadFailed", "The input object could not be read <timeout & reset>."),
    ("InternalError", "We encountered an internal error. Please try again."),
)
CODES = [code for code, _ in OUTCOMES]
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
        What to simulate; by default a week of 20,000 jobs.
    seed : int
        The same seed and scenario give the same jobs, to the last digit.
    family : {"ai", "media", "asr", "doc", "pic", "file"}
        Whose tags and queues the scenario has where it names none.

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

    def __init__(self, scenario: Scenario | None = None, *, seed: int = 7, family: str = "ai") -> None:
        if family not in FAMILIES:
            raise ValueError(f"family={family!r} is none of {', '.join(FAMILIES)}.")
        self.family, self.seed = FAMILIES[family], seed
        self.scenario, default = scenario or Scenario(), FAMILIES["ai"]
        if (self.scenario.tags, self.scenario.queues) == (default.tags, default.queues):
            self.scenario = replace(self.scenario, tags=self.family.tags, queues=self.family.queues)
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
        scenario, n = self.scenario, self.scenario.jobs
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
            of_tag, count = self.tag == position, int((self.tag == position).sum())
            if tag.sigma is None:
                run[of_tag] = rng.exponential(tag.mean_s, count)
            else:
                run[of_tag] = rng.lognormal(np.log(tag.mean_s) - tag.sigma**2 / 2, tag.sigma, count)
        speech = np.array([tag.name == "SpeechRecognition" for tag in scenario.tags])[self.tag]
        self.audio_s = np.where(speech, np.clip(np.round(run * rng.uniform(5, 8, n), 2), 0.5, 18_000), np.nan)
        fails_at, slow_at, quick_run = rng.random(n), rng.random(n), rng.uniform(0.3, 4.0, n)
        quick_code = 1 + rng.choice(3, size=n, p=(0.4, 0.35, 0.25))

        def regime(rate: Any, slow_share: Any, slowdown: float) -> tuple[Floats, NDArray[np.int_]]:
            fails, slow = fails_at < rate, slow_at < slow_share
            code = np.where(fails, np.where(slow, _SLOW, quick_code), 0)
            factor = np.where(fails & slow, 4.0, 1.0) * slowdown
            return np.where(fails & ~slow, quick_run, run * factor), code

        rate = np.array([tag.failure_rate for tag in scenario.tags])[self.tag]
        slow_share = np.array([tag.slow_failures for tag in scenario.tags])[self.tag]
        self._incident = scenario.incident or Incident(0, *NEVER)
        # in an incident it is the service that fails, not the input: all failures are slow, but not four times
        hit = regime(self._incident.failure_rate, 1.0, self._incident.slowdown / 2)
        self._regimes = tuple(zip(regime(rate, slow_share, 1.0), hit, strict=True))

    def _run_queues(self, rng: np.random.Generator) -> None:
        self.start_time = np.full(self.scenario.jobs, np.nan)
        self._in_incident = np.zeros(self.scenario.jobs, dtype=bool)
        for position, spec in enumerate(self.scenario.queues):
            self._run_queue(position, spec, rng)
        run, self.code = (np.where(self._in_incident, hit, quiet) for quiet, hit in self._regimes)
        cancelled = np.where(np.isfinite(self._cancel_at), self._cancel_at, np.nan)
        self.end_time = np.where(np.isnan(self.start_time), cancelled, self.start_time + run)

    def _run_queue(self, position: int, spec: QueueSpec, rng: np.random.Generator) -> None:
        incident, zero = self._incident, self.scenario.start.timestamp()
        hours = (incident.start_h, incident.end_h) if incident.queue == position else NEVER
        low, high, begin, end = (zero + hour * _HOUR_S for hour in (*hours, *(spec.paused_h or NEVER)))
        members = np.flatnonzero(self.queue == position)
        quiet, hit = (run[members].tolist() for run in self._regimes[0])
        starts = start_times(
            self.creation_time[members].tolist(),
            lambda job, now: (hit if low <= now < high else quiet)[job],
            servers=spec.servers,
            order=spec.order,
            levels=self.level[members].tolist(),
            cancel_at=self._cancel_at[members].tolist(),
            paused=(begin, end),
            rng=rng,
        )
        self.start_time[members] = starts
        self._in_incident[members] = (starts >= low) & (starts < high)

    def _name(self, rng: np.random.Generator) -> None:
        """Name jobs by the UUIDv1 of their creation, as the service was seen to do."""
        node = int(rng.integers(2**47)) | (1 << 40)  # a random node has the multicast bit
        clock = rng.integers(2**14, size=self.scenario.jobs).tolist()
        ticks = ((self.creation_time + _UUID_EPOCH_S) * 1e7).astype(np.int64)
        order = np.arange(len(ticks))
        ticks = np.maximum.accumulate(ticks - order) + order  # two jobs of one tick would share a name
        letters = [_OWNER.get(tag.name, self.family).letter for tag in self.scenario.tags]
        self.job_ids = [
            f"{letters[tag]}{tick & 0xFFFFFFFF:08x}{(tick >> 32) & 0xFFFF:04x}"
            f"1{tick >> 48:03x}{0x8000 | seq:04x}{node:012x}"
            for tag, tick, seq in zip(self.tag.tolist(), ticks.tolist(), clock, strict=True)
        ]
        self.queue_ids = ["p" + rng.bytes(16).hex() for _ in self.scenario.queues]

    def as_of(self, now: float) -> Snapshot:
        """Return every job as it is shown at ``now``, seconds since the epoch."""
        started, ended = self.start_time <= now, self.end_time <= now
        state = np.where(self.paused(now)[self.queue], STATES.index("Pause"), STATES.index("Submitted"))
        state[started] = STATES.index("Running")
        state[ended] = np.where(self.code[ended] == 0, STATES.index("Success"), STATES.index("Failed"))
        state[ended & ~started] = STATES.index("Cancel")
        state[self.creation_time > now] = NOT_YET
        start, end = (
            np.floor(np.where(reached, exact, NOT_YET)).astype(np.int64)
            for reached, exact in ((started, self.start_time), (ended, self.end_time))
        )
        return Snapshot(now, state.astype(np.int8), start, end)

    def paused(self, now: float) -> NDArray[np.bool_]:
        """Return which queues are paused at ``now``."""
        hour = (now - self.scenario.start.timestamp()) / _HOUR_S
        windows = [spec.paused_h or NEVER for spec in self.scenario.queues]
        return np.array([low <= hour and (hour < high or high == FOREVER) for low, high in windows])

    def progress(self, snapshot: Snapshot, number: int) -> int:
        """Return the per cent of a job that are done at a snapshot."""
        state = STATES[snapshot.state[number]]
        if state != "Running":
            return 100 if state == "Success" else 0
        begin = self.start_time[number]
        return int(100 * (snapshot.now - begin) / (self.end_time[number] - begin))

    def queue_category(self, position: int) -> str:
        """Return the Category of a queue: that of its tags' family where all are of one."""
        owners = {_OWNER.get(tag, self.family) for tag, _ in self.scenario.queues[position].mix}
        return (owners.pop() if len(owners) == 1 else self.family).category

    def details(self, number: int) -> Details:
        """Return what job ``number`` in submission order is about."""
        tag = self.scenario.tags[self.tag[number]].name
        return details_of(tag, number, int(self._variant[number]))

    @cached_property
    def truth(self) -> Mapping[str, NDArray[Any]]:
        """Columns of exact values in submission order, with what will become of jobs that are unfinished now.

        ``job_id, tag, queue_id, job_level, creation_time, start_time, end_time`` (seconds since the epoch, not
        rounded; NaN where it never happens), ``fate`` (the last State), ``code``, ``audio_s``, and what
        :class:`Details` holds.
        """
        details = [self.details(number) for number in range(self.scenario.jobs)]
        return {
            "job_id": np.array(self.job_ids),
            "tag": np.array([tag.name for tag in self.scenario.tags])[self.tag],
            "queue_id": np.array(self.queue_ids)[self.queue],
            "job_level": self.level,
            **{name: getattr(self, name) for name in ("creation_time", "start_time", "end_time")},
            "fate": np.array(STATES)[self.as_of(FOREVER).state],
            "code": np.array(CODES)[self.code],
            "audio_s": self.audio_s,
            **dict(zip(Details._fields, map(np.array, zip(*details, strict=True)), strict=True)),
        }


def _arrivals(scenario: Scenario, rng: np.random.Generator) -> Floats:
    """Draw ascending arrival times [s after the start] from the piecewise constant rate of the profile."""
    edges = np.unique(np.append(np.arange(0.0, scenario.duration_h), scenario.duration_h))
    clock = [scenario.start.astimezone(WIRE_ZONE) + timedelta(hours=float(hour)) for hour in edges[:-1]]
    day = [scenario.weekend if at.isoweekday() in {6, 7} else 1.0 for at in clock]
    rate = np.array([scenario.profile[at.hour] * factor for at, factor in zip(clock, day, strict=True)])
    cumulated = np.concatenate([[0.0], np.cumsum(rate * np.diff(edges))])
    hours = np.interp(np.sort(rng.random(scenario.jobs)) * cumulated[-1], cumulated, edges)
    return np.asarray(hours * _HOUR_S)


def start_times(
    arrivals: Sequence[float],
    run_time: Callable[[int, float], float],
    *,
    servers: int,
    order: Order = "fifo",
    levels: Sequence[int] | None = None,
    cancel_at: Sequence[float] | None = None,
    paused: tuple[float, float] = NEVER,
    rng: np.random.Generator | None = None,
) -> NDArray[np.float64]:
    """Return start times [s] of one queue without preemption, NaN for jobs that never start.

    ``run_time`` takes position and start time. Priority is first by level, larger first, then by arrival; random
    picks any waiting job. A job that still waits at its ``cancel_at`` never starts; nothing starts while ``paused``.

    Two servers, three jobs of ten seconds: the third waits for the first.

    >>> start_times([0.0, 1.0, 2.0], lambda job, now: 10.0, servers=2)
    array([ 0.,  1., 10.])
    """
    starts = np.full(len(arrivals), np.nan)
    free = [-FOREVER] * servers
    waiting: list[tuple[int, int]] = []  # a heap of (−level, arrival); for the random order just a bag
    rank = [-level for level in levels] if levels is not None and order == "priority" else [0] * len(arrivals)
    now, arrived = -FOREVER, 0
    while waiting or arrived < len(arrivals):
        now = max(now, free[0])
        if not waiting:
            now = max(now, arrivals[arrived])
        if paused[0] <= now < paused[1]:
            now = paused[1]
        while arrived < len(arrivals) and arrivals[arrived] <= now:
            heapq.heappush(waiting, (rank[arrived], arrived))
            arrived += 1
        if now == FOREVER:
            break
        job = _pick(waiting, order, rng)
        if cancel_at is None or cancel_at[job] > now:
            starts[job] = now
            heapq.heapreplace(free, now + run_time(job, now))
    return starts


def _pick(waiting: list[tuple[int, int]], order: Order, rng: np.random.Generator | None) -> int:
    if order != "random":
        return heapq.heappop(waiting)[1]
    if rng is None:
        raise ValueError("The random order needs rng=.")
    chosen = int(rng.integers(len(waiting)))
    waiting[chosen], waiting[-1] = waiting[-1], waiting[chosen]
    return waiting.pop()[1]


LANGUAGES = ("zh", "en", "ja", "ko", "de", "fr", "es", "pt", "ru", "ar", "it", "id", "zh-hk")
DOCUMENTS = ("docx", "pdf", "pptx", "xlsx", "txt", "html", "markdown", "xml", "png")
ENGINES = ("16k_zh", "16k_zh", "16k_zh_video", "16k_en", "8k_zh")
TITLES = ("manual", "Q&A", "contract <draft>", "notes", "用户手册", 'the "final" version', "release-notes")
TICKETS = ("ticket {}", "batch {} & co", "run <{}>", '{{"ticket": {}}}', "")


class Details(NamedTuple):
    """What one job is about; empty text where its kind has no such thing.

    ``size`` is what the file is measured in: pages of a document, files of an archive, megabytes of anything else.
    """

    input_object: str
    output_object: str
    user_data: str
    input_lang: str = ""
    input_type: str = ""
    target_lang: str = ""
    target_type: str = ""
    engine_model: str = ""
    res_text_format: str = "0"
    flash: bool = False
    size: int = 1


def details_of(tag: str, number: int, variant: int) -> Details:
    """Return what job ``number`` is about; ``variant`` is its share of chance, a number below 2**32.

    Languages of a translation differ, its types agree but for pdf, which may become docx (api.md §2.3).
    """
    title = f"{TITLES[variant % len(TITLES)]}-{number:06d}"
    user_data = TICKETS[(variant >> 3) % len(TICKETS)].format(number)
    if tag == "Translation":
        others, language = divmod(variant >> 6, len(LANGUAGES))
        other = (language + 1 + others % (len(LANGUAGES) - 1)) % len(LANGUAGES)
        source, target = LANGUAGES[language], LANGUAGES[other]
        kind = DOCUMENTS[(others // 16) % len(DOCUMENTS)]
        becomes = "docx" if kind == "pdf" and others % 2 else kind
        output = f"out/{title}-{target}.{becomes}"
        return Details(f"in/{title}.{kind}", output, user_data, source, kind, target, becomes)
    kind_of_file = _TABLES["files"].get(tag, {"inputs": ["txt"], "output": ""})
    suffixes, output = kind_of_file["inputs"], kind_of_file["output"]
    return Details(
        input_object=f"in/{title}.{suffixes[(variant >> 6) % len(suffixes)]}",
        output_object=output and f"out/{output.format(title)}",
        user_data=user_data,
        engine_model=ENGINES[(variant >> 9) % len(ENGINES)] if tag == "SpeechRecognition" else "",
        res_text_format="1" if (variant >> 12) % 4 == 0 else "0",
        flash=(variant >> 14) % 16 == 0,
        size=1 + (variant >> 18) % 80,
    )
