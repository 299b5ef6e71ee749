"""Against queues that change, and whose truth is known: what is seen, and when."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cosai_nb.stats.change_points import change_points
from cosai_nb.stats.compare import SLOWER, compare
from cosai_nb.stats.slo import check_slo
from tests.simulate import MEAN_RUN, SERVERS, arrivals, erlang_quantile, serve, snapshot

pytestmark = pytest.mark.slow
CAPACITY = SERVERS / MEAN_RUN
DAY = 86_400


def test_a_line_that_grows_is_slower_although_those_that_have_started_say_faster():
    """A jam in which nothing starts any more: who drops the waiting jobs compares calm with calm."""
    told = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        created = arrivals(rng, [(4 * DAY, 0.8 * CAPACITY)])
        run = rng.exponential(MEAN_RUN, len(created))
        started = serve(created, run)
        stuck, never = 3 * DAY, 100.0 * DAY
        started = np.where(started < stuck, started, never)
        jobs = snapshot(created, started, np.where(started < stuck, started + run, never), 4 * DAY)
        cut = jobs["creation_time"] < pd.Timestamp("2026-11-03", tz="UTC")
        row = compare(jobs[cut], jobs[~cut], same_hours=False).loc["all"]
        naive = [part["queue_latency_s"].quantile(0.95) for part in (jobs[cut], jobs[~cut])]
        assert naive[1] < 1.6 * naive[0]
        told.append(row["verdict"])
    assert told == [SLOWER] * 5


def test_a_step_is_found_within_a_day(record_property):
    """Load 0.8 for a week, then 0.9 for a week: p95 rises by × 2.9."""
    assert erlang_quantile(0.9, 0.95) / erlang_quantile(0.8, 0.95) == pytest.approx(2.9, abs=0.1)
    step, late = pd.Timestamp("2026-11-08", tz="UTC"), []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        created = arrivals(rng, [(7 * DAY, 0.8 * CAPACITY), (7 * DAY, 0.9 * CAPACITY)])
        run = rng.exponential(MEAN_RUN, len(created))
        started = serve(created, run)
        table = change_points(snapshot(created, started, started + run, 14 * DAY))
        late.append([round((time - step) / pd.Timedelta("1h")) for time in table["time"]])
    record_property("hours late", str(late))
    assert all(len(hours) == 1 and abs(hours[0]) <= 24 for hours in late)


def test_of_the_last_minutes_there_are_bounds_only(record_property):
    """Starts that take 300 s on average and keep no order, jobs of the last 10 minutes: who counts those that have started sees the quick ones."""
    rng = np.random.default_rng(12)
    naive, wide = [], []
    for _ in range(60):
        created = arrivals(rng, [(600, 2.0)])
        started = created + rng.exponential(300, len(created))
        jobs = snapshot(created, started, started + 60, 600)
        row = check_slo(jobs, threshold_s=300, target=0.9, detail=True).loc["all"]
        last = (np.floor(started) - np.floor(created) <= 300).mean()
        assert row["share_lower_bound"] <= last <= row["share_upper_bound"]
        assert np.isnan(row["share"])
        naive.append((jobs["queue_latency_s"].dropna() <= 300).mean())
        wide.append(row["share_upper_bound"] - row["share_lower_bound"])
    truth = 1 - np.exp(-1)
    record_property("naive error, width of the bounds", str((np.mean(naive) - truth, np.mean(wide))))
    assert np.mean(naive) > truth + 0.15
