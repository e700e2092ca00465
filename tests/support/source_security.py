"""What every source must refuse and what it must let in; its tests inherit this and say how it signs."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from receiver.sources.source import LONGEST_REFUSAL, Source, explain_refusal

SECRET = b"the secret that is configured"
OTHER_SECRET = b"the secret of somebody else"
RECEIVED_AT = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)


class AuthenticRequests:
    """Rules for every sender. A subclass is named `Test…` and sets what is below."""

    source: ClassVar[Source[Any]]
    variable: ClassVar[str]
    """The configuration variable whose secrets are tried."""
    header: ClassVar[str]
    """The header, in lower case, that proves where a request comes from."""
    body: ClassVar[bytes]

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        """The headers of a request as the sender makes it, computed without the receiver's own functions."""
        raise NotImplementedError

    def verify(self, headers: dict[str, str], body: bytes | None = None, *secrets: bytes) -> bool:
        configured = {self.variable: secrets or (SECRET,)}
        return self.source.verify(headers, self.body if body is None else body, configured, RECEIVED_AT)

    def forged(self, change: Callable[[str], str]) -> dict[str, str]:
        headers = self.sign(self.body, SECRET)
        return headers | {self.header: change(headers[self.header])}

    def test_a_genuine_request_passes(self) -> None:
        assert self.verify(self.sign(self.body, SECRET)) is True

    def test_a_genuine_request_without_a_body_passes(self) -> None:
        assert self.verify(self.sign(b"", SECRET), b"") is True

    def test_without_the_header_it_fails(self) -> None:
        headers = self.sign(self.body, SECRET)
        del headers[self.header]
        assert self.verify(headers) is False

    def test_without_any_header_it_fails(self) -> None:
        assert self.verify({}) is False

    @pytest.mark.parametrize("value", ["", " ", "=", ",", "null", "None", "undefined", "0", "true"])
    def test_an_empty_or_meaningless_header_fails(self, value: str) -> None:
        assert self.verify(self.forged(lambda _: value)) is False

    @pytest.mark.parametrize("value", ["é", "ünïcödé" * 20, "\xff\xfe", "日本", "\udcff", "\x00", "🔑"])
    def test_a_header_outside_ascii_fails_and_does_not_raise(self, value: str) -> None:
        assert self.verify(self.forged(lambda _: value)) is False
        assert self.verify(self.forged(lambda given: given + value)) is False

    def test_a_truncated_header_fails_wherever_it_is_cut(self) -> None:
        whole = self.sign(self.body, SECRET)[self.header]
        for length in range(len(whole)):
            assert self.verify(self.forged(lambda given, length=length: given[:length])) is False  # type: ignore[misc]

    def test_one_changed_character_fails_wherever_it_is(self) -> None:
        whole = self.sign(self.body, SECRET)[self.header]
        for index, character in enumerate(whole):
            other = "0" if character != "0" else "1"
            changed = whole[:index] + other + whole[index + 1 :]
            assert self.verify(self.forged(lambda _, changed=changed: changed)) is False  # type: ignore[misc]

    def test_more_than_the_proof_fails(self) -> None:
        assert self.verify(self.forged(lambda given: given + "0")) is False
        assert self.verify(self.forged(lambda given: given * 2)) is False

    def test_the_proof_in_upper_case_fails(self) -> None:
        assert self.verify(self.forged(str.upper)) is False

    def test_another_secret_fails(self) -> None:
        assert self.verify(self.sign(self.body, OTHER_SECRET)) is False

    def test_an_empty_secret_is_not_a_way_in(self) -> None:
        assert self.verify(self.sign(self.body, b"")) is False

    @pytest.mark.parametrize("used", [b"the old secret", b"the new secret"])
    def test_while_a_secret_is_rotated_both_pass(self, used: bytes) -> None:
        assert self.verify(self.sign(self.body, used), None, b"the new secret", b"the old secret") is True

    def test_while_a_secret_is_rotated_a_third_fails(self) -> None:
        assert self.verify(self.sign(self.body, SECRET), None, b"the new secret", b"the old secret") is False

    @pytest.mark.parametrize("secret", [SECRET, b""])
    def test_without_a_configured_secret_nothing_passes(self, secret: bytes) -> None:
        headers = self.sign(self.body, secret)
        assert self.source.verify(headers, self.body, {}, RECEIVED_AT) is False
        assert self.source.verify(headers, self.body, {self.variable: ()}, RECEIVED_AT) is False
        assert self.source.verify({}, self.body, {self.variable: ()}, RECEIVED_AT) is False

    def test_the_secret_of_another_variable_does_not_count(self) -> None:
        headers = self.sign(self.body, SECRET)
        assert self.source.verify(headers, self.body, {"SOME_OTHER_SECRET": (SECRET,)}, RECEIVED_AT) is False

    def explain(self, headers: dict[str, str], body: bytes | None = None) -> str:
        """What the log says of a refused request."""
        reason = explain_refusal(self.source, headers, self.body if body is None else body)
        assert reason
        assert len(reason) <= LONGEST_REFUSAL
        assert "…" not in reason
        assert reason.isprintable()
        return reason

    def test_the_log_says_that_the_header_is_missing_and_what_to_do(self) -> None:
        headers = self.sign(self.body, SECRET)
        del headers[self.header]
        for sent in ({}, headers):
            assert " missing" in self.explain(sent)

    def test_the_log_says_that_no_secret_matches(self) -> None:
        reason = self.explain(self.sign(self.body, OTHER_SECRET))
        assert "matches no" in reason
        assert self.variable in reason
        assert " missing" not in reason.partition(";")[0]

    @pytest.mark.parametrize(
        ("header", "title"), [("x-github-event", "GitHub"), ("x-gitlab-event", "GitLab")]
    )
    def test_the_log_names_the_sender_whose_delivery_it_looks_like(self, header: str, title: str) -> None:
        reason = self.explain({header: "push"})
        is_own = self.source.title == title
        assert (f"this looks like a delivery from {title}" in reason) is not is_own

    @pytest.mark.parametrize(
        "value", ["", " ", "=", ",", "v1=", "sha256=", "Basic x", "é" * 9000, "\udcff\x00\n", "s3cret" * 40]
    )
    def test_the_log_shows_nothing_of_what_was_sent(self, value: str) -> None:
        headers = self.sign(self.body, OTHER_SECRET)
        for sent in (
            headers,
            headers | {self.header: value},
            {self.header: value},
            {**headers, "x-other": value},
        ):
            for body in (b"", self.body, b"s3cret\xff" * 5_000):
                reason = self.explain(sent, body)
                assert "s3cret" not in reason
                assert OTHER_SECRET.decode() not in reason
                for shown in sent.values():
                    assert len(shown) < 9 or shown not in reason

    def test_its_variable_turns_the_source_on(self) -> None:
        assert self.variable in self.source.secret_variables


