"""Alertmanager presents a token: http_config's authorization or basic_auth, or one at the end of the URL."""

import base64
from typing import ClassVar

from receiver.sources.alertmanager import ALERTMANAGER
from receiver.sources.request import PATH_TOKEN
from tests.support.source_security import OTHER_SECRET, RECEIVED_AT, SECRET, AuthenticRequests

VARIABLE = "ALERTMANAGER_WEBHOOK_TOKEN"
BEARER = {"authorization": f"Bearer {SECRET.decode()}"}


class TestABearerToken(AuthenticRequests):
    source = ALERTMANAGER
    variable = VARIABLE
    header = "authorization"
    body: ClassVar[bytes] = b"{}"

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: f"Bearer {secret.decode()}"}


class TestBasicAuth(TestABearerToken):
    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: f"Basic {base64.b64encode(b':' + secret).decode()}"}


class TestATokenInThePath(TestABearerToken):
    header = PATH_TOKEN

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: secret.decode()}


def test_all_that_is_presented_must_be_right() -> None:
    secrets = {VARIABLE: (SECRET,)}
    for token, passes in ((SECRET, True), (OTHER_SECRET, False)):
        headers = BEARER | {PATH_TOKEN: token.decode()}
        assert ALERTMANAGER.verify(headers, b"{}", secrets, RECEIVED_AT) is passes
