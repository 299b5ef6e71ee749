"""Every family of jobs goes the whole way: by ID, by list, queues, one whole answer, any node as a column, report, explorer."""

from __future__ import annotations

import pandas as pd
import pytest

import cosai_nb as cn
from cosai_nb.emulator import Emulator, Scenario
from cosai_nb.errors import CosaiWarning, SettingsError
from cosai_nb.service.families import FAMILIES

NODES = {
    "ai": ("ner", "Operation/WordsGeneralize/NerMethod"),
    "media": ("progress", "Progress"),
    "asr": ("channels", "Operation/SpeechRecognition/ChannelNum"),
    "doc": ("pages", "Operation/DocProcessResult/TotalPageCount"),
    "pic": ("bucket_id", "Input/BucketId"),
    "file": ("progress", "Progress"),
}
LETTERS = {
    "ai": "as",
    "media": "jasc",
    "asr": "s",
    "doc": "d",
    "pic": "c",
    "file": "f",
}  # that IDs begin with


@pytest.fixture(scope="module", params=FAMILIES)
def emulator(request):
    with Emulator(seed=7, scenario=Scenario(jobs=150), family=request.param) as running:
        yield running


def test_jobs_by_id_are_the_emulators_truth_with_any_node_as_a_column(emulator):
    name, path = NODES[emulator.family]
    client = emulator.client()
    jobs = cn.fetch_jobs([*emulator.job_ids, "nobody"], client=client, columns={name: path}, progress=False)
    assert jobs.columns.tolist() == [*cn.COLUMNS, name]
    assert jobs["outcome"].tolist()[-1] == "not_found"
    jobs = jobs.iloc[:-1]
    assert jobs["job_id"].str[0].isin(list(LETTERS[emulator.family])).all()
    assert jobs["tag"].tolist() == emulator.truth["tag"].tolist()
    assert jobs["queue_id"].tolist() == emulator.truth["queue_id"].tolist()
    started = jobs["start_time"].notna().to_numpy()
    assert (
        jobs["start_time"].astype("int64")[started] // 1000 == emulator.truth["start_time"][started] // 1
    ).all()
    assert jobs[name].notna().any()
    whole = cn.describe_job(emulator.job_ids[0], client=client)["Response"]["JobsDetail"][0]
    assert whole["JobId"] == emulator.job_ids[0]


def test_jobs_by_list_are_all_of_them_with_the_names_of_their_queues(emulator):
    client, queues = emulator.client(), cn.list_queues(client=emulator.client())
    assert queues["queue_id"].tolist() == emulator.queue_ids
    if emulator.family == "file":
        with pytest.raises(SettingsError, match=r"lists no jobs of /file_jobs; query them by ID"):
            cn.list_jobs(client=client)
        return
    listed = cn.list_jobs(start="10d", client=client, progress=False)
    assert set(listed["job_id"]) == set(emulator.job_ids)
    assert set(listed["queue_name"]) <= set(queues["name"])
    assert listed["queue_name"].notna().all()
    one = listed["queue_name"].iloc[0]
    tag = listed["tag"].iloc[0]
    some = cn.list_jobs(tag=tag.upper(), queue_id=one, start="10d", client=client, progress=False)
    expected = listed[(listed["queue_name"] == one) & (listed["tag"] == tag)]
    assert some["job_id"].tolist() == expected["job_id"].tolist()


@pytest.mark.slow
def test_report_and_explorer_show_it(emulator, tmp_path):
    jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client(), progress=False)
    page = cn.write_report(jobs, tmp_path / "report.html").read_text("utf-8")
    for tag in jobs["tag"].unique():
        assert tag in page
    explorer = cn.explore(jobs)
    assert len(explorer.data())


# ---- bad input


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda client: cn.Client(bucket="b-1", region="r", secret_id="a", secret_key="b", family="video"), "must be one of ai, media"),
        (lambda client: cn.fetch_jobs(["a1"], client=client, columns={"state": "State"}), "'state' hides a promised column"),
        (lambda client: cn.fetch_jobs(["a1"], client=client, columns={"x": "/a//b"}), "columns="),
        (lambda client: cn.list_jobs(tag="Translaton", client=client), "did you mean Translation"),
        (lambda client: cn.list_jobs(tag="DocProcess", client=client), "is no kind of job at /ai_jobs"),
        (lambda client: cn.list_jobs(queue_id="queue-speeching", client=client), "did you mean queue-speeching-1"),
        (lambda client: cn.list_jobs(start="soon", client=client), "start='soon' is no time"),
        (lambda client: cn.list_jobs(start="2d", end="3d", client=client), "not after"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_named_in_a_sentence(call, said):
    with Emulator(seed=7, scenario=Scenario(jobs=20)) as emulator, pytest.raises(SettingsError, match=said):
        call(emulator.client())


def test_a_path_that_matches_nothing_is_an_empty_column_and_one_warning():
    with Emulator(seed=7, scenario=Scenario(jobs=20)) as emulator:
        with pytest.warns(CosaiWarning, match="nothing stands at Operation/Nowhere") as caught:
            jobs = cn.fetch_jobs(
                emulator.job_ids, client=emulator.client(), columns={"a": "Operation/Nowhere"}, progress=False
            )
        assert len(caught) == 1
        assert jobs["a"].isna().all()
        with pytest.warns(CosaiWarning, match="nothing stands at Operation/Nowhere"):
            jobs = cn.list_jobs(
                start="10d", client=emulator.client(), columns={"a": "Operation/Nowhere"}, progress=False
            )
        assert jobs["a"].isna().all()


def test_curl_without_pycurl_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None if name == "pycurl" else object())
    with pytest.raises(SettingsError, match=r"engine='curl' needs pycurl: pip install 'cosai_nb\[fast\]'"):
        cn.Client(bucket="b-1", region="r", secret_id="a", secret_key="b", engine="curl")


def test_a_store_keeps_further_columns_and_asks_again_where_they_are_missing(tmp_path):
    path = {"ner": "Operation/WordsGeneralize/NerMethod"}
    with Emulator(seed=7, scenario=Scenario(jobs=60)) as emulator:
        settings = {"client": emulator.client(), "store": tmp_path, "progress": False}
        plain = cn.fetch_jobs(emulator.job_ids, **settings)
        asked = len(emulator.requests)
        jobs = cn.fetch_jobs(emulator.job_ids, columns=path, **settings)
        assert len(emulator.requests) > asked
        assert (jobs["ner"].notna() == (jobs["tag"] == "WordsGeneralize")).all()
        asked = len(emulator.requests)
        again = cn.fetch_jobs(emulator.job_ids, columns=path, **settings)
        ended = again["outcome"].isin(["success", "failed", "cancelled"])
        assert len(emulator.requests) - asked <= (~ended).sum()
        pd.testing.assert_frame_equal(again[ended], jobs[ended])
        pd.testing.assert_frame_equal(again[ended][[*cn.COLUMNS]], plain[ended])
