"""What happens to a store when its process is killed, its disk is full, its folder goes, or two processes share it."""

import multiprocessing
import os
import random
import resource
import signal
import subprocess
import time

import pandas as pd
import pytest

from cosai_nb.emulator import Emulator, Scenario
from cosai_nb.errors import FileError
from cosai_nb.query import fetch, fetch_jobs, watch_jobs
from cosai_nb.schema import ENDED
from cosai_nb.service.client import Client
from cosai_nb.table.store import JobStore

FORKED = multiprocessing.get_context(
    "forkserver"
)  # a process of its own each time, without its imports each time
FORKED.set_forkserver_preload(["pytest", "cosai_nb.emulator", "cosai_nb.query", "cosai_nb.table.store"])


def fetch_all(folder, ids, rows, environment):
    os.environ.update(environment)
    fetch.FLUSH_ROWS = rows
    fetch_jobs(ids, client=Client.from_env(), store=folder, progress=False, workers=2)


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7, scenario=Scenario(jobs=1500)) as running:
        running.advance(10 * 86400.0)  # what is not paused has ended
        yield running


def fill(emulator, folder, ids, *, rows=100):
    process = FORKED.Process(target=fetch_all, args=(folder, ids, rows, emulator.environment()))
    process.start()
    return process


def sound(folder):
    """Read every part with plain pandas: none may be unreadable, whatever has happened."""
    return pd.concat(
        [pd.DataFrame({"job_id": []}), *(pd.read_parquet(path) for path in folder.glob("*.parquet"))]
    )


@pytest.mark.slow
def test_killed_twenty_times_every_id_is_stored_once_or_asked_again(emulator, tmp_path):
    chance = random.Random(20)
    ids = emulator.job_ids
    folder = tmp_path / "jobs"
    JobStore(folder)
    killed_amid = 0
    for _ in range(20):
        stored = JobStore(folder).ended_ids()
        asked_before = len(emulator.requests)
        process = fill(emulator, folder, ids)
        until = asked_before + chance.randint(
            1, 1 + (len(ids) - len(stored)) // 12
        )  # of one in ten: amid the work
        while len(emulator.requests) < until and process.is_alive():
            time.sleep(0.002)
        process.kill()
        process.join()
        finished = process.exitcode == 0
        killed_amid += not finished and len(emulator.requests) > asked_before
        assert set(sound(folder)["job_id"]) >= stored  # nothing that was there is gone
        asked = {
            job_id for entry in list(emulator.requests)[asked_before:] for job_id in entry.path[9:].split(",")
        }
        assert not asked & stored  # and nothing that had ended was asked again
        if finished:
            folder = JobStore(folder.with_name(f"{folder.name}-next")).folder
    assert killed_amid >= 10
    jobs = fetch_jobs(ids, client=emulator.client(), store=folder, progress=False)
    assert jobs["job_id"].tolist() == ids
    assert sorted(JobStore(folder).jobs()["job_id"]) == sorted(ids)


@pytest.mark.slow
def test_two_processes_fill_one_store_while_a_third_compacts(emulator, tmp_path):
    ids = emulator.job_ids
    store = JobStore(tmp_path / "jobs")
    fillers = [fill(emulator, store.folder, half, rows=20) for half in (ids[:900], ids[600:])]
    while any(process.is_alive() for process in fillers):
        store.compact()
    assert [process.exitcode for process in fillers] == [0, 0]
    assert sorted(store.jobs()["job_id"]) == sorted(ids)
    store.compact()
    assert sorted(sound(store.folder)["job_id"]) == sorted(ids)


