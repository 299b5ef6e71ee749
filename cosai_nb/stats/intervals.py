"""Intervals that hold although jobs that are close in time wait and fail together.

::

    Sample.of(groups, group, hour, second, ended, jobs)   counted rows of many groups: their curves, and their hours
    quantile_errors(sample, shares)                       quantiles with what Woodruff's interval follows from
    share_that_ends(sample, this)                         share that ends one way, with its interval
    errors(series, hour, busy)                            standard error, degrees of freedom and memory of a share

What a job adds to a share is its influence (:func:`cosai_nb.stats.survival.influence`). Added up by hour of creation that
is a series, and its long-run variance is that of the share: it is read off the slowest cosines of the series.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cosai_nb.stats.counts import NO_HOUR
from cosai_nb.stats.survival import (
    ROUNDING,
    Curves,
    incidence,
    influence,
    points_of,
    quantiles,
)
from cosai_nb.stats.tally import rank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cosai_nb.stats.measures import Flags, Floats, Ints

MIN_HOURS = 14
"""In fewer hours with jobs there is no telling how alike they are."""
FEW_HOURS = [
    f"interval as if jobs were independent: {hours} hours with jobs, {MIN_HOURS} are needed for more"
    for hours in range(MIN_HOURS)
]
"""What to say of the interval of a share in so many hours."""
LEVEL = 0.95
_FEWEST_COSINES, _MOST_COSINES = 6, 16
"""With 6 degrees t is 2.45, with 16 2.12, with many 1.96: more would make little narrower, and take long memories for shorter."""
_DAY, _WEEK = 24, 168
_FEWEST_SPELLS = 2
_BISECTIONS = 24


class Errors(NamedTuple):
    """Of one share a group: standard error, degrees of freedom of its t, hours that its series remembers, number of cosines."""

    error: Floats
    freedom: Floats
    memory: Floats
    cosines: Floats


class Sample(NamedTuple):
    """Counted rows of many groups.

    ``hour`` are the hours with jobs of all groups behind each other, each group's from ``first[g]`` up to ``first[g + 1]``;
    ``place`` is where the hour of each row stands among them (−1 for jobs that were created nobody knows when).
    """

    curves: Curves
    point: Ints
    ended: Flags
    jobs: Ints
    place: Ints
    first: Ints
    hour: Ints

    @classmethod
    def of(cls, groups: int, group: Ints, hour: Ints, second: Ints, ended: Flags, jobs: Ints) -> Sample:
        """Arrange counted rows; the arguments are as in :meth:`Curves.of`, ``hour`` since the epoch."""
        curves, point = Curves.of(groups, group, second, ended, jobs)
        unknown = hour == NO_HOUR
        known = ~unknown if unknown.any() else slice(None)
        (of_group, hours), found = rank([group[known], hour[known]])
        place = np.full(len(hour), -1)
        place[known] = found
        return cls(curves, point, ended, jobs, place, np.searchsorted(of_group, np.arange(groups + 1)), hours)

    @property
    def busy(self) -> Ints:
        """In how many hours jobs of each group were created."""
        return np.diff(self.first)

    def by_hour(self, of_row: Floats) -> Floats:
        """Add up a value of each row's jobs over the hours."""
        value = self.jobs * of_row
        # the rows of a table are in the order of the hours: to add up runs of them is faster than one by one
        begin = np.flatnonzero(np.append(True, self.place[1:] != self.place[:-1])[: len(value)])
        sums, place = np.add.reduceat(value, begin), self.place[begin]
        known = place >= 0
        found: Floats = np.bincount(place[known], sums[known], self.first[-1]).astype(np.float64)
        return found


