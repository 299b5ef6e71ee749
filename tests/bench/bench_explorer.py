"""A change of the explorer at 1,000,000 jobs: at most 100 ms in the kernel without the drawing, which is printed beside it."""

import sys
import time
from statistics import median
from unittest.mock import patch

from bench_plots import make_jobs

import cosai_nb as cn
from cosai_nb.views import explorer as module
from cosai_nb.views.selection import TABS, Selection

LIMIT_MS, RUNS = 100, 4


def change_ms(explorer, tab):
    """Milliseconds of each of several changes of a filter, none of which was made before."""
    explorer.tabs.selected_index = TABS.index(tab)
    choice = explorer.controls.filters["tag"]
    durations = []
    for _ in range(RUNS):
        for _, value in choice.options:
            explorer._sources._part.cache_clear()
            begun = time.perf_counter()
            choice.value = value
            durations.append(1000 * (time.perf_counter() - begun))
    return durations


def main():
    jobs = make_jobs()
    begun = time.perf_counter()
    explorer = cn.explore(jobs)
    print(f"opened on {len(jobs):,} jobs in {time.perf_counter() - begun:.1f} s, counted once")
    slow = []
    for by in (None, "tag"):
        explorer.controls.by.value = by
        for tab in TABS:
            drawn = median(change_ms(explorer, tab))
            with patch.object(Selection, "draw"), patch.object(module._Page, "show"):
                durations = change_ms(explorer, tab)
            fastest, middle = min(durations), median(durations)
            print(f"{tab:10} by {by}: median {middle:4.0f} ms, best {fastest:4.0f} ms; drawn {drawn:4.0f} ms")
            if middle > LIMIT_MS:
                slow.append(f"{tab} by {by}")
    if slow:
        print(f"over {LIMIT_MS} ms: {', '.join(slow)}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
