"""Arguments that cannot be right say so, by name, before anything is asked, and show no login."""

from __future__ import annotations

import time

import numpy as np
import pytest

import cosai_nb as cn
from cosai_nb.errors import SettingsError
from cosai_nb.service.settings import base_url, check

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
    check(**FINE)
    check(**{**FINE, "path": "/jobs", "rate": 0.1, "timeout": 1, "scheme": "http"})


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
        ("endpoint", 5),
        ("transport", "requests"),
        ("provider", "me"),
        ("clock", 5),
    ],
)
def test_a_wrong_setting_is_named(name, value):
    with pytest.raises(SettingsError, match=f"^{name}="):
        check(**{**FINE, name: value})


ASKED = {
    "tag": "Translation",
    "queue_id": "p1",
    "start": "2026-11-01",
    "end": "2026-11-02",
}
CALLS = {
    "fetch_jobs": lambda **given: cn.fetch_jobs(**{"job_ids": ["a1"], **given}),
    "watch_jobs": lambda **given: cn.watch_jobs(**{"job_ids": ["a1"], **given}),
    "list_jobs": lambda **given: cn.list_jobs(**{**ASKED, **given}),
    "list_queues": cn.list_queues,
    "describe_job": lambda **given: cn.describe_job("a1", **given),
}


@pytest.mark.parametrize(
    ("call", "name", "values"),
    [
        ("fetch_jobs", "batch_size", [2.5, "3", 0, 11, None, True]),
        ("fetch_jobs", "strict", ["no", None]),
        *(
            (call, "workers", ["3", 2.5, 0, None, True, 100_000])
            for call in ("fetch_jobs", "list_jobs", "watch_jobs")
        ),
        *((call, "deadline", ["x", -1, float("nan"), True]) for call in ("fetch_jobs", "watch_jobs")),
        *((call, "progress", ["yes", 1]) for call in ("fetch_jobs", "list_jobs", "watch_jobs")),
        *((call, "client", ["me", cn.Client, {}]) for call in CALLS),
        ("watch_jobs", "every", ["x", 0, None, float("inf")]),
        ("list_jobs", "tag", [5, "a&b", ""]),
        ("list_jobs", "queue_id", [None, "p 1"]),
        ("list_jobs", "states", [5, "Failed", ["Broken"], [5]]),
        ("list_jobs", "start", [5, None]),
    ],
)
def test_a_wrong_argument_is_a_sentence_that_names_it(wire, call, name, values):
    client = wire.client_of(lambda *_: pytest.fail("asked"))
    for value in values:
        with pytest.raises(SettingsError, match=rf"(?s)^{name}=.* (must|is no) .*\.$") as caught:
            CALLS[call](**{"client": client, name: value})
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("call", ["fetch_jobs", "watch_jobs", "list_jobs"])
def test_a_store_that_is_no_path_is_named_before_anything_is_asked(wire, call):
    client = wire.client_of(lambda *_: pytest.fail("asked"))
    with pytest.raises(SettingsError, match=r"^3 is no path"):
        CALLS[call](client=client, store=3)


def test_a_config_with_a_bucket_that_is_none():
    from qcloud_cos import CosConfig

    config = CosConfig(Region="ap-beijing", SecretId="AKID", SecretKey="hidden")
    for given, name in (
        ({"config": "cos.conf", "bucket": "demo-1250000000"}, "config"),
        ({"config": config, "bucket": 5}, "bucket"),
    ):
        with pytest.raises(SettingsError, match=f"^{name}=.* must be"):
            cn.Client.from_config(**given)


def test_a_long_value_is_shortened():
    with pytest.raises(SettingsError) as caught:
        check(workers="x" * 10_000)
    assert len(str(caught.value)) < 200


def test_numbers_of_numpy_are_numbers():
    check(workers=np.int64(3), batch_size=np.int32(10), deadline=np.float32(2.5), rate=np.float64(5))


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
