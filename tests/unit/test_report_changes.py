"""What changed since the last report: real changes by name and number, noise as noise, and whatever cannot be known as that."""

import shutil

import numpy as np
import pandas as pd
import pytest

import cosai_nb as cn
from cosai_nb.errors import FileError, SettingsError
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.stats.since import changes
from cosai_nb.views import report
from cosai_nb.views.answers import ask
from cosai_nb.views.changes import keep_summary, what_changed
from cosai_nb.views.report import write_report
from cosai_nb.views.wording import duration, share

START = pd.Timestamp("2026-11-02T00:00:00Z")
WEEK = pd.Timedelta("7D")


def week(seed, queues, *, start=START, hours=168, code="Internal"):
    """Return jobs of some queues: name to jobs an hour, mean wait [s] and share that fails."""
    rng, parts = np.random.default_rng(seed), []
    for number, (queue, (per_hour, wait, failing)) in enumerate(queues.items()):
        created = np.sort(rng.uniform(0, hours * 3600, rng.poisson(per_hour * hours)))
        jobs = len(created)
        at = start + pd.to_timedelta(np.floor(created), unit="s")
        begun = at + pd.to_timedelta(np.round(rng.exponential(wait, jobs)), unit="s")
        failed = rng.random(jobs) < failing
        parts.append(
            pd.DataFrame({
                "JobId": [f"j{seed}n{number}n{one}" for one in range(jobs)],
                "State": np.where(failed, "Failed", "Success"), "Code": np.where(failed, code, "Success"),
                "Message": "", "Tag": "ASR" if number % 2 else "Translation", "QueueId": queue,
                "CreationTime": at, "StartTime": begun, "EndTime": begun + pd.Timedelta("30s"),
            })
        )  # fmt: skip
    return cn.add_timings(pd.concat(parts, ignore_index=True), observed_at=start + pd.Timedelta(hours=hours))


USUAL = {"q1": (20, 60, 0.02), "q2": (20, 60, 0.02), "q3": (5, 60, 0.02)}


@pytest.fixture(scope="module")
def before():
    return week(1, USUAL, start=START - WEEK)


@pytest.fixture(scope="module")
def after():
    return week(2, {"q1": (20, 600, 0.02), "q2": (8, 60, 0.02), "q4": (5, 60, 0.5)})


def told(jobs, previous, by="tag"):
    return what_changed(ask(jobs, by=by, tz="Asia/Shanghai"), previous)


def table_of(changed, measure):
    (found,) = [table for table in changed.tables if table.id == f"changes-{measure}-table"]
    return pd.DataFrame({name: list(column.values) for name, column in found.columns.items()}).set_index(
        "group"
    )


@pytest.fixture
def plain(monkeypatch):
    """Leave the figures out where the test is not about them."""
    monkeypatch.setattr(report, "panels", lambda *_: [])


# ---------------------------------------------------------------- what is told


def test_the_strongest_change_is_named_with_the_numbers_that_the_statistics_give(before, after):
    changed = told(after, before, by="queue_id")
    line = next(line for line in changed.lines if "queue latency" in line.name)
    assert (line.name, line.mood, line.anchor) == ("Queue q1: queue latency p95 rose", "bad", "queue=q1")
    rows = [cn.queue_latency(jobs, by="queue_id").loc["q1"] for jobs in (before, after)]
    texts = [f"{duration(row.p95)} ({duration(row.p95_low)} to {duration(row.p95_high)})" for row in rows]
    assert line.text.startswith(f"from {texts[0]} to {texts[1]}")
    compared = cn.compare(before, after, by="queue_id")
    latency = table_of(changed, "queue")
    assert {
        name.removeprefix("Queue "): verdict
        for name, verdict in latency["verdict"].items()
        if name != "All jobs"
    } == compared["verdict"].to_dict()


def test_a_line_is_about_its_measure_and_each_kind_of_change_has_one(before, after):
    lines = {line.name: line for line in told(after, before, by="queue_id").lines}
    assert list(lines) == [
        "Queue q1: queue latency p95 rose",
        "All jobs: failure rate rose",
        "Queues that came or went",
        "Queue q2: throughput fell",
    ]
    old, new = (cn.failure_rates(jobs).iloc[0] for jobs in (before, after))
    assert lines["All jobs: failure rate rose"].text.startswith(f"from {share(old.rate)} (")
    assert f"to {share(new.rate)} (" in lines["All jobs: failure rate rose"].text
    number = {name: int((jobs["queue_id"] == name).sum()) for jobs, name in ((after, "q4"), (before, "q3"))}
    assert lines["Queues that came or went"].text == (
        f"New: q4 ({number['q4']:,} jobs); no jobs now: q3 ({number['q3']:,} jobs before)."
    )


