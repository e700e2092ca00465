"""Deliveries as the senders make them, for markers of our own invention with times of their own."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.chaos.markers import Beat, Marker, Said
from tests.support.github import SAMPLE

FIXTURES: Final = Path(__file__).parents[1] / "fixtures"
REPOSITORY: Final = "acme/checkout"
GITLAB_INSTANCE: Final = "gitlab.example.com"
LONGEST_AGO: Final = timedelta(hours=72)
BUSY_HOUR: Final = timedelta(minutes=30)
"""In which a part of all markers begin, so that looking for one takes more than one page."""
SHARE_IN_BUSY_HOUR: Final = 0.2
SHORT_STEP: Final = timedelta(seconds=90)
LONGEST_STEP: Final = timedelta(hours=5)
"""From one delivery of a story to the next: some wait for an approval, or for a night to end."""
SHARE_NEVER_RETRIED: Final = 0.5
"""Of GitHub's, which never tries again by itself; the others stand for what `github redeliver` does."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One delivery: the same id and body however often it is sent."""

    source: str
    event: str
    id: str
    body: bytes
    is_retried: bool = True
    moment: float | None = None
    """When it is first sent, as a share of the load's time; where nothing is said, at random."""


@dataclass(frozen=True, slots=True)
class Story:
    """Deliveries that belong together, in the order in which they happened, and the markers they are of."""

    parcels: tuple[Parcel, ...]
    markers: tuple[Marker, ...]


