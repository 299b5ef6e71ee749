"""The tables of the report: by group, by error, and single jobs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cosai_nb.schema import NOT_A_JOB, Outcome
from cosai_nb.schema import UNFINISHED as UNFINISHED_OUTCOMES
from cosai_nb.stats.censoring import ENDED, UNFINISHED, measure_jobs
from cosai_nb.stats.messages import normalise
from cosai_nb.views.answers import plain_key
from cosai_nb.views.tables import (
    Cell,
    Column,
    Table,
    count_cell,
    id_cell,
    per_hour_cell,
    seconds_cell,
    seconds_column,
    share_cell,
    text_cell,
    time_cell,
)
from cosai_nb.views.wording import between, duration, is_projected, label, share

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from cosai_nb.views.answers import Answers

MOST_GROUPS = 100
MOST_ERRORS = 50
MOST_JOBS = 200
MOST_TAGS = 4


class Summary(NamedTuple):
    """A table and what must be said below it."""

    id: str
    table: Table
    notes: list[str]


class JobList(NamedTuple):
    """Single jobs: a table, or None and the sentence that stands for it."""

    summary: str
    table: Table | None = None


def summary(answers: Answers) -> Summary:
    """Return the table by group of what matters."""
    columns = [
        Column(group_heading(answers)),
        *(Column(name, "n") for name in ("jobs", "ended", "waiting", "created per h", "failed per h")),
        *map(seconds_column, ("queue latency p50", "queue latency p95", "run time p50", "run time p95")),
        Column("failure rate", "n"),
    ]
    rows = [
        _summary_row(name, *parts, span_s=answers.span_s)
        for name, parts in by_group(answers, answers.latency_by, answers.run_by, answers.failures_by)
    ]
    caption = "Small print: 95 % intervals"
    if answers.span_s > 0:
        caption += (
            f". Per hour: over the {duration(answers.span_s)} from the first creation to the last time seen"
        )
    return Summary("summary-table", Table(caption, columns, rows, _hidden(answers)), _notes(answers))


def _summary_row(
    name: str,
    latency: pd.Series[Any],
    run: pd.Series[Any] | None,
    failures: pd.Series[Any] | None,
    *,
    span_s: float,
) -> list[Cell]:
    ended, failed = (math.nan if failures is None else failures[what] for what in ("ended", "failed"))
    cells = [Cell(name), count_cell(latency["jobs"]), count_cell(ended), count_cell(latency["waiting"])]
    cells += [per_hour_cell(latency["jobs"], span_s), per_hour_cell(failed, span_s)]
    cells += [quantile_cell(latency, "p50"), quantile_cell(latency, "p95")]
    cells += [quantile_cell(run, quantile) for quantile in ("p50", "p95")]
    if failures is None or not ended:
        return [*cells, share_cell(math.nan, "none has ended")]
    return [*cells, share_cell(failures["rate"], f"{share(failures['low'])} to {share(failures['high'])}")]


def quantile_cell(row: pd.Series[Any] | None, name: str) -> Cell:
    """Return a quantile with its interval, or the bound that is known where it has none."""
    if row is None or math.isnan(row[name]):
        return seconds_cell(math.nan)
    interval, bound = between(row[f"{name}_low"], row[f"{name}_high"]), row[f"{name}_lower_bound"]
    small = interval or (f"at least {duration(bound)}" if bound < row[name] else "")
    return seconds_cell(
        row[name], f"projected, {small}".removesuffix(", ") if is_projected(row, name) else small
    )


def by_group(answers: Answers, *tables: pd.DataFrame) -> list[tuple[str, list[Any]]]:
    """Return each group's name and its row of each table (None where it has none), the whole last."""
    wholes = {
        id(answers.latency_by): answers.latency,
        id(answers.run_by): answers.run,
        id(answers.failures_by): answers.failures,
    }
    listed: list[tuple[str, list[Any]]] = []
    if answers.by:
        named = [{plain_key(key): row for key, row in table.iterrows()} for table in tables]
        listed = [
            (label(key), [rows.get(key) for rows in named]) for key in list(answers.parts)[:MOST_GROUPS]
        ]
    listed.append(("All jobs", [wholes[id(table)].iloc[0] for table in tables]))
    return listed


def _hidden(answers: Answers) -> int:
    return max(len(answers.latency_by) - MOST_GROUPS, 0) if answers.by else 0


def group_heading(answers: Answers) -> str:
    """Return the heading of the groups."""
    return " · ".join(map(label, answers.by)) or "group"


def _notes(answers: Answers) -> list[str]:
    """Return the notes of the groups, those with the same one together."""
    notes = answers.latency_by["note"]
    notes = notes[notes.notna() & (notes != "")]
    told = []
    for note in notes.unique():
        names = [label(name) for name in notes.index[notes == note]][:MOST_GROUPS]
        where = f" That is so for {', '.join(names)}." if answers.by else ""
        told.append(f"{note[0].upper()}{note[1:]}.{where}")
    if _hidden(answers):
        told.append(f"{_hidden(answers):,} smaller groups are not listed; they are in “All jobs”.")
    return told


