"""Which of several outcomes of one marker counts, and what is said of those that do not."""

from itertools import permutations

import pytest

from apitraffic_events.event import Event, EventType
from receiver.delivery.folding import fold
from receiver.events import Change
from tests.support.changes import at, change


def folded(*changes: Change) -> Event:
    """The fold, the same for every order of arrival."""
    results = [fold(order) for order in permutations(changes)]
    assert all(result == results[0] for result in results)
    assert results[0] is not None
    return results[0]


def of_the_webhook(status: str, minutes: float = 5) -> Change:
    made = change("point", minutes, name="Deploy us", description="Succeeded.", metadata={"status": status})
    return made.model_copy(update={"is_authoritative": True})


def of_the_plugin(status: str, minutes: float = 3, name: str = "Failed deploy eu") -> Change:
    return change("point", minutes, source="events", name=name, metadata={"status": status})


class TestAFailureIsNotCovered:
    @pytest.mark.parametrize("minutes", [3, 7])
    def test_that_a_plugin_saw_beside_another_outcome_of_the_deployment(self, minutes: float) -> None:
        """A plugin that knows only its run may have been joined with a neighbour's deployment."""
        event = folded(of_the_webhook("success"), of_the_plugin("failure", minutes))
        assert (event.name, event.metadata["status"]) == ("Deploy us", "success")
        told = f"{at(minutes):%H:%M} UTC Also reported: Failed deploy eu"
        assert event.description == f"Succeeded.\n{told}"

    def test_but_not_told_twice_if_the_marker_shows_a_failure(self) -> None:
        event = folded(of_the_webhook("failure"), of_the_plugin("failure"))
        assert "Also reported" not in (event.description or "")

    def test_nor_if_the_plugin_itself_has_reported_a_success_since(self) -> None:
        later = of_the_plugin("success", 4, "Deploy eu")
        event = folded(of_the_webhook("success"), of_the_plugin("failure"), later)
        assert "Also reported" not in (event.description or "")

    def test_nor_of_a_build_of_which_the_deployment_is_only_a_part(self) -> None:
        build = of_the_plugin("failure").model_copy(update={"is_indirect": True})
        event = folded(of_the_webhook("success"), build)
        assert "Also reported" not in (event.description or "")


def incident(effect: str, minutes: float, source: str = "events") -> Change:
    ended_at = at(minutes) if effect == "close" else None
    return change(effect, minutes, source=source, type=EventType.INCIDENT, name="Errors", ended_at=ended_at)


class TestAnIncidentThatBeginsAgain:
    def test_is_open_again(self) -> None:
        """Alert senders give every occurrence the same key."""
        event = folded(incident("open", 0), incident("close", 30), incident("open", 60))
        assert event.ended_at is None

    def test_ends_with_its_latest_end(self) -> None:
        event = folded(
            incident("open", 0), incident("close", 30), incident("open", 60), incident("close", 90)
        )
        assert (event.started_at, event.ended_at) == (at(0), at(90))

    def test_does_not_if_the_opening_is_the_first_one_repeated(self) -> None:
        event = folded(incident("open", 0), incident("close", 30), incident("open", 0))
        assert event.ended_at == at(30)

    def test_does_not_if_another_reporter_tells_of_its_opening_late(self) -> None:
        event = folded(incident("open", 0), incident("close", 30), incident("open", 31, source="github"))
        assert event.ended_at == at(30)

    def test_does_not_if_its_only_opening_is_dated_after_its_end(self) -> None:
        """By a clock that is ahead of the other one's."""
        event = folded(incident("close", 30), incident("open", 31))
        assert event.ended_at is not None
