"""Settings and credentials of one bucket, and the loop that joins scheduler, engine and the calling thread."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import select
import signal
import threading
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Self
from urllib.parse import quote, urlencode, urlsplit

from cosai_nb import errors
from cosai_nb.arguments import base_url, check, deadline_s
from cosai_nb.service import credentials as creds
from cosai_nb.service.engine import Engine, Reply, Route
from cosai_nb.service.families import FAMILIES
from cosai_nb.service.pace import Pace
from cosai_nb.service.parsing import MAX_BYTES
from cosai_nb.service.replies import SkewedError, error_of, http_date
from cosai_nb.service.scheduler import Get, Plan, Scheduler, Single

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import timedelta

    _Tick = Callable[[], object]

INTERRUPTED = "interrupted"
_EXPIRED_CODES = {"ExpiredToken", "SignatureExpired"}
_sleep = time.sleep
_TICK_S = 0.25  # how often the loop looks for Ctrl-C and tells how it goes
_LAST_ANSWERS_S = 2.0  # how long an ended call waits for the GETs in flight


@dataclass(frozen=True, slots=True)
class Clock:
    """Time and chance, so that tests may bring their own.

    Parameters
    ----------
    monotonic, time : callable
        Seconds; the first never jumps back, the second is since the epoch.
    sleep : callable
        Let seconds pass.
    random : callable
        Uniform in [0, 1).
    """

    monotonic: Callable[[], float] = time.monotonic
    time: Callable[[], float] = time.time
    sleep: Callable[[float], object] = _sleep
    random: Callable[[], float] = random.random


class Interrupts:
    """Ctrl-C, noted instead of raised: whoever holds this decides where it is safe to stop.

    A handler that the user has installed stays, and threads other than the main one get no signals.
    """

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, *_signal: object) -> None:
        """Note it."""
        self.count += 1


@contextlib.contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Hold back Ctrl-C; a call within a call shares what was noted."""
    before = signal.getsignal(signal.SIGINT)
    noted = before if isinstance(before, Interrupts) else Interrupts()
    held = before is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    if held:
        signal.signal(signal.SIGINT, noted)
    try:
        yield noted
    finally:
        if held:
            signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _handlers_wait() -> Iterator[Callable[[], None]]:
    """Hold back the user's own signal handlers, and yield what runs those that are due.

    libcurl would drop what a handler raises in the middle of a request, and its traceback would show signed headers.
    """
    due: list[int] = []
    held: dict[int, Any] = {}

    def note(number: int, _frame: object) -> None:
        due.append(number)

    def run_due() -> None:
        while due:
            number = due.pop(0)
            held[number](number, None)

    if threading.current_thread() is threading.main_thread():
        for number in map(int, signal.valid_signals()):
            handler = signal.getsignal(number)
            if callable(handler) and not isinstance(handler, Interrupts):
                held[number] = handler
                signal.signal(number, note)
    try:
        yield run_due
    finally:
        for number, handler in held.items():
            if signal.getsignal(number) is note:
                signal.signal(number, handler)
        run_due()


