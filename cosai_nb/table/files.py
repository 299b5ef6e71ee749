"""The ``jobs`` frame in one file, Parquet or CSV, and back without a change.

In the CSV every text stands in quotes and nothing stands where nothing is, so ``"NA"``, ``""`` and a missing value stay
three things. Times are UTC with a ``Z``.
"""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from cosai_nb.errors import FileError, FrameError, SettingsError
from cosai_nb.schema import COLUMNS
from cosai_nb.table.frame import TEXT, conform

if TYPE_CHECKING:
    from typing import BinaryIO

    import pandas as pd

T = TypeVar("T")

_FORMULA = r"\A([=+\-@\t\r])"  # what a spreadsheet takes for a formula, or skips to find one
_TEXT_TYPES = {pa.string(): TEXT, pa.large_string(): TEXT}


def read_jobs(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a frame that :func:`write_jobs` wrote.

    Parameters
    ----------
    path : str or path
        Ends in ``.parquet`` or ``.csv``.

    Returns
    -------
    pandas.DataFrame
        Columns and dtypes of :data:`cosai_nb.schema.COLUMNS`, then any columns of your own (a CSV does not say their
        dtypes, so those are inferred); a fresh RangeIndex.

    Raises
    ------
    FileError
        The file cannot be read or holds no jobs frame; names it.

    Examples
    --------
    >>> import tempfile
    >>> from cosai_nb.schema import Record
    >>> from cosai_nb.table.frame import frame_of
    >>> jobs = frame_of([Record("a1", "not_found")])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_jobs(jobs, f"{folder}/jobs.csv")
    ...     read_jobs(f"{folder}/jobs.csv").equals(jobs)
    True
    """
    path = path_of(path)
    read = _by_suffix(path, {".parquet": _read_parquet, ".csv": _read_csv})
    try:
        with path.open("rb") as file:
            return conform(read(file))
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (FrameError, pa.ArrowException, UnicodeDecodeError) as error:
        raise FileError(f"{path} holds no jobs frame: {error}") from error


def write_jobs(jobs: pd.DataFrame, path: str | os.PathLike[str], *, excel_safe: bool = False) -> None:
    """Write a frame to one file, whole or not at all: where it fails, a file that was there stays as it was.

    Parameters
    ----------
    jobs : pandas.DataFrame
        The ``jobs`` frame; columns of your own after it are kept, the index is not.
    path : str or path
        Ends in ``.parquet`` (zstd) or ``.csv``.
    excel_safe : bool
        Put ``'`` before text that a spreadsheet would run as a formula (begins with ``=``, ``+``, ``-``, ``@``, tab or CR).
        For eyes only: what is read back keeps the ``'``. CSV only.

    Raises
    ------
    FileError
        The file cannot be written; names it.
    FrameError
        ``jobs`` is no jobs frame.
    """
    path = path_of(path)
    write = _by_suffix(path, {".parquet": _write_parquet, ".csv": _write_csv})
    if excel_safe and write is not _write_csv:
        raise FileError(
            f"{path} is no CSV, which is the one thing that excel_safe=True changes; leave it out."
        )
    exact = conform(jobs)
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        table = pa.Table.from_pandas(exact, preserve_index=False)
        if excel_safe:
            table = _without_formulas(table)
        with temporary.open("xb") as file:
            write(table, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror or error}.") from error
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise FileError(f"{path} cannot be written: a column holds what no such file can: {error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_destination(path: Path) -> None:
    """Raise FileError where :func:`write_jobs` could not write: ask before a long call, not after it."""
    _by_suffix(path, {".parquet": None, ".csv": None})
    check_folder(path)


def path_of(path: str | os.PathLike[str]) -> Path:
    """Return the path that a user named.

    Raises
    ------
    SettingsError
        Where it is none, or an empty text, which would be the current folder.
    """
    if isinstance(path, str | os.PathLike) and os.fspath(path):
        return Path(path)
    raise SettingsError(f"{path!r} is no path: name a file or folder by a text or a pathlib.Path.")


def check_folder(path: Path) -> None:
    """Raise FileError where a file cannot be put at ``path``, because its folder is missing or may not be written."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise FileError(f"{path} cannot be written: there is no folder {folder}.")
    if path.is_dir():
        raise FileError(f"{path} cannot be written: it is a folder.")
    if not os.access(folder, os.W_OK):
        raise FileError(f"{path} cannot be written: the folder {folder} may not be written.")


def _by_suffix(path: Path, ways: dict[str, T]) -> T:
    if path.suffix.lower() not in ways:
        raise FileError(
            f"{path} ends in {path.suffix or 'nothing'!r}; a jobs frame is kept in .parquet or .csv."
        )
    return ways[path.suffix.lower()]


def _read_parquet(file: BinaryIO) -> pd.DataFrame:
    table = pa.parquet.read_table(file)
    if "job_level" in table.column_names:  # pandas would make floats of whole numbers with gaps
        level = table.column_names.index("job_level")
        table = table.set_column(level, "job_level", table["job_level"].cast(pa.string()))
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True, types_mapper=_TEXT_TYPES.get)
    return frame


def _read_csv(file: BinaryIO) -> pd.DataFrame:
    table = pa.csv.read_csv(
        file,
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(COLUMNS, pa.large_string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    frame: pd.DataFrame = table.to_pandas(types_mapper=_TEXT_TYPES.get)
    return frame


def _write_parquet(table: pa.Table, file: BinaryIO) -> None:
    pa.parquet.write_table(table, file, compression="zstd")


def _write_csv(table: pa.Table, file: BinaryIO) -> None:
    pa.csv.write_csv(_plain(table), file)


def _plain(table: pa.Table) -> pa.Table:
    """Decode categories, which the CSV writer does not know."""
    for position, column in enumerate(table.schema):
        if pa.types.is_dictionary(column.type):
            table = table.set_column(position, column.name, table[position].cast(column.type.value_type))
    return table


def _without_formulas(table: pa.Table) -> pa.Table:
    table = _plain(table)
    for position, column in enumerate(table.schema):
        if pa.types.is_large_string(column.type) or pa.types.is_string(column.type):
            safe = pc.replace_substring_regex(table[position], _FORMULA, r"'\1")
            table = table.set_column(position, column.name, safe)
    return table.rename_columns(
        [f"'{name}" if re.match(_FORMULA, name) else name for name in table.column_names]
    )
