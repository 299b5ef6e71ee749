"""How many jobs wait and run at each moment, and how busy the servers are.

A state is counted in steps (+1 at creation, −1 at start, …), so it is exact; jobs that have not finished are counted up to the
as-of time. What was created before the first job of the frame is not known to it: the line begins empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cosai_nb.errors import SettingsError
from cosai_nb.stats.frames import HOUR_MS, group_columns
from cosai_nb.stats.steps import (
    Bins,
    Flow,
    Flows,
    in_bins,
    join,
    moment_index,
    peak,
    read_flows,
    width_ms,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cosai_nb.stats.curves import Floats
    from cosai_nb.stats.histogram import DurationHistogram

MOST_ROWS = 5_000_000
_COUNTS = ("arrivals", "starts", "ends", "left", "waiting", "running")
_MEANS = ("waiting_mean", "running_mean", "waiting_max", "running_max")
_GIVEN, _LARGEST = "MaxConcurrent, as given", "largest number ever running"
_UNKNOWN = "unknown: single jobs or servers= are needed"
_NOT_LISTED = "unknown: servers= lacks a queue of this group"


def queue_load(
    jobs: pd.DataFrame | DurationHistogram,
    freq: str | pd.Timedelta = "1min",
    servers: float | Mapping[str, float] | pd.Series | None = None,
    *,
    by: str | Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return arrivals, depth, running jobs and utilisation over time.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job; or their histogram, which knows full hours only.
    freq : str or pandas.Timedelta
        Width of a bin, such as ``1min`` or ``1h``; bins start at multiples of it since the epoch (UTC).
    servers : float or mapping of str to float, optional
        How many jobs may run at once, for each group; or MaxConcurrent by queue_id, of which a group gets the sum over the
        queues that its jobs are in: ``list_queues().set_index("queue_id")["max_concurrent"]``, or a dict. Without it the
        largest number that ever ran together.
    by : str or list of str, optional
        Columns to group by, ``queue_id`` say.

    Returns
    -------
    pandas.DataFrame
        One row per bin from the first creation to the as-of time (index: ``time``, the start of the bin; with ``by`` the
        labels before it, a missing label being a group).

        ================= ========================================================================
        arrivals          jobs created in the bin
        starts, ends      jobs that began to run, and that ended after it
        left              jobs that left the line without a start: cancelled, most of them
        waiting, running  at the end of the bin, exact: Σ arrivals − starts − left, Σ starts − ends
        …_mean, …_max     mean over time, and largest, within the bin; NaN from a histogram
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
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.
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
    names, width = group_columns(by), width_ms(freq)
    flows = read_flows(jobs, names)
    if not flows.exact and width % HOUR_MS:
        raise SettingsError(
            f"A histogram knows full hours only: freq={freq!r} needs the jobs frame. Ask for freq='1h' or a multiple of it."
        )
    bins = _bins_of(flows, width)
    if isinstance(servers, pd.Series):
        servers = {str(queue): float(number) for queue, number in servers.dropna().items()}
    columns = _columns(flows, bins, servers)
    table = pd.DataFrame(
        {name: pd.Series(column.reshape(-1)).array for name, column in columns.items()},
        index=_index(flows, bins, names),
    )
    table = table.astype(dict.fromkeys(_COUNTS, "int64") | {"servers_from": "category"})
    table.attrs = {
        "as_of": None if pd.isna(flows.as_of) else flows.as_of.isoformat(),
        "unusable": flows.unusable,
        "without_end": flows.without_end,
        "left_out": flows.left_out,
        "littles_law": _littles_law(flows, bins, columns["waiting_mean"]),
    }
    return table


def _bins_of(flows: Flows, width: int) -> Bins:
    if not len(flows.arrivals.time):
        return Bins(0, 0, width)
    first = int(flows.arrivals.time.min()) // width
    number = max(flows.last_ms // width - first + 1, 0)
    if number * len(flows.labels) > MOST_ROWS:
        begin, end = moment_index([first * width, (first + number) * width])
        raise SettingsError(
            f"{begin:%Y-%m-%d} to {end:%Y-%m-%d} in bins of {pd.Timedelta(width, 'ms')} for {len(flows.labels)} groups are "
            f"{number * len(flows.labels):,} rows; choose a coarser freq, or drop the jobs with a wrong creation_time."
        )
    return Bins(first, number, width)


def _columns(flows: Flows, bins: Bins, servers: float | Mapping[str, float] | None) -> dict[str, Any]:
    size = len(flows.labels)
    moves = {
        name: in_bins(getattr(flows, name), bins, size) for name in ("arrivals", "starts", "ends", "left")
    }
    waiting = np.cumsum(moves["arrivals"] - moves["starts"] - moves["left"], axis=1)
    running = np.cumsum(moves["starts"] - moves["ends"], axis=1)
    nothing = np.full(waiting.shape, np.nan)
    within = dict.fromkeys(_MEANS, nothing)
    slowdown = nothing
    if flows.done and bins.number:
        leaving = join(flows.starts, flows.left)
        within = _within(flows, leaving, bins, (waiting, running))
        total, run = (in_bins(flow, bins, size) for flow in flows.done)
        slowdown = np.divide(total, run, out=nothing.copy(), where=run > 0)
    number, source = _servers_of(flows, servers, within["running_max"])
    return {
        **moves,
        "waiting": waiting,
        "running": running,
        **{name: within[name] for name in _MEANS},
        "servers": np.broadcast_to(number[:, None], waiting.shape),
        "servers_from": np.broadcast_to(np.array(source, dtype=object)[:, None], waiting.shape),
        "utilisation": within["running_mean"] / number[:, None],
        "slowdown": slowdown,
    }


def _within(flows: Flows, leaving: Flow, bins: Bins, states: tuple[Floats, Floats]) -> dict[str, Floats]:
    """Mean and largest of waiting and running within each bin."""
    size, now = len(flows.labels), flows.last_ms
    stop = np.minimum(bins.edges + bins.width, max(now, int(bins.edges[-1])))
    lasted = stop - bins.edges
    found = {}
    for name, state, up, down in (
        ("waiting", states[0], flows.arrivals, leaving),
        ("running", states[1], flows.starts, flows.ends),
    ):
        before = np.concatenate((np.zeros((size, 1)), state[:, :-1]), axis=1)
        area = before * lasted
        for flow, sign in ((up, 1), (down, -1)):
            place = np.clip(flow.time // bins.width - bins.first, 0, bins.number - 1)
            area += sign * in_bins(flow, bins, size, np.maximum(stop[place] - flow.time, 0))
        found[f"{name}_mean"] = np.where(lasted > 0, area / np.maximum(lasted, 1), state)
        found[f"{name}_max"] = peak(up, down, bins, before)
    return found


def _servers_of(
    flows: Flows, servers: float | Mapping[str, float] | None, running_max: Floats
) -> tuple[Floats, list[str]]:
    """Servers of each group, NaN where unknown, and where each number comes from."""
    size = len(flows.labels)
    if servers is None:
        if not flows.exact or not running_max.size:
            return np.full(size, np.nan), [_UNKNOWN] * size
        largest = running_max.max(axis=1)
        return np.where(largest > 0, largest, np.nan), [_LARGEST] * size
    given = list(servers.values()) if isinstance(servers, Mapping) else [servers]
    if not all(isinstance(number, (int, float, np.number)) and number > 0 for number in given):
        raise SettingsError(f"servers={servers!r} must be how many jobs may run at once, above 0.")
    if not isinstance(servers, Mapping):
        return np.full(size, float(servers)), [_GIVEN] * size
    known = [[servers.get(queue, np.nan) if queue else np.nan for queue in queues] for queues in flows.queues]
    number = np.array([float(np.sum(of_group)) if of_group else np.nan for of_group in known])
    return number, [_NOT_LISTED if np.isnan(total) else _GIVEN for total in number]


def _littles_law(flows: Flows, bins: Bins, waiting_mean: Floats) -> dict[str, float]:
    if not bins.number:
        return {"L": float("nan"), "lambda_W": float("nan")}
    begin, end = int(flows.arrivals.time.min()), flows.last_ms
    if not flows.exact or end <= begin:
        return {"L": float("nan"), "lambda_W": float("nan")}
    stop = np.minimum(bins.edges + bins.width, end)
    area = float((waiting_mean * np.maximum(stop - bins.edges, 0)).sum())
    return {"L": area / (end - begin), "lambda_W": flows.waited_s * 1000 / (end - begin)}


def _index(flows: Flows, bins: Bins, names: tuple[str, ...]) -> pd.Index[Any]:
    times = moment_index(bins.edges).rename("time")
    if not names:
        return times
    blank = [np.nan if label is None else label for labels in flows.labels for label in labels]
    columns = [np.array(blank[place :: len(names)], dtype=object) for place in range(len(names))]
    levels = [pd.Index(column).repeat(bins.number) for column in columns]
    return pd.MultiIndex.from_arrays(
        [*levels, times[np.tile(np.arange(bins.number), len(flows.labels))]], names=[*names, "time"]
    )
