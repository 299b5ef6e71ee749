"""The counting engine beside pandas and DuckDB, from 1,000,000 to 100,000,000 jobs, and a cluster that loses a worker.

Run by ``python tests/bench/bench_scale.py [--rows 1e7] [--full] [memory] [groups] [disk] [cluster]``: all four by default, of 10,000,000
jobs. ``--full`` adds 100,000,000 jobs on disk (2.5 GB in a temporary folder, removed afterwards). What is compared runs in turn, on
the same jobs; ratios are of medians. Peaks are of a process of its own for disk, beyond the frame for memory. Exits 1 where a promise
does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[2]))

SHARES = [0.5, 0.9, 0.95, 0.99]
TAGS, QUEUES = ["Translation", "SpeechRecognition", "WordsGeneralize"], [f"p{i:032d}" for i in range(7)]
OUTCOMES, STATES = (
    ["success", "failed", "cancelled", "running", "waiting"],
    ["Success", "Failed", "Cancel", "Running", "Submitted"],
)
BEGAN, DAYS, FILE_ROWS = 1_793_491_200, 30, 2_000_000
NAT = np.iinfo(np.int64).min
ROUNDS = 3
MEMORY_MB, DISK_MB = 400, 1_000
PARTS, PART, LIMIT, REMOVED = 200, 100, 600, 40
TABLE: list[tuple[str, str, str, str, str]] = []
FAILED: list[str] = []


def frame(
    rows: int, *, first: int = 0, total: int | None = None, queues: int = len(QUEUES), ids: bool = False
):
    """Rows ``first`` to ``first + rows`` of so many jobs in 30 days, in order; the level of the waits changes by the hour."""
    total = total or rows
    rng = np.random.default_rng([0, first])
    seconds = DAYS * 86_400
    sec = np.sort(rng.integers(first * seconds // total, max((first + rows) * seconds // total, 1), rows))
    wait = np.floor(rng.exponential(1, rows) * np.random.default_rng(1).gamma(1, 100, DAYS * 24)[sec // 3600])
    run = np.floor(rng.exponential(60, rows)) + 1
    chance = rng.random(rows)
    outcome = np.where(chance < 0.03, 1, np.where(chance < 0.04, 2, 0)).astype(np.int8)
    start = sec + wait.astype(np.int64)
    end = start + run.astype(np.int64)
    waiting, running = start > seconds, (start <= seconds) & (end > seconds)
    outcome[waiting], outcome[running] = 4, 3
    unended = waiting | running

    def times(values, missing=None):
        values = (values + BEGAN) * 1000
        if missing is not None:
            values[missing] = NAT
        return pd.DatetimeIndex(values.view("M8[ms]"), tz="UTC")

    def labels(codes, names):
        return pd.Categorical.from_codes(codes, names)

    names = QUEUES if queues == len(QUEUES) else [f"p{number:032d}" for number in range(queues)]
    columns = {
        "tag": labels(rng.integers(0, 3, rows).astype(np.int8), TAGS),
        "queue_id": labels(rng.integers(0, queues, rows).astype(np.int16), names),
        "outcome": labels(outcome, OUTCOMES),
        "state": labels(outcome, STATES),
        "code": labels(np.where(outcome == 1, rng.integers(0, 3, rows), -1).astype(np.int8), ["A", "B", "C"]),
        "creation_time": times(sec),
        "start_time": times(start, waiting),
        "end_time": times(end, unended),
        "observed_at": times(np.full(rows, seconds)),
        "queue_latency_s": np.where(waiting, np.nan, wait),
        "run_time_s": np.where(unended, np.nan, run),
        "total_time_s": np.where(unended, np.nan, wait + run),
        "timing_ok": np.ones(rows, bool),
    }
    if ids:
        raw = np.frombuffer(rng.bytes(rows * 8).hex().encode(), "S16").astype("S33")
        columns = {
            "job_id": pd.array(np.char.add(raw, b"a0b9935f854b00000").astype(str), dtype="str"),
            **columns,
        }
    return pd.DataFrame(columns, copy=False)


def write(folder: Path, rows: int) -> None:
    for first in range(0, rows, FILE_ROWS):
        jobs = frame(min(FILE_ROWS, rows - first), first=first, total=rows, ids=True)
        table = pa.Table.from_pandas(jobs, preserve_index=False)
        pq.write_table(table, folder / f"{first // FILE_ROWS:04}.parquet", compression="zstd")


# --- measuring ---


def status_mb(field: str) -> float:
    return int(re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def timed(call) -> tuple[float, float]:
    """Seconds, and MB beyond what was held before."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak
    held, began = status_mb("VmRSS"), time.perf_counter()
    call()
    return time.perf_counter() - began, status_mb("VmHWM") - held


