"""Which reports of an alert are one episode, in whatever order they are delivered."""

import random
from collections.abc import Sequence
from datetime import datetime
from itertools import permutations

import pytest

from apitraffic_events.event import Event
from receiver.delivery.episodes import GOES_ON, MOST_EPISODES, with_report
from receiver.delivery.folding import fold
from receiver.events import Change
from tests.support.alerts import firing, moment, resolved

NOON = "12:00"


def markers_of(reports: Sequence[Change], now: datetime) -> dict[str, Event]:
    """Key -> what its marker shows after all these were delivered in this order."""
    known: tuple[Change, ...] = ()
    markers = {}
    for report in reports:
        revision = with_report(report.key, known, report)
        for episode in revision.changed:
            markers[episode.key] = fold(episode.changes(now))
        for key in revision.gone:
            del markers[key]
        known = revision.alert.reports
    return {key: event for key, event in markers.items() if event is not None}


def spans(reports: Sequence[Change], now: str = NOON) -> list[tuple[str, str]]:
    """The start and end of each marker; an end of "" is none."""
    events = markers_of(reports, moment(now)).values()
    return sorted((_clock(event.started_at), _clock(event.ended_at)) for event in events)


def _clock(at: datetime | None) -> str:
    return f"{at:%H:%M}" if at else ""


