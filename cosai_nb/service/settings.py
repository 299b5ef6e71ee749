"""What a client may be told: checks that name the setting and what it should look like."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from cosai_nb.errors import SettingsError

_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{0,60}-[0-9]{1,20}")
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,60}")
_PATH = re.compile(r"(/[A-Za-z0-9_-]+)+")


def check_settings(
    *, bucket: str, region: str, scheme: str, path: str, rate: float | None, timeout: float, patience: float
) -> None:
    """Raise SettingsError at the first setting that cannot be right."""
    if not isinstance(bucket, str) or not _BUCKET.fullmatch(bucket):
        raise SettingsError(
            f"bucket={bucket!r} is not of the form BucketName-APPID, such as demo-1250000000."
        )
    if not isinstance(region, str) or not _REGION.fullmatch(region):
        raise SettingsError(f"region={region!r} is not a region such as ap-beijing.")
    if scheme not in {"http", "https"}:
        raise SettingsError(f"scheme={scheme!r} must be 'https' or 'http'.")
    if not _PATH.fullmatch(path):
        raise SettingsError(f"path={path!r} must be /ai_jobs, /jobs or a sibling of them.")
    for name, value in {"rate": rate, "timeout": timeout, "patience": patience}.items():
        if value is not None and not value > 0:
            raise SettingsError(f"{name}={value!r} must be above 0.")


def base_url(endpoint: str, scheme: str) -> str:
    """Return scheme and host of an endpoint given as host, host:port or URL."""
    url = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"
    parts = urlsplit(url.rstrip("/"))
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.path
        or parts.query
        or parts.username
    ):
        raise SettingsError(f"endpoint={endpoint!r} must be a host, host:port or http(s) URL without a path.")
    return f"{parts.scheme}://{parts.netloc}"