class Storyteller:
    """Makes up stories; the same seed gives the same ones, apart from the time they are told at."""

    def __init__(self, random: Random, now: datetime) -> None:
        self._random = random
        self._now = now.replace(microsecond=0)
        self._numbers = count(random.randrange(10**9, 10**10), 7)
        self._tellers: dict[Callable[[], Story], int] = {
            self._github: 9,
            self._github_and_plugin: 3,
            self._pagerduty: 6,
            self._gitlab: 4,
            self._jenkins: 3,
            self._native: 3,
        }

    def stories(self, deliveries: int) -> Iterator[Story]:
        """Stories of so many deliveries, or up to four more."""
        told = 0
        tellers, weights = list(self._tellers), list(self._tellers.values())
        while told < deliveries:
            (teller,) = self._random.choices(tellers, weights)
            story = teller()
            told += len(story.parcels)
            yield story

    def _begin(self) -> datetime:
        if self._random.random() < SHARE_IN_BUSY_HOUR:
            return self._now - BUSY_HOUR * self._random.uniform(1, 2)
        return self._now - LONGEST_AGO * self._random.uniform(0.5, 1)

    def _id(self) -> str:
        return f"{self._random.getrandbits(128):032x}"

    def _times(self, steps: int) -> list[datetime]:
        at = self._begin().replace(microsecond=0)
        longest = LONGEST_STEP if self._now - at > LONGEST_AGO / 2 else SHORT_STEP
        times = []
        for _ in range(steps):
            at += timedelta(seconds=self._random.randint(5, int(longest.total_seconds())))
            times.append(at)
        return times

    def _github(self) -> Story:
        states = self._random.choice(
            [
                ("in_progress", "success"),
                ("in_progress", "success"),
                ("in_progress", "failure"),
                ("success",),
                ("in_progress", "error", "success"),
                ("in_progress", "success", "success"),
            ]
        )
        deployment, run = next(self._numbers), next(self._numbers)
        began_at, *times = self._times(1 + len(states))
        parcels, told = [], []
        for state, at in zip(states, times, strict=True):
            payload = copy.deepcopy(json.loads(SAMPLE.read_bytes()))
            payload["deployment"] |= {"id": deployment, "created_at": _zulu(began_at)}
            payload["workflow_run"] |= {"id": run, "run_attempt": 1}
            payload["check_run"] |= {"id": deployment, "started_at": _zulu(began_at)}
            payload["deployment_status"] |= {
                "id": next(self._numbers),
                "state": state,
                "created_at": _zulu(at),
                "updated_at": _zulu(at),
            }
            is_retried = self._random.random() >= SHARE_NEVER_RETRIED
            parcels.append(self._parcel("github", "deployment_status", payload, is_retried=is_retried))
            beat = GITHUB_BEATS[state]
            told.append(Said(parcels[-1].id, beat, at, began_at, DEPLOY_WORDS.get(beat, "")))
        marker = Marker(
            f"github:deployment:{deployment}",
            tuple(told),
            other_keys=(f"github:{REPOSITORY}:run:{run}:1:production",),
        )
        return Story(tuple(parcels), (marker,))

    def _github_and_plugin(self) -> Story:
        """The webhook and a step in the pipeline tell of the same deploy at the same moment."""
        deployment, run = next(self._numbers), next(self._numbers)
        began_at, ended_at, told_at = self._times(3)
        run_key = f"github:{REPOSITORY}:run:{run}:1:production"
        payload = json.loads(SAMPLE.read_bytes())
        payload["deployment"] |= {"id": deployment, "created_at": _zulu(began_at)}
        payload["workflow_run"] |= {"id": run, "run_attempt": 1}
        payload["check_run"] |= {"id": deployment, "started_at": _zulu(began_at)}
        payload["deployment_status"] |= {"created_at": _zulu(ended_at), "updated_at": _zulu(ended_at)}
        event = {
            "key": run_key,
            "type": "deployment",
            "name": "Deploy, as the pipeline tells",
            "startedAt": _zulu(began_at),
            "endedAt": _zulu(told_at),
        }
        moment = self._random.random()
        webhook = replace(self._parcel("github", "deployment_status", payload), moment=moment)
        plugin = replace(self._parcel("events", "", event), moment=moment)
        told = (
            Said(webhook.id, Beat.ENDS_WELL, ended_at, began_at, DEPLOY_WORDS[Beat.ENDS_WELL]),
            Said(plugin.id, Beat.ENDS_WELL, told_at, began_at),
        )
        key = f"github:deployment:{deployment}"
        return Story((webhook, plugin), (Marker(key, told, other_keys=(run_key,)),))

    def _pagerduty(self) -> Story:
        words = self._random.choice(
            [
                ("triggered", "acknowledged", "resolved"),
                ("triggered", "resolved"),
                ("triggered", "acknowledged"),
                ("triggered", "annotated", "resolved"),
                ("triggered", "resolved", "reopened", "resolved"),
                ("triggered", "resolved", "reopened"),
            ]
        )
        number = next(self._numbers)
        incident = f"Q{number}"
        began_at, *times = self._times(1 + len(words))
        parcels, told = [], []
        for word, at in zip(words, times, strict=True):
            payload = _fixture("pagerduty", PAGERDUTY_CASES[word])
            event, data = payload["event"], payload["event"]["data"]
            event |= {"id": self._id(), "occurred_at": _zulu(at)}
            if word == "annotated":
                data["incident"]["id"] = incident
            else:
                data |= {"id": incident, "number": number % 10_000, "created_at": _zulu(began_at)}
            parcels.append(self._parcel("pagerduty", event["event_type"], payload))
            beat = PAGERDUTY_BEATS[word]
            outcome = "Resolved by Ada Example after " if beat is Beat.ENDS_WELL else ""
            told.append(Said(parcels[-1].id, beat, at, began_at, outcome))
        return _story(parcels, f"pagerduty:{incident}", told)

    def _gitlab(self) -> Story:
        words = self._random.choice([("running", "success"), ("running", "failed"), ("success",)])
        deployment = next(self._numbers)
        parcels, told = [], []
        for word, at in zip(words, self._times(len(words)), strict=True):
            payload = {
                "object_kind": "deployment",
                "status": word,
                "status_changed_at": f"{at:%Y-%m-%d %H:%M:%S} +0000",
                "deployment_id": deployment,
                "deployable_id": deployment + 1,
                "environment": "production",
                "project": {
                    "path_with_namespace": "acme/shop",
                    "web_url": f"https://{GITLAB_INSTANCE}/acme/shop",
                },
                "short_sha": "279484c0",
                "ref": "main",
                "user": {"username": "ada"},
            }
            parcels.append(self._parcel("gitlab", "Deployment Hook", payload))
            beat = GITLAB_BEATS[word]
            told.append(Said(parcels[-1].id, beat, at, words=DEPLOY_WORDS.get(beat, "")))
        return _story(parcels, f"gitlab:{GITLAB_INSTANCE}:deployment:{deployment}", told)

    def _jenkins(self) -> Story:
        """Drawn as points here; the Notification plugin tells of an end twice."""
        number = next(self._numbers)
        page = f"https://ci.example.com/job/deploy-shop/{number}"
        result = self._random.choice(["SUCCESS", "SUCCESS", "FAILURE"])
        parcels, told = [], []
        for phase, at in zip(("COMPLETED", "FINALIZED"), self._times(2), strict=True):
            payload = {
                "name": "deploy-shop",
                "url": "job/deploy-shop/",
                "build": {
                    "full_url": f"{page}/",
                    "number": number,
                    "phase": phase,
                    "status": result,
                    "timestamp": int(at.timestamp() * 1000),
                    "duration": 4_000,
                    "parameters": {"ENVIRONMENT": "production"},
                },
            }
            parcels.append(self._parcel("jenkins", phase, payload))
            beat = Beat.FAILED_POINT if result == "FAILURE" else Beat.POINT
            told.append(Said(parcels[-1].id, beat, at))
        return _story(parcels, f"jenkins:{page}", told)

    def _native(self) -> Story:
        """One delivery opens some and makes points of others, a second one closes what is open."""
        opening, closing = self._times(2)
        names = [f"native-{next(self._numbers)}" for _ in range(self._random.randint(1, 3))]
        points = [f"point-{next(self._numbers)}" for _ in range(self._random.randint(0, 2))]
        first = self._parcel(
            "events",
            "",
            [
                *(
                    {
                        "key": name,
                        "type": "incident",
                        "name": f"Incident {name}",
                        "effect": "open",
                        "startedAt": _zulu(opening),
                    }
                    for name in names
                ),
                *(
                    {
                        "key": name,
                        "type": "config_change",
                        "name": f"Change {name}",
                        "startedAt": _zulu(opening),
                    }
                    for name in points
                ),
            ],
        )
        second = self._parcel("events", "", [{"key": name, "endedAt": _zulu(closing)} for name in names])
        spans = [
            Marker(name, (Said(first.id, Beat.BEGINS, opening), Said(second.id, Beat.ENDS_WELL, closing)))
            for name in names
        ]
        alone = [Marker(name, (Said(first.id, Beat.POINT, opening),)) for name in points]
        return Story((first, second), (*spans, *alone))

    def _parcel(self, source: str, event: str, payload: Any, *, is_retried: bool = True) -> Parcel:
        return Parcel(source, event, self._id(), json.dumps(payload).encode(), is_retried)


