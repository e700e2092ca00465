import base64
import hashlib
import hmac
from typing import ClassVar

import pytest

from receiver.sources.pagerduty import PAGERDUTY
from tests.support.source_fixtures import body_of
from tests.support.source_security import OTHER_SECRET, SECRET, SignedRequests

ZEROS = "v1=" + "0" * 64


class TestPagerDutyRequests(SignedRequests):
    source = PAGERDUTY
    variable = "PAGERDUTY_WEBHOOK_SECRET"
    header = "x-pagerduty-signature"
    body: ClassVar[bytes] = b'{"event":{"event_type":"incident.triggered","data":{"id":"Q1"}}}'

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: "v1=" + hmac.new(secret, body, hashlib.sha256).hexdigest()}

    def signature(self, secret: bytes = SECRET) -> str:
        return self.sign(self.body, secret)[self.header]

    def passes(self, header: str, *secrets: bytes) -> bool:
        return self.verify({self.header: header}, None, *secrets)

    def test_the_vector_of_a_captured_ping_passes(self) -> None:
        secret = b"HvPtlQNKMPpHSSqJpCdndXfo7HnGXa1pnH6w5axpxLFn9aRBNBGh4e8/HlonK5mz"
        sent = (
            b'{"event":{"id":"01FKZOXA868SHYEE4DVNWB5P9W","event_type":"pagey.ping","resource_type":"pagey",'
            b'"occurred_at":"2025-04-07T03:00:55.532Z","agent":{"id":"PVE0ZR9","type":"user_reference"},'
            b'"client":null,"data":{"message":"Hello from your friend Pagey!","type":"ping"}}}'
        )
        right = "v1=0e83584cbab86f98c51517cf96a70c90e910532d3d2f067d58c753cc8980a05b"
        assert self.verify({self.header: right}, sent, secret)
        assert not self.verify({self.header: right[:-1] + "c"}, sent, secret)
        assert not self.verify({self.header: right}, sent + b" ", secret)

    def test_the_vector_of_our_own_passes(self) -> None:
        sent = b'{"event":{"id":"01EXAMPLE0000000000000000A","event_type":"pagey.ping"}}'
        right = "v1=ecec087887d4f9a6dec52a4a3ea6fafd7aa7701326dbcdb77043d6c9cc7cdb05"
        assert self.verify({self.header: right}, sent, b"test-secret")

    def test_a_secret_that_looks_like_base64_is_used_as_it_is_written(self) -> None:
        written = b"c2VjcmV0IG9mIHRoZSB3ZWJob29r"
        assert self.passes(self.signature(written), written)
        assert not self.passes(self.signature(b"secret of the webhook"), written)

    @pytest.mark.parametrize("separator", [",", ", ", " ,\t", ",,"])
    def test_one_right_signature_among_several_is_enough(self, separator: str) -> None:
        right = self.signature()
        assert self.passes(separator.join([ZEROS, right]))
        assert self.passes(separator.join([right, ZEROS]))
        assert self.passes(separator.join([ZEROS, "v2=x", right, ""]))

    def test_while_pagerduty_signs_with_both_secrets_either_passes(self) -> None:
        both = f"{self.signature(b'the new secret')},{self.signature(b'the old secret')}"
        assert self.passes(both, b"the new secret")
        assert self.passes(both, b"the old secret")
        assert self.passes(both, b"the old secret", b"the new secret")
        assert not self.passes(both, b"a third secret")

    def test_several_wrong_signatures_are_no_right_one(self) -> None:
        assert not self.passes(f"{ZEROS},{self.signature(OTHER_SECRET)},{ZEROS}")

    @pytest.mark.parametrize("version", ["v2=", "v0=", "v11=", "V1=", "1=", "", "sha256=", "v1:", "v1 ="])
    def test_a_right_digest_under_another_version_is_none(self, version: str) -> None:
        assert not self.passes(self.signature().replace("v1=", version))

    def test_signatures_of_other_versions_do_not_crowd_out_ours(self) -> None:
        assert self.passes(",".join([*(f"v2={n}" for n in range(50)), self.signature()]))

    def test_only_so_many_signatures_are_looked_at(self) -> None:
        assert self.passes(",".join([*[ZEROS] * 9, self.signature()]))
        assert not self.passes(",".join([*[ZEROS] * 10, self.signature()]))

    def test_a_signature_in_two_halves_is_none(self) -> None:
        right = self.signature()
        assert not self.passes(f"{right[:40]},v1={right[40:]}")
        assert not self.passes(f"{right[:40]},{right[40:]}")

    def test_the_signature_of_another_sender_is_none(self) -> None:
        digest = self.signature().removeprefix("v1=")
        assert not self.verify({"x-hub-signature-256": f"sha256={digest}"})
        assert not self.verify({"webhook-signature": f"v1,{digest}"})
        assert not self.passes(f"v1,{digest}")

    @pytest.mark.parametrize(
        ("headers", "body"),
        [
            ({}, b'{"messages":[{"event":"incident.trigger","log_entries":[]}]}'),
            ({}, b' {\n "messages" : [' + b" " * 5_000),
            ({"user-agent": "PagerDuty-Webhook/V2.0"}, b""),
            ({"x-pagerduty-signature": "", "user-agent": "PagerDuty-Webhook/V2.0"}, b"{}"),
        ],
    )
    def test_the_log_says_of_a_v2_webhook_that_it_is_one_and_what_to_do(
        self, headers: dict[str, str], body: bytes
    ) -> None:
        assert not self.verify(headers, body)
        assert self.explain(headers, body) == (
            "this looks like PagerDuty V2, which does not sign and is not accepted: "
            "add a V3 webhook (Integrations, Generic Webhooks (v3)) and delete this one"
        )

    def test_the_log_does_not_take_a_v3_webhook_for_a_v2_one(self) -> None:
        assert "V2" not in self.explain({}, b'{"event":{"data":{"messages":[]}}}')
        assert "V2" not in self.explain(self.sign(self.body, OTHER_SECRET))

    def test_the_log_says_that_a_secret_is_not_decoded(self) -> None:
        written = self.sign(self.body, b"secret of the webhook")
        assert "used as PagerDuty shows it, although it looks like base64" in self.explain(written)

    def test_the_log_says_that_a_digest_is_base64(self) -> None:
        digest = base64.b64encode(hmac.new(SECRET, self.body, hashlib.sha256).digest()).decode()
        assert self.explain({self.header: f"v1={digest}"}).endswith("this one is base64")
        assert "matches no" in self.explain({self.header: f"v1={digest},{ZEROS}"})

    def test_a_whole_incident_passes(self) -> None:
        body = body_of("pagerduty", "incident.triggered__hostile_text")
        assert self.verify(self.sign(body, SECRET), body)
