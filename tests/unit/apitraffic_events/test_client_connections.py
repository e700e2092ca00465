"""What really happens to a connection: refused, reset, silent. Over 127.0.0.1, ports by the kernel."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import ServerFailed, Unreachable
from apitraffic_events.event import Event, EventType

ANSWER = b'{"sid": "evt_1", "type": "custom", "name": "x"}'
TOKEN = "tok_hunter2"


def client_of(port: int, read_timeout: float = 10.0) -> EventsClient:
    return EventsClient(
        api_url=f"http://127.0.0.1:{port}/v1", account_sid="acc_1", token=TOKEN, read_timeout=read_timeout
    )


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Reads one request on each connection and leaves the rest to `answer`."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                received = b""
                while b"\r\n\r\n" not in received and (chunk := connection.recv(4096)):
                    received += chunk
                answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def headers(length: int, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\nContent-Type: application/json\r\n\r\n".encode()


def cut_in_headers(connection: socket.socket) -> None:
    connection.sendall(headers(len(ANSWER))[:20])


def cut_in_status(connection: socket.socket) -> None:
    connection.sendall(headers(len(ANSWER))[:10])


def cut_in_body(connection: socket.socket) -> None:
    connection.sendall(headers(len(ANSWER)) + ANSWER[:10])


def reset_in_body(connection: socket.socket) -> None:
    cut_in_body(connection)
    reset(connection)


def say_nothing(connection: socket.socket) -> None:
    connection.recv(1)  # returns when the client gives up


def stop_in_body(connection: socket.socket) -> None:
    cut_in_body(connection)
    connection.recv(1)


def test_a_refused_connection_was_not_sent() -> None:
    with socket.socket() as held:  # bound and not listening: nobody else can get the port meanwhile
        held.bind(("127.0.0.1", 0))
        with (
            client_of(held.getsockname()[1]) as client,
            pytest.raises(Unreachable, match="Connection refused") as caught,
        ):
            client.get_event("evt_1")
    assert caught.value.was_sent is False
    assert "object at 0x" not in str(caught.value)


def test_a_host_that_does_not_exist_was_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with (
        EventsClient(api_url="http://nowhere.invalid/v1", account_sid="acc_1", token=TOKEN) as client,
        pytest.raises(Unreachable) as caught,
    ):
        client.get_event("evt_1")
    assert caught.value.was_sent is False


@pytest.mark.parametrize(
    "answer",
    [lambda _: None, reset, cut_in_status, cut_in_body, reset_in_body],
    ids=["closed", "reset", "cut in the status line", "cut in the body", "reset in the body"],
)
def test_what_breaks_after_the_request_may_have_been_done(answer: Callable[[socket.socket], None]) -> None:
    with server(answer) as port, client_of(port) as client, pytest.raises(Unreachable) as caught:
        client.get_event("evt_1")
    assert caught.value.was_sent is True
    assert caught.value.message.startswith("no answer: ")
    assert "hunter2" not in f"{caught.value!r}"


@pytest.mark.parametrize("answer", [say_nothing, stop_in_body], ids=["nothing", "half of it"])
def test_an_api_that_is_silent_is_not_waited_for_longer_than_said(
    answer: Callable[[socket.socket], None],
) -> None:
    with (
        server(answer) as port,
        client_of(port, read_timeout=0.05) as client,
        pytest.raises(Unreachable) as caught,
    ):
        client.get_event("evt_1")
    assert caught.value.was_sent is True


@pytest.mark.parametrize(
    "answer",
    [cut_in_headers, lambda connection: connection.sendall(b"220 smtp.example.test ESMTP\r\n")],
    ids=["cut in the headers", "not HTTP at all"],
)
def test_an_answer_without_sense_is_tried_again_and_may_have_been_done(
    answer: Callable[[socket.socket], None],
) -> None:
    with (
        server(answer) as port,
        client_of(port) as client,
        pytest.raises((Unreachable, ServerFailed)) as caught,
    ):
        client.create_event(Event(type=EventType.CUSTOM, name="x"))
    assert getattr(caught.value, "was_sent", True) is True


def test_a_kept_connection_that_the_server_has_closed_is_not_the_callers_trouble() -> None:
    closed = threading.Event()

    def answer_and_close(connection: socket.socket) -> None:
        connection.sendall(headers(len(ANSWER)) + ANSWER)
        connection.close()
        closed.set()

    with server(answer_and_close) as port, client_of(port) as client:
        assert client.get_event("evt_1").sid == "evt_1"
        assert closed.wait(10)
        assert client.get_event("evt_1").sid == "evt_1"
