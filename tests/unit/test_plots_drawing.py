"""Every plot is drawn: usual jobs, few, none, all waiting, hostile and Chinese labels; onto PNG, without a warning."""

import io
import itertools
import subprocess
import sys
import warnings

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.latency import queue_latency
from cosai_nb.table.frame import add_timings
from cosai_nb.views import plots
from cosai_nb.views.figure import png
from cosai_nb.views.plots import axes
from cosai_nb.views.plots.axes import headline
from cosai_nb.views.plots.jobs import duration_unit
from cosai_nb.views.plots.latency import latency_curves
from cosai_nb.views.wording import NO_JOBS, duration, whole_duration

ZERO = pd.Timestamp("2026-11-02T02:00:00Z")
LABELS = [
    "$x^$",
    "_q1",
    "翻译任务",
    "a\nb\x1b[31m",
    "\u202egnp",
    "n" * 200,
    "",
    None,
    "<script>alert(1)</script>",
]


def iso(seconds):
    return (ZERO + pd.to_timedelta(seconds, "s")).strftime("%Y-%m-%dT%H:%M:%S+0000")


def make_jobs(number=300, *, tags=("A", "B"), waiting=0.1, seed=3):
    """Jobs over two days; the last ones wait."""
    rng = np.random.default_rng(seed)
    created = np.sort(rng.integers(0, 172_800, number)).astype(float)
    started = created + np.floor(rng.exponential(300, number) * (rng.random(number) < 0.7))
    late = np.arange(number) >= number * (1 - waiting)
    tag = [text for text, _ in zip(itertools.cycle(tags), range(number), strict=False)]
    failed = rng.random(number) < 0.2
    texts = pd.DataFrame(
        {
            "JobId": [f"a{n:032x}" for n in range(number)],
            "State": np.where(late, "Submitted", np.where(failed, "Failed", "Success")),
            "CreationTime": iso(created),
            "StartTime": np.where(late, "-", iso(started)),
            "EndTime": np.where(late, "-", iso(started + 60)),
            "QueueId": tag,
            "Tag": tag,
            "Code": np.where(failed & ~late, tag, None),
            "Message": np.where(failed & ~late, "cannot $read$ it\n\x00", None),
        }
    )
    return add_timings(texts, observed_at=ZERO + pd.Timedelta("49h"))


USUAL = make_jobs()
FRAMES = {
    "usual": USUAL,
    "hostile": make_jobs(tags=LABELS),
    "many groups": make_jobs(tags=[f"t{n}" for n in range(40)]),
    "three": make_jobs(3, waiting=0),
    "one": make_jobs(1, waiting=0),
    "one waiting": make_jobs(1, waiting=1),
    "all waiting": make_jobs(50, waiting=1),
    "empty": USUAL.head(0),
    "no times": USUAL.assign(
        timing_ok=False,
        **dict.fromkeys(
            ["creation_time", "start_time", "end_time"], pd.Series(pd.NaT, USUAL.index, "datetime64[ms, UTC]")
        ),
        queue_latency_s=np.nan,
        run_time_s=np.nan,
        total_time_s=np.nan,
    ),
    "not read": add_timings(
        pd.DataFrame(
            {
                "JobId": ["a"],
                "State": ["Success"],
                "CreationTime": ["-"],
                "StartTime": ["-"],
                "EndTime": ["-"],
            }
        )
    ).assign(outcome=pd.Categorical(["unread"])),
}
PLOTS = {
    "queue_latency": lambda jobs, ax: plots.queue_latency(jobs, by="tag", ax=ax),
    "queue_latency of all": lambda jobs, ax: plots.queue_latency(jobs, q=(0.5, 0.9, 0.99), ax=ax),
    "latency_over_time": lambda jobs, ax: plots.latency_over_time(jobs, ax=ax),
    "latency_over_time by": lambda jobs, ax: plots.latency_over_time(jobs, by="tag", ax=ax),
    "failure_rates": lambda jobs, ax: plots.failure_rates(jobs, by=["tag", "queue_id"], ax=ax),
    "failure_rates over time": lambda jobs, ax: plots.failure_rates(jobs, freq="3h", ax=ax),
    "failure_rates over time by": lambda jobs, ax: plots.failure_rates(jobs, freq="6h", by="tag", ax=ax),
    "error_pareto": lambda jobs, ax: plots.error_pareto(jobs, ax=ax),
    "queue_load": lambda jobs, ax: plots.queue_load(jobs, ax=ax, freq="1h", servers=3),
    "queue_load by": lambda jobs, ax: plots.queue_load(jobs, by="queue_id", ax=ax, freq="1h"),
    "heatmap": lambda jobs, ax: plots.heatmap(jobs, ax=ax),
    "heatmap of jobs": lambda jobs, ax: plots.heatmap(jobs, q=None, ax=ax),
    "timeline": lambda jobs, ax: plots.timeline(jobs, ax=ax),
    "before_after": lambda jobs, ax: plots.before_after(jobs.iloc[::2], jobs.iloc[1::2], by="tag", ax=ax),
}


