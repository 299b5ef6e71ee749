"""``cosai-nb metrics``: one question has one number, its text is what the reference parser takes, and nothing ends it but a signal."""

import functools
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pandas as pd
import pytest

import cosai_nb as cn
from cosai_nb import cli
from cosai_nb.emulator import Emulator, Incident, Scenario

pytest.importorskip("prometheus_client", reason="the extra [metrics] is not installed")

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from cosai_nb.cli.metrics import BOUNDS_S, Metrics

DASHBOARD = Path(__file__).parents[2] / "data" / "grafana_dashboard.json"
PATIENT_S = 120
PAIR = ["queue", "tag"]
BY = ["queue_name", "tag"]


@pytest.fixture(scope="module")
def emulator():
    incident = Incident(queue=0, start_h=8, end_h=16, slowdown=3.0)
    with Emulator(seed=7, scenario=Scenario(jobs=4_000, duration_h=36, incident=incident)) as running:
        running.set_time(running.workload.scenario.start.timestamp() + 15.5 * 3600)  # many wait, some run
        yield running


@pytest.fixture(scope="module")
def store(emulator, tmp_path_factory):
    """Return a store of the emulator's jobs, with names of queues."""
    folder = tmp_path_factory.mktemp("metrics") / "jobs"
    cn.list_jobs(start="2026-11-01", end="2026-11-09", client=emulator.client(), store=folder, progress=False)
    return cn.JobStore(folder)


@pytest.fixture(scope="module")
def jobs(store):
    return store.jobs()


def collected(store, *, last_s=40 * 3600.0, most=50):
    metrics = Metrics(store, last_s=last_s, most=most)
    metrics.refresh()
    return metrics


def registry_of(metrics):
    registry = CollectorRegistry()
    registry.register(metrics)
    return registry


def samples_of(metrics):
    """Return value by name and labels, as the strict parser reads them."""
    text = generate_openmetrics(registry_of(metrics)).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse_openmetrics(text)
        for sample in family.samples
    }


def column(samples, name, labels=PAIR):
    """Return the samples of a name by the values of some labels."""
    found = {
        tuple(dict(of).get(label) for label in labels): value
        for (at, of), value in samples.items()
        if at == name
    }
    return found if len(labels) > 1 else {label: value for (label,), value in found.items()}


def made(*parts, store=None, at="2026-11-01T04:00:00Z"):
    """Return a frame, or add it to a store: each part is the service's own columns of some jobs, ``n`` of them."""
    tables = []
    for number, part in enumerate(parts):
        usual = {"State": "Success", "QueueId": "q1", "Tag": "Translation", "CreationTime": "2026-11-01T10:00:00+0800",
                 "StartTime": "2026-11-01T10:00:07+0800", "EndTime": "2026-11-01T10:01:09+0800"}  # fmt: skip
        n = part.pop("n", 1)
        prefix = part.pop("prefix", "a")
        ids = [f"{prefix}{number}x{job}" for job in range(n)]
        tables.append(pd.DataFrame({"JobId": ids, **usual, **part}))
    frame = cn.add_timings(pd.concat(tables, ignore_index=True), observed_at=at)
    if store is not None:
        store.add(frame)
    return frame


# ---------------------------------------------------------------- one question has one number