def errors(series: Floats, hour: Ints, busy: Ints) -> Errors:
    """Return how far a share of each group can be off.

    Parameters
    ----------
    series : numpy.ndarray, shape (…, hours of all groups)
        What the jobs of each hour add to a share (:meth:`Sample.by_hour`), the groups behind each other.
    hour : int64 array, shape (hours of all groups,)
        These hours, since the epoch.
    busy : int64 array, shape (groups,)
        In how many hours jobs of each group were created.

    Returns
    -------
    Errors
        Arrays of shape (…, groups); NaN where there are less than :data:`MIN_HOURS` hours.

    Notes
    -----
    The long-run variance is the mean square of the series' projections on the slowest B = 0.4·H^(2/3) cosines (six at least)
    of H hours, and its t has B degrees of freedom: the estimator and the rule of Lazarus, Lewis, Stock and Watson (2018), who
    chose B for tests that hold their level. A bandwidth need not be measured, for which few hours show too short a memory. What
    comes back every day is in every day's share alike: it is faster than these cosines from five days on, and from a week on the
    mean of each hour of the day is taken off, so that none of it leaks into them.

    That counts on many independent hours. Where a few incidents bear the whole variance it is known no better than they are
    many: degrees of freedom are taken off by the kurtosis of stretches of hours (Satterthwaite 1946).
    """
    cosines = cosines_of(busy)
    enough = busy >= MIN_HOURS
    some = np.flatnonzero(enough)
    group = np.repeat(np.arange(len(busy)), busy)
    cells = np.flatnonzero(enough[group]) if not enough.all() else np.arange(len(group))
    of_cell, begin = group[cells], (np.cumsum(busy[some]) - busy[some]).astype(np.int64)
    values = series[..., cells].astype(np.float64)
    long = np.flatnonzero(busy[of_cell] >= _WEEK)
    values[..., long] -= _daily(values[..., long], of_cell[long] * _DAY + hour[cells[long]] % _DAY)
    into = (np.arange(len(group)) - np.repeat(np.cumsum(busy) - busy, busy))[cells] + 0.5
    angle = np.pi * into / busy[of_cell]
    turn, before, now = 2 * np.cos(angle), np.ones(len(angle)), np.cos(angle)
    total, number = np.zeros((*series.shape[:-1], len(some))), cosines[some].astype(np.int64)
    for cosine in range(1, int(number.max(initial=0)) + 1):
        amplitude = np.add.reduceat(values * now, begin, axis=-1)
        total += np.where(cosine <= number, 2 * amplitude**2, 0.0)
        before, now = now, turn * now - before  # cos((n + 1)x) = 2 cos(x) cos(nx) − cos((n − 1)x)
    total /= number
    stretches = 2 * (number + 1)  # each half as long as the shortest half-wave
    edges = np.cumsum(stretches) - stretches
    length = np.repeat(stretches / busy[some], busy[some])
    stretch = np.repeat(edges, busy[some]) + (into * length).astype(np.int64)
    sums = np.add.reduceat(values, np.searchsorted(stretch, np.arange(stretches.sum())), axis=-1)
    second, fourth = (np.add.reduceat(sums**power, edges, axis=-1) for power in (2, 4))
    peaked = np.divide(fourth, second**2, out=np.zeros_like(second), where=second > 0) - 3 / stretches
    own = np.add.reduceat(values**2, begin, axis=-1)
    memory = np.maximum(np.divide(total, own, out=np.ones_like(own), where=own > 0), 1)
    found = np.full((3, *series.shape[:-1], len(busy)), np.nan)
    found[..., some] = np.sqrt(total), 2 / (2 / number + np.maximum(peaked, 0)), memory
    error, freedom, remembered = found
    return Errors(error, freedom, remembered, np.broadcast_to(cosines, error.shape))


def cosines_of(hours: Ints | Floats) -> Floats:
    """Return how many cosines tell the long-run variance of so many hours, which are the degrees of freedom of its t."""
    found: Floats = np.floor(0.4 * hours ** (2 / 3)).clip(_FEWEST_COSINES, _MOST_COSINES)
    return found


