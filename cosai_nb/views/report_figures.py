"""The figures of the report: one panel for all jobs, one for each of the largest groups, drawn before anyone asks."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from cosai_nb.errors import CosaiError
from cosai_nb.views import plots
from cosai_nb.views.answers import hours_of, window_of
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
SIZE_IN, WIDE_IN = (7.4, 4.6), (14.8, 5.0)
_FEW_HOURS, _MANY_HOURS = 48, 1500


class Shown(NamedTuple):
    """A figure and the table of its numbers, or the sentence that stands for it."""

    id: str
    title: str
    svg: Markup | None
    twin: Table | None
    sentence: str = ""
    wide: bool = False


class Panel(NamedTuple):
    """The figures of one group."""

    id: str
    name: str
    figures: list[Shown]


class _Plot(NamedTuple):
    title: str
    draw: Callable[..., Any]
    twin: Callable[..., pd.DataFrame]
    size: tuple[float, float] = SIZE_IN


def panels(answers: Answers) -> tuple[list[Panel], str]:
    """Return the panels, and what must be said of groups that have none."""
    if not answers.count:
        return [], ""
    places: dict[str, Any] = {}
    drawn = [_panel("all", "All jobs", _whole(answers), answers.tz, places)]
    groups = list(answers.parts.items())
    if len(groups) == 1:
        groups = []  # it is the whole
    for number, (key, counts) in enumerate(groups[:MOST_PANELS]):
        drawn.append(_panel(f"g{number}", label(key), _part(counts, answers.tz), answers.tz, places))
    return drawn, _not_drawn(len(groups))


def _not_drawn(groups: int) -> str:
    if not groups:
        return ""
    hidden = groups - MOST_PANELS
    told = "A group has its latency and failures over time; the other figures compare groups, or are of all jobs."
    if hidden <= 0:
        return told
    smaller = "1 smaller group has" if hidden == 1 else f"{hidden:,} smaller groups have"
    return f"{told} {smaller} no figures of {'its' if hidden == 1 else 'their'} own."


def _panel(identity: str, name: str, figures: Sequence[_Plot], tz: str, places: dict[str, Any]) -> Panel:
    shown = [_show(f"{identity}-{number}", plot, tz, places) for number, plot in enumerate(figures)]
    return Panel(identity, name, shown)


def _whole(answers: Answers) -> list[_Plot]:
    jobs, counts, by, tz = answers.jobs, answers.histogram, list(answers.by) or None, answers.tz
    one_by_one = jobs if answers.latency_by["growing"].any() else counts  # a projection needs single jobs
    freq = (
        "1h" if _FEW_HOURS < hours_of(counts) <= _MANY_HOURS else None
    )  # as fine as can be seen, but not finer
    return [
        _both("Queue latency", "queue_latency", one_by_one, by=by),
        _both("Queue latency over time", "latency_over_time", counts, tz=tz),
        _both("Failure rate", "failure_rates", counts, by=by),
        _both("Failure rate over time", "failure_rates", counts, freq=window_of(counts), tz=tz),
        _both("Errors", "error_pareto", jobs),
        _both("Load", "queue_load", jobs, freq=freq, tz=tz),
        _both("Jobs waiting", "queue_load", jobs, by="queue_id", freq=freq, tz=tz),
        _both("Queue latency by weekday and hour", "heatmap", counts, tz=tz),
        _both("Slowest jobs", "timeline", jobs, tz=tz)._replace(size=WIDE_IN),
    ]


def _part(counts: DurationHistogram, tz: str) -> list[_Plot]:
    return [
        _both("Queue latency over time", "latency_over_time", counts, tz=tz),
        _both("Failure rate over time", "failure_rates", counts, freq=window_of(counts), tz=tz),
    ]


def _both(title: str, name: str, jobs: pd.DataFrame | DurationHistogram, **settings: Any) -> _Plot:
    draw, twin = getattr(plots, name), getattr(plots, f"{name}_data")
    of_twin = {key: value for key, value in settings.items() if key in inspect.signature(twin).parameters}
    return _Plot(title, partial(draw, jobs, **settings), partial(twin, jobs, **of_twin))


def _show(identity: str, plot: _Plot, tz: str, places: dict[str, Any]) -> Shown:
    """Draw a plot; the same plot of a group gets the place on its sheet that the one of all jobs was laid out at."""
    try:
        ax = bare_sheet(*plot.size)
        plot.draw(ax=ax)
        if not ax.axison:  # nothing to draw: the plot says why
            return Shown(identity, plot.title, None, None, " ".join(text.get_text() for text in ax.texts))
        figure = cast("Figure", ax.figure)
        if plot.title in places:
            figure.set_layout_engine("none")
            ax.set_position(places[plot.title])
        svg = inline_svg(figure, name=identity, title=f"{plot.title}; the table below it holds the numbers")
        places.setdefault(plot.title, ax.get_position())
        twin = twin_table(plot.twin(), plot.title, tz)
    except CosaiError as error:
        return Shown(identity, plot.title, None, None, str(error))
    return Shown(f"{identity}-numbers", plot.title, svg, twin, wide=plot.size == WIDE_IN)
