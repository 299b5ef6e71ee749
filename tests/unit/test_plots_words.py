"""What of a plot can be pointed at, in words; what is drawn can be handed in; markers stand where they belong."""

import datetime as dt
import io
import warnings

import numpy as np
import pandas as pd
import pytest

import cosai_nb as cn
from cosai_nb import arguments
from cosai_nb.errors import FrameError, SettingsError
from cosai_nb.views import figure
from cosai_nb.views.plots import axes

QUEUE = "p1e44ccd4b9a74a6fa2d0d1a4d3eb0b9f"


def table(*rows, **columns):
    """Jobs of (created, started, ended, state): times of 4 November 2026 in Shanghai."""

    def time(text):
        return "-" if text is None else f"2026-11-04T{text}+0800"

    created, started, ended, state = zip(*rows, strict=True)
    frame = pd.DataFrame(
        {
            "JobId": [f"a{number}" for number in range(len(rows))],
            "State": list(state),
            "CreationTime": list(map(time, created)),
            "StartTime": list(map(time, started)),
            "EndTime": list(map(time, ended)),
            "QueueId": QUEUE,
            "Tag": "Translation",
        }
    ).assign(**columns)
    return cn.add_timings(frame, observed_at="2026-11-04T12:00:00+0800")


JOBS = table(
    ("10:00:00", "10:01:00", "10:02:00", "Success"),
    ("10:10:00", "10:31:00", "10:40:00", "Failed"),
    ("11:30:00", None, None, "Submitted"),
    Code=[None, "BadFile", None],
    Message=[None, "cannot read it", None],
)
NAMED = JOBS.assign(queue_name=pd.Categorical(["nightly"] * 3))
PLOTS = {
    "queue_latency": lambda **more: cn.plots.queue_latency(by="queue_id", **more),
    "run_time": cn.plots.run_time,
    "latency_over_time": cn.plots.latency_over_time,
    "failure_rates": lambda **more: cn.plots.failure_rates(by="tag", **more),
    "error_pareto": cn.plots.error_pareto,
    "queue_load": lambda **more: cn.plots.queue_load(freq="1h", **more),
    "heatmap": cn.plots.heatmap,
    "timeline": cn.plots.timeline,
}
OVER_TIME = {
    "latency_over_time": cn.plots.latency_over_time,
    "failure_rates": lambda jobs, **more: cn.plots.failure_rates(jobs, freq="1h", **more),
    "queue_load": cn.plots.queue_load,
}


def marked(ax):
    marked = figure._MARKED[ax]
    return {series.name: series for series in (*marked.entries, *marked.series) if series is not None}


def words(ax):
    return [text for series in marked(ax).values() for text in series.words]


@pytest.mark.parametrize(
    ("plot", "said"),
    [
        ("queue_latency", "p1e44ccd4b9a74a6fa2d0d1a4d3eb0b9f: 66.7 % started within 21.0 min"),
        ("queue_latency", "p1e44ccd4b9a74a6fa2d0d1a4d3eb0b9f: p50 21.0 min, 3 jobs (1 waiting)"),
        ("run_time", "all jobs: p95 9.0 min, 2 jobs"),
        ("latency_over_time", "Wed 4 Nov 10:00–11:00: p95 21.0 min, 2 jobs"),
        ("latency_over_time", "Wed 4 Nov 11:00–12:00: p95 30.0 min (lower bound), 1 job"),
        ("failure_rates", "Translation: failure rate 50.0 % (9.5 % to 90.5 %), 1 of 2 ended"),
        (
            "error_pareto",
            "BadFile: cannot read it: 1 job, 100 % of the failures, from 2026-11-04 10:40 to 2026-11-04 10:40",
        ),
        ("queue_load", "Wed 4 Nov 12:00–13:00: 1.0 waiting (at most 1)"),
        ("heatmap", "Wednesday 10:00–11:00: p95 21.0 min, 2 jobs"),
        ("heatmap", "Monday 00:00–01:00: no jobs"),
        (
            "timeline",
            "a1: waited 21.0 min, ran 9.0 min, created 2026-11-04 10:10, Translation, failed BadFile",
        ),
        ("timeline", "a2: waited 30.0 min so far, created 2026-11-04 11:30, Translation, waiting"),
    ],
)
def test_each_point_says_what_it_is(plot, said):
    assert said in words(PLOTS[plot](jobs=JOBS, ax=axes.offscreen_axes()))


def test_a_change_is_said_with_the_jobs_of_both_sides():
    (said,) = words(cn.plots.before_after(JOBS, JOBS, q=(0.5,), ax=axes.offscreen_axes()))
    assert said.startswith("p50: 21.0 min → 21.0 min: ")
    assert said.endswith("; 3 jobs before, 3 jobs after")


