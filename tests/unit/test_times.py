"""The grammar of times, case by case, and each rule of timing_ok."""

import numpy as np
import pyarrow as pa
import pytest

from cosai_nb.schema import Outcome
from cosai_nb.table.times import measure, parse_times

NOON = "2024-02-29T12:00:00Z"
POSITION = {outcome.value: position for position, outcome in enumerate(Outcome)}


@pytest.mark.parametrize(
    "beside", [[], [NOON], ["garbage"], ["-"]], ids=["alone", "usual", "malformed", "missing"]
)
@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2022-07-07T12:12:12+0800", "2022-07-07T04:12:12.000"),
        ("2022-07-07 12:12:12+0800", "2022-07-07T04:12:12.000"),
        ("2022-07-07T12:12:12+08:00", "2022-07-07T04:12:12.000"),
        ("2022-07-07T12:12:12+08", "2022-07-07T04:12:12.000"),
        ("2022-07-07T12:12:12-0330", "2022-07-07T15:42:12.000"),
        ("2022-07-07T12:12:12Z", "2022-07-07T12:12:12.000"),
        ("2022-07-07T12:12:12.5Z", "2022-07-07T12:12:12.500"),
        ("2022-07-07T12:12:12.999999999+00:00", "2022-07-07T12:12:12.999"),
        ("2022-07-07T12:12:12.99999999999999999Z", "2022-07-07T12:12:12.999"),
        ("2024-02-29T00:00:00+0800", "2024-02-28T16:00:00.000"),
        ("2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000"),
        ("1970-01-01T00:00:00+0800", "1969-12-31T16:00:00.000"),
        ("1970-01-01T00:00:00.0009+0800", "1969-12-31T16:00:00.000"),
        ("2199-12-31T23:59:59-2359", "2200-01-01T23:58:59.000"),
    ],
)
def test_times_that_are_times(text, utc, beside):
    times = parse_times(pa.array([text, *beside]))
    assert str(times.values[0]) == utc
    assert not times.malformed[0]


@pytest.mark.parametrize("beside", [[], [NOON], ["-"]], ids=["alone", "usual", "missing"])
@pytest.mark.parametrize(
    "text",
    [
        "2022-07-07T12:12:12", "2022-07-07", "2022-07-07T12:12+0800", "2022-07-07T12+08:00:00.00", "1657167132",
        "2022-07-07T12:12:60+0800", "2022-07-07T24:00:00+0800", "2022-07-07T12:60:00+0800", "2022-02-30T12:12:12+0800",
        "2023-02-29T12:12:12+0800", "2100-02-29T12:12:12+0800", "2022-04-31T12:12:12+0800", "2022-00-01T12:12:12+0800",
        "2022-13-01T12:12:12+0800", "2022-01-00T12:12:12+0800", "0001-07-07T12:12:12+0800", "9999-12-31T12:12:12+0000",
        "1969-12-31T23:59:59+0000", "2200-01-01T00:00:00+0000", "２０２２-07-07T12:12:12Z", "٢٠٢٢-07-07T12:12:12+0800",
        "2022-07-07T12:12:12 0800", "2022-07-07t12:12:12+0800", "2022-07-07T12:12:12z", "2022-07-07T12:12:12.+0800",
        "2022-07-07T12:12:12,5+0800", " 2022-07-07T12:12:12+080", "2022-07-07T12:12:12+0800\n", "2022-08-09T16:23:11+0800>",
        "2022-07-07T12:12:12+2400", "2022-07-07T12:12:12+0860", "2022-07-07T12:12:12+8:00", "2022-07-07T12:12:12+08:",
        "2022-07-07T12:12:12\u22120800", "20220707T121212.000+0800", "2022-7-7T12:12:12.00+0800", "--", "None", "NaT", "now",
        "2022-07-07T12:12:12+0800\x00", "2022-07-07  12:12:12+0800", "2022-07-07T12:12:12+08000",
    ],
)  # fmt: skip
def test_times_that_are_none(text, beside):
    times = parse_times(pa.array([text, *beside]))
    assert np.isnat(times.values[0])
    assert times.malformed[0]


