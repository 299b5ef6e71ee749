"""When waiting jobs will start: order, start rate and place of each, put together from single jobs.

::

    project(recent)         Projection: how long each waiting job will wait on, how sure that is, or why it is not known

1. One moment. Jobs are observed one after the other; a queue is put together as it was at the earliest observation of those
   of its jobs that have not ended. A record that is 30 minutes older than the newest is stale: in no queue.
2. Order (:mod:`cosai_nb.stats.order`). Where a queue is not in order its classes may be: they are queues of their own then.
3. Rate (:mod:`cosai_nb.stats.rate`).
4. Place. A job starts when those ahead of it have: place ÷ rate, or ln(1 + θ · place ÷ rate) ÷ θ where each waiting job gives
   up at θ per second (the fluid limit: Whitt 2006). Where tags differ in run time a place counts as much as it runs, and the
   rate is the number running, if that is steady.
5. Error. place ÷ rate · exp(± z · √(I ÷ place + I ÷ starts)), where I, the variance of a number of starts over its mean, goes
   from 1 to cv² of the run times as each server starts more of them, and is that of the clumps where many start at once.
"""

from __future__ import annotations

from heapq import heapify, heapreplace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cosai_nb.stats.counts import RECENT_MS
from cosai_nb.stats.measures import moments
from cosai_nb.stats.order import FEWEST, NEWEST, STALE_S, WINDOW_S, Jobs, by_label, classes_of, parts_in_order
from cosai_nb.stats.rate import Pace, alike, pace_of, scatter_of, variance_of_starts

if TYPE_CHECKING:
    import pandas as pd

    from cosai_nb.stats.measures import Flags, Floats, Ints

STOPPED = "nothing has started since"
"""How the note about a queue that stands still begins."""
_LUMPY = 3.0  # times the scatter of the run times
_FEWER = 0.8
_FEW_UNKNOWN = 0.1  # of the jobs ahead, so many may be of a tag of which none has ended
_MODEL = 0.05  # error of Little's law: run times may have changed in the meantime
_FARTHEST = 4.0  # a class is projected no further than so many ages of its oldest job
_UNSURE = 0.56  # standard error of a rate that may be three times as high or low
_UNKNOWN = "the waits to come cannot be known"
_OTHERS_FIRST = f"jobs of other classes go first: {_UNKNOWN}"
_SHARED = "the queues seem to share servers: a wait may be longer or shorter as jobs of the others come"
_SAMPLE = "the number running changes: if this is a sample of the queue, it must be a random one"
CUT = "no job is unfinished, though jobs have just started: if only those that have ended were passed, waits are too short"
_BY_CHANCE = 0.01  # that no job is unfinished
_NO_ORDER = {
    None: f"too few starts to tell the order of the queue: {_UNKNOWN}",
    False: f"the queue is not served in order: {_UNKNOWN}, and may be longer than the estimate",
}


class Projection(NamedTuple):
    """What is known of each queue, and of each row of ``recent``.

    ``fifo`` is True where a queue is served in order, as a whole or within its classes, None where that is unknown. Of each
    row: ``stale`` and ``paused``, which stand in no queue; ``stuck``, which waits where nothing starts or others go first;
    ``cut``, where the queue has no unfinished job and should have; ``place``, 0 for one that waits in no queue; ``first`` and
    ``last``, the places of the jobs of its second; ``work``, place ÷ start rate [s], NaN where the start cannot be known, and
    ``spread``, its standard error on a logarithmic scale; ``leaving``, θ [1/s]; ``moment``, when the queue was put together
    [s after its observation]; ``rate``, the part of the start rate [1/s] of its queue that a start stands for, NaN where there
    is none; ``note``, what there is to say about it.
    """

    fifo: dict[str | None, bool | None]
    stale: Flags
    paused: Flags
    stuck: Flags
    cut: Flags
    place: Ints
    first: Ints
    last: Ints
    spread: Floats
    leaving: Floats
    moment: Floats
    work: Floats
    rate: Floats
    note: Any

    @classmethod
    def of_none(cls, stale: Flags, paused: Flags) -> Projection:
        """Return what is known where no job waits."""
        number = len(stale)
        zeros, unknown = np.zeros((3, number)), np.full((2, number), np.nan)
        (stuck, cut), note = np.zeros((2, number), dtype=bool), np.full(number, "", dtype=object)
        columns: list[Any] = [stale, paused, stuck, cut, *zeros.astype(np.int64), *zeros, *unknown, note]
        return cls({}, *columns)

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
        return Projection(self.fifo, *(column[rows] for column in self[1:]))

    def wait_on(self, z: float = 0.0, place: Ints | Floats | None = None) -> Ints:
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
        waiting = self.note[rows[self.place[rows] > 0]]
        told = [
            note if len(mine) == len(waiting) else f"{len(mine):,} of {len(waiting):,} waiting: {note}"
            for note, mine in by_label(waiting)
            if note
        ]
        told += [CUT] if self.cut[rows].any() else []
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
    if not len(recent):  # there may be no columns, either
        return Projection.of_none(nobody := np.zeros(0, dtype=bool), nobody)
    jobs = Jobs.of(recent)
    plan, of_class = Projection.of_none(jobs.stale, jobs.paused), classes_of(recent)
    for queue, every in by_label(recent["queue_id"]):
        # one queue has one projection, however far back a caller counts
        moved = jobs.moved[every]
        newest = np.sort(moved[np.isfinite(moved)])[-NEWEST:]
        rows = every[moved >= min([-RECENT_MS / 1000, *newest[:1]])]
        alive = np.isnan(jobs.ended[rows]) & ~jobs.gave_up[rows] & (jobs.seen[rows] >= -STALE_S)
        now = float(jobs.seen[rows[alive]].min(initial=0.0))
        if not (alive.any() or jobs.waiting[rows].any()):
            plan.cut[rows] = np.exp(-_should_run(jobs.take(rows))) < _BY_CHANCE
        mine = rows[jobs.in_queue[rows]]
        whole = jobs.take(mine)
        plan.fifo[queue], parts, within = parts_in_order(whole, mine, of_class, now)
        for part in parts if whole.waiting.any() else ():
            _project_part(plan, mine[part], jobs, whole, now, plan.fifo[queue], within)
    return plan


