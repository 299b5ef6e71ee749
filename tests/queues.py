"""Queues of any kind whose truth is known, made without a line of the package.

::

    service(rng, number, kind)            run times: lognormal (cv 2), exponential, deterministic, bimodal
    rates(per_second, days, …)            arrival rates with a daily and a weekly profile, for simulate.arrivals
    batch(number, at, seconds)            creation times of jobs that are submitted together
    simulate(rng, created, servers, …)    History of one queue: servers that change, four orders, giving up, failing
    with_retries(rng, created, servers)   History of a queue to which jobs that fail come back
    together(*histories)                  several queues (or tags with servers of their own) as one History
    History.read(at, …)                   Reading: the ``jobs`` frame as it would be read, and the final wait of each row
    History.empty_at(at), drained_at(at)  when the queue is empty; when the last job that waits at ``at`` has started
    read_during(rng, created, at, …)      the second at which each row is read, where reading takes its time
    steady(rng, load, …)                  many replications of M/G/c with profiles and steps at once: Weeks
    long_run(rng, load, …)                quantiles of its wait over years

Times are seconds since :data:`tests.simulate.EPOCH`, floats; the frame holds whole seconds, as the service says them.
A server is taken, never taken away: where their number falls, running jobs go on, and none starts until there is room. An
outage in which nothing starts is a time with 0 servers.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from tests.simulate import EPOCH

HOUR, DAY = 3600.0, 86_400.0
MEAN_RUN = 60.0
_CV2 = np.log(1 + 2.0**2)  # variance of the logarithm where the coefficient of variation is 2
_STATES = ("Submitted", "Running", "Success", "Failed", "Cancel")
_OUTCOMES = (
    "success",
    "failed",
    "cancelled",
    "running",
    "waiting",
    "unknown",
    "not_found",
    "invalid_id",
    "unread",
)
_OF_STATE = np.array(
    [_OUTCOMES.index(name) for name in ("waiting", "running", "success", "failed", "cancelled")]
)
_STEP = 600.0


def _text_dtype():
    try:
        return pd.StringDtype("pyarrow", na_value=np.nan)
    except TypeError:  # pandas 2.2 has the same dtype under its first name
        return pd.api.types.pandas_dtype("string[pyarrow_numpy]")


_TEXT = _text_dtype()


def service(rng, number, kind="lognormal", mean=MEAN_RUN):
    """Run times of that mean [s], an array or of that shape."""
    if kind == "lognormal":
        return mean * np.exp(rng.normal(-_CV2 / 2, np.sqrt(_CV2), number))
    if kind == "exponential":
        return rng.exponential(mean, number)
    if kind == "deterministic":
        return np.full(number, float(mean))
    if kind == "bimodal":  # one in ten takes ten times as long: cv 1.42
        return mean / 1.9 * np.where(rng.random(number) < 0.1, 10.0, 1.0)
    raise ValueError(kind)


def shape(moments, *, daily=0.0, weekend=1.0):
    """The factor of the arrival rate at these seconds: a sine with its top at 14:00 UTC, and one for Saturday, Sunday."""
    day = np.floor(moments / DAY).astype(int) % 7  # 0 is a Sunday: EPOCH
    factor = 1 + daily * np.sin(2 * np.pi * (moments / HOUR - 8) / 24)
    return factor * np.where((day == 0) | (day == 6), weekend, 1.0)


def rates(per_second, days, *, daily=0.0, weekend=1.0):
    """[(seconds, rate), …] of so many days, in steps of ten minutes."""
    middle = np.arange(_STEP / 2, days * DAY, _STEP)
    return [(_STEP, rate) for rate in per_second * shape(middle, daily=daily, weekend=weekend)]


def batch(number, at, seconds=0.0):
    """Creation times of jobs that are submitted one after the other within so many seconds."""
    return at + seconds * np.arange(number) / number


@dataclass
class History:
    """What becomes of every job, in order of creation.

    ``started`` is when a server takes it, or would have taken it had it not given up; ``left`` is when it gives up
    (``inf``: never), ``left_as`` the State that it has then.
    """

    created: np.ndarray
    started: np.ndarray
    ended: np.ndarray
    left: np.ndarray
    failed: np.ndarray
    level: np.ndarray
    tag: np.ndarray | str = "Translation"
    queue: np.ndarray | str = "q1"
    left_as: str = "Cancel"

    def waits(self):
        """The final wait of every job [whole s], of one that gave up the wait that it would have had."""
        return np.floor(self.started) - np.floor(self.created)

    def empty_at(self, at):
        """The first second from ``at`` on at which no job waits."""
        gone = np.minimum(self.started, self.left)
        moments = np.concatenate((self.created, gone))
        order = np.lexsort((np.repeat((0, 1), len(gone)), moments))
        waiting = np.cumsum(np.repeat((1, -1), len(gone))[order])
        none = moments[order][(waiting == 0) & (np.append(moments[order][1:], np.inf) > at)]
        return max(float(at), float(none[0])) if len(none) else np.inf

    def drained_at(self, at):
        """The second at which the last of the jobs that wait at ``at`` starts, in a queue that is served in order."""
        waiting = (self.created <= at) & (self.started > at) & (self.left > self.started)
        return float(self.started[waiting].max(initial=at))

    def read(self, at, *, keep=None, unread=None):
        """Return what somebody reads: the jobs created by then, or those of them in ``keep``.

        ``at`` is one second or one for every job; of the jobs in ``unread`` only the ID is known.
        """
        at = np.floor(np.broadcast_to(np.asarray(at, dtype=float), self.created.shape))
        there = np.floor(self.created) <= at
        if keep is not None:
            there &= keep
        rows = np.flatnonzero(there)
        hidden = np.zeros(len(rows), dtype=bool) if unread is None else np.asarray(unread)[rows]
        return Reading(self._frame(rows, at[rows], hidden), rows, self.waits()[rows], self)

    def _frame(self, rows, at, hidden):
        created, started, ended, left = (
            np.floor(times[rows]) for times in (self.created, self.started, self.ended, self.left)
        )
        gave_up = (self.left < self.started)[rows]
        begun, gone = ~gave_up & (started <= at), gave_up & (left <= at)
        over = begun & (ended <= at)
        stage = np.where(over, np.where(self.failed[rows], 3, 2), begun.astype(np.int8))
        stage[gone] = _STATES.index(self.left_as)
        over, end = over | gone, np.where(gone, left, ended)
        shown, number = ~hidden, len(rows)
        bad = shown & (stage == 3)
        empty = pd.array(np.full(number, None, dtype=object), dtype=_TEXT)
        no_label = pd.Categorical.from_codes(np.full(number, -1), pd.Index([], dtype=_TEXT))
        outcome = np.where(hidden, _OUTCOMES.index("unread"), _OF_STATE[stage])
        return pd.DataFrame(
            {
                "job_id": pd.array([f"j{row:08d}" for row in rows.tolist()], dtype=_TEXT),
                "tag": _labels(self.tag, rows, shown),
                "state": _coded(np.where(shown, stage, -1), _STATES),
                "code": _coded(np.where(bad, 0, -1), ["InternalError"]),
                "queue_id": _labels(self.queue, rows, shown),
                "bucket": no_label,
                "outcome": _coded(outcome, _OUTCOMES),
                "message": empty,
                "creation_time": _times(created, shown),
                "start_time": _times(started, shown & begun),
                "end_time": _times(end, shown & over),
                "queue_latency_s": np.where(shown & begun, started - created, np.nan),
                "run_time_s": np.where(shown & begun & over, end - started, np.nan),
                "total_time_s": np.where(shown & over, end - created, np.nan),
                "observed_at": _times(at, shown),
                "timing_ok": shown,
                "input_object": empty,
                **dict.fromkeys(
                    ("input_lang", "input_type", "target_lang", "target_type", "engine_model"), no_label
                ),
                "audio_s": np.full(number, np.nan),
                "output_region": no_label,
                "output_bucket": no_label,
                "output_object": empty,
                "job_level": pd.arrays.IntegerArray(self.level[rows].astype(np.int64), hidden.copy()),
                "user_data": empty,
                "error": pd.array(np.where(hidden, "no answer", None), dtype=_TEXT),
            }
        )


class Reading(NamedTuple):
    """The frame, which jobs of the history its rows are, and the final wait of each row [whole s]."""

    jobs: pd.DataFrame
    rows: np.ndarray
    waits: np.ndarray
    history: History


def _times(seconds, known):
    stamps = (np.where(known, seconds, 0).astype(np.int64) + EPOCH) * 1000
    stamps[~known] = np.iinfo(np.int64).min
    return pd.DatetimeIndex(stamps.view("datetime64[ms]")).tz_localize("UTC")


def _coded(codes, labels):
    return pd.Categorical.from_codes(codes, pd.Index(list(labels), dtype=_TEXT))


def _labels(label, rows, shown):
    if isinstance(label, str):
        return _coded(np.where(shown, 0, -1), [label])
    labels, codes = np.unique(label[rows].astype(str), return_inverse=True)
    return _coded(np.where(shown, codes, -1), labels)


def simulate(
    rng,
    created,
    servers,
    *,
    kind="lognormal",
    mean=MEAN_RUN,
    order="fifo",
    level=None,
    patience=None,
    exactly=False,
    fails=((-np.inf, 0.0),),
    fail_s=None,
    tag="Translation",
    queue="q1",
    left_as="Cancel",
):
    """Return what becomes of jobs created at these seconds (sorted).

    Parameters
    ----------
    servers : int or sequence of (second, number)
        How many jobs may run from then on; the first number holds from the beginning.
    order : {"fifo", "lifo", "random", "priority"}
        Whom a free server takes: the oldest, the newest, any, the oldest of the highest ``level``.
    patience : float or array, optional
        The mean of an exponential time [s] after which a waiting job leaves; with ``exactly``, or of each job, the time.
    fails : sequence of (second, chance)
        The chance of failing of a job that starts from then on.
    fail_s : float, optional
        How long a job runs that fails; as long as another where None.
    """
    number = len(created)
    run, luck, picks = service(rng, number, kind, mean), rng.random(number), rng.random(number)
    level = np.zeros(number, dtype=np.int64) if level is None else np.asarray(level)
    left = np.full(number, np.inf)
    if patience is not None:
        fixed = exactly or np.ndim(patience) > 0
        left = created + (patience if fixed else rng.exponential(patience, number))
    since, chances = np.array(fails, dtype=float).T
    if np.isscalar(servers) and order == "fifo" and patience is None and len(chances) == 1:
        failed = luck < chances[0]
        run = np.where(failed, fail_s, run) if fail_s is not None else run
        started = _first_come(created, run, servers)
        return History(created, started, started + run, left, failed, level, tag, queue, left_as)

    failed = np.zeros(number, dtype=bool)
    lengths, lucks = run.tolist(), luck.tolist()

    def length(job, now):
        failed[job] = lucks[job] < chances[np.searchsorted(since, now, side="right") - 1]
        return fail_s if failed[job] and fail_s is not None else lengths[job]

    steps = [(-np.inf, servers)] if np.isscalar(servers) else [(-np.inf, servers[0][1]), *servers[1:]]
    started = _any_order(created, length, steps, left, _WAITING[order](level.tolist(), picks.tolist()))
    ended = started + np.where(failed & (fail_s is not None), fail_s or 0.0, run)
    return History(created, started, ended, left, failed, level, tag, queue, left_as)


def _first_come(created, run, servers):
    free, started = [-np.inf] * servers, []
    for arrival, length in zip(created.tolist(), run.tolist(), strict=True):
        begin = max(arrival, free[0])
        heapq.heapreplace(free, begin + length)
        started.append(begin)
    return np.array(started, dtype=float)


def _any_order(created, length, steps, left, waiting):
    """One event after the other: a job comes, a job ends, the number of servers changes; ends come first."""
    arrivals, leaves = [*created.tolist(), np.inf], left.tolist()
    changes = [*(second for second, _ in steps), np.inf]
    running, started = [], [np.inf] * len(created)
    come, changed, servers = 0, 0, 0
    while True:
        arrival, end, change = arrivals[come], running[0] if running else np.inf, changes[changed]
        now = min(arrival, end, change)
        if now == np.inf:
            return np.array(started, dtype=float)
        if end == now:
            heapq.heappop(running)
        elif change == now:
            servers = steps[changed][1]
            changed += 1
        else:
            waiting.add(come)
            come += 1
        while waiting and len(running) < servers:
            job = waiting.take()
            started[job] = now
            if leaves[job] > now:  # one that has given up takes no server; this is when it would have started
                heapq.heappush(running, now + length(job, now))


class _Oldest(deque):
    def __init__(self, _level, _picks):
        super().__init__()

    add, take = deque.append, deque.popleft


class _Newest(list):
    def __init__(self, _level, _picks):
        super().__init__()

    add, take = list.append, list.pop


class _Any(list):
    def __init__(self, _level, picks):
        super().__init__()
        self.picks = iter(picks)

    add = list.append

    def take(self):
        pick = int(next(self.picks) * len(self))
        self[pick], self[-1] = self[-1], self[pick]
        return self.pop()


class _Highest(list):
    def __init__(self, level, _picks):
        super().__init__()
        self.level = level

    def add(self, job):
        heapq.heappush(self, (-self.level[job], job))

    def take(self):
        return heapq.heappop(self)[1]


_WAITING = {"fifo": _Oldest, "lifo": _Newest, "random": _Any, "priority": _Highest}


def with_retries(rng, created, servers, *, chance=0.3, most=4, kind="lognormal", mean=MEAN_RUN):
    """First come first served; a job that fails is submitted again at once, until it has run ``most`` times."""
    coming = [(second, 1) for second in created.tolist()]  # sorted, and so a heap
    run = iter(service(rng, most * len(coming), kind, mean).tolist())
    luck = iter(rng.random(most * len(coming)).tolist())
    free, rows = [-np.inf] * servers, []
    while coming:
        second, attempt = heapq.heappop(coming)
        begin = max(second, free[0])
        end = begin + next(run)
        heapq.heapreplace(free, end)
        failed = next(luck) < chance
        rows.append((second, begin, end, failed))
        if failed and attempt < most:
            heapq.heappush(coming, (end, attempt + 1))
    second, begin, end, failed = np.array(rows).T
    number = len(rows)
    return History(second, begin, end, np.full(number, np.inf), failed > 0, np.zeros(number, dtype=np.int64))


def together(*histories):
    """Several queues, or tags with servers of their own, as one history in order of creation."""
    times = [
        np.concatenate([getattr(one, name) for one in histories])
        for name in ("created", "started", "ended", "left", "failed", "level")
    ]
    order = np.argsort(times[0], kind="stable")
    labels = (
        np.concatenate([np.broadcast_to(getattr(one, name), one.created.shape) for one in histories])[order]
        for name in ("tag", "queue")
    )
    return History(*(column[order] for column in times), *labels, histories[0].left_as)


def read_during(rng, created, at, seconds, first="random"):
    """The second at which each row is read, where reading begins at ``at``: ``oldest``, ``newest`` or any first."""
    there = created <= at
    turn = np.zeros(len(created))
    number = int(there.sum())
    places = np.arange(number) if first == "oldest" else np.arange(number)[::-1]
    turn[there] = rng.permutation(number) if first == "random" else places
    # a job that was created after the list of IDs was made is never asked for
    return np.where(there, at + seconds * turn / max(number, 1), -np.inf)


class Weeks(NamedTuple):
    """Whole seconds of creation, start and end, each (replications, jobs); more jobs than the days have."""

    created: np.ndarray
    started: np.ndarray
    ended: np.ndarray

    def history(self, run, begin=0.0, end=np.inf, **labels):
        """The jobs of one replication that were created in [begin, end)."""
        mine = slice(*np.searchsorted(self.created[run], (begin, end)).tolist())
        times = [column[run, mine].astype(float) for column in self]
        number = len(times[0])
        nothing = np.zeros(number, dtype=bool), np.zeros(number, dtype=np.int64)
        return History(*times, np.full(number, np.inf), *nothing, **labels)


def steady(
    rng,
    load,
    *,
    runs,
    days,
    servers=10,
    mean=MEAN_RUN,
    kind="lognormal",
    daily=0.0,
    weekend=1.0,
    steps=(),
    warm_up=2.0,
):
    """Independent replications of one queue, first come first served, all at once.

    ``steps`` are (day, factor of the arrival rate, factor of the run times) that hold from then on.
    """
    blocks = list(_steady_blocks(rng, load, runs, days, servers, mean, kind, daily, weekend, steps, warm_up))
    return Weeks(*(np.ascontiguousarray(np.concatenate(column).T) for column in zip(*blocks, strict=True)))


def long_run(rng, load, shares, *, runs=400, days=60, **kinds):
    """Quantiles [s] of the wait of all jobs of ``runs × days`` days."""
    counts = np.zeros(1, dtype=np.int64)
    options = {"servers": 10, "mean": MEAN_RUN, "kind": "lognormal", "daily": 0.0, "weekend": 1.0} | kinds
    for created, started, _ in _steady_blocks(rng, load, runs, days, **options, steps=(), warm_up=2.0):
        waits = (started - created)[(created >= 0) & (created < days * DAY)]
        found = np.bincount(waits, minlength=len(counts))
        found[: len(counts)] += counts
        counts = found
    return [int(np.searchsorted(np.cumsum(counts), share * counts.sum())) for share in shares]


def _steady_blocks(rng, load, runs, days, servers, mean, kind, daily, weekend, steps, warm_up, size=2000):
    """Yield whole seconds of created, started, ended, each (jobs of the block, runs), from the warm-up on."""
    edges = np.arange(-warm_up * DAY, (days + 1) * DAY, _STEP)
    middle = edges + _STEP / 2
    rate = load * servers / mean * shape(middle, daily=daily, weekend=weekend)
    slower = np.ones(len(middle))
    for day, arriving, running in steps:
        rate = np.where(middle >= day * DAY, rate * arriving, rate)
        slower = np.where(middle >= day * DAY, running, slower)
    come = np.concatenate(([0.0], np.cumsum(rate * _STEP)))
    edges = np.append(edges, edges[-1] + _STEP)
    free, every, now = np.full((runs, servers), edges[0]), np.arange(runs), np.zeros(runs)
    last = np.interp(days * DAY, edges, come)
    while now.min() < last:
        arrived = now + np.cumsum(rng.exponential(1.0, (size, runs)), axis=0)
        now = arrived[-1]
        created = np.interp(arrived, come, edges)
        created += np.maximum(arrived - come[-1], 0.0)  # behind the end of the days: never read
        run = service(rng, (size, runs), kind, mean)
        if steps:
            run *= slower[np.clip(((created - edges[0]) / _STEP).astype(int), 0, len(slower) - 1)]
        started = np.empty((size, runs))
        for job in range(size):
            first = free.argmin(axis=1)
            begin = np.maximum(free[every, first], created[job])
            started[job] = begin
            free[every, first] = begin + run[job]
        yield tuple(np.floor(times).astype(np.int32) for times in (created, started, started + run))
