"""The command ``docs``: the reference of all public names, built by pdoc from the docstrings, without network.

It is kept in the user's cache folder, and built again when the package or pdoc has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import itertools
import os
import re
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cosai_nb as cn
from cosai_nb import arguments, cli
from cosai_nb.errors import FileError, SettingsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

PAGES = ("cosai_nb", "cosai_nb.views.plots", "cosai_nb.scale", "cosai_nb.emulator", "cosai_nb.errors")
_ANCHOR = re.compile(r'<(?:section|div|dd) id="([\w.]+)"')
_NO_HEADER = re.compile(r"<thead>(?:\s|\\n|</?tr>|<th></th>)*</thead>")
_EDGE = re.compile(r"( *)=+( +=+)+ *")
"""The upper, the middle or the lower line of a table in a docstring."""


def add(commands: Any) -> None:
    """Declare the command."""
    changed = {"no-open": {"help": "build and print the path only"}}
    cli.add_command(commands, run_docs, "name out no-open", **changed)


def run_docs(args: argparse.Namespace) -> int:
    """Open the reference of all functions and classes in the browser; built without network."""
    import webbrowser

    cli.need("pdoc", "The reference is built by pdoc", "docs")
    try:
        if args.out is None:
            folder = _kept()
        else:
            folder = args.out
            build(folder)
    except OSError as error:
        where = error.filename or args.out or "the cache folder"
        raise FileError(
            f"The reference cannot be written to {where} ({error.strerror}); name another folder with --out."
        ) from error
    page, anchor = section_of(args.name, folder) if args.name else (f"{PAGES[0]}.html", "")
    file = (folder / page).resolve()
    cli.show_message(f"{file}{anchor}")
    if not (args.no_open or webbrowser.open(file.as_uri() + anchor)):
        cli.tell("no browser was found here: open that file in one.")
    return cli.DONE


def _kept() -> Path:
    """Return the folder in the user's cache that holds the reference of these sources, built where it does not."""
    package = Path(cn.__file__).parent
    state = [cn.__version__, version("pdoc"), str(package)]
    for file in sorted(package.rglob("*.py")):
        about = file.stat()
        state.append(f"{file.relative_to(package)} {about.st_size} {about.st_mtime_ns}")
    key = hashlib.sha256("\n".join(state).encode()).hexdigest()
    home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or "~/.cache"
    cache = arguments.path(home) / "cosai_nb"
    name = f"reference-{hashlib.sha256(str(package).encode()).hexdigest()[:8]}"
    folder = cache / f"{name}-{key[:16]}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as room:
            new = Path(room) / "new"
            build(new)
            with contextlib.suppress(OSError):  # another process was faster: its pages are the same
                new.rename(folder)
        for old in {*cache.glob(f"{name}*")} - {folder}:
            shutil.rmtree(old, ignore_errors=True)
    return folder


def build(folder: Path) -> None:
    """Write the pages, their index and what the search reads."""
    import pdoc.doc
    import pdoc.render

    for name in dir(cn):
        vars(cn)[name] = getattr(cn, name)  # pdoc looks up what is there, not what is loaded when it is used
    pdoc.render.configure(docformat="numpy")
    modules = {name: pdoc.doc.Module.from_name(name) for name in PAGES}
    whole: Any = modules[PAGES[0]]
    whole.submodules = [modules[name] for name in PAGES[1:]]
    columns = whole.members["COLUMNS"]  # a value, which has no docstring of its own
    columns.default_value = inspect.Signature.empty
    said = pdoc.doc.Module.from_name("cosai_nb.schema").members["COLUMNS"].docstring
    rows = [f"| `{c.name}` | {c.dtype} | {c.unit} | {c.meaning} |" for c in cn.COLUMNS.values()]
    table = "\n".join(["| column | dtype | unit | meaning |", "|---|---|---|---|", *rows])
    columns.docstring = f"{said}\n\n{table}"
    for doc in _all_of(modules.values()):
        # a page is linked by the name of its module
        doc.docstring = as_markdown(doc.docstring).replace("cosai_nb.plots.", "cosai_nb.views.plots.")
    pages = {
        f"{name.replace('.', '/')}.html": pdoc.render.html_module(module, modules)
        for name, module in modules.items()
    }
    pages |= {"index.html": pdoc.render.html_index(modules), "search.js": pdoc.render.search_index(modules)}
    for name, text in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(_NO_HEADER.sub("", text), encoding="utf-8")


def _all_of(docs: Iterable[Any]) -> Iterator[Any]:
    """Yield modules, and what is in them and in their classes."""
    for doc in docs:
        yield doc
        if doc.kind in {"module", "class"}:
            yield from _all_of([one for one in doc.members.values() if one.kind != "module"])


def as_markdown(docstring: str) -> str:
    """Return a docstring with its tables in Markdown: pdoc reads neither them nor ``::`` of reStructuredText.

    Examples
    --------
    >>> print(as_markdown('''Counts.
    ...
    ... ====== ==========
    ... jobs   how many
    ...        there are
    ... ====== =========='''))
    Counts.
    <BLANKLINE>
    | | |
    |---|---|
    | jobs | how many there are |
    """
    text = re.sub(r"^ *::\n", "", docstring, flags=re.MULTILINE)
    lines = re.sub(
        r"::$|:`~", lambda found: ":" if found[0] == "::" else ":`", text, flags=re.MULTILINE
    ).splitlines()
    shown: list[str] = []
    while lines:
        line = lines.pop(0)
        if not _EDGE.fullmatch(line):
            shown.append(line)
            continue
        starts = [run.start() for run in re.finditer("=+", line)]
        header, rows = [""] * len(starts), list[list[str]]()
        while lines:
            part = lines.pop(0)
            if _EDGE.fullmatch(part):
                if not lines or not lines[0].strip():
                    break
                (header,), rows = rows, []
                continue
            cells = [part[a:b].strip().replace("|", "\\|") for a, b in itertools.pairwise([*starts, None])]
            if rows and not cells[0]:
                rows[-1] = [" ".join(filter(None, pair)) for pair in zip(rows[-1], cells, strict=True)]
            else:
                rows.append(cells)
        indent = " " * starts[0]
        table = [" | ".join(["", *row, ""]).strip() for row in (header, *rows)]
        table.insert(1, "|---" * len(starts) + "|")
        shown += [indent + row for row in table]
    return "\n".join(shown)


def section_of(name: str, folder: Path) -> tuple[str, str]:
    """Return the page of a name and the anchor of its section; SettingsError names the nearest known one."""
    known: dict[str, tuple[str, str]] = {}
    for module in PAGES:
        page = f"{module.replace('.', '/')}.html"
        anchors = _ANCHOR.findall((folder / page).read_text(encoding="utf-8"))
        for prefix in (f"{module}.", f"{module.rpartition('.')[2]}.", ""):
            known |= {
                prefix + anchor: (page, f"#{anchor}") for anchor in anchors if prefix or anchor not in known
            }
        known |= {module: (page, ""), module.rpartition(".")[2]: (page, "")}
    bare = name.strip().removesuffix("()").removeprefix("cn.")
    if bare not in known:
        near = arguments.nearest(bare, known)
        hint = f"did you mean {near}?" if near else "`cosai-nb docs` lists all names."
        raise SettingsError(f"There is no public name {name!r}: {hint}")
    return known[bare]
