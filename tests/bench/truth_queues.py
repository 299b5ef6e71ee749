"""Tables A, B, F and the intervals of projections: one queue, read once, and what its very jobs come to."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from truth_table import (
    FAIL,
    SILENT,
    SMALL_S,
    Case,
    Line,
    ask,
    furthest,
    of_median,
    of_share,
    percent,
    warns,
    worst_of,
)

import cosai_nb as cn
from tests.queues import (
    DAY,
    HOUR,
    MEAN_RUN,
    History,
    Reading,
    batch,
    rates,
    read_during,
    simulate,
    together,
    with_retries,
)
from tests.simulate import EPOCH, arrivals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Rng = np.random.Generator

CALM = 0.65
MINUTE = 60.0
GO_ON = ((2 * 60, None), (14 * 60, 0.3))
"""Two more hours of the last load, then a time in which any queue empties: orders other than FIFO depend on it."""
SHARES = (0.95, 0.99)
BATCH_AT = 3 * HOUR
BEGIN_S = 1000.0
ETA_COLUMNS = ("job_id", "start_low", "start_high")
"""cn.eta(jobs): the ID, and the 80 % interval of the time at which the job starts; NaT where it cannot be known."""


@dataclass(frozen=True)
class Target:
    """What is asked of p95 and of p99.

    ``median`` error of the finite numbers; share of the runs that may have none (``unknown``), and that may have one
    (``finite``); share with a number more than 10 % off that neither a warning nor an interval qualifies (``silent``);
    coverage of the intervals given (``held``).
    """

    median: float = np.inf
    unknown: float = 1.0
    finite: float = 1.0
    silent: float = 0.05
    held: float = 0.0

    def __str__(self):
        if self.finite == 0:
            return "never finite"
        told = [f"median ≤ {100 * self.median:.0f} %"] if np.isfinite(self.median) else []
        told += [f"unknown ≤ {100 * self.unknown:.0f} %"] if self.unknown < 1 else []
        told += [f"interval ≥ {self.held}"] if self.held else []
        return ", ".join([*told, f"silent ≤ {100 * self.silent:.0f} %"])


@dataclass(frozen=True)
class Situation:
    table: str
    name: str
    make: Callable[[Rng], Reading]
    target: Target = field(default_factory=Target)
    groups: tuple[tuple[str | None, Any, Target], ...] = ()
    runs: int = 30


# ---- making


def phases(rng: Rng, steps: Iterable[tuple[float, float | None]], capacity: float) -> np.ndarray:
    """Creation times of (minutes, load) one after the other; a load of None is that before."""
    load, rows = 0.0, []
    for minutes, here in steps:
        load = load if here is None else here
        rows.append((minutes * MINUTE, load * capacity))
    return arrivals(rng, rows)


def surge(
    rng: Rng,
    steps: Iterable[tuple[float, float]],
    servers: Any = 20,
    nominal: int | None = None,
    after: Iterable[tuple[float, float | None]] = (),
    extra: Iterable[np.ndarray] = (),
    levels: float | None = None,
    tag: str = "Translation",
    queue: str = "q1",
    **kinds: Any,
) -> tuple[History, float]:
    """Simulate (minutes, load of ``nominal`` servers); it is read at the end of the steps, what comes after is in the truth."""
    at = sum(minutes for minutes, _ in steps) * MINUTE
    capacity = (nominal or servers) / MEAN_RUN
    created = np.sort(np.concatenate([phases(rng, (*steps, *after), capacity), *extra]))
    level = None if levels is None else (rng.random(len(created)) < levels).astype(int)
    return simulate(rng, created, servers, level=level, tag=tag, queue=queue, **kinds), at


def plain(rng: Rng, steps: Iterable[tuple[float, float]], **kinds: Any) -> Reading:
    history, at = surge(rng, steps, **kinds)
    return history.read(at)


def growing(rng: Rng, load: float = 1.4, hours: float = 3, minutes: float = 90, **kinds: Any) -> Reading:
    return plain(rng, ((60 * hours, CALM), (minutes, load)), **kinds)


def a_batch(rng: Rng, minutes: float, seconds: float = 60) -> Reading:
    return plain(rng, ((180, 0.5), (minutes, 0.5)), extra=[batch(3000, BATCH_AT, seconds)])


def an_outage(rng: Rng, lasts: float, minutes: float, servers: int = 20) -> Reading:
    """An outage after 4 h, read so many minutes after its begin."""
    begin = 4 * HOUR
    steps = [(0, servers), (begin, 0), (begin + lasts * MINUTE, servers)]
    return plain(rng, ((240, CALM), (minutes, CALM)), servers=steps, nominal=servers)


def daily(rng: Rng, hour: float, keep_hours: float | None = None) -> Reading:
    created = arrivals(rng, rates(0.85 * 20 / MEAN_RUN, 4, daily=0.88))
    history, at = simulate(rng, created, 20), 2 * DAY + hour * HOUR
    keep = None if keep_hours is None else history.created > at - keep_hours * HOUR
    return history.read(at, keep=keep)


def two_tags(rng: Rng) -> Reading:
    fast, at = surge(rng, ((180, CALM), (120, 0.75)), servers=10, tag="fast")
    slow, _ = surge(rng, ((180, CALM), (120, 1.6)), servers=10, tag="slow")
    return together(fast, slow).read(at)


def three_queues(rng: Rng) -> Reading:
    calm, at = surge(rng, ((180, 0.6), (120, 0.6)), queue="q-calm")
    fifo, _ = surge(rng, ((180, CALM), (120, 1.3)), queue="q-fifo")
    rand, _ = surge(rng, ((180, CALM), (120, 1.3)), after=GO_ON, order="random", queue="q-rand")
    return together(calm, fifo, rand).read(at)


def retries(rng: Rng) -> Reading:
    """Load 0.62, 30 % fail and are submitted again, up to four times: from 30 min after 3 h on at 1.57 in effect."""
    created = phases(rng, ((180, 0.45), (90, 1.11)), 20 / MEAN_RUN)
    return with_retries(rng, created, 20).read(270 * MINUTE)


def slow_reading(rng: Rng, first: str) -> Reading:
    history, at = surge(rng, ((300, CALM), (90, 1.4)), after=((20, 1.4),))
    return history.read(read_during(rng, history.created, at, 600, first))


def some(
    rng: Rng,
    *,
    share: float = 1.0,
    number: int | None = None,
    last_min: float | None = None,
    steps: Iterable[tuple[float, float]] = ((90, 1.4),),
    **kinds: Any,
) -> Reading:
    """Part of the jobs of a growing queue: a random share or number, or those created in the last minutes."""
    history, at = surge(rng, ((300, CALM), *steps), **kinds)
    keep = rng.random(len(history.created)) < share
    if number is not None:
        there = np.flatnonzero(np.floor(history.created) <= at)
        keep[:] = False
        keep[rng.choice(there, number, replace=False)] = True
    if last_min is not None:
        keep &= history.created > at - last_min * MINUTE
    return history.read(at, keep=keep)


def own_batch(rng: Rng, *, everything: bool = False) -> Reading:
    submitted = 380 * MINUTE
    history, at = surge(rng, ((390, 0.9),), extra=[mine := batch(400, submitted, 20)])
    keep = np.isin(history.created, mine) | (rng.random(len(history.created)) < (1.0 if everything else 0.03))
    return history.read(at, keep=keep)


def stale(rng: Rng, *, grows: bool, asked_again: bool = False) -> Reading:
    """Yesterday's reading in the middle of a backlog; what had not ended then was not asked for again."""
    old = 30 * HOUR
    today = ((60 * 22.5, CALM), (90, 1.4)) if grows else ((60 * 24, CALM),)
    history, at = surge(rng, ((60 * 28.5, CALM), (90, 1.4), *today))
    moments = np.where((history.created <= old) & (not asked_again), old, at)
    return history.read(moments)


