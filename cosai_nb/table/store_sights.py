"""Which sight of a job counts; the rules are written at :mod:`cosai_nb.table.store`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from cosai_nb.schema import ENDED, NOT_A_JOB, Outcome
from cosai_nb.table.dtypes import text_of
from cosai_nb.table.frame import conform

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

_PROGRESS = {Outcome.WAITING: 1, Outcome.RUNNING: 2}


def newest_of(sights: pd.DataFrame) -> pd.DataFrame:
    """Return the sights that count: of each ID at most one of a job and, where newer, one of its absence."""
    outcome = sights["outcome"].astype(object)
    ended = outcome.isin(ENDED).to_numpy()
    progress = outcome.map(_PROGRESS).fillna(0).to_numpy()
    observed = sights["observed_at"].astype("int64").to_numpy()
    ordered = sights.iloc[np.lexsort((progress, observed, ended))]
    is_job = ~ordered["outcome"].isin(NOT_A_JOB).to_numpy()
    jobs = ordered[is_job].drop_duplicates("job_id", keep="last")
    absent = ordered[~is_job].drop_duplicates("job_id", keep="last")
    seen = jobs.set_index("job_id")["observed_at"].reindex(absent["job_id"]).array
    absent = absent[~(seen >= absent["observed_at"].array)]  # never seen is NaT, and NaT >= anything is False
    both = sights.loc[jobs.index.append(absent.index)]
    return both.sort_values(["creation_time", "job_id", "observed_at"], ignore_index=True)


def with_last_seen(newest: pd.DataFrame) -> pd.DataFrame:
    """Fold the sights of absence into columns: one row an ID."""
    is_job = ~newest["outcome"].isin(NOT_A_JOB).to_numpy()
    jobs, absent = newest[is_job], newest[~is_job]
    never_seen = absent[~_is_in(absent["job_id"], jobs["job_id"])]
    one_each = conform(newest.loc[jobs.index.append(never_seen.index)].reset_index(drop=True))
    known = ~one_each["outcome"].isin(NOT_A_JOB)
    one_each["last_seen"] = one_each["observed_at"].where(known)
    one_each["forgotten"] = known & _is_in(one_each["job_id"], absent["job_id"])
    return one_each


def _is_in(ids: pd.Series[Any], others: pd.Series[Any]) -> NDArray[np.bool_]:
    """Return which IDs are among others; pandas' own ``isin`` takes ten times as long on this dtype."""
    found: NDArray[np.bool_] = pc.is_in(text_of(ids), value_set=text_of(others)).to_numpy(
        zero_copy_only=False
    )
    return found
