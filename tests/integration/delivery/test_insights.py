"""What a marker says beyond its own changes, with a real Redis and a real Events API."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import RateLimited, ServerFailed, Unreachable
from apitraffic_events.event import Event, EventType
from apitraffic_events.filters import EventFilter
from apitraffic_events.records import EventPage, EventUpdate, StoredEvent
from receiver.datastore.address import connect
from receiver.datastore.keys import AccountKeys
from receiver.delivery.budget import BudgetExhausted, RequestBudget
from receiver.delivery.deliverer import Delivered, Deliverer
from receiver.delivery.insights import Insights
from receiver.delivery.marker_store import MarkerStore
from receiver.delivery.retries import EventRefused
from receiver.delivery.verdicts import VerdictRules
from receiver.events import Change, DeliveryReference, Effect
from receiver.insight.figures import ApiFigures
from receiver.insight.timeline import Timeline
from receiver.insight.verdict import Thresholds
from receiver.queue.queues import change_in, delivery_queue, marker_names_of_job
from receiver.sources.github import GITHUB
from receiver.sources.source import translate
from receiver.worker.due_markers import second_look_at, second_looks
from tests.support import alerts, github
from tests.support.local_api import LocalApi, running_local_api
from tests.support.redis import long_in_use, running_redis
from tests.support.source_fixtures import body_of

NOW = datetime.now(UTC).replace(microsecond=0)
START = NOW - timedelta(hours=3)
C1, C2, C3 = (digit * 40 for digit in "123")
RULES = Thresholds(errors_up=1.0, slower=50.0, fewest_requests=100)
WINDOW = timedelta(minutes=15)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApi]:
    with running_local_api(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    folder: Path = tmp_path_factory.mktemp("redis")
    with running_redis(folder) as url:
        yield connect(url)


class Line:
    """One worker's way of delivering, at a time that the test decides."""

    def __init__(
        self, api: LocalApi, client: EventsClient, redis: Redis, *, judges: bool, account: str | None = None
    ) -> None:
        self.api = api
        self.client = client
        self.redis = redis
        self.now = NOW
        self.budget = RequestBudget(redis, account=account)
        self.timeline = Timeline(redis, account)
        rules = VerdictRules(WINDOW, RULES, ApiFigures(client), longest=2 * HOUR) if judges else None
        insights = Insights(self.timeline, client, self.budget, self.clock, rules)
        markers = MarkerStore(redis, "the worker under test", account=account)
        self.deliverer = Deliverer(
            client, markers, self.budget, settle=timedelta(seconds=30), clock=self.clock, insights=insights
        )

    def clock(self) -> datetime:
        return self.now

    def deliver(self, *changes: Change) -> list[Delivered]:
        return [self.deliverer.deliver(change) for change in changes]

    def look_again(self) -> int:
        """Make all second looks that are due by the test's clock; returns how many.

        One may make others necessary, but not without end.
        """
        looks = 0
        for _ in range(10):
            due = self.redis.zrangebyscore(AccountKeys().second_looks, "-inf", self.clock().timestamp() + 3)
            if not due:
                return looks
            for key in sorted(str(name.decode()) for name in due if isinstance(name, bytes)):
                self.deliverer.deliver(look_at(key))
                looks += 1
        raise AssertionError("second looks go on for ever")

    def shown(self) -> dict[str, StoredEvent]:
        return {str(event.metadata["marker_key"]): event for event in self.client.iter_events()}

    def description_of(self, key: str) -> list[str]:
        return (self.shown()[key].description or "").splitlines()


def look_at(key: str) -> Change:
    return second_look_at(key, NOW)


@pytest.fixture
def line(api: LocalApi, redis: Redis, request: pytest.FixtureRequest) -> Iterator[Line]:
    """Judges deploys in `TestVerdict` only."""
    redis.flushdb()
    long_in_use(redis)
    with EventsClient(
        api_url=api.url, account_sid=api.account_sid, token=api.token, read_timeout=5
    ) as client:
        for event in tuple(client.iter_events()):
            client.delete_event(event.sid)
        api.set_traffic([])
        yield Line(api, client, redis, judges=request.cls is not None)
    api.set_faults([])


def deploy(minute: int, version: str, commit: str, status: str = "success", **facts: Any) -> Change:
    at = START + timedelta(minutes=minute)
    verb = {"failure": "Failed deploy"}.get(status, "Deploy")
    environment = facts.get("environment", "production")
    return change(
        facts.pop("key", f"deploy:{minute}"),
        Effect.POINT,
        at,
        EventType.DEPLOYMENT,
        name=f"{verb} acme/shop {version} to {environment}",
        description="Succeeded after 2 min, deployed by ada.",
        source="github_actions",
        metadata={
            "repository": "acme/shop",
            "repository_url": "https://github.com/acme/shop",
            "environment": "production",
            "release": version,
            "commit": commit,
            "short_commit": commit[:7],
            "status": status,
            "url": f"https://github.com/acme/shop/actions/runs/{minute}",
        }
        | facts,
        lasted=timedelta(minutes=2),
    )


def ended(begun: Change, minute: int, status: str = "success") -> Change:
    """The end of a deploy that is drawn as a span."""
    at = START + timedelta(minutes=minute)
    update = {"ended_at": at, "metadata": begun.event.metadata | {"status": status}}
    event = begun.event.model_copy(update=update)
    return begun.model_copy(update={"effect": Effect.CLOSE, "occurred_at": at, "event": event})


def flag(minute: int, name: str, **fields: Any) -> Change:
    at = START + timedelta(minutes=minute)
    return change(
        f"flag:{name}:{minute}",
        Effect.POINT,
        at,
        EventType.CONFIG_CHANGE,
        name=f"Feature flag {name} turned on",
        metadata={"flag": name, "url": f"https://flags.test/{name}"},
        **fields,
    )


def incident(minute: int, number: int, effect: Effect = Effect.OPEN, **given: Any) -> Change:
    at = START + timedelta(minutes=minute)
    fields: dict[str, Any] = {"status": "triggered", "started": minute} | given
    return change(
        f"incident:{number}",
        effect,
        at,
        EventType.INCIDENT,
        name=f"#{number} Checkout latency above 2 s",
        metadata={
            "incident_number": number,
            "status": fields.pop("status"),
            "url": f"https://pd.test/{number}",
        },
        started_at=START + timedelta(minutes=fields.pop("started")),
        ended_at=at if effect is Effect.CLOSE else None,
        **fields,
    )


def change(
    key: str, effect: Effect, at: datetime, type_: EventType, lasted: timedelta | None = None, **fields: Any
) -> Change:
    fields = {"started_at": at} | fields
    fields["metadata"] = {"marker_key": key} | fields["metadata"]
    return Change(
        key=key,
        effect=effect,
        occurred_at=at,
        lasted=lasted,
        event=Event(type=type_, **fields),
        delivery=DeliveryReference(source="github", id=f"{key}-{effect.value}-{at:%H%M}", event="x"),
    )


def began(change: Change) -> Change:
    """The beginning of a deploy that is drawn as a span."""
    return change.model_copy(update={"effect": Effect.OPEN, "lasted": None})


def never_began(begun: Change) -> Change:
    """What calls a deploy off, of which the beginning had been reported."""
    earlier = begun.occurred_at - timedelta(minutes=1)
    never = {"effect": Effect.UPDATE, "is_final": True, "sets": ("name",), "occurred_at": earlier}
    return begun.model_copy(update=never)


V1, V2 = deploy(0, "v2.3.0", C1), deploy(60, "v2.4.0", C2)
BACK = deploy(90, "v2.3.0", C1)
LONG = began(deploy(30, "v9", C3, "in_progress", repository="acme/api"))
"""Of another repository, and running."""
COMPARE = "https://github.com/acme/shop/compare"
WHAT_V2_SAYS = [
    "Succeeded after 2 min, deployed by ada.",
    f"Before: v2.3.0, deployed 1 h earlier. {COMPARE}/{C1}...{C2}",
]