def in_turn(calls: dict, rounds: int = ROUNDS) -> dict[str, tuple[float, float]]:
    """Medians of seconds, and the largest peaks."""
    came = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            came[name].append(timed(call))
    return {
        name: (statistics.median(took for took, _ in each), max(peak for _, peak in each))
        for name, each in came.items()
    }


def row(what: str, here: str, other: str, ratio: str, promised: str, *, kept: bool | None = None) -> None:
    TABLE.append((what, here, other, ratio, promised + ("" if kept is None else " ✓" if kept else " ✗")))
    print(" | ".join(TABLE[-1]), flush=True)
    if kept is False:
        FAILED.append(what)


# --- the four benches ---


def memory(rows: int) -> None:
    from cosai_nb.stats.failures import failure_rates
    from cosai_nb.stats.latency import queue_latency
    from cosai_nb.stats.load import queue_load

    jobs = frame(rows)

    def pandas_by(key):
        return lambda: jobs.groupby(key, observed=True)["queue_latency_s"].quantile(SHARES)

    calls = {
        "queue_latency(by='tag')": (lambda: queue_latency(jobs, by="tag"), "tag", 1.0),
        "failure_rates(by='queue_id')": (lambda: failure_rates(jobs, by="queue_id"), "queue_id", 1.0),
        "failure_rates(by='queue_id', freq='1h')": (
            lambda: failure_rates(jobs, by="queue_id", freq="1h"),
            "queue_id",
            1.5,
        ),
        "queue_load(by='queue_id', freq='1min')": (
            lambda: queue_load(jobs, by="queue_id", freq="1min"),
            "queue_id",
            1.5,
        ),
    }
    took = in_turn({
        **{name: call for name, (call, _, _) in calls.items()},
        "tag": pandas_by("tag"), "queue_id": pandas_by("queue_id"),
    })  # fmt: skip
    for name, (_, key, promised) in calls.items():
        (seconds, peak), (other, _) = took[name], took[key]
        ratio = seconds / other
        row(
            f"{rows:.0e} in memory, {name}",
            f"{seconds:.2f} s, +{peak:.0f} MB",
            f"pandas groupby quantile {other:.2f} s",
            f"{ratio:.2f} ×",
            f"≤ {promised} ×, ≤ {MEMORY_MB} MB",
            kept=ratio <= promised and peak <= MEMORY_MB,
        )


