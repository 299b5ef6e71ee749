"""The emulator's verification against every printed vector (api.md §5.2), and what it refuses."""

import pytest

from cosai_nb.emulator.signature import Keys, Request, authorization, check, sign, sign_key_of
from cosai_nb.emulator.wire import Refused

KEYS = Keys("AKIDEXAMPLE", "SECRETEXAMPLE")
START, END = 1_700_000_000, 1_700_003_600
HOST = "test-1234567890.ci.ap-beijing.myqcloud.com"
JOB = "/ai_jobs/a8d121820f5e411ec926ef19d53ba9c6f"
LIST = {
    "tag": "Translation",
    "queueId": "p893bcda225bf4945a378da6662e81a89",
    "size": "10",
    "states": "All",
    "orderByTime": "Desc",
    "nextToken": "",
    "startCreationTime": "2022-07-01T00:00:00+0800",
}


def request(method, path, params=(), **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, path, tuple(dict(params).items()), named)


DOCUMENTED_PATH = "/exampleobject(腾讯云)"
DOCUMENTED_HOST = "examplebucket-1250000000.cos.ap-beijing.myqcloud.com"


def test_documented_get():
    params = {"response-content-type": "application/octet-stream", "response-cache-control": "max-age=600"}
    asked = request(
        "GET", DOCUMENTED_PATH, params, date="Thu, 16 May 2019 06:55:53 GMT", host=DOCUMENTED_HOST
    )
    key = "937914bf490e9e8c189836aad2052e4feeb35eaf"
    signature = sign(asked, key, "1557989753;1557996953", ["date", "host"], sorted(params))
    assert signature == "01681b8c9d798a678e43b685a9f1bba0f6c0e012"


GO = {
    "host": "testbucket-125000000.cos.ap-guangzhou.myqcloud.com",
    "x-cos-content-sha1": "db8ac1c259eb89d4a131b253bacfca5f319d54f2",
    "x-cos-stroage-class": "nearline",
}
CPP_HEADERS = {"host": "hostname_test", "x-cos-meta-xx": "meta_test"}
CPP_PARAMS = {"first_param": "first_value", "second_param": "second_value"}
CPP = ("GET", "xxxx", "secret_key_test", "1502493430;1502573430")
VECTORS = {
    "go": (
        ("PUT", "/testfile2", "AKIDZfbOA78asKUYBcXFrJD0a1ICvR98JM", "1480932292;1481012292"),
        {},
        GO,
        "ce4ac0ecbcdb30538b3fee0a97cc6389694ce53a",
    ),
    "c++": (CPP, CPP_PARAMS, CPP_HEADERS, "7686473b75487163d6e204d3c68e5c3b74e06164"),
    "c++ without parameters": (CPP, {}, CPP_HEADERS, "8e196637993353bdff2466e0d34034130c9a2aca"),
    "c++ without both": (CPP, {}, {}, "122c75ad3f7c230b8cc88f4f38410b9d3d347997"),
}


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_of_other_sdks(name):
    (method, path, secret, key_time), params, headers, expected = VECTORS[name]
    asked = Request(method, path, tuple(params.items()), headers)
    assert sign(asked, sign_key_of(secret, key_time), key_time, sorted(headers), sorted(params)) == expected


LOCAL = {
    "one job": (request("GET", JOB, host=HOST), "f443b11bbb6db8c35ac75dc143d394229f947225"),
    "raw comma": (request("GET", "/ai_jobs/aaa,bbb", host=HOST), "238478bce685b82f062bff5790de859ecad8b7a8"),
    "list": (request("GET", "/jobs", LIST, host=HOST), "a4eaeee18285acd0bcf338ec1d39683b6ccc2651"),
    "cancel": (
        request("PUT", "/ai_jobs/a632d4d3429a811ed8a5fa3d8277c400f", {"cancel": ""}, host=HOST),
        "98c616385824d43cae714bb71ec26414bf35ba6b",
    ),
    "token": (
        request("GET", JOB, host=HOST, x_ci_security_token="TOKEN/+="),
        "8945d2aba6d2e087c56955428c285b8ce5da9f36",
    ),
}


def with_header(asked, signature, *, window=f"{START};{END}"):
    names = ";".join(sorted(name.lower() for name, _ in asked.params))
    header = (
        f"q-sign-algorithm=sha1&q-ak=AKIDEXAMPLE&q-sign-time={window}&q-key-time={window}"
        f"&q-header-list={';'.join(sorted(asked.headers))}&q-url-param-list={names}&q-signature={signature}"
    )
    return Request(asked.method, asked.path, asked.params, {**asked.headers, "authorization": header})


