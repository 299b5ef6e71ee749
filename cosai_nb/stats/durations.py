"""How durations are distributed in many groups at once: Kaplan–Meier, without intervals and projections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cosai_nb.arguments import zone
from cosai_nb.stats.counts import HOUR, Groups, class_codes, counted_by
from cosai_nb.stats.latency import QUANTILES, name_of, read_shares, with_unusable
from cosai_nb.stats.measures import ENDED, GAVE_UP, UNFINISHED, UNUSABLE, group_columns, milliseconds, moments
from cosai_nb.stats.survival import Curves, quantiles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from cosai_nb.stats.measures import Ints


def durations(
    jobs: Any,
    by: str | Sequence[str] | None = None,
    q: Sequence[float] = QUANTILES,
    *,
    measure: str = "queue_latency",
) -> pd.DataFrame:
    """Return how a duration is distributed in each group: Kaplan–Meier, without intervals and projections.

    Parameters
    ----------
    jobs : pandas.DataFrame, path, JobStore, DurationHistogram or Counted
        One row per job, or what was counted of them.
    by : str or list of str, optional
        Columns to group by; ``hour`` is the hour of creation.
    q : sequence of float
        Quantiles between 0 and 1; none for the numbers of jobs alone.
    measure : {"queue_latency", "run_time", "total_time"}
        The duration.

    Returns
    -------
    pandas.DataFrame
        One row per group that has the measure (index as in :func:`cosai_nb.queue_latency`): ``jobs``; ``open``, those last seen
        unfinished or given up; ``min`` and ``mean`` [s] of the ends that are known; ``max`` [s], the longest so far, and
        ``goes_on``, whether none ended then; per quantile ``p95`` [s] (inf where not reached, NaN where nothing is known)
        and ``p95_lower_bound`` (ages taken as final, unusable times as 0).

    Examples
    --------
    >>> import cosai_nb as cn
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": ["Success", "Submitted"], "QueueId": "q1",
    ...     "Tag": "Translation", "CreationTime": "2026-11-01T10:00:00+0800",
    ...     "StartTime": ["2026-11-01T10:00:07+0800", "-"], "EndTime": ["2026-11-01T10:00:09+0800", "-"]})
    >>> jobs = cn.add_timings(texts, observed_at="2026-11-01T02:01:00Z")
    >>> durations(jobs, q=(0.5,))
         jobs  open  min  mean   max  goes_on  p50  p50_lower_bound
    all     2     1  7.0   7.0  60.0     True  7.0              7.0
    """
    names = group_columns(by)
    table = counted_by(jobs, names, measure).tables[measure]
    groups = Groups.of(table, names)
    return pd.DataFrame(_distribution(table, groups.of_row, groups.number, q), index=groups.rows)


def durations_by_weekday(
    jobs: Any, q: Sequence[float] = QUANTILES, *, tz: str | tzinfo = "Asia/Shanghai"
) -> pd.DataFrame:
    """Return :func:`durations` of the queue latency for the 168 hours of the week in which jobs were created.

    Parameters
    ----------
    jobs, q
        As in :func:`durations`.
    tz : str or tzinfo
        The zone of weekday and hour. Full hours of UTC are known; a zone that is off by half an hour puts each in the hour in
        which it begins.

    Returns
    -------
    pandas.DataFrame, 168 rows
        Index ``weekday`` (0: Monday) and ``hour``.
    """
    table = counted_by(jobs, (), "queue_latency").tables["queue_latency"]
    table = table[table[HOUR].notna().to_numpy()]
    hours, of_row = np.unique(milliseconds(table[HOUR]), return_inverse=True)
    local = moments(hours).tz_convert(zone(tz))
    slot = (local.day_of_week.to_numpy() * 24 + local.hour.to_numpy()).astype(np.int64)
    index = pd.MultiIndex.from_product([range(7), range(24)], names=["weekday", "hour"])
    return pd.DataFrame(_distribution(table, slot[of_row], len(index), q), index=index)


def survival_curves(
    jobs: Any, by: str | Sequence[str] | None = None, *, measure: str = "queue_latency"
) -> pd.DataFrame:
    """Return the Kaplan–Meier curve of a duration of each group.

    Parameters
    ----------
    jobs, by, measure
        As in :func:`durations`.

    Returns
    -------
    pandas.DataFrame
        One row per group and second at which jobs started or were last seen (index: the labels, ``all`` without ``by``):
        ``seconds``, rising; ``survival``, the share of the jobs that wait longer; ``ended``, jobs that started (of run and
        total time: ended) then; ``unfinished``, jobs that were last seen then and had not.
    """
    names = group_columns(by)
    table = counted_by(jobs, names, measure).tables[measure]
    groups = Groups.of(table, names)
    curves = curves_of(table, groups.of_row, groups.number)
    columns = {
        "seconds": curves.seconds,
        "survival": curves.survival,
        "ended": curves.ended.astype(np.int64),
        "unfinished": curves.unfinished.astype(np.int64),
    }
    return pd.DataFrame(columns, index=groups.rows[curves.group])


def curves_of(table: pd.DataFrame, group: Ints, groups: int) -> Curves:
    """Return the curves of so many groups of a table of durations, by the group of each row; unusable times are in none."""
    kinds = class_codes(table)
    rows = np.flatnonzero(kinds <= GAVE_UP)
    seconds, jobs = (table[name].to_numpy()[rows] for name in ("seconds", "jobs"))
    return Curves.of(groups, group[rows], seconds, kinds[rows] == ENDED, jobs)[0]


def _distribution(table: pd.DataFrame, group: Ints, groups: int, q: Sequence[float]) -> dict[str, Any]:
    """Return the columns of :func:`durations`."""
    curves = curves_of(table, group, groups)
    of_point = curves.group
    seconds, done = curves.seconds, curves.ended > 0
    ended = curves.sum(curves.ended)
    some = ended > 0
    least, mean = np.full(groups, np.nan), np.full(groups, np.nan)
    first = np.flatnonzero(done)[::-1]
    least[of_point[first]] = seconds[first]  # the last assignment is that of the first second
    mean[some] = curves.sum(curves.ended * seconds)[some] / ended[some]
    kinds, jobs = class_codes(table), table["jobs"].to_numpy()
    is_open = (kinds == UNFINISHED) | (kinds == GAVE_UP)
    columns = {
        "jobs": np.bincount(group, jobs, groups).astype(np.int64),
        "open": np.bincount(group[is_open], jobs[is_open], groups).astype(np.int64),
        "min": least,
        "mean": mean,
        "max": curves.last(seconds.astype(np.float64), np.nan),
        "goes_on": (np.diff(curves.start) > 0) & (curves.last(done.astype(np.float64)) == 0),
    }
    if len(q):
        shares = read_shares(tuple(q))
        unusable = np.bincount(group, np.where(kinds == UNUSABLE, jobs, 0), groups)
        value, (bound, _) = quantiles(curves, shares), with_unusable(curves.ages_final, shares, unusable)
        for number, share in enumerate(shares):
            columns |= {name_of(share): value[:, number], f"{name_of(share)}_lower_bound": bound[:, number]}
    return columns
