"""The command ``cosai-nb``: one module a sub-command, imported only when it runs.

A command module has ``add(commands)``, which declares its arguments and sets ``run``, and ``run(args)``, which returns
the exit code. Modules import nothing heavy at the top, so that ``--help`` is instant.

Exit codes: 0 done (or met), 1 missed, 2 not enough data or wrong usage, 3 could not read, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys

from cosai_nb import __version__
from cosai_nb.cli import check, demo, emulate, export, lab, listing, query, report
from cosai_nb.cli.asking import COULD_NOT_READ, INTERRUPTED
from cosai_nb.errors import IN_JOBS, CosaiError


def parser() -> argparse.ArgumentParser:
    """Return the whole command line."""
    top = argparse.ArgumentParser(
        prog="cosai-nb",
        description="Tencent Cloud CI AI jobs: query them by ID, and see queue latency and failure rates.",
        epilog="Credentials come from COS_SECRET_ID and COS_SECRET_KEY, the bucket from COSAI_BUCKET and COSAI_REGION. "
        "`cosai-nb demo` needs none of them.",
    )
    top.add_argument("--version", action="version", version=f"cosai-nb {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (demo, query, listing, check, report, export, lab, emulate):
        command.add(commands)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run ``cosai-nb`` and return its exit code.

    Parameters
    ----------
    argv : list of str, optional
        Arguments; default those of the process.
    """
    args = parser().parse_args(argv)
    try:
        return int(args.run(args))
    except CosaiError as error:
        for sentence in (str(error), *getattr(error, "__notes__", [])):
            if sentence != IN_JOBS:
                print(f"cosai-nb: {sentence}", file=sys.stderr)
        return COULD_NOT_READ
    except KeyboardInterrupt:
        print("cosai-nb: interrupted.", file=sys.stderr)
        return INTERRUPTED
