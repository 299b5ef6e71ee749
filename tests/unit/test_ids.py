"""Which IDs come near a URL: robustness §3, 1 to 18, and issue 2 "Bad input"."""

from __future__ import annotations

from enum import Enum, StrEnum

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosai_nb.errors import CosaiError, InvalidIdError, SettingsError
from cosai_nb.query.asked import admit, why_invalid
from cosai_nb.schema import Record

GOOD = "a8d121820f5e411ec926ef19d53ba9c6f"
BAD_TEXTS = [
    "",
    ".",
    "..",
    "../buckets",
    "x/..",
    "%2e%2e/buckets",
    "a?states=All",
    "a?x",
    "a#b",
    "a/b",
    "a\r\nX-Evil: 1",
    "a\r\nX: 1",
    "j1\n",
    " j1 ",
    "a\\b",
    "j1,j2",
    "j1%2Cj2",
    "x" * 9_000,
    "job🙂",
    "j１",  # a full-width digit, which str.isdigit and \d take
    "j\u0661",
    "j\u0130",
    "a\x00b",
    "a;b",
    "a&b",
    "a@b",
    "a:b",
    "\u202eabc",
    "\ud800",
]
BAD_VALUES = [None, float("nan"), pd.NA, pd.NaT, 123, 1.5, b"j1", True, ["j1"], {"j1": 1}, object]


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_a_bad_text_gets_its_row_and_the_rest_goes_on(text):
    before, bad, after = admit(["j0", text, "j2"])
    assert (before, after) == ("j0", "j2")
    assert isinstance(bad, Record)
    assert (bad.job_id, bad.fate, bad.values) == (text, "invalid_id", ())
    assert bad.error == why_invalid(text)
    assert len(bad.error) < 120


@pytest.mark.parametrize("value", BAD_VALUES, ids=repr)
def test_a_value_that_is_no_string_stands_there_as_its_repr(value):
    before, bad, after = admit(["j0", value, "j2"])
    assert (before, after) == ("j0", "j2")
    assert (bad.job_id, bad.fate) == (repr(value), "invalid_id")
    assert type(value).__name__ in bad.error


@pytest.mark.parametrize("value", [*BAD_TEXTS, *BAD_VALUES], ids=ascii)
def test_strict_names_the_position(value):
    with pytest.raises(InvalidIdError, match="position 2 ") as caught:
        admit(["j0", "j1", value, ".."], strict=True)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, CosaiError)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", [GOOD, "j" + "0" * 127, "jabcsdssfeipplsdfwe", "A_b-9", "-", "0"])
def test_good_ids_pass_as_they_are(text):
    assert admit([text], strict=True) == [text]


def test_one_character_more_than_the_limit_is_one_too_many():
    assert why_invalid("j" * 128) is None
    assert why_invalid("j" * 129) == "has 129 characters; IDs have at most 128"


def test_the_same_id_a_thousand_times_is_asked_once():
    assert admit([GOOD] * 1000) == [GOOD]
    assert len(admit([None] * 5 + [float("nan")] * 5 + [".."] * 5)) == 3


def test_a_text_and_a_value_of_the_same_look_are_two():
    text, value = admit(["None", None])
    assert text == "None"
    assert isinstance(value, Record)


def test_first_seen_order():
    assert admit(["b", "a", "b", "c", "a"]) == ["b", "a", "c"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: iter(["b", "a", "b"]),
        lambda: pd.Series(["b", "a", "b"], index=[7, 7, 7]),
        lambda: pd.Series(["b", "a", "b"], dtype="category"),
        lambda: pd.Series(["b", "a", "b"], dtype="string"),
        lambda: pd.Index(["b", "a"]),
        {"b": 1, "a": 2}.keys,
        lambda: {"b": 1, "a": 2},
        lambda: np.array(["b", "a", "b"]),
        lambda: np.array(["b", "a"], dtype=object),
        lambda: ("b", "a"),
    ],
)
def test_any_iterable(make):
    admitted = admit(make())
    assert admitted == ["b", "a"]
    assert all(type(job_id) is str for job_id in admitted)


def test_a_set_in_any_order():
    assert sorted(admit({"b", "a"})) == ["a", "b"]


def test_a_missing_value_in_a_series():
    good, bad = admit(pd.Series(["a", pd.NA], dtype="string"))
    assert (good, bad.job_id, bad.fate) == ("a", "<NA>", "invalid_id")


def test_no_ids():
    assert admit([]) == []


@pytest.mark.parametrize("value", ["j1", b"j1", bytearray(b"j1"), None, 5])
def test_a_single_text_is_not_taken_apart_and_what_is_no_list_is_named(value):
    with pytest.raises(SettingsError, match=rf"job_ids is {type(value).__name__}: pass a list") as caught:
        admit(value)
    assert isinstance(caught.value, TypeError)


def test_a_frame_is_not_its_column_names():
    with pytest.raises(SettingsError, match="column"):
        admit(pd.DataFrame({"job_id": ["j1"]}))


def test_a_subclass_cannot_smuggle_another_text():
    class Sly(str):
        __slots__ = ()

        def __str__(self):
            return "../buckets"

    class Old(str, Enum):  # noqa: UP042 - whose str() is not its text, unlike StrEnum's
        J = "j1"

    class New(StrEnum):
        J = "j2"

    admitted = admit([Sly("j0"), Old.J, New.J])
    assert admitted == ["j0", "j1", "j2"]
    assert all(type(job_id) is str for job_id in admitted)


@given(
    st.lists(
        st.one_of(st.text(max_size=6), st.text("ab-_", max_size=3), st.integers(), st.none(), st.floats())
    )
)
def test_every_distinct_value_has_one_entry_and_nothing_unsafe_passes(values):
    admitted = admit(values)
    assert len(admitted) == len(
        {(isinstance(value, str), value if isinstance(value, str) else repr(value)) for value in values}
    )
    for entry in admitted:
        if isinstance(entry, str):
            assert entry
            assert set(entry) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
        else:
            assert entry.error
