"""Checks of the receiver from outside: a signed ping for each source that is on, as its sender would send it.

A ping is answered 200 `ignored` and leaves nothing; that it is not 401 shows that both ends have one secret.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from apitraffic_events.responses import reason_of
from apitraffic_events.text import one_line
from receiver.config.settings import Settings
from receiver.doctor.findings import Finding, FindingState, failure, ok, warning
from receiver.sources.signing import SENDERS

TIMEOUT: Final = 10.0
"""Seconds; what GitHub and GitLab allow."""
LONG: Final = 2.0
"""Seconds; PagerDuty gives up after five."""
LONGEST_WORDS: Final = 200


@dataclass(frozen=True, slots=True)
class Ping:
    """A delivery that an authentic receiver ignores; `expected` are its answers."""

    event: str
    body: bytes
    expected: tuple[int, ...] = (HTTPStatus.OK,)


PINGS: Final = {
    "github": Ping("ping", b'{"zen": "Keep it logically awesome.", "hook_id": 1}'),
    "gitlab": Ping("Ping Hook", b'{"object_kind": "ping"}'),
    "jenkins": Ping("", b'{"event": "ping"}'),
    "pagerduty": Ping("", b'{"event": {"event_type": "pagey.ping", "data": {"type": "ping"}}}'),
    # An empty list is refused, but only once the signature has been found right.
    "events": Ping("", b"[]", (HTTPStatus.UNPROCESSABLE_ENTITY,)),
}
SIGNING_VARIABLE: Final = "GITLAB_SIGNING_TOKEN"


def receiver(url: str, settings: Settings) -> Iterator[Finding]:
    """`url` is the receiver's base URL, as senders outside reach it."""
    base = url.rstrip("/")
    found = health(base)
    yield found
    if found.state is FindingState.FAILURE:
        # Some pings hold the secret itself, which is nobody else's business.
        return
    for name, ping in PINGS.items():
        try:
            signed = signed_headers(name, ping, settings)
            if signed is not None:
                yield answer_to_ping(
                    name, f"{base}/webhooks/{name}", ping, signed, is_private=_is_private(url)
                )
        except ValueError:
            # No base64 after whsec_, or characters that no header holds; the words would quote the secret.
            yield failure(
                f"url_{name}",
                "its secret cannot be used to make a delivery",
                "was it copied whole? after whsec_ there is base64; a token is ASCII",
            )


def health(base: str) -> Finding:
    """Whether that is a receiver, and reached over TLS."""
    try:
        answer = requests.get(f"{base}/healthz", timeout=TIMEOUT, allow_redirects=False)
    except requests.exceptions.SSLError as error:
        return failure(
            "url",
            f"{base}: TLS fails; {reason_of(error)}",
            "senders verify certificates: install a valid one",
        )
    except requests.RequestException as error:
        return failure(
            "url",
            f"{base} cannot be reached; {reason_of(error)}",
            "is the receiver running, and the way to it open?",
        )
    if answer.is_redirect:
        return failure(
            "url",
            f"{base} redirects to {one_line(answer.headers.get('Location', ''), LONGEST_WORDS)}",
            "give senders the address it redirects to: they do not follow",
        )
    if not _is_ours(answer):
        return failure(
            "url",
            f"{base}/healthz answers {answer.status_code}, and not as a receiver does",
            "check the proxy in front",
        )
    if not _is_private(base):
        return warning("url", f"{base} is a receiver, but without TLS", "end TLS in a proxy in front of it")
    return ok("url", f"{base} is a receiver")


def answer_to_ping(
    name: str, address: str, ping: Ping, headers: Mapping[str, str], *, is_private: bool
) -> Finding:
    check = f"url_{name}"
    if not is_private and not any("signature" in header.lower() for header in headers):
        return warning(check, "not pinged: over http its secret would be read on the way", "use https")
    try:
        answer = requests.post(
            address,
            data=ping.body,
            headers=headers,
            timeout=TIMEOUT,
            allow_redirects=False,
            auth=lambda request: request,  # else what a .netrc file has for this host replaces the header
        )
    except requests.RequestException as error:
        return failure(
            check, f"no answer from {address}; {reason_of(error)}", "see the receiver's log and the proxy's"
        )
    return meaning_of(check, answer, ping)


def meaning_of(check: str, answer: requests.Response, ping: Ping) -> Finding:
    seconds = answer.elapsed.total_seconds()
    if answer.status_code in ping.expected:
        found = f"took a signed ping in {seconds * 1000:.0f} ms"
        if seconds > LONG:
            return warning(check, found, "senders wait 5 to 10 s: is Redis near, is the proxy buffering?")
        return ok(check, found)
    said = f"answers {answer.status_code} {one_line(_detail(answer), LONGEST_WORDS)}".rstrip()
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        return failure(
            check, said, "that receiver has another secret, or the proxy changes the body or the headers"
        )
    if answer.status_code == HTTPStatus.NOT_FOUND:
        return failure(check, said, "give that receiver the secret too: without one the source is off there")
    return failure(check, said, "see the receiver's log and the proxy's")


def signed_headers(name: str, ping: Ping, settings: Settings) -> dict[str, str] | None:
    """As the sender would make them with the first of the secrets; `None` where the source is off."""
    sender = SENDERS[name]
    secret = _first(settings, sender.secret_name)
    identifier = f"doctor-{uuid.uuid4()}"
    if secret is not None:
        return sender.headers(secret, ping.event, ping.body, identifier)
    signing_token = _first(settings, SIGNING_VARIABLE) if name == "gitlab" else None
    if signing_token is None:
        return None
    headers = sender.headers("", ping.event, ping.body, identifier)
    del headers["X-Gitlab-Token"]
    return headers | SENDERS["events"].headers(signing_token, ping.event, ping.body, identifier)


def _first(settings: Settings, variable: str) -> str | None:
    secrets = settings.webhook_secrets.get(variable)
    return secrets[0].get_secret_value() if secrets else None


def _is_ours(answer: requests.Response) -> bool:
    try:
        content: Any = answer.json()
    except ValueError:
        return False
    return answer.ok and isinstance(content, dict) and content.get("status") == "up"


def _detail(answer: requests.Response) -> str:
    """What a problem says; a page of a proxy says nothing that helps."""
    try:
        content: Any = json.loads(answer.content[:10_000])
    except ValueError:
        return answer.reason or ""
    return str(content.get("detail") or content.get("reason") or "") if isinstance(content, dict) else ""


def _is_private(url: str) -> bool:
    """Whether nobody can read along: TLS, or this machine alone."""
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
