"""What is answered to which question of a server."""

import time

import pytest

from devices.rules.prompts import Respondent, matches
from devices.rules.targets import Answer


@pytest.mark.parametrize(
    ("pattern", "prompt", "expected"),
    [
        ("code", "Verification CODE: ", True),
        ("*code*", "Verification code:", True),
        ("PIN*token", "Enter PIN of your token:", True),
        ("token*PIN", "Enter PIN of your token:", False),
        ("*", "anything", True),
        ("", "anything", True),
        ("Straße", "STRASSE?", True),
        ("x", "", False),
    ],
)
def test_pattern_fits_a_question_by_its_pieces_in_order(pattern: str, prompt: str, *, expected: bool) -> None:
    assert matches(pattern, prompt) is expected


def test_pattern_of_an_attacker_ends_in_time() -> None:
    started = time.monotonic()

    matches("a*" * 5000, "a" * 100_000)

    assert time.monotonic() - started < 1


def test_password_goes_to_one_hidden_question_alone() -> None:
    respondent = Respondent((Answer("*code*", "123"),), "secret")

    assert respondent.answer("Password: ", echo=False) == "secret"
    assert respondent.answer("Password: ", echo=False) == "secret"
    assert respondent.answer("Verification code: ", echo=False) == "123"
    assert respondent.answer("New password: ", echo=False) is None
    assert respondent.answer("Your name: ", echo=True) is None
    assert respondent.unanswered == ["New password: ", "Your name: "]


def test_first_answer_that_fits_wins() -> None:
    respondent = Respondent((Answer("pin", "1"), Answer("*", "2")), None)

    assert [respondent.answer(text, echo=False) for text in ("PIN?", "else?")] == ["1", "2"]
