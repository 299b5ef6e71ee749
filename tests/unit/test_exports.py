"""Public means exported: the names of the design, nothing else, and cheap to import."""

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import cosai_nb as cn
from cosai_nb import emulator, errors

PROMISED = {
    "Client", "Emulator", "JobStore", "fetch_jobs", "list_jobs", "watch_jobs", "read_jobs", "write_jobs", "describe_job",
    "add_timings", "queue_latency", "run_time", "failure_rates", "error_pareto", "queue_load", "compare", "check_slo",
    "explore", "write_report", "COLUMNS", "plots", "scale",
}  # fmt: skip
ADDED = {
    "DurationHistogram",
    "backlog",
    "change_points",
    "eta",
    "list_queues",
    "name_queues",
    "queue_alarms",
    "read_ids",
    "usage",
}


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


def test_type_checkers_are_told_the_same_names_as_python():
    stub = Path(cn.__file__).with_suffix(".pyi")
    told = {
        (statement.module, alias.name, alias.asname)
        for statement in ast.parse(stub.read_text(encoding="utf-8")).body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    modules = {(None, name, name) for name in cn._MODULES}
    assert told == modules | {(module, name, name) for module, names in cn._PUBLIC.items() for name in names}


def test_a_zip_without_stubs_imports_with_every_public_name(tmp_path):
    package = Path(cn.__file__).parent
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as app:
        for file in package.rglob("*"):
            if file.suffix not in {".pyi", ".pyc"}:
                app.write(file, file.relative_to(package.parent))
    code = "import cosai_nb as cn; print(cn.__file__); print(all(getattr(cn, name) is not None for name in cn.__all__))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'app.zip')!r}); {code}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    where, has_all = done.stdout.splitlines()
    assert where.startswith(str(tmp_path / "app.zip"))
    assert has_all == "True"


def test_the_file_of_typed_uses_calls_every_public_name():
    tree = ast.parse((Path(__file__).parents[1] / "typing" / "uses.py").read_text(encoding="utf-8"))
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert {f"cn.{name}" for name in cn.__all__} <= used
    assert {f"cn.plots.{name}" for name in cn.plots.__all__} <= used
    assert {f"cn.scale.{name}" for name in cn.scale.__all__} <= used
    assert {f"emulation.{name}" for name in emulator.__all__} <= used | {"emulation.Emulator"}
