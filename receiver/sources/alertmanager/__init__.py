"""Prometheus Alertmanager: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config

It does not sign. A token in the Authorization header or in the path is all that it can be told to send.
"""

from datetime import datetime
from functools import partial
from typing import Final

from pydantic import JsonValue

from receiver.events import Change, Delivery
from receiver.sources import alert_groups
from receiver.sources.alert_groups import (
    BODY_LIMIT,
    FEATURES,
    FIRING,
    RESOLVED,
    AlertOptions,
    Sender,
    identifier,
)
from receiver.sources.base import Headers, Payload, Secrets, Source
from receiver.sources.presented_tokens import presented_token_refusal, presented_token_verification
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


SENDER: Final = Sender(SOURCE_NAME, _key, _url, _facts)


def translate(delivery: Delivery, options: Options) -> tuple[Change, ...]:
    return alert_groups.translate(SENDER, delivery, options)


ALERTMANAGER: Final = Source(
    name=SOURCE_NAME,
    title="Alertmanager",
    secret_variables=(SECRET_VARIABLE,),
    body_limit=BODY_LIMIT,
    content_types=frozenset({"application/json"}),
    options=Options,
    default_events=(FIRING, RESOLVED),
    features=FEATURES,
    explain_refusal=explain_refusal,
    verification=verification,
    receive=partial(alert_groups.receive, SOURCE_NAME),
    translate=translate,
    takes_token_in_path=True,
)
