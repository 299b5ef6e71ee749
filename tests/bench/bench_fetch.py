"""Print how fast jobs are fetched, beside what people write by hand; exit 1 where a goal is missed. ``--quick``: smaller, two rounds.

Contestants, each in a process of its own, take turns on one loopback server in yet another process: the *notebook* (a
``requests.Session`` a thread, 16 threads, the official signer, xmltodict, a list of dicts, ``to_datetime``), ``fetch_jobs``
with each engine and default settings, and libcurl that signs and parses nothing. Ratios are medians of rounds, notebook = 1. CPU
is the client's process alone. *Server busy* is the CPU time of the server over wall time: near 100 %, it is the server that is measured.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

from loopback import Loopback, Plan, child, client, engines, job_ids, stop

QUICK = "--quick" in sys.argv
ROUNDS = 2 if QUICK else 5
JOBS = {10: 10_000, 1: 2_000} if QUICK else {10: 20_000, 1: 5_000}
CASES = ((10, 0), (10, 20), (1, 0), (1, 20))  # IDs a request, milliseconds an answer
HEADS = tuple(f"{size} ID{'s' * (size > 1)}, {ms} ms" for size, ms in CASES)
WIDE = "fetch_jobs, curl, workers=128"
BARE = "libcurl, nothing parsed"
GOALS = {  # ratio to the notebook, for each of CASES
    "fetch_jobs, requests": (2.0, 2.0, 1.6, 1.6),
    "fetch_jobs, curl": (6.0, 5.0, 14.0, 3.4),
    WIDE: (None, None, None, 6.0),
}
MAX_CPU_US = {"fetch_jobs, curl": 25.0}  # a job, at 10 IDs a request
Fetch = Callable[[Sequence[str], str, int], int]


def notebook(ids: Sequence[str], url: str, size: int) -> int:
    import pandas as pd
    import requests
    import xmltodict
    from qcloud_cos import CosConfig
    from qcloud_cos.cos_auth import CosS3Auth

    config = CosConfig(Region="ap-chongqing", SecretId="AKIDEXAMPLE", SecretKey="SECRETEXAMPLE")
    local = threading.local()

    def ask(some: Sequence[str]) -> list[dict[str, Any]]:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        path = f"/ai_jobs/{','.join(some)}"
        answer = local.session.get(url + path, auth=CosS3Auth(config, path), timeout=30)
        answer.raise_for_status()
        response = xmltodict.parse(answer.content, force_list=("JobsDetail",))["Response"]
        return [row(detail) for detail in response["JobsDetail"]]

    def row(detail: dict[str, Any]) -> dict[str, Any]:
        source, operation = detail.get("Input") or {}, detail.get("Operation") or {}
        output = operation.get("Output") or {}
        return {
            "job_id": detail["JobId"],
            "tag": detail["Tag"],
            "state": detail["State"],
            "code": detail.get("Code"),
            "message": detail.get("Message"),
            "queue_id": detail.get("QueueId"),
            "creation_time": detail.get("CreationTime"),
            "start_time": detail.get("StartTime"),
            "end_time": detail.get("EndTime"),
            "input_object": source.get("Object"),
            "input_lang": source.get("Lang"),
            "target_lang": (operation.get("Translation") or {}).get("Lang"),
            "output_object": output.get("Object"),
            "user_data": operation.get("UserData"),
        }

    lists = [ids[first : first + size] for first in range(0, len(ids), size)]
    with ThreadPoolExecutor(16) as pool:
        jobs = pd.DataFrame([job for answer in pool.map(ask, lists) for job in answer])
    for name in ("creation_time", "start_time", "end_time"):
        jobs[name] = pd.to_datetime(jobs[name], utc=True, errors="coerce")
    jobs["queue_latency_s"] = (jobs["start_time"] - jobs["creation_time"]).dt.total_seconds()
    jobs["run_time_s"] = (jobs["end_time"] - jobs["start_time"]).dt.total_seconds()
    jobs["total_time_s"] = (jobs["end_time"] - jobs["creation_time"]).dt.total_seconds()
    return int(jobs["total_time_s"].notna().sum())


def fetch(engine: str, ids: Sequence[str], url: str, size: int, **settings: Any) -> int:
    from cosai_nb import fetch_jobs

    asking = client(url, engine)
    jobs = fetch_jobs(ids, client=asking, batch_size=size, progress=False, **settings)
    asking.close()
    return int((jobs["outcome"] == "success").sum())


def bare(ids: Sequence[str], url: str, size: int) -> int:
    import pycurl

    todo = [f"{url}/ai_jobs/{','.join(ids[first : first + size])}" for first in range(0, len(ids), size)]
    asked, answered, multi = len(todo), 0, pycurl.CurlMulti()
    free = [pycurl.Curl() for _ in range(32)]
    for handle in free:
        handle.setopt(pycurl.WRITEFUNCTION, len)  # "all of it is written"
    while answered < asked:
        while todo and free:
            handle = free.pop()
            handle.setopt(pycurl.URL, todo.pop())
            multi.add_handle(handle)
        multi.perform()
        _, good, failed = multi.info_read(32)
        for handle in good:
            multi.remove_handle(handle)
        if failed:
            return 0
        if not good:
            multi.select(1.0)
        free += good
        answered += len(good)
    return len(ids)


def contestants() -> dict[str, Fetch]:
    every: dict[str, Fetch] = {"notebook": notebook}
    for engine in engines():
        every[f"fetch_jobs, {engine}"] = partial(fetch, engine)
        if engine == "curl":
            every[WIDE] = partial(fetch, engine, workers=128)
    try:
        import pycurl  # noqa: F401 - whether it is there
    except ImportError:
        return every
    return every | {BARE: bare}


def work(name: str) -> None:
    """Be one contestant: a question a line on standard input, what it cost on standard output."""
    run = contestants()[name]
    for question in sys.stdin:
        url, size, jobs = json.loads(question)
        ids = job_ids(jobs)
        wall, cpu = time.perf_counter(), time.process_time()
        if run(ids, url, size) != jobs:
            raise SystemExit(f"{name} did not read all of {jobs} jobs.")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"wall_s": wall, "cpu_s": cpu, "peak_mb": peak_mb, "jobs": jobs}), flush=True)


class Contestant:
    def __init__(self, name: str) -> None:
        self._process = child(__file__, "--work", name)
        self.runs: dict[tuple[int, int], list[dict[str, float]]] = {case: [] for case in CASES}

    def ask(self, server: Loopback, size: int, jobs: int) -> dict[str, float]:
        before = server.counts()["cpu_s"]
        print(json.dumps((server.url, size, jobs)), file=self._process.stdin, flush=True)
        run = json.loads(self._process.stdout.readline() or "null")
        if run is None:
            raise SystemExit("A contestant ended early; its traceback is above.")
        return run | {"server_s": server.counts()["cpu_s"] - before}

    def median(self, case: tuple[int, int], top: str, bottom: str) -> float:
        return statistics.median(run[top] / run[bottom] for run in self.runs[case])

    def cpu_us(self, case: tuple[int, int]) -> float:
        return self.median(case, "cpu_s", "jobs") * 1e6

    def close(self) -> None:
        stop(self._process)


def measure(names: Sequence[str]) -> dict[str, Contestant]:
    with ExitStack() as stack:
        servers = {ms: stack.enter_context(Loopback(Plan(delay_s=ms / 1000))) for _, ms in CASES[:2]}
        running = {name: Contestant(name) for name in names}
        for contestant in running.values():
            stack.callback(contestant.close)
            contestant.ask(servers[0], 10, 500)  # imports, and the machine's caches
        for number in range(ROUNDS):
            for case in CASES:
                size, ms = case
                for name, contestant in running.items():
                    if name != WIDE or case == CASES[-1]:
                        contestant.runs[case].append(contestant.ask(servers[ms], size, JOBS[size]))
            print(f"round {number + 1} of {ROUNDS}", file=sys.stderr)
    return running


def ratio(ours: Contestant, theirs: Contestant, case: tuple[int, int]) -> float:
    pairs = zip(ours.runs[case], theirs.runs[case], strict=True)  # side by side: load hits both
    return statistics.median(b["wall_s"] / a["wall_s"] for a, b in pairs)


def show(running: dict[str, Contestant]) -> None:
    """Print the README's table, and how busy the server was while each contestant ran."""
    print(f"| | {' | '.join(HEADS)} | CPU a job (10 / 1 ID) | peak memory |\n|---|{'--:|' * 6}")
    for name, contestant in running.items():
        cells = [cell(contestant, running["notebook"], case) for case in CASES]
        cpu = [
            f"{contestant.cpu_us(case):.0f}" if contestant.runs[case] else "–"
            for case in (CASES[0], CASES[2])
        ]
        peak = max(run["peak_mb"] for runs in contestant.runs.values() for run in runs)
        print(f"| {name} | {' | '.join(cells)} | {' / '.join(cpu)} µs | {peak:.0f} MB |")
    print("\nServer busy, in the same order:")
    for name, contestant in running.items():
        shares = [contestant.median(case, "server_s", "wall_s") for case in CASES if contestant.runs[case]]
        print(f"  {name}: {', '.join(f'{share:.0%}' for share in shares)}")
    print()


