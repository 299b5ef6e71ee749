"""Several buckets in one call: where a job is found, what a dead bucket leaves, and what a store holds apart."""

import signal
import warnings
from pathlib import Path

import pandas as pd
import pytest

import cosai_nb as cn
from cosai_nb.emulator import Fault, QueueSpec, Scenario
from cosai_nb.errors import CosaiWarning, IncompleteWarning, InterruptedWarning, UnavailableError

ONE, TWO = "one-1250000000", "two-1250000000"
DATA = Path(__file__).parents[2] / "data"
SMALL = Scenario(jobs=60, queues=(QueueSpec("nightly", 3, (("Translation", 1.0),)),), incident=None)
OTHER = Scenario(jobs=40, queues=(QueueSpec("daily", 2, (("Translation", 1.0),)),), incident=None)


@pytest.fixture
def bucket(wire):
    """Return what makes the client of a bucket that knows these IDs, or answers by a function."""

    def client_of(name, *known, answer=None, **settings):
        def answers(url, _headers):
            ids = wire.ids_of(url)
            there = [job_id for job_id in ids if job_id in known]
            return wire.reply(body=wire.xml(there, [job_id for job_id in ids if job_id not in known]))

        return wire.client_of(answer or answers, bucket=name, **settings)

    return client_of


@pytest.fixture
def denied(bucket, wire):
    return lambda name: bucket(name, answer=lambda *_: wire.fault(403, "AccessDenied", "no right"))


@pytest.fixture(scope="module")
def emulators():
    one = cn.Emulator(seed=7, scenario=SMALL, bucket=ONE)
    two = cn.Emulator(seed=8, scenario=OTHER, bucket=TWO, region="ap-shanghai")
    with one, two:
        yield one, two


def asked(client):
    return [job_id for url, _ in client.fake.asked for job_id in url.rpartition("/")[2].split("%2C")]


def told(jobs):
    columns = jobs[["job_id", "outcome", "bucket"]].astype(object)
    return [tuple(row) for row in columns.where(columns.notna(), None).itertuples(index=False)]


# --- fetch_jobs ---


def test_a_job_is_looked_for_in_one_bucket_after_the_other(bucket):
    one, two = bucket(ONE, "a1", "a3"), bucket(TWO, "a2", "a3")
    jobs = cn.fetch_jobs(["a2", "no/id", "a3", "a1", "a0", "a2"], client=[one, two])
    assert told(jobs) == [
        ("a2", "success", TWO),
        ("no/id", "invalid_id", None),
        ("a3", "success", ONE),
        ("a1", "success", ONE),
        ("a0", "not_found", None),
    ]
    assert asked(one) == ["a2", "a3", "a1", "a0"]
    assert asked(two) == ["a2", "a0"]
    assert jobs.dtypes.map(str).equals(cn.fetch_jobs([], client=one).dtypes.map(str))


def test_one_bucket_is_told_as_well_in_a_list_or_not(bucket):
    client = bucket(ONE, "a1")
    jobs = cn.fetch_jobs(["a1", "a2", "no/id"], client=client)
    assert told(jobs) == [("a1", "success", ONE), ("a2", "not_found", ONE), ("no/id", "invalid_id", None)]
    pd.testing.assert_frame_equal(cn.fetch_jobs(["a1", "a2", "no/id"], client=[client]), jobs)


@pytest.mark.parametrize("form", ["frame", "arrow", "mapping"])
def test_ids_with_a_bucket_are_asked_in_no_other(bucket, form):
    one, two = bucket(ONE, "a1", "a5"), bucket(TWO, "a2", "a5", "a4")
    frame = pd.DataFrame(
        {
            "job_id": ["a2", "a5", "a4", "a1", "a5", "a1", "a2"],
            "bucket": [TWO, ONE, None, TWO, TWO, TWO, None],
        }
    )
    wanted = {"frame": frame, "arrow": frame}.get(form, {TWO: ["a2", "a1", "a5"], ONE: ["a5"], None: ["a4"]})
    if form == "arrow":
        wanted = __import__("pyarrow").Table.from_pandas(frame)
    jobs = cn.fetch_jobs(wanted, client=[one, two])
    rows = {
        "a2": ("a2", "success", TWO),
        "a5": ("a5", "success", ONE),
        "a4": ("a4", "success", TWO),
        "a1": ("a1", "not_found", TWO),
        "a5 too": ("a5", "success", TWO),
    }
    order = ["a2", "a1", "a5 too", "a5", "a4"] if form == "mapping" else [*rows]
    assert told(jobs) == [rows[name] for name in order]
    assert sorted(asked(one)) == ["a4", "a5"]


