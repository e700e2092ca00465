"""Where a marker's event is searched for, and in how many requests it is found."""

from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from apitraffic_events.client import EventsClient
from apitraffic_events.filters import EventFilter, FilterSpellings
from apitraffic_events.records import EventPage, StoredEvent
from apitraffic_events.timestamps import format_timestamp
from receiver.delivery.lookup import (
    CLOCKS_DIFFER,
    FRESH_FOR,
    LOOK_BACK,
    LOOK_FAR_BACK,
    ROUNDING,
    SAME_MOMENT,
    Search,
    events_of,
    find_event,
    searches_for,
)
from receiver.delivery.markers import Marker
from receiver.events import Change
from tests.support.changes import KEY, at, change

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def searches(*changes: Change, since: datetime = LONG_AGO, sent: Marker | None = None) -> tuple[Search, ...]:
    known = sent or Marker(KEY)
    return searches_for(known.with_change(*changes), known, since)


class TestWhatIsSearchedFor:
    @pytest.mark.parametrize("effect", ["point", "open"])
    def test_a_beginning_is_not(self, effect: str) -> None:
        assert searches(change(effect, started_at=at(0))) == ()

    @pytest.mark.parametrize("effect", ["point", "open"])
    def test_a_beginning_that_redis_may_have_forgotten_is_around_its_start(self, effect: str) -> None:
        (search,) = searches(change(effect, started_at=at(0)), since=at(30))
        assert search.wanted == EventFilter("deployment", at(0) - SAME_MOMENT, at(0) + SAME_MOMENT)
        assert search.most_requests == 1

    @pytest.mark.parametrize(("is_undated", "margin"), [(False, CLOCKS_DIFFER), (True, FRESH_FOR)])
    def test_a_beginning_after_redis_began_is_not(self, margin: timedelta, *, is_undated: bool) -> None:
        """Whoever names no time sends the same once more, and its time is when that was received."""
        begun = change("open", started_at=at(0)).model_copy(update={"is_undated": is_undated})
        assert searches(begun, since=at(0) - margin) == ()
        assert len(searches(begun, since=at(0) - margin + timedelta(seconds=1))) == 1

    def test_what_was_sent_is_around_the_start_that_was_sent(self) -> None:
        sent = Marker(KEY).with_change(change("open", started_at=at(0))).in_doubt(None)
        end = change("close", 4000, started_at=at(0), ended_at=at(4000))
        (search,) = searches(end, sent=sent)
        assert search.wanted == EventFilter(started_from=at(0) - ROUNDING, started_to=at(0) + ROUNDING)

    def test_the_end_of_what_began_long_ago_is_around_its_start(self) -> None:
        (search,) = searches(change("close", 4000, started_at=at(0), ended_at=at(4000)))
        assert search.wanted == EventFilter(started_from=at(0) - ROUNDING, started_to=at(0) + ROUNDING)

    def test_the_end_of_what_somebody_began_is_within_an_hour(self) -> None:
        (search,) = searches(change("close", 5, ended_at=at(5), sets=("ended_at",)))
        assert search.wanted.started_from == at(5) + ROUNDING - LOOK_BACK

    def test_the_end_of_what_redis_may_have_forgotten_is_also_before_the_loss(self) -> None:
        end = change("close", 600, ended_at=at(600), sets=("ended_at",))
        recently, long_ago = searches(end, since=at(300))
        assert recently.wanted == EventFilter(
            started_from=at(600) + ROUNDING - LOOK_BACK, started_to=at(600) + ROUNDING
        )
        assert long_ago.wanted == EventFilter(
            started_from=at(600) + ROUNDING - LOOK_FAR_BACK, started_to=at(300) + CLOCKS_DIFFER
        )
        assert (recently.most_requests, long_ago.most_requests) == (2, 10)

    def test_what_redis_may_have_forgotten_is_searched_for_with_the_first_change_only(self) -> None:
        known = Marker(KEY).with_change(change("update", 10, sets=("metadata",)))
        end = change("close", 600, ended_at=at(600), sets=("ended_at",))
        (search,) = searches(end, since=at(300), sent=known)
        assert search.most_requests == 2

    def test_the_end_of_what_redis_has_forgotten_is_searched_for_once(self) -> None:
        (search,) = searches(change("close", 5, ended_at=at(5), sets=("ended_at",)), since=at(30))
        assert search.wanted.started_from == at(5) + ROUNDING - LOOK_FAR_BACK
        assert search.most_requests == 10

    def test_an_end_that_is_ahead_of_the_clock_may_have_made_an_event_there(self) -> None:
        """An event of which only the end was heard of starts when it ends."""
        (search,) = searches(change("close", 5, ended_at=at(30), sets=("ended_at",)))
        assert search.wanted.started_to == at(30) + ROUNDING
        assert search.wanted.started_from == at(5) + ROUNDING - LOOK_BACK

    def test_a_deploy_is_within_its_job_and_of_its_type(self) -> None:
        made = change("point", 5, started_at=at(5))
        made = made.model_copy(
            update={"claims": ("job:7",), "lasted": timedelta(minutes=4), "is_authoritative": True}
        )
        (search,) = searches(made)
        assert search.wanted == EventFilter("deployment", at(1 - 10), at(5 + 10))
        assert search.most_requests == 2

    def test_a_deploy_that_redis_may_have_forgotten_is_also_around_its_start(self) -> None:
        """More may have begun while its job ran than are looked through."""
        end = change("close", 400, started_at=at(0), ended_at=at(400))
        end = end.model_copy(update={"claims": ("job:7",), "is_authoritative": True})
        exact, others = searches(end, since=at(300))
        assert exact.wanted == EventFilter("deployment", at(0) - SAME_MOMENT, at(0) + SAME_MOMENT)
        assert (exact.most_requests, others.most_requests) == (1, 2)
        assert len(searches(end, since=at(0) - CLOCKS_DIFFER)) == 1


