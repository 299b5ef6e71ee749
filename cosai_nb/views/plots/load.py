"""How many jobs wait and run, over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.patches import Patch

from cosai_nb.stats.frames import group_columns
from cosai_nb.stats.histogram import DurationHistogram, as_histogram
from cosai_nb.stats.load import queue_load as load_summary
from cosai_nb.views.plots import style
from cosai_nb.views.plots.around import Entry, headline, name_lines
from cosai_nb.views.plots.parts import NO_JOBS, NO_TIMES, by_group, facts, keep_largest, name_groups, plain
from cosai_nb.views.plots.text import labels
from cosai_nb.views.wording import count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo

    from matplotlib.axes import Axes

    from cosai_nb.stats.curves import Floats

_WIDTHS = ("1min", "5min", "15min", "1h", "6h", "1D")
_MOST_BINS = 1500
_NO_LOAD = "No job waited or ran for any time."
_NO_LOAD_SEEN = "No job waited or ran on the hours looked at. What happened in between needs the jobs frame."
_TOO_SHORT = "No job waited or ran at any of the moments looked at, {} apart."
_DRAWN = ["time", "arrivals", "waiting", "running", "waiting_max", "running_max", "servers", "servers_from"]


def queue_load_data(
    jobs: pd.DataFrame | DurationHistogram,
    *,
    by: str | Sequence[str] | None = None,
    freq: str | pd.Timedelta | None = None,
    servers: float | Mapping[str, float] | pd.Series | None = None,
) -> pd.DataFrame:
    """Return the steps that :func:`queue_load` draws.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job; or their histogram, which knows full hours only.
    by : str or list of str, optional
        Columns to group by, ``queue_id`` say; the seven groups with the longest lines are kept.
    freq : str or pandas.Timedelta, optional
        Width of a bin; by default the finest of 1 min, 5 min, 15 min, 1 h, 6 h and 1 day that gives at most 1,500.
    servers : float or mapping of str to float, optional
        How many jobs may run at once, as in :func:`cosai_nb.queue_load`.

    Returns
    -------
    pandas.DataFrame
        The columns of ``by``; ``time`` (start of the bin, UTC); ``arrivals`` in it; ``waiting`` and ``running`` at its end;
        ``waiting_max`` and ``running_max`` within it (from a histogram: at its end); ``servers`` and ``servers_from``: what jobs
        run on, and where that number comes from. ``attrs``: ``exact``, False from a histogram; ``width_s`` of a bin; ``as_of``.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.
    SettingsError
        ``freq`` is no width, or too fine; ``servers`` is not above 0.
    """
    names = group_columns(by)
    width = freq or _width(jobs)
    table = load_summary(jobs, width, servers, by=names or None)
    summary = table.reset_index()
    for level in ("waiting", "running"):
        summary[f"{level}_max"] = summary[f"{level}_max"].fillna(summary[level])
    cut: dict[str, int] = {}
    if names:
        longest = summary.groupby(list(names), dropna=False, sort=False)["waiting"].max()
        summary, cut = keep_largest(summary, names, longest, most=style.MOST_GROUPS)
    named = name_groups(summary[[*names, *_DRAWN]], names)
    named.attrs = {
        "drawn": cut,
        "exact": not isinstance(jobs, DurationHistogram),
        "width_s": pd.Timedelta(width).total_seconds(),
        "as_of": table.attrs["as_of"],
    }
    return named


def bin_ends(steps: pd.DataFrame) -> pd.Series:
    """Return the moments at which the steps of :func:`queue_load_data` are counted: ends of bins, the last at the as-of time."""
    ends = steps["time"] + pd.Timedelta(seconds=steps.attrs["width_s"])
    as_of = steps.attrs["as_of"]
    return ends if as_of is None else ends.where(ends < pd.Timestamp(as_of), pd.Timestamp(as_of))


def _width(jobs: pd.DataFrame | DurationHistogram) -> str:
    """Return the finest width that gives few enough bins."""
    if isinstance(jobs, DurationHistogram):
        finest, hours = _WIDTHS.index("1h"), jobs.coded("hour").labels
        span = pd.Timedelta(hours=float(hours.max() - hours.min())) if len(hours) else pd.Timedelta(0)
    else:
        finest = 0
        span = jobs["observed_at"].max() - jobs["creation_time"].min()
    return next(
        (width for width in _WIDTHS[finest:] if not span / pd.Timedelta(width) > _MOST_BINS), _WIDTHS[-1]
    )


def queue_load(
    jobs: pd.DataFrame | DurationHistogram,
    *,
    by: str | Sequence[str] | None = None,
    freq: str | pd.Timedelta | None = None,
    servers: float | Mapping[str, float] | pd.Series | None = None,
    tz: str | tzinfo = style.DISPLAY_ZONE,
    ax: Axes | None = None,
) -> Axes:
    """Draw how many jobs run, and on top of them how many wait; with ``by``, how many wait in each group.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job; or their histogram, which knows full hours only.
    by : str or list of str, optional
        Columns to group by, ``queue_id`` say; the seven groups with the longest lines are drawn.
    freq : str or pandas.Timedelta, optional
        Width of a bin; by default as fine as can be seen.
    servers : float or mapping of str to float, optional
        How many jobs may run at once, as in :func:`cosai_nb.queue_load`; drawn as a line.
    tz : str or tzinfo
        Time zone of the axis.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new pyplot figure.

    Returns
    -------
    matplotlib.axes.Axes
        Time against numbers of jobs at the ends of the bins, joined by lines; ``at most`` in the legend is the largest
        number at any moment, from a histogram the largest at the ends of the bins.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.
    SettingsError
        ``freq`` is no width, or too fine; ``servers`` is not above 0; ``tz`` is no time zone.

    See Also
    --------
    queue_load_data : the steps as a frame.
    """
    tz = style.zone_name(tz)
    histogram = as_histogram(jobs, group_columns(by))
    steps = queue_load_data(jobs, by=by, freq=freq, servers=servers)
    return draw_queue_load(steps, histogram, by=by, tz=tz, ax=ax)


def draw_queue_load(
    steps: pd.DataFrame,
    histogram: DurationHistogram,
    *,
    by: str | Sequence[str] | None = None,
    tz: str = style.DISPLAY_ZONE,
    ax: Axes | None = None,
) -> Axes:
    """Draw what :func:`queue_load_data` returned of the jobs of a histogram."""
    names = group_columns(by)
    ax = style.sheet(ax, width=9.6)
    if not histogram.jobs:
        return style.say(ax, NO_JOBS)
    if steps.empty:
        return style.say(ax, NO_TIMES)
    if not steps[["waiting_max", "running_max"]].to_numpy().any():
        return style.say(ax, _NO_LOAD if steps.attrs["exact"] else _NO_LOAD_SEEN)
    steps = steps.assign(moment=bin_ends(steps))
    entries = _draw_lines(ax, steps, names) if names else _draw_stack(ax, steps)
    if not steps[["waiting", "running"]].to_numpy().any():
        width = style.nice_duration(steps.attrs["width_s"])
        ax.text(0.5, 0.5, _TOO_SHORT.format(width), transform=ax.transAxes, ha="center", wrap=True)
    ax.set_ylim(0, None)
    ax.margins(x=0.01)
    ax.grid(alpha=0.25)
    style.clock_axis(ax.xaxis, tz)
    style.count_axis(ax.yaxis, "jobs waiting" if names else "jobs waiting and running")
    headline(
        ax,
        f"{'Waiting jobs' if names else 'Load'}{style.by_text(names)}",
        facts(histogram, **steps.attrs["drawn"]),
    )
    name_lines(ax, entries)
    return ax


def _seen(steps: pd.DataFrame) -> str:
    """Say how often the numbers were looked at, where it was not at every moment."""
    return "" if steps.attrs["exact"] else f" (seen every {style.nice_duration(steps.attrs['width_s'])})"


def _course(steps: pd.DataFrame, name: str) -> Floats:
    """Return a state at the ends of the bins, from the beginning of the first, when nothing was there, on."""
    return np.append(0.0, steps[name])


def _clock(steps: pd.DataFrame) -> Floats:
    return style.day_numbers(pd.concat([steps["time"].head(1), steps["moment"]]))


def _draw_stack(ax: Axes, steps: pd.DataFrame) -> list[Entry]:
    """Draw the running and on top of them the waiting jobs."""
    time, running, waiting = _clock(steps), _course(steps, "running"), _course(steps, "waiting")
    ax.fill_between(time, 0, running, color=style.BLUE, linewidth=0)
    ax.fill_between(time, running, running + waiting, color=style.ORANGE, linewidth=0)
    entries = [
        Entry(Patch(color=color), name, f"at most {count(steps[most].max())}{_seen(steps)}")
        for color, name, most in (
            (style.BLUE, "running", "running_max"),
            (style.ORANGE, "waiting on top", "waiting_max"),
        )
    ]
    servers = float(steps["servers"].iloc[0])
    if np.isfinite(servers):
        line = ax.axhline(servers, color=style.INK, linewidth=1.2, linestyle="--")
        name = f"{count(servers)} {'server' if servers == 1 else 'servers'}"
        entries.append(Entry(line, name, str(steps["servers_from"].iloc[0])))
    return entries


def _draw_lines(ax: Axes, steps: pd.DataFrame, names: Sequence[str]) -> list[Entry]:
    """Draw the waiting jobs of each group."""
    entries = []
    groups = by_group(steps, names)
    named = labels([plain(key) for key, _ in groups])
    for number, (name, (_, part)) in enumerate(zip(named, groups, strict=True)):
        look = style.look(number)
        waiting = _course(part, "waiting")
        (line,) = ax.plot(_clock(part), waiting, color=look.color, linestyle=look.dash, linewidth=1.5)
        entries.append(Entry(line, name, f"at most {count(part['waiting_max'].max())}{_seen(steps)}"))
    return entries
