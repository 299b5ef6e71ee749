"""Error messages without what differs from job to job, so that one fault is one line of a Pareto.

================= ======================================================================
``<url>``         anything with ``://``
``<path>``        anything with a slash or backslash that starts, or looks, like a path; a file with a media ending
``<id>``          UUIDs, hex of 8 digits and more, mixed letters and digits of 16 characters and more
``<number>``      any other number
================= ======================================================================

Only ASCII is replaced, so a Chinese sentence keeps its words. Every pattern reads a message once, whatever is in it.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from cosai_nb.schema import Outcome
from cosai_nb.stats.coding import code_labels, number_cells
from cosai_nb.stats.frames import MISSING, check_jobs, milliseconds
from cosai_nb.table.frame import one_row_a_job

LONGEST = 300
EXAMPLES = 3
_READ = 2000
_URL = r"[A-Za-z][A-Za-z0-9+.-]{0,19}://[!#-;=?-~]*"
_TOKEN = re.compile(rf"{_URL}|[!#$%&*+\-./0-9:?@A-Z\\^_a-z|~]+")
_PATH = re.compile(r"[A-Za-z]:[\\/]|[.~]{0,2}[\\/]\S|[^\\/]+[\\/].*[.0-9\\/_-]")
_MEDIA = re.compile(
    r"(?i)[^.].*\.(?:txt|docx?|pdf|html?|xml|json|csv|mp3|mp4|wav|m4a|aac|flac|ogg|amr|mov|mkv|avi|jpe?g|png|gif|zip)"
)
_PARTS = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9A-Za-z]+")
_HEX = re.compile(r"[A-Za-z]?[0-9a-fA-F]{8,}")
_LONG_ID = 16
_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)*")


def normalise(message: str) -> str:
    """Return a message with placeholders for what names one job, one object or one moment.

    Examples
    --------
    >>> normalise("Job a8d121820f5e411ec926ef19d53ba9c6f: cannot read cos://b-125/x/1.mp3 after 30.5 s")
    'Job <id>: cannot read <url> after <number> s'
    >>> normalise("input/2026/speech.wav not found (code 404)"), normalise("and/or")
    ('<path> not found (code <number>)', 'and/or')
    """
    text = " ".join(_TOKEN.sub(_token, message[:_READ]).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _token(match: re.Match[str]) -> str:
    token = match[0]
    bare = token.rstrip(".,;:!?)]}'")
    rest = token[len(bare) :]
    if "://" in bare:
        return "<url>" + rest
    if _PATH.match(bare) or _MEDIA.fullmatch(bare):
        return "<path>" + rest
    return _NUMBER.sub("<number>", _PARTS.sub(_part, bare)) + rest


def _part(match: re.Match[str]) -> str:
    part = match[0]
    if part.isdigit() or not any(character.isdigit() for character in part):
        return part
    whole = len(part) >= _LONG_ID or part[:2] in {"0x", "0X"} or _HEX.fullmatch(part)
    return "<id>" if whole else part


def count_faults(jobs: pd.DataFrame) -> list[dict[str, Any]]:
    """Return code, message, number, times [ms since the epoch] and example IDs of each fault of the jobs that failed.

    Raises
    ------
    TypeError, FrameError
        ``jobs`` is no frame, or lacks a column.
    """
    needed = ("job_id", "outcome", "code", "message", "creation_time", "end_time")
    jobs = one_row_a_job(check_jobs(jobs, needed))
    failed = jobs[(jobs["outcome"] == str(Outcome.FAILED)).to_numpy()]
    if failed.empty:
        return []
    words, distinct = pd.factorize(failed["message"])
    cleaned = np.array([*(normalise(str(message)) for message in distinct), None], dtype=object)[words]
    codes, messages = code_labels(failed["code"]), code_labels(pd.Series(cleaned, dtype=object))
    (code, message), fault = number_cells([codes, messages])
    seen = milliseconds(failed["end_time"].fillna(failed["creation_time"]))
    table = pd.DataFrame({"fault": fault, "seen": seen, "job_id": failed["job_id"].astype(str).to_numpy()})
    table = table.sort_values(["fault", "seen", "job_id"], ascending=[True, False, True])
    rows = []
    for number, (_, mine) in enumerate(
        table.groupby("fault", sort=True)
    ):  # every fault has a row, so they are 0, 1, …
        times = mine["seen"].to_numpy()
        known = times[times != MISSING]
        rows.append(
            {
                "code": None if code[number] < 0 else str(codes.labels[code[number]]),
                "message": None if message[number] < 0 else str(messages.labels[message[number]]),
                "jobs": len(mine),
                "first_seen": int(known.min()) if len(known) else MISSING,
                "last_seen": int(known.max()) if len(known) else MISSING,
                "example_ids": mine["job_id"].head(EXAMPLES).tolist(),
                "note": "",
            }
        )
    return rows
