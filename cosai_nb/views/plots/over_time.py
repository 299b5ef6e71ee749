"""When jobs wait: quantiles of the queue latency hour by hour, and by weekday and hour of the day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cosai_nb.stats.frames import group_columns
from cosai_nb.stats.histogram import DurationHistogram, as_histogram
from cosai_nb.stats.histogram_table import hour_times
from cosai_nb.views.plots import style
from cosai_nb.views.plots.around import Entry, headline, name_lines
from cosai_nb.views.plots.bars import count_bars
from cosai_nb.views.plots.parts import NO_JOBS, NO_TIMES, by_group, facts, largest, plain, tabulate
from cosai_nb.views.plots.slots import quantile_names, slot_quantiles
from cosai_nb.views.plots.text import labels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_HOUR = pd.Timedelta("1h")
_TRIANGLE = 7


def latency_over_time_data(
    jobs: pd.DataFrame | DurationHistogram,
    *,
    by: str | Sequence[str] | None = None,
    q: Sequence[float] = (0.5, 0.95),
) -> pd.DataFrame:
    """Return the quantiles of each hour of creation that :func:`latency_over_time` draws.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job, or their histogram.
    by : str or list of str, optional
        Columns to group by; the seven largest groups are kept.
    q : sequence of float
        Quantiles between 0 and 1.

    Returns
    -------
    pandas.DataFrame
        The columns of ``by``, and

        ================== ====================================================================
        hour               start of the hour of creation (UTC); hours without jobs are left out
        jobs, not_started  jobs created then; of these not seen started: waiting, or given up
        p50, p95, …        Kaplan–Meier quantile of the queue latency [s]; inf where not reached
        p50_lower_bound, … the same with ages taken as final waits: never above the truth
        ================== ====================================================================

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.
    ValueError
        ``q`` is not between 0 and 1.
    """
    names = group_columns(by)
    parts, groups = largest(as_histogram(jobs, names), names, most=style.MOST_GROUPS)
    table = tabulate(parts, names, [_hours(part.jobs, quantile_names(q)) for part in parts])
    table.attrs["drawn"] = {"shown": len(parts), "groups": groups}
    return table


def _hours(histogram: DurationHistogram, q: dict[str, float]) -> pd.DataFrame:
    hours, codes = histogram.coded("hour")
    quantiles = slot_quantiles(histogram, codes, len(hours), q)
    return pd.DataFrame({"hour": hour_times(hours.astype(np.int64)), **quantiles})


def latency_over_time(
    jobs: pd.DataFrame | DurationHistogram,
    *,
    by: str | Sequence[str] | None = None,
    q: Sequence[float] = (0.5, 0.95),
    tz: str | tzinfo = style.DISPLAY_ZONE,
    ax: Axes | None = None,
) -> Axes:
    """Draw the queue latency of the jobs created in each hour, and how many there were.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job, or their histogram.
    by : str or list of str, optional
        Columns to group by; the seven largest groups are drawn, with their highest quantile only.
    q : sequence of float
        Quantiles between 0 and 1; the band reaches from the lowest to the highest.
    tz : str or tzinfo
        Time zone of the axis.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new pyplot figure.

    Returns
    -------
    matplotlib.axes.Axes
        Lines on a logarithmic axis with room for 0 s. An upward triangle stands at the lower bound of a quantile that is not
        reached because jobs still wait. The bars at the bottom are jobs created per hour.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.
    SettingsError
        ``tz`` is no time zone.
    ValueError
        ``q`` is not between 0 and 1.

    See Also
    --------
    latency_over_time_data : the hours as a frame.
    """
    tz = style.zone_name(tz)
    histogram = as_histogram(jobs, group_columns(by))
    known = latency_over_time_data(histogram, by=by, q=q)
    return draw_latency_over_time(known, histogram, by=by, q=q, tz=tz, ax=ax)


def draw_latency_over_time(
    known: pd.DataFrame,
    histogram: DurationHistogram,
    *,
    by: str | Sequence[str] | None = None,
    q: Sequence[float] = (0.5, 0.95),
    tz: str = style.DISPLAY_ZONE,
    ax: Axes | None = None,
) -> Axes:
    """Draw what :func:`latency_over_time_data` returned of the jobs of a histogram."""
    names, quantiles = group_columns(by), quantile_names(q)
    ax = style.sheet(ax, width=9.6)
    top = known[[f"{name}_lower_bound" for name in quantiles]].to_numpy()
    if not np.isfinite(top).any():
        return style.say(ax, NO_TIMES if histogram.jobs else NO_JOBS)
    shown = [list(quantiles)[-1]] if names else list(quantiles)
    groups = by_group(known, names) if names else [((), known)]
    groups_named = labels([plain(key) for key, _ in groups], longest=26)
    entries = _draw_hours(ax, [table for _, table in groups], shown, groups_named)
    if np.isinf(known[shown].to_numpy()).any():
        bound = style.handle(style.INK, marker="^", hollow=True, size=_TRIANGLE)
        entries.append(Entry(bound, "at least", "many still wait"))
    finite = known[list(quantiles)].to_numpy()
    longest = max(np.nanmax(top), np.max(finite, initial=0, where=np.isfinite(finite)))
    style.duration_log_axis(ax, "y", longest, f"queue latency {' and '.join(shown)}")
    created = known.groupby("hour", as_index=False)["jobs"].sum()
    middle = style.day_numbers(created["hour"] + _HOUR / 2)
    bars = count_bars(ax, middle, created["jobs"].to_numpy(), days=1 / 24)
    entries.append(Entry(bars, "jobs per hour", f"at most {created['jobs'].max():,}"))
    ax.grid(alpha=0.25)
    style.clock_axis(ax.xaxis, tz)
    headline(
        ax,
        f"Queue latency over time{style.by_text(names)}",
        facts(histogram, **known.attrs["drawn"]),
    )
    name_lines(ax, entries)
    return ax


def _draw_hours(
    ax: Axes, hours: Sequence[pd.DataFrame], shown: Sequence[str], named: Sequence[str]
) -> list[Entry]:
    """Draw a line for each group and quantile; between the outer quantiles of a single group, a band."""
    entries = []
    for number, table in enumerate(hours):
        whole = _without_gaps(table)
        middle = style.day_numbers(whole["hour"] + _HOUR / 2)
        if len(hours) == 1 and len(shown) > 1:
            low, high = (whole[name].replace(np.inf, np.nan) for name in (shown[0], shown[-1]))
            ax.fill_between(middle, low, high, color=style.look(1).color, alpha=0.15, linewidth=0, step="mid")
        for place, name in enumerate(shown):
            look = style.look(number if len(shown) == 1 else place)
            drawn = _draw_line(ax, middle, whole, name, look)
            if drawn is not None:
                group = named[number] if len(shown) == 1 else ""
                entries.append(Entry(drawn, " ".join(filter(None, [group, name]))))
    return entries


def _without_gaps(table: pd.DataFrame) -> pd.DataFrame:
    """Put a row of NaN where an hour has no jobs, so that no line bridges it."""
    if table.empty:
        return table
    every = pd.date_range(table["hour"].min(), table["hour"].max(), freq=_HOUR).as_unit("ms")
    return table.set_index("hour").reindex(every).rename_axis("hour").reset_index()


def _draw_line(
    ax: Axes, middle: np.ndarray, whole: pd.DataFrame, name: str, look: style.Look
) -> Artist | None:
    """Draw the hours of one quantile; return what stands for it in the legend, None where nothing is known of it."""
    seconds = whole[name].to_numpy()
    known, open_end = np.isfinite(seconds), np.isinf(seconds)
    if known.any():
        ax.plot(
            middle,
            np.where(known, seconds, np.nan),
            color=look.color,
            linestyle=look.dash,
            linewidth=1.5,
            drawstyle="steps-mid",
        )
    alone = known & ~np.append(known[1:], False) & ~np.append(False, known[:-1])
    if alone.any():
        ax.plot(middle[alone], seconds[alone], look.marker, color=look.color, markersize=4)
    if open_end.any():
        bound = whole[f"{name}_lower_bound"].to_numpy()
        ax.plot(
            middle[open_end],
            bound[open_end],
            "^",
            color=look.color,
            markerfacecolor="white",
            markersize=_TRIANGLE,
        )
    if known.any():
        return style.handle(look.color, dash=look.dash, marker=look.marker if alone.all() else "", size=4)
    return style.handle(look.color, marker="^", hollow=True, size=_TRIANGLE) if open_end.any() else None
