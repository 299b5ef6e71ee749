"""Which queues grow: arrivals against starts, beyond the chance of both, and how long the queue was before.

::

    queue_states(counted)   whether each queue grows, and its utilisation
    queue_alarms(jobs)      the same as a table, with the evidence
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cosai_nb.stats.counts import (
    HOURS,
    MOVES,
    NO_HOUR,
    RECENT_MS,
    Groups,
    class_codes,
    count_all,
    hours_of,
    unusable_of,
)
from cosai_nb.stats.measures import HOUR_MS, MISSING, UNUSABLE, moments
from cosai_nb.stats.moves import CHANGES
from cosai_nb.stats.order import Jobs, by_label
from cosai_nb.stats.projection import STOPPED, project
from cosai_nb.stats.rate import clumps, scatter_of, spells, variance_of_starts
from cosai_nb.stats.short_table import read_first

if TYPE_CHECKING:
    from cosai_nb.stats.counts import Counted
    from cosai_nb.stats.measures import Flags, Floats, Ints

QUEUE_KEYS = dict.fromkeys(("jobs", *HOURS), ("queue_id",))
"""What must be counted to judge the queues."""
LEVEL = 0.05
"""Chance that any queue of a table is said to grow, if all have a load of 0.9."""
_LONG, _SHORT_S, _LOAD = 2.0, 60.0, 0.9
_SURE = 2.0  # standard deviations by which a queue that drains is shorter
_SPANS_S = (900.0, 3600.0, 10_800.0)
_TOGETHER_S = (1.0, 60.0, 600.0)  # jobs that are submitted within such a time may be one event
_FEWEST_BINS = 10
_CHANCE = 4.0  # standard deviations that no hour exceeds
_SCATTER = 4.0  # variance over mean of starts where run times are not counted: cv 2


class Growth(NamedTuple):
    """Jobs that wait, the age of the oldest [s], arrivals and starts by hour in the last hour, NaN where not known.

    ``p_value`` is the chance of such growth at a load of 0.9; ``shrinks``: it is shorter than before by more than chance.
    """

    waiting: int
    oldest: float
    arrivals: float
    starts: float
    p_value: float
    shrinks: bool


class Queue(NamedTuple):
    """What is known of a queue: see :func:`queue_alarms`.

    ``filled`` is the full hour after which it filled [ms], ``utilisation`` is the mean ÷ max observed number running on the hour.
    """

    growth: Growth
    state: str
    p_value: float
    filled: int
    utilisation: float

    @property
    def growing(self) -> bool:
        """Whether it grows beyond chance, and is long for this queue."""
        return self.state == "growing"


def queue_states(counted: Counted) -> dict[str | None, Queue]:
    """Return what is known of each queue.

    Parameters
    ----------
    counted : Counted
        With the tables of :data:`QUEUE_KEYS`, of all jobs: a part of a queue says little about it.

    Returns
    -------
    dict
        By queue_id; what makes a queue grow is in the notes of :func:`queue_alarms`.
    """
    now = 0 if pd.isna(counted.as_of) else int(counted.as_of.timestamp()) // 3600
    recent = counted.recent
    jobs = None if recent is None or recent.empty else Jobs.of(recent)
    singles = {} if jobs is None or recent is None else dict(by_label(recent["queue_id"]))
    moved, found = _moved_by_hour(counted, now), {}
    for queue, by_hour in moved.items():
        lengths, running = (_levels(by_hour, state) for state in CHANGES)
        growth, within = _growth_by_hour(by_hour, lengths), np.zeros(1, dtype=np.int64)
        if jobs is not None:
            single = jobs.take(singles.get(queue, np.empty(0, dtype=np.int64)))
            growth, within = _growth(single), _lengths_within(single)
        hour, longest = _before_it_filled(lengths, _peaks(by_hour, lengths), growth.waiting)
        longest = max(longest, _before_it_filled(within, within + 1, growth.waiting)[1])
        chance = min(1.0, growth.p_value * len(moved))
        grows = chance <= LEVEL and not growth.shrinks and growth.waiting > _LONG * longest
        grows &= not growth.oldest < _SHORT_S
        evident = "growing" if by_hour["start"].any() else "stopped"
        state, filled = (
            evident if grows else "draining" if growth.shrinks else "waiting",
            (now + hour) * HOUR_MS,
        )
        if not growth.waiting:
            state, filled = "empty", MISSING
        since_start = running[np.argmax(by_hour["start"] > 0) :]
        found[queue] = Queue(growth, state, chance, filled, _utilisation(since_start))
    return found


# --- single jobs ---


def _growth(jobs: Jobs) -> Growth:
    """Compare the arrivals of a queue with its starts, in three windows since it was empty."""
    now, waiting = float(jobs.seen[jobs.waiting].min(initial=0.0)), int(jobs.waiting.sum())
    jobs = jobs.take(jobs.in_queue & (jobs.created <= now))
    ahead = jobs.moved > now

    def moves(since: float) -> tuple[int, int, int]:
        """Return how many came, started and gave up since then."""
        left = jobs.gave_up & (jobs.moved > since) & ~ahead
        return int((jobs.created > since).sum()), int(jobs.started(since, now).sum()), int(left.sum())

    hour = min(3600.0, max(now - float(jobs.created.min(initial=now)), 1.0))
    came, went, _ = moves(now - hour)
    growth = Growth(waiting, 0.0, 3600 / hour * came, 3600 / hour * went, 1.0, shrinks=False)
    if not ahead.any():
        return growth
    # since when it has not been empty: from just before the first of these came
    filled, scatter = float(spells(jobs.created, jobs.moved)[0][-1]) - 1, scatter_of(jobs.ran)
    running = float((jobs.begun & np.isnan(jobs.ended)).sum())
    scores, shrinks = [], []
    for span in _SPANS_S:
        since = max(now - span, filled)
        came, went, left = moves(since)
        noise = came * _bursts(jobs.created, filled, since, now) + left
        noise = np.sqrt(max(noise + went * variance_of_starts(went, running, scatter), 1.0))
        grown = came - went - left
        scores.append((grown + (1 - _LOAD) * went) / noise)
        shrinks.append(bool(grown < -_SURE * noise))
    chance = len(_SPANS_S) * NormalDist().cdf(-float(max(scores)))
    oldest = now - float(jobs.created[ahead].min())
    return growth._replace(oldest=oldest, p_value=min(chance, 1.0), shrinks=shrinks[0])


def _bursts(created: Floats, filled: float, since: float, now: float) -> float:
    """Return the variance over the mean of the arrivals since then; those before the queue filled show how others came."""
    found = [1.0]
    for begin, end in ((since, now), (float(created.min(initial=filled)), filled)):
        mine, span = created[(created > begin) & (created <= end)] - begin, max(end - begin, 60.0)
        bins = [int(span / width) for width in _TOGETHER_S]
        found += [clumps(mine, span, each) for each in bins if each >= _FEWEST_BINS]
    return max(found)


def _lengths_within(jobs: Jobs) -> Ints:
    """Return how many waited after each start or end of waiting, in order, and how many do now."""
    now = float(jobs.seen[jobs.waiting].min(initial=0.0))
    there = jobs.in_queue & (jobs.created <= now)
    created, moved = np.sort(jobs.created[there]), np.sort(jobs.moved[there & (jobs.moved <= now)])
    after = np.searchsorted(created, moved, side="right") - np.arange(1, len(moved) + 1)
    return np.append(after, len(created) - len(moved))


# --- clock hours ---


def until(table: pd.DataFrame, now: int) -> Flags:
    """Choose the rows of usable moves up to the hour of the as-of time; what is later was not true then."""
    hour = hours_of(table)
    usable = (class_codes(table) < UNUSABLE) & (hour != NO_HOUR)
    return np.asarray(usable & (hour + table["seconds"].to_numpy() <= now), dtype=bool)


def _moved_by_hour(counted: Counted, now: int) -> dict[str | None, dict[str, Ints]]:
    """Return how many jobs of each queue made each move, in each clock hour from its first arrival on, the one under way last."""
    queues = Groups.of(counted.tables["jobs"], ("queue_id",))
    first = np.full(queues.number, now)
    moves: list[tuple[Ints, Ints, Ints]] = []
    for name in QUEUE_KEYS:
        table = counted.tables[name]
        rows = np.flatnonzero(until(table, now))
        queue, hour = queues.place(table)[rows], (hours_of(table) + table["seconds"].to_numpy())[rows]
        if not moves:  # what moved before the first arrival moved in its hour
            np.minimum.at(first, queue, hour)
        moves.append((queue, np.maximum(hour, first[queue]), table["jobs"].to_numpy()[rows]))
    # the hours of all queues stand behind each other
    ends = np.cumsum(now + 1 - first)
    total = int(ends[-1:].sum())
    columns = [
        np.bincount(ends[queue] - 1 - now + hour, jobs, total).astype(np.int64) for queue, hour, jobs in moves
    ]
    places = map(slice, (ends - (now + 1 - first)).tolist(), ends.tolist())
    return {
        queue: {move: column[place] for move, column in zip(MOVES, columns, strict=True)}
        for (queue,), place in zip(queues.plain_labels, places, strict=True)
    }


def _levels(by_hour: dict[str, Ints], state: str) -> Ints:
    """Return how many jobs waited (or ran) at the end of each clock hour."""
    return np.cumsum(sum(sign * by_hour[move] for move, sign in CHANGES[state].items()))


def _growth_by_hour(by_hour: dict[str, Ints], lengths: Ints) -> Growth:
    """Compare arrivals with starts of the clock hour under way and the one before."""
    came, went, left = (int(by_hour[move][-2:].sum()) for move in CHANGES["waiting"])
    noise = np.sqrt(max(came + _SCATTER * went + left, 1.0))
    grown, waiting = came - went - left, int(lengths[-1])
    chance = NormalDist().cdf(-float((grown + (1 - _LOAD) * went) / noise)) if waiting else 1.0
    return Growth(waiting, np.nan, np.nan, np.nan, chance, shrinks=bool(grown < -_SURE * noise))


def _peaks(by_hour: dict[str, Ints], lengths: Ints) -> Ints:
    """Return how long the queue may have been within each hour: as many jobs may have waited as came beyond chance."""
    came = by_hour["arrival"]
    beside = np.maximum(np.append(0, came[:-1]), np.append(came[1:], 0))
    return np.maximum(lengths, (came - beside - _CHANCE * np.sqrt(came)).astype(np.int64))


def _before_it_filled(lengths: Ints, peaks: Ints, waiting: int) -> tuple[int, int]:
    """Return when, before the last of them, a queue filled, and how long it was before that."""
    short = np.flatnonzero(lengths[:-1] <= waiting / 10)
    if not len(short):
        return 1 - len(lengths), 0
    filled = int(short[-1]) + 1
    return filled + 1 - len(lengths), int(peaks[:filled].max())


def _utilisation(running: Ints) -> float:
    over = running[:-1]  # what the hour under way adds is not over yet
    busiest = over.max(initial=0)
    return float(over.mean() / busiest) if busiest > 0 else float("nan")


def queue_alarms(jobs: Any) -> pd.DataFrame:
    """Return which queues grow or stand still, and how strong the evidence is.

    Parameters
    ----------
    jobs : pandas.DataFrame, path, JobStore or DurationHistogram
        One row per job, of all jobs of the queues; or their histogram, which knows clock hours only.

    Returns
    -------
    pandas.DataFrame
        One row per queue (index ``queue_id``): ``state``: ``growing`` (see Notes), ``stopped`` (jobs wait, and no start for a
        minute and for 20 usual gaps, or it grows and never had one), ``draining``, ``waiting`` or ``empty``; ``arrivals_per_hour`` and ``starts_per_hour`` in
        the last hour; ``waiting`` jobs, the age of the oldest ``oldest_s`` [seconds]; ``p_value``; ``since``: the full hour
        after which it filled (NaT where none waits); ``stale`` records, in no queue; ``as_of``; ``note``.

    Raises
    ------
    TypeError, FrameError, FileError
        ``jobs`` is no source of jobs, lacks a column, or cannot be read.

    Notes
    -----
    ``growing`` needs three things: arrivals above starts by more than chance, with a probability of at most 5 % that any queue
    of the table does so at a load of 0.9 (normal approximation with the variance of the run times and of the arrivals, in
    seconds, minutes and tens of minutes, Bonferroni over the queues and over the last 15 minutes, hour and 3 hours); a queue
    more than twice as long as before it last filled, its oldest job a minute old at least; and no shrinking in the last 15
    minutes. How long it was before is known on each full hour, at every moment of the last three hours, and by what came
    in an hour more than in those beside it.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": ["Submitted", "Success"], "QueueId": "q1", "Tag": "Translation",
    ...     "CreationTime": "2026-11-01T10:00:00+0800", "StartTime": ["-", "2026-11-01T10:00:07+0800"], "EndTime": ["-", "2026-11-01T10:00:09+0800"]})
    >>> jobs = cn.add_timings(texts, observed_at="2026-11-01T03:00:00Z")
    >>> cn.queue_alarms(jobs)[["state", "waiting", "oldest_s"]]
                state  waiting  oldest_s
    queue_id
    q1        waiting        1    3600.0
    """
    counted = count_all(jobs, QUEUE_KEYS, recent_ms=RECENT_MS)
    plan, rows = None, {}
    if counted.recent is not None and len(counted.recent):
        plan, rows = project(counted.recent), dict(by_label(counted.recent["queue_id"]))
    table: list[tuple[Any, ...]] = []
    groups, states = Groups.of(counted.tables["jobs"], ("queue_id",)), queue_states(counted)
    lost = unusable_of(groups, counted.tables["jobs"])[1]
    for (queue, one), told in zip(states.items(), lost, strict=True):
        state, stale, notes = one.state, 0, [told] if told else []
        if plan is not None and queue in rows:
            stale = int(plan.stale[rows[queue]].sum())
            notes += plan.notes_of(rows[queue])
            state = "stopped" if any(STOPPED in note for note in notes) else state
        growth = one.growth
        rates = growth.arrivals, growth.starts, growth.waiting, growth.oldest
        table.append((state, *rates, one.p_value, one.filled, stale, counted.as_of, "; ".join(notes)))
    columns = {
        "state": "str", "arrivals_per_hour": "float64", "starts_per_hour": "float64", "waiting": "int64", "oldest_s": "float64",
        "p_value": "float64", "since": "int64", "stale": "int64", "as_of": "datetime64[ms, UTC]", "note": "str",
    }  # fmt: skip
    frame = pd.DataFrame(table, index=groups.rows, columns=list(columns)).astype(columns)
    frame["since"] = moments(frame["since"].to_numpy())
    frame.attrs["left_out"] = counted.left_out
    return read_first(frame)
