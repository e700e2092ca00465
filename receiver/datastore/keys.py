"""Our keys in Redis that several parts know."""

import json
from collections.abc import Sequence
from typing import Final

MARKER_PREFIX: Final = "apitraffic:marker:"


MARKER_LIFETIME: Final = 180 * 86_400


ALIAS_PREFIX: Final = "apitraffic:alias:"


CLAIM_PREFIX: Final = "apitraffic:claim:"


LOCK_PREFIX: Final = "apitraffic:lock:"


def names_as_json(names: Sequence[str], claims: Sequence[str]) -> str:
    """A marker's names as the scripts that find it read them: its own, and those that it claims."""
    return json.dumps({"names": names, "claims": claims})
