"""What tests of several folders start."""

import gc
import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
import structlog
from xdist.remote import Producer

import receiver.queue  # noqa: F401 - before tests import rq, which reads the prefix of its keys once
from tests.support.by_file import ByFile
from tests.support.disks import CannotMount, small_disk
from tests.support.processes import heed_signals_in_children
from tests.support.redis import running_redis
from tests.support.stack import Stack, running_stack

WORKERS_PER_CORE: Final = 2.5
"""Tests of several programs wait for one of them for most of their time."""
MOST_WORKERS: Final = 12
"""More would start more servers than they save time."""
LONGEST: Final = (
    *("e2e/test_story.py", "plugins/test_gitlab_template.py", "plugins/test_jenkins_deployments.py"),
    *("plugins/test_gitlab_script.py", "plugins/test_github_action.py", "e2e/test_delivery_survives.py"),
    *("e2e/test_up_and_demo.py", "plugins/test_github_deployments.py", "e2e/test_batch_survives.py"),
    *("integration/hardening/test_unsigned_load.py", "e2e/test_readme.py", "browser/test_console.py"),
)
"""They take half a minute or more, so they go first: at the end, all would wait for one of them."""


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    turns = {Path(__file__).parent / name: turn for turn, name in enumerate(LONGEST)}
    items.sort(key=lambda item: turns.get(item.path, len(turns)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile | None:
    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # the longest first, not those with most tests
    return ByFile(config, log)


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
