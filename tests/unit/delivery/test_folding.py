"""What a marker shows is a function of the changes known, never of the order in which they arrived."""

from datetime import datetime, timedelta
from itertools import permutations, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apitraffic_events.event import Event
from apitraffic_events.records import EventUpdate
from receiver.delivery.condensing import condensed
from receiver.delivery.folding import difference, fold, in_order, is_called_off
from receiver.delivery.outcomes import LISTED
from receiver.events import Change, Effect, stand_in_name
from tests.support.changes import KEY, at, change, event
from tests.support.properties import reproducible, thorough


def folded(*changes: Change) -> Event:
    """The fold, the same for every order of arrival."""
    results = [fold(order) for order in permutations(changes)]
    assert all(result == results[0] for result in results)
    assert results[0] is not None
    return results[0]


OPENED = change(
    "open", 0, name="Deploy v2", started_at=at(0), metadata={"status": "in_progress", "run_id": "7"}
)
CLOSED = change(
    "close",
    5,
    name="Failed deploy v2",
    started_at=at(-1),
    ended_at=at(5),
    description="Failed",
    metadata={"status": "failure"},
)


def indirect(effect: str, minutes: float, **fields: Any) -> Change:
    """Of a sender that reports something of which the marker is a part."""
    reported = change(effect, minutes, source="jenkins", **fields)
    return reported.model_copy(update={"is_indirect": True})


def sent_by(told: Change, source: str) -> Change:
    return told.model_copy(update={"event": told.event.model_copy(update={"source": source})})


