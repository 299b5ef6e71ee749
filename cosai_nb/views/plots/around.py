"""What stands around the data: title, facts, names of axes and rows, legend; as long and as large as there is room for.

::

    headline(ax, what, facts)            the title, and below it the number of jobs and what else must be known
    name_axis(axis, text)                what an axis counts
    name_lines(ax, entries)              the legend, Entry(handle, name, detail), below the data
    name_rows(ax, names, notes)          one category a row, the first on top, and what is known of it
    text_size(ax)                        small where the sheet is
"""

from __future__ import annotations

import math
from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.transforms import ScaledTranslation

from cosai_nb.views.plots.layout import OnePass
from cosai_nb.views.plots.text import columns, cut, families

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.text import Text

_FAINT = 0.7
_LETTER, _LINE, _LEGEND_LINE = 0.58, 1.25, 1.5
"""Mean width of a letter and height of a line, of the font's size."""
_BOLD = 1.45
"""Width of a letter of the title, in letters of the facts."""
_AXIS, _HANDLE, _FEWEST = 12, 10, 16
"""Letters that the names of ticks and a handle of a legend take, and that a line has at least."""
_NARROW_INCHES = 5.0
_BELOW_LABEL = 0.56
"""Inches from the data down to the legend: tick labels and the axis label fit in between."""
_LEGEND_SHARE = 0.42
"""Share of the height of an Axes that its legend may take where the figure does not grow with it."""
_ROWS_SHARE = 0.7
"""Share of the sheet's width that names and notes beside the rows may take; longer ones stand above them."""
_ONE_LINE, _TWO_LINES = 0.24, 0.36
"""Inches that a row needs with its name beside it, and above it."""
_FEWEST_ROWS = 3
"""Rows that there is room for at least, so that a single bar is no wall."""


class Entry(NamedTuple):
    """A line of a legend."""

    handle: Artist
    name: str
    detail: str = ""


class Rows(NamedTuple):
    """How rows were named: the height that a bar may have of its row, and the letters to the left of the data."""

    bar: float
    left: int


def headline(ax: Axes, what: str, facts: str, *, left: int = _AXIS) -> None:
    """Write the title and, below it in as many lines as it takes, the facts without which it may not be read.

    Both are titles of the Axes (left and right slot), so that its repr holds them; ``left`` letters stand beside them.
    """
    size, room, family = text_size(ax), max(_room(ax) - left, _FEWEST), families()
    title, lines = wrap(what, int(room / _BOLD)), wrap(facts, room)
    ax.set_title(
        "\n".join(title) + "\n" * len(lines),
        loc="left",
        y=1.0,
        fontweight="bold",
        fontsize=1.2 * _points(size),
        fontfamily=family,
    )
    below = "\n".join(lines)
    ax.set_title(below, loc="right", x=0, y=1.0, ha="left", fontsize=size, alpha=_FAINT, fontfamily=family)
    _grow(ax, (len(title) + len(lines) - 2) * _LINE * _points(size) / 72)


def name_axis(axis: Axis, text: str) -> None:
    """Say what an axis counts; where it is short, what stands in brackets gets a line of its own."""
    ax, box, size = axis.axes, axis.axes.bbox, text_size(axis.axes)
    inches = (box.width if axis is ax.xaxis else box.height) / cast("Figure", ax.figure).dpi
    short = len(text) > _letters(inches, size)
    axis.set_label_text(text.replace(" (", "\n(") if short else text, fontsize=size)