CASES = {
    "fires and is resolved": (
        [firing("10:00", "09:59"), resolved("10:10", "09:59", "10:08")],
        [("09:59", "10:08")],
    ),
    "is repeated": (
        [firing("10:00", "09:59"), firing("10:30", "09:59"), resolved("10:40", "09:59", "10:38")],
        [("09:59", "10:38")],
    ),
    "two episodes": (
        [
            firing("10:00", "09:59"),
            resolved("10:10", "09:59", "10:08"),
            firing("10:20", "10:19"),
            resolved("10:30", "10:19", "10:29"),
        ],
        [("09:59", "10:08"), ("10:19", "10:29")],
    ),
    "fires again between two notifications": (
        [firing("10:00", "09:59"), resolved("10:10", "10:03", "10:08")],
        [("09:59", "10:08")],
    ),
    "never heard of as firing": ([resolved("10:10", "10:03", "10:08")], [("10:03", "10:08")]),
    "one of a pair says it earlier, the other later": (
        [
            firing("10:00", "09:59"),
            firing("10:00:15", "09:58"),
            resolved("10:10", "09:58", "10:08"),
            resolved("10:10:15", "09:59", "10:08:30"),
        ],
        [("09:58", "10:08")],
    ),
    "its end is taken back, as after a restart of Prometheus": (
        [firing("10:00", "09:59"), resolved("10:10", "09:59", "10:08"), firing("10:12", "09:59")],
        [("09:59", "")],
    ),
    "its end is taken back and comes after all": (
        [
            firing("10:00", "09:59"),
            resolved("10:10", "09:59", "10:08"),
            firing("10:12", "09:59"),
            resolved("10:20", "09:59", "10:18"),
        ],
        [("09:59", "10:18")],
    ),
    "a sender with one start for ever": (
        [
            firing("10:00", "09:59"),
            resolved("10:10", "09:59", "10:08"),
            firing("11:12", "09:59"),
            resolved("11:30", "09:59", "11:29"),
        ],
        [("09:59", "10:08"), ("11:12", "11:29")],
    ),
    "one of a pair reports the end when it fires again": (
        [
            firing("10:00", "09:59"),
            resolved("10:10", "09:59", "10:08"),
            firing("10:20", "10:19"),
            resolved("10:21", "09:59", "10:08"),
        ],
        [("09:59", "10:08"), ("10:19", "")],
    ),
    "its end gets lost before it fires again": (
        [firing("10:00", "09:59"), firing("10:20", "10:19"), resolved("10:30", "10:19", "10:29")],
        [("09:59", "10:29")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_episode_is_one_marker_in_whatever_order_its_reports_come(case: str) -> None:
    reports, expected = CASES[case]
    for order in permutations(reports):
        assert spans(order) == expected
        assert spans((*order, *order)) == expected


@pytest.mark.parametrize("seed", range(60))
def test_the_order_makes_no_difference_to_any_reports(seed: int) -> None:
    chosen = random.Random(seed)  # noqa: S311 - not for secrets
    reports, at = [], 600
    for _ in range(chosen.randint(1, 3)):
        start = at + chosen.randint(1, 30)
        at = start + chosen.randint(2, 60)
        times = [f"{minute // 60}:{minute % 60}" for minute in (start, start + 1, at)]
        for _ in range(chosen.randint(0, 3)):
            heard = chosen.randint(start, at)
            reports.append(firing(f"{heard // 60}:{heard % 60}", chosen.choice(times[:2])))
        for _ in range(chosen.randint(0, 2)):
            heard = at + chosen.randint(0, 8)
            reports.append(resolved(f"{heard // 60}:{heard % 60}", chosen.choice(times[:2]), times[2]))
    expected = spans(reports)
    for _ in range(5):
        chosen.shuffle(reports)
        assert spans(reports) == expected


class TestAnAlertWithoutNews:
    REPORTS = (firing("10:00", "09:59"), firing("14:00", "09:59"))

    def test_ends_when_it_was_last_heard_of_and_says_so(self) -> None:
        (event,) = markers_of(self.REPORTS, moment("+1 02:00")).values()
        assert (event.started_at, event.ended_at) == (moment("09:59"), moment("14:00"))
        assert event.metadata["status"] == "lapsed"
        assert event.description == (
            "Its end was not reported: last heard of as firing at 2026-01-10 14:00 UTC, and not for 12 h "
            "since. It may be silenced or inhibited, or its sender gone."
        )

    def test_goes_on_until_then(self) -> None:
        assert spans(self.REPORTS, "+1 01:59") == [("09:59", "")]

    def test_goes_on_if_it_turns_out_to_have_fired_all_along(self) -> None:
        assert spans((*self.REPORTS, firing("+1 06:00", "09:59")), "+1 06:00") == [("09:59", "")]

    def test_ends_when_it_did_if_that_is_heard_of_after_all(self) -> None:
        reports = (*self.REPORTS, resolved("+1 06:00", "09:59", "+1 05:58"))
        assert spans(reports, "+1 06:00") == [("09:59", "05:58")]

    def test_is_another_episode_if_it_has_begun_since(self) -> None:
        reports = (*self.REPORTS, firing("+1 06:00", "+1 05:59"))
        assert spans(reports, "+1 06:00") == [("05:59", ""), ("09:59", "14:00")]


def test_an_alert_is_looked_at_again_only_while_it_fires() -> None:
    fires, over = firing("10:00", "09:59"), resolved("10:10", "09:59", "10:08")
    first = with_report(fires.key, (), fires)
    assert first.alert.checked_at == moment("22:00")
    assert with_report(fires.key, first.alert.reports, over).alert.checked_at is None


def test_what_is_remembered_of_an_alert_is_bounded() -> None:
    known: tuple[Change, ...] = ()
    for number in range(1, 16):
        since, until = f"{number // 4}:{number % 4 * 15}", f"{number // 4}:{number % 4 * 15 + 9}"
        for report in (*(firing(until, since) for _ in range(8)), resolved(until, since, until)):
            known = with_report(report.key, known, report).alert.reports
    assert len({report.key for report in known}) == MOST_EPISODES
    assert len(known) <= MOST_EPISODES * 3
    forgotten = firing("00:01", "00:00")
    assert with_report(forgotten.key, known, forgotten).changed == ()
    assert len(with_report(forgotten.key, known, forgotten, is_in_doubt=True).changed) == MOST_EPISODES


def test_a_repeat_long_after_the_end_is_a_new_episode() -> None:
    reports = [firing("10:00", "09:59"), resolved("10:10", "09:59", "10:08")]
    at = moment("10:10") + GOES_ON
    assert len(spans([*reports, firing(f"{at:%H:%M}", "09:59")])) == 1
    assert len(spans([*reports, firing(f"{at:%H:%M}:01", "09:59")])) == 2


def test_a_marker_of_an_alert_has_a_key_of_its_own() -> None:
    (key,) = markers_of([firing("10:00", "09:59")], moment(NOON))
    assert key == "alertmanager:markers:52f3aa162151052a@20260110T095900000Z"
    (event,) = markers_of([firing("10:00", "09:59")], moment(NOON)).values()
    assert event.metadata["marker_key"] == key
