"""Ask a service that breaks its answers by a seeded plan; exit 1 where a promise is broken. A campaign of minutes, not a timed test.

Each case runs on each engine, the client in a process of its own, 64 requests in flight, real waits. Promised: every ID is read
(one row each, none ``unread``), every row says what the server says of that ID, at most 1.10 × the requests that a healthy
service would get where 5 % are broken, and at most 400 MB. ``--quick``: 20,000 IDs instead of 200,000.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from typing import NamedTuple

from loopback import KINDS, Loopback, Plan, child, client, engines, job_ids, stop, wrong

QUICK = "--quick" in sys.argv
MAX_MB = 400
MAX_S = 600.0
IN_FLIGHT = 64
SIZE = 10


class Case(NamedTuple):
    name: str
    jobs: int
    plan: Plan
    must_hit: int  # fewer broken answers than this, and the case has shown nothing
    max_requests: float | None = None


CASES = (
    Case(
        "5 % mixed faults",
        20_000 if QUICK else 200_000,
        Plan(share=0.05, kinds=tuple(KINDS)),
        must_hit=50,
        max_requests=1.10,
    ),
    Case("all throttled for 1 s", 50_000, Plan(throttled_s=1.0), must_hit=1),
    Case("all throttled for 5 s", 50_000, Plan(throttled_s=5.0), must_hit=1),
    Case("10 % status 500", 20_000, Plan(share=0.10, kinds=("500",)), must_hit=100),
    Case("kept connections dropped late", 20_000, Plan(answers=1), must_hit=100),
)


def ask(url: str, engine: str, number: int) -> None:
    """Be the client: fetch, then print what came of it."""
    from cosai_nb import CosaiError, fetch_jobs

    ids = job_ids(number)
    asking = client(url, engine, timeout=3.0)
    ended = ""
    wall, cpu = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is counted below
        try:
            jobs = fetch_jobs(
                ids, client=asking, batch_size=SIZE, workers=IN_FLIGHT, progress=False, deadline=MAX_S
            )
        except CosaiError as error:
            jobs, ended = error.jobs, f"{type(error).__name__}: {error}"
        except Exception as error:  # noqa: BLE001 - that it comes out is the finding
            jobs, ended = None, f"{type(error).__name__} of another library: {error}"
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if jobs is None:
        lost, bad = number, 0
    else:
        read = jobs.loc[jobs["outcome"] != "unread", "job_id"]
        lost, bad = len(set(ids) - set(read)), wrong(jobs) + abs(len(jobs) - number)
        unread = jobs.loc[jobs["outcome"] == "unread", "error"]
        ended = ended or (f"unread: {unread.iloc[0]}" if len(unread) else "")
    print(json.dumps({"lost": lost, "wrong": bad, "wall": wall, "cpu": cpu, "mb": peak_mb, "ended": ended}))


def run(case: Case, engine: str) -> bool:
    with Loopback(case.plan) as server:
        process = child(__file__, "--ask", server.url, engine, str(case.jobs))
        line = process.stdout.readline()
        stop(process)
        counts = server.counts()
    if not line:
        raise SystemExit("The client ended early; its traceback is above.")
    result = json.loads(line)
    requests = counts["requests"] / (case.jobs / SIZE)
    hit = sum(counts["broken"].values())
    promises = {
        "lost": result["lost"] == 0,
        "wrong": result["wrong"] == 0,
        "requests": case.max_requests is None or requests <= case.max_requests,
        "memory": result["mb"] <= MAX_MB,
        "too few faults": hit >= case.must_hit,
    }
    broken = [name for name, kept in promises.items() if not kept]
    cells = (
        case.name,
        engine,
        f"{case.jobs:,}",
        f"{hit:,}",
        f"{result['lost']:,}",
        f"{result['wrong']:,}",
        f"{requests:.2f}",
        f"{result['mb']:.0f} MB",
        f"{result['wall']:.1f} s",
        f"{result['cpu'] / case.jobs * 1e6:.0f} µs",
        "MISSED: " + ", ".join(broken) if broken else "kept",
    )
    print(f"| {' | '.join(cells)} |", flush=True)
    if result["ended"]:
        print(f"{case.name}, {engine}: {result['ended'][:300]}", file=sys.stderr)
    return not broken


def main() -> int:
    heads = (
        "case",
        "engine",
        "IDs",
        "broken",
        "lost",
        "wrong",
        "requests ×",
        "peak memory",
        "wall",
        "CPU a job",
        "promise",
    )
    print(f"| {' | '.join(heads)} |\n|---|---|{'--:|' * 8}---|")
    kept = [run(case, engine) for case in CASES for engine in engines()]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ask"]:
        ask(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        sys.exit(main())
