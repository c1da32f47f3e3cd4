"""Between the tar stream of an engine and the compressed file in the store, piece by piece and in constant memory."""

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import IO, Any, Final, cast

import zstandard

from containers.errors import BackupUnusable
from containers.rules.archives import ArchiveError, ArchiveReader, Contents

CHUNK: Final = 1024 * 1024
# What zstd may need to unpack an uploaded archive: its level 19 takes 8 MiB, and --long=27 is the most that is usual.
_WINDOW: Final = 128 * 1024 * 1024

Progress = Callable[[ArchiveReader], None]


class Packer(Iterator[bytes]):
    """Compresses a tar stream and proves that it is whole. Iterate to the end, then ask what it was.

    ``on_progress`` is called with each piece, and may raise to end it. Raises BackupUnusable when the stream is no
    whole archive, and what the source raises.
    """

    def __init__(self, source: Iterable[bytes], *, root: str, level: int, on_progress: Progress) -> None:
        self._pieces = self._run(source, level)
        self._reader = ArchiveReader(root)
        self._on_progress = on_progress
        self._sha256 = hashlib.sha256()
        self.size_bytes = 0
        self.contents = Contents()

    @property
    def sha256(self) -> str:
        """Of the compressed file, in hex."""
        return self._sha256.hexdigest()

    def __next__(self) -> bytes:
        return next(self._pieces)

    def _run(self, source: Iterable[bytes], level: int) -> Iterator[bytes]:
        compressor = zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()
        for piece in self._read(source):
            if packed := self._count(compressor.compress(piece)):
                yield packed
        yield self._count(compressor.flush())

    def _read(self, source: Iterable[bytes]) -> Iterator[bytes]:
        try:
            for piece in source:
                self._reader.feed(piece)
                self._on_progress(self._reader)
                yield piece
            self.contents = self._reader.finish()
        except ArchiveError as exc:
            raise BackupUnusable(
                f"The archive that the engine sent is not whole: {exc}.",
                fix="A file may have changed while it was read: pause or stop the containers meanwhile.",
            ) from exc

    def _count(self, packed: bytes) -> bytes:
        self._sha256.update(packed)
        self.size_bytes += len(packed)
        return packed


class Unpacker(Iterator[bytes]):
    """Unpacks a stored or uploaded file, and tells at its end what it was. Never gives more than 1 MiB at once.

    Raises BackupUnusable when the file is damaged.
    """

    def __init__(self, file: IO[bytes], *, packing: str, root: str, on_progress: Progress) -> None:
        self._counted = _Counted(file)
        self._reader = ArchiveReader(root)
        self._on_progress = on_progress
        self._pieces = self._run(packing)
        self.contents = Contents()

    @property
    def sha256(self) -> str:
        """Of the file as it is stored, in hex; after the end."""
        return self._counted.sha256.hexdigest()

    @property
    def size_bytes(self) -> int:
        """Of the file as it is stored; after the end."""
        return self._counted.size

    def __next__(self) -> bytes:
        return next(self._pieces)

    def _run(self, packing: str) -> Iterator[bytes]:
        try:
            with unpacked(cast("IO[bytes]", self._counted), packing) as stream:
                while piece := stream.read(CHUNK):
                    self._reader.feed(piece)
                    self._on_progress(self._reader)
                    yield piece
            # What stands behind the last frame is part of the file, and of its checksum.
            while self._counted.read(CHUNK):
                pass
            self.contents = self._reader.finish()
        except (ArchiveError, zstandard.ZstdError, EOFError, gzip.BadGzipFile, zlib.error) as exc:
            raise BackupUnusable(f"The archive is damaged: {exc}.", fix="Use another backup.") from exc

    def drain(self) -> None:
        """Read it to its end, for the checks alone."""
        for _piece in self:
            pass


class _Counted:
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size if 0 < size <= CHUNK else CHUNK)
        self.sha256.update(data)
        self.size += len(data)
        return data


def unpacked(file: IO[bytes], packing: str) -> Any:
    """The tar stream in a file packed as ``packing`` says (zstd, gzip, tar); ``read`` gives bounded pieces of it."""
    if packing == "zstd":
        unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        return unpacker.stream_reader(file, read_size=128 * 1024, read_across_frames=True, closefd=False)
    if packing == "gzip":
        return gzip.GzipFile(fileobj=file, mode="rb")
    return _Plain(file)


class _Plain:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def __enter__(self) -> "_Plain":
        return self

    def __exit__(self, *_exception: object) -> None:
        """The file belongs to whoever opened it."""


def contents_json(contents: Contents) -> dict[str, Any]:
    """As rows and manifests hold it."""
    return {**asdict(contents), "entries": contents.entries}
