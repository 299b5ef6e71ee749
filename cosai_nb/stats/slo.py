"""Do enough jobs start in time? The share that does, what it is at least and at most, and how fast the budget burns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cosai_nb.arguments import duration, share
from cosai_nb.schema import UNFINISHED as UNFINISHED_OUTCOMES
from cosai_nb.stats.bootstrap import MIN_BLOCKS
from cosai_nb.stats.censoring import ENDED, UNFINISHED, UNUSABLE
from cosai_nb.stats.frames import group_columns
from cosai_nb.stats.histogram import as_histogram
from cosai_nb.stats.incidence import MOST_UNDECIDED, ROUNDING, estimate
from cosai_nb.stats.quantiles import make_table, split_groups
from cosai_nb.stats.slices import labelled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    import pandas as pd

    from cosai_nb.stats.histogram import DurationHistogram
    from cosai_nb.stats.incidence import Share
    from cosai_nb.stats.slices import Flags

_COLUMNS = {
    **dict.fromkeys(("jobs", "on_time", "late", "open", "gave_up", "unusable"), "int64"),
    **dict.fromkeys(("share", "low", "high", "share_lower_bound", "share_upper_bound"), "float64"),
    "met": "object",
    "verdict": "str",
    **dict.fromkeys(("burn_rate", "threshold_s", "target"), "float64"),
    "blocks": "int64",
    "as_of": "datetime64[ms, UTC]",
    "note": "str",
}


class _Kept(NamedTuple):
    """Rows of the counts, or numbers of jobs: every job is in one of these."""

    on_time: Any
    late: Any
    open: Any
    gave_up: Any
    unusable: Any


def check_slo(
    jobs: pd.DataFrame | DurationHistogram,
    *,
    threshold_s: float | str | timedelta,
    target: float | str,
    by: str | Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return whether at least ``target`` of the jobs have a queue latency of at most ``threshold_s``.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job, or their histogram.
    threshold_s : float, str or timedelta
        The longest queue latency that is in time: seconds, or a duration such as ``"10m"``.
    target : float or str
        The share of jobs that shall be in time, above 0 and at most 1, such as 0.95 or ``"95%"``.
    by : str or list of str, optional
        Columns (keys of the histogram) to group by.

    Returns
    -------
    pandas.DataFrame
        One row per group (index: its labels, ``all`` without ``by``), a missing label being a group.

        ================= ========================================================================
        jobs              number of jobs: the sum of the next five
        on_time, late     started within the threshold; started later, or waited longer than that without a start
        open              wait, and not longer than the threshold yet: may go either way
        gave_up           left the line without a start (cancelled, most of them) within the threshold: nothing was owed to
                          them yet, so they are in no share, as a cancelled job is in no failure rate
        unusable          times are missing or reversed: not in ``share``, and either way in its bounds
        share             share on time, open jobs right-censored at their age (Kaplan–Meier); NaN where more than 10 %
                          hangs on jobs that no started one has outwaited
        low, high         its 95 % interval: the wider of Wilson and bootstrap of hour blocks; (0, 1) without jobs
        share_lower_bound what it will be at least: all that may go either way are late
        share_upper_bound what it will be at most: all that may go either way are on time
        met               True where the lower bound reaches the target, False where the upper one does not, otherwise the
                          text ``undecided``: compare (``met == True``), for a text counts as true in an ``if``
        verdict           the same in words: ``met``, ``missed``, ``undecided``, or ``no data``
        burn_rate         (1 − share) ÷ (1 − target): 1 spends the error budget exactly, 2 twice; with a target of 1 there
                          is no budget: 0 where nothing is late, else ``inf``
        threshold_s, …    threshold and target, as asked
        blocks            hours with jobs; below 14 the interval is Wilson's alone
        as_of             newest observed_at
        note              what to bear in mind
        ================= ========================================================================

        ``attrs["left_out"]`` counts the rows that are no jobs.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.
    SettingsError
        ``threshold_s`` is no time, or ``target`` no share.

    Notes
    -----
    An SLO is a promise about these very jobs, so ``met`` follows from the bounds, which hold whatever becomes of the open ones;
    the interval does not touch it. The interval tells what other weeks of the same queue would show: where the target lies
    in it, ``note`` says that another week could end otherwise.

    Examples
    --------
    >>> import pandas as pd
    >>> import cosai_nb as cn
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": ["Success", "Submitted"], "QueueId": "q1",
    ...     "Tag": "Translation", "CreationTime": "2026-11-01T10:00:00+0800",
    ...     "StartTime": ["2026-11-01T10:00:07+0800", "-"], "EndTime": ["2026-11-01T10:00:09+0800", "-"]})
    >>> jobs = cn.add_timings(texts, observed_at="2026-11-01T02:01:00Z")
    >>> cn.check_slo(jobs, threshold_s=30, target=0.9)[["on_time", "late", "share", "met", "burn_rate"]]
         on_time  late  share    met  burn_rate
    all        1     1    0.5  False        5.0
    """
    longest, goal = duration(threshold_s, "threshold_s"), share(target, "target", above_0=True)
    names = group_columns(by)
    whole = as_histogram(jobs, names)
    rows = [
        (labels, _row(part, longest, goal)) for labels, part in split_groups(whole, names, ("queue_latency",))
    ]
    return make_table(rows, _COLUMNS, names, whole.left_out)


