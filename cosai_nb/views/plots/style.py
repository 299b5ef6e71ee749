"""What all plots have in common: the sheet they are drawn on, its colours, its axes.

::

    sheet(ax, width, height)        the caller's Axes, or one in a new pyplot figure that a notebook shows
    bare_sheet(width, height)       Axes in a Figure that pyplot does not know: for pages and widgets, nothing leaks
    look(group)                     Look(color, dash, marker): groups differ without colour, too
    handle(color, dash=, marker=)   a line or a mark as it stands in a legend
    duration_log_axis(ax, "x", longest, text), clock_axis(axis, tz), count_axis(axis, text), percent_axis(axis, text)
    RoomyLocator(ticks)             of these ticks, the more important first, as many as there is room for
    day_numbers(times)              times as matplotlib counts them
    say(ax, sentence)               what stands in a plot that has nothing to draw
"""

from __future__ import annotations

from datetime import timezone
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

import matplotlib as mpl
import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from cosai_nb import arguments
from cosai_nb.errors import SettingsError
from cosai_nb.views.plots.around import name_axis, text_size
from cosai_nb.views.plots.layout import OnePass
from cosai_nb.views.plots.text import families, label

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

Dash = Literal["-", "-.", "none"] | tuple[int, tuple[float, ...]]
DISPLAY_ZONE = "Asia/Shanghai"
"""The service writes its times in +0800."""
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY, INK = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#7F7F7F",
    "#000000",
)
"""Okabe and Ito's colours, which differ for every kind of colour vision; yellow is too pale for lines on white."""
_COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, INK)
_DASHES: tuple[Dash, ...] = (
    "-",
    (0, (6, 2)),
    (0, (2, 1.2)),
    "-.",
    (0, (8, 2, 2, 2, 2, 2)),
)
_MARKERS = "osD^vPX"
MOST_GROUPS = len(_COLORS)
"""Lines in one plot that can still be told apart."""
_FINE_TICKS = (0, 1, 2, 5, 10, 30, 60, 120, 300, 600)
_COARSE_TICKS = (0, 1, 10, 60, 600, 3600, 36_000, 345_600, 3_456_000, 34_560_000)
_TICK_WIDTH, _TICK_HEIGHT = 46, 14
"""Points that the name of a tick needs."""
without_tex = mpl.rc_context({"text.usetex": False})
"""Decorates what draws pages and widgets: a label is no LaTeX, which may not be installed either."""
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_LONGEST_IN_S, _LONGEST_IN_MIN = 100, 6000


class Look(NamedTuple):
    """How one group is drawn."""

    color: str
    dash: Dash
    marker: str


def look(group: int) -> Look:
    """Return how the group of this number is drawn.

    Examples
    --------
    >>> look(0).color, look(0).marker == look(1).marker
    ('#0072B2', False)
    """
    return Look(_COLORS[group % len(_COLORS)], _DASHES[group % len(_DASHES)], _MARKERS[group % len(_MARKERS)])


def handle(
    color: str,
    *,
    dash: Dash = "none",
    marker: str = "",
    hollow: bool = False,
    size: float = 6,
) -> Line2D:
    """Return what stands in a legend for a line, or for marks, which may be hollow."""
    inside = "white" if hollow else color
    return Line2D(
        [], [], color=color, linestyle=dash, linewidth=1.8, marker=marker, markersize=size, mfc=inside
    )


def bare_sheet(width: float = 8.6, height: float = 4.6) -> Axes:
    """Return Axes in a figure (inches) that pyplot does not keep."""
    return Figure(figsize=(width, height), layout=OnePass()).subplots()


def sheet(ax: Axes | None, *, width: float = 8.6, height: float = 4.6) -> Axes:
    """Return ``ax``, or where it is None Axes in a pyplot figure, which notebooks show below the cell."""
    if ax is None:
        import matplotlib.pyplot as plt  # noqa: PLC0415 - half a second, and a backend, only where it is wanted

        _, ax = plt.subplots(figsize=(width, height), layout=OnePass())
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    if text_size(ax) != "medium":
        ax.tick_params(labelsize=text_size(ax))
    return ax


def by_text(by: Sequence[str]) -> str:
    """Return how a title names the groups.

    Examples
    --------
    >>> by_text(["tag", "queue_id"]), by_text([])
    (' by tag and queue_id', '')
    """
    return f" by {' and '.join(label(name) for name in by)}" if by else ""


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