def test_the_first_deploy_says_nothing_of_others(line: Line) -> None:
    line.deliver(V1)
    assert line.look_again() == 0
    assert line.description_of(V1.key) == ["Succeeded after 2 min, deployed by ada."]
    assert line.shown()[V1.key].metadata == V1.event.metadata


def test_a_deploy_says_what_ran_before_it_at_once(line: Line) -> None:
    line.deliver(V1, V2)
    event = line.shown()[V2.key]
    assert event.name == "Deploy acme/shop v2.4.0 to production"
    assert line.description_of(V2.key) == WHAT_V2_SAYS
    assert event.metadata == V2.event.metadata | {
        "previous_version": "v2.3.0",
        "previous_commit": C1,
        "previous_deployed_at": (START).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "compare_url": f"{COMPARE}/{C1}...{C2}",
    }


def test_a_marker_that_arrives_in_order_costs_one_request(line: Line) -> None:
    before = line.api.number_of_requests()
    line.deliver(V1, V2)
    assert line.look_again() == 0
    assert line.api.number_of_requests() - before == 2


def test_a_rollback_is_called_one(line: Line) -> None:
    line.deliver(V1, V2, BACK)
    event = line.shown()[BACK.key]
    assert event.name == "Roll back acme/shop to v2.3.0 in production"
    assert event.metadata["course"] == "rollback"
    assert line.description_of(BACK.key)[1:] == [
        f"Rollback to v2.3.0 from v2.4.0, deployed 30 min earlier. {COMPARE}/{C2}...{C1}"
    ]


def test_a_step_forward_is_no_rollback_however_often_a_version_was_deployed_again(line: Line) -> None:
    before, after = (
        [deploy(minute, "v2.3.0", C1) for minute in minutes] for minutes in (range(40, 50), range(61, 80))
    )
    line.deliver(V1, *before, V2, *after, deploy(100, "v2.4.0", C2))
    event = line.shown()["deploy:100"]
    assert (event.name, event.metadata.get("course")) == ("Deploy acme/shop v2.4.0 to production", None)
    (history,) = line.redis.keys("apitraffic:history:*")
    assert line.redis.hlen(history) <= 20 + 2 + 10


def test_what_was_said_of_a_deploy_stays_though_what_ran_before_is_not_remembered_any_more(
    line: Line,
) -> None:
    line.deliver(*(deploy(minute, f"v{minute}", f"{minute:040x}") for minute in range(0, 120, 3)))
    said = line.description_of("deploy:15")
    assert said[1].startswith("Before: v12, deployed 3 min earlier.")
    line.deliver(incident(15, 1842))
    assert line.look_again() == 1
    assert line.description_of("deploy:15")[:2] == said


def test_a_failed_rollback_is_called_one(line: Line) -> None:
    line.deliver(V1, V2, deploy(90, "v2.3.0", C1, "failure"))
    assert line.shown()["deploy:90"].name == "Failed rollback of acme/shop to v2.3.0 in production"


def test_the_same_commit_once_more_is_said_to_be_that(line: Line) -> None:
    line.deliver(V1, deploy(60, "v2.3.0", C1))
    event = line.shown()["deploy:60"]
    assert event.name == "Deploy acme/shop v2.3.0 to production"
    assert event.metadata["course"] == "redeploy"
    assert line.description_of("deploy:60")[1:] == ["Again: v2.3.0 was deployed here 1 h earlier."]


def test_a_name_that_a_route_has_given_stays(line: Line) -> None:
    named = BACK.model_copy(update={"event": BACK.event.model_copy(update={"name": "shop @ v2.3.0"})})
    line.deliver(V1, V2, named)
    assert line.shown()[BACK.key].name == "shop @ v2.3.0"
    assert line.shown()[BACK.key].metadata["course"] == "rollback"


def test_what_changed_since_the_deploy_before_is_named(line: Line) -> None:
    line.deliver(V1, *(flag(minute, f"f{minute}") for minute in (10, 20, 30, 40)), V2)
    assert line.description_of(V2.key)[2:] == [
        (
            "Changed since then: Feature flag f40 turned on (https://flags.test/f40); "
            "Feature flag f30 turned on (https://flags.test/f30); "
            "Feature flag f20 turned on (https://flags.test/f20); and 1 more"
        )
    ]
    assert line.shown()[V2.key].metadata["changed_since"] == 4


def test_of_a_time_that_redis_does_not_remember_no_number_is_said(line: Line) -> None:
    line.deliver(V1, flag(10, "a"))
    line.redis.set("apitraffic:remembers-since", (START + timedelta(minutes=5)).timestamp())
    line.deliver(V2)
    assert line.description_of(V2.key)[2:] == [
        "Changed since then, among others: Feature flag a turned on (https://flags.test/a)"
    ]
    assert "changed_since" not in line.shown()[V2.key].metadata


STORY = (V1, flag(50, "new-cart"), V2, incident(64, 1842), BACK)


@pytest.mark.parametrize("order", [*permutations(range(len(STORY)))][::7])
def test_whatever_order_deliveries_arrive_in_the_markers_say_the_same(
    line: Line, order: Sequence[int]
) -> None:
    line.deliver(*(STORY[number] for number in order))
    line.look_again()
    assert {key: event.name for key, event in line.shown().items()} == {
        V1.key: "Deploy acme/shop v2.3.0 to production",
        "flag:new-cart:50": "Feature flag new-cart turned on",
        V2.key: "Deploy acme/shop v2.4.0 to production",
        "incident:1842": "#1842 Checkout latency above 2 s",
        BACK.key: "Roll back acme/shop to v2.3.0 in production",
    }
    began = "later an incident began: #1842 Checkout latency above 2 s (https://pd.test/1842)"
    assert line.description_of(V1.key) == ["Succeeded after 2 min, deployed by ada."]
    assert line.description_of("flag:new-cart:50") == [f"14 min {began}"]
    assert line.description_of(V2.key) == [
        *WHAT_V2_SAYS,
        "Changed since then: Feature flag new-cart turned on (https://flags.test/new-cart)",
        f"4 min {began}",
    ]
    assert line.description_of("incident:1842") == [
        "4 min before: Deploy acme/shop v2.4.0 to production (https://github.com/acme/shop/actions/runs/60)",
        "14 min before: Feature flag new-cart turned on (https://flags.test/new-cart)",
    ]
    assert line.description_of(BACK.key)[1:] == [
        f"Rollback to v2.3.0 from v2.4.0, deployed 30 min earlier. {COMPARE}/{C2}...{C1}",
    ]
    assert len(line.shown()) == 5


def test_an_incident_names_the_three_nearest_changes_of_the_hour_before_it(line: Line) -> None:
    line.deliver(
        flag(0, "old"), *(flag(minute, f"f{minute}") for minute in (10, 20, 30, 40)), incident(65, 7)
    )
    assert line.shown()["incident:7"].metadata["suspects"] == [
        "Feature flag f40 turned on",
        "Feature flag f30 turned on",
        "Feature flag f20 turned on",
    ]
    line.look_again()
    assert line.shown()["flag:f40:40"].metadata["incidents_after"] == ["#7 Checkout latency above 2 s"]
    assert "incidents_after" not in line.shown()["flag:f10:10"].metadata


def test_what_changed_in_another_environment_is_not_named(line: Line) -> None:
    elsewhere = deploy(60, "v9", C3, environment="staging")
    outage = incident(64, 7)
    outage.event.metadata["environment"] = "Prod"
    line.deliver(V1, elsewhere, V2.model_copy(update={"key": "here"}), outage)
    assert line.shown()["incident:7"].metadata["suspects"] == [V2.event.name]


def test_an_incident_names_a_rollback_as_it_is_shown_and_not_what_it_replaced(line: Line) -> None:
    outage = incident(95, 7)
    for order in ((V1, V2, BACK, outage), (outage, BACK, V2, V1)):
        line.redis.flushdb()
        long_in_use(line.redis)
        line.deliver(*order)
        line.look_again()
        shown = line.shown()
        assert shown["incident:7"].metadata["suspects"] == ["Roll back acme/shop to v2.3.0 in production"]
        assert "incidents_after" in shown[BACK.key].metadata
        assert "incidents_after" not in shown[V2.key].metadata


