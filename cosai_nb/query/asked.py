"""What a call asks for: which clients, which of them for which ID, and each ID once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import pandas as pd

from cosai_nb import errors
from cosai_nb.arguments import check
from cosai_nb.schema import Record
from cosai_nb.service.client import Client
from cosai_nb.table.dtypes import as_frame, text_of
from cosai_nb.table.ids import AN_ID, MAX_ID_LENGTH, ids_of


def clients_of(client: Client | Sequence[Client] | None) -> list[Client]:
    """Return the clients that a ``client=`` argument names, one a bucket; without any that of the environment.

    Examples
    --------
    >>> one = Client(bucket="demo-1250000000", region="ap-beijing", secret_id="AKID", secret_key="hidden")
    >>> clients_of(one) == clients_of([one]) == [one]
    True
    >>> clients_of([one, one])
    Traceback (most recent call last):
    cosai_nb.errors.SettingsError: client= names the bucket demo-1250000000 twice: give each bucket one client. Another region or family of jobs is asked in a call of its own.
    """
    if not isinstance(client, list | tuple):
        check(client=client)
        return [Client.from_env() if client is None else client]  # type: ignore[list-item]  # it is no list
    for one in client:
        check(client=one)
    if not client or None in client:
        raise errors.SettingsError(
            "client= is a list that lacks clients: leave it out for Client.from_env()."
        )
    names = [one.bucket for one in client] if len(client) > 1 else []
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise errors.SettingsError(
            f"client= names the bucket {twice} twice: give each bucket one client. Another region or family of jobs is asked "
            "in a call of its own."
        )
    return [*client]


def place_of(client: Client | None) -> str:
    """Return how a bucket is named where it could not be asked."""
    return f"{client.bucket} ({client.region})" if client else ""


class Wanted(NamedTuple):
    """What is asked for, in the order of the answer: IDs once each, and their buckets, None where any may have it."""

    entries: Sequence[str | Record]
    buckets: Sequence[str | None]

    def ids(self, bucket: str | None) -> list[str]:
        """Return the IDs of a bucket that can be sent."""
        pairs = zip(self.entries, self.buckets, strict=True)
        return [entry for entry, of in pairs if of == bucket and isinstance(entry, str)]


def wanted_of(job_ids: Any, buckets: Sequence[str], *, strict: bool = False) -> Wanted:
    """Return what is asked for, and where.

    Parameters
    ----------
    job_ids : iterable, mapping or table
        IDs; bucket to IDs; or a frame with the columns ``job_id`` and ``bucket``, such as a saved one, in which an ID with a
        bucket is asked nowhere else.
    buckets : sequence of str
        Those that have a client.
    strict : bool
        Raise at the first ID that is never sent.

    Examples
    --------
    >>> wanted_of(["a1", "a2", "a1"], [])
    Wanted(entries=['a1', 'a2'], buckets=[None, None])
    >>> wanted_of(pd.DataFrame({"job_id": ["a1", "a2"], "bucket": ["x-1", None]}), ["x-1"])
    Wanted(entries=['a1', 'a2'], buckets=['x-1', None])
    """
    if hasattr(job_ids, "columns"):
        with contextlib.suppress(errors.FrameError):
            job_ids = as_frame(job_ids, {"job_id", "bucket"})
    if {"job_id", "bucket"} <= {*getattr(job_ids, "columns", ())}:  # another table is refused below
        texts = {name: text_of(job_ids[name]).to_pylist() for name in ("job_id", "bucket")}
        table = pd.DataFrame(texts, dtype=object)
        has_bucket = table["bucket"].notna()
        table = table[has_bucket | ~table["job_id"].isin(table.loc[has_bucket, "job_id"])].drop_duplicates()
        entries = [
            job_id if job_id and AN_ID.fullmatch(job_id) else admit([job_id], strict=strict)[0]
            for job_id in table["job_id"]
        ]
        wanted = Wanted(entries, table["bucket"].tolist())
    else:
        apart = job_ids if isinstance(job_ids, Mapping) else {None: job_ids}
        admitted = {bucket: admit(ids, strict=strict) for bucket, ids in apart.items()}
        places = [bucket for bucket, some in admitted.items() for _ in some]
        wanted = Wanted([*chain.from_iterable(admitted.values())], places)
    strange = next((name for name in {*wanted.buckets} - {*buckets} if name is not None), None)
    if strange is not None:
        raise errors.SettingsError(
            f"job_ids has IDs of the bucket {strange}, for which there is no client: add it to client=, or leave them out."
        )
    return wanted


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
    if AN_ID.fullmatch(job_id):
        return None
    culprit = next(char for char in job_id if not AN_ID.fullmatch(char))
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
    admitted: dict[object, str | Record] = {}
    for position, job_id in enumerate(ids_of(job_ids)):
        if type(job_id) is str and AN_ID.fullmatch(job_id):  # nearly all
            admitted[job_id] = job_id
            continue
        is_text = isinstance(job_id, str)
        # str(x) of an Enum member or another subclass may differ from the text that was checked
        name = str.__str__(job_id) if is_text else repr(job_id)
        key = name if is_text else (name,)  # the text "None" is not None
        if key in admitted:
            continue
        reason = why_invalid(name if is_text else job_id)
        if reason and strict:
            raise errors.InvalidIdError(
                f"The job ID at position {position} ({name[:60]!a}) {reason}. Correct it, or leave strict=False to get a "
                "row that says so."
            )
        admitted[key] = Record(name, "invalid_id", error=reason) if reason else name
    return list(admitted.values())
