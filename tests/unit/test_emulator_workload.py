"""The simulated truth: queue discipline by hand, invariants of any queue, and closed forms."""

import math
import uuid
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosai_nb.emulator import Incident, QueueSpec, Scenario, TagSpec, Workload
from cosai_nb.emulator.workload import CODES, NOT_YET, STATES, WIRE_ZONE, start_times


@pytest.fixture(scope="module")
def week():
    return Workload(seed=7)


# --- six jobs by hand: two servers ------------------------------------------------------------------------------

ARRIVALS = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
RUNS = [10.0, 4.0, 6.0, 1.0, 2.0, 3.0]


def by_hand(**settings):
    return start_times(ARRIVALS, lambda job, _: RUNS[job], servers=2, **settings).tolist()


def test_first_in_first_out():
    # 0 runs 0–10, 1 runs 1–5; 2 takes its place 5–11; 3 waits for 0: 10–11; then 4 and 5 both at 11
    assert by_hand() == [0, 1, 5, 10, 11, 11]


def test_priority_serves_larger_levels_first_and_never_interrupts():
    # at 5 the jobs 2, 3, 4 and 5 wait: 5 (level 2) 5–8, then 3 (level 1) 8–9, then 2: 9–15 and 4 at 10
    assert by_hand(order="priority", levels=[0, 0, 0, 1, 0, 2]) == [0, 1, 9, 8, 10, 5]


def test_cancelled_jobs_never_start_and_hold_no_server():
    nan = float("nan")
    cancel_at = [math.inf, math.inf, 4.5, math.inf, math.inf, math.inf]
    # 2 is gone at 4.5, so 3 starts at 5–6, 4 at 6–8, 5 at 8
    np.testing.assert_equal(by_hand(cancel_at=cancel_at), [0, 1, nan, 5, 6, 8])


def test_a_paused_queue_starts_nothing_and_lets_run_what_runs():
    # paused from 5 to 20: 0 and 1 go on; both servers are free at 20
    assert by_hand(paused=(5.0, 20.0)) == [0, 1, 20, 20, 21, 23]
    np.testing.assert_equal(by_hand(paused=(5.0, math.inf)), [0, 1] + [math.nan] * 4)


def test_random_order_needs_chance_and_uses_it():
    with pytest.raises(ValueError, match="rng="):
        by_hand(order="random")
    orders = {tuple(np.argsort(by_hand(order="random", rng=np.random.default_rng(s)))) for s in range(50)}
    assert len(orders) > 3


# --- what holds for any queue -----------------------------------------------------------------------------------


@st.composite
def queues(draw):
    size = draw(st.integers(1, 40))
    times = st.floats(0, 100, allow_nan=False)
    run = draw(st.lists(st.floats(0.01, 30), min_size=size, max_size=size))
    return {
        "arrivals": sorted(draw(st.lists(times, min_size=size, max_size=size))),
        "run": run,
        "servers": draw(st.integers(1, 4)),
        "order": draw(st.sampled_from(["fifo", "priority", "random"])),
        "levels": draw(st.lists(st.integers(0, 2), min_size=size, max_size=size)),
        "seed": draw(st.integers(0, 100)),
    }


def simulate(queue, **more):
    return start_times(
        queue["arrivals"],
        lambda job, _: queue["run"][job],
        servers=queue["servers"],
        order=queue["order"],
        levels=queue["levels"],
        rng=np.random.default_rng(queue["seed"]),
        **more,
    )


@given(queues())
def test_any_queue_is_causal_bounded_and_never_idle_while_one_waits(queue):
    starts, arrivals = simulate(queue), np.array(queue["arrivals"])
    ends = starts + np.array(queue["run"])
    assert (starts >= arrivals).all()
    for at in starts:
        running = ((starts <= at) & (ends > at)).sum()
        assert running <= queue["servers"]
    for job in np.flatnonzero(starts > arrivals):  # all servers are busy until the moment that it starts
        just_before = np.nextafter(starts[job], -np.inf)
        assert ((starts <= just_before) & (ends > just_before)).sum() == queue["servers"]


