"""A user's own table: which column is which node, and when it was true."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cosai_nb.errors import FrameError
from cosai_nb.schema import COLUMNS, WIRE
from cosai_nb.table.dtypes import exact

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from numpy.typing import NDArray

    from cosai_nb.table.times import Times

REQUIRED = ("JobId", "State", "CreationTime", "StartTime", "EndTime")
"""What :func:`cosai_nb.add_timings` cannot do without, by the service's own names."""

_SHOWN_COLUMNS = 30


def columns_by_path(frame: pd.DataFrame) -> dict[str, pd.Series[Any]]:
    """Find the columns of a user's table by the XML path that each stands for.

    Raises
    ------
    FrameError
        A required node is missing, or one stands twice.

    Examples
    --------
    >>> frame = pd.DataFrame(columns=[*REQUIRED, "JobsDetail.Input.Lang", "mine"])
    >>> sorted(set(columns_by_path(frame)) - set(REQUIRED))
    ['Input/Lang']
    """
    check_table(frame)
    wanted = {column.path for column in WIRE}
    found: dict[str, Any] = {}
    for label in frame.columns:
        path = str(label).replace(".", "/").removeprefix("JobsDetail/")
        if path in wanted and path in found:
            raise FrameError(f"Columns {found[path]!r} and {label!r} are the same node; drop one of them.")
        if path in wanted:
            found[path] = label
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        raise FrameError(
            f"add_timings needs the columns {', '.join(REQUIRED)}; {', '.join(missing)} missing. The frame has "
            f"{shown(frame.columns)}. Rename yours with frame.rename(columns={{...}})."
        )
    return {path: frame[label] for path, label in found.items()}


def check_table(frame: pd.DataFrame) -> None:
    """Raise FrameError where this is no table, or a column name stands more than once: which one is meant cannot be known."""
    if not isinstance(frame, pd.DataFrame):
        raise FrameError(
            f"This is {type(frame).__name__}, no DataFrame: pass one, such as fetch_jobs(...) returns."
        )
    repeated = frame.columns[frame.columns.duplicated()].unique()
    if len(repeated):
        raise FrameError(f"Columns stand more than once: {shown(repeated)}. Keep one of each.")


def shown(columns: pd.Index[Any]) -> str:
    """Name the columns of a table for an error message, not too many of them."""
    names = ", ".join(repr(label) for label in columns[:_SHOWN_COLUMNS])
    more = len(columns) - _SHOWN_COLUMNS
    return f"{names} and {more} more" if more > 0 else names or "no columns"


def when_observed(
    frame: pd.DataFrame, observed_at: str | datetime | pd.Timestamp | None, *, seen: Iterable[Times]
) -> NDArray[np.datetime64]:
    """Say when each row was true: as told, else the column ``observed_at``, else the latest of the times ``seen``.

    Raises
    ------
    FrameError
        Where what was told is no time with a zone.
    """
    if observed_at is not None:
        return np.full(len(frame), _moment(observed_at), "M8[ms]")
    if "observed_at" in frame.columns:
        told: pd.DatetimeIndex = exact(frame["observed_at"], COLUMNS["observed_at"])
        return told.tz_convert(None).to_numpy()
    moments = np.concatenate([times.values for times in seen])
    moments = moments[~np.isnat(moments)]
    return np.full(len(frame), moments.max() if len(moments) else np.datetime64("NaT"), "M8[ms]")


def _moment(observed_at: str | datetime | pd.Timestamp) -> np.datetime64:
    try:
        moment = pd.Timestamp(observed_at)
    except (ValueError, TypeError) as error:
        raise FrameError(f"observed_at={observed_at!r} is no time: {error}") from None
    if pd.isna(moment) or moment.tzinfo is None:
        raise FrameError(f'observed_at={observed_at!r} needs a time zone, as in "2026-11-08T00:00:00+0800".')
    instant: np.datetime64 = moment.tz_convert(None).floor("ms").to_datetime64()
    return instant
