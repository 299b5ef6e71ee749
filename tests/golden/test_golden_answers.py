"""Every file of data/golden says to the parser, and to xmltodict beside it, what its hand-written JSON says."""

import json
from pathlib import Path

import pytest

from cosai_nb.errors import MalformedError
from cosai_nb.schema import WIRE
from cosai_nb.service.parsing import parse_error, parse_jobs, parse_queues, parse_tree

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
EXPECTED = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(GOLDEN.glob("*.json"))}
BODIES = {path.stem: path.read_bytes() for path in GOLDEN.iterdir() if path.suffix != ".json"}


def having(key):
    return [name for name, expected in EXPECTED.items() if key in expected]


def by_path(values):
    return {column.path: text for column, text in zip(WIRE, values, strict=True) if text is not None}


def texts_at(node, path):
    """All texts at a path of xmltodict's tree, in document order: an oracle that shares nothing with the parser."""
    if isinstance(node, list):
        return [text for child in node for text in texts_at(child, path)]
    if isinstance(node, dict):
        return texts_at(node.get(path[0]), path[1:]) if path else texts_at(node.get("#text"), [])
    return [node] if isinstance(node, str) and not path else []


def job_of_tree(detail):
    found = {column.path: texts_at(detail, column.path.split("/")) for column in WIRE}
    return {path: texts[0] for path, texts in found.items() if texts}


def test_every_body_has_its_expectation_and_the_readme_names_it():
    assert set(BODIES) == set(EXPECTED)
    readme = (GOLDEN.parent / "README.md").read_text("utf-8")
    for name in BODIES:
        shown = "unknown_ids_*" if name.startswith("unknown_ids_") else name
        assert f"{shown}." in readme, name


@pytest.mark.parametrize("name", having("jobs"))
def test_parse_jobs_reads_what_is_written(name):
    expected, answer = EXPECTED[name], parse_jobs(BODIES[name])
    assert [by_path(job) for job in answer.jobs] == expected["jobs"]
    assert answer.not_found == expected.get("not_found", [])
    assert answer.next_token == expected.get("next_token")
    assert bool(answer.repaired) == ("repaired" in expected)
    assert expected.get("repaired", "") in (answer.repaired or "")


@pytest.mark.parametrize("name", having("jobs"))
def test_the_whole_tree_agrees_with_the_jobs(name):
    response = parse_tree(BODIES[name])["Response"] or {}
    details = [detail for detail in response.get("JobsDetail", []) if detail is not None]
    assert [job_of_tree(detail) for detail in details] == EXPECTED[name]["jobs"]


@pytest.mark.parametrize("name", having("other_nodes"))
def test_other_nodes_are_in_the_tree(name):
    details = parse_tree(BODIES[name])["Response"]["JobsDetail"]
    expected = EXPECTED[name]["other_nodes"]
    found = [
        {path: texts_at(detail, path.split("/"))[0] for path in nodes}
        for detail, nodes in zip(details, expected, strict=True)
    ]
    assert found == expected


@pytest.mark.parametrize("name", having("error"))
def test_error_bodies_are_read(name):
    assert parse_error(BODIES[name])._asdict() == EXPECTED[name]["error"]


@pytest.mark.parametrize("name", having("error"))
def test_an_error_body_is_never_taken_for_jobs(name):
    for parse in (parse_jobs, parse_tree):
        with pytest.raises(MalformedError) as caught:
            parse(BODIES[name])
        if BODIES[name].lstrip().startswith(b"<?xml"):
            assert caught.value.code == EXPECTED[name]["error"]["code"]
            assert caught.value.request_id == EXPECTED[name]["error"]["request_id"]


@pytest.mark.parametrize("name", having("queues"))
def test_queues_are_read(name):
    queues = parse_queues(BODIES[name])
    assert [{key: text for key, text in queue.items() if text is not None} for queue in queues] == EXPECTED[
        name
    ]["queues"]
    assert all(len(queue) == 8 for queue in queues)


def test_the_golden_jobs_name_every_wire_path():
    named = {path for expected in EXPECTED.values() for job in expected.get("jobs", []) for path in job}
    assert named == {column.path for column in WIRE}


def test_the_tree_holds_what_the_columns_do_not():
    detail = parse_tree(BODIES["words_generalize"])["Response"]["JobsDetail"][0]
    tokens = detail["Operation"]["WordsGeneralizeResult"]["WordsGeneralizeToken"]
    assert [token["Word"] for token in tokens] == ["明天", "去", "深圳"]
    assert parse_tree(BODIES["namespaces"])["Response"]["JobsDetail"][0]["Operation"]["Translation"] == {
        "Lang": "en"
    }
