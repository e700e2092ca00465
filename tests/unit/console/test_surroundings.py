"""What the page of an event says of others: what the receiver remembers, otherwise what the console knows."""

from datetime import UTC, datetime, timedelta
from typing import Any

from apitraffic_events import StoredEvent
from receiver.console.known_events import Known
from receiver.console.markers import marker_of
from receiver.console.surroundings import EventSurroundings, Other
from receiver.insight.annotation import Insight
from receiver.insight.history import Course, Previous
from receiver.insight.suspects import Mention

NOON = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
FACTS = {"repository": "acme/shop", "repository_url": "https://github.com/acme/shop", "status": "success"}


def event(minute: int, type_: str = "deployment", **fields: Any) -> StoredEvent:
    return StoredEvent.model_validate(
        {
            "sid": f"evt_{type_}_{minute}",
            "type": type_,
            "name": f"{type_} {minute}",
            "startedAt": (NOON + timedelta(minutes=minute)).isoformat(),
            **fields,
        }
    )


def deploy(minute: int, version: str, commit: str, **facts: Any) -> StoredEvent:
    return event(minute, metadata=FACTS | {"version": version, "commit": commit * 40} | facts)


def known(*events: StoredEvent, since: datetime = NOON - timedelta(days=1)) -> Known:
    markers = (marker_of(one, {}) for one in events)
    return Known(markers=tuple(marker for marker in markers if marker is not None), since=since)


V1, FLAG, V2 = deploy(0, "v1.0", "1"), event(5, "config_change"), deploy(10, "v2.0", "2")
INCIDENT, AGAIN = event(14, "incident"), deploy(20, "v1.0", "1")
STORY = known(V1, FLAG, V2, INCIDENT, AGAIN)


def test_of_what_was_posted_directly_the_known_events_say_it() -> None:
    around = EventSurroundings.of(V2, None, STORY)
    assert around.before == Other("v1.0", sid=V1.sid)
    assert around.earlier == "10 min"
    assert around.compare_url == f"https://github.com/acme/shop/compare/{'1' * 40}...{'2' * 40}"
    assert around.changed == (Other(FLAG.name, sid=FLAG.sid),)
    assert around.incidents == (Other(INCIDENT.name, "4 min later", INCIDENT.sid),)
    assert EventSurroundings.of(AGAIN, None, STORY).course is Course.ROLLBACK


def test_an_incident_says_what_changed_before_it() -> None:
    suspects = EventSurroundings.of(INCIDENT, None, STORY).suspects
    assert [(one.when, one.sid) for one in suspects] == [
        ("4 min before", V2.sid),
        ("9 min before", FLAG.sid),
    ]


def test_what_the_receiver_remembers_counts_and_is_linked_if_the_console_knows_its_key() -> None:
    there = event(3, metadata={"marker_key": "github:deployment:1"})
    insight = Insight(
        previous=Previous(key="github:deployment:1", version="v0.9", at=NOON),
        changed=(Mention(key="gone", name="A flag", url="https://flags/1", at=NOON),),
        changed_count=5,
    )
    around = EventSurroundings.of(V2, insight, known(there, V1, FLAG, INCIDENT))
    assert around.before == Other("v0.9", sid=there.sid)
    assert around.changed == (Other("A flag", url="https://flags/1"),)
    assert around.more == "and 4 more"
    assert around.incidents == ()


def test_more_may_have_changed_than_the_console_has_read() -> None:
    told = {"previous_version": "v0.1", "previous_deployed_at": "2025-12-01T00:00:00Z"}
    around = EventSurroundings.of(deploy(10, "v2.0", "2", **told), None, STORY)
    assert around.before == Other("v0.1")
    assert around.more == "perhaps more"


def test_an_event_that_has_to_do_with_nothing_says_nothing() -> None:
    assert EventSurroundings.of(V1, None, known(V1)).is_empty
    assert EventSurroundings.of(event(0, "custom"), None, STORY).is_empty
    assert EventSurroundings.of(StoredEvent(sid="evt_1", type="deployment"), None, Known()).is_empty
