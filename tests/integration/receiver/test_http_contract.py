"""Every answer of the HTTP contract, from a real receiver under gunicorn with a real Redis."""

import itertools
import json
import socket
import uuid
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from urllib.parse import urlencode, urlsplit

import pytest
import requests
from rq import Queue

from receiver.datastore.replies import as_text
from receiver.events import Change
from receiver.queue.queues import delivery_queue, job_of
from receiver.worker.jobs import deliver
from tests.fuzz.wire import answers, authentic
from tests.support.github import deployment_status, post, signed
from tests.support.stack import Stack

MIB = 1024 * 1024
VECTOR_SECRET = "It's a Secret to Everybody"
DEPLOYMENT_IDS = itertools.count(1)


@pytest.fixture
def body() -> bytes:
    return deployment_status(next(DEPLOYMENT_IDS))


def assert_problem(answer: requests.Response, status: int) -> dict[str, object]:
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, object] = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem


def test_a_signed_delivery_is_accepted_and_queued(served: Stack, body: bytes) -> None:
    delivery = str(uuid.uuid4())
    answer = post(served.url, body, delivery=delivery)
    assert answer.status_code == 202
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {"status": "accepted", "delivery": delivery, "changes": 1}
    job = delivery_queue(served.redis).fetch_job(f"github-{delivery}-0")
    assert job is not None
    assert job.args[0]["delivery"] == {"source": "github", "id": delivery, "event": "deployment_status"}


def call_in(data: bytes) -> object:
    return json.loads(zlib.decompress(data))


def test_a_queued_job_is_as_rq_itself_would_have_stored_it(served: Stack, body: bytes) -> None:
    delivery = str(uuid.uuid4())
    post(served.url, body, delivery=delivery)
    queue = delivery_queue(served.redis)
    stored = queue.fetch_job(f"github-{delivery}-0")
    assert stored is not None
    expected = job_of(Change.model_validate(stored.args[0]), stored.id, queue)
    expected.created_at, expected.enqueued_at = stored.created_at, stored.enqueued_at
    ours, theirs = stored.to_dict(), expected.to_dict()
    assert call_in(ours.pop("data")) == call_in(theirs.pop("data"))
    assert ours == theirs
    assert stored.func is deliver
    assert queue.job_ids[-1] == stored.id
    assert queue in Queue.all(served.redis)


def test_a_form_encoded_delivery_is_accepted(served: Stack, body: bytes) -> None:
    form = urlencode({"payload": body.decode()}).encode()
    headers = signed(form) | {"Content-Type": "application/x-www-form-urlencoded"}
    answer = post(served.url, form, headers)
    assert answer.status_code == 202
    assert answer.json()["status"] == "accepted"


def test_the_second_of_two_equal_deliveries_is_a_duplicate(served: Stack, body: bytes) -> None:
    delivery = str(uuid.uuid4())
    post(served.url, body, delivery=delivery)
    answer = post(served.url, body, delivery=delivery)
    assert answer.status_code == 200
    assert answer.json() == {"status": "duplicate", "delivery": delivery}


def test_of_twenty_equal_deliveries_at_once_one_is_accepted(served: Stack, body: bytes) -> None:
    delivery = str(uuid.uuid4())
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: post(served.url, body, delivery=delivery), range(20)))
    assert sorted(answer.json()["status"] for answer in answers) == ["accepted"] + ["duplicate"] * 19


def test_a_delivery_without_an_id_is_known_by_its_body(served: Stack, body: bytes) -> None:
    headers = signed(body)
    del headers["X-GitHub-Delivery"]
    assert post(served.url, body, headers).json()["status"] == "accepted"
    assert post(served.url, body, headers).json()["status"] == "duplicate"


def test_slashes_at_the_beginning_of_the_path_are_one(served: Stack, body: bytes) -> None:
    """As of a base URL that ends in one."""
    head, _, rest = authentic(body).partition(b" ")
    assert answers(served.url, head + b" /" + rest) == [202]


@pytest.mark.parametrize("event", ["ping", "star", "workflow_run", "no such event"])
def test_other_events_are_ignored_with_a_reason(served: Stack, event: str) -> None:
    answer = post(served.url, b'{"hook_id": 7}', event=event)
    assert answer.status_code == 200
    assert answer.json()["status"] == "ignored"
    assert answer.json()["reason"]


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"Hello, World!",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"deployment_status": {"state": "success"}}',
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda junk: repr(junk[:20]),
)
def test_junk_with_a_right_signature_is_kept_and_not_refused(served: Stack, junk: bytes) -> None:
    delivery = str(uuid.uuid4())
    answer = post(served.url, junk, delivery=delivery)
    assert answer.status_code == 202
    assert answer.json()["status"] == "quarantined"
    assert answer.json()["delivery"] == delivery
    name = f"apitraffic:quarantine:github:{delivery}"
    reason, headers = served.redis.hmget(name, ["reason", "headers"])
    assert as_text(reason or "") == answer.json()["reason"]
    assert "x-github-event" in as_text(headers or "")
    assert "x-hub-signature-256" not in as_text(headers or "")
    assert 0 < served.redis.ttl(f"apitraffic:quarantine:github:{delivery}") <= 14 * 86_400


