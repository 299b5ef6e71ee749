"""The commands that judge jobs: ``check``, whose exit code a pipeline or cron can act on, and ``report``.

An objective is met or missed only where the whole interval of its statistic lies on one side of the limit; else there is
not enough data to cli.say. A read with holes in it says nothing either.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import cosai_nb as cn
from cosai_nb import arguments, cli
from cosai_nb.cli.ask import json_of, read_ids, settings
from cosai_nb.errors import FileError, SettingsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    import pandas as pd

P95 = 0.95
MET, MISSED, UNDECIDED = "met", "missed", "not enough data"
_EXIT = {MET: cli.DONE, MISSED: cli.MISSED, UNDECIDED: cli.NOT_ENOUGH_DATA}


def add(commands: Any) -> None:
    """Declare the commands."""
    chosen = "file store slo p95-wait failure-rate tag queue start end last"
    store = {"help": "jobs that `query` or `list` stored; with --ids, where to remember them"}
    checked = f"{chosen} --ids json deadline family"
    cli.add_command(commands, run_check, checked, store=store, epilog=cli.EXIT_CODES)
    cli.add_command(commands, run_report, f"{chosen} output title by tz", store=store, output=cli.PAGE)


def run_check(args: argparse.Namespace) -> int:
    """Check queue latency and failure rate against limits; the exit code tells."""
    if args.slo is None and args.p95_wait is None and args.failure_rate is None:
        args.wrong(
            "nothing to check: give --slo DURATION:SHARE, --p95-wait DURATION, --failure-rate SHARE, or several"
        )
    if (args.file is not None) == (args.ids is not None or args.store is not None):
        args.wrong("say what to check: a FILE, or --store FOLDER, or --ids IDS.txt (with or without --store)")
    try:
        told, code = _check(args)
    except Exception as error:
        if args.json:
            cli.say(json_of({"result": "could not read", "reason": str(error)}))
        raise
    cli.say(json_of(told) if args.json else _in_words(told))
    return code


def _check(args: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Return what came out, and its exit code."""
    jobs, code = _asked_or_read(args)
    unread = int((jobs["outcome"] == "unread").sum())
    if code or unread:
        reason = f"{unread:,} of {len(jobs):,} IDs were not read"
        return {"result": "could not read", "reason": reason}, code or cli.COULD_NOT_READ
    told = _chosen(jobs, args)
    no_job = told["outcome"].isin(["not_found", "invalid_id"])
    left_out, real = told.loc[no_job, "outcome"].astype(str).value_counts(), told[~no_job]
    checks = list(_checks(real, args)) if len(real) else []
    results = [check["result"] for check in checks] or [UNDECIDED]
    result = next((kind for kind in (MISSED, UNDECIDED) if kind in results), MET)
    return {
        "result": result,
        "jobs": len(real),
        "left_out": {str(name): int(left_out[name]) for name in sorted(left_out.index)},
        "as_of": real["observed_at"].max().isoformat() if real["observed_at"].notna().any() else None,
        "checks": checks,
    }, _EXIT[result]


def run_report(args: argparse.Namespace) -> int:
    """Write the report of jobs as one HTML file."""
    if (args.file is None) == (args.store is None):
        args.wrong("say what to report: a FILE or --store FOLDER")
    jobs = _chosen(_read(args), args)
    if args.by not in jobs.columns:
        raise SettingsError(
            f"--by {args.by}: the jobs have no such column; they have: {', '.join(map(str, jobs.columns))}."
        )
    if cli.is_watched(args):
        cli.tell(f"writing the report of {len(jobs):,} jobs …")
    limits = {"slo": next(iter(_limits(args).values()), None), "max_failure_rate": args.failure_rate}
    written = cn.write_report(jobs, args.output, title=args.title, tz=args.tz, by=args.by, **limits)
    if not args.quiet:
        cli.say(f"{len(jobs):,} jobs in {written.resolve()} (one file, opens offline)")
    return cli.DONE


def _asked_or_read(args: argparse.Namespace) -> tuple[pd.DataFrame, int]:
    if args.ids is None:
        return cli.ask_aloud(lambda: _read(args))
    from cosai_nb import query

    ids = read_ids(args.ids)
    return cli.ask_aloud(lambda: query.fetch_jobs(ids, **settings(args, "progress", "store", "deadline")))


