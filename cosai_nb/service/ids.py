"""Which job IDs may come near a URL."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from cosai_nb.errors import InvalidIdError, SettingsError
from cosai_nb.schema import Record

MAX_ID_LENGTH = 128
_ALLOWED = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_ID_LENGTH}}}")


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
        Strings; anything else becomes an ``invalid_id`` record under its repr.
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
        raise SettingsError("job_ids is a table: pass the column that holds the IDs, such as jobs['job_id'].")
    if isinstance(job_ids, str | bytes | bytearray) or not isinstance(job_ids, Iterable):
        raise SettingsError(
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
            raise InvalidIdError(
                f"The job ID at position {position} ({_short(name)}) {reason}. Correct it, or leave strict=False to get a "
                "row that says so."
            )
        admitted[is_text, name] = Record(name, "invalid_id", error=reason) if reason else name
    return list(admitted.values())


def _short(name: str, length: int = 60) -> str:
    return ascii(name if len(name) <= length else f"{name[:length]}…")
