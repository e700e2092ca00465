"""The buckets and environments that exist in the local account; the API has no way to make more."""

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
"""What an event is scoped to when it concerns all buckets or all environments."""


def buckets(account_sid: str) -> list[dict[str, object]]:
    """Give the buckets as the API lists them."""
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
    """Give the environments as the API lists them; their fields beyond `sid` and `name` are our guess."""
    return [
        {"sid": sid, "accountSid": account_sid, "name": name, "createdAt": CREATED_AT}
        for sid, name in ENVIRONMENTS.items()
    ]