def groups(rows: int = 1_000_000) -> None:
    from cosai_nb.stats.compare import compare
    from cosai_nb.stats.failures import failure_rates
    from cosai_nb.stats.latency import queue_latency

    jobs = frame(rows, queues=500)
    before, after = (
        jobs.iloc[: rows // 2].reset_index(drop=True),
        jobs.iloc[rows // 2 :].reset_index(drop=True),
    )
    calls = {
        "queue_latency": (lambda: queue_latency(jobs, by="queue_id"), 0.8),
        "compare": (lambda: compare(before, after, by="queue_id"), 1.5),
        "failure_rates(freq='1h')": (lambda: failure_rates(jobs, by="queue_id", freq="1h"), 2.0),
    }
    took = in_turn({name: call for name, (call, _) in calls.items()})
    for name, (_, promised) in calls.items():
        seconds, peak = took[name]
        row(
            f"1e6 jobs, 500 groups, {name}",
            f"{seconds:.2f} s, +{peak:.0f} MB",
            "",
            "",
            f"≤ {promised} s",
            kept=seconds <= promised,
        )


def child(what: str, folder: Path) -> dict:
    """Ask in a process of its own: seconds of a first and a later question, and its peak."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", what, str(folder)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def answer(what: str, folder: str) -> None:
    if what == "DuckDB":
        import duckdb

        query = f"SELECT tag, queue_id, quantile_cont(queue_latency_s, {SHARES}) FROM '{folder}/*.parquet' GROUP BY ALL"
        call = lambda: duckdb.sql(query).fetchall()  # noqa: E731
    else:
        from cosai_nb.stats.latency import queue_latency

        call = lambda: queue_latency(folder, by=["tag", "queue_id"])  # noqa: E731
    base = status_mb("VmHWM")
    first, later = timed(call)[0], timed(call)[0]
    print(json.dumps({"first": first, "later": later, "peak": status_mb("VmHWM"), "base": base}))


def disk(decades: list[int]) -> None:
    seconds: dict[int, float] = {}
    for rows in decades:
        with tempfile.TemporaryDirectory(prefix="bench-scale-") as name:
            folder = Path(name)
            write(folder, rows)
            size = sum(file.stat().st_size for file in folder.iterdir()) / 1e9
            rounds = ROUNDS if rows < 50_000_000 else 2
            asked = [(child("cosai_nb", folder), child("DuckDB", folder)) for _ in range(rounds)]
        ours, duck = (
            {key: statistics.median(pair[side][key] for pair in asked) for key in ("first", "later", "peak")}
            for side in (0, 1)
        )
        seconds[rows] = ours["later"]
        ratio = ours["later"] / duck["later"]
        kept = rows < 100_000_000 or (ratio <= 2 and ours["peak"] <= DISK_MB)
        row(
            f"{rows:.0e} on disk ({size:.2f} GB), queue_latency by 21 groups",
            f"{ours['later']:.2f} s (first, with the IDs compared: {ours['first']:.2f} s), {ours['peak']:.0f} MB",
            f"DuckDB quantile_cont {duck['later']:.2f} s (first: {duck['first']:.2f} s), {duck['peak']:.0f} MB",
            f"{ratio:.2f} ×",
            "≤ 2 ×, ≤ 1 GB at 1e8",
            kept=kept,
        )
    for less, more in pairwise(decades):
        growth = seconds[more] / seconds[less]
        row(
            f"{less:.0e} to {more:.0e}",
            f"{growth:.1f} times the seconds",
            "",
            "",
            "8 to 12 a decade",
            kept=8 <= growth <= 12,
        )


def limited(emulator) -> Counter:
    """Let an emulator refuse what is above the limit of any second, and break 1 % of the rest; return how often it did."""
    from collections import deque

    from cosai_nb.emulator.faults import Fault, FaultPlan

    said, recent = Counter(), deque()

    class Limited(FaultPlan):
        def pick(self, path):
            now = time.monotonic()
            recent.append(now)
            while recent[0] <= now - 1:
                recent.popleft()
            said["busiest second"] = max(said["busiest second"], len(recent))
            if len(recent) > LIMIT:
                said["throttled"] += 1
                return Fault(kind="status", status=503, code="SlowDown")
            return super().pick(path)

    errors = [Fault(kind="status", status=500, code="InternalError", probability=0.01)]
    emulator._plan = Limited(errors, seed=7)
    return said


def cluster(rows: int) -> None:
    from distributed import Client, LocalCluster

    import cosai_nb as cn
    from cosai_nb.emulator import Emulator
    from cosai_nb.stats.histogram import DurationHistogram

    with Emulator(seed=7) as emulator, tempfile.TemporaryDirectory(prefix="bench-scale-") as name:
        os.environ |= emulator.environment()
        ids = emulator.job_ids[: PARTS * PART]
        store = Path(name, "store")
        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local,
            Client(local) as client,
        ):
            said = limited(emulator)

            def kill_one():
                while len(list(store.glob("*.parquet"))) < PARTS // 5:
                    time.sleep(0.02)
                os.kill(min(client.run(os.getpid).values()), signal.SIGKILL)

            killer = threading.Thread(target=kill_one)
            killer.start()
            began = time.perf_counter()
            report = cn.scale.fetch_partitioned(
                ids, store, dask_client=client, rate=LIMIT, part_size=PART, progress=False
            )
            took = time.perf_counter() - began
            killer.join()
            there = cn.JobStore(store).jobs()["job_id"]
            lost, doubled = len({*ids} - {*there}), len(there) - there.nunique()
            row(
                f"{PARTS} parts, 2 workers, one killed, {LIMIT}/s, 1 % HTTP 500",
                f"{lost} lost, {doubled} doubled, {took:.1f} s for {len(ids) // 10:,} requests",
                f"{said['throttled']} throttled, busiest second {said['busiest second']}",
                "",
                "0 lost, 0 doubled",
                kept=not lost and not doubled and report["state"].eq("read").all(),
            )
            gone = set()
            for part in report["part"].sample(REMOVED, random_state=0):
                for file in json.loads((store / "_fetched" / f"{part}.json").read_text())["files"]:
                    gone |= {*pd.read_parquet(store / file)["job_id"]}
                    (store / file).unlink()
            left = cn.JobStore(store).jobs()
            # the killed worker may have stored a part before it could record it, so its jobs are there twice
            missing = gone - {*left["job_id"]}
            open_ids = {*left.loc[~left["outcome"].isin(["success", "failed", "cancelled"]), "job_id"]}
            before = len(emulator.requests)
            cn.scale.fetch_partitioned(
                ids, store, dask_client=client, rate=LIMIT, part_size=PART, progress=False
            )
            asked = {
                job_id
                for request in [*emulator.requests][before:]
                for job_id in request.path.rpartition("/")[2].split(",")
            }
            row(
                f"{REMOVED} parts deleted",
                f"asks for {len(asked):,} jobs: {len(missing):,} are missing, {len(open_ids)} others had not ended",
                "",
                "",
                "those only",
                kept=asked == missing | open_ids,
            )

            folder = Path(name, "jobs")
            folder.mkdir()
            write(folder, rows)
            jobs = pd.concat([pd.read_parquet(file) for file in sorted(folder.iterdir())], ignore_index=True)
            ways = {
                "frame": lambda: DurationHistogram.from_jobs(jobs),
                "Parquet": lambda: DurationHistogram.from_jobs(folder),
                "Dask, 2 workers": lambda: cn.scale.summarize(folder, client=client),
            }
            seconds, files = {}, {}
            for way, summary in ways.items():
                began = time.perf_counter()
                made = summary()
                seconds[way] = time.perf_counter() - began
                made.save(Path(name, "summary.parquet"))
                files[way] = Path(name, "summary.parquet").read_bytes()
            row(
                f"{rows:.0e} jobs summarized",
                ", ".join(f"{way} {took:.1f} s" for way, took in seconds.items()),
                "",
                "",
                "the same bytes",
                kept=len({*files.values()}) == 1,
            )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=lambda text: int(float(text)), default=10_000_000)
    parser.add_argument("--full", action="store_true", help="100,000,000 jobs on disk, too")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("benches", nargs="*", help="memory, groups, disk, cluster; all by default")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.child:
        answer(*given.child)
        return 0
    largest = 100_000_000 if given.full else given.rows
    decades = [rows for rows in (1_000_000, 10_000_000, 100_000_000) if rows <= largest] or [largest]
    for bench in given.benches or ["memory", "groups", "disk", "cluster"]:
        {
            "memory": lambda: memory(given.rows),
            "groups": groups,
            "disk": lambda: disk(decades),
            "cluster": lambda: cluster(min(given.rows, 2_000_000)),
        }[bench]()
    print("\n| what | here | beside it | ratio | promised |\n|---|---|---|--:|---|")
    for cells in TABLE:
        print(f"| {' | '.join(cells)} |")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
