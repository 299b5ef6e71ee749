"""What a stranger types: an option without effect, a number that is none, a place that cannot be written; nothing is asked then."""

import pytest

import cosai_nb as cn
from cosai_nb import cli
from cosai_nb.emulator import Emulator, Scenario


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7, scenario=Scenario(jobs=60)) as running:
        yield running


@pytest.fixture
def here(emulator, tmp_path, monkeypatch):
    for name, value in emulator.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    cn.write_jobs(cn.fetch_jobs(emulator.job_ids, client=emulator.client()), tmp_path / "jobs.parquet")
    emulator.requests.clear()
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("check jobs.parquet --p95-wait 9s --deadline 5s", "--deadline and --family are for --ids"),
        ("check jobs.parquet --p95-wait 9s --family ai", "--deadline and --family are for --ids"),
        ("report jobs.parquet --bucket demo-1250000000", "--bucket and --family are for --watch"),
        ("report jobs.parquet --family media", "--bucket and --family are for --watch"),
        (
            "report jobs.parquet --p95-wait 9s --slo 10m:95%",
            "one limit of the queue latency: give --slo or --p95-wait",
        ),
        ("query jobs.parquet -o x.parquet --excel-safe", "--excel-safe is for CSV alone"),
        ("query jobs.parquet -o - --format jsonl --excel-safe", "--excel-safe is for CSV alone"),
        ("query jobs.parquet --store new --excel-safe", "--excel-safe is for CSV alone"),
        ("query jobs.parquet --store new --format csv", "--format says how -o FILE is written"),
        ("queues -o queues.parquet", "queues are written as .csv, as .jsonl, or as a table"),
        ("metrics --store jobs --port 0 --most -3", "--most: '-3' must be a whole number from 0 up."),
        ("demo --seed -1", "--seed: '-1' must be a whole number from 0 up."),
        ("emulate --seed=-1", "--seed: '-1' must be a whole number from 0 up."),
        ("emulate --port 70000", "--port 70000 cannot be had"),
    ],
)
def test_what_would_have_no_effect_is_wrong_usage_before_anything_is_asked(
    here, emulator, capsys, typed, said
):
    with pytest.raises(SystemExit) as caught:
        cli.main(typed.split())
    assert caught.value.code == cli.WRONG_USAGE
    assert said in capsys.readouterr().err
    assert not emulator.requests
    assert [file.name for file in here.iterdir()] == ["jobs.parquet"]


@pytest.mark.parametrize(
    "typed", ["report jobs.parquet -o gone/page.html", "queues -o gone/queues.csv", "demo -o gone/page.html"]
)
def test_a_folder_that_is_not_there_is_said_before_the_work(here, emulator, capsys, typed):
    assert cli.main(typed.split()) == cli.COULD_NOT_READ
    said = capsys.readouterr()
    name = typed.rpartition("/")[2]
    assert said.err == f"cosai-nb: gone/{name} cannot be written: there is no folder {here / 'gone'}.\n"
    assert not said.out
    assert not emulator.requests


def test_a_demo_that_is_interrupted_ends(here, monkeypatch, capsys):
    import warnings

    def interrupted(ids, **_):
        warnings.warn("2 of 2 IDs were not read (interrupted).", cn.InterruptedWarning, stacklevel=2)

    monkeypatch.setattr(cn, "fetch_jobs", interrupted, raising=False)
    assert cli.main(["demo"]) == cli.INTERRUPTED
    said = capsys.readouterr()
    assert said.err == "cosai-nb: 2 of 2 IDs were not read (interrupted).\n"
    assert "Report" not in said.out
    assert not (here / "cosai-report.html").exists()


def test_the_help_of_a_report_names_no_option_that_it_lacks(capsys):
    with pytest.raises(SystemExit):
        cli.main(["report", "--help"])
    assert "--ids" not in capsys.readouterr().out
