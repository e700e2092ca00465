"""Reading a list that the API answers page by page."""

from collections.abc import Callable, Iterator, Sequence

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
