"""Survival curves on counts per second: Kaplan–Meier, Aalen–Johansen, and the quantile read off them.

::

    pool(counts)                                Curve(seconds, ended, unfinished) of a histogram's counts
    kaplan_meier(ended, unfinished)             P(duration > second)
    aalen_johansen(cause, ended, unfinished)    P(it ended for this cause by that second)
    first_reaching(seconds, survival, q)        first second that a share q does not outlast; inf if not reached

The last axis is the seconds, in rising order; axes before it (bootstrap draws, groups) are carried along. Jobs that are
censored at a second are still at risk in that second (the convention of the field).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cosai_nb.stats.censoring import ENDED, UNFINISHED
from cosai_nb.stats.coding import Counts, Ints, compact

Floats = npt.NDArray[np.float64]
_ROUNDING = 1e-10


class Curve(NamedTuple):
    """How many jobs ended, and how many were last seen unfinished, at each second (rising, distinct)."""

    seconds: Ints
    ended: Ints
    unfinished: Ints

    def with_ages_final(self) -> Curve:
        """Return the curve as if every unfinished job had ended when it was last seen: nowhere above the truth."""
        return self._replace(ended=self.ended + self.unfinished, unfinished=np.zeros_like(self.ended))


def pool(counts: Counts) -> Curve:
    """Add the cells up; jobs without a usable time are not in a curve.

    Examples
    --------
    >>> from cosai_nb.stats.coding import tally
    >>> pool(tally(np.array([0, 1]), np.array([0, 1]), np.array([7, 60])))
    Curve(seconds=array([ 7, 60]), ended=array([1, 0]), unfinished=array([0, 1]))
    """
    usable = counts.kind <= UNFINISHED
    if not usable.all():
        counts = Counts(*(column[usable] for column in counts))
    width = int(counts.value.max()) + 1 if len(counts.value) else 1
    seconds, place = compact(counts.value, width)
    flat = np.bincount(counts.kind * len(seconds) + place, counts.jobs, (UNFINISHED + 1) * len(seconds))
    of_class = flat.astype(np.int64).reshape(UNFINISHED + 1, len(seconds))
    return Curve(seconds, of_class[ENDED], of_class[UNFINISHED])


def _at_risk(ended: Floats, unfinished: Floats) -> Floats:
    return np.cumsum((ended + unfinished)[..., ::-1], axis=-1)[..., ::-1]


def kaplan_meier(ended: npt.ArrayLike, unfinished: npt.ArrayLike) -> Floats:
    """Return the share of jobs that outlast each second, unfinished jobs right-censored.

    Parameters
    ----------
    ended, unfinished : array_like, shape (..., seconds)
        Counts per second.

    Returns
    -------
    numpy.ndarray, shape (..., seconds)
        Survival just after each second; 1 throughout where there are no jobs.

    Notes
    -----
    Kaplan and Meier (1958), equal to ``lifelines.KaplanMeierFitter`` with weights.

    Examples
    --------
    >>> kaplan_meier([1, 0, 1], [0, 1, 0])
    array([0.66666667, 0.66666667, 0.        ])
    """
    events, censored = np.asarray(ended, dtype=np.float64), np.asarray(unfinished, dtype=np.float64)
    passed: Floats = 1 - events / np.maximum(_at_risk(events, censored), 1)
    return np.multiply.accumulate(passed, axis=-1)


def aalen_johansen(cause: npt.ArrayLike, ended: npt.ArrayLike, unfinished: npt.ArrayLike) -> Floats:
    """Return the share of jobs that have ended for one cause by each second, the others competing.

    Parameters
    ----------
    cause : array_like, shape (..., seconds)
        Ends for the cause asked about.
    ended : array_like, shape (..., seconds)
        Ends for any cause, this one with them.
    unfinished : array_like, shape (..., seconds)
        Right-censored jobs.

    Returns
    -------
    numpy.ndarray, shape (..., seconds)
        Cumulative incidence.

    Notes
    -----
    Aalen and Johansen (1978), equal to ``lifelines.AalenJohansenFitter`` where no two times tie (it breaks ties by
    chance; counts need no such thing).

    Examples
    --------
    >>> aalen_johansen([1, 0], [1, 1], [0, 0])
    array([0.5, 0.5])
    """
    events, censored = np.asarray(ended, dtype=np.float64), np.asarray(unfinished, dtype=np.float64)
    risk = np.maximum(_at_risk(events, censored), 1)
    survival = np.cumprod(1 - events / risk, axis=-1)
    before = np.concatenate((np.ones_like(survival[..., :1]), survival[..., :-1]), axis=-1)
    return np.cumsum(before * np.asarray(cause, dtype=np.float64) / risk, axis=-1)


def first_reaching(seconds: Ints, survival: Floats, q: float) -> Floats:
    """Return the q-quantile: the first second at which at most ``1 − q`` survive, ``inf`` where that is not reached.

    Parameters
    ----------
    seconds : int64 array, shape (seconds,)
        Rising.
    survival : numpy.ndarray, shape (..., seconds)
        From :func:`kaplan_meier`.
    q : float
        Between 0 and 1.

    Returns
    -------
    numpy.ndarray, shape (...)
        Seconds.

    Examples
    --------
    >>> first_reaching(np.array([7, 60]), np.array([[0.5, 0.5], [0.5, 0.0]]), 0.9)
    array([inf, 60.])
    """
    not_yet = np.count_nonzero(survival > 1 - q + _ROUNDING, axis=-1)  # survival never rises
    quantile: Floats = np.append(seconds.astype(np.float64), np.inf)[not_yet]
    return quantile
