"""Records to the ``jobs`` frame: dtypes, UTC, outcome, durations and whether the times can be true."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cosai_nb.errors import FrameError, UnknownStateWarning
from cosai_nb.schema import COLUMNS, OUTCOME_OF_STATE, WIRE, Outcome
from cosai_nb.table.dtypes import (
    OUTCOME,
    arrow_text,
    category_array,
    exact,
    float_array,
    integer_array,
    text_array,
    text_of,
    time_array,
    times_of,
)
from cosai_nb.table.given import check_table, columns_by_path, shown, when_observed
from cosai_nb.table.times import NAT, Times, measure, parse_times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from cosai_nb.schema import Record

_TIMES = ("creation_time", "start_time", "end_time")
_POSITION = {outcome: position for position, outcome in enumerate(Outcome)}
_IS_JOB = -1
_FATES = {
    "job": _IS_JOB,
    "not_found": _POSITION[Outcome.NOT_FOUND],
    "invalid_id": _POSITION[Outcome.INVALID_ID],
    "unread": _POSITION[Outcome.UNREAD],
}
_BLANK: tuple[str | None, ...] = (None,) * len(WIRE)
_BLOCK = 512
_SHOWN_STATES = 5


def frame_of(records: Sequence[Record]) -> pd.DataFrame:
    """Make the ``jobs`` frame of records: one row each, in their order.

    Parameters
    ----------
    records : sequence of Record
        As the service room reads them; none gives an empty frame with all columns and dtypes.

    Returns
    -------
    pandas.DataFrame, shape (len(records), len(COLUMNS))
        Columns and dtypes of :data:`cosai_nb.schema.COLUMNS`; times in UTC, durations in seconds.

    Warns
    -----
    UnknownStateWarning
        Where a job's State is in no document; it counts as unfinished, with outcome ``unknown``.

    Examples
    --------
    >>> from cosai_nb.schema import Record
    >>> jobs = frame_of([Record("a1", "not_found"), Record("", "invalid_id", error="empty")])
    >>> jobs[["job_id", "outcome", "timing_ok", "error"]]
      job_id     outcome  timing_ok  error
    0     a1   not_found      False    NaN
    1         invalid_id      False  empty
    """
    job_ids, fates, observed, errors, values = _turned(records, width=5)
    wire = _turned([row or _BLANK for row in values], width=len(WIRE))
    texts = {column.name: arrow_text(cells) for column, cells in zip(WIRE, wire, strict=True)}
    texts["job_id"] = arrow_text(job_ids)
    texts["error"] = arrow_text(errors)
    moments = np.array([NAT if moment is None else moment for moment in observed], np.int64)
    return _assemble(
        texts,
        times={name: parse_times(texts[name]) for name in _TIMES},
        fates=np.array([_FATES[fate] for fate in fates], np.int8),
        observed_at=moments.view("M8[ms]"),
        index=pd.RangeIndex(len(records)),
    )


def add_timings(
    frame: pd.DataFrame, *, observed_at: str | datetime | pd.Timestamp | None = None
) -> pd.DataFrame:
    """Make the ``jobs`` frame of a table that you already have: callbacks, a database, ``pd.json_normalize``.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row a job, with the service's own names: JobId, State, CreationTime, StartTime and EndTime, and whichever
        of Tag, Code, Message, QueueId and of the deeper nodes are there (``Input/Lang`` or ``Input.Lang``; a leading
        ``JobsDetail.`` is passed over). Times are text as the service writes it, or datetimes with a zone. A column
        ``observed_at`` says when each row was true.
    observed_at : str, datetime or Timestamp, optional
        When all rows were true, with a zone; it wins over the column. With neither it is the latest time that stands in
        the frame, never now: so no waiting or running job is made older than is known.

    Returns
    -------
    pandas.DataFrame, shape (len(frame), len(COLUMNS))
        Columns and dtypes of :data:`cosai_nb.schema.COLUMNS`, in the order and with the index of ``frame``. What
        ``timing_ok`` and the durations mean is written at :func:`cosai_nb.table.times.measure`.

    Raises
    ------
    FrameError
        A required column is missing, a name stands twice, or times have no zone.

    Warns
    -----
    UnknownStateWarning
        As :func:`frame_of`.

    Examples
    --------
    >>> callbacks = pd.DataFrame(
    ...     {
    ...         "JobId": ["a1"],
    ...         "State": ["Success"],
    ...         "CreationTime": ["2024-03-05T10:00:01+0800"],
    ...         "StartTime": ["2024-03-05T10:00:02+0800"],
    ...         "EndTime": ["2024-03-05T10:00:41+0800"],
    ...     }
    ... )
    >>> add_timings(callbacks)[["job_id", "outcome", "queue_latency_s", "run_time_s"]]
      job_id  outcome  queue_latency_s  run_time_s
    0     a1  success              1.0        39.0
    """
    given = columns_by_path(frame)
    nothing = pa.nulls(len(frame), pa.large_string())
    texts = {
        column.name: text_of(given[column.path]) if column.path in given else nothing
        for column in WIRE
        if column.name not in _TIMES
    }
    times = {name: times_of(given[COLUMNS[name].path]) for name in _TIMES}
    return _assemble(
        texts | {"error": nothing},
        times=times,
        fates=np.full(len(frame), _IS_JOB, np.int8),
        observed_at=when_observed(frame, observed_at, seen=times.values()),
        index=frame.index,
    )


def conform(frame: pd.DataFrame) -> pd.DataFrame:
    """Give a ``jobs`` frame that was read from elsewhere its exact columns and dtypes.

    Parameters
    ----------
    frame : pandas.DataFrame
        With every column of :data:`cosai_nb.schema.COLUMNS`, in any dtype that holds the same values (text, too).

    Returns
    -------
    pandas.DataFrame
        Those columns in the schema's order, then any others as they are; categories are the values that occur,
        sorted (of ``outcome``: all, in the schema's order); the index is kept.

    Raises
    ------
    FrameError
        Names a column that is missing, stands twice, or holds a value that does not fit.

    Examples
    --------
    >>> conform(frame_of([]).astype(object)).dtypes.equals(frame_of([]).dtypes)
    True
    """
    check_table(frame)
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise FrameError(
            f"This is no jobs frame: {', '.join(missing)} missing; it has {shown(frame.columns)}. "
            "A table with the service's own names goes through cosai_nb.add_timings."
        )
    columns = {name: exact(frame[name], column) for name, column in COLUMNS.items()}
    others = {name: frame[name].array for name in frame.columns if name not in COLUMNS}
    return pd.DataFrame(columns | others, index=frame.index, copy=False)


def _turned(rows: Sequence[tuple[Any, ...]], *, width: int) -> list[list[Any]]:
    """Turn rows into columns, in blocks: one zip over a million rows makes a million iterators for the collector."""
    columns: list[list[Any]] = [[] for _ in range(width)]
    for first in range(0, len(rows), _BLOCK):
        block = zip(*rows[first : first + _BLOCK], strict=True)
        for column, cells in zip(columns, block, strict=True):
            column.extend(cells)
    return columns


def _assemble(
    texts: Mapping[str, pa.Array],
    *,
    times: Mapping[str, Times],
    fates: NDArray[np.int8],
    observed_at: NDArray[np.datetime64],
    index: pd.Index[Any],
) -> pd.DataFrame:
    outcome = np.where(fates == _IS_JOB, _outcome_of(texts["state"], fates == _IS_JOB), fates).astype(np.int8)
    creation, start, end = (times[name] for name in _TIMES)
    measured = measure(outcome, creation=creation, start=start, end=end, observed_at=observed_at)
    code = texts["code"]
    ready = {
        "audio_s": float_array(texts["audio_s"]),
        "job_level": integer_array(texts["job_level"]),
        **{name: time_array(times[name].values) for name in _TIMES},
        **measured._asdict(),
        "observed_at": time_array(observed_at),
        "outcome": pd.Categorical.from_codes(outcome, dtype=OUTCOME),
        "code": category_array(pc.if_else(pc.equal(code, "Success"), None, code)),
    }
    columns = {
        name: ready[name]
        if name in ready
        else (category_array if column.dtype == "category" else text_array)(texts[name])
        for name, column in COLUMNS.items()
    }
    return pd.DataFrame(columns, index=index, copy=False)


def _outcome_of(state: pa.Array, is_job: NDArray[np.bool_]) -> NDArray[np.int8]:
    encoded = state.dictionary_encode()
    states = encoded.dictionary.to_pylist()
    table = [_POSITION[OUTCOME_OF_STATE.get(text, Outcome.UNKNOWN)] for text in states]
    table.append(_POSITION[Outcome.UNKNOWN])  # where no State stands
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    outcome: NDArray[np.int8] = np.array(table, np.int8)[codes]
    unknown = codes[is_job & (outcome == _POSITION[Outcome.UNKNOWN])]
    if len(unknown):
        counts = Counter(unknown.tolist())
        shown = ", ".join(
            f"{'no State' if code < 0 else repr(states[code][:40])}: {count}"
            for code, count in counts.most_common(_SHOWN_STATES)
        )
        more = f" and {len(counts) - _SHOWN_STATES} other states" if len(counts) > _SHOWN_STATES else ""
        warnings.warn(
            f"{len(unknown)} jobs have a State that no document lists ({shown}{more}); they are kept with outcome "
            "'unknown', count as unfinished and are in no rate.",
            UnknownStateWarning,
            stacklevel=4,
        )
    return outcome
