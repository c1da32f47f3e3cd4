"""The live test of an account: its steps as they happen, and what they come to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Final

from registries.client import Quota, RegistryClient, TestStep
from registries.models import Origin, Registry, now
from registries.providers import Access
from registries.services.accounts import access_of, known_repository
from ssm.lib.errors import SsmError
from ssm.lib.jobs import enqueue

STEPS: Final = (
    ("registry", "Registry answers (/v2/)"),
    ("log_in", "Log-in is accepted"),
    ("tags", "Tags can be read"),
    ("quota", "Pulls left"),
)
DEADLINE_S: Final = 45.0
TEST_TASK: Final = "registries.test_account"


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the test as the page shows it; ``state`` is skipped, running, ok or failed."""

    key: str
    title: str
    state: str = "skipped"
    message: str = ""
    fix: str = ""
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a test came to; ``message`` and ``fix`` are those of the step that failed."""

    passed: bool
    message: str = ""
    fix: str = ""
    quota: Quota | None = None


def untried_steps() -> list[Step]:
    """All steps as they stand before a test."""
    return [Step(key, title) for key, title in STEPS]


class Test:
    """One test of one access; reads ``repository``'s tags if it is given."""

    __test__ = False  # not a class of tests, whatever its name begins with

    def __init__(
        self, access: Access, repository: str = "", client: Callable[[], RegistryClient] = RegistryClient
    ) -> None:
        self._access = access
        self._repository = repository.strip().strip("/")
        self._client = client
        self._failed: Step | None = None
        self._quota: Quota | None = None

    async def run(self) -> AsyncIterator[Step]:
        """Each step as it begins and as it ends. Ends by its deadline, and when the reader leaves."""
        waiting = {key: Step(key, title) for key, title in STEPS}
        told: asyncio.Queue[TestStep | None] = asyncio.Queue()
        work = asyncio.create_task(self._test(told))
        try:
            yield replace(waiting["registry"], state="running")
            while (result := await told.get()) is not None:
                step = waiting.pop(result.name)
                ended = replace(
                    step,
                    state=result.state,
                    message=result.message,
                    fix=result.fix,
                    duration_ms=None if result.state == "skipped" else result.duration_ms,
                )
                if ended.state == "failed":
                    self._failed = ended
                yield ended
                following = next(iter(waiting.values()))
                if self._failed is None and following.key != "quota":
                    yield replace(following, state="running")
            await work
            yield self._quota_step(waiting["quota"])
        finally:
            work.cancel()

    async def _test(self, told: "asyncio.Queue[TestStep | None]") -> None:
        try:
            async with asyncio.timeout(DEADLINE_S), self._client() as client:
                await client.test(self._access, self._repository, tell=told.put_nowait)
                self._quota = client.quota(self._access)
        except TimeoutError:
            self._failed = Step(
                "", "", "failed", f"{self._access.host} did not answer within {DEADLINE_S:.0f} seconds."
            )
        finally:
            told.put_nowait(None)

    def _quota_step(self, step: Step) -> Step:
        if self._failed is not None:
            return step
        if self._quota is None:
            return replace(step, state="ok", message="The registry tells of no limit.")
        return replace(step, state="ok", message=f"{self._quota.remaining} of {self._quota.limit} are left.")

    def verdict(self) -> Verdict:
        """What the test came to, once ``run`` has ended."""
        if self._failed is not None:
            return Verdict(False, self._failed.message, self._failed.fix)
        return Verdict(True, quota=self._quota)


def note_verdict(registry: Registry, verdict: Verdict) -> None:
    """Remember how the last test of a stored account ended, and the quota that it was told."""
    Registry.objects.filter(pk=registry.pk).update(
        tested_at=now(), test_passed=verdict.passed, test_message=verdict.message, test_fix=verdict.fix
    )
    if verdict.quota is not None:
        Origin.objects.update_or_create(
            host=registry.host,
            account=registry,
            defaults={
                "quota_limit": verdict.quota.limit,
                "quota_remaining": verdict.quota.remaining,
                "quota_window_s": verdict.quota.window_s,
                "quota_source": verdict.quota.source[:120],
                "quota_seen_at": verdict.quota.seen_at,
            },
        )


def request_test(registry_id: str) -> None:
    """Have a worker test an account as it is stored; what comes of it is in its row."""
    enqueue(TEST_TASK, registry_id)


def test_stored(registry_id: str) -> Verdict | None:
    """Test an account as it is stored, to the end, and remember how that ended; None when there is none."""
    registry = Registry.objects.filter(pk=registry_id).first()
    if registry is None:
        return None
    try:
        test = Test(access_of(registry), known_repository(registry))
        asyncio.run(_to_the_end(test))
        verdict = test.verdict()
    except SsmError as exc:
        verdict = Verdict(False, exc.message, exc.fix)
    note_verdict(registry, verdict)
    return verdict


async def _to_the_end(test: Test) -> None:
    async for _step in test.run():
        pass