def mixed(
    rng: Rng,
    batches: Iterable[tuple[float, int, str]],
    slow: float,
    run_s: dict[str, float],
    load: float = 0.5,
    kind: str = "exponential",
    share: float = 1.0,
) -> Reading:
    """Slow and fast jobs on the same servers: a share of all of them, and batches (minutes ago, number, tag) in 20 s each."""
    at, often = 6 * HOUR, {"slow": slow, "fast": 1 - slow}
    mean = sum(often[tag] * run_s[tag] for tag in often)
    created = [arrivals(rng, [(at, load * 20 / mean)])]
    tags = [rng.choice([*often], len(created[0]), p=[*often.values()])]
    for minutes, number, tag in batches:
        created.append(batch(number, at - minutes * MINUTE, 20))
        tags.append(np.full(number, tag))
    order = np.argsort(np.concatenate(created), kind="stable")
    tag = np.concatenate(tags)[order]
    lasts = np.where(tag == "slow", run_s["slow"], run_s["fast"])
    history = simulate(rng, np.concatenate(created)[order], 20, kind=kind, mean=lasts, tag=tag)
    keep = None if share == 1 else rng.random(len(tag)) < share
    return history.read(at, keep=keep)


def bulk_cancel(rng: Rng, minutes: float, seconds: float = 0, patience: float = np.inf) -> Reading:
    """Load 1.5 for 2 h; half of those that waited were cancelled so many minutes ago, within some seconds."""
    at = 5 * HOUR
    created = phases(rng, ((180, CALM), (120, 1.5)), 20 / MEAN_RUN)
    left = created + (rng.exponential(patience, len(created)) if np.isfinite(patience) else np.inf)
    when = at - minutes * MINUTE + seconds * rng.random(len(created))
    left = np.where((created < when) & (rng.random(len(created)) < 0.5), np.minimum(when, left), left)
    return simulate(rng, created, 20, patience=left - created).read(at)


