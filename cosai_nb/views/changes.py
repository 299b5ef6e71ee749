"""What changed since the last report: its jobs, or the summary saved of them, against these.

::

    what_changed(answers, previous)      what differs: a few lines, the strongest change first, and tables
    newest_kept(folder, answers)         the summary to compare with, of those that earlier reports saved
    keep_summary(folder, jobs, by)       save that of these jobs
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cosai_nb import arguments
from cosai_nb.errors import CosaiError, FileError, FrameError
from cosai_nb.stats.compare import FASTER, OTHER_HOURS, SLOWER, TOO_LITTLE
from cosai_nb.stats.counts import HOURS, Counted, count_all
from cosai_nb.stats.histogram import DurationHistogram, choose
from cosai_nb.stats.load import numbers
from cosai_nb.stats.since import FAILURES, FELL, LATENCY, NEEDED_KEYS, ROSE, THROUGHPUT, changes, only_in
from cosai_nb.views.answers import BUCKET, QUEUE, completed
from cosai_nb.views.plots.text import plain, queue_names
from cosai_nb.views.sentences import MOODS, Line, group_name, interval, quantile
from cosai_nb.views.tables import MOST_GROUPS, Column, Table, bounded, per_hour
from cosai_nb.views.wording import duration, jobs_in_words, sentence, share, share_range, shortened, when

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cosai_nb.views.answers import Answers

MOST_LINES = 4
_MOST_NAMED = 3
_CHANCE = 0.05
_UNKNOWN = "What changed: not known"
_KEPT = "summary-%Y%m%dT%H%M%SZ.parquet"
_IS_KEPT = re.compile(r"summary-\d{8}T\d{6}Z\.parquet")
_HOUR = pd.Timedelta("1h")


class _Measure(NamedTuple):
    """What is compared: how its table and its picture are called, and how its values and their differences are written.

    What is smaller than ``least`` is as good as this where changes are put in order; ``moods`` are those of a fall and a rise.
    """

    caption: str
    picture: str
    kind: str
    amount: Callable[[float], str]
    least: float
    moods: tuple[str, str] = ("good", "bad")


_HOURLY = "Throughput: jobs created an hour, in the hours of the week that both cover"
_MEASURES = {
    LATENCY: _Measure("Queue latency p95", "Queue latency over time", "seconds", duration, 1.0),
    FAILURES: _Measure(
        "Failure rate", "Failure rate over time", "share", lambda part: f"{100 * part:.1f} points", 0.01
    ),
    THROUGHPUT: _Measure(_HOURLY, "Load", "per hour", per_hour, 1.0, ("", "")),
}


class Changed(NamedTuple):
    """What differs from an earlier report: what is compared, the lines of the first screen, and tables."""

    lines: list[Line]
    compared: str = ""
    tables: Sequence[Table] = ()
    remarks: Sequence[str] = ()


class _Sides(NamedTuple):
    """The jobs that are compared, what they are in words, and the names of queues that only earlier jobs have."""

    before: Counted
    after: Counted
    told: str
    names: dict[str, str]


def what_changed(answers: Answers, previous: Any, remarks: Sequence[str] = ()) -> Changed:
    """Compare the jobs of a report with earlier ones.

    Parameters
    ----------
    answers : Answers
        What is known of the jobs of the report.
    previous : pandas.DataFrame, path, JobStore or DurationHistogram
        Earlier jobs, or their saved summary. Where they overlap with those of the report, the jobs created since are compared.
    remarks : sequence of str
        What else is to be said.

    Returns
    -------
    Changed
        Whatever cannot be read or compared is a line that says why.
    """
    try:
        sides = _sides(answers, previous)
        if isinstance(sides, str):
            return Changed([Line(_UNKNOWN, sides)], remarks=remarks)
        groupings: list[tuple[str, ...]] = []
        for by in (*answers.sizes, ()):
            try:
                sides.before.check_keys(by)
                groupings.append(by)
            except FrameError as error:
                remarks = [*remarks, f"By {' and '.join(by)} nothing is compared. {error}"]
        parts = changes(sides.before, sides.after, *groupings)
    except CosaiError as error:
        return Changed([Line(_UNKNOWN, str(error))], remarks=remarks)
    # where the p95 is not the estimate, it is a projection
    table = pd.concat(_without_doubles(parts), ignore_index=True).assign(method="projection")
    table["name"] = [
        group_name(by, _name(answers, sides, by, key)) if by else "All jobs"
        for by, key in zip(table["by"], table["key"], strict=True)
    ]
    only = _only(answers, sides, ended=len(_comparable(table)) > 0)
    lines = [*_queues(only), *_measured(answers, table), *_errors(only)]
    lines = sorted(lines, key=lambda line: MOODS.index(line.mood))
    if not lines or not len(_comparable(table)):
        lines = [_nothing(table, parts[-1].attrs["hours_in_common"]), *lines]
    if len(lines) > MOST_LINES:
        remarks = [*remarks, f"What else changed is in the tables ({len(lines) - MOST_LINES} more)."]
    return Changed(lines[:MOST_LINES], sides.told, _tables(table, only), remarks)


# --- which jobs are compared ---


def _sides(answers: Answers, previous: Any) -> _Sides | str:
    """Return what is compared, or why nothing can be."""
    if isinstance(previous, str | os.PathLike) and _is_summary(previous):
        previous = DurationHistogram.load(arguments.path(previous))
    before = _counted(previous, answers)
    earlier, present = numbers(before), numbers(answers.counted)
    of_before, of_after = earlier.attrs, present.attrs
    if pd.isna(of_before["first"]):
        return "There are no earlier jobs to compare with."
    if pd.isna(of_after["first"]):
        return "None of these jobs has a known time of creation."
    if of_before["last"] > of_after["last"]:
        last = when(of_before["last"], answers.tz)
        return f"The jobs to compare with are later than these: the last was created after {last}."
    after, since = answers.counted, ""
    if of_before["last"] > of_after["first"]:
        begin = of_before["last"]
        after = replace(choose(answers.counted, {}, start=begin), recent=None)
        since = f"in {jobs_in_words(numbers(after)['jobs'].sum())} created since {when(begin, answers.tz)} "
    last = min(of_before["last"] + _HOUR, of_before["as_of"])  # counts know the hour
    created = f"created {when(of_before['first'], answers.tz)} to {when(last, answers.tz)}"
    told = f"{since}against {jobs_in_words(earlier['jobs'].sum())} {created}"
    return _Sides(before, after, told, queue_names(previous))


def _counted(previous: Any, answers: Answers) -> Counted:
    """Count earlier jobs as the report counts its own; a saved summary is counted already."""
    if isinstance(previous, Counted):
        return previous
    wanted = [*dict.fromkeys(name for by in answers.sizes for name in by)]
    if isinstance(previous, pd.DataFrame):
        wanted = [name for name in wanted if name in previous.columns]
    previous, names, _ = completed(previous, wanted)
    keys = tuple(dict.fromkeys((*names, *NEEDED_KEYS)))
    measures = dict.fromkeys(("jobs", "queue_latency", "run_time", "total_time"), keys)
    return count_all(previous, measures | dict.fromkeys(HOURS, QUEUE))


def _is_summary(path: Any) -> bool:
    try:
        return b"cosai_nb" in (pq.read_schema(arguments.path(path)).metadata or {})
    except (OSError, pa.ArrowException):  # a folder, or no Parquet file: whoever reads it will say so
        return False


def _name(answers: Answers, sides: _Sides, by: tuple[str, ...], key: Any) -> str:
    gone = sides.names.get(key) if by == QUEUE and key not in answers.queue_names else None
    return gone or answers.name(by, key)


def _only(answers: Answers, sides: _Sides, *, ended: bool) -> pd.DataFrame:
    """Return the queues and codes that only one side has; those that ended only where the other side is long enough to tell."""
    pairs = [("now", sides.after, sides.before)] + [("before", sides.before, sides.after)] * ended
    rows = [
        (what, _name(answers, sides, (column,), key), jobs, side)
        for what, column in (("queue", "queue_id"), ("error", "code"))
        for side, one, other in pairs
        for key, jobs in only_in(one, other, column).items()
    ]
    return pd.DataFrame(rows, columns=["what", "name", "jobs", "only"])


def _without_doubles(parts: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Leave out a group that has all the jobs of a group by another column, which would be told twice."""
    kept: list[pd.DataFrame] = []
    seen: set[str] = set()
    for part in reversed(parts):  # all jobs, then queues
        values = part[["before", "after", "jobs_before", "jobs_after"]]
        of_group = values.groupby(part["key"].map(str), sort=False)
        numbers_of = {str(key): str(mine.to_numpy().tolist()) for key, mine in of_group}
        kept.insert(0, part[[numbers_of[str(key)] not in seen for key in part["key"]]])
        seen |= set(numbers_of.values())
    return kept


