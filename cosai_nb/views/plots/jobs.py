"""Single jobs: where the time of the slowest went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from matplotlib.patches import Patch

from cosai_nb.schema import NOT_A_JOB, Outcome
from cosai_nb.stats.censoring import ENDED, UNFINISHED, Measured, measure_jobs, only_jobs
from cosai_nb.stats.frames import check_jobs
from cosai_nb.stats.histogram import DurationHistogram, as_histogram
from cosai_nb.views.plots import style
from cosai_nb.views.plots.around import Entry, headline, name_axis, name_lines, name_rows
from cosai_nb.views.plots.parts import NO_JOBS, NO_TIMES, facts
from cosai_nb.views.plots.text import label, labels

if TYPE_CHECKING:
    from datetime import tzinfo

    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

Measure = Literal["total_time", "queue_latency", "run_time"]
_ID_COLUMNS = 22
_ROW_INCHES = 0.27


def timeline_data(
    jobs: pd.DataFrame | DurationHistogram, *, most: int = 20, slowest: Measure = "total_time"
) -> pd.DataFrame:
    """Return the jobs that :func:`timeline` draws.

    Parameters
    ----------
    jobs : pandas.DataFrame
        One row per job. A histogram knows no single jobs.
    most : int
        Number of jobs.
    slowest : {"total_time", "queue_latency", "run_time"}
        The duration that they are ordered by, the longest first; of an unfinished job, its age.

    Returns
    -------
    pandas.DataFrame
        ``job_id, tag, outcome, code, creation_time``; ``waited_s`` and ``ran_s``, seconds in the queue and in work until the
        end or the last sight, NaN where unknown or where it never ran; ``unfinished``, True where the last of them goes on.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame (a histogram, say), or lacks a column.
    """
    if isinstance(jobs, DurationHistogram):
        raise TypeError(
            "A timeline shows single jobs, which a histogram does not know; give it the jobs frame."
        )
    check_jobs(jobs, ("job_id",))
    kept, _ = only_jobs(jobs)
    measured = measure_jobs(kept)
    length = _seconds(measured[slowest])
    rows = np.argsort(-length, kind="stable")[: int(np.isfinite(length).sum())][:most]
    table = kept.iloc[rows][["job_id", "tag", "outcome", "code", "creation_time"]].reset_index(drop=True)
    open_end = table["outcome"].astype(str).isin([Outcome.WAITING, Outcome.RUNNING, Outcome.UNKNOWN])
    return table.assign(
        waited_s=_seconds(measured["queue_latency"])[rows],
        ran_s=_seconds(measured["run_time"])[rows],
        unfinished=open_end.to_numpy(),
    )


def job_lengths(jobs: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the total time of every row, or its age, in seconds; NaN where unknown, and for rows that are no jobs."""
    kept, left_out = only_jobs(jobs)
    if not left_out:
        return _seconds(measure_jobs(kept)["total_time"])
    lengths = np.full(len(jobs), np.nan)
    no_job = jobs["outcome"].isin([str(outcome) for outcome in NOT_A_JOB]).to_numpy()
    lengths[~no_job] = _seconds(measure_jobs(kept)["total_time"])
    return lengths


def _seconds(measured: Measured) -> npt.NDArray[np.float64]:
    usable = (measured.kind == ENDED) | (measured.kind == UNFINISHED)
    return np.where(usable, measured.value, np.nan)


def timeline(
    jobs: pd.DataFrame | DurationHistogram,
    *,
    most: int = 20,
    slowest: Measure = "total_time",
    tz: str | tzinfo = style.DISPLAY_ZONE,
    ax: Axes | None = None,
) -> Axes:
    """Draw single jobs, the slowest first: how long each waited, and how long it ran.

    Parameters
    ----------
    jobs : pandas.DataFrame
        One row per job. A histogram knows no single jobs.
    most : int
        Number of jobs.
    slowest : {"total_time", "queue_latency", "run_time"}
        The duration that they are ordered by; of an unfinished job, its age.
    tz : str or tzinfo
        Time zone of the times beside the bars.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new pyplot figure.

    Returns
    -------
    matplotlib.axes.Axes
        A row per job, from its creation on; an arrow ends the bar of a job that has not ended.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame (a histogram, say), or lacks a column.
    SettingsError
        ``tz`` is no time zone.

    See Also
    --------
    timeline_data : the rows as a frame.
    """
    tz = style.zone_name(tz)
    table = timeline_data(jobs, most=most, slowest=slowest)
    return draw_timeline(table, as_histogram(jobs), slowest=slowest, tz=tz, ax=ax)


def draw_timeline(
    table: pd.DataFrame,
    histogram: DurationHistogram,
    *,
    slowest: Measure = "total_time",
    tz: str = style.DISPLAY_ZONE,
    ax: Axes | None = None,
) -> Axes:
    """Draw what :func:`timeline_data` returned of the jobs of a histogram."""
    ax = style.sheet(ax, width=9.6, height=1.6 + _ROW_INCHES * max(len(table), 6))
    if table.empty:
        return style.say(ax, NO_TIMES if histogram.jobs else NO_JOBS)
    waited, ran = table["waited_s"].fillna(0).to_numpy(), table["ran_s"].fillna(0).to_numpy()
    size, unit = style.duration_unit((waited + ran).max())
    place = np.arange(len(table))
    names = labels(table["job_id"].tolist(), longest=_ID_COLUMNS)
    rows = name_rows(ax, names, _notes(table, tz))
    ax.barh(
        place, waited / size, color=style.ORANGE, height=rows.bar, hatch="///", edgecolor="white", linewidth=0
    )
    ax.barh(place, ran / size, left=waited / size, color=style.BLUE, height=rows.bar)
    on = table["unfinished"].to_numpy()
    arrows: list[Line2D] = []
    if on.any():  # no marks at all would still claim room in the layout
        arrows = ax.plot(
            (waited + ran)[on] / size, place[on], ">", color=style.INK, markersize=6, clip_on=False
        )
    name_axis(ax.xaxis, f"time since creation ({unit})")
    ax.grid(axis="x", alpha=0.25)
    colors = [Patch(facecolor=style.ORANGE, hatch="///", edgecolor="white"), Patch(facecolor=style.BLUE)]
    marks = zip([*colors, *arrows], ("waiting", "running", "goes on"), strict=False)
    name_lines(ax, [Entry(*mark) for mark in marks])
    order = {"total_time": "total time", "queue_latency": "queue latency", "run_time": "run time"}[slowest]
    what = f"The {len(table)} jobs with the longest {order}" if len(table) > 1 else "One job"
    headline(
        ax, what, f"of {facts(histogram)}; beside them when they were created, in {label(tz)}", left=rows.left
    )
    return ax


def _notes(table: pd.DataFrame, zone: str) -> list[str]:
    """Say of each job when it was created, what it was and how it ended."""
    created = table["creation_time"].dt.tz_convert(zone).dt.strftime("%b %d %H:%M")
    columns = zip(created, table["tag"], table["outcome"], table["code"], strict=True)
    return [
        f"{moment}, {label(tag, longest=18)}, {_fate(str(outcome), code)}"
        for moment, tag, outcome, code in columns
    ]


def _fate(outcome: str, code: Any) -> str:
    return (
        f"failed {label(code, longest=22)}"
        if outcome == Outcome.FAILED and not pd.isna(code)
        else str(outcome)
    )
