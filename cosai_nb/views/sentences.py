"""Facts in words: the lines that a report begins with, and the sentence above each figure of the explorer.

::

    headlines(answers)            at most five lines, the strongest first
    finding(selection, summary)   the answer of one view, from the frame that its figure draws
    quantile(row, "p95")          a quantile with its interval, or with the bound that is known
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cosai_nb.stats.failures import worst_spell
from cosai_nb.stats.histogram import choose
from cosai_nb.stats.latency import NEEDS_JOBS, name_of
from cosai_nb.stats.measures import moments
from cosai_nb.stats.slo import check_slo
from cosai_nb.views.answers import QUEUE
from cosai_nb.views.plots.axes import MOST_GROUPS
from cosai_nb.views.plots.load import bin_ends
from cosai_nb.views.plots.text import plain
from cosai_nb.views.wording import (
    NO_FAILURE,
    NO_JOBS,
    NO_RATE,
    NO_TIMES,
    NO_WAITING,
    between,
    count,
    duration,
    error_name,
    facts,
    in_zone,
    is_projected,
    jobs_in_words,
    label,
    sentence,
    share,
    share_range,
    shortened,
    when,
    whole_duration,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cosai_nb.stats.counts import Counted
    from cosai_nb.views.answers import Answers
    from cosai_nb.views.selection import Selection

COLUMN_NAMES = {
    "tag": "Tag",
    "queue_id": "Queue",
    "queue_name": "Queue",
    "bucket": "Bucket",
    "outcome": "Outcome",
    "code": "Code",
    "input_lang": "From language",
    "target_lang": "To language",
}
"""How the columns that jobs are grouped by are called; another one has its own name."""
MOST_LINES = 5
_MOST_NAMED, _MANY = 6, 10
MOODS = ("bad", "", "good")


def group_name(by: str | Sequence[str] | None, name: str) -> str:
    """Return the name of a group with what it is.

    Examples
    --------
    >>> group_name("queue_id", "nightly"), group_name(["tag", "code"], "ASR · E1"), group_name(None, "")
    ('Queue nightly', 'ASR · E1', 'All jobs')
    """
    columns = [by] if isinstance(by, str) else list(by or ())
    if len(columns) != 1:
        return name or "All jobs"
    return f"{COLUMN_NAMES.get(columns[0], label(columns[0]))} {name}"


# --- a quantile ---


NO_INTERVAL = "no interval"


def interval(row: Any, name: str, unknown: str = "") -> str:
    """Return what is known of a quantile beside its value: its interval, or its lower bound where it has none.

    ``unknown`` is said where it has neither.
    """
    value, bound = row[name], row[f"{name}_lower_bound"]
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "too few started"
    low, high = (row.get(f"{name}_{end}", math.nan) for end in ("low", "high"))
    text = between(low, high)
    if not text and bound < value:
        text = f"at least {duration(bound)}"
    elif math.isnan(low) and math.isnan(high):
        text = unknown
    return f"projected, {text}".removesuffix(", ") if "method" in row and is_projected(row, name) else text


def quantile(row: Any, name: str) -> str:
    """Return a quantile with its interval."""
    value, bound = row[name], row[f"{name}_lower_bound"]
    if math.isnan(value):
        return "not known"
    beside = interval(row, name, NO_INTERVAL)
    text = f"more than {duration(bound)}" if math.isinf(value) else duration(value)
    return f"{text} ({beside})" if beside else text


def failure_rate(row: Any) -> str:
    """Return a failure rate with its interval, or the bounds where there is no rate."""
    if math.isnan(row["rate"]):
        return f"undecided, {share_range(row['low'], row['high'])}"
    return f"{share(row['rate'])} ({_interval(row)})"


def _interval(row: Any) -> str:
    return f"95 % interval {share_range(row['low'], row['high'])}"


# --- the lines that a report begins with ---


class Line(NamedTuple):
    """A group or queue by name with its state, and what is known; ``mood`` is "good", "bad" or "" and colours its edge.

    ``anchor`` is where its picture is, and ``picture`` how that is called.
    """

    name: str
    text: str
    mood: str = ""
    anchor: str = ""
    picture: str = ""


def headlines(
    answers: Answers, slo: tuple[float, float] | None = None, max_failure_rate: float | None = None
) -> list[Line]:
    """Return at most five lines, what is wrong first and what is well last."""
    if not answers.count:
        return [_nothing(answers)]
    found = [
        None if slo is None else _slo(answers, *slo),
        None if max_failure_rate is None else _failure_limit(answers, max_failure_rate),
        _failing(answers),
        _slowest(answers),
    ]
    lines = [line for line in found if line]
    lines = [*_queues(answers, MOST_LINES - len(lines), slo), *lines]
    return sorted(lines, key=lambda line: MOODS.index(line.mood))


def _nothing(answers: Answers) -> Line:
    rows = sum(answers.counted.left_out.values())
    if not rows:
        return Line("No jobs", "The table has no rows: there are no jobs to report on.")
    told = ", ".join(f"{number:,} {outcome}" for outcome, number in answers.counted.left_out.items())
    return Line("No jobs", f"None of the {rows:,} rows is about a job that was read: {told}.", "bad")


def _queues(answers: Answers, most: int, slo: tuple[float, float] | None) -> list[Line]:
    """Say which queues grow or stand still, one a line, the last line naming those for which there is no room."""
    if not answers.usable:
        return [Line("Queues: not known", "No job has usable times, so nobody can tell how many wait.")]
    alarms = answers.alarms[answers.alarms["state"].isin(["stopped", "growing"])]
    if alarms.empty:
        return [_calm(answers)]
    target = f"; target: {_target(*slo)}" if slo else ""
    shown = len(alarms) if len(alarms) <= most else most - 1
    lines = []
    for key, row in alarms.head(shown).iterrows():
        rates = f"{row['arrivals_per_hour']:,.0f} arrive and {row['starts_per_hour']:,.0f} start an hour"
        told = [
            f"{count(row['waiting'])} waiting, oldest {duration(row['oldest_s'])}, {rates}{target}.",
            f"The queue filled after {when(row['since'], answers.tz)}." if not pd.isna(row["since"]) else "",
            f"Chance of such growth at a load of 90 %: {share(row['p_value'])}."
            if row["state"] == "growing"
            else sentence(row["note"]),
        ]
        name = f"{_queue_name(answers, key)}: {row['state']}"
        lines.append(Line(name, " ".join(filter(None, told)), "bad", *_to(answers, QUEUE, key, "Load")))
    rest = alarms.iloc[shown:]
    if len(rest):
        names = shortened([answers.name(QUEUE, key) for key in rest.index], _MOST_NAMED)
        text = f"{names}: {count(rest['waiting'].sum())} waiting."
        lines.append(Line(f"{len(rest):,} more queues: growing or stopped", text, "bad", "queues", "Queues"))
    return lines


def _queue_name(answers: Answers, key: Any) -> str:
    return "All jobs" if "queue_id" in answers.lacking else group_name("queue_id", answers.name(QUEUE, key))


def _to(answers: Answers, by: tuple[str, ...], key: Any, picture: str) -> tuple[str, str]:
    """Return where the figures of a group are; those of all jobs where it has none of its own."""
    return answers.anchors.get((by, plain(key)), "figures"), picture


def _calm(answers: Answers) -> Line:
    row = answers.whole.latency.iloc[0]
    waiting, out = int(row["waiting"]), int(answers.out_of_queue.sum())
    told = f"{count(waiting)} of {jobs_in_words(answers.usable)} {'waits' if waiting == 1 else 'wait'}"
    told += f" ({count(out)} paused or stale, in no queue)" if out else ""
    if answers.alarms["waiting"].any():
        oldest = answers.alarms["oldest_s"].fillna(-1)
        key = answers.alarms.index[int(oldest.to_numpy().argmax())]
        where = "" if "queue_id" in answers.lacking else f" ({_queue_name(answers, key)})"
        told += f", the oldest for {duration(oldest.max())}{where}" if oldest.max() >= 0 else ""
    text = f"{told} at {when(answers.as_of, answers.tz)}; queue latency p95 is {quantile(row, 'p95')}."
    # one that has been full for long may grow, too slowly to be sure
    full = answers.alarms["since"] < answers.as_of - pd.Timedelta("1h")
    return Line("Queues: none is growing or stopped", text, "" if full.any() else "good", "figures", "Load")


def _target(threshold: float, target: float) -> str:
    return f"{share(target)} start within {duration(threshold)}"


def _verdict(limit: str, verdict: str, text: str, *to: str) -> Line:
    """Say whether a limit that was asked for is met."""
    return Line(f"{limit}: {verdict}", text, {"met": "good", "missed": "bad"}.get(verdict, ""), *to)


def _slo(answers: Answers, threshold: float, target: float) -> Line:
    row = check_slo(answers.counted, threshold_s=threshold, target=target, detail=True).iloc[0]
    jobs, asked = jobs_in_words(row["jobs"]), f"target: {_target(threshold, target)}"
    bounds = share_range(row["share_lower_bound"], row["share_upper_bound"])
    if row["verdict"] not in ("met", "missed"):
        text = f"{bounds} on time, {count(row['open'] + row['unusable'])} of {jobs} undecided; {asked}."
    else:
        done = bounds if math.isnan(row["share"]) else share(row["share"])
        text = f"{done} of {jobs} on time; {asked} ({_interval(row)})."
        if 1 < row["burn_rate"] < math.inf:
            text += f" The error budget burns {row['burn_rate']:.1f} times as fast as allowed."
        text += _furthest(answers, threshold, target)
    return _verdict("SLO", row["verdict"], text, "summary", "Summary")


def _furthest(answers: Answers, threshold: float, target: float) -> str:
    """Name the group with the smallest share on time among those that missed the target."""
    if not answers.by:
        return ""
    kept = check_slo(answers.counted, threshold_s=threshold, target=target, by=answers.by, detail=True)
    kept = kept[(kept["verdict"] == "missed") & kept["share"].notna()]
    if kept.empty:
        return ""
    place = int(kept["share"].to_numpy().argmin())
    name = group_name(answers.by, answers.name(answers.by, kept.index[place]))
    return f" {name}: {share(kept['share'].iloc[place])} of {jobs_in_words(kept['jobs'].iloc[place])}."


def _failure_limit(answers: Answers, limit: float) -> Line:
    """Say whether the share of failed jobs is within its limit, whatever becomes of the unfinished ones."""
    row = answers.whole.failures.iloc[0]
    asked, unfinished = f"limit: at most {share(limit)} fail", f"{count(row['unfinished'])} unfinished"
    owed = row["ended"] + row["unfinished"]
    if not owed:
        verdict, text = "not known", f"No job has succeeded or failed yet; {asked}."
    else:
        least, most = row["failed"] / owed, (row["failed"] + row["unfinished"]) / owed
        if least <= limit < most:
            open_ = f"{count(row['unfinished'])} of {jobs_in_words(owed)} unfinished"
            verdict, text = "undecided", f"{share_range(least, most)} fail, {open_}; {asked}."
        else:
            verdict = "met" if most <= limit else "missed"
            open_ = f"; {unfinished} cannot change that" if row["unfinished"] else ""
            text = f"{_failed_of_ended(row)}; {asked} (failure rate {failure_rate(row)}{open_})."
    return _verdict("Failure rate limit", verdict, text, "figures", "Failure rate")


def _failed_of_ended(row: Any) -> str:
    return f"{count(row['failed'])} of {count(row['ended'])} ended jobs failed"


def _failing(answers: Answers) -> Line:
    """Name the group whose failure rate is highest by its lower bound, and the most common error."""
    whole = answers.whole.failures.iloc[0]
    unfinished = f", {count(whole['unfinished'])} unfinished" if whole["unfinished"] else ""
    known, to = f"{count(whole['ended'])} ended{unfinished}", ("figures", "Failure rate")
    if not whole["ended"]:
        text = f"Nothing is known yet: none of the {jobs_in_words(whole['jobs'])} has succeeded or failed."
        return Line("Failures: not known", text, "", *to)
    if not whole["failed"]:
        text = f"No job has failed ({_interval(whole)}; {known})."
        return Line("Failures: none", text, "good", *to)
    name, row, compared, counted = "All jobs", whole, known, answers.counted
    rates = answers.grouped.failures
    failing = rates[rates["rate"].notna() & (rates["failed"] > 0)]
    if len(rates) > 1 and len(failing):  # a group with a few failures is chosen only where there is no other
        order = failing.assign(many=failing["failed"] >= _MANY)
        order = order.sort_values(["many", "rate"], ascending=False, kind="stable")
        key, row = order.index[0], order.iloc[0]
        name = group_name(answers.by, answers.name(answers.by, key))
        compared = f"all jobs: {failure_rate(whole)}, {known}"
        labels = key if isinstance(key, tuple) else (key,)
        counted = choose(counted, dict(zip(answers.by, labels, strict=True)))
        to = _to(answers, answers.by, key, "Failure rate over time")
    rate = "undecided" if math.isnan(row["rate"]) else share(row["rate"])
    own, spell = f"{_failed_of_ended(row)} ({_interval(row)})", _spell(counted, answers.tz)
    # "those" are the jobs that were named last
    told = (
        [f"{own}.", spell, f"In comparison, {compared}."]
        if spell and row is not whole
        else [f"{own}; {compared}.", spell]
    )
    told.append(_most_common(answers))
    return Line(f"{name}: failure rate {rate}", " ".join(filter(None, told)), "", *to)


def _spell(counted: Counted, tz: str) -> str:
    """Say when failures clustered, empty where they did not."""
    worst = worst_spell(counted)
    if worst is None:
        return ""
    begin, end = (when(moment, tz) for moment in moments([worst.begin, worst.end]))
    failed = f"{count(worst.failed)} of {count(worst.ended)} failed ({share(worst.failed / worst.ended)})"
    return f"Of those created {begin} to {end}, {failed}."


def _most_common(answers: Answers) -> str:
    if answers.errors.empty:
        return ""
    first = answers.errors.iloc[0]
    said = f"Most common error: {error_name(first)}, {jobs_in_words(first['jobs'])}, {share(first['share'])} of the failures"
    if not pd.isna(first["first_seen"]):
        said += f", {when(first['first_seen'], answers.tz)} to {when(first['last_seen'], answers.tz)}"
    return f"{said}."


def _slowest(answers: Answers) -> Line | None:
    """Name the group with the longest p95 of the queue latency; None where there is nothing to compare."""
    table = answers.grouped.latency
    table = table[table["p95"].notna()].sort_values(
        ["p95", "p95_lower_bound"], ascending=False, kind="stable"
    )
    if len(table) < 2:  # noqa: PLR2004 - one group is no comparison
        return None
    first, last = table.iloc[0], table.iloc[-1]
    each = f"every {' and '.join(COLUMN_NAMES.get(name, name).lower() for name in answers.by)}"
    mood, to = "", ("figures", "Queue latency")
    if math.isinf(last["p95"]):
        title = "Queue latency: too few started in all groups"
        text = f"is more than {duration(table['p95_lower_bound'].min())} for {each}"
    elif duration(first["p95"]) == duration(last["p95"]):
        title, mood = "Queue latency: the same in all groups", "good"
        text = f"is {duration(first['p95'])} for {each}"
    elif first["p95_low"] <= last["p95_high"]:
        title = "Queue latency: no difference shown"
        text = f"of {each} is {quantile(last, 'p95')} to {quantile(first, 'p95')}: the intervals overlap"
    else:
        longest, shortest = (
            group_name(answers.by, answers.name(answers.by, table.index[place])) for place in (0, -1)
        )
        title, to = (
            f"{longest}: longest queue latency",
            _to(answers, answers.by, table.index[0], "Queue latency over time"),
        )
        mine = f"{jobs_in_words(first['jobs'])}, {count(first['waiting'])} waiting"
        whole = f"all jobs {quantile(answers.whole.latency.iloc[0], 'p95')}"
        text = f"{quantile(first, 'p95')}; {mine}. {shortest}: {quantile(last, 'p95')}; {whole}"
    return Line(title, f"Queue latency p95 {text}.", mood, *to)


# --- the sentence above a figure of the explorer ---


def finding(selection: Selection, summary: pd.DataFrame, *quantiles: pd.DataFrame) -> str:
    """Return the answer of a view as a sentence or two, ending with the facts about its jobs.

    Parameters
    ----------
    selection : Selection
        What is shown.
    summary : pandas.DataFrame
        What the view's plot draws.
    *quantiles : pandas.DataFrame
        In the view of latency those of the groups and those of all jobs.
    """
    about = summary.attrs["about"]
    if not about.jobs:
        return NO_JOBS
    return f"{_ANSWERS[selection.tab](selection, *(quantiles or (summary,)))} ({facts(about)})"


def _latency(selection: Selection, groups: pd.DataFrame, whole: pd.DataFrame) -> str:
    name, row = name_of(selection.q), whole.iloc[0]
    seconds = row[name]
    if math.isnan(seconds):
        return NO_TIMES
    if math.isinf(seconds):
        started = share(row["started"])
        return f"Not even {_part(selection)} of the jobs have started yet (so far {started}), so that quantile is not reached."
    if row["method"] == NEEDS_JOBS:
        bound = duration(row[f"{name}_lower_bound"])
        answer = f"{_part(selection)} of the jobs start within {bound} at the earliest: a queue grows, and if it is served in order they may wait longer"
    else:
        answer = f"{_part(selection)} of the jobs start within {duration(seconds)}"
        if is_projected(row, name):
            answer += ", projected from the place of each waiting job in its queue"
        if row["growing"] and row["waiting"]:
            answer += "; a queue grows: if that goes on, they may wait longer"
    return f"{answer}.{_worst_group(selection, groups)}"


def _worst_group(selection: Selection, groups: pd.DataFrame) -> str:
    """Say which of the groups that are drawn waits longest, where there are several."""
    drawn = groups.sort_values("jobs", ascending=False, kind="stable").head(MOST_GROUPS)
    seconds = drawn[name_of(selection.q)].to_numpy()
    if len(drawn) < 2 or np.isnan(seconds).all():  # noqa: PLR2004 - one group is no comparison
        return ""
    worst, best = int(np.nanargmax(seconds)), int(np.nanargmin(seconds))
    if duration(seconds[worst]) == duration(seconds[best]):
        return " The groups drawn wait alike."
    name = name_of(selection.q)
    overlap = drawn[f"{name}_low"].iloc[worst] <= drawn[f"{name}_high"].iloc[best]
    unsure = " The intervals overlap: no difference is shown." if overlap else ""
    reached = f"within {duration(seconds[worst])}" if np.isfinite(seconds[worst]) else "not yet"
    return f" {_whose(selection, groups, drawn.index[worst])} wait longest of those drawn: {_part(selection)} start {reached}.{unsure}"


def _group_of(selection: Selection, summary: pd.DataFrame, key: Any) -> str:
    """Name a group by the columns that are grouped by, a queue by its name: ``Queue nightly``; nothing without groups."""
    named = summary.attrs.get("names", {}) if selection.by == "queue_id" else {}
    return group_name(selection.by, label(named.get(key, key))) if selection.by else ""


def _whose(selection: Selection, summary: pd.DataFrame, key: Any) -> str:
    """Name the jobs of a group: ``Jobs of queue q1``."""
    name = _group_of(selection, summary, key)
    return f"Jobs of {name[0].lower()}{name[1:]}" if name else "Jobs"


def _part(selection: Selection) -> str:
    return f"{100 * selection.q:g} %"


def _worst(summary: pd.DataFrame, name: str) -> Any:
    """Return the row with the longest quantile; one that is not reached counts with its lower bound."""
    known = summary[summary[name].notna()]
    if known.empty:
        return None
    seconds = known[name].where(np.isfinite(known[name]), known[f"{name}_lower_bound"])
    return known.iloc[int(np.argmax(seconds))]


def _windows(selection: Selection, summary: pd.DataFrame) -> str:
    """Say of which window of time, or hour of the week, the jobs waited longest."""
    name = name_of(selection.q)
    row = _worst(summary, name)
    if row is None:
        return NO_TIMES
    if "weekday" in summary:
        who = f"Jobs wait longest when created on {row['weekday']} from {row['hour']:02d}:00"
    else:
        jobs = _whose(selection, summary, row[selection.by] if selection.by else None)
        who = f"{jobs} waited longest when created {_window(selection, summary, row)}"
    return f"{who} ({selection.tz}): {name} {quantile(row, name)}, {jobs_in_words(row['jobs'])}."


def _window(selection: Selection, summary: pd.DataFrame, row: Any) -> str:
    return f"in the {whole_duration(summary.attrs['width_s'])} from {when(row['time'], selection.tz)}"


def _failures(selection: Selection, summary: pd.DataFrame) -> str:
    known = summary[summary["rate"].notna()]
    if known.empty:
        if summary["ended"].any():
            return "There is no failure rate yet: jobs that have not ended decide it."
        return NO_RATE
    row = known.iloc[int(np.argmax(known["rate"]))]
    parts = [_group_of(selection, summary, row[selection.by]) if selection.by else "All jobs"]
    if summary.attrs.get("width_s"):
        if not row["failed"]:
            return NO_FAILURE
        parts.append(f"created {_window(selection, summary, row)} ({selection.tz})")
    highest = "highest failure rate" if len(known) > 1 else "failure rate"
    return f"{', '.join(parts)}: {highest} {failure_rate(row)}, {_failed_of_ended(row)}."


def _eta(selection: Selection, summary: pd.DataFrame) -> str:
    if summary.empty:
        return NO_WAITING
    known = summary[summary["start_expected"].notna()]
    if known.empty:
        return f"{jobs_in_words(len(summary))} waiting, with no known start: {in_zone(summary['note'].iloc[0], selection.tz)}."
    last = known.iloc[int(np.argmax(known["start_expected"]))]
    rest = len(summary) - len(known)
    unknown = f" {count(rest)} more without a known start." if rest else ""
    expected, low, high = (
        when(last[name], selection.tz) for name in ("start_expected", "start_low", "start_high")
    )
    return f"{jobs_in_words(len(known))} waiting; the last is expected to start at {expected} ({selection.tz}; {low} to {high}).{unknown}"


def _load(selection: Selection, summary: pd.DataFrame) -> str:
    if summary.empty:
        return NO_TIMES
    place = int(np.argmax(summary["waiting_max"]))
    row = summary.iloc[place]
    most_running = count(summary["running_max"].max())
    if not summary.attrs["exact"]:
        looked = f"Observed only every {whole_duration(summary.attrs['width_s'])}, {len(summary):,} times"
        if not row["waiting"]:
            return f"{looked}: no job waited then, and at most {most_running} ran."
        longest = (
            f"the queue was longest at {when(bin_ends(summary).iloc[place], selection.tz)} ({selection.tz})"
        )
        there = f"{jobs_in_words(row['waiting'])} waited and {count(row['running'])} ran"
        return f"{looked}: {longest}, when {there}."
    if not row["waiting_max"]:
        return f"No job waited for any time; at most {most_running} ran at once."
    longest = f"The queue was longest {_window(selection, summary, row)} ({selection.tz})"
    return (
        f"{longest}: {jobs_in_words(row['waiting_max'])} waited at once. At most {most_running} ran at once."
    )


def _errors(_: Selection, summary: pd.DataFrame) -> str:
    if summary.empty:
        return NO_FAILURE
    row = summary.iloc[0]
    return f"{label(row['code'])}: {share(row['share'])} of the failures, {jobs_in_words(row['jobs'])}."


def _longest_jobs(_: Selection, summary: pd.DataFrame) -> str:
    if summary.empty:
        return NO_TIMES
    row = summary.iloc[0]
    took = np.nansum([row["waited_s"], row["ran_s"]])
    goes_on = " so far" if row["unfinished"] else ""
    waited = f", {duration(row['waited_s'])} of it in the queue" if not pd.isna(row["waited_s"]) else ""
    return f"The slowest job, {label(row['job_id'])}, took {duration(took)}{goes_on}{waited}."


_ANSWERS: dict[str, Callable[..., str]] = {
    "latency": _latency,
    "over_time": _windows,
    "weekdays": _windows,
    "failures": _failures,
    "failures_over_time": _failures,
    "load": _load,
    "errors": _errors,
    "slowest": _longest_jobs,
    "eta": _eta,
}
