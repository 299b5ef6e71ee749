"""fetch_jobs, list_jobs, watch_jobs: the one place where service and table meet."""
