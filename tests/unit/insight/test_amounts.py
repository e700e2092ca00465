"""How figures are written: short, and never as what they are not."""

import pytest

from receiver.insight import amounts


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0 %"),
        (0.0000001, "< 0.001 %"),
        (0.001, "0.001 %"),
        (0.04, "0.04 %"),
        (0.3, "0.3 %"),
        (0.0996, "0.1 %"),
        (1.0, "1 %"),
        (2.1456, "2.1 %"),
        (9.96, "10 %"),
        (12.3, "12 %"),
        (99.4, "99 %"),
        (99.5, "99.5 %"),
        (99.97, "99.9 %"),
        (100, "100 %"),
    ],
)
def test_a_share_that_is_not_0_or_100_is_not_written_so(value: float, said: str) -> None:
    assert amounts.percent(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0 requests"),
        (0.4, "< 1 requests"),
        (1, "1 request"),
        (1.4, "1 request"),
        (310, "310 requests"),
        (999.6, "1 k requests"),
        (1_049, "1 k requests"),
        (1_234, "1.2 k requests"),
        (12_345, "12 k requests"),
        (999_400, "999 k requests"),
        (999_600, "1 M requests"),
        (1_250_000_000, "1.2 G requests"),
        (5e12, "5000 G requests"),
    ],
)
def test_many_requests_are_written_in_thousands_and_millions(value: float, said: str) -> None:
    assert amounts.requests(value) == said


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (145, 310, "145 → 310 ms"),
        (0, 0.8, "0 → 0.8 ms"),
        (1.25, 2.0, "1.2 → 2 ms"),
        (145.4, 9_999, "145 → 9999 ms"),
        (150, 12_000, "0.15 → 12 s"),
        (25_000, 150, "25 → 0.15 s"),
    ],
)
def test_a_response_time_is_in_milliseconds_until_one_of_both_takes_ten_seconds(
    before: float, after: float, said: str
) -> None:
    assert amounts.time_change(before, after) == said
