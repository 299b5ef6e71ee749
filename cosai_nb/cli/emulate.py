"""``cosai-nb emulate``: the emulator for anything that speaks HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:
    """Declare the command."""
    command = commands.add_parser("emulate", help="serve the emulator on 127.0.0.1 until Ctrl-C")
    command.add_argument("--port", type=int, default=0, help="port (default: any free one)")
    command.add_argument("--seed", type=int, default=7, help="seed of the simulated week (default: 7)")
    command.set_defaults(run=run, wrong=command.error)


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from cosai_nb.emulator import serve

    try:
        serve(port=args.port, seed=args.seed)
    except (OSError, ValueError) as error:
        args.wrong(f"--port {args.port} cannot be had ({error}); leave it out for a free one")
    return 0
