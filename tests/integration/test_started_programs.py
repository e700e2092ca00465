"""What tests start takes signals and ends, whatever started the tests."""

import signal
import sys
from collections.abc import Iterator

import pytest

from tests.support.processes import heed_signals_in_children, started

SLEEP = "import time; time.sleep(60)"
INTERRUPTED = -signal.SIGINT


@pytest.fixture
def _interrupts_ignored() -> Iterator[None]:
    """As in a job that a shell has put into the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interrupts_ignored")
def test_a_program_takes_a_signal_that_these_tests_ignore() -> None:
    heed_signals_in_children()
    signal.raise_signal(signal.SIGINT)
    with started(["sleep", "60"]) as program:
        program.send_signal(signal.SIGINT)
        assert program.wait(timeout=20) == INTERRUPTED


def test_a_program_ends_with_a_test_that_fails() -> None:
    with pytest.raises(AssertionError), started([sys.executable, "-c", SLEEP]) as program:
        raise AssertionError
    assert program.returncode == -signal.SIGKILL
