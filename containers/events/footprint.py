"""Memory of a process with a thread or two for each device."""

import ctypes
import sys
from typing import Final

_M_ARENA_MAX: Final = -8  # malloc.h of the GNU C library
_ARENAS: Final = 2


def use_few_arenas() -> None:
    """Have all threads share two heaps. Without effect on other C libraries.

    The GNU C library gives each thread a heap of its own, up to eight for each core, and what one frees the others
    cannot use: with a thousand threads, which hardly ever allocate at the same time, that is a third of the memory.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)


def give_back_memory() -> None:
    """Hand memory that was needed for a while (connecting to a whole fleet) back to the system."""
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
