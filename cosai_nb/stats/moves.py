"""The moves of jobs (arrival, start, end, left without a start), added up by bin of time and second by second.

A state is the sum of its moves: jobs wait from their arrival to their start, and run from there to their end. One pass adds up the
moves by bin, and by second for how large a state was within each bin. Where the seconds do not fit into memory at once, one
stretch of time after the other is read for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from cosai_nb.errors import SettingsError
from cosai_nb.stats.counts import (
    MOVES,
    NO_HOUR,
    Counted,
    Counter,
    Groups,
    batches,
    class_codes,
    hours_of,
    only_jobs,
)
from cosai_nb.stats.measures import HOUR_MS, UNUSABLE, Rows, Windows, moments
from cosai_nb.stats.tally import Tally, joined, tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cosai_nb.stats.measures import Floats, Ints

T = TypeVar("T")
Sums = tuple[Any, Any]
"""Cells of a table, and what is added to each."""

MOST_ROWS = 5_000_000
_MOST_MOMENTS = 6_000_000
"""Moments at which a state changes that are held at once; of more, stretch after stretch is read."""
_DENSE = 4
"""Seconds are held as a table where there are no more of them for a moment."""
CHANGES = {"waiting": {"arrival": 1, "start": -1, "left": -1}, "running": {"start": 1, "end": -1}}
"""The states, and by how much a move changes each."""


class Bins(NamedTuple):
    """Bins of time behind each other: the start of each and the end of the last [seconds since the epoch]."""

    edges: Ints

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self.edges) - 1

    @property
    def seconds(self) -> int:
        """How long they are together."""
        return int(self.edges[-1] - self.edges[0])

    def place(self, seconds: Ints) -> Ints:
        """Return the bin of each second after the first edge: below 0 before the first, :attr:`number` or more after the last."""
        widths = np.diff(self.edges)
        if self.number and (widths == widths[0]).all():  # a tenth of the time
            return seconds // widths[0]
        return np.searchsorted(self.edges, seconds + self.edges[0], side="right") - 1


def _edges(first: int, last: int, windows: Windows, groups: int) -> Ints:
    """Return the edges of the bins from that of a full hour to that of a time [ms]; SettingsError where these are too many."""
    begin, end = windows.start(np.array([first, last])).tolist()
    number = -((begin - end) // windows.width) + 1  # rounded up: a span with a short day in it is no multiple
    if (number - HOUR_MS // windows.width) * groups > MOST_ROWS:  # the first job may come late in that hour
        since, until = moments([begin, end + windows.width])
        raise SettingsError(
            f"{since:%Y-%m-%d} to {until:%Y-%m-%d} in bins of {pd.Timedelta(windows.width, 'ms')} for {groups} groups are up to "
            f"{number * groups:,} rows; choose a coarser freq, or drop the jobs with a wrong creation_time."
        )
    # where clocks change, a day is not 24 h long, and one window of two hours lasts one
    edges = np.unique(windows.start(begin + np.arange(2 * number + 2) * (windows.width // 2)))
    return edges[: np.searchsorted(edges, end, side="right") + 1] // 1000


class _Moved(NamedTuple):
    """Jobs that made a move: their group, the moment [ms since the epoch], and what is added up by name (None: their number)."""

    group: Ints
    moment: Ints
    weights: dict[str, Ints | None]

    def within(self, edges: Ints) -> tuple[_Moved, Ints]:
        """Leave out what lies before the first edge and after the last; return the second of the rest after the first, too."""
        second = self.moment // 1000 - edges[0]
        width = edges[-1] - edges[0]
        if not len(second) or (second.min() >= 0 and second.max() < width):
            return self, second
        rows = np.flatnonzero((second >= 0) & (second < width))
        weights = {name: None if weight is None else weight[rows] for name, weight in self.weights.items()}
        return _Moved(self.group[rows], self.moment[rows], weights), second[rows]


class _Cells:
    """Cells of a table of slots of time, each with all groups behind each other, in which jobs lie."""

    def __init__(self, cells: Ints) -> None:
        self._first = int(cells.min()) if len(cells) else 0
        cells -= self._first
        self._cells, width = cells, int(cells.max(initial=-1)) + 1
        self._dense = width <= max(_DENSE * len(cells), 2**16)

    def sum(self, weights: Ints | None = None) -> Sums:
        """Add up a weight of each job, or their number, where it lies: in a slice of the cells, or in some of them."""
        if self._dense:
            sums = np.bincount(self._cells, weights)
            # of a batch their number is below 2³¹; half the bytes are added in a third of the time
            sums = sums.astype(np.int32 if weights is None else np.int64)
            return slice(self._first, self._first + len(sums)), sums
        (cells,), sums = tally([self._cells], weights)
        return self._first + cells.astype(np.int64), sums


class _Stretch:
    """By how much states change in each second of some bins: a table, or where that were nearly empty, its cells."""

    def __init__(self, groups: int, edges: Ints, moments: int, states: Sequence[str]) -> None:
        self._groups, self.edges, width = groups, edges, int(edges[-1] - edges[0])
        dense = groups * width <= max(_DENSE * moments, 2**20)
        self._tables = {name: np.zeros(groups * width, np.int32) for name in states if dense}
        self._cells: dict[str, list[Tally]] = {name: [] for name in states if not dense}

    def sums(self, moves: Sequence[_Moved], _: object = None) -> dict[str, Sums]:
        """Count the moves of a batch by second."""
        inside = [moved.within(self.edges) for moved in moves]
        return {
            move: _Cells(second * self._groups + moved.group).sum()
            for move, (moved, second) in zip(MOVES, inside, strict=True)
        }

    def add(self, found: dict[str, Sums]) -> None:
        """Add the moves of a batch."""
        for state in (*self._tables, *self._cells):
            for move, sign in CHANGES[state].items():
                where, number = found[move]
                if self._tables:
                    self._tables[state][where] += number if sign > 0 else -number
                    continue
                if isinstance(where, slice):
                    used = np.flatnonzero(number)
                    where, number = where.start + used, number[used]
                self._cells[state].append(([where], sign * number))  # each state uses its own up

    def cut(self, bins: int) -> None:
        """Leave out the first bins."""
        first = int(self.edges[bins] - self.edges[0]) * self._groups
        for table in self._tables.values():
            table[:first] = 0
        for cells in self._cells.values():
            cells[:] = [([cell], np.where(cell < first, 0, change)) for (cell,), change in cells]

    def within_bins(self, state: str, edges: Ints, largest: Floats, area: Ints, before: Ints) -> None:
        """Raise levels by (group, bin) to the largest within each bin, and set the area below them [job seconds].

        ``before``, the level of each group, becomes the last one.
        """
        parts: list[tuple[Ints, Ints, Any]]
        if self._tables:  # each second has its row
            place = edges[:-1] - self.edges[0]
            parts = [(change, place, None) for change in self._tables[state].reshape(-1, self._groups).T]
        else:
            (cell,), moved = tally(*joined(self._cells[state]))
            second, of = self.edges[0] + cell.astype(np.int64) // self._groups, cell % self._groups
            rows = [np.flatnonzero(of == group) for group in range(self._groups)]
            parts = [_with_edges(second[mine], moved[mine], edges) for mine in rows]
        for group, (change, place, lasted) in enumerate(parts):
            level = np.cumsum(change, dtype=np.int32)
            level += int(before[group])
            before[group] = level[-1]
            largest[group] = np.maximum(largest[group], np.maximum.reduceat(level, place))
            level = level if lasted is None else level * lasted
            area[group] = np.add.reduceat(level, place, dtype=np.int64)


def _with_edges(second: Ints, change: Ints, edges: Ints) -> tuple[Ints, Ints, Ints]:
    """Return changes with a row at the begin of each bin, where these rows are, and how long each row lasts."""
    rows = np.searchsorted(second, edges[:-1])
    second, change = np.insert(second, rows, edges[:-1]), np.insert(change, rows, 0)
    return change, rows + np.arange(len(rows)), np.diff(second, append=edges[-1])


class Load:
    """The moves of the jobs of some groups.

    ``tables`` are by (group, bin): the number of each move; of each state by how many milliseconds its changes come late in their
    second; of the jobs that end what they took and ran [s]. ``totals`` are over everything.
    """

    def __init__(
        self, jobs: Any, counted: Counted, groups: Groups, windows: Windows, states: Sequence[str]
    ) -> None:
        self._jobs, self._groups, self._states = jobs, groups, states
        self._columns = Counter({"jobs": groups.names}).columns
        self.as_of, edges = 0, np.zeros(1, dtype=np.int64)
        table = counted.tables["jobs"]
        hour = hours_of(table)
        arrived = (class_codes(table) < UNUSABLE) & (hour != NO_HOUR)
        if arrived.any():
            first = int(hour[arrived].min()) * HOUR_MS
            known = not pd.isna(counted.as_of)
            self.as_of = round(counted.as_of.timestamp() * 1000) if known else self._last_move()
            if int(windows.start(np.array([first]))[0]) <= self.as_of:
                edges = _edges(first, max(self.as_of, first), windows, groups.number)
        self.bins = Bins(edges)
        moments = 2 * int(table["jobs"].sum())
        at_once = min(moments, groups.number * self.bins.seconds / _DENSE) <= _MOST_MOMENTS
        self._whole = _Stretch(groups.number, edges, moments, states) if at_once else None
        size = groups.number * self.bins.number
        self.tables = {name: np.zeros(size, dtype=np.int64) for name in (*MOVES, *CHANGES, "took", "ran")}
        self.totals = dict.fromkeys(("waited", "unusable", "without_end"), 0)
        for sums, totals, changes in self._each(self._sums):
            for name, sign, (where, number) in sums:
                self.tables[name][where] += sign * number
            for name, number in totals.items():
                self.totals[name] += number
            if self._whole is not None:
                self._whole.add(changes)
        self._from_first_arrival()

    def _each(self, work: Callable[[list[_Moved], dict[str, int]], T]) -> Iterator[T]:
        """Yield what some work gives for the moves of each batch, and totals."""
        if isinstance(self._jobs, Counted):
            yield work(*_moves_of_counts(self._jobs, self._groups))
            return
        yield from batches(
            self._jobs, self._columns, work=lambda jobs: work(*_moves_of_jobs(jobs, self._groups))
        )

    def _sums(self, moves: list[_Moved], totals: dict[str, int]) -> tuple[Any, dict[str, int], Any]:
        """Add up the moves of a batch by bin, and by second where these are counted at once."""
        found: list[tuple[str, int, Sums]] = []
        for move, moved in zip(MOVES, moves, strict=True):
            inside, second = moved.within(self.bins.edges)
            cells = _Cells(self.bins.place(second) * self._groups.number + inside.group)
            found += [(name, 1, cells.sum(weight)) for name, weight in inside.weights.items()]
            late = inside.moment - 1000 * (second + self.bins.edges[0])
            if late.any():  # the service's own times are whole seconds
                sums = cells.sum(late)
                found += [
                    (state, CHANGES[state][move], sums) for state in self._states if move in CHANGES[state]
                ]
        return found, totals, self._whole and self._whole.sums(moves)

    def _last_move(self) -> int:
        """Return when the last move was [ms since the epoch]."""
        latest = self._each(lambda moves, _: max(int(moved.moment.max(initial=0)) for moved in moves))
        return max(latest, default=0)

    def _from_first_arrival(self) -> None:
        """Leave out the bins before the first arrival, which may come late in its hour, and what changed in them."""
        shape = self.bins.number, self._groups.number
        self.tables = {
            name: np.ascontiguousarray(table.reshape(shape).T) for name, table in self.tables.items()
        }
        used = np.flatnonzero(self.tables["arrival"].any(axis=0))
        before = int(used[0]) if len(used) else self.bins.number
        if before and self._whole is not None:
            self._whole.cut(before)
        self.bins = Bins(self.bins.edges[before:])
        self.tables = {name: table[:, before:] for name, table in self.tables.items()}

    def stretches(self) -> Iterator[tuple[slice, _Stretch]]:
        """Yield stretches of bins and the changes in them."""
        if self._whole is not None:
            yield slice(0, self.bins.number), self._whole
            return
        size, edges = self._groups.number, self.bins.edges
        moved = sum(self.tables[move].sum(axis=0) for move in MOVES)
        number = np.cumsum(np.minimum(moved, np.diff(edges) * size / _DENSE)) // _MOST_MOMENTS
        for one in np.unique(number):
            first, last = np.flatnonzero(number == one)[[0, -1]].tolist()
            stretch = _Stretch(
                size, edges[first : last + 2], int(moved[first : last + 1].sum()), self._states
            )
            for found in self._each(stretch.sums):
                stretch.add(found)
            yield slice(first, last + 1), stretch

    def within_bins(self, state: dict[str, Ints]) -> tuple[dict[str, Floats], dict[str, Floats]]:
        """Return of each state its largest number within each bin, second by second, and its mean over the time of it that has passed."""
        if not self.bins.number:
            nothing = {name: levels.astype(np.float64) for name, levels in state.items()}
            return nothing, nothing
        largest = {name: _before(levels) for name, levels in state.items()}
        areas = {name: np.zeros_like(levels) for name, levels in state.items()}
        last = {name: np.zeros(len(levels), dtype=np.int64) for name, levels in state.items()}
        for bins, stretch in self.stretches():
            edges = self.bins.edges[bins.start : bins.stop + 1]
            for name, most in largest.items():
                stretch.within_bins(name, edges, most[:, bins], areas[name][:, bins], last[name])
        edges = 1000 * self.bins.edges
        lasted = np.minimum(edges[1:], max(self.as_of, int(edges[-2]))) - edges[:-1]
        means = {}
        for name, levels in state.items():
            area = 1000 * areas[name] - self.tables[name] - levels * (np.diff(edges) - lasted)
            mean = np.where(lasted > 0, area / np.maximum(lasted, 1), levels)
            # a move that the service dates after the as-of time comes later in the bin than the time that has passed
            means[name] = np.clip(mean, 0, largest[name])
        return largest, means


def _before(levels: Ints) -> Floats:
    """Return the level at the begin of each bin."""
    return np.concatenate((np.zeros((len(levels), 1)), levels[:, :-1].astype(np.float64)), axis=1)[
        :, : levels.shape[1]
    ]


def _moves_of_jobs(jobs: pd.DataFrame, groups: Groups) -> tuple[list[_Moved], dict[str, int]]:
    """Return the moves of single jobs, and what is added up over all of them."""
    rows = Rows(only_jobs(jobs)[0])
    group, moves, totals = groups.place(rows.jobs), [], dict[str, int]()
    waited, ran = rows.measure("queue_latency").value, np.maximum(rows.run, 0)
    for move in MOVES:
        moved, moment = rows.moved(move)
        few = slice(None) if moved.all() else np.flatnonzero(moved)
        weights: dict[str, Ints | None] = {move: None}
        if move == "arrival":
            totals |= {"waited": int(waited[few].sum()), "unusable": len(moved) - len(moment[few])}
        if move == "end":
            done = rows.run[few] >= 0
            weights |= {"took": np.where(done, waited[few] + ran[few], 0), "ran": ran[few]}
            totals["without_end"] = len(done) - int(done.sum())
        moves.append(_Moved(group[few], moment[few], weights))
    return moves, totals


def _moves_of_counts(counted: Counted, groups: Groups) -> tuple[list[_Moved], dict[str, int]]:
    """Return the moves of a saved summary, on the full hour."""
    table = counted.tables["queue_latency"]
    hour, jobs = hours_of(table), table["jobs"].to_numpy()
    usable = (class_codes(table) < UNUSABLE) & (hour != NO_HOUR)
    moves = [_Moved(groups.place(table)[usable], hour[usable] * HOUR_MS, {"arrival": jobs[usable]})]
    for move in MOVES[1:]:
        one = counted.tables[f"{move}_hour"]
        moment = (hours_of(one) + one["seconds"].to_numpy()) * HOUR_MS
        moves.append(_Moved(groups.place(one), moment, {move: one["jobs"].to_numpy()}))
    waited = int((jobs * table["seconds"].to_numpy())[usable].sum())
    return moves, {"waited": waited, "unusable": int(jobs[~usable].sum()), "without_end": 0}