@pytest.mark.parametrize(
    ("plot", "picks"),
    [
        ("failure_rates", [(("tag", "Translation"),)]),
        ("error_pareto", [(("code", "BadFile"),)]),
        ("timeline", [(("job_id", "a1"),), (("job_id", "a2"),), (("job_id", "a0"),)]),
    ],
)
def test_a_click_asks_for_what_the_bar_shows(plot, picks):
    ax = PLOTS[plot](jobs=JOBS, ax=axes.offscreen_axes())
    assert list(next(iter(marked(ax).values())).picks) == picks


def test_a_click_on_an_hour_of_the_week_asks_for_it_and_on_a_curve_for_its_group():
    (cells,) = marked(cn.plots.heatmap(JOBS, ax=axes.offscreen_axes())).values()
    assert [pick for pick in cells.picks if pick] == [
        (("weekday", "Wednesday"), ("hour", hour)) for hour in ("10", "11")
    ]
    curves = marked(cn.plots.queue_latency(JOBS, by="queue_id", ax=axes.offscreen_axes()))
    assert curves[QUEUE].pick == (("queue_id", QUEUE),)


@pytest.mark.parametrize("plot", PLOTS)
def test_what_can_be_pointed_at_has_as_many_words_as_places_and_no_unknown_ones(plot):
    for series in marked(PLOTS[plot](jobs=JOBS, ax=axes.offscreen_axes())).values():
        places = series.boxes if series.boxes is not None else np.column_stack([series.x, series.y])
        assert len(places) == len(series.words) > 0
        assert np.isfinite(places).all()


@pytest.mark.parametrize("plot", PLOTS)
def test_what_is_drawn_can_be_handed_in(plot):
    made = PLOTS[plot](jobs=JOBS, ax=axes.offscreen_axes())
    settings = {
        "queue_latency": {"by": "queue_id"},
        "failure_rates": {"by": "tag"},
        "queue_load": {"freq": "1h"},
    }
    data = getattr(cn.plots, f"{plot}_data")(JOBS, **settings.get(plot, {}))
    given = getattr(cn.plots, plot)(data=data, ax=axes.offscreen_axes())
    assert words(given) == words(made)
    bare = data.copy()
    bare.attrs = {}
    with pytest.raises(FrameError, match=f"{plot}_data returned"):
        getattr(cn.plots, plot)(data=bare)


def test_a_queue_is_called_by_its_name_and_an_id_is_shortened_but_whole_in_words():
    named, bare = (
        cn.plots.queue_latency(jobs, by="queue_id", ax=axes.offscreen_axes()) for jobs in (NAMED, JOBS)
    )
    assert [ax.get_legend().get_texts()[0].get_text().split(":")[0] for ax in (named, bare)] == [
        "nightly",
        "p1e44c…0b9f",
    ]
    assert list(marked(named)) == ["nightly"]
    assert marked(named)["nightly"].pick == (("queue_id", QUEUE),)
    assert list(marked(bare)) == [QUEUE]
    assert named.get_title(loc="left").strip() == "Queue latency by queue"


def test_run_times_are_those_of_the_statistic():
    curve = cn.plots.run_time_data(JOBS)
    assert curve.to_dict("list") == {
        "run_time_s": [60, 540],
        "ended_share": [0.5, 1.0],
        "ended": [1, 1],
        "not_ended": [0, 0],
    }
    (row,) = curve.attrs["quantiles"]
    assert row["p95"] == cn.run_time(JOBS, q=0.95).loc["all", "p95"] == 540


def test_two_years_are_cut_into_windows_that_can_be_seen_and_the_legend_says_how_wide():
    created = pd.date_range("2024-11-01", "2026-11-01", periods=3000, tz="UTC").as_unit("ms")
    jobs = pd.DataFrame(
        {
            "job_id": [f"a{n}" for n in range(3000)],
            "outcome": "success",
            "queue_id": "q",
            "tag": "A",
            "code": None,
            "message": None,
            "timing_ok": True,
        }
    )
    jobs = jobs.assign(
        creation_time=created,
        start_time=created,
        end_time=created,
        observed_at=created[-1],
        **dict.fromkeys(["queue_latency_s", "run_time_s", "total_time_s"], 0.0),
    )
    data = cn.plots.latency_over_time_data(jobs)
    assert 100 < len(data) <= 300
    legend = cn.plots.latency_over_time(data=data, ax=axes.offscreen_axes()).get_legend().get_texts()
    assert any(text.get_text().startswith("jobs per week: ") for text in legend)
    local = data["time"].dt.tz_convert("Asia/Shanghai")
    assert set(local.dt.day_of_week) == {0}
    assert set(local.dt.hour) == {0}
    days = cn.plots.latency_over_time_data(jobs, freq="1D", tz="UTC")
    assert len(days) > 700
    assert days["jobs"].sum() == data["jobs"].sum() == 3000


