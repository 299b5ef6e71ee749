"""The report in a real browser: it asks for nothing, its controls work, it fits a phone, it prints, axe finds no serious fault."""

import functools
import http.server
import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cosai_nb as cn
from cosai_nb.views.export import page_of
from cosai_nb.views.report import write_report

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed"),
]
HOSTILE = (
    '"><img src=http://evil.invalid/x onerror=alert(1)><script>alert(2)</script>\u202e\x1b[31m' + "長" * 500
)
JOBS = 900


def jobs_of_a_bad_day(*, hostile=False, every_s=36):
    """Nine hundred jobs in nine hours; those of the last hour wait, every tenth of the others failed."""
    number = np.arange(JOBS)
    created = pd.Timestamp("2026-11-01T00:00:00Z") + pd.to_timedelta(number * every_s, unit="s")
    started = created + pd.to_timedelta(5 + number % 97, unit="s")
    waiting, failed = number >= 800, number % 10 == 0
    texts = pd.DataFrame({
        "JobId": [f"job{i:04}" for i in number],
        "State": np.where(waiting, "Submitted", np.where(failed, "Failed", "Success")),
        "Code": np.where(failed & ~waiting, "InternalError", "Success"),
        "Message": np.where(failed, HOSTILE if hostile else "try again", ""),
        "Tag": np.where(number % 3 == 0, HOSTILE if hostile else "SpeechRecognition", "Translation"),
        "QueueId": np.where(number % 2 == 0, "q1", "队列二"),
        "CreationTime": created,
        "StartTime": started.where(~waiting),
        "EndTime": (started + pd.Timedelta("30s")).where(~waiting),
    })  # fmt: skip
    return cn.add_timings(texts, observed_at=created[-1] + pd.Timedelta("30min"))


def weeks():
    """Return the jobs of two weeks: in the second one q1 is slow, much fails with a hostile code, and a queue is gone."""
    jobs, times = jobs_of_a_bad_day(every_s=750).head(800), ["creation_time", "start_time", "end_time"]
    earlier = jobs.assign(**{name: jobs[name] - pd.Timedelta("7D") for name in times})
    number = np.arange(len(jobs))
    earlier["queue_id"] = earlier["queue_id"].astype(str).where(number % 9 > 0, "gone")
    slow = (jobs["queue_id"] == "q1") & jobs["start_time"].notna()
    for name in ("start_time", "end_time"):
        jobs[name] += pd.to_timedelta(1500 * slow.astype(int), unit="s")
    jobs["queue_latency_s"] += 1500 * slow
    fails = (jobs["outcome"] == "success") & (number % 3 == 0)
    jobs["code"] = jobs["code"].astype(str).where(~fails, HOSTILE)
    jobs["outcome"] = jobs["outcome"].where(~fails, "failed")
    return earlier, jobs


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    jobs = jobs_of_a_bad_day()
    markers = {"2026-11-01T12:00:00+08:00": HOSTILE, "2026-11-01T15:00:00+08:00": "deploy v2"}
    write_report(jobs, folder / "usual.html", slo=(60, 0.95), markers=markers)
    write_report(jobs_of_a_bad_day(hostile=True), folder / "hostile.html", title=HOSTILE)
    write_report(jobs.head(3), folder / "three.html")
    write_report(jobs.tail(50), folder / "waiting.html")
    write_report(jobs.head(0), folder / "empty.html")
    earlier, later = weeks()
    write_report(later, folder / "changes.html", slo=(60, 0.95), previous=earlier, every="15m")
    names = [f"speech-recognition-production-batch-{number:02}-华东" for number in range(15)]
    many = jobs.assign(queue_id=[f"p{number % 15:032x}" for number in range(JOBS)])
    write_report(many.assign(queue_name=[names[number % 15] for number in range(JOBS)]), folder / "many.html")
    (folder / "notebook.html").write_text(_notebook_page(), encoding="utf-8")
    return folder


