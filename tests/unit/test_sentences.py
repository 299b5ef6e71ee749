"""The sentences that a report begins with say what is true of queues that were made by hand."""

import numpy as np
import pandas as pd
import pytest

import cosai_nb as cn
from cosai_nb.views.answers import ask
from cosai_nb.views.selection import Selection
from cosai_nb.views.sentences import MOST_LINES, finding, headlines, quantile
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


def lines_of(jobs, *, slo=None, limit=None, by="tag", tz="UTC"):
    return headlines(ask(jobs, by=by, tz=tz), slo, limit)


def told(jobs, name, **settings):
    """Return the one line whose name begins so."""
    (found,) = [line for line in lines_of(jobs, **settings) if line.name.startswith(name)]
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


def test_where_nothing_is_wrong_the_numbers_say_so():
    line = told(steady(), "Queues")
    assert line.name == "Queues: none is growing or stopped"
    assert line.text.startswith("0 of 1,200 jobs wait at 2026-11-01 20:00; queue latency p95 is 5 s")
    assert line.mood == "good"


def test_a_growing_queue_is_named_with_state_rates_oldest_evidence_and_its_picture():
    line = told(growing(), "Queue q1")
    assert (line.name, line.mood) == ("Queue q1: growing", "bad")
    assert line.text.startswith("45 waiting, oldest 45.0 min, 59 arrive and 15 start an hour.")
    assert "The queue filled after 2026-11-01 19:00." in line.text
    assert "Chance of such growth at a load of 90 %: < 0.1 %." in line.text
    assert (line.anchor, line.picture) == ("queue=q1", "Load")
    assert lines_of(growing())[0] == line


def test_a_line_about_a_queue_has_the_target_where_one_is_given():
    assert (
        "start an hour; target: 90.0 % start within 60 s." in told(growing(), "Queue q1", slo=(60, 0.9)).text
    )


def test_no_queue_is_called_growing_without_the_evidence_of_queue_alarms():
    """One waiting job of many was an alarm once."""
    created = np.arange(0, 20 * 3600, 60)
    waits = np.where(created == created[-1], np.nan, 5.0)
    jobs = frame(created_s=created, waited_s=waits, as_of_s=20 * 3600)
    line = told(jobs, "Queues")
    assert cn.queue_alarms(jobs)["state"].tolist() == ["waiting"]
    assert line.text.startswith("1 of 1,200 jobs waits, the oldest for 60 s (Queue q1) at 2026-11-01 20:00;")


def test_a_stopped_queue_says_since_when_nothing_has_started():
    created = np.arange(0, 20 * 3600, 60)
    waits = np.where(created >= 19 * 3600, np.nan, 5.0)
    jobs = frame(created_s=created, waited_s=waits, as_of_s=20 * 3600)
    line = told(jobs, "Queue q1")
    assert (line.name, line.mood) == ("Queue q1: stopped", "bad")
    assert "Nothing has started since 2026-11-01 18:5" in line.text


def test_times_are_told_in_the_zone_that_was_asked_for():
    assert "at 2026-11-02 04:00;" in told(steady(), "Queues", tz="Asia/Shanghai").text


def test_a_queue_is_called_by_its_name():
    jobs = growing().assign(queue_name="nightly")
    line = told(jobs, "Queue nightly")
    assert line.anchor == "queue=nightly"
    assert "q1" not in line.name + line.text


def test_queues_of_one_name_are_told_apart():
    jobs = side_by_side([growing().assign(queue_id=name, queue_name="voice") for name in ("p1", "p2")])
    names = [line.name for line in lines_of(jobs) if line.mood == "bad"]
    assert sorted(names) == ["Queue voice (p1…): growing", "Queue voice (p2…): growing"]