def test_an_incident_names_a_rollback_as_one_also_if_that_is_known_only_later(line: Line) -> None:
    line.deliver(V2, BACK, incident(95, 7))
    line.look_again()
    assert line.shown()["incident:7"].metadata["suspects"] == [BACK.event.name]
    line.deliver(V1)
    line.look_again()
    assert line.shown()["incident:7"].metadata["suspects"] == ["Roll back acme/shop to v2.3.0 in production"]


def test_an_incident_that_turns_out_to_be_part_of_another_is_taken_back(line: Line) -> None:
    line.deliver(V1, V2, incident(64, 1842))
    line.look_again()
    assert "incidents_after" in line.shown()[V2.key].metadata
    line.deliver(incident(70, 1842, Effect.CLOSE, status="merged", started=64))
    line.look_again()
    assert "suspects" not in line.shown()["incident:1842"].metadata
    assert line.description_of(V2.key) == WHAT_V2_SAYS
    assert "incidents_after" not in line.shown()[V2.key].metadata


def issue(case: str, minute: float) -> Change:
    """What a GitHub issue of minute 64 becomes by a delivery of this minute."""
    payload = json.loads(body_of("github", case))
    written = [(START + timedelta(minutes=each)).isoformat() for each in (64, minute)]
    payload["issue"] |= {"created_at": written[0], "updated_at": written[1]}
    delivery = github.received(json.dumps(payload).encode(), "issues")
    options = GITHUB.options.model_validate({"deployments": "point"})
    (change,) = translate(GITHUB, delivery, options).changes
    return change


def test_an_issue_that_is_no_incident_any_more_names_nothing_until_it_is_one_again(line: Line) -> None:
    opened = issue("issues__opened_with_label", 64)
    line.deliver(V1, V2, opened)
    line.look_again()
    named = line.shown()[opened.key].metadata["suspects"]
    assert named == [V2.event.name]
    line.deliver(issue("issues__unlabeled", 70))
    line.look_again()
    assert "suspects" not in line.shown()[opened.key].metadata
    assert line.description_of(V2.key) == WHAT_V2_SAYS
    line.deliver(issue("issues__labeled", 71))
    line.look_again()
    assert line.shown()[opened.key].metadata["suspects"] == named
    assert line.shown()[V2.key].metadata["incidents_after"] == [opened.event.name]


def test_each_episode_of_an_alert_is_an_incident_of_its_own(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "moment", lambda minute: START + timedelta(minutes=float(minute)))
    line.deliver(V1, V2, alerts.firing("64", "64"), alerts.resolved("70", "64", "69"))
    line.deliver(alerts.firing("90", "80"), alerts.firing("94", "80"))
    line.look_again()
    assert line.description_of(V2.key) == [
        *WHAT_V2_SAYS,
        "4 min later an incident began: Disk full",
        "20 min later an incident began: Disk full",
    ]
    episodes = [event for event in line.shown().values() if event.type == EventType.INCIDENT]
    assert [event.metadata["suspects"] for event in episodes] == [[V2.event.name]] * 2


