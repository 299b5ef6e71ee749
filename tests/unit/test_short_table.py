"""What a statistic prints: the columns that are read first in 100 columns, notes in full below them."""

import pickle

import pandas as pd
import pytest

import cosai_nb as cn
from tests.simulate import EPOCH, hand_made

HOUR = 3600
LATENCY = ["jobs", "waiting", "p50", "p90", "p95", "p95_low", "p95_high", "p99", "method", "note"]


@pytest.fixture(scope="module")
def jobs():
    rows = [("success", n * 600, n * 600 + n % 50, n * 600 + n % 50 + 9) for n in range(400)]
    jobs = hand_made(*rows, ("waiting", 400 * 600, None, None), at=401 * 600)
    return jobs.assign(tag=["SpeechRecognition", *["Translation"] * 400])


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pd.option_context("display.max_columns", 0, "display.width", 100):
        yield


def answers(jobs, **options):
    return {
        "queue_latency": cn.queue_latency(jobs, by="tag", **options),
        "run_time": cn.run_time(jobs, by="tag", **options),
        "failure_rates": cn.failure_rates(jobs, by="tag", **options),
        "check_slo": cn.check_slo(jobs, threshold_s=60, target=0.9, by="tag", **options),
        "compare": cn.compare(
            jobs, at=pd.Timestamp(EPOCH + 24 * HOUR, unit="s", tz="UTC"), by="tag", **options
        ),
    }


def test_the_short_columns_are_those_of_the_whole_table(jobs):
    every = answers(jobs, detail=True)
    for name, short in answers(jobs).items():
        assert len(short.columns) <= 10
        assert short.columns[-1] == "note"
        assert len(every[name].columns) > len(short.columns)
        pd.testing.assert_frame_equal(pd.DataFrame(short), every[name][list(short.columns)])
        assert short.attrs == every[name].attrs


def test_the_interval_is_that_of_p95_or_of_the_largest_quantile(jobs):
    assert list(cn.queue_latency(jobs)) == LATENCY
    assert list(cn.run_time(jobs)) == ["jobs", "running", *LATENCY[2:]]
    assert list(cn.queue_latency(jobs, q=(0.9, 0.5, 0.5)))[2:-2] == ["p90", "p90_low", "p90_high", "p50"]
    assert list(cn.queue_latency(jobs, q=0.5))[2:-2] == ["p50", "p50_low", "p50_high"]


@pytest.mark.usefixtures("terminal")
def test_a_terminal_shows_every_number_and_every_note_in_full(jobs):
    for name, short in answers(jobs).items():
        head, *_ = text = repr(short).splitlines()
        assert head.split() == [column for column in short.columns if column != "note"], name
        for note in short["note"]:
            assert not note or any(line.endswith(f": {note}") for line in text)
    assert max(map(len, repr(cn.queue_latency(jobs, by="tag")).splitlines()[:4])) <= 100


def test_a_part_of_a_short_table_prints_alike_and_other_columns_stay_plain(jobs):
    table = cn.queue_latency(jobs, by="tag")
    assert "note of SpeechRecognition: " in repr(table.sort_values("p95").head(1))
    assert "note of" not in repr(table[["jobs", "p95"]])
    assert "note of" not in repr(table.assign(note=""))
    assert repr(table[["jobs", "note", "note"]]).count("jobs") == 1
    assert repr(pickle.loads(pickle.dumps(table))) == repr(table)


def test_many_notes_are_counted_and_those_of_many_rows_are_told_once():
    jobs = hand_made(*[("success", n * HOUR, n * HOUR + 5, n * HOUR + 9) for n in range(9)])
    text = repr(cn.queue_latency(jobs, freq="1h"))
    assert text.count("14 are needed") == 1
    assert " and 6 more: no interval" in text
    table = cn.queue_latency(jobs, freq="1h")
    table["note"] = [f"note {n}" for n in range(9)]
    assert repr(table).splitlines()[-1] == "4 more notes are in the column note"


def test_a_notebook_shows_labels_and_notes_as_text(jobs):
    hostile = jobs.head(9).assign(tag="<script>alert(1)</script>")
    page = cn.queue_latency(hostile, by="tag")._repr_html_()
    assert "<script" not in page
    assert "<p>note of &lt;script&gt;" in page
    with pd.option_context("display.notebook_repr_html", False):
        assert cn.queue_latency(hostile)._repr_html_() is None


@pytest.mark.usefixtures("terminal")
def test_tables_with_all_their_columns_show_every_number_too(jobs):
    jobs = jobs.assign(job_id=[f"a{number:032x}" for number in range(len(jobs))], audio_s=60.0)
    outcome = jobs["outcome"].astype(str).where(jobs.index > 9, "failed")
    failed = jobs.assign(outcome=outcome.astype("category"), message="words of some kind " * 9, code="E1")
    for table in (
        cn.error_pareto(failed),
        cn.queue_alarms(jobs),
        cn.backlog(jobs),
        cn.eta(jobs),
        cn.usage(jobs),
    ):
        shown = repr(table)
        for name in table.columns.drop("note", errors="ignore"):
            assert name in shown
        assert max(map(len, shown.split("note of")[0].splitlines())) <= 130
