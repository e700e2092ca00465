"""The native endpoint and Jenkins' token in the path: a real receiver under gunicorn, a real Redis."""

import base64
import itertools
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from receiver.queue.queues import delivery_queue
from receiver.sources.signing import events_request
from tests.support.native import signed
from tests.support.programs import Program
from tests.support.source_fixtures import body_of
from tests.support.stack import Stack, running_stack

EVENTS_SECRET = "whsec_" + base64.b64encode(b"thirty-two bytes for the tests!!").decode()
PATH_SECRET = "a-secret-without-a-slash-0123456789"
ANNOTATIONS_TOKEN = "the-token-of-annotations-0123456789"
JENKINS_TOKEN = "b4c1d2e3f4a5968778695a4b3c2d1e0f"
NUMBERS = itertools.count(1)
GOOD = {"type": "custom", "name": "Sale begins"}


@dataclass
class Endpoint:
    stack: Stack
    receiver: Program
    url: str

    def signed_post(self, content: Any, message_id: str | None = None, **headers: str) -> requests.Response:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        given = events_request(EVENTS_SECRET, "event", body, message_id or str(uuid.uuid4()))
        return self.post(body, given | headers)

    def bearer_post(self, content: Any, token: str = EVENTS_SECRET, **headers: str) -> requests.Response:
        body = json.dumps(content).encode()
        given = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return self.post(body, given | {name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, body: bytes, headers: dict[str, str]) -> requests.Response:
        return requests.post(f"{self.url}/webhooks/events", data=body, headers=headers, timeout=10)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    folder: Path = tmp_path_factory.mktemp("native")
    with running_stack(folder) as stack:
        stack.environment |= {
            "EVENTS_WEBHOOK_SECRET": f"{EVENTS_SECRET} {PATH_SECRET}",
            "JENKINS_WEBHOOK_TOKEN": JENKINS_TOKEN,
            "ANNOTATIONS_TOKEN": ANNOTATIONS_TOKEN,
        }
        # The stack's own receiver took the environment as it was before.
        receiver = stack.program("serve", "--port", "0", ready=r"receiver listens url=(?P<url>\S+)").start()
        try:
            assert receiver.announced is not None
            yield Endpoint(stack, receiver, receiver.announced["url"])
        finally:
            receiver.stop()


def unique(**fields: Any) -> dict[str, Any]:
    return GOOD | {"description": f"number {next(NUMBERS)}"} | fields


def assert_problem(answer: requests.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    return problem


def test_a_signed_event_is_accepted_and_its_key_is_told(endpoint: Endpoint) -> None:
    answer = endpoint.signed_post(unique(), "msg_1")
    assert answer.status_code == 202
    assert answer.json() == {
        "status": "accepted",
        "delivery": "msg_1",
        "changes": 1,
        "keys": ["events:msg_1:0"],
    }
    job = delivery_queue(endpoint.stack.redis).fetch_job("events-msg_1-0")
    assert job is not None
    assert job.args[0]["key"] == "events:msg_1:0"


def test_of_a_list_the_right_ones_are_accepted_and_the_wrong_ones_told_of(endpoint: Endpoint) -> None:
    answer = endpoint.signed_post([unique(key="a"), {"type": "custom"}, unique(), {"nam": 1}], "msg_2")
    assert answer.status_code == 202
    told = answer.json()
    assert told["changes"] == 2
    assert told["keys"] == ["a", "events:msg_2:2"]
    assert [(error["index"], error["field"]) for error in told["errors"]] == [
        (1, "name"),
        (3, "nam"),
        (3, "type"),
        (3, "name"),
    ]
    assert told["errors"][1]["detail"] == "is not a field of an event; did you mean name?"


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"type": "custom"}, "name"),
        (GOOD | {"startedAt": "soon"}, "startedAt"),
        ([], "body"),
        ([GOOD] * 101, "body"),
        (7, "body"),
        (b"{", "body"),
        (b"\xff", "body"),
    ],
    ids=str,
)
def test_where_nothing_is_right_the_answer_is_422_and_nothing_is_kept(
    endpoint: Endpoint, content: Any, field: str
) -> None:
    problem = assert_problem(endpoint.signed_post(content), 422)
    assert problem["errors"][0]["index"] == 0
    assert problem["errors"][0]["field"] == field
    assert field in problem["detail"]
    assert endpoint.stack.redis.keys("apitraffic:quarantine:*") == []


