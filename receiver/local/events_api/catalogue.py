"""The buckets and environments of the local account. The API cannot create others."""

from typing import Final

CREATED_AT: Final = "2025-01-15T09:00:00.000Z"

BUCKETS: Final = {
    "bkt_checkout0000000000000000000": "Checkout API",
    "bkt_payments0000000000000000000": "Payments API",
    "bkt_search000000000000000000000": "Search API",
}
"""Bucket SID -> name."""

ENVIRONMENTS: Final = {
    "env123": "production",
    "env456": "staging",
    "env789": "development",
}
"""Environment SID -> name."""

EVERYTHING: Final = "*"
"""The scope of an event that concerns all buckets or all environments."""


def buckets(account_sid: str) -> list[dict[str, object]]:
    """Return the buckets as the API lists them."""
    return [
        {
            "sid": sid,
            "accountSid": account_sid,
            "name": name,
            "verifySslCerts": True,
            "appIsConnected": True,
            "createdAt": CREATED_AT,
        }
        for sid, name in BUCKETS.items()
    ]


def environments(account_sid: str) -> list[dict[str, object]]:
    """Return the environments as the API lists them; all fields but `sid` and `name` are a guess."""
    return [
        {"sid": sid, "accountSid": account_sid, "name": name, "createdAt": CREATED_AT}
        for sid, name in ENVIRONMENTS.items()
    ]
