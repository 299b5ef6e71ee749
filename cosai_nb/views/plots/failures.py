"""What fails: rates with their intervals, by group or over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cosai_nb.stats.failures import failure_rates as rate_summary
from cosai_nb.stats.frames import group_columns
from cosai_nb.stats.histogram import DurationHistogram, as_histogram
from cosai_nb.views.plots import style
from cosai_nb.views.plots.around import Entry, headline, name_lines, name_rows
from cosai_nb.views.plots.bars import count_bars
from cosai_nb.views.plots.parts import NO_JOBS, NO_TIMES, by_group, facts, keep_largest, name_groups, plain
from cosai_nb.views.plots.text import labels
from cosai_nb.views.wording import share

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_HOUR = pd.Timedelta("1h")
_MOST_ROWS = 20
_NO_RATE = "No job here has ended in success or failure, so there is no failure rate."


def failure_rates_data(
    jobs: pd.DataFrame | DurationHistogram,
    *,
    by: str | Sequence[str] | None = None,
    freq: str | pd.Timedelta | None = None,
) -> pd.DataFrame:
    """Return the rates that :func:`failure_rates` draws.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job, or their histogram.
    by : str or list of str, optional
        Columns to group by. The 20 groups with the most jobs are kept, with ``freq`` the seven.
    freq : str or pandas.Timedelta, optional
        Width of the windows of creation time; a histogram knows full hours.

    Returns
    -------
    pandas.DataFrame
        The columns of ``by``, with ``freq`` also ``time`` (start of the window, UTC), and of
        :func:`cosai_nb.failure_rates` the columns ``jobs, ended, failed, unfinished, rate, low, high, rate_ended``.
        Without ``freq`` the highest rate stands first.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, lacks a column, or is grouped by what decides whether a job failed.
    SettingsError
        ``freq`` is no width, or is finer than the histogram.
    """
    names = list(group_columns(by))
    summary = rate_summary(jobs, by=by, freq=freq).reset_index(drop=not names and freq is None)
    most = _MOST_ROWS if freq is None else style.MOST_GROUPS
    cut: dict[str, int] = {}
    if names:
        sizes = summary.groupby(names, dropna=False, sort=False)["jobs"].sum()
        summary, cut = keep_largest(summary, names, sizes, most=most)
    if names and freq is None:
        middle = summary["rate"].fillna((summary["low"] + summary["high"]) / 2)
        summary = summary.iloc[np.argsort(-middle.to_numpy(), kind="stable")].reset_index(drop=True)
    columns = ["jobs", "ended", "failed", "unfinished", "rate", "low", "high", "rate_ended"]
    shown = summary[[*names, *(["time"] if freq is not None else []), *columns]]
    named = name_groups(shown, names)
    named.attrs["drawn"] = cut
    return named


def failure_rates(
    jobs: pd.DataFrame | DurationHistogram,
    *,
    by: str | Sequence[str] | None = None,
    freq: str | pd.Timedelta | None = None,
    tz: str | tzinfo = style.DISPLAY_ZONE,
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of jobs that fail, with its 95 % interval and the number of jobs beside it.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job, or their histogram.
    by : str or list of str, optional
        Columns to group by. The 20 groups with the most jobs are drawn, with ``freq`` the seven.
    freq : str or pandas.Timedelta, optional
        Draw the rate over time, in windows of creation time of this width; a histogram knows full hours.
    tz : str or tzinfo
        Time zone of the axis, with ``freq``.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new pyplot figure.

    Returns
    -------
    matplotlib.axes.Axes
        A point per group; an interval without a point is a rate that unfinished jobs still decide.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, lacks a column, or is grouped by what decides whether a job failed.
    SettingsError
        ``freq`` is no width, or is finer than the histogram; ``tz`` is no time zone.

    See Also
    --------
    failure_rates_data : the rates as a frame.
    """
    tz = style.zone_name(tz)
    histogram = as_histogram(jobs, group_columns(by))
    fine = freq is not None and pd.Timedelta(freq) % _HOUR  # what a histogram does not know
    rates = failure_rates_data(jobs if fine else histogram, by=by, freq=freq)
    return draw_failure_rates(rates, histogram, by=by, freq=freq, tz=tz, ax=ax)