def cell(contestant: Contestant, theirs: Contestant, case: tuple[int, int]) -> str:
    if not contestant.runs[case]:
        return "–"
    times = ratio(contestant, theirs, case)
    return f"{times:.{1 if times < 10 else 0}f} ({contestant.median(case, 'jobs', 'wall_s'):,.0f}/s)"


def judge(running: dict[str, Contestant]) -> bool:
    """Print each goal and whether it is met; return whether all are."""
    verdicts = []
    for name, goals in GOALS.items():
        for case, head, goal in zip(CASES, HEADS, goals, strict=True):
            if name in running and goal:
                times = ratio(running[name], running["notebook"], case)
                verdicts.append((times >= goal, f"{name}, {head}: {times:.2f} (at least {goal:g})"))
    for name, limit in MAX_CPU_US.items():
        if name in running:
            used = running[name].cpu_us(CASES[0])
            verdicts.append(
                (used <= limit, f"{name}, {HEADS[0]}: {used:.0f} µs CPU a job (at most {limit:g})")
            )
    for met, sentence in verdicts:
        print(f"{'ok  ' if met else 'MISS'} {sentence}")
    return all(met for met, _ in verdicts)


def main() -> int:
    names = list(contestants())
    running = measure(names)
    show(running)
    if engines() == ["default"]:
        print("Client takes no engine= yet: there is one engine, and no goal is set for it.")
    if BARE not in names:
        print("libcurl alone was not measured: pip install pycurl.")
    return 0 if judge(running) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2])
    else:
        sys.exit(main())
