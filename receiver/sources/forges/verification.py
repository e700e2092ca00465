"""Whether a request is signed by Gitea or Forgejo, and why one may have been refused."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from receiver.sources.refusals import HEX_DIGEST, malformed_digest, missing
from receiver.sources.request import Headers, Secrets
from receiver.sources.signatures import SignedBody, Verification

HUB_SIGNATURE: Final = "x-hub-signature-256"
HUB_PREFIX: Final = "sha256="


def verification_by(
    signatures: Iterable[str], variable: str
) -> Callable[[Headers, Secrets, datetime], Verification | None]:
    """Of a signature in the first of these headers that is there."""
    names = tuple(signatures)

    def verification(headers: Headers, secrets: Secrets, _received_at: datetime) -> Verification | None:
        header = next((name for name in names if headers.get(name)), None)
        if header is None:
            return None
        given = headers[header]
        prefix = HUB_PREFIX if header == HUB_SIGNATURE else ""
        if not given.startswith(prefix) or not HEX_DIGEST.fullmatch(given.removeprefix(prefix)):
            return None
        written = prefix.encode()
        return SignedBody(secrets.get(variable, ()), (given,), lambda digest: written + digest.hex().encode())

    return verification


def explain_refusal(
    name: str, title: str, signatures: tuple[str, ...], variable: str
) -> Callable[[Headers, bytes], str]:
    def explain(headers: Headers, _body_start: bytes) -> str:
        header = next((each for each in signatures if headers.get(each)), None)
        own = "-".join(part.capitalize() for part in signatures[0].split("-"))
        if header is None:
            return missing(f"{own} is", name, headers, f"enter {variable} as the webhook's secret in {title}")
        prefix = HUB_PREFIX if header == HUB_SIGNATURE else ""
        shown = "-".join(part.capitalize() for part in header.split("-"))
        if problem := malformed_digest(shown, prefix or "nothing else", headers[header].removeprefix(prefix)):
            return problem
        if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return f"choose application/json as the webhook's content type: {title} does not sign a form"
        return f"{shown} matches no secret in {variable}, or something on the way changes the body"

    return explain
