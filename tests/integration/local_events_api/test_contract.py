import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

Call = Callable[..., TestResponse]

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
DEPLOY = {"type": "deployment", "name": "v2.3.1 production release"}


def error_of(response: TestResponse) -> dict[str, object]:
    body = response.json
    assert isinstance(body, dict)
    assert body["success"] is False
    error = body["error"]
    assert isinstance(error, dict)
    assert set(error) == {"code", "message", "details"}
    assert response.content_type == "application/json"
    return error


def created(call: Call, **fields: object) -> dict[str, object]:
    response = call("POST", "/events", json={**DEPLOY, **fields})
    assert response.status_code == 201, response.text
    assert isinstance(response.json, dict)
    return response.json


def test_create_answers_with_the_bare_event_and_defaults(call: Call, account_sid: str) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    event = created(call)
    assert re.fullmatch(r"evt_[A-Za-z0-9]{27}", str(event["sid"]))
    for field in ("createdAt", "updatedAt", "startedAt"):
        assert TIMESTAMP.fullmatch(str(event[field]))
        assert before < datetime.fromisoformat(str(event[field])) <= datetime.now(UTC)
    assert {
        key: event[key] for key in event if key not in {"sid", "createdAt", "updatedAt", "startedAt"}
    } == {
        "accountSid": account_sid,
        **DEPLOY,
        "description": None,
        "source": None,
        "metadata": {},
        "buckets": ["*"],
        "environments": ["*"],
        "endedAt": None,
    }


def test_create_keeps_everything_that_was_sent(call: Call) -> None:
    fields = {
        "type": "incident",
        "name": "Checkout 5xx \N{FIRE} " + "é" * 185,
        "description": "d" * 2000,
        "source": "manual",
        "metadata": {"commit": "0123abc", "nested": {"list": [1, 2.5, None, True]}},
        "buckets": ["bkt_checkout0000000000000000000", "bkt_search000000000000000000000"],
        "environments": ["env123"],
        "startedAt": "2026-01-10T10:00:00.000Z",
        "endedAt": "2026-01-10T10:00:00.000Z",
    }
    event = created(call, **fields)
    assert event.items() >= fields.items()
    assert call("GET", f"/events/{event['sid']}").json == event


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("2026-01-10T10:00:00Z", "2026-01-10T10:00:00.000Z"),
        ("2026-01-10T12:00:00.123999+02:00", "2026-01-10T10:00:00.123Z"),
        ("2026-01-09T20:30:00-13:30", "2026-01-10T10:00:00.000Z"),
        ("2026-01-10t10:00:00.5z", "2026-01-10T10:00:00.500Z"),
        ("0999-01-10T10:00:00.123456789Z", "0999-01-10T10:00:00.123Z"),
    ],
)
def test_timestamps_are_given_in_utc_with_milliseconds(call: Call, sent: str, kept: str) -> None:
    assert created(call, startedAt=sent)["startedAt"] == kept


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_update_changes_only_the_fields_sent(call: Call, method: str) -> None:
    event = created(call, description="rolling out", metadata={"commit": "0123abc"}, source="jenkins")
    changes = {"endedAt": "2999-01-01T00:00:00.000Z", "description": "done"}
    response = call(method, f"/events/{event['sid']}", json=changes)
    assert response.status_code == 200
    assert isinstance(response.json, dict)
    assert response.json == {**event, **changes, "updatedAt": response.json["updatedAt"]}
    assert str(response.json["updatedAt"]) >= str(event["updatedAt"])
    assert call("GET", f"/events/{event['sid']}").json == response.json


def test_update_can_clear_the_end_and_replaces_metadata_whole(call: Call) -> None:
    event = created(call, endedAt="2999-01-01T00:00:00Z", metadata={"a": 1, "b": 2})
    changed = call("PATCH", f"/events/{event['sid']}", json={"endedAt": None, "metadata": {"c": 3}}).json
    assert isinstance(changed, dict)
    assert (changed["endedAt"], changed["metadata"]) == (None, {"c": 3})


def test_update_of_nothing_is_allowed(call: Call) -> None:
    event = created(call)
    changed = call("PUT", f"/events/{event['sid']}", json={}).json
    assert isinstance(changed, dict)
    assert changed == {**event, "updatedAt": changed["updatedAt"]}


@pytest.mark.parametrize(("offered", "other"), [("PUT", "PATCH"), ("PATCH", "PUT")])
def test_api_can_have_one_update_method_only(new_api: Callable[..., Call], offered: str, other: str) -> None:
    call = new_api(update_methods=(offered,))
    event = created(call)
    refused = call(other, f"/events/{event['sid']}", json={"name": "new"})
    assert refused.status_code == 405
    assert offered in refused.headers["Allow"]
    assert other not in refused.headers["Allow"]
    assert error_of(refused)["code"] == "VALIDATION_ERROR"
    assert call(offered, f"/events/{event['sid']}", json={"name": "new"}).status_code == 200


