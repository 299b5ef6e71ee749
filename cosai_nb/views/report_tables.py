"""The tables of the report: by group, by error, and single jobs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cosai_nb.schema import NOT_A_JOB, Outcome
from cosai_nb.schema import UNFINISHED as UNFINISHED_OUTCOMES
from cosai_nb.stats.censoring import ENDED, UNFINISHED, measure_jobs
from cosai_nb.views.tables import (
    Cell,
    Column,
    Table,
    count_cell,
    seconds_cell,
    seconds_column,
    share_cell,
    text_cell,
    time_cell,
)
from cosai_nb.views.wording import between, duration, label, share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cosai_nb.views.answers import Answers

MOST_GROUPS = 100
MOST_ERRORS = 50
MOST_JOBS = 200
_QUANTILES = ("p50", "p90", "p95", "p99")


class Summary(NamedTuple):
    """A table and what must be said below it."""

    id: str
    table: Table
    notes: list[str]


class JobList(NamedTuple):
    """Single jobs: a table, or None and the sentence that stands for it."""

    summary: str
    table: Table | None = None


def summaries(answers: Answers) -> list[Summary]:
    """Return the two tables by group: what matters, and all quantiles with their bounds."""
    if not answers.count:
        return []
    return [
        Summary("summary-table", _summary_table(answers), _notes(answers)),
        Summary("quantiles-table", _quantile_table(answers), []),
    ]


def _summary_table(answers: Answers) -> Table:
    columns = [
        Column(_group_heading(answers)),
        *(Column(name, "n") for name in ("jobs", "ended", "waiting")),
        *map(seconds_column, ("queue latency p50", "queue latency p95", "run time p50", "run time p95")),
        Column("failure rate", "n"),
    ]
    rows = [
        _summary_row(name, *parts)
        for name, parts in _groups(answers, answers.latency_by, answers.run_by, answers.failures_by)
    ]
    return Table("Small print: 95 % intervals", columns, rows, _hidden(answers))


def _summary_row(
    name: str, latency: pd.Series[Any], run: pd.Series[Any] | None, failures: pd.Series[Any] | None
) -> list[Cell]:
    ended = math.nan if failures is None else failures["ended"]
    cells = [Cell(name), count_cell(latency["jobs"]), count_cell(ended), count_cell(latency["waiting"])]
    cells += [_quantile_cell(latency, "p50"), _quantile_cell(latency, "p95")]
    cells += [_quantile_cell(run, quantile) for quantile in ("p50", "p95")]
    if failures is None or not ended:
        return [*cells, share_cell(math.nan, "none has ended")]
    return [*cells, share_cell(failures["rate"], f"{share(failures['low'])} to {share(failures['high'])}")]


def _quantile_cell(row: pd.Series[Any] | None, name: str) -> Cell:
    if row is None or math.isnan(row[name]):
        return seconds_cell(math.nan)
    interval, bound = between(row[f"{name}_low"], row[f"{name}_high"]), row[f"{name}_lower_bound"]
    small = interval or (f"at least {duration(bound)}" if bound < row[name] else "")
    projected = row["method"] == "projection" and row[name] != row[f"{name}_estimate"]
    return seconds_cell(row[name], f"projected, {small}".removesuffix(", ") if projected else small)


def _quantile_table(answers: Answers) -> Table:
    columns = [Column(_group_heading(answers))]
    for quantile in _QUANTILES:
        columns += [seconds_column(quantile), seconds_column(f"{quantile} at least")]
    rows = []
    for name, (latency,) in _groups(answers, answers.latency_by):
        row = [Cell(name)]
        for quantile in _QUANTILES:
            row += [_quantile_cell(latency, quantile), seconds_cell(latency[f"{quantile}_lower_bound"])]
        rows.append(row)
    return Table("Queue latency: quantiles, and what they are at least", columns, rows)


def _groups(answers: Answers, *tables: pd.DataFrame) -> list[tuple[str, list[Any]]]:
    """Return each group's name and its row of each table (None where it has none), the whole last."""
    wholes = {
        id(answers.latency_by): answers.latency,
        id(answers.run_by): answers.run,
        id(answers.failures_by): answers.failures,
    }
    listed: list[tuple[str, list[Any]]] = []
    if answers.by:
        first, *others = ({_plain(key): row for key, row in table.iterrows()} for table in tables)
        order = tables[0]["jobs"].sort_values(ascending=False, kind="stable").index[:MOST_GROUPS]
        keys = list(map(_plain, order))
        listed = [(label(key), [first[key], *(other.get(key) for other in others)]) for key in keys]
    listed.append(("All jobs", [wholes[id(table)].iloc[0] for table in tables]))
    return listed


def _plain(key: Any) -> Any:
    """Return a label that is equal to itself, which NaN is not."""
    if isinstance(key, tuple):
        return tuple(map(_plain, key))
    return None if pd.isna(key) else key


def _hidden(answers: Answers) -> int:
    return max(len(answers.latency_by) - MOST_GROUPS, 0) if answers.by else 0


def _group_heading(answers: Answers) -> str:
    return " · ".join(map(label, answers.by)) or "group"


def _notes(answers: Answers) -> list[str]:
    """Return the notes of the groups, those with the same one together."""
    notes = answers.latency_by["note"]
    notes = notes[notes.notna() & (notes != "")]
    named = {
        note: [label(name) for name in notes.index[notes == note]][:MOST_GROUPS] for note in notes.unique()
    }
    told = [f"{', '.join(names)}: {note}." for note, names in named.items()]
    if _hidden(answers):
        told.append(f"{_hidden(answers):,} smaller groups are not listed; they are in “All jobs”.")
    return told


def error_list(answers: Answers) -> JobList:
    """Return what fails, the most common first."""
    errors = answers.errors
    if errors.empty:
        return JobList("No job has failed, so there are no errors to list.")
    columns = [
        Column("code"), Column("message", "long"), Column("jobs", "n", "descending"), Column("share of failures", "n"),
        Column("cumulated", "n"), Column("first seen", "time"), Column("last seen", "time"), Column("examples", "id"),
    ]  # fmt: skip
    rows = [
        [
            text_cell(row["code"]), text_cell(row["message"], longest=200), count_cell(row["jobs"]), share_cell(row["share"]),
            share_cell(row["cumulated_share"]), time_cell(row["first_seen"], answers.tz), time_cell(row["last_seen"], answers.tz),
            Cell(", ".join(text_cell(job_id, longest=60).text for job_id in row["example_ids"])),
        ]
        for _, row in errors.head(MOST_ERRORS).iterrows()
    ]  # fmt: skip
    hidden = len(errors) - len(rows)
    said = f"{len(errors):,} kinds of error, messages that differ only in numbers or IDs counted as one"
    return JobList(
        f"{said}{f'; {hidden:,} rarer ones are not listed' if hidden else ''}.",
        Table("Errors, most common first", columns, rows),
    )


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
_JOB_COLUMNS = [Column("tag"), Column("queue", "id"), Column("created", "time"), Column("object", "long")]


def _job_cells(job: Mapping[str, Any], tz: str) -> list[Cell]:
    created = time_cell(job["creation_time"], tz)
    return [text_cell(job["tag"]), text_cell(job["queue_id"]), created, text_cell(job["input_object"])]


def _only_jobs(jobs: pd.DataFrame) -> pd.DataFrame:
    return jobs[~jobs["outcome"].isin([str(outcome) for outcome in NOT_A_JOB])]


def _listed(shown: int, there: int, what: str) -> str:
    if shown == there:
        return f"All {there:,} {what}"
    return f"{shown:,} of {there:,} {what} ({there - shown:,} are not listed here)"
