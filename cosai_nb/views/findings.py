"""The one sentence above each figure of the explorer: the answer, with the number of jobs and the share unfinished.

Each is worded from the small frame that the figure draws, so sentence and figure cannot disagree.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cosai_nb.stats.curves import first_reaching, kaplan_meier
from cosai_nb.stats.lines import read_lines
from cosai_nb.stats.quantiles import quantile
from cosai_nb.views.panel import FILTERS
from cosai_nb.views.plots.load import bin_ends
from cosai_nb.views.plots.parts import NO_JOBS, NO_TIMES, facts, largest
from cosai_nb.views.plots.style import MOST_GROUPS, nice_duration
from cosai_nb.views.wording import count, duration, jobs_in_words, label, share, when

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
    answer = f"{_part(selection)} of the jobs start within {duration(seconds)}"
    if curve.unfinished.any() and any(line.growing for line in read_lines(histogram).values()):
        answer += ", as far as known: a line grows, and served in order they may wait longer (cosai_nb.queue_latency projects it)"
    return f"{answer}.{_worst_group(selection, histogram)}"


def _worst_group(selection: Selection, histogram: DurationHistogram) -> str:
    """Say which of the groups that are drawn waits longest, where there are several."""
    if selection.by is None:
        return ""
    parts, _ = largest(histogram, [selection.by], most=MOST_GROUPS)
    seconds = [quantile(part.jobs.curve("queue_latency"), selection.q) for part in parts]
    if len(parts) == 1 or np.isnan(seconds).all():
        return ""
    worst = int(np.nanargmax(seconds))
    reached = f"within {duration(seconds[worst])}" if np.isfinite(seconds[worst]) else "not yet"
    return f" {_whose(selection, parts[worst].labels[0])} wait longest of those drawn: {_part(selection)} start {reached}."


def _whose(selection: Selection, key: Any) -> str:
    """Name the jobs of a group: ``Jobs of queue q1``."""
    return f"Jobs of {FILTERS[selection.by].lower()} {label(key)}" if selection.by else "Jobs"


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
    key = row[selection.by] if selection.by else None
    return (
        f"{_whose(selection, key)} waited longest when created in the hour from {when(row['hour'], selection.tz)} "
        f"({selection.tz}): {_quantile_of(row, name)}, {jobs_in_words(row['jobs'])}."
    )


def _weekdays(selection: Selection, _: DurationHistogram, summary: pd.DataFrame) -> str:
    name = f"p{100 * selection.q:g}"
    row = _worst(summary, name)
    if row is None:
        return NO_TIMES
    return (
        f"Jobs wait longest when created on {row['weekday']} from {row['hour']:02d}:00 ({selection.tz}): "
        f"{_quantile_of(row, name)}, {jobs_in_words(row['jobs'])}."
    )


def _failures(selection: Selection, _: DurationHistogram, summary: pd.DataFrame) -> str:
    known = summary[summary["rate"].notna()]
    if known.empty:
        return "No job here has ended in success or failure, so there is no rate."
    row = known.sort_values("rate", ascending=False, kind="stable").iloc[0]
    whose = f" of {FILTERS[selection.by].lower()} {label(row[selection.by])}" if selection.by else ""
    most = "At most: " if selection.by and len(known) > 1 else ""
    return f"{most}{share(row['rate'])} of the jobs{whose} fail ({share(row['low'])} to {share(row['high'])}), {count(row['failed'])} of {count(row['ended'])} that ended."


def _load(selection: Selection, _: DurationHistogram, summary: pd.DataFrame) -> str:
    if summary.empty:
        return NO_TIMES
    place = int(np.argmax(summary["waiting_max"]))
    row = summary.iloc[place]
    most_running = count(summary["running_max"].max())
    if not summary.attrs["exact"]:
        looked = f"Seen only every {nice_duration(summary.attrs['width_s'])}, {len(summary):,} times"
        if not row["waiting"]:
            return f"{looked}: no job waited then, and at most {most_running} ran."
        moment = when(bin_ends(summary).iloc[place], selection.tz)
        return (
            f"{looked}: the line was longest at {moment} ({selection.tz}), when {jobs_in_words(row['waiting'])} waited "
            f"and {count(row['running'])} ran."
        )
    if not row["waiting_max"]:
        return f"No job waited for any time; at most {most_running} ran at once."
    return (
        f"The line was longest in the {nice_duration(summary.attrs['width_s'])} from {when(row['time'], selection.tz)} "
        f"({selection.tz}): {jobs_in_words(row['waiting_max'])} waited at once. At most {most_running} ran at once."
    )


def _errors(_: Selection, __: DurationHistogram, summary: pd.DataFrame) -> str:
    if summary.empty:
        return "No job failed."
    row = summary.iloc[0]
    return (
        f"{label(row['code'])} makes up {share(row['share'])} of the failures: {jobs_in_words(row['jobs'])}."
    )


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
