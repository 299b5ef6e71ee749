"""What a status and its body mean."""

from __future__ import annotations

import pytest

from cosai_nb.errors import DeniedError, MalformedError, RefusedError, UnavailableError
from cosai_nb.query import fetch_jobs
from cosai_nb.service.replies import SkewedError, error_of

ENDPOINT = "https://demo-1.ci.ap-beijing.myqcloud.com"


def judge(reply, *, scrub=lambda text: text, now=1_700_000_060.0):
    return error_of(reply, scrub, now=now, endpoint=ENDPOINT)


@pytest.mark.parametrize(
    ("status", "code", "kind", "retryable"),
    [
        (408, "RequestTimeout", UnavailableError, True),
        (429, "SlowDown", UnavailableError, True),
        (500, "InternalError", UnavailableError, True),
        (502, "BadGateway", UnavailableError, True),
        (503, "SlowDown", UnavailableError, True),
        (504, "Timeout", UnavailableError, True),
        (501, "NotImplemented", RefusedError, False),
        (400, "InvalidArgument", RefusedError, False),
        (404, "AuditingJobNotFound", RefusedError, False),
        (411, "MissingContentLength", RefusedError, False),
        (414, "UriTooLong", RefusedError, False),
        (451, "UnavailableForLegalReasons", RefusedError, False),
        (401, "SecretidNotExist", DeniedError, False),
        (403, "AccessDenied", DeniedError, False),
        (403, "RequestTimeTooSkewed", SkewedError, False),
        (407, "ProxyAuthenticationRequired", DeniedError, False),
        (400, "ExpiredToken", DeniedError, False),
        (400, "CIRoleNotExist", DeniedError, False),
        (400, "MediaBucketUnBinded", DeniedError, False),
        (404, "NoSuchBucket", DeniedError, False),
        (301, "PermanentRedirect", DeniedError, False),
        (302, "", DeniedError, False),
        (307, "TemporaryRedirect", DeniedError, False),
        (308, "", DeniedError, False),
        (304, "", DeniedError, False),
        (204, "", MalformedError, False),
        (206, "", MalformedError, False),
        (999, "", MalformedError, False),
    ],
)
def test_status_and_code_decide(wire, status, code, kind, retryable):
    error = judge(wire.fault(status, code, "why"))
    assert type(error) is kind
    assert (error.status_code, error.code, error.retryable) == (status, code or None, retryable)
    assert error.request_id == "req-1"
    assert f"(HTTP {status}, request id req-1)" in str(error)
    assert "why" in str(error)


@pytest.mark.parametrize("status", [204, 302, 304, 403, 404, 999])
def test_what_only_the_user_can_change_says_where_to_look(wire, status):
    assert " Check " in str(judge(wire.fault(status, "", "why")))


def test_the_header_tells_the_request_id_where_the_body_does_not(wire):
    error = judge(wire.reply(500, "", x_ci_request_id="from-header"))
    assert error.request_id == "from-header"
    assert "no reason given" in str(error)
    assert judge(wire.reply(500, "")).request_id is None


def test_retry_after_is_carried(wire):
    assert judge(wire.fault(429, "SlowDown", Retry_After="1.5")).retry_after == 1.5


def test_a_skewed_clock_carries_the_services(wire):
    error = judge(wire.fault(403, "RequestTimeTooSkewed"), now=0.0)
    assert error.server_time == 1_700_000_060.0
    assert judge(wire.fault(403, "RequestTimeTooSkewed")).server_time is None  # this clock agrees
    assert judge(wire.fault(403, "RequestTimeTooSkewed", Date="nonsense"), now=0.0).server_time is None


def test_a_redirect_names_the_place_and_controls_are_taken_out(wire):
    error = judge(wire.reply(302, "", Location="https://evil.example/\x1b[31m" + "x" * 5000))
    assert "https://evil.example/" in str(error)
    assert str(error).isprintable()
    assert len(str(error)) < 600


@pytest.mark.parametrize("brace", ["{tail}", "{0}", "{", "%s", "{tail.__class__}"])
def test_braces_in_what_the_service_says_are_text(wire, brace):
    assert brace in str(judge(wire.fault(400, "InvalidArgument", brace)))


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe\x00", b"<html>" * 1000, b'{"Error": 5}', b"<Error>", b"<Error/>"]
)
def test_any_body_makes_a_printable_sentence(wire, body):
    error = judge(wire.reply(500, body))
    assert type(error) is UnavailableError
    assert str(error).isprintable()
    assert len(str(error)) < 600


def test_what_is_scrubbed_is_scrubbed_before_the_cut(wire):
    key = "S3CRET" * 6
    for shift in range(250, 310):
        error = judge(
            wire.fault(400, "InvalidArgument", "x" * shift + key), scrub=lambda text: text.replace(key, "***")
        )
        assert "S3CRET" not in str(error)


def test_code_request_id_and_location_are_scrubbed(wire):
    def scrub(text):
        return text.replace("KEY", "***")

    body = "<Error><Code>KEY</Code><RequestId>KEY</RequestId></Error>"
    error = judge(wire.reply(301, body, Location="http://x/?k=KEY"), scrub=scrub)
    assert "KEY" not in f"{error} {error.code} {error.request_id} {vars(error)}"
    assert judge(wire.reply(500, "", x_ci_request_id="KEY"), scrub=scrub).request_id == "***"


# ---- 404


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchBucket", "NoSuchUpload", "NoSuchResource"])
def test_an_object_store_in_place_of_the_service_is_named(wire, code):
    """The bucket's COS host in place of its CI host: no job is called unknown."""
    client = wire.client_of(lambda *_: wire.fault(404, code), endpoint="demo-1.cos.ap-beijing.myqcloud.com")
    with pytest.raises(
        DeniedError, match=r"https://demo-1\.cos\.ap-beijing\.myqcloud\.com knows no jobs"
    ) as caught:
        fetch_jobs([f"j{number}" for number in range(200)], client=client, progress=False)
    assert caught.value.code == code
    assert set(caught.value.jobs["outcome"]) == {"unread"}


@pytest.mark.parametrize("answer", ["", "<html>not here</html>", '{"error": "no route"}'])
def test_a_404_of_somebody_else_calls_no_job_unknown(wire, answer):
    client = wire.client_of(lambda *_: wire.reply(404, answer))
    with pytest.warns(UserWarning, match="3 of 3"):
        jobs = fetch_jobs(["j1", "j2", "j3"], client=client, progress=False)
    assert set(jobs["outcome"]) == {"unread"}
    assert jobs["error"].str.contains("test-1234567890.ci.ap-beijing.myqcloud.com").all()


@pytest.mark.parametrize("code", ["JobNotFound", "AuditingJobNotFound", "NoSuchJob"])
def test_a_404_that_speaks_of_jobs_is_an_unknown_job(wire, code):
    def answer(url, _):
        ids = wire.ids_of(url)
        return wire.fault(404, code) if "gone" in ids else wire.reply(200, wire.xml(ids))

    jobs = fetch_jobs(["j1", "gone", "j2"], client=wire.client_of(answer), progress=False)
    assert jobs["outcome"].tolist() == ["success", "not_found", "success"]
