"""Reports, explorers and plots of what is on disk say what those of the frame say, and a question has one number."""

import re

import numpy as np
import pandas as pd
import pytest

import cosai_nb as cn
from cosai_nb.stats.durations import durations, durations_by_weekday, survival_curves
from cosai_nb.stats.failures import failed_jobs, faults_by
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.latency import queue_latency
from cosai_nb.stats.load import longest_jobs, numbers, times_of
from tests.unit.test_explorer import JOBS, TABS, show
from tests.unit.test_sentences import growing


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs")
    for number, part in enumerate((JOBS.iloc[:90], JOBS.iloc[90:])):
        cn.write_jobs(part, folder / f"{number}.parquet")
    return folder


def words(page):
    return re.sub(r"<[^>]*>", " ", page.read_text(encoding="utf-8"))


def test_a_report_of_a_folder_is_that_of_the_frame(path, tmp_path):
    of_folder = cn.write_report(path, tmp_path / "a.html", slo="10m:95%")
    assert words(of_folder) == words(cn.write_report(JOBS, tmp_path / "b.html", slo="10m:95%"))


def same(one, other):
    """Compare frames; pandas 2 holds the labels of a category read from Arrow as another kind of text."""
    plain = [frame.astype(dict.fromkeys(frame.select_dtypes("category"), object)) for frame in (one, other)]
    pd.testing.assert_frame_equal(*plain, check_dtype=False)


@pytest.mark.parametrize("tab", TABS)
def test_an_explorer_of_a_folder_is_that_of_the_frame(path, tab):
    explorers = cn.explore(path), cn.explore(JOBS)
    for explorer in explorers:
        explorer.select(tag=["Translation"])
        show(explorer, tab)
    one, other = explorers
    assert one.sentence == other.sentence
    same(one.data(), other.data())
    space = {"jobs": path}
    exec(one.code(), space)
    same(space["summary"], one.data())


PLOTS = [
    cn.plots.queue_latency_data,
    cn.plots.latency_over_time_data,
    cn.plots.heatmap_data,
    cn.plots.failure_rates_data,
    cn.plots.queue_load_data,
    cn.plots.error_pareto_data,
    cn.plots.timeline_data,
    lambda jobs: cn.plots.before_after_data(jobs, jobs),
]


@pytest.mark.parametrize("twin", PLOTS)
def test_a_plot_of_a_folder_is_that_of_the_frame(path, twin):
    pd.testing.assert_frame_equal(twin(path), twin(JOBS), check_categorical=False)


def test_a_folder_that_is_not_there_is_an_error_and_nothing_is_written(tmp_path):
    with pytest.raises(cn.FileError):
        cn.write_report(tmp_path / "gone", tmp_path / "a.html")
    with pytest.raises(cn.FileError):
        cn.explore(tmp_path / "gone")
    assert not list(tmp_path.iterdir())


def test_report_explorer_and_statistic_say_the_same_p95_of_a_growing_queue(tmp_path):
    jobs = growing().iloc[600:]
    row = queue_latency(jobs, detail=True).loc["all"]
    assert (row["method"], row["p95"] == row["p95_estimate"]) == ("projection", False)
    seconds = cn.views.wording.duration(row["p95"])
    assert seconds in words(cn.write_report(jobs, tmp_path / "a.html"))
    explorer = cn.explore(jobs)
    assert f"95 % of the jobs start within {seconds}, projected" in explorer.sentence
    drawn = cn.plots.queue_latency(jobs).get_legend().get_texts()[0].get_text()
    assert f"p95 {seconds} (projected)" in drawn


def test_a_part_of_a_queue_keeps_the_places_of_the_whole():
    jobs = growing().iloc[600:]
    jobs = jobs.assign(tag=np.where(np.arange(len(jobs)) % 2, "A", "B"))
    by_tag = queue_latency(jobs, by="tag", q=0.95, detail=True)
    explorer = cn.explore(jobs)
    explorer.select(tag=["A"])
    assert f"start within {cn.views.wording.duration(by_tag.loc['A', 'p95'])}, projected" in explorer.sentence


def test_durations_are_those_of_a_loop_over_the_groups():
    found = durations(JOBS, by="tag", q=(0.5, 0.9))
    for tag, part in JOBS.groupby("tag", observed=True):
        known = part["queue_latency_s"].dropna()
        row = found.loc[tag]
        assert (row["min"], row["mean"]) == (known.min(), pytest.approx(known.mean()))
        assert (row["jobs"], row["open"]) == (len(part), part["queue_latency_s"].isna().sum())
        alone = queue_latency(DurationHistogram.from_jobs(part), q=(0.5, 0.9), detail=True).loc["all"]
        assert (
            row[["p50", "p90", "p90_lower_bound"]].tolist()
            == alone[["p50", "p90", "p90_lower_bound"]].tolist()
        )
    assert found["goes_on"].all()


def test_survival_curves_start_below_1_and_fall():
    curves = survival_curves(JOBS, by="tag")
    for _, curve in curves.groupby(level=0):
        assert curve["seconds"].is_monotonic_increasing
        assert (np.diff(curve["survival"]) <= 1e-12).all()
    assert curves["ended"].sum() + curves["unfinished"].sum() == len(JOBS)


def test_weekdays_hold_every_job_once_in_the_zone_asked_for():
    for tz in ("UTC", "Asia/Kolkata"):
        hours = JOBS["creation_time"].dt.floor("h").dt.tz_convert(tz)
        found = durations_by_weekday(JOBS, tz=tz)["jobs"]
        for (day, hour), number in JOBS.groupby([hours.dt.day_of_week, hours.dt.hour]).size().items():
            assert found.loc[(day, hour)] == number
        assert found.sum() == len(JOBS)


def test_numbers_times_and_failures_are_those_of_pandas(path):
    for source in (JOBS, path):
        failed = JOBS[JOBS["outcome"] == "failed"]
        assert numbers(source, "tag")["jobs"].to_dict() == JOBS["tag"].value_counts().to_dict()
        times = times_of(source)
        assert times.first == JOBS["creation_time"].min()
        assert times.end == JOBS[["creation_time", "start_time", "end_time"]].max().max()
        newest = failed_jobs(source, ["job_id"], newest=3)
        assert newest.attrs["failed"] == len(failed)
        assert newest["job_id"].tolist() == failed["job_id"].tolist()[::-1][:3]
        faults = faults_by(source, "tag")
        assert faults["jobs"].tolist() == failed["tag"].value_counts().tolist()
        longest = longest_jobs(source, most=5, columns=["job_id"])
        total = JOBS["total_time_s"].fillna((JOBS["observed_at"] - JOBS["creation_time"]).dt.total_seconds())
        assert longest["total_time"].tolist() == total.nlargest(5).tolist()
        assert longest.attrs["known"] == len(JOBS)