def _notebook_page():
    v4 = pytest.importorskip("nbformat", reason="nbformat is not installed").v4
    pytest.importorskip("nbconvert", reason="the extra [report] is not installed")
    table = pd.DataFrame({"tag": ["<script>alert(1)</script>", "b"], "p95": [1.5, 2.5]})._repr_html_()
    output = v4.new_output("execute_result", data={"text/html": table, "text/plain": "x"}, execution_count=1)
    cells = [v4.new_markdown_cell("# A question\n\nText."), v4.new_code_cell("table", outputs=[output])]
    return page_of(v4.new_notebook(cells=cells), name="question")


ALL = ["usual", "hostile", "three", "waiting", "empty", "many", "changes", "notebook"]


class Watched:
    """A page, and whatever it asked for or complained of."""

    def __init__(self, browser, **settings):
        self.page = browser.new_page(**settings)
        self.requests, self.complaints = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append("dialog"), dialog.dismiss()))

    def open(self, path):
        self.page.goto(Path(path).as_uri())
        return self.page


@pytest.fixture
def watched(browser):
    one = Watched(browser, viewport={"width": 1300, "height": 900})
    yield one
    one.page.close()


@pytest.mark.parametrize("name", ALL)
def test_from_a_file_it_asks_for_nothing_and_complains_of_nothing(reports, watched, name):
    page = watched.open(reports / f"{name}.html")
    page.mouse.wheel(0, 5000)
    page.wait_for_timeout(100)
    asked = [url for url in watched.requests if not url.startswith("data:")]
    assert asked == [(reports / f"{name}.html").as_uri()]
    assert watched.complaints == []


