"""What all plots have in common: the sheet they are drawn on, its colours, its titles, its axes of time.

::

    sheet(ax, width, height)        the caller's Axes, or one in a new pyplot figure that a notebook shows
    bare_sheet(width, height)       Axes in a Figure that pyplot does not know: for pages and widgets, nothing leaks
    headline(ax, what, facts)       the title, and below it the number of jobs and what else must be known
    look(group)                     Look(color, dash, marker): groups differ without colour, too
    name_lines(ax, handles, names)  the legend, below the data
    name_rows(ax, names), beside(ax, row, text)        one category a row, the first on top, and what stands beside it
    duration_log_axis(ax, "x", longest), clock_axis(axis, tz), day_numbers(times), count_axis(axis, text)
    percent_axis(axis, text)
    say(ax, sentence)               what stands in a plot that has nothing to draw
"""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from cosai_nb.errors import SettingsError
from cosai_nb.views.plots.text import families, label

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

DISPLAY_ZONE = "Asia/Shanghai"
"""The service writes its times in +0800."""
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#7F7F7F",
)
"""Okabe and Ito's colours, which differ for every kind of colour vision; yellow is too pale for lines on white."""
_COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, "#000000")
_DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    "-",
    (0, (6, 2)),
    (0, (2, 1.2)),
    "-.",
    (0, (8, 2, 2, 2, 2, 2)),
)
_MARKERS = "osD^vPX"
MOST_GROUPS = len(_COLORS)
"""Lines in one plot that can still be told apart."""
_FAINT = 0.7
_LETTER = 0.58  # mean width of a letter, of the font's size
_AXIS_LETTERS, _FEWEST_LETTERS = 12, 30
_BELOW_LABEL = 0.56
"""Inches from the data down to the legend: tick labels and the axis label fit in between."""
_FEWEST_ROWS = 3
"""Rows that there is room for at least, so that a single bar is no wall."""
_ONE_ROW = 60
"""Letters that all names of a legend may have together to stand side by side."""
_FINE_TICKS = (0, 1, 2, 5, 10, 30, 60, 120, 300, 600)
_COARSE_TICKS = (0, 1, 10, 60, 600, 3600, 36_000, 345_600, 3_456_000, 34_560_000)
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_LONGEST_IN_S, _LONGEST_IN_MIN = 100, 6000


class Look(NamedTuple):
    """How one group is drawn."""

    color: str
    dash: str | tuple[int, tuple[float, ...]]
    marker: str


def look(group: int) -> Look:
    """Return how the group of this number is drawn.

    Examples
    --------
    >>> look(0).color, look(0).marker == look(1).marker
    ('#0072B2', False)
    """
    return Look(_COLORS[group % len(_COLORS)], _DASHES[group % len(_DASHES)], _MARKERS[group % len(_MARKERS)])


def bare_sheet(
    width: float = 8.6, height: float = 4.6, *, layout: Literal["constrained"] | None = "constrained"
) -> Axes:
    """Return Axes in a figure (inches) that pyplot does not keep; ``layout=None`` is for ``quick_png``."""
    return Figure(figsize=(width, height), layout=layout).subplots()


def sheet(ax: Axes | None, *, width: float = 8.6, height: float = 4.6) -> Axes:
    """Return ``ax``, or where it is None Axes in a pyplot figure, which notebooks show below the cell."""
    if ax is None:
        import matplotlib.pyplot as plt  # noqa: PLC0415 - half a second, and a backend, only where it is wanted

        _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    return ax


def headline(ax: Axes, what: str, facts: str, *, rows: Sequence[str] = ()) -> None:
    """Write the title and, below it in as many lines as it takes, the facts without which it may not be read.

    Both are titles of the Axes (left and right slot), so that its repr holds them; names of ``rows`` stand to their left.
    """
    lines = wrap(facts, max(_room(ax) - max(map(len, rows), default=_AXIS_LETTERS), _FEWEST_LETTERS))
    above, family = what + "\n" * len(lines), families()
    ax.set_title(above, loc="left", y=1.0, fontweight="bold", fontsize="large", fontfamily=family)
    below = "\n".join(lines)
    ax.set_title(
        below, loc="right", x=0, y=1.0, ha="left", fontsize="medium", alpha=_FAINT, fontfamily=family
    )


def _room(ax: Axes) -> int:
    """Return how many letters a line of the sheet has room for."""
    place = ax.get_subplotspec()
    columns = place.get_topmost_subplotspec().get_gridspec().ncols if place else 1
    points = 72 * ax.figure.bbox.width / ax.figure.dpi / columns
    return int(points / (_LETTER * FontProperties(size="medium").get_size_in_points()))


def by_text(by: Sequence[str]) -> str:
    """Return how a title names the groups.

    Examples
    --------
    >>> by_text(["tag", "queue_id"]), by_text([])
    (' by tag and queue_id', '')
    """
    return f" by {' and '.join(label(name) for name in by)}" if by else ""