def _read(args: argparse.Namespace) -> pd.DataFrame:
    """Return the jobs of the file or store; FileError where there is none."""
    if cli.is_watched(args):
        cli.tell(f"reading {args.store or args.file} …")
    if args.store is None:
        return cn.read_jobs(args.file)
    if not args.store.is_dir():
        raise FileError(
            f"There is no store {args.store}: `cosai-nb query IDS.txt --store {args.store}` makes one."
        )
    return cn.JobStore(args.store).jobs()


def _chosen(jobs: pd.DataFrame, args: argparse.Namespace) -> pd.DataFrame:
    """Return the jobs of these tags and queues that were created in this time."""
    import pandas as pd

    def moment(text: str, name: str) -> pd.Timestamp:
        return pd.Timestamp(arguments.moment(text, name, now=time.time()), unit="s", tz="UTC")

    if args.tag is not None:
        jobs = jobs[jobs["tag"].isin(args.tag)]
    if args.queue_id is not None:
        names = [name for name in ("queue_id", "queue_name") if name in jobs.columns]
        jobs = jobs[jobs[names].isin(args.queue_id).any(axis=1)]
    if args.last is not None:
        jobs = jobs[jobs["creation_time"] >= jobs["observed_at"].max() - pd.Timedelta(seconds=args.last)]
    if args.start is not None:
        jobs = jobs[jobs["creation_time"] >= moment(args.start, "--start")]
    return jobs if args.end is None else jobs[jobs["creation_time"] < moment(args.end, "--end")]


def _limits(args: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Return the limits of queue latency by the option that set them."""
    p95_wait = None if args.p95_wait is None else (args.p95_wait, P95)
    return {name: limit for name, limit in (("slo", args.slo), ("p95_wait", p95_wait)) if limit is not None}


def _checks(jobs: pd.DataFrame, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield one finding a limit; value, low and high are a share of the jobs, low to high its 95 % interval."""
    for name, (seconds, target) in _limits(args).items():
        slo = cn.check_slo(jobs, threshold_s=seconds, target=target).iloc[0]
        finding = _finding(name, slo["share"], slo["low"], slo["high"], at_least=target)
        p95 = cn.queue_latency(jobs, q=P95)["p95"].iloc[0]
        yield finding | {"limit_s": seconds, "p95_s": _finite(p95), "note": _text(slo["note"])}
    if args.failure_rate is not None:
        rate = cn.failure_rates(jobs).iloc[0]
        finding = _finding("failure_rate", rate["rate"], rate["low"], rate["high"], at_most=args.failure_rate)
        yield finding | {"note": _text(rate["note"])}


def _finding(
    name: str, value: float, low: float, high: float, *, at_least: float = 0.0, at_most: float = 1.0
) -> dict[str, Any]:
    """Judge an interval: it decides only where it lies on one side, and where there is none nothing is decided."""
    missed, met = high < at_least or low > at_most, low >= at_least and high <= at_most
    result = MISSED if missed else MET if met else UNDECIDED
    bound = {"at_least": at_least} if at_least else {"at_most": at_most}
    numbers = {"value": _finite(value), "low": _finite(low), "high": _finite(high)}
    return {"check": name, "result": result} | numbers | bound


def _finite(number: float) -> float | None:
    """Return what JSON can hold: it knows neither NaN nor infinity."""
    return round(float(number), 6) if math.isfinite(number) else None


def _text(note: object) -> str:
    return note if isinstance(note, str) else ""


def _in_words(told: dict[str, Any]) -> str:
    reason = told.get("reason") or f"{told['jobs']:,} jobs as of {told['as_of'] or 'no time'}"
    left_out = ", ".join(f"{number:,} {outcome}" for outcome, number in told.get("left_out", {}).items())
    last = f"{told['result']}: {reason}{f'; left out: {left_out}' if left_out else ''}"
    return "\n".join([*map(_sentence, told.get("checks", ())), last])


def _sentence(check: dict[str, Any]) -> str:
    shares = {key: "?" if check[key] is None else f"{check[key]:.2%}" for key in ("value", "low", "high")}
    measured = "{value} [{low} to {high}]".format(**shares)
    note = f" ({check['note']})" if check["note"] else ""
    if "limit_s" in check:
        p95 = "not reached" if check["p95_s"] is None else f"{check['p95_s']:g} s"
        what = f"started within {check['limit_s']:g} s, {check['at_least']:.0%} must; p95 is {p95}"
    else:
        what = f"failed, at most {check['at_most']:.2%} may"
    return f"{check['check']}: {check['result']}: {measured} {what}{note}"
