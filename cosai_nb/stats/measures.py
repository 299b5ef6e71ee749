"""What one job says of a duration: how long it took, at least how long, or nothing.

For each measure a job is in one class (the order is the code):

========== ==================================================================================
ENDED      the duration is known
UNFINISHED right-censored: it lasted this long when last observed, and goes on
GAVE_UP    queue latency only: cancelled (or failed) after this long without a start; right-censored too
UNUSABLE   the job belongs to the measure, but its times are missing, reversed or malformed
ABSENT     the job does not belong to the measure: one that never started has no run time
========== ==================================================================================

============= ============================== =====================================================
measure       ENDED                          censored, at
============= ============================== =====================================================
queue_latency started                        waiting: its age; cancelled before it started:
                                             end − creation, else its age
run_time      ended after it started         running: observed_at − start
total_time    ended                          unfinished: its age
============= ============================== =====================================================

An age is ``observed_at − creation_time`` of the job's own row, never below 0. Durations are whole seconds, which
is the resolution of the service.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from cosai_nb.arguments import zone
from cosai_nb.errors import FrameError, SettingsError
from cosai_nb.schema import COLUMNS, Outcome
from cosai_nb.schema import ENDED as ENDED_OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta, tzinfo

Ints = npt.NDArray[Any]  # numpy's stubs would have every width of integer told apart
Flags = npt.NDArray[Any]
Floats = npt.NDArray[Any]

ENDED, UNFINISHED, GAVE_UP, UNUSABLE, ABSENT = range(5)
CLASSES = ("ended", "unfinished", "gave_up", "unusable")
MEASURES = ("queue_latency", "run_time", "total_time")
NEEDED = (
    "outcome",
    "creation_time",
    "start_time",
    "end_time",
    "observed_at",
    "queue_latency_s",
    "run_time_s",
    "total_time_s",
    "timing_ok",
)
"""The columns of a frame that the classes follow from."""
MISSING = np.iinfo(np.int64).min
"""What numpy holds in an int64 view of NaT."""
HOUR_MS = 3_600_000
TIME = "time"
"""The key that ``freq=`` adds: the start of the window of creation."""
_QUARTER_MS = 900_000  # no zone of today is off UTC by anything finer
_DAY_MS, _WEEK_MS = 24 * HOUR_MS, 168 * HOUR_MS
_MONDAY_MS = 4 * _DAY_MS  # 1970-01-01 was a Thursday


def check_jobs(jobs: object, columns: Iterable[str]) -> pd.DataFrame:
    """Return ``jobs`` if it is a frame that holds these columns in their documented form.

    Parameters
    ----------
    jobs : pandas.DataFrame
        One row per job, as :data:`cosai_nb.COLUMNS` describes it; other columns are welcome.
    columns : iterable of str
        The columns that the caller needs.

    Returns
    -------
    pandas.DataFrame
        The same object.

    Raises
    ------
    TypeError
        ``jobs`` is no DataFrame.
    FrameError
        A column is missing or doubled, a time column holds no times or does not know its zone, a duration no
        numbers.

    Examples
    --------
    >>> check_jobs(pd.DataFrame({"tag": ["Translation"]}), ["tag", "outcome"])
    Traceback (most recent call last):
    cosai_nb.errors.FrameError: The jobs table lacks the column 'outcome'; it has: tag. ...
    """
    if not isinstance(jobs, pd.DataFrame):
        raise TypeError(
            f"A jobs table is a pandas DataFrame (as fetch_jobs returns it), not {type(jobs).__name__}."
        )
    names = list(dict.fromkeys(columns))
    there = list(jobs.columns)
    absent = [name for name in names if name not in there]
    if absent:
        listed = ", ".join(map(str, there[:40])) or "no columns at all"
        one = "column" if len(absent) == 1 else "columns"
        raise FrameError(
            f"The jobs table lacks the {one} {', '.join(map(repr, absent))}; it has: {listed}. "
            "cosai_nb.add_timings(table) makes the documented columns from a table with the service's own names."
        )
    doubled = [name for name in names if there.count(name) > 1]
    if doubled:
        raise FrameError(f"The jobs table holds the column {doubled[0]!r} more than once; keep one of them.")
    for name in names:
        _check_dtype(jobs[name], name)
    return jobs


def _check_dtype(column: pd.Series, name: str) -> None:
    wanted = COLUMNS[name].dtype if name in COLUMNS else None
    if wanted == "datetime64[ms, UTC]" and not isinstance(column.dtype, pd.DatetimeTZDtype):
        if pd.api.types.is_datetime64_dtype(column.dtype):
            raise FrameError(
                f"The times in column {name!r} do not say which zone they are in. If they are UTC, "
                f"write jobs[{name!r}] = jobs[{name!r}].dt.tz_localize('UTC'); cosai_nb.add_timings does all at once."
            )
        raise FrameError(
            f"The column {name!r} holds {column.dtype}, not times. "
            f"Write jobs[{name!r}] = pandas.to_datetime(jobs[{name!r}], utc=True), or use cosai_nb.add_timings."
        )
    if wanted == "float64" and not pd.api.types.is_numeric_dtype(column.dtype):
        raise FrameError(
            f"The column {name!r} holds {column.dtype}, not seconds as numbers; "
            "cosai_nb.add_timings works the durations out from the times."
        )


def milliseconds(times: pd.Series) -> Ints:
    """Return a zone-aware time column as int64 milliseconds since the epoch, :data:`MISSING` where NaT.

    Examples
    --------
    >>> milliseconds(pd.Series(pd.to_datetime(["1970-01-01T08:00:01+08:00"], utc=True)))
    array([1000])
    """
    stamps: Ints = times.to_numpy(dtype="datetime64[ms]").view(np.int64)
    return stamps


def group_columns(by: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the names to group by as a tuple; none where ``by`` is None.

    Raises
    ------
    FrameError
        A name is given twice, or is no text.

    Examples
    --------
    >>> group_columns(None), group_columns("tag"), group_columns(["tag", "code"])
    ((), ('tag',), ('tag', 'code'))
    """
    if by is None:
        return ()
    names = (by,) if isinstance(by, str) else tuple(by) if isinstance(by, Iterable) else (by,)
    if not all(isinstance(name, str) for name in names):
        raise FrameError(f"by= takes a column name or a list of column names, not {by!r}.")
    if len(set(names)) < len(names):
        raise FrameError(f"by={list(names)!r} names a column twice.")
    return names


