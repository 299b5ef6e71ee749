"""The explorer in pure Python: setting a value is what a user does."""

import base64

import numpy as np
import pandas as pd
import pytest

import cosai_nb as cn
from cosai_nb.views import sources
from cosai_nb.views.explorer import explore
from cosai_nb.views.plots import style
from cosai_nb.views.selection import TABS, Selection

ZERO = pd.Timestamp("2026-11-02T02:00:00Z")
HOSTILE = '"><svg onload=alert(1)>$x^$'


def iso(seconds):
    return (ZERO + pd.to_timedelta(seconds, "s")).strftime("%Y-%m-%dT%H:%M:%S+0000")


def make_jobs(number=200, tags=("Translation", "SpeechRecognition")):
    created = np.arange(number) * 300.0
    failed = np.arange(number) % 7 == 0
    late = np.arange(number) >= number * 0.95
    tag = [tags[n % len(tags)] for n in range(number)]
    wait = np.where(np.arange(number) % 2, 10, 600)
    texts = pd.DataFrame(
        {
            "JobId": [f"a{n:03}" for n in range(number)],
            "State": np.where(late, "Submitted", np.where(failed, "Failed", "Success")),
            "CreationTime": iso(created),
            "StartTime": np.where(late, "-", iso(created + wait)),
            "EndTime": np.where(late, "-", iso(created + wait + 30)),
            "QueueId": "q1",
            "Tag": tag,
            "Code": np.where(failed & ~late, "InternalError", None),
            "Message": np.where(failed & ~late, "try again", None),
            "Input.Lang": np.where(np.arange(number) % 3, "en", None),
            "UserData": HOSTILE,
        }
    )
    return cn.add_timings(texts, observed_at=ZERO + pd.Timedelta(hours=20))


JOBS = make_jobs()


@pytest.fixture
def explorer():
    return explore(JOBS)


def show(explorer, tab):
    explorer.tabs.selected_index = TABS.index(tab)


def picture(explorer):
    bundle, _ = explorer._repr_mimebundle_()
    return base64.b64decode(bundle["image/png"])


def test_the_first_view_answers_with_n_and_the_share_unfinished(explorer):
    assert explorer.sentence.startswith("95 % of the jobs ")
    assert "200 jobs, 5 % unfinished" in explorer.sentence.replace("5.0 %", "5 %")
    assert picture(explorer).startswith(b"\x89PNG")


def test_a_filter_changes_sentence_figure_selection_and_data(explorer):
    before = explorer.sentence, picture(explorer), explorer.data()
    explorer.controls.filters["tag"].value = ("SpeechRecognition",)
    assert "100 jobs" in explorer.sentence
    assert picture(explorer) != before[1]
    assert explorer.selection == Selection(filters=(("tag", "SpeechRecognition"),))
    assert not explorer.data().equals(before[2])
    explorer.controls.filters["tag"].value = ()
    assert explorer.sentence == before[0]
    assert picture(explorer) == before[1]


def test_the_quantile_is_the_one_that_was_asked_for(explorer):
    explorer.controls.filters["tag"].value = ("SpeechRecognition",)  # every one of them waited 10 s
    explorer.controls.quantile.value = 0.5
    assert "50 % of the jobs start within 10 s" in explorer.sentence


def test_a_missing_label_can_be_chosen(explorer):
    explorer.controls.filters["input_lang"].value = (None,)
    assert explorer.selection.filters == (("input_lang", None),)
    assert "67 jobs" in explorer.sentence


def test_the_window_is_in_the_display_zone_and_on_full_hours(explorer):
    explorer.controls.start.value = pd.Timestamp("2026-11-02T11:40").to_pydatetime()  # in Shanghai
    explorer.controls.end.value = pd.Timestamp("2026-11-02T13:00").to_pydatetime()
    assert explorer.selection.start == pd.Timestamp("2026-11-02T03:00Z")
    assert explorer.selection.end == pd.Timestamp("2026-11-02T05:00Z")
    assert "24 jobs" in explorer.sentence