class Client:
    """One bucket's jobs: settings, credentials, and signed GETs that are retried with care.

    All arguments are keywords. A client may be shared by threads and calls: rate, retry budget and what was learnt of
    the service (its clock, its pace, the size of lists that it takes) are kept in it.

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
    family : {"ai", "media", "asr", "doc", "pic", "file"}
        Which jobs: each family has its own address, queues and tags.
    path : str, optional
        Another address of the family, such as ``/jobs``, which serves AI jobs as well as ``/ai_jobs``.
    rate : float, optional
        Requests a second, at most; None goes as fast as the service allows.
    timeout : float
        Seconds for one try in all, from the name look-up to the last byte.
    patience : float
        Seconds for one request in all, with its retries.
    engine : {"requests", "curl"}, optional
        How GETs are sent; by default libcurl where pycurl is installed (``pip install 'cosai_nb[fast]'``).
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
        family: str = "ai",
        path: str | None = None,
        rate: float | None = None,
        timeout: float = 30.0,
        patience: float = 180.0,
        engine: str | Engine | None = None,
        provider: creds.Provider | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._credentials = creds.Credentials.of(secret_id, secret_key, token)
        del secret_id, secret_key, token  # a verbose traceback of what fails below prints the locals
        self._credentials.checked()
        check(bucket=bucket, region=region, endpoint=endpoint, scheme=scheme, family=family)
        self.bucket, self.region, self.family = bucket, region, FAMILIES[family]
        self.path = self.family.path if path is None else path
        check(path=self.path, rate=rate, timeout=timeout, patience=patience)
        check(engine=engine, provider=provider, clock=clock)
        self.base_url = base_url(endpoint or f"{bucket}.ci.{region}.myqcloud.com", scheme)
        self.timeout, self.patience, self.clock = timeout, patience, clock or Clock()
        self.pace = Pace(rate)
        self.queue_names: dict[str, str | None] = {}  # as far as a listing has asked for them
        if engine == "curl" and not _has_curl():
            raise errors.SettingsError("engine='curl' needs pycurl: pip install 'cosai_nb[fast]'.")
        self._engine = engine
        self._network: dict[str, Any] = {}  # proxies and verify of a CosConfig
        self._idle: list[Engine] = []
        self._inherited: list[Engine] = []
        self._pid = os.getpid()
        self._provider = provider
        self._skew_s = 0.0
        self._host: str | None = None  # the Host header, where it is not what base_url says
        self._lock = threading.Lock()  # of everything that calls share
        self._make_signer()

    @classmethod
    def from_env(cls, **settings: Any) -> Self:
        """Make a client from the environment.

        ``COSAI_BUCKET``, ``COSAI_REGION`` and optionally ``COSAI_ENDPOINT``; credentials from ``COS_SECRET_ID`` /
        ``COS_SECRET_KEY`` / ``COS_TOKEN``, then ``TENCENTCLOUD_SECRET_ID`` / ``…_KEY`` / ``…_TOKEN``, then the names that
        cloud functions have, then coscmd's ``~/.cos.conf`` (its bucket and region too).

        Parameters
        ----------
        **settings
            Any argument of the class; it takes precedence over the environment.

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
                raise errors.SettingsError(f"No {name}: set COSAI_{name.upper()} or pass {name}=.")
            settings[name] = value
        return cls(**{"secret_id": "", "secret_key": "", **settings})

    @classmethod
    def from_config(cls, config: Any, *, bucket: str, **settings: Any) -> Self:
        """Make a client from a ``qcloud_cos.CosConfig``: its region, scheme, CI endpoint, proxies and credentials.

        Parameters
        ----------
        config : qcloud_cos.CosConfig
            With credentials or a CredentialInstance, which is called again when they expire.
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
            "provider": lambda: creds.from_cos_config(config),
        }
        client = cls(**{**known, **settings, "bucket": bucket})
        client._network = {"proxies": config._proxies, "verify": config._verify_ssl}  # noqa: SLF001 - no public getter
        if config._ip:  # noqa: SLF001 - no public getter
            client._host = f"{bucket}.{config._endpoint_ci}"  # noqa: SLF001 - an IP says nothing of the bucket
            client._make_signer()
        return client

    def __repr__(self) -> str:
        # a verbose traceback of __init__ shows a client that lacks them still
        shown = ", ".join(f"{name}={vars(self).get(name)!r}" for name in ("bucket", "region", "path"))
        token = "set" if self._credentials.token else "not set"
        return f"{type(self).__name__}({shown}, secret_id=set, secret_key=set, token={token})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A Client holds credentials and cannot be pickled; make one where it is needed.")

    def close(self) -> None:
        """Close all connections; the client opens new ones when it is used again."""
        self._leave_parent()
        while self._idle:
            self._idle.pop().close()

    def ask(
        self,
        path: str,
        parse: Callable[[bytes], Any],
        *,
        params: Mapping[str, str] | None = None,
        deadline: float | str | timedelta | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> tuple[Any, int]:
        """Send a signed GET, retry what may be retried, and parse the answer.

        Parameters
        ----------
        path : str
            Path before percent-encoding, for example ``/ai_jobs/<id>,<id>``.
        parse : callable
            Body to anything; an AnswerError of it that says ``retryable`` is retried as well, twice.
        params : mapping, optional
            Query parameters.
        deadline : float, str or timedelta, optional
            Seconds for the whole of it.
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
        plan = Single(Get(path, parse, params=params, max_bytes=min(max_bytes, MAX_BYTES)))
        with interrupts() as noted:
            seen = noted.count
            end = self.run(plan, deadline=deadline, hopeless=self.patience)
        if end == INTERRUPTED or noted.count > seen:  # the last may have come when all had been read
            raise KeyboardInterrupt
        if isinstance(end, errors.CosaiError):
            raise end
        if end is not None:
            raise errors.UnavailableError(f"No answer: {end}.")
        return plan.answer, plan.observed_ms

    def sleep(self, seconds: float) -> bool:
        """Let seconds pass by the client's clock; return False at once after Ctrl-C."""
        until = self.clock.monotonic() + seconds
        with interrupts() as noted:
            seen = noted.count
            while (left := until - self.clock.monotonic()) > 0 and noted.count == seen:
                self.clock.sleep(left if self.clock.sleep is not _sleep else min(left, _TICK_S))
            return noted.count == seen

    def run(
        self,
        plan: Plan,
        *,
        workers: int = 64,
        deadline: float | str | timedelta | None = None,
        on_tick: Callable[[], object] = lambda: None,
        **settings: float,
    ) -> errors.CosaiError | str | None:
        """Ask everything that a plan knows, in the calling thread.

        Parameters
        ----------
        plan : Plan
            What to ask; it keeps the answers.
        workers : int
            Requests in flight, at most.
        deadline : float, str or timedelta, optional
            Seconds for the whole call.
        on_tick : callable
            Called after answers came, and four times a second while none come. A CosaiError of it ends the call.
        **settings
            Of the :class:`~cosai_nb.service.scheduler.Scheduler`.

        Returns
        -------
        CosaiError, str or None
            Why the call ended early: an error, :data:`INTERRUPTED`, or other words.
        """
        now = self.clock.monotonic()
        settings = {"patience": self.patience, "deadline": deadline_s(deadline), **settings}
        scheduler = Scheduler(plan, self.pace, now=now, random=self.clock.random, workers=workers, **settings)
        with interrupts() as noted, _handlers_wait() as run_handlers:

            def tick() -> None:
                try:
                    on_tick()
                except errors.CosaiError as error:
                    scheduler.stop(error)
                run_handlers()

            engine = self._take_engine()
            try:
                for stage in (self._loop, self._collect_the_last):
                    try:
                        stage(scheduler, engine, noted, tick)
                    except KeyboardInterrupt:  # of a handler or callback of the user's
                        scheduler.stop(INTERRUPTED)
            except BaseException as error:
                # frames below held signed headers, which verbose tracebacks print
                engine.close()
                traceback.clear_frames(error.__traceback__)
                raise
        if scheduler.in_flight:
            engine.close()
        self._idle.append(engine)
        if isinstance(scheduler.end, errors.CosaiError):
            scheduler.end.__traceback__ = scheduler.end.__cause__ = scheduler.end.__context__ = None
        return scheduler.end

    def _loop(self, scheduler: Scheduler, engine: Engine, noted: Interrupts, tick: _Tick) -> None:
        """Send what is due and take what comes, until nothing is left or the call ends early."""
        seen = noted.count
        while not scheduler.over:
            self._send(scheduler, engine)
            if scheduler.end is not None:
                return
            with self._lock:
                wait = min(scheduler.wait(self.clock.monotonic()), _TICK_S)
            if scheduler.in_flight:
                self._take(scheduler, engine, wait)
            elif wait:
                self.clock.sleep(wait)
            tick()
            if noted.count > seen:
                scheduler.stop(INTERRUPTED)

    def _collect_the_last(self, scheduler: Scheduler, engine: Engine, noted: Interrupts, tick: _Tick) -> None:
        """Wait a moment for what is in flight when a call ends early, so that it is not lost; not at a second Ctrl-C."""
        left = 0.0 if str(scheduler.end).startswith(Scheduler.DEADLINE_OVER) else _LAST_ANSWERS_S
        seen, until = noted.count, time.monotonic() + left
        while scheduler.in_flight and noted.count == seen and (left := until - time.monotonic()) > 0:
            self._take(scheduler, engine, min(left, _TICK_S))
        tick()

    def _send(self, scheduler: Scheduler, engine: Engine) -> None:
        while True:
            with self._lock:
                now = self.clock.monotonic()
                get = scheduler.due(now)
                if get is None:
                    return
                get.used = self._credentials
                headers = self._signer.sign(get.path, get.params, self._credentials)
            if self._host is not None:
                headers["Host"] = self._host
            # paths are made of the family's address and admitted IDs: only commas need to be encoded
            query = f"?{urlencode(get.params, quote_via=quote)}" if get.params else ""
            url = f"{self.base_url}{get.path.replace(',', '%2C')}{query}"
            timeout = min(self.timeout, scheduler.until - now)
            engine.start(get, url, headers, timeout=timeout, max_bytes=get.max_bytes)

    def _take(self, scheduler: Scheduler, engine: Engine, seconds: float) -> None:
        """Hand what has finished to the scheduler: parsed, or as an error."""
        for get, came in engine.collect(seconds):
            answer = self._read(get, came)
            with self._lock:
                now = self.clock.monotonic()
                if isinstance(came, Reply) and not isinstance(answer, errors.CosaiError):
                    # when the answer was true; by this machine's clock where it has no date
                    date = http_date(came.headers.get("date"))
                    observed_s = self.clock.time() + self._skew_s if date is None else date
                    scheduler.answered(get, answer, int(observed_s) * 1000, now)
                    continue
                try:
                    corrected = self._correct(answer, get)
                except errors.CosaiError as failure:
                    scheduler.stop(failure)
                    corrected = False
                scheduler.failed(get, answer, now, corrected=corrected)

    def _read(self, get: Get, came: Reply | errors.CosaiError) -> Any:
        """Return the parsed answer, or the error that came in its place or that a reply stands for."""
        if isinstance(came, errors.CosaiError):
            return came
        try:
            if came.status != 200:  # noqa: PLR2004 - the one status that carries an answer
                return error_of(came, get.used.scrub, now=self.clock.time(), endpoint=self.base_url)
            body = came.body
            try:
                return get.parse(body)
            except errors.AnswerError:  # it quotes the body, and the body may quote a secret
                body = get.used.scrub(body.decode("latin-1")).encode("latin-1")
            return get.parse(body)
        except errors.AnswerError as error:
            return error.with_traceback(None)
        except Exception as error:  # noqa: BLE001 - whatever bytes make a parser raise, other answers are read
            why = f"The answer could not be read ({type(error).__name__})."
            return errors.MalformedError(why, status_code=came.status)

    def _correct(self, error: errors.CosaiError, get: Get) -> bool:
        """Correct the clock or renew expired credentials, once a request and once for all of them."""
        if isinstance(error, SkewedError) and error.server_time is not None and "skew" not in get.corrected:
            get.corrected |= {"skew"}
            self._skew_s = error.server_time - self.clock.time()
            self._make_signer()
            return True
        if error.code in _EXPIRED_CODES and self._provider and "expired" not in get.corrected:
            get.corrected |= {"expired"}
            if self._credentials is get.used:
                self._credentials = creds.renewed(self._provider)
            return True
        return False

    def _make_signer(self) -> None:
        host = self._host or urlsplit(self.base_url).hostname or ""
        self._signer = creds.Signer(lambda: self.clock.time() + self._skew_s, host)

    def _take_engine(self) -> Engine:
        """Return an engine that no other call uses."""
        self._leave_parent()
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        if not isinstance(self._engine, str | None):
            return self._engine
        route = Route.of(self.base_url, **self._network)
        if self._engine == "curl" or (self._engine is None and _has_curl()):
            from cosai_nb.service.engine_curl import CurlEngine  # noqa: PLC0415 - pycurl is an extra

            return CurlEngine(route)
        from cosai_nb.service.engine_requests import RequestsEngine  # noqa: PLC0415 - requests takes its time to import

        return RequestsEngine(route)

    def _leave_parent(self) -> None:
        """In a forked child, share neither sockets nor locks with the parent."""
        if self._pid != os.getpid():
            # never closed, which would tell the other side so on the parent's connections
            self._inherited, self._idle, self._lock, self._pid = self._idle, [], threading.Lock(), os.getpid()


def _has_curl() -> bool:
    return hasattr(select, "poll") and importlib.util.find_spec("pycurl") is not None  # Windows has no poll()
