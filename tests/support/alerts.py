"""Groups of alerts as Alertmanager and Grafana post them, and reports of one alert."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from receiver.events import Change, Delivery
from receiver.sources import SOURCES
from receiver.sources.source import translate
from tests.support.source_fixtures import body_of

RECEIVED_AT: Final = datetime(2026, 11, 28, 17, 35, tzinfo=UTC)
"""After most of what was captured."""


def received(source: str, body: bytes, at: datetime = RECEIVED_AT) -> Delivery:
    return SOURCES[source].receive({"content-type": "application/json"}, body, at)


def changes_of(
    case: str, at: datetime = RECEIVED_AT, source: str = "alertmanager", **options: Any
) -> tuple[Change, ...]:
    """What a fixture becomes if it arrives then."""
    chosen = SOURCES[source].options.model_validate({"deployments": "point"} | options)
    return translate(SOURCES[source], received(source, body_of(source, case), at), chosen).changes


def change_of_case(case: str, at: datetime = RECEIVED_AT, **options: Any) -> Change:
    (change,) = changes_of(case, at, **options)
    return change


LAPSES_AFTER: Final = timedelta(hours=12)
DAY: Final = datetime(2026, 1, 10, tzinfo=UTC)


def moment(clock: str) -> datetime:
    """`10:05` or `10:05:30` of that day, `+1 10:05` of the next."""
    days, _, time = clock.rpartition(" ")
    hours, minutes, *seconds = map(int, time.split(":"))
    return DAY + timedelta(days=int(days or 0), hours=hours, minutes=minutes, seconds=sum(seconds))


def firing(heard: str, since: str, name: str = "Disk full") -> Change:
    """A report that was heard at this time of the day, of an alert that fires since that."""
    return _report(heard, since, None, name)


def resolved(heard: str, since: str, until: str, name: str = "Disk full") -> Change:
    return _report(heard, since, until, name)


def _report(heard: str, since: str, until: str | None, name: str) -> Change:
    ended = moment(until).isoformat() if until else "0001-01-01T00:00:00Z"
    status = "resolved" if until else "firing"
    alert = {
        "status": status,
        "labels": {"alertname": name},
        "annotations": {},
        "startsAt": moment(since).isoformat(),
        "endsAt": ended,
        "fingerprint": "52f3aa162151052a",
    }
    body = json_of({"receiver": "markers", "status": status, "alerts": [alert], "version": "4"})
    delivery = received("alertmanager", body, moment(heard))
    (change,) = translate(
        SOURCES["alertmanager"], delivery, SOURCES["alertmanager"].options.model_validate({})
    ).changes
    return change


def json_of(content: Any) -> bytes:
    return json.dumps(content).encode()
