"""A large fetch in parts that can be asked for anywhere, again, and one without the other.

::

    parts_of(entries, scope, size)   IDs or windows of creation time cut into parts
    tasks_of(store, parts)           what is still to be asked of each
    fetch_part(task, share, …)       ask, store what came, then remember the part; where a worker is

A part is pure: its name is the hash of bucket, address, and its IDs or its window, and asking again gives the same jobs. Its jobs
are written as one file of a :class:`~cosai_nb.JobStore`, and then a record of the part::

    folder/
    ├── jobs-<BLAKE2 of the bytes>.parquet   as in every store
    └── _fetched/<name of the part>.json     its files and their sizes, and the IDs that have not ended or were not read

Both are written under another name and renamed. So whoever asks may be killed at any moment: what has no record is asked for again,
and a job that was stored twice is one job to the store and to every statistic.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from cosai_nb import arguments
from cosai_nb.errors import CosaiError, FileError, SettingsError
from cosai_nb.query.fetch import fetch_jobs
from cosai_nb.query.list import SETTLED_AFTER_S, list_jobs
from cosai_nb.schema import NOT_A_JOB, UNFINISHED, Outcome
from cosai_nb.service.client import Client, interrupts
from cosai_nb.service.listing import wire_time
from cosai_nb.service.pace import Pace
from cosai_nb.table.files import write_whole
from cosai_nb.table.frame import conform, frame_of
from cosai_nb.table.store import write_part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cosai_nb.table.store import JobStore

    Settings = Mapping[str, Any] | Callable[[], Client]
    Window = tuple[int, int, Any, Any]

_PART_IDS, _PART_TIME = 10_000, "1h"
_DAY_BEGINS_S = 8 * 3600  # a day of the service's own time begins so long before one of UTC
_BATCH = 100  # parts whose IDs are looked up in the store at once, where their files are gone
_FETCHED = "_fetched"
_OF_A_WINDOW = ("start", "end", "tag", "queue_id")


class Part(NamedTuple):
    """What is asked for as a whole: IDs, or a window of creation time."""

    name: str
    ids: tuple[str, ...] = ()
    window: Window | None = None

    @property
    def texts(self) -> list[str]:
        """The IDs once each, without what is no text."""
        return [*dict.fromkeys(job_id for job_id in self.ids if isinstance(job_id, str))]


class Record(NamedTuple):
    """What is remembered of a part: its files and their sizes, and which of its IDs have not ended or were not read."""

    files: dict[str, int] = {}  # noqa: RUF012 - never changed
    jobs: int = 0
    no_job: int = 0
    unfinished: list[str] = []  # noqa: RUF012 - the same
    unread: list[str] = []  # noqa: RUF012 - the same

    def is_there(self, folder: Path) -> bool:
        """Return whether all its files are, with every byte."""
        try:
            return all((folder / name).stat().st_size == size for name, size in self.files.items())
        except OSError:
            return False


class Task(NamedTuple):
    """What is to be asked of a part: these of its IDs, or without IDs its window; and what is known of the others."""

    part: Part
    ids: Sequence[str] | None
    known: Record
    seen: Record | None
    """The record that was there when this was decided."""


class Asked(NamedTuple):
    """What became of a part."""

    part: str
    state: str
    jobs: int = 0
    asked: int = 0
    unfinished: int = 0
    no_job: int = 0
    failure: CosaiError | None = None


def parts_of(entries: Iterator[Any], scope: tuple[str, str], size: int | str | None) -> Iterator[Part]:
    """Cut IDs or windows into parts; names tell buckets and families apart."""
    first = next(entries, None)
    if first is None:
        return
    entries = chain([first], entries)
    if isinstance(first, Mapping):
        for window in _windows(entries, arguments.duration(size or _PART_TIME, "part_size")):
            yield Part(_name(*scope, *map(json.dumps, window)), window=window)
        return
    number = _PART_IDS if size is None else size
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise SettingsError(f"part_size={size!r} must be a whole number of IDs, from 1 up.")
    while ids := tuple(islice(entries, number)):
        # what is no text is told by fetch_jobs
        yield Part(_name(*scope, *map(str, ids)), ids)


def _windows(entries: Iterable[Any], length: float) -> Iterator[Window]:
    if length < 1 or length % 1:
        raise SettingsError("part_size of windows must be whole seconds, such as '1h'.")
    now, step = time.time(), int(length)
    for given in entries:
        if not isinstance(given, Mapping) or not {"start", "end"} <= {*given} <= {*_OF_A_WINDOW}:
            raise SettingsError(
                f"{given!r} is no window: pass mappings with start, end and optionally tag and queue_id."
            )
        start, end = (arguments.moment(given[name], name, now=now) for name in ("start", "end"))
        arguments.check(tag=given.get("tag"), queue_id=given.get("queue_id"))
        if end <= start:
            raise SettingsError(f"end={given['end']!s} is not after start={given['start']!s}.")
        tag, queue = (
            said if said is None or isinstance(said, str) else [*said]
            for said in map(given.get, ("tag", "queue_id"))
        )
        edges = range((start + _DAY_BEGINS_S) // step * step - _DAY_BEGINS_S, end, step)
        for edge in edges:
            yield max(edge, start), min(edge + step, end), tag, queue


def _name(*texts: str) -> str:
    return hashlib.blake2b("\n".join(texts).encode(errors="surrogatepass"), digest_size=16).hexdigest()


def tasks_of(store: JobStore, parts: Iterator[Part]) -> Iterator[Task]:
    """Say of each part what is still to be asked."""
    while batch := [*islice(parts, _BATCH)]:
        records = [(part, _record_of(store.folder, part.name)) for part in batch]
        lost = {
            part.name: part.texts for part, record in records if record and not record.is_there(store.folder)
        }
        ended = store.ended_ids(chain.from_iterable(lost.values())) if any(lost.values()) else set()
        for part, record in records:
            if record is not None and part.name not in lost:
                others = Record(record.files, record.jobs - len(record.unfinished), record.no_job)
                yield Task(part, [*record.unfinished, *record.unread], others, record)
            elif record is not None and part.ids:
                left = [job_id for job_id in part.texts if job_id not in ended]
                yield Task(part, left, Record(jobs=len(part.texts) - len(left)), record)
            else:
                yield Task(part, part.ids or None, Record(), record)


def state_before(task: Task) -> Asked:
    """Return what is known of a part that was not asked for now."""
    state = "not asked" if task.ids or task.ids is None else "there"
    seen = task.seen if task.seen is not None and task.seen.files == task.known.files else task.known
    return Asked(task.part.name, state, seen.jobs, 0, len(seen.unfinished), seen.no_job)


def client_of(settings: Settings) -> Client:
    """Make a client as its settings say."""
    client = settings() if callable(settings) else Client.from_env(**settings)
    if not isinstance(client, Client):
        raise SettingsError(
            f"client_settings returned {type(client).__name__}: it must return a cosai_nb.Client."
        )
    return client


def scope_of(settings: Settings) -> tuple[str, str]:
    """Return bucket and address of the jobs: the same ID or window means another job elsewhere."""
    client = client_of(settings)
    client.close()
    return client.bucket, client.path


def fetch_part(task: Task, share: float | None, *, folder: str, settings: Settings) -> Asked:
    """Ask for a part, or for some of its IDs, store what came, then remember the part.

    Parameters
    ----------
    task : Task
        What to ask.
    share : float or None
        Requests a second that this part may send.
    folder : str
        The store.
    settings : mapping or callable
        How to make the client.
    """
    part, known, where = task.part, task.known, Path(folder)
    if not where.is_dir():
        raise FileError(f"A worker does not see {folder}: name a folder on storage that all workers share.")
    record = _record_of(where, part.name)
    if record is not None and record != task.seen:
        # the worker that wrote it was killed before it could say so
        return Asked(part.name, "read", record.jobs, 0, len(record.unfinished), record.no_job)
    with closing(client_of(settings)) as client, interrupts() as noted:
        before = noted.count
        if share is not None:
            own = client.pace.rate.now
            client.pace = Pace(share if own is None else min(share, own))
            client.sleep(1 / share)  # else its first request would follow the last of another part at once
        jobs, failure = _answers(task, client)
        whole = failure is None and noted.count == before
        if task.ids is None and part.window is not None:
            newest = jobs["observed_at"].max()
            now = client.clock.time() if pd.isna(newest) else newest.timestamp()
            whole = whole and part.window[1] <= now - SETTLED_AFTER_S
    outcome = jobs["outcome"]
    is_job = ~outcome.isin(NOT_A_JOB)
    unread = jobs.loc[outcome == Outcome.UNREAD, "job_id"].tolist()
    unfinished = jobs.loc[outcome.isin(UNFINISHED), "job_id"].tolist()
    files = dict(known.files)
    number, no_job = known.jobs + int(is_job.sum()), known.no_job + int((~is_job).sum()) - len(unread)
    try:
        told = conform(jobs[(is_job | (outcome == Outcome.NOT_FOUND)).to_numpy()].reset_index(drop=True))
        if len(told):
            name = write_part(where, told)
            files[name] = (where / name).stat().st_size
        if whole or (task.ids and len(jobs)):  # a window that was not read to its end is listed again
            _remember(where, part.name, Record(files, number, no_job, unfinished, unread))
    except FileError as error:
        failure = failure or error
    state = "read" if whole and not unread and failure is None else "incomplete"
    sent = int((outcome != Outcome.INVALID_ID).sum())
    return Asked(part.name, state, number, sent, len(unfinished), no_job, failure)


def _answers(task: Task, client: Client) -> tuple[pd.DataFrame, CosaiError | None]:
    try:
        if task.ids is not None or task.part.window is None:
            return fetch_jobs(task.ids or (), client=client, progress=False), None
        start, end, tag, queue_id = task.part.window
        between: dict[str, Any] = {"start": wire_time(start), "end": wire_time(end)}
        return list_jobs(tag=tag, queue_id=queue_id, **between, client=client, progress=False), None
    except CosaiError as error:
        jobs, error.jobs = error.jobs, None
        return (frame_of([]) if jobs is None else jobs), error.with_traceback(None)


def _record_of(folder: Path, name: str) -> Record | None:
    """Return what is remembered of a part; a record that cannot be read is none, which costs asking again."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        said = json.loads((folder / _FETCHED / f"{name}.json").read_bytes())
        return Record(*(said[field] for field in Record._fields))
    return None


def _remember(folder: Path, name: str, record: Record) -> None:
    content = json.dumps(record._asdict()).encode()
    try:
        (folder / _FETCHED).mkdir(exist_ok=True)
        write_whole(folder / _FETCHED / f"{name}.json", lambda file: file.write(content))
    except OSError as error:
        raise FileError(
            f"The record of a part cannot be written to {folder / _FETCHED} ({error.strerror}): it will be asked for again."
        ) from None
