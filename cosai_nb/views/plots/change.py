"""Did it get slower? Quantiles of the queue latency before and after."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cosai_nb.stats.change import FASTER, SLOWER, compare
from cosai_nb.stats.frames import group_columns
from cosai_nb.stats.histogram import as_histogram
from cosai_nb.views.plots import style
from cosai_nb.views.plots.around import Entry, headline, name_lines, name_rows
from cosai_nb.views.plots.parts import NO_JOBS, NO_TIMES, facts, keep_largest, name_groups, plain
from cosai_nb.views.plots.slots import quantile_names
from cosai_nb.views.plots.text import labels
from cosai_nb.views.wording import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from cosai_nb.stats.histogram import DurationHistogram

_MOST_ROWS = 20
_POINT = 9


def before_after_data(
    before: pd.DataFrame | DurationHistogram,
    after: pd.DataFrame | DurationHistogram,
    *,
    by: str | Sequence[str] | None = None,
    q: Sequence[float] = (0.5, 0.95),
) -> pd.DataFrame:
    """Return the comparison that :func:`before_after` draws.

    Parameters
    ----------
    before, after : pandas.DataFrame or DurationHistogram
        The jobs of two windows, best of the same weekdays and hours.
    by : str or list of str, optional
        Columns to group by.
    q : sequence of float
        Quantiles between 0 and 1.

    Returns
    -------
    pandas.DataFrame
        A row per quantile of the groups with the most jobs, at most 20 rows: the columns of ``by``; ``quantile`` (``p95`` say); ``before``, ``after`` [s];
        and of :func:`cosai_nb.compare` the columns ``difference, low, high, verdict, p_value, jobs_before, jobs_after``.

    Raises
    ------
    TypeError, FrameError
        A side is no frame, or lacks a column.
    ValueError
        ``q`` is not between 0 and 1.
    """
    names = list(group_columns(by))
    sides = as_histogram(before, names), as_histogram(after, names)
    tables = [
        compare(*sides, q=share, by=by)
        .reset_index(drop=not names)
        .rename(columns={f"{name}_before": "before", f"{name}_after": "after"})
        .assign(quantile=name)
        for name, share in quantile_names(q).items()
    ]
    shown = [
        "quantile",
        "before",
        "after",
        "difference",
        "low",
        "high",
        "verdict",
        "p_value",
        "jobs_before",
        "jobs_after",
    ]
    cut: dict[str, int] = {}
    whole = pd.concat(tables)[[*names, *shown]].sort_index(kind="stable").reset_index(drop=True)
    if names:
        sizes = whole.assign(jobs=whole["jobs_before"] + whole["jobs_after"])
        largest = sizes.groupby(names, dropna=False, sort=False)["jobs"].max()
        whole, cut = keep_largest(whole, names, largest, most=max(_MOST_ROWS // len(tables), 1))
    named = name_groups(whole, [*names, "quantile"])
    named.attrs["drawn"] = cut
    return named


def before_after(
    before: pd.DataFrame | DurationHistogram,
    after: pd.DataFrame | DurationHistogram,
    *,
    by: str | Sequence[str] | None = None,
    q: Sequence[float] = (0.5, 0.95),
    ax: Axes | None = None,
) -> Axes:
    """Draw quantiles of the queue latency before and after, and the difference with its 95 % interval beside them.

    Parameters
    ----------
    before, after : pandas.DataFrame or DurationHistogram
        The jobs of two windows, best of the same weekdays and hours.
    by : str or list of str, optional
        Columns to group by.
    q : sequence of float
        Quantiles between 0 and 1.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new pyplot figure.

    Returns
    -------
    matplotlib.axes.Axes
        A row per group and quantile: hollow before, filled after; a grey line where no difference is shown.

    Raises
    ------
    TypeError, FrameError
        A side is no frame, or lacks a column.
    ValueError
        ``q`` is not between 0 and 1.

    See Also
    --------
    before_after_data : the comparison as a frame.
    """
    names = group_columns(by)
    sides = as_histogram(before, names), as_histogram(after, names)
    rows = before_after_data(*sides, by=by, q=q)
    ax = style.sheet(ax, width=9.6, height=1.8 + 0.4 * max(len(rows), 3))
    if not all(side.jobs for side in sides):
        return style.say(ax, f"Nothing to compare. {NO_JOBS}")
    known = rows[["before", "after"]].to_numpy()
    finite = known[np.isfinite(known)]
    if not finite.size:
        return style.say(
            ax,
            NO_TIMES
            if np.isnan(known).all()
            else "No quantile is reached on either side: too many jobs still wait.",
        )
    named = name_rows(ax, _row_names(rows, names), [_in_words(row) for row in rows.itertuples(index=False)])
    _draw_pairs(ax, rows)
    style.duration_log_axis(ax, "x", float(finite.max()), "queue latency")
    ax.grid(axis="x", alpha=0.25)
    headline(
        ax,
        f"Queue latency before and after{style.by_text(names)}",
        f"before: {facts(sides[0])}; after: {facts(sides[1], **rows.attrs['drawn'])}",
        left=named.left,
    )
    name_lines(
        ax,
        [
            Entry(style.handle(style.GREY, marker="o", hollow=hollow, size=_POINT), side)
            for side, hollow in (("before", True), ("after", False))
        ],
    )
    return ax


def _row_names(rows: pd.DataFrame, names: Sequence[str]) -> list[str]:
    if not names:
        return rows["quantile"].tolist()
    keys = [plain(key) for key in zip(*(rows[name] for name in names), strict=True)]
    texts = dict(zip(dict.fromkeys(keys), labels(list(dict.fromkeys(keys)), longest=26), strict=True))
    return [f"{texts[key]}  {name}" for key, name in zip(keys, rows["quantile"], strict=True)]


def _draw_pairs(ax: Axes, rows: pd.DataFrame) -> None:
    """Draw a line from before, hollow, to after; its colour is the verdict."""
    place = np.arange(len(rows))
    colors = rows["verdict"].map({SLOWER: style.VERMILION, FASTER: style.GREEN}).fillna(style.GREY).tolist()
    before, after = (np.where(np.isfinite(rows[side]), rows[side], np.nan) for side in ("before", "after"))
    ax.hlines(place, before, after, colors=colors, linewidth=3, alpha=0.6)
    for seconds, inside in ((before, "white"), (after, colors)):
        ax.scatter(seconds, place, _POINT**2, facecolor=inside, edgecolor=colors, clip_on=False, zorder=3)


def _in_words(row: Any) -> str:
    if math.isinf(row.before) and math.isinf(row.after):
        return "not reached on either side"
    change = f"{duration(row.before)} → {duration(row.after)}: {row.verdict}"
    known = math.isfinite(row.low) or math.isfinite(row.high)
    return f"{change} ({_signed(row.low)} to {_signed(row.high)})" if known else change


def _signed(seconds: float) -> str:
    if math.isinf(seconds):
        return "unbounded"
    return f"{'+' if seconds > 0 else '−' if seconds < 0 else ''}{duration(abs(seconds))}"
