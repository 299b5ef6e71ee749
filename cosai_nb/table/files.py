"""The ``jobs`` frame in one file and back without a change, and the one way in which this package writes a file.

In the CSV every text stands in quotes and nothing stands where nothing is, so ``"NA"``, ``""`` and a missing value stay
three things. Times are UTC with a ``Z``.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import stat
import uuid
from datetime import datetime
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from cosai_nb import arguments
from cosai_nb.errors import FileError, FrameError, SettingsError
from cosai_nb.schema import ADDED, COLUMNS
from cosai_nb.table.dtypes import from_arrow
from cosai_nb.table.frame import conform, frame_of, timing_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

Format = Literal["parquet", "csv", "jsonl", "xlsx"]

_FORMULA = r"\A([=+\-@\t\r])"  # what a spreadsheet takes for a formula, or skips to find one
_NOT_IN_XML = r"[\x00-\x08\x0b\x0c\x0e-\x1f]"
_SHEET_ROWS = 1_048_575
_JSON_ROWS = 10_000
_REFUSED = {errno.EINVAL, errno.ENOTSUP}  # by file systems that know no fsync
_SEPARATORS = ",;\t"
_NO_OPENPYXL = "openpyxl is missing. Install it with pip install 'cosai_nb[excel]', or name a .csv"
_DATE = r"\A(\d+)[-.](\d+)[-.](\d+) "


def read_jobs(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a frame that :func:`write_jobs` wrote.

    Parameters
    ----------
    path : str or path
        Ends in ``.parquet``, ``.csv`` or ``.jsonl``; ``~`` is your home. A CSV that a spreadsheet has saved since is read
        where that is unambiguous: semicolons or tabs, UTF-16, times without a zone (which were UTC), and an empty
        ``timing_ok``, which is worked out again.

    Returns
    -------
    pandas.DataFrame
        Columns and dtypes of :data:`cosai_nb.schema.COLUMNS`, then any columns of your own (CSV and JSON do not say their
        dtypes, so those are inferred; a timedelta stands there as text, which ``pd.to_timedelta`` reads); a fresh RangeIndex.

    Raises
    ------
    FileError
        The file cannot be read or holds no jobs frame; names it, and the column and row where one value is wrong.

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
    path = arguments.path(path)
    said = _format_of(path)
    if said == "xlsx":
        raise FileError(f"{path} is a workbook, which is only written; keep jobs in .parquet or .csv.")
    try:
        with path.open("rb") as file:
            return _READ[said](file)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (pa.ArrowException, ValueError, RecursionError) as error:  # FrameError, too
        raise FileError(f"{path} holds no jobs frame: {error}") from error


def write_jobs(
    jobs: pd.DataFrame,
    path_or_stream: str | os.PathLike[str] | IO[Any],
    *,
    format: Format | None = None,  # noqa: A002 - the name that pandas and pyarrow give it
    excel_safe: bool = False,
) -> None:
    """Write a frame to one file, whole or not at all: where it fails, a file that was there stays as it was.

    Parameters
    ----------
    jobs : pandas.DataFrame
        The ``jobs`` frame; columns of your own after it are kept, the index is not. A timedelta of yours is kept by
        Parquet, and stands as text (``0 days 01:00:00``) in the others.
    path_or_stream : str, path or open stream
        Ends in ``.parquet`` (zstd), ``.csv``, ``.jsonl`` (an object a line; times as ISO 8601 in UTC with ``Z``, null
        where nothing is) or ``.xlsx`` (times in UTC; needs openpyxl). ``~`` is your home; a link is followed, a pipe or
        device written into, the mode of a file that was there is kept. Or a stream, which is left open.
    format : {"parquet", "csv", "jsonl", "xlsx"}, optional
        Needed for a stream; for a path it takes precedence over the suffix.
    excel_safe : bool
        Put ``'`` before text that a spreadsheet would run as a formula (begins with ``=``, ``+``, ``-``, ``@``, tab or CR).
        For eyes only: what is read back keeps the ``'``. CSV only; in ``.xlsx`` text is always text.

    Raises
    ------
    FileError
        The file cannot be written; names it. What a stream itself raises comes out as it is.
    FrameError
        ``jobs`` is no jobs frame.
    SettingsError
        ``format`` is none of the four, or missing for a stream.

    Examples
    --------
    >>> import io
    >>> from cosai_nb.schema import Record
    >>> from cosai_nb.table.frame import frame_of
    >>> stream = io.StringIO()
    >>> write_jobs(frame_of([Record("a1", "not_found")]), stream, format="csv")
    >>> stream.getvalue().splitlines()[1][:20]
    '"a1",,,,,,"not_found'
    """
    stream = path_or_stream if hasattr(path_or_stream, "write") else None
    path = arguments.path(path_or_stream) if stream is None else Path("The stream")
    if stream is not None and format is None:
        raise SettingsError('A stream has no suffix: say format="csv" or format="jsonl".')
    said = _format_of(path, format)
    if excel_safe and said != "csv":
        raise FileError(f"{path} is no CSV, all that excel_safe=True changes; leave it out.")
    exact = conform(jobs)
    try:
        table = pa.Table.from_pandas(exact, preserve_index=False)
        if said != "parquet":
            table = _plain(table, excel_safe=excel_safe)
        if stream is None:
            write_whole(path, lambda file: _WRITE[said](table, file))
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror or error}.") from error
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise FileError(f"{path} cannot be written: a column holds what no such file can: {error}") from error
    if stream is not None:
        _pour(said, table, stream)


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file so that a reader, or a power cut, sees the old one or the new one, never half of it.

    A link is followed and the mode of a file that was there is kept; into a pipe or a device is written straight. An OSError
    is for the caller to word; what was there is as it was.
    """
    mode = path.stat().st_mode if path.exists() else None
    if mode is not None and not stat.S_ISREG(mode):
        content = io.BytesIO()  # Parquet asks where it stands, and a pipe cannot tell
        write(content)
        with path.open("wb") as device:
            device.write(content.getbuffer())
        return
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name[:60]}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            if mode is not None:
                temporary.chmod(stat.S_IMODE(mode))
            _sync(file.fileno())
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    if os.name != "nt":  # which cannot open a folder, and needs no such thing
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            _sync(folder)
        finally:
            os.close(folder)


