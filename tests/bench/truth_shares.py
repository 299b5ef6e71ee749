"""Tables C5, C7 and D: shares of jobs that start in time or fail, of recent windows and in the long run."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from truth_table import FAIL, NO_TARGET, OK, Case, Line, ask, of_mean, of_share, warns, worst_of
from truth_weeks import LONG_RUN, weeks

import cosai_nb as cn
from tests.queues import DAY, HOUR, MEAN_RUN, History, Reading, simulate, together
from tests.simulate import arrivals

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    Rng = np.random.Generator

MINUTE = 60.0


# ---- C5: shares in time


def growing_share(
    load: float, minutes: float, window_min: float, seed: int, runs: int, **kinds: Any
) -> list[Line]:
    """The share of the very jobs of a window, in a queue that has grown for some minutes."""
    threshold, goal = kinds.pop("threshold_s", 300.0), 0.95
    rows = []
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        at = 4 * HOUR
        later = kinds.get("order", "fifo") != "fifo"
        slots = [
            (at - 60 * minutes, 0.65),
            (60 * minutes, load),
            *([(2 * HOUR, load), (14 * HOUR, 0.3)] if later else []),
        ]
        created = arrivals(rng, [(seconds, 20 / MEAN_RUN * here) for seconds, here in slots])
        levels = (rng.random(len(created)) < 0.6).astype(int)
        history = simulate(rng, created, 20, level=levels, **kinds)
        reading = history.read(at, keep=created > at - 60 * window_min)
        waits, left = reading.waits, (history.left - history.created)[reading.rows]
        owed = (left > threshold) | (waits <= left)  # who gave up within the threshold was owed nothing yet
        truth = float((waits[owed] <= np.minimum(threshold, left[owed])).mean())
        rows.append(
            _share_row(
                ask(cn.check_slo, reading.jobs, threshold_s=threshold, target=goal).loc["all"], truth, goal
            )
        )
    kind = ", who gives up" if "patience" in kinds else ", priority" if later else ""
    name = f"load {load} for {minutes:g} min, last {window_min:g} min, {threshold:g} s{kind}"
    return _share_lines(name, rows, bias=0.02)


def unread_late(seed: int, runs: int) -> list[Line]:
    """Of a queue that misses its SLO only the jobs in time were read."""
    rows = []
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        created = arrivals(rng, [(200 * 60, 0.65 / 3), (40 * 60, 1.4 / 3)])
        history = simulate(rng, created, 20)
        reading = history.read(4 * HOUR, unread=history.waits() > 300)
        truth = float((reading.waits <= 300).mean())
        rows.append(
            _share_row(ask(cn.check_slo, reading.jobs, threshold_s=300, target=0.95).loc["all"], truth, 0.95)
        )
    return _share_lines("all late jobs unread", rows, bias=None)


class ShareRow(NamedTuple):
    truth: float
    share: float
    bounds: bool
    wrong: bool
    verdict: str


def _share_row(row: pd.Series, truth: float, goal: float) -> ShareRow:
    verdict = str(row["verdict"])
    bounds = float(row["share_lower_bound"]) <= truth <= float(row["share_upper_bound"])
    return ShareRow(
        truth,
        float(row["share"]),
        bounds,
        (verdict == "met") != (truth >= goal) and verdict in {"met", "missed"},
        verdict,
    )


def _share_lines(name: str, rows: list[ShareRow], *, bias: float | None) -> list[Line]:
    off = np.array([row.share - row.truth for row in rows])
    known, wrong, broken = (
        np.isfinite(off),
        sum(row.wrong for row in rows),
        sum(not row.bounds for row in rows),
    )
    told = ", ".join(
        f"{verdict} {count}" for verdict, count in Counter(row.verdict for row in rows).most_common()
    )
    worst = off[known][np.argmax(np.abs(off[known]))] if known.any() else np.nan
    mean = float(off[known].mean()) if known.any() else np.nan
    found = f"share {100 * mean:+.1f} points ({100 * worst:+.1f}) given {known.mean():.0%}; {told}; wrong verdicts {wrong}, broken bounds {broken}"
    verdicts = [FAIL if wrong or broken else OK]
    if bias is not None and known.any():
        verdicts.append(of_mean(off, bias))
    target = "no wrong verdict, bounds hold" + (
        "" if bias is None else f", share within {100 * bias:.0f} points"
    )
    truth = f"{np.mean([row.truth for row in rows]):.3f}"
    return [Line("C5", f"check_slo: {name}", len(rows), truth, found, target, worst_of(verdicts))]


def long_run_share(load: float, daily: float, seed: int, runs: int) -> list[Line]:
    """The interval of a share whose long-run value is the target itself."""
    threshold, held, widths = LONG_RUN[load, daily][0], [], []
    for some, run in weeks(seed, runs, load, daily=daily):
        row = cn.check_slo(
            some.history(run, 0, 7 * DAY).read(7 * DAY).jobs,
            threshold_s=threshold,
            target=0.95,
            detail=True,
        ).loc["all"]
        if not np.isnan(row["low"]):
            held.append(row["low"] <= 0.95 <= row["high"])
            widths.append(row["high"] - row["low"])
    coverage = float(np.mean(held)) if held else np.nan
    found = f"coverage {coverage:.2f} given in {len(held) / runs:.0%}, half width {np.median(widths) / 2 if widths else np.nan:.3f}"
    verdict = of_share(coverage, len(held), least=0.90) if held else OK
    return [
        Line(
            "C5",
            f"interval of a share, 7 d, load {load}, daily {daily}",
            runs,
            "0.95",
            found,
            "≥ 0.90 where given",
            verdict,
        )
    ]


# ---- C7: intervals of failure rates

GAP_H = {0.25: 20.0, 1.0: 31.0, 4.0: 49.0, 12.0: 101.0}
USUAL, IN_INCIDENT = 0.02, 0.5


def incident_weeks(rng: Rng, length_h: float | None, days: int) -> History:
    """60 jobs an hour that run a minute; incidents of exponential length and distance, under way or not at the begin."""
    created = arrivals(rng, [(days * DAY, 60 / HOUR)])
    number = len(created)
    chance = np.full(number, 0.05)
    if length_h is not None:
        gap, edges, now = GAP_H[length_h], [0.0], 0.0
        inside = rng.random() < length_h / (length_h + gap)
        first = inside
        while now < days * 24:
            now += rng.exponential(length_h if inside else gap)
            edges.append(now)
            inside = not inside
        spell = np.searchsorted(np.array(edges) * HOUR, created, side="right") - 1
        chance = np.where((spell % 2 == 0) == first, IN_INCIDENT, USUAL)
    never = np.full(number, np.inf)
    return History(
        created, created, created + 60, never, rng.random(number) < chance, np.zeros(number, dtype=np.int64)
    )


def incidents(length_h: float | None, days: int, seed: int, runs: int) -> list[Line]:
    truth = (
        0.05 if length_h is None else USUAL + (IN_INCIDENT - USUAL) * length_h / (length_h + GAP_H[length_h])
    )
    held, widths, rates, warned = [], [], [], 0
    for run in range(runs):
        jobs = incident_weeks(np.random.default_rng([seed, run]), length_h, days).read(days * DAY).jobs
        row = ask(cn.failure_rates, jobs).loc["all"]
        rates.append(float(row["rate"]))
        warned += bool(row["note"])
        if not np.isnan(row["low"]):
            held.append(row["low"] <= truth <= row["high"])
            widths.append(row["high"] - row["low"])
    coverage = float(np.mean(held)) if held else np.nan
    found = f"coverage {coverage:.2f} given in {len(held) / runs:.0%}, median width {np.median(widths) if widths else np.nan:.3f} (sd of the rate {np.std(rates):.3f}); notes {warned / runs:.0%}"
    asked = days == 7
    verdict = NO_TARGET if not asked else of_share(coverage, len(held), least=0.88) if held else OK
    name, target = "independent failures", "≥ 0.88 where given"
    if length_h is not None:
        gap = GAP_H[length_h]
        none = (
            gap / (length_h + gap) * np.exp(-24 * days / gap)
        )  # of these weeks nobody can see that there are incidents
        name, target = f"incidents of {length_h:g} h", f"{target}, at most {1 - none:.2f} can be"
    return [
        Line(
            "C7",
            f"failure rate, {name}, {days} d",
            runs,
            f"{truth:.3f}",
            found,
            target if asked else "none",
            verdict,
        )
    ]


# ---- D: failure rates of recent windows

AT = 4 * HOUR
WINDOWS_MIN = (15, 60, 180)


def line(
    rng: Rng,
    *phases: tuple[float, float],
    servers: Any = 20,
    chance: float = 0.05,
    incident: float | None = None,
    after: tuple[tuple[float, float], ...] = (),
    **kinds: Any,
) -> History:
    """(Minutes, jobs a minute) up to the reading; an incident that began so many minutes before it goes on after it."""
    fails = [(-np.inf, chance), *([] if incident is None else [(AT - incident * MINUTE, 0.5)])]
    created = arrivals(rng, [(minutes * MINUTE, rate / 60) for minutes, rate in (*phases, *after)])
    return simulate(rng, created, servers, fails=fails, **kinds)


def mixed(rng: Rng) -> History:
    """Thirty minutes ago a second tag came, of which 30 % fail, slowly."""
    old = line(rng, (240, 6.8), servers=100, chance=0.02, tag="A")
    new = line(rng, (210, 0), (30, 4.5), servers=100, chance=0.3, fail_s=240, tag="B")
    return together(old, new)


GROWS = ((120, 12), (120, 30))


class Recent(NamedTuple):
    """``bias`` is asked of windows of ``bias_from`` minutes and more: in shorter ones too few that fail have ended.

    Where what is to come cannot be seen at all it is None, and a warning or an interval has to say so.
    """

    name: str
    make: Callable[[Rng], History]
    bias: float | None = 0.003
    bias_from: int = 60
    by_hour: bool = False


RECENT = (
    Recent(
        "queue overloaded by its own failures, which take 10 min",
        lambda rng: line(rng, (240, 15), fail_s=600),
        bias_from=180,
    ),
    Recent(
        "queue overloaded by its own failures, which take 25 min",
        lambda rng: line(rng, (240, 12), fail_s=1500),
        bias_from=180,
    ),
    Recent(
        "calm, failures at once (2 s), successes 300 s",
        lambda rng: line(rng, (240, 2.4), mean=300, fail_s=2),
    ),
    Recent("line grows (2 h), failures at once, successes 60 s", lambda rng: line(rng, *GROWS, fail_s=2)),
    Recent(
        "line grows (2 h), failures at once, successes 600 s, c=200",
        lambda rng: line(rng, *GROWS, servers=200, mean=600, fail_s=2),
    ),
    Recent(
        "line grows (2 h), failures take 10 min",
        lambda rng: line(rng, (120, 9), (120, 20.5), fail_s=600),
        by_hour=True,
    ),
    Recent(
        "line grows (2 h), random order, failures at once, successes 300 s, c=100",
        lambda rng: line(
            rng, *GROWS, servers=100, mean=300, fail_s=2, order="random", after=((120, 30), (600, 5))
        ),
    ),
    Recent(
        "nothing starts for 30 min, failures at once",
        lambda rng: line(rng, (240, 12), servers=[(0, 20), (AT - 1800, 0), (AT + 600, 20)], fail_s=2),
    ),
    Recent(
        "incident of the last 20 min: 2 % -> 50 %, failing at once, successes 300 s",
        lambda rng: line(rng, (240, 2.4), mean=300, chance=0.02, incident=20, fail_s=2),
    ),
    Recent(
        "incident of the last 20 min: 2 % -> 50 %, failing after 10 min",
        lambda rng: line(rng, (240, 12), servers=200, chance=0.02, incident=20, fail_s=600),
        bias=None,
    ),
    Recent(
        "line grows (2 h) and the incident of the last 20 min",
        lambda rng: line(rng, *GROWS, chance=0.02, incident=20, fail_s=2),
        bias=None,
    ),
    Recent("mix changes 30 min ago (new tag fails slowly, 30 %)", mixed, bias=0.01),
    Recent(
        "jobs fail in the line after 15 min of waiting, line grows",
        lambda rng: line(rng, *GROWS, fail_s=2, patience=900, exactly=True, left_as="Failed"),
        bias=None,
    ),
    Recent(
        "really calm (c=60), failures take 10 min",
        lambda rng: line(rng, (240, 15), servers=60, fail_s=600),
        by_hour=True,
    ),
    Recent(
        "really calm (c=60), failures take 25 min",
        lambda rng: line(rng, (240, 12), servers=60, fail_s=1500),
    ),
    Recent(
        "line grows 1.1 for 2 h, failures take 5 min",
        lambda rng: line(rng, (120, 12), (120, 18.4), fail_s=300),
        by_hour=True,
    ),
    Recent("load 0.9 steady, failures take 10 min", lambda rng: line(rng, (240, 12.5), fail_s=600)),
    Recent(
        "draining: 2 h at 1.5 then 1 h at .5, failures take 10 min",
        lambda rng: line(rng, (60, 9), (120, 20.7), (60, 6.9), fail_s=600),
        bias_from=180,
    ),
)


def fails_in_the_end(reading: Reading) -> float:
    """Failed ÷ (Success + Failed) of the jobs read, once all have ended."""
    history, rows = reading.history, reading.rows
    gave_up = (history.left < history.started)[rows]
    failed = np.where(gave_up, history.left_as == "Failed", history.failed[rows])
    counts = ~gave_up | (history.left_as == "Failed")
    return float(failed[counts].mean())


def recent(case: Recent, seed: int, runs: int) -> list[Line]:
    asked = [(minutes, "") for minutes in WINDOWS_MIN] + ([(60, ', freq="1h"')] if case.by_hour else [])
    rows: dict[tuple[int, str], list[tuple[float, ...]]] = {one: [] for one in asked}
    for run in range(runs):
        history = case.make(np.random.default_rng([seed, run]))
        for minutes, how in asked:
            reading = history.read(AT, keep=history.created >= AT - minutes * MINUTE)
            if how:
                row = ask(cn.failure_rates, history.read(AT - 1).jobs, freq="1h").iloc[-1]
            else:
                row = ask(cn.failure_rates, reading.jobs).loc["all"]
            told = (float(row[name]) for name in ("rate", "low", "high", "rate_ended"))
            rows[minutes, how].append((fails_in_the_end(reading), *told, warns(row)))
    return [_recent_line(case, minutes, how, found) for (minutes, how), found in rows.items()]


def _recent_line(case: Recent, minutes: int, how: str, found: list[tuple[float, ...]]) -> Line:
    truth, rate, low, high, naive, warned = np.array(found, dtype=float).T
    off, known, given = rate - truth, np.isfinite(rate), ~np.isnan(low)
    held = (low <= truth) & (truth <= high)
    silent = known & (np.abs(off) > 0.1 * truth) & (warned == 0) & ~held
    coverage = held[given].mean() if given.any() else np.nan
    told = (
        f"rate {_mean(rate):.3f} in {known.mean():.0%}, bias {_mean(off):+.4f}, worst {np.max(np.abs(off[known]), initial=0):.3f}; "
        f"interval holds {coverage:.2f} of {given.mean():.0%}; naive {_mean(naive):.3f}; warns {warned.mean():.0%}, silent {silent.mean():.0%}"
    )
    verdicts = [of_share(silent.mean(), len(truth), most=0.05)]
    target = "silent ≤ 5 %"
    if case.bias is not None and given.any():
        target += ", interval ≥ 0.88"
        verdicts.append(of_share(coverage, int(given.sum()), least=0.88))
    if case.bias is not None and minutes >= case.bias_from and known.any():
        target += f", bias ≤ {case.bias}"
        verdicts.append(of_mean(off, case.bias))
    name = f"{case.name}, last {minutes} min{how}"
    return Line("D", name, len(truth), f"{truth.mean():.3f}", told, target, worst_of(verdicts))


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values[np.isfinite(values)])) if np.isfinite(values).any() else np.nan


CASES = [
    *(
        Case(
            "C5",
            f"check_slo: load {load} for {minutes} min, last {window} min",
            partial(growing_share, load, minutes, window),
            15,
            40,
        )
        for load, minutes in ((1.4, 20), (2.5, 8), (1.4, 40))
        for window in (240, 60, 15)
    ),
    Case(
        "C5",
        "check_slo: who gives up",
        partial(growing_share, 1.6, 120, 240, patience=3600.0, threshold_s=900.0),
        15,
        40,
    ),
    Case(
        "C5",
        "check_slo: priority",
        partial(growing_share, 1.3, 120, 240, order="priority", threshold_s=1800.0),
        15,
        40,
    ),
    Case("C5", "check_slo: late jobs unread", unread_late, 5, 10),
    *(
        Case(
            "C5",
            f"interval of a share, load {load}, daily {daily}",
            partial(long_run_share, load, daily),
            10,
            60,
            load == 0.8,
        )
        for load, daily in ((0.8, 0.0), (0.9, 0.0), (0.95, 0.0), (0.8, 0.35))
    ),
    *(
        Case(
            "C7",
            f"failure rate, incidents of {length} h, {days} d",
            partial(incidents, length, days),
            60,
            200,
        )
        for length in (None, 0.25, 1.0, 4.0, 12.0)
        for days in (1, 3, 7)
    ),
    *(Case("D", one.name, partial(recent, one), 10, 40) for one in RECENT),
]
