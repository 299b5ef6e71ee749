"""What an explorer shows, as one frozen value: filters, a window, a grouping, a quantile, a tab.

The same selection is applied to a histogram or a frame, drawn, and written down as the Python that does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd

from cosai_nb.stats.frames import check_jobs
from cosai_nb.stats.histogram import KEYS
from cosai_nb.views import plots
from cosai_nb.views.plots.errors import draw_error_pareto
from cosai_nb.views.plots.failures import draw_failure_rates
from cosai_nb.views.plots.heat import draw_heatmap
from cosai_nb.views.plots.jobs import draw_timeline
from cosai_nb.views.plots.load import draw_queue_load
from cosai_nb.views.plots.over_time import draw_latency_over_time

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from matplotlib.axes import Axes

    from cosai_nb.stats.histogram import DurationHistogram

Tab = Literal["latency", "over_time", "weekdays", "failures", "load", "errors", "slowest"]
TABS: tuple[Tab, ...] = get_args(Tab)
_PLOTS: dict[Tab, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "latency": ("queue_latency", ("by",), ("q",)),
    "over_time": ("latency_over_time", ("by", "q"), ("tz",)),
    "weekdays": ("heatmap", ("q", "tz"), ()),
    "failures": ("failure_rates", ("by",), ()),
    "load": ("queue_load", (), ("tz",)),
    "errors": ("error_pareto", (), ()),
    "slowest": ("timeline", (), ("tz",)),
}
"""For each tab the plot, the arguments that its data twin takes as well, and those that only the plot takes."""
_DRAWN: dict[Tab, Callable[..., Axes]] = {
    "over_time": draw_latency_over_time,
    "weekdays": draw_heatmap,
    "failures": draw_failure_rates,
    "load": draw_queue_load,
    "errors": draw_error_pareto,
    "slowest": draw_timeline,
}


@dataclass(frozen=True, slots=True)
class Selection:
    """What is shown.

    Parameters
    ----------
    filters : tuple of (str, str or None)
        Column and the label that jobs must have there; None stands for a missing label.
    start, end : pandas.Timestamp or None
        Full hours (UTC) of creation, ``start`` ≤ creation < ``end``.
    by : str or None
        Column to group by.
    q : float
        Quantile.
    tab : str
        One of :data:`TABS`.
    tz : str
        Time zone of the axes.

    Examples
    --------
    >>> print(Selection(filters=(("tag", "Translation"), ("code", None)), by="queue_id").code())
    import cosai_nb as cn
    histogram = cn.DurationHistogram.from_jobs(jobs)
    selected = histogram.where(tag='Translation', code=None)
    summary = cn.plots.queue_latency_data(selected, by='queue_id')
    ax = cn.plots.queue_latency(selected, by='queue_id', q=(0.5, 0.95))
    """

    filters: tuple[tuple[str, str | None], ...] = ()
    start: pd.Timestamp | None = None
    end: pd.Timestamp | None = None
    by: str | None = None
    q: float = 0.95
    tab: Tab = "latency"
    tz: str = "Asia/Shanghai"

    def rows_of(self, jobs: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Say of each row of a frame whether it is selected.

        Raises
        ------
        FrameError
            A column that is filtered by is missing.
        """
        check_jobs(jobs, [*(name for name, _ in self.filters), "creation_time"])
        kept = np.ones(len(jobs), dtype=bool)
        for name, label in self.filters:
            kept &= _has_label(jobs[name], label).to_numpy()
        if self.start is not None:
            kept &= (jobs["creation_time"] >= self.start).to_numpy()
        if self.end is not None:
            kept &= (jobs["creation_time"] < self.end).to_numpy()
        return kept

    def draw(self, summary: pd.DataFrame, histogram: DurationHistogram, ax: Axes) -> Axes:
        """Draw what :meth:`data` returned of the jobs of a histogram, which are selected already."""
        _, shared, own = _PLOTS[self.tab]
        settings = self._arguments(shared + own)
        if self.tab == "latency":  # draws more than its twin tells
            return plots.queue_latency(histogram, ax=ax, **settings)
        return _DRAWN[self.tab](summary, histogram, ax=ax, **settings)

    def data(self, jobs: pd.DataFrame | DurationHistogram) -> pd.DataFrame:
        """Return the small frame that :meth:`draw` draws."""
        name, shared, _ = _PLOTS[self.tab]
        drawn: pd.DataFrame = getattr(plots, f"{name}_data")(jobs, **self._arguments(shared))
        return drawn

    def code(self, *, counted: bool = False, single: bool = False) -> str:
        """Return the Python that makes this view of a variable ``jobs``: a frame, or (``counted``) its histogram.

        Of a frame it draws the histogram, or where ``single`` the rows themselves.
        """
        name, shared, own = _PLOTS[self.tab]
        data_call, plot_call = (
            "".join(f", {key}={value!r}" for key, value in self._arguments(used).items())
            for used in (shared, shared + own)
        )
        return "\n".join(
            [
                "import cosai_nb as cn",
                *(self._frame_code() if single else self._histogram_code(counted=counted)),
                f"summary = cn.plots.{name}_data(selected{data_call})",
                f"ax = cn.plots.{name}(selected{plot_call})",
            ]
        )

    def _arguments(self, names: tuple[str, ...]) -> dict[str, Any]:
        q = self.q if self.tab == "weekdays" else tuple(sorted({0.5, self.q}))
        every = {"by": self.by, "q": q, "tz": self.tz}
        return {name: every[name] for name in names}

    def _frame_code(self) -> list[str]:
        tests = [
            f"jobs[{name!r}].isna()" if label is None else f"(jobs[{name!r}].astype('str') == {label!r})"
            for name, label in self.filters
        ]
        for operator, moment in ((">=", self.start), ("<", self.end)):
            if moment is not None:
                tests.append(f"(jobs['creation_time'] {operator} pd.Timestamp({moment.isoformat()!r}))")
        pandas = ["import pandas as pd"] if self.start is not None or self.end is not None else []
        return [*pandas, f"selected = jobs[{' & '.join(tests)}]" if tests else "selected = jobs"]

    def _histogram_code(self, *, counted: bool) -> list[str]:
        wanted = [f"{name}={label!r}" for name, label in self.filters]
        for name, moment in (("start", self.start), ("end", self.end)):
            if moment is not None:
                wanted.append(f"{name}={moment.isoformat()!r}")
        used = {name for name, _ in self.filters} | ({self.by} if self.by else set())
        keys = sorted(used - set(KEYS))
        source = "jobs" if counted else "histogram"
        count = (
            []
            if counted
            else [f"histogram = cn.DurationHistogram.from_jobs(jobs{f', keys={keys!r}' if keys else ''})"]
        )
        return [
            *count,
            f"selected = {source}.where({', '.join(wanted)})" if wanted else f"selected = {source}",
        ]


def _has_label(column: pd.Series, label: str | None) -> pd.Series:
    if label is None:
        return column.isna()
    if isinstance(column.dtype, pd.CategoricalDtype):  # compares the few labels, not the million rows
        return column.isin([value for value in column.cat.categories if str(value) == label])
    return column.astype("str") == label
