"""The shape of a table of quantiles: its columns, its index, its notes. What is measured is decided elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cosai_nb.errors import SettingsError
from cosai_nb.stats.bootstrap import (
    BUSY,
    MIN_BLOCKS,
    block_counts,
    block_hours,
    count_blocks,
    quantile_draws,
    spread,
)
from cosai_nb.stats.curves import Curve, first_reaching, kaplan_meier
from cosai_nb.stats.histogram_table import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cosai_nb.stats.histogram import DurationHistogram


NUMBER = (int, float, np.number)
_TIME = "datetime64[ms, UTC]"
_OF_PANDAS = ("str", "boolean")


class Group(NamedTuple):
    """One group, and what is known of the lines that its jobs wait in."""

    labels: tuple[Any, ...]
    jobs: DurationHistogram
    waiting: int
    growing: bool
    fifo: bool | None
    utilisation: float


def read_shares(q: float | Sequence[float]) -> tuple[float, ...]:
    """Return the quantiles asked for as a tuple; SettingsError unless all lie between 0 and 1."""
    shares = (q,) if isinstance(q, NUMBER) else tuple(q) if isinstance(q, Iterable) else ()
    if not shares or not all(isinstance(share, NUMBER) and 0 < share < 1 for share in shares):
        raise SettingsError(f"q={q!r} must be quantiles between 0 and 1, such as 0.95 or (0.5, 0.95).")
    return shares


def name_of(share: float) -> str:
    """Return the column of a quantile.

    Examples
    --------
    >>> name_of(0.95), name_of(0.999)
    ('p95', 'p99.9')
    """
    return f"p{100 * share:g}"


def quantiles(curve: Curve, shares: Sequence[float]) -> list[float]:
    """Return Kaplan–Meier quantiles [seconds]: NaN without jobs, ``inf`` where one is not reached."""
    if not len(curve.seconds):
        return [float("nan")] * len(shares)
    survival = kaplan_meier(curve.ended, curve.unfinished)
    return [float(first_reaching(curve.seconds, survival, share)) for share in shares]


def quantile(curve: Curve, share: float) -> float:
    """Return one Kaplan–Meier quantile, as :func:`quantiles` does."""
    return quantiles(curve, (share,))[0]


def quantile_columns(
    group: Group, measure: str, shares: tuple[float, ...], *, head: DurationHistogram, notes: list[str]
) -> dict[str, float]:
    """Headline, interval, lower bound and estimate of each quantile; adds to the notes what the interval lacks."""
    curve = group.jobs.curve(measure)
    estimate, bound = quantiles(curve, shares), quantiles(curve.with_ages_final(), shares)
    headline = estimate if head is group.jobs else quantiles(head.curve(measure), shares)
    hours = block_hours(group.utilisation)
    blocks = count_blocks(head, hours)
    low = high = np.full(len(shares), np.nan)
    if blocks < MIN_BLOCKS:
        notes.append(f"no interval: {blocks} blocks of {hours} h, {MIN_BLOCKS} are needed")
    elif not np.isnan(estimate[0]):
        low, high = spread(quantile_draws(block_counts(head, measure, hours=hours), shares))
    if group.utilisation > BUSY and blocks >= MIN_BLOCKS:
        notes.append(f"utilisation {group.utilisation:.2f} is above {BUSY}: the interval is too narrow")
    row = {}
    for number, share in enumerate(shares):
        name = name_of(share)
        row[name] = headline[number]
        row[f"{name}_low"], row[f"{name}_high"] = float(low[number]), float(high[number])
        row[f"{name}_lower_bound"], row[f"{name}_estimate"] = bound[number], estimate[number]
    return row


def window_columns(group: Group, notes: list[str]) -> dict[str, Any]:
    """Return what a quantile must never be shown without: window, as-of time, blocks and notes."""
    hours = group.jobs.coded("hour").labels
    last = len(hours) - 1
    return {
        "utilisation": group.utilisation,
        "blocks": count_blocks(group.jobs, block_hours(group.utilisation)),
        "as_of": group.jobs.as_of,
        "from": shown("hour", hours, min(last, 0)),
        "to": shown("hour", hours + 1, last),
        "note": "; ".join(notes),
    }


def columns_of(counts: dict[str, str], shares: tuple[float, ...], kinds: tuple[str, ...]) -> dict[str, str]:
    """Return the columns of a table in their order, with their dtypes."""
    quantiles = {f"{name_of(share)}{kind}": "float64" for share in shares for kind in kinds}
    window = {"utilisation": "float64", "blocks": "int64", "as_of": _TIME, "from": _TIME, "to": _TIME}
    return {**counts, "method": "str", **quantiles, **window, "note": "str"}


def split_groups(
    histogram: DurationHistogram, names: tuple[str, ...], measures: tuple[str, ...]
) -> Iterator[tuple[tuple[Any, ...], DurationHistogram]]:
    """Yield the groups, all jobs as one where there are no names; a missing label is None, which equals itself."""
    if not names:
        yield ("all",), histogram
        return
    for labels, part in histogram.groups(names, measures=measures):
        yield tuple(None if pd.isna(label) else label for label in labels), part


def make_table(
    rows: list[tuple[tuple[Any, ...], dict[str, Any]]],
    columns: dict[str, str],
    names: tuple[str, ...],
    left_out: dict[str, int],
) -> pd.DataFrame:
    """Return labelled rows as a frame with these columns and dtypes, whether there are rows or not."""
    table = pd.DataFrame(
        {name: _column([row[name] for _, row in rows], dtype) for name, dtype in columns.items()},
        index=_index([labels for labels, _ in rows], names),
    )
    table.attrs["left_out"] = left_out
    return table


def _column(values: list[Any], dtype: str) -> Any:
    if dtype.startswith("datetime64"):
        return pd.DatetimeIndex(pd.to_datetime(values, utc=True)).as_unit("ms")
    return pd.Series(values, dtype=dtype).array if dtype in _OF_PANDAS else np.array(values, dtype=dtype)


def _index(labels: list[tuple[Any, ...]], names: tuple[str, ...]) -> pd.Index[Any]:
    levels = [
        _column([row[place] for row in labels], _TIME)
        if name == "hour"
        else np.array([np.nan if row[place] is None else row[place] for row in labels], dtype=object)
        for place, name in enumerate(names or (None,))
    ]
    if len(names) > 1:
        return pd.MultiIndex.from_arrays(levels, names=list(names))
    index: pd.Index[Any] = pd.Index(levels[0], name=names[0] if names else None)
    return index
