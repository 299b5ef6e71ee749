"""What all plots have in common: the axes they are drawn on, their colours and scales, and what stands around the data.

::

    new_axes(ax, figsize, size)     the caller's Axes, or one in a new pyplot figure that a notebook shows
    offscreen_axes(width, height)   Axes in a Figure that pyplot does not know: for pages and widgets, nothing leaks
    group_style(number)             Style(color, dash, marker): groups differ without colour, too
    legend_handle(color, …)         a line or a mark as it stands in a legend
    duration_log_axis(ax, "x", longest, text), clock_axis(axis, tz), count_axis(axis, text)
    headline(ax, what, facts)       the title, and below it the number of jobs and what else must be known
    add_legend(ax, entries)         the legend, Entry(handle, name, detail), below the data
    label_rows(ax, names, notes)    one category a row, the first on top, and what is known of it
    draw_markers(ax, markers, tz)   deploys and incidents in a plot over time
    show_message(ax, sentence)      what stands in a plot that has nothing to draw

A figure that was made for a plot grows with its legend, title and rows; that of the caller, or one of a given ``figsize``,
keeps its size. Sizes, fonts, ink and paper are those of the user's style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast
from weakref import WeakSet

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from cosai_nb import arguments
from cosai_nb.errors import FrameError, SettingsError
from cosai_nb.views.figure import Series, mark
from cosai_nb.views.plots.text import cut, families, folded, label, width
from cosai_nb.views.wording import NO_JOBS, NO_TIMES, facts, moment, printable, whole_duration, window

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from cosai_nb.stats.measures import Floats
    from cosai_nb.views.wording import About

Dash = Literal["-", "-.", "none"] | tuple[int, tuple[float, ...]]
By = str | Sequence[str] | None
Shares = Sequence[float]
Size = tuple[float, float] | None
Width = str | timedelta | None
Zone = str | tzinfo
Data = pd.DataFrame | None
Look = dict[str, Any]
DISPLAY_ZONE = "Asia/Shanghai"
"""The service writes its times in +0800."""
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, GREY = "#E69F00", "#56B4E9", "#7F7F7F"
"""Okabe and Ito's colours, which differ for every kind of colour vision; yellow is too pale for lines on white."""
_COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)
_DASHES: tuple[Dash, ...] = ("-", (0, (6, 2)), (0, (2, 1.2)), "-.", (0, (8, 2, 2, 2, 2, 2)))
_MARKERS = "osD^vPX"
MOST_GROUPS = len(_COLORS)
"""Lines in one plot that can still be told apart."""
MOST_WINDOWS = 300
"""Windows of time in a plot: more are a solid block."""
_WIDTHS = ("1h", "3h", "6h", "12h", "1D", "7D")
_FINE_TICKS = (0, 1, 2, 5, 10, 30, 60, 120, 300, 600)
_COARSE_TICKS = (0, 1, 10, 60, 600, 3600, 36_000, 345_600, 3_456_000, 34_560_000)
_TICK_WIDTH, _TICK_HEIGHT = 46, 14
"""Points that the name of a tick needs."""
without_tex = mpl.rc_context({"text.usetex": False})
"""Decorates what draws pages and widgets: a label is no LaTeX, which may not be installed either."""
_FAINT = 0.7
_LINE, _LEGEND_LINE = 1.25, 1.5
"""Height of a line, of the font's size."""
_TITLE = 1.2
"""Size of the title, of that of other texts."""
_BOLD = 1.15
"""Width of bold letters, of that of others."""
_AXIS, _HANDLE, _LEAST = 7, 6.2, 9
"""Widths, of the font's size: what the names of ticks and a handle of a legend take, and what a line has at least."""
_NARROW_INCHES = 5.0
_BELOW_LABEL = 0.56
"""Inches from the data down to the legend: tick labels and the axis label fit in between."""
_LEGEND_SHARE = 0.42
"""Share of the height of an Axes that its legend may take where the figure does not grow with it."""
_ROWS_SHARE = 0.55
"""Share of the axes' width that names and notes beside the rows may take; longer ones stand above them."""
_ONE_LINE, _TWO_LINES = 0.24, 0.36
"""Inches that a row needs with its name beside it, and above it."""
_FEWEST_ROWS = 3
"""Rows that there is room for at least, so that a single bar is no wall."""
_COUNT_BARS = 0.13
"""Share of the height that bars of numbers of jobs may fill."""
_MARKER_WIDTH = 10
_PER = {"1 min": "minute", "1 h": "hour", "1 d": "day", "7 d": "week"}
_GROWING: WeakSet[Figure] = WeakSet()
"""Figures that were made for one plot."""


