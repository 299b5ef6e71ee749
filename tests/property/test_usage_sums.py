"""What must hold of every usage: groups and days add up to the whole, and no job is lost or told twice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cosai_nb as cn
from tests.simulate import hand_made

SECONDS = st.one_of(st.none(), st.integers(-4000, 200_000))
OUTCOMES = ["success", "failed", "cancelled", "running", "waiting", "unknown", "not_found", "unread"]
TAGS = [None, "SpeechRecognition", "Translation", "DocProcess", "Tts"]
QUANTITY = st.one_of(st.none(), st.integers(0, 10**6))
ROWS = st.lists(
    st.tuples(
        st.sampled_from(OUTCOMES),
        st.integers(0, 90_000),
        SECONDS,
        SECONDS,
        st.sampled_from(TAGS),
        QUANTITY,
        QUANTITY,
    ),
    max_size=40,
)
PRICES = {"SpeechRecognition": (3, "audio hour"), "Translation": (0.5, "job"), "DocProcess": (2, "10 pages")}
quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def frame(rows):
    return hand_made(*(row[:4] for row in rows), at=100_000).assign(
        tag=pd.Categorical(np.array([row[4] for row in rows], dtype=object)),
        queue_id=pd.Categorical([f"q{number % 3}" for number in range(len(rows))]),
        audio_s=np.array([row[5] for row in rows], dtype=np.float64),
        pages=pd.Series([None if row[6] is None else str(row[6]) for row in rows], dtype=object),
        job_id=[f"j{number}" for number in range(len(rows))],
    )


@pytest.mark.filterwarnings("ignore:prices")  # tags without a price
@quick
@given(
    ROWS,
    st.sampled_from([None, "tag", ["queue_id", "tag"], "outcome"]),
    st.sampled_from([None, "1h", "1D", "1W"]),
    st.sampled_from(["Asia/Shanghai", "UTC", "America/New_York"]),
)
def test_the_parts_add_up_to_the_whole(rows, by, freq, tz):
    jobs = frame(rows)
    parts = cn.usage(jobs, PRICES, by=by, freq=freq, tz=tz)
    (whole,) = cn.usage(jobs, PRICES, by=None, freq=None).to_dict("records")
    for name, total in whole.items():
        assert np.isclose(parts[name].sum(), 0 if np.isnan(total) else total), name
    succeeded = jobs["outcome"].eq("success")
    assert whole["jobs"] == (~jobs["outcome"].isin(["not_found", "unread"])).sum()
    assert whole["succeeded"] == whole["priced"] + whole["unpriced"] == succeeded.sum()
    assert np.isclose(np.nan_to_num(whole["audio_hours"]), jobs.loc[succeeded, "audio_s"].sum() / 3600)
    assert whole["audio_known"] == jobs.loc[succeeded, "audio_s"].notna().sum()
    for name, known in [("audio_hours", "audio_known"), ("pages", "pages_known"), ("cost", "priced")]:
        assert (parts[name].notna() == (parts[known] > 0)).all()
    assert parts.index.is_unique
