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
    row = check_slo(jobs, threshold_s=threshold_s, target=target, detail=True).loc["all"]
    counted = check_slo(
        DurationHistogram.from_jobs(jobs), threshold_s=threshold_s, target=target, detail=True
    ).loc["all"]
    same = [name for name in row.index if "burn_" not in name and "jobs_" not in name] + [
        "burn_rate",
        "jobs_3d",
    ]
    pd.testing.assert_series_equal(row[same], counted[same])
    assert row[NUMBERS[1:]].sum() == row["jobs"]
    return row


ON_TIME, LATE = ("success", 0, 60, 61), ("success", 0, 61, 62)


def test_the_columns_in_their_order_and_dtypes():
    jobs = hand_made(ON_TIME)
    table = check_slo(jobs, threshold_s=60, target=0.9, detail=True)
    assert list(table.columns) == [
        *NUMBERS, "share", "low", "high", "share_lower_bound", "share_upper_bound", "met", "verdict", "burn_rate",
        "threshold_s", "target", "blocks", "as_of", "note", "long_run", "not_read",
        "burn_1h", "burn_6h", "burn_3d", "jobs_1h", "jobs_6h", "jobs_3d", "burn_alarm",
    ]  # fmt: skip
    assert (table.index.tolist(), table["met"].dtype) == (["all"], "object")
    assert (table["threshold_s"].iloc[0], table["target"].iloc[0]) == (60, 0.9)
    assert table["as_of"].iloc[0] == jobs["observed_at"].max()
    assert table.dtypes.equals(check_slo(jobs[:0], threshold_s=60, target=0.9, by="tag", detail=True).dtypes)


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
    waits, ages = rng.integers(0, 200, 300), np.append(rng.integers(120, 200, 40), [40, 60, 80, 100, 110])
    rows = [("success", 0, int(wait), int(wait)) for wait in waits]
    rows += [("waiting", 3600 - int(age), None, None) for age in ages]
    row = row_of(*rows, threshold_s=120)
    oracle = KaplanMeierFitter().fit(np.append(waits, ages), np.append(np.ones(300), np.zeros(45)))
    assert row["share"] == pytest.approx(1 - float(oracle.predict(120)), abs=1e-9)
    assert row["share_lower_bound"] < row["share"] < row["share_upper_bound"]
    assert row["share"] < (waits <= 120).mean()  # those that wait on were not the quick ones


def test_the_interval_is_wilsons_where_hours_tell_nothing():
    row = row_of(*[ON_TIME] * 45, *[LATE] * 5)
    assert (row["low"], row["high"]) == pytest.approx(proportion_confint(45, 50, method="wilson"), abs=1e-9)
    assert row["blocks"] == 1
    assert "interval as if jobs were independent: 1 hours with jobs, 14 are needed for more" in row["note"]


def test_bad_hours_make_the_interval_wider_than_wilsons():
    bad = (3, 4, 5, 17, 18, 29, 30, 31)  # in spells, as bad hours come
    hours = [("success", h * 3600, h * 3600 + (900 if h in bad else 5), h * 3600 + 999) for h in range(40)]
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
    row = row_of(*[ON_TIME] * 90, *[LATE] * 8, *[LOST] * 5)
    assert row["verdict"] == "undecided"
    assert "undecided only by the 5 with unusable times" in row["note"]
    assert (row["share_lower_bound"], row["share_upper_bound"]) == (90 / 103, 95 / 103)


LOST = ("success", 9, 7, 8)
SAID = "have unusable times (missing or reversed) and are in no quantile, share or rate"


