"""``cosai-nb check``: are objectives met? An exit code that a pipeline or cron can act on.

An objective is met or missed only where the whole interval of its statistic lies on one side of the limit; else there is
not enough data to say. A read with holes in it says nothing either.
"""

from __future__ import annotations

import json
import math
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosai_nb.cli.asking import COULD_NOT_READ, INTERRUPTED, ask_aloud, read_source
from cosai_nb.cli.query import read_ids

if TYPE_CHECKING:
    import argparse

    import pandas as pd

P95 = 0.95
MET, MISSED, UNDECIDED = "met", "missed", "not enough data"
_MOST = 1e9
_EXIT = {MET: 0, MISSED: 1, UNDECIDED: 2}


def add(commands: Any) -> None:
    """Declare the command."""
    command = commands.add_parser(
        "check",
        help="check queue latency and failure rate against limits; the exit code tells",
        epilog="Exit codes: 0 met, 1 missed, 2 not enough data (or wrong usage), 3 could not read, 130 interrupted.",
    )
    command.add_argument("file", nargs="?", type=Path, help="a file that `query` or `list` wrote")
    command.add_argument(
        "--store", type=Path, help="a store to check; with --ids, where to remember what is asked"
    )
    command.add_argument("--ids", type=Path, help="query these IDs first; - reads standard input")
    command.add_argument(
        "--p95-wait", type=_limit, metavar="SECONDS", help="95 %% of the jobs start within this"
    )
    command.add_argument(
        "--failure-rate", type=_limit, metavar="SHARE", help="at most this share fails, such as 0.02"
    )
    command.add_argument("--tag", help="only this kind of job")
    command.add_argument("--queue", help="only this queue")
    command.add_argument(
        "--last",
        type=_limit,
        metavar="HOURS",
        help="only jobs created in these last hours before the newest sight",
    )
    command.add_argument("--json", action="store_true", help="one line of JSON instead of sentences")
    command.set_defaults(run=run, wrong=command.error)


def run(args: argparse.Namespace) -> int:
    """Read, check each limit and say what came out."""
    from cosai_nb.errors import CosaiError

    _check_usage(args)
    try:
        return _run(args)
    except Exception as error:  # Python's own exit code for what nobody caught is 1, which means missed here
        if args.json:
            _say_json({"result": "could not read", "reason": str(error)})
        if isinstance(error, CosaiError):
            raise
        traceback.print_exc()
        return COULD_NOT_READ


def _run(args: argparse.Namespace) -> int:
    jobs, code = _read(args)
    unread = int((jobs["outcome"] == "unread").sum())
    if code or unread:
        _say(args, {"result": "could not read", "reason": f"{unread:,} of {len(jobs):,} IDs were not read"})
        return INTERRUPTED if code == INTERRUPTED else COULD_NOT_READ
    told = _chosen(jobs, args)
    no_job = told["outcome"].isin(["not_found", "invalid_id"])
    left_out, real = told.loc[no_job, "outcome"].astype(str).value_counts(), told[~no_job]
    checks = list(_checks(real, args)) if len(real) else []
    results = [check["result"] for check in checks] or [UNDECIDED]
    result = next((kind for kind in (MISSED, UNDECIDED) if kind in results), MET)
    as_of = real["observed_at"].max()
    _say(
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


def _check_usage(args: argparse.Namespace) -> None:
    if args.p95_wait is None and args.failure_rate is None:
        args.wrong("nothing to check: give --p95-wait SECONDS, --failure-rate SHARE, or both")
    if args.failure_rate is not None and args.failure_rate > 1:
        args.wrong(f"--failure-rate {args.failure_rate:g} is a share: write 0.02 for 2 %")
    sources = [args.file is not None, args.ids is not None or args.store is not None]
    if sum(sources) != 1:
        args.wrong("say what to check: a FILE, or --store FOLDER, or --ids IDS.txt (with or without --store)")


def _read(args: argparse.Namespace) -> tuple[pd.DataFrame, int]:
    quiet = not sys.stderr.isatty()  # cron mails every word
    if args.ids is None:
        return ask_aloud(lambda: read_source(args, quiet=quiet))
    from cosai_nb.query import fetch_jobs

    ids = read_ids(args.ids)
    return ask_aloud(lambda: fetch_jobs(ids, store=args.store, progress=False if quiet else None))


def _chosen(jobs: pd.DataFrame, args: argparse.Namespace) -> pd.DataFrame:
    import pandas as pd

    if args.tag is not None:
        jobs = jobs[jobs["tag"] == args.tag]
    if args.queue is not None:
        jobs = jobs[jobs["queue_id"] == args.queue]
    if args.last is not None:
        jobs = jobs[jobs["creation_time"] >= jobs["observed_at"].max() - pd.Timedelta(hours=args.last)]
    return jobs


def _checks(jobs: pd.DataFrame, args: argparse.Namespace) -> Any:
    """Yield one finding a limit; value, low and high are a share of the jobs, low to high its 95 % interval."""
    from cosai_nb.stats.failures import failure_rates
    from cosai_nb.stats.latency import queue_latency
    from cosai_nb.stats.slo import check_slo

    if args.p95_wait is not None:
        slo = check_slo(jobs, threshold_s=args.p95_wait, target=P95).iloc[0]
        finding = _finding("p95_wait", slo["share"], slo["low"], slo["high"], at_least=P95)
        p95 = queue_latency(jobs, q=P95)["p95"].iloc[0]
        yield finding | {"limit_s": args.p95_wait, "p95_s": _finite(p95), "note": _text(slo["note"])}
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


def _say(args: argparse.Namespace, told: dict[str, Any]) -> None:
    if args.json:
        _say_json(told)
        return
    for check in told.get("checks", ()):
        print(_sentence(check))
    reason = told.get("reason") or f"{told['jobs']:,} jobs as of {told['as_of'] or 'no time'}"
    left_out = ", ".join(f"{number:,} {outcome}" for outcome, number in told.get("left_out", {}).items())
    print(f"{told['result']}: {reason}{f'; left out: {left_out}' if left_out else ''}")


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


def _say_json(told: dict[str, Any]) -> None:
    print(json.dumps(told, ensure_ascii=False))


def _limit(text: str) -> float:
    """Read a number from 0 to a thousand million; argparse turns the ValueError into a sentence."""
    number = float(text)
    if not 0 <= number <= _MOST:
        raise ValueError
    return number
