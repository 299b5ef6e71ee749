"""The margins of a figure: what stands around the data is measured once, where constrained layout does it thrice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.layout_engine import LayoutEngine
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.transforms import Bbox, ScaledTranslation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_PAD_INCHES = 0.06
_LEAST = 0.1
"""Share of the figure that the data keeps, whatever stands around it."""


class OnePass(LayoutEngine):
    """A layout for figures of one plot: margins that names, titles, legend and notes fit in."""

    _adjust_compatible = True
    _colorbar_gridspec = True

    def execute(self, fig: Figure) -> None:
        """Set the margins of a figure; matplotlib calls it before it draws."""
        taken = Bbox.union([_taken(ax) for ax in fig.axes])
        left, bottom, right, top = taken.transformed(fig.transSubfigure.inverted()).extents
        now, pad = fig.subplotpars, _PAD_INCHES / fig.get_size_inches()
        margins = {"left": now.left - left + pad[0], "bottom": now.bottom - bottom + pad[1]}
        ends = {"right": now.right + 1 - right - pad[0], "top": now.top + 1 - top - pad[1]}
        for begin, end in zip(margins, ends, strict=True):
            margins[begin] = min(max(margins[begin], 0), 1 - 2 * _LEAST)
            ends[end] = min(max(ends[end], margins[begin] + _LEAST), 1)
        fig.subplots_adjust(**margins, **ends)


def _taken(ax: Axes) -> Bbox:
    """Return the room that an Axes takes with all that stands around it."""
    boxes = [ax.bbox]
    if ax.axison:
        boxes += [_place_name(axis) for axis in (ax.xaxis, ax.yaxis)]
    for child in ax.get_children():
        if isinstance(child, Legend) or (isinstance(child, Text) and child.get_text()):
            box = child.get_window_extent()
            is_title = child not in ax.texts and isinstance(child, Text)
            boxes.append(Bbox.from_extents(ax.bbox.x0, box.y0, ax.bbox.x1, box.y1) if is_title else box)
    return Bbox.union(boxes)


def _place_name(axis: Axis) -> Bbox:
    """Put the name of an axis behind the names of its ticks, and return the room of both.

    Left to itself, matplotlib measures each tick again, before and while it draws, to find that place.
    """
    inside, dpi, side = axis.axes.bbox, axis.axes.figure.dpi, axis.get_label_position()
    aside = [text for text in (axis.label, axis.offsetText) if text.get_visible()]
    for text in aside:
        text.set_visible(False)
    axis.set_label_coords(0.5, 0.5)
    ticks = axis.get_tightbbox() or inside
    for text in aside:
        text.set_visible(True)
    gap = axis.labelpad / 72
    place, shift = {
        "bottom": ((0.5, 0), (0, (ticks.y0 - inside.y0) / dpi - gap)),
        "top": ((0.5, 1), (0, (ticks.y1 - inside.y1) / dpi + gap)),
        "left": ((0, 0.5), ((ticks.x0 - inside.x0) / dpi - gap, 0)),
        "right": ((1, 0.5), ((ticks.x1 - inside.x1) / dpi + gap, 0)),
    }[side]
    moved = ScaledTranslation(*shift, axis.axes.figure.dpi_scale_trans)
    axis.set_label_coords(*place, transform=axis.axes.transAxes + moved)
    if not axis.label.get_text():
        return ticks
    name = axis.label.get_window_extent()
    if side in {"bottom", "top"}:
        name = Bbox.from_extents(ticks.x0, name.y0, ticks.x1, name.y1)
    else:
        name = Bbox.from_extents(name.x0, ticks.y0, name.x1, ticks.y1)
    return Bbox.union([ticks, name])
