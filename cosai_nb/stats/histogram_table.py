"""A histogram as tables: what a reader sees of it, and the Parquet file that it is kept in.

The file holds the columns of :func:`long_table`, one row a count, so DuckDB or pandas read it as it is; the schema's metadata
entry ``cosai_nb`` holds as-of time, rows left out and the form's number as JSON.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.api.typing import NaTType

from cosai_nb.errors import FileError, FrameError
from cosai_nb.stats.censoring import ENDED, MEASURES, UNFINISHED, UNUSABLE
from cosai_nb.stats.coding import Coded, Counts, Ints, Labels, code_hours, code_labels, number_cells, tally
from cosai_nb.stats.frames import HOUR_MS
from cosai_nb.table.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

CLASSES = {"ended": ENDED, "unfinished": UNFINISHED, "unusable": UNUSABLE}
Moment = pd.Timestamp | NaTType
Label = str | float | Moment
Parts = tuple[dict[str, Coded], dict[str, Counts], Moment, dict[str, int]]
_FORM = 1
_OWN = ("measure", "kind", "value", "jobs")


def hour_times(hours: Ints) -> pd.DatetimeIndex:
    """Return hours since the epoch as times."""
    return pd.DatetimeIndex((hours * HOUR_MS).astype("datetime64[ms]"), tz="UTC")


def _moment(milliseconds: int) -> pd.Timestamp:
    return pd.Timestamp(np.datetime64(milliseconds, "ms")).tz_localize(
        "UTC"
    )  # unit="ms" would overflow in year 2262


def shown(key: str, labels: Labels, code: int) -> Label:
    """Return one label as a user sees it: a time for an hour, NaN or NaT where it is missing."""
    if key == "hour":
        return pd.NaT if code < 0 else _moment(int(labels[code]) * HOUR_MS)
    return float("nan") if code < 0 else str(labels[code])


def _shown_column(key: str, column: Coded, rows: Ints | slice) -> pd.Index[Any]:
    labels, codes = column
    if key == "hour":
        times = hour_times(labels.astype(np.int64)).append(pd.DatetimeIndex([pd.NaT], tz="UTC").as_unit("ms"))
        return times[codes[rows]]
    return _categories(codes[rows], list(labels))


def _categories(codes: Ints, labels: list[str]) -> pd.Index[Any]:
    return pd.CategoricalIndex(pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(labels)))


def cells_table(columns: Mapping[str, Coded], counts: Mapping[str, Counts]) -> pd.DataFrame:
    """Return one row per cell: keys, ``jobs``, and the jobs of each duration and class."""
    _refuse_own_names(columns)
    size = len(columns["hour"].codes)
    numbers = {
        f"{measure}_{word}": np.bincount(rows.cell, np.where(rows.kind == code, rows.jobs, 0), size)
        for measure, rows in counts.items()
        if not measure.endswith("_hour")
        for word, code in CLASSES.items()
    }
    total = np.add.reduce([numbers[f"queue_latency_{word}"] for word in CLASSES])
    keys = {key: _shown_column(key, column, slice(None)) for key, column in columns.items()}
    table = pd.DataFrame({**keys, "jobs": total, **numbers})
    return table.astype(dict.fromkeys(["jobs", *numbers], "int64"))


def long_table(columns: Mapping[str, Coded], counts: Mapping[str, Counts]) -> pd.DataFrame:
    """Return one row per (measure, cell, kind, value): keys, ``measure``, ``kind``, ``value``, ``jobs``."""
    _refuse_own_names(columns)
    rows = Counts(*(np.concatenate(parts) for parts in zip(*counts.values(), strict=True)))
    lengths = [len(part.cell) for part in counts.values()]
    measure = np.repeat(np.arange(len(lengths), dtype=np.int64), lengths)
    return pd.DataFrame(
        {
            **{key: _shown_column(key, column, rows.cell) for key, column in columns.items()},
            "measure": _categories(measure, list(counts)),
            "kind": _categories(rows.kind, list(CLASSES)),
            "value": rows.value,
            "jobs": rows.jobs,
        }
    )


def _refuse_own_names(columns: Mapping[str, Coded]) -> None:
    if clash := next((key for key in columns if key in _OWN), None):
        raise FrameError(
            f"The key {clash!r} has the name of a column of the histogram's own table; rename the frame's column."
        )


def write_parts(parts: Parts, path: Path) -> None:
    """Write a histogram; an older file stays until the new one is whole."""
    columns, counts, as_of, left_out = parts
    known = None if pd.isna(as_of) else round(as_of.timestamp() * 1000)
    note = json.dumps({"form": _FORM, "as_of_ms": known, "left_out": left_out}, sort_keys=True)
    table = pa.Table.from_pandas(long_table(columns, counts), preserve_index=False)
    table = table.replace_schema_metadata({"cosai_nb": note})
    try:
        write_whole(path, lambda file: pq.write_table(table, file, compression="zstd"))
    except OSError as error:
        raise FileError(f"The histogram could not be written to {path}: {error}") from error


def read_parts(path: Path) -> Parts:
    """Read what :func:`write_parts` wrote.

    Raises
    ------
    FileError
        The file is not there, is no Parquet, or is no histogram of this form.
    """
    try:
        table = pq.read_table(path)
        note = json.loads((table.schema.metadata or {})[b"cosai_nb"])
        if note["form"] != _FORM:
            raise FileError(
                f"{path} holds a histogram of form {note['form']}; this version reads form {_FORM}. "
                "Build it again from the jobs."
            )
        return _parts_of(table.to_pandas(), note)
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path} cannot be read as a duration histogram: {error!r}") from error


def _codes(column: pd.Series, labels: Sequence[str]) -> Ints:
    """Return the place of each word among the labels; KeyError where it is none of them."""
    found, codes = code_labels(column)
    places = {label: place for place, label in enumerate(labels)}
    return np.array([places[label] for label in found], dtype=np.int64)[codes]


def _parts_of(table: pd.DataFrame, note: Mapping[str, Any]) -> Parts:
    coded = {
        str(key): code_hours(table[key]) if key == "hour" else code_labels(table[key])
        for key in table.columns
        if key not in _OWN
    }
    codes, cell = number_cells(list(coded.values()))
    columns = {
        key: Coded(column.labels, of_cell)
        for (key, column), of_cell in zip(coded.items(), codes, strict=True)
    }
    kind = _codes(table["kind"], list(CLASSES))
    value, number = (table[name].to_numpy(dtype=np.int64) for name in ("value", "jobs"))
    measures = _codes(table["measure"], MEASURES)
    counts = {}
    for measure in MEASURES:
        rows = measures == MEASURES.index(measure)
        counts[measure] = tally(cell[rows], kind[rows], value[rows], number[rows])
    as_of: Moment = pd.NaT if note["as_of_ms"] is None else _moment(note["as_of_ms"])
    return columns, counts, as_of, {str(name): int(number) for name, number in note["left_out"].items()}