@given(queues())
def test_who_overtakes_whom(queue):
    starts = simulate(queue)
    if queue["order"] == "fifo":
        assert (np.diff(starts) >= 0).all()
    if queue["order"] == "priority":
        for level in range(3):
            same = starts[np.array(queue["levels"]) == level]
            assert (np.diff(same) >= 0).all()


@given(queues(), st.floats(0, 50), st.floats(0.1, 50), st.data())
def test_pauses_and_cancellations_are_kept(queue, pause, length, data):
    size = len(queue["arrivals"])
    patience = data.draw(st.lists(st.floats(0.1, 20), min_size=size, max_size=size))
    cancel_at = (np.array(queue["arrivals"]) + patience).tolist()
    starts = simulate(queue, cancel_at=cancel_at, paused=(pause, pause + length))
    begun = ~np.isnan(starts)
    assert (starts[begun] < np.array(cancel_at)[begun]).all()
    assert not ((starts[begun] >= pause) & (starts[begun] < pause + length)).any()


# --- closed forms -----------------------------------------------------------------------------------------------


def erlang_c(servers, load):
    """Return the probability of waiting in M/M/c; ``load`` in erlangs."""
    terms = [load**k / math.factorial(k) for k in range(servers)]
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(terms) + last)


def queue_of(servers, utilisation, order="fifo", jobs=30_000):
    mean_s = 60.0
    hours = jobs / (servers / mean_s * utilisation) / 3600
    return Scenario(
        jobs=jobs,
        duration_h=hours,
        tags=(TagSpec("Translation", mean_s=mean_s, sigma=None, failure_rate=0.0),),
        queues=(QueueSpec("q", servers, (("Translation", 1.0),), order=order),),
        incident=None,
        profile=(1.0,) * 24,
        weekend=1.0,
        cancel_rate=0.0,
    )


def mean_and_error(values):
    return np.mean(values), np.std(values, ddof=1) / math.sqrt(len(values))


@pytest.mark.parametrize(("servers", "utilisation"), [(1, 0.6), (5, 0.8), (20, 0.85)])
def test_waits_follow_erlang_c(servers, utilisation):
    """Share of jobs that wait, mean wait and the tail P(W > t), each within 4 standard errors between runs.

    Runs are independent, so their spread gives the error that correlation inside a run would hide; 4 of them
    leave a false alarm in 16,000, and each error is demanded to be below 6 %, so that the check can fail.
    """
    rate_s = servers / 60.0 * utilisation
    waits_p = erlang_c(servers, servers * utilisation)
    decay = servers / 60.0 - rate_s
    late = 1.5 / decay
    shares, means, tails = [], [], []
    for seed in range(12):
        run = Workload(queue_of(servers, utilisation), seed=seed)
        wait = run.start_time - run.creation_time
        shares.append((wait > 0).mean())
        means.append(wait.mean())
        tails.append((wait > late).mean())
    expected = (waits_p, waits_p / decay, waits_p * math.exp(-decay * late))
    for seen, truth in zip((shares, means, tails), expected, strict=True):
        mean, error = mean_and_error(seen)
        assert error < 0.06 * truth
        assert abs(mean - truth) < 4 * error


@pytest.mark.slow
def test_order_changes_the_spread_of_waits_and_not_their_mean():
    """With one law of run times, FIFO, random and priority have one mean wait, and FIFO has the least spread.

    In random order the mean square of the wait is 2/(2 − ρ) times that of FIFO (1.74 at ρ = 0.85).
    """
    runs = {
        order: [Workload(queue_of(5, 0.85, order), seed=seed) for seed in range(6)]
        for order in ("fifo", "random", "priority")
    }
    waits = {order: [run.start_time - run.creation_time for run in found] for order, found in runs.items()}
    means = {order: mean_and_error([wait.mean() for wait in found]) for order, found in waits.items()}
    for order in ("random", "priority"):
        gap = abs(means[order][0] - means["fifo"][0])
        assert gap < 4 * math.hypot(means[order][1], means["fifo"][1])
    squares = {order: np.mean(np.concatenate(found) ** 2) for order, found in waits.items()}
    assert squares["random"] / squares["fifo"] == pytest.approx(2 / (2 - 0.85), rel=0.1)
    assert squares["priority"] > 1.1 * squares["fifo"]
    levels = np.concatenate([run.level for run in runs["priority"]])
    wait = np.concatenate(waits["priority"])
    assert wait[levels == 2].mean() < wait[levels == 1].mean() < wait[levels == 0].mean()


