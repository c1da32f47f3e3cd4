"""Sizes and times that no registry may exceed, and the clock they are measured by."""

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Protocol

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the client; sizes are bytes and hold after decompression too, times are seconds.

    ``overall_s`` is for one call of the client (a tag list, a manifest), whatever it needs: pages, tokens, retries.
    """

    connect_s: float = 5.0
    read_s: float = 15.0
    overall_s: float = 60.0
    tries: int = 4
    first_backoff_s: float = 0.5
    longest_wait_s: float = 60.0
    token_bytes: int = MIB
    manifest_bytes: int = 4 * MIB
    config_bytes: int = 4 * MIB
    tags_bytes: int = 16 * MIB
    error_bytes: int = MIB
    pages: int = 200
    tags: int = 100_000
    page_size: int = 1000
    redirects: int = 5
    calls_per_origin: int = 4
    challenge_s: float = 3600.0


class Clock(Protocol):
    """Time, as far as the client needs it."""

    def now(self) -> float:
        """Unix time in seconds."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Unix time in seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def backoff_s(limits: Limits, attempt: int) -> float:
    """Seconds before the try after ``attempt`` (0, 1, …): doubling, with jitter so that many do not come at once."""
    base = min(limits.first_backoff_s * float(2**attempt), limits.longest_wait_s)
    return base * random.uniform(0.75, 1.25)  # noqa: S311
