"""Every column of the ``jobs`` frame, once: name, XML path, dtype, unit, meaning and source.

The parser reads the paths, the frame the dtypes, the README its column table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, NamedTuple

Dtype = Literal["str", "category", "datetime64[ms, UTC]", "float64", "Int64", "bool"]


class State(StrEnum):
    """The six documented states of a job."""

    SUBMITTED = "Submitted"
    RUNNING = "Running"
    SUCCESS = "Success"
    FAILED = "Failed"
    PAUSE = "Pause"
    CANCEL = "Cancel"


class Outcome(StrEnum):
    """What became of a requested ID; the last three are about the query, not about a job.

    ``unknown`` is a job whose State no document lists: unfinished, and in no rate.
    """

    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RUNNING = "running"
    WAITING = "waiting"
    UNKNOWN = "unknown"
    NOT_FOUND = "not_found"
    INVALID_ID = "invalid_id"
    UNREAD = "unread"


OUTCOME_OF_STATE = MappingProxyType(
    {
        State.SUBMITTED: Outcome.WAITING,
        State.PAUSE: Outcome.WAITING,
        State.RUNNING: Outcome.RUNNING,
        State.SUCCESS: Outcome.SUCCESS,
        State.FAILED: Outcome.FAILED,
        State.CANCEL: Outcome.CANCELLED,
    }
)
ENDED = frozenset({Outcome.SUCCESS, Outcome.FAILED, Outcome.CANCELLED})
UNFINISHED = frozenset({Outcome.RUNNING, Outcome.WAITING, Outcome.UNKNOWN})
NOT_A_JOB = frozenset({Outcome.NOT_FOUND, Outcome.INVALID_ID, Outcome.UNREAD})


PROGRESS = MappingProxyType(
    {Outcome.WAITING: 1, Outcome.UNKNOWN: 1, Outcome.RUNNING: 2, **dict.fromkeys(ENDED, 3)},
)
"""How far a job has come. Of two records of one job an ended one counts, else the newer, else the further one."""


def progress_of(state: str | None) -> int:
    """Return how far a job in this State has come.

    Examples
    --------
    >>> [progress_of(state) for state in ("Submitted", "Running", "Success", "Paused2", None)]
    [1, 2, 3, 1, 1]
    """
    return _PROGRESS_OF_STATE.get(state or "", PROGRESS[Outcome.UNKNOWN])


_PROGRESS_OF_STATE = {str(state): PROGRESS[outcome] for state, outcome in OUTCOME_OF_STATE.items()}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the frame.

    Parameters
    ----------
    name : str
        Column name.
    dtype : str
        pandas dtype; ``str`` is pandas' own string dtype with NaN.
    meaning : str
        One phrase for the reader of a frame.
    path : str
        XML path below ``JobsDetail``, empty where no node holds it.
    source : str
        ``answer``, ``Date header``, ``derived`` or ``client``.
    unit : str
        Unit in words, empty where there is none.
    """

    name: str
    dtype: Dtype
    meaning: str
    path: str = ""
    source: str = "answer"
    unit: str = ""


_TIME: Dtype = "datetime64[ms, UTC]"

_ALL = (
    Column("job_id", "str", "the ID as asked", "JobId"),
    Column("tag", "category", "kind of job: Translation, SpeechRecognition, WordsGeneralize …", "Tag"),
    Column("state", "category", "State as sent", "State"),
    Column("code", "category", "Code, only where it is not Success", "Code"),
    Column("queue_id", "category", "the queue that the job was put in", "QueueId"),
    Column("bucket", "category", "where the job was found; without a job, the only bucket that was asked for the ID", source="client"),
    Column("outcome", "category", "success, failed, cancelled, running, waiting, unknown, not_found, invalid_id or unread", source="derived"),
    Column("message", "str", "Message as sent", "Message"),
    Column("creation_time", _TIME, "when the job was submitted", "CreationTime", unit="1 s resolution"),
    Column("start_time", _TIME, "when it began to run", "StartTime", unit="1 s resolution"),
    Column("end_time", _TIME, "when it ended", "EndTime", unit="1 s resolution"),
    Column("queue_latency_s", "float64", "start_time − creation_time; NaN while it waits", source="derived", unit="seconds"),
    Column("run_time_s", "float64", "end_time − start_time; NaN until it ends", source="derived", unit="seconds"),
    Column("total_time_s", "float64", "end_time − creation_time", source="derived", unit="seconds"),
    Column("observed_at", _TIME, "when this state was true; ages are measured to here", source="Date header", unit="1 s resolution"),
    Column("timing_ok", "bool", "False where times are missing, reversed or malformed for the state, which leaves durations NaN, or later than observed_at", source="derived"),
    Column("input_object", "str", "object that was read", "Input/Object"),
    Column("input_lang", "category", "source language", "Input/Lang"),
    Column("input_type", "category", "source file type", "Input/Type"),
    Column("target_lang", "category", "target language of a translation", "Operation/Translation/Lang"),
    Column("target_type", "category", "target file type of a translation", "Operation/Translation/Type"),
    Column("engine_model", "category", "speech recognition engine", "Operation/SpeechRecognition/EngineModelType"),
    Column("audio_s", "float64", "length of the recognised audio", "Operation/SpeechRecognitionResult/AudioTime", unit="seconds"),
    Column("output_region", "category", "region of the result", "Operation/Output/Region"),
    Column("output_bucket", "category", "bucket of the result", "Operation/Output/Bucket"),
    Column("output_object", "str", "object of the result", "Operation/Output/Object"),
    Column("job_level", "Int64", "priority, larger first", "Operation/JobLevel"),
    Column("user_data", "str", "UserData as submitted", "Operation/UserData"),
    Column("error", "str", "why an ID is invalid_id or unread", source="client"),
)  # fmt: skip
COLUMNS: MappingProxyType[str, Column] = MappingProxyType({column.name: column for column in _ALL})
"""The columns of a jobs frame by name, in order: each has ``name``, ``dtype``, ``meaning``, ``path``, ``source`` and ``unit``.

Examples
--------
>>> COLUMNS["audio_s"].unit, COLUMNS["audio_s"].path
('seconds', 'Operation/SpeechRecognitionResult/AudioTime')
"""

ADDED = frozenset({"bucket"})
"""Columns that version 0.1.0 did not write: where a saved frame or a store lacks them, they are missing."""

WIRE: tuple[Column, ...] = tuple(column for column in COLUMNS.values() if column.path)
"""The columns that an answer holds, in frame order; a :class:`Record`'s ``values`` follow it."""


class Record(NamedTuple):
    """What is known of one requested ID: the rows that the service hands to the table.

    Parameters
    ----------
    job_id : str
        The ID as asked (the repr of a value that is no string).
    fate : {"job", "not_found", "invalid_id", "unread"}
        ``job`` where ``values`` holds an answer.
    observed_ms : int or None
        Milliseconds since the epoch (UTC) of the answer's Date header.
    error : str or None
        Why the ID is invalid_id or unread.
    values : tuple of (str or None)
        Text of each node, aligned with :data:`WIRE`; None where absent or empty; () unless ``fate`` is job.
    """

    job_id: str
    fate: Literal["job", "not_found", "invalid_id", "unread"]
    observed_ms: int | None = None
    error: str | None = None
    values: tuple[str | None, ...] = ()
