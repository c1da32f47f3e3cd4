"""The bounds of one web process, and which paths may take larger bodies. Pure but for reading the settings."""

import re
import resource
from dataclasses import dataclass
from typing import Final

from django.conf import settings

from ssm.lib.roles import Right

MIB: Final = 1024 * 1024
# Left for files, the database, Redis and what the libraries open.
_FILES_KEPT: Final = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds; each is of one connection unless it says otherwise."""

    # The request line, and each header.
    line_bytes: int = 16 * 1024
    # Request line and headers together.
    head_bytes: int = 32 * 1024
    headers: int = 100
    # From the first byte (of a new connection: from its beginning) to the end of the head.
    head_s: float = 15.0
    # Between two requests.
    idle_s: float = 75.0
    # Of paths that have no rule of their own.
    body_bytes: int = 2560 * 1024
    # Larger bodies lie on disk.
    memory_bytes: int = 64 * 1024
    # A body must bring, and an answer that waits must lose, that much in each window.
    window_s: float = 20.0
    window_bytes: int = 20 * 1024
    # How long the rest of a refused body is thrown away, so that the client reads the answer instead of a reset.
    drain_s: float = 5.0
    drain_bytes: int = 4 * MIB
    # Of the process: open at once, in all and of one address (IPv6: one network of /64).
    connections: int = 4096
    connections_per_address: int = 512
    # Of the process: requests that Django works on at once; of one client half of them.
    requests_at_once: int = 64
    waiting_s: float = 30.0
    # Of the process: bodies over `body_bytes` that are under way at once.
    uploads_at_once: int = 4
    # The handshake of a WebSocket, and one message of it.
    handshake_s: float = 20.0
    message_bytes: int = 256 * 1024
    # Messages that a consumer has not taken yet: reading stops there; beyond the second number the socket is closed.
    messages_held: int = 64
    messages_most: int = 256
    messages_held_bytes: int = 512 * 1024
    # What a browser has not taken yet of what a socket sends.
    unsent_bytes: int = 8 * MIB
    # After SIGTERM, until what is still under way is cut off.
    stop_s: float = 8.0

    @classmethod
    def from_settings(cls) -> "Limits":
        """As the environment says, with no more connections than the process may have open files."""
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        most = settings.SSM_WEB_CONNECTIONS
        if files != resource.RLIM_INFINITY:
            most = max(min(most, files - _FILES_KEPT), 16)
        return cls(
            head_s=settings.SSM_WEB_HEAD_SECONDS,
            body_bytes=settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
            window_s=settings.SSM_WEB_STALL_SECONDS,
            connections=most,
            connections_per_address=settings.SSM_WEB_CONNECTIONS_PER_ADDRESS,
            requests_at_once=settings.SSM_WEB_REQUESTS_AT_ONCE,
            uploads_at_once=settings.SSM_WEB_UPLOADS_AT_ONCE,
            stop_s=settings.SSM_WEB_STOP_SECONDS,
        )


@dataclass(frozen=True, slots=True)
class BodyRule:
    """A path whose bodies have a bound of their own; beyond the usual one only for those who hold the right."""

    path: re.Pattern[bytes]
    size_bytes: int
    right: Right | None = None


def body_rules() -> tuple[BodyRule, ...]:
    """The first whose pattern is the whole path counts.

    Everything else has `Limits.body_bytes`: a new path that takes files belongs here.
    """
    # The archive, and the form around it.
    archive = settings.SSM_BACKUP_UPLOAD_MIB * MIB + MIB
    return (
        BodyRule(re.compile(rb"(/backups/upload/|/api/v1/backups/upload)"), archive, Right.MANAGE_VOLUMES),
        # What nobody has to be logged in for.
        BodyRule(re.compile(rb"/csp-report"), 16 * 1024),
        BodyRule(re.compile(rb"/login/.*"), 64 * 1024),
    )


def rule_of(path: bytes, rules: tuple[BodyRule, ...]) -> BodyRule | None:
    """The rule for a path, without its query."""
    return next((rule for rule in rules if rule.path.fullmatch(path)), None)


def too_little(received: int, before: int, limits: Limits) -> bool:
    """Whether a window of time moved fewer bytes than it has to."""
    return received - before < limits.window_bytes
