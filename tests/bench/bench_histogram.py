"""1,000,000 jobs to a histogram against one pandas groupby quantile on the same keys, in turn; sums byte for byte.

Seconds are CPU seconds of this process, best of several: on a shared machine the clock on the wall measures the others.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))

from cosai_nb.stats.histogram import DurationHistogram  # after the path
from tests.simulate import snapshot  # after the path

ROWS, RUNS, ALLOWED_S, ALLOWED_RATIO = 1_000_000, 15, 0.6, 3.0
Q = [0.5, 0.9, 0.95, 0.99]


def a_week_of_jobs(rows: int = ROWS) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    created = np.sort(rng.random(rows)) * 7 * 86_400
    started = created + rng.exponential(100, rows)
    return snapshot(
        created,
        started,
        started + rng.lognormal(4, 0.6, rows),
        7 * 86_400,
        failed=rng.random(rows) < 0.05,
        tag=rng.choice(["Translation", "SpeechRecognition", "WordsGeneralize"], rows),
        queue=rng.choice(["q1", "q2", "q3"], rows),
    )


def groupby_quantile(jobs: pd.DataFrame) -> object:
    keys = [jobs["creation_time"].dt.floor("h"), "queue_id", "tag", "outcome", "code"]
    return jobs.groupby(keys, observed=True, dropna=False)["queue_latency_s"].quantile(Q)


def seconds(function, *arguments) -> float:
    started = time.process_time()
    function(*arguments)
    return time.process_time() - started


def main() -> int:
    jobs = a_week_of_jobs()
    pairs = [
        (seconds(DurationHistogram.from_jobs, jobs), seconds(groupby_quantile, jobs)) for _ in range(RUNS + 1)
    ][1:]
    best, theirs = (min(column) for column in zip(*pairs, strict=True))
    ours, ratio = statistics.median(pair[0] for pair in pairs), best / theirs
    print(
        f"1e6 rows → histogram: median {ours:.3f} s, best {best:.3f} s (allowed {ALLOWED_S}); "
        f"pandas groupby quantile best {theirs:.3f} s; ratio {ratio:.2f} (allowed {ALLOWED_RATIO})"
    )
    whole = DurationHistogram.from_jobs(jobs)
    half = ROWS // 2
    parts = [DurationHistogram.from_jobs(jobs[:half]), DurationHistogram.from_jobs(jobs[half:])]
    print(f"+ of two halves: {seconds(parts[0].__add__, parts[1]):.3f} s")
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, "sum"), Path(folder, "whole")]
        print(
            f"save {seconds(whole.save, files[1]):.3f} s, load {seconds(DurationHistogram.load, files[1]):.3f} s"
        )
        (parts[1] + parts[0]).save(files[0])
        same = files[0].read_bytes() == files[1].read_bytes()
    print(f"sum of the halves is the whole, byte for byte: {same}")
    return int(best > ALLOWED_S or ratio > ALLOWED_RATIO or not same)


if __name__ == "__main__":
    sys.exit(main())
