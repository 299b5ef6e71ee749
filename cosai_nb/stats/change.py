"""Did it change? The size of the difference first, with an interval that neighbouring jobs do not make too narrow.

Jobs that wait together are no independent witnesses: where nothing had changed, Mann–Whitney, Kolmogorov–Smirnov and log-rank
tests cried wolf in 80 to 100 of 100 runs at 5 %. Here whole hours are drawn, so a difference counts only if it is larger than
hours differ by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cosai_nb.errors import FrameError, SettingsError
from cosai_nb.stats.bootstrap import (
    BUSY,
    MIN_BLOCKS,
    SEED,
    Blocks,
    block_counts,
    block_hours,
    quantile_draws,
    spread,
)
from cosai_nb.stats.curves import first_reaching, kaplan_meier
from cosai_nb.stats.frames import group_columns
from cosai_nb.stats.histogram import as_histogram
from cosai_nb.stats.histogram_table import hour_times
from cosai_nb.stats.lines import read_lines
from cosai_nb.stats.quantiles import make_table, name_of, quantile, read_shares, split_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cosai_nb.stats.curves import Floats
    from cosai_nb.stats.histogram import DurationHistogram

MEASURES = ("queue_latency", "run_time", "total_time")
FEWEST_HOURS = 12
"""Hours between two change points, at least."""
_NUMBERS = (
    "jobs_before",
    "jobs_after",
    "unfinished_before",
    "unfinished_after",
    "blocks_before",
    "blocks_after",
)
_SECONDS = ("before_s", "after_s", "difference_s", "low_s", "high_s", "ratio", "p_value")
_POINTS = ("time", "before_s", "after_s", "ratio", "hours_before", "hours_after")


def compare(
    before: pd.DataFrame | DurationHistogram,
    after: pd.DataFrame | DurationHistogram,
    q: float = 0.95,
    *,
    measure: str = "queue_latency",
    by: str | Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return how far a quantile moved between two sets of jobs, and whether that is more than chance.

    Compare like with like: whole days, and the same weekdays on both sides.

    Parameters
    ----------
    before, after : pandas.DataFrame or DurationHistogram
        One row per job, or their histogram, created in different times.
    q : float
        The quantile, between 0 and 1.
    measure : {"queue_latency", "run_time", "total_time"}
        The duration to compare.
    by : str or list of str, optional
        Columns (keys of the histogram) to group by; a group that only one side has is a row too.

    Returns
    -------
    pandas.DataFrame
        One row per group (index: its labels, ``all`` without ``by``).

        =================== ======================================================================
        verdict             in words; ``too little data`` below 14 blocks a side
        before_s, after_s   the quantile of each side (Kaplan–Meier) [seconds]; ``inf`` where not reached
        difference_s        after − before
        low_s, high_s       its 95 % interval, bootstrap of blocks; NaN where there is too little data
        ratio               after ÷ before
        p_value             two-sided, from the same draws
        jobs_…, unfinished_… number of jobs of each side, and of these censored
        blocks_…            blocks with jobs of each side
        block_hours         their length: 6 where utilisation is above 0.9 on either side, otherwise 1
        note                what to bear in mind
        =================== ======================================================================

    Raises
    ------
    TypeError, FrameError
        A side is no frame, or lacks a column.
    SettingsError
        No such measure.
    ValueError
        ``q`` is not between 0 and 1.
    """
    names, (share,) = group_columns(by), read_shares(float(q))
    if measure not in MEASURES:
        raise SettingsError(f"measure={measure!r} is none of {', '.join(MEASURES)}.")
    wholes = [as_histogram(side, names) for side in (before, after)]
    parts = [dict(split_groups(whole, names, tuple({"queue_latency", measure}))) for whole in wholes]
    busy = [{queue: line.utilisation for queue, line in read_lines(whole).items()} for whole in wholes]
    rows = []
    for labels in dict.fromkeys((*parts[0], *parts[1])):
        sides = [part.get(labels, whole.where(outcome=[])) for part, whole in zip(parts, wholes, strict=True)]
        load = max(_busiest(side, lines) for side, lines in zip(sides, busy, strict=True))
        rows.append((labels, _compared(sides, measure, share, load)))
    columns = {"verdict": "str", **dict.fromkeys(_SECONDS, "float64"), **dict.fromkeys(_NUMBERS, "int64")}
    return make_table(rows, {**columns, "block_hours": "int64", "note": "str"}, names, {})


