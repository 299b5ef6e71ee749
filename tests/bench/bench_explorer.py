"""A change of the explorer at 1,000,000 jobs: at most 60 ms to count it, without drawing and list; what a whole change takes is
printed beside it, and how much is sent to the page."""

import sys
import time
from statistics import median
from unittest.mock import patch

import numpy as np
from bench_plots import make_jobs

import cosai_nb as cn
from cosai_nb.views.explorer import Explorer
from cosai_nb.views.selection import VIEWS

LIMIT_MS, RUNS = 60, 3


def change_ms(explorer, labels):
    """Milliseconds of each of several changes of a filter, none of which was made before."""
    durations = []
    for _ in range(RUNS):
        for label in labels:
            explorer._sources._part.cache_clear()
            begun = time.perf_counter()
            explorer.select(tag=label)
            durations.append(1000 * (time.perf_counter() - begun))
    return durations


def main():
    jobs = make_jobs()
    jobs = jobs.assign(team=np.arange(len(jobs)) % 7)
    begun = time.perf_counter()
    explorer = cn.explore(jobs)
    print(f"opened on {len(jobs):,} jobs in {time.perf_counter() - begun:.1f} s, counted once")
    labels = [label for label, _ in explorer._sources.options(explorer.selection, "tag")]
    slow = []
    for by in (None, "tag"):
        for tab, view in VIEWS.items():
            if by and not view.takes("by"):
                continue
            explorer.select(tag=[], by=by, tab=tab)
            whole = change_ms(explorer, labels)
            sent = len(explorer._figure["svg"]) + len(str(explorer._figure["map"]))
            with (
                patch.object(Explorer, "_draw", lambda self: self._look()),
                patch.object(Explorer, "_draw_overview"),
                patch.object(Explorer, "_list"),
            ):
                counted = change_ms(explorer, labels)
            print(
                f"{tab:18} by {by}: counted in {median(counted):4.0f} ms, best {min(counted):4.0f} ms; "
                f"with figures and list {median(whole):4.0f} ms, {sent / 1000:.0f} kB"
            )
            if median(counted) > LIMIT_MS:
                slow.append(f"{tab} by {by}")
    explorer.select(tag=[], by=None, tab="over_time")
    first, _ = explorer._sources.span(explorer.selection)
    for name, change in {
        "a span of hours": {"start": first + np.timedelta64(30, "h"), "end": first + np.timedelta64(50, "h")},
        "a span of minutes": {
            "start": first + np.timedelta64(1801, "m"),
            "end": first + np.timedelta64(50, "h"),
        },
        "a column of one's own, the first time": {"team": "3"},
        "a column of one's own, again": {"team": "4"},
    }.items():
        explorer.select(start=None, end=None, team=[])
        begun = time.perf_counter()
        explorer.select(**change)
        print(f"{name}: {1000 * (time.perf_counter() - begun):.0f} ms, with figures and list")
    if slow:
        print(f"over {LIMIT_MS} ms: {', '.join(slow)}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
