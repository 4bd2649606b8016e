"""What the C library (glibc) does with memory that was freed: a service gives it back, a training keeps it.

It gives threads pools of their own, up to eight for each processor, and each keeps pieces of megabytes for later. The
threads of a service come and go, and each pool that another one opens looks like a leak.

What is large comes straight from the system and goes straight back. A step of training asks for the same tensors as the
step before, of up to 25 MB, and the system clears every page of them anew; on a virtual machine, where the host must
find the page first, that is a sixth of the step or more. Elsewhere than under glibc nothing is done.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

ARENA_MAX, MMAP_MAX, TRIM_THRESHOLD = -8, -4, -1  # M_ARENA_MAX and so on, of malloc.h
POOLS = 2
NEVER = 2**31 - 1


def share_pools() -> None:
    """Let all threads share a few pools; to be said before there are many."""
    _set(ARENA_MAX, POOLS)


def keep_freed() -> None:
    """What is freed stays with this process, for the next that is as large; up to 2 GiB beyond what is in use."""
    _set(MMAP_MAX, 0)
    _set(TRIM_THRESHOLD, NEVER)


def give_back() -> None:
    """What was freed goes back to the system."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _set(option: int, value: int) -> None:
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(option, value)
