"""How many jobs fail, and of what.

A failure rate is Failed ÷ (Success + Failed) of the jobs *created* in the window. Jobs that have not finished are counted up to
their age (Aalen–Johansen): among recent jobs those that have ended are the fast ones, and what fails is often slow. A cancelled
job and a query that failed are in no rate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cosai_nb.errors import FrameError, SettingsError
from cosai_nb.schema import UNFINISHED as UNFINISHED_OUTCOMES
from cosai_nb.schema import Outcome
from cosai_nb.stats.bootstrap import MIN_BLOCKS
from cosai_nb.stats.coding import Coded, code_labels
from cosai_nb.stats.frames import HOUR_MS, MISSING, check_jobs, group_columns, milliseconds
from cosai_nb.stats.histogram import DurationHistogram, as_histogram
from cosai_nb.stats.incidence import MOST_UNDECIDED, Ends, share_of
from cosai_nb.stats.messages import count_faults
from cosai_nb.stats.quantiles import make_table, split_groups
from cosai_nb.stats.slices import labelled
from cosai_nb.stats.steps import moment_index, width_ms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_COLUMNS = {
    **dict.fromkeys(("jobs", "ended", "failed", "cancelled", "unfinished"), "int64"),
    **dict.fromkeys(("rate", "low", "high", "rate_ended", "undecided"), "float64"),
    "blocks": "int64",
    "note": "str",
}
_TIME = "time"
_NEEDS_JOBS = "messages, times and examples need single jobs: pass the jobs frame"


def failure_rates(
    jobs: pd.DataFrame | DurationHistogram,
    by: str | Sequence[str] | None = None,
    *,
    freq: str | pd.Timedelta | None = None,
) -> pd.DataFrame:
    """Return the share of jobs that fail, unfinished jobs counted.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job, or their histogram.
    by : str or list of str, optional
        Columns (keys of the histogram) to group by. With ``code`` a row says which share of the jobs of the *other* columns'
        group fails with this code; a group without failures has one row, with a missing code and ``failed`` 0.
    freq : str or pandas.Timedelta, optional
        Split by creation time too, in windows of this width that start at multiples of it since the epoch (UTC). A histogram
        knows full hours. Windows without jobs have no row.

    Returns
    -------
    pandas.DataFrame
        One row per group (index: its labels, ``all`` without ``by``; with ``freq`` the start of the window, ``time``, after
        them), a missing label being a group.

        ================ =========================================================================
        jobs             number of jobs
        ended, failed    of these Success or Failed; Failed (with this code)
        cancelled        of these cancelled: in no rate
        unfinished       of these waiting, running or in an unknown state
        rate             Aalen–Johansen, fraction from 0 to 1: failed ÷ ended where nothing is unfinished, and what is
                         certain to fail where some is ``undecided``; NaN where nothing has ended, or more than 10 % is undecided
        low, high        95 % interval: the wider of Wilson and bootstrap of hour blocks, ``undecided`` in it; (0, 1) without jobs
        rate_ended       failed ÷ ended, the naive number
        undecided        share of the jobs that is older than every end seen: it may go either way
        blocks           hours with jobs; below 14 the interval is Wilson's alone
        note             what to bear in mind
        ================ =========================================================================

        ``attrs["left_out"]`` counts the rows that are no jobs (queries that failed).

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, lacks a column, or is grouped by what decides whether a job failed.
    SettingsError
        ``freq`` is no width, or is finer than the histogram.

    Notes
    -----
    Ended jobs whose times are not usable are counted by their outcome.

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
    names = group_columns(by)
    if decided := {"outcome", "state"} & set(names):
        raise FrameError(
            f"A failure rate by {decided.pop()!r} is 0 or 1 by its meaning; group by another column."
        )
    if freq is None:
        whole, keys = as_histogram(jobs, names), names
    else:
        whole, keys = _in_windows(jobs, names, freq), (*names, _TIME)
    rows = []
    others = tuple(name for name in keys if name != "code")
    for labels, part in split_groups(whole, others, ("total_time",)):
        for code, failing in _causes(part, by_code="code" in keys):
            named = dict(zip(others, labels, strict=False)) | {"code": code}
            rows.append((tuple(named[name] for name in keys) if keys else labels, _row(part, failing)))
    table = make_table(rows, _COLUMNS, keys, whole.left_out)
    return table if freq is None else table.set_axis(_time_index(table.index, keys))


def _outcomes(part: DurationHistogram, *outcomes: Outcome) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return labelled(part.coded("outcome"), [str(outcome) for outcome in outcomes])


def _causes(
    part: DurationHistogram, *, by_code: bool
) -> Iterator[tuple[str | None, np.ndarray[tuple[int], np.dtype[np.bool_]]]]:
    """Each code that jobs failed with, and its cells; all failures as one where codes are not asked for."""
    failed = _outcomes(part, Outcome.FAILED)
    labels, codes = part.coded("code")
    numbers = np.unique(codes[failed]) if by_code else np.empty(0, dtype=np.int64)
    if not len(numbers):
        yield None, failed
    for number in np.roll(numbers, -int(-1 in numbers)):  # a missing code last
        yield None if number < 0 else str(labels[number]), failed & (codes == number)


