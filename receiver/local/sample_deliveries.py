"""Realistic deliveries for demonstrations, with new ids and recent times on every call."""

import random
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Final

FRESH_ID: Final = re.compile(r"\b9000000\d{4}\b")
"""How the sample files write ids that differ between deliveries."""

TIMESTAMP: Final = re.compile(r"(?!0001-)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
"""Not the year 1, which stands for an end that an alert does not have yet."""
TIMESTAMP_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
EPOCH_MILLISECONDS: Final = re.compile(r"\b17\d{11}\b")
"""How Jenkins writes times."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A file in `samples/<source>/`, and how long ago its event shall have happened."""

    source: str
    event: str
    case: str
    age: timedelta


@dataclass(frozen=True, slots=True)
class SampleDelivery:
    """A delivery that is still to be signed and sent."""

    source: str
    event: str
    delivery_id: str
    body: bytes


SAMPLES: Final = (
    Sample("gitea", "release", "search", timedelta(minutes=25)),
    Sample("forgejo", "release", "docs", timedelta(minutes=22)),
    Sample("grafana", "resolved", "memory", timedelta(minutes=18)),
    Sample("annotations", "created", "scale", timedelta(minutes=15)),
    Sample("github", "deployment_status", "staging_success", timedelta(minutes=12)),
    Sample("github", "release", "gift_cards", timedelta(minutes=9)),
    Sample("gitlab", "deployment", "production_success", timedelta(minutes=8)),
    Sample("github", "deployment_status", "production_failure", timedelta(minutes=5)),
    Sample("jenkins", "completed", "production_success", timedelta(minutes=3)),
    Sample("pagerduty", "incident.resolved", "checkout_latency", timedelta(minutes=2)),
    Sample("alertmanager", "resolved", "high_latency", timedelta(seconds=90)),
    Sample("events", "event", "feature_flag", timedelta(minutes=1)),
    Sample("pagerduty", "incident.triggered", "payment_errors", timedelta(seconds=40)),
    Sample("github", "deployment_status", "production_success", timedelta(seconds=4)),
)


def sample_deliveries(now: datetime) -> list[SampleDelivery]:
    """Return a delivery for each sample, in the order of `SAMPLES`."""
    return [delivery_of(sample, now) for sample in SAMPLES]


def delivery_of(sample: Sample, now: datetime) -> SampleDelivery:
    return SampleDelivery(
        sample.source, sample.event, str(uuid.uuid4()), refreshed(_text(sample), now - sample.age)
    )


def refreshed(text: str, latest: datetime) -> bytes:
    """Return the payload with new ids, and with all times shifted so that the latest one is `latest`."""
    written = [
        datetime.strptime(found, TIMESTAMP_FORMAT).replace(tzinfo=UTC) for found in TIMESTAMP.findall(text)
    ]
    written += [datetime.fromtimestamp(int(found) / 1000, UTC) for found in EPOCH_MILLISECONDS.findall(text)]
    shift = latest - max(written)
    ids = {old: str(random.randrange(2 * 10**10, 3 * 10**10)) for old in FRESH_ID.findall(text)}  # noqa: S311 - an id, not a secret

    def moved(found: re.Match[str]) -> str:
        moment = datetime.strptime(found[0], TIMESTAMP_FORMAT).replace(tzinfo=UTC)
        return (moment + shift).strftime(TIMESTAMP_FORMAT)

    def moved_number(found: re.Match[str]) -> str:
        return str(int(found[0]) + round(shift.total_seconds() * 1000))

    text = EPOCH_MILLISECONDS.sub(moved_number, TIMESTAMP.sub(moved, text))
    return FRESH_ID.sub(lambda found: ids[found[0]], text).encode()


def _text(sample: Sample) -> str:
    folder = files("receiver.local") / "samples" / sample.source
    return (folder / f"{sample.event}__{sample.case}.json").read_text(encoding="utf-8")
