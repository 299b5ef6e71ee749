"""The signature is the official SDK's, on this client's clock, in silence."""

from __future__ import annotations

import hashlib
import hmac
from types import SimpleNamespace
from unittest import mock
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qcloud_cos import cos_auth

from cosai_nb.service.credentials import Credentials, Headers, Signer
from cosai_nb.service.parsing import parse_jobs

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
    return Signer(lambda: 1_700_000_060.0, HOST, expires_s=3540)


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
    headers = signer_of_the_vectors().sign(path, params, keys)
    said = parts(headers)
    assert said["q-signature"] == signature
    assert said["q-header-list"] == signed
    assert said["q-key-time"] == said["q-sign-time"] == "1700000000;1700003600"
    assert said["q-url-param-list"] == ";".join(sorted(name.lower() for name in params))
    assert said["q-ak"] == "AKIDEXAMPLE"
    assert headers.get("x-ci-security-token") == token


def test_the_algorithm_by_hand_over_the_default_window():
    headers = Signer(lambda: 1_700_000_060.9, HOST).sign("/ai_jobs/a", {}, KEYS)
    window = "1700000000;1700010060"

    def digest(key: str, text: str) -> str:
        return hmac.new(key.encode(), text.encode(), hashlib.sha1).hexdigest()

    http = hashlib.sha1(f"get\n/ai_jobs/a\n\nhost={HOST}\n".encode()).hexdigest()
    expected = digest(digest("SECRETEXAMPLE", window), f"sha1\n{window}\n{http}\n")
    assert parts(headers)["q-signature"] == expected


def signed_by_the_sdk(
    now: float, url: str, path: str, params: dict[str, str], headers: dict[str, str]
) -> str:
    request = SimpleNamespace(method="GET", url=url, headers={**headers})
    config = SimpleNamespace(
        _secret_id="AKIDEXAMPLE",
        _secret_key="SECRETEXAMPLE",
        _anonymous=False,
        _sign_params=True,
        _sign_host=True,
    )
    with mock.patch.object(cos_auth, "time", SimpleNamespace(time=lambda: now)):
        cos_auth.CosS3Auth(config, path, params)(request)
    return request.headers["Authorization"]


printable = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1)
hosts = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)


@given(
    path=st.text().map("/".__add__),
    params=st.lists(
        st.tuples(st.text(min_size=1), st.text()), unique_by=lambda pair: quote(pair[0], "").lower()
    ),
    host=hosts,
    port=st.sampled_from(["", ":8080"]),
    token=st.none() | printable,
    now=st.floats(0, 4e9),
)
def test_any_request_is_signed_as_the_sdk_signs_it(path, params, host, port, token, now):
    sent = Signer(lambda: now, host).sign(
        path, dict(params), Credentials.of("AKIDEXAMPLE", "SECRETEXAMPLE", token)
    )
    unsigned = {name: text for name, text in sent.items() if name != "Authorization"}
    expected = signed_by_the_sdk(now, f"https://{host}{port}{quote(path)}", path, dict(params), unsigned)
    assert sent["Authorization"] == expected
    named = {**unsigned, "Host": host}  # as where an IP address stands in the URL
    assert expected == signed_by_the_sdk(
        now, f"https://10.0.0.7{port}{quote(path)}", path, dict(params), named
    )


def test_a_sign_key_is_kept_for_half_of_its_window_and_each_signature_stays_good_for_as_long():
    now = 1_700_000_060.0
    signer = Signer(lambda: now, HOST)
    first = parts(signer.sign("/a", {}, KEYS))["q-key-time"]
    for later, same in ((4_999, True), (5_001, False)):
        now = 1_700_000_060.0 + later
        window = parts(signer.sign("/a", {}, KEYS))["q-key-time"]
        assert (window == first) is same
        begins, ends = map(int, window.split(";"))
        assert begins <= now
        assert ends >= now + 5_000


def test_a_clock_that_goes_back_makes_a_new_window():
    now = 1_700_000_060.0
    signer = Signer(lambda: now, HOST)
    signer.sign("/a", {}, KEYS)
    now -= 3_600
    assert parts(signer.sign("/a", {}, KEYS))["q-key-time"] == "1699996400;1700006460"


def test_renewed_credentials_sign_at_once():
    signer = Signer(lambda: 1_700_000_060.0, HOST)
    signer.sign("/a", {}, KEYS)
    renewed = signer.sign("/a", {}, Credentials.of("other", "key", "TOKEN"))
    assert parts(renewed)["q-ak"] == "other"
    assert renewed["x-ci-security-token"] == "TOKEN"
    assert parts(signer.sign("/a", {}, KEYS)) == parts(
        Signer(lambda: 1_700_000_060.0, HOST).sign("/a", {}, KEYS)
    )


def test_the_client_signs_what_it_sends_by_its_own_clock(wire):
    client = wire.client_of(
        lambda *_: wire.reply(200, wire.xml(["aaa", "bbb"]))
    )  # FakeTime begins at 1700000060
    client.ask("/ai_jobs/aaa,bbb", parse_jobs)
    url, headers = client.fake.asked[0]
    assert url == f"https://{HOST}/ai_jobs/aaa%2Cbbb"
    assert headers["Authorization"] == signed_by_the_sdk(1_700_000_060.0, url, "/ai_jobs/aaa,bbb", {}, {})


def test_parameters_are_sent_as_they_are_signed(wire):
    client = wire.client_of(lambda *_: wire.reply(200, wire.xml()), path="/jobs")
    client.ask("/jobs", parse_jobs, params=LIST)
    url, headers = client.fake.asked[0]
    assert "startCreationTime=2022-07-01T00%3A00%3A00%2B0800" in url
    assert headers["Authorization"] == signed_by_the_sdk(1_700_000_060.0, url, "/jobs", LIST, {})


def test_headers_show_their_names_only():
    headers = signer_of_the_vectors().sign("/a", {}, Credentials.of("a", "b", "TOKEN"))
    assert repr(headers) == str(headers) == "Headers(Accept, User-Agent, x-ci-security-token, Authorization)"
    assert isinstance(headers, Headers)


def test_a_signer_shows_no_secret():
    signer = signer_of_the_vectors()
    signer.sign("/a", {}, Credentials.of("AKIDhidden", "KEYhidden", "TOKENhidden"))
    assert "hidden" not in f"{signer!r} {vars(signer)}"


def test_two_signers_have_two_clocks():
    early, late = Signer(lambda: 1000.0, HOST), Signer(lambda: 2000.0, HOST)
    times = [parts(signer.sign("/a", {}, KEYS))["q-key-time"] for signer in (early, late)]
    assert times == ["940;11000", "1940;12000"]