GITHUB_BEATS: Final = {
    "in_progress": Beat.BEGINS,
    "success": Beat.ENDS_WELL,
    "failure": Beat.ENDS_BADLY,
    "error": Beat.ENDS_BADLY,
}
DEPLOY_WORDS: Final = {Beat.ENDS_WELL: "Succeeded", Beat.ENDS_BADLY: "Failed"}
GITLAB_BEATS: Final = {"running": Beat.BEGINS, "success": Beat.ENDS_WELL, "failed": Beat.ENDS_BADLY}
PAGERDUTY_BEATS: Final = {
    "triggered": Beat.BEGINS,
    "acknowledged": Beat.GOES_ON,
    "annotated": Beat.REMARK,
    "resolved": Beat.ENDS_WELL,
    "reopened": Beat.AGAIN,
}
PAGERDUTY_CASES: Final = {
    "triggered": "incident.triggered__by_monitoring",
    "acknowledged": "incident.acknowledged__by_ada",
    "annotated": "incident.annotated__by_ada",
    "resolved": "incident.resolved__by_ada",
    "reopened": "incident.reopened__by_ada",
}


def _story(parcels: list[Parcel], key: str, told: list[Said]) -> Story:
    return Story(tuple(parcels), (Marker(key, tuple(told)),))


def _fixture(source: str, case: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads((FIXTURES / source / f"{case}.json").read_bytes())
    return payload


def _zulu(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
