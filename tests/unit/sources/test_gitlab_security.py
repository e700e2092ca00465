import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest

from receiver.sources.gitlab import GITLAB
from tests.support.source_fixtures import body_of
from tests.support.source_security import (
    OTHER_SECRET,
    RECEIVED_AT,
    SECRET,
    AuthenticRequests,
    SignedRequests,
)

BODY = b'{"object_kind":"deployment"}'
TOKEN = b"the token of the webhook"
WEBHOOK_ID = "f5e5f430-f57b-4e6e-9fac-d9128cd7232f"

VECTOR_TOKEN = b"whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q="
VECTOR = {
    "webhook-id": WEBHOOK_ID,
    "webhook-timestamp": "1744578123",
    "webhook-signature": "v1,fedZO2s0TO+ifpP2bB8hywugo2SrflsjgaOZMsymxFI=",
}
"""GitLab publishes none; this one agrees with PyPI's standardwebhooks 1.1.0."""
VECTOR_TIME = datetime.fromtimestamp(1744578123, tz=UTC)


def signed(body: bytes, secret: bytes, at: datetime = RECEIVED_AT) -> dict[str, str]:
    timestamp = str(int(at.timestamp()))
    message = f"{WEBHOOK_ID}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.new(secret, message, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": WEBHOOK_ID,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }


class TestGitLabRequestsWithAToken(AuthenticRequests):
    source = GITLAB
    variable = "GITLAB_WEBHOOK_TOKEN"
    header = "x-gitlab-token"
    body: ClassVar[bytes] = BODY

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: secret.decode()}

    def test_the_token_does_not_depend_on_the_body(self) -> None:
        assert self.verify(self.sign(b"", SECRET), body_of("gitlab", "deployment__production_success"))

    def test_the_token_as_a_bearer_is_none(self) -> None:
        assert not self.verify({"authorization": f"Bearer {SECRET.decode()}"})

    def test_the_log_says_that_a_signing_token_is_in_the_wrong_place(self) -> None:
        reason = self.explain({self.header: VECTOR_TOKEN.decode()})
        assert "looks like a signing token" in reason
        assert "GITLAB_SIGNING_TOKEN should hold it" in reason

    def test_the_log_says_when_a_token_gets_lost(self) -> None:
        assert "GitLab clears it when the URL changes" in self.explain({})


class TestSignedGitLabRequests(SignedRequests):
    source = GITLAB
    variable = "GITLAB_SIGNING_TOKEN"
    header = "webhook-signature"
    body: ClassVar[bytes] = BODY

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return signed(body, secret)

    @pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp"])
    @pytest.mark.parametrize("value", ["", "0", "1744578123", "null", "\xff", "é" * 50, "9" * 400])
    def test_what_is_signed_besides_the_body_counts(self, header: str, value: str) -> None:
        headers = self.sign(self.body, SECRET)
        assert not self.verify(headers | {header: value})
        del headers[header]
        assert not self.verify(headers)

    @pytest.mark.parametrize(("seconds", "passes"), [(-301, False), (-300, True), (300, True), (301, False)])
    def test_a_signature_is_good_for_five_minutes(self, seconds: int, passes: bool) -> None:
        at = RECEIVED_AT + timedelta(seconds=seconds)
        assert self.verify(signed(self.body, SECRET, at)) is passes

    def test_the_log_says_what_of_a_signature_is_missing(self) -> None:
        headers = self.sign(self.body, SECRET)
        for name in ("webhook-id", "webhook-timestamp"):
            assert f"{name} is missing" in self.explain(headers | {name: ""})
        assert "hexadecimal" in self.explain(headers | {self.header: "v1," + "0" * 64})

    def test_the_log_says_that_a_signature_counts_only_with_a_signing_token(self) -> None:
        headers = self.sign(self.body, SECRET)
        assert "or GITLAB_SIGNING_TOKEN is not set, and X-Gitlab-Token is missing" in self.explain(headers)
        with_token = self.explain(headers | {"x-gitlab-token": "another"})
        assert "X-Gitlab-Token matches no token in GITLAB_WEBHOOK_TOKEN" in with_token

    def test_one_of_several_signatures_is_enough(self) -> None:
        headers = self.sign(self.body, SECRET)
        other = self.sign(self.body, OTHER_SECRET)[self.header]
        assert self.verify(headers | {self.header: f"{other} {headers[self.header]}"})
        assert not self.verify(headers | {self.header: f"{other} v1a,x junk"})


