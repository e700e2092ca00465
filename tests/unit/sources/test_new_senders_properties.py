"""Whatever an authentic delivery of these senders holds, it becomes sound changes or a reason."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final, NamedTuple, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.delivery.episodes import with_report
from receiver.delivery.folding import fold
from receiver.events import Change
from receiver.sources import SOURCES
from receiver.sources.not_translated import Invalid
from receiver.sources.request import PATH_ITEM
from receiver.sources.source import translate
from tests.support.alerts import RECEIVED_AT
from tests.support.mutations import mutate, paths, times
from tests.support.properties import any_text, json_values, reproducible
from tests.support.soundness import (
    Outcome,
    assert_sound,
    assert_sound_or_explained,
    assert_survives_the_queue,
    outcome_of,
)
from tests.support.source_fixtures import body_of


class Sent(NamedTuple):
    """A real delivery: the source, its fixture, the headers, the part to mutate, and options."""

    source: str
    case: str
    headers: dict[str, str]
    part: Callable[[Any], Any] = lambda payload: payload
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed


def first_alert(payload: Any) -> Any:
    return payload["alerts"][0]


JSON: Final = {"content-type": "application/json"}
FORGE: Final = {"workflows": ["*"], "incident_labels": ["*"]}
SENT: Final = (
    Sent("alertmanager", "firing__all_fields", JSON, first_alert),
    Sent("alertmanager", "resolved__all_fields", JSON),
    Sent("alertmanager", "resolved__all_fields", JSON, options={"markers": "group"}),
    Sent("grafana", "firing__one_of_two_resolved", JSON, first_alert),
    Sent("gitea", "release__published", {"x-gitea-event": "release"}, options=FORGE),
    Sent("gitea", "issues__closed", {"x-gitea-event": "issues"}, options=FORGE),
    Sent("gitea", "workflow_run__deployed", {"x-gitea-event": "workflow_run"}, options=FORGE),
    Sent("forgejo", "issues__label_removed", {"x-forgejo-event": "issues"}, options=FORGE),
    Sent("forgejo", "action_run_failure__failed", {"x-forgejo-event": "action_run_failure"}, options=FORGE),
    Sent("annotations", "created__complete", JSON),
    Sent("annotations", "changed__text", JSON | {PATH_ITEM: "4242"}),
    Sent("events", "cloudevent__other", {"content-type": "application/cloudevents+json"}),
    Sent("events", "dev.cdevents.incident.detected__checkout", JSON),
    Sent("events", "dev.cdevents.service.deployed__version_0_4", JSON),
    Sent("events", "event__incident_closed", JSON),
)
LINKS: Final = ("url", "runbook_url", "dashboard_url", "panel_url", "run_url", "repository_url")


def outcome(sent: Sent, body: bytes) -> tuple[Outcome, str]:
    """What it becomes and the delivery's id; what its sender is told to correct counts as a reason."""
    source = SOURCES[sent.source]
    delivery = source.receive(sent.headers, body, RECEIVED_AT)
    options = source.options.model_validate({"deployments": "point"} | sent.options)
    try:
        return outcome_of(lambda: translate(source, delivery, options).changes), delivery.id
    except Invalid as invalid:
        return (), invalid.reason


def assert_all_sound(sent: Sent, body: bytes) -> None:
    found, delivery_id = outcome(sent, body)
    if found == ():
        return
    assert_sound_or_explained(found, lambda change: assert_sound(change, delivery_id, *LINKS))
    assert_survives_the_queue(found)
    for change in found if isinstance(found, tuple) else ():
        assert change.heard_at is None or shown(change)


def shown(report: Change) -> bool:
    (episode,) = with_report(report.key, (), report).changed
    return fold(episode.changes(RECEIVED_AT)) is not None


@pytest.mark.parametrize("sent", SENT, ids=lambda sent: f"{sent.source} {sent.case}")
def test_a_mutated_delivery_becomes_sound_changes_or_a_reason(sent: Sent) -> None:
    payload = json.loads(body_of(sent.source, sent.case))
    ways = st.sampled_from(sorted(paths(sent.part(payload))))
    lists = st.lists(st.one_of(any_text, json_values), max_size=5)

    @settings(reproducible, max_examples=15)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        mutated = deepcopy(payload)
        part = sent.part(mutated)
        draw = cast("st.DrawFn", data.draw)
        changed = mutate(draw, part, ways, times, lists)
        if part is mutated:
            mutated = changed
        else:
            mutated["alerts"][0] = changed
        assert_all_sound(sent, json.dumps(mutated).encode())

    check()


@pytest.mark.parametrize("sent", SENT, ids=lambda sent: f"{sent.source} {sent.case}")
@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"null", b"[]", b"7", b'"x"', b"[" * 100_000, b"{" * 9])
def test_a_body_that_is_none_of_theirs_becomes_a_reason(sent: Sent, body: bytes) -> None:
    assert_all_sound(sent, body)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [each for key, item in items for each in leaves(item, (*path, key))]


@pytest.mark.parametrize("sent", SENT, ids=lambda sent: f"{sent.source} {sent.case}")
def test_a_huge_or_deep_value_anywhere_is_bounded(sent: Sent) -> None:
    payload = json.loads(body_of(sent.source, sent.case))
    deep: Any = "x"
    for _ in range(60):
        deep = [{"a": deep}]
    for path in leaves(sent.part(payload)):
        for value in ("\u202ex" * 10_000, deep, 10**400, -1, float("1e308")):
            mutated = deepcopy(payload)
            place = sent.part(mutated)
            for part in path[:-1]:
                place = place[part]
            place[path[-1]] = value
            assert_all_sound(sent, json.dumps(mutated).encode())
