"""A declared sender's requests as it makes them, for try-outs.

The signatures are computed here and not with the receiver's own functions, so that one does not merely agree
with itself.
"""

import base64
import hashlib
import hmac
import json
import time

from receiver.sources.declared.authentication import (
    Basic,
    Bearer,
    Hmac,
    Jws,
    OwnHeader,
    PathToken,
    Scheme,
    StandardWebhooks,
)
from receiver.sources.declared.declaration import Sender as Declaration
from receiver.sources.signing import Sender, events_request


def sender_like(declaration: Declaration) -> Sender:
    """By the first way in which it may prove itself."""
    scheme = declaration.authentication[0]

    def headers(secret: str, _event: str, body: bytes, delivery_id: str) -> dict[str, str]:
        return {"Content-Type": declaration.content_types[0]} | proof(scheme, secret, body, delivery_id)

    return Sender(declaration.secret_variable, headers, isinstance(scheme, PathToken))


def proof(scheme: Scheme, secret: str, body: bytes, delivery_id: str) -> dict[str, str]:
    """The headers that prove a request's origin."""
    found: dict[str, str] = {}
    match scheme:
        case Hmac():
            found = _hmac(scheme, secret, body, delivery_id)
        case StandardWebhooks():
            found = events_request(secret, "", body, delivery_id)
        case Jws():
            found[scheme.header] = _jws(scheme, secret, body)
        case Bearer():
            found["Authorization"] = f"Bearer {secret}"
        case Basic():
            found["Authorization"] = "Basic " + base64.b64encode(f"webhook:{secret}".encode()).decode()
        case OwnHeader():
            found[scheme.header] = scheme.prefix + secret
    return found


def _hmac(scheme: Hmac, secret: str, body: bytes, delivery_id: str) -> dict[str, str]:
    timestamp = str(int(time.time()))
    before = (
        scheme.signed.removesuffix("{body}").replace("{timestamp}", timestamp).replace("{id}", delivery_id)
    )
    digest = hmac.digest(secret.encode(), before.encode() + body, scheme.hash)
    text = digest.hex() if scheme.encoding == "hex" else base64.b64encode(digest).decode()
    presented = scheme.prefix + text
    headers = {}
    if scheme.signature_field is not None:
        presented = f"{scheme.signature_field}={presented}"
    if scheme.timestamp_field is not None:
        presented = f"{scheme.timestamp_field}={timestamp},{presented}"
    if scheme.timestamp_header is not None:
        headers[scheme.timestamp_header] = timestamp
    if scheme.id_header is not None:
        headers[scheme.id_header] = delivery_id
    return headers | {scheme.header: presented}


def _jws(scheme: Jws, secret: str, body: bytes) -> str:
    claims = {scheme.claim: hashlib.sha256(body).hexdigest()}
    signed = b".".join(_base64url(json.dumps(part).encode()) for part in ({"alg": "HS256"}, claims))
    return (signed + b"." + _base64url(hmac.digest(secret.encode(), signed, "sha256"))).decode()


def _base64url(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
