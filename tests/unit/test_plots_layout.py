"""Plots keep their room: legends, names of rows and ticks fit the axes that there are, and name what is drawn."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib import style as plt_style
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

from cosai_nb.errors import SettingsError
from cosai_nb.stats.counts import Counter
from cosai_nb.table.frame import add_timings
from cosai_nb.views import plots
from cosai_nb.views.figure import png
from cosai_nb.views.plots import axes
from cosai_nb.views.plots.axes import Entry, add_legend, label_rows
from cosai_nb.views.plots.text import width

ZERO = pd.Timestamp("2026-11-02T02:00:00Z")
HOSTILE = ["$x^$", "_q1", "翻译任务队列", "a\nb", "n" * 200, "<script>alert(1)</script>", "很长" * 20]
PHONE = (4, 3)


def make_jobs(number=300, *, tags=("A",), waiting=0.1, longest=4000):
    """Jobs over two days that wait up to about an hour; the last ones still do."""
    rng = np.random.default_rng(5)
    created = np.sort(rng.integers(0, 172_800, number))
    moments = {
        "CreationTime": created,
        "StartTime": created + rng.integers(0, longest, number),
        "EndTime": created + longest + 60,
    }
    late = np.arange(number) >= number * (1 - waiting)
    texts = {
        name: [(ZERO + pd.Timedelta(seconds=int(second))).isoformat() for second in seconds]
        for name, seconds in moments.items()
    }
    tag = list(itertools.islice(itertools.cycle(tags), number))
    frame = pd.DataFrame(
        {"JobId": [f"a{n:032x}" for n in range(number)], "Tag": tag, "QueueId": tag, **texts}
    )
    frame["State"] = np.where(late, "Submitted", np.where(rng.random(number) < 0.2, "Failed", "Success"))
    frame["Code"] = np.where(frame["State"] == "Failed", tag, None)
    frame.loc[late, ["StartTime", "EndTime"]] = "-"
    return add_timings(frame, observed_at=ZERO + pd.Timedelta("50h"))


SEVEN = make_jobs(tags=HOSTILE)
PLOTS = {
    "queue_latency": lambda jobs, ax: plots.queue_latency(jobs, by="tag", ax=ax),
    "latency_over_time": lambda jobs, ax: plots.latency_over_time(jobs, by="tag", ax=ax),
    "failure_rates": lambda jobs, ax: plots.failure_rates(jobs, by="tag", ax=ax),
    "failure_rates over time": lambda jobs, ax: plots.failure_rates(jobs, by="tag", freq="6h", ax=ax),
    "error_pareto": lambda jobs, ax: plots.error_pareto(jobs, ax=ax),
    "queue_load": lambda jobs, ax: plots.queue_load(jobs, by="tag", freq="1h", ax=ax),
    "heatmap": lambda jobs, ax: plots.heatmap(jobs, ax=ax),
    "timeline": lambda jobs, ax: plots.timeline(jobs, most=6, ax=ax),
    "before_after": lambda jobs, ax: plots.before_after(jobs.iloc[::2], jobs.iloc[1::2], ax=ax),
}


def inches_high(ax):
    """Height of the data, once it is laid out."""
    ax.figure.draw_without_rendering()
    return ax.bbox.height / ax.figure.dpi


def legend_of(ax):
    legend = ax.get_legend()
    return {
        text.get_text(): mark for text, mark in zip(legend.get_texts(), legend.legend_handles, strict=True)
    }


@pytest.mark.parametrize(
    "plot", ["queue_latency", "latency_over_time", "failure_rates over time", "queue_load"]
)
def test_a_figure_of_ones_own_grows_with_its_legend_and_the_data_keeps_its_height(plot):
    one, seven = (PLOTS[plot](make_jobs(tags=tags), axes.offscreen_axes()) for tags in (["A"], HOSTILE))
    assert seven.figure.get_figheight() > one.figure.get_figheight()
    assert inches_high(seven) == pytest.approx(inches_high(one), abs=0.3)  # as tall as a row of a legend


@pytest.mark.parametrize("plot", PLOTS)
def test_the_data_keeps_a_third_of_a_small_figure_of_the_callers(plot):
    ax = PLOTS[plot](SEVEN, Figure(figsize=PHONE, layout="constrained").subplots())
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # constrained layout warns where it gives up
        # an old matplotlib calls a new pyparsing by its old names
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"matplotlib\.|pyparsing\.")
        high = inches_high(ax)
    assert ax.figure.get_size_inches() == pytest.approx(PHONE)
    assert high > PHONE[1] / 3
    assert ax.bbox.width / ax.figure.dpi > PHONE[0] / 2


@pytest.mark.parametrize("size", [PHONE, (9.6, 4.6)])
@pytest.mark.parametrize("plot", PLOTS)
def test_names_of_ticks_do_not_run_into_each_other(plot, size):
    ax = PLOTS[plot](SEVEN, axes.offscreen_axes(*size))
    ax.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.get_xticklabels() if text.get_text()]
    inside = [box for box in boxes if ax.bbox.x0 - 1 <= (box.x0 + box.x1) / 2 <= ax.bbox.x1 + 1]
    assert len(inside) >= 3
    for one, other in itertools.pairwise(sorted(inside, key=lambda box: box.x0)):
        assert one.x1 < other.x0


@pytest.mark.parametrize("plot", PLOTS)
def test_the_name_of_an_axis_stands_clear_of_its_ticks(plot):
    ax = PLOTS[plot](SEVEN, axes.offscreen_axes())
    ax.figure.draw_without_rendering()
    for axis in (ax.xaxis, ax.yaxis):
        name = axis.label.get_window_extent()
        for text in axis.get_ticklabels():
            if axis.label.get_text() and text.get_text():
                assert not name.overlaps(text.get_window_extent())


def test_names_of_rows_stand_above_the_rows_where_the_axes_are_narrow():
    narrow, wide = axes.offscreen_axes(*PHONE), axes.offscreen_axes()
    names, notes = ["SpeechRecognition", "Translation"], ["2.9 %: 157 of 5,351 ended"] * 2
    assert label_rows(narrow, names, notes).left == 0
    assert [text.get_text() for text in narrow.texts] == [
        ": ".join(pair) for pair in zip(names, notes, strict=True)
    ]
    assert label_rows(wide, names, notes).left == width("SpeechRecognition")
    assert [text.get_text() for text in wide.get_yticklabels()] == names
    assert [text.get_text() for text in wide.texts] == notes


def test_a_legend_of_the_callers_small_figure_leaves_details_away_first():
    ax = Figure(figsize=PHONE).subplots()
    (line,) = ax.plot([0, 1])
    add_legend(ax, [Entry(line, "short", "at most 5")])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["short: at most 5"]
    add_legend(ax, [Entry(line, f"g{n}", "with a detail of more than thirty letters") for n in range(7)])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"g{n}" for n in range(7)]


def test_the_legend_names_no_line_where_all_jobs_wait():
    jobs = make_jobs(50, waiting=1)
    marks = legend_of(plots.latency_over_time(jobs, ax=axes.offscreen_axes()))
    for name in ("p50", "p95"):
        assert marks[name].get_linestyle() == "None"
        assert (marks[name].get_marker(), marks[name].get_markerfacecolor()) == ("^", "white")
    assert "lower bound: too few have started" in marks


def test_the_legend_explains_the_marks_that_are_drawn_and_no_others():
    done = legend_of(plots.queue_latency(make_jobs(waiting=0), ax=axes.offscreen_axes()))
    assert len(done) == 1
    some = legend_of(plots.queue_latency(make_jobs(), ax=axes.offscreen_axes()))
    assert some["waiting"].get_marker() == "|"
    over_time = legend_of(plots.latency_over_time(make_jobs(waiting=0), ax=axes.offscreen_axes()))
    assert [name for name in over_time if "lower bound" in name] == []


def growing_line():
    """One server that a job takes 50 s of, a job a minute, and at the end one every 10 s."""
    created = np.r_[np.arange(0, 144_000, 60), np.arange(144_000, 150_000, 10)]
    begun = np.maximum.accumulate(created - 50 * np.arange(len(created))) + 50 * np.arange(len(created))

    def iso(seconds):
        return [(ZERO + pd.Timedelta(seconds=int(second))).isoformat() for second in seconds]

    started, ended = begun < 150_000, begun + 50 < 150_000
    texts = {
        "JobId": [f"a{number}" for number in range(len(created))],
        "State": np.where(ended, "Success", np.where(started, "Running", "Submitted")),
        "CreationTime": iso(created),
        "StartTime": np.where(started, iso(begun), "-"),
        "EndTime": np.where(ended, iso(begun + 50), "-"),
    }
    frame = pd.DataFrame(texts).assign(Tag="A", QueueId="q1")
    return add_timings(frame, observed_at=ZERO + pd.Timedelta(seconds=150_000))


def test_a_projected_quantile_is_hollow_in_the_plot_and_in_the_legend():
    ax = plots.queue_latency(growing_line(), ax=axes.offscreen_axes())
    (hollow,) = [mark for mark in ax.lines if mark.get_markerfacecolor() == ax.get_facecolor()]
    assert list(hollow.get_ydata()) == [0.95]
    assert legend_of(ax)["projected"].get_markerfacecolor() == "white"


def test_before_is_hollow_and_after_is_filled():
    marks = legend_of(PLOTS["before_after"](SEVEN, axes.offscreen_axes()))
    assert marks["before"].get_markerfacecolor() == "white"
    assert marks["after"].get_markerfacecolor() == marks["after"].get_color()


def test_no_room_is_claimed_by_marks_that_are_not_there():
    ax = plots.timeline(make_jobs(30, waiting=0), ax=axes.offscreen_axes())
    assert not [line for line in ax.lines if not len(line.get_xdata())]


def test_a_load_too_short_to_be_seen_says_so():
    ax = plots.queue_load(make_jobs(3, waiting=0, longest=2), freq="15min", ax=axes.offscreen_axes())
    assert any("15 min apart" in text.get_text() for text in ax.texts)


def test_a_load_by_group_draws_only_groups_in_which_jobs_waited():
    jobs = make_jobs(30, tags=["A", "B", "C"], waiting=0)
    jobs.loc[jobs["tag"] != "B", "start_time"] = jobs["creation_time"]
    ax = plots.queue_load(jobs, by="tag", ax=axes.offscreen_axes())
    assert [text.get_text()[0] for text in ax.get_legend().get_texts()] == ["B"]
    assert "none waited in 2 of 3 groups" in ax.get_title(loc="right")
    calm = plots.queue_load(jobs[jobs["tag"] != "B"], by="tag", ax=axes.offscreen_axes())
    assert calm.texts[0].get_text() == "No job waited for any time."


def test_no_data_pass_through_the_names_of_markers():
    jobs = make_jobs()
    at = jobs["creation_time"].iloc[150]
    ax = plots.queue_load(jobs, servers=90, markers={at: "deploy"}, ax=axes.offscreen_axes(*PHONE))
    (name,) = ax.texts
    assert ax.transData.transform((0, 90))[1] < name.get_window_extent().y0


@pytest.mark.filterwarnings("ignore:constrained_layout not applied")
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (9, 1)])
def test_axes_too_small_for_anything_is_still_drawn(size):
    for draw in (PLOTS["queue_latency"], PLOTS["timeline"]):
        assert png(draw(SEVEN, axes.offscreen_axes(*size)).figure, dpi=50).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "plot",
    [
        PLOTS["failure_rates over time"],
        PLOTS["latency_over_time"],
        PLOTS["failure_rates"],
        lambda jobs, ax: plots.queue_latency(jobs, by="tag", ax=ax),
        lambda jobs, ax: plots.heatmap(jobs, ax=ax),
    ],
)
def test_a_frame_is_counted_once(plot, monkeypatch):
    counted = []
    count = Counter.add_jobs
    monkeypatch.setattr(
        Counter, "add_jobs", lambda self, jobs, **rest: counted.append(1) or count(self, jobs, **rest)
    )
    plot(SEVEN, axes.offscreen_axes())
    assert len(counted) == 1


@pytest.mark.parametrize("freq", ["1h", "6h", pd.Timedelta("1D"), "15min"])
def test_rates_over_time_are_those_of_the_frame(freq):
    ax = plots.failure_rates(SEVEN, freq=freq, ax=axes.offscreen_axes())
    rates = plots.failure_rates_data(SEVEN, freq=freq)["rate"].to_numpy()
    drawn = np.asarray(ax.lines[0].get_ydata(), dtype=float)
    assert drawn[np.isfinite(drawn)] == pytest.approx(rates[np.isfinite(rates)])


def test_a_quick_png_is_laid_out_and_drawn_once_and_leaves_settings_alone(monkeypatch):
    import matplotlib as mpl

    calls = []
    for owner, name in ((Figure, "draw"), (ConstrainedLayoutEngine, "execute")):
        original = getattr(owner, name)
        monkeypatch.setattr(
            owner,
            name,
            lambda *given, _name=name, _original=original: calls.append(_name) or _original(*given),
        )
    before = dict(mpl.rcParams)
    png(plots.queue_load(SEVEN, freq="1h", ax=axes.offscreen_axes()).figure, dpi=60)
    assert sorted(calls) == ["draw", "execute"]
    assert dict(mpl.rcParams) == before


def drawn_texts(ax):
    """The texts of a figure with their boxes; ticks outside of the limits are not drawn."""
    ax.figure.draw_without_rendering()
    found = []
    for part in ax.figure.axes:
        ticks = {label: axis for axis in (part.xaxis, part.yaxis) for label in axis.get_majorticklabels()}
        for text in part.findobj(Text):
            box = text.get_window_extent()
            axis = ticks.get(text)
            middle = (box.x0 + box.x1) / 2 if axis is part.xaxis else (box.y0 + box.y1) / 2
            low, high = part.bbox.intervalx if axis is part.xaxis else part.bbox.intervaly
            if (
                text.get_visible()
                and text.get_text().strip()
                and (axis is None or low - 2 <= middle <= high + 2)
            ):
                found.append((text, box))
    return found


@pytest.mark.parametrize("size", [PHONE, (9.6, 4.6), (16, 5)])
@pytest.mark.parametrize("plot", PLOTS)
def test_no_text_is_cut_off_from_a_phone_to_a_wide_screen(plot, size):
    ax = PLOTS[plot](SEVEN, axes.offscreen_axes(*size))
    whole = ax.figure.bbox.padded(2)
    cut = [
        text.get_text()
        for text, box in drawn_texts(ax)
        if not whole.contains(*box.min) or not whole.contains(*box.max)
    ]
    assert cut == []


@pytest.mark.parametrize("size", [PHONE, (9.6, 4.6)])
@pytest.mark.parametrize("plot", PLOTS)
def test_entries_of_the_legend_run_into_nothing(plot, size):
    ax = PLOTS[plot](SEVEN, axes.offscreen_axes(*size))
    texts = drawn_texts(ax)
    legend = ax.get_legend()
    mine = set() if legend is None else set(legend.get_texts())
    boxes = [(text in mine, box) for text, box in texts]
    for (first, one), (second, other) in itertools.combinations(boxes, 2):
        assert not ((first or second) and one.shrunk(0.98, 0.9).overlaps(other.shrunk(0.98, 0.9)))


def test_a_figure_of_a_given_size_keeps_it():
    import matplotlib.pyplot as plt

    for plot in (plots.queue_latency, plots.run_time):
        ax = plot(SEVEN, by="tag", figsize=(5, 4))
        assert ax.figure.get_size_inches() == pytest.approx((5, 4))
        plt.close(ax.figure)
    with pytest.raises(SettingsError, match="figsize"):
        plots.queue_latency(SEVEN, ax=axes.offscreen_axes(), figsize=(5, 4))


@pytest.mark.parametrize("plot", PLOTS)
def test_a_dark_style_sheet_is_taken_over(plot):
    with plt_style.context("dark_background"):
        ax = PLOTS[plot](SEVEN, axes.offscreen_axes())
        ax.figure.draw_without_rendering()
        dark = [text.get_text() for text, _ in drawn_texts(ax) if to_hex(text.get_color()) == "#000000"]
        light = [
            patch
            for patch in ax.patches
            if patch.get_facecolor()[3] and to_hex(patch.get_facecolor()) == "#ffffff"
        ]
    assert to_hex(ax.get_facecolor()) == "#000000"
    assert dark == light == []


@pytest.mark.parametrize("plot", ["failure_rates over time", "latency_over_time", "queue_load"])
def test_margins_are_no_wider_than_what_stands_in_them(plot):
    many = make_jobs(2000)
    draw = {"failure_rates over time": lambda ax: plots.failure_rates(many, freq="10min", ax=ax)}
    ax = draw.get(plot, lambda ax: PLOTS[plot](many, ax))(axes.offscreen_axes(9.6, 4.6))
    boxes = [box for _, box in drawn_texts(ax)]
    assert min(box.x0 for box in boxes) < 12
    assert max(ax.bbox.x1, *(box.x1 for box in boxes)) > ax.figure.bbox.x1 - 12