def draw(ax):
    written = io.BytesIO()
    ax.figure.savefig(written, format="png", dpi=60)
    return written.getvalue()


def words(ax):
    return " ".join(text.get_text() for text in ax.findobj(Text))


SLOW = {"many groups", "three", "one waiting", "not read"}


@pytest.mark.parametrize(
    "frame", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in FRAMES]
)
@pytest.mark.parametrize("plot", PLOTS)
def test_every_plot_of_every_frame_is_drawn_and_is_no_empty_box(plot, frame):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # an old matplotlib calls a new pyparsing by its old names
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"matplotlib\.|pyparsing\.")
        ax = PLOTS[plot](FRAMES[frame], axes.offscreen_axes())
        png = draw(ax)
    assert png.startswith(b"\x89PNG")
    nothing = not (ax.lines or ax.collections or ax.patches or ax.containers)
    assert not nothing or "." in words(ax), "neither data nor a sentence"


@pytest.mark.parametrize("plot", [name for name in PLOTS if name not in {"timeline", "before_after"}])
def test_a_histogram_is_drawn_as_well(plot):
    assert draw(PLOTS[plot](DurationHistogram.from_jobs(USUAL), axes.offscreen_axes())).startswith(b"\x89PNG")


@pytest.mark.parametrize("plot", PLOTS)
def test_every_title_says_how_many_jobs_and_which_share_is_unfinished(plot):
    ax = PLOTS[plot](USUAL, axes.offscreen_axes())
    facts = ax.get_title(loc="right")
    assert ("150 jobs" if plot == "before_after" else "300 jobs") in facts
    assert "unfinished" in facts
    assert ax.get_title(loc="left").strip()


@pytest.mark.parametrize("plot", ["queue_latency", "timeline", "heatmap"])
def test_rows_that_are_no_jobs_and_times_that_cannot_be_used_are_counted_in_the_title(plot):
    jobs = pd.concat([USUAL, FRAMES["not read"]], ignore_index=True)
    assert "1 ID that is no job left out" in PLOTS[plot](jobs, axes.offscreen_axes()).get_title(loc="right")


def test_an_axes_that_is_given_is_drawn_on_and_pyplot_keeps_nothing():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    ax = Figure().subplots()
    assert plots.queue_latency(USUAL, ax=ax) is ax
    assert plt.get_fignums() == before


def test_without_axes_pyplot_knows_the_figure_so_that_a_notebook_shows_it():
    import matplotlib.pyplot as plt

    ax = plots.failure_rates(USUAL, by="tag")
    assert plt.gcf() is ax.figure
    plt.close(ax.figure)


def test_pyplot_is_not_imported_for_a_figure_of_ones_own():
    code = "import sys; from cosai_nb.views import plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_label_that_begins_with_an_underscore_stands_in_the_legend():
    ax = plots.queue_latency(make_jobs(tags=["_q1", "$x^$"]), by="tag", ax=axes.offscreen_axes())
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert any(text.startswith("_q1: p50") for text in legend)
    assert any(text.startswith(r"\$x^\$: p50") for text in legend)


def test_lines_differ_without_colour():
    ax = plots.queue_latency(make_jobs(tags=list("abc")), by="tag", ax=axes.offscreen_axes())
    curves = [line for line in ax.lines if line.get_drawstyle() == "steps-post"]
    assert len({line.get_linestyle() + str(line._unscaled_dash_pattern) for line in curves}) == 3


def test_a_wait_of_0_s_has_a_place_on_the_logarithmic_axis():
    ax = plots.queue_latency(USUAL, ax=axes.offscreen_axes())
    left, right = ax.get_xlim()
    assert left < 0 < right
    assert "0" in [label.get_text() for label in ax.get_xticklabels()]


