"""What a source is given of a request, besides its body: headers, secrets, and the id of the delivery."""

import hashlib
from collections.abc import Mapping
from typing import Final

Headers = Mapping[str, str]
"""Request headers with lower-case names."""

Secrets = Mapping[str, tuple[bytes, ...]]
"""Name of the configuration variable -> all secrets in it (several while one is being rotated)."""

MIB: Final = 1024 * 1024
LONGEST_DELIVERY_ID: Final = 200
PATH_TOKEN: Final = ":path-token"  # noqa: S105 - a header's name
"""The header that holds a token from the URL's path; no real header's name begins with a colon."""
PATH_ITEM: Final = ":path-item"
"""The header that holds what follows `Source.api_path` in the URL's path."""


def delivery_id(given: str | None, body: bytes) -> str:
    """The sender's own id, or a digest of the body if it sends none or an unusable one."""
    if given and len(given) <= LONGEST_DELIVERY_ID and given.isascii() and given.isprintable():
        return given
    return f"sha256-{hashlib.sha256(body).hexdigest()}"
