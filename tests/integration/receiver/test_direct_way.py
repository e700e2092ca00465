"""Deliveries that the event loop itself answers: with the same bytes as Flask, and without a thread."""

import itertools
import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
import requests

from receiver.datastore.address import COMMAND_TIMEOUT
from receiver.queue.queues import delivery_queue
from receiver.sources.github import FORM
from tests.support.github import SECRET, deployment_status, post, signed
from tests.support.programs import Program
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_until

READY = r"receiver listens url=(?P<url>\S+)"
AT_ONCE = 8
IDS = itertools.count(1)
DELIVERY = "0b989ba4-242f-11e5-81e1-c7b6966d2516"
SENDER = r"""
[[sender]]
name = "slow"
authentication = [{ scheme = "path" }]
event = "change"

[[sender.marker]]
events = "change"
key = "{id}"
type = "custom"
effect = "point"
name = "{regex(text, '(a+)+$')}"
"""
HOSTILE = {"id": 1, "text": "a" * 5_000 + "b"}
"""Its pattern would take hours, and is given 0.1 s."""
EVENT = {"type": "custom", "name": "Cache on", "key": "cache"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("direct")
    with running_stack(folder) as stack:
        with Path(stack.environment["APITRAFFIC_CONFIG"]).open("a") as configuration:
            configuration.write(SENDER)
        for name in ("EVENTS_WEBHOOK_SECRET", "SLOW_WEBHOOK_SECRET", "ANNOTATIONS_TOKEN"):
            stack.environment[name] = SECRET
        stack.receiver.start()
        # Redis learns its script from the first delivery, which therefore does not go directly.
        assert post(stack.url, deployment_status(next(IDS))).ok
        yield stack


@pytest.fixture(scope="module")
def plain(served: Stack) -> Iterator[str]:
    """The URL of a receiver that passes all deliveries through Flask."""
    program = served.program("serve", "--plain", "--port", "0", "--workers", "1", ready=READY)
    yield url_of(program.start())
    program.stop()


def url_of(program: Program) -> str:
    assert program.announced is not None
    return program.announced["url"]


@dataclass(frozen=True)
class Sent:
    body: bytes
    headers: dict[str, str]
    path: str = "/webhooks/github"
    method: str = "POST"
    again: int = 0
    """How often it is sent before the answer counts."""


def github(body: bytes, event: str = "deployment_status", again: int = 0, **headers: str) -> Sent:
    named = signed(body, event=event, delivery=DELIVERY) | {"X-Request-ID": "given"}
    return Sent(body, named | {name.replace("_", "-"): value for name, value in headers.items()}, again=again)


def native(
    content: object, path: str = "/webhooks/events", method: str = "POST", message: str = "msg_1"
) -> Sent:
    headers = {
        "Authorization": f"Bearer {SECRET}",
        "Content-Type": "application/json",
        "X-Request-ID": "given",
    }
    return Sent(json.dumps(content).encode(), headers | {"webhook-id": message}, path, method)


BODY = deployment_status(4242)
CONTRACT = {
    "accepted": github(BODY),
    "a duplicate": github(BODY, again=1),
    "a form": github(urlencode({"payload": BODY.decode()}).encode(), Content_Type=FORM),
    "ignored": github(b'{"hook_id": 7}', "ping"),
    "another event": github(b"{}", "star"),
    "quarantined": github(b"{", again=1),
    "closed": github(BODY, Connection="close"),
    "with keys": native(EVENT),
    "partly valid": native([EVENT, {"type": "custom"}]),
    "invalid": native({"type": "custom"}),
    "from the doctor": native({"type": "custom"}, message="doctor-1"),
    "at a path of its own": native({"time": 1767225600000, "text": "Deploy"}, "/api/annotations"),
    "a change of an item": native({"timeEnd": 1767225600000}, "/api/annotations/17", "PATCH"),
    "no such item": native({"timeEnd": 1}, "/api/annotations/not-an-id", "PATCH"),
    "from a declared sender": native({"id": 1, "text": "aa"}, f"/webhooks/slow/{SECRET}"),
    "without a wait for its body": github(BODY, Expect="100-continue"),
    "unsigned": Sent(BODY, {"Content-Type": "application/json", "X-Request-ID": "given"}),
    "wrongly signed": github(BODY, X_Hub_Signature_256="sha256=" + "0" * 64),
    "no such source": Sent(b"{}", {"X-Request-ID": "given"}, "/webhooks/gitlab"),
    "nearly right": Sent(b"{}", {"X-Request-ID": "given"}, "/webhooks//github"),
    "another method": Sent(b"", {"X-Request-ID": "given"}, method="PUT"),
    "another content type": github(BODY, Content_Type="text/plain"),
    "too large": Sent(b"", {"Content-Length": str(26 * 1024 * 1024), "X-Request-ID": "given"}),
    "health": Sent(b"", {"X-Request-ID": "given"}, "/healthz", "GET"),
}


@dataclass(frozen=True)
class Answered:
    status: tuple[int, int, str]
    headers: list[tuple[str, str]]
    body: bytes


def answer(url: str, sent: Sent) -> Answered:
    """In one piece, so that it does not matter when the body arrives."""
    address = urlsplit(url)
    headers = {"Host": address.netloc, "Content-Length": str(len(sent.body)), **sent.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as connection:
        connection.sendall(f"{sent.method} {sent.path} HTTP/1.1\r\n{lines}\r\n".encode() + sent.body)
        response = HTTPResponse(connection)
        response.begin()
        named = [(name, value) for name, value in response.getheaders() if name != "Date"]
        return Answered((response.version, response.status, response.reason), named, response.read())


@pytest.mark.parametrize("name", CONTRACT)
def test_an_answer_has_the_same_bytes_either_way(served: Stack, plain: str, name: str) -> None:
    answers = []
    for url in (served.url, plain):
        served.redis.flushdb()
        for _ in range(CONTRACT[name].again):
            answer(url, CONTRACT[name])
        answers.append(answer(url, CONTRACT[name]))
    direct, through_flask = answers
    assert direct == through_flask


def test_an_answer_says_when_it_was_made(served: Stack) -> None:
    assert post(served.url, deployment_status(next(IDS))).headers["Date"].endswith(" GMT")


def test_many_requests_sent_at_once_are_answered_in_their_order(served: Stack) -> None:
    """Also more than the stack could hold if each answer were given by the one before."""
    address = urlsplit(served.url)
    times = 400
    one = b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
    one += "".join(f"{name}: {value}\r\n" for name, value in signed(b"{}", event="star").items()).encode()
    received = b""
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as connection:
        connection.sendall(b"".join(one + b"X-Request-ID: n%d\r\n\r\n{}" % each for each in range(times)))
        while received.count(b'"ignored"') < times:
            data = connection.recv(65_536)
            assert data
            received += data
    at = [received.find(b"X-Request-ID: n%d\r\n" % number) for number in range(times)]
    assert at == sorted(at)
    assert -1 not in at


def test_while_redis_hangs_no_thread_waits_for_it_and_the_spool_takes_what_comes(served: Stack) -> None:
    program = served.program("serve", "--port", "0", "--workers", "1", "--threads", "2", ready=READY)
    url = url_of(program.start())
    try:
        assert post(url, deployment_status(next(IDS))).status_code == 202
        names = [str(uuid.uuid4()) for _ in range(AT_ONCE)]
        served.redis_process.pause()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            began = time.monotonic()
            posts = [pool.submit(post, url, deployment_status(next(IDS)), delivery=name) for name in names]
            longest = 0.0
            while not all(each.done() for each in posts):
                asked = time.monotonic()
                assert requests.get(f"{url}/healthz", timeout=30).status_code == 200
                longest = max(longest, time.monotonic() - asked)
            assert {each.result().status_code for each in posts} == {202}
            assert time.monotonic() - began < 10
        assert longest < COMMAND_TIMEOUT, "the loop has waited for Redis"
        began = time.monotonic()
        late = str(uuid.uuid4())
        assert post(url, deployment_status(next(IDS)), delivery=late).status_code == 202
        assert time.monotonic() - began < COMMAND_TIMEOUT, "Redis was tried again"
        served.redis_process.resume()
        expected = {f"github-{name}-0" for name in (*names, late)}
        queue = delivery_queue(served.redis)
        wait_until(lambda: expected <= set(queue.job_ids), "the spool is drained", 30)
        assert len(queue.job_ids) == len(set(queue.job_ids))
    finally:
        served.redis_process.resume()
        program.stop()


def test_deliveries_that_take_long_to_read_do_not_hold_the_loop(served: Stack) -> None:
    program = served.program("serve", "--port", "0", "--workers", "1", "--threads", "2", ready=READY)
    url = url_of(program.start())

    def send() -> str:
        answer = requests.post(f"{url}/webhooks/slow/{SECRET}", json=HOSTILE, timeout=30)
        return str(answer.json()["status"])

    try:
        assert post(url, deployment_status(next(IDS))).ok
        assert send() == "quarantined"
        healthy = 0
        with ThreadPoolExecutor(AT_ONCE) as pool, requests.Session() as session:
            sent = [pool.submit(send) for _ in range(AT_ONCE)]
            while not all(each.done() for each in sent):
                healthy += session.get(f"{url}/healthz", timeout=30).ok
            assert {each.result() for each in sent} == {"quarantined"}
        # On the loop, each of them would make /healthz wait.
        assert healthy > 3 * AT_ONCE
    finally:
        program.stop()


def restart(served: Stack) -> None:
    served.redis_process.stop()
    served.redis_process.start()


def forget_scripts(served: Stack) -> None:
    served.redis.script_flush()


@pytest.mark.parametrize("disturb", [restart, forget_scripts])
def test_deliveries_go_on_when_redis_has_been_restarted_or_forgotten_its_scripts(
    served: Stack, disturb: Callable[[Stack], None]
) -> None:
    disturb(served)
    deliveries = [str(uuid.uuid4()) for _ in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        posts = [
            pool.submit(post, served.url, deployment_status(next(IDS)), delivery=each) for each in deliveries
        ]
    assert {each.result().json()["status"] for each in posts} == {"accepted"}
    expected = {f"github-{each}-0" for each in deliveries}
    wait_until(lambda: expected <= set(delivery_queue(served.redis).job_ids), "all are queued")
