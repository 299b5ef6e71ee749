"""The sentences that a report begins with say what is true of queues that were made by hand."""

import numpy as np
import pandas as pd
import pytest

import cosai_nb as cn
from cosai_nb.views.answers import ask
from cosai_nb.views.headlines import headlines
from tests.simulate import side_by_side

START = pd.Timestamp("2026-11-01T00:00:00Z")


def frame(
    *, created_s, waited_s, ran_s=10, state="Success", code="Success", tag="Translation", queue="q1", as_of_s
):
    """One row per creation; NaN waits are jobs that still wait."""
    created_s, waited_s = np.asarray(created_s, float), np.asarray(waited_s, float)
    number = len(created_s)
    created = START + pd.to_timedelta(created_s, unit="s")
    started = created + pd.to_timedelta(waited_s, unit="s")
    waiting = np.isnan(waited_s)
    texts = pd.DataFrame({
        "JobId": [f"j{i}" for i in range(number)],
        "State": np.where(waiting, "Submitted", state),
        "Code": np.where(waiting, "Success", code),
        "Message": "",
        "Tag": tag,
        "QueueId": queue,
        "CreationTime": created,
        "StartTime": started,
        "EndTime": started + pd.to_timedelta(np.broadcast_to(ran_s, number), unit="s"),
    })  # fmt: skip
    return cn.add_timings(texts, observed_at=START + pd.Timedelta(as_of_s, "s"))


def told(jobs, topic, *, slo=None, by="tag", tz="UTC"):
    (found,) = [line for line in headlines(ask(jobs, by=by, tz=tz), slo) if line.topic == topic]
    return found


def steady(hours=20, wait=5.0, **more):
    created = np.arange(0, hours * 3600, 60)
    return frame(created_s=created, waited_s=np.full(len(created), wait), as_of_s=hours * 3600, **more)


def growing():
    """Nineteen quiet hours; from then on a job a minute comes and one in four starts, first in, first out."""
    created = np.arange(0, 20 * 3600, 60)
    late = created >= 19 * 3600
    waits = np.where(late, np.nan, 5.0)
    first = np.flatnonzero(late)
    for place, job in enumerate(first[:15]):
        waits[job] = 19 * 3600 + place * 240 + 60 - created[job]
    return frame(created_s=created, waited_s=waits, as_of_s=20 * 3600)


def test_a_steady_queue_is_not_saturated():
    line = told(steady(), "Is a queue saturated?")
    assert line.text.startswith("No queue is saturated at 2026-11-01 20:00. 0 of 1,200 jobs wait.")
    assert "The longest line was 1 job, in queue q1 at 2026-11-01 00:00." in line.text
    assert "p95 over all jobs is 5 s." in line.text
    assert line.mood == "good"


def test_a_growing_queue_is_named_with_since_when_and_its_projected_quantile():
    line = told(growing(), "Is a queue saturated?")
    assert line.mood == "bad"
    assert line.text.startswith(
        "Yes: queue q1 takes in more jobs than it starts, and its line has not been empty since 2026-11-01 19:0"
    )
    assert "45 of its 1,200 jobs (3.8 %) wait." in line.text
    assert "will not clear" in line.text
    assert (
        "Its queue latency p95 is 5 s (" in line.text
    )  # one in twenty waits longer, and of them nothing is projected
    busier = told(growing().iloc[600:], "Is a queue saturated?").text
    assert "projected from each job's place in line" in busier


def test_times_are_told_in_the_zone_that_was_asked_for():
    assert "at 2026-11-02 04:00." in told(steady(), "Is a queue saturated?", tz="Asia/Shanghai").text


def test_other_growing_queues_are_named_too():
    one, two = growing(), growing().assign(queue_id=pd.Categorical(["q2"] * 1200))
    jobs = side_by_side([one.assign(queue_id="q1"), two.assign(queue_id="q2")])
    assert "Also growing: q2." in told(jobs, "Is a queue saturated?").text


