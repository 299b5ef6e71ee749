"""The ``jobs`` frame: made of records or of a user's own table, and brought to the exact dtypes of the schema.

::

    frame_of(records)       what the service said, one row an ID
    add_timings(frame)      a table with the service's own names
    conform(frame)          a jobs frame from elsewhere: Parquet, CSV, polars, any dtypes that hold the same values
    one_row_a_job(jobs)     of a job that stands more than once, the row that counts
"""

from __future__ import annotations

import warnings
from collections import Counter
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakValueDictionary
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cosai_nb.errors import CosaiWarning, FrameError, SettingsError, UnknownStateWarning
from cosai_nb.schema import COLUMNS, ENDED, OUTCOME_OF_STATE, WIRE, Outcome
from cosai_nb.table.times import DATE, EARLIEST, LATEST, LOCAL, NAT, Times, measure, parse_times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from cosai_nb.schema import Column, Dtype, Record


def _text_dtype() -> Any:  # the stubs know only the newest pandas
    try:
        return pd.StringDtype("pyarrow", na_value=np.nan)
    except TypeError:  # pandas 2.2 has the same dtype under its first name
        return pd.api.types.pandas_dtype("string[pyarrow_numpy]")


TEXT: Any = _text_dtype()
"""pandas' string dtype with NaN: ``str`` in pandas 3."""
OUTCOME = pd.CategoricalDtype(pd.Index([outcome.value for outcome in Outcome], dtype=TEXT))
ENDED_PROGRESS = 3
"""What :func:`progress_of` gives for a job that has ended."""
REQUIRED = ("JobId", "State", "CreationTime", "StartTime", "EndTime")
"""What :func:`add_timings` cannot do without, by the service's own names."""

_TIMES = ("creation_time", "start_time", "end_time")
_POSITION = {outcome: position for position, outcome in enumerate(Outcome)}
_IS_JOB = -1
_FATES = {
    "job": _IS_JOB,
    **{
        outcome.value: _POSITION[outcome]
        for outcome in (Outcome.NOT_FOUND, Outcome.INVALID_ID, Outcome.UNREAD)
    },
}
_PROGRESS = {
    Outcome.WAITING: 1,
    Outcome.UNKNOWN: 1,
    Outcome.RUNNING: 2,
    **dict.fromkeys(ENDED, ENDED_PROGRESS),
}
_BLOCK = 512
_SHOWN_STATES = 5
_SHOWN_COLUMNS = 30
_SHOWN_CHARACTERS = 40
_NUMBER = r"\A\d{1,15}(?:\.\d*)?\z"
_ANY_NUMBER = r"\A(?:[+-]?\d+(?:\.\d*)?(?:e\+?\d+)?|True|False)\z"  # as Python writes them
_WHOLE = r"\A[+-]?\d{1,18}(?:\.0)?\z"  # pandas makes floats of whole numbers with gaps
_UTC = r" ?(?:UTC|GMT)\z"
_CATEGORY = pa.dictionary(pa.int32(), pa.large_string())
_MS: dict[str, float] = {"s": 1000.0, "ms": 1.0}


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
    job_ids, fates, observed, errors, values = _transposed(records, width=5)
    blank = (None,) * (len(WIRE) + len(columns))
    cells = _transposed([row or blank for row in values], width=len(blank))
    of_column = dict(zip([*(column.name for column in WIRE), *columns], cells, strict=True))
    of_column |= {"job_id": job_ids, "error": errors}
    texts = {
        name: arrow_text(cells, categories=name in COLUMNS and COLUMNS[name].dtype == "category")
        for name, cells in of_column.items()
    }
    moments = np.array([NAT if moment is None else moment for moment in observed], np.int64).view("M8[ms]")
    moments[(moments < EARLIEST) | (moments >= LATEST)] = (
        "NaT"  # a clock that is thousands of years off says nothing
    )
    jobs = _assembled(
        texts,
        times={name: parse_times(texts[name]) for name in _TIMES},
        fates=np.array([_FATES[fate] for fate in fates], np.int8),
        observed_at=moments,
        index=pd.RangeIndex(len(records)),
    )
    return jobs.assign(**{name: text_array(texts[name]) for name in columns}) if columns else jobs


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
    zone = None if tz is None else _zone(tz)
    frame = table_of(frame)
    given = _columns_by_path(frame)
    nothing = pa.nulls(len(frame), pa.large_string())
    texts = {
        column.name: text_of(given[column.path]) if column.path in given else nothing
        for column in WIRE
        if column.name not in _TIMES
    }
    times = {name: times_of(given[COLUMNS[name].path], tz=zone, unit=unit) for name in _TIMES}
    if observed_at is not None:
        observed = np.full(len(frame), _moment(observed_at), "M8[ms]")
    elif "observed_at" in frame.columns:
        observed = _exact_times(frame["observed_at"], tz=zone, unit=unit).tz_convert(None).to_numpy()
    else:
        moments = np.concatenate([each.values for each in times.values()])
        latest = np.fmax.reduce(moments, initial=np.datetime64("NaT"))
        observed = np.full(len(frame), latest, "M8[ms]")
    return _assembled(
        texts | {"error": nothing},
        times=times,
        fates=np.full(len(frame), _IS_JOB, np.int8),
        observed_at=observed,
        index=frame.index,
    )


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
    table = np.array([_PROGRESS.get(label, 0) for label in outcome.categories] + [0], np.int8)
    progress: NDArray[np.int8] = table[outcome.codes]
    return progress


