"""The explorer in pure Python: setting a value is what a user does."""

import base64

import numpy as np
import pandas as pd
import pytest

import cosai_nb as cn
from cosai_nb.views import sources
from cosai_nb.views.explorer import explore
from cosai_nb.views.plots import axes
from cosai_nb.views.selection import VIEWS, Selection

TABS = tuple(VIEWS)
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
    explorer.select(tab=tab)


def act(explorer, kind, **message):
    """Do what the page does: send a message."""
    number = explorer._state["answered"].get("page", 0) + 1
    explorer._receive(None, {"view": "page", "number": number, "kind": kind, **message})
    assert explorer._state["answered"]["page"] == number


def picture(explorer):
    bundle, _ = explorer._repr_mimebundle_()
    return base64.b64decode(bundle["image/png"])


def test_the_first_view_answers_with_n_and_the_share_unfinished(explorer):
    assert explorer.sentence.startswith("95 % of the jobs ")
    assert "200 jobs, 5 % unfinished" in explorer.sentence.replace("5.0 %", "5 %")
    assert picture(explorer).startswith(b"\x89PNG")


def test_a_filter_changes_sentence_figure_selection_and_data(explorer):
    before = explorer.sentence, picture(explorer), explorer.data()
    explorer.select(tag=["SpeechRecognition"])
    assert "100 jobs" in explorer.sentence
    assert picture(explorer) != before[1]
    assert explorer.selection == Selection(filters=(("tag", ("SpeechRecognition",)),))
    assert not explorer.data().equals(before[2])
    explorer.select(tag=[])
    assert explorer.sentence == before[0]
    assert picture(explorer) == before[1]


def test_the_quantile_is_the_one_that_was_asked_for(explorer):
    explorer.select(tag=["SpeechRecognition"])  # every one of them waited 10 s
    explorer.select(q=0.5)
    assert "50 % of the jobs start within 10 s" in explorer.sentence


def test_a_missing_label_can_be_chosen(explorer):
    explorer.select(input_lang=[None])
    assert explorer.selection.filters == (("input_lang", (None,)),)
    assert "67 jobs" in explorer.sentence


def test_the_window_is_in_the_display_zone_and_keeps_its_minutes(explorer):
    explorer.select(start="2026-11-02T11:40", end="2026-11-02T13:00")  # in Shanghai
    assert explorer.selection.start == pd.Timestamp("2026-11-02T03:40Z")
    assert explorer.selection.end == pd.Timestamp("2026-11-02T05:00Z")
    assert "(16 jobs" in explorer.sentence
    assert explorer._jobs["note"] == "16 jobs"
    explorer.select(start="2026-11-02T03:40Z")
    assert "(16 jobs" in explorer.sentence


def test_of_a_histogram_the_window_is_widened_to_full_hours_and_that_is_said():
    explorer = explore(cn.DurationHistogram.from_jobs(JOBS))
    explorer.select(start="2026-11-02T11:40", end="2026-11-02T12:10")
    assert explorer.selection.start == pd.Timestamp("2026-11-02T03:00Z")
    assert explorer.selection.end == pd.Timestamp("2026-11-02T05:00Z")
    assert "(24 jobs" in explorer.sentence
    assert "a histogram knows no minutes" in explorer._state["note"]
    assert "no single jobs" in explorer._jobs["note"]


@pytest.mark.parametrize("tab", ["over_time", "failures_over_time", "load"])
def test_where_hours_begin_at_half_past_every_view_over_time_is_drawn_and_written_down(tab):
    explorer = explore(JOBS, tz="Asia/Kolkata")
    explorer.select(tab=tab)
    assert "200 jobs" in explorer.sentence
    space = {"jobs": JOBS}
    exec(explorer.code(), space)
    pd.testing.assert_frame_equal(space["summary"], explorer.data())


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
    if source == "histogram" and tab in ("slowest", "eta"):
        pytest.skip("a histogram knows no single jobs")
    explorer = explore(jobs)
    explorer.select(tag=["Translation"])
    explorer.select(input_lang=["en"])
    explorer.select(start="2026-11-02T12:00")
    explorer.select(end="2026-11-03T02:00")
    explorer.select(by="tag")
    explorer.select(q=0.9)
    show(explorer, tab)
    space = {"jobs": jobs}
    exec(explorer.code(), space)
    pd.testing.assert_frame_equal(space["summary"], explorer.data(), check_dtype=False)
    assert space["ax"].get_title(loc="right").removeprefix("4 failed ") or space["ax"].texts
    import matplotlib.pyplot as plt

    plt.close(space["ax"].figure)


