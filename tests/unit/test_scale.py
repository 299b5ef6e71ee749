"""Counting and asking in parts: the same table as one machine, and every part asked for once, here and on a cluster."""

from __future__ import annotations

import functools
import json
import sys

import numpy as np
import pandas as pd
import pytest

import cosai_nb as cn
from cosai_nb import scale
from cosai_nb.query.parts import Asked
from cosai_nb.stats import counts
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.latency import run_time
from cosai_nb.table.scan import fragments


@pytest.fixture(scope="module")
def emulator():
    with cn.Emulator(seed=7) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def jobs(emulator):
    return cn.fetch_jobs(emulator.job_ids[:6_000], client=emulator.client(), progress=False)


@pytest.fixture(scope="module")
def folder(jobs, tmp_path_factory):
    """The jobs in twelve files."""
    folder = tmp_path_factory.mktemp("files")
    for number in range(12):
        cn.write_jobs(
            jobs.iloc[500 * number : 500 * (number + 1)].reset_index(drop=True),
            folder / f"{number:02}.parquet",
        )
    return folder


@pytest.fixture(scope="module")
def cluster():
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=2, processes=False, dashboard_address=None) as local,
        Client(local) as client,
    ):
        yield client


@pytest.fixture
def requests_of(emulator):
    """Return what calls a function and says which IDs were sent meanwhile."""

    def call(function, *arguments, **settings):
        before = len(emulator.requests)
        result = function(*arguments, **settings)
        paths = [request.path for request in [*emulator.requests][before:]]
        return result, [job_id for path in paths for job_id in path.rpartition("/")[2].split(",")]

    return call


# --- counting ---


@pytest.mark.parametrize("where", ["here", "on a cluster"])
def test_the_table_is_that_of_one_machine_byte_for_byte(where, request, folder, jobs, monkeypatch, tmp_path):
    client = None if where == "here" else request.getfixturevalue("cluster")
    monkeypatch.setattr(scale, "RUN_ROWS", 700)  # nine runs, two levels of sums
    scale.summarize(folder, "input_lang", client=client).save(tmp_path / "cluster.parquet")
    DurationHistogram.from_jobs(jobs, keys=["input_lang"]).save(tmp_path / "frame.parquet")
    assert (tmp_path / "cluster.parquet").read_bytes() == (tmp_path / "frame.parquet").read_bytes()


def test_a_summary_is_counted_and_answers_as_the_files_do(folder, jobs, cluster, monkeypatch):
    monkeypatch.setattr(scale, "RUN_ROWS", 700)
    summary = scale.summarize(folder, client=cluster)
    for measure, keys in {"queue_latency": ["tag"], "run_time": ["queue_id", "code"], "jobs": []}.items():
        table = counts.count(jobs, keys, measure).table
        pd.testing.assert_frame_equal(counts.count(summary, keys, measure).table, table)
        pd.testing.assert_frame_equal(counts.count(folder, keys, measure).table, table)
    pd.testing.assert_frame_equal(run_time(summary, by="tag"), run_time(folder, by="tag"))