def name_lines(ax: Axes, entries: Sequence[Entry]) -> None:
    """Put the legend below the data; a name that begins with ``_`` is a name as well.

    A figure that was made for the plot grows with its legend. Where the caller's has little room, the names stand without
    details, and shortened where that is not enough.
    """
    if not entries:
        return
    size, room = text_size(ax), max(_room(ax) - _AXIS, _FEWEST)
    line = _LEGEND_LINE * _points(size) / 72
    names = [entry.name for entry in entries]
    whole = [": ".join(filter(None, entry[1:])) for entry in entries]
    most = math.inf if _own(ax) else _LEGEND_SHARE * ax.bbox.height / ax.figure.dpi / line
    for texts in (whole, names, [cut(name, room // 2 - _HANDLE) for name in names]):
        shown, ncols, rows = _arranged(texts, room)
        if rows <= most:
            break
    _grow(ax, (rows - 1) * line)
    legend = ax.legend(
        [entry.handle for entry in entries],
        [f"line {number}" for number in range(len(entries))],
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=ax.transAxes + ScaledTranslation(0, -_BELOW_LABEL, ax.figure.dpi_scale_trans),
        ncols=ncols,
        frameon=False,
        borderaxespad=0,
        handlelength=3.2,
        labelspacing=_LEGEND_LINE - _LINE,
        fontsize=size,
        numpoints=1,
    )
    for text, name in zip(legend.get_texts(), shown, strict=True):
        text.set_text(name)
        text.set_fontfamily(families())


def _arranged(names: Sequence[str], room: int) -> tuple[list[str], int, int]:
    """Return the names of a legend, and in how many columns and lines they fit into so many letters."""
    widths = [columns(name) + _HANDLE for name in names]
    if sum(widths) <= room:
        return list(names), len(names), 1
    side_by_side = room // max(widths)
    if side_by_side > 1:
        return list(names), side_by_side, math.ceil(len(names) / side_by_side)
    lines = [wrap(name, room - _HANDLE, break_long_words=False, break_on_hyphens=False) for name in names]
    return ["\n".join(some) for some in lines], 1, sum(map(len, lines))


def name_rows(ax: Axes, names: Sequence[str], notes: Sequence[str]) -> Rows:
    """Give each row its name and a note, beside the data, or above each row where the sheet is narrow."""
    rows = max(len(names), _FEWEST_ROWS)
    left, right = (max(map(columns, texts), default=0) for texts in (names, notes))
    above = left + right > _ROWS_SHARE * _room(ax)
    _grow(ax, rows * (_TWO_LINES if above else _ONE_LINE) - ax.bbox.height / ax.figure.dpi)
    high = 72 * ax.bbox.height / ax.figure.dpi / rows
    ax.tick_params(axis="y", length=0, pad=8)
    if above:
        _name_above(ax, names, notes, min(_points("small"), 0.4 * high))
        ax.set_ylim(rows - 0.6, -0.6)
        return Rows(0.3, 0)
    size = min(_points("medium"), 0.8 * high)
    ax.set_yticks(np.arange(len(names)), labels=list(names), fontfamily=families(), fontsize=size)
    ax.set_ylim(rows - 0.5, -0.5)
    for row, note in enumerate(notes):
        _write(ax, row, note, (1, 8), min(_points("small"), 0.8 * high))
    return Rows(0.6, left)


def _name_above(ax: Axes, names: Sequence[str], notes: Sequence[str], size: float) -> None:
    """Write name and note above each row; where both are too long, the name is cut first."""
    ax.set_yticks([])
    room = _room(ax) - 4
    for row, (name, note) in enumerate(zip(names, notes, strict=True)):
        kept = max(room - columns(note) - 2, room // 3)
        text = _write(ax, row - 0.36, cut(f"{cut(name, kept)}: {note}", room), (0, 2), size)
        behind = {"facecolor": ax.get_facecolor(), "edgecolor": "none", "pad": 1}  # a line may pass there
        text.set_bbox(behind)


def _write(ax: Axes, row: float, text: str, place: tuple[float, float], size: float) -> Text:
    """Write at the height of a row, so many points from a share of the width of the data."""
    return ax.annotate(
        text,
        xy=(place[0], row),
        xycoords=("axes fraction", "data"),
        xytext=(place[1], 0),
        textcoords="offset points",
        va="center",
        fontsize=size,
        fontfamily=families(),
        annotation_clip=False,
    )


def text_size(ax: Axes) -> str:
    """Return the size of texts: small where the sheet is."""
    return "small" if _sheet_inches(ax) < _NARROW_INCHES else "medium"


def _points(size: str) -> float:
    return FontProperties(size=size).get_size_in_points()


def _sheet_inches(ax: Axes) -> float:
    place = ax.get_subplotspec()
    beside = place.get_topmost_subplotspec().get_gridspec().ncols if place else 1
    return float(cast("Figure", ax.figure).bbox.width / ax.figure.dpi / beside)


def _letters(inches: float, size: str) -> int:
    return int(72 * inches / (_LETTER * _points(size)))


def _room(ax: Axes) -> int:
    """Return how many letters a line of the sheet has room for."""
    return _letters(_sheet_inches(ax), text_size(ax))


def _own(ax: Axes) -> bool:
    """Say whether the figure was made for this plot."""
    return isinstance(cast("Figure", ax.figure).get_layout_engine(), OnePass)


def _grow(ax: Axes, inches: float) -> None:
    """Make a figure higher where it was made for this plot; the caller's keeps its size."""
    if _own(ax) and inches > 0:
        figure = cast("Figure", ax.figure)
        width, height = figure.get_size_inches()
        figure.set_size_inches(width, height + inches)
