"""Making a backup of SSM: one snapshot of the database, read back from the disk before it counts."""

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Count, Sum

from containers.models import Backup
from ssm.lib.version import VERSION
from ssm.recovery import tables
from ssm.recovery.archive import Copy, Manifest, Reader, Writer
from ssm.recovery.errors import RecoveryError

_FINGERPRINT_CHARACTERS: Final = 16


def key_fingerprints() -> tuple[str, ...]:
    """What names the keys of SSM_FIELD_KEYS without telling anything of them, the one that encrypts first."""
    return tuple(
        hashlib.sha256(b"ssm field key\n" + str(key).encode()).hexdigest()[:_FINGERPRINT_CHARACTERS]
        for key in settings.FIELD_ENCRYPTION_KEY
    )


def back_up(path: Path, *, statistics: bool = True, tell: Callable[[Copy], None] = lambda _copy: None) -> Manifest:
    """Write a backup to `path`, readable for its owner alone, and verify it; returns what is in it.

    Processes of SSM may run meanwhile: they neither wait nor are seen half-way. `tell` hears of each table. Raises
    RecoveryError, also when the file is there already, and leaves no half file behind.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            raise RecoveryError(f"{path} is there already and is not written over.", fix="Name another file.")
        descriptor = os.open(partial, os.O_CREAT | os.O_RDWR | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w+b") as target:
            os.fchmod(target.fileno(), 0o600)
            manifest = _write(Writer(target), statistics=statistics, tell=tell)
            target.flush()
            os.fsync(target.fileno())
        written = Reader(partial)
        try:
            written.verify()
        finally:
            written.close()
        # Not over a file that came in the meantime.
        os.link(partial, path)
    except OSError as exc:
        raise RecoveryError(
            f"The backup could not be written to {exc.filename or path}: {exc.strerror}.",
            fix="Name a file in a folder with enough room that SSM may write to.",
        ) from exc
    finally:
        partial.unlink(missing_ok=True)
    return manifest


def _write(writer: Writer, *, statistics: bool, tell: Callable[[Copy], None]) -> Manifest:
    left_out = tables.NEVER_COPIED if statistics else tables.NEVER_COPIED | tables.STATISTICS
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute("SHOW server_version")
            server = str(cursor.fetchone()[0])
        tables.fix_form()
        migrations: dict[str, list[str]] = {}
        for app, name in sorted(MigrationRecorder(connection).applied_migrations()):
            migrations.setdefault(app, []).append(name)
        copies = []
        for table in tables.tables():
            if table.name not in left_out:
                copies.append(writer.add(table.name, table.columns, tables.read(table)))
                tell(copies[-1])
        stored = Backup.objects.filter(state=Backup.State.GOOD).aggregate(count=Count("pk"), size=Sum("size_bytes"))
        manifest = Manifest(
            version=VERSION,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            server=server,
            migrations={app: tuple(names) for app, names in migrations.items()},
            tables=tuple(copies),
            sequences=tables.sequences(),
            keys=key_fingerprints(),
            left_out=tuple(sorted(left_out)),
            volume_backups={"count": stored["count"], "bytes": stored["size"] or 0},
        )
    writer.finish(manifest)
    return manifest


def discard_old(folder: Path, keep: int) -> list[Path]:
    """Delete all but the newest `keep` backups with the usual name from a folder; returns those deleted."""
    found = sorted(folder.glob("ssm-????????-??????.zip"), reverse=True)
    for path in found[keep:]:
        path.unlink(missing_ok=True)
    return found[keep:]
