"""A body that cannot be read is answered 400, whatever WSGI server reads it."""

import io
from typing import Any

import pytest
from flask.testing import FlaskClient
from gunicorn.http.body import Body, ChunkedReader  # type: ignore[import-untyped]  # has no types
from gunicorn.http.message import Request  # type: ignore[import-untyped]
from gunicorn.http.unreader import IterUnreader  # type: ignore[import-untyped]

from receiver.config.settings import Settings
from receiver.serving.request_body import MalformedBody, RequestBody
from receiver.sources.base import MIB
from receiver.web.app import create_app


class BrokenStream(io.RawIOBase):
    """So many bytes, and then the sender is gone."""

    def __init__(self, size: int) -> None:
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            raise ConnectionResetError
        read = min(len(buffer), self._left)
        self._left -= read
        return read


@pytest.fixture
def client() -> FlaskClient:
    settings = {
        "redis_url": "redis://127.0.0.1:1",
        "spool": None,
        "webhook_secrets": {"JENKINS_WEBHOOK_TOKEN": "x" * 20},
    }
    return create_app(Settings.model_validate(settings)).test_client()


def post(client: FlaskClient, body: io.RawIOBase, **environ: object) -> tuple[int, str]:
    answer = client.post("/webhooks/jenkins", environ_overrides={"wsgi.input": body, **environ})
    return answer.status_code, answer.get_json()["detail"]


@pytest.mark.parametrize("framing", [{"CONTENT_LENGTH": "20"}, {"wsgi.input_terminated": True}])
def test_a_body_that_breaks_off_is_answered_400(client: FlaskClient, framing: dict[str, object]) -> None:
    assert post(client, BrokenStream(10), **framing) == (400, "The body could not be read.")


def test_a_body_over_the_limit_that_breaks_off_is_answered_413(client: FlaskClient) -> None:
    status, _ = post(client, BrokenStream(2 * MIB), **{"wsgi.input_terminated": True})
    assert status == 413


def body_of(*received: bytes) -> RequestBody:
    """A chunked body as gunicorn reads it."""
    request = Request.__new__(Request)
    return RequestBody(Body(ChunkedReader(request, IterUnreader(iter(received)))))


def test_gunicorns_errors_about_chunks_become_os_errors() -> None:
    with pytest.raises(MalformedBody):
        body_of(b"zz\r\nno size\r\n").read()


def test_a_body_is_read_whole_in_parts_and_by_line() -> None:
    chunks = (b"5\r\nab\ncd\r\n", b"3\r\nefg\r\n0\r\n\r\n")
    assert body_of(*chunks).read() == b"ab\ncdefg"
    assert body_of(*chunks).read(4) == b"ab\nc"
    assert list(body_of(*chunks)) == [b"ab\n", b"cdefg"]
