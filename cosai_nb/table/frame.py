"""The ``jobs`` frame: made of records or of a user's own table, and brought to the exact dtypes of the schema.

::

    frame_of(records)       what the service said, one row an ID
    texts_of(records)       the same still as Arrow texts, in a tenth of the memory; frame_from makes the frame of them
    add_timings(frame)      a table with the service's own names
    conform(frame)          a jobs frame from elsewhere: Parquet, CSV, polars, any dtypes that hold the same values
    one_row_a_job(jobs)     of a job that stands more than once, the row that counts
"""

from __future__ import annotations

import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakValueDictionary

import numpy as np
import pandas as pd
import pyarrow as pa

from cosai_nb.arguments import zone
from cosai_nb.errors import CosaiWarning, FrameError, SettingsError, UnknownStateWarning
from cosai_nb.schema import ADDED, COLUMNS, OUTCOME_OF_STATE, PROGRESS, WIRE
from cosai_nb.table import dtypes
from cosai_nb.table.duplicates import is_unique, job_keys
from cosai_nb.table.times import EARLIEST, LATEST, NAT, Times, measure, parse_times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, tzinfo

    from numpy.typing import NDArray

    from cosai_nb.schema import Record


REQUIRED = ("JobId", "State", "CreationTime", "StartTime", "EndTime")
"""What :func:`add_timings` cannot do without, by the service's own names."""

_CATEGORIES = {"fate", "bucket", *(column.name for column in WIRE if column.dtype == "category")}
_TIMES = ("creation_time", "start_time", "end_time")
_OF_STATE = {str(state): dtypes.POSITION[outcome] for state, outcome in OUTCOME_OF_STATE.items()}
_BLOCK = 512
_SHOWN_STATES = 5


def frame_of(
    records: Sequence[Record], columns: Sequence[str] = (), bucket: str | None = None
) -> pd.DataFrame:
    """Make the ``jobs`` frame of records: one row each, in their order.

    Parameters
    ----------
    records : sequence of Record
        As :mod:`cosai_nb.service` reads them; none gives an empty frame with all columns and dtypes.
    columns : sequence of str
        Names of further texts, which stand behind :data:`~cosai_nb.schema.WIRE` in each record's ``values``.
    bucket : str, optional
        Which bucket the IDs were asked in.

    Returns
    -------
    pandas.DataFrame, shape (len(records), len(COLUMNS) + len(columns))
        Columns and dtypes of :data:`cosai_nb.schema.COLUMNS`, then ``columns`` as ``str``; times in UTC, durations in
        seconds.

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
    return frame_from(texts_of(records, columns, bucket))


def texts_of(records: Sequence[Record], columns: Sequence[str] = (), bucket: str | None = None) -> pa.Table:
    """Put records into a table of their texts: one row each, as :func:`frame_of` takes them.

    Tables of one call may be concatenated, and their rows taken in any order, before :func:`frame_from` makes the frame.
    """
    names = [*(column.name for column in WIRE), *columns]
    job_ids, fates, observed, errors, values = _columns_of(records, 5)
    values = [row or (None,) * len(names) for row in values]
    cells = dict(zip(names, _columns_of(values, len(names)), strict=True))
    cells |= {"job_id": job_ids, "error": errors, "fate": fates}
    cells["bucket"] = [None if fate == "invalid_id" else bucket for fate in fates]
    texts = {name: dtypes.arrow_text(cells[name], categories=name in _CATEGORIES) for name in cells}
    return pa.table(texts | {"observed_ms": pa.array(observed, pa.int64())})


def _columns_of(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Turn rows into columns, in blocks: one zip over a million rows makes a million iterators for the collector."""
    columns: list[list[Any]] = [[] for _ in range(width)]
    for first in range(0, len(rows), _BLOCK):
        for column, cells in zip(columns, zip(*rows[first : first + _BLOCK], strict=True), strict=True):
            column.extend(cells)
    return columns


