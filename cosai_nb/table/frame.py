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
import pyarrow.compute as pc

from cosai_nb.arguments import zone
from cosai_nb.errors import CosaiWarning, FrameError, SettingsError, UnknownStateWarning
from cosai_nb.schema import COLUMNS, OUTCOME_OF_STATE, PROGRESS, WIRE, Outcome
from cosai_nb.table.times import DATE, EARLIEST, LATEST, LOCAL, NAT, Times, measure, parse_times

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, tzinfo

    from numpy.typing import NDArray

    from cosai_nb.schema import Column, Record


def _text_dtype() -> Any:  # the stubs know only the newest pandas
    try:
        return pd.StringDtype("pyarrow", na_value=np.nan)
    except TypeError:  # pandas 2.2 has the same dtype under its first name
        return pd.api.types.pandas_dtype("string[pyarrow_numpy]")


TEXT: Any = _text_dtype()
"""pandas' string dtype with NaN: ``str`` in pandas 3."""
OUTCOME = pd.CategoricalDtype(pd.Index([outcome.value for outcome in Outcome], dtype=TEXT))
REQUIRED = ("JobId", "State", "CreationTime", "StartTime", "EndTime")
"""What :func:`add_timings` cannot do without, by the service's own names."""

_CATEGORIES = {"fate", *(column.name for column in WIRE if column.dtype == "category")}
_TIMES = ("creation_time", "start_time", "end_time")
_POSITION = {str(outcome): position for position, outcome in enumerate(Outcome)}
_OF_STATE = {str(state): _POSITION[outcome] for state, outcome in OUTCOME_OF_STATE.items()}
_BLOCK = 512
_SHOWN_STATES = 5
_SHOWN_COLUMNS = 30
_SHOWN_CHARACTERS = 40
_NUMBER = r"\A\d{1,15}(?:\.\d*)?\z"
_ANY_NUMBER = r"\A(?:[+-]?\d+(?:\.\d*)?(?:e\+?\d+)?|True|False)\z"  # as Python writes them
_WHOLE = r"\A[+-]?\d{1,18}(?:\.0)?\z"  # pandas makes floats of whole numbers with gaps
_UTC = r" ?(?:UTC|GMT)\z"
_MS: dict[str, float] = {"s": 1000.0, "ms": 1.0}
_FORMS = {  # how a value of a dtype is written, what Arrow makes of it, and what to write in its place
    "float64": (r"(?i)\A(?:-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|-?inf|nan)\z", pa.float64(), "a number such as 12.5"),
    "Int64": (r"\A-?\d{1,19}\z", pa.int64(), "a whole number"),
    "bool": (r"(?i)\A(?:true|false|1|0)\z", pa.bool_(), "TRUE or FALSE"),
}  # fmt: skip


