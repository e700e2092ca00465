"""Lines that anybody can cause: the first at once, the others together."""

import pytest
from structlog.testing import capture_logs

from receiver.observability.repeated_lines import RepeatedLines


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_first_is_logged_at_once_and_the_others_a_second_later_with_their_number(clock: Clock) -> None:
    lines = RepeatedLines(clock)
    with capture_logs() as logged:
        for number in range(5):
            lines.warn("receiver", "refused", "401", number=number)
        lines.flush()
        assert [line["number"] for line in logged] == [0]
        clock.now = 1.0
        lines.flush()
        lines.flush()
    assert [(line["number"], line.get("times")) for line in logged] == [(0, None), (4, 4)]
    assert all(line["log_level"] == "warning" for line in logged)


def test_without_a_flush_the_next_one_counts_them(clock: Clock) -> None:
    lines = RepeatedLines(clock)
    with capture_logs() as logged:
        for number in range(5):
            lines.warn("receiver", "refused", "401", number=number)
        clock.now = 1.5
        lines.warn("receiver", "refused", "401", number=5)
        lines.flush()
    assert [(line["number"], line.get("times")) for line in logged] == [(0, None), (5, 5)]


def test_kinds_are_counted_apart(clock: Clock) -> None:
    lines = RepeatedLines(clock)
    with capture_logs() as logged:
        for kind in ("401", "413", "401", "413"):
            lines.warn("receiver", "refused", kind, status=kind)
        lines.warn("receiver", "another", "401")
    assert [(line["event"], line.get("status")) for line in logged] == [
        ("refused", "401"),
        ("refused", "413"),
        ("another", None),
    ]


def test_a_flood_is_one_line_a_second(clock: Clock) -> None:
    lines = RepeatedLines(clock)
    with capture_logs() as logged:
        for number in range(10_000):
            clock.now = number / 1_000
            lines.warn("receiver", "refused", "401")
            lines.flush()
        clock.now = 20.0
        lines.flush()
    assert len(logged) <= 11
    assert sum(line.get("times", 1) for line in logged) == 10_000
