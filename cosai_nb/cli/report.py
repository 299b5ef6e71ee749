"""``cosai-nb report``: a store or a file of jobs in, one HTML page out."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from cosai_nb.cli.asking import add_source, read_source


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
    command.add_argument("--by", help="column to group by (default: tag)")
    command.add_argument(
        "--slo",
        type=_slo,
        metavar="SECONDS:TARGET",
        help="600:0.95 asks that 95%% of the jobs start within 600 s",
    )
    command.add_argument(
        "--max-failure-rate", type=float, metavar="SHARE", help="share of the jobs that may fail: 0.01 is 1%%"
    )
    command.set_defaults(run=run)


def _slo(text: str) -> tuple[float, float]:
    seconds, colon, target = text.partition(":")
    try:
        asked = float(seconds), float(target)
    except ValueError:
        asked = math.nan, math.nan
    if not (colon and asked[0] >= 0 and 0 < asked[1] <= 1):
        raise argparse.ArgumentTypeError(f"{text!r} is not SECONDS:TARGET, as in 600:0.95")
    return asked


def run(args: argparse.Namespace) -> int:
    """Read, write the page and say where it is."""
    from cosai_nb.errors import SettingsError
    from cosai_nb.views.report import write_report

    jobs = read_source(args)
    if args.by is not None and args.by not in jobs.columns:
        raise SettingsError(
            f"--by {args.by}: the jobs have no such column; they have: {', '.join(map(str, jobs.columns))}."
        )
    print(f"Writing the report of {len(jobs):,} jobs …", file=sys.stderr)
    written = write_report(
        jobs,
        args.output,
        title=args.title,
        tz=args.tz,
        by=args.by or "tag",
        slo=args.slo,
        max_failure_rate=args.max_failure_rate,
    )
    print(f"{len(jobs):,} jobs in {written.resolve()} (one file, opens offline)")
    return 0