def shared(rng: Rng, turns: tuple[float, ...], minutes: float = 90) -> Reading:
    """Several queues on one pool, first come first served over all of them."""
    history, at = surge(rng, ((180, CALM), (minutes, 1.4)))
    queue = rng.choice([f"q{number}" for number in range(len(turns))], len(history.created), p=turns)
    return replace(history, queue=queue).read(at)


def cron(rng: Rng, days: float, every: float, number: int, spread: float, load: float = 0.3) -> History:
    """So many jobs are submitted within some seconds, again and again, beside a steady load."""
    each = [begin + spread * rng.random(number) for begin in np.arange(BEGIN_S, days * DAY, every)]
    created = np.concatenate([*each, arrivals(rng, [(days * DAY, load * 20 / MEAN_RUN)])])
    return simulate(rng, np.sort(created), 20)


def on_a_tick(rng: Rng, days: float, every: float, load: float, spread: float = 3) -> History:
    """Workers take what waits at each tick, and are never short."""
    created = arrivals(rng, [(days * DAY, load * 20 / MEAN_RUN)])
    started = np.sort(np.ceil(created / every) * every + spread * rng.random(len(created)))
    nothing = np.zeros(len(created), dtype=np.int64)
    ended = started + rng.exponential(MEAN_RUN, len(created))
    return History(created, started, ended, np.full(len(created), np.inf), nothing > 0, nothing)


def read_at_random(rng: Rng, make: Callable[..., History], days: float = 3) -> Reading:
    return make(rng, days=days).read((days - rng.random()) * DAY)


# ---- judging


