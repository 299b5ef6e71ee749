"""Jobs by ID: one row each, or one job with every node of its answer; and what every call that asks has in common."""

from __future__ import annotations

import math
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from tqdm.auto import tqdm

from cosai_nb import errors
from cosai_nb.arguments import MAX_LIST, check, deadline_s
from cosai_nb.query.asked import Wanted, clients_of, place_of, wanted_of, why_invalid
from cosai_nb.schema import Outcome, Record
from cosai_nb.service.client import INTERRUPTED, Client, Interrupts, interrupts
from cosai_nb.service.parsing import Fields, parse_tree
from cosai_nb.service.scheduler import Lists, parse_answer_to
from cosai_nb.table.dtypes import text_of, whole
from cosai_nb.table.frame import frame_from, frame_of, texts_of
from cosai_nb.table.store import as_store, stack

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from numpy.typing import NDArray

    from cosai_nb.service.listing import Windows
    from cosai_nb.service.parsing import Answer
    from cosai_nb.table.store import JobStore

T = TypeVar("T")

BAR_DELAY_S = 1.0
FLUSH_ROWS, FLUSH_S = 5_000, 10.0
_NOT_SEEN = [Outcome.NOT_FOUND, Outcome.UNREAD]
FOLD_ROWS = 2_000  # few: records that live long cost the collector


