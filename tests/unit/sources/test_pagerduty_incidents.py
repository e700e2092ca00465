"""What an incident's marker shows once several of its deliveries are known, in every order of arrival."""

from datetime import UTC, datetime
from itertools import permutations

from apitraffic_events.event import Event
from receiver.delivery.folding import fold
from receiver.events import Change
from tests.support.pagerduty import change_of_case

NAME = "#1842 Checkout latency above 2 s (P1)"
CREATED = datetime(2026, 1, 10, 10, tzinfo=UTC)
RESOLVED = datetime(2026, 1, 10, 10, 42, 17, 905_000, tzinfo=UTC)

TRIGGER = change_of_case("incident.triggered__by_monitoring")
PRIORITY = change_of_case("incident.priority_updated__to_p1")
ACKNOWLEDGEMENT = change_of_case("incident.acknowledged__by_ada")
RESOLUTION = change_of_case("incident.resolved__by_ada")
NOTE = change_of_case("incident.annotated__resolution")
REOPENING = change_of_case("incident.reopened__by_ada")
RESOLVED_AGAIN = change_of_case("incident.resolved__after_reopening")
MERGE = change_of_case("incident.resolved__merged")


def folded(*changes: Change) -> Event | None:
    """The fold, the same for every order of arrival and for repeated deliveries."""
    results = [fold(order) for order in permutations(changes)]
    assert all(result == results[0] for result in results)
    assert fold((*changes, *changes)) == results[0]
    return results[0]


def known(*changes: Change) -> Event:
    event = folded(*changes)
    assert event is not None
    return event


def test_from_the_trigger_to_the_resolution_it_is_one_closed_marker() -> None:
    event = known(RESOLUTION, TRIGGER, PRIORITY, ACKNOWLEDGEMENT, NOTE)
    assert event.name == NAME
    assert (event.started_at, event.ended_at) == (CREATED, RESOLVED)
    assert event.description == (
        "Resolved by Ada Example after 42 min 18 s.\n10:42 UTC Resolution by Ada Example: rolled back"
    )
    assert event.metadata["status"] == "resolved"
    assert event.metadata["severity"] == "P1"
    assert event.metadata["actor"] == "Ada Example"
    # A resolved incident has no assignees any more; who had it is worth knowing all the same.
    assert event.metadata["assignees"] == "Ada Example"


def test_the_resolution_alone_is_complete() -> None:
    event = known(RESOLUTION)
    assert event.name == NAME
    assert (event.started_at, event.ended_at) == (CREATED, RESOLVED)
    assert event.description == "Resolved by Ada Example after 42 min 18 s."


def test_a_note_after_the_resolution_is_in_the_description() -> None:
    event = known(RESOLUTION, NOTE)
    assert NOTE.occurred_at > RESOLUTION.occurred_at
    assert event.name == NAME
    assert event.ended_at == RESOLVED
    assert event.description is not None
    assert event.description.endswith("\n10:42 UTC Resolution by Ada Example: rolled back")


def test_a_note_has_no_say_in_anything_but_the_trail() -> None:
    without, having = known(TRIGGER, ACKNOWLEDGEMENT), known(TRIGGER, ACKNOWLEDGEMENT, NOTE)
    assert (having.name, having.started_at, having.ended_at) == (NAME, CREATED, None)
    assert having.metadata | {"delivery_id": ""} == without.metadata | {"delivery_id": ""}
    assert having.description == (
        "Acknowledged by Ada Example after 3 min.\n10:42 UTC Resolution by Ada Example: rolled back"
    )


def test_a_note_alone_waits() -> None:
    assert folded(NOTE) is None
    assert folded(NOTE, change_of_case("incident.status_update_published__by_ada")) is None


def test_an_acknowledgement_whose_trigger_was_never_heard_of_opens() -> None:
    event = known(ACKNOWLEDGEMENT)
    assert (event.name, event.started_at, event.ended_at) == (NAME, CREATED, None)
    assert event.description == "Acknowledged by Ada Example after 3 min."


def test_a_late_trigger_does_not_undo_what_came_after_it() -> None:
    event = known(ACKNOWLEDGEMENT, TRIGGER)
    assert event.description == "Acknowledged by Ada Example after 3 min."
    assert event.metadata["status"] == "acknowledged"