class TestExamples:
    def test_a_point_is_as_it_is(self) -> None:
        point = change("point", 3, started_at=at(3))
        assert folded(point) == point.event

    def test_an_opening_has_no_end(self) -> None:
        assert folded(OPENED).ended_at is None

    def test_an_opening_that_claims_an_end_has_none(self) -> None:
        assert folded(change("open", 0, started_at=at(0), ended_at=at(1))).ended_at is None

    def test_open_and_close_in_either_order_give_the_openings_start_and_the_closings_words(self) -> None:
        span = folded(OPENED, CLOSED)
        assert (span.started_at, span.ended_at) == (at(0), at(5))
        assert (span.name, span.description) == ("Failed deploy v2", "Failed")
        assert span.metadata == {"status": "failure", "run_id": "7"}

    def test_a_point_among_the_changes_of_a_span_is_its_end(self) -> None:
        """The webhook draws points, the step in the pipeline a span."""
        point = change("point", 5, name="Deploy v2 of the webhook", started_at=at(5), metadata={"url": "u"})
        only_opened = folded(OPENED, point)
        assert (only_opened.started_at, only_opened.ended_at) == (at(0), at(5))
        assert only_opened.name == "Deploy v2 of the webhook"
        early = change("close", 4, name="Failed deploy v2", started_at=at(0), ended_at=at(4))
        for whole in (folded(OPENED, early, point), folded(early, point)):
            assert (whole.started_at, whole.ended_at) == (at(0), at(4))
            assert whole.name == "Failed deploy v2"
            assert whole.metadata["url"] == "u"

    def test_a_point_told_before_the_end_of_its_span_ends_it(self) -> None:
        point = change("point", 4, name="Deploy v2 of the webhook", started_at=at(4))
        for whole in (folded(OPENED, point, CLOSED), folded(point, change("close", 5, started_at=at(0)))):
            assert whole.ended_at == at(4)
            assert whole.started_at is not None
            assert whole.started_at <= at(0)

    def test_what_the_api_lists_without_an_end_may_be_a_point(self) -> None:
        point = change("point", 3, started_at=at(3), source="github")
        listed = change("open", 3, started_at=at(3), source=LISTED)
        assert folded(listed, point).ended_at is None

    def test_a_close_alone_is_complete(self) -> None:
        assert folded(CLOSED) == CLOSED.event

    def test_a_close_without_an_end_ends_when_it_happened(self) -> None:
        assert folded(change("close", 5, started_at=at(0))).ended_at == at(5)

    def test_an_end_that_is_told_later_was_when_it_says(self) -> None:
        """Also while nobody has said when it began."""
        told_later = change("close", 7, ended_at=at(5))
        assert (folded(told_later).started_at, folded(told_later).ended_at) == (at(5), at(5))
        assert folded(OPENED, told_later).ended_at == at(5)

    def test_a_close_never_ends_before_its_start(self) -> None:
        assert folded(
            change("open", 6, started_at=at(10)), change("close", 8, ended_at=at(8))
        ).ended_at == at(10)

    def test_an_opening_and_a_closing_of_the_same_moment_are_closed(self) -> None:
        assert folded(change("open", 1, started_at=at(1)), change("close", 1, ended_at=at(1))).ended_at == at(
            1
        )

    def test_a_reopening_and_a_closing_of_the_same_moment_are_closed(self) -> None:
        found = folded(OPENED, CLOSED, change("reopen", 6), change("close", 6, ended_at=at(6)))
        assert found.ended_at == at(6)

    def test_two_ends_of_one_delivery_at_one_moment_have_one_order(self) -> None:
        closing = change("close", 5, delivery="one", name="Closed", started_at=at(0), ended_at=at(5))
        point = change("point", 5, delivery="one", name="Point", started_at=at(5))
        assert in_order([closing, point]) == in_order([point, closing])
        folded(closing, point)

    @pytest.mark.parametrize("minute", [0, 9], ids=["in time", "by a clock that is ahead"])
    def test_what_stands_in_for_a_field_gives_way_to_what_is_said(self, minute: float) -> None:
        """A closing that names only the key, and its opening, which says the rest."""
        end = change(
            *("close", 5),
            type="custom",
            name=stand_in_name(KEY),
            ended_at=at(5),
            sets=("ended_at",),
        )
        start = change(
            *("open", minute),
            type="incident",
            name="Checkout is down",
            description="Since ten",
            buckets=("bkt_1",),
            environments=("env123",),
            started_at=at(minute),
        )
        start, end = sent_by(start, "pager"), sent_by(end, "manual")
        found = folded(start, end)
        assert (found.type, found.name, found.description) == ("incident", "Checkout is down", "Since ten")
        assert (found.source, found.buckets, found.environments) == ("pager", ("bkt_1",), ("env123",))
        assert found.ended_at == at(5)
        # The event that was made of the closing alone, found after its answer was lost, changes nothing.
        alone = fold([end])
        assert alone is not None
        listed = change("close", 5, source=LISTED, **alone.model_dump(exclude={"source"}))
        listed = sent_by(listed, "manual")
        assert folded(start, end, listed) == found
        assert folded(end, listed).name == stand_in_name(KEY)

    def test_what_a_look_up_finds_never_goes_over_an_opening(self) -> None:
        """A plugin's own event of the same deploy began later and is named otherwise."""
        listed = change(
            *("open", 2), name="Step", type="custom", source=LISTED, started_at=at(2), metadata={"build": "7"}
        )
        found = folded(OPENED, listed)
        assert (found.name, found.type, found.started_at) == ("Deploy v2", "deployment", at(0))
        assert found.metadata["build"] == "7"
        assert folded(OPENED, listed, CLOSED).name == "Failed deploy v2"

    def test_an_end_that_is_only_found_keeps_its_words(self) -> None:
        """Redis has lost its data, and the opening is delivered once more."""
        listed = change("close", 5, source=LISTED, **CLOSED.event.model_dump(exclude={"source"}))
        found = folded(OPENED, listed)
        assert (found.name, found.description, found.ended_at) == ("Failed deploy v2", "Failed", at(5))

    def test_a_found_start_that_only_stood_in_for_one_gives_way_to_the_one_that_is_named(self) -> None:
        """Redis has lost its data between GitLab's Deployment hook, which has no start, and the Job hook."""
        knowing = change("close", 5, started_at=at(1), ended_at=at(5))
        without = change("close", 5, ended_at=at(5))
        listed = change("close", 5, source=LISTED, started_at=at(5), ended_at=at(5))
        assert folded(listed, knowing).started_at == at(1)
        assert folded(listed, without).started_at == at(5)

    def test_remarks_that_the_found_event_shows_are_not_shown_twice(self) -> None:
        noted = change("update", 1, remark="On it", sets=("metadata",))
        shown = fold([OPENED, noted])
        assert shown is not None
        listed = change("open", 0, source=LISTED, **shown.model_dump(exclude={"source"}))
        assert folded(OPENED, noted, listed).description == shown.description

    def test_a_late_opening_does_not_open_what_is_closed(self) -> None:
        late = change(
            "open",
            9,
            name="Deploy v2",
            started_at=at(9),
            metadata={"actor": "alice", "status": "in_progress"},
        )
        span = folded(CLOSED, late)
        assert (span.name, span.ended_at) == ("Failed deploy v2", at(5))
        assert span.metadata == {"status": "failure", "actor": "alice"}

    def test_a_repeated_end_moves_nothing(self) -> None:
        again = change(
            "close",
            8,
            name="Deploy v2, again",
            ended_at=at(8),
            metadata={"status": "failure", "url": "https://x.test"},
        )
        span = folded(OPENED, CLOSED, again)
        assert (span.name, span.ended_at) == ("Failed deploy v2", at(5))
        assert span.metadata["url"] == "https://x.test"

    @pytest.mark.parametrize("outcomes", [("success", "failure"), ("failure", "success")])
    def test_the_latest_outcome_of_a_sender_counts(self, outcomes: tuple[str, str]) -> None:
        ends = [
            change(
                "close",
                minute,
                name=outcome,
                started_at=at(0),
                ended_at=at(minute),
                metadata={"status": outcome},
            )
            for minute, outcome in zip((2, 7), outcomes, strict=True)
        ]
        for span in (folded(OPENED, *ends), folded(*ends)):
            assert (span.name, span.started_at, span.ended_at) == (outcomes[1], at(0), at(7))
            assert span.metadata["status"] == outcomes[1]

    def test_a_point_moves_to_its_latest_outcome(self) -> None:
        success = change("point", 2, name="Deploy", started_at=at(2), metadata={"status": "success"})
        failure = change("point", 7, name="Failed", started_at=at(7), metadata={"status": "failure"})
        found = folded(success, failure, change("point", 8, started_at=at(8), metadata={"status": "failure"}))
        assert (found.name, found.started_at, found.ended_at) == ("Failed", at(7), None)

    def test_of_two_outcomes_of_one_second_the_one_counts_that_the_sender_numbered_last(self) -> None:
        ends = [
            change(
                "close", 5, delivery=delivery, name=outcome, ended_at=at(5), metadata={"status": outcome}
            ).model_copy(update={"sequence": number})
            for delivery, outcome, number in (("b", "success", 1), ("a", "failure", 2))
        ]
        assert folded(OPENED, *ends).name == "failure"

    def test_a_final_outcome_stays(self) -> None:
        """GitLab reports a rejected deployment as failed, too."""
        rejected = change("close", 4, name="Rejected", ended_at=at(4), metadata={"status": "rejected"})
        final = rejected.model_copy(update={"is_final": True})
        assert folded(OPENED, final, CLOSED).name == "Rejected"

    def test_what_is_called_off_for_good_before_it_is_shown_is_never_shown(self) -> None:
        off = change("update", 4, name="Rejected", ended_at=at(4), sets=("name", "ended_at"))
        off = off.model_copy(update={"is_final": True})
        point = change("point", 5, started_at=at(5), metadata={"status": "failed"})
        listed = change("open", 5, started_at=at(5), source=LISTED)
        whole = change("update", 6, started_at=at(0))
        for order in permutations((off, CLOSED, point, listed, whole)):
            assert fold(order) is None
        assert is_called_off([off])
        assert not is_called_off([CLOSED, point, listed, whole])

    def test_what_is_called_off_for_good_while_it_is_open_ends_there(self) -> None:
        off = change("update", 4, name="Rejected", ended_at=at(4), sets=("name", "ended_at"))
        off = off.model_copy(update={"is_final": True})
        span = folded(OPENED, off, CLOSED)
        assert (span.name, span.started_at, span.ended_at) == ("Rejected", at(0), at(4))

    def test_what_had_begun_and_was_called_off_is_still_shown_if_only_its_event_is_known(self) -> None:
        """Redis has lost its data, and GitLab sends once more that the deploy was rejected."""
        off = change("update", 3.99, name="Rejected", ended_at=at(4), sets=("name", "ended_at"))
        off = off.model_copy(update={"is_final": True})
        begun = change("close", 4, name="Rejected", started_at=at(0), ended_at=at(4), source=LISTED)
        shown = folded(off, begun)
        assert (shown.name, shown.started_at, shown.ended_at) == ("Rejected", at(0), at(4))
        failed = change("close", 4, name="Failed", started_at=at(4), ended_at=at(4), source=LISTED)
        assert fold([off, failed]) is None

    def test_what_is_called_off_and_reopened_is_shown(self) -> None:
        off = change("update", 4, ended_at=at(4), sets=("ended_at",), metadata={"approver": "carol"})
        off = off.model_copy(update={"is_final": True})
        shown = folded(off, change("reopen", 6, name="Open again", started_at=at(6)))
        assert (shown.name, shown.metadata["approver"]) == ("Open again", "carol")

    def test_what_another_reporter_says_of_a_known_end_moves_nothing(self) -> None:
        plugin = change(
            "close", 4, source="events", name="Plugin", ended_at=at(4), metadata={"status": "success"}
        )
        assert folded(OPENED, plugin, CLOSED).name == "Plugin"

    @pytest.mark.parametrize("minute", [4, 6])
    def test_the_word_of_the_one_whose_id_it_has_goes_over_all_others(self, minute: float) -> None:
        own = CLOSED.model_copy(update={"is_authoritative": True})
        plugin = change(
            "close",
            minute,
            source="events",
            name="Plugin",
            ended_at=at(minute),
            metadata={"status": "success"},
        )
        span = folded(OPENED, plugin, own)
        assert (span.name, span.ended_at, span.metadata["status"]) == ("Failed deploy v2", at(5), "failure")

    def test_a_plugins_same_outcome_stays_and_its_other_one_does_not_count(self) -> None:
        def plugin(minute: float, status: str) -> Change:
            return change(
                "close",
                minute,
                source="events",
                name=f"Plugin {status}",
                ended_at=at(minute),
                metadata={"status": status},
            )

        own = CLOSED.model_copy(update={"is_authoritative": True})
        found = folded(OPENED, plugin(4, "failure"), own, plugin(6, "success"))
        assert (found.name, found.ended_at) == ("Plugin failure", at(4))

    @pytest.mark.parametrize("effect", ["close", "point"])
    @pytest.mark.parametrize("minute", [2, 7])
    @pytest.mark.parametrize(("own", "whole"), [("failure", "success"), ("success", "failure")])
    def test_an_indirect_end_covers_no_direct_one(
        self, own: str, whole: str, minute: float, effect: str
    ) -> None:
        """A build that rolled back what had failed, and one that failed after a deploy that succeeded."""
        deploy = [
            change("open", 1, source="events", started_at=at(1), metadata={"status": "in_progress"}),
            change(
                "close",
                4,
                source="events",
                name="Deploy by the library",
                started_at=at(1),
                ended_at=at(4),
                metadata={"status": own},
            ),
        ]
        build = [
            indirect("open", 0, started_at=at(0), metadata={"status": "started", "job": "shop"}),
            indirect(effect, minute, started_at=at(0), name="By the build", metadata={"status": whole}),
        ]
        event = folded(*deploy, *build)
        assert (event.name, event.metadata) == ("Deploy by the library", {"status": own, "job": "shop"})
        assert (event.started_at, event.ended_at) == (at(1), at(4))

    def test_an_indirect_end_counts_until_a_direct_one_is_known(self) -> None:
        """The plugin could not report it: what was part of the build has ended with it."""
        opened = change("open", 1, source="events", started_at=at(1), metadata={"status": "in_progress"})
        build = indirect("close", 7, started_at=at(0), ended_at=at(7), metadata={"status": "failure"})
        event = folded(indirect("open", 0, started_at=at(0)), opened, build)
        assert (event.started_at, event.ended_at) == (at(1), at(7))
        assert event.metadata["status"] == "failure"

    def test_an_indirect_end_covers_no_direct_one_that_names_only_its_key(self) -> None:
        opened = change("open", 1, source="events", started_at=at(1))
        closed = change("close", 5, source="events", name="?", ended_at=at(5), sets=("ended_at",))
        build = indirect("close", 4, name="By the build", started_at=at(0), ended_at=at(4))
        event = folded(opened, closed, build)
        assert (event.name, event.ended_at) == (opened.event.name, at(5))

    def test_indirect_changes_alone_are_a_marker_with_the_latest_outcome(self) -> None:
        ends = [
            indirect(
                "point",
                minute,
                name=outcome,
                delivery=outcome,
                started_at=at(5),
                metadata={"status": outcome},
            )
            for minute, outcome in ((5, "success"), (6, "failure"))
        ]
        assert folded(*ends).name == "failure"

    def test_a_part_that_is_reported_directly_makes_no_marker_beside_an_indirect_one(self) -> None:
        part = change("close", 9, source="events", sets=("description",), name="?", description="More")
        event = folded(indirect("point", 5, name="By the build", started_at=at(5)), part)
        assert event.name == "By the build"

    def test_an_update_that_is_reported_directly_hides_no_indirect_marker(self) -> None:
        build = indirect("open", 1, name="By the build", started_at=at(1))
        renamed = change("update", 4, source="events", sets=("name",), name="By hand")
        assert folded(build, renamed).name == "By hand"

    def test_the_words_say_the_length_that_the_span_has(self) -> None:
        closed = change(
            "close",
            5,
            description="Failed after 6 min by bob.\nIt took after 6 min too long",
            started_at=at(-1),
            ended_at=at(5),
        ).model_copy(update={"lasted": timedelta(minutes=6)})
        assert folded(closed).description == closed.event.description
        assert folded(OPENED, closed).description == (
            "Failed after 5 min by bob.\nIt took after 6 min too long"
        )

    def test_a_closing_that_does_not_know_its_start_leaves_it_to_whoever_does(self) -> None:
        """GitLab's Deployment hook has no start, the Job hook of the same second has one."""
        without = change("close", 5, ended_at=at(5), metadata={"status": "success"})
        knowing = change("close", 5, started_at=at(1), ended_at=at(5), metadata={"status": "success"})
        assert folded(without).started_at == at(5)
        assert folded(without, knowing).started_at == at(1)
        assert folded(OPENED, without, knowing).started_at == at(0)
        assert folded(without, knowing).ended_at == at(5)

    def test_a_closing_that_names_only_its_key_leaves_the_start_to_whoever_knows_it(self) -> None:
        """Its own start only stands in for one."""
        script = change("close", 5, source="events", started_at=at(5), ended_at=at(5), sets=("ended_at",))
        knowing = change("close", 6, started_at=at(1), ended_at=at(6))
        assert (folded(script).started_at, folded(script).ended_at) == (at(5), at(5))
        assert (folded(script, knowing).started_at, folded(script, knowing).ended_at) == (at(1), at(5))

    def test_a_start_that_lies_after_the_end_is_not_the_start_of_it(self) -> None:
        without = change("close", 5, ended_at=at(5))
        later = change("close", 9, started_at=at(7), ended_at=at(9))
        assert folded(without, later).started_at == at(5)

    def test_a_part_that_does_not_know_the_start_does_not_give_one(self) -> None:
        part = change("update", 3, started_at=at(2), sets=("metadata",))
        without = change("close", 5, ended_at=at(5))
        assert folded(part, without).started_at == at(3)

    @pytest.mark.parametrize("source", ["github", "gitlab", "jenkins", "pagerduty", "events"])
    def test_a_closing_that_knows_its_start_has_it_whoever_sends_it(self, source: str) -> None:
        closing = change("close", 5, source=source, started_at=at(1), ended_at=at(5))
        assert (folded(closing).started_at, folded(closing).ended_at) == (at(1), at(5))
        again = change("close", 6, source=source, started_at=at(0), ended_at=at(6))
        assert folded(closing, again).started_at == at(1)

    def test_a_span_that_begins_after_a_point_does_not_move_it(self) -> None:
        """Where only the run is known, a plugin's span of `apply` may come to the point of `plan`."""
        plan = change("point", 2, name="Plan", started_at=at(2), metadata={"status": "success"}).model_copy(
            update={"lasted": timedelta(minutes=1), "is_authoritative": True}
        )
        apply = change("open", 60, source="events", name="Apply", started_at=at(60))
        found = folded(plan, apply)
        assert (found.name, found.started_at, found.ended_at) == ("Plan", at(1), at(2))

    def test_the_earliest_end_counts_also_where_it_arrives_last(self) -> None:
        earlier = change("close", 4, name="Deploy v2", ended_at=at(4))
        assert folded(OPENED, CLOSED, earlier).ended_at == at(4)

    def test_a_repeated_point_moves_nothing(self) -> None:
        assert folded(
            change("point", 3, started_at=at(3)), change("point", 4, started_at=at(4))
        ).started_at == at(3)

    def test_reopening_clears_the_end_and_the_next_closing_sets_it_again(self) -> None:
        reopened = change("reopen", 6, name="Down again", metadata={"status": "reopened"})
        closed = change("close", 9, name="Resolved", ended_at=at(9))
        assert folded(OPENED, CLOSED, reopened).ended_at is None
        assert folded(OPENED, CLOSED, reopened).name == "Down again"
        resolved = folded(OPENED, CLOSED, reopened, closed)
        assert (resolved.started_at, resolved.ended_at, resolved.name) == (at(0), at(9), "Resolved")

    def test_an_end_after_the_reopening_counts_even_if_it_arrives_before_it(self) -> None:
        reopened, closed = change("reopen", 6), change("close", 9, ended_at=at(9))
        assert folded(reopened, closed, OPENED, CLOSED).ended_at == at(9)

    def test_reopening_what_was_never_known_opens_it(self) -> None:
        assert folded(change("reopen", 6, started_at=at(0))).ended_at is None

    def test_an_update_changes_what_is_open(self) -> None:
        updated = folded(OPENED, change("update", 2, name="Deploy v2 (P1)", metadata={"severity": "P1"}))
        assert (updated.name, updated.started_at, updated.ended_at) == ("Deploy v2 (P1)", at(0), None)
        assert updated.metadata == {"status": "in_progress", "run_id": "7", "severity": "P1"}

    def test_an_update_after_the_end_adds_and_changes_nothing(self) -> None:
        update = change(
            "update", 7, name="Late words", metadata={"status": "?", "postmortem": "https://x.test"}
        )
        span = folded(OPENED, CLOSED, update)
        assert (span.name, span.ended_at, span.metadata["status"]) == ("Failed deploy v2", at(5), "failure")
        assert span.metadata["postmortem"] == "https://x.test"

    def test_updates_before_the_opening_add_and_change_nothing(self) -> None:
        update = change("update", -1, name="Early words", metadata={"status": "?", "severity": "P1"})
        opened = folded(update, OPENED)
        assert opened.name == "Deploy v2"
        assert opened.metadata == {"status": "in_progress", "run_id": "7", "severity": "P1"}

    def test_parts_alone_make_no_marker(self) -> None:
        assert fold([change("update", 0, sets=("metadata",)), change("update", 1, sets=())]) is None
        assert fold([]) is None

    def test_an_update_that_knows_everything_stands_for_an_opening(self) -> None:
        acknowledged = folded(change("update", 3, name="Acknowledged", started_at=at(0)))
        assert (acknowledged.name, acknowledged.started_at, acknowledged.ended_at) == (
            "Acknowledged",
            at(0),
            None,
        )

    def test_the_latest_of_the_parts_before_the_first_report_counts(self) -> None:
        """An incident of which the opening was lost, and whose end names only its key."""
        parts = [
            change("update", minute, name=f"Severity {word}", metadata={"severity": word}, sets=("name",))
            for minute, word in ((1, "P3"), (2, "P1"))
        ]
        end = change("close", 5, name=stand_in_name(KEY), ended_at=at(5), sets=("ended_at",))
        late = change("update", 7, name="Late words", metadata={"severity": "P5"})
        for found in (folded(*parts, end), folded(*parts, end, late)):
            assert (found.name, found.metadata["severity"]) == ("Severity P1", "P1")

    def test_a_part_changes_only_what_it_knows(self) -> None:
        part = change("update", 2, name="?", metadata={"severity": "P1"}, sets=("metadata",))
        assert folded(OPENED, part).name == "Deploy v2"
        assert folded(OPENED, part).metadata == {"status": "in_progress", "run_id": "7", "severity": "P1"}

    def test_a_part_may_end_what_is_open_and_only_that(self) -> None:
        """GitLab reports jobs as cancelled that never ran."""
        canceled = change(
            "update",
            4,
            name="Cancelled",
            description="By bob",
            ended_at=at(4),
            sets=("description", "ended_at"),
        )
        assert fold([canceled]) is None
        ended = folded(OPENED, canceled)
        assert (ended.name, ended.description, ended.ended_at) == ("Deploy v2", "By bob", at(4))
        assert folded(OPENED, canceled, CLOSED).ended_at == at(4)

    def test_remarks_make_a_trail_below_the_description(self) -> None:
        noted = change("update", 6, remark="Ada: rolled back", sets=())
        seen = change("update", 2, remark="Ben: looking", sets=())
        span = folded(OPENED, seen, CLOSED, noted)
        assert span.description == "Failed\n10:02 UTC Ben: looking\n10:06 UTC Ada: rolled back"

    def test_the_trail_is_the_latest_remarks(self) -> None:
        remarks = [change("update", minute, remark=f"remark {minute}", sets=()) for minute in range(1, 9)]
        description = fold([OPENED, *remarks])
        assert description is not None
        assert str(description.description).splitlines() == [
            f"10:0{minute} UTC remark {minute}" for minute in range(4, 9)
        ]

    def test_a_long_description_gives_way_to_the_trail(self) -> None:
        described = change("open", 0, started_at=at(0), description="d" * 2_000)
        remarks = [change("update", minute, remark=str(minute) * 300, sets=()) for minute in (1, 2)]
        description = str(folded(described, *remarks).description)
        assert description.endswith(f"…\n10:01 UTC {'1' * 300}\n10:02 UTC {'2' * 300}")
        assert len(description) == 2_000

    def test_an_update_between_reopening_and_closing_changes_it(self) -> None:
        found = folded(OPENED, CLOSED, change("reopen", 6), change("update", 7, name="Worse"))
        assert (found.name, found.ended_at) == ("Worse", None)

    def test_words_that_a_later_change_does_not_have_are_kept(self) -> None:
        described = change("open", 0, started_at=at(0), description="Why")
        assert folded(described, change("close", 1, ended_at=at(1))).description == "Why"

    def test_the_same_delivery_counts_once(self) -> None:
        twice = change("close", 5, delivery="guid", ended_at=at(5))
        assert in_order([twice, twice]) == (twice,)
        assert fold([OPENED, twice, twice]) == fold([OPENED, twice])

    @pytest.mark.parametrize("other", [{"source": "gitlab"}, {"delivery": "b"}])
    def test_two_deliveries_of_the_same_moment_have_one_order(self, other: dict[str, Any]) -> None:
        one = change("open", 0, delivery="a", name="One", started_at=at(0))
        two = change("open", 0, **{"delivery": "a", **other}, name="Two", started_at=at(1))
        assert in_order([one, two]) == in_order([two, one])
        folded(one, two)


