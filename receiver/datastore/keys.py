"""Our keys in Redis that several parts know."""

from typing import Final

MARKER_PREFIX: Final = "apitraffic:marker:"


MARKER_LIFETIME: Final = 180 * 86_400


ALIAS_PREFIX: Final = "apitraffic:alias:"


LOCK_PREFIX: Final = "apitraffic:lock:"