def name_lines(ax: Axes, handles: Sequence[Artist], names: Sequence[str]) -> None:
    """Put the legend below the data; a name that begins with ``_`` is a name as well."""
    if not handles:
        return
    legend = ax.legend(
        handles,
        [f"line {number}" for number in range(len(handles))],
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=ax.transAxes + ScaledTranslation(0, -_BELOW_LABEL, ax.figure.dpi_scale_trans),
        ncols=len(names) if sum(map(len, names)) < _ONE_ROW else 1,
        frameon=False,
        borderaxespad=0,
        handlelength=3.2,
        fontsize="medium",
    )
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(name)
        text.set_fontfamily(families())


def name_rows(ax: Axes, names: Sequence[str]) -> None:
    """Give each row its name, the first on top."""
    ax.set_yticks(np.arange(len(names)), labels=list(names), fontfamily=families())
    ax.set_ylim(max(len(names), _FEWEST_ROWS) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)


def beside(ax: Axes, row: int, text: str) -> None:
    """Write beside a row, to the right of the data."""
    ax.annotate(
        text,
        xy=(1, row),
        xycoords=("axes fraction", "data"),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize="small",
        fontfamily=families(),
        annotation_clip=False,
    )


def nice_duration(seconds: float) -> str:
    """Return the name of a tick: whole numbers of the largest unit that gives them.

    Examples
    --------
    >>> [nice_duration(s) for s in (0, 30, 60, 1800, 3600, 86400)]
    ['0', '30 s', '1 min', '30 min', '1 h', '1 d']
    """
    if seconds == 0:
        return "0"
    size, unit = next((size, unit) for size, unit in _UNITS if seconds >= size)
    return f"{seconds / size:g} {unit}"


def ticks_up_to(top: float) -> list[int]:
    """Return the ticks of a logarithmic axis of seconds; few enough for a narrow figure.

    Examples
    --------
    >>> ticks_up_to(40), ticks_up_to(5000)
    ([0, 1, 2, 5, 10, 30], [0, 1, 10, 60, 600, 3600])
    """
    return [tick for tick in (_FINE_TICKS if top <= _FINE_TICKS[-1] else _COARSE_TICKS) if tick <= top]


def duration_log_axis(ax: Axes, which: Literal["x", "y"], longest: float) -> None:
    """Make an axis of seconds logarithmic from 1 s on, with 0 at its end: a wait of 0 s has a place, too."""
    axis, scale, limits = (
        (ax.xaxis, ax.set_xscale, ax.set_xlim) if which == "x" else (ax.yaxis, ax.set_yscale, ax.set_ylim)
    )
    scale("symlog", linthresh=1, linscale=0.35)
    top = max(longest, 10) * 1.25
    limits(-0.12, top)
    axis.set_major_locator(FixedLocator(ticks_up_to(top)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: nice_duration(value)))
    axis.set_minor_locator(NullLocator())


def duration_unit(longest: float) -> tuple[int, str]:
    """Return the seconds in, and the name of, the unit for durations up to ``longest`` seconds.

    Examples
    --------
    >>> duration_unit(99), duration_unit(300), duration_unit(86400)
    ((1, 's'), (60, 'min'), (3600, 'h'))
    """
    if longest < _LONGEST_IN_S:
        return 1, "s"
    return (60, "min") if longest < _LONGEST_IN_MIN else (3600, "h")


def zone_of(tz: str) -> ZoneInfo:
    """Return the time zone to show times in.

    Raises
    ------
    SettingsError
        There is no such zone.
    """
    try:
        return ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise SettingsError(
            f"tz={tz!r} is no time zone that this machine knows; write a name like 'Asia/Shanghai' or 'UTC'."
        ) from error


def clock_axis(axis: Axis, tz: str) -> None:
    """Make a horizontal axis of times speak of one zone, and name it."""
    zone = zone_of(tz)
    locator = AutoDateLocator(tz=zone, minticks=4, maxticks=9)  # type: ignore[no-untyped-call]  # matplotlib's
    axis.set_major_locator(locator)
    concise = ConciseDateFormatter(locator, tz=zone)  # type: ignore[no-untyped-call]  # matplotlib's
    axis.set_major_formatter(concise)
    axis.set_label_text(f"time ({label(tz)})")


def day_numbers(times: pd.Series) -> npt.NDArray[np.float64]:
    """Return zone-aware times as matplotlib counts them."""
    utc = times.dt.tz_convert("UTC").dt.tz_localize(None)
    return np.asarray(date2num(utc), dtype=np.float64)  # type: ignore[no-untyped-call]  # matplotlib's


def count_axis(axis: Axis, text: str) -> None:
    """Make an axis count whole things."""
    axis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_label_text(text)


def percent_axis(axis: Axis, text: str) -> None:
    """Make an axis count shares in percent."""
    axis.set_major_locator(MaxNLocator(nbins=6, min_n_ticks=2, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    axis.set_label_text(text)


def say(ax: Axes, sentence: str) -> Axes:
    """Leave the axes without data and say why."""
    ax.set_axis_off()
    ax.text(
        0.5, 0.5, sentence, transform=ax.transAxes, ha="center", va="center", wrap=True, fontfamily=families()
    )
    return ax
