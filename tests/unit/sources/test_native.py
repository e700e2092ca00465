"""What a native delivery means where no fixture says it: lists, what is wrong with an event, identities."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apitraffic_events.event import Event
from receiver.delivery.folding import fold
from receiver.events import Change, Effect
from receiver.sources.event_format import EVENT_FIELDS, FIELDS
from receiver.sources.native import NATIVE, Options
from receiver.sources.not_translated import Invalid, ItemError
from receiver.sources.source import Translation, translate
from tests.support.native import MESSAGE_ID, RECEIVED_AT, received

GOOD: dict[str, Any] = {"type": "custom", "name": "Sale begins"}


def translation(content: Any, **headers: str) -> Translation:
    return translate(NATIVE, received(content, **headers), Options())


def change_of(*, webhook_id: str = MESSAGE_ID, **item: Any) -> Change:
    (change,) = translation(item, webhook_id=webhook_id).changes
    return change


def wrong_with(content: Any) -> list[tuple[int, str, str]]:
    """Index, field and detail of everything that is wrong where nothing is right."""
    with pytest.raises(Invalid) as caught:
        translation(content)
    return [(error.index, error.field, error.detail) for error in caught.value.errors]


def shown(*changes: Change) -> Event:
    event = fold(changes)
    assert event is not None
    return event


# Bodies


@pytest.mark.parametrize(
    "body", [b"", b"{", b"hello", b"\xff\xfe", b"[" * 100_000, b"9" * 5_000, b"<event/>"]
)
def test_a_body_that_is_not_json_is_said_to_be_none(body: bytes) -> None:
    assert wrong_with(body) == [(0, "body", "is not JSON that can be read")]


@pytest.mark.parametrize("content", [None, 7, "deploy", True, 1.5])
def test_a_body_is_an_event_or_a_list(content: object) -> None:
    assert wrong_with(content) == [
        (0, "body", "is neither an event, which is an object, nor a list of events")
    ]


def test_an_empty_list_is_no_delivery() -> None:
    assert wrong_with([]) == [(0, "body", "is a list without an event in it")]


def test_a_hundred_events_are_taken_and_one_more_is_too_many() -> None:
    assert len(translation([GOOD] * 100).changes) == 100
    assert wrong_with([GOOD] * 101) == [(0, "body", "is a list of 101 events; send at most 100 at once")]


@pytest.mark.parametrize("item", [None, 7, "deploy", [], [GOOD]])
def test_an_item_that_is_no_object_is_said_to_be_none(item: object) -> None:
    assert wrong_with([item]) == [(0, "event", "is not an object with the fields of an event")]


# What is wrong with an event


@pytest.mark.parametrize(
    ("item", "field", "detail"),
    [
        (
            {"name": "x"},
            "type",
            "is missing; it is one of deployment, incident, config_change, scale, custom",
        ),
        (
            {"type": "scale"},
            "name",
            "is missing; say what happened, like 'Deploy acme/shop v2.3.1 to production'",
        ),
        (
            GOOD | {"type": "deploy"},
            "type",
            "is not one of deployment, incident, config_change, scale or custom",
        ),
        (GOOD | {"type": 7}, "type", "is not one of deployment, incident, config_change, scale or custom"),
        (GOOD | {"name": 7}, "name", "is not text"),
        (
            GOOD | {"name": " \u200b"},
            "name",
            "is empty; say what happened, like 'Deploy acme/shop v2.3.1 to production'",
        ),
        (GOOD | {"description": ["a"]}, "description", "is not text"),
        (GOOD | {"source": {}}, "source", "is not text"),
        (GOOD | {"metadata": "a: b"}, "metadata", "is not an object"),
        (GOOD | {"metadata": {"a": [[[[[1]]]]]}}, "metadata", "is nested deeper than 4 levels"),
        (
            GOOD | {"metadata": {f"key {n}": n for n in range(101)}},
            "metadata",
            "has 101 keys; at most 100 are kept",
        ),
        (GOOD | {"buckets": "Checkout API"}, "buckets", "is not a list"),
        (GOOD | {"environments": [7]}, "environments.0", "is not text"),
        (GOOD | {"environments": ["e"] * 101}, "environments", "has more than 100 entries"),
        (GOOD | {"buckets": ["b" * 1_001]}, "buckets.0", "is over 1000 characters long"),
        (
            GOOD | {"startedAt": "yesterday"},
            "startedAt",
            "is not a time; write it as ISO 8601, for example 2026-01-10T10:05:00.000Z",
        ),
        (
            GOOD | {"endedAt": True},
            "endedAt",
            "is not a time; write it as ISO 8601, for example 2026-01-10T10:05:00.000Z",
        ),
        (
            GOOD | {"occurredAt": "soon"},
            "occurredAt",
            "is not a time; write it as ISO 8601, for example 2026-01-10T10:05:00.000Z",
        ),
        (
            GOOD | {"startedAt": "2026-01-10T10:00:01Z", "endedAt": "2026-01-10T10:00:00Z"},
            "endedAt",
            "is before startedAt",
        ),
        (GOOD | {"key": 7}, "key", "is not text"),
        (GOOD | {"key": " "}, "key", "is empty"),
        (GOOD | {"effect": "start"}, "effect", "is not one of point, open, update, close or reopen"),
        (GOOD | {"effect": "update"}, "key", "is missing; it says which marker to update"),
        (GOOD | {"effect": "reopen"}, "key", "is missing; it says which marker to reopen"),
        (
            GOOD | {"effect": "open", "endedAt": "2026-01-10T10:00:00Z"},
            "endedAt",
            "does not go with effect open, after which there is no end; say close",
        ),
        (
            GOOD | {"effect": "point", "endedAt": "2026-01-10T10:00:00Z"},
            "endedAt",
            "does not go with effect point, after which there is no end; say close",
        ),
        (GOOD | {"started_at": 1}, "started_at", "is not a field of an event; did you mean startedAt?"),
        (GOOD | {"Name": "x"}, "Name", "is not a field of an event; did you mean name?"),
        (GOOD | {"enviroments": []}, "enviroments", "is not a field of an event; did you mean environments?"),
        (GOOD | {"zz": 1}, "zz", "is not a field of an event; what is your own belongs in metadata"),
        (GOOD | {"": 1}, "(no name)", "is not a field of an event; what is your own belongs in metadata"),
    ],
)
def test_what_is_wrong_is_said_with_the_fields_name(item: dict[str, Any], field: str, detail: str) -> None:
    assert wrong_with(item) == [(0, field, detail)]


def test_all_that_is_wrong_with_an_event_is_said_at_once() -> None:
    found = wrong_with({"typ": "scale", "buckets": 7, "startedAt": "x", "key": []})
    assert [field for _, field, _ in found] == ["typ", "key", "buckets", "startedAt"]
    found = wrong_with({"key": "k"})
    assert [(field, "say effect update or close" in detail) for _, field, detail in found] == [
        ("type", True),
        ("name", True),
    ]


def test_an_event_that_is_wrong_everywhere_is_not_told_of_without_bound() -> None:
    assert len(wrong_with({f"field {number}": number for number in range(1_000)})) == 10


def test_a_body_full_of_unknown_fields_takes_no_time() -> None:
    """A body of 1 MiB has room for 60,000. Searching for what each was meant to be took seconds."""
    item = {f"startedA{number}": number for number in range(60_000)}
    began = time.process_time()
    assert len(wrong_with(item)) == 10
    assert time.process_time() - began < 0.5


def test_an_endless_fields_name_is_told_short() -> None:
    ((_, field, _),) = wrong_with(GOOD | {"x\ud800\n" * 10_000: 1})
    assert len(field) <= 50
    field.encode()


def test_metadata_that_is_too_large_only_with_the_key_in_it_is_an_error_too() -> None:
    metadata = {f"{number:02}": "x" * 999 for number in range(16)} | {"z": "x" * 180}
    assert change_of(**GOOD, metadata=metadata | {"z": ""}).event.metadata
    ((index, field, detail),) = wrong_with(GOOD | {"metadata": metadata, "key": "k" * 250})
    assert (index, field) == (0, "metadata")
    assert "at most 16384 are kept" in detail


def test_the_reason_names_fields_in_words() -> None:
    with pytest.raises(Invalid) as caught:
        translation({"type": "custom", "startedAt": "x"})
    assert caught.value.reason.startswith("name is missing; say what happened")


# Lists


def test_wrong_events_do_not_spoil_right_ones() -> None:
    found = translation([GOOD, {"type": "custom"}, GOOD | {"key": "k"}, 7])
    assert [change.key for change in found.changes] == [f"events:{MESSAGE_ID}:0", "k"]
    assert [(error.index, error.field) for error in found.errors] == [(1, "name"), (3, "event")]
    assert all(isinstance(error, ItemError) for error in found.errors)


def test_all_that_is_wrong_with_a_list_is_said_where_nothing_is_right() -> None:
    assert [index for index, _, _ in wrong_with([{"type": "custom"}, {"name": "x"}, {}])] == [0, 1, 2, 2]


def test_one_list_may_change_a_marker_twice_but_not_twice_alike() -> None:
    opened, closed = GOOD | {"key": "k", "effect": "open"}, {"key": "k", "effect": "close"}
    assert len(translation([opened, closed]).changes) == 2
    found = translation([opened, closed, closed])
    assert len(found.changes) == 2
    assert found.errors == (
        ItemError(2, "key", "has effect close in this list before; send it in another request"),
    )


def test_events_without_times_happened_in_the_order_of_their_list() -> None:
    key = {"key": "k"}
    items = [GOOD | key | {"effect": "open"}, key | {"effect": "close"}, key | {"effect": "reopen"}]
    found = translation(items).changes
    assert [change.occurred_at - RECEIVED_AT for change in found] == [
        timedelta(milliseconds=index) for index in range(3)
    ]
    assert shown(*found).ended_at is None
    assert shown(*found[:2]).ended_at is not None


# Keys and effects


def test_a_key_is_used_as_it_is_so_that_a_webhooks_marker_can_be_named() -> None:
    key = "github:acme/shop:run:77:1:production"
    change = change_of(**GOOD, key=key)
    assert change.key == change.event.metadata["marker_key"] == key


def test_without_a_key_each_event_is_a_marker_of_its_own() -> None:
    keys = [change.key for change in translation([GOOD, GOOD]).changes]
    assert keys == [f"events:{MESSAGE_ID}:0", f"events:{MESSAGE_ID}:1"]
    assert change_of(**GOOD, webhook_id="other").key == "events:other:0"


def test_the_key_and_the_delivery_cannot_be_forged_in_the_metadata() -> None:
    metadata = change_of(**GOOD, metadata={"marker_key": "x", "delivery_id": "y", "a": "z"}).event.metadata
    assert metadata == {"marker_key": f"events:{MESSAGE_ID}:0", "delivery_id": MESSAGE_ID, "a": "z"}


@pytest.mark.parametrize(
    ("item", "effect"),
    [
        (GOOD, "point"),
        (GOOD | {"key": "k"}, "point"),
        (GOOD | {"type": "incident"}, "open"),
        (GOOD | {"type": "incident", "effect": "point"}, "point"),
        (GOOD | {"endedAt": "2026-01-10T10:00:00Z"}, "close"),
        (GOOD | {"type": "incident", "endedAt": "2026-01-10T10:00:00Z"}, "close"),
        ({"key": "k", "endedAt": "2026-01-10T10:00:00Z"}, "close"),
        ({"key": "k", "effect": "update", "endedAt": "2026-01-10T10:00:00Z"}, "update"),
    ],
)
def test_the_effect_that_is_meant_where_none_is_said(item: dict[str, Any], effect: str) -> None:
    assert change_of(**item).effect == effect


@pytest.mark.parametrize("effect", ["update", "close", "reopen"])
def test_a_change_sets_only_what_it_gives(effect: str) -> None:
    change = change_of(key="k", effect=effect, description="x", buckets=["b"], metadata={"a": 1}, source=None)
    assert change.sets == ("description", "buckets")
    assert change_of(key="k", effect=effect).sets == ()


@pytest.mark.parametrize("effect", ["point", "open"])
def test_what_creates_a_marker_knows_all_of_it(effect: str) -> None:
    assert change_of(**GOOD, effect=effect, key="k").sets is None


def test_a_close_leaves_name_source_and_scope_of_what_it_closes() -> None:
    opened = change_of(
        webhook_id="1",
        key="k",
        type="deployment",
        name="Deploy checkout",
        effect="open",
        source="argo",
        buckets=["Checkout API"],
        metadata={"a": 1},
        startedAt="2026-01-10T10:00:00Z",
    )
    closed = change_of(webhook_id="2", key="k", endedAt="2026-01-10T10:05:00Z", metadata={"b": 2})
    for order in (1, -1):
        event = shown(*[opened, closed][::order])
        assert (event.type, event.name, event.source) == ("deployment", "Deploy checkout", "argo")
        assert event.buckets == ("Checkout API",)
        assert event.to_api()["startedAt"] == "2026-01-10T10:00:00.000Z"
        assert event.to_api()["endedAt"] == "2026-01-10T10:05:00.000Z"
        assert {"a": 1, "b": 2}.items() <= event.metadata.items()


def test_a_close_of_what_was_never_opened_says_so() -> None:
    event = shown(change_of(key="nightly-42", effect="close", description="Done"))
    assert event.name == "nightly-42 (its start was not heard of)"
    assert event.type == "custom"
    assert event.started_at == event.ended_at == RECEIVED_AT


def test_an_update_waits_for_its_opening() -> None:
    update = change_of(webhook_id="1", key="k", type="incident", name="Slow (P1)", effect="update")
    assert fold([update]) is None
    opened = change_of(
        webhook_id="2",
        key="k",
        type="incident",
        name="Slow",
        buckets=["b"],
        startedAt="2026-01-10T10:00:00Z",
    )
    event = shown(update, opened)
    assert (event.name, event.buckets, event.ended_at) == ("Slow (P1)", ("b",), None)


def test_an_update_may_end_what_is_open() -> None:
    opened = change_of(webhook_id="1", **GOOD, key="k", effect="open", startedAt="2026-01-10T10:00:00Z")
    update = change_of(webhook_id="2", key="k", effect="update", endedAt="2026-01-10T10:05:00Z")
    assert shown(opened, update).to_api()["endedAt"] == "2026-01-10T10:05:00.000Z"


@pytest.mark.parametrize("effect", ["open", "close"])
def test_a_clock_that_is_fast_does_not_put_changes_into_the_wrong_order(effect: str) -> None:
    ahead = "2026-01-10T12:30:00Z"
    times = {"startedAt": ahead} if effect == "open" else {"endedAt": ahead}
    change = change_of(**GOOD, key="k", effect=effect, **times)
    assert change.occurred_at == RECEIVED_AT
    assert change_of(**GOOD, occurredAt=ahead).occurred_at == RECEIVED_AT
    assert change.event.to_api()[next(iter(times))] == "2026-01-10T12:30:00.000Z"


def test_a_change_says_whether_its_time_is_when_it_was_received() -> None:
    assert change_of(**GOOD).is_undated
    assert change_of(**GOOD, startedAt="2026-01-10T12:30:00Z").is_undated
    assert not change_of(**GOOD, startedAt="2026-01-10T11:30:00Z").is_undated


# Identities


def test_the_message_id_is_the_deliverys() -> None:
    assert received(GOOD).id == MESSAGE_ID
    assert received(GOOD, webhook_id="", idempotency_key="run-77").id == "run-77"
    assert received(GOOD, webhook_id="msg_1", idempotency_key="run-77").id == "msg_1"


def test_without_an_id_the_same_body_is_the_same_delivery() -> None:
    first, again = (received(GOOD, webhook_id="").id for _ in range(2))
    other = received(GOOD | {"description": "x"}, webhook_id="").id
    assert first == again != other
    assert first.startswith("sha256-")


@pytest.mark.parametrize("given", ["x" * 201, "é", "a\nb", "\x1b[2J"])
def test_an_id_that_is_not_sane_is_none(given: str) -> None:
    assert received(GOOD, webhook_id=given).id.startswith("sha256-")


def test_every_field_of_an_event_can_be_given() -> None:
    assert set(EVENT_FIELDS.values()) == set(Event.model_fields)
    assert set(FIELDS) == {*EVENT_FIELDS, "key", "effect", "occurredAt"}


def test_the_callers_read_their_answers() -> None:
    assert NATIVE.answers_with_keys


def test_how_deploys_are_drawn_is_the_callers_word() -> None:
    body = json.dumps(GOOD | {"type": "deployment"}).encode()
    (change,) = translate(NATIVE, received(body), Options(deployments="span")).changes
    assert change.effect is Effect.POINT


@pytest.mark.parametrize("unset", ["", None, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000000Z"])
@pytest.mark.parametrize("field", ["startedAt", "occurredAt"])
def test_a_time_that_templates_write_for_none_is_not_given(field: str, unset: str | None) -> None:
    given: dict[str, Any] = GOOD | {field: unset}
    assert change_of(**given) == change_of(**GOOD)


def test_an_end_that_templates_write_for_none_leaves_an_incident_open() -> None:
    change = change_of(type="incident", name="Errors", key="alert-1", endedAt="0001-01-01T00:00:00Z")
    assert (change.effect, change.event.ended_at) == (Effect.OPEN, None)


@pytest.mark.parametrize("field", ["startedAt", "occurredAt", "endedAt"])
@pytest.mark.parametrize(
    ("moment", "complaint"),
    [
        ("1999-12-31T23:59:59Z", "is before the year 2000; leave it out if it is not known"),
        ("1970-01-01T00:00:00Z", "is before the year 2000; leave it out if it is not known"),
        ("2026-01-11T12:00:01Z", "is more than a day ahead; are the clock and the time zone of the sender"),
        ("9999-12-31T23:59:59Z", "is more than a day ahead; are the clock and the time zone of the sender"),
    ],
)
def test_a_time_that_no_chart_shows_is_refused(field: str, moment: str, complaint: str) -> None:
    with pytest.raises(Invalid) as refused:
        change_of(**GOOD, **{field: moment})
    assert any(error.field == field and error.detail.startswith(complaint) for error in refused.value.errors)


# What templates write


@pytest.mark.parametrize(
    "written",
    [
        "1767952800",
        1767952800,
        "1767952800000",
        1767952800000000,
        "1767952800000000000",
        "2026-01-09t10:00:00z",
        "2026-01-09T11:00:00.000000000+01:00",
        "2026-01-09 11:00:00 +0100 CET",
        "2026-01-09 10:00:00 +0000 UTC",
        "Fri Jan 09 2026 10:00:00 GMT+0000 (Coordinated Universal Time)",
        "Fri, 09 Jan 2026 10:00:00 +0000",
    ],
)
def test_a_time_is_read_in_every_form_that_templates_write(written: str | int) -> None:
    assert change_of(**GOOD, startedAt=written).occurred_at == datetime(2026, 1, 9, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "unset", ["", None, "0001-01-01T00:00:00Z", "0001-01-01 00:00:00 +0000 UTC", -62135596800]
)
def test_what_stands_for_no_time_counts_as_not_given(unset: object) -> None:
    change = change_of(**GOOD, endedAt=unset, startedAt=unset)
    assert (change.effect, change.occurred_at) == (Effect.POINT, RECEIVED_AT)


@pytest.mark.parametrize("written", ["946684799", "1999-12-31t23:59:59z", "4102444800000"])
def test_an_impossible_time_is_named_however_it_is_written(written: str) -> None:
    ((_, field, detail),) = wrong_with(GOOD | {"startedAt": written})
    assert field == "startedAt"
    assert detail.startswith(("is before the year 2000", "is more than a day ahead"))


@pytest.mark.parametrize(
    "field", ["description", "source", "buckets", "environments", "metadata", "effect", "status"]
)
def test_an_empty_text_counts_as_not_given(field: str) -> None:
    assert change_of(**GOOD, **{field: ""}) == change_of(**GOOD)


def test_an_empty_text_in_a_list_is_nothing() -> None:
    assert change_of(**GOOD, buckets=["", "Checkout API", ""]).event.buckets == ("Checkout API",)
    assert change_of(**GOOD, buckets=[""]).event.buckets == ("*",)
    (change,) = translation([GOOD, ""]).changes
    assert change == translation([GOOD]).changes[0]
    assert wrong_with(["", ""]) == [(0, "body", "is a list without an event in it")]


INCIDENT = {"key": "disk", "type": "incident", "name": "Disk full"}


@pytest.mark.parametrize(
    ("status", "effect", "word"),
    [
        ("firing", Effect.OPEN, "firing"),
        ("resolved", Effect.CLOSE, "resolved"),
        ("Triggered", Effect.OPEN, "triggered"),
        ("Re-Triggered", Effect.OPEN, "re_triggered"),
        ("Recovered", Effect.CLOSE, "recovered"),
        ("No Data", Effect.OPEN, "no_data"),
        ("alerting", Effect.OPEN, "alerting"),
        ("OK", Effect.CLOSE, "ok"),
        ("CLOSED", Effect.CLOSE, "closed"),
    ],
)
def test_a_status_opens_or_closes_and_is_in_the_metadata(status: str, effect: Effect, word: str) -> None:
    change = change_of(**INCIDENT, status=status)
    assert (change.effect, change.event.metadata["status"]) == (effect, word)


def test_an_effect_goes_before_the_status() -> None:
    assert change_of(**INCIDENT, status="firing", effect="close").effect is Effect.CLOSE
    assert change_of(**INCIDENT, status="quite bad", effect="open").effect is Effect.OPEN


def test_an_incident_with_an_unknown_status_is_refused_as_it_might_be_its_end() -> None:
    ((_, field, detail),) = wrong_with(INCIDENT | {"status": "quite bad"})
    assert field == "status"
    assert detail.startswith("is not known: firing, triggered, alerting, open… open, resolved, ")


def test_a_deploy_may_have_any_status() -> None:
    change = change_of(type="deployment", name="Deploy", status="Succeeded")
    assert (change.effect, change.event.metadata["status"]) == (Effect.POINT, "succeeded")
