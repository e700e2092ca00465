"""The demonstration: sends signed deliveries and waits until the Events API lists their markers."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from receiver.local.errors import LocalModeError
from receiver.local.events_api.options import LOCAL_ACCOUNT_SID
from receiver.local.plain_http import request
from receiver.local.sample_deliveries import sample_deliveries
from receiver.local.stack import API_TOKEN, LocalStack
from receiver.sources.signing import SENDERS

ACCEPTED: Final = 202
OK: Final = 200
LISTED_TIMEOUT: Final = 20.0
POLL_INTERVAL: Final = 0.04
"""Seconds, both."""

ListedEvent = Mapping[str, Any]


def send_samples(stack: LocalStack) -> list[str]:
    """Send each sample as its sender would, signed. Returns the delivery ids that the receiver answered with.

    Raises LocalModeError if a delivery is not accepted, and OSError if the receiver cannot be reached.
    """
    accepted = []
    deliveries = sample_deliveries(datetime.now(UTC))
    for delivery in deliveries:
        sender = SENDERS[delivery.source]
        secret = stack.folder.secret(sender.secret_name)
        url = f"{stack.receiver_url}/webhooks/{delivery.source}"
        headers = sender.headers(secret, delivery.event, delivery.body, delivery.delivery_id)
        answer = request("POST", url, headers=headers, body=delivery.body)
        if answer.status not in {OK, ACCEPTED}:
            text = answer.body.decode("utf-8", "replace").strip()
            raise LocalModeError(f"{url} answered {answer.status} instead of {ACCEPTED}: {text}")
        accepted.append(str(json.loads(answer.body)["delivery"]))
    return accepted


def wait_until_listed(
    stack: LocalStack, deliveries: Iterable[str], check: Callable[[], None]
) -> list[ListedEvent]:
    """Wait until the markers of all these deliveries are listed, and return them, newest first.

    `check` is called between looks at the list, and may raise to end the wait. Raises LocalModeError after
    `LISTED_TIMEOUT`.
    """
    expected = set(deliveries)
    deadline = time.monotonic() + LISTED_TIMEOUT
    while True:
        events = [event for event in _listed(stack) if event["metadata"].get("delivery_id") in expected]
        missing = expected - {event["metadata"]["delivery_id"] for event in events}
        if not missing:
            return events
        check()
        if time.monotonic() > deadline:
            raise LocalModeError(
                f"After {LISTED_TIMEOUT:.0f} s the Events API does not list {len(missing)} of {len(expected)}"
                " accepted deliveries. The log above may say why."
            )
        time.sleep(POLL_INTERVAL)


def _listed(stack: LocalStack) -> list[ListedEvent]:
    url = f"{stack.api_url}/accounts/{LOCAL_ACCOUNT_SID}/events?limit=100"
    answer = request("GET", url, headers={"Authorization": f"Bearer {stack.folder.secret(API_TOKEN)}"})
    if answer.status != OK:
        raise LocalModeError(f"{url} answered {answer.status}: {answer.body.decode('utf-8', 'replace')}")
    records: list[ListedEvent] = json.loads(answer.body)["records"]
    return records
