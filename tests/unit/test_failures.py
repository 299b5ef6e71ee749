"""Failure rates and the error Pareto, against counting by hand and the libraries of the field."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from lifelines import AalenJohansenFitter
from statsmodels.stats.proportion import proportion_confint

import cosai_nb as cn
from cosai_nb.errors import FrameError, SettingsError
from cosai_nb.stats.counts import count
from cosai_nb.stats.failures import error_pareto, failure_rates, normalise, worst_spell
from cosai_nb.stats.histogram import DurationHistogram
from tests.simulate import hand_made

START = pd.Timestamp("2026-11-01T00:00Z")
STATES = {
    "success": "Success",
    "failed": "Failed",
    "cancelled": "Cancel",
    "running": "Running",
    "waiting": "Submitted",
}


def table(outcome, created, took, *, observed=None, **columns):
    """Jobs created at seconds since START that started after a second and ended (or were seen) ``took`` seconds after creation."""
    outcome, created, took = (
        np.asarray(outcome, dtype=object),
        np.asarray(created),
        np.asarray(took, dtype=float),
    )
    begin = START + pd.to_timedelta(created, "s")
    over = np.isin(outcome, ["success", "failed", "cancelled"])
    jobs = pd.DataFrame(
        {
            "job_id": [f"j{number:05d}" for number in range(len(outcome))],
            "tag": "Translation",
            "queue_id": "q1",
            "code": np.where(outcome == "failed", "InternalError", None),
            "message": np.where(outcome == "failed", "it failed", None),
            "state": pd.Series(outcome, dtype=object).map(STATES),
            "outcome": outcome,
            "creation_time": begin,
            "start_time": (begin + pd.Timedelta("1s")).where(outcome != "waiting"),
            "end_time": (begin + pd.to_timedelta(took, "s")).where(over),
            "observed_at": begin + pd.to_timedelta(took, "s")
            if observed is None
            else START + pd.Timedelta(observed, "s"),
            "timing_ok": True,
            "queue_latency_s": np.where(outcome == "waiting", np.nan, 1.0),
            "run_time_s": np.where(over, took - 1, np.nan),
            "total_time_s": np.where(over, took, np.nan),
        }
    )
    return jobs.assign(**columns)


def mixed(seed=1, size=400, hours=1, unfinished=0.3):
    rng = np.random.default_rng(seed)
    share = [0.15 * (1 - unfinished), 0.85 * (1 - unfinished), unfinished]
    outcome = rng.choice(["failed", "success", "running"], size, p=share)
    # no two times are the same: lifelines breaks ties by chance
    took = 2 + rng.permutation(size)
    outcome[took.argmax()] = "success"
    return table(outcome, rng.integers(0, hours * 3600, size), took)


def test_without_unfinished_jobs_it_is_failed_by_ended_with_wilson_s_interval():
    jobs = table(["failed"] * 3 + ["success"] * 17 + ["cancelled"] * 5, range(25), range(2, 27))
    row = failure_rates(jobs, detail=True).loc["all"]
    assert row[["jobs", "ended", "failed", "cancelled", "unfinished"]].tolist() == [25, 20, 3, 5, 0]
    assert row["rate"] == pytest.approx(3 / 20, abs=1e-12)
    assert row["rate_ended"] == 3 / 20
    assert row["undecided"] == 0
    assert row[["low", "high"]].tolist() == pytest.approx(
        proportion_confint(3, 20, method="wilson"), abs=1e-9
    )
    assert "interval as if jobs were independent: 1 hours" in row["note"]


def test_none_of_50_and_all_of_50_keep_an_interval():
    none, every = (
        failure_rates(table([outcome] * 50, range(50), [9] * 50)).loc["all"]
        for outcome in ("success", "failed")
    )
    assert none[["rate", "low"]].tolist() == [0, 0]
    assert none["high"] == pytest.approx(0.0713, abs=1e-4)
    assert every["rate"] == pytest.approx(1)
    assert every[["low", "high"]].tolist() == pytest.approx([1 - none["high"], 1])


@pytest.mark.parametrize("seed", range(5))
def test_none_of_50_keeps_its_interval_whatever_the_times(seed):
    took = np.random.default_rng(seed).integers(
        2, 900, 50
    )  # a sure end leaves rounding errors, never an open bound
    row = failure_rates(table(["success"] * 50, range(50), took)).loc["all"]
    assert row[["rate", "low", "high"]].tolist() == pytest.approx([0, 0, 0.0713], abs=1e-4)


@pytest.mark.parametrize("seed", range(2))
def test_with_unfinished_jobs_it_is_aalen_johansen_to_the_last_digit(seed):
    jobs = mixed(seed)
    event = jobs["outcome"].map({"failed": 1, "success": 2, "running": 0})
    seconds = (jobs["observed_at"] - jobs["creation_time"]).dt.total_seconds()
    fitted = AalenJohansenFitter().fit(seconds, event, event_of_interest=1)
    row = failure_rates(jobs, detail=True).loc["all"]
    assert row["undecided"] == 0
    assert row["rate"] == pytest.approx(float(fitted.cumulative_density_.iloc[-1, 0]), abs=1e-9)


def test_the_number_behind_wilson_gives_aalen_johansen_s_variance():
    jobs = mixed(7, size=300)
    event = jobs["outcome"].map({"failed": 1, "success": 2, "running": 0})
    seconds = (jobs["observed_at"] - jobs["creation_time"]).dt.total_seconds()
    fitted = AalenJohansenFitter().fit(seconds, event, event_of_interest=1)
    row = failure_rates(jobs).loc["all"]
    variance = float(fitted.variance_.dropna().iloc[-1])  # lifelines 0.30.3: NaN at the end
    number = row["rate"] * (1 - row["rate"]) / variance
    low, high = proportion_confint(row["rate"] * number, number, method="wilson")
    assert row[["low", "high"]].tolist() == pytest.approx([low, high], abs=0.005)


def test_the_interval_is_the_wider_of_wilson_s_and_that_of_the_hours():
    failed = np.zeros((24, 100), dtype=bool)
    failed[3:5] = True  # two bad hours
    created = (np.arange(24)[:, None] * 3600 + np.arange(100)).ravel()
    jobs = table(np.where(failed.ravel(), "failed", "success"), created, np.full(2400, 9))
    row = failure_rates(jobs, detail=True).loc["all"]
    assert row["rate"] == pytest.approx(1 / 12)
    assert row["low"] < 1 / 12 < row["high"]
    assert row["high"] - row["low"] > 5 * np.ptp(proportion_confint(200, 2400, method="wilson"))
    assert (row["blocks"], row["note"]) == (24, "")
    even = table(np.where(np.arange(2400) % 12 == 0, "failed", "success"), created, np.full(2400, 9))
    assert failure_rates(even, detail=True).loc["all", ["low", "high"]].tolist() == pytest.approx(
        proportion_confint(200, 2400, method="wilson"), abs=1e-9
    )


def test_nothing_ended_and_no_jobs_have_bounds_and_no_rate():
    waiting = failure_rates(table(["waiting"] * 3, range(3), [5, 6, 7]), detail=True).loc["all"]
    none = failure_rates(table([], [], []), detail=True).loc["all"]
    for row in (waiting, none):
        assert np.isnan(row["rate"])
        assert np.isnan(row["rate_ended"])
        assert row[["low", "high"]].tolist() == [0, 1]
        assert row["note"].startswith("no rate: nothing has ended")
    assert waiting["unfinished"] == 3
    cancelled = failure_rates(table(["cancelled"], [0], [5]), detail=True).loc["all"]
    assert np.isnan(cancelled["rate"])
    assert failure_rates(table([], [], []), by="tag", detail=True).empty


def test_a_share_of_undecided_jobs_is_in_the_bounds_and_too_many_leave_no_rate():
    some = failure_rates(
        table(["failed"] * 2 + ["success"] * 18 + ["running"], range(21), [5] * 20 + [60]),
        detail=True,
    ).loc["all"]
    assert some["rate"] == pytest.approx(2 / 21)
    assert some["undecided"] == pytest.approx(1 / 21)
    assert some["high"] > 3 / 21
    assert "undecided" in some["note"]
    many = failure_rates(
        table(["failed"] * 2 + ["success"] * 8 + ["running"] * 10, range(20), [5] * 10 + [60] * 10),
        detail=True,
    ).loc["all"]
    assert np.isnan(many["rate"])
    assert many["rate_ended"] == 0.2
    assert many["low"] <= 0.1
    assert many["high"] >= 0.6
    assert "only bounds: 50%" in many["note"]


def test_by_code_a_row_is_the_share_of_all_jobs_that_fails_of_it():
    jobs = table(["failed"] * 4 + ["success"] * 6 + ["success"] * 5, range(15), [9] * 15)
    jobs["queue_id"] = ["q1"] * 10 + ["q2"] * 5
    jobs.loc[:2, "code"] = "Timeout"
    jobs.loc[3, "code"] = None
    rates = failure_rates(jobs, by=["queue_id", "code"])
    assert rates.index.names == ["queue_id", "code"]
    assert rates["failed"].tolist() == [3, 1, 0]
    assert rates["rate"].tolist() == pytest.approx([0.3, 0.1, 0])
    assert rates["ended"].tolist() == [10, 10, 5]
    assert rates.index.get_level_values("code").isna().tolist() == [False, True, True]
    swapped = failure_rates(jobs, by=["code", "queue_id"])
    assert swapped.index[0] == ("Timeout", "q1")
    assert failure_rates(jobs, by="code")["rate"].tolist() == pytest.approx([0.2, 1 / 15])


def test_a_missing_label_is_a_group_and_the_rows_add_up():
    jobs = table(["failed", "success", "success"], range(3), [9] * 3, tag=["a", None, "b"])
    rates = failure_rates(jobs, by="tag")
    assert rates["jobs"].tolist() == [1, 1, 1]
    assert rates.index[:2].tolist() == ["a", "b"]
    assert pd.isna(rates.index[2])


def test_over_time_it_is_what_each_window_alone_gives():
    jobs = mixed(4, size=900, hours=5, unfinished=0.02)
    hourly = failure_rates(jobs, freq="1h")
    assert hourly.index.name == "time"
    assert hourly.index.tolist() == [START + pd.Timedelta(hour, "h") for hour in range(5)]
    for hour, row in hourly.iterrows():
        alone = jobs[jobs["creation_time"].dt.floor("h") == hour]
        pd.testing.assert_series_equal(failure_rates(alone).loc["all"], row, check_names=False)
    by_queue = failure_rates(jobs, "tag", freq="2h")
    assert by_queue.index.names == ["tag", "time"]
    assert by_queue["jobs"].sum() == 900
    assert len(failure_rates(jobs, freq="15min")) == 20
    histogram = DurationHistogram.from_jobs(jobs)
    pd.testing.assert_frame_equal(failure_rates(histogram, "tag", freq="2h"), by_queue)
    pd.testing.assert_frame_equal(failure_rates(histogram, freq="1h"), hourly)
    with pytest.raises(SettingsError, match="full hours"):
        failure_rates(histogram, freq="15min")


def test_jobs_without_a_creation_time_are_a_window_of_their_own():
    jobs = table(["failed", "success"], [0, 0], [9, 9])
    jobs.loc[1, ["creation_time", "queue_latency_s", "total_time_s"]] = None
    hourly = failure_rates(jobs, freq="1h")
    assert hourly["jobs"].tolist() == [1, 1]
    assert pd.isna(hourly.index[1])


@pytest.mark.parametrize("by", [None, "queue_id", "code", ["tag", "code"], "hour"])
def test_frame_and_histogram_agree(by):
    jobs = mixed(5, size=3000, hours=20)
    jobs["queue_id"] = np.where(np.arange(3000) % 3 == 0, "q2", "q1")
    pd.testing.assert_frame_equal(
        failure_rates(DurationHistogram.from_jobs(jobs), by), failure_rates(jobs, by)
    )


def test_ended_jobs_without_usable_times_count_by_their_outcome():
    jobs = table(["failed", "success", "success", "success", "running"], range(5), [9, 9, 9, 9, 5])
    jobs.loc[:1, ["end_time", "total_time_s", "run_time_s"]] = None
    jobs.loc[:1, "timing_ok"] = False
    row = failure_rates(jobs).loc["all"]
    assert row["rate"] == pytest.approx(
        1 / 5
    )  # 2 of 5 known, of these half failed; the running one is as young as it gets
    assert "2 ended without usable times" in row["note"]
    assert failure_rates(jobs.iloc[:4]).loc["all", "rate"] == pytest.approx(1 / 4)


def test_a_query_that_failed_is_in_no_rate():
    jobs = table(["failed", "success", "success"], range(3), [9] * 3)
    jobs["outcome"] = ["failed", "success", "unread"]
    rates = failure_rates(jobs)
    assert rates.loc["all", "jobs"] == 2
    assert rates.attrs["left_out"] == {"unread": 1}


def test_what_cannot_be_right_is_refused_in_words():
    jobs = table(["failed"], [0], [9])
    with pytest.raises(FrameError, match="0 or 1 by its meaning"):
        failure_rates(jobs, by="outcome")
    with pytest.raises(FrameError, match=r"lacks the column 'outcome'; it has: .*tag"):
        failure_rates(jobs.drop(columns="outcome"))
    with pytest.raises(FrameError, match="tz_localize"):
        failure_rates(jobs.assign(creation_time=jobs["creation_time"].dt.tz_localize(None)), freq="1h")
    with pytest.raises(FrameError, match="by='time'"):
        failure_rates(jobs.assign(time=1), by="time", freq="1h")
    with pytest.raises(SettingsError, match="freq="):
        failure_rates(jobs, freq="fortnight")
    with pytest.raises(TypeError, match="DataFrame"):
        failure_rates({"a": 1}, freq="1h")
    with pytest.raises(FrameError, match="lacks the column 'message'"):
        error_pareto(jobs.drop(columns="message"))


def test_a_fault_is_one_line_whatever_ids_its_messages_hold():
    jobs = table(["failed"] * 5 + ["success"], range(6), [9, 9, 9, 9, 99, 9])
    jobs["message"] = [
        "cannot read cos://b/1.mp3 of job a8d121820f5e411ec926ef19d53ba9c6f",
        "cannot read cos://b/2.mp3 of job b9d121820f5e411ec926ef19d53ba9c6a",
        "cannot read https://x/y?z=1 of job cad121820f5e411ec926ef19d53ba9c60", None, "timeout after 30 s", "unused",
    ]  # fmt: skip
    jobs.loc[3, "code"] = None
    pareto = error_pareto(jobs)
    pd.testing.assert_frame_equal(pareto, error_pareto(jobs.set_index("job_id", drop=False)))
    assert pareto["jobs"].tolist() == [3, 1, 1]
    assert pareto["message"].tolist()[:2] == ["cannot read <url> of job <id>", "timeout after <number> s"]
    assert pd.isna(pareto["message"][2])
    assert pd.isna(pareto["code"][2])
    assert pareto["share"].tolist() == pytest.approx([0.6, 0.2, 0.2])
    assert pareto["cumulated_share"].tolist() == pytest.approx([0.6, 0.8, 1])
    assert pareto["example_ids"][0] == ["j00002", "j00001", "j00000"]  # the newest first
    assert pareto["first_seen"][0] == START + pd.Timedelta("9s")
    assert pareto["last_seen"][0] == START + pd.Timedelta("11s")
    assert (pareto["note"] == "").all()


def test_a_histogram_knows_the_codes_and_says_what_it_lacks():
    jobs = table(["failed"] * 3 + ["success"], range(4), [9] * 4, code=["A", "B", "B", None])
    pareto = error_pareto(DurationHistogram.from_jobs(jobs))
    assert pareto["code"].tolist() == ["B", "A"]
    assert pareto["cumulated_share"].tolist() == pytest.approx([2 / 3, 1])
    assert pareto[["message", "first_seen", "last_seen"]].isna().all(axis=None)
    assert pareto["note"].str.contains("single jobs").all()
    assert list(pareto.columns) == list(error_pareto(jobs).columns)


def test_no_failures_give_an_empty_pareto_of_the_same_columns():
    jobs = table(["success"], [0], [9])
    for nothing in (
        error_pareto(jobs),
        error_pareto(jobs.iloc[:0]),
        error_pareto(DurationHistogram.from_jobs(jobs)),
    ):
        assert nothing.empty
        assert list(nothing.columns) == list(error_pareto(table(["failed"], [0], [9])).columns)


def test_a_pareto_of_categories_and_of_jobs_that_never_ended():
    jobs = table(["failed"] * 2, range(2), [9, 9]).astype({"code": "category", "outcome": "category"})
    jobs["end_time"] = pd.Series(pd.NaT, index=jobs.index).dt.tz_localize("UTC")
    assert error_pareto(jobs)["first_seen"][0] == START
    jobs["creation_time"] = jobs["end_time"]
    assert error_pareto(jobs)["first_seen"].isna().all()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("timeout after 30s", "timeout after <number>s"),
        ("read/write error", "read/write error"),
        ("input/2026/speech.wav not found.", "<path> not found."),
        ("C:\\temp\\x is locked", "<path> is locked"),
        ("id 123e4567-e89b-12d3-a456-426614174000!", "id <id>!"),
        ("文件/a/b.mp3不存在", "文件<path>不存在"),
        ("at 0x7f3a in java.lang.NullPointerException", "at <id> in java.lang.NullPointerException"),
        ("  two\n\tlines  ", "two lines"),
        ("decade deadbeef", "decade deadbeef"),
        ("", ""),
    ],
)
def test_messages_lose_what_names_one_job(message, expected):
    assert normalise(message) == expected


@pytest.mark.parametrize("part", ["a", "1", "/", "a/", "a.", "0-", "a1", ":", "deadbeef-dead-"])
def test_a_hostile_message_is_read_once(part):
    begin = time.process_time()
    assert len(normalise(part * 50_000)) <= 300
    assert time.process_time() - begin < 2  # twice through would take minutes


def test_the_doors_of_the_package_open_here():
    assert cn.failure_rates is failure_rates
    assert cn.error_pareto is error_pareto


# --- the clock of the run ---


def test_how_long_a_job_waited_says_nothing_of_how_it_ends():
    """The last hundred wait and are old: on the clock of all their time they would be those that nothing has outlived."""
    done = [("failed" if n % 20 == 0 else "success", n, n + 5 * n, n + 5 * n + 60) for n in range(400)]
    waiting = [("waiting", n, None, None) for n in range(100)]
    row = failure_rates(hand_made(*done, *waiting, at=9999), detail=True).loc["all"]
    assert (row["rate"], row["undecided"], row["waiting"], row["unfinished"]) == (0.05, 0, 100, 100)
    assert "100 wait: an incident that they will meet cannot be seen" in row["note"]
    few = failure_rates(hand_made(*done, waiting[0], at=9999), detail=True).loc["all"]
    assert "wait" not in few["note"]  # one of 400 changes a rate of 5 % by a tenth of a point at most


def test_failures_before_the_start_are_counted_apart_and_in_the_rate():
    rows = (
        [("success", 0, 5, 9)] * 6
        + [("failed", 0, 5, 9), ("failed", 0, None, 900)]
        + [("waiting", 0, None, None)]
    )
    jobs = hand_made(*rows, at=1000)
    row = failure_rates(jobs, detail=True).loc["all"]
    assert (row["failed"], row["failed_before_start"], row["rate"]) == (2, 1, 0.25)
    assert (
        "1 wait: an incident that they will meet cannot be seen, and more of them may fail before they start, as 1 did"
        in row["note"]
    )
    pd.testing.assert_series_equal(
        row, failure_rates(DurationHistogram.from_jobs(jobs), detail=True).loc["all"]
    )


def test_running_jobs_that_could_change_the_rate_are_said():
    row = failure_rates(hand_made(*[("success", 0, 5, 90)] * 18, *[("running", 0, 80, None)] * 2, at=90)).loc[
        "all"
    ]
    assert row["rate"] == 0
    assert "2 run: the rate may come to 10.0% if all of them fail" in row["note"]


def test_by_the_hour_of_start_an_incident_is_seen_when_it_came():
    """Created over five hours, started over the sixth and seventh; all that start in the seventh fail."""
    hour = 3600
    rows = [
        ("failed" if n >= 50 else "success", n * 180, 6 * hour + n * 72, 6 * hour + n * 72 + 30)
        for n in range(100)
    ]
    jobs = hand_made(*rows, ("waiting", 10, None, None), at=9 * hour)
    table = failure_rates(jobs, freq="1h", by_start=True, detail=True)
    assert table["rate"].tolist() == [0, 1]
    assert table["jobs"].tolist() == [50, 50]  # the one that waits has no hour of start
    assert table.index.tolist() == [pd.Timestamp("2026-11-01T06:00Z"), pd.Timestamp("2026-11-01T07:00Z")]
    assert (
        failure_rates(jobs, freq="1h", detail=True)["jobs"].sum(),
        len(failure_rates(jobs, freq="1h", detail=True)),
    ) == (101, 5)
    with pytest.raises(SettingsError, match="by_start=True needs the jobs frame"):
        failure_rates(DurationHistogram.from_jobs(jobs), by_start=True, detail=True)


# --- when failures cluster ---


def failing(each_hour):
    """Return 50 jobs an hour, of which so many fail, counted by outcome."""
    outcome = np.concatenate([["failed"] * number + ["success"] * (50 - number) for number in each_hour])
    return count(table(outcome, np.arange(len(outcome)) * 72, 10), ("outcome",), "jobs")


def test_the_hours_in_which_failures_cluster_are_found_with_their_numbers():
    spell = worst_spell(failing([1] * 7 + [20, 18] + [1] * 11))
    assert [pd.Timestamp(ms, unit="ms", tz="UTC") - START for ms in spell[:2]] == [
        pd.Timedelta("7h"),
        pd.Timedelta("9h"),
    ]
    assert spell[2:] == (100, 38)


@pytest.mark.parametrize(
    "each_hour", [[5] * 20, [5, 6] * 10, [0] * 20, [50] * 20, [1] * 7 + [4] + [1] * 12, []]
)
def test_failures_that_do_not_cluster_beyond_chance_are_no_spell(each_hour):
    assert (
        worst_spell(failing(each_hour) if each_hour else count(table([], [], []), ("outcome",), "jobs"))
        is None
    )


def test_where_most_of_the_time_is_bad_the_good_hours_are_no_spell():
    assert worst_spell(failing([20] * 15 + [1] * 5)) is None


def test_chance_alone_is_hardly_ever_a_spell():
    rng = np.random.default_rng(5)
    assert [worst_spell(failing(rng.binomial(50, 0.1, 60))) for _ in range(20)] == [None] * 20