def test_what_was_fetched_can_be_fetched_again(bucket, denied):
    with pytest.warns(IncompleteWarning):
        jobs = cn.fetch_jobs(["a1", "a2", "a3"], client=[denied(ONE), bucket(TWO, "a2")])
    one, two = bucket(ONE, "a1"), bucket(TWO, "a2")
    again = cn.fetch_jobs(jobs, client=[one, two])
    assert told(again) == [("a1", "success", ONE), ("a2", "success", TWO), ("a3", "not_found", None)]
    assert asked(one) == ["a1", "a3"]


def test_a_bucket_without_a_client_is_named_before_anything_is_asked(bucket):
    client = bucket(ONE, "a1")
    with pytest.raises(cn.SettingsError, match=f"IDs of the bucket {TWO}, for which there is no client"):
        cn.fetch_jobs({ONE: ["a1"], TWO: ["a2"]}, client=client)
    with pytest.raises(cn.SettingsError, match="IDs of the bucket , for which there is no client"):
        cn.fetch_jobs({ONE: ["a1"], "": ["a2"]}, client=client)
    with pytest.raises(cn.SettingsError, match="job_ids is a table"):
        cn.fetch_jobs(pd.DataFrame({"job_id": ["a1"]}), client=client)
    with pytest.raises(cn.InvalidIdError, match="position 1"):
        cn.fetch_jobs(["a1", "no/id"], client=[client, bucket(TWO)], strict=True)
    assert asked(client) == []


@pytest.mark.parametrize(
    "ask", [lambda **settings: cn.fetch_jobs([], **settings), cn.list_jobs, cn.list_queues]
)
def test_clients_that_cannot_be_right_are_told(bucket, ask):
    with pytest.raises(cn.SettingsError, match=f"names the bucket {ONE} twice"):
        ask(client=[bucket(ONE), bucket(ONE, region="ap-shanghai")])
    with pytest.raises(cn.SettingsError, match="a list that lacks clients"):
        ask(client=[])
    with pytest.raises(cn.SettingsError, match="client='bucket' must be a"):
        ask(client=[bucket(ONE), "bucket"])


# --- a dead bucket ---


@pytest.mark.parametrize("first", [True, False])
def test_a_bucket_that_denies_is_named_and_the_rest_goes_on(bucket, denied, first):
    alive, dead = bucket(TWO, "a1", "a2"), denied(ONE)
    with pytest.warns(IncompleteWarning) as caught:
        jobs = cn.fetch_jobs(["a1", "a0", "a2"], client=[dead, alive] if first else [alive, dead])
    assert told(jobs) == [("a1", "success", TWO), ("a0", "unread", None), ("a2", "success", TWO)]
    assert jobs["error"][1].startswith(f"{ONE} (ap-beijing): not read: The service denied the request")
    [warning] = caught
    assert f"1 of 3 IDs were not read ({ONE} (ap-beijing): The service denied the request" in str(
        warning.message
    )
    assert asked(alive) == ["a1", "a0", "a2"]


def test_a_dead_bucket_that_nothing_was_missing_in_is_named_all_the_same(bucket, denied):
    with pytest.warns(
        CosaiWarning, match=rf"{ONE} \(ap-beijing\): .* Each ID was found in another bucket"
    ) as caught:
        jobs = cn.fetch_jobs(["a1"], client=[denied(ONE), bucket(TWO, "a1")])
    assert told(jobs) == [("a1", "success", TWO)]
    assert not issubclass(caught[0].category, IncompleteWarning)


