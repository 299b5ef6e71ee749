"""Summaries as pictures: each function returns Axes, and the one with ``_data`` behind its name the small frame that it draws.

Examples
--------
>>> import cosai_nb as cn
>>> from cosai_nb.emulator import Scenario
>>> with cn.Emulator(scenario=Scenario(jobs=200)) as emulator:
...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
>>> ax = cn.plots.failure_rates(jobs, by="tag")
>>> cn.plots.failure_rates_data(jobs, by="tag").columns.tolist()
['tag', 'jobs', 'ended', 'failed', 'unfinished', 'waiting', 'rate', 'low', 'high', 'rate_ended']
"""

from cosai_nb.views.plots.change import before_after, before_after_data
from cosai_nb.views.plots.failures import error_pareto, error_pareto_data, failure_rates, failure_rates_data
from cosai_nb.views.plots.jobs import eta, eta_data, timeline, timeline_data
from cosai_nb.views.plots.latency import queue_latency, queue_latency_data, run_time, run_time_data
from cosai_nb.views.plots.load import queue_load, queue_load_data
from cosai_nb.views.plots.over_time import heatmap, heatmap_data, latency_over_time, latency_over_time_data

__all__ = [
    "before_after",
    "before_after_data",
    "error_pareto",
    "error_pareto_data",
    "eta",
    "eta_data",
    "failure_rates",
    "failure_rates_data",
    "heatmap",
    "heatmap_data",
    "latency_over_time",
    "latency_over_time_data",
    "queue_latency",
    "queue_latency_data",
    "queue_load",
    "queue_load_data",
    "run_time",
    "run_time_data",
    "timeline",
    "timeline_data",
]


def __dir__() -> list[str]:
    """Name the functions alone: the modules they are in are not for users."""
    return __all__
