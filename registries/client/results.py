"""What the client hands out: value types."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class TagList:
    """The tags of a repository in the registry's order, artifacts (signatures, attestations) left out.

    ``is_truncated``: there are more, but reading them all was stopped by a limit. ``dates`` and ``digests`` are known
    for some tags of some registries: when the tag was last pushed, and what it points to.
    """

    tags: tuple[str, ...]
    is_truncated: bool = False
    dates: Mapping[str, datetime] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ManifestHead:
    """What a tag points to now."""

    digest: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Quota:
    """The pulls that a registry says are left. ``window_s`` is None when it does not tell."""

    limit: int
    remaining: int
    window_s: int | None
    source: str
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class TestStep:
    """One step of the live test of an account: ``name`` is registry, log_in or tags."""

    __test__ = False  # not a test class, whatever its name begins with

    name: Literal["registry", "log_in", "tags"]
    state: Literal["ok", "failed", "skipped"]
    message: str
    fix: str = ""
    code: str = ""
    duration_ms: int = 0
