"""Queues whose truth is known, made without a line of the package: the judge of every statistic.

::

    arrivals(rng, rates)                  creation times, Poisson, [(seconds, jobs a second), …] one after the other
    serve(created, run, servers)          start times, first come first served
    serve_at_random(rng, created, …)      start times, each freed server takes any waiting job
    stationary_queues(rng, load, …)       created, started, ended of M/M/c in order, (runs × jobs), all runs at once
    erlang_quantile(load, q)              the quantile of its wait in closed form
    hand_made(*rows, at=…)                the frame of a few jobs written down one by one
    snapshot(created, started, ended, at) the ``jobs`` frame that would be read at that second, by hand from schema.py

Times are seconds since :data:`EPOCH`, floats; the frame holds whole seconds, as the service says them.
"""

from __future__ import annotations

import heapq

import numpy as np
import pandas as pd

EPOCH = 1_793_491_200  # 2026-11-01T00:00:00Z
SERVERS = 20
MEAN_RUN = 60.0


def arrivals(rng, rates):
    """Creation times of a Poisson process whose rate [1/s] is constant for some seconds at a time."""
    begin, times = 0.0, []
    for seconds, rate in rates:
        times.append(begin + np.sort(rng.random(rng.poisson(seconds * rate))) * seconds)
        begin += seconds
    return np.concatenate(times)


def serve(created, run, servers=SERVERS):
    """Start times where the job that has waited longest is taken first."""
    free = [0.0] * servers
    started = np.empty(len(created))
    for job, (arrival, length) in enumerate(zip(created.tolist(), run.tolist(), strict=True)):
        begin = max(arrival, free[0])
        heapq.heapreplace(free, begin + length)
        started[job] = begin
    return started


def serve_at_random(rng, created, run, servers=SERVERS):
    """Start times where a freed server takes any of the waiting jobs."""
    free, waiting, started = [0.0] * servers, [], np.empty(len(created))
    arrival, arrivals_at, length = 0, created.tolist(), run.tolist()
    picks = iter(rng.random(len(created)).tolist())
    for _ in range(len(created)):
        now = free[0]
        if not waiting:
            now = max(now, arrivals_at[arrival])
        while arrival < len(arrivals_at) and arrivals_at[arrival] <= now:
            waiting.append(arrival)
            arrival += 1
        pick = int(next(picks) * len(waiting))
        waiting[pick], waiting[-1] = waiting[-1], waiting[pick]
        job = waiting.pop()
        started[job] = now
        heapq.heapreplace(free, now + length[job])
    return started


def stationary_queues(rng, load, *, runs, jobs, servers=SERVERS, mean_run=MEAN_RUN, warm_up=2000):
    """Whole seconds of creation, start and end of ``runs`` independent M/M/c queues, each (runs, jobs)."""
    free, every, now = np.zeros((runs, servers)), np.arange(runs), np.zeros(runs)
    times = np.empty((3, warm_up + jobs, runs), dtype=np.int32)
    for block in range(0, warm_up + jobs, 2000):
        size = min(2000, warm_up + jobs - block)
        created = now + np.cumsum(rng.exponential(mean_run / servers / load, (size, runs)), axis=0)
        run = rng.exponential(mean_run, (size, runs))
        started = np.empty((size, runs))
        for job in range(size):
            first = free.argmin(axis=1)
            started[job] = np.maximum(free[every, first], created[job])
            free[every, first] = started[job] + run[job]
        times[:, block : block + size] = created, started, started + run  # truncates, as the service does
        now = created[-1]
    return np.ascontiguousarray(times[:, warm_up:].transpose(0, 2, 1))


def erlang_quantile(load, q, *, servers=SERVERS, mean_run=MEAN_RUN):
    """The q-quantile of the wait in M/M/c, in closed form (Erlang C)."""
    offered = load * servers
    terms = np.cumprod(np.concatenate(([1.0], offered / np.arange(1, servers + 1))))
    last = terms[-1] / (1 - load)
    delayed = last / (terms[:-1].sum() + last)
    return max(0.0, np.log(delayed / (1 - q)) / (servers / mean_run * (1 - load)))


