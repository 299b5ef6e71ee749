"""The tables of the report: a column says what it holds, and :data:`KINDS` how that is written.

::

    Table("errors", "Errors, most common first", {"code": Column("text", codes), "jobs": Column("count", jobs)})
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
from cosai_nb.views.plots.latency import MEASURES
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
    sentence,
    share,
    share_range,
    short_id,
    shortened,
    when,
    whole_duration,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from cosai_nb.views.answers import Answers

MOST_GROUPS, MOST_ERRORS, MOST_JOBS, MOST_TAGS, MOST_ROWS = 100, 50, 200, 4, 50
_WHOLE, _LARGE, _THOUSAND = 99.95, 10_000, 1000


# --- what a table is ---


class Cell(NamedTuple):
    """The text of a cell; ``value`` is what it sorts by and is saved as where that differs, ``title`` the whole of an ID."""

    text: str
    value: str | None = None
    title: str = ""
    small: str = ""


class Column(NamedTuple):
    """The values of a column, a name of :data:`KINDS`, and the small print of each value, if there is any."""

    kind: str
    values: Collection[Any]
    small: Collection[str] = ()

    def cells(self, tz: str) -> list[Cell]:
        """Write the values, times in the display zone."""
        written = [KINDS[self.kind].cell(value, tz) for value in self.values]
        if not len(self.small):
            return written
        return [cell._replace(small=small) for cell, small in zip(written, self.small, strict=True)]


@dataclass(frozen=True)
class Table:
    """A table of the report.

    Parameters
    ----------
    id : str
        Unique in the page.
    caption : str
        What it is.
    columns : mapping of str to Column
        The columns by their headings, in order.
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
    columns: Mapping[str, Column]
    notes: Sequence[str] = ()
    order: str = ""
    hidden: int = 0
    headers: bool = True

    def heads(self) -> Iterator[tuple[str, Kind]]:
        """Yield name and kind of each column."""
        return ((name, KINDS[column.kind]) for name, column in self.columns.items())

    def rows(self, tz: str) -> Iterator[tuple[Cell, ...]]:
        """Yield the cells of each row, times in the display zone."""
        return zip(*(column.cells(tz) for column in self.columns.values()), strict=True)


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


def per_hour(jobs: float) -> str:
    """Return a number of jobs an hour; a small one that is not 0 never reads as 0.

    Examples
    --------
    >>> [per_hour(number) for number in (1234.5, 12.34, 0.01, 0, float("nan"))]
    ['1,234', '12.3', '< 0.1', '0', '–']
    """
    if math.isnan(jobs):
        return UNKNOWN
    text = f"{jobs:,.0f}" if jobs >= _WHOLE or not jobs else f"{jobs:.1f}"
    return "< 0.1" if text == "0.0" else text


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
    "per hour": Kind(lambda value, _: Cell(per_hour(value), number(value)), "n"),
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
    columns = {}
    for name, values in shown.head(MOST_ROWS).items():
        if isinstance(values.dtype, pd.DatetimeTZDtype):
            kind = "time"
        else:
            kind = "number" if pd.api.types.is_numeric_dtype(values) else "plain"
        if name == "queue_id" and queues:
            columns["queue"] = Column("plain", [queues.get(key, key) for key in values])
        else:
            columns[str(name)] = Column(kind, values)
    return Table(id_, caption, columns, hidden=max(len(shown) - MOST_ROWS, 0), headers=False)


# --- by queue and by group ---


def queues(answers: Answers) -> Table | None:
    """Return what the queues do now; None where no job has one."""
    if answers.alarms.empty or "queue_id" in answers.lacking:
        return None
    alarms = answers.alarms.head(MOST_GROUPS)
    waits = alarms["waiting"] > 0
    ids = Column("id", [plain(key) for key in alarms.index])
    named = Column("text", [answers.name(QUEUE, key) for key in alarms.index])
    columns = {
        "queue": named if answers.queue_names else ids,  # what has no name is called by its ID
        "state": Column("text", alarms["state"]),
        "waiting": Column("count", alarms["waiting"]),
        "paused or stale": Column("count", answers.out_of_queue.reindex(alarms.index, fill_value=0)),
        "oldest": Column("seconds", alarms["oldest_s"].where(waits)),
        "arrivals per h": Column("per hour", alarms["arrivals_per_hour"]),
        "starts per h": Column("per hour", alarms["starts_per_hour"]),
        "waiting since": Column("time", alarms["since"].where(waits)),
    }
    columns |= {"ID": ids} if answers.queue_names else {}
    columns |= {"note": Column("text", alarms["note"])} if alarms["note"].any() else {}
    caption = f"Queues at {when(answers.as_of, answers.tz)}; arrivals and starts of the last hour"
    return Table("queues-table", caption, columns, hidden=len(answers.alarms) - len(alarms))


