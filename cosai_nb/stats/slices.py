"""The cells of a histogram and their counts: built, merged, picked, split and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.typing import NaTType

from cosai_nb.errors import FrameError
from cosai_nb.stats.censoring import ABSENT, Measured
from cosai_nb.stats.coding import Coded, Counts, Ints, Labels, merge_labels, number_cells, tally

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from cosai_nb.stats.histogram_table import Moment

Flags = npt.NDArray[np.bool_]
_SEVERAL = (list, tuple, set, frozenset, np.ndarray, pd.Index, pd.Series)


def build(
    coded: Mapping[str, Coded], measured: Mapping[str, Measured]
) -> tuple[dict[str, Coded], dict[str, Counts]]:
    """Give the cells of jobs coded row by row their numbers, and count each measure in them."""
    codes, cell = number_cells(list(coded.values()))

    counts = {}
    for measure, (kind, value) in measured.items():
        belongs = kind != ABSENT
        few = np.count_nonzero(belongs) < 0.9 * len(belongs)
        rows = (
            np.flatnonzero(belongs) if few else slice(None)
        )  # picking most of the rows costs more than counting all
        found = tally(cell[rows], kind[rows], value[rows])
        counts[measure] = Counts(*(column[found.kind != ABSENT] for column in found))
    labels = [column.labels for column in coded.values()]
    return dict(zip(coded, map(Coded, labels, codes), strict=True)), counts


def merge(
    columns: tuple[Mapping[str, Coded], Mapping[str, Coded]],
    counts: tuple[Mapping[str, Counts], Mapping[str, Counts]],
) -> tuple[dict[str, Coded], dict[str, Counts]]:
    """Add two histograms' counts up, cell by cell, on the union of their labels."""
    coded = {key: merge_labels(columns[0][key], columns[1][key]) for key in columns[0]}
    codes, cell = number_cells(list(coded.values()))
    mine, theirs = np.split(cell, [len(columns[0]["hour"].codes)])
    added = {}
    for measure, one in counts[0].items():
        two = counts[1][measure]
        rows = [np.concatenate(pair) for pair in zip(one[1:], two[1:], strict=True)]
        added[measure] = tally(np.concatenate((mine[one.cell], theirs[two.cell])), *rows)
    labels = [column.labels for column in coded.values()]
    return dict(zip(coded, map(Coded, labels, codes), strict=True)), added


def labelled(column: Coded, wanted: object) -> Flags:
    """Say of each cell whether it has the label, or one of the labels, asked for; None and NaN mean a missing one.

    Examples
    --------
    >>> column = Coded(np.array(["a", "b"], dtype=object), np.array([0, 1, -1]))
    >>> labelled(column, "b"), labelled(column, ["a", None])
    (array([False,  True, False]), array([ True, False,  True]))
    """
    several: Collection[object] = wanted if isinstance(wanted, _SEVERAL) else [wanted]
    missing = any(label is None or label is pd.NA or label != label for label in several)  # noqa: PLR0124  # NaN
    text = {str(label) for label in several}
    chosen = np.array([label in text for label in column.labels] + [missing], dtype=bool)
    return chosen[column.codes]


def created_within(column: Coded, start: str | pd.Timestamp | None, end: str | pd.Timestamp | None) -> Flags:
    """Say of each cell whether its hour lies in ``start`` ≤ hour < ``end``; a missing hour lies in no window."""
    hours = column.labels.astype(np.int64)
    inside = np.ones(len(hours) + 1, dtype=bool)
    if start is not None:
        inside[:-1] &= hours >= _full_hour(start, "start")
    if end is not None:
        inside[:-1] &= hours < _full_hour(end, "end")
    inside[-1] = start is None and end is None
    return inside[column.codes]


def _full_hour(moment: str | pd.Timestamp, name: str) -> int:
    try:
        time = pd.Timestamp(moment)
    except ValueError as error:
        raise FrameError(f"{name}={moment!r} is no time; write it as '2026-11-01T00:00Z'.") from error
    if pd.isna(time):
        raise FrameError(f"{name}={moment!r} is no time; write it as '2026-11-01T00:00Z'.")
    time = time.tz_localize("UTC") if time.tzinfo is None else time.tz_convert("UTC")
    if time != time.floor("h"):
        raise FrameError(
            f"{name}={moment} is not on the hour, and the histogram knows hours of creation only; "
            "choose a full hour, or cut the jobs frame first."
        )
    return int(time.timestamp()) // 3600


def rows_of(counts: Counts, kept: Flags) -> Counts:
    """Return the rows of the kept cells, with these numbered anew."""
    rows = kept[counts.cell]
    number = np.cumsum(kept) - 1
    part = Counts(*(column[rows] for column in counts))
    return part._replace(cell=number[part.cell])


def split_by(group: Ints, groups: int) -> list[Ints]:
    """Return the places of each group's members, in their order.

    Examples
    --------
    >>> split_by(np.array([1, 0, 1]), 2)
    [array([1]), array([0, 2])]
    """
    narrow = np.uint16 if groups < 2**16 else np.int64  # numpy sorts 16 bits in one pass
    order = np.argsort(group.astype(narrow), kind="stable")
    return np.split(order, np.cumsum(np.bincount(group, minlength=groups))[:-1])


def rows_by_group(counts: Counts, group: Ints, cells: Sequence[Ints]) -> list[Counts]:
    """Split the rows by the group of their cell; the cells of a group are numbered from 0 in their order."""
    place = np.empty(len(group), dtype=np.int64)
    for members in cells:
        place[members] = np.arange(len(members))
    rows = split_by(group[counts.cell], len(cells))
    return [Counts(place[counts.cell[mine]], *(column[mine] for column in counts[1:])) for mine in rows]


def same(one: Sequence[Labels], other: Sequence[Labels]) -> bool:
    """Say whether two tuples of arrays are equal."""
    return all(np.array_equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))


def newest(one: Moment, other: Moment) -> Moment:
    """Return the later of two times, either of which may be missing."""
    if isinstance(one, NaTType) or isinstance(other, NaTType):
        return other if isinstance(one, NaTType) else one
    return max(one, other)
