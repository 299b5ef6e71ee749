"""Arguments that cannot be right say so, by name, before anything is asked, and show no login."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import cosai_nb as cn
from cosai_nb import arguments
from cosai_nb.arguments import base_url, check
from cosai_nb.errors import SettingsError
from cosai_nb.table.times import parse_times

FINE = {
    "bucket": "demo-1250000000",
    "region": "ap-beijing",
    "scheme": "https",
    "path": "/ai_jobs",
    "rate": None,
    "timeout": 30.0,
    "patience": 180.0,
}


def test_fine_settings_pass():
    check(**FINE)
    check(**{**FINE, "path": "/jobs", "rate": 0.1, "timeout": 1, "scheme": "http"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bucket", "demo"),
        ("bucket", "Demo-1250000000"),
        ("bucket", "demo-125\n"),
        ("bucket", "a.b-125"),
        ("bucket", "-demo-125"),
        ("bucket", "d" * 60 + "-125"),  # no label of a host name may have 64 characters
        ("bucket", ""),
        ("bucket", None),
        ("region", "ap-beijing.evil.com"),
        ("region", "ap beijing"),
        ("region", "a/b"),
        ("region", "ap-beijing\n"),
        ("region", None),
        ("scheme", "ftp"),
        ("scheme", ""),
        ("path", "ai_jobs"),
        ("path", "/ai_jobs/"),
        ("path", "/../x"),
        ("path", "/a?b"),
        ("path", ""),
        ("path", None),
        ("rate", 0),
        ("rate", -1),
        ("rate", float("nan")),
        ("rate", float("inf")),
        ("rate", "5"),
        ("timeout", 0),
        ("timeout", None),
        ("timeout", float("inf")),
        ("timeout", "30"),
        ("patience", float("nan")),
        ("patience", None),
        ("endpoint", 5),
        ("provider", "me"),
        ("clock", 5),
    ],
)
def test_a_wrong_setting_is_named(name, value):
    with pytest.raises(SettingsError, match=f"^{name}="):
        check(**{**FINE, name: value})


ASKED = {
    "tag": "Translation",
    "queue_id": "p1",
    "start": "2026-11-01",
    "end": "2026-11-02",
}
CALLS = {
    "fetch_jobs": lambda **given: cn.fetch_jobs(**{"job_ids": ["a1"], **given}),
    "watch_jobs": lambda **given: cn.watch_jobs(**{"job_ids": ["a1"], **given}),
    "list_jobs": lambda **given: cn.list_jobs(**{**ASKED, **given}),
    "list_queues": cn.list_queues,
    "describe_job": lambda **given: cn.describe_job("a1", **given),
}


@pytest.mark.parametrize(
    ("call", "name", "values"),
    [
        ("fetch_jobs", "batch_size", [2.5, "3", 0, 11, None, True]),
        ("fetch_jobs", "strict", ["no", None]),
        *(
            (call, "workers", ["3", 2.5, 0, None, True, 100_000])
            for call in ("fetch_jobs", "list_jobs", "watch_jobs")
        ),
        *((call, "deadline", ["x", -1, float("nan"), True]) for call in ("fetch_jobs", "watch_jobs")),
        *((call, "progress", ["yes", 1]) for call in ("fetch_jobs", "list_jobs", "watch_jobs")),
        *((call, "client", ["me", cn.Client, {}]) for call in CALLS),
        ("watch_jobs", "every", ["x", 0, None, float("inf")]),
        ("list_jobs", "tag", [5, "a&b", "", [], ["Translation", "a b"]]),
        ("list_jobs", "queue_id", [5, "p 1", [], ["p1", None]]),
        ("list_jobs", "states", [5, "Failed", ["Broken"], [5]]),
        ("list_jobs", "start", [5, None]),
    ],
)
def test_a_wrong_argument_is_a_sentence_that_names_it(wire, call, name, values):
    client = wire.client_of(lambda *_: pytest.fail("asked"))
    for value in values:
        with pytest.raises(SettingsError, match=rf"(?s)^{name}=.* (must|is no) .*\.$") as caught:
            CALLS[call](**{"client": client, name: value})
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("call", ["fetch_jobs", "watch_jobs", "list_jobs"])
def test_a_store_that_is_no_path_is_named_before_anything_is_asked(wire, call):
    client = wire.client_of(lambda *_: pytest.fail("asked"))
    with pytest.raises(SettingsError, match=r"^3 is no path"):
        CALLS[call](client=client, store=3)


def test_a_config_with_a_bucket_that_is_none():
    from qcloud_cos import CosConfig

    config = CosConfig(Region="ap-beijing", SecretId="AKID", SecretKey="hidden")
    for given, name in (
        ({"config": "cos.conf", "bucket": "demo-1250000000"}, "config"),
        ({"config": config, "bucket": 5}, "bucket"),
    ):
        with pytest.raises(SettingsError, match=f"^{name}=.* must be"):
            cn.Client.from_config(**given)


def test_a_long_value_is_shortened():
    with pytest.raises(SettingsError) as caught:
        check(workers="x" * 10_000)
    assert len(str(caught.value)) < 200


def test_numbers_of_numpy_are_numbers():
    check(workers=np.int64(3), batch_size=np.int32(10), deadline=np.float32(2.5), rate=np.float64(5))


@pytest.mark.parametrize(
    ("endpoint", "scheme", "url"),
    [
        ("demo-1.ci.ap-beijing.myqcloud.com", "https", "https://demo-1.ci.ap-beijing.myqcloud.com"),
        ("127.0.0.1:8080", "http", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080", "https", "http://127.0.0.1:8080"),
        ("https://ci.example.com/", "http", "https://ci.example.com"),
        ("localhost", "http", "http://localhost"),
        ("[::1]:8080", "http", "http://[::1]:8080"),
    ],
)
def test_endpoint_as_host_or_url(endpoint, scheme, url):
    assert base_url(endpoint, scheme) == url


@pytest.mark.parametrize(
    "endpoint",
    [
        "ftp://x",
        "http://x/path",
        "http://x?query",
        "http://x#fragment",
        "http://",
        "",
        "a b",
        "x\r\nHost: evil",
        "http://[::1",
        "x:99999",
        "x:0",
        "x:",
        "x:abc",
        "a..b",
        ".a",
        "x" * 64,
        "http://x\\@evil",
        "höst",
    ],
)
def test_an_endpoint_that_is_none(endpoint):
    with pytest.raises(SettingsError, match="endpoint"):
        base_url(endpoint, "https")


@pytest.mark.parametrize("endpoint", ["http://user:hidden@x", "user:hidden@x", "http://:hidden@x"])
def test_a_login_in_the_endpoint_is_refused_and_not_shown(endpoint):
    with pytest.raises(SettingsError, match="login") as caught:
        base_url(endpoint, "https")
    assert "hidden" not in str(caught.value)


def test_no_endpoint_takes_long_to_refuse():
    began = time.process_time()
    with pytest.raises(SettingsError):
        base_url("a" * 5_000 + "!", "https")
    with pytest.raises(SettingsError):
        base_url("a." * 5_000 + "!", "https")
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (90, 90.0),
        ("90", 90.0),
        (" 90s ", 90.0),
        ("1m30s", 90.0),
        ("1 min 30 s", 90.0),
        ("1.5m", 90.0),
        ("2h", 7_200.0),
        ("7d", 604_800.0),
        ("1d1h1m1s", 90_061.0),
        (timedelta(minutes=1), 60.0),
        (pd.Timedelta("90s"), 90.0),
        (np.float32(2.5), 2.5),
        (0, 0.0),
    ],
)
def test_a_duration_is_said_in_one_grammar(value, seconds):
    assert arguments.duration(value, "deadline") == seconds
    check(deadline=value)


@pytest.mark.parametrize(
    "value",
    ["", " ", "s", "90x", "-5", "1s1m", "1e3", "٣s", "90 s 5", True, None, -1, float("nan"), float("inf"), [], "9" * 400,
     timedelta(seconds=-1), pd.NaT, "1:30"],
)  # fmt: skip
def test_what_is_no_duration_is_refused_by_name(value):
    with pytest.raises(
        SettingsError, match=r"^deadline=.* must be seconds from 0 up, or a duration such as 90s"
    ):
        arguments.duration(value, "deadline")


@pytest.mark.parametrize("value", [0.02, "0.02", "2%", " 2 % ", ".02", np.float64(0.02)])
def test_a_share_is_said_in_one_grammar(value):
    assert arguments.share(value, "target") == pytest.approx(0.02)


@pytest.mark.parametrize("value", [2, "2", "200%", "-1%", "", "%", None, True, float("nan"), "2 %%", "1e-2"])
def test_what_is_no_share_is_refused_by_name(value):
    with pytest.raises(
        SettingsError,
        match=r"^target=.* must be a share from 0 to 1: write 95 % as target=0.95 or target='95%'",
    ):
        arguments.share(value, "target")


@pytest.mark.parametrize("value", ["10m:95%", "600:0.95", "600 s : 95 %", (600, 0.95), ["10m", "95%"]])
def test_a_limit_is_a_duration_and_a_share(value):
    assert arguments.limit(value, "slo") == (600.0, 0.95)


@pytest.mark.parametrize(
    "value", ["", "600", "600:", ":95%", "600:0", "600:2", "10:20:30", None, 5, (600,), ("x", 1)]
)
def test_what_is_no_limit_is_refused_by_name(value):
    with pytest.raises(SettingsError, match=r"^slo=.* must be DURATION:SHARE, as in 10m:95%"):
        arguments.limit(value, "slo")


@pytest.mark.parametrize(
    ("value", "hours"),
    [
        ("Asia/Shanghai", 8),
        ("UTC", 0),
        ("+08:00", 8),
        ("-0330", -3.5),
        ("UTC+08:00", 8),
        (UTC, 0),
        (timezone(timedelta(hours=8)), 8),
    ],
)
def test_names_offsets_and_tzinfo_objects_are_time_zones(value, hours):
    offset = datetime(2026, 11, 1, tzinfo=arguments.zone(value)).utcoffset()
    assert offset == timedelta(hours=hours)


@pytest.mark.parametrize(
    "value", ["Mars/Base", "", "../etc/passwd", "/etc/localtime", "+25:00", "+8", None, 8, b"UTC", []]
)
def test_what_is_no_time_zone_is_refused_by_name(value):
    with pytest.raises(
        SettingsError, match=r"^tz=.* is no time zone that this machine knows; write a name like"
    ):
        arguments.zone(value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1970-01-02", 57_600),
        (date(1970, 1, 2), 57_600),
        ("1970-01-02T00:00:00.5Z", 86_401),
        (datetime(1970, 1, 2, 0, 0, 0, 1, tzinfo=UTC), 86_401),
        (pd.Timestamp("1970-01-02", tz="UTC"), 86_400),
        ("36h", 870_400),
        ("1 d 12 h", 870_400),
        (timedelta(hours=36), 870_400),
        ("0s", 1_000_000),
    ],
)
def test_a_moment_is_a_time_or_how_long_ago(value, seconds):
    assert arguments.moment(value, "start", now=999_999.5 if seconds > 800_000 else 0) == seconds


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (datetime(2026, 9, 22), "no time zone: write start='2026-09-22T00:00:00'"),  # noqa: DTZ001 - the point
        ("yesterday", "is no time"),
        ("5", "is no time"),
        (5, "is no time"),
        (None, "is no time"),
        (pd.NaT, "start=NaT is no time"),
        ("0001-01-01", "start=0001-01-01 is not in the years 1970 to 9998"),
        ("7d", "start=7d is not in the years 1970"),
        ("9999-12-31", "9998"),
    ],
)
def test_what_is_no_moment_is_refused_by_name(value, said):
    with pytest.raises(SettingsError, match=said):
        arguments.moment(value, "start", now=0)


def test_one_time_of_the_service_is_read_as_a_whole_column_is():
    texts = [
        f"{day}{between}12:12:{second}{zone}"
        for day in (
            "2022-07-07",
            "2024-02-29",
            "2023-02-29",
            "1969-12-31",
            "2199-12-31",
            "2200-01-01",
            "2022-13-01",
        )
        for between in ("T", " ", "_")
        for second in ("12", "60", "1", "12.", "12.999999999999")
        for zone in ("+0800", "+08:00", "+08", "Z", "", "+24:00", "+0860", "z")
    ]
    texts += ["", "-", "2022-07-07", "٢٠٢٢-07-07T12:12:12Z", "2022-07-07T12:12Z", "2022-07-07T12:12:12Z\n"]
    values = parse_times(pa.array(texts)).values.astype("M8[s]")
    expected = [None if np.isnat(value) else int(value.astype(np.int64)) for value in values]
    assert [arguments.wire_seconds(text) for text in texts] == expected
    assert sum(value is not None for value in expected) > 30
    assert arguments.wire_seconds(None) is None


def test_a_tilde_is_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert arguments.path("~/jobs.csv") == tmp_path / "jobs.csv"
    assert arguments.path(Path("a~b")) == Path("a~b")


def test_without_a_home_a_tilde_is_refused_and_a_whole_path_is_not(monkeypatch):
    def homeless(_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(
        Path, "expanduser", lambda path: homeless(path) if str(path).startswith("~") else path
    )
    assert arguments.path("/tmp/x") == Path("/tmp/x")
    with pytest.raises(SettingsError, match=r"^'~/x' is no path here: this user has no home folder"):
        arguments.path("~/x")


@pytest.mark.parametrize("value", ["", 3, None, b"jobs", "a\0b", ["x"]])
def test_what_is_no_path_is_refused(value):
    with pytest.raises(
        SettingsError, match=r"is no path: name a file or folder by a text or a pathlib\.Path\.$"
    ):
        arguments.path(value)


def test_a_path_of_half_a_character_is_refused():
    with pytest.raises(SettingsError, match=r"is no path: this system cannot write its characters\.$"):
        arguments.path("a\ud800")


def test_columns_are_new_names_and_paths():
    check(columns=None)
    check(columns={"bitrate": "Operation/MediaInfo/Format/Bitrate", "Länge": "Size"})
    for wrong in (
        {"": "A"},
        {" ": "A"},
        {"x": ""},
        {"x": "/A"},
        {"x": "A//B"},
        {"x": "A b"},
        {"x": None},
        {5: "A"},
        ["x"],
    ):
        with pytest.raises(
            SettingsError, match=r"(?s)^columns=.* must map new columns to paths below JobsDetail"
        ):
            check(columns=wrong)
    for taken in ("state", "queue_latency_s", "queue_name"):
        with pytest.raises(SettingsError, match=f"^columns: '{taken}' hides a promised column"):
            check(columns={"fine": "Size", taken: "State"})


def test_tags_and_queues_are_none_one_or_many():
    for value in (None, "Translation", ["a", "b"], ("a",), {"a"}, pd.Index(["a"])):
        check(tag=value, queue_id=value)
    check(queue_id="翻译-queue*1")
    with pytest.raises(SettingsError, match=r"^family='vod' must be one of ai, media, asr"):
        check(family="vod")
    with pytest.raises(SettingsError, match=r"^engine='urllib' must be 'requests', 'curl' or None"):
        check(engine="urllib")


def test_the_nearest_word_is_found_in_any_case():
    known = ["Translation", "SpeechRecognition", "WordsGeneralize"]
    assert [
        arguments.nearest(word, known) for word in ("translation", "WORDSGENERALISE", "speechrecog", "zzz")
    ] == [
        "Translation",
        "WordsGeneralize",
        "SpeechRecognition",
        None,
    ]


def test_none_fits_where_its_sentence_says_so_and_nowhere_else():
    admit = {"endpoint", "engine", "rate", "provider", "clock", "client", "deadline", "progress", "tag",
             "queue_id", "states", "columns"}  # fmt: skip
    for name in arguments._RULES:
        if name in admit:
            check(**{name: None})
        else:
            with pytest.raises(SettingsError, match=f"^{name}=None must "):
                check(**{name: None})