@pytest.mark.parametrize("queues", [1, 2, 5, 12])
def test_five_lines_at_most_and_no_growing_queue_is_left_out(queues):
    jobs = side_by_side([growing().assign(queue_id=f"q{number:02}") for number in range(queues)])
    lines = lines_of(jobs, slo=(60, 0.9), limit=0.5)
    assert len(lines) <= MOST_LINES
    bad = [line for line in lines if line.mood == "bad" and "ueue" in line.name]
    named = " ".join(line.name + line.text for line in bad)
    hidden = max(queues - 7, 0)  # one has a line of its own, six are named in the other
    assert sum(f"q{number:02}" in named for number in range(queues)) == queues - hidden
    if hidden:
        assert f"and {hidden} more: " in named
    assert [line.mood for line in lines] == sorted(
        (line.mood for line in lines), key=["bad", "", "good"].index
    )


def test_a_queue_without_a_name_has_one_in_the_line():
    jobs = growing()
    jobs["queue_id"] = pd.Series(pd.NA, index=jobs.index, dtype="category")
    assert told(jobs, "Queue (none)").name == "Queue (none): growing"


def test_where_no_column_names_a_queue_none_is_named():
    line = told(growing().drop(columns="queue_id"), "All jobs: growing")
    assert line.text.startswith("45 waiting")
    assert "(none)" not in line.text


def test_where_no_job_has_usable_times_nobody_knows_how_many_wait():
    jobs = steady(state="Failed", code="E").head(20)
    for column in ("creation_time", "start_time", "end_time"):
        jobs[column] = pd.Series(pd.NaT, index=jobs.index, dtype=jobs[column].dtype)
    jobs = jobs.assign(queue_latency_s=np.nan, run_time_s=np.nan, total_time_s=np.nan, timing_ok=False)
    line = told(jobs, "Queues")
    assert (line.name, line.mood) == ("Queues: not known", "")
    assert told(jobs, "All jobs: failure rate").text.endswith(
        "Most common error: E, 20 jobs, 100 % of the failures."
    )


def test_no_failure_is_said_with_its_interval_and_number():
    line = told(steady(), "Failures: none")
    assert line.text.startswith("No job has failed (95 % interval 0 % to ")
    assert "1,200 ended" in line.text
    assert line.mood == "good"


def test_the_failing_group_is_named_with_rate_numbers_and_error():
    good, bad = steady(tag="Words"), steady(tag="Speech")
    hit = (bad["creation_time"] >= START + pd.Timedelta("5h")) & (
        bad["creation_time"] < START + pd.Timedelta("6h")
    )
    broken = frame(
        created_s=np.arange(5 * 3600, 6 * 3600, 60),
        waited_s=np.full(60, 5.0),
        state="Failed",
        code="InternalError",
        tag="Speech",
        as_of_s=72_000,
    )
    jobs = side_by_side([good, bad[~hit], broken]).astype(
        {"tag": "category", "code": "category", "outcome": "category"}
    )
    line = told(jobs, "Tag Speech")
    assert line.name == "Tag Speech: failure rate 5.0 %"
    assert line.text.startswith("60 of 1,200 ended jobs failed (95 % interval ")
    assert "all jobs: 2.5 % (95 % interval " in line.text
    assert (
        "Most common error: InternalError, 60 jobs, 100 % of the failures, 2026-11-01 05:00 to 2026-11-01 05:59."
        in line.text
    )
    assert "Of those created 2026-11-01 05:00 to 2026-11-01 06:00, 60 of 60 failed (100 %)." in line.text
    assert (line.anchor, line.picture) == ("tag=Speech", "Failure rate over time")


def test_a_group_of_a_few_jobs_that_all_failed_is_not_the_one_named():
    rare = frame(created_s=[0], waited_s=[5], state="Failed", code="E", tag="Rare", as_of_s=72_000)
    many = frame(
        created_s=np.arange(50) * 60,
        waited_s=np.full(50, 5),
        state="Failed",
        code="E",
        tag="Often",
        as_of_s=72_000,
    )
    jobs = side_by_side([steady(tag="Often"), many, rare]).astype({"tag": "category", "outcome": "category"})
    assert told(jobs, "Tag Often: failure rate").name == "Tag Often: failure rate 4.0 %"


