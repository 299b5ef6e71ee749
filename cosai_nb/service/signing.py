"""The official SDK's signer, with its own clock and without its debug log."""

from __future__ import annotations

import importlib.util
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from cosai_nb.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cosai_nb.service.credentials import Credentials


class Headers(dict[str, str]):
    """Request headers whose repr shows names only: a verbose traceback prints the locals it passes through."""

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"


class _Settings(SimpleNamespace):
    """What CosS3Auth reads of a CosConfig, with a repr that a traceback may print."""

    def __repr__(self) -> str:
        return "_Settings(***)"


class Signer:
    """Sign GET requests with ``qcloud_cos.cos_auth.CosS3Auth``.

    A private copy of the SDK's module is loaded. The SDK logs sign keys and tokens at DEBUG: the copy has a
    logger that nobody can switch on. The SDK reads the machine's clock: the copy reads ``now``, so that a
    RequestTimeTooSkewed can be corrected for this client alone.

    Parameters
    ----------
    now : callable
        Returns seconds since the epoch, as the service sees them.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        spec = importlib.util.find_spec("qcloud_cos.cos_auth")
        if spec is None or spec.loader is None:
            raise SettingsError(
                "The package cos-python-sdk-v5 is not installed: pip install cos-python-sdk-v5."
            )
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.time = SimpleNamespace(time=now)
        module.logger = logging.Logger("cosai_nb.silent", level=logging.CRITICAL + 1)  # noqa: LOG001 - outside of logging's tree nobody can set its level
        self._auth = module.CosS3Auth

    def sign(
        self,
        url: str,
        path: str,
        params: Mapping[str, str],
        credentials: Credentials,
        *,
        host: str | None = None,
    ) -> Headers:
        """Return the headers of a signed GET; ``path`` is as before percent-encoding, ``host`` where it is not the URL's."""
        headers = Headers({"Accept": "application/xml", "User-Agent": "cosai_nb"})
        if host is not None:
            headers["Host"] = host
        if credentials.token is not None:
            headers["x-ci-security-token"] = credentials.token.reveal()
        settings = _Settings(
            _secret_id=credentials.secret_id.reveal(),
            _secret_key=credentials.secret_key.reveal(),
            _anonymous=False,
            _sign_params=True,
            _sign_host=True,
        )
        self._auth(settings, path, params=dict(params))(
            SimpleNamespace(method="GET", url=url, headers=headers)
        )
        return headers