def test_a_new_code_is_told_with_its_jobs_and_a_known_one_is_not(before):
    jobs = week(3, USUAL).assign(code=lambda jobs: jobs["code"].cat.add_categories(["Quota"]))
    failed = jobs.index[jobs["outcome"] == "failed"][:7]
    jobs.loc[failed, "code"] = "Quota"
    (line,) = [line for line in told(jobs, before).lines if line.name.startswith("Errors")]
    assert (line.name, line.text) == (
        "Errors: 1 new code",
        "Quota (7 jobs); not among the failures before.",
    )


def test_throughput_is_compared_hour_by_hour(before, after):
    row = table_of(told(after, before, by="queue_id"), "throughput").loc["Queue q2"]
    hours = [
        jobs.loc[jobs["queue_id"] == "q2", "creation_time"].dt.floor("h").value_counts()
        for jobs in (before, after)
    ]
    full = [
        of_side.sort_index().iloc[1:-1] for of_side in hours
    ]  # the first and the last may be parts of hours
    assert row["before"] == pytest.approx(full[0].sum() / 166)
    assert row["now"] == pytest.approx(full[1].sum() / 166)
    assert row["verdict"] == "fell"


def test_what_comes_back_every_week_is_no_change_of_throughput():
    """A weekend without jobs: the windows begin on other days, and hold the same hours of the week."""
    jobs = week(4, {"q1": (30, 5, 0.0)}, hours=3 * 168)
    busy = jobs[jobs["creation_time"].dt.day_of_week < 5]
    sides = []
    for days in (0, 10):
        since = busy["creation_time"] - START - pd.Timedelta(days=days)
        sides.append(DurationHistogram.from_jobs(busy[(since >= pd.Timedelta(0)) & (since < WEEK)]))
    found = changes(*sides, ())[0].set_index("what")
    assert found.loc["throughput", "verdict"] == "no difference shown"
    assert found.loc["throughput", "high"] - found.loc["throughput", "low"] < 5


def test_unchanged_weeks_are_called_noise(before):
    changed = told(week(5, USUAL), before)
    (line,) = changed.lines
    assert (line.name, line.mood) == ("Nothing changed beyond the noise", "good")
    assert "queue latency p95" in line.text


@pytest.mark.slow
def test_of_many_unchanged_queues_few_differ_and_none_is_told():
    queues = {f"q{number:02}": (3, 30, 0.05) for number in range(80)}
    sides = [DurationHistogram.from_jobs(week(seed, queues, start=START + seed * WEEK)) for seed in (0, 1)]
    (found,) = changes(*sides, ("queue_id",))
    for _, mine in found.groupby("what"):
        assert mine["verdict"].ne("no difference shown").mean() <= 0.12
    assert (found["p_value"] * len(found)).min() > 0.05


def test_a_tag_that_is_one_queue_is_told_once_and_queues_that_are_alike_each():
    queues = {"q1": (20, 60, 0.0), "q2": (20, 60, 0.0)}
    sides = [week(9, queues, start=START + weeks * WEEK) for weeks in (-1, 0)]
    twins = [pd.concat([jobs[jobs["queue_id"] == "q1"]] * 2, ignore_index=True) for jobs in sides]
    for jobs in twins:
        second = np.arange(len(jobs)) >= len(jobs) // 2
        jobs["queue_id"] = np.where(second, "q2", "q1")
        jobs["job_id"] = jobs["job_id"].astype(str) + jobs["queue_id"]
        jobs["tag"] = np.where(second, "A", "B")
    assert table_of(told(twins[1], twins[0]), "queue").index.tolist() == ["Queue q1", "Queue q2", "All jobs"]


# ---------------------------------------------------------------- why it cannot be said


def test_windows_of_other_hours_are_not_compared(before):
    day = week(6, USUAL, hours=24)
    (line,) = told(day, before).lines
    assert line.name == "What changed: not known"
    assert "different hours" in line.text


