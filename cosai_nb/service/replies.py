"""What a reply other than 200 means, and the headers that tell a time."""

from __future__ import annotations

import math
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from cosai_nb import errors
from cosai_nb.service.parsing import head, parse_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from cosai_nb.service.engine import Reply

RETRYABLE = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECTS, _ERRORS = range(300, 400), range(400, 600)
_RETRY_AFTER_CAP_S = 60.0
_YEARS = range(1970, 2200)  # those of table.times
# a 400 or 404 with one of these is about bucket, role or path: every other request would meet it too
_SETUP_CODES = {"CIRoleNotExist", "MediaBucketUnBinded", "ExpiredToken", "InvalidHost", "InvalidUrl"}


class SkewedError(errors.DeniedError):
    """RequestTimeTooSkewed: this machine's clock is off; ``server_time`` is the service's, where it told."""

    server_time: float | None = None


def error_of(reply: Reply, scrub: Callable[[str], str], *, now: float, endpoint: str) -> errors.CosaiError:
    """Return the error that a reply other than 200 stands for.

    ``scrub`` takes secrets out of a text, as a service may quote them; ``now`` is in seconds since the epoch by this
    machine's clock.
    """
    # scrubbed before it is shortened: of a secret that a cut goes through, the first half would stay
    fault = parse_error(scrub(reply.body.decode("latin-1")).encode("latin-1"))
    request_id = fault.request_id or head(scrub(reply.headers.get("x-ci-request-id", "")))
    said = ": ".join(part for part in (fault.code, fault.message) if part) or "no reason given"
    kind, happened, advice = _meaning(reply.status, fault.code or "")
    location = head(scrub(reply.headers.get("location", "nowhere")))
    happened = happened.format(endpoint=endpoint, location=location)
    error = kind(
        f"{happened}: {said} (HTTP {reply.status}, request id {request_id or 'none'}). {advice}".rstrip(),
        status_code=reply.status,
        code=fault.code,
        request_id=request_id or None,
        retry_after=retry_after(reply.headers.get("retry-after"), now),
        retryable=reply.status in RETRYABLE,
    )
    if isinstance(error, SkewedError):
        server = http_date(reply.headers.get("date"))
        error.server_time = server if server is not None and abs(server - now) > 1 else None
    return error


def _meaning(status: int, code: str) -> tuple[type[errors.CosaiError], str, str]:
    """Return the kind of error that HTTP status and Code stand for, what happened, and what to do."""
    denied, refused = errors.DeniedError, "The service refused the request"
    place = "Check bucket, region and endpoint."
    if status in RETRYABLE:
        return errors.UnavailableError, "The service is not available now", "Ask again later."
    if status in _REDIRECTS:
        redirected = "The service redirects to {location}, which is never followed"
        return denied, redirected, "Check endpoint and region."
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return denied, "A proxy asks for a login", "Put it in HTTPS_PROXY or bypass it with NO_PROXY."
    if code == "RequestTimeTooSkewed":
        return SkewedError, "This machine's clock is off and could not be corrected", "Set the clock."
    if status in {401, 403}:
        return denied, "The service denied the request", "Check the key, its permissions and the bucket."
    if code in _SETUP_CODES:
        return denied, refused, "Check bucket, region and whether CI is set up for it."
    if status == HTTPStatus.NOT_FOUND:
        if (
            code.startswith("NoSuch") and "Job" not in code
        ):  # …Key, …Bucket: an object store means its own things
            return denied, "{endpoint} knows no jobs", place
        return errors.RefusedError, "{endpoint} does not know what was asked for", place
    if status in _ERRORS:
        return errors.RefusedError, refused, ""
    strange = "The service answered with an HTTP status that is none of its own"
    return errors.MalformedError, strange, "Check the endpoint and any proxy between."


def retry_after(header: str | None, now: float) -> float | None:
    """Read a Retry-After leniently: seconds (floats too) or an HTTP date; nonsense is None; capped at 60 s.

    Examples
    --------
    >>> [retry_after(text, 0.0) for text in ("1.5", "-5", "abc", "86400", "nan", None)]
    [1.5, None, None, 60.0, None, None]
    >>> retry_after("Thu, 01 Jan 1970 00:00:07 GMT", 0.0)
    7.0
    """
    try:
        seconds = float(header or "")
    except ValueError:
        seconds = (http_date(header, range(10_000)) or math.nan) - now
    return min(seconds, _RETRY_AFTER_CAP_S) if seconds >= 0 else None


@lru_cache(maxsize=64)  # answers of one second have the same
def http_date(header: str | None, years: range = _YEARS) -> float | None:
    """Read an HTTP date as seconds since the epoch, None where it is none or of another age; without a zone it is UTC.

    Examples
    --------
    >>> [http_date(text) for text in ("Thu, 01 Jan 1970 00:00:07 GMT", "soon", None)]
    [7.0, None, None]
    >>> http_date("Fri, 31 Dec 9999 23:59:59 GMT")
    """
    try:
        date = parsedate_to_datetime(header or "")
        date = (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date.timestamp() if date.year in years else None
