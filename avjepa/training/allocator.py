"""Memory that was freed stays with the process, so that the next step finds it."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Tell glibc to take no block from the system and give none back while a network runs on the CPU.

    By default every tensor of megabytes is mapped anew and unmapped when it is freed (mallopt(3)), at the price of a
    page fault for every 4 KiB: a tenth of a small training step. The process keeps its peak memory instead. On systems
    without ``mallopt`` nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _LARGEST)
