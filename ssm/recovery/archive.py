"""The file of a backup: a ZIP that holds one compressed copy per table and a manifest that tells what belongs in it.

The manifest is written last, so a file without one was not finished. The copies are zstd; ZIP itself stores them.
"""

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

import zstandard

from ssm.recovery.errors import BackupDamaged, BackupTooNew

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
_CHUNK: Final = 256 * 1024
# A manifest of a thousand tables is a tenth of that; what claims more is no backup of ours.
_MOST_MANIFEST_BYTES: Final = 16 * 1024 * 1024

# What the libraries raise when bytes of a file are not what they were: a changed flag may ask for a password.
_DAMAGES: Final = (
    OSError,
    EOFError,
    KeyError,
    RuntimeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    zstandard.ZstdError,
)


@dataclass(frozen=True, slots=True)
class Copy:
    """One table: its columns in the order of the copy, its rows, and the bytes and SHA-256 of the uncompressed copy."""

    table: str
    columns: tuple[str, ...]
    rows: int
    size_bytes: int
    sha256: str

    @property
    def member(self) -> str:
        """Its name in the file."""
        return f"tables/{self.table}.copy.zst"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. Times are ISO 8601, `sequences` the last values by name.

    ``keys`` are the fingerprints of the keys that open the stored secrets, the one that encrypts first; they say
    nothing of the keys themselves. ``migrations`` are those applied, by app.
    """

    version: str
    created_at: str
    server: str
    migrations: Mapping[str, tuple[str, ...]]
    tables: tuple[Copy, ...]
    sequences: Mapping[str, int]
    keys: tuple[str, ...]
    left_out: tuple[str, ...]
    volume_backups: Mapping[str, int]

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(copy.rows for copy in self.tables)


class Writer:
    """Writes one backup; nothing is complete before `finish`."""

    def __init__(self, target: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=True)
        self._compressor = zstandard.ZstdCompressor(level=6, threads=0)

    def add(self, table: str, columns: tuple[str, ...], pieces: Iterator[bytes]) -> Copy:
        """Store the copy of one table, piece by piece, and tell what it was."""
        digest, size, rows = hashlib.sha256(), 0, 0
        found = Copy(table, columns, 0, 0, "")
        with (
            self._zip.open(found.member, "w", force_zip64=True) as member,
            self._compressor.stream_writer(member, closefd=False) as packed,
        ):
            for piece in pieces:
                digest.update(piece)
                size += len(piece)
                # One line is one row: line ends inside a value are written as \n by PostgreSQL.
                rows += piece.count(b"\n")
                packed.write(piece)
        return Copy(table, columns, rows, size, digest.hexdigest())

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest and the directory of the file."""
        self._zip.writestr(MANIFEST, json.dumps({"format": FORMAT, **asdict(manifest)}, indent=1))
        self._zip.close()


class Reader:
    """Reads one backup; every size is held to what the manifest says."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
            with self._zip.open(MANIFEST) as member:
                text = member.read(_MOST_MANIFEST_BYTES + 1)
        except _DAMAGES as exc:
            raise BackupDamaged(
                f"{path} is not a whole backup of SSM: {exc}.",
                fix="Take another file: this one was cut off or changed.",
            ) from exc
        self.path = path
        self.manifest = _manifest(path, text)

    def pieces(self, copy: Copy) -> Iterator[bytes]:
        """The copy of one table; BackupDamaged at its end if it is not what was written."""
        digest, size = hashlib.sha256(), 0
        try:
            with self._zip.open(copy.member) as member, _opened(member) as unpacked:
                while piece := unpacked.read(_CHUNK):
                    size += len(piece)
                    if size > copy.size_bytes:
                        break
                    digest.update(piece)
                    yield piece
        except _DAMAGES as exc:
            raise self._damaged(copy, str(exc)) from exc
        if size != copy.size_bytes or digest.hexdigest() != copy.sha256:
            raise self._damaged(copy, "its checksum is another one")

    def verify(self, tell: Callable[[Copy], None] = lambda _copy: None) -> None:
        """Read every copy to its end. Raises BackupDamaged."""
        for copy in self.manifest.tables:
            for _piece in self.pieces(copy):
                pass
            tell(copy)

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def _damaged(self, copy: Copy, why: str) -> BackupDamaged:
        return BackupDamaged(
            f"{self.path} is damaged: the copy of {copy.table} cannot be trusted: {why}.", fix="Take another backup."
        )


def _opened(member: IO[bytes]) -> "zstandard.ZstdDecompressionReader":
    return zstandard.ZstdDecompressor(max_window_size=128 * 1024 * 1024).stream_reader(
        io.BufferedReader(member, _CHUNK),  # type: ignore[type-var]
        closefd=False,
    )


def _manifest(path: Path, text: bytes) -> Manifest:
    try:
        told: dict[str, Any] = json.loads(text) if len(text) <= _MOST_MANIFEST_BYTES else {}
        number = int(told["format"])
        if number > FORMAT:
            raise BackupTooNew(
                f"{path} was made by SSM {told.get('version')}, in a form that this version does not read.",
                fix="Restore it with that version, and update then.",
            )
        return Manifest(
            version=str(told["version"]),
            created_at=str(told["created_at"]),
            server=str(told["server"]),
            migrations={str(app): tuple(map(str, names)) for app, names in told["migrations"].items()},
            tables=tuple(
                Copy(
                    str(one["table"]),
                    tuple(map(str, one["columns"])),
                    int(one["rows"]),
                    int(one["size_bytes"]),
                    str(one["sha256"]),
                )
                for one in told["tables"]
            ),
            sequences={str(name): int(value) for name, value in told["sequences"].items()},
            keys=tuple(map(str, told["keys"])),
            left_out=tuple(map(str, told["left_out"])),
            volume_backups={str(name): int(value) for name, value in told["volume_backups"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise BackupDamaged(
            f"{path} is not a backup of SSM: its manifest cannot be read.", fix="Take another."
        ) from exc
