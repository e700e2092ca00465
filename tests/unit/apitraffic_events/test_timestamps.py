"""Every way the senders' payloads write a time (shared reference sheets), and junk."""

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apitraffic_events.timestamps import format_timestamp, now, parse_timestamp
from tests.support.properties import any_text, json_values, reproducible

GITHUB = [
    ("2019-05-15T15:20:53Z", 1557933653),
    ("2022-01-03T01:27:48.000Z", 1641173268),
    ("2019-05-15T15:20:55+00:00", 1557933655),
    ("2021-08-19T12:16:32.000-04:00", 1629389792),
    ("2015-05-05T19:45:15-07:00", 1430880315),
    (1557933657, 1557933657),
]
GITLAB = [
    ("2016-08-12 15:23:28 UTC", 1471015408),
    ("2021-04-28 21:50:00 +0200", 1619639400),
    ("2021-04-28 21:50:00 +0000", 1619646600),
    ("2025-05-21T16:06:02.869Z", 1747843562.869),
    ("2021-02-23T02:41:37Z", 1614048097),
    ("2020-10-31T14:58:32+11:00", 1604116712),
    ("2024-01-26", 1706227200),
    (1744578123, 1744578123),
]
JENKINS = [
    (1767607340123, 1767607340.123),
    ("1970-01-01T00:00:00+0000", 0),
    ("2026-01-05T10:00:00.123Z", 1767607200.123),
]
PAGERDUTY = [
    ("2026-01-05T10:00:00.412Z", 1767607200.412),
    ("2025-04-07T03:00:55.532Z", 1743994855.532),
    ("2026-01-05T10:00:00Z", 1767607200),
]
OTHERS = [
    ("2026-01-05T10:00:00.123456789Z", 1767607200.123456),
    ("2026-01-05T10:00:00", 1767607200),
    ("2026-01-05 10:00:00", 1767607200),
    ("  2026-01-05T10:00:00Z\n", 1767607200),
    (1767607200.5, 1767607200.5),
    (0, 0),
    (-1, -1),
]


@pytest.mark.parametrize(("written", "epoch"), [*GITHUB, *GITLAB, *JENKINS, *PAGERDUTY, *OTHERS])
def test_every_format_of_the_senders_is_read(written: str | float, epoch: float) -> None:
    moment = parse_timestamp(written)
    assert moment is not None
    assert moment.timestamp() == epoch
    assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("written", "epoch"),
    [(99_999_999_999, 99_999_999_999), (100_000_000_000, 100_000_000), (-100_000_000_000, -100_000_000)],
)
def test_a_number_is_seconds_until_it_must_be_milliseconds(written: int, epoch: int) -> None:
    assert parse_timestamp(written) == datetime.fromtimestamp(epoch, tz=UTC)


@pytest.mark.parametrize(
    "junk",
    [
        None,
        "",
        "   ",
        True,
        False,
        [],
        {},
        "yesterday",
        "UTC",
        "Z",
        "0",
        "null",
        "2026-13-01T00:00:00Z",
        "2026-02-30",
        "2026-01-10T25:00:00Z",
        "2016-12-31T23:59:60Z",
        "2026-01-10T10:00:00+99:00",
        "2026-01-10T10:00:00Z" + "0" * 50,
        "9" * 100_000,
        "\ud800",
        "\uff12\uff10\uff12\uff16-01-10T10:00:00Z",
        "10/01/2026",
        "2026-01-10T10:00:00 PST",
        10**400,
        -(10**400),
        10**20,
        math.nan,
        math.inf,
        -math.inf,
        1e308,
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
    ],
)
def test_what_is_no_time_reads_as_none(junk: object) -> None:
    assert parse_timestamp(junk) is None


@pytest.mark.parametrize("digits", ["1712011200", "1712011200123", "1767607340123", "20260110", "2026"])
def test_digits_in_text_are_no_time_rather_than_a_day_in_the_year_1712(digits: str) -> None:
    assert parse_timestamp(digits) is None


def test_a_naive_datetime_is_utc_and_an_aware_one_becomes_it() -> None:
    naive = datetime(2026, 1, 10, 10)  # noqa: DTZ001 - that is the point
    there = datetime(2026, 1, 10, 12, tzinfo=timezone(timedelta(hours=2)))
    assert parse_timestamp(naive) == parse_timestamp(there) == datetime(2026, 1, 10, 10, tzinfo=UTC)
    assert parse_timestamp(datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))) is None


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (datetime(2023, 12, 1, 10, 30, tzinfo=UTC), "2023-12-01T10:30:00.000Z"),
        (datetime(2023, 12, 1, 10, 30, 0, 999_999, tzinfo=UTC), "2023-12-01T10:30:00.999Z"),
        (datetime(2023, 12, 1, 12, 30, tzinfo=timezone(timedelta(hours=2))), "2023-12-01T10:30:00.000Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000Z"),
    ],
)
def test_the_api_gets_utc_with_milliseconds(moment: datetime, written: str) -> None:
    assert format_timestamp(moment) == written


def test_now_is_aware_and_utc() -> None:
    assert now().tzinfo is UTC


def whole_milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@reproducible
@given(st.datetimes(timezones=st.just(UTC)).map(whole_milliseconds))
def test_what_is_written_is_read_as_the_same_moment(moment: datetime) -> None:
    assert parse_timestamp(format_timestamp(moment)) == moment


@reproducible
@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=st.timezones()))  # noqa: DTZ001
def test_an_offset_moves_nothing(moment: datetime) -> None:
    assert parse_timestamp(moment.isoformat()) == moment.astimezone(UTC)


@reproducible
@given(st.one_of(json_values, any_text, st.integers(), st.floats()))
def test_no_json_value_raises(value: Any) -> None:
    moment = parse_timestamp(value)
    assert moment is None or moment.tzinfo is UTC
    if moment is not None:
        assert parse_timestamp(format_timestamp(moment)) == whole_milliseconds(moment)
