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
    ├── AnswerError             an answer came and is invalid
    │   ├── MalformedError      not the documented XML: HTML, JSON, cut, empty, DOCTYPE
    │   ├── OversizedError      larger or deeper than an answer may be
    │   └── MismatchError       is about other jobs than those asked for
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
    """An argument or setting is missing or cannot be right.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> cn.fetch_jobs(["a1"], workers=0)
    Traceback (most recent call last):
    cosai_nb.errors.SettingsError: workers=0 must be a whole number from 1 to 1,000.
    """


class CredentialsError(SettingsError):
    """No usable credentials; the message names the places looked at, never a value.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> cn.Client(bucket="demo-1250000000", region="ap-beijing", secret_id="AKID", secret_key="")
    Traceback (most recent call last):
    cosai_nb.errors.CredentialsError: secret_key is not set: pass it, or use Client.from_env().
    """


class InvalidIdError(CosaiError, ValueError):
    """A job ID that is never sent; the message names its position and what is wrong with it.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> cn.describe_job("a b")
    Traceback (most recent call last):
    cosai_nb.errors.InvalidIdError: The job ID 'a b' holds ' '; IDs are made of letters, digits, - and _.
    """


class ServiceError(CosaiError):
    """The service said no, or nothing.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Emulator, Fault, Scenario
    >>> with Emulator(scenario=Scenario(jobs=1), faults=[Fault(kind="status", status=400, code="InvalidArgument")]) as emulator:
    ...     try:
    ...         cn.describe_job(emulator.job_ids[0], client=emulator.client())
    ...     except cn.ServiceError as error:
    ...         type(error).__name__, error.status_code, error.code, error.retryable
    ('RefusedError', 400, 'InvalidArgument', False)
    """


class DeniedError(ServiceError):
    """401, 403 or a setup that makes every further request pointless.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Emulator, Scenario
    >>> with Emulator(scenario=Scenario(jobs=1)) as emulator:
    ...     cn.describe_job(emulator.job_ids[0], client=emulator.client(secret_key="wrong"))
    Traceback (most recent call last):
    cosai_nb.errors.DeniedError: The service denied the request: InvalidAuthorization: The signature does not match the request. ...
    """


class RefusedError(ServiceError):
    """Another 4xx: this request is wrong.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Emulator, Fault, Scenario
    >>> with Emulator(scenario=Scenario(jobs=1), faults=[Fault(kind="status", status=400, code="InvalidArgument")]) as emulator:
    ...     cn.describe_job(emulator.job_ids[0], client=emulator.client())
    Traceback (most recent call last):
    cosai_nb.errors.RefusedError: The service refused the request: InvalidArgument: Injected by the emulator. ...
    """


class UnavailableError(ServiceError):
    """429, 5xx or no connection, after all retries.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Emulator, Fault, Scenario
    >>> with Emulator(scenario=Scenario(jobs=1), faults=[Fault(kind="status", status=503)]) as emulator:
    ...     cn.describe_job(emulator.job_ids[0], client=emulator.client(patience=0.1))
    Traceback (most recent call last):
    cosai_nb.errors.UnavailableError: The service is not available now: ServiceUnavailable: Injected by the emulator. ...
    """


class AnswerError(CosaiError):
    """An answer came and is invalid.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Emulator, Fault, Scenario
    >>> with Emulator(scenario=Scenario(jobs=1), faults=[Fault(kind="html")]) as emulator:
    ...     try:
    ...         cn.describe_job(emulator.job_ids[0], client=emulator.client())
    ...     except cn.AnswerError as error:
    ...         type(error).__name__
    'MalformedError'
    """


class MalformedError(AnswerError):
    """Not the documented XML: HTML, JSON, cut, empty, or with a DOCTYPE.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Emulator, Fault, Scenario
    >>> with Emulator(scenario=Scenario(jobs=1), faults=[Fault(kind="doctype")]) as emulator:
    ...     cn.describe_job(emulator.job_ids[0], client=emulator.client())
    Traceback (most recent call last):
    cosai_nb.errors.MalformedError: The answer has a DOCTYPE, as a web page has and no answer of the service; it was refused unread. Check the endpoint, and log in where a portal or proxy between asks for it.
    """


