"""The one sentence above each figure of the explorer: the answer, with the number of jobs and the share unfinished.

Each is worded from the small frame that the figure draws, so sentence and figure cannot disagree.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cosai_nb.stats.curves import first_reaching, kaplan_meier
from cosai_nb.stats.lines import read_lines
from cosai_nb.views.plots.parts import NO_JOBS, NO_TIMES, facts
from cosai_nb.views.wording import count, duration, label, share, when

if TYPE_CHECKING:
    import pandas as pd

    from cosai_nb.stats.histogram import DurationHistogram
    from cosai_nb.views.selection import Selection


def finding(selection: Selection, histogram: DurationHistogram, summary: pd.DataFrame) -> str:
    """Return the answer of a tab as a sentence or two, ending with the facts about its jobs.

    Parameters
    ----------
    selection : Selection
        What is shown.
    histogram : DurationHistogram
        The selected jobs.
    summary : pandas.DataFrame
        What the tab's plot draws of them.
    """
    if not histogram.jobs:
        return NO_JOBS
    return f"{_ANSWERS[selection.tab](selection, histogram, summary)} ({facts(histogram)})"


def _latency(selection: Selection, histogram: DurationHistogram, _: pd.DataFrame) -> str:
    curve = histogram.curve("queue_latency")
    if not len(curve.seconds):
        return NO_TIMES
    survival = kaplan_meier(curve.ended, curve.unfinished)
    seconds = float(first_reaching(curve.seconds, survival, selection.q))
    if math.isinf(seconds):
        started = share(1 - float(survival[-1]))
        return f"Not even {_part(selection)} of the jobs have started yet (so far {started}), so that quantile is not reached."
    answer = f"{_part(selection)} of the jobs start within {duration(seconds)}."
    if curve.unfinished.any() and any(line.growing for line in read_lines(histogram).values()):
        answer += " Their line grows: served in order, they will wait longer than that (cosai_nb.queue_latency projects it)."
    return answer


def _part(selection: Selection) -> str:
    return f"{100 * selection.q:g} %"


def _worst(summary: pd.DataFrame, name: str) -> Any:
    """Return the row with the longest quantile; one that is not reached counts with its lower bound."""
    known = summary[summary[name].notna()]
    if known.empty:
        return None
    seconds = known[name].where(np.isfinite(known[name]), known[f"{name}_lower_bound"])
    return known.iloc[int(np.argmax(seconds))]


def _quantile_of(row: Any, name: str) -> str:
    if math.isinf(row[name]):
        return f"{name} not reached, at least {duration(row[f'{name}_lower_bound'])}"
    return f"{name} {duration(row[name])}"


def _over_time(selection: Selection, _: DurationHistogram, summary: pd.DataFrame) -> str:
    name = f"p{100 * selection.q:g}"
    row = _worst(summary, name)
    if row is None:
        return NO_TIMES
    whose = f" of {label(row[selection.by])}" if selection.by else ""
    return (
        f"Jobs{whose} waited longest when created in the hour from {when(row['hour'], selection.tz)} "
        f"({selection.tz}): {_quantile_of(row, name)}, {count(row['jobs'])} jobs."
    )


def _weekdays(selection: Selection, _: DurationHistogram, summary: pd.DataFrame) -> str:
    name = f"p{100 * selection.q:g}"
    row = _worst(summary, name)
    if row is None:
        return NO_TIMES
    return (
        f"Jobs wait longest when created on {row['weekday']} from {row['hour']:02d}:00 ({selection.tz}): "
        f"{_quantile_of(row, name)}, {count(row['jobs'])} jobs."
    )


def _failures(selection: Selection, _: DurationHistogram, summary: pd.DataFrame) -> str:
    known = summary[summary["rate"].notna()]
    if known.empty:
        return "No job here has ended in success or failure, so there is no rate."
    row = known.sort_values("rate", ascending=False, kind="stable").iloc[0]
    whose = f" of {label(row[selection.by])}" if selection.by else ""
    most = "At most: " if selection.by and len(known) > 1 else ""
    return f"{most}{share(row['rate'])} of the jobs{whose} fail ({share(row['low'])} to {share(row['high'])}), {count(row['failed'])} of {count(row['ended'])} that ended."


def _load(selection: Selection, _: DurationHistogram, summary: pd.DataFrame) -> str:
    if summary.empty:
        return NO_TIMES
    row = summary.sort_values("waiting", ascending=False, kind="stable").iloc[0]
    if not row["waiting"]:
        return f"No job waited at any of the {len(summary):,} moments looked at; at most {count(summary['running'].max())} ran at once."
    return (
        f"The line was longest at {when(row['time'], selection.tz)} ({selection.tz}): {count(row['waiting'])} jobs waited "
        f"while {count(row['running'])} ran; never did more than {count(summary['running'].max())} run at once."
    )


def _errors(_: Selection, __: DurationHistogram, summary: pd.DataFrame) -> str:
    if summary.empty:
        return "No job failed."
    row = summary.iloc[0]
    return f"{label(row['code'])} makes up {share(row['share'])} of the failures: {count(row['jobs'])} jobs."


def _slowest(_: Selection, __: DurationHistogram, summary: pd.DataFrame) -> str:
    if summary.empty:
        return NO_TIMES
    row = summary.iloc[0]
    took = np.nansum([row["waited_s"], row["ran_s"]])
    goes_on = " so far" if row["unfinished"] else ""
    waited = f", {duration(row['waited_s'])} of it in the queue" if row["waited_s"] == row["waited_s"] else ""
    return f"The slowest job, {label(row['job_id'])}, took {duration(took)}{goes_on}{waited}."


_ANSWERS = {
    "latency": _latency,
    "over_time": _over_time,
    "weekdays": _weekdays,
    "failures": _failures,
    "load": _load,
    "errors": _errors,
    "slowest": _slowest,
}
