"""Whatever lies in which bucket, and whichever is dead: each ID ends in one row, and the row says what is known."""

from __future__ import annotations

import tempfile
import warnings

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cosai_nb as cn
from cosai_nb.table.scan import scan

IDS = [f"a{number}" for number in range(8)]
BUCKETS = ["one-1250000000", "two-1250000000", "three-1250000000"]

worlds = st.fixed_dictionaries(
    {
        "asked": st.lists(
            st.tuples(st.sampled_from(IDS), st.sampled_from([None, None, *BUCKETS])), max_size=12
        ),
        "there": st.dictionaries(
            st.tuples(st.sampled_from(BUCKETS), st.sampled_from(IDS)),
            st.sampled_from(["Success", "Submitted"]),
        ),
        "dead": st.sets(st.sampled_from(BUCKETS), max_size=2),
        "order": st.permutations(BUCKETS),
    }
)


def client_of(wire, name, there, *, dead):
    def answer(url, _headers):
        if dead:
            return wire.fault(403, "AccessDenied")
        ids = wire.ids_of(url)
        jobs = "".join(
            f"<JobsDetail><JobId>{job_id}</JobId><State>{there[name, job_id]}</State></JobsDetail>"
            for job_id in ids
            if (name, job_id) in there
        )
        missing = "".join(
            f"<NonExistJobIds>{job_id}</NonExistJobIds>" for job_id in ids if (name, job_id) not in there
        )
        return wire.reply(body=f"<Response>{jobs}{missing}</Response>")

    return wire.client_of(answer, bucket=name)


def expected_of(job_id, own, world):
    """Return the outcome and bucket of an ID by looking at all buckets at once."""
    places = [own] if own else world["order"]
    for place in places:
        if place not in world["dead"] and (state := world["there"].get((place, job_id))):
            return {"Success": "success", "Submitted": "waiting"}[state], place
    return "unread" if world["dead"] & {*places} else "not_found", own or ""


def asked_once(pairs):
    """Return each pair once; an ID that has a bucket is not looked for elsewhere."""
    owned = {job_id for job_id, own in pairs if own}
    return [pair for pair in dict.fromkeys(pairs) if pair[1] or pair[0] not in owned]


def fetch(wire, world, **settings):
    clients = [client_of(wire, name, world["there"], dead=name in world["dead"]) for name in world["order"]]
    table = pd.DataFrame(world["asked"], columns=["job_id", "bucket"], dtype="object")
    with warnings.catch_warnings(action="ignore"):
        jobs = cn.fetch_jobs(table, client=clients, **settings)
    return jobs, [job_id for each in clients for url, _ in each.fake.asked for job_id in wire.ids_of(url)]


def rows_of(jobs):
    columns = jobs[["job_id", "outcome", "bucket"]].astype(object).fillna("")
    return [*columns.itertuples(index=False, name=None)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(world=worlds)
def test_each_id_ends_in_the_row_that_is_true(wire, world):
    jobs, _ = fetch(wire, world)
    pairs = asked_once(world["asked"])
    assert rows_of(jobs) == [(job_id, *expected_of(job_id, own, world)) for job_id, own in pairs]
    unread = jobs[jobs["outcome"] == "unread"]
    assert unread["error"].str.contains("denied").all()
    assert jobs.loc[jobs["outcome"] != "unread", "error"].isna().all()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(world=worlds, compact=st.booleans())
def test_a_store_holds_the_buckets_apart(wire, world, compact):
    with tempfile.TemporaryDirectory() as folder:
        jobs, _ = fetch(wire, world, store=folder)
        store = cn.JobStore(folder)
        if compact:
            store.compact()
        held = store.jobs()
        is_job = jobs["outcome"].isin(["success", "waiting"])
        found = {*rows_of(jobs[is_job])}
        assert {*rows_of(held[held["outcome"] != "not_found"])} == found
        # an ID is unknown once, and only where no bucket has it
        unknown = {*jobs.loc[jobs["outcome"] == "not_found", "job_id"]} - {row[0] for row in found}
        assert sorted(held.loc[held["outcome"] == "not_found", "job_id"]) == sorted(unknown)
        read = pd.concat(scan(store, ["job_id", "outcome", "bucket"]))
        columns = ["job_id", "outcome"]
        assert sorted(read[columns].astype(str).to_numpy().tolist()) == sorted(
            held[columns].astype(str).to_numpy().tolist()
        )
        again, asked = fetch(wire, world, store=folder)
        assert rows_of(again) == rows_of(jobs)
        for job_id, own in asked_once(world["asked"]):
            outcome, _ = expected_of(job_id, own, world)
            others = [each for each, other in asked_once(world["asked"]) if each == job_id and other != own]
            if outcome == "success" and not others:
                assert job_id not in asked