def test_every_number_is_that_of_the_public_function(store, jobs):
    samples = samples_of(collected(store))
    waits = cn.backlog(jobs, by=BY)
    assert waits["waiting"].sum() > 5
    assert waits["running"].sum() > 5
    assert column(samples, "cosai_jobs_waiting") == dict(waits["waiting"])
    assert column(samples, "cosai_jobs_running") == dict(waits["running"])
    latency = cn.queue_latency(jobs, by=BY, detail=True)
    assert (latency["method"] == "projection").any()
    assert column(samples, "cosai_queue_latency_p95_seconds") == dict(latency["p95"])
    assert column(samples, "cosai_queue_latency_p95_lower_bound_seconds") == dict(latency["p95_lower_bound"])
    rates = cn.failure_rates(jobs, by=BY, detail=True)
    assert column(samples, "cosai_failure_ratio") == pytest.approx(dict(rates["rate"].dropna()))
    assert column(samples, "cosai_jobs_submitted_total") == dict(rates["jobs"])
    ended = column(samples, "cosai_jobs_ended_total", [*PAIR, "outcome"])
    for outcome, number in (
        ("failed", rates["failed"]), ("cancelled", rates["cancelled"]), ("success", rates["ended"] - rates["failed"]),
    ):  # fmt: skip
        assert {pair: ended[*pair, outcome] for pair in number.index} == dict(number)
    by_code = cn.failure_rates(jobs, by=[*BY, "code"])["failed"]
    failed = column(samples, "cosai_jobs_failed_total", [*PAIR, "code"])
    assert failed == dict(by_code[by_code > 0])
    assert sum(failed.values()) == cn.error_pareto(jobs)["jobs"].sum() > 0
    names = store.queue_names
    oldest = cn.queue_alarms(jobs)["oldest_s"].rename(names)
    assert column(samples, "cosai_oldest_waiting_age_seconds", ["queue"]) == dict(oldest)
    as_of = column(samples, "cosai_as_of_timestamp_seconds", ["queue"])[None]
    assert as_of == jobs["observed_at"].max().timestamp()
    assert column(samples, "cosai_folded_labels", ["label"]) == {"queue": 0, "tag": 0, "code": 0}


@pytest.mark.parametrize(
    ("measure", "seconds"), [("queue_latency", "queue_latency_s"), ("run_time", "run_time_s")]
)
def test_histograms_hold_each_duration_that_is_over_once(store, jobs, measure, seconds):
    samples = samples_of(collected(store))
    known = jobs.dropna(subset=[seconds])
    buckets = column(samples, f"cosai_{measure}_seconds_bucket", [*PAIR, "le"])
    for pair, mine in known.groupby(BY, observed=True)[seconds]:
        assert [buckets[*pair, str(float(bound))] for bound in BOUNDS_S] == [
            (mine <= bound).sum() for bound in BOUNDS_S
        ]
        assert buckets[*pair, "+Inf"] == column(samples, f"cosai_{measure}_seconds_count")[pair] == len(mine)
        assert column(samples, f"cosai_{measure}_seconds_sum")[pair] == mine.sum()


def test_the_last_hours_are_judged_by_all_jobs_as_in_the_explorer(store, jobs):
    from cosai_nb.stats.latency import latency_of
    from cosai_nb.views.selection import Selection
    from cosai_nb.views.sources import Sources

    samples = samples_of(collected(store, last_s=3 * 3600))
    start = (jobs["observed_at"].max() - pd.Timedelta("3h")).floor("h")
    selected = latency_of(*Sources(jobs).part(Selection(start=start)), ("queue_id", "tag"), (0.95,))
    p95 = {(store.queue_names[queue], tag): value for (queue, tag), value in selected["p95"].items()}
    assert column(samples, "cosai_queue_latency_p95_seconds") == p95
    assert p95 != cn.queue_latency(jobs, by=BY)["p95"].to_dict()
    rate = cn.failure_rates(jobs[jobs["creation_time"] >= start], by=BY)["rate"].dropna()
    assert column(samples, "cosai_failure_ratio") == pytest.approx(dict(rate))
    assert column(samples, "cosai_jobs_waiting") == dict(cn.backlog(jobs, by=BY)["waiting"])


