"""Which views of jobs there are, and what an explorer shows, as one frozen value: filters, a window, a grouping, a quantile, a view.

One table of views serves the explorer's tabs, the report's figures, and the Python that draws them again. The same selection is applied to a histogram or a frame, and written down as the Python that does it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cosai_nb.errors import SettingsError
from cosai_nb.stats.histogram import KEYS
from cosai_nb.stats.measures import HOUR_MS, MISSING, check_jobs, milliseconds, moments
from cosai_nb.views import plots
from cosai_nb.views.wording import WEEKDAYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from cosai_nb.stats.measures import Flags, Ints


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

    name: str
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
CALENDAR = {"weekday": "Weekday", "hour": "Hour"}
"""What of the creation time can be filtered by, in the display zone; no columns of a frame."""
Label = str | None
Filters = tuple[tuple[str, tuple[Label, ...]], ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """What is shown.

    Parameters
    ----------
    filters : tuple of (str, tuple of str or None)
        Column and the labels of which jobs must have one there; None stands for a missing label. ``weekday`` ("Monday") and
        ``hour`` ("0" to "23") are those of creation in ``tz``.
    start, end : pandas.Timestamp or None
        ``start`` ≤ creation < ``end``.
    by : str or None
        Column to group by.
    q : float
        Quantile.
    tab : str
        One of :data:`VIEWS`.
    tz : str
        Time zone of the axes.

    Examples
    --------
    >>> print(Selection(filters=(("tag", ("Translation",)), ("code", (None, "E1"))), by="queue_id").code())
    import cosai_nb as cn
    histogram = cn.DurationHistogram.from_jobs(jobs)
    selected = histogram.where(tag='Translation', code=[None, 'E1'])
    summary = cn.plots.queue_latency_data(selected, by='queue_id', q=(0.5, 0.95))
    ax = cn.plots.queue_latency(selected, by='queue_id', q=(0.5, 0.95))
    """

    filters: Filters = ()
    start: pd.Timestamp | None = None
    end: pd.Timestamp | None = None
    by: str | None = None
    q: float = 0.95
    tab: str = "latency"
    tz: str = "Asia/Shanghai"

    # --- which jobs ---

    @property
    def view(self) -> View:
        """The view that is shown."""
        return VIEWS[self.tab]

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return not self.filters and self.start is None and self.end is None

    @property
    def whole_hours(self) -> bool:
        """Whether the window begins and ends on full hours of UTC, which is what a histogram knows."""
        return all(edge is None or edge == edge.floor("h") for edge in (self.start, self.end))

    @property
    def labels(self) -> dict[str, tuple[Label, ...]]:
        """The filters by columns of the jobs."""
        return {name: labels for name, labels in self.filters if name not in CALENDAR}

    def labels_of(self, column: str) -> tuple[Label, ...]:
        """Return the labels that a column is filtered by, none where it is not."""
        return dict(self.filters).get(column, ())

    def with_labels(self, column: str, labels: Sequence[Label]) -> Selection:
        """Return the selection that has other labels for one column, none for all jobs."""
        rest = [pair for pair in self.filters if pair[0] != column]
        return replace(self, filters=(*rest, *([(column, tuple(labels))] if labels else [])))

    def hours_of(self, creation: pd.Series[Any]) -> Ints | None:
        """Return those of these hours of creation that weekday and hour of the day leave, since the epoch; None: all."""
        calendar = self._calendar()
        if not calendar:
            return None
        hours = np.unique(milliseconds(creation))
        hours = hours[hours != MISSING] // HOUR_MS * HOUR_MS
        local = moments(hours).tz_convert(self.tz)
        kept = np.ones(len(hours), dtype=bool)
        for name, numbers in calendar:
            kept &= np.isin(getattr(local, name), numbers)
        left: Ints = hours[kept] // HOUR_MS
        return left

    def rows_of(self, jobs: pd.DataFrame) -> Flags:
        """Say of each row of a frame whether it is selected.

        Raises
        ------
        FrameError
            A column that is filtered by is missing.
        """
        check_jobs(jobs, [*self.labels, "creation_time"])
        kept = np.ones(len(jobs), dtype=bool)
        for name, labels in self.labels.items():
            kept &= has_label(jobs[name], labels)
        if self.start is not None:
            kept &= (jobs["creation_time"] >= self.start).to_numpy()
        if self.end is not None:
            kept &= (jobs["creation_time"] < self.end).to_numpy()
        hours = self.hours_of(jobs["creation_time"])
        if hours is not None:
            kept &= np.isin(milliseconds(jobs["creation_time"]) // HOUR_MS, hours)
        return kept

    # --- what is drawn of them ---

    @property
    def shares(self) -> tuple[float, ...]:
        """The quantiles that are drawn."""
        return tuple(sorted({0.5, self.q}))

    def data(self, jobs: Any, **more: Any) -> pd.DataFrame:
        """Return the small frame that :meth:`draw` draws; ``more`` are the arguments ``freq`` and ``tz`` where they are others."""
        data = getattr(plots, f"{self.view.plot}_data")
        drawn: pd.DataFrame = data(jobs, **self._arguments(self.view.data, more))
        return drawn

    def draw(self, data: pd.DataFrame, ax: Axes, markers: Any = None) -> Axes:
        """Draw what :meth:`data` returned."""
        settings = self._arguments(self.view.drawn, {"markers": markers})
        drawn: Axes = getattr(plots, self.view.plot)(data=data, ax=ax, **settings)
        return drawn

    def _arguments(self, names: Sequence[str], more: dict[str, Any]) -> dict[str, Any]:
        q = self.q if self.tab == "weekdays" else self.shares
        every = {"by": self.by, "q": q, "tz": self.tz, **more}
        return {name: every[name] for name in names if every.get(name) is not None}

    # --- the same as Python ---

    def code(
        self,
        source: str = "frame",
        *,
        single: bool = False,
        counted: bool = True,
        markers: bool = False,
        **more: Any,
    ) -> str:
        """Return the Python that makes this view of a variable ``jobs``.

        Parameters
        ----------
        source : {"frame", "path", "store", "histogram"}
            What ``jobs`` is.
        single : bool
            Draw the jobs themselves, and not their histogram.
        counted : bool
            Choose full hours from the histogram; False where the window begins or ends within an hour.
        markers : bool
            Draw a variable ``markers`` too.
        **more : Any
            As of :meth:`data`.
        """
        shared = _written(self._arguments(self.view.data, more))
        own = _written(self._arguments(self.view.drawn, {}))
        if markers and "markers" in self.view.drawn:
            own += ", markers=markers"
        if self.tab == "eta":
            lines = self._frame_code(source)
            shared += ", job_ids=selected['job_id']" if not self.is_all else ""
            drawn = "jobs"
        else:
            lines = self._histogram_code(counted=source == "histogram") if counted and not single else []
            lines = lines or self._frame_code(source)
            drawn = "selected"
            if not single and not counted:
                lines.append(f"selected = cn.DurationHistogram.from_jobs(selected{self._keys()})")
        return "\n".join(
            [
                "import cosai_nb as cn",
                *lines,
                f"summary = cn.plots.{self.view.plot}_data({drawn}{shared})",
                f"ax = cn.plots.{self.view.plot}({drawn}{shared}{own})",
            ]
        )

    def _keys(self) -> str:
        keys = sorted({*self.labels, *([self.by] if self.by else [])} - set(KEYS))
        return f", keys={keys!r}" if keys else ""

    def _frame_code(self, source: str) -> list[str]:
        if self.is_all:
            return [] if self.tab == "eta" else ["selected = jobs"]
        read = {"path": ["jobs = pd.read_parquet(jobs)"], "store": ["jobs = jobs.jobs()"]}.get(source, [])
        tests = [_test(name, labels) for name, labels in self.labels.items()]
        for operator, moment in ((">=", self.start), ("<", self.end)):
            if moment is not None:
                tests.append(f"(jobs['creation_time'] {operator} pd.Timestamp({moment.isoformat()!r}))")
        local: list[str] = []
        if self.labels.keys() != dict(self.filters).keys():
            local = [f"hours = jobs['creation_time'].dt.floor('h').dt.tz_convert({self.tz!r})"]
            tests += [f"hours.dt.{name}.isin({numbers})" for name, numbers in self._calendar()]
        return ["import pandas as pd", *read, *local, f"selected = jobs[{' & '.join(tests)}]"]

    def _calendar(self) -> list[tuple[str, list[int]]]:
        """Return the filters by the calendar as pandas names and counts them."""
        found = []
        for name, labels in self.filters:
            if name == "weekday":
                found.append(("day_of_week", sorted(WEEKDAYS.index(str(label)) for label in labels)))
            elif name == "hour":
                found.append(("hour", sorted(int(str(label)) for label in labels)))
        return found

    def _histogram_code(self, *, counted: bool) -> list[str]:
        wanted = [
            _keyword(name, labels[0] if len(labels) == 1 else list(labels))
            for name, labels in self.labels.items()
        ]
        for name, moment in (("start", self.start), ("end", self.end)):
            if moment is not None:
                wanted.append(f"{name}={moment.isoformat()!r}")
        source = "jobs" if counted else "histogram"
        lines = [] if counted else [f"histogram = cn.DurationHistogram.from_jobs(jobs{self._keys()})"]
        lines.append(f"selected = {source}.where({', '.join(wanted)})" if wanted else f"selected = {source}")
        local = f"hour.tz_convert({self.tz!r})"
        tests = [f"{local}.{name} in {numbers}" for name, numbers in self._calendar()]
        if tests:  # a histogram has no weekdays: its hours are added up
            lines.append(
                f"hours = [part for (hour,), part in selected.groups('hour') if {' and '.join(tests)}]"
            )
            lines.append("selected = sum(hours, selected.where(tag=[]))")
        return lines


def read_moment(name: str, value: Any, tz: str) -> pd.Timestamp | None:
    """Return a moment that somebody wrote, in the zone ``tz`` unless it says another; None for no limit."""
    try:
        time: Any = pd.Timestamp(value)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{name}={value!r} is no time; write it as '2026-11-01 08:00'.") from error
    if pd.isna(time):
        return None
    if time.tzinfo is None:
        time = time.tz_localize(tz, ambiguous=True, nonexistent="shift_forward")
    read: pd.Timestamp = time.tz_convert("UTC")
    return read


def read_labels(column: str, values: Any) -> list[Label]:
    """Return the labels that a column is to be filtered by, as texts, None for a missing one."""
    several = values if pd.api.types.is_list_like(values) else [values]
    if not all(map(pd.api.types.is_scalar, several)):
        raise SettingsError(
            f"{column}={values!r} holds what is no label; write texts, None for a missing one."
        )
    found = [None if pd.isna(value) else str(value) for value in several]
    allowed = {"weekday": WEEKDAYS, "hour": tuple(map(str, range(24)))}.get(column, found)
    for name in found:
        if name not in allowed:
            raise SettingsError(
                f"{column}={name!r} is none; write it as one of {', '.join(map(str, allowed))}."
            )
    return list(dict.fromkeys(found))


def has_label(column: pd.Series[Any], labels: Sequence[Label]) -> Flags:
    """Say of each row whether it has one of these labels, which are texts, None where there is none."""
    categories = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column.unique()
    known = [value for value in categories if not pd.isna(value) and str(value) in labels]
    found: Flags = column.isin(known).to_numpy(dtype=bool)
    return found | column.isna().to_numpy(dtype=bool) if None in labels else found


def _keyword(name: str, value: Any) -> str:
    return f"{name}={value!r}" if name.isidentifier() and not iskeyword(name) else f"**{ {name: value}!r}"


def _test(name: str, labels: Sequence[Label]) -> str:
    """Return the Python that chooses the rows with these labels."""
    texts = [label for label in labels if label is not None]
    tests = [f"jobs[{name!r}].isna()"] if None in labels else []
    if texts:
        column = f"jobs[{name!r}].astype('str')"
        tests.append(f"({column} == {texts[0]!r})" if len(texts) == 1 else f"{column}.isin({texts!r})")
    return tests[0] if len(tests) == 1 else f"({' | '.join(tests)})"


def _written(arguments: dict[str, Any]) -> str:
    return "".join(f", {key}={value!r}" for key, value in arguments.items())
