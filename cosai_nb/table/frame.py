"""Records to the ``jobs`` frame: dtypes, UTC, outcome, durations and whether the times can be true."""

from __future__ import annotations

import warnings
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cosai_nb.errors import FrameError, UnknownStateWarning
from cosai_nb.schema import COLUMNS, OUTCOME_OF_STATE, WIRE, Outcome
from cosai_nb.table.times import NAT, Times, measure, parse_times

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

_NUMBER = r"\A\d{1,15}(?:\.\d*)?\z"
_WHOLE = r"\A[+-]?\d{1,18}(?:\.0)?\z"  # pandas makes floats of whole numbers with gaps
_TRUTH = {"true": True, "True": True, "false": False, "False": False}


def arrow_text(values: Iterable[str | None]) -> pa.Array:
    r"""Make an Arrow array of text; lone surrogates, which no UTF-8 can hold, stand escaped.

    Examples
    --------
    >>> arrow_text(["a", None, "\ud800"]).to_pylist()
    ['a', None, '\\ud800']
    """
    try:
        return pa.array(values, pa.large_string())
    except UnicodeEncodeError:
        sound = [text and text.encode("utf-8", "backslashreplace").decode() for text in values]
        return pa.array(sound, pa.large_string())


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


def float_array(texts: pa.Array) -> NDArray[np.float64]:
    """Read plain decimal numbers; NaN where there is none."""
    numbers = _where(texts, _NUMBER).cast(pa.float64())
    values: NDArray[np.float64] = numbers.to_numpy(zero_copy_only=False)
    return values


def integer_array(texts: pa.Array) -> pd.arrays.IntegerArray:
    """Read whole numbers; NA where there is none."""
    numbers = pc.replace_substring_regex(_where(texts, _WHOLE), r"\A\+|\.0\z", "").cast(pa.int64())
    missing = numbers.is_null().to_numpy(zero_copy_only=False)
    return pd.arrays.IntegerArray(numbers.fill_null(0).to_numpy(zero_copy_only=False).copy(), missing)


def _where(texts: pa.Array, pattern: str) -> pa.Array:
    return pc.if_else(pc.match_substring_regex(texts, pattern), texts, None)


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


def times_of(column: pd.Series[Any]) -> Times:
    """Read a column of times: text by the grammar of :mod:`cosai_nb.table.times`, or datetimes with a zone.

    Raises
    ------
    FrameError
        Datetimes without a zone, or numbers: neither says which instant it means.

    Examples
    --------
    >>> times_of(pd.Series(["2022-07-07T12:00:00+0800", "-"], name="StartTime")).values
    array(['2022-07-07T04:00:00.000', 'NaT'], dtype='datetime64[ms]')
    """
    missing = column.isna().to_numpy()
    if missing.all():
        return Times(np.full(len(column), "NaT", "M8[ms]"), np.zeros(len(column), bool))
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return Times(column.dt.tz_convert(None).to_numpy().astype("M8[ms]"), np.zeros(len(column), bool))
    if pd.api.types.is_numeric_dtype(column.dtype):
        raise FrameError(
            f"Column {column.name!r} holds numbers ({column.dtype}), not times. Say what they count from: "
            f'pd.to_datetime(frame[{column.name!r}], unit="s", utc=True).'
        )
    if any(value.tzinfo is None for value in column[~missing] if isinstance(value, datetime)):
        raise FrameError(
            f"Column {column.name!r} holds datetimes without a time zone. Say which one they are in: "
            f'frame[{column.name!r}].dt.tz_localize("Asia/Shanghai") for the service\'s local time, "UTC" for UTC.'
        )
    return parse_times(text_of(column))


def exact(column: pd.Series[Any], spec: Column) -> Any:
    """Give a column of a frame read from elsewhere the exact dtype of the schema.

    Raises
    ------
    FrameError
        Where a value does not fit; it names the column.

    Examples
    --------
    >>> from cosai_nb.schema import COLUMNS
    >>> exact(pd.Series(["1", None], name="job_level"), COLUMNS["job_level"])
    <IntegerArray>
    [1, <NA>]
    Length: 2, dtype: Int64
    """
    try:
        return _EXACT[spec.dtype](column)
    except FrameError:
        raise
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise FrameError(
            f"Column {spec.name!r} should be {spec.dtype} ({spec.meaning}) but holds {column.dtype} "
            f"with values that do not fit: {error}"
        ) from error


def _exact_category(column: pd.Series[Any]) -> pd.Categorical[Any]:
    texts = text_of(column)
    if column.name != "outcome":
        return category_array(texts)
    codes = pc.index_in(texts, pa.array(list(Outcome), texts.type))
    if codes.null_count:
        raise FrameError(f"Column 'outcome' holds something else than {', '.join(Outcome)}.")
    return pd.Categorical.from_codes(codes.to_numpy(), dtype=OUTCOME)


def _exact_times(column: pd.Series[Any]) -> pd.DatetimeIndex:
    times = times_of(column)
    if times.malformed.any():
        first = column.iloc[int(times.malformed.argmax())]
        raise FrameError(f"Column {column.name!r} holds {first!r}, which is no time with a zone.")
    return time_array(times.values)


def _exact_floats(column: pd.Series[Any]) -> NDArray[np.float64]:
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(np.float64, na_value=np.nan)
    values: NDArray[np.float64] = text_of(column).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def _exact_integers(column: pd.Series[Any]) -> Any:
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.astype("Int64").array
    return pd.array(text_of(column).cast(pa.int64()).to_pylist(), "Int64")


def _exact_bools(column: pd.Series[Any]) -> NDArray[np.bool_]:
    if pd.api.types.is_bool_dtype(column.dtype):
        return column.to_numpy(np.bool_)
    values: NDArray[np.bool_] = (
        pd.Series(text_array(text_of(column))).map(_TRUTH).astype("boolean").to_numpy(np.bool_)
    )
    return values


_EXACT: dict[Dtype, Callable[[pd.Series[Any]], Any]] = {
    "str": lambda column: text_array(text_of(column)),
    "category": _exact_category,
    "datetime64[ms, UTC]": _exact_times,
    "float64": _exact_floats,
    "Int64": _exact_integers,
    "bool": _exact_bools,
}


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
