"""Each plot of the histogram of 1,000,000 jobs takes at most 300 ms; how long its PNG takes in the explorer is printed too.

Seconds on a shared machine are noisy, so the best of several runs is judged, and the ratio to matplotlib's empty Axes is printed:
what ``savefig`` takes for them with constrained layout.
"""

import io
import sys
import time

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import cosai_nb as cn
from cosai_nb.emulator import Scenario, Workload
from cosai_nb.views.figure import png
from cosai_nb.views.plots.axes import offscreen_axes

JOBS, LIMIT_MS, RUNS = 1_000_000, 300, 5


def make_jobs(number=JOBS, seed=7):
    """A simulated week as the service would show it, repeated with other waits up to the number asked for."""
    week = Workload(Scenario(), seed=seed)
    now = week.as_of(week.observed_at)
    rng = np.random.default_rng(seed)
    repeats = -(-number // len(week.job_ids))
    names = np.array(["waiting", "running", "success", "failed", "waiting", "cancelled"])
    outcome = np.tile(names[now.state], repeats)[:number]

    def times(seconds):
        whole = np.tile(np.where(seconds < 0, np.nan, np.floor(seconds)), repeats)[:number]
        return pd.Series(pd.to_datetime(whole * 1000, unit="ms", utc=True)).dt.as_unit("ms")

    truth = week.truth
    created = times(week.creation_time)
    wait = (times(now.start_time.astype(float)) - created).dt.total_seconds()
    wait = np.floor(wait * rng.uniform(0.7, 1.3, number))
    started = created + pd.to_timedelta(wait, "s")
    run = (times(now.end_time.astype(float)) - times(now.start_time.astype(float))).dt.total_seconds()
    ended = started + pd.to_timedelta(run, "s")
    return pd.DataFrame(
        {
            "job_id": [f"a{n}" for n in range(number)],
            **{
                name: pd.Categorical(np.tile(truth[name], repeats)[:number])
                for name in ("tag", "queue_id", "input_lang", "target_lang")
            },
            "outcome": pd.Categorical(outcome),
            "code": pd.Categorical(
                np.where(outcome == "failed", np.tile(truth["code"], repeats)[:number], None)
            ),
            "message": np.where(outcome == "failed", "An error.", None),
            "creation_time": created,
            "start_time": started.dt.as_unit("ms"),
            "end_time": ended.dt.as_unit("ms"),
            "observed_at": pd.Timestamp(week.observed_at, unit="s", tz="UTC").as_unit("ms"),
            "queue_latency_s": wait,
            "run_time_s": run,
            "total_time_s": wait + run,
            "timing_ok": True,
        }
    )


def empty_png():
    """Matplotlib's own empty Axes, as large as a plot."""
    figure = Figure(figsize=(8.6, 4.6), layout="constrained")
    figure.subplots()
    figure.savefig(io.BytesIO(), format="png")


def best_ms(action):
    """Milliseconds of the fastest of several runs."""
    durations = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        action()
        durations.append(time.perf_counter() - begun)
    return 1000 * min(durations)


def main():
    histogram = cn.DurationHistogram.from_jobs(make_jobs())
    half = pd.Timestamp(histogram.as_of).floor("h") - pd.Timedelta("84h")
    sides = histogram.where(end=half), histogram.where(start=half)
    plots = {
        "queue_latency": lambda ax: cn.plots.queue_latency(histogram, ax=ax),
        "queue_latency by tag": lambda ax: cn.plots.queue_latency(histogram, by="tag", ax=ax),
        "run_time by tag": lambda ax: cn.plots.run_time(histogram, by="tag", ax=ax),
        "latency_over_time": lambda ax: cn.plots.latency_over_time(histogram, ax=ax),
        "latency_over_time by tag": lambda ax: cn.plots.latency_over_time(histogram, by="tag", ax=ax),
        "failure_rates over time": lambda ax: cn.plots.failure_rates(histogram, freq="1h", ax=ax),
        "failure_rates by tag": lambda ax: cn.plots.failure_rates(histogram, by="tag", ax=ax),
        "error_pareto": lambda ax: cn.plots.error_pareto(histogram, ax=ax),
        "queue_load": lambda ax: cn.plots.queue_load(histogram, ax=ax),
        "heatmap": lambda ax: cn.plots.heatmap(histogram, ax=ax),
        "before_after": lambda ax: cn.plots.before_after(*sides, ax=ax),
    }
    empty = best_ms(empty_png)
    print(f"{histogram}\nan empty figure, drawn: {empty:.0f} ms")
    slow = []
    for name, plot in plots.items():
        made = best_ms(lambda plot=plot: plot(offscreen_axes()))
        drawn = best_ms(lambda plot=plot: png(plot(offscreen_axes()).figure, dpi=100))
        print(f"{name:26} {made:5.0f} ms, with its PNG {drawn:5.0f} ms = {drawn / empty:4.1f} empty figures")
        if made > LIMIT_MS:
            slow.append(name)
    if slow:
        print(f"over {LIMIT_MS} ms: {', '.join(slow)}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
