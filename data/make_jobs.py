"""Write ``jobs.parquet`` and ``job_ids.txt``: the emulated jobs of Tuesday and Wednesday morning, as seen on Wednesday at 11:00."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

import cosai_nb as cn

HERE = Path(__file__).parent
SEEN_AT = pd.Timestamp("2026-11-04 11:00+08:00")
SINCE = pd.Timestamp("2026-11-03 00:00+08:00")


def main() -> None:
    """Query the emulator in the middle of its incident and save what it says."""
    with cn.Emulator(seed=7) as emulator:
        emulator.set_time(SEEN_AT.timestamp())
        jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
    jobs = jobs[jobs["creation_time"] >= SINCE].reset_index(drop=True)
    cn.write_jobs(jobs, HERE / "jobs.parquet")
    (HERE / "job_ids.txt").write_text("\n".join(jobs["job_id"].head(100)) + "\n", encoding="utf-8")
    print(
        f"{len(jobs):,} jobs as of {SEEN_AT}: {jobs['outcome'].value_counts().loc[lambda n: n > 0].to_dict()}"
    )


if __name__ == "__main__":
    main()
