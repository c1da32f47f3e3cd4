"""A stored backup as an answer: its archive, or its manifest."""

import asyncio
import re
from collections.abc import AsyncIterator

from django.http import HttpResponse, StreamingHttpResponse

from containers.backups import store
from containers.models import Backup


def archive_of(backup: Backup) -> StreamingHttpResponse:
    """The archive as it is stored, read while it is sent. StoreFailed."""
    opened = store.reading(backup.file_name)
    file = opened.__enter__()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while piece := await asyncio.to_thread(file.read, store.CHUNK):
                yield piece
        finally:
            await asyncio.to_thread(opened.__exit__, None, None, None)

    response = StreamingHttpResponse(pieces(), content_type="application/zstd")
    response["Content-Length"] = str(backup.size_bytes)
    response["Content-Disposition"] = f'attachment; filename="{_file_name(backup)}{store.SUFFIX}"'
    response["X-Content-Type-Options"] = "nosniff"
    response["X-Accel-Buffering"] = "no"
    response["Digest"] = f"sha-256={backup.sha256}"
    return response


def manifest_of(backup: Backup) -> HttpResponse:
    """What the archive holds, as JSON. StoreFailed."""
    manifest = store.find_manifest(backup.file_name)
    response = HttpResponse(manifest.as_text() if manifest else "{}\n", content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="{_file_name(backup)}.tar.zst.json"'
    return response


def _file_name(backup: Backup) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{backup.volume_name}-{backup.created_at:%Y%m%d-%H%M%S}").strip(".-")
