"""Did it get slower? Quantiles of the queue latency before and after."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cosai_nb.stats.compare import FASTER, SLOWER, compare
from cosai_nb.stats.latency import count_latency, name_of, read_shares
from cosai_nb.stats.measures import group_columns
from cosai_nb.table.dtypes import TEXT
from cosai_nb.views.figure import Series
from cosai_nb.views.plots import axes
from cosai_nb.views.plots.axes import Entry
from cosai_nb.views.plots.text import Groups, describe, flat, keep_largest, keys_of, queue_names
from cosai_nb.views.wording import NO_JOBS, NO_TIMES, about, duration, facts, jobs_in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from cosai_nb.views.plots.axes import By, Data, Shares, Size

_MOST_ROWS = 20
_POINT = 9
_SHOWN = [
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
_NOT_REACHED = "No quantile is reached on either side: too few jobs have started."


def before_after_data(before: Any, after: Any, *, by: By = None, q: Shares = (0.5, 0.95)) -> pd.DataFrame:
    """Return the comparison that :func:`before_after` draws.

    Parameters
    ----------
    before, after : pandas.DataFrame, path, JobStore or DurationHistogram
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

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Scenario
    >>> with cn.Emulator(scenario=Scenario(jobs=400, duration_h=1.0)) as emulator:
    ...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
    >>> cn.plots.before_after_data(jobs[:200], jobs[200:]).columns.tolist()
    ['quantile', 'before', 'after', 'difference', 'low', 'high', 'verdict', 'p_value', 'jobs_before', 'jobs_after']
    """
    names = list(group_columns(by))
    sides = count_latency(before, names), count_latency(after, names)
    quantiles = {name_of(part): part for part in sorted(read_shares(tuple(q)))}
    tables = [
        flat(compare(*sides, q=part, by=names or None, detail=True), names)
        .rename(columns={f"{name}_before": "before", f"{name}_after": "after"})
        .assign(quantile=name)
        for name, part in quantiles.items()
    ]
    whole = pd.concat(tables)[[*names, *_SHOWN]].sort_index(kind="stable").reset_index(drop=True)
    sizes = whole.assign(jobs=whole["jobs_before"] + whole["jobs_after"])
    whole, cut = keep_largest(whole, names, sizes, most=max(_MOST_ROWS // len(tables), 1))
    named = whole.astype({"quantile": TEXT})
    known = describe(before, names, cut, about(sides[1]), about_before=about(sides[0]))
    named.attrs = known | {"names": known["names"] | queue_names(after, names)}
    return named


def before_after(
    before: Any = None,
    after: Any = None,
    *,
    by: By = None,
    q: Shares = (0.5, 0.95),
    ax: Axes | None = None,
    figsize: Size = None,
    data: Data = None,
) -> Axes:
    """Draw quantiles of the queue latency before and after, and the difference with its 95 % interval beside them.

    Parameters
    ----------
    before, after, by, q
        As in :func:`before_after_data`.
    ax, figsize, data
        As in :func:`cosai_nb.plots.queue_latency`; ``data`` is what :func:`before_after_data` returned.

    Returns
    -------
    matplotlib.axes.Axes
        A row per group and quantile: hollow before, filled after; a grey line where no difference is shown.

    Raises
    ------
    TypeError, FrameError, FileError, SettingsError
        As :func:`before_after_data`; or ``data`` is not what it returned.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Scenario
    >>> with cn.Emulator(scenario=Scenario(jobs=400, duration_h=1.0)) as emulator:
    ...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
    >>> cn.plots.before_after(jobs[:200], jobs[200:]).get_title(loc="left").strip()
    'Queue latency before and after'
    """
    data = before_after_data(before, after, by=by, q=q) if data is None else data
    data, about_it = axes.split_data(data, "before_after")
    ax = axes.new_axes(ax, figsize, (9.6, 1.8 + 0.4 * max(len(data), 3)))
    if not (about_it["about_before"].jobs and about_it["about"].jobs):
        return axes.show_message(ax, f"Nothing to compare. {NO_JOBS}")
    known = data[["before", "after"]].to_numpy()
    finite = known[np.isfinite(known)]
    if not finite.size:
        return axes.show_message(ax, NO_TIMES if np.isnan(known).all() else _NOT_REACHED)
    keys = keys_of(data, about_it["by"])
    groups = Groups.of(about_it, keys, longest=26 if axes.text_size(ax) == "medium" else 16)
    pairs = list(zip(keys, data["quantile"], strict=True))
    names = [f"{name}  {groups.short[key]}".strip() for key, name in pairs]
    changes = [_in_words(row) for row in data.itertuples(index=False)]
    rows = axes.label_rows(ax, names, changes)
    colors = data["verdict"].map({SLOWER: axes.VERMILION, FASTER: axes.GREEN}).fillna(axes.GREY).tolist()
    _draw_pairs(ax, data, colors)
    axes.duration_log_axis(ax, "x", float(finite.max()), "queue latency")
    ax.grid(axis="x", alpha=0.25)
    earlier, later = facts(about_it["about_before"]), facts(about_it["about"], **about_it["drawn"])
    entries = [
        Entry(axes.legend_handle(axes.GREY, marker="o", hollow=side == "before", size=_POINT), side)
        for side in ("before", "after")
    ]
    numbers = [map(jobs_in_words, data[f"jobs_{side}"]) for side in ("before", "after")]
    words = [
        f"{f'{name} {groups.whole[key]}'.strip()}: {change}; {one} before, {other} after"
        for (key, name), change, one, other in zip(pairs, changes, *numbers, strict=True)
    ]
    left, right = (np.full(len(data), end) for end in ax.get_xlim())
    boxes, picks = axes.row_boxes(left, right), [groups.picks[key] for key in keys]
    series = Series("change", axes.GREY, words, boxes=boxes, picks=picks)
    title, said = "Queue latency before and after", f"before: {earlier}; after: {later}"
    return axes.finish(ax, title, about_it, entries, series=[series], said=said, left=rows.left)


def _draw_pairs(ax: Axes, rows: pd.DataFrame, colors: Sequence[str]) -> None:
    """Draw a line from before, hollow, to after; its colour is the verdict."""
    place = np.arange(len(rows))
    before, after = (np.where(np.isfinite(rows[side]), rows[side], np.nan) for side in ("before", "after"))
    ax.hlines(place, before, after, colors=list(colors), linewidth=3, alpha=0.6)
    for seconds, inside in ((before, ax.get_facecolor()), (after, colors)):
        ax.scatter(seconds, place, _POINT**2, fc=inside, ec=list(colors), clip_on=False, zorder=3)


def _in_words(row: Any) -> str:
    if math.isinf(row.before) and math.isinf(row.after):
        return "more than observed on both sides"
    change = f"{duration(row.before)} → {duration(row.after)}: {row.verdict}"
    known = math.isfinite(row.low) or math.isfinite(row.high)
    return f"{change} ({_signed(row.low)} to {_signed(row.high)})" if known else change


def _signed(seconds: float) -> str:
    if math.isinf(seconds):
        return "unbounded"
    return f"{'+' if seconds > 0 else '−' if seconds < 0 else ''}{duration(abs(seconds))}"
