"""The tables of the report are frames: a table says what each column holds, and :data:`KINDS` how that is written.

::

    Table("errors", "Errors, most common first", frame, {"code": "text", "jobs": "count", "last seen": "time"})

The column ``x small`` of the frame is the small print of the column ``x``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cosai_nb.schema import UNFINISHED
from cosai_nb.stats.failures import failed_jobs, faults_by
from cosai_nb.stats.latency import QUANTILES, name_of
from cosai_nb.stats.load import longest_jobs, queue_load
from cosai_nb.views.answers import QUEUE
from cosai_nb.views.plots.text import plain
from cosai_nb.views.sentences import COLUMN_NAMES, interval
from cosai_nb.views.wording import (
    UNKNOWN,
    count,
    duration,
    in_zone,
    jobs_in_words,
    label,
    printable,
    share,
    short_id,
    when,
    whole_duration,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cosai_nb.views.answers import Answers

MOST_GROUPS, MOST_ERRORS, MOST_JOBS, MOST_TAGS, MOST_ROWS = 100, 50, 200, 4, 50
_NAMES = tuple(map(name_of, QUANTILES))
_WHOLE, _LARGE, _THOUSAND = 99.95, 10_000, 1000


# --- what a table is ---


class Cell(NamedTuple):
    """The text of a cell; ``value`` is what it sorts by and is saved as where that differs, ``title`` the whole of an ID."""

    text: str
    value: str | None = None
    title: str = ""
    small: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the report.

    Parameters
    ----------
    id : str
        Unique in the page.
    caption : str
        What it is.
    frame : pandas.DataFrame
        Its rows, and the small print in columns of their own.
    kinds : mapping of str to str
        The columns that are shown, in order, and what each holds: a name of :data:`KINDS`.
    notes : sequence of str
        What is said below it.
    order : str
        The column that the rows are sorted by, the largest first.
    hidden : int
        Rows that are not in it; the page says how many.
    headers : bool
        Whether the first column names the row.
    """

    id: str
    caption: str
    frame: pd.DataFrame
    kinds: Mapping[str, str]
    notes: Sequence[str] = ()
    order: str = ""
    hidden: int = 0
    headers: bool = True

    def columns(self) -> Iterator[tuple[str, Kind]]:
        """Yield name and kind of each column."""
        return ((name, KINDS[kind]) for name, kind in self.kinds.items())

    def rows(self, tz: str) -> Iterator[tuple[Cell, ...]]:
        """Yield the cells of each row, times in the display zone."""
        shown = []
        for name, kind in self.columns():
            cells = [kind.cell(value, tz) for value in self.frame[name]]
            if f"{name} small" in self.frame:
                cells = [
                    cell._replace(small=small)
                    for cell, small in zip(cells, self.frame[f"{name} small"], strict=True)
                ]
            shown.append(cells)
        return zip(*shown, strict=True)


class Kind(NamedTuple):
    """How the values of a column are written, the CSS class of its cells, and the unit of what they are saved as."""

    cell: Callable[[Any, str], Cell]
    mark: str = ""
    unit: str = ""

    @property
    def numeric(self) -> bool:
        """Whether it sorts by number."""
        return self.mark == "n"


def number(value: float) -> str:
    """Return a number as JavaScript's ``Number`` reads it.

    Examples
    --------
    >>> number(7.0), number(float("inf")), number(float("nan"))
    ('7', 'Infinity', 'NaN')
    """
    if math.isnan(value):
        return "NaN"
    return "Infinity" if math.isinf(value) else f"{value:.6g}"


def _per_hour(jobs: float, _: str) -> Cell:
    if math.isnan(jobs):
        return Cell(UNKNOWN, "NaN")
    text = f"{jobs:,.0f}" if jobs >= _WHOLE or not jobs else f"{jobs:.1f}"
    return Cell("< 0.1" if text == "0.0" else text, number(jobs))


def _id(value: Any, _: str) -> Cell:
    if pd.isna(value):
        return Cell(UNKNOWN)
    text = printable(value)
    return Cell(short_id(text), None, text)


