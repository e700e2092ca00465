"""What tests of several folders start."""

import gc
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import receiver.queue  # noqa: F401 - before tests import rq, which reads the prefix of its keys once
from tests.support.disks import CannotMount, small_disk
from tests.support.processes import heed_signals_in_children
from tests.support.redis import running_redis
from tests.support.stack import Stack, running_stack


def pytest_configure() -> None:
    heed_signals_in_children()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Thousands of tests are made here, none of which is garbage; looking for some doubles what it costs."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A Redis of this test's own."""
    with running_redis(tmp_path / "redis") as url:
        yield url


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a small disk, which the test may fill."""
    with ExitStack() as mounted:
        try:
            folder = mounted.enter_context(small_disk(tmp_path / "disk"))
        except CannotMount as refused:
            pytest.skip(
                f"{refused}; tests/unit/reception/test_full_disk.py proves that removing needs no room"
            )
        yield folder


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Redis, local Events API, receiver and worker of this test's own; it starts the latter two."""
    with running_stack(tmp_path) as running:
        yield running
