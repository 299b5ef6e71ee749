"""The figures of the report: one panel for all jobs, one for each of the largest groups, drawn before anyone asks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from cosai_nb.errors import CosaiError
from cosai_nb.views import plots
from cosai_nb.views.figures import inline_svg
from cosai_nb.views.plots.style import bare_sheet
from cosai_nb.views.tables import Table, twin_table
from cosai_nb.views.wording import label

if TYPE_CHECKING:
    from collections.abc import Callable

    from markupsafe import Markup

    from cosai_nb.views.answers import Answers

MOST_PANELS = 4
SIZE_IN = (7.4, 4.6)


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
    whole = Panel(
        "all", "All jobs", [_show(f"all-{i}", plot, answers.tz) for i, plot in enumerate(_whole(answers))]
    )
    drawn = [whole]
    groups = _largest_groups(answers)
    for number, (name, jobs) in enumerate(groups[:MOST_PANELS]):
        figures = [_show(f"g{number}-{i}", plot, answers.tz) for i, plot in enumerate(_part(jobs, answers))]
        drawn.append(Panel(f"g{number}", name, figures))
    hidden = len(groups) - MOST_PANELS
    return drawn, f"{hidden:,} smaller groups have no figures of their own." if hidden > 0 else ""


def _whole(answers: Answers) -> list[_Plot]:
    jobs, by, tz = answers.jobs, list(answers.by) or None, answers.tz
    return [
        _both("Queue latency", "queue_latency", jobs, by=by),
        _both("Failure rate", "failure_rates", jobs, by=by),
    ]


def _part(jobs: pd.DataFrame, answers: Answers) -> list[_Plot]:
    return [_both("Queue latency", "queue_latency", jobs)]


def _both(title: str, name: str, jobs: pd.DataFrame, **settings: Any) -> _Plot:
    draw, twin = getattr(plots, name), getattr(plots, f"{name}_data")
    return _Plot(title, partial(draw, jobs, **settings), partial(twin, jobs, **settings))


def _show(identity: str, plot: _Plot, tz: str) -> Shown:
    try:
        ax = bare_sheet(*plot.size)
        plot.draw(ax=ax)
        svg = inline_svg(
            ax.figure, name=identity, title=f"{plot.title}; the table below it holds the numbers"
        )
        twin = twin_table(plot.twin(), plot.title, tz)
    except CosaiError as error:
        return Shown(identity, plot.title, None, None, str(error))
    return Shown(f"{identity}-numbers", plot.title, svg, twin, wide=plot.size[0] > SIZE_IN[0])


def _largest_groups(answers: Answers) -> list[tuple[str, pd.DataFrame]]:
    """Return name and jobs of each group, the largest first; none where one group is all there is."""
    if not answers.by:
        return []
    parts = list(answers.jobs.groupby(list(answers.by), observed=True, dropna=False, sort=False))
    if len(parts) < 2:  # noqa: PLR2004 - a single group is the whole
        return []
    parts.sort(key=lambda part: -len(part[1]))
    return [(label(key if len(key) > 1 else key[0]), jobs) for key, jobs in parts]
