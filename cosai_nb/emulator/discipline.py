"""A queue with c servers: who starts when."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cosai_nb.emulator.scenario import Order

FOREVER = float("inf")
NEVER = (float("nan"), float("nan"))
"""A window that no time is in."""


def start_times(
    arrivals: Sequence[float],
    run_time: Callable[[int, float], float],
    *,
    servers: int,
    order: Order = "fifo",
    levels: Sequence[int] | None = None,
    cancel_at: Sequence[float] | None = None,
    paused: tuple[float, float] = NEVER,
    rng: np.random.Generator | None = None,
) -> NDArray[np.float64]:
    """Simulate one queue without preemption.

    Parameters
    ----------
    arrivals : sequence of float
        Arrival times [s], ascending.
    run_time : callable
        Of position and start time: how long the job runs [s].
    servers : int
        Jobs that run at the same time.
    order : {"fifo", "priority", "random"}
        Priority is first by level, larger first, then by arrival; random picks any waiting job.
    levels : sequence of int, optional
        Needed for ``priority``.
    cancel_at : sequence of float, optional
        A job that still waits then is cancelled and never starts.
    paused : (float, float)
        Nothing starts from the first to before the second.
    rng : numpy.random.Generator, optional
        Needed for ``random``.

    Returns
    -------
    ndarray of float64
        Start times [s], NaN for jobs that never start.

    Examples
    --------
    Two servers, three jobs of ten seconds: the third waits for the first.

    >>> start_times([0.0, 1.0, 2.0], lambda job, now: 10.0, servers=2)
    array([ 0.,  1., 10.])
    """
    starts = np.full(len(arrivals), np.nan)
    free = [-FOREVER] * servers
    waiting: list[tuple[int, int]] = []  # a heap of (−level, arrival); for the random order just a bag
    rank = [-level for level in levels] if levels is not None and order == "priority" else [0] * len(arrivals)
    now, arrived = -FOREVER, 0
    while waiting or arrived < len(arrivals):
        now = max(now, free[0])
        if not waiting:
            now = max(now, arrivals[arrived])
        if paused[0] <= now < paused[1]:
            now = paused[1]
        while arrived < len(arrivals) and arrivals[arrived] <= now:
            heapq.heappush(waiting, (rank[arrived], arrived))
            arrived += 1
        if now == FOREVER:
            break
        job = _pick(waiting, order, rng)
        if cancel_at is None or cancel_at[job] > now:
            starts[job] = now
            heapq.heapreplace(free, now + run_time(job, now))
    return starts


def _pick(waiting: list[tuple[int, int]], order: Order, rng: np.random.Generator | None) -> int:
    if order != "random":
        return heapq.heappop(waiting)[1]
    if rng is None:
        raise ValueError("The random order needs rng=.")
    chosen = int(rng.integers(len(waiting)))
    waiting[chosen], waiting[-1] = waiting[-1], waiting[chosen]
    return waiting.pop()[1]
