"""Before and after, and change points: what a row says by hand, and in the cases where a naive answer would mislead."""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest

from cosai_nb.errors import FrameError, SettingsError
from cosai_nb.stats.change_points import change_points
from cosai_nb.stats.compare import FASTER, OTHER_HOURS, SAME, SLOWER, TOO_LITTLE
from cosai_nb.stats.compare import compare as compare_windows
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.latency import queue_latency
from tests.simulate import EPOCH, arrivals, hand_made, serve, snapshot

pytestmark = pytest.mark.filterwarnings("error")
HOUR = 3600
compare = partial(compare_windows, same_hours=False)
"""Most of the windows here are of other hours of the week."""


def hourly(waits, *, first=0, at=None, each=1):
    """``each`` jobs an hour that wait this many seconds; None still waits."""
    rows = []
    for hour, wait in enumerate(waits, first):
        created = hour * HOUR
        begun = None if wait is None else created + wait
        rows += [("waiting" if wait is None else "success", created, begun, begun)] * each
    return hand_made(*rows, at=at or (first + len(waits)) * HOUR)


def test_the_columns_in_their_order_and_dtypes():
    jobs = hourly([5] * 20)
    table = compare(jobs, jobs, 0.9, detail=True)
    assert list(table.columns) == [
        "p90_before", "p90_after", "difference", "low", "high", "ratio", "verdict",
        "jobs_before", "jobs_after", "waiting_before", "waiting_after", "unusable_before", "unusable_after",
        "blocks_before", "blocks_after", "note", "p_value", "hours_in_common",
    ]  # fmt: skip
    assert list(table.index) == ["all"]
    assert table.dtypes.equals(compare(jobs[:0], jobs[:0], 0.9, by="tag", detail=True).dtypes)
    changes = change_points(jobs, q=0.9)
    assert list(changes.columns) == [
        "time", "p90_before", "p90_after", "ratio", "jobs_before", "jobs_after", "found_by",
    ]  # fmt: skip
    assert str(changes["time"].dtype) == "datetime64[ms, UTC]"


def test_effect_by_hand():
    before, after = hourly([10] * 30, at=999_999), hourly([10, 40] * 15, first=48)
    row = compare(before, after, 0.95, detail=True).loc["all"]
    assert (row["p95_before"], row["p95_after"], row["difference"], row["ratio"]) == (10, 40, 30, 4)
    # 30 hours cannot say how high a p95 may be
    assert (row["low"], row["high"], row["verdict"]) == (30, np.inf, SLOWER)
    assert row["p_value"] < 0.01
    assert (row["blocks_before"], row["blocks_after"], row["note"]) == (30, 30, "")
    back = compare(after, before, 0.95, detail=True).loc["all"]
    assert (back["difference"], back["high"], back["verdict"]) == (-30, -30, FASTER)
    half = compare(before, after, 0.5, detail=True).loc["all"]  # 15 of 30: the median may be 10 or 40
    assert (half["p50_after"], half["low"], half["high"], half["verdict"]) == (10, 0, 30, SAME)
    assert half["p_value"] == 1


def test_the_interval_is_near_that_of_draws_done_by_hand():
    rng = np.random.default_rng(1)
    waits = rng.integers(0, 100, 40), rng.integers(30, 130, 25)
    row = compare(hourly(waits[0]), hourly(waits[1]), 0.5).loc["all"]
    drawn = [
        np.quantile(rng.choice(one, (20_000, len(one))), 0.5, axis=1, method="inverted_cdf") for one in waits
    ]
    low, high = np.quantile(drawn[1] - drawn[0], [0.025, 0.975])
    # the draws know that the hours are independent; what must find that out in 40 and 25 hours is less sure
    assert low - (high - low) / 2 < row["low"] <= low
    assert high <= row["high"] < high + (high - low) / 2


def test_hours_that_agree_are_one_witness_each():
    """The same 15 hours told by 10 jobs or by 100 jobs each give the same interval: jobs of an hour are no new evidence."""
    waits = np.random.default_rng(4).integers(0, 200, 30)
    one, hundred = (
        compare(hourly(waits[:15], each=n), hourly(waits[15:], each=n), 0.5, detail=True).loc["all"]
        for n in (10, 100)
    )
    assert (one["low"], one["high"], one["p_value"]) == (hundred["low"], hundred["high"], hundred["p_value"])
    assert hundred["jobs_before"] == 1500


