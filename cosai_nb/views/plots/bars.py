"""Numbers of jobs as bars below a curve: what a rate or a quantile over time rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.collections import PolyCollection
from matplotlib.patches import Patch

from cosai_nb.views.plots import style

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_BARS = 0.13
"""Share of the height that bars of numbers of jobs may fill."""


def count_bars(ax: Axes, middle: npt.NDArray[np.float64], jobs: npt.NDArray[np.int64], days: float) -> Artist:
    """Draw numbers of jobs along the bottom, in a scale of their own that the legend gives; return its handle.

    The axis then spans the bars, which matplotlib does not always do by itself for a single one.
    """
    heights = jobs / max(jobs.max(initial=0), 1) * _BARS
    ends = np.stack((middle - days / 2, middle + days / 2))
    floor = np.zeros_like(heights)
    corners = np.stack((ends[[0, 0, 1, 1]].T, np.stack((floor, heights, heights, floor)).T), axis=2)
    # one artist: a patch an hour would be the costliest part of a report
    bars = PolyCollection(
        list(corners), facecolor=style.GREY, alpha=0.4, linewidth=0, transform=ax.get_xaxis_transform()
    )
    ax.add_collection(bars, autolim=False)
    ax.set_xlim(middle.min() - days, middle.max() + days)
    return Patch(color=style.GREY, alpha=0.4)
