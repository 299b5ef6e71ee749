"""What one job says about a duration: how long it took, at least how long, or nothing.

Each job is put, for each measure, in one of four classes (the order is the code):

========== ==================================================================================
ENDED      the duration is known
UNFINISHED right-censored: it lasted this long when last seen, and goes on (or was given up then)
UNUSABLE   the job belongs to the measure, but its times are missing, reversed or malformed
ABSENT     the job does not belong to the measure: one that never started has no run time
========== ==================================================================================

============= =================================== ================================================
measure       ENDED                               UNFINISHED, at
============= =================================== ================================================
queue_latency started                             waiting: its age; cancelled (or failed) before it
                                                  started: end − creation, else its age
run_time      ended after it started              running: observed_at − start
total_time    ended                               unfinished: its age
start_hour    started: clock hours from the hour  –
              of creation to that of the start
end_hour      ended after it started: the same to –
              the end (to the start where the end
              is not usable)
left_hour     cancelled (or failed) before it     –
              started: the same to its end, else
              to its last sight
============= =================================== ================================================

An age is ``observed_at − creation_time`` of the job's own row, never below 0. Durations are whole seconds, which
is the resolution of the service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from cosai_nb.schema import ENDED as ENDED_OUTCOMES
from cosai_nb.schema import NOT_A_JOB, Outcome
from cosai_nb.stats.coding import Ints, code_labels
from cosai_nb.stats.frames import HOUR_MS, MISSING, check_jobs, milliseconds
from cosai_nb.table.frame import one_row_a_job

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

Flags = npt.NDArray[np.bool_]

ENDED, UNFINISHED, UNUSABLE, ABSENT = range(4)
MEASURES = ("queue_latency", "run_time", "total_time", "start_hour", "end_hour", "left_hour")
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
"""The columns of a frame that the classes are worked out from."""
KEYS = ("hour", "queue_id", "tag", "outcome", "code")
"""The keys of every histogram."""


class Measured(NamedTuple):
    """One measure of every job: its class, and the whole seconds (0 where there are none)."""

    kind: npt.NDArray[np.int8]
    value: Ints


def text_keys(keys: Sequence[str]) -> tuple[str, ...]:
    """Return the keys that are columns of the frame, in the histogram's order."""
    return (*KEYS[1:], *sorted(set(keys) - set(KEYS)))


def only_jobs(jobs: pd.DataFrame, keys: Sequence[str] = ()) -> tuple[pd.DataFrame, dict[str, int]]:
    """Check a frame, and return its rows that are jobs, one each, and the number of the others by outcome."""
    needed = dict.fromkeys((*text_keys(keys), *NEEDED))
    jobs = one_row_a_job(check_jobs(jobs, needed))
    no_job = jobs["outcome"].isin([str(outcome) for outcome in NOT_A_JOB]).to_numpy()
    if not no_job.any():
        return jobs, {}
    counted = jobs.loc[no_job, "outcome"].astype(str).value_counts()
    return jobs[~no_job], {str(outcome): int(counted[outcome]) for outcome in sorted(counted.index)}


def measure_jobs(jobs: pd.DataFrame) -> dict[str, Measured]:
    """Return every measure of every job, aligned with the rows.

    Parameters
    ----------
    jobs : pandas.DataFrame
        Checked, and without rows that are no jobs.

    Returns
    -------
    dict of str to Measured
        One entry for each of :data:`MEASURES`.
    """
    created, started, ended, seen = (
        milliseconds(jobs[name]) for name in ("creation_time", "start_time", "end_time", "observed_at")
    )
    labels, codes = code_labels(jobs["outcome"])

    def among(*outcomes: Outcome) -> Flags:
        return np.append(np.isin(labels, [str(outcome) for outcome in outcomes]), False)[codes]

    over, running = among(*ENDED_OUTCOMES), among(Outcome.RUNNING)
    has_start = started != MISSING
    age = _elapsed(created, seen, ~over | ~has_start)
    total = _whole_seconds(jobs["total_time_s"])
    latency = _whole_seconds(jobs["queue_latency_s"])
    run = _whole_seconds(jobs["run_time_s"])

    believed = jobs["timing_ok"].to_numpy(dtype=bool, na_value=False) & ~among(Outcome.SUCCESS)
    left_line = over & ~has_start & (believed | among(Outcome.CANCELLED))
    given_up = np.where(left_line & (total >= 0), total, age)
    waited = left_line | (~over & ~running & ~has_start)
    running_age = _elapsed(started, seen, ~over & (started >= created))  # MISSING is below every time
    everything = np.ones(len(jobs), dtype=bool)
    return {
        "queue_latency": _classify(latency, waited, given_up, everything),
        "run_time": _classify(run, ~over & has_start, running_age, has_start | running | (over & ~left_line)),
        "total_time": _classify(np.where(over, total, -1), ~over, age, everything),
        "start_hour": _hours_on(created, started, latency >= 0),
        "end_hour": _hours_on(created, np.where(run >= 0, ended, started), over & (latency >= 0)),
        "left_hour": _hours_on(
            created, created + given_up * 1000, left_line & (latency < 0) & (given_up >= 0)
        ),
    }


def _whole_seconds(durations: pd.Series) -> Ints:
    """Whole seconds, and −1 where there is no number that a duration can be."""
    seconds = durations.to_numpy(dtype=np.float64, na_value=np.nan)
    usable = (seconds >= 0) & np.isfinite(seconds)
    return np.where(usable, seconds, -1).astype(np.int64)


def _elapsed(since: Ints, seen: Ints, asked: Flags) -> Ints:
    """Whole seconds between two times, 0 where the first lies in the future, −1 where one is missing or not asked."""
    elapsed = np.full(len(since), -1, dtype=np.int64)
    rows = np.flatnonzero(asked & (since != MISSING) & (seen != MISSING))
    elapsed[rows] = np.maximum((seen[rows] - since[rows]) // 1000, 0)
    return elapsed


def _classify(known: Ints, censored: Flags, age: Ints, belongs: Flags) -> Measured:
    kind = np.where(belongs, UNUSABLE, ABSENT).astype(np.int8)
    at_least = censored & (known < 0) & (age >= 0)
    kind[at_least] = UNFINISHED
    kind[known >= 0] = ENDED
    value = np.where(known >= 0, known, np.where(at_least, age, 0))
    return Measured(kind, value)


def _hours_on(created: Ints, moment: Ints, usable: Flags) -> Measured:
    usable = usable & (created != MISSING) & (moment != MISSING)
    hours = np.where(usable, moment // HOUR_MS - created // HOUR_MS, 0)
    return Measured(np.where(usable, np.int8(ENDED), np.int8(ABSENT)), hours)
