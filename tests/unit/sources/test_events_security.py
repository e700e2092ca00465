"""The native endpoint takes a signature per Standard Webhooks or a bearer token."""

import base64
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest

from receiver.sources.native import NATIVE
from receiver.sources.request import PATH_TOKEN
from receiver.sources.source import explain_refusal
from tests.support.native import MESSAGE_ID, signed
from tests.support.source_security import (
    OTHER_SECRET,
    RECEIVED_AT,
    SECRET,
    AuthenticRequests,
    SignedRequests,
)

VARIABLE = "EVENTS_WEBHOOK_SECRET"
BODY = b'{"type":"custom","name":"Sale begins"}'
KEY = bytes(range(190, 256))
DROPPED = base64.urlsafe_b64encode(KEY).rstrip(b"=").replace(b"-", b"").replace(b"_", b"")
BEARER = {"authorization": f"Bearer {SECRET.decode()}"}


def passes(
    headers: dict[str, str], body: bytes = BODY, *secrets: bytes, received_at: datetime = RECEIVED_AT
) -> bool:
    return NATIVE.verify(headers, body, {VARIABLE: secrets or (SECRET,)}, received_at)


class TestSignedEvents(SignedRequests):
    source = NATIVE
    variable = VARIABLE
    header = "webhook-signature"
    body: ClassVar[bytes] = BODY

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return signed(body, secret, at=RECEIVED_AT)


class TestEventsWithABearerToken(AuthenticRequests):
    source = NATIVE
    variable = VARIABLE
    header = "authorization"
    body: ClassVar[bytes] = BODY

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: f"Bearer {secret.decode()}"}


def test_the_vectors_of_standard_webhooks_pass() -> None:
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    body, at = b'{"test": 2432232314}', datetime.fromtimestamp(1614265330, tz=UTC)
    for secret in (b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"):
        assert passes(headers, body, secret, received_at=at)
    assert not passes(headers, body, SECRET, received_at=at)
    assert not passes(headers, body.replace(b" ", b""), b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", received_at=at)


def test_the_vector_of_the_sheet_passes() -> None:
    headers = {
        "webhook-id": "msg_test",
        "webhook-timestamp": "1700000000",
        "webhook-signature": "v1,iINKx0MY8bYZerImh4BloDgACZoRsnZYgg2zNtzN604=",
    }
    secret, at = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", datetime.fromtimestamp(1700000000, tz=UTC)
    assert passes(headers, b'{"hello":"world"}', secret, received_at=at)


@pytest.mark.parametrize(
    ("seconds", "is_in_time"),
    [(0, True), (299, True), (-299, True), (301, False), (-301, False), (10**8, False)],
)
def test_a_signature_holds_for_five_minutes(seconds: int, is_in_time: bool) -> None:
    headers = signed(BODY, SECRET, at=RECEIVED_AT - timedelta(seconds=seconds))
    assert passes(headers) is is_in_time


@pytest.mark.parametrize(
    "value", ["", "0", "-1", "now", "1e9", "1768046400.5", " 1768046400", "\uff19", "9" * 400]
)
def test_an_odd_time_stamp_fails(value: str) -> None:
    assert not passes(signed(BODY, SECRET, at=RECEIVED_AT) | {"webhook-timestamp": value})


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp"])
def test_what_is_signed_may_be_neither_missing_nor_another(name: str) -> None:
    headers = signed(BODY, SECRET, at=RECEIVED_AT)
    assert not passes({key: value for key, value in headers.items() if key != name})
    assert not passes(headers | {name: headers[name] + "0"})


def test_one_of_several_signatures_is_enough() -> None:
    headers = signed(BODY, SECRET, at=RECEIVED_AT)
    right, wrong = headers["webhook-signature"], signed(BODY, OTHER_SECRET)["webhook-signature"]
    for value in (f"{wrong} {right}", f"{right} {wrong}", f"v1a,abc {right}", f"nonsense {right}"):
        assert passes(headers | {"webhook-signature": value})
    assert not passes(headers | {"webhook-signature": f"{wrong} {wrong}"})
    assert not passes(headers | {"webhook-signature": right.replace("v1,", "v2,")})


def test_the_key_is_what_a_marked_secret_decodes_to() -> None:
    secret = b"whsec_" + base64.b64encode(b"twenty-four bytes or more")
    assert passes(signed(BODY, b"twenty-four bytes or more"), BODY, secret)
    assert not passes(signed(BODY, secret), BODY, secret)
    assert passes({"authorization": f"Bearer {secret.decode()}"}, BODY, secret)


@pytest.mark.parametrize("value", ["", "v1,", "v1,AAAA", "nonsense"])
def test_a_right_bearer_token_does_not_rescue_a_wrong_signature(value: str) -> None:
    assert passes(BEARER)
    assert not passes(signed(BODY, SECRET) | BEARER | {"webhook-signature": value})
    assert not passes(BEARER | {"webhook-signature": value})


def test_a_signature_that_is_too_old_is_not_rescued_either() -> None:
    old = signed(BODY, SECRET, at=RECEIVED_AT - timedelta(hours=1))
    assert not passes(old | BEARER)


def test_a_right_signature_needs_no_bearer_token() -> None:
    assert passes(signed(BODY, SECRET) | {"authorization": "Bearer something else"})


@pytest.mark.parametrize("scheme", ["Basic", "Token", "Digest"])
def test_the_log_says_what_the_header_should_be(scheme: str) -> None:
    reason = explain_refusal(NATIVE, {"authorization": f"{scheme} {SECRET.decode()}"}, BODY)
    assert reason == (
        "Authorization is malformed: it should be Bearer and the token, or Basic with it as the password"
    )


@pytest.mark.parametrize("scheme", ["Basic", "Token", "Digest", ""])
def test_another_scheme_proves_nothing(scheme: str) -> None:
    assert not passes({"authorization": f"{scheme} {SECRET.decode()}"})


class TestEventsWithAPassword(AuthenticRequests):
    source = NATIVE
    variable = VARIABLE
    header = "authorization"
    body: ClassVar[bytes] = BODY

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: f"Basic {base64.b64encode(b':' + secret).decode()}"}


def test_the_user_of_a_password_proves_nothing() -> None:
    for user in (b"", b"anybody", b"\xff"):
        given = base64.b64encode(user + b":" + SECRET).decode()
        assert passes({"authorization": f"Basic {given}"})


class TestEventsWithATokenInThePath(AuthenticRequests):
    source = NATIVE
    variable = VARIABLE
    header = PATH_TOKEN
    body: ClassVar[bytes] = BODY

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: secret.decode()}


