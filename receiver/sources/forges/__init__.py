"""What Gitea and Forgejo, which began as one, have in common: releases, issues and runs of Actions.

https://docs.gitea.com/usage/webhooks https://forgejo.org/docs/latest/user/webhooks/

Much of it looks like GitHub's and is not: events have other actions, there are no deployments, the signature
is bare, and a delivery says `X-GitHub-Event` as well.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from receiver.events import Change, Delivery
from receiver.sources.forges import incidents, releases
from receiver.sources.forges.hook import ForgeOptions, Hook
from receiver.sources.forges.runs import Run, deploy, feature
from receiver.sources.forges.verification import HUB_SIGNATURE, explain_refusal, verification_by
from receiver.sources.not_translated import Ignored, Untranslatable
from receiver.sources.payload import Payload
from receiver.sources.request import MIB, Headers, delivery_id
from receiver.sources.source import Feature, Source

BODY_LIMIT: Final = 25 * MIB
TRANSLATORS: Final = {"release": releases.release, "issues": incidents.issue}


def receive_as(source: str, brands: tuple[str, ...]) -> Callable[[Headers, bytes, datetime], Delivery]:
    def receive(headers: Headers, body: bytes, received_at: datetime) -> Delivery:
        given = (headers.get(f"x-{brand}-delivery") for brand in brands)
        events = (headers.get(f"x-{brand}-event") for brand in brands)
        return Delivery(
            source=source,
            id=delivery_id(next((each for each in given if each), None), body),
            event=next((each for each in events if each), ""),
            headers=dict(headers),
            body=body,
            received_at=received_at,
        )

    return receive


def translate_as(
    name: str, runs: Mapping[str, Callable[[Payload], Run | None]]
) -> Callable[[Delivery, ForgeOptions], tuple[Change, ...]]:
    def translate(delivery: Delivery, options: ForgeOptions) -> tuple[Change, ...]:
        hook = Hook(name, Payload.of(delivery), delivery)
        if not delivery.event:
            raise Untranslatable(f"X-{name.capitalize()}-Event is missing")
        if delivery.event in TRANSLATORS:
            return (TRANSLATORS[delivery.event](hook, options),)
        if delivery.event in runs:
            return (deploy(hook, runs[delivery.event](hook.payload), options),)
        raise Ignored(f"{delivery.event} is not one that becomes a marker")

    return translate


def source_of(
    *,
    name: str,
    title: str,
    variable: str,
    brands: tuple[str, ...],
    runs: Mapping[str, Callable[[Payload], Run | None]],
    options: type[ForgeOptions],
) -> Source[Any]:
    """`brands` are how the names of its own headers begin, without `x-`, the first counts. `runs` reads those
    events that report a run.
    """
    signatures = (*(f"x-{brand}-signature" for brand in brands), HUB_SIGNATURE)
    return Source(
        name=name,
        title=title,
        secret_variables=(variable,),
        body_limit=BODY_LIMIT,
        content_types=frozenset({"application/json"}),
        options=options,
        default_events=("release", "issues", *runs),
        features=(
            *releases.FEATURES,
            *incidents.FEATURES,
            Feature("push", "any"),
            *(feature(name, event) for event in runs),
        ),
        explain_refusal=explain_refusal(name, title, signatures, variable),
        verification=verification_by(signatures, variable),
        receive=receive_as(name, brands),
        translate=translate_as(name, runs),
    )