def test_by_hand(tmp_path):
    store = cn.JobStore(tmp_path / "jobs")
    still = {
        "State": "Submitted",
        "StartTime": "-",
        "EndTime": "-",
        "CreationTime": "2026-11-01T11:59:00+0800",
    }
    made(
        {"n": 3},
        {"State": "Failed", "Code": "E1", "StartTime": "2026-11-01T10:00:01+0800"},
        still,
        store=store,
    )
    samples = samples_of(collected(store))
    at = {"queue": "q1", "tag": "Translation"}

    def of(name, **more):
        return samples[name, frozenset({**at, **more}.items())]

    assert [
        of("cosai_queue_latency_seconds_bucket", le=bound) for bound in ("1.0", "5.0", "10.0", "+Inf")
    ] == [1, 1, 4, 4]
    assert of("cosai_queue_latency_seconds_sum") == 3 * 7 + 1
    assert (of("cosai_jobs_submitted_total"), of("cosai_jobs_waiting"), of("cosai_jobs_running")) == (5, 1, 0)
    assert of("cosai_jobs_failed_total", code="E1") == of("cosai_jobs_ended_total", outcome="failed") == 1
    assert of("cosai_jobs_ended_total", outcome="cancelled") == 0
    assert samples["cosai_oldest_waiting_age_seconds", frozenset({("queue", "q1")})] == 60
    assert of("cosai_queue_latency_p95_lower_bound_seconds") == 60
    assert math.isinf(of("cosai_queue_latency_p95_seconds"))  # too few starts to project the one that waits
    assert of("cosai_failure_ratio") == 0.25


def test_paused_jobs_and_stale_records_wait_in_no_queue_as_in_backlog(tmp_path):
    store = cn.JobStore(tmp_path / "jobs")
    still = {"State": "Submitted", "StartTime": "-", "EndTime": "-"}
    made({**still, "n": 2, "prefix": "stale"}, store=store, at="2026-11-01T02:30:00Z")
    made(
        {"n": 3},
        {**still, "n": 4, "CreationTime": "2026-11-01T11:59:00+0800"},
        {**still, "n": 5, "State": "Pause"},
        {"n": 6, "State": "Running", "EndTime": "-", "QueueId": "q2"},
        store=store,
    )
    waits = cn.backlog(store, by=["queue_id", "tag"])
    samples = samples_of(collected(store))
    assert column(samples, "cosai_jobs_waiting") == dict(waits["waiting"])
    assert column(samples, "cosai_jobs_running") == dict(waits["running"])
    assert waits["waiting"].tolist() == [4, 0]
    assert waits["running"].tolist() == [0, 6]
    oldest = column(samples, "cosai_oldest_waiting_age_seconds", ["queue"])
    assert oldest == dict(cn.queue_alarms(store)["oldest_s"]) == {"q1": 60, "q2": 0}


# ---------------------------------------------------------------- labels


def test_queues_beyond_the_most_are_one_and_that_is_said_once(store, jobs, capsys):
    all_of_them, few = samples_of(collected(store)), collected(store, most=2)
    said = capsys.readouterr().err
    number = jobs["queue_id"].nunique()
    assert said.startswith(f"cosai-nb: {number - 2} of {number} queues are counted together as queue='other'")
    assert said.count("\n") == 1
    samples = samples_of(few)
    largest = jobs["queue_name"].value_counts().index[:2]
    assert {queue for queue, _ in column(samples, "cosai_jobs_submitted_total")} == {*largest, "other"}
    for name in ("cosai_jobs_submitted_total", "cosai_jobs_waiting", "cosai_queue_latency_seconds_sum"):
        assert sum(column(samples, name).values()) == sum(column(all_of_them, name).values())
    folded = jobs[~jobs["queue_name"].isin(largest)]
    oldest = column(all_of_them, "cosai_oldest_waiting_age_seconds", ["queue"])
    assert column(samples, "cosai_oldest_waiting_age_seconds", ["queue"])["other"] == max(
        oldest[queue] for queue in folded["queue_name"].unique()
    )
    assert column(samples, "cosai_folded_labels", ["label"])["queue"] == number - 2
    assert len({tag for _, tag in column(samples, "cosai_jobs_submitted_total")}) <= 3


def test_a_queue_keeps_its_place_so_that_no_counter_goes_back(tmp_path, capsys):
    store = cn.JobStore(tmp_path / "jobs")
    made({"n": 5, "QueueId": "q1"}, {"n": 3, "QueueId": "q2"}, store=store)
    metrics = collected(store, most=3)
    made({"n": 9, "QueueId": "q3", "prefix": "b"}, {"n": 10, "QueueId": "q4", "prefix": "b"}, store=store)
    metrics.refresh()
    assert column(samples_of(metrics), "cosai_jobs_submitted_total", ["queue"]) == {
        "q1": 5,
        "q2": 3,
        "q4": 10,
        "other": 9,
    }
    made({"n": 90, "QueueId": "q3", "prefix": "c"}, store=store)
    metrics.refresh()
    assert column(samples_of(metrics), "cosai_jobs_submitted_total", ["queue"]) == {
        "q1": 5,
        "q2": 3,
        "q4": 10,
        "other": 99,
    }
    assert capsys.readouterr().err.count("counted together") == 1


