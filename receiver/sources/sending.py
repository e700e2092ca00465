"""How any source's sender makes requests, also one that is declared in apitraffic.toml."""

from typing import Any

from receiver.sources.signing import SENDERS, Sender
from receiver.sources.source import Source


def sender_of(source: Source[Any]) -> Sender:
    """How this source's sender makes requests."""
    return SENDERS.get(source.name) or declared_sender(source)


def declared_sender(source: Source[Any]) -> Sender:
    # Imported when it is needed, as with it comes JMESPath.
    from receiver.sources.declared import DeclaredSource  # noqa: PLC0415 - see above
    from receiver.sources.declared.signing import sender_like  # noqa: PLC0415

    if not isinstance(source, DeclaredSource) or source.sender is None:
        raise TypeError(f"nobody has said how {source.name} signs")
    return sender_like(source.sender)
