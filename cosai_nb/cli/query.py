"""``cosai-nb query``: a file of job IDs in, a file of jobs out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:
    """Declare the command."""
    command = commands.add_parser("query", help="query the jobs of a file of IDs and save the frame")
    command.add_argument("ids", type=Path, help="text file with one job ID a line; - reads standard input")
    command.add_argument("-o", "--output", type=Path, required=True, help="where to write: .parquet or .csv")
    command.add_argument(
        "--excel-safe", action="store_true", help="CSV: keep spreadsheets from running cells as formulas"
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Query, save, and say what became of each ID."""
    import warnings

    from cosai_nb.errors import CosaiWarning, DeniedError
    from cosai_nb.query import fetch_jobs
    from cosai_nb.table.files import write_jobs

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CosaiWarning)
        try:
            jobs = fetch_jobs(read_ids(args.ids))
        except DeniedError as error:
            if error.jobs is not None and (error.jobs["state"].notna()).any():
                write_jobs(error.jobs, args.output, excel_safe=args.excel_safe)
                error.add_note(f"They are saved in {args.output}.")
            raise
    write_jobs(jobs, args.output, excel_safe=args.excel_safe)
    for warning in caught:
        print(f"cosai-nb: {warning.message}", file=sys.stderr)
    counts = jobs["outcome"].value_counts()
    told = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items() if count)
    print(f"{len(jobs):,} jobs in {args.output}: {told or 'no IDs were given'}")
    return 3 if len(jobs) and (jobs["outcome"] == "unread").any() else 0


def read_ids(path: Path) -> list[str]:
    """Return the IDs of a file: one a line, blank lines and lines that begin with # left out.

    Raises
    ------
    FileError
        Where the file cannot be read as UTF-8 text.
    """
    from cosai_nb.errors import FileError

    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise FileError(
            f"The IDs in {path} cannot be read ({reason}): give a text file with one ID a line."
        ) from None
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
