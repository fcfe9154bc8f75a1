"""How the process gives memory back to the system.

In: nothing. Out: settings of the C library's allocator, where it has them. What must hold: without them the
broker does the same, only slower.
"""

from __future__ import annotations

import ctypes
from typing import Final

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_TRIM_BYTES: Final = 16 << 20
_MMAP_BYTES: Final = 4 << 20


def keep_freed_memory() -> None:
    """Have glibc keep some freed memory for the next allocation.

    Requests and replies of a megabyte come and go. Left alone, glibc returns such a block when it is freed
    (how often depends on what was freed before), and the next one costs a page fault for every 4 KiB: as much
    time as reading it from the page cache.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        # Another C library.
        return
    mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