def test_the_two_sides_are_drawn_apart():
    jobs = hourly(np.random.default_rng(2).integers(0, 500, 50))
    row = compare(jobs, jobs, 0.5).loc["all"]
    assert (row["difference"], row["verdict"]) == (0, SAME)
    assert row["low"] < -20
    assert row["high"] > 20


@pytest.mark.parametrize(("before", "after"), [(13, 40), (40, 13), (0, 40), (1, 1)])
def test_too_little_data(before, after):
    row = compare(hourly([10] * before), hourly([60] * after), detail=True).loc["all"]
    assert row["verdict"] == TOO_LITTLE
    assert row[["low", "high", "p_value"]].isna().all()
    assert row["note"] == f"{before} blocks of 1 h before and {after} after; 14 are needed on each side"
    assert row["p95_after"] == 60
    assert compare(hourly([10] * 14), hourly([60] * 14), detail=True).loc["all", "verdict"] == SLOWER


def test_jobs_without_usable_times_are_no_block():
    jobs = hourly([10] * 20)
    lost = jobs.assign(queue_latency_s=np.nan, timing_ok=False)
    row = compare(lost, jobs, detail=True).loc["all"]
    assert (row["unusable_before"], row["blocks_before"], row["verdict"]) == (20, 0, TOO_LITTLE)
    assert np.isnan(row["p95_before"])


@pytest.mark.parametrize("sides", [1, -1])
def test_what_may_come_from_lost_times_alone_is_no_difference(sides):
    """A clock one second behind reverses the short waits of one window: that alone makes the other look faster."""
    clear = hourly([0, 0, 40] * 30)
    late = clear["queue_latency_s"] == 0
    skewed = clear.assign(queue_latency_s=clear["queue_latency_s"].mask(late), timing_ok=~late)
    row = compare(*(clear, skewed)[::sides], q=0.5, detail=True).loc["all"]
    assert row["verdict"] == SAME
    name = {1: "after", -1: "before"}[sides]
    assert row["note"].startswith(
        f"{name}: 60 of 90 jobs that started or ended have unusable times (missing or reversed)"
    )
    assert row["note"].endswith("the difference may come from that alone")
    few = late & (np.arange(90) < 2)
    told = compare(
        clear.assign(queue_latency_s=clear["queue_latency_s"].mask(few), timing_ok=~few),
        hourly([500] * 90),
        q=0.5,
    ).loc["all"]
    assert (told["verdict"], "before: 2 of 90 jobs" in told["note"]) == (SLOWER, True)


def test_waiting_jobs_are_counted_and_what_is_not_reached_is_open_to_the_top():
    before = hourly([10] * 30)
    after = hourly(([10] * 2 + [None]) * 10, first=48, at=400 * HOUR)
    row = compare(before, after, detail=True).loc["all"]
    assert (row["waiting_after"], row["p95_after"], row["difference"], row["ratio"]) == (
        10,
        np.inf,
        np.inf,
        np.inf,
    )
    assert (row["verdict"], row["high"]) == (SLOWER, np.inf)
    assert 300 * HOUR < row["low"] < np.inf  # a draw is at least at the ages of its waiting jobs
    naive = after["queue_latency_s"].dropna()
    assert naive.max() == 10  # who drops them sees no difference at all


def test_cancelled_at_once_says_nothing_about_waiting():
    before = hourly([10] * 30)
    gone = hand_made(*[("cancelled", hour * HOUR, None, hour * HOUR + 1) for hour in range(30)], at=31 * HOUR)
    row = compare(before, gone, detail=True).loc["all"]
    assert (row["p95_after"], row["low"], row["high"], row["verdict"]) == (np.inf, -9, np.inf, SAME)
    both = compare(gone, gone, detail=True).loc["all"]
    assert np.isnan([both["difference"], both["ratio"]]).all()
    assert (both["low"], both["high"], both["verdict"], both["p_value"]) == (-np.inf, np.inf, SAME, 1)


