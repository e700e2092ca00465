"""Slow, idle and too many clients, with one thread and no proxy in front, plainly and over TLS."""

import itertools
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import requests

from receiver.serving.buffering_worker import MOST_WAITING
from tests.fuzz.wire import STATUS, authentic, request
from tests.support.connections import connected, connected_only, url_of
from tests.support.github import deployment_status, post
from tests.support.programs import Program
from tests.support.stack import Stack

NUMBERS = itertools.count(1)


def test_clients_that_send_nothing_or_a_part_hold_no_thread(one_thread: Program) -> None:
    url = url_of(one_thread)
    parts = {
        "nothing": b"",
        "half a head": b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nX-Sl",
        "half a body": request(b"Content-Length: 100", body=b"half"),
        "half a chunk": request(b"Transfer-Encoding: chunked", body=b"64\r\nhalf"),
        "no last chunk": request(b"Transfer-Encoding: chunked", body=b"1\r\na\r\n"),
        "half a trailer": request(b"Transfer-Encoding: chunked", body=b"0\r\nX-T: "),
        "an expectation": request(b"Expect: 100-continue", b"Content-Length: 100"),
        "a second half": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nPOST /webhooks/github HT",
    }
    with ExitStack() as open_ones:
        for part in parts.values():
            for _ in range(10):
                client = open_ones.enter_context(connected(url))
                client.sendall(part)
            silent = open_ones.enter_context(connected_only(url))
            silent.sendall(b"\x16\x03\x01")  # With TLS, the beginning of a hand-shake.
        began = time.monotonic()
        for _ in range(5):
            assert post(url, deployment_status(next(NUMBERS))).status_code == 202
        assert time.monotonic() - began < 2.0


def test_a_client_that_does_not_close_after_its_answer_makes_nobody_wait(one_thread: Program) -> None:
    url = url_of(one_thread)
    with ExitStack() as open_ones:
        for _ in range(20):
            client = open_ones.enter_context(connected(url))
            client.sendall(request(b"Content-Length: 0"))
            assert client.recv(100).startswith(b"HTTP/1.1 401 ")
        began = time.monotonic()
        assert requests.get(f"{url}/healthz", timeout=30).ok
        assert time.monotonic() - began < 1.0


def test_an_expectation_is_met_at_once(one_thread: Program) -> None:
    whole = authentic(deployment_status(next(NUMBERS)))
    head, _, body = whole.partition(b"\r\n\r\n")
    with connected(url_of(one_thread)) as client:
        client.sendall(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.sendall(body)
        received = b""
        while part := client.recv(65_536):
            received += part
    assert STATUS.findall(received)[-1] == b"202"


def test_more_requests_than_may_wait_get_503_at_once_and_the_others_are_stored(
    one_thread: Program, stack: Stack
) -> None:
    url = url_of(one_thread)
    stack.redis_process.pause()
    requests_sent = [authentic(deployment_status(next(NUMBERS))) for _ in range(MOST_WAITING + 60)]

    def answer(client: socket.socket) -> tuple[int, bytes]:
        received = b""
        while part := client.recv(65_536):
            received += part
        return int(STATUS.findall(received)[-1]), received

    with ExitStack() as open_ones, ThreadPoolExecutor(64) as pool:
        clients = [open_ones.enter_context(connected(url)) for _ in requests_sent]
        for client, sent in zip(clients, requests_sent, strict=True):
            client.sendall(sent)
        try:
            answers = list(pool.map(answer, clients))
        finally:
            stack.redis_process.resume()
    counted = Counter(status for status, _ in answers)
    assert set(counted) == {202, 503}
    assert 1 <= counted[503] <= 60
    assert all(b"Retry-After: 30" in text for status, text in answers if status == 503)
    scraped = requests.get(f"{url}/metrics", timeout=30).text
    assert f'apitraffic_rejected_total{{reason="too_many",source="none"}} {counted[503]}.0' in scraped
