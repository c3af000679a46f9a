"""Why a hit was not the one, asked and answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.messages import SelectField, TextField
from bot.domain.objections import REASONS, objection_form, objection_in


@pytest.mark.parametrize(
    ("answers", "reason"),
    (
        ({"reason": "outdated"}, "outdated"),
        ({"reason": "other", "note": " was \n fixed"}, "other: was fixed"),
        ({"reason": "<script>"}, "other"),
        ({}, "other"),
    ),
)
def test_reasons_are_among_those_offered(answers: dict[str, str], reason: str) -> None:
    assert objection_in(answers) == reason


@given(st.sampled_from(REASONS), st.text(max_size=180))
def test_what_was_said_is_filled_in_again(reason: str, note: str) -> None:
    said = objection_in({"reason": reason, "note": note})
    assert objection_in(_initial(said)) == said


def test_a_reason_of_another_version_is_kept_as_words() -> None:
    assert _initial("too vague") == {"reason": "other", "note": "too vague"}


def _initial(said: str) -> dict[str, str]:
    form = objection_form("t", interaction="i", value="v", said=said)
    (select, note) = form.fields
    assert isinstance(select, SelectField)
    assert isinstance(note, TextField)
    return {"reason": select.initial or "", "note": note.initial}
