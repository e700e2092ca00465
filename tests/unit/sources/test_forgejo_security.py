"""Forgejo signs the body with HMAC-SHA-256, in hexadecimal without a prefix, and as GitHub does."""

from receiver.sources.forgejo import FORGEJO
from tests.support.forge_security import ForgeSignature, GitHubsSignature


class TestASignature(ForgeSignature):
    source = FORGEJO
    variable = "FORGEJO_WEBHOOK_SECRET"
    header = "x-forgejo-signature"


class TestTheSignatureOfGitHubsForm(GitHubsSignature):
    source = FORGEJO
    variable = "FORGEJO_WEBHOOK_SECRET"
