"""``cosai-nb lab``: tutorials are copied, what somebody changed stays, and a missing JupyterLab is said."""

import importlib.util
import subprocess
import sys

import pytest

from cosai_nb import cli
from cosai_nb.cli import tools as lab


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    folder = tmp_path / "packaged"
    folder.mkdir()
    for name in ("01_a.ipynb", "02_b.ipynb"):
        (folder / name).write_text(f"ours {name}", encoding="utf-8")
    (folder / "notes.txt").write_text("not a tutorial", encoding="utf-8")
    monkeypatch.setattr(lab, "PACKAGED", folder)
    monkeypatch.setattr(lab, "CHECKOUT", tmp_path / "nowhere")
    return folder


def test_all_tutorials_are_copied_once(packaged, tmp_path):
    there = tmp_path / "deep" / "folder"
    assert lab.copy_tutorials(there) == (2, 0)
    assert sorted(file.name for file in there.iterdir()) == ["01_a.ipynb", "02_b.ipynb"]
    assert lab.copy_tutorials(there) == (0, 0)


def test_a_changed_file_is_never_overwritten(packaged, tmp_path):
    there = tmp_path / "mine"
    lab.copy_tutorials(there)
    (there / "01_a.ipynb").write_text("my work", encoding="utf-8")
    (there / "02_b.ipynb").unlink()
    assert lab.copy_tutorials(there) == (1, 1)
    assert (there / "01_a.ipynb").read_text(encoding="utf-8") == "my work"


def test_the_checkout_serves_where_there_is_no_wheel(packaged, tmp_path, monkeypatch):
    monkeypatch.setattr(lab, "PACKAGED", tmp_path / "nowhere")
    monkeypatch.setattr(lab, "CHECKOUT", packaged)
    assert lab.copy_tutorials(tmp_path / "mine") == (2, 0)


def test_no_tutorials_at_all_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lab, "PACKAGED", tmp_path)
    monkeypatch.setattr(lab, "CHECKOUT", tmp_path)
    assert cli.main(["lab", str(tmp_path / "mine")]) == cli.COULD_NOT_READ
    assert "holds no tutorials" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_said(packaged, tmp_path, capsys):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert cli.main(["lab", str(tmp_path / "file")]) == cli.COULD_NOT_READ
    assert "cannot be copied to" in capsys.readouterr().err


def test_without_jupyterlab_it_says_what_to_install(packaged, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert cli.main(["lab", str(tmp_path / "mine")]) == 0
    assert "pip install 'cosai_nb[lab]'" in capsys.readouterr().out


@pytest.mark.parametrize(("code", "ours"), [(0, 0), (7, 7), (1, 3)])  # 1 means missed
def test_jupyterlab_is_opened_on_the_copies(packaged, tmp_path, monkeypatch, code, ours):
    ran = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(
        subprocess, "run", lambda args, **_: ran.append(args) or subprocess.CompletedProcess(args, code)
    )
    assert cli.main(["lab", str(tmp_path / "mine")]) == ours
    assert ran == [[sys.executable, "-m", "jupyterlab", str(tmp_path / "mine")]]
