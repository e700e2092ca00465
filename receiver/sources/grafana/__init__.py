"""Grafana's alerting, contact point "Webhook":
https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/

The body is Alertmanager's with more in it. Grafana signs it if the contact point has an HMAC secret;
otherwise it can present a token.
"""

import re
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from receiver.sources.alert_groups import AlertOptions, Sender, identifier, source_of
from receiver.sources.changes import present
from receiver.sources.payload import Payload
from receiver.sources.presented_tokens import presented_token_refusal, presented_token_verification
from receiver.sources.refusals import SECONDS, malformed_digest, missing
from receiver.sources.request import PATH_TOKEN, Headers, Secrets
from receiver.sources.signatures import TOLERANCE, SignedBody, Verification, matches_any

SECRET_VARIABLE: Final = "GRAFANA_WEBHOOK_SECRET"  # noqa: S105 - the variable's name, not its value
SOURCE_NAME: Final = "grafana"
SIGNATURE: Final = "x-grafana-alerting-signature"
"""Grafana's default."""
TIMESTAMP: Final = "x-grafana-alerting-timestamp"
"""What docs/senders/grafana.md says to enter. Grafana has no default, and without one signs only the body."""
HEX_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Options(AlertOptions):
    """`[grafana]` in apitraffic.toml."""


def verification(headers: Headers, secrets: Secrets, received_at: datetime) -> Verification | None:
    """A signature, or a token, which does not rescue a wrong signature.

    https://github.com/grafana/alerting/blob/main/receivers/webhook/v1/hmac.go
    """
    configured = secrets.get(SECRET_VARIABLE, ())
    if SIGNATURE not in headers:
        return presented_token_verification(headers, configured)
    if PATH_TOKEN in headers and not matches_any(headers[PATH_TOKEN], configured):
        return None
    signature = headers[SIGNATURE]
    if not HEX_SHA256.fullmatch(signature):
        return None
    prefix = b""
    if TIMESTAMP in headers:
        timestamp = headers[TIMESTAMP]
        if not SECONDS.fullmatch(timestamp):
            return None
        if abs(int(received_at.timestamp()) - int(timestamp)) > TOLERANCE:
            return None
        prefix = timestamp.encode() + b":"
    return SignedBody(configured, (signature,), lambda digest: digest.hex().encode(), prefix)


def explain_refusal(headers: Headers, _body_start: bytes) -> str:
    """Why `verify` may have refused this request."""
    if SIGNATURE in headers:
        problem = malformed_digest("X-Grafana-Alerting-Signature", "nothing else", headers[SIGNATURE])
        return problem or (
            f"X-Grafana-Alerting-Signature matches no secret in {SECRET_VARIABLE}, or it is over five "
            "minutes old, or its timestamp header is not X-Grafana-Alerting-Timestamp"
        )
    if not headers.get("authorization") and not headers.get(PATH_TOKEN):
        return missing(
            "X-Grafana-Alerting-Signature and Authorization are",
            SOURCE_NAME,
            headers,
            "set the contact point's HMAC secret or its authorization header",
        )
    return presented_token_refusal(headers, SOURCE_NAME, SECRET_VARIABLE, "")


def _key(group: Payload) -> str:
    return f"{SOURCE_NAME}:{identifier(group.identifier('orgId'))}:{identifier(group.text('receiver'))}"


def _url(group: Payload, alert: Payload) -> str | None:
    return alert.url("panelURL", "dashboardURL", "generatorURL") or group.url("externalURL")


def _facts(alert: Payload) -> dict[str, JsonValue]:
    return present(
        rule=alert.text("ruleUID"),
        dashboard_url=alert.url("dashboardURL"),
        panel_url=alert.url("panelURL"),
        silence_url=alert.url("silenceURL"),
        image_url=alert.url("imageURL"),
    )


GRAFANA: Final = source_of(
    Sender(SOURCE_NAME, _key, _url, _facts),
    title="Grafana",
    secret_variable=SECRET_VARIABLE,
    options=Options,
    verification=verification,
    explain_refusal=explain_refusal,
)
