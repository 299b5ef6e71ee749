"""The XML of the emulator against the node lists of the documents (api.md §2)."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosai_nb.emulator import wire
from cosai_nb.emulator.details import Details, details_of
from cosai_nb.emulator.scenario import Scenario
from cosai_nb.emulator.workload import Workload

COMMON = ["Code", "Message", "JobId", "State", "CreationTime", "StartTime", "EndTime", "QueueId", "Tag"]
COMMON += ["Input", "Operation"]
XML_TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"))


def job(**changed):
    values = {
        "job_id": "a5b7c2e10f3a211eeb4d60242ac120002",
        "tag": "Translation",
        "state": "Success",
        "code": "Success",
        "message": "",
        "creation_time": 1709604001,
        "start_time": 1709604002,
        "end_time": 1709604041,
        "queue_id": "p1d0f6a3c5b2e4f7a9c8d7e6f5a4b3c21",
        "job_level": 0,
        "audio_s": 2.64,
        "details": Details(
            "in/manual & notes.docx", "out/manual-zh.docx", "ticket 4711", "en", "docx", "zh", "docx"
        ),
    }
    return wire.JobView(**{**values, **changed})


def tree(view):
    return ET.fromstring(wire.job_xml(view, bucket="demo-1250000000", region="ap-chongqing"))


def paths(node, above=""):
    """Return the path of every leaf below a node."""
    found = []
    for child in node:
        here = f"{above}/{child.tag}" if above else child.tag
        found += paths(child, here) if len(child) else [here]
    return found


def test_the_translation_of_the_document():
    """Node by node as api.md §2.3 prints it, but for the order, which is not stable there either."""
    seen = {path: tree(job()).findtext(path) or "" for path in paths(tree(job()))}
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
    about = Details("in/x.png", "out/x.png", "", "en", "png", "zh", "png", "")
    assert tree(job(details=about)).findtext("Operation/AITranslateResult/Result")
    assert tree(job(details=about, state="Running")).find("Operation/AITranslateResult") is None
    pdf = Details("in/x.pdf", "out/x.docx", "", "en", "pdf", "zh", "docx", "docx")
    assert tree(job(details=pdf)).findtext("Input/BasicType") == "docx"


def test_the_word_segmentation_of_the_document():
    about = Details("in/sentence.txt", "", "batch 7")
    seen = tree(job(tag="WordsGeneralize", details=about))
    result = seen.find("Operation/WordsGeneralizeResult")
    assert seen.findtext("Operation/WordsGeneralize/NerMethod") == "DL"
    assert seen.findtext("Operation/WordsGeneralize/SegMethod") == "MIX"
    assert [child.text for child in result.find("WordsGeneralizeLable")] == ["地点", "深圳"]
    tokens = [[part.text for part in token] for token in result.findall("WordsGeneralizeToken")]
    assert tokens == [["明天", "0", "2", "t"], ["去", "2", "1", "v"], ["深圳", "3", "2", "ns"]]
    assert seen.find("Operation/Output") is None


def test_the_speech_recognition_of_the_document():
    about = Details("in/a.mp3", "out/a.txt", "", engine_model="16k_zh", res_text_format="1", flash=True)
    seen = tree(job(tag="SpeechRecognition", details=about))
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
    empty = tree(job(tag="SpeechRecognition", details=plain)).find(f"{result}/ResultDetail")
    assert empty is not None
    assert len(empty) == 0


@pytest.mark.parametrize("tag", ["Translation", "SpeechRecognition", "WordsGeneralize"])
@pytest.mark.parametrize("state", ["Submitted", "Running", "Failed", "Pause", "Cancel"])
def test_results_come_with_success_only(tag, state):
    view = job(tag=tag, state=state, details=details_of(tag, 3, 12345))
    seen = tree(view)
    assert [child.tag for child in seen] == COMMON
    assert not [path for path in paths(seen) if "Result" in path]
    assert seen.find(f"Operation/{tag}") is not None


def test_times_not_reached_are_dashes():
    seen = tree(job(state="Submitted", start_time=None, end_time=None))
    assert (seen.findtext("StartTime"), seen.findtext("EndTime")) == ("-", "-")


@given(text=XML_TEXT, name=XML_TEXT)
def test_any_text_comes_back_as_it_was(text, name):
    about = Details(name, "out", text)
    seen = tree(job(details=about))
    assert (seen.findtext("Operation/UserData") or "") == text
    assert (seen.findtext("Input/Object") or "") == name


def test_every_job_of_the_week_is_well_formed():
    week = Workload(Scenario(jobs=2000), seed=3)
    for number in range(2000):
        tag = week.scenario.tags[week.tag[number]].name
        about = week.details(number)
        seen = tree(job(tag=tag, details=about, job_id=week.job_ids[number]))
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
    queue = wire.QueueView("p1", "q & co", "Paused", 10, "AIProcess", 1709604001)
    seen = ET.fromstring(wire.queues_xml([queue], ["p2", "p3"], request_id="r", bucket="b-1", paging=None))
    assert seen.find("TotalCount") is None
    assert [node.text for node in seen.findall("NonExistPIDs")] == ["p2", "p3"]
    assert seen.findtext("QueueList/MaxConcurrent") == "10"
    assert seen.findtext("QueueList/Name") == "q & co"
    paged = ET.fromstring(wire.queues_xml([], [], request_id="r", bucket="b-1", paging=(3, 2, 1)))
    assert [node.text for node in paged] == ["r", "3", "2", "1"]