def test_ids_of_a_dead_bucket_keep_their_bucket(bucket, denied):
    with pytest.warns(IncompleteWarning, match="1 of 2 IDs"):
        jobs = cn.fetch_jobs({ONE: ["a1"], TWO: ["a2"]}, client=[denied(ONE), bucket(TWO, "a2")])
    assert told(jobs) == [("a1", "unread", ONE), ("a2", "success", TWO)]


def test_where_every_bucket_denies_the_call_fails_as_with_one(denied):
    with pytest.raises(cn.DeniedError, match="denied") as caught:
        cn.fetch_jobs(["a1", "a2"], client=[denied(ONE), denied(TWO)])
    assert told(caught.value.jobs) == [("a1", "unread", None), ("a2", "unread", None)]
    assert [name in caught.value.jobs["error"][0] for name in (ONE, TWO)] == [True, True]


@pytest.mark.parametrize("how", ["stopped", "wrong keys", "silent"])
@pytest.mark.parametrize("first", [True, False])
def test_two_regions_with_one_dead(emulators, how, first):
    alive, ids = emulators[0].client(), emulators[0].job_ids[:15]
    faults = [Fault(kind="silence")] if how == "silent" else []
    other = cn.Emulator(seed=8, scenario=OTHER, bucket=TWO, region="ap-shanghai", faults=faults).start()
    settings = {"wrong keys": {"secret_key": "notthekey"}, "silent": {"timeout": 0.3}}.get(how, {})
    dead = other.client(**settings, patience=1.5)
    if how == "stopped":
        other.close()
    try:
        with pytest.warns(IncompleteWarning, match=rf"{TWO} \(ap-shanghai\): "):
            jobs = cn.fetch_jobs(
                [*ids, *other.job_ids[:3]], client=[dead, alive] if first else [alive, dead], progress=False
            )
    finally:
        other.close()
    assert jobs["job_id"].tolist() == [*ids, *other.job_ids[:3]]
    assert jobs["bucket"].astype(object).fillna("").tolist() == [ONE] * 15 + [""] * 3
    assert jobs["outcome"].tolist()[15:] == ["unread"] * 3
    assert jobs["error"][15:].str.startswith(f"{TWO} (ap-shanghai): ").all()


# --- one deadline, one Ctrl-C, one bar ---


def test_the_deadline_is_that_of_the_whole_call(bucket, wire):
    time = wire.FakeTime()

    def slowly(url, _headers):
        time.now += 6.0
        return wire.reply(body=wire.xml([], wire.ids_of(url)))

    one, two = (bucket(name, answer=slowly, clock=time.clock) for name in (ONE, TWO))
    with pytest.warns(IncompleteWarning, match="the deadline"):
        jobs = cn.fetch_jobs(["a1"], client=[one, two], deadline=5)
    assert told(jobs) == [("a1", "unread", None)]
    assert asked(two) == []
    assert [outcome for _, outcome, _ in told(cn.fetch_jobs(["a1"], client=[one, two], deadline=60))] == [
        "not_found"
    ]


def test_ctrl_c_in_one_bucket_leaves_the_next_unasked(bucket, wire):
    def interrupted(url, _headers):
        signal.raise_signal(signal.SIGINT)
        return wire.reply(body=wire.xml(["a1"], [each for each in wire.ids_of(url) if each != "a1"]))

    two = bucket(TWO, "a2")
    with pytest.warns(InterruptedWarning):
        jobs = cn.fetch_jobs(["a1", "a2"], client=[bucket(ONE, answer=interrupted), two])
    assert told(jobs) == [("a1", "success", ONE), ("a2", "unread", None)]
    assert asked(two) == []


def test_the_bar_counts_each_id_once(bucket, monkeypatch):
    from cosai_nb.query import fetch

    bars = []

    class Bar(fetch.tqdm):
        def __init__(self, **settings):
            super().__init__(**settings)
            self.disable, self.leave = False, False
            bars.append(self)

    monkeypatch.setattr(fetch, "tqdm", Bar)
    ids = [f"a{number}" for number in range(30)]
    cn.fetch_jobs(ids, client=[bucket(ONE, *ids[:10]), bucket(TWO, *ids[10:25])], progress=True)
    assert [(bar.n, bar.total) for bar in bars] == [(30, 30)]


