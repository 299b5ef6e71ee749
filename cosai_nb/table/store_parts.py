"""One part of a store: a Parquet file that is named after its own content.

::

    folder/
    ├── jobs-<BLAKE2 of the bytes>.parquet   sights: the columns of ``jobs``, version in the Parquet metadata
    ├── .jobs-….<random>.tmp                 being written; left behind by a writer that was killed
    └── _set-aside/                          files that are no sound part, moved here and never deleted

A name that follows from the content makes every other rule simple. A part is never changed; one that was cut or
overwritten no longer fits its name; two writers can only collide on equal bytes; and a part may be unlinked
without any lock as soon as another durable part holds the same sights. Names that begin with ``.`` or ``_`` are
skipped by pandas, pyarrow and DuckDB alike.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
import uuid
import warnings
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from cosai_nb.errors import CosaiWarning, FileError
from cosai_nb.schema import COLUMNS
from cosai_nb.table.frame import conform

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pandas as pd

FORMAT = 1
SET_ASIDE = "_set-aside"
PART_NAME = re.compile(r"jobs-([0-9a-f]{32})\.parquet")
_FORMAT_KEY = b"cosai_nb.store"
_ABANDONED_AFTER_S = 3600.0
_GROUP_ROWS = (
    65_536  # a question to a compacted store reads the row groups that answer it, not a million rows
)
_NEEDED = ("job_id", "outcome", "observed_at")
_ARROW = {
    "str": pa.string(),
    "category": pa.dictionary(pa.int32(), pa.string()),
    "datetime64[ms, UTC]": pa.timestamp("ms", "UTC"),
    "float64": pa.float64(),
    "Int64": pa.int64(),
    "bool": pa.bool_(),
}
SCHEMA = pa.schema(
    [(column.name, _ARROW[column.dtype]) for column in COLUMNS.values()],
    metadata={_FORMAT_KEY: str(FORMAT).encode()},
)


def write_part(folder: Path, sights: pd.DataFrame) -> str:
    """Write sights as one part and return its name; when this returns, they survive a power cut.

    Raises
    ------
    FileError
        Where the folder cannot be written; what was there is as it was.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(_table_of(sights), sink, compression="zstd", row_group_size=_GROUP_ROWS)
    content = sink.getvalue()
    name = f"jobs-{hashlib.blake2b(content, digest_size=16).hexdigest()}.parquet"
    place(folder / name, content)
    return name


def stack(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put ``jobs`` frames below each other; pandas 2 would warn of every column in which one of them has nothing."""
    stacked: pd.DataFrame = pa.concat_tables([_table_of(jobs) for jobs in frames]).to_pandas()
    return conform(stacked)


def _table_of(jobs: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(jobs[list(COLUMNS)], schema=SCHEMA, preserve_index=False)


def place(target: Path, content: Any) -> None:
    """Put bytes under a name, whole or not at all: temporary file, fsync, rename, fsync of the folder.

    Raises
    ------
    FileError
        Where that is not possible; names the folder and the reason.
    """
    if target.exists():
        return
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
    except OSError as error:
        raise FileError(
            f"The store {target.parent} could not be written ({error.strerror or error}): what it held is unchanged. "
            "Check that the folder still exists, that it may be written and that the disk has room."
        ) from None


def part_names(folder: Path, sound: set[str]) -> list[str]:
    """Return the names of all sound parts in order; move aside what is none, and warn of it.

    Parameters
    ----------
    folder : Path
        The store.
    sound : set of str
        Names that were checked before; grows. A part never changes, so each is checked once.

    Raises
    ------
    FileError
        Where the folder, or a part that was not checked yet, cannot be read; then nothing is moved.
    """
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.is_file())
    except OSError as error:
        raise FileError(f"The store {folder} cannot be read ({error.strerror}).") from None
    names = []
    for entry in entries:
        if entry.name in sound:
            names.append(entry.name)
        elif entry.suffix == ".parquet" and not entry.name.startswith((".", "_")):
            with contextlib.suppress(FileNotFoundError):  # compacted away since the folder was listed
                if _take(entry):
                    sound.add(entry.name)
                    names.append(entry.name)
        elif entry.suffix == ".tmp" and entry.name.startswith(".jobs-"):
            _take_abandoned(entry)
    return names


def holds_foreign_only(folder: Path) -> str | None:
    """Return the name of a Parquet file where the folder holds such files and no part of a store, else None."""
    names = sorted(entry.name for entry in folder.glob("*.parquet") if not entry.name.startswith((".", "_")))
    if not names or any(PART_NAME.fullmatch(name) for name in names):
        return None
    return names[0]


def _take(entry: Path) -> bool:
    """Check a file that stands where parts stand; move it aside where it is none."""
    flaw = _flaw(entry)
    if flaw is None:
        return True
    set_aside(entry, flaw)
    return False


def _flaw(entry: Path) -> str | None:
    """Return why a file is not a sound part of this store, or None."""
    match = PART_NAME.fullmatch(entry.name)
    if match is None:
        return "is no part of this store"
    try:
        with entry.open("rb") as file:
            if hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest() != match[1]:
                return "is cut or was changed after it was written"
            schema = pq.ParquetFile(file).schema_arrow
    except (FileNotFoundError, MemoryError):
        raise
    except OSError as error:
        if error.errno:
            raise unreadable(entry, error) from None
        return f"cannot be read ({error})"
    except (pa.ArrowException, ValueError) as error:
        return f"cannot be read ({type(error).__name__})"
    written = (schema.metadata or {}).get(_FORMAT_KEY, b"")
    if not written.isdigit() or any(name not in schema.names for name in _NEEDED):
        return "is no part of this store"
    if int(written) > FORMAT:
        return f"was written by a newer cosai_nb (store format {int(written)}); upgrade and move it back"
    return None


def unreadable(path: Path, error: OSError) -> FileError:
    """Say that a part cannot be read now: no right to it, too many open files, a disk that stumbles. It may be sound."""
    return FileError(
        f"{path.name} in the store {path.parent} cannot be read ({error.strerror or error}): nothing was moved. "
        "See to that and try again."
    )


def set_aside(entry: Path, flaw: str) -> None:
    """Move a file out of the way, under a name that is still free, and warn; where it cannot be moved, only warn."""
    shelf = entry.parent / SET_ASIDE
    kept = shelf / entry.name
    try:
        shelf.mkdir(exist_ok=True)
        if kept.exists():
            kept = shelf / f"{entry.name}.{uuid.uuid4().hex[:8]}"
        entry.rename(kept)
    except FileNotFoundError:
        return  # another process moved it at the same moment, and warned
    except OSError as error:
        where = f"it could not be moved to {SET_ASIDE}/ ({error.strerror}) and is passed over"
    else:
        where = f"it was moved to {kept}"
    warnings.warn(f"{entry.name} in the store {entry.parent} {flaw}: {where}.", CosaiWarning, stacklevel=2)


def _take_abandoned(entry: Path) -> None:
    """Move aside what a killed writer left; a young file may still be growing."""
    with contextlib.suppress(FileNotFoundError):
        if time.time() - entry.stat().st_mtime > _ABANDONED_AFTER_S:
            set_aside(entry, "was left half-written when its writer was killed")


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; Windows cannot open a folder, and needs no such thing."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
