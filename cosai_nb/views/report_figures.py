"""The figures of the report: one panel for all jobs, one for each of the largest groups, drawn before anyone asks."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from cosai_nb.errors import CosaiError
from cosai_nb.views.answers import hours_of, window_of
from cosai_nb.views.plots.errors import draw_error_pareto, error_pareto_data
from cosai_nb.views.plots.failures import draw_failure_rates, failure_rates_data
from cosai_nb.views.plots.heat import draw_heatmap, heatmap_data
from cosai_nb.views.plots.jobs import draw_timeline, timeline_data
from cosai_nb.views.plots.latency import draw_queue_latency, queue_latency_data
from cosai_nb.views.plots.load import draw_queue_load, queue_load_data
from cosai_nb.views.plots.over_time import draw_latency_over_time, latency_over_time_data
from cosai_nb.views.plots.style import bare_sheet
from cosai_nb.views.svg import inline_svg
from cosai_nb.views.tables import Table, twin_table
from cosai_nb.views.wording import label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cosai_nb.stats.histogram import DurationHistogram
    from cosai_nb.views.answers import Answers

MOST_PANELS = 3
SIZE_IN, WIDE_IN = (6.0, 3.9), (12.0, 5.0)
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
    """A figure: how its numbers are found, and how they are drawn."""

    title: str
    data: Callable[[], pd.DataFrame]
    draw: Callable[..., Axes]
    size: tuple[float, float] = SIZE_IN


def panels(answers: Answers) -> tuple[list[Panel], str]:
    """Return the panels, and what must be said of groups that have none."""
    if not answers.count:
        return [], ""
    groups = list(answers.parts.items())
    if len(groups) == 1:
        groups = []  # it is the whole
    sheets: dict[str, Axes] = {}
    with _no_collector():
        drawn = [_panel("all", "All jobs", _whole(answers), answers.histogram, answers.tz, sheets)]
        for number, (key, counts) in enumerate(groups[:MOST_PANELS]):
            figures = _over_time(counts, answers.tz)
            drawn.append(_panel(f"g{number}", label(key), figures, counts, answers.tz, sheets))
    return drawn, _not_drawn(len(groups))


@contextmanager
def _no_collector() -> Iterator[None]:
    """Keep the garbage until all figures are drawn: they are full of cycles, and each look for them takes longer."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _not_drawn(groups: int) -> str:
    if not groups:
        return ""
    hidden = groups - MOST_PANELS
    told = "A group has its latency and failures over time; the other figures compare groups, or are of all jobs."
    if hidden <= 0:
        return told
    smaller = "1 smaller group has" if hidden == 1 else f"{hidden:,} smaller groups have"
    return f"{told} {smaller} no figures of {'its' if hidden == 1 else 'their'} own."


def _panel(
    identity: str,
    name: str,
    plots: Sequence[_Plot],
    counts: DurationHistogram,
    tz: str,
    sheets: dict[str, Axes],
) -> Panel:
    shown = [_show(f"{identity}-{number}", plot, counts, tz, sheets) for number, plot in enumerate(plots)]
    return Panel(identity, name, shown)


def _whole(answers: Answers) -> list[_Plot]:
    jobs, counts, by, tz = answers.jobs, answers.histogram, list(answers.by) or None, answers.tz
    fine = "1h" if _FEW_HOURS < hours_of(counts) <= _MANY_HOURS else None  # as can be seen, but not finer
    latency, failures = _over_time(counts, tz)
    return [
        _Plot(
            "Queue latency",
            partial(queue_latency_data, counts, by=by),
            lambda _, counts, *, ax: draw_queue_latency(answers.latency_by, counts, by=by, ax=ax),
        ),
        latency,
        _Plot("Failure rate", partial(failure_rates_data, counts, by=by), partial(draw_failure_rates, by=by)),
        failures,
        _Plot("Errors", partial(error_pareto_data, jobs), draw_error_pareto),
        _Plot("Load", partial(queue_load_data, jobs, freq=fine), partial(draw_queue_load, tz=tz)),
        _Plot(
            "Jobs waiting",
            partial(queue_load_data, jobs, by="queue_id", freq=fine),
            partial(draw_queue_load, by="queue_id", tz=tz),
        ),
        _Plot(
            "Queue latency by weekday and hour",
            partial(heatmap_data, counts, tz=tz),
            partial(draw_heatmap, tz=tz),
        ),
        _Plot("Slowest jobs", partial(timeline_data, jobs), partial(draw_timeline, tz=tz), WIDE_IN),
    ]


def _over_time(counts: DurationHistogram, tz: str) -> list[_Plot]:
    freq = window_of(counts)
    return [
        _Plot(
            "Queue latency over time",
            partial(latency_over_time_data, counts),
            partial(draw_latency_over_time, tz=tz),
        ),
        _Plot(
            "Failure rate over time",
            partial(failure_rates_data, counts, freq=freq),
            partial(draw_failure_rates, freq=freq, tz=tz),
        ),
    ]


def _show(identity: str, plot: _Plot, counts: DurationHistogram, tz: str, sheets: dict[str, Axes]) -> Shown:
    try:
        data = plot.data()
        ax = _drawn(plot, data, counts, sheets.get(plot.title))
    except CosaiError as error:
        return Shown(identity, plot.title, None, None, str(error))
    if not ax.axison:  # nothing to draw: the plot says why
        sheets.pop(plot.title, None)
        return Shown(identity, plot.title, None, None, " ".join(text.get_text() for text in ax.texts))
    sheets[plot.title] = ax
    title = f"{plot.title}; the table below it holds the numbers"
    svg = inline_svg(cast("Figure", ax.figure), name=identity, title=title)
    twin = twin_table(data, plot.title, tz)
    return Shown(f"{identity}-numbers", plot.title, svg, twin, wide=plot.size == WIDE_IN)


def _drawn(plot: _Plot, data: pd.DataFrame, counts: DurationHistogram, sheet: Axes | None) -> Axes:
    """Draw a plot; that of a group on the sheet that the one of all jobs was laid out on, where it has the room."""
    if sheet is not None:
        room = _texts(sheet)
        ax = plot.draw(data, counts, ax=_emptied(sheet))
        if ax.axison and all(now <= before for now, before in zip(_texts(ax), room, strict=True)):
            return ax
    return plot.draw(data, counts, ax=bare_sheet(*plot.size))


def _texts(ax: Axes) -> tuple[int, int]:
    """Return how many lines stand above the data, and how many entries the legend has."""
    legend = ax.get_legend()
    return ax.get_title(loc="left").count("\n"), len(legend.get_texts()) if legend else 0


def _emptied(ax: Axes) -> Axes:
    """Take what was drawn off a sheet, and leave its margins, and its axes with their ticks: these take longest."""
    for artist in (*ax.lines, *ax.collections, *ax.patches, *ax.texts):
        artist.remove()
    if legend := ax.get_legend():
        legend.remove()
    cast("Figure", ax.figure).set_layout_engine("none")
    return ax
