"""How long jobs wait and how long they run: quantiles that count the jobs that have not finished.

A quantile is given four times, as long as there are unfinished jobs: ``lower_bound`` takes their ages for final,
``estimate`` is Kaplan–Meier with them right-censored, ``projection`` lets each job of a queue that is served in order wait
for its turn (:mod:`cosai_nb.stats.projection`), and the headline is the projection where one was made and makes a difference.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cosai_nb.errors import SettingsError
from cosai_nb.stats.counts import (
    NO_HOUR,
    RECENT_MS,
    Counted,
    Groups,
    class_codes,
    count_all,
    hours_of,
    unusable_of,
)
from cosai_nb.stats.growth import QUEUE_KEYS, Queue, queue_states
from cosai_nb.stats.intervals import LEVEL, MIN_HOURS, Sample, Woodruff, quantile_errors
from cosai_nb.stats.measures import (
    ENDED,
    GAVE_UP,
    HOUR_MS,
    MISSING,
    UNFINISHED,
    group_columns,
    moments,
    windowed,
)
from cosai_nb.stats.projection import project
from cosai_nb.stats.short_table import read_first
from cosai_nb.stats.survival import quantiles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta, tzinfo

    from cosai_nb.stats.measures import Flags, Floats, Ints
    from cosai_nb.stats.projection import Projection
    from cosai_nb.stats.survival import Curves

QUANTILES = (0.5, 0.9, 0.95, 0.99)
_INTERVAL_OF = 0.95
NEEDS_JOBS = "estimate only"
"""The method where single jobs would be needed for a projection: ``note`` says so."""
NUMBER = (int, float, np.number)
_NEVER_S = 2**40  # longer than any age, though one wrong year be in the times
_TOO_LOW = "too low: a queue that is served in order is longer than its waits so far"
_GROWS_IN_COUNTS = (
    "a queue grows: if it is served in order, the estimate is too low; a projection needs the jobs frame"
)
_NEEDS_SINGLE = "fifo and projection need single jobs: pass the jobs frame"


def queue_latency(
    jobs: Any,
    by: str | Sequence[str] | None = None,
    q: float | Sequence[float] = QUANTILES,
    *,
    freq: str | timedelta | None = None,
    tz: str | tzinfo = "Asia/Shanghai",
    detail: bool = False,
) -> pd.DataFrame:
    """Return quantiles of the time from creation to start, waiting jobs counted.

    Parameters
    ----------
    jobs : pandas.DataFrame, path, JobStore or DurationHistogram
        One row per job: a frame, a Parquet file or a folder of them, a store. Or their histogram, which lacks the order of
        single jobs: ``fifo`` and the projection are missing then.
    by : str or list of str, optional
        Columns (keys of the histogram) to group by; ``hour`` is the hour of creation.
    q : float or sequence of float
        Quantiles between 0 and 1; 0.95 gives the columns ``p95…``.
    freq : str or timedelta, optional
        Split by creation time too, in windows of this width (``"1h"``, ``"1D"``, ``"1W"``): days begin at midnight of ``tz``,
        weeks on Monday. Windows without jobs have no row.
    tz : str or tzinfo
        The zone of the windows.
    detail : bool
        Return all columns, in the order of the table below.

    Returns
    -------
    pandas.DataFrame
        One row per group (index: its labels; ``all`` without ``by``; with ``freq`` the start of the window, ``time``, after
        them), a missing label being a group. Columns: ``jobs``, ``waiting``, the quantiles with the interval of ``p95`` (of the
        largest, where that is not asked for), ``method`` and ``note``; with ``detail`` for every quantile all of these:

        ================= ========================================================================
        jobs, waiting     number of jobs; of these not started and not given up
        unusable          jobs whose times are missing or reversed: in ``jobs``, in no quantile
        growing           a queue of the group grows, beyond chance: see :func:`cosai_nb.queue_alarms`
        fifo              its queues are served in order, as a whole or each job_level or tag; NA where unknown
        method            what the headline is: ``projection``, ``estimate``, or ``estimate only`` where a projection would
                          need the jobs frame
        p95               headline [seconds]; ``inf`` where not reached, NaN where there are no jobs
        p95_low, _high    95 % interval of the headline; NaN where jobs were created in less than 14 hours, but for
                          the error of a projection. More than 1 % unusable may lie on either side of it
        p95_lower_bound   ages taken as final waits, unusable ones as none: never above the truth
        p95_estimate      Kaplan–Meier
        p95_projection    with the projected waits; NaN where none of those that wait in a queue is projected
        utilisation       of the busiest queue: mean ÷ max observed number running on the hour
        blocks            hours in which jobs were created
        as_of, from, to   newest observed_at; first hour of creation, end of the last
        note              what to bear in mind
        ================= ========================================================================

        ``attrs["left_out"]`` counts the rows that are no jobs.

    Raises
    ------
    TypeError, FrameError, FileError
        ``jobs`` is no source of jobs, lacks a column, or cannot be read.
    SettingsError
        ``freq`` is no width, or finer than the histogram; ``tz`` is no zone; ``q`` is no quantile.

    Notes
    -----
    A quantile is the first whole second that at most ``1 − q`` of the jobs outlast (the service's clock ticks in seconds).
    The interval is Woodruff's (1952), with the variance that the hours of creation show, however long they remember: see
    :mod:`cosai_nb.stats.intervals`. That of a projection has the error of its start rates in it, too (root of the sum of
    squares).

    Examples
    --------
    >>> import pandas as pd
    >>> import cosai_nb as cn
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": ["Success", "Submitted"], "QueueId": "q1",
    ...     "Tag": "Translation", "CreationTime": "2026-11-01T10:00:00+0800",
    ...     "StartTime": ["2026-11-01T10:00:07+0800", "-"], "EndTime": ["2026-11-01T10:00:09+0800", "-"]})
    >>> jobs = cn.add_timings(texts, observed_at="2026-11-01T02:01:00Z")
    >>> cn.queue_latency(jobs)[["jobs", "waiting", "p50", "p95", "p99", "method"]]
         jobs  waiting  p50  p95  p99    method
    all     2        1  7.0  inf  inf  estimate
    >>> cn.queue_latency(jobs, q=0.95, detail=True)["p95_lower_bound"].item()
    60.0
    """
    names, windows = windowed(by, freq, tz)
    shares = read_shares(q)
    wanted = {"queue_latency": names, **QUEUE_KEYS, "jobs": (*names, "queue_id")}
    counted = count_all(jobs, wanted, windows=windows, recent_ms=RECENT_MS)
    found = latency_of(counted, queues_behind(counted), names, shares)
    return found if detail else _read_first(found, "waiting", shares)


def run_time(
    jobs: Any,
    by: str | Sequence[str] | None = None,
    q: float | Sequence[float] = QUANTILES,
    *,
    freq: str | timedelta | None = None,
    tz: str | tzinfo = "Asia/Shanghai",
    detail: bool = False,
) -> pd.DataFrame:
    """Return quantiles of the time from start to end, running jobs counted.

    Parameters
    ----------
    jobs, by, q, freq, tz, detail
        As in :func:`queue_latency`.

    Returns
    -------
    pandas.DataFrame
        As :func:`queue_latency`, over the jobs that started: ``jobs``, ``running``, the quantiles, ``method``, ``note``; with
        ``detail``: ``jobs, running, unusable, method``, the quantiles (``p95``, ``p95_low``, ``p95_high``,
        ``p95_lower_bound``, ``p95_estimate``), ``utilisation``, ``blocks``, ``as_of``, ``from``, ``to``, ``note``. A running
        job is right-censored at ``observed_at − start_time``; the headline is always the estimate.

    Raises
    ------
    TypeError, FrameError, FileError, SettingsError
        As :func:`queue_latency`.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": ["Success", "Running"], "QueueId": "q1", "Tag": "Translation",
    ...     "CreationTime": "2026-11-01T10:00:00+0800", "StartTime": "2026-11-01T10:00:07+0800", "EndTime": ["2026-11-01T10:00:09+0800", "-"]})
    >>> jobs = cn.add_timings(texts, observed_at="2026-11-01T03:00:00Z")
    >>> cn.run_time(jobs)[["jobs", "running", "p50"]]
         jobs  running  p50
    all     2        1  2.0
    """
    names, windows = windowed(by, freq, tz)
    shares = read_shares(q)
    wanted = {"run_time": names, **QUEUE_KEYS, "jobs": (*names, "queue_id")}
    counted = count_all(jobs, wanted, windows=windows)
    of_all = Groups.of(counted.tables["jobs"], names)  # a group whose jobs have not started has a row, too
    found = _Estimates.of(counted, "run_time", names, shares, groups=of_all)
    table: dict[str, Any] = {
        "jobs": found.jobs,
        "running": found.unfinished,
        "unusable": found.unusable,
        "method": pd.array(["estimate"] * len(found.jobs), dtype="str"),
    }
    states, notes = queue_states(counted), [list[str]() for _ in found.jobs]
    utilisation = [_about(states, {}, mine).utilisation for mine in queues_of(counted, found.groups)]
    frame = _table(table, found, counted, notes, utilisation)
    return frame if detail else _read_first(frame, "running", shares)


def _read_first(frame: pd.DataFrame, unfinished: str, shares: tuple[float, ...]) -> pd.DataFrame:
    """Return the columns that fit on a line: the quantiles, and the interval of one of them."""
    with_interval = name_of(_INTERVAL_OF if _INTERVAL_OF in shares else max(shares))
    columns = ["jobs", unfinished]
    for name in dict.fromkeys(map(name_of, shares)):
        columns += [name, f"{name}_low", f"{name}_high"] if name == with_interval else [name]
    return read_first(frame, [*columns, "method", "note"])


# --- arguments ---


def read_shares(q: float | Sequence[float]) -> tuple[float, ...]:
    """Return the quantiles asked for as a tuple; SettingsError unless all lie between 0 and 1."""
    shares = (q,) if isinstance(q, NUMBER) else tuple(q) if isinstance(q, Iterable) else ()
    if not shares or not all(isinstance(share, NUMBER) and 0 < share < 1 for share in shares):
        raise SettingsError(f"q={q!r} must be quantiles between 0 and 1, such as 0.95 or (0.5, 0.95).")
    return shares


def name_of(share: float) -> str:
    """Return the column of a quantile.

    Examples
    --------
    >>> name_of(0.95), name_of(0.999)
    ('p95', 'p99.9')
    """
    return f"p{100 * share:g}"


# --- the steps of an answer ---


def one_share(q: float) -> float:
    """Check one quantile; SettingsError where it is none."""
    if not isinstance(q, NUMBER):
        raise SettingsError(f"q={q!r} must be one quantile between 0 and 1, such as 0.95.")
    return read_shares(q)[0]


def sample_of(
    counted: Counted, measure: str, names: Sequence[str], groups: Groups | None = None, *, hours: bool = True
) -> tuple[Groups, Sample]:
    """Return the groups of a table of durations, and its rows with usable times arranged for estimates.

    Without ``hours`` there is no interval, and the arranging takes half the time.
    """
    table = counted.tables[measure]
    groups = Groups.of(table, names) if groups is None else groups._replace(of_row=groups.place(table))
    kinds = class_codes(table)
    usable = kinds <= GAVE_UP
    rows = slice(None) if usable.all() else np.flatnonzero(usable)
    seconds, jobs = (table[name].to_numpy()[rows] for name in ("seconds", "jobs"))
    of_row, hour = groups.of_row[rows], hours_of(table)[rows] if hours else np.full(len(jobs), NO_HOUR)
    return groups, Sample.of(groups.number, of_row, hour, seconds, kinds[rows] == ENDED, jobs)


def with_unusable(curves: Curves, shares: tuple[float, ...], unusable: Ints) -> tuple[Floats, Floats]:
    """Return each quantile if the jobs with unusable times were the shortest of all, and if they were the longest."""
    if not unusable.any():
        found = quantiles(curves, shares)
        return found, found
    more = (unusable / np.maximum(curves.sum(curves.ended + curves.unfinished), 1))[:, None]
    upper = np.array(shares) * (1 + more)
    lower = quantiles(curves, upper - more)
    return np.where((upper > more) | np.isnan(lower), lower, 0.0), quantiles(curves, upper)


class _Estimates(NamedTuple):
    """Of each group the numbers of jobs, and of each quantile by suffix the headline, interval, lower bound and estimate.

    ``lost`` says where so many times are unusable that it matters; ``errors`` are None where no interval was asked for.
    """

    groups: Groups
    sample: Sample
    shares: tuple[float, ...]
    jobs: Ints
    unfinished: Ints
    unusable: Ints
    lost: list[str]
    columns: dict[str, Floats]
    errors: Woodruff | None

    @classmethod
    def of(
        cls,
        counted: Counted,
        measure: str,
        names: Sequence[str],
        shares: tuple[float, ...],
        *,
        groups: Groups | None = None,
        intervals: bool = True,
    ) -> _Estimates:
        """Estimate the quantiles of a measure; without intervals in half the time."""
        table = counted.tables[measure]
        groups, sample = sample_of(counted, measure, names, groups, hours=intervals)
        jobs, (unusable, lost) = table["jobs"].to_numpy(), unusable_of(groups, table)
        numbers = groups.sum(jobs), groups.sum(jobs, class_codes(table) == UNFINISHED), unusable
        bound, _ = with_unusable(sample.curves.ages_final, shares, unusable)
        errors = quantile_errors(sample, shares) if intervals else None
        value = errors.value if errors else quantiles(sample.curves, shares)
        low, high = errors.ends(sample, np.array(shares)) if errors else np.full((2, *value.shape), np.nan)
        columns = {"": value, "_low": low, "_high": high, "_lower_bound": bound, "_estimate": value}
        return cls(groups, sample, shares, *numbers, lost, columns, errors)


def _table(
    table: dict[str, Any],
    found: _Estimates,
    counted: Counted,
    notes: list[list[str]],
    utilisation: list[float],
) -> pd.DataFrame:
    """Return the table of quantiles, with what a quantile must never be shown without."""
    sample, shares, columns = found.sample, found.shares, found.columns
    names = np.array([name_of(share) for share in shares])
    if any(found.lost):
        ends = with_unusable(sample.curves, shares, found.unusable)
        for suffix, furthest, end in zip(("_low", "_high"), (np.minimum, np.maximum), ends, strict=True):
            many = np.array(list(map(bool, found.lost)))[:, None]
            columns[suffix] = np.where(many, furthest(columns[suffix], end), columns[suffix])
    unfinished, beyond = "waiting" if "waiting" in table else "running", np.isinf(columns[""])
    gave_up = sample.curves.sum(sample.curves.unfinished).astype(np.int64) - found.unfinished
    for group in np.flatnonzero(beyond.any(axis=1)).tolist():
        without = {unfinished: found.unfinished[group], "gave up": gave_up[group]}
        why = " and ".join(f"{number:,} {what}" for what, number in without.items() if number)
        notes[group].append(f"{', '.join(names[beyond[group]])} more than observed: {why}")
    notes = [[*filter(None, [one]), *mine] for one, mine in zip(found.lost, notes, strict=True)]
    for number, share in enumerate(shares):
        table |= {f"{name_of(share)}{suffix}": column[:, number] for suffix, column in columns.items()}
    some = sample.busy > 0
    hours = np.append(sample.hour, 0)  # also for a group without any
    first, last = hours[sample.first[:-1]], hours[sample.first[1:] - 1]
    lacking: Any = np.isnan(columns["_low"]).all(axis=1)
    reasons = (
        found.errors.reasons(sample, names.tolist(), columns["_low"]) if found.errors else [""] * len(notes)
    )
    for busy, mine, without, reason in zip(sample.busy, notes, lacking, reasons, strict=True):
        if found.errors and busy < MIN_HOURS and not without:
            mine.append(
                f"no interval but for the error of the projection: {busy} blocks of 1 h, {MIN_HOURS} are needed"
            )
        elif reason:
            mine.append(reason)
    table |= {
        "utilisation": np.array(utilisation),
        "blocks": sample.busy,
        "as_of": pd.DatetimeIndex([counted.as_of] * len(notes), dtype="datetime64[ms, UTC]"),
        "from": moments(np.where(some, first * HOUR_MS, MISSING)),
        "to": moments(np.where(some, (last + 1) * HOUR_MS, MISSING)),
        "note": pd.array(["; ".join(mine) for mine in notes], dtype="str"),
    }
    frame = pd.DataFrame(table, index=found.groups.rows)
    frame.attrs["left_out"] = counted.left_out
    return frame


class _About(NamedTuple):
    """What is known of the queues that the jobs of a group wait in."""

    growing: bool
    fifo: bool | None
    utilisation: float


def queues_of(counted: Counted, groups: Groups) -> list[list[str | None]]:
    """Return the queues in which jobs of each group wait; where none waits, those that its jobs came through."""
    table = counted.tables["jobs"]
    of_row = groups.place(table)
    waits = class_codes(table) == UNFINISHED
    codes, labels = pd.factorize(table["queue_id"], use_na_sentinel=False)
    names = [None if pd.isna(label) else str(label) for label in labels]
    anybody = np.zeros(groups.number, dtype=bool)
    anybody[of_row[waits]] = True
    pairs = np.unique((of_row * max(len(names), 1) + codes)[waits | ~anybody[of_row]])
    found: list[list[str | None]] = [[] for _ in range(groups.number)]
    for pair in pairs.tolist():
        group, queue = divmod(pair, len(names))
        found[group].append(names[queue])
    return found


def _about(
    states: dict[str | None, Queue], fifo: dict[str | None, bool | None], queues: list[str | None]
) -> _About:
    orders = [
        order for order in map(fifo.get, queues) if order is not None
    ]  # jobs of other queues stay censored
    judged = [states[queue] for queue in queues if queue in states]
    busy = [state.utilisation for state in judged if not np.isnan(state.utilisation)]
    growing = any(state.growing for state in judged)
    return _About(growing, all(orders) if orders else None, max(busy, default=float("nan")))


class _Waits(NamedTuple):
    """The jobs that wait, and the sample that they are in."""

    recent: pd.DataFrame
    groups: Groups
    sample: Sample
    plan: Projection

    def projected(self, waits_on: Ints, chosen: Ints) -> Sample:
        """Return some groups with the waiting jobs of ordered queues at their projected waits, and stuck ones without end."""
        number = np.full(self.groups.number, -1)
        number[chosen] = np.arange(len(chosen))
        rows = np.flatnonzero((waits_on >= 0) | self.plan.stuck)
        single, sample, curves = self.recent.iloc[rows], self.sample, self.sample.curves
        group, hour = number[self.groups.place(single)], hours_of(single)
        age, stuck = single["seconds"].to_numpy(), self.plan.stuck[rows]
        ones = np.ones(len(rows), dtype=np.int64)
        of_row = number[curves.group][sample.point]
        kept = np.flatnonzero(of_row >= 0)
        # each leaves the place where it was censored, and ends at its projected wait
        return Sample.of(
            len(chosen),
            np.concatenate((of_row[kept], group, group)),
            np.concatenate((np.append(sample.hour, NO_HOUR)[sample.place[kept]], hour, hour)),
            np.concatenate(
                (curves.seconds[sample.point[kept]], age, np.where(stuck, _NEVER_S, age + waits_on[rows]))
            ),
            np.concatenate((sample.ended[kept], ones < 1, ~stuck)),
            np.concatenate((sample.jobs[kept], -ones, ones)),
        )


def _take_projection(
    waits: _Waits,
    shares: tuple[float, ...],
    known: Flags,
    affected: Flags,
    found: dict[str, Floats],
    *,
    intervals: bool,
) -> Flags:
    """Put the projection in the columns; return the groups in which one was made and makes a difference."""
    chosen = np.flatnonzero(affected)
    ahead = waits.projected(waits.plan.ahead, chosen)
    middle = quantiles(ahead.curves, shares)
    differs = (middle != found["_estimate"][chosen]).any(axis=1)
    found["_projection"][known] = middle[known[chosen]]
    if intervals:
        drawn_ends = quantile_errors(ahead, shares).ends(ahead, np.array(shares))
        z, ends = NormalDist().inv_cdf(0.5 + LEVEL / 2), []
        for sign, sampling in zip((-1, 1), drawn_ends, strict=True):
            later = quantiles(waits.projected(waits.plan.wait_on(sign * z), chosen).curves, shares)
            with np.errstate(invalid="ignore"):
                off, drawn = (np.where(one == middle, 0.0, one - middle) for one in (later, sampling))
                end = np.where(
                    np.isnan(sampling),
                    np.where(off == 0, np.nan, later),
                    middle + sign * np.hypot(off, drawn),
                )
            if sign < 0:  # without an end, it is at least what it was without the projection
                end = np.where(np.isinf(middle), found["_low"][chosen], end)
            ends.append(end)
        known_end = ~np.isnan(ends).all(axis=0)
        for suffix, furthest in (("_low", np.fmin), ("_high", np.fmax)):
            # longer waits of some jobs can make a quantile of all shorter, where the others stay censored
            end = np.where(known_end, furthest(middle, furthest(*ends)), np.nan)
            found[suffix][chosen[differs]] = end[differs]
        found["_low"] = np.maximum(found["_low"], 0)
    found[""] = found[""].copy()  # it is the estimate, too
    found[""][chosen[differs]] = middle[differs]
    projected = np.zeros(len(known), dtype=bool)
    projected[chosen[differs]] = known[chosen[differs]]
    return projected


def _notes(
    groups: Groups,
    place: Ints,
    plan: Projection,
    projected: Flags,
    found: dict[str, Floats],
    names: list[str],
) -> list[list[str]]:
    """Return what is known of the jobs that wait in each group."""
    notes: list[list[str]] = [[] for _ in range(groups.number)]
    low, high = (test(found["_estimate"], found["_projection"]) for test in (np.less, np.greater))
    rows = np.flatnonzero((plan.place > 0) | plan.outside | plan.cut)
    for group in np.unique(place[rows]).tolist():
        if projected[group] and low[group].any():  # of some jobs the order is unknown: then not all of it is
            which = f" of {', '.join(np.array(names)[low[group]])}" if high[group].any() else ""
            notes[group] = [f"the estimate{which} is {_TOO_LOW}"]
        notes[group] += plan.notes_of(rows[place[rows] == group])
    return notes


# --- the same of a part of the jobs ---


class Behind(NamedTuple):
    """The queues behind all jobs: the states of those that were judged, and what is known of each row of ``recent`` (None: of none)."""

    states: dict[str | None, Queue]
    plan: Projection | None

    def of_rows(self, rows: Any) -> Behind:
        """Return the same for some rows of ``recent``: the place in a queue stays that among all jobs."""
        return self if self.plan is None else self._replace(plan=self.plan.of_rows(rows))


def queues_behind(counted: Counted) -> Behind:
    """Judge the queues once, for all the parts of their jobs that :func:`latency_of` is asked about.

    Parameters
    ----------
    counted : Counted
        All jobs, with the tables of :data:`cosai_nb.stats.growth.QUEUE_KEYS`, or those that a summary has instead; without
        ``recent`` no order is known.
    """
    there = all(name in counted.tables for name in QUEUE_KEYS)
    states = queue_states(counted if there else count_all(counted, QUEUE_KEYS))
    return Behind(states, None if counted.recent is None else project(counted.recent))


def latency_of(
    counted: Counted,
    behind: Behind,
    names: Sequence[str],
    shares: tuple[float, ...],
    *,
    intervals: bool = True,
) -> pd.DataFrame:
    """Return :func:`queue_latency` of counted jobs, which may be a part of those in the queues behind them.

    Parameters
    ----------
    counted : Counted
        With ``queue_latency`` by ``names`` and ``jobs`` by these and ``queue_id``.
    behind : Behind
        From :func:`queues_behind`, for the rows of ``counted.recent``.
    names : sequence of str
        The keys to group by.
    shares : tuple of float
        From :func:`read_shares`.
    intervals : bool
        False leaves ``p95_low`` and ``p95_high`` NaN and counts no ``blocks``, in half the time.
    """
    found = _Estimates.of(counted, "queue_latency", names, shares, intervals=intervals)
    groups, columns, plan = found.groups, found.columns, behind.plan
    orders = {} if plan is None else plan.fifo
    about = [_about(behind.states, orders, mine) for mine in queues_of(counted, groups)]
    table: dict[str, Any] = {
        "jobs": found.jobs,
        "waiting": found.unfinished,
        "unusable": found.unusable,
        "growing": np.array([one.growing for one in about], dtype=bool),
        "fifo": pd.array([one.fifo for one in about], dtype="boolean"),
    }
    projected = np.zeros(groups.number, dtype=bool)
    if plan is None or counted.recent is None:
        columns["_projection"] = np.full_like(columns[""], np.nan)
        grows = table["growing"] & (found.unfinished > 0)
        notes = [[_GROWS_IN_COUNTS if one else _NEEDS_SINGLE] for one in grows]
        method = np.where(grows, NEEDS_JOBS, "estimate")
    else:
        place = groups.place(counted.recent) if len(counted.recent) else np.empty(0, dtype=np.int64)
        none_waits = np.bincount(place[plan.place > 0], minlength=groups.number) == 0
        columns["_projection"] = np.where(none_waits[:, None], columns["_estimate"], np.nan)
        known, stuck = (
            np.bincount(place[rows], minlength=groups.number) > 0 for rows in (plan.ahead >= 0, plan.stuck)
        )
        if (known | stuck).any():
            waits = _Waits(counted.recent, groups, found.sample, plan)
            projected = _take_projection(waits, shares, known, known | stuck, columns, intervals=intervals)
        notes = _notes(groups, place, plan, projected, columns, [name_of(share) for share in shares])
        method = np.where(projected, "projection", "estimate")
    table["method"] = pd.array(method.tolist(), dtype="str")
    return _table(table, found, counted, notes, [one.utilisation for one in about])


def count_latency(jobs: Any, by: str | Sequence[str] | None = None) -> Counted:
    """Count in one pass what every statistic of the queue latency by these keys needs; what is counted stays as it is."""
    if isinstance(jobs, Counted):
        return jobs
    names = group_columns(by)
    wanted = {"jobs": tuple(dict.fromkeys((*names, "queue_id", "outcome"))), "queue_latency": names}
    return count_all(jobs, {**QUEUE_KEYS, **wanted}, recent_ms=RECENT_MS)
