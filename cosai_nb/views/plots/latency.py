"""How long jobs wait: the whole distribution, and its course over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter

from cosai_nb.stats.curves import Curve, Floats, kaplan_meier
from cosai_nb.stats.frames import group_columns
from cosai_nb.stats.histogram import DurationHistogram, as_histogram
from cosai_nb.stats.latency import NEEDS_JOBS
from cosai_nb.stats.latency import queue_latency as latency_summary
from cosai_nb.views.plots import style
from cosai_nb.views.plots.around import Entry, headline, name_axis, name_lines
from cosai_nb.views.plots.parts import (
    NO_JOBS,
    NO_TIMES,
    by_labels,
    facts,
    largest,
    plain,
    tabulate,
)
from cosai_nb.views.plots.slots import quantile_names
from cosai_nb.views.plots.text import labels
from cosai_nb.views.wording import duration, is_projected, jobs_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes

_LEGEND_COLUMNS = 26
_POINT, _TICK = 7, 8
"""Points: size of a quantile's mark, and of a tick across a curve."""
_SHARES = (0, 0.5, 0.9, 0.95, 0.99, 0.999, 0.75)
_EXACT_POINTS = 400
_STEPS_OF_SHARE, _STEPS_OF_LOG = 500, 60


def queue_latency_data(
    jobs: pd.DataFrame | DurationHistogram, *, by: str | Sequence[str] | None = None
) -> pd.DataFrame:
    """Return the curves that :func:`queue_latency` draws.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job, or their histogram.
    by : str or list of str, optional
        Columns to group by; the seven largest groups are kept.

    Returns
    -------
    pandas.DataFrame
        The columns of ``by``, and

        =================== =========================================================================
        queue_latency_s     seconds, rising
        started_share       share of the jobs that have started by then: 1 − Kaplan–Meier
        started             jobs that started then, or since the row before
        not_started         jobs that were last seen then without a start: waiting, or given up
        =================== =========================================================================

        Above 400 distinct seconds a group's curve is thinned to steps that can be seen; the values kept are exact.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": ["Success", "Submitted"], "QueueId": "q1",
    ...     "Tag": "Translation", "CreationTime": "2026-11-01T10:00:00+0800",
    ...     "StartTime": ["2026-11-01T10:00:07+0800", "-"], "EndTime": ["2026-11-01T10:00:09+0800", "-"]})
    >>> jobs = cn.add_timings(texts, observed_at="2026-11-01T02:01:00Z")
    >>> queue_latency_data(jobs)
       queue_latency_s  started_share  started  not_started
    0                7            0.5        1            0
    1               60            0.5        0            1
    """
    names = group_columns(by)
    parts, _ = largest(as_histogram(jobs, names), names, most=style.MOST_GROUPS)
    return tabulate(parts, names, [_thinned(part.jobs.curve("queue_latency")) for part in parts])


def _thinned(curve: Curve) -> pd.DataFrame:
    """Keep the last second of each step that can be seen; what happened in between is counted there."""
    started = 1 - kaplan_meier(curve.ended, curve.unfinished)
    last = np.ones(len(started), dtype=bool)
    if len(started) > _EXACT_POINTS:
        step = np.floor(started * _STEPS_OF_SHARE) + np.floor(np.log1p(curve.seconds) * _STEPS_OF_LOG)
        last[:-1] = step[1:] != step[:-1]
    ended, unfinished = (
        np.diff(np.cumsum(numbers)[last], prepend=0) for numbers in (curve.ended, curve.unfinished)
    )
    return pd.DataFrame(
        {
            "queue_latency_s": curve.seconds[last],
            "started_share": started[last],
            "started": ended,
            "not_started": unfinished,
        }
    )


def queue_latency(
    jobs: pd.DataFrame | DurationHistogram,
    *,
    by: str | Sequence[str] | None = None,
    q: Sequence[float] = (0.5, 0.95),
    ax: Axes | None = None,
) -> Axes:
    """Draw which share of the jobs has started within which time, unfinished jobs counted.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job, or their histogram.
    by : str or list of str, optional
        Columns to group by; the seven largest groups are drawn.
    q : sequence of float
        Quantiles between 0 and 1 to read off.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new pyplot figure.

    Returns
    -------
    matplotlib.axes.Axes
        A Kaplan–Meier curve per group; the time axis is logarithmic with room for 0 s, the share axis gives the last
        10 % and the last 1 % as much room as the first 90 %. A tick across a curve marks jobs
        that were last seen waiting. The points are the quantiles of :func:`cosai_nb.queue_latency`; a hollow one is
        a projection and lies off the curve, which is too low where a line that is served in order grows.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.

    See Also
    --------
    queue_latency_data : the curves as a frame.
    """
    histogram = as_histogram(jobs, group_columns(by))
    summary = _summarise(jobs, histogram, by=by, q=tuple(quantile_names(q).values()))
    return draw_queue_latency(summary, histogram, by=by, q=q, ax=ax)


