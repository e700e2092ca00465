"""A release that goes wrong and is taken back, as GitHub, LaunchDarkly and PagerDuty report it.

    v2.3.0 is deployed, a flag is turned on, v2.4.0 is deployed, errors rise, an incident opens, the commit of
    v2.3.0 is deployed again, the incident closes.

All of it is some hours ago, so that every verdict is due at once and nothing has to be waited for.
"""

import json
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

import requests

from receiver.sources.sending import declared_sender
from receiver.sources.signing import SENDERS
from tests.support.github import SAMPLE
from tests.support.presets import source_named
from tests.support.source_fixtures import FIXTURES
from tests.support.stack import Stack

SECRETS: Final = {
    "PAGERDUTY_WEBHOOK_SECRET": "a-secret-of-the-story-0001",
    "LAUNCHDARKLY_WEBHOOK_SECRET": "a-secret-of-the-story-0002",
}
C1: Final = "3f9c2a6b18d74e05a1c6f80d92e7b34c5a60f1de"
C2: Final = "b71d0e4495a2c8f6037be21d4a98f05c6d3e17a2"
FLAG: Final = "launchdarkly:65f0c2a1d3b4e50f1a2b3c4d"
V1, V2, BACK = (f"github:deployment:{number}" for number in (101, 102, 103))
INCIDENT: Final = "pagerduty:Q1EXAMPLE00001"
RESOLVED: Final = f"{INCIDENT} resolved"
REPOSITORY: Final = "https://github.com/acme/checkout"


@dataclass(frozen=True, slots=True)
class Webhook:
    """One delivery: its sender, the sender's event, and the body."""

    sender: str
    event: str
    body: bytes
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def send(self, stack: Stack) -> None:
        """Post it, signed as the sender does."""
        secret = stack.environment[f"{self.sender.upper()}_WEBHOOK_SECRET"]
        sender = SENDERS.get(self.sender) or declared_sender(source_named(self.sender))
        headers = sender.headers(secret, self.event, self.body, self.id)
        answer = requests.post(
            f"{stack.url}/webhooks/{self.sender}", data=self.body, headers=headers, timeout=30
        )
        # That a deploy is in progress makes no marker.
        assert answer.json()["status"] in {"accepted", "duplicate", "ignored"}, answer.text


class Story:
    """What is sent, and what the traffic was, of a story that began at `start`."""

    def __init__(self, start: datetime) -> None:
        self.start = start.replace(microsecond=0)

    def at(self, minute: float) -> datetime:
        return self.start + timedelta(minutes=minute)

    def written(self, minute: float) -> str:
        """As the Events API writes a time."""
        return self.at(minute).strftime("%Y-%m-%dT%H:%M:%S.000Z")

    @cached_property
    def webhooks(self) -> dict[str, tuple[Webhook, ...]]:
        """By what they report, in the order in which it happened; the last of each is the one that counts."""
        return {
            V1: self._deploy(101, 0, "v2.3.0", C1),
            FLAG: (self._flag(50),),
            V2: self._deploy(102, 60, "v2.4.0", C2),
            INCIDENT: (self._incident("triggered__by_monitoring", 80, 80),),
            # By its commit, as a job that goes back does.
            BACK: self._deploy(103, 90, C1, C1),
            RESOLVED: (self._incident("resolved__by_ada", 80, 110),),
        }

    @property
    def traffic(self) -> list[dict[str, Any]]:
        """Errors and response times rise after v2.4.0 and fall after the rollback."""
        healthy = {"requests": 600, "errors": 2, "average": 145.0}
        ill = {"requests": 600, "errors": 13, "average": 310.0}
        figures = {-10: healthy, 5: healthy, 50: healthy, 65: ill, 80: ill, 95: healthy}
        return [{"timestamp": self.written(minute)} | point for minute, point in figures.items()]

    def send(self, stack: Stack, *keys: str) -> None:
        """Send what reports these, or all."""
        for key in keys or self.webhooks:
            for webhook in self.webhooks[key]:
                webhook.send(stack)

    def _deploy(self, number: int, minute: float, ref: str, commit: str) -> tuple[Webhook, ...]:
        """In progress two minutes before it has succeeded."""
        statuses = []
        for index, state in enumerate(("in_progress", "success")):
            payload = json.loads(SAMPLE.read_bytes())
            run = f"{REPOSITORY}/actions/runs/{number}"
            job = {"html_url": f"{run}/job/{number}5", "details_url": f"{run}/job/{number}5"}
            payload["deployment"] |= {
                "id": number,
                "sha": commit,
                "ref": ref,
                "created_at": _second(self.at(minute - 2.5)),
                "updated_at": _second(self.at(minute)),
            }
            payload["deployment_status"] |= {
                "id": number * 10 + index,
                "state": state,
                "created_at": _second(self.at(minute - (2, 0)[index])),
                "updated_at": _second(self.at(minute - (2, 0)[index])),
                "target_url": job["html_url"],
                "log_url": job["html_url"],
            }
            payload["check_run"] |= {"id": number * 10 + 5, "head_sha": commit, **job} | {
                "started_at": _second(self.at(minute - 2))
            }
            payload["workflow_run"] |= {
                "id": number,
                "head_branch": ref,
                "head_sha": commit,
                "html_url": run,
                "created_at": _second(self.at(minute - 2.5)),
                "run_started_at": _second(self.at(minute - 2.5)),
            }
            statuses.append(Webhook("github", "deployment_status", json.dumps(payload).encode()))
        return tuple(statuses)

    def _flag(self, minute: float) -> Webhook:
        payload = json.loads((FIXTURES / "launchdarkly/flag__turned_on.json").read_bytes())
        payload["date"] = int(self.at(minute).timestamp() * 1000)
        return Webhook("launchdarkly", "flag", json.dumps(payload).encode())

    def _incident(self, case: str, began: float, minute: float) -> Webhook:
        payload = json.loads((FIXTURES / f"pagerduty/incident.{case}.json").read_bytes())
        payload["event"]["occurred_at"] = _second(self.at(minute))
        payload["event"]["data"]["created_at"] = _second(self.at(began))
        return Webhook("pagerduty", payload["event"]["event_type"], json.dumps(payload).encode())


def _second(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
