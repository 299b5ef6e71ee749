"""The commands that judge jobs: ``check``, whose exit code a pipeline or cron can act on, and ``report``.

An objective is met or missed only where the whole interval of its statistic lies on one side of the limit; else there is
not enough data to cli.say. A read with holes in it says nothing either.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from cosai_nb import arguments, cli
from cosai_nb.cli.ask import json_of, read_ids, settings

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
    cli.add_command(
        commands, run_check, f"{chosen} --ids json deadline family", store=store, epilog=cli.EXIT_CODES,
        help="check queue latency and failure rate against limits; the exit code tells",
    )  # fmt: skip
    cli.add_command(
        commands, run_report, f"{chosen} output title by tz", store=store, output=cli.PAGE,
        help="write the report of jobs as one HTML file",
    )  # fmt: skip


def run_check(args: argparse.Namespace) -> int:
    """Read, check each limit and say what came out."""
    if args.slo is None and args.p95_wait is None and args.failure_rate is None:
        args.wrong(
            "nothing to check: give --slo DURATION:SHARE, --p95-wait DURATION, --failure-rate SHARE, or several"
        )
    if (args.file is not None) == (args.ids is not None or args.store is not None):
        args.wrong("say what to check: a FILE, or --store FOLDER, or --ids IDS.txt (with or without --store)")
    try:
        return _check(args)
    except Exception as error:
        if args.json:
            cli.say(json_of({"result": "could not read", "reason": str(error)}))
        raise


def _check(args: argparse.Namespace) -> int:
    jobs, code = _asked_or_read(args)
    unread = int((jobs["outcome"] == "unread").sum())
    if code or unread:
        _say_check(
            args, {"result": "could not read", "reason": f"{unread:,} of {len(jobs):,} IDs were not read"}
        )
        return cli.INTERRUPTED if code == cli.INTERRUPTED else cli.COULD_NOT_READ
    told = _chosen(jobs, args)
    no_job = told["outcome"].isin(["not_found", "invalid_id"])
    left_out, real = told.loc[no_job, "outcome"].astype(str).value_counts(), told[~no_job]
    checks = list(_checks(real, args)) if len(real) else []
    results = [check["result"] for check in checks] or [UNDECIDED]
    result = next((kind for kind in (MISSED, UNDECIDED) if kind in results), MET)
    as_of = real["observed_at"].max()
    _say_check(
        args,
        {
            "result": result,
            "jobs": len(real),
            "left_out": {str(name): int(left_out[name]) for name in sorted(left_out.index)},
            "as_of": None if as_of != as_of else as_of.isoformat(),  # noqa: PLR0124 - NaT
            "checks": checks,
        },
    )
    return _EXIT[result]


def run_report(args: argparse.Namespace) -> int:
    """Read, write the page and say where it is."""
    from cosai_nb.errors import SettingsError
    from cosai_nb.views.report import write_report

    if (args.file is None) == (args.store is None):
        args.wrong("say what to report: a FILE or --store FOLDER")
    jobs = _chosen(_read(args), args)
    if args.by is not None and args.by not in jobs.columns:
        raise SettingsError(
            f"--by {args.by}: the jobs have no such column; they have: {', '.join(map(str, jobs.columns))}."
        )
    if cli.is_watched(args):
        cli.tell(f"writing the report of {len(jobs):,} jobs …")
    written = write_report(
        jobs,
        args.output,
        title=args.title,
        tz=args.tz,
        by=args.by or "tag",
        slo=args.slo or (None if args.p95_wait is None else (args.p95_wait, P95)),
        max_failure_rate=args.failure_rate,
    )
    if not args.quiet:
        cli.say(f"{len(jobs):,} jobs in {written.resolve()} (one file, opens offline)")
    return cli.DONE


def _asked_or_read(args: argparse.Namespace) -> tuple[pd.DataFrame, int]:
    if args.ids is None:
        return cli.ask_aloud(lambda: _read(args))
    from cosai_nb.query import fetch_jobs

    ids = read_ids(args.ids)
    return cli.ask_aloud(lambda: fetch_jobs(ids, **settings(args, "progress", "store", "deadline")))


def _read(args: argparse.Namespace) -> pd.DataFrame:
    """Return the jobs of the file or store; FileError where there is none."""
    from cosai_nb.errors import FileError
    from cosai_nb.table.files import read_jobs
    from cosai_nb.table.store import JobStore

    if cli.is_watched(args):
        cli.tell(f"reading {args.store or args.file} …")
    if args.store is None:
        return read_jobs(args.file)
    if not args.store.is_dir():
        raise FileError(
            f"There is no store {args.store}: `cosai-nb query IDS.txt --store {args.store}` makes one."
        )
    return JobStore(args.store).jobs()


def _chosen(jobs: pd.DataFrame, args: argparse.Namespace) -> pd.DataFrame:
    """Return the jobs of these tags and queues that were created in this time."""
    import pandas as pd

    if args.tag is not None:
        jobs = jobs[jobs["tag"].isin(args.tag)]
    if args.queue is not None:
        names = [name for name in ("queue_id", "queue_name") if name in jobs.columns]
        jobs = jobs[jobs[names].isin(args.queue).any(axis=1)]
    created, now = jobs["creation_time"], time.time()
    chosen = pd.Series(data=True, index=jobs.index)
    if args.start is not None:
        chosen &= created >= pd.Timestamp(
            arguments.moment(args.start, "--start", now=now), unit="s", tz="UTC"
        )
    if args.end is not None:
        chosen &= created < pd.Timestamp(arguments.moment(args.end, "--end", now=now), unit="s", tz="UTC")
    if args.last is not None:
        chosen &= created >= jobs["observed_at"].max() - pd.Timedelta(seconds=args.last)
    return jobs[chosen]


def _checks(jobs: pd.DataFrame, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield one finding a limit; value, low and high are a share of the jobs, low to high its 95 % interval."""
    from cosai_nb.stats.failures import failure_rates
    from cosai_nb.stats.latency import queue_latency
    from cosai_nb.stats.slo import check_slo

    limits = {"slo": args.slo, "p95_wait": None if args.p95_wait is None else (args.p95_wait, P95)}
    for name, limit in limits.items():
        if limit is not None:
            seconds, target = limit
            slo = check_slo(jobs, threshold_s=seconds, target=target).iloc[0]
            finding = _finding(name, slo["share"], slo["low"], slo["high"], at_least=target)
            p95 = queue_latency(jobs, q=P95)["p95"].iloc[0]
            yield finding | {"limit_s": seconds, "p95_s": _finite(p95), "note": _text(slo["note"])}
    if args.failure_rate is not None:
        rate = failure_rates(jobs).iloc[0]
        finding = _finding("failure_rate", rate["rate"], rate["low"], rate["high"], at_most=args.failure_rate)
        yield finding | {"note": _text(rate["note"])}


