"""What every call that asks for jobs has in common: a bar, a store that is fed on the way, and an honest end."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np
from tqdm.auto import tqdm

from cosai_nb.errors import (
    IN_JOBS,
    CosaiError,
    FileError,
    IncompleteWarning,
    InterruptedWarning,
    RepairedWarning,
)
from cosai_nb.schema import Outcome, Record
from cosai_nb.service.batch import Fetched
from cosai_nb.service.listing import Listed
from cosai_nb.table.frame import frame_of
from cosai_nb.table.store import stack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from cosai_nb.table.store import JobStore

Brought = TypeVar("Brought", Fetched, Listed)

BAR_DELAY_S = 1.0


def bar(
    total: int | None,
    progress: bool | None,  # noqa: FBT001 - handed through
    *,
    initial: int = 0,
    leave: bool = True,
) -> tqdm[Any]:
    """Return a progress bar that appears only when the call takes longer than a second, unless forced."""
    return tqdm(
        total=total,
        initial=initial,
        unit="job",
        desc="Jobs",
        disable=progress is False,
        delay=0 if progress else BAR_DELAY_S,
        miniters=0,  # else it would stand still while nothing comes
        leave=leave,
    )


def ask_and_store(
    ask: Callable[..., Brought],
    store: JobStore | None,
    shown: tqdm[Any],
    *,
    worth_storing: Callable[[Record], bool] = lambda _: True,
) -> Brought:
    """Ask for jobs, show and store what comes; a store that fails ends the call, and what was read is kept.

    ``ask`` takes ``on_records``, which it calls with records as they come.
    """
    if store is None:
        return ask(on_records=lambda records: shown.update(len(records)))

    writer = store.writer()

    def keep(records: list[Record]) -> None:
        shown.update(len(records))
        writer.add([record for record in records if worth_storing(record)])

    try:
        with writer:
            brought = ask(on_records=keep)
    except FileError as failure:
        brought.failure = brought.failure or failure
    return brought


def assemble(
    admitted: Sequence[str | Record], records: Mapping[str, Record], store: JobStore | None
) -> pd.DataFrame:
    """Return one row an entry, in the order of the entries: from ``records``, else from the store.

    An ID that the service no longer knows keeps its last sight, where the store has one.

    Raises
    ------
    FileError
        Where the store cannot be read; ``error.jobs`` holds what the service said, the rest as ``unread``.
    """
    asked = [records.get(entry, entry) if isinstance(entry, str) else entry for entry in admitted]
    fresh = frame_of([record for record in asked if isinstance(record, Record)])
    if store is None:
        return fresh
    place_of = {_id_of(record): place for place, record in enumerate(asked) if _may_be_stored(record)}
    try:
        stored = store.jobs(place_of) if place_of else fresh.iloc[:0]
    except FileError as failure:
        read = frame_of([_as_record(entry, failure) for entry in asked])
        done = int((read["outcome"] != Outcome.UNREAD).sum())
        raise_with(failure, read, f"{done:,} of {len(read):,} IDs were done before.")
    stored = stored[(stored["outcome"] != Outcome.NOT_FOUND).to_numpy()]
    if stored.empty:
        return fresh
    places_stored = [place_of[job_id] for job_id in stored["job_id"]]
    taken = set(places_stored)
    places_fresh = [place for place, record in enumerate(asked) if isinstance(record, Record)]
    fresh = fresh[np.array([place not in taken for place in places_fresh], dtype=bool)]
    order = np.argsort(
        [*(place for place in places_fresh if place not in taken), *places_stored], kind="stable"
    )
    return stack([fresh, stored]).iloc[order].reset_index(drop=True)


def tell(fetched: Fetched, jobs: pd.DataFrame) -> None:
    """Raise or warn for a call that ended early; a short frame never comes back in silence."""
    warn_of_repairs(fetched.repairs)
    unread = int((jobs["outcome"] == Outcome.UNREAD).sum())
    if fetched.failure is not None:
        raise_with(
            fetched.failure,
            jobs,
            f"{len(jobs) - unread:,} of {len(jobs):,} IDs were done before.",
        )
    if unread:
        why = fetched.ended or f"the first says: {jobs.loc[jobs['outcome'] == 'unread', 'error'].iloc[0]}"
        warnings.warn(
            f"{unread:,} of {len(jobs):,} IDs were not read ({why}). Their rows say `unread`; ask for them again.",
            InterruptedWarning if fetched.interrupted else IncompleteWarning,
            stacklevel=3,
        )


def warn_of_repairs(repairs: Mapping[str, int]) -> None:
    """Warn of documented defects in answers, one sentence each."""
    for sentence, answers in repairs.items():
        warnings.warn(f"{sentence} ({answers:,} answers)", RepairedWarning, stacklevel=4)


def raise_with(failure: CosaiError, jobs: pd.DataFrame, note: str) -> NoReturn:
    """Raise what ended a call, with what had been read."""
    failure.jobs = jobs
    failure.add_note(note)
    failure.add_note(IN_JOBS)
    raise failure


def _may_be_stored(entry: str | Record) -> bool:
    return isinstance(entry, str) or entry.fate == "not_found"


def _as_record(entry: str | Record, failure: FileError) -> Record:
    return entry if isinstance(entry, Record) else Record(entry, "unread", error=f"not read: {failure}")


def _id_of(entry: str | Record) -> str:
    return entry if isinstance(entry, str) else entry.job_id
