"""The frames that plots draw, checked by hand."""

import numpy as np
import pandas as pd
import pytest

from cosai_nb.errors import FrameError, SettingsError
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.latency import queue_latency as latency_summary
from cosai_nb.table.frame import add_timings
from cosai_nb.views import plots
from tests.simulate import side_by_side

ZERO = pd.Timestamp("2026-11-02T02:00:00Z")  # Monday 10:00 in Shanghai


def moment(seconds):
    return "-" if seconds is None else (ZERO + pd.Timedelta(seconds=seconds)).isoformat()


def table(*rows, seen=7200, **columns):
    """Rows of (created, started, ended, state), seconds after ZERO."""
    created, started, ended, state = zip(*rows, strict=True) if rows else ([], [], [], [])
    texts = pd.DataFrame(
        {
            "JobId": [f"a{n}" for n in range(len(rows))],
            "State": list(state),
            "CreationTime": [moment(s) for s in created],
            "StartTime": [moment(s) for s in started],
            "EndTime": [moment(s) for s in ended],
            "QueueId": "q1",
            "Tag": "Translation",
        }
    ).assign(**columns)
    return add_timings(texts, observed_at=moment(seen))


MIXED = table(
    (0, 7, 9, "Success"),
    (0, 0, 4, "Success"),
    (3600, 3660, 3700, "Failed"),
    (7140, None, None, "Submitted"),
    Tag=["A", "A", "B", "B"],
)


def test_the_latency_curve_is_kaplan_meier_with_the_waiting_job_censored_at_its_age():
    curve = plots.queue_latency_data(MIXED)
    # four jobs: started after 0, 7 and 60 s; one seen waiting for 60 s
    assert curve["queue_latency_s"].tolist() == [0, 7, 60]
    assert curve["started_share"].tolist() == pytest.approx([1 / 4, 1 / 2, 3 / 4])
    assert curve["started"].tolist() == [1, 1, 1]
    assert curve["not_started"].tolist() == [0, 0, 1]


def test_the_curves_of_groups_stand_below_each_other_with_the_larger_group_first():
    jobs = side_by_side([MIXED, table((0, 5, 6, "Success"), Tag="B")])
    curve = plots.queue_latency_data(jobs, by="tag")
    assert curve["tag"].tolist() == ["B", "B", "A", "A"]
    assert curve["queue_latency_s"].tolist() == [5, 60, 0, 7]
    assert curve["started_share"].tolist() == pytest.approx([1 / 3, 2 / 3, 1 / 2, 1])


def test_a_long_curve_is_thinned_to_exact_points_and_loses_no_job():
    rng = np.random.default_rng(1)
    waits = rng.integers(0, 100_000, 5000)
    jobs = table(*((0, int(wait), int(wait) + 1, "Success") for wait in waits), seen=200_000)
    curve = plots.queue_latency_data(jobs)
    assert 100 < len(curve) < 1500
    assert curve["started"].sum() == 5000
    seconds = curve["queue_latency_s"].to_numpy()
    exact = [(waits <= second).mean() for second in seconds]
    assert curve["started_share"].to_numpy() == pytest.approx(exact)


def test_a_missing_label_is_a_group_of_its_own():
    curve = plots.queue_latency_data(
        table((0, 1, 2, "Success"), (0, 3, 4, "Success"), Tag=["A", None]), by="tag"
    )
    assert curve["tag"].isna().tolist() == [False, True]


def test_a_label_that_no_file_can_hold_is_no_trouble():
    jobs = table((0, 1, 2, "Success")).assign(tag=pd.Series(["a\ud800"], dtype=object))
    assert plots.latency_over_time_data(jobs, by="tag")["tag"].tolist() == ["a\\ud800"]


def test_each_hour_has_its_own_quantiles_and_inf_where_jobs_still_wait():
    hours = plots.latency_over_time_data(MIXED)
    assert hours["time"].tolist() == [ZERO, ZERO + pd.Timedelta("1h")]
    assert hours["jobs"].tolist() == [2, 2]
    assert hours["not_started"].tolist() == [0, 1]
    assert hours["p50"].tolist() == [0, 60]
    assert hours["p95"].tolist() == [7, np.inf]
    assert hours["p95_lower_bound"].tolist() == [7, 60]


