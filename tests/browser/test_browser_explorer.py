"""The explorer in a real browser with a real mouse: JupyterLab runs it, Voila serves it, and what one does there is what Python knows."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from cosai_nb.views.selection import VIEWS

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "explorer.ipynb"
CHROMIUM = shutil.which("chromium")
ROOT = ".cosai-explorer"
MENUS = ".cosai-explorer .menus"
SENTENCE = ".cosai-explorer .sentence"
FIGURE = ".cosai-explorer .figure svg.cosai-picture"
PATIENCE_MS = 90_000
IDLE = "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
RUN_ALL = """() => {
    window.ended = false;
    window.jupyterapp.commands.execute('notebook:run-all-cells').finally(() => { window.ended = true; });
}"""
CELLS = "() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON().cells"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(command, folder, url):
    """Run a server with settings of its own until the block ends."""
    own = {
        name: str(folder / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COS", "JUPYTER", "IPYTHON"))
    } | own
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=folder, env=environment, stdout=log, stderr=log
        )
        try:
            wait_for(url, server, folder / "log")
            yield
        finally:
            server.terminate()
            server.wait(20)


def wait_for(url, server, log):
    for _ in range(240):
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            urllib.request.urlopen(url, timeout=5)
        except urllib.error.HTTPError:
            return  # it answers; what it says is the browser's affair
        except OSError:
            time.sleep(0.25)
        else:
            return
    raise AssertionError(log.read_text()[-2000:])


def copy_without_outputs(notebook, folder):
    """Copy a notebook as if it had never run, so that every count and output in the page is the page's own."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"execution_count": None, "outputs": []}
    (folder / notebook.name).write_text(json.dumps(content), encoding="utf-8")


def check_that_every_cell_runs_without_an_error(page):
    page.wait_for_function(IDLE, timeout=PATIENCE_MS)
    page.evaluate(RUN_ALL)
    page.wait_for_function("() => window.ended", timeout=PATIENCE_MS)
    page.wait_for_function(IDLE, timeout=PATIENCE_MS)
    cells = [cell for cell in page.evaluate(CELLS) if cell["cell_type"] == "code"]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert [
        output for output in outputs if {output["output_type"], output.get("name")} & {"error", "stderr"}
    ] == []
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert "Traceback" not in page.locator(".jp-Notebook").inner_text()


def settled(page):
    """Wait until everything that was asked for is shown."""
    page.wait_for_timeout(300)  # a search waits for the next letter, a new width for the last
    page.wait_for_selector(f"{ROOT}:not([aria-busy])", timeout=PATIENCE_MS)


def check_that_a_filter_changes_sentence_and_figure(page):
    page.wait_for_selector(FIGURE, timeout=PATIENCE_MS)
    settled(page)
    before = page.locator(SENTENCE).inner_text(), page.locator(FIGURE).inner_html()
    assert "20,000 jobs" in before[0]
    if page.get_by_role("button", name="Filters", exact=True).is_visible():
        page.get_by_role("button", name="Filters", exact=True).click()
    page.locator(MENUS).get_by_role("button", name="Tag", exact=True).click()
    page.locator(f"{ROOT} .options input").first.check()
    settled(page)
    page.keyboard.press("Escape")
    assert "20,000 jobs" not in page.locator(SENTENCE).inner_text()
    assert page.locator(FIGURE).inner_html() != before[1]


@contextlib.contextmanager
def jupyterlab(folder, notebook):
    """Serve a folder with JupyterLab, and yield the address of a notebook in it."""
    pytest.importorskip("jupyterlab", reason="no JupyterLab here: pip install 'cosai_nb[lab]'")
    settings = folder / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false"}))
    whole = folder / "settings" / "@jupyterlab" / "notebook-extension"
    whole.mkdir()
    (whole / "tracker.jupyterlab-settings").write_text(json.dumps({"windowingMode": "none"}))
    port = free_port()
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.root_dir": folder / "work",
        "IdentityProvider.token": "",
        "LabApp.expose_app_in_browser": True,
        "LabApp.extension_manager": "readonly",
        "LabApp.news_url": None,
        "LabApp.user_settings_dir": folder / "settings",
        "LabApp.workspaces_dir": folder / "workspaces",
    }
    command = [
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        *(f"--{name}={value}" for name, value in options.items()),
    ]
    root = f"http://127.0.0.1:{port}"
    with serving(command, folder, f"{root}/api"):
        yield f"{root}/lab/tree/{notebook}"