def test_nothing_has_ended_yet():
    jobs = frame(created_s=[0, 60], waited_s=[np.nan, np.nan], as_of_s=600)
    assert (
        told(jobs, "Failures: not known").text
        == "Nothing is known yet: none of the 2 jobs has succeeded or failed."
    )


def test_the_group_with_the_longest_latency_is_named_with_its_number():
    jobs = side_by_side([steady(wait=5, tag="Fast"), steady(wait=700, tag="Slow")])
    line = told(jobs.astype({"tag": "category", "outcome": "category"}), "Tag Slow")
    assert line.name == "Tag Slow: longest queue latency"
    assert line.text.startswith(
        "Queue latency p95 11.7 min; 1,200 jobs, 0 waiting. Tag Fast: 5 s; all jobs 11.7 min"
    )
    assert line.anchor == "tag=Slow"


def test_a_quantile_without_an_interval_says_so():
    known = pd.Series({"p95": 60.0, "p95_lower_bound": 60.0, "p95_low": 60.0, "p95_high": 60.0})
    assert quantile(known, "p95") == "60 s"  # both ends read as the value does
    unknown = known.replace(60.0, np.nan).fillna({"p95": 60.0, "p95_lower_bound": 60.0})
    assert quantile(unknown, "p95") == "60 s (no interval)"


def test_groups_that_wait_alike_are_not_ranked():
    jobs = side_by_side([steady(tag="A"), steady(tag="B")]).astype({"tag": "category", "outcome": "category"})
    assert told(jobs, "Queue latency: the same").text == "Queue latency p95 is 5 s for every tag."


@pytest.mark.parametrize("by", [None, "tag"])
def test_a_single_group_is_not_compared_with_itself(by):
    assert [line.name for line in lines_of(steady(), by=by)] == [
        "Queues: none is growing or stopped",
        "Failures: none",
    ]


def test_the_slo_is_met_missed_or_undecided_as_check_slo_says():
    jobs = steady(hours=40)
    met, missed = told(jobs, "SLO", slo=(60, 0.9)), told(jobs, "SLO", slo=(1, 0.9))
    assert met.text.startswith(
        "100 % of 2,400 jobs on time; target: 90.0 % start within 60 s (95 % interval "
    )
    assert (met.name, met.mood, missed.name, missed.mood) == ("SLO: met", "good", "SLO: missed", "bad")
    assert missed.text.startswith(
        "0 % of 2,400 jobs on time; target: 90.0 % start within 1 s (95 % interval "
    )
    assert "The error budget burns 10.0 times as fast as allowed." in missed.text
    assert missed.text.endswith("Tag Translation: 0 % of 2,400 jobs.")
    open_ = frame(created_s=[0, 60, 120], waited_s=[np.nan, np.nan, 5], as_of_s=130)
    undecided = told(open_, "SLO", slo=(600, 0.9))
    assert undecided.name == "SLO: undecided"
    assert undecided.text == (
        "33.3 % to 100 % on time, 2 of 3 jobs undecided; target: 90.0 % start within 10.0 min."
    )


def test_an_empty_frame_and_one_of_failed_queries_say_so():
    (line,) = lines_of(steady().head(0), slo=(60, 0.9))
    assert line.text == "The table has no rows: there are no jobs to report on."
    lost = steady().head(3).assign(outcome=pd.Categorical(["not_found", "unread", "unread"]))
    (line,) = lines_of(lost)
    assert line.text == "None of the 3 rows is about a job that was read: 1 not_found, 2 unread."


def test_a_quantile_that_is_not_reached_says_what_it_is_more_than():
    waiting = frame(created_s=[0, 60, 120], waited_s=[np.nan] * 3, as_of_s=600, tag="Slow")
    done = frame(created_s=[0, 60, 120], waited_s=[1, 2, 3], as_of_s=600, tag="Fast")
    jobs = side_by_side([waiting, done]).astype({"tag": "category", "outcome": "category"})
    text = told(jobs, "Tag Slow").text
    assert text.startswith("Queue latency p95 more than 10.0 min (too few started); 3 jobs, 3 waiting.")