def _plain(value: Any, tz: str) -> Cell:
    """Write whatever a small frame of a plot holds."""
    if isinstance(value, (tuple, list)):
        return Cell(", ".join(printable(part, longest=60) for part in value))
    if pd.isna(value):
        return Cell(UNKNOWN)
    if isinstance(value, pd.Timestamp):
        return Cell(when(value, tz) if value.tzinfo else f"{value:%Y-%m-%d %H:%M}")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if math.isinf(value):
            return Cell("more than observed", number(value))
        if isinstance(value, int) or abs(value) >= _LARGE:
            return Cell(f"{value:,.0f}", number(value) if abs(value) >= _THOUSAND else None)
        return Cell(f"{value:.4g}")
    return Cell(printable(value))


KINDS = {
    "seconds": Kind(lambda value, _: Cell(duration(value), number(value)), "n", "s"),
    "count": Kind(lambda value, _: Cell(count(value)), "n"),
    "share": Kind(lambda value, _: Cell(share(value), number(value)), "n"),
    "per hour": Kind(_per_hour, "n"),
    "number": Kind(_plain, "n"),
    "time": Kind(lambda value, tz: Cell(when(value, tz)), "time"),
    "plain": Kind(_plain),
    "text": Kind(lambda value, _: Cell(printable(value))),
    "long": Kind(lambda value, _: Cell(printable(value, longest=200)), "long"),
    "id": Kind(_id, "id"),
    "ids": Kind(
        lambda value, tz: Cell(
            "\n".join(_id(one, tz).text for one in value), "\n".join(map(printable, value))
        ),
        "ids",
    ),
}
"""What a column may hold. An ID is shown without its middle; sorting, the search, a saved CSV and the pointer have the whole one."""


def data_table(id_: str, caption: str, frame: pd.DataFrame, queues: Mapping[str, str] | None = None) -> Table:
    """Return the small frame that a figure draws, as its text alternative; queues by their names."""
    named = frame.index.names if frame.index.nlevels > 1 or frame.index.name else []
    shown = frame.reset_index() if named else frame
    if queues and "queue_id" in shown:
        shown = shown.assign(queue_id=[queues.get(key, key) for key in shown["queue_id"]]).rename(
            columns={"queue_id": "queue"}
        )
    kinds = {}
    for name, dtype in shown.dtypes.items():
        is_time = isinstance(dtype, pd.DatetimeTZDtype)
        kinds[str(name)] = (
            "time" if is_time else "number" if pd.api.types.is_numeric_dtype(dtype) else "plain"
        )
    rows = shown.head(MOST_ROWS).set_axis(list(kinds), axis="columns")
    return Table(id_, caption, rows, kinds, hidden=len(shown) - len(rows), headers=False)


# --- by group ---


def summaries(answers: Answers) -> list[Table]:
    """Return the tables by queue and by group: what matters, the durations, and the throughput over time."""
    queues = [] if answers.alarms.empty or "queue_id" in answers.lacking else [_queues(answers)]
    return [
        *queues,
        _summary(answers),
        *(_durations(answers, measure) for measure in _DURATIONS),
        _throughput(answers),
    ]


def _queues(answers: Answers) -> Table:
    alarms = answers.alarms.head(MOST_GROUPS)
    frame = alarms.reset_index(drop=True)
    frame = frame.assign(
        queue=[answers.name(QUEUE, key) for key in alarms.index], ID=list(map(plain, alarms.index))
    )
    frame["paused or stale"] = answers.out_of_queue.reindex(alarms.index, fill_value=0).to_numpy()
    kinds = {
        "queue": "text", "state": "text", "waiting": "count", "paused or stale": "count", "oldest": "seconds", "arrivals per h": "per hour",
        "starts per h": "per hour", "waiting since": "time", "ID": "id", "note": "text",
    }  # fmt: skip
    names = {
        "oldest_s": "oldest",
        "arrivals_per_hour": "arrivals per h",
        "starts_per_hour": "starts per h",
        "since": "waiting since",
    }
    frame = frame.rename(columns=names)
    for name in ("oldest", "waiting since"):
        frame[name] = frame[name].where(frame["waiting"] > 0)
    if not answers.queue_names:  # what has no name is called by its ID
        frame["queue"], kinds = frame["ID"], kinds | {"queue": "id"}
        del kinds["ID"]
    kinds = {name: kind for name, kind in kinds.items() if name != "note" or frame["note"].any()}
    caption = f"Queues at {when(answers.as_of, answers.tz)}; arrivals and starts of the last hour"
    return Table("queues-table", caption, frame, kinds, hidden=len(answers.alarms) - len(frame))