# Drawing costs more than folding: a change is drawn as three combinations, and not field by field.
kinds = st.sampled_from(
    list(
        product(
            Effect,
            ("github", "gitlab"),
            (None, None, ("metadata",), ("name", "ended_at")),
            (None, "A remark"),
            (False, True),
        )
    )
)
times = st.sampled_from(list(product(range(5), (None, *range(5)), (None, *range(5)))))
words = st.sampled_from(
    list(product(("One", "Two", "Three"), (None, "Why", "Because"), *[(None, "1", "2", "3")] * 3))
)
changes = st.tuples(kinds, times, words)


def as_changes(drawn: list[Any]) -> list[Change]:
    return [
        change(
            effect.value,
            moment,
            delivery=f"delivery {number}",
            source=source,
            name=name,
            description=description,
            started_at=None if started is None else at(started),
            # No sender's point has an end.
            ended_at=None if ended is None or effect is Effect.POINT else at(ended),
            metadata={
                key: value
                for key, value in zip(("status", "url", "actor"), values, strict=True)
                if value is not None
            },
            sets=sets,
            remark=remark,
        ).model_copy(update={"is_final": is_final})
        for number, (
            (effect, source, sets, remark, is_final),
            (moment, started, ended),
            (name, description, *values),
        ) in enumerate(drawn)
    ]


