"""Releases of Gitea and Forgejo."""

from typing import Final

from apitraffic_events.event import EventType
from receiver.events import Change, Effect
from receiver.sources.changes import change_of, present
from receiver.sources.forges.hook import ForgeOptions, Hook
from receiver.sources.not_translated import Ignored
from receiver.sources.source import Feature
from receiver.wording import describe_release


def release(hook: Hook, _options: ForgeOptions) -> Change:
    payload, delivery = hook.payload, hook.delivery
    action = payload.text("action")
    if action != "published" or payload.flag("release.draft"):
        raise Ignored(f"a release that is {'a draft' if action == 'published' else action} is not shown")
    tag = payload.text("release.tag_name")
    at = payload.time("release.published_at", "release.created_at") or delivery.received_at
    is_early = payload.flag("release.prerelease")
    what = describe_release(payload.text("release.name"), tag)
    words = ["Pre-release" if is_early else "Release", payload.text("repository.full_name") or "", what]
    return change_of(
        delivery,
        key=hook.key("release", payload.require_identifier("release.id")),
        effect=Effect.POINT,
        occurred_at=at,
        type=EventType.DEPLOYMENT,
        name=" ".join(word for word in words if word),
        description=payload.text("release.body"),
        source=hook.forge,
        started_at=at,
        metadata=hook.facts()
        | present(
            release=tag,
            ref=payload.text("release.target_commitish"),
            release_id=payload.identifier("release.id"),
            url=payload.url("release.html_url"),
            prerelease=is_early or None,
        ),
    )


FEATURES: Final = (
    Feature("release", "published", EventType.DEPLOYMENT, Effect.POINT),
    Feature("release", "updated or deleted"),
)
