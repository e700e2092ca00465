"""Each scheme of `authentication` is held to the rules that every sender is held to."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from receiver.sources.declared import source_of
from receiver.sources.declared.declaration import Sender
from receiver.sources.declared.signing import sender_like
from receiver.sources.request import PATH_TOKEN
from tests.support.source_security import RECEIVED_AT, SECRET, AuthenticRequests, SignedRequests

MARKER = {"key": "{id}", "type": "custom", "effect": "point", "name": "Something"}
TIMESTAMP = str(int(RECEIVED_AT.timestamp()))


def source(authentication: Any) -> Any:
    return source_of(
        Sender.model_validate({"name": "mine", "authentication": authentication, "marker": [MARKER]})
    )


class Mine:
    variable = "MINE_WEBHOOK_SECRET"
    body = b'{"id": 1}'


class TestHmacInHex(Mine, SignedRequests):
    source = source({"scheme": "hmac", "header": "X-LD-Signature"})
    header = "x-ld-signature"

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: hmac.new(secret, body, "sha256").hexdigest()}


class TestHmacInBase64(Mine, SignedRequests):
    source = source({"scheme": "hmac", "header": "Heroku-Webhook-Hmac-SHA256", "encoding": "base64"})
    header = "heroku-webhook-hmac-sha256"

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: base64.b64encode(hmac.digest(secret, body, "sha256")).decode()}


FIELDS = {
    "scheme": "hmac",
    "header": "X-Buildkite-Signature",
    "signature_field": "signature",
    "timestamp_field": "timestamp",
    "signed": "{timestamp}.{body}",
}


class TestHmacWithTimeInTheHeader(Mine, SignedRequests):
    source = source(FIELDS)
    header = "x-buildkite-signature"

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        digest = hmac.new(secret, f"{TIMESTAMP}.".encode() + body, "sha256").hexdigest()
        return {self.header: f"timestamp={TIMESTAMP},signature={digest}"}


def base64url(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def jws(secret: bytes, claims: Any) -> str:
    signed = base64url(b'{"alg":"HS256"}') + b"." + base64url(json.dumps(claims).encode())
    return (signed + b"." + base64url(hmac.digest(secret, signed, "sha256"))).decode()


class TestJws(Mine, SignedRequests):
    source = source({"scheme": "jws", "header": "X-Webhook-Signature"})
    header = "x-webhook-signature"

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        claims = {"iss": "netlify", "sha256": hashlib.sha256(body).hexdigest()}
        return {self.header: jws(secret, claims)}

    @pytest.mark.parametrize("claims", [{}, [], None, {"sha256": None}, {"sha256": ""}, {"sha256": 1}])
    def test_a_signature_that_says_nothing_of_the_body_fails(self, claims: Any) -> None:
        assert self.verify({self.header: jws(SECRET, claims)}) is False

    def test_a_token_without_an_algorithm_fails(self) -> None:
        head, claims, _ = self.sign(self.body, SECRET)[self.header].split(".")
        for token in (f"{head}.{claims}.", f"{base64url(b'{}').decode()}.{claims}.", f"{claims}"):
            assert self.verify({self.header: token}) is False


class TestOwnHeader(Mine, AuthenticRequests):
    source = source({"scheme": "header", "header": "X-Token", "prefix": "key "})
    header = "x-token"

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: f"key {secret.decode()}"} if secret else {}

    def test_without_the_header_it_fails(self) -> None:
        assert self.verify({}) is False

    def test_an_empty_secret_is_not_a_way_in(self) -> None:
        assert self.verify({self.header: "key "}) is False


CASES = {
    "bearer": {"authorization": "Bearer {}"},
    "basic": {"authorization": "Basic {}"},
    "path": {PATH_TOKEN: "{}"},
}


@pytest.mark.parametrize("scheme", ["bearer", "basic", "path"])
@pytest.mark.parametrize(
    ("secret", "passes"), [(SECRET, True), (b"another secret", False), (SECRET[:-1], False), (b"", False)]
)
def test_a_token_has_to_be_the_secret(scheme: str, secret: bytes, passes: bool) -> None:
    shown = base64.b64encode(b"user:" + secret).decode() if scheme == "basic" else secret.decode()
    headers = {name: value.format(shown) for name, value in CASES[scheme].items()}
    one = source({"scheme": scheme})
    secrets = {"MINE_WEBHOOK_SECRET": (SECRET,)}
    assert one.verify(headers, b"{}", secrets, RECEIVED_AT) is passes
    assert one.verify(headers, b"{}", {}, RECEIVED_AT) is False
    assert one.takes_token_in_path is (scheme == "path")
    assert secret.decode() not in one.explain_refusal(headers, b"") or not secret


def test_of_several_ways_a_right_one_does_not_rescue_a_wrong_one() -> None:
    one = source([{"scheme": "hmac", "header": "x-sign"}, {"scheme": "bearer"}])
    secrets = {"MINE_WEBHOOK_SECRET": (SECRET,)}
    right = {"authorization": f"Bearer {SECRET.decode()}"}
    assert one.verify(right, b"{}", secrets, RECEIVED_AT) is True
    assert one.verify(right | {"x-sign": "0" * 64}, b"{}", secrets, RECEIVED_AT) is False


@pytest.mark.parametrize("prefix", ["webhook", "svix"])
@pytest.mark.parametrize(("late", "passes"), [(0, True), (300, True), (301, False), (-301, False)])
def test_standard_webhooks_come_under_both_names_within_five_minutes(
    prefix: str, late: int, passes: bool
) -> None:
    key = b"0123456789abcdef01234567"
    secret = b"whsec_" + base64.b64encode(key)
    sent_at = str(int(TIMESTAMP) - late)
    digest = hmac.digest(key, f"msg_1.{sent_at}.".encode() + b"{}", "sha256")
    headers = {
        f"{prefix}-id": "msg_1",
        f"{prefix}-timestamp": sent_at,
        f"{prefix}-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
    one = source({"scheme": "standard-webhooks"})
    assert one.verify(headers, b"{}", {"MINE_WEBHOOK_SECRET": (secret,)}, RECEIVED_AT) is passes
    assert one.has_standard_keys


def test_a_signed_time_may_be_five_minutes_old_and_no_more() -> None:
    one = source(FIELDS)
    for late, passes in ((300, True), (301, False), (-301, False)):
        sent_at = str(int(TIMESTAMP) - late)
        digest = hmac.new(SECRET, f"{sent_at}.".encode() + b"{}", "sha256").hexdigest()
        headers = {"x-buildkite-signature": f"timestamp={sent_at},signature={digest}"}
        assert one.verify(headers, b"{}", {"MINE_WEBHOOK_SECRET": (SECRET,)}, RECEIVED_AT) is passes


@pytest.mark.parametrize(
    ("secret", "body", "header", "value", "prefix"),
    [
        # https://circleci.com/docs/webhooks/#validate-webhooks
        (
            "secret",
            "hello world",
            "circleci-signature",
            "v1=734cc62f32841568f45715aeb9f4d7891324e6d948e4c6c60c0621cdac48623a,v2=0",
            "v1=",
        ),
        # https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/
        (
            "It's a Secret to Everybody",
            "Hello World!",
            "x-hub-signature",
            "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9",
            "sha256=",
        ),
    ],
)
def test_published_vectors_pass(secret: str, body: str, header: str, value: str, prefix: str) -> None:
    one = source({"scheme": "hmac", "header": header, "prefix": prefix})
    secrets = {"MINE_WEBHOOK_SECRET": (secret.encode(),)}
    assert one.verify({header: value}, body.encode(), secrets, RECEIVED_AT) is True
    assert one.verify({header: value}, body.encode() + b" ", secrets, RECEIVED_AT) is False


@pytest.mark.parametrize(
    "authentication",
    [
        FIELDS,
        {"scheme": "hmac", "header": "x-sign", "hash": "sha1"},
        {"scheme": "hmac", "header": "x-sign", "hash": "sha384", "encoding": "base64"},
        {"scheme": "hmac", "header": "x-sign", "hash": "sha512"},
        {"scheme": "hmac", "header": "x-sign", "encoding": "base64", "hash": "sha512", "prefix": "v1="},
        {
            "scheme": "hmac",
            "header": "x-sign",
            "timestamp_header": "x-time",
            "signed": "v0:{timestamp}:{body}",
        },
        {"scheme": "standard-webhooks"},
        {"scheme": "jws", "header": "x-sign"},
        {"scheme": "bearer"},
        {"scheme": "basic"},
        {"scheme": "header", "header": "x-token"},
    ],
    ids=lambda authentication: authentication["scheme"],
)
def test_what_send_makes_is_what_the_sender_is_believed_by(authentication: Any) -> None:
    one = source(authentication)
    sender = sender_like(one.sender)
    headers = sender.headers(SECRET.decode(), "", b"{}", "delivery-1")
    given = {name.lower(): value for name, value in headers.items()}
    secrets = {sender.secret_name: (SECRET,)}
    assert one.verify(given, b"{}", secrets, datetime.now(UTC)) is True
    if authentication["scheme"] not in {"bearer", "basic", "header"}:
        assert one.verify(given, b"{} ", secrets, datetime.now(UTC)) is False


def test_no_credential_is_kept_with_a_delivery() -> None:
    one = source([{"scheme": "header", "header": "x-key"}, {"scheme": "bearer"}])
    headers = {"x-key": "s3cret", "authorization": "Bearer s3cret", "x-event": "push"}
    assert one.receive(headers, b"{}", RECEIVED_AT).headers == {"x-event": "push"}
