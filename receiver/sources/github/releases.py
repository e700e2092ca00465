"""What is published on GitHub: releases and, if the configuration asks for them, tags and packages.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#release
"""

import re
from datetime import UTC, datetime
from typing import Final

from apitraffic_events.event import EventType
from receiver.events import Change, Delivery, Effect
from receiver.sources.changes import change_of, present
from receiver.sources.github.keys import names_in_repository, names_on_host
from receiver.sources.github.payload import (
    SOURCE_NAME,
    Options,
    Translator,
    commit_facts,
    first_line,
    repository_facts,
    sender,
    told,
)
from receiver.sources.not_translated import Ignored
from receiver.sources.payload import Payload
from receiver.sources.source import Feature
from receiver.wording import describe_release

TAG_PREFIX: Final = "refs/tags/"
DIGEST: Final = re.compile(r"(sha\d+:[0-9a-f]{12})[0-9a-f]+")
FIRST_PACKAGE: Final = datetime(2019, 1, 1, tzinfo=UTC)
"""GitHub had no packages before; container images say they were created in the year 1."""

RELEASE_ACTIONS: Final = {
    "created": "a draft was saved; published makes the marker",
    "edited": "only its publication makes a marker",
    "released": "published, which comes with it, makes the marker",
    "prereleased": "published, which comes with it, makes the marker",
    "unpublished": "only its publication makes a marker",
    "deleted": "only its publication makes a marker",
}
"""What is ignored -> why. A click on "Publish release" sends created, published and (pre)released."""


def release(payload: Payload, delivery: Delivery, _options: Options) -> tuple[Change, ...]:
    action = payload.require_text("action")
    if action != "published":
        raise Ignored(f"release {action!r}: {RELEASE_ACTIONS.get(action, 'not known here')}")
    repository = payload.require_text("repository.full_name")
    release_id = payload.require_identifier("release.id")
    tag = payload.text("release.tag_name")
    is_prerelease = payload.flag("release.prerelease")
    # release.created_at is the time of the tag's commit, which may be of last year.
    published_at = payload.time("release.published_at") or delivery.received_at
    actor = payload.text("sender.login", "release.author.login")
    words = [
        "Pre-release" if is_prerelease else "Release",
        repository,
        describe_release(payload.text("release.name"), tag),
    ]
    change = change_of(
        delivery,
        **names_on_host(payload, delivery, "release", release_id),
        effect=Effect.POINT,
        occurred_at=published_at,
        type=EventType.DEPLOYMENT,
        name=" ".join(word for word in words if word),
        description=told("Published", actor=actor, remark=first_line(payload, "release.body")),
        source=SOURCE_NAME,
        metadata=repository_facts(payload)
        | present(
            ref=tag,
            release=tag,
            release_id=release_id,
            prerelease=is_prerelease,
            actor=actor,
            url=payload.url("release.html_url", "repository.html_url"),
            status=action,
        ),
        started_at=published_at,
    )
    return (change,)


def push(payload: Payload, delivery: Delivery, _options: Options) -> tuple[Change, ...]:
    """A tag's `after` is the tag itself where it is annotated, so the commit is that of `head_commit`.

    `pushed_at` is in seconds here, and the only time of the push: a redelivery may come days later.
    """
    ref = payload.require_text("ref")
    tag = ref.removeprefix(TAG_PREFIX)
    if tag == ref:
        raise Ignored(f"a push to {ref!r} makes no marker; only new tags do")
    is_deleted = payload.flag("deleted")
    if is_deleted or not payload.flag("created"):
        raise Ignored(f"tag {tag!r} was {'deleted' if is_deleted else 'moved'}; only new tags make markers")
    repository = payload.require_text("repository.full_name")
    commit = payload.text("head_commit.id")
    actor = payload.text("sender.login", "pusher.name")
    subject = first_line(payload, "head_commit.message")
    pushed_at = payload.time("repository.pushed_at") or delivery.received_at
    change = change_of(
        delivery,
        **names_in_repository(payload, delivery, "tag", tag, commit or payload.require_text("after")),
        effect=Effect.POINT,
        occurred_at=pushed_at,
        type=EventType.CUSTOM,
        name=f"Tag {tag} on {repository}",
        description=told("Pushed", actor=actor, remark=subject),
        source=SOURCE_NAME,
        metadata=repository_facts(payload)
        | present(
            ref=tag,
            commit_message=subject,
            actor=actor,
            url=payload.url("head_commit.url", "compare", "repository.html_url"),
        )
        | commit_facts(commit),
        started_at=pushed_at,
    )
    return (change,)


def package(payload: Payload, delivery: Delivery, _options: Options) -> tuple[Change, ...]:
    action = payload.require_text("action")
    if action != "published":
        raise Ignored(f"package {action!r} makes no marker; only published does")
    name = payload.require_text("package.name")
    if payload.value("package.package_version") is None:
        raise Ignored(f"package {name!r} was published without a version")
    version_id = payload.require_identifier("package.package_version.id")
    version = payload.text(
        "package.package_version.container_metadata.tag.name", "package.package_version.version"
    )
    times = (
        payload.time(f"package.{path}")
        for path in ("package_version.created_at", "package_version.updated_at", "updated_at")
    )
    published_at = next((time for time in times if time and time > FIRST_PACKAGE), delivery.received_at)
    shown = DIGEST.sub(r"\1", version) if version else None
    change = change_of(
        delivery,
        **names_on_host(payload, delivery, "package", version_id),
        effect=Effect.POINT,
        occurred_at=published_at,
        type=EventType.CUSTOM,
        name=f"Package {name} {shown}" if shown else f"Package {name}",
        description=told("Published", actor=sender(payload)),
        source=SOURCE_NAME,
        metadata=repository_facts(payload)
        | present(
            package=name,
            package_type=payload.text("package.package_type", "package.ecosystem"),
            release=version,
            actor=sender(payload),
            url=payload.url("package.package_version.html_url", "package.html_url"),
        ),
        started_at=published_at,
    )
    return (change,)


TRANSLATORS: Final[dict[str, Translator]] = {"release": release, "push": push, "package": package}

FEATURES: Final = (
    Feature("release", "published", EventType.DEPLOYMENT, Effect.POINT, note="pre-releases say so"),
    *(Feature("release", action, note=why) for action, why in RELEASE_ACTIONS.items()),
    Feature("push", "new tag", EventType.CUSTOM, Effect.POINT, is_optional=True),
    Feature("push", "branch; tag moved or deleted"),
    *(Feature(event, "any", note="push reports tags") for event in ("create", "delete")),
    Feature("package", "published", EventType.CUSTOM, Effect.POINT, is_optional=True),
    Feature("package", "updated"),
    Feature("registry_package", "any", note="package is its successor"),
)