def test_little_s_law_over_the_default_week(week):
    """L = λW for those that wait and those that run: the snapshots' mean counts against the jobs' own times.

    Counts are sampled every 5 minutes over the week; neighbouring samples agree for hours, and 4 % is three times
    the error seen over 20 seeds.
    """
    begin = week.scenario.start.timestamp()
    instants = np.arange(begin, week.observed_at, 300.0)
    snapshots = [week.as_of(now).state for now in instants]
    end = week.observed_at
    started = np.where(np.isnan(week.start_time), np.inf, week.start_time)
    left = np.minimum(np.minimum(started, np.where(np.isnan(week.end_time), np.inf, week.end_time)), end)
    ran = np.clip(
        np.minimum(np.where(np.isnan(week.end_time), np.inf, week.end_time), end) - started, 0, None
    )
    truth = {("Submitted", "Pause"): (left - week.creation_time).sum(), ("Running",): ran.sum()}
    for states, job_seconds in truth.items():
        counted = [np.isin(state, [STATES.index(name) for name in states]).sum() for state in snapshots]
        assert np.mean(counted) * (end - begin) == pytest.approx(job_seconds, rel=0.04)


# --- the default week -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(7, 12))
def test_all_six_states_occur(seed):
    week = Workload(seed=seed)
    counts = np.bincount(week.as_of(week.observed_at).state, minlength=6)
    assert counts.sum() == 20_000
    assert (counts > 0).all()


def test_the_same_seed_gives_the_same_week(week):
    again, other = Workload(seed=7), Workload(seed=8)
    assert again.job_ids == week.job_ids
    np.testing.assert_array_equal(again.end_time, week.end_time)
    assert not set(other.job_ids) & set(week.job_ids)


def test_waits_are_seconds_in_quiet_hours_and_minutes_in_busy_ones_and_in_the_incident(week):
    wait = week.start_time - week.creation_time
    hours = (week.creation_time - week.scenario.start.timestamp()) / 3600
    first = (week.queue == 0) & ~np.isnan(wait)

    def p95(low, high):
        return np.percentile(wait[first & (hours >= low) & (hours < high)], 95)

    assert p95(24 + 2, 24 + 7) < 10
    assert p95(48 + 11, 48 + 12) > 600  # the incident of Wednesday
    assert p95(23, 24) > 120  # the submissions before midnight


def test_the_incident_fails_more(week):
    hours = (week.start_time - week.scenario.start.timestamp()) / 3600
    hit = (week.queue == 0) & (hours >= 58) & (hours < 61)
    failed = week.code > 0
    assert failed[hit].mean() == pytest.approx(0.25, abs=0.08)
    assert 0.01 < failed[~hit & ~np.isnan(week.start_time)].mean() < 0.05
    assert set(np.unique(week.code)) == set(range(len(CODES)))


def test_some_failures_are_slow(week):
    run = week.end_time - week.start_time
    failed = week.code > 0
    assert np.nanmedian(run[week.code == CODES.index("InternalError")]) > 4 * np.nanmedian(
        run[week.code == 0]
    )
    assert np.nanmax(run[failed & (week.code != CODES.index("InternalError"))]) < 5


def test_arrivals_follow_the_hours_of_the_day(week):
    hours = ((week.creation_time - week.scenario.start.timestamp()) // 3600).astype(int)
    counts = np.bincount(hours, minlength=168)
    rate = np.array([week.scenario.profile[h % 24] * (0.75 if h >= 120 else 1.0) for h in range(168)])
    expected = rate / rate.sum() * 20_000
    # a Poisson count leaves its mean by more than 5 standard deviations once in two million
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected) + 2).all()
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert chi2 < 167 + 5 * math.sqrt(2 * 167)