def frame_of(records: Sequence[Record], columns: Sequence[str] = ()) -> pd.DataFrame:
    """Make the ``jobs`` frame of records: one row each, in their order.

    Parameters
    ----------
    records : sequence of Record
        As the service room reads them; none gives an empty frame with all columns and dtypes.
    columns : sequence of str
        Names of further texts, which stand behind :data:`~cosai_nb.schema.WIRE` in each record's ``values``.

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
    return frame_from(texts_of(records, columns))


def texts_of(records: Sequence[Record], columns: Sequence[str] = ()) -> pa.Table:
    """Put records into a table of their texts: one row each, as :func:`frame_of` takes them.

    Tables of one call may be concatenated, and their rows taken in any order, before :func:`frame_from` makes the frame.
    """
    names = [*(column.name for column in WIRE), *columns]
    job_ids, fates, observed, errors, values = _columns_of(records, 5)
    values = [row or (None,) * len(names) for row in values]
    cells = dict(zip(names, _columns_of(values, len(names)), strict=True))
    cells |= {"job_id": job_ids, "error": errors, "fate": fates}
    texts = {name: arrow_text(cells[name], categories=name in _CATEGORIES) for name in cells}
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
    own = {name: _in_one(texts[name]) for name in texts.column_names}
    observed = own.pop("observed_ms").fill_null(NAT).to_numpy(zero_copy_only=False).copy().view("M8[ms]")
    # a clock that is thousands of years off says nothing
    observed[(observed < EARLIEST) | (observed >= LATEST)] = "NaT"
    times = {name: parse_times(own[name]) for name in _TIMES}
    outcome = _outcomes(own["state"], _positions(own.pop("fate"), _POSITION, other=-1))
    jobs = _assembled(own, times, outcome, observed, pd.RangeIndex(len(texts)))
    return jobs.assign(**{name: text_array(own[name]) for name in own if name not in COLUMNS})


def _in_one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()  # which would copy one, too


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
        When all rows were true, with a zone; it wins over the column. With neither it is the latest time that stands in
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
    if unit not in {None, *_MS}:
        raise SettingsError(f'unit={unit!r} is no unit of time since 1970: use "s" or "ms".')
    settings: dict[str, Any] = {"tz": None if tz is None else zone(tz), "unit": unit}
    frame = table_of(frame)
    given = _columns_by_path(frame)
    nothing = pa.nulls(len(frame), pa.large_string())
    texts = {
        column.name: text_of(given[column.path]) if column.path in given else nothing
        for column in WIRE
        if column.name not in _TIMES
    }
    times = {name: times_of(given[COLUMNS[name].path], **settings) for name in _TIMES}
    if observed_at is not None:
        moment = _exact_times(pd.Series([observed_at], name="observed_at"), **settings)
        if moment.hasnans:
            raise FrameError(f"observed_at={observed_at!r} is no time: leave it out where it is not known.")
        observed = np.full(len(frame), moment.tz_convert(None)[0].to_datetime64(), "M8[ms]")
    elif "observed_at" in frame.columns:
        observed = _exact_times(frame["observed_at"], **settings).tz_convert(None).to_numpy()
    else:
        moments = np.concatenate([each.values for each in times.values()])
        observed = np.full(len(frame), np.fmax.reduce(moments, initial=np.datetime64("NaT")), "M8[ms]")
    texts["error"] = nothing
    outcome = _outcomes(texts["state"], np.full(len(frame), -1, np.int8))
    return _assembled(texts, times, outcome, observed, frame.index)


def conform(frame: pd.DataFrame) -> pd.DataFrame:
    """Give a ``jobs`` frame that was read from elsewhere its exact columns and dtypes.

    Parameters
    ----------
    frame : pandas.DataFrame
        With every column of :data:`cosai_nb.schema.COLUMNS`, in any dtype that holds the same values (text, too), or a
        pyarrow Table or polars frame.

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
    frame = table_of(frame)
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise FrameError(
            f"This is no jobs frame: {', '.join(missing)} missing; it has {_shown(frame.columns)}. "
            "A table with the service's own names goes through cosai_nb.add_timings."
        )
    columns = {name: _exact(frame[name], column) for name, column in COLUMNS.items()}
    others = {name: frame[name].array for name in frame.columns if name not in COLUMNS}
    return pd.DataFrame(columns | others, index=frame.index, copy=False)


def one_row_a_job(jobs: pd.DataFrame) -> pd.DataFrame:
    """Keep of each job the row in the furthest state (ended, running, waiting), of equal ones the newest.

    Parameters
    ----------
    jobs : pandas.DataFrame
        The ``jobs`` frame. Rows that tell of no job (``not_found`` …) or have no ID are kept, and so is everything where
        there is no column ``job_id``.

    Returns
    -------
    pandas.DataFrame
        The same object where no job stands twice.

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
    if "job_id" not in jobs.columns or _is_unique(jobs["job_id"]):
        return jobs
    progress = progress_of(jobs)
    is_job = np.flatnonzero((progress > 0) & jobs["job_id"].notna().to_numpy())
    observed = jobs["observed_at"].astype("int64").to_numpy()[is_job]
    ordered = is_job[np.lexsort((observed, progress[is_job]))]
    earlier = jobs["job_id"].iloc[ordered].duplicated(keep="last").to_numpy()
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
    """Return whether no text stands twice: 0.3 s a million at first, nothing when the same column is asked again."""
    if ids.dtype != TEXT:
        return bool(ids.is_unique)
    texts: Any = ids.array.__arrow_array__()  # what pandas holds, and no new wrapper of it
    if _UNIQUE.get(id(texts)) is texts:
        return True
    unique = len(texts.unique()) == len(texts)
    if unique:
        _UNIQUE[id(texts)] = texts
    return unique


# --- between Python, Arrow and pandas ---


def arrow_text(values: Iterable[str | None], *, categories: bool = False) -> pa.Array:
    r"""Make an Arrow array of text, dictionary-encoded on demand; lone surrogates, which no UTF-8 can hold, stand escaped.

    Examples
    --------
    >>> arrow_text(["a", None, "\ud800"]).to_pylist()
    ['a', None, '\\ud800']
    """
    try:
        texts = pa.array(values, pa.large_string())
    except UnicodeEncodeError:
        sound = [text and text.encode("utf-8", "backslashreplace").decode() for text in values]
        texts = pa.array(sound, pa.large_string())
    return texts.dictionary_encode() if categories else texts  # pyarrow 16 cannot do both at once


def text_array(texts: pa.Array) -> Any:
    """Give Arrow text as a pandas array of dtype :data:`TEXT`, without a copy."""
    return TEXT.__from_arrow__(texts)


def category_array(texts: pa.Array) -> pd.Categorical[Any]:
    """Give Arrow text as a categorical whose categories are the texts that occur, sorted.

    Examples
    --------
    >>> category_array(pa.array(["zh", "en", None, "zh"])).codes.tolist()
    [1, 0, -1, 1]
    """
    encoded = texts.dictionary_encode()
    indices = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    used = np.flatnonzero(np.bincount(indices + 1, minlength=len(encoded.dictionary) + 1)[1:])
    labels = encoded.dictionary.take(pa.array(used))
    order = pc.sort_indices(labels).to_numpy()
    rank = np.full(len(encoded.dictionary) + 1, -1, np.int32)  # the last one is where nothing stands
    rank[used[order]] = np.arange(len(order))
    categories = pd.Index(text_array(labels.take(pa.array(order))))
    return pd.Categorical.from_codes(rank[indices], dtype=pd.CategoricalDtype(categories))


def time_array(values: NDArray[np.datetime64]) -> pd.DatetimeIndex:
    """Give UTC times as pandas holds them."""
    return pd.DatetimeIndex(values).tz_localize("UTC")


def _integers(numbers: Any) -> pd.arrays.IntegerArray:
    """Give Arrow's whole numbers as Int64, missing ones as NA."""
    missing = numbers.is_null().to_numpy(zero_copy_only=False)
    return pd.arrays.IntegerArray(numbers.fill_null(0).to_numpy(zero_copy_only=False).copy(), missing)


