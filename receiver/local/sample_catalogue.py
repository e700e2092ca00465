"""The samples that `trigger` sends, by name and outcome."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from receiver.local.sample_deliveries import Sample

JUST_NOW: Final = timedelta(seconds=1)
NORMAL: Final = ""
FAILED: Final = "failed"
RESOLVED: Final = "resolved"


@dataclass(frozen=True, slots=True)
class Offer:
    """What a sample stands for in a few words, and its files, by outcome. All have one of `NORMAL`."""

    what: str
    samples: Mapping[str, Sample]


def _offer(what: str, source: str, **cases: tuple[str, str]) -> Offer:
    """`cases` are the event's name at the sender and the case of its file, by outcome."""
    named = {NORMAL if outcome == "normal" else outcome: case for outcome, case in cases.items()}
    samples = {outcome: Sample(source, *case, JUST_NOW) for outcome, case in named.items()}
    return Offer(what, MappingProxyType(samples))


CATALOGUE: Final[Mapping[str, Offer]] = MappingProxyType(
    {
        "github.deployment": _offer(
            "acme/checkout is deployed to production",
            "github",
            normal=("deployment_status", "production_success"),
            failed=("deployment_status", "production_failure"),
        ),
        "github.release": _offer("a version is published", "github", normal=("release", "gift_cards")),
        "gitlab.deployment": _offer(
            "acme/payments is deployed to production",
            "gitlab",
            normal=("deployment", "production_success"),
            failed=("deployment", "production_failed"),
        ),
        "jenkins.build": _offer(
            "a build deploys to production",
            "jenkins",
            normal=("completed", "production_success"),
            failed=("completed", "production_failure"),
        ),
        "pagerduty.incident": _offer(
            "an incident begins",
            "pagerduty",
            normal=("incident.triggered", "payment_errors"),
            resolved=("incident.resolved", "checkout_latency"),
        ),
        "alertmanager.alert": _offer(
            "an alert fires",
            "alertmanager",
            normal=("firing", "high_latency"),
            resolved=("resolved", "high_latency"),
        ),
        "grafana.alert": _offer(
            "an alert fires", "grafana", normal=("firing", "memory"), resolved=("resolved", "memory")
        ),
        "gitea.release": _offer("a version is published", "gitea", normal=("release", "search")),
        "forgejo.release": _offer("a version is published", "forgejo", normal=("release", "docs")),
        "annotations.annotation": _offer("a service is scaled", "annotations", normal=("created", "scale")),
        "events.event": _offer("a feature flag changes", "events", normal=("event", "feature_flag")),
    }
)