def test_windows_finer_than_an_hour_are_counted_from_the_jobs():
    data = cn.plots.latency_over_time_data(JOBS, freq="10min")
    assert data["jobs"].tolist() == [1, 1, 1]
    with pytest.raises(SettingsError, match="full hours"):
        cn.plots.latency_over_time_data(cn.DurationHistogram.from_jobs(JOBS), freq="10min")


def test_only_functions_are_named():
    names = dir(cn.plots)
    assert all(callable(getattr(cn.plots, name)) for name in names)
    assert {name for name in names if not name.endswith("_data")} == {
        "before_after", "error_pareto", "eta", "failure_rates", "heatmap", "latency_over_time", "queue_latency", "queue_load",
        "run_time", "timeline",
    }  # fmt: skip
    assert {f"{name}_data" for name in names if not name.endswith("_data")} <= set(names)


MARKERS = {"2026-11-04 10:30": "deploy v2", dt.datetime(2026, 11, 4, 3, tzinfo=dt.UTC): "incident"}
TEXTS = ["Wed 4 Nov 10:30: deploy v2", "Wed 4 Nov 11:00: incident"]


@pytest.mark.parametrize("plot", OVER_TIME)
@pytest.mark.parametrize(
    "markers",
    [
        MARKERS,
        list(MARKERS.items()),
        pd.DataFrame({"time": list(MARKERS), "text": list(MARKERS.values())}),
        pd.Series(MARKERS),
        {"time": list(MARKERS), "text": list(MARKERS.values())},
    ],
    ids=["dict", "pairs", "frame", "series", "columns"],
)
def test_markers_stand_in_every_plot_over_time(plot, markers):
    ax = OVER_TIME[plot](JOBS, markers=markers, ax=axes.offscreen_axes())
    assert list(marked(ax)["markers"].words) == TEXTS
    first = axes.day_numbers(pd.Series(pd.to_datetime(["2026-11-04T10:30+0800"], utc=True)))
    assert marked(ax)["markers"].x[0] == pytest.approx(first[0])
    assert any(np.allclose(line.get_xdata(), first[0]) for line in ax.lines)
    assert "deploy v2" in [text.get_text() for text in ax.texts]
    assert ax.get_legend().get_texts()[-1].get_text() == "markers: 2"


def test_a_marker_without_a_zone_is_of_the_display_zone_and_one_outside_is_counted():
    ax = cn.plots.latency_over_time(
        JOBS, tz="UTC", markers={"2026-11-04 03:00": "a", "2027-01-01": "b"}, ax=axes.offscreen_axes()
    )
    assert list(marked(ax)["markers"].words) == ["Wed 4 Nov 03:00: a"]
    assert ax.get_legend().get_texts()[-1].get_text() == "markers: 1, 1 outside"


@pytest.mark.parametrize(
    ("markers", "said"),
    [
        ({"soon": "x"}, "'soon' is no time"),
        ({pd.NaT: "x"}, "NaT is no time"),
        ({7: "x"}, "7 is no time"),
        ({"0001-01-01": "x"}, "'0001-01-01' is no time"),
        ("2026-11-04", "must map times to texts"),
        (pd.DataFrame({"when": [1]}), "must map times to texts"),
        ([("2026-11-04",)], "must be a pair"),
        (7, "must map times to texts"),
    ],
)
def test_what_is_no_marker_is_said(markers, said):
    with pytest.raises(SettingsError, match=said):
        arguments.markers(markers, "UTC")


def test_markers_have_their_own_entry_in_the_legend():
    ax = cn.plots.queue_load(JOBS, markers={"2026-11-04 10:05": "deploy"}, ax=axes.offscreen_axes())
    shown = {one["name"]: one["legend"] for one in figure.picture(ax, name="one", title="load").map["series"]}
    box = ax.get_legend().get_texts()[-1].get_window_extent()
    assert ax.get_legend().get_texts()[-1].get_text().startswith("markers")
    assert shown["markers"][2] == pytest.approx(box.x1, abs=0.1)
    assert len({str(legend) for legend in shown.values()}) == 3


def test_hostile_markers_are_inert():
    texts = ["$x^$", "<script>alert(1)</script>", "\u202egnp", "a\nb\x1b[31m", "n" * 5000, None, "翻译"]
    markers = [(f"2026-11-04 1{number // 6}:{number % 6}5", text) for number, text in enumerate(texts)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # an old matplotlib calls a new pyparsing by its old names
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"matplotlib\.|pyparsing\.")
        ax = cn.plots.latency_over_time(JOBS, markers=markers, ax=axes.offscreen_axes())
        ax.figure.savefig(io.BytesIO(), dpi=60)
    said = list(marked(ax)["markers"].words)
    assert len(said) == len(texts)
    assert all(text.isprintable() and len(text) < 200 for text in said)
