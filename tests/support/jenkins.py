"""Deliveries as the plugins of Jenkins make them."""

from datetime import UTC, datetime
from typing import Final

from receiver.events import Delivery
from receiver.sources.jenkins import JENKINS
from tests.support.source_fixtures import body_of

RECEIVED_AT: Final = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)


def headers_of(case: str) -> dict[str, str]:
    """The CloudEvents plugin says the event in a header, the others in the body."""
    event = case.partition("__")[0]
    headers = {"content-type": "application/json;charset=UTF-8"}
    if "." not in event or case.endswith("__envelope"):
        return headers
    return headers | {
        "ce-specversion": "1.0",
        "ce-id": "2f9c7e5e-8f2b-4f0e-9d0b-1f6f1c1c8a11",
        "ce-source": "job/deploy-checkout",
        "ce-type": f"org.jenkinsci.{event}",
    }


def received(case: str) -> Delivery:
    return JENKINS.receive(headers_of(case), body_of("jenkins", case), RECEIVED_AT)
