"""Whatever bytes come, parsing ends in an answer or in its own errors; whatever jobs are written are read back."""

import random
import re
import time
from pathlib import Path
from xml.parsers.expat import ExpatError
from xml.sax.saxutils import escape

import pytest
import xmltodict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosai_nb.errors import AnswerError, MalformedError
from cosai_nb.schema import WIRE
from cosai_nb.service.parsing import (
    PLACE,
    Answer,
    Fault,
    Fields,
    parse_error,
    parse_jobs,
    parse_queues,
    parse_tree,
)

FAST = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

xml_char = st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff")
words = st.text(xml_char, min_size=1, max_size=12).map(str.strip).filter(bool)
ids = st.text("abcdefgh0123456789", min_size=1, max_size=33)
names = st.sampled_from(
    ["Response", "JobsDetail", "Input", "Operation", "Output", "Translation", "State", "Code", "JobId", "Tag", "x:State",
     "Lang", "NonExistJobIds", "NextToken", "Error", "Message", "QueueList"]
)  # fmt: skip
trees = st.recursive(
    st.one_of(words.map(escape), st.just(""), st.just("<!-- c -->"), st.just("<![CDATA[x<y]]>")),
    lambda inner: st.builds(
        lambda name, children: f"<{name}>{''.join(children)}</{name}>", names, st.lists(inner, max_size=4)
    ),
    max_leaves=25,
)


def lines_of(path_texts):
    """Write a job node by node from its paths."""
    tree = {}
    for path, text in path_texts.items():
        *parents, leaf = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = text

    def write(node):
        return "".join(
            f"<{name}>{write(child) if isinstance(child, dict) else escape(child)}</{name}>"
            for name, child in node.items()
        )

    return write(tree)


@FAST
@given(
    st.lists(
        st.dictionaries(st.sampled_from([column.path for column in WIRE]), words, min_size=1), max_size=5
    ),
    st.lists(ids, max_size=5, unique=True),
    st.one_of(st.none(), ids),
)
def test_jobs_unknown_ids_and_token_are_read_back(jobs, unknown, token):
    body = "<Response>" + "".join(f"<JobsDetail>{lines_of(job)}</JobsDetail>" for job in jobs)
    body += "".join(f"<NonExistJobIds>{job_id}</NonExistJobIds>" for job_id in unknown)
    body += f"<NextToken>{token or ''}</NextToken></Response>"
    expected = [tuple(job.get(column.path) for column in WIRE) for job in jobs]
    assert parse_jobs(body.encode()) == Answer(expected, unknown, token, None)


@FAST
@given(
    st.sets(st.sampled_from([column.path for column in WIRE]), min_size=1),
    st.sampled_from(["&lt;", "&amp;gt;", "&quot;x", "&"]),
)
def test_an_answer_reads_the_same_as_a_tree_and_once_its_shape_is_known(paths, text):
    """Texts that look like references themselves are unescaped once, not twice."""
    job = dict.fromkeys(sorted(paths), text)
    body, fields = f"<Response><JobsDetail>{lines_of(job)}</JobsDetail></Response>".encode(), Fields()
    expected = [tuple(job.get(column.path) for column in WIRE)]
    assert [parse_jobs(body, fields).jobs, parse_jobs(body, fields).jobs] == [expected, expected]


@FAST
@given(st.lists(trees, max_size=5))
def test_any_tree_is_answered_or_refused_and_the_whole_tree_agrees(children):
    body = f"<Response>{''.join(children)}</Response>".encode()
    inside = {child[1:].partition(">")[0] for child in children if child.startswith("<")}
    if "Error" in inside and not inside & {"JobsDetail", "NonExistJobIds", "QueueList"}:
        with pytest.raises(MalformedError, match="is an <Error>"):
            parse_jobs(body)
        return
    answer = parse_jobs(body)
    assert "Error" in inside or parse_error(body).code is None
    response = parse_tree(body)["Response"]
    details = response.get("JobsDetail", []) if isinstance(response, dict) else []
    expected = [job for job in map(job_of_tree, details) if any(job)]
    assert answer.jobs == expected


def texts_at(node, path):
    if isinstance(node, list):
        return [text for child in node for text in texts_at(child, path)]
    if isinstance(node, dict):
        return texts_at(node.get(path[0]), path[1:]) if path else texts_at(node.get("#text"), [])
    return [node] if isinstance(node, str) and not path else []


def job_of_tree(detail):
    return tuple(next(iter(texts_at(detail, column.path.split("/"))), None) for column in WIRE)


@FAST
@given(
    st.one_of(
        st.binary(max_size=300),
        trees.map(str.encode),
        st.tuples(trees, st.integers(0, 200)).map(
            lambda cut: f"<Response>{cut[0]}</Response>".encode()[: cut[1]]
        ),
        st.tuples(st.binary(max_size=8), trees, st.binary(max_size=8)).map(
            lambda parts: parts[0] + parts[1].encode() + parts[2]
        ),
    )
)
def test_any_bytes_end_in_an_answer_or_in_our_errors(body):
    for parse in (parse_jobs, parse_tree, parse_queues):
        said = ""
        try:
            parse(body)
        except AnswerError as error:
            said = str(error)
        assert len(said) < 1000
        assert said.isprintable()
    fault = parse_error(body)
    assert isinstance(fault, Fault)
    assert all(text is None or (text.isprintable() and len(text) <= 301) for text in fault)


