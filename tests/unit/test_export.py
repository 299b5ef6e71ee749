"""A notebook with parameters becomes one page that runs nothing; what goes wrong is a sentence and no file."""

import builtins
import re
from html.parser import HTMLParser

import pytest
from nbformat import v4

from cosai_nb.errors import FileError, NotebookError
from cosai_nb.views import export

pytest.importorskip("nbconvert", reason="the extra [report] is not installed")
pytest.importorskip("nbclient", reason="the extra [report] is not installed")

PARAMETERS = v4.new_code_cell(
    "days = 7\ntag: str = 'all'\nfirst, second = 1, 2", metadata={"tags": ["parameters"]}
)


def notebook(*cells):
    return v4.new_notebook(cells=[cell.copy() for cell in cells])


def saved(tmp_path, *cells):
    path = tmp_path / "question.ipynb"
    path.write_text(v4.writes(notebook(*cells)), encoding="utf-8")
    return path


def with_output(source, bundle):
    return v4.new_code_cell(source, outputs=[v4.new_output("execute_result", data=bundle, execution_count=1)])


def test_parameters_are_the_plain_names_of_the_tagged_cell():
    assert export.parameter_names(notebook(v4.new_code_cell("other = 1"), PARAMETERS)) == ["days", "tag"]
    assert export.parameter_names(notebook(v4.new_code_cell("other = 1"))) == []


def test_the_injected_cell_stands_behind_the_tagged_one_and_holds_literals():
    cells = export.inject(
        notebook(PARAMETERS, v4.new_code_cell("x = days")), {"days": 3, "tag": "it's; import os"}, name="n"
    )
    assert [cell.source for cell in cells.cells][1:] == ['days = 3\ntag = "it\'s; import os"', "x = days"]
    scope = {}
    exec(cells.cells[1].source, scope)
    assert scope["tag"] == "it's; import os"


def test_an_unknown_parameter_is_an_error_that_names_the_known_ones():
    with pytest.raises(NotebookError, match=r"no parameter 'dayz'; it knows: days, tag"):
        export.inject(notebook(PARAMETERS), {"dayz": 3}, name="n")
    with pytest.raises(NotebookError, match="no cell of it is tagged `parameters`"):
        export.inject(notebook(v4.new_code_cell("days = 7")), {"days": 3}, name="n")


def test_a_value_that_is_no_literal_is_refused():
    with pytest.raises(NotebookError, match="parameter days must be a Python literal"):
        export.inject(notebook(PARAMETERS), {"days": float("inf")}, name="n")


def test_a_broken_parameters_cell_is_named():
    broken = v4.new_code_cell("days = = 7", metadata={"tags": ["parameters"]})
    with pytest.raises(NotebookError, match=r"cell 2.*not plain Python"):
        export.parameter_names(notebook(v4.new_markdown_cell("x"), broken))


@pytest.mark.parametrize("text", ["", "not json", "[1, 2]", '{"nbformat": 4}'])
def test_what_is_no_notebook_is_said(tmp_path, text):
    path = tmp_path / "bad.ipynb"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(NotebookError, match=r"bad\.ipynb is no Jupyter notebook"):
        export.read_notebook(path)
    with pytest.raises(NotebookError, match=r"gone\.ipynb cannot be read"):
        export.read_notebook(tmp_path / "gone.ipynb")


def test_a_missing_extra_says_what_to_install(monkeypatch, tmp_path):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "nbclient":
            raise ModuleNotFoundError("No module named 'nbclient'", name="nbclient")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        NotebookError, match=r"nbclient, which is not installed: pip install 'cosai_nb\[report\]'"
    ):
        export.export_notebook(tmp_path / "a.ipynb", tmp_path / "a.html")


def test_a_page_runs_nothing_and_loads_nothing():
    evil = '<b>bold</b><script>alert(1)</script><meta http-equiv="refresh" content="0;url=http://x"><iframe src="http://x"></iframe>'
    cells = notebook(
        v4.new_markdown_cell("# How slow <script>alert(2)</script>?\n\n| a | b |\n|---|---|\n| 1 | 2 |"),
        with_output("show()", {"text/html": evil, "text/plain": "x"}),
        with_output("js()", {"application/javascript": "alert(3)"}),
        with_output(
            "w()",
            {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "a slider at 3"},
        ),
    )
    page = export.page_of(cells, name="question")
    assert "Content-Security-Policy" in page
    assert "default-src 'none'" in page
    assert "script-src" not in page
    body = page.partition("<main>")[2]
    assert not re.search(r"<(script|meta|iframe|link|base|object|form)\b", body, re.IGNORECASE)
    assert "<b>bold</b>" in body
    assert "<td>1</td>" in body
    assert "a slider at 3" in body
    assert "http" not in re.sub(r'xmlns="[^"]*"', "", page.partition("<main>")[0].replace("http-equiv", ""))


def test_pictures_have_text_for_those_who_do_not_see_them():
    png = "iVBORw0KGgo="
    cells = notebook(
        with_output("a", {"image/png": png, "text/plain": "<Figure size 640x480 with 1 Axes>"}),
        with_output("b", {"image/png": png, "text/plain": 'p95 "12 s" <b>'}),
        with_output("c", {"image/svg+xml": "<svg onload='alert(1)'/>"}),
    )
    page = export.page_of(cells, name="question")
    texts = []
    reader = HTMLParser()
    reader.handle_starttag = lambda tag, attributes: (
        texts.append(dict(attributes)["alt"]) if tag == "img" else None
    )
    reader.feed(page)
    assert texts == ["Figure; its numbers are in the text around it", 'p95 "12 s" <b>', "Figure"]
    assert "onload" not in page


