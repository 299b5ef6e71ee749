"""Workers and schedulers that are killed: nothing is lost or doubled, and the next call asks for what is missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager

import pandas as pd
import pytest

import cosai_nb as cn
from cosai_nb import scale
from cosai_nb.emulator.faults import Fault

pytestmark = pytest.mark.slow

JOBS, PART = 4_000, 100


@contextmanager
def local_cluster(**settings):
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, **settings) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def emulator(monkeypatch):
    """An emulator that the environment leads to, and that answers 1 % of all requests with a 500."""
    faults = [Fault(kind="status", status=500, code="InternalError", probability=0.01)]
    with cn.Emulator(seed=7, faults=faults) as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)  # before the workers are started: they inherit it
        yield emulator


def asked_for(emulator, before=0):
    """How often each ID was in a request that was answered well."""
    good = [request for request in [*emulator.requests][before:] if not request.fault]
    return Counter(job_id for request in good for job_id in request.path.rpartition("/")[2].split(","))


def test_a_killed_worker_loses_and_doubles_nothing_and_deleted_parts_come_back(emulator, tmp_path):
    ids = emulator.job_ids[:JOBS]
    with local_cluster() as client:

        def kill_one():
            while len(list(tmp_path.glob("*.parquet"))) < 8:
                time.sleep(0.05)
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)

        killer = threading.Thread(target=kill_one)
        killer.start()
        report = scale.fetch_partitioned(ids, tmp_path, dask_client=client, rate=200, part_size=PART)
        killer.join()
        assert report.state.eq("read").all()
        there = cn.JobStore(tmp_path).jobs()
        assert sorted(there.job_id) == sorted(ids)
        truth = cn.fetch_jobs(ids, client=emulator.client(), progress=False)
        pd.testing.assert_frame_equal(
            there[["job_id", "state", "queue_latency_s"]].sort_values("job_id", ignore_index=True),
            truth[["job_id", "state", "queue_latency_s"]].sort_values("job_id", ignore_index=True),
        )
        assert scale.summarize(tmp_path, client=client) == scale.summarize(there)

        removed = report.part[5:9].tolist()
        lost = []
        for name in removed:
            record = pd.read_json(tmp_path / "_fetched" / f"{name}.json", typ="series")
            for file in record["files"]:
                lost += pd.read_parquet(tmp_path / file).job_id.tolist()
                (tmp_path / file).unlink()
        assert len(lost) == 4 * PART
        before = len(emulator.requests)
        again = scale.fetch_partitioned(ids, tmp_path, dask_client=client, part_size=PART)
        # a part whose worker was killed after it had stored the jobs left a second file of them
        missing = {*lost} & {*asked_for(emulator, before)}
        assert {*asked_for(emulator, before)} == missing
        assert again.state.value_counts()["there"] >= JOBS // PART - 4
        assert sorted(cn.JobStore(tmp_path).jobs().job_id) == sorted(ids)


def test_a_dead_scheduler_leaves_what_is_on_disk_and_says_how_to_go_on(emulator, tmp_path):
    from distributed import Client

    ids = emulator.job_ids[:JOBS]
    start = [sys.executable, "-m", "dask", "scheduler"]
    here = [
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
        "--scheduler-file",
        str(tmp_path / "where.json"),
    ]
    scheduler = subprocess.Popen([*start, *here], stderr=subprocess.DEVNULL)
    worker = subprocess.Popen(
        [sys.executable, "-m", "dask", "worker", "--scheduler-file", str(tmp_path / "where.json"), "--nthreads", "2",
         "--no-dashboard", "--no-nanny", "--host", "127.0.0.1", "--death-timeout", "60"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    folder = tmp_path / "store"
    try:
        while not (tmp_path / "where.json").exists():
            time.sleep(0.05)
        with Client(scheduler_file=str(tmp_path / "where.json"), timeout=20) as client:

            def kill():
                while len(list(folder.glob("*.parquet"))) < 5:
                    time.sleep(0.05)
                scheduler.kill()

            killer = threading.Thread(target=kill)
            killer.start()
            with pytest.raises(cn.CosaiError, match="The Dask cluster ended early") as caught:
                scale.fetch_partitioned(ids, folder, dask_client=client, rate=100, part_size=PART)
            killer.join()
        assert "asks for what is missing only" in caught.value.__notes__[-1]
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()
    there = {*cn.JobStore(folder).jobs().job_id}
    assert len(there) >= 5 * PART
    before = len(emulator.requests)
    report = scale.fetch_partitioned(ids, folder, part_size=PART)
    assert report.state.value_counts()["there"] >= 4  # the last one may have had no time for its record
    asked = asked_for(emulator, before)
    assert max(asked.values()) == 1
    assert len(asked) <= JOBS - len(there) + PART
    assert sorted(cn.JobStore(folder).jobs().job_id) == sorted(ids)