def test_jupyterlab_runs_every_cell_and_a_filter_changes_sentence_and_figure(browser, tmp_path):
    (tmp_path / "work").mkdir()
    copy_without_outputs(NOTEBOOK, tmp_path / "work")
    with jupyterlab(tmp_path, NOTEBOOK.name) as address:
        page = browser.new_page(viewport={"width": 1300, "height": 950})
        page.goto(address)
        check_that_every_cell_runs_without_an_error(page)
        check_that_a_filter_changes_sentence_and_figure(page)
        save(page, "lab")
        page.close()


def test_voila_serves_the_notebook_unchanged(browser, tmp_path):
    pytest.importorskip("voila", reason="no Voila here: pip install 'cosai_nb[lab]'")
    port = free_port()
    command = ["voila", str(NOTEBOOK), "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1"]
    with serving(command, tmp_path, f"http://127.0.0.1:{port}/static/"):
        page = browser.new_page(viewport={"width": 390, "height": 1000})
        page.goto(f"http://127.0.0.1:{port}/", timeout=PATIENCE_MS)
        check_that_a_filter_changes_sentence_and_figure(page)
        assert page.evaluate(PROBLEMS) == []
        save(page, "voila")
        page.close()


def save(page, name):
    """Keep a picture for a person to look at, where one asks for it."""
    folder = os.environ.get("COSAI_SCREENSHOTS")
    if folder:
        page.locator(SENTENCE).scroll_into_view_if_needed()
        page.screenshot(path=f"{folder}/explorer-{name}.png", full_page=True)


# --- linked views ---

CELLS_OF = [
    """
import numpy as np
import cosai_nb as cn
emulator = cn.Emulator(seed=7)
emulator.__enter__()
client = emulator.client()
jobs = cn.fetch_jobs(emulator.job_ids, client=client, progress=False)
jobs = cn.name_queues(jobs, {queue: f"queue {n} of the nightly runs" for n, queue in enumerate(jobs.queue_id.cat.categories)})
jobs = jobs.assign(team=np.where(np.arange(len(jobs)) % 3, "search", "<b>speech</b>"))
""",
    """
explorer = cn.explore(jobs, client=client, markers={"2026-11-04 10:00": "deploy <i>v2</i>"})
explorer
""",
]
KERNEL = """async code => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const reply = await kernel.requestExecute({ code: "", user_expressions: { told: code } }).done;
    return reply.content.user_expressions.told.data["text/plain"];
}"""
MAP = "explorer._figure['map']"
PLACE = """([x, y]) => {
    const svg = document.querySelector(".cosai-explorer .figure svg.cosai-picture"), box = svg.getBoundingClientRect();
    const [,, width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
    return [box.x + x * box.width / width, box.y + y * box.height / height];
}"""
PROBLEMS = """() => {
    const root = document.querySelector(".cosai-explorer"), whole = root.getBoundingClientRect(), found = [];
    const seen = one => one.getClientRects().length > 0;
    const controls = [...root.querySelectorAll("button, label, select, input, p, small, h3, summary, .chip")]
        .filter(one => seen(one) && !one.closest(".scroll") && !one.closest(".host"));
    for (const one of controls) {
        const box = one.getBoundingClientRect(), name = `${one.tagName} ${one.textContent.slice(0, 30)}`;
        if (one.scrollWidth > one.clientWidth + 1 && one.tagName !== "LABEL") found.push(`cut: ${name}`);
        if (box.left < whole.left - 1 || box.right > whole.right + 1) found.push(`outside: ${name}`);
    }
    const texts = [...root.querySelectorAll(".host svg.cosai-picture text")].filter(one => one.textContent.trim() && seen(one));
    for (const one of texts) {
        const box = one.getBoundingClientRect();
        if (box.left < whole.left - 2 || box.right > whole.right + 2) found.push(`outside: text ${one.textContent}`);
        const scale = one.ownerSVGElement.getScreenCTM().a;
        const size = parseFloat(getComputedStyle(one).fontSize) * scale;
        if (size < 9) found.push(`text of ${size} px: ${one.textContent}`);
    }
    const leaves = [...controls.filter(one => !one.children.length || one.matches("button, select, input")), ...texts];
    leaves.forEach((one, at) => leaves.slice(at + 1).forEach(other => {
        if (one.contains(other) || other.contains(one)) return;
        const a = one.getBoundingClientRect(), b = other.getBoundingClientRect();
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left), high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (wide > 2 && high > 3) found.push(`overlap: ${one.textContent.slice(0, 30)} | ${other.textContent.slice(0, 30)}`);
    }));
    return found;
}"""


