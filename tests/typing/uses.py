"""How people call every public name: type-checked by mypy --strict, never run."""

from __future__ import annotations

import io
import warnings
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import IO, Any, assert_type
from zoneinfo import ZoneInfo

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

import cosai_nb as cn
from cosai_nb import emulator as emulation
from cosai_nb.views.explorer import Explorer


def asking(ids: list[str], series: pd.Series[str], client: cn.Client) -> None:
    """Credentials, jobs by ID and by time, queues."""
    cn.Client(bucket="demo-1250000000", region="ap-beijing", secret_id="AKID", secret_key="key", token=None)
    cn.Client(
        bucket="demo-1250000000", region="ap-beijing", secret_id="AKID", secret_key="key", endpoint="127.0.0.1:80", scheme="http",
        family="media", path="/jobs", rate=50, timeout=5, patience=60, engine="curl",
    )  # fmt: skip
    assert_type(cn.Client.from_env(family="asr", rate=10.5), cn.Client)
    assert_type(cn.Client.from_config(object(), bucket="demo-1250000000"), cn.Client)
    assert_type(cn.fetch_jobs(ids), pd.DataFrame)
    cn.fetch_jobs(series, client=client, batch_size=1, workers=8, store=Path("jobs"), progress=False)
    cn.fetch_jobs((job for job in ids), store="jobs", strict=True, deadline="1m30s", columns={"pages": "A/B"})
    cn.fetch_jobs({"a", "b"}, store=cn.JobStore("jobs"), deadline=90)
    cn.fetch_jobs(ids, deadline=timedelta(minutes=2))
    assert_type(cn.list_jobs(), pd.DataFrame)
    cn.list_jobs(
        tag="Translation", queue_id=["q1", "q2"], start="2026-11-01", end=date(2026, 11, 8), client=client
    )
    cn.list_jobs(
        tag=("Translation",), start=datetime(2026, 11, 1, tzinfo=UTC), states={"Failed"}, store="jobs"
    )
    cn.list_jobs(
        start=timedelta(days=1), workers=4, progress=True, deadline=timedelta(minutes=1), columns=None
    )
    assert_type(
        cn.watch_jobs(ids, every="30s", deadline="2h", store=Path("jobs"), client=client), pd.DataFrame
    )
    cn.watch_jobs(ids, every=timedelta(seconds=5), deadline=timedelta(hours=1), workers=2, progress=None)
    assert_type(cn.describe_job(ids[0], client=client, deadline=5), dict[str, Any])
    cn.describe_job(ids[0], deadline=timedelta(seconds=5))
    queues = assert_type(cn.list_queues(client=client, deadline="10s"), pd.DataFrame)
    cn.list_queues(deadline=timedelta(seconds=5))
    assert_type(cn.name_queues(cn.fetch_jobs(ids), queues), pd.DataFrame)
    cn.name_queues(cn.fetch_jobs(ids), {"q1": "nightly", "q2": None})


def tables(texts: pd.DataFrame, jobs: pd.DataFrame, stream: IO[str]) -> None:
    """Frames, files and stores."""
    assert_type(cn.add_timings(texts), pd.DataFrame)
    cn.add_timings(texts, observed_at="2026-11-01T03:00:00Z", tz="Asia/Shanghai", unit="ms")
    cn.add_timings(texts, observed_at=datetime.now(UTC), tz=ZoneInfo("Asia/Shanghai"))
    cn.add_timings(texts, observed_at=pd.Timestamp("2026-11-01", tz="UTC"), unit="s")
    assert_type(cn.read_ids("IDS.csv"), list[str])
    cn.read_ids(Path("IDS.txt"))
    cn.read_ids(b"a1\nb2")
    cn.read_ids(io.BytesIO(b"a1"))
    assert_type(cn.read_jobs("jobs.parquet"), pd.DataFrame)
    cn.read_jobs(Path("jobs.csv"))
    cn.write_jobs(jobs, "jobs.parquet")
    cn.write_jobs(jobs, Path("jobs.csv"), excel_safe=True)
    cn.write_jobs(jobs, stream, format="jsonl")
    store = cn.JobStore(Path("jobs"))
    assert_type(store.jobs(), pd.DataFrame)
    store.jobs(["a1"])
    assert_type(store.ended_ids(["a1"], columns=["pages"]), set[str])
    assert_type(store.add(jobs), int)
    assert_type(store.compact(), int)
    assert_type([name for name, column in cn.COLUMNS.items() if column.unit == "seconds"], list[str])
    assert_type(cn.COLUMNS["audio_s"].path, str)