def _rows(answers: Answers, tables: tuple[pd.DataFrame, pd.DataFrame]) -> pd.DataFrame:
    """Return a row for each group, the largest first (NaN where the table has none), and the row of all jobs last."""
    of_groups, whole = tables
    whole = whole.reset_index(drop=True)
    if answers.groups.empty:
        return whole
    place = {plain(key): row for row, key in enumerate(of_groups.index)}
    rows = [place.get(plain(key), -1) for key in answers.groups.index[:MOST_GROUPS]]
    listed = of_groups.set_axis(range(len(of_groups))).astype(object).reindex(rows)
    return pd.concat([listed, whole.astype(object).reindex([0])], ignore_index=True).infer_objects()


def _named(answers: Answers) -> tuple[str, list[str]]:
    """Return the heading of the groups, and their names."""
    heading = " · ".join(COLUMN_NAMES.get(name, label(name)).lower() for name in answers.by) or "group"
    keys = answers.groups.index[:MOST_GROUPS]
    return heading, [*(answers.name(answers.by, key) for key in keys), "All jobs"]


def _quantile(frame: pd.DataFrame, rows: pd.DataFrame, heading: str, name: str) -> None:
    """Add a quantile and its small print; one that is not reached is shown by its lower bound."""
    known = rows[f"{name}_lower_bound"].where(np.isinf(rows[name].astype(float)), rows[name]).astype(float)
    frame[heading] = known
    beside = [interval(row, name) if not pd.isna(row[name]) else "" for _, row in rows.iterrows()]
    beyond = np.isinf(rows[name].astype(float))
    frame[f"{heading} small"] = [
        f"or more: {text}" if far else text for text, far in zip(beside, beyond, strict=True)
    ]


def _summary(answers: Answers) -> Table:
    heading, names = _named(answers)
    latency = _rows(answers, (answers.latency_by, answers.latency))
    run = _rows(answers, (answers.run_by, answers.run))
    rates = _rows(answers, (answers.failures_by, answers.failures))
    hours = answers.span_s / 3600 if answers.span_s > 0 else math.nan
    frame = pd.DataFrame(
        {heading: names, "jobs": latency["jobs"], "ended": rates["ended"], "waiting": latency["waiting"]}
    )
    frame["created per h"], frame["failed per h"] = (
        latency["jobs"].astype(float) / hours,
        rates["failed"].astype(float) / hours,
    )
    for rows, what in ((latency, "queue latency"), (run, "run time")):
        for name in ("p50", "p95"):
            _quantile(frame, rows, f"{what} {name}", name)
    frame["failure rate"] = rates["rate"]
    frame["failure rate small"] = [
        f"{share(low)} to {share(high)}" if ended > 0 else "none has ended"
        for low, high, ended in zip(rates["low"], rates["high"], rates["ended"], strict=True)
    ]
    kinds = {heading: "text", **dict.fromkeys(("jobs", "ended", "waiting"), "count")}
    kinds |= dict.fromkeys(("created per h", "failed per h"), "per hour")
    kinds |= {name: "seconds" for name in map(str, frame) if name.endswith(("p50", "p95"))} | {
        "failure rate": "share"
    }
    caption = "Small print: 95 % intervals"
    if answers.span_s > 0:
        caption += f". Per hour: over the {duration(answers.span_s)} from the first creation to the last creation, start or end"
    return Table("summary-table", caption, frame, kinds, _notes(answers))


