"""Which texts become links."""

from receiver.sources.payload import WEB_URL


def links(text: object) -> str | None:
    """The text if it is a web address. Others (`javascript:…`) could run code when they are opened."""
    return text if isinstance(text, str) and WEB_URL.fullmatch(text) else None