def test_an_episode_that_is_being_deleted_is_not_shown_again_by_a_second_look(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It turned out to be part of the one before, and its deletion had no answer."""
    monkeypatch.setattr(alerts, "moment", lambda minute: START + timedelta(minutes=float(minute)))
    line.deliver(alerts.firing("64", "64"), alerts.resolved("70", "64", "69"), alerts.firing("80", "79"))
    (part,) = (
        key for key, event in line.shown().items() if event.started_at == START + timedelta(minutes=79)
    )
    line.api.set_faults(["DELETE:dropx1"])
    with pytest.raises(Unreachable):
        line.deliver(alerts.firing("72", "64"))
    assert line.deliver(look_at(part)) == [Delivered.UNCHANGED]
    assert part not in line.shown()


def test_what_people_have_deleted_stays_deleted_and_costs_nothing_more(line: Line) -> None:
    line.deliver(V1, V2)
    line.client.delete_event(line.shown()[V2.key].sid)
    line.deliver(incident(64, 7))
    line.look_again()
    assert V2.key not in line.shown()
    assert line.look_again() == 0
    assert line.redis.zcard(AccountKeys().second_looks) == 0


def test_many_deploys_of_the_same_second_are_each_there_once(line: Line) -> None:
    before = line.api.number_of_requests()
    storm = [deploy(60, f"v{number}", f"{number:040x}", key=f"deploy:{number}") for number in range(70)]
    line.deliver(*storm)
    looks = line.look_again()
    assert line.api.number_of_requests() - before <= len(storm) + looks
    assert looks <= len(storm)
    assert {event.name for event in line.shown().values()} == {change.event.name for change in storm}


def test_accounts_know_nothing_of_each_other(line: Line) -> None:
    """A route gives some markers to another account."""
    other = Line(line.api, line.client, line.redis, judges=True, account="emea")
    other.deliver(V1, V2)
    line.deliver(incident(64, 7))
    line.look_again()
    assert "suspects" not in line.shown()["incident:7"].metadata
    assert "incidents_after" not in line.shown()[V2.key].metadata
    assert {key.decode().split(":")[1] for key in line.redis.scan_iter("*deployment*")} == {"account"}


def test_a_deploy_that_was_called_off_is_not_named_any_more(line: Line) -> None:
    begun = deploy(60, "v2.4.0", C2, "in_progress").model_copy(update={"effect": Effect.OPEN})
    line.deliver(begun, incident(64, 1842))
    assert line.shown()["incident:1842"].metadata["suspects"] == [V2.event.name]
    never = begun.model_copy(
        update={
            "effect": Effect.UPDATE,
            "is_final": True,
            "sets": ("name",),
            "occurred_at": begun.occurred_at - timedelta(minutes=1),
        }
    )
    assert line.deliver(never) == [Delivered.WITHDRAWN]
    line.look_again()
    assert "suspects" not in line.shown()["incident:1842"].metadata


def test_after_a_loss_one_request_finds_what_ran_before(line: Line) -> None:
    line.deliver(V1)
    line.redis.flushdb()
    before = line.api.number_of_requests()
    line.deliver(V2)
    assert line.description_of(V2.key) == ["Succeeded after 2 min, deployed by ada."]
    assert line.look_again() == 1
    assert line.description_of(V2.key) == WHAT_V2_SAYS
    # A look-up for the marker itself, the creation, the look-up of what ran before, one request that reads
    # the event, and the update.
    assert line.api.number_of_requests() - before - 2 == 5


def test_a_list_that_may_lack_the_latest_deploys_names_none(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.deliver(V1, deploy(30, "v2.3.1", C3))
    line.redis.flushdb()

    def oldest_first(wanted: EventFilter, **numbers: int) -> EventPage:
        page = EventsClient.list_page(line.client, wanted, **numbers)
        return page.model_copy(update={"records": page.records[::-1], "has_more": True})

    line.deliver(V2)
    monkeypatch.setattr(line.client, "list_page", oldest_first)
    line.look_again()
    assert line.description_of(V2.key) == ["Succeeded after 2 min, deployed by ada."]


def test_after_a_loss_one_request_finds_what_changed_before_an_incident(line: Line) -> None:
    line.deliver(V1, flag(50, "new-cart"), V2, incident(64, 1842))
    line.look_again()
    said = line.shown()["incident:1842"].metadata["suspects"]
    assert said == [V2.event.name, "Feature flag new-cart turned on"]
    line.redis.flushdb()
    line.deliver(incident(80, 1842, Effect.CLOSE, status="resolved", started=64))
    before = line.api.number_of_requests()
    line.look_again()
    # The look-up, one request that reads the event, and the update.
    assert line.api.number_of_requests() - before == 3
    assert line.shown()["incident:1842"].metadata["suspects"] == said
    # What Redis does not know is left as it is.
    assert line.shown()[V2.key].metadata["incidents_after"] == ["#1842 Checkout latency above 2 s"]
    line.deliver(V2)
    line.look_again()
    assert line.shown()[V2.key].metadata["incidents_after"] == ["#1842 Checkout latency above 2 s"]


def test_an_incident_long_after_a_loss_costs_no_look_up(line: Line) -> None:
    line.redis.set("apitraffic:remembers-since", START.timestamp())
    line.deliver(incident(61, 7))
    assert line.look_again() == 0


def test_a_marker_that_is_found_after_a_loss_says_nothing_twice(line: Line) -> None:
    line.deliver(V1, V2)
    line.redis.flushdb()
    line.deliver(V2, V1)
    line.look_again()
    assert line.description_of(V2.key) == WHAT_V2_SAYS


def traffic(minute: int, errors: int, average: float, requests: int = 600) -> dict[str, Any]:
    at = START + timedelta(minutes=minute)
    timestamp = at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {"timestamp": timestamp, "requests": requests, "errors": errors, "average": average}


BETTER_BEFORE = [traffic(50, 2, 145.0), traffic(65, 13, 310.0)]
LINE = "15 min after: errors 0.33 % → 2.2 %, mean response 145 → 310 ms, 600 requests"


BEGAN = "later an incident began: #1842 Checkout latency above 2 s (https://pd.test/1842)"


def edit(line: Line, key: str, *lines: str, **fields: Any) -> None:
    """As a person does in ApiTraffic, or with `events update`."""
    given = {"description": "\n".join(lines)} if lines else {}
    line.client.update_event(line.shown()[key].sid, EventUpdate(**given, **fields))


def test_what_a_person_has_written_stays_and_what_is_new_is_said_below_it(line: Line) -> None:
    line.deliver(V1, V2)
    edit(line, V2.key, "Hotfix, see INC-7. Ada", *WHAT_V2_SAYS, "Rolled out by hand.")
    line.deliver(incident(64, 1842))
    line.look_again()
    written = ["Hotfix, see INC-7. Ada", *WHAT_V2_SAYS, "Rolled out by hand."]
    assert line.description_of(V2.key) == [*written, f"4 min {BEGAN}"]
    line.deliver(incident(70, 1842, Effect.CLOSE, status="merged", started=64))
    line.look_again()
    assert line.description_of(V2.key) == written


def test_a_name_and_facts_that_a_person_has_given_stay(line: Line) -> None:
    line.deliver(V1, V2)
    facts = line.shown()[V2.key].metadata | {"ticket": "INC-7", "status": "rolled back by hand"}
    edit(line, V2.key, name="The bad one", metadata=facts)
    line.deliver(incident(64, 1842))
    line.look_again()
    event = line.shown()[V2.key]
    assert event.name == "The bad one"
    assert event.metadata == facts | {"incidents_after": ["#1842 Checkout latency above 2 s"]}
    assert line.description_of(V2.key) == [*WHAT_V2_SAYS, f"4 min {BEGAN}"]


def test_what_a_person_has_written_stays_when_the_sender_reports_more(line: Line) -> None:
    """Once an edit was seen, the event is read before it is updated; other events are not."""
    opened = incident(64, 1842, description="Triggered by checkout-api.")
    line.deliver(V1, opened)
    edit(line, opened.key, "Triggered by checkout-api.", "Database is full; Ada is on it.")
    line.deliver(V2)
    line.look_again()
    closed = incident(
        70, 1842, Effect.CLOSE, status="resolved", started=64, description="Resolved after 6 min by ada."
    )
    before = line.api.number_of_requests()
    line.deliver(closed)
    assert line.api.number_of_requests() - before == 2
    assert line.shown()[opened.key].ended_at == START + timedelta(minutes=70)
    assert line.description_of(opened.key) == [
        "Database is full; Ada is on it.",
        "4 min before: Deploy acme/shop v2.4.0 to production (https://github.com/acme/shop/actions/runs/60)",
        "Resolved after 6 min by ada.",
    ]


def test_what_a_lost_answer_left_in_an_event_is_nobodys_edit(line: Line) -> None:
    """The update was carried out, so the event shows words of ours that we do not know to be shown."""
    opened = incident(64, 1842, description="Triggered by checkout-api.")
    line.deliver(V1, opened)
    line.api.set_faults(["PATCH:dropx1"])
    with pytest.raises(Unreachable):
        line.deliver(incident(70, 1842, Effect.UPDATE, started=64, description="Acknowledged by ada."))
    line.now += timedelta(minutes=2)
    line.deliver(V2)
    line.look_again()
    line.deliver(incident(71, 1842, Effect.CLOSE, status="resolved", started=64, description="Resolved."))
    assert line.description_of(opened.key) == [
        "Resolved.",
        "4 min before: Deploy acme/shop v2.4.0 to production (https://github.com/acme/shop/actions/runs/60)",
    ]


@pytest.mark.parametrize("is_done", [False, True])
def test_an_edit_stays_if_the_answer_to_the_update_that_found_it_is_lost(line: Line, is_done: bool) -> None:
    opened = incident(64, 1842, description="Triggered by checkout-api.")
    line.deliver(V1, opened)
    edit(line, opened.key, "Triggered by checkout-api.", "Ada is on it.")
    line.deliver(V2)
    line.api.set_faults(["PATCH:dropx1" if is_done else "PATCH:status=503x1"])
    with pytest.raises((Unreachable, ServerFailed)):
        line.look_again()
    line.now += timedelta(minutes=2)
    line.deliver(look_at(opened.key))
    assert line.description_of(opened.key) == [
        "Triggered by checkout-api.",
        "Ada is on it.",
        "4 min before: Deploy acme/shop v2.4.0 to production (https://github.com/acme/shop/actions/runs/60)",
    ]


def test_what_a_lost_answer_left_beside_an_edit_goes_with_the_next_report(line: Line) -> None:
    opened = incident(64, 1842, description="Triggered by checkout-api.")
    line.deliver(V1, opened)
    edit(line, opened.key, "Triggered by checkout-api.", "Ada is on it.")
    line.deliver(V2)
    line.look_again()
    line.api.set_faults(["PATCH:dropx1"])
    report = incident(70, 1842, Effect.UPDATE, started=64, description="Acknowledged.", status="acknowledged")
    report = report.model_copy(update={"event": report.event.model_copy(update={"name": "#1842 (ack)"})})
    with pytest.raises(Unreachable):
        line.deliver(report)
    line.now += timedelta(minutes=2)
    line.deliver(incident(71, 1842, Effect.CLOSE, status="resolved", started=64, description="Resolved."))
    line.deliver(report)
    event = line.shown()[opened.key]
    assert (event.name, event.metadata["status"]) == (opened.event.name, "resolved")
    assert line.description_of(opened.key) == [
        "Ada is on it.",
        "4 min before: Deploy acme/shop v2.4.0 to production (https://github.com/acme/shop/actions/runs/60)",
        "Resolved.",
    ]


def test_what_was_sent_between_two_attempts_to_merge_is_nobodys_edit(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = incident(63, 1842, Effect.UPDATE, started=64).model_copy(update={"sets": ("source",)})
    other = incident(65, 1843, started=64, description="Disk full.")
    line.deliver(part, other)
    edit(line, other.key, "Disk full.", "Ada is on it.")
    line.deliver(V2)
    line.look_again()
    both = incident(67, 1842, Effect.UPDATE, started=64, description="Both.")
    both = both.model_copy(update={"aliases": (other.key,)})
    with monkeypatch.context() as patch:
        patch.setattr(MarkerStore, "forget", fail_to_forget)
        with pytest.raises(ConnectionError):
            line.deliver(both)
    line.deliver(incident(66, 1843, Effect.UPDATE, started=64, description="Disk fuller."))
    line.deliver(both)
    line.look_again()
    (event,) = (event for event in line.shown().values() if event.type == EventType.INCIDENT)
    said = (event.description or "").splitlines()
    assert [words for words in said if " before: " not in words] == ["Ada is on it.", "Both."]


def test_what_a_lost_answer_left_of_an_indirect_report_is_no_direct_one(line: Line) -> None:
    indirect = {"is_indirect": True, "lasted": None}
    begun = began(deploy(60, "v2.4.0", C2, "in_progress")).model_copy(update=indirect)
    line.deliver(begun)
    line.api.set_faults(["PATCH:dropx1"])
    failed = ended(deploy(60, "v2.4.0", C2, "failure").model_copy(update=indirect), 62, "failure")
    with pytest.raises(Unreachable):
        line.deliver(failed)
    line.now += timedelta(minutes=2)
    succeeded = ended(V2.model_copy(update=indirect), 70)
    succeeded = succeeded.model_copy(
        update={"delivery": DeliveryReference(source="github", id="again", event="x")}
    )
    line.deliver(succeeded, failed)
    event = line.shown()[V2.key]
    assert (event.name, event.metadata["status"]) == (V2.event.name, "success")


def fail_to_forget(*_: object, **__: object) -> None:
    raise ConnectionError


def test_an_edit_stays_if_an_indirect_report_follows(line: Line) -> None:
    line.deliver(V1, V2)
    facts = line.shown()[V2.key].metadata | {"ticket": "INC-7"}
    edit(line, V2.key, *WHAT_V2_SAYS, "Hotfix. Ada", name="The bad one", metadata=facts)
    line.deliver(incident(64, 1842))
    line.look_again()
    line.deliver(
        V2.model_copy(
            update={
                "is_indirect": True,
                "delivery": DeliveryReference(source="github", id="indirect", event="x"),
                "event": V2.event.model_copy(update={"metadata": V2.event.metadata | {"attempt": 2}}),
            }
        )
    )
    event = line.shown()[V2.key]
    assert event.name == "The bad one"
    assert (event.metadata["ticket"], event.metadata["attempt"]) == ("INC-7", 2)
    assert line.description_of(V2.key) == [*WHAT_V2_SAYS, "Hotfix. Ada", f"4 min {BEGAN}"]


def test_an_edit_stays_if_the_event_becomes_of_a_type_that_has_no_insight(line: Line) -> None:
    opened = incident(64, 1842, description="Triggered by checkout-api.")
    line.deliver(V1, opened)
    edit(line, opened.key, "Triggered by checkout-api.", "Ada is on it.")
    line.deliver(V2)
    line.look_again()
    for minute, type_ in ((66, EventType.CUSTOM), (67, EventType.INCIDENT)):
        report = incident(minute, 1842, Effect.UPDATE, started=64)
        event = report.event.model_copy(update={"type": type_})
        line.deliver(report.model_copy(update={"event": event}))
        assert "Ada is on it." in line.description_of(opened.key)


def test_what_turns_out_otherwise_while_a_creation_has_no_answer_is_not_said(line: Line) -> None:
    line.deliver(V1)
    line.api.set_faults(["POST:dropx1"])
    with pytest.raises(Unreachable):
        line.deliver(V2)
    line.deliver(deploy(30, "v2.3.5", C3))
    line.look_again()
    line.now += timedelta(minutes=2)
    line.deliver(V2)
    line.look_again()
    said = f"Before: v2.3.5, deployed 30 min earlier. {COMPARE}/{C3}...{C2}"
    assert line.description_of(V2.key) == [WHAT_V2_SAYS[0], said]


class TestVerdict:
    """A deploy says some time after its end what it did to the API's traffic."""

    def test_it_is_said_once_for_three_requests(self, line: Line) -> None:
        line.api.set_traffic(BETTER_BEFORE)
        before = line.api.number_of_requests()
        line.deliver(V1, V2)
        line.look_again()
        assert line.description_of(V2.key)[-1] == LINE
        event = line.shown()[V2.key]
        assert (event.name, event.metadata["verdict"]) == (
            "Deploy acme/shop v2.4.0 to production (worse)",
            "worse",
        )
        assert event.metadata["status"] == "success"
        # Of both deploys the creation, two requests for figures and the update; two lists by this test.
        assert line.api.number_of_requests() - before == 2 + 2 * 3 + 2
        line.now += timedelta(days=2)
        assert line.look_again() == 0

    def test_it_waits_until_the_window_is_over(self, line: Line) -> None:
        line.now = START + timedelta(minutes=61)
        line.deliver(V2)
        assert line.look_again() == 0
        line.now = START + timedelta(minutes=76)
        line.api.set_traffic(BETTER_BEFORE)
        assert line.look_again() == 1
        assert line.shown()[V2.key].metadata["verdict"] == "worse"

    def test_it_does_not_overwrite_what_a_person_has_written(self, line: Line) -> None:
        line.api.set_traffic(BETTER_BEFORE)
        line.deliver(V1, V2)
        line.look_again()
        written = ["Hotfix. Ada", *line.description_of(V2.key)]
        edit(line, V2.key, *written)
        line.deliver(incident(70, 7))
        line.look_again()
        said = line.description_of(V2.key)
        assert said[: len(written) - 1] == written[:-1]
        assert LINE not in said
        assert "15 min after: not compared, an incident began 10 min later" in said
        event = line.shown()[V2.key]
        assert (event.name, event.metadata["verdict"]) == (V2.event.name, "unknown")

    def test_it_keeps_what_was_seen_to_be_written_by_a_person(self, line: Line) -> None:
        line.api.set_traffic(BETTER_BEFORE)
        line.now = START + timedelta(minutes=66)
        line.deliver(V1, V2)
        edit(line, V2.key, *WHAT_V2_SAYS, "Hotfix. Ada")
        line.deliver(flag(59, "late"))
        line.look_again()
        line.now = NOW
        line.look_again()
        assert line.description_of(V2.key)[2:] == [
            "Hotfix. Ada",
            "Changed since then: Feature flag late turned on (https://flags.test/late)",
            LINE,
        ]

    def test_one_without_figures_overwrites_no_edit_that_nobody_has_seen(self, line: Line) -> None:
        line.now = START + timedelta(minutes=71)
        line.deliver(V1, V2, incident(70, 7))
        facts = line.shown()[V2.key].metadata | {"ticket": "INC-7"}
        edit(line, V2.key, *WHAT_V2_SAYS, "Hotfix. Ada", metadata=facts)
        line.now = NOW
        line.look_again()
        said = "15 min after: not compared, an incident began 10 min later"
        assert line.description_of(V2.key)[2:4] == ["Hotfix. Ada", said]
        assert line.shown()[V2.key].metadata["ticket"] == "INC-7"

    @pytest.mark.parametrize("fault", ["PATCH:dropx1", "PATCH:status=503x1"])
    def test_it_overwrites_no_edit_that_was_made_after_its_answer_was_lost(
        self, line: Line, fault: str
    ) -> None:
        line.api.set_traffic(BETTER_BEFORE)
        line.deliver(V1)
        line.look_again()
        line.deliver(V2)
        line.api.set_faults([fault])
        with pytest.raises((Unreachable, ServerFailed)):
            line.look_again()
        edit(line, V2.key, *line.description_of(V2.key), "Hotfix. Ada", source="by hand")
        line.now += timedelta(minutes=2)
        line.deliver(look_at(V2.key))
        event = line.shown()[V2.key]
        assert sorted(line.description_of(V2.key)) == sorted([*WHAT_V2_SAYS, LINE, "Hotfix. Ada"])
        assert (event.metadata["verdict"], event.source) == ("worse", "by hand")
        assert event.name.endswith(" (worse)")

    def test_it_overwrites_no_edit_if_a_report_comes_before_it_could_be_written(self, line: Line) -> None:
        line.now = START + timedelta(minutes=71)
        line.deliver(V1, V2, incident(70, 7))
        line.look_again()
        line.now = NOW
        line.api.set_faults(["GET:status=503x1"])
        with pytest.raises(ServerFailed):
            line.deliver(look_at(V2.key))
        edit(line, V2.key, *line.description_of(V2.key), "Hotfix. Ada")
        event = V2.event.model_copy(update={"metadata": V2.event.metadata | {"attempt": 2}})
        again = DeliveryReference(source="github", id="again", event="x")
        line.deliver(V2.model_copy(update={"event": event, "delivery": again}))
        assert line.description_of(V2.key)[-2:] == [
            "Hotfix. Ada",
            "15 min after: not compared, an incident began 10 min later",
        ]

    @pytest.mark.parametrize("is_done", [False, True])
    def test_it_is_given_though_it_was_due_while_the_creation_had_no_answer(
        self, line: Line, is_done: bool
    ) -> None:
        line.api.set_traffic(BETTER_BEFORE)
        line.api.set_faults(["POST:dropx1" if is_done else "POST:status=503x1"])
        with pytest.raises((Unreachable, ServerFailed)):
            line.deliver(V2)
        line.look_again()
        line.now += timedelta(minutes=2)
        line.deliver(V2)
        line.look_again()
        assert line.description_of(V2.key)[-1] == LINE

    def test_another_deploy_in_the_window_is_said_and_costs_no_figures(self, line: Line) -> None:
        line.api.set_traffic(BETTER_BEFORE)
        line.deliver(deploy(64, "v9", C3, repository="acme/api"), V2)
        before = line.api.number_of_requests()
        line.look_again()
        # Each of the two is read and updated.
        assert line.api.number_of_requests() - before == 4
        assert (
            line.description_of(V2.key)[-1] == "15 min after: not compared, acme/api was deployed 4 min later"
        )
        assert line.shown()[V2.key].metadata["verdict"] == "unknown"

    @pytest.mark.parametrize(
        ("late", "said"),
        [
            (deploy(64, "v9", C3, repository="acme/api"), "acme/api was deployed 4 min later"),
            (incident(70, 7), "an incident began 10 min later"),
        ],
    )
    def test_a_verdict_is_taken_back_if_it_turns_out_not_to_be_of_this_deploy_alone(
        self, line: Line, late: Change, said: str
    ) -> None:
        line.api.set_traffic(BETTER_BEFORE)
        line.deliver(V2)
        line.look_again()
        assert line.shown()[V2.key].metadata["verdict"] == "worse"
        line.deliver(late)
        line.look_again()
        event = line.shown()[V2.key]
        assert (event.name, event.metadata["verdict"]) == (V2.event.name, "unknown")
        assert f"15 min after: not compared, {said}" in line.description_of(V2.key)
        assert sum("15 min after" in words for words in line.description_of(V2.key)) == 1

    @pytest.mark.parametrize(
        ("late", "said"),
        [
            (deploy(110, "v9", C3, repository="acme/api"), "acme/api was deployed 50 min later"),
            (incident(130, 7), "an incident began 1 h 10 min later"),
        ],
    )
    def test_it_is_taken_back_for_late_news_of_the_periods_that_its_route_has_given_it(
        self, line: Line, late: Change, said: str
    ) -> None:
        line.api.set_traffic(BETTER_BEFORE)
        line.deliver(V2.model_copy(update={"verdict_after": timedelta(minutes=80)}))
        line.now += HOUR
        line.look_again()
        assert line.shown()[V2.key].metadata["verdict"] == "worse"
        line.deliver(late)
        line.look_again()
        assert f"1 h 20 min after: not compared, {said}" in line.description_of(V2.key)

    def test_two_markers_that_turn_out_to_be_one_deploy_are_judged_anew(self, line: Line) -> None:
        line.api.set_traffic(BETTER_BEFORE)
        other = deploy(60, "v2.4.0", C2, key="hook")
        line.deliver(V2, other)
        line.look_again()
        assert line.shown()[V2.key].metadata["verdict"] == "unknown"
        line.deliver(
            other.model_copy(
                update={
                    "aliases": (V2.key,),
                    "delivery": DeliveryReference(source="github", id="x", event="x"),
                }
            )
        )
        line.look_again()
        (event,) = line.shown().values()
        assert (event.description or "").splitlines()[-1] == LINE

    def test_it_is_taken_back_if_another_deploy_went_on_all_the_time(self, line: Line) -> None:
        line.api.set_traffic(BETTER_BEFORE)
        line.deliver(V2)
        line.look_again()
        assert line.shown()[V2.key].metadata["verdict"] == "worse"
        line.deliver(ended(LONG, 100))
        line.look_again()
        assert line.description_of(V2.key)[-1] == (
            "15 min after: not compared, acme/api was deployed 40 min later"
        )

    @pytest.mark.parametrize(
        ("minute", "said"),
        [
            (-120, "began 3 h earlier and had not ended"),
            (30, "began 30 min earlier and had not ended"),
            (59, "began 1 min earlier and had not ended"),
            (70, "began 10 min later"),
        ],
    )
    def test_a_deploy_that_is_still_running_is_said_at_once_and_costs_no_figures(
        self, line: Line, minute: int, said: str
    ) -> None:
        line.api.set_traffic(BETTER_BEFORE)
        running = began(deploy(minute, "v9", C3, "in_progress", repository="acme/api"))
        line.deliver(running, V2)
        before = line.api.number_of_requests()
        line.look_again()
        # The event is read and updated.
        assert line.api.number_of_requests() - before == 2
        words = f"15 min after: not compared, a deploy of acme/api {said}"
        assert line.description_of(V2.key)[-1] == words
        line.deliver(ended(running, 100))
        line.look_again()
        assert line.description_of(V2.key)[-1] == words

    def test_it_is_taken_back_at_once_if_another_deploy_turns_out_to_be_running(self, line: Line) -> None:
        line.api.set_traffic(BETTER_BEFORE)
        line.deliver(V2)
        line.look_again()
        assert line.shown()[V2.key].metadata["verdict"] == "worse"
        line.deliver(LONG)
        line.look_again()
        assert line.description_of(V2.key)[-1].endswith("acme/api began 30 min earlier and had not ended")

    def test_a_deploy_whose_end_was_never_reported_disturbs_for_six_hours(self, line: Line) -> None:
        line.api.set_traffic(BETTER_BEFORE)
        line.deliver(began(deploy(60 - 6 * 60 - 20, "v9", C3, "in_progress", repository="acme/api")), V2)
        line.look_again()
        assert line.shown()[V2.key].metadata["verdict"] == "worse"

    @pytest.mark.parametrize("is_late", [False, True])
    @pytest.mark.parametrize(
        ("other", "called_off"),
        [
            (incident(70, 7), incident(72, 7, Effect.CLOSE, status="merged", started=70)),
            (LONG, ended(LONG, 100, "cancelled")),
            (LONG, never_began(LONG)),
        ],
    )
    def test_it_is_compared_once_what_disturbed_it_is_called_off(
        self, line: Line, other: Change, called_off: Change, is_late: bool
    ) -> None:
        line.api.set_traffic(BETTER_BEFORE)
        line.deliver(V2)
        if is_late:
            line.look_again()
            assert line.shown()[V2.key].metadata["verdict"] == "worse"
        line.deliver(other)
        line.look_again()
        assert line.shown()[V2.key].metadata["verdict"] == "unknown"
        line.deliver(called_off)
        # Two for its figures if they are not known, otherwise one that reads the event, and the update. What
        # the incident has named is updated, too.
        needed = 2 if is_late else 3
        before = line.api.number_of_requests()
        line.look_again()
        others = 2 if other.event.type == EventType.INCIDENT else 0
        assert line.api.number_of_requests() - before <= needed + others
        assert line.description_of(V2.key)[-1] == LINE
        assert line.shown()[V2.key].name.endswith(" (worse)")

    def test_it_is_compared_once_what_seemed_to_run_turns_out_to_have_ended_before(self, line: Line) -> None:
        line.api.set_traffic(BETTER_BEFORE)
        line.deliver(V2, LONG)
        line.look_again()
        assert line.shown()[V2.key].metadata["verdict"] == "unknown"
        line.deliver(ended(LONG, 40))
        line.look_again()
        assert line.description_of(V2.key)[-1] == LINE

    def test_it_does_not_say_of_what_turns_out_to_have_ended_that_it_had_not(self, line: Line) -> None:
        line.deliver(V2, LONG)
        line.look_again()
        assert line.description_of(V2.key)[-1].endswith("acme/api began 30 min earlier and had not ended")
        line.deliver(ended(LONG, 55))
        line.look_again()
        assert line.description_of(V2.key)[-1] == (
            "15 min after: not compared, acme/api was deployed 5 min earlier"
        )

    def test_what_was_deleted_without_an_answer_disturbs_it_once_it_is_there_again(self, line: Line) -> None:
        line.api.set_traffic(BETTER_BEFORE)
        line.deliver(LONG)
        line.api.set_faults(["DELETE:dropx1"])
        with pytest.raises(Unreachable):
            line.deliver(never_began(LONG))
        minute_later = LONG.occurred_at + timedelta(minutes=1)
        line.deliver(LONG.model_copy(update={"effect": Effect.REOPEN, "occurred_at": minute_later}), V2)
        line.look_again()
        assert line.description_of(V2.key)[-1].endswith("acme/api began 30 min earlier and had not ended")

    def test_what_else_disturbed_it_is_said_then(self, line: Line) -> None:
        line.deliver(V2, incident(70, 7), deploy(75, "v9", C3, repository="acme/api"))
        line.look_again()
        assert "15 min after: not compared, an incident began 10 min later" in line.description_of(V2.key)
        line.deliver(incident(72, 7, Effect.CLOSE, status="merged", started=70))
        line.look_again()
        assert line.description_of(V2.key)[-1] == (
            "15 min after: not compared, acme/api was deployed 15 min later"
        )

    def test_what_is_said_of_it_follows_if_it_turns_out_to_have_begun_earlier(self, line: Line) -> None:
        line.deliver(V2, incident(70, 7, Effect.CLOSE))
        line.look_again()
        assert "15 min after: not compared, an incident began 10 min later" in line.description_of(V2.key)
        line.deliver(incident(64, 7))
        line.look_again()
        said = [words for words in line.description_of(V2.key) if "not compared" in words]
        assert said == ["15 min after: not compared, an incident began 4 min later"]

    def test_what_is_called_off_after_more_than_a_day_leaves_it_as_it_is(self, line: Line) -> None:
        line.deliver(V2, LONG)
        line.look_again()
        said = line.description_of(V2.key)
        line.now += timedelta(days=2)
        line.deliver(ended(LONG, 100, "cancelled"))
        line.look_again()
        assert line.description_of(V2.key) == said

    def test_an_incident_in_the_window_is_said(self, line: Line) -> None:
        line.deliver(V2, incident(64, 7))
        line.look_again()
        assert "15 min after: not compared, an incident began 4 min later" in line.description_of(V2.key)

    def test_an_incident_before_the_deploy_does_not_count(self, line: Line) -> None:
        line.api.set_traffic([traffic(80, 60, 900.0), traffic(95, 0, 150.0)])
        line.deliver(incident(64, 7), BACK)
        line.look_again()
        assert line.shown()[BACK.key].metadata["verdict"] == "better"
        assert line.shown()[BACK.key].name == "Deploy acme/shop v2.3.0 to production (better)"

    def test_little_traffic_is_no_verdict(self, line: Line) -> None:
        line.api.set_traffic([traffic(50, 0, 100.0, 20), traffic(65, 9, 100.0, 30)])
        line.deliver(V2)
        line.look_again()
        assert line.description_of(V2.key)[-1] == (
            "15 min after: 30 requests (20 before): too little traffic to compare"
        )

    def test_an_end_that_moves_is_judged_anew_and_the_line_of_the_old_one_goes(self, line: Line) -> None:
        line.api.set_traffic([*BETTER_BEFORE, traffic(85, 1, 150.0)])
        begun = deploy(60, "v2.4.0", C2, "in_progress").model_copy(
            update={"effect": Effect.OPEN, "lasted": None}
        )
        line.deliver(begun, ended(begun, 63))
        line.look_again()
        assert line.shown()[begun.key].metadata["verdict"] == "worse"
        line.deliver(ended(begun, 80, "failure"))
        event = line.shown()[begun.key]
        assert (event.metadata.get("verdict"), event.name.endswith("(worse)")) == (None, False)
        line.look_again()
        said = [text for text in line.description_of(begun.key) if "after: " in text]
        assert said == ["15 min after: errors 0.33 % → 0.17 %, mean response 145 → 150 ms, 600 requests"]

    def test_a_deploy_that_was_cancelled_gets_none(self, line: Line) -> None:
        line.deliver(deploy(60, "v2.4.0", C2, "cancelled"))
        assert line.look_again() == 0

    def test_a_test_environment_is_judged_only_by_figures_of_its_own(self, line: Line) -> None:
        line.deliver(deploy(60, "v2.4.0", C2, environment="staging"))
        assert line.look_again() == 0

    @pytest.mark.parametrize(("after", "looks"), [(timedelta(), 0), (timedelta(minutes=150), 0)])
    def test_a_route_decides_when(self, line: Line, after: timedelta, looks: int) -> None:
        line.deliver(V2.model_copy(update={"verdict_after": after}))
        assert line.look_again() == looks

    def test_with_less_than_a_fifth_of_the_budget_it_waits(self, line: Line) -> None:
        line.api.set_traffic(BETTER_BEFORE)
        line.deliver(V2)
        reset = line.now.timestamp() + 600
        line.redis.hset("apitraffic:budget", mapping={"limit": 1000, "remaining": 200, "reset": reset})
        before = line.api.number_of_requests()
        line.look_again()
        assert line.api.number_of_requests() == before
        assert "verdict" not in line.shown()[V2.key].metadata
        line.redis.hset(
            "apitraffic:budget", mapping={"limit": 1000, "remaining": 1000, "reset": reset + 9999}
        )
        line.now += timedelta(seconds=601)
        line.look_again()
        assert line.shown()[V2.key].metadata["verdict"] == "worse"

    def test_while_figures_are_away_it_waits_ever_longer_and_then_says_it(self, line: Line) -> None:
        line.api.set_traffic(BETTER_BEFORE)
        line.deliver(V2)
        line.now = START + timedelta(minutes=76)
        line.api.set_faults(["metrics=503"])
        before = line.api.number_of_requests()
        for _ in range(23 * 12):
            line.look_again()
            line.now += timedelta(minutes=5)
        assert line.api.number_of_requests() - before < 30
        line.api.set_faults([])
        assert "verdict" not in line.shown()[V2.key].metadata
        line.now += HOUR
        line.look_again()
        assert line.description_of(V2.key)[-1] == LINE

    def test_figures_that_never_come_are_said_after_a_day(self, line: Line) -> None:
        line.deliver(V2)
        line.api.set_faults(["metrics=503"])
        line.look_again()
        line.now = START + timedelta(minutes=76, hours=24, seconds=1)
        line.look_again()
        assert line.description_of(V2.key)[-1] == "15 min after: not compared, there were no figures"
        line.now += timedelta(days=1)
        assert line.look_again() == 0

    def test_that_there_were_none_is_said_though_the_last_attempt_was_an_hour_ago(self, line: Line) -> None:
        line.deliver(V2)
        line.api.set_faults(["metrics=503"])
        line.now = START + timedelta(minutes=76, hours=23, seconds=59)
        line.look_again()
        line.now += HOUR
        line.look_again()
        assert line.description_of(V2.key)[-1] == "15 min after: not compared, there were no figures"

    def test_figures_that_use_up_the_budget_let_all_other_requests_wait(
        self, line: Line, tmp_path: Path
    ) -> None:
        with (
            running_local_api(tmp_path, "--quota", "2") as api,
            EventsClient(api_url=api.url, account_sid=api.account_sid, token=api.token) as client,
        ):
            # The creation, one request for figures, and one too many.
            short = Line(api, client, line.redis, judges=True)
            short.deliver(V2)
            with pytest.raises(RateLimited):
                short.look_again()
            with pytest.raises(BudgetExhausted):
                short.budget.before_request()

    def test_figures_that_alone_are_refused_keep_no_other_request_waiting(self, line: Line) -> None:
        """The answer says that requests are left."""
        line.deliver(V2)
        line.api.set_faults(["metrics=429"])
        line.look_again()
        line.budget.before_request()
        line.api.set_faults([])
        line.api.set_traffic(BETTER_BEFORE)
        line.now += HOUR
        line.look_again()
        assert line.description_of(V2.key)[-1] == LINE

    def test_a_token_without_the_scope_pauses_nothing_and_is_asked_for_once(self, line: Line) -> None:
        line.api.set_faults(["metrics=403"])
        line.deliver(V2)
        line.look_again()
        assert line.deliver(flag(70, "a")) == [Delivered.CREATED]
        line.now += timedelta(minutes=30)
        assert line.look_again() == 0
        assert "verdict" not in line.shown()[V2.key].metadata

    def test_a_loss_of_redis_does_not_double_it(self, line: Line) -> None:
        line.api.set_traffic(BETTER_BEFORE)
        line.deliver(V1, V2)
        line.look_again()
        said = line.description_of(V2.key)
        line.redis.flushdb()
        line.api.set_traffic([])
        line.deliver(V2, V1)
        line.look_again()
        assert line.description_of(V2.key) == said
        assert line.shown()[V2.key].name.count("worse") == 1


def test_a_name_that_the_api_refuses_keeps_no_neighbour_from_being_shown(line: Line) -> None:
    hostile = flag(10, "a")
    hostile = hostile.model_copy(update={"event": hostile.event.model_copy(update={"name": "DROP TABLE x"})})
    line.deliver(V1)
    line.deliver(hostile)
    line.api.set_faults(["waf"])
    line.deliver(V2, incident(64, 1842))
    line.look_again()
    shown = line.shown()
    assert line.description_of(V2.key) == WHAT_V2_SAYS
    assert shown[V2.key].metadata["previous_version"] == "v2.3.0"
    assert shown["incident:1842"].name == "#1842 Checkout latency above 2 s"
    assert "suspects" not in shown["incident:1842"].metadata
    line.deliver(incident(70, 1842, Effect.CLOSE, started=64))
    assert line.shown()["incident:1842"].ended_at == START + timedelta(minutes=70)


def test_nobody_names_a_marker_that_the_api_refuses_until_it_is_replayed(line: Line) -> None:
    hostile = flag(50, "a")
    hostile = hostile.model_copy(update={"event": hostile.event.model_copy(update={"name": "DROP TABLE x"})})
    bad = deploy(55, "v2.3.1", C3)
    bad = bad.model_copy(update={"event": bad.event.model_copy(update={"description": "DROP TABLE x"})})
    line.api.set_faults(["waf"])
    line.deliver(V1, V2)
    for refused in (hostile, bad):
        with pytest.raises(EventRefused):
            line.deliver(refused)
    line.look_again()
    line.deliver(incident(64, 1842))
    line.look_again()
    assert line.description_of(V2.key)[: len(WHAT_V2_SAYS)] == WHAT_V2_SAYS
    assert "changed_since" not in line.shown()[V2.key].metadata
    assert line.shown()["incident:1842"].metadata["suspects"] == [V2.event.name]
    line.api.set_faults([])
    line.deliver(hostile, bad)
    line.look_again()
    assert line.shown()[V2.key].metadata["previous_version"] == "v2.3.1"
    assert line.shown()["incident:1842"].metadata["suspects"] == [V2.event.name, "DROP TABLE x"]


@pytest.mark.parametrize("junk", ["{", "[]", '{"key": 1}'])
def test_what_cannot_be_read_in_redis_keeps_no_marker_from_being_shown(line: Line, junk: str) -> None:
    line.deliver(V1)
    (history,) = line.redis.keys("apitraffic:history:*")
    line.redis.hset(history, "junk", junk)
    assert line.deliver(V2) == [Delivered.CREATED]
    assert line.description_of(V2.key) == WHAT_V2_SAYS


def test_an_insight_that_cannot_be_had_keeps_no_marker_from_being_shown(line: Line) -> None:
    line.deliver(V1)
    (history,) = line.redis.keys("apitraffic:history:*")
    line.redis.set(history, "of another type")
    assert line.deliver(V2) == [Delivered.CREATED]
    assert line.shown()[V2.key].as_event() == V2.event
    assert line.deliver(look_at(V1.key)) == [Delivered.UNCHANGED]
    assert line.look_again() == 0


def test_an_insight_that_cannot_be_had_keeps_no_marker_from_being_withdrawn(line: Line) -> None:
    begun = deploy(60, "v2.4.0", C2, "in_progress").model_copy(update={"effect": Effect.OPEN})
    line.deliver(begun)
    (history,) = line.redis.keys("apitraffic:history:*")
    line.redis.set(history, "of another type")
    earlier = begun.occurred_at - timedelta(minutes=1)
    never = {"effect": Effect.UPDATE, "is_final": True, "sets": ("name",), "occurred_at": earlier}
    assert line.deliver(begun.model_copy(update=never)) == [Delivered.WITHDRAWN]
    assert line.shown() == {}


def test_what_the_api_refuses_without_any_of_it_is_refused(line: Line) -> None:
    line.api.set_faults(["waf"])
    hostile = V2.model_copy(update={"event": V2.event.model_copy(update={"description": "DROP TABLE x"})})
    line.deliver(V1)
    with pytest.raises(EventRefused):
        line.deliver(hostile)
    assert line.shown().keys() == {V1.key}


def test_what_is_due_becomes_a_job_that_changes_nothing_by_itself(line: Line) -> None:
    line.deliver(V1, V2)
    line.timeline.look_again([V2.key], NOW - timedelta(seconds=1))
    looks = second_looks(line.redis)
    assert looks.enqueue_due() == 1
    assert looks.enqueue_due() == 0
    (queued,) = (change_in(job.data) for job in delivery_queue(line.redis).jobs)
    assert queued.key == V2.key
    (job_id,) = delivery_queue(line.redis).job_ids
    assert marker_names_of_job(line.redis, job_id) == [V2.key]
    shown = line.shown()
    assert line.deliver(queued) == [Delivered.UNCHANGED]
    assert line.shown() == shown


def test_what_was_planned_too_long_ago_is_dropped(line: Line) -> None:
    line.timeline.look_again([V2.key], NOW - timedelta(days=5))
    assert second_looks(line.redis).enqueue_due() == 0
    assert line.redis.zcard(AccountKeys().second_looks) == 0


def test_a_look_that_was_asked_for_meanwhile_is_made(line: Line) -> None:
    line.timeline.look_again([V2.key], NOW)
    planned = line.timeline.begin_look(V2.key, NOW)
    line.timeline.look_again([V2.key], NOW + timedelta(seconds=2))
    line.timeline.looked(V2.key, planned, None)
    assert line.redis.zcard(AccountKeys().second_looks) == 1
    line.timeline.looked(V2.key, line.timeline.begin_look(V2.key, NOW), None)
    assert line.redis.zcard(AccountKeys().second_looks) == 0


def test_a_look_that_nobody_had_planned_keeps_one_that_is_planned_meanwhile(line: Line) -> None:
    begun = line.timeline.begin_look(V2.key, NOW)
    line.timeline.look_again([V2.key], NOW)
    line.timeline.looked(V2.key, begun, None)
    assert line.redis.zcard(AccountKeys().second_looks) == 1


def test_a_look_whose_job_has_failed_is_dropped_in_the_end(line: Line) -> None:
    """Otherwise a hundred of them would keep all others from being made."""
    line.timeline.look_again([V2.key], NOW - timedelta(seconds=1))
    assert second_looks(line.redis).enqueue_due() == 1
    line.redis.zadd(AccountKeys().second_looks, {V2.key: (NOW - timedelta(days=5)).timestamp()})
    line.redis.delete(*line.redis.scan_iter("apitraffic:second-look:*"))
    assert second_looks(line.redis).enqueue_due() == 0
    assert line.redis.zcard(AccountKeys().second_looks) == 0


def test_a_list_that_the_api_refuses_fails_no_second_look(line: Line) -> None:
    line.deliver(V2)
    line.redis.set("apitraffic:remembers-since", NOW.timestamp())
    line.timeline.look_again([V2.key], NOW)
    line.api.set_faults(["GET:status=400"])
    assert line.look_again() == 1
    assert line.look_again() == 0


def test_the_timeline_forgets_what_is_old(line: Line) -> None:
    old = V1.model_copy(
        update={
            "key": "old",
            "event": V1.event.model_copy(update={"started_at": NOW - timedelta(days=40)}),
        }
    )
    line.deliver(old, V1, V2)
    assert line.redis.zrange("apitraffic:timeline:deployment", 0, -1) == [V1.key.encode(), V2.key.encode()]
    assert line.redis.hlen("apitraffic:records") == 2
