"""The rate at which a queue starts its jobs while it is not empty, and since when it has been steady.

::

    pace_of(jobs, now)      Pace: the newest starts of jobs that waited, and the time in which the queue was not empty
    steady_since(clock, …)  the part of some events whose rate did not change
    clumps(times, …)        the variance over the mean of numbers of events
    scatter_of(run)         the same of starts, in the end: cv² of the run times

Rate = starts of jobs that waited ÷ time in which the queue was not empty, over the last hour and the newest 100 starts at least;
only since it last changed, if it did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cosai_nb.stats.order import FEWEST, NEWEST, WINDOW_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from cosai_nb.stats.measures import Flags, Floats, Ints
    from cosai_nb.stats.order import Jobs

_STOP_S, _STOP_GAPS, _LONGER = 60.0, 20.0, 1.5
_KOLMOGOROV = 1.63  # of unchanged rates, 1 % seem changed
_PARTS, _FEW_LEFT = 20, 3
_STEP = 0.15


class Pace(NamedTuple):
    """Starts of jobs that waited, after ``begin``; ``span`` is the time since then in which the queue was not empty [s].

    A pause as long as ``stop`` is one. ``leaving`` is how many give up by second of waiting, ``running`` the mean number running
    in that time, ``clumps`` the variance over the mean of the starts.
    """

    starts: Floats
    begin: float
    span: float
    stop: float
    leaving: float = 0.0
    running: float = 0.0
    changed: bool = False
    clumps: float = 1.0


def pace_of(jobs: Jobs, now: float, *, whole: bool = False) -> Pace:
    """Return the newest starts that tell the rate: those since it changed, or all."""
    begun = jobs.moved[jobs.started(-np.inf, now)]
    newest = np.unique(begun)[-NEWEST:]
    stop = _stop(newest) if len(newest) > 1 else 0.0
    waited = (jobs.moved > jobs.created) & (jobs.created < now)
    starts = np.sort(jobs.moved[waited & jobs.started(-np.inf, now)])
    # what moved earlier than any of these jobs is not there any more
    since = max(min([now - WINDOW_S, *starts[-NEWEST:][:1]]), float(jobs.moved.min(initial=now)))
    starts = starts[starts > since]
    if not len(starts):
        return Pace(starts, now, 0.0, stop)
    inside = waited & (jobs.moved > since)
    begin, end = np.maximum(jobs.created[inside], since), np.minimum(jobs.moved[inside], now)
    leaving = _leaving(begin, end, jobs.gave_up[inside] & (jobs.moved[inside] <= now))
    busy = _clock(begin, end)
    clock, total = busy(starts), float(busy(now))
    cut, zero, pause = 0, 0.0, 0.0
    if not whole:
        cut, zero = _since_step(jobs.running(starts), clock)
        more, later, pause = steady_since(clock[cut:] - zero, total - zero, scatter_of(jobs.ran))
        cut, zero = cut + more, zero + later
    begin, end = jobs.moved[jobs.begun], np.fmin(jobs.ended[jobs.begun], now)
    ran = np.maximum(busy(end), zero) - np.maximum(busy(np.minimum(begin, now)), zero)
    span, first = total - zero, float(starts[cut - 1]) if cut else since
    running, lumps = float(ran.sum()) / max(span, 1e-9), _clumps(clock[cut:] - zero, span)
    return Pace(starts[cut:], first, span, max(pause, stop), leaving, running, cut > 0, lumps)


def spells(begin: Floats, end: Floats) -> tuple[Floats, Floats]:
    """Return the begin and the end of the spells in which somebody waited."""
    order = np.argsort(begin, kind="stable")
    begin, end = begin[order], np.maximum.accumulate(end[order])
    fills = np.append(True, begin[1:] > end[:-1])
    return begin[fills], end[np.append(fills[1:], True)]


def _clock(begin: Floats, end: Floats) -> Callable[[Any], Any]:
    """Return what tells for how long, by a moment, somebody had waited: the clock stands still while nobody does."""
    first, last = spells(begin, end)
    knots, busy = np.column_stack((first, last)), np.column_stack((np.zeros(len(first)), last - first))
    return lambda moments: np.interp(moments, knots.ravel(), np.cumsum(busy))


def _leaving(begin: Floats, end: Floats, gave_up: Flags) -> float:
    """Return how many give up by second of waiting; of many that are cancelled together nothing follows for the others."""
    if not gave_up.any():
        return 0.0
    moments = np.concatenate((begin, end))
    order = np.argsort(moments, kind="stable")
    length = np.cumsum(np.repeat((1, -1), len(begin))[order])
    waited = np.append(0.0, np.cumsum(length[:-1] * np.diff(moments[order])))
    total = max(float(waited[-1]), 1.0)
    # twenty parts of the waiting, in each of which as many would give up
    part = np.interp(end[gave_up], moments[order], waited) * (_PARTS / total)
    each = np.bincount(np.minimum(part.astype(np.int64), _PARTS - 1), minlength=_PARTS)
    usual = each <= _FEW_LEFT + 3 * np.sort(each)[: 3 * _PARTS // 4].mean()
    return float(each[usual].sum() / max(total * usual.mean(), 1.0))


def _since_step(running: Ints, clock: Floats) -> tuple[int, float]:
    """Return how many starts came until as many servers ran as do now, and when: few tell it, of a queue that is seen whole."""
    away = np.cumsum(running - running.mean())
    step = int(np.argmax(np.abs(away))) + 1
    before, after = running[:step], running[step:]
    if (
        not (alike(before) and alike(after))
        or abs(np.log(max(after.mean(), 1.0) / max(before.mean(), 1.0))) < _STEP
    ):
        return 0, 0.0
    zero = float(clock[step])
    return int(np.searchsorted(clock, zero, side="right")), zero


def alike(running: Ints) -> bool:
    """Say whether as many ran each time a waiting job started: of a whole queue its servers, of a sample any number."""
    return len(running) > 0 and bool(running.var() <= 0.1 * max(float(running.mean()) - 1, 0.5))


def steady_since(clock: Floats, now: float, scatter: float) -> tuple[int, float, float]:
    """Return how many events came before their rate last changed, when that was, and how long a pause is one after it.

    Parameters
    ----------
    clock : numpy.ndarray
        When each event came, on a clock that runs from 0 to ``now`` [s].
    scatter : float
        Variance over mean of the number of events, at least.

    Notes
    -----
    A pause of a minute and of 20 usual gaps is a change, if there were not longer ones before; so is what Kolmogorov and
    Smirnov's test finds at 1 % (the largest cumulative sum). Events that come in clumps are as many as there are clumps.
    """
    cut, zero, stop = 0, 0.0, 0.0
    while len(clock) - cut >= FEWEST and now > zero:
        part, span = clock[cut:], now - zero
        stop = _stop(np.append(zero, part))
        pauses = np.flatnonzero(np.diff(part, prepend=zero) > stop)
        away = np.abs(np.arange(1, len(part) + 1) / len(part) - (part - zero) / span)
        if len(pauses):
            more = int(pauses[-1])
        elif away.max() * np.sqrt(len(part) / max(scatter, _clumps(part - zero, span))) > _KOLMOGOROV:
            more = int(np.argmax(away))
        else:
            break
        zero = float(part[more])
        # those of its second fill servers that were idle
        cut = int(np.searchsorted(clock, zero, side="right"))
    return cut, zero, stop


def _stop(times: Floats) -> float:
    """Return how long a pause is a stop: much longer than is usual, and than the third longest of these."""
    gaps = np.sort(np.diff(times))
    third = float(gaps[-3]) if len(gaps) > FEWEST else 0.0
    usual = float(np.ptp(times)) / max(len(np.unique(times)) - 1, 1)
    return max(_STOP_S, _STOP_GAPS * usual, _LONGER * third)


def _clumps(clock: Floats, span: float) -> float:
    return clumps(clock, span, min(len(clock) // FEWEST + 2, 20))


def clumps(times: Floats, span: float, bins: int) -> float:
    """Return the variance over the mean of the events in so many bins from 0 on; one slow change of the rate adds little."""
    if span <= 0:
        return 1.0
    each = np.bincount(np.clip(times * (bins / span), 0, bins - 1).astype(np.int64), minlength=bins)
    return float((np.diff(each) ** 2).mean() / 2 / max(each.mean(), 1e-9))


def scatter_of(run: Floats) -> float:
    """Return the squared coefficient of variation of run times, 1 at least."""
    run = run[~np.isnan(run)]
    if len(run) < FEWEST or run.mean() <= 0:
        return 1.0
    return max(1.0, float(run.var() / run.mean() ** 2))


def variance_of_starts(number: Any, servers: float, scatter: float) -> Any:
    """Return the variance over the mean of so many starts: 1 for the first of each server, cv² of the run times in the end."""
    return 1 + (scatter - 1) * number / (number + max(servers, 1.0))