def _should_run(jobs: Jobs) -> float:
    """Return how many jobs would run after the newest record, by the run times of their tags."""
    number, begun = 0.0, np.flatnonzero(jobs.begun & ~np.isnan(jobs.ran) & (jobs.ended <= jobs.seen.max()))
    for _, mine in by_label(jobs.tag[begun]):
        part = jobs.take(begun[mine])
        longer = np.searchsorted(np.sort(part.ran), jobs.seen.max() - part.moved, side="right")
        number += float((1 - longer / len(mine)).sum())
    return number


def _spread_evenly(number: int) -> Floats:
    """Return so many fractions of 1 such that any stretch of them is spread evenly: multiples of the golden section."""
    found: Floats = np.arange(1, number + 1) * ((5**0.5 - 1) / 2) % 1
    return found


def _project_part(
    plan: Projection, mine: Ints, jobs: Jobs, queue: Jobs, now: float, fifo: Any, within: str
) -> None:
    """Fill in the rows of a queue, or of a class that it is split in."""
    part = jobs.take(mine)
    # those that had not moved by then, in order of creation
    ahead = np.flatnonzero(part.moved > now)
    if not len(ahead):
        return
    # of one second none is known to be first: tags are mixed, whatever the order of the rows
    ahead = ahead[np.lexsort((part.tag[ahead], part.created[ahead]))]
    ahead = ahead[np.lexsort((_spread_evenly(len(ahead)), part.created[ahead]))]
    created = part.created[ahead]
    first, last = (np.searchsorted(created, created, side=side) for side in ("left", "right"))
    found = _projected(part, queue, jobs, now, ahead, split=bool(within))
    if (used := found.pop("used", None)) is not None:
        plan.rate[mine] = 0.0
        plan.rate[mine[used]] = len(ahead) / found["work"][-1] / len(used)
    if not fifo:
        found = {"note": _NO_ORDER[fifo]} | {
            name: found[name] for name in ("note", "stuck") if "stuck" in found
        }
    elif within and "stuck" not in found:
        found["note"] = "; ".join(
            filter(None, (f"the queue is in order within each {within}", found["note"]))
        )
    if "spread" in found:
        found["spread"] = found["spread"][(first + last) // 2]
    found |= {"place": np.arange(1, len(ahead) + 1), "first": first + 1, "last": last}
    found["moment"] = now - part.seen[ahead]
    waits = part.waiting[ahead]
    for name, value in found.items():
        getattr(plan, name)[mine[ahead[waits]]] = value[waits] if np.ndim(value) else value


def _projected(
    jobs: Jobs, queue: Jobs, everybody: Jobs, now: float, ahead: Ints, *, split: bool
) -> dict[str, Any]:
    """Return what is known of these jobs of a queue, or of a class that it is split in, the next to start first.

    By column of :class:`Projection`; ``used`` are the jobs whose starts make the rate.
    """
    runs, oldest = _runs_of(jobs), float(jobs.created[ahead].min())
    pace, whole, steady = _fitting_pace(jobs, now, runs)
    # without servers of its own it gets what the others leave, now little and now much
    if shares := split and not whole:
        pace = pace_of(jobs, now, whole=True)
    newest = float(jobs.moved[jobs.started(-np.inf, now)].max(initial=-np.inf))
    if now - max(oldest, newest) > pace.stop and pace.stop > 0:
        others = split and bool(queue.started(newest, now).any())
        return {"note": _OTHERS_FIRST if others else _stopped(jobs.origin, newest, now), "stuck": True}
    starts = len(pace.starts)
    if starts < FEWEST or pace.span <= 0:  # a second in which many start at once is no rate, either
        since = " since the rate changed" if pace.changed else ""
        return {"note": f"rate unknown ({starts} starts of jobs that waited{since}): {_UNKNOWN}"}
    running, lumpy = queue.running(pace.starts), pace.clumps > _LUMPY * runs.scatter and not steady
    note = _doubts(queue, running, now, lumpy=lumpy, part=split and not shares)
    if note == _SAMPLE and alike(everybody.running(pace.starts)) and not alike(running):
        note = _SHARED
    if note == _SAMPLE and _uneven(jobs, pace.begin, now):
        return {"note": f"this looks like a sample of the queue, and not a random one: {_UNKNOWN}"}
    used, servers = np.flatnonzero(jobs.started(pace.begin, now)), float(running.mean())
    shared = queue.started(pace.begin, now).sum() / starts if shares else 1.0

    def variance(number: Any) -> Any:
        """Return that of so many starts over their number; to a class others add theirs."""
        each = variance_of_starts(number * shared, servers, runs.scatter) * shared + shared - 1
        return np.maximum(each, pace.clumps) if lumpy else each

    # after a stop all servers start afresh, and those with short jobs start the more
    early = (runs.scatter - 1) / 2 * servers / starts if pace.changed else 0.0
    error = np.inf if steady else float(variance(starts)) / starts + early**2
    waited = used[jobs.moved[used] > jobs.created[used]]
    each, rate = runs.expected[ahead], float(runs.expected[waited].mean()) * starts / pace.span
    if whole:
        rate, error = _with_little(pace, rate, error, runs, ahead)
    work = (_work_until(jobs, runs, now, ahead) if whole else np.cumsum(each)) / rate
    if split and (error > _UNSURE**2 or work[-1] > _FARTHEST * (now - oldest)):
        return {"note": _OTHERS_FIRST, "stuck": True}
    if error > _UNSURE**2:
        return {
            "note": f"rate unknown ({starts} starts of jobs that waited, at uneven intervals): {_UNKNOWN}"
        }
    many = np.cumsum(each) ** 2 / np.cumsum(each**2)  # as many jobs of one length vary as much
    unknown = runs.unknown[ahead]
    hidden = np.cumsum(unknown) - unknown > _FEW_UNKNOWN * np.arange(1, len(ahead) + 1)
    return {
        "work": np.where(hidden, np.nan, work),
        "spread": np.sqrt(variance(many) / many + error),
        "leaving": pace.leaving,
        "used": used,
        "note": f"jobs wait of a tag of which none has ended: behind them {_UNKNOWN}"
        if hidden.any()
        else note,
    }


def _stopped(origin: float, newest: float, now: float) -> str:
    clock = moments([round(origin + 1000 * newest)])[0].strftime("%Y-%m-%d %H:%M")
    return f"{STOPPED} {clock} UTC ({(now - newest) / 60:,.0f} min): {_UNKNOWN}"


def _fitting_pace(jobs: Jobs, now: float, runs: _Runs) -> tuple[Pace, bool, bool]:
    """Return the rate, whether the number running is steady, and whether that tells what the rate of starts does not."""
    if np.ptp(runs.expected[jobs.moved > now - WINDOW_S]) > 0:
        # jobs that take longer start at another rate on the same servers: that is no change of these
        whole = pace_of(jobs, now, whole=True)
        if alike(jobs.running(whole.starts)):
            return whole, True, True
    pace = pace_of(jobs, now)
    return pace, alike(jobs.running(pace.starts)), False


# --- how long a place takes ---


class _Runs(NamedTuple):
    """Of each job the run time expected [s], its group, and whether no job of its tag has ended; how many of each group have."""

    expected: Floats
    group: Ints
    unknown: Flags
    ended: Ints
    scatter: float

    def error(self, rows: Ints) -> float:
        """Return the squared relative error of the work of these jobs; run times may have changed in the meantime."""
        work = np.bincount(self.group[rows], self.expected[rows], len(self.ended))
        each = work**2 * self.scatter / np.maximum(self.ended, 1)
        return float(each.sum() / work.sum() ** 2) + _MODEL**2


def _runs_of(jobs: Jobs) -> _Runs:
    """Group the jobs by tag where its run times differ from the others by more than chance."""
    run, tag, tags = jobs.ran, jobs.tag + 1, int(jobs.tag.max()) + 2
    number = np.bincount(tag[~np.isnan(jobs.ended + run)], minlength=tags)
    total = np.bincount(tag, np.nan_to_num(run), tags)
    usual = float(total.sum()) / max(int(number.sum()), 1) or 1.0
    known = (number > 0) & (total > 0)
    mean = np.where(known, total / np.maximum(number, 1), usual)
    scatter = scatter_of(run / np.where(known, mean, np.nan)[tag] if known.sum() > 1 else run)
    differs = np.abs(np.log(mean / usual)) > 2 * np.sqrt(scatter / np.maximum(number, 1))
    # those that do not differ are one group, as those of which none has ended
    group = np.where(differs, np.arange(tags), tags)
    seconds, ended = (np.bincount(group, each, tags + 1) for each in (total, number))
    expected = np.where(seconds > 0, seconds / np.maximum(ended, 1), usual)
    return _Runs(expected[group][tag], group[tag], (number == 0)[tag] & (number.sum() > 0), ended, scatter)


def _work_until(jobs: Jobs, runs: _Runs, now: float, ahead: Ints) -> Floats:
    """Return the run time worked off until each of these starts: by servers on which each job runs as long as is expected.

    Of those that run more take long than of those that start. How much longer they run is spread as where it does not depend
    on how long they have: as many end now as where all take equally long, and after a batch of slow ones none ends too early.
    """
    each = runs.expected[ahead]
    going = np.flatnonzero(jobs.begun & (jobs.moved <= now) & ~(jobs.ended <= now))
    if np.ptp(runs.expected[np.append(going, ahead)]) == 0 or not len(going):
        return np.cumsum(each)
    ends = (-np.sort(runs.expected[going]) * np.log1p(-_spread_evenly(len(going)))).tolist()
    heapify(ends)
    # the server that is free first takes the next one
    starts = [heapreplace(ends, ends[0] + seconds) for seconds in each.tolist()]
    return np.array(starts) * len(going)


def _with_little(pace: Pace, rate: float, error: float, runs: _Runs, ahead: Ints) -> tuple[float, float]:
    """Return the run time that is started each second, and its squared relative error, with Little's law as a second estimate.

    In a queue that is not empty that is the number running; it does not depend on when the jobs that run happen to end. Where
    the two agree they are weighted by their errors. Of tags that differ in run time the starts tell nothing: ``error`` is ``inf``.
    """
    if not (runs.ended.sum() >= FEWEST and pace.running > 0):
        return rate, error
    other = runs.error(ahead)
    off = float(np.log(pace.running / rate))
    if off**2 > 4 * (error + other):
        return rate, error
    # both are of the same jobs in part: together no better than one
    return rate * float(np.exp(off / (1 + other / error))), min(error, other)


# --- what the number running says ---


def _doubts(queue: Jobs, running: Ints, now: float, *, lumpy: bool, part: bool) -> str:
    """Return what the number running says about the rate of starts."""
    if lumpy:
        return "jobs start many at a time: a wait may be longer or shorter by the time between"
    if not part and _is_sample(queue, running):
        return _SAMPLE
    # one that ends in this second makes room for the next
    run_now = 1 + (queue.begun & (queue.moved <= now) & ~(queue.ended <= now)).sum()
    return "fewer jobs run than did: waits may be longer" if run_now < _FEWER * running.mean() else ""


def _is_sample(queue: Jobs, running: Ints) -> bool:
    known = queue.servers[~np.isnan(queue.servers)]
    return bool(running.mean() < 0.8 * known.max()) if len(known) else not alike(running)


def _uneven(jobs: Jobs, begin: float, now: float) -> bool:
    """Say whether the waiting jobs were created at another rate than those that started: not so in a random sample."""
    parts = [jobs.created[jobs.moved > now], jobs.created[jobs.started(begin, now)]]
    if min(map(len, parts)) < FEWEST:
        return False
    waits, went = (np.log(len(part) / max(float(np.ptp(part)), 1.0)) for part in parts)
    return bool(abs(waits - went) > np.log(2) + 2 * np.sqrt(sum(1 / len(part) for part in parts)))
