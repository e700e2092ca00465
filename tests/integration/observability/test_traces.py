"""What reaches a collector of traces, from a real receiver of two processes and a real worker."""

import itertools
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from receiver.queue.dead_letters import DeadLetters
from receiver.queue.queues import delivery_queue, delivery_queues
from tests.support.collector import Collector, attributes, running_collector
from tests.support.github import SECRET, deployment_status, post, signed
from tests.support.programs import Program
from tests.support.source_fixtures import body_of
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_until

NUMBERS = itertools.count(1)
JENKINS_TOKEN = "a-jenkins-token-of-the-tests"
SENDER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SERVER, PRODUCER = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_PRODUCER
CONSUMER, CLIENT = Span.SPAN_KIND_CONSUMER, Span.SPAN_KIND_CLIENT


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Stack]:
    """Receiver and worker run, with traces on."""
    with running_stack(tmp_path_factory.mktemp("traced")) as stack:
        stack.environment |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "JENKINS_WEBHOOK_TOKEN": JENKINS_TOKEN,
        }
        stack.receiver.start()
        stack.worker.start()
        yield stack


@pytest.fixture(autouse=True)
def nothing_secret_is_exported(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "traced" in request.fixturenames:
        stack: Stack = request.getfixturevalue("traced")
        wait_until(stack.is_idle, "the next test has nothing of this one in its way")
        exported = b"".join(request.getfixturevalue("collector").bodies)
        signature = re.compile(rb"sha256=|[Bb]earer")
        assert exported
        assert not signature.search(exported)
        for secret in (SECRET, JENKINS_TOKEN, stack.api.token):
            assert secret.encode() not in exported


def delivered(stack: Stack, headers: dict[str, str] | None = None) -> str:
    """The id of a delivery that was accepted just now."""
    body = deployment_status(next(NUMBERS))
    of_sender = signed(body)
    answer = post(stack.url, body, of_sender | (headers or {}))
    assert answer.json()["status"] == "accepted"
    return of_sender["X-GitHub-Delivery"]


def linked(span: Span) -> list[tuple[bytes, bytes]]:
    return [(link.trace_id, link.span_id) for link in span.links]


def test_a_try_to_deliver_links_to_the_request_that_was_accepted(traced: Stack, collector: Collector) -> None:
    delivery = delivered(traced)
    (consumed,) = collector.wait_for(CONSUMER, apitraffic__delivery__id=delivery)
    (served,) = collector.wait_for(SERVER, apitraffic__delivery__id=delivery)
    (produced,) = [span for span in collector.spans(PRODUCER) if span.trace_id == served.trace_id]

    key = f"github:deployment:{next(NUMBERS) - 1}"
    told = attributes(served.attributes)
    assert served.name == "POST /webhooks/<source_name>"
    assert (told["http.request.method"], told["http.response.status_code"]) == ("POST", 202)
    assert (told["http.route"], told["url.path"]) == ("/webhooks/<source_name>", "/webhooks/github")
    assert (told["apitraffic.source"], told["apitraffic.outcome"]) == ("github", "accepted")
    assert told["apitraffic.delivery.event"] == "deployment_status"
    assert told["apitraffic.marker.keys"] == (key,)
    assert served.parent_span_id == b""
    assert (produced.name, produced.parent_span_id) == ("enqueue deliveries", served.span_id)

    assert linked(consumed) == [(produced.trace_id, produced.span_id)]
    assert (consumed.name, consumed.parent_span_id) == ("process deliveries", b"")
    assert consumed.trace_id != produced.trace_id
    tried = attributes(consumed.attributes)
    assert (tried["apitraffic.outcome"], tried["apitraffic.marker.key"]) == ("created", key)

    (created,) = [
        span
        for span in collector.spans(CLIENT)
        if span.parent_span_id == consumed.span_id and "POST" in span.name
    ]
    called = attributes(created.attributes)
    assert created.name == "POST /v1/accounts/{sid}/events"
    assert (called["http.response.status_code"], called["url.template"]) == (201, "/v1/accounts/{sid}/events")


def test_the_log_names_the_trace_and_its_span(traced: Stack, collector: Collector) -> None:
    delivery = delivered(traced)
    (consumed,) = collector.wait_for(CONSUMER, apitraffic__delivery__id=delivery)
    (served,) = collector.wait_for(SERVER, apitraffic__delivery__id=delivery)
    for span, program, what in ((served, traced.receiver, "accepted"), (consumed, traced.worker, "created")):
        (line,) = re.findall(rf".* {what} .*{delivery}.*", program.log())
        assert f"trace_id={span.trace_id.hex()}" in line
        assert f"span_id={span.span_id.hex()}" in line


def test_the_collector_learns_which_service_it_is(traced: Stack, collector: Collector) -> None:
    delivery = delivered(traced)
    collector.wait_for(CONSUMER, apitraffic__delivery__id=delivery)
    for request in collector.requests():
        for of_resource in request.resource_spans:
            assert attributes(of_resource.resource.attributes)["service.name"] == "apitraffic-events"


def test_a_senders_own_trace_is_linked_and_not_continued(traced: Stack, collector: Collector) -> None:
    delivery = delivered(traced, {"traceparent": SENDER})
    (served,) = collector.wait_for(SERVER, apitraffic__delivery__id=delivery)
    _, trace_id, span_id, _ = SENDER.split("-")
    assert linked(served) == [(bytes.fromhex(trace_id), bytes.fromhex(span_id))]
    assert (served.trace_id.hex() != trace_id, served.parent_span_id) == (True, b"")


def test_a_request_that_is_not_authentic_puts_nothing_of_its_own_into_the_trace(
    traced: Stack, collector: Collector
) -> None:
    body = deployment_status(next(NUMBERS))
    headers = signed(body, secret="another") | {"traceparent": SENDER, "X-Request-ID": "refused-1"}
    assert post(traced.url, body, headers).status_code == 401
    (served,) = collector.wait_for(SERVER, apitraffic__request_id="refused-1")
    told = attributes(served.attributes)
    assert told["http.response.status_code"] == 401
    assert linked(served) == []
    assert not [name for name in told if name.startswith("apitraffic.delivery")]


def test_a_token_in_the_path_is_not_told(traced: Stack, collector: Collector) -> None:
    address = f"{traced.url}/webhooks/jenkins/{JENKINS_TOKEN}"
    body = body_of("jenkins", "completed__failure")
    for name, url in (("right", address), ("misplaced", f"{traced.url}/webhooks/{JENKINS_TOKEN}")):
        headers = {"Content-Type": "application/json", "X-Request-ID": name}
        requests.post(url, data=body, headers=headers, timeout=30)
    (right,) = collector.wait_for(SERVER, apitraffic__request_id="right")
    (misplaced,) = collector.wait_for(SERVER, apitraffic__request_id="misplaced")
    assert attributes(right.attributes)["url.path"] == "/webhooks/jenkins/REDACTED"
    assert attributes(right.attributes)["apitraffic.source"] == "jenkins"
    assert attributes(misplaced.attributes)["url.path"] == "/webhooks/REDACTED"


def test_each_try_says_how_it_ended_and_links_to_the_same_request(
    traced: Stack, collector: Collector
) -> None:
    traced.api.set_faults(["POST:status=503x1"])
    delivery = delivered(traced)
    # Before it creates the event it waits until the API would have carried the first request out.
    (last,) = collector.wait_for(CONSUMER, apitraffic__delivery__id=delivery, apitraffic__outcome="created")
    attempts = collector.spans(CONSUMER, apitraffic__delivery__id=delivery)
    first, *between, _ = sorted(attempts, key=lambda span: span.start_time_unix_nano)
    failed = attributes(first.attributes)
    assert (failed["apitraffic.outcome"], failed["apitraffic.retry.reason"]) == ("not_yet", "serverfailed")
    assert {attributes(each.attributes)["apitraffic.retry.reason"] for each in between} <= {"unsettled"}
    assert linked(first) == linked(last) != []
    (refused,) = [
        span
        for span in collector.wait_for(CLIENT, http__response__status_code=503)
        if span.parent_span_id == first.span_id
    ]
    assert refused.status.code == Status.STATUS_CODE_ERROR


def test_the_link_survives_the_dead_letters(traced: Stack, collector: Collector) -> None:
    traced.api.set_faults(["POST:status=422"])
    delivery = delivered(traced)
    letters = DeadLetters(delivery_queues(traced.redis))
    wait_until(letters.count, f"the dead letter:\n{traced.worker.log()}")
    (letter,) = letters
    traced.api.set_faults([])
    assert letters.replay(letter)
    refused, replayed = collector.wait_for(CONSUMER, 2, apitraffic__delivery__id=delivery)
    assert attributes(refused.attributes)["apitraffic.outcome"] == "given_up"
    assert attributes(replayed.attributes)["apitraffic.outcome"] == "created"
    assert linked(replayed) == linked(refused) != []


def test_the_link_survives_the_spool(traced: Stack, collector: Collector) -> None:
    traced.redis_process.stop()
    try:
        delivery = delivered(traced)
        assert requests.get(f"{traced.url}/readyz", timeout=10).json()["spooled"] == 1
    finally:
        traced.redis_process.start()
    (consumed,) = collector.wait_for(CONSUMER, apitraffic__delivery__id=delivery)
    (served,) = collector.wait_for(SERVER, apitraffic__delivery__id=delivery)
    (produced,) = [span for span in collector.spans(PRODUCER) if span.trace_id == served.trace_id]
    assert linked(consumed) == [(produced.trace_id, produced.span_id)]


def test_a_job_that_was_queued_without_traces_is_delivered_with_a_span_that_links_to_nothing(
    traced: Stack, collector: Collector
) -> None:
    traced.worker.stop()
    delivery = delivered(traced)
    queue = delivery_queue(traced.redis)
    # By way of the spool, where Redis was away a moment ago.

    def sent() -> list[str]:
        """The worker may have left second looks."""
        return [job_id for job_id in queue.job_ids if not job_id.startswith("second-look-")]

    wait_until(sent, "it is queued")
    (job_id,) = sent()
    job = queue.fetch_job(job_id)
    assert job is not None
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", job.meta["traceparent"])
    traced.redis.hdel(job.key, "meta")
    traced.worker.start()
    (consumed,) = collector.wait_for(CONSUMER, apitraffic__delivery__id=delivery)
    assert linked(consumed) == []
    assert attributes(consumed.attributes)["apitraffic.outcome"] == "created"


def test_a_collector_that_is_away_delays_and_loses_nothing_and_is_mentioned_once(stack: Stack) -> None:
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))
        stack.environment |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{refusing.getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
            "OTEL_BSP_SCHEDULE_DELAY": "20",
        }
        stack.receiver.start()
        stack.worker.start()
        took = []
        for _ in range(20):
            began = time.monotonic()
            delivered(stack)
            took.append(time.monotonic() - began)
        wait_until(lambda: len(stack.events()) == 20, "all are delivered")
        assert max(took) < 1.0
        for program in (stack.receiver, stack.worker):
            wait_until(lambda log=program.log: "spans are dropped" in log(), "it is said")  # type: ignore[misc]
            began = time.monotonic()
            assert program.stop() == 0
            assert time.monotonic() - began < 8
            assert "Connection refused" in program.log()
            assert "Traceback" not in program.log()
            assert "opentelemetry" not in program.log()
        assert stack.worker.log().count("spans are dropped") == 1
        assert stack.receiver.log().count("spans are dropped") <= 2, "once in each of its processes"


def test_traces_that_cannot_be_had_are_mentioned_at_start(stack: Stack, tmp_path: Path) -> None:
    environment = stack.environment | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "APITRAFFIC_LOG_FORMAT": "json",
    }
    ready = "there are no traces.*\n(?s:.*)worker started"
    worker = Program(tmp_path / "grpc.log", environment, "worker", ready=ready).start()
    assert worker.stop() == 0
    (line,) = [json.loads(line) for line in worker.log().splitlines() if "no traces" in line]
    assert "set OTEL_EXPORTER_OTLP_PROTOCOL to http/protobuf" in line["reason"]
