"""A web hook is told when the verdict of ``check`` changes: each change once, however many runs it takes.

A change is written into the state file before it is sent, and taken out when the hook has answered 2xx. So what a hook has
refused is told by a later run, and of two runs at once only one tells it. Only a kill between the answer and the state tells it
twice; ``changes[].at`` is then the same. Whatever fails here is said on standard error and changes no exit code.
"""

from __future__ import annotations

import contextlib
import html
import itertools
import json
import os
import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from cosai_nb import cli
from cosai_nb.errors import CosaiError, FileError, RefusedError
from cosai_nb.service.credentials import Headers, Secret

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from cosai_nb.service.engine import Reply

FROM_ENVIRONMENT = "COSAI_NOTIFY_URL"
PATIENCE_S = 30.0
"""For one POST in all, with its retries: a cron job comes again, and signals wait so long."""
_TRY_S = 10.0
_HOSTS = {"hooks.slack.com": "slack", "qyapi.weixin.qq.com": "wecom"}
_MAX_BYTES = 2**20
_WECOM_BYTES, _LONGEST = 2048, 3000  # WeCom refuses longer texts; Slack would take more than anybody reads
_MOST_UNTOLD = 100
_TOO_SHORT_TO_HIDE = 8  # a word of the sentence, rather than a secret
_LOCK_S = 2 * PATIENCE_S
_OK = range(200, 300)


class Hook(NamedTuple):
    """Whom to tell, in which form, and where it is remembered what was told."""

    url: Secret
    form: str
    state: Path
    remind_s: float | None
    title: str


def hook_of(args: argparse.Namespace) -> Hook | None:
    """Return the hook that the options and the environment name, None without ``--state``; leave where one of them is missing."""
    if args.state is None:
        if any(said is not None for said in (args.notify, args.remind, args.form)):
            args.wrong(
                "--notify, --remind and --form need --state FILE, where it is remembered what was told"
            )
        return None
    url = Secret(os.environ.get(FROM_ENVIRONMENT, "")) if args.notify is None else args.notify
    if not url.reveal():
        args.wrong(f"--state is for a hook: set {FROM_ENVIRONMENT}, or give --notify URL")
    host = _host_of(url.reveal())
    if host is None:
        args.wrong("the hook is no http or https URL (its text is not shown, it is a secret)")
    return Hook(url, args.form or _HOSTS.get(str(host), "json"), args.state, args.remind, args.title)


def _host_of(url: str) -> str | None:
    """Return the host of a URL that can be sent to, None where it is none."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        plain = url.isascii() and url.isprintable() and " " not in url and "@" not in parts.netloc
        if plain and parts.scheme in {"http", "https"} and (parts.port is None or parts.port):
            return parts.hostname
    return None


def tell(hook: Hook, told: dict[str, Any], sentences: str) -> None:
    """Tell the hook what came out of a check, where it has not been told already.

    Parameters
    ----------
    hook : Hook
        Whom.
    told : dict
        What ``check --json`` prints.
    sentences : str
        The same in words.
    """
    try:
        # a signal waits: nobody could say whether a POST that it ended had been heard
        with _locked(hook.state), cli.saving():
            _tell(hook, told, sentences)
    except CosaiError as error:
        cli.tell(str(error))


def _tell(hook: Hook, told: dict[str, Any], sentences: str) -> None:
    now, state = datetime.now(UTC), _read(hook.state)
    before, untold = state["told"], state["untold"]
    present = {"result": told["result"], "at": now.isoformat(timespec="seconds")}
    newest = untold[-1] if untold else before
    if newest is None or newest["result"] != told["result"]:
        untold = [*untold, present][-_MOST_UNTOLD:]
    if not untold and not _is_due(hook, before, now):
        return
    # what cannot be remembered would be told by every run
    _save(hook.state, {"told": before, "untold": untold})
    body = {"title": hook.title, "reminder": not untold, "changes": untold, "told_before": before, **told}
    try:
        _post(hook, body, _text(body, sentences))
    except CosaiError as error:
        why = _scrubbed(hook, str(error))
        cli.tell(
            f"the hook was not told that the verdict is {told['result']!r}: {why} The next run tries again."
        )
        return
    _save(hook.state, {"told": present, "untold": []})


def _is_due(hook: Hook, before: dict[str, str], now: datetime) -> bool:
    """Say whether a verdict that is still the same is told again; one that is met needs no reminder."""
    if hook.remind_s is None or before["result"] == "met":
        return False
    return (now - datetime.fromisoformat(before["at"])).total_seconds() >= hook.remind_s


def _text(body: dict[str, Any], sentences: str) -> str:
    before, changes = body["told_before"], body["changes"]
    if body["reminder"]:
        first = f"still {body['result']}, last told {before['at']}"
    else:
        first = ", was ".join(filter(None, (body["result"], before and before["result"])))
    between = ", ".join(f"{change['result']} at {change['at']}" for change in changes[:-1])
    lines = [f"{body['title']}: {first}", *([f"not told before: {between}"] if between else []), sentences]
    return "\n".join(lines)[:_LONGEST]


# --- the state ---


@contextlib.contextmanager
def _locked(state: Path) -> Iterator[None]:
    """Hold the lock of a state, so that of two runs at once the second sees what the first has told."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    until = time.monotonic() + _LOCK_S
    try:
        lock = state.with_name(f".{state.name}.lock").open("a")
    except OSError as error:
        raise _unwritable(state, error) from error
    with lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() >= until:
                    raise FileError(
                        f"another run holds the hook's state {state}; the next one tells."
                    ) from error
            time.sleep(0.1)
        yield