# --- lines ---


def _comparable(table: pd.DataFrame) -> pd.DataFrame:
    return table[~table["verdict"].isin([TOO_LITTLE, OTHER_HOURS]) & table["p_value"].notna()]


def _measured(answers: Answers, table: pd.DataFrame) -> list[Line]:
    """Say what rose and fell beyond chance, of all comparisons together: one line a measure and direction."""
    compared = _comparable(table)
    real = compared[
        compared["verdict"].isin([SLOWER, FASTER, ROSE, FELL])
        & (compared["p_value"] * len(compared) <= _CHANCE)
        & (compared[["jobs_before", "jobs_after"]] > 0).all(axis=1)
    ]
    # all jobs change because some do
    rows = real.assign(up=real["difference"] > 0, factor=_factors(real), named=real["by"].map(len) > 0)
    rows = rows.sort_values(["named", "factor"], ascending=False, kind="stable")
    lines = []
    kinds: Any = rows.groupby(["what", "up"], sort=False)
    for (what, up), mine in kinds:
        row = mine.iloc[0]
        others = [f"{name[0].lower()}{name[1:]}" for name in mine["name"].iloc[1:]]
        text = f"from {_value(row, 'before')} to {_value(row, 'after')}"
        if what == THROUGHPUT:
            text += f" jobs an hour (difference {_range(row)})"
        also = f"; also {shortened(others, _MOST_NAMED)}" if others else ""
        anchor = answers.anchors.get((row["by"], plain(row["key"])), "changes")
        picture = _MEASURES[what].picture if anchor != "changes" else "What changed"
        title = f"{row['name']}: {what} {'rose' if up else 'fell'}"
        text += f", {jobs_in_words(row['jobs_after'])} now{also}."
        lines.append(Line(title, text, _MEASURES[what].moods[up], anchor, picture))
    return lines


