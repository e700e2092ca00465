"""The Redis user of docs/deployment.md."""

import re
import shlex

from tests.support.programs import REPOSITORY

PASSWORD = "a-long-password"
"""As it is in the document."""
NOT_NEEDED = {"info", "client", "client|setinfo"}
"""What is tried without that right, whose refusal does no harm; the latter are redis-py's greeting."""


def rule() -> list[str]:
    """The words after ACL SETUSER in the document."""
    text = (REPOSITORY / "docs/deployment.md").read_text(encoding="utf-8")
    (written,) = re.findall(r"\$ redis-cli (ACL SETUSER (?:.*\\\n)*.*)\n", text)
    return shlex.split(written.replace("\\\n", " "))[2:]
