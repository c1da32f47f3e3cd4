"""Images made of Debian's static busybox and one script: the same bytes on every host and in the registry."""

import functools
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.fleet.packages import architecture
from tests.fleet.shell import SYSTEM_PATH, run

JsonValue = str | int | float | bool | None | list["JsonValue"] | Mapping[str, "JsonValue"]

# Releases of each demo image that the registry carries; `latest` is the newest final one.
TAGS = ("1.0.0", "1.0.1", "1.1.0", "2.0.0-rc1", "latest")
_LATEST = "2.0.0"
_LAYER_TIME = 1704067200  # a fixed time, so that the same content has the same digest


@dataclass(frozen=True, slots=True)
class ImageRecipe:
    """An image's repository name, the script that is its program, and additions to its Engine configuration.

    ``architecture`` is what it says to be built for: empty for this machine's.
    """

    name: str
    script: str
    config: Mapping[str, JsonValue] = field(default_factory=dict)
    architecture: str = ""


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """Configuration document and uncompressed layers, as the Engine's archive and the registry want them."""

    config: bytes
    layers: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    mode: int
    data: bytes | None = None  # none: a directory, or a link
    link: str = ""


def digest(data: bytes) -> str:
    """SHA-256 as hexadecimal text."""
    return hashlib.sha256(data).hexdigest()


def _archive(entries: Iterable[_Entry]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for entry in entries:
            member = tarfile.TarInfo(entry.name)
            member.mode, member.mtime = entry.mode, _LAYER_TIME
            if entry.link:
                member.type, member.linkname = tarfile.SYMTYPE, entry.link
            elif entry.data is None:
                member.type = tarfile.DIRTYPE
            else:
                member.size = len(entry.data)
            archive.addfile(member, io.BytesIO(entry.data) if entry.data is not None else None)
    return buffer.getvalue()


@functools.lru_cache(maxsize=2)
def base_layer(busybox: str) -> bytes:
    """The layer below all images: busybox with a link per command, and the directories that programs expect."""
    names = ("bin", "etc", "proc", "sys", "dev", "root", "usr")
    entries = [_Entry(name, 0o755) for name in names] + [_Entry("tmp", 0o1777)]
    entries += [
        _Entry("bin/busybox", 0o755, Path(busybox).read_bytes()),
        _Entry("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n"),
        _Entry("etc/group", 0o644, b"root:x:0:\n"),
    ]
    commands = run(busybox, "--list").stdout.split()
    entries += [_Entry(f"bin/{name}", 0o777, link="busybox") for name in commands if name != "busybox"]
    return _archive(entries)


def build_image(recipe: ImageRecipe, tag: str, busybox: str, revision: str = "") -> BuiltImage:
    """Build one release of an image; another `revision` gives the same tag another digest."""
    version = _LATEST if tag == "latest" and not revision else tag
    layers = (
        base_layer(busybox),
        _archive(
            [
                _Entry("app.sh", 0o755, recipe.script.encode()),
                _Entry("etc/version", 0o644, f"{recipe.name} {version} {revision}\n".encode()),
            ]
        ),
    )
    day = 1 + int(digest(f"{tag}{revision}".encode())[:4], 16) % 28
    month = 1 + (TAGS.index(tag) if tag in TAGS else 8)
    created = f"2025-{month:02d}-{day:02d}T12:00:00Z"
    labels = {
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.title": recipe.name,
        "org.opencontainers.image.source": f"https://example.invalid/{recipe.name}",
        **({"rev": revision} if revision else {}),
    }
    document = {
        "architecture": recipe.architecture or architecture(),
        "os": "linux",
        "created": created,
        "config": {
            "Env": [f"PATH={SYSTEM_PATH}", f"VERSION={version}"],
            "Cmd": ["/app.sh"],
            "WorkingDir": "/",
            **recipe.config,
            "Labels": labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest(layer)}" for layer in layers]},
        "history": [
            {"created": created, "created_by": "fleet busybox"},
            {"created": created, "created_by": "fleet app"},
        ],
    }
    return BuiltImage(config=json.dumps(document, sort_keys=True).encode(), layers=layers)


def load_archive(references: Iterable[tuple[ImageRecipe, str]], busybox: str) -> bytes:
    """The archive that `docker load` takes, with one image per (recipe, tag)."""
    files: dict[str, bytes] = {}
    manifest = []
    for recipe, tag in references:
        built = build_image(recipe, tag, busybox)
        config_name = f"{digest(built.config)}.json"
        layer_names = [f"{digest(layer)}/layer.tar" for layer in built.layers]
        files[config_name] = built.config
        files.update(zip(layer_names, built.layers, strict=True))
        manifest.append({"Config": config_name, "RepoTags": [f"{recipe.name}:{tag}"], "Layers": layer_names})
    files["manifest.json"] = json.dumps(manifest).encode()
    return _archive([_Entry(name, 0o644, data) for name, data in files.items()])