def _daily(values: Floats, slot: Ints) -> Floats:
    """Return the mean of each value's slot."""
    number = np.maximum(np.bincount(slot), 1)
    sums = [np.bincount(slot, one) for one in values.reshape(math.prod(values.shape[:-1]), len(slot))]
    return np.array([(total / number)[slot] for total in sums]).reshape(values.shape)


def student(freedom: Floats, level: float | Floats = LEVEL) -> Floats:
    """Return Student's t for a two-sided interval (Cornish and Fisher's expansion, within 1 % from 2 degrees on).

    Examples
    --------
    >>> student(np.array([3.0, 30.0])).round(2)
    array([3.18, 2.04])
    """
    z = np.array([NormalDist().inv_cdf(0.5 + one / 2) for one in np.ravel(level)]).reshape(np.shape(level))
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    found: Floats = z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms))
    return found


def p_values(excludes: Callable[[Floats], Flags], number: int) -> Floats:
    """Return 1 − the level from which on an interval holds 0, by bisection; ``excludes`` says at which of these it does not."""
    low, high = np.zeros(number), np.ones(number)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        beyond = excludes(middle)
        low, high = np.where(beyond, middle, low), np.where(beyond, high, middle)
    found: Floats = 1 - low
    return found


def _share_low(share: Floats, reach: Floats, of: Floats, *, plain: bool = True) -> Floats:
    """Return the lower end of an interval: that of the plain scale, and half that of log odds where it would fall below.

    What comes in few spells is lopsided: seldom a share far below its mean, oftener one far above it. The plain end is the lower
    one; but what was seen to happen has no share of 0, which log odds never reach. ``reach`` was measured at the share ``of``,
    which differs from ``share`` where many waits are equal.
    """
    odds = share / np.where(share < 1, 1 - share, np.nan)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        low = 1 / (1 + np.exp(reach / (of * (1 - of))) / odds)
    both = np.fmax(np.fmin(low, share - reach), low / 2) if plain else low
    return np.where((of > 0) & (of < 1) & (reach > 0), both, share - reach)


class Woodruff(NamedTuple):
    """Of quantiles, (groups, quantiles): the value, and the errors of the share that it stands for."""

    value: Floats
    error: Floats
    freedom: Floats
    memory: Floats
    cosines: Floats
    share: Floats

    def ends(self, sample: Sample, shares: Floats) -> tuple[Floats, Floats]:
        """Return the ends of the interval.

        The upper one is ``inf`` where its share passes 1. Of a quantile that is not reached the lower one takes ages as final.
        Both are NaN where they would say nothing: from the shortest wait to ``inf``.
        """
        reach = student(self.freedom) * self.error
        low, beyond = self._low(sample, shares, reach), np.isinf(self.value)
        high = quantiles(sample.curves, np.minimum(shares + reach, 1))
        high = np.where((shares + reach >= 1) & (reach > 0), np.inf, high)
        shortest = np.append(sample.curves.seconds, 0)[sample.curves.start[:-1]]
        unknown = (
            np.isnan(self.value) | np.isnan(reach) | (np.isinf(high) & ~beyond & (low <= shortest[:, None]))
        )
        return np.where(unknown, np.nan, low), np.where(unknown, np.nan, high)

    def _low(self, sample: Sample, shares: Floats, reach: Floats) -> Floats:
        low, beyond = quantiles(sample.curves, _share_low(shares, reach, self.share)), np.isinf(self.value)
        # so many wait already that it is a fact that they wait longer than this
        return np.where(beyond, quantiles(sample.curves.ages_final, shares), low) if beyond.any() else low

    def ends_to_compare(
        self, sample: Sample, shares: Floats, level: Floats, freedom: Floats
    ) -> tuple[Floats, Floats]:
        """Return ends that two windows are compared by, on the scale of log odds.

        The upper one is finite as soon as there are two independent spells of longer waits. Read off the longest waits of so
        few spells it is too low; but so it is on the other side, and with :meth:`ends` hardly any change would be found.
        """
        reach = student(freedom, level)[:, None] * self.error
        low = self._low(sample, shares, reach)
        high = quantiles(sample.curves, 1 - _share_low(1 - shares, reach, 1 - self.share, plain=False))
        with np.errstate(divide="ignore"):
            few = ((1 - self.share) / self.error) ** 2 < _FEWEST_SPELLS
        longest = np.append(sample.curves.seconds, 0)[sample.curves.start[1:] - 1]  # which nobody outlasts
        few |= (self.value >= longest[:, None]) & (reach > 0)
        high = np.where(few & (shares + reach >= 1), np.inf, high)
        unknown = np.isnan(self.value) | np.isnan(reach)
        return np.where(unknown, np.nan, low), np.where(unknown, np.nan, high)

    def reasons(self, sample: Sample, names: Sequence[str], low: Floats) -> list[str]:
        """Say of each group why it has no interval of some quantiles, by the lower ends; empty where it has all."""
        told = [""] * len(low)
        for group in np.flatnonzero(np.isnan(low).any(axis=1)).tolist():
            busy, without = int(sample.busy[group]), np.flatnonzero(np.isnan(low[group])).tolist()
            if busy < MIN_HOURS:
                told[group] = f"no interval: {busy} blocks of 1 h, {MIN_HOURS} are needed"
                continue
            memory = round(float(self.memory[group, without].max()))
            alike = f"hang together for {memory} at a time" if memory > 1 else "have few jobs"
            which = ", ".join(names[one] for one in without)
            told[group] = f"no interval of {which}: the {busy} hours {alike}, which is too little"
        return told


