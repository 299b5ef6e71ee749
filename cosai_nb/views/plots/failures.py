"""What fails: rates with their intervals, by group or over time, and which errors weigh most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, MaxNLocator

from cosai_nb.stats.failures import error_pareto as pareto_summary
from cosai_nb.stats.failures import failure_rates as rate_summary
from cosai_nb.stats.load import count_with_numbers
from cosai_nb.stats.measures import Windows, group_columns
from cosai_nb.views import wording
from cosai_nb.views.figure import Series
from cosai_nb.views.plots import axes
from cosai_nb.views.plots.axes import Entry
from cosai_nb.views.plots.text import Groups, by_group, describe, flat, keep_largest, keys_of, label
from cosai_nb.views.wording import NO_JOBS, NO_TIMES, about, error_name, facts, jobs_in_words, share, when

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from cosai_nb.views.plots.axes import By, Data, Look, Size, Width, Zone
    from cosai_nb.views.wording import About

_MOST_ROWS = 20
_FEW_WINDOWS = 60
_MOST_ERRORS = 12
_ERROR_COLUMNS, _CODE_COLUMNS = 52, 28
_ERROR = ["code", "message", "jobs", "share", "cumulated_share", "first_seen", "last_seen"]
_RATES = "failure rate (95 % interval)"


# --- rates ---


def failure_rates_data(
    jobs: Any, *, by: By = None, freq: Width = None, tz: Zone = axes.DISPLAY_ZONE
) -> pd.DataFrame:
    """Return the rates that :func:`failure_rates` draws.

    Parameters
    ----------
    jobs : pandas.DataFrame, path, JobStore or DurationHistogram
        One row per job, or their histogram.
    by : str or list of str, optional
        Columns to group by. The 20 groups with the most jobs are kept, with ``freq`` the seven.
    freq : str or timedelta, optional
        Width of the windows of creation time; a histogram knows full hours.
    tz : str or tzinfo
        Zone of the windows.

    Returns
    -------
    pandas.DataFrame
        The columns of ``by``, with ``freq`` also ``time`` (start of the window, UTC), and of
        :func:`cosai_nb.failure_rates` the columns ``jobs, ended, failed, unfinished, waiting, rate, low, high, rate_ended``.
        Without ``freq`` the highest rate stands first.

    Raises
    ------
    TypeError, FrameError, FileError
        ``jobs`` is no source of jobs, lacks a column, cannot be read, or is grouped by what decides whether a job failed.
    SettingsError
        ``freq`` is no width, or is finer than the histogram; ``tz`` is no time zone.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Scenario
    >>> with cn.Emulator(scenario=Scenario(jobs=400, duration_h=1.0)) as emulator:
    ...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
    >>> cn.plots.failure_rates_data(jobs, by="tag").columns.tolist()
    ['tag', 'jobs', 'ended', 'failed', 'unfinished', 'waiting', 'rate', 'low', 'high', 'rate_ended']
    """
    names, zone = list(group_columns(by)), axes.zone_name(tz)
    counted = jobs
    if freq is None or Windows.of(freq, zone).whole_hours:  # else only single jobs know
        wanted = {"run_time": tuple(dict.fromkeys((*names, "outcome", "code")))}
        counted = count_with_numbers(jobs, wanted)
    summary = rate_summary(counted, by=names or None, freq=freq, tz=zone, detail=True)
    width = None if freq is None else pd.Timedelta(freq).total_seconds()
    return rates_shown(summary, names, describe(jobs, names, {}, about(counted), width_s=width, tz=zone))


def rates_shown(table: pd.DataFrame, names: list[str], told: dict[Any, Any]) -> pd.DataFrame:
    """Return :func:`failure_rates_data` of what :func:`cosai_nb.failure_rates` said; ``told`` are its attrs, without ``drawn``."""
    over_time = told["width_s"] is not None
    summary = flat(table, names)
    summary, cut = keep_largest(summary, names, summary, most=axes.MOST_GROUPS if over_time else _MOST_ROWS)
    if names and not over_time:
        middle = summary["rate"].fillna((summary["low"] + summary["high"]) / 2)
        summary = summary.iloc[np.argsort(-middle.to_numpy(), kind="stable")].reset_index(drop=True)
    columns = ["jobs", "ended", "failed", "unfinished", "waiting", "rate", "low", "high", "rate_ended"]
    shown = summary[[*names, *(["time"] if over_time else []), *columns]]
    shown.attrs = {**told, "drawn": cut}
    return shown


def failure_rates(
    jobs: Any = None,
    *,
    by: By = None,
    freq: Width = None,
    tz: Zone = axes.DISPLAY_ZONE,
    markers: Any = None,
    ax: Axes | None = None,
    figsize: Size = None,
    data: Data = None,
) -> Axes:
    """Draw the share of jobs that fail, with its 95 % interval and the number of jobs beside it.

    Parameters
    ----------
    jobs, by, freq, tz
        As in :func:`failure_rates_data`; with ``freq`` the rate is drawn over time.
    markers : dict, pandas.DataFrame or list of pairs, optional
        As in :func:`cosai_nb.plots.latency_over_time`; drawn with ``freq``.
    ax, figsize, data
        As in :func:`cosai_nb.plots.queue_latency`; ``data`` is what :func:`failure_rates_data` returned.

    Returns
    -------
    matplotlib.axes.Axes
        A point per group; an interval without a point is a rate that unfinished jobs still decide. Over time there is a gap
        where more jobs wait than have ended.

    Raises
    ------
    TypeError, FrameError, FileError, SettingsError
        As :func:`failure_rates_data`; or ``markers`` are none, or ``data`` is not what it returned.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Scenario
    >>> with cn.Emulator(scenario=Scenario(jobs=400, duration_h=1.0)) as emulator:
    ...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
    >>> cn.plots.failure_rates(jobs, by="tag").get_title(loc="left").strip()
    'Failure rate by tag'
    """
    data = failure_rates_data(jobs, by=by, freq=freq, tz=tz) if data is None else data
    data, about_it = axes.split_data(data, "failure_rates")
    over_time = about_it["width_s"] is not None
    size = (9.6, 4.6) if over_time else (8.6, 1.7 + 0.36 * max(len(data), 3))
    ax = axes.new_axes(ax, figsize, size)
    if not about_it["about"].jobs:
        return axes.show_message(ax, NO_JOBS)
    if not data["ended"].any():
        return axes.show_message(ax, wording.NO_RATE)
    if over_time and data["time"].isna().all():
        return axes.show_message(ax, NO_TIMES)
    if over_time:
        return _draw_over_time(ax, data[data["time"].notna()], about_it, markers)
    return _draw_points(ax, data, about_it)


def _draw_points(ax: Axes, rates: pd.DataFrame, about_it: dict[str, Any]) -> Axes:
    """Draw a rate a row."""
    place = np.arange(len(rates))
    low, high, rate = (rates[name].to_numpy() for name in ("low", "high", "rate"))
    ax.hlines(place, low, high, color=axes.VERMILION, linewidth=5, alpha=0.35)
    ax.plot(rate, place, "o", color=axes.VERMILION, markersize=8, clip_on=False, zorder=3)
    keys = keys_of(rates, about_it["by"])
    groups = Groups.of(about_it, keys, longest=30, alone="all jobs")
    notes = [
        f"{share(part) if np.isfinite(part) else 'undecided'}: {failed:,} of {ended:,} ended"
        for part, failed, ended in zip(rate, rates["failed"], rates["ended"], strict=True)
    ]
    rows = axes.label_rows(ax, [groups.short[key] for key in keys], notes)
    ax.set_xlim(0, min(max(high.max() * 1.08, 0.01), 1.02))
    _percent_axis(ax.xaxis, _RATES)
    ax.grid(axis="x", alpha=0.25)
    words = [f"{groups.whole[key]}: {said}" for key, said in zip(keys, _words(rates), strict=True)]
    boxes, picks = axes.row_boxes(np.zeros(len(rates)), high), [groups.picks[key] for key in keys]
    series = Series("failure rate", axes.VERMILION, words, boxes=boxes, picks=picks)
    return axes.finish(ax, "Failure rate", about_it, [], series=[series], left=rows.left)


def _percent_axis(axis: Axis, text: str) -> None:
    """Make an axis count shares in percent."""
    most = 6 if axes.text_size(axis.axes) == "medium" else 4
    axis.set_major_locator(MaxNLocator(nbins=most, min_n_ticks=2, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    axes.label_axis(axis, text)


def _words(rates: pd.DataFrame) -> Iterable[str]:
    row: Any
    for row in rates.itertuples(index=False):
        rate = share(row.rate) if np.isfinite(row.rate) else "undecided"
        yield f"failure rate {rate} ({share(row.low)} to {share(row.high)}), {row.failed:,} of {row.ended:,} ended"


def _draw_over_time(ax: Axes, rates: pd.DataFrame, about_it: dict[str, Any], markers: Any) -> Axes:
    by, zone = about_it["by"], about_it["tz"]
    width = pd.Timedelta(seconds=about_it["width_s"])
    # of a window whose jobs wait more than they have ended those are left that waited least: another queue, another rate
    drawn = rates["waiting"] <= rates["ended"]
    rates = rates.assign(**{name: rates[name].where(drawn) for name in ("rate", "low", "high")})
    tables = by_group(rates, by)
    groups = Groups.of(about_it, [key for key, _ in tables], alone="failure rate")
    entries = []
    for number, (key, some) in enumerate(tables):
        style, part = axes.group_style(number), axes.without_gaps(some, width)
        middle = axes.day_numbers(part["time"] + width / 2)
        alone = part["rate"].notna() & part["rate"].shift(1).isna() & part["rate"].shift(-1).isna()
        ax.plot(middle, part["rate"], color=style.color, linestyle=style.dash, clip_on=False)
        marked = alone | (part["rate"].notna() & (len(part) <= _FEW_WINDOWS))
        if marked.any():  # no marks at all would still claim room in the layout
            look: Look = {"color": style.color, "ms": 4, "clip_on": False}
            ax.plot(middle[marked], part["rate"][marked], style.marker, **look)
        line = axes.legend_handle(style.color, dash=style.dash, marker=style.marker, size=4)
        known = some[some["rate"].notna()]
        times = axes.window_words(known["time"], width, zone)
        words = [f"{time}: {one}" for time, one in zip(times, _words(known), strict=True)]
        middles, rate = axes.day_numbers(known["time"] + width / 2), known["rate"].to_numpy()
        series = Series(groups.whole[key], style.color, words, middles, rate, pick=groups.picks[key])
        entries.append(Entry(line, groups.short[key], series=series))
        if not by:
            ax.fill_between(middle, part["low"], part["high"], color=style.color, alpha=0.3, linewidth=0)
            low, high = (part.loc[alone, name] for name in ("low", "high"))
            ax.vlines(middle[alone], low, high, color=style.color, alpha=0.35, linewidth=3)
    top = float(np.nanmax([rates["rate"].max() * 1.4, rates["high"].median() * 1.2, 0.01]))
    ax.set_ylim(0, min(top, 1.02))
    entries.append(axes.count_bars(ax, rates, width))
    _percent_axis(ax.yaxis, "failure rate" if by else _RATES)
    axes.clock_axis(ax.xaxis, zone, "time of creation")
    ax.grid(alpha=0.25)
    title = "Failure rate over time"
    return axes.finish(ax, title, about_it, entries, zone=zone, markers=markers)


# --- errors ---


def error_pareto_data(jobs: Any, *, most: int = _MOST_ERRORS) -> pd.DataFrame:
    """Return the errors that :func:`error_pareto` draws.

    Parameters
    ----------
    jobs : pandas.DataFrame, path, JobStore or DurationHistogram
        One row per job; or their histogram, which knows the codes but no messages.
    most : int
        Number of errors.

    Returns
    -------
    pandas.DataFrame
        Of :func:`cosai_nb.error_pareto` the first rows and the columns ``code, message, jobs, share, cumulated_share,
        first_seen, last_seen``; shares are of all failed jobs.

    Raises
    ------
    TypeError, FrameError, FileError
        ``jobs`` is no source of jobs, lacks a column, or cannot be read.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Scenario
    >>> with cn.Emulator(scenario=Scenario(jobs=400, duration_h=1.0)) as emulator:
    ...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
    >>> cn.plots.error_pareto_data(jobs, most=3).columns.tolist()
    ['code', 'message', 'jobs', 'share', 'cumulated_share', 'first_seen', 'last_seen']
    """
    return errors_shown(pareto_summary(jobs), about(jobs), most)


def errors_shown(errors: pd.DataFrame, of: About, most: int = _MOST_ERRORS) -> pd.DataFrame:
    """Return :func:`error_pareto_data` of what :func:`cosai_nb.error_pareto` said."""
    drawn = errors[_ERROR].head(most)
    drawn.attrs = {"about": of, "errors": len(errors), "failed": int(errors["jobs"].sum())}
    return drawn


def error_pareto(
    jobs: Any = None,
    *,
    most: int = _MOST_ERRORS,
    tz: Zone = axes.DISPLAY_ZONE,
    ax: Axes | None = None,
    figsize: Size = None,
    data: Data = None,
) -> Axes:
    """Draw the errors by their share of all failures, and what they add up to.

    Parameters
    ----------
    jobs, most
        As in :func:`error_pareto_data`.
    tz : str or tzinfo
        Time zone in which first and last time of an error are said.
    ax, figsize, data
        As in :func:`cosai_nb.plots.queue_latency`; ``data`` is what :func:`error_pareto_data` returned.

    Returns
    -------
    matplotlib.axes.Axes
        A bar per code and message, and a line for the cumulated share.

    Raises
    ------
    TypeError, FrameError, FileError, SettingsError
        As :func:`error_pareto_data`; or ``tz`` is no time zone, or ``data`` is not what it returned.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Scenario
    >>> with cn.Emulator(scenario=Scenario(jobs=400, duration_h=1.0)) as emulator:
    ...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
    >>> cn.plots.error_pareto(jobs, most=3).get_title(loc="left").strip()
    'Why jobs fail'
    """
    data = error_pareto_data(jobs, most=most) if data is None else data
    (data, about_it), zone = axes.split_data(data, "error_pareto"), axes.zone_name(tz)
    ax = axes.new_axes(ax, figsize, (9.6, 1.7 + 0.36 * max(len(data), 3)))
    if data.empty:
        return axes.show_message(ax, wording.NO_FAILURE if about_it["about"].jobs else NO_JOBS)
    every, failed, place = about_it["errors"], about_it["failed"], np.arange(len(data))
    names = [_error_name(code, message) for code, message in zip(data["code"], data["message"], strict=True)]
    notes = [
        f"{jobs_in_words(number)}, {share(part)}"
        for number, part in zip(data["jobs"], data["share"], strict=True)
    ]
    rows = axes.label_rows(ax, names, notes)
    ax.barh(place, data["share"], color=axes.VERMILION, height=rows.bar)
    marks = "o-" if rows.left else "o"  # a line would cross what stands above the bars
    (line,) = ax.plot(data["cumulated_share"], place, marks, color=axes.GREY, linewidth=1, markersize=4)
    ax.set_xlim(0, 1.02)
    _percent_axis(ax.xaxis, "share of all failed jobs")
    ax.grid(axis="x", alpha=0.25)
    rest = f", the {len(data)} most frequent of {every:,} errors" if every > len(data) else ""
    words = [
        f"{error_name(row, ': ')}: {note} of the failures{_seen(row, zone)}"
        for row, note in zip(data.to_dict("records"), notes, strict=True)
    ]
    picks = [(("code", code),) for (code,) in keys_of(data, ["code"])]
    boxes = axes.row_boxes(np.zeros(len(data)), data["share"])
    series = Series("errors", axes.VERMILION, words, boxes=boxes, picks=picks)
    said, entries = f"{failed:,} failed of {facts(about_it['about'])}{rest}", [Entry(line, "cumulated share")]
    return axes.finish(ax, "Why jobs fail", about_it, entries, series=[series], said=said, left=rows.left)


def _error_name(code: Any, message: Any) -> str:
    """Return code and message in one label; the code keeps its room."""
    short = label(code, longest=_CODE_COLUMNS)
    if pd.isna(message) or not str(message).strip():
        return short
    return f"{short}: {label(message, longest=_ERROR_COLUMNS - len(short))}"


def _seen(row: Any, zone: str) -> str:
    if pd.isna(row["first_seen"]):
        return ""
    return f", from {when(row['first_seen'], zone)} to {when(row['last_seen'], zone)}"
