"""The seam between policy and network: what an engine is told, what it gives back, and what its failures are called."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from requests.utils import get_environ_proxies, select_proxy
from urllib3.util import parse_url

from cosai_nb.errors import (
    CosaiError,
    DeniedError,
    MalformedError,
    OversizedError,
    SettingsError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_TIMEOUT_S = 10.0
MAX_CONNECTIONS = 1_000  # as many as there may be workers
MAX_HEADER_BYTES = 2**18


class Reply(NamedTuple):
    """What came back; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


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
            raise SettingsError(
                f"There is no CA bundle at {verify!r}: correct REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE or verify=."
            )
        proxy = select_proxy(url, dict(get_environ_proxies(url) if proxies is None else proxies))
        if proxy:
            proxy = proxy if "://" in proxy else f"http://{proxy}"
            _check_proxy(proxy, url)
        return cls(url, proxy or None, verify)


def _check_proxy(proxy: str, url: str) -> None:
    try:
        parts = parse_url(proxy)
        known = parts.scheme in {"http", "https", "socks4", "socks4a", "socks5", "socks5h"}
    except ValueError:
        known = False
    if not known or not parts.host or parts.port == 0 or any(map(str.isspace, proxy)):
        raise SettingsError(
            f"The proxy for {url} is no proxy's URL (its text is not shown, it may hold a login): correct HTTPS_PROXY, "
            "HTTP_PROXY or ALL_PROXY to a form such as http://proxy.example:8080."
        )


class Engine(Protocol):
    """GETs in flight, without a policy.

    An engine never follows a redirect, never adds credentials of its own, stops reading beyond ``max_bytes``
    (OversizedError), ends each GET within its ``timeout`` from the first name look-up to the last byte, and gives only
    errors of :mod:`cosai_nb.errors` (``retryable`` where another try may help), with no headers in them.
    """

    def start(
        self, key: Any, url: str, headers: Mapping[str, str], *, timeout: float, max_bytes: int
    ) -> None:
        """Begin a GET; ``url`` is percent-encoded already."""
        ...

    def collect(self, seconds: float) -> list[tuple[Any, Reply | CosaiError]]:
        """Return what has finished by key; wait for the first at most so long."""
        ...

    def close(self) -> None:
        """Drop what is in flight and close all connections; the engine may be used again."""
        ...


def reply_of(status: int, headers: Mapping[str, str], body: bytes) -> Reply | MalformedError:
    """Return a reply, or the error for an answer that is compressed, which was not asked for."""
    encoding = headers.get("content-encoding") or "identity"
    if encoding.lower() == "identity":
        return Reply(status, headers, body)
    if status != 200:  # noqa: PLR2004 - the one status with an answer in its body; of others the status says enough
        return Reply(status, headers, b"")
    return MalformedError(
        f"The answer is compressed ({encoding[:20]!a}) though this was not asked for: check any proxy between.",
        status_code=status,
    )


def too_large(max_bytes: int) -> OversizedError:
    """Return the error for an answer that was not read to its end."""
    return OversizedError(
        f"The answer is larger than {max_bytes:,} bytes and was not read further: no job's answer is that large, so check "
        "the endpoint and any proxy between."
    )


def no_answer_within(seconds: float) -> UnavailableError:
    """Return the error for a request whose time is over."""
    return UnavailableError(f"No whole answer within {seconds:g} s.", retryable=True)


def certificate_refused(brief: str) -> DeniedError:
    """Return the error for a certificate that nobody vouches for."""
    return DeniedError(
        f"The TLS certificate of the service could not be verified ({brief}): check the endpoint, the clock and "
        "REQUESTS_CA_BUNDLE. Nothing was sent."
    )


def tls_refused(brief: str) -> DeniedError:
    """Return the error for a handshake that cannot succeed."""
    return DeniedError(
        f"No TLS connection to the service ({brief}): check scheme, port and any proxy. Nothing was sent."
    )


def proxy_refused(status: str | int) -> DeniedError:
    """Return the error for a proxy that answers CONNECT by a 4xx."""
    return DeniedError(
        f"The proxy refuses to connect (HTTP {status}): put its login in HTTPS_PROXY or bypass it with NO_PROXY."
    )


def answer_cut() -> MalformedError:
    """Return the error for an answer that is shorter than it says."""
    return MalformedError("The answer was cut before its end.", retryable=True)


def name_unknown() -> UnavailableError:
    """Return the error for a name look-up that fails."""
    return UnavailableError(
        "The service's host name could not be resolved: check bucket and region.", retryable=True
    )


def connection_broke(brief: str) -> UnavailableError:
    """Return the error for a connection that broke in the middle."""
    return UnavailableError(f"The connection broke ({brief}).", retryable=True)


def no_connection(brief: str) -> UnavailableError:
    """Return the error for everything else between us and the service."""
    return UnavailableError(f"No connection to the service ({brief}).", retryable=True)
