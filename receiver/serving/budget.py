"""How many bytes of requests a process holds at once, and who gets them. No I/O."""

from collections.abc import Hashable
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

SMALL: Final = 64 * KIB
"""Bytes of a request; a deployment's delivery has some 12 KiB."""
MEDIUM: Final = MIB
MOST: Final = 64 * MIB
"""Bytes of all requests of a process, from their first byte to their answer."""
FOR_SMALL: Final = 8 * MIB
"""Of these, bytes that only small requests get: however many large ones come, small ones pass."""
FOR_MEDIUM: Final = 4 * MIB
"""Likewise, bytes that only small and medium ones get. The rest is enough for two of the largest."""


class MemoryBudget:
    """Bytes that requests hold. A larger request finds less of the budget open to it."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._held: dict[Hashable, int] = {}
        self.used = 0

    @property
    def is_exceeded(self) -> bool:
        return self.used > self._most

    def hold(self, holder: Hashable, size: int) -> None:
        """Record that `holder` has `size` bytes in all, less than it has reserved or more."""
        more = size - self._held.get(holder, 0)
        if more > 0:
            self._held[holder] = size
            self.used += more

    def reserve(self, holder: Hashable, size: int) -> bool:
        """Let `holder` hold `size` bytes in all, or say `False` and leave it with what it has."""
        more = size - self._held.get(holder, 0)
        if more > 0 and self.used + more > self._open_to(size):
            return False
        self.hold(holder, size)
        return True

    def release(self, holder: Hashable) -> None:
        self.used -= self._held.pop(holder, 0)

    def _open_to(self, size: int) -> int:
        if size <= SMALL:
            return self._most
        return self._most - FOR_SMALL - (0 if size <= MEDIUM else FOR_MEDIUM)


def needed(received: int, length: int | None, limit: int) -> int:
    """Bytes to reserve for a body of which `received` bytes are here.

    A large body reserves all that it may need at once, so that no two wait for each other half-way. `length`
    is as announced, `None` if the body is chunked; `limit` is the most it may have.
    """
    if length is not None:
        return length if length > SMALL else received
    if received <= SMALL:
        return received
    return min(limit, MEDIUM if received <= MEDIUM else limit)