def _busiest(side: DurationHistogram, lines: dict[str | None, float]) -> float:
    labels, codes = side.coded("queue_id")
    known = [lines.get(None if code < 0 else str(labels[code]), np.nan) for code in np.unique(codes)]
    return max((load for load in known if not np.isnan(load)), default=0.0)


def _compared(sides: list[DurationHistogram], measure: str, share: float, load: float) -> dict[str, Any]:
    hours = block_hours(load)
    curves = [side.curve(measure) for side in sides]
    old, new = (quantile(curve, share) for curve in curves)
    grids = [block_counts(side, measure, hours=hours) for side in sides]
    blocks = [len(grid.starts) for grid in grids]
    row: dict[str, Any] = {
        "before_s": old,
        "after_s": new,
        "difference_s": _minus(new, old),
        "ratio": _over(new, old),
    }
    row |= {"low_s": np.nan, "high_s": np.nan, "p_value": np.nan, "block_hours": hours}
    for name, curve, side, number in zip(("before", "after"), curves, sides, blocks, strict=True):
        row[f"jobs_{name}"], row[f"blocks_{name}"] = side.jobs, number
        row[f"unfinished_{name}"] = int(curve.unfinished.sum())
    if min(blocks) < MIN_BLOCKS:
        verdict = f"too little data: {blocks[0]} and {blocks[1]} blocks of {hours} h, {MIN_BLOCKS} a side are needed"
    elif not np.isfinite(row["difference_s"]):
        side_name = "before" if not np.isfinite(old) else "after"
        verdict = f"not known: {name_of(share)} is not reached {side_name}, too many jobs have not finished"
    else:
        row["low_s"], row["high_s"], row["p_value"] = _interval(grids, share)
        verdict = _verdict(name_of(share), row)
    return row | {"verdict": verdict, "note": "; ".join(_notes(sides, row, load))}


def _minus(new: float, old: float) -> float:
    return float("nan") if np.isinf(new) and np.isinf(old) else new - old


def _over(new: float, old: float) -> float:
    return new / old if old > 0 and np.isfinite(old) else float("nan")


def _interval(grids: list[Blocks], share: float) -> tuple[float, float, float]:
    """Interval and p-value of the difference; a draw that does not reach the quantile is beyond every number."""
    old, new = (quantile_draws(grid, (share,), seed=SEED + number)[0] for number, grid in enumerate(grids))
    with np.errstate(invalid="ignore"):
        drawn: Floats = new - old
    if np.isnan(drawn).any():
        return float("nan"), float("nan"), float("nan")
    low, high = spread(drawn)
    beyond = min((drawn <= 0).sum(), (drawn >= 0).sum())
    return float(low), float(high), float(min(2 * (beyond + 1) / (len(drawn) + 1), 1.0))


def _verdict(name: str, row: dict[str, Any]) -> str:
    low, high = row["low_s"], row["high_s"]
    if np.isnan(low):
        return f"not known: {name} is not reached in many draws, too many jobs have not finished"
    span = f"{low:+.0f} to {high:+.0f} s"
    if low <= 0 <= high:
        return f"no change shown: {name} moved by {row['difference_s']:+.0f} s ({span})"
    word = "slower" if low > 0 else "faster"
    return f"{word}: {name} moved by {row['difference_s']:+.0f} s ({span}), from {row['before_s']:.0f} to {row['after_s']:.0f} s"


