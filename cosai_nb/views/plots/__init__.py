"""Summaries as pictures: each function returns Axes, and its ``_data`` twin the small frame that it draws."""

from cosai_nb.views.plots.change import before_after, before_after_data
from cosai_nb.views.plots.errors import error_pareto, error_pareto_data
from cosai_nb.views.plots.failures import failure_rates, failure_rates_data
from cosai_nb.views.plots.heat import heatmap, heatmap_data
from cosai_nb.views.plots.jobs import timeline, timeline_data
from cosai_nb.views.plots.latency import queue_latency, queue_latency_data
from cosai_nb.views.plots.load import queue_load, queue_load_data
from cosai_nb.views.plots.over_time import latency_over_time, latency_over_time_data

__all__ = [
    "before_after",
    "before_after_data",
    "error_pareto",
    "error_pareto_data",
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
    "timeline",
    "timeline_data",
]
