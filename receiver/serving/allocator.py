"""The C library's allocator, told to give the memory of large bodies back."""

import ctypes
from contextlib import suppress
from typing import Final

M_MMAP_THRESHOLD: Final = -3
"""https://man7.org/linux/man-pages/man3/mallopt.3.html"""
THRESHOLD: Final = 128 * 1024
"""Bytes; glibc's own first value."""


def return_large_blocks() -> None:
    """Keep glibc from raising the size from which blocks are mapped, and so returned when they are freed.

    After it has freed a block of 25 MiB, it takes the next ones up to that size from its heap, where a body
    that grows is copied from place to place and leaves holes: with benchmarks/memory.py a process grew to
    176 MiB instead of 116, and kept 99 MiB instead of 63. Fewer arenas (MALLOC_ARENA_MAX) would not help, as
    one thread receives all bodies. Other C libraries have no such function, and need none.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, THRESHOLD)
