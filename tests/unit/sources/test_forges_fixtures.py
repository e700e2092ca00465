"""Gitea's and Forgejo's deliveries, each with everything it must become written beside it."""

import json
from datetime import timedelta
from typing import Any

import pytest

from receiver.delivery.folding import fold
from receiver.events import Change, Delivery
from receiver.sources.forgejo import FORGEJO
from receiver.sources.gitea import GITEA
from receiver.sources.not_translated import Ignored, Untranslatable
from receiver.sources.source import Source, translate
from tests.support.native import RECEIVED_AT
from tests.support.source_fixtures import MODES, body_of, cases, expected, outcome

SOURCES: dict[str, Source[Any]] = {"gitea": GITEA, "forgejo": FORGEJO}
WORKFLOWS = {"workflows": ["deploy*"]}
CASES = [(source, case) for source in SOURCES for case in cases(source)]


def received(source: str, body: bytes, event: str, delivery_id: str = "f6266f16") -> Delivery:
    """Both say GitHub's event, too, and Forgejo Gitea's."""
    names = {"gitea", "github", source}
    headers = {f"x-{name}-event": event for name in names} | {
        f"x-{name}-delivery": delivery_id for name in names
    }
    return SOURCES[source].receive(headers, body, RECEIVED_AT)


def outcome_of(source: str, case: str, mode: str) -> Any:
    with_workflows = SOURCES[source].options.model_validate(WORKFLOWS | {"deployments": mode})
    delivery = received(source, body_of(source, case), case.partition("__")[0])
    try:
        changes = translate(SOURCES[source], delivery, with_workflows).changes
    except Ignored as ignored:
        return {"ignored": ignored.reason}
    return [
        {
            "key": change.key,
            "effect": change.effect.value,
            "occurred_at": change.model_dump(mode="json")["occurred_at"],
            "event": change.event.to_api(),
        }
        for change in changes
    ]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("source", "case"), CASES)
def test_a_delivery_becomes_exactly_what_is_written_beside_it(source: str, case: str, mode: str) -> None:
    assert outcome_of(source, case, mode) == expected(source, case, mode)


@pytest.mark.parametrize("source", SOURCES)
def test_the_table_says_what_the_fixtures_become(source: str) -> None:
    became = {
        (case.partition("__")[0], change["event"]["type"], change["effect"])
        for of_source, case in CASES
        if of_source == source and isinstance(found := expected(of_source, case, "point"), list)
        for change in found
    }
    rows = {(each.event, each.type, each.effect) for each in SOURCES[source].features if each.type}
    assert became == rows


@pytest.mark.parametrize("source", SOURCES)
def test_without_workflows_no_run_is_a_deploy(source: str) -> None:
    case = {"gitea": "workflow_run__deployed", "forgejo": "action_run_success__deployed"}[source]
    delivery = received(source, body_of(source, case), case.partition("__")[0])
    assert "workflows in apitraffic.toml" in outcome(SOURCES[source], delivery, "point")["ignored"]


def changes_of(source: str, *names: str) -> list[Change]:
    options = SOURCES[source].options()
    deliveries = (received(source, body_of(source, f"issues__{name}"), "issues", name) for name in names)
    return [
        change for delivery in deliveries for change in translate(SOURCES[source], delivery, options).changes
    ]


@pytest.mark.parametrize("source", SOURCES)
def test_an_incident_is_opened_closed_and_reopened(source: str) -> None:
    changes = changes_of(source, "opened", "edited", "closed", "reopened")
    assert len({change.key for change in changes}) == 1
    for number, is_open in ((2, True), (3, False), (4, True)):
        event = fold(changes[:number][::-1])
        assert event is not None
        assert event.name == "#23 Checkout and cart down" or not is_open or number == 4
        assert (event.ended_at is None) is is_open
    closed = fold(changes[:3])
    assert closed is not None
    assert closed.started_at is not None
    assert closed.ended_at == closed.started_at + timedelta(minutes=42)


@pytest.mark.parametrize("source", SOURCES)
def test_taking_the_label_away_ends_the_incident_and_giving_it_back_opens_it(source: str) -> None:
    assert fold(changes_of(source, "label_removed")) is None
    ended = fold(changes_of(source, "opened", "label_removed"))
    assert ended is not None
    assert ended.ended_at is not None
    again = fold(changes_of(source, "opened", "label_removed", "labelled_again"))
    assert again is not None
    assert again.ended_at is None


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "value",
    ["x" * 100_000, [[[["x"]]]], {"a": {"b": 1}}, 10**400, None, -1],
    ids=["long", "list", "object", "huge", "null", "negative"],
)
@pytest.mark.parametrize("event", ["release", "issues", "workflow_run", "action_run_failure", "push", ""])
def test_a_hostile_body_is_bounded(source: str, event: str, value: Any) -> None:
    leaves = dict.fromkeys(
        ("id", "name", "tag_name", "title", "labels", "created_at", "html_url", "state"), value
    )
    branches = ("release", "issue", "run", "workflow_run", "workflow", "repository", "sender")
    for action in ("published", "opened", "completed", value):
        body = json.dumps({"action": action, **dict.fromkeys(branches, leaves)}).encode()
        options = SOURCES[source].options.model_validate({"workflows": ["*"], "incident_labels": ["*"]})
        try:
            changes = translate(SOURCES[source], received(source, body, event), options).changes
        except (Ignored, Untranslatable):
            continue
        assert len(json.dumps([change.model_dump(mode="json") for change in changes])) < 30_000