def small_disk(folder):
    """Give this test a file system of 1 MiB; None where that is not allowed."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    return made.returncode == 0


def test_a_full_disk_is_a_clear_error_and_what_was_there_stays(emulator, tmp_path):
    folder = tmp_path / "disk"
    if not small_disk(folder):
        pytest.skip("no right to mount a small file system; the next test limits the file size instead")
    try:
        ids = emulator.job_ids
        store = JobStore(folder / "jobs")
        fetch_jobs(ids[:50], client=emulator.client(), store=store, progress=False)
        before = store.jobs()
        (folder / "ballast").write_bytes(b"x" * (1024**2 - 100 * 1024))
        with pytest.raises(FileError, match=r"No space left.*what it held is unchanged") as caught:
            fetch_jobs(ids, client=emulator.client(), store=store, progress=False)
        told = caught.value.jobs
        assert told["job_id"].tolist() == ids
        assert (told["outcome"] != "unread").sum() > 50  # what was read is not thrown away
        pd.testing.assert_frame_equal(JobStore(store.folder).jobs(), before)
        assert not list(store.folder.glob(".*.tmp"))
        (folder / "ballast").unlink()
        jobs = fetch_jobs(ids, client=emulator.client(), store=store, progress=False)
        assert not (jobs["outcome"] == "unread").any()
        assert len(store.jobs()) == len(ids)
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_file_size_limit_is_met_like_a_full_disk(emulator, tmp_path):
    store = JobStore(tmp_path / "jobs")
    fetch_jobs(emulator.job_ids[:20], client=emulator.client(), store=store, progress=False)
    before = store.jobs()
    jobs = fetch_jobs(emulator.job_ids, client=emulator.client(), progress=False)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(FileError, match="File too large"):
            store.add(jobs)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    pd.testing.assert_frame_equal(JobStore(store.folder).jobs(), before)
    assert not list(store.folder.glob(".*.tmp"))


def test_a_folder_deleted_in_the_middle_is_a_clear_error_with_what_was_read(emulator, tmp_path):
    import shutil

    store = JobStore(tmp_path / "jobs")
    store.ended_ids()
    run = fetch.Intake.run

    def delete_then_run(*args, **settings):
        shutil.rmtree(store.folder)
        run(*args, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetch.Intake, "run", delete_then_run)
        with pytest.raises(FileError, match="folder still exists") as caught:
            fetch_jobs(emulator.job_ids[:30], client=emulator.client(), store=store, progress=False)
    assert len(caught.value.jobs) == 30
    assert not (caught.value.jobs["outcome"] == "unread").any()
    assert not store.folder.exists()  # it is not silently begun anew


@pytest.mark.parametrize("ask", [fetch_jobs, watch_jobs])
def test_a_folder_deleted_when_all_was_read_is_a_clear_error_with_what_was_read(
    emulator, tmp_path, ask, monkeypatch
):
    import shutil

    store = JobStore(tmp_path / "jobs")
    fetch_jobs(emulator.job_ids[:10], client=emulator.client(), store=store, progress=False)
    run = fetch.Intake.run

    def run_then_delete(*args, **settings):
        run(*args, **settings)
        shutil.rmtree(store.folder)

    ended = fetch_jobs(emulator.job_ids[:60], client=emulator.client(), progress=False)
    asked = ended.loc[ended["outcome"].isin(ENDED), "job_id"].tolist()[:30]
    monkeypatch.setattr(fetch.Intake, "run", run_then_delete)
    with pytest.raises(FileError, match="cannot be read") as caught:
        ask([*asked, "no/id"], client=emulator.client(), store=store, progress=False)
    jobs = caught.value.jobs.set_index("job_id")
    read = jobs["outcome"] != "unread"
    assert jobs.index.tolist() == [*asked, "no/id"]
    assert read[asked[10:]].all()
    assert jobs.loc[~read, "error"].str.contains("not read: The store").all()
    assert caught.value.__notes__ == [
        f"{read.sum()} of 31 IDs were done before.",
        "What was read is in this error's .jobs.",
    ]


def test_a_read_only_folder_is_read_and_refuses_to_be_filled(emulator, tmp_path):
    folder = tmp_path / "jobs"
    ids = emulator.job_ids[:30]
    ended = fetch_jobs(ids, client=emulator.client(), store=folder, progress=False)
    assert ended["outcome"].isin(["success", "failed", "cancelled"]).sum() > 20
    bound = subprocess.run(["mount", "--bind", folder, folder], capture_output=True, check=False)
    if bound.returncode:
        folder.chmod(0o555)
    else:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
    try:
        if os.access(folder, os.W_OK):
            pytest.skip("this user may write everywhere")
        store = JobStore(folder)
        assert len(store.jobs()) == 30
        with pytest.raises(FileError, match="could not be written") as caught:
            fetch_jobs(emulator.job_ids[:60], client=emulator.client(), store=store, progress=False)
        assert len(caught.value.jobs) == 60
        assert len(JobStore(folder).jobs()) == 30
    finally:
        if bound.returncode:
            folder.chmod(0o755)
        else:
            subprocess.run(["umount", folder], check=True)
