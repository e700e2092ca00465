"""Reading a list that the API answers page by page."""

from collections.abc import Callable, Iterator, Sequence

from apitraffic_events.filters import EventFilter, Position
from apitraffic_events.records import EventPage, StoredEvent
from apitraffic_events.responses import RecordT


def iter_pages(fetch: Callable[[int], tuple[Sequence[RecordT], bool]]) -> Iterator[RecordT]:
    """The records of all pages, each once, even if new ones push others to the next page meanwhile.

    `fetch` takes the number of a page, from 1, and returns its records and whether there are more. A page
    is fetched when its first record is needed.
    """
    seen: set[str] = set()
    number, has_more = 0, True
    while has_more:
        number += 1
        records, has_more = fetch(number)
        fresh = {record.sid: record for record in records if record.sid not in seen}
        yield from fresh.values()
        seen.update(fresh)
        # The reference does not document the paging parameter's name. An API that ignores it would answer
        # the same page for ever.
        has_more = has_more and bool(fresh)


def iter_matching(fetch: Callable[[int], EventPage], wanted: EventFilter) -> Iterator[StoredEvent]:
    """As `iter_pages`, the events that match: what the API returns is never trusted to be what was asked for.

    Ends at the first page that is older than the period, if the order of the list shows that.
    """
    given: set[str] = set()

    def fetch_page(number: int) -> tuple[Sequence[StoredEvent], bool]:
        page = fetch(number)
        while number == 1 and page.is_worth_repeating:
            page = fetch(number)
        return page.records, page.has_more and wanted.position_of(page.records) is not Position.PAST

    for event in iter_pages(fetch_page):
        if event.sid not in given and wanted.includes(event):
            given.add(event.sid)
            yield event
