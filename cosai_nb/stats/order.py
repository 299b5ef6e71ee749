"""The single jobs of each queue, and whether it is served in order.

::

    Jobs.of(recent)         single jobs as arrays
    by_label(column)        each queue with its rows
    in_order(jobs, now)     whether the newest starts overtook none that wait or start later
    parts_in_order(jobs, …) the parts of a queue that are in order: the whole, or those of one job_level, of one tag, or of both

A start overtakes where a job that was created in an earlier second starts later, or still waits. A queue is in order where less
than 5 % of the newest starts overtake. A queue is named by its queue_id, None where that is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cosai_nb.schema import State
from cosai_nb.stats.counts import MOVED, Groups
from cosai_nb.stats.measures import ENDED, GAVE_UP, MISSING, UNFINISHED, milliseconds

if TYPE_CHECKING:
    from cosai_nb.stats.measures import Flags, Floats, Ints

OVERTAKING = 0.05
"""A queue is in order where a smaller share of its newest starts overtakes."""
WINDOW_S, NEWEST, FEWEST = 3600.0, 100, 10
"""Order and rate are judged by the starts of the last hour and the newest 100 at least; of fewer than 10 nothing is said."""
STALE_S = 1800.0
"""A record that is older than the newest by more is in no queue."""
_CLASSES = (("job_level",), ("tag",), ("job_level", "tag"))
_AS_ONE_S, _AS_ONE = 30.0, 0.05


class Jobs(NamedTuple):
    """Single jobs; times are seconds since ``origin`` [ms], NaN where missing, ``moved`` is ``inf`` where it is to come.

    Each job of a queue has ``begun``, ``gave_up`` or is ``waiting``. Those that are ``stale`` or ``paused`` are in none.
    """

    origin: float
    created: Floats
    moved: Floats
    ended: Floats
    seen: Floats
    servers: Floats
    tag: Ints
    begun: Flags
    gave_up: Flags
    waiting: Flags
    stale: Flags
    paused: Flags

    @classmethod
    def of(cls, recent: pd.DataFrame) -> Jobs:
        """Read the columns of :attr:`cosai_nb.stats.counts.Counted.recent`."""
        raw = [milliseconds(recent[name]) for name in ("creation_time", MOVED, "end_time", "observed_at")]
        origin = float(raw[3].max(initial=MISSING))
        created, moved, ended, seen = (np.where(one == MISSING, np.nan, (one - origin) / 1000) for one in raw)
        state, tag, servers = (
            recent.get(name, pd.Series(np.nan, recent.index)) for name in ("state", "tag", "servers")
        )
        most = pd.to_numeric(servers, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        kind, known = recent["kind"].to_numpy(), ~np.isnan(created + seen)
        begun, gave_up = ((kind == one) & known & ~np.isnan(moved) for one in (ENDED, GAVE_UP))
        # clocks differ: who was seen running had started by then
        times = created, np.where(begun | gave_up, np.minimum(moved, seen), np.inf), ended, seen
        waiting = (kind == UNFINISHED) & known & (state != str(State.PAUSE)).to_numpy(dtype=bool)
        stale, paused = waiting & (seen < -STALE_S), (kind == UNFINISHED) & ~waiting
        moves = begun, gave_up, waiting & ~stale, stale, paused
        codes, labels = pd.factorize(tag)
        in_order = np.append(
            np.argsort(np.argsort(labels.astype(str))), -1
        )  # whichever comes first in a source
        return cls(origin, *times, most, in_order[codes], *moves)

    def take(self, rows: Any) -> Jobs:
        """Return some of the jobs."""
        return Jobs(self.origin, *(column[rows] for column in self[1:]))

    @property
    def in_queue(self) -> Flags:
        """Those that are or were in a queue."""
        return self.begun | self.gave_up | self.waiting

    @property
    def ran(self) -> Floats:
        """Seconds that each has run; those that run on count as long as they do, NaN where it has not begun."""
        run = np.where(np.isnan(self.ended), self.seen, self.ended) - self.moved
        return np.where(self.begun & (run >= 0), run, np.nan)

    def started(self, since: float, until: float) -> Flags:
        """Say which started after one moment and until another."""
        return self.begun & (self.moved > since) & (self.moved <= until)

    def running(self, moments: Floats) -> Ints:
        """Return how many ran right after each of these moments."""
        ended, begun = np.sort(self.ended[self.begun]), np.sort(self.moved[self.begun])  # NaN comes last
        return np.searchsorted(begun, moments, side="right") - np.searchsorted(ended, moments, side="right")


def by_label(column: Any) -> list[tuple[str | None, Ints]]:
    """Return each label of a column (None for a missing one) with its rows."""
    codes, labels = pd.factorize(column, use_na_sentinel=False)
    codes = codes.astype(np.min_scalar_type(len(labels)))  # 16 bits are sorted in a fifth of the time
    order = np.argsort(codes, kind="stable")
    rows = np.split(order, np.searchsorted(codes[order], np.arange(1, len(labels))))
    return [(None if pd.isna(label) else str(label), mine) for label, mine in zip(labels, rows, strict=False)]


def classes_of(recent: pd.DataFrame) -> dict[str, Ints]:
    """Return what a queue may be split by, and the class of each job."""
    there = [names for names in _CLASSES if {*names} <= {*recent.columns}]
    return {" and ".join(names): Groups.of(recent, names).of_row for names in there}


def parts_in_order(
    jobs: Jobs, rows: Ints, classes: dict[str, Ints], now: float
) -> tuple[bool | None, list[Any], str]:
    """Return whether a queue is in order, its parts that are (rows of ``jobs``), and by what it is split.

    Parameters
    ----------
    jobs : Jobs
        Those of the queue.
    rows : int array, shape (jobs,)
        Which jobs of ``recent`` they are.
    classes : dict of str to int array
        From :func:`classes_of`.
    now : float
        When the queue is looked at.
    """
    order = in_order(jobs, now)
    for names, of_row in classes.items() if order is False and jobs.waiting.any() else ():
        parts = [part for _, part in by_label(of_row[rows])]
        judged = [in_order(jobs.take(part), now) for part in parts if jobs.waiting[part].any()]
        if len(parts) > 1 and False not in judged and True in judged:
            return True, parts, names
    return order, [slice(None)], ""


def in_order(jobs: Jobs, now: float) -> bool | None:
    """Say whether the newest starts overtook none of the jobs; None where these are too few."""
    begun = np.flatnonzero(jobs.begun & (jobs.moved <= now))
    started = jobs.moved[begun]
    if len(begun) < FEWEST or np.ptp(started) == 0:
        return None
    newest = started >= min(now - WINDOW_S, np.sort(started)[-NEWEST:][0])
    started, since = started[newest], jobs.created[begun[newest]]
    # several workers take jobs at once: starts that are this close say nothing about order
    close = min(_AS_ONE_S, _AS_ONE * float(np.median(started - since)))
    by_creation = np.argsort(jobs.created, kind="stable")
    created = jobs.created[by_creation]
    last = np.maximum.accumulate(np.minimum(jobs.moved[by_creation], now + 1))
    earlier = np.searchsorted(created, since, side="left")
    overtook = (earlier > 0) & (last[earlier - 1] > started + close)
    went = np.searchsorted(np.sort(jobs.moved), started, side="right")
    choice = np.searchsorted(created, started, side="right") > went  # others waited, too
    return bool((overtook[choice] if choice.sum() >= FEWEST else overtook).mean() < OVERTAKING)
