"""Where credentials come from, and how they are kept out of every repr, log and traceback."""

from __future__ import annotations

import configparser
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from cosai_nb.errors import CredentialsError

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
    def of(cls, secret_id: str, secret_key: str, token: str | None = None) -> Credentials:
        """Check and wrap texts; a stray space or newline is refused without being shown.

        Raises
        ------
        CredentialsError
            Where one is empty, no string, or holds what cannot stand in a header.
        """
        named = {"secret_id": secret_id, "secret_key": secret_key}
        if token:
            named["token"] = token
        for name, text in named.items():
            if not isinstance(text, str) or not text:
                raise CredentialsError(f"{name} is not set: pass it, or use Client.from_env().")
            if not (text.isascii() and text.isprintable()) or " " in text:
                raise CredentialsError(
                    f"{name} holds a space, line break or non-ASCII character: copy it again."
                )
        return cls(*map(Secret, named.values()))

    def scrub(self, text: str) -> str:
        """Return ``text`` with every secret in it replaced by ``***``."""
        for secret in self:
            if secret is not None:
                text = text.replace(secret.reveal(), "***")
        return text


Provider = Callable[[], Credentials]


def from_environment(environ: Mapping[str, str] | None = None, home: Path | None = None) -> Credentials:
    """Read credentials from the environment, then from coscmd's ``~/.cos.conf``.

    Raises
    ------
    CredentialsError
        Where no place holds a whole pair; it names the places, never a value.
    """
    environ = os.environ if environ is None else environ
    looked = []
    for id_name, key_name, token_name in _PAIRS:
        secret_id, secret_key = environ.get(id_name), environ.get(key_name)
        if secret_id and secret_key:
            return Credentials.of(secret_id, secret_key, environ.get(token_name))
        looked += [f"{name} ({'set' if environ.get(name) else 'not set'})" for name in (id_name, key_name)]
    conf = cos_conf(home)
    secret_id = conf.get("secret_id") or conf.get("access_id")
    secret_key = conf.get("secret_key")
    if secret_id and secret_key:
        return Credentials.of(secret_id, secret_key, conf.get("token"))
    path = _conf_path(home)
    looked.append(f"{path} ({'no secret_id and secret_key in [common]' if path.exists() else 'not there'})")
    raise CredentialsError(
        f"No credentials found; looked at {', '.join(looked)}. Set COS_SECRET_ID and COS_SECRET_KEY, "
        "or pass client=Client(...); `cosai-nb demo` needs none."
    )


def cos_conf(home: Path | None = None) -> Mapping[str, str]:
    """Return the ``[common]`` section of coscmd's ``~/.cos.conf``, empty where there is none."""
    path = _conf_path(home)
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError):
        # configparser's own message would quote the broken line, and that line may be the key
        readable = False
    else:
        readable = True
    if not readable:
        raise CredentialsError(
            f"{path} cannot be read as an INI file: run `coscmd config` again or remove it."
        )
    return dict(parser["common"]) if parser.has_section("common") else {}


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