# --- one store ---


def test_a_store_holds_one_id_of_two_buckets_apart(bucket, tmp_path):
    one, two = bucket(ONE, "a1"), bucket(TWO, "a1", "a2")
    for client in (one, two):
        jobs = cn.fetch_jobs(["a1"], client=client, store=tmp_path)
        assert told(jobs) == [("a1", "success", client.bucket)]
    assert (asked(one), asked(two)) == (["a1"], ["a1"])
    again = cn.fetch_jobs({ONE: ["a1"], TWO: ["a1", "a2"]}, client=[one, two], store=tmp_path)
    assert told(again) == [("a1", "success", ONE), ("a1", "success", TWO), ("a2", "success", TWO)]
    assert (asked(one), asked(two)) == (["a1"], ["a1", "a2"])
    store = cn.JobStore(tmp_path)
    for _ in range(2):
        assert sorted(told(store.jobs())) == told(again)
        assert cn.queue_latency(store, by="bucket")["jobs"].to_dict() == {ONE: 1, TWO: 2}
        assert cn.queue_latency(store.jobs(), by="bucket")["jobs"].to_dict() == {ONE: 1, TWO: 2}
        store.compact()


def test_a_list_of_buckets_asks_for_what_none_has_stored(bucket, tmp_path):
    one, two = bucket(ONE, "a1"), bucket(TWO, "a2")
    first = cn.fetch_jobs(["a1", "a2", "a3"], client=[one, two], store=tmp_path)
    again = cn.fetch_jobs(["a3", "a2", "a1"], client=[two, one], store=tmp_path)
    assert told(again) == told(first)[::-1]
    assert asked(one) == ["a1", "a2", "a3", "a3"]
    assert told(cn.JobStore(tmp_path).jobs())[-1] == ("a3", "not_found", None)


def test_one_bucket_does_not_vouch_for_another(bucket, tmp_path):
    cn.fetch_jobs(["a1"], client=bucket(ONE, "a1"), store=tmp_path)
    assert told(cn.fetch_jobs(["a1"], client=bucket(TWO), store=tmp_path)) == [("a1", "not_found", TWO)]
    [job] = cn.JobStore(tmp_path).jobs().to_dict("records")
    assert (job["bucket"], job["outcome"], job["forgotten"]) == (ONE, "success", False)
    assert cn.failure_rates(tmp_path)["jobs"].tolist() == [1]


def test_a_job_that_its_bucket_forgot_is_kept_in_a_search_of_all(bucket, tmp_path, wire):
    def waiting(url, _headers):
        return wire.reply(body=wire.xml(wire.ids_of(url)).replace("Success", "Submitted"))

    cn.fetch_jobs(["a1"], client=bucket(ONE, answer=waiting), store=tmp_path)
    later = "Tue, 14 Nov 2023 23:14:20 GMT"

    def unknown(url, _headers):
        return wire.reply(body=wire.xml([], wire.ids_of(url)), Date=later)

    for clients in ([ONE, TWO], [TWO, ONE]):
        jobs = cn.fetch_jobs(
            ["a1"], client=[bucket(name, answer=unknown) for name in clients], store=tmp_path
        )
        assert told(jobs) == [("a1", "waiting", ONE)]


def test_a_store_without_buckets_is_read_and_filled_as_before(bucket, tmp_path):
    old = cn.read_jobs(DATA / "jobs.parquet").drop(columns="bucket")
    open_ids = old.loc[old["outcome"].isin(["waiting", "running"]), "job_id"].tolist()
    ended = old.loc[old["outcome"] == "success", "job_id"].tolist()
    store = cn.JobStore(tmp_path)
    assert store.add(old) == len(old)
    _forget_bucket(store.folder)
    store = cn.JobStore(tmp_path)
    assert store.jobs()["bucket"].isna().all()
    assert cn.queue_latency(store, by="bucket")["jobs"].tolist() == [len(old)]
    one, two = bucket(ONE, "a1"), bucket(TWO, *open_ids)
    jobs = cn.fetch_jobs([*ended[:20], *open_ids], client=[one, two], store=store)
    assert sorted(asked(two)) == sorted(open_ids)
    assert jobs["outcome"].eq("success").all()
    assert jobs["bucket"].astype(object).fillna("").tolist() == [""] * 20 + [TWO] * len(open_ids)
    assert len(store.jobs()) == len(old)
    assert cn.queue_latency(store)["jobs"].tolist() == [len(old)]


