"""What is no documented answer: each refused with its own error, quickly, and never read as a job."""

import time
from pathlib import Path

import pytest

from cosai_nb.errors import AnswerError, MalformedError, OversizedError
from cosai_nb.schema import WIRE
from cosai_nb.service.parsing import (
    MAX_BYTES,
    MAX_DEPTH,
    Fault,
    Fields,
    head,
    parse_error,
    parse_jobs,
    parse_tree,
)

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
JOB = b"<Response><JobsDetail><JobId>a1</JobId><State>Running</State></JobsDetail></Response>"
LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">'
    + b"".join(b'<!ENTITY lol%d "%s">' % (n, b"&lol%d;" % (n - 1) * 10) for n in range(1, 10))
    + b"]><Response><JobsDetail><JobId>&lol9;</JobId></JobsDetail></Response>"
)
EXTERNAL = b'<!DOCTYPE Response [<!ENTITY x SYSTEM "file:///etc/passwd">]><Response>&x;</Response>'
EXTERNAL_DTD = b'<!DOCTYPE Response SYSTEM "http://127.0.0.1:9/x.dtd">' + JOB
INDEX = {column.path: position for position, column in enumerate(WIRE)}


def job(inner):
    [values] = parse_jobs(b"<Response><JobsDetail>%b</JobsDetail></Response>" % inner).jobs
    return {path: values[position] for path, position in INDEX.items() if values[position] is not None}


@pytest.mark.parametrize("parse", [parse_jobs, parse_tree])
@pytest.mark.parametrize(
    ("body", "phrase"),
    [
        (b"", "empty"),
        (b"  \r\n ", "empty"),
        (b"<html><head><title>login</title></head></html>", "<html>"),
        (b"<html><br>login", "login"),
        (b'{"Error": {"Code": "X"}}', "not well-formed"),
        (JOB[:40], "not well-formed"),
        (JOB[:-1], "not well-formed"),
        (JOB + JOB, "not well-formed"),
        (b"\x1f\x8b\x08\x00", "not well-formed"),
        (b"<Response>\x00</Response>", "not well-formed"),
        (b"<Response>&#1;</Response>", "not well-formed"),
        (b"<Response>&#xD800;</Response>", "not well-formed"),
        (b"<Response>\xff</Response>", "not well-formed"),
        (b"<Response>&undefined;</Response>", "not well-formed"),
        ('<?xml version="1.0" encoding="gbk"?><Response>深</Response>'.encode("gbk"), "not well-formed"),
        (b"<JobsDetail><JobId>a1</JobId></JobsDetail>", "<JobsDetail>"),
        (LAUGHS, "DOCTYPE"),
        (EXTERNAL, "DOCTYPE"),
        (EXTERNAL_DTD, "DOCTYPE"),
        (b"<!DOCTYPE html><html></html>", "DOCTYPE"),
        (
            b"<Response><RequestId>1</RequestId><Error><Code>Oops</Code></Error></Response>",
            "an <Error>: Oops",
        ),
    ],
)
def test_malformed_answers_are_refused_at_once(parse, body, phrase):
    began = time.process_time()
    with pytest.raises(MalformedError, match=phrase):
        parse(body)
    assert time.process_time() - began < 0.5  # billion laughs cost ElementTree 0.6 s and more


@pytest.mark.parametrize(
    ("body", "retryable"), [(b"", True), (JOB[:40], True), (LAUGHS, False), (b"<html></html>", False)]
)
def test_only_what_may_have_been_cut_is_worth_asking_again(body, retryable):
    with pytest.raises(MalformedError) as caught:
        parse_jobs(body)
    assert caught.value.retryable is retryable


@pytest.mark.parametrize("label", ["gbk", "utf-16", "iso-8859-1", "utf-7", "nonsense"])
def test_a_label_that_lies_changes_nothing(label):
    text = f'<?xml version="1.0" encoding="{label}"?>' + JOB.decode().replace("a1", "深圳")
    assert parse_jobs(text.encode()).jobs[0][INDEX["JobId"]] == "深圳"
    assert parse_tree(text.encode())["Response"]["JobsDetail"][0]["JobId"] == "深圳"


def test_a_byte_order_mark_is_passed_over():
    assert parse_jobs(b"\xef\xbb\xbf" + JOB) == parse_jobs(JOB)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_which_expat_knows_by_its_zeros_passes_the_same_guards(encoding):
    assert parse_jobs(JOB.decode().encode(encoding)) == parse_jobs(JOB)
    assert parse_tree(JOB.decode().encode(encoding)) == parse_tree(JOB)
    with pytest.raises(MalformedError, match="DOCTYPE"):
        parse_jobs(LAUGHS.decode().encode(encoding))


def nested(levels, *, inside=b"%b"):
    return b"<Response>" + inside % (b"<a>" * levels + b"</a>" * levels) + b"</Response>"


@pytest.mark.parametrize("parse", [parse_jobs, parse_tree])
@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        (b"%b", 1),
        (b"<JobsDetail>%b</JobsDetail>", 2),
        (b"<JobsDetail><State>%b</State></JobsDetail>", 3),
        (b"<NonExistJobIds>%b</NonExistJobIds>", 2),
        (b"<JobsDetail><Operation><Output>%b</Output></Operation></JobsDetail>", 4),
    ],
)
def test_depth_is_bounded_everywhere(parse, inside, outside):
    parse(nested(MAX_DEPTH - outside, inside=inside))
    for levels in (MAX_DEPTH - outside + 1, 100_000):
        with pytest.raises(OversizedError, match="nests"):
            parse(nested(levels, inside=inside))