def draw_failure_rates(
    rates: pd.DataFrame,
    histogram: DurationHistogram,
    *,
    by: str | Sequence[str] | None = None,
    freq: str | pd.Timedelta | None = None,
    tz: str = style.DISPLAY_ZONE,
    ax: Axes | None = None,
) -> Axes:
    """Draw what :func:`failure_rates_data` returned of the jobs of a histogram."""
    names = group_columns(by)
    ax = style.sheet(
        ax,
        width=9.6 if freq is not None else 8.6,
        height=4.6 if freq is not None else 1.7 + 0.36 * max(len(rates), 3),
    )
    if not histogram.jobs:
        return style.say(ax, NO_JOBS)
    if not rates["ended"].any():
        return style.say(ax, _NO_RATE)
    if freq is not None and rates["time"].isna().all():
        return style.say(ax, NO_TIMES)
    said = facts(histogram, **rates.attrs["drawn"])
    if freq is None:
        left = _draw_points(ax, rates, names)
        headline(ax, f"Failure rate{style.by_text(names)}", said, left=left)
    else:
        _draw_course(ax, rates, names, pd.Timedelta(freq), tz)
        headline(ax, f"Failure rate over time{style.by_text(names)}", said)
    return ax


def _draw_points(ax: Axes, rates: pd.DataFrame, names: Sequence[str]) -> int:
    """Draw a rate a row; return how many letters its name takes."""
    place = np.arange(len(rates))
    low, high, rate = (rates[name].to_numpy() for name in ("low", "high", "rate"))
    ax.hlines(place, low, high, color=style.VERMILION, linewidth=5, alpha=0.35)
    ax.plot(rate, place, "o", color=style.VERMILION, markersize=8, clip_on=False, zorder=3)
    keys = list(zip(*(rates[name] for name in names), strict=True)) if names else []
    named = labels([plain(key) for key in keys], longest=30) if names else ["all jobs"]
    notes = [
        f"{share(part) if np.isfinite(part) else 'not decided'}: {failed:,} of {ended:,} ended"
        for part, failed, ended in zip(rate, rates["failed"], rates["ended"], strict=True)
    ]
    rows = name_rows(ax, named, notes)
    ax.set_xlim(0, min(max(high.max() * 1.08, 0.01), 1.02))
    style.percent_axis(ax.xaxis, "jobs that fail (95 % interval)")
    ax.grid(axis="x", alpha=0.25)
    return rows.left


def _draw_course(ax: Axes, rates: pd.DataFrame, names: Sequence[str], width: pd.Timedelta, tz: str) -> None:
    groups = by_group(rates, names) if names else [((), rates)]
    handles: list[Artist] = []
    for number, (_, some) in enumerate(groups):
        look, part = style.look(number), _without_gaps(some, width)
        middle = style.day_numbers(part["time"] + width / 2)
        handles += ax.plot(
            middle,
            part["rate"],
            color=look.color,
            linestyle=look.dash,
            marker=look.marker,
            markersize=4,
            clip_on=False,
        )
        if not names:
            ax.fill_between(middle, part["low"], part["high"], color=look.color, alpha=0.18, linewidth=0)
            alone = part["rate"].notna() & part["rate"].shift(1).isna() & part["rate"].shift(-1).isna()
            low, high = (part.loc[alone, name] for name in ("low", "high"))
            ax.vlines(middle[alone], low, high, color=look.color, alpha=0.35, linewidth=3)
    top = float(np.nanmax([rates["rate"].max() * 1.4, rates["high"].median() * 1.2, 0.01]))
    ax.set_ylim(0, min(top, 1.02))
    created = rates.groupby("time", as_index=False)["jobs"].sum()
    middle = style.day_numbers(created["time"] + width / 2)
    bars = count_bars(ax, middle, created["jobs"].to_numpy(), days=width / pd.Timedelta("1D"))
    style.percent_axis(ax.yaxis, "jobs that fail" if names else "jobs that fail (95 % interval)")
    style.clock_axis(ax.xaxis, tz)
    ax.grid(alpha=0.25)
    named = labels([plain(key) for key, _ in groups], longest=26) if names else ["failure rate"]
    every = f"jobs per {style.nice_duration(width.total_seconds())}"
    lines = [Entry(*pair) for pair in zip(handles, named, strict=True)]
    name_lines(ax, [*lines, Entry(bars, every, f"at most {created['jobs'].max():,}")])


def _without_gaps(part: pd.DataFrame, width: pd.Timedelta) -> pd.DataFrame:
    """Put a row of NaN where windows have no jobs, so that neither line nor band bridges them."""
    known = part[part["time"].notna()].sort_values("time")
    after = known["time"] + width
    gaps = after[(known["time"].shift(-1) - known["time"]) > width]
    return pd.concat([known, gaps.to_frame("time")]).sort_values("time", ignore_index=True)
