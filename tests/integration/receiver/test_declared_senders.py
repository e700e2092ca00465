"""A sender that apitraffic.toml declares, through the real way in, with a real Redis."""

import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from werkzeug.test import Client, TestResponse

from receiver.config.loading import load_settings
from receiver.datastore.address import connect
from receiver.reception.quarantine import Quarantine
from receiver.web.app import create_app
from tests.support.command import Command
from tests.support.redis import running_redis

SECRET = "of-a-declared-sender"
TOML = """\
[[sender]]
name = "rollouts"
authentication = [{ scheme = "hmac", header = "X-Sign" }, { scheme = "path" }]
event = "{kind}"

[[sender.ignore]]
events = "ping"
reason = "a ping"

[[sender.marker]]
events = "rollout"
key = "{id}"
type = "deployment"
effect = "point"
time = "{at}"
name = "Deploy {service}"
metadata = { service = "{service}" }

[[sender.marker]]
events = "hostile"
key = "{regex(text, '(a+)+$')}"
type = "custom"
effect = "point"
name = "{join(text, list)}"

[[route]]
match = { source = "rollouts" }
name = "Ship {service}"
"""
BODY = {"kind": "rollout", "id": 1, "at": "2026-01-10T10:05:00Z", "service": "shop"}


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with running_redis(tmp_path_factory.mktemp("redis") / "redis") as url:
        yield connect(url)


@pytest.fixture
def client(redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    (tmp_path / "apitraffic.toml").write_text(TOML)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("APITRAFFIC_CONFIG", raising=False)
    monkeypatch.setenv("ROLLOUTS_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("APITRAFFIC_SPOOL", "off")
    return create_app(load_settings(), redis).test_client()


def post(client: Client, body: Any, secret: str = SECRET, path: str = "/webhooks/rollouts") -> TestResponse:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"X-Sign": hmac.new(secret.encode(), content, "sha256").hexdigest()}
    return client.post(path, data=content, headers=headers, content_type="application/json")


def test_a_signed_delivery_is_accepted_once(client: Client) -> None:
    assert post(client, BODY).status_code == 202
    again = post(client, BODY)
    assert (again.status_code, again.get_json()["status"]) == (200, "duplicate")


def test_the_token_may_be_in_the_path(client: Client) -> None:
    answer = client.post(f"/webhooks/rollouts/{SECRET}", json=BODY | {"id": 2})
    assert answer.get_json() == {
        "status": "accepted",
        "delivery": answer.get_json()["delivery"],
        "changes": 1,
    }
    assert client.post(f"/webhooks/rollouts/{SECRET}x", json=BODY).status_code == 401


def test_what_is_not_signed_by_it_gets_in_nowhere(client: Client) -> None:
    assert post(client, BODY, "another secret").status_code == 401
    assert client.post("/webhooks/rollouts", json=BODY).status_code == 401
    assert post(client, BODY, path="/webhooks/launchdarkly").status_code == 404


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"[" * 100_000, {"kind": "rollout"}, b'{"kind":"rollout"']
)
def test_what_is_authentic_never_gets_an_error(client: Client, redis: Redis, body: Any) -> None:
    answer = post(client, body)
    assert answer.status_code in {200, 202}
    assert answer.get_json()["status"] in {"quarantined", "ignored"}
    assert all(SECRET not in json.dumps(item.delivery.headers) for item in Quarantine(redis))


LONG = "a" * 300_000


@pytest.mark.parametrize(
    "odd",
    [
        {"text": "a" * 5_000 + "b", "list": []},
        {"text": LONG, "list": [LONG, LONG]},
        {"text": "a", "list": ["x"] * 100_000},
        {"text": LONG, "list": ["x"] * 50_000},
        {"text": {"a": [LONG]}, "list": {"a": 1}},
        {"text": -1.5, "list": LONG},
    ],
)
def test_what_would_cost_much_is_quarantined_or_made_short(client: Client, odd: dict[str, Any]) -> None:
    began = time.process_time()
    assert post(client, BODY | {"kind": "hostile"} | odd).status_code == 202
    assert time.process_time() - began < 2


def test_a_ping_is_ignored_with_the_reason(client: Client) -> None:
    answer = post(client, {"kind": "ping"})
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ignored", "reason": "a ping"})


def test_the_metrics_count_it_under_its_name(client: Client) -> None:
    post(client, BODY | {"id": 3})
    post(client, BODY, "another secret")
    metrics = client.get("/metrics").get_data(as_text=True)
    assert 'apitraffic_deliveries_total{outcome="accepted",source="rollouts"} 1.0' in metrics
    assert 'apitraffic_rejected_total{reason="unauthorised",source="rollouts"} 1.0' in metrics


def test_a_wrong_path_is_told_the_right_one(client: Client) -> None:
    assert "/webhooks/rollouts" in client.post("/hooks/rollouts").get_json()["detail"]


def test_translate_and_senders_know_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APITRAFFIC_CONFIG", raising=False)
    monkeypatch.delenv("ROLLOUTS_WEBHOOK_SECRET", raising=False)
    monkeypatch.chdir(tmp_path)
    run = Command(tmp_path)
    config = run.write("apitraffic.toml", TOML)
    body = run.write("body.json", json.dumps(BODY))
    translated = run("translate", "rollouts", body)
    assert json.loads(translated.stdout)[0]["event"]["name"] == "Ship shop"
    assert "route 1 matches" in translated.stderr
    tested = run("senders", "test", config, body)
    assert json.loads(tested.stdout)[0]["key"] == "rollouts:1"
    assert "rollouts: right; POST /webhooks/rollouts, on with ROLLOUTS_WEBHOOK_SECRET" in tested.stderr
    listed = run("senders", "list", ROLLOUTS_WEBHOOK_SECRET=SECRET).stdout
    assert "rollouts  " in listed
    assert "on   declared  ROLLOUTS_WEBHOOK_SECRET" in listed
    assert 'name = "launchdarkly"' in run("senders", "show", "launchdarkly").stdout
    assert "ROLLOUTS_WEBHOOK_SECRET=(not set)" in run("config").stdout


def test_commands_say_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APITRAFFIC_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    run = Command(tmp_path)
    body = run.write("body.json", "{}")
    unknown = run("translate", "nobody", body)
    assert unknown.exit_code == 2
    assert "There is no sender 'nobody'; `apitraffic-events senders list` lists all." in unknown.stderr
    assert "github has code of its own; presets are" in run("senders", "show", "github").stderr
    wrong = run.write("apitraffic.toml", TOML.replace("{service}", "{service.}"))
    said = run("senders", "test", wrong)
    assert said.exit_code == 1
    assert f"{wrong}:16: sender 'rollouts': marker 1 name has 'service.'" in said.stderr
    assert run("senders", "test", run.write("other.toml", "x = 1")).exit_code == 1