def test_a_missing_event_header_is_explained(served: Stack, body: bytes) -> None:
    headers = signed(body)
    del headers["X-GitHub-Event"]
    answer = post(served.url, body, headers)
    assert answer.status_code == 202
    assert "X-GitHub-Event" in answer.json()["reason"]


def test_unsigned_and_wrongly_signed_are_refused_in_the_same_words(served: Stack, body: bytes) -> None:
    unsigned = signed(body)
    del unsigned["X-Hub-Signature-256"]
    without = assert_problem(post(served.url, body, unsigned), 401)
    wrong = assert_problem(post(served.url, body, secret="another secret"), 401)
    assert without == wrong


def test_one_changed_byte_is_refused(served: Stack, body: bytes) -> None:
    headers = signed(body)
    changed = body.replace(b"success", b"failure", 1)
    assert_problem(post(served.url, changed, headers), 401)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_only_post_is_allowed(served: Stack, method: str) -> None:
    answer = requests.request(method, f"{served.url}/webhooks/github", timeout=10)
    assert_problem(answer, 405)
    assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    "path", ["/webhooks/bitbucket", "/webhooks/gitlab", "/webhooks/", "/", "/webhooks/github/x"]
)
def test_what_is_not_there_is_not_found(served: Stack, path: str) -> None:
    assert_problem(requests.post(served.url + path, data=b"{}", timeout=10), 404)


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", ""])
def test_another_content_type_is_refused(served: Stack, body: bytes, content_type: str) -> None:
    answer = post(served.url, body, signed(body) | {"Content-Type": content_type})
    assert "application/json" in str(assert_problem(answer, 415)["detail"])


def test_26_mib_are_too_much_and_25_are_not(served: Stack, body: bytes) -> None:
    largest = body + b" " * (25 * MIB - len(body))
    assert post(served.url, largest).status_code == 202
    assert "25 MiB" in str(assert_problem(post(served.url, body + b" " * 26 * MIB), 413)["detail"])


def test_the_limit_holds_for_chunked_bodies(served: Stack, body: bytes) -> None:
    def chunks(total: int) -> Iterator[bytes]:
        yield body
        sent = len(body)
        while sent < total:
            yield b" " * MIB
            sent += MIB

    headers = signed(body)
    answer = requests.post(
        f"{served.url}/webhooks/github", data=chunks(26 * MIB), headers=headers, timeout=30
    )
    assert_problem(answer, 413)
    whole = b"".join(chunks(2 * MIB))
    answer = requests.post(
        f"{served.url}/webhooks/github", data=chunks(2 * MIB), headers=signed(whole), timeout=30
    )
    assert answer.json()["status"] == "accepted"


def test_a_body_that_ends_early_is_no_server_error(served: Stack, body: bytes) -> None:
    """The sender hangs up half-way: nothing is accepted, and the next request is served."""
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        head = f"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body[:100])
        connection.shutdown(socket.SHUT_WR)
        assert b" 500 " not in connection.recv(100)
    assert post(served.url, body).status_code == 202


def send_chunks(served: Stack, chunks: bytes) -> bytes:
    """The answer to chunks after which the sender sends no more."""
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        head = b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head + chunks)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(4096), b""))


@pytest.mark.parametrize("chunks", [b"zz\r\nno size\r\n", b"5\r\nabc", b"ffffffffffffffffff\r\n", b"-1\r\n"])
def test_chunks_that_are_none_are_refused_and_not_a_failure(served: Stack, chunks: bytes) -> None:
    assert b" 500 " not in send_chunks(served, chunks)
    assert "Traceback" not in served.receiver.log()


@pytest.mark.parametrize("chunks", [b"zz\r\nno size\r\n", b"-1\r\n", b"1\r\nabc", b"0\r\nno trailer\r\n\r\n"])
def test_malformed_chunks_are_answered_400(served: Stack, chunks: bytes) -> None:
    head, _, problem = send_chunks(served, chunks).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(problem)["detail"] == "The body could not be read."


def test_health_and_readiness(served: Stack) -> None:
    assert requests.get(f"{served.url}/healthz", timeout=10).json() == {
        "status": "up",
        "version": version("apitraffic-events"),
    }
    assert requests.get(f"{served.url}/readyz", timeout=10).json() == {
        "status": "ready",
        "storage": "redis",
        "spooled": 0,
    }


def test_no_secret_or_signature_is_logged(served: Stack, body: bytes) -> None:
    headers = signed(body)
    post(served.url, body, headers)
    post(served.url, body, secret="wrong secret here")
    log = served.receiver.log()
    assert served.environment["GITHUB_WEBHOOK_SECRET"] not in log
    assert headers["X-Hub-Signature-256"] not in log
    assert served.environment["APITRAFFIC_API_TOKEN"] not in log


def test_a_delivery_is_one_line_that_it_cannot_forge(served: Stack) -> None:
    forged = 'forged"\n2026-01-01T00:00:00.000Z info receiver all is well\x1b[2J'
    payload = json.loads(deployment_status(next(DEPLOYMENT_IDS)))
    payload["repository"]["full_name"] = forged
    delivery = str(uuid.uuid4())
    assert post(served.url, json.dumps(payload).encode(), delivery=delivery).status_code == 202
    lines = [line for line in served.receiver.log().splitlines() if delivery in line]
    assert len(lines) == 1
    assert "\x1b" not in lines[0]
    assert not any(line.startswith("2026-01-01T00:00:00.000Z") for line in served.receiver.log().splitlines())
