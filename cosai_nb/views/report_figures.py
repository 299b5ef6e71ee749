"""The figures of the report: one panel for all jobs, one for each of the largest groups, drawn before anyone asks."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from cosai_nb.errors import CosaiError
from cosai_nb.views import plots
from cosai_nb.views.plots.style import bare_sheet
from cosai_nb.views.svg import inline_svg
from cosai_nb.views.tables import Table, twin_table
from cosai_nb.views.wording import label

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from markupsafe import Markup
    from matplotlib.figure import Figure

    from cosai_nb.stats.histogram import DurationHistogram
    from cosai_nb.views.answers import Answers

MOST_PANELS = 3
SIZE_IN = (7.4, 4.6)
_FEW_HOURS = 48
_WINDOWS = {"1h": 48, "6h": 24 * 14, "1D": 24 * 60}


class Shown(NamedTuple):
    """A figure and the table of its numbers, or the sentence that stands for it."""

    id: str
    title: str
    svg: Markup | None
    twin: Table | None
    sentence: str = ""


class Panel(NamedTuple):
    """The figures of one group."""

    id: str
    name: str
    figures: list[Shown]


class _Plot(NamedTuple):
    title: str
    draw: Callable[..., Any]
    twin: Callable[..., pd.DataFrame]


def panels(answers: Answers) -> tuple[list[Panel], str]:
    """Return the panels, and what must be said of groups that have none."""
    if not answers.count:
        return [], ""
    drawn = [_panel("all", "All jobs", _whole(answers), answers.tz)]
    groups = list(answers.histogram.groups(answers.by)) if answers.by else []
    if len(groups) == 1:
        groups = []  # it is the whole
    groups.sort(key=lambda group: -group[1].jobs)
    for number, (labels, counts) in enumerate(groups[:MOST_PANELS]):
        drawn.append(_panel(f"g{number}", label(labels), _part(counts, answers.tz), answers.tz))
    hidden = len(groups) - MOST_PANELS
    return drawn, f"{hidden:,} smaller groups have no figures of their own." if hidden > 0 else ""


def _panel(identity: str, name: str, figures: Sequence[_Plot], tz: str) -> Panel:
    return Panel(
        identity, name, [_show(f"{identity}-{number}", plot, tz) for number, plot in enumerate(figures)]
    )


def _whole(answers: Answers) -> list[_Plot]:
    jobs, counts, by, tz = answers.jobs, answers.histogram, list(answers.by) or None, answers.tz
    few_hours = _hours(counts) <= _FEW_HOURS  # single jobs show minutes, the histogram hours
    return [
        _both("Queue latency", "queue_latency", jobs, by=by),
        _both("Queue latency over time", "latency_over_time", counts, tz=tz),
        _both("Failure rate", "failure_rates", counts, by=by),
        _both("Failure rate over time", "failure_rates", counts, freq=_window(counts), tz=tz),
        _both("Errors", "error_pareto", jobs),
        _both("Load", "queue_load", jobs if few_hours else counts, tz=tz),
        _both("Jobs waiting", "queue_load", jobs if few_hours else counts, by="queue_id", tz=tz),
        _both("Queue latency by weekday and hour", "heatmap", counts, tz=tz),
        _both("Slowest jobs", "timeline", jobs, tz=tz),
    ]


def _hours(counts: DurationHistogram) -> int:
    hours = counts.coded("hour").labels
    return int(hours[-1] - hours[0]) if len(hours) else 0


def _window(counts: DurationHistogram) -> str:
    """Return windows of creation time that are wide enough to hold failures and narrow enough to see when."""
    return next((width for width, most in _WINDOWS.items() if _hours(counts) <= most), "7D")


def _part(counts: DurationHistogram, tz: str) -> list[_Plot]:
    return [
        _both("Queue latency over time", "latency_over_time", counts, tz=tz),
        _both("Failure rate over time", "failure_rates", counts, freq=_window(counts), tz=tz),
    ]


def _both(title: str, name: str, jobs: pd.DataFrame | DurationHistogram, **settings: Any) -> _Plot:
    draw, twin = getattr(plots, name), getattr(plots, f"{name}_data")
    of_twin = {key: value for key, value in settings.items() if key in inspect.signature(twin).parameters}
    return _Plot(title, partial(draw, jobs, **settings), partial(twin, jobs, **of_twin))


def _show(identity: str, plot: _Plot, tz: str) -> Shown:
    try:
        ax = bare_sheet(*SIZE_IN)
        plot.draw(ax=ax)
        if not ax.axison:  # nothing to draw: the plot says why
            return Shown(identity, plot.title, None, None, " ".join(text.get_text() for text in ax.texts))
        svg = inline_svg(
            cast("Figure", ax.figure),
            name=identity,
            title=f"{plot.title}; the table below it holds the numbers",
        )
        twin = twin_table(plot.twin(), plot.title, tz)
    except CosaiError as error:
        return Shown(identity, plot.title, None, None, str(error))
    return Shown(f"{identity}-numbers", plot.title, svg, twin)