def test_there_is_no_share_where_too_many_times_are_unusable():
    """A clock that is a second behind reverses the times of the short waits alone: what is left is no share of all."""
    skewed = row_of(*[ON_TIME] * 50, *[LATE] * 10, *[LOST] * 40)
    assert np.isnan(skewed["share"])
    assert np.isnan(skewed["burn_rate"])
    assert skewed["low"] <= skewed["share_lower_bound"] == 0.5
    assert skewed["high"] >= skewed["share_upper_bound"] == 0.9
    assert (skewed["verdict"], skewed["long_run"]) == ("undecided", "not shown")
    assert f"40 of 100 jobs that started or ended {SAID}" in skewed["note"]
    assert "no share, only bounds: too many times are unusable" in skewed["note"]
    assert "waited less than the threshold" not in row_of(*[LOST] * 9)["note"]
    few = row_of(*[ON_TIME] * 980, *[LATE] * 5, *[LOST] * 15)
    assert few["share"] == 980 / 985
    assert f"15 of 1,000 jobs that started or ended {SAID}" in few["note"]
    assert SAID not in row_of(*[ON_TIME] * 980, *[LATE] * 10, *[LOST] * 10)["note"]


def test_no_share_where_hardly_anything_is_known():
    row = row_of(*[ON_TIME] * 49, ("waiting", 3590, None, None))
    assert row["share"] == 1  # those that are older than it all started in time, and it is at its beginning
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
    assert len(check_slo(hand_made(), threshold_s=60, target=0.9, by="tag", detail=True)) == 0


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
            same = ["share", "low", "high", "jobs"]
            assert told[same].tolist() == pytest.approx(alone[same].tolist(), rel=1e-12)


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
        check_slo([1, 2], **asked, detail=True)
    with pytest.raises(FrameError, match="lacks the column 'timing_ok'; it has: tag"):
        check_slo(jobs.drop(columns="timing_ok"), **asked, detail=True)
    with pytest.raises(FrameError, match=r"tz_localize\('UTC'\)"):
        check_slo(jobs.assign(observed_at=jobs["observed_at"].dt.tz_localize(None)), **asked, detail=True)
    with pytest.raises(FrameError, match="language"):
        check_slo(DurationHistogram.from_jobs(jobs), by="language", **asked, detail=True)


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


# --- who was not read, projected waits, burn rates, business hours ---


def test_ids_that_were_not_read_or_not_found_may_go_either_way():
    """Only the jobs in time were read: nobody knows whether the others were."""
    seen = [ON_TIME] * 70
    unread = [("unread", None, None, None)] * 29 + [("not_found", None, None, None)]
    row = row_of(*seen, *unread)
    assert (row["jobs"], row["not_read"], row["share"]) == (70, 30, 1)
    assert (row["share_lower_bound"], row["share_upper_bound"], row["verdict"]) == (0.7, 1, "undecided")
    assert "30 IDs unread or not found count as open, and alone leave it undecided" in row["note"]
    assert row_of(*seen, *unread, target=0.7)["verdict"] == "met"
    assert row_of(*seen, ("invalid_id", None, None, None))["not_read"] == 0  # no job has such an ID


def growing(at=1200, queue_order=1):
    """A job every 2 s, a start every 4 s: the n-th waits about 2 n s; those of the last ten minutes have not started."""
    created = np.arange(0, at, 2.0)
    started = 4.0 * np.arange(len(created))[::queue_order]
    return snapshot(created, np.maximum(started, created), started + 9999, at), started - created


def test_open_jobs_of_an_ordered_queue_are_at_their_projected_wait():
    jobs, waits = growing()
    row = check_slo(jobs, threshold_s=900, target=0.9, detail=True).loc["all"]
    assert row["open"] == 299  # nobody is late yet, and a quarter will be
    truth = (waits <= 900).mean()
    assert row["share"] == pytest.approx(truth, abs=0.02)
    assert (row["share_lower_bound"], row["share_upper_bound"]) == (301 / 600, 1)
    assert row["burn_rate"] == pytest.approx((1 - row["share"]) / 0.1)
    counted = check_slo(DurationHistogram.from_jobs(jobs), threshold_s=900, target=0.9, detail=True).loc[
        "all"
    ]
    assert np.isnan(counted["share"])
    assert counted["note"].startswith("no share, only bounds")
    assert (counted["low"] <= 301 / 600, counted["high"], counted["long_run"]) == (True, 1, "not shown")


