"""Send sample deliveries, signed as their senders sign, to the receiver."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import requests

from apitraffic_events.text import one_line
from apitraffic_events.timestamps import now
from receiver.config.settings import Settings
from receiver.events import Delivery
from receiver.local.sample_deliveries import SAMPLES, sample_deliveries
from receiver.sources.sending import sender_of
from receiver.sources.signing import SENDERS

ANSWER_WITHIN: Final = 10.0
"""Seconds; as long as GitHub and GitLab wait."""
LONGEST_REASON: Final = 300

OF_THE_WAY: Final = ("x-forwarded", "x-real-", "x-request-")
"""Headers that proxies add."""
WITH_SAMPLES: Final = frozenset(sample.source for sample in SAMPLES)
"""The sources of which there are samples."""


@dataclass(frozen=True, slots=True)
class Sent:
    """How the receiver answered. `status` is its word, such as `accepted`, or `failed`."""

    source: str
    event: str
    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Samples:
    """Sends to the receiver at `url`."""

    settings: Settings
    url: str

    def send(self, source: str | None = None) -> Sequence[Sent]:
        """Samples of one source, or of all that are on. Never raises."""
        chosen = [one for one in sample_deliveries(now()) if source in {None, one.source}]
        sent = []
        with requests.Session() as session:
            session.trust_env = False
            for delivery in chosen:
                sender = SENDERS[delivery.source]
                secrets = self.settings.webhook_secrets.get(sender.secret_name)
                if not secrets:
                    continue
                headers = sender.headers(
                    secrets[0].get_secret_value(), delivery.event, delivery.body, delivery.delivery_id
                )
                status, reason = self._post(session, delivery.source, delivery.body, headers)
                sent.append(Sent(delivery.source, delivery.event, status, reason))
        return sent

    def send_again(self, delivery: Delivery) -> Sent:
        """A delivery that was received before, signed anew and with a new id. Never raises."""
        if delivery.source not in self.settings.senders:
            return Sent(delivery.source, delivery.event, "failed", "The sender is not configured here.")
        sender = sender_of(self.settings.senders[delivery.source])
        secrets = self.settings.webhook_secrets.get(sender.secret_name)
        if not secrets:
            return Sent(delivery.source, delivery.event, "failed", f"{sender.secret_name} is not set here.")
        own = sender.headers(
            secrets[0].get_secret_value(), delivery.event, delivery.body, f"again-{uuid.uuid4()}"
        )
        given = {name.lower() for name in own}
        kept = {name: value for name, value in delivery.headers.items() if _is_to_be_kept(name, given)}
        with requests.Session() as session:
            session.trust_env = False
            status, reason = self._post(session, delivery.source, delivery.body, kept | own)
        return Sent(delivery.source, delivery.event, status, reason)

    def _post(
        self, session: requests.Session, source: str, body: bytes, headers: dict[str, str]
    ) -> tuple[str, str]:
        url = f"{self.url.rstrip('/')}{self.settings.senders[source].api_path or f'/webhooks/{source}'}"
        try:
            answer = session.post(
                url, data=body, headers=headers, timeout=ANSWER_WITHIN, allow_redirects=False
            )
            content: Any = answer.json()
        except requests.RequestException:
            return "failed", f"No receiver answers at {self.url}; --receiver-url says where it is."
        said = content if isinstance(content, dict) else {}
        reason = one_line(str(said.get("reason") or said.get("detail") or ""), LONGEST_REASON)
        if not answer.ok:
            return f"HTTP {answer.status_code}", reason
        # A receiver that stands in for another service answers as that does.
        status = said.get("status")
        return (status if isinstance(status, str) else "accepted"), reason


def _is_to_be_kept(name: str, given: set[str]) -> bool:
    """What only the sender knows, such as its instance; not what belongs to the request that was."""
    return (
        name.startswith(("x-", "ce-"))
        and not name.startswith(("x-forwarded", "x-real", "x-request"))
        and name not in given
    )