def _forget_bucket(folder):
    """Write the parts as version 0.1.0 did."""
    import pyarrow.parquet as pq

    from cosai_nb.table import store

    for path in folder.glob("*.parquet"):
        table = pq.read_table(path).drop_columns(["bucket"])
        path.unlink()
        pq.write_table(table, folder / "part")
        (folder / "part").rename(folder / f"jobs-{store.digest((folder / 'part').read_bytes())}.parquet")


# --- list_jobs, list_queues, watch_jobs ---

WEEK = {"start": "2026-11-02", "end": "2026-11-09", "progress": False}


def test_a_list_is_the_union_of_the_buckets(emulators):
    one, two = emulators
    jobs = cn.list_jobs(client=[one.client(), two.client()], **WEEK)
    assert {name: {*mine["job_id"]} for name, mine in jobs.groupby("bucket", observed=True)} == {
        ONE: {*one.job_ids},
        TWO: {*two.job_ids},
    }
    assert jobs["creation_time"].is_monotonic_increasing
    names = jobs.groupby("bucket", observed=True)["queue_name"].unique()
    assert {name: [*found] for name, found in names.items()} == {ONE: ["nightly"], TWO: ["daily"]}
    alone = cn.list_jobs(client=two.client(), **WEEK)
    assert alone.dtypes.map(str).equals(jobs.dtypes.map(str))
    assert alone["bucket"].value_counts().to_dict() == {TWO: 40}


def test_a_queue_is_found_in_its_bucket_by_name(emulators):
    clients = [each.client() for each in emulators]
    assert cn.list_jobs(queue_id="daily", client=clients, **WEEK)["bucket"].unique().tolist() == [TWO]
    both = cn.list_jobs(queue_id=["Daily", emulators[0].queue_ids[0]], client=clients, **WEEK)
    assert len(both) == 100
    with pytest.raises(cn.SettingsError, match="is no queue of these buckets: did you mean daily"):
        cn.list_jobs(queue_id="dailly", client=clients, **WEEK)


def test_one_id_in_two_buckets_is_two_jobs(tmp_path):
    one, two = (cn.Emulator(seed=7, scenario=SMALL, bucket=name) for name in (ONE, TWO))
    with one, two:
        clients = [one.client(), two.client()]
        for _ in range(2):
            jobs = cn.list_jobs(client=clients, store=tmp_path, **WEEK)
            assert jobs["bucket"].value_counts().to_dict() == {ONE: 60, TWO: 60}
        sent = [request for each in (one, two) for request in each.requests if request.path == "/ai_jobs"]
        assert cn.queue_latency(jobs, by="bucket")["jobs"].tolist() == [60, 60]
        assert len({request.query for request in sent}) < len(sent) <= 2 * 2 * 3
        again = cn.fetch_jobs(jobs, client=clients)
        assert again["bucket"].tolist() == jobs["bucket"].tolist()
        assert again["job_id"].tolist() == jobs["job_id"].tolist()


@pytest.mark.parametrize("how", ["queues", "jobs"])
def test_a_listing_with_a_dead_bucket_is_the_others(emulators, how):
    alive = emulators[0].client()
    path = "/ai_queue" if how == "queues" else "/ai_jobs"
    faults = [Fault(kind="status", status=403, code="AccessDenied", path=path)]
    with cn.Emulator(seed=8, scenario=OTHER, bucket=TWO, region="ap-shanghai", faults=faults) as other:
        with pytest.warns(
            IncompleteWarning, match=rf"ended early \({TWO} \(ap-shanghai\): .* List again"
        ) as caught:
            jobs = cn.list_jobs(client=[other.client(), alive], **WEEK)
        assert how == "queues" or f"of {TWO}) is not wholly among them" in str(caught[0].message)
        assert jobs["bucket"].value_counts().to_dict() == {ONE: 60}
        if how == "queues":
            with pytest.warns(IncompleteWarning, match=TWO):
                assert cn.list_queues(client=[other.client(), alive])["bucket"].tolist() == [ONE]
            # a name that may be a queue of the dead bucket is no mistake
            with pytest.warns(IncompleteWarning, match=TWO):
                assert cn.list_jobs(client=[other.client(), alive], queue_id="daily", **WEEK).empty
        with pytest.raises(cn.DeniedError) as failed:
            cn.list_jobs(client=[other.client()], **WEEK)
        assert how == "queues" or len(failed.value.jobs) == 0


