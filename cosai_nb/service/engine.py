"""The seam between policy and network: what an engine is told, what it gives back, and what its failures are called."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from requests.utils import get_environ_proxies, select_proxy
from urllib3.util import Url, parse_url

from cosai_nb import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cosai_nb.service.credentials import Headers

CONNECT_TIMEOUT_S = 10.0
MAX_CONNECTIONS = 1_000  # as many as there may be workers
MAX_HEADER_BYTES = 2**18
_PROXIES = frozenset({"http", "https", "socks4", "socks4a", "socks5", "socks5h"})


class Reply(NamedTuple):
    """What came back; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Collected = list[tuple[Any, Reply | errors.CosaiError]]
"""What GETs came to, by their keys."""


class Route(NamedTuple):
    """How a service is reached.

    Parameters
    ----------
    url : str
        Scheme, host and port.
    proxy : str or None
        URL of the proxy.
    verify : bool or str
        False switches certificate checks off, a path names a CA bundle, True takes certifi's.
    """

    url: str
    proxy: str | None
    verify: bool | str

    @classmethod
    def of(
        cls, url: str, *, proxies: Mapping[str, str] | None = None, verify: bool | str | None = None
    ) -> Route:
        """Find the way to a service as requests does: proxies and CA bundle are the environment's, unless given.

        Raises
        ------
        SettingsError
            Where the proxy or the bundle cannot be one.
        """
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        verify = bundle if verify is None else verify
        if isinstance(verify, str) and not Path(verify).exists():
            raise errors.SettingsError(
                f"There is no CA bundle at {verify!r}: correct REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE or verify=."
            )
        proxy = select_proxy(url, dict(get_environ_proxies(url) if proxies is None else proxies))
        if not proxy:
            return cls(url, None, verify)
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        try:
            parts = parse_url(proxy)
        except ValueError:
            parts = Url()
        if parts.scheme not in _PROXIES or not parts.host or parts.port == 0 or any(map(str.isspace, proxy)):
            raise errors.SettingsError(
                f"The proxy for {url} is no proxy's URL (its text is not shown, it may hold a login): correct HTTPS_PROXY, "
                "HTTP_PROXY or ALL_PROXY to a form such as http://proxy.example:8080."
            )
        return cls(url, proxy, verify)


class Engine(Protocol):
    """GETs in flight, without a policy.

    An engine never follows a redirect, never adds credentials of its own, stops reading beyond ``max_bytes``
    (OversizedError), ends each GET within its ``timeout`` from the first name look-up to the last byte, and gives only
    errors of :mod:`cosai_nb.errors` (``retryable`` where another try may help), with no headers in them.
    """

    def start(self, key: Any, url: str, headers: Headers, *, timeout: float, max_bytes: int) -> None:
        """Begin a GET; ``url`` is percent-encoded already."""

    def collect(self, seconds: float) -> Collected:
        """Return what has finished by key; wait for the first at most so long."""

    def close(self) -> None:
        """Drop what is in flight and close all connections; the engine may be used again."""


class Failure(StrEnum):
    """What may go wrong on the way, as a sentence in which ``{}`` stands for the circumstance."""

    TOO_LARGE = (
        "The answer is larger than {:,} bytes and was not read further: no job's answer is that large, so check the "
        "endpoint and any proxy between."
    )
    CUT = "The answer was cut before its end."
    LATE = "No whole answer within {:.3g} s."
    BROKEN = "The connection broke ({})."
    NO_CONNECTION = "No connection to the service ({}): check the endpoint, the network and any proxy."
    NAME = "The service's host name could not be resolved: check bucket and region."
    CERTIFICATE = (
        "The TLS certificate of the service could not be verified ({}): check the endpoint, the clock and "
        "REQUESTS_CA_BUNDLE. Nothing was sent."
    )
    TLS = "No TLS connection to the service ({}): check scheme, port and any proxy. Nothing was sent."
    PROXY = "The proxy refuses to connect (HTTP {}): put its login in HTTPS_PROXY or bypass it with NO_PROXY."

    def error(self, circumstance: object = "") -> errors.CosaiError:
        """Return the error; another try may help where there was no connection or it broke."""
        kind = _KINDS.get(self, errors.UnavailableError)
        retryable = kind in {errors.UnavailableError, errors.MalformedError}
        return kind(self.format(circumstance), retryable=retryable)


_KINDS: dict[Failure, type[errors.CosaiError]] = {
    Failure.TOO_LARGE: errors.OversizedError,
    Failure.CUT: errors.MalformedError,
    **dict.fromkeys((Failure.CERTIFICATE, Failure.TLS, Failure.PROXY), errors.DeniedError),
}


def reply_of(status: int, headers: Mapping[str, str], body: bytes) -> Reply | errors.CosaiError:
    """Return a reply, or the error for an answer that is compressed, which was not asked for."""
    encoding = headers.get("content-encoding") or "identity"
    if encoding.lower() == "identity":
        return Reply(status, headers, body)
    if status != 200:  # noqa: PLR2004 - the one status with an answer in its body; of others the status says enough
        return Reply(status, headers, b"")
    return errors.MalformedError(
        f"The answer is compressed ({encoding[:20]!a}) though this was not asked for: check any proxy between.",
        status_code=status,
    )
