"""Where files lie: static ones under names that change with their content, and backups for SSM's eyes alone."""

import os
from pathlib import Path
from typing import Any

from django.core.files.storage import FileSystemStorage
from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFilesStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Without this a browser could mix modules of two versions: ``import "./toast.js"`` would keep its name."""

    support_js_module_import_aggregation = True


class PrivateFileStorage(FileSystemStorage):
    """Files that only the process's own user can read: folders 0700, files 0600 from their first byte on."""

    def __init__(self, location: Any = None) -> None:
        """``location`` is the folder; it is made when the first file is written."""
        super().__init__(location=location, file_permissions_mode=0o600, directory_permissions_mode=0o700)

    def _save(self, name: str, content: Any) -> str:
        # Django opens files with 0666 less the process's mask, and changes the mode once all is written.
        place = Path(self.path(name))
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in [place.parent, *place.parent.parents]:
            if folder.is_relative_to(self.location) and folder.stat().st_mode & 0o077:
                folder.chmod(0o700)
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            for chunk in content.chunks():
                file.write(chunk)
            # A file whose last pages were lost in a power cut must not be taken for a good one.
            file.flush()
            os.fsync(file.fileno())
        return name.replace("\\", "/")