def test_queues_of_several_buckets(emulators):
    queues = cn.list_queues(client=[each.client() for each in emulators])
    assert queues[["name", "bucket"]].astype(str).to_numpy().tolist() == [["nightly", ONE], ["daily", TWO]]


def test_a_watch_tells_its_bucket(emulators, tmp_path):
    one = emulators[0]
    jobs = cn.watch_jobs([*one.job_ids[:3], "no/id"], client=one.client(), progress=False, store=tmp_path)
    assert jobs["bucket"].astype(object).fillna("").tolist() == [ONE] * 3 + [""]
    assert cn.JobStore(tmp_path).jobs()["bucket"].tolist() == [ONE] * 3


# --- frames and files ---


def test_a_frame_of_before_is_read_and_its_bucket_missing(tmp_path):
    saved = cn.read_jobs(DATA / "jobs.parquet")
    assert [*saved.columns] == [*cn.COLUMNS]
    assert saved["bucket"].dtype == "category"
    assert saved["bucket"].isna().all()
    for kind in ("csv", "jsonl"):
        cn.write_jobs(saved.head(5), tmp_path / f"new.{kind}")
        back = cn.read_jobs(tmp_path / f"new.{kind}")
        assert back["bucket"].isna().all()
    text = pd.read_csv(tmp_path / "new.csv").drop(columns="bucket")
    text.to_csv(tmp_path / "old.csv", index=False)
    assert cn.read_jobs(tmp_path / "old.csv")["job_id"].tolist() == saved["job_id"].head(5).tolist()
    table = saved.drop(columns=["bucket"])
    assert cn.add_timings(table)["bucket"].isna().all()
    assert cn.add_timings(table.assign(bucket=ONE))["bucket"].unique().tolist() == [ONE]


def test_files_with_and_without_buckets_are_one_source(tmp_path):
    import pyarrow.parquet as pq

    saved = cn.read_jobs(DATA / "jobs.parquet")
    cn.write_jobs(saved.assign(bucket=ONE), tmp_path / "one.parquet")
    cn.write_jobs(saved.assign(bucket=TWO), tmp_path / "two.parquet")
    with warnings.catch_warnings(action="error"):
        assert cn.queue_latency(tmp_path, by="bucket")["jobs"].to_dict() == {ONE: len(saved), TWO: len(saved)}
    pq.write_table(pq.read_table(DATA / "jobs.parquet"), tmp_path / "old.parquet")
    with pytest.warns(CosaiWarning, match="rows were left out: their jobs stand more than once"):
        assert cn.queue_latency(tmp_path, by="bucket")["jobs"].sum() == 2 * len(saved)
    both = pd.concat([saved.assign(bucket=ONE), saved.assign(bucket=TWO)])
    with warnings.catch_warnings(action="error"):
        assert cn.failure_rates(both, by="bucket")["jobs"].tolist() == [len(saved)] * 2


def test_an_unavailable_service_is_no_refusal(bucket):
    down = bucket(ONE, answer=lambda *_: UnavailableError("down", retryable=True))
    with pytest.warns(IncompleteWarning, match=rf"{ONE} \(ap-beijing\)"):
        jobs = cn.fetch_jobs(["a1", "a2"], client=[down, bucket(TWO, "a2")])
    assert told(jobs) == [("a1", "unread", None), ("a2", "success", TWO)]


# --- views and commands ---


@pytest.fixture(scope="module")
def two_buckets(emulators):
    return cn.list_jobs(client=[each.client() for each in emulators], **WEEK)


