"""Groups of alerts in the form of Alertmanager's webhook, which Grafana's has too.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config

One request is a group: some alerts in it fire, others are resolved. It is sent again whenever the group
changes and at each repeat interval, so most of it is nothing new. Neither an alert's fingerprint nor its
start identifies one episode from firing to resolved: the fingerprint is that of its labels, and the start
differs between firing and resolved if the alert fired again in between, if another Alertmanager of a pair
sends the second, or after a restart. So a change's key names the alert, and the worker finds the episode
(`receiver.delivery.episodes`).
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Final, Literal, TypeVar

from pydantic import Field, JsonValue

from apitraffic_events.event import EventType
from apitraffic_events.text import NAME_LIMIT, one_line, whole_line
from receiver.events import Change, Delivery, Effect
from receiver.sources.changes import change_of, labelled, present
from receiver.sources.not_translated import Untranslatable
from receiver.sources.payload import Payload, object_in
from receiver.sources.request import MIB, Headers, Secrets, delivery_id
from receiver.sources.signatures import Verification
from receiver.sources.source import Feature, Source, SourceOptions
from receiver.wording import duration

FIRING: Final = "firing"
RESOLVED: Final = "resolved"
BODY_LIMIT: Final = 4 * MIB
"""Some ten thousand alerts; Alertmanager does not try a 413 again."""
MOST_ALERTS: Final = 500
MOST_LABELS: Final = 40
LABEL_LIMIT: Final = 200
"""Characters of a label's value."""
HALF_DAY: Final = 12 * 3600
MOST_DAYS: Final = 30

SUMMARIES: Final = ("summary", "message", "title")
"""Annotations that say on one line what is wrong."""
WHERE: Final = ("service", "app", "job", "instance", "pod", "namespace")
"""Labels that say what it is about, if no annotation does."""
FACTS: Final = {
    "severity": ("severity", "priority", "level"),
    "service": ("service", "app", "application"),
    "environment": ("environment", "env", "stage"),
    "job": ("job",),
    "instance": ("instance",),
    "namespace": ("namespace",),
    "cluster": ("cluster",),
    "team": ("team",),
}
"""Metadata -> the labels that may hold it, the first counts."""


class AlertOptions(SourceOptions):
    """What `[alertmanager]` and `[grafana]` in apitraffic.toml have in common."""

    markers: Literal["alert", "group"] = "alert"
    """Draw a marker for each alert, or one for a group from its first alert to its last."""
    close_after: Annotated[int, Field(ge=0, le=MOST_DAYS * 86_400)] = HALF_DAY
    """Seconds without news after which an alert that fires counts as ended unseen; 0 for never.

    Has to be longer than the sender's repeat interval: three times that leaves room for a repeat or two that
    get lost."""


OptionsT = TypeVar("OptionsT", bound=AlertOptions)


@dataclass(frozen=True, slots=True)
class Sender:
    """What differs between the senders of such groups."""

    name: str
    key_of: Callable[[Payload], str]
    """How the keys of a group's alerts begin."""
    url_of: Callable[[Payload, Payload], str | None]
    """The page about an alert, of the group and the alert."""
    facts_of: Callable[[Payload], dict[str, JsonValue]]
    """Metadata that only this sender has, of an alert."""


def receive(source: str, headers: Headers, body: bytes, received_at: datetime) -> Delivery:
    """Each request is a delivery of its own: none has an id, and a repeat has the same body.

    A repeat is news, which says that the alert still fires, or fires again. One that is sent because a
    response got lost does no harm.
    """
    content = object_in(body)
    milliseconds = round(received_at.timestamp() * 1000)
    return Delivery(
        source=source,
        id=f"{delivery_id(None, body)}-{milliseconds}",
        event=Payload(content or {}).text("status") or "",
        headers=dict(headers),
        body=body,
        received_at=received_at,
        content=content,
    )


def source_of(
    sender: Sender,
    *,
    title: str,
    secret_variable: str,
    options: type[OptionsT],
    verification: Callable[[Headers, Secrets, datetime], Verification | None],
    explain_refusal: Callable[[Headers, bytes], str],
) -> Source[OptionsT]:
    """The source of a sender of such groups. None of them has ids of deliveries, and all can send a token."""
    return Source(
        name=sender.name,
        title=title,
        secret_variables=(secret_variable,),
        body_limit=BODY_LIMIT,
        content_types=frozenset({"application/json"}),
        options=options,
        default_events=(FIRING, RESOLVED),
        features=FEATURES,
        verification=verification,
        explain_refusal=explain_refusal,
        receive=partial(receive, sender.name),
        translate=partial(translate, sender),
        takes_token_in_path=True,
    )


def translate(sender: Sender, delivery: Delivery, options: AlertOptions) -> tuple[Change, ...]:
    group = Payload.of(delivery)
    if not isinstance(group.value("alerts"), list) or delivery.event not in {FIRING, RESOLVED}:
        raise Untranslatable(
            "status or alerts is missing from the payload; if a template makes it, send it to "
            "/webhooks/events"
        )
    alerts = [*group.objects("alerts")]
    if not alerts:
        raise Untranslatable("there is no alert in the payload")
    if options.markers == "group":
        return (_of_group(sender, group, alerts, delivery, options),)
    if len(alerts) > MOST_ALERTS:
        raise Untranslatable(
            f"there are {len(alerts)} alerts in the payload, and at most {MOST_ALERTS} are drawn one by one; "
            f'group them by more labels, or set markers = "group" in [{sender.name}] in apitraffic.toml'
        )
    changes = {change.key: change for change in _of_alerts(sender, group, alerts, delivery, options)}
    return tuple(changes.values())


