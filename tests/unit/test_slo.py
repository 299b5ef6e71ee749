"""The promise that a share of the jobs starts in time: counted by hand, bounded by what may still happen, never divided by 0."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from statsmodels.stats.proportion import proportion_confint

from cosai_nb.errors import FrameError, SettingsError
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.slo import check_slo
from tests.simulate import arrivals, hand_made, serve, snapshot

pytestmark = pytest.mark.filterwarnings("error")
NUMBERS = ["jobs", "on_time", "late", "open", "gave_up", "unusable"]


def row_of(*rows, threshold_s=60, target=0.9, at=3600):
    jobs = hand_made(*rows, at=at)
    row = check_slo(jobs, threshold_s=threshold_s, target=target).loc["all"]
    counted = check_slo(DurationHistogram.from_jobs(jobs), threshold_s=threshold_s, target=target).loc["all"]
    pd.testing.assert_series_equal(row, counted)
    assert row[NUMBERS[1:]].sum() == row["jobs"]
    return row


ON_TIME, LATE = ("success", 0, 60, 61), ("success", 0, 61, 62)


def test_the_columns_in_their_order_and_dtypes():
    jobs = hand_made(ON_TIME)
    table = check_slo(jobs, threshold_s=60, target=0.9)
    assert list(table.columns) == [
        *NUMBERS, "share", "low", "high", "share_lower_bound", "share_upper_bound", "met", "verdict", "burn_rate",
        "threshold_s", "target", "blocks", "as_of", "note",
    ]  # fmt: skip
    assert (table.index.tolist(), table["met"].dtype) == (["all"], "object")
    assert (table["threshold_s"].iloc[0], table["target"].iloc[0]) == (60, 0.9)
    assert table["as_of"].iloc[0] == jobs["observed_at"].max()
    assert table.dtypes.equals(check_slo(jobs[:0], threshold_s=60, target=0.9, by="tag").dtypes)


def test_every_job_is_in_one_class():
    row = row_of(
        ON_TIME, LATE,
        ("running", 0, 60, None), ("failed", 0, 61, 70),  # by their start, whatever became of them
        ("waiting", 3540, None, None),  # 60 s old: may still start in this second
        ("waiting", 3539, None, None),  # 61 s old: too late whenever it starts
        ("cancelled", 0, None, 60), ("cancelled", 0, None, 61),
        ("success", 9, 7, 8), ("success", None, None, None), ("waiting", None, None, None),
        ("unknown", 3590, None, None), ("waiting", 9999, None, None),  # from the future: age 0
    )  # fmt: skip
    assert row[NUMBERS].tolist() == [13, 2, 4, 3, 1, 3]
    assert (row["share_lower_bound"], row["share_upper_bound"]) == (2 / 12, 8 / 12)


def test_met_missed_and_undecided():
    met, missed, open_ = (
        row_of(*[ON_TIME] * 9, last)
        for last in (LATE, ("waiting", 0, None, None), ("waiting", 3590, None, None))
    )
    assert [one["verdict"] for one in (met, missed, open_)] == ["met", "met", "met"]  # 9 of 10 is 0.9 already
    strict = [
        row_of(*[ON_TIME] * 9, last, target=0.91)
        for last in (LATE, ("waiting", 0, None, None), ("waiting", 3590, None, None))
    ]
    assert [one["verdict"] for one in strict] == ["missed", "missed", "undecided"]
    assert [one["met"] for one in strict[:2]] == [False, False]
    assert strict[2]["met"] == "undecided"
    assert (strict[2]["share_lower_bound"], strict[2]["share_upper_bound"]) == (0.9, 1)


def test_undecided_is_said_so():
    row = row_of(("waiting", 3590, None, None))
    assert row["met"] == "undecided"


@pytest.mark.parametrize("number", [20, 50, 1000])
def test_a_share_that_equals_the_target_meets_it(number):
    late = number // 20
    row = row_of(*[ON_TIME] * (number - late), *[LATE] * late, target=0.95)
    assert (row["share"], row["met"]) == ((number - late) / number, (number - late) / number >= 0.95)


def test_the_share_is_kaplan_meier():
    rng = np.random.default_rng(3)
    waits, ages = rng.integers(0, 200, 80), rng.integers(0, 200, 40)
    rows = [("success", 0, int(wait), int(wait)) for wait in waits]
    rows += [("waiting", 3600 - int(age), None, None) for age in ages]
    row = row_of(*rows, threshold_s=120)
    oracle = KaplanMeierFitter().fit(np.append(waits, ages), np.append(np.ones(80), np.zeros(40)))
    assert row["share"] == pytest.approx(1 - float(oracle.predict(120)), abs=1e-9)
    assert row["share_lower_bound"] < row["share"] < row["share_upper_bound"]
    assert row["share"] < (waits <= 120).mean()  # those that wait on were not the quick ones


def test_the_interval_is_wilsons_where_hours_tell_nothing():
    row = row_of(*[ON_TIME] * 45, *[LATE] * 5)
    assert (row["low"], row["high"]) == pytest.approx(proportion_confint(45, 50, method="wilson"), abs=1e-9)
    assert row["blocks"] == 1
    assert "Wilson interval alone: 1 hour blocks, a bootstrap needs 14" in row["note"]


def test_bad_hours_make_the_interval_wider_than_wilsons():
    hours = [("success", h * 3600, h * 3600 + (900 if h % 5 == 0 else 5), h * 3600 + 999) for h in range(40)]
    row = row_of(*hours * 50, at=50 * 3600)
    low, high = proportion_confint(1600, 2000, method="wilson")
    assert row["share"] == 0.8
    assert row["low"] < low - 0.05
    assert row["high"] > high + 0.05
    assert row["blocks"] == 40


def test_the_interval_does_not_decide_but_the_note_says_what_it_means():
    row = row_of(*[ON_TIME] * 10)
    assert (row["met"], row["share"], row["burn_rate"]) == (True, 1, 0)
    assert row["low"] < 0.9 < row["high"]
    assert row["note"].startswith("the target lies within the interval: another week could end otherwise")
    sure = row_of(*[ON_TIME] * 500)
    assert (sure["met"], "interval:" in sure["note"]) == (True, False)


def test_who_gave_up_in_time_is_in_no_share_and_the_note_says_where_that_matters():
    gone = ("cancelled", 0, None, 5)
    row = row_of(*[ON_TIME] * 90, *[LATE] * 5, *[gone] * 20)
    assert (row["share"], row["share_lower_bound"], row["share_upper_bound"]) == (90 / 95, 90 / 95, 90 / 95)
    assert row["met"]
    assert "not met if the 20 that gave up within the threshold count as late" in row["note"]
    patient = [("cancelled", 0, None, 50)] * 20  # censored they would weigh on the share
    assert row_of(*[("success", 0, 10, 11)] * 90, *[LATE] * 5, *patient)["share"] == pytest.approx(
        90 / 95, abs=1e-12
    )
    few = row_of(*[ON_TIME] * 90, *[LATE] * 5, gone)
    assert (few["met"], "gave up" in few["note"]) == (True, False)
    alone = row_of(gone)
    assert (alone["verdict"], alone["note"]) == ("no data", "no job was owed a start")


def test_lost_times_may_go_either_way():
    lost = ("success", 9, 7, 8)
    row = row_of(*[ON_TIME] * 90, *[LATE] * 8, *[lost] * 5)
    assert row["verdict"] == "undecided"
    assert "undecided only by the 5 with unusable times" in row["note"]
    assert row["share"] == 90 / 98


def test_no_share_where_hardly_anything_is_known():
    row = row_of(ON_TIME, *[("waiting", 3590, None, None)] * 5)
    assert (
        row["share"] == 1
    )  # the one that is older than them all started in time, and they are at its beginning
    row = row_of(("success", 0, 5, 9), *[("waiting", 3590, None, None)] * 5)
    assert np.isnan([row["share"], row["burn_rate"]]).all()
    assert row["note"].startswith("no share, only bounds: too many jobs have waited less than the threshold")
    assert (row["share_lower_bound"], row["share_upper_bound"], row["verdict"]) == (1 / 6, 1, "undecided")
    assert (row["low"] < 1 / 6, row["high"]) == (True, 1)
    waiting = row_of(*[("waiting", 3590, None, None)] * 5)
    assert (waiting["low"], waiting["high"], waiting["verdict"]) == (0, 1, "undecided")


@pytest.mark.parametrize(
    ("rows", "target", "burn"),
    [
        ((ON_TIME,) * 4, 1, 0),
        ((*(ON_TIME,) * 3, LATE), 1, np.inf),
        ((), 1, np.nan),
        ((), 0.9, np.nan),
        ((*(ON_TIME,) * 9, LATE), 0.9, 1),
        ((*(ON_TIME,) * 8, LATE, LATE), 0.9, 2),
        ((LATE,), 0.5, 2),
    ],
)
def test_burn_rate(rows, target, burn):
    row = row_of(*rows, target=target)
    assert row["burn_rate"] == pytest.approx(burn, nan_ok=True)
    assert row["verdict"] == ("no data" if not rows else "met" if burn <= 1 else "missed")


def test_no_jobs():
    row = row_of()
    assert (row["jobs"], row["verdict"], row["low"], row["high"]) == (0, "no data", 0, 1)
    assert row[["share", "share_lower_bound", "share_upper_bound"]].isna().all()
    assert row["met"] == "undecided"
    assert len(check_slo(hand_made(), threshold_s=60, target=0.9, by="tag")) == 0


@pytest.mark.parametrize(
    ("threshold_s", "on_time"), [(0, 0), (59.9, 0), (60, 1), (60.9, 1), (61, 2), (10**12, 2)]
)
def test_any_threshold(threshold_s, on_time):
    row = row_of(ON_TIME, LATE, threshold_s=threshold_s)
    assert (row["on_time"], row["share"]) == (on_time, on_time / 2)


@pytest.mark.parametrize("by", ["tag", ["tag", "queue_id"], "hour"])
def test_groups_and_their_missing_labels(by):
    rng = np.random.default_rng(5)
    created = arrivals(rng, [(30 * 3600, 0.3)])
    run = rng.exponential(60, len(created))
    started = serve(created, run)
    jobs = snapshot(
        created, started, started + run, 30 * 3600, tag=rng.choice(["a", "b", None], len(created))
    )
    table = check_slo(jobs, threshold_s=20, target=0.9, by=by)
    assert table["jobs"].sum() == len(jobs)
    assert table.index.names == ([by] if isinstance(by, str) else by)
    if by == "tag":
        assert pd.isna(table.index[-1])
        for tag in ("a", "b"):
            alone = check_slo(jobs[jobs["tag"] == tag], threshold_s=20, target=0.9).loc["all"]
            told = table.loc[tag]
            assert told[["share", "low", "high", "jobs"]].equals(alone[["share", "low", "high", "jobs"]])


def test_rows_that_are_no_jobs_are_counted_beside():
    table = check_slo(hand_made(ON_TIME, ("unread", None, None, None)), threshold_s=60, target=0.9)
    assert (table["jobs"].iloc[0], table.attrs["left_out"]) == (1, {"unread": 1})


@pytest.mark.parametrize("target", [0, 1.01, 95, -1, float("nan"), "0.9 of them", "0%", None])
def test_a_target_that_is_no_share(target):
    with pytest.raises(SettingsError, match=r"write 95 % as target=0.95"):
        check_slo(hand_made(ON_TIME), threshold_s=60, target=target)


@pytest.mark.parametrize("threshold_s", [-1, float("inf"), float("nan"), "60x", None])
def test_a_threshold_that_is_no_time(threshold_s):
    with pytest.raises(SettingsError, match="must be seconds from 0 up"):
        check_slo(hand_made(ON_TIME), threshold_s=threshold_s, target=0.9)


def test_what_is_no_jobs_frame_is_refused():
    jobs, asked = hand_made(ON_TIME), {"threshold_s": 60, "target": 0.9}
    with pytest.raises(TypeError, match="pandas DataFrame"):
        check_slo([1, 2], **asked)
    with pytest.raises(FrameError, match="lacks the column 'timing_ok'; it has: tag"):
        check_slo(jobs.drop(columns="timing_ok"), **asked)
    with pytest.raises(FrameError, match=r"tz_localize\('UTC'\)"):
        check_slo(jobs.assign(observed_at=jobs["observed_at"].dt.tz_localize(None)), **asked)
    with pytest.raises(FrameError, match="language"):
        check_slo(DurationHistogram.from_jobs(jobs), by="language", **asked)


@pytest.mark.parametrize("target", [0.9, 1])
def test_where_all_jobs_are_in_time_nothing_burns(target):
    """A thousand different waits: the last digit of Kaplan-Meier's product must not burn a budget of nothing."""
    waits = np.random.default_rng(5).permutation(1000)
    row = row_of(
        *(("success", 0, int(wait), int(wait) + 1) for wait in waits), threshold_s=10_000, target=target
    )
    assert (row["share"], row["met"], row["burn_rate"]) == (1, True, 0)


def test_numpy_numbers_are_numbers():
    row = row_of(ON_TIME, threshold_s=np.int64(60), target=np.float32(0.5))
    assert row["met"] is True


@pytest.mark.parametrize(
    ("threshold_s", "target"), [("1m", "90%"), ("60", "0.9"), (timedelta(minutes=1), 0.9)]
)
def test_a_limit_may_be_said_as_on_the_command_line(threshold_s, target):
    asked = check_slo(hand_made(ON_TIME, LATE), threshold_s=threshold_s, target=target)
    pd.testing.assert_frame_equal(asked, check_slo(hand_made(ON_TIME, LATE), threshold_s=60, target=0.9))
