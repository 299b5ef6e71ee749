"""2,000 jobs (600 where lists are refused) from a server that knows the truth: every timing column of fetch_jobs equals it."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cosai_nb.emulator import Emulator, Incident, Scenario
from cosai_nb.errors import MismatchError, RepairedWarning
from cosai_nb.query import describe_job, fetch_jobs
from cosai_nb.schema import COLUMNS

HOUR_S = 3_600
PLAIN = Scenario(jobs=2_000, duration_h=16.8)  # the default load, from midnight to teatime
BUSY = replace(
    PLAIN,
    incident=Incident(queue=0, start_h=10, end_h=13),
    queues=(*PLAIN.queues[:2], replace(PLAIN.queues[2], paused_h=(16.5, float("inf")))),
)
UNKNOWN = ["a00000000000011eeb4d60242ac120002", "jabcsdssfeipplsdfwe"]
OUTCOMES = {
    "Submitted": "waiting",
    "Pause": "waiting",
    "Running": "running",
    "Success": "success",
    "Failed": "failed",
    "Cancel": "cancelled",
}


def seconds(times: pd.Series) -> np.ndarray:
    """Seconds since the epoch, NaN for NaT, by another way than the package's."""
    return ((times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)).to_numpy()


def floor_until(exact: np.ndarray, now: float) -> np.ndarray:
    """What the wire can show: whole seconds, and nothing of what has not happened."""
    with np.errstate(invalid="ignore"):
        return np.where(exact <= now, np.floor(exact), np.nan)


def state_at(truth, now: float) -> np.ndarray:
    """The state of each job, from the exact times alone; Pause and Submitted are not told apart here."""
    with np.errstate(invalid="ignore"):
        started, ended = truth["start_time"] <= now, truth["end_time"] <= now
    states = np.where(started, "Running", "Submitted").astype(object)
    states[ended] = truth["fate"][ended]
    return states


@pytest.fixture(
    scope="module",
    params=[True, pytest.param(False, marks=pytest.mark.slow)],
    ids=["comma lists", "lists refused"],
)
def emulator(request):
    with Emulator(seed=11, scenario=BUSY, comma_lists=request.param) as emulator:
        yield emulator


@pytest.fixture(scope="module", params=[4.0, 11.3, 16.7, 16.8, 30.0], ids=lambda hour: f"{hour} h")
def seen(request, emulator):
    """What the client reads at an instant, and that instant; shuffled, so that order is the client's own doing."""
    emulator.set_time(emulator.workload.scenario.start.timestamp() + request.param * HOUR_S + 0.7)
    order = np.random.default_rng(0).permutation(2_000)[: None if emulator._api.comma_lists else 600]
    asked = [*np.array(emulator.job_ids)[order].tolist(), *UNKNOWN]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # neither incomplete nor repaired
        jobs = fetch_jobs(asked, client=emulator.client(), progress=False)
    truth = {name: column[order] for name, column in emulator.truth.items()}
    return jobs, truth, asked, emulator.now


def test_one_row_an_id_in_the_order_asked(seen):
    jobs, _, asked, _ = seen
    assert jobs["job_id"].tolist() == asked
    assert jobs.columns.tolist() == list(COLUMNS)


def test_every_time_and_duration(seen):
    jobs, truth, _, now = seen
    exists = truth["creation_time"] <= now
    known = jobs.iloc[:-2][exists]
    creation, start, end = (
        floor_until(truth[name], now)[exists] for name in ("creation_time", "start_time", "end_time")
    )
    np.testing.assert_array_equal(seconds(known["creation_time"]), creation)
    np.testing.assert_array_equal(seconds(known["start_time"]), start)
    np.testing.assert_array_equal(seconds(known["end_time"]), end)
    np.testing.assert_array_equal(known["queue_latency_s"], start - creation)
    np.testing.assert_array_equal(known["run_time_s"], end - start)
    ran = ~np.isnan(start)
    np.testing.assert_array_equal(known["total_time_s"][ran], (end - creation)[ran])
    assert known["timing_ok"].all()


def test_what_the_wire_rounds_is_less_than_a_second(seen):
    jobs, truth, _, _ = seen
    exact = truth["start_time"] - truth["creation_time"]
    read = jobs.iloc[:-2]["queue_latency_s"].to_numpy()
    both = ~np.isnan(read)
    assert both.sum() > 20
    assert np.abs(read[both] - exact[both]).max() < 1.0