def _notes(answers: Answers) -> list[str]:
    """Return the notes of the groups, those with the same one together."""
    notes = answers.latency_by["note"]
    notes = notes[notes.notna() & (notes != "")]
    told = []
    for note in notes.unique():
        names = [answers.name(answers.by, key) for key in notes.index[notes == note]] if answers.by else []
        where = f" Groups: {', '.join(names[:MOST_GROUPS])}." if names else ""
        told.append(f"{note[0].upper()}{in_zone(note[1:], answers.tz)}.{where}")
    hidden = len(answers.groups) - MOST_GROUPS
    if hidden > 0:
        told.append(f"{hidden:,} smaller groups are not listed; they are in “All jobs”.")
    return told


_DURATIONS = {
    "queue_latency": ("Queue latency", "started", "waiting"),
    "run_time": ("Run time", "ended", "running"),
    "total_time": ("Total time, creation to end", "ended", "unfinished"),
}


def _durations(answers: Answers, measure: str) -> Table:
    what, of, open_ = _DURATIONS[measure]
    heading, names = _named(answers)
    spread = _rows(answers, answers.spreads(measure))
    told = {
        "queue_latency": (answers.latency_by, answers.latency),
        "run_time": (answers.run_by, answers.run),
    }
    rows = _rows(answers, told[measure]) if measure in told else spread
    frame = pd.DataFrame({heading: names, f"min of {of}": spread["min"], f"mean of {of}": spread["mean"]})
    for name in _NAMES:
        _quantile(frame, rows, name, name)
        if measure == "queue_latency":
            frame[f"{name} (lower bound)"] = rows[f"{name}_lower_bound"]
    frame["max (observed)"] = spread["max"]
    frame["max (observed) small"] = ["not ended" if one is True else "" for one in spread["goes_on"]]
    kinds = {name: "seconds" for name in map(str, frame) if not name.endswith(" small")} | {heading: "text"}
    caption = f"{what}: quantiles count the {open_} jobs; min and mean leave them out"
    return Table(f"{measure.replace('_', '-')}-table", caption, frame, kinds)


def _throughput(answers: Answers) -> Table:
    load = queue_load(answers.windowed, freq=answers.window, tz=answers.tz)
    names = {
        "arrivals": "created", "starts": "started", "ends": "ended", "left": "cancelled before start",
        "waiting": "waiting at its end", "running": "running at its end",
    }  # fmt: skip
    width = whole_duration(pd.Timedelta(answers.window).total_seconds())
    return data_table(
        "throughput-table", f"Throughput, in windows of {width}", load[list(names)].rename(columns=names)
    )


# --- when waiting jobs start ---


def expected_starts(answers: Answers) -> Table | None:
    """Return for each queue when its waiting jobs are expected to start; None where no job waits."""
    jobs = answers.starts
    rows = []
    for key, mine in jobs.groupby("queue_id", dropna=False, sort=False):
        known = mine[mine["start_expected"].notna()]
        row: dict[str, Any] = {"queue": answers.name(QUEUE, key), "waiting": len(mine)}
        for name, place in (("first start", 0), ("last start", -1)):
            one = known.sort_values("start_expected").iloc[place] if len(known) else None
            row[name] = pd.NaT if one is None else one["start_expected"]
            row[f"{name} small"] = (
                ""
                if one is None
                else f"{when(one['start_low'], answers.tz)} to {when(one['start_high'], answers.tz)}"
            )
        reasons = mine.loc[mine["note"] != "", "note"].value_counts()
        row["note"] = "; ".join(
            str(note) if number == len(mine) else f"{note} ({jobs_in_words(number)})"
            for note, number in reasons.items()
        )
        rows.append(row)
    if not rows:
        return None
    frame = pd.DataFrame(rows).sort_values("waiting", ascending=False, kind="stable")
    caption = "Expected start of the next and of the last job that waits now; small print: 80 % interval"
    kinds = {"queue": "text", "waiting": "count", "first start": "time", "last start": "time", "note": "long"}
    return Table(
        "starts-table",
        caption,
        frame.head(MOST_GROUPS),
        kinds,
        order="waiting",
        hidden=max(len(frame) - MOST_GROUPS, 0),
    )


# --- errors and single jobs ---


