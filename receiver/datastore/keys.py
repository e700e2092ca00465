"""Our keys in Redis that several packages know."""

from typing import Final

MARKER_PREFIX: Final = "apitraffic:marker:"
MARKER_LIFETIME: Final = 180 * 86_400
"""Seconds after a marker's last change."""
ALIAS_PREFIX: Final = "apitraffic:alias:"
LOCK_PREFIX: Final = "apitraffic:lock:"
RQ_PREFIX: Final = "apitraffic:rq"
"""How RQ's keys begin, unless RQ_KEY_PREFIX in the environment says something else."""
