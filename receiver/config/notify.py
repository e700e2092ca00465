"""`[notify]` in apitraffic.toml: what people are told, and where it is posted."""

from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from receiver.config.addresses import http_address
from receiver.sources.signatures import SHORTEST_STANDARD_KEY, standard_key

SHORTEST_SECRET: Final = 16
STANDARD_PREFIX: Final = "whsec_"


class NoticeKind(StrEnum):
    """What people may be told of."""

    DEPLOY_FAILED = "deploy_failed"
    VERDICT_WORSE = "verdict_worse"
    PAUSED = "paused"
    """The API refuses the token or the account of a line; also that it accepts them again."""


def _check_url(url: SecretStr) -> SecretStr:
    """No message holds a character of it: anyone who has the address of a chat can post there."""
    text = url.get_secret_value()
    parts = http_address(text)
    if parts is None or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("is not an http or https URL")
    if parts.username or parts.password:
        raise ValueError("holds a user name or password; use an address that needs neither")
    return url


def _check_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if len(text) < SHORTEST_SECRET:
        raise ValueError(f"has fewer than {SHORTEST_SECRET} characters, so that it can be guessed")
    key = standard_key(text.encode("utf-8", "surrogateescape"))
    if text.startswith(STANDARD_PREFIX) and (key is None or len(key) < SHORTEST_STANDARD_KEY):
        raise ValueError(
            f"begins with {STANDARD_PREFIX}, and what follows is not base64 of at least "
            f"{SHORTEST_STANDARD_KEY} bytes"
        )
    return secret


NotifyUrl = Annotated[SecretStr, AfterValidator(_check_url)]
NotifySecret = Annotated[SecretStr, AfterValidator(_check_secret)]


class NotifySection(BaseModel):
    """`[notify]`: what people are told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: NotifyUrl | None = Field(default=None, examples=["https://chat.example.com/hooks/apitraffic"])
    """The address that notices are posted to. If it is a secret, as Slack's, set APITRAFFIC_NOTIFY_URL."""
    events: tuple[NoticeKind, ...] = tuple(NoticeKind)
    """What people are told of."""


def is_readable_on_the_way(url: SecretStr) -> bool:
    """Whether strangers may read what is posted: it leaves this machine and its network without TLS."""
    parts = urlsplit(url.get_secret_value())
    host = parts.hostname or ""
    if parts.scheme == "https":
        return False
    try:
        return not ip_address(host).is_private
    except ValueError:
        # A name without a dot is this machine's, or its network's.
        return "." in host