def _factors(rows: pd.DataFrame) -> Any:
    """Return by which factor each value changed at least, as the absolute logarithm: the end of the interval that is nearer to 0."""
    nearer = np.where(rows["difference"] > 0, rows["low"], rows["high"])
    before, least = (
        rows["before"].to_numpy(dtype=float),
        rows["what"].map(lambda what: _MEASURES[what].least).to_numpy(dtype=float),
    )
    changed = np.fmax(before + nearer, least) / np.fmax(before, least)
    return np.nan_to_num(np.abs(np.log(changed)), nan=math.inf)


def _value(row: Any, side: str) -> str:
    """Return the value of a side with its interval."""
    if row["what"] == LATENCY:
        return quantile(row, side)
    if row["what"] == FAILURES:
        return f"{share(row[side])} ({_beside(row, side)})"
    return per_hour(row[side])


def _beside(row: Any, side: str) -> str:
    """Return what is known of a value beside it."""
    if row["what"] == LATENCY:
        return interval(row, side)
    return share_range(row[f"{side}_low"], row[f"{side}_high"]) if row["what"] == FAILURES else ""


def _errors(only: pd.DataFrame) -> list[Line]:
    number, codes = _named(only, "error", "now")
    if not number:
        return []
    title = f"Errors: {number:,} new {'code' if number == 1 else 'codes'}"
    return [Line(title, f"{codes}; not among the failures before.", "bad", "errors", "Errors")]


def _queues(only: pd.DataFrame) -> list[Line]:
    (_, came), (_, went) = (_named(only, "queue", side) for side in ("now", "before"))
    told = [f"new: {came}"] if came else []
    told += [f"no jobs now: {went}"] if went else []
    text = sentence("; ".join(told))
    return [Line("Queues that came or went", text, "", "changes", "What changed")] if told else []


def _named(only: pd.DataFrame, what: str, side: str) -> tuple[int, str]:
    """Return how many of a kind only this side has, and names those with the most jobs."""
    mine = only[(only["what"] == what) & (only["only"] == side)]
    then = " before" if side == "before" else ""
    told = [
        f"{name} ({jobs_in_words(jobs)}{then})" for name, jobs in zip(mine["name"], mine["jobs"], strict=True)
    ]
    return len(told), shortened(told, _MOST_NAMED)


