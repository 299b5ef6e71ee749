"""Did it get slower? A quantile of the queue latency before and after, and the hours at which it changed.

Neighbouring jobs wait together, so a test that takes jobs for independent finds a difference in 80–100 % of the cases in
which nothing changed. Here blocks of hours are drawn, and jobs that have not started are right-censored in every draw.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cosai_nb.errors import SettingsError
from cosai_nb.stats.bootstrap import (
    BUSY,
    MIN_BLOCKS,
    SEED,
    block_counts,
    block_hours,
    quantile_draws,
    spread,
)
from cosai_nb.stats.censoring import UNUSABLE
from cosai_nb.stats.frames import group_columns
from cosai_nb.stats.histogram import as_histogram
from cosai_nb.stats.hourly import FEWEST_HOURS, change_finder, hourly_levels, levels_between
from cosai_nb.stats.latency import groups_of, jobs_of_kind
from cosai_nb.stats.quantiles import NUMBER, Group, make_table, name_of, quantile, read_shares, split_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from cosai_nb.stats.bootstrap import Blocks
    from cosai_nb.stats.curves import Floats
    from cosai_nb.stats.histogram import DurationHistogram

SLOWER, FASTER, SAME, TOO_LITTLE = "slower", "faster", "no difference shown", "too little data"
_MEASURE = "queue_latency"
_TIME = "datetime64[ms, UTC]"


def compare(
    before: pd.DataFrame | DurationHistogram,
    after: pd.DataFrame | DurationHistogram,
    q: float = 0.95,
    *,
    by: str | Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return how a quantile of the queue latency differs between two sets of jobs, and whether that can be chance.

    Parameters
    ----------
    before, after : pandas.DataFrame or DurationHistogram
        The jobs of two windows, best of the same weekdays and hours; a frame and a histogram may be mixed.
    q : float
        Quantile between 0 and 1; 0.95 gives the columns ``p95_before`` and ``p95_after``.
    by : str or list of str, optional
        Columns (keys of the histogram) to group by.

    Returns
    -------
    pandas.DataFrame
        One row per group of either side (index: its labels, ``all`` without ``by``), a missing label being a group.

        ===================== =====================================================================
        p95_before, p95_after Kaplan–Meier [seconds]; ``inf`` where not reached, NaN where there are no jobs
        difference            after − before [seconds]; NaN where neither side is reached
        low, high             its 95 % interval, block bootstrap; NaN below 14 blocks a side
        ratio                 after ÷ before
        verdict               ``slower``, ``faster``, ``no difference shown`` or ``too little data``
        jobs_…                number of jobs before, after
        waiting_…             of these not started and not given up
        unusable_…            jobs whose times are missing or reversed: in no quantile
        blocks_…              blocks with jobs
        block_hours           their length: 1, or 6 where the utilisation of a side is above 0.9
        note                  what to bear in mind
        p_value               two-sided, from the same draws: at most 0.05 where the interval excludes 0
        ===================== =====================================================================

        ``attrs["left_out"]`` counts for each side the rows that are no jobs.

    Raises
    ------
    TypeError, FrameError
        A side is no frame, or lacks a column.
    SettingsError
        ``q`` is not one quantile between 0 and 1.

    Notes
    -----
    A draw that does not reach its quantile lies between its lower bound (ages taken as final) and ``inf``, and widens the
    interval by that. Where a line grows Kaplan–Meier is too low; a difference that may stem from that alone is not shown.

    Examples
    --------
    >>> import pandas as pd
    >>> import cosai_nb as cn
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": "Success", "QueueId": "q1", "Tag": "Translation",
    ...     "CreationTime": "2026-11-01T10:00:00+0800",
    ...     "StartTime": ["2026-11-01T10:00:07+0800", "2026-11-01T10:00:14+0800"],
    ...     "EndTime": "2026-11-01T10:00:19+0800"})
    >>> jobs = cn.add_timings(texts)
    >>> cn.compare(jobs[:1], jobs[1:])[["p95_before", "p95_after", "difference", "ratio", "verdict"]]
         p95_before  p95_after  difference  ratio          verdict
    all         7.0       14.0         7.0    2.0  too little data
    """
    names, share = group_columns(by), _one_share(q)
    histograms = [as_histogram(jobs, names) for jobs in (before, after)]
    sides = [{group.labels: group for group in groups_of(one, names, _MEASURE, {})} for one in histograms]
    labels = sorted({*sides[0], *sides[1]}, key=lambda row: [(label is None, label) for label in row])
    nothing = histograms[0].where(start="1970-01-01", end="1970-01-01")
    nobody = Group((), nothing, waiting=0, growing=False, fifo=None, utilisation=math.nan)
    rows = [
        (row, _compare_groups(sides[0].get(row, nobody), sides[1].get(row, nobody), share)) for row in labels
    ]
    table = make_table(rows, _compare_columns(name_of(share)), names, {})
    table.attrs["left_out"] = {
        name: one.left_out for name, one in zip(("before", "after"), histograms, strict=True)
    }
    return table


