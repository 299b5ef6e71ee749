"""The seam: one GET over the network. requests by default; anything with the same two methods may stand in."""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import requests
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies
from urllib3.exceptions import HTTPError, IncompleteRead, ProtocolError, ReadTimeoutError

from cosai_nb.errors import (
    CosaiError,
    DeniedError,
    MalformedError,
    OversizedError,
    SettingsError,
    UnavailableError,
)
from cosai_nb.service import deadline

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_TIMEOUT_S = 10.0
_CONNECTIONS = 64  # kept open
_TLS_CUT = (ssl.SSLEOFError, ssl.SSLZeroReturnError)  # a broken connection, not a refused one
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")


class Reply(NamedTuple):
    """What came back; look-ups in ``headers`` ignore case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """What a client needs from an HTTP engine.

    ``get`` never follows a redirect, never adds credentials of its own, stops reading beyond ``max_bytes``
    (OversizedError), ends within ``timeout`` seconds in all, and raises only errors of
    :mod:`cosai_nb.errors` (``retryable`` where another try may help), with no headers in them.
    """

    def get(self, url: str, headers: Mapping[str, str], *, timeout: float, max_bytes: int) -> Reply:
        """Send one GET and read the whole answer."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


class RequestsTransport:
    """GETs by ``requests``, straight to its adapter.

    A ``requests.Session`` would read ``~/.netrc``, follow redirects and keep cookies; each of these could replace or
    leak the signature, and together they cost half of a request's time. Proxies and CA bundles are taken from
    the environment as requests does.

    Parameters
    ----------
    url : str
        The service's address, for the choice of a proxy.
    proxies : mapping, optional
        Scheme to proxy URL; default: the environment's.
    verify : bool or str, optional
        False switches certificate checks off, a path names a CA bundle; default: the environment's bundle, else certifi's.
    """

    def __init__(
        self,
        url: str,
        *,
        proxies: Mapping[str, str] | None = None,
        verify: bool | str | None = None,
    ) -> None:
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        self._verify = bundle if verify is None else verify
        if isinstance(self._verify, str) and not Path(self._verify).exists():
            raise SettingsError(
                f"There is no CA bundle at {self._verify!r}: correct REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE or verify=."
            )
        self._proxies = dict(get_environ_proxies(url) if proxies is None else proxies)
        self._adapter = deadline.DeadlineAdapter(pool_connections=2, pool_maxsize=_CONNECTIONS)

    def get(self, url: str, headers: Mapping[str, str], *, timeout: float, max_bytes: int) -> Reply:
        """Send one GET and read the whole answer; see :class:`Transport`."""
        deadline.start(timeout)
        failure: BaseException
        try:
            return self._exchange(url, headers, timeout, max_bytes)
        except (requests.RequestException, HTTPError, OSError) as error:
            failure = _typed(error, timeout)
        except KeyboardInterrupt:
            failure = KeyboardInterrupt()
        # raised here, not inside: context and frames of the original hold the request with its signed headers
        raise failure

    def close(self) -> None:
        """Close all connections."""
        self._adapter.close()

    def _exchange(self, url: str, headers: Mapping[str, str], timeout: float, max_bytes: int) -> Reply:
        request = requests.PreparedRequest()
        request.method, request.url = "GET", url
        request.headers = CaseInsensitiveDict(headers)
        request.headers["Accept-Encoding"] = "identity"
        response = self._adapter.send(
            request,
            stream=True,
            timeout=(min(timeout, CONNECT_TIMEOUT_S), timeout),
            verify=self._verify,
            proxies=self._proxies,
        )
        raw = response.raw
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            raw.close()
            raise MalformedError(
                f"The answer is compressed ({encoding[:20]!a}) though this was not asked for: check any proxy between.",
                status_code=response.status_code,
            )
        body = bytearray()
        while chunk := raw.read(65536, decode_content=False):
            body += chunk
            if len(body) > max_bytes:
                raw.close()
                raise OversizedError(
                    f"The answer is larger than {max_bytes:,} bytes and was not read further: no job's answer is that "
                    "large, so check the endpoint and any proxy between.",
                    status_code=response.status_code,
                )
        raw.release_conn()
        return Reply(response.status_code, response.headers, bytes(body))


def _typed(error: Exception, timeout: float) -> CosaiError:
    """Turn a failure of the engine into a sentence; the original text holds addresses and object reprs only."""
    chain = _chain(error)
    if any(isinstance(link, ssl.SSLCertVerificationError) for link in chain):
        return DeniedError(
            f"The TLS certificate of the service could not be verified ({_brief(error)}): check the endpoint, the clock and "
            "REQUESTS_CA_BUNDLE. Nothing was sent."
        )
    if any(isinstance(link, ssl.SSLError) and not isinstance(link, _TLS_CUT) for link in chain):
        return DeniedError(
            f"No TLS connection to the service ({_brief(error)}): check scheme, port and any proxy. Nothing was sent."
        )
    tunnel = next((found for link in chain if (found := _TUNNEL.match(str(link)))), None)
    if tunnel and tunnel[1].startswith("4"):
        return DeniedError(
            f"The proxy refuses to connect (HTTP {tunnel[1]}): put its login in HTTPS_PROXY or bypass it with NO_PROXY."
        )
    if any(isinstance(link, IncompleteRead | http.client.IncompleteRead) for link in chain):
        return MalformedError("The answer was cut before its end.", retryable=True)
    if any(isinstance(link, requests.Timeout | ReadTimeoutError | TimeoutError) for link in chain):
        return UnavailableError(f"No whole answer within {timeout:g} s.", retryable=True)
    if any(isinstance(link, socket.gaierror) for link in chain) or "NameResolution" in repr(error):
        return UnavailableError(
            "The service's host name could not be resolved: check bucket and region.", retryable=True
        )
    if any(isinstance(link, ProtocolError | ConnectionResetError) for link in chain):
        return UnavailableError(f"The connection broke ({_brief(error)}).", retryable=True)
    return UnavailableError(f"No connection to the service ({_brief(error)}).", retryable=True)


def _chain(error: BaseException) -> list[BaseException]:
    """Return the error with everything that it wraps, by cause, context, ``reason`` or argument."""
    found: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        link = todo.pop()
        if isinstance(link, BaseException) and link not in found:
            found.append(link)
            todo += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
    return found


def _brief(error: BaseException) -> str:
    innermost = next((link for link in _chain(error) if isinstance(link, OSError) and link.strerror), error)
    return getattr(innermost, "strerror", None) or type(innermost).__name__
