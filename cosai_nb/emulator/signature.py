"""The COS signature, verified; written from the documents (api.md §5.1) and not from the SDK that signs."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from cosai_nb.emulator.wire import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIELDS = (
    *("q-sign-algorithm", "q-ak", "q-sign-time", "q-key-time"),
    *("q-header-list", "q-url-param-list", "q-signature"),
)
TOKEN_HEADERS = ("x-ci-security-token", "x-cos-security-token")
"""Both are accepted (api.md §5.3); the first is the documented one."""
_SKEW_LIMIT_S = 15 * 60
_encode = partial(quote, safe="-_.~")


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The one pair of keys, and token, that a server lets in; without a repr."""

    secret_id: str
    secret_key: str
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What is signed of a request: method, decoded path, decoded parameters, headers by lower-case name."""

    method: str
    path: str
    params: Sequence[tuple[str, str]]
    headers: Mapping[str, str]


def sign(
    request: Request, sign_key: str, sign_time: str, headers: Sequence[str], params: Sequence[str]
) -> str:
    """Return the signature over the listed headers and parameters; KeyError where one is not in the request."""
    query = {_encode(name).lower(): _encode(value) for name, value in request.params}
    http_params = "&".join(f"{name}={query[name]}" for name in sorted(params))
    http_headers = "&".join(f"{name}={_encode(request.headers[name])}" for name in sorted(headers))
    text = f"{request.method.lower()}\n{request.path}\n{http_params}\n{http_headers}\n"
    digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return sign_key_of(sign_key, f"sha1\n{sign_time}\n{digest}\n")


def authorization(request: Request, keys: Keys, window: tuple[int, int]) -> str:
    """Return an Authorization header over method, path and parameters, without headers, which is legal."""
    key_time = f"{window[0]};{window[1]}"
    names = sorted({_encode(name).lower() for name, _ in request.params})
    signature = sign(request, sign_key_of(keys.secret_key, key_time), key_time, (), names)
    values = ("sha1", keys.secret_id, key_time, key_time, "", ";".join(names), signature)
    return "&".join(f"{field}={value}" for field, value in zip(FIELDS, values, strict=True))


def sign_key_of(secret_key: str, key_time: str) -> str:
    """Return the key that signs within one window of time."""
    return hmac.digest(secret_key.encode(), key_time.encode(), "sha1").hex()


def check(request: Request, keys: Keys, now: float, *, skew_s: float = 0.0) -> None:
    """Raise Refused where a request is not to be let in.

    ``now`` is a right clock, ``skew_s`` how far the server's is ahead of it. A window that is wrong for that reason
    alone is a RequestTimeTooSkewed, as is one that begins more than 15 minutes ahead.
    """
    header = request.headers.get("authorization", "")
    if not header:
        raise Refused(401, "MissingAuthorization", "The Authorization header is missing.")
    fields = dict(part.partition("=")[::2] for part in header.strip().split("&"))
    windows = [re.fullmatch("([0-9]{1,19});([0-9]{1,19})", fields.get(name, "")) for name in FIELDS[2:4]]
    if set(fields) != set(FIELDS) or fields["q-sign-algorithm"] != "sha1" or None in windows:
        raise Refused(401, "InvalidAuthorization", "The Authorization header is not of the documented form.")
    if not hmac.compare_digest(fields["q-ak"].encode(), keys.secret_id.encode()):
        raise Refused(401, "SecretidNotExist", "The SecretId does not exist.")
    if not _is_signed(request, fields, keys.secret_key):
        raise Refused(401, "InvalidAuthorization", "The signature does not match the request.")
    for window in filter(None, windows):
        start, end = int(window[1]) - _SKEW_LIMIT_S, int(window[2])
        if start <= now + skew_s <= end:
            continue
        if start <= now <= end or start > now + skew_s:
            raise Refused(
                403, "RequestTimeTooSkewed", "The request's time and the server's are too far apart."
            )
        raise Refused(401, "SignatureExpired", "The signature has expired.")
    sent = next((request.headers[name] for name in TOKEN_HEADERS if name in request.headers), "")
    if not hmac.compare_digest(sent.encode(), (keys.token or "").encode()):
        raise Refused(403, "AccessDenied", "The security token is missing or not the right one.")


def _is_signed(request: Request, fields: Mapping[str, str], secret_key: str) -> bool:
    names = [[name for name in fields[field].split(";") if name] for field in FIELDS[4:6]]
    sign_key = sign_key_of(secret_key, fields["q-key-time"])
    host = re.sub(":[0-9]+$", "", request.headers.get("host", ""))  # the SDK signs it without its port
    bare = replace(request, headers={**request.headers, "host": host})
    try:
        expected = [sign(seen, sign_key, fields["q-sign-time"], *names) for seen in (request, bare)]
    except KeyError:
        return False
    return any(hmac.compare_digest(one.encode(), fields["q-signature"].encode()) for one in expected)
