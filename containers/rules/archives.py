"""Read a tar archive as it streams by: is it whole, what is in it, and a digest of its contents. Pure.

The format is POSIX.1-2001 (pax) with GNU's long names, as the Engine's archive endpoints send and take it. Nothing is
unpacked, and memory does not depend on the size of the archive. Headers are attacker-controlled: bounded and checked.
"""

import hashlib
import tarfile
from dataclasses import dataclass
from typing import Final

BLOCK: Final = 512
# A pax header holds names, ids and extended attributes of one entry; the Linux kernel allows 64 KiB of each of those.
_MOST_HEADER: Final = 1024 * 1024
_MOST_NAME: Final = 64 * 1024
_ZERO: Final = bytes(BLOCK)
_MODULUS: Final = 2**256
_XATTR: Final = "SCHILY.xattr."
_PAX_TYPES: Final = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.XGLTYPE)
_FILE_TYPES: Final = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE)


class ArchiveError(ValueError):
    """What streams by is no whole tar archive, or one that must not be unpacked; the text says why."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What an archive holds. ``content_bytes`` is that of its files.

    ``digest`` (hex) depends on the names, kinds, modes, owners, times (whole seconds), links, devices, extended
    attributes and bytes of all entries, not on their order or on how the archive is written.
    """

    files: int = 0
    directories: int = 0
    symbolic_links: int = 0
    hard_links: int = 0
    specials: int = 0
    xattrs: int = 0
    content_bytes: int = 0
    is_sparse: bool = False
    digest: str = ""

    @property
    def entries(self) -> int:
        """All entries, the root included."""
        return self.files + self.directories + self.symbolic_links + self.hard_links + self.specials