_UNIQUE: WeakValueDictionary[int, Any] = (
    WeakValueDictionary()
)  # Arrow data never changes, so one look is enough


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
    kind = _CATEGORY if categories else pa.large_string()
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        return pa.array([text and text.encode("utf-8", "backslashreplace").decode() for text in values], kind)


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
    order = pc.sort_indices(encoded.dictionary)
    rank = np.empty(len(order) + 1, np.int32)
    rank[order.to_numpy()] = np.arange(len(order))
    rank[-1] = -1  # where nothing stands
    codes = rank[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    categories = pd.Index(text_array(encoded.dictionary.take(order)))
    return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(categories))


def time_array(values: NDArray[np.datetime64]) -> pd.DatetimeIndex:
    """Give UTC times as pandas holds them."""
    return pd.DatetimeIndex(values).tz_localize("UTC")


def _integers(numbers: Any) -> pd.arrays.IntegerArray:
    """Give Arrow's whole numbers as Int64, missing ones as NA."""
    missing = numbers.is_null().to_numpy(zero_copy_only=False)
    return pd.arrays.IntegerArray(numbers.fill_null(0).to_numpy(zero_copy_only=False).copy(), missing)


def integer_array(texts: pa.Array) -> pd.arrays.IntegerArray:
    """Read whole numbers; NA where there is none."""
    return _integers(pc.replace_substring_regex(_where(texts, _WHOLE), r"\A\+|\.0\z", "").cast(pa.int64()))


def _float_array(texts: pa.Array) -> NDArray[np.float64]:
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
    by_arrow = [label for label, dtype in frame.dtypes.items() if isinstance(dtype, pd.ArrowDtype)]
    if by_arrow:
        held = from_arrow(pa.Table.from_pandas(frame[by_arrow], preserve_index=False))
        frame = frame.copy(deep=False)
        for position, label in enumerate(by_arrow):
            frame[label] = held.iloc[:, position].array
    return frame


