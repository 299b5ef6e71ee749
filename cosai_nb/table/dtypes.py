"""One column at a time between Python, Arrow and pandas: the dtypes of the schema, and times as users have them.

::

    exact(column, spec)      any column to its dtype in the schema; what does not fit is named
    as_frame(table)          Arrow tables, polars frames and Arrow-backed columns as pandas holds them by default
    text_array, category_array, time_array, integers, integer_array     Arrow to pandas
    arrow_text, text_of, times_of                                        Python and pandas to Arrow and NumPy
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cosai_nb.errors import FrameError
from cosai_nb.schema import Outcome
from cosai_nb.table.times import DATE, LATEST, LOCAL, NAT, Times, parse_times

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import tzinfo

    from numpy.typing import NDArray

    from cosai_nb.schema import Column


def _text_dtype() -> Any:  # the stubs know only the newest pandas
    try:
        return pd.StringDtype("pyarrow", na_value=np.nan)
    except TypeError:  # pandas 2.2 has the same dtype under its first name
        return pd.api.types.pandas_dtype("string[pyarrow_numpy]")


TEXT: Any = _text_dtype()
"""pandas' string dtype with NaN: ``str`` in pandas 3."""
OUTCOME = pd.CategoricalDtype(pd.Index([outcome.value for outcome in Outcome], dtype=TEXT))
POSITION = {str(outcome): position for position, outcome in enumerate(Outcome)}
ARROW_TYPES = {
    "str": pa.string(),
    "category": pa.dictionary(pa.int32(), pa.string()),
    "datetime64[ms, UTC]": pa.timestamp("ms", "UTC"),
    "float64": pa.float64(),
    "Int64": pa.int64(),
    "bool": pa.bool_(),
}
_FEW_LABELS = 50
_SHOWN_COLUMNS = 30
_SHOWN_CHARACTERS = 40
_NUMBER = r"\A\d{1,15}(?:\.\d*)?\z"
_ANY_NUMBER = r"\A(?:[+-]?\d+(?:\.\d*)?(?:e\+?\d+)?|True|False)\z"  # as Python writes them
_WHOLE = r"\A[+-]?\d{1,18}(?:\.0)?\z"  # pandas makes floats of whole numbers with gaps
_UTC = r" ?(?:UTC|GMT)\z"
UNITS_MS: dict[str, float] = {"s": 1000.0, "ms": 1.0}
_FORMS = {  # how a value of a dtype is written, what Arrow makes of it, and what to write in its place
    "float64": (r"(?i)\A(?:-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|-?inf|nan)\z", pa.float64(), "a number such as 12.5"),
    "Int64": (r"\A-?\d{1,19}\z", pa.int64(), "a whole number"),
    "bool": (r"(?i)\A(?:true|false|1|0)\z", pa.bool_(), "TRUE or FALSE"),
}  # fmt: skip


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
        encodable = [text and text.encode("utf-8", "backslashreplace").decode() for text in values]
        texts = pa.array(encodable, pa.large_string())
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
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.full(len(order) + 1, -1, np.min_scalar_type(-len(order) - 1))  # as pandas types the codes
    rank[order] = np.arange(len(order))
    codes = _looked_up(rank, encoded)
    if len(order) <= _FEW_LABELS:  # comparing bytes takes a tenth of the time of counting
        used = np.array([(codes == code).any() for code in range(len(order))], bool)
    else:
        used = np.bincount(codes[codes >= 0], minlength=len(order)) > 0
    if not used.all():
        codes = np.append(np.cumsum(used, dtype=codes.dtype) - 1, codes.dtype.type(-1)).take(codes)
        order = order[used]
    categories = pd.Index(text_array(encoded.dictionary.take(pa.array(order))))
    return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(categories))


def _looked_up(values: NDArray[Any], encoded: pa.DictionaryArray) -> NDArray[Any]:
    """Take the value of each entry of the dictionary, the last one where nothing stands."""
    indices = encoded.indices.fill_null(len(values) - 1) if encoded.null_count else encoded.indices
    taken: NDArray[Any] = values.take(indices.to_numpy())
    return taken


def time_array(values: NDArray[np.datetime64]) -> pd.DatetimeIndex:
    """Give UTC times as pandas holds them."""
    # a third of the time of tz_localize
    return pd.DatetimeIndex(pd.array(values, dtype="datetime64[ms, UTC]", copy=False), copy=False)


def integers(numbers: Any) -> pd.arrays.IntegerArray:
    """Give Arrow's whole numbers as Int64, missing ones as NA."""
    missing = numbers.is_null().to_numpy(zero_copy_only=False)
    return pd.arrays.IntegerArray(numbers.fill_null(0).to_numpy(zero_copy_only=False).copy(), missing)


