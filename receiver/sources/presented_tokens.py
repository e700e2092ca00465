"""Proof by a token: as a bearer token, as the password of Basic, or at the end of the URL's path.

For senders that do not sign. All that is presented must be right: a right token in the path does not rescue a
wrong header.
"""

import base64
from collections.abc import Collection

from receiver.sources.refusals import missing
from receiver.sources.request import PATH_TOKEN, Headers
from receiver.sources.signatures import ProvenByHeaders, Verification, matches_any


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


def presented_token_verification(headers: Headers, expected: Collection[bytes]) -> Verification | None:
    """`None` if nothing is presented, or something that is not one of the expected tokens."""
    presented = []
    if "authorization" in headers:
        presented.append(bearer_token(headers) or basic_password(headers))
    if PATH_TOKEN in headers:
        presented.append(headers[PATH_TOKEN])
    matches = [matches_any(token, expected) for token in presented]
    return ProvenByHeaders() if matches and all(matches) else None


def presented_token_refusal(headers: Headers, source: str, variable: str, advice: str) -> str:
    """Why a request may have been refused; `advice` is for one that presents nothing."""
    header, in_path = headers.get("authorization"), headers.get(PATH_TOKEN)
    if not header and not in_path:
        return missing("Authorization and a token in the path are", source, headers, advice)
    if header is not None and bearer_token(headers) is None and basic_password(headers) is None:
        return (
            "Authorization is malformed: it should be Bearer and the token, or Basic with it as the password"
        )
    where = " and ".join(name for name, value in (("Authorization", header), ("the path", in_path)) if value)
    return f"the token in {where} matches no secret in {variable}"