class Style(NamedTuple):
    """How one group is drawn."""

    color: str
    dash: Dash
    marker: str


class Entry(NamedTuple):
    """A line of a legend, and what can be pointed at under its name."""

    handle: Artist
    name: str
    detail: str = ""
    series: Series | None = None


class RowStyle(NamedTuple):
    """How rows were named: the height that a bar may have of its row, and the width of the names to the left of the data."""

    bar: float
    left: float


# --- the axes ---


def offscreen_axes(width: float = 8.6, height: float = 4.6) -> Axes:
    """Return Axes in a figure (inches) that pyplot does not keep."""
    figure = Figure(figsize=(width, height), layout="constrained")
    _GROWING.add(figure)
    ax = figure.subplots()
    ax.spines[:].set_in_layout(False)  # they are where the data end, and ask for all ticks to know it
    return ax


def new_axes(ax: Axes | None, figsize: Size = None, size: Size = (8.6, 4.6)) -> Axes:
    """Return ``ax``, or where it is None Axes in a pyplot figure, which notebooks show below the cell."""
    if ax is None:
        import matplotlib.pyplot as plt  # noqa: PLC0415 - half a second, and a backend, only where it is wanted

        figure, ax = plt.subplots(figsize=figsize or size, layout="constrained")
        if figsize is None:
            _GROWING.add(figure)
    elif figsize is not None:
        raise SettingsError("figsize= is the size of a new figure; the figure of ax= has one already.")
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    if text_size(ax) != "medium":
        ax.tick_params(labelsize=text_size(ax))
    return ax


