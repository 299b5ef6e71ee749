"""The commands around the service: ``demo``, ``export``, ``lab``, ``emulate``, ``metrics`` and ``completion``."""

from __future__ import annotations

import ast
import importlib.util
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cosai_nb as cn
from cosai_nb import cli
from cosai_nb.errors import FileError, SettingsError

if TYPE_CHECKING:
    import argparse

PACKAGED = Path(__file__).parents[1] / "notebooks"  # in a wheel
CHECKOUT = Path(__file__).parents[2] / "notebooks"  # in a checkout


def add(commands: Any) -> None:
    """Declare the commands."""
    page = {"help": "default: the notebook's name with .html, in this folder"}
    bash = 'For bash: eval "$(cosai-nb completion bash)" in ~/.bashrc.'
    cli.add_command(commands, run_demo, "output seed", output=cli.PAGE)
    cli.add_command(commands, run_export, "notebook parameter output timeout no-code", output=page)
    cli.add_command(commands, run_lab, "folder no-open")
    cli.add_command(commands, run_emulate, "port seed")
    told = {
        "store": {"required": True, "help": "the store to count, whoever fills it"},
        "port": {"default": None, "help": "serve them on this port of 127.0.0.1; 0: any free one"},
        "every": {"default": None, "help": "pause between two looks at the store (default: 10s; --textfile: look once)"},
        "last": {"default": 86_400.0, "help": "the projected p95 and the failure ratio are of jobs created in this time (default: 24h)"},
    }  # fmt: skip
    cli.add_command(commands, run_metrics, "store port textfile every last most", **told)
    cli.add_command(commands, run_completion, "shell", epilog=bash)


def run_demo(args: argparse.Namespace) -> int:
    """Query 20,000 emulated jobs over HTTP and write a report; needs no account."""
    import pandas as pd

    from cosai_nb.table.files import check_folder

    check_folder(args.output)
    with cn.Emulator(seed=args.seed) as emulator:
        ids = emulator.job_ids
        cli.show_message(
            f"Emulator on {emulator.url}: a simulated week of {len(ids):,} jobs, signatures checked."
        )
        started = time.perf_counter()
        client = emulator.client()
        watched = cli.is_watched(args)
        jobs, code = cli.ask_aloud(lambda: cn.fetch_jobs(ids, client=client, progress=watched))
        if code:
            return code
        seconds = time.perf_counter() - started
        asked = len(emulator.requests)
        jobs = cn.name_queues(jobs, cn.list_queues(client=client))
        cli.show_message(f"{len(jobs):,} jobs read in {seconds:.1f} s by {asked:,} signed requests.\n")
    shown = ["job_id", "tag", "outcome", "creation_time", "queue_latency_s", "run_time_s"]
    with pd.option_context("display.width", 120, "display.max_columns", None):
        cli.show_message(f"{jobs[shown].head().to_string(index=False)}\n")
        table = summary(cn.queue_latency(jobs, by="tag"), cn.failure_rates(jobs, by="tag"))
        cli.show_message(f"{table.to_string()}\n")
    cn.write_report(jobs, args.output, title="A simulated week of AI jobs")
    cli.show_message(
        f"Report: {args.output.resolve()} (one file, opens offline)\n"
        "Next: open it; then `cosai-nb query IDS.txt -o jobs.parquet` with your own job IDs,\n"
        "      or in a notebook: import cosai_nb as cn; jobs = cn.fetch_jobs(job_ids)"
    )
    return cli.DONE


def summary(latency: Any, failures: Any) -> Any:
    """Return queue latency and failure rate side by side, in words a terminal can show."""
    table = latency[["jobs", "waiting"]].copy()
    for quantile in ("p50", "p95"):
        table[f"queue latency {quantile} (s)"] = latency[quantile].round(1)
    table["failed"] = [
        f"{rate:.1%} ({low:.1%} to {high:.1%})"
        for rate, low, high in zip(failures["rate"], failures["low"], failures["high"], strict=True)
    ]
    return table