def statistics(jobs: pd.DataFrame, before: pd.DataFrame, queues: pd.DataFrame) -> None:
    """Every statistic, from every kind of source."""
    histogram = assert_type(cn.DurationHistogram.from_jobs(jobs, keys=["tag"]), cn.DurationHistogram)
    assert_type(cn.DurationHistogram.from_jobs("jobs/") + histogram, cn.DurationHistogram)
    histogram.save("week.parquet")
    assert_type(
        cn.DurationHistogram.load(Path("week.parquet")).where(start="2026-11-01", tag="Translation"),
        cn.DurationHistogram,
    )
    assert_type(histogram.jobs, int)
    for labels, part in histogram.groups("tag"):
        assert_type(labels, tuple[Any, ...])
        assert_type(part, cn.DurationHistogram)
    assert_type(cn.queue_latency(jobs), pd.DataFrame)
    cn.queue_latency("jobs/", "tag", 0.95, freq="1h", tz="UTC", detail=True)
    cn.queue_latency(
        Path("jobs.parquet"), by=["queue_id", "tag"], q=[0.5, 0.95], freq=pd.Timedelta("1D"), tz=UTC
    )
    cn.queue_latency(cn.JobStore("jobs"), by=("tag",), q=(0.5,), freq=timedelta(hours=6))
    assert_type(cn.run_time(histogram, by="tag", q=0.5), pd.DataFrame)
    assert_type(cn.failure_rates(jobs, by=["queue_id", "code"], freq="1h", by_start=True), pd.DataFrame)
    cn.failure_rates(jobs, freq=timedelta(days=1), tz=ZoneInfo("Asia/Shanghai"))
    assert_type(cn.error_pareto(jobs).head(), pd.DataFrame)
    cn.queue_load(jobs, "1h", 18, by="queue_id")
    cn.queue_load(jobs, servers={"q1": 10, "q2": 2.0}, freq=timedelta(minutes=5))
    assert_type(cn.queue_load(jobs, servers=queues.set_index("queue_id")["max_concurrent"]), pd.DataFrame)
    assert_type(cn.backlog(jobs, by="queue_id", recent="30min"), pd.DataFrame)
    cn.backlog(jobs, recent=timedelta(hours=2))
    assert_type(cn.eta(jobs, level=0.9), pd.DataFrame)
    assert_type(cn.queue_alarms(jobs), pd.DataFrame)
    assert_type(cn.compare(before, jobs, 0.9, by="tag", same_hours=False, detail=True), pd.DataFrame)
    cn.compare(jobs, at="2026-11-03 10:00")
    cn.compare(jobs, at=datetime(2026, 11, 3, tzinfo=UTC))
    assert_type(cn.change_points(jobs, q=0.5, by="queue_id"), pd.DataFrame)
    assert_type(
        cn.check_slo(jobs, threshold_s="10m", target="95%", hours="Mon-Fri 09:00-18:00"), pd.DataFrame
    )
    cn.check_slo(jobs, threshold_s=timedelta(minutes=10), target=0.95, by=["tag"], detail=True)
    assert_type(cn.usage(jobs), pd.DataFrame)
    cn.usage("jobs/", {"Translation": (0.05, "1000 characters")}, by="queue_id", freq=None)
    cn.usage(
        jobs,
        pd.DataFrame({"tag": ["Tts"], "price": [1.0], "unit": ["job"]}),
        freq=timedelta(days=7),
        tz="UTC",
    )


