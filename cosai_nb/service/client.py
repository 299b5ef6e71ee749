"""Settings, credentials, and one signed GET with its retries."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar
from urllib.parse import quote, urlencode

from cosai_nb.arguments import base_url, check
from cosai_nb.errors import AnswerError, CosaiError, SettingsError, UnavailableError
from cosai_nb.service import credentials as creds
from cosai_nb.service.pace import Clock, RateLimiter, RetryQuota, http_date, retry_after
from cosai_nb.service.reader import MAX_BYTES
from cosai_nb.service.signing import Signer
from cosai_nb.service.transport import Reply, RequestsTransport, Transport
from cosai_nb.service.verdict import EXPIRED_CODES, SkewedError, error_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

_ANSWER_RETRIES = 2


class Client:
    """One bucket's AI jobs: settings, credentials, and signed GETs that are retried with care.

    All arguments are keywords. A client may be shared by threads and calls: rate, retry budget and what was learnt of
    the service (its clock, the size of lists that it takes) are kept in it.

    Parameters
    ----------
    bucket : str
        ``BucketName-APPID``.
    region : str
        For example ``ap-beijing``.
    secret_id, secret_key : str or Secret
        The key pair; never shown again.
    token : str or Secret, optional
        Session token of temporary credentials.
    endpoint : str, optional
        Host, host:port or URL that stands for ``<bucket>.ci.<region>.myqcloud.com``.
    scheme : {"https", "http"}
        Used where the endpoint does not say.
    path : str
        ``/ai_jobs``, or ``/jobs`` for the unified family.
    rate : float, optional
        Requests a second, at most; None goes as fast as the service allows.
    timeout : float
        Seconds for one try in all, from connecting to the last byte.
    patience : float
        Seconds for one request in all, with its retries.
    transport : Transport, optional
        Another HTTP engine.
    provider : callable, optional
        Returns fresh ``Credentials`` when the service calls the present ones expired.
    clock : Clock, optional
        Time and chance; tests bring their own.

    Raises
    ------
    SettingsError, CredentialsError
        Where a setting cannot be right.

    Examples
    --------
    >>> Client(bucket="demo-1250000000", region="ap-beijing", secret_id="AKID", secret_key="hidden")
    Client(bucket='demo-1250000000', region='ap-beijing', path='/ai_jobs', secret_id=set, secret_key=set, token=not set)
    """

    def __init__(
        self,
        *,
        bucket: str,
        region: str,
        secret_id: str | creds.Secret,
        secret_key: str | creds.Secret,
        token: str | creds.Secret | None = None,
        endpoint: str | None = None,
        scheme: str = "https",
        path: str = "/ai_jobs",
        rate: float | None = None,
        timeout: float = 30.0,
        patience: float = 180.0,
        transport: Transport | None = None,
        provider: creds.Provider | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.bucket, self.region, self.path = bucket, region, path
        self._credentials = creds.Credentials.of(secret_id, secret_key, token)
        del secret_id, secret_key, token  # a verbose traceback of what fails below prints the locals
        self._credentials.checked()
        check(bucket=bucket, region=region, endpoint=endpoint, scheme=scheme, path=path)
        check(rate=rate, timeout=timeout, patience=patience)
        check(transport=transport, provider=provider, clock=clock)
        self.base_url = base_url(endpoint or f"{bucket}.ci.{region}.myqcloud.com", scheme)
        self.timeout, self.patience, self.clock = timeout, patience, clock or Clock()
        self.list_size: int | None = None  # largest comma list that the service takes, once it refused one
        self.accepted_size = 1  # largest comma list that it has answered
        self.quota = RetryQuota()
        self.limiter = RateLimiter(rate, self.clock)
        self._provider = provider
        self._skew_s = 0.0
        self._host: str | None = None  # the Host header, where it is not what base_url says
        self._lock = threading.Lock()
        self._signer = Signer(lambda: self.clock.time() + self._skew_s)
        self._transport = transport or RequestsTransport(self.base_url)

    @classmethod
    def from_env(cls, **settings: Any) -> Self:
        """Make a client from the environment.

        ``COSAI_BUCKET``, ``COSAI_REGION`` and optionally ``COSAI_ENDPOINT``; credentials from ``COS_SECRET_ID`` /
        ``COS_SECRET_KEY`` / ``COS_TOKEN``, then ``TENCENTCLOUD_SECRET_ID`` / ``…_KEY`` / ``…_TOKEN``, then coscmd's
        ``~/.cos.conf`` (its bucket and region too).

        Parameters
        ----------
        **settings
            Any argument of the class; it wins over the environment.

        Raises
        ------
        CredentialsError
            Where no pair is found; it names the places looked at, never a value.
        """
        settings = creds.wrapped(settings)
        if not {"secret_id", "secret_key"} & settings.keys():
            settings = {"provider": creds.from_environment, **creds.from_environment()._asdict(), **settings}
        for name in ("bucket", "region", "endpoint"):
            value = settings.get(name) or os.environ.get(f"COSAI_{name.upper()}")
            if not value and name != "endpoint" and not (value := creds.cos_conf().get(name)):
                raise SettingsError(f"No {name}: set COSAI_{name.upper()} or pass {name}=.")
            settings[name] = value
        return cls(**{"secret_id": "", "secret_key": "", **settings})

    @classmethod
    def from_config(cls, config: Any, *, bucket: str, **settings: Any) -> Self:
        """Make a client from a ``qcloud_cos.CosConfig``: its region, scheme, CI endpoint, proxies and credentials.

        Parameters
        ----------
        config : qcloud_cos.CosConfig
            With credentials or a CredentialInstance, which is asked again when they expire.
        bucket : str
            ``BucketName-APPID``.
        **settings
            Any other argument of the class.
        """
        check(config=config, bucket=bucket)
        settings = creds.wrapped(settings)
        url = config.uri(bucket=bucket, endpoint=config._endpoint_ci)  # noqa: SLF001 - as the SDK's own client does
        known = {
            **creds.from_cos_config(config)._asdict(),
            "endpoint": url.rstrip("/"),
            "region": config._region or "unknown",  # noqa: SLF001 - no public getter
            "transport": RequestsTransport(url, proxies=config._proxies, verify=config._verify_ssl),  # noqa: SLF001 - see above
            "provider": lambda: creds.from_cos_config(config),
        }
        client = cls(**{**known, **settings, "bucket": bucket})
        if config._ip:  # noqa: SLF001 - no public getter
            client._host = f"{bucket}.{config._endpoint_ci}"  # noqa: SLF001 - an IP says nothing of the bucket
        return client

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in ("bucket", "region", "path"))
        token = "set" if self._credentials.token else "not set"
        return f"{type(self).__name__}({shown}, secret_id=set, secret_key=set, token={token})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A Client holds credentials and cannot be pickled; make one where it is needed.")

    def close(self) -> None:
        """Close all connections; the client opens new ones when it is used again."""
        self._transport.close()

    def ask(
        self,
        path: str,
        parse: Callable[[bytes], T],
        *,
        params: Mapping[str, str] | None = None,
        stop: threading.Event | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> tuple[T, int]:
        """Send a signed GET, retry what may be retried, and parse the answer.

        Parameters
        ----------
        path : str
            Path before percent-encoding, for example ``/ai_jobs/<id>,<id>``.
        parse : callable
            Body to anything; an AnswerError of it that says ``retryable`` is retried as well, twice.
        params : mapping, optional
            Query parameters.
        stop : threading.Event, optional
            When set, waits end and nothing is retried.
        max_bytes : int
            Where to stop reading.

        Returns
        -------
        parsed, observed_ms
            The parsed answer, and its Date header in milliseconds since the epoch (UTC).

        Raises
        ------
        ServiceError, AnswerError
            After all retries; the message carries the service's Code, Message and request id.
        """
        stop = stop or threading.Event()
        until = self.clock.monotonic() + self.patience
        attempt = unbelievable = 0
        mended: set[str] = set()
        while True:
            self.limiter.acquire(stop)
            used = self._credentials
            try:
                return self._once(path, parse, params or {}, used, stop, min(max_bytes, MAX_BYTES))
            except CosaiError as error:
                # frames of it and of its cause held signed headers, which verbose tracebacks print
                failure = error.with_traceback(None)
                failure.__cause__ = failure.__context__ = None
            if not self._mend(failure, used, mended):
                unbelievable += isinstance(failure, AnswerError)
                if unbelievable > _ANSWER_RETRIES:
                    raise failure
                self._pause(failure, attempt, until, stop)
                attempt += 1

    def _once(
        self,
        path: str,
        parse: Callable[[bytes], T],
        params: Mapping[str, str],
        credentials: creds.Credentials,
        stop: threading.Event,
        max_bytes: int,
    ) -> tuple[T, int]:
        if stop.is_set():
            raise UnavailableError("The call was ended before this request was sent.")
        url = f"{self.base_url}{quote(path)}" + (f"?{urlencode(params, quote_via=quote)}" if params else "")
        headers = self._signer.sign(url, path, params, credentials, host=self._host)
        reply = self._transport.get(url, headers, timeout=self.timeout, max_bytes=max_bytes)
        if reply.status != 200:  # noqa: PLR2004 - the one status that carries an answer
            wait = retry_after(reply.headers.get("Retry-After"), self.clock.time())
            raise error_of(reply, credentials.scrub, retry_after=wait, sent_at=self.clock.time())
        parsed = _parsed(parse, reply.body, credentials)
        self.quota.give()
        self.limiter.succeeded()
        return parsed, self._observed_ms(reply)

    def _observed_ms(self, reply: Reply) -> int:
        """Read when the answer was true: its Date header, or this machine's clock where there is none."""
        date = http_date(reply.headers.get("Date"))
        return int(self.clock.time() + self._skew_s if date is None else date) * 1000

    def _mend(self, failure: CosaiError, used: creds.Credentials, mended: set[str]) -> bool:
        """Correct the clock or renew expired credentials, once a request and once for all threads."""
        if isinstance(failure, SkewedError) and failure.server_time is not None and "skew" not in mended:
            mended.add("skew")
            self._skew_s = failure.server_time - self.clock.time()
            return True
        if failure.code in EXPIRED_CODES and self._provider and "expired" not in mended:
            mended.add("expired")
            with self._lock:
                if self._credentials is used:
                    self._credentials = creds.renewed(self._provider)
            return True
        return False

    def _pause(self, failure: CosaiError, attempt: int, until: float, stop: threading.Event) -> None:
        """Wait before the next try, or raise ``failure`` where there is none."""
        throttled = failure.status_code == 429 or failure.code == "SlowDown"  # noqa: PLR2004 - HTTP's number
        if throttled:
            self.limiter.throttled()
        if not failure.retryable or stop.is_set():
            raise failure
        delay = max(self.clock.backoff(attempt), failure.retry_after or 0.0)
        if self.clock.monotonic() + delay > until or not self.quota.take(throttled=throttled):
            raise failure
        self.clock.wait(stop, delay)


def _parsed(parse: Callable[[bytes], T], body: bytes, credentials: creds.Credentials) -> T:
    """Parse a body; where that fails and the body quotes a secret, fail again without it in the sentence."""
    try:
        return parse(body)
    except AnswerError:
        hidden = credentials.scrub(body.decode("latin-1")).encode("latin-1")
        if hidden == body:
            raise
    return parse(hidden)
