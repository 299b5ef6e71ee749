"""Records and users' tables to the jobs frame: dtypes, outcomes, and errors that name the column."""

import warnings
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cosai_nb.errors import CosaiWarning, FrameError, SettingsError, UnknownStateWarning
from cosai_nb.schema import COLUMNS, NOT_A_JOB, WIRE, Outcome, Record
from cosai_nb.table.dtypes import OUTCOME, TEXT, as_frame
from cosai_nb.table.frame import add_timings, conform, frame_of, one_row_a_job

NAIVE = pd.Timestamp("2024-03-05").to_pydatetime()
SUBMITTED = "2024-03-05T10:00:00+0800"
STARTED = "2024-03-05T10:00:05+0800"
ENDED = "2024-03-05T10:00:45+0800"
OBSERVED_MS = 1709604060_000  # 2024-03-05T02:01:00Z


def record(job_id="a1", *, observed_ms=OBSERVED_MS, **texts):
    given = {
        "job_id": job_id,
        "state": "Success",
        "creation_time": SUBMITTED,
        "start_time": STARTED,
        "end_time": ENDED,
    }
    given |= texts
    return Record(job_id, "job", observed_ms, None, tuple(given.get(column.name) for column in WIRE))


def table(**columns):
    given = {
        "JobId": ["a1"],
        "State": ["Success"],
        "CreationTime": [SUBMITTED],
        "StartTime": [STARTED],
        "EndTime": [ENDED],
    }
    return pd.DataFrame(given | columns)


def test_no_records_give_an_empty_frame_with_all_columns_and_dtypes():
    empty, full = frame_of([]), frame_of([record()])
    assert list(empty.columns) == list(COLUMNS)
    assert len(empty) == 0
    assert isinstance(empty.index, pd.RangeIndex)
    for name, column in COLUMNS.items():
        for jobs in (empty, full):
            expected = {"str": TEXT, "category": "category"}.get(column.dtype, column.dtype)
            assert jobs[name].dtype == expected, name
            if column.dtype == "category":
                assert jobs[name].cat.categories.dtype == TEXT
    assert empty["outcome"].dtype == full["outcome"].dtype == OUTCOME
    assert list(OUTCOME.categories) == [outcome.value for outcome in Outcome]


def test_a_job_by_hand():
    jobs = frame_of(
        [
            record(
                code="Success",
                tag="Translation",
                job_level="2",
                audio_s="2.64",
                message="m",
                target_lang="zh",
                user_data="<b>",
            )
        ]
    )
    row = jobs.iloc[0]
    assert row["creation_time"] == pd.Timestamp("2024-03-05T02:00:00Z")
    assert row["observed_at"] == pd.Timestamp("2024-03-05T02:01:00Z")
    assert (row["queue_latency_s"], row["run_time_s"], row["total_time_s"]) == (5.0, 40.0, 45.0)
    assert (row["outcome"], row["timing_ok"], row["job_level"], row["audio_s"]) == ("success", True, 2, 2.64)
    assert (row["message"], row["target_lang"], row["user_data"]) == ("m", "zh", "<b>")
    assert pd.isna(row["code"])  # a healthy job's Code is Success too: it names no failure
    assert pd.isna(row["error"])


@pytest.mark.parametrize(
    ("state", "outcome"),
    [("Submitted", "waiting"), ("Pause", "waiting"), ("Running", "running"), ("Success", "success"), ("Failed", "failed"),
     ("Cancel", "cancelled")],
)  # fmt: skip
def test_every_documented_state_has_its_outcome(state, outcome):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jobs = frame_of([record(state=state)])
    assert jobs["outcome"][0] == outcome
    assert jobs["state"][0] == state


def test_unknown_states_are_kept_and_counted_in_one_warning():
    records = [record(state=state) for state in ("Paused2", "Paused2", None, "success")]
    records.append(Record("a9", "not_found", OBSERVED_MS))
    with pytest.warns(UnknownStateWarning, match=r"4 jobs .*'Paused2': 2.*no State: 1") as caught:
        jobs = frame_of(records)
    assert len(caught) == 1
    assert jobs["outcome"].tolist() == ["unknown"] * 4 + ["not_found"]
    assert jobs["state"].tolist()[:2] == ["Paused2", "Paused2"]
    assert jobs["run_time_s"].isna().all()


