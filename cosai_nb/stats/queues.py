"""The queues now: which of them grow, when each waiting job will start, and when a queue will be empty.

::

    queue_states(counted)   whether each queue grows, and its utilisation
    queue_alarms(jobs)      the same as a table, with the evidence
    eta(jobs)               when each waiting job is expected to start and to end
    backlog(jobs)           how many jobs wait and run, and when a queue will be empty

Starts to come are those of :func:`cosai_nb.stats.waiting.project`.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cosai_nb.errors import FrameError, SettingsError
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
from cosai_nb.stats.measures import (
    ENDED,
    HOUR_MS,
    MISSING,
    UNFINISHED,
    UNUSABLE,
    group_columns,
    milliseconds,
    moments,
    width_ms,
)
from cosai_nb.stats.moves import CHANGES
from cosai_nb.stats.short_table import read_first
from cosai_nb.stats.survival import Curves, quantiles
from cosai_nb.stats.waiting import (
    STOPPED,
    Moves,
    by_queue,
    clumps,
    project,
    steady_since,
    variance_of_starts,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

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
_OUT_OF_QUEUE = "paused: it stands in no queue"
_STALE = "stale: not observed for 30 minutes while others were"
_OVERDUE = "expected to start before the newest record: query again"


# --- which queue grows ---


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
    tables = {name: counted.tables[name] for name in QUEUE_KEYS}
    usable = {name: _until(table, now) for name, table in tables.items()}
    hours = {name: hours_of(table) + table["seconds"].to_numpy() for name, table in tables.items()}
    number = {name: table["jobs"].to_numpy() for name, table in tables.items()}
    rows = {name: dict(by_queue(table)) for name, table in tables.items()}
    recent = counted.recent
    singles = {} if recent is None else dict(by_queue(recent))
    jobs = Moves.of(recent) if singles and recent is not None else None
    nothing = np.empty(0, dtype=np.int64)
    found = {}
    for queue in rows["jobs"]:
        moved = {}
        for move, name in zip(MOVES, QUEUE_KEYS, strict=True):
            mine = rows[name].get(queue, nothing)
            mine = mine[usable[name][mine]]
            moved[move] = hours[name][mine], number[name][mine]
        lengths = _levels(moved, "waiting", now)
        if jobs is None:
            growth, within = _growth_by_hour(moved, lengths, now), nothing
        else:
            single = jobs.take(singles.get(queue, nothing))
            growth, within = _growth(single), _lengths_within(single)
        hour, longest = _before_it_filled(
            lengths, growth.waiting, _bursts_of(moved["arrival"], len(lengths), now)
        )
        longest = max(longest, _before_it_filled(within, growth.waiting, within + 1)[1])
        chance = min(1.0, growth.p_value * len(rows["jobs"]))
        grows = chance <= LEVEL and not growth.shrinks and growth.waiting > _LONG * longest
        grows &= not growth.oldest < _SHORT_S
        evident = "growing" if len(moved["start"][0]) else "stopped"
        state = evident if grows else "draining" if growth.shrinks else "waiting"
        found[queue] = Queue(
            growth,
            state if growth.waiting else "empty",
            chance,
            (now + hour) * HOUR_MS if growth.waiting else MISSING,
            _utilisation(_levels(moved, "running", now)),
        )
    return found


def _growth(jobs: Moves) -> Growth:
    """Compare the arrivals of a queue with its starts, in three windows since it was empty."""
    now, waiting = float(jobs.seen[jobs.waiting].min(initial=0.0)), int(jobs.waiting.sum())
    jobs = jobs.take(jobs.in_queue & (jobs.created <= now))
    ahead = jobs.moved > now
    hour = min(3600.0, max(now - float(jobs.created.min(initial=now)), 1.0))

    def moves(span: float) -> tuple[Floats, int, int]:
        """Return the arrivals since then, and how many started and gave up."""
        since = now - span
        gone = jobs.gave_up & (jobs.moved > since) & ~ahead
        return jobs.created[jobs.created > since], int(jobs.started(since, now).sum()), int(gone.sum())

    came, went, _ = moves(hour)
    growth = Growth(waiting, 0.0, 3600 / hour * len(came), 3600 / hour * went, 1.0, shrinks=False)
    if not ahead.any():
        return growth
    filled, scatter = now - _filled(jobs), jobs.scatter
    running = float((jobs.begun & np.isnan(jobs.ended)).sum())
    scores, shrinks = [], []
    for span in _SPANS_S:
        since = now - min(span, filled)
        came, went, left = moves(now - since)
        noise = (
            len(came) * _bursts(jobs.created, now - filled, since, now)
            + went * variance_of_starts(went, running, scatter)
            + left
        )
        grown = len(came) - went - left
        scores.append((grown + (1 - _LOAD) * went) / np.sqrt(max(noise, 1.0)))
        shrinks.append(bool(grown < -_SURE * np.sqrt(max(noise, 1.0))))
    chance = len(_SPANS_S) * NormalDist().cdf(-float(max(scores)))
    return growth._replace(
        oldest=now - float(jobs.created[ahead].min()), p_value=min(chance, 1.0), shrinks=shrinks[0]
    )


def _filled(jobs: Moves) -> float:
    """Return since when the queue has not been empty."""
    order = np.argsort(jobs.created, kind="stable")
    begin, last = jobs.created[order], np.maximum.accumulate(jobs.moved[order])
    empty = np.flatnonzero(begin[1:] > last[:-1])
    return float(begin[empty[-1] + 1] if len(empty) else begin[0]) - 1.0


def _bursts(created: Floats, filled: float, since: float, now: float) -> float:
    """Return the variance over the mean of the arrivals since then; those before the queue filled show how others came."""
    found = [1.0]
    for begin, end in ((since, now), (float(created.min(initial=filled)), filled)):
        mine, span = created[(created > begin) & (created <= end)] - begin, max(end - begin, 60.0)
        bins = [int(span / width) for width in _TOGETHER_S]
        found += [clumps(mine, span, each) for each in bins if each >= _FEWEST_BINS]
    return max(found)


def _lengths_within(jobs: Moves) -> Ints:
    """Return how many waited after each start or end of waiting, in order, and how many do now."""
    now = float(jobs.seen[jobs.waiting].min(initial=0.0))
    there = jobs.in_queue & (jobs.created <= now)
    created, moved = np.sort(jobs.created[there]), np.sort(jobs.moved[there & (jobs.moved <= now)])
    after = np.searchsorted(created, moved, side="right") - np.arange(1, len(moved) + 1)
    return np.append(after, len(created) - len(moved))


def _growth_by_hour(moved: dict[str, tuple[Ints, Ints]], lengths: Ints, now: int) -> Growth:
    """Compare arrivals with starts of the clock hour under way and the one before."""
    counts = [moved[name] for name in CHANGES["waiting"]]
    came, went, left = (int(jobs[hour >= now - 1].sum()) for hour, jobs in counts)
    noise = max(came + _SCATTER * went + left, 1.0)
    grown = came - went - left
    waiting = int(lengths[-1]) if len(lengths) else 0
    chance = NormalDist().cdf(-float((grown + (1 - _LOAD) * went) / np.sqrt(noise))) if waiting else 1.0
    return Growth(waiting, np.nan, np.nan, np.nan, chance, shrinks=grown < -_SURE * np.sqrt(noise))


def _levels(moved: dict[str, tuple[Ints, Ints]], state: str, now: int) -> Ints:
    """Return how many jobs waited (or ran) at the end of each clock hour, the one under way last."""
    hours = np.concatenate([moved[move][0] for move in CHANGES[state]])
    if not len(hours):
        return hours
    first = int(hours.min())
    change = np.concatenate([sign * moved[move][1] for move, sign in CHANGES[state].items()])
    return np.cumsum(np.bincount(hours - first, change, now - first + 1)).astype(np.int64)


def _bursts_of(arrivals: tuple[Ints, Ints], hours: int, now: int) -> Ints:
    """Return by how many jobs more came in each hour than in those beside it, beyond chance: as many may have waited."""
    each = np.bincount(arrivals[0] - (now - hours + 1), arrivals[1], hours) if hours else np.empty(0)
    beside = np.maximum(np.append(0, each[:-1]), np.append(each[1:], 0))
    return np.maximum(each - beside - _CHANCE * np.sqrt(each), 0).astype(np.int64)


def _before_it_filled(lengths: Ints, waiting: int, peaks: Ints) -> tuple[int, int]:
    """Return when, before the last of them, a queue filled, and how long it was before that, with the peaks in between."""
    short = np.flatnonzero(lengths[:-1] <= waiting / 10)
    if not len(short):
        return 1 - len(lengths) if len(lengths) else 0, 0
    before = slice(int(short[-1]) + 1)
    return before.stop + 1 - len(lengths), int(np.maximum(lengths[before], peaks[before]).max())


def _utilisation(running: Ints) -> float:
    over = running[:-1]  # what the hour under way adds is not over yet
    busiest = over.max(initial=0)
    return float(over.sum() / len(over) / busiest) if busiest > 0 else float("nan")


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
    if counted.recent is not None:
        plan, rows = project(counted.recent), dict(by_queue(counted.recent))
    table: list[tuple[Any, ...]] = []
    states = queue_states(counted)
    groups = Groups.of(counted.tables["jobs"], ("queue_id",))
    lost = dict(
        zip(
            (key for (key,) in groups.plain_labels),
            unusable_of(groups, counted.tables["jobs"])[1],
            strict=True,
        )
    )
    for queue, one in states.items():
        state, stale, notes = one.state, 0, list(filter(None, [lost[queue]]))
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
    index = pd.Index(
        [queue if queue is not None else np.nan for queue in states], dtype=object, name="queue_id"
    )
    frame = pd.DataFrame(table, index=index, columns=list(columns)).astype(columns)
    frame["since"] = moments(frame["since"].to_numpy())
    frame.attrs["left_out"] = counted.left_out
    return read_first(frame)


# --- when each job starts ---


def eta(jobs: Any, *, level: float = 0.8) -> pd.DataFrame:
    """Return when each waiting job is expected to start and to end.

    Parameters
    ----------
    jobs : pandas.DataFrame, path or JobStore
        One row per job, of all jobs of the queues: a job's place is counted over the whole queue.
    level : float
        Chance that the intervals are to hold.

    Returns
    -------
    pandas.DataFrame
        One row per waiting job, the next to start of each queue first: ``job_id``, ``queue_id``; ``place`` in its queue (of jobs
        created in one second the first of theirs), 0 where it is in none; ``start_expected``, ``start_low``, ``start_high``;
        ``end_expected``, ``end_low``, ``end_high``: the start and a quantile of the run times of its tag; NaT where it cannot
        be known; ``note``: why.

    Raises
    ------
    TypeError, FrameError, FileError
        ``jobs`` is no source of single jobs, lacks a column, or cannot be read.
    SettingsError
        ``level`` does not lie between 0 and 1.

    Examples
    --------
    >>> import pandas as pd
    >>> import cosai_nb as cn
    >>> minutes = pd.date_range("2026-11-01T10:00:00+0800", periods=60, freq="1min").strftime("%Y-%m-%dT%H:%M:%S%z")
    >>> texts = pd.DataFrame({"JobId": [f"j{n}" for n in range(30)], "State": ["Success"] * 25 + ["Submitted"] * 5,
    ...     "QueueId": "q1", "Tag": "Translation", "CreationTime": minutes[:30],
    ...     "StartTime": [*minutes[10:35], *["-"] * 5], "EndTime": [*minutes[11:36], *["-"] * 5]})
    >>> waiting = cn.eta(cn.add_timings(texts, observed_at="2026-11-01T02:35:00Z"))
    >>> waiting.loc[:1, ["job_id", "place", "start_expected"]]
      job_id  place            start_expected
    0    j25      1 2026-11-01 02:36:01+00:00
    1    j26      2 2026-11-01 02:37:02+00:00
    """
    if not (isinstance(level, int | float | np.number) and 0 < level < 1):
        raise SettingsError(f"level={level!r} must be a chance between 0 and 1, such as 0.8.")
    counted = count_all(jobs, {"run_time": ("tag",)}, recent_ms=RECENT_MS, ids=True)
    if counted.recent is None:
        raise FrameError(
            "A histogram holds no single jobs, so that no place in a queue is known: pass the jobs frame."
        )
    recent = counted.recent
    plan = project(recent)
    wanted = np.flatnonzero((recent["kind"] == UNFINISHED).to_numpy() if len(recent) else [])
    z = NormalDist().inv_cdf(0.5 + level / 2)
    seen = milliseconds(recent["observed_at"])[wanted] if len(recent) else wanted
    first, last = plan.ties
    known = ~np.isnan(plan.work[wanted])
    ways = plan.wait_on(), plan.wait_on(-z, first), plan.wait_on(z, last)
    begins = [seen + 1000 * way[wanted] for way in ways]
    run = _run_times(counted, recent.iloc[wanted], ((1 - level) / 2, 0.5, (1 + level) / 2))
    low, middle, high = run.T
    ends = [start + 1000 * seconds for start, seconds in zip(begins, (middle, low, high), strict=True)]
    shown: dict[str, Any] = {
        "job_id": recent["job_id"].iloc[wanted].to_numpy(dtype=object, na_value=np.nan)
        if "job_id" in recent
        else np.nan,
        "queue_id": recent["queue_id"].astype(object).iloc[wanted].to_numpy() if len(recent) else np.nan,
        "place": first[wanted],
    }
    names = ("start_expected", "start_low", "start_high", "end_expected", "end_low", "end_high")
    for name, moment in zip(names, (*begins, *ends), strict=True):
        shown[name] = moments(np.where(known & np.isfinite(moment), np.nan_to_num(moment), MISSING))
    notes = np.array([*plan.notes, _OUT_OF_QUEUE, _STALE], dtype=object)
    elsewhere = np.select([plan.stale, plan.place > 0], [len(notes) - 1, len(notes)], len(notes) - 2)
    notes = np.append(notes, "")[np.where(plan.note >= 0, plan.note, elsewhere)[wanted]]
    overdue = (shown["start_expected"] < counted.as_of) & (notes == "")
    shown["note"] = pd.array(np.where(overdue, _OVERDUE, notes), dtype="str")
    frame = pd.DataFrame(shown, index=range(len(wanted)))
    return read_first(frame.sort_values(["queue_id", "place"], kind="stable", ignore_index=True))


def _run_times(counted: Counted, rows: pd.DataFrame, shares: tuple[float, ...]) -> Floats:
    """Return quantiles of the run times of each row's tag, NaN where no job of that tag has ended."""
    table = counted.table
    groups = Groups.of(table, ("tag",))
    kinds = class_codes(table)
    of_row = np.flatnonzero(kinds <= UNFINISHED)
    seconds, jobs = (table[name].to_numpy()[of_row] for name in ("seconds", "jobs"))
    curves, _ = Curves.of(groups.number, groups.of_row[of_row], seconds, kinds[of_row] == ENDED, jobs)
    found = quantiles(curves, shares)
    return np.vstack((found, np.full((1, len(shares)), np.nan)))[groups.place(rows)]


