"""How many jobs fail, and of what.

A failure rate is Failed ÷ (Success + Failed) of the jobs *created* in the window. Among recent jobs those that have ended are the
fast ones, and what fails is often slow: so running jobs are counted up to their age (Aalen–Johansen), on the clock of the run.
How long a job waited tells nothing about how it ends, but much about when it was created, and would bend the rate where a queue
grows. A cancelled job and a query that failed are in no rate.

Messages are compared without what differs from job to job, so that one fault is one row of a Pareto table:

================= ======================================================================
``<url>``         anything with ``://``
``<path>``        anything with a slash or backslash that starts, or looks, like a path; a file with a media ending
``<id>``          UUIDs, hex of 8 digits and more, mixed letters and digits of 16 characters and more
``<number>``      any other number
================= ======================================================================

Only ASCII is replaced, so a Chinese sentence keeps its words. Every pattern reads a message once, whatever is in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cosai_nb.errors import FrameError
from cosai_nb.schema import UNFINISHED as UNFINISHED_OUTCOMES
from cosai_nb.schema import Outcome
from cosai_nb.stats.counts import NO_HOUR, Counted, Groups, batches, class_codes, count, count_all, hours_of
from cosai_nb.stats.intervals import FEW_HOURS, MIN_HOURS, Sample, share_that_ends
from cosai_nb.stats.measures import (
    ENDED,
    GAVE_UP,
    HOUR_MS,
    MISSING,
    UNFINISHED,
    UNUSABLE,
    milliseconds,
    moments,
    windowed,
)
from cosai_nb.stats.short_table import read_first

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta, tzinfo

    from cosai_nb.stats.measures import Flags, Floats, Ints

MOST_UNDECIDED = 0.1 + 1e-9  # room for rounding
"""Above this share of jobs that may still end either way there is no rate, only its bounds."""
_A_TENTH = 0.1
_READ_FIRST = ["jobs", "ended", "failed", "unfinished", "rate", "low", "high", "note"]
_BEFORE = -1
"""Second of a failure before the start, on the clock of the run: before all others."""
_MOST_HOURS = 400
"""Runs of hours are tried in so many steps at most."""
_WORSE = 2.0  # times the rate outside
_SURPRISE = 1e-4  # chance of such a run where failures do not cluster
_NEEDS_JOBS = "messages, times and examples need single jobs: pass the jobs frame"
LONGEST = 300
EXAMPLES = 3
_READ = 2000
_URL = r"[A-Za-z][A-Za-z0-9+.-]{0,19}://[!#-;=?-~]*"
_TOKEN = re.compile(rf"{_URL}|[!#$%&*+\-./0-9:?@A-Z\\^_a-z|~]+")
_PATH = re.compile(r"[A-Za-z]:[\\/]|[.~]{0,2}[\\/]\S|[^\\/]+[\\/].*[.0-9\\/_-]")
_MEDIA = re.compile(
    r"(?i)[^.].*\.(?:txt|docx?|pdf|html?|xml|json|csv|mp3|mp4|wav|m4a|aac|flac|ogg|amr|mov|mkv|avi|jpe?g|png|gif|zip)"
)
_PARTS = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9A-Za-z]+")
_HEX = re.compile(r"[A-Za-z]?[0-9a-fA-F]{8,}")
_LONG_ID = 16
_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)*")


def failure_rates(
    jobs: Any,
    by: str | Sequence[str] | None = None,
    *,
    freq: str | timedelta | None = None,
    tz: str | tzinfo = "Asia/Shanghai",
    by_start: bool = False,
    detail: bool = False,
) -> pd.DataFrame:
    """Return the share of jobs that fail, running jobs counted.

    Parameters
    ----------
    jobs : pandas.DataFrame, path, JobStore or DurationHistogram
        One row per job: a frame, a Parquet file or a folder of them, a store; or their histogram.
    by : str or list of str, optional
        Columns (keys of the histogram) to group by. With ``code`` a row says which share of the jobs of the *other* columns'
        group fails with this code; a group without failures has one row, with a missing code and ``failed`` 0.
    freq : str or timedelta, optional
        Split by creation time too, in windows of this width (``"1h"``, ``"1D"``, ``"1W"``): days begin at midnight of ``tz``,
        weeks on Monday. A histogram knows full hours. Windows without jobs have no row.
    tz : str or tzinfo
        The zone of the windows.
    by_start : bool
        Take the windows, and the hours of the interval, by when a job started: an incident is then seen when it came. Only
        jobs that started are counted; a histogram does not know them.
    detail : bool
        Return all columns, in the order of the table below.

    Returns
    -------
    pandas.DataFrame
        One row per group (index: its labels, ``all`` without ``by``; with ``freq`` the start of the window, ``time``, after
        them), a missing label being a group. Columns: ``jobs, ended, failed, unfinished, rate, low, high, note``, and with
        ``detail``:

        =================== ======================================================================
        jobs                number of jobs
        ended, failed       of these Success or Failed; Failed (with this code)
        cancelled           of these cancelled: in no rate
        unfinished          of these waiting, running or in an unknown state
        rate                Aalen–Johansen from the start on, fraction from 0 to 1: failed ÷ ended where nothing is unfinished,
                            and what is certain to fail where some is ``undecided``; NaN where nothing has ended, or more than
                            10 % is undecided
        low, high           95 % interval: the wider of Wilson's and that of the hours, ``undecided`` in it; (0, 1) without jobs
        rate_ended          failed ÷ ended, the naive number
        undecided           share of the jobs that runs longer than every end seen: it may go either way
        blocks              hours in which jobs were created; below 14 the interval is Wilson's alone
        note                what to bear in mind
        waiting             number of unfinished jobs that have not started: in no rate yet
        failed_before_start number of the failed jobs that never started
        =================== ======================================================================

        ``attrs["left_out"]`` counts the rows that are no jobs (queries that failed).

    Raises
    ------
    TypeError, FrameError, FileError
        ``jobs`` is no source of jobs, lacks a column, cannot be read, or is grouped by what decides whether a job failed.
    SettingsError
        ``freq`` is no width, or is finer than the histogram; ``tz`` is no zone.

    Notes
    -----
    Jobs that wait are taken to end as those that started did: an incident that they will meet cannot be seen, and where that
    could change the rate by a tenth ``note`` says so. A failure before the start counts as one at its very begin. Ended jobs
    whose times are not usable are counted by their outcome.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> import pandas as pd
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": ["Success", "Failed"], "QueueId": "q1",
    ...     "Tag": "Translation", "CreationTime": "2026-11-01T10:00:00+0800",
    ...     "StartTime": "2026-11-01T10:00:07+0800", "EndTime": "2026-11-01T10:00:09+0800"})
    >>> cn.failure_rates(cn.add_timings(texts))[["jobs", "failed", "rate", "low", "high"]].round(3)
         jobs  failed  rate    low   high
    all     2       1   0.5  0.095  0.905
    """
    names, windows = windowed(by, freq, tz)
    if decided := {"outcome", "state"} & set(names):
        raise FrameError(
            f"A failure rate by {decided.pop()!r} is 0 or 1 by its meaning; group by another column."
        )
    others = tuple(name for name in names if name != "code")
    wanted = dict.fromkeys(("jobs", "run_time"), (*others, "outcome", "code"))
    counted = count_all(jobs, wanted, windows=windows, by_start=by_start)
    if "code" in names:
        frame = _Rates(counted, others).by_code(names)
        frame.attrs["left_out"] = counted.left_out
    else:
        frame = rates_of(counted, names)
    return frame if detail else read_first(frame, _READ_FIRST)


def rates_of(counted: Counted, names: tuple[str, ...], *, intervals: bool = True) -> pd.DataFrame:
    """Return :func:`failure_rates` of counted jobs, in all columns.

    Parameters
    ----------
    counted : Counted
        With ``jobs`` and ``run_time`` by ``names``, ``outcome`` and ``code``.
    names : tuple of str
        The keys to group by, none that decides whether a job failed.
    intervals : bool
        False leaves ``low`` and ``high`` NaN, in half the time.
    """
    rates = _Rates(counted, names)
    frame = pd.DataFrame(rates.of(None, intervals=intervals), index=rates.groups.rows)
    frame.attrs["left_out"] = counted.left_out
    return frame


class _Ends:
    """How the jobs of a table of counts ended, row by row."""

    def __init__(self, table: pd.DataFrame, group: Ints) -> None:
        self.group, self.hour, self.code = group, hours_of(table), table["code"]
        self.jobs, self.kind, self.seconds = (
            table["jobs"].to_numpy(),
            class_codes(table),
            table["seconds"].to_numpy(),
        )
        labels, codes = (
            [str(label) for label in table["outcome"].cat.categories],
            table["outcome"].cat.codes.to_numpy(),
        )

        def among(*outcomes: Outcome) -> Flags:
            return np.isin(np.array([*labels, ""], dtype=object), [str(one) for one in outcomes])[codes]

        self.failed, self.cancelled = among(Outcome.FAILED), among(Outcome.CANCELLED)
        self.over, self.alive = self.failed | among(Outcome.SUCCESS), among(*UNFINISHED_OUTCOMES)

    def failing(self, code: Any) -> Flags:
        """Choose the failures with a code (None: with any, NaN: with none)."""
        if code is None:
            return self.failed
        return self.failed & (self.code.isna() if pd.isna(code) else self.code == code).to_numpy()


class _Rates:
    """The counted jobs of some groups, and how many of each ended how."""

    def __init__(self, counted: Counted, names: tuple[str, ...]) -> None:
        self.groups = Groups.of(counted.tables["jobs"], names)
        self.all = _Ends(counted.tables["jobs"], self.groups.of_row)
        self.run = _Ends(counted.tables["run_time"], self.groups.place(counted.tables["run_time"]))
        run, of_all = self.run, self.all
        self.ran = np.flatnonzero((run.over & (run.kind == ENDED)) | (run.alive & (run.kind == UNFINISHED)))
        self.before = np.flatnonzero(of_all.failed & (of_all.kind == GAVE_UP))
        group, hour, jobs, over = (
            np.concatenate((getattr(run, name)[self.ran], getattr(of_all, name)[self.before]))
            for name in ("group", "hour", "jobs", "over")
        )
        second = np.concatenate((run.seconds[self.ran], np.full(len(self.before), _BEFORE)))
        self.sample = Sample.of(self.groups.number, group, hour, second, over, jobs)

    def of(self, code: Any, *, intervals: bool = True) -> dict[str, Any]:
        """Return the columns for the failures with some code (None: with any)."""
        run, of_all, sum_up = self.run, self.all, self.groups.sum
        failing = of_all.failing(code)
        this = np.concatenate((run.failing(code)[self.ran], failing[self.before]))
        before = sum_up(of_all.jobs, failing & (of_all.kind == GAVE_UP))
        timeless = self._timeless(code)
        others = (
            self._timeless(None) - timeless + self._of_run(run.over & ~run.failed & (run.kind == UNUSABLE))
        )
        share = share_that_ends(self.sample, this, (timeless, others), intervals=intervals)
        ended = sum_up(of_all.jobs, of_all.over)
        failed = sum_up(of_all.jobs, failing)
        known = (ended > 0) & (share.undecided <= MOST_UNDECIDED)
        found = {
            "jobs": sum_up(of_all.jobs),
            "ended": ended,
            "failed": failed,
            "cancelled": sum_up(of_all.jobs, of_all.cancelled),
            "unfinished": sum_up(of_all.jobs, of_all.alive),
            "rate": np.where(known, share.rate, np.nan),
            "low": share.low,
            "high": share.high,
            "rate_ended": np.divide(failed, ended, out=np.full(len(ended), np.nan), where=ended > 0),
            "undecided": share.undecided,
            "blocks": self.sample.busy,
            "note": None,
            "waiting": sum_up(of_all.jobs, of_all.alive & (of_all.kind == UNFINISHED)),
            "failed_before_start": before,
        }
        return found | {"note": pd.array(_notes(found, timeless + others), dtype="str")}

    def _of_run(self, rows: Flags) -> Floats:
        """Add up the jobs of each group over some rows of run times."""
        return np.bincount(self.run.group[rows], self.run.jobs[rows], self.groups.number).astype(np.float64)

    def _timeless(self, code: Any) -> Floats:
        """Return the failures of each group that no curve holds: all but those with a run time and those before a start."""
        failing, run = self.all.failing(code), self.run
        placed = self.groups.sum(self.all.jobs, failing & (self.all.kind == GAVE_UP))
        return (
            self.groups.sum(self.all.jobs, failing)
            - placed
            - self._of_run(run.failing(code) & (run.kind == ENDED))
        )

    def by_code(self, names: tuple[str, ...]) -> pd.DataFrame:
        """Return the columns for each group and code that its jobs failed with; one row, without a code, where none did."""
        of_all, parts = self.all, []
        healthy = self.groups.sum(of_all.jobs, of_all.failed) == 0
        for code in [*of_all.code[of_all.failed].cat.remove_unused_categories().cat.categories, np.nan]:
            table = pd.DataFrame(self.of(code))  # a row a group
            table["code"] = pd.Series(code, table.index, dtype=object)
            parts.append(table[(table["failed"] > 0) | (healthy & pd.isna(code))])
        found = pd.concat(parts).sort_index(kind="stable")
        labels = dict(zip(self.groups.names, self.groups.labels, strict=True))
        labels = {name: of_one[found.index] for name, of_one in labels.items()}
        labels["code"] = pd.Index(found.pop("code"), dtype=object)
        levels = [labels[name].rename(name) for name in names]
        return found.set_axis(levels[0] if len(names) == 1 else pd.MultiIndex.from_arrays(levels))


def _notes(told: dict[str, Any], timeless: Floats) -> list[str]:
    """Say of each group what makes its rate less sure; few have anything to say but the last."""
    ended, rate, undecided, hours = (told[name] for name in ("ended", "rate", "undecided", "blocks"))
    unfinished, waiting, before = (told[name] for name in ("unfinished", "waiting", "failed_before_start"))
    found: list[list[str]] = [[] for _ in ended]
    for group in np.flatnonzero(ended == 0).tolist():
        found[group].append("no rate: nothing has ended")
    for group in np.flatnonzero((ended > 0) & (undecided > 0)).tolist():
        part = undecided[group]
        if part > MOST_UNDECIDED:
            found[group].append(
                f"no rate, only bounds: {part:.0%} of the jobs run longer than every end seen"
            )
        else:
            found[group].append(f"{part:.2%} undecided: in high, not in rate")
    for group in np.flatnonzero(timeless > 0).tolist():
        found[group].append(f"{timeless[group]:.0f} ended without usable times: counted by outcome")
    running = unfinished - waiting
    with np.errstate(invalid="ignore"):
        matters = (unfinished > 0) & (unfinished > _A_TENTH * rate * (ended + unfinished))
    for group in np.flatnonzero(matters).tolist():
        if running[group]:
            worst = 1 - (1 - rate[group]) * ended[group] / (ended[group] + running[group])
            found[group].append(f"{running[group]} run: the rate may come to {worst:.1%} if all of them fail")
        if waiting[group]:
            more = (
                f", and more of them may fail before they start, as {before[group]} did"
                if before[group]
                else ""
            )
            found[group].append(
                f"{waiting[group]} wait: an incident that they will meet cannot be seen{more}"
            )
    for group in np.flatnonzero(hours < MIN_HOURS).tolist():
        found[group].append(FEW_HOURS[hours[group]])
    return ["; ".join(notes) for notes in found]


class Spell(NamedTuple):
    """How many of the jobs that were created from ``begin`` to ``end`` [ms since the epoch] ended, and failed."""

    begin: int
    end: int
    ended: int
    failed: int


def worst_spell(counted: Counted) -> Spell | None:
    """Return the hours of creation in which failures cluster, None where none stand out.

    Parameters
    ----------
    counted : Counted
        With ``jobs`` by ``outcome``.

    Notes
    -----
    The scan statistic of Kulldorff (1997): of all runs of hours with at most half of the jobs the one that two rates, inside
    and outside, explain best. It stands out where the likelihood ratio is beyond chance for as many runs as were tried, and,
    because the failures of an hour often have one cause, the rate inside is more than twice that outside.
    """
    table = counted.tables["jobs"]
    hour, failed = hours_of(table), (table["outcome"] == str(Outcome.FAILED)).to_numpy()
    rows = np.flatnonzero(
        (failed | (table["outcome"] == str(Outcome.SUCCESS)).to_numpy()) & (hour != NO_HOUR)
    )
    hours, place = np.unique(hour[rows], return_inverse=True)
    jobs = table["jobs"].to_numpy()[rows]
    each = np.array(
        [np.bincount(place, jobs, len(hours)), np.bincount(place, jobs * failed[rows], len(hours))]
    )
    edges = np.append(np.arange(0, len(hours), max(-(-len(hours) // _MOST_HOURS), 1)), len(hours))
    sums = np.column_stack((np.zeros(2), np.cumsum(each, axis=1)))[:, edges]
    first, last = np.triu_indices(len(edges), 1)
    inside, total = sums[:, last] - sums[:, first], sums[:, -1:]
    outside = total - inside
    gain = _likelihood(inside) + _likelihood(outside) - _likelihood(total)
    # ended inside × failed outside, and the other way round: the rates without a division
    worse = inside[1] * outside[0] > _WORSE * outside[1] * inside[0]
    gain[~worse | (inside[0] > outside[0])] = 0.0
    if not len(gain) or gain.max() <= np.log(len(gain) / _SURPRISE):
        return None
    best = int(gain.argmax())
    begin, end = hours[edges[first[best]]], hours[edges[last[best]] - 1] + 1
    ended, lost = inside[:, best].astype(int).tolist()
    return Spell(int(begin) * HOUR_MS, int(end) * HOUR_MS, ended, lost)


def _likelihood(numbers: Floats) -> Floats:
    """Return the logarithm of the binomial likelihood, at its best, of (ended, failed)."""
    ended, failed = numbers
    told = [part * np.log(np.maximum(part, 1)) for part in (failed, ended - failed, ended)]
    return told[0] + told[1] - told[2]


def error_pareto(jobs: Any) -> pd.DataFrame:
    """Return what jobs fail of, the most frequent first.

    Parameters
    ----------
    jobs : pandas.DataFrame, path, JobStore or DurationHistogram
        One row per job; or their histogram, which knows the codes only.

    Returns
    -------
    pandas.DataFrame
        One row per code and message of the jobs that failed (index: 0, 1, …).

        ======================= ==================================================================
        code                    as sent, missing where there is none
        message                 as sent, with placeholders for IDs, numbers, URLs and paths; missing from a histogram
        jobs, share             number of failed jobs, and its share of all failed jobs
        cumulated_share         share of this row and those above it
        first_seen, last_seen   when the first and the last of them ended (was created, where that is unknown)
        example_ids             up to three job IDs, the newest first
        note                    what a histogram cannot know
        ======================= ==================================================================

    Raises
    ------
    TypeError, FrameError, FileError
        ``jobs`` is no source of jobs, lacks a column, or cannot be read.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": "Failed", "QueueId": "q1", "Tag": "Translation", "Code": "NotFound",
    ...     "Message": ["no in/1.mp3", "no in/2.mp3"],
    ...     "CreationTime": "2026-11-01T10:00:00+0800", "StartTime": "2026-11-01T10:00:07+0800", "EndTime": "2026-11-01T10:00:09+0800"})
    >>> jobs = cn.add_timings(texts, observed_at="2026-11-01T03:00:00Z")
    >>> cn.error_pareto(jobs)[["code", "message", "jobs", "share"]]
           code    message  jobs  share
    0  NotFound  no <path>     2    1.0
    """
    faults = _by_code(jobs) if isinstance(jobs, Counted) else _by_message(jobs)
    faults = faults.sort_values(
        ["jobs", "code", "message"], ascending=[False, True, True], na_position="last", ignore_index=True
    )
    total = max(int(faults["jobs"].sum()), 1)
    found = pd.DataFrame(
        {
            "code": faults["code"],
            "message": faults["message"],
            "jobs": faults["jobs"].astype("int64"),
            "share": faults["jobs"] / total,
            "cumulated_share": faults["jobs"].cumsum() / total,
            "first_seen": moments(faults["first_seen"].to_numpy()),
            "last_seen": moments(faults["last_seen"].to_numpy()),
            "example_ids": faults["example_ids"],
            "note": faults["note"].astype("str"),
        }
    )
    return read_first(found)


FAULT = ("job_id", "code", "message", "creation_time", "end_time")
"""The columns of failed jobs that errors are told by."""
_ROW = ("code", "message", "jobs", "first_seen", "last_seen", "example_ids", "note")


def _by_code(counted: Counted) -> pd.DataFrame:
    table = count(counted, ("outcome", "code"), "total_time").table
    failed = table[(table["outcome"] == str(Outcome.FAILED)).to_numpy()]
    groups = Groups.of(failed, ("code",))
    numbers = groups.sum(failed["jobs"])
    unknown: tuple[Any, ...] = (None, MISSING, MISSING, [], _NEEDS_JOBS)
    rows = [
        (code, unknown[0], number, *unknown[1:])
        for (code,), number in zip(groups.plain_labels, numbers, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(_ROW)).astype({"code": object, "message": object})


def _by_message(jobs: Any) -> pd.DataFrame:
    """Return code, message, number, times [ms since the epoch] and example IDs of each fault."""
    failed = failed_jobs(jobs, FAULT)
    words, distinct = pd.factorize(failed["message"])
    cleaned = np.array([*(normalise(str(message)) for message in distinct), None], dtype=object)[words]
    fault = pd.DataFrame({"code": failed["code"].astype(object), "message": cleaned})
    groups = Groups.of(fault, ("code", "message"))
    seen = milliseconds(failed["end_time"].fillna(failed["creation_time"]))
    table = pd.DataFrame({"fault": groups.of_row, "seen": seen, "job_id": failed["job_id"].astype(str).array})
    table = table.sort_values(["fault", "seen", "job_id"], ascending=[True, False, True])
    rows = []
    for (_, mine), labels in zip(table.groupby("fault", sort=True), groups.plain_labels, strict=False):
        known = mine["seen"][mine["seen"] != MISSING]
        first, last = (int(known.min()), int(known.max())) if len(known) else (MISSING, MISSING)
        rows.append((*labels, len(mine), first, last, mine["job_id"].head(EXAMPLES).tolist(), ""))
    return pd.DataFrame(rows, columns=list(_ROW)).astype(
        {"code": object, "message": object, "example_ids": object}
    )


def normalise(message: str) -> str:
    """Return a message with placeholders for what names one job, one object or one moment.

    Examples
    --------
    >>> normalise("Job a8d121820f5e411ec926ef19d53ba9c6f: cannot read cos://b-125/x/1.mp3 after 30.5 s")
    'Job <id>: cannot read <url> after <number> s'
    >>> normalise("input/2026/speech.wav not found (code 404)"), normalise("and/or")
    ('<path> not found (code <number>)', 'and/or')
    """
    text = " ".join(_TOKEN.sub(_token, message[:_READ]).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _token(match: re.Match[str]) -> str:
    token = match[0]
    bare = token.rstrip(".,;:!?)]}'")
    rest = token[len(bare) :]
    if "://" in bare:
        return "<url>" + rest
    if _PATH.match(bare) or _MEDIA.fullmatch(bare):
        return "<path>" + rest
    return _NUMBER.sub("<number>", _PARTS.sub(_part, bare)) + rest


def _part(match: re.Match[str]) -> str:
    part = match[0]
    if part.isdigit() or not any(character.isdigit() for character in part):
        return part
    whole = len(part) >= _LONG_ID or part[:2] in {"0x", "0X"} or _HEX.fullmatch(part)
    return "<id>" if whole else part


# --- for pages and figures ---


def failed_jobs(jobs: Any, columns: Sequence[str], *, newest: int | None = None) -> pd.DataFrame:
    """Return the jobs that failed, of a source that may be larger than memory.

    Parameters
    ----------
    jobs : pandas.DataFrame, path or JobStore
        One row per job.
    columns : sequence of str
        The columns to return.
    newest : int, optional
        Return so many at most, the last created first; by default all, in the order of the source.

    Returns
    -------
    pandas.DataFrame
        ``attrs["failed"]`` is how many there are.
    """
    names = list(dict.fromkeys((*columns, "outcome", "creation_time")))

    def chosen(batch: pd.DataFrame) -> pd.DataFrame:
        return batch.loc[(batch["outcome"] == str(Outcome.FAILED)).to_numpy(), names]

    kept, number = [], 0
    for failed in batches(jobs, names, work=chosen):
        number += len(failed)
        kept.append(failed)
        if newest is not None:
            some = pd.concat(kept).sort_values(
                "creation_time", ascending=False, kind="stable", na_position="last"
            )
            kept = [some.head(newest)]
    found = pd.concat(kept)
    found.attrs["failed"] = number
    return found


def faults_by(jobs: Any, key: str) -> pd.DataFrame:
    """Return how many jobs of each label failed with each code and message (normalised), the most frequent first.

    Parameters
    ----------
    jobs : pandas.DataFrame, path or JobStore
        One row per job.
    key : str
        The column of labels, ``tag`` say.

    Returns
    -------
    pandas.DataFrame
        ``code``, ``message``, the key and ``jobs``.
    """
    names = ["code", "message", key]
    parts = []
    for batch in batches(jobs, ("outcome", *names)):
        failed = batch.loc[(batch["outcome"] == str(Outcome.FAILED)).to_numpy(), names].astype(object)
        cleaned = {text: normalise(str(text)) for text in failed["message"].dropna().unique()}
        failed["message"] = failed["message"].map(cleaned).astype(object)
        parts.append(failed.groupby(names, dropna=False, sort=False).size().reset_index(name="jobs"))
    total = pd.concat(parts).groupby(names, dropna=False)["jobs"].sum()
    return total.sort_values(ascending=False, kind="stable").reset_index()