def _one_share(q: float) -> float:
    if not isinstance(q, NUMBER):
        raise SettingsError(f"q={q!r} must be one quantile between 0 and 1, such as 0.95.")
    return read_shares(q)[0]


def _compare_columns(name: str) -> dict[str, str]:
    effect = (f"{name}_before", f"{name}_after", "difference", "low", "high", "ratio")
    counts = [
        f"{what}_{side}" for what in ("jobs", "waiting", "unusable", "blocks") for side in ("before", "after")
    ]
    return {
        **dict.fromkeys(effect, "float64"),
        "verdict": "str",
        **dict.fromkeys((*counts, "block_hours"), "int64"),
        "note": "str",
        "p_value": "float64",
    }


def _compare_groups(before: Group, after: Group, share: float) -> dict[str, Any]:
    hours = block_hours(float(np.fmax(before.utilisation, after.utilisation)))
    row: dict[str, Any] = {"block_hours": hours, "low": math.nan, "high": math.nan, "p_value": math.nan}
    grids, quantiles = [], []
    for side, group in (("before", before), ("after", after)):
        grids.append(block_counts(group.jobs, _MEASURE, hours=hours))
        quantiles.append(quantile(group.jobs.curve(_MEASURE), share))
        row[f"{name_of(share)}_{side}"] = quantiles[-1]
        row[f"jobs_{side}"], row[f"waiting_{side}"] = group.jobs.jobs, group.waiting
        row[f"unusable_{side}"] = jobs_of_kind(group.jobs, _MEASURE, UNUSABLE)
        row[f"blocks_{side}"] = len(grids[-1].starts)
    row["difference"], row["ratio"] = _change(*quantiles)
    if min(row["blocks_before"], row["blocks_after"]) >= MIN_BLOCKS:
        row |= _interval(grids[0], grids[1], share)
    verdict, notes = _judge(before, after, row)
    if verdict == TOO_LITTLE:
        notes.append(
            f"{row['blocks_before']} blocks of {hours} h before and {row['blocks_after']} after; "
            f"{MIN_BLOCKS} are needed on each side"
        )
    return row | {"verdict": verdict, "note": "; ".join(notes)}


