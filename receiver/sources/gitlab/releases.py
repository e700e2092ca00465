"""GitLab's Release, Tag Push and Feature Flag hooks, and those that warn of tokens about to expire."""

import re
from collections.abc import Callable
from typing import Final

from apitraffic_events.event import EventType
from apitraffic_events.timestamps import parse_timestamp
from receiver.events import Change, Effect
from receiver.sources.changes import change_of, present
from receiver.sources.gitlab.hook import SOURCE_NAME, Hook, Options, by_whom, commit_metadata
from receiver.sources.not_translated import Ignored, Untranslatable
from receiver.sources.payload import Payload
from receiver.sources.source import Feature
from receiver.wording import describe_release

NO_OBJECT: Final = re.compile(r"0{40}(?:0{24})?")
"""What GitLab writes as the commit before a tag was made, and after it was deleted."""

TOKENS: Final = {"access_token": "Access token", "deploy_token": "Deploy token"}


def release(hook: Hook, _options: Options) -> tuple[Change, ...]:
    """Nobody is named in it. `released_at` may be set by hand, to any time."""
    payload = hook.payload
    action = payload.require_text("action")
    if action != "create":
        raise Ignored(f"release action {action!r} makes no marker: only 'create' does")
    repository = hook.repository()
    tag = payload.require_text("tag")
    remark = payload.text("description")
    released_at = payload.time("released_at", "created_at") or hook.delivery.received_at
    change = change_of(
        hook.delivery,
        key=hook.key("release", payload.identifier("project.id") or repository, tag),
        effect=Effect.POINT,
        occurred_at=released_at,
        type=EventType.DEPLOYMENT,
        name=f"Release {repository} {describe_release(payload.text('name'), tag)}",
        description="Released." + (f"\n{remark}" if remark else ""),
        source=SOURCE_NAME,
        metadata=hook.project_metadata()
        | commit_metadata(payload.text("commit.id"), payload.text("commit.title"))
        | present(
            release=tag,
            ref=tag,
            url=payload.url("url", "project.web_url"),
            status=action,
        ),
        started_at=released_at,
    )
    return (change,)


def tag_push(hook: Hook, _options: Options) -> tuple[Change, ...]:
    """Has no time of its own: that of its arrival counts."""
    payload = hook.payload
    tag = payload.require_text("ref").removeprefix("refs/tags/")
    before, after = payload.require_text("before"), payload.require_text("after")
    if NO_OBJECT.fullmatch(after):
        raise Ignored(f"the tag {tag!r} was deleted, which makes no marker")
    is_new = NO_OBJECT.fullmatch(before) is not None
    repository = hook.repository()
    commit = payload.text("checkout_sha", "after")
    project_id = payload.identifier("project_id") or payload.identifier("project.id") or repository
    remark = payload.text("message")
    change = change_of(
        hook.delivery,
        key=hook.key("tag", project_id, tag, commit or after),
        effect=Effect.POINT,
        occurred_at=hook.delivery.received_at,
        type=EventType.CUSTOM,
        name=f"Tag {tag} {'on' if is_new else 'moved on'} {repository}",
        description=by_whom("Created" if is_new else "Moved", hook.actor())
        + (f"\n{remark}" if remark else ""),
        source=SOURCE_NAME,
        metadata=hook.project_metadata()
        | commit_metadata(commit, None)
        | present(ref=tag, url=hook.page("tags", tag), status="created" if is_new else "moved"),
        started_at=hook.delivery.received_at,
    )
    return (change,)


def feature_flag(hook: Hook, _options: Options) -> tuple[Change, ...]:
    """Has no time, no action and no environment: each delivery is a change of its own."""
    payload = hook.payload
    name = payload.require_text("object_attributes.name")
    is_active = payload.flag("object_attributes.active")
    if is_active is None:
        raise Untranslatable("object_attributes.active is missing from the payload")
    state = "on" if is_active else "off"
    flag_id = payload.identifier("object_attributes.id") or name
    remark = payload.text("object_attributes.description")
    change = change_of(
        hook.delivery,
        key=hook.key("feature_flag", flag_id, hook.delivery.id),
        effect=Effect.POINT,
        occurred_at=hook.delivery.received_at,
        type=EventType.CONFIG_CHANGE,
        name=f"Feature flag {name} turned {state}",
        description=by_whom(f"Turned {state}", hook.actor()) + (f"\n{remark}" if remark else ""),
        source=SOURCE_NAME,
        metadata=hook.project_metadata()
        | present(feature_flag=name, url=hook.page("feature_flags"), status=state),
        started_at=hook.delivery.received_at,
    )
    return (change,)


def token(hook: Hook, _options: Options) -> tuple[Change, ...]:
    """Sent 60, 30 and 7 days ahead, for a project or a group; the first of them makes the marker."""
    payload = hook.payload
    kind = hook.delivery.event
    name = payload.require_text("object_attributes.name")
    identifier = payload.require_identifier("object_attributes.id")
    expires = _day(payload, "object_attributes.expires_at")
    group = payload.text("group.full_path", "group.group_path", "group.path")
    repository = payload.text("project.path_with_namespace")
    owner = repository or group
    change = change_of(
        hook.delivery,
        key=hook.key(kind, identifier, expires),
        effect=Effect.POINT,
        occurred_at=hook.delivery.received_at,
        type=EventType.CUSTOM,
        name=f"{TOKENS[kind]} {name} expires {expires}",
        description=f"Of {owner}; what uses it stops working then." if owner else None,
        source=SOURCE_NAME,
        metadata=present(
            repository=repository,
            repository_url=hook.project_url(),
            group=group,
            url=hook.project_url(),
            status="expiring",
            token_id=identifier,
            expires_at=expires,
        ),
        started_at=hook.delivery.received_at,
    )
    return (change,)


FEATURES: Final = (
    Feature("release", "create", EventType.DEPLOYMENT, Effect.POINT),
    *(Feature("release", word) for word in ("update", "delete")),
    *(
        Feature("feature_flag", f"turned {word}", EventType.CONFIG_CHANGE, Effect.POINT)
        for word in ("on", "off")
    ),
    *(
        Feature("tag_push", word, EventType.CUSTOM, Effect.POINT, is_optional=True)
        for word in ("created", "moved")
    ),
    Feature("tag_push", "deleted", is_optional=True),
    *(
        Feature(
            kind, "expiring", EventType.CUSTOM, Effect.POINT, is_optional=True, note="once for an expiry date"
        )
        for kind in TOKENS
    ),
)

TRANSLATORS: Final[dict[str, Callable[[Hook, Options], tuple[Change, ...]]]] = {
    "release": release,
    "feature_flag": feature_flag,
    "tag_push": tag_push,
    **dict.fromkeys(TOKENS, token),
}


def _day(payload: Payload, path: str) -> str:
    """Access tokens have a date there, deploy tokens a time; as it is written where it is neither."""
    written = payload.require_text(path)
    moment = parse_timestamp(written)
    return moment.date().isoformat() if moment else written
