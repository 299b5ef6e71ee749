"""Public means exported: the names of the design, nothing else, and cheap to import."""

import subprocess
import sys

import cosai_nb as cn
from cosai_nb import errors

PROMISED = {
    "Client", "Emulator", "JobStore", "fetch_jobs", "list_jobs", "watch_jobs", "read_jobs", "write_jobs", "describe_job",
    "add_timings", "queue_latency", "run_time", "failure_rates", "error_pareto", "queue_load", "compare", "check_slo",
    "explore", "write_report", "COLUMNS", "plots",
}  # fmt: skip
ADDED = {"DurationHistogram", "backlog", "change_points", "list_queues", "read_ids"}


def error_names():
    return {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
    }


def test_the_public_names_are_the_promised_ones():
    assert set(cn.__all__) == PROMISED | ADDED | error_names()


def test_every_public_name_is_there_and_documented():
    for name in cn.__all__:
        value = getattr(cn, name)
        assert value.__doc__ or name == "COLUMNS", name


def test_every_error_is_a_cosai_error():
    for name in error_names():
        assert issubclass(getattr(cn, name), cn.CosaiError | cn.CosaiWarning)


def test_a_loop_hears_of_every_hole():
    code = (
        "import warnings, cosai_nb as cn\nfor _ in range(3): warnings.warn('a hole', cn.InterruptedWarning)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.count("a hole") == 3


def test_import_loads_nothing_heavy():
    code = "import sys, cosai_nb; print([m for m in ('pandas', 'matplotlib', 'ipywidgets', 'requests', 'pyarrow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