def test_states_and_outcomes(seen):
    jobs, truth, _, now = seen
    exists = truth["creation_time"] <= now
    known = jobs.iloc[:-2][exists]
    states = state_at(truth, now)[exists]
    assert known["state"].astype(str).replace("Pause", "Submitted").tolist() == states.tolist()
    assert known["outcome"].tolist() == [OUTCOMES[state] for state in states]
    failed = states == "Failed"
    assert known.loc[failed, "code"].tolist() == truth["code"][exists][failed].tolist()
    assert known.loc[~failed, "code"].isna().all()


def test_unknown_ids_are_not_found(seen):
    jobs, truth, _, now = seen
    absent = np.append(truth["creation_time"] > now, [True, True])
    assert jobs["outcome"].eq("not_found").tolist() == absent.tolist()
    gone = jobs[absent]
    assert gone[["tag", "state", "creation_time", "queue_latency_s"]].isna().all(axis=None)
    assert gone["error"].isna().all()


def test_ages_are_measured_to_the_services_clock(seen):
    jobs, truth, _, now = seen
    exists = truth["creation_time"] <= now
    assert (seconds(jobs["observed_at"]) == np.floor(now)).all()
    waiting = jobs.iloc[:-2][exists & jobs.iloc[:-2]["outcome"].eq("waiting").to_numpy()]
    ages = seconds(waiting["observed_at"]) - seconds(waiting["creation_time"])
    exact = now - truth["creation_time"][waiting.index]
    assert (np.abs(ages - exact) < 1.0).all()
    assert waiting["queue_latency_s"].isna().all()


@pytest.mark.parametrize(
    "column",
    ["tag", "queue_id", "job_level", "audio_s", "input_object", "input_lang", "input_type", "target_lang", "target_type",
     "engine_model", "user_data"],
)  # fmt: skip
def test_what_else_is_read(seen, column):
    jobs, truth, _, now = seen
    exists = truth["creation_time"] <= now
    read = jobs.iloc[:-2][exists][column]
    told = pd.Series(truth[column][exists], index=read.index)
    if column == "audio_s":  # the result of a recognition: there once it has succeeded
        told = told.where(jobs.iloc[:-2][exists]["state"].astype(str).eq("Success"))
        np.testing.assert_allclose(read, told, atol=0.005)
    else:
        assert read.astype(object).where(read.notna(), "").tolist() == told.astype(object).tolist()


def test_the_instants_show_every_state():
    shown = set()
    with Emulator(seed=11, scenario=BUSY) as emulator:
        for hour in (11.3, 16.7):
            emulator.set_time(emulator.workload.scenario.start.timestamp() + hour * HOUR_S)
            jobs = fetch_jobs(emulator.job_ids, client=emulator.client(), progress=False)
            shown |= set(jobs["state"].dropna())
    assert shown == set(OUTCOMES)


def test_describe_job_tells_the_same(seen, emulator):
    jobs, _, _, now = seen
    emulator.set_time(now)
    client = emulator.client()
    for row in jobs[jobs["outcome"] == "success"].head(3).itertuples():
        job = describe_job(row.job_id, client=client)["Response"]["JobsDetail"][0]
        assert (job["JobId"], job["State"], job["Tag"]) == (row.job_id, row.state, row.tag)
        assert pd.Timestamp(job["CreationTime"]) == row.creation_time
    unknown = describe_job(UNKNOWN[0], client=client)["Response"]
    assert unknown["NonExistJobIds"] == UNKNOWN[0]
    client.close()


def test_describe_job_believes_no_foreign_job_and_warns_of_a_repair(wire):
    other = wire.client_of(lambda *_: wire.reply(200, wire.xml(["b9"])))
    with pytest.raises(MismatchError, match="b9"):
        describe_job("a1", client=other)
    body = "<Response><JobsDetail><JobId>a1</JobId><Tag>Translation<Tag></JobsDetail></Response>"
    with pytest.warns(RepairedWarning, match="Tag"):
        answer = describe_job("a1", client=wire.client_of(lambda *_: wire.reply(200, body)))
    assert answer["Response"]["JobsDetail"][0]["Tag"] == "Translation"


def test_how_many_requests_it_took(emulator):
    emulator.requests.clear()
    fetch_jobs(emulator.job_ids[:500], client=emulator.client(), progress=False)
    lists = emulator._api.comma_lists
    assert len(emulator.requests) <= (50 if lists else 500 + 16 * 19)
    assert all(request.method == "GET" for request in emulator.requests)
