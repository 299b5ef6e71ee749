"""The wheel is whole: installed outside the checkout, it runs the demo and writes the report."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_wheel_runs_the_demo_outside_the_checkout(tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("cosai_nb-*.whl")
    # dependencies come from the environment that runs the tests; the package itself only from the wheel
    venv.create(tmp_path / "venv", with_pip=False)
    scripts = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    outer = next(path for path in map(Path, sys.path) if (path / "pandas").is_dir())
    (site / "dependencies.pth").write_text(str(outer), encoding="utf-8")
    subprocess.run(
        [*pip, "--python", scripts / "python", "install", "--no-deps", "--no-index", wheel], check=True
    )
    where = subprocess.run(
        [scripts / "python", "-c", "import cosai_nb; print(cosai_nb.__file__)"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(where.stdout.strip()).is_relative_to(site)
    done = subprocess.run(
        [scripts / "cosai-nb", "demo", "-o", "report.html"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert "20,000 jobs read" in done.stdout
    assert (tmp_path / "report.html").stat().st_size < 1_000_000
