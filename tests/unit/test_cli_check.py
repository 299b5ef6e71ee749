"""``cosai-nb check``: met or missed where that is a fact, one line of JSON, exit codes to act on."""

import json

import pandas as pd
import pytest

from cosai_nb import cli
from cosai_nb.cli.read import _failures
from cosai_nb.emulator import Emulator, Fault, Scenario
from cosai_nb.query import fetch_jobs
from cosai_nb.stats.failures import failure_rates
from cosai_nb.stats.latency import queue_latency
from cosai_nb.stats.slo import check_slo
from cosai_nb.table.files import write_jobs
from cosai_nb.table.store import JobStore


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7, scenario=Scenario(jobs=3_000, duration_h=25)) as running:
        yield running


@pytest.fixture(scope="module")
def jobs(emulator):
    return fetch_jobs(emulator.job_ids, client=emulator.client(), progress=False)


@pytest.fixture
def here(emulator, jobs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value in emulator.environment().items():
        monkeypatch.setenv(name, value)
    write_jobs(jobs, tmp_path / "jobs.parquet")
    return tmp_path


def check(capsys, *arguments):
    """Return exit code and JSON line, which must be the only line on stdout."""
    code = cli.main(["check", *map(str, arguments), "--json"])
    [line] = capsys.readouterr().out.splitlines()
    return code, json.loads(line)


def test_a_latency_is_judged_as_check_slo_does(here, jobs, capsys):
    waits = sorted(jobs["queue_latency_s"].dropna())
    codes = {}
    for limit in (waits[-1] + 1, waits[int(0.955 * len(waits))], waits[len(waits) // 2] + 0.5, 0):
        row = check_slo(jobs, threshold_s=limit, target=0.95, detail=True).iloc[0]
        code, told = check(capsys, "jobs.parquet", "--p95-wait", limit)
        codes[limit] = code
        assert (code == 0) == (row["share_lower_bound"] >= 0.95)
        assert (code == 1) == (row["share_upper_bound"] < 0.95)
        result = {0: "met", 1: "missed", 4: "undecided"}[code]
        assert result == row["verdict"]
        assert told == {
            "result": result,
            "jobs": 3_000,
            "left_out": {},
            "as_of": jobs["observed_at"].max().isoformat(),
            "checks": [
                {
                    "check": "p95_wait",
                    "result": result,
                    "value": None if pd.isna(row["share"]) else round(row["share"], 6),
                    "low": round(row["low"], 6),
                    "high": round(row["high"], 6),
                    "at_least": 0.95,
                    "long_run": row["long_run"],
                    "limit_s": limit,
                    "p95_s": queue_latency(jobs, q=0.95, detail=True)["p95"].iloc[0],
                    "note": row["note"] if isinstance(row["note"], str) else "",
                }
            ],
        }
    assert set(codes.values()) == {0, 1}


def test_a_failure_rate_is_judged_by_its_interval(here, jobs, capsys):
    row = failure_rates(jobs).iloc[0]
    assert [
        check(capsys, "jobs.parquet", "--failure-rate", limit)[0]
        for limit in (row["high"], row["rate"], row["low"] / 2)
    ] == [
        0,
        4,
        1,
    ]


def test_one_missed_limit_decides_over_one_that_is_open(here, jobs, capsys):
    row = failure_rates(jobs, detail=True).iloc[0]
    code, told = check(capsys, "jobs.parquet", "--p95-wait", 0, "--failure-rate", row["rate"])
    assert (code, [finding["result"] for finding in told["checks"]]) == (1, ["missed", "undecided"])


def test_few_jobs_met_it_and_show_nothing_of_other_weeks(here, jobs, capsys):
    write_jobs(jobs[jobs["outcome"] == "success"].head(30), here / "few.parquet")
    code, told = check(capsys, "few.parquet", "--p95-wait", 100_000, "--failure-rate", 0.01)
    assert code == 0
    assert [(finding["result"], finding["long_run"]) for finding in told["checks"]] == [
        ("met", "not shown")
    ] * 2
    assert told["checks"][0]["value"] == 1.0


def test_no_jobs_are_not_enough_data(here, jobs, capsys):
    write_jobs(jobs.head(0), here / "none.parquet")
    code, told = check(capsys, "none.parquet", "--p95-wait", 60, "--failure-rate", 0.02)
    assert (code, told["jobs"], told["as_of"]) == (4, 0, None)


@pytest.mark.usefixtures("here")
def test_a_tag_or_queue_that_no_job_has_is_named_with_what_there_is(jobs, capsys):
    queues = ", ".join(sorted(jobs["queue_id"].dropna().unique()))
    for option, word, said in (
        ("--tag", "translaton", "did you mean Translation?"),
        ("--queue", "nowhere", f"there are {queues}."),
    ):
        assert cli.main(["check", "jobs.parquet", "--p95-wait", "90s", option, word]) == cli.NOT_ENOUGH_DATA
        assert said in capsys.readouterr().err
    code, told = check(capsys, "jobs.parquet", "--p95-wait", "9h", "--tag", "translation")
    assert (code, told["jobs"]) == (0, (jobs["tag"] == "Translation").sum())


def test_jobs_that_only_wait_miss_a_limit_that_their_ages_are_above(here, jobs, capsys):
    still = jobs[jobs["outcome"] == "success"].head(40).copy()
    still["state"], still["outcome"] = "Submitted", "waiting"
    still[["start_time", "end_time"]] = pd.NaT
    still[["queue_latency_s", "run_time_s", "total_time_s"]] = float("nan")
    write_jobs(still, here / "waiting.parquet")
    code, told = check(capsys, "waiting.parquet", "--p95-wait", 60)
    assert (code, told["checks"][0]["value"], told["checks"][0]["p95_s"]) == (1, 0.0, None)


def test_only_what_is_asked_for_is_checked(here, jobs, capsys):
    queue = jobs["queue_id"].cat.categories[0]
    chosen = (jobs["tag"] == "Translation") & (jobs["queue_id"] == queue)
    _, told = check(capsys, "jobs.parquet", "--failure-rate", 0.5, "--tag", "Translation", "--queue", queue)
    assert told["jobs"] == chosen.sum()
    _, told = check(capsys, "jobs.parquet", "--failure-rate", 0.5, "--last", "6h")
    recent = jobs["creation_time"] >= jobs["observed_at"].max() - pd.Timedelta("6h")
    assert 0 < told["jobs"] == recent.sum() < 3_000


def test_a_store_and_ids_are_sources_too(here, emulator, capsys):
    (here / "ids.txt").write_text("\n".join(emulator.job_ids))
    from_file = check(capsys, "jobs.parquet", "--failure-rate", 0.2)
    assert (
        check(capsys, "--ids", "ids.txt", "--store", "kept", "--failure-rate", 0.2)[1]["checks"]
        == from_file[1]["checks"]
    )
    assert check(capsys, "--store", "kept", "--failure-rate", 0.2)[1]["checks"] == from_file[1]["checks"]
    assert len(JobStore("kept").jobs()) == 3_000


@pytest.mark.parametrize(("terminal", "progress"), [(True, None), (False, False)])
def test_nothing_moves_where_nobody_looks(here, emulator, jobs, monkeypatch, terminal, progress):
    from cosai_nb import query

    given = {}
    monkeypatch.setattr(query, "fetch_jobs", lambda ids, **settings: given.update(settings) or jobs)
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    (here / "ids.txt").write_text("\n".join(emulator.job_ids[:5]))
    assert cli.main(["check", "--ids", "ids.txt", "--failure-rate", "1"]) == 0
    assert given["progress"] is progress


def test_a_file_that_cannot_be_read_is_3_with_a_reason(here, capsys):
    code, told = check(capsys, "gone.parquet", "--p95-wait", 60)
    assert (code, told["result"]) == (3, "could not read")
    assert "gone.parquet" in told["reason"]


def test_a_file_with_holes_is_3_and_ids_that_are_no_jobs_are_said(here, jobs, capsys):
    holes = jobs.assign(outcome=jobs["outcome"].astype(str))
    holes.loc[holes.index[:200], "outcome"] = "unread"
    write_jobs(holes, here / "holes.parquet")
    code, told = check(capsys, "holes.parquet", "--failure-rate", 0.5)
    assert (code, told) == (3, {"result": "could not read", "reason": "200 of 3,000 IDs were not read"})
    holes.loc[holes.index[:200], "outcome"] = "not_found"
    write_jobs(holes, here / "holes.parquet")
    code, told = check(capsys, "holes.parquet", "--failure-rate", 0.5)
    assert (code, told["jobs"], told["left_out"]) == (0, 2_800, {"not_found": 200})
    write_jobs(holes.head(200), here / "none.parquet")
    code, told = check(capsys, "none.parquet", "--failure-rate", 1)
    assert (code, told["jobs"], told["as_of"]) == (4, 0, None)


def test_what_nobody_foresaw_is_3_and_never_missed(here, monkeypatch, capsys):
    from cosai_nb.cli import read as command

    monkeypatch.setattr(command, "_chosen", lambda *_: 1 / 0)
    code, told = check(capsys, "jobs.parquet", "--failure-rate", 0.5)
    assert (code, told) == (3, {"result": "could not read", "reason": "division by zero"})


def test_a_read_with_holes_is_3(here, emulator, monkeypatch, capsys):
    ids = emulator.job_ids[:50]
    (here / "ids.txt").write_text("\n".join(ids))
    unreadable = Fault(kind="html", path=ids[0])  # in a list, too
    with Emulator(seed=7, scenario=Scenario(jobs=3_000, duration_h=25), faults=[unreadable]) as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        code, told = check(capsys, "--ids", "ids.txt", "--failure-rate", 0.9)
    assert (code, told) == (3, {"result": "could not read", "reason": "1 of 50 IDs were not read"})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["jobs.parquet"], "nothing to check"),
        (["--p95-wait", "60"], "say what to check"),
        (["jobs.parquet", "--store", "x", "--p95-wait", "60"], "say what to check"),
        (["jobs.parquet", "--failure-rate", "2"], "'2' must be a share from 0 to 1"),
        (["jobs.parquet", "--p95-wait", "-1"], "'-1' must be seconds from 0 up, or a duration such as 90s"),
        (["jobs.parquet", "--p95-wait", "nan"], "'nan' must be seconds"),
        (["jobs.parquet", "--p95-wait", "1e300"], "'1e300' must be seconds"),
    ],
)
def test_wrong_usage_is_2_with_a_sentence(here, capsys, arguments, said):
    with pytest.raises(SystemExit) as caught:
        cli.main(["check", *arguments])
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_words_say_the_same_as_json(here, jobs, capsys):
    assert cli.main(["check", "jobs.parquet", "--failure-rate", "0.5"]) == 0
    finding, last = capsys.readouterr().out.splitlines()
    row = failure_rates(jobs).iloc[0]
    assert finding.startswith(f"failure_rate: met: {row['rate']:.2%} [{row['low']:.2%} to ")
    assert "failed, at most 50.00% may" in finding
    assert last == f"met: 3,000 jobs as of {jobs['observed_at'].max().isoformat()}"


@pytest.mark.parametrize(
    ("failed", "ended", "unfinished", "result"),
    [
        (2, 100, 0, "met"),
        (3, 100, 0, "missed"),
        (0, 100, 2, "met"),
        (1, 100, 2, "undecided"),
        (9, 100, 5, "missed"),
    ],
)
def test_a_failure_rate_is_judged_by_what_the_unfinished_can_make_of_it(failed, ended, unfinished, result):
    numbers = {
        "failed": failed,
        "ended": ended,
        "unfinished": unfinished,
        "rate": 0.02,
        "low": 0.01,
        "high": 0.05,
    }
    told = _failures(pd.Series(numbers | {"note": ""}), 0.02)
    assert (told["result"], told["long_run"]) == (result, "not shown")
