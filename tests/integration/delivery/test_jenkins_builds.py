"""Deployments that the Jenkins library reports, and webhooks of their build, through Redis to the API."""

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import permutations
from typing import Any, Final

import pytest
from redis import Redis

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import Unreachable
from apitraffic_events.event import Event, EventType
from apitraffic_events.records import EventUpdate
from receiver.datastore.address import connect
from receiver.delivery.budget import RequestBudget
from receiver.delivery.deliverer import Delivered, Deliverer
from receiver.delivery.marker_store import MarkerStore
from receiver.events import Change, marker_key
from receiver.sources.jenkins import JENKINS
from receiver.sources.jenkins.options import Options
from receiver.sources.native import NATIVE
from receiver.sources.source import translate
from tests.support.changes import TEN, at
from tests.support.jenkins import RECEIVED_AT
from tests.support.local_api import LocalApi, running_local_api
from tests.support.redis import running_redis
from tests.support.source_fixtures import body_of

MODES: Final = ("point", "span")
BUILD: Final = "jenkins:https://jenkins.example.test/job/shop/job/deploy-checkout/42"
FIRST: Final = f"{BUILD}:production"
SECOND: Final = f"{BUILD}#2:production"
RESULTS: Final = {"success": "SUCCESS", "failure": "FAILURE"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApi]:
    with running_local_api(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with running_redis(tmp_path_factory.mktemp("redis")) as url:
        yield connect(url)


@pytest.fixture
def client(api: LocalApi, redis: Redis) -> Iterator[EventsClient]:
    with EventsClient(api_url=api.url, account_sid=api.account_sid, token=api.token) as client:
        redis.flushdb()
        api.remove_events()
        yield client


@pytest.fixture
def deliverer(client: EventsClient, redis: Redis) -> Deliverer:
    return Deliverer(client, MarkerStore(redis, "worker"), RequestBudget(redis), settle=timedelta(seconds=30))


def build(phase: str, minute: float, mode: str, result: str | None = None, **payload: Any) -> Change | None:
    """What the Notification plugin sends of a build that began at ten; `None` if it makes no marker."""
    body = json.loads(body_of("jenkins", "completed__success"))
    body["build"] |= {"phase": phase, "timestamp": int(at(minute).timestamp() * 1000), "status": result}
    body["build"] |= {"duration": int(minute * 60_000)} | payload
    delivery = JENKINS.receive({}, json.dumps(body).encode(), RECEIVED_AT)
    if phase == "STARTED" and mode == "point":
        return None
    (change,) = translate(JENKINS, delivery, Options.model_validate({"deployments": mode})).changes
    return change


def library(key: str, effect: str, minute: float, status: str, **event: Any) -> Change:
    """What the library sends by way of the receiver."""
    failed = "Failed deploy" if status == "failure" else "Deploy"
    body = {
        "key": key,
        "effect": effect,
        "type": "deployment",
        "name": f"{failed} by the library",
        "source": "jenkins",
        "startedAt": at(minute if effect == "open" else minute - 2).isoformat(),
        "metadata": {"environment": "production", "status": status, "call": key},
    } | event
    if effect == "close":
        body["endedAt"] = at(minute).isoformat()
    headers = {"webhook-id": f"{key} {effect} {minute}"}
    delivery = NATIVE.receive(headers, json.dumps(body).encode(), RECEIVED_AT)
    (change,) = translate(NATIVE, delivery, NATIVE.options()).changes
    return change


def existing(*changes: Change | None) -> list[Change]:
    return [change for change in changes if change is not None]


def outcomes(client: EventsClient) -> dict[str, str]:
    """What is shown of each deployment of the library, by its key."""
    found: dict[str, str] = {}
    for event in client.iter_events():
        key = str(event.metadata.get("call", "the build"))
        assert key not in found
        assert event.name.startswith("Failed") == (event.metadata["status"] == "failure")
        found[key] = str(event.metadata["status"])
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("own", RESULTS)
@pytest.mark.parametrize("whole", RESULTS)
@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_what_a_deployment_came_to_is_covered_by_no_result_of_its_build(
    deliverer: Deliverer, client: EventsClient, order: tuple[int, ...], whole: str, own: str, mode: str
) -> None:
    reports = [
        build("STARTED", 0, mode),
        library(FIRST, "open", 1, "in_progress"),
        library(FIRST, "close", 3, own),
        build("COMPLETED", 9, mode, RESULTS[whole]),
    ]
    reports = [reports[index] for index in order]
    for report in existing(*reports):
        deliverer.deliver(report)
    (event,) = client.iter_events()
    assert outcomes(client) == {FIRST: own}
    assert (event.started_at, event.ended_at) == (at(1), at(3))
    assert event.metadata["release"] == "2.3.1"
    for report in existing(*reports):
        assert deliverer.deliver(report) is Delivered.UNCHANGED


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_rollback_after_a_failed_deploy_is_an_event_of_its_own(
    deliverer: Deliverer, client: EventsClient, order: tuple[int, ...], mode: str
) -> None:
    reports = [
        library(FIRST, "close", 3, "failure"),
        library(SECOND, "close", 6, "success"),
        build("FINALIZED", 9, mode, "SUCCESS"),
    ]
    for report in existing(*(reports[index] for index in order)):
        deliverer.deliver(report)
    assert outcomes(client) == {FIRST: "failure", SECOND: "success"}


@pytest.mark.parametrize("mode", MODES)
def test_a_build_that_nobody_else_reports_stands_alone_with_its_last_result(
    deliverer: Deliverer, client: EventsClient, mode: str
) -> None:
    for report in existing(
        build("STARTED", 0, mode),
        build("COMPLETED", 5, mode, "SUCCESS"),
        build("FINALIZED", 5, mode, "FAILURE"),
    ):
        deliverer.deliver(report)
    assert outcomes(client) == {"the build": "failure"}


@pytest.mark.parametrize("mode", MODES)
def test_a_deployment_whose_end_was_lost_ends_with_its_build(
    deliverer: Deliverer, client: EventsClient, mode: str
) -> None:
    deliverer.deliver(library(FIRST, "open", 1, "in_progress"))
    for report in existing(build("STARTED", 0, mode), build("COMPLETED", 9, mode, "ABORTED")):
        deliverer.deliver(report)
    (event,) = client.iter_events()
    assert (event.started_at, event.ended_at) == (at(1), at(9))
    assert event.name.startswith("Cancelled deploy ")
    deliverer.deliver(library(FIRST, "close", 3, "success"))
    assert outcomes(client) == {FIRST: "success"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("environment", ["production", None])
def test_what_the_library_told_the_api_itself_is_enriched_and_not_doubled(
    deliverer: Deliverer, client: EventsClient, environment: str | None, mode: str
) -> None:
    """Also in a build of many hours."""
    key = FIRST if environment else BUILD
    client.create_event(told(key, "failure", 3))
    parameters = {"parameters": {"ENVIRONMENT": environment} if environment else {}}
    for report in existing(
        build("COMPLETED", 600, mode, "SUCCESS", **parameters),
        build("FINALIZED", 601, mode, "SUCCESS", **parameters),
    ):
        deliverer.deliver(report)
    (event,) = client.iter_events()
    assert outcomes(client) == {key: "failure"}
    assert (event.started_at, event.ended_at) == (at(1), at(3))
    assert event.metadata["job"] == "shop/deploy-checkout"


@pytest.mark.parametrize("is_closed", [True, False])
def test_what_the_library_wrote_into_the_event_of_a_webhook_is_not_overwritten(
    deliverer: Deliverer, client: EventsClient, is_closed: bool
) -> None:
    """Nobody tells the receiver that the library has updated it."""
    for report in existing(build("STARTED", 0, "span")):
        deliverer.deliver(report)
    (opened,) = client.iter_events()
    by_library = told(FIRST, "failure" if is_closed else "in_progress", 3)
    written = {name: getattr(by_library, name) for name in ("name", "metadata", "started_at")}
    if is_closed:
        written["ended_at"] = by_library.ended_at
    client.update_event(opened.sid, EventUpdate(**written))
    for report in existing(
        build("COMPLETED", 9, "span", "SUCCESS"), build("FINALIZED", 9, "span", "SUCCESS")
    ):
        deliverer.deliver(report)
    (event,) = client.iter_events()
    assert outcomes(client) == {FIRST: "failure" if is_closed else "success"}
    assert event.ended_at == at(3 if is_closed else 9)
    assert event.metadata["job"] == "shop/deploy-checkout"


@pytest.mark.parametrize("mode", MODES)
def test_the_last_result_of_a_build_counts_also_if_the_answer_to_the_one_before_was_lost(
    client: EventsClient, redis: Redis, api: LocalApi, mode: str
) -> None:
    """What is found in the API then is our own, and no report of the deployment itself."""
    deliverer = Deliverer(client, MarkerStore(redis, "worker"), RequestBudget(redis), settle=timedelta())
    for report in existing(build("STARTED", 0, mode)):
        deliverer.deliver(report)
    (completed,) = existing(build("COMPLETED", 5, mode, "SUCCESS"))
    api.set_faults(["PATCH:dropx1" if mode == "span" else "POST:dropx1"])
    with pytest.raises(Unreachable):
        deliverer.deliver(completed)
    deliverer.deliver(completed)
    for report in existing(build("FINALIZED", 6, mode, "FAILURE")):
        deliverer.deliver(report)
    assert outcomes(client) == {"the build": "failure"}


def test_a_deleted_event_is_left_deleted(deliverer: Deliverer, client: EventsClient) -> None:
    for report in existing(build("STARTED", 0, "span")):
        deliverer.deliver(report)
    (opened,) = client.iter_events()
    client.delete_event(opened.sid)
    (end,) = existing(build("COMPLETED", 9, "span", "SUCCESS"))
    assert deliverer.deliver(end) is Delivered.DELETED


@pytest.mark.parametrize("length", [300, 900])
def test_a_long_key_that_the_library_stored_whole_is_found(
    deliverer: Deliverer, client: EventsClient, length: int
) -> None:
    environments = [("e" * length) + last for last in "ab"]
    client.create_event(told(f"{BUILD}:{environments[0]}", "failure", 3))
    first, second = (
        build(
            "COMPLETED",
            9,
            "point",
            "SUCCESS",
            parameters={"ENVIRONMENT": environment},
            full_url=f"https://jenkins.example.test/job/shop/job/deploy-checkout/{number}/",
        )
        for environment, number in zip(environments, (42, 43), strict=True)
    )
    assert first is not None
    assert second is not None
    assert first.aliases == (marker_key(f"{BUILD}:{environments[0]}"),)
    assert deliverer.deliver(second) is Delivered.CREATED
    assert deliverer.deliver(first) is Delivered.FOUND
    assert len(list(client.iter_events())) == 2


def told(key: str, status: str, minute: float) -> Event:
    """An event that the library has sent to the API itself."""
    return Event(
        type=EventType.DEPLOYMENT,
        name="Failed deploy by the library" if status == "failure" else "Deploy by the library",
        source="jenkins",
        started_at=at(minute - 2),
        ended_at=None if status == "in_progress" else at(minute),
        metadata={"marker_key": key, "call": key, "status": status, "environment": "production"},
    )


def test_the_clock_of_these_tests_is_before_the_deliveries() -> None:
    """A native event is never later than its delivery."""
    assert TEN + timedelta(minutes=9) < RECEIVED_AT