def _times(seconds, known):
    stamps = (np.floor(seconds).astype(np.int64) + EPOCH) * 1000
    stamps[~known] = np.iinfo(np.int64).min
    return pd.Series(pd.DatetimeIndex(stamps.view("datetime64[ms]")).tz_localize("UTC"))


def snapshot(
    created, started, ended, at, *, failed=None, code="InternalError", tag="Translation", queue="q1"
):
    """The frame that somebody would read at second ``at``; jobs created later are not in it."""
    there = np.floor(created) <= at
    created, started, ended = created[there], started[there], ended[there]
    begun, over, all_jobs = np.floor(started) <= at, np.floor(ended) <= at, np.ones(len(created), dtype=bool)
    bad = over & (~all_jobs if failed is None else failed[there])
    stage = np.where(over, np.where(bad, 3, 2), np.where(begun, 1, 0))
    jobs = pd.DataFrame(
        {
            "tag": _labels(tag, there),
            "state": pd.Categorical.from_codes(stage, ["Submitted", "Running", "Success", "Failed"]),
            "code": pd.Categorical.from_codes(np.where(bad, 0, -1), [code]),
            "queue_id": _labels(queue, there),
            "outcome": pd.Categorical.from_codes(stage, ["waiting", "running", "success", "failed"]),
            "creation_time": _times(created, all_jobs),
            "start_time": _times(started, begun),
            "end_time": _times(ended, over),
            "observed_at": _times(np.full(len(created), float(at)), all_jobs),
            "timing_ok": True,
        }
    )
    seconds = np.floor(created), np.floor(started), np.floor(ended)
    jobs["queue_latency_s"] = np.where(begun, seconds[1] - seconds[0], np.nan)
    jobs["run_time_s"] = np.where(over, seconds[2] - seconds[1], np.nan)
    jobs["total_time_s"] = np.where(over, seconds[2] - seconds[0], np.nan)
    return jobs


def _labels(label, there):
    """One label for every job, or one for each."""
    if isinstance(label, str):
        return pd.Categorical.from_codes(np.zeros(there.sum(), dtype=int), [label])
    return pd.Categorical(np.asarray(label, dtype=object)[there])


def hand_made(*rows, at=3600, **columns):
    """The frame of (outcome, created, started, ended) in seconds, None where missing; reversed times give no duration."""
    outcome = [row[0] for row in rows]
    times = np.array([[np.nan if time is None else time for time in row[1:]] for row in rows], dtype=float)
    created, started, ended = times.reshape(-1, 3).T
    spans = {
        "queue_latency_s": started - created,
        "run_time_s": ended - started,
        "total_time_s": ended - created,
    }
    jobs = pd.DataFrame(
        {
            "tag": pd.Categorical(["Translation"] * len(rows)),
            "state": pd.Categorical(outcome),
            "code": pd.Categorical([None] * len(rows)),
            "queue_id": pd.Categorical(["q1"] * len(rows)),
            "outcome": pd.Categorical(outcome),
            "creation_time": _times(np.nan_to_num(created), ~np.isnan(created)),
            "start_time": _times(np.nan_to_num(started), ~np.isnan(started)),
            "end_time": _times(np.nan_to_num(ended), ~np.isnan(ended)),
            "observed_at": _times(np.full(len(rows), float(at)), np.ones(len(rows), dtype=bool)),
            "timing_ok": ~((started < created) | (ended < started)),
            **{name: np.where(span >= 0, span, np.nan) for name, span in spans.items()},
        }
    )
    return jobs.assign(**columns)


def with_ids(jobs):
    """The same frame with ``job_id`` and ``message``, which only the error Pareto and the views read."""
    message = np.where(jobs["outcome"] == "failed", "the job failed", None)
    return jobs.assign(job_id=[f"j{number:07d}" for number in range(len(jobs))], message=message)


def side_by_side(frames):
    """Frames below each other as different jobs: each is made with the same IDs."""
    jobs = pd.concat(frames, ignore_index=True)
    return jobs.assign(job_id=[f"j{number}" for number in range(len(jobs))])
