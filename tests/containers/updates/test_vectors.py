"""Every case of tests/vectors/updates.json, run as it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from containers.rules.cases import UnknownCaseError, answer_case
from tests.vectors import vectors

KINDS = ("candidate", "transform", "label", "digest", "reference")
CASES = [case for kind in KINDS for case in vectors(kind)]


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_vector_gives_what_is_expected(case: dict[str, Any]) -> None:
    got, steps = answer_case({key: case[key] for key in ("id", "kind", "input")})

    assert {key: got.get(key) for key in case["expect"]} == case["expect"]
    assert len(json.dumps(steps)) < 20_000


def test_vectors_are_all_run() -> None:
    stored = json.loads((Path(__file__).parents[2] / "vectors" / "updates.json").read_text())

    assert len(CASES) == len(stored) >= 163
    assert {case["kind"] for case in stored} == set(KINDS)


@pytest.mark.parametrize(
    "case",
    [
        None,
        [],
        {},
        {"id": "x", "kind": "none", "input": {}},
        {"id": "x", "kind": "candidate"},
        {"id": "x", "kind": "candidate", "input": {"current_tag": "1.2.3"}},
        {"id": "x", "kind": "label", "input": {"labels": []}},
        {"id": "x", "kind": "transform", "input": {"transform": "a => b", "tag": 5}},
        {"id": "x", "kind": "digest", "input": {"image": 5, "image_id": "x"}},
    ],
)
def test_case_that_is_none_says_so(case: Any) -> None:
    with pytest.raises(UnknownCaseError):
        answer_case(case)