def test_any_job_can_be_opened_with_its_whole_row_and_its_course(explorer):
    explorer.open_job("a150")
    shown = explorer._job
    assert [name for name, _ in shown["rows"]] == list(JOBS.columns)
    assert dict(shown["rows"])["job_id"] == "a150"
    assert [part[0] for part in shown["parts"]] == ["waited", "ran"]
    assert shown["parts"][0][1] == pytest.approx(600 / 630)
    assert "started Mon 2 Nov 22:40, after 10.0 min → ran 30 s → ended" in shown["course"]
    explorer.open_job(None)
    assert explorer._job == {}
    with pytest.raises(cn.FrameError, match="no job nobody"):
        explorer.open_job("nobody")


def test_a_click_on_a_slow_job_opens_it(explorer):
    show(explorer, "slowest")
    act(explorer, "pick", pick=[["job_id", "a193"]])
    assert explorer._job["id"] == "a193"
    assert "not started after" in explorer._job["course"]


def test_hostile_text_is_inert():
    explorer = explore(make_jobs(tags=(HOSTILE, "_q<b>")), markers={"2026-11-02 12:00": HOSTILE})
    explorer.select(by="tag")
    for tab in TABS:
        show(explorer, tab)
        for markup in (explorer._figure["svg"], explorer._overview["svg"]):
            assert "<svg onload" not in markup
            assert "<b>" not in markup
            assert "<script" not in markup


def test_a_filter_that_leaves_nothing_says_so(explorer):
    explorer.select(tag=["Translation"])
    explorer.select(start="2030-01-01")
    for tab in TABS:
        show(explorer, tab)
        assert "No jobs to show" in explorer.sentence
        assert len(explorer.data()) in (0, 1, 168) or tab in {"latency", "failures"}


@pytest.mark.parametrize("by", ["tag", "outcome"])
def test_nothing_left_is_no_trouble_when_grouped(explorer, by):
    explorer.select(by=by)
    explorer.select(start="2030-01-01")
    for tab in TABS:
        show(explorer, tab)
        assert "No jobs" in explorer.sentence or "failure rate by" in explorer.sentence


def test_a_rate_by_outcome_is_refused_in_words(explorer):
    explorer.select(by="outcome")
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
    assert "input_lang" not in explorer._sources.columns
    assert "200 jobs" in explorer.sentence


def test_a_histogram_has_all_tabs_but_that_of_single_jobs():
    explorer = explore(cn.DurationHistogram.from_jobs(JOBS))
    for tab in TABS:
        show(explorer, tab)
        assert ("needs the jobs frame" in explorer.sentence) == (tab in ("slowest", "eta"))


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
    assert explorer.sentence.startswith("Observed only every 1 h, 4 times")
    ax = axes.offscreen_axes()
    explorer.selection.draw(explorer.data(), ax)
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
    assert explorer.sentence.startswith("Observed only every 1 h")
    assert "from_jobs" in explorer.code()


def test_a_quantile_that_no_waiting_job_can_change_is_said_plainly():
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
    explorer.select(q=0.5)
    assert explorer.sentence.startswith("50 % of the jobs start within 2.5 min. (")
    assert "may wait longer" not in explorer.sentence  # one in ten waits, and the median is what it is


def test_a_grouped_latency_names_the_group_that_waits_longest(explorer):
    explorer.select(by="tag")
    explorer.select(q=0.5)
    assert (
        "Jobs of tag Translation wait longest of those drawn: 50 % start within 10.0 min."
        in explorer.sentence
    )


def test_groups_that_wait_alike_are_not_ranked(explorer):
    explorer.select(tag=["SpeechRecognition"], by="input_lang", q=0.5)  # every one of them waited 10 s
    assert "start within 10 s. The groups drawn wait alike. (" in explorer.sentence


