"""When waiting jobs are expected to start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cosai_nb.stats.queues import eta as expected_starts
from cosai_nb.views.figure import Series, mark
from cosai_nb.views.plots import axes
from cosai_nb.views.plots.axes import Entry
from cosai_nb.views.plots.text import Groups, by_group, keep_largest, queue_names
from cosai_nb.views.wording import about, facts, in_zone, jobs_in_words, label, moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import tzinfo

    from matplotlib.axes import Axes

    from cosai_nb.views.plots.axes import Size
    from cosai_nb.views.wording import About

_NOBODY = "No job waits, so there is no start to expect."


def eta_data(jobs: Any, *, job_ids: Iterable[str] | None = None, level: float = 0.8) -> pd.DataFrame:
    """Return the expected starts that :func:`eta` draws.

    Parameters
    ----------
    jobs : pandas.DataFrame, path or JobStore
        One row per job, of all jobs of the queues: a job's place is counted over the whole queue.
    job_ids : iterable of str, optional
        Show these jobs only.
    level : float
        Chance that the intervals are to hold.

    Returns
    -------
    pandas.DataFrame
        Of :func:`cosai_nb.eta` the rows of these jobs: ``job_id``, ``queue_id``, ``place``, ``start_expected``, ``start_low``,
        ``start_high``, ``end_expected``, ``end_low``, ``end_high`` and ``note``.

    Raises
    ------
    TypeError, FrameError, FileError
        ``jobs`` is no source of single jobs, lacks a column, or cannot be read.
    SettingsError
        ``level`` does not lie between 0 and 1.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Scenario
    >>> with cn.Emulator(scenario=Scenario(jobs=400, duration_h=1.0)) as emulator:
    ...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
    >>> cn.plots.eta_data(jobs).columns.tolist()
    ['job_id', 'queue_id', 'place', 'start_expected', 'start_low', 'start_high', 'end_expected', 'end_low', 'end_high', 'note']
    """
    expected = expected_starts(jobs, level=level)
    return starts_of(expected, job_ids, names=queue_names(jobs), of=about(jobs), level=level)


def starts_of(
    expected: pd.DataFrame,
    job_ids: Iterable[str] | None,
    *,
    names: Mapping[str, str],
    of: About,
    level: float = 0.8,
) -> pd.DataFrame:
    """Return :func:`eta_data` of jobs whose starts are known: what :func:`cosai_nb.eta` said of all of them."""
    if job_ids is not None:
        wanted = job_ids if isinstance(job_ids, pd.Series) else list(job_ids)
        expected = expected[expected["job_id"].isin(wanted)]
    shown = expected.reset_index(drop=True)
    shown.attrs = {"about": of, "names": dict(names), "by": ["queue_id"], "level": level}
    return shown


def eta(
    jobs: Any = None,
    *,
    job_ids: Iterable[str] | None = None,
    level: float = 0.8,
    tz: str | tzinfo = axes.DISPLAY_ZONE,
    ax: Axes | None = None,
    figsize: Size | None = None,
    data: pd.DataFrame | None = None,
) -> Axes:
    """Draw when each waiting job is expected to start, with its interval, against its place in the queue.

    Parameters
    ----------
    jobs, job_ids, level
        As in :func:`eta_data`.
    tz : str or tzinfo
        Time zone of the axis.
    ax, figsize, data
        As in :func:`cosai_nb.plots.queue_latency`; ``data`` is what :func:`eta_data` returned.

    Returns
    -------
    matplotlib.axes.Axes
        A line per queue, the seven with the most waiting jobs; the band is the interval.

    Raises
    ------
    TypeError, FrameError, FileError, SettingsError
        As :func:`eta_data`; or ``tz`` is no time zone, or ``data`` is not what it returned.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Scenario
    >>> with cn.Emulator(scenario=Scenario(jobs=400, duration_h=1.0)) as emulator:
    ...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
    >>> cn.plots.eta(jobs).get_title(loc="left").strip()
    'Expected starts, 80 % intervals'
    """
    zone = axes.zone_name(tz)
    data = eta_data(jobs, job_ids=job_ids, level=level) if data is None else data
    data, about_it = axes.split_data(data, "eta")
    ax = axes.new_axes(ax, figsize, (9.6, 4.6))
    known = data[data["start_expected"].notna()]
    if known.empty:
        if data.empty:
            return axes.show_message(ax, _NOBODY)
        return axes.show_message(
            ax, f"{jobs_in_words(len(data))} waiting: {in_zone(data['note'].iloc[0], zone)}."
        )
    kept, _ = keep_largest(known, ["queue_id"], _sizes(known), most=axes.MOST_GROUPS)
    parts = by_group(kept, ["queue_id"])
    named = Groups.of(about_it, [key for key, _ in parts])
    entries, series = [], []
    for number, (key, part) in enumerate(parts):
        style = axes.group_style(number)
        begin, low, high = (axes.day_numbers(part[f"start_{name}"]) for name in ("expected", "low", "high"))
        place = part["place"].to_numpy(dtype=np.float64)
        ax.fill_betweenx(place, low, high, color=style.color, alpha=0.2, linewidth=0)
        (line,) = ax.plot(
            begin,
            place,
            marker=style.marker,
            markersize=3,
            color=style.color,
            linestyle=style.dash,
            linewidth=1.2,
        )
        entries.append(Entry(line, named.short[key], f"{jobs_in_words(len(part))} waiting"))
        series.append(
            Series(named.whole[key], style.color, _words(part, zone), begin, place, pick=named.picks[key])
        )
    ax.set_ylim(0, kept["place"].max() * 1.05 + 0.5)
    axes.count_axis(ax.yaxis, "place in the queue")
    axes.clock_axis(ax.xaxis, zone)
    ax.grid(alpha=0.25)
    rest = len(data) - len(known)
    unknown = f", {rest:,} more wait of which it is not known" if rest else ""
    said = f"{jobs_in_words(len(known))} waiting, of {facts(about_it['about'])}{unknown}"
    axes.headline(ax, f"Expected starts, {100 * about_it['level']:g} % intervals", said)
    axes.add_legend(ax, entries)
    mark(ax, series)
    return ax


def _sizes(waiting: pd.DataFrame) -> pd.DataFrame:
    return waiting[["queue_id"]].assign(jobs=1)


def _words(part: pd.DataFrame, zone: str) -> list[str]:
    words = []
    for row in part.to_dict("records"):
        start, low, high = (row[f"start_{name}"].tz_convert(zone) for name in ("expected", "low", "high"))
        words.append(
            f"{label(row['job_id'])}, place {row['place']:,}: expected to start {moment(start)} "
            f"({moment(low)} to {moment(high)})"
        )
    return words
