"""The line of each queue, job by job: how long it ever was and when, and since when it has not been empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cosai_nb.stats.steps import join, moment_index, read_flows

if TYPE_CHECKING:
    import pandas as pd


class Line(NamedTuple):
    """What became of one queue's line.

    Parameters
    ----------
    longest : int
        Most jobs that waited at once; moves of the same second are taken together.
    at : pandas.Timestamp
        When it was first that long.
    since : pandas.Timestamp or None
        When the job was created since which the line has not been empty; None where nobody waits.
    always : bool
        Whether that was the queue's first job.
    """

    longest: int
    at: pd.Timestamp
    since: pd.Timestamp | None
    always: bool


def queue_lines(jobs: pd.DataFrame) -> dict[Any, Line]:
    """Return the line of each queue (None: of the jobs without one); a queue without usable times has none."""
    flows = read_flows(jobs, ("queue_id",))
    down = join(flows.starts, flows.left)
    group = np.concatenate((flows.arrivals.group, down.group))
    moment = np.concatenate((flows.arrivals.time, down.time))
    change = np.repeat([1, -1], [len(flows.arrivals.time), len(down.time)])
    order = np.lexsort((moment, group))
    edges = np.searchsorted(group[order], np.arange(len(flows.labels) + 1))
    lines = {}
    for number, (queue,) in enumerate(flows.labels):
        mine = order[edges[number] : edges[number + 1]]
        if len(mine):
            lines[queue] = _line(moment[mine], change[mine])
    return lines


def _line(moment: np.ndarray, change: np.ndarray) -> Line:
    last = np.flatnonzero(np.append(moment[1:] != moment[:-1], True))
    level, moment = np.cumsum(change)[last], moment[last]
    peak = int(level.argmax())
    after = int(np.flatnonzero(np.append(True, level <= 0))[-1])  # the move that made it no longer empty
    waits = after < len(level)
    since = moment_index(moment[[after]])[0] if waits else None
    return Line(int(level[peak]), moment_index(moment[[peak]])[0], since, waits and not after)
