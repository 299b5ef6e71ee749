"""Order, rate, places and growth of queues: by hand where a hand can do it, else against queues made to be so."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import cosai_nb as cn
from cosai_nb.stats.counts import RECENT_MS, count_all
from cosai_nb.stats.growth import QUEUE_KEYS, queue_alarms, queue_states
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.projection import project
from tests import queues
from tests.simulate import arrivals, hand_made, serve, serve_at_random, side_by_side, snapshot, with_ids

pytestmark = pytest.mark.filterwarnings("error")
HOUR, MINUTE = 3600, 60
ONE_A_MINUTE = [("success", 60 * n, 60 * n + 600, 60 * n + 660) for n in range(1, 41)]  # one server, in order
WAITING = [("waiting", 2900, None, None), ("waiting", 2700, None, None), ("waiting", 2800, None, None)]


def recent(jobs):
    return count_all(jobs, QUEUE_KEYS, recent_ms=RECENT_MS).recent


def plan(jobs):
    return project(recent(jobs))


def waits(jobs):
    """Age and projected wait of each waiting job, in the order of the rows; None where it is not known."""
    single = recent(jobs)
    found = project(single)
    rows = np.flatnonzero((single["outcome"] == "waiting").to_numpy())
    return [
        int(single["seconds"].iloc[row] + found.ahead[row]) if found.ahead[row] >= 0 else None for row in rows
    ]


def notes(jobs):
    return cn.queue_latency(jobs, q=0.95).loc["all", "note"]


def surge(seed, steps, servers=20, **kinds):
    """A queue at 0.65 for three hours, then (minutes, load) …; its frame at the end."""
    rng = np.random.default_rng(seed)
    capacity = (kinds.pop("nominal", None) or servers) / 60
    rates = [(3 * HOUR, 0.65 * capacity), *((minutes * MINUTE, load * capacity) for minutes, load in steps)]
    created = arrivals(rng, rates)
    level = (rng.random(len(created)) < kinds.pop("high", 0)).astype(int)
    history = queues.simulate(rng, created, servers, level=level, **kinds)
    return history.read(sum(seconds for seconds, _ in rates))


# --- place and rate ---


def test_the_oldest_is_next_wherever_it_stands_in_the_frame():
    jobs = hand_made(*ONE_A_MINUTE, *WAITING, at=3000)
    assert waits(jobs) == [100 + 180, 300 + 60, 200 + 120]


def test_the_time_in_which_nobody_waited_is_not_in_the_rate():
    old = [
        ("success", 60 * n, 60 * n, 60 * n + 5) for n in range(1, 120)
    ]  # 2 h in which every job starts at once
    busy = [("success", 9000, 9000 + 10 * n, 9010 + 10 * n) for n in range(60)]
    jobs = hand_made(*old, *busy, ("waiting", 9001, None, None), at=9600)
    assert waits(jobs) == [599 + 10]


def test_the_rate_is_that_since_it_changed():
    fast = [("success", 100, 100 + 2 * n, 102 + 2 * n) for n in range(1, 400)]
    slow = [("success", 101, 900 + 20 * n, 920 + 20 * n) for n in range(100)]
    jobs = hand_made(*fast, *slow, ("waiting", 102, None, None), at=2900)
    assert waits(jobs) == [pytest.approx(2798 + 20, abs=1)]


def test_jobs_of_one_second_may_start_in_any_order_and_overtake_nobody():
    batch = [("success", 100, 100 + 60 * n, 160 + 60 * n) for n in range(20)]
    jobs = hand_made(*batch, *[("waiting", 100, None, None)] * 3, at=1300)
    assert plan(jobs).fifo == {"q1": True}
    assert sorted(waits(jobs)) == pytest.approx([1200 + 60, 1200 + 120, 1200 + 180], abs=6)


@pytest.mark.parametrize("tags", ["AB", "BA"])
def test_whose_rows_come_first_is_not_served_first(tags):
    """Of a batch of one second 20 started, one a minute, and 40 wait: the last two of each tag are among the last six."""
    started = [("success", 100, 100 + 60 * n, 160 + 60 * n) for n in range(20)]
    waiting = [("waiting", 100, None, None)] * 40
    tag = [*"AB" * 10, *tags[0] * 20, *tags[1] * 20]
    told = cn.queue_latency(hand_made(*started, *waiting, at=1300, tag=tag), by="tag", q=0.95)
    assert told["p95"].between(1200 + 60 * 35, 1200 + 60 * 40).all()


def test_jobs_that_give_up_make_the_queue_shorter():
    left = [("cancelled", 60 * n + 30, None, 60 * n + 330) for n in range(40)]
    without = hand_made(*ONE_A_MINUTE, *WAITING * 10, at=3000)
    jobs = hand_made(*ONE_A_MINUTE, *left, *WAITING * 10, at=3000)
    assert max(waits(jobs)) < 0.9 * max(waits(without))


def test_every_job_is_placed_at_the_earliest_observation_of_one_that_has_not_ended():
    jobs = hand_made(*ONE_A_MINUTE, *WAITING, at=3000)
    later = jobs["observed_at"] + pd.to_timedelta(
        np.where(jobs["outcome"] == "waiting", [*[0] * 40, 60, 0, 30], 0), "s"
    )
    assert waits(jobs.assign(observed_at=later)) == [100 + 180, 300 + 60, 200 + 120]


def test_a_stale_record_is_in_no_queue_and_is_said():
    jobs = side_by_side(
        [hand_made(*ONE_A_MINUTE, *WAITING, at=3000), hand_made(("waiting", 600, None, None), at=1100)]
    )
    found = plan(jobs)
    assert found.stale.sum() == 1
    assert [age for age in waits(jobs) if age is not None] == [100 + 180, 300 + 60, 200 + 120]
    assert "1 stale records (30 min older than the newest) are in no queue" in notes(jobs)


def last_start(history, at, jobs):
    """When the last of those that wait will start, as projected and in truth [s from then]."""
    return cn.backlog(jobs).loc["all", "drain_s"], history.drained_at(at) - at


def mixed(seed, *batches, slow=0.1, runs=(60, 180), at=4 * HOUR):
    """Slow and fast jobs on 20 servers: a load of 0.5, and batches of (minutes ago, number, tag)."""
    rng = np.random.default_rng(seed)
    created = [arrivals(rng, [(at, 10 / (runs[0] + slow * (runs[1] - runs[0])))])]
    tags = [np.where(rng.random(len(created[0])) < slow, "slow", "fast")]
    for minutes, number, tag in batches:
        created.append(queues.batch(number, at - minutes * MINUTE, 20))
        tags.append(np.full(number, tag))
    order = np.argsort(np.concatenate(created), kind="stable")
    tag = np.concatenate(tags)[order]
    mean = np.where(tag == "slow", *runs[::-1])
    history = queues.simulate(rng, np.concatenate(created)[order], 20, kind="exponential", mean=mean, tag=tag)
    return history, at, history.read(at).jobs


@pytest.mark.parametrize(
    "batches",
    [
        [(15, 400, "fast"), (14, 400, "slow")],
        [(10, 150, "slow"), (9, 600, "fast")],
        [(5, 1000, "fast")],
        [(5, 200, "slow")],
    ],
)
def test_a_place_counts_as_long_as_its_tag_runs(batches):
    errors = []
    for seed in range(4):
        told, truth = last_start(*mixed(seed, *batches))
        errors.append(told / truth - 1)
    assert abs(np.mean(errors)) < 0.1, errors


def test_a_queue_has_one_projection_however_far_back_is_counted():
    """Three hours ago the runs became ten times as short: the burn rates of check_slo look further back."""
    slow = [("success", 600 * n, 600 * n + 60, 600 * n + 660) for n in range(20)]
    fast = [("success", 11000 + 60 * n, 12060 + 60 * n, 12120 + 60 * n) for n in range(150)]
    jobs = hand_made(*slow, *fast, *[("waiting", 21000 + 10 * n, None, None) for n in range(60)], at=21600)
    for q in (0.8, 0.9, 0.95):
        wait = cn.queue_latency(jobs, q=q).loc["all", f"p{100 * q:g}"]
        told = [cn.check_slo(jobs, threshold_s=wait + off, target=q).loc["all", "share"] for off in (0, -1)]
        assert told[1] < q <= told[0]


def test_slow_jobs_run_more_than_they_start():
    """Of the 20 that run most are slow, of those that wait few: work is done at the rate of what starts."""
    errors = []
    for seed in range(4):
        told, truth = last_start(*mixed(seed, (5, 970, "fast"), (5, 30, "slow"), slow=0.03, runs=(30, 3000)))
        errors.append(told / truth - 1)
    assert abs(np.mean(errors)) < 0.2, errors  # 30 slow jobs alone tell the work to 18 %


def test_behind_a_tag_of_which_none_has_ended_nothing_is_known():
    known = [("waiting", 2700 + n, None, None) for n in range(3)]
    unknown = [("waiting", 2710 + n, None, None) for n in range(10)]
    tags = ["A"] * 43 + ["B"] * 10
    jobs = hand_made(*ONE_A_MINUTE, *known, *unknown, at=3000, tag=tags)
    assert waits(jobs)[:4] == [300 + 60, 299 + 120, 298 + 180, 290 + 240]
    assert waits(jobs)[5:] == [None] * 8
    assert "jobs wait of a tag of which none has ended" in notes(jobs)


@pytest.mark.parametrize(("minutes", "seconds"), [(5, 1), (30, 1), (20, 90)])
def test_what_is_cancelled_at_once_is_no_rate_of_giving_up(minutes, seconds):
    errors = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        created = arrivals(rng, [(3 * HOUR, 0.6 / 3), (2 * HOUR, 1.5 / 3)])
        at = 5 * HOUR
        when = at - minutes * MINUTE + seconds * rng.random(len(created))
        left = np.where((created < when) & (rng.random(len(created)) < 0.5), when, np.inf)
        history = queues.simulate(rng, created, 20, kind="exponential", patience=left - created)
        truth = history.started[(created <= at) & (history.started > at) & ~(left <= at)].max() - at
        errors.append(cn.backlog(history.read(at).jobs).loc["all", "drain_s"] / truth - 1)
    assert abs(np.mean(errors)) < 0.08, errors


def on_a_tick(seed, every, load=0.4, hours=5):
    """Workers that take all that waits at each tick."""
    rng = np.random.default_rng(seed)
    created = arrivals(rng, [(hours * HOUR, load / 3)])
    started = np.sort(np.ceil(created / every) * every + 3 * rng.random(len(created)))
    ended = started + rng.exponential(60, len(created))
    return [snapshot(created, started, ended, (hours - 1) * HOUR + at) for at in HOUR * rng.random(10)]


@pytest.mark.parametrize("every", [120, 300, 600])
def test_workers_that_fetch_on_a_tick_do_not_stand_still(every):
    found = [queue_alarms(jobs).loc["q1", "state"] for jobs in on_a_tick(every, every)]
    assert set(found) <= {"waiting", "empty"}


def test_starts_on_a_tick_are_said_and_the_intervals_hold_them():
    rng = np.random.default_rng(3)
    held = []
    for at in 4 * HOUR + HOUR * rng.random(12):
        created = arrivals(rng, [(5 * HOUR, 0.4 / 3)])
        started = np.sort(np.ceil(created / 300) * 300 + 3 * rng.random(len(created)))
        told = cn.eta(with_ids(snapshot(created, started, started + rng.exponential(60, len(created)), at)))
        truth = (int(at) // 300 + 1) * 300 + queues.EPOCH
        low, high = (told[name].astype("int64") // 1000 for name in ("start_low", "start_high"))
        held.append(((low <= truth) & (truth <= high)).mean())
        assert told["note"].str.startswith("jobs start many at a time").all()
    assert np.mean(held) > 0.7


def test_fewer_servers_are_said_while_few_have_started_since():
    found = []
    for seed in range(6):
        at = 6 * HOUR
        rng = np.random.default_rng(seed)
        created = arrivals(rng, [(at, 0.3)])
        history = queues.simulate(rng, created, [(0, 20), (at - 100, 6)], kind="exponential")
        found.append(notes(history.read(at).jobs))
    assert all(
        re.search("fewer jobs run|number running changes|nothing has started|rate unknown", note)
        for note in found
    )


def test_right_after_a_stop_the_first_starts_do_not_make_the_rate():
    errors = []
    for seed in range(12):
        at = 5 * HOUR + 4 * MINUTE
        rng = np.random.default_rng(seed)
        created = arrivals(rng, [(at, 0.8 / 3)])
        history = queues.simulate(rng, created, [(0, 20), (4 * HOUR, 0), (5 * HOUR, 20)])
        told, truth = last_start(history, at, history.read(at).jobs)
        errors.append(told / truth - 1)
    assert abs(np.median(errors)) < 0.1, errors


@pytest.mark.parametrize(("servers", "seconds"), [(20, 180), (20, 240), (28, 180)])
def test_when_servers_fell_the_starts_before_are_not_in_the_rate(servers, seconds):
    errors = []
    for seed in range(8):
        at = 4 * HOUR + seconds
        rng = np.random.default_rng([seed, servers, seconds])
        created = arrivals(rng, [(2.5 * HOUR, 0.65 * 40 / 60), (at - 2.5 * HOUR, 1.2 * 40 / 60)])
        history = queues.simulate(rng, created, [(0, 40), (4 * HOUR, servers)], kind="exponential")
        told, truth = last_start(history, at, history.read(at).jobs)
        errors.append(told / truth - 1)
    assert abs(np.median(errors)) < 0.08, errors


def test_queues_that_share_their_servers_are_said():
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        created = arrivals(rng, [(3 * HOUR, 0.65 / 3), (1.5 * HOUR, 1.4 / 3)])
        history = queues.simulate(rng, created, 20)
        history.queue = rng.choice(["q1", "q2", "q3"], len(created), p=[0.5, 0.3, 0.2])
        rows = cn.queue_latency(history.read(4.5 * HOUR).jobs, by="queue_id", q=0.95)
        found += rows["note"].str.contains("seem to share servers").tolist()
    assert np.mean(found) > 0.7


# --- what cannot be known ---


def test_nothing_has_started_for_long():
    jobs = hand_made(*ONE_A_MINUTE, *WAITING, at=3000 + 1500)
    assert waits(jobs) == [None] * 3
    row = cn.queue_latency(jobs, q=0.95).loc["all"]
    assert (row["method"], row["p95"]) == ("estimate", np.inf)
    assert (
        "nothing has started since 2026-11-01 00:50 UTC (25 min): the waits to come cannot be known"
        in row["note"]
    )
    assert queue_alarms(jobs).loc["q1", "state"] == "stopped"


def test_unfinished_jobs_that_were_left_out_are_missed():
    """Half of the jobs run for 4 minutes: of the 20 others of the last 4 minutes three in eight should run on, 7.5 in all."""
    rows = [("success", 6 * n, 6 * n + 1, 6 * n + (7, 241)[n % 2]) for n in range(100)]
    over = [row for row in rows if row[3] <= 600]
    going = [("running", *row[1:3], None) for row in rows if row[3] > 600]
    told = "no job is unfinished, though jobs have just started"
    for jobs, cut in ((over, True), (over + going, False), (rows, False)):
        frame = hand_made(*jobs, at=600 if jobs is not rows else 900)
        both = notes(frame), cn.check_slo(frame, threshold_s=60, target=0.9).loc["all", "note"]
        assert [told in note for note in both] == [cut, cut]
    assert told in cn.backlog(hand_made(*over, at=600)).loc["all", "note"]


@pytest.mark.parametrize(("starts", "told"), [(9, "too few starts to tell the order"), (12, "rate unknown")])
def test_too_few_starts(starts, told):
    calm = [("success", 60 * n, 60 * n, 60 * n + 5) for n in range(starts)]
    jobs = hand_made(*calm, ("waiting", 60 * starts, None, None), at=60 * starts + 30)
    assert waits(jobs) == [None]
    assert told in notes(jobs)


@pytest.mark.parametrize(("ages", "expected"), [(range(0, 3600, 90), False), (range(3600, 0, -90), True)])
def test_order_is_the_share_of_starts_that_overtake(ages, expected):
    jobs = hand_made(*(("running", -wait, 100 * n, None) for n, wait in enumerate(ages)), at=4000)
    assert plan(jobs).fifo == {"q1": expected}


def test_few_starts_or_all_at_once_tell_no_order():
    few = hand_made(*ONE_A_MINUTE[:9])
    at_once = hand_made(*(("running", n, 1000, None) for n in range(50)))
    for jobs in (few, at_once, hand_made(("waiting", 0, None, None))):
        assert plan(jobs).fifo == {"q1": None}


def test_starts_within_seconds_of_each_other_are_no_overtaking():
    rng = np.random.default_rng(1)
    jittered = [("running", 60 * n, 60 * n + 600 + int(rng.integers(0, 20)), None) for n in range(60)]
    pairs = [(o, c + 5 * (n % 2), s, e) for n, (o, c, s, e) in enumerate(jittered)]
    assert plan(hand_made(*pairs, at=4300)).fifo == {"q1": True}


def test_last_in_first_out_is_seen_by_those_that_still_wait():
    reading = surge(3, [(120, 1.3)], order="lifo")
    row = cn.queue_latency(reading.jobs, q=0.95, detail=True).loc["all"]
    assert (row["fifo"], row["method"], row["p95"]) == (False, "estimate", np.inf)
    assert "not served in order" in row["note"]


@pytest.mark.parametrize("minutes", [15, 30])
def test_a_random_order_is_seen_while_waits_are_still_short(minutes):
    rng = np.random.default_rng(minutes)
    created = arrivals(rng, [(4 * 3600, 0.8 / 3), (minutes * 60, 1.4 / 3)])
    run = rng.exponential(60, len(created))
    for serving, expected in ((serve, True), (lambda *queue: serve_at_random(rng, *queue), False)):
        started = serving(created, run)
        jobs = snapshot(created, started, started + run, 4 * 3600 + minutes * 60)
        assert plan(jobs).fifo == {"q1": expected}


def test_priorities_are_queues_of_their_own():
    reading = surge(5, [(120, 1.4)], order="priority", high=0.2)
    rows = cn.queue_latency(reading.jobs, by="job_level", q=0.95, detail=True)
    low = reading.jobs["job_level"] == 0
    truth = np.quantile(reading.waits[low.to_numpy(dtype=bool)], 0.95, method="inverted_cdf")
    assert rows.loc["0", "method"] == "projection"
    assert rows.loc["0", "p95_low"] <= truth <= rows.loc["0", "p95_high"]
    assert "in order within each job_level" in rows.loc["0", "note"]
    assert rows["fifo"].all()


def test_a_class_that_hardly_starts_is_not_projected():
    reading = surge(6, [(120, 1.15)], order="priority", high=0.85)
    row = cn.queue_latency(reading.jobs, by="job_level", q=0.95).loc["0"]
    assert row["p95"] == np.inf
    assert "cannot be known" in row["note"]


def test_a_class_without_a_start_of_a_job_that_waited_waits_for_the_others():
    high = [("success", 30 * n, 30 * n + 60, 30 * n + 90) for n in range(57)]
    low = [("success", 200 * n, 200 * n, 200 * n + 5) for n in range(4)] + [("waiting", 900, None, None)] * 3
    levels = [1] * len(high) + [0] * len(low)
    jobs = hand_made(*high, *low, ("waiting", 1790, None, None), at=1800, job_level=[*levels, 1])
    assert waits(jobs)[:3] == [None] * 3
    assert waits(jobs)[3] is not None


def test_a_class_that_stands_still_while_others_start_is_not_a_stop():
    row = queue_alarms(surge(6, [(120, 1.15)], order="priority", high=0.85).jobs).loc["q1"]
    assert row["state"] == "growing"
    assert "nothing has started" not in row["note"]


def test_a_batch_among_the_jobs_of_others_is_no_random_sample():
    rng = np.random.default_rng(4)
    created = np.sort(
        np.concatenate((arrivals(rng, [(4 * HOUR, 0.9 / 3)]), mine := queues.batch(400, 3.8 * HOUR, 20)))
    )
    history = queues.simulate(rng, created, 20)
    keep = np.isin(created, mine) | (rng.random(len(created)) < 0.03)
    jobs = history.read(4 * HOUR, keep=keep).jobs
    assert "looks like a sample of the queue" in notes(jobs)
    assert "looks like a sample" not in notes(history.read(4 * HOUR).jobs)


def test_a_random_sample_is_projected_and_said():
    reading = surge(7, [(90, 1.4)])
    jobs = reading.jobs[np.random.default_rng(1).random(len(reading.jobs)) < 0.2]
    assert cn.queue_latency(jobs).loc["all", "method"] == "projection"
    assert "if this is a sample of the queue" in notes(jobs)
    assert "sample" not in notes(reading.jobs)
    assert "if this is a sample" in notes(reading.jobs.assign(servers=40))  # twice as many as ever ran
    assert "sample" not in notes(jobs.assign(servers=4))


# --- against the truth ---


@pytest.mark.parametrize(
    ("name", "steps", "servers", "worst"),
    [
        ("a young backlog", [(20, 2.5)], 20, 0.2),
        ("draining", [(120, 1.5), (60, 0.5)], 20, 0.15),
        ("after an outage", [(70, 0.65)], [(0, 20), (3 * HOUR, 0), (4 * HOUR, 20)], 0.05),
    ],
)
def test_p95_of_queues_that_do_not_grow_steadily(name, steps, servers, worst):
    for seed in range(3):
        reading = surge(seed, steps, servers, nominal=20)
        row = cn.queue_latency(reading.jobs, q=0.95).loc["all"]
        truth = np.quantile(reading.waits, 0.95, method="inverted_cdf")
        assert row["method"] == "projection", name
        assert row["p95"] == pytest.approx(truth, rel=worst), name


# --- growth ---


def states(source):
    return queue_states(count_all(source, QUEUE_KEYS, recent_ms=RECENT_MS))


@pytest.mark.parametrize(("load", "minutes"), [(1.2, 60), (1.5, 30), (2.5, 15)])
def test_an_overload_grows_and_is_seen_as_it_drains(load, minutes):
    jobs = surge(1, [(minutes, load)]).jobs
    row = queue_alarms(jobs).loc["q1"]
    assert row["state"] == "growing"
    assert row["p_value"] < 0.05
    assert row["waiting"] == (jobs["outcome"] == "waiting").sum()
    assert row["oldest_s"] == queue_ages(jobs).max()
    assert cn.queue_latency(jobs, detail=True).loc["all", "growing"]
    assert queue_alarms(surge(1, [(minutes, load), (30, 0.1)]).jobs).loc["q1", "state"] in {
        "draining",
        "empty",
    }


def queue_ages(jobs):
    waiting = jobs[jobs["outcome"] == "waiting"]
    return (waiting["observed_at"] - waiting["creation_time"]).dt.total_seconds()


def test_arrivals_and_starts_by_hour():
    rows = [("success", 10 * n, 10 * n + 5, 10 * n + 9) for n in range(720)]
    row = queue_alarms(hand_made(*rows, at=7200)).loc["q1"]
    assert (row["arrivals_per_hour"], row["starts_per_hour"], row["state"]) == (359, 360, "empty")
    assert (row["waiting"], row["oldest_s"], pd.isna(row["since"])) == (0, 0, True)


def test_jobs_submitted_together_are_no_trend():
    calm = [("success", 60 * n, 60 * n, 60 * n + 30) for n in range(200)]
    together = hand_made(*calm, *[("waiting", 11_900, None, None)] * 50, at=12_000)
    apart = hand_made(*calm, *(("waiting", 11_100 + 16 * n, None, None) for n in range(50)), at=12_000)
    assert [states(jobs)["q1"].growing for jobs in (together, apart)] == [False, True]


def test_a_queue_that_has_often_been_as_long_does_not_grow():
    rounds = [
        ("success", 7200 * r + 20 * n, 7200 * r + 40 * n, 7200 * r + 40 * n + 39)
        for r in range(6)
        for n in range(150)
    ]
    jobs = hand_made(
        *rounds, *(("waiting", 43_200 + 20 * n, None, None) for n in range(60)), at=43_200 + 1200
    )
    again = states(jobs)["q1"]
    assert again.p_value < 0.05
    assert not again.growing


def each_hour(seed, number, spread, *, at, then=0.3, every=HOUR, load=0.3):
    """A queue to which many jobs are submitted at 20 past, with another load in the hour before it is read."""
    rng = np.random.default_rng(seed)
    capacity = 20 / 60
    created = [arrivals(rng, [(at - HOUR, load * capacity), (HOUR, then * capacity)])]
    created += [begin + spread * rng.random(number) for begin in np.arange(1200, at, every)]
    return queues.simulate(rng, np.sort(np.concatenate(created)), 20, kind="exponential").read(at).jobs


@pytest.mark.parametrize(
    ("number", "spread", "every"),
    [(300, 60, HOUR), (300, 300, HOUR), (800, 60, 6 * HOUR), (800, 120, 24 * HOUR)],
)
def test_what_comes_again_and_again_is_no_growth(number, spread, every):
    found = [
        queue_alarms(
            each_hour(seed, number, spread, every=every, at=every * (72 * HOUR // every) + 1200 + 90 * seed)
        )
        for seed in range(1, 8)
    ]
    assert {told.loc["q1", "state"] for told in found} <= {"waiting", "draining", "empty"}


def test_a_queue_with_batches_each_hour_may_grow():
    for seed in range(4):
        jobs = each_hour(seed, 300, 60, at=24 * HOUR, then=1.6)
        assert queue_alarms(jobs).loc["q1", "state"] == "growing"


def test_a_histogram_tells_growth_by_clock_hours():
    jobs = surge(2, [(120, 1.5)]).jobs
    histogram = queue_alarms(DurationHistogram.from_jobs(jobs)).loc["q1"]
    assert histogram["state"] == "growing"
    assert histogram["waiting"] == queue_alarms(jobs).loc["q1", "waiting"]
    assert np.isnan(histogram["oldest_s"])


def test_many_queues_need_more_evidence():
    jobs = surge(9, [(20, 1.3)]).jobs
    others = [
        hand_made(("success", 0, 1, 2), queue_id=f"q{n}").assign(observed_at=jobs["observed_at"].iloc[0])
        for n in range(2, 12)
    ]
    alone, among = (
        queue_alarms(frame).loc["q1", "p_value"] for frame in (jobs, side_by_side([jobs, *others]))
    )
    assert among == pytest.approx(min(1, 11 * alone))


def test_utilisation_is_mean_over_largest_number_running_on_the_hour():
    hour = 3600
    rows = [
        ("success", 0, 10, 2 * hour + 5),
        ("success", 0, 10, hour + 5),
        ("running", 3 * hour - 9, 3 * hour - 5, None),
    ]
    jobs = hand_made(*rows, at=4 * hour)
    # running at 1 h, 2 h, 3 h, 4 h: 2, 1, 1, 1
    assert states(jobs)["q1"].utilisation == pytest.approx(5 / 4 / 2)
    nobody = states(DurationHistogram.from_jobs(hand_made(("waiting", 0, None, None))))
    assert np.isnan(nobody["q1"].utilisation)


def test_a_missing_queue_is_a_queue_of_its_own():
    jobs = hand_made(*ONE_A_MINUTE, *ONE_A_MINUTE, queue_id=["q1"] * 40 + [None] * 40)
    assert set(states(DurationHistogram.from_jobs(jobs))) == {"q1", None}
    assert plan(jobs).fifo == {None: True, "q1": True}
    assert queue_alarms(jobs).index.isna().sum() == 1


# --- bad input ---

CALM = [("success", 60 * n, 60 * n + 30, 60 * n + 90) for n in range(40)]
ODD = {
    "no jobs": hand_made(*CALM)[:0],
    "no job found": hand_made(("not_found", None, None, None)),
    "two jobs": hand_made(("success", 0, 5, 9), ("waiting", 5, None, None)),
    "all waiting, created in one second": hand_made(*[("waiting", 100, None, None)] * 50),
    "all started in one second": hand_made(*[("running", 100, 200, None)] * 50, *[("waiting", 100, None, None)] * 50),
    "created at the as-of time": hand_made(*[("waiting", 3600, None, None)] * 5),
    "starts in the future": hand_made(*[("running", n, 4000 + n, None) for n in range(20)], ("waiting", 3700, None, None)),
    "starts before creation": hand_made(*[("success", 50, 20, 10)] * 20, ("waiting", 2500, None, None)),
    "all gave up": hand_made(*[("cancelled", n, None, n + 50) for n in range(50)], ("waiting", 2500, None, None)),
    "no creation time": hand_made(*CALM, ("waiting", None, None, None)),
    "an unlisted state": hand_made(*CALM, ("unknown", 2500, None, None)),
    "paused": hand_made(*CALM, ("waiting", 2500, None, None)).assign(state="Pause"),
    "many moments": hand_made(*CALM, *[("waiting", 2400, None, None)] * 30).pipe(
        lambda jobs: jobs.assign(observed_at=jobs["observed_at"] - pd.to_timedelta(np.arange(len(jobs)) * 80, "s"))
    ),
    "a queue that appears in the middle": hand_made(
        *CALM, *[("success", 3000 + n, 3010 + 2 * n, 3020 + 2 * n) for n in range(100)], *[("waiting", 3300, None, None)] * 9,
        queue_id=["q1"] * 40 + ["q9"] * 109,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_jobs_give_a_defined_row_and_no_warning(name):
    jobs = with_ids(ODD[name])
    number = int((jobs["outcome"].isin(["waiting", "unknown"]) & jobs["creation_time"].notna()).sum())
    row = cn.queue_latency(jobs, q=0.95, detail=True).loc["all"]
    assert row["waiting"] == number
    assert not row["growing"] or row["waiting"] > 1
    told = cn.eta(jobs)
    assert len(told) == number
    assert ((told["note"] != "") | told["start_expected"].notna()).all()
    assert set(queue_alarms(jobs)["state"]) <= {"growing", "stopped", "draining", "waiting", "empty"}
    assert len(cn.backlog(jobs)) == 1
    cn.queue_latency(jobs, by=["queue_id", "tag"], freq="1h", detail=True)


def test_a_start_in_the_future_had_started_when_it_was_seen():
    assert states(ODD["starts in the future"])["q1"].growth.waiting == 1


def test_many_starts_in_the_newest_second_are_no_rate():
    early = [("success", 30 * n, 30 * n + 20, 30 * n + 25) for n in range(40)]
    at_once = [("running", 1300 + n, 3600, None) for n in range(60)]
    jobs = hand_made(*early, *at_once, *[("waiting", 1400, None, None)] * 5, at=3600)
    assert cn.queue_latency(jobs).loc["all", "note"].startswith("rate unknown (0 starts")