def views(jobs: pd.DataFrame, before: pd.DataFrame, client: cn.Client) -> None:
    """Plots, the explorer, the report."""
    assert_type(cn.plots.queue_latency(jobs, by="queue_id"), Axes)
    _, ax = plt.subplots()
    markers = {"2026-11-03 10:00": "deploy v2"}
    cn.plots.queue_latency(data=cn.plots.queue_latency_data(jobs, by=["tag"], q=[0.5]), ax=ax, figsize=(8, 4))
    cn.plots.run_time(jobs, q=(0.5, 0.99))
    assert_type(cn.plots.run_time_data(jobs), pd.DataFrame)
    cn.plots.latency_over_time(jobs, by="tag", freq="1h", tz="UTC", markers=markers)
    cn.plots.latency_over_time_data(jobs, freq=timedelta(hours=1))
    cn.plots.heatmap(jobs, q=None)
    cn.plots.heatmap_data(jobs, q=0.5, tz=UTC)
    cn.plots.failure_rates(jobs, by="tag", freq="1D", markers=[("2026-11-03", "deploy")])
    cn.plots.failure_rates_data(jobs, by=("tag",), freq=pd.Timedelta("1h"))
    cn.plots.error_pareto(jobs, most=5, figsize=(6, 3))
    cn.plots.error_pareto_data("jobs/", most=5)
    cn.plots.queue_load(jobs, by="queue_id", servers={"q1": 10}, freq="5min")
    cn.plots.queue_load_data(jobs, servers=18)
    cn.plots.eta(jobs, job_ids=["a1"], level=0.5, tz="UTC")
    cn.plots.eta_data(jobs)
    cn.plots.timeline(jobs, most=50, slowest="queue_latency")
    cn.plots.timeline_data(jobs)
    cn.plots.before_after(before, jobs, by="tag")
    cn.plots.before_after_data(before, jobs, q=[0.95])
    explorer = assert_type(cn.explore(jobs, tz="UTC", markers=markers, client=client), Explorer)
    assert_type(explorer.data(), pd.DataFrame)
    assert_type(explorer.selection.by, str | None)
    assert_type(cn.write_report(jobs, "report.html"), Path)
    cn.write_report(
        "jobs/", Path("report.html"), title="Week 45", by=["tag"], slo="10m:95%", max_failure_rate="2%"
    )
    cn.write_report(
        jobs, "report.html", slo=(600, 0.95), max_failure_rate=0.02, markers=pd.DataFrame(), tz=UTC
    )
    cn.write_report(jobs, "report.html", previous="last.parquet", keep="kept/", every="15m")
    cn.write_report(jobs, "report.html", previous=cn.JobStore("jobs"), keep=Path("kept"), every=900)


def clusters(ids: list[str], dask_client: object) -> None:
    """Counting and asking on a Dask cluster."""
    summary = assert_type(cn.scale.summarize("jobs/", ["team"], client=dask_client), cn.DurationHistogram)
    cn.queue_latency(summary, by="team")
    assert_type(
        cn.scale.fetch_partitioned(ids, "jobs/", dask_client=dask_client, rate=600, part_size="1000"),
        pd.DataFrame,
    )
    cn.scale.fetch_partitioned(ids, Path("jobs"), client_settings={"region": "ap-beijing"}, progress=False)


def emulating() -> None:
    """The service on loopback."""
    scenario = emulation.Scenario(
        jobs=100,
        tags=(emulation.TagSpec("Translation", mean_s=60.0),),
        queues=(emulation.QueueSpec("q", servers=2, mix=(("Translation", 1.0),)),),
        incident=emulation.Incident(queue=0, start_h=1, end_h=2),
    )
    assert_type(emulation.Workload(scenario, seed=7).job_ids, list[str])
    emulation.serve(port=8080, seed=7)
    faults = [emulation.Fault(kind="status", status=503, nth=range(1, 3))]
    with cn.Emulator(seed=7, scenario=scenario, faults=faults, family="ai", max_ids=1) as emulator:
        assert_type(emulator.job_ids, list[str])
        assert_type(emulator.client(rate=5), cn.Client)
        assert_type(emulator.environment(), dict[str, str])
        emulator.advance(3600)


def failing(ids: list[str]) -> pd.DataFrame | None:
    """Every error and warning, as people catch them."""
    try:
        return cn.fetch_jobs(ids)
    except (cn.CredentialsError, cn.SettingsError, cn.InvalidIdError, ValueError) as error:
        assert_type(error.args, tuple[Any, ...])
    except (cn.DeniedError, cn.RefusedError, cn.UnavailableError) as error:
        assert_type(error.status_code, int | None)
        assert_type(error.retryable, bool)
    except (cn.MalformedError, cn.OversizedError, cn.MismatchError) as error:
        assert_type(error.request_id, str | None)
    except (cn.ServiceError, cn.AnswerError, cn.FrameError, cn.FileError, cn.NotebookError) as error:
        assert_type(error.code, str | None)
    except cn.CosaiError as error:
        return error.jobs
    kinds: list[type[cn.CosaiWarning]] = [
        cn.IncompleteWarning,
        cn.InterruptedWarning,
        cn.RepairedWarning,
        cn.UnknownStateWarning,
    ]
    warnings.simplefilter("error", kinds[0])
    return None
