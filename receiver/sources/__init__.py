"""The senders that the receiver understands. A new one is one package here and one line below."""

from types import MappingProxyType
from typing import Any, Final

from receiver.sources.alertmanager import ALERTMANAGER
from receiver.sources.annotations import ANNOTATIONS
from receiver.sources.forgejo import FORGEJO
from receiver.sources.gitea import GITEA
from receiver.sources.github import GITHUB
from receiver.sources.gitlab import GITLAB
from receiver.sources.grafana import GRAFANA
from receiver.sources.jenkins import JENKINS
from receiver.sources.native import NATIVE
from receiver.sources.pagerduty import PAGERDUTY
from receiver.sources.source import Source

SOURCES: Final = MappingProxyType[str, Source[Any]](
    {
        source.name: source
        for source in (
            *(GITHUB, GITLAB, GITEA, FORGEJO, JENKINS, PAGERDUTY),
            *(ALERTMANAGER, GRAFANA, ANNOTATIONS, NATIVE),
        )
    }
)
"""Path under /webhooks/ -> the source of what is posted there."""
