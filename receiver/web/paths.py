"""The paths of sources, and the one that a person who set up a webhook meant."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from receiver.sources import SOURCES
from receiver.sources.source import Source

MOST_PARTS: Final = 10


def right_path(path: str, sources: Mapping[str, Source[Any]] = SOURCES) -> str | None:
    """`/webhooks/<source>` if the path names a source in another way; `None` if it names none, or is right.

    Without text from the path, as a token may be in it: `/webhooks//jenkins/secret` was meant to be
    `/webhooks/jenkins/<token>`.
    """
    parts = [part.strip() for part in path.split("/", MOST_PARTS)[:MOST_PARTS]]
    named = [(index, part.lower()) for index, part in enumerate(parts) if part.lower() in sources]
    if not named:
        return None
    index, name = named[0]
    right = f"/webhooks/{name}"
    has_token = sources[name].takes_token_in_path and any(parts[index + 1 :])
    is_right = path.startswith(right) and path.removeprefix(right).count("/") <= 1 and not path.endswith("/")
    if is_right and (has_token or path == right):
        return None
    return f"{right}/<token>" if has_token else right


def own_path(parts: Sequence[str]) -> tuple[str, str] | None:
    """The source whose own path this is (`Source.api_path`), and what follows it, which may be empty."""
    for name, source in SOURCES.items():
        if source.api_path is not None:
            own = source.api_path.strip("/").split("/")
            if [*parts[: len(own)]] == own and len(parts) - len(own) <= 1:
                return name, "".join(parts[len(own) :])
    return None
