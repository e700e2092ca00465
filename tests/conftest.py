"""What tests of several folders start."""

import gc
import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
import structlog

import receiver.queue  # noqa: F401 - before tests import rq, which reads the prefix of its keys once
from tests.support.disks import CannotMount, small_disk
from tests.support.order import mixed
from tests.support.processes import heed_signals_in_children
from tests.support.redis import running_redis
from tests.support.stack import Stack, running_stack

WORKERS_PER_CORE: Final = 2.5
"""Tests of several programs wait for one of them for most of their time. With three, processor time was never
idle, but what the processes took from each other cost more."""
MOST_WORKERS: Final = 12
"""More would start more servers than they save time."""
LONGEST: Final = frozenset(
    Path(__file__).parent / name
    for name in (
        *("browser/test_console.py", "e2e/test_story.py", "e2e/test_up_and_demo.py"),
        *("integration/hardening/test_unsigned_load.py", "integration/observability/test_traces.py"),
        *("integration/redis/test_acl.py", "unit/reception/test_full_disk.py"),
    )
)
"""Their tests wait for several seconds each, so they go first: at the end, all would wait for one of them."""
UNIT: Final = Path(__file__).parent / "unit"
"""Most of its tests start nothing and wait for nothing."""


def pytest_configure() -> None:
    heed_signals_in_children()
    # By default, structlog prints a traceback with all local variables, which takes a second.
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


def pytest_xdist_auto_num_workers() -> int:
    """How many processes `-n auto` means."""
    return min(int(WORKERS_PER_CORE * (os.cpu_count() or 1)), MOST_WORKERS)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Thousands of tests are made here, none of which is garbage; looking for some doubles what it costs."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def is_quick(item: pytest.Item) -> bool:
    return item.path.is_relative_to(UNIT) and item.path not in LONGEST


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path not in LONGEST)
    if processes := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
        items[:] = mixed(items, processes, is_quick)


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
