"""The level of the queue latency hour by hour, and the places where a series of levels breaks (with ruptures)."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cosai_nb.errors import SettingsError
from cosai_nb.stats.quantiles import quantile, split_groups

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from cosai_nb.stats.curves import Floats
    from cosai_nb.stats.histogram import DurationHistogram

_SHORTEST = 12
"""Hours with jobs that a level lasts, at least."""
FEWEST_HOURS = 30
"""In fewer hours with jobs no step, however large, outweighs the penalty."""
_ENOUGH_FOR_SCALE = 1000


class Level(NamedTuple):
    """A quantile [seconds], and of how many jobs."""

    seconds: float
    jobs: int


def hourly_levels(part: DurationHistogram, share: float) -> tuple[list[pd.Timestamp], Floats]:
    """Return the hours of creation that have usable jobs, in order, and the quantile of each.

    Parameters
    ----------
    part : DurationHistogram
        The jobs.
    share : float
        Quantile between 0 and 1.

    Returns
    -------
    hours : list of pandas.Timestamp
        Hours without jobs are not in it.
    levels : numpy.ndarray, shape (hours,)
        Kaplan–Meier [seconds]. Where an hour does not reach it: the level of the last hour that did, or the hour's own
        lower bound (ages taken as final) where that is higher, so jobs that still wait can raise a level and never lower it.
    """
    hours: list[pd.Timestamp] = []
    levels, last = [], 0.0
    for (hour,), jobs in split_groups(part, ("hour",), ("queue_latency",)):
        curve = jobs.curve("queue_latency")
        level = quantile(curve, share)
        if hour is None or math.isnan(level):
            continue
        if math.isinf(level):
            level = max(last, quantile(curve.with_ages_final(), share))
        else:
            last = level
        hours.append(hour)
        levels.append(level)
    return hours, np.array(levels, dtype=np.float64)


def levels_between(part: DurationHistogram, changes: list[pd.Timestamp], share: float) -> list[Level]:
    """Measure each stretch up to, between and after the changes on all of its jobs, as queue_latency would."""
    stretches = itertools.pairwise([None, *changes, None])
    parts = [part.where(start=start, end=end) for start, end in stretches]
    return [Level(quantile(one.curve("queue_latency"), share), one.jobs) for one in parts]


def change_finder() -> Callable[[Floats], list[int]]:
    """Return the function that finds where a series of levels [seconds] breaks; SettingsError without ruptures."""
    try:
        from ruptures import KernelCPD  # noqa: PLC0415 - an extra: only who looks for change points needs it
    except ImportError as error:
        raise SettingsError(
            "change_points needs the package ruptures, which cannot be imported; "
            'install it with pip install "cosai_nb[changes]".'
        ) from error

    def find(levels: Floats) -> list[int]:
        number = len(levels)
        if number < FEWEST_HOURS:
            return []
        signal = np.log(np.maximum(levels, 1))  # below the clock's step of a second nothing can be told apart
        search = KernelCPD("rbf", min_size=_SHORTEST, params={"gamma": _scale(signal)}).fit(signal[:, None])
        return [int(place) for place in search.predict(pen=3 * math.log(number))[:-1]]

    return find


def _scale(signal: Floats) -> float:
    """Return 1 ÷ the median squared distance, as ruptures would; its own way takes 2 GB for the hours of a year."""
    some = signal[np.unique(np.linspace(0, len(signal) - 1, _ENOUGH_FOR_SCALE).astype(np.int64))]
    apart = np.median((some[:, None] - some)[np.triu_indices(len(some), 1)] ** 2)
    return float(1 / apart) if apart > 0 else 1.0
