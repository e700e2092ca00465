"""Our keys in Redis that several packages know."""

import json
from collections.abc import Sequence
from typing import Final

MARKER_PREFIX: Final = "apitraffic:marker:"
MARKER_LIFETIME: Final = 180 * 86_400
"""Seconds after a marker's last change."""
ALIAS_PREFIX: Final = "apitraffic:alias:"
CLAIM_PREFIX: Final = "apitraffic:claim:"
LOCK_PREFIX: Final = "apitraffic:lock:"
REMEMBERS_SINCE: Final = "apitraffic:remembers-since"
"""Since when (Unix seconds) this Redis has kept what it was given. It goes with all other data."""
ALERTS_TO_CHECK: Final = "apitraffic:alerts-to-check"
"""A sorted set: the key of each alert that fires, and when (Unix seconds) it counts as ended unseen."""
RQ_PREFIX: Final = "apitraffic:rq"
"""How RQ's keys begin, unless RQ_KEY_PREFIX in the environment says something else."""


def names_as_json(names: Sequence[str], claims: Sequence[str]) -> str:
    """The names of a marker as the scripts that lock it read them: its own, and those that it claims."""
    return json.dumps({"names": names, "claims": claims})