@pytest.mark.parametrize("column", WIRE, ids=lambda column: column.name)
def test_no_column_is_read_anywhere_but_at_its_path(column):
    leaf = column.path.split("/")[-1]
    wrong = f"<Response><JobsDetail><JobId>a1</JobId><Other><{leaf}>x</{leaf}></Other></JobsDetail><{leaf}>x</{leaf}></Response>"
    [values] = parse_jobs(wrong.encode()).jobs
    assert [text for text in values if text is not None] == ["a1"]


GOLDEN = [path.read_bytes() for path in sorted((Path(__file__).parents[2] / "data" / "golden").glob("*.xml"))]
SNIPPETS = [
    b"<", b">", b"</Code>", b"<Code>", b"&amp;", b"&#65;", b"&", b"<!--x-->", b"<!-- > < -->", b"<![CDATA[a<b]]>", b"<Input>",
    b"</Input>", b"x>y", b"\r\n", b"\x1b", b'<a b=">">', b"</a>", b"<State/>", b"]]>", b"\xff", b"<JobsDetail>",
    b"</JobsDetail>", b"</JobsDetail >", b'"', b" ", b"\xef\xbf\xbe", b"=", b"<?p i?>", b"<>", b"</>",
]  # fmt: skip


def mutated(chance):
    """Return a golden answer, or the emulator's, with up to three places inserted, deleted, doubled or replaced."""
    body = bytearray(chance.choice(GOLDEN))
    for _ in range(chance.randrange(4)):
        at, other = (chance.randrange(len(body) + 1) for _ in range(2))
        match chance.randrange(4):
            case 0:
                body[at:at] = chance.choice(SNIPPETS)
            case 1:
                del body[at : at + chance.randrange(1, 30)]
            case 2:
                body[at:at] = body[other : other + chance.randrange(1, 60)]
            case 3 if tag := re.search(rb"<[^<>]*>", body[at:]):
                body[at + tag.start() : at + tag.end()] = chance.choice(SNIPPETS)
    return bytes(body)


@pytest.mark.parametrize("seed", range(8))
def test_mutated_answers_are_read_as_xmltodict_reads_them_or_refused_as_it_refuses_them(seed):
    """Shapes that were learnt from sound answers must never let a broken one, or another reading, through."""
    chance = random.Random(seed)
    read = 0
    for _ in range(400):
        body = mutated(chance)
        try:
            answer = parse_jobs(body)
        except AnswerError:
            with pytest.raises((AnswerError, ExpatError, ValueError)):
                parse_tree(body)
            continue
        if answer.repaired is None:
            response = xmltodict.parse(
                body, encoding="utf-8", force_list=("JobsDetail",), postprocessor=local
            )["Response"]
            details = response.get("JobsDetail", []) if isinstance(response, dict) else []
            assert answer.jobs == [job for job in map(job_of_tree, details) if any(job)]
            read += 1
    assert read > 50


def local(_path, key, value):
    return key if key.startswith("@") else key.rpartition(":")[2], value


@pytest.mark.parametrize(
    "raw", [b"\x1b[31m", b"&#27;[31m", b"&#x1B;[31m", b"\x00", b"&#0;", b"\xef\xbf\xbf", b"&#xD800;"]
)
def test_a_character_that_xml_forbids_costs_no_job(raw):
    """A job whose Message holds it is read; the character stands as its escape, and one sentence says so."""
    job = b"<JobsDetail><JobId>a%d</JobId><State>Failed</State><Message>it %b broke</Message></JobsDetail>"
    answer = parse_jobs(b"<Response>" + job % (1, raw) + job % (2, b"just") + b"</Response>")
    assert [values[0] for values in answer.jobs] == ["a1", "a2"]
    messages = [values[PLACE["message"]] for values in answer.jobs]
    assert messages[1] == "it just broke"
    assert messages[0].isprintable()
    assert re.fullmatch(r"it \\x[0-9a-f]{2,4}(\[31m)? broke", messages[0])
    assert "characters that XML forbids" in answer.repaired


def test_bytes_that_are_no_utf_8_cost_no_job():
    body = "<Response><JobsDetail><JobId>a1</JobId><Message>深圳</Message></JobsDetail></Response>".encode(
        "gbk"
    )
    [values] = parse_jobs(body).jobs
    assert values[PLACE["message"]] == r"\xc9\xee\xdb\xda"


def test_a_long_tag_soup_is_refused_in_linear_time():
    body = b"<Response><JobsDetail>" + b"<a>" * 60 + b"</a >" * 60 + b"</JobsDetail></Response>"
    began = time.process_time()
    for _ in range(50):
        parse_jobs(body)
    assert time.process_time() - began < 2
