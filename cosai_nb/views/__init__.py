"""Summaries to eyes: plots, the explorer, the report."""
