"""A bucket of an S3-compatible service as Django's storage, streamed both ways."""

from typing import Any

from boto3.s3.transfer import TransferConfig
from django.core.files.base import File
from storages.backends.s3 import S3Storage


class S3BackupStorage(S3Storage):  # type: ignore[misc]
    """Never holds more than the parts of one upload in memory, and nothing on disk.

    The library reads a whole object into memory or a file before its first byte can be used; an upload in threads
    of its own would read its source, and so ask hosts and database, in those.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(
            **{
                "default_acl": None,
                "file_overwrite": False,
                "querystring_auth": True,
                "transfer_config": TransferConfig(use_threads=False),
                "object_parameters": {"ContentType": "application/octet-stream"},
                **options,
            }
        )

    def _open(self, name: str, mode: str = "rb") -> "File[bytes]":
        if mode != "rb":
            raise ValueError("backups are only read this way; they are written by save()")
        try:
            answer = self.bucket.Object(self._normalize_name(name)).get()
        except self.connection.meta.client.exceptions.NoSuchKey as exc:
            raise FileNotFoundError(name) from exc
        return File(answer["Body"], name)
