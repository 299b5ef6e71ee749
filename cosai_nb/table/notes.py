"""What a store remembers beside jobs: which windows were listed for good, and the names of queues.

Each call adds one small file named after its content, as parts are. A window that is forgotten costs a listing; one that
is wrongly remembered would lose jobs. So each window says how many jobs it held, and whatever cannot be read or says no
number is passed over.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING, Any

from cosai_nb.errors import FileError
from cosai_nb.table.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

QUEUES, _LISTED = "_queues", "_listed"


def place(store: Path, target: Path, content: Any) -> None:
    """Write a file of a store durably, where there is none of its name; FileError says why it cannot be written."""
    try:
        if target.parent != store:
            target.parent.mkdir(exist_ok=True)
        if not target.exists():
            write_whole(target, lambda file: file.write(content))
    except OSError as error:
        raise FileError(
            f"The store {store} could not be written ({error.strerror or error}): what it held is unchanged. "
            "Check that the folder still exists, that it may be written and that the disk has room."
        ) from None


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def digest(content: Any) -> str:
    """Return what a file of this content is named after."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def listed_windows(folder: Path, scopes: Collection[str]) -> dict[str, list[tuple[int, int, int]]]:
    """Return the windows remembered for each scope, in no order: start and end in seconds since the epoch, and jobs."""
    if not folder.is_dir():
        raise FileError(f"The store {folder} cannot be read: the folder is gone.")
    windows: dict[str, list[tuple[int, int, int]]] = {scope: [] for scope in scopes}
    for said in notes(folder / _LISTED):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            if said["scope"] in windows:
                windows[said["scope"]] += [(start, end, jobs) for start, end, jobs in said["windows"]]
    return windows


def mark_listed(folder: Path, scope: str, windows: Iterable[tuple[int, int, int]]) -> None:
    """Remember windows for a scope; their jobs must be durable already."""
    note(folder, _LISTED, {"scope": scope, "windows": sorted(windows)})


def note(folder: Path, kind: str, said: dict[str, Any]) -> None:
    """Remember something durably."""
    content = json.dumps(said, sort_keys=True).encode()
    place(folder, folder / kind / f"{digest(content)}.json", content)


def notes(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what small files say, the oldest first; one that is not whole or cannot be read is passed over."""
    for path in sorted(folder.glob("*.json"), key=_written_at):
        with contextlib.suppress(OSError, ValueError):
            content = path.read_bytes()
            said = json.loads(content)
            if path.stem == digest(content) and isinstance(said, dict):
                yield said
