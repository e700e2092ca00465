"""The threads that run jobs beside the worker's own."""

import itertools
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from receiver.worker.batch import Batch
from receiver.worker.dequeued import Dequeued
from receiver.worker.helper import Helper

NUMBERS = itertools.count()
WAKERS = 2
TIMES = 100
"""Without the lock, one time in nine has started the thread twice."""


def new_helper() -> Helper:
    def run(dequeued: Dequeued, helper: Helper) -> None:
        """Nothing is dequeued here."""

    return Helper(f"helper-{next(NUMBERS)}", Batch(lambda jobs: None, threads=1), run, lambda: False)


def test_threads_that_wake_a_helper_at_the_same_time_start_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's own thread, its clock and other helpers do. A thread that is started twice fails where
    nothing catches it, and a worker that stops may not wait for the helper's job.
    """
    failed: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", failed.append)
    monkeypatch.setattr(threading, "excepthook", failed.append)
    at_once = threading.Barrier(WAKERS)

    def wake(helper: Helper) -> None:
        at_once.wait()
        helper.wake()

    with ThreadPoolExecutor(WAKERS) as pool:
        for _ in range(TIMES):
            helper = new_helper()
            list(pool.map(wake, [helper] * WAKERS))
            helper.stop()
    assert not failed


def test_a_helper_that_was_stopped_does_not_start() -> None:
    """A worker that ends has waited for its helpers, and gives back what was handed out too late."""
    helper = new_helper()
    helper.stop()
    helper.wake()
    assert not any(thread.name == helper.name for thread in threading.enumerate())
