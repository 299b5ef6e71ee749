"""Each family of jobs under its paths, asked by the standard library."""

import http.client
from urllib.parse import quote, urlencode
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from cosai_nb.emulator import Emulator, QueueSpec, Scenario, TagSpec, Workload
from cosai_nb.emulator.workload import FAMILIES, STATES

SMALL = Scenario(jobs=300)
TABLE = {
    "ai": ("/ai_jobs", "/ai_queue", "as"),
    "media": ("/jobs", "/queue", "j"),
    "asr": ("/asr_jobs", "/asrqueue", "s"),
    "doc": ("/doc_jobs", "/docqueue", "d"),
    "pic": ("/pic_jobs", "/picqueue", "c"),
    "file": ("/file_jobs", "/file_queue", "f"),
}
"""As api.md §1.6 has it."""


@pytest.fixture(scope="module")
def served():
    """Return an emulator of each family."""
    started = {family: Emulator(seed=3, scenario=SMALL, family=family).start() for family in TABLE}
    yield started
    for emulator in started.values():
        emulator.close()


def ask(emulator, path, params=None):
    """Return status and root of one answer."""
    query = f"?{urlencode(params)}" if params else ""
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=10)
    connection.request("GET", quote(path, safe="/,") + query, headers=emulator.authorization(path))
    answer = connection.getresponse()
    found = answer.status, ET.fromstring(answer.read())
    connection.close()
    return found


def ids_of(root):
    return [job.findtext("JobId") for job in root.findall("JobsDetail")]


@pytest.mark.parametrize("family", TABLE)
def test_jobs_and_queues_are_at_the_paths_of_the_family(served, family):
    emulator, (path, queue_path, letters) = served[family], TABLE[family]
    job_id = emulator.job_ids[0]
    status, root = ask(emulator, f"{path}/{job_id}")
    assert (status, ids_of(root)) == (200, [job_id])
    assert {job_id[0] for job_id in emulator.job_ids} == set(letters)
    status, root = ask(emulator, queue_path)
    assert (status, [node.text for node in root.findall("QueueList/QueueId")]) == (200, emulator.queue_ids)
    assert emulator.family == family


@pytest.mark.parametrize("family", TABLE)
def test_other_paths_know_none_of_its_jobs(served, family):
    emulator, own = served[family], TABLE[family][0]
    job_id = emulator.job_ids[0]
    for path, queue_path, _ in TABLE.values():
        known = path == own or (family, path) == ("ai", "/jobs")
        _, root = ask(emulator, f"{path}/{job_id}")
        assert root.findtext("NonExistJobIds") == (None if known else job_id)
        if path != own:
            assert ask(emulator, queue_path)[1].findtext("TotalCount") == "0"
        if not known and path != "/file_jobs":
            tag = emulator.truth["tag"][0]
            status, root = ask(emulator, path, {"queueId": emulator.queue_ids[0], "tag": tag})
            assert (status, root.findtext("Code")) == (400, "InvalidArgument")


@pytest.mark.parametrize("family", [family for family in TABLE if family != "file"])
def test_lists_hold_each_job_of_the_family_once(served, family):
    emulator, path = served[family], TABLE[family][0]
    found = []
    for queue_id in emulator.queue_ids:
        for tag in FAMILIES[family].tags:
            params = {"queueId": queue_id, "tag": tag.name, "size": "100"}
            while True:
                root = ask(emulator, path, params)[1]
                found += ids_of(root)
                if not (token := root.findtext("NextToken")):
                    break
                params["nextToken"] = token
    assert sorted(found) == sorted(emulator.job_ids)


def test_files_have_no_list(served):
    """None is documented, so the path is none."""
    emulator = served["file"]
    status, root = ask(emulator, "/file_jobs", {"queueId": emulator.queue_ids[0], "tag": "FileHashCode"})
    assert (status, root.findtext("Code")) == (404, "InvalidUrl")


@pytest.mark.parametrize("family", TABLE)
def test_lists_of_ids_where_they_are_documented_or_switched_on(family):
    path = TABLE[family][0]
    for comma_lists in (True, False):
        with Emulator(scenario=SMALL, family=family, comma_lists=comma_lists) as emulator:
            ids = [job_id for job_id in emulator.job_ids if job_id[0] == emulator.job_ids[0][0]][:11]
            status, root = ask(emulator, f"{path}/{','.join(ids[:10])}")
            if comma_lists or path in {"/jobs", "/asr_jobs"}:
                assert (status, ids_of(root)) == (200, ids[:10])
            else:
                assert (status, root.findtext("Code")) == (400, "InvalidArgument")
            assert ask(emulator, f"{path}/{','.join(ids)}")[0] == 400


def test_the_unified_path_lists_one_kind_of_job(served):
    emulator = served["media"]
    assert ask(emulator, f"/jobs/{emulator.job_ids[0]},a00000000000011f0b4d60242ac120002")[0] == 400
    status, root = ask(emulator, "/jobs", {"queueType": "Transcoding", "tag": "Transcode", "size": "100"})
    transcoded = emulator.truth["job_id"][emulator.truth["tag"] == "Transcode"].tolist()
    assert (status, ids_of(root)) == (200, transcoded[::-1][:100])


@pytest.mark.parametrize("family", TABLE)
def test_a_default_week_has_all_states_and_waits_that_end(family):
    week = Workload(family=family)
    counts = np.bincount(week.as_of(week.observed_at).state, minlength=len(STATES))
    assert (counts > 0).all()
    wait = week.start_time - week.creation_time
    assert np.nanmedian(wait) < 600
    assert 0.005 < (week.code > 0).mean() < 0.1


def test_progress_follows_the_run(served):
    emulator = Emulator(seed=3, scenario=SMALL, family="media")
    week = emulator.workload
    number = int(np.flatnonzero((week.start_time > 0) & (week.code == 0))[0])
    begin, end = week.start_time[number], week.end_time[number]
    shown = [
        week.progress(week.as_of(begin + share * (end - begin)), number) for share in (-1e-6, 0.25, 0.999, 1)
    ]
    assert shown == [0, 25, 99, 100]


def test_pages_and_sizes_are_the_truth_s(served):
    emulator = served["doc"]
    number = int(np.flatnonzero(emulator.snapshot().state == STATES.index("Success"))[0])
    root = ask(emulator, f"/doc_jobs/{emulator.job_ids[number]}")[1]
    result = root.find("JobsDetail/Operation/DocProcessResult")
    assert int(result.findtext("TotalPageCount")) == emulator.truth["size"][number]
    assert len(result.findall("PageInfo")) == emulator.truth["size"][number]


def test_a_scenario_of_one_s_own_keeps_its_tags():
    queue = QueueSpec("q", 2, (("VideoTag", 0.5), ("SpeechRecognition", 0.5)))
    scenario = Scenario(
        jobs=50, tags=(TagSpec("VideoTag", 9.0), TagSpec("SpeechRecognition", 9.0)), queues=(queue,)
    )
    week = Workload(scenario, family="media")
    assert {job_id[0] for job_id in week.job_ids} == {"j", "s"}
    assert week.queue_category(0) == "Transcoding"


def test_a_family_that_is_none():
    with pytest.raises(ValueError, match=r"family='video' is none of ai, media, asr, doc, pic, file"):
        Emulator(family="video")


@pytest.mark.parametrize("family", TABLE)
def test_its_client_asks_at_the_family_s_path(served, family):
    emulator = served[family]
    assert emulator.client().path == TABLE[family][0]
    assert emulator.client(path="/elsewhere").path == "/elsewhere"
