"""What jobs used and cost, checked by hand: known and unknown apart, nothing invented."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import cosai_nb as cn
from cosai_nb.emulator import Scenario
from tests.simulate import hand_made

DAY = 86_400
MIDNIGHT = 16 * 3600  # of Shanghai: the frames begin at 2026-11-01T00:00Z


@pytest.fixture
def jobs():
    """Eight jobs: of two days in Shanghai, three kinds, two queues."""
    frame = hand_made(
        ("success", 0, 10, 60),  # 1 h of audio
        ("success", 0, 10, MIDNIGHT - 1),  # half an hour, the last second of the day
        ("success", 0, 10, MIDNIGHT),  # tells nothing, the next day
        ("failed", 0, 10, 60),  # tells a time, and is not charged
        ("running", 0, 10, None),
        ("success", 0, 10, 60),  # a translation
        ("success", 0, 10, MIDNIGHT + 5),  # a document
        ("not_found", None, None, None),
        at=DAY,
    )
    tags = [*["SpeechRecognition"] * 5, "Translation", "DocProcess", None]
    queues = ["q1", "q1", "q1", "q2", "q2", "q1", "q2", None]
    return frame.assign(
        tag=pd.Categorical(tags),
        queue_id=pd.Categorical(queues),
        audio_s=[3600.0, 1800.0, np.nan, 900.0, np.nan, np.nan, np.nan, np.nan],
        pages=[None, None, None, None, None, None, "12", None],
        job_id=list("abcdefgh"),
    )


def test_the_total(jobs):
    (row,) = cn.usage(jobs, by=None, freq=None).to_dict("records")
    assert row == {
        "jobs": 7, "ended": 6, "succeeded": 5,
        "audio_hours": 1.5, "audio_known": 2, "audio_unknown": 1,
        "characters": pytest.approx(np.nan, nan_ok=True), "characters_known": 0, "characters_unknown": 1,
        "pages": 12, "pages_known": 1, "pages_unknown": 0,
    }  # fmt: skip
    assert cn.usage(jobs).attrs["left_out"] == {"not_found": 1}


def test_by_tag_queue_and_day_of_the_end_in_shanghai(jobs):
    used = cn.usage(jobs)
    first, second = pd.Timestamp("2026-10-31T16:00Z"), pd.Timestamp("2026-11-01T16:00Z")
    assert used.index.names == ["tag", "queue_id", "time"]
    told = [
        (tag, queue, None if pd.isna(time) else time)
        for tag, queue, time in used[["jobs", "audio_hours"]].index
    ]
    assert told == [
        ("DocProcess", "q2", second),
        ("SpeechRecognition", "q1", first),
        ("SpeechRecognition", "q1", second),
        ("SpeechRecognition", "q2", first),
        ("SpeechRecognition", "q2", None),
        ("Translation", "q1", first),
    ]
    assert used["jobs"].tolist() == [1, 2, 1, 1, 1, 1]
    assert used["audio_hours"].tolist()[1] == 1.5
    assert used["audio_hours"].isna().tolist() == [True, False, True, True, True, True]
    assert used["audio_unknown"].tolist() == [0, 0, 1, 0, 0, 0]
    assert used["succeeded"].tolist() == [1, 2, 1, 0, 0, 1]
    assert cn.usage(jobs, by=None, tz="UTC")["jobs"].tolist() == [6, 1]  # all ended on one day of UTC


PRICES = {
    "SpeechRecognition": (2, "audio hours"),
    "Translation": (0.05, "1,000 characters"),
    "DocProcess": (Decimal("0.3"), "10 pages"),
}


def test_a_cost_has_its_known_jobs_and_counts_the_others(jobs):
    used = cn.usage(jobs, PRICES, by="tag", freq=None)[["cost", "priced", "unpriced"]]
    assert used.loc["SpeechRecognition"].tolist() == [3.0, 2, 1]
    assert used.loc["DocProcess"].tolist() == [pytest.approx(0.36), 1, 0]
    assert np.isnan(used.loc["Translation", "cost"])
    assert used.loc["Translation", ["priced", "unpriced"]].tolist() == [0, 1]
    (whole,) = cn.usage(jobs, PRICES, by=None, freq=None)[["cost", "priced", "unpriced"]].to_numpy().tolist()
    assert whole == [pytest.approx(3.36), 3, 2]


def test_a_price_a_job_needs_no_quantity(jobs):
    used = cn.usage(jobs, {**PRICES, "SpeechRecognition": (0.5, "job")}, by="tag", freq=None)
    assert used.loc["SpeechRecognition", ["cost", "priced", "unpriced"]].tolist() == [1.5, 3, 0]


def test_prices_may_be_a_table(jobs):
    table = pd.DataFrame(
        [(tag, price, unit) for tag, (price, unit) in PRICES.items()], columns=["tag", "price", "unit"]
    )
    pd.testing.assert_frame_equal(cn.usage(jobs, table), cn.usage(jobs, PRICES))


def test_a_tag_without_a_price_and_a_price_of_an_unknown_tag_are_said_and_the_rest_goes_on(jobs):
    prices = {"SpeechRecognition": (2, "audio hour"), "Translaton": (1, "job"), "Tts": (1, "job")}
    with pytest.warns(cn.CosaiWarning) as said:
        used = cn.usage(jobs, prices, by="tag", freq=None)
    unknown, lacking = (str(one.message) for one in said)
    assert "'Translaton' (did you mean Translation?)" in unknown
    assert "Tts" not in unknown  # a kind that the documents name
    assert "DocProcess (1 succeeded jobs), Translation (1 succeeded jobs)" in lacking
    assert used.loc["SpeechRecognition", "cost"] == 3
    assert used["unpriced"].to_dict() == {"DocProcess": 1, "SpeechRecognition": 1, "Translation": 1}
    assert all(one.filename == __file__ for one in said)


@pytest.mark.parametrize(
    ("prices", "words"),
    [
        ([("Translation", 1)], "must map tags to a price and its unit"),
        ({"Translation": 1}, "must map tags to a price and its unit"),
        ({"Translation": ("1", "job")}, "'1' of 'Translation' is no price"),
        ({"Translation": (-1, "job")}, "-1 of 'Translation' is no price"),
        ({"Translation": (Decimal("NaN"), "job")}, "is no price"),
        ({"Translation": (True, "job")}, "is no price"),
        ({"Translation": (1, "mile")}, "'mile' of 'Translation' is no unit"),
        ({"Translation": (1, "0 jobs")}, "is no unit"),
        ({"Translation": (1, None)}, "is no unit"),
        ({7: (1, "job")}, "7 is no tag"),
        ({"tag": ["a", "a"], "price": [1, 2], "unit": ["job", "job"]}, "'a' has more than one price"),
    ],
)
def test_prices_that_are_none(jobs, prices, words):
    with pytest.raises(cn.SettingsError, match=words):
        cn.usage(jobs, prices)


def test_files_and_stores_say_the_same(jobs, tmp_path):
    expected = cn.usage(jobs, PRICES)
    jobs.to_parquet(tmp_path / "jobs.parquet")
    pd.testing.assert_frame_equal(cn.usage(tmp_path / "jobs.parquet", PRICES), expected)
    arrow = jobs.astype({"pages": pd.ArrowDtype(pa.string())})
    pd.testing.assert_frame_equal(cn.usage(arrow, PRICES), expected)


def test_pages_come_from_the_answers_of_documents(tmp_path):
    with cn.Emulator(seed=7, family="doc", scenario=Scenario(jobs=60)) as emulator:
        client = emulator.client()
        pages = {"pages": "Operation/DocProcessResult/SuccPageCount"}
        jobs = cn.fetch_jobs(emulator.job_ids, client=client, columns=pages, store=tmp_path / "jobs")
    used = cn.usage(jobs, by=None, freq=None).iloc[0]
    succeeded = jobs[jobs["outcome"] == "success"]
    assert used["pages_known"] == used["succeeded"] == len(succeeded) > 20
    assert used["pages"] == succeeded["pages"].astype(int).sum()
    pd.testing.assert_frame_equal(cn.usage(tmp_path / "jobs"), cn.usage(jobs))
    without = cn.usage(jobs.drop(columns="pages"), by=None, freq=None).iloc[0]
    assert np.isnan(without["pages"])
    assert without["pages_unknown"] == len(succeeded)


def test_audio_is_the_emulators_truth():
    with cn.Emulator(seed=7, scenario=Scenario(jobs=300)) as emulator:
        jobs = cn.fetch_jobs(emulator.job_ids, client=emulator.client())
        truth = dict(zip(emulator.job_ids, emulator.workload.audio_s, strict=True))
    spoken = jobs[(jobs["tag"] == "SpeechRecognition") & (jobs["outcome"] == "success")]
    used = cn.usage(jobs, by="tag", freq=None)
    assert used.loc["SpeechRecognition", "audio_known"] == len(spoken) > 20
    hours = sum(round(truth[job], 2) for job in spoken["job_id"]) / 3600
    assert used.loc["SpeechRecognition", "audio_hours"] == pytest.approx(hours, abs=1e-4)


def test_no_jobs():
    nothing = hand_made().assign(audio_s=pd.Series(dtype="float64"))
    used = cn.usage(nothing, PRICES)
    assert used.empty
    assert used.index.names == ["tag", "queue_id", "time"]
    (row,) = cn.usage(nothing, PRICES, by=None, freq=None).to_dict("records")
    assert row["jobs"] == row["priced"] == 0
    assert np.isnan(row["audio_hours"])
    assert np.isnan(row["cost"])


def test_a_histogram_and_what_is_no_source(jobs):
    with pytest.raises(cn.FrameError, match="histogram knows no audio"):
        cn.usage(cn.DurationHistogram.from_jobs(jobs))
    with pytest.raises(TypeError, match="is a pandas DataFrame"):
        cn.usage([1])
    with pytest.raises(cn.FrameError, match="lacks the column 'team'"):
        cn.usage(jobs, by="team")


@pytest.mark.parametrize("value", ["a dozen", "-3", -3.0, np.inf, "", "1e3"])
def test_what_is_no_quantity_is_unknown(jobs, value):
    told = jobs.assign(pages=pd.Series([value] * len(jobs), dtype=object))
    used = cn.usage(told, by=None, freq=None).iloc[0]
    assert np.isnan(used["pages"])
    assert (used["pages_known"], used["pages_unknown"]) == (0, 1)
