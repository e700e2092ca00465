"""What the hooks of Gitea and Forgejo share: their settings, keys of markers, and facts of the repository."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from pydantic import JsonValue

from receiver.events import Delivery
from receiver.sources.changes import present
from receiver.sources.payload import Payload
from receiver.sources.source import SourceOptions


class ForgeOptions(SourceOptions):
    """What `[gitea]` and `[forgejo]` in apitraffic.toml have in common."""

    workflows: tuple[str, ...] = ()
    """Shell patterns of workflows' files or names: their runs are deploys."""
    incident_labels: tuple[str, ...] = ("incident", "outage")
    """Shell patterns, in any case, of labels that make an issue an incident."""


@dataclass(frozen=True, slots=True)
class Hook:
    """One delivery of the forge of this name, with its body read."""

    forge: str
    payload: Payload
    delivery: Delivery

    def key(self, kind: str, identifier: str) -> str:
        """With the host: ids are unique on one instance."""
        address = self.payload.text("repository.html_url", "run.repository.html_url", "run.html_url")
        return f"{self.forge}:{urlsplit(address or '').netloc or '-'}:{kind}:{identifier}"

    def facts(self) -> dict[str, JsonValue]:
        """Of the repository, and who did it."""
        payload = self.payload
        return present(
            repository=payload.text("repository.full_name", "run.repository.full_name"),
            repository_url=payload.url("repository.html_url", "run.repository.html_url"),
            actor=payload.text("sender.login", "sender.username"),
        )


def matches(names: Iterable[str], patterns: Iterable[str]) -> bool:
    """Whether one of these names matches one of these shell patterns, in any case."""
    wanted = [pattern.lower() for pattern in patterns]
    return any(fnmatchcase(name.lower(), pattern) for name in names for pattern in wanted if name)
