"""The commands that judge jobs: ``check``, whose exit code a pipeline or cron can act on, and ``report``.

An objective is met or missed where that is a fact about these jobs, whatever becomes of those that may still go either way:
:func:`cosai_nb.check_slo` says which, as it does in the report. Whether another week would end the same is told beside it
(``long_run``). A read with holes in it says nothing.
"""

from __future__ import annotations

import csv
import math
import re
import time
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import cosai_nb as cn
from cosai_nb import arguments, cli
from cosai_nb.cli import notify
from cosai_nb.cli.ask import json_of, read_ids, settings
from cosai_nb.errors import CosaiError, FileError, SettingsError
from cosai_nb.schema import UNFINISHED

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pandas as pd

P95 = 0.95
_MOST_NAMED = 8
_CHANGING = re.compile(r"\S*\d\S*")  # numbers, times and IDs in a sentence that is told once
MET, MISSED, UNDECIDED, NO_DATA, UNREAD = "met", "missed", "undecided", "no data", "could not read"
_EXIT = {MET: cli.DONE, MISSED: cli.MISSED, UNDECIDED: cli.NOT_ENOUGH_DATA, NO_DATA: cli.NOT_ENOUGH_DATA}


def add(commands: Any) -> None:
    """Declare the commands."""
    chosen = "file store slo p95-wait failure-rate tag queue start end last"
    store = {"help": "jobs that `query` or `list` stored"}
    both = {"help": f"{store['help']}; with --ids, where to remember them"}
    checked = f"{chosen} --ids json deadline family notify --state remind form title"
    title = {"help": "what the hook is told this check is called (default: %(default)s)"}
    cli.add_command(commands, run_check, checked, store=both, title=title, epilog=cli.EXIT_CODES)
    shown = f"{chosen} since output title by tz markers keep watch family bucket"
    listed = {"help": "with --watch: list this bucket instead of COSAI_BUCKET; may be repeated"}
    family = {"help": "with --watch: family of jobs (default: ai)"}
    ended = "Exit code 0 where Ctrl-C or SIGTERM ends a watch."
    cli.add_command(
        commands, run_report, shown, store=store, output=cli.PAGE, bucket=listed, family=family, epilog=ended
    )


def run_check(args: argparse.Namespace) -> int:
    """Check queue latency and failure rate against limits; the exit code tells."""
    if args.slo is None and args.p95_wait is None and args.failure_rate is None:
        args.wrong(
            "nothing to check: give --slo DURATION:SHARE, --p95-wait DURATION, --failure-rate SHARE, or several"
        )
    if (args.file is not None) == (args.ids is not None or args.store is not None):
        args.wrong("say what to check: a FILE, or --store FOLDER, or --ids IDS.txt (with or without --store)")
    if args.ids is None and (args.deadline is not None or args.family is not None):
        args.wrong("--deadline and --family are for --ids, which queries first")
    hook = notify.hook_of(args)
    try:
        told, code = _check(args)
    except Exception as error:
        if args.json:
            cli.show_message(json_of({"result": UNREAD, "reason": str(error)}))
        if hook is not None:  # what nobody foresaw may quote anything
            reason = str(error) if isinstance(error, CosaiError) else type(error).__name__
            told = {"result": UNREAD, "reason": reason}
            notify.tell(hook, told, _in_words(told))
        raise
    cli.show_message(json_of(told) if args.json else _in_words(told))
    if hook is not None and code != cli.INTERRUPTED:
        notify.tell(hook, told, _in_words(told))
    return code