def _sync(handle: int) -> None:
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _REFUSED:
            raise


def check_destination(path: Path, format: Format | None = None) -> None:  # noqa: A002 - as write_jobs
    """Raise FileError where :func:`write_jobs` could not write: ask before a long call, not after it."""
    if _format_of(path, format) == "xlsx" and find_spec("openpyxl") is None:
        raise FileError(f"{path} cannot be written: {_NO_OPENPYXL}.")
    check_folder(path)


def check_folder(path: Path) -> None:
    """Raise FileError where a file cannot be put at ``path``, because its folder is missing or may not be written."""
    folder = Path(os.path.realpath(path)).parent
    if path.is_dir():
        raise FileError(f"{path} cannot be written: it is a folder.")
    if path.exists() and not path.is_file():
        return  # a pipe or a device
    if not folder.is_dir():
        raise FileError(f"{path} cannot be written: there is no folder {folder}.")
    if not os.access(folder, os.W_OK):
        raise FileError(f"{path} cannot be written: the folder {folder} may not be written.")


def decoded(content: bytes) -> str:
    """Decode text as programs save it: UTF-8 or UTF-16, with a byte order mark or without.

    Examples
    --------
    >>> decoded("a1".encode("utf-16")), decoded("a1".encode("utf-16-be")), decoded(b"a1")
    ('a1', 'a1', 'a1')
    """
    head = content[:200]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    if head[::2].count(0) * 4 > len(head):
        return content.decode("utf-16-be")
    if head[1::2].count(0) * 4 > len(head):
        return content.decode("utf-16-le")
    return content.decode("utf-8-sig")


# --- the four formats ---


def _format_of(path: Path, format: str | None = None) -> str:  # noqa: A002 - as write_jobs
    if format is not None and format not in _WRITE:
        raise SettingsError(f"format={format!r} is none of {', '.join(_WRITE)}.")
    said = format or path.suffix.lower().removeprefix(".")
    if said not in _WRITE:
        raise FileError(
            f"{path} ends in {path.suffix or 'nothing'!r}: use .parquet or .csv, .jsonl or .xlsx."
        )
    return said


def _pour(said: str, table: pa.Table, stream: Any) -> None:
    """Write to an open stream; a text stream that has bytes below it, such as sys.stdout, gets UTF-8 there."""
    if isinstance(stream, io.TextIOBase) and not hasattr(stream, "buffer"):
        if said in {"parquet", "xlsx"}:
            raise SettingsError(
                f"A stream of text holds no {said}: open the file with mode 'wb', or use format=\"csv\"."
            )
        content = io.BytesIO()
        _WRITE[said](table, content)
        stream.write(content.getvalue().decode())
        return
    stream.flush()
    _WRITE[said](table, getattr(stream, "buffer", stream))
    stream.flush()


def _plain(table: pa.Table, *, excel_safe: bool) -> pa.Table:
    """Make text of categories and timedeltas, which text formats do not know; on demand none that a spreadsheet runs."""
    columns, names = [], table.column_names
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            columns.append(column.cast(column.type.value_type))
        elif pa.types.is_duration(column.type):
            columns.append(pa.array(column.to_pandas().map(str, na_action="ignore"), pa.large_string()))
        else:
            columns.append(column)
        if excel_safe and columns[-1].type in {pa.string(), pa.large_string()}:
            columns[-1] = pc.replace_substring_regex(columns[-1], _FORMULA, r"'\1")
    return pa.table(columns, [re.sub(_FORMULA, r"'\1", name) for name in names] if excel_safe else names)


