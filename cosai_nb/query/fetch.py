"""Jobs by ID: one row each, or one job with every node of its answer; and what every call that asks has in common."""

from __future__ import annotations

import re
import time
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from tqdm.auto import tqdm

from cosai_nb import errors
from cosai_nb.arguments import MAX_LIST, check
from cosai_nb.schema import Outcome, Record
from cosai_nb.service.client import INTERRUPTED, Client, interrupts
from cosai_nb.service.parsing import Fields, parse_tree
from cosai_nb.service.scheduler import Lists, parse_answer_to
from cosai_nb.table.frame import frame_from, frame_of, texts_of
from cosai_nb.table.ids import ids_of
from cosai_nb.table.store import as_store, stack

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from cosai_nb.service.listing import Windows
    from cosai_nb.service.parsing import Answer
    from cosai_nb.table.store import JobStore

BAR_DELAY_S = 1.0
FLUSH_ROWS, FLUSH_S = 5_000, 10.0
FOLD_ROWS = 20_000
MAX_ID_LENGTH = 128
_ALLOWED = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_ID_LENGTH}}}")


def fetch_jobs(
    job_ids: Iterable[Any],
    *,
    client: Client | None = None,
    batch_size: int = MAX_LIST,
    workers: int = 64,
    store: JobStore | str | os.PathLike[str] | None = None,
    progress: bool | None = None,
    strict: bool = False,
    deadline: float | str | None = None,
    columns: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Query jobs by ID: one row per distinct ID, in first-seen order.

    Parameters
    ----------
    job_ids : iterable of str
        IDs; repeated ones are asked once. What cannot be an ID is never sent and becomes an ``invalid_id`` row.
    client : Client, optional
        Whom to ask; default ``Client.from_env()``.
    batch_size : int
        IDs a request, 1 to 10. A service that refuses lists is asked with halves, down to single IDs.
    workers : int
        Requests in flight, at most; how many there are follows what the service takes.
    store : JobStore or path, optional
        Where to remember jobs: only IDs that it has not seen ended are asked, and what comes is stored on the way, at least
        every 5,000 jobs or 10 s. The same call made again resumes one that was cut short. An ID that the service no
        longer knows keeps the row of its latest record (``observed_at`` says when).
    progress : bool, optional
        None shows a bar when the call takes longer than a second; True and False force it.
    strict : bool
        Raise InvalidIdError at the first value that cannot be an ID.
    deadline : float or str, optional
        Seconds for the whole call, or a text such as ``"90s"``; what is not read by then says so.
    columns : mapping, optional
        Further text columns: name to path below ``JobsDetail``, as in
        ``{"bitrate": "Operation/MediaInfo/Format/Bitrate"}``.

    Returns
    -------
    pandas.DataFrame
        The ``jobs`` frame, columns as in ``cosai_nb.COLUMNS``; times in UTC, durations in seconds.

    Raises
    ------
    SettingsError
        An argument cannot be right; it is named, and nothing was asked.
    DeniedError
        401, 403 and other answers that make going on pointless; ``error.jobs`` holds what was read before.
    CredentialsError
        Where no client is given and the environment has no credentials.
    FileError
        The store cannot be read or written; ``error.jobs`` holds what was read before.

    Warns
    -----
    IncompleteWarning
        Where the call ended early (Ctrl-C, deadline, service down); the rows not read are ``unread``.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> with cn.Emulator(seed=7) as emulator:
    ...     jobs = cn.fetch_jobs([*emulator.job_ids[:3], "no/id"], client=emulator.client())
    >>> jobs.outcome.tolist()
    ['success', 'success', 'success', 'invalid_id']
    """
    check(client=client, batch_size=batch_size, workers=workers, progress=progress)
    check(strict=strict, deadline=deadline, columns=columns)
    extra = dict(columns or {})
    admitted = admit(job_ids, strict=strict)
    ids = [entry for entry in admitted if isinstance(entry, str)]
    memory = as_store(store)
    ended = memory.ended_ids(ids, [*extra]) if memory else set()
    asked = [job_id for job_id in ids if job_id not in ended]
    rows = Rows([*extra])
    intake = Intake(len(ids), progress, memory, extra, initial=len(ended), keep=rows.add)
    with interrupts() as noted, intake.bar:
        if asked:
            client = client or Client.from_env()
            fields = Fields([*extra.values()])
            plan = Lists(client.path, asked, client.pace, batch_size=batch_size, fields=fields)
            intake.run(client, plan, workers=workers, deadline=deadline)
        rows.add_unread(asked, intake.end)
        jobs = intake.assemble(admitted, rows)
    unread = jobs.loc[jobs["outcome"] == Outcome.UNREAD, "error"]
    why = intake.end or f"the first says: {next(iter(unread), '')}"
    gap = f"{len(unread):,} of {len(jobs):,} IDs were not read ({why}). Their rows say `unread`; ask for them again."
    intake.tell(jobs, gap if len(unread) else "", interrupted=bool(noted.count))
    return jobs


def describe_job(
    job_id: str, *, client: Client | None = None, deadline: float | str | None = None
) -> dict[str, Any]:
    """Return the service's whole answer for one job, every node of it, as xmltodict reads it.

    Parameters
    ----------
    job_id : str
        One ID.
    client : Client, optional
        Whom to ask; default ``Client.from_env()``.
    deadline : float or str, optional
        Seconds for the whole call.

    Returns
    -------
    dict
        ``{"Response": {"JobsDetail": [{...}], ...}}``; ``JobsDetail`` is always a list, ``NonExistJobIds`` is there
        for an ID that the service does not know.

    Raises
    ------
    InvalidIdError
        Where the ID is never sent.
    ServiceError, AnswerError
        The service refuses or cannot be reached; its answer cannot be believed, or speaks of another job.

    Warns
    -----
    RepairedWarning
        Where a documented defect of the answer was repaired.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> with cn.Emulator(seed=7) as emulator:
    ...     answer = cn.describe_job(emulator.job_ids[0], client=emulator.client())
    >>> answer["Response"]["JobsDetail"][0]["State"]
    'Success'
    """
    check(client=client, deadline=deadline)
    reason = why_invalid(job_id)
    if reason:
        raise errors.InvalidIdError(f"The job ID {str(job_id)[:60]!a} {reason}.")
    client = client or Client.from_env()

    def parse(body: bytes) -> tuple[Answer, dict[str, Any]]:
        return parse_answer_to([job_id], body, Fields()), parse_tree(body)

    tree: dict[str, Any]
    (answer, tree), _ = client.ask(f"{client.path}/{job_id}", parse, deadline=deadline)
    if answer.repaired:
        warnings.warn(answer.repaired, errors.RepairedWarning, stacklevel=2)
    return tree


def why_invalid(job_id: object) -> str | None:
    """Return why an ID is never sent, or None where it is fine.

    Examples
    --------
    >>> why_invalid("a8d121820f5e411ec926ef19d53ba9c6f")
    >>> why_invalid("a/b")
    "holds '/'; IDs are made of letters, digits, - and _"
    >>> why_invalid(None)
    'is NoneType, not a string'
    """
    if not isinstance(job_id, str):
        return f"is {type(job_id).__name__}, not a string"
    if not job_id:
        return "is empty"
    if len(job_id) > MAX_ID_LENGTH:
        return f"has {len(job_id):,} characters; IDs have at most {MAX_ID_LENGTH}"
    if _ALLOWED.fullmatch(job_id):
        return None
    culprit = next(char for char in job_id if not _ALLOWED.fullmatch(char))
    return f"holds {culprit!a}; IDs are made of letters, digits, - and _"


def admit(job_ids: Iterable[Any], *, strict: bool = False) -> list[str | Record]:
    """Return each distinct ID once, in first-seen order; what is never sent stands there as its finished record.

    Parameters
    ----------
    job_ids : iterable
        Strings, or an Arrow column of them; anything else becomes an ``invalid_id`` record under its repr.
    strict : bool
        Raise at the first ID that is never sent.

    Raises
    ------
    SettingsError
        Where ``job_ids`` is one string or no iterable.
    InvalidIdError
        With ``strict``; names the position.

    Examples
    --------
    >>> admit(["a1", "a1", "..", None])[0]
    'a1'
    >>> [record.error for record in admit(["a1", "a1", "..", None])[1:]]
    ["holds '.'; IDs are made of letters, digits, - and _", 'is NoneType, not a string']
    """
    if hasattr(job_ids, "columns"):
        raise errors.SettingsError(
            "job_ids is a table: pass the column that holds the IDs, such as jobs['job_id']."
        )
    job_ids = ids_of(job_ids)
    if isinstance(job_ids, str | bytes | bytearray) or not isinstance(job_ids, Iterable):
        raise errors.SettingsError(
            f"job_ids is {type(job_ids).__name__}: pass a list, Series or other iterable of IDs, such as [job_id]."
        )
    admitted: dict[tuple[bool, str], str | Record] = {}
    for position, job_id in enumerate(job_ids):
        is_text = isinstance(job_id, str)
        # str(x) of an Enum member or another subclass may differ from the text that was checked
        name = str.__str__(job_id) if is_text else repr(job_id)
        if (is_text, name) in admitted:
            continue
        reason = why_invalid(name if is_text else job_id)
        if reason and strict:
            raise errors.InvalidIdError(
                f"The job ID at position {position} ({name[:60]!a}) {reason}. Correct it, or leave strict=False to get a "
                "row that says so."
            )
        admitted[is_text, name] = Record(name, "invalid_id", error=reason) if reason else name
    return list(admitted.values())


class Rows:
    """The records of a call, found by ID: folded into tables of texts, for a million tuples would take a gigabyte.

    Parameters
    ----------
    columns : sequence of str
        Names of the extra columns.
    records : iterable of Record
        Records to begin with.

    Attributes
    ----------
    row_of : dict
        ID to the number of its latest record.
    absent : set of str
        IDs that the service does not know.
    """

    def __init__(self, columns: Sequence[str] = (), records: Iterable[Record] = ()) -> None:
        self.row_of: dict[str, int] = {}
        self.absent: set[str] = set()
        self._columns = columns
        self._first = 0  # number of the first recent record
        self._recent: list[Record] = []
        self._folded = [texts_of([], columns)]
        self.add(records)

    def add(self, records: Iterable[Record]) -> None:
        """Take records; a later one of the same ID replaces the earlier."""
        for record in records:
            self.row_of[record.job_id] = self.append(record)
            if record.fate == "not_found":
                self.absent.add(record.job_id)
            else:
                self.absent.discard(record.job_id)

    def add_unread(self, ids: Iterable[str], why: object) -> None:
        """Say of each ID that has no record why."""
        unread = (job_id for job_id in ids if job_id not in self.row_of)
        self.add(Record(job_id, "unread", error=f"not read: {why}") for job_id in unread)

    def append(self, record: Record) -> int:
        """Take a record that no ID leads to, and return its number."""
        if len(self._recent) >= FOLD_ROWS:
            self._fold()
        self._recent.append(record)
        return self._first + len(self._recent) - 1

    def _fold(self) -> None:
        texts = texts_of(self._recent, self._columns)
        # in one step: an interrupt in between would make all later numbers wrong
        self._folded, self._first, self._recent = [*self._folded, texts], self._first + len(texts), []

    def frame(self, numbers: Sequence[int]) -> pd.DataFrame:
        """Return the ``jobs`` frame of some records, in this order; it takes the place of the records."""
        self._fold()
        texts, self._folded = pa.concat_tables(self._folded), []
        order, taken = pa.array(numbers, pa.int64()), {}
        for name in texts.column_names:  # one by one, so that not all stand in memory twice
            taken[name] = texts[name].combine_chunks().take(order)
            texts = texts.drop_columns([name])
        return frame_from(pa.table(taken))


@dataclass
class Intake:
    """Takes the records of a call as they come, shows a bar, feeds a store, and tells how it ended.

    Parameters
    ----------
    total : int or None
        Jobs to come.
    progress : bool or None
        None shows a bar when the call takes longer than a second; True and False force it.
    store : JobStore, optional
        Where records are stored, at least every 5,000 or every 10 s.
    columns : mapping
        The extra columns, name to path.
    initial : int
        Jobs that need not be asked.
    keep : callable
        Takes the records of each moment.
    worth_storing : callable
        Which records are stored; all, unless it is set.

    Attributes
    ----------
    repairs : Counter
        Sentence about a repaired defect of answers, to how many answers had it.
    failure : CosaiError or None
        An error that going on cannot change.
    end : CosaiError or str or None
        Why the call ended early, None where it did not.
    """

    total: int | None
    progress: bool | None
    store: JobStore | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    initial: int = 0
    keep: Callable[[list[Record]], object] = lambda _: None
    worth_storing: Callable[[Record], bool] = lambda _: True
    repairs: Counter[str] = field(default_factory=Counter)
    failure: errors.CosaiError | None = None
    end: errors.CosaiError | str | None = None

    def __post_init__(self) -> None:
        self._waiting: list[Record] = []
        self._waiting_since = 0.0
        delay = 0 if self.progress else BAR_DELAY_S
        self.bar: tqdm[Any] = tqdm(
            desc="Jobs", unit="job", total=self.total, initial=self.initial, disable=self.progress is False,
            delay=delay, miniters=0,  # else it would stand still while nothing comes
        )  # fmt: skip

    def run(self, client: Client, plan: Lists | Windows, **settings: Any) -> None:
        """Ask what the plan knows, and take what comes; afterwards the attributes say how it ended."""

        def take(*, last: bool = False) -> None:
            records = plan.finished
            self.keep(records)
            plan.finished = []
            self._store(records, last=last)
            self.bar.update(len(records))

        end = self.end = client.run(plan, on_tick=take, **settings)
        self.repairs += plan.repairs
        self.failure = (
            end
            if isinstance(end, errors.CosaiError) and not isinstance(end, errors.UnavailableError)
            else None
        )
        try:
            take(last=True)  # an interrupt may have come in the middle of it
        except errors.FileError as failure:
            self.failure = self.failure or failure

    def _store(self, records: list[Record], *, last: bool) -> None:
        """Store what waits, once it is enough or has waited for long: a kill loses no more than that."""
        if self.store is None:
            return
        now = time.monotonic()
        self._waiting_since = self._waiting_since if self._waiting else now
        self._waiting += [
            record for record in records if record.fate in {"job", "not_found"} and self.worth_storing(record)
        ]
        due = last or len(self._waiting) >= FLUSH_ROWS or now - self._waiting_since >= FLUSH_S
        if due and self._waiting:
            self.store.add(frame_of(self._waiting, [*self.columns]))
            self._waiting = []

    def assemble(self, admitted: Sequence[str | Record], rows: Rows) -> pd.DataFrame:
        """Return one row an entry, in the order of the entries: as it was told, else from the store.

        An ID that the service no longer knows keeps its latest record, where the store has one.
        """
        unsaid = {
            entry: place
            for place, entry in enumerate(admitted)
            if isinstance(entry, str) and (entry not in rows.row_of or entry in rows.absent)
        }
        stored, why = frame_of([]), "no longer in the store"
        if self.store is not None and unsaid:
            try:
                stored = self.store.jobs(unsaid)
                stored = stored[(stored["outcome"] != Outcome.NOT_FOUND).to_numpy()]
            except errors.FileError as error:
                self.failure, why = self.failure or error, str(error)
        known = {*stored["job_id"]}
        rows.add_unread((job_id for job_id in unsaid if job_id not in known), why)
        told = {place: entry for place, entry in enumerate(admitted) if entry not in known}
        jobs = rows.frame(
            [rows.row_of[entry] if isinstance(entry, str) else rows.append(entry) for entry in told.values()]
        )
        if stored.empty:
            return jobs
        order = np.argsort([*told, *(unsaid[job_id] for job_id in stored["job_id"])])
        return stack([jobs, stored]).iloc[order].reset_index(drop=True)

    def tell(self, jobs: pd.DataFrame, gap: str, note: str = "", *, interrupted: bool) -> None:
        """Raise or warn of what a user must know: a short frame never comes back in silence.

        Parameters
        ----------
        jobs : pandas.DataFrame
            What was read.
        gap : str
            What is missing, and what to do; empty where nothing is.
        note : str
            How much was read, for an error; default the IDs that were.
        interrupted : bool
            Whether there was a Ctrl-C.
        """
        for sentence, answers in self.repairs.items():
            warnings.warn(f"{sentence} ({answers:,} answers)", errors.RepairedWarning, stacklevel=3)
        nowhere = [path for name, path in self.columns.items() if jobs[name].isna().all()]
        if nowhere and len(jobs):
            said = f"Of {len(jobs):,} jobs nothing stands at {', '.join(nowhere)}; check the path with describe_job(…)."
            warnings.warn(said, errors.CosaiWarning, stacklevel=3)
        if self.failure is not None:
            self.failure.jobs = jobs
            done = (jobs["outcome"] != Outcome.UNREAD).sum()
            self.failure.add_note(note or f"{done:,} of {len(jobs):,} IDs were done before.")
            self.failure.add_note(errors.IN_JOBS)
            raise self.failure
        interrupted = interrupted or self.end == INTERRUPTED
        if not gap and interrupted:
            gap = f"The call was interrupted when all {len(jobs):,} rows were read; nothing is missing."
        if gap:
            warnings.warn(
                gap, errors.InterruptedWarning if interrupted else errors.IncompleteWarning, stacklevel=3
            )