def test_without_the_time_of_creation_the_trigger_is_the_start() -> None:
    bare_trigger = change_of_case("incident.triggered__of_2021_without_created_at")
    late = change_of_case("incident.resolved__created_at_missing")
    event = known(late, bare_trigger)
    assert (event.started_at, event.ended_at) == (bare_trigger.occurred_at, RESOLVED)


def test_a_priority_set_later_is_in_the_name() -> None:
    assert known(TRIGGER).name == "#1842 Checkout latency above 2 s"
    assert known(TRIGGER, PRIORITY).name == NAME


def test_reopening_clears_the_end_and_resolving_again_sets_it() -> None:
    reopened = known(TRIGGER, RESOLUTION, REOPENING)
    assert (reopened.started_at, reopened.ended_at) == (CREATED, None)
    assert reopened.description == "Reopened by Ada Example."
    assert reopened.metadata["status"] == "triggered"
    again = known(TRIGGER, RESOLUTION, REOPENING, RESOLVED_AGAIN)
    assert (again.started_at, again.ended_at) == (CREATED, datetime(2026, 1, 10, 12, 5, tzinfo=UTC))
    assert again.description == (
        "Resolved by Bob Example after 2 h 5 min, 12 min 30 s after it was reopened."
    )
    assert again.name == NAME


def test_what_was_said_before_the_reopening_stays_in_the_trail() -> None:
    event = known(TRIGGER, RESOLUTION, NOTE, REOPENING, RESOLVED_AGAIN)
    assert event.description is not None
    assert event.description.splitlines()[1:] == ["10:42 UTC Resolution by Ada Example: rolled back"]


def test_a_reopening_whose_beginning_was_never_heard_of_opens() -> None:
    event = known(REOPENING)
    assert (event.name, event.started_at, event.ended_at) == (NAME, CREATED, None)


def test_a_merge_ends_and_says_that_it_is_no_recovery() -> None:
    for event in (known(TRIGGER, ACKNOWLEDGEMENT, MERGE), known(MERGE)):
        assert event.name == NAME
        assert (event.started_at, event.ended_at) == (CREATED, MERGE.occurred_at)
        assert event.description == (
            "Merged into “Payments down” by Ada Example after 12 min. "
            "Not a recovery: see that incident for the outcome."
        )
        assert event.metadata["status"] == "merged"
        assert event.metadata["merged_into"] == "Q1EXAMPLE00002"
        assert event.metadata["merged_into_url"] == "https://acme.pagerduty.com/incidents/Q1EXAMPLE00002"


def test_a_change_to_a_resolved_incident_neither_opens_one_nor_moves_its_end() -> None:
    afterwards = change_of_case("incident.priority_updated__after_the_resolution")
    assert folded(afterwards) is None
    event = known(TRIGGER, RESOLUTION, afterwards)
    assert event.ended_at == RESOLVED
    assert event.description == "Resolved by Ada Example after 42 min 18 s."


def test_a_resolution_that_is_left_out_ends_a_marker_and_makes_none() -> None:
    elsewhere = change_of_case("incident.resolved__by_ada", services=("payments",))
    assert folded(elsewhere) is None
    assert folded(elsewhere, NOTE) is None
    event = known(TRIGGER, elsewhere)
    assert (event.name, event.started_at, event.ended_at) == (NAME, CREATED, RESOLVED)
    assert event.description == "Resolved by Ada Example after 42 min 18 s."


def test_many_remarks_leave_the_latest() -> None:
    notes = [
        NOTE.model_copy(
            update={
                "remark": f"Ada Example: step {minute}",
                "occurred_at": datetime(2026, 1, 10, 10, minute, tzinfo=UTC),
                "delivery": NOTE.delivery.model_copy(update={"id": str(minute)}),
            }
        )
        for minute in range(5, 35)
    ]
    event = fold([TRIGGER, *notes, RESOLUTION])
    assert event is not None
    assert event.description is not None
    lines = event.description.splitlines()
    assert lines[0] == "Resolved by Ada Example after 42 min 18 s."
    assert lines[1:] == [f"10:{minute} UTC Ada Example: step {minute}" for minute in range(30, 35)]
