"""Bounds of the log hub, in one place."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogLimits:
    """What logs may cost. Sizes are bytes, times seconds.

    ``ring_bytes``: recent lines held per followed container, whatever the number of viewers.
    ``window_bytes``: sent to one viewer and not acknowledged yet; beyond it the viewer waits.
    ``message_bytes``: where a message to a browser ends (one record may be larger).
    ``linger_s``: how long a stream stays open after its last viewer left.
    ``lag_s``: how far a live log may fall behind for the sake of its fastest viewer before lines are skipped.
    ``look_s``: how often a stopped container is looked at while somebody watches.
    """

    ring_bytes: int = 4 * 1024 * 1024
    window_bytes: int = 512 * 1024
    message_bytes: int = 128 * 1024
    upstreams: int = 200
    viewers: int = 1000
    linger_s: float = 10.0
    lag_s: float = 3.0
    look_s: float = 1.0
    first_retry_s: float = 1.0
    longest_retry_s: float = 30.0
    tail_default: int = 500
    page_lines: int = 5000
    page_bytes: int = 4 * 1024 * 1024
