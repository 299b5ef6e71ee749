"""``cosai-nb demo``: the whole path on the emulator, from job IDs to a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:
    """Declare the command."""
    command = commands.add_parser(
        "demo", help="query 20,000 emulated jobs over HTTP and write a report; needs no account"
    )
    command.add_argument(
        "-o", "--output", type=Path, default=Path("cosai-report.html"), help="default: %(default)s"
    )
    command.add_argument("--seed", type=int, default=7, help="seed of the simulated week (default: 7)")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Start the emulator, query every job, show what came of it and write the report."""
    import time

    import pandas as pd

    from cosai_nb.emulator import Emulator
    from cosai_nb.query import fetch_jobs
    from cosai_nb.stats.failures import failure_rates
    from cosai_nb.stats.latency import queue_latency
    from cosai_nb.table.files import check_folder
    from cosai_nb.views.report import write_report

    check_folder(args.output)
    with Emulator(seed=args.seed) as emulator:
        print(
            f"Emulator on {emulator.url}: a simulated week of {len(emulator.job_ids):,} jobs, signatures checked."
        )
        started = time.perf_counter()
        jobs = fetch_jobs(emulator.job_ids, client=emulator.client(), progress=True)
        seconds = time.perf_counter() - started
        print(f"{len(jobs):,} jobs read in {seconds:.1f} s by {len(emulator.requests):,} signed requests.\n")
    shown = ["job_id", "tag", "outcome", "creation_time", "queue_latency_s", "run_time_s"]
    with pd.option_context("display.width", 120, "display.max_columns", None):
        print(jobs[shown].head().to_string(index=False), "\n")
        latency, failures = queue_latency(jobs, by="tag"), failure_rates(jobs, by="tag")
        print(summary(latency, failures).to_string(), "\n")
    write_report(jobs, args.output, title="A simulated week of AI jobs")
    print(f"Report: {args.output.resolve()} (one file, opens offline)")
    print("Next: open it; then `cosai-nb query IDS.txt -o jobs.parquet` with your own job IDs,")
    print("      or in a notebook: import cosai_nb as cn; jobs = cn.fetch_jobs(job_ids)")
    return 0


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
