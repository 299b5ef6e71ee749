"""Jobs by queue, kind and creation time, without their IDs; and the queues themselves."""

from __future__ import annotations

import re
import warnings
from bisect import bisect_left
from functools import partial
from itertools import chain, product
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from cosai_nb.arguments import check, deadline_s, moment, nearest, wire_seconds
from cosai_nb.errors import CosaiError, FrameError, IncompleteWarning, SettingsError
from cosai_nb.query.asked import clients_of, place_of
from cosai_nb.query.fetch import Intake
from cosai_nb.schema import COLUMNS, ENDED, State
from cosai_nb.service.client import INTERRUPTED, Client, interrupts
from cosai_nb.service.listing import ENDED_STATES, Scope, Window, Windows, wire_time
from cosai_nb.service.parsing import PLACE, Fields, parse_queues
from cosai_nb.table import dtypes, frame
from cosai_nb.table.notes import listed_windows, mark_listed
from cosai_nb.table.store import as_store, named, stack
from cosai_nb.table.times import parse_times

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import date, timedelta

    from cosai_nb.table.store import JobStore

T = TypeVar("T")

_QUEUE_COLUMNS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "queue_id": ("QueueId", dtypes.text_array),
    "name": ("Name", dtypes.text_array),
    "state": ("State", dtypes.category_array),
    "max_size": ("MaxSize", dtypes.integer_array),
    "max_concurrent": ("MaxConcurrent", dtypes.integer_array),
    "category": ("Category", dtypes.category_array),
    "create_time": ("CreateTime", lambda texts: dtypes.time_array(parse_times(texts).values)),
    "update_time": ("UpdateTime", lambda texts: dtypes.time_array(parse_times(texts).values)),
    "bucket": ("bucket", dtypes.category_array),
}
_QUEUE_PAGE = 100
_MAX_QUEUE_PAGES = 1_000
_QUEUE_ID = re.compile(r"p[0-9a-f]+")
_WHOLE_QUEUE_ID = re.compile(r"p[0-9a-f]{32}")
_SHOWN_GAPS = 3
_BLOCK_S = 3600
# after its end a window may still gain jobs so long: a list is rarely up to date to the second
SETTLED_AFTER_S = 60
_STATE, _CREATED, _TAG, _QUEUE = (PLACE[name] for name in ("state", "creation_time", "tag", "queue_id"))


