"""Why a request is refused, for the receiver's log only: the response is the same for all reasons.

Explanations are made of our own words. Nothing of a header's value or of the body gets into them.
"""

import re
from types import MappingProxyType
from typing import Final

from receiver.sources.request import Headers

HEX_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
BASE64_DIGEST: Final = re.compile(r"[0-9A-Za-z+/]{43}=")
SECONDS: Final = re.compile(r"[0-9]{1,12}")

KNOWN_BY: Final = MappingProxyType(
    {
        "x-forgejo-event": ("Forgejo", "forgejo"),
        "x-gitea-event": ("Gitea", "gitea"),
        "x-github-event": ("GitHub", "github"),
        "x-gitlab-event": ("GitLab", "gitlab"),
        "x-pagerduty-signature": ("PagerDuty", "pagerduty"),
    }
)
"""A header by which a sender is known -> its title, and its name in the URL; the first that is there counts.

Forgejo sends Gitea's headers too, and both send GitHub's."""


EVENT_HEADERS: Final = ("x-github-event", "x-gitlab-event", "ce-type")
DELIVERY_HEADERS: Final = (
    *("x-github-delivery", "x-gitlab-webhook-uuid", "webhook-id", "idempotency-key", "x-webhook-id", "ce-id"),
)
PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:-]{0,79}")


def names_in(headers: Headers) -> dict[str, str]:
    """Which event and delivery a refused request says it is, with which it is found at its sender.

    Nothing is proven of them, so only what looks like a name is taken.
    """
    places = {"delivery_event": EVENT_HEADERS, "delivery": DELIVERY_HEADERS}
    found = {
        name: next((headers[header] for header in candidates if header in headers), "")
        for name, candidates in places.items()
    }
    return {name: value for name, value in found.items() if PLAIN_NAME.fullmatch(value)}


def looks_like(headers: Headers) -> tuple[str, str] | None:
    """The sender whose delivery it looks like: its title, and its name in the URL."""
    return next((sender for header, sender in KNOWN_BY.items() if header in headers), None)


def missing(proof: str, source: str, headers: Headers, advice: str) -> str:
    """What to say if the proof is not there: whose delivery it looks like, else this advice."""
    for header, (title, name) in KNOWN_BY.items():
        if header in headers:
            if name == source:
                break
            return f"{proof} missing; this looks like a delivery from {title}: send it to /webhooks/{name}"
    return f"{proof} missing: {advice}"


def malformed_digest(header: str, prefix: str, digest: str) -> str | None:
    """What is wrong with the form of a hex digest; `None` if nothing is."""
    if HEX_DIGEST.fullmatch(digest):
        return None
    hint = "; this one is base64" if BASE64_DIGEST.fullmatch(digest) else ""
    return f"{header} is malformed: it should be {prefix} and 64 hexadecimal digits{hint}"


def standard_webhook_refusal(headers: Headers, variable: str, brand: str = "webhook") -> str:
    """Of a request with `webhook-signature`, which the secrets in this variable check.

    `brand` is how the headers' names begin.
    """
    items = [item.partition(",") for item in headers.get(f"{brand}-signature", "").split(" ")]
    if not any(version == "v1" and BASE64_DIGEST.fullmatch(digest) for version, _, digest in items):
        is_hex = any(HEX_DIGEST.fullmatch(digest) for _, _, digest in items)
        hint = "; this one is hexadecimal" if is_hex else ""
        return f"{brand}-signature is malformed: it should be v1, and 44 characters of base64{hint}"
    if not headers.get(f"{brand}-id"):
        return f"{brand}-id is missing, and it is signed: does a proxy remove it?"
    if not SECONDS.fullmatch(headers.get(f"{brand}-timestamp", "")):
        return f"{brand}-timestamp is missing or malformed: it should be in seconds since 1970"
    return (
        f"{brand}-signature matches no secret in {variable}, or {brand}-timestamp is more than five minutes "
        "from this clock, or something on the way changes the body"
    )
