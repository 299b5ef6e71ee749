"""Where service and table meet: ask for jobs by ID, list them by queue and time, watch them until they end."""

from __future__ import annotations

from cosai_nb.query.fetch import describe_job, fetch_jobs
from cosai_nb.query.list import list_jobs, list_queues, name_queues
from cosai_nb.query.watch import watch_jobs

__all__ = ["describe_job", "fetch_jobs", "list_jobs", "list_queues", "name_queues", "watch_jobs"]
