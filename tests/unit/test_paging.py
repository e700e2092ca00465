"""Lists that come page by page, whatever an API makes of the number of the page."""

from collections.abc import Callable
from itertools import islice

from apitraffic_events.paging import iter_pages
from apitraffic_events.records import Bucket

Fetch = Callable[[int], tuple[list[Bucket], bool]]


def pages(*of_each: str) -> tuple[Fetch, list[int]]:
    """A function that fetches these pages of one-letter SIDs, and the numbers of the pages it has fetched."""
    fetched: list[int] = []

    def fetch(number: int) -> tuple[list[Bucket], bool]:
        fetched.append(number)
        return [Bucket(sid=sid) for sid in of_each[number - 1]], number < len(of_each)

    return fetch, fetched


def sids(fetch: Fetch) -> str:
    return "".join(record.sid for record in iter_pages(fetch))


def test_all_pages_are_read_in_order() -> None:
    fetch, fetched = pages("ab", "cd", "e")
    assert sids(fetch) == "abcde"
    assert fetched == [1, 2, 3]


def test_a_record_that_new_ones_push_to_the_next_page_comes_once() -> None:
    assert sids(pages("ab", "bc", "d")[0]) == "abcd"


def test_a_record_that_one_page_lists_twice_comes_once() -> None:
    assert sids(pages("aab")[0]) == "ab"


def test_an_api_that_ignores_the_number_is_asked_twice() -> None:
    fetched = []

    def always_the_same(number: int) -> tuple[list[Bucket], bool]:
        fetched.append(number)
        return [Bucket(sid="a"), Bucket(sid="b")], True

    assert sids(always_the_same) == "ab"
    assert fetched == [1, 2]


def test_a_page_is_fetched_only_when_it_is_needed() -> None:
    fetch, fetched = pages("ab", "cd")
    assert [record.sid for record in islice(iter_pages(fetch), 2)] == ["a", "b"]
    assert fetched == [1]