def test_the_warning_stays_short_whatever_the_states_are():
    with pytest.warns(UnknownStateWarning) as caught:
        frame_of([record(state=f"{number}\x1b[31m\n" + "x" * 10_000) for number in range(100)])
    assert len(str(caught[0].message)) < 600
    assert "95 other states" in str(caught[0].message)
    assert str(caught[0].message).isprintable()


def test_what_is_no_job_has_a_fate_and_nothing_else():
    jobs = frame_of(
        [
            Record("a1", "not_found", OBSERVED_MS),
            Record("a/b", "invalid_id", None, "has a slash"),
            Record("\ud800", "unread", None, "503"),
            record("a2"),
        ]
    )
    assert jobs["job_id"].tolist() == ["a1", "a/b", "\\ud800", "a2"]
    assert jobs["outcome"].tolist() == ["not_found", "invalid_id", "unread", "success"]
    assert jobs["timing_ok"].tolist() == [False, False, False, True]
    assert jobs["error"].tolist()[1:3] == ["has a slash", "503"]
    assert jobs["observed_at"].isna().tolist() == [False, True, True, False]
    assert jobs.loc[:2, "creation_time"].isna().all()


def test_the_frame_keeps_the_order_and_repeated_rows():
    assert frame_of([record("b"), record("a"), record("b")])["job_id"].tolist() == ["b", "a", "b"]


def test_many_rows_are_turned_right_across_blocks():
    ids = [f"a{number}" for number in range(1300)]
    jobs = frame_of([record(job_id, user_data=job_id) for job_id in ids])
    assert jobs["job_id"].tolist() == jobs["user_data"].tolist() == ids


@pytest.mark.parametrize("text", ["high", "1.5", "", "nan", "９", "1e3", "9" * 30, "0x1", " 1"])
def test_what_is_no_whole_number_is_no_level(text):
    assert pd.isna(frame_of([record(job_level=text)])["job_level"][0])


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1e400", "", "2,5", "٢"])
def test_what_is_no_plain_number_is_no_length(text):
    assert np.isnan(frame_of([record(audio_s=text)])["audio_s"][0])


@pytest.mark.parametrize(
    "text", ["=cmd|' /C calc'!A0", "$x^$", "_x", "\x1b[31m", "\u202e", "x" * 20_000, "\n" * 500, "\x00", "NA"]
)
def test_hostile_text_stands_as_it_is(text):
    jobs = frame_of([record(user_data=text, queue_id=text)])
    assert jobs["user_data"][0] == text
    assert jobs["queue_id"][0] == text


def test_malformed_and_future_times_are_flagged_and_what_is_between_known_times_is_kept():
    jobs = frame_of(
        [
            record(start_time="soon"),
            record(end_time="2024-03-05T10:01:01+0800"),
            record(end_time="-", state="Running"),
        ]
    )
    assert jobs["timing_ok"].tolist() == [False, False, True]
    assert jobs["start_time"].isna().tolist() == [True, False, False]
    assert jobs["end_time"].notna().tolist() == [True, True, False]
    assert jobs["total_time_s"].isna().tolist() == [False, False, True]


# --- a user's own table ---


def test_a_users_table_becomes_the_same_frame_as_the_records():
    given = table(**{"Tag": ["Translation"], "Input/Lang": ["zh"], "Operation.JobLevel": ["1"], "mine": [7]})
    jobs = add_timings(given, observed_at="2024-03-05T02:01:00Z")
    expected = frame_of([record(tag="Translation", input_lang="zh", job_level="1")])
    pd.testing.assert_frame_equal(jobs, expected)


def test_json_normalize_with_its_prefix_is_understood():
    detail = {"JobId": "a1", "State": "Success", "CreationTime": SUBMITTED, "StartTime": STARTED, "EndTime": ENDED,
              "Operation": {"Translation": {"Lang": "en"}, "JobLevel": 1}}  # fmt: skip
    jobs = add_timings(pd.json_normalize([{"JobsDetail": detail}]))
    assert (jobs["target_lang"][0], jobs["job_level"][0], jobs["run_time_s"][0]) == ("en", 1, 40.0)


def test_the_index_and_order_of_a_users_table_are_kept():
    given = pd.concat([table(), table(JobId=["a0"])])
    given.index = pd.Index(["x", "x"], name="mine")
    jobs = add_timings(given)
    assert jobs.index.equals(given.index)
    assert jobs["job_id"].tolist() == ["a1", "a0"]


