"""Reading jobs from Parquet: nanoseconds a row and memory of a scan, beside DuckDB's count over the same columns.

Run by ``python tests/bench/bench_scan.py [rows]``, 10,000,000 by default, which it writes to a temporary folder (20 MB a million).
Each figure is of a process of its own; exits 1 where a promise does not hold.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = int(float(sys.argv[1])) if len(sys.argv) > 1 else 10_000_000
FILE_ROWS = 1_000_000
COLUMNS = ("outcome", "creation_time", "queue_latency_s", "timing_ok", "observed_at", "tag", "queue_id")
TEN = (*COLUMNS, "start_time", "end_time", "run_time_s")
TAGS = ["Translation", "SpeechRecognition", "WordsGeneralize"]
OUTCOMES = {"success": 0.9, "failed": 0.04, "cancelled": 0.02, "running": 0.02, "waiting": 0.02}
DAY_MS = 86_400_000
BEGAN_MS = 1_790_000_000_000
CORES = 2


def times(milliseconds):
    return pa.array(milliseconds, from_pandas=True).cast(pa.int64()).cast(pa.timestamp("ms", "UTC"))


def labels(rng, count, values, share=None):
    codes = rng.choice(len(values), count, p=share).astype(np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(values))


def peak_mb():
    """Of this process alone: what getrusage says is never below the parent's."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def write(folder):
    """Thirty days of jobs, with IDs as long as the service's."""
    rng = np.random.default_rng(7)
    for first in range(0, ROWS, FILE_ROWS):
        count = min(FILE_ROWS, ROWS - first)
        ids = np.frombuffer(rng.bytes(count * 16).hex().encode(), "S32").astype("S33")
        span = 30 * DAY_MS / ROWS
        created = (BEGAN_MS + np.sort(rng.uniform(first, first + count, count)) * span) // 1000 * 1000
        latency, run = (np.floor(rng.lognormal(mean, 1, count)) for mean in (4, 5))
        latency[rng.random(count) < 0.02] = np.nan

        table = pa.table(
            {
                "job_id": pa.array(np.char.add(ids, b"a")).cast(pa.string()),
                "tag": labels(rng, count, TAGS),
                "queue_id": labels(rng, count, [f"p{number:032x}" for number in range(7)]),
                "outcome": labels(rng, count, [*OUTCOMES], [*OUTCOMES.values()]),
                "creation_time": times(created),
                "start_time": times(created + latency * 1000),
                "end_time": times(created + (latency + run) * 1000),
                "queue_latency_s": pa.array(latency, from_pandas=True),
                "run_time_s": pa.array(run),
                "observed_at": times(np.full(count, BEGAN_MS + 31.0 * DAY_MS)),
                "timing_ok": pa.array(rng.random(count) < 0.99),
            }
        )
        for kind in ("ids", "no-ids"):
            path = Path(folder, kind, f"{first // FILE_ROWS:04}.parquet")
            path.parent.mkdir(exist_ok=True)
            pq.write_table(table if kind == "ids" else table.drop_columns("job_id"), path, compression="zstd")


def timed(call):
    began, cpu = time.perf_counter(), time.process_time()
    value = call()
    return value, (time.perf_counter() - began) / ROWS * 1e9, (time.process_time() - cpu) / ROWS * 1e9


def measure(folder, kind):
    """One figure, in this process: ns a row, ns of all cores, and MB above what the imports took."""
    if kind == "duckdb":
        import duckdb

        connection = duckdb.connect()
        connection.execute(f"SET threads = {CORES}; SET enable_progress_bar = false")
        counts = ", ".join(f"count({name})" for name in COLUMNS if name not in ("outcome", "tag", "queue_id"))
        grouped = f"SELECT outcome, tag, queue_id, {counts} FROM '{folder}/ids/*.parquet' GROUP BY ALL"
        calls = [lambda: connection.execute(grouped).fetchall()] * 2
    else:
        from cosai_nb.table.scan import scan

        names, columns = kind
        source = f"{folder}/{names}"
        calls = [lambda: sum(map(len, scan(source, columns)))] * 2
    before = peak_mb()
    for call in calls:
        value, wall, cpu = timed(call)
        print(wall, cpu, peak_mb() - before)
        assert kind == "duckdb" or value == ROWS, value


KINDS = {
    "7 columns, without job_id": ("no-ids", COLUMNS),
    "7 columns, one row a job": ("ids", COLUMNS),
    "10 columns, one row a job": ("ids", TEN),
    "7 columns and job_id, one row a job": ("ids", (*COLUMNS, "job_id")),
    "DuckDB, 7 columns counted": "duckdb",
}


def main():
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        write(folder)
        print(f"{ROWS:,} rows; wall and CPU in ns a row, first and second call; peak in MB above the imports")
        for name, kind in KINDS.items():
            script = (
                f"import sys; sys.argv = ['', '{ROWS}']; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
            )
            script += f"import bench_scan; bench_scan.measure({folder!r}, {kind!r})"
            out = subprocess.run(
                [sys.executable, "-c", script], capture_output=True, text=True, check=True
            ).stdout
            first, second = ([float(figure) for figure in line.split()] for line in out.splitlines())
            print(
                f"{name:36} {first[0]:6.1f} {first[1]:6.1f}  {second[0]:6.1f} {second[1]:6.1f}  {first[2]:5.0f} {second[2]:5.0f}"
            )
            if name.startswith("10") and second[2] > 300:
                print("MISS at most 300 MB")
                failed = True
    return failed


if __name__ == "__main__":
    sys.exit(main())