def _change(before: float, after: float) -> tuple[float, float]:
    """Return difference and ratio; inf − inf and 0 ÷ 0 are NaN, which is what is known of them."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.subtract(after, before)), float(np.divide(after, before))


def _interval(before: Blocks, after: Blocks, share: float) -> dict[str, float]:
    """Return the interval of the difference and the p-value; the two sides are drawn independently."""
    first, second = _draw(before, share, SEED), _draw(after, share, SEED + 1)
    least, most = second[0] - first[1], second[1] - first[0]
    outside = min((least <= 0).sum(), (most >= 0).sum())
    p_value = min(1.0, 2 * (int(outside) + 1) / (len(least) + 1))
    return {"low": float(spread(least)[0]), "high": float(spread(most)[1]), "p_value": p_value}


def _draw(blocks: Blocks, share: float, seed: int) -> tuple[Floats, Floats]:
    """Return the least and the most that the quantile of each draw can be: the same where it is reached."""
    reached = quantile_draws(blocks, [share], seed=seed)[0]
    if np.isfinite(reached).all():
        return reached, reached
    ages_final = blocks._replace(
        ended=blocks.ended + blocks.unfinished, unfinished=np.zeros_like(blocks.unfinished)
    )
    lowest = quantile_draws(ages_final, [share], seed=seed)[0]
    return np.where(np.isfinite(reached), reached, lowest), reached


def _judge(before: Group, after: Group, row: dict[str, Any]) -> tuple[str, list[str]]:
    """Return the verdict, and what makes the numbers less sure: Kaplan–Meier is too low where a line grows in order."""
    low, high, notes, too_low = row["low"], row["high"], [], []
    for name, side in (("before", before), ("after", after)):
        too_low.append(side.growing and row[f"waiting_{name}"] > 0)
        if too_low[-1]:
            notes.append(f"{name}: a line grows, and its quantile may be too low")
        if side.utilisation > BUSY and not math.isnan(low):
            notes.append(
                f"{name}: utilisation {side.utilisation:.2f} is above {BUSY}: the interval is too narrow"
            )
    if math.isnan(low):
        return TOO_LITTLE, notes
    if (low > 0 and too_low[0]) or (high < 0 and too_low[1]):
        return SAME, [*notes, "the difference may come from that alone"]
    return (SLOWER if low > 0 else FASTER if high < 0 else SAME), notes


def change_points(
    jobs: pd.DataFrame | DurationHistogram, *, q: float = 0.95, by: str | Sequence[str] | None = None
) -> pd.DataFrame:
    """Return the hours of creation at which the level of a quantile of the queue latency changed.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job, or their histogram; 30 hours with jobs or more, else no change can be found.
    q : float
        Quantile between 0 and 1.
    by : str or list of str, optional
        Columns (keys of the histogram) to group by.

    Returns
    -------
    pandas.DataFrame
        One row per change, none where there is none (index: labels of the group, ``all`` without ``by``).

        ========================= =================================================================
        time                      the first hour with the new level
        p95_before, p95_after     quantile of all jobs since the change before, and until the next one [seconds]
        ratio                     after ÷ before
        jobs_before, jobs_after   number of these jobs
        ========================= =================================================================

        ``attrs["note"]`` names groups with too few hours; ``attrs["left_out"]`` counts the rows that are no jobs.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.
    SettingsError
        ``q`` is not one quantile between 0 and 1, or ruptures is not installed (the extra ``changes``).

    Notes
    -----
    ``ruptures.KernelCPD("rbf", min_size=12)`` with the penalty 3·log(n) on the logarithm of each hour's Kaplan–Meier
    quantile [1]_; a level lasts 12 hours at least. Hours without jobs are skipped: a change is a difference between hours that have jobs. What is below a
    second, the clock's step, counts as one. An hour whose quantile is not reached keeps the level of the last hour that
    reached it, or its own lower bound where that is higher: jobs that still wait can raise the level and never lower it. In 600 unchanged
    simulated weeks it found nothing; a p95 × 2.9 it found in all of 10 cases after a week, in 6 after two days, in none after one.

    References
    ----------
    .. [1] Arlot, Celisse and Harchaoui (2019), A kernel multiple change-point algorithm via model selection.

    Examples
    --------
    >>> import pandas as pd
    >>> import cosai_nb as cn
    >>> created = pd.Series(pd.date_range("2026-11-01", periods=48, freq="h", tz="UTC"))
    >>> started = created + pd.to_timedelta([10] * 24 + [90] * 24, unit="s")
    >>> times = {"CreationTime": created, "StartTime": started, "EndTime": started}
    >>> texts = pd.DataFrame({name: time.dt.strftime("%Y-%m-%dT%H:%M:%SZ") for name, time in times.items()})
    >>> jobs = cn.add_timings(texts.assign(JobId=created.index.astype(str), State="Success", Tag="t", QueueId="q1"))
    >>> cn.change_points(jobs)[["time", "p95_before", "p95_after", "ratio"]]
                             time  p95_before  p95_after  ratio
    all 2026-11-02 00:00:00+00:00        10.0       90.0    9.0
    """
    names, share = group_columns(by), _one_share(q)
    find = change_finder()
    whole = as_histogram(jobs, names)
    name, rows, notes = name_of(share), [], []
    for labels, part in split_groups(whole, names, (_MEASURE,)):
        hours, seconds = hourly_levels(part, share)
        if len(hours) < FEWEST_HOURS:
            told = ", ".join(str(label) for label in labels)
            notes.append(f"{told}: {len(hours)} hours with usable times, {FEWEST_HOURS} are needed")
        changes = [hours[place] for place in find(seconds)]
        levels = levels_between(part, changes, share)
        for time, (before, after) in zip(changes, itertools.pairwise(levels), strict=True):
            seconds_of = {f"{name}_before": before.seconds, f"{name}_after": after.seconds}
            ratio = _change(before.seconds, after.seconds)[1]
            jobs_of = {"jobs_before": before.jobs, "jobs_after": after.jobs}
            rows.append((labels, {"time": time, "ratio": ratio} | seconds_of | jobs_of))
    columns = {"time": _TIME, **dict.fromkeys((f"{name}_before", f"{name}_after", "ratio"), "float64")}
    table = make_table(rows, columns | {"jobs_before": "int64", "jobs_after": "int64"}, names, whole.left_out)
    table.attrs["note"] = "; ".join(notes)
    return table