def errors(answers: Answers) -> Table | None:
    """Return what fails, the most common first; None where nothing failed."""
    if answers.errors.empty:
        return None
    frame = answers.errors.head(MOST_ERRORS).copy()
    hidden = len(answers.errors) - len(frame)
    kinds = {"code": "text", "message": "long"}
    if "tag" not in answers.lacking:
        tagged = _tags_of_faults(answers.jobs)
        frame["by tag"] = [
            tagged[plain(fault)] for fault in zip(frame["code"], frame["message"], strict=True)
        ]
        kinds["by tag"] = "long"
    names = {
        "share": "share of failures", "cumulated_share": "cumulated", "first_seen": "first seen", "last_seen": "last seen",
        "example_ids": "examples",
    }  # fmt: skip
    kinds |= {
        "jobs": "count",
        "share of failures": "share",
        "cumulated": "share",
        "first seen": "time",
        "last seen": "time",
        "examples": "ids",
    }
    kinds_of = "1 kind" if len(answers.errors) == 1 else f"{len(answers.errors):,} kinds"
    said = f"{kinds_of} of error, messages that differ only in numbers or IDs counted as one"
    caption = f"{said}{f'; {hidden:,} rarer ones are not listed' if hidden else ''}; most common first."
    return Table("errors-table", caption, frame.rename(columns=names), kinds, order="jobs")


def _tags_of_faults(jobs: Any) -> dict[Any, str]:
    """Return, for each code and message, in which tags it occurs and how often."""
    found: dict[Any, list[str]] = {}
    for code, message, tag, jobs_of_tag in faults_by(jobs, "tag").to_numpy():
        found.setdefault(plain((code, message)), []).append(f"{label(tag)}\u00a0{jobs_of_tag:,}")
    return {
        fault: ", ".join(tags[:MOST_TAGS])
        + (f" and {len(tags) - MOST_TAGS:,} more" if tags[MOST_TAGS:] else "")
        for fault, tags in found.items()
    }


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
_JOB_COLUMNS = {"queue": "id", "tag": "text", "created": "time", "object": "long"}


def slowest(answers: Answers) -> Table | None:
    """Return the jobs that waited longest; of those that did not start, how long they have waited so far."""
    jobs = longest_jobs(answers.jobs, "queue_latency", most=MOST_JOBS, columns=_READ)
    if jobs.empty:
        return None
    open_ = jobs["class"] != "ended"
    unfinished = jobs["outcome"].isin([str(one) for one in UNFINISHED])
    frame = _job_frame(answers, jobs).assign(waited=jobs["queue_latency"])
    frame["waited small"] = np.select(
        [open_ & unfinished, open_], ["still waiting", "then " + jobs["outcome"].astype(str)], ""
    )
    kinds = {"job ID": "id", "waited": "seconds", "ran": "seconds", "outcome": "text", **_JOB_COLUMNS}
    caption = f"{_listed(len(jobs), jobs.attrs['known'], 'jobs with a known wait')}, the longest wait first."
    return Table("slowest-table", caption, frame, kinds, order="waited")


def failed(answers: Answers) -> Table | None:
    """Return the failed jobs, the newest first; None where none has failed."""
    jobs = failed_jobs(answers.jobs, _READ, newest=MOST_JOBS)
    if jobs.empty:
        return None
    kinds = {"job ID": "id", "code": "text", "message": "long", "ran": "seconds", **_JOB_COLUMNS}
    caption = f"{_listed(len(jobs), jobs.attrs['failed'], 'failed jobs')}, the newest first."
    return Table("failed-table", caption, _job_frame(answers, jobs), kinds)


def _job_frame(answers: Answers, jobs: pd.DataFrame) -> pd.DataFrame:
    names = {"job_id": "job ID", "run_time_s": "ran", "creation_time": "created", "input_object": "object"}
    named = answers.queue_names
    return jobs.rename(columns=names).assign(
        queue=[named.get(key, key) for key in jobs["queue_id"].astype(object)]
    )


def _listed(shown: int, there: int, what: str) -> str:
    if there == 1:
        return f"The only {what.replace('jobs', 'job')}"
    if shown == there:
        return f"All {there:,} {what}"
    return f"{shown:,} of {there:,} {what} ({there - shown:,} are not listed here)"
