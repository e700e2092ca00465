"""Checks of the receiver from outside: a signed ping for each source that is on, as its sender would send it.

The receiver answers a ping with 200 `ignored` and keeps nothing of it. An answer other than 401 shows that
both sides have the same secret.
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
from receiver.web.pings import DOCTOR

TIMEOUT: Final = 10.0
"""Seconds; as long as GitHub and GitLab wait."""
LONG: Final = 2.0
"""Seconds; PagerDuty waits for five."""
LONGEST_WORDS: Final = 200


@dataclass(frozen=True, slots=True)
class Ping:
    """A delivery that a receiver with the same secret ignores; `expected` are the statuses of its answer."""

    event: str
    body: bytes
    expected: tuple[int, ...] = (HTTPStatus.OK,)


PINGS: Final = {
    "github": Ping("ping", b'{"zen": "Keep it logically awesome.", "hook_id": 1}'),
    "gitlab": Ping("Ping Hook", b'{"object_kind": "ping"}'),
    "jenkins": Ping("", b'{"event": "ping"}'),
    "pagerduty": Ping("", b'{"event": {"event_type": "pagey.ping", "data": {"type": "ping"}}}'),
    "gitea": Ping("ping", b"{}"),
    "forgejo": Ping("ping", b"{}"),
    "alertmanager": Ping("", b'{"status": "ping"}'),
    "grafana": Ping("", b'{"status": "ping"}'),
    "annotations": Ping("", b'{"ping": true}'),
    # An empty list is refused, but only after the signature has been verified.
    "events": Ping("", b"[]", (HTTPStatus.UNPROCESSABLE_ENTITY,)),
}
SIGNING_VARIABLE: Final = "GITLAB_SIGNING_TOKEN"


def receiver(url: str, settings: Settings) -> Iterator[Finding]:
    """Findings about the receiver at `url`, its base URL as senders reach it."""
    base = url.rstrip("/")
    found = health(base)
    yield found
    if found.state is FindingState.FAILURE:
        # Some pings hold the secret itself, which nobody but the receiver may see.
        return
    for name, ping in PINGS.items():
        try:
            signed = signed_headers(name, ping, settings)
            if signed is not None:
                yield answer_to_ping(
                    name, f"{base}/webhooks/{name}", ping, signed, is_private=is_private(url)
                )
        except ValueError:
            # No base64 after whsec_, or characters that no header may hold. The error would quote the secret.
            yield failure(
                f"url_{name}",
                "its secret cannot be used to sign a delivery",
                "copy it again: base64 follows whsec_, and a token is ASCII",
            )


def health(base: str) -> Finding:
    """Whether a receiver answers there, over TLS."""
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
            "check that the receiver is running and that no firewall blocks it",
        )
    if answer.is_redirect:
        return failure(
            "url",
            f"{base} redirects to {one_line(answer.headers.get('Location', ''), LONGEST_WORDS)}",
            "give senders the address that it redirects to: they do not follow redirects",
        )
    if not _is_ours(answer):
        return failure(
            "url",
            f"{base}/healthz answers {answer.status_code}, but not as a receiver does",
            "check the proxy in front of it",
        )
    if not is_private(base):
        return warning(
            "url", f"{base} is a receiver, but without TLS", "terminate TLS in a proxy in front of it"
        )
    return ok("url", f"{base} is a receiver")


def answer_to_ping(
    name: str, address: str, ping: Ping, headers: Mapping[str, str], *, is_private: bool
) -> Finding:
    check = f"url_{name}"
    if not is_private and not any("signature" in header.lower() for header in headers):
        return warning(check, "not pinged: over http, others could read its secret", "use https")
    try:
        answer = requests.post(
            address,
            data=ping.body,
            headers=headers,
            timeout=TIMEOUT,
            allow_redirects=False,
            auth=lambda request: request,  # else credentials from a .netrc file replace the header
        )
    except requests.RequestException as error:
        return failure(
            check, f"no answer from {address}; {reason_of(error)}", "see the receiver's log and the proxy's"
        )
    return meaning_of(check, answer, ping)


def meaning_of(check: str, answer: requests.Response, ping: Ping) -> Finding:
    seconds = answer.elapsed.total_seconds()
    if answer.status_code in ping.expected:
        found = f"accepted a signed ping in {seconds * 1000:.0f} ms"
        if seconds > LONG:
            return warning(
                check,
                found,
                "senders wait 5 to 10 s; check how far away Redis is, and whether the proxy buffers",
            )
        return ok(check, found)
    said = f"answers {answer.status_code} {one_line(_detail(answer), LONGEST_WORDS)}".rstrip()
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        return failure(
            check, said, "that receiver has another secret, or a proxy changes the body or the headers"
        )
    if answer.status_code == HTTPStatus.NOT_FOUND:
        return failure(
            check, said, "set the secret on that receiver too: without one, the source is off there"
        )
    return failure(check, said, "see the receiver's log and the proxy's")


def signed_headers(name: str, ping: Ping, settings: Settings) -> dict[str, str] | None:
    """Headers as the sender would sign them with the first secret; `None` if the source is off."""
    sender = SENDERS[name]
    secret = _first(settings, sender.secret_name)
    identifier = f"{DOCTOR}{uuid.uuid4()}"
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
    """The detail of a problem document; the page of a proxy does not help."""
    try:
        content: Any = json.loads(answer.content[:10_000])
    except ValueError:
        return answer.reason or ""
    return str(content.get("detail") or content.get("reason") or "") if isinstance(content, dict) else ""


def is_private(url: str) -> bool:
    """Whether nobody else can read the request: TLS, or this machine only."""
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
