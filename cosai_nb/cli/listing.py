"""``cosai-nb list``: the jobs of a queue by creation time, without knowing their IDs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cosai_nb.cli.asking import add_destination, ask, need_destination

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:
    """Declare the command."""
    command = commands.add_parser(
        "list",
        help="list the jobs of a queue by creation time and save the frame",
        epilog="Times without a zone are in the service's own (+0800).",
    )
    command.add_argument("--tag", required=True, help="kind of job, such as Translation")
    command.add_argument("--queue", required=True, help="the queue's ID")
    command.add_argument("--start", required=True, help="created at or after, such as 2026-11-01")
    command.add_argument("--end", required=True, help="created before, such as 2026-11-08T12:00:00+0800")
    command.add_argument(
        "--state", action="append", metavar="STATE", help="only jobs in this state; may be repeated"
    )
    add_destination(command)
    command.set_defaults(run=run, wrong=command.error)


def run(args: argparse.Namespace) -> int:
    """List, save, and say what there was."""
    from cosai_nb.query import list_jobs

    need_destination(args)
    return ask(
        args,
        lambda: list_jobs(
            tag=args.tag,
            queue_id=args.queue,
            start=args.start,
            end=args.end,
            states=args.state,
            store=args.store,
        ),
    )