def frame_from(texts: pa.Table) -> pd.DataFrame:
    """Make the ``jobs`` frame of what :func:`texts_of` gave."""
    own = {name: dtypes.whole(texts[name]) for name in texts.column_names}
    observed = own.pop("observed_ms").fill_null(NAT).to_numpy(zero_copy_only=False).copy().view("M8[ms]")
    # a clock that is thousands of years off says nothing
    observed[(observed < EARLIEST) | (observed >= LATEST)] = "NaT"
    times = {name: parse_times(own[name]) for name in _TIMES}
    outcome = _outcomes(own["state"], dtypes.positions(own.pop("fate"), dtypes.POSITION, other=-1))
    jobs = _assembled(own, times, outcome, observed, pd.RangeIndex(len(texts)))
    return jobs.assign(**{name: dtypes.text_array(own[name]) for name in own if name not in COLUMNS})


def add_timings(
    frame: pd.DataFrame,
    *,
    observed_at: str | datetime | pd.Timestamp | None = None,
    tz: str | tzinfo | None = None,
    unit: Literal["s", "ms"] | None = None,
) -> pd.DataFrame:
    """Make the ``jobs`` frame of a table that you already have: callbacks, a database, ``pd.json_normalize``.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row a job, with the service's own names: JobId, State, CreationTime, StartTime and EndTime, and whichever
        of Tag, Code, Message, QueueId and of the deeper nodes are there (``Input/Lang`` or ``Input.Lang``; a leading
        ``JobsDetail.`` is passed over); the names of the ``jobs`` frame (``job_id``, ``creation_time`` …) are as good.
        Times are text as the service writes it, or datetimes with a zone. A column ``observed_at`` says when each row
        was true. A pyarrow Table or a polars frame is taken as well.
    observed_at : str, datetime or Timestamp, optional
        When all rows were true, with a zone; it takes precedence over the column. With neither it is the latest time that stands in
        the frame, never now: so no waiting or running job is made older than is known.
    tz : str or tzinfo, optional
        The zone of times that name none: ``"Asia/Shanghai"``, ``"+08:00"``, ``"UTC"``. A local time that a change of
        clocks skips or repeats counts as malformed.
    unit : {"s", "ms"}, optional
        What times that are numbers count since 1970-01-01T00:00:00Z.

    Returns
    -------
    pandas.DataFrame, shape (len(frame), len(COLUMNS))
        Columns and dtypes of :data:`cosai_nb.schema.COLUMNS`, in the order and with the index of ``frame``. What
        ``timing_ok`` and the durations mean is written at :func:`cosai_nb.table.times.measure`.

    Raises
    ------
    FrameError
        A required column is missing, a name stands twice, or a whole column of times cannot be read for one reason
        (no zone, numbers, dates); the error says how to.
    SettingsError
        ``tz`` or ``unit`` is none.

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
    if unit not in {None, *dtypes.UNITS_MS}:
        raise SettingsError(f'unit={unit!r} is no unit of time since 1970: use "s" or "ms".')
    settings: dict[str, Any] = {"tz": None if tz is None else zone(tz), "unit": unit}
    frame = dtypes.as_frame(frame)
    given = _columns_by_path(frame)
    nothing = pa.nulls(len(frame), pa.large_string())
    texts = {
        column.name: dtypes.text_of(given[column.path]) if column.path in given else nothing
        for column in WIRE
        if column.name not in _TIMES
    }
    times = {name: dtypes.times_of(given[COLUMNS[name].path], **settings) for name in _TIMES}
    if observed_at is not None:
        moment = dtypes.exact_times(pd.Series([observed_at], name="observed_at"), **settings)
        if moment.hasnans:
            raise FrameError(f"observed_at={observed_at!r} is no time: leave it out where it is not known.")
        observed = np.full(len(frame), moment.tz_convert(None)[0].to_datetime64(), "M8[ms]")
    elif "observed_at" in frame.columns:
        observed = dtypes.exact_times(frame["observed_at"], **settings).tz_convert(None).to_numpy()
    else:
        moments = np.concatenate([each.values for each in times.values()])
        observed = np.full(len(frame), np.fmax.reduce(moments, initial=np.datetime64("NaT")), "M8[ms]")
    texts["bucket"] = dtypes.text_of(frame["bucket"]) if "bucket" in frame.columns else nothing
    texts["error"] = nothing
    outcome = _outcomes(texts["state"], np.full(len(frame), -1, np.int8))
    return _assembled(texts, times, outcome, observed, frame.index)


def conform(frame: pd.DataFrame) -> pd.DataFrame:
    """Give a ``jobs`` frame that was read from elsewhere its exact columns and dtypes.

    Parameters
    ----------
    frame : pandas.DataFrame
        With every column of :data:`cosai_nb.schema.COLUMNS`, in any dtype that holds the same values (text, too), or a
        pyarrow Table or polars frame. Only ``bucket``, which version 0.1.0 did not know, may be absent, and is missing then.

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
    frame = dtypes.as_frame(frame)
    missing = [name for name in COLUMNS if name not in frame.columns and name not in ADDED]
    if missing:
        raise FrameError(
            f"This is no jobs frame: {', '.join(missing)} missing; it has {dtypes.shown_columns(frame.columns)}. "
            "A table with the service's own names goes through cosai_nb.add_timings."
        )
    absent = pd.Series(None, index=frame.index, dtype="object")
    columns = {name: dtypes.exact(frame.get(name, absent), column) for name, column in COLUMNS.items()}
    others = {name: frame[name].array for name in frame.columns if name not in COLUMNS}
    return pd.DataFrame(columns | others, index=frame.index, copy=False)