class TestEventsSignedBySvix(SignedRequests):
    source = NATIVE
    variable = VARIABLE
    header = "svix-signature"
    body: ClassVar[bytes] = BODY

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return of_svix(signed(body, secret, at=RECEIVED_AT))


def of_svix(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("webhook-", "svix-"): value for name, value in headers.items()}


def test_a_delivery_of_svix_has_its_id() -> None:
    assert NATIVE.receive(of_svix(signed(BODY, SECRET)), BODY, RECEIVED_AT).id == MESSAGE_ID


def test_a_right_signature_does_not_rescue_a_wrong_token_in_the_path() -> None:
    headers = signed(BODY, SECRET, at=RECEIVED_AT)
    assert passes(headers | {PATH_TOKEN: SECRET.decode()})
    assert not passes(headers | {PATH_TOKEN: OTHER_SECRET.decode()})


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        (b"whsec_" + base64.b64encode(KEY).rstrip(b"="), KEY),
        (b"whsec_" + base64.urlsafe_b64encode(KEY), KEY),
        (b"whsec_" + base64.urlsafe_b64encode(KEY).rstrip(b"="), KEY),
        # The Python library, standardwebhooks 1.1.0, drops the characters - and _.
        (b"whsec_" + base64.urlsafe_b64encode(KEY), base64.b64decode(DROPPED + b"=" * (-len(DROPPED) % 4))),
    ],
    ids=["unpadded", "URL-safe", "URL-safe and unpadded", "URL-safe, as the Python library reads it"],
)
def test_a_secret_means_what_the_reference_libraries_make_of_it(secret: bytes, key: bytes) -> None:
    assert passes(signed(BODY, key, at=RECEIVED_AT), BODY, secret)


@pytest.mark.parametrize("milliseconds", [0, 999])
@pytest.mark.parametrize("seconds", [300, -300])
def test_a_signature_of_exactly_five_minutes_holds(seconds: int, milliseconds: int) -> None:
    headers = signed(BODY, SECRET, at=RECEIVED_AT - timedelta(seconds=seconds))
    assert passes(headers, received_at=RECEIVED_AT + timedelta(milliseconds=milliseconds))