def test_the_quantiles_of_hours_are_those_of_the_statistics():
    rng = np.random.default_rng(2)
    rows = []
    for created in rng.integers(0, 5 * 3600, 400).tolist():
        wait = int(rng.exponential(900))
        rows.append(
            (created, None, None, "Submitted")
            if created + wait > 18_000
            else (created, created + wait, created + wait + 1, "Success")
        )
    jobs = table(*rows, seen=18_000)
    histogram = DurationHistogram.from_jobs(jobs)
    summary = latency_summary(histogram, by="hour", q=(0.5, 0.9), detail=True)
    hours = plots.latency_over_time_data(histogram, q=(0.5, 0.9))
    for name in ("p50", "p90", "p50_lower_bound", "p90_lower_bound"):
        assert hours[name].tolist() == summary[name].tolist(), name


@pytest.mark.parametrize(
    ("tz", "weekday", "hour"),
    [("Asia/Shanghai", "Mon", 10), ("UTC", "Mon", 2), ("America/Los_Angeles", "Sun", 18)],
)
def test_the_heatmap_counts_in_the_hours_of_the_display_zone(tz, weekday, hour):
    cells = plots.heatmap_data(MIXED, tz=tz)
    assert len(cells) == 168
    first = cells[(cells["weekday"] == weekday) & (cells["hour"] == hour)].iloc[0]
    assert (first["jobs"], first["p95"]) == (2, 7)
    assert cells["jobs"].sum() == 4


def test_an_hour_without_jobs_is_not_an_hour_without_waits():
    cells = plots.heatmap_data(table((0, 0, 1, "Success"))).set_index(["weekday", "hour"])
    assert cells.loc[("Mon", 10), "p95"] == 0
    assert np.isnan(cells.loc[("Mon", 11), "p95"])


def test_load_steps_are_exact():
    steps = plots.queue_load_data(MIXED, freq="1h")
    assert steps["arrivals"].tolist() == [2, 2, 0]
    assert steps["waiting"].tolist() == [0, 1, 1]
    assert steps["running"].tolist() == [0, 0, 0]


def test_load_by_group_keeps_the_longest_line_first():
    steps = plots.queue_load_data(MIXED, by="tag", freq="1h")
    assert steps["tag"].unique().tolist() == ["B", "A"]


def test_load_chooses_a_width_that_can_be_drawn():
    week = side_by_side(
        [MIXED, table((7 * 86_400, 7 * 86_400, 7 * 86_400 + 1, "Success"), seen=7 * 86_400 + 60)]
    )
    assert len(plots.queue_load_data(week)) <= 1501
    assert len(plots.queue_load_data(MIXED)) == 121  # two hours of minutes


def test_the_timeline_has_the_slowest_job_first_and_knows_what_goes_on():
    jobs = table(
        (0, 10, 40, "Success"),
        (0, 100, None, "Running"),
        (0, None, None, "Submitted"),
        (0, 5, 6, "Failed"),
        seen=300,
    )
    rows = plots.timeline_data(jobs, most=3)
    assert rows["job_id"].tolist() == ["a1", "a2", "a0"]
    assert rows["waited_s"].tolist() == [100, 300, 10]
    assert rows["ran_s"].fillna(-1).tolist() == [200, -1, 30]
    assert rows["unfinished"].tolist() == [True, True, False]
    assert plots.timeline_data(jobs, slowest="run_time")["job_id"].tolist() == ["a1", "a0", "a3"]


def test_a_timeline_of_a_histogram_says_what_it_needs():
    with pytest.raises(TypeError, match="give it the jobs frame"):
        plots.timeline_data(DurationHistogram.from_jobs(MIXED))


HISTOGRAM_TWINS = [
    plots.queue_latency_data,
    plots.latency_over_time_data,
    plots.heatmap_data,
    plots.failure_rates_data,
]


@pytest.mark.parametrize("twin", HISTOGRAM_TWINS)
def test_a_histogram_gives_the_same_numbers_as_its_frame(twin):
    pd.testing.assert_frame_equal(twin(MIXED), twin(DurationHistogram.from_jobs(MIXED)))


@pytest.mark.parametrize(
    "twin", [*HISTOGRAM_TWINS, plots.queue_load_data, plots.error_pareto_data, plots.timeline_data]
)
def test_a_missing_column_is_named(twin):
    with pytest.raises(FrameError, match="outcome"):
        twin(MIXED.drop(columns="outcome"))


@pytest.mark.parametrize("plot", [plots.heatmap, plots.latency_over_time, plots.queue_load, plots.timeline])
def test_an_unknown_zone_is_named(plot):
    with pytest.raises(SettingsError, match="Asia/Shangai"):
        plot(MIXED, tz="Asia/Shangai")


@pytest.mark.parametrize("q", [(0.5, 1), (0,), ()])
def test_a_quantile_outside_of_0_to_1_is_refused(q):
    with pytest.raises(ValueError, match="between 0 and 1"):
        plots.latency_over_time_data(MIXED, q=q)
