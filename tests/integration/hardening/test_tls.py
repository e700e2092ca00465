"""TLS that the receiver ends itself."""

import itertools
import json
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509

from receiver.serving.healthcheck import is_up
from tests.fuzz.wire import STATUS, authentic
from tests.support.certificates import Certificate, make_certificate
from tests.support.github import deployment_status
from tests.support.programs import Ended, Program, run_to_the_end
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_until

NUMBERS = itertools.count(1)
UP = b'{"status":"up",'
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def receiver(stack: Stack, certificate: Certificate) -> Iterator[Program]:
    receiver = stack.program(
        *("serve", "--port", "0", "--workers", "1", "--threads", "1", *certificate.options),
        ready=r"receiver listens url=https://127\.0\.0\.1:(?P<port>\d+)",
    ).start()
    yield receiver
    assert receiver.stop() == 0
    assert "Traceback" not in receiver.log()


def test_the_health_check_of_the_image_speaks_tls_too(stack: Stack, receiver: Program) -> None:
    plain = stack.program(
        *("serve", "--port", "0", "--workers", "1", "--threads", "1"),
        ready=r"receiver listens url=http://127\.0\.0\.1:(?P<port>\d+)",
    ).start()
    try:
        for running in (plain, receiver):
            assert running.announced is not None
            assert is_up(int(running.announced["port"]))
    finally:
        assert plain.stop() == 0
    assert plain.announced is not None
    assert not is_up(int(plain.announced["port"]))


def plainly(receiver: Program) -> socket.socket:
    assert receiver.announced is not None
    return socket.create_connection(("127.0.0.1", int(receiver.announced["port"])), timeout=30)


def secured(receiver: Program, certificate: Certificate, **changes: object) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(certificate.path))
    context.set_alpn_protocols(["h2", "http/1.1"])
    for name, value in changes.items():
        setattr(context, name, value)
    return context.wrap_socket(plainly(receiver), server_hostname="127.0.0.1", suppress_ragged_eofs=False)


def test_it_speaks_http_1_1_over_tls_1_2_and_newer(receiver: Program, certificate: Certificate) -> None:
    with secured(receiver, certificate) as client:
        assert (client.version(), client.selected_alpn_protocol()) == ("TLSv1.3", "http/1.1")
    with secured(receiver, certificate, maximum_version=ssl.TLSVersion.TLSv1_2) as client:
        client.sendall(HEALTH)
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")


def test_requests_that_come_together_are_all_answered(receiver: Program, certificate: Certificate) -> None:
    with secured(receiver, certificate) as client:
        client.sendall(HEALTH + HEALTH + HEALTH)
        received = b""
        while received.count(UP) < 3:
            received += client.recv(65_536)
        client.sendall(HEALTH)
        while received.count(UP) < 4:
            received += client.recv(65_536)
    assert STATUS.findall(received) == [b"200"] * 4


def test_a_large_delivery_is_stored_and_the_end_is_announced(
    receiver: Program, certificate: Certificate
) -> None:
    payload = json.loads(deployment_status(next(NUMBERS))) | {"padding": "x" * 3_000_000}
    with secured(receiver, certificate) as client:
        client.sendall(authentic(json.dumps(payload).encode()))
        received = b""
        while part := client.recv(65_536):  # Without a proper end this raises.
            received += part
    assert STATUS.findall(received) == [b"202"]


def test_who_speaks_no_tls_is_cut_off_at_once(receiver: Program) -> None:
    with plainly(receiver) as client:
        client.sendall(HEALTH)
        try:
            received = client.recv(100)
        except ConnectionResetError:
            received = b""
    assert not received.startswith(b"HTTP/")


def test_sighup_takes_a_renewed_certificate_and_keeps_the_old_one_if_it_is_unfit(
    stack: Stack, tmp_path: Path
) -> None:
    def shown() -> int:
        pem = ssl.get_server_certificate(("127.0.0.1", urlsplit(url).port or 0), timeout=30)
        return x509.load_pem_x509_certificate(pem.encode()).serial_number

    first = make_certificate(tmp_path)
    receiver = stack.program(
        *("serve", "--port", "0", "--workers", "1", *first.options),
        ready=r"receiver listens url=(?P<url>\S+)",
    ).start()
    assert receiver.announced is not None
    url = receiver.announced["url"]
    try:
        assert shown() == first.serial_number
        renewed = make_certificate(tmp_path)
        receiver.send_signal(signal.SIGHUP)
        wait_until(lambda: shown() == renewed.serial_number, "the renewed certificate is shown", 30)
        renewed.path.write_text("nonsense")
        receiver.send_signal(signal.SIGHUP)
        wait_until(lambda: "certificate not renewed" in receiver.log(), "it says so", 30)
        assert shown() == renewed.serial_number
    finally:
        assert receiver.stop() == 0


def serve(folder: Path, *options: str) -> Ended:
    return run_to_the_end(folder, {"REDIS_URL": "redis://127.0.0.1:1"}, "serve", "--port", "0", *options)


def test_files_that_cannot_be_used_are_named_at_start(tmp_path: Path) -> None:
    good, other = make_certificate(tmp_path), make_certificate(tmp_path, "other")
    locked = make_certificate(tmp_path, "locked", password=b"a password")
    nonsense, missing = tmp_path / "nonsense", tmp_path / "missing"
    nonsense.write_text("nonsense")
    for certificate, key, said in (
        (missing, good.key, "cannot be read (No such file or directory); check the path"),
        (good.path, missing, "cannot be read (No such file or directory); check the path"),
        (nonsense, good.key, "are not a certificate chain and its key"),
        (good.path, other.key, "is not the key of the certificate in"),
        (locked.path, locked.key, "has a password; write it without one"),
    ):
        ended = serve(tmp_path, "--tls-cert", str(certificate), "--tls-key", str(key))
        assert ended.returncode == 1
        assert said in ended.output
        assert "Traceback" not in ended.output


def test_one_file_without_the_other_is_refused(tmp_path: Path) -> None:
    ended = serve(tmp_path, "--tls-cert", str(make_certificate(tmp_path).path))
    assert ended.returncode == 2
    assert "--tls-cert and --tls-key go together" in ended.output
