"""What ``cosai-nb metrics`` costs with 1,000,000 jobs in the store: seconds to the first scrape, and seconds of a scrape, also during a count.

Run by ``python tests/bench/bench_metrics.py [--queues 10000]``; prints what was measured and exits 1 where a promise does not hold.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench_scale import frame

import cosai_nb as cn
from cosai_nb.schema import COLUMNS

ROWS, PARTS = 1_000_000, 50
STARTUP_S, SCRAPE_S = 5.0, 0.2

failed = []


def judge(name, value, limit):
    print(f"{'ok  ' if value <= limit else 'MISS'} {name}: {value:.3f} s (at most {limit:g} s)")
    if value > limit:
        failed.append(name)


def fill(folder, queues):
    """Store the jobs in parts, the last one left for later; return it."""
    jobs = frame(ROWS, queues=queues, ids=True)
    for name in COLUMNS.keys() - {*jobs.columns}:
        jobs[name] = None
    store = cn.JobStore(folder)
    size = ROWS // PARTS
    for first in range(0, ROWS - size, size):
        store.add(jobs.iloc[first : first + size])
    return jobs.iloc[ROWS - size :]


def scrape(url):
    request = urllib.request.Request(url, headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as answer:
        text = answer.read()
    jobs = sum(
        float(number) for number in re.findall(rb"^cosai_jobs_submitted_total\S* (\S+)$", text, re.MULTILINE)
    )
    return time.perf_counter() - began, text, int(jobs)


def processor_s(pid):
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def measure(folder, queues):
    later = fill(folder, queues)
    command = [sys.executable, "-m", "cosai_nb", "metrics", "--store", folder, "--port", "0", "--every", "1s"]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        url = re.search(r"http://\S+", process.stdout.readline())[0]
        _, text, jobs = scrape(url)
        startup_s, startup_cpu_s = time.perf_counter() - began, processor_s(process.pid)
        idle = [scrape(url)[0] for _ in range(30)]
        cn.JobStore(folder).add(later)
        during = []
        until = time.monotonic() + 120
        while jobs < ROWS and time.monotonic() < until:
            seconds, _, jobs = scrape(url)
            during.append(seconds)
        process.terminate()
        print("    ", *process.communicate(timeout=60)[0].splitlines(), sep="\n     ")
    print(
        f"     {queues:,} queues, {len(text.splitlines()):,} lines, {len(text):,} bytes; {len(during)} scrapes during a count"
    )
    print(f"     processor time until the first scrape: {startup_cpu_s:.2f} s")
    judge("start to first scrape", startup_s, STARTUP_S)
    judge("scrape, median", statistics.median(idle), SCRAPE_S)
    judge("scrape, slowest of 30", max(idle), SCRAPE_S)
    judge("scrape during a count, median", statistics.median(during), SCRAPE_S)
    judge("scrape during a count, slowest", max(during), SCRAPE_S)


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--queues", type=int, default=7)
    with tempfile.TemporaryDirectory() as place:
        measure(f"{place}/jobs", options.parse_args().queues)
    sys.exit(bool(failed))
