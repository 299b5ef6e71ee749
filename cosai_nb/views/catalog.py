"""Which views of jobs there are: one table for the explorer's tabs, the report's figures, and the Python that draws them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tab = Literal[
    "latency",
    "over_time",
    "weekdays",
    "failures",
    "failures_over_time",
    "load",
    "errors",
    "slowest",
    "eta",
]


@dataclass(frozen=True, slots=True)
class View:
    """One view of jobs.

    Parameters
    ----------
    name : str
        How it is chosen.
    title : str
        What its tab says.
    plot : str
        The function of :mod:`cosai_nb.plots` that draws it; the one with ``_data`` returns what is drawn.
    data : tuple of str
        The arguments of both that a selection decides: of ``by``, ``q``, ``tz`` and ``freq``.
    drawn : tuple of str
        Those that only the drawing takes: of ``tz`` and ``markers``.
    single : bool
        Whether it draws single jobs where they are known.
    over_time : bool
        Whether its horizontal axis is the time of creation or of the load, so that a span may be dragged.
    height, row : float
        Inches of the figure, and those of each of its rows.
    """

    name: Tab
    title: str
    plot: str
    data: tuple[str, ...] = ()
    drawn: tuple[str, ...] = ()
    single: bool = False
    over_time: bool = False
    height: float = 4.4
    row: float = 0.0

    def takes(self, argument: str) -> bool:
        """Say whether a choice of ``by`` or ``q`` changes the view."""
        return argument in self.data or argument in self.drawn


VIEWS: dict[str, View] = {
    view.name: view
    for view in (
        View("latency", "Latency", "queue_latency", ("by", "q")),
        View(
            "over_time",
            "Over time",
            "latency_over_time",
            ("by", "q", "tz"),
            ("markers",),
            over_time=True,
        ),
        View("weekdays", "Weekdays", "heatmap", ("q", "tz"), height=3.9),
        View("failures", "Failures", "failure_rates", ("by",), height=1.7, row=0.36),
        View(
            "failures_over_time",
            "Failures over time",
            "failure_rates",
            ("by", "freq", "tz"),
            ("markers",),
            over_time=True,
        ),
        View("load", "Load", "queue_load", ("tz",), ("markers",), over_time=True),
        View("errors", "Errors", "error_pareto", (), ("tz",), single=True, height=1.7, row=0.36),
        View("slowest", "Slowest jobs", "timeline", (), ("tz",), single=True, height=1.7, row=0.24),
        View("eta", "Expected starts", "eta", (), ("tz",), single=True),
    )
}
"""Every view by its name, in the order of the tabs."""
