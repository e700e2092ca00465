"""Gitea signs the body with HMAC-SHA-256, in hexadecimal without a prefix, and as GitHub does."""

from receiver.sources.gitea import GITEA
from tests.support.forge_security import ForgeSignature, GitHubsSignature


class TestASignature(ForgeSignature):
    source = GITEA
    variable = "GITEA_WEBHOOK_SECRET"
    header = "x-gitea-signature"


class TestTheSignatureOfGitHubsForm(GitHubsSignature):
    source = GITEA
    variable = "GITEA_WEBHOOK_SECRET"