def test_a_sentence_that_a_picture_carries_is_read_on_the_page():
    cells = notebook(with_output("explore(jobs)", {"image/png": "iVBORw0KGgo=", "text/plain": "Explorer: x"}))
    cells.cells[0].outputs[0].metadata = {"image/png": {"alt": "p95 is 12 s <b> for 3 jobs."}}
    page = export.page_of(cells, name="question")
    assert "<figcaption>p95 is 12 s &lt;b&gt; for 3 jobs.</figcaption>" in page
    assert page.count("p95 is 12 s") == 1


def test_html_comes_before_svg_before_png_before_text():
    everything = {
        "text/html": "<i>html</i>",
        "image/svg+xml": "<svg/>",
        "image/png": "iVBORw0KGgo=",
        "text/plain": "plain",
    }
    order = ["<i>html</i>", "data:image/svg+xml", "data:image/png", "<pre>plain"]
    for first in range(4):
        left = dict(list(everything.items())[first:])
        page = export.page_of(notebook(with_output("x", left)), name="q").partition("<main>")[2]
        assert [mark in page for mark in order] == [place == first for place in range(4)]


def test_code_can_be_left_out_and_the_title_is_the_first_heading():
    cells = notebook(v4.new_markdown_cell("# Is it *slow*? <b>"), v4.new_code_cell("secret_code = 1"))
    with_code, without = export.page_of(cells, name="q"), export.page_of(cells, name="q", code=False)
    assert "secret_code" in with_code
    assert "secret_code" not in without
    assert "<title>Is it *slow*? &lt;b&gt;</title>" in with_code


@pytest.mark.slow
def test_a_notebook_runs_with_parameters_and_is_not_changed(tmp_path):
    path = saved(
        tmp_path,
        v4.new_markdown_cell("# Run"),
        PARAMETERS,
        v4.new_code_cell("print('tag is', tag, days + 1)"),
    )
    before = path.read_bytes()
    written = export.export_notebook(path, tmp_path / "out.html", parameters={"days": 41, "tag": "<b>翻译"})
    assert "tag is &lt;b&gt;翻译 42" in written.read_text(encoding="utf-8")
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.html", "question.ipynb"]


@pytest.mark.slow
def test_a_failing_cell_is_named_the_page_stays_and_the_traceback_is_beside_it(tmp_path):
    old = tmp_path / "out.html"
    old.write_text("old", encoding="utf-8")
    path = saved(tmp_path, v4.new_markdown_cell("# Run"), PARAMETERS, v4.new_code_cell("1 / 0  # boom"))
    with pytest.raises(
        NotebookError, match=r"failed in cell 3 \(1 / 0  # boom\): ZeroDivisionError: division by zero"
    ):
        export.export_notebook(path, old, parameters={"days": 1})
    assert old.read_text(encoding="utf-8") == "old"
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "out.failed.html",
        "out.html",
        "question.ipynb",
    ]
    assert "ZeroDivisionError" in (tmp_path / "out.failed.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_notebook_saved_after_a_run_blames_the_cell_that_fails_in_this_run(tmp_path):
    """Every cell carries the times and outputs of a run that went well."""
    cells = [v4.new_code_cell(source) for source in ("a = 1", "b = 1 / 0", "print('old output')")]
    for number, cell in enumerate(cells, 1):
        cell.metadata["execution"] = {"iopub.status.busy": "2026-11-01T00:00:00Z"}
        cell.outputs = [v4.new_output("stream", text="old output")]
        cell.execution_count = number
    path = saved(tmp_path, *cells)
    with pytest.raises(NotebookError, match=r"failed in cell 2 \(b = 1 / 0\): ZeroDivisionError") as caught:
        export.export_notebook(path, tmp_path / "out.html")
    assert caught.value.__notes__ == [f"What came until then is in {tmp_path / 'out.failed.html'}."]
    page = (tmp_path / "out.failed.html").read_text(encoding="utf-8")
    assert "ZeroDivisionError" in page
    assert "<pre>old output" not in page


@pytest.mark.slow
def test_a_cell_that_takes_too_long_is_stopped_and_named(tmp_path):
    path = saved(tmp_path, v4.new_code_cell("import time; time.sleep(600)"))
    with pytest.raises(
        NotebookError, match=r"failed in cell 1 .*stopped after 2 s; give it more with --timeout"
    ):
        export.export_notebook(path, tmp_path / "out.html", timeout=2)
    assert not (tmp_path / "out.html").exists()


@pytest.mark.slow
def test_a_kernel_that_dies_is_said(tmp_path):
    path = saved(tmp_path, v4.new_code_cell("import os; os._exit(1)"))
    with pytest.raises(NotebookError, match=r"failed in cell 1 .*the kernel died"):
        export.export_notebook(path, tmp_path / "out.html", timeout=60)


def test_a_kernel_that_is_not_installed_is_said(tmp_path):
    cells = notebook(v4.new_code_cell("1"))
    cells.metadata["kernelspec"] = {"name": "no-such-kernel", "display_name": "x", "language": "x"}
    with pytest.raises(NotebookError, match=r"wants the kernel 'no-such-kernel', which is not installed"):
        export.run_notebook(cells, folder=tmp_path, name="q.ipynb")


def test_a_folder_that_is_not_there_is_said(tmp_path):
    from cosai_nb.views.page import write_page

    with pytest.raises(FileError, match="cannot be written to"):
        write_page(tmp_path / "no" / "such" / "page.html", "x")