class List:
    """A list of events, one a minute, newest start first, that ignores its filters."""

    def __init__(self, events: int, *, knows_pages: bool = True) -> None:
        self.asked: list[int] = []
        self.filters = FilterSpellings()
        self._records = [self._record(number) for number in range(events - 1, -1, -1)]
        self._knows_pages = knows_pages

    def list_page(self, _: EventFilter, *, page: int = 1) -> EventPage:
        self.asked.append(page)
        first = (page - 1) * 100 if self._knows_pages else 0
        records = tuple(self._records[first : first + 100])
        return EventPage(records=records, has_more=len(self._records) > first + 100)

    def find(self, number: int, most_requests: int = 20) -> str | None:
        period = EventFilter(started_from=at(number) - ROUNDING, started_to=at(number) + ROUNDING)
        client = cast("EventsClient", self)
        listed = events_of(client, Search(period, most_requests))
        found = find_event(listed, lambda event: event.sid == f"evt_{number}")
        return found.sid if found else None

    @staticmethod
    def _record(number: int) -> StoredEvent:
        return StoredEvent.model_validate({"sid": f"evt_{number}", "startedAt": format_timestamp(at(number))})


@pytest.mark.parametrize("events", [1, 99, 100, 101, 450, 1_000, 6_000])
def test_whatever_is_there_is_found(events: int) -> None:
    for number in {0, 1, events // 3, events // 2, events - 1}:
        if number < events:
            assert List(events).find(number) == f"evt_{number}"


def test_a_page_far_behind_is_found_in_few_requests() -> None:
    listed = List(6_000)
    assert listed.find(100) == "evt_100"
    assert len(listed.asked) <= 14


def test_what_is_not_there_ends_the_search() -> None:
    listed = List(6_000)
    assert listed.find(-500) is None
    assert listed.find(9_000) is None
    assert len(listed.asked) <= 20
    assert max(listed.asked) < 130


def test_no_page_is_read_twice() -> None:
    listed = List(3_000)
    listed.find(-500)
    assert len(listed.asked) == len(set(listed.asked))


def test_a_list_that_ignores_the_page_ends_the_search() -> None:
    listed = List(3_000, knows_pages=False)
    assert listed.find(10) is None
    assert len(listed.asked) == 2


def test_no_search_takes_more_requests_than_it_may() -> None:
    listed = List(6_000)
    assert listed.find(100, most_requests=3) is None
    assert len(listed.asked) == 3