def _nothing(table: pd.DataFrame, common: float) -> Line:
    """Say that nothing changed beyond the noise, or why that cannot be known."""
    whole = table.drop_duplicates("what", keep="last").set_index("what", drop=False)
    mood, title = "", _UNKNOWN
    if len(compared := _comparable(table)):
        (late, late_now), (failing, failing_now), (rate, rate_now) = (
            [_value(whole.loc[what], side) for side in ("before", "after")] for what in _MEASURES
        )
        mood, title = "good", "Nothing changed beyond the noise"
        text = (
            f"All jobs: {LATENCY} {late} before, {late_now} now; {FAILURES} {failing} before, {failing_now} now; "
            f"{rate} jobs an hour before, {rate_now} now ({len(compared):,} comparisons)."
        )
    elif (table["verdict"] == OTHER_HOURS).any():
        text = f"The windows are of different hours: {share(common)} of the jobs lie in the same hours of the week. Compare whole weeks."
    else:
        text = f"Too little data: {whole['note'][LATENCY]}."
    return Line(title, text, mood, "changes", "What changed")


# --- tables ---


def _tables(table: pd.DataFrame, only: pd.DataFrame) -> list[Table]:
    found = []
    for what, measure in _MEASURES.items():
        mine = table[table["what"] == what].sort_values("p_value", kind="stable", ignore_index=True)
        shown = mine.head(MOST_GROUPS)
        differences = [_amount(what, value) for value in shown["difference"]]
        columns = {
            "group": Column("text", shown["name"]),
            "before": bounded(shown, "before", measure.kind, _beside),
            "now": bounded(shown, "after", measure.kind, _beside),
            "difference": Column("text", differences, [_range(row) for _, row in shown.iterrows()]),
            "verdict": Column("text", shown["verdict"]),
            "jobs before": Column("count", shown["jobs_before"]),
            "jobs now": Column("count", shown["jobs_after"]),
        }
        notes = shown["note"].where(shown["verdict"] != OTHER_HOURS, "")  # the lines say it of all
        columns |= {"note": Column("long", notes)} if (notes != "").any() else {}
        caption = f"{measure.caption}; small print: 95 % intervals"
        identity = f"changes-{what.split()[0]}-table"
        found.append(Table(identity, caption, columns, hidden=len(mine) - len(shown)))
    if len(only):
        shown = only.head(MOST_GROUPS)
        columns = {str(name): Column("count" if name == "jobs" else "text", shown[name]) for name in shown}
        caption, hidden = "Queues and codes of errors that only one side has", len(only) - len(shown)
        found.append(Table("changes-only-table", caption, columns, hidden=hidden, headers=False))
    return found


def _amount(what: str, value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{_MEASURES[what].amount(abs(value))}"


def _range(row: Any) -> str:
    """Return the interval of a difference."""
    ends = [_amount(row["what"], row[name]) for name in ("low", "high")]
    if math.isfinite(row["low"]) and math.isfinite(row["high"]):
        return " to ".join(ends)
    known = [f"{end} or {word}" for end, word in zip(ends, ("more", "less"), strict=True) if end != "–"]
    return "".join(known)


# --- summaries beside the report ---


def newest_kept(folder: Path, answers: Answers) -> tuple[DurationHistogram | None, list[str]]:
    """Return the newest readable summary of before these jobs, else the newest of before their time, and what is wrong with others."""
    now = "" if pd.isna(answers.as_of) else f"{answers.as_of:{_KEPT}}"
    first = now if pd.isna(answers.times.first) else f"{answers.times.first + _HOUR:{_KEPT}}"
    try:
        names = [path.name for path in folder.iterdir() if _IS_KEPT.fullmatch(path.name)]
    except OSError:  # not there yet, or not to be read: then it is not to be written either, and that is told
        return None, []
    later, earlier = sum(name > now for name in names), [name for name in names if name < now]
    passed = f"{later:,} of the summaries in {folder} are of a later time and are passed over."
    remarks = [passed] if later else []
    for name in sorted(earlier, key=lambda name: (name <= first, name), reverse=True):
        try:
            return DurationHistogram.load(folder / name), remarks
        except FileError as error:
            remarks.append(str(error))
    return None, remarks


def keep_summary(folder: Path, jobs: Any, by: str | Sequence[str] | None) -> None:
    """Save the summary of the jobs of a report under their as-of time.

    Raises
    ------
    FileError
        The folder cannot be made or written to.
    """
    jobs, names, _ = completed(jobs, by)
    there = jobs.columns if isinstance(jobs, pd.DataFrame) else BUCKET
    more = [name for name in ("queue_name", "bucket") if name in there]
    summary = DurationHistogram.from_jobs(jobs, keys=[*dict.fromkeys([*names, *more])])
    if pd.isna(summary.as_of):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"The folder {folder} for summaries cannot be made ({error.strerror}); name another."
        ) from error
    summary.save(folder / f"{summary.as_of:{_KEPT}}")