def split_data(data: pd.DataFrame, plot: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the rows that a plot is to draw and what is known of them, or say that they are not what its ``_data`` returned.

    The rows have no attrs any more: pandas copies them, all the way down, at each step.
    """
    if not isinstance(data, pd.DataFrame) or "about" not in data.attrs:
        raise FrameError(
            f"data= takes the frame that {plot}_data returned, with its attrs; this one lacks them: make it again."
        )
    rows = data.copy(deep=False)
    rows.attrs = {}
    return rows, cast("dict[str, Any]", data.attrs)


def show_message(ax: Axes, sentence: str) -> Axes:
    """Leave the axes without data and say why."""
    ax.set_axis_off()
    write_inside(ax, sentence)
    return ax


def write_inside(ax: Axes, sentence: str) -> None:
    """Write a sentence in the middle of the axes."""
    place: Look = {"transform": ax.transAxes, "ha": "center", "va": "center"}
    ax.text(0.5, 0.5, sentence, wrap=True, fontfamily=families(), **place)


def nothing_known(ax: Axes, about: About) -> Axes:
    """Say why a plot of durations is empty: no jobs, or no usable times."""
    return show_message(ax, NO_TIMES if about.jobs else NO_JOBS)


# --- colours ---


def ink() -> str:
    """Return the colour of text in the user's style."""
    return to_hex(mpl.rcParams["text.color"])


def group_style(number: int) -> Style:
    """Return how the group of this number is drawn: in the colours of a style sheet that has its own.

    Examples
    --------
    >>> group_style(0).color, group_style(0).marker == group_style(1).marker
    ('#0072B2', False)
    """
    cycle = mpl.rcParams["axes.prop_cycle"]
    own = cycle != mpl.rcParamsDefault["axes.prop_cycle"]
    colors = [to_hex(color) for color in cycle.by_key().get("color", _COLORS)] if own else _COLORS
    return Style(
        colors[number % len(colors)], _DASHES[number % len(_DASHES)], _MARKERS[number % len(_MARKERS)]
    )


def legend_handle(
    color: str, *, dash: Dash = "none", marker: str = "", hollow: bool = False, size: float = 6
) -> Line2D:
    """Return what stands in a legend for a line, or for marks, which may be hollow."""
    inside = mpl.rcParams["axes.facecolor"] if hollow else color
    return Line2D([], [], color=color, ls=dash, lw=1.8, marker=marker, ms=size, mfc=inside)


# --- time ---


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


def window_width(first: pd.Timestamp, last: pd.Timestamp) -> str:
    """Return the finest width of windows that a plot of this span can show.

    Examples
    --------
    >>> days = pd.date_range("2026-11-02", periods=3, freq="365D", tz="UTC")
    >>> window_width(days[0], days[0] + pd.Timedelta("7D")), window_width(days[0], days[2])
    ('1h', '7D')
    """
    return finest_width(last - first, _WIDTHS, MOST_WINDOWS)


def finest_width(span: pd.Timedelta, widths: Sequence[str], most: int) -> str:
    """Return the finest of some widths that cuts a span into few enough windows."""
    return next((width for width in widths if not span / pd.Timedelta(width) > most), widths[-1])


def local_times(times: pd.Series, tz: str) -> list[pd.Timestamp]:
    """Return times as clocks of a zone show them."""
    return list(times.dt.tz_convert(arguments.zone(tz)).dt.tz_localize(None))


def window_words(starts: pd.Series, span: pd.Timedelta, tz: str) -> list[str]:
    """Return windows as one says them on the clocks of a zone."""
    return [window(start, span) for start in local_times(starts, tz)]


def day_numbers(times: Any) -> npt.NDArray[np.float64]:
    """Return zone-aware times as matplotlib counts them."""
    utc = pd.Series(times).dt.tz_convert("UTC").dt.tz_localize(None)
    return np.asarray(date2num(utc), dtype=np.float64)  # type: ignore[no-untyped-call]  # matplotlib's


def stairs(ax: Axes, heights: Floats, edges: Floats, baseline: Any = 0, **look: Any) -> Artist:
    """Draw what ``Axes.stairs`` does, which looks at step after step for the limits."""
    steps = ax.add_artist(StepPatch(heights, edges, baseline=baseline, **look))
    low, high = 0 if baseline is None else np.nanmin(baseline), np.nanmax(heights, initial=0)
    ax.update_datalim([(edges[0], low), (edges[-1], high)])
    ax.autoscale_view()
    return steps


def without_gaps(windows: pd.DataFrame, span: pd.Timedelta) -> pd.DataFrame:
    """Put a row of NaN where windows have no jobs, so that neither line nor band bridges them."""
    known = windows.sort_values("time")
    after_gap = known["time"].diff() > 1.5 * span  # a day may have 25 hours
    ends = known["time"][after_gap.shift(-1, fill_value=False)] + span, known["time"][after_gap] - span
    return pd.concat([known, pd.concat(ends).to_frame()]).sort_values("time", ignore_index=True)


# --- scales ---


def by_text(by: Sequence[str]) -> str:
    """Return how a title names the groups.

    Examples
    --------
    >>> by_text(["tag", "queue_id"]), by_text([])
    (' by tag and queue', '')
    """
    names = ["queue" if name in {"queue_id", "queue_name"} else label(name) for name in by]
    return f" by {' and '.join(names)}" if by else ""


def ticks_up_to(top: float) -> list[int]:
    """Return the ticks of a logarithmic axis of seconds; few enough for a narrow figure.

    Examples
    --------
    >>> ticks_up_to(40), ticks_up_to(5000)
    ([0, 1, 2, 5, 10, 30], [0, 1, 10, 60, 600, 3600])
    """
    return [tick for tick in (_FINE_TICKS if top <= _FINE_TICKS[-1] else _COARSE_TICKS) if tick <= top]


class SpacedLocator(FixedLocator):
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
    top = max(longest, 10) * (1.25 if which == "x" else 2)
    limits(-0.12, top)
    duration_ticks(axis, top)
    label_axis(axis, f"{text} (log scale)")


def duration_ticks(axis: Axis, top: float) -> None:
    """Name the round durations up to one, as many as there is room for."""
    apart = _TICK_WIDTH if axis is axis.axes.xaxis else _TICK_HEIGHT
    axis.set_major_locator(SpacedLocator(ticks_up_to(top), apart))
    axis.set_major_formatter(FuncFormatter(lambda value, _: whole_duration(value)))
    axis.set_minor_locator(NullLocator())


def clock_axis(axis: Axis, tz: str, of: str = "time") -> None:
    """Make a horizontal axis of times speak of one zone, and say whose times they are."""
    zone = arguments.zone(tz)
    locator = AutoDateLocator(tz=zone, minticks=4, maxticks=9)  # type: ignore[no-untyped-call]  # matplotlib's
    axis.set_major_locator(locator)
    concise = ConciseDateFormatter(locator, tz=zone)  # type: ignore[no-untyped-call]  # matplotlib's
    axis.set_major_formatter(concise)
    axis.get_offset_text().set_fontsize(text_size(axis.axes))
    label_axis(axis, f"{of} ({label(tz)})")
    if text_size(axis.axes) == "small":  # the date stands at the right end of the same line
        axis.label.set(x=0, horizontalalignment="left")


def count_axis(axis: Axis, text: str) -> None:
    """Make an axis count whole things."""
    axis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    label_axis(axis, text)


def label_axis(axis: Axis, text: str, size: str = "") -> None:
    """Say what an axis counts; where it is short, what stands in brackets gets a line of its own."""
    ax, box, size = axis.axes, axis.axes.bbox, size or text_size(axis.axes)
    inches = (box.width if axis is ax.xaxis else box.height) / cast("Figure", ax.figure).dpi
    short = width(text) * _points(size) > 72 * inches
    axis.set_label_text(text.replace(" (", "\n(") if short else text, fontsize=size)


# --- around the data ---


def headline(ax: Axes, what: str, said: str, *, left: float = _AXIS) -> None:
    """Write the title and, below it in as many lines as it takes, the facts without which it may not be read.

    Both are titles of the Axes (left and right slot), so that its repr holds them; ``left`` is the width of what stands beside them.
    """
    size, room, family = text_size(ax), max(_room(ax) - left, _LEAST), families()
    title, lines = folded(what, room / _TITLE / _BOLD), folded(said, room)
    bold: Look = {"fontweight": "bold", "fontsize": _TITLE * _points(size), "fontfamily": family}
    ax.set_title("\n".join(title) + "\n" * len(lines), loc="left", y=1.0, **bold)
    below = "\n".join(lines)
    ax.set_title(below, loc="right", x=0, y=1.0, ha="left", fontsize=size, alpha=_FAINT, fontfamily=family)
    _grow(ax, (len(title) + len(lines) - 2) * _LINE * _points(size) / 72)


def add_legend(ax: Axes, entries: Sequence[Entry]) -> None:
    """Put the legend below the data; a name that begins with ``_`` is a name as well.

    A figure that was made for the plot grows with its legend. Where the caller's has little room, the names stand without
    details, and shortened where that is not enough.
    """
    if not entries:
        return
    size, room = text_size(ax), max(_room(ax) - _AXIS, _LEAST)
    line = _LEGEND_LINE * _points(size) / 72
    names = [entry.name for entry in entries]
    whole = [": ".join(filter(None, [entry.name, entry.detail])) for entry in entries]
    most = math.inf if _grows(ax) else _LEGEND_SHARE * ax.bbox.height / ax.figure.dpi / line
    for texts in (whole, names, [cut(name, room / 2 - _HANDLE) for name in names]):
        shown, ncols, rows = _arranged(texts, room)
        if rows <= most:
            break
    _grow(ax, (rows - 1) * line)
    below = ax.transAxes + ScaledTranslation(0, -_BELOW_LABEL, ax.figure.dpi_scale_trans)
    place: Look = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": below, "borderaxespad": 0}
    look: Look = {"frameon": False, "handlelength": 3.2, "labelspacing": _LEGEND_LINE - _LINE, "numpoints": 1}
    handles, numbered = [entry.handle for entry in entries], list(map(str, range(len(entries))))
    legend = ax.legend(handles, numbered, ncols=ncols, fontsize=size, **place, **look)
    for text, name in zip(legend.get_texts(), shown, strict=True):
        text.set_text(name)
        text.set_fontfamily(families())


def _arranged(names: Sequence[str], room: float) -> tuple[list[str], int, int]:
    """Return the names of a legend, and in how many columns and lines they fit into a width."""
    widths = [width(name) + _HANDLE for name in names]
    if sum(widths) <= room:
        return list(names), len(names), 1
    side_by_side = int(room // max(widths))
    if side_by_side > 1:
        return list(names), side_by_side, math.ceil(len(names) / side_by_side)
    lines = [folded(name, room - _HANDLE) for name in names]
    return ["\n".join(some) for some in lines], 1, sum(map(len, lines))


def label_rows(ax: Axes, names: Sequence[str], notes: Sequence[str]) -> RowStyle:
    """Give each row its name and a note, beside the data, or above each row where the axes are narrow."""
    rows = max(len(names), _FEWEST_ROWS)
    left, right = (max(map(width, texts), default=0) for texts in (names, notes))
    above = left + right > _ROWS_SHARE * _room(ax)
    _grow(ax, rows * (_TWO_LINES if above else _ONE_LINE) - ax.bbox.height / ax.figure.dpi)
    high = 72 * ax.bbox.height / ax.figure.dpi / rows
    ax.tick_params(axis="y", length=0, pad=8)
    size = min(_points(text_size(ax)), (0.4 if above else 0.8) * high)
    if above:
        _label_above(ax, names, notes, size)
        ax.set_ylim(rows - 0.6, -0.6)
        return RowStyle(0.3, 0)
    ax.set_yticks(np.arange(len(names)), labels=list(names), fontfamily=families(), fontsize=size)
    ax.set_ylim(rows - 0.5, -0.5)
    for row, note in enumerate(notes):
        _write(ax, note, (1, row), (8, 0), size)
    return RowStyle(0.6, left)


def _label_above(ax: Axes, names: Sequence[str], notes: Sequence[str], size: float) -> None:
    """Write name and note above each row; where both are too long, the name is cut first."""
    ax.set_yticks([])
    room = 0.9 * 72 * _inches_wide(ax) / size - 1
    for row, (name, note) in enumerate(zip(names, notes, strict=True)):
        kept = max(room - width(f": {note}"), room / 3)
        behind = {"facecolor": ax.get_facecolor(), "edgecolor": "none", "pad": 0}  # a line may pass there
        _write(ax, cut(f"{cut(name, kept)}: {note}", room), (0, row - 0.4), (2, 0), size, bbox=behind)


def _write(ax: Axes, text: str, place: Any, shift: Any, size: float, **more: Any) -> None:
    """Write so many points from a place: a share of the width of the data, and the height of a row, unless said otherwise."""
    where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"} | more
    ax.annotate(text, place, shift, fontsize=size, fontfamily=families(), annotation_clip=False, **where)


def row_boxes(left: Any, right: Any) -> Floats:
    """Return the boxes of rows that a pointer may be in: from one end to the other, as high as the row."""
    place = np.arange(len(left))
    return np.column_stack([left, place + 0.4, right, place - 0.4]).astype(np.float64)


def count_bars(ax: Axes, windows: pd.DataFrame, span: pd.Timedelta) -> Entry:
    """Draw numbers of jobs along the bottom, in a scale of their own that the legend gives; return their entry there.

    The axis then spans the bars, which matplotlib does not always do by itself for a single one.
    """
    created = windows.groupby("time", as_index=False)["jobs"].sum()
    middle, jobs = day_numbers(created["time"] + span / 2), created["jobs"].to_numpy()
    days = span / pd.Timedelta("1D")
    heights = np.stack([jobs / jobs.max() * _COUNT_BARS, np.full(len(jobs), np.nan)]).T
    ends = np.stack([middle - days / 2, middle + days / 2]).T
    # one artist, not looked at for limits: a patch an hour would be the costliest part of a report
    look: Look = {"color": GREY, "alpha": 0.4, "lw": 0, "transform": ax.get_xaxis_transform()}
    bars = ax.add_artist(StepPatch(heights.ravel()[:-1], ends.ravel(), fill=True, **look))
    ax.set_xlim(middle.min() - days, middle.max() + days)
    every = whole_duration(span.total_seconds())
    return Entry(bars, f"jobs per {_PER.get(every, every)}", f"at most {jobs.max():,}")


def finish(
    ax: Axes,
    title: str,
    about_it: dict[str, Any],
    entries: Sequence[Entry],
    *,
    series: Sequence[Series] = (),
    said: str = "",
    left: float = _AXIS,
    zone: str | None = None,
    markers: Any = None,
) -> Axes:
    """Write title, facts and legend of a plot, and say what can be pointed at; ``zone`` where it is over time.

    ``series`` are those that no entry of the legend names.
    """
    if zone:
        entries = [*entries, *draw_markers(ax, markers, zone)]
    said = said or facts(about_it["about"], **about_it["drawn"])
    headline(ax, f"{title}{by_text(about_it.get('by', ()))}", said, left=left)
    add_legend(ax, entries)
    mark(ax, series, entries=[entry.series for entry in entries], zone=zone)
    return ax


def draw_markers(ax: Axes, markers: Any, tz: str) -> list[Entry]:
    """Draw the markers inside the span of a plot over time, and name those that there is room for.

    Returns what stands in the legend: nothing without markers.
    """
    known = [] if markers is None else arguments.markers(markers, tz)
    if not known:
        return []
    low, high = ax.get_xlim()
    _make_headroom(ax)
    em = (high - low) / max(_room(ax) - _AXIS, _LEAST)
    times, texts = zip(*known, strict=True)
    places = day_numbers(pd.to_datetime(list(times), utc=True))
    inside = np.flatnonzero((low <= places) & (places <= high))
    free = low
    for number in inside.tolist():
        place, text = places[number], cut(label(texts[number], longest=300), _MARKER_WIDTH)
        ax.axvline(place, color=ink(), lw=0.8, alpha=_FAINT, ls=":")
        wide = (width(text) + 0.6) * em
        left = place if place + wide <= high else place - wide
        if left >= free:
            free = left + wide
            side, shift = ("left", 2) if left == place else ("right", -2)
            behind = {"facecolor": ax.get_facecolor(), "edgecolor": "none", "pad": 0.5, "alpha": _FAINT}
            where = {"xycoords": ("data", "axes fraction"), "ha": side, "va": "top", "bbox": behind}
            _write(ax, text, (place, 1), (shift, -2), _points(text_size(ax)), **where)
    out = f", {len(known) - len(inside)} outside" if len(known) > len(inside) else ""
    said = [moment(time.astimezone(arguments.zone(tz))) for time in times]
    words = [f"{said[number]}: {printable(texts[number])}" for number in inside.tolist()]
    top = np.full(len(inside), ax.get_ylim()[1])
    series = Series("markers", ink(), words, places[inside], top, single=True)
    return [Entry(Line2D([], [], color=ink(), lw=0.8, ls=":"), "markers", f"{len(inside)}{out}", series)]


def _make_headroom(ax: Axes) -> None:
    """Raise the upper end of the vertical axis by a line of text, so that no data pass through what is written there."""
    scale = ax.yaxis.get_transform()
    low, high = scale.transform(np.array(ax.get_ylim()))
    lines = 72 * ax.bbox.height / ax.figure.dpi / (_LINE * _points(text_size(ax)))
    ax.set_ylim(top=float(scale.inverted().transform(np.array([high + (high - low) / (lines - 1)]))[0]))


def text_size(ax: Axes) -> str:
    """Return the size of texts: small where the axes are."""
    return "small" if _inches_wide(ax) < _NARROW_INCHES else "medium"


def _points(size: str) -> float:
    return FontProperties(size=size).get_size_in_points()


def _inches_wide(ax: Axes) -> float:
    place = ax.get_subplotspec()
    beside = place.get_topmost_subplotspec().get_gridspec().ncols if place else 1
    return float(cast("Figure", ax.figure).bbox.width / ax.figure.dpi / beside)


def _room(ax: Axes) -> float:
    """Return the width of the axes with all that stands beside them, in sizes of their font."""
    return 72 * _inches_wide(ax) / _points(text_size(ax))


def _grows(ax: Axes) -> bool:
    """Say whether the figure was made for this plot."""
    return ax.figure in _GROWING


def _grow(ax: Axes, inches: float) -> None:
    """Make a figure higher where it was made for this plot; the caller's keeps its size."""
    if _grows(ax) and inches > 0:
        figure = cast("Figure", ax.figure)
        width, height = figure.get_size_inches()
        figure.set_size_inches(width, height + inches)