class SignedRequests(AuthenticRequests):
    """Besides, for senders whose proof covers the body."""

    def test_one_changed_bit_of_the_body_fails_wherever_it_is(self) -> None:
        headers = self.sign(self.body, SECRET)
        for index in range(len(self.body)):
            changed = bytearray(self.body)
            changed[index] ^= 1
            assert self.verify(headers, bytes(changed)) is False

    @pytest.mark.parametrize(
        "change",
        [
            lambda body: b"",
            lambda body: body[:-1],
            lambda body: body + b"\n",
            lambda body: b" " + body,
            lambda body: body + body,
            lambda body: b"\xef\xbb\xbf" + body,
        ],
        ids=["emptied", "cut", "newline added", "blank added", "doubled", "byte order mark added"],
    )
    def test_another_body_fails(self, change: Callable[[bytes], bytes]) -> None:
        assert self.verify(self.sign(self.body, SECRET), change(self.body)) is False

    def test_the_log_says_that_the_header_is_malformed(self) -> None:
        for change in (lambda given: given[:-3], lambda given: given[5:], lambda _: "nonsense"):
            assert f"{self.header} is malformed" in self.explain(self.forged(change)).lower()

    def test_the_signature_covers_bytes_and_not_what_they_mean(self) -> None:
        junk = b"\xff\xfe\x00 not JSON, not UTF-8 \xed\xa0\x80"
        assert self.verify(self.sign(junk, SECRET), junk) is True
