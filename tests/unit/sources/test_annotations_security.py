"""Annotations are posted with a bearer token, as Grafana's API keys are, or Basic's password."""

import base64
from typing import ClassVar

from receiver.sources.annotations import ANNOTATIONS
from tests.support.source_security import AuthenticRequests


class TestABearerToken(AuthenticRequests):
    source = ANNOTATIONS
    variable = "ANNOTATIONS_TOKEN"
    header = "authorization"
    body: ClassVar[bytes] = b'{"text": "Sale begins"}'

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: f"Bearer {secret.decode()}"}


class TestBasicAuth(TestABearerToken):
    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: f"Basic {base64.b64encode(b':' + secret).decode()}"}
