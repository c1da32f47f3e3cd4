"""One run of the poll: claim, look up over the network, write down, give back."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings

from registries.client import Memory, Quota, RegistryClient
from registries.models import RepositoryKnowledge, TagKnowledge, now
from registries.polling.claims import Claim, claim_due, release
from registries.polling.jobs import Outcome
from registries.polling.lookups import Lane
from registries.polling.recording import record, record_origin
from registries.polling.schedules import make_scheduled_due

logger = logging.getLogger(__name__)

# No look-up begins later in a run, so that somebody who asks for one now does not wait for hundreds of others.
TAKE_S: Final = 40.0
# A whole run; what is not done by then stays due for the next.
RUN_S: Final = 150.0
# Outcomes that are written together at most.
_BATCH: Final = 50
_CHUNK: Final = 2000
# Tokens outlive a run.
_memory: Final = Memory()


def make_client() -> RegistryClient:
    """A client that remembers what those of earlier runs learned in this process."""
    return RegistryClient(memory=_memory)


def poll_due(client: Callable[[], RegistryClient] = make_client) -> int:
    """Look up what is due and gives how many repositories that were. Safe beside runs of other workers.

    The network part runs in an event loop of this thread, which stands still while a batch is written.
    """
    moment = now()
    make_scheduled_due(moment)
    claims = claim_due(moment)
    if not claims:
        return 0
    try:
        return _run(claims, client)
    finally:
        release(claims)


def _run(claims: list[Claim], client: Callable[[], RegistryClient]) -> int:
    done = 0
    with asyncio.Runner() as runner:
        run = _Run(claims, client)
        try:
            while outcomes := runner.run(run.next_batch()):
                record(outcomes)
                done += len(outcomes)
        finally:
            runner.run(run.close())
    for claim in claims:
        record_origin(claim.origin, run.outcomes_of(claim), run.quota_of(claim))
    return done


class _Run:
    """The look-ups of all claims side by side, given out in batches as they end."""

    def __init__(self, claims: list[Claim], make_client: Callable[[], RegistryClient]) -> None:
        self._claims = claims
        self._make_client = make_client
        self._client: RegistryClient | None = None
        self._work: asyncio.Task[None] | None = None
        self._ended: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._outcomes: dict[int, list[Outcome]] = {claim.origin.pk: [] for claim in claims}

    async def next_batch(self) -> list[Outcome]:
        """What ended since the last call, at least one; empty when all is done or the time is over."""
        if self._work is None:
            self._work = asyncio.create_task(self._look_up_all())
        first = await self._ended.get()
        batch = [first] if first is not None else []
        while first is not None and len(batch) < _BATCH and not self._ended.empty():
            more = self._ended.get_nowait()
            if more is None:
                self._ended.put_nowait(None)
                break
            batch.append(more)
        return batch

    async def _look_up_all(self) -> None:
        try:
            async with asyncio.timeout(RUN_S), self._make_client() as client, asyncio.TaskGroup() as group:
                self._client = client
                for claim in self._claims:
                    group.create_task(Lane(client, claim.jobs, self._keeper(claim), TAKE_S).run())
        except TimeoutError:
            logger.warning("a poll of registries did not end in time: the rest follows with the next")
        finally:
            self._ended.put_nowait(None)

    def _keeper(self, claim: Claim) -> Callable[[Outcome], None]:
        def keep(outcome: Outcome) -> None:
            self._outcomes[claim.origin.pk].append(outcome)
            self._ended.put_nowait(outcome)

        return keep

    async def close(self) -> None:
        """End what still runs; raises what went wrong in it."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
            if not self._work.cancelled() and (error := self._work.exception()) is not None:
                raise error

    def outcomes_of(self, claim: Claim) -> list[Outcome]:
        """What ended at an origin."""
        return self._outcomes[claim.origin.pk]

    def quota_of(self, claim: Claim) -> Quota | None:
        """The quota that an origin told of last."""
        outcomes = self.outcomes_of(claim)
        return self._client.quota(outcomes[0].job.access) if self._client and outcomes else None


def expire(moment: datetime | None = None) -> int:
    """Forget repositories and tags that nobody wanted for the retention time, in chunks; how many rows went."""
    limit = (moment or now()) - timedelta(days=settings.SSM_REGISTRY_RETENTION_DAYS)
    gone = 0
    for model in (TagKnowledge, RepositoryKnowledge):
        while old := list(model.objects.filter(wanted_at__lt=limit).values_list("pk", flat=True)[:_CHUNK]):
            gone += model.objects.filter(pk__in=old).delete()[0]
    return gone
