"""``write_report``: one file, whole or not at all, that says something true for every frame, and in which nothing runs."""

import gc
import json
import re
from datetime import UTC, timedelta, timezone, tzinfo
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import dateutil.tz
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

import cosai_nb as cn
from cosai_nb.errors import FileError, SettingsError
from cosai_nb.views import report, tables
from cosai_nb.views.answers import ask
from cosai_nb.views.report import write_report
from cosai_nb.views.selection import VIEWS
from cosai_nb.views.wording import share

HOSTILE = [
    "<script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "javascript:alert(1)",
    "a\u202eb",
    "\x1b[31mred",
    "x" * 20_000,
    "$x^$ $\\frac{$",
    "line\nbreak",
    "</style></title>{{ 7*7 }}",
    "翻译",
    "_q1",
]
TEXT = ["JobId", "Tag", "QueueId", "Message", "Code", "Input/Object", "UserData"]
VOID = {"meta", "link", "input", "br", "img"}
ALLOWED = {
    "html", "head", "meta", "link", "title", "style", "body", "script", "a", "header", "h1", "h2", "h3", "p", "nav", "main", "section",
    "ul", "li", "b", "dl", "dt", "dd", "div", "small", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "label",
    "input", "button", "select", "option", "datalist", "span", "figure", "svg", "g", "path", "text", "tspan", "use", "defs", "clippath", "rect", "pattern", "image",
    "footer", "figcaption",
}  # fmt: skip