def integer_array(texts: pa.Array) -> pd.arrays.IntegerArray:
    """Read whole numbers; NA where there is none."""
    whole = _where(texts, _WHOLE)
    return integers(pc.replace_substring_regex(whole, r"\A\+|\.0\z", "").cast(pa.int64()))


def number_array(texts: pa.Array) -> NDArray[np.float64]:
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
            frame[name] = integers(column.cast(pa.int64()).combine_chunks())
    return frame


def as_frame(frame: object, columns: Collection[str] | None = None) -> pd.DataFrame:
    """Return a table as pandas holds it by default: Arrow tables, polars frames and Arrow-backed columns are converted.

    Parameters
    ----------
    frame : pandas.DataFrame, or anything with Arrow's C interface
        A DataFrame in which Arrow holds nothing is returned itself.
    columns : collection of str, optional
        All that is needed: where something must be converted, only these are, and the others are dropped.

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
            table = pa.table(frame)
            if columns is not None:
                names = enumerate(table.column_names)
                table = table.select([number for number, name in names if name in columns])
            frame = from_arrow(table)
        except (pa.ArrowException, TypeError, ValueError):
            raise FrameError(what) from None
    repeated = frame.columns[frame.columns.duplicated()].unique()
    if len(repeated):
        raise FrameError(f"Columns stand more than once: {shown_columns(repeated)}. Keep one of each.")
    by_arrow: list[Any] = [label for label, dtype in frame.dtypes.items() if isinstance(dtype, pd.ArrowDtype)]
    if by_arrow:
        if columns is not None:
            frame = frame[[label for label in frame.columns if label in columns]]
            by_arrow = [label for label in by_arrow if label in columns]
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
        return whole(column.array.__arrow_array__())
    missing = column.isna()
    texts = [None if gone else str(value) for value, gone in zip(column.array, missing, strict=True)]
    return arrow_text(texts)


def whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece; what is in one is not copied."""
    return column.chunk(0) if column.num_chunks == 1 else column.unify_dictionaries().combine_chunks()


def positions(texts: pa.Array, of: Mapping[str, int], *, other: int) -> NDArray[np.int8]:
    """Look up each text."""
    encoded = texts.dictionary_encode()
    table = np.array([of.get(text, other) for text in encoded.dictionary.to_pylist()] + [other], np.int8)
    return _looked_up(table, encoded)


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
        count = number_array(texts) * UNITS_MS[unit]
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
    name, first = repr(column.name), shortened(texts[0].as_py())
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


# --- one column to the dtype of the schema ---


def exact(column: pd.Series[Any], spec: Column) -> Any:
    """Bring a column to its dtype; what does not fit is named, with its row and what to write there."""
    dtype = spec.dtype
    is_number = pd.api.types.is_bool_dtype if dtype == "bool" else pd.api.types.is_numeric_dtype
    try:
        if dtype == "str":
            return column.array if column.dtype == TEXT else text_array(text_of(column))
        if dtype == "category":
            return _exact_outcome(column) if spec.name == "outcome" else category_array(text_of(column))
        if dtype == "datetime64[ms, UTC]":
            return exact_times(column)
        if is_number(column.dtype):
            return column.astype(dtype).array
        pattern, kind, write = _FORMS[dtype]
        texts = text_of(column)
        values = _where(texts, pattern).cast(kind)
        wrong = pc.and_not(values.is_null(), texts.is_null())
        if dtype == "bool" and not pc.any(wrong).as_py():
            wrong = values.is_null()
        _refuse_misfit(column, wrong, write)
        return integers(values) if dtype == "Int64" else values.to_numpy(zero_copy_only=False)
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


def exact_times(column: pd.Series[Any], **settings: Any) -> pd.DatetimeIndex:
    """Read a column of times, as :func:`times_of`, and refuse what is none."""
    times = times_of(column, **settings)
    _refuse_misfit(column, times.malformed, "a time with its zone, such as 2024-03-05T10:00:00+0800")
    return time_array(times.values)


def _refuse_misfit(column: pd.Series[Any], wrong: Any, write: str) -> None:
    """Raise where a value is wrong: name the column, the first such row, and what to write there."""
    rows = np.flatnonzero(wrong)
    if len(rows):
        shown = "nothing" if column.isna().iloc[rows[0]] else shortened(str(column.iloc[rows[0]]))
        raise FrameError(f"Column {column.name!r} holds {shown} in row {rows[0] + 1}; write {write}.")


def shown_columns(columns: pd.Index[Any]) -> str:
    """Name the columns of a table for an error message, not too many of them."""
    names = ", ".join(repr(label) for label in columns[:_SHOWN_COLUMNS])
    more = len(columns) - _SHOWN_COLUMNS
    return f"{names} and {more} more" if more > 0 else names or "no columns"


def shortened(text: str) -> str:
    """Show a value in an error message, not too much of it."""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…")
