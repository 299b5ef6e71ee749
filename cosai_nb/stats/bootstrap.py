"""Intervals that hold although neighbouring jobs wait together: whole blocks of hours are drawn, never single jobs.

::

    block_counts(h, measure, hours=1)      Blocks(starts, seconds, ended, unfinished), (blocks × seconds) counts
    draw_weights(blocks)                   (draws × blocks): how often each draw holds each block
    quantile_draws(blocks, q)              Kaplan–Meier quantiles of every draw, (quantiles × draws)
    spread(draws)                          (low, high): the middle 95 % of the draws
    count_blocks(h, hours)                 how many blocks have jobs
    block_hours(utilisation)               1, or 6 where utilisation is above 0.9

Fewer than MIN_BLOCKS blocks give no interval. The seed is fixed, so the same jobs give the same interval.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cosai_nb.stats.censoring import ENDED, UNFINISHED
from cosai_nb.stats.coding import Ints, compact
from cosai_nb.stats.curves import Floats, first_reaching, kaplan_meier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cosai_nb.stats.histogram import DurationHistogram

MIN_BLOCKS = 14
DRAWS = 999
SEED = 20_261_101
BUSY = 0.9
"""Utilisation above which neighbouring hours are no longer independent."""
_GRID_STEP = 1.01
_EXACT_SECONDS = 100
_TABLE = 2**20


class Blocks(NamedTuple):
    """Counts per block of hours and per second, as float64 for the matrix product.

    ``starts`` are the first hours of the blocks (hours since the epoch); blocks without a job are not in it, and jobs
    without a creation time belong to none. ``seconds`` rise; above 100 s they are rounded up by at most 1 %.
    """

    hours: int
    starts: Ints
    seconds: Ints
    ended: Floats
    unfinished: Floats


def block_hours(utilisation: float) -> int:
    """Return the length of a block in hours; an unknown utilisation (NaN) counts as a quiet one."""
    return 6 if utilisation > BUSY else 1


def count_blocks(histogram: DurationHistogram, hours: int) -> int:
    """Return the number of blocks in which jobs were created."""
    hour = histogram.coded("hour").labels
    return len(np.unique(hour if hours == 1 else hour // hours))


def block_counts(histogram: DurationHistogram, measure: str, *, hours: int = 1) -> Blocks:
    """Count the durations of each block.

    Parameters
    ----------
    histogram : DurationHistogram
        The jobs.
    measure : str
        ``queue_latency``, ``run_time`` or ``total_time``.
    hours : int
        Length of a block; blocks start at multiples of it since the epoch.

    Returns
    -------
    Blocks
        Empty axes where there are no jobs.
    """
    labels, codes = histogram.coded("hour")
    rows = histogram.counts(measure)
    taken = (rows.kind <= UNFINISHED) & (codes >= 0)[rows.cell]
    cell, kind, value, jobs = (column[taken] for column in rows)
    of_cell = np.append(labels, 0)[codes] // hours
    starts = np.unique(of_cell[np.bincount(cell, minlength=len(codes)) > 0])
    distinct, _ = compact(value, int(value.max(initial=0)) + 1)
    seconds = np.unique(_round_up(distinct))
    block, place = np.searchsorted(starts, of_cell)[cell], _first_at_least(seconds, value)
    shape = UNFINISHED + 1, len(starts), len(seconds)
    flat = (kind * len(starts) + block) * len(seconds) + place
    counted = np.bincount(flat, jobs, int(np.prod(shape))).reshape(shape).astype(np.float64)
    return Blocks(hours, starts * hours, seconds, counted[ENDED], counted[UNFINISHED])


def _first_at_least(grid: Ints, seconds: Ints) -> Ints:
    """Return the place of the first grid second that is not below each; the grid holds every rounded one."""
    longest = int(seconds.max(initial=0))
    if longest > _TABLE:
        return np.searchsorted(grid, seconds)
    return np.searchsorted(grid, np.arange(longest + 1))[seconds]


def _round_up(seconds: Ints) -> Ints:
    """Round to a grid that is fine against every interval, so a draw costs the same however long jobs waited."""
    longest = int(seconds.max()) if len(seconds) else 0
    if longest <= _EXACT_SECONDS:
        return seconds
    steps = np.ceil(np.log(longest / _EXACT_SECONDS) / np.log(_GRID_STEP)) + 1
    coarse = np.ceil(_EXACT_SECONDS * _GRID_STEP ** np.arange(1, steps + 1)).astype(np.int64)
    grid = np.concatenate((np.arange(_EXACT_SECONDS + 1), coarse))
    return grid[np.searchsorted(grid, seconds)]


@lru_cache(maxsize=8)
def draw_weights(blocks: int, *, draws: int = DRAWS, seed: int = SEED) -> Floats:
    """Draw as many blocks as there are, with replacement, and say how often each came: (draws, blocks)."""
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=draws).astype(np.float64)
    weights.setflags(write=False)  # one array for all who ask
    return weights


def quantile_draws(blocks: Blocks, q: Sequence[float], *, seed: int = SEED) -> Floats:
    """Return the Kaplan–Meier quantiles of every draw.

    Returns
    -------
    numpy.ndarray, shape (quantiles, draws)
        Seconds, ``inf`` where a draw does not reach the quantile.
    """
    weights = draw_weights(len(blocks.starts), seed=seed)
    ended = weights @ blocks.ended
    unfinished, some = np.zeros_like(ended), blocks.unfinished.any(axis=0)
    unfinished[:, some] = weights @ blocks.unfinished[:, some]  # at few of the seconds, as a rule
    survival = kaplan_meier(ended, unfinished)
    return np.stack([first_reaching(blocks.seconds, survival, share) for share in q])


def spread(draws: Floats, *, level: float = 0.95) -> tuple[Floats, Floats]:
    """Return the ends of the middle ``level`` of the draws along the last axis; ``inf`` sorts last.

    Examples
    --------
    >>> low, high = spread(np.arange(999.0))
    >>> float(low), float(high)
    (24.0, 974.0)
    """
    ordered = np.sort(draws, axis=-1)
    size = ordered.shape[-1]
    outside = round((1 - level) / 2 * (size + 1))
    return ordered[..., max(outside - 1, 0)], ordered[..., min(size - outside, size - 1)]
