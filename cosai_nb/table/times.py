"""The grammar of the service's times, and the durations between them.

::

    time     = date ("T" | " ") hh ":" mm ":" ss ["." digits] zone
    date     = a real day of the years 1970 to 2199, as YYYY-MM-DD
    zone     = "Z" | ("+" | "-") hh [[":"] mm]         required, below 24 h

ASCII digits only, no second 60, no hour 24; fractions are floored to milliseconds. ``-`` and empty text mean "not yet"
and are no error. pandas' and Arrow's own readers each accept more than this (Arabic digits, year 0001, no zone), and a
time that is guessed makes a latency that is invented.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cosai_nb.schema import ENDED, NOT_A_JOB, Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Moments = NDArray[np.datetime64]

NAT = np.iinfo(np.int64).min
EARLIEST, LATEST = np.datetime64("1970-01-01", "ms"), np.datetime64("2200-01-01", "ms")
"""The grammar's years begin with the first and end before the second."""

_USUAL_BYTES = len("2022-07-07T12:12:12+0800")
# an instant this far inside lies in the grammar's years whatever the zone was
_A_DAY, _A_SECOND = np.timedelta64(1, "D"), np.timedelta64(1, "s")

_HOUR, _MINUTE = r"(?:[01]\d|2[0-3])", r"[0-5]\d"
_DAY = r"(?:19[7-9]|2[01]\d)\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_MOMENT = rf"{_DAY}[T ]{_HOUR}:{_MINUTE}:{_MINUTE}(?:\.\d+)?"
# RE2's dialect; whether the day exists is asked after
_TIME = rf"\A{_MOMENT}(?:Z|[+-]{_HOUR}(?::?{_MINUTE})?)\z"
LOCAL, DATE = rf"\A{_MOMENT}\z", rf"\A{_DAY}\z"  # what people have in place of times
_BEYOND_MS = r"(\.\d{3})\d+"


class Times(NamedTuple):
    """Times as read.

    Parameters
    ----------
    values : ndarray of datetime64[ms], shape (n,)
        UTC; NaT where missing or malformed.
    malformed : ndarray of bool, shape (n,)
        True where a text stands that the grammar refuses.
    """

    values: Moments
    malformed: NDArray[np.bool_]


class Durations(NamedTuple):
    """Durations of jobs in seconds, NaN where there is none, and whether the times fit the outcome."""

    queue_latency_s: NDArray[np.float64]
    run_time_s: NDArray[np.float64]
    total_time_s: NDArray[np.float64]
    timing_ok: NDArray[np.bool_]


def parse_times(texts: pa.Array) -> Times:
    """Read times by the module's grammar.

    Parameters
    ----------
    texts : pyarrow.Array of string, shape (n,)
        As the service writes them; null, empty and ``-`` are missing.

    Examples
    --------
    >>> times = parse_times(pa.array(["2022-07-07T12:12:12+0800", "-", "2022-02-30T00:00:00Z"]))
    >>> [str(value) for value in times.values], times.malformed.tolist()
    (['2022-07-07T04:12:12.000', 'NaT', 'NaT'], [False, False, True])
    """
    usual = pc.equal(pc.binary_length(texts), _USUAL_BYTES)
    written = pc.invert(pc.is_in(texts, pa.array([None, "", "-"], texts.type)))
    if pc.all(pc.equal(pc.fill_null(usual, False), written)).as_py() is not False:
        try:
            values = _cast(pc.if_else(usual, texts, None))
        except pa.ArrowInvalid:
            pass  # one bad text refuses the whole cast, so the careful way has to find it
        else:
            if not ((values < EARLIEST + _A_DAY) | (values >= LATEST - _A_DAY)).any():
                return Times(values, np.zeros(len(values), bool))
    kept = pc.if_else(pc.match_substring_regex(texts, _TIME), texts, None)
    kept = pc.if_else(_in_calendar(kept), kept, None)
    values = _cast(pc.replace_substring_regex(kept, _BEYOND_MS, r"\1"))
    return Times(values, pc.and_(written, kept.is_null()).to_numpy(zero_copy_only=False))


