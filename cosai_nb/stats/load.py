"""How many jobs wait and run at each moment, and how busy the servers are.

A state is counted in steps (+1 at creation, −1 at start, …), so it is exact; jobs that have not finished are counted up to the
as-of time. What was created before the first job of the frame is not known to it: the queue begins empty. A first pass finds the
groups and the time that the jobs span, a second one their moves (:mod:`cosai_nb.stats.moves`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cosai_nb.errors import SettingsError
from cosai_nb.schema import NOT_A_JOB
from cosai_nb.schema import UNFINISHED as UNFINISHED_OUTCOMES
from cosai_nb.stats.counts import (
    MOVES,
    Counted,
    Counter,
    Groups,
    batches,
    class_codes,
    count,
    count_all,
    counted_by,
    only_jobs,
)
from cosai_nb.stats.measures import (
    CLASSES,
    GAVE_UP,
    MEASURES,
    TIME,
    UNUSABLE,
    Rows,
    Windows,
    group_columns,
    moments,
)
from cosai_nb.stats.moves import CHANGES, Bins, Load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta, tzinfo

    from cosai_nb.stats.measures import Floats

_COUNTS = ("arrivals", "starts", "ends", "left", "waiting", "running")
_GIVEN, _LARGEST = "MaxConcurrent, as given", "largest number ever running"
_UNKNOWN = "unknown: single jobs or servers= are needed"
_NOT_LISTED = "unknown: servers= lacks a queue of this group"


def queue_load(
    jobs: Any,
    freq: str | timedelta = "1min",
    servers: float | Mapping[str, float] | pd.Series | None = None,
    *,
    by: str | Sequence[str] | None = None,
    tz: str | tzinfo = "Asia/Shanghai",
) -> pd.DataFrame:
    """Return arrivals, depth, running jobs and utilisation over time.

    Parameters
    ----------
    jobs : pandas.DataFrame, path, JobStore or DurationHistogram
        One row per job; or their histogram, which knows full hours only.
    freq : str or timedelta
        Width of a bin, such as ``1min``, ``1h`` or ``1D``; days begin at midnight of ``tz``, weeks on Monday.
    servers : float or mapping of str to float, optional
        How many jobs may run at once, for each group; or MaxConcurrent by queue_id, of which a group gets the sum over the
        queues that its jobs are in: ``list_queues().set_index("queue_id")["max_concurrent"]``, or a dict. Without it the
        largest number that ever ran together.
    by : str or list of str, optional
        Columns to group by, ``queue_id`` say.
    tz : str or tzinfo
        The zone of the bins.

    Returns
    -------
    pandas.DataFrame
        One row per bin from the first creation to the as-of time (index: ``time``, the start of the bin; with ``by`` the
        labels before it, a missing label being a group).

        ================= ========================================================================
        arrivals          jobs created in the bin
        starts, ends      jobs that began to run, and that ended after it
        left              jobs that left the queue without a start: cancelled, most of them
        waiting, running  at the end of the bin, exact: Σ arrivals − starts − left, Σ starts − ends
        …_mean, …_max     mean over time, and largest (moves of a second taken together), within the bin; NaN from a histogram
        servers           what ``utilisation`` is measured against
        servers_from      where that number comes from
        utilisation       running_mean ÷ servers; NaN from a histogram, and where the servers are not known
        slowdown          Σ (wait + run) ÷ Σ run of the jobs that ended in the bin; NaN from a histogram
        ================= ========================================================================

        ``attrs``: ``as_of``; ``unusable`` (jobs without a usable creation or start: in no column); ``without_end`` (jobs that
        ended at no usable time: they end where they start; None from a histogram); ``left_out`` (rows that are no jobs);
        ``littles_law`` with ``L``, the mean number waiting from the steps, and ``lambda_W``, arrivals a second × mean wait
        from the durations. The two agree where frame and durations do.

    Raises
    ------
    TypeError, FrameError, FileError
        ``jobs`` is no source of jobs, lacks a column, or cannot be read.
    SettingsError
        ``freq`` is no width, too fine for the histogram or for the time that the jobs span; ``servers`` is not above 0.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": ["Success", "Submitted"], "QueueId": "q1",
    ...     "Tag": "Translation", "CreationTime": "2026-11-01T10:00:00+0800",
    ...     "StartTime": ["2026-11-01T10:00:30+0800", "-"], "EndTime": ["2026-11-01T10:01:30+0800", "-"]})
    >>> jobs = cn.add_timings(texts, observed_at="2026-11-01T02:02:00Z")
    >>> cn.queue_load(jobs)[["arrivals", "ends", "waiting", "waiting_mean"]]
                               arrivals  ends  waiting  waiting_mean
    time
    2026-11-01 02:00:00+00:00         2     0        1           1.5
    2026-11-01 02:01:00+00:00         0     1        1           1.0
    2026-11-01 02:02:00+00:00         0     0        1           1.0
    """
    names, windows = group_columns(by), Windows.of(freq, tz)
    return load_of(jobs, count(jobs, (*names, "queue_id"), "jobs", windows=windows), names, windows, servers)


def load_of(
    jobs: Any,
    counted: Counted,
    names: Sequence[str],
    windows: Windows,
    servers: float | Mapping[str, float] | pd.Series | None = None,
) -> pd.DataFrame:
    """Return :func:`queue_load` of jobs that are counted by these names and ``queue_id``: in one pass instead of two."""
    exact = not isinstance(jobs, Counted)
    if isinstance(servers, pd.Series):
        servers = {str(queue): float(number) for queue, number in servers.dropna().items()}
    groups = Groups.of(counted.tables["jobs"], names)
    load = Load(jobs, counted, groups, windows, [*CHANGES] if exact else [])
    bins = load.bins
    state = {
        name: np.cumsum(sum(sign * load.tables[move] for move, sign in changes.items()), axis=1)
        for name, changes in CHANGES.items()
    }
    columns: dict[str, Any] = {name: load.tables[move] for name, move in zip(_COUNTS, MOVES, strict=False)}
    columns |= state
    nothing = np.full(state["waiting"].shape, np.nan)
    largest = means = dict.fromkeys(state, nothing)
    if exact:
        largest, means = load.within_bins(state)
    columns |= {f"{name}_mean": means[name] for name in state} | {
        f"{name}_max": largest[name] for name in state
    }
    number, source = _servers_of(counted, groups, servers, largest["running"] if exact else None)
    took, ran = load.tables["took"], load.tables["ran"]
    columns |= {
        "servers": np.broadcast_to(number[:, None], nothing.shape),
        "servers_from": np.broadcast_to(np.array(source, dtype=object)[:, None], nothing.shape),
        "utilisation": means["running"] / number[:, None],
        "slowdown": np.divide(took, ran, out=nothing.copy(), where=ran > 0) if exact else nothing,
    }
    frame = pd.DataFrame(
        {name: pd.Series(column.reshape(-1)).array for name, column in columns.items()},
        index=_index(groups, bins),
    )
    frame = frame.astype(dict.fromkeys(_COUNTS, "int64") | {"servers_from": "category"})
    frame.attrs = {
        "as_of": None if pd.isna(counted.as_of) else counted.as_of.isoformat(),
        "unusable": load.totals["unusable"],
        "without_end": load.totals["without_end"] if exact else None,
        "left_out": counted.left_out,
        "littles_law": _littles_law(load, means["waiting"], exact=exact),
    }
    return frame


def _servers_of(
    counted: Counted, groups: Groups, servers: float | Mapping[str, float] | None, running: Floats | None
) -> tuple[Floats, list[str]]:
    """Servers of each group, NaN where unknown, and where each number comes from."""
    size = groups.number
    if servers is None:
        if running is None or not running.size:
            return np.full(size, np.nan), [_UNKNOWN] * size
        largest = running.max(axis=1)
        return np.where(largest > 0, largest, np.nan), [_LARGEST] * size
    given = list(servers.values()) if isinstance(servers, Mapping) else [servers]
    if not all(isinstance(number, (int, float, np.number)) and number > 0 for number in given):
        raise SettingsError(f"servers={servers!r} must be how many jobs may run at once, above 0.")
    if not isinstance(servers, Mapping):
        return np.full(size, float(servers)), [_GIVEN] * size
    table = counted.tables["jobs"]
    pairs = pd.DataFrame(
        {"group": groups.place(table), "queue": table["queue_id"].astype(object)}
    ).drop_duplicates()
    limit = [servers.get(queue, np.nan) if isinstance(queue, str) else np.nan for queue in pairs["queue"]]
    total = np.full(size, np.nan)
    for group, mine in pd.Series(limit, dtype=np.float64).groupby(pairs["group"].to_numpy()):
        total[int(str(group))] = mine.sum(skipna=False)
    return total, [_NOT_LISTED if np.isnan(one) else _GIVEN for one in total]


def _littles_law(load: Load, waiting: Floats, *, exact: bool) -> dict[str, float]:
    edges = 1000 * load.bins.edges
    if not (exact and load.bins.number and load.as_of > edges[0]):
        return {"L": float("nan"), "lambda_W": float("nan")}
    lasted = np.maximum(np.minimum(edges[1:], load.as_of) - edges[:-1], 0)
    span = load.as_of - int(edges[0])
    return {"L": float((waiting * lasted).sum()) / span, "lambda_W": load.totals["waited"] * 1000 / span}


def _index(groups: Groups, bins: Bins) -> pd.Index[Any]:
    times = moments(1000 * bins.edges[:-1]).rename(TIME)
    if not groups.names:
        return times
    levels = [labels.repeat(bins.number) for labels in groups.labels]
    return pd.MultiIndex.from_arrays(
        [*levels, times[np.tile(np.arange(bins.number), groups.number)]], names=[*groups.names, TIME]
    )


# --- for pages and figures ---


def numbers(jobs: Any, by: str | Sequence[str] | None = None) -> pd.DataFrame:
    """Return how many jobs there are in each group, and how many of these have not ended or have unusable times.

    Parameters
    ----------
    jobs : pandas.DataFrame, path, JobStore, DurationHistogram or Counted
        One row per job, or what was counted of them by ``by`` and ``outcome``.
    by : str or list of str, optional
        Columns to group by.

    Returns
    -------
    pandas.DataFrame
        One row per group (index as in :func:`cosai_nb.queue_latency`): ``jobs``, ``unfinished``, ``unusable``. ``attrs``:
        ``left_out``, rows that are no jobs, by outcome; ``as_of``; ``first`` and ``last``, hours of creation (NaT: unknown).
    """
    names = group_columns(by)
    counted = counted_by(jobs, tuple(dict.fromkeys((*names, "outcome"))), "jobs")
    table = counted.tables["jobs"]
    groups, outcome = Groups.of(table, names), table["outcome"]
    alive = outcome.isin([str(one) for one in UNFINISHED_OUTCOMES]).to_numpy()
    columns = {
        "jobs": groups.sum(table["jobs"]),
        "unfinished": groups.sum(table["jobs"], alive),
        "unusable": groups.sum(table["jobs"], class_codes(table) == UNUSABLE),
    }
    frame = pd.DataFrame(columns, index=groups.rows)
    first, last = table["hour"].min(), table["hour"].max()
    frame.attrs = {"left_out": counted.left_out, "as_of": counted.as_of, "first": first, "last": last}
    return frame


def count_with_numbers(jobs: Any, wanted: Mapping[str, Sequence[str]]) -> Counted:
    """Count measures by their keys, and what :func:`numbers` needs, in one pass; what is counted stays as it is."""
    if isinstance(jobs, Counted):
        return jobs
    keys = dict.fromkeys([*(key for of_one in wanted.values() for key in of_one), "outcome"])
    return count_all(jobs, {"jobs": tuple(keys), **wanted})


class Times(NamedTuple):
    """When the first and the last job was created, what the last time of all is, and how many jobs have times to doubt."""

    first: pd.Timestamp
    last: pd.Timestamp
    end: pd.Timestamp
    doubted: int


def times_of(jobs: Any) -> Times:
    """Read the times of single jobs, to the millisecond (NaT where none is known); counts know them by the hour.

    Parameters
    ----------
    jobs : pandas.DataFrame, path or JobStore
        One row per job.
    """
    moves = ["creation_time", "start_time", "end_time"]
    ends, doubted = [], 0
    for batch in batches(jobs, (*moves, "outcome", "timing_ok")):
        ends.append([batch["creation_time"].min(), *(batch[name].max() for name in moves)])
        no_job = batch["outcome"].isin([str(one) for one in NOT_A_JOB]).to_numpy()
        doubted += int((~no_job & ~batch["timing_ok"].to_numpy(dtype=bool, na_value=False)).sum())
    first, *last = (pd.to_datetime(pd.Series(column), utc=True) for column in zip(*ends, strict=True))
    return Times(first.min(), last[0].max(), pd.concat(last).max(), doubted)


def longest_jobs(
    jobs: Any, measure: str = "total_time", *, most: int = 20, columns: Sequence[str] = (), chosen: Any = None
) -> pd.DataFrame:
    """Return the jobs with the longest duration, the longest first; of an unfinished job it is its age.

    Parameters
    ----------
    jobs : pandas.DataFrame, path or JobStore
        One row per job.
    measure : {"queue_latency", "run_time", "total_time"}
        The duration.
    most : int
        How many jobs.
    columns : sequence of str
        The columns to return beside ``class`` (``ended``, ``unfinished``, ``gave_up``, ``unusable``; of the measure) and the seconds so
        far ``queue_latency``, ``run_time`` and ``total_time`` (NaN where unknown).
    chosen : callable, optional
        Says of each row of a frame whether it may be one.

    Returns
    -------
    pandas.DataFrame
        ``attrs["known"]`` is of how many jobs the duration is known.
    """
    counter = Counter({measure: ()})
    kept, known = [], 0
    for batch in batches(jobs, tuple(dict.fromkeys((*columns, *counter.columns)))):
        needed = batch[counter.columns].set_axis(np.arange(len(batch)))
        rows = Rows(only_jobs(needed if chosen is None else needed.iloc[np.flatnonzero(chosen(batch))])[0])
        kind, seconds = rows.measure(measure)
        usable = np.flatnonzero(kind <= GAVE_UP)
        known += len(usable)
        if len(usable) > most:  # to sort all of them takes ten times as long
            usable = usable[seconds[usable] >= -np.partition(-seconds[usable], most - 1)[most - 1]]
        first = usable[np.argsort(-seconds[usable], kind="stable")[:most]]
        part = Rows(rows.jobs.iloc[first])
        found = (
            batch[list(columns)]
            .iloc[part.jobs.index]
            .assign(**{"class": pd.Categorical.from_codes(kind[first], categories=pd.Index(CLASSES))})
        )
        for name in MEASURES:
            of_kind, value = part.measure(name)
            found[name] = np.where(of_kind <= GAVE_UP, value, np.nan)
        kept.append(found)
    table = pd.concat(kept)
    table = table.iloc[np.argsort(-table[measure].to_numpy(), kind="stable")[:most]]
    table.attrs["known"] = known
    return table