def test_over_http_the_page_is_the_only_request(reports, watched):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=reports)
    asked = []
    handler.func.log_message = lambda self, *_: asked.append(self.path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        watched.page.goto(f"http://127.0.0.1:{server.server_port}/usual.html")
        watched.page.wait_for_timeout(300)  # a favicon would be asked for by now
        server.shutdown()
    assert asked == ["/usual.html"]
    assert watched.complaints == []


def test_the_policy_stops_what_might_come_in(reports, watched):
    page = watched.open(reports / "usual.html")
    page.evaluate(
        """() => {
          const script = document.createElement("script"); script.textContent = "window.ran = 1"; document.body.append(script);
          const image = new Image(); image.src = "http://127.0.0.1:9/x.png"; document.body.append(image);
          document.body.insertAdjacentHTML("beforeend", '<p id="styled" style="color: red" onclick="window.ran = 2">x</p>');
          document.getElementById("styled").click();
        }"""
    )
    page.wait_for_timeout(200)
    assert page.evaluate("window.ran") is None
    assert page.evaluate("document.getElementById('styled').style.color") == ""
    assert len(watched.complaints) >= 3


def shown(page):
    return page.eval_on_selector_all(".group", "all => all.filter(one => !one.hidden).map(one => one.id)")


def test_the_select_shows_one_group_at_a_time_and_the_address_says_which(reports, watched):
    page = watched.open(reports / "usual.html")
    assert shown(page) == ["group=all"]
    page.get_by_label("Show:").select_option(label="Tag SpeechRecognition")
    assert shown(page) == ["tag=SpeechRecognition"]
    assert page.url.endswith("#tag=SpeechRecognition")
    assert page.locator(".group:not([hidden]) svg").first.is_visible()
    page.get_by_label("Show:").select_option(label="Queue 队列二")
    assert page.url.endswith("#queue=%E9%98%9F%E5%88%97%E4%BA%8C")
    page.reload()
    assert shown(page) == ["queue=%E9%98%9F%E5%88%97%E4%BA%8C"]
    assert page.get_by_label("Show:").input_value() == "Queue 队列二"


def test_a_link_of_the_first_lines_leads_to_the_figures_of_its_group(reports, watched):
    page = watched.open(reports / "usual.html")
    link = page.locator(".headlines a[href^='#tag=']").first
    group = link.get_attribute("href")[1:]
    link.click()
    assert shown(page) == [group]
    assert page.locator("#figures").bounding_box()["y"] < 900


def test_a_heading_that_a_link_leads_to_is_not_under_the_search(reports, watched):
    page = watched.open(reports / "usual.html")
    for name in page.locator("nav a").evaluate_all("links => links.map(link => link.hash.slice(1))"):
        page.locator(f"nav a[href='#{name}']").click()
        heading = page.locator(f"#{name} h2").bounding_box()
        search = page.locator(".controls.search").bounding_box()
        assert (
            heading["y"] >= search["y"] + search["height"] or heading["y"] + heading["height"] <= search["y"]
        )


def test_above_twelve_groups_one_is_found_by_typing(reports, watched):
    page = watched.open(reports / "many.html")
    box = page.get_by_label("Show:")
    assert box.get_attribute("list") == "groups"
    assert page.locator("#groups option").count() == 1 + 2 + 15
    box.fill("Queue speech-recognition-production-batch-07-华东")
    box.press("Tab")
    (group,) = shown(page)
    assert group.startswith("queue=speech-recognition-production-batch-07-")
    assert page.locator(".group:not([hidden]) figure").count() == 3
    dates = page.locator(".group:not([hidden]) use").first.bounding_box()  # written once, used by each figure
    picture = page.locator(".group:not([hidden]) svg.cosai-picture").first.bounding_box()
    assert dates["x"] >= picture["x"]
    assert dates["x"] + dates["width"] <= picture["x"] + picture["width"]
    assert dates["height"] < 20
    box.fill("nothing like it")
    box.press("Tab")
    assert shown(page) == [group]


def test_a_part_of_a_name_finds_its_group_and_what_finds_none_is_said(reports, watched):
    page = watched.open(reports / "many.html")
    box = page.get_by_label("Show:")
    names = page.locator("#groups option").evaluate_all("all => all.map(one => one.value)")
    parts = {name: name[-3:].lower() for name in names}
    name, part = next(
        (name, part) for name, part in parts.items() if sum(part in one.lower() for one in names) == 1
    )
    box.fill(part)
    box.press("Enter")
    assert page.locator(".group:not([hidden])").get_attribute("data-name") == name
    before = shown(page)
    for text, said in (("no such group", "No name holds"), ("", "names hold")):
        box.fill(text)
        box.dispatch_event("change")
        assert said in box.evaluate("one => one.validationMessage")
        assert shown(page) == before
    page.goto(f"{page.url.split('#')[0]}#{before[0].replace('%20', ' ')}")
    page.reload()
    assert shown(page) == before


def test_the_search_is_over_all_tables_and_in_the_address(reports, watched):
    page = watched.open(reports / "usual.html")
    rows = page.locator(".tables tbody tr")
    every = rows.count()
    page.get_by_label("Search all tables:").fill("speech q1")
    found = page.locator(".tables tbody tr:not([hidden])").count()
    assert 0 < found < every
    assert page.locator("#search-told").text_content() == f"{found} of {every} rows match"
    assert page.url.endswith("#search=speech%20q1")
    page.reload()
    assert page.locator(".tables tbody tr:not([hidden])").count() == found
    listed = page.locator(".tables table:visible")  # a table in which nothing is found is not in the way
    assert 0 < listed.count() < page.locator(".tables table").count()
    assert all(one.locator("tbody tr:visible").count() for one in listed.all())
    assert not page.locator("#errors").is_visible()
    page.locator("nav").get_by_text("Errors").click()
    assert page.locator("#errors").is_visible()
    assert page.get_by_label("Search all tables:").input_value() == ""
    page.goto(f"{page.url.partition('#')[0]}#queue=q1&search=%E9%9")  # half an escape
    page.reload()
    assert shown(page) == ["queue=q1"]
    page.get_by_label("Search all tables:").fill("")
    assert page.locator(".tables tbody tr:not([hidden])").count() == every


def test_what_changed_is_in_the_first_screen(reports, watched):
    page = watched.open(reports / "changes.html")
    line = page.locator(".headlines li", has_text="queue latency p95 rose")
    assert line.bounding_box()["y"] + line.bounding_box()["height"] < 900
    link = line.get_by_role("link")
    group = link.get_attribute("href")[1:]
    link.click()
    assert shown(page) == [group] != ["group=all"]
    for said in ("new code", "no jobs now: gone"):
        assert page.locator(".headlines li", has_text=said).count() == 1


def test_an_open_page_says_when_a_newer_one_should_exist_and_loads_nothing(reports, watched, tmp_path):
    from playwright.sync_api import expect

    path = tmp_path / "page.html"
    path.write_bytes((reports / "changes.html").read_bytes())
    page = watched.page
    page.goto(path.as_uri())
    made = int(page.locator("#renewal").get_attribute("data-made"))
    page.clock.install(time=made / 1000)
    page.goto("about:blank")
    page.goto(f"{path.as_uri()}#queue=q1&search=speech")
    told = page.locator("#renewal")
    page.clock.fast_forward("16:00")
    assert told.text_content() == ""  # it takes its time to be written
    asked = len(watched.requests)
    page.clock.fast_forward("01:00")
    assert told.text_content() == "A newer one should exist. Reload"
    assert len(watched.requests) == asked
    page.evaluate("scrollTo(0, 1500)")
    renewed = path.read_text(encoding="utf-8").replace(
        f'data-made="{made}"', f'data-made="{made + 1_000_000}"'
    )
    path.write_text(renewed, encoding="utf-8")
    told.get_by_role("button").evaluate("button => button.click()")  # which does not scroll to it
    expect(told).to_have_attribute("data-made", str(made + 1_000_000))
    page.wait_for_load_state("load")
    assert page.evaluate("scrollY") == pytest.approx(1500, abs=40)  # without the button the header is lower
    assert told.text_content() == ""
    assert shown(page) == ["queue=q1"]
    assert page.get_by_label("Search all tables:").input_value() == "speech"
    assert page.url.endswith("#queue=q1&search=speech")
    page.clock.fast_forward("20:00")
    told.get_by_role("button").click()
    expect(told).to_contain_text("No newer one has come")
    assert watched.complaints == []


def test_an_id_is_copied_whole(reports, browser, tmp_path):
    jobs = jobs_of_a_bad_day()
    jobs["job_id"] = [f"a{number:032x}" for number in range(JOBS)]
    write_report(jobs, tmp_path / "long.html")
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto((tmp_path / "long.html").as_uri())
    for button in (page.locator("#failed-table .copy").first, page.locator("#errors-table .copy").nth(1)):
        whole = button.get_attribute("title").removeprefix("Copy ")
        assert len(whole) == 33
        assert button.text_content() == f"{whole[:6]}…{whole[-4:]}"
        button.click()
        page.wait_for_function("document.getElementById('copied').textContent !== ''")
        assert page.evaluate("navigator.clipboard.readText()") == whole
    context.close()


def test_hover_says_the_numbers_of_the_statistics(reports, watched):
    page = watched.open(reports / "usual.html")
    rates = cn.failure_rates(jobs_of_a_bad_day(), by="tag")
    figure = page.locator("figure:has(script)", has_text="Failure rate by tag")
    drawing = figure.locator(".drawing")
    drawing.scroll_into_view_if_needed()
    found = json.loads(figure.locator("script").text_content())
    box = drawing.locator("svg.cosai-picture").bounding_box()
    scale = box["width"] / found["size"][0]
    said = []
    for series in found["series"]:
        for x, y in (
            [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in series["boxes"]]
            if "boxes" in series
            else series["at"]
        ):
            page.mouse.move(box["x"] + x * scale, box["y"] + y * scale)
            said.append(drawing.locator(".cosai-tip").text_content())
    for tag, row in rates.iterrows():
        assert any(tag in text and f"{100 * row['rate']:.1f} %" in text for text in said), (tag, said)


def test_a_drag_zooms_all_figures_over_time_and_escape_undoes_it(reports, watched):
    page = watched.open(reports / "usual.html")
    drawings = page.locator(".group:not([hidden]) .drawing.cosai-drags")
    assert drawings.count() >= 4
    views = "all => all.map(one => one.querySelector('svg.data').getAttribute('viewBox'))"
    before = drawings.evaluate_all(views)
    first = drawings.first
    first.scroll_into_view_if_needed()
    found = json.loads(first.locator("script").text_content())
    box = first.locator("svg.cosai-picture").bounding_box()
    scale = box["width"] / found["size"][0]
    x0, y0, x1, y1 = (side * scale for side in found["box"])
    page.mouse.move(box["x"] + x0 + 0.3 * (x1 - x0), box["y"] + (y0 + y1) / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + x0 + 0.6 * (x1 - x0), box["y"] + (y0 + y1) / 2, steps=5)
    page.mouse.up()
    after = drawings.evaluate_all(views)
    assert all(one != other for one, other in zip(before, after, strict=True))
    page.keyboard.press("Escape")
    assert drawings.evaluate_all(views) == before
    assert watched.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 800, 1300, 1600])
