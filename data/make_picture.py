"""Draw the README's picture from the package's own plots on the emulator's default week: python data/make_picture.py."""

import sys
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

import cosai_nb as cn
from cosai_nb.emulator import Scenario

PICTURE = Path(__file__).with_name("readme.png")
INCHES, DPI = (16, 7), 100
LEGEND_POINTS = 10.5
WINDOW = pd.Timedelta("6h")


def main() -> None:
    """Ask the emulator for its 20,000 jobs over HTTP and draw two panels."""
    with cn.Emulator(seed=7) as emulator:
        jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client(), progress=False)
        names = dict(zip(emulator.queue_ids, (queue.name for queue in Scenario().queues), strict=True))
    jobs["queue"] = jobs["queue_id"].map(names)
    style = {
        "font.size": 13,
        "lines.linewidth": 2.4,
        "axes.labelcolor": "#333333",
        "savefig.facecolor": "white",
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=INCHES, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.3, h_pad=0.2)
        left, right = figure.subplots(1, 2, width_ratios=(1.08, 1))
        cn.plots.queue_latency(jobs, by="queue", ax=left)
        cn.plots.failure_rates(jobs, freq=WINDOW, ax=right)
        for ax in (left, right):
            for text in ax.get_legend().get_texts():
                text.set_fontsize(LEGEND_POINTS)
        worst = cn.plots.failure_rates_data(jobs, freq=WINDOW).sort_values("rate").iloc[-1]
        right.annotate(
            f"an incident: {worst['rate']:.0%} fail".replace("%", " %"),
            xy=(worst["time"] + WINDOW / 2, worst["rate"]),
            xytext=(24, 4),
            textcoords="offset points",
            va="center",
            arrowprops={"arrowstyle": "-", "alpha": 0.5},
        )
        figure.savefig(PICTURE, dpi=DPI, pil_kwargs={"optimize": True})
    sys.stdout.write(f"{PICTURE}: {PICTURE.stat().st_size / 1024:.0f} KiB\n")


if __name__ == "__main__":
    main()