def test_nothing_waits_before_and_after():
    row = compare(hourly([0] * 20), hourly([0] * 20), detail=True).loc["all"]
    assert (row["difference"], row["low"], row["high"], row["verdict"], row["p_value"]) == (0, 0, 0, SAME, 1)
    assert np.isnan(row["ratio"])
    assert compare(hourly([0] * 20), hourly([9] * 20), detail=True).loc["all", "ratio"] == np.inf


def surge():
    """A day of calm, then two hours in which the line grows: Kaplan–Meier is too low for those who are in it."""
    rng = np.random.default_rng(6)
    created = arrivals(rng, [(30 * HOUR, 0.2), (2 * HOUR, 0.6)])
    run = rng.exponential(60, len(created))
    started = serve(created, run, servers=20)
    return snapshot(created, started, started + run, 32 * HOUR)


def test_where_a_line_grows_the_bias_is_named_and_does_not_decide():
    growing = surge()
    slow = growing.assign(queue_latency_s=growing["queue_latency_s"] + 5000)
    calm = hourly([20_000] * 40)
    row = compare(calm, slow, 0.5).loc["all"]
    assert row["high"] < 0
    assert row["verdict"] == SAME
    assert "after: a queue grows" in row["note"]
    assert row["note"].endswith("the difference may come from that alone")
    other = compare(hourly([0] * 40), slow).loc["all"]  # too low and slower all the same
    assert (other["verdict"], "alone" in other["note"]) == (SLOWER, False)


def test_groups_of_either_side_with_a_missing_label_last():
    before = hourly([10] * 20).assign(tag=["a"] * 18 + [None] * 2)
    after = hourly([10] * 20).assign(tag=["b"] * 5 + ["a"] * 15)
    table = compare(before, after, by="tag", detail=True)
    assert table.index[:2].tolist() == ["a", "b"]
    assert pd.isna(table.index[2])
    assert table["jobs_before"].tolist() == [18, 0, 2]
    assert table["jobs_after"].tolist() == [15, 5, 0]
    assert table["verdict"].tolist() == [SAME, TOO_LITTLE, TOO_LITTLE]
    pairs = compare(before, after, by=["tag", "queue_id"], detail=True)
    assert pairs.index.names == ["tag", "queue_id"]
    assert len(compare(before, after, by="hour", detail=True)) == 20


def test_a_histogram_gives_the_same():
    before, after = surge(), hourly([5, 7, 90] * 20)
    tables = [compare(one, two, by="queue_id") for one in (before, DurationHistogram.from_jobs(before))
              for two in (after, DurationHistogram.from_jobs(after))]  # fmt: skip
    for table in tables[1:]:
        pd.testing.assert_frame_equal(tables[0], table)
    row = queue_latency(DurationHistogram.from_jobs(before), q=0.95).loc["all"]
    assert tables[0]["p95_before"].iloc[0] == row["p95"]
    pd.testing.assert_frame_equal(change_points(before), change_points(DurationHistogram.from_jobs(before)))


def test_rows_that_are_no_jobs_are_counted_beside():
    jobs = pd.concat([hourly([5] * 3), hand_made(("unread", None, None, None))], ignore_index=True)
    table = compare(jobs, jobs[:3], detail=True)
    assert table.attrs["left_out"] == {"before": {"unread": 1}, "after": {}}
    assert table["jobs_before"].tolist() == [3]
    assert change_points(jobs).attrs["left_out"] == {"unread": 1}


@pytest.mark.parametrize(
    "function", [lambda jobs, **given: compare(jobs, hourly([5]), **given), change_points]
)
def test_what_is_no_jobs_frame_is_refused(function):
    jobs = hourly([5] * 3)
    with pytest.raises(TypeError, match="pandas DataFrame"):
        function([1, 2])
    with pytest.raises(FrameError, match="lacks the column 'outcome'; it has: tag"):
        function(jobs.drop(columns="outcome"))
    with pytest.raises(FrameError, match=r"tz_localize\('UTC'\)"):
        function(jobs.assign(creation_time=jobs["creation_time"].dt.tz_localize(None)))
    with pytest.raises(FrameError, match="language"):
        function(jobs, by="language")
    with pytest.raises(SettingsError, match="must be one quantile"):
        function(jobs, q=[0.5, 0.9])
    with pytest.raises(SettingsError, match="between 0 and 1"):
        function(jobs, q=95)


