"""Every public function works on a saved frame, with no credentials and no network."""

import socket
from pathlib import Path

import pytest
from matplotlib.axes import Axes

import cosai_nb as cn

SAVED = Path(__file__).parents[2] / "data" / "jobs.parquet"


@pytest.fixture(scope="module")
def jobs():
    return cn.read_jobs(SAVED)


@pytest.fixture(autouse=True)
def nowhere_to_go(monkeypatch):
    def refuse(*_):
        raise AssertionError("a summary opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in ("COS_SECRET_ID", "TENCENTCLOUD_SECRET_ID"):
        monkeypatch.delenv(name, raising=False)


def test_the_saved_frame_is_what_its_readme_says(jobs):
    assert list(jobs.columns) == list(cn.COLUMNS)
    assert {name: str(dtype) for name, dtype in jobs.dtypes.items() if name.endswith(("_s", "_ok", "level"))} == {
        "queue_latency_s": "float64", "run_time_s": "float64", "total_time_s": "float64", "audio_s": "float64",
        "timing_ok": "bool", "job_level": "Int64",
    }  # fmt: skip
    assert jobs["outcome"].value_counts().loc[lambda count: count > 0].to_dict() == {
        "success": 3692, "failed": 123, "waiting": 36, "running": 18, "cancelled": 17,
    }  # fmt: skip


@pytest.mark.parametrize(
    "summarise",
    [
        cn.queue_latency, cn.run_time, cn.failure_rates, cn.error_pareto, cn.backlog, cn.DurationHistogram.from_jobs,
        lambda jobs: cn.queue_load(jobs, freq="1h"),
        lambda jobs: cn.compare(jobs.iloc[:2000], jobs.iloc[2000:]),
        lambda jobs: cn.check_slo(jobs, threshold_s=60, target=0.9),
        cn.change_points,
    ],
)  # fmt: skip
def test_a_summary_of_it(jobs, summarise):
    assert summarise(jobs) is not None


@pytest.mark.parametrize(
    "name", [name for name in cn.plots.__all__ if name not in {"before_after", "before_after_data"}]
)
def test_a_plot_of_it_and_the_numbers_behind(jobs, name):
    result = getattr(cn.plots, name)(jobs)
    if name.endswith("_data"):
        assert len(result)
    else:
        assert isinstance(result, Axes)


def test_a_report_of_it(jobs, tmp_path):
    page = cn.write_report(jobs, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "3,886 jobs" in page
