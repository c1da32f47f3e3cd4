"""Reading tar archives as they stream by: whole or not, what is in them, and a digest of it."""

import io
import tarfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from containers.rules.archives import ArchiveError, ArchiveReader, Contents, archive_start, read_pax


def archive(*entries: dict[str, Any], style: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of these entries: name, data, and attributes of TarInfo."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=style) as tar:
        for entry in entries:
            values = dict(entry)
            data = values.pop("data", b"")
            info = tarfile.TarInfo(values.pop("name"))
            for key, value in values.items():
                setattr(info, key, value)
            info.size = len(data) if info.type == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def read(data: bytes, root: str = "", step: int = 1 << 20) -> Contents:
    reader = ArchiveReader(root)
    for start in range(0, len(data), step):
        reader.feed(data[start : start + step])
    return reader.finish()


ENTRIES = (
    {"name": "v", "type": tarfile.DIRTYPE, "mode": 0o2751, "uid": 33},
    {"name": "v/a", "data": b"hello", "mode": 0o4640, "mtime": 1000.75},
    {"name": "v/" + "long" * 60, "data": b"x" * 1500, "uid": 3_000_000},
    {"name": "v/hard", "type": tarfile.LNKTYPE, "linkname": "v/a"},
    {"name": "v/soft", "type": tarfile.SYMTYPE, "linkname": "../gone"},
    {"name": "v/null", "type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3},
    {"name": "v/cap", "data": b"y", "pax_headers": {"SCHILY.xattr.security.capability": "\x01\x00\x02"}},
)


def test_contents_count_every_kind() -> None:
    found = read(archive(*ENTRIES), "v")

    counts = (found.files, found.directories, found.hard_links, found.symbolic_links, found.specials, found.xattrs)
    assert counts == (3, 1, 1, 1, 1, 1)
    assert (found.content_bytes, found.entries) == (5 + 1500 + 1, 7)


@settings(max_examples=25)
@given(step=st.integers(1, 700))
def test_contents_are_the_same_for_pieces_of_any_size(step: int) -> None:
    data = archive(*ENTRIES)

    assert read(data, "v", step) == read(data, "v")


def test_digest_does_not_depend_on_order_or_on_how_the_archive_is_written() -> None:
    written = [archive(*ENTRIES[:6]), archive(*reversed(ENTRIES[:6])), archive(*ENTRIES[:6], style=tarfile.GNU_FORMAT)]

    assert len({read(data, "v").digest for data in written}) == 1


def test_digest_takes_the_type_bits_that_older_engines_write_for_nothing() -> None:
    plain = archive({"name": "a", "data": b"1", "mode": 0o644})

    assert read(plain).digest == read(archive({"name": "./a", "data": b"1", "mode": 0o100644})).digest


@pytest.mark.parametrize(
    "change",
    [
        {"data": b"hellO"},
        {"mode": 0o640},
        {"uid": 1},
        {"gid": 1},
        {"mtime": 1001},
        {"name": "v/b"},
        {"pax_headers": {"SCHILY.xattr.user.note": "x"}},
    ],
    ids=str,
)
def test_digest_differs_by_anything_that_matters(change: dict[str, Any]) -> None:
    changed = [ENTRIES[0], {**ENTRIES[1], **change}]

    assert read(archive(*ENTRIES[:2]), "v").digest != read(archive(*changed), "v").digest


def test_archive_that_ends_early_is_told_wherever_it_ends() -> None:
    data = archive(*ENTRIES)
    end = data.rstrip(b"\0")

    for length in range(0, len(end), 131):
        with pytest.raises(ArchiveError):
            read(data[:length], "v")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (archive({"name": "../../etc/passwd", "data": b"x"}), "leads out"),
        (archive({"name": "w/a", "data": b"x"}), "outside of"),
        (b"no tar at all".ljust(512, b"!"), "no valid tar header"),
        (archive({"name": "v/x", "type": b"Z"}), "not known"),
    ],
    ids=["out", "elsewhere", "garbage", "kind"],
)
def test_hostile_archive_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(ArchiveError, match=says):
        read(data, "v")


def test_extended_header_that_is_too_large_is_refused_before_it_is_held() -> None:
    head = tarfile.TarInfo("x")
    head.type, head.size = tarfile.XHDTYPE, 2 * 1024 * 1024
    reader = ArchiveReader()

    with pytest.raises(ArchiveError, match="1 MiB"):
        reader.feed(head.tobuf())


@pytest.mark.parametrize("raw", [b"x", b"9 a", b"99 a=b\n", b"6 a=b", b"-1 a=b\n", b"5 ab\n"])
def test_pax_records_that_lie_are_refused(raw: bytes) -> None:
    with pytest.raises(ArchiveError):
        read_pax(raw)


def test_sparse_file_of_old_gnu_tar_is_read_over_its_map() -> None:
    head = bytearray(tarfile.TarInfo("s").tobuf(tarfile.GNU_FORMAT))
    head[156:157] = tarfile.GNUTYPE_SPARSE
    head[124:136] = b"00000000004\0"
    head[482] = 1
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    more, last = bytearray(512), bytearray(512)
    more[504] = 1
    found = read(bytes(head) + bytes(more) + bytes(last) + b"data".ljust(512, b"\0") + bytes(1024))

    assert (found.is_sparse, found.files, found.content_bytes) == (True, 1, 4)


@pytest.mark.parametrize(
    ("data", "packing"),
    [
        (b"\x28\xb5\x2f\xfd" + b"x", "zstd"),
        (b"\x1f\x8b\x08", "gzip"),
        (archive(ENTRIES[1]), "tar"),
        (b"PK\x03\x04", ""),
    ],
    ids=["zstd", "gzip", "tar", "zip"],
)
def test_packing_is_known_by_its_first_bytes(data: bytes, packing: str) -> None:
    assert archive_start(data[:512]) == packing
