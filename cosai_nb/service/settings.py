"""What a caller may say: one rule an argument, and one sentence where it cannot be right."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from numbers import Integral, Real
from typing import Any

from cosai_nb.errors import SettingsError
from cosai_nb.schema import State

MAX_LIST = 10
"""IDs a request, the most that the service documents."""

_ENDPOINT = re.compile(
    r"https?://(?:\[[0-9A-Fa-f:.]+\]|[\w-]{1,63}(?:\.[\w-]{1,63})*)(?::(?P<port>[0-9]{1,5}))?", re.ASCII
)
_MOST = 1e9
_MOST_WORKERS = 1_000  # each is a thread, and machines have no more of them than some thousands
_SHOWN = 60  # characters of a value that is refused

Fits = Callable[[Any], bool]


def _text(pattern: str) -> Fits:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _number(kind: Any, fits: Fits) -> Fits:
    return lambda value: isinstance(value, kind) and not isinstance(value, bool) and fits(value)


def _has(*methods: str) -> Fits:
    return lambda value: (
        not isinstance(value, type) and all(callable(getattr(value, name, None)) for name in methods)
    )


def _or_none(fits: Fits) -> Fits:
    return lambda value: value is None or fits(value)


def _are_states(value: object) -> bool:
    return isinstance(value, Collection) and not isinstance(value, str) and set(map(str, value)) <= {*State}


_above_0 = _number(Real, lambda value: 0 < value <= _MOST)
_name = _text(r"[A-Za-z0-9_-]{1,128}")
_RULES: dict[str, tuple[Fits, str]] = {
    # a bucket is a label of a host name, which has at most 63 characters
    "bucket": (
        _text(r"(?=.{3,63}\Z)[a-z0-9][a-z0-9-]*-[0-9]{1,20}"),
        "be of the form BucketName-APPID, such as demo-1250000000",
    ),
    "region": (_text(r"[a-z0-9][a-z0-9-]{0,60}"), "be a region such as ap-beijing"),
    "endpoint": (_or_none(_text(r"(?s).*")), "be a host, host:port or URL, or None"),
    "scheme": (_text("https?"), "be 'https' or 'http'"),
    "path": (_text(r"(/[A-Za-z0-9_-]+)+"), "be /ai_jobs, /jobs or a sibling of them"),
    "rate": (_or_none(_above_0), "be requests a second, a number above 0, or None"),
    "timeout": (_above_0, "be seconds, a number above 0"),
    "patience": (_above_0, "be seconds, a number above 0"),
    "transport": (_or_none(_has("get", "close")), "have the methods of a Transport, or be None"),
    "provider": (_or_none(callable), "be a function that returns Credentials, or None"),
    "clock": (_or_none(_has("backoff")), "be a Clock, or None"),
    "config": (lambda value: hasattr(value, "_endpoint_ci"), "be a qcloud_cos.CosConfig"),
    "client": (_or_none(_has("ask")), "be a cosai_nb.Client, or None for Client.from_env()"),
    "batch_size": (
        _number(Integral, lambda value: 1 <= value <= MAX_LIST),
        f"be a whole number from 1 to {MAX_LIST}, the most that the service documents",
    ),
    "workers": (
        _number(Integral, lambda value: 1 <= value <= _MOST_WORKERS),
        f"be a whole number from 1 to {_MOST_WORKERS:,}",
    ),
    "every": (_above_0, "be seconds, a number above 0"),
    "deadline": (
        _or_none(_number(Real, lambda value: value >= 0)),
        "be seconds, a number from 0 up, or None",
    ),
    "progress": (lambda value: value is None or isinstance(value, bool), "be True, False or None"),
    "strict": (lambda value: isinstance(value, bool), "be True or False"),
    "tag": (_name, "be letters, digits, - and _; the service requires it"),
    "queue_id": (_name, "be letters, digits, - and _; the service requires it"),
    "states": (_or_none(_are_states), f"be a list of states, each one of {', '.join(State)}"),
}


def check(**arguments: object) -> None:
    """Raise SettingsError at the first argument that breaks the rule of its name.

    Examples
    --------
    >>> check(workers=16, deadline=None)
    >>> check(workers="16")
    Traceback (most recent call last):
    cosai_nb.errors.SettingsError: workers='16' must be a whole number from 1 to 1,000.
    """
    for name, value in arguments.items():
        fits, wanted = _RULES[name]
        if not fits(value):
            shown = repr(value)
            shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
            raise SettingsError(f"{name}={shown} must {wanted}.")


def base_url(endpoint: str, scheme: str) -> str:
    """Return scheme and host of an endpoint given as host, host:port or URL."""
    if "@" in endpoint:
        raise SettingsError("endpoint holds a login before '@': give the host alone; requests are signed.")
    url = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"
    found = _ENDPOINT.fullmatch(url.rstrip("/"))
    if not found or int(found["port"] or 1) not in range(1, 65536):
        raise SettingsError(f"endpoint={endpoint!r} must be a host, host:port or http(s) URL without a path.")
    return found[0]