@pytest.mark.parametrize("plot", ["latency_over_time", "queue_load", "failure_rates over time", "heatmap"])
def test_the_time_zone_is_named_on_the_axis(plot):
    assert "Asia/Shanghai" in PLOTS[plot](USUAL, axes.offscreen_axes()).get_xlabel()


def test_the_axis_speaks_the_display_zone():
    jobs = make_jobs(1, waiting=0)
    ax = plots.latency_over_time(jobs, tz="Asia/Kolkata", ax=axes.offscreen_axes())
    ax.figure.canvas.draw()
    local = jobs["creation_time"].iloc[0].floor("h").tz_convert("Asia/Kolkata")
    shown = [text.get_text() for text in ax.get_xticklabels()]
    assert any(f"{local:%H}:" in text for text in shown), shown


def test_an_hour_without_jobs_is_hatched_and_not_coloured():
    ax = plots.heatmap(make_jobs(3, waiting=0), ax=axes.offscreen_axes())
    assert ax.collections[0].get_array().mask.sum() == 168 - 3
    assert ax.patch.get_hatch()


def test_the_waiting_part_of_a_bar_is_the_wait():
    jobs = make_jobs(3, waiting=0)
    ax = plots.timeline(jobs, ax=axes.offscreen_axes())
    rows = plots.timeline_data(jobs)
    size, _ = duration_unit((rows["waited_s"] + rows["ran_s"]).max())
    waited, ran = ([bar.get_width() for bar in container] for container in ax.containers)
    assert waited == pytest.approx((rows["waited_s"] / size).tolist())
    assert ran == pytest.approx((rows["ran_s"] / size).tolist())


def test_the_points_are_the_rates():
    ax = plots.failure_rates(USUAL, by="tag", ax=axes.offscreen_axes())
    rates = plots.failure_rates_data(USUAL, by="tag")
    assert ax.lines[-1].get_xdata() == pytest.approx(rates["rate"].to_numpy())


@pytest.mark.parametrize(
    ("seconds", "name"), [(86_400 * 30, "30 d"), (0, "0"), (7200, "2 h"), (90, "1.5 min")]
)
def test_ticks_are_named_in_the_unit_that_fits(seconds, name):
    assert whole_duration(seconds) == name


def rate_line(jobs):
    ax = plots.failure_rates(jobs, freq="1h", ax=axes.offscreen_axes())
    return ax, np.asarray(ax.lines[0].get_ydata(), dtype=float)


def test_no_line_of_rates_bridges_windows_without_jobs():
    jobs = USUAL.assign(outcome="success")
    first = jobs["creation_time"].min()
    away = (jobs["creation_time"] > first + pd.Timedelta("10h")) & (
        jobs["creation_time"] < first + pd.Timedelta("20h")
    )
    _, rates = rate_line(jobs[~away])
    assert np.isnan(rates[1:-1]).any()


def test_a_single_window_shows_its_interval():
    ax, _ = rate_line(FRAMES["one"])
    assert any(isinstance(drawn, LineCollection) for drawn in ax.collections)


def test_points_at_0_percent_are_whole():
    ax = plots.failure_rates(USUAL.assign(outcome="success"), by="tag", ax=axes.offscreen_axes())
    assert not ax.lines[-1].get_clip_on()


def test_what_stands_behind_at_least_is_the_lower_bound():
    jobs = make_jobs(waiting=0.3)
    histogram = DurationHistogram.from_jobs(jobs.assign(observed_at=jobs["creation_time"].max()))
    row = queue_latency(histogram, q=(0.5,), detail=True).loc["all"]
    assert row["p50"] > row["p50_lower_bound"] > 0
    assert row["growing"]
    ax = plots.queue_latency(histogram, q=(0.5,), ax=axes.offscreen_axes())
    assert (
        f"p50 {duration(row['p50_lower_bound'])} (lower bound)" in ax.get_legend().get_texts()[0].get_text()
    )


def test_load_is_drawn_at_the_ends_of_the_bins():
    histogram = DurationHistogram.from_jobs(USUAL)
    steps = plots.queue_load_data(histogram)
    ax = plots.queue_load(histogram, by="queue_id", ax=axes.offscreen_axes())
    drawn = pd.to_datetime(ax.lines[0].get_xdata(), unit="D", utc=True)
    assert abs(drawn[0] - steps["time"].iloc[0]) < pd.Timedelta("1ms")
    assert abs(drawn[1] - steps["time"].iloc[0] - pd.Timedelta("1h")) < pd.Timedelta("1ms")


