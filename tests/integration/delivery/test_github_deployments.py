"""Deployments of one run, through Redis to the API: one event for each, whatever a plugin reports."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from apitraffic_events.client import EventsClient
from apitraffic_events.event import Event, EventType
from receiver.datastore.address import connect
from receiver.delivery.budget import RequestBudget
from receiver.delivery.deliverer import Delivered, Deliverer
from receiver.delivery.marker_store import MarkerStore
from receiver.events import Change, DeliveryReference
from receiver.sources.github import GITHUB
from receiver.sources.github.payload import Options
from receiver.sources.source import translate
from tests.support.changes import TEN, at, change
from tests.support.deployments import Deployment, delivered, last_outcomes, runs
from tests.support.github import received
from tests.support.local_api import LocalApi, running_local_api
from tests.support.properties import reproducible
from tests.support.redis import running_redis
from tests.support.source_fixtures import body_of

MINUTE: Final = (datetime(2026, 11, 28, 11, 5, tzinfo=UTC) - TEN) / timedelta(minutes=1)
"""Between the ends of the two deployments `eu` and `us`, as `at` counts."""
MODES: Final = ("point", "span")
RUN: Final = "github:run:901:1:production"
"""What a plugin calls its event where it does not know its job's id."""
LEGS: Final = tuple(f"{RUN}:job:{number:016x}" for number in (1, 2))
"""What plugins in two jobs of that run do."""
OLD_RUN: Final = "github:acme/shop:run:901:1:production"
"""As plugins of version 0.1 do."""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApi]:
    with running_local_api(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with running_redis(tmp_path_factory.mktemp("redis")) as url:
        yield connect(url)


@pytest.fixture(scope="module")
def client(api: LocalApi) -> Iterator[EventsClient]:
    with EventsClient(api_url=api.url, account_sid=api.account_sid, token=api.token) as client:
        yield client


@pytest.fixture(scope="module")
def deliverer(client: EventsClient, redis: Redis) -> Deliverer:
    return Deliverer(client, MarkerStore(redis, "worker"), RequestBudget(redis), settle=timedelta(seconds=30))


@pytest.fixture(autouse=True)
def clear(api: LocalApi, redis: Redis) -> None:
    empty(api, redis)


def empty(api: LocalApi, redis: Redis) -> None:
    redis.flushdb()
    api.remove_events()


def payload_of(case: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(body_of("github", case))
    return payload


def read(payload: dict[str, Any], mode: str, number: int = 0, event: str = "deployment_status") -> Change:
    delivery = received(json.dumps(payload).encode(), event)
    delivery = replace(delivery, id=f"delivery {number}")
    (found,) = translate(GITHUB, delivery, Options.model_validate({"deployments": mode})).changes
    return found


def matrix(mode: str) -> list[Change]:
    cases = ("matrix_eu", "matrix_us_failed")
    return [read(payload_of(f"deployment_status__{case}"), mode, number) for number, case in enumerate(cases)]


def plugin(key: str, job: str, status: str, minute: float = MINUTE) -> Change:
    """The end that a job's plugin reports by way of the receiver."""
    report = change(
        "close",
        minute,
        source="events",
        key=key,
        delivery=f"plugin {job}",
        name=f"{'Failed deploy' if status == 'failure' else 'Deploy'} by {job}",
        started_at=at(minute - 4),
        ended_at=at(minute),
        metadata={"marker_key": key, "plugin_of": job, "status": status},
    )
    run, job, _ = key.rpartition(":job:")
    return report.model_copy(update={"claims": (run,) if job and run.startswith("github:run:") else ()})


def outcomes(client: EventsClient) -> dict[str, str]:
    """Deployment's id -> outcome; fails where an id has two events."""
    events = [event for event in client.iter_events() if "deployment_id" in event.metadata]
    found = {str(event.metadata["deployment_id"]): str(event.metadata["status"]) for event in events}
    assert len(found) == len(events)
    for event in events:
        assert event.name.startswith("Failed") == (event.metadata["status"] in {"failure", "error"})
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("cases", "expected"),
    [
        (
            ("plan_and_apply_1_plan", "plan_and_apply_2_apply"),
            {"5001": "success", "5002": "success"},
        ),
        (("matrix_eu", "matrix_us_failed"), {"5101": "success", "5102": "failure"}),
        (("failed_before_rollback", "rollback_after_failure"), {"5201": "failure", "5202": "success"}),
    ],
)
def test_each_deployment_of_a_run_is_an_event(
    deliverer: Deliverer,
    client: EventsClient,
    cases: tuple[str, str],
    expected: dict[str, str],
    order: int,
    mode: str,
) -> None:
    changes = [
        read(payload_of(f"deployment_status__{case}"), mode, number) for number, case in enumerate(cases)
    ]
    for one in changes[::order]:
        assert deliverer.deliver(one) is Delivered.CREATED
    assert outcomes(client) == expected
    for one in changes:
        assert deliverer.deliver(one) is Delivered.UNCHANGED


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_a_plugin_that_knows_its_job_joins_that_jobs_deployment(
    deliverer: Deliverer, client: EventsClient, order: tuple[int, ...], mode: str
) -> None:
    reports = [
        *matrix(mode),
        plugin("github:job:5101:production", "eu", "success"),
        plugin("github:job:5102:production", "us", "failure"),
    ]
    for index in order:
        deliverer.deliver(reports[index])
    events = list(client.iter_events())
    assert {(event.metadata["deployment_id"], event.metadata["plugin_of"]) for event in events} == {
        ("5101", "eu"),
        ("5102", "us"),
    }
    assert outcomes(client).items() >= {"5101": "success", "5102": "failure"}.items()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("key", [RUN, OLD_RUN])
@pytest.mark.parametrize("status", ["success", "failure"])
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_plugin_that_knows_only_its_run_joins_one_deployment_and_covers_no_outcome(
    deliverer: Deliverer, client: EventsClient, order: tuple[int, ...], key: str, status: str, mode: str
) -> None:
    reports = [*matrix(mode), plugin(key, "a job", status)]
    for index in order:
        deliverer.deliver(reports[index])
    events = list(client.iter_events())
    assert len(events) == 2
    assert sum("plugin_of" in event.metadata for event in events) == 1
    found = {event.metadata["deployment_id"]: event.metadata["status"] for event in events}
    assert found == {"5101": "success", "5102": "failure"}
    for report in reports:
        assert deliverer.deliver(report) is Delivered.UNCHANGED


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_of_two_plugins_that_know_only_their_run_one_joins_a_deployment_and_the_other_none(
    deliverer: Deliverer, client: EventsClient, order: tuple[int, ...], mode: str
) -> None:
    reports = [*matrix(mode), plugin(LEGS[0], "eu", "success"), plugin(LEGS[1], "us", "failure")]
    for index in order:
        deliverer.deliver(reports[index])
    events = list(client.iter_events())
    found = {event.metadata.get("deployment_id"): event.metadata["status"] for event in events}
    assert len(events) == 3
    assert found.items() >= {"5101": "success", "5102": "failure"}.items()
    assert sorted(str(event.metadata.get("plugin_of")) for event in events) == ["None", "eu", "us"]
    for report in reports:
        assert deliverer.deliver(report) is Delivered.UNCHANGED


def test_two_plugins_that_know_only_their_run_are_two_events(
    deliverer: Deliverer, client: EventsClient
) -> None:
    for leg, status in zip(LEGS, ("failure", "success"), strict=True):
        assert deliverer.deliver(plugin(leg, leg, status)) is Delivered.CREATED
    assert sorted(str(event.metadata["status"]) for event in client.iter_events()) == ["failure", "success"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("key", [RUN, LEGS[0], "github:job:5101:production"])
def test_what_a_plugin_told_the_api_itself_is_found_by_one_deployment(
    deliverer: Deliverer, client: EventsClient, key: str, mode: str
) -> None:
    told = client.create_event(
        Event(
            type=EventType.DEPLOYMENT,
            name="Deploy by a plugin",
            started_at=at(MINUTE - 4),
            metadata={"marker_key": key, "plugin_of": "eu", "status": "in_progress"},
        )
    )
    first, second = matrix(mode)
    assert deliverer.deliver(first) is Delivered.FOUND
    assert deliverer.deliver(second) is Delivered.CREATED
    events = {event.metadata["deployment_id"]: event for event in client.iter_events()}
    assert set(events) == {"5101", "5102"}
    assert events["5101"].sid == told.sid
    assert events["5101"].metadata["plugin_of"] == "eu"


@pytest.mark.parametrize("mode", MODES)
def test_the_failure_of_a_deployment_goes_over_the_success_that_a_plugin_told_the_api(
    deliverer: Deliverer, client: EventsClient, mode: str
) -> None:
    client.create_event(
        Event(
            type=EventType.DEPLOYMENT,
            name="Deploy by a plugin",
            started_at=at(MINUTE - 4),
            ended_at=at(MINUTE),
            metadata={"marker_key": RUN, "status": "success"},
        )
    )
    deliverer.deliver(matrix(mode)[1])
    (event,) = client.iter_events()
    assert event.name == "Failed deploy acme/shop main@0123456 to production"
    assert event.metadata["status"] == "failure"


def test_an_action_that_makes_a_deployment_of_its_own_does_not_share_its_jobs_event(
    deliverer: Deliverer, client: EventsClient
) -> None:
    """Both have the check run of the one job."""
    own = payload_of("deployment_status__matrix_eu")
    own["deployment"]["id"] = 5199
    own["deployment_status"]["state"] = "failure"
    for one in (matrix("point")[0], read(own, "point", 9)):
        deliverer.deliver(one)
    assert outcomes(client) == {"5101": "success", "5199": "failure"}


@pytest.mark.parametrize("mode", MODES)
def test_hosts_with_the_same_names_and_ids_do_not_collide(
    deliverer: Deliverer, client: EventsClient, mode: str
) -> None:
    for number, host in enumerate(("github.com", "ghes.example.test", "ghes2.example.test")):
        payload = payload_of("deployment_status__matrix_eu")
        payload["repository"]["html_url"] = f"https://{host}/acme/shop"
        assert deliverer.deliver(read(payload, mode, number)) is Delivered.CREATED
    assert len({event.metadata["marker_key"] for event in client.iter_events()}) == 3


def test_a_repository_that_is_renamed_meanwhile_leaves_nothing_open(
    deliverer: Deliverer, client: EventsClient
) -> None:
    started = payload_of("deployment_status__production_in_progress")
    deliverer.deliver(read(started, "span", 1))
    deliverer.deliver(read(payload_of("deployment_status__repository_renamed"), "span", 2))
    opened, closed = payload_of("issues__opened_with_label"), payload_of("issues__closed_completed")
    closed["repository"]["full_name"] = "acme/store"
    deliverer.deliver(read(opened, "span", 3, "issues"))
    deliverer.deliver(read(closed, "span", 4, "issues"))
    deployment, incident = sorted(client.iter_events(), key=lambda event: event.type)
    assert deployment.ended_at is not None
    assert incident.ended_at is not None


class TestUpgrade:
    """What version 0.1 left open."""

    def old(self, new: Change, key: str, *aliases: str) -> Change:
        """The same as that version had it."""
        event = new.event.model_copy(update={"metadata": new.event.metadata | {"marker_key": key}})
        return Change(
            key=key,
            aliases=aliases,
            effect=new.effect,
            occurred_at=new.occurred_at,
            event=event,
            delivery=DeliveryReference(source="github", id=new.delivery.id, event="deployment_status"),
        )

    def test_a_deployment_is_closed_once(self, deliverer: Deliverer, client: EventsClient) -> None:
        started = read(payload_of("deployment_status__production_in_progress"), "span", 1)
        (run,) = [claim for claim in started.claims if claim.startswith("github:acme/shop:run:")]
        deliverer.deliver(self.old(started, "github:acme/shop:deployment:4242", run))
        ended = read(payload_of("deployment_status__production_success"), "span", 2)
        for _ in range(2):
            deliverer.deliver(ended)
        (event,) = client.iter_events()
        assert event.ended_at == ended.occurred_at

    def test_a_deployment_that_a_plugin_opened_is_closed_once(
        self, deliverer: Deliverer, client: EventsClient
    ) -> None:
        opened = change("open", MINUTE - 5, source="events", key=OLD_RUN, started_at=at(MINUTE - 5))
        deliverer.deliver(opened)
        deliverer.deliver(self.old(matrix("span")[0], "github:acme/shop:deployment:5101", OLD_RUN))
        ended = matrix("span")[0].model_copy(update={"delivery": matrix("span")[1].delivery})
        deliverer.deliver(ended)
        (event,) = client.iter_events()
        assert event.ended_at == ended.occurred_at

    @pytest.mark.parametrize("order", [1, -1])
    def test_two_that_were_merged_are_two_from_then_on(
        self, deliverer: Deliverer, client: EventsClient, order: int
    ) -> None:
        eu, us = matrix("span")
        for number, one in (("5101", eu), ("5102", us)):
            opening = change(
                "open",
                MINUTE - 5,
                delivery=f"old {number}",
                started_at=at(MINUTE - 4),
                metadata={"status": "in_progress", "marker_key": f"github:acme/shop:deployment:{number}"},
            )
            key = f"github:acme/shop:deployment:{number}"
            deliverer.deliver(opening.model_copy(update={"key": key, "aliases": (OLD_RUN,)}))
            assert one.former_keys == (key,)
        assert len(list(client.iter_events())) == 1
        for one in (eu, us)[::order]:
            deliverer.deliver(one)
        assert outcomes(client) == {"5101": "success", "5102": "failure"}
        assert len(list(client.iter_events())) == 2

    def test_an_incident_is_closed_once(self, deliverer: Deliverer, client: EventsClient) -> None:
        opened = read(payload_of("issues__opened_with_label"), "span", 1, "issues")
        deliverer.deliver(self.old(opened, "github:acme/shop:issue:1842001"))
        deliverer.deliver(read(payload_of("issues__closed_completed"), "span", 2, "issues"))
        (event,) = client.iter_events()
        assert event.ended_at is not None

    def test_what_redis_has_lost_is_found_in_the_api_by_its_old_key(
        self, deliverer: Deliverer, client: EventsClient, redis: Redis
    ) -> None:
        opened = read(payload_of("issues__opened_with_label"), "span", 1, "issues")
        deliverer.deliver(self.old(opened, "github:acme/shop:issue:1842001"))
        redis.flushdb()
        deliverer.deliver(read(payload_of("issues__closed_completed"), "span", 2, "issues"))
        (event,) = client.iter_events()
        assert event.ended_at is not None


@settings(reproducible, max_examples=40)
@given(runs(most=3, fewest_ends=1), st.sampled_from(MODES), st.data())
def test_every_deployment_is_one_event_with_its_own_last_outcome(
    deliverer: Deliverer,
    client: EventsClient,
    api: LocalApi,
    redis: Redis,
    run: tuple[list[Deployment], list[int]],
    mode: str,
    data: st.DataObject,
) -> None:
    """In random order, with repeats, and with plugins that know their jobs or only their run.

    Each has ended: until then the end that its plugin reports is the best that is known.
    """
    empty(api, redis)
    deployments, order = run
    changes = [
        read(payload, mode, number)
        for payload, number in delivered(deployments, order)
        if mode == "span" or payload["deployment_status"]["state"] != "in_progress"
    ]
    keys = [
        "github:run:77:1:production",
        *(f"github:run:77:1:production:job:{number:016x}" for number in range(3)),
        *(f"github:job:{1000 + one.number}:production" for one in deployments),
    ]
    for key in data.draw(st.lists(st.sampled_from(keys), unique=True, max_size=4)):
        report = plugin(key, key, data.draw(st.sampled_from(["success", "failure"])), minute=1.05)
        changes.insert(data.draw(st.integers(0, len(changes))), report)
    for one in changes:
        deliverer.deliver(one)
    assert outcomes(client) == last_outcomes(deployments, mode)
