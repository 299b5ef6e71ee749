"""What a store spares a listing: which windows of one queue and kind need not be listed again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cosai_nb.query.windows import counts, settled
from cosai_nb.schema import COLUMNS, ENDED, Record
from cosai_nb.service.listing import ENDED_STATES
from cosai_nb.service.reader import PLACE
from cosai_nb.service.spans import Window, seconds
from cosai_nb.table.store import listed_windows, mark_listed

if TYPE_CHECKING:
    from collections.abc import Collection

    import pandas as pd

    from cosai_nb.service.listing import Listed
    from cosai_nb.table.store import JobStore

_STATE, _CREATED, _TAG, _QUEUE = (PLACE[name] for name in ("state", "creation_time", "tag", "queue_id"))


@dataclass(frozen=True)
class QueueMemory:
    """The jobs of one queue and kind in a store, as they were when a listing began.

    ``told`` are the windows that touch ``window`` and were listed for good under ``scope``, and how many jobs each held;
    ``sights`` is what :meth:`JobStore.created_between` returns for all of them.
    """

    store: JobStore
    scope: str
    tag: str
    queue_id: str
    window: Window
    told: list[tuple[Window, int]]
    sights: pd.DataFrame

    @classmethod
    def of(cls, store: JobStore, scope: str, *, tag: str, queue_id: str, window: Window) -> QueueMemory:
        """Read it: once for a whole listing, as a large store takes its time."""
        told = [
            (Window(start, end), jobs)
            for start, end, jobs in listed_windows(store.folder, scope)
            if start < window.end and end > window.start
        ]
        windows = [window, *(piece for piece, _ in told)]
        sights = store.created_between(min(windows).start, max(piece.end for piece in windows))
        return cls(store, scope, tag, queue_id, window, told, sights)

    def known(self) -> list[Window]:
        """Return windows that need not be listed: all had ended there, and the store still has every one of them."""
        here = self._here()
        ended = here[here["outcome"].isin(ENDED)].drop_duplicates("job_id")
        stored = counts([piece for piece, _ in self.told], _seconds(ended).tolist())
        return [piece for (piece, jobs), there in zip(self.told, stored, strict=True) if there >= jobs]

    def ended_ids(self) -> set[str]:
        """Return the IDs of jobs, of any queue, that a listing may bring and that are stored as ended."""
        return set(self.sights.loc[self.sights["outcome"].isin(ENDED), "job_id"])

    def remember(self, listed: Listed) -> None:
        """Note the hours that need no listing any more; their jobs are stored by now."""
        records = listed.records.values()
        hours = settled(
            listed.read,
            unfinished=[
                seconds(record.values[_CREATED]) for record in records if not self._is_for_good(record)
            ],
            asked_ms=min(listed.read.values()),
        )
        created = [moment for record in records if (moment := seconds(record.values[_CREATED])) is not None]
        jobs = counts(hours, created)
        if hours:
            mark_listed(
                self.store.folder, self.scope, [(*hour, held) for hour, held in zip(hours, jobs, strict=True)]
            )

    def jobs(self, listed_now: Collection[str]) -> pd.DataFrame:
        """Return what the store knows of the window: what was listed now, before, and by ID."""
        here = self._here()
        inside = _seconds(here).between(*self.window, inclusive="left")
        return self.store.jobs({*here.loc[inside, "job_id"], *listed_now})[list(COLUMNS)]

    def _is_for_good(self, record: Record) -> bool:
        """Return whether a job has ended and says where it belongs: one that does not would be looked for in vain later."""
        values = record.values
        return (
            values[_STATE] in ENDED_STATES
            and values[_TAG] == self.tag
            and values[_QUEUE] == self.queue_id
            and seconds(values[_CREATED]) is not None
        )

    def _here(self) -> pd.DataFrame:
        here = (self.sights["tag"] == self.tag) & (self.sights["queue_id"] == self.queue_id)
        return self.sights[here & self.sights["creation_time"].notna()]


def _seconds(sights: pd.DataFrame) -> pd.Series[float]:
    """Return creation times in seconds since the epoch; none may be missing."""
    moments: pd.Series[float] = sights["creation_time"].dt.as_unit("ms").astype("int64") / 1000
    return moments
