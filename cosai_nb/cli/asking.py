"""What the commands that ask or read share: where jobs come from, words on stderr, and nothing that was read is lost."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    import pandas as pd

COULD_NOT_READ = 3
INTERRUPTED = 130


def add_source(command: Any) -> None:
    """Declare where a command that reads jobs finds them."""
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "file", nargs="?", type=Path, help="a file that `query` or `list` wrote: .parquet or .csv"
    )
    source.add_argument("--store", type=Path, help="a folder that `query --store` or `list --store` fills")


def read_source(args: argparse.Namespace, *, quiet: bool = False) -> pd.DataFrame:
    """Return the jobs of the file or store; say on stderr that they are being read, unless ``quiet``.

    Raises
    ------
    FileError
        Where there is none.
    """
    from cosai_nb.errors import FileError
    from cosai_nb.schema import COLUMNS
    from cosai_nb.table.files import read_jobs
    from cosai_nb.table.store import JobStore

    if not quiet:
        print(f"Reading {args.store or args.file} …", file=sys.stderr)
    if args.store is None:
        return read_jobs(args.file)
    if not args.store.is_dir():
        raise FileError(
            f"There is no store {args.store}: `cosai-nb query IDS.txt --store {args.store}` makes one."
        )
    return JobStore(args.store).jobs()[list(COLUMNS)]


def add_destination(command: Any) -> None:
    """Declare where a command that asks leaves what it read."""
    command.add_argument("-o", "--output", type=Path, help="write the frame to this file: .parquet or .csv")
    command.add_argument(
        "--store",
        type=Path,
        help="a folder to remember jobs in: what has ended is not asked again, and a killed run resumes",
    )
    command.add_argument(
        "--excel-safe", action="store_true", help="CSV: keep spreadsheets from running cells as formulas"
    )


def need_destination(args: argparse.Namespace) -> None:
    """Leave with a sentence where the command would throw away what it reads, before it asks for anything."""
    from cosai_nb.table.files import check_destination

    if args.output is None and args.store is None:
        args.wrong("say where to leave the jobs: -o FILE.parquet, --store FOLDER, or both")
    if args.output is not None:
        check_destination(args.output)


def ask(args: argparse.Namespace, call: Callable[[], pd.DataFrame]) -> int:
    """Ask, save what came however the call ends, say what became of the jobs, and return the exit code."""
    from cosai_nb.errors import CosaiError

    try:
        jobs, code = ask_aloud(call)
    except CosaiError as error:
        if error.jobs is not None and args.output is not None and error.jobs["state"].notna().any():
            _save(error.jobs, args)
            error.add_note(f"What was read is saved in {args.output}.")
        raise
    if code and not jobs["state"].notna().any():
        print("cosai-nb: nothing was read, and nothing is saved.", file=sys.stderr)
        return code
    _save(jobs, args)
    counts = jobs["outcome"].value_counts()
    told = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items() if count)
    places = " and ".join(str(place) for place in (args.output, args.store) if place is not None)
    print(f"{len(jobs):,} jobs in {places}: {told or 'none'}")
    return code


def ask_aloud(call: Callable[[], pd.DataFrame]) -> tuple[pd.DataFrame, int]:
    """Return the jobs of a call and the exit code that its warnings stand for; say the warnings on stderr."""
    import warnings

    from cosai_nb.errors import CosaiWarning, IncompleteWarning, InterruptedWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CosaiWarning)
        jobs = call()
    for warning in caught:
        print(f"cosai-nb: {warning.message}", file=sys.stderr)
    kinds = [warning.category for warning in caught]
    if InterruptedWarning in kinds:
        return jobs, INTERRUPTED
    return jobs, COULD_NOT_READ if IncompleteWarning in kinds else 0


def _save(jobs: pd.DataFrame, args: argparse.Namespace) -> None:
    from cosai_nb.table.files import write_jobs

    if args.output is not None:
        write_jobs(jobs, args.output, excel_safe=args.excel_safe)
