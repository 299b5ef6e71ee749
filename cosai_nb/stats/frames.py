"""Is this table a ``jobs`` frame? Every statistic asks here first, so every refusal is worded once.

::

    check_jobs(jobs, columns)     the table has these columns, once, with times that know their zone
    milliseconds(times)           a time column as int64 ms since the epoch; MISSING where NaT
    group_columns(by)             by=None, "tag" or ["tag", "code"] as a tuple of names
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from cosai_nb.errors import FrameError
from cosai_nb.schema import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

MISSING = np.iinfo(np.int64).min
"""What numpy holds in an int64 view of NaT."""
HOUR_MS = 3_600_000


def check_jobs(jobs: object, columns: Iterable[str]) -> pd.DataFrame:
    """Return ``jobs`` if it is a frame that holds these columns in their documented form.

    Parameters
    ----------
    jobs : pandas.DataFrame
        One row per job, as :data:`cosai_nb.COLUMNS` describes it; other columns are welcome.
    columns : iterable of str
        The columns that the caller needs.

    Returns
    -------
    pandas.DataFrame
        The same object.

    Raises
    ------
    TypeError
        ``jobs`` is no DataFrame.
    FrameError
        A column is missing or doubled, a time column holds no times or does not know its zone, a duration no
        numbers.

    Examples
    --------
    >>> check_jobs(pd.DataFrame({"tag": ["Translation"]}), ["tag", "outcome"])
    Traceback (most recent call last):
    cosai_nb.errors.FrameError: The jobs table lacks the column 'outcome'; it has: tag. ...
    """
    if not isinstance(jobs, pd.DataFrame):
        raise TypeError(
            f"A jobs table is a pandas DataFrame (as fetch_jobs returns it), not {type(jobs).__name__}."
        )
    names = list(dict.fromkeys(columns))
    there = list(jobs.columns)
    absent = [name for name in names if name not in there]
    if absent:
        listed = ", ".join(map(str, there[:40])) or "no columns at all"
        one = "column" if len(absent) == 1 else "columns"
        raise FrameError(
            f"The jobs table lacks the {one} {', '.join(map(repr, absent))}; it has: {listed}. "
            "cosai_nb.add_timings(table) makes the documented columns from a table with the service's own names."
        )
    doubled = [name for name in names if there.count(name) > 1]
    if doubled:
        raise FrameError(f"The jobs table holds the column {doubled[0]!r} more than once; keep one of them.")
    for name in names:
        _check_dtype(jobs[name], name)
    return jobs


def _check_dtype(column: pd.Series, name: str) -> None:
    wanted = COLUMNS[name].dtype if name in COLUMNS else None
    if wanted == "datetime64[ms, UTC]" and not isinstance(column.dtype, pd.DatetimeTZDtype):
        if pd.api.types.is_datetime64_dtype(column.dtype):
            raise FrameError(
                f"The times in column {name!r} do not say which zone they are in. If they are UTC, "
                f"write jobs[{name!r}] = jobs[{name!r}].dt.tz_localize('UTC'); cosai_nb.add_timings does all at once."
            )
        raise FrameError(
            f"The column {name!r} holds {column.dtype}, not times. "
            f"Write jobs[{name!r}] = pandas.to_datetime(jobs[{name!r}], utc=True), or use cosai_nb.add_timings."
        )
    if wanted == "float64" and not pd.api.types.is_numeric_dtype(column.dtype):
        raise FrameError(
            f"The column {name!r} holds {column.dtype}, not seconds as numbers; "
            "cosai_nb.add_timings works the durations out from the times."
        )


def milliseconds(times: pd.Series) -> npt.NDArray[np.int64]:
    """Return a zone-aware time column as int64 milliseconds since the epoch, :data:`MISSING` where NaT.

    Examples
    --------
    >>> milliseconds(pd.Series(pd.to_datetime(["1970-01-01T08:00:01+08:00"], utc=True)))
    array([1000])
    """
    naive = times.dt.tz_convert("UTC").dt.tz_localize(None)
    stamps: npt.NDArray[np.int64] = naive.to_numpy().astype("datetime64[ms]").view(np.int64)
    return stamps


def group_columns(by: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the names to group by as a tuple; none where ``by`` is None.

    Raises
    ------
    FrameError
        A name is given twice, or is no text.

    Examples
    --------
    >>> group_columns(None), group_columns("tag"), group_columns(["tag", "code"])
    ((), ('tag',), ('tag', 'code'))
    """
    if by is None:
        return ()
    names = (by,) if isinstance(by, str) else tuple(by) if isinstance(by, Iterable) else (by,)
    if not all(isinstance(name, str) for name in names):
        raise FrameError(f"by= takes a column name or a list of column names, not {by!r}.")
    if len(set(names)) < len(names):
        raise FrameError(f"by={list(names)!r} names a column twice.")
    return names
