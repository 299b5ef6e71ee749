"""Summaries to eyes: plots, the explorer, the report."""

from cosai_nb.views import plots

__all__ = ["plots"]