@pytest.mark.parametrize("dtype", [object, "string", "category", "str"])
def test_text_of_any_pandas_dtype_is_text(dtype):
    jobs = add_timings(table().astype(dtype))
    pd.testing.assert_frame_equal(jobs, add_timings(table()))


def test_zoned_datetimes_are_taken_as_they_are_and_mixed_offsets_become_utc():
    moments = pd.to_datetime(pd.Series([SUBMITTED]), utc=True).dt.tz_convert("Asia/Shanghai")
    objects = pd.Series([datetime(2024, 3, 5, 2, 0, 5, tzinfo=UTC)], dtype=object)
    jobs = add_timings(table(CreationTime=moments, StartTime=objects, EndTime=["2024-03-04T21:00:45-0500"]))
    assert jobs[["queue_latency_s", "run_time_s"]].iloc[0].tolist() == [5.0, 40.0]
    assert jobs["creation_time"].dtype == COLUMNS["creation_time"].dtype


@pytest.mark.parametrize(
    "naive",
    [pd.Series([pd.Timestamp("2024-03-05")]), pd.Series([NAIVE], dtype=object)],
)
def test_datetimes_without_a_zone_are_refused_with_the_cure(naive):
    with pytest.raises(FrameError, match=r"'StartTime'.*tz_localize"):
        add_timings(table(StartTime=naive))


@pytest.mark.parametrize("numbers", [[1709604000], [1709604000.5], [True]])
def test_numbers_are_no_times(numbers):
    with pytest.raises(FrameError, match=r"'EndTime' holds numbers.*unit="):
        add_timings(table(EndTime=numbers))


@pytest.mark.parametrize(
    "odd", [1709604000, date(2024, 3, 5), "2024-03-05T10:00:45", "soon", NAIVE, np.datetime64("2024-03-05")]
)
def test_single_values_that_are_no_times_are_flagged(odd):
    two = pd.concat([table(), table(EndTime=pd.Series([odd], dtype=object))], ignore_index=True)
    assert add_timings(two)["timing_ok"].tolist() == [True, False]


ZONED = "2024-03-05T02:00:45Z"
WHOLE_COLUMNS = [
    (["2024-03-05T10:00:45"], "without a time zone.*tz=", {"tz": "Asia/Shanghai"}),
    (["2024-03-05 10:00:45.5"], "without a time zone.*tz=", {"tz": "+08:00"}),
    (["2024-03-05 02:00:45 UTC"], "zone as a word.*tz=", {"tz": "UTC"}),
    (["2024-03-05T02:00:45GMT"], "zone as a word.*tz=", {"tz": "Asia/Shanghai"}),
    (["1709604045"], "numbers.*unit=", {"unit": "s"}),
    (["1709604045000"], "numbers.*unit=", {"unit": "ms"}),
    (pd.Series([1709604045], dtype=object), "numbers.*unit=", {"unit": "s"}),
    (pd.Series([1709604045.25]), "numbers.*unit=", {"unit": "s"}),
    (pd.Series([pd.Timestamp("2024-03-05 10:00:45")]), "tz_localize", {"tz": timezone(timedelta(hours=8))}),
    (pd.Series([np.datetime64("2024-03-05T10:00:45")], dtype=object), "without a time zone", {"tz": "+0800"}),
    (pd.Series([date(2024, 3, 5)], dtype=object), "dates without a time of day", None),
    (["2024-03-05"], "dates without a time of day", None),
]


@pytest.mark.parametrize(("column", "said", "cure"), WHOLE_COLUMNS)
def test_a_whole_column_that_fails_for_one_reason_says_how_and_the_cure_works(column, said, cure):
    with pytest.raises(FrameError, match=rf"'EndTime' holds .*{said}"):
        add_timings(table(EndTime=column))
    if cure is not None:
        jobs = add_timings(table(EndTime=column), **cure)
        assert jobs["end_time"].dt.floor("s").tolist() == [pd.Timestamp(ZONED)]
        assert jobs["timing_ok"].tolist() == [True]


def test_a_zone_or_a_unit_changes_nothing_that_says_its_instant_itself():
    expected = add_timings(table())
    pd.testing.assert_frame_equal(add_timings(table(), tz="America/New_York", unit="s"), expected)


def test_a_local_time_that_the_clocks_skip_or_repeat_is_flagged():
    two = pd.concat([table(), table(EndTime=["2024-11-03T01:30:00"])], ignore_index=True)
    assert add_timings(two, tz="America/New_York")["timing_ok"].tolist() == [True, False]