def _row(part: DurationHistogram, threshold_s: float, target: float) -> dict[str, Any]:
    counts = part.counts("queue_latency")
    rows = _sort_out(part, threshold_s)
    number = _Kept(*(int(counts.jobs[chosen].sum()) for chosen in rows))
    after = math.floor(threshold_s) + 1  # how late is late plays no part: they share one second
    found = estimate(
        part.coded("hour").codes,
        counts._replace(value=np.minimum(counts.value, after)),
        [rows.on_time, rows.late, rows.open],
    )
    share = found.rate if _is_known(found, number) else math.nan
    lower, upper = _bounds(number)
    met = True if lower >= target else False if upper < target else None
    return {
        "jobs": part.jobs,
        **number._asdict(),
        "share": share,
        "low": found.low,
        "high": found.high,
        "share_lower_bound": lower,
        "share_upper_bound": upper,
        "met": "undecided" if met is None else met,
        "verdict": "no data" if math.isnan(lower) else {True: "met", False: "missed", None: "undecided"}[met],
        "burn_rate": _burn_rate(share, target),
        "threshold_s": threshold_s,
        "target": target,
        "blocks": found.blocks,
        "as_of": part.as_of,
        "note": "; ".join(_notes(found, number, target, met=met)),
    }


def _sort_out(part: DurationHistogram, threshold_s: float) -> _Kept:
    counts = part.counts("queue_latency")
    alive: Flags = labelled(part.coded("outcome"), [str(outcome) for outcome in UNFINISHED_OUTCOMES])
    beyond, without_start = counts.value > threshold_s, counts.kind == UNFINISHED
    return _Kept(
        on_time=(counts.kind == ENDED) & ~beyond,
        late=(counts.kind <= UNFINISHED) & beyond,
        open=without_start & ~beyond & alive[counts.cell],
        gave_up=without_start & ~beyond & ~alive[counts.cell],
        unusable=counts.kind == UNUSABLE,
    )


def _bounds(number: _Kept) -> tuple[float, float]:
    either_way = number.open + number.unusable
    owed = number.on_time + number.late + either_way
    if not owed:
        return math.nan, math.nan
    return number.on_time / owed, (number.on_time + either_way) / owed


def _is_known(found: Share, number: _Kept) -> bool:
    return bool(number.on_time + number.late) and found.undecided <= MOST_UNDECIDED


def _burn_rate(share: float, target: float) -> float:
    missed = 1 - share
    if missed < ROUNDING:
        return 0.0
    return missed / (1 - target) if target < 1 else math.inf * missed


def _notes(found: Share, number: _Kept, target: float, *, met: bool | None) -> list[str]:
    if math.isnan(_bounds(number)[0]):
        return ["no job was owed a start"]
    notes = []
    if not _is_known(found, number):
        notes.append("no share, only bounds: too many jobs have waited less than the threshold so far")
    elif met is not None and found.low <= target <= found.high:
        notes.append("the target lies within the interval: another week could end otherwise")
    if met and number.gave_up and _bounds(number._replace(late=number.late + number.gave_up))[0] < target:
        notes.append(f"not met if the {number.gave_up} that gave up within the threshold count as late")
    if met is None and _decides(number._replace(unusable=0), target):
        notes.append(f"undecided only by the {number.unusable} with unusable times")
    if found.blocks < MIN_BLOCKS:
        notes.append(f"Wilson interval alone: {found.blocks} hour blocks, a bootstrap needs {MIN_BLOCKS}")
    return notes


def _decides(number: _Kept, target: float) -> bool:
    lower, upper = _bounds(number)
    return lower >= target or upper < target
