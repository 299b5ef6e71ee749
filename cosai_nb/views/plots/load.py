"""How many jobs wait and run, over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.patches import Patch

from cosai_nb.stats.counts import Counted, count_all
from cosai_nb.stats.load import load_of, numbers
from cosai_nb.stats.load import queue_load as load_summary
from cosai_nb.stats.measures import Windows, group_columns
from cosai_nb.views.figure import Series
from cosai_nb.views.plots import axes
from cosai_nb.views.plots.axes import Entry
from cosai_nb.views.plots.text import Groups, by_group, describe, flat, keep_largest, queue_names
from cosai_nb.views.wording import NO_JOBS, NO_TIMES, about_row, count, facts, moment, whole_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from cosai_nb.stats.measures import Floats
    from cosai_nb.views.plots.axes import By, Data, Look, Size, Width, Zone

_WIDTHS = ("1min", "5min", "15min", "1h", "6h", "1D")
_MOST_BINS, _FEW, _HARDLY = 750, 100, 0.05
_NO_LOAD = "No job {} for any time."
_NO_LOAD_SEEN = "No job {} on the hours looked at. What happened in between needs the jobs frame."
_TOO_SHORT = "No job waited or ran at any of the moments looked at, {} apart."
_STATES = [f"{name}{kind}" for kind in ("", "_mean", "_max") for name in ("waiting", "running")]
_DRAWN = ["time", "arrivals", *_STATES, "servers", "servers_from"]
_MOMENTS_S = 900  # bins up to this width are drawn at their ends, of which wider ones have too few


def queue_load_data(
    jobs: Any,
    *,
    by: By = None,
    freq: Width = None,
    servers: float | Mapping[str, float] | pd.Series | None = None,
    tz: Zone = axes.DISPLAY_ZONE,
) -> pd.DataFrame:
    """Return the steps that :func:`queue_load` draws.

    Parameters
    ----------
    jobs : pandas.DataFrame, path, JobStore or DurationHistogram
        One row per job; or their histogram, which knows full hours only.
    by : str or list of str, optional
        Columns to group by, ``queue_id`` say; the seven groups in which most jobs ever waited at once are kept.
    freq : str or timedelta, optional
        Width of a bin; by default the finest of 1 min, 5 min, 15 min, 1 h, 6 h and 1 day that gives at most 750.
    servers : float or mapping of str to float, optional
        How many jobs may run at once, as in :func:`cosai_nb.queue_load`.
    tz : str or tzinfo
        Zone of the bins; where it is off UTC by half an hour, a histogram's bins are those of UTC.

    Returns
    -------
    pandas.DataFrame
        The columns of ``by``; ``time`` (start of the bin, UTC); ``arrivals`` in it; ``waiting`` and ``running`` at its end;
        ``…_mean`` over it (NaN from a histogram), ``…_max`` within it (from a histogram: at its end); ``servers`` and ``servers_from``: what jobs
        run on, and where that number comes from. ``attrs``: ``exact``, False from a histogram; ``width_s`` of a bin; ``as_of``.

    Raises
    ------
    TypeError, FrameError, FileError
        ``jobs`` is no source of jobs, lacks a column, or cannot be read.
    SettingsError
        ``freq`` is no width, or too fine; ``servers`` is not above 0.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Scenario
    >>> with cn.Emulator(scenario=Scenario(jobs=400, duration_h=1.0)) as emulator:
    ...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
    >>> cn.plots.queue_load_data(jobs, by="queue_id").columns.tolist()
    ['queue_id', 'time', 'arrivals', 'waiting', 'running', 'waiting_mean', 'running_mean', 'waiting_max', 'running_max',
    'servers', 'servers_from']
    """
    names = list(group_columns(by))
    wanted = {"jobs": (*names, "queue_id", "outcome")}
    counted = jobs if isinstance(jobs, Counted) else count_all(jobs, wanted)
    steps = load_steps(jobs, counted, names, freq, axes.zone_name(tz), servers)
    steps.attrs["names"] = queue_names(jobs, names)
    return steps


def load_steps(
    jobs: Any,
    counted: Counted,
    names: list[str],
    freq: Width,
    zone: str,
    servers: Any = None,
    table: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return :func:`queue_load_data` of jobs that are counted; ``table`` is what :func:`cosai_nb.queue_load` said, if it was asked."""
    exact, told = not isinstance(jobs, Counted), numbers(counted)
    width = freq or _width(told, exact=exact)
    bins = zone if exact or Windows.of("1h", zone).whole_hours else "UTC"
    if table is None and exact:
        table = load_of(jobs, counted, names, Windows.of(width, bins), servers)
    elif table is None:
        table = load_summary(jobs, width, servers, by=names or None, tz=bins)
    summary = flat(table, names)
    for level in ("waiting", "running"):
        summary[f"{level}_max"] = summary[f"{level}_max"].fillna(summary[level])
    # where the most are as many, the number at an end decides
    by_end = summary.sort_values("waiting", ascending=False, kind="stable")
    summary, cut = keep_largest(summary, names, by_end, of="waiting_max", most=axes.MOST_GROUPS)
    named = summary[[*names, *_DRAWN]]
    more = {"exact": exact, "given": servers is not None, "width_s": pd.Timedelta(width).total_seconds()}
    known = describe(counted, names, cut, about_row(told), as_of=table.attrs["as_of"], tz=zone)
    named.attrs = known | more
    return named


