"""compare, check_slo and change_points on the histogram of 1,000,000 jobs: each within 150 ms (best of several)."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from bench_histogram import a_week_of_jobs  # after the path

from cosai_nb.stats.change_points import change_points  # after the path
from cosai_nb.stats.compare import compare  # after the path
from cosai_nb.stats.histogram import DurationHistogram  # after the path
from cosai_nb.stats.slo import check_slo  # after the path

ALLOWED_S, RUNS = 0.150, 9


def best(function) -> float:
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> int:
    whole = DurationHistogram.from_jobs(a_week_of_jobs())
    middle = "2026-11-04T12:00Z"
    halves = whole.where(end=middle), whole.where(start=middle)
    late = False
    for by in (None, "tag"):
        asked = {
            "compare": lambda by=by: compare(*halves, by=by),
            "check_slo": lambda by=by: check_slo(whole, threshold_s=300, target=0.95, by=by),
            "change_points": lambda by=by: change_points(whole, by=by),
        }
        for name, function in asked.items():
            seconds = best(function)
            late |= seconds > ALLOWED_S
            print(f"{name}, by={by!r}: best {seconds * 1e3:.0f} ms (allowed {ALLOWED_S * 1e3:.0f})")
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
