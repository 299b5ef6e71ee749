"""Which groups a plot shows, and the facts about its jobs that stand below the title."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cosai_nb.schema import UNFINISHED as UNFINISHED_OUTCOMES
from cosai_nb.stats.censoring import UNUSABLE
from cosai_nb.table.frame import TEXT
from cosai_nb.views.wording import jobs_in_words, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cosai_nb.stats.histogram import DurationHistogram

NO_TIMES = "No job here has usable times, so nothing is known of its durations."
NO_JOBS = "No jobs to show: the table is empty, or the filters leave nothing."


class Part(NamedTuple):
    """One group: its labels (none without ``by``), and its jobs."""

    labels: tuple[Any, ...]
    jobs: DurationHistogram


def largest(histogram: DurationHistogram, by: Sequence[str], *, most: int) -> tuple[list[Part], int]:
    """Return the groups with the most jobs, the largest first, and how many groups there are; never none."""
    if not by or not histogram.jobs:
        return [Part((None,) * len(by), histogram)], 1
    parts = [Part(labels, part) for labels, part in histogram.groups(by)]
    parts.sort(key=lambda part: -part.jobs.jobs)
    return parts[:most], len(parts)


def unfinished(histogram: DurationHistogram) -> int:
    """Return how many jobs have not ended."""
    labels, codes = histogram.coded("outcome")
    alive = np.append(np.isin(labels, [str(outcome) for outcome in UNFINISHED_OUTCOMES]), False)[codes]
    counts = histogram.counts("queue_latency")
    return int(counts.jobs[alive[counts.cell]].sum())


def facts(histogram: DurationHistogram, *, shown: int = 1, groups: int = 1) -> str:
    """Return what must be known to read a plot: jobs, share unfinished, and whatever is not in it.

    Parameters
    ----------
    histogram : DurationHistogram
        All jobs of the plot.
    shown, groups : int
        Groups drawn, groups there are.
    """
    jobs = histogram.jobs
    said = [jobs_in_words(jobs), f"{share(unfinished(histogram) / max(jobs, 1))} unfinished"]
    counts = histogram.counts("queue_latency")
    unusable = int(counts.jobs[counts.kind == UNUSABLE].sum())
    if unusable:
        said.append(f"{unusable:,} without usable times")
    if histogram.left_out:
        ids = sum(histogram.left_out.values())
        said.append(f"{ids:,} {'ID that is no job' if ids == 1 else 'IDs that are no jobs'} left out")
    if shown < groups:
        said.append(f"the {shown} largest of {groups:,} groups")
    return ", ".join(said)


def plain(labels: Sequence[Any]) -> tuple[str | None, ...]:
    """Return labels that are equal to themselves: None for a missing one."""
    return tuple(None if pd.isna(part) else part for part in labels)


def by_labels(summary: pd.DataFrame) -> dict[tuple[str | None, ...], pd.Series[Any]]:
    """Return the rows of a summary by the :func:`plain` labels of their groups; ``()`` where it is not grouped."""
    rows = (row for _, row in summary.iterrows())
    if summary.index.nlevels == 1 and summary.index.name is None:
        return dict.fromkeys([()], next(rows))
    keys = (key if isinstance(key, tuple) else (key,) for key in summary.index)
    return {plain(key): row for key, row in zip(keys, rows, strict=True)}


def tabulate(parts: Sequence[Part], by: Sequence[str], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put the tables of the groups below each other, with a column for each of ``by``."""
    named = []
    for part, table in zip(parts, tables, strict=True):
        labels = zip(by, part.labels, strict=True)
        columns = {name: _text_column([label] * len(table)) for name, label in labels}
        named.append(table.assign(**columns)[[*by, *table.columns]])
    return pd.concat([table for table in named if len(table)] or named[:1], ignore_index=True)


def by_group(table: pd.DataFrame, by: Sequence[str]) -> list[tuple[Any, pd.DataFrame]]:
    """Return labels and rows of each group, in the table's order.

    Through an iterator: ``list`` asks a groupby for its length, at which pandas 2.2 fails where a label is missing.
    """
    return list(iter(table.groupby(list(by), dropna=False, sort=False)))


def keep_largest(
    table: pd.DataFrame, by: Sequence[str], sizes: pd.Series[Any], *, most: int
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the rows of the largest groups, the largest first, and how many groups are shown of how many there are.

    Parameters
    ----------
    table : pandas.DataFrame
        One or more rows a group.
    by : sequence of str
        Its columns of labels.
    sizes : pandas.Series
        Size of each group, indexed by its labels.
    most : int
        How many groups to keep.
    """
    kept = sizes.sort_values(ascending=False, kind="stable").head(most)
    rows = kept.reset_index()[list(by)].merge(table, on=list(by), how="left")
    return rows, {"shown": len(kept), "groups": len(sizes)}


def name_groups(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Give the columns of labels the dtype that :func:`tabulate` gives them."""
    return table.assign(**{name: _text_column(table[name].tolist()) for name in by})


def _text_column(labels: Sequence[Any]) -> Any:
    """Return labels as pandas' own string dtype, NaN where one is missing, whatever the labels hold."""
    texts = {
        label: None if pd.isna(label) else str(label).encode("utf-8", "backslashreplace").decode("utf-8")
        for label in set(labels)
    }
    return pd.array([texts[label] for label in labels], dtype=TEXT)
