"""How senders sign. Pure functions over bytes; every comparison takes the same time whatever differs."""

import base64
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

STANDARD_PREFIX: Final = b"whsec_"
TOLERANCE: Final = 300
"""Seconds that a signed time stamp may differ from ours, as in the reference libraries."""
DECIMAL: Final = re.compile(r"[0-9]{1,12}")
MOST_SIGNATURES: Final = 10
"""That are looked at in one header; more than any sender needs while it changes secrets."""


def matches_any(given: str | None, expected: Iterable[bytes]) -> bool:
    """Whether a header's value is one of the expected ones, compared as bytes, all of them, in constant time.

    `hmac.compare_digest` raises for text outside ASCII, so text is compared as UTF-8; a missing header never
    matches, not even an empty expectation.
    """
    presented = (given or "").encode("utf-8", "surrogateescape")
    matched = False
    for candidate in expected:
        matched |= hmac.compare_digest(candidate, presented)
    return matched and bool(presented)


def github_signature(secret: bytes, body: bytes) -> str:
    """The value of `X-Hub-Signature-256` for this body.

    https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    """
    return "sha256=" + hmac.digest(secret, body, "sha256").hex()


def pagerduty_signature(secret: bytes, body: bytes) -> str:
    """One item of `X-PagerDuty-Signature` for this body; the secret is used as it is, not decoded.

    https://developer.pagerduty.com/docs/verifying-webhook-signatures
    """
    return "v1=" + hmac.digest(secret, body, "sha256").hex()


def standard_webhooks_signature(secret: bytes, identifier: str, timestamp: str, body: bytes) -> str:
    """One item of `webhook-signature`; `secret` is the key itself, decoded.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    message = b"%b.%b.%b" % (_bytes(identifier), _bytes(timestamp), body)
    digest = hmac.digest(secret, message, "sha256")
    return "v1," + base64.b64encode(digest).decode()


def verify_standard_webhook(
    headers: Mapping[str, str], body: bytes, secrets: Iterable[bytes], received_at: datetime
) -> bool:
    """Whether one of the signatures is by one of the secrets and was made within five minutes of receipt.

    A secret is `whsec_` and base64, as the specification has it, or any other text, which is then the key
    itself and, where it happens to be base64, also what that decodes to.
    """
    timestamp = headers.get("webhook-timestamp", "")
    if not DECIMAL.fullmatch(timestamp) or abs(received_at.timestamp() - int(timestamp)) > TOLERANCE:
        return False
    identifier = headers.get("webhook-id", "")
    given = headers.get("webhook-signature", "").split(" ")[:MOST_SIGNATURES]
    expected = [
        standard_webhooks_signature(key, identifier, timestamp, body).encode()
        for secret in secrets
        for key in _keys(secret)
    ]
    matched = False
    for signature in given:
        matched |= matches_any(signature, expected)
    return matched and bool(identifier)


def _keys(secret: bytes) -> Iterator[bytes]:
    """What a secret may mean as a key; never an empty one."""
    is_marked = secret.startswith(STANDARD_PREFIX)
    if not is_marked and secret:
        yield secret
    try:
        key = base64.b64decode(secret.removeprefix(STANDARD_PREFIX), validate=True)
    except ValueError:
        return
    if key:
        yield key


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