def test_long_run_says_on_which_side_the_whole_interval_lies():
    told = [row_of(*[ON_TIME] * good, *[LATE] * (500 - good))["long_run"] for good in (500, 455, 300)]
    assert told == ["met", "not shown", "missed"]


def at_minutes(*rows, at=72 * 60):
    """Jobs created so many minutes before the reading, that waited so many seconds."""
    times = [(at - before) * 60 for before, _ in rows]
    return hand_made(
        *[("success", t, t + wait, t + wait) for t, (_, wait) in zip(times, rows, strict=True)], at=at * 60
    )


def test_burn_rates_are_of_the_jobs_decided_in_their_window():
    good, bad = [(20, 5)] * 50, [(10, 120)] * 50
    row = check_slo(at_minutes(*good, *bad, *[(200, 5)] * 300), threshold_s=60, target=0.99, detail=True).loc[
        "all"
    ]
    assert row[["jobs_1h", "jobs_6h", "jobs_3d"]].tolist() == [100, 400, 400]
    assert row[["burn_1h", "burn_6h", "burn_3d"]].tolist() == pytest.approx([50, 12.5, 12.5])
    # they became late 9 minutes ago, and nothing did in the last 5: the page of an hour is over, that of six is not
    assert row["burn_alarm"] == "6h"
    still = check_slo(at_minutes(*good, *bad, (3, 120)), threshold_s=60, target=0.99, detail=True).loc["all"]
    assert still["burn_alarm"] == "1h"
    calm = check_slo(at_minutes(*good, *[(400, 120)] * 5), threshold_s=60, target=0.99, detail=True).loc[
        "all"
    ]
    assert (calm["burn_1h"], calm["burn_alarm"]) == (0, "")
    waiting = hand_made(*[("waiting", 0, None, None)] * 3, at=120)
    assert (
        check_slo(waiting, threshold_s=60, target=0.9, detail=True).loc["all", "jobs_1h"] == 3
    )  # late without a start


@pytest.mark.parametrize(
    ("hours", "kept"),
    [
        ("Mon-Fri 09:00-18:00", [1, 2, 3]),
        ("sun 09:00-10:00", [0]),
        ("Sat,Sun-Mon 00:00-24:00", [0, 1]),
        ("Mon 22:00-10:00", [3]),  # its night ends on Tuesday
        ("09:15-09:45", [0, 1, 3]),
    ],
)
def test_business_hours(hours, kept):
    """2026-11-01 was a Sunday: 09:30 on Sunday and Monday, 17:59 on Tuesday with another at 09:30."""
    day, half_past_9 = 86_400, 9 * 3600 + 1800 - 8 * 3600
    times = [half_past_9, day + half_past_9, 2 * day + 36_000 - 60, 2 * day + half_past_9]
    waits = [5, 7, 11, 13]
    jobs = hand_made(
        *[("success", t, t + wait, t + wait) for t, wait in zip(times, waits, strict=True)], at=4 * day
    )
    row = check_slo(jobs, threshold_s=60, target=0.9, hours=hours).loc["all"]
    assert row["jobs"] == len(kept)
    for place, wait in enumerate(waits):  # which ones: a limit below its wait makes each late
        late = check_slo(jobs, threshold_s=wait - 1, target=0.9, hours=hours).loc["all", "late"]
        assert late == sum(waits[one] >= wait for one in kept), place
    if "15" not in hours:
        histogram = DurationHistogram.from_jobs(jobs)
        assert check_slo(histogram, threshold_s=60, target=0.9, hours=hours).loc["all", "jobs"] == len(kept)


@pytest.mark.parametrize(
    "hours", ["", "Mon-Fri", "Mon-Fre 09:00-18:00", "09:00-09:00", "09:07-10:00", "09:00-24:30", 9]
)
def test_hours_that_are_none(hours):
    with pytest.raises(SettingsError, match="must be days and times in quarters of an hour"):
        check_slo(hand_made(ON_TIME), threshold_s=60, target=0.9, hours=hours)