def test_names_that_two_queues_have_and_names_that_are_taken_are_told_apart(tmp_path):
    store = cn.JobStore(tmp_path / "jobs")
    made(
        *({"n": number, "QueueId": queue} for number, queue in ((4, "p1"), (3, "p2"), (2, "p3"), (1, None))),
        store=store,
    )
    store.name_queues({"p1": "same", "p2": "same", "p3": "other"})
    found = column(samples_of(collected(store)), "cosai_jobs_submitted_total", ["queue"])
    assert found == {"same (p1)": 4, "same (p2)": 3, "other (p3)": 2, "(none)": 1}


def test_what_others_have_named_is_escaped(tmp_path):
    store = cn.JobStore(tmp_path / "jobs")
    odd = 'a"b\\c\nd{e="f"} 译'
    made({"State": "Failed", "Code": odd, "Tag": odd, "QueueId": odd}, {"State": "Failed"}, store=store)
    samples = samples_of(collected(store))
    assert column(samples, "cosai_jobs_failed_total", [*PAIR, "code"]) == {
        (odd, odd, odd): 1,
        ("q1", "Translation", "(none)"): 1,
    }


def test_two_thousand_queues_are_a_bounded_number_of_series(tmp_path, capsys):
    store = cn.JobStore(tmp_path / "jobs")
    made({"n": 4_000, "QueueId": [f"q{job % 2_000}" for job in range(4_000)]}, store=store)
    samples = samples_of(collected(store))
    assert len(samples) < 51 * 60
    assert sum(column(samples, "cosai_jobs_submitted_total").values()) == 4_000
    assert "1,950 of 2,000 queues are counted together" in capsys.readouterr().err


# ---------------------------------------------------------------- counted when the store changes


def test_a_store_is_counted_when_its_files_change_and_not_for_a_scrape(tmp_path):
    store = cn.JobStore(tmp_path / "jobs")
    metrics = collected(store)
    assert (metrics.jobs, metrics.counts) == (0, 1)
    assert column(samples_of(metrics), "cosai_store_readable", ["queue"]) == {None: 1}
    made({"n": 2}, store=store)
    for _ in range(3):
        metrics.refresh()
        samples_of(metrics)
    assert (metrics.jobs, metrics.counts) == (2, 2)
    store.name_queues({"q1": "nightly"})
    metrics.refresh()
    assert column(samples_of(metrics), "cosai_jobs_submitted_total", ["queue"]) == {"nightly": 2}
    assert metrics.counts == 3


def test_a_scrape_waits_for_the_first_count_and_gets_the_last_state_during_another(tmp_path, monkeypatch):
    store = cn.JobStore(tmp_path / "jobs")
    made({"n": 2}, store=store)
    metrics = Metrics(store, last_s=3600, most=50)
    early = []
    scrape = threading.Thread(target=lambda: early.append(samples_of(metrics)), daemon=True)
    scrape.start()
    assert not early
    metrics.refresh()
    scrape.join(PATIENT_S)
    made({"n": 3, "prefix": "b"}, store=store)
    counting, go_on, count = threading.Event(), threading.Event(), metrics._count

    def slowly():
        counting.set()
        assert go_on.wait(PATIENT_S)
        return count()

    monkeypatch.setattr(metrics, "_count", slowly)
    recount = threading.Thread(target=metrics.refresh, daemon=True)
    recount.start()
    assert counting.wait(PATIENT_S)
    during = samples_of(metrics)
    go_on.set()
    recount.join(PATIENT_S)
    numbers = [
        column(samples, "cosai_jobs_submitted_total", ["queue"])["q1"]
        for samples in (early[0], during, samples_of(metrics))
    ]
    assert numbers == [2, 2, 5]