@pytest.mark.parametrize(
    "rows",
    [
        (),
        (("success", 0, 7, 9),),
        (("waiting", 0, None, None),) * 3,
        (("failed", 0, 7, 9),) * 3,
        (("success", 9, 7, 8),),
        (("success", None, None, None),),
        (("waiting", 9999, None, None),),
        (("not_found", None, None, None),),
    ],
)
def test_few_and_odd_jobs(rows):
    jobs = hand_made(*rows)
    row = compare(jobs, jobs, detail=True).loc["all"]
    assert row["verdict"] == TOO_LITTLE
    assert row["jobs_before"] == sum(row[0] != "not_found" for row in rows)
    assert len(change_points(jobs)) == 0
    compare(jobs, jobs, by=["tag", "hour"], detail=True)
    change_points(jobs, by=["tag", "hour"])


def test_a_step_by_hand():
    jobs = hourly([10, 12] * 12 + [100, 120] * 15, each=2)
    row = change_points(jobs).loc["all"]
    assert row["time"] == pd.Timestamp("2026-11-02T00:00Z")
    assert (row["p95_before"], row["p95_after"], row["ratio"]) == (12, 120, 10)
    assert (row["jobs_before"], row["jobs_after"]) == (48, 60)


def test_two_steps_give_the_level_between_them_twice():
    table = change_points(hourly([10] * 30 + [100] * 30 + [10] * 30))
    assert table["p95_before"].tolist() == [10, 100]
    assert table["p95_after"].tolist() == [100, 10]
    assert table["jobs_before"].tolist() == table["jobs_after"].tolist() == [30, 30]


def test_hours_without_jobs_are_skipped():
    night = pd.concat(
        [hourly([10] * 14), hourly([10] * 14, first=40), hourly([200] * 20, first=300)], ignore_index=True
    )
    table = change_points(night)
    assert table["time"].tolist() == [pd.Timestamp("2026-11-01T00:00Z") + pd.Timedelta(hours=300)]
    assert table["jobs_before"].tolist() == [28]


def test_hours_without_usable_times_are_skipped_too():
    jobs = hourly([10] * 30 + [999] * 5 + [90] * 30)
    jobs["timing_ok"] = jobs["queue_latency_s"] != 999
    jobs["queue_latency_s"] = jobs["queue_latency_s"].where(jobs["timing_ok"])
    table = change_points(jobs)
    assert table["time"].tolist() == [pd.Timestamp("2026-11-02T11:00Z")]
    assert table["ratio"].tolist() == [9]


def test_hours_of_no_wait_at_all_are_less_than_a_second():
    assert len(change_points(hourly([0] * 60))) == 0
    assert len(change_points(hourly([0] * 30 + [1] * 30))) == 0  # the clock cannot tell them apart
    row = change_points(hourly([0] * 30 + [90] * 30)).loc["all"]
    assert (row["p95_before"], row["p95_after"], row["ratio"]) == (0, 90, np.inf)


def test_jobs_that_still_wait_raise_a_level_and_never_lower_it():
    jam = hourly([10] * 40 + [None] * 30, at=70 * HOUR)
    table = change_points(jam)
    assert table["time"].tolist() == [pd.Timestamp("2026-11-02T16:00Z")]
    assert table["p95_after"].tolist() == [np.inf]
    usual = hourly(
        [50 * HOUR] * 60 + [None] * 20, at=80 * HOUR
    )  # young jobs of a line that always takes two days
    assert len(change_points(usual)) == 0


def test_fewer_than_30_hours_are_no_series_and_the_note_says_so():
    for before in range(12, 18):  # the largest step there can be
        assert len(change_points(hourly([1] * before + [99_999] * (29 - before)))) == 0
    short = change_points(hourly([1] * 12 + [99_999] * 17))
    assert short.attrs["note"] == "all: 29 hours with usable times, 30 are needed"
    enough = change_points(hourly([1] * 12 + [99_999] * 18))
    assert len(enough) == 1
    assert enough.attrs["note"] == "all: 0.2 weeks, a weekly pattern may look like a change in less than 3"
    assert change_points(hourly([1] * 21 * 24)).attrs["note"] == ""
    groups = change_points(hourly([1] * 30).assign(tag=["a"] * 20 + ["b"] * 10), by="tag")
    assert groups.attrs["note"].startswith("a: 20 hours with usable times, 30 are needed; b: 10 hours")


