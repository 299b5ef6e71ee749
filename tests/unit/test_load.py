"""Depth, running, utilisation and the backlog, against counting by hand and by brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import cosai_nb as cn
from cosai_nb.errors import FrameError, SettingsError
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.load import queue_load
from cosai_nb.stats.queues import backlog
from tests.simulate import EPOCH, arrivals, serve, side_by_side, snapshot

EXACT = ["arrivals", "starts", "ends", "left", "waiting", "running"]


def table(*rows, observed=600, queue="q1"):
    """Jobs from (state, created, started, ended) in seconds since 10:00, None where there is no such time."""

    def text(second):
        return "-" if second is None else f"2026-11-01T10:{second // 60:02d}:{second % 60:02d}+0000"

    return cn.add_timings(
        pd.DataFrame(
            {
                "JobId": [f"j{number}" for number in range(len(rows))],
                "State": [row[0] for row in rows],
                "QueueId": queue,
                "Tag": "Translation",
                "CreationTime": [text(row[1]) for row in rows],
                "StartTime": [text(row[2]) for row in rows],
                "EndTime": [text(row[3]) for row in rows],
            }
        ),
        observed_at=pd.Timestamp("2026-11-01T10:00Z") + pd.Timedelta(observed, "s"),
    )


def simulated(seed=3, seconds=7200, at=6000, load=0.95, servers=4):
    rng = np.random.default_rng(seed)
    created = arrivals(rng, [(seconds, load * servers / 60)])
    run = rng.exponential(60, len(created))
    started = serve(created, run, servers)
    return snapshot(created, started, started + run, at), created, started, started + run


@pytest.mark.parametrize(("queues", "days"), [(1, 14), (3, 7), (40, 2)])
def test_the_largest_levels_of_long_and_thin_weeks_are_those_of_brute_force(queues, days):
    rng = np.random.default_rng(queues)
    count = 60 * queues
    created = np.sort(rng.integers(0, days * 86_400, count))
    started = created + rng.integers(0, 3_600, count)
    jobs = snapshot(created, started, started + rng.integers(1, 7_200, count), days * 86_400 + 20_000)
    jobs = jobs.assign(queue_id=pd.Categorical([f"q{number % queues}" for number in range(count)]))

    def most(rows, first, last):
        moves = pd.concat([pd.Series(1, index=rows[first]), pd.Series(-1, index=rows[last])])
        return moves.groupby(level=0).sum().cumsum().max()

    load = queue_load(jobs, by="queue_id", freq="1h")
    for queue, rows in jobs.groupby("queue_id", observed=True):
        assert load.loc[queue, "running_max"].max() == most(rows, "start_time", "end_time")
        assert load.loc[queue, "waiting_max"].max() == most(rows, "creation_time", "start_time")


def test_a_level_may_be_larger_than_any_change_of_a_second():
    created = np.append(np.repeat(np.arange(5), 100), 40 * 86_400).astype(
        float
    )  # 40 days: seconds are no table
    started = np.append(np.full(500, 3_600.0), 40 * 86_400)
    load = queue_load(snapshot(created, started, started + 9, 41 * 86_400), "1h")
    assert (load["waiting_max"].max(), load["running_max"].max()) == (500, 500)


def test_a_line_counted_by_hand():
    jobs = table(
        ("Success", 0, 30, 90), ("Success", 10, 100, 130), ("Submitted", 70, None, None), observed=180
    )
    load = queue_load(jobs)
    assert load.index[0] == pd.Timestamp("2026-11-01T10:00Z")
    assert load["arrivals"].tolist() == [2, 1, 0, 0]
    assert load["starts"].tolist() == [1, 1, 0, 0]
    assert load["ends"].tolist() == [0, 1, 1, 0]
    assert load["waiting"].tolist() == [1, 1, 1, 1]
    assert load["running"].tolist() == [1, 1, 0, 0]
    assert load["waiting_max"].tolist() == [2, 2, 1, 1]
    # 0–10: 1, 10–30: 2, 30–60: 1; 60–70: 1, 70–100: 2, 100–120: 1
    assert load["waiting_mean"].tolist() == pytest.approx([80 / 60, 90 / 60, 1, 1])
    assert load["running_mean"].tolist() == pytest.approx([0.5, 50 / 60, 10 / 60, 0])
    # job 0: 90 ÷ 60; job 1: 120 ÷ 30
    assert load["slowdown"].tolist() == pytest.approx([np.nan, 1.5, 4, np.nan], nan_ok=True)
    assert load["utilisation"].tolist() == pytest.approx([0.5, 50 / 60, 10 / 60, 0])
    assert set(load["servers_from"]) == {"largest number ever running"}


def test_depth_and_running_are_what_a_count_of_every_second_gives():
    jobs, created, started, ended = simulated()
    created, started, ended = (np.floor(times).astype(int) for times in (created, started, ended))
    load = queue_load(jobs, "1s")
    first = created.min()
    seconds = np.arange(first, 6001)
    waiting = [int(((created <= t) & (started > t)).sum()) for t in seconds]
    running = [int(((started <= t) & (ended > t)).sum()) for t in seconds]
    assert load["waiting"].tolist() == waiting
    assert load["running"].tolist() == running
    minute = queue_load(jobs)
    at = (minute.index[:-1] + pd.Timedelta("59s")).as_unit("s").astype("int64") - EPOCH
    assert minute["waiting"].tolist()[:-1] == [waiting[t - first] for t in at]
    by_minute = pd.Series(running, index=seconds // 60).groupby(level=0)
    assert (
        minute["running_max"].tolist()[1:-1]
        == [max(largest, running[60 * m - first - 1]) for m, largest in by_minute.max().items()][1:-1]
    )
    assert minute["running_mean"].tolist()[1:-1] == pytest.approx(by_minute.mean().tolist()[1:-1])
    assert minute["servers"].unique().tolist() == [4]


def test_a_histogram_gives_the_same_by_the_hour():
    jobs, *_ = simulated(seconds=5 * 3600, at=5 * 3600 - 777)
    cancelled = table(
        ("Cancel", 5, None, 300), ("Cancel", 5, 20, 300), ("Cancel", 5, None, None), ("Pause", 9, None, None)
    )
    jobs = side_by_side([jobs, cancelled.reindex(columns=jobs.columns)])
    whole, parts = (
        queue_load(jobs, "1h", servers=4),
        queue_load(DurationHistogram.from_jobs(jobs), "1h", servers=4),
    )
    pd.testing.assert_frame_equal(whole[[*EXACT, "servers"]], parts[[*EXACT, "servers"]])
    assert whole["left"].sum() == 2
    assert parts[["waiting_mean", "running_max", "utilisation", "slowdown"]].isna().all(axis=None)
    unknown = queue_load(DurationHistogram.from_jobs(jobs), "2h")
    assert unknown["utilisation"].isna().all()
    assert "single jobs" in unknown["servers_from"].iloc[0]
    with pytest.raises(SettingsError, match="full hours"):
        queue_load(DurationHistogram.from_jobs(jobs), "1min")


def test_little_s_law_holds_on_a_simulated_queue():
    jobs, *_ = simulated(seconds=20_000, at=19_000)
    law = queue_load(jobs).attrs["littles_law"]
    assert law["L"] > 1
    assert law["L"] == pytest.approx(law["lambda_W"], rel=1e-12)
    jobs["queue_latency_s"] *= 2  # a frame whose durations are not those of its times
    law = queue_load(jobs).attrs["littles_law"]
    assert law["lambda_W"] > 1.9 * law["L"]


def test_who_is_cancelled_while_waiting_leaves_the_line_at_that_moment():
    load = queue_load(
        table(("Cancel", 0, None, 100), ("Cancel", 0, 30, 100), ("Submitted", 0, None, None), observed=180)
    )
    assert load["left"].tolist() == [0, 1, 0, 0]
    assert load["waiting"].tolist() == [2, 1, 1, 1]
    assert load["running"].tolist() == [1, 0, 0, 0]
    assert (load["waiting"] == (load["arrivals"] - load["starts"] - load["left"]).cumsum()).all()


def test_servers_by_queue_are_added_up_over_the_queues_of_a_group():
    jobs = side_by_side(
        [table(("Running", 0, 10, None), observed=60, queue=queue) for queue in ("q1", "q2", None)],
    )
    by_queue = queue_load(jobs, servers={"q1": 4, "q2": 2}, by="queue_id")
    assert by_queue.index.names == ["queue_id", "time"]
    last = by_queue.xs(by_queue.index[-1][1], level="time")
    assert last.index.tolist()[:2] == ["q1", "q2"]
    assert pd.isna(last.index[2])
    assert last["utilisation"].tolist() == pytest.approx([0.25, 0.5, np.nan], nan_ok=True)
    assert "lacks a queue" in last["servers_from"].iloc[2]
    named = jobs[jobs["queue_id"].notna()]
    assert queue_load(named, servers={"q1": 4, "q2": 2})["servers"].unique().tolist() == [6]
    assert queue_load(jobs, servers=10)["utilisation"].iloc[-1] == 0.3


def test_each_group_is_what_its_jobs_alone_give():
    parts = [
        table(
            ("Submitted", 0, None, None),
            ("Submitted", 70, None, None),
            ("Success", 5, 40, 95),
            observed=180,
            queue="q1",
        ),
        table(
            ("Success", 0, 30, 90),
            ("Running", 65, 100, None),
            ("Cancel", 61, None, 62),
            observed=180,
            queue="q2",
        ),
    ]
    together = queue_load(side_by_side(parts), by="queue_id")
    for queue, part in zip(("q1", "q2"), parts, strict=True):
        pd.testing.assert_frame_equal(together.loc[queue], queue_load(part), check_freq=False)


def test_the_backlog_clears_when_starts_outrun_arrivals():
    rows = [("Success", 6 * n, 6 * n + 60, 6 * n + 61) for n in range(40)] + [
        ("Submitted", 239, None, None)
    ] * 3
    now = backlog(table(*rows, observed=300), recent="5min").loc["all"]
    # jobs 1 to 39 and the three that wait were created after 0 s; jobs 1 to 39 started after 60 s, where the first had left
    assert now["waiting"] == 3
    assert now["running"] == 0
    assert now["arrival_rate"] == pytest.approx(42 / 300)
    assert now["start_rate"] == pytest.approx(39 / 240, rel=0.02)  # one of 40 ran from the 60th second on
    assert now["eta_s"] == pytest.approx(3 / (now["start_rate"] - now["arrival_rate"]))
    assert now["drain_s"] == round(3 / (39 / 240))
    assert now["note"] == ""


def test_a_batch_is_not_what_arrives_later():
    batch = [("Success", min(n, 1), 12 * n, 12 * n + 12) for n in range(41)]
    # one each 30 s
    later = [("Success", 30 * n, 12 * (40 + n), 12 * (41 + n)) for n in range(1, 10)]
    waiting = [("Submitted", 30 * n, None, None) for n in range(10, 20)]
    now = backlog(table(*batch, *later, *waiting, observed=600)).loc["all"]
    assert now["waiting"] == 10
    assert now["arrival_rate"] == pytest.approx(18 / 570)  # those from 60 s on, in the time after the batch
    assert now["start_rate"] == pytest.approx(1 / 12, rel=0.02)
    assert now["note"] == ""


def test_a_backlog_where_nothing_starts_is_not_clearing():
    rows = [("Success", 6 * n, 6 * n + 60, 6 * n + 61) for n in range(40)]
    now = backlog(table(*rows, ("Submitted", 239, None, None), observed=500)).loc["all"]
    assert (now["eta_s"], now["drain_s"], now["start_rate"]) == (np.inf, np.inf, 0)
    assert "nothing has started since 2026-11-01 10:04 UTC (3 min)" in now["note"]
    assert "not clearing" in now["note"]


def test_a_backlog_that_grows_is_not_clearing_and_an_empty_one_is_cleared():
    growing = backlog(table(("Success", 0, 30, 90), *[("Submitted", 5, None, None)] * 4, observed=180)).loc[
        "all"
    ]
    assert growing["eta_s"] == np.inf
    assert growing["drain_s"] == pytest.approx(4 * 180)
    assert growing["note"].startswith("not clearing; too few starts to tell the order")
    stuck = backlog(table(("Submitted", 5, None, None), observed=180)).loc["all"]
    assert stuck["drain_s"] == np.inf
    assert backlog(table(("Success", 0, 30, 90))).loc["all", "eta_s"] == 0


def test_who_stands_in_no_queue_is_not_in_the_backlog():
    rows = [("Success", 6 * n, 6 * n + 60, 6 * n + 61) for n in range(40)]
    paused = [("Pause", 200, None, None)] * 5
    stale = table(*[("Submitted", 9, None, None)] * 4, observed=60)
    later = table(*rows, ("Submitted", 239, None, None), *paused, observed=300)
    jobs = side_by_side([later.assign(observed_at=later["observed_at"] + pd.Timedelta("40min")), stale])
    now = backlog(jobs).loc["all"]
    assert now["waiting"] == 1
    told = now["note"].split("; ")
    said = ["5 paused jobs are in no queue", "4 stale records (30 min older than the newest) are in no queue"]
    assert told[-2:] == said
    alarm = cn.queue_alarms(jobs).loc["q1"]
    assert (alarm["waiting"], alarm["stale"], alarm["note"].split("; ")[-2:]) == (1, 4, said)
    assert cn.queue_latency(jobs).loc["all", "note"].split("; ")[1:3] == said
    alone = backlog(table(*rows, *paused, observed=300)).loc["all"]
    assert (alone["waiting"], alone["eta_s"], alone["drain_s"], alone["note"]) == (0, 0, 0, said[0])


def test_starts_that_should_have_been_by_now_are_no_time_to_come():
    rows = [("Success", 6 * n, 6 * n + 60, 6 * n + 61) for n in range(90)]
    jobs = table(*rows, *[("Submitted", 541, None, None)] * 3, observed=1500)
    behind = (jobs["outcome"] == "waiting").to_numpy()
    jobs["observed_at"] = jobs["observed_at"].mask(behind, pd.Timestamp("2026-11-01T10:10Z"))
    now = backlog(jobs).loc["all"]
    said = "expected to start before the newest record: query again"
    assert (now["waiting"], now["drain_s"], now["note"]) == (3, 0, said)
    told = cn.eta(jobs)
    assert (told["start_expected"] < now["as_of"]).all()
    assert told["note"].tolist() == [said] * 3


def test_jobs_that_are_in_no_rate_are_said_with_the_backlog_and_the_alarms():
    lost = [("Success", 60, 59, 90)] * 5
    jobs = table(*[("Success", 6 * n, 6 * n + 60, 6 * n + 61) for n in range(40)], *lost)
    said = "5 of 45 jobs that started or ended have unusable times (missing or reversed) and are in no quantile, share or rate"
    for source in (jobs, DurationHistogram.from_jobs(jobs)):
        assert said in backlog(source).loc["all", "note"]
        assert said in cn.queue_alarms(source).loc["q1", "note"]


def test_the_backlog_of_a_histogram_says_what_it_cannot_know():
    jobs = table(("Success", 0, 30, 90), ("Submitted", 5, None, None), ("Cancel", 5, None, 9))
    now = backlog(DurationHistogram.from_jobs(jobs)).loc["all"]
    assert (now["waiting"], now["running"]) == (1, 0)
    assert np.isnan(now["eta_s"])
    assert "single jobs" in now["note"]


def test_a_backlog_is_grouped_and_a_missing_queue_is_a_row():
    jobs = side_by_side([table(("Submitted", 5, None, None), queue=queue) for queue in ("q1", None)])
    now = backlog(jobs, by="queue_id")
    assert now["waiting"].tolist() == [1, 1]
    assert pd.isna(now.index[1])


def test_no_jobs_give_no_rows_and_the_same_columns():
    jobs = table(("Success", 0, 30, 90))
    nothing = queue_load(jobs.iloc[:0])
    assert nothing.empty
    assert nothing.dtypes.drop("servers_from").equals(queue_load(jobs).dtypes.drop("servers_from"))
    assert np.isnan(nothing.attrs["littles_law"]["L"])
    assert queue_load(jobs.iloc[:0], by="tag").empty
    assert queue_load(DurationHistogram.from_jobs(jobs.iloc[:0]), "1h").empty
    assert backlog(jobs.iloc[:0]).loc["all", "waiting"] == 0
    assert backlog(jobs.iloc[:0], by="tag").empty


@pytest.mark.parametrize("freq", ["1h", "2h", "6h", "12h", "1D", "1W"])
@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Europe/Berlin", "2026-03-29"),
        ("Europe/Berlin", "2026-10-25"),
        ("America/Sao_Paulo", "2018-11-04"),
        ("Asia/Beirut", "2026-03-29"),
        ("Australia/Lord_Howe", "2026-10-04"),
    ],
)
def test_no_window_is_lost_or_added_where_clocks_change(zone, day, freq):
    change = pd.Timestamp(day, tz="UTC")
    created = pd.date_range(
        change - pd.Timedelta("2D"), change + pd.Timedelta("34h"), freq="13min"
    ).to_series()
    times = {
        "CreationTime": created,
        "StartTime": created + pd.Timedelta("9s"),
        "EndTime": created + pd.Timedelta("60s"),
    }
    texts = pd.DataFrame({"JobId": [f"j{n}" for n in range(len(created))], **times})
    jobs = cn.add_timings(
        texts.assign(State="Success", Tag="t", QueueId="q1"), observed_at=created.iloc[-1]
    ).reset_index(drop=True)
    load = queue_load(jobs, freq, tz=zone)
    assert load["arrivals"].sum() == len(jobs)
    windows = cn.queue_latency(jobs, freq=freq, tz=zone)["jobs"]
    pd.testing.assert_series_equal(load["arrivals"], windows, check_names=False, check_freq=False)


def test_one_job_created_at_the_as_of_time():
    jobs = table(("Submitted", 120, None, None), observed=120)
    load = queue_load(jobs)
    assert load["waiting"].tolist() == [1]
    assert load["waiting_mean"].tolist() == [1]
    assert load["utilisation"].isna().all()
    assert "no rates yet" in backlog(jobs).loc["all", "note"]


def test_all_waiting_and_all_failed():
    waiting = queue_load(table(*[("Submitted", 0, None, None)] * 3, observed=60))
    assert waiting["waiting"].tolist() == [3, 3]
    assert waiting["servers"].isna().all()
    failed = queue_load(table(*[("Failed", 0, 10, 10)] * 3, observed=60))
    assert failed["running"].tolist() == [0, 0]
    assert failed["slowdown"].isna().all()  # run times of 0 s: nothing is divided by them


def test_jobs_with_reversed_missing_or_future_times_are_told_and_left_out():
    jobs = table(
        ("Success", 0, 30, 90), ("Success", 60, 30, 90), ("Success", 0, 30, None), ("Success", None, 30, 90),
        ("Submitted", 500, None, None), observed=180,
    )  # fmt: skip
    load = queue_load(jobs)
    assert (load.attrs["unusable"], load.attrs["without_end"]) == (2, 1)
    assert load["arrivals"].tolist() == [2, 0, 0, 0]
    assert load["ends"].tolist() == [1, 1, 0, 0]  # the one without an end ends where it starts
    assert load["running"].tolist() == [1, 0, 0, 0]
    hours = queue_load(DurationHistogram.from_jobs(jobs), "1h")
    assert (hours.attrs["unusable"], hours.attrs["without_end"]) == (2, None)
    assert hours["running"].tolist() == [0]


def test_rows_that_are_no_jobs_are_counted_apart():
    jobs = table(("Success", 0, 30, 90), ("Success", 0, 30, 90))
    jobs["outcome"] = ["success", "unread"]
    assert queue_load(jobs)["arrivals"].sum() == 1
    assert queue_load(jobs).attrs["left_out"] == {"unread": 1}


def test_servers_may_be_a_column_of_list_queues():
    jobs = table(("Success", 0, 30, 90), ("Success", 0, 30, 90))
    queue = jobs["queue_id"].iloc[0]
    queues = pd.DataFrame({"queue_id": [queue, "other"], "max_concurrent": pd.array([4, None], "Int64")})
    load = queue_load(jobs, servers=queues.set_index("queue_id")["max_concurrent"], by="queue_id")
    pd.testing.assert_frame_equal(load, queue_load(jobs, servers={queue: 4.0}, by="queue_id"))
    assert (load["servers"] == 4).all()


def test_what_cannot_be_right_is_refused_in_words():
    jobs = table(("Success", 0, 30, 90))
    with pytest.raises(FrameError, match=r"lacks the column 'start_time'; it has: .*creation_time"):
        queue_load(jobs.drop(columns="start_time"))
    with pytest.raises(FrameError, match="tz_localize"):
        queue_load(jobs.assign(creation_time=jobs["creation_time"].dt.tz_localize(None)))
    with pytest.raises(TypeError, match="DataFrame"):
        queue_load([1, 2])
    with pytest.raises(FrameError, match="lacks the column 'colour'"):
        queue_load(jobs, by="colour")
    for freq in ("month", "1ME", "0s", "-1h", "100ms", None, "1500ms"):
        with pytest.raises(SettingsError, match="freq="):
            queue_load(jobs, freq)
    for servers in (0, -1, float("nan"), {"q1": 0}, "many"):
        with pytest.raises(SettingsError, match="servers="):
            queue_load(jobs, servers=servers)
    old = side_by_side([jobs, table(("Success", 0, 30, 90))])
    old.loc[1, ["creation_time", "start_time"]] = pd.Timestamp("1970-01-01T00:00Z")
    with pytest.raises(SettingsError, match=r"1970-01-01 to .* rows; choose a coarser freq"):
        queue_load(old)


def test_the_table_can_be_written_with_its_attributes(tmp_path):
    load = queue_load(table(("Success", 0, 30, 90)))
    load.to_parquet(tmp_path / "load.parquet")
    assert pd.read_parquet(tmp_path / "load.parquet").attrs == load.attrs


@pytest.mark.parametrize("seconds", [40 * 86_400, 7200])
@pytest.mark.parametrize("most", [None, 30])
def test_a_mean_is_the_time_that_jobs_spent_in_the_bin_to_the_millisecond(monkeypatch, seconds, most):
    if most:
        monkeypatch.setattr("cosai_nb.stats.moves._MOST_MOMENTS", most)
    rng = np.random.default_rng(seconds)
    begin = pd.Timestamp("2026-11-01T00:00Z")
    created = rng.integers(0, 1000 * seconds, 200)
    started = created + rng.integers(0, 20 * seconds, 200)
    times = {
        name: begin + pd.to_timedelta(ms, "ms")
        for name, ms in (("CreationTime", created), ("StartTime", started))
    }
    texts = pd.DataFrame(times | {"JobId": [f"j{number}" for number in range(200)], "State": "Success"})
    texts = texts.assign(
        EndTime=texts["StartTime"], QueueId=np.where(created % 3, "a", "b"), Tag="Translation"
    )
    load = queue_load(
        cn.add_timings(texts, observed_at=begin + pd.Timedelta(2 * seconds, "s")),
        f"{seconds // 40}s",
        by="queue_id",
    )
    for queue, mine in load.groupby(level="queue_id"):
        first = (mine.index.get_level_values("time") - begin) // pd.Timedelta("1ms")
        last = first + 25 * seconds
        chosen = (texts["QueueId"] == queue).to_numpy()
        spent = np.minimum(started[chosen], last.to_numpy()[:, None]) - np.maximum(
            created[chosen], first.to_numpy()[:, None]
        )
        mean = spent.clip(0).sum(axis=1) / (last - first)
        assert mine["waiting_mean"].tolist()[:-1] == pytest.approx(mean.tolist()[:-1])


@pytest.mark.parametrize("seconds", [40 * 86_400, 7200])
@pytest.mark.parametrize("most", [None, 30])
def test_the_largest_within_a_bin_is_that_of_every_second(monkeypatch, seconds, most):
    """Few jobs in a long time and many in a short one; all seconds at once, and one stretch of bins after the other."""
    if most:
        monkeypatch.setattr("cosai_nb.stats.moves._MOST_MOMENTS", most)
    rng = np.random.default_rng(seconds)
    created = np.sort(rng.integers(0, seconds, 300))
    started = created + rng.integers(0, seconds // 50, 300)
    jobs = snapshot(created, started, started + rng.integers(1, seconds // 50, 300), seconds)
    jobs["queue_id"] = pd.Categorical(np.where(np.arange(300) % 3, "a", "b"))
    width = seconds // 40
    load = queue_load(jobs, f"{width}s", by="queue_id", tz="UTC")
    for queue, mine in load.groupby(level="queue_id"):
        begin = (
            mine.index.get_level_values("time") - pd.Timestamp(EPOCH, unit="s", tz="UTC")
        ) // pd.Timedelta("1s")
        chosen = (jobs["queue_id"] == queue).to_numpy()
        moments = np.unique(np.concatenate((created, started, begin)))
        waiting = (created[chosen] <= moments[:, None]) & (started[chosen] > moments[:, None])
        before = np.concatenate(([0], waiting.sum(axis=1)[np.searchsorted(moments, begin[1:]) - 1]))
        largest = np.maximum.reduceat(waiting.sum(axis=1), np.searchsorted(moments, begin))
        assert mine["waiting_max"].tolist() == np.maximum(before, largest).tolist()