def test_the_same_message_again_is_a_duplicate_whatever_its_time_stamp(endpoint: Endpoint) -> None:
    content = unique()
    assert endpoint.signed_post(content, "msg_3").json()["status"] == "accepted"
    answer = endpoint.signed_post(content, "msg_3")
    assert answer.status_code == 200
    assert answer.json() == {"status": "duplicate", "delivery": "msg_3"}


def test_a_bearer_token_is_enough_and_the_body_is_the_identity(endpoint: Endpoint) -> None:
    content = unique()
    first, again = endpoint.bearer_post(content), endpoint.bearer_post(content)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["status"] == "duplicate"


def test_whoever_means_it_twice_says_so_with_an_idempotency_key(endpoint: Endpoint) -> None:
    content = unique()
    answers = [endpoint.bearer_post(content, idempotency_key=key) for key in ("one", "two", "two")]
    assert [answer.json()["status"] for answer in answers] == ["accepted", "accepted", "duplicate"]


def test_unsigned_wrongly_signed_and_old_are_refused_in_the_same_words(endpoint: Endpoint) -> None:
    body = json.dumps(unique()).encode()
    json_type = {"Content-Type": "application/json"}
    right = events_request(EVENTS_SECRET, "event", body, "msg_4")
    key = base64.b64decode(EVENTS_SECRET.removeprefix("whsec_"))
    from_an_hour_ago = signed(body, key, at=_hours_from_now(-1)) | json_type
    answers = [
        endpoint.post(body, json_type),
        endpoint.post(body, right | {"webhook-signature": "v1,AAAA"}),
        endpoint.post(body + b" ", right),
        endpoint.post(body, from_an_hour_ago),
        endpoint.post(body, signed(body, key, at=_hours_from_now(1)) | json_type),
        endpoint.post(body, from_an_hour_ago | {"Authorization": f"Bearer {EVENTS_SECRET}"}),
        endpoint.bearer_post(GOOD, token="wrong"),
        endpoint.bearer_post(GOOD, token=JENKINS_TOKEN),
    ]
    problems = [assert_problem(answer, 401) for answer in answers]
    assert all(problem == problems[0] for problem in problems)
    assert endpoint.post(body, right).status_code == 202


def _hours_from_now(hours: int) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


def test_the_secret_may_be_in_the_path_or_a_password(endpoint: Endpoint) -> None:
    def posted(path: str, **headers: str) -> requests.Response:
        given = {"Content-Type": "application/json"} | headers
        body = json.dumps(unique()).encode()
        return requests.post(f"{endpoint.url}{path}", data=body, headers=given, timeout=10)

    assert posted(f"/webhooks/events/{quote(PATH_SECRET, safe='')}").status_code == 202
    password = base64.b64encode(f"anybody:{EVENTS_SECRET}".encode()).decode()
    assert posted("/webhooks/events", Authorization=f"Basic {password}").status_code == 202
    assert_problem(posted("/webhooks/events/wrong-token-in-the-path"), 401)


def test_cloudevents_are_taken_in_each_form(endpoint: Endpoint) -> None:
    attributes = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/s", "type": "com.example.x"}
    bearer = {"Authorization": f"Bearer {EVENTS_SECRET}"}
    binary = bearer | {f"ce-{name}": value for name, value in attributes.items()}
    assert endpoint.post(b"", binary).json()["status"] == "accepted"
    structured = bearer | {"Content-Type": "application/cloudevents+json; charset=UTF-8"}
    assert endpoint.post(json.dumps(attributes).encode(), structured).json()["status"] == "duplicate"
    batch = bearer | {"Content-Type": "application/cloudevents-batch+json"}
    events = [attributes | {"id": str(uuid.uuid4())} for _ in range(3)]
    assert endpoint.post(json.dumps(events).encode(), batch).json()["changes"] == 3


def annotate(endpoint: Endpoint, content: Any, path: str = "", method: str = "POST") -> requests.Response:
    return requests.request(
        method,
        f"{endpoint.url}/api/annotations{path}",
        json=content,
        headers={"Authorization": f"Bearer {ANNOTATIONS_TOKEN}"},
        timeout=10,
    )


