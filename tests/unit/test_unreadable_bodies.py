"""A body that cannot be read is answered 400, whatever WSGI server reads it."""

import io
from typing import Any

import pytest
from flask.testing import FlaskClient

from receiver.config.settings import Settings
from receiver.sources.request import MIB
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
    answer = client.post(
        "/webhooks/jenkins",
        headers={"Authorization": f"Bearer {'x' * 20}"},
        content_type="application/json",
        environ_overrides={"wsgi.input": body, **environ},
    )
    return answer.status_code, answer.get_json()["detail"]


@pytest.mark.parametrize("framing", [{"CONTENT_LENGTH": "20"}, {"wsgi.input_terminated": True}])
def test_a_body_that_breaks_off_is_answered_400(client: FlaskClient, framing: dict[str, object]) -> None:
    assert post(client, BrokenStream(10), **framing) == (400, "The body could not be read.")


def test_a_body_over_the_limit_that_breaks_off_is_answered_413(client: FlaskClient) -> None:
    status, _ = post(client, BrokenStream(2 * MIB), **{"wsgi.input_terminated": True})
    assert status == 413
