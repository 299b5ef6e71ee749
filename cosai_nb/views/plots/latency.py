"""How long jobs wait, and how long they run: the whole distribution, with the jobs that have not finished counted in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter

from cosai_nb.stats.counts import RECENT_MS, count_all
from cosai_nb.stats.durations import durations, survival_curves
from cosai_nb.stats.growth import QUEUE_KEYS
from cosai_nb.stats.latency import NEEDS_JOBS, count_latency, latency_of, name_of, queues_behind, read_shares
from cosai_nb.stats.load import count_with_numbers, numbers
from cosai_nb.stats.measures import group_columns
from cosai_nb.views.figure import Series
from cosai_nb.views.plots import axes
from cosai_nb.views.plots.axes import Entry
from cosai_nb.views.plots.text import Groups, by_group, describe, flat, keep_largest, plain, queue_names
from cosai_nb.views.wording import about, about_row, duration, is_projected, jobs_in_words, quantile, share

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes

    from cosai_nb.stats.counts import Counted
    from cosai_nb.stats.measures import Floats
    from cosai_nb.views.plots.axes import By, Data, Look, Shares, Size, Style

_POINT, _TICK = 7, 8
"""Points: size of a quantile's mark, and of a tick across a curve."""
_SHARES = (0, 0.5, 0.9, 0.95, 0.99, 0.999, 0.75)
_EXACT_POINTS = 400
_STEPS_OF_SHARE, _STEPS_OF_LOG = 500, 60
_MOST_WORDS = 120
"""Points of a curve that are put into words: a page holds them all."""
LOWER_BOUND = "lower bound"


class _Measure(NamedTuple):
    """How a duration is named in columns and plot, and what its jobs have done at its end, and do until then."""

    name: str
    title: str
    done: str
    open: str


MEASURES = {
    "queue_latency": _Measure("queue_latency", "Queue latency", "started", "waiting"),
    "run_time": _Measure("run_time", "Run time", "ended", "running"),
    "total_time": _Measure("total_time", "Total time, creation to end", "ended", "unfinished"),
}


