"""Gitea's and Forgejo's signatures: HMAC-SHA-256 in hexadecimal, in a header of their own or as GitHub does.

A forge's tests inherit these and set `source`, `variable` and, for its own header, `header`.
"""

import hashlib
import hmac
from typing import ClassVar

from receiver.sources.source import explain_refusal
from tests.support.source_security import OTHER_SECRET, RECEIVED_AT, SECRET, SignedRequests

GITHUBS_HEADER = "x-hub-signature-256"


def digest(body: bytes, secret: bytes) -> str:
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


class ForgeSignature(SignedRequests):
    """In the forge's own header, without a prefix."""

    body: ClassVar[bytes] = b'{"action": "published"}'

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: digest(body, secret)}

    def test_a_right_signature_in_another_header_does_not_rescue_a_wrong_one(self) -> None:
        headers = {
            self.header: digest(self.body, OTHER_SECRET),
            GITHUBS_HEADER: f"sha256={digest(self.body, SECRET)}",
        }
        assert not self.source.verify(headers, self.body, {self.variable: (SECRET,)}, RECEIVED_AT)

    def test_the_log_says_that_a_form_is_not_signed(self) -> None:
        headers = {
            self.header: digest(b"{}", SECRET),
            "content-type": "application/x-www-form-urlencoded",
        }
        reason = explain_refusal(self.source, headers, b"payload=%7B%7D")
        assert reason is not None
        assert "choose application/json" in reason


class GitHubsSignature(SignedRequests):
    """As GitHub sends it."""

    header = GITHUBS_HEADER
    body: ClassVar[bytes] = ForgeSignature.body

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: f"sha256={digest(body, secret)}"}
