"""``cosai-nb report``: a store or a file of jobs in, one HTML page out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosai_nb.cli.asking import add_source, read_source

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:
    """Declare the command."""
    command = commands.add_parser("report", help="write the report of a store or file as one HTML file")
    add_source(command)
    command.add_argument(
        "-o", "--output", type=Path, default=Path("cosai-report.html"), help="default: %(default)s"
    )
    command.add_argument("--title", default="AI jobs", help="heading (default: %(default)s)")
    command.add_argument(
        "--tz", default="Asia/Shanghai", help="zone of the times shown (default: %(default)s)"
    )
    command.add_argument("--by", default="tag", help="column to group by (default: %(default)s)")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, write the page and say where it is."""
    from cosai_nb.views.report import write_report

    jobs = read_source(args)
    print(f"Writing the report of {len(jobs):,} jobs …", file=sys.stderr)
    written = write_report(jobs, args.output, title=args.title, tz=args.tz, by=args.by)
    print(f"{len(jobs):,} jobs in {written.resolve()} (one file, opens offline)")
    return 0
