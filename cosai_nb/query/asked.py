"""What a call asks for: which clients, which of them for which ID, and each ID once."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cosai_nb import errors
from cosai_nb.arguments import check
from cosai_nb.schema import Record
from cosai_nb.service.client import Client
from cosai_nb.table.dtypes import as_frame, text_of
from cosai_nb.table.ids import ids_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_ID_LENGTH = 128
_ALLOWED = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_ID_LENGTH}}}")


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
    """The IDs that may be in one bucket, or in any: each once, with its place in the answer."""

    entries: Sequence[str | Record]
    places: NDArray[np.int64]

    @property
    def ids(self) -> list[str]:
        """Those that can be sent."""
        return [entry for entry in self.entries if isinstance(entry, str)]


def wanted_of(job_ids: Any, buckets: Sequence[str], *, strict: bool = False) -> dict[str | None, Wanted]:
    """Return what is asked for by bucket; None stands for IDs of which it is not known where they are.

    Parameters
    ----------
    job_ids : iterable, mapping or table
        IDs; bucket to IDs; or a frame with the columns ``job_id`` and ``bucket``, such as a saved one.
    buckets : sequence of str
        Those that have a client.
    strict : bool
        Raise at the first ID that is never sent.

    Examples
    --------
    >>> wanted_of(["a1", "a2", "a1"], [])
    {None: Wanted(entries=['a1', 'a2'], places=array([0, 1]))}
    >>> wanted_of(pd.DataFrame({"job_id": ["a1", "a2"], "bucket": ["x-1", None]}), ["x-1"])["x-1"]
    Wanted(entries=['a1'], places=array([0]))
    """
    apart: dict[str | None, tuple[Any, NDArray[np.int64] | None]]
    if isinstance(job_ids, Mapping):
        apart = {bucket: (ids, None) for bucket, ids in job_ids.items()}
    elif hasattr(job_ids, "columns"):
        apart = _by_bucket(job_ids)
    else:
        apart = {None: (job_ids, None)}
    if strange := next((name for name in apart if name is not None and name not in buckets), None):
        raise errors.SettingsError(
            f"job_ids has IDs of the bucket {strange}, for which there is no client: add it to client=, or leave them out."
        )
    wanted: dict[str | None, Wanted] = {}
    place = 0
    for bucket, (ids, places) in apart.items():
        entries = admit(ids, strict=strict)
        wanted[bucket] = Wanted(entries, place + np.arange(len(entries)) if places is None else places)
        place += len(entries)
    return wanted


def _by_bucket(table: Any) -> dict[str | None, tuple[Any, NDArray[np.int64] | None]]:
    """Return the IDs of a table by bucket, each once, and their places; an ID with a bucket is asked nowhere else."""
    with contextlib.suppress(errors.FrameError):
        table = as_frame(table, {"job_id", "bucket"})
    if not {"job_id", "bucket"} <= {*table.columns}:
        return {None: (table, None)}  # which is refused as any table is
    ids, buckets = (text_of(table[name]).to_pandas() for name in ("job_id", "bucket"))
    pairs = pd.DataFrame({"id": ids, "bucket": buckets}).drop_duplicates()
    known = pairs["id"].isin(pairs.loc[pairs["bucket"].notna(), "id"])
    pairs = pairs[pairs["bucket"].notna() | ~known]
    return {
        None if pd.isna(bucket) else str(bucket): (mine["id"].tolist(), mine.index.to_numpy())
        for bucket, mine in pairs.groupby("bucket", dropna=False, sort=False)
    }


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
    admitted: dict[object, str | Record] = {}
    for position, job_id in enumerate(job_ids):
        if type(job_id) is str and _ALLOWED.fullmatch(job_id):  # nearly all
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
