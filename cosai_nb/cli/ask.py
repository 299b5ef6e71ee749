"""The commands that ask the service: ``query``, ``list``, ``watch``, ``queues`` and ``describe``.

However a call ends, what was read is saved; where nothing was read, a file that was there stays as it is.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

import cosai_nb as cn
from cosai_nb import arguments, cli
from cosai_nb.errors import CosaiError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    import pandas as pd

STREAM = "-"
_STREAMED = ("csv", "jsonl")
_AN_ID = re.compile(r"(?=.*[0-9])[A-Za-z0-9_-]{8,}")
_NOT_READ = ["unread", "invalid_id"]
_LISTED = ("tag", "queue_id", "start", "end", "states")


def add(commands: Any) -> None:
    """Declare the commands."""
    asked, saved = "deadline family", "output format store excel-safe"
    cli.add_command(commands, run_query, f"ids {saved} column strict {asked} bucket")
    every_tag, week = "Without --tag and --queue: all of them.", {"default": "7d"}
    listed = f"tag queue state start end {saved} column {asked} bucket"
    cli.add_command(commands, run_list, listed, start=week, epilog=every_tag)
    cli.add_command(commands, run_watch, f"ids every {saved} strict {asked}")
    shapes = {"choices": _STREAMED, "help": "default: what the file's name ends in, else a table to read"}
    place = {"help": "write them to this file"}
    cli.add_command(commands, run_queues, f"output format {asked} bucket", output=place, format=shapes)
    cli.add_command(commands, run_describe, f"id {asked}")


def run_query(args: argparse.Namespace) -> int:
    """Query jobs by ID and save them."""
    return _ask(args, "fetch_jobs")


def run_list(args: argparse.Namespace) -> int:
    """List jobs by creation time and save them."""
    return _ask(args, "list_jobs", *_LISTED)


def run_watch(args: argparse.Namespace) -> int:
    """Query jobs again and again until all have ended."""
    return _ask(args, "watch_jobs", "every")


def run_queues(args: argparse.Namespace) -> int:
    """List the queues of the bucket, or of several."""
    from cosai_nb import query
    from cosai_nb.table.files import check_folder
    from cosai_nb.views.page import write_page

    shape, to_file = args.format or _ending(args), args.output is not None and not _is_streamed(args)
    if shape in ("parquet", "xlsx"):
        args.wrong("queues are written as .csv, as .jsonl, or as a table to read, such as .txt")
    if to_file:
        check_folder(args.output)
    queues, code = cli.ask_aloud(lambda: query.list_queues(**settings(args, "deadline")))
    if shape == "csv":
        text = queues.to_csv(index=False)
    elif shape == "jsonl":
        text = queues.to_json(orient="records", lines=True, date_format="iso", force_ascii=not _is_unicode())
    else:
        text = queues.to_string(index=False)
    if to_file:
        write_page(args.output, f"{text.rstrip()}\n")
    else:
        cli.show_message(text.rstrip("\n"))
    return code


def run_describe(args: argparse.Namespace) -> int:
    """Print all that is known of one job, as JSON."""
    from cosai_nb import query

    answer, code = cli.ask_aloud(lambda: query.describe_job(args.id, **settings(args, "deadline")))
    cli.show_message(json_of(answer, indent=2))
    if answer["Response"].get("NonExistJobIds"):
        cli.tell(f"the service knows no job {args.id}.")
        return cli.COULD_NOT_READ
    return code


def read_ids(places: Sequence[str]) -> list[str]:
    """Return the IDs of files, of standard input, and those that are named themselves."""
    ids: list[str] = []
    for place in places:
        if place == STREAM:
            ids += cn.read_ids(sys.stdin.buffer)
        elif _AN_ID.fullmatch(place) and not arguments.path(place).exists():
            ids.append(place)
        else:
            ids += cn.read_ids(place)
    return ids


def json_of(value: Any, *, indent: int | None = None) -> str:
    """Return JSON in which text that standard output cannot hold is escaped as JSON escapes it."""
    return json.dumps(value, ensure_ascii=not _is_unicode(), indent=indent)


def _is_unicode() -> bool:
    return str(getattr(sys.stdout, "encoding", "")).lower().startswith("utf")


def settings(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return what was said of these arguments, of the family of jobs and of further columns."""
    args.progress = None if cli.is_watched(args) else False
    said = {name: getattr(args, name) for name in names}
    family = {} if args.family is None else {"family": args.family}
    if buckets := getattr(args, "bucket", None):
        if len(buckets) > 1 and os.environ.get("COSAI_ENDPOINT"):
            args.wrong("several buckets have several endpoints: unset COSAI_ENDPOINT, which stands for one")
        said["client"] = [cn.Client.from_env(**family, **bucket) for bucket in buckets]
    elif family:
        said["client"] = cn.Client.from_env(**family)
    if getattr(args, "column", None):
        said["columns"] = dict(args.column)
    return said