def list_jobs(
    *,
    tag: str | Sequence[str] | None = None,
    queue_id: str | Sequence[str] | None = None,
    start: str | date | timedelta = "7d",
    end: str | date | timedelta | None = None,
    states: Collection[str] | None = None,
    client: Client | Sequence[Client] | None = None,
    store: JobStore | str | os.PathLike[str] | None = None,
    workers: int = 64,
    progress: bool | None = None,
    deadline: float | str | timedelta | None = None,
    columns: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """List the jobs that were created in a window, without knowing their IDs.

    Parameters
    ----------
    tag : str or list of str, optional
        Kinds of job, in any case; default all that the client's family is for (``ai``: Translation, SpeechRecognition and
        WordsGeneralize).
    queue_id : str or list of str, optional
        IDs or names of queues; default all queues of the bucket.
    start, end : str, date, datetime or timedelta
        Creation time from ``start`` to before ``end``, which is now by default. ``"7d"`` or ``"36h"`` is that long ago.
        Texts and dates without a zone are in the service's own time (+0800): ``"2026-11-01"``, ``"2026-11-01T08:00:00"``,
        ``"2026-11-01T00:00:00Z"``. A datetime needs a tzinfo.
    states : collection of str, optional
        Only jobs in these of the six states; default all.
    client : Client or list of Client, optional
        Sends the requests; default ``Client.from_env()``. Of several, each for a bucket of its own, the jobs stand in one
        frame, told apart by ``bucket``: one ID in two buckets is two jobs. A queue may be in any of them. A bucket that cannot be
        asked does not end the call.
    store : JobStore or path, optional
        Where to remember jobs. Hours that lie in the past and whose jobs have all ended are not listed again, as long as
        the store has all of them; jobs that it has seen and the service has forgotten stay in the frame.
    workers : int
        Requests in flight, at most.
    progress : bool, optional
        None shows a bar when the call takes longer than a second; True and False force it.
    deadline : float, str or timedelta, optional
        Seconds for the whole call.
    columns : mapping, optional
        Further text columns: name to path below ``JobsDetail``.

    Returns
    -------
    pandas.DataFrame
        The ``jobs`` frame, one row a job, sorted by creation time and ID, and ``queue_name`` (category) behind it, missing
        where the queue's name is not known.

    Raises
    ------
    SettingsError
        An argument cannot be right; it is named, and nothing was asked.
    ServiceError, AnswerError, FileError
        Where the listing ended early, of several buckets all; ``error.jobs`` holds what was listed.

    Warns
    -----
    IncompleteWarning
        After Ctrl-C or at the deadline, or where one of several buckets could not be asked; it names the bucket and the
        stretches of time that were not listed.

    Notes
    -----
    The service is asked for all states unless every state asked for is one that jobs do not leave: a filter that they
    leave would shift the pages while they are read, and other jobs would be missed.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> with cn.Emulator(seed=7) as emulator:
    ...     jobs = cn.list_jobs(tag="translation", start="1d", client=emulator.client())
    >>> jobs.job_id.is_unique, jobs.creation_time.is_monotonic_increasing, jobs.queue_name.unique().tolist()
    (True, True, ['queue-ai-process-1', 'queue-ai-process-2'])
    """
    check(tag=tag, queue_id=queue_id, states=states, workers=workers, progress=progress)
    check(deadline=deadline, columns=columns)
    clients = clients_of(client)
    # what cannot be right is told before anything is asked
    given = {"start": start} if end is None else {"start": start, "end": end}
    today, later = (
        [moment(value, name, now=clients[0].clock.time() + day) for name, value in given.items()]
        for day in (0, 86_400)
    )
    tags = {one: _tags(one, _texts(tag)) for one in clients}
    wanted = frozenset(map(State, states or ()))
    intake = Intake(None, progress, as_store(store), dict(columns or {}), turns=len(clients))
    intake.left_s, intake.workers = deadline_s(deadline), workers
    frames: list[pd.DataFrame] = []
    missing: list[tuple[Client, Scope, Window]] = []
    with interrupts() as intake.noted, intake.bar:
        # of several buckets the lists of queues tell which has a queue
        needs_now = end is None or today != later or len(clients) > 1
        asked = _texts(queue_id)
        known, dead = _of_each(
            clients, partial(_queue_names, asked=asked, deadline=deadline, needs_now=needs_now)
        )
        intake.ends |= dead
        chosen = _chosen(asked, known, all_known=not dead)
        for one, (_, now) in known.items():
            until = int(now) + 1 if end is None else moment(end, "end", now=now)
            window = Window(moment(start, "start", now=now), until)
            if window.end <= window.start:
                raise SettingsError(
                    f"end={end or 'now'!s} is not after start={start!s}: the window holds no time."
                )
            scopes = [Scope(*pair) for pair in product(chosen[one], tags[one])]
            jobs, gone = _list_bucket(one, scopes, window, intake, wanted)
            frames.append(jobs)
            missing += [(one, scope, gap) for scope, gap in gone]
        jobs = frames[0]
        if len(frames) > 1:
            jobs = stack(frames).sort_values(["creation_time", "job_id"], kind="stable", ignore_index=True)
        if wanted:
            jobs = frame.conform(jobs[jobs["state"].isin(wanted)].reset_index(drop=True))
        every_name = dict(chain.from_iterable(names.items() for names, _ in known.values()))
        jobs = named(jobs, every_name)
        intake.with_store(lambda store: store.name_queues(every_name))
    intake.tell(jobs, *_told(len(jobs), missing, clients, known, intake))
    return jobs


def _list_bucket(
    client: Client, scopes: list[Scope], window: Window, intake: Intake, states: frozenset[State]
) -> tuple[pd.DataFrame, list[tuple[Scope, Window]]]:
    """Return the jobs of one bucket in order, from the store where it can be read, and what of the window was not listed."""
    memory = intake.with_store(lambda store: _Memory(store, client, scopes, window, [*intake.columns]))
    to_read = [(of, gap) for of in scopes for gap in gaps(window, memory.known(of) if memory else [])]
    plan = Windows(client.path, to_read, states=states, fields=Fields([*intake.columns.values()]))
    intake.bucket = client.bucket
    if to_read:
        if memory:
            intake.worth_storing = lambda record: record.job_id not in memory.ended
        intake.take_turn(client, plan)
    missing = [
        (of, gap)
        for of, part in to_read
        for gap in gaps(part, [read for by, read, _ in plan.read if by == of])
    ]
    listed = {job_id: record for records in plan.records.values() for job_id, record in records.items()}
    if memory and (stored := intake.with_store(lambda _: memory.jobs(listed))) is not None:
        if not states:
            intake.with_store(lambda _: memory.remember(plan))
        return stored.reindex(columns=[*COLUMNS, *intake.columns]).reset_index(drop=True), missing
    jobs = frame.frame_of([*listed.values()], [*intake.columns], intake.bucket)
    return jobs.sort_values(["creation_time", "job_id"], ignore_index=True), missing


def _told(
    jobs: int,
    missing: list[tuple[Client, Scope, Window]],
    clients: list[Client],
    known: Collection[Client],
    intake: Intake,
) -> tuple[str, str]:
    """Return what is missing of a listing, and how much was listed; an error that ended all of it is one of the call."""
    note = f"{jobs:,} jobs were listed before."
    if missing:
        of_bucket = " of {}".format if len(clients) > 1 else lambda _: ""
        stretches = ", ".join(
            f"{wire_time(gap.start)} to {wire_time(gap.end)} ({of.tag} in {of.queue_id}{of_bucket(one.bucket)})"
            for one, of, gap in missing[:_SHOWN_GAPS]
        )
        more = f" and {len(missing) - _SHOWN_GAPS} more" if len(missing) > _SHOWN_GAPS else ""
        note = f"{jobs:,} jobs were listed; what was created from {stretches}{more} is not wholly among them."
        failures = [each for each in intake.ends.values() if isinstance(each, CosaiError)]
        if len(failures) == len(clients):
            intake.failure = intake.failure or failures[0]
    elif len(known) < len(clients):
        note = f"{jobs:,} jobs were listed, none of them of a bucket that could not be asked."
    else:
        return "", note
    how = "was interrupted" if intake.end == INTERRUPTED else f"ended early ({intake.ended_early()})"
    return f"The listing {how}: {note} List again.", note


def list_queues(
    *, client: Client | Sequence[Client] | None = None, deadline: float | str | timedelta | None = None
) -> pd.DataFrame:
    """List the queues of the bucket, those of the client's family.

    Parameters
    ----------
    client : Client or list of Client, optional
        Sends the requests; default ``Client.from_env()``. Of several the queues stand below each other.
    deadline : float, str or timedelta, optional
        Seconds for each of its requests.

    Returns
    -------
    pandas.DataFrame
        One row a queue: queue_id, name, state (``Active`` or ``Paused``), max_size (Int64, jobs that may wait),
        max_concurrent (Int64, jobs that may run at once: the servers of utilisation), category, create_time and
        update_time (datetime64[ms, UTC]), bucket (category).

    Raises
    ------
    ServiceError, AnswerError
        The service refuses or cannot be reached; its answer is invalid. Of several buckets, none could be asked.

    Warns
    -----
    IncompleteWarning
        One of several buckets could not be asked; it is named.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> with cn.Emulator(seed=7) as emulator:
    ...     queues = cn.list_queues(client=emulator.client())
    >>> queues.max_concurrent.tolist()
    [10, 6, 2]
    """
    check(deadline=deadline)
    clients = clients_of(client)
    found, dead = _of_each(clients, lambda one: _read_queues(one, deadline)[0].values())
    queues = [{**queue, "bucket": one.bucket} for one, listed in found.items() for queue in listed]
    if dead:
        why = "; ".join(f"{place_of(one)}: {error}" for one, error in dead.items())
        gap = f"Queues of some buckets were not listed ({why}). List again."
        warnings.warn(gap, IncompleteWarning, stacklevel=2)
    return pd.DataFrame(
        {
            name: made(dtypes.arrow_text([queue[node] for queue in queues]))
            for name, (node, made) in _QUEUE_COLUMNS.items()
        }
    )


def name_queues(jobs: pd.DataFrame, queues: pd.DataFrame | Mapping[str, str | None]) -> pd.DataFrame:
    """Give jobs the names of their queues.

    Parameters
    ----------
    jobs : pandas.DataFrame
        With a column ``queue_id``.
    queues : pandas.DataFrame or mapping
        As :func:`list_queues` returns, or queue ID to name.

    Returns
    -------
    pandas.DataFrame
        A copy with the column ``queue_name`` (category), missing where the queue is in no list; views show it in place of
        the ID.

    Raises
    ------
    FrameError
        Where a column is missing.

    Examples
    --------
    >>> jobs = pd.DataFrame({"job_id": ["a1", "a2"], "queue_id": ["p1", "p2"]})
    >>> name_queues(jobs, {"p1": "nightly"}).queue_name.tolist()
    ['nightly', nan]
    """
    if isinstance(queues, pd.DataFrame):
        if missing := {"queue_id", "name"} - {*queues.columns}:
            raise FrameError(
                f"queues has no column {min(missing)!r}: pass what list_queues() returns, or ID to name."
            )
        queues = dict(zip(queues["queue_id"], queues["name"], strict=True))
    if "queue_id" not in jobs.columns:
        raise FrameError("jobs has no column 'queue_id', so its queues cannot be named.")
    return named(jobs, queues)


def _read_queues(
    client: Client, deadline: float | str | timedelta | None
) -> tuple[dict[str | None, dict[str, str | None]], int]:
    """Return queues by ID, as sent, and when that was true, in milliseconds since the epoch."""
    queues: dict[str | None, dict[str, str | None]] = {}
    path, observed_ms = client.family.queue_path, 0
    for page in range(1, _MAX_QUEUE_PAGES):
        params = {"pageNumber": str(page), "pageSize": str(_QUEUE_PAGE)}
        answer, observed_ms = client.ask(path, parse_queues, params=params, deadline=deadline)
        new = {queue_id: queue for queue in answer if (queue_id := queue["QueueId"]) not in queues}
        if not new:
            break
        queues |= new
    return queues, observed_ms


def _of_each(
    clients: list[Client], read: Callable[[Client], T]
) -> tuple[dict[Client, T], dict[Client, CosaiError]]:
    """Return what is read of each bucket, and why the others could not be read; where none could, that is raised."""
    found, dead = {}, {}
    for one in clients:
        try:
            found[one] = read(one)
        except CosaiError as error:
            dead[one] = error
    if not found:
        raise dead[clients[0]]
    return found, dead


def _queue_names(
    client: Client, *, asked: list[str], deadline: float | str | timedelta | None, needs_now: bool
) -> tuple[dict[str, str | None], float]:
    """Return the names of queues by ID as far as they are known, and the service's time in seconds since the epoch."""
    needed = not asked or not all(map(_QUEUE_ID.fullmatch, asked))
    unknown = all(map(_WHOLE_QUEUE_ID.fullmatch, asked)) and not client.queue_names.keys() >= {*asked}
    now = client.clock.time()
    if needed or needs_now or unknown:
        try:
            queues, observed_ms = _read_queues(client, deadline)
        except CosaiError:
            if needed:
                raise
        else:
            now = observed_ms / 1000
            listed = {queue_id: queue["Name"] for queue_id, queue in queues.items() if queue_id}
            client.queue_names = {**dict.fromkeys(filter(_QUEUE_ID.fullmatch, asked)), **listed}
    return client.queue_names, now


def _chosen(
    asked: list[str], known: Mapping[Client, tuple[Mapping[str, str | None], float]], *, all_known: bool
) -> dict[Client, list[str]]:
    """Return the IDs of the queues, by bucket, that were asked for by ID or name.

    SettingsError names the nearest where there is none, unless it may be in a bucket that could not be asked.
    """
    chosen = {one: {} if asked else dict.fromkeys(names) for one, (names, _) in known.items()}
    for text in asked:
        found = {one: _named(text, names) for one, (names, _) in known.items()}
        if not any(found.values()):
            if not _QUEUE_ID.fullmatch(text):
                if not all_known:
                    continue
                there = [name for names, _ in known.values() for name in names.values() if name]
                near = nearest(text, there)
                hint = f"did you mean {near}?" if near else f"there are {', '.join(there) or 'none'}."
                buckets = "this bucket" if len(known) == 1 else "these buckets"
                raise SettingsError(f"queue_id={text!r} is no queue of {buckets}: {hint}")
            found = {one: [text] for one in known}
        if any(known[one][0].get(queue) for one, ids in found.items() for queue in ids):
            # a bucket that lists no queue of this ID has it without a name
            found = {one: [queue for queue in ids if known[one][0].get(queue)] for one, ids in found.items()}
        for one, ids in found.items():
            chosen[one] |= dict.fromkeys(ids)
    return {one: [*ids] for one, ids in chosen.items()}


def _named(text: str, names: Mapping[str, str | None]) -> list[str]:
    exact = [queue_id for queue_id, name in names.items() if text in (queue_id, name)]
    folded = [queue_id for queue_id, name in names.items() if (name or "").casefold() == text.casefold()]
    return exact or folded


def _tags(client: Client, asked: list[str]) -> list[str]:
    if not client.family.listed:
        raise SettingsError(f"The service lists no jobs of {client.family.path}; query them by ID.")
    return [client.family.known_tag(text) for text in asked or client.family.tags]


def _texts(said: str | Sequence[str] | None) -> list[str]:
    return [said] if isinstance(said, str) else [*(said or ())]


class _Memory:
    """What a store spares a listing: which windows need not be listed again.

    Parameters
    ----------
    store : JobStore
        The store, read once for a whole listing: a large one takes its time.
    client : Client
        Whose jobs.
    scopes : sequence of Scope
        Queues and tags.
    window : Window
        What is listed.
    columns : collection of str
        Texts that ended jobs must have in the store, too.

    Attributes
    ----------
    ended : set of str
        IDs of jobs, of any queue, that a listing may bring and that are stored as ended.
    """

    def __init__(
        self, store: JobStore, client: Client, scopes: list[Scope], window: Window, columns: Collection[str]
    ) -> None:
        self._store, self._scopes, self._window, self._bucket = store, scopes, window, client.bucket
        self._name = f"{client.bucket} {client.path} {{0.queue_id}} {{0.tag}}".format
        self._listed = listed_windows(store.folder, [*map(self._name, scopes)])
        # a remembered window is an hour at most, so these are all its jobs
        seen = self._mine(store.created_between(window.start - _BLOCK_S, window.end + _BLOCK_S))
        self.ended = {*seen.loc[seen["outcome"].isin(ENDED), "job_id"]}
        if columns:
            self.ended = store.ended_ids(self.ended, columns, [client.bucket])
        seen = seen[seen["creation_time"].notna()]
        self._seen = seen.assign(created=seen["creation_time"].dt.as_unit("ms").astype("int64") // 1000)

    def known(self, scope: Scope) -> list[tuple[int, int]]:
        """Return windows that need not be listed: all had ended there, and the store still has every one of them."""
        here, listed = self._of(scope), self._listed[self._name(scope)]
        stored = counts(listed, here[here["job_id"].isin(self.ended)].drop_duplicates("job_id")["created"])
        whole = zip(listed, stored, strict=True)
        return [(start, end) for (start, end, jobs), there in whole if there >= jobs]

    def remember(self, plan: Windows) -> None:
        """Note the hours that need no listing any more; their jobs are stored by now."""
        for scope in {scope for scope, _, _ in plan.read}:
            jobs = [record.values for record in plan.records.get(scope, {}).values()]
            created = [at for values in jobs if (at := wire_seconds(values[_CREATED])) is not None]
            if len(created) < len(jobs):
                continue  # a job without a time may be of any hour
            # a job that does not say where it belongs would be looked for in vain later
            open_since = [
                at
                for at, values in zip(created, jobs, strict=True)
                if values[_STATE] not in ENDED_STATES or (values[_QUEUE], values[_TAG]) != scope
            ]
            past = min(since_ms for of, _, since_ms in plan.read if of == scope) // 1000 - SETTLED_AFTER_S
            hours = settled([read for of, read, _ in plan.read if of == scope], open_since, past=past)
            if hours:
                held = zip(hours, counts(hours, created), strict=True)
                mark_listed(self._store.folder, self._name(scope), [(*hour, jobs) for hour, jobs in held])

    def jobs(self, listed_now: Collection[str]) -> pd.DataFrame:
        """Return what the store knows of the window: what was listed now, before, and by ID."""
        ids = {*listed_now}
        for scope in self._scopes:
            here = self._of(scope)
            ids.update(here.loc[here["created"].between(*self._window, inclusive="left"), "job_id"])
        return self._mine(self._store.jobs(ids))

    def _mine(self, jobs: pd.DataFrame) -> pd.DataFrame:
        """Return the jobs of this bucket, and those that version 0.1.0 stored without one."""
        return jobs[((jobs["bucket"] == self._bucket) | jobs["bucket"].isna()).to_numpy()]

    def _of(self, scope: Scope) -> pd.DataFrame:
        return self._seen[(self._seen["tag"] == scope.tag) & (self._seen["queue_id"] == scope.queue_id)]


def gaps(window: tuple[int, int], known: Iterable[tuple[int, int]]) -> list[Window]:
    """Return what of a window is not known.

    Examples
    --------
    >>> gaps((0, 10), [(8, 12), (2, 3), (3, 4)])
    [Window(start=0, end=2), Window(start=4, end=8)]
    """
    missing, (reached, last) = [], window
    for start, end in [*sorted(known), (last, last)]:
        if reached < min(start, last):
            missing.append(Window(reached, min(start, last)))
        reached = max(reached, end)
    return missing


def settled(read: Collection[tuple[int, int]], open_since: Iterable[int], *, past: int) -> list[Window]:
    """Return the hours of the windows read in which nothing can change any more; each by itself, also where they touch.

    Parameters
    ----------
    read : collection of (start, end)
        Windows read to their end.
    open_since : iterable of int
        Creation times (seconds since the epoch) of jobs that have not ended.
    past : int
        Until when a list was complete at the first page (seconds since the epoch).

    Examples
    --------
    >>> settled([(0, 9000)], [4000], past=9940)
    [Window(start=0, end=3600), Window(start=7200, end=9000)]
    >>> settled([(0, 5000), (5000, 9000)], [], past=4940)
    [Window(start=0, end=3600), Window(start=3600, end=4940)]
    """
    open_blocks = {at // _BLOCK_S for at in open_since}
    whole = (min(read)[0], min(past, max(end for _, end in read)))
    return [
        Window(max(start, block * _BLOCK_S), min(end, (block + 1) * _BLOCK_S))
        for start, end in gaps(whole, gaps(whole, read))  # what was read, put together
        for block in range(start // _BLOCK_S, -(-end // _BLOCK_S))
        if block not in open_blocks
    ]


def counts(windows: Iterable[tuple[int, ...]], created: Iterable[int]) -> list[int]:
    """Return how many of some creation times lie in each window.

    Examples
    --------
    >>> counts([(0, 10), (5, 20)], [19, 5, 5, 0])
    [3, 3]
    """
    times = sorted(created)
    return [bisect_left(times, end) - bisect_left(times, start) for start, end, *_ in windows]
