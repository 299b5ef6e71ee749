"""What is no jobs frame is refused in one sentence that says how to repair it."""

from __future__ import annotations

import pandas as pd
import pytest

from cosai_nb.errors import CosaiWarning, FrameError
from cosai_nb.query import name_queues
from cosai_nb.stats.failures import error_pareto, failure_rates
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.latency import queue_latency, run_time
from cosai_nb.stats.load import queue_load
from cosai_nb.stats.measures import MISSING, check_jobs, group_columns, milliseconds
from cosai_nb.stats.queues import backlog
from tests.simulate import hand_made, with_ids

FUNCTIONS = [queue_latency, run_time, DurationHistogram.from_jobs]


@pytest.fixture
def jobs():
    return hand_made(("success", 0, 7, 9), ("waiting", 10, None, None))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("other", [None, [1, 2], {"tag": ["a"]}])
def test_what_is_no_frame(function, other):
    with pytest.raises(TypeError, match=r"is a pandas DataFrame .* not "):
        function(other)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_missing_column_is_named_with_those_that_are_there(function, jobs):
    with pytest.raises(FrameError, match="lacks the column 'tag'; it has: state, code") as caught:
        function(jobs.drop(columns="tag"))
    assert "add_timings" in str(caught.value)
    with pytest.raises(FrameError, match=r"lacks the columns 'queue_id', .*no columns at all"):
        function(pd.DataFrame())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_times_without_a_zone_and_how_to_fix_them(function, jobs):
    naive = jobs.assign(creation_time=jobs["creation_time"].dt.tz_localize(None))
    with pytest.raises(FrameError, match=r"'creation_time' do not say which zone.*tz_localize\('UTC'\)"):
        function(naive)
    fixed = naive.assign(creation_time=naive["creation_time"].dt.tz_localize("UTC"))
    function(fixed)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_text_where_times_or_seconds_are_needed(function, jobs):
    with pytest.raises(FrameError, match=r"'start_time' holds .* not times"):
        function(jobs.assign(start_time="2026-11-01"))
    with pytest.raises(FrameError, match=r"'queue_latency_s' holds .* not seconds"):
        function(jobs.assign(queue_latency_s="7"))


def test_a_column_twice(jobs):
    with pytest.raises(FrameError, match="'tag' more than once"):
        queue_latency(pd.concat([jobs, jobs[["tag"]]], axis=1))


def test_other_zones_and_units_are_the_same_moments(jobs):
    times = ["creation_time", "start_time", "end_time", "observed_at"]
    moved = jobs.assign(
        **{name: jobs[name].dt.tz_convert("Asia/Shanghai").dt.as_unit("ns") for name in times}
    )
    assert DurationHistogram.from_jobs(moved) == DurationHistogram.from_jobs(jobs)


def test_order_index_and_further_columns_make_no_difference(jobs):
    other = jobs[::-1].set_index(pd.Index(["x", "x"])).assign(extra=1)[[*jobs.columns[::-1], "extra"]]
    assert DurationHistogram.from_jobs(other) == DurationHistogram.from_jobs(jobs)


def test_queues_are_grouped_by_name_from_a_frame_and_a_file(jobs, tmp_path):
    named = name_queues(jobs, {"q1": "nightly"})
    named.to_parquet(tmp_path / "named.parquet")
    for source in (named, tmp_path / "named.parquet"):
        for function in (queue_latency, run_time, failure_rates, backlog):
            assert function(source, by="queue_name").index.tolist() == ["nightly"]


def test_a_frame_that_is_grouped_by_names():
    assert group_columns([]) == ()
    with pytest.raises(FrameError, match="twice"):
        group_columns(["tag", "tag"])
    with pytest.raises(FrameError, match="column name"):
        group_columns([1])


def test_missing_times_are_missing():
    times = pd.Series(pd.to_datetime([None, "1969-12-31T23:59:59Z"], utc=True))
    assert milliseconds(times).tolist() == [MISSING, -1000]
    assert check_jobs(pd.DataFrame({"a": []}), ["a"]).empty


@pytest.mark.parametrize("function", [*FUNCTIONS, failure_rates, error_pareto, queue_load, backlog])
def test_a_job_that_stands_twice_is_counted_once_and_the_number_is_said(function):
    once = with_ids(hand_made(("success", 0, 7, 9), ("failed", 10, 15, 20), ("waiting", 20, None, None)))
    earlier = with_ids(hand_made(("waiting", 0, None, None), ("waiting", 10, None, None)))
    twice = pd.concat([earlier, once], ignore_index=True)
    expected = function(once)
    with pytest.warns(CosaiWarning, match="2 of 5 rows were left out"):
        counted = function(twice)
    if isinstance(expected, DurationHistogram):
        assert counted == expected
    else:
        pd.testing.assert_frame_equal(counted, expected)
