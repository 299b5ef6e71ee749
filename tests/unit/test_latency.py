"""Queue latency and run time: what a row says in the cases where a naive number would lie, divide by zero or hide."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cosai_nb.errors import SettingsError
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.latency import NEEDS_JOBS, queue_latency, run_time
from tests import queues
from tests.simulate import arrivals, hand_made, serve, serve_at_random, side_by_side, snapshot

pytestmark = pytest.mark.filterwarnings("error")
FINE = ("jobs", "waiting", "unusable", "growing", "fifo", "method")


@pytest.fixture(scope="module")
def surge():
    """Two tags in one queue that is served in order and grows; a second queue, calm; jobs of neither queue."""
    rng = np.random.default_rng(2)
    created = arrivals(rng, [(16 * 3600, 0.25), (2 * 3600, 0.5)])
    run = rng.exponential(60, len(created))
    started = serve(created, run, servers=20)
    tags = rng.choice(["Translation", "Words"], len(created))
    busy = snapshot(created, started, started + run, 18 * 3600, tag=tags)
    calm = np.sort(rng.random(500)) * 18 * 3600
    other = snapshot(calm, calm + 5, calm + 60, 18 * 3600, queue="q2")
    lost = other.iloc[:40].assign(queue_id=None)
    return pd.concat([busy, other, lost], ignore_index=True)


def test_the_columns_in_their_order_and_dtypes(surge):
    summary = queue_latency(surge, q=0.95, detail=True)
    assert list(summary.columns) == [
        *FINE, "p95", "p95_low", "p95_high", "p95_lower_bound", "p95_estimate", "p95_projection",
        "utilisation", "blocks", "as_of", "from", "to", "note",
    ]  # fmt: skip
    assert list(queue_latency(surge, detail=True).filter(regex=r"^p\d+$")) == ["p50", "p90", "p95", "p99"]
    assert summary["growing"].dtype == bool
    assert summary["fifo"].dtype == "boolean"
    assert str(summary["as_of"].dtype) == "datetime64[ms, UTC]"
    assert summary.dtypes.equals(queue_latency(surge[:0], q=0.95, detail=True).dtypes)
    assert list(run_time(surge, q=0.5, detail=True).columns) == [
        "jobs", "running", "unusable", "method", "p50", "p50_low", "p50_high", "p50_lower_bound",
        "p50_estimate", "utilisation", "blocks", "as_of", "from", "to", "note",
    ]  # fmt: skip


def test_hand_checked_kaplan_meier():
    jobs = hand_made(
        ("success", 0, 10, 20), ("running", 0, 20, None), ("cancelled", 0, None, 30), ("success", 0, 40, 50),
        ("waiting", 0, None, None), at=100,
    )  # fmt: skip
    row = queue_latency(jobs, q=(0.2, 0.5, 0.8, 0.9), detail=True).loc["all"]
    # S: 10 s 4/5, 20 s 3/5, 40 s 3/5 × 1/2
    assert [row[f"p{q}_estimate"] for q in (20, 50, 80, 90)] == [10, 40, np.inf, np.inf]
    assert [row[f"p{q}_lower_bound"] for q in (20, 50, 80, 90)] == [10, 30, 40, 100]
    assert (row["jobs"], row["waiting"], row["unusable"]) == (5, 1, 0)  # cancelled: censored, waiting no more
    run = run_time(jobs, q=(0.5, 0.9), detail=True).loc["all"]
    assert (run["jobs"], run["running"], run["p50"], run["p90"]) == (3, 1, 10, np.inf)
    assert run["p90_lower_bound"] == 80


def test_where_a_line_grows_in_order_the_headline_is_the_projection(surge):
    summary = queue_latency(surge, by="queue_id", q=0.95, detail=True)
    assert summary.index.tolist()[:2] == ["q1", "q2"]
    assert pd.isna(summary.index[2])
    assert summary["method"].tolist() == ["projection", "estimate", "estimate"]
    assert summary["growing"].tolist() == [True, False, False]
    assert summary["fifo"].tolist() == [True, True, True]
    q1 = summary.loc["q1"]
    assert q1["p95"] == q1["p95_projection"] > q1["p95_estimate"] > q1["p95_lower_bound"]
    assert "the estimate is too low" in q1["note"]
    calm = summary.loc["q2"]
    assert (calm["p95"], calm["p95_projection"], calm["waiting"]) == (5, 5, 0)


def test_the_place_in_line_is_that_of_the_queue_not_of_the_tag(surge):
    by_tag = queue_latency(surge[surge["queue_id"] == "q1"], by="tag", q=0.95)
    alone = queue_latency(surge[(surge["queue_id"] == "q1") & (surge["tag"] == "Words")], q=0.95).loc["all"]
    assert by_tag["p95"].max() / by_tag["p95"].min() < 1.1
    assert by_tag.loc["Words", "p95"] == pytest.approx(alone["p95"], rel=0.1)
    assert (by_tag["method"] == "projection").all()


def test_a_histogram_gives_the_same_but_what_needs_single_jobs(surge):
    histogram = DurationHistogram.from_jobs(surge)
    for by in (None, "queue_id", ["tag", "queue_id"], "hour", ["outcome", "code"]):
        frame, counted = (
            queue_latency(surge, by=by, detail=True),
            queue_latency(histogram, by=by, detail=True),
        )
        same = [
            c
            for c in frame
            if c.endswith(("_lower_bound", "_estimate")) or c in {"jobs", "waiting", "growing"}
        ]
        pd.testing.assert_frame_equal(frame[same], counted[same])
        pd.testing.assert_frame_equal(
            run_time(surge, by=by, detail=True), run_time(histogram, by=by, detail=True)
        )
    row = queue_latency(histogram, q=0.95, detail=True).loc["all"]
    assert row["method"] == NEEDS_JOBS
    assert pd.isna(row["fifo"])
    assert np.isnan(row["p95_projection"])
    assert row["p95"] == row["p95_estimate"]


def test_two_histograms_added_answer_as_the_whole(surge):
    parts = DurationHistogram.from_jobs(surge[::2]) + DurationHistogram.from_jobs(surge[1::2])
    pd.testing.assert_frame_equal(
        queue_latency(parts, by="tag"), queue_latency(DurationHistogram.from_jobs(surge), by="tag")
    )


def test_out_of_order_is_seen_and_nothing_is_projected():
    rng = np.random.default_rng(2)
    created = arrivals(rng, [(6 * 3600, 0.5)])
    run = rng.exponential(60, len(created))
    started = serve_at_random(rng, created, run)
    row = queue_latency(snapshot(created, started, started + run, 5 * 3600), q=0.95, detail=True).loc["all"]
    assert (row["growing"], row["fifo"], row["method"]) == (True, False, "estimate")
    assert np.isnan(row["p95_projection"])
    assert "not served in order" in row["note"]


def test_paused_jobs_do_not_stand_in_line(surge):
    waiting = surge["outcome"] == "waiting"
    paused = surge.assign(state=surge["state"].astype(object).mask(waiting, "Pause"))
    before = queue_latency(surge, by="queue_id", q=0.95, detail=True).loc["q1"]
    after = queue_latency(paused, by="queue_id", q=0.95, detail=True).loc["q1"]
    assert after["waiting"] == before["waiting"]  # they wait, only not in line
    assert after["p95_projection"] == after["p95_estimate"] < before["p95_projection"]


def test_paused_jobs_are_said_and_so_is_who_keeps_a_quantile_from_being_reached():
    started = [("success", 60 * n, 60 * n + 5, 60 * n + 9) for n in range(80)]
    gave_up = [("cancelled", 0, None, 900)] * 12
    jobs = hand_made(*started, *gave_up, *[("waiting", 4000, None, None)] * 8, at=9000)
    jobs["state"] = jobs["state"].astype(object).where(jobs["outcome"] != "waiting", "Pause")
    row = queue_latency(jobs).loc["all"]
    assert row[["p50", "p90", "p99"]].tolist() == [5, np.inf, np.inf]
    told = row["note"].split("; ")
    assert told[:2] == [
        "8 paused jobs are in no queue",
        "p90, p95, p99 more than observed: 8 waiting and 12 gave up",
    ]
    left = queue_latency(hand_made(*started, *gave_up, at=9000)).loc["all", "note"].split("; ")
    assert left[0] == "p90, p95, p99 more than observed: 12 gave up"
    runs = (
        run_time(hand_made(*started, *[("running", 0, 9, None)] * 9, at=9000)).loc["all", "note"].split("; ")
    )
    assert runs[0] == "p90, p95, p99 more than observed: 9 running"


def skewed(short, long, hours=20):
    """Each hour some jobs that a clock one second behind lets start before they were created, and some that wait 50 s."""
    rows = [
        ("success", 3600 * h + n, 3600 * h + n - 1, 3600 * h + n + 9)
        for h in range(hours)
        for n in range(short)
    ]
    rows += [
        ("success", 3600 * h + n, 3600 * h + n + 50, 3600 * h + 70) for h in range(hours) for n in range(long)
    ]
    return hand_made(*rows, at=3600 * hours)


def test_waits_lost_to_a_clock_are_said_and_lie_in_the_interval():
    jobs = skewed(6, 4)
    for source in (jobs, DurationHistogram.from_jobs(jobs)):
        row = queue_latency(source, q=(0.5, 0.95), detail=True).loc["all"]
        assert (
            "120 of 200 jobs that started or ended have unusable times (missing or reversed) and are in no quantile, share or rate: "
            "where clocks differ, these are the short waits"
        ) in row["note"]
        # the truth is 0, and 49
        assert (row["p50_lower_bound"], row["p50_low"], row["p95_lower_bound"]) == (0, 0, 50)
        assert row["p95_high"] == np.inf  # or the lost ones waited longest
    runs = hand_made(*[("success", 0, 7, 3)] * 4, ("success", 0, 7, 9))
    assert (
        run_time(runs).loc["all", "note"].startswith("4 of 5 jobs that started or ended have unusable times")
    )
    assert "reversed" not in queue_latency(skewed(1, 99)).loc["all", "note"]
    assert "20 of 1,000" not in queue_latency(skewed(0, 50)).loc["all", "note"]


def mixed(seed):
    """Three queues whose servers change, one of them served out of order; who waits long leaves."""
    rng, frames = np.random.default_rng(seed), []
    for name, order in (("q1", "fifo"), ("q2", "lifo"), ("q3", "fifo")):
        created = arrivals(rng, [(12 * 3600, 40 / 3600)])
        servers = [(0, 2), (7 * 3600, int(rng.integers(0, 3))), (13 * 3600, 10)]
        history = queues.simulate(rng, created, servers, mean=180, order=order, patience=4 * 3600, queue=name)
        frames.append(history.read(12 * 3600).jobs)
    return side_by_side(frames)


@pytest.mark.parametrize("seed", [15, 41, 66, 77, 87, 117])
def test_an_interval_holds_its_own_headline_and_too_low_is_said_of_what_is(seed):
    row = queue_latency(mixed(seed), detail=True).loc["all"]
    names = ["p50", "p90", "p95", "p99"]
    headline, low, high, estimate = (
        row[[name + suffix for name in names]].to_numpy(dtype=float)
        for suffix in ("", "_low", "_high", "_estimate")
    )
    assert not (low > headline).any()
    assert not (high < headline).any()
    assert (np.isnan(low) == np.isnan(high)).all()
    too_low = [part for part in row["note"].split("; ") if "too low" in part]
    lower = np.array(names)[estimate < headline]
    of_these = f" of {', '.join(lower)}" if (estimate > headline).any() else ""
    assert too_low == [
        f"the estimate{of_these} is too low: a queue that is served in order is longer than its waits so far"
    ] * (len(lower) > 0)


def test_a_year_that_is_wrong_makes_no_wait_finite():
    rows = [("success", 60 * n, 60 * n + 600, 60 * n + 660) for n in range(300)]
    century = 75 * 365 * 86_400
    jobs = hand_made(*rows, *[("waiting", 18_000 + n, None, None) for n in range(10)], at=century)
    row = queue_latency(jobs, q=(0.5, 0.99), detail=True).loc["all"]
    assert (row["p50"], row["p99"]) == (600, np.inf)
    assert "nothing has started since" in row["note"]


def test_no_interval_below_14_blocks_and_the_note_says_why():
    hours = [("success", hour * 3600, hour * 3600 + 5, hour * 3600 + 9) for hour in range(14)]
    few, enough = (
        queue_latency(hand_made(*hours[:n], at=50_400), q=0.5, detail=True).loc["all"] for n in (13, 14)
    )
    assert np.isnan([few["p50_low"], few["p50_high"]]).all()
    assert few["note"] == "no interval: 13 blocks of 1 h, 14 are needed"
    assert (enough["p50_low"], enough["p50_high"], enough["blocks"], enough["note"]) == (5, 5, 14, "")


def test_the_interval_of_a_busy_queue_is_as_wide_as_its_hours_are_alike():
    rng = np.random.default_rng(8)
    created = arrivals(rng, [(5 * 86_400, 0.98 / 60)])
    run = rng.exponential(60, len(created))
    started = serve(created, run, servers=1)
    row = queue_latency(snapshot(created, started, started + run, 5 * 86_400), q=0.5, detail=True).loc["all"]
    assert row["utilisation"] > 0.9
    assert row["blocks"] >= 118
    assert row["p50_low"] < row["p50"] / 1.5  # as if the hours were independent it would be a third as wide
    assert row["p50_high"] > row["p50"] * 1.4


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((), {"jobs": 0, "waiting": 0, "p95": np.nan, "p95_lower_bound": np.nan}),
        ((("success", 0, 7, 9),), {"jobs": 1, "waiting": 0, "p95": 7, "p95_lower_bound": 7}),
        ((("waiting", 0, None, None),) * 3, {"waiting": 3, "p95": np.inf, "p95_lower_bound": 3600}),
        ((("failed", 0, 7, 9),) * 3, {"jobs": 3, "waiting": 0, "p95": 7}),
        ((("cancelled", 0, None, 60),), {"jobs": 1, "waiting": 0, "p95": np.inf, "p95_lower_bound": 60}),
        ((("success", 9, 7, 8),), {"jobs": 1, "unusable": 1, "p95": np.nan}),
        ((("waiting", 9999, None, None),), {"jobs": 1, "waiting": 1, "p95_lower_bound": 0}),
        ((("success", None, None, None),), {"jobs": 1, "unusable": 1, "p95": np.nan}),
        ((("not_found", None, None, None),), {"jobs": 0, "p95": np.nan}),
    ],
)
def test_few_and_odd_jobs(rows, expected):
    jobs = hand_made(*rows)
    for source in (jobs, DurationHistogram.from_jobs(jobs)):
        row = queue_latency(source, q=0.95, detail=True).loc["all"]
        assert {name: row[name] for name in expected} == pytest.approx(expected, nan_ok=True)
        assert queue_latency(source, by=["hour", "tag"])["jobs"].sum() == row["jobs"]
        run_time(source, by="queue_id")


def test_rows_that_are_no_jobs_are_counted_beside():
    jobs = hand_made(("success", 0, 7, 9), ("unread", None, None, None))
    for function in (queue_latency, run_time):
        assert function(jobs).loc["all", "jobs"] == 1
        assert function(jobs).attrs["left_out"] == {"unread": 1}


def test_window_and_as_of_time():
    row = queue_latency(
        hand_made(("success", 3700, 3707, 3709), ("waiting", 7300, None, None), at=9000), detail=True
    ).loc["all"]
    times = [pd.Timestamp(f"2026-11-01T{clock}Z") for clock in ("02:30", "01:00", "03:00")]
    assert [row["as_of"], row["from"], row["to"]] == times


@pytest.mark.parametrize("q", [0, 1, 1.5, (), (0.5, 95), "0.95", None, ("0.5",)])
def test_quantiles_that_are_none(q, surge):
    with pytest.raises(SettingsError, match="between 0 and 1"):
        queue_latency(surge, q=q)


def test_numpy_numbers_are_quantiles(surge):
    assert "p50" in queue_latency(surge, q=np.float32(0.5))


def test_a_small_queue_of_unknown_order_does_not_unmake_the_projection_of_a_large_one(surge):
    alone = queue_latency(surge, detail=True).loc["all"]
    small = hand_made(
        ("success", 0, 7, 9), ("success", 0, 9, 12), ("waiting", 0, None, None), queue_id="q2"
    ).assign(observed_at=surge["observed_at"].max())
    both = queue_latency(pd.concat([surge, small], ignore_index=True), detail=True).loc["all"]
    assert (alone["method"], both["method"]) == ("projection", "projection")
    assert both["p95"] == pytest.approx(alone["p95"], rel=0.01)


def test_a_histogram_says_that_it_knows_no_single_jobs():
    jobs = hand_made(("success", 0, 7, 9), ("waiting", 0, None, None), at=9000)
    counted = queue_latency(DurationHistogram.from_jobs(jobs)).loc["all"]
    assert "single jobs" in counted["note"]
    assert "single jobs" not in queue_latency(jobs).loc["all", "note"]


def test_names_of_quantiles():
    summary = queue_latency(hand_made(("success", 0, 7, 9)), q=(0.29, 0.999), detail=True)
    assert {"p29", "p99.9", "p99.9_lower_bound"} <= set(summary.columns)
