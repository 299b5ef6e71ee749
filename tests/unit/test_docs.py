"""The reference: every public name has its section, its docstring and an example that runs; built and opened without network."""

from __future__ import annotations

import doctest
import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cosai_nb as cn
from cosai_nb import cli, emulator, scale
from cosai_nb.cli import docs

pytest.importorskip("pdoc")
OWN = {"scale": scale.__all__, "emulator": emulator.__all__, "plots": cn.plots.__all__}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the built reference."""
    folder = tmp_path_factory.mktemp("reference")
    docs.build(folder)
    return folder


@pytest.fixture
def built(monkeypatch, folder):
    """Return where pages were built since, which is a copy here."""
    folders = []

    def copy(to):
        folders.append(to)
        shutil.copytree(folder, to, dirs_exist_ok=True)

    monkeypatch.setattr(docs, "build", copy)
    return folders


@pytest.fixture
def opened(monkeypatch, tmp_path, built):
    """Return what the browser was asked to open; the cache is the test's own."""
    urls = []
    monkeypatch.setattr("webbrowser.open", lambda url: urls.append(url) or True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return urls


def docstring(name):
    if name == "COLUMNS":  # a value: its docstring stands below it
        return (Path(cn.__file__).parent / "schema.py").read_text(encoding="utf-8").partition("\nCOLUMNS")[2]
    module, _, own = name.rpartition(".")
    return inspect.getdoc(
        getattr({"plots": cn.plots, "scale": scale, "emulator": emulator, "": cn}[module], own)
    )


@pytest.mark.parametrize(
    "name", [*cn.__all__, *(f"{module}.{name}" for module, names in OWN.items() for name in names)]
)
def test_every_public_name_has_an_example_that_is_a_doctest(name):
    assert doctest.DocTestParser().get_examples(docstring(name))


def test_every_public_name_has_a_section(folder):
    for name in cn.__all__:
        assert docs.section_of(name, folder) in {("cosai_nb.html", f"#{name}"), (f"cosai_nb/{name}.html", ""), ("cosai_nb/views/plots.html", "")}  # fmt: skip
    for module, names in OWN.items():
        for name in names:
            page, anchor = docs.section_of(f"{module}.{name}", folder)
            assert anchor == f"#{name}"
            assert Path(page).stem == module
            assert f'id="{name}"' in (folder / page).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("cn.fetch_jobs", ("cosai_nb.html", "#fetch_jobs")),
        ("cosai_nb.fetch_jobs()", ("cosai_nb.html", "#fetch_jobs")),
        ("Client.from_env", ("cosai_nb.html", "#Client.from_env")),
        ("queue_latency", ("cosai_nb.html", "#queue_latency")),
        ("plots.queue_latency", ("cosai_nb/views/plots.html", "#queue_latency")),
        ("heatmap", ("cosai_nb/views/plots.html", "#heatmap")),
        ("Fault", ("cosai_nb/emulator.html", "#Fault")),
        ("plots", ("cosai_nb/views/plots.html", "")),
        ("CosaiError.retry_after", ("cosai_nb.html", "#CosaiError.retry_after")),
    ],
)
def test_names_are_taken_as_people_write_them(folder, name, section):
    assert docs.section_of(name, folder) == section


def test_inner_modules_have_no_page_and_tables_are_tables(folder):
    pages = {file.relative_to(folder).as_posix() for file in folder.rglob("*.html")}
    assert pages == {"index.html", "cosai_nb.html", *(f"cosai_nb/{name}.html" for name in ("views/plots", "scale", "emulator", "errors"))}  # fmt: skip
    page = (folder / "cosai_nb.html").read_text(encoding="utf-8")
    text = page.partition('<section id="check_slo">')[2].partition("</section>")[0]
    assert "<td>on_time, late</td>" in text
    for file in folder.rglob("*.html"):
        shown = file.read_text(encoding="utf-8").split('<div class="docstring">')[1:]
        assert not any("<p>====" in part or "<p>::" in part for part in shown), file
    for column in cn.COLUMNS:
        assert f"<td><code>{column}</code></td>" in page


def test_the_pages_load_nothing_from_elsewhere(folder):
    for file in folder.rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        assert 'src="http' not in text
        assert '<link rel="stylesheet"' not in text


def test_a_table_with_a_header_and_folded_cells():
    table = """Before::

  ===== ===========
  name  what | how
  ===== ===========
  a     one
        two
  b
  ===== ===========

After."""
    assert docs.as_markdown(table).splitlines() == [
        "Before:", "", "  | name | what \\| how |", "  |---|---|", "  | a | one two |", "  | b |  |", "", "After.",
    ]  # fmt: skip


def test_the_browser_is_opened_at_the_section_and_the_pages_are_built_once(
    opened, tmp_path, capsys, monkeypatch
):
    built = []
    build = docs.build
    monkeypatch.setattr(docs, "build", lambda folder: built.append(folder) or build(folder))
    assert cli.main(["docs", "fetch_jobs"]) == 0
    assert cli.main(["docs"]) == 0
    first, second = opened
    assert first.startswith("file:///")
    assert first.endswith("/cosai_nb.html#fetch_jobs")
    assert second.endswith("/cosai_nb.html")
    assert capsys.readouterr().out.split() == [url.removeprefix("file://") for url in opened]
    assert len(built) == 1
    monkeypatch.setattr(cn, "__version__", "99.0")
    assert cli.main(["docs", "--no-open"]) == 0
    assert len(built) == 2
    assert len(opened) == 2
    assert len(list((tmp_path / "cache" / "cosai_nb").iterdir())) == 1  # the old pages are gone


def test_an_unknown_name_and_the_nearest_one(opened, tmp_path, capsys):
    assert cli.main(["docs", "fetch_job", "--out", str(tmp_path / "here")]) == 2
    assert "no public name 'fetch_job': did you mean fetch_jobs?" in capsys.readouterr().err
    assert (tmp_path / "here" / "cosai_nb.html").is_file()
    assert not opened


def test_without_a_browser_the_path_is_printed(opened, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("webbrowser.open", lambda _: False)
    assert cli.main(["docs", "JobStore", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == f"{tmp_path.resolve() / 'cosai_nb.html'}#JobStore"
    assert "no browser was found" in said.err


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.main(["docs", "--no-open", "--out", str(tmp_path / "file" / "docs")]) == 3
    assert "cannot be written" in capsys.readouterr().err


def test_without_pdoc_it_says_what_to_install(tmp_path):
    code = "import sys; sys.modules['pdoc'] = None\nfrom cosai_nb import cli\nsys.exit(cli.main(['docs']))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
    )
    assert done.returncode == 3
    assert "pip install 'cosai_nb[docs]'" in done.stderr
    assert not list(tmp_path.iterdir())