def judge_calm(name: str, make: Callable[..., History], every: float, seed: int, runs: int) -> list[Line]:
    """cn.queue_alarms at ten moments of the last two of seven days, each within half an hour of what comes again and again."""
    told: Counter[str] = Counter()
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        history = make(rng, days=7)
        for begin in rng.choice(np.arange(BEGIN_S, 7 * DAY, every)[-int(2 * DAY // every) :], 10):
            at = begin + 1800 * rng.random()
            told[ask(cn.queue_alarms, history.read(at).jobs)["state"].iloc[0]] += 1
    number = told.total()
    share = (told["growing"] + told["stopped"]) / number
    found = (
        f"alarm at {share:.3f} of {number} moments ({', '.join(f'{state} {n}' for state, n in told.items())})"
    )
    verdict = of_share(share, number, most=0.01)
    return [Line("alarm", name, runs, "no alarm", found, "≤ 0.01 of the moments", verdict)]


def judge(situation: Situation, seed: int, runs: int) -> list[Line]:
    asked = (
        ("all", None, None, situation.target),
        *((f"{by}={label}", by, label, target) for by, label, target in situation.groups),
    )
    found: dict[str, list[dict[str, Any]]] = {name: [] for name, *_ in asked}
    for run in range(runs):
        reading = situation.make(np.random.default_rng([seed, run]))
        tables = {
            by: ask(cn.queue_latency, reading.jobs, by=by, q=SHARES) for by in {by for _, by, *_ in asked}
        }
        for name, by, label, _ in asked:
            mine = np.ones(len(reading.rows), dtype=bool)
            if by is not None:
                mine = (reading.jobs[by] == label).to_numpy(dtype=bool, na_value=False)
            if mine.any():
                row = _row(tables[by], "all" if by is None else label)
                found[name].append(_compared(row, reading.waits[mine]))
    return [_line(situation, name, found[name], target) for name, _, _, target in asked if found[name]]


def _row(table: pd.DataFrame, label: Any) -> pd.Series:
    """The row of a group; whether a number is a label as number or as text is left to the package."""
    return next(row for name, row in table.iterrows() if str(name) == str(label))


def _compared(row: pd.Series, waits: np.ndarray) -> dict[str, Any]:
    """What the row says of each quantile, beside what the very jobs come to."""
    told: dict[str, Any] = {"warns": warns(row), "says": _says(row)}
    for share in SHARES:
        name = f"p{100 * share:g}"
        truth = float(np.quantile(waits, share, method="inverted_cdf"))
        value = float(row[name])
        off = value - truth
        low, high = float(row.get(f"{name}_low", np.nan)), float(row.get(f"{name}_high", np.nan))
        told[name] = {
            "truth": truth,
            "error": off / max(truth, 1.0) if abs(off) > SMALL_S else 0.0,
            "given": not np.isnan(low),
            "held": low <= truth <= high,
            "bound": float(row[f"{name}_lower_bound"]) <= truth,
        }
    return told


def _says(row: pd.Series) -> str:
    order = row.get("order", row.get("fifo"))
    return f"{row.get('method')}; order {order}"


def _line(situation: Situation, group: str, found: list[dict[str, Any]], target: Target) -> Line:
    runs, told, verdicts, silent = len(found), [], [], np.zeros(len(found), dtype=bool)
    for share in SHARES:
        name = f"p{100 * share:g}"
        each = [one[name] for one in found]
        errors = np.array([one["error"] for one in each])
        known = np.isfinite(errors)
        given = np.array([one["given"] for one in each])
        held = np.array([one["held"] for one in each])
        silent |= known & (np.abs(errors) > SILENT) & ~held & ~np.array([one["warns"] for one in found])
        middle = float(np.median(errors[known])) if known.any() else np.inf
        text = f"{name} {percent(middle)} ({percent(furthest(errors))})"
        text += f" known {known.mean():.0%}" if not known.all() else ""
        text += f" interval {held[given].mean():.2f} of {given.mean():.0%}" if given.any() else ""
        told.append(text)
        if target.held:
            verdicts.append(
                of_share(float(held[given].mean()) if given.any() else np.nan, given.sum(), least=target.held)
            )
        if target.finite == 0:
            verdicts.append(of_share(known.mean(), runs, most=0.0))
        elif np.isfinite(target.median):
            verdicts += [
                of_median(errors, target.median),
                of_share(1 - known.mean(), runs, most=target.unknown),
            ]
        if not all(one["bound"] for one in each):
            told.append(f"LOWER BOUND ABOVE THE TRUTH in {sum(not one['bound'] for one in each)}")
            verdicts.append(FAIL)
    verdicts.append(of_share(silent.mean(), runs, most=target.silent))
    told.append(f"silent {silent.mean():.0%}, warns {np.mean([one['warns'] for one in found]):.0%}")
    [(says, often)] = Counter(one["says"] for one in found).most_common(1)
    told.append(f"{says} ({often}/{runs})")
    truth = " / ".join(
        f"{np.median([one[f'p{100 * share:g}']['truth'] for one in found]):,.0f}" for share in SHARES
    )
    name = situation.name if group == "all" else f"{situation.name} [{group}]"
    return Line(situation.table, name, runs, truth, "; ".join(told), str(target), worst_of(verdicts))


def judge_backlog(
    name: str, make: Callable[[Rng], tuple[History, float]], seed: int, runs: int
) -> list[Line]:
    """cn.backlog: seconds until the queue is empty, with and without what arrives later."""
    rows = []
    for run in range(runs):
        history, at = make(np.random.default_rng([seed, run]))
        told = ask(cn.backlog, history.read(at).jobs).loc["all"]
        rows.append((history.drained_at(at) - at, told["drain_s"], history.empty_at(at) - at, told["eta_s"]))
    drained, drain, emptied, eta = np.array(rows, dtype=float).T
    waits, never = drained > 0, emptied > 6 * HOUR
    errors = (drain / np.maximum(drained, 1) - 1)[waits]
    agree = np.where(never, np.isinf(eta), np.abs(eta - emptied) < 0.25 * emptied)
    found = f"drain_s {percent(float(np.median(errors)))} ({percent(furthest(errors))}); eta_s {np.median(eta):,.0f}, right in {agree.mean():.0%}"
    truth = f"drained {np.median(drained):,.0f}, empty {'never' if never.mean() > 0.5 else f'{np.median(emptied):,.0f}'}"
    verdict = worst_of([of_median(errors, 0.10), of_share(np.isfinite(drain).mean(), runs, least=0.9)])
    return [Line("F", f"backlog: {name}", runs, truth, found, "drain_s median ≤ 10 %", verdict)]


def judge_eta(name: str, make: Callable[[Rng], Reading], seed: int, runs: int) -> list[Line]:
    """cn.eta: the share of waiting jobs whose start lies in the interval given for it."""
    held, given = [], []
    for run in range(runs):
        reading = make(np.random.default_rng([seed, run]))
        job, low, high = (ask(cn.eta, reading.jobs).reset_index()[column] for column in ETA_COLUMNS)
        row = pd.Series(reading.rows, index=reading.jobs["job_id"])[job].to_numpy()
        start = pd.to_datetime(np.floor(reading.history.started[row]) + EPOCH, unit="s", utc=True)
        known = low.notna().to_numpy() & high.notna().to_numpy()
        given.append(known.mean() if len(known) else np.nan)
        held.append(((low <= start) & (start <= high)).to_numpy()[known].mean() if known.any() else np.nan)
    share, told = float(np.nanmean(held)), float(np.nanmean(given))
    found = f"interval holds the start of {share:.2f} of the jobs (runs {np.nanmin(held):.2f} … {np.nanmax(held):.2f}), given for {told:.0%}"
    verdict = of_share(share, runs, least=0.75, most=0.90)
    pool = ("eta, 80 % intervals", round(float(np.nansum(held))), int(np.isfinite(held).sum()), 0.75)
    return [Line("eta", name, runs, "", found, "0.75 to 0.90", verdict, pool)]


# ---- the situations

KNOWN = Target(median=0.05, unknown=0.1)
OR_UNKNOWN = Target(median=0.10)
NEVER = Target(finite=0)
LEVELS = tuple(("job_level", level, OR_UNKNOWN) for level in (0, 1))

MIXES: dict[str, dict[str, Any]] = {
    "400 fast, then 400 slow, 15 min ago": {
        "batches": ((15, 400, "fast"), (14, 400, "slow")), "slow": 0.1, "run_s": {"fast": 60, "slow": 180},
    },
    "slow batch in a fast queue, 2 min ago": {
        "batches": ((2, 150, "slow"),), "slow": 0.05, "run_s": {"fast": 15, "slow": 300},
    },
    "slow batch in a fast queue, 20 min ago": {
        "batches": ((20, 300, "slow"),), "slow": 0.05, "run_s": {"fast": 15, "slow": 300},
    },
    "fast batch in a slow queue, 5 min ago": {
        "batches": ((5, 1500, "fast"),), "slow": 0.5, "run_s": {"fast": 15, "slow": 300},
    },
    "slow batch, then fast batch, 15 min ago": {
        "batches": ((15, 120, "slow"), (12, 1000, "fast")), "slow": 0.1, "run_s": {"fast": 20, "slow": 300},
    },
    "the same mix as ever, lognormal": {
        "batches": (), "slow": 0.3, "run_s": {"fast": 20, "slow": 120}, "load": 1.1, "kind": "lognormal",
    },
}  # fmt: skip
"""Slow and fast jobs in one queue: see :func:`mixed`."""
TICKS = ((120, 0.5), (300, 0.4), (600, 0.4))
CRONS = ((HOUR, 300, 60), (HOUR, 300, 300), (6 * HOUR, 1000, 120), (DAY, 1000, 120))

SITUATIONS = [
    *(
        Situation(
            "A",
            f"growing 90 min, FIFO, load {load}, c={servers}, {kind}",
            partial(growing, load=load, servers=servers, kind=kind),
            KNOWN if servers > 1 else Target(median=0.15, unknown=0.1),
            runs=12 if servers == 200 else 30,
        )
        for kind, loads, sizes in (
            ("lognormal", (1.1, 1.4, 2.5), (1, 5, 20, 200)),
            ("bimodal", (1.4,), (1, 20)),
            ("deterministic", (1.4,), (1, 20)),
        )
        for load in loads
        for servers in sizes
    ),
    *(
        Situation(
            "A",
            f"young backlog: {minutes} min after load {calm} -> 2.5, c=20",
            partial(plain, steps=((240, calm), (minutes, 2.5))),
            KNOWN,
        )
        for minutes, calm in ((10, 0.3), (25, 0.3), (20, 0.1))
    ),
    *(
        Situation(
            "A",
            f"batch of 3000 on a calm queue, {minutes} min later",
            partial(a_batch, minutes=minutes),
            KNOWN,
        )
        for minutes in (15, 100)
    ),
    Situation(
        "A",
        "batch of 3000 in one second on a calm queue, 100 min later",
        partial(a_batch, minutes=100, seconds=0),
        KNOWN,
    ),
    Situation(
        "A",
        "draining: 3 h at 1.5, then 70 min at 0.5",
        partial(plain, steps=((120, CALM), (180, 1.5), (70, 0.5))),
        KNOWN,
    ),
    *(
        Situation(
            "A",
            f"daily profile (mean 0.85, peak 1.6), day 3 at {hour} h",
            partial(daily, hour=hour),
            KNOWN,
            runs=12,
        )
        for hour in (8.5, 12, 18, 22, 2.5)
    ),
    Situation(
        "A", "outage (nothing starts), 55 min into it", partial(an_outage, lasts=60, minutes=55), NEVER
    ),
    Situation(
        "A",
        "outage, 75 min into it (nothing in the last hour)",
        partial(an_outage, lasts=90, minutes=75),
        NEVER,
    ),
    Situation("A", "outage of 1 h, 10 min after it", partial(an_outage, lasts=60, minutes=70), KNOWN),
    Situation("A", "outage of 1 h, 45 min after it", partial(an_outage, lasts=60, minutes=105), KNOWN),
    Situation("A", "paused 20 min, resumed 15 min ago", partial(an_outage, lasts=20, minutes=35), KNOWN),
    Situation(
        "A",
        "servers 20 -> 5 for 1 h -> 40, 12 min ago",
        partial(
            plain,
            steps=((240, 0.8), (72, 0.8)),
            servers=[(0, 20), (4 * HOUR, 5), (5 * HOUR, 40)],
            nominal=20,
        ),
        KNOWN,
    ),
    Situation(
        "A",
        "servers 20 -> 5, 15 min ago",
        partial(plain, steps=((240, CALM), (15, CALM)), servers=[(0, 20), (4 * HOUR, 5)], nominal=20),
        Target(median=0.20),
    ),
    Situation(
        "A",
        "servers 40 -> 10, 20 min ago, backlog",
        partial(
            plain, steps=((150, CALM), (90, 1.2), (20, 1.2)), servers=[(0, 40), (4 * HOUR, 10)], nominal=40
        ),
        Target(median=0.20),
    ),
    Situation(
        "A",
        "random order, load 1.3, 2 h",
        partial(plain, steps=((180, CALM), (120, 1.3)), order="random", after=GO_ON),
    ),
    Situation(
        "A",
        "random order, load 0.95, steady",
        partial(plain, steps=((600, 0.95),), order="random", after=GO_ON),
    ),
    Situation(
        "A",
        "LIFO, load 1.3, 2 h",
        partial(plain, steps=((180, CALM), (120, 1.3)), order="lifo", after=GO_ON),
        NEVER,
    ),
    Situation(
        "A",
        "LIFO, load 1.05, 2 h",
        partial(plain, steps=((180, CALM), (120, 1.05)), order="lifo", after=GO_ON),
    ),
    Situation(
        "A", "LIFO, load 0.95, steady", partial(plain, steps=((600, 0.95),), order="lifo", after=GO_ON)
    ),
    *(
        Situation(
            "A",
            f"priority, {100 * share:.0f} % high, load {load}, 2 h",
            partial(plain, steps=((180, CALM), (120, load)), order="priority", levels=share, after=GO_ON),
            OR_UNKNOWN,
            LEVELS,
        )
        for share, load in ((0.6, 1.3), (0.85, 1.15), (0.2, 1.4))
    ),
    Situation(
        "A",
        "two tags with servers of their own in one queue (0.75 / 1.6)",
        two_tags,
        OR_UNKNOWN,
        (("tag", "fast", OR_UNKNOWN), ("tag", "slow", OR_UNKNOWN)),
    ),
    Situation(
        "A",
        "three queues in one frame, ungrouped",
        three_queues,
        Target(),
        (("queue_id", "q-calm", KNOWN), ("queue_id", "q-fifo", KNOWN), ("queue_id", "q-rand", Target())),
    ),
    *(
        Situation(
            "A",
            f"cancelled while waiting (mean patience {minutes} min), load {load}",
            partial(plain, steps=((180, CALM), (150, load)), patience=minutes * MINUTE),
            KNOWN,
        )
        for minutes, load in ((540, 1.4), (144, 1.4), (54, 1.4), (30, 2.0))
    ),
    Situation("A", "retries: 30 % fail, resubmitted up to 4 times, load -> 1.57", retries, KNOWN, runs=15),
    Situation("B", "reference: growing 1.4, c=20, one moment", some, KNOWN),
    *(
        Situation(
            "B", f"growing 1.4: fetch takes 10 min, {first} first", partial(slow_reading, first=first), KNOWN
        )
        for first in ("random", "oldest", "newest")
    ),
    *(
        Situation(
            "B", f"growing 1.4: random {100 * share:.0f} % of the jobs", partial(some, share=share), KNOWN
        )
        for share in (0.1, 0.03)
    ),
    *(
        Situation("B", f"growing 1.4: {number} random jobs", partial(some, number=number))
        for number in (50, 20, 5)
    ),
    *(
        Situation(
            "B",
            f"growing 1.4: only jobs created in the last {minutes} min",
            partial(some, last_min=minutes),
            OR_UNKNOWN,
        )
        for minutes in (180, 60, 30, 15)
    ),
    Situation(
        "B", "own jobs only (3 % of the queue + a batch of 400, 10 min ago)", own_batch, Target(median=0.20)
    ),
    Situation("B", "the same, all jobs of the queue", partial(own_batch, everything=True), KNOWN),
    *(
        Situation(
            "B",
            f"store: unfinished of yesterday {'' if again else 'not '}asked again, {'grows' if grows else 'calm'} today",
            partial(stale, grows=grows, asked_again=again),
            Target(median=0.06, unknown=0.1),
            runs=15,
        )
        for grows in (False, True)
        for again in (False, True)
    ),
    *(
        Situation(
            "B",
            f"daily profile at 22 h (draining): jobs of the last {hours} h",
            partial(daily, hour=22, keep_hours=hours),
            OR_UNKNOWN,
            runs=12,
        )
        for hours in (6, 3)
    ),
    *(
        Situation(
            "B",
            f"{order} 1.3: random 10 % of the jobs",
            partial(some, share=0.1, steps=((120, 1.3),), order=order, after=GO_ON, levels=0.6),
            NEVER if order == "lifo" else Target(),
        )
        for order in ("lifo", "priority", "random")
    ),
    *(
        Situation("A", f"tags share servers: {name}", partial(mixed, **kinds), OR_UNKNOWN)
        for name, kinds in MIXES.items()
    ),
    Situation(
        "B",
        "tags share servers: 400 fast, then 400 slow, 15 min ago: random 20 % of the jobs",
        partial(mixed, **MIXES["400 fast, then 400 slow, 15 min ago"], share=0.2),
        OR_UNKNOWN,
    ),
    *(
        Situation(
            "A",
            f"bulk cancel of half of the queue within {seconds} s, {minutes} min ago",
            partial(bulk_cancel, minutes=minutes, seconds=seconds),
            KNOWN,
        )
        for minutes, seconds in ((5, 0), (30, 0), (20, 90))
    ),
    Situation(
        "A",
        "bulk cancel of half of the queue, 20 min ago, and cancelled while waiting (mean patience 54 min)",
        partial(bulk_cancel, minutes=20, patience=54 * MINUTE),
        OR_UNKNOWN,
    ),
    *(
        Situation(
            "A",
            f"workers on a tick of {every / 60:g} min, load {load}",
            partial(read_at_random, make=partial(on_a_tick, every=every, load=load)),
            OR_UNKNOWN,
        )
        for every, load in TICKS
    ),
    Situation(
        "A",
        "300 jobs within 60 s each hour",
        partial(read_at_random, make=partial(cron, every=HOUR, number=300, spread=60)),
        OR_UNKNOWN,
    ),
    Situation(
        "A",
        "three queues on one pool, load 1.4",
        partial(shared, turns=(0.7, 0.2, 0.1)),
        Target(),
        tuple(("queue_id", f"q{number}", OR_UNKNOWN) for number in range(3)),
    ),
    *(
        Situation(
            "C3",
            f"interval of a projection: {name}",
            partial(plain, steps=steps, servers=servers, kind=kind),
            Target(median=0.05, unknown=0.1, held=0.93),
            runs=60,
        )
        for name, steps, servers, kind in (
            ("24 h, then 1.4 for 2 h", ((1440, 0.7), (120, 1.4)), 20, "lognormal"),
            ("24 h, then 1.4 for 6 h", ((1440, 0.7), (360, 1.4)), 20, "lognormal"),
            ("24 h, then 2.0 for 2 h", ((1440, 0.7), (120, 2.0)), 20, "lognormal"),
            ("1.4, 90 min, c=5", ((180, CALM), (90, 1.4)), 5, "lognormal"),
            ("1.4, 90 min, bimodal", ((180, CALM), (90, 1.4)), 20, "bimodal"),
            ("1.4, 90 min, deterministic", ((180, CALM), (90, 1.4)), 20, "deterministic"),
            ("0.3 -> 2.5 for 25 min", ((240, 0.3), (25, 2.5)), 20, "lognormal"),
            ("1.4, 90 min, c=200", ((180, CALM), (90, 1.4)), 200, "lognormal"),
        )
    ),
]

BACKLOGS = {
    "growing 90 min, FIFO, load 1.4, c=20": partial(
        surge, steps=((180, CALM), (90, 1.4)), after=((720, None),)
    ),
    "outage of 1 h, 10 min after it": partial(
        surge,
        steps=((240, CALM), (70, CALM)),
        after=((720, None),),
        servers=[(0, 20), (4 * HOUR, 0), (5 * HOUR, 20)],
        nominal=20,
    ),
    "outage of 1 h, 45 min after it": partial(
        surge,
        steps=((240, CALM), (105, CALM)),
        after=((720, None),),
        servers=[(0, 20), (4 * HOUR, 0), (5 * HOUR, 20)],
        nominal=20,
    ),
    "draining: 3 h at 1.5, then 70 min at 0.5": partial(
        surge, steps=((120, CALM), (180, 1.5), (70, 0.5)), after=((720, None),)
    ),
    "batch of 3000 on a calm queue, 15 min later": partial(
        surge, steps=((180, 0.5), (15, 0.5)), after=((720, None),), extra=[batch(3000, BATCH_AT, 60)]
    ),
    "batch of 3000 on a calm queue, 100 min later": partial(
        surge, steps=((180, 0.5), (100, 0.5)), after=((720, None),), extra=[batch(3000, BATCH_AT, 60)]
    ),
    "servers 20 -> 5 for 1 h -> 40, 12 min ago": partial(
        surge,
        steps=((240, 0.8), (72, 0.8)),
        after=((720, None),),
        servers=[(0, 20), (4 * HOUR, 5), (5 * HOUR, 40)],
        nominal=20,
    ),
}
IN_ORDER = re.compile(
    r"tags share|bulk cancel|growing 90 min, FIFO, load (?:1.4|2.5), c=(?:5|20),|young|batch|draining|outage of 1 h|two tags|patience 54|takes 10 min, random|10 % of the jobs$"
)
OUT_OF_ORDER = re.compile(r"^(?:lifo|priority|random)|deterministic|in one second|last 3 h|^own jobs")
"""Or where no start of these jobs is known, or where an interval of whole seconds cannot hold 80 %."""

CASES = [
    *(
        Case(
            one.table,
            one.name,
            partial(judge, one),
            6 if "daily" in one.name or one.table == "C3" else 8,
            one.runs,
        )
        for one in SITUATIONS
    ),
    *(
        Case("F", f"backlog: {name}", partial(judge_backlog, name, make), 8, 20)
        for name, make in BACKLOGS.items()
    ),
    *(
        Case(
            "alarm",
            f"{number} jobs within {spread} s each {every / HOUR:g} h",
            partial(
                judge_calm,
                f"{number} jobs within {spread} s each {every / HOUR:g} h",
                partial(cron, every=every, number=number, spread=spread),
                every,
            ),
            4,
            20,
        )
        for every, number, spread in CRONS
    ),
    *(
        Case(
            "alarm",
            f"workers on a tick of {every / 60:g} min, load {load}",
            partial(
                judge_calm,
                f"workers on a tick of {every / 60:g} min, load {load}",
                partial(on_a_tick, every=every, load=load),
                every,
            ),
            4,
            20,
        )
        for every, load in TICKS
    ),
    *(
        Case("eta", one.name, partial(judge_eta, one.name, one.make), 8, 30)
        for one in SITUATIONS
        if hasattr(cn, "eta") and IN_ORDER.search(one.name) and not OUT_OF_ORDER.search(one.name)
    ),
]