def bin_ends(steps: pd.DataFrame) -> pd.Series:
    """Return the moments at which the steps of :func:`queue_load_data` are counted: ends of bins, the last at the as-of time."""
    ends = steps["time"] + pd.Timedelta(seconds=steps.attrs["width_s"])
    as_of = steps.attrs["as_of"]
    return ends if as_of is None else ends.where(ends < pd.Timestamp(as_of), pd.Timestamp(as_of))


def _width(told: pd.DataFrame, *, exact: bool) -> str:
    """Return the finest width that gives few enough bins."""
    end = told.attrs["as_of"] if exact else told.attrs["last"]
    widths = _WIDTHS if exact else _WIDTHS[_WIDTHS.index("1h") :]
    return axes.finest_width(end - told.attrs["first"], widths, _MOST_BINS)


def queue_load(
    jobs: Any = None,
    *,
    by: By = None,
    freq: Width = None,
    servers: float | Mapping[str, float] | pd.Series | None = None,
    tz: Zone = axes.DISPLAY_ZONE,
    markers: Any = None,
    ax: Axes | None = None,
    figsize: Size = None,
    data: Data = None,
) -> Axes:
    """Draw how many jobs run, and on top of them how many wait; with ``by``, how many wait in each group.

    Parameters
    ----------
    jobs, by, freq, servers, tz
        As in :func:`queue_load_data`; what jobs run on is drawn as a line.
    markers : dict, pandas.DataFrame or list of pairs, optional
        As in :func:`cosai_nb.plots.latency_over_time`.
    ax, figsize, data
        As in :func:`cosai_nb.plots.queue_latency`; ``data`` is what :func:`queue_load_data` returned.

    Returns
    -------
    matplotlib.axes.Axes
        Time against numbers of jobs at the ends of the bins, joined by lines; of bins above 15 minutes the mean, and lightly
        on top of it the most that waited, or with ``by`` this alone, of the groups in which any did. ``at most`` in the legend is the largest number at any
        moment, from a histogram the largest at the ends of the bins.

    Raises
    ------
    TypeError, FrameError, FileError, SettingsError
        As :func:`queue_load_data`; or ``markers`` are none, or ``data`` is not what it returned.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Scenario
    >>> with cn.Emulator(scenario=Scenario(jobs=400, duration_h=1.0)) as emulator:
    ...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
    >>> cn.plots.queue_load(jobs, by="queue_id").get_title(loc="left").strip()
    'Waiting jobs by queue'
    """
    if data is None:
        data = queue_load_data(jobs, by=by, freq=freq, servers=servers, tz=tz)
    steps, about_it = axes.split_data(data, "queue_load")
    names, zone = about_it["by"], about_it["tz"]
    ax = axes.new_axes(ax, figsize, (9.6, 4.6))
    if not about_it["about"].jobs:
        return axes.show_message(ax, NO_JOBS)
    if steps.empty:
        return axes.show_message(ax, NO_TIMES)
    steps["moment"], said = bin_ends(data), ""
    if names:
        steps = steps[steps.groupby(names, dropna=False)["waiting_max"].transform("max") > 0]
        groups, waited = about_it["drawn"]["groups"], len(steps[names].drop_duplicates())
        if waited < about_it["drawn"]["shown"]:
            said = f"{facts(about_it['about'])}, none waited in {groups - waited:,} of {groups:,} groups"
    if not steps[["waiting_max", "running_max"]].to_numpy().any():
        nothing = _NO_LOAD if about_it["exact"] else _NO_LOAD_SEEN
        return axes.show_message(ax, nothing.format("waited" if names else "waited or ran"))
    width = whole_duration(about_it["width_s"])
    about_it["wide"] = wide = about_it["exact"] and about_it["width_s"] > _MOMENTS_S
    draw = _draw_lines if names else _draw_means if wide else _draw_stack
    entries = draw(ax, steps, about_it)
    servers = float(steps["servers"].iloc[0])
    if not names and np.isfinite(servers):
        line = ax.axhline(servers, color=axes.ink(), linewidth=1.2, linestyle="--")
        name = "servers" if about_it["given"] else "max observed concurrency"
        entries.append(Entry(line, name, count(servers)))
    if not wide and not steps[["waiting", "running"]].to_numpy().any():
        axes.write_inside(ax, _TOO_SHORT.format(width))
    ax.set_ylim(0, None)
    ax.margins(x=0.01)
    ax.grid(alpha=0.25)
    axes.clock_axis(ax.xaxis, zone)
    axes.count_axis(
        ax.yaxis,
        ("jobs waiting" if names else "jobs waiting and running")
        + (f" ({'most in' if names else 'mean of'} {width})" if wide else ""),
    )
    title = "Waiting jobs" if names else "Load"
    return axes.finish(ax, title, about_it, entries, said=said, zone=zone, markers=markers)


