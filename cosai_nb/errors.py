"""Every error and warning of the package.

::

    CosaiError                  everything below; catch this one
    ├── SettingsError           an argument or setting is missing or cannot be right (also ValueError and TypeError)
    │   └── CredentialsError    no usable credentials; names the places looked at
    ├── InvalidIdError          a job ID that is never sent; names its position (also a ValueError)
    ├── ServiceError            the service said no, or nothing
    │   ├── DeniedError         401, 403 or a setup that makes every further request pointless
    │   ├── RefusedError        another 4xx: this request is wrong
    │   └── UnavailableError    429, 5xx or no connection, after all retries
    ├── AnswerError             an answer came and cannot be believed
    │   ├── MalformedError      not the documented XML: HTML, JSON, cut, empty, DOCTYPE
    │   ├── OversizedError      larger or deeper than an answer may be
    │   └── MismatchError       speaks of other jobs than those asked for
    ├── FrameError              no table, or one that lacks a column or holds the wrong dtype (also ValueError and TypeError)
    ├── FileError               a file or store cannot be read or written (also an OSError)
    └── NotebookError           a notebook cannot be run or exported

    CosaiWarning (UserWarning)  everything below
    ├── IncompleteWarning       a call ended early; the counts of what is missing
    │   └── InterruptedWarning  the user interrupted it
    ├── RepairedWarning         a documented defect of an answer was repaired
    └── UnknownStateWarning     a State that no document lists
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


IN_JOBS = "What was read is in this error's .jobs."
"""The note of an error that carries jobs; a terminal has no use for it."""


class CosaiError(Exception):
    """Root of all errors of this package; the fields to branch on are here and may be read anywhere.

    Parameters
    ----------
    message : str
        One sentence: what happened, to which ID or file, and what to do next.
    status_code : int, optional
        HTTP status of the answer, where there was one.
    code : str, optional
        The service's own ``Code``.
    request_id : str, optional
        The service's request id, for a support ticket.
    retry_after : float, optional
        Seconds that the service asked to wait.
    retryable : bool
        True where the same request may succeed later.

    Attributes
    ----------
    jobs : pandas.DataFrame or None
        What had been read when the error ended the call, the rest as ``unread``.

    Examples
    --------
    >>> error = CosaiError("Nothing works.", status_code=500, retryable=True)
    >>> error.status_code, error.retryable, str(error)
    (500, True, 'Nothing works.')
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after
        self.retryable = retryable
        self.jobs: pd.DataFrame | None = None


class SettingsError(CosaiError, ValueError, TypeError):
    """An argument or setting is missing or cannot be right."""


class CredentialsError(SettingsError):
    """No usable credentials; the message names the places looked at, never a value."""


class InvalidIdError(CosaiError, ValueError):
    """A job ID that is never sent; the message names its position and what is wrong with it."""


class ServiceError(CosaiError):
    """The service said no, or nothing."""


class DeniedError(ServiceError):
    """401, 403 or a setup that makes every further request pointless."""


class RefusedError(ServiceError):
    """Another 4xx: this request is wrong."""


class UnavailableError(ServiceError):
    """429, 5xx or no connection, after all retries."""


class AnswerError(CosaiError):
    """An answer came and cannot be believed."""


class MalformedError(AnswerError):
    """Not the documented XML: HTML, JSON, cut, empty, or with a DOCTYPE."""


class OversizedError(AnswerError):
    """Larger or deeper than an answer may be."""


class MismatchError(AnswerError):
    """Speaks of other jobs than those asked for."""


class FrameError(CosaiError, ValueError, TypeError):
    """No table, or one that lacks a column or holds the wrong dtype."""


class FileError(CosaiError, OSError):
    """A file or store cannot be read or written."""


class NotebookError(CosaiError):
    """A notebook cannot be run or exported."""


class CosaiWarning(UserWarning):
    """Root of all warnings of this package."""


class IncompleteWarning(CosaiWarning):
    """A call ended early; the message carries the counts of what is missing."""


# by default a loop would hear of its first hole only
warnings.simplefilter("always", IncompleteWarning, append=True)


class InterruptedWarning(IncompleteWarning):
    """A call ended early because the user interrupted it."""


class RepairedWarning(CosaiWarning):
    """A documented defect of an answer was repaired."""


class UnknownStateWarning(CosaiWarning):
    """A State that no document lists; such jobs count as unfinished."""