@pytest.fixture(scope="module")
def lab(browser, tmp_path_factory):
    """A page of JupyterLab in which an explorer is shown; ``told`` are its errors and requests."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "work").mkdir()
    notebook = {
        "cells": [
            {
                "cell_type": "code",
                "id": f"c{n}",
                "metadata": {},
                "execution_count": None,
                "outputs": [],
                "source": cell.strip(),
            }
            for n, cell in enumerate(CELLS_OF)
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (folder / "work" / "linked.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    with jupyterlab(folder, "linked.ipynb") as address:
        context = browser.new_context(
            viewport={"width": 1300, "height": 1600}, permissions=["clipboard-read", "clipboard-write"]
        )
        page = context.new_page()
        page.told = []
        page.on(
            "console", lambda message: page.told.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error: page.told.append(str(error)))
        page.on(
            "request", lambda request: page.told.append(request.url) if not is_here(request.url) else None
        )
        page.goto(address)
        page.wait_for_function(IDLE, timeout=PATIENCE_MS)
        page.told.clear()
        page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
        page.evaluate(RUN_ALL)
        page.wait_for_function("() => window.ended", timeout=PATIENCE_MS)
        page.wait_for_selector(FIGURE, timeout=PATIENCE_MS)
        settled(page)
        yield page
        context.close()


def is_here(url):
    return url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))


@pytest.fixture
def page(lab):
    """The page with nothing selected."""
    tell(
        lab,
        "explorer.select(tab='latency', by=None, q=0.95, start=None, end=None, **{name: [] for name, _ in explorer.selection.filters})",
    )
    tell(lab, "explorer.open_job(None)")
    yield lab
    assert lab.told == [], "errors in the console, or requests that leave this machine"


def tell(page, code):
    """Evaluate Python in the kernel, and wait until the page shows what it did."""
    told = page.evaluate(KERNEL, code)
    settled(page)
    return told


def tab(page, title):
    page.get_by_role("tab", name=title, exact=True).click()
    settled(page)


def at(page, x, y):
    """Move the mouse to a place of the figure, in the units of its map."""
    page.mouse.move(*page.evaluate(PLACE, [x, y]))


def test_hover_says_the_values_of_the_data(page):
    tab(page, "Over time")
    assert tell(page, "explorer.selection.tab") == "'over_time'"
    x, y = json.loads(tell(page, f"__import__('json').dumps({MAP}['series'][1]['at'][40])").strip("'"))
    row = json.loads(
        tell(
            page,
            "(lambda w, row: __import__('json').dumps([w.duration(row['p50']), w.duration(row['p95']), int(row['jobs'])]))"
            "(cn.views.wording, explorer.data().iloc[40])",
        ).strip("'")
    )
    at(page, x, y)
    shown = page.locator(".cosai-tip.cosai-on").inner_text()
    assert f"p50 {row[0]}" in shown
    assert f"p95 {row[1]}" in shown
    assert f"{row[2]} jobs" in shown
    save(page, "hover")


@pytest.mark.parametrize("where", ["overview", "figure"])
def test_a_drag_over_hours_is_the_window_of_everything(page, where):
    tab(page, "Over time")
    host = page.locator(f"{ROOT} .{where} svg.cosai-picture").bounding_box()
    y = host["y"] + host["height"] * (0.3 if where == "overview" else 0.5)
    page.mouse.move(host["x"] + host["width"] * 0.4, y)
    page.mouse.down()
    page.mouse.move(host["x"] + host["width"] * 0.5, y, steps=4)
    words = page.locator(".cosai-tip.cosai-on").inner_text()
    page.mouse.up()
    settled(page)
    start, end = (
        tell(page, f"explorer.selection.{edge}.tz_convert('Asia/Shanghai').strftime('%b-%d %H:%M')").strip(
            "'"
        )
        for edge in ("start", "end")
    )
    assert words.startswith(start)
    assert words.endswith(end.split()[1])
    jobs = tell(
        page,
        "f'{len(jobs[(jobs.creation_time >= explorer.selection.start) & (jobs.creation_time < explorer.selection.end)]):,}'",
    ).strip("'")
    assert f"({jobs} jobs" in page.locator(SENTENCE).inner_text()
    assert page.locator(f"{ROOT} .found").inner_text() == f"{jobs} jobs"
    tab(page, "Load")
    assert f"({jobs} jobs" in page.locator(SENTENCE).inner_text()
    page.get_by_role("button", name="Remove the filter Created").click()
    settled(page)
    assert tell(page, "explorer.selection.is_all") == "True"


def test_a_click_on_an_error_filters_and_a_second_undoes(page):
    tab(page, "Errors")
    box = json.loads(tell(page, f"__import__('json').dumps({MAP}['series'][0]['boxes'][0])").strip("'"))
    middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    at(page, *middle)
    page.mouse.down()
    page.mouse.up()
    settled(page)
    assert tell(page, "explorer.selection.filters") == "(('code', ('InternalError',)),)"
    assert page.locator(f"{ROOT} .chip").inner_text().startswith("Code: InternalError")
    box = json.loads(tell(page, f"__import__('json').dumps({MAP}['series'][0]['boxes'][0])").strip("'"))
    at(page, (box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    page.mouse.down()
    page.mouse.up()
    settled(page)
    assert tell(page, "explorer.selection.is_all") == "True"


def test_a_cell_of_the_week_and_a_queue_in_the_legend_filter_too(page):
    tab(page, "Weekdays")
    box = json.loads(
        tell(page, f"__import__('json').dumps({MAP}['series'][0]['boxes'][2 * 24 + 10])").strip("'")
    )
    at(page, (box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    page.mouse.down()
    page.mouse.up()
    settled(page)
    assert tell(page, "dict(explorer.selection.filters)") == "{'weekday': ('Wednesday',), 'hour': ('10',)}"
    page.get_by_role("button", name="Reset", exact=True).click()
    settled(page)
    tab(page, "Over time")
    page.get_by_label("Group by").select_option(label="Queue")
    settled(page)
    assert tell(page, "explorer.selection.by") == "'queue_id'"
    series = json.loads(
        tell(
            page,
            f"__import__('json').dumps([[one['pick'], one['legend']] for one in {MAP}['series'] if one['pick'] and one['legend']][0])",
        ).strip("'")
    )
    at(page, (series[1][0] + series[1][2]) / 2, (series[1][1] + series[1][3]) / 2)
    page.mouse.down()
    page.mouse.up()
    settled(page)
    assert tell(page, "explorer.selection.filters") == f"(('queue_id', ({series[0][0][1]!r},)),)"
    assert "of the nightly runs" in page.locator(f"{ROOT} .chip").inner_text()


def test_a_menu_takes_several_values_is_searched_and_counts(page):
    page.locator(MENUS).get_by_role("button", name="team", exact=True).click()
    settled(page)
    options = page.locator(f"{ROOT} .options label")
    assert options.all_inner_texts() == ["search\n13,333", "<b>speech</b>\n6,667"]
    for option in options.all():
        option.locator("input").check()
    settled(page)
    assert sorted(eval(tell(page, "explorer.selection.labels_of('team')"))) == ["<b>speech</b>", "search"]
    page.get_by_label("Search in this menu").fill("SPEE")
    settled(page)
    assert options.count() == 1
    options.locator("input").uncheck()
    settled(page)
    assert tell(page, "explorer.selection.labels_of('team')") == "('search',)"
    page.keyboard.press("Escape")
    page.locator(MENUS).get_by_role("button", name="Outcome", exact=True).click()
    settled(page)
    wanted = eval(tell(page, "jobs[jobs.team == 'search'].outcome.value_counts().to_dict()"))
    shown = dict(text.split("\n") for text in options.all_inner_texts())
    assert {name: int(number.replace(",", "")) for name, number in shown.items()} == {
        name: number for name, number in wanted.items() if number
    }
    page.keyboard.press("Escape")
    assert page.locator(f"{ROOT} .popover").is_hidden()


def test_the_list_is_searched_sorted_and_any_job_is_opened_and_copied(page):
    page.get_by_role("button", name="Waited", exact=True).click()
    settled(page)
    first = page.locator(f"{ROOT} .list tbody tr").first
    job_id = tell(page, "jobs.set_index('job_id').queue_latency_s.nlargest(1).index[0]").strip("'")
    assert first.locator(".link").get_attribute("title") == job_id
    first.get_by_role("button", name=f"Copy the job ID {job_id}").click()
    assert page.evaluate("() => navigator.clipboard.readText()") == job_id
    page.get_by_label("Search in the list of jobs").fill(job_id.upper())
    settled(page)
    assert page.locator(f"{ROOT} .found").inner_text().startswith("1 job")
    first.locator(".link").click()
    settled(page)
    job = page.get_by_role("region", name="One job")
    assert job.get_by_role("heading").inner_text() == job_id
    assert job.locator("th").all_inner_texts() == eval(tell(page, "list(jobs.columns)"))
    job.get_by_role("button", name="Whole answer").click()
    page.wait_for_function(
        "() => document.querySelector('.cosai-explorer .answer').textContent.includes('JobsDetail')",
        timeout=PATIENCE_MS,
    )
    save(page, "job")
    job.get_by_role("button", name="Close").click()
    page.get_by_label("Search in the list of jobs").fill("")
    settled(page)
    assert job.is_hidden()


def test_copy_as_python_and_the_data_are_those_of_python(page):
    tab(page, "Failures")
    page.get_by_label("Group by").select_option(label="team")
    settled(page)
    page.get_by_role("button", name="Copy as Python").click()
    assert page.evaluate("() => navigator.clipboard.readText()") == eval(tell(page, "explorer.code()"))
    page.get_by_text("Show data").click()
    settled(page)
    assert page.locator(f"{ROOT} .data th").all_inner_texts() == eval(
        tell(page, "list(explorer.data().columns)")
    )
    assert page.locator(f"{ROOT} .data td").first.inner_text() == eval(
        tell(page, "explorer.data().iloc[0, 0]")
    )
    page.get_by_text("Show data").click()


def test_tabs_obey_the_keyboard(page):
    page.get_by_role("tab", name="Latency", exact=True).focus()
    page.keyboard.press("ArrowRight")
    settled(page)
    assert tell(page, "explorer.selection.tab") == "'over_time'"
    assert page.evaluate("() => document.activeElement.textContent") == "Over time"


def test_rapid_changes_end_with_the_last_one(page):
    tab(page, "Over time")
    host = page.locator(f"{ROOT} .overview svg.cosai-picture").bounding_box()
    y = host["y"] + host["height"] * 0.3
    for part in (0.2, 0.3, 0.4, 0.5, 0.6):
        page.mouse.move(host["x"] + host["width"] * part, y)
        page.mouse.down()
        page.mouse.move(host["x"] + host["width"] * (part + 0.05), y, steps=2)
        page.mouse.up()
    settled(page)
    last = tell(
        page, "explorer.selection.start.tz_convert('Asia/Shanghai').strftime('%Y-%m-%dT%H:%M')"
    ).strip("'")
    assert page.locator("[data-edge=start]").input_value() == last
    assert last.startswith("2026-11-06")


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_nothing_is_cut_or_overlaps_at_any_width(page, theme):
    page.set_viewport_size({"width": 1800, "height": 1600})
    page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })",
        f"JupyterLab {theme}",
    )
    tell(page, "explorer.select(tag='Translation', start='2026-11-03', by='queue_id')")
    for width in (390, 800, 1300, 1600):
        page.evaluate(
            "width => { document.querySelector('.cosai-explorer').parentElement.style.width = `${width}px`; }",
            width,
        )
        settled(page)
        for name in VIEWS:
            tell(page, f"explorer.select(tab={name!r})")
            assert page.evaluate(PROBLEMS) == [], f"{name} at {width} px"
        save(page, f"{theme.lower()}-{width}")
    paper = page.evaluate("() => getComputedStyle(document.querySelector('.cosai-explorer')).backgroundColor")
    ink = page.evaluate(
        "() => getComputedStyle(document.querySelector('.cosai-explorer .figure .ink-fill')).fill"
    )
    dark = sum(map(int, paper[4:-1].split(", "))) < 384
    assert dark == (theme == "Dark")
    assert (
        sum(float(part) for part in ink.removeprefix("rgba(").removeprefix("rgb(")[:-1].split(", ")[:3]) < 384
    ) != dark
    page.evaluate("() => { document.querySelector('.cosai-explorer').parentElement.style.width = ''; }")
    page.set_viewport_size({"width": 1300, "height": 1600})
    settled(page)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_axe_finds_no_serious_fault(page, axe, theme):
    page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })",
        f"JupyterLab {theme}",
    )
    page.evaluate(axe)
    for name in VIEWS:
        tell(page, f"explorer.select(tab={name!r}, by='queue_id')")
        found = page.evaluate("axe.run('.cosai-explorer', { resultTypes: ['violations'] })")["violations"]
        serious = {
            fault["id"]: [node["html"][:160] for node in fault["nodes"][:3]]
            for fault in found
            if fault["impact"] in {"serious", "critical"}
        }
        assert serious == {}, json.dumps(serious, indent=1)