def test_a_group_is_named_with_its_column(explorer):
    explorer.select(by="input_lang")
    show(explorer, "over_time")
    assert "Jobs of from language" in explorer.sentence


def test_the_window_says_between_which_hours_there_are_jobs(explorer):
    note = explorer._state["note"]
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


def test_no_figure_is_left_behind(explorer):
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    for quantile in (0.5, 0.9, 0.99):
        explorer.select(q=quantile)
    assert plt.get_fignums() == before


# --- several values, own columns, the calendar ---

TEAMS = JOBS.assign(
    team=np.where(np.arange(200) % 4, "search", "speech"),
    size=pd.Series(np.arange(200) % 3, dtype="Int64").mask(np.arange(200) % 50 == 0),
    urgent=np.arange(200) % 5 == 0,
    file=[f"file {n}" for n in range(200)],
    score=np.linspace(0, 1, 200),
    by="x",
)


def count_in(explorer):
    return int(explorer.sentence.rpartition("(")[2].partition(" job")[0])


def test_own_columns_are_filters_and_groups_like_any_other():
    explorer = explore(TEAMS)
    explorer.select(team=["speech"], size=["1", None], urgent="False", by="team")
    wanted = (
        (TEAMS["team"] == "speech")
        & (TEAMS["size"].isna() | (TEAMS["size"] == 1).fillna(value=False))
        & ~TEAMS["urgent"]
    )
    assert count_in(explorer) == wanted.sum()
    assert explorer.data()["team"].unique().tolist() == ["speech"]
    assert {"team", "size", "urgent"} < set(explorer._sources.columns)
    assert not {"file", "score", "by"} & set(explorer._sources.columns)


def test_what_cannot_be_a_filter_is_said():
    explorer = explore(TEAMS)
    note = explorer._state["note"]
    assert "file (it has more than 50 values)" in note
    assert "score (it is no text and no whole number (float64))" in note
    assert "by (its name is taken)" in note
    with pytest.raises(cn.SettingsError, match="'file' cannot be a filter: it has more"):
        explorer.select(file="file 1")
    with pytest.raises(cn.SettingsError, match="'nothing' cannot be grouped by"):
        explorer.select(by="nothing")


def test_own_columns_of_a_folder_are_filters_too(tmp_path):
    TEAMS[[*JOBS.columns, "team", "size"]].to_parquet(tmp_path / "a.parquet")
    explorer = explore(tmp_path)
    explorer.select(team="speech", size=["0", "2"])
    assert count_in(explorer) == ((TEAMS["team"] == "speech") & TEAMS["size"].isin([0, 2])).sum()
    space = {"jobs": tmp_path}
    exec(explorer.code(), space)
    pd.testing.assert_frame_equal(space["summary"], explorer.data(), check_dtype=False)


CASES = {
    "several": {"tag": ["Translation", "SpeechRecognition"], "input_lang": ["en", None], "by": "tag"},
    "own": {"team": ["speech", "search"], "urgent": ["True"], "by": "team"},
    "calendar": {"weekday": ["Monday", "Tuesday"], "hour": [10, 11, 0], "tag": "Translation"},
    "minutes": {"start": "2026-11-02T11:40", "end": "2026-11-02T23:25", "by": "outcome"},
}


@pytest.mark.parametrize(
    "tab", ["latency", "weekdays", "failures_over_time", "load", "errors", "slowest", "eta"]
)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("source", ["frame", "histogram"])
def test_the_code_of_every_kind_of_filter_reproduces_the_view(tab, case, source):
    if source == "histogram" and (tab in ("slowest", "eta") or case == "minutes"):
        pytest.skip("a histogram knows no single jobs, and no minutes")
    jobs = (
        TEAMS
        if source == "frame"
        else cn.DurationHistogram.from_jobs(TEAMS, keys=["input_lang", "team", "urgent"])
    )
    explorer = explore(jobs)
    change = CASES[case] if tab != "failures_over_time" else {**CASES[case], "by": None}
    explorer.select(tab=tab, **change)
    space = {"jobs": jobs}
    exec(explorer.code(), space)
    pd.testing.assert_frame_equal(
        space["summary"], explorer.data(), check_dtype=False, check_categorical=False
    )
    import matplotlib.pyplot as plt

    plt.close("all")