def test_the_load_of_long_spans_is_drawn_as_means_with_the_most_that_waited():
    steps = plots.queue_load_data(USUAL, freq="6h")
    ax = plots.queue_load(data=steps, ax=axes.offscreen_axes())
    most, running, waiting = (patch.get_data() for patch in (ax.patches[1], ax.patches[0], ax.patches[2]))
    np.testing.assert_allclose(running.values, steps["running_mean"])
    np.testing.assert_allclose(waiting.values, steps["running_mean"] + steps["waiting_mean"])
    np.testing.assert_allclose(most.values, steps["running_mean"] + steps["waiting_max"])
    lines = plots.queue_load(USUAL, by="queue_id", freq="6h", ax=axes.offscreen_axes()).patches
    assert (
        max(line.get_data().values.max() for line in lines)
        == plots.queue_load_data(USUAL, by="queue_id", freq="6h")["waiting_max"].max()
    )


def test_one_server_is_one():
    legend = plots.queue_load(FRAMES["three"], servers=1, ax=axes.offscreen_axes()).get_legend()
    assert legend.get_texts()[-1].get_text().startswith("servers: 1")


def test_long_facts_are_wrapped_and_the_title_stands_above_them():
    ax = axes.offscreen_axes()
    headline(ax, "What", "some facts, " * 20)
    png(ax.figure, dpi=60)
    facts, title = ax._right_title, ax._left_title
    assert facts.get_text().count("\n") == title.get_text().count("\n") - 1 > 0
    assert facts.get_window_extent().x1 <= ax.figure.bbox.x1


@pytest.mark.parametrize("plot", ["timeline", "heatmap", "error_pareto", "queue_latency"])
def test_margins_hold_what_stands_around_the_data(plot):
    ax = PLOTS[plot](FRAMES["hostile"], axes.offscreen_axes(9.2, 6.4))
    assert png(ax.figure, dpi=60).startswith(b"\x89PNG")
    with mpl.rc_context({"text.hinting": "none"}):  # as it was drawn
        whole = Bbox.union([part.get_tightbbox() for part in ax.figure.axes])
    assert whole.x0 >= -1
    assert whole.y0 >= -1
    assert whole.x1 <= ax.figure.bbox.x1 + 1
    assert whole.y1 <= ax.figure.bbox.y1 + 1


def test_no_jobs_is_not_said_to_be_no_failure():
    assert NO_JOBS in words(plots.error_pareto(FRAMES["empty"], ax=axes.offscreen_axes()))


def test_an_arrow_of_the_timeline_is_named_where_it_occurs():
    def named(jobs):
        return [
            text.get_text()
            for text in plots.timeline(jobs, ax=axes.offscreen_axes()).get_legend().get_texts()
        ]

    assert named(FRAMES["one waiting"])[-1] == "not ended yet"
    assert named(FRAMES["three"]) == ["waiting", "running"]


def test_the_points_on_the_curves_are_those_of_the_summary_that_was_handed_over():
    histogram = DurationHistogram.from_jobs(USUAL)
    summary = queue_latency(histogram).assign(p95=4321.0)
    data = latency_curves(histogram, summary, by=None, q=(0.5, 0.95), names={})
    ax = plots.queue_latency(data=data, ax=axes.offscreen_axes())
    points = [x for line in ax.lines if line.get_linestyle() == "None" for x in line.get_xdata()]
    assert 4321.0 in points


def test_the_interval_of_a_single_expected_start_is_drawn():
    data = plots.eta_data(USUAL)
    known = data[data["start_expected"].notna()].head(1).copy()
    if known.empty:
        start = ZERO + pd.Timedelta("1h")
        times = {"start_expected": start, "start_low": start, "start_high": start + pd.Timedelta("1h")}
        known = data.head(1).assign(place=1, **times)
    known.attrs = data.attrs
    ax = plots.eta(data=known, ax=axes.offscreen_axes())
    (interval,) = [drawn for drawn in ax.collections if isinstance(drawn, LineCollection)]
    low, high = axes.day_numbers(known[["start_low", "start_high"]].iloc[0])
    assert interval.get_segments()[0][:, 0].tolist() == [low, high]


def test_no_line_of_cumulated_shares_crosses_the_names_above_narrow_bars():
    for width, style in ((3.5, "None"), (12, "-")):
        ax = plots.error_pareto(USUAL, ax=axes.offscreen_axes(width, 4))
        assert ax.lines[-1].get_linestyle() == style
