"""System checks on the secrets that all others hang on: present, strong, one's own, and not lying in the checkout."""

import base64
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

# A key of random bytes has about 28 different ones among its 32.
LEAST_DIFFERENT_BYTES: Final = 16
LEAST_SECRET_KEY: Final = 50
LARGEST_FILE: Final = 256 * 1024
# Written by SSM or its tools, and kept out of the repository.
_NOT_REPOSITORY: Final = frozenset({".git", ".venv", ".data", ".env", "node_modules", "vendor", "__pycache__"})
_PICTURES: Final = frozenset({".png", ".svg", ".pyc"})
_FIX: Final = 'Make one: head -c 32 /dev/urandom | base64 | tr "+/" "-_"'


@register(Tags.security)
def check_keys(**_: Any) -> list[CheckMessage]:
    """Refuse keys that anybody could guess or read. The keys themselves stay out of the messages."""
    found: list[CheckMessage] = []
    for position, key in enumerate(settings.FIELD_ENCRYPTION_KEY, start=1):
        name = f"SSM_FIELD_KEYS holds a key at position {position} that"
        if is_weak(base64.urlsafe_b64decode(key)):
            found.append(Error(f"{name} was not made by chance.", hint=_FIX, id="ssm.E001"))
        if key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
            found.append(Error(f"{name} is SSM_SECRET_KEY as well.", hint=_FIX, id="ssm.E002"))
    if len(settings.SECRET_KEY) < LEAST_SECRET_KEY or len(set(settings.SECRET_KEY)) < LEAST_DIFFERENT_BYTES // 2:
        found.append(
            Error(
                f"SSM_SECRET_KEY is too weak: it takes {LEAST_SECRET_KEY} characters made by chance.",
                hint="Make one: head -c 48 /dev/urandom | base64",
                id="ssm.E003",
            )
        )
    secrets = [*settings.FIELD_ENCRYPTION_KEY, settings.SECRET_KEY]
    for path in files_with(Path(settings.BASE_DIR), secrets):
        found.append(
            Error(
                f"{path} holds a key of SSM, and lies among the files of the repository.",
                hint="Take it out of there, and use a new key: this one may be known. "
                "Keep keys in the environment, or in files that SSM_FIELD_KEYS_FILE and SSM_SECRET_KEY_FILE name.",
                id="ssm.E004",
            )
        )
    return found


def is_weak(key: bytes) -> bool:
    """Whether a key of 32 bytes looks typed or counted rather than drawn."""
    steps = {(after - before) % 256 for before, after in itertools.pairwise(key)}
    return len(set(key)) < LEAST_DIFFERENT_BYTES or len(steps) < LEAST_DIFFERENT_BYTES // 2


def files_with(folder: Path, secrets: list[str]) -> list[Path]:
    """The files below the folder that hold one of the secrets, by their paths from it."""
    wanted = [secret.encode() for secret in secrets if len(secret) >= 16]
    found = []
    for path in _files(folder):
        try:
            content = path.read_bytes()
        except OSError:
            continue  # gone meanwhile, or not ours to read: then nobody reads the key by us either
        if any(secret in content for secret in wanted):
            found.append(path.relative_to(folder))
    return found


def _files(folder: Path) -> Iterator[Path]:
    for directory, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _NOT_REPOSITORY and not name.endswith("_cache")]
        for name in names:
            path = Path(directory) / name
            if name in _NOT_REPOSITORY or path.suffix in _PICTURES:
                continue
            try:
                if path.is_file() and path.stat().st_size <= LARGEST_FILE:
                    yield path
            except OSError:
                continue