@pytest.mark.parametrize("settings", [{"tz": "Mars/Base"}, {"tz": 8}, {"unit": "h"}])
def test_a_zone_or_unit_that_is_none_is_named(settings):
    with pytest.raises(SettingsError, match=next(iter(settings))):
        add_timings(table(), **settings)


def test_the_names_of_the_frame_are_as_good_as_those_of_the_service():
    theirs = table(Tag=["Translation"])
    ours = theirs.rename(
        columns={"JobId": "job_id", "State": "state", "Tag": "tag", "CreationTime": "creation_time",
                 "StartTime": "start_time", "EndTime": "end_time"}
    )  # fmt: skip
    pd.testing.assert_frame_equal(add_timings(ours), add_timings(theirs))
    with pytest.raises(FrameError, match=r"'JobId' and 'job_id' are the same node"):
        add_timings(theirs.assign(job_id=["a1"]))


def test_a_column_without_any_time_is_missing_times():
    jobs = add_timings(table(State=["Submitted"], StartTime=[np.nan], EndTime=[None]))
    assert jobs["timing_ok"][0]


def test_ids_that_are_no_text_become_text():
    assert add_timings(table(JobId=[4711]))["job_id"].tolist() == ["4711"]


def test_the_moment_of_observation_is_told_or_stands_in_the_table_or_is_the_latest_time():
    two = pd.concat(
        [table(), table(State=["Running"], StartTime=["2024-03-05T11:00:00+0800"], EndTime=["-"])],
        ignore_index=True,
    )
    assert add_timings(two)["observed_at"].tolist() == [pd.Timestamp("2024-03-05T03:00:00Z")] * 2
    column = two.assign(observed_at=["2024-03-05T12:00:00+0800", "-"])
    assert add_timings(column)["observed_at"].tolist()[0] == pd.Timestamp("2024-03-05T04:00:00Z")
    assert pd.isna(add_timings(column)["observed_at"][1])
    told = add_timings(column, observed_at=pd.Timestamp("2024-03-05T10:00:10+0800"))
    assert told["observed_at"].tolist() == [pd.Timestamp("2024-03-05T02:00:10Z")] * 2
    assert told["timing_ok"].tolist() == [False, False]
    assert told["queue_latency_s"].tolist()[0] == 5.0
    assert add_timings(table(CreationTime=["-"], StartTime=["-"], EndTime=["-"]))["observed_at"].isna().all()
    assert len(add_timings(table().iloc[:0])) == 0


@pytest.mark.parametrize("moment", ["2024-03-05T10:00:00", "yesterday-ish", pd.NaT, NAIVE, [1]])
def test_a_moment_of_observation_without_zone_or_sense_is_refused(moment):
    with pytest.raises(FrameError, match="observed_at"):
        add_timings(table(), observed_at=moment)


def test_a_bad_observed_at_column_is_named():
    for bad in (["soon"], [pd.Timestamp("2024-03-05")], [3]):
        with pytest.raises(FrameError, match="'observed_at'"):
            add_timings(table(observed_at=bad))


def test_missing_renamed_and_repeated_columns_are_named():
    with pytest.raises(FrameError, match=r"StartTime, EndTime missing.*'start', 'EndTimes'.*rename"):
        add_timings(table().rename(columns={"StartTime": "start", "EndTime": "EndTimes"}))
    with pytest.raises(FrameError, match="'State'"):
        add_timings(pd.concat([table(), table()[["State"]]], axis=1))
    with pytest.raises(FrameError, match=r"'Input/Lang' and 'Input\.Lang'"):
        add_timings(table(**{"Input/Lang": ["zh"], "Input.Lang": ["en"]}))
    with pytest.raises(FrameError, match="no columns"):
        add_timings(pd.DataFrame())


def test_add_timings_leaves_the_users_table_alone():
    given = table()
    before = given.copy(deep=True)
    add_timings(given)
    pd.testing.assert_frame_equal(given, before)


# --- conform ---


@pytest.fixture
def jobs():
    return frame_of(
        [
            record(code="X", tag="T", job_level="2", audio_s="2.5"),
            Record("a2", "unread", None, "503"),
            record("a3"),
        ]
    )


@pytest.mark.parametrize("dtype", [object, "string"])
def test_conform_brings_back_the_exact_frame_from_text_and_objects(jobs, dtype):
    loose = jobs.astype(object).where(jobs.notna(), None) if dtype is object else jobs.astype("string")
    pd.testing.assert_frame_equal(conform(loose), jobs)


