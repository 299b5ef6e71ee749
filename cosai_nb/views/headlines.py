"""The answers in sentences: is the queue saturated, what fails, who waits longest, is the SLO met.

Each sentence carries the number of jobs, the share unfinished and the interval of the figure that it states.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from cosai_nb.stats.slo import check_slo
from cosai_nb.views.wording import (
    between,
    count,
    duration,
    is_projected,
    jobs_in_words,
    label,
    printable,
    share,
    when,
)

if TYPE_CHECKING:
    from cosai_nb.views.answers import Answers
    from cosai_nb.views.queue_lines import Line

_VERDICTS = {"met": "Yes", "missed": "No"}


class Headline(NamedTuple):
    """A sentence; ``mood`` is "good", "bad" or "" and colours its edge."""

    topic: str
    text: str
    mood: str = ""


def headlines(
    answers: Answers, slo: tuple[float, float] | None, max_failure_rate: float | None = None
) -> list[Headline]:
    """Return the sentences that the report begins with."""
    if not answers.count:
        return [nothing(answers)]
    told = [saturation(answers), failing(answers)]
    waits = longest_wait(answers)
    if waits:
        told.append(waits)
    if max_failure_rate is not None:
        told.insert(0, failure_limit(answers, max_failure_rate))
    if slo is not None:
        told.insert(0, slo_line(answers, slo))
    return told


def nothing(answers: Answers) -> Headline:
    """Say why there is nothing to say."""
    if not len(answers.jobs):
        return Headline("Nothing to show", "The table has no rows: there are no jobs to report on.")
    told = ", ".join(f"{number:,} {outcome}" for outcome, number in answers.left_out.items())
    return Headline(
        "Nothing to show",
        f"None of the {len(answers.jobs):,} rows is about a job that was read: {told}.",
        "bad",
    )


def saturation(answers: Answers) -> Headline:
    """Say which queue is saturated and since when, or that none is and which line was the longest."""
    topic = "Is a queue saturated?"
    if not answers.usable:
        return Headline(topic, "Not known: no job has usable times, so nobody can tell how many wait.")
    if answers.growing.empty:
        waiting = int(answers.latency["waiting"].iloc[0])
        timed = "" if answers.usable == answers.count else " with usable times"
        told = [
            f"No queue is saturated at {when(answers.latency['as_of'].iloc[0], answers.tz)}.",
            f"{count(waiting)} of {jobs_in_words(answers.usable)}{timed} {'waits' if waiting == 1 else 'wait'}.",
            _longest_line(answers),
            f"Queue latency p95 over all jobs is {_quantile(answers.latency.iloc[0], 'p95')}.",
        ]
        return Headline(topic, " ".join(filter(None, told)), "good" if not waiting else "")
    return Headline(topic, _growing(answers, answers.growing), "bad")


def _growing(answers: Answers, growing: pd.DataFrame) -> str:
    row = growing.iloc[0]
    if "queue_id" in answers.lacking:
        takes, its, whose = "more jobs come in than start", "", "The"
    else:
        takes, its, whose = (
            f"queue {label(growing.index[0])} takes in more jobs than it starts",
            "its ",
            "Its",
        )
    told = [
        f"Yes: {takes}{_waiting_since(answers.lines.get(_key(growing.index[0])), answers.tz)}.",
        f"{count(row['waiting'])} of {its}{jobs_in_words(row['jobs'])} ({share(row['waiting'] / row['jobs'])}) wait.",
        _outlook(answers.backlogs.loc[[growing.index[0]]].iloc[0]),
        f"{whose} queue latency p95 is {_quantile(row, 'p95')}{_method(row)}.",
        _remark(row),
    ]
    others = [label(queue) for queue in growing.index[1:]]
    if others:
        told.append(f"Also growing: {', '.join(others)}.")
    told.append(_longest_line(answers))
    return " ".join(filter(None, told))


def _outlook(row: pd.Series[Any]) -> str:
    if math.isnan(row["eta_s"]):
        return ""
    if math.isinf(row["eta_s"]):
        return "At the rates of the last hour it will not clear."
    return f"At the rates of the last hour it will be empty in {duration(row['eta_s'])}."


def _key(queue: Any) -> Any:
    return None if pd.isna(queue) else queue


def _method(row: pd.Series[Any]) -> str:
    return ", projected from each job's place in line" if is_projected(row, "p95") else ""


def _remark(row: pd.Series[Any]) -> str:
    """Return what the statistics note of a headline that is no projection, as a sentence."""
    note = "" if row["method"] == "projection" else row["note"]
    return f"{note[0].upper()}{note[1:]}." if note else ""


def _waiting_since(line: Line | None, tz: str) -> str:
    if line is None or line.since is None:
        return ""
    first = "its first job, created " if line.always else ""
    return f", and its line has not been empty since {first}{when(line.since, tz)}"


def _longest_line(answers: Answers) -> str:
    queue, line = max(answers.lines.items(), key=lambda pair: pair[1].longest, default=("", None))
    if line is None or not line.longest:
        return ""
    where = "" if "queue_id" in answers.lacking else f", in queue {label(queue)}"
    return f"The longest line was {jobs_in_words(line.longest)}{where} at {when(line.at, answers.tz)}."


def _quantile(row: pd.Series[Any], name: str) -> str:
    """Return a quantile with its interval, or with the bound that is known where it has none."""
    value, bound = row[name], row[f"{name}_lower_bound"]
    if math.isnan(value):
        return "not known"
    if math.isinf(value):
        return f"not reached yet (at least {duration(bound)})"
    interval = between(row[f"{name}_low"], row[f"{name}_high"]) or (
        f"at least {duration(bound)}" if bound < value else ""
    )
    return f"{duration(value)} ({interval})" if interval else duration(value)


def failing(answers: Answers) -> Headline:
    """Say how much fails, what most, in which group and since when."""
    row = answers.failures.iloc[0]
    topic = "What fails most?"
    if not row["ended"]:
        return Headline(
            topic, f"Nothing is known yet: none of the {jobs_in_words(row['jobs'])} has succeeded or failed."
        )
    interval = f"95 % interval {share(row['low'])} to {share(row['high'])}"
    known = f"{count(row['ended'])} ended" + (
        f", {count(row['unfinished'])} unfinished" if row["unfinished"] else ""
    )
    if not row["failed"]:
        return Headline(topic, f"No job has failed ({interval}; {known}).", "good")
    if math.isnan(row["rate"]):
        begin = f"{jobs_in_words(row['failed'])} failed; the rate is not known yet, it is between {share(row['low'])} and {share(row['high'])} ({known})."
    else:
        begin = f"{share(row['rate'])} of the jobs fail ({interval}; {known})."
    told = [begin, _most_common(answers), _highest_group(answers), _worst_hour(answers)]
    return Headline(topic, " ".join(filter(None, told)))


def _most_common(answers: Answers) -> str:
    if answers.errors.empty:
        return ""
    first = answers.errors.iloc[0]
    said = f"Most often {error_name(first)}: {jobs_in_words(first['jobs'])}, {share(first['share'])} of the failures"
    if not pd.isna(first["first_seen"]):
        said += f", from {when(first['first_seen'], answers.tz)} to {when(first['last_seen'], answers.tz)}"
    return f"{said}."


def error_name(row: pd.Series[Any]) -> str:
    """Return code and message of an error as one name."""
    parts = [row[part] for part in ("code", "message") if not pd.isna(row[part]) and row[part].strip()]
    return " – ".join(printable(part.rstrip("."), longest=80) for part in parts) or "an error without a code"


def _highest_group(answers: Answers) -> str:
    rates = answers.failures_by
    rates = rates[rates["rate"].notna()]
    if not answers.by or len(rates) < 2:  # noqa: PLR2004 - one group is no comparison
        return ""
    place = int(rates["rate"].to_numpy().argmax())
    row = rates.iloc[place]
    return f"{label(rates.index[place])} fails most: {share(row['rate'])} ({share(row['low'])} to {share(row['high'])}, n = {count(row['ended'])})."


def _worst_hour(answers: Answers) -> str:
    hours = answers.by_hour
    if len(hours) < 2 or not hours["failed"].max():  # noqa: PLR2004 - one hour is no comparison
        return ""
    worst = int(hours["failed"].to_numpy().argmax())
    moment, row = hours.index[worst], hours.iloc[worst]
    return f"The worst hour began {when(moment, answers.tz)}: {count(row['failed'])} of {jobs_in_words(row['jobs'])} created in it failed."


def longest_wait(answers: Answers) -> Headline | None:
    """Say which group waits longest; None where there is nothing to compare."""
    table = answers.latency_by[answers.latency_by["p95"].notna()]
    if not answers.by or len(table) < 2:  # noqa: PLR2004 - one group is no comparison
        return None
    order = table.sort_values(["p95", "p95_lower_bound"], ascending=False, kind="stable")
    first, last = order.iloc[0], order.iloc[-1]
    topic = "Who waits longest?"
    if first["p95"] == last["p95"]:
        return Headline(
            topic,
            f"All wait alike: queue latency p95 is {duration(first['p95'])} for every {' and '.join(answers.by)}.",
        )
    told = [
        f"{label(order.index[0])}: queue latency p95 is {_quantile(first, 'p95')}{_method(first)};",
        f"{jobs_in_words(first['jobs'])}, {share(first['waiting'] / first['jobs'])} still waiting.",
        f"{label(order.index[-1])} waits least: p95 {duration(last['p95'])}{_method(last)}, {jobs_in_words(last['jobs'])}.",
    ]
    return Headline(topic, " ".join(told))


def slo_line(answers: Answers, slo: tuple[float, float]) -> Headline:
    """Say whether the SLO on queue latency is met."""
    threshold, target = slo
    row = check_slo(answers.histogram, threshold_s=threshold, target=target).iloc[0]
    topic = "Is the SLO met?"
    asked = f"{share(target)} of the jobs are to start within {duration(threshold)}"
    bounds = f"{share(row['share_lower_bound'])} to {share(row['share_upper_bound'])}"
    if row["verdict"] not in _VERDICTS:
        open_ = row["open"] + row["unusable"]
        return Headline(
            topic,
            f"Undecided: {asked}; {bounds} will, {count(open_)} of {jobs_in_words(row['jobs'])} may go either way.",
        )
    interval = f"95 % interval {share(row['low'])} to {share(row['high'])}, n = {count(row['jobs'])}"
    done = bounds if math.isnan(row["share"]) else share(row["share"])
    text = f"{_VERDICTS[row['verdict']]}: {asked}, {done} do ({interval})."
    if 1 < row["burn_rate"] < math.inf:
        text += f" The error budget is spent {row['burn_rate']:.1f} times as fast as it is given."
    return Headline(topic, text, "good" if row["verdict"] == "met" else "bad")


def failure_limit(answers: Answers, limit: float) -> Headline:
    """Say whether the share of failed jobs is within its limit, whatever becomes of the unfinished ones."""
    row = answers.failures.iloc[0]
    topic, asked = "Is the failure rate within its limit?", f"at most {share(limit)} of the jobs are to fail"
    owed = row["ended"] + row["unfinished"]
    if not owed:
        return Headline(topic, f"Not known: {asked}, and none has succeeded or failed.")
    least, most = row["failed"] / owed, (row["failed"] + row["unfinished"]) / owed
    if least <= limit < most:
        open_ = f"{count(row['unfinished'])} unfinished of {jobs_in_words(owed)} may go either way"
        return Headline(topic, f"Undecided: {asked}; {share(least)} to {share(most)} will, {open_}.")
    done = f"{count(row['failed'])} of {count(row['ended'])} ended did"
    interval = f"95 % interval of the rate {share(row['low'])} to {share(row['high'])}"
    open_ = f", {count(row['unfinished'])} unfinished cannot change that" if row["unfinished"] else ""
    met = most <= limit
    text = f"{'Yes' if met else 'No'}: {asked}, {done} ({interval}{open_})."
    return Headline(topic, text, "good" if met else "bad")