def as_found(told: Change) -> Change:
    """The same as a look-up would find it in the API."""
    ended_at = told.event.ended_at
    started_at = told.event.started_at or min(told.occurred_at, ended_at or told.occurred_at)
    return told.model_copy(
        update={
            "effect": Effect.CLOSE if ended_at else Effect.OPEN,
            "occurred_at": ended_at or started_at,
            "event": told.event.model_copy(update={"started_at": started_at}),
            "sets": None,
            "remark": None,
            "is_final": False,
            "delivery": told.delivery.model_copy(update={"source": LISTED}),
        }
    )


change_sets = st.lists(changes, min_size=1, max_size=7).map(as_changes)
"""Few moments and few words, so that ties and contradictions are the rule."""
with_found = st.tuples(change_sets, st.booleans()).map(
    lambda drawn: [as_found(drawn[0][0]), *drawn[0][1:]] if drawn[1] else drawn[0]
)
"""The same; one of them may have been found in the API."""


shuffled = with_found.flatmap(lambda known: st.tuples(st.just(known), st.permutations(known)))
TERMINAL = {Effect.CLOSE, Effect.POINT}


@thorough
@given(shuffled)
def test_the_order_of_arrival_changes_nothing(orders: tuple[list[Change], list[Change]]) -> None:
    one, other = orders
    assert in_order(one) == in_order(other)
    assert fold(one) == fold(other)


