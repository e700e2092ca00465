"""What the samples of deploy/proxies/ promise, with the real proxies and a real receiver: `make proxies`."""

import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from select import select
from threading import Thread

import pytest
from requests import Response

from tests.proxies.conftest import ALLOWED, TOKEN
from tests.proxies.proxy import KINDS, Proxy, started_proxy
from tests.support.certificates import Authority
from tests.support.github import deployment_status, signed
from tests.support.ports import held_ports
from tests.support.stack import Stack
from tests.support.waiting import wait_until


class CannotStore(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_GET(self) -> None:
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        pass


@contextmanager
def cannot_store() -> Iterator[str]:
    """A receiver that answers 503 to everything."""
    with ThreadingHTTPServer(("127.0.0.1", 0), CannotStore) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


MIB = 1024 * 1024
LONGEST = 30
"""Seconds: the receiver gives a request 20, the proxies wait 25 for it."""


def deliver(
    proxy: Proxy,
    body: bytes,
    *,
    chunked: bool = False,
    address: str = ALLOWED,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A signed delivery of GitHub's; `headers` go over its own."""
    content = iter([body[at : at + 100_000] for at in range(0, len(body), 100_000)]) if chunked else body
    with proxy.session(address) as session:
        return session.post(
            f"{proxy.url}/webhooks/github",
            data=content,
            headers={**signed(body), **(headers or {})},
            timeout=60,
        )


def of_size(number: int, size: int) -> bytes:
    body = json.loads(deployment_status(number))
    body["padding"] = "x" * (size - len(json.dumps(body)) - len(', "padding": ""'))
    return json.dumps(body).encode()


def test_a_delivery_becomes_a_marker(proxy: Proxy, stack: Stack) -> None:
    number = 1000 + KINDS.index(proxy.kind)
    answer = deliver(proxy, deployment_status(number))
    assert answer.status_code == 202, answer.text
    wait_until(
        lambda: [event for event in stack.events() if f":{number}" in event["metadata"]["marker_key"]],
        "its event is listed",
    )


@pytest.mark.parametrize("chunked", [False, True], ids=["with-its-length", "chunked"])
@pytest.mark.parametrize("mib", [2, 24])
def test_a_large_body_arrives_whole(proxy: Proxy, mib: int, chunked: bool) -> None:
    body = of_size(KINDS.index(proxy.kind) * 100 + mib * 2 + chunked, mib * MIB)
    answer = deliver(proxy, body, chunked=chunked)
    assert answer.status_code == 202, answer.text


def test_too_large_a_body_is_refused_by_the_receiver_in_its_own_words(proxy: Proxy) -> None:
    """HAProxy and Caddy pass the refusal on while the body is being sent, nginx after its end.

    Caddy closes the connection at once then, so that a client that is still sending may not get to read it.
    """
    length = 25 * MIB + 1
    # With TLS 1.3, tickets would arrive before the answer.
    with closing(tls(proxy, ssl.TLSVersion.TLSv1_2)) as client:
        client.sendall(head(length))
        sent, answer = 0, b""
        try:
            while sent < length and not select([client], [], [], 0)[0]:
                sent += client.send(b"x" * min(65_536, length - sent))
            answer = client.recv(65_536)
        except OSError:
            assert proxy.kind == "caddy"
            return
    assert answer.startswith(b"HTTP/1.1 413 "), answer
    assert b"application/problem+json" in answer


def test_the_receiver_sees_the_clients_address(proxy: Proxy) -> None:
    assert deliver(proxy, deployment_status(1), address="127.0.0.3").status_code == 403
    assert deliver(proxy, deployment_status(1), address=ALLOWED).status_code in {200, 202}


@pytest.mark.parametrize("forged", [ALLOWED, f"{ALLOWED}, 127.0.0.1", f"127.0.0.1, {ALLOWED}"])
def test_a_client_cannot_forge_its_address(proxy: Proxy, forged: str) -> None:
    answer = deliver(proxy, deployment_status(1), address="127.0.0.3", headers={"X-Forwarded-For": forged})
    assert answer.status_code == 403


def test_a_wrong_signature_gets_the_receivers_own_answer(proxy: Proxy) -> None:
    answer = deliver(proxy, deployment_status(1), headers={"X-Hub-Signature-256": f"sha256={'0' * 64}"})
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path", ["/metrics", "/readyz", "/healthz", "/", "/webhooks/../metrics", "/webhooks/%2e%2e/metrics"]
)
def test_only_webhooks_are_reached(proxy: Proxy, path: str) -> None:
    with closing(tls(proxy)) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = to_end(client)
    # HAProxy passes a path with dots on as it is, and the receiver takes it for a sender's name.
    assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 405 ")), answer
    assert b"apitraffic_" not in answer


@pytest.mark.parametrize("host", ["elsewhere.example.com", "127.0.0.1"])
def test_no_delivery_is_taken_for_delivered_that_is_not(proxy: Proxy, host: str) -> None:
    """Caddy by itself answers 200 if the host is not the one it was told."""
    answer = deliver(proxy, deployment_status(2), headers={"Host": host})
    assert answer.status_code in ({421} if proxy.kind == "caddy" and host != "127.0.0.1" else {200, 202})


def test_tls_is_new_enough(proxy: Proxy) -> None:
    with closing(tls(proxy, ssl.TLSVersion.TLSv1_2)) as client:
        assert client.version() == "TLSv1.2"
    with (
        pytest.warns(DeprecationWarning, match="TLSv1_1"),
        pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"),
    ):
        tls(proxy, ssl.TLSVersion.TLSv1_1)


@pytest.fixture
def unused_port() -> Iterator[int]:
    with held_ports(1) as (port,):
        yield port


def test_no_token_is_in_a_log(
    proxy: Proxy,
    authority: Authority,
    stack: Stack,
    unused_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Neither of a delivery that is answered, nor of one that finds no receiver."""
    nobody = f"http://127.0.0.1:{unused_port}"
    with started_proxy(proxy.kind, tmp_path_factory.mktemp("nobody"), nobody, authority) as alone:
        for each, statuses in ((proxy, {200, 202}), (alone, {502, 503, 504})):
            with each.session(ALLOWED) as session:
                answer = session.post(f"{each.url}/webhooks/jenkins/{TOKEN}?{TOKEN}", json={}, timeout=30)
            assert answer.status_code in statuses, answer.text
            with each.session(ALLOWED) as session:
                session.post(
                    f"{each.url}/webhooks/events",
                    headers={"Authorization": f"Bearer {TOKEN}"},
                    json={},
                    timeout=30,
                )
            wait_until(partial(is_logged, each), each.log)
            assert TOKEN not in each.log()


@pytest.mark.parametrize("kind", KINDS)
def test_a_delivery_goes_to_the_second_receiver_if_the_first_is_down(
    kind: str, authority: Authority, stack: Stack, unused_port: int, tmp_path: Path
) -> None:
    down = f"http://127.0.0.1:{unused_port}"
    with started_proxy(kind, tmp_path, down, authority, second=stack.url) as proxy:
        answers = [deliver(proxy, deployment_status(4000 + number)).status_code for number in range(6)]
    assert set(answers) <= {200, 202}


@pytest.mark.parametrize("kind", KINDS)
def test_a_delivery_goes_to_the_second_receiver_if_the_first_cannot_store_it(
    kind: str, authority: Authority, stack: Stack, tmp_path: Path
) -> None:
    """The checks of Caddy and HAProxy see it beforehand."""
    with (
        cannot_store() as full,
        started_proxy(kind, tmp_path, full, authority, second=stack.url) as proxy,
    ):
        answers = [deliver(proxy, deployment_status(5000 + number)).status_code for number in range(4)]
    assert set(answers) <= {200, 202}


def test_who_stalls_is_let_go(proxies: dict[str, Proxy]) -> None:
    """A client that stops in the middle of its body; all proxies at once, as it takes its time."""
    with ThreadPoolExecutor() as pool:
        seconds = dict(zip(proxies, pool.map(seconds_stalled, proxies.values()), strict=True))
    assert max(seconds.values()) < LONGEST, seconds


def test_a_silent_receiver_is_answered_for(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("silent")
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            started_proxy("nginx", folder, url, authority) as nginx,
            started_proxy("caddy", folder, url, authority) as caddy,
            ThreadPoolExecutor() as pool,
        ):
            # HAProxy's checks find such a receiver, and it answers 503 at once.
            answers = list(pool.map(answered, (nginx, caddy)))
    for status, seconds in answers:
        assert status in {502, 503, 504}
        assert seconds < LONGEST


def is_logged(proxy: Proxy) -> bool:
    return "/webhooks/jenkins/..." in proxy.log()


def head(length: int) -> bytes:
    """Of a delivery whose body has this length, as long as nobody looks at its signature."""
    fields = {"Host": "127.0.0.1", "Content-Length": str(length), **signed(b"")}
    lines = ["POST /webhooks/github HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def seconds_stalled(proxy: Proxy) -> float:
    with closing(tls(proxy)) as client:
        client.sendall(head(100) + b"xx")
        began = time.monotonic()
        client.recv(1)  # of an answer, or the end
        return time.monotonic() - began


def answered(proxy: Proxy) -> tuple[int, float]:
    began = time.monotonic()
    return deliver(proxy, deployment_status(1)).status_code, time.monotonic() - began


def tls(proxy: Proxy, version: ssl.TLSVersion | None = None) -> ssl.SSLSocket:
    """A connection from the allowed address, over this version only if one is given."""
    context = ssl.create_default_context(cafile=str(proxy.certificate))
    if version is not None:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
    client = socket.create_connection(("127.0.0.1", proxy.port), timeout=60, source_address=(ALLOWED, 0))
    try:
        return context.wrap_socket(client, server_hostname="127.0.0.1")
    except ssl.SSLError:
        client.close()
        raise


def to_end(client: ssl.SSLSocket) -> bytes:
    received = b""
    while part := client.recv(65_536):
        received += part
    return received