def test_a_queue_without_a_name_has_one_in_the_sentence():
    jobs = growing()
    jobs["queue_id"] = pd.Series(pd.NA, index=jobs.index, dtype="category")
    assert "queue (none) takes in more jobs" in told(jobs, "Is a queue saturated?").text


def test_where_no_column_names_a_queue_none_is_named():
    jobs = growing().drop(columns="queue_id")
    text = told(jobs, "Is a queue saturated?").text
    assert text.startswith("Yes: more jobs come in than start, and its line has not been empty since")
    assert "(none)" not in text
    assert "45 of 1,200 jobs (3.8 %) wait." in text


def test_a_line_that_was_never_empty_began_when_its_first_job_was_created():
    created = 8 * 60 + np.arange(0, 3600, 10)
    jobs = frame(created_s=created, waited_s=np.full(360, np.nan), as_of_s=4200)
    text = told(jobs, "Is a queue saturated?").text
    assert "its line has not been empty since its first job, created 2026-11-01 00:08." in text
    assert "The longest line was 360 jobs, in queue q1 at 2026-11-01 01:07." in text


def test_where_no_job_has_usable_times_nobody_knows_whether_a_queue_is_saturated():
    jobs = steady(state="Failed", code="E").head(20)
    for column in ("creation_time", "start_time", "end_time"):
        jobs[column] = pd.Series(pd.NaT, index=jobs.index, dtype=jobs[column].dtype)
    jobs = jobs.assign(queue_latency_s=np.nan, run_time_s=np.nan, total_time_s=np.nan, timing_ok=False)
    line = told(jobs, "Is a queue saturated?")
    assert line.text.startswith("Not known: no job has usable times")
    assert line.mood == ""
    assert told(jobs, "What fails most?").text.endswith("Most often E: 20 jobs, 100 % of the failures.")


def test_no_failure_is_said_with_its_interval_and_number():
    line = told(steady(), "What fails most?")
    assert line.text.startswith("No job has failed (95 % interval 0 % to ")
    assert "1,200 ended" in line.text
    assert line.mood == "good"


def test_failures_are_named_with_code_group_and_worst_hour():
    good, bad = steady(tag="Words"), steady(tag="Speech")
    hit = (bad["creation_time"] >= START + pd.Timedelta("5h")) & (
        bad["creation_time"] < START + pd.Timedelta("6h")
    )
    failed = frame(
        created_s=np.arange(5 * 3600, 6 * 3600, 60),
        waited_s=np.full(60, 5.0),
        state="Failed",
        code="InternalError",
        tag="Speech",
        as_of_s=72_000,
    )
    jobs = side_by_side([good, bad[~hit], failed]).astype(
        {"tag": "category", "code": "category", "outcome": "category"}
    )
    text = told(jobs, "What fails most?").text
    assert text.startswith("2.5 % of the jobs fail (95 % interval ")
    assert "2,400 ended" in text
    assert (
        "Most often InternalError: 60 jobs, 100 % of the failures, from 2026-11-01 05:00 to 2026-11-01 05:59."
        in text
    )
    assert "Speech fails most: 5.0 % (" in text
    assert "The worst hour began 2026-11-01 05:00: 60 of 120 jobs created in it failed." in text


def test_nothing_has_ended_yet():
    jobs = frame(created_s=[0, 60], waited_s=[np.nan, np.nan], as_of_s=600)
    assert (
        told(jobs, "What fails most?").text
        == "Nothing is known yet: none of the 2 jobs has succeeded or failed."
    )


def test_the_group_that_waits_longest_is_named_with_its_number():
    jobs = side_by_side([steady(wait=5, tag="Fast"), steady(wait=700, tag="Slow")])
    text = told(jobs.astype({"tag": "category", "outcome": "category"}), "Who waits longest?").text
    assert text.startswith("Slow: queue latency p95 is 11.7 min; 1,200 jobs, 0 % still waiting.")
    assert text.endswith("Fast waits least: p95 5 s, 1,200 jobs.")


def test_groups_that_wait_alike_are_not_ranked():
    jobs = side_by_side([steady(tag="A"), steady(tag="B")]).astype({"tag": "category", "outcome": "category"})
    assert told(jobs, "Who waits longest?").text == "All wait alike: queue latency p95 is 5 s for every tag."


