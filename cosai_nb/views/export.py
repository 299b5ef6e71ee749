"""A notebook, run with parameters, as one HTML file that needs neither kernel nor network."""

from __future__ import annotations

import ast
import contextlib
import re
from typing import TYPE_CHECKING, Any

from markupsafe import escape

from cosai_nb import __version__, arguments
from cosai_nb.errors import FileError, NotebookError, SettingsError
from cosai_nb.views.page import ASSETS, asset, write_page
from cosai_nb.views.wording import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nbformat import NotebookNode

CELL_TIMEOUT_S = 600.0
INJECTED = "injected-parameters"
_SHOWN_FIRST = ["text/html", "image/svg+xml", "image/png", "image/jpeg", "text/markdown", "text/plain"]
_SCRIPT = re.compile(r"<script\b.*?</script\s*>", re.DOTALL | re.IGNORECASE)
_REACHES_OUT = re.compile(r"<(?=/?(?:script|meta|link|base|iframe|frame|object|embed|form)\b)", re.IGNORECASE)


class ParameterError(NotebookError, SettingsError):
    """A parameter that the notebook does not know, or whose value is no literal: what was asked for cannot be right."""


def export_notebook(
    notebook: str | Path,
    output: str | Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    timeout: float = CELL_TIMEOUT_S,
    code: bool = True,
) -> Path:
    """Run a notebook and write what came of it as a page in the look of the report.

    Parameters
    ----------
    notebook : str or Path
        An ``.ipynb`` file; it runs in its own folder and is not changed.
    output : str or Path
        The HTML file; it appears when it is whole.
    parameters : mapping of str to literal, optional
        Values for names that the cell tagged ``parameters`` assigns.
    timeout : float
        Seconds that one cell may take.
    code : bool
        Whether the page shows the code.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    NotebookError
        The notebook cannot be read, has no such parameter, or a cell fails: its number is named, ``output`` stays as it
        was, and what came until then, with the traceback, is in a page beside it whose name ends in ``.failed.html``. Also
        where ``nbconvert`` and ``nbclient`` are not installed.

    See Also
    --------
    parameter_names : what may be set.
    """
    require_extras()
    source = arguments.path(notebook)
    cells = inject(read_notebook(source), parameters or {}, name=source.name)
    page = arguments.path(output)
    try:
        run_notebook(cells, folder=source.resolve().parent, name=source.name, timeout=timeout)
    except NotebookError as error:
        if any(map(_has_started, cells.cells)):
            with contextlib.suppress(FileError):
                failed = write_page(
                    page.with_suffix(".failed.html"), page_of(cells, name=source.stem, code=code)
                )
                error.add_note(f"What came until then is in {failed}.")
        raise
    return write_page(page, page_of(cells, name=source.stem, code=code))


def require_extras() -> None:
    """Raise a NotebookError that says what to install, unless it is there."""
    try:
        import nbclient  # noqa: PLC0415 - an extra: asked for only when a notebook is exported
        import nbconvert  # noqa: PLC0415 - the same
    except ImportError as error:
        raise NotebookError(
            f"Notebooks are run and exported by {error.name}, which is not installed: pip install 'cosai_nb[report]'"
        ) from error
    del nbclient, nbconvert


def read_notebook(path: Path) -> NotebookNode:
    """Return the notebook of a file.

    Raises
    ------
    NotebookError
        It is not there, or is no notebook.
    """
    import nbformat  # noqa: PLC0415 - comes with the extra

    try:
        return nbformat.read(path, as_version=4)
    except OSError as error:
        raise NotebookError(f"The notebook {path} cannot be read ({error.strerror}).") from error
    except Exception as error:  # nbformat raises many kinds for what is no notebook
        raise NotebookError(f"The file {path} is no Jupyter notebook ({type(error).__name__}).") from error


def _parameters_cell(cells: NotebookNode) -> int | None:
    tagged = (i for i, cell in enumerate(cells.cells) if "parameters" in cell.metadata.get("tags", ()))
    return next((i for i in tagged if cells.cells[i].cell_type == "code"), None)


def parameter_names(cells: NotebookNode) -> list[str]:
    """Return the names that the cell tagged ``parameters`` assigns at its top level, in order."""
    place = _parameters_cell(cells)
    if place is None:
        return []
    try:
        statements = ast.parse(cells.cells[place].source).body
    except SyntaxError as error:
        raise NotebookError(
            f"The cell tagged `parameters` (cell {place + 1}) is not plain Python: {error.msg}, line {error.lineno}."
        ) from error
    targets: list[ast.expr] = []
    for statement in statements:
        if isinstance(statement, ast.Assign):
            targets += statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets.append(statement.target)
    return list(dict.fromkeys(target.id for target in targets if isinstance(target, ast.Name)))


def inject(cells: NotebookNode, parameters: Mapping[str, Any], *, name: str) -> NotebookNode:
    """Put a cell that sets the parameters behind the cell tagged ``parameters``.

    Raises
    ------
    ParameterError
        A name that the notebook does not know, or a value that is no literal.
    """
    import nbformat.v4  # noqa: PLC0415 - comes with the extra

    if not parameters:
        return cells
    known = parameter_names(cells)
    unknown = [given for given in parameters if given not in known]
    if unknown:
        there = f"it knows: {', '.join(known)}" if known else "no cell of it is tagged `parameters`"
        raise ParameterError(
            f"The notebook {name} has no parameter {', '.join(map(repr, unknown))}; {there}."
        )
    lines = [f"{key} = {_literal(key, value)}" for key, value in parameters.items()]
    cell = nbformat.v4.new_code_cell("\n".join(lines), metadata={"tags": [INJECTED]})
    place = _parameters_cell(cells)
    cells.cells.insert(0 if place is None else place + 1, cell)
    return cells


