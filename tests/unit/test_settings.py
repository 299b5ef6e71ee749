"""Settings that cannot be right say so, by name, and show no login."""

from __future__ import annotations

import time

import pytest

from cosai_nb.errors import SettingsError
from cosai_nb.service.settings import base_url, check_settings

FINE = {
    "bucket": "demo-1250000000",
    "region": "ap-beijing",
    "scheme": "https",
    "path": "/ai_jobs",
    "rate": None,
    "timeout": 30.0,
    "patience": 180.0,
}


def test_fine_settings_pass():
    check_settings(**FINE)
    check_settings(**{**FINE, "path": "/jobs", "rate": 0.1, "timeout": 1, "scheme": "http"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bucket", "demo"),
        ("bucket", "Demo-1250000000"),
        ("bucket", "demo-125\n"),
        ("bucket", "a.b-125"),
        ("bucket", "-demo-125"),
        ("bucket", "d" * 60 + "-125"),  # no label of a host name may have 64 characters
        ("bucket", ""),
        ("bucket", None),
        ("region", "ap-beijing.evil.com"),
        ("region", "ap beijing"),
        ("region", "a/b"),
        ("region", "ap-beijing\n"),
        ("region", None),
        ("scheme", "ftp"),
        ("scheme", ""),
        ("path", "ai_jobs"),
        ("path", "/ai_jobs/"),
        ("path", "/../x"),
        ("path", "/a?b"),
        ("path", ""),
        ("path", None),
        ("rate", 0),
        ("rate", -1),
        ("rate", float("nan")),
        ("rate", float("inf")),
        ("rate", "5"),
        ("timeout", 0),
        ("timeout", None),
        ("timeout", float("inf")),
        ("timeout", "30"),
        ("patience", float("nan")),
        ("patience", None),
    ],
)
def test_a_wrong_setting_is_named(name, value):
    with pytest.raises(SettingsError, match=f"^{name}="):
        check_settings(**{**FINE, name: value})


@pytest.mark.parametrize(
    ("endpoint", "scheme", "url"),
    [
        ("demo-1.ci.ap-beijing.myqcloud.com", "https", "https://demo-1.ci.ap-beijing.myqcloud.com"),
        ("127.0.0.1:8080", "http", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080", "https", "http://127.0.0.1:8080"),
        ("https://ci.example.com/", "http", "https://ci.example.com"),
        ("localhost", "http", "http://localhost"),
        ("[::1]:8080", "http", "http://[::1]:8080"),
    ],
)
def test_endpoint_as_host_or_url(endpoint, scheme, url):
    assert base_url(endpoint, scheme) == url


@pytest.mark.parametrize(
    "endpoint",
    [
        "ftp://x",
        "http://x/path",
        "http://x?query",
        "http://x#fragment",
        "http://",
        "",
        "a b",
        "x\r\nHost: evil",
        "http://[::1",
        "x:99999",
        "x:0",
        "x:",
        "x:abc",
        "a..b",
        ".a",
        "x" * 64,
        "http://x\\@evil",
        "höst",
    ],
)
def test_an_endpoint_that_is_none(endpoint):
    with pytest.raises(SettingsError, match="endpoint"):
        base_url(endpoint, "https")


@pytest.mark.parametrize("endpoint", ["http://user:hidden@x", "user:hidden@x", "http://:hidden@x"])
def test_a_login_in_the_endpoint_is_refused_and_not_shown(endpoint):
    with pytest.raises(SettingsError, match="login") as caught:
        base_url(endpoint, "https")
    assert "hidden" not in str(caught.value)


def test_no_endpoint_takes_long_to_refuse():
    began = time.perf_counter()
    with pytest.raises(SettingsError):
        base_url("a" * 5_000 + "!", "https")
    with pytest.raises(SettingsError):
        base_url("a." * 5_000 + "!", "https")
    assert time.perf_counter() - began < 1