def _in_calendar(texts: pa.Array) -> pa.Array:
    """Return where the day that a text begins with exists; times share days, so each is looked at once."""
    days = pc.utf8_slice_codeunits(texts, 0, 10).dictionary_encode()
    dates = pd.to_datetime(days.dictionary.to_pandas(), format="%Y-%m-%d", errors="coerce")
    return pa.array(dates.notna(), pa.bool_()).take(days.indices)


def _cast(texts: pa.Array) -> Moments:
    counts = texts.cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64())
    values: NDArray[np.int64] = counts.fill_null(NAT).to_numpy(zero_copy_only=False)
    return values.view("M8[ms]")


def measure(
    outcome: NDArray[np.int8], *, creation: Times, start: Times, end: Times, observed_at: Moments
) -> Durations:
    """Measure the durations of jobs, and judge whether their times fit their outcome.

    ``timing_ok`` is False for what is no job, and where

    - creation_time is missing; a waiting job has a start or an end; a running one has no start or has an end; a
      success or failure lacks either (a cancelled job may have them, and of an unknown one nothing more is asked);
    - a time is malformed, later than ``observed_at`` (where that is known), or before one that precedes it.

    A duration is NaN where one of its ends is missing or malformed and where it would be negative; queue_latency_s for
    everything that waits, run_time_s and total_time_s for everything unfinished. A duration that the fault does not touch is
    kept; so is one between times later than ``observed_at``: both are the service's own, and its clocks may differ by a second.

    Parameters
    ----------
    outcome : ndarray of int8, shape (n,)
        Position in :class:`~cosai_nb.schema.Outcome`.
    creation, start, end : Times
        Of n jobs each.
    observed_at : ndarray of datetime64[ms], shape (n,)
        NaT where unknown.

    Examples
    --------
    >>> at = lambda *texts: parse_times(pa.array(texts))
    >>> measured = measure(
    ...     np.array([0], np.int8),
    ...     creation=at("2022-07-07T12:00:00Z"),
    ...     start=at("2022-07-07T12:00:05Z"),
    ...     end=at("2022-07-07T12:01:00Z"),
    ...     observed_at=np.array(["NaT"], "M8[ms]"),
    ... )
    >>> [column.tolist() for column in measured]
    [[5.0], [55.0], [60.0], [True]]
    """
    has_creation, has_start, has_end = (~np.isnat(times.values) for times in (creation, start, end))
    latency = (start.values - creation.values) / _A_SECOND
    run = (end.values - start.values) / _A_SECOND
    total = (end.values - creation.values) / _A_SECOND
    waiting, running = (_among(outcome, {kind}) for kind in (Outcome.WAITING, Outcome.RUNNING))
    done = _among(outcome, {Outcome.SUCCESS, Outcome.FAILED})
    wrong = (waiting & (has_start | has_end)) | (running & (~has_start | has_end))
    wrong |= (done & ~(has_start & has_end)) | (latency < 0) | (run < 0) | (total < 0)
    for times in (creation, start, end):
        wrong |= times.malformed | (times.values > observed_at)
    unfinished = ~_among(outcome, ENDED)
    no_job = _among(outcome, NOT_A_JOB)
    return Durations(
        np.where((latency < 0) | waiting | no_job, np.nan, latency),
        np.where((run < 0) | unfinished, np.nan, run),
        np.where((total < 0) | unfinished, np.nan, total),
        has_creation & ~no_job & ~wrong,
    )


def _among(outcome: NDArray[np.int8], kinds: set[Outcome] | frozenset[Outcome]) -> NDArray[np.bool_]:
    return np.isin(outcome, [position for position, kind in enumerate(Outcome) if kind in kinds])
