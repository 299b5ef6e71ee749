"""The signature is the official SDK's, on this client's clock, in silence."""

from __future__ import annotations

import functools
import hashlib
import hmac
import importlib
import io
import logging
import re
import time

import pytest

from cosai_nb.service.credentials import Credentials
from cosai_nb.service.parsing import parse_jobs
from cosai_nb.service.signing import Headers, Signer

HOST = "test-1234567890.ci.ap-beijing.myqcloud.com"
KEYS = Credentials.of("AKIDEXAMPLE", "SECRETEXAMPLE")
LIST = {
    "tag": "Translation",
    "queueId": "p893bcda225bf4945a378da6662e81a89",
    "size": "10",
    "states": "All",
    "orderByTime": "Desc",
    "nextToken": "",
    "startCreationTime": "2022-07-01T00:00:00+0800",
}


def signer_of_the_vectors() -> Signer:
    """KeyTime 1700000000;1700003600: the SDK begins a minute early, and the vectors end after an hour."""
    signer = Signer(lambda: 1_700_000_060.0)
    signer._auth = functools.partial(signer._auth, expire=3540)
    return signer


def parts(headers) -> dict[str, str]:
    return dict(part.split("=", 1) for part in headers["Authorization"].split("&"))


@pytest.mark.parametrize(
    ("path", "params", "token", "signature", "signed"),
    [
        ("/ai_jobs/a8d121820f5e411ec926ef19d53ba9c6f", {}, None, "f443b11bbb6db8c35ac75dc143d394229f947225", "host"),
        ("/ai_jobs/aaa,bbb", {}, None, "238478bce685b82f062bff5790de859ecad8b7a8", "host"),
        ("/jobs", LIST, None, "a4eaeee18285acd0bcf338ec1d39683b6ccc2651", "host"),
        ("/ai_jobs/a8d121820f5e411ec926ef19d53ba9c6f", {}, "TOKEN/+=", "8945d2aba6d2e087c56955428c285b8ce5da9f36",
         "host;x-ci-security-token"),
    ],
)  # fmt: skip
def test_vectors_made_locally(path, params, token, signature, signed):
    keys = Credentials.of("AKIDEXAMPLE", "SECRETEXAMPLE", token)
    headers = signer_of_the_vectors().sign(f"https://{HOST}{path}", path, params, keys)
    said = parts(headers)
    assert said["q-signature"] == signature
    assert said["q-header-list"] == signed
    assert said["q-key-time"] == said["q-sign-time"] == "1700000000;1700003600"
    assert said["q-url-param-list"] == ";".join(sorted(name.lower() for name in params))
    assert said["q-ak"] == "AKIDEXAMPLE"
    assert headers.get("x-ci-security-token") == token


def test_the_algorithm_by_hand_over_the_default_window():
    headers = Signer(lambda: 1_700_000_060.9).sign(f"https://{HOST}/ai_jobs/a", "/ai_jobs/a", {}, KEYS)
    window = "1700000000;1700010060"

    def digest(key: str, text: str) -> str:
        return hmac.new(key.encode(), text.encode(), hashlib.sha1).hexdigest()

    http = hashlib.sha1(f"get\n/ai_jobs/a\n\nhost={HOST}\n".encode()).hexdigest()
    expected = digest(digest("SECRETEXAMPLE", window), f"sha1\n{window}\n{http}\n")
    assert parts(headers)["q-signature"] == expected


def test_the_client_signs_what_it_sends_by_its_own_clock(wire):
    client = wire.client_of(
        lambda *_: wire.reply(200, wire.xml(["aaa", "bbb"]))
    )  # FakeTime begins at 1700000060
    client._signer._auth = functools.partial(client._signer._auth, expire=3540)
    client.ask("/ai_jobs/aaa,bbb", parse_jobs)
    url, headers = client.fake.asked[0]
    assert url == f"https://{HOST}/ai_jobs/aaa%2Cbbb"
    assert parts(headers)["q-signature"] == "238478bce685b82f062bff5790de859ecad8b7a8"


def test_parameters_are_sent_as_they_are_signed(wire):
    client = wire.client_of(lambda *_: wire.reply(200, wire.xml()), path="/jobs")
    client._signer._auth = functools.partial(client._signer._auth, expire=3540)
    client.ask("/jobs", parse_jobs, params=LIST)
    url, headers = client.fake.asked[0]
    assert "startCreationTime=2022-07-01T00%3A00%3A00%2B0800" in url
    assert parts(headers)["q-signature"] == "a4eaeee18285acd0bcf338ec1d39683b6ccc2651"


def test_headers_show_their_names_only():
    headers = signer_of_the_vectors().sign(f"https://{HOST}/a", "/a", {}, Credentials.of("a", "b", "TOKEN"))
    assert repr(headers) == str(headers) == "Headers(Accept, User-Agent, x-ci-security-token, Authorization)"
    assert isinstance(headers, Headers)


def everything_at_debug(stream: io.StringIO):
    root = logging.getLogger()
    handler = logging.StreamHandler(stream)
    handler.setLevel(1)
    root.addHandler(handler)
    for logger in (root, *map(logging.getLogger, list(root.manager.loggerDict))):
        logger.setLevel(1)
    return handler


@pytest.fixture
def log_tree():
    root = logging.getLogger()
    names = [None, *root.manager.loggerDict]
    before = {name: logging.getLogger(name).level for name in names}
    stream = io.StringIO()
    handler = everything_at_debug(stream)
    yield stream
    root.removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def test_the_sdks_log_of_keys_stays_shut(log_tree):
    signer = signer_of_the_vectors()
    for logger in map(logging.getLogger, list(logging.getLogger().manager.loggerDict)):
        logger.setLevel(1)  # again: whatever the signer's making has added to the tree
    signer.sign(f"https://{HOST}/a", "/a", {}, Credentials.of("AKID", "hidden", "TOKEN"))
    assert "f5d49e354f47f0490b1a36fcc423ac7faa9fb8e3" not in log_tree.getvalue()
    assert not re.search("sign_key|format str|TOKEN|q-signature|AKID", log_tree.getvalue())


def test_another_client_of_the_sdk_keeps_its_clock_and_its_log(log_tree):
    sdk = importlib.import_module("qcloud_cos.cos_auth")
    Signer(lambda: 0.0).sign(f"https://{HOST}/a", "/a", {}, KEYS)
    assert sdk.time is time
    assert sdk.logger is logging.getLogger("qcloud_cos.cos_auth")
    assert importlib.import_module("qcloud_cos.cos_client").CosS3Auth is sdk.CosS3Auth

    class Request:
        method, url, headers = "GET", f"https://{HOST}/a", {}

    class Config:
        _secret_id, _secret_key, _anonymous, _sign_params, _sign_host = "other", "key", False, True, True

    sdk.CosS3Auth(Config, "/a")(Request)
    began = int(Request.headers["Authorization"].partition("q-sign-time=")[2].partition(";")[0])
    assert abs(began + 60 - time.time()) < 100
    assert "sign_key" in log_tree.getvalue()  # what another user of the SDK logs is that user's


def test_two_signers_have_two_clocks():
    early, late = Signer(lambda: 1000.0), Signer(lambda: 2000.0)
    times = [
        parts(signer.sign(f"https://{HOST}/a", "/a", {}, KEYS))["q-key-time"] for signer in (early, late)
    ]
    assert times == ["940;11000", "1940;12000"]
