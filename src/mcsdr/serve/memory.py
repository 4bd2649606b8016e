"""What the C library (glibc) keeps of memory that was freed, so that a service stays as small as what it holds.

It gives threads pools of their own, up to eight for each processor, and each keeps pieces of megabytes for later. The
threads of a service come and go, and each pool that another one opens looks like a leak. Elsewhere nothing is done.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

ARENA_MAX = -8  # M_ARENA_MAX of malloc.h
POOLS = 2


def share_pools() -> None:
    """Let all threads share a few pools; to be said before there are many."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(ARENA_MAX, POOLS)


def give_back() -> None:
    """What was freed goes back to the system."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
