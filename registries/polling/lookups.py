"""Look repositories up: a list of tags and a HEAD for each tag, manifests only where the digest is news."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from registries.client import RegistryClient, TagList
from registries.errors import RegistryError
from registries.polling.jobs import Details, Job, Outcome, TagFound, TagJob, TagsFound, Trouble
from registries.providers import Access
from registries.rules.manifests import ImageManifest, IndexManifest

logger = logging.getLogger(__name__)

# Repositories of one origin that are looked up at once; each sends one request after the other.
AT_ONCE: Final = 4
# For one repository with all its tags.
JOB_S: Final = 60.0
# So many in a row that find no registry: the others of that origin are not tried in this run.
_DEAD_AFTER: Final = 3
# Whose labels and date stand for an image of several platforms.
_PREFERRED: Final = (("linux", "amd64"), ("linux", "arm64"))


class Lane:
    """The look-ups of one origin with one account: few at once, and none once it is clear that they would fail."""

    def __init__(
        self, client: RegistryClient, jobs: Iterable[Job], emit: Callable[[Outcome], None], take_s: float
    ) -> None:
        self._client = client
        self._take_s = take_s
        self._waiting = deque(jobs)
        self._emit = emit
        self._trouble: Trouble | None = None
        self._dead_in_a_row = 0

    async def run(self) -> None:
        """Look up what can be begun within ``take_s``; the rest is left to the next run, the urgent of it first.

        Ends early, with what is left marked incomplete, when the registry cannot be asked.
        """
        take_until = asyncio.get_running_loop().time() + self._take_s
        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(self._waiting))):
                group.create_task(self._work(take_until))

    async def _work(self, take_until: float) -> None:
        while self._waiting and (self._trouble is not None or asyncio.get_running_loop().time() < take_until):
            job = self._waiting.popleft()
            if self._trouble is not None:
                outcome = Outcome(job, tag_list_trouble=self._trouble, is_complete=False)
            else:
                outcome = await self._look_up(job)
                self._judge(outcome.trouble)
            self._emit(outcome)

    async def _look_up(self, job: Job) -> Outcome:
        try:
            return await look_up(self._client, job)
        except Exception as exc:
            # One repository that SSM itself fails at must not keep all others from being looked up.
            logger.exception("look-up failed unexpectedly", extra={"host": job.access.host, "repository": job.path})
            tags = [TagFound(tag, trouble=_own_fault(exc)) for tag in job.tags]
            return Outcome(job, tag_list_trouble=_own_fault(exc), tags=tags)

    def _judge(self, trouble: Trouble | None) -> None:
        if trouble is None or not trouble.concerns_registry:
            self._dead_in_a_row = 0
            return
        self._dead_in_a_row += 1
        if trouble.code == "rate_limited" or self._dead_in_a_row >= _DEAD_AFTER:
            self._trouble = trouble


def _own_fault(exc: Exception) -> Trouble:
    return Trouble("failed", f"SSM failed at this look-up ({type(exc).__name__}).", "See the log of its worker.")


async def look_up(client: RegistryClient, job: Job) -> Outcome:
    """Look one repository up. Never raises for what a registry does; what could not be reached is in the outcome."""
    outcome = Outcome(job)
    try:
        async with asyncio.timeout(JOB_S):
            if job.needs_tag_list:
                await _read_tags(client, job, outcome)
            for tag in job.tags:
                if outcome.tag_list_trouble is not None and outcome.tag_list_trouble.concerns_registry:
                    outcome.is_complete = False
                    break
                found = await _look_up_tag(client, job, tag)
                outcome.tags.append(found)
                if found.trouble is not None and found.trouble.concerns_registry:
                    outcome.is_complete = False
                    break
    except TimeoutError:
        outcome.is_complete = False
        outcome.tag_list_trouble = Trouble(
            "timeout",
            f"{job.access.host} did not answer for {job.path} within {JOB_S:.0f} seconds.",
            "It is tried again by itself. If it stays so, look at the registry and at the network between.",
        )
    return outcome


async def _read_tags(client: RegistryClient, job: Job, outcome: Outcome) -> None:
    try:
        found = await _tags(client, job)
    except RegistryError as exc:
        outcome.tag_list_trouble = Trouble.of(exc)
    else:
        outcome.tag_list = TagsFound(tuple(found.tags), found.is_truncated, dict(found.dates))


async def _tags(client: RegistryClient, job: Job) -> TagList:
    if job.with_dates:
        try:
            return await client.tags(job.access, job.path, with_dates=True)
        except RegistryError as exc:
            # Docker Hub tells dates by another service: its troubles are not the registry's.
            logger.info("dates not read: %s", exc, extra={"host": job.access.host, "repository": job.path})
    return await client.tags(job.access, job.path)


async def _look_up_tag(client: RegistryClient, job: Job, tag: TagJob) -> TagFound:
    try:
        head = await client.head(job.access, job.path, tag.tag)
    except RegistryError as exc:
        return TagFound(tag, trouble=Trouble.of(exc))
    is_known = tag.details_digest == head.digest or head.digest in job.local_digests
    details, trouble = None, None
    if not is_known:
        try:
            details = await _read_details(client, job.access, job.path, head.digest)
        except RegistryError as exc:
            # The digest is known all the same; the details are fetched with a later look-up. Also when so little is
            # left of a quota that it is kept for pulls.
            logger.info("details not read: %s", exc, extra={"host": job.access.host, "repository": job.path})
            trouble = Trouble.of(exc) if Trouble.of(exc).code == "rate_limited" else None
    return TagFound(tag, head.digest, head.media_type, details, trouble)


async def _read_details(client: RegistryClient, access: Access, path: str, digest: str) -> Details:
    manifest = await client.manifest(access, path, digest)
    platforms: list[dict[str, str]] = []
    if isinstance(manifest, IndexManifest):
        platforms = [
            {
                "os": platform.os,
                "architecture": platform.architecture,
                "variant": platform.variant,
                "os_version": platform.os_version,
                "digest": platform.digest,
                "config_digest": "",
            }
            for platform in manifest.platforms
        ]
        chosen = _chosen(platforms)
        if chosen is None:
            return Details([], None, None, {})
        manifest = await client.manifest(access, path, chosen["digest"])
        if isinstance(manifest, ImageManifest):
            chosen["config_digest"] = manifest.config_digest
    if not isinstance(manifest, ImageManifest) or manifest.artifact_type:
        return Details(platforms, None, getattr(manifest, "created", None), {})
    config = await client.config(access, path, manifest.config_digest)
    if not platforms:
        platforms = [
            {
                "os": config.os,
                "architecture": config.architecture,
                "variant": config.variant,
                "os_version": "",
                "digest": digest,
                "config_digest": manifest.config_digest,
            }
        ]
    return Details(platforms, manifest.size_bytes, config.created, dict(config.labels))


def _chosen(platforms: list[dict[str, str]]) -> dict[str, str] | None:
    for wanted in _PREFERRED:
        for platform in platforms:
            if (platform["os"], platform["architecture"]) == wanted:
                return platform
    return platforms[0] if platforms else None
