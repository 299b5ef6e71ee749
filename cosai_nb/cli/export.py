"""``cosai-nb export``: a notebook, run with parameters, as one page that opens offline."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:
    """Declare the command."""
    command = commands.add_parser(
        "export", help="run a notebook with parameters and save it as one HTML file"
    )
    command.add_argument("notebook", type=Path, help="the .ipynb file; it is not changed")
    command.add_argument(
        "-p", "--parameter", action="append", default=[], metavar="NAME=VALUE",
        help="set a name of the cell tagged `parameters`; a Python literal, else text; may be repeated",
    )  # fmt: skip
    command.add_argument(
        "-o", "--output", type=Path, help="default: the notebook's name with .html, in this folder"
    )
    command.add_argument(
        "--timeout", type=float, default=600.0, help="seconds a cell may take (default: 600)"
    )
    command.add_argument("--no-code", action="store_true", help="leave the code out of the page")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run and export the notebook."""
    from cosai_nb.views.export import export_notebook

    output = args.output or Path(args.notebook.with_suffix(".html").name)
    parameters = dict(map(parse_parameter, args.parameter))
    written = export_notebook(
        args.notebook, output, parameters=parameters, timeout=args.timeout, code=not args.no_code
    )
    print(f"{written.resolve()} (one file, opens offline)")
    return 0


def parse_parameter(text: str) -> tuple[str, Any]:
    """Return name and value of ``name=value``; what is no Python literal is text.

    Examples
    --------
    >>> parse_parameter("days=7"), parse_parameter("tag=Translation"), parse_parameter("note=a=b")
    (('days', 7), ('tag', 'Translation'), ('note', 'a=b'))
    """
    from cosai_nb.errors import SettingsError

    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise SettingsError(f"The parameter {text!r} is not NAME=VALUE; write for example -p days=7.")
    try:
        literal = ast.literal_eval(value)
        ast.literal_eval(repr(literal))  # 1e999 is a literal, but its repr, inf, is none
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return name, value
    return name, literal
