"""``cosai-nb export``: values are literals or text, the file goes where it is said, errors are one line."""

import pytest

from cosai_nb import cli
from cosai_nb.cli.export import parse_parameter
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
