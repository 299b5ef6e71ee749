"""Every timing column of the frame is plain datetime arithmetic, row by row."""

import math
import warnings
from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosai_nb.errors import UnknownStateWarning
from cosai_nb.schema import COLUMNS, WIRE, Record
from cosai_nb.table.frame import add_timings, frame_of

START = datetime(2026, 11, 1, tzinfo=UTC)
OUTCOMES = {"Submitted": "waiting", "Pause": "waiting", "Running": "running", "Success": "success", "Failed": "failed",
            "Cancel": "cancelled"}  # fmt: skip
BAD = "2026-02-30T00:00:00Z"

moment = st.one_of(st.just("-"), st.just(None), st.just(BAD), st.integers(0, 20), st.integers(0, 200_000))
zone = st.sampled_from([0, 480, -300, 345])
job = st.fixed_dictionaries(
    {"state": st.one_of(st.sampled_from([*OUTCOMES]), st.just("Paused2"), st.none()),
     "times": st.tuples(moment, moment, moment), "zone": zone,
     "observed": st.one_of(st.none(), st.integers(0, 20), st.just(200_000))}
)  # fmt: skip


def text_of(value, minutes):
    if not isinstance(value, int):
        return value
    local = (START + timedelta(seconds=value)).astimezone(timezone(timedelta(minutes=minutes)))
    return local.strftime("%Y-%m-%dT%H:%M:%S%z")


def truth(job):
    """The rules of ``timing_ok`` and the durations once more, one job at a time and in another shape."""
    outcome = OUTCOMES.get(job["state"], "unknown")
    known = [START + timedelta(seconds=value) if isinstance(value, int) else None for value in job["times"]]
    observed = None if job["observed"] is None else START + timedelta(seconds=job["observed"])
    creation, start, end = known

    def span(until, since):
        if until is None or since is None or until < since:
            return math.nan
        return (until - since).total_seconds()

    ended = outcome in {"success", "failed", "cancelled"}
    durations = (
        math.nan if outcome == "waiting" else span(start, creation),
        span(end, start) if ended else math.nan,
        span(end, creation) if ended else math.nan,
    )
    expected = {"waiting": "c", "running": "cs", "success": "cse", "failed": "cse"}.get(outcome)
    there = "".join(letter for letter, value in zip("cse", known, strict=True) if value is not None)
    in_order = [value for value in known if value is not None]
    ok = (
        (there == expected if expected else creation is not None)
        and in_order == sorted(in_order)
        and BAD not in job["times"]
        and (observed is None or all(value <= observed for value in in_order))
    )
    return outcome, durations, ok


def check(frame, jobs):
    for (_, row), one in zip(frame.iterrows(), jobs, strict=True):
        outcome, durations, ok = truth(one)
        assert row["outcome"] == outcome
        assert row["timing_ok"] == ok, one
        for name, expected in zip(("queue_latency_s", "run_time_s", "total_time_s"), durations, strict=True):
            assert row[name] == expected or (math.isnan(expected) and math.isnan(row[name])), (name, one)
        for name, value in zip(("creation_time", "start_time", "end_time"), one["times"], strict=True):
            expected = START + timedelta(seconds=value) if isinstance(value, int) else None
            assert (None if pd.isna(row[name]) else row[name]) == expected


def record(one):
    texts = dict(
        zip(
            ("creation_time", "start_time", "end_time"),
            [text_of(value, one["zone"]) for value in one["times"]],
            strict=True,
        )
    )
    texts |= {"job_id": "a1", "state": one["state"]}
    observed = None if one["observed"] is None else int((START.timestamp() + one["observed"]) * 1000)
    return Record("a1", "job", observed, None, tuple(texts.get(column.name) for column in WIRE))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(job, min_size=1, max_size=40))
def test_every_timing_column_is_what_plain_python_says(jobs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnknownStateWarning)
        check(frame_of([record(one) for one in jobs]), jobs)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(job, min_size=1, max_size=20))
def test_a_users_table_gives_the_same_frame(jobs):
    records = [record(one) for one in jobs]
    given = pd.DataFrame(
        [dict(zip([column.path for column in WIRE], one.values, strict=True)) for one in records],
        dtype=object,
    )
    given["observed_at"] = pd.to_datetime([one.observed_ms for one in records], unit="ms", utc=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnknownStateWarning)
        pd.testing.assert_frame_equal(add_timings(given), frame_of(records))


@pytest.mark.parametrize("seed", [1, 2])
def test_two_thousand_jobs_from_an_independent_truth(seed):
    import random

    chance = random.Random(seed)
    jobs = []
    for _ in range(2000):
        creation = chance.randrange(100_000)
        start, end = creation + chance.randrange(500), creation + 500 + chance.randrange(5000)
        state = chance.choice([*OUTCOMES])
        times = {
            "Submitted": (creation, "-", "-"),
            "Pause": (creation, None, None),
            "Running": (creation, start, "-"),
        }.get(state, (creation, start, end))
        jobs.append(
            {"state": state, "times": times, "zone": chance.choice([0, 480, -300]), "observed": 200_000}
        )
    frame = frame_of([record(one) for one in jobs])
    assert frame["timing_ok"].all()
    assert list(frame.columns) == list(COLUMNS)
    check(frame, jobs)
