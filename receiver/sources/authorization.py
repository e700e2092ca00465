"""What an Authorization header presents, for senders that prove themselves with a token and no signature."""

import base64

from receiver.sources.request import Headers


def bearer_token(headers: Headers) -> str | None:
    """https://www.rfc-editor.org/rfc/rfc6750#section-2.1"""
    return _credentials(headers, "bearer")


def basic_password(headers: Headers) -> str | None:
    """The password alone; the user name proves nothing. https://www.rfc-editor.org/rfc/rfc7617#section-2"""
    try:
        decoded = base64.b64decode(_credentials(headers, "basic") or "", validate=True)
    except ValueError:
        return None
    return decoded.partition(b":")[2].decode("utf-8", "surrogateescape") or None


def _credentials(headers: Headers, wanted: str) -> str | None:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials or None if scheme.lower() == wanted else None
