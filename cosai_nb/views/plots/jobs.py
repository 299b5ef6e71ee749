"""Single jobs: where the time of the slowest went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from matplotlib.patches import Patch

from cosai_nb.schema import UNFINISHED, Outcome
from cosai_nb.stats.counts import Counted
from cosai_nb.stats.load import longest_jobs
from cosai_nb.views.figure import Series
from cosai_nb.views.plots import axes
from cosai_nb.views.plots.axes import Entry
from cosai_nb.views.plots.text import label, labels
from cosai_nb.views.wording import about, duration, facts, printable, when

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cosai_nb.stats.measures import Floats
    from cosai_nb.views.plots.axes import Data, Look, Size, Zone

Measure = Literal["total_time", "queue_latency", "run_time"]
_COLUMNS = ["job_id", "tag", "outcome", "code", "creation_time"]
_ID_COLUMNS = 22
_ROW_INCHES = 0.27
_ORDERS = {"total_time": "total time", "queue_latency": "queue latency", "run_time": "run time"}


def timeline_data(jobs: Any, *, most: int = 20, slowest: Measure = "total_time") -> pd.DataFrame:
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
    table = longest_jobs(jobs, slowest, most=most, columns=_COLUMNS).reset_index(drop=True)
    goes_on = table["outcome"].isin([str(outcome) for outcome in UNFINISHED])
    named = {"waited_s": table["queue_latency"], "ran_s": table["run_time"], "unfinished": goes_on}
    rows = table[_COLUMNS].assign(**named)
    rows.attrs = {"about": about(jobs), "slowest": slowest}
    return rows


def timeline(
    jobs: Any = None,
    *,
    most: int = 20,
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
    size, unit = axes.duration_unit((waited + ran).max())
    place = np.arange(len(data))
    rows = axes.label_rows(ax, labels(data["job_id"].tolist(), longest=_ID_COLUMNS), _notes(data, zone))
    hatched: Look = {"fc": axes.ORANGE, "hatch": "///", "ec": ax.get_facecolor(), "lw": 0}
    ax.barh(place, waited / size, height=rows.bar, **hatched)
    ax.barh(place, ran / size, left=waited / size, color=axes.BLUE, height=rows.bar)
    entries = [Entry(Patch(**hatched), "waiting"), Entry(Patch(color=axes.BLUE), "running")]
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
    series = _pointed_at(data, waited / size, ran / size, zone)
    return axes.finish(ax, what, about_it, entries, series, said=said, left=rows.left)


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
    created = jobs["creation_time"].dt.tz_convert(zone).dt.strftime("%b %d %H:%M")
    notes = []
    for moment, row in zip(created, jobs.itertuples(index=False), strict=True):
        failed = f" {label(row.code, longest=22)}" if _has_code(row) else ""
        notes.append(f"{moment}, {label(row.tag, longest=18)}, {row.outcome}{failed}")
    return notes


def _has_code(row: Any) -> bool:
    return row.outcome == Outcome.FAILED and not pd.isna(row.code)