def test_where_too_few_started_in_all_groups_nothing_is_well():
    waiting = [frame(created_s=[0, 60], waited_s=[np.nan] * 2, as_of_s=600, tag=tag) for tag in "AB"]
    line = told(side_by_side(waiting).astype({"tag": "category", "outcome": "category"}), "Queue latency")
    assert (line.name, line.mood) == ("Queue latency: too few started in all groups", "")
    assert line.text == "Queue latency p95 is more than 10.0 min for every tag."


def test_a_limit_on_the_failure_rate_is_met_missed_or_undecided():
    def said(jobs, limit):
        return told(jobs, "Failure rate limit", limit=limit)

    good, bad = steady(), frame(created_s=[0, 60], waited_s=[5, 5], state="Failed", code="E", as_of_s=72_000)
    jobs = side_by_side([good, bad]).astype({"outcome": "category"})
    met, missed = said(jobs, 0.01), said(jobs, 0.001)
    assert met.text.startswith(
        "2 of 1,202 ended jobs failed; limit: at most 1.0 % fail (failure rate 0.2 % (95 % interval"
    )
    assert (met.name, met.mood) == ("Failure rate limit: met", "good")
    assert (missed.name, missed.mood) == ("Failure rate limit: missed", "bad")
    open_ = frame(created_s=[0, 60, 120], waited_s=[np.nan, np.nan, 5], as_of_s=130)
    undecided = said(open_, 0.5)
    assert undecided.name == "Failure rate limit: undecided"
    assert undecided.text == "0 % to 66.7 % fail, 2 of 3 jobs unfinished; limit: at most 50.0 % fail."
    assert said(open_, 0.7).name == "Failure rate limit: met"


def test_report_and_statistics_give_one_number_for_one_question():
    """V6: the same p95 and the same failure rate, whoever is asked."""
    jobs = growing().iloc[600:]
    answers = ask(jobs, by="tag", tz="UTC")
    pd.testing.assert_series_equal(answers.whole.latency["p95"], cn.queue_latency(jobs)["p95"])
    pd.testing.assert_frame_equal(answers.whole.failures, cn.failure_rates(jobs, detail=True))
    pd.testing.assert_frame_equal(answers.grouped.failures, cn.failure_rates(jobs, by="tag", detail=True))


@pytest.mark.parametrize(
    ("tab", "by", "said"),
    [
        ("failures", "tag", "Tag Speech: highest failure rate 5.0 % (95 % interval "),
        (
            "failures_over_time",
            None,
            "All jobs, created in the 1 h from 2026-11-01 05:00 (UTC): highest failure rate ",
        ),
        ("eta", None, "No job is waiting, so there is no start to expect."),
    ],
)
def test_the_sentence_above_a_figure_is_worded_from_what_it_draws(tab, by, said):
    hit = np.arange(5 * 3600, 6 * 3600, 60)
    bad = frame(
        created_s=hit, waited_s=np.full(60, 5.0), state="Failed", code="E", tag="Speech", as_of_s=72_000
    )
    good = steady(tag="Speech")
    jobs = side_by_side([steady(tag="Words"), good[~good["creation_time"].isin(bad["creation_time"])], bad])
    settings = {"failures": {"by": by}, "failures_over_time": {"freq": "1h", "tz": "UTC"}, "eta": {}}[tab]
    plot = {"failures_over_time": "failure_rates", "failures": "failure_rates"}.get(tab, tab)
    summary = getattr(cn.plots, f"{plot}_data")(jobs, **settings)
    text = finding(Selection(by=by, tab=tab, tz="UTC"), summary)
    assert text.startswith(said)
    assert text.endswith("(2,400 jobs, 0 % unfinished)")
