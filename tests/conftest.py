"""What tests of several folders start."""

import gc
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

import receiver.queue  # noqa: F401 - before tests import rq, which reads the prefix of its keys once
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
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Redis, local Events API, receiver and worker of this test's own; it starts the latter two."""
    with running_stack(tmp_path) as running:
        yield running
