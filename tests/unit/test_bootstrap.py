"""The block bootstrap: whole blocks, exact counts, a fixed seed, and draws that equal resampling by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cosai_nb.stats.bootstrap import (
    DRAWS,
    block_counts,
    block_hours,
    count_blocks,
    draw_weights,
    quantile_draws,
    spread,
)
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.latency import queue_latency
from tests.simulate import hand_made, snapshot


@pytest.fixture(scope="module")
def jobs():
    rng = np.random.default_rng(1)
    created = np.sort(rng.random(4000)) * 40 * 3600
    started = created + rng.exponential(2000, 4000)
    return snapshot(created, started, started + 60, 39 * 3600)


@pytest.fixture(scope="module")
def histogram(jobs):
    return DurationHistogram.from_jobs(jobs)


def test_blocks_count_the_jobs_of_their_hours(jobs, histogram):
    for hours in (1, 6):
        blocks = block_counts(histogram, "queue_latency", hours=hours)
        start = jobs["creation_time"].dt.floor(f"{hours}h")
        waiting = jobs["queue_latency_s"].isna()
        assert (
            blocks.ended.sum(axis=1).tolist()
            == start[~waiting].value_counts(sort=False).reindex(start.unique(), fill_value=0).tolist()
        )
        assert blocks.unfinished.sum() == waiting.sum()
        assert len(blocks.starts) == count_blocks(histogram, hours) == start.nunique()
        assert (blocks.starts % hours == 0).all()


def test_the_grid_is_exact_to_100_seconds_and_one_percent_above(jobs, histogram):
    blocks = block_counts(histogram, "queue_latency")
    waits = np.sort(jobs["queue_latency_s"].dropna().to_numpy())
    gridded = np.repeat(blocks.seconds, blocks.ended.sum(axis=0).astype(int))
    assert (gridded[waits <= 100] == waits[waits <= 100]).all()
    assert (gridded >= waits).all()
    assert (gridded <= waits * 1.01 + 1).all()


def test_each_draw_holds_as_many_blocks_as_there_are():
    weights = draw_weights(30)
    assert weights.shape == (DRAWS, 30)
    assert (weights.sum(axis=1) == 30).all()
    assert abs(weights.mean(axis=0) - 1).max() < 0.15
    assert (draw_weights(30) == weights).all()
    with pytest.raises(ValueError, match="read-only"):
        weights[0, 0] = 1


def test_a_draw_equals_the_jobs_of_its_blocks_written_out(jobs, histogram):
    blocks = block_counts(histogram, "queue_latency")
    draws = quantile_draws(blocks, (0.5, 0.9))
    hour = jobs["creation_time"].dt.floor("h")
    of_hour = {start: jobs[hour == start] for start in hour.unique()}
    for draw in (0, 500):
        times = np.repeat(list(of_hour), draw_weights(len(of_hour))[draw].astype(int))
        pieces = [of_hour[start] for start in times]
        whole = DurationHistogram.from_jobs(pieces[0])
        for piece in pieces[1:]:
            whole += DurationHistogram.from_jobs(piece)
        exact = queue_latency(whole, q=(0.5, 0.9)).loc["all", ["p50", "p90"]].to_numpy(dtype=float)
        assert draws[:, draw] == pytest.approx(exact, rel=0.011)


def test_the_interval_is_the_same_every_time_and_holds_infinity():
    assert [float(end) for end in spread(np.append(np.arange(989.0), [np.inf] * 10))] == [24, 974]
    low, high = spread(np.append(np.arange(949.0), [np.inf] * 50))
    assert (low, high) == (24, np.inf)


def test_a_busy_queue_has_longer_blocks():
    assert [block_hours(load) for load in (0.2, 0.9, 0.91, float("nan"))] == [1, 1, 6, 1]


def test_no_jobs_give_no_blocks_and_jobs_without_a_time_none_either():
    empty = block_counts(DurationHistogram.from_jobs(hand_made()), "queue_latency")
    assert (empty.ended.shape, empty.unfinished.shape) == ((0, 0), (0, 0))
    lost = DurationHistogram.from_jobs(hand_made(("success", None, 5, 9), ("success", 0, 5, 9)))
    blocks = block_counts(lost, "run_time")
    assert blocks.ended.sum() == 1  # no creation time, no block
