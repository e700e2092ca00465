"""Prometheus Alertmanager: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config

It does not sign. A token in the Authorization header or in the path is all that it can be told to send.
"""

from datetime import datetime
from typing import Final

from pydantic import JsonValue

from receiver.sources.alert_groups import AlertOptions, Sender, identifier, source_of
from receiver.sources.payload import Payload
from receiver.sources.presented_tokens import presented_token_refusal, presented_token_verification
from receiver.sources.request import Headers, Secrets
from receiver.sources.signatures import Verification

SECRET_VARIABLE: Final = "ALERTMANAGER_WEBHOOK_TOKEN"  # noqa: S105 - the variable's name, not its value
SOURCE_NAME: Final = "alertmanager"


class Options(AlertOptions):
    """`[alertmanager]` in apitraffic.toml."""


def verification(headers: Headers, secrets: Secrets, _received_at: datetime) -> Verification | None:
    return presented_token_verification(headers, secrets.get(SECRET_VARIABLE, ()))


def explain_refusal(headers: Headers, _body_start: bytes) -> str:
    """Why `verify` may have refused this request."""
    return presented_token_refusal(
        headers,
        SOURCE_NAME,
        SECRET_VARIABLE,
        "set http_config.authorization.credentials in the webhook_config",
    )


def _key(group: Payload) -> str:
    """Without a host: each Alertmanager of a pair has its own address."""
    return f"{SOURCE_NAME}:{identifier(group.text('receiver'))}"


def _url(group: Payload, alert: Payload) -> str | None:
    return alert.url("generatorURL") or group.url("externalURL")


def _facts(_alert: Payload) -> dict[str, JsonValue]:
    return {}


ALERTMANAGER: Final = source_of(
    Sender(SOURCE_NAME, _key, _url, _facts),
    title="Alertmanager",
    secret_variable=SECRET_VARIABLE,
    options=Options,
    verification=verification,
    explain_refusal=explain_refusal,
)
