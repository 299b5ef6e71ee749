"""Whatever text the service sends, a frame that was written is the frame that is read."""

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosai_nb.schema import COLUMNS, WIRE, Record
from cosai_nb.table.files import read_jobs, write_jobs
from cosai_nb.table.frame import frame_of

hostile = st.one_of(
    st.none(),
    st.sampled_from(
        ["", " ", "NA", "nan", "None", "null", "N/A", "-", "true", "1", '"', '""', "'", ",", ";", "\n", "\r", "\r\n", "a\rb",
         "=1+1", "+1", "-1", "@a", "\t", "\\N", "\\", "\ufeff", "\u2028", "\x85", "\x0b", "\x1a", "2024-03-05T10:00:00Z", "深圳"]
    ),
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=20),
)  # fmt: skip
TEXTS = [
    column.name
    for column in WIRE
    if column.dtype in {"str", "category"} and column.name not in {"job_id", "state"}
]
record = st.builds(
    lambda job_id, fate, observed, error, texts, numbers: Record(
        job_id,
        fate,
        observed,
        error,
        tuple({**texts, **numbers, "job_id": job_id, "state": "Success"}.get(column.name) for column in WIRE)
        if fate == "job"
        else (),
    ),
    hostile.filter(lambda text: text is not None),
    st.sampled_from(["job", "job", "job", "not_found", "invalid_id", "unread"]),
    st.one_of(st.none(), st.integers(0, 4_102_444_800_000)),
    hostile,
    st.fixed_dictionaries(dict.fromkeys(TEXTS, hostile)),
    st.fixed_dictionaries(
        {
            "creation_time": st.sampled_from(
                ["-", None, "2024-03-05T10:00:00+0800", "2024-03-05T10:00:00.007Z", "bad"]
            ),
            "start_time": st.sampled_from(["-", "2024-03-05T10:00:00.1+0800", "2024-03-05T11:00:00+0800"]),
            "end_time": st.sampled_from(["-", "2024-03-05T11:00:00.01+0800", "2199-12-31T23:59:59Z"]),
            "job_level": st.one_of(st.none(), st.integers(-(10**18) + 1, 10**18 - 1).map(str)),
            "audio_s": st.one_of(st.none(), st.decimals(0, 10**9, places=3).map(str)),
        }
    ),
)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(records=st.lists(record, max_size=8))
def test_a_frame_is_read_as_it_was_written(tmp_path, suffix, records):
    jobs = frame_of(records)
    path = tmp_path / f"jobs{suffix}"
    write_jobs(jobs, path)
    back = read_jobs(path)
    pd.testing.assert_frame_equal(back, jobs)
    assert list(back.columns) == list(COLUMNS)
