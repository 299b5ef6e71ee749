"""What a client may be told: checks that name the setting and what it should look like."""

from __future__ import annotations

import math
import re

from cosai_nb.errors import SettingsError

_BUCKET = re.compile(r"(?=.{3,63}\Z)[a-z0-9][a-z0-9-]*-[0-9]{1,20}")  # 63: it is a label of a host name
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,60}")
_PATH = re.compile(r"(/[A-Za-z0-9_-]+)+")
_ENDPOINT = re.compile(
    r"https?://(?:\[[0-9A-Fa-f:.]+\]|[\w-]{1,63}(?:\.[\w-]{1,63})*)(?::(?P<port>[0-9]{1,5}))?", re.ASCII
)


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
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise SettingsError(f"path={path!r} must be /ai_jobs, /jobs or a sibling of them.")
    for name, value in {"rate": rate, "timeout": timeout, "patience": patience}.items():
        if value is None and name == "rate":
            continue
        if not isinstance(value, int | float) or not 0 < value < math.inf:
            raise SettingsError(f"{name}={value!r} must be a number above 0.")


def base_url(endpoint: str, scheme: str) -> str:
    """Return scheme and host of an endpoint given as host, host:port or URL."""
    if "@" in endpoint:
        raise SettingsError("endpoint holds a login before '@': give the host alone; requests are signed.")
    url = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"
    found = _ENDPOINT.fullmatch(url.rstrip("/"))
    if not found or int(found["port"] or 1) not in range(1, 65536):
        raise SettingsError(f"endpoint={endpoint!r} must be a host, host:port or http(s) URL without a path.")
    return found[0]
