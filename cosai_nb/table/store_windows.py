"""What was listed for good: windows of creation time whose jobs have all ended and are stored.

Each call adds one small file named after its content, as parts are (:mod:`cosai_nb.table.store_parts`). A window that is
forgotten costs a listing; one that is wrongly remembered would lose jobs. So each window says how many jobs it held, and
whatever cannot be read or says no number is passed over.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from cosai_nb.errors import FileError
from cosai_nb.table.store_parts import place

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SHELF = "_listed"


def listed_windows(folder: Path, scope: str) -> list[tuple[int, int, int]]:
    """Return the windows remembered for a scope, in no order: start and end in seconds since the epoch, and jobs.

    Raises
    ------
    FileError
        Where the store is gone.
    """
    if not folder.is_dir():
        raise FileError(f"The store {folder} cannot be read: the folder is gone.")
    windows: list[tuple[int, int, int]] = []
    for path in sorted((folder / _SHELF).glob("*.json")):
        try:
            content = path.read_bytes()
            if path.stem != _digest(content):
                continue
            said = json.loads(content)
            if said["scope"] == scope:
                windows += [(start, end, jobs) for start, end, jobs in said["windows"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return windows


def mark_listed(folder: Path, scope: str, windows: Iterable[tuple[int, int, int]]) -> None:
    """Remember windows for a scope; their jobs must be durable already.

    Raises
    ------
    FileError
        Where the folder cannot be written.
    """
    content = json.dumps({"scope": scope, "windows": sorted(windows)}).encode()
    shelf = folder / _SHELF
    try:
        shelf.mkdir(exist_ok=True)
    except OSError as error:
        raise FileError(f"The store {folder} could not be written ({error.strerror}).") from None
    place(shelf / f"{_digest(content)}.json", content)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
