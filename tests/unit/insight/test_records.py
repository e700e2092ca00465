"""What is remembered of a marker, whichever sender it is of."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apitraffic_events.event import Event, EventType
from apitraffic_events.records import StoredEvent
from receiver.insight.annotation import without_insight
from receiver.insight.records import DeployOutcome, Record, listed_record, record_of

AT = datetime(2026, 1, 10, 10, 0, tzinfo=UTC)


def event(type_: EventType = EventType.DEPLOYMENT, **fields: Any) -> Event:
    return Event.model_validate({"type": type_, "name": "Deploy", "started_at": AT} | fields)


def test_of_a_deploy_everything_that_tells_it_from_others_is_kept() -> None:
    own = event(
        source="github_actions",
        ended_at=AT + timedelta(minutes=5),
        buckets=("bkt_a",),
        environments=("env123",),
        metadata={
            "repository": "acme/shop",
            "repository_url": "https://github.com/acme/shop",
            "environment": "production",
            "ref": "main",
            "commit": "ABCDEF0" + "1" * 33,
            "workflow": "Deploy",
            "job": "deploy (api)",
            "run_id": 42,
            "task": "deploy",
            "status": "success",
            "url": "https://github.com/acme/shop/actions/runs/42",
        },
    )
    record = record_of(own, "github:deployment:1")
    assert record is not None
    assert {
        name: getattr(record, name) for name in Record.model_fields if name not in {"type", "suspects"}
    } == {
        "key": "github:deployment:1",
        "name": "Deploy",
        "at": AT + timedelta(minutes=5),
        "started_at": AT,
        "has_ended": True,
        "outcome": DeployOutcome.SUCCEEDED,
        "subject": "acme/shop",
        "environment": "production",
        "is_production": True,
        "version": "main@ABCDEF0",
        "is_exact": False,
        "commit": "abcdef0" + "1" * 33,
        "track": "Deploy",
        "job": "deploy (api)",
        "run_id": "42",
        "task": "deploy",
        "source": "github_actions",
        "repository_url": "https://github.com/acme/shop",
        "url": "https://github.com/acme/shop/actions/runs/42",
        "buckets": ("bkt_a",),
        "environments": ("env123",),
        "judged_after": None,
    }
    assert record.type is EventType.DEPLOYMENT
    assert record.history == "acme/shop production"


@pytest.mark.parametrize(
    ("metadata", "version", "is_exact"),
    [
        ({"release": "nightly"}, "nightly", True),
        ({"ref": "v2.3.1", "commit": "1" * 40}, "v2.3.1", True),
        ({"version": "build-7", "ref": "main", "commit": "1" * 40}, "build-7", False),
        ({"version": "v2.3.1", "ref": "main", "commit": "1" * 40}, "v2.3.1", True),
        ({"ref": "refs/tags/x", "commit": "1" * 40}, "x", False),
        ({"ref": "main"}, "main", False),
        ({"commit": "1" * 40}, "1111111", False),
        ({}, None, False),
    ],
)
def test_a_version_is_exact_if_it_names_one_for_good(
    metadata: dict[str, str], version: str | None, is_exact: bool
) -> None:
    record = record_of(event(metadata=metadata), "key")
    assert record is not None
    assert (record.version, record.is_exact) == (version, is_exact)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("success", DeployOutcome.SUCCEEDED),
        ("Succeeded", DeployOutcome.SUCCEEDED),
        ("UNSTABLE", DeployOutcome.SUCCEEDED),
        ("failed", DeployOutcome.FAILED),
        ("error", DeployOutcome.FAILED),
        ("timed_out", DeployOutcome.FAILED),
        ("startup_failure", DeployOutcome.FAILED),
        ("partial", DeployOutcome.FAILED),
        ("canceled", DeployOutcome.CALLED_OFF),
        ("rejected", DeployOutcome.CALLED_OFF),
        ("in_progress", DeployOutcome.RUNNING),
        ("published", None),
        ("", None),
        (True, None),
    ],
)
def test_the_words_of_all_senders_are_understood(status: object, outcome: DeployOutcome | None) -> None:
    record = record_of(event(metadata={"status": status}), "key")
    assert record is not None
    assert record.outcome is outcome


@pytest.mark.parametrize(
    ("metadata", "is_production"),
    [
        ({"production": True, "environment": "eu-1"}, True),
        ({"production": False, "environment": "production"}, True),
        ({"production": True, "environment": "staging"}, False),
        ({"environment": "Prod"}, True),
        ({"environment": "staging-2"}, False),
        ({"environment": "review/my-branch"}, False),
        ({"environment": "eu-1"}, None),
        ({}, None),
    ],
)
def test_whether_it_is_production_is_what_the_name_says_or_the_sender(
    metadata: dict[str, Any], is_production: bool | None
) -> None:
    record = record_of(event(metadata=metadata), "key")
    assert record is not None
    assert record.is_production is is_production


def test_what_is_deployed_is_the_service_before_the_repository_before_the_job() -> None:
    facts = {"job": "deploy-shop", "repository": "acme/shop", "service": "checkout"}
    subjects = []
    for name in ("service", "repository", "job"):
        record = record_of(event(metadata=facts), "key")
        assert record is not None
        subjects.append(record.subject)
        del facts[name]
    assert subjects == ["checkout", "acme/shop", "deploy-shop"]


def test_an_incident_changes_things_when_it_begins() -> None:
    record = record_of(event(EventType.INCIDENT, ended_at=AT + timedelta(hours=1)), "key")
    assert record is not None
    assert (record.at, record.has_ended) == (AT, True)


def test_what_explains_nothing_is_not_remembered() -> None:
    assert record_of(event(EventType.CUSTOM), "key") is None
    assert record_of(event(started_at=None), "key") is None
    assert record_of(event(started_at=None), "key", AT) is not None


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://x.test/" + "a" * 300, "ftp://x", 7, "https://x y"]
)
def test_what_is_no_link_is_not_kept_as_one(url: object) -> None:
    record = record_of(event(metadata={"url": url}), "key")
    assert record is not None
    assert record.url is None


def test_what_the_api_may_hold_and_we_never_sent_is_read_all_the_same() -> None:
    stored = StoredEvent.model_validate(
        {
            "sid": "evt_1",
            "type": "deployment",
            "name": "n" * 5000,
            "startedAt": "2026-01-10T10:00:00.000Z",
            "buckets": ["b" * 3000, "bkt_a"],
            "metadata": {
                "commit": ["a"],
                "release": {"x": 1},
                "repository": "r" * 5000,
                "verdict": ["worse"],
            },
        }
    )
    record = record_of(stored, "key")
    assert record is not None
    assert record.buckets == ("bkt_a",)
    assert (len(record.name), len(record.subject or "")) == (200, 200)
    assert without_insight(stored.as_event())[1] is None


@pytest.mark.parametrize(
    "odd",
    [
        {"metadata": {"marker_key": "\ud800"}},
        {"buckets": ["\ud800"]},
    ],
)
def test_what_redis_cannot_keep_of_a_listed_event_is_not_remembered(odd: dict[str, Any]) -> None:
    """JSON may hold lone surrogates; UTF-8 may not."""
    listed = {"sid": "evt_1", "type": "deployment", "name": "x", "startedAt": "2026-01-10T10:00:00.000Z"}
    event = StoredEvent.model_validate(listed | odd)
    assert listed_record(event, str(event.metadata.get("marker_key", event.sid))) is None


def test_a_link_that_redis_cannot_keep_is_none() -> None:
    event = Event(type=EventType.DEPLOYMENT, name="x", started_at=AT)
    event.metadata["url"] = "https://x.test/\ud800"
    record = record_of(event, "k")
    assert record is not None
    assert record.url is None
