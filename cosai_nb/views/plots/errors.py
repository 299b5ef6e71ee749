"""Which errors weigh most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cosai_nb.stats.failures import error_pareto as pareto_summary
from cosai_nb.stats.histogram import as_histogram
from cosai_nb.views.plots import style
from cosai_nb.views.plots.around import Entry, headline, name_lines, name_rows
from cosai_nb.views.plots.parts import NO_JOBS, facts
from cosai_nb.views.plots.text import label
from cosai_nb.views.wording import jobs_in_words, share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cosai_nb.stats.histogram import DurationHistogram

_MOST_ROWS = 12
_LABEL_COLUMNS = 52
_DRAWN = ["code", "message", "jobs", "share", "cumulated_share", "first_seen", "last_seen"]
_NO_FAILURE = "No job here has failed."


def error_pareto_data(jobs: pd.DataFrame | DurationHistogram, *, most: int = _MOST_ROWS) -> pd.DataFrame:
    """Return the errors that :func:`error_pareto` draws.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
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
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.
    """
    errors = pareto_summary(jobs)
    drawn = errors[_DRAWN].head(most)
    drawn.attrs = {"errors": len(errors), "failed": int(errors["jobs"].sum())}
    return drawn


def error_pareto(
    jobs: pd.DataFrame | DurationHistogram, *, most: int = _MOST_ROWS, ax: Axes | None = None
) -> Axes:
    """Draw the errors by their share of all failures, and what they add up to.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job; or their histogram, which knows the codes but no messages.
    most : int
        Number of errors.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new pyplot figure.

    Returns
    -------
    matplotlib.axes.Axes
        A bar per code and message, and a line for the cumulated share.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.

    See Also
    --------
    error_pareto_data : the errors as a frame.
    """
    return draw_error_pareto(error_pareto_data(jobs, most=most), as_histogram(jobs), ax=ax)


def draw_error_pareto(drawn: pd.DataFrame, histogram: DurationHistogram, *, ax: Axes | None = None) -> Axes:
    """Draw what :func:`error_pareto_data` returned of the jobs of a histogram."""
    ax = style.sheet(ax, width=9.6, height=1.7 + 0.36 * max(len(drawn), 3))
    if drawn.empty:
        return style.say(ax, _NO_FAILURE if histogram.jobs else NO_JOBS)
    every, failed = drawn.attrs["errors"], drawn.attrs["failed"]
    place = np.arange(len(drawn))
    names = [_name(code, message) for code, message in zip(drawn["code"], drawn["message"], strict=True)]
    notes = [
        f"{jobs_in_words(number)}, {share(part)}"
        for number, part in zip(drawn["jobs"], drawn["share"], strict=True)
    ]
    rows = name_rows(ax, names, notes)
    ax.barh(place, drawn["share"], color=style.VERMILION, height=rows.bar)
    (line,) = ax.plot(drawn["cumulated_share"], place, "o-", color=style.GREY, linewidth=1, markersize=4)
    ax.set_xlim(0, 1.02)
    style.percent_axis(ax.xaxis, "share of all failed jobs")
    ax.grid(axis="x", alpha=0.25)
    rest = f", the {len(drawn)} most frequent of {every:,} errors" if every > len(drawn) else ""
    headline(ax, "Why jobs fail", f"{failed:,} failed of {facts(histogram)}{rest}", left=rows.left)
    name_lines(ax, [Entry(line, "cumulated share")])
    return ax


def _name(code: Any, message: Any) -> str:
    """Return code and message in one label; the code keeps its room."""
    short = label(code, longest=28)
    return (
        short
        if pd.isna(message) or not str(message).strip()
        else f"{short}: {label(message, longest=_LABEL_COLUMNS - len(short))}"
    )