def test_a_few_hours_are_too_little(before):
    line = told(week(7, USUAL, hours=5), before).lines[0]
    assert line.name == "What changed: not known"
    assert "14 are needed on each side" in line.text


@pytest.mark.parametrize(
    ("previous", "why"),
    [
        (lambda before, after: before.head(0), "There are no earlier jobs"),
        (lambda before, after: week(8, USUAL, start=START + WEEK), "later than these"),
        (lambda before, after: before.drop(columns="outcome"), "outcome"),
    ],
)
def test_whatever_cannot_be_compared_is_a_sentence(before, after, previous, why):
    (line,) = told(after, previous(before, after)).lines
    assert line.name == "What changed: not known"
    assert why in line.text


def test_where_the_jobs_overlap_those_created_since_are_compared(before, after):
    both = pd.concat([before, after], ignore_index=True)
    changed = told(both, before, by="queue_id")
    assert changed.compared.startswith("in ")
    row = table_of(changed, "queue").loc["Queue q4"]
    assert row["jobs before"] == 0
    assert row["jobs now"] == (after["queue_id"] == "q4").sum()


def test_a_summary_without_the_column_of_the_groups_still_tells_of_queues(before, after):
    summary = DurationHistogram.from_jobs(before)
    jobs = after.assign(customer="a")
    changed = told(jobs, summary, by="customer")
    assert "By customer nothing is compared." in changed.remarks[0]
    assert any(line.name.startswith("Queue q1: queue latency") for line in changed.lines)


# ---------------------------------------------------------------- where it comes from


def test_a_frame_a_file_a_store_and_a_summary_say_the_same(before, after, tmp_path):
    cn.write_jobs(before, tmp_path / "jobs.parquet")
    store = cn.JobStore(tmp_path / "store")
    store.add(before)
    summary = DurationHistogram.from_jobs(before)
    summary.save(tmp_path / "summary.parquet")
    sources = [before, tmp_path / "jobs.parquet", store, summary, str(tmp_path / "summary.parquet")]
    answers = ask(after, by="tag", tz="UTC")
    found = [what_changed(answers, source) for source in sources]
    assert all(changed.lines == found[0].lines and changed.compared == found[0].compared for changed in found)
    assert found[0].lines[0].mood == "bad"


def test_a_kept_summary_is_named_by_its_time_and_the_next_report_takes_it(before, after, tmp_path, plain):
    kept = tmp_path / "kept"
    first = write_report(before, tmp_path / "a.html", keep=kept).read_text(encoding="utf-8")
    assert "No earlier summary is kept yet" in first
    assert [path.name for path in kept.iterdir()] == ["summary-20261102T000000Z.parquet"]
    second = write_report(after, tmp_path / "b.html", keep=str(kept)).read_text(encoding="utf-8")
    assert "queue latency p95 rose" in second
    assert len(list(kept.iterdir())) == 2
    again = write_report(after, tmp_path / "c.html", keep=kept).read_text(encoding="utf-8")
    assert "queue latency p95 rose" in again  # its own summary is no earlier one
    assert len(list(kept.iterdir())) == 2


def test_of_kept_summaries_one_that_ended_before_the_jobs_began_goes_before_a_newer_one(
    before, after, tmp_path, plain
):
    middle = after[after["creation_time"] < START + pd.Timedelta("3D")]
    for jobs in (before, middle.assign(observed_at=START + pd.Timedelta("3D"))):
        keep_summary(tmp_path / "kept", jobs, "tag")
    text = write_report(after, tmp_path / "a.html", keep=tmp_path / "kept").read_text(encoding="utf-8")
    assert f"What changed against {len(before):,} jobs" in text


def test_broken_foreign_and_later_summaries_are_passed_over_with_a_sentence(before, after, tmp_path, plain):
    kept = tmp_path / "kept"
    keep_summary(kept, before, "tag")
    (kept / "summary-20261102T000001Z.parquet").write_bytes(b"PAR1 cut")
    cn.write_jobs(before, kept / "summary-20261102T000002Z.parquet")
    shutil.copy(kept / "summary-20261102T000000Z.parquet", kept / "summary-20991231T000000Z.parquet")
    (kept / "notes.txt").write_text("mine")
    text = write_report(after, tmp_path / "a.html", keep=kept).read_text(encoding="utf-8")
    assert "queue latency p95 rose" in text
    assert "1 of the summaries in" in text
    for second in (1, 2):
        assert (
            f"summary-2026110200000{second}Z.parquet cannot be read".replace("20261102", "20261102T") in text
        )