def _check_destination(args: argparse.Namespace) -> None:
    """Leave with a sentence where the command would throw away what it reads, before it asks for anything."""
    from cosai_nb.table.files import check_destination

    if args.output is None and args.store is None and args.command != "watch":
        args.wrong("say where to leave the jobs: -o FILE.parquet, --store FOLDER, or both")
    shape = args.format or ("csv" if _is_streamed(args) else _ending(args))
    if args.output is None and args.format is not None:
        args.wrong("--format says how -o FILE is written: name the file")
    if args.excel_safe and shape != "csv":
        args.wrong("--excel-safe is for CSV alone: name a .csv with -o, or leave it out")
    if _is_streamed(args):
        if args.format not in (None, *_STREAMED):
            args.wrong(f"-o - prints {' or '.join(_STREAMED)}, not {args.format}: name a file for it")
    elif args.output is not None:
        check_destination(args.output, format=args.format)


def _ending(args: argparse.Namespace) -> str:
    return "" if args.output is None else str(args.output.suffix.lower().removeprefix("."))


def _is_streamed(args: argparse.Namespace) -> bool:
    return str(args.output) == STREAM


def _ask(args: argparse.Namespace, function: str, *names: str) -> int:
    """Ask, save what came however the call ends, say what became of the jobs, and return the exit code."""
    from cosai_nb import query

    _check_destination(args)
    ids = [] if function == "list_jobs" else [read_ids(args.ids)]
    said = settings(args, "progress", "store", "deadline", *names)
    try:
        jobs, code = cli.ask_aloud(lambda: getattr(query, function)(*ids, **said))
    except CosaiError as error:
        if args.output is not None and error.jobs is not None and _holds_an_answer(error.jobs):
            with cli.saving():
                _save(error.jobs, args)
            error.add_note(f"What was read is saved in {args.output}.")
        raise
    with cli.saving():
        counts = jobs["outcome"].value_counts()
        told = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items() if count)
        if not _holds_an_answer(jobs) and (code or len(jobs)):
            cli.tell(f"nothing was read, and nothing is saved{f' ({told})' if told else ''}.")
            return code or cli.COULD_NOT_READ
        _save(jobs, args)
        places = " and ".join(str(at) for at in (args.output, args.store) if at and str(at) != STREAM)
        if not args.quiet:
            show = cli.tell if _is_streamed(args) else cli.show_message
            show(f"{len(jobs):,} jobs{f' in {places}' if places else ''}: {told or 'none'}")
        return code or _strictly(args, jobs)


def _holds_an_answer(jobs: pd.DataFrame) -> bool:
    return not jobs["outcome"].isin(_NOT_READ).all()


def _strictly(args: argparse.Namespace, jobs: pd.DataFrame) -> int:
    lost = jobs.loc[jobs["outcome"].isin(["not_found", "invalid_id"]), "job_id"]
    if not getattr(args, "strict", False) or lost.empty:
        return cli.DONE
    first = f"the first is {lost.iloc[0]!r} (--strict)."
    cli.tell(f"{len(lost):,} of {len(jobs):,} IDs are unknown or invalid, {first}")
    return cli.COULD_NOT_READ


def _save(jobs: pd.DataFrame, args: argparse.Namespace) -> None:
    from cosai_nb.table.files import write_jobs

    if _is_streamed(args):
        with cli.pipe_may_close():
            sys.stdout.flush()
            write_jobs(jobs, sys.stdout.buffer, format=args.format or "csv", excel_safe=args.excel_safe)
            sys.stdout.buffer.flush()
    elif args.output is not None:
        write_jobs(jobs, args.output, format=args.format, excel_safe=args.excel_safe)
