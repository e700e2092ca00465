"""Sources whose deliveries take too long for the event loop."""

import pytest

from receiver.serving.slow_sources import KEPT_AWAY, LONGEST, SlowSources


class Times:
    clock = 1000.0
    processor = 5.0


def read(slow: SlowSources, times: Times, source: str, seconds: float) -> None:
    with slow.measured(source):
        times.processor += seconds


def test_a_source_is_kept_away_for_a_while_after_a_delivery_that_took_long() -> None:
    times = Times()
    slow = SlowSources(lambda: times.clock, lambda: times.processor)
    read(slow, times, "github", LONGEST / 2)
    read(slow, times, "rollouts", LONGEST * 2)
    assert "rollouts" in slow
    assert "github" not in slow
    times.clock += KEPT_AWAY
    assert "rollouts" not in slow


def test_a_delivery_that_failed_after_a_long_time_counts_too() -> None:
    times = Times()
    slow = SlowSources(lambda: times.clock, lambda: times.processor)

    def fail() -> None:
        with slow.measured("rollouts"):
            times.processor += LONGEST * 2
            raise ValueError("unreadable")

    with pytest.raises(ValueError, match="unreadable"):
        fail()
    assert "rollouts" in slow
