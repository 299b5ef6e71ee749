"""Since when? The hours at which the level of a quantile of the queue latency changed."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cosai_nb.errors import SettingsError
from cosai_nb.stats.counts import NO_HOUR, Groups, class_codes, count, hours_of
from cosai_nb.stats.durations import curves_of
from cosai_nb.stats.intervals import errors, student
from cosai_nb.stats.latency import name_of, one_share
from cosai_nb.stats.measures import ENDED, GAVE_UP, HOUR_MS, group_columns, moments
from cosai_nb.stats.survival import Curves, quantiles
from cosai_nb.stats.tally import rank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cosai_nb.stats.measures import Floats, Ints

_DAY, _WEEK, _WEEKS = 24, 168, 3
_BY_CHANCE = 0.01
_SHORTEST = 12
"""Hours with jobs that a level lasts, at least."""
FEWEST_HOURS = 30
"""In fewer hours with jobs no step, however large, outweighs the penalty."""
_ENOUGH_FOR_SCALE = 1000


def change_points(jobs: Any, *, q: float = 0.95, by: str | Sequence[str] | None = None) -> pd.DataFrame:
    """Return the hours of creation at which the level of a quantile of the queue latency changed.

    Parameters
    ----------
    jobs : pandas.DataFrame, path, JobStore or DurationHistogram
        One row per job, or their histogram; 30 hours with jobs or more, else no change can be found.
    q : float
        Quantile between 0 and 1.
    by : str or list of str, optional
        Columns (keys of the histogram) to group by.

    Returns
    -------
    pandas.DataFrame
        One row per change, none where there is none (index: labels of the group, ``all`` without ``by``).

        ========================= =================================================================
        time                      the first hour with the new level
        p95_before, p95_after     quantile of all jobs since the change before, and until the next one [seconds]
        ratio                     after ÷ before
        jobs_before, jobs_after   number of these jobs
        found_by                  ``level``: the hourly quantile, or ``waits``: how many of the hour's jobs wait longer than the
                                  quantile of all
        ========================= =================================================================

        ``attrs["note"]`` names groups with too few hours, or too few weeks to know a weekly pattern; ``attrs["left_out"]`` counts the rows that are no jobs.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.
    SettingsError
        ``q`` is not one quantile between 0 and 1, or ruptures is not installed (the extra ``changes``).

    Notes
    -----
    ``ruptures.KernelCPD("rbf", min_size=12)`` with the penalty 3·log(n) on the logarithm of each hour's Kaplan–Meier
    quantile [1]_; a level lasts 12 hours at least. Hours without jobs are skipped: a change is a difference between hours that have jobs. What is below a
    second, the clock's step, counts as one. An hour whose quantile is not reached keeps the level of the last hour that
    reached it, or its own lower bound where that is higher: jobs that still wait can raise the level and never lower it.

    An hour's quantile is noisy where few jobs wait at all. Where it shows no change, the largest CUSUM of the jobs that wait longer
    than the quantile of all hours is compared with its long-run deviation [2]_, at 1 % (Kolmogorov's distribution), widened as
    Student's t is for a deviation that is estimated.

    From three days on the mean of each hour of the day, from two weeks on that of each hour of the week is taken off both
    series. Two weeks that differ and a pattern of two weeks look alike; it takes a third to tell, and ``note`` says where there is none.

    References
    ----------
    .. [1] Arlot, Celisse and Harchaoui (2019), A kernel multiple change-point algorithm via model selection.
    .. [2] Csörgő and Horváth (1997), Limit theorems in change-point analysis.

    Examples
    --------
    >>> import pandas as pd
    >>> import cosai_nb as cn
    >>> created = pd.Series(pd.date_range("2026-11-01", periods=48, freq="h", tz="UTC"))
    >>> started = created + pd.to_timedelta([10] * 24 + [90] * 24, unit="s")
    >>> times = {"CreationTime": created, "StartTime": started, "EndTime": started}
    >>> texts = pd.DataFrame({name: time.dt.strftime("%Y-%m-%dT%H:%M:%SZ") for name, time in times.items()})
    >>> jobs = cn.add_timings(texts.assign(JobId=created.index.astype(str), State="Success", Tag="t", QueueId="q1"))
    >>> cn.change_points(jobs)[["time", "p95_before", "p95_after", "ratio"]]
                             time  p95_before  p95_after  ratio
    all 2026-11-02 00:00:00+00:00        10.0       90.0    9.0
    """
    names, share = group_columns(by), one_share(q)
    find = _change_finder()
    counted = count(jobs, names, "queue_latency")
    table, name = counted.table, name_of(share)
    groups = Groups.of(table, names)
    rows, places, notes = list[tuple[Any, ...]](), list[int](), []
    for number, (hours, levels, excess) in enumerate(_by_hour(table, groups, share)):
        if short := _too_short(hours):
            notes.append(f"{', '.join(str(label) for label in groups.plain_labels[number])}: {short}")
        if len(hours) < FEWEST_HOURS:
            continue
        # below the clock's step of a second nothing can be told apart
        found, how = find(_without_profile(np.log(np.maximum(levels, 1)), hours)), "level"
        if not found:
            found, how = _largest_cusum(_without_profile(excess, hours), hours), "waits"
        seconds, of_jobs = _levels_between(table[groups.of_row == number], hours[found], share)
        for place, hour in enumerate(hours[found].tolist()):
            rows.append((hour, *seconds[place : place + 2], *of_jobs[place : place + 2], how))
            places.append(number)
    dtypes = {
        "time": "int64",
        f"{name}_before": "float64",
        f"{name}_after": "float64",
        "jobs_before": "int64",
        "jobs_after": "int64",
        "found_by": "str",
    }
    told = pd.DataFrame(rows, columns=list(dtypes)).astype(dtypes)
    told["time"] = moments(told["time"].to_numpy() * HOUR_MS)
    told.insert(3, "ratio", told[f"{name}_after"] / told[f"{name}_before"])
    told = told.set_axis(groups.rows[np.array(places, dtype=np.int64)])
    told.attrs = {"left_out": counted.left_out, "note": "; ".join(notes)}
    return told


def _by_hour(table: pd.DataFrame, groups: Groups, share: float) -> Iterator[tuple[Ints, Floats, Floats]]:
    """Yield for each group the hours of creation that have usable jobs, in order, and two values of each.

    The quantile [seconds]: where an hour does not reach it, the level of the last hour that did, or the hour's own lower bound
    (ages taken as final) where that is higher, so jobs that still wait can raise a level and never lower it. And the number of jobs
    that wait longer than the quantile of all hours, less what is expected of so many; jobs that may go either way are in neither.
    """
    rows = np.flatnonzero((class_codes(table) <= GAVE_UP) & (hours_of(table) != NO_HOUR))
    of_row = groups.of_row[rows]
    (of_group, hour), slot = rank([of_row, hours_of(table)[rows]])
    seconds, jobs = (table[name].to_numpy()[rows] for name in ("seconds", "jobs"))
    ended = class_codes(table)[rows] == ENDED
    curves, _ = Curves.of(len(hour), slot, seconds, ended, jobs)
    level, bound = (quantiles(one, (share,))[:, 0] for one in (curves, curves.ages_final))
    reached = ~np.isinf(level)
    last = pd.Series(level).where(reached).groupby(of_group).ffill().fillna(0).to_numpy()
    level = np.where(reached, level, np.maximum(last, bound))
    of_all, _ = Curves.of(groups.number, of_row, seconds, ended, jobs)
    longer = seconds > quantiles(of_all, (share,))[of_row, 0]
    above, known = (
        np.bincount(slot, np.where(chosen, jobs, 0.0), len(hour)) for chosen in (longer, ended | longer)
    )
    of_both = [np.bincount(of_group, one, groups.number) for one in (above, known)]
    excess = above - known * (of_both[0] / np.maximum(of_both[1], 1))[of_group]
    edges = np.searchsorted(of_group, np.arange(groups.number + 1))
    for begin, end in pairwise(edges.tolist()):
        yield hour[begin:end], level[begin:end], excess[begin:end]


def _too_short(hours: Ints) -> str:
    """Say what cannot be told in so few hours; empty where everything can."""
    if len(hours) < FEWEST_HOURS:
        return f"{len(hours)} hours with usable times, {FEWEST_HOURS} are needed"
    weeks = (hours[-1] + 1 - hours[0]) / _WEEK
    return (
        ""
        if weeks >= _WEEKS
        else f"{weeks:.1f} weeks, a weekly pattern may look like a change in less than {_WEEKS}"
    )


def _without_profile(series: Floats, hours: Ints) -> Floats:
    """Take off the mean of each hour of the week, or of the day where there are less than two weeks."""
    span = hours[-1] + 1 - hours[0] if len(hours) else 0
    period = _WEEK if span >= 2 * _WEEK else _DAY if span >= 3 * _DAY else 0
    if not period:
        return series
    number = np.bincount(hours % period, minlength=period)
    mean = np.bincount(hours % period, series, period) / np.maximum(number, 1)
    found: Floats = series - mean[hours % period]
    return found


def _largest_cusum(series: Floats, hours: Ints) -> list[int]:
    """Return where the mean of a series changes, if that is not chance."""
    if len(series) <= 2 * _SHORTEST:
        return []
    total = np.cumsum(series - series.mean())
    place = int(np.argmax(np.abs(total[_SHORTEST:-_SHORTEST]))) + _SHORTEST + 1
    rest = np.concatenate((series[:place] - series[:place].mean(), series[place:] - series[place:].mean()))
    found, level = errors(rest, hours, np.array([len(rest)])), 1 - _BY_CHANCE
    widened = student(found.cosines, level) / NormalDist().inv_cdf(0.5 + level / 2)
    # the tail of Kolmogorov's distribution
    surprising = float(math.sqrt(math.log(2 / _BY_CHANCE) / 2) * widened[0] * found.error[0])
    return [place] if abs(total[place - 1]) > surprising > 0 else []


def _levels_between(table: pd.DataFrame, changes: Ints, share: float) -> tuple[Floats, Ints]:
    """Measure each stretch up to, between and after the changes on all of its jobs, as queue_latency would."""
    hour = hours_of(table)
    known = hour != NO_HOUR
    inside, stretch = table[known], np.searchsorted(changes, hour[known], side="right")
    curves = curves_of(inside, stretch, len(changes) + 1)
    jobs = np.bincount(stretch, inside["jobs"], len(changes) + 1).astype(np.int64)
    return quantiles(curves, (share,))[:, 0], jobs


def _change_finder() -> Callable[[Floats], list[int]]:
    """Return the function that finds where a series of logarithms of levels breaks; SettingsError without ruptures."""
    try:
        from ruptures import KernelCPD  # noqa: PLC0415 - an extra: only who looks for change points needs it
    except ImportError as error:
        raise SettingsError(
            "change_points needs the package ruptures, which cannot be imported; "
            'install it with pip install "cosai_nb[changes]".'
        ) from error

    def find(signal: Floats) -> list[int]:
        search = KernelCPD("rbf", min_size=_SHORTEST, params={"gamma": _scale(signal)}).fit(signal[:, None])
        return [int(place) for place in search.predict(pen=3 * math.log(len(signal)))[:-1]]

    return find


def _scale(signal: Floats) -> float:
    """Return 1 ÷ the median squared distance, as ruptures would; its own way takes 2 GB for the hours of a year."""
    some = signal[np.unique(np.linspace(0, len(signal) - 1, _ENOUGH_FOR_SCALE).astype(np.int64))]
    apart = np.median((some[:, None] - some)[np.triu_indices(len(some), 1)] ** 2)
    return float(1 / apart) if apart > 0 else 1.0
