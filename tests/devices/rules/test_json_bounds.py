"""JSON of peers that are not trusted."""

import pytest

from devices.rules.json_bounds import JsonError, decode_json


@pytest.mark.parametrize("text", [b"[]", b'{"a": [1, 2]}', b'"x"', b"null", b'["' + b"," * 50 + b'"]'])
def test_usual_json_is_decoded(text: bytes) -> None:
    assert decode_json(text, 100) is not NotImplemented


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 99_999 + b"]" * 99_999, "nested too deeply"),
        (b"[" + b"0," * 1_000_001 + b"0]", "more values"),
        (b"[" + b"{}," * 600_000 + b"{}]", "more values"),
    ],
    ids=["empty", "cut", "bytes", "deep", "numbers", "objects"],
)
def test_json_that_is_no_good_is_an_error(text: bytes, words: str) -> None:
    with pytest.raises(JsonError, match=words):
        decode_json(text)