def _row(part: DurationHistogram, failing: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> dict[str, Any]:
    counts = part.counts("total_time")
    of_cell = np.bincount(counts.cell, counts.jobs, len(failing))
    over, alive = _outcomes(part, Outcome.SUCCESS, Outcome.FAILED), _outcomes(part, *UNFINISHED_OUTCOMES)
    share = share_of(part, Ends(failing, over & ~failing, alive))
    ended, failed = int(of_cell[over].sum()), int(of_cell[failing].sum())
    notes = []
    if not ended:
        notes.append("no rate: nothing has ended")
    elif share.undecided > MOST_UNDECIDED:
        notes.append(f"no rate, only bounds: {share.undecided:.0%} of the jobs are older than every end seen")
    elif share.undecided > 0:
        notes.append(f"{share.undecided:.2%} undecided: in high, not in rate")
    if share.timeless:
        notes.append(f"{share.timeless} ended without usable times: counted by outcome")
    if share.blocks < MIN_BLOCKS:
        notes.append(f"Wilson interval alone: {share.blocks} hour blocks, a bootstrap needs {MIN_BLOCKS}")
    known = ended and share.undecided <= MOST_UNDECIDED
    return {
        "jobs": int(of_cell.sum()),
        "ended": ended,
        "failed": failed,
        "cancelled": int(of_cell[_outcomes(part, Outcome.CANCELLED)].sum()),
        "unfinished": int(of_cell[alive].sum()),
        "rate": share.rate if known else np.nan,
        "low": share.low,
        "high": share.high,
        "rate_ended": failed / ended if ended else np.nan,
        "undecided": share.undecided,
        "blocks": share.blocks,
        "note": "; ".join(notes),
    }


def _in_windows(
    jobs: pd.DataFrame | DurationHistogram, names: tuple[str, ...], freq: str | pd.Timedelta
) -> DurationHistogram:
    """Return the histogram with the window of creation as a further key."""
    width = width_ms(freq)
    if _TIME in names:
        raise FrameError("by='time' and freq= cannot be combined: freq makes an index level of that name.")
    if not isinstance(jobs, DurationHistogram):
        created = milliseconds(check_jobs(jobs, ["creation_time"])["creation_time"])
        floor = np.where(created == MISSING, MISSING, created // width * width)
        return DurationHistogram.from_jobs(jobs.assign(**{_TIME: moment_index(floor)}), keys=(*names, _TIME))
    if width % HOUR_MS:
        raise SettingsError(
            f"A histogram knows full hours only: freq={freq!r} needs the jobs frame. Ask for freq='1h' or a multiple of it."
        )
    histogram = as_histogram(jobs, names)
    hours, codes = histogram.coded("hour")
    windows = code_labels(pd.Series(moment_index(hours * HOUR_MS // width * width)))
    columns = {key: histogram.coded(key) for key in histogram.keys}
    columns[_TIME] = Coded(windows.labels, np.append(windows.codes, -1)[codes])
    counts = {name: histogram.counts(name) for name in ("queue_latency", "total_time")}
    return DurationHistogram(columns, counts, histogram.as_of, histogram.left_out)


def _time_index(index: pd.Index[Any], keys: tuple[str, ...]) -> pd.Index[Any]:
    times = pd.DatetimeIndex(pd.to_datetime(index.get_level_values(_TIME), utc=True)).as_unit("ms")
    if len(keys) == 1:
        return times.rename(_TIME)
    return pd.MultiIndex.from_arrays(
        [*(index.get_level_values(key) for key in keys[:-1]), times], names=list(keys)
    )


def error_pareto(jobs: pd.DataFrame | DurationHistogram) -> pd.DataFrame:
    """Return what jobs fail of, the most frequent first.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
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
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.
    """
    rows = _by_code(jobs) if isinstance(jobs, DurationHistogram) else count_faults(jobs)
    rows.sort(
        key=lambda row: (
            -row["jobs"],
            *((row[name] is None, row[name] or "") for name in ("code", "message")),
        )
    )
    total = sum(row["jobs"] for row in rows)
    number = np.array([row["jobs"] for row in rows], dtype=np.int64)
    times = {name: [row[name] for row in rows] for name in ("first_seen", "last_seen")}
    return pd.DataFrame(
        {
            "code": pd.Series([row["code"] for row in rows], dtype=None if rows else object),
            "message": pd.Series([row["message"] for row in rows], dtype=None if rows else object),
            "jobs": number,
            "share": number / max(total, 1),
            "cumulated_share": np.cumsum(number) / max(total, 1),
            **{name: moment_index(moments) for name, moments in times.items()},
            "example_ids": pd.Series([row["example_ids"] for row in rows], dtype=object),
            "note": pd.Series([row["note"] for row in rows], dtype="str"),
        }
    )


def _by_code(histogram: DurationHistogram) -> list[dict[str, Any]]:
    unknown = {"message": None, "first_seen": MISSING, "last_seen": MISSING, "note": _NEEDS_JOBS}
    counts = histogram.counts("total_time")
    jobs = np.bincount(counts.cell, counts.jobs, len(histogram.coded("code").codes))
    found = ((code, int(jobs[cells].sum())) for code, cells in _causes(histogram, by_code=True))
    return [{"code": code, "jobs": number, **unknown, "example_ids": []} for code, number in found if number]
