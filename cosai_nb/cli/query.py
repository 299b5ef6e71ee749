"""``cosai-nb query``: a file of job IDs in, a file or a store of jobs out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosai_nb.cli.asking import add_destination, ask, need_destination

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:
    """Declare the command."""
    command = commands.add_parser("query", help="query the jobs of a file of IDs and save the frame")
    command.add_argument("ids", type=Path, help="text file with one job ID a line; - reads standard input")
    add_destination(command)
    command.set_defaults(run=run, wrong=command.error)


def run(args: argparse.Namespace) -> int:
    """Query, save, and say what became of each ID."""
    from cosai_nb.query import fetch_jobs

    need_destination(args)
    ids = read_ids(args.ids)
    return ask(args, lambda: fetch_jobs(ids, store=args.store))


def read_ids(path: Path) -> list[str]:
    """Return the IDs of a file: one a line, blank lines and lines that begin with # left out.

    Raises
    ------
    FileError
        Where the file cannot be read as UTF-8 text.
    """
    from cosai_nb.errors import FileError

    try:
        text = (sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise FileError(
            f"The IDs in {path} cannot be read ({reason}): give a text file with one ID a line."
        ) from None
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