def integer_array(texts: pa.Array) -> pd.arrays.IntegerArray:
    """Read whole numbers; NA where there is none."""
    whole = _where(texts, _WHOLE)
    return _integers(pc.replace_substring_regex(whole, r"\A\+|\.0\z", "").cast(pa.int64()))


def _numbers(texts: pa.Array) -> NDArray[np.float64]:
    """Read plain decimal numbers; NaN where there is none."""
    values: NDArray[np.float64] = _where(texts, _NUMBER).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def _where(texts: pa.Array, pattern: str) -> pa.Array:
    return pc.if_else(pc.match_substring_regex(texts, pattern), texts, None)


def from_arrow(table: pa.Table) -> pd.DataFrame:
    """Give an Arrow table as pandas; whole numbers with gaps are Int64, where pandas itself would make floats."""
    held = {pa.string(): TEXT, pa.large_string(): TEXT, pa.string_view(): TEXT}
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True, types_mapper=held.get)
    for position, column in enumerate(table.columns):
        if pa.types.is_signed_integer(column.type) and column.null_count:
            name = frame.columns[position]
            frame[name] = _integers(column.cast(pa.int64()).combine_chunks())
    return frame


def table_of(frame: object) -> pd.DataFrame:
    """Return a table as pandas holds it by default: Arrow tables, polars frames and Arrow-backed columns are converted.

    Raises
    ------
    FrameError
        Where this is no table, or a column name stands more than once: which one is meant cannot be known.
    """
    if not isinstance(frame, pd.DataFrame):
        what = f"This is {type(frame).__name__}, no DataFrame: pass one, such as fetch_jobs(...) returns."
        if not hasattr(frame, "__arrow_c_stream__"):
            raise FrameError(what)
        try:
            frame = from_arrow(pa.table(frame))
        except (pa.ArrowException, TypeError, ValueError):
            raise FrameError(what) from None
    repeated = frame.columns[frame.columns.duplicated()].unique()
    if len(repeated):
        raise FrameError(f"Columns stand more than once: {_shown(repeated)}. Keep one of each.")
    by_arrow: list[Any] = [label for label, dtype in frame.dtypes.items() if isinstance(dtype, pd.ArrowDtype)]
    if by_arrow:
        frame = frame.copy(deep=False)
        held = from_arrow(pa.Table.from_pandas(frame[by_arrow], preserve_index=False))
        frame[by_arrow] = held.set_axis(frame.index)
    return frame