def test_names_of_queues_that_are_gone_are_known_from_the_summary(before, after, tmp_path, plain):
    named = cn.name_queues(before, {"q1": "nightly", "q2": "batch", "q3": "legacy"})
    write_report(named, tmp_path / "a.html", keep=tmp_path / "kept")
    now = cn.name_queues(after, {"q1": "nightly", "q2": "batch", "q4": "fresh"})
    text = write_report(now, tmp_path / "b.html", keep=tmp_path / "kept").read_text(encoding="utf-8")
    assert "no jobs now: legacy (" in text
    assert "New: fresh (" in text


@pytest.mark.parametrize("what", ["missing", "broken", "empty folder"])
def test_an_earlier_source_that_cannot_be_read_is_a_sentence_of_the_page(after, tmp_path, plain, what):
    path = tmp_path / "earlier.parquet"
    if what == "broken":
        path.write_bytes(b"PAR1 no table PAR1")
    if what == "empty folder":
        path.mkdir()
    text = write_report(after, tmp_path / "a.html", previous=path).read_text(encoding="utf-8")
    assert "What changed: not known" in text


def test_arguments_that_cannot_be_right_are_refused_before_anything_is_written(after, tmp_path):
    with pytest.raises(TypeError, match="previous= is a DataFrame"):
        write_report(after, tmp_path / "a.html", previous=7)
    with pytest.raises(SettingsError, match="every='soon'"):
        write_report(after, tmp_path / "a.html", every="soon")
    assert not list(tmp_path.iterdir())


def test_a_folder_for_summaries_that_cannot_be_made_is_said_and_the_page_is_there(after, tmp_path, plain):
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match="for summaries cannot be made"):
        write_report(after, tmp_path / "a.html", keep=tmp_path / "file" / "kept")
    assert (tmp_path / "a.html").exists()


@pytest.mark.parametrize("by", ["auto", "tag"])
def test_jobs_of_several_buckets_are_compared_bucket_by_bucket(before, after, tmp_path, plain, by):
    sides = [
        jobs.assign(bucket=np.where(jobs["queue_id"] == "q1", "east-1", "west-1")) for jobs in (before, after)
    ]
    for number, jobs in enumerate(sides):
        path = write_report(jobs, tmp_path / f"{number}.html", keep=tmp_path / "kept", by=by)
    text = path.read_text(encoding="utf-8")
    assert "nothing is compared" not in text
    assert "east-1" in text.partition('id="changes-queue-table"')[2].partition("</table>")[0]
    changed = told(sides[1], sides[0], by=by)
    assert not changed.remarks
    assert any("east-1" in name for name in table_of(changed, "queue").index)


# ---------------------------------------------------------------- the page


def test_without_earlier_jobs_the_page_says_nothing_of_changes(after, tmp_path, plain):
    text = write_report(after, tmp_path / "a.html").read_text(encoding="utf-8")
    assert "What changed" not in text
    assert 'id="renewal"' not in text


def test_a_page_that_is_renewed_says_so(after, tmp_path, plain):
    text = write_report(after, tmp_path / "a.html", every="15m", tz="UTC").read_text(encoding="utf-8")
    assert ", renewed every 15 min." in text
    assert 'data-every="900000"' in text


def test_outside_texts_of_earlier_jobs_are_escaped(before, after, tmp_path, plain):
    hostile = before.assign(
        queue_id=before["queue_id"].cat.rename_categories({"q3": "<script>alert(1)</script>"})
    )
    text = write_report(after, tmp_path / "a.html", previous=hostile).read_text(encoding="utf-8")
    assert "&lt;script&gt;" in text
    assert "<script>alert" not in text


def test_an_interval_keeps_its_numbers_and_their_units_together(before, after, tmp_path, plain):
    text = write_report(after, tmp_path / "a.html", previous=before).read_text(encoding="utf-8")
    smalls = [part.partition("</small>")[0] for part in text.split("<small>")[1:]]
    assert any("\u00a0min" in small for small in smalls)
    assert not [small for small in smalls if " min" in small or " %" in small]
