"""Single jobs: where the time of the slowest went, and when waiting ones are expected to start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from matplotlib.patches import Patch

from cosai_nb.schema import UNFINISHED, Outcome
from cosai_nb.stats.counts import Counted
from cosai_nb.stats.load import longest_jobs
from cosai_nb.stats.queues import eta as expected_starts
from cosai_nb.views import wording
from cosai_nb.views.figure import Series
from cosai_nb.views.plots import axes
from cosai_nb.views.plots.axes import Entry
from cosai_nb.views.plots.text import Groups, by_group, keep_largest, label, labels, queue_names
from cosai_nb.views.wording import about, duration, facts, in_zone, jobs_in_words, moment, printable, when

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matplotlib.axes import Axes

    from cosai_nb.stats.measures import Floats
    from cosai_nb.views.plots.axes import Data, Look, Size, Zone
    from cosai_nb.views.wording import About

Measure = Literal["total_time", "queue_latency", "run_time"]
_COLUMNS = ["job_id", "tag", "outcome", "code", "creation_time"]
_ID_COLUMNS, _MOST_JOBS = 22, 20
_ROW_INCHES = 0.27
_ORDERS = {"total_time": "total time", "queue_latency": "queue latency", "run_time": "run time"}
_LONGEST_IN_S, _LONGEST_IN_MIN = 100, 6000


def timeline_data(jobs: Any, *, most: int = _MOST_JOBS, slowest: Measure = "total_time") -> pd.DataFrame:
    """Return the jobs that :func:`timeline` draws.

    Parameters
    ----------
    jobs : pandas.DataFrame, path or JobStore
        One row per job. A histogram knows no single jobs.
    most : int
        Number of jobs.
    slowest : {"total_time", "queue_latency", "run_time"}
        The duration that they are ordered by, the longest first; of an unfinished job, its age.

    Returns
    -------
    pandas.DataFrame
        ``job_id, tag, outcome, code, creation_time``; ``waited_s`` and ``ran_s``, seconds in the queue and in work until the
        end or the last time seen, NaN where unknown or where it never ran; ``unfinished``, True where the last of them goes on.

    Raises
    ------
    TypeError, FrameError, FileError
        ``jobs`` is no source of single jobs (a histogram, say), lacks a column, or cannot be read.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Scenario
    >>> with cn.Emulator(scenario=Scenario(jobs=400, duration_h=1.0)) as emulator:
    ...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
    >>> cn.plots.timeline_data(jobs, most=5).columns.tolist()
    ['job_id', 'tag', 'outcome', 'code', 'creation_time', 'waited_s', 'ran_s', 'unfinished']
    """
    if isinstance(jobs, Counted):
        raise TypeError(
            "A timeline shows single jobs, which a histogram does not know; give it the jobs frame."
        )
    return timeline_rows(jobs, about(jobs), most=most, slowest=slowest)


def timeline_rows(
    jobs: Any, of: About, *, most: int = _MOST_JOBS, slowest: Measure = "total_time"
) -> pd.DataFrame:
    """Return :func:`timeline_data` of jobs that are counted."""
    table = longest_jobs(jobs, slowest, most=most, columns=_COLUMNS).reset_index(drop=True)
    goes_on = table["outcome"].isin([str(outcome) for outcome in UNFINISHED])
    named = {"waited_s": table["queue_latency"], "ran_s": table["run_time"], "unfinished": goes_on}
    rows = table[_COLUMNS].assign(**named)
    rows.attrs = {"about": of, "slowest": slowest}
    return rows


def timeline(
    jobs: Any = None,
    *,
    most: int = _MOST_JOBS,
    slowest: Measure = "total_time",
    tz: Zone = axes.DISPLAY_ZONE,
    ax: Axes | None = None,
    figsize: Size = None,
    data: Data = None,
) -> Axes:
    """Draw single jobs, the slowest first: how long each waited, and how long it ran.

    Parameters
    ----------
    jobs, most, slowest
        As in :func:`timeline_data`.
    tz : str or tzinfo
        Time zone of the times beside the bars.
    ax, figsize, data
        As in :func:`cosai_nb.plots.queue_latency`; ``data`` is what :func:`timeline_data` returned.

    Returns
    -------
    matplotlib.axes.Axes
        A row per job, from its creation on; an arrow ends the bar of a job that has not ended.

    Raises
    ------
    TypeError, FrameError, FileError, SettingsError
        As :func:`timeline_data`; or ``tz`` is no time zone, or ``data`` is not what it returned.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Scenario
    >>> with cn.Emulator(scenario=Scenario(jobs=400, duration_h=1.0)) as emulator:
    ...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
    >>> cn.plots.timeline(jobs, most=5).get_title(loc="left").strip()
    'The 5 jobs with the longest total time'
    """
    zone = axes.zone_name(tz)
    data = timeline_data(jobs, most=most, slowest=slowest) if data is None else data
    data, about_it = axes.split_data(data, "timeline")
    ax = axes.new_axes(ax, figsize, (9.6, 1.6 + _ROW_INCHES * max(len(data), 6)))
    if data.empty:
        return axes.nothing_known(ax, about_it["about"])
    waited, ran = data["waited_s"].fillna(0).to_numpy(), data["ran_s"].fillna(0).to_numpy()
    size, unit = duration_unit((waited + ran).max())
    place = np.arange(len(data))
    rows = axes.label_rows(ax, labels(data["job_id"].tolist(), longest=_ID_COLUMNS), _notes(data, zone))
    hatched: Look = {"fc": axes.ORANGE, "hatch": "///", "ec": ax.get_facecolor(), "lw": 0}
    ax.barh(place, waited / size, height=rows.bar, **hatched)
    ax.barh(place, ran / size, left=waited / size, color=axes.BLUE, height=rows.bar)
    waits, runs = _pointed_at(data, waited / size, ran / size, zone)
    entries = [
        Entry(Patch(**hatched), "waiting", series=waits),
        Entry(Patch(color=axes.BLUE), "running", series=runs),
    ]
    going_on = data["unfinished"].to_numpy()
    if going_on.any():  # no marks at all would still claim room in the layout
        ends = (waited + ran)[going_on] / size
        (arrows,) = ax.plot(ends, place[going_on], ">", color=axes.ink(), markersize=6, clip_on=False)
        entries.append(Entry(arrows, "not ended yet"))
    axes.label_axis(ax.xaxis, f"time since creation ({unit})")
    ax.grid(axis="x", alpha=0.25)
    order = _ORDERS[about_it["slowest"]]
    what = f"The {len(data)} jobs with the longest {order}" if len(data) > 1 else "One job"
    said = f"of {facts(about_it['about'])}; beside them when they were created, in {label(zone)}"
    return axes.finish(ax, what, about_it, entries, said=said, left=rows.left)


def duration_unit(longest: float) -> tuple[int, str]:
    """Return the seconds in, and the name of, the unit for durations up to ``longest`` seconds.

    Examples
    --------
    >>> duration_unit(99), duration_unit(300), duration_unit(86400)
    ((1, 's'), (60, 'min'), (3600, 'h'))
    """
    if longest < _LONGEST_IN_S:
        return 1, "s"
    return (60, "min") if longest < _LONGEST_IN_MIN else (3600, "h")


def _pointed_at(jobs: pd.DataFrame, waited: Floats, ran: Floats, zone: str) -> list[Series]:
    """Return the bars of waiting and running; both say all that is known of the job."""
    picks = [(("job_id", str(job)),) for job in jobs["job_id"]]
    words = []
    row: Any
    for row in jobs.itertuples(index=False):
        spans = ((row.waited_s, "waited"), (row.ran_s, "ran"))
        known = [f"{did} {duration(seconds)}" for seconds, did in spans if not pd.isna(seconds)]
        if known and row.unfinished:
            known[-1] += " so far"
        known += [f"created {when(row.creation_time, zone)}", printable(row.tag)]
        failed = f" {printable(row.code)}" if _has_code(row) else ""
        words.append(f"{printable(row.job_id)}: {', '.join(known)}, {row.outcome}{failed}")
    bars = ((0 * waited, waited), (waited, waited + ran))
    return [
        Series(name, color, words, boxes=axes.row_boxes(*ends), picks=picks)
        for name, color, ends in zip(("waiting", "running"), (axes.ORANGE, axes.BLUE), bars, strict=True)
    ]


def _notes(jobs: pd.DataFrame, zone: str) -> list[str]:
    """Say of each job when it was created, what it was and how it ended."""
    notes = []
    row: Any
    for row in jobs.itertuples(index=False):
        failed = f" {label(row.code, longest=22)}" if _has_code(row) else ""
        notes.append(f"{when(row.creation_time, zone)}, {label(row.tag, longest=18)}, {row.outcome}{failed}")
    return notes


def _has_code(row: Any) -> bool:
    return row.outcome == Outcome.FAILED and not pd.isna(row.code)


# --- expected starts ---


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
    tz: Zone = axes.DISPLAY_ZONE,
    ax: Axes | None = None,
    figsize: Size = None,
    data: Data = None,
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
            return axes.show_message(ax, wording.NO_WAITING)
        return axes.show_message(
            ax, f"{jobs_in_words(len(data))} waiting: {in_zone(data['note'].iloc[0], zone)}."
        )
    kept, _ = keep_largest(known, ["queue_id"], known[["queue_id"]].assign(jobs=1), most=axes.MOST_GROUPS)
    parts = by_group(kept, ["queue_id"])
    named = Groups.of(about_it, [key for key, _ in parts])
    entries = []
    for number, (key, part) in enumerate(parts):
        style, place = axes.group_style(number), part["place"].to_numpy(dtype=np.float64)
        begin, low, high = (axes.day_numbers(part[f"start_{name}"]) for name in ("expected", "low", "high"))
        ax.fill_betweenx(place, low, high, color=style.color, alpha=0.2, linewidth=0)
        if len(part) == 1:  # a band needs two
            ax.hlines(place, low, high, color=style.color, alpha=0.35, linewidth=5)
        look: Look = {"color": style.color, "ls": style.dash, "lw": 1.2, "marker": style.marker, "ms": 3}
        (line,) = ax.plot(begin, place, **look)
        words, pick = _starts_in_words(part, zone), named.picks[key]
        series = Series(named.whole[key], style.color, words, begin, place, pick=pick)
        entries.append(Entry(line, named.short[key], f"{jobs_in_words(len(part))} waiting", series))
    ax.set_ylim(0, kept["place"].max() * 1.05 + 0.5)
    axes.count_axis(ax.yaxis, "place in the queue")
    axes.clock_axis(ax.xaxis, zone)
    ax.grid(alpha=0.25)
    rest = len(data) - len(known)
    unknown = f", {rest:,} more without a known start" if rest else ""
    said = f"{jobs_in_words(len(known))} waiting, of {facts(about_it['about'])}{unknown}"
    title = f"Expected starts, {100 * about_it['level']:g} % intervals"
    return axes.finish(ax, title, {}, entries, said=said)


def _starts_in_words(part: pd.DataFrame, zone: str) -> list[str]:
    words = []
    for row in part.to_dict("records"):
        start, low, high = (row[f"start_{name}"].tz_convert(zone) for name in ("expected", "low", "high"))
        words.append(
            f"{printable(row['job_id'])}, place {row['place']:,}: expected to start {moment(start)} "
            f"({moment(low)} to {moment(high)})"
        )
    return words
