"""The explorer notebook in a real browser: JupyterLab runs it, Voila serves it, a filter changes sentence and figure."""

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

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "explorer.ipynb"
CHROMIUM = shutil.which("chromium")
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
SENTENCE = ".jp-OutputArea p[role=status]"
FIGURE = ".jp-OutputArea .widget-tab img"
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


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no playwright here: pip install playwright"
    )
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser
        browser.close()


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


def check_that_a_filter_changes_sentence_and_figure(page):
    page.wait_for_selector(FIGURE, timeout=PATIENCE_MS)
    page.wait_for_function("selector => document.querySelector(selector).naturalWidth > 0", arg=FIGURE)
    before = page.locator(SENTENCE).first.inner_text(), page.locator(FIGURE).first.get_attribute("src")
    assert "20,000 jobs" in before[0]
    page.get_by_label("Tag", exact=True).first.select_option(index=1)
    page.wait_for_function(
        "([selector, old]) => document.querySelector(selector).innerText !== old",
        arg=[SENTENCE, before[0]],
        timeout=PATIENCE_MS,
    )
    page.wait_for_function(
        "([selector, old]) => document.querySelector(selector).src !== old",
        arg=[FIGURE, before[1]],
        timeout=PATIENCE_MS,
    )
    assert "20,000 jobs" not in page.locator(SENTENCE).first.inner_text()


def test_jupyterlab_runs_every_cell_and_a_filter_changes_sentence_and_figure(browser, tmp_path):
    pytest.importorskip("jupyterlab", reason="no JupyterLab here: pip install 'cosai_nb[lab]'")
    work = tmp_path / "work"
    work.mkdir()
    copy_without_outputs(NOTEBOOK, work)
    settings = tmp_path / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false"}))
    whole = tmp_path / "settings" / "@jupyterlab" / "notebook-extension"
    whole.mkdir()
    (whole / "tracker.jupyterlab-settings").write_text(json.dumps({"windowingMode": "none"}))
    port = free_port()
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.root_dir": work,
        "IdentityProvider.token": "",
        "LabApp.expose_app_in_browser": True,
        "LabApp.extension_manager": "readonly",
        "LabApp.news_url": None,
        "LabApp.user_settings_dir": tmp_path / "settings",
        "LabApp.workspaces_dir": tmp_path / "workspaces",
    }
    command = [
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        *(f"--{name}={value}" for name, value in options.items()),
    ]
    root = f"http://127.0.0.1:{port}"
    with serving(command, tmp_path, f"{root}/api"):
        page = browser.new_page(viewport={"width": 1300, "height": 950})
        page.goto(f"{root}/lab/tree/explorer.ipynb")
        check_that_every_cell_runs_without_an_error(page)
        check_that_a_filter_changes_sentence_and_figure(page)
        save(page, "lab")
        page.close()


def test_voila_serves_the_notebook_unchanged(browser, tmp_path):
    pytest.importorskip("voila", reason="no Voila here: pip install 'cosai_nb[lab]'")
    port = free_port()
    command = ["voila", str(NOTEBOOK), "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1"]
    with serving(command, tmp_path, f"http://127.0.0.1:{port}/static/"):
        page = browser.new_page(viewport={"width": 700, "height": 1000})
        page.goto(f"http://127.0.0.1:{port}/", timeout=PATIENCE_MS)
        check_that_a_filter_changes_sentence_and_figure(page)
        save(page, "voila")
        page.close()


def save(page, name):
    """Keep a picture for a person to look at, where one asks for it."""
    folder = os.environ.get("COSAI_SCREENSHOTS")
    if folder:
        page.locator(SENTENCE).first.scroll_into_view_if_needed()
        page.screenshot(path=f"{folder}/explorer-{name}.png", full_page=True)