# --- how long the queue is now ---


def backlog(
    jobs: Any,
    *,
    by: str | Sequence[str] | None = None,
    recent: str | timedelta = "1h",
) -> pd.DataFrame:
    """Return how many jobs wait and run at the as-of time, and when the queue will be empty.

    Parameters
    ----------
    jobs : pandas.DataFrame, path, JobStore or DurationHistogram
        One row per job; or their histogram, which knows no recent rates.
    by : str or list of str, optional
        Columns to group by.
    recent : str or timedelta
        The time before the as-of time that rates are taken from; no longer than the jobs go back, and only since the
        arrivals last changed.

    Returns
    -------
    pandas.DataFrame
        One row per group (index as in :func:`cosai_nb.queue_latency`): ``waiting`` (in a queue: a frame tells paused jobs and
        stale records apart, which ``note`` counts), ``running``; ``arrival_rate`` and
        ``start_rate`` [jobs per second], NaN where not known: where jobs wait, that at which their queues start them while
        they are not empty; ``eta_s`` [seconds]: waiting ÷ (start rate − arrival rate), ``inf`` where that is not positive,
        which ``note`` calls not clearing; ``drain_s``: when the last of those that wait is projected to start, or waiting ÷
        start rate, if nothing more arrives; ``as_of``; ``note``.

    Raises
    ------
    TypeError, FrameError, FileError
        ``jobs`` is no source of jobs, lacks a column, or cannot be read.
    SettingsError
        ``recent`` is no width of time.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": ["Submitted", "Success"], "QueueId": "q1", "Tag": "Translation",
    ...     "CreationTime": "2026-11-01T10:00:00+0800", "StartTime": ["-", "2026-11-01T10:00:07+0800"], "EndTime": ["-", "2026-11-01T10:00:09+0800"]})
    >>> jobs = cn.add_timings(texts, observed_at="2026-11-01T03:00:00Z")
    >>> cn.backlog(jobs, by="queue_id")[["waiting", "running"]]
              waiting  running
    queue_id
    q1              1        0
    """
    names, span = group_columns(by), width_ms(recent, "recent")
    counted = count_all(jobs, dict.fromkeys(QUEUE_KEYS, names), recent_ms=max(span, RECENT_MS))
    table = counted.tables["jobs"]
    groups = Groups.of(table, names)
    now = NO_HOUR if pd.isna(counted.as_of) else int(counted.as_of.timestamp()) // 3600
    moved = {name: groups._replace(of_row=groups.place(one)) for name, one in counted.tables.items()}
    arrived, started, ended, left = (
        moved[name].sum(one["jobs"], _until(one, now)) for name, one in counted.tables.items()
    )
    rates = _recent_rates(counted, groups, span)
    arrival, start, last = rates.arrival, rates.start, rates.last
    waiting = np.maximum(arrived - started - left - rates.outside, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        drain = np.where(
            np.isnan(last), waiting / np.where(start > 0, start, np.where(start == 0, 0.0, np.nan)), last
        )
        eta = np.where(
            start > arrival, waiting / (start - arrival), np.where(np.isnan(start), np.nan, np.inf)
        )
    drain, eta = (np.where(waiting == 0, 0.0, one) for one in (drain, eta))
    outlook = (
        _outlook(number, rate, end, exact=counted.recent is not None)
        for number, rate, end in zip(waiting, start, eta, strict=True)
    )
    lost = unusable_of(groups, table)[1]
    notes = [
        "; ".join(filter(None, (*firsts, *more)))
        for *firsts, more in zip(outlook, lost, rates.notes, strict=True)
    ]
    frame = pd.DataFrame(
        {
            "waiting": waiting,
            "running": started - ended,
            "arrival_rate": arrival,
            "start_rate": start,
            "eta_s": eta,
            "drain_s": drain,
            "as_of": pd.DatetimeIndex([counted.as_of] * groups.number, dtype="datetime64[ms, UTC]"),
            "note": pd.array(notes, dtype="str"),
        }
    ).set_axis(groups.rows)
    frame.attrs["left_out"] = counted.left_out
    return read_first(frame)


def _until(table: pd.DataFrame, now: int) -> Flags:
    """Choose the rows of usable moves up to the hour of the as-of time; what is later was not true then."""
    hour = hours_of(table)
    later = hour + table["seconds"].to_numpy() if table["seconds"].any() else hour
    return np.asarray((class_codes(table) < UNUSABLE) & (hour != NO_HOUR) & (later <= now), dtype=bool)


class _Rates(NamedTuple):
    """Of each group: arrivals and starts per second, in how many seconds the last that waits starts, jobs that stand in no queue, remarks."""

    arrival: Floats
    start: Floats
    last: Floats
    outside: Ints
    notes: list[list[str]]


def _recent_rates(counted: Counted, groups: Groups, span: int) -> _Rates:
    arrival, start, last = np.full((3, groups.number), np.nan)
    outside = np.zeros(groups.number, dtype=np.int64)
    notes: list[list[str]] = [[] for _ in range(groups.number)]
    found = _Rates(arrival, start, last, outside, notes)
    if counted.recent is None or pd.isna(counted.as_of) or not len(counted.recent):
        return found
    jobs, plan = Moves.of(counted.recent), project(counted.recent)
    group = groups.place(counted.recent)
    outside += np.bincount(group[plan.outside], minlength=groups.number)
    hours = hours_of(counted.tables["jobs"])
    older = (hours != NO_HOUR) & (hours < (jobs.origin - span) // HOUR_MS)
    known = jobs.created[jobs.in_queue]
    since = -span / 1000 if older.any() or not len(known) else max(-span / 1000, float(known.min()))
    if since >= 0:
        return found
    observed = jobs.started(since, 0.0) / -since
    start[:] = np.bincount(group, np.where(np.isnan(plan.rate), observed, plan.rate), groups.number)
    arrived = jobs.in_queue & (jobs.created > since) & (jobs.created <= 0)
    until = jobs.seen + plan.ahead
    for one in range(groups.number):
        mine = np.flatnonzero(group == one)
        came = np.sort(jobs.created[mine[arrived[mine]]]) - since
        cut, zero, _ = steady_since(came, -since, 1.0)
        if zero >= -since:  # what comes in the newest second alone has no rate: that of the whole span holds
            cut, zero = 0, 0.0
        arrival[one] = (len(came) - cut) / (-since - zero)
        notes[one] = plan.notes_of(mine)
        mine = mine[plan.place[mine] > 0]
        if not len(mine):
            continue
        if plan.stuck[mine].all():
            start[one] = 0.0
        if plan.stuck[mine].any():
            last[one] = np.inf
        elif not np.isnan(plan.work[mine]).any():
            last[one] = max(until[mine].max(), 0.0)
            notes[one] += [_OVERDUE] if until[mine].max() < 0 else []
    return found


def _outlook(waiting: int, start: float, eta: float, *, exact: bool) -> str:
    if not exact:
        return "recent rates need single jobs: pass the jobs frame"
    if waiting and np.isnan(start):
        return "all jobs were created at the as-of time: there are no rates yet"
    return "not clearing" if np.isinf(eta) else ""
