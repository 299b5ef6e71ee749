"""When jobs wait: quantiles of the queue latency window by window, and by weekday and hour of the day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm, Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cosai_nb.stats.counts import count_all
from cosai_nb.stats.durations import durations, durations_by_weekday
from cosai_nb.stats.latency import name_of, read_shares
from cosai_nb.stats.load import count_with_numbers, numbers
from cosai_nb.stats.measures import HOUR_MS, Windows, group_columns
from cosai_nb.views.figure import Series, mark
from cosai_nb.views.plots import axes
from cosai_nb.views.plots.axes import Entry
from cosai_nb.views.plots.text import Groups, by_group, describe, flat, keep_largest, label
from cosai_nb.views.wording import (
    WEEKDAYS,
    about,
    about_row,
    duration,
    facts,
    jobs_in_words,
    quantile,
    window,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from cosai_nb.stats.counts import Counted
    from cosai_nb.stats.measures import Floats
    from cosai_nb.views.plots.axes import By, Data, Look, Shares, Size, Style, Width, Zone

_TRIANGLE = 7
_DAYS = tuple(day[:3] for day in WEEKDAYS)
_HOURS = 24
_DAY_WIDTH = 4
_OVERVIEW_IN, _SIDE_IN, _BELOW_IN = 0.95, 0.12, 0.42
"""Height of the overview, and what is left beside and below its data."""


# --- window by window ---


def latency_over_time_data(
    jobs: Any, *, by: By = None, q: Shares = (0.5, 0.95), freq: Width = None, tz: Zone = axes.DISPLAY_ZONE
) -> pd.DataFrame:
    """Return the quantiles of each window of creation that :func:`latency_over_time` draws.

    Parameters
    ----------
    jobs, by, q
        As in :func:`cosai_nb.plots.queue_latency_data`.
    freq : str or timedelta, optional
        Width of the windows of creation time; by default the finest of 1, 3, 6 and 12 hours, a day and a week that gives at
        most 300. Hours are those of UTC.
    tz : str or tzinfo
        Zone of the windows.

    Returns
    -------
    pandas.DataFrame
        The columns of ``by``, and

        ================== ====================================================================
        time               start of the window (UTC); windows without jobs are left out
        jobs, not_started  jobs created then; of these not seen started: waiting, or cancelled before start
        p50, p95, …        Kaplan–Meier quantile of the queue latency [s]; inf where not reached
        p50_lower_bound, … the same with ages taken as final waits: never above the truth
        ================== ====================================================================

        ``attrs["width_s"]`` is the width of a window [s].

    Raises
    ------
    TypeError, FrameError, FileError
        ``jobs`` is no source of jobs, lacks a column, or cannot be read.
    SettingsError
        ``q`` is not between 0 and 1; ``freq`` is no width, or finer than the histogram; ``tz`` is no zone.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Scenario
    >>> with cn.Emulator(scenario=Scenario(jobs=400, duration_h=1.0)) as emulator:
    ...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
    >>> cn.plots.latency_over_time_data(jobs, freq="10min").columns.tolist()
    ['time', 'jobs', 'not_started', 'p50', 'p50_lower_bound', 'p95', 'p95_lower_bound']
    """
    names, shares, tz = list(group_columns(by)), sorted(read_shares(tuple(q))), axes.zone_name(tz)
    counted, key, width_ms, told = _count_windows(jobs, names, freq, tz)
    table = flat(durations(counted, [*names, key], shares), names)
    table = table[table[key].notna()].rename(columns={"open": "not_started", key: "time"})
    sizes = flat(numbers(counted, names), names) if names else table
    table, cut = keep_largest(table, names, sizes, most=axes.MOST_GROUPS)
    known = [column for share in shares for column in (name_of(share), f"{name_of(share)}_lower_bound")]
    table = table[[*names, "time", "jobs", "not_started", *known]].reset_index(drop=True)
    more = {"q": shares, "width_s": width_ms / 1000, "tz": tz}
    table.attrs = describe(jobs, names, cut, about_row(told), **more)
    return table


def _count_windows(
    jobs: Any, by: Sequence[str], freq: Width, tz: str
) -> tuple[Counted, str, int, pd.DataFrame]:
    """Count the queue latency by windows; return their column in the counts, their width [ms] and the numbers of jobs, too."""
    windows = None if freq is None else Windows.of(freq, tz)
    by_window = {"jobs": (*by, "outcome", "time"), "queue_latency": (*by, "time")}
    if windows is not None and not windows.whole_hours:  # only single jobs know
        counted = count_all(jobs, by_window, windows=windows)
        return counted, "time", windows.width, numbers(counted)
    counted = count_with_numbers(jobs, {"queue_latency": by})
    told = numbers(counted)
    if windows is None:
        width = axes.window_width(told.attrs["first"], told.attrs["last"])
        windows = Windows.of(width, tz)
        windows = windows if windows.whole_hours else Windows.of(width, "UTC")
    if windows.width == HOUR_MS:
        return counted, "hour", HOUR_MS, told
    return count_all(counted, by_window, windows=windows), "time", windows.width, told


def latency_over_time(
    jobs: Any = None,
    *,
    by: By = None,
    q: Shares = (0.5, 0.95),
    freq: Width = None,
    tz: Zone = axes.DISPLAY_ZONE,
    markers: Any = None,
    ax: Axes | None = None,
    figsize: Size = None,
    data: Data = None,
) -> Axes:
    """Draw the queue latency of the jobs created in each window of time, and how many there were.

    Parameters
    ----------
    jobs, by, q, freq, tz
        As in :func:`latency_over_time_data`; of several groups their highest quantile only is drawn.
    markers : dict, pandas.DataFrame or list of pairs, optional
        Deploys, incidents: time → text, or columns ``time`` and ``text``; a thin line at each. A time without a zone is
        in ``tz``.
    ax, figsize, data
        As in :func:`cosai_nb.plots.queue_latency`; ``data`` is what :func:`latency_over_time_data` returned.

    Returns
    -------
    matplotlib.axes.Axes
        Lines on a logarithmic axis with room for 0 s; the band reaches from the lowest quantile to the highest. An upward
        triangle stands at the lower bound of a quantile that is not reached because jobs still wait. The bars at the bottom
        are jobs created per window.

    Raises
    ------
    TypeError, FrameError, FileError, SettingsError
        As :func:`latency_over_time_data`; or ``markers`` are none, or ``data`` is not what it returned.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Scenario
    >>> with cn.Emulator(scenario=Scenario(jobs=400, duration_h=1.0)) as emulator:
    ...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
    >>> cn.plots.latency_over_time(jobs, freq="10min").get_title(loc="left").strip()
    'Queue latency over time'
    """
    data = latency_over_time_data(jobs, by=by, q=q, freq=freq, tz=tz) if data is None else data
    data, about_it = axes.split_data(data, "latency_over_time")
    names, quantiles, zone = about_it["by"], [name_of(share) for share in about_it["q"]], about_it["tz"]
    ax = axes.new_axes(ax, figsize, (9.6, 4.6))
    bounds = data[[f"{name}_lower_bound" for name in quantiles]].to_numpy()
    if not np.isfinite(bounds).any():
        return axes.nothing_known(ax, about_it["about"])
    shown, width = quantiles[-1:] if names else quantiles, pd.Timedelta(seconds=about_it["width_s"])
    entries = _draw_windows(ax, data, about_it, shown)
    if np.isinf(data[shown].to_numpy()).any():
        bound = axes.legend_handle(axes.ink(), marker="^", hollow=True, size=_TRIANGLE)
        entries.append(Entry(bound, "lower bound", "too few have started"))
    finite = data[quantiles].to_numpy()
    longest = max(np.nanmax(bounds), np.max(finite, initial=0, where=np.isfinite(finite)))
    axes.duration_log_axis(ax, "y", longest, f"queue latency {' and '.join(shown)}")
    entries.append(axes.count_bars(ax, data, width))
    ax.grid(alpha=0.25)
    axes.clock_axis(ax.xaxis, zone, "time of creation")
    title = "Queue latency over time"
    return axes.finish(ax, title, about_it, entries, zone=zone, markers=markers)


def _draw_windows(
    ax: Axes, data: pd.DataFrame, about_it: dict[str, Any], shown: Sequence[str]
) -> list[Entry]:
    """Draw a line for each group and quantile; between the outer quantiles of a single group, a band."""
    entries = []
    tables, width = by_group(data, about_it["by"]), pd.Timedelta(seconds=about_it["width_s"])
    groups = Groups.of(about_it, [key for key, _ in tables])
    for number, (key, table) in enumerate(tables):
        whole = axes.without_gaps(table, width)
        middle = axes.day_numbers(whole["time"] + width / 2)
        known = table[table[f"{shown[0]}_lower_bound"].notna()]
        times = axes.window_words(known["time"], width, about_it["tz"])
        middles = axes.day_numbers(known["time"] + width / 2)
        if len(shown) > 1:
            low, high = (whole[name].replace(np.inf, np.nan) for name in (shown[0], shown[-1]))
            band = axes.group_style(1).color
            ax.fill_between(middle, low, high, color=band, alpha=0.15, linewidth=0, step="mid")
        for place, name in enumerate(shown):
            style = axes.group_style(number if len(shown) == 1 else place)
            drawn = _draw_line(ax, middle, whole, name, style)
            if drawn is not None:
                short, long = (f"{of[key]} {name}".strip() for of in (groups.short, groups.whole))
                words, seconds = _words(known, name, times)
                series = Series(long, style.color, words, middles, seconds, pick=groups.picks[key])
                entries.append(Entry(drawn, short, series=series))
    return entries


def _words(windows: pd.DataFrame, name: str, times: Sequence[str]) -> tuple[list[str], Floats]:
    """Say what a quantile was in each window; return also where its point stands."""
    exact, bound = windows[name], windows[f"{name}_lower_bound"]
    seconds = exact.where(np.isfinite(exact), bound).to_numpy()
    how = np.where(np.isinf(exact), "lower bound", "")
    rows = zip(times, seconds.tolist(), how.tolist(), windows["jobs"].tolist(), strict=True)
    words = [
        f"{time}: {quantile(name, second, how=known)}, {jobs_in_words(jobs)}"
        for time, second, known, jobs in rows
    ]
    return words, seconds


def _draw_line(ax: Axes, middle: Floats, whole: pd.DataFrame, name: str, style: Style) -> Artist | None:
    """Draw the windows of one quantile; return what stands for it in the legend, None where nothing is known of it."""
    seconds = whole[name].to_numpy()
    known, open_end = np.isfinite(seconds), np.isinf(seconds)
    if known.any():
        line: Look = {"color": style.color, "ls": style.dash, "lw": 1.5, "drawstyle": "steps-mid"}
        ax.plot(middle, np.where(known, seconds, np.nan), **line)
    alone = known & ~np.append(known[1:], False) & ~np.append(False, known[:-1])
    if alone.any():
        ax.plot(middle[alone], seconds[alone], style.marker, color=style.color, markersize=4)
    if open_end.any():
        bound = whole[f"{name}_lower_bound"].to_numpy()
        paper = ax.get_facecolor()
        ax.plot(middle[open_end], bound[open_end], "^", color=style.color, mfc=paper, ms=_TRIANGLE)
    if known.any():
        marker = style.marker if alone.all() else ""
        return axes.legend_handle(style.color, dash=style.dash, marker=marker, size=4)
    return (
        axes.legend_handle(style.color, marker="^", hollow=True, size=_TRIANGLE) if open_end.any() else None
    )


def draw_overview(told: pd.DataFrame, inches: float, tz: str) -> Axes:
    """Draw how many jobs were created in each window, and their p95 above it on a scale of its own."""
    side, below = _SIDE_IN / inches, _BELOW_IN / _OVERVIEW_IN
    # a fixed place for the data: a layout takes longer than to draw
    ax = Figure(figsize=(inches, _OVERVIEW_IN)).add_axes((side, below, 1 - 2 * side, 0.96 - below))
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.set_yticks([])
    if told.empty:
        return axes.show_message(ax, "No jobs to show.")
    width = pd.Timedelta(seconds=told.attrs["width_s"])
    days = width / pd.Timedelta("1D")
    whole = axes.without_gaps(told, width)
    begin, jobs = axes.day_numbers(whole["time"]), whole["jobs"].fillna(0).to_numpy(dtype=np.float64)
    tall = max(jobs.max(), 1.0)
    edges = np.append(begin, begin[-1] + days)
    axes.stairs(ax, jobs, edges, fill=True, color=axes.GREY, alpha=0.45)
    seconds = whole["p95"].where(np.isfinite(whole["p95"]), whole["p95_lower_bound"])
    high = np.log1p(seconds.to_numpy(dtype=np.float64))
    ax.plot(
        begin + days / 2, high / max(np.nanmax(high, initial=0.0), 1.0) * tall, color=axes.BLUE, linewidth=1.4
    )
    words = [
        f"{window(time, width)}: {jobs_in_words(number)} created, p95 {duration(known)}"
        for time, number, known in zip(axes.local_times(whole["time"], tz), jobs, whole["p95"], strict=True)
    ]
    ax.set_xlim(begin[0], begin[-1] + days)
    ax.set_ylim(0, tall * 1.05)
    axes.clock_axis(ax.xaxis, tz)
    ax.set_xlabel("")
    ax.tick_params(labelsize="small")
    boxes = np.column_stack([begin, np.zeros_like(jobs), begin + days, np.full_like(jobs, tall * 1.05)])
    mark(ax, [Series("jobs created", axes.GREY, words, boxes=boxes)], zone=tz)
    return ax


# --- by weekday and hour ---


def heatmap_data(jobs: Any, *, q: float | None = 0.95, tz: Zone = axes.DISPLAY_ZONE) -> pd.DataFrame:
    """Return the 168 hours of the week that :func:`heatmap` draws.

    Parameters
    ----------
    jobs : pandas.DataFrame, path, JobStore or DurationHistogram
        One row per job, or their histogram.
    q : float or None
        The quantile of the queue latency; None for the number of jobs alone.
    tz : str or tzinfo
        Time zone of weekday and hour. The histogram knows full hours of UTC; a zone that is off by half an hour puts
        each in the hour in which it begins.

    Returns
    -------
    pandas.DataFrame, 168 rows
        ``weekday`` (category, Mon to Sun), ``hour`` (0 to 23), ``jobs``, ``not_started`` (waiting, or cancelled before start), ``p95``
        [s] (Kaplan–Meier; inf where not reached, NaN where there are no jobs) and ``p95_lower_bound``.

    Raises
    ------
    TypeError, FrameError, FileError
        ``jobs`` is no source of jobs, lacks a column, or cannot be read.
    SettingsError
        ``q`` is not between 0 and 1; ``tz`` is no time zone.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Scenario
    >>> with cn.Emulator(scenario=Scenario(jobs=400, duration_h=1.0)) as emulator:
    ...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
    >>> cn.plots.heatmap_data(jobs).columns.tolist()
    ['weekday', 'hour', 'jobs', 'not_started', 'p95', 'p95_lower_bound']
    """
    zone = axes.zone_name(tz)
    counted = count_with_numbers(jobs, {"queue_latency": ()})
    cells = durations_by_weekday(counted, () if q is None else (q,), tz=zone).reset_index()
    weekday = pd.Categorical(np.repeat(_DAYS, _HOURS), categories=_DAYS, ordered=True)
    cells = cells.assign(weekday=weekday).rename(columns={"open": "not_started"})
    cells = cells.drop(columns=["min", "mean", "max", "goes_on"])
    cells.attrs = {"about": about(counted), "q": q, "tz": zone}
    return cells


def heatmap(
    jobs: Any = None,
    *,
    q: float | None = 0.95,
    tz: Zone = axes.DISPLAY_ZONE,
    ax: Axes | None = None,
    figsize: Size = None,
    data: Data = None,
) -> Axes:
    """Draw a quantile of the queue latency by weekday and hour of creation; an hour without jobs is hatched, not 0.

    Parameters
    ----------
    jobs, q, tz
        As in :func:`heatmap_data`.
    ax, figsize, data
        As in :func:`cosai_nb.plots.queue_latency`; ``data`` is what :func:`heatmap_data` returned.

    Returns
    -------
    matplotlib.axes.Axes
        A ``≥`` in a cell: the quantile is not reached because jobs still wait; the colour is that of its lower bound.

    Raises
    ------
    TypeError, FrameError, FileError, SettingsError
        As :func:`heatmap_data`; or ``data`` is not what it returned.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Scenario
    >>> with cn.Emulator(scenario=Scenario(jobs=400, duration_h=1.0)) as emulator:
    ...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
    >>> cn.plots.heatmap(jobs).get_title(loc="left").strip()
    'Queue latency p95 by weekday and hour'
    """
    data = heatmap_data(jobs, q=q, tz=tz) if data is None else data
    data, about_it = axes.split_data(data, "heatmap")
    q, zone = about_it["q"], about_it["tz"]
    ax = axes.new_axes(ax, figsize, (9.6, 3.9))
    name = "jobs" if q is None else name_of(q)
    values = _shown_values(data, name)
    if not np.isfinite(values).any():
        return axes.nothing_known(ax, about_it["about"])
    most = float(values[np.isfinite(values)].max())
    # by factors; a wait of 0 s has the colour of 1 s
    norm = Normalize(0, most) if q is None else LogNorm(1, max(most, 10), clip=True)
    known = np.ma.masked_invalid(values.reshape(len(_DAYS), _HOURS))
    mesh = ax.pcolormesh(known, norm=norm, cmap="cividis", edgecolor=ax.get_facecolor())
    ax.patch.set(edgecolor=axes.GREY, hatch="////", linewidth=0)
    places = np.flatnonzero(np.isinf(data[name]))
    if len(places):
        _draw_open_ends(ax, places, norm(values))
    _label_cells(ax, zone)
    what = f"queue latency {name}"
    _add_colorbar(ax, mesh, "jobs" if q is None else what)
    open_ends = "; ≥: lower bound, too few have started" if len(places) else ""
    said = f"{facts(about_it['about'])}; hatched: no jobs{open_ends}"
    title = "Jobs created" if q is None else what.capitalize()
    cells = _cells_pointed_at(data, name, values, to_hex(mesh.cmap(0.5)))
    what = f"{title} by weekday and hour"
    return axes.finish(ax, what, about_it, [], series=[cells], said=said, left=_DAY_WIDTH)


def _shown_values(cells: pd.DataFrame, name: str) -> Floats:
    if name == "jobs":
        return cells["jobs"].where(cells["jobs"] > 0).to_numpy(dtype=np.float64)
    return cells[name].where(np.isfinite(cells[name]), cells[f"{name}_lower_bound"]).to_numpy()


def _draw_open_ends(ax: Axes, places: np.ndarray, shades: Any) -> None:
    size = min(72 * ax.bbox.width / ax.figure.dpi / _HOURS * 0.45, 9)
    ink = np.where(shades[places] > 0.5, "#111111", "#eeeeee").tolist()  # noqa: PLR2004 - the lighter half of the colours
    ax.scatter(places % _HOURS + 0.5, places // _HOURS + 0.5, size**2, ink, marker=r"$\geq$", linewidths=0.3)


def _label_cells(ax: Axes, tz: str) -> None:
    ax.set_yticks(np.arange(len(_DAYS)) + 0.5, labels=_DAYS)
    ax.set_xticks(np.arange(0, _HOURS, 2), labels=[f"{hour:02d}" for hour in range(0, _HOURS, 2)])
    ax.set_ylim(len(_DAYS), 0)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    axes.label_axis(ax.xaxis, f"hour of creation ({label(tz)})")


def _add_colorbar(ax: Axes, mesh: Any, text: str) -> None:
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=axes.text_size(ax))
    axes.label_axis(bar.ax.yaxis, text, size=axes.text_size(ax))
    if isinstance(mesh.norm, LogNorm):
        axes.duration_ticks(bar.ax.yaxis, mesh.norm.vmax or 1)
    else:
        bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))


def _cells_pointed_at(cells: pd.DataFrame, name: str, values: Floats, color: str) -> Series:
    words, picks, boxes = [], [], []
    for number, (jobs, exact) in enumerate(zip(cells["jobs"].tolist(), cells[name].tolist(), strict=True)):
        row, hour = divmod(number, _HOURS)
        how = "lower bound" if np.isinf(exact) else ""
        said = [] if name == "jobs" or not jobs else [quantile(name, values[number], how=how)]
        said.append(jobs_in_words(jobs) if jobs else "no jobs")
        words.append(f"{WEEKDAYS[row]} {hour:02d}:00–{hour + 1:02d}:00: {', '.join(said)}")
        picks.append((("weekday", WEEKDAYS[row]), ("hour", str(hour))) if jobs else None)
        boxes.append((hour, row + 1, hour + 1, row))
    return Series("hours of the week", color, words, boxes=np.array(boxes, dtype=np.float64), picks=picks)