def test_a_cell_of_the_week_filters_by_weekday_and_hour_of_the_display_zone(explorer):
    show(explorer, "weekdays")
    act(explorer, "pick", pick=[["weekday", "Monday"], ["hour", "11"]])
    local = JOBS["creation_time"].dt.tz_convert("Asia/Shanghai").dt
    assert count_in(explorer) == ((local.day_of_week == 0) & (local.hour == 11)).sum()
    assert [chip[2] for chip in explorer._state["chips"]] == ["Weekday: Monday", "Hour: 11"]
    act(explorer, "pick", pick=[["weekday", "Monday"], ["hour", "11"]])
    assert explorer.selection.is_all, "a second click undoes it"


def test_labels_of_the_calendar_are_checked(explorer):
    with pytest.raises(cn.SettingsError, match="weekday='Mon' is none"):
        explorer.select(weekday="Mon")
    with pytest.raises(cn.SettingsError, match="hour='24' is none"):
        explorer.select(hour=24)


def test_what_is_no_choice_is_refused_and_nothing_changes(explorer):
    before = explorer.selection
    for wrong in ({"tab": "tables"}, {"q": 1}, {"q": "most"}, {"start": "soon"}, {"colour": "red"}):
        with pytest.raises(cn.SettingsError):
            explorer.select(**wrong)
    assert explorer.selection == before


# --- what the page asks for ---


def test_every_message_is_answered_even_one_that_makes_no_sense(explorer, monkeypatch):
    told = []
    monkeypatch.setattr(explorer, "send", told.append)
    act(explorer, "select", select={"q": "most"})
    assert told[0]["kind"] == "trouble"
    assert "q=" in told[0]["text"]
    act(explorer, "open", job_id="nobody")
    assert "nobody" in told[1]["text"]


def test_a_dragged_span_is_the_window_of_the_selection(explorer):
    span = [1793588400000, 1793592000000]
    act(explorer, "select", select={"span": span})
    assert [
        int(edge.timestamp() * 1000) for edge in (explorer.selection.start, explorer.selection.end)
    ] == span
    assert explorer._state["window"]["span"] == span
    assert explorer._jobs["note"] == f"{count_in(explorer)} jobs"
    act(explorer, "select", select={"reset": True, "span": [None, None]})
    assert explorer.selection.is_all


def test_the_overview_shows_all_time_and_is_not_drawn_again_for_a_window(explorer):
    before = explorer._overview
    explorer.select(start="2026-11-02T11:00")
    assert explorer._overview is before
    explorer.select(tag="Translation")
    assert explorer._overview["map"]["series"][0]["words"] != before["map"]["series"][0]["words"]
    assert explorer._overview["map"]["time"] is not None


def test_a_menu_counts_under_the_other_filters_and_is_searched(explorer):
    explorer.select(tag="Translation", outcome="success")
    act(explorer, "menu", column="tag")
    wins = JOBS[JOBS["outcome"] == "success"]["tag"].value_counts()
    assert {value: int(jobs) for value, _, jobs, _ in explorer._menu["options"]} == wins.to_dict()
    assert [on for value, _, _, on in explorer._menu["options"] if value == "Translation"] == [True]
    act(explorer, "menu", column="tag", text="speech")
    assert [value for value, *_ in explorer._menu["options"]] == ["SpeechRecognition"]
    act(explorer, "menu", column=None)
    assert explorer._menu == {}


def test_a_control_that_does_nothing_is_not_there(explorer):
    for tab, (by, q) in {
        "latency": (1, 1),
        "weekdays": (0, 1),
        "failures": (1, 0),
        "load": (0, 0),
        "slowest": (0, 0),
    }.items():
        show(explorer, tab)
        assert (bool(explorer._state["groups"]), bool(explorer._state["quantiles"])) == (bool(by), bool(q))


