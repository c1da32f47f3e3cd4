"""The store of backups: archives and their manifests, by Django's storage API. Everything is streamed."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any, Final

from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage, storages

from containers.errors import StoreFailed
from containers.rules.manifests import Manifest, ManifestError, read_manifest

logger = logging.getLogger(__name__)

CHUNK: Final = 1024 * 1024
SUFFIX: Final = ".tar.zst"


def store() -> Storage:
    """The storage of backups, as the settings say."""
    return storages["backups"]


def archive_name(device: str, volume: str, made_at: datetime, backup_id: object) -> str:
    """The archive's name in the store: readable by people, and the backup's own by its id."""
    return f"{_slug(device)}/{_slug(volume)}/{made_at:%Y%m%d-%H%M%S}-{backup_id}{SUFFIX}"


def manifest_name(archive: str) -> str:
    """The name of an archive's manifest."""
    return f"{archive}.json"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip(".-")[:80] or "unnamed"


class _Pieces(File):  # type: ignore[type-arg]
    """Bytes that come piece by piece, as a file that Django's storages can save. Remembers what its source raised."""

    def __init__(self, pieces: Iterable[bytes], name: str) -> None:
        super().__init__(None, name)
        self._pieces = iter(pieces)
        self._rest = b""
        self.failure: BaseException | None = None

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        while piece := self.read(chunk_size or CHUNK):
            yield piece

    def read(self, num_bytes: int | None = None) -> bytes:
        """At most so many bytes (None: all that is left), fewer only at the end."""
        found, size = [self._rest], len(self._rest)
        while num_bytes is None or num_bytes < 0 or size < num_bytes:
            try:
                piece = next(self._pieces)
            except StopIteration:
                break
            except BaseException as exc:
                self.failure = exc
                raise
            found.append(piece)
            size += len(piece)
        data = b"".join(found)
        if num_bytes is None or num_bytes < 0:
            self._rest = b""
            return data
        self._rest = data[num_bytes:]
        return data[:num_bytes]

    @property
    def closed(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing is open here; whoever gave the pieces closes them."""

    def __bool__(self) -> bool:
        return True


def write(name: str, pieces: Iterable[bytes]) -> None:
    """Store a file under exactly that name, in constant memory. Raises StoreFailed, and what ``pieces`` raises.

    After a failure nothing is left under the name, unless the store itself cannot be reached.
    """
    content = _Pieces(pieces, name)
    with _failing("be written", name, lambda: content.failure):
        try:
            saved = store().save(name, content)
        except BaseException:
            _forget(name)
            raise
        if saved != name:
            _forget(saved)
            raise FileExistsError(f"{name} is there already")


def write_text(name: str, text: str) -> None:
    """Store a small text. Raises StoreFailed."""
    with _failing("be written", name):
        if store().save(name, ContentFile(text.encode())) != name:
            raise FileExistsError(f"{name} is there already")


@contextmanager
def reading(name: str) -> Iterator[IO[bytes]]:
    """The stored file, open for reading. Raises StoreFailed when it cannot be opened."""
    with _failing("be read", name):
        file: Any = store().open(name, "rb")
    try:
        yield file
    finally:
        file.close()


def find_manifest(archive: str) -> Manifest | None:
    """The manifest of an archive; None without one, or when it is none. Raises StoreFailed."""
    name = manifest_name(archive)
    with _failing("be read", name):
        if not store().exists(name):
            return None
        with store().open(name, "rb") as file:
            text = file.read(8 * 1024 * 1024)
    try:
        return read_manifest(text)
    except ManifestError as exc:
        logger.warning("a manifest in the store cannot be read: %s", exc, extra={"file": name})
        return None


def delete(archive: str) -> None:
    """Delete an archive and its manifest, the manifest first, so that no half is taken for a whole. StoreFailed."""
    for name in (manifest_name(archive), archive):
        with _failing("be deleted", name):
            store().delete(name)


def _forget(name: str) -> None:
    try:
        store().delete(name)
    except Exception as exc:
        logger.warning("the rest of a backup is left in the store: %s", exc, extra={"file": name})


@contextmanager
def _failing(what: str, name: str, cause: Callable[[], BaseException | None] = lambda: None) -> Iterator[None]:
    """The one border to the storage's library: whatever it raises becomes StoreFailed."""
    try:
        yield
    except StoreFailed:
        raise
    except Exception as exc:
        original = cause()
        if original is not None:
            raise original from None
        no_space = getattr(exc, "errno", None) == 28
        reason = "no space is left" if no_space else f"{type(exc).__name__}: {exc}"[:300]
        fix = "Free some space, or delete old backups." if no_space else "See the settings of the store and its log."
        raise StoreFailed(f"The store of backups failed: {name[:200]} could not {what} ({reason}).", fix=fix) from exc
