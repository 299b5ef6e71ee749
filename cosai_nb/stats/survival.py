"""Survival curves of many groups at once, on counts per second: Kaplan–Meier, Aalen–Johansen, and quantiles.

::

    Curves.of(groups, second, ended, jobs)   how many jobs ended, and were last seen unfinished, at each second of each group
    kaplan_meier(curves)                     share of the group's jobs that outlast each second
    quantiles(curves, shares)                first second that at most 1 − q outlast; inf where that is not reached
    incidence(curves, cause)                 share that has ended for one cause by each second, the others competing
    influence(curves, cause)                 how much one job moves the share that ends for that cause

The points of all groups lie behind each other, each group's seconds rising. Jobs that are censored at a second are still at
risk in that second (the convention of the field).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cosai_nb.stats.tally import rank

if TYPE_CHECKING:
    from cosai_nb.stats.measures import Flags, Floats, Ints

ROUNDING = 1e-10


@dataclass(frozen=True, eq=False)
class Curves:
    """Points of all groups: group ``g`` has those from ``start[g]`` up to ``start[g + 1]``."""

    start: Ints
    seconds: Ints
    ended: Floats
    unfinished: Floats

    @classmethod
    def of(cls, groups: int, group: Ints, second: Ints, ended: Flags, jobs: Ints) -> tuple[Curves, Ints]:
        """Return the curves of counted rows, and the point of each row.

        Parameters
        ----------
        groups : int
            How many groups there are.
        group, second, jobs : int64 array, shape (rows,)
            Group of each row, whole seconds, and number of jobs.
        ended : bool array, shape (rows,)
            Whether the row's jobs ended then; the others are right-censored.
        """
        (of_point, seconds), point = rank([group, second])
        start = np.searchsorted(of_point, np.arange(groups + 1))
        done, censored = (
            np.bincount(point, np.where(chosen, jobs, 0), len(seconds)).astype(np.float64)
            for chosen in (ended, ~ended)
        )
        return cls(start, seconds, done, censored), point

    @cached_property
    def group(self) -> Ints:
        """The group of each point."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))

    @cached_property
    def ages_final(self) -> Curves:
        """The curves as if every unfinished job had ended when it was last seen: never above the truth."""
        return Curves(self.start, self.seconds, self.ended + self.unfinished, np.zeros_like(self.ended))

    @cached_property
    def risk(self) -> Floats:
        """How many jobs lasted to each second at least."""
        jobs = self.ended + self.unfinished
        return np.repeat(self.sum(jobs), np.diff(self.start)) - self.within(jobs) + jobs

    @cached_property
    def survival(self) -> Floats:
        """The share of jobs that outlast each second: :func:`kaplan_meier`."""
        return kaplan_meier(self)

    def within(self, values: Floats) -> Floats:
        """Return the running sum of a value a point, begun anew in each group."""
        total = np.concatenate(([0.0], np.cumsum(values)))
        found: Floats = total[1:] - np.repeat(total[self.start[:-1]], np.diff(self.start))
        return found

    def last(self, values: Floats, empty: float = 0.0) -> Floats:
        """Return the value at the last point of each group."""
        found = np.full(len(self.start) - 1, empty)
        some = np.diff(self.start) > 0
        found[some] = values[self.start[1:][some] - 1]
        return found

    def sum(self, values: Floats) -> Floats:
        """Return the sum of a value a point over each group."""
        total = np.concatenate(([0.0], np.cumsum(values)))
        return total[self.start[1:]] - total[self.start[:-1]]


def kaplan_meier(curves: Curves) -> Floats:
    """Return the share of jobs that outlast each second, unfinished jobs right-censored.

    Returns
    -------
    numpy.ndarray, shape (points,)
        Survival just after each second.

    Notes
    -----
    Kaplan and Meier (1958), equal to ``lifelines.KaplanMeierFitter`` with weights.

    Examples
    --------
    >>> curves, _ = Curves.of(1, np.zeros(3, int), np.array([7, 8, 9]), np.array([True, False, True]), np.ones(3, int))
    >>> kaplan_meier(curves)
    array([0.66666667, 0.66666667, 0.        ])
    """
    risk = curves.risk
    left = risk - curves.ended
    steps = np.zeros(len(risk))
    np.log1p(-curves.ended / np.maximum(risk, 1), out=steps, where=left > 0)
    survival = np.where(left > 0, np.exp(curves.within(steps)), 0.0)
    # up to the first censoring it is a plain share, and then exact
    whole = curves.within(curves.unfinished) - curves.unfinished == 0
    number = np.repeat(curves.sum(curves.ended + curves.unfinished), np.diff(curves.start))
    return np.where(whole, left / np.maximum(number, 1), survival)


