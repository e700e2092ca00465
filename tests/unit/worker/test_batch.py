"""How large a batch is, who takes what, and what is given back."""

import time
from collections.abc import Sequence
from typing import Any, cast

import pytest

from receiver.delivery.budget import Permit
from receiver.worker.batch import LARGEST, LONGEST_HOLD, MOMENT, Batch
from receiver.worker.dequeued import Dequeued


def jobs(number: int, seconds_ago: float = 0.0) -> list[Dequeued]:
    nothing = cast("Any", None)
    taken_at = time.monotonic() - seconds_ago
    return [Dequeued("job", {}, nothing, nothing, Permit(), None, taken_at) for _ in range(number)]


@pytest.fixture
def returned() -> list[Dequeued]:
    return []


@pytest.fixture
def batch(returned: list[Dequeued]) -> Batch:
    def give_back(given: Sequence[Dequeued]) -> None:
        returned.extend(given)

    return Batch(give_back, threads=4)


def test_the_first_has_one_job_for_each_thread(batch: Batch) -> None:
    assert batch.size == 4


@pytest.mark.parametrize(
    ("seconds_per_job", "size"), [(MOMENT, 4), (MOMENT / 4, 4), (MOMENT / 10, 10), (MOMENT / 1000, LARGEST)]
)
def test_it_has_what_is_begun_within_a_moment(batch: Batch, seconds_per_job: float, size: int) -> None:
    batch.measured(20, 20.2 * seconds_per_job)
    assert batch.size == pytest.approx(size, abs=1)
    batch.measured(20, 20 * 10.0)
    assert batch.size == 4


def test_jobs_are_taken_in_their_order(batch: Batch) -> None:
    given = jobs(3)
    batch.put(given)
    assert [batch.take() for _ in range(4)] == [*given, None]


def test_what_has_waited_too_long_is_given_back_and_not_begun(batch: Batch, returned: list[Dequeued]) -> None:
    given = jobs(3, seconds_ago=LONGEST_HOLD + 0.01)
    batch.put(given)
    assert batch.take() is None
    assert returned == given
    assert batch.take() is None


def test_while_all_threads_wait_another_gives_it_back(batch: Batch, returned: list[Dequeued]) -> None:
    given = jobs(2, seconds_ago=LONGEST_HOLD + 0.01)
    batch.put(given)
    batch.give_back_if_late()
    assert returned == given


def test_what_has_not_waited_too_long_stays(batch: Batch, returned: list[Dequeued]) -> None:
    batch.put(jobs(2))
    batch.give_back_if_late()
    assert returned == []
    assert batch.take() is not None


def test_a_job_of_which_nothing_was_done_goes_before_the_others(
    batch: Batch, returned: list[Dequeued]
) -> None:
    begun, *others = jobs(3)
    batch.put(others)
    batch.give_back(begun)
    assert returned == [begun, *others]