def _literal(key: str, value: Any) -> str:
    try:
        ast.literal_eval(repr(value))
    except (ValueError, SyntaxError) as error:
        raise ParameterError(
            f"The parameter {key} must be a Python literal (text, number, list …), not {type(value).__name__}."
        ) from error
    return repr(value)


def run_notebook(cells: NotebookNode, *, folder: Path, name: str, timeout: float = CELL_TIMEOUT_S) -> None:
    """Run all cells in place.

    Raises
    ------
    NotebookError
        A cell failed or took too long, or no kernel starts.
    """
    from jupyter_client.kernelspec import NoSuchKernel  # noqa: PLC0415 - comes with the extra
    from nbclient import NotebookClient  # noqa: PLC0415 - the same
    from nbclient.exceptions import (  # noqa: PLC0415 - the same
        CellExecutionError,
        CellTimeoutError,
        DeadKernelError,
    )

    for cell in cells.cells:  # what the run before this one left would name the wrong cell
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(cells, timeout=timeout, resources={"metadata": {"path": str(folder)}})
    try:
        client.execute()
    except CellExecutionError as error:
        raise NotebookError(
            f"{_failed_cell(cells, name)}: {error.ename}: {printable(error.evalue, longest=300)}"
        ) from None
    except CellTimeoutError:
        raise NotebookError(
            f"{_failed_cell(cells, name)}: it was stopped after {timeout:g} s; give it more with --timeout."
        ) from None
    except DeadKernelError:
        raise NotebookError(
            f"{_failed_cell(cells, name)}: the kernel died, perhaps for want of memory."
        ) from None
    except NoSuchKernel as error:
        raise NotebookError(
            f"The notebook {name} wants the kernel {printable(error.name)!r}, which is not installed; "
            "for Python: pip install 'cosai_nb[report]'"
        ) from None


def _failed_cell(cells: NotebookNode, name: str) -> str:
    """Name the cell that ran last, by its place in the file: the injected one does not count."""
    own = [cell for cell in cells.cells if INJECTED not in cell.metadata.get("tags", ())]
    started = [place for place, cell in enumerate(own) if _has_started(cell)]
    place = started[-1] if started else 0
    first_line = own[place].source.strip().splitlines()[:1] or [""]
    return f"The notebook {name} failed in cell {place + 1} ({printable(first_line[0], longest=60)})"


def _has_started(cell: NotebookNode) -> bool:
    return "iopub.status.busy" in cell.metadata.get("execution", {})


def page_of(cells: NotebookNode, *, name: str, code: bool = True) -> str:
    """Return a run notebook as an HTML page that asks for nothing.

    Parameters
    ----------
    cells : nbformat.NotebookNode
        The notebook with its outputs.
    name : str
        Title where the notebook has no heading.
    code : bool
        Whether the page shows the code.
    """
    from nbconvert import HTMLExporter  # noqa: PLC0415 - an extra
    from traitlets.config import Config  # noqa: PLC0415 - comes with it

    exporter = HTMLExporter(
        config=Config({"NbConvertBase": {"display_data_priority": _SHOWN_FIRST}}),
        extra_template_basedirs=[str(ASSETS)],
        template_name="notebook",
        exclude_input=not code,
    )
    exporter.register_filter("page_alt", alt_text)
    page = {
        "title": _title(cells, name),
        "css": asset("page.css") + asset("notebook.css"),
        "made": f"Made by cosai_nb {__version__} from the notebook {name}. Widgets and formulas stand as their last figure and text.",
    }
    html, _ = exporter.from_notebook_node(cells, resources={"page": page})
    head, mark, body = str(html).partition("<main>")
    return head + mark + inert(body)


def inert(html: str) -> str:
    """Return markup in which nothing runs, redirects or loads.

    The page's policy forbids scripts and requests already; it cannot forbid a redirect by ``<meta>``, and each thing
    it refuses is an error in the reader's console. The bleach filter of nbconvert would take the tables apart.

    Examples
    --------
    >>> inert('<script>alert(1)</script><table><tr><td>1</td></tr></table><meta http-equiv="refresh">')
    '<table><tr><td>1</td></tr></table>&lt;meta http-equiv="refresh">'
    """
    return _REACHES_OUT.sub("&lt;", _SCRIPT.sub("", html))


def alt_text(text: str) -> str:
    """Return what stands for a picture, safe in an attribute.

    Examples
    --------
    >>> alt_text("<Figure size 640x480 with 1 Axes>"), alt_text('p95 "12 s"')
    ('Figure; its numbers are in the text around it', 'p95 &#34;12 s&#34;')
    """
    if re.fullmatch(r"<[\w.]+ .*>", text.strip(), re.DOTALL) or not text.strip():
        return "Figure; its numbers are in the text around it"
    return str(escape(printable(text, longest=500)))


def _title(cells: NotebookNode, name: str) -> str:
    for cell in cells.cells:
        heading = (
            re.search(r"^#\s+(.+)$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        )
        if heading:
            return printable(heading[1].strip())
    return printable(cells.metadata.get("title", name))