@reproducible
@given(with_found)
def test_arriving_again_changes_nothing(known: list[Change]) -> None:
    assert fold([*known, *known]) == fold(known)


@reproducible
@given(shuffled, st.sets(st.integers(0, 6)))
def test_what_is_reported_indirectly_adds_only_metadata_to_a_direct_end(
    orders: tuple[list[Change], list[Change]], numbers: set[int]
) -> None:
    known, other = (
        [
            each.model_copy(update={"is_indirect": each.delivery.id in {f"delivery {n}" for n in numbers}})
            for each in order
        ]
        for order in orders
    )
    assert fold(known) == fold(other)
    direct = [each for each in known if not each.is_indirect]
    is_ended = any(each.effect in TERMINAL for each in direct)
    if is_ended and any(each.sets is None or "name" in each.sets for each in direct):
        expected, event = fold(direct), fold(known)
        if expected is None and is_called_off(direct):
            return
        assert expected is not None
        assert event is not None
        shown = {"name", "started_at", "ended_at"}
        assert event.model_dump(include=shown) == expected.model_dump(include=shown)
        assert event.metadata.items() >= expected.metadata.items()


@reproducible
@given(change_sets)
def test_there_is_a_marker_as_soon_as_more_than_parts_is_known(known: list[Change]) -> None:
    assert (fold(known) is not None) == is_shown(known)


