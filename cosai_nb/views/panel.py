"""The controls of the explorer, and what it shows of one job."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import numpy as np
import pandas as pd

from cosai_nb.stats.histogram_table import hour_times
from cosai_nb.views.selection import Selection
from cosai_nb.views.wording import UNKNOWN, label, printable, when

if TYPE_CHECKING:
    from collections.abc import Callable

    from cosai_nb.stats.histogram import DurationHistogram
    from cosai_nb.views.selection import Tab

FILTERS = {
    "tag": "Tag",
    "queue_id": "Queue",
    "outcome": "Outcome",
    "code": "Code",
    "input_lang": "From language",
    "target_lang": "To language",
}
"""Keys of the histogram that can be filtered and grouped by, and how they are called."""
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
_MOST_OPTIONS = 200
_WIDTH, _TIME_WIDTH = "216px", "264px"
_FREE = {"description_width": "initial"}


class Controls:
    """The filters and choices above the tabs.

    Parameters
    ----------
    histogram : DurationHistogram
        All jobs; its labels are what can be chosen.
    tz : str
        Time zone of the window.
    on_change : callable
        Called with the change whenever one of them moves.

    Attributes
    ----------
    filters : dict of str to ipywidgets.Dropdown
        By key; a value is ``()`` for all jobs, or a tuple of one label (None where it is missing).
    start, end : ipywidgets.NaiveDatetimePicker
        The window, in the display zone; minutes are dropped.
    by, quantile : ipywidgets.Dropdown
        What to group by, which quantile to read.
    """

    def __init__(self, histogram: DurationHistogram, tz: str, on_change: Callable[[Any], None]) -> None:
        self.tz = tz
        keys = [key for key in FILTERS if key in histogram.keys and len(histogram.coded(key).labels)]
        self.filters = {key: _dropdown(FILTERS[key], _label_options(histogram, key)) for key in keys}
        self.start, self.end = (
            widgets.NaiveDatetimePicker(description=text, layout={"width": _TIME_WIDTH}, style=_FREE)
            for text in ("From", "To")
        )
        groups = [("none", ""), *((FILTERS[key].lower(), key) for key in keys)]
        self.by = _dropdown("Group by", groups)
        self.quantile = _dropdown("Quantile", list(_QUANTILES.items()), value=0.95)
        every = [*self.filters.values(), self.start, self.end, self.by, self.quantile]
        for control in every:
            control.observe(on_change, names="value")
        zone = widgets.HTML(f"<small>{html.escape(_window_note(histogram, tz))}</small>")
        self.box = widgets.Box([*every, zone], layout={"flex_flow": "row wrap", "width": "100%"})

    def selection(self, tab: Tab) -> Selection:
        """Return what the controls say now."""
        return Selection(
            filters=tuple((key, box.value[0]) for key, box in self.filters.items() if box.value),
            start=self._hour(self.start.value),
            end=self._hour(self.end.value),
            by=self.by.value or None,
            q=self.quantile.value,
            tab=tab,
            tz=self.tz,
        )

    def _hour(self, moment: Any) -> pd.Timestamp | None:
        """Return a moment of the display zone as a full hour of UTC, which is what the histogram knows."""
        if moment is None:
            return None
        local = pd.Timestamp(moment).tz_localize(self.tz, ambiguous=True, nonexistent="shift_forward")
        return local.tz_convert("UTC").floor("h")


def _window_note(histogram: DurationHistogram, tz: str) -> str:
    """Say what From and To mean, and between which hours there are jobs."""
    note = f"From and To: hours of creation, {tz}"
    hours = histogram.coded("hour").labels.astype(np.int64)
    if not len(hours):
        return note
    first, last = hour_times(np.array([hours.min(), hours.max() + 1]))
    return f"{note}; there are jobs from {when(first, tz)} to {when(last, tz)}"


def _dropdown(description: str, options: list[tuple[str, Any]], **chosen: Any) -> Any:
    return widgets.Dropdown(
        description=description, options=options, layout={"width": _WIDTH}, style=_FREE, **chosen
    )


def _label_options(histogram: DurationHistogram, key: str) -> list[tuple[str, tuple[str | None, ...]]]:
    """Return every label with its number of jobs, the most frequent first, below the choice of all."""
    labels, codes = histogram.coded(key)
    counts = histogram.counts("queue_latency")
    places = codes[counts.cell] % (len(labels) + 1)  # −1, a missing label, becomes the last
    jobs = np.bincount(places, counts.jobs, len(labels) + 1).astype(np.int64)
    values = [*(str(text) for text in labels), None]
    order = [int(place) for place in np.argsort(-jobs, kind="stable") if jobs[place]]
    options: list[tuple[str, tuple[str | None, ...]]] = [(f"all ({histogram.jobs:,})", ())]
    options += [
        (f"{label(values[place])} ({jobs[place]:,})", (values[place],)) for place in order[:_MOST_OPTIONS]
    ]
    return options


def job_options(summary: pd.DataFrame) -> list[tuple[str, int]]:
    """Return the jobs of a timeline as choices, by their row."""
    return [
        (f"{row + 1}. {printable(job_id, longest=60)}", row)
        for row, job_id in enumerate(summary["job_id"].tolist())
    ]


def detail_table(job: pd.Series[Any], tz: str) -> str:
    """Return every column of one job as an HTML table in which no field is more than text."""
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left;padding-right:1.5em;font-weight:600">{html.escape(printable(name))}</th>'
        f'<td style="text-align:left;white-space:pre-wrap;overflow-wrap:anywhere">{html.escape(_cell(value, tz))}</td></tr>'
        for name, value in job.items()
    )
    return f'<table style="border-collapse:collapse;line-height:1.5"><caption>One job, every column</caption>{rows}</table>'


def _cell(value: Any, tz: str) -> str:
    if isinstance(value, pd.Timestamp) and value.tzinfo is not None and not pd.isna(value):
        return f"{when(value, tz)}:{value:%S} ({tz})"
    if isinstance(value, float) and not pd.isna(value):
        return f"{value:,.10g}"
    return UNKNOWN if pd.isna(value) else printable(value, longest=2000)