def summaries(answers: Answers) -> list[Table]:
    """Return the tables by group: what matters, the durations, and the throughput over time."""
    return [
        _summary(answers),
        *(_durations(answers, measure) for measure in MEASURES),
        _throughput(answers),
    ]


def _rows(answers: Answers, grouped: pd.DataFrame, whole: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each group, the largest first (NaN where the table has none), and the row of all jobs last."""
    whole = whole.reset_index(drop=True)
    if not answers.by:
        return whole
    place = {plain(key): row for row, key in enumerate(grouped.index)}
    rows = [place.get(plain(key), -1) for key in answers.groups[:MOST_GROUPS]]
    listed = grouped.set_axis(range(len(grouped))).astype(object).reindex(rows)
    return pd.concat([listed, whole.astype(object)], ignore_index=True).infer_objects()


def _names(answers: Answers) -> dict[str, Column]:
    """Return the column that names the rows."""
    heading = " · ".join(COLUMN_NAMES.get(name, label(name)).lower() for name in answers.by) or "group"
    names = [answers.name(answers.by, key) for key in answers.groups[:MOST_GROUPS]]
    return {heading: Column("text", [*names, "All jobs"])}


def bounded(
    rows: pd.DataFrame, name: str, kind: str = "seconds", beside: Callable[[Any, str], str] = interval
) -> Column:
    """Return a column with what is known beside each value; one that is not reached is shown by its lower bound."""
    values = rows[name].astype(float)
    beyond = np.isinf(values)
    small = [beside(row, name) if not math.isnan(row[name]) else "" for _, row in rows.iterrows()]
    small = [f"or more: {text}" if far else text for text, far in zip(small, beyond, strict=True)]
    return Column(kind, values.where(~beyond, rows[f"{name}_lower_bound"].astype(float)), small)


def _summary(answers: Answers) -> Table:
    grouped, whole = answers.grouped, answers.whole
    latency = _rows(answers, grouped.latency, whole.latency)
    run = _rows(answers, grouped.run, whole.run)
    rates = _rows(answers, grouped.failures, whole.failures)
    hours = answers.span_s / 3600 if answers.span_s > 0 else math.nan
    ranges = [
        share_range(low, high) if ended > 0 else "none has ended"
        for low, high, ended in zip(rates["low"], rates["high"], rates["ended"], strict=True)
    ]
    columns = {
        **_names(answers),
        "jobs": Column("count", latency["jobs"]),
        "ended": Column("count", rates["ended"]),
        "waiting": Column("count", latency["waiting"]),
        "created per h": Column("per hour", latency["jobs"].astype(float) / hours),
        "failed per h": Column("per hour", rates["failed"].astype(float) / hours),
        "queue latency p50": bounded(latency, "p50"),
        "queue latency p95": bounded(latency, "p95"),
        "run time p50": bounded(run, "p50"),
        "run time p95": bounded(run, "p95"),
        "failure rate": Column("share", rates["rate"], ranges),
    }
    caption = "Small print: 95 % intervals"
    if answers.span_s > 0:
        caption += f". Per hour: over the {duration(answers.span_s)} from the first creation to the last creation, start or end"
    return Table("summary-table", caption, columns, _notes(answers))


def _notes(answers: Answers) -> list[str]:
    """Return the notes of the groups, those with the same one together."""
    notes = answers.grouped.latency["note"]
    told = []
    for note in notes[notes.notna() & (notes != "")].unique():
        names = [answers.name(answers.by, key) for key in notes.index[notes == note]] if answers.by else []
        where = f" Groups: {', '.join(names[:MOST_GROUPS])}." if names else ""
        told.append(sentence(in_zone(note, answers.tz)) + where)
    hidden = len(answers.groups) - MOST_GROUPS
    if hidden > 0:
        told.append(f"{hidden:,} smaller groups are not listed; they are in “All jobs”.")
    return told


def _durations(answers: Answers, measure: str) -> Table:
    _, what, of, open_ = MEASURES[measure]
    grouped, whole = answers.grouped, answers.whole
    spread = rows = _rows(answers, grouped.spread(measure), whole.spread(measure))
    if measure == "queue_latency":
        rows = _rows(answers, grouped.latency, whole.latency)
    elif measure == "run_time":
        rows = _rows(answers, grouped.run, whole.run)
    columns = {
        **_names(answers),
        f"min of {of}": Column("seconds", spread["min"]),
        f"mean of {of}": Column("seconds", spread["mean"]),
    }
    for name in map(name_of, QUANTILES):
        columns[name] = bounded(rows, name)
        if measure == "queue_latency":
            columns[f"{name} (lower bound)"] = Column("seconds", rows[f"{name}_lower_bound"])
    goes_on = ["not ended" if one is True else "" for one in spread["goes_on"]]
    columns["max (observed)"] = Column("seconds", spread["max"], goes_on)
    caption = f"{what}: quantiles count the {open_} jobs; min and mean leave them out"
    return Table(f"{measure.replace('_', '-')}-table", caption, columns)


def _throughput(answers: Answers) -> Table:
    load = queue_load(answers.windowed, freq=answers.window, tz=answers.tz)
    names = {
        "arrivals": "created", "starts": "started", "ends": "ended", "left": "cancelled before start",
        "waiting": "waiting at its end", "running": "running at its end",
    }  # fmt: skip
    width = whole_duration(pd.Timedelta(answers.window).total_seconds())
    caption = f"Throughput, in windows of {width}"
    return data_table("throughput-table", caption, load[list(names)].rename(columns=names))


# --- when waiting jobs start ---


def expected_starts(answers: Answers) -> Table | None:
    """Return for each queue when its waiting jobs are expected to start; None where no job waits."""
    found = answers.starts
    if found.empty:
        return None
    queues = [jobs for _, jobs in iter(found.groupby("queue_id", dropna=False, sort=False))]
    queues.sort(key=len, reverse=True)
    shown = queues[:MOST_GROUPS]
    columns = {
        "queue": Column("text", [answers.name(QUEUE, jobs["queue_id"].iloc[0]) for jobs in shown]),
        "waiting": Column("count", [len(jobs) for jobs in shown]),
        "first start": _starts(shown, 0, answers.tz),
        "last start": _starts(shown, -1, answers.tz),
        "note": Column("long", [_reasons(jobs["note"]) for jobs in shown]),
    }
    caption = "Expected start of the next and of the last job that waits now; small print: 80 % interval"
    return Table("starts-table", caption, columns, order="waiting", hidden=len(queues) - len(shown))


def _starts(queues: list[pd.DataFrame], place: int, tz: str) -> Column:
    """Return the expected start of the first (0) or the last (−1) job of each queue, with its interval."""
    times, small = [], []
    for jobs in queues:
        known = jobs[jobs["start_expected"].notna()].sort_values("start_expected")
        one = known.iloc[place] if len(known) else None
        times.append(pd.NaT if one is None else one["start_expected"])
        small.append("" if one is None else f"{when(one['start_low'], tz)} to {when(one['start_high'], tz)}")
    return Column("time", times, small)


def _reasons(notes: pd.Series[Any]) -> str:
    """Return why jobs have no known start, and how many of them where it is not all."""
    reasons = notes[notes != ""].value_counts()
    return "; ".join(
        str(note) if number == len(notes) else f"{note} ({jobs_in_words(number)})"
        for note, number in reasons.items()
    )


# --- errors and single jobs ---


def errors(answers: Answers) -> Table | None:
    """Return what fails, the most common first; None where nothing failed."""
    if answers.errors.empty:
        return None
    found = answers.errors.head(MOST_ERRORS)
    columns = {"code": Column("text", found["code"]), "message": Column("long", found["message"])}
    if "tag" not in answers.lacking:
        tagged = _tags_of_faults(answers.failed)
        faults = zip(found["code"], found["message"], strict=True)
        columns["by tag"] = Column("long", [tagged[plain(fault)] for fault in faults])
    columns |= {
        "jobs": Column("count", found["jobs"]),
        "share of failures": Column("share", found["share"]),
        "cumulated": Column("share", found["cumulated_share"]),
        "first seen": Column("time", found["first_seen"]),
        "last seen": Column("time", found["last_seen"]),
        "examples": Column("ids", found["example_ids"]),
    }
    hidden = len(answers.errors) - len(found)
    kinds_of = "1 kind" if len(answers.errors) == 1 else f"{len(answers.errors):,} kinds"
    said = f"{kinds_of} of error, messages that differ only in numbers or IDs counted as one"
    caption = f"{said}{f'; {hidden:,} rarer ones are not listed' if hidden else ''}; most common first."
    return Table("errors-table", caption, columns, order="jobs")


def _tags_of_faults(jobs: Any) -> dict[Any, str]:
    """Return, for each code and message, in which tags it occurs and how often."""
    found: dict[Any, list[str]] = {}
    for code, message, tag, jobs_of_tag in faults_by(jobs, "tag").to_numpy():
        found.setdefault(plain((code, message)), []).append(f"{label(tag)}\u00a0{jobs_of_tag:,}")
    return {fault: shortened(tags, MOST_TAGS) for fault, tags in found.items()}


_READ = (
    "job_id",
    "tag",
    "queue_id",
    "creation_time",
    "outcome",
    "code",
    "message",
    "input_object",
    "run_time_s",
)


def slowest(answers: Answers) -> Table | None:
    """Return the jobs that waited longest; of those that did not start, how long they have waited so far."""
    jobs = longest_jobs(answers.jobs, "queue_latency", most=MOST_JOBS, columns=_READ)
    if jobs.empty:
        return None
    open_ = jobs["class"] != "ended"
    unfinished = jobs["outcome"].isin([str(one) for one in UNFINISHED])
    state = np.select(
        [open_ & unfinished, open_], ["still waiting", "then " + jobs["outcome"].astype(str)], ""
    )
    columns = {
        "job ID": Column("id", jobs["job_id"]),
        "waited": Column("seconds", jobs["queue_latency"], state),
        "ran": Column("seconds", jobs["run_time_s"]),
        "outcome": Column("text", jobs["outcome"]),
    }
    caption = f"{_listed(len(jobs), jobs.attrs['known'], 'jobs with a known wait')}, the longest wait first."
    return Table("slowest-table", caption, columns | _origin(answers, jobs), order="waited")


def failed(answers: Answers) -> Table | None:
    """Return the failed jobs, the newest first; None where none has failed."""
    jobs = failed_jobs(answers.jobs, _READ, newest=MOST_JOBS)
    if jobs.empty:
        return None
    columns = {
        "job ID": Column("id", jobs["job_id"]),
        "code": Column("text", jobs["code"]),
        "message": Column("long", jobs["message"]),
        "ran": Column("seconds", jobs["run_time_s"]),
    }
    caption = f"{_listed(len(jobs), jobs.attrs['failed'], 'failed jobs')}, the newest first."
    return Table("failed-table", caption, columns | _origin(answers, jobs))


def _origin(answers: Answers, jobs: pd.DataFrame) -> dict[str, Column]:
    """Return what single jobs are and where they come from."""
    named = answers.queue_names
    return {
        "queue": Column(
            "text" if named else "id", [named.get(key, key) for key in jobs["queue_id"].astype(object)]
        ),
        "tag": Column("text", jobs["tag"]),
        "created": Column("time", jobs["creation_time"]),
        "object": Column("long", jobs["input_object"]),
    }


def _listed(shown: int, there: int, what: str) -> str:
    if there == 1:
        return f"The only {what.replace('jobs', 'job')}"
    if shown == there:
        return f"All {there:,} {what}"
    return f"{shown:,} of {there:,} {what} ({there - shown:,} are not listed here)"