def run_export(args: argparse.Namespace) -> int:
    """Run a notebook with parameters and save it as one HTML file."""
    from cosai_nb.views.export import export_notebook

    output = args.output or Path(args.notebook.with_suffix(".html").name)
    settings = {
        "parameters": dict(map(parse_parameter, args.parameter)),
        "timeout": args.timeout,
        "code": not args.no_code,
    }
    written = export_notebook(args.notebook, output, **settings)
    cli.show_message(f"{written.resolve()} (one file, opens offline)")
    return cli.DONE


def parse_parameter(text: str) -> tuple[str, Any]:
    """Return name and value of ``name=value``; what is no Python literal is text.

    Examples
    --------
    >>> parse_parameter("days=7"), parse_parameter("tag=Translation"), parse_parameter("note=a=b")
    (('days', 7), ('tag', 'Translation'), ('note', 'a=b'))
    """
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise SettingsError(f"The parameter {text!r} is not NAME=VALUE; write for example -p days=7.")
    try:
        literal = ast.literal_eval(value)
        ast.literal_eval(repr(literal))  # 1e999 is a literal, but its repr, inf, is none
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return name, value
    return name, literal


def run_lab(args: argparse.Namespace) -> int:
    """Copy the tutorials into a folder and open JupyterLab on them."""
    import subprocess

    copied, kept = copy_tutorials(args.folder)
    left = f", {kept} of yours left as they are" if kept else ""
    cli.show_message(f"{copied} tutorials copied to {args.folder.resolve()}{left}")
    if args.no_open:
        return cli.DONE
    if importlib.util.find_spec("jupyterlab") is None:
        cli.show_message(
            "JupyterLab is not installed. Either: pip install 'cosai_nb[lab]' and run this again,\n"
            "or open the folder in the Jupyter that you have (VS Code, Notebook, a hub)."
        )
        return cli.DONE
    code = subprocess.run([sys.executable, "-m", "jupyterlab", str(args.folder)], check=False).returncode  # noqa: S603 - our own interpreter and a folder, no shell
    return cli.COULD_NOT_READ if code == 1 else code  # 1 means missed here


def copy_tutorials(folder: Path) -> tuple[int, int]:
    """Copy the tutorials; a file that differs from ours is never overwritten.

    Returns
    -------
    tuple of int
        How many were copied, and how many were there with other contents and were left alone.
    """
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


def run_emulate(args: argparse.Namespace) -> int:
    """Serve the emulator on 127.0.0.1 until Ctrl-C."""
    from cosai_nb.emulator import serve

    try:
        serve(port=args.port, seed=args.seed)
    except (OSError, ValueError) as error:
        args.wrong(f"--port {args.port} cannot be had ({error}); leave it out for a free one")
    return cli.DONE


def run_metrics(args: argparse.Namespace) -> int:
    """Serve the numbers of a store as OpenMetrics, or write them to a file for node_exporter."""
    if (args.port is None) == (args.textfile is None):
        args.wrong("say where the numbers go: --port N, or --textfile FILE")
    if not args.store.is_dir():
        raise FileError(f"There is no store {args.store}: `cosai-nb list --store {args.store}` makes one.")
    cli.need("prometheus_client", "Metrics are written by prometheus-client", "metrics")
    from cosai_nb.cli import metrics

    return metrics.run(args)


def run_completion(args: argparse.Namespace) -> int:
    """Print what a shell needs to complete this command."""
    cli.need("shtab", "Completion is written by shtab", "completion")
    import shtab

    whole = cli.parser()
    for command in next(dict(action.choices) for action in whole._actions if action.choices).values():  # noqa: SLF001 - argparse has no other way
        for action in command._actions:  # noqa: SLF001 - the same
            if action.metavar in {"FILE", "FOLDER", "IDS"}:
                action.complete = shtab.FILE
    cli.show_message(shtab.complete(whole, shell=args.shell))
    return cli.DONE