def _read(path: Path) -> dict[str, Any]:
    """Return what was told last and the changes that are still to be told; where that cannot be read, it begins anew."""
    try:
        state = json.loads(path.read_bytes())
        for change in (*state["untold"], *filter(None, [state["told"]])):
            change["result"].strip(), datetime.fromisoformat(change["at"]) - datetime.now(UTC)
        return {"told": state["told"], "untold": state["untold"]}
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no state of a hook"
        cli.tell(f"the hook's state {path} cannot be read ({why}): it begins anew, and the verdict is told.")
    return {"told": None, "untold": []}


def _save(path: Path, state: dict[str, Any]) -> None:
    from cosai_nb.table.files import write_whole

    try:
        write_whole(path, lambda file: file.write(f"{json.dumps(state)}\n".encode()))
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> FileError:
    return FileError(
        f"the hook's state {path} cannot be written ({error.strerror}); until it can be, the hook is told nothing."
    )


# --- the POST ---


def _post(hook: Hook, body: dict[str, Any], text: str) -> None:
    """Send it until the hook answers 2xx; CosaiError says why it does not."""
    from cosai_nb.service.engine import Route
    from cosai_nb.service.engine_requests import RequestsEngine
    from cosai_nb.service.pace import backoff

    if hook.form == "slack":
        body = {"text": html.escape(text, quote=False)}
    elif hook.form == "wecom":
        body = {"msgtype": "text", "text": {"content": text.encode()[:_WECOM_BYTES].decode(errors="ignore")}}
    content = json.dumps(body, ensure_ascii=False).encode()
    parts = urlsplit(hook.url.reveal())
    engine = RequestsEngine(Route.of(f"{parts.scheme}://{parts.netloc}"))
    headers = Headers({"Content-Type": "application/json; charset=utf-8", "User-Agent": "cosai_nb"})
    address = parts._replace(path=parts.path or "/", fragment="").geturl()
    until = time.monotonic() + PATIENCE_S
    try:
        for attempt in itertools.count():
            left = until - time.monotonic()
            engine.start(
                hook, address, headers, timeout=min(left, _TRY_S), max_bytes=_MAX_BYTES, body=content
            )
            came = next(come for _ in itertools.count() for _, come in engine.collect(_TRY_S))
            error = _flaw_of(came, hook.form)
            if error is None:
                return
            wait = max(backoff(attempt, random.random()), error.retry_after or 0.0)
            if not error.retryable or time.monotonic() + wait >= until:
                raise error
            time.sleep(wait)
    finally:
        engine.close()


def _flaw_of(came: Reply | CosaiError, form: str) -> CosaiError | None:
    """Return why an answer is none of success, None where it is one; WeCom says it in the body."""
    from cosai_nb.service.replies import RETRYABLE, retry_after

    if isinstance(came, CosaiError):
        return None if came.status_code in _OK else came  # it was heard, however its answer is packed
    if came.status not in _OK:
        redirects = " to another address, which is never followed" if 300 <= came.status < 400 else ""  # noqa: PLR2004 - HTTP's range
        return RefusedError(
            f"it answered HTTP {came.status}{redirects}.",
            retry_after=retry_after(came.headers.get("retry-after"), time.time()),
            retryable=came.status in RETRYABLE,
        )
    if form != "wecom":
        return None
    try:
        code = json.loads(came.body)["errcode"]
    except (ValueError, KeyError, TypeError):
        return RefusedError("its answer has no errcode, as WeCom's has.")
    return None if code == 0 else RefusedError(f"WeCom answered errcode {str(code)[:20]}.")


def _scrubbed(hook: Hook, text: str) -> str:
    """Return a sentence without the URL and its parts: the network's own errors may quote them."""
    url = hook.url.reveal()
    parts = urlsplit(url)
    for part in (url, parts.netloc, parts.hostname or "", parts.path.strip("/"), parts.query):
        text = text.replace(part, "***") if len(part) >= _TOO_SHORT_TO_HIDE else text
    return text
