"""How long to wait before trying a failing host again (pure)."""

FIRST_DELAY_S = 2.0
LONGEST_DELAY_S = 60.0


def delay_s(
    failures: int, jitter: float, *, first_s: float = FIRST_DELAY_S, longest_s: float = LONGEST_DELAY_S
) -> float:
    """Seconds to wait after the ``failures``-th failure in a row (1 or more).

    Doubles from ``first_s`` to ``longest_s``; ``jitter`` from 0 to 1 takes up to half of that away, so that hosts
    that died together do not all come back in one moment. Never below half of ``first_s``.
    """
    if failures < 1:
        return 0.0
    # The exponent is bounded: 2 ** 10000 seconds is an overflow, not a delay.
    full = min(longest_s, first_s * 2.0 ** min(failures - 1, 32))
    return full * (1.0 - 0.5 * min(max(jitter, 0.0), 1.0))
