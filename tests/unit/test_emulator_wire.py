"""The XML of the emulator against the node lists of the documents (api.md §2)."""

from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosai_nb.emulator import QueueSpec, Scenario, TagSpec, Workload, wire
from cosai_nb.emulator.workload import NOT_YET, STATES, Details, Snapshot, details_of

COMMON = ["Code", "Message", "JobId", "State", "CreationTime", "StartTime", "EndTime", "QueueId", "Tag"]
COMMON += ["Input", "Operation"]
XML_TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"))


def tree(details, *, tag="Translation", state="Success", times=(1709604002, 1709604041)):
    """Return the JobsDetail of a job that is about ``details``, read by the standard library."""
    workload = Workload(Scenario(jobs=1), seed=1)
    workload.scenario = Scenario(tags=(TagSpec(tag, 1.0),), queues=(QueueSpec("q", 1, ((tag, 1.0),)),))
    workload.job_ids = ["a5b7c2e10f3a211eeb4d60242ac120002"]
    workload.queue_ids = ["p1d0f6a3c5b2e4f7a9c8d7e6f5a4b3c21"]
    workload.tag = workload.queue = workload.level = np.array([0])
    workload.creation_time = np.array([1709604001.0])
    workload.audio_s = np.array([2.64])
    workload.details = lambda _: details
    snapshot = Snapshot(0.0, *(np.array([value]) for value in (STATES.index(state), *times)))
    return ET.fromstring(wire.job_xml(workload, snapshot, 0, bucket="demo-1250000000", region="ap-chongqing"))


MANUAL = Details("in/manual & notes.docx", "out/manual-zh.docx", "ticket 4711", "en", "docx", "zh", "docx")


def paths(node, above=""):
    """Return the path of every leaf below a node."""
    found = []
    for child in node:
        here = f"{above}/{child.tag}" if above else child.tag
        found += paths(child, here) if len(child) else [here]
    return found


def test_the_translation_of_the_document():
    """Node by node as api.md §2.3 prints it, but for the order, which is not stable there either."""
    job = tree(MANUAL)
    seen = {path: job.findtext(path) or "" for path in paths(job)}
    assert seen == {
        "Code": "Success",
        "Message": "",
        "JobId": "a5b7c2e10f3a211eeb4d60242ac120002",
        "Tag": "Translation",
        "State": "Success",
        "CreationTime": "2024-03-05T10:00:01+0800",
        "StartTime": "2024-03-05T10:00:02+0800",
        "EndTime": "2024-03-05T10:00:41+0800",
        "QueueId": "p1d0f6a3c5b2e4f7a9c8d7e6f5a4b3c21",
        "Input/BucketId": "demo-1250000000",
        "Input/Region": "ap-chongqing",
        "Input/Object": "in/manual & notes.docx",
        "Input/Lang": "en",
        "Input/Type": "docx",
        "Operation/Translation/Lang": "zh",
        "Operation/Translation/Type": "docx",
        "Operation/Output/Region": "ap-chongqing",
        "Operation/Output/Bucket": "demo-1250000000",
        "Operation/Output/Object": "out/manual-zh.docx",
        "Operation/UserData": "ticket 4711",
        "Operation/JobLevel": "0",
    }


def test_options_of_a_translation():
    about = Details("in/x.png", "out/x.png", "", "en", "png", "zh", "png")
    assert tree(about).findtext("Operation/AITranslateResult/Result")
    assert tree(about, state="Running").find("Operation/AITranslateResult") is None
    pdf = Details("in/x.pdf", "out/x.docx", "", "en", "pdf", "zh", "docx")
    assert tree(pdf).findtext("Input/BasicType") == "docx"


def test_the_word_segmentation_of_the_document():
    about = Details("in/sentence.txt", "", "batch 7")
    seen = tree(about, tag="WordsGeneralize")
    result = seen.find("Operation/WordsGeneralizeResult")
    assert seen.findtext("Operation/WordsGeneralize/NerMethod") == "DL"
    assert seen.findtext("Operation/WordsGeneralize/SegMethod") == "MIX"
    assert [child.text for child in result.find("WordsGeneralizeLable")] == ["地点", "深圳"]
    tokens = [[part.text for part in token] for token in result.findall("WordsGeneralizeToken")]
    assert tokens == [["明天", "0", "2", "t"], ["去", "2", "1", "v"], ["深圳", "3", "2", "ns"]]
    assert seen.find("Operation/Output") is None


