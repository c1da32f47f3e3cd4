"""What one look-up is to find out, and what it found: plain values between the database and the network."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from registries.errors import RateLimited, RegistryError
from registries.providers import Access

# The registry itself is not to be had: whatever else would be asked of it now would fail in the same way.
_WHOLE_REGISTRY: Final = frozenset({"rate_limited", "timeout", "tls", "unreachable", "unavailable", "unsafe_address"})


@dataclass(frozen=True, slots=True)
class TagJob:
    """A tag to be looked up, with what is known of it."""

    row_id: int
    tag: str
    digest: str
    details_digest: str


@dataclass(frozen=True, slots=True)
class Job:
    """The look-up of one repository."""

    repository_id: UUID
    path: str
    access: Access
    needs_tag_list: bool
    # Dates may cost further requests, so they are read for people who wait.
    with_dates: bool
    tags: tuple[TagJob, ...]
    local_digests: frozenset[str]


@dataclass(frozen=True, slots=True)
class Details:
    """What the manifests of a digest tell; ``platforms`` in the shape of TagKnowledge."""

    platforms: list[dict[str, str]]
    size_bytes: int | None
    created: datetime | None
    labels: dict[str, str]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something could not be looked up."""

    code: str
    message: str
    fix: str
    retry_at: datetime | None = None

    @property
    def concerns_registry(self) -> bool:
        """Whether nothing can be asked of the registry at present: what was to be looked up stays due."""
        return self.code in _WHOLE_REGISTRY

    @classmethod
    def of(cls, error: RegistryError) -> "Trouble":
        """The trouble that an error tells of."""
        retry_at = error.retry_at if isinstance(error, RateLimited) else None
        return cls(error.code, error.message, error.fix, retry_at)


@dataclass(frozen=True, slots=True)
class TagFound:
    """What became of one tag: its digest, or why there is none; details only when they were fetched."""

    job: TagJob
    digest: str = ""
    media_type: str = ""
    details: Details | None = None
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class TagsFound:
    """The list of tags, and when each was pushed where the registry tells it."""

    tags: tuple[str, ...]
    is_truncated: bool
    dates: dict[str, datetime]


@dataclass(slots=True)
class Outcome:
    """What a look-up found. What was not reached (``is_complete`` false) stays due."""

    job: Job
    tag_list: TagsFound | None = None
    tag_list_trouble: Trouble | None = None
    tags: list[TagFound] = field(default_factory=list)
    is_complete: bool = True

    @property
    def trouble(self) -> Trouble | None:
        """What failed the repository as a whole: its list of tags, or every tag. A missing tag alone is an answer."""
        if self.tag_list_trouble is not None:
            return self.tag_list_trouble
        troubles = [found.trouble for found in self.tags if found.trouble is not None]
        if general := next((trouble for trouble in troubles if trouble.concerns_registry), None):
            return general
        if troubles and len(troubles) == len(self.tags) and (self.tag_list is None or troubles[0].code != "not_found"):
            return troubles[0]
        return None
