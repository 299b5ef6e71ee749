"""The command ``cosai-nb``: exit codes, signals, output that never fails with a traceback, and the options commands share.

The commands are in ``ask`` (they ask the service), ``read`` (they judge what was saved; ``notify`` tells a hook), ``tools``
(``metrics`` counts for Prometheus) and ``docs``. Each of the four has ``add(commands)``, which declares its commands; each
command has a function that returns the exit code. Nothing heavy is imported at the top, so that ``--help`` is instant.

Exit codes: 0 done or met, 1 missed, 2 wrong usage, 3 could not read or write, 4 not enough data; 130 after Ctrl-C,
143 after SIGTERM, 129 after SIGHUP.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import logging
import os
import signal
import sys
import time
import traceback
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

from cosai_nb import __version__, arguments, errors
from cosai_nb.service.credentials import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

DONE, MISSED, WRONG_USAGE, COULD_NOT_READ, NOT_ENOUGH_DATA, INTERRUPTED = 0, 1, 2, 3, 4, 130
EXIT_CODES = "Exit codes: 0 done or met, 1 missed, 2 wrong usage, 3 could not read or write, 4 not enough data, 130 interrupted."
_BY_SIGNAL = 128  # what a shell adds to the number of the signal that ended a command
_log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Run ``cosai-nb`` and return its exit code.

    Parameters
    ----------
    argv : list of str, optional
        Arguments; default those of the process.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # text that the encoding lacks is escaped
    ended_by: list[int] = []
    with _signals_as_ctrl_c(ended_by):
        try:
            code = _run(parser().parse_args(argv))
        except KeyboardInterrupt:
            tell("interrupted.")
            code = INTERRUPTED
        finally:
            flushed = _flush()
    if code == INTERRUPTED and ended_by:
        return _BY_SIGNAL + ended_by[0]
    return code if flushed else COULD_NOT_READ


def _run(args: argparse.Namespace) -> int:
    if args.verbose:
        logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(name)s: %(message)s")
        logging.getLogger("cosai_nb").setLevel(logging.DEBUG if args.verbose > 1 else logging.INFO)
    began = time.monotonic()
    try:
        code = int(args.run(args))
    except errors.CosaiError as error:
        if args.verbose > 1:
            traceback.print_exc()
        for sentence in (str(error), *getattr(error, "__notes__", [])):
            if sentence != errors.IN_JOBS:
                tell(sentence)
        usage = isinstance(error, errors.SettingsError | errors.InvalidIdError)
        usage = usage and not isinstance(error, errors.CredentialsError)
        code = WRONG_USAGE if usage else COULD_NOT_READ
    except OSError as error:  # our files raise FileError: this one is standard output
        tell(f"the output cannot be written ({error.strerror or error}).")
        code = COULD_NOT_READ
    except Exception:  # noqa: BLE001 - Python's own exit code for what nobody caught is 1, which means missed here
        traceback.print_exc()
        code = COULD_NOT_READ
    _log.info("%s ended after %.1f s with exit code %d", args.command, time.monotonic() - began, code)
    return code


@contextlib.contextmanager
def _signals_as_ctrl_c(ended_by: list[int]) -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does, which saves what was read, and note their number."""

    def interrupt(number: int, _: object) -> None:
        ended_by.append(number)
        # a shell lets its background jobs ignore Ctrl-C
        if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    with _handled(interrupt, "SIGTERM", "SIGHUP"):
        yield


@contextlib.contextmanager
def saving() -> Iterator[None]:
    """Hold signals back until what was read is saved."""
    held: list[int] = []
    with _handled(lambda number, _: held.append(number), "SIGINT", "SIGTERM", "SIGHUP"):
        yield
    for number in held[:1]:
        signal.raise_signal(number)


@contextlib.contextmanager
def _handled(handler: Callable[[int, Any], Any], *names: str) -> Iterator[None]:
    before = {}
    for number in (getattr(signal, name) for name in names if hasattr(signal, name)):  # Windows has no SIGHUP
        # one that is ignored stays so, for nohup; and only the main thread may set a handler
        if signal.getsignal(number) is not signal.SIG_IGN:
            with contextlib.suppress(ValueError):
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def show_message(text: str) -> None:
    """Print a result; where the reader of the pipe is gone, nobody misses it, and the exit code stays what it is."""
    with pipe_may_close():
        print(f"{text}\n", end="", flush=True)  # in one write: a signal may come between two


