"""What a declared sender's deliveries become."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from receiver.delivery.folding import fold
from receiver.events import Change, Delivery, Effect
from receiver.sources.declared import DeclaredSource, source_of
from receiver.sources.declared.declaration import Sender
from receiver.sources.declared.source import MOST_CHANGES
from receiver.sources.not_translated import Ignored, Untranslatable
from receiver.sources.source import SourceOptions, translate

RECEIVED_AT = datetime(2026, 1, 10, 12, tzinfo=UTC)
DEPLOY = {
    "events": ["deploy.*"],
    "key": "{id}",
    "type": "deployment",
    "effect": {
        "of": "{state}",
        "words": {"running": "open", "done": "close", "failed": "close", "queued": "ignore"},
    },
    "start": "{started}",
    "end": "{finished}",
    "name": "Deploy {repository} {phrase('to', environment)}",
    "description": "Ended{phrase(' after', duration(started, finished))}.",
    "environment": "{target.env}",
    "metadata": {"repository": "{repo}", "run_id": "{id}", "url": "{link}", "log_url": "{log}", "ok": "{ok}"},
}
DELIVERY = {
    "id": 42,
    "state": "done",
    "started": "2026-01-10T10:00:00Z",
    "finished": 1768040460,
    "repo": "acme/shop",
    "target": {"env": "production"},
    "environment": {"name": "not this one"},
    "link": "https://ci.example.com/42",
    "log": "javascript:alert(1)",
    "ok": True,
}


def sender(*markers: dict[str, Any], **fields: Any) -> DeclaredSource:
    description = {"name": "mine", "authentication": {"scheme": "bearer"}, "event": "{event}"}
    return source_of(Sender.model_validate(description | {"marker": list(markers)} | fields))


def received(source: DeclaredSource, body: Any, **headers: str) -> Delivery:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return source.receive(headers, content, RECEIVED_AT)


def changes(source: DeclaredSource, body: Any, mode: str = "span", **options: Any) -> tuple[Change, ...]:
    chosen = SourceOptions.model_validate({"deployments": mode, **options})
    return translate(source, received(source, body), chosen).changes


def change(body: dict[str, Any], mode: str = "span", **marker: Any) -> Change:
    (only,) = changes(sender(DEPLOY | marker), {"event": "deploy.x"} | body, mode)
    return only


def test_a_deploy_that_ended_is_a_span_with_what_the_description_says() -> None:
    made = change(DELIVERY)
    assert (made.key, made.effect) == ("mine:42", Effect.CLOSE)
    event = made.event.to_api()
    delivery_id = event["metadata"].pop("delivery_id")
    assert delivery_id.startswith("sha256-")
    assert event == {
        "type": "deployment",
        "name": "Deploy acme/shop to production",
        "description": "Ended after 21 min.",
        "source": "mine",
        "metadata": {
            "repository": "acme/shop",
            "run_id": "42",
            "url": "https://ci.example.com/42",
            "ok": True,
            "environment": "production",
            "marker_key": "mine:42",
        },
        "buckets": ["*"],
        "environments": ["*"],
        "startedAt": "2026-01-10T10:00:00.000Z",
        "endedAt": "2026-01-10T10:21:00.000Z",
    }


def test_as_a_point_it_is_drawn_at_its_end() -> None:
    made = change(DELIVERY, "point")
    assert made.effect is Effect.POINT
    assert made.event.to_api()["startedAt"] == "2026-01-10T10:21:00.000Z"
    assert made.event.ended_at is None


def test_as_a_point_its_start_makes_none() -> None:
    started = DELIVERY | {"state": "running", "finished": None}
    assert change(started).effect is Effect.OPEN
    with pytest.raises(Ignored, match="has not ended yet"):
        change(started, "point")


def test_the_source_may_have_another_name() -> None:
    made = changes(sender(DEPLOY, source="my_deployer"), {"event": "deploy.x"} | DELIVERY)
    assert made[0].event.source == "my_deployer"


def test_names_fall_back_on_no_field_of_the_body_for_metadata_that_are_missing() -> None:
    assert change(DELIVERY | {"target": None}).event.name == "Deploy acme/shop"


@pytest.mark.parametrize("state", ["queued", "QUEUED"])
def test_a_state_without_meaning_makes_none(state: str) -> None:
    with pytest.raises(Ignored, match="makes no marker"):
        change(DELIVERY | {"state": state})


ENDS = {"of": "{state}", "words": {"running": "open", "given up": "end"}}


def test_what_may_never_have_begun_ends_a_marker_and_makes_none() -> None:
    given_up = change(DELIVERY | {"state": "given up"}, effect=ENDS)
    assert given_up.sets == ("name", "description", "ended_at")
    assert fold([given_up]) is None
    opened = change(DELIVERY | {"state": "running", "finished": None}, effect=ENDS)
    for order in ([opened, given_up], [given_up, opened]):
        shown = fold(order)
        assert shown is not None
        assert shown.to_api()["endedAt"] == "2026-01-10T10:21:00.000Z"
    with pytest.raises(Ignored, match="was given up, perhaps before it began"):
        change(DELIVERY | {"state": "given up"}, "point", effect=ENDS)


def test_an_end_that_comes_first_leaves_the_start_to_the_opening() -> None:
    ended = change(DELIVERY | {"started": None})
    assert ended.event.started_at is None
    opened = change(DELIVERY | {"state": "running", "finished": None})
    shown = fold([ended, opened])
    assert shown is not None
    assert shown.to_api()["startedAt"] == "2026-01-10T10:00:00.000Z"


def test_which_events_are_translated_may_be_narrower_than_what_its_markers_fit() -> None:
    one = sender(DEPLOY | {"events": "*"}, events="deploy.prod*")
    assert changes(one, {"event": "deploy.production"} | DELIVERY)
    with pytest.raises(Ignored, match=r"'deploy.test' is off; name it in \[mine\] events in apitraffic.toml"):
        changes(one, {"event": "deploy.test"} | DELIVERY)
    assert changes(one, {"event": "deploy.test"} | DELIVERY, events=["deploy.test"])


@pytest.mark.parametrize("state", ["of the future", None, {}, ["done"] * 2, 10**400])
def test_a_state_that_is_not_known_is_quarantined_and_named(state: Any) -> None:
    with pytest.raises(Untranslatable, match=r"there is no effect for '(of the future|done, done|)'"):
        change(DELIVERY | {"state": state})


@pytest.mark.parametrize("missing", [None, "", {}, []])
def test_without_its_key_it_is_quarantined(missing: Any) -> None:
    with pytest.raises(Untranslatable, match="'id' is missing from the payload"):
        change(DELIVERY | {"id": missing})


def test_an_event_that_no_marker_is_for_is_ignored() -> None:
    with pytest.raises(Ignored, match="event 'push' is not one that becomes a marker"):
        changes(sender(DEPLOY), {"event": "push"})


def test_what_is_to_be_ignored_says_why() -> None:
    one = sender(DEPLOY, ignore=[{"events": "ping", "when": "hook", "reason": "it is a ping"}])
    with pytest.raises(Ignored, match="it is a ping"):
        changes(one, {"event": "ping", "hook": 1})
    with pytest.raises(Ignored, match="not one that becomes a marker"):
        changes(one, {"event": "ping", "hook": None})


def test_the_first_marker_that_fits_is_used() -> None:
    first = DEPLOY | {"when": "state == 'done'", "name": "First"}
    one = sender(first, DEPLOY | {"name": "Second"})
    body = {"event": "deploy.x"} | DELIVERY
    assert [made.event.name for made in changes(one, body)] == ["First"]
    assert [made.event.name for made in changes(one, body | {"state": "failed"})] == ["Second"]


def test_optional_markers_are_off_until_their_event_is_named() -> None:
    one = sender(DEPLOY | {"optional": True}, DEPLOY | {"events": "other"})
    with pytest.raises(Ignored, match=r"'deploy.x' is off|not one that becomes a marker"):
        changes(one, {"event": "deploy.x"} | DELIVERY)
    assert changes(one, {"event": "deploy.x"} | DELIVERY, events=["deploy.*"])


ALERTS = {
    "each": "alerts",
    "let": {"at": "{time(since)}"},
    "key": "{id}",
    "type": "incident",
    "effect": {"of": "{state}", "words": {"on": "open", "off": "close", "x": "ignore"}},
    "time": "{at}",
    "name": "{name} of {body().team}",
}


def test_each_item_becomes_a_marker() -> None:
    alerts = [
        {"id": 1, "state": "on", "name": "A", "since": "1768040400"},
        {"id": 2, "state": "x", "name": "B"},
        {"id": 3, "state": "off", "name": "C", "since": "2026-01-10T10:30:00Z"},
    ]
    made = changes(sender(ALERTS), {"team": "shop", "alerts": alerts})
    assert [(item.key, item.effect.value, item.event.name) for item in made] == [
        ("mine:1", "open", "A of shop"),
        ("mine:3", "close", "C of shop"),
    ]
    assert made[0].event.to_api()["startedAt"] == "2026-01-10T10:20:00.000Z"


def test_of_two_items_for_one_marker_the_later_counts() -> None:
    def item(name: str, since: str) -> dict[str, str]:
        return {"id": "1", "state": "on", "name": name, "since": since}

    alerts = [item("late", "2026-01-10T11:00:00Z"), item("early", "2026-01-10T10:00:00Z")]
    (made,) = changes(sender(ALERTS), {"team": "shop", "alerts": alerts})
    assert made.event.name == "late of shop"


def test_a_body_may_be_a_list() -> None:
    alerts = [{"id": 1, "state": "on", "name": "A"}, {"id": 2, "state": "off", "name": "B"}]
    one = sender(ALERTS | {"each": "@", "name": "{name}"}, event="{[0].state}")
    assert received(one, alerts).event == "on"
    assert [item.key for item in changes(one, alerts)] == ["mine:1", "mine:2"]


@pytest.mark.parametrize("alerts", [None, [], {}, "text", 3])
def test_without_items_there_is_nothing_to_show(alerts: Any) -> None:
    with pytest.raises(Ignored, match="'alerts' is empty"):
        changes(sender(ALERTS), {"alerts": alerts})


def test_too_many_items_are_quarantined() -> None:
    with pytest.raises(Untranslatable, match="has 201 items; at most 200"):
        changes(sender(ALERTS), {"alerts": [{}] * (MOST_CHANGES + 1)})


@pytest.mark.parametrize("items", [[1, "x", None, []], [[[[]]]], [{}]])
def test_items_of_another_type_are_quarantined(items: Any) -> None:
    with pytest.raises(Untranslatable):
        changes(sender(ALERTS), {"alerts": items})


def test_a_time_that_is_none_or_far_ahead_is_not_used() -> None:
    values: tuple[Any, ...] = ("0001-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "soon", -1, 1e300, {}, True)
    for value in values:
        made = change(DELIVERY | {"finished": value})
        assert made.event.to_api()["startedAt"] == "2026-01-10T10:00:00.000Z"
        assert made.occurred_at == RECEIVED_AT


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"[1]", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b"null"]
)
def test_a_body_without_what_a_marker_needs_is_quarantined(body: bytes) -> None:
    with pytest.raises(Untranslatable):
        changes(sender(DEPLOY | {"events": "*"}), body)


HOSTILE = [
    {"id": "x" * 1_000_000},
    {"state": "x" * 1_000_000},
    {"repo": "\x00\u202e" * 300_000},
    {"started": "9" * 1_000_000, "finished": 1e400},
    {"target": {"env": ["a"] * 100_000}},
    {"link": "https://" + "a" * 1_000_000},
    {name: {"a": [{}]} for name in ("id", "state", "started", "repo", "target", "link", "ok")},
    {name: [[[[[]]]]] for name in ("id", "state", "started", "repo", "target", "link", "ok")},
    dict.fromkeys(("id", "state", "started", "repo", "target", "link", "ok"), 1.5),
    dict.fromkeys(("id", "state", "started", "repo", "target", "link", "ok"), False),
]


@pytest.mark.parametrize("odd", HOSTILE)
def test_a_hostile_payload_is_translated_or_quarantined_and_bounded(odd: dict[str, Any]) -> None:
    try:
        made = change(DELIVERY | odd).model_dump_json()
    except (Ignored, Untranslatable) as reason:
        made = reason.reason
    assert 0 < len(made) < 20_000


def test_two_long_keys_that_differ_at_their_end_are_two() -> None:
    one, other = (change(DELIVERY | {"id": "x" * 20_000 + end}).key for end in "ab")
    assert one != other


@pytest.mark.parametrize(
    ("marker", "complaint"),
    [
        ({"effect": "explode"}, "'explode', which is not one of point, open"),
        ({"effect": {"of": "{a}", "words": {"x": "shut"}}}, "'shut', which is not one of"),
        ({"type": "deploy"}, "'deploy', which is not one of deployment"),
        ({"name": 3}, "is not text in quotes"),
        ({"when": ""}, "without an expression"),
        ({"key": "{a.}"}, "'a.', which is not JMESPath"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_a_bad_description_is_refused(marker: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        sender(DEPLOY | marker)


@pytest.mark.parametrize("name", ["", "Mine", "my_tool", "-x", "x-", "a--b", "a/b", "ä", "x" * 41, "1a"])
def test_a_name_that_is_none_for_a_path_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        sender(DEPLOY, name=name)