def _at_most(steps: pd.DataFrame, level: str, about_it: dict[str, Any]) -> str:
    """Say the largest number, and how often the numbers were looked at, where it was not at every moment."""
    seen = "" if about_it["exact"] else f" (seen every {whole_duration(about_it['width_s'])})"
    return f"at most {count(steps[f'{level}_max'].max())}{seen}"


def _course(steps: pd.DataFrame, name: str) -> Floats:
    """Return a state at the ends of the bins, from the beginning of the first, when nothing was there, on."""
    return np.append(0.0, steps[name])


def _clock(steps: pd.DataFrame) -> Floats:
    return axes.day_numbers(pd.concat([steps["time"].head(1), steps["moment"]]))


def _draw_stack(ax: Axes, steps: pd.DataFrame, about_it: dict[str, Any]) -> list[Entry]:
    """Draw the running and on top of them the waiting jobs."""
    time, running, waiting = _clock(steps), _course(steps, "running"), _course(steps, "waiting")
    entries, below = [], np.zeros_like(running)
    words = [
        f"{when}: {count(runs)} running, {count(waits)} waiting"
        for when, runs, waits in zip(
            _moments(steps, about_it), steps["running"], steps["waiting"], strict=True
        )
    ]
    for name, color, level in (("running", axes.BLUE, running), ("waiting", axes.ORANGE, waiting)):
        ax.fill_between(time, below, below + level, color=color, linewidth=0)
        below = below + level
        series = Series(name, color, words, time[1:], below[1:])
        entries.append(Entry(Patch(color=color), name, _at_most(steps, name, about_it), series))
    return entries


def _draw_means(ax: Axes, steps: pd.DataFrame, about_it: dict[str, Any]) -> list[Entry]:
    """Draw the mean numbers running and waiting in each bin, and lightly the most that waited."""
    edges = _clock(steps)
    middle, below = (edges[:-1] + edges[1:]) / 2, np.zeros(len(steps))
    entries = []
    windows = _windows(steps, about_it)
    for name, color in (("running", axes.BLUE), ("waiting", axes.ORANGE)):
        top = below + steps[f"{name}_mean"].to_numpy()
        if name == "waiting":
            most = below + steps["waiting_max"].to_numpy()
            axes.stairs(ax, most, edges, below, fill=True, color=color, alpha=0.35, lw=0)
        axes.stairs(ax, top, edges, below, fill=True, color=color, lw=0)
        words = [
            f"{when}: {_mean(mean)} {name} (at most {count(number)})"
            for when, mean, number in zip(windows, steps[f"{name}_mean"], steps[f"{name}_max"], strict=True)
        ]
        lightly = ", drawn lightly" if name == "waiting" else ""
        detail = _at_most(steps, name, about_it) + lightly
        entries.append(Entry(Patch(color=color), name, detail, Series(name, color, words, middle, top)))
        below = top
    return entries


def _mean(number: float) -> str:
    return "< 0.1" if 0 < number < _HARDLY else f"{number:,.1f}" if number < _FEW else count(round(number))


def _windows(steps: pd.DataFrame, about_it: dict[str, Any]) -> list[str]:
    return axes.window_words(steps["time"], pd.Timedelta(seconds=about_it["width_s"]), about_it["tz"])


def _moments(steps: pd.DataFrame, about_it: dict[str, Any]) -> list[str]:
    return [moment(time) for time in axes.local_times(steps["moment"], about_it["tz"])]


def _draw_lines(ax: Axes, steps: pd.DataFrame, about_it: dict[str, Any]) -> list[Entry]:
    """Draw the waiting jobs of each group: at the ends of the bins, or in wide ones the most."""
    entries = []
    tables, wide = by_group(steps, about_it["by"]), about_it["wide"]
    groups = Groups.of(about_it, [key for key, _ in tables])
    for number, (key, part) in enumerate(tables):
        style, time = axes.group_style(number), _clock(part)
        look: Look = {"color": style.color, "linestyle": style.dash, "linewidth": 1.5}
        if wide:
            place, waiting = (time[:-1] + time[1:]) / 2, part["waiting_max"].to_numpy()
            line: Any = axes.stairs(ax, waiting, time, None, fill=False, **look)
            means = part["waiting_mean"]
            told = [
                f"at most {count(most)} waiting, {_mean(mean)} on average"
                for most, mean in zip(waiting, means, strict=True)
            ]
        else:
            place, waiting = time[1:], part["waiting"].to_numpy()
            (line,) = ax.plot(time, _course(part, "waiting"), **look)
            told = [f"{count(waits)} waiting" for waits in waiting]
        whens = (_windows if wide else _moments)(part, about_it)
        words = [f"{when}: {one}" for when, one in zip(whens, told, strict=True)]
        series = Series(groups.whole[key], style.color, words, place, waiting, pick=groups.picks[key])
        entries.append(Entry(line, groups.short[key], _at_most(part, "waiting", about_it), series))
    return entries