class RoomyLocator(FixedLocator):
    """Of some ticks, the more important first, as many as stand apart by so many points."""

    def __init__(self, ticks: Sequence[float], apart: float) -> None:
        super().__init__(ticks)
        self._ticks, self._apart = np.asarray(ticks), apart

    def __call__(self) -> list[float]:
        """Return the ticks, in rising order."""
        axis = cast("Axis", self.axis)
        box, dpi = axis.axes.bbox, axis.axes.figure.dpi
        length = box.width if axis is axis.axes.xaxis else box.height
        low, high = axis.get_transform().transform(np.sort(axis.get_view_interval()))
        places = (axis.get_transform().transform(self._ticks) - low) / (high - low) * length * 72 / dpi
        kept: list[int] = []
        for number, place in enumerate(places):
            if all(abs(place - places[other]) >= self._apart for other in kept):
                kept.append(number)
        return sorted(self._ticks[kept].tolist())


def duration_log_axis(ax: Axes, which: Literal["x", "y"], longest: float, text: str) -> None:
    """Make an axis of seconds logarithmic from 1 s on, with 0 at its end: a wait of 0 s has a place, too."""
    axis, scale, limits = (
        (ax.xaxis, ax.set_xscale, ax.set_xlim) if which == "x" else (ax.yaxis, ax.set_yscale, ax.set_ylim)
    )
    scale("symlog", linthresh=1, linscale=0.35)
    top = max(longest, 10) * 1.25
    limits(-0.12, top)
    duration_ticks(axis, top)
    name_axis(axis, f"{text} (log scale)")


def duration_ticks(axis: Axis, top: float) -> None:
    """Name the round durations up to one, as many as there is room for."""
    apart = _TICK_WIDTH if axis is axis.axes.xaxis else _TICK_HEIGHT
    axis.set_major_locator(RoomyLocator(ticks_up_to(top), apart))
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


def zone_name(tz: str | tzinfo) -> str:
    """Return the name of a time zone that tables, axes and pandas use.

    Raises
    ------
    SettingsError
        There is no such zone, or it has no name.

    Examples
    --------
    >>> from datetime import timedelta, timezone
    >>> zone_name("Asia/Shanghai"), zone_name("+0800"), zone_name(timezone(timedelta(hours=8)))
    ('Asia/Shanghai', 'UTC+08:00', 'UTC+08:00')
    """
    zone = arguments.zone(tz)
    offset = zone.utcoffset(None)
    for name in (str(zone), *([] if offset is None else [str(timezone(offset))])):
        try:
            arguments.zone(name)
        except SettingsError:  # the tzinfo of another library may not say its name
            continue
        return name
    raise SettingsError(
        f"tz={tz!r} does not say its name; write it as a text, such as 'Asia/Shanghai' or '+08:00'."
    )


def clock_axis(axis: Axis, tz: str) -> None:
    """Make a horizontal axis of times speak of one zone, and name it."""
    zone = arguments.zone(tz)
    locator = AutoDateLocator(tz=zone, minticks=4, maxticks=9)  # type: ignore[no-untyped-call]  # matplotlib's
    axis.set_major_locator(locator)
    concise = ConciseDateFormatter(locator, tz=zone)  # type: ignore[no-untyped-call]  # matplotlib's
    axis.set_major_formatter(concise)
    name_axis(axis, f"time ({label(tz)})")


def day_numbers(times: pd.Series) -> npt.NDArray[np.float64]:
    """Return zone-aware times as matplotlib counts them."""
    utc = times.dt.tz_convert("UTC").dt.tz_localize(None)
    return np.asarray(date2num(utc), dtype=np.float64)  # type: ignore[no-untyped-call]  # matplotlib's


def count_axis(axis: Axis, text: str) -> None:
    """Make an axis count whole things."""
    axis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    name_axis(axis, text)


def percent_axis(axis: Axis, text: str) -> None:
    """Make an axis count shares in percent."""
    axis.set_major_locator(MaxNLocator(nbins=6, min_n_ticks=2, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    name_axis(axis, text)


def say(ax: Axes, sentence: str) -> Axes:
    """Leave the axes without data and say why."""
    ax.set_axis_off()
    ax.text(
        0.5, 0.5, sentence, transform=ax.transAxes, ha="center", va="center", wrap=True, fontfamily=families()
    )
    return ax