def one_row_a_job(jobs: pd.DataFrame) -> pd.DataFrame:
    """Keep of each job the row in the furthest state (ended, running, waiting), of equal ones the newest.

    One ID in two buckets is two jobs.

    Parameters
    ----------
    jobs : pandas.DataFrame
        The ``jobs`` frame, or one that Arrow or polars holds. Rows that tell of no job (``not_found`` …) or have no ID are
        kept, and so is everything where there is no column ``job_id``.

    Returns
    -------
    pandas.DataFrame
        The same object where no job stands twice and nothing had to be converted.

    Warns
    -----
    CosaiWarning
        Says how many rows were left out.

    Examples
    --------
    >>> import warnings
    >>> from cosai_nb.schema import Record
    >>> jobs = frame_of([Record("a1", "not_found"), Record("a1", "not_found")]).assign(outcome=["waiting", "success"])
    >>> with warnings.catch_warnings(action="ignore"):
    ...     one_row_a_job(jobs)["outcome"].tolist()
    ['success']
    """
    jobs = dtypes.as_frame(jobs)
    if "job_id" not in jobs.columns or _is_unique(jobs["job_id"]):
        return jobs
    progress = progress_of(jobs)
    is_job = np.flatnonzero((progress > 0) & jobs["job_id"].notna().to_numpy())
    is_job = is_job[jobs["job_id"].iloc[is_job].duplicated(keep=False).to_numpy()]
    observed = jobs["observed_at"].astype("int64").to_numpy()[is_job]
    order = np.lexsort((observed, progress[is_job]))
    ordered = is_job[order]
    keys = keys_of_jobs(jobs.iloc[is_job])
    earlier = pd.Series(keys[order]).duplicated(keep="last").to_numpy()
    if not earlier.any():
        return jobs
    kept = np.ones(len(jobs), bool)
    kept[ordered[earlier]] = False
    warnings.warn(
        f"{len(kept) - kept.sum():,} of {len(kept):,} rows were left out: their jobs stand more than once "
        f"({jobs['job_id'].iloc[kept.argmin()]} for one). The furthest state of each job counts.",
        CosaiWarning,
        stacklevel=1,  # one place, so that a report that asks ten statistics says it once
    )
    return jobs[kept]


def keys_of_jobs(jobs: pd.DataFrame) -> NDArray[np.int64]:
    """Return the same number for rows of one job, as :func:`cosai_nb.table.duplicates.job_keys`; no ID may be missing."""
    ids = dtypes.text_of(jobs["job_id"])
    nothing = pa.nulls(len(ids), ids.type)
    return job_keys(ids, dtypes.text_of(jobs["bucket"]) if "bucket" in jobs.columns else nothing)


def progress_of(jobs: pd.DataFrame) -> NDArray[np.int8]:
    """Return how far each row's job has come: 3 ended, 2 running, 1 waiting, 0 no job."""
    outcome = jobs["outcome"].astype("category").cat
    table = np.array([PROGRESS.get(label, 0) for label in outcome.categories] + [0], np.int8)
    progress: NDArray[np.int8] = table[outcome.codes]
    return progress


