"""The judge itself: each order by hand, Erlang C, and that every job is accounted for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import cosai_nb as cn
from cosai_nb.table.frame import frame_of
from tests.queues import (
    DAY,
    HOUR,
    History,
    batch,
    long_run,
    rates,
    read_during,
    service,
    shape,
    simulate,
    steady,
    together,
    with_retries,
)
from tests.simulate import EPOCH, arrivals, erlang_quantile, serve

RNG = np.random.default_rng(0)
ORDERS = ("fifo", "lifo", "random", "priority")


def one_by_one(order="fifo", servers=1, created=(0, 1, 2, 3), mean=10, **more):
    return simulate(
        np.random.default_rng(0), np.array(created, float), servers, kind="deterministic", mean=mean, order=order, **more
    )  # fmt: skip


@pytest.mark.parametrize(
    ("order", "level", "starts"),
    [
        ("fifo", None, [0, 10, 20, 30]),
        ("lifo", None, [0, 30, 20, 10]),
        ("priority", [0, 0, 0, 1], [0, 20, 30, 10]),
        ("priority", [0, 1, 2, 1], [0, 20, 10, 30]),
    ],
)
def test_whom_a_free_server_takes(order, level, starts):
    assert one_by_one(order, level=level).started.tolist() == starts


def test_random_order_takes_each_of_those_who_wait_equally_often():
    second = [
        int(np.argsort(simulate(np.random.default_rng(seed), np.arange(4.0), 1, kind="deterministic", order="random").started)[1])
        for seed in range(600)
    ]  # fmt: skip
    assert np.bincount(second, minlength=4)[1:] / 600 == pytest.approx(np.full(3, 1 / 3), abs=0.07)


def test_servers_are_taken_and_never_taken_away():
    outage = one_by_one(servers=[(0, 1), (5, 0), (25, 1)])
    assert outage.started.tolist() == [0, 25, 35, 45]
    fewer = one_by_one(servers=[(0, 3), (4, 1)], created=(0, 1, 2, 3, 3))
    assert fewer.started.tolist() == [0, 1, 2, 12, 22]  # two of the three that run have to end before
    more = one_by_one(servers=[(0, 1), (5, 3)])
    assert more.started.tolist() == [0, 5, 5, 10]


def test_who_gives_up_takes_no_server_and_has_the_wait_that_it_would_have_had():
    history = one_by_one(patience=np.array([99, 5, 99, 8]))
    assert history.started.tolist() == [0, 10, 10, 20]
    assert history.left.tolist()[1] == 6
    jobs = history.read(12).jobs
    assert jobs["outcome"].tolist() == ["success", "cancelled", "running", "cancelled"]
    assert jobs["total_time_s"].tolist()[1] == 5
    assert jobs["start_time"].isna().tolist() == [False, True, False, True]
    assert history.read(9).jobs["outcome"].tolist() == ["running", "cancelled", "waiting", "waiting"]


def test_failing_is_decided_at_the_start():
    history = one_by_one(fails=[(-np.inf, 0.0), (15, 1.0)], fail_s=3)
    assert history.failed.tolist() == [False, False, True, True]
    assert history.ended.tolist() == [10, 20, 23, 26]
    jobs = history.read(24).jobs
    assert jobs["outcome"].tolist() == ["success", "success", "failed", "running"]
    assert jobs["code"].isna().tolist() == [True, True, False, True]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("servers", [3, [(0, 3), (4000, 0), (5000, 8), (9000, 2)]])
@pytest.mark.parametrize("patience", [None, 600.0])
def test_every_job_is_accounted_for(order, servers, patience):
    rng = np.random.default_rng(4)
    created = np.sort(np.concatenate((arrivals(rng, [(15_000, 0.055)]), batch(40, 7000))))
    history = simulate(
        rng, created, servers, order=order, patience=patience, level=rng.integers(0, 3, len(created)), fails=[(-np.inf, 0.2)], fail_s=5
    )  # fmt: skip
    ran = history.left > history.started
    assert np.isfinite(history.started).all()
    assert (history.started >= created).all()
    assert ran.all() == (patience is None)
    for at in (0, 3999, 4500, 7000, 9500, 14_000, 10**7):
        jobs = history.read(at).jobs
        counts = jobs["outcome"].value_counts()
        gone = np.floor(np.minimum(history.started, history.left))
        assert counts["waiting"] == ((np.floor(created) <= at) & (gone > at)).sum()
        if isinstance(servers, int):
            assert counts["running"] <= 4  # whole seconds: one may end in the second in which another starts
    assert counts["waiting"] == counts["running"] == 0
    assert counts["cancelled"] == (~ran).sum()
    moments = np.concatenate((history.started[ran], history.ended[ran]))
    change = np.repeat((1, -1), ran.sum())
    running = np.cumsum(change[np.lexsort((change, moments))])
    assert running.max() <= (3 if isinstance(servers, int) else 8)
    assert running[-1] == 0
    if isinstance(servers, int):  # no server idles while a job waits
        begun = np.sort(history.started[ran])
        busy = [((history.started <= t) & (history.ended > t) & ran).sum() for t in begun]
        late = np.sort(history.started[ran & (history.started > created)])
        assert all(busy[place] == 3 for place in np.searchsorted(begun, late))


def test_in_order_it_is_the_judge_of_old():
    rng = np.random.default_rng(1)
    created = arrivals(rng, [(20_000, 0.05)])
    history = simulate(rng, created, 4)
    np.testing.assert_allclose(history.started, serve(created, history.ended - history.started, 4))
    slow_way = simulate(np.random.default_rng(2), created, [(0, 4)])
    np.testing.assert_allclose(slow_way.started, serve(created, slow_way.ended - slow_way.started, 4))


@pytest.mark.parametrize("load", [0.7, 0.85])
def test_the_wait_of_an_m_m_c_queue_is_erlang_s(load):
    truth = erlang_quantile(load, 0.95)
    kinds = {"servers": 20, "kind": "exponential"}
    weeks = steady(np.random.default_rng(3), load, runs=200, days=0.3, warm_up=0.1, **kinds)
    waits = [weeks.history(run, 0, 0.3 * DAY).waits() for run in range(200)]
    assert np.quantile(np.concatenate(waits), 0.95) == pytest.approx(truth, rel=0.07, abs=1)
    [p95] = long_run(np.random.default_rng(5), load, [0.95], runs=200, days=0.3, **kinds)
    assert p95 == pytest.approx(truth, rel=0.07, abs=1)


@pytest.mark.parametrize("order", ["fifo", "lifo", "random"])
def test_the_mean_wait_is_erlang_s_whatever_the_order(order):
    rng = np.random.default_rng(6)
    p95, p99 = (erlang_quantile(0.8, q) for q in (0.95, 0.99))
    rate = np.log(5) / (p99 - p95)  # of the exponential tail
    truth = 0.05 * np.exp(rate * p95) / rate
    created = arrivals(rng, [(60_000 / 0.2667, 0.2667)])
    found = simulate(rng, created, 20, kind="exponential", order=order)
    assert found.waits().mean() == pytest.approx(truth, rel=0.12)


@pytest.mark.parametrize(
    ("kind", "cv"), [("lognormal", 2), ("exponential", 1), ("deterministic", 0), ("bimodal", 1.42)]
)
def test_run_times(kind, cv):
    run = service(np.random.default_rng(1), 400_000, kind, 30)
    assert run.mean() == pytest.approx(30, rel=0.02)
    assert run.std() / run.mean() == pytest.approx(cv, rel=0.05)


def test_profiles():
    moments = np.array([2, 8, 14, 24 + 14, 6 * 24 + 8, 7 * 24 + 8]) * HOUR  # EPOCH is a Sunday
    assert pd.Timestamp(EPOCH, unit="s").day_name() == "Sunday"
    assert shape(moments, daily=0.5, weekend=0.6) == pytest.approx([0.3, 0.6, 0.9, 1.5, 0.6, 0.6])
    assert sum(seconds for seconds, _ in rates(2.0, 3, daily=0.3)) == 3 * DAY
    weeks = steady(
        np.random.default_rng(8), 0.5, runs=40, days=2, daily=0.5, steps=[(1, 0.5, 3.0)], warm_up=0.1
    )
    created, run = weeks.created / HOUR, (weeks.ended - weeks.started)
    night, noon, later = ((created > hour - 1) & (created < hour + 1) for hour in (2, 14, 38))
    assert noon.sum() / night.sum() == pytest.approx(3, rel=0.1)
    assert later.sum() / noon.sum() == pytest.approx(0.5, rel=0.1)
    assert run[later].mean() / run[noon].mean() == pytest.approx(3, rel=0.15)


def test_what_is_read_is_the_frame_of_the_package():
    history = one_by_one(
        fails=[(-np.inf, 0.0), (15, 1.0)], patience=np.array([99, 5, 99, 99]), level=[0, 3, 0, 0]
    )
    for at, unread in ((0, None), (12, None), (24, None), (24, np.array([False, True, False, True]))):
        jobs = history.read(at, unread=unread).jobs
        empty = frame_of([])
        assert jobs.dtypes.astype(str).tolist() == empty.dtypes.astype(str).tolist()
        assert jobs.columns.tolist() == empty.columns.tolist() == list(cn.COLUMNS)
        known = jobs[jobs["outcome"] != "unread"]
        names = ("JobId", "State", "CreationTime", "StartTime", "EndTime", "QueueId", "Tag", "Code")
        texts = pd.DataFrame({name: known[_snake(name)].astype(object) for name in names})
        for name in names:
            if name.endswith("Time"):
                texts[name] = (
                    known[_snake(name)]
                    .dt.strftime("%Y-%m-%dT%H:%M:%SZ")
                    .astype(object)
                    .where(texts[name].notna(), "-")
                )
        again = cn.add_timings(texts, observed_at=pd.Timestamp(EPOCH + at, unit="s", tz="UTC"))
        for name in again.columns:
            if name not in ("job_level", "error"):
                assert again[name].astype(object).where(again[name].notna(), None).tolist() == (
                    known[name].astype(object).where(known[name].notna(), None).tolist()
                ), name
        assert jobs["job_level"].tolist()[:1] == [0]


def _snake(name):
    return {
        "JobId": "job_id",
        "CreationTime": "creation_time",
        "StartTime": "start_time",
        "EndTime": "end_time",
    }.get(name, {"QueueId": "queue_id"}.get(name, name.lower()))


def test_part_of_the_jobs_and_rows_read_at_other_moments():
    history = one_by_one()
    part = history.read(
        12, keep=np.array([True, False, True, True]), unread=np.array([False, False, False, True])
    )
    assert part.rows.tolist() == [0, 2, 3]
    assert part.jobs["outcome"].tolist() == ["success", "waiting", "unread"]
    assert part.jobs["creation_time"].isna().tolist() == [False, False, True]
    assert part.waits.tolist() == [0, 18, 27]
    moments = read_during(RNG, history.created, 2, 30, "oldest")
    assert moments.tolist() == [2, 12, 22, -np.inf]
    late = history.read(moments)
    assert late.rows.tolist() == [0, 1, 2]
    assert late.jobs["outcome"].tolist() == ["running", "running", "running"]
    assert (late.jobs["observed_at"].astype("int64") // 1000 - EPOCH).tolist() == [2, 12, 22]
    assert read_during(RNG, history.created, 2, 30, "newest").tolist()[:3] == [22, 12, 2]


def test_when_the_queue_is_empty():
    history = one_by_one(created=(0, 1, 2, 60, 61))
    assert history.empty_at(5) == 20
    assert history.drained_at(5) == 20
    assert history.empty_at(30) == 30
    assert history.empty_at(61) == 70
    assert one_by_one(patience=np.array([99, 5, 8, 99])).empty_at(4) == 10


def test_jobs_that_fail_come_back():
    history = with_retries(np.random.default_rng(2), np.arange(2000) * 60.0, 20, chance=0.5, most=3)
    assert len(history.created) == pytest.approx(2000 * 1.75, rel=0.05)
    assert (np.diff(history.created) >= 0).all()
    assert set(np.setdiff1d(history.created, np.arange(2000) * 60.0)) <= set(history.ended[history.failed])
    assert history.failed.mean() == pytest.approx(0.5, abs=0.05)


def test_queues_side_by_side():
    both = together(one_by_one(queue="a"), one_by_one(queue="b", tag="t", created=(0, 2, 9)))
    assert isinstance(both, History)
    assert both.created.tolist() == [0, 0, 1, 2, 2, 3, 9]
    assert both.read(20).jobs["queue_id"].tolist() == ["a", "b", "a", "a", "b", "a", "b"]
    assert both.read(20).jobs["tag"].tolist()[:2] == ["Translation", "t"]
