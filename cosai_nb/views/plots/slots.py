"""Queue latency quantiles of many slots at once: of each hour, or of each hour of the weekdays.

These are the Kaplan–Meier quantiles of :func:`cosai_nb.queue_latency`, without its intervals and notes, which cost half a
millisecond a group: a year has 8,760 hours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cosai_nb.stats.censoring import ENDED, UNFINISHED
from cosai_nb.stats.coding import Counts, Ints, tally
from cosai_nb.stats.curves import Curve, first_reaching, kaplan_meier, pool
from cosai_nb.stats.quantiles import name_of, read_shares

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cosai_nb.stats.histogram import DurationHistogram

Floats = npt.NDArray[np.float64]
_ROUNDING = 1e-10


def quantile_names(q: Sequence[float]) -> dict[str, float]:
    """Return each quantile by its name, ``p95`` say, in rising order.

    Raises
    ------
    ValueError
        One is not between 0 and 1.

    Examples
    --------
    >>> quantile_names([0.999, 0.5])
    {'p50': 0.5, 'p99.9': 0.999}
    """
    return {name_of(share): share for share in sorted(read_shares(tuple(q)))}


def slot_quantiles(
    histogram: DurationHistogram, slot_of_cell: Ints, slots: int, q: Mapping[str, float]
) -> dict[str, Floats | Ints]:
    """Return the queue latency quantiles of each slot.

    Parameters
    ----------
    histogram : DurationHistogram
        The jobs.
    slot_of_cell : int64 array
        The slot of each cell; −1 belongs to none.
    slots : int
        Number of slots.
    q : mapping of str to float
        From :func:`quantile_names`.

    Returns
    -------
    dict of str to array, shape (slots,)
        ``jobs``; ``not_started``, those last seen waiting or given up; per quantile ``p95`` (Kaplan–Meier; inf where
        not reached, NaN where nothing is known) and ``p95_lower_bound`` (ages taken as final waits) [s].
    """
    counts = histogram.counts("queue_latency")
    slot = slot_of_cell[counts.cell]
    inside = slot >= 0
    rows = tally(slot[inside], counts.kind[inside], counts.value[inside], counts.jobs[inside])
    jobs = np.bincount(rows.cell, rows.jobs, slots).astype(np.int64)
    late = np.where(rows.kind == UNFINISHED, rows.jobs, 0)
    found = {name: np.full(slots, np.nan) for share in q for name in (share, f"{share}_lower_bound")}
    all_ended = np.bincount(rows.cell, rows.kind != ENDED, slots) == 0
    done = Counts(*(column[all_ended[rows.cell]] for column in rows))
    for name, share in q.items():
        at_once = _ended_quantile(done, slots, share)
        found[name][done.cell] = found[f"{name}_lower_bound"][done.cell] = at_once[done.cell]
    ends = np.searchsorted(rows.cell, np.arange(slots + 1))
    for number in np.flatnonzero((jobs > 0) & ~all_ended):
        curve = pool(Counts(*(column[ends[number] : ends[number + 1]] for column in rows)))
        for suffix, survival in _survivals(curve).items():
            for name, share in q.items():
                found[name + suffix][number] = first_reaching(curve.seconds, survival, share)
    return {"jobs": jobs, "not_started": np.bincount(rows.cell, late, slots).astype(np.int64), **found}


def _ended_quantile(rows: Counts, slots: int, share: float) -> Floats:
    """Return a quantile of each slot whose jobs have all ended: all at once, since they are by far the most."""
    if not len(rows.cell):
        return np.full(slots, np.nan)
    jobs = np.bincount(rows.cell, rows.jobs, slots)
    before = np.cumsum(jobs) - jobs
    over = (np.cumsum(rows.jobs) - before[rows.cell]) / jobs[rows.cell]
    not_yet = np.bincount(rows.cell, over < share - _ROUNDING, slots).astype(np.int64)
    first = np.searchsorted(rows.cell, np.arange(slots))
    seconds: Floats = rows.value[np.minimum(first + not_yet, len(rows.cell) - 1)].astype(np.float64)
    return seconds


def _survivals(curve: Curve) -> dict[str, Floats]:
    """Return the estimate and the lower bound, by the suffix of their columns; none where nothing is known."""
    if not len(curve.seconds):
        return {}
    estimate = kaplan_meier(curve.ended, curve.unfinished)
    if not curve.unfinished.any():
        return {"": estimate, "_lower_bound": estimate}
    final = kaplan_meier(curve.ended + curve.unfinished, np.zeros_like(curve.ended))
    return {"": estimate, "_lower_bound": final}
