"""Files of backups: what was written is read, and what was cut off, changed or is no backup is refused."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssm.recovery.archive import MANIFEST, Manifest, Reader, Writer
from ssm.recovery.backing_up import discard_old, key_fingerprints
from ssm.recovery.errors import BackupDamaged, BackupTooNew, KeysMissing
from ssm.recovery.restoring import check_keys, check_version

ROWS = (b"1\tone\n2\ttwo\n", b"3\tthree\n")


def _manifest(copies: tuple[Any, ...], **changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "version": "0.1.0",
        "created_at": "2026-01-01T00:00:00+00:00",
        "server": "16",
        "migrations": {"auth": ("0001_initial",)},
        "tables": copies,
        "sequences": {"thing_id_seq": 3},
        "keys": (),
        "left_out": (),
        "volume_backups": {"count": 0, "bytes": 0},
    }
    return Manifest(**{**values, **changes})


def _write(path: Path, pieces: tuple[bytes, ...] = ROWS, **changes: Any) -> Path:
    with path.open("wb") as target:
        writer = Writer(target)
        copy = writer.add("thing", ("id", "name"), iter(pieces))
        writer.finish(_manifest((copy,), **changes))
    return path


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Path]:
    """A backup of one table with three rows."""
    yield _write(tmp_path / "whole.zip")


def test_backup_that_was_written_is_read_as_it_was(whole: Path) -> None:
    reader = Reader(whole)

    (copy,) = reader.manifest.tables
    assert (copy.rows, copy.size_bytes, copy.columns) == (3, 20, ("id", "name"))
    assert b"".join(reader.pieces(copy)) == b"".join(ROWS)
    assert reader.manifest.sequences == {"thing_id_seq": 3}
    reader.verify()
    reader.close()


def test_backup_that_was_cut_off_is_refused_wherever_that_was(whole: Path, tmp_path: Path) -> None:
    data = whole.read_bytes()
    for size in range(0, len(data), 7):
        cut = tmp_path / "cut.zip"
        cut.write_bytes(data[:size])
        with pytest.raises(BackupDamaged):
            Reader(cut).verify()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_backup_with_one_byte_changed_is_refused_or_the_same(whole: Path, tmp_path: Path, data: st.DataObject) -> None:
    original = whole.read_bytes()
    place = data.draw(st.integers(0, len(original) - 1))
    changed = tmp_path / "changed.zip"
    changed.write_bytes(original[:place] + bytes([original[place] ^ 0x55]) + original[place + 1 :])

    try:
        reader = Reader(changed)
        (copy,) = reader.manifest.tables
        read = b"".join(reader.pieces(copy))
    except (BackupDamaged, BackupTooNew, ValueError):
        return
    # In a date or a name that says nothing of the rows.
    assert read == b"".join(ROWS)


def test_copy_that_unpacks_to_more_than_it_should_is_given_up(tmp_path: Path) -> None:
    path = _write(tmp_path / "bomb.zip", (b"0" * 1000,) * 50_000)
    with zipfile.ZipFile(path) as archive:
        told = json.loads(archive.read(MANIFEST))
        packed = archive.read("tables/thing.copy.zst")
    told["tables"][0]["size_bytes"] = 10
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("tables/thing.copy.zst", packed)
        archive.writestr(MANIFEST, json.dumps(told))
    path.write_bytes(held.getvalue())

    read = 0
    with pytest.raises(BackupDamaged):
        for piece in (reader := Reader(path)).pieces(reader.manifest.tables[0]):
            read += len(piece)
    assert read < 1_000_000


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"null", b'{"format": "x"}', b'{"format": 1}', b'{"format": 1, "tables": 3}', b"\xff\xfe"],
    ids=["empty", "list", "null", "no number", "nothing else", "no tables", "no text"],
)
def test_manifest_that_is_none_is_refused(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MANIFEST, text)

    with pytest.raises(BackupDamaged):
        Reader(path)


def test_backup_of_a_later_form_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "later.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MANIFEST, json.dumps({"format": 99, "version": "7.0.0"}))

    with pytest.raises(BackupTooNew, match=r"7\.0\.0"):
        Reader(path)


def test_backup_with_unknown_migrations_is_refused_and_names_them() -> None:
    check_version(_manifest(()))

    with pytest.raises(BackupTooNew, match="containers 9999_the_future"):
        check_version(_manifest((), migrations={"containers": ("9999_the_future",)}))


def test_keys_are_told_by_fingerprints_and_any_common_one_will_do(settings: Any) -> None:
    first, second, third = (Fernet.generate_key().decode() for _ in range(3))
    settings.FIELD_ENCRYPTION_KEY = [first, second]
    made = _manifest((), keys=key_fingerprints())
    assert not any(key in str(made.keys) for key in (first, second))

    settings.FIELD_ENCRYPTION_KEY = [third, first]
    check_keys(made)

    settings.FIELD_ENCRYPTION_KEY = [third]
    with pytest.raises(KeysMissing, match=made.keys[0]):
        check_keys(made)


def test_old_backups_are_discarded_by_name_and_strangers_stay(tmp_path: Path) -> None:
    names = [f"ssm-2026010{day}-030000.zip" for day in range(1, 6)]
    for name in (*names, "other.zip", "ssm-before-update.zip"):
        (tmp_path / name).touch()

    gone = discard_old(tmp_path, 2)

    assert sorted(path.name for path in gone) == names[:3]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*names[3:], "other.zip", "ssm-before-update.zip"]
    )