def is_shown(known: list[Change]) -> bool:
    """Whether more than parts is known, and before it was called off or after it was reopened."""
    is_off = False
    for one in in_order(known):
        is_part = one.effect is Effect.UPDATE and one.sets is not None
        if not is_part and (not is_off or one.effect is Effect.REOPEN):
            return True
        is_off = is_off or is_called_off([one])
    return False


@reproducible
@given(with_found)
def test_no_metadata_is_forgotten(known: list[Change]) -> None:
    found = fold(known)
    if found is not None:
        assert set(found.metadata) == {name for one in known for name in one.event.metadata}


@reproducible
@given(change_sets, st.sampled_from([0, 2, 4, 5]))
def test_two_updates_in_a_row_that_are_remembered_as_one_mean_the_same(
    known: list[Change], minute: int
) -> None:
    first, *others = known
    two = [
        without_end(one).model_copy(update=AS_UPDATE | {"occurred_at": at(minute), "sets": first.sets})
        for one in (first, *others[:1])
    ]
    ordered = in_order((*two, *others[1:]))
    fewer = condensed(ordered) if others else ordered
    one, other = fold(ordered), fold(fewer)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert (one.name, one.ended_at, one.metadata) == (other.name, other.ended_at, other.metadata)


AS_UPDATE = {"effect": Effect.UPDATE, "is_final": False, "remark": None}