class OversizedError(AnswerError):
    """Larger or deeper than an answer may be.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Emulator, Fault, Scenario
    >>> with Emulator(scenario=Scenario(jobs=1), faults=[Fault(kind="oversized")]) as emulator:
    ...     cn.describe_job(emulator.job_ids[0], client=emulator.client())
    Traceback (most recent call last):
    cosai_nb.errors.OversizedError: The answer is larger than 16,777,216 bytes and was not read further: ...
    """


class MismatchError(AnswerError):
    """Speaks of other jobs than those asked for.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Emulator, Fault, Scenario
    >>> with Emulator(scenario=Scenario(jobs=1), faults=[Fault(kind="other_job")]) as emulator:
    ...     cn.describe_job(emulator.job_ids[0], client=emulator.client())
    Traceback (most recent call last):
    cosai_nb.errors.MismatchError: The answer is about ... instead: ask again, and look for a cache or proxy between.
    """


class FrameError(CosaiError, ValueError, TypeError):
    """No table, or one that lacks a column or holds the wrong dtype.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> import pandas as pd
    >>> cn.queue_latency(pd.DataFrame({"tag": ["Translation"]}))
    Traceback (most recent call last):
    cosai_nb.errors.FrameError: The jobs table lacks the columns 'queue_id', 'outcome', ...
    """


class FileError(CosaiError, OSError):
    """A file or store cannot be read or written.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> cn.read_jobs("nowhere/jobs.parquet")
    Traceback (most recent call last):
    cosai_nb.errors.FileError: nowhere/jobs.parquet cannot be read: No such file or directory.
    """


class NotebookError(CosaiError):
    """A notebook cannot be run or exported.

    Examples
    --------
    >>> from cosai_nb.views.export import export_notebook
    >>> export_notebook("nowhere.ipynb", "page.html")
    Traceback (most recent call last):
    cosai_nb.errors.NotebookError: ...
    """


class CosaiWarning(UserWarning):
    """Root of all warnings of this package.

    Examples
    --------
    Every warning of this package as an error, in a job that nobody watches:

    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", CosaiWarning)
    ...     warnings.warn("2 of 5 rows were left out.", CosaiWarning)
    Traceback (most recent call last):
    cosai_nb.errors.CosaiWarning: 2 of 5 rows were left out.
    """


class IncompleteWarning(CosaiWarning):
    """A call ended early; the message carries the counts of what is missing.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Emulator, Scenario
    >>> small = Emulator(scenario=Scenario(jobs=3))
    >>> with small as emulator, warnings.catch_warnings(record=True, action="always") as caught:
    ...     jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client(), deadline=0)
    >>> print(caught[0].message)
    3 of 3 IDs were not read (the deadline of the call was over). Their rows say `unread`; ask for them again.
    """


# by default a loop would hear of its first hole only
warnings.simplefilter("always", IncompleteWarning, append=True)


class InterruptedWarning(IncompleteWarning):
    """A call ended early because the user interrupted it.

    Examples
    --------
    Who waits for a call that ended early need not tell them apart:

    >>> issubclass(InterruptedWarning, IncompleteWarning)
    True
    """


class RepairedWarning(CosaiWarning):
    """A documented defect of an answer was repaired.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> from cosai_nb.emulator import Emulator, Fault, Scenario
    >>> broken = Emulator(scenario=Scenario(jobs=1), faults=[Fault(kind="unclosed_tag")])
    >>> with broken as emulator, warnings.catch_warnings(record=True, action="always") as caught:
    ...     answer = cn.describe_job(emulator.job_ids[0], client=emulator.client())
    >>> print(caught[0].message)
    The answer closed <Tag> by a second opening tag; that was read as its closing tag.
    """


class UnknownStateWarning(CosaiWarning):
    """A State that no document lists; such jobs count as unfinished.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> import pandas as pd
    >>> texts = pd.DataFrame({"JobId": ["a1", "b2"], "State": "Paused2", "CreationTime": "2026-11-01T10:00:00+0800",
    ...     "StartTime": "-", "EndTime": "-"})
    >>> with warnings.catch_warnings(record=True, action="always") as caught:
    ...     jobs = cn.add_timings(texts)
    >>> print(caught[0].message)
    2 jobs have a State that no document lists ('Paused2': 2); they are kept with outcome 'unknown', ...
    """
