"""A signal may come at any moment, also while the main thread begins or ends to wait for it."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from receiver.worker.wake_up import WakeUp


@pytest.fixture
def woken() -> Iterator[WakeUp]:
    """Set by SIGUSR1."""
    wake_up = WakeUp()
    before = signal.signal(signal.SIGUSR1, lambda *_: wake_up.set())
    yield wake_up
    signal.signal(signal.SIGUSR1, before)


def test_a_signal_ends_the_wait(woken: WakeUp) -> None:
    timer = threading.Timer(0.05, signal.pthread_kill, [threading.main_thread().ident, signal.SIGUSR1])
    began = time.monotonic()
    timer.start()
    assert woken.wait(30)
    assert time.monotonic() - began < 10
    assert woken.is_set()


def test_what_is_set_is_not_waited_for(woken: WakeUp) -> None:
    woken.set()
    began = time.monotonic()
    woken.wait(30)
    woken.wait(30)
    assert time.monotonic() - began < 10


def test_what_was_cleared_is_waited_for_again(woken: WakeUp) -> None:
    for _ in range(2):
        woken.set()
    woken.clear()
    assert not woken.is_set()
    began = time.monotonic()
    assert not woken.wait(0.05)
    assert time.monotonic() - began >= 0.05


def test_a_signal_between_any_two_lines_of_waiting_hangs_nothing(woken: WakeUp) -> None:
    """With `threading.Event` it hangs if the signal comes while the waiting thread has the event's lock."""
    lines = 0

    def raise_at_each_line(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal lines
        if event == "line" and frame.f_code is not raise_at_each_line.__code__:
            lines += 1
            signal.raise_signal(signal.SIGUSR1)
        return raise_at_each_line

    before = sys.gettrace()
    sys.settrace(raise_at_each_line)
    try:
        woken.wait(0.01)
        woken.set()
        woken.clear()
    finally:
        sys.settrace(before)
    assert lines > 5
    woken.wait(0.01)
