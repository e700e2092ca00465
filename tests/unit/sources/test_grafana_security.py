"""Grafana signs with the contact point's HMAC secret, or presents a token."""

import hashlib
import hmac
from datetime import timedelta
from typing import ClassVar

import pytest

from receiver.sources.grafana import GRAFANA
from receiver.sources.request import PATH_TOKEN
from tests.support.source_security import (
    OTHER_SECRET,
    RECEIVED_AT,
    SECRET,
    AuthenticRequests,
    SignedRequests,
)

VARIABLE = "GRAFANA_WEBHOOK_SECRET"
SIGNATURE = "x-grafana-alerting-signature"
TIMESTAMP = "x-grafana-alerting-timestamp"
BODY = b'{"status": "firing", "alerts": []}'


def digest(message: bytes, secret: bytes) -> str:
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


class TestASignature(SignedRequests):
    source = GRAFANA
    variable = VARIABLE
    header = SIGNATURE
    body: ClassVar[bytes] = BODY

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {SIGNATURE: digest(body, secret)}


class TestASignatureWithATimestamp(TestASignature):
    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        timestamp = str(int(RECEIVED_AT.timestamp()))
        return {SIGNATURE: digest(f"{timestamp}:".encode() + body, secret), TIMESTAMP: timestamp}


class TestABearerToken(AuthenticRequests):
    source = GRAFANA
    variable = VARIABLE
    header = "authorization"
    body: ClassVar[bytes] = BODY

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: f"Bearer {secret.decode()}"}


def test_the_vectors_of_the_sheet_pass() -> None:
    """HMAC-SHA-256 of `{"hello":"world"}` and `1700000000:{"hello":"world"}` with the key `test-secret`."""
    secrets = {VARIABLE: (b"test-secret",)}
    plain = {SIGNATURE: "84cc33df716ed0b0598f07437c94069ace3730358778a592bd6bbd1423d111f3"}
    assert GRAFANA.verify(plain, b'{"hello":"world"}', secrets, RECEIVED_AT)
    dated = {
        SIGNATURE: "54a8226842a126442ae9c402aaf22eefbb2c6b1a5267e663587f9b76ce9e255c",
        TIMESTAMP: "1700000000",
    }
    at = RECEIVED_AT.fromtimestamp(1700000000, tz=RECEIVED_AT.tzinfo)
    assert GRAFANA.verify(dated, b'{"hello":"world"}', secrets, at)
    assert GRAFANA.verify(dated, b'{"hello":"world"}', secrets, at + timedelta(seconds=300))
    assert not GRAFANA.verify(dated, b'{"hello":"world"}', secrets, at + timedelta(seconds=301))


@pytest.mark.parametrize("value", ["", "now", "-1", "1e9", "9" * 400])
def test_an_odd_timestamp_fails(value: str) -> None:
    headers = {SIGNATURE: digest(f"{value}:".encode() + BODY, SECRET), TIMESTAMP: value}
    assert not GRAFANA.verify(headers, BODY, {VARIABLE: (SECRET,)}, RECEIVED_AT)


def test_a_wrong_signature_or_token_in_the_path_is_not_rescued() -> None:
    right = {SIGNATURE: digest(BODY, SECRET)}
    bearer = {"authorization": f"Bearer {SECRET.decode()}"}
    for headers, passes in (
        (right, True),
        (right | {PATH_TOKEN: SECRET.decode()}, True),
        (right | {PATH_TOKEN: OTHER_SECRET.decode()}, False),
        (bearer | {SIGNATURE: digest(BODY, OTHER_SECRET)}, False),
        (bearer | {SIGNATURE: ""}, False),
    ):
        assert GRAFANA.verify(headers, BODY, {VARIABLE: (SECRET,)}, RECEIVED_AT) is passes