def test_every_statistic_groups_by_bucket(two_buckets, tmp_path):
    cn.write_jobs(two_buckets, tmp_path / "jobs.parquet")
    cn.JobStore(tmp_path / "store").add(two_buckets)
    for source in (two_buckets, tmp_path / "jobs.parquet", tmp_path / "store"):
        for ask in (cn.queue_latency, cn.run_time, cn.failure_rates):
            assert ask(source, by="bucket")["jobs"].to_dict() == {ONE: 60, TWO: 40}
        assert {*cn.queue_load(source, by="bucket", freq="1D").index.get_level_values("bucket")} == {ONE, TWO}
    summary = cn.DurationHistogram.from_jobs(two_buckets, keys=["bucket"])
    assert cn.queue_latency(summary, by="bucket")["jobs"].to_dict() == {ONE: 60, TWO: 40}


@pytest.mark.parametrize("kind", ["frame", "file"])
def test_a_report_has_figures_of_each_bucket_where_there_are_several(two_buckets, tmp_path, kind):
    one = two_buckets[two_buckets["bucket"] == ONE].reset_index(drop=True)
    for jobs, buckets in ((two_buckets, [ONE, TWO]), (one, [])):
        cn.write_jobs(jobs, tmp_path / "jobs.parquet")
        source = tmp_path / "jobs.parquet" if kind == "file" else jobs
        page = cn.write_report(source, tmp_path / "report.html").read_text(encoding="utf-8")
        assert [name for name in (ONE, TWO) if f"bucket={name}" in page] == buckets
        assert ("Summary by bucket and tag" in page) == bool(buckets)
        assert ("Bucket " in page) == bool(buckets)
    page = cn.write_report(two_buckets, tmp_path / "report.html", by="bucket").read_text(encoding="utf-8")
    assert "Summary by bucket" in page


def test_the_explorer_filters_and_groups_by_bucket_where_there_are_several(two_buckets):
    explorer = cn.explore(two_buckets)
    explorer.select(bucket=[TWO])
    assert "40 jobs" in repr(explorer)
    explorer.select(bucket=[ONE, TWO], by="bucket")
    assert {*explorer.data()["bucket"]} == {ONE, TWO}
    alone = cn.explore(two_buckets[two_buckets["bucket"] == ONE])
    with pytest.raises(cn.SettingsError, match="bucket"):
        alone.select(by="bucket")


def test_commands_take_several_buckets(emulators, tmp_path, monkeypatch, capsys):
    from cosai_nb.cli import main

    made = {each.bucket: each for each in emulators}

    def from_env(*, bucket=ONE, region="ap-beijing", family="ai"):
        assert (made[bucket].region, family) == (region, "ai")
        return made[bucket].client()

    monkeypatch.setattr(cn.Client, "from_env", from_env)
    monkeypatch.delenv("COSAI_ENDPOINT", raising=False)
    buckets = ["--bucket", ONE, "--bucket", f"{TWO}@ap-shanghai"]
    output = str(tmp_path / "jobs.parquet")
    listed = ["list", "--start", WEEK["start"], "--end", WEEK["end"], "-o", output, *buckets]
    assert main(listed) == 0
    assert cn.read_jobs(output)["bucket"].value_counts().to_dict() == {ONE: 60, TWO: 40}
    ids = [emulators[0].job_ids[0], emulators[1].job_ids[0]]
    assert main(["query", *ids, "-o", output, *buckets]) == 0
    assert cn.read_jobs(output)["bucket"].tolist() == [ONE, TWO]
    assert main(["queues", *buckets]) == 0
    assert TWO in capsys.readouterr().out
    with pytest.raises(SystemExit) as failed:
        main(["query", ids[0], "-o", output, "--bucket", "no bucket"])
    assert failed.value.code == 2
    assert "must be of the form BucketName-APPID" in capsys.readouterr().err
    monkeypatch.setenv("COSAI_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(SystemExit):
        main(["query", ids[0], "-o", output, *buckets])
    assert "unset COSAI_ENDPOINT" in capsys.readouterr().err