# --- windows of time ---


def width_ms(freq: str | timedelta, name: str = "freq") -> int:
    """Return a width of time in milliseconds; SettingsError unless it is fixed and a number of whole seconds."""
    try:
        milliseconds = pd.Timedelta(freq) / pd.Timedelta("1ms")
    except (ValueError, TypeError) as error:
        raise SettingsError(
            f"{name}={freq!r} is no fixed width of time; write '1min', '1h' or '1D'."
        ) from error
    if not (milliseconds >= 1000 and milliseconds % 1000 == 0):  # noqa: PLR2004 - a second
        raise SettingsError(
            f"{name}={freq!r} must be a number of whole seconds, as in '60s': the service's times are no finer."
        )
    return int(milliseconds)


class Windows(NamedTuple):
    """Equal windows of time in a zone: days begin at its midnight, weeks on its Monday."""

    width: int
    tz: Any

    @classmethod
    def of(cls, freq: str | timedelta, tz: Any) -> Windows:
        """Read the two arguments; SettingsError says which is wrong."""
        return cls(width_ms(freq), zone(tz))

    @property
    def whole_hours(self) -> bool:
        """Whether a window begins on a full hour of UTC and lasts some (judged by today's offsets of the zone)."""
        offsets = [self.tz.utcoffset(datetime(2026, month, 1)) for month in (1, 7)]  # noqa: DTZ001 - in its own zone
        return self.width % HOUR_MS == 0 and all(offset.total_seconds() % 3600 == 0 for offset in offsets)

    def start(self, times: Ints) -> Ints:
        """Return the start of the window of each time [ms since the epoch]; a missing time stays missing.

        Examples
        --------
        >>> noon = np.array([pd.Timestamp("2026-11-02T12:00Z").value // 10**6])
        >>> moments(Windows.of("1D", "Asia/Shanghai").start(noon))[0]
        Timestamp('2026-11-01 16:00:00+0000', tz='UTC')
        """
        gone = times == MISSING
        known = times[~gone] if gone.any() else times
        if not len(known):
            return times
        first = (int(known.min()) - self.width) // _QUARTER_MS  # a window may begin before its first job
        quarters = moments(np.arange(first, int(known.max()) // _QUARTER_MS + 1) * _QUARTER_MS)
        local = milliseconds(pd.Series(quarters.tz_convert(self.tz).tz_localize(None).tz_localize("UTC")))
        offset = local - milliseconds(pd.Series(quarters))
        anchor = _MONDAY_MS if self.width % _WEEK_MS == 0 else 0
        if (
            offset == offset[0]
        ).all():  # numpy divides by one number ten times as fast as it takes a remainder
            since = offset[0] - anchor
            begin = (times + since) // self.width * self.width - since
            return np.where(gone, MISSING, begin) if len(known) < len(times) else begin
        place = np.where(gone, 0, times // _QUARTER_MS - first)
        begin = times - (times + offset[place] - anchor) % self.width
        if self.width % HOUR_MS == 0:
            # the window in which clocks change began at another offset than its later hours have
            begin -= offset[np.where(gone, 0, begin // _QUARTER_MS - first)] - offset[place]
        return np.where(gone, MISSING, begin)

    @property
    def unit(self) -> int:
        """Milliseconds of which the start of each window is a multiple."""
        return math.gcd(self.width, _QUARTER_MS)


def moments(times: Sequence[int] | Ints) -> pd.DatetimeIndex:
    """Return milliseconds since the epoch as times."""
    return pd.DatetimeIndex(np.asarray(times, dtype=np.int64).astype("datetime64[ms]"), tz="UTC")


def windowed(
    by: str | Sequence[str] | None, freq: str | timedelta | None, tz: str | tzinfo
) -> tuple[tuple[str, ...], Windows | None]:
    """Return the keys to group by, ``time`` with them where windows are asked for, and the windows."""
    names = group_columns(by)
    if freq is None:
        return names, None
    if TIME in names:
        raise FrameError("by='time' and freq= cannot be combined: freq makes an index level of that name.")
    return (*names, TIME), Windows.of(freq, tz)


# --- the measures ---


class Measured(NamedTuple):
    """One measure of every job: its class, and the whole seconds (0 where there are none)."""

    kind: npt.NDArray[np.int8]
    value: Ints


class Rows:
    """The columns of checked jobs as arrays, each read when it is first needed."""

    def __init__(self, jobs: pd.DataFrame) -> None:
        self.jobs = jobs
        self._measured: dict[str, Measured] = {}

    def __len__(self) -> int:
        return len(self.jobs)

    @cached_property
    def created(self) -> Ints:
        """Creation [ms since the epoch]."""
        return milliseconds(self.jobs["creation_time"])

    @cached_property
    def started(self) -> Ints:
        """Start [ms since the epoch]."""
        return milliseconds(self.jobs["start_time"])

    @cached_property
    def ended(self) -> Ints:
        """End [ms since the epoch]."""
        return milliseconds(self.jobs["end_time"])

    @cached_property
    def seen(self) -> Ints:
        """Observation [ms since the epoch]."""
        return milliseconds(self.jobs["observed_at"])

    @cached_property
    def latency(self) -> Ints:
        """Queue latency in whole seconds, −1 where unknown."""
        return _whole_seconds(self.jobs["queue_latency_s"])

    @cached_property
    def run(self) -> Ints:
        """Run time in whole seconds, −1 where unknown."""
        return _whole_seconds(self.jobs["run_time_s"])

    @cached_property
    def total(self) -> Ints:
        """Total time in whole seconds, −1 where unknown."""
        return _whole_seconds(self.jobs["total_time_s"])

    @cached_property
    def over(self) -> Flags:
        """Ended, in whatever way."""
        return self.among(*ENDED_OUTCOMES)

    @cached_property
    def _outcome(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        column = self.jobs["outcome"]
        if not isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype("category")
        return np.array([*map(str, column.cat.categories), ""], object), column.cat.codes.to_numpy()

    def among(self, *outcomes: Outcome) -> Flags:
        """Say of each job whether it has one of these outcomes."""
        labels, codes = self._outcome
        return np.isin(labels, [str(outcome) for outcome in outcomes])[codes]

    @cached_property
    def gave_up(self) -> Flags:
        """Ended without a start: cancelled, or failed with times that can be relied on."""
        usable = self.jobs["timing_ok"].to_numpy(dtype=bool, na_value=False) & ~self.among(Outcome.SUCCESS)
        return self.over & (self.started == MISSING) & (usable | self.among(Outcome.CANCELLED))

    @cached_property
    def given_up_after(self) -> Ints:
        """Seconds in the queue of those that gave up (their age where the end is not usable), −1 where not known."""
        return np.where(self.gave_up & (self.total >= 0), self.total, self.age(self.created))

    @cached_property
    def begun(self) -> Flags:
        """Started, with a usable queue latency."""
        return (self.latency >= 0) & (self.created != MISSING) & (self.started != MISSING)

    def moved(self, move: str) -> tuple[Flags, Ints]:
        """Return which jobs made a move (arrival, start, end, left), and when [ms since the epoch]."""
        if move == "start":
            return self.begun, self.started
        if move == "end":
            moment = np.where(self.run >= 0, self.ended, self.started)
            return self.begun & self.over & (moment != MISSING), moment
        kind, waited = self.measure("queue_latency")
        if move == "arrival":
            return (kind < UNUSABLE) & (self.created != MISSING), self.created
        left = (kind == GAVE_UP) & (self.created != MISSING)
        return left, np.where(left, self.created + 1000 * waited, MISSING) if left.any() else self.created

    def age(self, since: Ints) -> Ints:
        """Whole seconds until observed, 0 where that lies in the future, −1 where a time is missing."""
        known = (since != MISSING) & (self.seen != MISSING)
        return np.where(known, np.maximum((self.seen - np.where(known, since, 0)) // 1000, 0), -1)

    def measure(self, name: str) -> Measured:
        """Return one of :data:`MEASURES` of every job."""
        if name not in self._measured:
            self._measured[name] = self._measure(name)
        return self._measured[name]

    def _measure(self, name: str) -> Measured:
        known = {"queue_latency": self.latency, "run_time": self.run, "total_time": self.total}[name]
        kind = np.zeros(len(self), dtype=np.int8)
        censored = {"queue_latency": _waiting, "run_time": _running, "total_time": _going_on}[name]
        open_ = known < 0 if name != "total_time" else (known < 0) | ~self.over
        rest = np.flatnonzero(open_)  # few, as a rule: the rest costs nothing
        if not len(rest):
            return Measured(kind, known)
        part = self if len(rest) == len(self) else Rows(self.jobs.iloc[rest])
        of_rest, value = censored(part)
        kind[rest] = np.where((value < 0) & (of_rest < UNUSABLE), UNUSABLE, of_rest)
        all_values = known.copy()
        all_values[rest] = np.where(kind[rest] < UNUSABLE, value, 0)
        return Measured(kind, all_values)


def _whole_seconds(durations: pd.Series) -> Ints:
    """Whole seconds, and −1 where there is no number that a duration can be."""
    seconds = durations.to_numpy(dtype=np.float64, na_value=np.nan)
    usable = (seconds >= 0) & (seconds < np.inf)
    if usable.all():
        return seconds.astype(np.int64)
    whole = np.full(len(seconds), -1, dtype=np.int64)
    np.copyto(whole, seconds, where=usable, casting="unsafe")  # faster than to cast a choice
    return whole


def _waiting(rows: Rows) -> tuple[Ints, Ints]:
    """Class and age of jobs that have no queue latency."""
    waiting = ~rows.over & ~rows.among(Outcome.RUNNING) & (rows.started == MISSING)
    kind = np.where(rows.gave_up, GAVE_UP, np.where(waiting, UNFINISHED, UNUSABLE))
    return kind, np.where(rows.gave_up, rows.given_up_after, rows.age(rows.created))


def _running(rows: Rows) -> tuple[Ints, Ints]:
    """Class and age of jobs that have no run time."""
    has_start = rows.started != MISSING
    censored = ~rows.over & has_start
    belongs = has_start | rows.among(Outcome.RUNNING) | (rows.over & ~rows.gave_up)
    age = np.where(rows.started >= rows.created, rows.age(rows.started), -1)
    return np.where(censored, UNFINISHED, np.where(belongs, UNUSABLE, ABSENT)), age


def _going_on(rows: Rows) -> tuple[Ints, Ints]:
    """Class and age of jobs that have not ended, or that ended at no usable time."""
    return np.where(rows.over, UNUSABLE, UNFINISHED), np.where(rows.over, -1, rows.age(rows.created))