class Page(HTMLParser):
    """The elements, attributes and texts of a page, as a browser's parser sees them."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]
        self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def texts(number=40, **columns):
    i = np.arange(number)
    created = pd.Timestamp("2026-11-01T00:00:00Z") + pd.to_timedelta(i * 600, unit="s")
    table = {
        "JobId": [f"job{n}" for n in i], "State": np.where(i % 4 == 0, "Failed", "Success"), "Tag": np.where(i % 2, "A", "B"),
        "QueueId": "q1", "Code": np.where(i % 4 == 0, "Internal", "Success"), "Message": np.where(i % 4 == 0, "try again", ""),
        "CreationTime": created, "StartTime": created + pd.to_timedelta(i, unit="s"), "EndTime": created + pd.Timedelta("5min"),
    }  # fmt: skip
    return pd.DataFrame(table | columns)


def jobs_of(table, as_of="2026-11-01T08:00:00Z"):
    return cn.add_timings(table, observed_at=as_of)


def page_of(jobs, tmp_path, **settings):
    written = write_report(jobs, tmp_path / "report.html", **settings)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    return Page(written.read_text(encoding="utf-8"))


@pytest.fixture
def plain(monkeypatch):
    """Leave the figures out where the test is not about them."""
    monkeypatch.setattr(report, "panels", lambda *_: [])


def check_inert(page):
    assert set(page.tags) <= ALLOWED
    scripts = [value for tag, name, value in page.attributes if (tag, name) == ("script", "type")]
    assert page.tags.count("script") == 1 + len(scripts)
    assert set(scripts) <= {"application/json"}
    assert not [
        one
        for one in page.attributes
        if one[1].startswith("on") or one[1] in {"style", "srcdoc", "action", "ping"}
    ]
    for tag, name, value in page.attributes:
        if name in {"href", "src", "xlink:href"}:
            assert value.startswith(("#", "data:image/png;base64,")) or (tag, value) == ("link", "data:,")


def test_the_page_holds_what_was_promised(tmp_path):
    page = page_of(jobs_of(texts()), tmp_path, title="My week", slo=(60, 0.9), max_failure_rate=0.01)
    check_inert(page)
    for said in (
        "My week", "The jobs span 6.6 h", "Failure rate limit: missed", "max (observed)", "created per h", "Total time", "by tag",
        "40 jobs, created 2026-11-01 08:00 to 2026-11-01 14:30, as of 2026-11-01 16:00", "All times are in Asia/Shanghai (UTC+0800).",
        "SLO: met", "Queues: none is growing or stopped", "Tag B: failure rate 50.0 %", "Summary by tag", "Kaplan–Meier", "Show data", "Method",
        "All 10 failed jobs, the newest first.", "All 40 jobs with a known wait, the longest wait first.", "resolution of 1 second", "Limitations",
    ):  # fmt: skip
        assert said in page.text, said
    assert page.tags.count("svg") >= 7
    policy = next(value for tag, name, value in page.attributes if (tag, name) == ("meta", "content"))
    assert policy


def test_means_are_of_what_ended_and_the_longest_counts_what_goes_on():
    waits = texts(4, StartTime=pd.NaT, EndTime=pd.NaT, State="Submitted", Code="Success", Message="")
    waits["JobId"] = ["w0", "w1", "w2", "w3"]
    jobs = jobs_of(pd.concat([texts(), waits], ignore_index=True))
    by_id = {one.id: one.columns for one in tables.summaries(ask(jobs, by="tag", tz="UTC"))}
    waits, runs = by_id["queue-latency-table"], by_id["run-time-table"]
    assert [list(waits[name].values)[-1] for name in ("min of started", "mean of started")] == [0, 19.5]
    assert [list(runs[name].values)[-1] for name in ("min of ended", "max (observed)")] == [261, 300]
    assert list(waits["max (observed)"].values)[-1] == 28800
    assert [columns["max (observed)"].small[-1] for columns in (waits, runs)] == ["not ended", ""]
    assert sum(by_id["throughput-table"]["created"].values) == 44


def test_a_long_queue_id_is_shortened_and_whole_where_it_is_pointed_at(plain, tmp_path):
    page = page_of(jobs_of(texts(QueueId="p" + "0123456789abcdef" * 2)), tmp_path)
    assert "p01234…cdef" in page.text
    assert ("td", "title", "p0123456789abcdef0123456789abcdef") in page.attributes


def test_a_queue_is_called_by_its_name_everywhere(tmp_path):
    ids = np.where(np.arange(40) % 2, "p-one", "p-two")
    jobs = jobs_of(texts(QueueId=ids)).assign(queue_name=np.where(np.arange(40) % 2, "nightly", "voice"))
    page = page_of(jobs, tmp_path)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Queue nightly" in page.text
    assert ("div", "id", "queue=nightly") in page.attributes
    assert page.text.count("p-one") == 1  # in the table of the queues, to be copied
    assert html.count("p-one") == 2  # there whole as well


def test_the_queues_table_is_what_queue_alarms_says():
    jobs = jobs_of(
        texts(
            QueueId=np.where(np.arange(40) % 2, "q1", "q2"),
            StartTime=pd.NaT,
            EndTime=pd.NaT,
            State="Submitted",
        )
    )
    table, alarms = tables.queues(ask(jobs, by="tag", tz="UTC")), cn.queue_alarms(jobs)
    assert table.id == "queues-table"
    for name, column in {
        "waiting": "waiting",
        "state": "state",
        "oldest": "oldest_s",
        "arrivals per h": "arrivals_per_hour",
    }.items():
        told = dict(zip(table.columns["queue"].values, table.columns[name].values, strict=True))
        assert told == alarms[column].to_dict()


def test_the_expected_starts_are_those_of_eta_or_why_there_are_none():
    waits = texts(6, StartTime=pd.NaT, EndTime=pd.NaT, State="Submitted", Code="Success", Message="")
    waits["JobId"] = [f"w{n}" for n in range(6)]
    waits["CreationTime"] = pd.Timestamp("2026-11-01T06:40:00Z")
    jobs = jobs_of(pd.concat([texts(), waits], ignore_index=True), as_of="2026-11-01T06:45:00Z")
    table, eta = tables.expected_starts(ask(jobs, by="tag", tz="UTC")), cn.eta(jobs)
    row = {name: column.values[0] for name, column in table.columns.items()}
    assert row["waiting"] == len(eta) == 6
    assert (row["first start"], row["last start"]) == (
        eta["start_expected"].min(),
        eta["start_expected"].max(),
    ) or (eta["start_expected"].isna().all() and row["note"])
    paused = waits.assign(State="Pause")
    stopped = tables.expected_starts(ask(jobs_of(paused), by="tag", tz="UTC")).columns
    assert pd.isna(stopped["first start"].values[0])
    assert stopped["note"].values[0] == "paused: it stands in no queue"
    assert tables.expected_starts(ask(jobs_of(texts()), by="tag", tz="UTC")) is None


def test_every_figure_has_a_text_alternative(tmp_path):
    page = page_of(jobs_of(texts()), tmp_path)
    pictures = [value for tag, name, value in page.attributes if tag == "svg" and name == "aria-label"]
    assert len(pictures) == page.attributes.count(("svg", "role", "img")) >= 7
    assert all(pictures)
    assert page.tags.count("details") >= len(pictures)


def test_every_group_and_every_queue_has_figures_and_an_address():
    jobs = jobs_of(texts(QueueId=[f"q{n % 3}" for n in range(40)]))
    answers = ask(jobs, by="tag", tz="UTC")
    found = report.panels(answers, [])
    assert [panel.anchor for panel in found] == [
        "group=all",
        "tag=A",
        "tag=B",
        "queue=q0",
        "queue=q1",
        "queue=q2",
    ]
    assert all(figure.svg for panel in found[1:] for figure in panel.figures)
    words = {
        panel.anchor: [one for series in panel.figures[-1].map["series"] for one in series["words"]]
        for panel in found[1:]
    }
    assert all(words.values())


def test_thin_figures_have_words_with_the_numbers_of_the_statistics():
    answers = ask(jobs_of(texts(QueueId=[f"q{n % 3}" for n in range(40)])), by="tag", tz="UTC")
    found = report._thin(answers, ("queue_id",), 3, [(pd.Timestamp("2026-11-01T02:00Z"), "deploy <b>")])
    rates = cn.failure_rates(answers.jobs, by="queue_id", freq="1h", tz="UTC")
    figure = {one.title: one for one in found["q1",]}["Failure rate"]
    (line, marks) = figure.map["series"]
    known = rates.loc["q1"].dropna(subset="rate")
    assert len(line["words"]) == len(line["at"]) == len(known)
    assert all(share(rate) in words for rate, words in zip(known["rate"], line["words"], strict=True))
    assert marks["words"] == ["2026-11-01 02:00: deploy <b>"]
    assert "<b>" not in str(figure.svg)
    x0, y0, x1, y1 = report.thin_map(answers)["box"]
    assert all(x0 <= x <= x1 and y0 <= y <= y1 for x, y in line["at"])


def test_figures_of_many_groups_are_thinned_and_keep_their_maximum():
    jobs = jobs_of(texts(960, Tag="A", QueueId="q1"), as_of="2026-11-09T00:00:00Z")
    answers = ask(jobs, by="tag", tz="UTC")
    few, many = (report._thin(answers, ("tag",), groups, [])["A",] for groups in (1, 400))
    for fine, thinned in zip(few, many, strict=True):
        assert len(thinned.map["series"][0]["at"]) == report._FEWEST_POINTS < len(fine.map["series"][0]["at"])
        assert min(y for _, y in thinned.map["series"][0]["at"]) == min(
            y for _, y in fine.map["series"][0]["at"]
        )


def test_the_garbage_collector_is_as_it_was_after_the_figures(monkeypatch):
    answers = ask(jobs_of(texts(4)), by=None, tz="UTC")
    monkeypatch.setattr(report, "_whole", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        report.panels(answers, [])
    assert gc.isenabled()


def test_markers_stand_in_every_figure_over_time_and_in_a_table(tmp_path):
    markers = {"2026-11-01T10:00": HOSTILE[0], pd.Timestamp("2026-11-01T03:00:00Z"): "rollback"}
    page = page_of(jobs_of(texts()), tmp_path, markers=markers)
    check_inert(page)
    assert "Markers in the figures over time" in page.text
    assert "2026-11-01 11:00" in page.text
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert html.count("rollback") >= 2 * 4  # in the figures over time, and in their words
    assert "Markers" not in page_of(jobs_of(texts()), tmp_path).text


def test_a_map_is_json_that_ends_no_script(tmp_path):
    html = write_report(
        jobs_of(texts(Tag=["</script><b>", "B"] * 20)), tmp_path / "a.html", by="tag"
    ).read_text(encoding="utf-8")
    maps = re.findall(r'<script type="application/json">(.*?)</script>', html)
    assert len(maps) >= 7
    assert all({"size", "box", "series"} <= set(json.loads(one)) for one in maps)


def test_every_id_is_unique_and_every_reference_has_its_target(tmp_path):
    page = page_of(jobs_of(texts()), tmp_path)
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    wanted = {
        value
        for _, name, value in page.attributes
        if name in {"aria-labelledby", "for", "data-filter", "data-csv"}
    }
    wanted |= {
        value[1:]
        for _, name, value in page.attributes
        if name in {"href", "xlink:href"} and value.startswith("#")
    }
    assert wanted <= set(ids)


@pytest.mark.slow
def test_hostile_text_is_inert_wherever_it_stands(tmp_path):
    values = [HOSTILE[n % len(HOSTILE)] for n in range(4 * len(HOSTILE))]
    table = texts(len(values), **dict.fromkeys(TEXT, values))
    table["JobId"] = [f"{value}{n}" for n, value in enumerate(values)]
    for title in HOSTILE[:2]:
        page = page_of(jobs_of(table), tmp_path, title=title, by=["tag", "queue_id"])
        check_inert(page)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]", html)
    assert "x" * 1000 not in html
    assert "{{ 7*7 }}" in page.text
    assert "a\\u202eb" in page.text


def test_an_empty_frame_is_a_sentence(tmp_path):
    page = page_of(jobs_of(texts().head(0)), tmp_path, slo=(60, 0.9))
    assert "The table has no rows: there are no jobs to report on." in page.text
    assert "svg" not in page.tags
    assert "table" not in page.tags


def test_one_job(tmp_path):
    page = page_of(jobs_of(texts(1)), tmp_path)
    assert "1 job, created 2026-11-01 08:00" in page.text
    assert "The only failed job, the newest first." in page.text
    assert "select" not in page.tags
    assert "Show:" not in page.text


def test_everything_waits(plain, tmp_path):
    table = texts(30, State="Submitted", StartTime=pd.NaT, EndTime=pd.NaT, Code="Success", Message="")
    page = page_of(jobs_of(table), tmp_path)
    assert "Nothing is known yet: none of the 30 jobs has succeeded or failed." in page.text
    assert "still waiting" in page.text
    assert "too few started" in page.text
    assert "No job has failed." in page.text


def test_no_usable_times(plain, tmp_path):
    table = texts(10, CreationTime=pd.NaT, StartTime=pd.NaT, EndTime=pd.NaT)
    page = page_of(jobs_of(table), tmp_path)
    assert "Of 10 jobs the times are missing, reversed, malformed" in page.text
    assert "No job has a known wait" in page.text


@pytest.mark.slow
@pytest.mark.parametrize("column", ["tag", "queue_id", "code", "message", "input_object"])
def test_a_column_of_text_that_is_missing_is_named_and_the_rest_is_shown(tmp_path, column):
    page = page_of(jobs_of(texts()).drop(columns=column), tmp_path)
    assert f"lacks the columns {column}" in page.text
    assert "svg" in page.tags


@pytest.mark.parametrize(
    "column", ["outcome", "creation_time", "observed_at", "timing_ok", "queue_latency_s"]
)
def test_a_column_without_which_nothing_is_known_is_a_sentence(tmp_path, column):
    page = page_of(jobs_of(texts()).drop(columns=column), tmp_path)
    assert "The table cannot be read" in page.text
    assert repr(column) in page.text
    assert "svg" not in page.tags


def test_a_column_to_group_by_that_is_missing_is_a_sentence(plain, tmp_path):
    page = page_of(jobs_of(texts()), tmp_path, by="no_such")
    assert "'no_such'" in page.text


def test_groups_may_be_several_columns_numbers_or_none(plain, tmp_path):
    jobs = jobs_of(texts(40, **{"Operation/JobLevel": np.arange(40) % 3}))
    assert "Summary by tag and queue" in page_of(jobs, tmp_path, by=["tag", "queue_id"]).text
    assert "Summary by job_level" in page_of(jobs, tmp_path, by="job_level").text
    assert "Summary of all jobs" in page_of(jobs, tmp_path, by=None).text


def test_missing_labels_are_a_group_of_their_own(plain, tmp_path):
    jobs = jobs_of(texts(40, Tag=np.where(np.arange(40) % 2, "A", None)))
    page = page_of(jobs, tmp_path)
    assert "(none)" in page.text


def test_rows_that_are_no_jobs_are_counted_and_in_no_figure(plain, tmp_path):
    jobs = jobs_of(texts())
    lost = jobs.head(5).assign(outcome=["not_found"] * 3 + ["unread", "invalid_id"])
    page = page_of(pd.concat([jobs, lost], ignore_index=True), tmp_path)
    assert "40 jobs, created" in page.text
    assert "3 IDs were not found by the service." in page.text
    assert "1 ID could not be read; query it again. It is in no figure here." in page.text
    assert "1 value cannot be a job ID" in page.text


def test_a_long_list_says_how_many_are_not_shown(plain, tmp_path):
    page = page_of(jobs_of(texts(1000), as_of="2026-11-09T00:00:00Z"), tmp_path)
    assert (
        "200 of 1,000 jobs with a known wait (800 are not listed here), the longest wait first." in page.text
    )
    assert "200 of 250 failed jobs (50 are not listed here), the newest first." in page.text


@pytest.mark.slow
def test_of_many_groups_every_one_has_figures_and_the_tables_say_how_many_they_leave_out(tmp_path):
    page = page_of(
        jobs_of(texts(260, Tag=[f"tag{n}" for n in range(260)]), as_of="2026-11-09T00:00:00Z"), tmp_path
    )
    assert "160 smaller groups are not listed; they are in “All jobs”." in page.text
    groups = [value for tag, name, value in page.attributes if (tag, name) == ("div", "id") and "=" in value]
    assert len(groups) == len(set(groups)) == 261
    assert "datalist" in page.tags
    assert page.tags.count("svg") >= 2 * 260
    assert (tmp_path / "report.html").stat().st_size < 1_000_000


def test_the_index_of_the_frame_does_not_matter(plain, tmp_path):
    jobs = jobs_of(texts())
    once = page_of(jobs, tmp_path).text
    assert page_of(jobs.set_axis([7] * len(jobs)), tmp_path).text == once


def test_the_frame_is_not_changed(plain, tmp_path):
    jobs = jobs_of(texts()).drop(columns="message")
    before = jobs.copy()
    page_of(jobs, tmp_path)
    pd.testing.assert_frame_equal(jobs, before)


@pytest.mark.slow
def test_the_same_frame_gives_the_same_bytes(tmp_path):
    jobs = jobs_of(texts())
    one = write_report(jobs, tmp_path / "a.html").read_bytes()
    assert write_report(jobs, tmp_path / "b.html").read_bytes() == one


def test_wrong_calls_are_refused_before_anything_is_written(plain, tmp_path):
    with pytest.raises(TypeError, match="A report is made of a pandas DataFrame"):
        write_report([1, 2], tmp_path / "a.html")
    with pytest.raises(SettingsError, match="Mars/Olympus"):
        write_report(jobs_of(texts()), tmp_path / "a.html", tz="Mars/Olympus")
    with pytest.raises(SettingsError, match="must be a share"):
        write_report(jobs_of(texts()), tmp_path / "a.html", max_failure_rate=5)
    with pytest.raises(FileError, match="cannot be written"):
        write_report(jobs_of(texts()), tmp_path / "gone" / "a.html")
    assert not list(tmp_path.iterdir())


def test_an_old_report_is_replaced(plain, tmp_path):
    (tmp_path / "report.html").write_text("old", encoding="utf-8")
    assert "Summary by tag" in page_of(jobs_of(texts()), tmp_path).text


@pytest.mark.slow
@pytest.mark.parametrize(
    "columns",
    [
        {"State": "Submitted", "StartTime": pd.NaT, "EndTime": pd.NaT, "Code": "Success", "Message": ""},
        {"CreationTime": pd.NaT, "StartTime": pd.NaT, "EndTime": pd.NaT},
        {"State": "Failed"},
        {"QueueId": None, "Tag": None, "Code": None, "Message": None},
    ],
    ids=["all wait", "no times", "all failed", "no labels"],
)
def test_figures_of_odd_frames_say_something(tmp_path, columns):
    check_inert(page_of(jobs_of(texts(30, **columns)), tmp_path))


@pytest.mark.parametrize(
    ("tz", "name"),
    [
        ("+08:00", "UTC+08:00"),
        (UTC, "UTC"),
        (timezone(timedelta(hours=8)), "UTC+08:00"),
        (ZoneInfo("Asia/Tokyo"), "Asia/Tokyo"),
        (dateutil.tz.tzoffset(None, 19_800), "UTC+05:30"),
    ],
)
def test_offsets_and_tzinfo_objects_are_zones_of_report_explorer_and_plots(tz, name, tmp_path):
    jobs = jobs_of(texts())
    assert name in write_report(jobs, tmp_path / "a.html", tz=tz).read_text(encoding="utf-8")
    assert f"created, in {name}" in " ".join(
        text.get_text() for text in cn.plots.timeline(jobs, tz=tz).figure.findobj(Text)
    )
    assert name in cn.plots.heatmap(jobs, tz=tz).get_xlabel()
    assert cn.explore(jobs, tz=tz).selection.tz == name


def test_a_tzinfo_without_a_name_is_refused():
    class Nameless(tzinfo):
        def utcoffset(self, _):
            return None

    with pytest.raises(SettingsError, match="does not say its name; write it as a text"):
        cn.explore(jobs_of(texts()), tz=Nameless())


def test_limits_may_be_said_as_on_the_command_line_and_a_tilde_is_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    jobs = jobs_of(texts())
    said = write_report(jobs, "~/a.html", slo="10m:95%", max_failure_rate="2%")
    assert said == tmp_path / "a.html"
    numbers = write_report(jobs, tmp_path / "b.html", slo=(600, 0.95), max_failure_rate=0.02)
    assert said.read_bytes() == numbers.read_bytes()
    for wrong in ("10m", (600, 2), 5):
        with pytest.raises(SettingsError, match=r"^slo=.* must be DURATION:SHARE"):
            write_report(jobs, tmp_path / "c.html", slo=wrong)


def test_a_style_that_asks_for_latex_kills_no_page_and_no_widget(tmp_path):
    jobs = jobs_of(texts())
    plain = write_report(jobs, tmp_path / "plain.html").read_bytes()
    with mpl.rc_context({"text.usetex": True}):
        assert write_report(jobs, tmp_path / "page.html").read_bytes() == plain
        explorer = cn.explore(jobs)
        for tab in VIEWS:
            explorer.select(tab=tab)
        assert mpl.rcParams["text.usetex"]
