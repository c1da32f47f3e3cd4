"""Image references: the shared vectors, and round trips of whatever parses."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registries.rules.references import ImageId, ImageReference, InvalidReferenceError, parse_reference
from tests.vectors import vectors


def answer(text: str) -> dict[str, Any]:
    """What the rules say of a reference, in the keys of the vectors."""
    try:
        found = parse_reference(text)
    except InvalidReferenceError as exc:
        return {"valid": False, "error": exc.problem}
    if isinstance(found, ImageId):
        return {"valid": True, "image_id": found.digest}
    return {
        "valid": True,
        "registry": found.registry,
        "repository": found.repository,
        "tag": found.tag,
        "digest": found.digest,
        "familiar": found.familiar,
    }


@pytest.mark.parametrize("case", vectors("reference"), ids=lambda case: case["id"])
def test_reference_of_the_vectors_gives_what_they_expect(case: dict[str, Any]) -> None:
    got = answer(case["input"]["reference"])

    assert {key: got.get(key) for key in case["expect"]} == case["expect"], case["why"]


PART = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=12)
HOST = st.sampled_from(["", "localhost/", "ghcr.io/", "registry.example.com:5000/", "[fe80::1]:5000/", "10.0.0.7/"])
TAG = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)


@given(HOST, st.lists(PART, min_size=1, max_size=4), st.none() | TAG, st.booleans())
def test_reference_in_any_form_keeps_its_meaning(host: str, parts: list[str], tag: str | None, pinned: bool) -> None:
    digest = "sha256:" + "0f" * 32
    text = host + "/".join(parts) + (f":{tag}" if tag else "") + (f"@{digest}" if pinned else "")

    found = parse_reference(text)

    if isinstance(found, ImageReference):
        assert parse_reference(str(found)) == found
        assert parse_reference(found.familiar) == found
        assert (found.digest == digest) == pinned
        assert found.tag == (tag or (None if pinned else "latest"))


@given(st.text(max_size=1100))
def test_reference_of_any_text_parses_or_is_refused(text: str) -> None:
    try:
        parse_reference(text)
    except InvalidReferenceError as exc:
        assert str(exc)
