"""Is the promise kept that a share of the jobs starts within a time? Yes, no, or not yet decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cosai_nb.errors import SettingsError
from cosai_nb.schema import ENDED as ENDED_OUTCOMES
from cosai_nb.stats.bootstrap import MIN_BLOCKS
from cosai_nb.stats.censoring import ENDED, UNFINISHED, UNUSABLE
from cosai_nb.stats.frames import group_columns
from cosai_nb.stats.histogram import as_histogram
from cosai_nb.stats.incidence import MOST_UNDECIDED, estimate
from cosai_nb.stats.quantiles import make_table, split_groups
from cosai_nb.stats.slices import labelled

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from cosai_nb.stats.histogram import DurationHistogram

_NUMBERS = ("jobs", "on_time", "late", "open", "gave_up", "unusable")
_SHARES = ("share", "share_min", "share_max", "low", "high", "target", "threshold_s")


def check_slo(
    jobs: pd.DataFrame | DurationHistogram,
    *,
    threshold_s: float,
    target: float,
    by: str | Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return whether enough jobs started within a time, waiting jobs counted.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job, or their histogram.
    threshold_s : float
        The queue latency that a job must not exceed [seconds].
    target : float
        The share of jobs that must keep it, above 0 and below 1.
    by : str or list of str, optional
        Columns (keys of the histogram) to group by.

    Returns
    -------
    pandas.DataFrame
        One row per group (index: its labels, ``all`` without ``by``), a missing label being a group.

        ==================== =====================================================================
        jobs                 number of jobs: on_time + late + open + gave_up + unusable
        on_time, late        started within the time; started later, or has waited longer already
        open                 waits, and not longer than the time: may go either way
        gave_up              cancelled (or failed) within the time, before it started: in no share
        unusable             its times are missing or reversed: may have gone either way
        share                estimate (Kaplan–Meier), fraction from 0 to 1; NaN where more than 10 % cannot be told
        share_min, share_max what it will be among these jobs if all that may go either way go wrong, or right
        low, high            95 % interval of the estimate: the wider of Wilson and bootstrap of hour blocks
        target, threshold_s  as asked
        met                  True where share_min ≥ target, False where share_max < target, otherwise ``undecided``
        burn_rate            (1 − share) ÷ (1 − target): above 1 the error budget is spent faster than it is given
        blocks, note         hours with jobs; what to bear in mind
        ==================== =====================================================================

        ``attrs["left_out"]`` counts the rows that are no jobs.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.
    SettingsError
        ``threshold_s`` is below 0 or no number; ``target`` is not between 0 and 1.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> import pandas as pd
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": ["Success", "Submitted"], "QueueId": "q1",
    ...     "Tag": "Translation", "CreationTime": "2026-11-01T10:00:00+0800",
    ...     "StartTime": ["2026-11-01T10:00:07+0800", "-"], "EndTime": ["2026-11-01T10:00:09+0800", "-"]})
    >>> jobs = cn.add_timings(texts, observed_at="2026-11-01T02:00:30Z")
    >>> cn.check_slo(jobs, threshold_s=60, target=0.9)[["on_time", "open", "share_min", "share_max", "met"]]
         on_time  open  share_min  share_max        met
    all        1     1        0.5        1.0  undecided
    """
    if not (0 <= threshold_s < np.inf):
        raise SettingsError(f"threshold_s={threshold_s!r} must be a number of seconds, 0 or more.")
    if not (0 < target < 1):
        raise SettingsError(f"target={target!r} must be a share between 0 and 1, such as 0.95.")
    names = group_columns(by)
    whole = as_histogram(jobs, names)
    rows = [
        (labels, _row(part, float(threshold_s), float(target)))
        for labels, part in split_groups(whole, names, ("queue_latency",))
    ]
    columns = dict.fromkeys(_NUMBERS, "int64") | dict.fromkeys(_SHARES, "float64")
    columns |= {"met": "object", "burn_rate": "float64", "blocks": "int64", "note": "str"}
    return make_table(rows, columns, names, whole.left_out)


def _row(part: DurationHistogram, threshold: float, target: float) -> dict[str, Any]:
    counts = part.counts("queue_latency")
    over = labelled(part.coded("outcome"), [str(outcome) for outcome in ENDED_OUTCOMES])[counts.cell]
    started, waited, beyond = counts.kind == ENDED, counts.kind == UNFINISHED, counts.value > threshold
    classes = {
        "on_time": started & ~beyond,
        "late": (started | waited) & beyond,
        "open": waited & ~beyond & ~over,
        "gave_up": waited & ~beyond & over,
        "unusable": counts.kind == UNUSABLE,
    }
    number = {name: int(counts.jobs[rows].sum()) for name, rows in classes.items()}
    share = estimate(
        part.coded("hour").codes,
        counts._replace(value=np.minimum(counts.value, int(threshold) + 1)),
        [classes["on_time"], classes["late"], waited & ~beyond],
    )
    either_way = number["open"] + number["unusable"]
    counted = number["on_time"] + number["late"] + either_way
    least, most = ((number["on_time"] + more) / counted if counted else np.nan for more in (0, either_way))
    known = number["on_time"] + number["late"] > 0 and share.undecided <= MOST_UNDECIDED
    notes = []
    if not known:
        notes.append("no share, only bounds: too many jobs have waited less than the threshold so far")
    if counted and share.blocks < MIN_BLOCKS:
        notes.append(f"Wilson interval alone: {share.blocks} hour blocks, a bootstrap needs {MIN_BLOCKS}")
    return {
        "jobs": sum(number.values()),
        **number,
        "share": share.rate if known else np.nan,
        "share_min": least,
        "share_max": most,
        "low": share.low,
        "high": share.high,
        "target": target,
        "threshold_s": threshold,
        "met": True if least >= target else False if most < target else "undecided",
        "burn_rate": (1 - share.rate) / (1 - target) if known else np.nan,
        "blocks": share.blocks,
        "note": "; ".join(notes) if counted else "no jobs",
    }