def test_delete_gives_the_sid_and_a_flag_once(call: Call) -> None:
    event = created(call)
    response = call("DELETE", f"/events/{event['sid']}")
    assert (response.status_code, response.json) == (200, {"sid": event["sid"], "deleted": True})
    assert call("DELETE", f"/events/{event['sid']}").status_code == 404
    assert call("GET", f"/events/{event['sid']}").status_code == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_event_that_does_not_exist(call: Call, method: str) -> None:
    response = call(method, "/events/evt_nosuch", json={"name": "x"})
    assert response.status_code == 404
    assert error_of(response)["code"] == "RESOURCE_NOT_FOUND"
    assert "evt_nosuch" in str(error_of(response)["message"])


def test_buckets_and_environments_are_listed(call: Call, account_sid: str) -> None:
    buckets = call("GET", "/buckets").json
    assert isinstance(buckets, dict)
    assert buckets["hasMore"] is False
    assert [bucket["name"] for bucket in buckets["records"]] == ["Checkout API", "Payments API", "Search API"]
    for bucket in buckets["records"]:
        assert re.fullmatch(r"bkt_[A-Za-z0-9]{27}", bucket["sid"])
        assert bucket["accountSid"] == account_sid
        assert set(bucket) == {"sid", "accountSid", "name", "verifySslCerts", "appIsConnected", "createdAt"}
    environments = call("GET", "/environments").json
    assert isinstance(environments, dict)
    assert {"env123": "production"}.items() <= {
        one["sid"]: one["name"] for one in environments["records"]
    }.items()
    assert all(re.fullmatch(r"[a-z0-9]{6}", one["sid"]) for one in environments["records"])


def test_envelope_wraps_successes(new_api: Callable[..., Call]) -> None:
    call = new_api(envelope=True)
    response = call("POST", "/events", json=DEPLOY)
    assert response.status_code == 201
    assert isinstance(response.json, dict)
    assert set(response.json) == {"success", "data", "meta"}
    assert response.json["success"] is True
    listed = call("GET", "/events").json
    assert isinstance(listed, dict)
    assert listed["data"] == {"hasMore": False, "records": [response.json["data"]]}
    assert error_of(call("GET", "/events/nosuch"))["code"] == "RESOURCE_NOT_FOUND"


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer wrong", "Basic contract-token", "contract-token", "Bearer \xe9"],
)
@pytest.mark.parametrize("path", ["/events", "/nosuch"])
def test_nothing_without_the_token(call: Call, authorization: str | None, path: str) -> None:
    response = call("GET", path, authorization=authorization)
    assert response.status_code == 401
    assert error_of(response)["code"] == "INVALID_TOKEN"


def test_scheme_of_the_token_may_be_written_in_any_case(call: Call) -> None:
    assert call("GET", "/events", authorization="bearer contract-token").status_code == 200


def test_other_account_is_not_found(call: Call) -> None:
    response = call("GET", "/events", below="/v1/accounts/acc_other")
    assert response.status_code == 404
    assert error_of(response)["code"] == "RESOURCE_NOT_FOUND"


@pytest.mark.parametrize("path", ["/nosuch", "/events/", "//events", "/events/evt_1/more"])
def test_unknown_routes_have_the_error_envelope(call: Call, path: str) -> None:
    response = call("GET", path)
    assert response.status_code == 404
    assert error_of(response)["code"] == "RESOURCE_NOT_FOUND"


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/buckets"), ("OPTIONS", "/events"), ("PUT", "/events")]
)
def test_wrong_methods_have_the_error_envelope(call: Call, method: str, path: str) -> None:
    response = call(method, path)
    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]
    error_of(response)


def test_health_and_description_need_no_token(call: Call) -> None:
    assert call("GET", "/healthz", below="", authorization=None).json == {"status": "ok"}
    description = call("GET", "/openapi.json", below="/v1", authorization=None).json
    assert isinstance(description, dict)
    assert description["openapi"].startswith("3.1")


def test_control_is_off_unless_asked_for(call: Call) -> None:
    for path in ("/_faults", "/_requests"):
        assert call("GET", path, below="").status_code == 404


def test_control_needs_the_token(new_api: Callable[..., Call]) -> None:
    call = new_api(fault_control=True)
    for path in ("/_faults", "/_requests"):
        assert call("GET", path, below="", authorization=None).status_code == 401


def test_bug_is_answered_with_the_error_envelope(
    new_api: Callable[..., Call], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    call = new_api(data=tmp_path / "broken.sqlite")
    with closing(sqlite3.connect(tmp_path / "broken.sqlite")) as connection:
        connection.execute("DROP TABLE events")
    response = call("GET", "/events")
    assert response.status_code == 500
    assert error_of(response)["code"] == "INTERNAL_ERROR"
    assert "Traceback" in caplog.text


def test_data_outlives_the_application(new_api: Callable[..., Call]) -> None:
    event = created(new_api())
    assert new_api()("GET", f"/events/{event['sid']}").json == event


def test_largest_body(call: Call) -> None:
    response = call("POST", "/events", data=json.dumps({**DEPLOY, "source": "x" * 1024 * 1024}))
    assert response.status_code == 413
    assert error_of(response)["code"] == "VALIDATION_ERROR"
