"""What the emulator writes has the element names of the golden answers, which were written from the documents."""

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from cosai_nb.emulator import Scenario, Workload, wire
from cosai_nb.emulator.workload import FAMILIES

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
ANSWERS = {
    "ai": ("translation", "translation_options", "words_generalize", "speech_recognition", "asr_jobs"),
    "media": ("media_jobs",),
    "asr": ("speech_recognition", "asr_jobs"),
    "doc": ("doc_job",),
    "pic": ("pic_job",),
    "file": ("file_jobs",),
}


def paths(node, above=""):
    """Return the path of every node below a node."""
    found = set()
    for child in node:
        found |= {f"{above}{child.tag}"} | paths(child, f"{above}{child.tag}/")
    return found


def by_tag(details):
    """Return the paths of all successful jobs of a tag together."""
    found = {}
    for detail in details:
        if detail.findtext("State") == "Success":
            found[detail.findtext("Tag")] = found.get(detail.findtext("Tag"), set()) | paths(detail)
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_jobs_have_the_golden_names_and_no_others(family):
    golden = [ET.parse(GOLDEN / f"{name}.xml").getroot() for name in ANSWERS[family]]
    expected = by_tag(detail for root in golden for detail in root.findall("JobsDetail"))
    week = Workload(Scenario(jobs=600), seed=5, family=family)
    snapshot = week.as_of(float("inf"))
    seen = by_tag(
        ET.fromstring(wire.job_xml(week, snapshot, number, bucket="b-1", region="r")) for number in range(600)
    )
    assert set(seen) == {tag.name for tag in week.scenario.tags}
    assert seen == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_jobs_begin_with_the_letter_of_the_golden_ones(family):
    golden = [ET.parse(GOLDEN / f"{name}.xml").getroot() for name in ANSWERS[family]]
    letters = {
        node.findtext("Tag"): node.findtext("JobId")[0] for root in golden for node in root if len(node)
    }
    week = Workload(Scenario(jobs=300), seed=5, family=family)
    assert {tag: job_id[0] for tag, job_id in zip(week.truth["tag"], week.job_ids, strict=True)} == letters


@pytest.mark.parametrize("family", FAMILIES)
def test_queues_have_the_golden_names(family):
    week = Workload(Scenario(jobs=10), seed=5, family=family)
    asked = {"paused": np.array([False] * 3), "request_id": "r", "bucket": "b-1"}
    page = wire.queues_xml(week, positions=[0, 1], missing=[], paging=(2, 1, 10), **asked)
    some = wire.queues_xml(week, positions=[0], missing=["p1", "p2"], paging=None, **asked)
    page, some = ET.fromstring(page), ET.fromstring(some)
    assert paths(page) == paths(ET.parse(GOLDEN / "pic_queue.xml").getroot())
    if family == "ai":
        golden = ET.parse(GOLDEN / "ai_queue.xml").getroot()
        assert paths(some) <= paths(golden)
        assert [node.text for node in some.findall("NonExistPIDs")] == ["p1", "p2"]
    else:
        assert paths(some) == paths(ET.parse(GOLDEN / "asr_queue.xml").getroot())
        assert [node.text for node in some.findall("NonExistPIDs/QueueID")] == ["p1", "p2"]


def test_the_category_of_a_queue_is_the_golden_one():
    for name, family in (("ai_queue", "ai"), ("pic_queue", "pic"), ("asr_queue", "asr")):
        golden = ET.parse(GOLDEN / f"{name}.xml").getroot().findtext("QueueList/Category")
        assert Workload(Scenario(jobs=10), family=family).queue_category(0) == golden