def text_of(column: pd.Series[Any]) -> pa.Array:
    """Read any column as Arrow text; what is no text stands as its ``str``, what is missing as null.

    Examples
    --------
    >>> text_of(pd.Series(["a", None, 7])).to_pylist()
    ['a', None, '7']
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        labels, codes = column.cat.categories.to_series(), column.cat.codes.to_numpy()
        return text_of(labels).take(pa.array(codes, mask=codes < 0))
    if column.dtype == TEXT:
        return _in_one(column.array.__arrow_array__())
    missing = column.isna()
    texts = [None if gone else str(value) for value, gone in zip(column.array, missing, strict=True)]
    return arrow_text(texts)


# --- times as users have them ---


def times_of(column: pd.Series[Any], *, tz: tzinfo | None = None, unit: str | None = None) -> Times:
    """Read a column of times: text by the grammar of :mod:`cosai_nb.table.times`, or datetimes with a zone.

    Raises
    ------
    FrameError
        No value says which instant it means, and all for one reason.

    Examples
    --------
    >>> times_of(pd.Series(["2022-07-07T12:00:00+0800", "-"], name="StartTime")).values
    array(['2022-07-07T04:00:00.000', 'NaT'], dtype='datetime64[ms]')
    """
    if isinstance(column.dtype, pd.DatetimeTZDtype) or column.isna().all():
        moments = pd.to_datetime(column, utc=True).dt.tz_convert(None).to_numpy().astype("M8[ms]")
        return Times(moments, np.zeros(len(column), bool))
    texts = text_of(column)
    times = parse_times(texts)
    if times.malformed.any() and tz is not None:
        texts = pc.replace_substring_regex(texts, _UTC, "Z")
        local = pc.replace_substring_regex(_where(texts, LOCAL), r"\z", "Z")
        wall = pd.DatetimeIndex(parse_times(local).values)
        utc = wall.tz_localize(tz, ambiguous="NaT", nonexistent="NaT").tz_convert(None)
        times = _either(parse_times(texts), utc.to_numpy())
    if times.malformed.any() and unit is not None:
        count = _numbers(texts) * _MS[unit]
        moments = np.where((count >= 0) & (count < LATEST.astype(np.int64)), count, np.nan)
        times = _either(times, np.nan_to_num(moments, nan=NAT).astype(np.int64).view("M8[ms]"))
    if times.malformed.any() and np.isnat(times.values).all():
        _refuse_all(column, texts.filter(pa.array(times.malformed)))
    return times


def _either(times: Times, moments: NDArray[np.datetime64]) -> Times:
    """Take a second reading where the first one failed."""
    values = np.where(times.malformed, moments.astype("M8[ms]"), times.values)
    return Times(values, times.malformed & np.isnat(values))


def _refuse_all(column: pd.Series[Any], texts: pa.Array) -> None:
    """Raise where all texts fail for the same reason; what fails one by one is flagged one by one."""
    name, first = repr(column.name), _shortened(texts[0].as_py())
    zones = 'tz="Asia/Shanghai" for the service\'s local time, tz="UTC" for UTC'
    reasons = (
        (LOCAL, f"times without a time zone ({first} for one). Say which one they are in with add_timings: {zones}; or frame[{name}].dt.tz_localize(…) where they are datetimes"),
        (rf"\d{_UTC}", f'times with a zone as a word ({first} for one). Let add_timings read it with tz="UTC", or write Z in its place'),
        (_ANY_NUMBER, f'numbers ({first} for one), not times. Say what they count since 1970 with add_timings: unit="s" or unit="ms"'),
        (DATE, f"dates without a time of day ({first} for one), which give no durations. Take the column that has the time of day"),
    )  # fmt: skip
    for pattern, what in reasons:
        if pc.all(pc.match_substring_regex(texts, pattern)).as_py():
            raise FrameError(f"Column {name} holds {what}.")


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
            f"{_shown(frame.columns)}. Rename yours with frame.rename(columns={{...}})."
        )
    return {path: frame[label] for path, label in found.items()}


# --- one column to the dtype of the schema ---


def _exact(column: pd.Series[Any], spec: Column) -> Any:
    """Bring a column to its dtype; what does not fit is named, with its row and what to write there."""
    dtype = spec.dtype
    is_number = pd.api.types.is_bool_dtype if dtype == "bool" else pd.api.types.is_numeric_dtype
    try:
        if dtype == "str":
            return column.array if column.dtype == TEXT else text_array(text_of(column))
        if dtype == "category":
            return _exact_outcome(column) if spec.name == "outcome" else category_array(text_of(column))
        if dtype == "datetime64[ms, UTC]":
            return _exact_times(column)
        if is_number(column.dtype):
            return column.astype(dtype).array
        pattern, kind, write = _FORMS[dtype]
        texts = text_of(column)
        values = _where(texts, pattern).cast(kind)
        wrong = pc.and_not(values.is_null(), texts.is_null())
        if dtype == "bool" and not pc.any(wrong).as_py():
            wrong = values.is_null()
        _refuse_misfit(column, wrong, write)
        return _integers(values) if dtype == "Int64" else values.to_numpy(zero_copy_only=False)
    except FrameError:
        raise
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise FrameError(
            f"Column {spec.name!r} should be {dtype} ({spec.meaning}) but holds {column.dtype} "
            f"with values that do not fit: {error}"
        ) from error


def _exact_outcome(column: pd.Series[Any]) -> Any:
    texts = text_of(column)
    codes = pc.index_in(texts, pa.array(list(Outcome), texts.type))
    _refuse_misfit(column, codes.is_null(), f"one of {', '.join(Outcome)}")
    return pd.Categorical.from_codes(codes.to_numpy(), dtype=OUTCOME)


def _exact_times(column: pd.Series[Any], **settings: Any) -> pd.DatetimeIndex:
    times = times_of(column, **settings)
    _refuse_misfit(column, times.malformed, "a time with its zone, such as 2024-03-05T10:00:00+0800")
    return time_array(times.values)


def _refuse_misfit(column: pd.Series[Any], wrong: Any, write: str) -> None:
    """Raise where a value is wrong: name the column, the first such row, and what to write there."""
    rows = np.flatnonzero(wrong)
    if len(rows):
        shown = "nothing" if column.isna().iloc[rows[0]] else _shortened(str(column.iloc[rows[0]]))
        raise FrameError(f"Column {column.name!r} holds {shown} in row {rows[0] + 1}; write {write}.")


def _shown(columns: pd.Index[Any]) -> str:
    """Name the columns of a table for an error message, not too many of them."""
    names = ", ".join(repr(label) for label in columns[:_SHOWN_COLUMNS])
    more = len(columns) - _SHOWN_COLUMNS
    return f"{names} and {more} more" if more > 0 else names or "no columns"


def _shortened(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…")


# --- columns to the frame ---


def _assembled(
    texts: Mapping[str, pa.Array], times: Mapping[str, Times], outcome: Any, observed_at: Any, index: Any
) -> pd.DataFrame:
    creation, start, end = (times[name] for name in _TIMES)
    measured = measure(outcome, creation=creation, start=start, end=end, observed_at=observed_at)
    code = category_array(texts["code"])
    ready = {
        "audio_s": _numbers(texts["audio_s"]),
        "job_level": integer_array(texts["job_level"]),
        **{name: time_array(times[name].values) for name in _TIMES},
        **measured._asdict(),
        "observed_at": time_array(observed_at),
        "outcome": pd.Categorical.from_codes(outcome, dtype=OUTCOME),
        "code": code.remove_categories(["Success"]) if "Success" in code.categories else code,
    }
    made = {"category": category_array, "str": text_array}
    columns = {
        name: ready[name] if name in ready else made[column.dtype](texts[name])
        for name, column in COLUMNS.items()
    }
    return pd.DataFrame(columns, index=index, copy=False)


def _outcomes(states: pa.Array, fates: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return what became of each ID, which a job's State says; warn of those that no document lists."""
    unknown = _POSITION["unknown"]
    outcome = np.where(fates < 0, _positions(states, _OF_STATE, other=unknown), fates)
    _warn_of_unknown(states.filter(pa.array((fates < 0) & (outcome == unknown))))
    return outcome


def _positions(texts: pa.Array, of: Mapping[str, int], *, other: int) -> NDArray[np.int8]:
    """Look up each text."""
    encoded = texts.dictionary_encode()
    table = np.array([of.get(text, other) for text in encoded.dictionary.to_pylist()] + [other], np.int8)
    positions: NDArray[np.int8] = table[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    return positions


def _warn_of_unknown(states: pa.Array) -> None:
    counts = Counter("no State" if state is None else _shortened(state) for state in states.to_pylist())
    if counts:
        shown = [f"{state}: {count}" for state, count in counts.most_common(_SHOWN_STATES)]
        if len(counts) > _SHOWN_STATES:
            shown.append(f"{len(counts) - _SHOWN_STATES} other states")
        warnings.warn(
            f"{len(states)} jobs have a State that no document lists ({', '.join(shown)}); they are kept with outcome "
            "'unknown', count as unfinished and are in no rate.",
            UnknownStateWarning,
            stacklevel=5,
        )