def _of_alerts(
    sender: Sender, group: Payload, alerts: list[Payload], delivery: Delivery, options: AlertOptions
) -> Iterator[Change]:
    prefix = sender.key_of(group)
    for alert in alerts:
        times = _times(alert, delivery.received_at)
        labels = _texts(alert, "labels")
        title = _title(labels, alert)
        metadata = present(
            **_facts(labels),
            **sender.facts_of(alert),
            fingerprint=alert.text("fingerprint"),
            url=sender.url_of(group, alert),
            runbook_url=alert.url("annotations.runbook_url", "annotations.runbook"),
        )
        yield _change(
            delivery,
            options,
            key=f"{prefix}:{alert.text('fingerprint') or _digest(sorted(labels.items()))}",
            times=times,
            name=title,
            details=alert.text("annotations.description"),
            metadata=metadata
            | present(status=RESOLVED if times.ended_at else FIRING, receiver=group.text("receiver"))
            | {"labels": dict(labels)},
        )


def _of_group(
    sender: Sender, group: Payload, alerts: list[Payload], delivery: Delivery, options: AlertOptions
) -> Change:
    times = [_times(alert, delivery.received_at) for alert in alerts]
    started_at = min(each.started_at for each in times)
    is_over = delivery.event == RESOLVED and all(each.ended_at for each in times)
    ended_at = max(each.ended_at or started_at for each in times) if is_over else None
    labels = _texts(group, "groupLabels")
    common = _texts(group, "commonLabels")
    omitted = group.value("truncatedAlerts")
    count = len(alerts) + (omitted if type(omitted) is int and 0 < omitted < 10**6 else 0)
    name = _title(labels | common, Payload({"annotations": group.value("commonAnnotations")}))
    return _change(
        delivery,
        options,
        key=f"{sender.key_of(group)}:group:{_digest(group.value('groupKey') or sorted(labels.items()))}",
        times=Times(started_at, ended_at),
        name=name,
        details=f"{count} alert{'' if count == 1 else 's'} in the group.",
        metadata=present(
            **_facts(common),
            url=group.url("externalURL"),
            alerts=count,
            status=RESOLVED if is_over else FIRING,
            receiver=group.text("receiver"),
        )
        | {"labels": dict(common)},
    )


@dataclass(frozen=True, slots=True)
class Times:
    started_at: datetime
    ended_at: datetime | None


def _times(alert: Payload, received_at: datetime) -> Times:
    """An alert that is reported has begun, and one that is reported as resolved has ended.

    Later times come from a clock that is ahead, or are meant: amtool can make an alert that begins later.
    """
    started_at = min(alert.time("startsAt") or received_at, received_at)
    ended_at = alert.time("endsAt")
    status = alert.text("status")
    is_over = status == RESOLVED or (status != FIRING and ended_at is not None and ended_at <= received_at)
    if not is_over:
        return Times(started_at, None)
    return Times(started_at, max(started_at, min(ended_at or received_at, received_at)))


def _change(
    delivery: Delivery,
    options: AlertOptions,
    *,
    key: str,
    times: Times,
    name: str,
    details: str | None,
    metadata: dict[str, JsonValue],
) -> Change:
    taken = times.ended_at - times.started_at if times.ended_at else None
    outcome = f"Resolved after {duration(taken)}." if taken is not None else None
    return change_of(
        delivery,
        key=key,
        effect=Effect.OPEN if times.ended_at is None else Effect.CLOSE,
        occurred_at=times.ended_at or times.started_at,
        lasted=taken,
        heard_at=delivery.received_at,
        lapses_after=timedelta(seconds=options.close_after) or None,
        type=EventType.INCIDENT,
        name=name,
        description="\n".join(line for line in (outcome, details) if line) or None,
        source=delivery.source,
        metadata=metadata,
        started_at=times.started_at,
        ended_at=times.ended_at,
    )


def _title(labels: dict[str, str], alert: Payload) -> str:
    """`HighLatency: p99 above 2 s`, or what it is about: `HighLatency on checkout`."""
    # Grafana names alerts of its own, such as DatasourceNoData, and puts the rule into a label.
    name = ": ".join(labels[each] for each in ("rulename", "alertname") if each in labels)
    summary = alert.text(*(f"annotations.{each}" for each in SUMMARIES))
    if summary:
        is_in_it = not name or name.lower() in summary.lower()
        return one_line(summary if is_in_it else f"{name}: {summary}", NAME_LIMIT)
    about = next((labels[label] for label in WHERE if label in labels), None)
    return one_line(f"{name or 'Alert'} on {about}" if about else name or "Alert", NAME_LIMIT)


def _facts(labels: dict[str, str]) -> dict[str, JsonValue]:
    return present(alertname=labels.get("alertname")) | labelled(labels, FACTS)


def _texts(payload: Payload, path: str) -> dict[str, str]:
    """The labels here whose values are text, safe and bounded."""
    found = payload.value(path)
    items = found.items() if isinstance(found, dict) else ()
    lines = (
        (one_line(name, LABEL_LIMIT), one_line(value, LABEL_LIMIT))
        for name, value in items
        if isinstance(value, str)
    )
    return dict([(name, line) for name, line in lines if name and line][:MOST_LABELS])


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def identifier(text: str | None) -> str:
    """A part of a key."""
    return whole_line(text or "-")


FEATURES: Final = (
    Feature(
        FIRING, "an alert fires", EventType.INCIDENT, Effect.OPEN, note="a repeat says that it still does"
    ),
    Feature(FIRING, "another alert of the group is resolved", EventType.INCIDENT, Effect.CLOSE),
    Feature(
        RESOLVED,
        "all alerts of the group are",
        EventType.INCIDENT,
        Effect.CLOSE,
        note="complete if it was never heard of as firing",
    ),
)
