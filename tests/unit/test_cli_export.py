"""``cosai-nb export``: values are literals or text, the file goes where it is said, errors are one line."""

import pandas as pd
import pytest

import cosai_nb as cn
from cosai_nb import cli
from cosai_nb.cli.tools import parse_parameter
from cosai_nb.errors import SettingsError
from cosai_nb.views import export


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7), ("'7'", "7"), ("[1, 2]", [1, 2]), ("True", True), ("None", None), ("Translation", "Translation"), ("", ""),
        ("2026-11-01", "2026-11-01"), ("a=b", "a=b"), ("1e999", "1e999"), ("__import__('os')", "__import__('os')"), ("(" * 9999, "(" * 9999),
    ],
)  # fmt: skip
def test_a_value_is_a_literal_or_text(text, value):
    assert parse_parameter(f"name={text}") == ("name", value)


@pytest.mark.parametrize("text", ["days", "=7", "a b=1", "1a=2", ""])
def test_what_is_no_assignment_is_refused(text):
    with pytest.raises(SettingsError, match="is not NAME=VALUE"):
        parse_parameter(text)


def test_the_command_hands_over_what_was_typed(monkeypatch, tmp_path, capsys):
    called = {}

    def fake(notebook, output, **settings):
        called.update(notebook=str(notebook), output=str(output), **settings)
        return output

    monkeypatch.setattr(export, "export_notebook", fake)
    assert (
        cli.main(["export", "some/q.ipynb", "-p", "days=7", "-p", "tag=all", "--timeout", "9", "--no-code"])
        == 0
    )
    assert called == {
        "notebook": "some/q.ipynb", "output": "q.html", "parameters": {"days": 7, "tag": "all"}, "timeout": 9.0, "code": False,
    }  # fmt: skip
    assert "q.html (one file, opens offline)" in capsys.readouterr().out


def test_a_missing_notebook_is_one_sentence_and_no_file(tmp_path, capsys):
    assert (
        cli.main(["export", str(tmp_path / "gone.ipynb"), "-o", str(tmp_path / "out.html")])
        == cli.COULD_NOT_READ
    )
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_report_command_hands_over_its_limits_and_refuses_columns_that_are_not_there(tmp_path, capsys):
    jobs = tmp_path / "jobs.parquet"
    texts = pd.DataFrame({"JobId": ["a", "b"], "State": ["Success", "Failed"], "QueueId": "q1", "Tag": "T",
        "CreationTime": "2026-11-01T10:00:00+0800", "StartTime": "2026-11-01T10:00:07+0800",
        "EndTime": "2026-11-01T10:00:09+0800"})  # fmt: skip
    cn.write_jobs(cn.add_timings(texts, observed_at="2026-11-01T03:00:00Z"), jobs)
    page = tmp_path / "out.html"
    limits = ["--slo", "600:0.95", "--max-failure-rate", "0.1"]
    assert cli.main(["report", str(jobs), "-o", str(page), "--by", "queue_id", *limits]) == 0
    html = page.read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert "SLO: met" in html
    assert "1 of 2 ended jobs failed; limit: at most 10.0 % fail" in html
    page.unlink()
    assert cli.main(["report", str(jobs), "-o", str(page), "--by", "nope"]) != 0
    said = capsys.readouterr().err
    assert "--by nope: the jobs have no such column; they have: job_id" in said
    markers = tmp_path / "markers.csv"
    markers.write_text("time,text\n2026-11-01 10:00,deploy <b>v2</b>\n", encoding="utf-8")
    assert cli.main(["report", str(jobs), "-o", str(page), "--markers", str(markers)]) == 0
    assert page.read_text(encoding="utf-8").count("deploy &lt;b&gt;v2") >= 1
    page.unlink()
    for text, said in (
        ("when,what\n1,2\n", "its first line must be: time,text"),
        ("time,text\nsoon,x\n", "'soon' is no time"),
    ):
        markers.write_text(text, encoding="utf-8")
        assert cli.main(["report", str(jobs), "-o", str(page), "--markers", str(markers)]) in (
            cli.WRONG_USAGE,
            cli.COULD_NOT_READ,
        )
        assert said in capsys.readouterr().err
    assert (
        cli.main(["report", str(jobs), "-o", str(page), "--markers", str(tmp_path / "none.csv")])
        == cli.COULD_NOT_READ
    )
    for wrong in ("600", "600:5", "x:0.9"):
        with pytest.raises(SystemExit):
            cli.main(["report", str(jobs), "-o", str(page), "--slo", wrong])
    assert not page.exists()


def test_an_unknown_parameter_is_a_mistake_of_the_command_line(tmp_path, capsys):
    notebook = tmp_path / "n.ipynb"
    notebook.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    assert cli.main(["export", str(notebook), "-o", str(tmp_path / "n.html"), "-p", "nope=3"]) == 2
    assert "no parameter 'nope'" in capsys.readouterr().err