def test_a_store_that_cannot_be_read_any_more_leaves_the_numbers_and_says_so_once(tmp_path, capsys):
    store = cn.JobStore(tmp_path / "jobs")
    made({"n": 2}, store=store)
    metrics = collected(store)
    store.folder.rename(tmp_path / "away")
    for _ in range(3):
        metrics.refresh()
    samples = samples_of(metrics)
    assert column(samples, "cosai_store_readable", ["queue"]) == {None: 0}
    assert column(samples, "cosai_jobs_submitted_total", ["queue"]) == {"q1": 2}
    assert (
        capsys.readouterr().err.count(
            "cannot be read (No such file or directory). The numbers stay as they were."
        )
        == 1
    )
    (tmp_path / "away").rename(store.folder)
    made({"n": 1, "prefix": "b"}, store=store)
    metrics.refresh()
    assert column(samples_of(metrics), "cosai_store_readable", ["queue"]) == {None: 1}


def test_a_store_that_others_fill_and_compact_meanwhile_is_counted_whole(tmp_path):
    store = cn.JobStore(tmp_path / "jobs")
    made({"n": 10}, store=store)
    code = (
        "import sys, cosai_nb as cn\nstore = cn.JobStore(sys.argv[1])\njobs = store.jobs()[list(cn.COLUMNS)]\n"
        "for n in range(12):\n    store.add(jobs.assign(job_id=[f'w{n}x{i}' for i in range(10)]))\n    n % 4 or store.compact()\n"
    )
    metrics = collected(store)
    with subprocess.Popen([sys.executable, "-c", code, store.folder]) as writer:
        until = time.monotonic() + PATIENT_S
        while writer.poll() is None and time.monotonic() < until:
            metrics.refresh()
            assert metrics.jobs % 10 == 0
    metrics.refresh()
    assert (writer.returncode, metrics.jobs) == (0, 130)
    assert column(samples_of(metrics), "cosai_store_readable", ["queue"]) == {None: 1}


def test_a_damaged_part_is_said_and_the_rest_is_counted(tmp_path, capsys):
    store = cn.JobStore(tmp_path / "jobs")
    made({"n": 2}, store=store)
    metrics = collected(store)
    (store.folder / f"jobs-{'0' * 32}.parquet").write_bytes(b"PAR1")
    metrics.refresh()
    assert "_set-aside" in capsys.readouterr().err
    metrics.refresh()
    assert metrics.jobs == 2


# ---------------------------------------------------------------- the command


