"""What a store and a listing save: requests of the second call, its time, pages of a listing, rows read.

Run by ``python tests/bench/bench_store.py``; prints what was counted and exits 1 where a promise does not hold.
"""

import sys
import tempfile
import time
from datetime import datetime

import pandas as pd

from cosai_nb.arguments import SERVICE_ZONE
from cosai_nb.emulator import Emulator, QueueSpec, Scenario, TagSpec
from cosai_nb.query import fetch_jobs, list_jobs
from cosai_nb.table.frame import conform
from cosai_nb.table.store import JobStore

JOBS = 20_000
UNFINISHED = 0.05
WEEK = {"start": "2026-11-02", "end": "2026-11-09"}
TAG = "Translation"
ONE_QUEUE = Scenario(
    jobs=JOBS,
    tags=(TagSpec(TAG, mean_s=260.0),),
    queues=(QueueSpec("only", 7, ((TAG, 1.0),)),),
    incident=None,
    cancel_rate=0.0,
)

failed = []


def judge(name, value, limit, unit=""):
    met = value <= limit
    print(f"{'ok  ' if met else 'MISS'} {name}: {value:.4g}{unit} (at most {limit:.4g}{unit})")
    if not met:
        failed.append(name)


def timed(call):
    began = time.perf_counter()
    value = call()
    return value, time.perf_counter() - began


def share_unfinished(emulator):
    """Turn the clock to when 5 % of the jobs have not ended: the queue cannot keep pace, so all are created by then."""
    truth = emulator.truth
    ends = pd.Series(truth["end_time"]).sort_values(ignore_index=True)
    emulator.set_time(float(ends[int(JOBS * (1 - UNFINISHED))]))


def second_call(emulator, client):
    with tempfile.TemporaryDirectory() as folder:
        known = emulator.job_ids
        first, first_s = timed(lambda: fetch_jobs(known, client=client, store=folder, progress=False))
        asked_first = len(emulator.requests)
        left = ~first["outcome"].isin(["success", "failed", "cancelled"])
        fetch_jobs(known, client=client, store=folder, progress=False)
        asked_second = len(emulator.requests) - asked_first
        print(
            f"     {len(known):,} jobs, {left.mean():.1%} unfinished: {asked_first:,} requests in {first_s:.1f} s"
        )
        judge("second call's requests ÷ the first's", asked_second / asked_first, 0.06)

        emulator.advance(10 * 86_400)
        fetch_jobs(known, client=client, store=folder, progress=False)
        before = len(emulator.requests)
        tries = [
            timed(lambda: fetch_jobs(known, client=client, store=folder, progress=False)) for _ in range(3)
        ]
        jobs, seconds = min(tries, key=lambda pair: pair[1])
        judge("requests when nothing is unfinished", len(emulator.requests) - before, 0)
        judge("seconds of a call when nothing is unfinished", seconds, 2.0, " s")
        store = JobStore(folder)
        judge("rows of the store ÷ jobs", len(store.jobs()) / len(jobs), 1.0)


def listing(emulator, client):
    by_id = fetch_jobs(emulator.job_ids, client=client, progress=False)
    before = len(emulator.requests)
    settings = {"tag": TAG, "queue_id": emulator.queue_ids[0], "client": client, "progress": False, **WEEK}
    listed, seconds = timed(lambda: list_jobs(**settings))
    pages = len(emulator.requests) - before
    print(f"     {len(listed):,} jobs listed in {seconds:.1f} s by 8 workers")
    judge("pages of a listing ÷ (jobs ÷ 100)", pages / (len(listed) / 100), 1.2)
    by_id = conform(by_id.sort_values(["creation_time", "job_id"], ignore_index=True))
    pd.testing.assert_frame_equal(
        listed.drop(columns=["observed_at", "queue_name"]), by_id.drop(columns="observed_at")
    )
    print("ok   the listing is the frame of querying by ID")


def reading():
    """Reading by the store beside reading the same parts by plain pandas."""
    with Emulator(seed=7) as emulator, tempfile.TemporaryDirectory() as folder:
        jobs = fetch_jobs(emulator.job_ids, client=emulator.client(), progress=False)
        store = JobStore(folder)
        for first in range(0, len(jobs), 2_000):
            store.add(jobs.iloc[first : first + 2_000])
        store.jobs()
        _, plain = timed(lambda: pd.read_parquet(folder))
        _, ours = timed(store.jobs)
        _, ended = timed(store.ended_ids)
        print(
            f"     20,000 rows in 10 parts: pandas {plain:.3f} s, store.jobs() {ours / plain:.1f} ×, "
            f"ended_ids {ended / plain:.2f} ×"
        )


def large_store():
    """Small questions to a year of jobs, a million of them: the time must follow the question."""
    with Emulator(seed=7) as emulator, tempfile.TemporaryDirectory() as folder:
        emulator.advance(10 * 86_400)
        client = emulator.client()
        week = fetch_jobs(emulator.job_ids, client=client, progress=False)
        store = JobStore(folder)
        for number in range(50):
            back = pd.Timedelta(number * 7, "D")
            times = {name: week[name] - back for name in ("creation_time", "start_time", "end_time")}
            ids = week["job_id"] + f"{number:02}" if number else week["job_id"]
            store.add(week.assign(job_id=ids, **times))
        day = {"start": "2026-11-03", "end": "2026-11-04", "tag": TAG, "queue_id": emulator.queue_ids[0]}
        settings = {"client": client, "store": store, "progress": False}
        store.ended_ids([])  # each part is checked once
        for name, ask in (
            (
                "fetch_jobs of 10 of 1,000,000 stored jobs",
                lambda: fetch_jobs(emulator.job_ids[:10], **settings),
            ),
            ("list_jobs of a day of 50 weeks stored", lambda: list_jobs(**day, **settings)),
            ("the same day again", lambda: list_jobs(**day, **settings)),
        ):
            jobs, seconds = timed(ask)
            judge(f"seconds: {name} ({len(jobs):,} rows)", seconds, 2.0, " s")


with Emulator(seed=7, scenario=ONE_QUEUE) as running:
    share_unfinished(running)
    second_call(running, running.client())
    running.set_time(datetime(2026, 12, 1, tzinfo=SERVICE_ZONE).timestamp())
    listing(running, running.client())
reading()
large_store()
sys.exit(bool(failed))