def timing_of(jobs: pd.DataFrame) -> NDArray[np.bool_]:
    """Return ``timing_ok`` as it follows from the outcomes and times of a frame."""
    *moments, observed_at = (jobs[name].dt.tz_convert(None).to_numpy() for name in (*_TIMES, "observed_at"))
    creation, start, end = (Times(values, np.zeros(len(jobs), bool)) for values in moments)
    outcome: Any = jobs["outcome"].cat.codes.to_numpy()
    return measure(outcome, creation=creation, start=start, end=end, observed_at=observed_at).timing_ok


_UNIQUE: WeakValueDictionary[int, Any] = WeakValueDictionary()  # Arrow data never changes: one look is enough


def _is_unique(ids: pd.Series[Any]) -> bool:
    """Return whether no text stands twice; nothing is looked at when the same column is asked again."""
    if ids.dtype != dtypes.TEXT:
        return bool(ids.is_unique)
    texts: Any = ids.array.__arrow_array__()  # what pandas holds, and no new wrapper of it
    if _UNIQUE.get(id(texts)) is texts:
        return True
    unique = is_unique(texts)
    if unique:
        _UNIQUE[id(texts)] = texts
    return unique


def _columns_by_path(frame: pd.DataFrame) -> dict[str, pd.Series[Any]]:
    """Find the columns of a user's table by the XML path that each stands for."""
    path_of = {name: column.path for column in WIRE for name in (column.path, column.name)}
    found: dict[str, Any] = {}
    for label in frame.columns:
        path = path_of.get(str(label).replace(".", "/").removeprefix("JobsDetail/"))
        if path in found:
            raise FrameError(f"Columns {found[path]!r} and {label!r} are the same node; drop one of them.")
        if path is not None:
            found[path] = label
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        raise FrameError(
            f"add_timings needs the columns {', '.join(REQUIRED)}; {', '.join(missing)} missing. The frame has "
            f"{dtypes.shown_columns(frame.columns)}. Rename yours with frame.rename(columns={{...}})."
        )
    return {path: frame[label] for path, label in found.items()}


# --- columns to the frame ---


def _assembled(
    texts: Mapping[str, pa.Array], times: Mapping[str, Times], outcome: Any, observed_at: Any, index: Any
) -> pd.DataFrame:
    creation, start, end = (times[name] for name in _TIMES)
    measured = measure(outcome, creation=creation, start=start, end=end, observed_at=observed_at)
    code = dtypes.category_array(texts["code"])
    ready = {
        "audio_s": dtypes.number_array(texts["audio_s"]),
        "job_level": dtypes.integer_array(texts["job_level"]),
        **{name: dtypes.time_array(times[name].values) for name in _TIMES},
        **measured._asdict(),
        "observed_at": dtypes.time_array(observed_at),
        "outcome": pd.Categorical.from_codes(outcome, dtype=dtypes.OUTCOME),
        "code": code.remove_categories(["Success"]) if "Success" in code.categories else code,
    }
    made = {"category": dtypes.category_array, "str": dtypes.text_array}
    columns = {
        name: ready[name] if name in ready else made[column.dtype](texts[name])
        for name, column in COLUMNS.items()
    }
    return pd.DataFrame(columns, index=index, copy=False)


def _outcomes(states: pa.Array, fates: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return what became of each ID, which a job's State says; warn of those that no document lists."""
    unknown = dtypes.POSITION["unknown"]
    outcome = np.where(fates < 0, dtypes.positions(states, _OF_STATE, other=unknown), fates)
    strange = states.filter(pa.array((fates < 0) & (outcome == unknown))).to_pylist()
    if strange:
        counts = Counter("no State" if state is None else dtypes.shortened(state) for state in strange)
        shown = [f"{state}: {count}" for state, count in counts.most_common(_SHOWN_STATES)]
        if len(counts) > _SHOWN_STATES:
            shown.append(f"{len(counts) - _SHOWN_STATES} other states")
        warnings.warn(
            f"{len(strange)} jobs have a State that no document lists ({', '.join(shown)}); they are kept with outcome "
            "'unknown', count as unfinished and are in no rate.",
            UnknownStateWarning,
            stacklevel=4,
        )
    return outcome
