"""Tencent Cloud CI AI jobs in a notebook: job IDs in, one DataFrame with timing columns out."""

import lazy_loader

__version__ = "0.2.0"

_PUBLIC = {
    "emulator": ["Emulator"],
    "errors": ["AnswerError", "CosaiError", "CosaiWarning", "CredentialsError", "DeniedError", "FileError", "FrameError",
               "IncompleteWarning", "InterruptedWarning", "InvalidIdError", "MalformedError", "MismatchError", "NotebookError",
               "OversizedError", "RefusedError", "RepairedWarning", "ServiceError", "SettingsError", "UnavailableError",
               "UnknownStateWarning"],
    "query": ["describe_job", "fetch_jobs", "list_jobs", "list_queues", "name_queues", "watch_jobs"],
    "schema": ["COLUMNS"],
    "service.client": ["Client"],
    "stats.change_points": ["change_points"],
    "stats.compare": ["compare"],
    "stats.failures": ["error_pareto", "failure_rates"],
    "stats.growth": ["queue_alarms"],
    "stats.histogram": ["DurationHistogram"],
    "stats.latency": ["queue_latency", "run_time"],
    "stats.load": ["queue_load"],
    "stats.queues": ["backlog", "eta"],
    "stats.slo": ["check_slo"],
    "stats.usage": ["usage"],
    "table.files": ["read_jobs", "write_jobs"],
    "table.frame": ["add_timings"],
    "table.ids": ["read_ids"],
    "table.store": ["JobStore"],
    "views": ["plots"],
    "views.explorer": ["explore"],
    "views.report": ["write_report"],
}  # fmt: skip
"""Public names by module, imported when they are used; ``__init__.pyi`` tells type checkers the same.

They are not read from there: a zip or a frozen application has no such file.
"""
_MODULES = ["scale"]
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, _MODULES, _PUBLIC)