@pytest.mark.parametrize("by", [None, "tag"])
def test_a_single_group_is_not_compared_with_itself(by):
    topics = [line.topic for line in headlines(ask(steady(), by=by, tz="UTC"), None)]
    assert topics == ["Is a queue saturated?", "What fails most?"]


def test_the_slo_comes_first_and_is_met_missed_or_undecided():
    jobs = steady(hours=40)
    assert headlines(ask(jobs, by="tag", tz="UTC"), (60, 0.9))[0].topic == "Is the SLO met?"
    met, missed = told(jobs, "Is the SLO met?", slo=(60, 0.9)), told(jobs, "Is the SLO met?", slo=(1, 0.9))
    assert met.text.startswith("Yes: 90.0 % of the jobs are to start within 60 s, 100 % do (95 % interval ")
    assert (met.mood, missed.mood) == ("good", "bad")
    assert missed.text.startswith("No: 90.0 % of the jobs are to start within 1 s, 0 % do (95 % interval ")
    assert missed.text.endswith("The error budget is spent 10.0 times as fast as it is given.")
    open_ = frame(created_s=[0, 60, 120], waited_s=[np.nan, np.nan, 5], as_of_s=130)
    assert told(open_, "Is the SLO met?", slo=(600, 0.9)).text == (
        "Undecided: 90.0 % of the jobs are to start within 10.0 min; 33.3 % to 100 % will, 2 of 3 jobs may go either way."
    )


def test_an_empty_frame_and_one_of_failed_queries_say_so():
    empty = steady().head(0)
    (line,) = headlines(ask(empty, by="tag", tz="UTC"), (60, 0.9))
    assert line.text == "The table has no rows: there are no jobs to report on."
    lost = steady().head(3).assign(outcome=pd.Categorical(["not_found", "unread", "unread"]))
    (line,) = headlines(ask(lost, by="tag", tz="UTC"), None)
    assert line.text == "None of the 3 rows is about a job that was read: 1 not_found, 2 unread."


def test_a_quantile_that_is_not_reached_says_what_it_is_at_least():
    waiting = frame(created_s=[0, 60, 120], waited_s=[np.nan] * 3, as_of_s=600, tag="Slow")
    done = frame(created_s=[0, 60, 120], waited_s=[1, 2, 3], as_of_s=600, tag="Fast")
    jobs = side_by_side([waiting, done]).astype({"tag": "category", "outcome": "category"})
    text = told(jobs, "Who waits longest?").text
    assert text.startswith(
        "Slow: queue latency p95 is not reached yet (at least 10.0 min); 3 jobs, 100 % still waiting."
    )


def test_a_limit_on_the_failure_rate_is_met_missed_or_undecided():
    topic = "Is the failure rate within its limit?"

    def said(jobs, limit):
        (line,) = [one for one in headlines(ask(jobs, by="tag", tz="UTC"), None, limit) if one.topic == topic]
        return line

    good, bad = steady(), frame(created_s=[0, 60], waited_s=[5, 5], state="Failed", code="E", as_of_s=72_000)
    jobs = side_by_side([good, bad]).astype({"outcome": "category"})
    met, missed = said(jobs, 0.01), said(jobs, 0.001)
    assert met.text.startswith(
        "Yes: at most 1.0 % of the jobs are to fail, 2 of 1,202 ended did (95 % interval"
    )
    assert (met.mood, missed.mood) == ("good", "bad")
    assert missed.text.startswith("No: at most 0.1 % of the jobs are to fail, 2 of 1,202 ended did")
    open_ = frame(created_s=[0, 60, 120], waited_s=[np.nan, np.nan, 5], as_of_s=130)
    assert said(open_, 0.5).text == (
        "Undecided: at most 50.0 % of the jobs are to fail; 0 % to 66.7 % will, 2 unfinished of 3 jobs may go either way."
    )
    assert said(open_, 0.7).text.startswith("Yes: ")
