"""The order in which the processes of the suite run it: a test that was lost here would never fail."""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest

from tests.support.order import mixed


@dataclass(frozen=True)
class Item:
    path: Path
    number: int


SLOW = [Item(Path(f"slow_{file}"), number) for file in range(7) for number in range(file + 1)]
QUICK = [Item(Path(f"quick_{file}"), number) for file in range(3) for number in range(50)]


def is_quick(item: Item) -> bool:
    return item.path.name.startswith("quick")


@pytest.mark.parametrize("processes", [1, 2, 5, 6, 12])
@pytest.mark.parametrize("tests", [SLOW + QUICK, SLOW, QUICK, QUICK[:3], []], ids=len)
def test_each_test_is_there_once_and_the_slow_ones_of_a_file_stay_together(
    tests: list[Item], processes: int
) -> None:
    order = mixed(tests, processes, is_quick)
    assert sorted(order, key=tests.index) == tests
    slow = [item for item in order if not is_quick(item)]
    assert len([*groupby(slow, lambda item: item.path)]) == len({item.path for item in slow})


def test_each_process_begins_with_one_of_the_first_files() -> None:
    order = mixed(SLOW + QUICK, 2, is_quick)
    parts = order[: len(order) // 2], order[len(order) // 2 :]
    assert [part[0].path.name for part in parts] == ["slow_0", "slow_1"]
    assert all(any(map(is_quick, part)) for part in parts)