@pytest.mark.parametrize("name", LOCAL)
def test_local_vectors_are_let_in_and_a_changed_digit_is_not(name):
    asked, signature = LOCAL[name]
    keys = Keys(KEYS.secret_id, KEYS.secret_key, asked.headers.get("x-ci-security-token"))
    check(with_header(asked, signature), keys, START + 10)
    wrong = ("0" if signature[0] != "0" else "1") + signature[1:]
    with pytest.raises(Refused, match="401 InvalidAuthorization"):
        check(with_header(asked, wrong), keys, START + 10)


def test_the_sign_key_of_the_local_vectors():
    assert sign_key_of("SECRETEXAMPLE", f"{START};{END}") == "f5d49e354f47f0490b1a36fcc423ac7faa9fb8e3"


def signed(now_window=(START, END), keys=KEYS, **headers):
    asked = request("GET", JOB, **headers)
    return request("GET", JOB, authorization=authorization(asked, keys, now_window), **headers)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "401 MissingAuthorization"),
        ("Basic abc", "401 InvalidAuthorization"),
        ("q-sign-algorithm=md5&q-ak=a", "401 InvalidAuthorization"),
        ("&" * 10_000, "401 InvalidAuthorization"),
    ],
)
def test_headers_of_another_form(header, code):
    with pytest.raises(Refused, match=code):
        check(request("GET", JOB, authorization=header), KEYS, START)


@pytest.mark.parametrize("window", ["", "1;2;3", "-1;5", "١;٢", "1;" + "9" * 50, "a;b", "1"])
def test_windows_that_are_no_window(window):
    with pytest.raises(Refused, match="401 InvalidAuthorization"):
        check(with_header(*LOCAL["one job"], window=window), KEYS, START)


def test_a_stranger_a_wrong_key_and_a_changed_path():
    with pytest.raises(Refused, match="401 SecretidNotExist"):
        check(signed(keys=Keys("AKIDOTHER", "SECRETEXAMPLE")), KEYS, START)
    with pytest.raises(Refused, match="401 InvalidAuthorization"):
        check(signed(keys=Keys("AKIDEXAMPLE", "OTHER")), KEYS, START)
    header = signed().headers["authorization"]
    with pytest.raises(Refused, match="401 InvalidAuthorization"):
        check(request("GET", JOB + "0", authorization=header), KEYS, START)


def test_a_listed_header_that_is_not_there():
    asked, signature = LOCAL["one job"]
    complete = with_header(asked, signature)
    headers = {"authorization": complete.headers["authorization"]}
    with pytest.raises(Refused, match="401 InvalidAuthorization"):
        check(Request("GET", JOB, (), headers), KEYS, START)


def test_a_host_signed_without_its_port_is_let_in():
    asked, signature = LOCAL["one job"]
    complete = with_header(asked, signature)
    check(Request("GET", JOB, (), {**complete.headers, "host": f"{HOST}:8080"}), KEYS, START)


def test_the_token_must_be_the_right_one():
    keys = Keys("AKIDEXAMPLE", "SECRETEXAMPLE", "right")
    check(signed(x_ci_security_token="right"), keys, START)
    check(signed(x_cos_security_token="right"), keys, START)
    for headers in ({}, {"x_ci_security_token": "wrong"}):
        with pytest.raises(Refused, match="403 AccessDenied"):
            check(signed(**headers), keys, START)
    with pytest.raises(Refused, match="403 AccessDenied"):
        check(signed(x_ci_security_token="unasked"), KEYS, START)


def test_time_windows():
    check(signed(), KEYS, START)
    check(signed(), KEYS, END)
    check(signed(), KEYS, START - 900)  # within the 15 minutes that the documents allow
    with pytest.raises(Refused, match="403 RequestTimeTooSkewed"):
        check(signed(), KEYS, START - 901)
    with pytest.raises(Refused, match="401 SignatureExpired"):
        check(signed(), KEYS, END + 1)


@pytest.mark.parametrize("skew_s", [-86_400.0, 86_400.0])
def test_a_skewed_server_says_so_and_lets_in_who_corrects(skew_s):
    with pytest.raises(Refused, match="403 RequestTimeTooSkewed"):
        check(signed(), KEYS, START + 10, skew_s=skew_s)
    corrected = (START + int(skew_s), END + int(skew_s))
    check(signed(corrected), KEYS, START + 10, skew_s=skew_s)


def test_keys_have_no_telling_repr():
    assert "SECRETEXAMPLE" not in repr(KEYS)