class TestTheSheetsVector:
    def verify(self, **changes: str) -> bool:
        headers = VECTOR | {name.replace("_", "-"): value for name, value in changes.items()}
        return GITLAB.verify(headers, BODY, {"GITLAB_SIGNING_TOKEN": (VECTOR_TOKEN,)}, VECTOR_TIME)

    def test_it_passes(self) -> None:
        assert self.verify()

    def test_with_another_id_or_time_it_fails(self) -> None:
        assert not self.verify(webhook_id="f5e5f430-f57b-4e6e-9fac-d9128cd72320")
        assert not self.verify(webhook_timestamp="1744578124")

    def test_the_token_is_decoded_and_not_the_key_as_it_is_written(self) -> None:
        at = VECTOR_TIME
        assert not GITLAB.verify(
            signed(BODY, VECTOR_TOKEN, at), BODY, {"GITLAB_SIGNING_TOKEN": (VECTOR_TOKEN,)}, at
        )


BOTH = {"GITLAB_WEBHOOK_TOKEN": (TOKEN,), "GITLAB_SIGNING_TOKEN": (SECRET,)}
ONLY_TOKEN = {"GITLAB_WEBHOOK_TOKEN": (TOKEN,)}
ONLY_SIGNING = {"GITLAB_SIGNING_TOKEN": (SECRET,)}
GOOD, WRONG = signed(BODY, SECRET), signed(BODY, OTHER_SECRET)
WITH_TOKEN = {"x-gitlab-token": TOKEN.decode()}
WITH_OTHER_TOKEN = {"x-gitlab-token": OTHER_SECRET.decode()}
EMPTY = {"webhook-signature": ""}


@pytest.mark.parametrize(
    ("secrets", "headers", "passes"),
    [
        (BOTH, GOOD | WITH_TOKEN, True),
        (BOTH, GOOD, True),
        (BOTH, GOOD | WITH_OTHER_TOKEN, True),
        (BOTH, WITH_TOKEN, True),
        (BOTH, WRONG | WITH_TOKEN, False),
        (BOTH, EMPTY | WITH_TOKEN, False),
        (BOTH, WITH_OTHER_TOKEN, False),
        (ONLY_TOKEN, WITH_TOKEN, True),
        (ONLY_TOKEN, WRONG | WITH_TOKEN, True),
        (ONLY_TOKEN, GOOD, False),
        (ONLY_SIGNING, GOOD, True),
        (ONLY_SIGNING, WITH_TOKEN, False),
        (ONLY_SIGNING, {"x-gitlab-token": SECRET.decode()}, False),
        (ONLY_SIGNING, WRONG | WITH_TOKEN, False),
        ({"GITLAB_WEBHOOK_TOKEN": (TOKEN,), "GITLAB_SIGNING_TOKEN": ()}, WRONG | WITH_TOKEN, True),
        ({"GITLAB_WEBHOOK_TOKEN": (), "GITLAB_SIGNING_TOKEN": (SECRET,)}, WITH_TOKEN, False),
    ],
)
def test_a_signature_that_can_be_checked_decides_alone(
    secrets: dict[str, tuple[bytes, ...]], headers: dict[str, str], passes: bool
) -> None:
    assert GITLAB.verify(headers, BODY, secrets, RECEIVED_AT) is passes


def test_the_signature_of_another_sender_is_none() -> None:
    digest = hmac.new(SECRET, BODY, hashlib.sha256).hexdigest()
    for headers in ({"x-hub-signature-256": f"sha256={digest}"}, {"x-pagerduty-signature": f"v1={digest}"}):
        assert not GITLAB.verify(headers, BODY, BOTH, RECEIVED_AT)
        value = next(iter(headers.values()))
        assert not GITLAB.verify(GOOD | {"webhook-signature": value}, BODY, BOTH, RECEIVED_AT)
        assert not GITLAB.verify({"x-gitlab-token": value}, BODY, BOTH, RECEIVED_AT)