def test_a_job_in_two_files_counts_once_on_a_cluster(folder, jobs, cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(scale, "RUN_ROWS", 700)
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    cn.write_jobs(jobs.iloc[:900].reset_index(drop=True), tmp_path / "again.parquet")
    with pytest.warns(cn.CosaiWarning, match="900 of 6,900 rows were left out"):
        twice = scale.summarize(tmp_path, client=cluster)
    assert twice == scale.summarize(jobs)


def test_a_frame_is_counted_here(jobs, cluster):
    assert scale.summarize(jobs, client=cluster) == DurationHistogram.from_jobs(jobs)


def test_an_empty_file_has_no_jobs_on_a_cluster_either(jobs, cluster, tmp_path):
    cn.write_jobs(jobs.iloc[:0], tmp_path / "none.parquet")
    assert scale.summarize(tmp_path, client=cluster).jobs == 0


def test_a_file_that_a_worker_cannot_read_is_named(folder, cluster, tmp_path, monkeypatch):
    (tmp_path / "0.parquet").write_bytes((folder / "00.parquet").read_bytes())
    pieces = fragments(tmp_path)
    (tmp_path / "0.parquet").unlink()
    monkeypatch.setattr(scale, "fragments", lambda *_, **__: pieces)
    with pytest.raises(cn.FileError, match=r"0\.parquet") as caught:
        scale.summarize(tmp_path, client=cluster)
    assert "every worker must see the files" in caught.value.__notes__[0]


def test_workers_are_told_whole_paths(folder, jobs, cluster, monkeypatch):
    sent = []
    monkeypatch.setattr(
        scale, "fragments", lambda *given, **_: sent.extend(found := fragments(*given)) or found
    )
    monkeypatch.chdir(folder.parent)
    assert scale.summarize(folder.name, client=cluster).jobs == 6_000
    assert {piece.path for piece in sent} == {str(file) for file in folder.iterdir()}


def test_what_is_no_cluster_is_refused(folder, emulator, monkeypatch):
    with pytest.raises(cn.SettingsError, match=r"client is Client: pass a dask\.distributed\.Client"):
        scale.summarize(folder, client=emulator.client())
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(cn.SettingsError, match=r"pip install 'cosai_nb\[dask\]'"):
        scale.summarize(folder, client=object())
    with pytest.raises(cn.SettingsError, match=r"dask_client= needs Dask"):
        scale.fetch_partitioned(["a1"], folder, dask_client=object())


def test_a_dask_collection_is_written_first(jobs, cluster):
    from dask import delayed

    class Collection:
        def to_delayed(self):
            return [delayed(jobs)]

    with pytest.raises(cn.SettingsError, match=r"write it with to_parquet\(folder\)"):
        scale.summarize(Collection(), client=cluster)


def test_without_dask_everything_is_done_here(folder, jobs, emulator, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert scale.summarize(folder).jobs == 6_000
    report = scale.fetch_partitioned(emulator.job_ids[:20], tmp_path, client_settings=emulator.client)
    assert report.state.tolist() == ["read"]


# --- asking ---


def fetch(emulator, wanted, folder, **settings):
    return scale.fetch_partitioned(
        wanted,
        folder,
        **{"client_settings": emulator.client, "part_size": 100, "progress": False, **settings},
    )


def test_a_store_comes_out_that_a_fetch_goes_on_from(emulator, tmp_path, requests_of):
    ids = emulator.job_ids[:1_000]
    report = fetch(emulator, ids, tmp_path)
    assert report.columns.tolist() == ["part", "state", "jobs", "asked", "unfinished", "no_job"]
    assert (len(report), report.jobs.sum(), report.asked.sum()) == (10, 1_000, 1_000)
    store = cn.JobStore(tmp_path)
    there = store.jobs()
    asked = cn.fetch_jobs(ids, client=emulator.client(), progress=False)
    pd.testing.assert_frame_equal(
        there[[*cn.COLUMNS]].drop(columns="observed_at"),
        asked.sort_values(["creation_time", "job_id"], ignore_index=True).drop(columns="observed_at"),
    )
    assert scale.summarize(tmp_path) == DurationHistogram.from_jobs(there)
    _, sent = requests_of(cn.fetch_jobs, ids, client=emulator.client(), store=store, progress=False)
    assert len(sent) <= 1_000 - len(store.ended_ids())


def test_only_deleted_and_new_parts_are_asked_for(emulator, tmp_path, requests_of):
    ids = emulator.job_ids[:1_000]
    assert fetch(emulator, ids, tmp_path).unfinished.sum() == 0
    _, sent = requests_of(fetch, emulator, ids, tmp_path)
    assert sent == []
    record = json.loads(sorted((tmp_path / "_fetched").iterdir())[3].read_text())
    (file,) = record["files"]
    gone = pd.read_parquet(tmp_path / file).job_id.tolist()
    (tmp_path / file).unlink()
    report, sent = requests_of(fetch, emulator, emulator.job_ids[:1_100], tmp_path)
    assert sorted(sent) == sorted([*gone, *emulator.job_ids[1_000:1_100]])
    assert report.state.value_counts().to_dict() == {"there": 9, "read": 2}
    assert len(cn.JobStore(tmp_path).jobs()) == 1_100


def test_a_cut_part_is_asked_for_again(emulator, tmp_path, requests_of):
    fetch(emulator, emulator.job_ids[:200], tmp_path)
    file = min(tmp_path.glob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.warns(cn.CosaiWarning, match="is cut or was changed"):
        _, sent = requests_of(fetch, emulator, emulator.job_ids[:200], tmp_path)
    assert len(sent) == 100
    assert len(cn.JobStore(tmp_path).jobs()) == 200


def test_a_compacted_store_is_not_asked_again(emulator, tmp_path, requests_of):
    fetch(emulator, emulator.job_ids[:300], tmp_path)
    cn.JobStore(tmp_path).compact()
    report, sent = requests_of(fetch, emulator, emulator.job_ids[:300], tmp_path)
    assert sent == []
    assert report.state.tolist() == ["there"] * 3
    assert report.jobs.sum() == 300


def test_jobs_that_had_not_ended_are_asked_for_again(tmp_path):
    with cn.Emulator(seed=7) as emulator:
        end = emulator.now
        emulator.set_time(end - 5 * 86_400)
        ids = [
            job_id
            for job_id, state in zip(emulator.job_ids, emulator.snapshot().state, strict=True)
            if state >= 0
        ]
        first = fetch(emulator, ids[-300:], tmp_path)
        assert first.unfinished.sum() > 0
        emulator.set_time(end)
        again = fetch(emulator, ids[-300:], tmp_path)
        assert again.asked.sum() == first.unfinished.sum()
        assert again.jobs.sum() == 300
        assert again.unfinished.sum() == 0
        assert cn.JobStore(tmp_path).ended_ids() == {*ids[-300:]}


def test_names_follow_from_ids_bucket_and_family(emulator, tmp_path):
    names = [
        fetch(emulator, ids, tmp_path / str(number), **settings).part.tolist()
        for number, (ids, settings) in enumerate([
            (emulator.job_ids[:200], {}),
            (iter(emulator.job_ids[:200]), {}),
            (emulator.job_ids[:100], {"client_settings": lambda: emulator.client(path="/jobs")}),
        ])
    ]  # fmt: skip
    assert names[0] == names[1]
    assert names[2][0] not in names[0]


def test_what_is_no_job_is_counted_and_never_asked_twice(emulator, tmp_path, requests_of):
    ids = [*emulator.job_ids[:5], "a" * 33, "no/id", None]
    report, sent = requests_of(fetch, emulator, ids, tmp_path)
    assert report[["state", "jobs", "asked", "no_job"]].values.tolist() == [["read", 5, 6, 3]]
    assert sorted(sent) == sorted(ids[:6])
    _, sent = requests_of(fetch, emulator, ids, tmp_path)
    assert sent == []


def test_windows_are_listed_hour_by_hour_and_once(emulator, tmp_path, requests_of):
    window = {"start": "2026-11-03T08:30:00+0800", "end": "2026-11-03T12:00:00+0800", "tag": "Translation"}
    report = fetch(emulator, [window], tmp_path, part_size=None)
    assert len(report) == 4
    assert report.state.eq("read").all()
    listed = cn.list_jobs(**window, client=emulator.client(), progress=False)
    assert cn.JobStore(tmp_path).jobs().job_id.tolist() == listed.job_id.tolist()
    wider = {**window, "start": "2026-11-03T07:30:00+0800"}
    report, sent = requests_of(fetch, emulator, [wider], tmp_path, part_size="1h")
    # the half hour at the old start is another part now; the three whole hours are there
    assert report.state.tolist() == ["read", "read", "there", "there", "there"]
    assert sent


def test_a_window_that_is_not_over_is_listed_again(tmp_path):
    with cn.Emulator(seed=7) as emulator:
        emulator.set_time(emulator.now - 4 * 86_400)
        start = pd.Timestamp(emulator.now, unit="s", tz="UTC").floor("h")
        window = {"start": start.isoformat(), "end": (start + pd.Timedelta("1h")).isoformat()}
        emulator.advance(1_800 - emulator.now % 3600)
        with pytest.warns(cn.IncompleteWarning, match="1 incomplete"):
            first = fetch(emulator, [window], tmp_path, part_size="1h")
        assert first.state.tolist() == ["incomplete"]
        emulator.advance(86_400)
        second = fetch(emulator, [window], tmp_path, part_size="1h")
        assert second.state.tolist() == ["read"]
        assert second.jobs[0] == len(cn.JobStore(tmp_path).jobs()) >= first.jobs[0] > 0


@pytest.mark.parametrize(
    ("wanted", "settings", "said"),
    [
        (pd.DataFrame({"job_id": ["a1"]}), {}, "wanted is a table"),
        ("a1", {}, "wanted is str"),
        ({"start": "1d", "end": "1h"}, {}, "wanted is dict"),
        ([{"start": "2026-11-01"}], {"part_size": "1h"}, "is no window"),
        ([{"start": "2026-11-02", "end": "2026-11-01"}], {"part_size": "1h"}, "is not after"),
        ([{"start": "2026-11-01", "end": "2026-11-02", "tag": 7}], {"part_size": "1h"}, "tag=7 must"),
        ([{"start": "2026-11-01", "end": "2026-11-02"}], {"part_size": 0.5}, "whole seconds"),
        (["a1"], {"part_size": 0}, "whole number of IDs"),
        (["a1"], {"part_size": "1h"}, "whole number of IDs"),
        (["a1"], {"rate": 0}, "rate=0 must"),
        (["a1"], {"client_settings": "env"}, "client_settings is str"),
        (["a1"], {"client_settings": dict}, "client_settings returned dict"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_is_asked(
    emulator, tmp_path, wanted, settings, said, requests_of
):
    with pytest.raises(cn.SettingsError, match=said):
        fetch(emulator, wanted, tmp_path, **settings)
    assert not (tmp_path / "_fetched").exists()


def test_nothing_wanted_is_an_empty_report(emulator, tmp_path):
    assert fetch(emulator, [], tmp_path).empty


# --- credentials and rate ---


def secret_provider(emulator):
    """A function that holds the key in its cell, its arguments, or its code."""
    keys = emulator.environment()
    place = {
        "bucket": keys["COSAI_BUCKET"],
        "region": keys["COSAI_REGION"],
        "endpoint": keys["COSAI_ENDPOINT"],
    }
    pair = {"secret_id": keys["COS_SECRET_ID"], "secret_key": keys["COS_SECRET_KEY"]}
    return {
        "cell": lambda: cn.Client(**place, **pair),
        "arguments": functools.partial(cn.Client, **place, **pair),
        "code": eval(f"lambda: Client(**{place!r}, **{pair!r})", {"Client": cn.Client}),
    }


@pytest.mark.parametrize("where", ["cell", "arguments", "code"])
def test_a_function_that_holds_credentials_is_not_sent(emulator, cluster, tmp_path, where):
    with pytest.raises(cn.SettingsError, match="holds credentials, which are never sent") as caught:
        fetch(
            emulator, ["a1"], tmp_path, dask_client=cluster, client_settings=secret_provider(emulator)[where]
        )
    assert emulator.environment()["COS_SECRET_KEY"] not in str(caught.value)


def test_neither_clients_nor_keys_are_taken_as_settings(emulator, cluster, tmp_path):
    with pytest.raises(cn.SettingsError, match="pass a function that makes one"):
        fetch(emulator, ["a1"], tmp_path, client_settings=emulator.client())
    with pytest.raises(cn.SettingsError, match="client_settings holds 'secret_key'"):
        fetch(emulator, ["a1"], tmp_path, client_settings={"secret_key": "x"})
    with pytest.raises(cn.SettingsError, match="cannot be sent to workers"):
        fetch(emulator, ["a1"], tmp_path, dask_client=cluster)  # the emulator's own thread hangs on it


@pytest.fixture
def environment(emulator, monkeypatch):
    for name, value in emulator.environment().items():
        monkeypatch.setenv(name, value)


def test_workers_read_their_environment(emulator, cluster, environment, tmp_path, requests_of):
    ids = emulator.job_ids[:1_000]
    report = fetch(emulator, ids, tmp_path, dask_client=cluster, client_settings={"path": "/jobs"})
    assert report.state.eq("read").all()
    assert len(cn.JobStore(tmp_path).jobs()) == 1_000
    (file,) = json.loads((tmp_path / "_fetched" / f"{report.part[4]}.json").read_text())["files"]
    (tmp_path / file).unlink()
    _, sent = requests_of(
        fetch, emulator, ids, tmp_path, dask_client=cluster, client_settings={"path": "/jobs"}
    )
    assert sorted(sent) == sorted(ids[400:500])


def test_an_environment_without_credentials_says_whose(emulator, cluster, environment, tmp_path, monkeypatch):
    monkeypatch.delenv("COS_SECRET_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(cn.CredentialsError) as caught:
        fetch(emulator, ["a1"], tmp_path / "store", dask_client=cluster, client_settings=None)
    assert "A worker of the cluster" in caught.value.__notes__[0]


def test_wrong_keys_end_the_call_and_say_how_to_go_on(emulator, cluster, environment, tmp_path, monkeypatch):
    monkeypatch.setenv("COS_SECRET_KEY", "wrong")
    with pytest.raises(cn.DeniedError) as caught:
        fetch(emulator, emulator.job_ids[:2_000], tmp_path, dask_client=cluster, client_settings=None)
    assert "asks for what is missing only" in caught.value.__notes__[-1]


@pytest.mark.parametrize("rate", [None, 0.3, 1, 7, 40.7, 600])
@pytest.mark.parametrize("most", [1, 4, 64])
def test_shares_are_whole_and_never_more_than_the_rate(rate, most):
    parts = scale.shares(rate, most)
    assert 1 <= len(parts) <= most
    if rate is not None:
        assert sum(parts) <= rate
        assert rate < 1 or (sum(parts) == int(rate) and all(share == int(share) >= 1 for share in parts))


def test_all_workers_together_keep_to_the_rate(emulator, cluster, environment, tmp_path):
    before = len(emulator.requests)
    ids = emulator.job_ids[:1_600]
    fetch(emulator, ids, tmp_path, dask_client=cluster, client_settings=None, rate=80)
    at = np.array([request.at for request in [*emulator.requests][before:]])
    assert len(at) == 160
    busiest = max(int(((at >= first) & (at < first + 1)).sum()) for first in at)
    assert busiest <= 80 * 1.1  # the emulator's clock sees requests when its thread has time for them
    assert at[-1] - at[0] < 20  # 2 s by the rate, on a machine that has time


# --- ends ---


def test_a_service_that_is_down_ends_the_call_after_three_parts(emulator, tmp_path, monkeypatch):
    def nothing(task, share, **_):
        failure = cn.UnavailableError("The service is down.")
        return Asked(task.part.name, "incomplete", failure=failure)

    monkeypatch.setattr(scale.parts, "fetch_part", nothing)
    with pytest.warns(cn.IncompleteWarning, match="3 incomplete and 7 not asked") as caught:
        report = fetch(emulator, emulator.job_ids[:1_000], tmp_path)
    assert "3 parts in a row read nothing" in str(caught[0].message)
    assert report.state.tolist() == ["incomplete"] * 3 + ["not asked"] * 7


def test_ctrl_c_keeps_what_was_read_and_the_next_call_goes_on(emulator, tmp_path, requests_of):
    import signal

    class Interrupting:
        """Sends Ctrl-C when its third part is made."""

        made = 0

        def __call__(self):
            self.made += 1
            if self.made == 4:  # the first client only says whose jobs these are
                signal.raise_signal(signal.SIGINT)
            return emulator.client()

    with pytest.warns(cn.InterruptedWarning, match="not asked"):
        report = fetch(emulator, emulator.job_ids[:1_000], tmp_path, client_settings=Interrupting())
    read = int(report.jobs.sum())
    assert read < 1_000
    again, sent = requests_of(fetch, emulator, emulator.job_ids[:1_000], tmp_path)
    assert again.jobs.sum() == 1_000
    assert len(sent) == len({*sent}) == 1_000 - read