def test_30_hours_are_what_the_penalty_asks_for(monkeypatch):
    """Allowed to look at fewer, the search still finds nothing: the limit hides no change."""
    monkeypatch.setattr("cosai_nb.stats.change_points.FEWEST_HOURS", 24)
    for number in range(24, 30):
        for before in range(12, number - 11):
            assert len(change_points(hourly([1] * before + [99_999] * (number - before)))) == 0


def test_each_group_has_its_own_changes():
    step, flat = hourly([10] * 30 + [90] * 30), hourly([10] * 60)
    jobs = pd.concat([step.assign(tag="a"), flat.assign(tag="b"), step.assign(tag=None)], ignore_index=True)
    table = change_points(jobs, by="tag")
    assert table.index[0] == "a"
    assert pd.isna(table.index[1])
    assert len(table) == 2
    assert table.index.name == "tag"


def test_a_year_of_hours_gives_the_scale_of_ruptures_own(monkeypatch):
    from ruptures.costs import CostRbf

    from cosai_nb.stats import change_points as levels

    signal = np.random.default_rng(0).normal(size=400)
    own = CostRbf().fit(signal).gamma
    assert levels._scale(signal) == pytest.approx(own, rel=1e-12)
    monkeypatch.setattr(levels, "_ENOUGH_FOR_SCALE", 150)
    assert levels._scale(signal) == pytest.approx(own, rel=0.2)


def test_without_ruptures_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ruptures", None)
    with pytest.raises(SettingsError, match=r'pip install "cosai_nb\[changes\]"'):
        change_points(hourly([10] * 30))


# --- windows and patterns ---


def test_windows_of_other_hours_of_the_week_are_not_compared():
    week = hourly([10] * 168, each=9)
    row = compare_windows(week, hourly([90] * 60, first=168, each=9), detail=True).loc["all"]
    assert (row["verdict"], row["difference"]) == (OTHER_HOURS, 80)
    assert 60 / 168 < row["hours_in_common"] < 0.7  # with what chance may have taken from it
    assert row["note"].startswith(
        f"windows differ: {row['hours_in_common']:.0%} of the jobs are in the same hours"
    )
    assert row["p_value"] < 0.05
    assert compare(week, hourly([90] * 60, first=168, each=9), detail=True).loc["all", "verdict"] == SLOWER
    same = compare_windows(week, hourly([90] * 168, first=168, each=2), detail=True).loc["all"]
    assert (same["verdict"], same["hours_in_common"]) == (SLOWER, 1)


def test_few_jobs_of_the_same_hours_do_not_differ_by_chance():
    rng = np.random.default_rng(1)
    week = hourly([10] * 168)
    few = [week.iloc[np.sort(rng.choice(168, 60, replace=False))] for _ in range(2)]
    assert compare_windows(*few, detail=True).loc["all", "hours_in_common"] > 0.9


def test_one_source_is_split_at_a_time():
    jobs = hourly([10] * 168 + [90] * 168)
    halves = compare_windows(jobs[:168], jobs[168:], detail=True).drop(columns="note")
    split = compare_windows(jobs, at="2026-11-08T00:00Z", detail=True)
    pd.testing.assert_frame_equal(split.drop(columns="note"), halves)
    counted = DurationHistogram.from_jobs(jobs)
    other = compare_windows(counted, at=pd.Timestamp("2026-11-08", tz="UTC"), detail=True)
    pd.testing.assert_frame_equal(other, split)
    assert other.attrs == split.attrs
    with pytest.raises(SettingsError, match="must be a full hour"):
        compare_windows(counted, at="2026-11-08T00:30Z")
    for wrong in ({}, {"after": jobs, "at": "2026-11-08"}):
        with pytest.raises(SettingsError, match="before and after, or all jobs and at="):
            compare_windows(jobs, **wrong)
    for marker in (("2026-11-08 08:00", "deploy"), pd.Timestamp("2026-11-08 08:00")):
        assert compare_windows(jobs, at=marker).attrs["spans"] == split.attrs["spans"]
    for no_time in ("yesterday", ("soon", "deploy"), ("2026-11-08", "a", "b"), {"2026-11-08": "deploy"}):
        with pytest.raises(SettingsError, match="is no time"):
            compare_windows(jobs, at=no_time)


