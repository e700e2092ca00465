"""What all senders' APIs for webhooks share: errors, the webhook that was found, and the answer to a ping."""

from dataclasses import dataclass


class SenderError(Exception):
    """A request to a sender's API failed. The message says why and what to do, and holds no secret."""


class SenderUnavailable(SenderError):
    """No response, or an unusable one. The request may have been carried out."""


class SenderRefused(SenderError):
    """The token is wrong or lacks a permission (401, 403)."""


class SenderNotFound(SenderError):
    """What was asked for does not exist, or the token may not see it (404)."""


class SenderRejected(SenderError):
    """The request was refused for another reason."""


@dataclass(frozen=True, slots=True)
class FoundWebhook:
    """The webhook that posts to our address. `differences` say what is not as it should be."""

    id: str
    has_secret: bool
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PingAnswer:
    """What the receiver answered to the sender's ping. `said` is the sender's word for it."""

    is_accepted: bool
    said: str
    is_refused: bool = False
    """Whether the receiver holds another secret than the sender (401)."""