def test_the_speech_recognition_of_the_document():
    about = Details("in/a.mp3", "out/a.txt", "", engine_model="16k_zh", res_text_format="1", flash=True)
    seen = tree(about, tag="SpeechRecognition")
    result = "Operation/SpeechRecognitionResult"
    assert seen.findtext(f"{result}/AudioTime") == "2.64"
    assert seen.findtext("Operation/SpeechRecognition/EngineModelType") == "16k_zh"
    assert seen.findtext("Operation/SpeechRecognition/Format") == "mp3"
    assert [word.findtext("Word") for word in seen.findall(f"{result}/ResultDetail/Words")] == [
        "你好",
        "，",
        "世界",
    ]
    assert seen.findtext(f"{result}/FlashResult/sentence_list/word_list/start_time") == "120"
    plain = Details("in/a.mp3", "out/a.txt", "", engine_model="16k_zh")
    empty = tree(plain, tag="SpeechRecognition").find(f"{result}/ResultDetail")
    assert empty is not None
    assert len(empty) == 0


@pytest.mark.parametrize("tag", ["Translation", "SpeechRecognition", "WordsGeneralize"])
@pytest.mark.parametrize("state", ["Submitted", "Running", "Failed", "Pause", "Cancel"])
def test_results_come_with_success_only(tag, state):
    seen = tree(details_of(tag, 3, 12345), tag=tag, state=state)
    assert [child.tag for child in seen] == COMMON
    assert not [path for path in paths(seen) if "Result" in path]
    assert seen.find(f"Operation/{tag}") is not None


def test_times_not_reached_are_dashes():
    seen = tree(MANUAL, state="Submitted", times=(NOT_YET, NOT_YET))
    assert (seen.findtext("StartTime"), seen.findtext("EndTime")) == ("-", "-")


@given(text=XML_TEXT, name=XML_TEXT)
def test_any_text_comes_back_as_it_was(text, name):
    about = Details(name, "out", text)
    seen = tree(about)
    assert (seen.findtext("Operation/UserData") or "") == text
    assert (seen.findtext("Input/Object") or "") == name


def test_every_job_of_the_week_is_well_formed():
    week = Workload(Scenario(jobs=2000), seed=3)
    snapshot = week.as_of(week.observed_at)
    for number in range(2000):
        tag = week.scenario.tags[week.tag[number]].name
        about = week.details(number)
        seen = ET.fromstring(wire.job_xml(week, snapshot, number, bucket="b-1", region="r"))
        assert seen.findtext("Input/Object") == about.input_object
        assert about.user_data.isascii()
        if tag == "Translation":
            assert about.input_lang != about.target_lang
            assert about.input_type in {about.target_type, "pdf"}


def test_an_answer_with_and_without_missing_jobs():
    both = ET.fromstring(wire.response([b"<JobsDetail/>", b"<JobsDetail/>"], ["a1", "a2"]))
    assert [child.tag for child in both] == ["JobsDetail", "JobsDetail", "NonExistJobIds"]
    assert both.findtext("NonExistJobIds") == "a1,a2"
    assert [child.tag for child in ET.fromstring(wire.response([]))] == []
    page = ET.fromstring(wire.response([], next_token="1<2"))
    assert page.findtext("NextToken") == "1<2"


def test_an_error_has_the_four_nodes_of_ci_and_no_resource():
    body = wire.error_xml("AccessDenied", "no <entry>", request_id="r", trace_id="t")
    seen = {child.tag: child.text for child in ET.fromstring(body)}
    assert seen == {"Code": "AccessDenied", "Message": "no <entry>", "RequestId": "r", "TraceId": "t"}


def test_queues_with_and_without_paging():
    week = Workload(Scenario(jobs=5, queues=(QueueSpec("q & co", 10, (("Translation", 1.0),)),)), seed=3)
    asked = {"paused": [False], "request_id": "r", "bucket": "b-1"}
    seen = ET.fromstring(wire.queues_xml(week, positions=[0], missing=["p2", "p3"], **asked, paging=None))
    assert seen.find("TotalCount") is None
    assert [node.text for node in seen.findall("NonExistPIDs")] == ["p2", "p3"]
    assert seen.findtext("QueueList/MaxConcurrent") == "10"
    assert seen.findtext("QueueList/Name") == "q & co"
    paged = ET.fromstring(wire.queues_xml(week, positions=[], missing=[], **asked, paging=(3, 2, 1)))
    assert [node.text for node in paged] == ["r", "3", "2", "1"]