def without_end(told: Change) -> Change:
    return told.model_copy(update={"event": told.event.model_copy(update={"ended_at": None})})


def without_outcome(told: Change) -> Change:
    metadata = {name: value for name, value in told.event.metadata.items() if name != "status"}
    return told.model_copy(update={"event": told.event.model_copy(update={"metadata": metadata})})


def is_span(known: list[Change]) -> bool:
    return any(one.effect in {Effect.OPEN, Effect.CLOSE} for one in known)


def knows_start(known: list[Change], ended_at: datetime | None) -> bool:
    """Whether one of them says when it began. The start of a point that ends a span is its end."""
    kinds = {Effect.OPEN, Effect.CLOSE} if is_span(known) else {Effect.POINT}
    starts = [
        one.event.started_at
        for one in known
        if one.effect in kinds and (one.sets is None or "started_at" in one.sets)
    ]
    return any(start is not None and (ended_at is None or start <= ended_at) for start in starts)


@reproducible
@given(change_sets, change_sets)
def test_what_is_later_never_undoes_an_end_unless_it_reopens_or_has_an_outcome(
    known: list[Change], later: list[Change]
) -> None:
    ended = fold(known)
    if in_order(known)[-1].effect not in TERMINAL or ended is None:
        return
    after = [
        without_outcome(one).model_copy(
            update={
                "occurred_at": at(60),
                "delivery": one.delivery.model_copy(update={"id": f"later {one.delivery.id}"}),
            }
        )
        for one in later
        if one.effect is not Effect.REOPEN
    ]
    if not is_span(known) and is_span(after):
        # That a point was the end of a span is news.
        return
    found = fold([*known, *after])
    assert found is not None
    # When it began is news, too, and what it is called, if nobody has said it before.
    if knows_start(known, ended.ended_at):
        assert found.started_at == ended.started_at
    if found.started_at == ended.started_at or ended.started_at != ended.ended_at:
        assert found.ended_at == ended.ended_at
    if any(one.sets is None or "name" in one.sets for one in known):
        assert found.name == ended.name