@pytest.mark.parametrize(
    ("hours_before", "hours_after", "span", "words"),
    [
        (400, 600, 336, "2 weeks before and after"),
        (169, 500, 168, "1 week before and after"),
        (167, 500, 144, "6 days before and after"),
        (500, 24, 24, "1 day before and after"),
        (500, 20, 20, "20.0 h before and after"),
    ],
)
def test_both_sides_of_a_marker_are_equally_long(hours_before, hours_after, span, words):
    jobs = hourly([10] * hours_before + [90] * hours_after)
    marker = pd.Timestamp(EPOCH + hours_before * HOUR, unit="s", tz="UTC")
    table = compare_windows(jobs, at=(marker, "deploy 2.3"), detail=True)
    row = table.loc["all"]
    assert (row["jobs_before"], row["jobs_after"]) == (span, span)
    local = marker.tz_convert("Asia/Shanghai")
    assert row["note"].startswith(f"{words} {local:%Y-%m-%d %H:%M} +0800 (deploy 2.3)")
    edges = [f"{local + pd.Timedelta(hours=n):%Y-%m-%d %H:%M} +0800" for n in (-span, 0, span)]
    assert table.attrs["spans"] == {"before": edges[:2], "after": edges[1:]}
    assert row["verdict"] == (SLOWER if span >= 144 else OTHER_HOURS)
    assert compare_windows(jobs, at=marker, same_hours=False, detail=True).loc["all", "verdict"] == SLOWER


def test_a_marker_between_full_hours_divides_a_frame_to_the_second():
    jobs = hourly([10] * 400)
    table = compare_windows(jobs, at=pd.Timestamp(EPOCH + 200 * HOUR + 1800, unit="s", tz="UTC"), detail=True)
    assert table.loc["all", ["jobs_before", "jobs_after"]].tolist() == [168, 168]


def test_a_marker_outside_of_the_jobs_is_told():
    jobs = hourly([10] * 40)
    for at, numbers, words in (("1d", (40, 0), "no jobs after"), ("2000-01-01", (0, 40), "no jobs before")):
        row = compare_windows(jobs, at=at, detail=True).loc["all"]
        assert (row["jobs_before"], row["jobs_after"]) == numbers
        assert row["verdict"] == TOO_LITTLE
        assert row["note"].startswith(words)
    for nothing in (jobs[:0], DurationHistogram.from_jobs(jobs[:0])):
        assert (
            compare_windows(nothing, at="2026-11-08", detail=True)
            .loc["all", "note"]
            .startswith("no jobs before and after")
        )


def test_a_weekly_pattern_is_no_change_from_two_weeks_on():
    rng = np.random.default_rng(6)
    week = [10] * 120 + [1] * 48
    waits = np.array(week * 2) * rng.lognormal(0, 0.2, 336)
    assert len(change_points(hourly(waits.astype(int) + 1, each=3))) == 0
    step = np.array(week + [30 * wait for wait in week]) * rng.lognormal(0, 0.2, 336)
    table = change_points(hourly(step.astype(int) + 1, each=3))
    assert table["time"].tolist() == [pd.Timestamp("2026-11-08", tz="UTC")]


def test_a_step_that_few_hours_show_is_found_by_their_waits():
    """One job in twenty waits; what it waits for triples, which the hour's own quantile hardly shows."""
    rng = np.random.default_rng(2)
    waits = rng.exponential(60, (336, 20)) * (rng.random((336, 20)) < 0.1)
    waits[168:] *= 3
    rows = [
        ("success", hour * HOUR, hour * HOUR + int(wait), hour * HOUR + int(wait) + 1)
        for hour, of_hour in enumerate(waits) for wait in of_hour
    ]  # fmt: skip
    table = change_points(hand_made(*rows, at=337 * HOUR))
    assert table["found_by"].tolist() == ["waits"]
    assert abs(table["time"].iloc[0] - pd.Timestamp("2026-11-08", tz="UTC")) < pd.Timedelta("36h")