def test_conform_drops_categories_that_do_not_occur_but_keeps_every_outcome(jobs):
    part = conform(jobs[jobs["job_id"] == "a2"])
    assert list(part["tag"].cat.categories) == []
    assert part["outcome"].dtype == OUTCOME
    assert part.index.tolist() == [1]


def test_conform_mends_what_concat_does_to_categories(jobs):
    other = frame_of([record("a9", tag="Other")])
    both = pd.concat([jobs, other], ignore_index=True)
    assert conform(both).dtypes.astype(str).equals(jobs.dtypes.astype(str))
    assert conform(both)["tag"].tolist()[-1] == "Other"


def test_conform_puts_the_schema_first_and_keeps_other_columns(jobs):
    mixed = jobs.assign(team=[1, 2, 3])[["team", *reversed(COLUMNS)]]
    assert list(conform(mixed).columns) == [*COLUMNS, "team"]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("outcome", ["success", "great", "failed"]),
        ("outcome", [None, "success", "failed"]),
        ("creation_time", ["2024-03-05", None, None]),
        ("creation_time", pd.to_datetime(["2024-03-05"] * 3)),
        ("queue_latency_s", ["fast", None, None]),
        ("job_level", [1.5, None, None]),
        ("job_level", ["x", None, None]),
        ("timing_ok", ["yes", "no", "no"]),
        ("timing_ok", [True, None, False]),
    ],
)
def test_conform_names_the_column_that_does_not_fit(jobs, column, values):
    with pytest.raises(FrameError, match=column):
        conform(jobs.assign(**{column: values}))


def test_conform_names_missing_and_repeated_columns(jobs):
    with pytest.raises(FrameError, match=r"tag, error missing.*add_timings"):
        conform(jobs.drop(columns=["tag", "error"]))
    with pytest.raises(FrameError, match="'tag'"):
        conform(pd.concat([jobs, jobs[["tag"]]], axis=1))


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("timing_ok", ["true", "FALSE", "vielleicht"], r"'timing_ok' holds 'vielleicht' in row 3; write TRUE or FALSE"),
        ("timing_ok", ["true", None, "x"], "'timing_ok' holds 'x' in row 3"),
        ("queue_latency_s", [None, "1,5", None], r"'queue_latency_s' holds '1,5' in row 2; write a number"),
        ("job_level", ["1", "2", "high" * 99], r"'job_level' holds '(high){10}…' in row 3; write a whole number"),
        ("outcome", ["success", "great", None], "'outcome' holds 'great' in row 2; write one of success"),
        ("end_time", [None, "2024-03-05T10:00:00Z", "5.3.24"], "'end_time' holds '5.3.24' in row 3; write a time"),
    ],
)  # fmt: skip
def test_conform_names_the_row_and_what_to_write(jobs, column, values, said):
    with pytest.raises(FrameError, match=said):
        conform(jobs.assign(**{column: pd.Series(values, dtype=object)}))


