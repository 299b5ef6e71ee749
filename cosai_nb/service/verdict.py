"""What an answer other than 200 means: which error, and whether asking again can help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cosai_nb.errors import CosaiError, DeniedError, MalformedError, RefusedError, UnavailableError
from cosai_nb.service.pace import http_date
from cosai_nb.service.parsing import parse_error
from cosai_nb.service.reader import head

if TYPE_CHECKING:
    from collections.abc import Callable

    from cosai_nb.service.transport import Reply

_SKEWED_CODE = "RequestTimeTooSkewed"
EXPIRED_CODES = frozenset({"ExpiredToken", "SignatureExpired"})
_RETRYABLE = frozenset({408, 429, 500, 502, 503, 504})
# a 400 or 404 with one of these is about bucket, role or path: every other request would meet it too
_SETUP_CODES = frozenset(
    {"CIRoleNotExist", "MediaBucketUnBinded", "ExpiredToken", "InvalidHost", "NoSuchBucket", "InvalidUrl"}
)


class SkewedError(DeniedError):
    """RequestTimeTooSkewed: this machine's clock is off; ``server_time`` is the service's, where it told."""

    server_time: float | None = None


def error_of(
    reply: Reply, scrub: Callable[[str], str], *, retry_after: float | None, sent_at: float
) -> CosaiError:
    """Return the error that a reply other than 200 stands for.

    ``scrub`` takes secrets out of a text, as a service may quote them; ``sent_at`` is in seconds since the epoch by this
    machine's clock.
    """
    # scrubbed before it is shortened: of a secret that a cut goes through, the first half would stay
    fault = parse_error(scrub(reply.body.decode("latin-1")).encode("latin-1"))
    request_id = fault.request_id or head(scrub(reply.headers.get("x-ci-request-id", "")))
    said = ": ".join(part for part in (fault.code, fault.message) if part) or "no reason given"
    tail = f"{said} (HTTP {reply.status}, request id {request_id or 'none'})"
    kind, sentence = _kind(reply.status, fault.code)
    error = kind(
        sentence.format(tail=tail, location=head(scrub(reply.headers.get("Location", "nowhere")))),
        status_code=reply.status,
        code=fault.code,
        request_id=request_id or None,
        retry_after=retry_after,
        retryable=reply.status in _RETRYABLE,
    )
    if isinstance(error, SkewedError):
        error.server_time = _server_time(reply, sent_at)
    return error


def _kind(status: int, code: str | None) -> tuple[type[CosaiError], str]:
    if status in _RETRYABLE:
        return UnavailableError, "The service is not available now: {tail}. Ask again later."
    if 300 <= status < 400:  # noqa: PLR2004 - HTTP's ranges
        return (
            DeniedError,
            "The service redirects to {location}, which is never followed: {tail}. Check endpoint and region.",
        )
    if status == 407:  # noqa: PLR2004 - HTTP's number
        return (
            DeniedError,
            "A proxy asks for a login: {tail}. Put it in HTTPS_PROXY or bypass it with NO_PROXY.",
        )
    if code == _SKEWED_CODE:
        return SkewedError, "This machine's clock is off and could not be corrected: {tail}. Set the clock."
    if status in {401, 403}:
        return (
            DeniedError,
            "The service denied the request: {tail}. Check the key, its permissions and the bucket.",
        )
    if code in _SETUP_CODES:
        return (
            DeniedError,
            "The service refused the request: {tail}. Check bucket, region and whether CI is set up for it.",
        )
    if 400 <= status < 600:  # noqa: PLR2004 - HTTP's ranges
        return RefusedError, "The service refused the request: {tail}."
    return MalformedError, "The service answered with an HTTP status that is none of its own: {tail}."


def _server_time(reply: Reply, sent_at: float) -> float | None:
    """Read the service's clock from the Date header; None where this machine's agrees."""
    server = http_date(reply.headers.get("Date"))
    return server if server is not None and abs(server - sent_at) > 1 else None
