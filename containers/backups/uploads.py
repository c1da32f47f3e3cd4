"""Archives from elsewhere: checked, packed like SSM's own, stored with a manifest. Constant memory, no host asked."""

import io
import tarfile
import zlib
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, Any

import zstandard
from django.conf import settings

from containers.backups import store
from containers.backups.packing import CHUNK, Packer, contents_json, unpacked
from containers.errors import BackupUnusable, StoreFailed
from containers.models import Backup
from containers.rules.archives import ArchiveReader, archive_start
from containers.rules.manifests import ROOT, Manifest


def store_upload(file: IO[bytes], *, volume: str, note: str, by: str) -> Backup:
    """Store an archive (a tar, packed or not) as a backup of no device. Raises BackupUnusable, StoreFailed.

    One that SSM made, and somebody downloaded, holds all below one directory: it is known by that.
    """
    packing = archive_start(file.read(512))
    file.seek(0)
    root = _root(file, packing)
    file.seek(0)
    started = datetime.now(UTC)
    backup = Backup(
        device_name="uploaded",
        volume_name=volume,
        origin=Backup.Origin.UPLOAD,
        driver="local",
        root=root,
        note=note,
        requested_by_name=by,
        created_at=started,
    )
    name = store.archive_name("uploaded", volume, started, backup.pk)
    packer = Packer(_tar(file, packing), root=root, level=settings.SSM_BACKUP_LEVEL, on_progress=_no_progress)
    store.write(name, packer)
    manifest = Manifest(
        id=str(backup.pk),
        device="uploaded",
        volume=volume,
        driver="local",
        created_at=started,
        finished_at=datetime.now(UTC),
        consistency="",
        size_bytes=packer.size_bytes,
        sha256=packer.sha256,
        contents=contents_json(packer.contents),
        origin=Backup.Origin.UPLOAD.value,
        root=root,
    )
    try:
        store.write_text(store.manifest_name(name), manifest.as_text())
        backup.file_name, backup.size_bytes, backup.sha256 = name, packer.size_bytes, packer.sha256
        backup.contents, backup.finished_at, backup.state = manifest.contents, manifest.finished_at, Backup.State.GOOD
        backup.save(force_insert=True)
    except BaseException:
        with suppress(StoreFailed):
            store.delete(name)
        raise
    return backup


def _no_progress(_reader: ArchiveReader) -> None:
    """Nobody looks on: the browser shows how far the upload is, and the rest takes seconds."""


def _tar(file: IO[bytes], packing: str) -> Any:
    try:
        with unpacked(file, packing) as stream:
            while piece := stream.read(CHUNK):
                yield piece
    except (OSError, EOFError, ValueError, zlib.error, zstandard.ZstdError) as exc:
        raise BackupUnusable(f"The archive cannot be unpacked: {exc}.") from exc


def _root(file: IO[bytes], packing: str) -> str:
    """The directory that all names lie under if it is that of SSM's own archives, else nothing."""
    try:
        with unpacked(file, packing) as stream:
            first = stream.read(128 * 1024)
        with tarfile.open(fileobj=io.BytesIO(first), mode="r:") as archive:
            member = archive.next()
    except (OSError, EOFError, ValueError, zstandard.ZstdError, tarfile.TarError):
        return ""  # whoever reads it to its end will say what is wrong
    name = member.name if member is not None else ""
    return ROOT if name == ROOT or name.startswith(f"{ROOT}/") else ""
