"""Our keys in Redis that several packages know."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class AccountKeys:
    """The keys that each account has of its own: its markers with all that belongs to them, its request
    budget, and the pause of its deliveries.

    The account of APITRAFFIC_ACCOUNT_SID has the defaults, which are what versions without other accounts
    know.
    """

    marker: str = MARKER_PREFIX
    alias: str = ALIAS_PREFIX
    claim: str = CLAIM_PREFIX
    lock: str = LOCK_PREFIX
    alerts_to_check: str = ALERTS_TO_CHECK
    timeline: str = "apitraffic:timeline:"
    """Begins the sorted set of the markers of one type by time."""
    records: str = "apitraffic:records"
    """A hash: what is remembered of the markers in the timeline."""
    history: str = "apitraffic:history:"
    """Begins the hash of the deploys of one subject to one environment."""
    second_looks: str = "apitraffic:second-looks"
    """A sorted set: the key of each marker that is to be looked at again, and when (Unix seconds)."""
    budget: str = "apitraffic:budget"
    pause: str = "apitraffic:line"


def keys_of(account: str | None) -> AccountKeys:
    """The keys of the account of this name in apitraffic.toml, below `apitraffic:account:<name>:`."""
    if account is None:
        return AccountKeys()
    start = f"apitraffic:account:{account}:"
    return AccountKeys(
        marker=f"{start}marker:",
        alias=f"{start}alias:",
        claim=f"{start}claim:",
        lock=f"{start}lock:",
        alerts_to_check=f"{start}alerts-to-check",
        timeline=f"{start}timeline:",
        records=f"{start}records",
        history=f"{start}history:",
        second_looks=f"{start}second-looks",
        budget=f"{start}budget",
        pause=f"{start}line",
    )


def names_as_json(names: Sequence[str], claims: Sequence[str]) -> str:
    """The names of a marker as the scripts that lock it read them: its own, and those that it claims."""
    return json.dumps({"names": names, "claims": claims})
