"""In which order pytest-xdist's processes run the tests, so that they end at the same time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Protocol, TypeVar


class HasPath(Protocol):
    @property
    def path(self) -> Path: ...


Test = TypeVar("Test", bound=HasPath)


def mixed(tests: Sequence[Test], processes: int, is_quick: Callable[[Test], bool]) -> list[Test]:
    """The tests in an order of which each process takes an equal part: the first, second … of `processes`.

    Tests that start programs wait for them for most of their time, and quick tests never wait. So each part
    has its share of both, in turns: while some wait, others have work for the processor. The first files of
    `tests` come first in their parts. The tests of a file stay together, because they share what they start.
    """
    files = [list(group) for _, group in groupby((t for t in tests if not is_quick(t)), lambda t: t.path)]
    quick = [test for test in tests if is_quick(test)]
    order: list[Test] = []
    for number in range(processes):
        size = (len(tests) - len(order)) // (processes - number)
        own = files[number::processes]
        room = max(0, size - sum(map(len, own)))
        order += _in_turns(own, quick[:room])
        del quick[:room]
    return order + quick


def _in_turns(files: Iterable[Sequence[Test]], quick: Sequence[Test]) -> Iterator[Test]:
    files = list(files)
    begun = 0
    for number, file in enumerate(files, 1):
        yield from file
        until = len(quick) * number // len(files)
        yield from quick[begun:until]
        begun = until
    yield from quick[begun:]
