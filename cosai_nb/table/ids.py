"""Job IDs as people have them: text, tables, JSON, saved frames and Arrow columns to a list of strings."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet

from cosai_nb import arguments
from cosai_nb.errors import FileError, SettingsError
from cosai_nb.table.files import decoded

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

MAX_ID_LENGTH = 128
AN_ID = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_ID_LENGTH}}}")
_SEPARATORS = "\t;,"
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
_SHOWN = 60
_ADVICE = "Give one ID a line, or a CSV, JSON or Parquet file with a column JobId."


def read_ids(path_or_buffer: str | os.PathLike[str] | bytes | BinaryIO) -> list[str]:
    r"""Read job IDs from a file of whatever kind they are kept in.

    Parameters
    ----------
    path_or_buffer : str, path, bytes or open binary file
        Text in UTF-8 or UTF-16 with an ID a line (blank lines and ``#`` comments are left out) or all in one line with
        commas; CSV or TSV with a column JobId or job_id in any spelling; JSON or JSON lines, of strings or of objects that
        have JobId somewhere; a saved ``jobs`` frame (Parquet or CSV); any of them with gzip. The content says which, not
        the name.

    Returns
    -------
    list of str
        In the order of the file. What can be no ID is kept among the others, for ``fetch_jobs`` to name.

    Raises
    ------
    FileError
        It cannot be read, or nothing in it looks like an ID; says what was seen.

    Examples
    --------
    >>> read_ids(b'JobId;State\na1;Success\n"a2";Failed\n')
    ['a1', 'a2']
    >>> read_ids(b'[{"JobId": "a1"}, {"JobId": "a2"}]')
    ['a1', 'a2']
    """
    name, content = _content_of(path_or_buffer)
    try:
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        ids = _ids_of_parquet(content) if content.startswith(b"PAR1") else _ids_of_text(_text_of(content))
    except (OSError, EOFError, zlib.error, ValueError, RecursionError, pa.ArrowException, csv.Error) as error:
        raise FileError(
            f"{name} holds no job IDs that can be read: {str(error).rstrip('.')}. {_ADVICE}"
        ) from error
    if not any(map(AN_ID.fullmatch, ids)):
        seen = content.replace(b"\0", b"")[:_SHOWN].decode("ascii", "replace").strip()
        what = f"it begins with {seen!a}" if content.strip() else "it is empty"
        raise FileError(f"{name} holds no job IDs: {what}. {_ADVICE}")
    return ids


def ids_of(job_ids: Any, name: str = "job_ids", *, or_else: str = "") -> Any:
    """Return an Arrow column (of pyarrow, polars or whatever has Arrow's C interface) as a list; other iterables as they are.

    Raises
    ------
    SettingsError
        It is a table, one text or no iterable. ``name`` is the argument's; ``or_else`` says what else may be passed, a list of
        mappings, of which a single one is none.

    Examples
    --------
    >>> ids_of(pa.array(["a1", None])), ids_of(("a1",))
    (['a1', None], ('a1',))
    """
    if hasattr(job_ids, "columns"):
        raise SettingsError(
            f"{name} is a table: pass the column that holds the IDs, such as jobs['job_id']{or_else}."
        )
    if type(job_ids).__module__.partition(".")[0] != "pandas":  # whose columns are iterated as they are
        for has, read in (("__arrow_c_stream__", pa.chunked_array), ("__arrow_c_array__", pa.array)):
            if hasattr(job_ids, has):
                return read(job_ids).to_pylist()
    is_one = isinstance(job_ids, str | bytes | bytearray) or (or_else and isinstance(job_ids, Mapping))
    if is_one or not isinstance(job_ids, Iterable):
        raise SettingsError(
            f"{name} is {type(job_ids).__name__}: pass a list of IDs, such as [job_id] or read_ids('IDS.csv'){or_else}."
        )
    return job_ids


def _content_of(source: Any) -> tuple[str, bytes]:
    if isinstance(source, bytes):
        return "The input", source
    if hasattr(source, "read"):
        content = source.read()
        if not isinstance(content, bytes):
            raise SettingsError("IDs are read from a binary stream: open the file with mode 'rb'.")
        return "The input", content
    path = arguments.path(source)
    try:
        return str(path), path.read_bytes()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error


def _text_of(content: bytes) -> str:
    try:
        text = decoded(content)
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # an old code page: IDs are ASCII in all of them
    if _CONTROL.search(text):
        raise ValueError("it is neither text nor Parquet")
    return text


def _ids_of_parquet(content: bytes) -> list[str]:
    file = pa.parquet.ParquetFile(pa.BufferReader(content))
    names = file.schema_arrow.names
    if place := next(filter(_names_ids, names), None):  # some writers mark no text as text
        return file.read([place])[place].cast(pa.string()).drop_null().to_pylist()  # type: ignore[no-any-return]  # pyarrow is not typed
    raise ValueError(f"its columns are {', '.join(map(ascii, names[:9]))}; one must be JobId")


def _ids_of_text(text: str) -> list[str]:
    # str.splitlines knows further line ends, which old code pages use as letters
    text = re.sub("\r\n?", "\n", text)
    lines = [line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        return []
    if lines[0].lstrip().startswith(("[", "{")):
        try:
            values = [json.loads(text)]
        except json.JSONDecodeError:
            values = [json.loads(line) for line in lines]
        return [job_id for value in values for job_id in _ids_in(value)]
    separator = max(_SEPARATORS, key=lines[0].count)
    header = next(csv.reader(lines[:1], delimiter=separator))
    place = next((place for place, name in enumerate(header) if _names_ids(name)), None)
    if place is not None:
        # whole, because a cell may hold line ends; strictly, because a quote that is never closed swallows all that follows
        table = io.StringIO(f"\n{text}".partition(f"\n{lines[0]}\n")[2])
        cells = [
            _bare(row[place])
            for row in csv.reader(table, delimiter=separator, strict=True)
            if len(row) > place
        ]
        return [cell for cell in cells if cell and not cell.startswith("#")]
    split = [[bare for cell in re.split(f"[{_SEPARATORS}]", line) if (bare := _bare(cell))] for line in lines]
    if len(split) > 1 and any(len(cells) > 1 for cells in split):
        raise ValueError(f"it has several columns and none is called JobId, as in {lines[0][:_SHOWN]!a}")
    return [cell for cells in split for cell in cells]


def _ids_in(value: Any, *, here: bool = True) -> Iterator[str]:
    """Yield what stands under JobId at any depth, and the strings of a list that is no object's."""
    if isinstance(value, dict):
        named = [value[key] for key in value if _names_ids(key)]
        for nested in named or value.values():
            yield from _ids_in(nested, here=bool(named))
    elif isinstance(value, list):
        for nested in value:
            yield from _ids_in(nested, here=here)
    elif here and value is not None:
        yield str(value)


def _names_ids(name: str) -> bool:
    return re.sub(r"[\s_-]", "", re.split("[./]", name.lower())[-1]) == "jobid"


def _bare(cell: str) -> str:
    return cell.strip().strip("\"'").strip()