def tell(sentence: str) -> None:
    """Print a sentence on standard error, if there is one."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(f"cosai-nb: {sentence}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def pipe_may_close() -> Iterator[None]:
    """Stop writing to standard output where its reader is gone, as after ``| head``."""
    try:
        yield
    except (BrokenPipeError, errors.CosaiError) as error:
        if not isinstance(error, BrokenPipeError) and not isinstance(error.__cause__, BrokenPipeError):
            raise
        _discard()


def _flush() -> bool:
    """Write out what waits to be written; False where that fails, so that Python does not fail over it at exit."""
    try:
        with pipe_may_close():
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError:
        _discard()
        return False
    return True


def _discard() -> None:
    """Send what is still written to standard output nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_watched(args: argparse.Namespace) -> bool:
    """Return whether somebody looks at standard error: cron mails every word, and a bar is many."""
    return not args.quiet and sys.stderr is not None and sys.stderr.isatty()


def ask_aloud(call: Callable[[], T], told: Callable[[str], None] = tell) -> tuple[T, int]:
    """Return the result of a call and the exit code that its warnings stand for; tell the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", errors.CosaiWarning)
        result = call()
    for warning in caught:
        told(str(warning.message))
    kinds = [warning.category for warning in caught]
    if errors.InterruptedWarning in kinds:
        return result, INTERRUPTED
    return result, COULD_NOT_READ if errors.IncompleteWarning in kinds else DONE


def need(module: str, what: str, extra: str) -> None:
    """Raise CosaiError where a module of an extra is not installed; ``what`` it is for begins the sentence."""
    if importlib.util.find_spec(module) is None:
        raise errors.CosaiError(f"{what}, which is not installed: pip install 'cosai_nb[{extra}]'")


def _column(text: str, _: str) -> tuple[str, str]:
    name, _, node = text.partition("=")
    arguments.check(columns={name: node})
    return name, node


def _whole(text: str, _: str) -> int:
    if not text.isdecimal():
        raise errors.SettingsError(f"{text!r} must be a whole number from 0 up.")
    return int(text)


def _bucket(text: str, _: str) -> dict[str, str]:
    name, _, region = text.partition("@")
    said = {"bucket": name, **({"region": region} if region else {})}
    arguments.check(**said)
    return said


_GRAMMARS: dict[str, Callable[[str, str], Any]] = {
    "DURATION": arguments.duration,
    "SHARE": arguments.share,
    "DURATION:SHARE": arguments.limit,
    "ZONE": lambda text, name: arguments.zone(text, name) and text,
    "NAME=PATH": _column,
    "URL": lambda text, _: Secret(text),
    "NAME[@REGION]": _bucket,
    "N": _whole,
    **dict.fromkeys(("FILE", "FOLDER"), lambda text, _: arguments.path(text)),
}
"""How an option is read whose value is called so."""
_IDS = "a file of job IDs (text, CSV, JSON, a saved frame …), an ID, or - for standard input"
_TIME = "2026-11-01, 2026-11-01T08:00:00Z (without a zone: +0800), or 7d for that long ago"
_COMMON = "version quiet verbose"
_OPTIONS: dict[str, dict[str, Any]] = {
    "version": {"action": "version", "version": f"cosai-nb {__version__}"},
    "quiet": {"flags": ["-q", "--quiet"], "action": "store_true", "help": "no progress, no summary"},
    "verbose": {"flags": ["-v", "--verbose"], "action": "count", "default": 0, "help": "log to standard error; -vv: more"},
    "ids": {"flags": ["ids"], "nargs": "+", "metavar": "IDS", "help": _IDS},
    "--ids": {"action": "append", "metavar": "IDS", "help": f"query first: {_IDS}"},
    "id": {"flags": ["id"], "metavar": "ID", "help": "the job's ID"},
    "file": {"flags": ["file"], "nargs": "?", "metavar": "FILE", "help": "jobs that `query` or `list` wrote"},
    "output": {"flags": ["-o", "--output"], "metavar": "FILE",
               "help": "write to this file: .parquet, .csv, .jsonl or .xlsx; - prints CSV or JSON lines"},
    "format": {"choices": ["parquet", "csv", "jsonl", "xlsx"], "help": "default: what the file's name ends in"},
    "store": {"metavar": "FOLDER", "help": "remember jobs here: ended jobs are not queried again, and a killed run resumes"},
    "excel-safe": {"action": "store_true", "help": "CSV: keep spreadsheets from running cells as formulas"},
    "column": {"action": "append", "metavar": "NAME=PATH",
               "help": "a further column, as bitrate=Operation/MediaInfo/Format/Bitrate (a path below JobsDetail)"},
    "strict": {"action": "store_true", "help": "exit code 3 where an ID is unknown or invalid"},
    "tag": {"action": "append", "help": "only this kind of job, such as Translation; may be repeated"},
    "queue": {"dest": "queue_id", "metavar": "QUEUE", "action": "append", "help": "only this queue, by ID or name; may be repeated"},
    "state": {"dest": "states", "metavar": "STATE", "action": "append", "help": "only jobs in this state; may be repeated"},
    "start": {"metavar": "TIME", "help": f"created at or after: {_TIME}"},
    "end": {"metavar": "TIME", "help": "created before (default: now)"},
    "last": {"metavar": "DURATION", "help": "only jobs created in this time before the newest observation, such as 36h"},
    "since": {"metavar": "DURATION", "help": "only jobs created in this time, such as 7d, and what changed against the time before"},
    "keep": {"metavar": "FOLDER", "help": "save this report's summary in a folder of its own, and say what changed since the one before"},
    "watch": {"metavar": "DURATION", "help": "list what is new into the store and write the page anew this often, until Ctrl-C"},
    "every": {"metavar": "DURATION", "default": 10.0, "help": "pause between two rounds (default: 10s)"},
    "deadline": {"metavar": "DURATION", "help": "stop after this time, such as 90s or 10m, and keep what was read"},
    "family": {"choices": ["ai", "media", "asr", "doc", "pic", "file"], "help": "family of jobs (default: ai)"},
    "bucket": {"action": "append", "metavar": "NAME[@REGION]",
               "help": "this bucket instead of COSAI_BUCKET, such as demo-1250000000@ap-beijing; may be repeated: all of them"},
    "slo": {"metavar": "DURATION:SHARE", "help": "10m:95%% asks that 95 %% of the jobs start within ten minutes"},
    "p95-wait": {"metavar": "DURATION", "help": "95 %% of the jobs start within this, such as 90s"},
    "failure-rate": {"flags": ["--failure-rate", "--max-failure-rate"], "dest": "failure_rate", "metavar": "SHARE",
                     "help": "at most this share fails, such as 2%%"},
    "notify": {"metavar": "URL",
               "help": "POST there when the verdict changes; a secret, so rather put it in COSAI_NOTIFY_URL, which no list of processes shows"},
    "--state": {"metavar": "FILE", "help": "what the hook was told: a small file, one for each check"},
    "remind": {"metavar": "DURATION", "help": "tell it again after this time, such as 24h, while the verdict is not `met`"},
    "form": {"choices": ["json", "slack", "wecom"], "help": "what the hook takes (default: by its host, else json)"},
    "json": {"action": "store_true", "help": "one line of JSON instead of sentences"},
    "title": {"default": "AI jobs", "help": "heading (default: %(default)s)"},
    "by": {"metavar": "COLUMN", "default": "auto", "help": "column to group by (default: tag, and bucket where there are several)"},
    "tz": {"metavar": "ZONE", "default": "Asia/Shanghai",
           "help": "zone of the times shown: a name or an offset such as +08:00 (default: %(default)s)"},
    "markers": {"metavar": "FILE", "help": "deploys, incidents: a CSV file with the columns time and text, drawn in every figure over time"},
    "seed": {"metavar": "N", "default": 7, "help": "seed of the simulated week (default: 7)"},
    "port": {"type": int, "default": 0, "help": "port (default: any free one)"},
    "textfile": {"metavar": "FILE", "help": "write them here, for node_exporter: once, or with --every; it reads names that end in .prom"},
    "most": {"metavar": "N", "default": 50,
             "help": "queues, tags and codes with a label of their own; the rest is `other` (default: %(default)s)"},
    "notebook": {"flags": ["notebook"], "metavar": "FILE", "help": "the .ipynb file; it stays as it is"},
    "parameter": {"flags": ["-p", "--parameter"], "action": "append", "default": [], "metavar": "NAME=VALUE",
                  "help": "set a name of the cell tagged `parameters`: a Python literal, else text; may be repeated"},
    "timeout": {"metavar": "DURATION", "default": 600.0, "help": "time that a cell may take (default: 10m)"},
    "no-code": {"action": "store_true", "help": "leave the code out of the page"},
    "folder": {"flags": ["folder"], "nargs": "?", "metavar": "FOLDER", "default": "cosai-tutorials", "help": "default: %(default)s"},
    "no-open": {"action": "store_true", "help": "copy only"},
    "name": {"flags": ["name"], "nargs": "?", "metavar": "NAME", "help": "open the section of this name, such as fetch_jobs or plots.eta"},
    "out": {"metavar": "FOLDER", "help": "write the pages there (default: the user's cache folder)"},
    "shell": {"flags": ["shell"], "choices": ["bash", "zsh", "tcsh"]},
}  # fmt: skip
"""Every option of every command: one name and one grammar for one thing."""
PAGE = {"default": "cosai-report.html", "help": "the page (default: %(default)s)"}
"""How ``-o`` differs where a report is written."""


def add_command(
    commands: Any, run: Callable[[argparse.Namespace], int], options: str, **changed: Any
) -> None:
    """Declare the command ``run_name``, whose help is its docstring, with the options named, some changed, and common ones."""
    said = (run.__doc__ or "").partition("\n")[0].removesuffix(".")
    texts = {"help": said[:1].lower() + said[1:], "epilog": changed.pop("epilog", None)}
    command = commands.add_parser(run.__name__.removeprefix("run_"), **texts)
    said_before = {"default": argparse.SUPPRESS}  # `cosai-nb -q query` is `cosai-nb query -q`
    _declare(command, f"{_COMMON} {options}", {"quiet": said_before, "verbose": said_before, **changed})
    command.set_defaults(run=run, wrong=command.error)


def _declare(command: argparse.ArgumentParser, options: str, changed: dict[str, dict[str, Any]]) -> None:
    for option in options.split():
        told = {**_OPTIONS[option], **changed.get(option, {})}
        flags = told.pop("flags", [f"--{option.removeprefix('--')}"])
        if told.get("metavar") in _GRAMMARS:
            told["type"] = _reader(_GRAMMARS[told["metavar"]], flags[0])
        command.add_argument(*flags, **told)


def _reader(read: Callable[[str, str], T], option: str) -> Callable[[str], T]:
    """Return a reader of an option's text, whose sentence argparse prints."""

    def of_text(text: str) -> T:
        try:
            return read(text, option)
        except errors.SettingsError as error:
            raise argparse.ArgumentTypeError(str(error).removeprefix(f"{option}=")) from None

    return of_text


def parser() -> argparse.ArgumentParser:
    """Return the whole command line."""
    from cosai_nb.cli import ask, docs, read, tools

    top = argparse.ArgumentParser(
        prog="cosai-nb",
        description="Tencent Cloud CI AI jobs: query them by ID, and see queue latency and failure rates.",
        epilog="Credentials come from COS_SECRET_ID and COS_SECRET_KEY, the bucket from COSAI_BUCKET and COSAI_REGION. "
        "`cosai-nb demo` needs none of them. Durations are 90, 90s, 1m30s, 2h or 7d; shares 0.02 or 2%. "
        + EXIT_CODES,
    )
    _declare(top, _COMMON, {})
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (ask, read, tools, docs):
        module.add(commands)
    return top
