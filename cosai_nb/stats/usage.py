"""What succeeded jobs used, as far as their own fields tell, and what that costs at prices that the user gives.

Only jobs that succeeded use anything here: a failed, cancelled or unfinished job is counted and has no usage. The service's own
bill knows more (quotas, tiers, rounding, contracts), so that a cost is an estimate, with the jobs that are in it and those that are not.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cosai_nb import arguments
from cosai_nb.errors import CosaiWarning, FrameError
from cosai_nb.schema import Outcome
from cosai_nb.service.families import FAMILIES
from cosai_nb.stats.counts import Counted, Groups, batches, only_jobs
from cosai_nb.stats.measures import TIME, Rows, moments, windowed
from cosai_nb.stats.short_table import read_first
from cosai_nb.table.dtypes import number_array, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta, tzinfo

    from cosai_nb.stats.measures import Floats, Windows


class _Quantity(NamedTuple):
    """What is used: the column that holds it, how many of its units make one, and the kinds of job that always use some."""

    column: str
    units: float
    tags: tuple[str, ...]
    known: str
    unknown: str


_QUANTITIES = {
    "audio_hours": _Quantity("audio_s", 3600.0, ("SpeechRecognition",), "audio_known", "audio_unknown"),
    "characters": _Quantity(
        "characters", 1.0, ("Translation", "WordsGeneralize"), "characters_known", "characters_unknown"
    ),
    "pages": _Quantity("pages", 1.0, ("DocProcess",), "pages_known", "pages_unknown"),
}


def usage(
    jobs: Any,
    prices: Any = None,
    *,
    by: str | Sequence[str] | None = ("tag", "queue_id"),
    freq: str | timedelta | None = "1D",
    tz: str | tzinfo = "Asia/Shanghai",
) -> pd.DataFrame:
    """Return what succeeded jobs used, by tag, queue and day: audio hours, characters, pages, and their cost.

    Parameters
    ----------
    jobs : pandas.DataFrame, path or JobStore
        One row per job. Audio comes from ``audio_s``. Characters and pages are in no promised column: they are read from your
        own columns ``characters`` and ``pages``, where the answers of a family have them, as in
        ``fetch_jobs(job_ids, columns={"pages": "Operation/DocProcessResult/SuccPageCount"})``.
    prices : dict or table, optional
        Price and unit by tag, ``{"SpeechRecognition": (1.2, "audio hour"), "Translation": (0.05, "1000 characters")}``, or a
        table with the columns ``tag, price, unit``. Units: ``job``, ``audio hour``, ``character`` and ``page``, or a number of
        them.
    by : str or list of str, optional
        Columns to group by.
    freq : str or timedelta, optional
        Split by the time at which jobs *ended* too, in windows of this width; None does not. Jobs without an end (unfinished
        ones) are in a row whose time is missing, so that no split loses a job.
    tz : str or tzinfo
        The zone of the windows: days begin at its midnight.

    Returns
    -------
    pandas.DataFrame
        One row per group (index: its labels, ``all`` without ``by``; with ``freq`` the start of the window, ``time``, after
        them), a missing label being a group.

        ==================== ======================================================================
        jobs                 number of jobs
        ended, succeeded     of these Success or Failed; Success: they alone have usage and cost
        audio_hours          hours of audio of the succeeded jobs that tell them; NaN where none does
        audio_known          number of succeeded jobs that tell them
        audio_unknown        number of succeeded SpeechRecognition jobs that do not
        characters, …        the same; unknown are Translation and WordsGeneralize jobs
        pages, …             the same; unknown are DocProcess jobs
        cost                 with ``prices``: price × quantity, in their currency, of the jobs ``priced``; NaN where there is none
        priced, unpriced     number of succeeded jobs that have a price and a known quantity; of those that lack one
        ==================== ======================================================================

        ``attrs["left_out"]`` counts the rows that are no jobs (queries that failed).

    Raises
    ------
    TypeError, FrameError, FileError
        ``jobs`` is no source of single jobs, lacks a column, or cannot be read.
    SettingsError
        ``prices`` are no prices, ``freq`` is no width, or ``tz`` is no zone.

    Warns
    -----
    CosaiWarning
        Succeeded jobs have a tag without a price, or a price has a tag that no job has and no document names.

    Notes
    -----
    Nothing is invented: a job that does not tell its quantity adds to ``…_unknown`` and to ``unpriced``, never 0 to a sum. Free
    quotas, tiers and rounding of the service's bill are not known here.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": "Success", "QueueId": "q1", "Tag": "SpeechRecognition",
    ...     "CreationTime": "2026-11-01T10:00:00+0800", "StartTime": "2026-11-01T10:00:07+0800",
    ...     "EndTime": "2026-11-01T10:00:09+0800"})
    >>> jobs = cn.add_timings(texts).assign(audio_s=[5400.0, None])
    >>> cn.usage(jobs, {"SpeechRecognition": (1.2, "audio hour")}, by="tag", freq=None).T.dropna()
    tag            SpeechRecognition
    jobs                         2.0
    ended                        2.0
    succeeded                    2.0
    audio_hours                  1.5
    audio_known                  1.0
    audio_unknown                1.0
    ...
    cost                         1.8
    priced                       1.0
    unpriced                     1.0
    """
    names, windows = windowed(by, freq, tz)
    per_unit = None if prices is None else arguments.prices(prices)
    if isinstance(jobs, Counted):
        raise FrameError(
            "A histogram knows no audio, characters or pages: usage needs the jobs frame, a file or a store."
        )
    keys = tuple(dict.fromkeys((*names, "tag")))
    labels, sums, left_out = _added_up(jobs, keys, windows)
    if per_unit is not None:
        _warn_of_tags(per_unit, labels["tag"], sums["succeeded"])
        sums = sums.assign(**_costs(per_unit, labels["tag"], sums))
    groups = Groups.of(labels, names)
    columns = {name: np.bincount(groups.of_row, sums[name], groups.number) for name in sums}
    table = pd.DataFrame(columns, index=groups.rows)
    known = {name: quantity.known for name, quantity in _QUANTITIES.items()} | {"cost": "priced"}
    for name in table:
        if name in known:
            table[name] = table[name].where(table[known[name]] > 0)
        else:
            table[name] = table[name].astype("int64")
    table.attrs["left_out"] = left_out
    return read_first(table)


def _added_up(
    jobs: Any, keys: tuple[str, ...], windows: Windows | None
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """Return the labels of some groups of jobs, their numbers and sums, and how many rows are no jobs."""
    own = [name for name in keys if name != TIME or windows is None]
    needed = tuple(dict.fromkeys((*own, "tag", "outcome", "end_time")))
    parts, left_out = [], dict[str, int]()
    for batch in batches(jobs, needed, optional=[quantity.column for quantity in _QUANTITIES.values()]):
        some, others = only_jobs(batch)
        for outcome, number in others.items():
            left_out[outcome] = left_out.get(outcome, 0) + number
        rows = Rows(some)
        told = some[own].copy(deep=False)
        if windows is not None:
            told[TIME] = moments(windows.start(rows.ended))
        groups = Groups.of(told, keys)
        labels = pd.DataFrame(dict(zip(keys, groups.labels, strict=True)))
        sums = {
            name: np.bincount(groups.of_row, numbers, groups.number)
            for name, numbers in _numbers_of(some, rows).items()
        }
        parts.append((labels, pd.DataFrame(sums)))
    labels, sums = (pd.concat(some, ignore_index=True) for some in zip(*parts, strict=True))
    return labels, sums, left_out


def _numbers_of(jobs: pd.DataFrame, rows: Rows) -> dict[str, Any]:
    """Return what each job adds to each column."""
    succeeded = rows.among(Outcome.SUCCESS)
    numbers = {
        "jobs": np.ones(len(rows)),
        "ended": rows.among(Outcome.SUCCESS, Outcome.FAILED),
        "succeeded": succeeded,
    }
    for name, quantity in _QUANTITIES.items():
        value = _values(jobs[quantity.column]) if quantity.column in jobs else np.full(len(rows), np.nan)
        known = succeeded & ~np.isnan(value)
        numbers[name] = np.where(known, value, 0.0) / quantity.units
        numbers[quantity.known] = known
        numbers[quantity.unknown] = succeeded & ~known & jobs["tag"].isin(quantity.tags).to_numpy()
    return numbers


def _values(column: pd.Series[Any]) -> Floats:
    """Return the numbers of a column, of texts too, NaN where there is none that can be a quantity."""
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return number_array(text_of(column))
    value = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where((value >= 0) & (value < np.inf), value, np.nan)


def _costs(
    prices: Mapping[str, tuple[float, str]], tags: pd.Series[Any], sums: pd.DataFrame
) -> dict[str, Floats]:
    """Return the cost of each row, whose jobs have one tag, and how many of them are in it and are not."""
    cost, priced = np.zeros(len(sums)), np.zeros(len(sums))
    for tag, (price, name) in prices.items():
        mine = (tags == tag).to_numpy()
        of_jobs = name == "jobs"
        cost[mine] = price * sums.loc[mine, "succeeded" if of_jobs else name]
        priced[mine] = sums.loc[mine, "succeeded" if of_jobs else _QUANTITIES[name].known]
    return {"cost": cost, "priced": priced, "unpriced": sums["succeeded"].to_numpy() - priced}


def _warn_of_tags(prices: Mapping[str, Any], tags: pd.Series[Any], succeeded: pd.Series[Any]) -> None:
    there = {*tags.dropna()}
    documented = {tag for family in FAMILIES.values() for tag in (*family.tags, *family.other_tags)}
    unknown = []
    for tag in sorted({*prices} - there - documented):
        near = arguments.nearest(tag, sorted(there | documented))
        unknown.append(f"{tag!r} (did you mean {near}?)" if near else repr(tag))
    if unknown:
        warnings.warn(
            f"prices: no job has the tag {', '.join(unknown)}; that price is in no cost.",
            CosaiWarning,
            stacklevel=3,
        )
    lacking = succeeded[~tags.isin([*prices])].groupby(tags.fillna("no tag").astype(str)).sum()
    lacking = lacking[lacking > 0]
    if len(lacking):
        listed = ", ".join(f"{tag} ({number:,.0f} succeeded jobs)" for tag, number in lacking.items())
        warnings.warn(
            f"prices: there is no price for {listed}; they are in no cost, and counted in unpriced.",
            CosaiWarning,
            stacklevel=3,
        )