def test_a_selection_cannot_be_changed(explorer):
    with pytest.raises(AttributeError):
        explorer.selection.q = 0.5


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_has_a_sentence_a_figure_and_data(explorer, tab):
    show(explorer, tab)
    assert "200 jobs" in explorer.sentence
    assert picture(explorer).startswith(b"\x89PNG")
    assert len(explorer.data())
    assert explorer.selection.tab == tab


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("source", ["frame", "histogram"])
def test_the_code_reproduces_the_view(tab, source):
    jobs = JOBS if source == "frame" else cn.DurationHistogram.from_jobs(JOBS, keys=["input_lang"])
    if source == "histogram" and tab == "slowest":
        pytest.skip("a histogram knows no single jobs")
    explorer = explore(jobs)
    explorer.controls.filters["tag"].value = ("Translation",)
    explorer.controls.filters["input_lang"].value = ("en",)
    explorer.controls.start.value = pd.Timestamp("2026-11-02T12:00").to_pydatetime()
    explorer.controls.end.value = pd.Timestamp("2026-11-03T02:00").to_pydatetime()
    explorer.controls.by.value = "tag"
    explorer.controls.quantile.value = 0.9
    show(explorer, tab)
    space = {"jobs": jobs}
    exec(explorer.code(), space)
    pd.testing.assert_frame_equal(space["summary"], explorer.data(), check_dtype=False)
    assert space["ax"].get_title(loc="right").removeprefix("4 failed ")
    import matplotlib.pyplot as plt

    plt.close(space["ax"].figure)


def test_the_slowest_job_can_be_drilled_into_with_its_whole_row(explorer):
    show(explorer, "slowest")
    assert explorer._job.options[0][0].startswith("1. a190")  # the oldest of those that still wait
    for name in JOBS.columns:
        assert f">{name}</th>" in explorer._detail.value
    explorer._job.value = 3
    assert "a193" in explorer._detail.value


def test_hostile_text_is_inert():
    explorer = explore(make_jobs(tags=(HOSTILE, "_q<b>")))
    explorer.controls.by.value = "tag"
    for tab in TABS:
        show(explorer, tab)
        page = explorer._pages[TABS.index(tab)]
        for markup in (page._text.value, page._figure.value, explorer._detail.value):
            assert "<svg" not in markup
            assert "<b>" not in markup
    assert "&lt;svg onload" in explorer._detail.value


def test_a_filter_that_leaves_nothing_says_so(explorer):
    explorer.controls.filters["tag"].value = ("Translation",)
    explorer.controls.start.value = pd.Timestamp("2030-01-01").to_pydatetime()
    for tab in TABS:
        show(explorer, tab)
        assert "No jobs to show" in explorer.sentence
        assert len(explorer.data()) in (0, 1, 168) or tab in {"latency", "failures"}


@pytest.mark.parametrize("by", ["tag", "outcome"])
def test_nothing_left_is_no_trouble_when_grouped(explorer, by):
    explorer.controls.by.value = by
    explorer.controls.start.value = pd.Timestamp("2030-01-01").to_pydatetime()
    for tab in TABS:
        show(explorer, tab)
        assert "No jobs" in explorer.sentence or "failure rate by" in explorer.sentence


def test_a_rate_by_outcome_is_refused_in_words(explorer):
    explorer.controls.by.value = "outcome"
    show(explorer, "failures")
    assert "group by another column" in explorer.sentence


@pytest.mark.parametrize(
    "jobs", [JOBS.head(0), JOBS.head(1), JOBS[JOBS["outcome"] == "waiting"]], ids=["none", "one", "waiting"]
)
def test_few_jobs_are_no_trouble(jobs):
    explorer = explore(jobs)
    for tab in TABS:
        show(explorer, tab)
        assert explorer.sentence.rstrip(")").strip()


@pytest.mark.parametrize("jobs", [JOBS.drop(columns="tag"), pd.DataFrame(), JOBS.drop(columns="end_time")])
def test_a_missing_column_is_a_sentence_in_the_view(jobs):
    explorer = explore(jobs)
    assert "lacks the column" in explorer.sentence
    assert picture(explorer).startswith(b"\x89PNG")


def test_a_frame_without_languages_has_no_language_filter():
    explorer = explore(JOBS.drop(columns=["input_lang", "target_lang"]))
    assert "input_lang" not in explorer.controls.filters
    assert "200 jobs" in explorer.sentence


def test_a_histogram_has_all_tabs_but_that_of_single_jobs():
    explorer = explore(cn.DurationHistogram.from_jobs(JOBS))
    for tab in TABS:
        show(explorer, tab)
        assert ("needs the jobs frame" in explorer.sentence) == (tab == "slowest")


BETWEEN_HOURS = cn.add_timings(
    pd.DataFrame(
        {
            "JobId": [f"a{n}" for n in range(10)],
            "State": "Success",
            "Tag": "T",
            "QueueId": "q",
            "CreationTime": "2026-11-01T10:10:00+0800",
            "StartTime": "2026-11-01T10:20:00+0800",
            "EndTime": "2026-11-01T10:40:00+0800",
        }
    ),
    observed_at="2026-11-01T13:00:00+0800",
)


