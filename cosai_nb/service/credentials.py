"""Where credentials come from, and how they are kept out of every repr, log and traceback."""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote

from cosai_nb.errors import CosaiError, CredentialsError

_REGION_IN_ENDPOINT = re.compile(r"(?:https?://)?cos\.([a-z0-9-]+)\.")
_PAIRS = (
    ("COS_SECRET_ID", "COS_SECRET_KEY", "COS_TOKEN"),
    ("TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY", "TENCENTCLOUD_TOKEN"),
)


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
            flaw = _flaw(secret)
            if flaw:
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


def _flaw(secret: Secret | None) -> str | None:
    if secret is None:
        return None
    text = secret.reveal()
    if not isinstance(text, str) or not text:
        return "is not set: pass it, or use Client.from_env()."
    if not (text.isascii() and text.isprintable()) or " " in text:
        return "holds a space, line break or non-ASCII character: copy it again."
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


def from_environment(environ: Mapping[str, str] | None = None, home: Path | None = None) -> Credentials:
    """Read credentials from the environment, then from coscmd's ``~/.cos.conf``.

    Raises
    ------
    CredentialsError
        Where no place holds a whole pair; it names the places, never a value.
    """
    found, looked = _search(os.environ if environ is None else environ, home)
    del environ  # its repr, in a verbose traceback, holds every variable
    if found is None:
        raise CredentialsError(
            f"No credentials found; looked at {', '.join(looked)}. Set COS_SECRET_ID and COS_SECRET_KEY, "
            "or pass client=Client(...); `cosai-nb demo` needs none."
        )
    return found


def _search(environ: Mapping[str, str], home: Path | None) -> tuple[Credentials | None, list[str]]:
    looked = []
    for id_name, key_name, token_name in _PAIRS:
        if environ.get(id_name) and environ.get(key_name):
            return Credentials.of(environ[id_name], environ[key_name], environ.get(token_name)), []
        looked += [f"{name} ({'set' if environ.get(name) else 'not set'})" for name in (id_name, key_name)]
    del environ  # cos_conf may raise
    conf = cos_conf(home)
    secret_id = conf.get("secret_id") or conf.get("access_id")
    if secret_id and conf.get("secret_key"):
        return Credentials.of(secret_id, conf["secret_key"], conf.get("token")), []
    path = _conf_path(home)
    looked.append(f"{path} ({'no secret_id and secret_key in [common]' if path.exists() else 'not there'})")
    return None, looked


def cos_conf(home: Path | None = None) -> Mapping[str, str]:
    """Return the ``[common]`` section of coscmd's ``~/.cos.conf``, empty where there is none.

    coscmd takes ``endpoint = cos.<region>.myqcloud.com`` in place of a region; the region is read off it.
    """
    path = _conf_path(home)
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8-sig")
    except (configparser.Error, UnicodeDecodeError, OSError):
        # configparser's own message would quote the broken line, and that line may be the key
        readable = False
    else:
        readable = True
    if not readable:
        raise CredentialsError(
            f"{path} cannot be read as an INI file: run `coscmd config` again or remove it."
        )
    found = dict(parser["common"]) if parser.has_section("common") else {}
    in_endpoint = _REGION_IN_ENDPOINT.match(found.get("endpoint", ""))
    return {"region": in_endpoint[1], **found} if in_endpoint else found


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


def _conf_path(home: Path | None) -> Path:
    return (home or Path.home()) / ".cos.conf"
