"""Events as scripts and the CI plugins post them."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any, Final

from receiver.events import Delivery
from receiver.sources.native import NATIVE

MESSAGE_ID: Final = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"
RECEIVED_AT: Final = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)


def received(content: Any, **headers: str) -> Delivery:
    """`content` is the body, or what is to be written into it as JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return NATIVE.receive({"webhook-id": MESSAGE_ID} | named, body, RECEIVED_AT)


def signed(
    body: bytes, key: bytes, *, at: datetime = RECEIVED_AT, message_id: str = MESSAGE_ID
) -> dict[str, str]:
    """https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""
    timestamp = str(int(at.timestamp()))
    message = b".".join([message_id.encode(), timestamp.encode(), body])
    digest = hmac.new(key, message, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }
