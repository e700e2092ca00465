"""How senders sign. Pure functions over bytes; every comparison takes the same time whatever differs."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Final, Protocol

STANDARD_PREFIX: Final = b"whsec_"
TOLERANCE: Final = 300
"""Seconds that a signed time stamp may differ from ours, as in the reference libraries."""
GITHUB_SIGNATURE: Final = re.compile(r"sha256=[0-9a-f]{64}")
PAGERDUTY_SIGNATURE: Final = re.compile(r"v1=[0-9a-f]{64}")
STANDARD_SIGNATURE: Final = re.compile(r"v1,[A-Za-z0-9+/]{43}=")
DECIMAL: Final = re.compile(r"[0-9]{1,12}")
URL_SAFE: Final = re.compile(rb"[-_]")
FROM_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
SHORTEST_STANDARD_KEY: Final = 16
"""Bytes behind `whsec_`; the specification has 24 to 64.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""
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


class Verification(Protocol):
    """Whether a body is what the headers promise. It is fed the body as it arrives, in parts of any size."""

    def update(self, part: bytes | memoryview, /) -> None: ...

    def is_authentic(self) -> bool:
        """Asked once, after the whole body."""
        ...


class ProvenByHeaders:
    """For senders that present a token: the headers prove who they are, whatever the body is."""

    def update(self, part: bytes | memoryview, /) -> None:
        pass

    def is_authentic(self) -> bool:
        return True


class SignedBody:
    """An HMAC by one of `keys` over `prefix` and the body, presented as one of `signatures`.

    `encode` turns a digest into the form in which the sender presents it.
    """

    def __init__(
        self,
        keys: Iterable[bytes],
        signatures: Iterable[str],
        encode: Callable[[bytes], bytes],
        prefix: bytes = b"",
        hash_name: str = "sha256",
    ) -> None:
        self._macs = [hmac.new(key, prefix, hash_name) for key in keys]
        self._signatures = tuple(signatures)
        self._encode = encode

    def update(self, part: bytes | memoryview, /) -> None:
        for mac in self._macs:
            mac.update(part)

    def is_authentic(self) -> bool:
        expected = [self._encode(mac.digest()) for mac in self._macs]
        matched = False
        for signature in self._signatures:
            matched |= matches_any(signature, expected)
        return matched


class SignedClaim:
    """A JSON Web Signature by HS256 whose claim is the SHA-256 of the body in hex, as Netlify presents it.

    https://www.rfc-editor.org/rfc/rfc7515#section-7.1
    """

    def __init__(self, claimed: str) -> None:
        self._hash = hashlib.sha256()
        self._claimed = claimed

    @classmethod
    def of(cls, token: str, claim: str, keys: Iterable[bytes]) -> "SignedClaim | None":
        """`None` unless one of the keys signed it; an algorithm that the token names does not matter."""
        signed, _, signature = token.rpartition(".")
        macs = [hmac.digest(key, _bytes(signed), "sha256") for key in keys]
        if not matches_any(signature, [base64.urlsafe_b64encode(mac).rstrip(b"=") for mac in macs]):
            return None
        try:
            payload = signed.partition(".")[2]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except (ValueError, RecursionError):
            return None
        claimed = claims.get(claim) if isinstance(claims, dict) else None
        return cls(claimed) if isinstance(claimed, str) and claimed else None

    def update(self, part: bytes | memoryview, /) -> None:
        self._hash.update(part)

    def is_authentic(self) -> bool:
        return matches_any(self._claimed, [_hex(self._hash.digest())])


def github_verification(given: str | None, secrets: Iterable[bytes]) -> Verification | None:
    """Of the value of `X-Hub-Signature-256`; `None` if it is missing or no signature.

    https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    """
    if not GITHUB_SIGNATURE.fullmatch(given or ""):
        return None
    return SignedBody(secrets, (given or "",), lambda digest: b"sha256=" + _hex(digest))


def pagerduty_verification(given: str | None, secrets: Iterable[bytes]) -> Verification | None:
    """Of the value of `X-PagerDuty-Signature`; `None` if there is no signature in it.

    While a secret is changed, the header holds a signature by each. The secret is used as it is, not decoded.

    https://developer.pagerduty.com/docs/verifying-webhook-signatures
    """
    parts = (part.strip(" \t") for part in (given or "").split(","))
    signatures = list(islice((part for part in parts if part.startswith("v1=")), MOST_SIGNATURES))
    if not any(PAGERDUTY_SIGNATURE.fullmatch(signature) for signature in signatures):
        return None
    return SignedBody(secrets, signatures, lambda digest: b"v1=" + _hex(digest))


def standard_webhook_verification(
    headers: Mapping[str, str], secrets: Iterable[bytes], received_at: datetime, brand: str = "webhook"
) -> Verification | None:
    """Of a signature by one of the secrets, made within five minutes of receipt.

    `None` if a header is missing or malformed, or the time is another. A secret is `whsec_` and base64, as
    the specification has it, or any other text, which is then the key itself and, if it happens to be base64,
    also what that decodes to. `brand` is how the headers' names begin: Svix has its own.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    timestamp = headers.get(f"{brand}-timestamp", "")
    # In whole seconds, as the reference libraries: a signature of exactly five minutes ago holds.
    if not DECIMAL.fullmatch(timestamp) or abs(int(received_at.timestamp()) - int(timestamp)) > TOLERANCE:
        return None
    identifier = headers.get(f"{brand}-id", "")
    given = headers.get(f"{brand}-signature", "").split(" ")[:MOST_SIGNATURES]
    if not identifier or not any(STANDARD_SIGNATURE.fullmatch(signature) for signature in given):
        return None
    keys = [key for secret in secrets for key in _keys(secret)]
    prefix = b"%b.%b." % (_bytes(identifier), _bytes(timestamp))
    return SignedBody(keys, given, lambda digest: b"v1," + base64.b64encode(digest), prefix)


def standard_key(secret: bytes) -> bytes | None:
    """What a secret decodes to, with or without `whsec_`; `None` if it is not base64.

    Padding may be missing and the characters those of URLs: the reference libraries take, or make, such ones.
    """
    text = secret.removeprefix(STANDARD_PREFIX).rstrip(b"=").translate(FROM_URL_SAFE)
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except ValueError:
        return None


def token_verification(given: str | None, expected: Iterable[bytes]) -> Verification | None:
    """Of a token that a header presents: right or wrong before the body is read."""
    return ProvenByHeaders() if matches_any(given, expected) else None


def _hex(digest: bytes) -> bytes:
    return digest.hex().encode()


def _keys(secret: bytes) -> Iterator[bytes]:
    """What a secret may mean as a key; never an empty one."""
    is_marked = secret.startswith(STANDARD_PREFIX)
    if not is_marked and secret:
        yield secret
    if key := standard_key(secret):
        yield key
    if is_marked and (key := _key_of_python(secret)):
        yield key


def _key_of_python(secret: bytes) -> bytes | None:
    """What the Python library decodes a secret with URL-safe characters to: it drops them."""
    text = URL_SAFE.sub(b"", secret.removeprefix(STANDARD_PREFIX))
    key = standard_key(text) if len(text) < len(secret) - len(STANDARD_PREFIX) else None
    return key if key and len(key) >= SHORTEST_STANDARD_KEY else None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