def test_the_load_of_a_frame_is_its_exact_maximum():
    explorer = explore(BETWEEN_HOURS)
    show(explorer, "load")
    assert (
        "longest in the 1 min from 2026-11-01 10:10 (Asia/Shanghai): 10 jobs waited at once"
        in explorer.sentence
    )
    assert "At most 10 ran at once" in explorer.sentence
    assert explorer.data()["waiting_max"].max() == 10


def test_the_load_of_a_histogram_claims_no_more_than_it_saw():
    explorer = explore(cn.DurationHistogram.from_jobs(BETWEEN_HOURS))
    show(explorer, "load")
    assert explorer.sentence.startswith("Seen only every 1 h, 4 times")
    ax = style.bare_sheet()
    explorer.selection.draw(explorer.data(), explorer._sources.histogram, ax)
    assert not ax.axison, "an empty box instead of a sentence"


def test_the_load_of_a_histogram_is_stamped_at_the_end_of_the_hour():
    explorer = explore(
        cn.DurationHistogram.from_jobs(
            BETWEEN_HOURS.assign(
                start_time=pd.Timestamp("2026-11-01T03:20Z"), end_time=pd.Timestamp("2026-11-01T03:40Z")
            )
        )
    )
    show(explorer, "load")
    assert "longest at 2026-11-01 11:00 (Asia/Shanghai), when 10 jobs waited" in explorer.sentence


def test_the_load_of_many_jobs_is_that_of_their_histogram(monkeypatch):
    monkeypatch.setattr(sources, "MOST_STEPPED", 199)
    explorer = explore(JOBS)
    show(explorer, "load")
    assert explorer.sentence.startswith("Seen only every 1 h")
    assert "from_jobs" in explorer.code()


def test_a_growing_line_is_said_to_make_an_estimate_uncertain_not_wrong():
    created = ZERO + pd.to_timedelta(np.arange(100) * 60, "s")
    started = [text if n < 90 else "-" for n, text in enumerate(iso(np.arange(100) * 63.0))]
    texts = {"JobId": [f"a{n}" for n in range(100)], "State": "Running", "QueueId": "q", "Tag": "T"}
    texts |= {
        "CreationTime": created.strftime("%Y-%m-%dT%H:%M:%S+0000"),
        "StartTime": started,
        "EndTime": "-",
    }
    texts["State"] = ["Submitted" if text == "-" else "Running" for text in started]
    explorer = explore(cn.add_timings(pd.DataFrame(texts), observed_at=ZERO + pd.Timedelta("100min")))
    explorer.controls.quantile.value = 0.5
    assert "they may wait longer" in explorer.sentence


def test_a_grouped_latency_names_the_group_that_waits_longest(explorer):
    explorer.controls.by.value = "tag"
    explorer.controls.quantile.value = 0.5
    assert (
        "Jobs of tag Translation wait longest of those drawn: 50 % start within 10.0 min."
        in explorer.sentence
    )


def test_a_group_is_named_with_its_column(explorer):
    explorer.controls.by.value = "input_lang"
    show(explorer, "over_time")
    assert "Jobs of from language" in explorer.sentence


def test_the_window_says_between_which_hours_there_are_jobs(explorer):
    note = explorer.controls.box.children[-1].value
    assert "there are jobs from 2026-11-02 10:00 to 2026-11-03 03:00" in note


def test_what_is_no_table_is_refused():
    with pytest.raises(TypeError, match="not list"):
        explore([1])


def test_an_unknown_zone_is_refused():
    with pytest.raises(cn.SettingsError, match="Nowhere"):
        explore(JOBS, tz="Nowhere")


def test_exports_show_figure_and_sentence_and_notebooks_compare_the_sentence(explorer):
    bundle, metadata = explorer._repr_mimebundle_()
    assert bundle["text/plain"] == f"Explorer: {explorer.sentence}"
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert metadata == {"image/png": {"alt": explorer.sentence}}


def test_every_control_has_a_name(explorer):
    controls = [*explorer.controls.filters.values(), explorer.controls.start, explorer.controls.end]
    controls += [explorer.controls.by, explorer.controls.quantile, explorer._job]
    names = [control.description for control in controls]
    assert all(names)
    chosen = [*explorer.controls.filters.values(), explorer.controls.by, explorer.controls.quantile]
    assert all(control.index == 0 for control in chosen[:-1]), "a box that shows nothing"
    assert len(set(names)) == len(names)


def test_no_figure_is_left_behind(explorer):
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    for quantile in (0.5, 0.9, 0.99):
        explorer.controls.quantile.value = quantile
    assert plt.get_fignums() == before
