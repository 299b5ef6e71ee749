"""The schema says each fact once, and says it of every column."""

import pytest

from cosai_nb.schema import COLUMNS, ENDED, NOT_A_JOB, OUTCOME_OF_STATE, UNFINISHED, WIRE, Outcome, State


def test_every_outcome_is_of_exactly_one_kind():
    assert set(Outcome) == ENDED | UNFINISHED | NOT_A_JOB
    assert len(ENDED) + len(UNFINISHED) + len(NOT_A_JOB) == len(Outcome)


def test_every_documented_state_has_an_outcome_and_none_means_no_job():
    assert set(OUTCOME_OF_STATE) == set(State)
    assert not set(OUTCOME_OF_STATE.values()) & NOT_A_JOB
    assert Outcome.UNKNOWN not in OUTCOME_OF_STATE.values()


def test_states_are_found_by_the_text_of_the_service():
    assert OUTCOME_OF_STATE["Pause"] is Outcome.WAITING
    assert OUTCOME_OF_STATE.get("pause") is None


def test_no_path_stands_twice_and_none_lies_below_another():
    paths = [column.path for column in WIRE]
    assert len(set(paths)) == len(paths)
    assert not [(path, other) for path in paths for other in paths if other.startswith(f"{path}/")]


def test_a_path_belongs_to_what_the_answer_says():
    assert {bool(column.path) for column in COLUMNS.values() if column.source == "answer"} == {True}
    assert {bool(column.path) for column in COLUMNS.values() if column.source != "answer"} == {False}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=lambda column: column.name)
def test_every_column_is_explained(column):
    assert COLUMNS[column.name] is column
    assert column.meaning
    assert bool(column.unit) == (column.name.endswith(("_s", "_time", "_at")))


def test_columns_cannot_be_changed():
    with pytest.raises(TypeError):
        COLUMNS["job_id"] = None
    with pytest.raises(AttributeError):
        COLUMNS["job_id"].dtype = "object"
