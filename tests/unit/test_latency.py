"""Queue latency and run time: what a row says in the cases where a naive number would lie, divide by zero or hide."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cosai_nb.errors import SettingsError
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.latency import NEEDS_JOBS, queue_latency, run_time
from tests.simulate import arrivals, hand_made, serve, serve_at_random, snapshot

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
    summary = queue_latency(surge, q=0.95)
    assert list(summary.columns) == [
        *FINE, "p95", "p95_low", "p95_high", "p95_lower_bound", "p95_estimate", "p95_projection",
        "utilisation", "blocks", "as_of", "from", "to", "note",
    ]  # fmt: skip
    assert list(queue_latency(surge).filter(regex=r"^p\d+$")) == ["p50", "p90", "p95", "p99"]
    assert summary["growing"].dtype == bool
    assert summary["fifo"].dtype == "boolean"
    assert str(summary["as_of"].dtype) == "datetime64[ms, UTC]"
    assert summary.dtypes.equals(queue_latency(surge[:0], q=0.95).dtypes)
    assert list(run_time(surge, q=0.5).columns) == [
        "jobs", "running", "unusable", "method", "p50", "p50_low", "p50_high", "p50_lower_bound",
        "p50_estimate", "utilisation", "blocks", "as_of", "from", "to", "note",
    ]  # fmt: skip


def test_hand_checked_kaplan_meier():
    jobs = hand_made(
        ("success", 0, 10, 20), ("running", 0, 20, None), ("cancelled", 0, None, 30), ("success", 0, 40, 50),
        ("waiting", 0, None, None), at=100,
    )  # fmt: skip
    row = queue_latency(jobs, q=(0.2, 0.5, 0.8, 0.9)).loc["all"]
    # S: 10 s 4/5, 20 s 3/5, 40 s 3/5 × 1/2
    assert [row[f"p{q}_estimate"] for q in (20, 50, 80, 90)] == [10, 40, np.inf, np.inf]
    assert [row[f"p{q}_lower_bound"] for q in (20, 50, 80, 90)] == [10, 30, 40, 100]
    assert (row["jobs"], row["waiting"], row["unusable"]) == (5, 1, 0)  # cancelled: censored, waiting no more
    run = run_time(jobs, q=(0.5, 0.9)).loc["all"]
    assert (run["jobs"], run["running"], run["p50"], run["p90"]) == (3, 1, 10, np.inf)
    assert run["p90_lower_bound"] == 80


def test_where_a_line_grows_in_order_the_headline_is_the_projection(surge):
    summary = queue_latency(surge, by="queue_id", q=0.95)
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
        frame, counted = queue_latency(surge, by=by), queue_latency(histogram, by=by)
        same = [
            c
            for c in frame
            if c.endswith(("_lower_bound", "_estimate")) or c in {"jobs", "waiting", "growing"}
        ]
        pd.testing.assert_frame_equal(frame[same], counted[same])
        pd.testing.assert_frame_equal(run_time(surge, by=by), run_time(histogram, by=by))
    row = queue_latency(histogram, q=0.95).loc["all"]
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
    row = queue_latency(snapshot(created, started, started + run, 5 * 3600), q=0.95).loc["all"]
    assert (row["growing"], row["fifo"], row["method"]) == (True, False, "estimate")
    assert np.isnan(row["p95_projection"])
    assert "not served in order" in row["note"]


def test_paused_jobs_do_not_stand_in_line(surge):
    waiting = surge["outcome"] == "waiting"
    paused = surge.assign(state=surge["state"].astype(object).mask(waiting, "Pause"))
    before = queue_latency(surge, by="queue_id", q=0.95).loc["q1"]
    after = queue_latency(paused, by="queue_id", q=0.95).loc["q1"]
    assert after["waiting"] == before["waiting"]  # they wait, only not in line
    assert after["p95_projection"] == after["p95_estimate"] < before["p95_projection"]


def test_no_interval_below_14_blocks_and_the_note_says_why():
    hours = [("success", hour * 3600, hour * 3600 + 5, hour * 3600 + 9) for hour in range(14)]
    few, enough = (queue_latency(hand_made(*hours[:n], at=50_400), q=0.5).loc["all"] for n in (13, 14))
    assert np.isnan([few["p50_low"], few["p50_high"]]).all()
    assert few["note"] == "no interval: 13 blocks of 1 h, 14 are needed"
    assert (enough["p50_low"], enough["p50_high"], enough["blocks"], enough["note"]) == (5, 5, 14, "")


def test_a_busy_queue_gets_blocks_of_six_hours_and_a_warning_of_its_interval():
    rng = np.random.default_rng(8)
    created = arrivals(rng, [(5 * 86_400, 0.98 / 60)])
    run = rng.exponential(60, len(created))
    started = serve(created, run, servers=1)
    row = queue_latency(snapshot(created, started, started + run, 5 * 86_400), q=0.5).loc["all"]
    assert row["utilisation"] > 0.9
    assert 19 <= row["blocks"] <= 21
    assert "the interval is too narrow" in row["note"]
    assert row["p50_low"] < row["p50"] < row["p50_high"]


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
        row = queue_latency(source, q=0.95).loc["all"]
        assert {name: row[name] for name in expected} == pytest.approx(expected, nan_ok=True)
        assert queue_latency(source, by=["hour", "tag"])["jobs"].sum() == row["jobs"]
        run_time(source, by="queue_id")


def test_rows_that_are_no_jobs_are_counted_beside():
    jobs = hand_made(("success", 0, 7, 9), ("unread", None, None, None))
    for function in (queue_latency, run_time):
        assert function(jobs).loc["all", "jobs"] == 1
        assert function(jobs).attrs["left_out"] == {"unread": 1}


def test_window_and_as_of_time():
    row = queue_latency(hand_made(("success", 3700, 3707, 3709), ("waiting", 7300, None, None), at=9000)).loc[
        "all"
    ]
    times = [pd.Timestamp(f"2026-11-01T{clock}Z") for clock in ("02:30", "01:00", "03:00")]
    assert [row["as_of"], row["from"], row["to"]] == times


@pytest.mark.parametrize("q", [0, 1, 1.5, (), (0.5, 95), "0.95", None, ("0.5",)])
def test_quantiles_that_are_none(q, surge):
    with pytest.raises(SettingsError, match="between 0 and 1"):
        queue_latency(surge, q=q)


def test_numpy_numbers_are_quantiles(surge):
    assert "p50" in queue_latency(surge, q=np.float32(0.5))


def test_a_small_queue_of_unknown_order_does_not_unmake_the_projection_of_a_large_one(surge):
    alone = queue_latency(surge).loc["all"]
    small = hand_made(
        ("success", 0, 7, 9), ("success", 0, 9, 12), ("waiting", 0, None, None), queue_id="q2"
    ).assign(observed_at=surge["observed_at"].max())
    both = queue_latency(pd.concat([surge, small], ignore_index=True)).loc["all"]
    assert (alone["method"], both["method"]) == ("projection", "projection")
    assert both["p95"] == pytest.approx(alone["p95"], rel=0.01)


def test_a_histogram_says_that_it_knows_no_single_jobs():
    jobs = hand_made(("success", 0, 7, 9), ("waiting", 0, None, None), at=9000)
    counted = queue_latency(DurationHistogram.from_jobs(jobs)).loc["all"]
    assert "single jobs" in counted["note"]
    assert "single jobs" not in queue_latency(jobs).loc["all", "note"]


def test_names_of_quantiles():
    summary = queue_latency(hand_made(("success", 0, 7, 9)), q=(0.29, 0.999))
    assert {"p29", "p99.9", "p99.9_lower_bound"} <= set(summary.columns)
