"""Records to a store, a part at a time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from cosai_nb.errors import FileError
from cosai_nb.table.frame import frame_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import TracebackType

    import pandas as pd

    from cosai_nb.schema import Record

FLUSH_ROWS = 5_000
FLUSH_S = 10.0


class SightWriter:
    """Collects records for a store; a kill loses at most ``rows`` records or ``seconds`` of them.

    The clock runs in a timer of its own: when the service stalls, what came before is stored all the same.

    Parameters
    ----------
    store : callable
        Takes the ``jobs`` frame of one part.
    rows, seconds : int, float
        A part is written when so many records wait, or the oldest has waited so long.

    Raises
    ------
    FileError
        From :meth:`add` or :meth:`close`, where a part could not be written; the records are still held.
    """

    def __init__(
        self, store: Callable[[pd.DataFrame], object], *, rows: int = FLUSH_ROWS, seconds: float = FLUSH_S
    ) -> None:
        self._store, self._rows, self._seconds = store, rows, seconds
        self._waiting: list[Record] = []
        self._timer: threading.Timer | None = None
        self._failure: FileError | None = None
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, records: Collection[Record]) -> None:
        """Take finished records; those that tell of no job are passed over."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            self._waiting += [record for record in records if record.fate in {"job", "not_found"}]
            if len(self._waiting) >= self._rows:
                self._flush()
            elif self._waiting and self._timer is None:
                self._timer = threading.Timer(self._seconds, self._on_time)
                self._timer.daemon = True
                self._timer.start()

    def close(self) -> None:
        """Store what waits."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            self._store(frame_of(self._waiting))
            self._waiting = []  # only now: an interrupt in the middle must not lose them

    def _on_time(self) -> None:
        with self._lock:
            try:
                self._flush()
            except FileError as failure:
                self._failure = failure
