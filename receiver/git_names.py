"""Names of Git's as CI systems write them: addresses of repositories, and branches. Pure."""

import re
from typing import Final

CREDENTIALS_IN_URL: Final = re.compile(r"^([a-z+]+://)[^/?#]*@")
REMOTE: Final = re.compile(r"^(refs/remotes/)?origin/")
REPOSITORY: Final = re.compile(
    r"(?:(?:https?|ssh|git)://[^/\s]+/|[^/@:\s]+@[^/:\s]+:)/?(?P<path>[^\s?#@…]+?)(?:\.git)?/?"
)
"""`https://host/acme/shop.git`, `ssh://git@host:7999/acme/shop.git`, `git@host:acme/shop.git`"""


def without_credentials(url: str) -> str:
    """Git URLs may hold a token before the host's name."""
    return CREDENTIALS_IN_URL.sub(r"\1", url)