def _notes(sides: list[DurationHistogram], row: dict[str, Any], load: float) -> list[str]:
    notes = []
    if load > BUSY:
        notes.append(f"utilisation {load:.2f} is above {BUSY}: the interval is too narrow")
    days = [
        set(((side.coded("hour").labels // 24 + 3) % 7).tolist()) for side in sides
    ]  # 1970 began on a Thursday
    if all(days) and days[0] != days[1]:
        notes.append("other weekdays before than after")
    if row["unfinished_before"] or row["unfinished_after"]:
        notes.append(
            "unfinished jobs are censored: where a line served in order grows, the quantile is too low"
        )
    return notes


def change_points(
    jobs: pd.DataFrame | DurationHistogram, *, q: float = 0.95, measure: str = "queue_latency"
) -> pd.DataFrame:
    """Return when a quantile moved to another level and stayed there.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job, or their histogram.
    q : float
        The quantile, between 0 and 1.
    measure : {"queue_latency", "run_time", "total_time"}
        The duration to look at.

    Returns
    -------
    pandas.DataFrame
        One row per change (index: 0, 1, …), none where the level stayed: ``time`` (the first hour of the new level),
        ``before_s``, ``after_s`` (median of the hourly quantiles of the two levels [seconds]), ``ratio``, ``hours_before``,
        ``hours_after`` (length of the levels in hours with jobs). ``attrs["hours"]`` and ``attrs["left_out_hours"]``: hours
        looked at, and hours whose quantile is not reached yet.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, lacks a column, or spans fewer than 24 hours with jobs.
    SettingsError
        No such measure, or ruptures is not installed.

    Notes
    -----
    Kernel change-point detection (ruptures' ``KernelCPD("rbf", min_size=12)``) on the logarithm of the hourly quantile, with
    the penalty 3·log(hours). A change of less than 12 hours is not seen. The logarithm treats less than 1 s as 1 s.
    """
    try:
        import ruptures  # noqa: PLC0415  # an extra, and slow to import
    except ImportError as error:
        raise SettingsError(
            "change_points needs the package ruptures, which is not installed: pip install 'cosai_nb[changes]'."
        ) from error
    (share,) = read_shares(float(q))
    if measure not in MEASURES:
        raise SettingsError(f"measure={measure!r} is none of {', '.join(MEASURES)}.")
    blocks = block_counts(as_histogram(jobs), measure)
    hourly = first_reaching(blocks.seconds, kaplan_meier(blocks.ended, blocks.unfinished), share)
    reached = np.isfinite(hourly)
    level, times = np.log(np.maximum(hourly[reached], 1)), hour_times(blocks.starts[reached])
    if len(level) < 2 * FEWEST_HOURS:
        raise FrameError(
            f"Change points need at least {2 * FEWEST_HOURS} hours whose {name_of(share)} is known; these jobs have "
            f"{len(level)}, and {int((~reached).sum())} hours in which too many jobs have not finished."
        )
    found: list[int] = []
    if np.ptp(level) > 0:
        search = ruptures.KernelCPD(kernel="rbf", min_size=FEWEST_HOURS).fit(level[:, None])
        found = search.predict(pen=3 * np.log(len(level)))[:-1]
    table = _levels(level, times, found)
    table.attrs = {"hours": len(level), "left_out_hours": int((~reached).sum())}
    return table


def _levels(level: Floats, times: pd.DatetimeIndex, found: list[int]) -> pd.DataFrame:
    pieces = np.split(level, found)
    medians = np.exp([float(np.median(piece)) for piece in pieces])
    lengths = np.array([len(piece) for piece in pieces], dtype=np.int64)
    columns = (times[found], medians[:-1], medians[1:], medians[1:] / medians[:-1], lengths[:-1], lengths[1:])
    return pd.DataFrame(dict(zip(_POINTS, columns, strict=True)))
