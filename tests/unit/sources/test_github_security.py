import base64
import hashlib
import hmac
from typing import ClassVar

from receiver.sources.github import GITHUB
from tests.support.source_fixtures import body_of
from tests.support.source_security import SECRET, SignedRequests

PUBLISHED_SECRET = b"It's a Secret to Everybody"


class TestGitHubRequests(SignedRequests):
    source = GITHUB
    variable = "GITHUB_WEBHOOK_SECRET"
    header = "x-hub-signature-256"
    body: ClassVar[bytes] = b'{"action":"created","deployment_status":{"state":"success"}}'

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()}

    def test_the_vector_that_github_publishes_passes(self) -> None:
        signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        assert self.verify({self.header: signature}, b"Hello, World!", PUBLISHED_SECRET)

    def test_a_form_is_signed_as_it_is_sent_and_not_as_it_decodes(self) -> None:
        signature = "sha256=0eda7b9cfa817244b9500c4232ec4f3fb32de72dd9e98e861237e9ab97dc9414"
        sent = b"payload=%7B%22zen%22%3A%22hi%22%7D"
        assert self.verify({self.header: signature}, sent, PUBLISHED_SECRET)
        assert not self.verify({self.header: signature}, b'{"zen":"hi"}', PUBLISHED_SECRET)

    def test_the_old_sha1_signature_alone_is_none(self) -> None:
        sha1 = "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59"
        assert not self.verify({"x-hub-signature": sha1}, b"Hello, World!", PUBLISHED_SECRET)
        assert not self.verify({self.header: sha1}, b"Hello, World!", PUBLISHED_SECRET)

    def test_the_log_says_that_sha1_alone_is_not_accepted(self) -> None:
        reason = self.explain({"x-hub-signature": "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59"})
        assert "SHA-1, is not accepted" in reason
        assert "01dc10d0" not in reason

    def test_the_log_says_that_a_digest_is_base64(self) -> None:
        digest = base64.b64encode(hmac.new(SECRET, self.body, hashlib.sha256).digest()).decode()
        assert self.explain({self.header: f"sha256={digest}"}).endswith("this one is base64")

    def test_the_digest_without_its_prefix_is_none(self) -> None:
        assert not self.verify(self.forged(lambda given: given.removeprefix("sha256=")))
        assert not self.verify(self.forged(lambda given: given.replace("sha256", "sha512")))

    def test_a_real_delivery_passes(self) -> None:
        body = body_of("github", "deployment_status__octokit_02")
        assert self.verify(self.sign(body, SECRET), body)