class CapsuleOnly:
    """A table of another library: all that it shows is Arrow's C interface."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize("wrap", [lambda table: table, CapsuleOnly])
def test_tables_of_other_libraries_are_tables(jobs, wrap):
    arrow = pa.Table.from_pandas(jobs, preserve_index=False)
    pd.testing.assert_frame_equal(conform(wrap(arrow)), jobs)
    theirs = pa.Table.from_pandas(table(), preserve_index=False)
    pd.testing.assert_frame_equal(add_timings(wrap(theirs)), add_timings(table()))


def test_a_frame_that_arrow_backs_is_a_frame(jobs, tmp_path):
    jobs.to_parquet(tmp_path / "jobs.parquet")
    backed = pd.read_parquet(tmp_path / "jobs.parquet", dtype_backend="pyarrow")
    assert isinstance(backed["creation_time"].dtype, pd.ArrowDtype)
    pd.testing.assert_frame_equal(conform(backed), jobs)
    zoned = table(EndTime=pd.to_datetime([ENDED], utc=True)).convert_dtypes(dtype_backend="pyarrow")
    pd.testing.assert_frame_equal(add_timings(zoned), add_timings(table()))


@pytest.mark.parametrize(
    "wrap", [lambda table: table, CapsuleOnly, lambda table: table.to_pandas(types_mapper=pd.ArrowDtype)]
)
def test_of_jobs_that_arrow_holds_one_row_counts_and_only_needed_columns_are_converted(jobs, wrap):
    arrow = wrap(pa.Table.from_pandas(pd.concat([jobs, jobs], ignore_index=True), preserve_index=False))
    rows = len(jobs) + int(jobs["outcome"].isin(NOT_A_JOB).sum())
    with pytest.warns(CosaiWarning, match=f"{2 * len(jobs) - rows} of {2 * len(jobs)} rows"):
        assert len(one_row_a_job(arrow)) == rows
    few = as_frame(arrow, ["job_id", "creation_time", "nowhere"])
    assert [*few.columns] == ["job_id", "creation_time"]
    assert few.dtypes.tolist() == [TEXT, jobs["creation_time"].dtype]
    assert as_frame(jobs, ["job_id"]) is jobs


@pytest.mark.parametrize(
    "other", [None, [1, 2], "jobs.csv", {"tag": ["a"]}, pd.Series(["a"]), pa.array(["a"])]
)
def test_what_is_no_table_is_named(other):
    for read in (conform, add_timings):
        with pytest.raises(FrameError, match=f"This is {type(other).__name__}, no DataFrame"):
            read(other)


# --- further texts, and jobs that stand twice ---


def test_texts_beyond_the_schema_stand_behind_it():
    one = record("a1")
    records = [
        one._replace(values=(*one.values, "128000", None)),
        Record("a2", "not_found"),
        Record("a3", "unread"),
    ]
    jobs = frame_of(records, ["bitrate", "codec"])
    assert [*jobs.columns] == [*COLUMNS, "bitrate", "codec"]
    assert jobs["bitrate"].dtype == jobs["codec"].dtype == TEXT
    assert jobs["bitrate"].fillna("-").tolist() == ["128000", "-", "-"]
    pd.testing.assert_frame_equal(jobs[[*COLUMNS]], frame_of([one, *records[1:]]))
    assert frame_of([], ["bitrate"])["bitrate"].dtype == TEXT


@pytest.mark.parametrize("observed_ms", [253_402_300_799_000, -62_135_596_800_000, 10**17])
def test_a_clock_that_is_thousands_of_years_off_says_nothing(observed_ms):
    jobs = frame_of([record(observed_ms=observed_ms), Record("a2", "not_found", observed_ms)])
    assert jobs["observed_at"].isna().all()
    assert jobs["timing_ok"].tolist() == [True, False]
    str(jobs["observed_at"].dt.tz_convert("Asia/Shanghai"))


def test_of_a_job_that_stands_twice_the_furthest_state_is_kept_and_the_number_said():
    early, late = OBSERVED_MS, OBSERVED_MS + 1000
    jobs = frame_of(
        [
            record("a1", state="Submitted", start_time=None, end_time=None, observed_ms=early),
            record("a2", state="Running", end_time=None, observed_ms=early),
            record("a1", observed_ms=early),
            record("a2", state="Submitted", start_time=None, end_time=None, observed_ms=late),
            record("a1", state="Running", end_time=None, observed_ms=late),
            record("a3", state="Failed", observed_ms=late),
            record("a3", state="Success", observed_ms=early),
            record("a4"),
            Record("a4", "unread"),
        ]
    )
    with pytest.warns(CosaiWarning, match="4 of 9 rows were left out"):
        kept = one_row_a_job(jobs)
    assert kept[["job_id", "outcome"]].to_numpy().tolist() == [
        ["a2", "running"], ["a1", "success"], ["a3", "failed"], ["a4", "success"],
        ["a4", "unread"],
    ]  # fmt: skip
    assert kept.index.tolist() == [1, 2, 5, 7, 8]
    assert one_row_a_job(kept) is kept


def test_rows_without_an_id_are_not_one_job(jobs):
    nameless = pd.concat([jobs, jobs.assign(job_id=None)], ignore_index=True)
    assert len(one_row_a_job(nameless)) == len(nameless)
    assert one_row_a_job(jobs.drop(columns="job_id")).shape == (3, len(COLUMNS) - 1)
    as_objects = jobs.assign(job_id=jobs["job_id"].astype(object))
    assert one_row_a_job(as_objects) is as_objects


def test_ids_that_are_changed_after_they_were_looked_at_are_looked_at_again(jobs):
    assert one_row_a_job(jobs) is jobs
    jobs.loc[2, "job_id"] = "a1"
    with pytest.warns(CosaiWarning, match="1 of 3 rows"):
        assert len(one_row_a_job(jobs)) == 2