@pytest.mark.parametrize("text", [None, "", "-"])
def test_what_has_not_happened_is_missing_and_no_error(text):
    times = parse_times(pa.array([text, NOON, text], pa.string()))
    assert np.isnat(times.values).tolist() == [True, False, True]
    assert not times.malformed.any()


def test_nothing_gives_nothing():
    assert len(parse_times(pa.array([], pa.large_string())).values) == 0


def judged(outcome, creation, start, end, *, observed="2024-03-01T13:00:00"):
    """Durations and timing_ok of one job; times as seconds after noon, None for missing, text as it is."""

    def at(moment):
        text = (
            moment
            if isinstance(moment, str | None)
            else str(np.datetime64("2024-03-01T12:00:00") + moment) + "Z"
        )
        return parse_times(pa.array([text], pa.string()))

    measured = measure(
        np.array([POSITION[outcome]], np.int8),
        creation=at(creation),
        start=at(start),
        end=at(end),
        observed_at=np.array([observed], "M8[ms]"),
    )
    return tuple(None if np.isnan(value) else value for value in (column[0] for column in measured))


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        # in order
        (("success", 0, 5, 45), (5, 40, 45, True)),
        (("failed", 0, 0, 0), (0, 0, 0, True)),
        (("running", 0, 5, None), (5, None, None, True)),
        (("waiting", 0, None, None), (None, None, None, True)),
        (("cancelled", 0, None, None), (None, None, None, True)),
        (("cancelled", 0, None, 30), (None, None, 30, True)),
        (("cancelled", 0, 5, 30), (5, 25, 30, True)),
        (("unknown", 0, None, None), (None, None, None, True)),
        (("unknown", 0, 5, 30), (5, None, None, True)),
        # missing for the state
        (("success", None, 5, 45), (None, 40, None, False)),
        (("success", 0, None, 45), (None, None, 45, False)),
        (("failed", 0, 5, None), (5, None, None, False)),
        (("running", 0, None, None), (None, None, None, False)),
        (("waiting", None, None, None), (None, None, None, False)),
        (("cancelled", None, None, 30), (None, None, None, False)),
        (("unknown", None, 5, None), (None, None, None, False)),
        # too much for the state
        (("waiting", 0, 5, None), (None, None, None, False)),
        (("waiting", 0, None, 30), (None, None, None, False)),
        (("running", 0, 5, 30), (5, None, None, False)),
        # reversed: what the fault does not touch is kept
        (("success", 10, 9, 45), (None, 36, 35, False)),
        (("success", 0, 45, 44), (45, None, 44, False)),
        (("success", 0, 5, -86400), (5, None, None, False)),
        (("cancelled", 10, None, 9), (None, None, None, False)),
        # malformed
        (("success", 0, "soon", 45), (None, None, 45, False)),
        (("success", 0, 5, "2024-02-30T00:00:00Z"), (5, None, None, False)),
        (("waiting", 0, "soon", None), (None, None, None, False)),
        (("cancelled", 0, None, "soon"), (None, None, None, False)),
        # later than the moment of observation, 13:00: flagged, and what lies between two times is kept
        (("success", 0, 5, 3601), (5, 3596, 3601, False)),
        (("success", 0, 5, 3600), (5, 3595, 3600, True)),
        (("running", 3601, 3602, None), (1, None, None, False)),
        (("waiting", 3601, None, None), (None, None, None, False)),
        # no job
        (("not_found", None, None, None), (None, None, None, False)),
        (("invalid_id", None, None, None), (None, None, None, False)),
        (("unread", 0, 5, 45), (None, None, None, False)),
    ],
)  # fmt: skip
def test_the_rules_of_timing_ok(job, expected):
    assert judged(*job) == expected


def test_without_a_moment_of_observation_no_time_is_in_the_future():
    assert judged("success", 0, 5, 10**6, observed="NaT") == (5, 10**6 - 5, 10**6, True)
