"""Summaries as pictures: each function returns Axes, and its ``_data`` twin the small frame that it draws."""

from cosai_nb.views.plots.latency import queue_latency, queue_latency_data

__all__ = ["queue_latency", "queue_latency_data"]