def test_an_annotation_is_answered_as_grafana_answers_it_and_ended_by_its_id(endpoint: Endpoint) -> None:
    time = int(datetime.now(UTC).timestamp() * 1000)
    added = annotate(endpoint, {"time": time, "tags": ["deploy"], "text": "Deploy shop"})
    assert (added.status_code, added.json()["message"]) == (200, "Annotation added")
    again = annotate(endpoint, {"time": time, "tags": ["deploy"], "text": "Deploy shop"})
    assert (again.status_code, again.json()["id"]) == (200, added.json()["id"])
    for method in ("PATCH", "PUT"):
        ended = annotate(endpoint, {"timeEnd": time}, f"/{added.json()['id']}", method)
        assert (ended.status_code, ended.json()["message"]) == (200, "Annotation patched")
    graphite = annotate(endpoint, {"what": "x", "when": time, "tags": "a b"}, "/graphite")
    assert graphite.json()["message"] == "Graphite annotation added"


def test_what_is_no_annotation_is_refused(endpoint: Endpoint) -> None:
    assert assert_problem(annotate(endpoint, {}), 422)["errors"][0]["field"] == "text"
    assert_problem(annotate(endpoint, {"timeEnd": 1}, "/not-an-id", "PATCH"), 422)
    assert_problem(annotate(endpoint, {"text": "x"}, "/1/2"), 404)
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", "/1")):
        assert_problem(annotate(endpoint, {}, path, method), 405)
    url = f"{endpoint.url}/api/annotations"
    assert_problem(requests.post(url, json={"text": "x"}, timeout=10), 401)
    assert_problem(requests.patch(f"{endpoint.url}/webhooks/events", json={}, timeout=10), 405)


def test_a_list_over_the_limit_is_too_much(endpoint: Endpoint) -> None:
    assert_problem(endpoint.signed_post(b" " * (1024 * 1024 + 1)), 413)


def completed_build(number: int) -> bytes:
    payload = json.loads(body_of("jenkins", "completed__success"))
    payload["build"] |= {
        "number": number,
        "full_url": f"https://jenkins.example.test/job/shop/job/deploy-checkout/{number}/",
    }
    return json.dumps(payload).encode()


def jenkins_post(endpoint: Endpoint, body: bytes, token: str = "", **headers: str) -> requests.Response:
    given = {"Content-Type": "application/json;charset=UTF-8"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    path = f"/webhooks/jenkins/{token}" if token else "/webhooks/jenkins"
    return requests.post(endpoint.url + path, data=body, headers=given, timeout=10)


def test_jenkins_may_have_its_token_in_the_path(endpoint: Endpoint) -> None:
    body = completed_build(next(NUMBERS))
    assert_problem(jenkins_post(endpoint, body), 401)
    assert_problem(jenkins_post(endpoint, body, "wrong-token-in-the-path"), 401)
    assert jenkins_post(endpoint, body, JENKINS_TOKEN).json()["status"] == "accepted"
    assert jenkins_post(endpoint, body, JENKINS_TOKEN).json()["status"] == "duplicate"


def test_jenkins_may_have_its_token_in_a_header(endpoint: Endpoint) -> None:
    bearer = {"Authorization": f"Bearer {JENKINS_TOKEN}"}
    assert jenkins_post(endpoint, completed_build(next(NUMBERS)), **bearer).status_code == 202
    basic = "Basic " + base64.b64encode(f"jenkins:{JENKINS_TOKEN}".encode()).decode()
    assert jenkins_post(endpoint, completed_build(next(NUMBERS)), Authorization=basic).status_code == 202
    both = jenkins_post(endpoint, completed_build(next(NUMBERS)), "wrong", **bearer)
    assert_problem(both, 401)


def test_xml_from_jenkins_is_refused_with_what_to_send_instead(endpoint: Endpoint) -> None:
    answer = jenkins_post(endpoint, b"<job/>", JENKINS_TOKEN, Content_Type="application/xml;charset=UTF-8")
    assert "application/json" in assert_problem(answer, 415)["detail"]


def test_no_secret_or_token_is_logged(endpoint: Endpoint) -> None:
    jenkins_post(endpoint, completed_build(next(NUMBERS)), JENKINS_TOKEN)
    jenkins_post(endpoint, b"{}", JENKINS_TOKEN)
    jenkins_post(endpoint, b"{}", "wrong-token-in-the-path")
    endpoint.bearer_post(unique())
    log = endpoint.receiver.log()
    assert "source=jenkins" in log
    for secret in (JENKINS_TOKEN, EVENTS_SECRET, PATH_SECRET, ANNOTATIONS_TOKEN, "wrong-token-in-the-path"):
        assert secret not in log
    redis = endpoint.stack.redis
    stored = [redis.hgetall(key) for key in redis.keys("apitraffic:quarantine:jenkins:*")]
    assert stored
    assert JENKINS_TOKEN not in repr(stored)