def test_ids_are_uuids_of_the_creation_time(week):
    assert len(set(week.job_ids)) == 20_000
    for number in range(0, 20_000, 997):
        job_id = week.job_ids[number]
        name = uuid.UUID(job_id[1:])
        assert name.version == 1
        assert name.variant == uuid.RFC_4122
        made = datetime(1582, 10, 15, tzinfo=UTC) + timedelta(microseconds=name.time // 10)
        assert made.timestamp() == pytest.approx(week.creation_time[number], abs=1e-3)
        assert (job_id[0] == "s") == (week.truth["tag"][number] == "SpeechRecognition")


def test_truth_is_one_column_of_each(week):
    assert {len(column) for column in week.truth.values()} == {20_000}
    cancelled = week.truth["fate"] == "Cancel"
    assert np.isnan(week.start_time[cancelled]).all()
    assert not np.isnan(week.end_time[cancelled]).any()


@settings(max_examples=60)
@given(hour=st.floats(-1, 172))
def test_every_snapshot_is_consistent(week, hour):
    now = week.scenario.start.timestamp() + hour * 3600
    seen = week.as_of(now)
    created = np.floor(week.creation_time).astype(np.int64)
    state = np.array([*STATES, "nothing"])[seen.state]
    assert ((state == "nothing") == (week.creation_time > now)).all()
    started, ended = seen.start_time != NOT_YET, seen.end_time != NOT_YET
    assert (started == np.isin(state, ["Running", "Success", "Failed"])).all()
    assert (ended == np.isin(state, ["Success", "Failed", "Cancel"])).all()
    assert (seen.start_time[started] >= created[started]).all()
    both = started & ended
    assert (seen.end_time[both] >= seen.start_time[both]).all()
    for times, reached in ((seen.start_time, started), (seen.end_time, ended), (created, state != "nothing")):
        assert (times[reached] <= math.floor(now)).all()
    assert (np.isin(state, ["Failed"]) <= (week.code > 0)).all()


@settings(max_examples=30)
@given(hours=st.tuples(st.floats(0, 170), st.floats(0, 5)))
def test_what_has_ended_never_changes(week, hours):
    now = week.scenario.start.timestamp() + hours[0] * 3600
    earlier, later = week.as_of(now), week.as_of(now + hours[1] * 3600)
    ended = earlier.end_time != NOT_YET
    assert (earlier.state[ended] == later.state[ended]).all()
    assert (earlier.end_time[ended] == later.end_time[ended]).all()
    assert (later.start_time[earlier.start_time != NOT_YET] != NOT_YET).all()


def test_a_pause_shows_only_while_it_lasts():
    queue = QueueSpec("q", 1, (("WordsGeneralize", 1.0),), paused_h=(1.0, 2.0))
    scenario = Scenario(jobs=500, duration_h=4.0, queues=(queue,), incident=None, cancel_rate=0.0)
    run = Workload(scenario, seed=1)
    begin = scenario.start.timestamp()
    shown = [set(np.array([*STATES, "-"])[run.as_of(begin + h * 3600).state]) for h in (0.9, 1.9, 3.9)]
    assert ["Pause" in states for states in shown] == [False, True, False]
    assert "Submitted" not in shown[1]
    assert not ((run.start_time >= begin + 3600) & (run.start_time < begin + 7200)).any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"jobs": 0},
        {"duration_h": 0},
        {"profile": (1.0,)},
        {"profile": (0.0,) * 24},
        {"queues": ()},
        {"queues": (QueueSpec("q", 0, (("Translation", 1.0),)),)},
        {"queues": (QueueSpec("q", 1, (("Unheard", 1.0),)),)},
        {"incident": Incident(queue=3, start_h=0, end_h=1)},
    ],
)
def test_scenarios_that_cannot_be(wrong):
    with pytest.raises(ValueError, match=r"."):
        Scenario(**wrong)


def test_the_clock_of_the_wire_is_china_s():
    assert Scenario().start == datetime(2026, 11, 2, tzinfo=WIRE_ZONE)
    assert Scenario().start.utcoffset() == timedelta(hours=8)