def quantile_errors(sample: Sample, shares: tuple[float, ...]) -> Woodruff:
    """Return Kaplan–Meier quantiles of every group with what their intervals follow from.

    Parameters
    ----------
    sample : Sample
        The rows.
    shares : sequence of float
        Quantiles between 0 and 1.

    Notes
    -----
    Woodruff (1952): the interval of the share of jobs below the quantile, read off the curve.
    """
    curves = sample.curves
    survival = curves.survival
    wanted = np.broadcast_to(np.array(shares), (len(curves.start) - 1, len(shares)))
    place = np.minimum(points_of(curves, wanted), np.maximum(curves.start[1:, None] - 1, 0))
    # where nobody outlasts the quantile, the jobs that it takes with it tell nothing: one point earlier
    if len(survival):
        place = np.where(survival[np.minimum(place, len(survival) - 1)] <= 0, place - 1, place)
    points, group = np.arange(len(survival)), curves.group
    of_row = sample.point + np.where(sample.ended, 0, len(points))
    series = []
    for column in range(len(shares)):
        reached = points <= place[group, column]
        this, another, censored = influence(curves, np.where(reached, curves.ended, 0.0))
        series.append(sample.by_hour(np.append(np.where(reached, this, another), censored)[of_row]))
    error, freedom, memory, cosines = (part.T for part in errors(np.array(series), sample.hour, sample.busy))
    share = np.where(place < curves.start[:-1, None], 0, 1 - np.append(survival, 1.0)[place])
    number = np.maximum(curves.sum(curves.ended + curves.unfinished), 1)[:, None]
    error = np.maximum(error, np.sqrt(share * (1 - share) / number))  # no surer than by independent jobs
    return Woodruff(quantiles(curves, shares), error, freedom, memory, cosines, share)


class Share(NamedTuple):
    """Shares of jobs with 95 % intervals, one a group; ``undecided`` is older than every end seen."""

    rate: Floats
    low: Floats
    high: Floats
    undecided: Floats