def start(*arguments):
    command = [sys.executable, "-m", "cosai_nb", "metrics", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_served_on_loopback_until_a_signal_which_says_what_was_done(store, jobs, number):
    with start("--store", store.folder, "--port", "0", "--every", "0.2s") as process:
        try:
            port = int(re.search(r"http://127\.0\.0\.1:(\d+)/metrics", process.stdout.readline())[1])
            request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics")
            request.add_header("Accept", "application/openmetrics-text; version=1.0.0")
            with urllib.request.urlopen(request, timeout=PATIENT_S) as answer:
                text = answer.read().decode()
                assert answer.headers["Content-Type"].startswith(
                    "application/openmetrics-text; version=1.0.0"
                )
            with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.2", port)):
                pass
        finally:
            process.send_signal(number)
            out, err = process.communicate(timeout=PATIENT_S)
    numbers = [
        sample.value
        for family in parse_openmetrics(text)
        for sample in family.samples
        if family.name == "cosai_jobs_submitted"
    ]
    assert sum(numbers) == len(jobs)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines()[-1] == (
        f"scrapes answered: 1; counts of the store: 1; jobs: {len(jobs):,} as of {jobs['observed_at'].max().isoformat()}."
    )


def test_a_textfile_is_whole_whenever_it_is_read(tmp_path):
    store = cn.JobStore(tmp_path / "jobs")
    made({"n": 2}, store=store)
    file = tmp_path / "cosai.prom"
    seen = []
    with start("--store", store.folder, "--textfile", file, "--every", "0.1s") as process:
        try:
            until = time.monotonic() + PATIENT_S
            while len(seen) < 3 and time.monotonic() < until:
                text = file.read_text() if file.exists() else ""
                if text and text not in seen[-1:]:
                    assert text.endswith("cosai_store_readable 1.0\n")
                    seen.append(text)
                    made({"n": 1, "prefix": f"b{len(seen)}"}, store=store)
        finally:
            process.terminate()
            out, err = process.communicate(timeout=PATIENT_S)
    assert [
        re.search(r"^cosai_jobs_submitted_total\{.*\} (.*)$", text, re.MULTILINE)[1] for text in seen
    ] == ["2.0", "3.0", "4.0"]
    assert (process.returncode, err) == (0, "")
    assert re.search(r"cosai.prom written, times: \d+; counts of the store: \d; jobs: \d", out)
    assert {path.name for path in tmp_path.iterdir()} == {"jobs", "cosai.prom"}


def test_a_textfile_is_written_once(store, tmp_path, capsys):
    file = tmp_path / "cosai.prom"
    assert cli.main(["metrics", "--store", str(store.folder), "--textfile", str(file), "--last", "40h"]) == 0
    registry = registry_of(collected(store))
    assert file.read_bytes() == generate_latest(registry)
    assert capsys.readouterr().out.startswith(f"{file} written; counts of the store: 1; jobs: ")
    assert cli.main(["metrics", "--store", str(store.folder), "--textfile", str(file), "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_an_empty_store_is_4_once_with_a_sentence(tmp_path, capsys):
    (tmp_path / "jobs").mkdir()
    assert (
        cli.main(["metrics", "--store", str(tmp_path / "jobs"), "--textfile", str(tmp_path / "cosai.prom")])
        == 4
    )
    assert f"the store {tmp_path / 'jobs'} holds no job yet." in capsys.readouterr().err
    assert "cosai_store_readable 1.0" in (tmp_path / "cosai.prom").read_text()


def test_what_cannot_be_written_is_3_once_and_tried_again_every_time(store, tmp_path, monkeypatch, capsys):
    from cosai_nb.cli import metrics

    assert (
        cli.main(
            ["metrics", "--store", str(store.folder), "--textfile", str(tmp_path / "gone" / "cosai.prom")]
        )
        == 3
    )
    assert "there is no folder" in capsys.readouterr().err
    rounds = []

    def full(*_):
        rounds.append(len(rounds))
        if len(rounds) < 4:
            raise OSError(28, "No space left on device")
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(metrics, "write_whole", full)
    given = ["metrics", "--store", str(store.folder), "--textfile", str(tmp_path / "cosai.prom")]
    assert cli.main(given) == 3
    assert capsys.readouterr().err.endswith("cosai.prom cannot be written (No space left on device).\n")
    assert cli.main([*given, "--every", "0.01s"]) == 0
    said = capsys.readouterr()
    assert said.err.count("cannot be written (No space left on device); it is tried again every 0.01 s.") == 1
    assert rounds == [0, 1, 2, 3]


def test_a_port_that_is_taken_or_none_is_wrong_usage(store, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for port in (taken.getsockname()[1], 70_000):
            with pytest.raises(SystemExit) as caught:
                cli.main(["metrics", "--store", str(store.folder), "--port", str(port)])
            assert caught.value.code == 2
            assert f"--port {port} cannot be had" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--port", "0", "--textfile", "x.prom"]])
def test_one_place_must_be_named(store, capsys, options):
    with pytest.raises(SystemExit) as caught:
        cli.main(["metrics", "--store", str(store.folder), *options])
    assert caught.value.code == 2
    assert "say where the numbers go: --port N, or --textfile FILE" in capsys.readouterr().err


def test_without_a_store_or_the_library_it_says_what_to_do(store, tmp_path, monkeypatch, capsys):
    assert cli.main(["metrics", "--store", str(tmp_path / "none"), "--port", "0"]) == 3
    assert "There is no store" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert cli.main(["metrics", "--store", str(store.folder), "--port", "0"]) == 3
    assert "pip install 'cosai_nb[metrics]'" in capsys.readouterr().err


def test_promtool_has_nothing_to_say(store, tmp_path):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: apt install prometheus)")
    text = generate_latest(registry_of(collected(store, most=1)))
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False, timeout=PATIENT_S
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# ---------------------------------------------------------------- the dashboard


def queries():
    """Return each query of the dashboard by its panel, its variables filled in as Grafana does for "All"."""
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    found = [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel["targets"]]
    found += [(of["name"], of["definition"]) for of in board["templating"]["list"] if "definition" in of]
    filled = {"$queue": ".*", "$tag": ".*", "$__rate_interval": "1m"}
    return [
        (title, functools.reduce(lambda text, pair: text.replace(*pair), filled.items(), expr))
        for title, expr in found
    ]


def test_each_query_of_the_dashboard_selects_series_of_the_textfile(store, tmp_path):
    file = tmp_path / "cosai.prom"
    assert cli.main(["metrics", "--store", str(store.folder), "--textfile", str(file), "-q"]) == 0
    series = [
        (sample.name, sample.labels)
        for family in parse_text(file.read_text(encoding="utf-8"))
        for sample in family.samples
    ]
    selected = set()
    for title, expr in queries():
        selectors = re.findall(r"\b(cosai_\w+)(?:\{([^}]*)\})?", expr)
        assert selectors, title
        for name, inside in selectors:
            matchers = re.findall(r'(\w+)\s*=~\s*"([^"]*)"', inside)
            assert len(matchers) == inside.count("="), (title, inside)
            mine = [labels for at, labels in series if at == name]
            assert any(
                all(re.fullmatch(text, labels.get(label, "")) for label, text in matchers) for labels in mine
            ), (title, name)
            labels_of_all = set().union(*mine)
            grouped = [label for by in re.findall(r"\bby \(([^)]*)\)", expr) for label in by.split(", ")]
            assert {label for label, _ in matchers} | {*grouped} <= labels_of_all, (title, name)
            selected.add(name)
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name, _ in series}
    unused = families - {re.sub(r"_(bucket|count|sum)$", "", name) for name in selected}
    assert unused == {"cosai_folded_labels", "cosai_store_readable"}


def test_each_panel_of_the_dashboard_has_a_unit_and_its_own_place():
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    cells = []
    for panel in board["panels"]:
        assert panel["fieldConfig"]["defaults"]["unit"] in {"s", "short", "percentunit"}
        at = panel["gridPos"]
        cells += [
            (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
        ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


@pytest.mark.slow
def test_each_query_of_the_dashboard_runs_in_prometheus(store, tmp_path):
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed (Debian: apt install prometheus)")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with start("--store", store.folder, "--port", "0") as served:
        target = re.search(r"http://(127\.0\.0\.1:\d+)", served.stdout.readline())[1]
        config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
                  "scrape_configs": [{"job_name": "cosai", "static_configs": [{"targets": [target]}]}]}  # fmt: skip
        (tmp_path / "prometheus.json").write_text(json.dumps(config))  # which is YAML, too
        command = ["prometheus", f"--config.file={tmp_path / 'prometheus.json'}", f"--storage.tsdb.path={tmp_path / 'data'}",
                   f"--web.listen-address=127.0.0.1:{port}"]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as prometheus:
            try:
                for title, expr in queries():
                    if not expr.startswith("label_values"):
                        assert answered(port, expr, time.monotonic() + PATIENT_S), title
            finally:
                prometheus.terminate()
                served.terminate()
                served.communicate(timeout=PATIENT_S)


def answered(port, expr, until):
    """Ask Prometheus until it has an answer: it needs two scrapes before something can have increased."""
    while time.monotonic() < until:
        try:
            address = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': expr})}"
            with urllib.request.urlopen(address, timeout=10) as answer:
                if found := json.load(answer)["data"]["result"]:
                    return found
        except urllib.error.HTTPError as error:
            if error.code == 400:
                raise
        except OSError:
            pass
        time.sleep(0.5)
    return None
