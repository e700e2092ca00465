"""Who gets how much memory for requests."""

import pytest

from receiver.serving.budget import FOR_MEDIUM, FOR_SMALL, KIB, MEDIUM, MIB, MOST, SMALL, MemoryBudget, needed


def test_what_is_released_can_be_reserved_again() -> None:
    budget = MemoryBudget(100)
    assert budget.reserve("a", 60)
    assert not budget.reserve("b", 41)
    assert budget.reserve("b", 40)
    budget.release("a")
    budget.release("a")
    assert budget.used == 40
    assert budget.reserve("c", 60)


def test_a_holder_reserves_what_it_needs_more_than_before() -> None:
    budget = MemoryBudget(100)
    assert budget.reserve("a", 60)
    assert budget.reserve("a", 90)
    assert not budget.reserve("a", 101)
    assert budget.reserve("a", 50)
    assert budget.used == 90


def test_two_of_the_largest_fit_and_small_and_medium_ones_beside_them() -> None:
    budget = MemoryBudget()
    large = 25 * MIB + 2 * KIB
    assert budget.reserve("first", large)
    assert budget.reserve("second", large)
    assert not budget.reserve("third", large)
    assert all(budget.reserve(number, MEDIUM) for number in range(FOR_MEDIUM // MEDIUM))
    while budget.reserve(object(), MEDIUM):
        pass
    assert sum(budget.reserve(object(), SMALL) for _ in range(1_000)) >= FOR_SMALL // SMALL


def test_bytes_that_arrived_count_even_if_there_is_no_room_for_them() -> None:
    budget = MemoryBudget()
    budget.hold("a", MOST)
    assert not budget.is_exceeded
    budget.hold("b", 1)
    assert budget.is_exceeded
    budget.release("a")
    assert not budget.is_exceeded


@pytest.mark.parametrize(
    ("received", "length", "expected"),
    [
        (10, 1_000, 10),
        (10, SMALL, 10),
        (10, SMALL + 1, SMALL + 1),
        (10, 20 * MIB, 20 * MIB),
        (10, None, 10),
        (SMALL, None, SMALL),
        (SMALL + 1, None, MEDIUM),
        (MEDIUM + 1, None, 25 * MIB),
    ],
)
def test_a_large_body_reserves_all_that_it_may_need(received: int, length: int | None, expected: int) -> None:
    assert needed(received, length, 25 * MIB) == expected


def test_a_chunked_body_reserves_no_more_than_its_limit() -> None:
    assert needed(SMALL + 1, None, MIB // 2) == MIB // 2