def share_that_ends(
    sample: Sample, this: Flags, sure: tuple[Floats, Floats] | None = None, *, intervals: bool = True
) -> Share:
    """Return the share of the jobs that end one way, with unfinished jobs censored.

    Parameters
    ----------
    sample : Sample
        The rows.
    this : bool array, shape (rows,)
        Rows whose jobs ended this way.
    sure : pair of numpy.ndarray, shape (groups,), optional
        Jobs that ended this way and another way at an unknown time: counted by how they ended, beside the curve.
    intervals : bool
        Without them ``low`` and ``high`` are NaN, in half the time.

    Returns
    -------
    Share
        NaN, and the interval (0, 1), where there are no jobs. What is older than every end seen may still end either way: it
        lies between ``rate`` and ``high``.
    """
    curves = sample.curves
    nobody = np.zeros(len(sample.busy))
    known = sure or (nobody, nobody)
    usable, timeless = curves.sum(curves.ended + curves.unfinished), known[0] + known[1]
    everybody = np.maximum(usable + timeless, 1)
    finals, lows = [], []
    for chosen, beside in zip((this, sample.ended & ~this), known, strict=True):
        cause, final = _final(sample, chosen)
        share = (usable * final + beside) / everybody
        finals.append(share)
        if not intervals:
            lows.append(np.full(len(share), np.nan))
            continue
        number, error = _error_of(sample, chosen, cause, final)
        low = wilson_low(share, number + timeless)
        inside = (final > 0) & (final < 1) & (sample.busy >= MIN_HOURS)
        reach = np.where(inside, student(error.freedom) * error.error, 0)
        hourly = np.where(inside, (usable * _share_low(final, reach, final) + beside) / everybody, 1.0)
        lows.append(np.clip(np.minimum(low, hourly), 0, 1))
    nothing = usable + timeless == 0
    undecided = np.where(nothing, 1.0, 1 - finals[0] - finals[1])
    return Share(
        np.where(nothing, np.nan, finals[0]),
        np.where(nothing, 0.0, lows[0]),
        np.where(nothing, 1.0, 1 - lows[1]),
        np.where(undecided > ROUNDING, undecided, 0.0),
    )


def _final(sample: Sample, chosen: Flags) -> tuple[Floats, Floats]:
    """Return the ends of this kind at each point of the curves, and where their incidence ends."""
    curves = sample.curves
    cause = np.bincount(sample.point, np.where(chosen, sample.jobs, 0), len(curves.seconds)).astype(
        np.float64
    )
    plain = curves.sum(curves.unfinished) == 0  # the same, without its rounding
    share = curves.sum(cause) / np.maximum(curves.sum(curves.ended), 1)
    return cause, share if plain.all() else np.where(plain, share, curves.last(incidence(curves, cause)))


def _error_of(sample: Sample, chosen: Flags, cause: Floats, final: Floats) -> tuple[Floats, Errors]:
    """Return how many independent jobs would give the variance of an incidence, and its errors."""
    curves = sample.curves
    ended = curves.sum(curves.ended)
    role = np.where(chosen, 0, np.where(sample.ended, 1, 2))
    moved = influence(curves, cause)[role, sample.point]
    squares = np.bincount(curves.group[sample.point], sample.jobs * moved**2, len(ended))
    binomial = final * (1 - final)  # of a sure end only rounding is left, which says nothing of the number
    sure = (binomial <= ROUNDING) | (squares <= 0)
    number = np.where(sure, ended, np.minimum(ended, binomial / np.where(sure, 1, squares)))
    return number, errors(sample.by_hour(moved), sample.hour, sample.busy)


def wilson_low(share: Floats, number: Floats) -> Floats:
    """Return the lower end of Wilson's 95 % interval; the upper one is 1 − that of the complement.

    Examples
    --------
    >>> round(1 - float(wilson_low(np.array(1.0), np.array(50))), 3)  # 0 of 50
    0.071
    """
    z, some = NormalDist().inv_cdf(0.5 + LEVEL / 2), np.maximum(number, 1e-9)
    middle = share + z**2 / (2 * some)
    reach = z * np.sqrt(share * (1 - share) / some + z**2 / (4 * some**2))
    low = np.clip((middle - reach) / (1 + z**2 / some), 0, share)
    return np.where(number > 0, low, 0.0)