def fetch_jobs(
    job_ids: Iterable[Any] | Mapping[str, Iterable[Any]],
    *,
    client: Client | Sequence[Client] | None = None,
    batch_size: int = MAX_LIST,
    workers: int = 64,
    store: JobStore | str | os.PathLike[str] | None = None,
    progress: bool | None = None,
    strict: bool = False,
    deadline: float | str | timedelta | None = None,
    columns: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Query jobs by ID: one row per distinct ID, in first-seen order.

    Parameters
    ----------
    job_ids : iterable of str, mapping or table
        IDs; repeated ones are asked once. What cannot be an ID is never sent and becomes an ``invalid_id`` row. A mapping of
        bucket to IDs, or a table with the columns ``job_id`` and ``bucket`` (a saved frame), says where each is asked for.
    client : Client or list of Client, optional
        Sends the requests; default ``Client.from_env()``. Of several clients, each for a bucket of its own, the first is asked
        for all IDs whose bucket is not known, the next for those that it does not know, and so on. A bucket that cannot be
        asked does not end the call: its IDs, and those that are found nowhere else, are ``unread``.
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
    deadline : float, str or timedelta, optional
        Seconds for the whole call, or a text such as ``"90s"``; what is not read by then says so.
    columns : mapping, optional
        Further text columns: name to path below ``JobsDetail``, as in
        ``{"bitrate": "Operation/MediaInfo/Format/Bitrate"}``.

    Returns
    -------
    pandas.DataFrame
        The ``jobs`` frame, columns as in ``cosai_nb.COLUMNS``; times in UTC, durations in seconds. ``bucket`` says where a job
        was found; for an ID without a job it is the only bucket that was asked, or missing where there were several.

    Raises
    ------
    SettingsError
        An argument cannot be right; it is named, and nothing was asked.
    DeniedError
        401, 403 and other answers that make going on pointless, of several buckets from every one; ``error.jobs`` holds what
        was read before.
    CredentialsError
        Where no client is given and the environment has no credentials.
    FileError
        The store cannot be read or written; ``error.jobs`` holds what was read before.

    Warns
    -----
    IncompleteWarning
        Where the call ended early (Ctrl-C, deadline, service down, one of several buckets denied); it names the buckets, and
        the rows not read are ``unread``.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> with cn.Emulator(seed=7) as emulator:
    ...     jobs = cn.fetch_jobs([*emulator.job_ids[:3], "no/id"], client=emulator.client())
    >>> jobs.outcome.tolist()
    ['success', 'success', 'success', 'invalid_id']

    Two buckets:

    >>> one, two = cn.Emulator(seed=7), cn.Emulator(seed=8, bucket="second-1250000000")
    >>> with one, two:
    ...     ids = [one.job_ids[0], two.job_ids[0], "a1"]
    ...     jobs = cn.fetch_jobs(ids, client=[one.client(), two.client()])
    >>> jobs.bucket.tolist()
    ['emulated-1250000000', 'second-1250000000', nan]
    """
    check(batch_size=batch_size, workers=workers, progress=progress)
    check(strict=strict, deadline=deadline, columns=columns)
    extra = dict(columns or {})
    try:
        clients = clients_of(client)
    except errors.SettingsError:
        if client is not None or hasattr(job_ids, "columns") or isinstance(job_ids, Mapping):
            raise
        clients = []  # told where there is something to ask
    buckets = [one.bucket for one in clients]
    wanted = wanted_of(job_ids, buckets, strict=strict)
    memory = as_store(store)
    ids = {bucket: wanted.ids(bucket) for bucket in dict.fromkeys(wanted.buckets)}
    ended: dict[str | None, set[str]] = {bucket: set() for bucket in ids}
    if memory:
        for bucket, some in ids.items():
            where = [bucket] if bucket else buckets or None
            ended[bucket] = memory.ended_ids(some, [*extra], where)
    total, initial = sum(map(len, ids.values())), sum(map(len, ended.values()))
    intake = Intake(total, progress, memory, extra, initial=initial, turns=max(len(clients), 1))
    intake.left_s, intake.workers = deadline_s(deadline), workers
    fields = Fields([*extra.values()])

    def ask(one: Client | None, ids: list[str]) -> None:
        one = one or Client.from_env()
        intake.take_turn(one, Lists(one.path, ids, one.pace, batch_size=batch_size, fields=fields))

    with interrupts() as intake.noted, intake.bar:
        jobs = _search(clients or [None], wanted, ended, intake, ask)
    unread = jobs.loc[jobs["outcome"] == Outcome.UNREAD, "error"]
    early = intake.ended_early()
    if early and unread.empty and len(clients) > 1:
        warnings.warn(f"{early}. Each ID was found in another bucket.", errors.CosaiWarning, stacklevel=2)
    why = early or f"the first says: {next(iter(unread), '')}"
    gap = f"{len(unread):,} of {len(jobs):,} IDs were not read ({why}). Their rows say `unread`; ask for them again."
    intake.tell(jobs, gap if len(unread) else "")
    return jobs


def _search(
    clients: Sequence[Client | None],
    wanted: Wanted,
    ended: Mapping[str | None, set[str]],
    intake: Intake,
    ask: Callable[[Client | None, list[str]], None],
) -> pd.DataFrame:
    """Ask one bucket after the other for its own IDs and for those that none before had; return one row an entry."""
    several = len(clients) > 1
    of: pd.Series[Any] = pd.Series(np.array(wanted.buckets, object), dtype=object)
    left = of.isna().to_numpy(copy=True)
    frames: list[pd.DataFrame] = []
    places: list[NDArray[np.int64]] = []
    doubts: dict[str, list[str]] = {}  # why an ID could not be read in buckets that may have it
    for client in clients:
        bucket = client.bucket if client else None
        at = np.flatnonzero(left | (of == bucket).to_numpy())  # None equals nothing
        entries = [wanted.entries[place] for place in at.tolist()]
        pairs: list[tuple[Any, Any]] = [*zip(entries, of.iloc[at], strict=True)]
        asked = [entry for entry, own in pairs if isinstance(entry, str) and entry not in ended[own]]
        rows = Rows([*intake.columns], bucket=bucket)
        intake.keep, intake.bucket = rows.add, bucket
        if several:
            intake.elsewhere = {entry for entry, own in pairs if own is None and isinstance(entry, str)}
        if asked:
            ask(client, asked)
        jobs = intake.assemble(entries, rows, asked, last=client is clients[-1])
        if several:
            left[at] &= jobs["outcome"].isin(_NOT_SEEN).to_numpy()
            rest = jobs[left[at]]
            unread = rest.loc[rest["outcome"] == Outcome.UNREAD, ["job_id", "error"]]
            for job_id, error in unread.itertuples(index=False):
                doubts.setdefault(job_id, []).append(f"{place_of(client)}: {error}")
            jobs, at = jobs[~left[at]], at[~left[at]]
        frames.append(jobs)
        places.append(at)
    if several and left.any():
        # each was asked for in every bucket: one in which it could not be read may have it
        records = [
            Record(job_id, "unread", error="; ".join(doubts[job_id]))
            if job_id in doubts
            else Record(job_id, "not_found", observed_ms)
            for job_id, observed_ms in zip(rest["job_id"], rest["observed_at"].astype("int64"), strict=True)
        ]
        frames.append(frame_of(records, [*intake.columns]))
        places.append(np.flatnonzero(left))
        intake.with_store(lambda store: store.add(frames[-1]))
        intake.bar.update(len(records) - len(doubts))
    order = np.argsort(np.concatenate(places), kind="stable")
    jobs = stack(frames) if len(frames) > 1 else frames[0]
    return jobs if (np.diff(order) == 1).all() else jobs.iloc[order].reset_index(drop=True)


def describe_job(
    job_id: str, *, client: Client | None = None, deadline: float | str | timedelta | None = None
) -> dict[str, Any]:
    """Return the service's whole answer for one job, every node of it, as xmltodict reads it.

    Parameters
    ----------
    job_id : str
        One ID.
    client : Client, optional
        Sends the requests; default ``Client.from_env()``.
    deadline : float, str or timedelta, optional
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
        The service refuses or cannot be reached; its answer is invalid, or about another job.

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


class Rows:
    """The records of a call, folded into tables of texts, because a million tuples would take a gigabyte.

    Parameters
    ----------
    columns : sequence of str
        Names of the extra columns.
    records : iterable of Record
        Records to begin with.
    bucket : str, optional
        Where all are asked for.
    """

    def __init__(
        self, columns: Sequence[str] = (), records: Iterable[Record] = (), bucket: str | None = None
    ) -> None:
        self._columns, self._bucket = columns, bucket
        self._recent = [*records]
        self._folded: list[pa.Table] = []

    def add(self, records: Iterable[Record]) -> None:
        """Take records; of two of one ID the first counts, and an interrupted call has taken none."""
        if len(self._recent) >= FOLD_ROWS:
            self._fold()
        self._recent += records

    def ids(self, *, unknown: bool = False) -> pa.Array:
        """Return the IDs of all records in order, or those that the service does not know."""
        self._fold()
        texts = pa.concat_tables(self._folded).select(["job_id", "fate"])
        if unknown:
            texts = texts.filter(pc.equal(texts["fate"].cast("string"), "not_found"))
        return whole(texts["job_id"])

    def _fold(self) -> None:
        texts = texts_of(self._recent, self._columns, self._bucket)
        # in one step: an interrupt in between would lose records
        self._folded, self._recent = [*self._folded, texts], []

    def frame(self, numbers: NDArray[np.int64]) -> pd.DataFrame:
        """Return the ``jobs`` frame of some records, in this order; it takes the place of the records."""
        self._fold()
        texts, self._folded = pa.concat_tables(self._folded), []
        order, taken = pa.array(numbers), {}
        for name in texts.column_names:  # one by one, so that not all stand in memory twice
            taken[name] = texts[name].combine_chunks().take(order)
            texts = texts.drop_columns([name])
        return frame_from(pa.table(taken))


def _is_refusal(end: object) -> TypeGuard[errors.CosaiError]:
    return isinstance(end, errors.CosaiError) and not isinstance(end, errors.UnavailableError)


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
    bucket : str or None
        Where the records come from.

    Attributes
    ----------
    turns : int
        How many buckets are asked.
    left_s : float
        Seconds until the deadline of the call.
    workers : int
        Requests in flight, at most.
    noted : Interrupts
        The call's Ctrl-C.
    elsewhere : set of str
        IDs that may be in another bucket, too: that this one does not know them is not the end.
    ends : dict
        Of each bucket that was asked in its turn: why that ended early, None where it did not.
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
    bucket: str | None = None
    turns: int = 1
    left_s: float = math.inf
    workers: int = 64
    noted: Interrupts = field(default_factory=Interrupts)
    elsewhere: set[str] = field(default_factory=set)
    ends: dict[Client, errors.CosaiError | str | None] = field(default_factory=dict)

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
            self.bar.update(sum(map(self._is_final, records)) if self.elsewhere else len(records))

        end = self.end = client.run(plan, on_tick=take, **settings)
        self.repairs += plan.repairs
        self.failure = end if _is_refusal(end) else None
        try:
            take(last=True)  # an interrupt may have come in the middle of it
        except errors.FileError as failure:
            self.failure = self.failure or failure

    def take_turn(self, client: Client, plan: Lists | Windows) -> None:
        """Ask one bucket, perhaps of several: after an error the next is asked, after Ctrl-C or with a broken store none is."""
        if self.ends and self.noted.count:
            self.end = INTERRUPTED
        if self.end == INTERRUPTED or self.failure is not None:
            return
        began = client.clock.monotonic()
        self.run(client, plan, deadline=max(self.left_s, 0.0), workers=self.workers)
        self.left_s -= client.clock.monotonic() - began
        self.ends[client] = self.failure or self.end
        if not isinstance(self.failure, errors.FileError):
            # only what every bucket refuses is a failure of the call
            refusals = [end for end in self.ends.values() if _is_refusal(end)]
            self.failure = refusals[0] if len(refusals) == self.turns else None

    def ended_early(self) -> str:
        """Return why the buckets that were not asked to the end were not; of several it names them."""
        early = {place_of(client): end for client, end in self.ends.items() if end is not None}
        if self.turns > 1:
            return "; ".join(f"{place}: {end}" for place, end in early.items())
        return str(next(iter(early.values()), ""))

    def with_store(self, use: Callable[[JobStore], T]) -> T | None:
        """Return what the store is good for; None without one, and once it failed: that loses nothing of what was read."""
        if self.store is not None and not isinstance(self.failure, errors.FileError):
            try:
                return use(self.store)
            except errors.FileError as failure:
                self.failure = self.failure or failure
        return None

    def _is_final(self, record: Record) -> bool:
        return record.fate == "job" or record.job_id not in self.elsewhere

    def _store(self, records: list[Record], *, last: bool) -> None:
        """Store what waits, once it is enough or has waited for long: a kill loses no more than that."""
        if self.store is None:
            return
        now = time.monotonic()
        self._waiting_since = self._waiting_since if self._waiting else now
        self._waiting += [
            record
            for record in records
            if record.fate in {"job", "not_found"} and self.worth_storing(record) and self._is_final(record)
        ]
        due = last or len(self._waiting) >= FLUSH_ROWS or now - self._waiting_since >= FLUSH_S
        if due and self._waiting:
            self.store.add(frame_of(self._waiting, [*self.columns], self.bucket))
            self._waiting = []

    def assemble(
        self, entries: Sequence[str | Record], rows: Rows, asked: Sequence[str] = (), *, last: bool = True
    ) -> pd.DataFrame:
        """Return one row an entry, in the order of the entries: as it was told, else from the store.

        What was ``asked`` and has no record is unread. An ID that the service no longer knows keeps its latest record, where
        the store has one of this bucket; one without a bucket counts only in the ``last`` bucket that is asked for the ID.
        """
        names = pa.array([entry if isinstance(entry, str) else None for entry in entries], pa.large_string())

        def among(ids: pa.Array) -> NDArray[np.bool_]:
            return pc.is_in(names, value_set=ids).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]  # pyarrow is not typed

        told, unknown = rows.ids(), rows.ids(unknown=True)
        numbers = pc.index_in(names, value_set=told).fill_null(-1).to_numpy().copy()
        is_asked = among(pa.array(asked, names.type))
        unsaid = names.filter(pa.array(among(unknown) | ((numbers < 0) & ~is_asked))).drop_null().to_pylist()
        stored, why = frame_of([]), "no longer in the store"
        if self.store is not None and unsaid:
            try:
                stored = self.store.jobs(unsaid)
                shared = stored["job_id"].isin(self.elsewhere)
                lost = shared & stored["job_id"].isin(unknown.to_pylist())
                of, here = stored["bucket"], stored["bucket"] == self.bucket
                theirs = here | (of.isna() & (last | ~lost)) | (shared & ~lost) | (self.bucket is None)
                stored = stored[((stored["outcome"] != Outcome.NOT_FOUND) & theirs).to_numpy()]
                stored = stored.drop_duplicates("job_id")
            except errors.FileError as error:
                self.failure, why = self.failure or error, str(error)
        ids = text_of(stored["job_id"])
        is_stored = among(ids)
        lacking = np.flatnonzero((numbers < 0) & ~is_stored)
        numbers[lacking] = len(told) + np.arange(len(lacking))
        for place in lacking.tolist():
            record = entries[place]
            if isinstance(record, str):
                reason = self.end if is_asked[place] else why
                record = Record(record, "unread", error=f"not read: {reason}")
            rows.add([record])
        jobs = rows.frame(numbers[~is_stored])
        if stored.empty:
            return jobs
        places = pc.index_in(ids, value_set=names).to_numpy()
        order = np.argsort(np.concatenate([np.flatnonzero(~is_stored), places]))
        return stack([jobs, stored]).iloc[order].reset_index(drop=True)

    def tell(self, jobs: pd.DataFrame, gap: str, note: str = "") -> None:
        """Raise or warn of what a user must know: a short frame never comes back in silence.

        Parameters
        ----------
        jobs : pandas.DataFrame
            What was read.
        gap : str
            What is missing, and what to do; empty where nothing is.
        note : str
            How much was read, for an error; default the IDs that were.
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
        interrupted = self.noted.count or self.end == INTERRUPTED
        if not gap and interrupted:
            gap = f"The call was interrupted when all {len(jobs):,} rows were read; nothing is missing."
        if gap:
            kind = errors.InterruptedWarning if interrupted else errors.IncompleteWarning
            warnings.warn(gap, kind, stacklevel=3)