def error_list(answers: Answers) -> JobList:
    """Return what fails, the most common first."""
    errors = answers.errors
    if errors.empty:
        return JobList("No job has failed, so there are no errors to list.")
    tagged = {} if "tag" in answers.lacking else _tags_of_faults(answers.jobs)
    columns = [
        Column("code"), Column("message", "long"), *([Column("by tag")] if tagged else []), Column("jobs", "n", "descending"), Column("share of failures", "n"),
        Column("cumulated", "n"), Column("first seen", "time"), Column("last seen", "time"), Column("examples", "id"),
    ]  # fmt: skip
    rows = [
        [
            text_cell(row["code"]), text_cell(row["message"], longest=200),
            *([Cell(tagged[plain_key((row["code"], row["message"]))])] if tagged else []), count_cell(row["jobs"]), share_cell(row["share"]),
            share_cell(row["cumulated_share"]), time_cell(row["first_seen"], answers.tz), time_cell(row["last_seen"], answers.tz),
            Cell(", ".join(text_cell(job_id, longest=60).text for job_id in row["example_ids"])),
        ]
        for _, row in errors.head(MOST_ERRORS).iterrows()
    ]  # fmt: skip
    hidden = len(errors) - len(rows)
    kinds = "1 kind" if len(errors) == 1 else f"{len(errors):,} kinds"
    said = f"{kinds} of error, messages that differ only in numbers or IDs counted as one"
    return JobList(
        f"{said}{f'; {hidden:,} rarer ones are not listed' if hidden else ''}.",
        Table("Errors, most common first", columns, rows),
    )


def _tags_of_faults(jobs: pd.DataFrame) -> dict[Any, str]:
    """Return, for each code and message, in which tags it occurs and how often."""
    failed = jobs.loc[jobs["outcome"] == str(Outcome.FAILED), ["code", "message", "tag"]].astype(object)
    cleaned = {text: normalise(str(text)) for text in failed["message"].dropna().unique()}
    failed["message"] = failed["message"].map(cleaned)
    counted = failed.groupby(["code", "message", "tag"], dropna=False).size().sort_values(ascending=False)
    found: dict[Any, list[str]] = {}
    for code, message, tag, number in counted.reset_index(name="jobs").to_numpy():
        found.setdefault(plain_key((code, message)), []).append(f"{label(tag)}\u00a0{number:,}")
    return {
        fault: ", ".join(tags[:MOST_TAGS])
        + (f" and {len(tags) - MOST_TAGS:,} more" if tags[MOST_TAGS:] else "")
        for fault, tags in found.items()
    }


def slowest_list(answers: Answers) -> JobList:
    """Return the jobs that waited longest; of those that did not start, how long they have waited so far."""
    jobs = _only_jobs(answers.jobs)
    kind, seconds = measure_jobs(jobs)["queue_latency"]
    known = np.flatnonzero((kind == ENDED) | (kind == UNFINISHED))
    if not len(known):
        return JobList("No job has a known wait, so none can be called slow.")
    longest = known[np.argsort(-seconds[known], kind="stable")[:MOST_JOBS]]
    columns = [
        Column("job ID", "id"),
        seconds_column("waited", "descending"),
        seconds_column("ran"),
        Column("outcome"),
        *_JOB_COLUMNS,
    ]
    rows = []
    for place, job in zip(longest, _records(jobs.iloc[longest]), strict=True):
        why = "" if kind[place] == ENDED else _why_open(job["outcome"])
        times = [seconds_cell(float(seconds[place]), why), seconds_cell(float(job["run_time_s"]))]
        cells = [text_cell(job["job_id"]), *times, text_cell(job["outcome"])]
        rows.append([*cells, *_job_cells(job, answers.tz)])
    return JobList(
        f"{_listed(len(rows), len(known), 'jobs with a known wait')}, the longest wait first.",
        Table(
            "Jobs by queue latency; one that has not started by how long it has waited so far", columns, rows
        ),
    )


def _why_open(outcome: str) -> str:
    return "and still waits" if outcome in UNFINISHED_OUTCOMES else f"then {outcome}"


def failed_list(answers: Answers) -> JobList:
    """Return the failed jobs, the newest first."""
    jobs = _only_jobs(answers.jobs)
    failed = jobs[jobs["outcome"] == str(Outcome.FAILED)]
    if failed.empty:
        return JobList("No job has failed.")
    newest = failed.sort_values("creation_time", ascending=False, kind="stable", na_position="last").head(
        MOST_JOBS
    )
    columns = [
        Column("job ID", "id"),
        Column("code"),
        Column("message", "long"),
        seconds_column("ran"),
        *_JOB_COLUMNS,
    ]
    rows = [_failed_row(job, answers.tz) for job in _records(newest)]
    return JobList(
        f"{_listed(len(rows), len(failed), 'failed jobs')}, the newest first.",
        Table("Failed jobs", columns, rows),
    )


def _records(jobs: pd.DataFrame) -> list[Mapping[str, Any]]:
    return jobs[_READ].to_dict("records")  # type: ignore[return-value]  # the stubs allow any Hashable as a name


def _failed_row(job: Mapping[str, Any], tz: str) -> list[Cell]:
    what = [text_cell(job["job_id"]), text_cell(job["code"]), text_cell(job["message"], longest=200)]
    return [*what, seconds_cell(float(job["run_time_s"])), *_job_cells(job, tz)]


_READ = [
    "job_id",
    "tag",
    "queue_id",
    "creation_time",
    "outcome",
    "code",
    "message",
    "input_object",
    "run_time_s",
]
_JOB_COLUMNS = [
    Column("tag"),
    Column("queue", "short id"),
    Column("created", "time"),
    Column("object", "long"),
]


def _job_cells(job: Mapping[str, Any], tz: str) -> list[Cell]:
    created = time_cell(job["creation_time"], tz)
    return [text_cell(job["tag"]), id_cell(job["queue_id"]), created, text_cell(job["input_object"])]


def _only_jobs(jobs: pd.DataFrame) -> pd.DataFrame:
    return jobs[~jobs["outcome"].isin([str(outcome) for outcome in NOT_A_JOB])]


def _listed(shown: int, there: int, what: str) -> str:
    if there == 1:
        return f"The only {what.replace('jobs', 'job')}"
    if shown == there:
        return f"All {there:,} {what}"
    return f"{shown:,} of {there:,} {what} ({there - shown:,} are not listed here)"