def _check(args: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Return what came out, and its exit code."""
    if args.ids is None:
        jobs, code = cli.ask_aloud(lambda: _read(args))
    else:
        from cosai_nb import query

        ids = read_ids(args.ids)
        jobs, code = cli.ask_aloud(
            lambda: query.fetch_jobs(ids, **settings(args, "progress", "store", "deadline"))
        )
    unread = int((jobs["outcome"] == "unread").sum())
    if code or unread:
        reason = f"{unread:,} of {len(jobs):,} IDs were not read"
        return {"result": UNREAD, "reason": reason}, code or cli.COULD_NOT_READ
    told = _chosen(jobs, args)
    no_job = told["outcome"].isin(["not_found", "invalid_id"])
    left_out, real = told.loc[no_job, "outcome"].astype(str).value_counts(), told[~no_job]
    checks = list(_checks(told, args)) if len(real) else []
    results = [check["result"] for check in checks] or [NO_DATA]
    result = next((kind for kind in (MISSED, UNDECIDED, NO_DATA) if kind in results), MET)
    return {
        "result": result,
        "jobs": len(real),
        "left_out": {str(name): int(left_out[name]) for name in sorted(left_out.index)},
        "as_of": real["observed_at"].max().isoformat() if real["observed_at"].notna().any() else None,
        "checks": checks,
    }, _EXIT[result]


def run_report(args: argparse.Namespace) -> int:
    """Write the report of jobs as one HTML file."""
    from cosai_nb.table.files import check_folder

    if (args.file is None) == (args.store is None):
        args.wrong("say what to report: a FILE or --store FOLDER")
    if args.since is not None and (args.last is not None or args.start is not None):
        args.wrong("--since says which jobs to report: leave out --last and --start")
    if args.slo is not None and args.p95_wait is not None:
        args.wrong("a report shows one limit of the queue latency: give --slo or --p95-wait")
    if args.watch is None and (args.bucket is not None or args.family is not None):
        args.wrong("--bucket and --family are for --watch, which lists first")
    check_folder(args.output)
    if args.watch is not None:
        if args.store is None or not args.watch:
            args.wrong("--watch lists jobs into a store: say --store FOLDER, and how often, such as 15m")
        return _watch(args)
    number, written = _write(_read(args), args)
    if not args.quiet:
        cli.show_message(f"{number:,} jobs in {written.resolve()} (one file, opens offline)")
    return cli.DONE


def _write(jobs: pd.DataFrame, args: argparse.Namespace) -> tuple[int, Path]:
    """Write the page of the jobs that were chosen; return how many they are, and where it is."""
    jobs, previous = _chosen(jobs, args), None
    if args.since is not None:
        jobs, previous = _since(jobs, args.since)
        if previous.empty and args.keep is not None:
            previous = None
    if args.by not in ("auto", *jobs.columns):
        raise SettingsError(
            f"--by {args.by}: the jobs have no such column; they have: {', '.join(map(str, jobs.columns))}."
        )
    if cli.is_watched(args):
        cli.tell(f"writing the report of {len(jobs):,} jobs …")
    limits = {"slo": next(iter(_limits(args).values()), None), "max_failure_rate": args.failure_rate}
    shown = {"title": args.title, "tz": args.tz, "by": args.by, "keep": args.keep, "every": args.watch}
    markers = None if args.markers is None else _markers(args.markers)
    return len(jobs), cn.write_report(
        jobs, args.output, markers=markers, previous=previous, **shown, **limits
    )


def _since(jobs: pd.DataFrame, seconds: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the jobs created in this time before the newest observation, from a full hour on, and those of as long before."""
    import pandas as pd

    span = pd.Timedelta(seconds=seconds)
    begin = (jobs["observed_at"].max() - span).floor("h")
    created = jobs["creation_time"]
    return jobs[created >= begin], jobs[(created >= begin - span) & (created < begin)]


def _watch(args: argparse.Namespace) -> int:
    """List, write and wait until Ctrl-C or SIGTERM; what fails is told once, and the next round tries again."""
    client = settings(args).get("client") or cn.Client.from_env()
    there = at_first = len(cn.JobStore(args.store).jobs())
    pages, told_before = 0, dict[str, str]()
    try:
        while True:
            began, troubles = time.monotonic(), list[str]()
            with _noted(troubles, at_first=not pages):
                _list(args, client, troubles)
            with _noted(troubles, at_first=not pages):
                jobs = _read(args)
                new, there = len(jobs) - there, len(jobs)
                number, written = _write(jobs, args)
                pages += 1
                if not args.quiet:
                    clock = time.strftime("%H:%M:%S")
                    cli.show_message(f"{clock} {number:,} jobs in {written.resolve()}, {new:,} new")
            told = {_CHANGING.sub("", trouble): trouble for trouble in troubles}
            for kind in told.keys() - told_before.keys():
                cli.tell(f"{told[kind]} The watch goes on.")
            told_before = told
            time.sleep(max(began + args.watch - time.monotonic(), 0))
    except KeyboardInterrupt:
        times = f"{pages:,} {'time' if pages == 1 else 'times'}"
        new = there - at_first
        cli.show_message(f"watch ended: page written {times}, {new:,} new jobs in the store {args.store}.")
    return cli.DONE


@contextmanager
def _noted(troubles: list[str], *, at_first: bool) -> Iterator[None]:
    """Note what a round could not do; wrong settings end a watch that has not written a page."""
    try:
        yield
    except CosaiError as error:
        if at_first and isinstance(error, SettingsError):
            raise
        troubles.append(str(error))


def _list(args: argparse.Namespace, client: cn.Client | list[cn.Client], troubles: list[str]) -> None:
    """List what is new into the store, and query again what has not ended and was not listed."""
    from cosai_nb import query

    def ask(function: Callable[..., pd.DataFrame], *ids: Any, **said: Any) -> pd.DataFrame:
        call = partial(function, *ids, client=client, store=args.store, progress=False, **said)
        jobs, code = cli.ask_aloud(call, troubles.append)
        if code == cli.INTERRUPTED:
            raise KeyboardInterrupt
        return jobs

    span = args.since or args.last
    start = args.start or ("7d" if span is None else timedelta(seconds=span))
    window = {"start": start} if args.end is None else {"start": start, "end": args.end}
    listed = ask(query.list_jobs, tag=args.tag, queue_id=args.queue_id, **window)
    jobs = _chosen(cn.JobStore(args.store).jobs(), args, when=False)
    open_ = jobs["outcome"].isin(UNFINISHED) & ~jobs["forgotten"] & ~jobs["job_id"].isin(listed["job_id"])
    buckets = [one.bucket for one in (client if isinstance(client, list) else [client])]
    open_ &= jobs["bucket"].isin(buckets) | jobs["bucket"].isna()
    if open_.any():
        ask(query.fetch_jobs, jobs.loc[open_, "job_id"])


def _markers(file: Path) -> list[tuple[str, str]]:
    """Return the markers of a CSV file with the columns time and text."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines, restkey="more"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileError(f"The markers in {file} cannot be read ({error}).") from error
    if rows and not {"time", "text"} <= rows[0].keys():
        raise FileError(
            f"The markers in {file} lack the columns time and text; its first line must be: time,text"
        )
    return [(row["time"] or "", row["text"] or "") for row in rows]


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


def _chosen(jobs: pd.DataFrame, args: argparse.Namespace, *, when: bool = True) -> pd.DataFrame:
    """Return the jobs of these tags and queues that were created in this time, or at any."""
    import pandas as pd

    def moment(text: str, name: str) -> pd.Timestamp:
        return pd.Timestamp(arguments.moment(text, name, now=time.time()), unit="s", tz="UTC")

    for wanted, columns in ((args.tag, ["tag"]), (args.queue_id, ["queue_id", "queue_name"])):
        if wanted is not None:
            jobs = _having(jobs, wanted, [name for name in columns if name in jobs.columns])
    if not when:
        return jobs
    if args.last is not None:
        jobs = jobs[jobs["creation_time"] >= jobs["observed_at"].max() - pd.Timedelta(seconds=args.last)]
    if args.start is not None:
        jobs = jobs[jobs["creation_time"] >= moment(args.start, "--start")]
    return jobs if args.end is None else jobs[jobs["creation_time"] < moment(args.end, "--end")]


def _having(jobs: pd.DataFrame, wanted: list[str], columns: list[str]) -> pd.DataFrame:
    """Return the jobs that have one of these labels, in any case; a label that none has is told."""
    there = [str(label) for name in columns for label in jobs[name].dropna().unique()]
    folded = {text.casefold() for text in wanted}
    for text in wanted:
        if len(jobs) and text.casefold() not in map(str.casefold, there):
            near = arguments.nearest(text, there)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(sorted(there)[:_MOST_NAMED])}."
            cli.tell(f"no job here has the {columns[0].removesuffix('_id')} {text!r}: {hint}")
    chosen = [label for label in there if label.casefold() in folded]
    return jobs[jobs[columns].isin(chosen).any(axis=1)]


def _limits(args: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Return the limits of queue latency by the option that set them."""
    p95_wait = None if args.p95_wait is None else (args.p95_wait, P95)
    return {name: limit for name, limit in (("slo", args.slo), ("p95_wait", p95_wait)) if limit is not None}


def _checks(jobs: pd.DataFrame, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield one finding a limit; value, low and high are a share of the jobs, low to high its 95 % interval."""
    for name, (seconds, target) in _limits(args).items():
        slo = cn.check_slo(jobs, threshold_s=seconds, target=target, detail=True).iloc[0]
        p95 = cn.queue_latency(jobs, q=P95)["p95"].iloc[0]
        yield {
            "check": name,
            "result": str(slo["verdict"]),
            **_numbers(slo["share"], slo["low"], slo["high"]),
            "at_least": target,
            "long_run": str(slo["long_run"]),
            "limit_s": seconds,
            "p95_s": _finite(p95),
            "note": _text(slo["note"]),
        }
    if args.failure_rate is not None:
        yield _failures(cn.failure_rates(jobs).iloc[0], args.failure_rate)


def _failures(rate: pd.Series, most: float) -> dict[str, Any]:
    """Judge a failure rate by what the unfinished jobs can still make of it."""
    failed, unfinished = int(rate["failed"]), int(rate["unfinished"])
    owed = int(rate["ended"]) + unfinished
    sure, possible = failed / max(owed, 1), (failed + unfinished) / max(owed, 1)
    result = NO_DATA if not owed else MISSED if sure > most else MET if possible <= most else UNDECIDED
    long_run = MET if rate["high"] <= most else MISSED if rate["low"] > most else "not shown"
    numbers = _numbers(rate["rate"], rate["low"], rate["high"])
    told = {"at_most": most, "long_run": long_run, "note": _text(rate["note"])}
    return {"check": "failure_rate", "result": result} | numbers | told


def _numbers(value: float, low: float, high: float) -> dict[str, float | None]:
    return {"value": _finite(value), "low": _finite(low), "high": _finite(high)}


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
    note = f" (long run: {check['long_run']}{'; ' * bool(check['note'])}{check['note']})"
    if "limit_s" in check:
        p95 = "more than observed" if check["p95_s"] is None else f"{check['p95_s']:g} s"
        what = f"started within {check['limit_s']:g} s, {check['at_least']:.0%} must; p95 is {p95}"
    else:
        what = f"failed, at most {check['at_most']:.2%} may"
    return f"{check['check']}: {check['result']}: {measured} {what}{note}"