def _read_csv(file: io.BufferedReader) -> pd.DataFrame:
    source: Any = file
    if b"\0" in file.peek(200)[:200]:
        source = io.BufferedReader(io.BytesIO(decoded(file.read()).encode()))
    header = source.peek(10_000).partition(b"\n")[0].decode(errors="replace")
    separator = max(_SEPARATORS, key=header.count)
    table = pa.csv.read_csv(
        source,
        parse_options=pa.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(COLUMNS, pa.large_string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            decimal_point="," if separator == ";" else ".",
        ),
    )
    frame = from_arrow(table)
    try:
        return conform(frame)
    except FrameError:
        if not COLUMNS.keys() - ADDED <= set(frame.columns):
            raise
        return _from_spreadsheet(frame)


def _from_spreadsheet(texts: pd.DataFrame) -> pd.DataFrame:
    """Read the columns of a CSV that a spreadsheet has changed; what is ambiguous is left, and refused by ``conform``."""
    texts = texts.copy()
    for name, column in COLUMNS.items():
        if column.dtype == "float64":
            texts[name] = texts[name].str.replace(",", ".")
        elif column.dtype == "datetime64[ms, UTC]":
            texts[name] = _times_from_spreadsheet(texts[name])
    empty = texts["timing_ok"].isna()
    jobs = conform(texts.assign(timing_ok=texts["timing_ok"].fillna("false")))
    return jobs.assign(timing_ok=jobs["timing_ok"].mask(empty, timing_of(jobs)))


def _times_from_spreadsheet(texts: pd.Series[Any]) -> pd.Series[Any]:
    """Bring local forms of the UTC times that were written back to ISO, where day and month cannot be mistaken."""
    local = texts.str.replace("T", " ").str.replace(_DATE, r"\1/\2/\3 ", regex=True)
    day_first, month_first = local.str.extract(r"\A(\d\d?)/(\d\d?)/\d{4} ").astype(float).max() > 12  # noqa: PLR2004 - months
    orders = ["%Y/%m/%d"]
    if day_first != month_first:
        orders.append("%d/%m/%Y" if day_first else "%m/%d/%Y")
    times = pd.Series(pd.NaT, texts.index, "datetime64[ns]")
    for order, clock in product(orders, ("%H:%M:%S", "%H:%M:%S.%f", "%I:%M:%S %p")):
        times = times.fillna(pd.to_datetime(local, format=f"{order} {clock}", errors="coerce"))
    return texts.where(times.isna(), times.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))


def _read_jsonl(file: BinaryIO) -> pd.DataFrame:
    rows = [json.loads(line) for line in file if line.strip()]
    # as objects, for pandas makes floats of whole numbers with gaps
    return conform(pd.DataFrame(rows, dtype=object)).infer_objects() if rows else frame_of([])


def _write_jsonl(table: pa.Table, file: BinaryIO) -> None:
    for position, column in enumerate(table.schema):
        if pa.types.is_timestamp(column.type):
            table = table.set_column(position, column.name, _iso(table[position]))
    for batch in table.to_batches(max_chunksize=_JSON_ROWS):
        for row in batch.to_pylist():
            line = json.dumps(row, ensure_ascii=False, allow_nan=False, default=str)
            file.write(f"{line}\n".encode())


def _iso(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write times in ISO 8601, to the second where that is all that they hold."""
    naive = times.cast(pa.timestamp(times.type.unit))
    with contextlib.suppress(pa.ArrowInvalid):
        naive = naive.cast(pa.timestamp("s"))
    texts = pc.strftime(naive, format="%Y-%m-%dT%H:%M:%S")
    return pc.binary_join_element_wise(texts, "Z", "") if times.type.tz else texts


def _write_xlsx(table: pa.Table, file: BinaryIO) -> None:
    try:
        import openpyxl  # noqa: PLC0415 - an extra
        from openpyxl.cell import WriteOnlyCell  # noqa: PLC0415
    except ImportError:
        raise OSError(None, _NO_OPENPYXL) from None
    if len(table) > _SHEET_ROWS:
        raise OSError(None, f"a sheet holds {_SHEET_ROWS:,} rows, not {len(table):,}; write a .parquet")
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("jobs")

    def cell(value: Any) -> Any:
        if not isinstance(value, str):
            return value.replace(tzinfo=None) if isinstance(value, datetime) else value
        written = WriteOnlyCell(sheet, re.sub(_NOT_IN_XML, "\ufffd", value))
        written.data_type = "s"  # a text that begins with = is no formula
        return written

    sheet.append([cell(name) for name in table.column_names])
    for batch in table.to_batches(max_chunksize=_JSON_ROWS):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            sheet.append([cell(value) for value in row])
    content = io.BytesIO()  # openpyxl leaves tracebacks behind where a disk is full
    book.save(content)
    file.write(content.getbuffer())


_READ: dict[str, Callable[[Any], pd.DataFrame]] = {
    "parquet": lambda file: conform(from_arrow(pa.parquet.read_table(file))),
    "csv": _read_csv,
    "jsonl": _read_jsonl,
}
_WRITE: dict[str, Callable[[pa.Table, Any], object]] = {
    "parquet": lambda table, file: pa.parquet.write_table(table, file, compression="zstd"),
    "csv": lambda table, file: pa.csv.write_csv(table, file),  # noqa: PLW0108 - looked up when it is called
    "jsonl": _write_jsonl,
    "xlsx": _write_xlsx,
}