class ArchiveReader:
    """Takes an archive in pieces of any size; `finish` tells what was in it.

    ``root`` is the directory that all names lie under, empty where they lie at the top. Raises ArchiveError.
    """

    def __init__(self, root: str = "") -> None:
        self._root = root
        self._pending = bytearray()
        self._data_left = 0
        self._padding_left = 0
        self._collected: bytearray | None = None
        self._content: hashlib._Hash | None = None
        self._header: tarfile.TarInfo | None = None
        self._pax: dict[str, bytes] = {}
        self._long_name: str | None = None
        self._long_link: str | None = None
        self._zero_blocks = 0
        self._in_sparse_map = False
        self._sum = 0
        self._counts = dict.fromkeys(("files", "directories", "symbolic_links", "hard_links", "specials", "xattrs"), 0)
        self._content_bytes = 0
        self._is_sparse = False
        self.fed_bytes = 0

    @property
    def entries(self) -> int:
        """Entries read so far."""
        return sum(count for name, count in self._counts.items() if name != "xattrs")

    @property
    def content_bytes(self) -> int:
        """Bytes of files read so far."""
        return self._content_bytes

    def feed(self, data: bytes) -> None:
        """Take the next piece. ArchiveError."""
        self.fed_bytes += len(data)
        view = memoryview(data)
        while view:
            if self._data_left:
                taken = min(self._data_left, len(view))
                self._take_data(view[:taken])
                view = view[taken:]
                self._data_left -= taken
                if not self._data_left:
                    self._end_data()
            elif self._padding_left:
                taken = min(self._padding_left, len(view))
                self._padding_left -= taken
                view = view[taken:]
            else:
                taken = min(BLOCK - len(self._pending), len(view))
                self._pending += view[:taken]
                view = view[taken:]
                if len(self._pending) == BLOCK:
                    block, self._pending = bytes(self._pending), bytearray()
                    self._take_block(block)

    def finish(self) -> Contents:
        """What was in it. ArchiveError when it ended before its end mark: then something is missing."""
        if self._zero_blocks < 2 or self._header is not None:
            raise ArchiveError(f"it ends after {self.fed_bytes:,} bytes without its end mark: something is missing")
        digest = hashlib.sha256(self._sum.to_bytes(32, "big") + str(self.entries).encode()).hexdigest()
        return Contents(**self._counts, content_bytes=self._content_bytes, is_sparse=self._is_sparse, digest=digest)

    # ---- blocks

    def _take_block(self, block: bytes) -> None:
        if self._in_sparse_map:
            # Old GNU sparse files: further blocks of their map, until one says that it is the last.
            self._in_sparse_map = bool(block[504])
            if not self._in_sparse_map:
                self._begin_data()
            return
        if self._zero_blocks >= 2:
            return  # archives are padded to whole records
        if block == _ZERO:
            self._zero_blocks += 1
            return
        self._zero_blocks = 0
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as exc:
            raise ArchiveError(f"no valid tar header at byte {self.fed_bytes:,} ({exc})") from exc
        if header.size < 0:
            raise ArchiveError("an entry with a negative size")
        self._header = header
        is_meta = header.type in (*_PAX_TYPES, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
        if is_meta:
            if header.size > _MOST_HEADER:
                raise ArchiveError("an extended header of more than 1 MiB")
            self._collected = bytearray()
        else:
            self._apply_extensions(header)
            if header.type == tarfile.GNUTYPE_SPARSE:
                self._is_sparse = True
                self._in_sparse_map = bool(block[482])
        if not self._in_sparse_map:
            self._begin_data()

    def _apply_extensions(self, header: tarfile.TarInfo) -> None:
        """What a pax header or GNU's long names before it say replaces what the header has no room for."""
        if self._long_name is not None:
            header.name = self._long_name
        if self._long_link is not None:
            header.linkname = self._long_link
        text = {key: value.decode("utf-8", "surrogateescape") for key, value in self._pax.items()}
        header.name = text.get("path", header.name)
        header.linkname = text.get("linkpath", header.linkname)
        try:
            header.size = int(text.get("size", header.size))
            header.uid = int(text.get("uid", header.uid))
            header.gid = int(text.get("gid", header.gid))
            header.mtime = int(float(text.get("mtime", header.mtime)))
        except (ValueError, OverflowError) as exc:
            raise ArchiveError("a number in an extended header that is none") from exc
        if header.size < 0:
            raise ArchiveError("an entry with a negative size")
        if any(key.startswith("GNU.sparse.") for key in text):
            self._is_sparse = True
        if len(header.name) > _MOST_NAME or len(header.linkname) > _MOST_NAME:
            raise ArchiveError("a name of more than 64 KiB")
        if ".." in header.name.split("/"):
            raise ArchiveError(f"an entry that leads out of the volume: {header.name[:200]!r}")

    def _begin_data(self) -> None:
        header = self._header
        if header is None:
            return
        # Of links and devices some writers give a size without sending data: POSIX says there is none.
        has_data = header.type in _FILE_TYPES or self._collected is not None
        self._data_left = header.size if has_data else 0
        self._padding_left = -self._data_left % BLOCK
        if self._collected is None and header.type in _FILE_TYPES:
            self._content = hashlib.sha256()
        if not self._data_left:
            self._end_data()

    def _take_data(self, data: memoryview) -> None:
        if self._collected is not None:
            self._collected += data
        elif self._content is not None:
            self._content.update(data)
            self._content_bytes += len(data)

    def _end_data(self) -> None:
        header, self._header = self._header, None
        if header is None:
            return
        if self._collected is not None:
            raw, self._collected = bytes(self._collected), None
            if header.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
                text = raw.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
                if header.type == tarfile.GNUTYPE_LONGNAME:
                    self._long_name = text
                else:
                    self._long_link = text
            elif header.type != tarfile.XGLTYPE:
                self._pax = read_pax(raw)
            return
        self._count(header)
        self._pax, self._long_name, self._long_link, self._content = {}, None, None, None

    # ---- what it was

    def _count(self, header: tarfile.TarInfo) -> None:
        kind = _kind(header)
        self._counts[kind] += 1
        xattrs = sorted(
            (key.encode("utf-8", "surrogateescape"), value)
            for key, value in self._pax.items()
            if key.startswith(_XATTR)
        )
        self._counts["xattrs"] += len(xattrs)
        facts: list[bytes] = [
            self._place(header.name).encode("utf-8", "surrogateescape"),
            kind.encode(),
            # Older engines write the type bits into the mode, newer ones do not.
            b"%o" % (header.mode & 0o7777),
            b"%d:%d" % (header.uid, header.gid),
            b"%d" % int(header.mtime),
            self._link(header, kind).encode("utf-8", "surrogateescape"),
            b"%d:%d:%s" % (header.devmajor, header.devminor, header.type) if kind == "specials" else b"",
            self._content.digest() if self._content is not None else b"",
        ]
        for key, value in xattrs:
            facts += [key, value]
        entry = hashlib.sha256()
        for fact in facts:
            entry.update(b"%d:" % len(fact))
            entry.update(fact)
        self._sum = (self._sum + int.from_bytes(entry.digest(), "big")) % _MODULUS

    def _place(self, name: str) -> str:
        """The name below the volume's root, without what says the same: leading ``./`` and slashes at its ends."""
        place = "/".join(part for part in name.split("/") if part not in ("", "."))
        if self._root:
            if place != self._root and not place.startswith(f"{self._root}/"):
                raise ArchiveError(f"an entry outside of {self._root}/: {name[:200]!r}")
            place = place[len(self._root) :].lstrip("/")
        return place

    def _link(self, header: tarfile.TarInfo, kind: str) -> str:
        if kind == "hard_links":
            return self._place(header.linkname)
        return header.linkname if kind == "symbolic_links" else ""


def _kind(header: tarfile.TarInfo) -> str:
    if header.type in _FILE_TYPES:
        return "files"
    return {
        tarfile.DIRTYPE: "directories",
        tarfile.SYMTYPE: "symbolic_links",
        tarfile.LNKTYPE: "hard_links",
        tarfile.CHRTYPE: "specials",
        tarfile.BLKTYPE: "specials",
        tarfile.FIFOTYPE: "specials",
    }.get(header.type) or _unknown(header)


def _unknown(header: tarfile.TarInfo) -> str:
    raise ArchiveError(f"an entry of a kind that is not known ({header.type!r}): {header.name[:200]!r}")


def read_pax(raw: bytes) -> dict[str, bytes]:
    """The records ``<length> <key>=<value>\\n`` of a pax header; values as they are. ArchiveError."""
    records: dict[str, bytes] = {}
    place = 0
    while place < len(raw):
        space = raw.find(b" ", place, place + 9)
        length = raw[place:space]
        if space < 0 or not length.isdigit():
            raise ArchiveError("an extended header that cannot be read")
        end = place + int(length)
        record = raw[space + 1 : end]
        key, equals, value = record.partition(b"=")
        if end > len(raw) or end <= space or not equals or not value.endswith(b"\n"):
            raise ArchiveError("an extended header that cannot be read")
        records[key.decode("utf-8", "surrogateescape")] = value[:-1]
        place = end
    return records


def archive_start(data: bytes) -> str:
    """How an archive is packed, by its first bytes (at least 263): zstd, gzip or tar; empty for anything else."""
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return "zstd"
    if data[:2] == b"\x1f\x8b":
        return "gzip"
    return "tar" if data[257:262] == b"ustar" or (len(data) >= BLOCK and data[:BLOCK] == _ZERO) else ""