def text_of(column: pd.Series[Any]) -> pa.Array:
    """Read any column as Arrow text; what is no text stands as its ``str``, what is missing as null.

    Examples
    --------
    >>> text_of(pd.Series(["a", None, 7])).to_pylist()
    ['a', None, '7']
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if column.dtype == TEXT:
        texts = pa.array(column.array, pa.large_string())
        return texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    missing = column.isna()
    return arrow_text(
        [None if gone else str(value) for value, gone in zip(column.array, missing, strict=True)]
    )


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
    no_fault = np.zeros(len(column), bool)
    if column.isna().all():
        return Times(np.full(len(column), "NaT", "M8[ms]"), no_fault)
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return Times(column.dt.tz_convert(None).to_numpy().astype("M8[ms]"), no_fault)
    texts = text_of(column)
    times = parse_times(texts)
    if times.malformed.any() and tz is not None:
        texts = pc.replace_substring_regex(texts, _UTC, "Z")
        local = _where(texts, LOCAL)
        wall = parse_times(pc.replace_substring_regex(local, r"\z", "Z")).values
        utc = pd.DatetimeIndex(wall).tz_localize(tz, ambiguous="NaT", nonexistent="NaT").tz_convert(None)
        times = _either(parse_times(texts), utc.to_numpy())
    if times.malformed.any() and unit is not None:
        count = _where(texts, _NUMBER).cast(pa.float64()).to_numpy(zero_copy_only=False) * _MS[unit]
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


def _zone(tz: str | tzinfo) -> tzinfo:
    if isinstance(tz, tzinfo):
        return tz
    try:
        return datetime.strptime(tz, "%z").tzinfo or ZoneInfo(tz)
    except (ValueError, TypeError):
        pass
    try:
        return ZoneInfo(tz)
    except (ValueError, TypeError, OSError, LookupError, AttributeError):
        raise SettingsError(
            f'tz={tz!r} is no time zone that this machine knows: write "Asia/Shanghai", "+08:00" or "UTC".'
        ) from None


def _moment(observed_at: str | datetime | pd.Timestamp) -> np.datetime64:
    try:
        moment = pd.Timestamp(observed_at)
    except (ValueError, TypeError) as error:
        raise FrameError(f"observed_at={observed_at!r} is no time: {error}") from None
    if pd.isna(moment) or moment.tzinfo is None:
        raise FrameError(f'observed_at={observed_at!r} needs a time zone, as in "2026-11-08T00:00:00+0800".')
    instant: np.datetime64 = moment.tz_convert(None).floor("ms").to_datetime64()
    return instant


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
    try:
        return _EXACT[spec.dtype](column)
    except FrameError:
        raise
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise FrameError(
            f"Column {spec.name!r} should be {spec.dtype} ({spec.meaning}) but holds {column.dtype} "
            f"with values that do not fit: {error}"
        ) from error


def _exact_category(column: pd.Series[Any]) -> Any:
    if column.name != "outcome":
        known: Any = column.array if isinstance(column.dtype, pd.CategoricalDtype) else None
        if known is not None and known.categories.dtype == TEXT and known.categories.is_monotonic_increasing:
            return known.remove_unused_categories()
        return category_array(text_of(column))
    if column.dtype == OUTCOME and not column.isna().any():
        return column.array
    texts = text_of(column)
    codes = pc.index_in(texts, pa.array(list(Outcome), texts.type))
    if codes.null_count:
        raise _misfit(column, codes.is_null(), f"one of {', '.join(Outcome)}")
    return pd.Categorical.from_codes(codes.to_numpy(), dtype=OUTCOME)


def _exact_times(column: pd.Series[Any], **settings: Any) -> pd.DatetimeIndex:
    if column.dtype == "datetime64[ms, UTC]":
        return pd.DatetimeIndex(column)
    times = times_of(column, **settings)
    if times.malformed.any():
        raise _misfit(column, times.malformed, "a time with its zone, such as 2024-03-05T10:00:00+0800")
    return time_array(times.values)


def _exact_floats(column: pd.Series[Any]) -> NDArray[np.float64]:
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(np.float64, na_value=np.nan)
    values: NDArray[np.float64] = _cast(column, pa.float64(), "a number such as 12.5").to_numpy(
        zero_copy_only=False
    )
    return values


def _exact_integers(column: pd.Series[Any]) -> Any:
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.astype("Int64").array
    return _integers(_cast(column, pa.int64(), "a whole number"))


def _exact_bools(column: pd.Series[Any]) -> NDArray[np.bool_]:
    if pd.api.types.is_bool_dtype(column.dtype):
        return column.to_numpy(np.bool_)
    truths = _cast(column, pa.bool_(), "TRUE or FALSE")
    if truths.null_count:
        raise _misfit(column, truths.is_null(), "TRUE or FALSE")
    values: NDArray[np.bool_] = truths.to_numpy(zero_copy_only=False)
    return values


def _cast(column: pd.Series[Any], kind: pa.DataType, write: str) -> pa.Array:
    texts = text_of(column)
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:
        raise _misfit(column, [not _casts(text, kind) for text in texts], write) from None


def _casts(text: pa.Scalar, kind: pa.DataType) -> bool:
    try:
        text.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _misfit(column: pd.Series[Any], wrong: Any, write: str) -> FrameError:
    """Name the column, the first row that is wrong, and what to write there."""
    row = int(np.argmax(wrong))
    value = column.iloc[row]
    shown = "nothing" if pd.isna(value) else _shortened(str(value))
    return FrameError(f"Column {column.name!r} holds {shown} in row {row + 1}; write {write}.")


_EXACT: dict[Dtype, Callable[[pd.Series[Any]], Any]] = {
    "str": lambda column: column.array if column.dtype == TEXT else text_array(text_of(column)),
    "category": _exact_category,
    "datetime64[ms, UTC]": _exact_times,
    "float64": _exact_floats,
    "Int64": _exact_integers,
    "bool": _exact_bools,
}


def _shown(columns: pd.Index[Any]) -> str:
    """Name the columns of a table for an error message, not too many of them."""
    names = ", ".join(repr(label) for label in columns[:_SHOWN_COLUMNS])
    more = len(columns) - _SHOWN_COLUMNS
    return f"{names} and {more} more" if more > 0 else names or "no columns"


def _shortened(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…")


# --- records and columns to the frame ---


def _transposed(rows: Sequence[tuple[Any, ...]], *, width: int) -> list[list[Any]]:
    """Turn rows into columns, in blocks: one zip over a million rows makes a million iterators for the collector."""
    columns: list[list[Any]] = [[] for _ in range(width)]
    for first in range(0, len(rows), _BLOCK):
        block = zip(*rows[first : first + _BLOCK], strict=True)
        for column, cells in zip(columns, block, strict=True):
            column.extend(cells)
    return columns


def _assembled(
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
    code = category_array(texts["code"])
    ready = {
        "audio_s": _float_array(texts["audio_s"]),
        "job_level": integer_array(texts["job_level"]),
        **{name: time_array(times[name].values) for name in _TIMES},
        **measured._asdict(),
        "observed_at": time_array(observed_at),
        "outcome": pd.Categorical.from_codes(outcome, dtype=OUTCOME),
        "code": code.remove_categories(["Success"]) if "Success" in code.categories else code,
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
            f"{'no State' if code < 0 else repr(states[code][:_SHOWN_CHARACTERS])}: {count}"
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
