"""What changed before an incident, and what else happened beside a deploy."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apitraffic_events.event import Event, EventType
from receiver.insight.records import Record, record_of, shares_scope
from receiver.insight.suspects import changes_between, disturbances, incidents_after, suspects_of

START = datetime(2026, 1, 10, 10, 0, tzinfo=UTC)
KINDS = {
    "deploy": EventType.DEPLOYMENT,
    "incident": EventType.INCIDENT,
    "flag": EventType.CONFIG_CHANGE,
    "scale": EventType.SCALE,
}


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def record(kind: str, minute: float, until: float | None = None, **fields: Any) -> Record:
    """One that began in this minute; `until` is when it ended."""
    metadata = {
        "status": "success",
        "repository": "acme/shop",
        "release": "v1",
        "url": f"https://x.test/{kind}",
        **fields.pop("metadata", {}),
    }
    event = Event(
        type=KINDS[kind],
        name=f"{kind} {minute}",
        metadata=metadata,
        started_at=at(minute),
        ended_at=None if until is None else at(until),
        **fields,
    )
    found = record_of(event, f"{kind}:{minute}")
    assert found is not None
    return found


OUTAGE = record("incident", 60)
FAILED, RUNNING = ({"status": status} for status in ("failure", "in_progress"))


def names(mentions: Any) -> list[str]:
    return [mention.name for mention in mentions]


@pytest.mark.parametrize(
    ("later", "named"),
    [
        ([record("deploy", 55)], ["deploy 55"]),
        ([record("deploy", 55, metadata=FAILED)], ["deploy 55", "deploy 50"]),
        ([record("deploy", 58, metadata=RUNNING)], ["deploy 58", "deploy 50"]),
        ([record("deploy", 58, until=62)], ["deploy 58", "deploy 50"]),
        (
            [record("deploy", minute, metadata=FAILED) for minute in (52, 54, 56)],
            ["deploy 56", "deploy 50"],
        ),
        ([record("deploy", 52, metadata=FAILED), record("deploy", 54)], ["deploy 54"]),
    ],
)
def test_only_a_deploy_that_has_succeeded_by_then_hides_the_one_before(
    later: list[Record], named: list[str]
) -> None:
    assert names(suspects_of(OUTAGE, [record("deploy", 40), record("deploy", 50), *later])) == named


def test_the_nearest_three_of_the_hour_before_are_named() -> None:
    changes = [record("deploy", 10), record("flag", 40), record("scale", 50), record("deploy", 56)]
    found = suspects_of(OUTAGE, changes)
    assert names(found) == ["deploy 56", "scale 50", "flag 40"]
    assert [mention.apart for mention in found] == [timedelta(minutes=apart) for apart in (4, 10, 20)]
    assert found[0].url == "https://x.test/deploy"
    assert found[0].at == at(56)


def test_a_deploy_under_way_when_it_began_comes_first() -> None:
    found = suspects_of(OUTAGE, [record("flag", 59), record("deploy", 50, 70)])
    assert names(found) == ["deploy 50", "flag 59"]
    assert found[0].apart == timedelta()


@pytest.mark.parametrize(
    "other",
    [
        record("flag", 0),
        record("flag", 61),
        record("incident", 55),
        record("deploy", 55, metadata={"status": "cancelled"}),
        record("deploy", 55, buckets=("bkt_b",), metadata={}),
    ],
)
def test_what_cannot_have_to_do_with_it_is_not_named(other: Record) -> None:
    outage = record("incident", 60, buckets=("bkt_a",))
    assert suspects_of(outage, [other]) == ()


def test_if_the_incident_does_not_say_where_it_is_test_environments_come_last() -> None:
    def shop(number: int, minute: int, environment: str) -> Record:
        return record("deploy", minute, metadata={"repository": f"r{number}", "environment": environment})

    changes = [shop(number, 50 + number, "staging") for number in range(4)]
    changes += [record("deploy", 20), shop(9, 30, "production")]
    assert names(suspects_of(OUTAGE, changes)) == ["deploy 30", "deploy 20", "deploy 53"]
    in_staging = record("incident", 60, metadata={"environment": "staging"})
    assert names(suspects_of(in_staging, changes)) == ["deploy 53", "deploy 52", "deploy 51"]


def test_of_deploys_that_replaced_each_other_only_the_last_is_named() -> None:
    changes = [record("deploy", 40), record("deploy", 50), record("deploy", 55), record("flag", 45)]
    assert names(suspects_of(OUTAGE, changes)) == ["deploy 55", "flag 45"]
    beside = [record("deploy", minute, metadata={"workflow": f"w{minute}"}) for minute in (40, 50)]
    assert names(suspects_of(OUTAGE, beside)) == ["deploy 50", "deploy 40"]


def test_a_deploy_that_failed_is_named() -> None:
    assert len(suspects_of(OUTAGE, [record("deploy", 55, metadata={"status": "failure"})])) == 1


def test_a_change_names_the_incidents_that_name_it() -> None:
    change = record("deploy", 56)
    named = OUTAGE.model_copy(update={"suspects": (change.key,)})
    found = incidents_after(change, [named, record("incident", 57)])
    assert names(found) == ["incident 60"]
    assert found[0].apart == timedelta(minutes=4)


def test_changes_of_the_configuration_since_the_deploy_before_come_latest_first() -> None:
    own = record("deploy", 60)
    others = [record("flag", minute) for minute in (0, 10, 50, 60, 61)] + [record("scale", 20)]
    assert names(changes_between(at(0), own, others)) == ["flag 60", "flag 50", "flag 10"]


PERIODS = ((at(43), at(58)), (at(60), at(75)))


@pytest.mark.parametrize(
    ("other", "disturbs"),
    [
        (record("deploy", 50), True),
        (record("deploy", 59), False),
        (record("deploy", 70), True),
        (record("deploy", 30), False),
        (record("deploy", 20, 44), True),
        (record("deploy", 76), False),
        (record("deploy", 30, metadata=RUNNING), True),
        (record("deploy", 70, metadata=RUNNING), True),
        (record("deploy", 76, metadata=RUNNING), False),
        (record("deploy", 42 - 6 * 60, metadata=RUNNING), False),
        (record("deploy", 30, 40, metadata=RUNNING), False),
        (record("incident", 30, metadata=RUNNING), False),
        (record("deploy", 70, metadata={"status": "failure"}), True),
        (record("deploy", 70, metadata={"status": "cancelled"}), False),
        (record("deploy", 70, metadata={"status": "published"}), False),
        (record("incident", 65), True),
        (record("incident", 50), False),
        (record("incident", 76), False),
        (record("incident", 65, metadata={"status": "merged"}), False),
        (record("flag", 65), False),
        (record("deploy", 70, metadata={"environment": "staging"}), False),
    ],
)
def test_a_comparison_is_disturbed_by_other_deploys_and_by_incidents_after_it(
    other: Record, disturbs: bool
) -> None:
    own = record("deploy", 58, 60, metadata={"environment": "production"})
    assert bool(disturbances(own, PERIODS, [own, other])) is disturbs


@pytest.mark.parametrize(
    ("one", "other", "shares"),
    [
        ({}, {}, True),
        ({"buckets": ("a",)}, {}, True),
        ({"buckets": ("a",)}, {"buckets": ("a", "b")}, True),
        ({"buckets": ("a",)}, {"buckets": ("b",)}, False),
        ({"environments": ("a",)}, {"environments": ("b",)}, False),
        ({"metadata": {"environment": "prod"}}, {"metadata": {"environment": "Production"}}, True),
        ({"metadata": {"environment": "staging"}}, {"metadata": {"environment": "production"}}, False),
        ({"metadata": {"environment": "staging"}}, {}, True),
    ],
)
def test_markers_share_a_scope_if_some_chart_shows_both(
    one: dict[str, Any], other: dict[str, Any], shares: bool
) -> None:
    left, right = record("deploy", 0, **one), record("flag", 1, **other)
    assert shares_scope(left, right) is shares
    assert shares_scope(right, left) is shares