def quantiles(curves: Curves, shares: Floats | tuple[float, ...]) -> Floats:
    """Return the first second at which at most ``1 − q`` survive.

    Parameters
    ----------
    curves : Curves
        The groups.
    shares : sequence of float, or array of shape (groups, quantiles)
        Quantiles; below 0 they are 0.

    Returns
    -------
    numpy.ndarray, shape (groups, quantiles)
        Seconds; ``inf`` where a quantile is not reached, NaN where a group has no jobs.

    Examples
    --------
    >>> curves, _ = Curves.of(2, np.array([0, 1]), np.array([7, 60]), np.array([True, False]), np.ones(2, int))
    >>> quantiles(curves, (0.5, 0.9))
    array([[ 7.,  7.],
           [inf, inf]])
    """
    groups = len(curves.start) - 1
    wanted = np.broadcast_to(np.asarray(shares, dtype=np.float64), (groups, np.shape(shares)[-1]))
    place = points_of(curves, wanted)
    seconds = np.append(curves.seconds, 0).astype(np.float64)
    found = np.where(place < curves.start[1:, None], seconds[np.minimum(place, len(seconds) - 1)], np.inf)
    found[np.diff(curves.start) == 0] = np.nan
    return found


def points_of(curves: Curves, shares: Floats) -> Ints:
    """Return the point of each quantile, (groups, quantiles); the end of the group where it is not reached."""
    base = 2.0 * np.arange(len(curves.start) - 1)
    reached = base[curves.group] + (1 - curves.survival)  # rises from group to group and within each
    wanted = base[:, None] + np.clip(shares, ROUNDING, None) - ROUNDING
    return np.clip(np.searchsorted(reached, wanted), curves.start[:-1, None], curves.start[1:, None])


def incidence(curves: Curves, cause: Floats) -> Floats:
    """Return the share of jobs that have ended for one cause by each second, the others competing.

    Parameters
    ----------
    curves : Curves
        The groups.
    cause : numpy.ndarray, shape (points,)
        Ends for the cause asked about, of all that ended then.

    Notes
    -----
    Aalen and Johansen (1978), equal to ``lifelines.AalenJohansenFitter`` where no two times tie (it breaks ties by
    chance; counts need no such thing).

    Examples
    --------
    >>> curves, _ = Curves.of(1, np.zeros(2, int), np.array([1, 2]), np.array([True, True]), np.ones(2, int))
    >>> incidence(curves, np.array([1.0, 0.0]))
    array([0.5, 0.5])
    """
    return curves.within(_before(curves) * cause / np.maximum(curves.risk, 1))


def _before(curves: Curves) -> Floats:
    """Return the share that outlasted all seconds before."""
    before = np.append(1.0, curves.survival)[:-1]
    before[curves.start[:-1][np.diff(curves.start) > 0]] = 1.0
    return before


def influence(curves: Curves, cause: Floats) -> Floats:
    """Return how much one job more would move the share that ends for a cause at last.

    Parameters
    ----------
    curves, cause
        As in :func:`incidence`; with the ends up to a second as the cause, the share is 1 − Kaplan–Meier there.

    Returns
    -------
    numpy.ndarray, shape (3, points)
        Of a job that ends for the cause at that second, that ends for another one, and that is censored then. Over all jobs
        of a group the sum is 0, and the sum of the squares is the variance of the share if jobs were independent.

    Notes
    -----
    The derivative of Aalen–Johansen by the weight of a job: where nothing is censored, (1 − share) ÷ n of the ends that
    count and −share ÷ n of the others.
    """
    before, reached = _before(curves), incidence(curves, cause)
    share = np.repeat(curves.last(reached), np.diff(curves.start))
    left, risk = curves.risk - curves.ended, np.maximum(curves.risk, 1)
    rest = np.where(left > 0, (share - reached) / np.maximum(left, 1), 0.0)
    at = curves.within(curves.ended / risk * rest - before * cause / risk**2)
    return np.stack((at - rest + before / risk, at - rest, at))
