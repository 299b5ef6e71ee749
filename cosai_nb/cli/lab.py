"""``cosai-nb lab``: the tutorials, copied here and opened in JupyterLab."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

PACKAGED = Path(__file__).parents[1] / "notebooks"  # in a wheel
CHECKOUT = Path(__file__).parents[2] / "notebooks"  # in a checkout


def add(commands: Any) -> None:
    """Declare the command."""
    command = commands.add_parser("lab", help="copy the tutorials into a folder and open JupyterLab on them")
    command.add_argument(
        "folder", nargs="?", type=Path, default=Path("cosai-tutorials"), help="default: %(default)s"
    )
    command.add_argument("--no-open", action="store_true", help="copy only")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Copy what is not there yet, and open it."""
    import importlib.util
    import subprocess
    import sys

    copied, kept = copy_tutorials(args.folder)
    print(
        f"{copied} tutorials copied to {args.folder.resolve()}"
        + (f", {kept} of yours left as they are" if kept else "")
    )
    if args.no_open:
        return 0
    if importlib.util.find_spec("jupyterlab") is None:
        print("JupyterLab is not installed. Either: pip install 'cosai_nb[lab]' and run this again,")
        print("or open the folder in the Jupyter that you have (VS Code, Notebook, a hub).")
        return 0
    return subprocess.run([sys.executable, "-m", "jupyterlab", str(args.folder)], check=False).returncode  # noqa: S603 - our own interpreter and a folder, no shell


def copy_tutorials(folder: Path) -> tuple[int, int]:
    """Copy the tutorials; a file that differs from ours is never overwritten.

    Returns
    -------
    tuple of int
        How many were copied, and how many were there with other contents and were left alone.
    """
    from cosai_nb.errors import FileError

    source = next((place for place in (PACKAGED, CHECKOUT) if any(place.glob("*.ipynb"))), None)
    if source is None:
        raise FileError("This installation holds no tutorials; install the wheel, or run it in a checkout.")
    copied = kept = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for tutorial in sorted(source.glob("*.ipynb")):
            there = folder / tutorial.name
            if not there.exists():
                there.write_bytes(tutorial.read_bytes())
                copied += 1
            elif there.read_bytes() != tutorial.read_bytes():
                kept += 1
    except OSError as error:
        raise FileError(f"The tutorials cannot be copied to {folder} ({error.strerror}).") from error
    return copied, kept
