"""What a CI system says about a job, and the keys of its markers."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from apitraffic_events.event import EventType
from receiver.events import marker_key
from receiver.wording import describe_version

ANY_KEY: Final = re.compile(r".*")


@dataclass(frozen=True, slots=True)
class CiJob:
    """What a CI system says about a job.

    The keys of its markers start with `key`; `metadata` has no empty values. `ref` describes a version, as
    `refs/heads/…` or `refs/tags/…` if the system distinguishes branches and tags. `identity` names the
    metadata that the events of this job have in common with those that webhooks make of its deployments.
    `their_key` is what the whole key of such an event must match.
    """

    system: str
    source: str
    key: str
    metadata: Mapping[str, str]
    ref: str = ""
    environment: str = ""
    identity: tuple[str, ...] = ()
    their_key: re.Pattern[str] = ANY_KEY
    is_identity_shared: bool = False
    environment_in_key: Literal["always", "where known", "never"] = "always"
    """Whether a deployment's key names its environment.

    Without a known environment the key is random, except for "where known".
    """
    deployment_key: tuple[str, str] | None = None
    """What a deployment's key has before and after its environment, if that is not `key` and nothing.

    Such a key has the environment in lower case.
    """

    def version(self) -> str:
        """What is deployed: a tag, else `branch@0123abc`, else the commit, else `#<build number>`."""
        described = describe_version(self.ref, self.metadata.get("commit"))
        number = self.metadata.get("run_number")
        return described or (f"#{number}" if number else "")

    def marker_key(self, kind: EventType, environment: str) -> tuple[str, bool]:
        """The key of this job's marker, and whether others can know it and have made its event."""
        if kind is EventType.DEPLOYMENT and environment and self.deployment_key:
            start, end = self.deployment_key
            return marker_key(f"{start}:{environment.lower()}{end}"), True
        if kind is EventType.DEPLOYMENT and environment:
            in_key = "" if self.environment_in_key == "never" else f":{environment}"
            return marker_key(self.key + in_key), True
        if kind is EventType.DEPLOYMENT and self.environment_in_key == "where known":
            return marker_key(self.key), True
        return marker_key(f"{self.key}:event:{secrets.token_hex(8)}"), False
