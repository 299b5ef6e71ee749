"""When waiting jobs will start: order, start rate and places of each queue, put together from single jobs.

::

    project(recent)         Projection: how long each waiting job will wait on, how sure that is, or why it is not known
    Moves.of(recent)        the moves of the single jobs as arrays
    steady_since(…)         the part of some events whose rate did not change

A queue is named by its queue_id, None where that is missing. A projection takes five steps:

1. One moment. Jobs are observed one after the other; a queue is put together as it was at the earliest observation of those
   of its jobs that have not ended. A record that is 30 minutes older than the newest is stale: in no queue.
2. Order. A start overtakes where a job created in an earlier second starts later, or still waits. A queue is in order where
   less than 5 % of the newest starts overtake. If it is not, its jobs of one job_level, of one tag, or of both may be: they
   are a queue of their own then.
3. Rate. Starts of jobs that waited ÷ time in which the queue was not empty, over the last hour and the newest 100 starts at
   least; only since the rate last changed, if it did.
4. Place. A job starts when those ahead of it have: place ÷ rate, or ln(1 + θ · place ÷ rate) ÷ θ where each waiting job gives
   up at θ per second (the fluid limit: Whitt 2006). Where tags differ in run time a place counts as much as it runs, and the
   rate is the number running, if that is steady.
5. Error. place ÷ rate · exp(± z · √(I ÷ place + I ÷ starts)), where I, the variance of a number of starts over its mean, goes
   from 1 to cv² of the run times as each server starts more of them, and is that of the clumps where many start at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cosai_nb.schema import UNFINISHED as UNFINISHED_OUTCOMES
from cosai_nb.schema import State
from cosai_nb.stats.counts import MOVED
from cosai_nb.stats.measures import ENDED, GAVE_UP, MISSING, UNFINISHED, milliseconds, moments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cosai_nb.stats.measures import Flags, Floats, Ints

OVERTAKING = 0.05
"""A queue is in order where a smaller share of its newest starts overtakes."""
STOPPED = "nothing has started since"
"""How the note about a queue that stands still begins."""
_STALE_S, _WINDOW_S = 1800.0, 3600.0
_NEWEST, _FEWEST = 100, 10
_CLASSES = ("job_level", "tag")
_STILL_S, _STILL_GAPS, _LONGER = 60.0, 20.0, 1.5
_PARTS, _FEW_LEFT = 20, 3
_LUMPY = 3.0  # times the scatter of the run times
_FEWER = 0.8
_FEW_UNKNOWN = 0.1  # of the jobs ahead, so many may be of a tag of which none has ended
_KOLMOGOROV = 1.63  # of unchanged rates, 1 % seem changed
_AS_ONE_S = 30.0
_MODEL = 0.05  # error of Little's law: run times may have changed in the meantime
_FARTHEST = 4.0  # a class is projected no further than so many ages of its oldest job
_UNSURE = 0.56  # standard error of a rate that may be three times as high or low
_UNKNOWN = "the waits to come cannot be known"
_OTHERS_FIRST = f"jobs of other classes go first: {_UNKNOWN}"
_SAMPLE = "the number running changes: if this is a sample of the queue, it must be a random one"
_NO_ORDER = {
    None: f"too few starts to tell the order of the queue: {_UNKNOWN}",
    False: f"the queue is not served in order: {_UNKNOWN}, and may be longer than the estimate",
}


class Moves(NamedTuple):
    """Single jobs; times are seconds since ``origin`` [ms], NaN where missing, ``moved`` is ``inf`` where it is to come."""

    origin: float
    created: Floats
    moved: Floats
    ended: Floats
    seen: Floats
    servers: Floats
    tag: Ints
    begun: Flags
    gave_up: Flags
    waiting: Flags
    stale: Flags

    @classmethod
    def of(cls, recent: pd.DataFrame, tag: Ints | None = None) -> Moves:
        """Read the columns of :attr:`cosai_nb.stats.counts.Counted.recent`; ``tag`` are the numbers of theirs."""
        raw = [milliseconds(recent[name]) for name in ("creation_time", MOVED, "end_time", "observed_at")]
        origin = float(raw[3].max(initial=MISSING))
        created, moved, ended, seen = (np.where(one == MISSING, np.nan, (one - origin) / 1000) for one in raw)
        kind = recent["kind"].to_numpy()
        known = ~np.isnan(created) & ~np.isnan(seen)
        waiting = (kind == UNFINISHED) & is_waiting(recent) & known
        stale = waiting & (seen < -_STALE_S)
        begun, gave_up = ((kind == one) & known & ~np.isnan(moved) for one in (ENDED, GAVE_UP))
        # clocks differ: who was seen running had started by then
        moved = np.where(begun | gave_up, np.minimum(moved, seen), np.inf)
        servers = np.full(len(recent), np.nan)
        if "servers" in recent.columns:
            servers = pd.to_numeric(recent["servers"], errors="coerce").to_numpy(
                dtype=np.float64, na_value=np.nan
            )
        tag = np.full(len(recent), -1) if tag is None else tag
        return cls(origin, created, moved, ended, seen, servers, tag, begun, gave_up, waiting & ~stale, stale)

    def take(self, rows: Any) -> Moves:
        """Return some of the jobs."""
        return Moves(self.origin, *(column[rows] for column in self[1:]))

    @property
    def in_queue(self) -> Flags:
        """Those that are or were in a queue."""
        return self.begun | self.gave_up | self.waiting

    @property
    def ran(self) -> Floats:
        """Seconds that each has run; those that run on count as long as they do, NaN where it has not begun."""
        run = np.where(np.isnan(self.ended), self.seen, self.ended) - self.moved
        return np.where(self.begun & (run >= 0), run, np.nan)

    @property
    def scatter(self) -> float:
        """The squared coefficient of variation of the run times, 1 at least."""
        return _scatter_of(self.ran)

    def started(self, since: float, until: float) -> Flags:
        """Say which started after one moment and until another."""
        return self.begun & (self.moved > since) & (self.moved <= until)


def _scatter_of(run: Floats) -> float:
    run = run[~np.isnan(run)]
    if len(run) < _FEWEST or run.mean() <= 0:
        return 1.0
    return max(1.0, float(run.var() / run.mean() ** 2))


def is_waiting(jobs: pd.DataFrame) -> Flags:
    """Say of each job whether it waits in its queue, if it has not started: not ended, not cancelled, not paused."""
    alive = jobs["outcome"].isin([str(outcome) for outcome in UNFINISHED_OUTCOMES])
    paused = jobs["state"] == str(State.PAUSE) if "state" in jobs.columns else False
    return np.asarray(alive & ~np.asarray(paused), dtype=bool)


def by_queue(table: pd.DataFrame) -> Iterator[tuple[str | None, Ints]]:
    """Yield each queue (None for a missing one) with its rows."""
    codes, labels = pd.factorize(table["queue_id"], use_na_sentinel=False)
    names = [None if pd.isna(label) else str(label) for label in labels]
    return zip(names, _parts(codes, len(names)), strict=True)


def _parts(codes: Ints, number: int) -> list[Ints]:
    """Return the rows of each code."""
    codes = codes.astype(np.min_scalar_type(number))  # 16 bits are sorted in a fifth of the time
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.searchsorted(codes[order], np.arange(1, number))) if number else []


# --- the projection ---


class Projection(NamedTuple):
    """What is known of each queue, and of each row of ``recent``.

    ``fifo`` is True where a queue is served in order, as a whole or within its classes, None where that is unknown. Of each
    row: ``stale`` and ``paused``, which stand in no queue; ``stuck``, which waits where nothing starts or others go first; ``place``, 0 for one that waits in no
    queue; ``ties``, the first and the last place of the jobs of its second; ``work``, place ÷ start rate [s], NaN where the
    start cannot be known; ``spread``, its standard error on a logarithmic scale; ``leaving``, θ [1/s]; ``moment``, when the
    queue was put together [s after its observation]; ``rate``, the part of the start rate [1/s] of its queue that a start
    stands for, NaN where there is none; ``note``, the number of the remark in ``notes`` about it, −1 where there is none.
    """

    fifo: dict[str | None, bool | None]
    stale: Flags
    paused: Flags
    stuck: Flags
    place: Ints
    ties: tuple[Ints, Ints]
    work: Floats
    spread: Floats
    leaving: Floats
    moment: Floats
    rate: Floats
    note: Ints
    notes: list[str]

    @property
    def outside(self) -> Flags:
        """The jobs that have not started and stand in no queue."""
        return self.stale | self.paused

    @property
    def ahead(self) -> Ints:
        """Whole seconds that each job will wait on after its observation, −1 where that is not known."""
        return self.wait_on()

    def of_rows(self, rows: Any) -> Projection:
        """Return the same for some of the rows."""
        columns: dict[str, Any] = {
            name: getattr(self, name)[rows] for name in self._fields if name not in ("fifo", "ties", "notes")
        }
        return self._replace(ties=(self.ties[0][rows], self.ties[1][rows]), **columns)

    def wait_on(self, z: float = 0.0, place: Ints | None = None) -> Ints:
        """Return the same so many standard errors of the projection later, or for other places in the same queues."""
        work = self.work * np.exp(z * self.spread)
        if place is not None:
            work = work * (place / np.maximum(self.place, 1))
        some = self.leaving > 0
        theta = np.where(some, self.leaving, 1.0)
        after = np.maximum(np.where(some, np.log1p(theta * work) / theta, work) + self.moment, 0.0)
        rounded = np.rint(after) if z == 0 else np.floor(after) if z < 0 else np.ceil(after)
        return np.where(np.isnan(work), -1, np.nan_to_num(rounded)).astype(np.int64)

    def notes_of(self, rows: Ints) -> list[str]:
        """Return what there is to say about the jobs of these rows that wait, with how many of them where not all."""
        paused, stale = int(self.paused[rows].sum()), int(self.stale[rows].sum())
        rows = rows[self.place[rows] > 0]
        number = np.bincount(self.note[rows] + 1, minlength=len(self.notes) + 1)[1:]
        told = [
            self.notes[one]
            if number[one] == len(rows)
            else f"{number[one]:,} of {len(rows):,} waiting: {self.notes[one]}"
            for one in np.flatnonzero(number)
        ]
        told += [f"{paused:,} paused jobs are in no queue"] if paused else []
        told += [f"{stale:,} stale records (30 min older than the newest) are in no queue"] if stale else []
        return told


def project(recent: pd.DataFrame) -> Projection:
    """Say which queues are served in order, and for these how long each waiting job will wait on.

    Parameters
    ----------
    recent : pandas.DataFrame
        Of :class:`cosai_nb.stats.counts.Counted`.

    Returns
    -------
    Projection
        Paused jobs stand in no queue; they stay censored, as do all jobs whose start cannot be known.
    """
    number = len(recent)
    stuck = np.zeros(number, dtype=bool)
    place, first, last = np.zeros((3, number), dtype=np.int64)
    spread, leaving, moment = np.zeros((3, number))
    work, rate = np.full((2, number), np.nan)
    note, remarks = np.full(number, -1, dtype=np.int64), dict[str, int]()
    fifo: dict[str | None, bool | None] = {}
    ties = (first, last)
    if not number:  # there may be no columns, either
        return Projection({}, stuck, stuck, stuck, place, ties, work, spread, leaving, moment, rate, note, [])
    labels = _labels(recent)
    jobs = Moves.of(recent, labels.get("tag"))
    for queue, rows in by_queue(recent):
        alive = np.isnan(jobs.ended[rows]) & ~jobs.gave_up[rows] & (jobs.seen[rows] >= -_STALE_S)
        now = float(jobs.seen[rows[alive]].min(initial=0.0))
        mine = rows[jobs.in_queue[rows]]
        whole = jobs.take(mine)
        fifo[queue], classes, within = _classes(whole, labels, mine, now)
        for members in classes if whole.waiting.any() else ():
            part, of_part = whole.take(members), mine[members]
            ahead, start, end = _places(part, now)
            if not len(ahead):
                continue
            order = of_part[ahead]
            place[order], first[order], last[order] = np.arange(1, len(ahead) + 1), start, end
            moment[order] = now - jobs.seen[order]
            told = _projected(part, whole, now, ahead, split=bool(within))
            if told.starts is not None:
                rate[of_part] = 0.0
                rate[of_part[told.starts]] = told.rate
            if fifo[queue]:
                work[order], spread[order], leaving[order] = told.work, told.spread, told.leaving
            stuck[order] = told.stuck
            if remark := _remark(told, fifo[queue], within):
                note[order] = remarks.setdefault(remark, len(remarks))
    gone = ~jobs.waiting
    for column, nothing in ((place, 0), (first, 0), (last, 0), (work, np.nan), (note, -1), (stuck, False)):
        column[gone] = nothing
    return Projection(
        fifo,
        jobs.stale,
        (recent["kind"].to_numpy() == UNFINISHED) & ~jobs.waiting & ~jobs.stale,
        stuck,
        place,
        ties,
        work,
        spread,
        leaving,
        moment,
        rate,
        note,
        list(remarks),
    )


def _remark(told: _Told, fifo: bool | None, within: str) -> str:  # noqa: FBT001 - three values
    if told.stuck:
        return told.remark
    if not fifo:
        return _NO_ORDER[fifo]
    return "; ".join(filter(None, (within and f"the queue is in order within each {within}", told.remark)))


def _places(jobs: Moves, now: float) -> tuple[Ints, Ints, Ints]:
    """Return the jobs that had not moved by then in order of creation, and the first and the last place of their second."""
    ahead = np.flatnonzero(jobs.moved > now)
    ahead = ahead[np.argsort(jobs.created[ahead], kind="stable")]
    begin, end = (
        np.searchsorted(jobs.created[ahead], jobs.created[ahead], side=side) for side in ("left", "right")
    )
    return ahead, begin + 1, end


# --- order ---


def _labels(recent: pd.DataFrame) -> dict[str, Ints]:
    """Return the class of each row by the columns that there are."""
    codes = {names: pd.factorize(recent[names])[0] for names in _CLASSES if names in recent.columns}
    if len(codes) == len(_CLASSES):
        first, second = codes.values()
        codes[" and ".join(_CLASSES)] = first * (int(second.max(initial=0)) + 2) + second
    return codes


def _classes(
    jobs: Moves, labels: dict[str, Ints], rows: Ints, now: float
) -> tuple[bool | None, list[Any], str]:
    """Return whether a queue is in order, its parts that are (rows of ``jobs``), and by what it is split."""
    order = _in_order(jobs, now)
    for name, codes in labels.items() if order is False and jobs.waiting.any() else ():
        found, code = np.unique(codes[rows], return_inverse=True)
        parts = _parts(code, len(found))
        judged = [_in_order(jobs.take(part), now) for part in parts if jobs.waiting[part].any()]
        if len(parts) > 1 and False not in judged and True in judged:
            return True, parts, name
    return order, [slice(None)], ""


def _in_order(jobs: Moves, now: float) -> bool | None:
    """Say whether the newest starts overtook none of the jobs; None where these are too few."""
    begun = np.flatnonzero(jobs.begun & (jobs.moved <= now))
    started = jobs.moved[begun]
    if len(begun) < _FEWEST or np.ptp(started) == 0:
        return None
    enough = float(np.partition(started, -_NEWEST)[-_NEWEST]) if len(begun) > _NEWEST else -np.inf
    begun = begun[started >= min(now - _WINDOW_S, enough)]
    started, since = jobs.moved[begun], jobs.created[begun]
    # several workers take jobs at once: starts that are this close say nothing about order
    close = min(_AS_ONE_S, 0.05 * float(np.median(started - since)))
    by_creation = np.argsort(jobs.created, kind="stable")
    created = jobs.created[by_creation]
    last = np.maximum.accumulate(np.minimum(jobs.moved[by_creation], now + 1))
    earlier = np.searchsorted(created, since, side="left")
    overtook = (earlier > 0) & (last[earlier - 1] > started + close)
    went = np.searchsorted(np.sort(jobs.moved), started, side="right")
    choice = np.searchsorted(created, started, side="right") > went  # others waited, too
    return bool((overtook[choice] if choice.sum() >= _FEWEST else overtook).mean() < OVERTAKING)


# --- rate ---


class _Told(NamedTuple):
    """Of the jobs at some places: see :class:`Projection`; ``starts`` are the jobs whose starts make the rate."""

    work: Any = np.nan
    spread: Any = 0.0
    leaving: float = 0.0
    rate: float = np.nan
    starts: Ints | None = None
    remark: str = ""
    stuck: bool = False


def _stopped(origin: float, newest: float, now: float) -> str:
    clock = moments([round(origin + 1000 * newest)])[0].strftime("%Y-%m-%d %H:%M")
    return f"{STOPPED} {clock} UTC ({(now - newest) / 60:,.0f} min): {_UNKNOWN}"


def _projected(jobs: Moves, queue: Moves, now: float, ahead: Ints, *, split: bool) -> _Told:
    """Say how long these jobs of a queue, or of a class that it is split in, wait on: the next to start first."""
    oldest = float(jobs.created[ahead].min(initial=now))
    runs = _runs_of(jobs)
    pace, alike, steady = _fitting_pace(jobs, now, runs)
    # without servers of its own it gets what the others leave, now little and now much
    shares = split and not alike
    if shares:
        pace, steady = _pace_of(jobs, now, whole=True), False
    newest = float(jobs.moved[jobs.started(-np.inf, now)].max(initial=-np.inf))
    if now - max(oldest, newest) > pace.still and pace.still > 0:
        others = split and bool(queue.started(newest, now).any())
        return _Told(remark=_OTHERS_FIRST if others else _stopped(jobs.origin, newest, now), stuck=True)
    starts = len(pace.starts)
    if starts < _FEWEST or pace.span <= 0:  # a second in which many start at once is no rate, either
        since = " since the rate changed" if pace.changed else ""
        return _Told(remark=f"rate unknown ({starts} starts of jobs that waited{since}): {_UNKNOWN}")
    used = np.flatnonzero(jobs.started(pace.begin, now))
    running, lumpy = _running(queue, pace.starts), pace.clumps > _LUMPY * runs.scatter and not steady
    shared = queue.started(pace.begin, now).sum() / starts if shares else 1.0
    remark = _doubts(queue, running, now, lumpy=lumpy, part=split and not shares)
    if remark == _SAMPLE and _uneven(jobs, pace.begin, now):
        return _Told(remark=f"this looks like a sample of the queue, and not a random one: {_UNKNOWN}")
    servers = float(running.mean())

    def variance(number: Any) -> Any:
        """Return that of so many starts over their number; to a class others add theirs."""
        each = variance_of_starts(number * shared, servers, runs.scatter) * shared + shared - 1
        return np.maximum(each, pace.clumps) if lumpy else each

    # after a stop all servers start afresh, and those with short jobs start the more
    early = (runs.scatter - 1) / 2 * servers / starts if pace.changed else 0.0
    error = float(variance(starts)) / starts + early**2
    if steady:
        each, rate, error = _first_to_end(jobs, runs, now, ahead), pace.running, runs.error(ahead)
    else:
        mean = float(runs.expected[used[jobs.moved[used] > jobs.created[used]]].mean())
        factor, error = _with_little(pace, mean, runs, ahead, error) if alike else (1.0, error)
        each, rate = runs.expected[ahead], factor * mean * starts / pace.span
    work = np.cumsum(each) / rate
    many = np.cumsum(each) ** 2 / np.cumsum(each**2)  # as many jobs of one length vary as much
    spread = np.sqrt(variance(many) / many + error)
    unsure = error > _UNSURE**2
    if split and (unsure or work[-1] > _FARTHEST * (now - oldest)):
        return _Told(remark=_OTHERS_FIRST, stuck=True)
    if unsure:
        return _Told(
            remark=f"rate unknown ({starts} starts of jobs that waited, at uneven intervals): {_UNKNOWN}"
        )
    unknown = runs.unknown[runs.tag[ahead]]
    hidden = np.cumsum(unknown) - unknown > _FEW_UNKNOWN * np.arange(1, len(ahead) + 1)
    work = np.where(hidden, np.nan, work)
    remark = f"jobs wait of a tag of which none has ended: behind them {_UNKNOWN}" if hidden.any() else remark
    return _Told(work, spread, pace.leaving, len(ahead) / work[-1] / len(used), used, remark)


def _doubts(queue: Moves, running: Floats, now: float, *, lumpy: bool, part: bool) -> str:
    """Return what the number running says about the rate of starts."""
    if lumpy:
        return "jobs start many at a time: a wait may be longer or shorter by the time between"
    if not part and _is_sample(queue, running):
        return _SAMPLE
    # one that ends in this second makes room for the next
    run_now = 1 + (queue.begun & (queue.moved <= now) & ~(queue.ended <= now)).sum()
    return "fewer jobs run than did: waits may be longer" if run_now < _FEWER * running.mean() else ""


def _fitting_pace(jobs: Moves, now: float, runs: _Runs) -> tuple[_Pace, bool, bool]:
    """Return the rate, whether the number running is steady, and whether that tells what the rate of starts does not."""
    if np.ptp(runs.expected[jobs.moved > now - _WINDOW_S]) > 0:
        # jobs that take longer start at another rate on the same servers: that is no change of these
        whole = _pace_of(jobs, now, whole=True)
        if _alike(_running(jobs, whole.starts)):
            return whole, True, True
    pace = _pace_of(jobs, now)
    return pace, _alike(_running(jobs, pace.starts)), False


class _Runs(NamedTuple):
    """The run time expected of each job [s]; the group of each tag, and how many of each have ended."""

    expected: Floats
    tag: Ints
    group: Ints
    ended: Ints
    scatter: float
    unknown: Flags

    def error(self, rows: Ints) -> float:
        """Return the squared relative error of the work of these jobs; run times may have changed in the meantime."""
        work = np.bincount(self.group[self.tag[rows]], self.expected[rows], len(self.ended))
        each = work**2 * self.scatter / np.maximum(self.ended, 1)
        return float(each.sum() / work.sum() ** 2) + _MODEL**2


def _runs_of(jobs: Moves) -> _Runs:
    """Group the jobs by tag where its run times differ from the others by more than chance."""
    run, tag, tags = jobs.ran, jobs.tag + 1, int(jobs.tag.max()) + 2
    number = np.bincount(tag[~np.isnan(jobs.ended + run)], minlength=tags)
    total = np.bincount(tag, np.nan_to_num(run), tags)
    known = (number > 0) & (total > 0)
    mean, usual = total / np.maximum(number, 1), float(total.sum()) / max(int(number.sum()), 1) or 1.0
    scatter = _scatter_of(run / np.where(known, mean, np.nan)[tag] if known.sum() > 1 else run)
    differs = known.copy()
    differs[known] = np.abs(np.log(mean[known] / usual)) > 2 * np.sqrt(scatter / number[known])
    # those that do not differ are one group, as those of which none has ended
    group = np.where(differs, np.arange(tags), tags)
    seconds, ended = (np.bincount(group, each, tags + 1) for each in (total, number))
    expected = np.where(seconds > 0, seconds, usual) / np.maximum(np.where(seconds > 0, ended, 1.0), 1.0)
    return _Runs(expected[group][tag], tag, group, ended, scatter, (number == 0) & (number.sum() > 0))


def _first_to_end(jobs: Moves, runs: _Runs, now: float, ahead: Ints) -> Floats:
    """Return the run times of those whose end makes room for each of these: who runs ends before who is ahead."""
    going = np.flatnonzero(jobs.begun & (jobs.moved <= now) & ~(jobs.ended <= now))
    going = going[np.argsort(jobs.moved[going], kind="stable")]
    return runs.expected[np.concatenate((going, ahead))[: len(ahead)]]


def _with_little(pace: _Pace, mean: float, runs: _Runs, ahead: Ints, error: float) -> tuple[float, float]:
    """Return by what the rate is multiplied, and its squared relative error, with Little's law as a second estimate.

    In a queue that is not empty, the number running ÷ mean run time is the start rate; it does not depend on when the jobs
    that run happen to end. Where the two agree they are weighted by their errors.
    """
    if not (runs.ended.sum() >= _FEWEST and pace.running > 0):
        return 1.0, error
    other = runs.error(ahead)
    off = float(np.log(pace.running / mean * pace.span / len(pace.starts)))
    if off**2 > 4 * (error + other):
        return 1.0, error
    # both are of the same jobs in part: together no better than one
    return float(np.exp(off * error / (error + other))), min(error, other)


def variance_of_starts(number: Any, servers: float, scatter: float) -> Any:
    """Return the variance over the mean of so many starts: 1 for the first of each server, cv² of the run times in the end."""
    return 1 + (scatter - 1) * number / (number + max(servers, 1.0))


def _leaving(begin: Floats, end: Floats, gave_up: Flags) -> float:
    """Return how many give up by second of waiting; of many that are cancelled together nothing follows for the others."""
    if not gave_up.any():
        return 0.0
    left, begin, end = end[gave_up], np.sort(begin), np.sort(end)

    def waited(times: Floats, until: Floats) -> Floats:
        """Return the seconds from these times until each moment."""
        number = np.searchsorted(times, until)
        return number * until - np.append(0.0, np.cumsum(times))[number]

    total = float(end.sum() - begin.sum())
    # twenty parts of the waiting, in each of which as many would give up
    part = (waited(begin, left) - waited(end, left)) * (_PARTS / max(total, 1.0))
    each = np.bincount(np.clip(part.astype(np.int64), 0, _PARTS - 1), minlength=_PARTS)
    usual = each <= _FEW_LEFT + 3 * np.sort(each)[: 3 * _PARTS // 4].mean()
    return float(each[usual].sum() / max(total * usual.mean(), 1.0))


class _Pace(NamedTuple):
    """Starts of jobs that waited, after ``begin``; ``span`` is the time since then in which the queue was not empty.

    A pause as long as ``still`` is a stop.
    """

    starts: Floats
    begin: float
    span: float
    still: float
    leaving: float = 0.0
    running: float = 0.0
    changed: bool = False
    clumps: float = 1.0


def _pace_of(jobs: Moves, now: float, *, whole: bool = False) -> _Pace:
    """Return the newest starts that tell the rate: those since it changed, or all."""
    begun = np.unique(jobs.moved[jobs.started(-np.inf, now)])[-_NEWEST:]
    still = _still(begun) if len(begun) > 1 else 0.0
    waited = (jobs.moved > jobs.created) & (jobs.created < now)
    starts = np.sort(jobs.moved[waited & jobs.started(-np.inf, now)])
    if not len(starts):
        return _Pace(starts, now, 0.0, still)
    since = min(now - _WINDOW_S, float(starts[max(len(starts) - _NEWEST, 0)]))
    since = max(since, float(jobs.moved.min()))  # what moved earlier is not there any more
    inside = waited & (jobs.moved > since)
    starts = starts[starts > since]
    if not len(starts):
        return _Pace(starts, now, 0.0, still)
    begin, end = np.maximum(jobs.created[inside], since), np.minimum(jobs.moved[inside], now)
    leaving = _leaving(begin, end, jobs.gave_up[inside] & (jobs.moved[inside] <= now))
    order = np.argsort(begin, kind="stable")
    begin, end = begin[order], np.maximum.accumulate(end[order])
    empty = np.cumsum(np.maximum(begin - np.append(since, end[:-1]), 0.0))
    # the clock stands still while the queue is empty: from one end to the next begin
    moments_of = np.column_stack((np.minimum(np.append(since, end[:-1]), begin), begin)).ravel()
    shown = np.repeat(begin - since - empty, 2)

    def clock_at(moment: Floats) -> Floats:
        """Return how long the queue had not been empty by a moment."""
        known, shows = np.append(moments_of, end[-1]), np.append(shown, end[-1] - since - empty[-1])
        return np.asarray(np.interp(moment, known, shows), dtype=np.float64)

    clock, total = clock_at(starts), float(end[-1] - since - empty[-1])
    cut, zero, pause = (0, 0.0, 0.0) if whole else steady_since(clock, total, jobs.scatter)
    ends = np.where(np.isnan(jobs.ended), now, np.minimum(jobs.ended, now))[jobs.begun]
    ran = np.maximum(clock_at(ends), zero) - np.maximum(
        clock_at(np.minimum(jobs.moved[jobs.begun], now)), zero
    )
    running = float(ran.sum()) / max(total - zero, 1e-9)
    first = float(starts[cut - 1]) if cut else since
    lumps = _clumps(clock[cut:] - zero, total - zero)
    return _Pace(starts[cut:], first, total - zero, max(pause, still), leaving, running, cut > 0, lumps)


def steady_since(clock: Floats, now: float, scatter: float) -> tuple[int, float, float]:
    """Return how many events came before their rate last changed, when that was, and how long a pause is one after it.

    Parameters
    ----------
    clock : numpy.ndarray
        When each event came, on a clock that runs from 0 to ``now`` [s].
    scatter : float
        Variance over mean of the number of events, at least.

    Notes
    -----
    A pause of a minute and of 20 usual gaps is a change, if there were not longer ones before; so is what Kolmogorov and
    Smirnov's test finds at 1 % (the largest cumulative sum). Events that come in clumps are as many as there are clumps.
    """
    cut, zero, still = 0, 0.0, 0.0
    while len(clock) - cut >= _FEWEST and now > zero:
        part, span = clock[cut:], now - zero
        still = _still(np.append(zero, part))
        pauses = np.flatnonzero(np.diff(part, prepend=zero) > still)
        away = np.abs(np.arange(1, len(part) + 1) / len(part) - (part - zero) / span)
        if len(pauses):
            more = int(pauses[-1])
        elif away.max() * np.sqrt(len(part) / max(scatter, _clumps(part - zero, span))) > _KOLMOGOROV:
            more = int(np.argmax(away))
        else:
            break
        zero = float(part[more])
        # those of its second fill servers that were idle
        cut = int(np.searchsorted(clock, zero, side="right"))
    return cut, zero, still


def _still(times: Floats) -> float:
    """Return how long a pause is a stop: much longer than is usual, and than the third longest of these."""
    gaps = np.diff(times)
    third = float(np.partition(gaps, -3)[-3]) if len(gaps) > _FEWEST else 0.0
    usual = float(np.ptp(times)) / max(len(np.unique(times)) - 1, 1)
    return max(_STILL_S, _STILL_GAPS * usual, _LONGER * third)


def _clumps(clock: Floats, span: float) -> float:
    return clumps(clock, span, min(len(clock) // _FEWEST + 2, 20))


def clumps(times: Floats, span: float, bins: int) -> float:
    """Return the variance over the mean of the events in so many bins from 0 on; one slow change of the rate adds little."""
    if span <= 0:
        return 1.0
    each = np.bincount(np.clip(times * (bins / span), 0, bins - 1).astype(np.int64), minlength=bins)
    return float((np.diff(each) ** 2).mean() / 2 / max(each.mean(), 1e-9))


# --- is it the whole queue ---


def _running(jobs: Moves, starts: Floats) -> Floats:
    """Return how many jobs ran right after each of these starts."""
    ended = np.sort(jobs.ended[jobs.begun])  # those that run on are last
    begun = np.searchsorted(np.sort(jobs.moved[jobs.begun]), starts, side="right")
    return (begun - np.searchsorted(ended, starts, side="right")).astype(np.float64)


def _alike(running: Floats) -> bool:
    """Say whether as many ran each time a waiting job started: of a whole queue its servers, of a sample any number."""
    return len(running) > 0 and bool(running.var() <= 0.1 * max(float(running.mean()) - 1, 0.5))


def _is_sample(queue: Moves, running: Floats) -> bool:
    known = queue.servers[~np.isnan(queue.servers)]
    return bool(running.mean() < 0.8 * known.max()) if len(known) else not _alike(running)


def _uneven(jobs: Moves, begin: float, now: float) -> bool:
    """Say whether the waiting jobs were created at another rate than those that started: not so in a random sample."""
    parts = [jobs.created[jobs.moved > now], jobs.created[jobs.started(begin, now)]]
    if min(map(len, parts)) < _FEWEST:
        return False
    waits, went = (np.log(len(part) / max(float(np.ptp(part)), 1.0)) for part in parts)
    return bool(abs(waits - went) > np.log(2) + 2 * np.sqrt(sum(1 / len(part) for part in parts)))
