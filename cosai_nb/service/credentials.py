"""Where credentials come from, how a request is signed, and how both are kept out of every repr, log and traceback."""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import hmac
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote

from cosai_nb.errors import CosaiError, CredentialsError

_REGION_IN_ENDPOINT = re.compile(r"(?:https?://)?cos\.([a-z0-9-]+)\.")
# ID, key, and the names that a token may have; the last place is that of cloud functions
_PLACES = (
    ("COS_SECRET_ID", "COS_SECRET_KEY", ("COS_TOKEN",)),
    (
        "TENCENTCLOUD_SECRET_ID",
        "TENCENTCLOUD_SECRET_KEY",
        ("TENCENTCLOUD_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN", "TENCENTCLOUD_SESSION_TOKEN"),
    ),
    ("TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRETKEY", ("TENCENTCLOUD_SESSIONTOKEN",)),
)
_QUOTES = "\"'`"
_BEFORE_S, _EXPIRES_S = 60, 10_000  # of a signature's window, as the official SDK has them
_KEPT_S = _EXPIRES_S / 2  # a sign key is used so long, and each signature is good for as long again


class Secret:
    """A text that shows itself only when asked: ``reveal()``.

    The text lives in a closure, so that ``vars()``, ``asdict``, verbose tracebacks and debuggers that
    print attributes do not find it; pickling raises, so that it cannot travel in a task graph.

    Examples
    --------
    >>> key = Secret("s3cr3t")
    >>> key, str(key), f"{key}"
    (Secret(***), '***', '***')
    >>> key.reveal()
    's3cr3t'
    """

    __slots__ = ("reveal",)

    def __init__(self, text: str) -> None:
        self.reveal: Callable[[], str] = lambda: text

    @classmethod
    def of(cls, text: str | Secret) -> Secret:
        """Wrap a text; a Secret stays as it is."""
        return text if isinstance(text, Secret) else cls(text)

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A Secret cannot be pickled or copied; send a way to read the credentials instead.")


class Credentials(NamedTuple):
    """A key pair and, for temporary credentials, its token."""

    secret_id: Secret
    secret_key: Secret
    token: Secret | None = None

    @classmethod
    def of(
        cls, secret_id: str | Secret, secret_key: str | Secret, token: str | Secret | None = None
    ) -> Credentials:
        """Wrap texts. It never raises: a verbose traceback would print them; see :meth:`checked`."""
        return cls(Secret.of(secret_id), Secret.of(secret_key), Secret.of(token) if token else None)

    def checked(self) -> Credentials:
        """Return these credentials; a stray space or newline in them is refused without being shown.

        Raises
        ------
        CredentialsError
            Where one is empty, no string, or holds what cannot stand in a header.
        """
        for name, secret in self._asdict().items():
            if secret is not None and (flaw := _flaw(secret)):
                raise CredentialsError(f"{name} {flaw}")
        return self

    def scrub(self, text: str) -> str:
        """Return ``text`` with every secret in it replaced by ``***``, also where it is percent-encoded."""
        for secret in self:
            if secret is not None:
                text = text.replace(secret.reveal(), "***").replace(quote(secret.reveal(), safe=""), "***")
        return text


