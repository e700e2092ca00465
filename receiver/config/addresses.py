"""Which text is an http or https URL: in options, in variables and in apitraffic.toml.

Commands import this before they run, so it needs no pydantic.
"""

from urllib.parse import SplitResult, urlsplit


def http_address(text: str) -> SplitResult | None:
    """The parts of an http or https URL that names a host; `None` if the text is no such URL."""
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # from urlsplit or, for what is no port, from .port
        return None
    return parts if is_address else None
