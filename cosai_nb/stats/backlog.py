"""How long the line is now, and when it will be empty at the rates of late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cosai_nb.stats.frames import group_columns
from cosai_nb.stats.quantiles import make_table
from cosai_nb.stats.steps import Bins, Flow, in_bins, read_flows, width_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from cosai_nb.stats.histogram import DurationHistogram


def backlog(
    jobs: pd.DataFrame | DurationHistogram,
    *,
    by: str | Sequence[str] | None = None,
    recent: str | pd.Timedelta = "1h",
) -> pd.DataFrame:
    """Return how many jobs wait and run at the as-of time, and when the line will be empty.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job; or their histogram, which knows no recent rates.
    by : str or list of str, optional
        Columns to group by.
    recent : str or pandas.Timedelta
        The time before the as-of time that rates are taken from; no longer than the jobs go back.

    Returns
    -------
    pandas.DataFrame
        One row per group (index as in :func:`cosai_nb.queue_latency`): ``waiting``, ``running``; ``arrival_rate`` and
        ``start_rate`` [jobs per second], NaN where not known; ``eta_s`` [seconds]: waiting ÷ (start rate − arrival rate),
        ``inf`` where that is not positive, which ``note`` calls not clearing; ``drain_s``: the same if nothing more
        arrives; ``as_of``; ``note``.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.
    SettingsError
        ``recent`` is no width of time.
    """
    names, span = group_columns(by), width_ms(recent, "recent")
    flows = read_flows(jobs, names)
    size = len(flows.labels)
    count = {name: np.zeros(size) for name in ("arrivals", "starts", "ends", "left")}
    rates = np.full((2, size), np.nan)
    if len(flows.arrivals.time):
        now = flows.last_ms
        always = Bins(0, 1, now + 1)
        count = {name: in_bins(getattr(flows, name), always, size)[:, 0] for name in count}
        since = max(now - span, int(flows.arrivals.time.min()))
        if flows.exact and now > since:
            window = Bins(0, 1, now - since)
            late = [_after(flow, since) for flow in (flows.arrivals, flows.starts)]
            rates = np.stack([in_bins(flow, window, size)[:, 0] for flow in late]) * 1000 / (now - since)
    rows = []
    for number, labels in enumerate(flows.labels):
        waiting = count["arrivals"][number] - count["starts"][number] - count["left"][number]
        running = count["starts"][number] - count["ends"][number]
        row = {"waiting": int(waiting), "running": int(running), "as_of": flows.as_of}
        rows.append(
            (
                labels,
                row | _outlook(waiting, float(rates[0, number]), float(rates[1, number]), exact=flows.exact),
            )
        )
    kinds = {"waiting": "int64", "running": "int64"}
    kinds |= dict.fromkeys(("arrival_rate", "start_rate", "eta_s", "drain_s"), "float64")
    return make_table(rows, {**kinds, "as_of": "datetime64[ms, UTC]", "note": "str"}, names, flows.left_out)


def _outlook(waiting: float, arrival: float, start: float, *, exact: bool) -> dict[str, Any]:
    eta = drain = float("nan")
    note = "" if exact else "recent rates need single jobs: pass the jobs frame"
    if waiting == 0:
        eta = drain = 0.0
    elif not np.isnan(start):
        drain = waiting / start if start > 0 else float("inf")
        eta = waiting / (start - arrival) if start > arrival else float("inf")
        note = "not clearing" if np.isinf(eta) else ""
    elif exact:
        note = "all jobs were created at the as-of time: there are no rates yet"
    return {"arrival_rate": arrival, "start_rate": start, "eta_s": eta, "drain_s": drain, "note": note}


def _after(flow: Flow, since: int) -> Flow:
    """Count the moves after a moment from it; the moment itself belongs to what was before."""
    return flow._replace(time=flow.time - since - 1)