def wrapped(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the secrets among them wrapped, for callers whose locals may be printed."""
    secret = Credentials._fields
    return {name: Secret.of(value) if name in secret and value else value for name, value in settings.items()}


def _flaw(secret: Secret) -> str | None:
    text = secret.reveal()
    if not isinstance(text, str) or not text:
        return "is not set: pass it, or use Client.from_env()."
    if not (text.isascii() and text.isprintable()) or " " in text:
        return "holds a space, line break or non-ASCII character: copy it again."
    if text[0] in _QUOTES or text[-1] in _QUOTES:
        return "begins or ends with a quotation mark: give it without its quotes."
    return None


Provider = Callable[[], Credentials]


def renewed(provider: Provider) -> Credentials:
    """Ask for fresh credentials; what a provider raises may quote them, so only its type is told."""
    try:
        return provider().checked()
    except CosaiError:
        raise
    except Exception as error:  # noqa: BLE001 - a provider is the user's code and may raise anything
        name = type(error).__name__
    raise CredentialsError(
        f"The credentials have expired, and renewing them failed with {name}: renew them by hand."
    )


def from_environment() -> Credentials:
    """Read credentials from the environment, then from coscmd's ``~/.cos.conf``.

    Raises
    ------
    CredentialsError
        Where no place holds a whole pair; it names the places, never a value.
    """
    looked = []
    for id_name, key_name, token_names in _PLACES:
        if os.environ.get(id_name) and os.environ.get(key_name):
            token_name = next(filter(os.environ.get, token_names), "")
            return Credentials.of(os.environ[id_name], os.environ[key_name], os.environ.get(token_name))
        looked += [f"{name} ({'set' if os.environ.get(name) else 'not set'})" for name in (id_name, key_name)]
    conf = cos_conf()
    if conf.get("secret_id") and conf.get("secret_key"):
        return Credentials(conf["secret_id"], conf["secret_key"], conf.get("token") or None)
    path, flaw = _conf_path(), "not there"
    if path is None:
        flaw = "this user has no home folder"
    elif path.exists():
        flaw = "no secret_id and secret_key in [common]"
    raise CredentialsError(
        f"No credentials found; looked at {', '.join(looked)}, {path or '~/.cos.conf'} ({flaw}). Set COS_SECRET_ID and "
        "COS_SECRET_KEY, or pass client=Client(...); `cosai-nb demo` needs none."
    )


def cos_conf() -> dict[str, Any]:
    """Return the ``[common]`` section of coscmd's ``~/.cos.conf``, secrets wrapped; empty where there is none.

    coscmd takes ``endpoint = cos.<region>.myqcloud.com`` in place of a region; the region is read off it.
    """
    path, parser, readable = _conf_path(), configparser.ConfigParser(interpolation=None), False
    # configparser's own message would quote the broken line, and that line may be the key
    with contextlib.suppress(configparser.Error, UnicodeDecodeError, OSError):
        parser.read(path or [], encoding="utf-8-sig")
        readable = True
    if not readable:
        raise CredentialsError(
            f"{path} cannot be read as an INI file: run `coscmd config` again or remove it."
        )
    found = wrapped(parser["common"]) if parser.has_section("common") else {}
    old_name = found.pop("access_id", None)
    if old_name and not found.get("secret_id"):
        found["secret_id"] = Secret(old_name)
    in_endpoint = _REGION_IN_ENDPOINT.match(found.get("endpoint", ""))
    return {"region": in_endpoint[1], **found} if in_endpoint else found


def _conf_path() -> Path | None:
    try:
        return Path.home() / ".cos.conf"
    except RuntimeError:  # a container whose user is in no list and has no HOME
        return None


def from_cos_config(config: Any) -> Credentials:
    """Read the credentials that a ``qcloud_cos.CosConfig`` holds now (its CredentialInstance may renew them)."""
    source = config if config._secret_id else config._credential_inst  # noqa: SLF001 - the SDK has no public getter
    if source is None:
        raise CredentialsError(
            "This CosConfig is anonymous; AI jobs need a signed request, so give it SecretId and SecretKey."
        )
    if source is config:
        return Credentials.of(config._secret_id, config._secret_key, config._token)  # noqa: SLF001 - see above
    return Credentials.of(source.secret_id, source.secret_key, source.token)


class Headers(dict[str, str]):
    """Request headers whose repr shows names only: a verbose traceback prints the locals it passes through."""

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"


class Signer:
    """Signs GET requests by the COS scheme, ``q-sign-algorithm=sha1``; equal to ``qcloud_cos.cos_auth.CosS3Auth``.

    The sign key is derived once for a window of time and kept for half of it.

    Parameters
    ----------
    now : callable
        Returns seconds since the epoch, as the service sees them.
    host : str
        The Host header, without a port: the SDK signs it so.
    expires_s : int
        How long a signature is good for [s].
    """

    def __init__(self, now: Callable[[], float], host: str, *, expires_s: int = _EXPIRES_S) -> None:
        self._now, self._host, self._expires_s = now, host, expires_s
        self._credentials: Credentials | None = None
        self._from = 0.0

    def sign(self, path: str, params: Mapping[str, str] | None, credentials: Credentials) -> Headers:
        """Return the headers of a signed GET; ``path`` is as before percent-encoding."""
        now = self._now()
        if credentials is not self._credentials or not self._from <= now < self._from + _KEPT_S:
            self._renew(credentials, now)
        headers = Headers({"Accept": "application/xml", "User-Agent": "cosai_nb"})
        if credentials.token is not None:
            headers["x-ci-security-token"] = credentials.token.reveal()
        names = query = ""
        if params:
            pairs = sorted((quote(name, "").lower(), quote(text, "")) for name, text in params.items())
            query = "&".join(f"{name}={text}" for name, text in pairs)
            names = ";".join(name for name, _ in pairs)
        request = f"get\n{path}\n{query}\n{self._signed_headers.reveal()}\n"
        digest = hashlib.sha1(request.encode(), usedforsecurity=False).hexdigest()
        signature = self._key.copy()
        signature.update(f"sha1\n{self._window}\n{digest}\n".encode())
        headers["Authorization"] = (
            f"{self._beginning.reveal()}&q-url-param-list={names}&q-signature={signature.hexdigest()}"
        )
        return headers

    def _renew(self, credentials: Credentials, now: float) -> None:
        """Derive the sign key of a window that begins a minute ago, and everything else that is the same within it."""
        self._credentials, self._from = credentials, now
        self._window = f"{int(now) - _BEFORE_S};{int(now) + self._expires_s}"
        sign_key = hmac.new(credentials.secret_key.reveal().encode(), self._window.encode(), hashlib.sha1)
        self._key = hmac.new(sign_key.hexdigest().encode(), digestmod=hashlib.sha1)
        signed, names = f"host={quote(self._host, '')}", "host"
        if credentials.token is not None:
            signed += f"&x-ci-security-token={quote(credentials.token.reveal(), '')}"
            names += ";x-ci-security-token"
        self._signed_headers = Secret(signed)
        self._beginning = Secret(
            f"q-sign-algorithm=sha1&q-ak={credentials.secret_id.reveal()}&q-sign-time={self._window}"
            f"&q-key-time={self._window}&q-header-list={names}"
        )
