"""System checks on keys: weak ones, doubled ones and those among the files of the repository are refused."""

import base64
import os
import secrets
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pytest_django import Settings

from ssm.checks import check_keys, files_with, is_weak


def found(settings: Settings, tmp_path: Path, **given: object) -> list[str | None]:
    settings.BASE_DIR = tmp_path
    settings.SECRET_KEY = secrets.token_urlsafe(48)
    settings.FIELD_ENCRYPTION_KEY = [Fernet.generate_key().decode()]
    for name, value in given.items():
        setattr(settings, name, value)
    return [message.id for message in check_keys()]


def test_keys_made_by_chance_pass(settings: Settings, tmp_path: Path) -> None:
    assert found(settings, tmp_path) == []


@pytest.mark.parametrize(
    "key", [bytes(32), b"a" * 32, b"change-me" * 3 + b"chang", bytes(range(32)), bytes(range(0, 256, 8))]
)
def test_key_that_was_typed_or_counted_is_refused(key: bytes, settings: Settings, tmp_path: Path) -> None:
    weak = base64.urlsafe_b64encode(key).decode()

    assert found(settings, tmp_path, FIELD_ENCRYPTION_KEY=[Fernet.generate_key().decode(), weak]) == ["ssm.E001"]


def test_thousand_random_keys_are_all_strong_enough() -> None:
    assert not any(is_weak(os.urandom(32)) for _ in range(1000))


def test_one_key_for_both_is_refused(settings: Settings, tmp_path: Path) -> None:
    key = Fernet.generate_key().decode()

    assert "ssm.E002" in found(settings, tmp_path, FIELD_ENCRYPTION_KEY=[key], SECRET_KEY=key)


@pytest.mark.parametrize("key", ["short", "secret" * 10, "x" * 80])
def test_weak_secret_key_is_refused(key: str, settings: Settings, tmp_path: Path) -> None:
    assert found(settings, tmp_path, SECRET_KEY=key) == ["ssm.E003"]


def test_key_in_a_file_of_the_repository_is_refused_without_showing_it(settings: Settings, tmp_path: Path) -> None:
    key = Fernet.generate_key().decode()
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "compose.yaml").write_text(f"SSM_FIELD_KEYS: {key}\n")
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data" / "ssm.env").write_text(f"SSM_FIELD_KEYS={key}\n")

    assert found(settings, tmp_path, FIELD_ENCRYPTION_KEY=[key]) == ["ssm.E004"]
    assert files_with(tmp_path, [key]) == [Path("deploy/compose.yaml")]
    assert not any(key in f"{message}" for message in check_keys())
