"""All examples that octokit has collected, posted with right signatures: through Flask into a real Redis."""

import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from redis import Redis

from receiver.datastore.address import connect
from receiver.queue.queues import delivery_queues
from receiver.sources.github import GITHUB
from receiver.web.app import create_app
from tests.support.github import SECRET, signed
from tests.support.octokit import examples

EVERYTHING_ON = """
[github]
events = ["*"]
workflows = ["*"]
incident_labels = ["*"]
alert_severity = "low"
"""
everything_on = pytest.mark.parametrize("client", [EVERYTHING_ON], indirect=True, ids=["everything on"])
DELIVERIES = [(example.event, example.body) for example in examples()]


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with connect(redis_url) as connected:
        yield connected


@pytest.fixture
def client(
    redis_url: str,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> FlaskClient:
    configuration = tmp_path / "apitraffic.toml"
    configuration.write_text(getattr(request, "param", ""))
    for name, value in {
        "REDIS_URL": redis_url,
        "GITHUB_WEBHOOK_SECRET": SECRET,
        "APITRAFFIC_CONFIG": str(configuration),
        "APITRAFFIC_SPOOL": "off",
    }.items():
        monkeypatch.setenv(name, value)
    return create_app(redis=redis).test_client()


def post_all(client: FlaskClient) -> tuple[Counter[str], Counter[str]]:
    """How often each answer came, and how often each event was accepted."""
    answers: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    for event, body in DELIVERIES:
        headers = signed(body, event=event, delivery=str(uuid.uuid4()))
        answer = client.post("/webhooks/github", data=body, headers=headers)
        status = answer.get_json()["status"]
        assert answer.status_code == (202 if status == "accepted" else 200), (event, answer.text)
        answers[status] += 1
        accepted[event] += status == "accepted"
    return answers, +accepted


def stored(redis: Redis, pattern: str) -> int:
    return sum(1 for _ in redis.scan_iter(pattern))


def test_as_it_comes_each_answer_is_2xx_and_none_is_quarantined(client: FlaskClient, redis: Redis) -> None:
    answers, accepted = post_all(client)
    assert accepted == {"deployment_status": 4, "release": 4, "repository_dispatch": 2}
    assert answers == {"accepted": 10, "ignored": len(DELIVERIES) - 10}
    assert sum(queue.count for queue in delivery_queues(redis)) == 10
    assert stored(redis, "apitraffic:quarantine*") == 0


@everything_on
def test_with_everything_on_each_answer_is_2xx_and_none_is_quarantined(
    client: FlaskClient, redis: Redis
) -> None:
    answers, accepted = post_all(client)
    assert set(answers) == {"accepted", "ignored"}
    assert set(accepted) <= {feature.event for feature in GITHUB.features if feature.type}
    assert {"issues", "workflow_run", "push", "package", "dependabot_alert"} <= set(accepted)
    assert sum(queue.count for queue in delivery_queues(redis)) == accepted.total()
    assert stored(redis, "apitraffic:quarantine*") == 0


@everything_on
def test_sent_again_with_the_same_ids_they_are_duplicates(client: FlaskClient, redis: Redis) -> None:
    for count, status in enumerate(("accepted", "duplicate")):
        for number, (event, body) in enumerate(DELIVERIES):
            headers = signed(body, event=event, delivery=f"delivery-{number}")
            answer = client.post("/webhooks/github", data=body, headers=headers).get_json()
            assert answer["status"] in {status, "ignored"}, (count, event)


def test_with_a_signature_for_another_body_every_one_is_refused(client: FlaskClient, redis: Redis) -> None:
    for event, body in DELIVERIES:
        headers = signed(body, event=event)
        assert client.post("/webhooks/github", data=body + b" ", headers=headers).status_code == 401
    assert stored(redis, "*") == 0
