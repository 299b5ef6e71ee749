"""The exact dtypes of the frame, on every supported pandas, and the way into them from Arrow and from pandas."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cosai_nb.errors import FrameError
from cosai_nb.schema import Outcome
from cosai_nb.table.times import Times, parse_times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from cosai_nb.schema import Column, Dtype


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
