"""The moves of jobs through a queue as flows: who arrives, starts, ends or leaves the line, when, in which group.

::

    read_flows(jobs, names)      Flows of a frame (to the millisecond) or of a histogram (to the hour)
    Bins(first, number, width)   a run of equal time bins that start at multiples of their width since the epoch
    in_bins(flow, bins, groups)  jobs of each (group, bin)
    peak(…)                      largest level of each (group, bin), from the steps themselves

A job counts while its times can be believed: one whose creation or start is not usable is in no flow, one whose end is not
usable ends where it starts. So ``arrivals − starts − left`` is the number waiting, ``starts − ends`` the number running.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from cosai_nb.errors import SettingsError
from cosai_nb.stats.censoring import ENDED, UNFINISHED, measure_jobs, only_jobs
from cosai_nb.stats.coding import Coded, Ints, code_hours, code_labels, compact, number_cells
from cosai_nb.stats.frames import HOUR_MS, MISSING, milliseconds
from cosai_nb.stats.histogram import DurationHistogram, as_histogram
from cosai_nb.stats.histogram_table import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cosai_nb.stats.curves import Floats

_SECOND_MS = 1000


class Flow(NamedTuple):
    """Moves: the group and the time [ms since the epoch] of each, and how many jobs made it (None: one each)."""

    group: Ints
    time: Ints
    jobs: npt.NDArray[Any] | None = None


class Flows(NamedTuple):
    """Every move of every job.

    ``unusable`` jobs are in no flow; ``without_end`` jobs end where they start. ``done`` are the ends of the jobs whose run time is known, with total and run seconds as ``jobs`` of two flows; ``exact``
    is False where times are known to the hour only, and then ``done`` is None. ``waited_s`` are all waits, ages of waiting
    jobs among them, added up.
    """

    labels: list[tuple[Any, ...]]
    queues: list[tuple[str | None, ...]]
    arrivals: Flow
    starts: Flow
    ends: Flow
    left: Flow
    done: tuple[Flow, Flow] | None
    waited_s: float
    as_of: pd.Timestamp | Any
    unusable: int
    without_end: int | None
    left_out: dict[str, int]

    @property
    def exact(self) -> bool:
        """Whether single jobs are known, or hours only."""
        return self.done is not None

    @property
    def last_ms(self) -> int:
        """As-of time [ms since the epoch], or the last move where nobody said when the jobs were seen."""
        if not pd.isna(self.as_of):
            return int(self.as_of.timestamp() * 1000)
        return max(
            int(flow.time.max(initial=0)) for flow in (self.arrivals, self.starts, self.ends, self.left)
        )


class Bins(NamedTuple):
    """Equal bins: the number of the first (since the epoch), how many, and their width [ms]."""

    first: int
    number: int
    width: int

    @property
    def edges(self) -> Ints:
        """Start of each bin [ms since the epoch]."""
        return (self.first + np.arange(self.number, dtype=np.int64)) * self.width


def read_flows(jobs: pd.DataFrame | DurationHistogram, names: tuple[str, ...]) -> Flows:
    """Return the moves of the jobs, grouped by these columns; a missing label is None.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.
    """
    return _of_histogram(jobs, names) if isinstance(jobs, DurationHistogram) else _of_frame(jobs, names)


def _of_frame(jobs: pd.DataFrame, names: tuple[str, ...]) -> Flows:
    kept, left_out = only_jobs(jobs, names)
    measured = measure_jobs(kept)
    created, started, ended = (
        milliseconds(kept[name]) for name in ("creation_time", "start_time", "end_time")
    )
    columns = {
        name: code_hours(kept["creation_time"]) if name == "hour" else code_labels(kept[name])
        for name in {*names, "queue_id"}
    }
    labels, queues, group = _groups(columns, names)
    latency, run = measured["queue_latency"], measured["run_time"]
    known = (latency.kind <= UNFINISHED) & (created != MISSING)
    run_known = (measured["end_hour"].kind == ENDED) & (run.kind == ENDED)
    done = np.flatnonzero(run_known)
    of_done = group[done], ended[done]
    return Flows(
        labels=labels,
        queues=queues,
        arrivals=_flow(group, created, known),
        starts=_flow(group, started, measured["start_hour"].kind == ENDED),
        ends=_flow(group, np.where(run_known, ended, started), measured["end_hour"].kind == ENDED),
        left=_flow(group, created + latency.value * 1000, measured["left_hour"].kind == ENDED),
        done=(Flow(*of_done, (latency.value + run.value)[done]), Flow(*of_done, run.value[done])),
        waited_s=float(latency.value[known].sum()),
        as_of=kept["observed_at"].max(),
        unusable=int((~known).sum()),
        without_end=int(((measured["end_hour"].kind == ENDED) & ~run_known).sum()),
        left_out=left_out,
    )


def _flow(group: Ints, time: Ints, chosen: npt.NDArray[np.bool_]) -> Flow:
    return Flow(group, time) if chosen.all() else Flow(group[chosen], time[chosen])


def _of_histogram(jobs: DurationHistogram, names: tuple[str, ...]) -> Flows:
    histogram = as_histogram(jobs, names)
    columns = {name: histogram.coded(name) for name in {*names, "queue_id"}}
    labels, queues, group = _groups(columns, names)
    hours, codes = histogram.coded("hour")
    hour = np.append(hours, 0)[codes]
    latency = histogram.counts("queue_latency")
    known = (latency.kind <= UNFINISHED) & (codes >= 0)[latency.cell]

    def moves(measure: str) -> Flow:
        rows = histogram.counts(measure)
        return Flow(group[rows.cell], (hour[rows.cell] + rows.value) * HOUR_MS, rows.jobs)

    cell = latency.cell[known]
    return Flows(
        labels=labels,
        queues=queues,
        arrivals=Flow(group[cell], hour[cell] * HOUR_MS, latency.jobs[known]),
        starts=moves("start_hour"),
        ends=moves("end_hour"),
        left=moves("left_hour"),
        done=None,
        waited_s=float((latency.value * latency.jobs)[known].sum()),
        as_of=histogram.as_of,
        unusable=int(latency.jobs[~known].sum()),
        without_end=None,
        left_out=histogram.left_out,
    )


def _groups(
    columns: dict[str, Coded], names: tuple[str, ...]
) -> tuple[list[tuple[Any, ...]], list[tuple[str | None, ...]], Ints]:
    """Labels of each group, the queues that its jobs are in, and the group of each row."""
    queue_labels, queue_codes = columns["queue_id"]
    size = len(queue_codes)
    if names and size:
        distinct, group = number_cells([columns[name] for name in names])
        labels = [
            tuple(_label(name, columns[name], int(code)) for name, code in zip(names, codes, strict=True))
            for codes in zip(*distinct, strict=True)
        ]
    else:
        labels, group = [] if names else [("all",)], np.zeros(size, dtype=np.int64)
    queues: list[list[str | None]] = [[] for _ in labels]
    width = len(queue_labels) + 1
    pairs, _ = compact(group * width + queue_codes % width, len(labels) * width)
    for pair in pairs.tolist():
        number, code = divmod(pair, width)
        queues[number].append(str(queue_labels[code]) if code < len(queue_labels) else None)
    return labels, [tuple(names_of) for names_of in queues], group


def _label(name: str, column: Coded, code: int) -> Any:
    return None if code < 0 else shown(name, column.labels, code)


def in_bins(flow: Flow, bins: Bins, groups: int, weights: npt.NDArray[Any] | None = None) -> Floats:
    """Add up the jobs (or other weights) of each group and bin, (groups, bins); moves outside of the bins are not counted."""
    place = flow.time // bins.width - bins.first
    weights = flow.jobs if weights is None else weights
    inside = (place >= 0) & (place < bins.number)
    place += flow.group * bins.number
    if not inside.all():
        place, weights = place[inside], None if weights is None else weights[inside]
    return np.bincount(place, weights, groups * bins.number).reshape(groups, bins.number).astype(np.float64)


def peak(up: Flow, down: Flow, bins: Bins, before: Floats) -> Floats:
    """Return the largest level within each (group, bin), moves of the same moment taken together.

    Parameters
    ----------
    up, down : Flow
        Moves that raise and lower the level, one job each.
    bins : Bins
        The bins.
    before : numpy.ndarray, shape (groups, bins)
        The level at the start of each bin.
    """
    start, stop = bins.first * bins.width, (bins.first + bins.number) * bins.width
    moves = [flow.group * (stop - start) + np.maximum(flow.time - start, 0) for flow in (up, down)]
    moves = [move[flow.time < stop] for move, flow in zip(moves, (up, down), strict=True)]
    change = np.concatenate([np.full(len(move), sign) for move, sign in zip(moves, (1, -1), strict=True)])
    moment = np.concatenate(moves)
    highest = before.copy()
    if not len(moment):
        return highest
    unit = 1 if (moment % _SECOND_MS).any() else _SECOND_MS
    moments, place = compact(moment // unit, before.shape[0] * (stop - start) // unit)
    level = np.cumsum(np.bincount(place, change, len(moments)))
    groups, bin_of = np.divmod(moments, (stop - start) // unit)
    level -= np.append(0.0, level)[np.searchsorted(groups, groups)]
    slot = groups * bins.number + bin_of // (bins.width // unit)
    first = np.flatnonzero(np.append(True, slot[1:] != slot[:-1]))
    flat = highest.reshape(-1)
    flat[slot[first]] = np.maximum(flat[slot[first]], np.maximum.reduceat(level, first))
    return highest


def join(one: Flow, other: Flow) -> Flow:
    """Return the moves of both, one job each."""
    return Flow(np.concatenate((one.group, other.group)), np.concatenate((one.time, other.time)))


def width_ms(freq: str | pd.Timedelta, name: str = "freq") -> int:
    """Return a width of time in milliseconds; SettingsError unless it is fixed and a number of whole seconds."""
    try:
        milliseconds = pd.Timedelta(freq) / pd.Timedelta("1ms")
    except (ValueError, TypeError) as error:
        raise SettingsError(
            f"{name}={freq!r} is no fixed width of time; write '1min', '1h' or '1D'."
        ) from error
    if not (milliseconds >= _SECOND_MS and milliseconds % _SECOND_MS == 0):
        raise SettingsError(
            f"{name}={freq!r} must be a number of whole seconds, as in '60s': the service's times are no finer."
        )
    return int(milliseconds)


def moment_index(times: Sequence[int] | Ints) -> pd.DatetimeIndex:
    """Return milliseconds since the epoch as times."""
    return pd.DatetimeIndex(np.asarray(times, dtype=np.int64).astype("datetime64[ms]"), tz="UTC")
