"""What Redis replies, as Python values."""


def as_text(reply: bytes | str | None) -> str:
    """The reply as text; empty if there is none. Raises `UnicodeDecodeError` if it is not UTF-8."""
    return reply.decode() if isinstance(reply, bytes) else reply or ""