@reproducible
@given(with_found)
def test_a_closed_marker_never_ends_before_it_starts(known: list[Change]) -> None:
    found = fold(known)
    if found is not None and found.started_at is not None and found.ended_at is not None:
        assert found.ended_at >= found.started_at


class TestDifference:
    def test_there_is_none_between_equals(self) -> None:
        assert difference(OPENED.event, OPENED.event) is None

    def test_only_what_differs_is_sent(self) -> None:
        update = difference(OPENED.event, OPENED.event.model_copy(update={"ended_at": at(5)}))
        assert update is not None
        assert update.to_api() == {"endedAt": "2026-01-10T10:05:00.000Z"}

    def test_an_end_that_is_gone_is_cleared(self) -> None:
        update = difference(CLOSED.event, CLOSED.event.model_copy(update={"ended_at": None}))
        assert update is not None
        assert update.to_api() == {"endedAt": None}

    def test_metadata_is_sent_whole(self) -> None:
        update = difference(event(metadata={"a": "1"}), event(metadata={"a": "1", "b": "2"}))
        assert update is not None
        assert update.to_api() == {"metadata": {"a": "1", "b": "2"}}

    def test_where_nothing_is_known_to_be_sent_everything_is(self) -> None:
        update = difference(None, CLOSED.event)
        assert update is not None
        everything = CLOSED.event.model_dump(mode="json", by_alias=True)
        assert update.to_api() == everything

    @reproducible
    @given(change_sets, change_sets)
    def test_sent_with_the_difference_is_what_is_desired(
        self, one: list[Change], other: list[Change]
    ) -> None:
        sent, desired = fold(one), fold(other)
        if sent is None or desired is None:
            return
        update = difference(sent, desired)
        fields = {} if update is None else {name: getattr(update, name) for name in update.model_fields_set}
        assert sent.model_copy(update=fields).to_api() == desired.to_api()

    def test_an_update_with_nothing_set_sends_nothing(self) -> None:
        assert EventUpdate().to_api() == {}
