"""A circuit breaker for one device: after a failure, nobody bothers the host before its time."""

import time
from dataclasses import dataclass

from devices.errors import (
    AuthenticationFailed,
    CertificateRefused,
    CircuitOpen,
    ClientCertificateRefused,
    DeviceError,
    HostKeyError,
    KeyUnreadable,
)
from devices.rules.backoff import delay_s

FIRST_WAIT_S = 2.0
# A host that came back is to be found within 15 s, a connect in progress included; a refusal to let us in does not
# heal by itself, and log-ins that fail often get an address banned.
LONGEST_WAIT_S = 12.0
LONGEST_WAIT_FOR_PERSON_S = 60.0
NEEDS_PERSON = (
    AuthenticationFailed,
    CertificateRefused,
    ClientCertificateRefused,
    HostKeyError,
    KeyUnreadable,
)


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """What a device page shows of this process's connection. ``next_try_at`` is Unix seconds."""

    open: bool
    failures: int
    next_try_at: float | None
    last_error: DeviceError | None
    channel_kind: str


class Breaker:
    """Counts failures in a row. Not thread-safe: its owner locks."""

    def __init__(self) -> None:
        self.failures = 0
        self.last_error: DeviceError | None = None
        self._next_at = 0.0

    @property
    def wait_s(self) -> float:
        """Seconds until the next try is allowed; 0 if it is."""
        return max(0.0, self._next_at - time.monotonic())

    @property
    def next_try_at(self) -> float | None:
        """The same as a Unix time; None if nothing failed."""
        return time.time() + self.wait_s if self.failures else None

    def record_failure(self, error: DeviceError, jitter: float) -> None:
        """Wait before the next try, longer each time. ``jitter`` is random, 0 to 1."""
        self.failures += 1
        self.last_error = error
        longest = LONGEST_WAIT_FOR_PERSON_S if isinstance(error, NEEDS_PERSON) else LONGEST_WAIT_S
        self._next_at = time.monotonic() + delay_s(self.failures, jitter, first_s=FIRST_WAIT_S, longest_s=longest)

    def reset(self) -> None:
        """Forget all failures: the next try is allowed at once."""
        self.failures = 0
        self.last_error = None
        self._next_at = 0.0

    def check(self, name: str) -> None:
        """CircuitOpen while waiting. It carries the cause's fix."""
        wait, cause = self.wait_s, self.last_error
        if wait <= 0 or cause is None:
            return
        person = " This needs a person: it will not heal by itself." if isinstance(cause, NEEDS_PERSON) else ""
        raise CircuitOpen(
            f"{name} is not tried for another {max(1, round(wait))} s, as the last try failed: {cause.message}{person}",
            fix=cause.fix,
            details={"retry_at": time.time() + wait, "failures": self.failures, "cause": cause.code},
        ) from cause
