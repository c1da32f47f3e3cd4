"""How often a host is asked, so that asking never takes more of its time than is allowed (pure)."""

import math
from typing import Final

# What an interval may grow to: a host that is so slow tells little, but it tells something.
LONGEST_INTERVAL_S: Final = 3600
_ROUNDED_TO_S: Final = 15
# An interval that was made longer comes back in steps, or a host that is slow now and then would swing.
_EASING: Final = 0.5


def interval_s(scheduled_s: float, took_s: float, share_percent: int, previous_s: int | None) -> int | None:
    """Seconds from one reading of a host to the next; None: as scheduled.

    ``took_s`` is how long the last one took, ``share_percent`` the share of time that asking may take at most, and
    ``previous_s`` what this function gave last time. Longer at once, shorter by half each time.
    """
    needed = took_s * 100 / share_percent
    if previous_s is not None:
        needed = max(needed, previous_s * _EASING)
    if needed <= scheduled_s:
        return None
    return min(LONGEST_INTERVAL_S, math.ceil(needed / _ROUNDED_TO_S) * _ROUNDED_TO_S)


def slow_host_text(scheduled_s: float, took_s: float, share_percent: int, interval: int) -> str:
    """What people are told of a longer interval."""
    return (
        f"Reading this host's statistics took {took_s:.0f} s. So that it takes {share_percent} % of the host's time at "
        f"most, it is read every {interval} s in place of every {scheduled_s:.0f} s."
    )
