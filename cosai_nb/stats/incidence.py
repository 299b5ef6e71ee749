"""A share of jobs that ends one way, with unfinished jobs censored, and an interval that holds in bad hours too.

The share is Aalen–Johansen's: the ends compete, an unfinished job counts up to its age. What is older than every end that was
seen stays *undecided*: it may still end either way, so it is between ``rate`` and the upper bound. The interval is the wider of
Wilson's (with as many jobs as would give Aalen–Johansen's variance) and a bootstrap of hour blocks.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cosai_nb.stats.bootstrap import MIN_BLOCKS, draw_weights, spread
from cosai_nb.stats.censoring import ENDED, UNFINISHED, UNUSABLE
from cosai_nb.stats.coding import Counts, Ints, compact
from cosai_nb.stats.curves import Floats, aalen_johansen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cosai_nb.stats.histogram import DurationHistogram
    from cosai_nb.stats.slices import Flags

MOST_UNDECIDED = 0.1
"""Above this share of jobs that may still end either way there is no rate, only its bounds."""
ROUNDING = 1e-9
_MOST_AGES = 400
_Z = NormalDist().inv_cdf(0.975)


class Ends(NamedTuple):
    """Which cells of a histogram ended this way, ended another way, and have not ended; others do not take part."""

    this: Flags
    other: Flags
    alive: Flags


class Share(NamedTuple):
    """A share of jobs with its 95 % interval; ``undecided`` is older than every end seen, ``timeless`` a number of jobs."""

    rate: float
    low: float
    high: float
    undecided: float
    timeless: int
    blocks: int


def wilson_low(share: float, number: float) -> float:
    """Return the lower end of Wilson's 95 % interval; the upper one is 1 − that of the complement.

    Examples
    --------
    >>> round(1 - wilson_low(1.0, 50), 3)  # 0 of 50
    0.071
    """
    if number <= 0:
        return 0.0
    middle = share + _Z**2 / (2 * number)
    reach = _Z * np.sqrt(share * (1 - share) / number + _Z**2 / (4 * number**2))
    return float(np.clip((middle - reach) / (1 + _Z**2 / number), 0, share))


def share_of(histogram: DurationHistogram, ends: Ends) -> Share:
    """Return the share of the jobs that end this way, by their time since creation.

    Ended jobs without a usable time are counted by how they ended, beside the curve.
    """
    counts = histogram.counts("total_time")
    over, going_on = counts.kind == ENDED, counts.kind == UNFINISHED
    classes = [
        over & ends.this[counts.cell],
        over & ends.other[counts.cell],
        going_on & ends.alive[counts.cell],
    ]
    sure = [int(counts.jobs[(counts.kind == UNUSABLE) & cells[counts.cell]].sum()) for cells in ends[:2]]
    return estimate(histogram.coded("hour").codes, counts, classes, sure)


def estimate(hour: Ints, counts: Counts, classes: list[Flags], sure: Sequence[int] = (0, 0)) -> Share:
    """Return a share from counted rows.

    Parameters
    ----------
    hour : int64 array, shape (cells,)
        Code of each cell's hour of creation, −1 where it is not known.
    counts : Counts
        Jobs per cell and second.
    classes : list of three bool arrays, shape (rows,)
        Rows of jobs that ended this way, that ended another way, and that are unfinished.
    sure : sequence of two int
        Jobs that ended this way and another way at an unknown time.
    """
    curves = _curves(counts, classes)
    usable, timeless = float(curves.sum()), sum(sure)
    if usable + timeless == 0:
        return Share(float("nan"), 0.0, 1.0, 1.0, 0, 0)
    drawn, blocks = _draws(hour, counts, classes)
    finals, lows = [], []
    for cause in (0, 1):
        final, effective = _final(curves[cause], curves[0] + curves[1], curves[2])
        finals.append((usable * final + sure[cause]) / (usable + timeless))
        low = wilson_low(finals[cause], effective + timeless)
        if drawn:
            low = min(low, float(spread((usable * drawn[cause] + sure[cause]) / (usable + timeless))[0]))
        lows.append(low)
    undecided = 1 - sum(finals)
    return Share(
        finals[0], lows[0], 1 - lows[1], undecided if undecided > ROUNDING else 0.0, timeless, blocks
    )


def _curves(counts: Counts, classes: list[Flags]) -> Floats:
    """Jobs of each class per second, (3, seconds)."""
    seconds, place = compact(counts.value, int(counts.value.max(initial=0)) + 1)
    return np.stack([np.bincount(place[rows], counts.jobs[rows], len(seconds)) for rows in classes])


def _final(cause: Floats, ended: Floats, unfinished: Floats) -> tuple[float, float]:
    """Return where the cumulative incidence ends, and the number of jobs that would give its variance if all had ended."""
    reached = aalen_johansen(cause, ended, unfinished)
    final = float(reached[-1]) if len(reached) else 0.0
    if ended.any() and not unfinished.any():
        final = float(cause.sum() / ended.sum())  # the same, without its rounding
    risk = np.maximum(np.cumsum((ended + unfinished)[::-1])[::-1], 1)
    survival = np.append(1.0, np.cumprod(1 - ended / risk))[:-1]
    rest = final - reached
    going_on = np.maximum(risk - ended, 1)
    variance = (
        rest**2 * ended / (risk * going_on)
        + survival**2 * cause * (risk - cause) / risk**3
        - 2 * rest * survival * cause / risk**2
    ).sum()
    number = float(ended.sum())
    binomial = final * (1 - final)  # of a sure end only rounding is left, which says nothing of the number
    return final, min(number, binomial / variance) if binomial > ROUNDING and variance > 0 else number


def _draws(hour: Ints, counts: Counts, classes: list[Flags]) -> tuple[tuple[Floats, ...], int]:
    """Return the two final incidences of every draw of hour blocks, and the number of blocks.

    The seconds between two censorings are added up: the incidences are the same to the last digit, on far fewer columns.
    """
    hour_of = hour[counts.cell]
    taking_part = np.logical_or.reduce(classes) & (hour_of >= 0)
    blocks, block = compact(
        np.where(taking_part, hour_of, hour.max(initial=0) + 1), int(hour.max(initial=0)) + 2
    )
    number = int(np.sum(blocks <= hour.max(initial=0)))
    if number < MIN_BLOCKS:
        return (), number
    ages = np.unique(counts.value[classes[2]])
    ages = ages[np.unique(np.linspace(0, len(ages) - 1, _MOST_AGES).astype(np.int64))] if len(ages) else ages
    width = len(ages) + 1
    place = block * width + np.searchsorted(ages, counts.value)
    weights = draw_weights(number)
    drawn = []
    for rows in classes:
        flat = np.bincount(place[rows & taking_part], counts.jobs[rows & taking_part], number * width)
        drawn.append(weights @ flat.reshape(number, width))
    this, other, unfinished = drawn
    return tuple(aalen_johansen(cause, this + other, unfinished)[:, -1] for cause in (this, other)), number
