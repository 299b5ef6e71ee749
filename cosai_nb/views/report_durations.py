"""The tables of durations by group: least, mean, quantiles and most of waits, runs and both; and the flow of jobs over time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from cosai_nb.stats.load import queue_load
from cosai_nb.stats.quantiles import name_of, quantile
from cosai_nb.views.answers import window_of
from cosai_nb.views.plots.style import nice_duration
from cosai_nb.views.report_tables import MOST_GROUPS, Summary, by_group, group_heading, quantile_cell
from cosai_nb.views.tables import Cell, Column, Table, seconds_cell, seconds_column, twin_table
from cosai_nb.views.wording import duration

if TYPE_CHECKING:
    from cosai_nb.stats.curves import Curve
    from cosai_nb.views.answers import Answers

_SHARES = (0.5, 0.9, 0.95, 0.99)
_NAMES = tuple(map(name_of, _SHARES))


class Spread(NamedTuple):
    """Least and mean of the durations that are known, and the longest so far, which may be that of an unfinished job."""

    least: float
    mean: float
    most: float
    goes_on: bool


def spread(curve: Curve) -> Spread:
    """Read a curve's ends and mean off it; NaN where there is none.

    Examples
    --------
    >>> import numpy as np
    >>> from cosai_nb.stats.curves import Curve
    >>> spread(Curve(np.array([2, 4, 9]), np.array([1, 1, 0]), np.array([0, 0, 1])))
    Spread(least=2.0, mean=3.0, most=9.0, goes_on=True)
    """
    ended = curve.ended.sum()
    least = float(curve.seconds[curve.ended > 0][0]) if ended else math.nan
    mean = float((curve.seconds * curve.ended).sum() / ended) if ended else math.nan
    if not len(curve.seconds):
        return Spread(least, mean, math.nan, goes_on=False)
    return Spread(least, mean, float(curve.seconds[-1]), goes_on=not curve.ended[-1])


def durations(answers: Answers) -> list[Summary]:
    """Return the tables of queue latency, run time and total time, and of the jobs that come and go."""
    return [_queue_latency(answers), _run_time(answers), _total_time(answers), _flow(answers)]


def _curves(answers: Answers, measure: str) -> list[Curve]:
    """Return the curve of each row of :func:`by_group`."""
    parts = [*list(answers.parts.values())[:MOST_GROUPS], answers.histogram]
    return [part.curve(measure) for part in parts]


def _queue_latency(answers: Answers) -> Summary:
    columns = [Column(group_heading(answers)), *map(seconds_column, ("min of started", "mean of started"))]
    for name in _NAMES:
        columns += [seconds_column(name), seconds_column(f"{name} at least")]
    rows = []
    curves = _curves(answers, "queue_latency")
    for (group, (latency,)), curve in zip(by_group(answers, answers.latency_by), curves, strict=True):
        found = spread(curve)
        row = [Cell(group), seconds_cell(found.least), seconds_cell(found.mean)]
        for name in _NAMES:
            row += [quantile_cell(latency, name), seconds_cell(latency[f"{name}_lower_bound"])]
        rows.append([*row, _most(found, "did not start")])
    caption = "Queue latency: quantiles, and what they are at least. Min and mean leave out the jobs that have not started"
    return Summary("quantiles-table", Table(caption, [*columns, seconds_column("max so far")], rows), [])


def _run_time(answers: Answers) -> Summary:
    rows, curves = [], _curves(answers, "run_time")
    for (group, (run,)), curve in zip(by_group(answers, answers.run_by), curves, strict=True):
        found = spread(curve)
        cells = [quantile_cell(run, name) for name in _NAMES]
        rows.append([Cell(group), *_first(found), *cells, _most(found, "still runs")])
    caption = "Run time: quantiles count the running jobs; min and mean leave out those that have not ended"
    return Summary("run-table", Table(caption, _columns(answers), rows), [])


def _total_time(answers: Answers) -> Summary:
    rows, curves = [], _curves(answers, "total_time")
    for (group, _), curve in zip(by_group(answers), curves, strict=True):
        found, final = spread(curve), curve.with_ages_final()
        cells = []
        for share in _SHARES:
            value, bound = quantile(curve, share), quantile(final, share)
            cells.append(seconds_cell(value, f"at least {duration(bound)}" if bound < value else ""))
        rows.append([Cell(group), *_first(found), *cells, _most(found, "has not ended")])
    caption = "Total time, creation to end: quantiles (Kaplan–Meier) count the unfinished jobs; min and mean leave them out"
    return Summary("total-table", Table(caption, _columns(answers), rows), [])


def _columns(answers: Answers) -> list[Column]:
    names = ("min of ended", "mean of ended", *_NAMES, "max so far")
    return [Column(group_heading(answers)), *map(seconds_column, names)]


def _first(found: Spread) -> list[Cell]:
    return [seconds_cell(found.least), seconds_cell(found.mean)]


def _most(found: Spread, why: str) -> Cell:
    return seconds_cell(found.most, why if found.goes_on else "")


def _flow(answers: Answers) -> Summary:
    width = window_of(answers.histogram)
    load = queue_load(answers.histogram, freq=width)[
        ["arrivals", "starts", "ends", "left", "waiting", "running"]
    ]
    load.columns = [
        "created",
        "started",
        "ended",
        "left unstarted",
        "waiting at its end",
        "running at its end",
    ]
    caption = f"Jobs that came and went, in windows of {nice_duration(pd.Timedelta(width).total_seconds())}"
    table = twin_table(load, caption, answers.tz)
    more = [f"{table.hidden:,} more windows are not listed here."] if table.hidden else []
    return Summary("flow-table", table, more)