def _finding(
    name: str, value: float, low: float, high: float, *, at_least: float = 0.0, at_most: float = 1.0
) -> dict[str, Any]:
    """Judge an interval: it decides only where it lies on one side, and where there is none nothing is decided."""
    missed, met = high < at_least or low > at_most, low >= at_least and high <= at_most
    result = MISSED if missed else MET if met else UNDECIDED
    bound = {"at_least": at_least} if at_least else {"at_most": at_most}
    return {
        "check": name,
        "result": result,
        "value": _finite(value),
        "low": _finite(low),
        "high": _finite(high),
    } | bound


def _finite(number: float) -> float | None:
    """Return what JSON can hold: it knows neither NaN nor infinity."""
    return round(float(number), 6) if math.isfinite(number) else None


def _text(note: object) -> str:
    return note if isinstance(note, str) else ""


def _say_check(args: argparse.Namespace, told: dict[str, Any]) -> None:
    if args.json:
        cli.say(json_of(told))
        return
    for check in told.get("checks", ()):
        cli.say(_sentence(check))
    reason = told.get("reason") or f"{told['jobs']:,} jobs as of {told['as_of'] or 'no time'}"
    left_out = ", ".join(f"{number:,} {outcome}" for outcome, number in told.get("left_out", {}).items())
    cli.say(f"{told['result']}: {reason}{f'; left out: {left_out}' if left_out else ''}")


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