@pytest.mark.parametrize("name", ["usual", "hostile", "three", "waiting", "many", "changes"])
def test_nothing_overlaps_or_is_cut(reports, browser, name, width, scheme):
    one = Watched(browser, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = one.open(reports / f"{name}.html")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = page.evaluate(
        """() => [...document.querySelectorAll('.headlines li, .cards > div, figure, nav a, .controls > *, h1, h2, h3, .caption')]
          .filter(one => one.offsetParent !== null && (one.getBoundingClientRect().left < 0 || one.getBoundingClientRect().right > innerWidth + 1))
          .map(one => one.outerHTML.slice(0, 200))"""
    )
    assert outside == []
    overlaps = page.evaluate(
        """() => {
          const boxes = [...document.querySelectorAll('.headlines li, .cards > div, .group:not([hidden]) figure, .controls > *, h1, h2, .tables .scroll')]
            .filter(one => one.offsetParent !== null).map(one => [one.getBoundingClientRect(), one]);
          const found = [];
          boxes.forEach(([a, one], i) => boxes.slice(i + 1).forEach(([b, other]) => {
            if (one.contains(other) || other.contains(one)) return;
            if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1)
              found.push([one.outerHTML.slice(0, 80), other.outerHTML.slice(0, 80)]);
          }));
          return found;
        }"""
    )
    assert overlaps == []
    cut = page.evaluate(
        """() => [...document.querySelectorAll('.group:not([hidden]) svg.cosai-picture')].flatMap(svg => {
          const own = svg.getBoundingClientRect();
          return [...svg.querySelectorAll('text')].filter(text => {
            const box = text.getBoundingClientRect();
            return box.width && (box.left < own.left - 4 || box.right > own.right + 4 || box.top < own.top - 4 || box.bottom > own.bottom + 4);
          }).map(text => `${svg.getAttribute('aria-label')}: ${text.textContent}`);
        })"""
    )
    assert cut == []
    over = page.evaluate(
        """() => [...document.querySelectorAll('.tables td, .tables th')]
          .filter(cell => cell.offsetParent !== null && cell.scrollWidth > cell.clientWidth + 1).map(cell => cell.textContent)"""
    )
    assert over == [], "texts that reach into the next cell"
    one.page.close()


def test_a_table_sorts_by_keyboard_and_says_so(reports, watched):
    page = watched.open(reports / "usual.html")
    table = page.locator("#slowest-table")
    header = table.locator("thead th", has_text="waited")
    assert header.get_attribute("aria-sort") == "descending"

    def waits():
        return [
            float(value)
            for value in table.locator("tbody td[data-v]:nth-child(2)").evaluate_all(
                "all => all.map(one => one.dataset.v)"
            )
        ]

    assert waits() == sorted(waits(), reverse=True)
    header.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    assert waits() == sorted(waits())
    created = table.locator("thead th", has_text="created")
    created.get_by_role("button").press("Space")
    assert (created.get_attribute("aria-sort"), header.get_attribute("aria-sort")) == ("ascending", "none")
    times = table.locator("tbody td.time").all_text_contents()
    assert times == sorted(times)
    created.get_by_role("button").press("Space")
    assert created.get_attribute("aria-sort") == "descending"
    assert table.locator("tbody td.time").all_text_contents() == sorted(times, reverse=True)
    ran = table.locator("thead th", has_text="ran")
    for _ in range(2):  # either way, what is not known comes last
        ran.get_by_role("button").click()
        values = table.locator("tbody td:nth-child(3)").evaluate_all("all => all.map(one => one.dataset.v)")
        assert values[-1] == "NaN"
        assert values[0] != "NaN"


def test_a_table_is_saved_as_csv_that_a_spreadsheet_does_not_run(reports, watched):
    page = watched.open(reports / "hostile.html")
    with page.expect_download() as waiting:
        page.locator("#failed").get_by_role("button", name="Save as CSV").click()
    saved = pd.read_csv(waiting.value.path(), encoding="utf-8-sig")
    assert len(saved) == 80
    assert saved["ran [s]"].tolist() == [30.0] * 80
    assert (
        not saved.astype(str).apply(lambda column: column.str.startswith(("=", "+", "-", "@"))).any(axis=None)
    )


@pytest.mark.parametrize("name", ALL)
def test_it_fits_a_phone(reports, browser, name):
    one = Watched(browser, viewport={"width": 390, "height": 844}, device_scale_factor=2, is_mobile=True)
    page = one.open(reports / f"{name}.html")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    one.page.close()


@pytest.mark.parametrize("name", ["usual", "hostile", "waiting"])
def test_on_a_phone_figures_are_read_without_scrolling_sideways(reports, browser, name):
    one = Watched(browser, viewport={"width": 390, "height": 844}, device_scale_factor=2, is_mobile=True)
    page = one.open(reports / f"{name}.html")
    drawings = page.locator(".group:not([hidden]) figure:not(.wide) .drawing")
    assert drawings.count() >= 3
    assert drawings.evaluate_all("all => all.every(one => one.scrollWidth <= one.clientWidth)")
    sizes = drawings.locator("text:visible").evaluate_all(
        "all => all.map(one => parseFloat(getComputedStyle(one).fontSize) * one.ownerSVGElement.getScreenCTM().a)"
    )
    assert len(sizes) > 30
    assert min(sizes) >= 9
    one.page.close()


def test_a_job_id_stands_in_one_line(reports, browser, tmp_path):
    jobs = jobs_of_a_bad_day()
    jobs["job_id"] = [f"a{number:032x}" for number in range(JOBS)]
    write_report(jobs, tmp_path / "long.html")
    one = Watched(browser, viewport={"width": 390, "height": 844}, is_mobile=True)
    page = one.open(tmp_path / "long.html")
    cell = page.locator("#errors-table tbody td.ids").first
    line = cell.evaluate("cell => parseFloat(getComputedStyle(cell).fontSize)")
    assert cell.locator("button").count() == 3
    name = page.locator("#slowest-table tbody th button").first
    assert name.evaluate("name => getComputedStyle(name, '::after').content") == "none", (
        "only heads of columns sort"
    )
    assert cell.evaluate("cell => cell.getBoundingClientRect().height") < 3 * 2 * line
    one.page.close()


@pytest.mark.parametrize("name", ["usual", "empty"])
def test_it_prints_with_everything_open_and_no_controls(reports, watched, name, tmp_path):
    page = watched.open(reports / f"{name}.html")
    assert page.pdf(path=tmp_path / "report.pdf", format="A4").startswith(b"%PDF")
    if name == "usual":
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert not page.locator("#search").is_visible()
        assert not page.locator("select").is_visible()
        assert all(group.is_visible() for group in page.locator(".group").all())
        page.set_viewport_size({"width": 703, "height": 1000})  # of A4 without its margins
        assert page.evaluate("document.documentElement.scrollWidth") <= 703
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert len(shown(page)) == 1


def test_without_scripts_everything_is_shown(reports, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((reports / "usual.html").as_uri())
    assert all(group.is_visible() for group in page.locator(".group").all())
    assert page.locator(".group figure svg").first.is_visible()
    assert page.locator("#slowest-table tbody tr").first.is_visible()
    assert not page.locator("#search").is_visible()
    assert page.locator("[id='queue=q1']").count() == 1  # where its link leads, without a script, too
    context.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1300), ("dark", 1300), ("light", 390)])
@pytest.mark.parametrize("name", ALL)
def test_axe_finds_no_serious_fault(reports, browser, axe, name, scheme, width):
    context = browser.new_context(
        bypass_csp=True, color_scheme=scheme, viewport={"width": width, "height": 900}
    )
    page = context.new_page()
    page.goto((reports / f"{name}.html").as_uri())
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    context.close()
    serious = {
        fault["id"]: [node["html"][:160] for node in fault["nodes"][:3]]
        for fault in found
        if fault["impact"] in {"serious", "critical"}
    }
    assert serious == {}, json.dumps(serious, indent=1)
