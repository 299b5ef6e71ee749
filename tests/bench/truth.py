"""The statistics on queues whose truth is known: every situation, what the package says, how far off, whether it warns.

::

    python tests/bench/truth.py                     all, an hour at most
    python tests/bench/truth.py --quick             fewer runs, some four minutes of CPU
    python tests/bench/truth.py --only "LIFO|^A "   one situation or one table: the pattern is searched in "A name"
    python tests/bench/truth.py --runs 100          as many runs for every case
    python tests/bench/truth.py --list              the cases, their runs and nothing else
    python tests/bench/truth.py --truths            simulate anew what is kept in truth_weeks.LONG_RUN (minutes)

Each row: verdict (ok, ~ missed by less than two standard errors, FAIL, - no target), table, situation and group, runs,
truth, what was found, target. Errors are medians of the runs, in brackets the one furthest off. An interval of "0.93 of
80%" was given in 80 % of the runs and held the truth in 93 % of these. A run is silent where a finite number is more
than 10 % off and neither a warning in its row nor its interval says so. "all …" at the end are the coverage and the
false alarms of the rows together.
"""

import argparse
import multiprocessing
import re
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import truth_queues  # after the path
import truth_shares  # after the path
import truth_weeks  # after the path
from truth_table import FAIL, OK, Line, of_share  # after the path

ORDER = ("A", "B", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "D", "F", "eta", "alarm")
CASES = sorted(
    [*truth_queues.CASES, *truth_weeks.CASES, *truth_shares.CASES], key=lambda case: ORDER.index(case.table)
)


def measured(task: tuple[int, int]) -> tuple[int, list[Line], float]:
    number, runs = task
    case, started = CASES[number], time.perf_counter()
    try:
        lines = case.rows(runs)
    except Exception as error:  # noqa: BLE001 - the other cases are still worth measuring
        lines = [Line(case.table, case.name, runs, "", f"{type(error).__name__}: {error}", "", FAIL)]
    return number, lines, time.perf_counter() - started


def main() -> int:
    asked = argparse.ArgumentParser(description="The statistics on queues whose truth is known.")
    asked.add_argument("--only", default="", help="regular expression, searched in 'TABLE name'")
    asked.add_argument("--runs", type=int, help="runs of every case")
    asked.add_argument("--quick", action="store_true", help="few runs")
    asked.add_argument("--jobs", type=int, default=1, help="processes")
    asked.add_argument("--list", action="store_true", help="print the cases only")
    asked.add_argument("--truths", action="store_true", help="print LONG_RUN anew")
    options = asked.parse_args()
    if options.truths:
        truth_weeks.print_long_run()
        return 0
    chosen = [
        (number, options.runs or (case.quick if options.quick else case.full))
        for number, case in enumerate(CASES)
        if re.search(options.only, f"{case.table} {case.name}") and (case.in_quick or not options.quick)
    ]
    if options.list:
        for number, runs in chosen:
            print(f"{CASES[number].table:6} {runs:4} runs  {CASES[number].name}")
        return 0
    verdicts: Counter[str] = Counter()
    pools: dict[tuple[str, float], tuple[int, int]] = {}
    started = time.perf_counter()
    with multiprocessing.Pool(options.jobs) if options.jobs > 1 else _Alone() as pool:
        for _, lines, seconds in pool.imap(measured, chosen):
            for line in lines:
                verdicts[line.verdict] += 1
                show(line, seconds)
                if line.pool is not None:
                    name, hits, number, goal = line.pool
                    before = pools.get((name, goal), (0, 0))
                    pools[name, goal] = before[0] + hits, before[1] + number
    for (name, goal), (hits, number) in pools.items():
        share = hits / max(number, 1)
        verdict = (
            of_share(share, number, **({"least": goal} if goal > 0 else {"most": -goal})) if number else OK
        )
        verdicts[verdict] += 1
        print(
            f"{verdict:4} all {name} | {share:.3f} of {number} | target {'≥' if goal > 0 else '≤'} {abs(goal)}"
        )
    spent = time.perf_counter() - started
    print(f"{', '.join(f'{count} {verdict}' for verdict, count in verdicts.items())}; {spent:.0f} s")
    return int(verdicts[FAIL] > 0)


class _Alone:
    """A pool of this one process."""

    imap = staticmethod(map)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def show(line: Line, seconds: float) -> None:
    print(
        f"{line.verdict:4} {line.table:3} {line.name} | {line.runs} runs, {seconds:.1f} s | truth {line.truth} | {line.found} | target {line.target}",
        flush=True,
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore", FutureWarning)
    sys.exit(main())
