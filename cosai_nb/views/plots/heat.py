"""In which hours of the week jobs wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import MaxNLocator

from cosai_nb.stats.histogram import DurationHistogram, as_histogram
from cosai_nb.stats.histogram_table import hour_times
from cosai_nb.views.plots import style
from cosai_nb.views.plots.around import headline, name_axis
from cosai_nb.views.plots.parts import NO_JOBS, NO_TIMES, facts
from cosai_nb.views.plots.slots import quantile_names, slot_quantiles
from cosai_nb.views.plots.text import label

if TYPE_CHECKING:
    from datetime import tzinfo

    from matplotlib.axes import Axes

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = 24


def heatmap_data(
    jobs: pd.DataFrame | DurationHistogram, *, q: float | None = 0.95, tz: str | tzinfo = style.DISPLAY_ZONE
) -> pd.DataFrame:
    """Return the 168 hours of the week that :func:`heatmap` draws.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job, or their histogram.
    q : float or None
        The quantile of the queue latency; None for the number of jobs alone.
    tz : str or tzinfo
        Time zone of weekday and hour. The histogram knows full hours of UTC; a zone that is off by half an hour puts
        each in the hour in which it begins.

    Returns
    -------
    pandas.DataFrame, 168 rows
        ``weekday`` (category, Mon to Sun), ``hour`` (0 to 23), ``jobs``, ``not_started`` (waiting, or given up), ``p95``
        [s] (Kaplan–Meier; inf where not reached, NaN where there are no jobs) and ``p95_lower_bound``.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.
    SettingsError
        ``tz`` is no time zone.
    """
    histogram = as_histogram(jobs)
    hours, codes = histogram.coded("hour")
    local = hour_times(hours.astype(np.int64)).tz_convert(style.zone_name(tz))
    slot_of_hour = local.day_of_week.to_numpy().astype(np.int64) * _DAY + local.hour.to_numpy()
    of_cell = np.append(slot_of_hour, -1)[codes]
    quantiles = slot_quantiles(
        histogram, of_cell, len(WEEKDAYS) * _DAY, quantile_names([q]) if q is not None else {}
    )
    weekday = pd.Categorical(np.repeat(WEEKDAYS, _DAY), categories=WEEKDAYS, ordered=True)
    return pd.DataFrame({"weekday": weekday, "hour": np.tile(np.arange(_DAY), len(WEEKDAYS)), **quantiles})


def heatmap(
    jobs: pd.DataFrame | DurationHistogram,
    *,
    q: float | None = 0.95,
    tz: str | tzinfo = style.DISPLAY_ZONE,
    ax: Axes | None = None,
) -> Axes:
    """Draw a quantile of the queue latency by weekday and hour of creation; an hour without jobs is hatched, not 0.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job, or their histogram.
    q : float or None
        The quantile; None draws the number of jobs.
    tz : str or tzinfo
        Time zone of weekday and hour.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new pyplot figure.

    Returns
    -------
    matplotlib.axes.Axes
        A ``≥`` in a cell: the quantile is not reached because jobs still wait; the colour is that of its lower bound.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.
    SettingsError
        ``tz`` is no time zone.

    See Also
    --------
    heatmap_data : the cells as a frame.
    """
    histogram = as_histogram(jobs)
    tz = style.zone_name(tz)
    return draw_heatmap(heatmap_data(histogram, q=q, tz=tz), histogram, q=q, tz=tz, ax=ax)


def draw_heatmap(
    cells: pd.DataFrame,
    histogram: DurationHistogram,
    *,
    q: float | None = 0.95,
    tz: str = style.DISPLAY_ZONE,
    ax: Axes | None = None,
) -> Axes:
    """Draw what :func:`heatmap_data` returned of the jobs of a histogram."""
    ax = style.sheet(ax, width=9.6, height=3.9)
    name = "jobs" if q is None else next(iter(quantile_names([q])))
    values = _shown_values(cells, name)
    if not np.isfinite(values).any():
        return style.say(ax, NO_TIMES if histogram.jobs else NO_JOBS)
    norm = Normalize(0, values[np.isfinite(values)].max()) if q is None else _log_norm(values)
    mesh = ax.pcolormesh(
        np.ma.masked_invalid(values.reshape(len(WEEKDAYS), _DAY)),
        norm=norm,
        cmap="cividis",
        edgecolor="white",
    )
    slots = np.flatnonzero(np.isinf(cells[name]))
    ax.patch.set(facecolor="white", edgecolor="#BBBBBB", hatch="////", linewidth=0)
    if q is not None:
        _mark_open_ends(ax, slots, norm(values))
    _name_cells(ax, tz)
    _add_colorbar(ax, mesh, "jobs" if q is None else f"queue latency {name}")
    what = "Jobs created" if q is None else f"Queue latency {name}"
    open_ends = "; ≥: many still wait" if len(slots) else ""
    headline(ax, f"{what} by weekday and hour", f"{facts(histogram)}; hatched: no jobs{open_ends}")
    return ax


def _shown_values(cells: pd.DataFrame, name: str) -> np.ndarray:
    if name == "jobs":
        return cells["jobs"].where(cells["jobs"] > 0).to_numpy(dtype=np.float64)
    return cells[name].where(np.isfinite(cells[name]), cells[f"{name}_lower_bound"]).to_numpy()


def _log_norm(seconds: np.ndarray) -> LogNorm:
    """Colour by factors; a wait of 0 s has the colour of 1 s."""
    return LogNorm(1, max(float(np.nanmax(seconds)), 10), clip=True)


def _mark_open_ends(ax: Axes, slots: np.ndarray, shades: np.ndarray) -> None:
    size = min(72 * ax.bbox.width / ax.figure.dpi / _DAY * 0.45, 9)
    light = shades[slots] > 0.5  # noqa: PLR2004 - the lighter half of the colours
    for some, ink in ((slots[light], "#111111"), (slots[~light], "white")):
        if len(some):
            ax.plot(
                some % _DAY + 0.5,
                some // _DAY + 0.5,
                marker=r"$\geq$",
                ls="none",
                color=ink,
                ms=size,
                mew=0.3,
            )


def _name_cells(ax: Axes, tz: str) -> None:
    ax.set_yticks(np.arange(len(WEEKDAYS)) + 0.5, labels=WEEKDAYS)
    ax.set_xticks(np.arange(0, _DAY, 2), labels=[f"{hour:02d}" for hour in range(0, _DAY, 2)])
    ax.set_ylim(len(WEEKDAYS), 0)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    name_axis(ax.xaxis, f"hour of creation ({label(tz)})")


def _add_colorbar(ax: Axes, mesh: Any, text: str) -> None:
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02)
    bar.outline.set_visible(False)
    name_axis(bar.ax.yaxis, text)
    if isinstance(mesh.norm, LogNorm):
        style.duration_ticks(bar.ax.yaxis, mesh.norm.vmax or 1)
    else:
        bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))