def draw_queue_latency(
    summary: pd.DataFrame,
    histogram: DurationHistogram,
    *,
    by: str | Sequence[str] | None = None,
    q: Sequence[float] = (0.5, 0.95),
    ax: Axes | None = None,
) -> Axes:
    """Draw what :func:`cosai_nb.queue_latency` returned of the jobs of a histogram, and their curves."""
    names, quantiles = group_columns(by), quantile_names(q)
    ax = style.sheet(ax)
    parts, groups = largest(histogram, names, most=style.MOST_GROUPS)
    curves = [_thinned(part.jobs.curve("queue_latency")) for part in parts]
    longest = max((curve["queue_latency_s"].max() for curve in curves if len(curve)), default=None)
    if longest is None:
        return style.say(ax, NO_TIMES if histogram.jobs else NO_JOBS)
    of_labels = by_labels(summary)
    rows = [of_labels[plain(part.labels)] for part in parts]
    for number, (curve, row) in enumerate(zip(curves, rows, strict=True)):
        _draw_curve(ax, curve, row, quantiles, style.look(number))
        longest = max(longest, *(row[name] for name in quantiles if np.isfinite(row[name])), 0)
    _finish_curves(ax, longest, max(part.jobs.jobs for part in parts), quantiles.values())
    if not any(curve["started"].any() for curve in curves):
        ax.text(0.5, 0.5, "No job has started yet.", transform=ax.transAxes, ha="center")
    headline(ax, f"Queue latency{style.by_text(names)}", facts(histogram, shown=len(parts), groups=groups))
    named = labels([part.labels for part in parts], longest=_LEGEND_COLUMNS) if names else ["all jobs"]
    _name_curves(ax, named, curves, rows, quantiles)
    return ax


def _summarise(
    jobs: pd.DataFrame | DurationHistogram,
    histogram: DurationHistogram,
    *,
    by: str | Sequence[str] | None,
    q: tuple[float, ...],
) -> pd.DataFrame:
    """Return the quantiles; single jobs are counted again only where a projection needs them."""
    summary = latency_summary(histogram, by=by, q=q)
    if not isinstance(jobs, DurationHistogram) and (summary["method"] == NEEDS_JOBS).any():
        return latency_summary(jobs, by=by, q=q)
    return summary


def _draw_curve(
    ax: Axes, curve: pd.DataFrame, row: pd.Series[Any], q: Mapping[str, float], look: style.Look
) -> None:
    seconds, started = curve["queue_latency_s"].to_numpy(), curve["started_share"].to_numpy()
    ax.plot(
        np.append(0, seconds),
        np.append(0, started),
        drawstyle="steps-post",
        color=look.color,
        linestyle=look.dash,
        linewidth=1.8,
    )
    censored = curve["not_started"].to_numpy() > 0
    if censored.any():
        ax.plot(seconds[censored], started[censored], "|", color=look.color, markersize=_TICK, alpha=0.5)
    projected = np.array([is_projected(row, name) for name in q])
    known, share = row[list(q)].to_numpy(dtype=np.float64), np.array(list(q.values()))
    for some, inside in ((~projected, look.color), (projected, "white")):
        if (some & np.isfinite(known)).any():
            ax.plot(
                known[some],
                share[some],
                look.marker,
                color=look.color,
                markerfacecolor=inside,
                markersize=_POINT,
                zorder=3,
            )


def _name_curves(
    ax: Axes,
    named: Sequence[str],
    curves: Sequence[pd.DataFrame],
    rows: Sequence[pd.Series[Any]],
    q: Mapping[str, float],
) -> None:
    """Put each curve into the legend, and of the other marks those that were drawn."""
    entries = []
    for number, (name, row) in enumerate(zip(named, rows, strict=True)):
        look = style.look(number)
        line = style.handle(look.color, dash=look.dash, marker=look.marker, size=_POINT)
        entries.append(Entry(line, name, _in_words(row, q)))
    if any(curve["not_started"].any() for curve in curves):
        entries.append(Entry(style.handle(style.INK, marker="|", size=_TICK), "still waiting"))
    if any(is_projected(row, name) and np.isfinite(row[name]) for row in rows for name in q):
        entries.append(Entry(style.handle(style.INK, marker="o", hollow=True, size=_POINT), "projected"))
    name_lines(ax, entries)


def _in_words(row: pd.Series[Any], q: Mapping[str, float]) -> str:
    """Say for the legend what a curve's quantiles are, how they are known, and of how many jobs."""
    said = []
    for name in q:
        too_low = row["method"] == NEEDS_JOBS and row["waiting"] and 0 < row[name] < np.inf
        known = f"≥ {duration(row[f'{name}_lower_bound'])}" if too_low else duration(row[name])
        said.append(f"{name} {known}{' projected' if is_projected(row, name) else ''}")
    said.append(jobs_in_words(row["jobs"]) + (f" ({row['waiting']:,} waiting)" if row["waiting"] else ""))
    return ", ".join(said)


def _finish_curves(ax: Axes, longest: float, most_jobs: int, q: Iterable[float]) -> None:
    style.duration_log_axis(ax, "x", longest, "queue latency")
    name_axis(ax.yaxis, "jobs that have started")
    ax.set_yscale("function", functions=(_stretch, _shrink))
    ax.yaxis.set_major_locator(style.RoomyLocator(_SHARES, 14))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g} %"))
    ax.set_ylim(0, min(max(1 - 0.3 / most_jobs, 0.97), 0.9997))
    ax.grid(alpha=0.25)
    for part in q:
        ax.axhline(part, color="#000000", linewidth=0.8, alpha=0.5, linestyle=":")


def _stretch(started: Floats) -> Floats:
    """Give each factor of ten among the last jobs the same room: long waits are what one looks for."""
    place: Floats = -np.log10(1 - np.minimum(started, 0.999999))
    return place


def _shrink(place: Floats) -> Floats:
    started: Floats = 1 - 10.0**-place
    return started