@pytest.mark.parametrize("parse", [parse_jobs, parse_tree])
def test_size_is_bounded(parse):
    frame = b"<Response>%b</Response>"
    parse(frame % (b"x" * (MAX_BYTES - len(frame) + 2)))
    with pytest.raises(OversizedError, match="16,777,217 bytes"):
        parse(frame % (b"x" * (MAX_BYTES - len(frame) + 3)))


def test_children_of_a_leaf_are_no_nodes_of_the_job():
    inner = b"<State>Run<Input><Lang>zh</Lang></Input><Code><a><b/></a>x</Code>ning</State><Tag>T</Tag>"
    assert job(inner) == {"State": "Running", "Tag": "T"}


def test_text_longer_than_the_parsers_buffer_is_whole():
    text = ("深<" * 20_000).replace("<", "&lt;")
    assert job(f"<JobId>a1</JobId><Message>{text}</Message>".encode())["Message"] == "深<" * 20_000


def test_repeated_texts_are_one_object_over_answers_and_unique_ones_are_not_kept():
    first, second = (parse_jobs(JOB).jobs[0] for _ in range(2))
    assert first[INDEX["State"]] is second[INDEX["State"]]
    assert first[INDEX["JobId"]] is not second[INDEX["JobId"]]


def test_a_job_without_id_is_kept_for_the_caller_to_refuse_and_an_empty_one_is_none():
    assert job(b"<State>Running</State>") == {"State": "Running"}
    assert parse_jobs(b"<Response><JobsDetail/><JobsDetail><Code></Code></JobsDetail></Response>").jobs == []


def test_the_documented_defect_is_repaired_wherever_it_stands_and_named():
    body = b"<Response><JobsDetail><Tag>A<Tag><Input><Lang>zh<Lang></Input></JobsDetail><JobsDetail><Tag>B<Tag></JobsDetail></Response>"
    answer = parse_jobs(body)
    assert [values[INDEX["Tag"]] for values in answer.jobs] == ["A", "B"]
    assert "<Tag>, <Lang>" in answer.repaired
    assert parse_tree(body)["Response"]["JobsDetail"][1] == {"Tag": "B"}


@pytest.mark.parametrize(
    "inner",
    [
        b"<FilterDirty>1</ChannelNum>",
        b"<Code>Success</Message>",
        b"</Message>",
        b"<TgtType></TgtType/>",
        b"<Tag>  <Tag>",
        b"<Tag>A<tag>",
        b"<Tag>A<Tag/>",
        b"<CreateTime2022-08-09T16:23:11+0800></CreateTime>",
    ],
)
def test_other_defects_are_not_guessed_at(inner):
    with pytest.raises(MalformedError):
        parse_jobs(b"<Response><JobsDetail>%b</JobsDetail></Response>" % inner)


def test_what_is_well_formed_is_never_repaired():
    body = b"<Response><JobsDetail><Tag>A<Tag>B</Tag></Tag></JobsDetail></Response>"
    answer = parse_jobs(body)
    assert answer.repaired is None
    assert answer.jobs[0][INDEX["Tag"]] == "A"


def test_a_repair_does_not_save_a_cut_answer():
    sample = (GOLDEN / "describe_ai_job_sample.xml").read_bytes()
    with pytest.raises(MalformedError):
        parse_jobs(sample[:-5])


def test_repairing_hostile_input_is_linear():
    for body in (b"<a>" * 300_000, b"<a>x" * 200_000, b"<a>" + b"x" * 3_000_000, b"<" * 1_000_000):
        began = time.process_time()
        with pytest.raises(AnswerError):
            parse_jobs(body)
        assert time.process_time() - began < 8


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", Fault(None, None, None)),
        (b"not here", Fault(None, "not here", None)),
        (b"[1, 2]", Fault(None, "[1, 2]", None)),
        (b'{"a": 1}', Fault(None, '{"a": 1}', None)),
        (b'{"Error": "text"}', Fault(None, '{"Error": "text"}', None)),
        (b'{"Response": {"Error": {"Code": "A", "Message": "B"}, "RequestId": "C"}}', Fault("A", "B", "C")),
        (b"[" * 100_000, Fault(None, "[" * 300 + "…", None)),
        (b"<Error><Code>A</Code></Error>", Fault("A", None, None)),
        (b"<Error><Code>A<Code></Error>", Fault("A", None, None)),
        (b"<Error/>", Fault(None, "<Error/>", None)),
        (b"<Error><Message>a\nb\xe2\x80\xae\xc2\x85c</Message></Error>", Fault(None, "a b c", None)),
        (b"<e:Error xmlns:e='x'><e:Code>A</e:Code></e:Error>", Fault("A", None, None)),
        (b"\xff\xfe\x00", Fault(None, "\ufffd\ufffd", None)),
    ],
)
def test_any_error_body_gives_a_fault(body, fault):
    assert parse_error(body) == fault


def test_the_head_of_a_page_shows_no_signature():
    page = (
        "GET /ai_jobs/a1 q-sign-algorithm=sha1&q-ak=AKIDsecret&q-signature=0123abcd "
        '"x-ci-security-token": "TOKEN+/=" x-cos-security-token: OTHER secret_key = KEY'
    )
    shown = parse_error(page.encode()).message
    for secret in ("AKIDsecret", "0123abcd", "TOKEN", "OTHER", "KEY"):
        assert secret not in shown
    assert "/ai_jobs/a1" in shown
    assert head("q-ak=AKIDsecret" * 400).count("AKID") == 0


def test_nothing_is_learnt_from_a_job_in_a_comment():
    fields, broken = Fields(), b"<JobsDetail><JobId></State></JobsDetail>"
    parse_jobs(b"<!-- >" + broken + b"< -->" + JOB, fields)
    with pytest.raises(MalformedError, match="not well-formed"):
        parse_jobs(b"<Response>" + broken + b"</Response>", fields)
