"""What a name gives away is masked, whatever is cut stays storable, and no text costs more than its length."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.rules.masking import (
    MASK,
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_STRING,
    clean_text,
    is_secret_name,
    mask_text,
    mask_variable,
    masked,
    scalar_text,
)
from tests.containers.hostile import ANYTHING, deep


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run --password=hunter2 --port=80", f"run --password={MASK} --port=80"),
        ("TOKEN: abc def", f"TOKEN: {MASK} def"),
        ("MYSQL_ROOT_PASSWORD = secret", f"MYSQL_ROOT_PASSWORD = {MASK}"),
        ('{"password": "two words", "port": 80}', f'{{"password": {MASK}, "port": 80}}'),
        ("password='it is' x", f"password={MASK} x"),
        ('curl -H "Authorization: Bearer abc.def" x', f'curl -H "Authorization: {MASK} x'),
        ("api-key=1 apikey=2 api_key=3", f"api-key={MASK} apikey={MASK} api_key={MASK}"),
        ("outer=token=inner", f"outer=token={MASK}"),
        ("postgres://user:pa55@db/x?sslmode=off", f"postgres://user:{MASK}@db/x?sslmode=off"),
        ("HTTPS://u:p@h", f"HTTPS://u:{MASK}@h"),
        ("https://host/path:80@x", "https://host/path:80@x"),
        ("author=me authors: we", "author=me authors: we"),
        ("no secrets here", "no secrets here"),
        ("password=", "password="),
        ("", ""),
    ],
)
def test_mask_text_table(text: str, expected: str) -> None:
    assert mask_text(text) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("PASSWORD", True),
        ("DB_PASSWD", True),
        ("POSTGRES_PASS", True),
        ("PGPWD", True),
        ("github.token", True),
        ("Api-Key", True),
        ("ApiKey", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("traefik.http.middlewares.a.basicauth.users", True),
        ("proxy.auth", True),
        ("author", False),
        ("compass", False),
        ("PATH", False),
        ("", False),
    ],
)
def test_is_secret_name_table(name: str, expected: bool) -> None:
    assert is_secret_name(name) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Env": ["A=1", "B=2=3", "C", 4, None]}, {"Env": [f"A={MASK}", f"B={MASK}", "C", "4", ""]}),
        ({"password": "x"}, {"password": MASK}),
        ({"password": ""}, {"password": ""}),
        ({"password": 1234}, {"password": MASK}),
        ({"password": None, "token": True}, {"password": None, "token": True}),
        ({"secrets": ["a", {"b": 1, "c": []}]}, {"secrets": [MASK, {"b": MASK, "c": []}]}),
        (["--token", "x", "y"], ["--token", MASK, "y"]),
        (["--token", "--other", "x"], ["--token", "--other", "x"]),
        (["-password"], ["-password"]),
        (["--token", 5, "x"], ["--token", 5, "x"]),
        ({"x": float("nan"), "y": float("inf"), "z": 1.5}, {"x": "nan", "y": "inf", "z": 1.5}),
        (True, True),
        (None, None),
    ],
)
def test_masked_table(value: Any, expected: Any) -> None:
    assert masked(value) == expected


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [("A=b", f"A={MASK}"), ("A=", f"A={MASK}"), ("A", "A"), ("=x", f"={MASK}"), ("\x00=x", f"\ufffd={MASK}")],
)
def test_mask_variable_table(assignment: str, expected: str) -> None:
    assert mask_variable(assignment) == expected


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("short", 10, "short"),
        ("exactly10!", 10, "exactly10!"),
        ("longer than ten", 10, "longer tha… (cut)"),
        ("a\x00b", 10, "a\ufffdb"),
        ("a\ud800b\udfff", 10, "a\ufffdb\ufffd"),
        ("🐳", 10, "🐳"),
    ],
)
def test_clean_text_table(text: str, limit: int, expected: str) -> None:
    assert clean_text(text, limit) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("x", "x"), (5, "5"), (1.5, "1.5"), (True, "True"), (None, ""), ([1], ""), ({}, "")]
)
def test_scalar_text_table(value: Any, expected: str) -> None:
    assert scalar_text(value) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "token" * 200_000,
        "-token" * 200_000,
        "token " * 200_000,
        "token=" * 200_000,
        "token='" * 200_000,
        "a://b:" * 200_000,
        "token" + " " * 1_000_000,
        "\n" * 1_000_000,
        "password: bearer " * 60_000,
    ],
    ids=lambda text: text[:8].strip() or "blank",
)
def test_masked_megabyte_of_anything_is_quick_and_cut(text: str) -> None:
    started = time.process_time()

    found = masked({"label": text, text: "x", "list": ["-" + text, text, {text: [text]}]})

    assert time.process_time() - started < 1.0
    assert all(len(part) < MAX_STRING * 2 for part in found["list"][:2])


def test_masked_deep_value_is_cut_with_a_note() -> None:
    found = json.dumps(masked(deep(200)))

    assert "too deep" in found
    assert found.count("[") == MAX_DEPTH + 1
    assert "too deep" not in json.dumps(masked({"secret": deep(3)}))
    assert json.dumps(masked({"secret": deep(500)})).count("[") <= MAX_DEPTH + 2


def test_masked_endless_lists_and_objects_are_cut() -> None:
    found = masked({"list": list(range(100_000)), "object": {str(n): n for n in range(100_000)}})

    assert len(found["list"]) == MAX_ITEMS
    assert len(found["object"]) == MAX_ITEMS


@given(ANYTHING)
def test_masked_anything_becomes_strict_json_without_what_postgres_refuses(value: Any) -> None:
    text = json.dumps(masked(value), allow_nan=False)

    assert "\\u0000" not in text
    assert not any("\ud800" <= char <= "\udfff" for char in json.dumps(masked(value), ensure_ascii=False))


@given(st.text(min_size=1, max_size=30).filter(lambda text: not set(text) & set("\"' \t\n") and text.split() == [text]))
def test_mask_text_value_behind_a_telling_name_never_comes_out(secret: str) -> None:
    marked = "S3cr3t" + secret

    assert "S3cr3t" not in mask_text(f"x --db-password={marked}")
    assert "S3cr3t" not in str(masked({"token": marked, "Env": [f"A={marked}"], "Cmd": ["--secret", marked]}))
