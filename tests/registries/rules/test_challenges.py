"""Reading WWW-Authenticate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registries.rules.challenges import MAX_CHALLENGES, Challenge, choose_challenge, parse_challenges

_NAMES = st.text(alphabet="abcdefghijklmnopqrstuvwxyz-_", min_size=1, max_size=12)
_VALUES = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
_CHALLENGES = st.lists(
    st.builds(Challenge, st.sampled_from(["basic", "bearer", "digest"]), st.dictionaries(_NAMES, _VALUES, max_size=4)),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (['Basic realm="basic-realm"'], [("basic", {"realm": "basic-realm"})]),
        (
            ['Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push"'],
            [("bearer", {"realm": "https://a/t", "service": "s", "scope": "repository:a/b:pull,push"})],
        ),
        (['BEARER Realm = "x" , SERVICE=y'], [("bearer", {"realm": "x", "service": "y"})]),
        (['Basic realm="a", Bearer realm="b"'], [("basic", {"realm": "a"}), ("bearer", {"realm": "b"})]),
        (['Basic realm="a"', 'Bearer realm="b"'], [("basic", {"realm": "a"}), ("bearer", {"realm": "b"})]),
        (["Negotiate, Basic realm=x"], [("negotiate", {}), ("basic", {"realm": "x"})]),
        (["Negotiate YII=, Basic realm=x"], [("negotiate", {}), ("basic", {"realm": "x"})]),
        (["Negotiate abc==, Basic realm=x"], [("negotiate", {}), ("basic", {"realm": "x"})]),
        (["NTLM TlRMTVNTUAAB, Basic realm=x"], [("ntlm", {}), ("basic", {"realm": "x"})]),
        ([r'Basic realm="say \"hi\", a=b"'], [("basic", {"realm": 'say "hi", a=b'})]),
        (["Bearer realm=https://a.b/t,service=x"], [("bearer", {"realm": "https://a.b/t", "service": "x"})]),
        ([',, Basic realm="x",, '], [("basic", {"realm": "x"})]),
        (['Bearer realm="x" service="y"'], [("bearer", {"realm": "x", "service": "y"})]),
        (['Bearer realm="x",realm="evil"'], [("bearer", {"realm": "x"})]),
        (['Bearer realm="unfinished'], [("bearer", {})]),
        (["Basic"], [("basic", {})]),
        (["", "   ", "=,=", '"', "é"], []),
    ],
)
def test_challenges_are_read_token_by_token(headers: list[str], expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(found.scheme, found.parameters) for found in parse_challenges(headers)] == expected


@given(_CHALLENGES)
def test_challenges_written_by_the_grammar_are_read_back(challenges: list[Challenge]) -> None:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    text = ", ".join(
        f"{item.scheme} " + ",".join(f"{name}={quoted(value)}" for name, value in item.parameters.items())
        if item.parameters
        else item.scheme
        for item in challenges
    )

    assert parse_challenges([text]) == challenges


@given(st.lists(st.text(max_size=200), max_size=4))
def test_any_text_is_read_without_an_error(headers: list[str]) -> None:
    assert len(parse_challenges(headers)) <= MAX_CHALLENGES


@pytest.mark.parametrize("text", ["a=" * 4000, '"' * 8000, "\\" * 8000, 'a="' + "\\" * 8000, "a " * 4000, "," * 8000])
def test_long_nonsense_is_read_quickly(text: str) -> None:
    parse_challenges([text, f"Bearer {text}", f'Bearer realm="{text}'])


def test_bearer_with_a_realm_is_chosen_before_basic() -> None:
    basic = Challenge("basic", {"realm": "a"})
    bearer = Challenge("bearer", {"realm": "https://a/"})

    assert choose_challenge([basic, bearer]) is bearer
    assert choose_challenge([basic, Challenge("bearer")]) is basic
    assert choose_challenge([Challenge("negotiate")]) is None