def test_the_list_of_jobs_is_sorted_searched_and_paged(explorer):
    rows = [row[0] for row in explorer._jobs["rows"]]
    assert rows == [f"a{n:03}" for n in range(199, 149, -1)]
    assert (explorer._jobs["pages"], explorer._jobs["note"]) == (4, "200 jobs")
    act(explorer, "list", list={"page": 3})
    assert [row[0] for row in explorer._jobs["rows"]][-1] == "a000"
    act(explorer, "list", list={"sort": "queue_latency_s", "ascending": True, "page": 0})
    waits = JOBS.set_index("job_id")["queue_latency_s"]
    assert waits[[row[0] for row in explorer._jobs["rows"]]].tolist() == waits.nsmallest(50).tolist()
    act(explorer, "list", list={"sort": "job_id", "ascending": False, "text": "A01"})
    assert [row[0] for row in explorer._jobs["rows"]] == [f"a01{n}" for n in range(9, -1, -1)]
    explorer.select(tag="Translation")
    assert [row[0] for row in explorer._jobs["rows"]] == ["a018", "a016", "a014", "a012", "a010"]
    act(explorer, "list", list={"text": "no such thing", "page": 5})
    assert explorer._jobs["rows"] == []


def test_the_list_of_a_folder_is_that_of_the_frame(tmp_path):
    for number, part in enumerate((JOBS.iloc[:90], JOBS.iloc[90:])):
        cn.write_jobs(part, tmp_path / f"{number}.parquet")
    explorers = explore(tmp_path), explore(JOBS)
    for explorer in explorers:
        explorer.select(tag="Translation")
        act(explorer, "list", list={"sort": "code", "ascending": True})
    one, other = explorers
    assert one._jobs == other._jobs
    for explorer in explorers:
        explorer.open_job("a150")
    assert one._job == other._job


def test_the_numbers_of_the_figure_travel_only_when_they_are_looked_at(explorer):
    assert explorer._table == {}
    act(explorer, "table", open=True)
    assert explorer._table["columns"] == list(explorer.data().columns)
    assert len(explorer._table["rows"]) == len(explorer.data())


def test_a_queue_is_shown_by_its_name():
    named = cn.name_queues(JOBS, {"q1": "nightly"})
    explorer = explore(named)
    explorer.select(queue_id="q1", by="queue_id")
    assert explorer._state["chips"] == [["queue_id", "q1", "Queue: nightly"]]
    assert {row[3] for row in explorer._jobs["rows"]} == {"nightly"}
    assert "nightly" in explorer._figure["svg"]
    assert "queue_name" not in explorer._sources.columns


def test_the_whole_answer_comes_from_the_client():
    import threading

    with cn.Emulator(seed=7) as emulator:
        jobs = cn.fetch_jobs(emulator.job_ids[:50], client=emulator.client(), progress=False)
        explorer = explore(jobs, client=emulator.client())
        came, told = threading.Event(), []

        def send(message):
            told.append(message)
            came.set()

        explorer.send = send
        for job_id, wanted in ((emulator.job_ids[0], '"JobsDetail"'), ("no id!", "job ID")):
            came.clear()
            act(explorer, "answer", job_id=job_id)
            assert came.wait(30)
            assert told[-1]["kind"] == "answer"
            assert wanted in told[-1]["text"]


def test_markers_are_drawn_over_time():
    explorer = explore(JOBS, markers={"2026-11-02 12:00": "deploy v2"})
    for tab in TABS:
        show(explorer, tab)
        assert ("deploy v2" in explorer._figure["svg"]) == explorer.selection.view.over_time
    assert "markers=markers" not in explorer.code()
    show(explorer, "over_time")
    assert "markers=markers" in explorer.code()


@pytest.mark.parametrize(
    "wrong", [{"by": ["tag"]}, {"by": 7}, {"tab": ["load"]}, {"tag": [["a"]]}, {"start": [1]}, {"q": []}]
)
def test_what_is_of_a_wrong_type_is_refused_in_a_sentence(explorer, wrong):
    (name,) = wrong
    before = explorer.selection
    with pytest.raises(cn.SettingsError, match=r"\w"):
        explorer.select(**wrong)
    assert explorer.selection == before, name


def test_the_list_shows_how_long_a_waiting_job_has_waited(explorer):
    waits = {row[0]: row[7] for row in explorer._jobs["rows"]}
    assert (waits["a199"], waits["a001" if "a001" in waits else "a189"]) == ("3.4 h so far", "10 s")
    act(explorer, "list", list={"sort": "queue_latency_s", "ascending": False, "page": 0})
    assert explorer._jobs["rows"][0][0] == "a190"