def queue_latency_data(jobs: Any, *, by: By = None, q: Shares = (0.5, 0.95)) -> pd.DataFrame:
    """Return the curves that :func:`queue_latency` draws.

    Parameters
    ----------
    jobs : pandas.DataFrame, path, JobStore or DurationHistogram
        One row per job, or their histogram.
    by : str or list of str, optional
        Columns to group by; the seven largest groups are kept. A queue is named where ``jobs`` has a column ``queue_name``.
    q : sequence of float
        Quantiles between 0 and 1 to read off.

    Returns
    -------
    pandas.DataFrame
        The columns of ``by``, and

        =================== =========================================================================
        queue_latency_s     seconds, rising
        started_share       share of the jobs that have started by then: 1 − Kaplan–Meier
        started             jobs that started then, or since the row before
        not_started         jobs that were last seen then without a start: waiting, or cancelled before start
        =================== =========================================================================

        Above 400 distinct seconds a group's curve is thinned to steps that can be seen; the values kept are exact.
        ``attrs["quantiles"]``: of each group, in order, what :func:`cosai_nb.queue_latency` says, as plain values.

    Raises
    ------
    TypeError, FrameError, FileError
        ``jobs`` is no source of jobs, lacks a column, or cannot be read.
    SettingsError
        ``q`` is not between 0 and 1.

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
    shares = tuple(sorted(read_shares(tuple(q))))
    names = group_columns(by)
    counted = count_latency(jobs, names)
    wanted = {"queue_latency": names, **QUEUE_KEYS, "jobs": (*names, "queue_id")}
    by_queue = count_all(counted, wanted, recent_ms=RECENT_MS)
    summary = latency_of(by_queue, queues_behind(by_queue), names, shares)
    return latency_curves(counted, summary, by=by, q=shares, names=queue_names(jobs, names))


def run_time_data(jobs: Any, *, by: By = None, q: Shares = (0.5, 0.95)) -> pd.DataFrame:
    """Return the curves that :func:`run_time` draws.

    Parameters
    ----------
    jobs, by, q
        As in :func:`queue_latency_data`.

    Returns
    -------
    pandas.DataFrame
        As :func:`queue_latency_data`, with ``run_time_s``, ``ended_share``, ``ended`` and ``not_ended``, of the jobs that started.

    Raises
    ------
    TypeError, FrameError, FileError, SettingsError
        As :func:`queue_latency_data`.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Scenario
    >>> with cn.Emulator(scenario=Scenario(jobs=400, duration_h=1.0)) as emulator:
    ...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
    >>> cn.plots.run_time_data(jobs).columns.tolist()
    ['run_time_s', 'ended_share', 'ended', 'not_ended']
    """
    names, shares = group_columns(by), tuple(sorted(read_shares(tuple(q))))
    counted = count_with_numbers(jobs, {"run_time": names})
    summary = durations(counted, names, shares, measure="run_time").rename(columns={"open": "running"})
    summary["method"] = "estimate"
    more: Look = {"by": names, "q": shares, "names": queue_names(jobs, names), "measure": "run_time"}
    return latency_curves(counted, summary, **more)


def latency_curves(
    counted: Counted, summary: pd.DataFrame, *, by: By, q: Shares, names: Any, measure: str = "queue_latency"
) -> pd.DataFrame:
    """Return :func:`queue_latency_data` of jobs whose quantiles are known: what :func:`cosai_nb.queue_latency` said of them.

    ``names`` are those of the queues, by ID.
    """
    by, done = group_columns(by), MEASURES[measure].done
    curves = flat(survival_curves(counted, by, measure=measure), by)
    told = numbers(counted, by)
    curves, cut = keep_largest(curves, by, flat(told, by), most=axes.MOST_GROUPS)
    parts = [_thinned(part) for _, part in by_group(curves, by)]
    table = pd.concat(parts or [curves], ignore_index=True)
    drawn = table[[*by, "seconds"]].rename(columns={"seconds": f"{measure}_s"})
    drawn[f"{done}_share"] = 1 - table["survival"]
    drawn = drawn.assign(**{done: table["ended"], f"not_{done}": table["unfinished"]})
    largest = summary.sort_values("jobs", ascending=False, kind="stable").head(axes.MOST_GROUPS)
    rows = flat(largest, by).to_dict("records")
    known = [{**row, "key": plain(tuple(row[name] for name in by))} for row in rows]
    of = about(counted) if by else about_row(told)
    drawn.attrs = describe(counted, by, cut, of, q=sorted(q), quantiles=known) | {"names": dict(names)}
    return drawn


def _thinned(curve: pd.DataFrame) -> pd.DataFrame:
    """Keep the last second of each step that can be seen; what happened in between is counted there."""
    if len(curve) <= _EXACT_POINTS:
        return curve
    started = 1 - curve["survival"].to_numpy()
    step = np.floor(started * _STEPS_OF_SHARE) + np.floor(
        np.log1p(curve["seconds"].to_numpy()) * _STEPS_OF_LOG
    )
    last = np.append(step[1:] != step[:-1], True)
    jobs = {name: np.diff(np.cumsum(curve[name])[last], prepend=0) for name in ("ended", "unfinished")}
    return curve[last].assign(**jobs)


def queue_latency(
    jobs: Any = None,
    *,
    by: By = None,
    q: Shares = (0.5, 0.95),
    ax: Axes | None = None,
    figsize: Size = None,
    data: Data = None,
) -> Axes:
    """Draw which share of the jobs has started within which time, unfinished jobs counted.

    Parameters
    ----------
    jobs, by, q
        As in :func:`queue_latency_data`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new pyplot figure.
    figsize : tuple of float, optional
        Width and height of the new figure [inches].
    data : pandas.DataFrame, optional
        What :func:`queue_latency_data` returned, instead of ``jobs``, ``by`` and ``q``.

    Returns
    -------
    matplotlib.axes.Axes
        A Kaplan–Meier curve per group; the time axis is logarithmic with room for 0 s, the share axis gives the last
        10 % and the last 1 % as much room as the first 90 %. A tick across a curve marks jobs
        that were last seen without a start. The points are the quantiles of :func:`cosai_nb.queue_latency`; a hollow one is
        a projection and lies off the curve, which is too low where a queue that is served in order grows.

    Raises
    ------
    TypeError, FrameError, FileError, SettingsError
        As :func:`queue_latency_data`; or ``data`` is not what it returned.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": ["Success", "Submitted"], "QueueId": "q1",
    ...     "Tag": "Translation", "CreationTime": "2026-11-01T10:00:00+0800",
    ...     "StartTime": ["2026-11-01T10:00:07+0800", "-"], "EndTime": ["2026-11-01T10:00:09+0800", "-"]})
    >>> curve = queue_latency_data(cn.add_timings(texts, observed_at="2026-11-01T02:01:00Z"))
    >>> queue_latency(data=curve, figsize=(4, 3)).get_xlabel()
    'queue latency (log scale)'
    """
    data = queue_latency_data(jobs, by=by, q=q) if data is None else data
    return _draw(*axes.split_data(data, "queue_latency"), MEASURES["queue_latency"], ax, figsize)


def run_time(
    jobs: Any = None,
    *,
    by: By = None,
    q: Shares = (0.5, 0.95),
    ax: Axes | None = None,
    figsize: Size = None,
    data: Data = None,
) -> Axes:
    """Draw which share of the jobs that started has ended within which time, running jobs counted.

    Parameters
    ----------
    jobs, by, q, ax, figsize, data
        As in :func:`queue_latency`; ``data`` is what :func:`run_time_data` returned.

    Returns
    -------
    matplotlib.axes.Axes
        As :func:`queue_latency`.

    Raises
    ------
    TypeError, FrameError, FileError, SettingsError
        As :func:`queue_latency`.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Scenario
    >>> with cn.Emulator(scenario=Scenario(jobs=400, duration_h=1.0)) as emulator:
    ...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
    >>> cn.plots.run_time(jobs).get_title(loc="left").strip()
    'Run time'
    """
    data = run_time_data(jobs, by=by, q=q) if data is None else data
    return _draw(*axes.split_data(data, "run_time"), MEASURES["run_time"], ax, figsize)


def _draw(
    data: pd.DataFrame, about_it: dict[str, Any], of: _Measure, ax: Axes | None, figsize: Size | None
) -> Axes:
    ax = axes.new_axes(ax, figsize)
    if data.empty:
        return axes.nothing_known(ax, about_it["about"])
    by, rows = about_it["by"], about_it["quantiles"]
    quantiles = {name_of(part): part for part in about_it["q"]}
    found = dict(by_group(data, by))
    groups = Groups.of(about_it, [row["key"] for row in rows], alone="all jobs")
    longest, entries = data[f"{of.name}_s"].max(), []
    for number, row in enumerate(rows):
        style, key = axes.group_style(number), row["key"]
        curve = found.get(key, data.head(0))
        _draw_curve(ax, curve, row, quantiles, style, of)
        longest = max(longest, *(row[name] for name in quantiles if np.isfinite(row[name])), 0)
        line = axes.legend_handle(style.color, dash=style.dash, marker=style.marker, size=_POINT)
        jobs_too = [_jobs(row, of)] if axes.text_size(ax) == "medium" else []
        said = ", ".join([*_quantiles(row, quantiles, short=True), *jobs_too])
        series = _pointed_at(curve, row, quantiles, of, groups, style)
        entries.append(Entry(line, groups.short[key], said, series))
    _finish_curves(ax, longest, max(row["jobs"] for row in rows), quantiles.values(), of)
    if not data[of.done].any():
        axes.write_inside(ax, f"No job has {of.done} yet.")
    return axes.finish(ax, of.title, about_it, [*entries, *_other_marks(data, rows, quantiles, of)])


def _draw_curve(
    ax: Axes, curve: pd.DataFrame, row: dict[str, Any], q: Mapping[str, float], style: Style, of: _Measure
) -> None:
    seconds, done = curve[f"{of.name}_s"].to_numpy(), curve[f"{of.done}_share"].to_numpy()
    line: Look = {"color": style.color, "ls": style.dash, "lw": 1.8, "drawstyle": "steps-post"}
    ax.plot(np.append(0, seconds), np.append(0, done), **line)
    censored = curve[f"not_{of.done}"].to_numpy() > 0
    if censored.any():
        ax.plot(seconds[censored], done[censored], "|", color=style.color, markersize=_TICK, alpha=0.5)
    for name, part in q.items():
        if np.isfinite(row[name]):
            inside = ax.get_facecolor() if is_projected(row, name) else style.color
            ax.plot([row[name]], [part], style.marker, color=style.color, mfc=inside, ms=_POINT, zorder=3)


def _pointed_at(
    curve: pd.DataFrame,
    row: dict[str, Any],
    q: Mapping[str, float],
    of: _Measure,
    groups: Groups,
    style: Style,
) -> Series:
    """Return the points of a curve in words, its quantiles among them."""
    name = groups.whole[row["key"]]
    known = {one: words for one, words in zip(q, _quantiles(row, q), strict=True) if np.isfinite(row[one])}
    kept = np.unique(np.linspace(0, max(len(curve) - 1, 0), min(len(curve), _MOST_WORDS)).astype(np.int64))
    seconds, done = (curve[column].iloc[kept] for column in (f"{of.name}_s", f"{of.done}_share"))
    words = [
        f"{name}: {share(part)} {of.done} within {duration(second)}"
        for second, part in zip(seconds.tolist(), done.tolist(), strict=True)
    ]
    words += [f"{name}: {said}, {_jobs(row, of)}" for said in known.values()]
    x, y = [*seconds, *(row[one] for one in known)], [*done, *(q[one] for one in known)]
    return Series(name, style.color, words, np.array(x, float), np.array(y), pick=groups.picks[row["key"]])


def _quantiles(row: dict[str, Any], q: Iterable[str], *, short: bool = False) -> list[str]:
    """Say what the quantiles of a group are, and how they are known."""
    said = []
    for name in q:
        too_low = row["method"] == NEEDS_JOBS and row["waiting"] and 0 < row[name] < np.inf
        known = row[f"{name}_lower_bound"] if too_low else row[name]
        how = LOWER_BOUND if too_low else "projected" if is_projected(row, name) else ""
        ends = () if short or too_low else (row.get(f"{name}_low", np.nan), row.get(f"{name}_high", np.nan))
        said.append(quantile(name, known, *ends, how=how))
    return said


def _jobs(row: dict[str, Any], of: _Measure) -> str:
    return jobs_in_words(row["jobs"]) + (f" ({row[of.open]:,} {of.open})" if row[of.open] else "")


def _other_marks(
    data: pd.DataFrame, rows: Sequence[dict[str, Any]], q: Iterable[str], of: _Measure
) -> list[Entry]:
    """Return what the legend says of the marks beside curves and quantiles, where there are any."""
    entries, not_done = [], int(data[f"not_{of.done}"].sum())
    if not_done:
        all_open = of.name == "queue_latency" and not_done == sum(row["waiting"] for row in rows)
        name = of.open if all_open else f"{of.open} or cancelled"
        entries.append(Entry(axes.legend_handle(axes.ink(), marker="|", size=_TICK), name))
    if any(is_projected(row, name) and np.isfinite(row[name]) for row in rows for name in q):
        hollow = axes.legend_handle(axes.ink(), marker="o", hollow=True, size=_POINT)
        entries.append(Entry(hollow, "projected"))
    return entries


def _finish_curves(ax: Axes, longest: float, most_jobs: int, q: Iterable[float], of: _Measure) -> None:
    axes.duration_log_axis(ax, "x", longest, of.title.lower())
    axes.label_axis(ax.yaxis, f"jobs that have {of.done}")
    ax.set_yscale("function", functions=(_stretch, _shrink))
    ax.yaxis.set_major_locator(axes.SpacedLocator(_SHARES, 14))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda part, _: f"{100 * part:.3g} %"))
    ax.set_ylim(0, min(max(1 - 0.3 / most_jobs, 0.97), 0.9997))
    ax.grid(alpha=0.25)
    for part in q:
        ax.axhline(part, color=axes.ink(), linewidth=0.8, alpha=0.5, linestyle=":")


def _stretch(started: Floats) -> Floats:
    """Give each factor of ten among the last jobs the same room: long waits are what one looks for."""
    place: Floats = -np.log10(1 - np.minimum(started, 0.999999))
    return place


def _shrink(place: Floats) -> Floats:
    started: Floats = 1 - 10.0**-place
    return started
