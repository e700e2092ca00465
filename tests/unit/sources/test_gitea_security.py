"""Gitea signs the body with HMAC-SHA-256, in hexadecimal without a prefix."""

import hashlib
import hmac
from typing import ClassVar

from receiver.sources.base import explain_refusal
from receiver.sources.gitea import GITEA
from tests.support.source_security import OTHER_SECRET, RECEIVED_AT, SECRET, SignedRequests

VARIABLE = "GITEA_WEBHOOK_SECRET"
BODY = b'{"action": "published"}'


def digest(body: bytes, secret: bytes) -> str:
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


class TestASignature(SignedRequests):
    source = GITEA
    variable = VARIABLE
    header = "x-gitea-signature"
    body: ClassVar[bytes] = BODY

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: digest(body, secret)}


class TestTheSignatureOfGitHubsForm(TestASignature):
    header = "x-hub-signature-256"

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: f"sha256={digest(body, secret)}"}


def test_a_right_signature_in_another_header_does_not_rescue_a_wrong_one() -> None:
    headers = {
        "x-gitea-signature": digest(BODY, OTHER_SECRET),
        "x-hub-signature-256": f"sha256={digest(BODY, SECRET)}",
    }
    assert not GITEA.verify(headers, BODY, {VARIABLE: (SECRET,)}, RECEIVED_AT)


def test_the_log_says_that_a_form_is_not_signed() -> None:
    headers = {
        "x-gitea-signature": digest(b"{}", SECRET),
        "content-type": "application/x-www-form-urlencoded",
    }
    reason = explain_refusal(GITEA, headers, b"payload=%7B%7D")
    assert reason is not None
    assert "choose application/json" in reason
