"""The vectorised grammar against plain Python: what is accepted, and which instant it means."""

import re
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from cosai_nb.table.times import parse_times

SHAPE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:(Z)|([+-])(\d\d)(?::?(\d\d))?)", re.ASCII
)
NAIVE_BOUNDS = datetime(1970, 1, 2), datetime(2199, 12, 30)  # noqa: DTZ001  # hypothesis wants them so
MANY = settings(max_examples=250, deadline=None)


def plain(text):
    """Milliseconds since the epoch by plain Python, None where the text is no time: the truth beside the fast way."""
    found = SHAPE.fullmatch(text)
    if not found:
        return None
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    zone_hour, zone_minute = int(found[10] or 0), int(found[11] or 0)
    if not 1970 <= year <= 2199 or zone_hour > 23 or zone_minute > 59:
        return None
    offset = timedelta(hours=zone_hour, minutes=zone_minute) * (-1 if found[9] == "-" else 1)
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone(offset))
    except ValueError:
        return None
    milliseconds = int((found[7] or "").ljust(3, "0")[:3])
    return (moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        milliseconds=1
    ) + milliseconds


digits = st.sampled_from("0123456789")
two = st.builds(lambda a, b: a + b, digits, digits)
nearly = st.builds(
    "{}-{}-{}{}{}:{}:{}{}{}".format,
    st.one_of(st.integers(1960, 2210).map(str), st.builds(lambda a, b: a + b, two, two)),
    st.one_of(st.integers(0, 13).map("{:02}".format), two),
    st.one_of(st.integers(27, 32).map("{:02}".format), two),
    st.sampled_from(["T", " ", "t", ""]),
    st.one_of(st.integers(0, 24).map("{:02}".format), two),
    st.one_of(st.integers(0, 60).map("{:02}".format), two),
    st.one_of(st.integers(0, 60).map("{:02}".format), two),
    st.one_of(st.just(""), st.text("0123456789", max_size=12).map(".{}".format)),
    st.one_of(
        st.sampled_from(
            [
                "",
                "Z",
                "z",
                "+08",
                "-08",
                "+0800",
                "+08:00",
                "+8",
                "+2400",
                "+2359",
                "+0060",
                "-0000",
                "+0800 ",
            ]
        ),
        st.builds("{}{}{}".format, st.sampled_from("+-"), two, two),
    ),
)
usual_length = st.text("0123456789-:TZ+. ", min_size=24, max_size=24)
edited = st.builds(
    lambda position, char: (
        "2022-07-07T12:12:12+0800"[:position] + char + "2022-07-07T12:12:12+0800"[position + 1 :]
    ),
    st.integers(0, 23),
    st.one_of(st.sampled_from("0123456789-:TZ+. \n\t,/"), st.characters(blacklist_categories=["Cs"])),
)
texts = st.one_of(
    nearly, usual_length, edited, st.text(st.characters(blacklist_categories=["Cs"]), max_size=30)
)


def agrees(batch):
    times = parse_times(pa.array(batch, pa.large_string()))
    expected = [None if text in {None, "", "-"} else plain(text) for text in batch]
    values = [None if np.isnat(value) else int(value.astype(np.int64)) for value in times.values]
    assert values == expected
    assert times.malformed.tolist() == [
        text not in {None, "", "-"} and moment is None for text, moment in zip(batch, expected, strict=True)
    ]


@MANY
@given(st.lists(st.one_of(texts, st.sampled_from([None, "-", ""])), max_size=30))
def test_any_texts_together_are_what_plain_python_says(batch):
    agrees(batch)


@MANY
@given(texts)
def test_one_text_alone_is_what_plain_python_says(text):
    agrees([text])  # alone it takes the fast way, which may not accept more than the careful one


@MANY
@given(
    st.lists(
        st.datetimes(*NAIVE_BOUNDS, timezones=st.just(UTC)),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from(["+0800", "-0500", "+0000", "+0545"]),
)
def test_the_services_own_form_is_read_back(moments, zone):
    offset = timedelta(hours=int(zone[:3]), minutes=int(zone[3:]))
    local = [moment.astimezone(timezone(offset)).strftime("%Y-%m-%dT%H:%M:%S%z") for moment in moments]
    values = parse_times(pa.array(local)).values
    assert values.astype("M8[s]").tolist() == [
        moment.replace(microsecond=0, tzinfo=None) for moment in moments
    ]
