"""Requests as the senders make them, for try-outs: pure functions from a body to the headers that go with it.

The signatures are computed here and not with the receiver's own functions, so that one does not merely agree
with itself.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

GITLAB_ADDRESSES: Final = (
    ("project", "web_url"),
    ("repository", "homepage"),
    ("object_attributes", "url"),
    ("group", "web_url"),
)
"""Where a GitLab payload names its own instance."""


@dataclass(frozen=True, slots=True)
class Sender:
    """How to make a sender's requests: `headers(secret, event, body, delivery_id)`, with the secret named."""

    secret_name: str
    headers: Callable[[str, str, bytes, str], dict[str, str]]
    has_token_in_path: bool = False
    """Whether the secret is the last part of the URL's path."""


def github_request(secret: str, event: str, body: bytes, delivery_id: str) -> dict[str, str]:
    """https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers"""
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/1a2b3c4",
        "X-GitHub-Delivery": delivery_id,
        "X-GitHub-Event": event,
        "X-GitHub-Hook-ID": "512034771",
        "X-GitHub-Hook-Installation-Target-ID": "481516234",
        "X-GitHub-Hook-Installation-Target-Type": "repository",
        "X-Hub-Signature-256": f"sha256={signature}",
    }


def gitlab_request(secret: str, event: str, body: bytes, delivery_id: str) -> dict[str, str]:
    """https://docs.gitlab.com/user/project/integrations/webhooks/#delivery-headers

    The instance is the one that the body's own addresses name, as it was when GitLab sent the body.
    """
    return {
        "Content-Type": "application/json",
        "Idempotency-Key": delivery_id,
        "User-Agent": "GitLab/18.4.0-ee",
        "X-Gitlab-Event": event,
        "X-Gitlab-Token": secret,
    } | _gitlab_instance(body)


def _gitlab_instance(body: bytes) -> dict[str, str]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    for place, name in GITLAB_ADDRESSES:
        found = content.get(place) if isinstance(content, dict) else None
        address = urlsplit(str(found.get(name) or "")) if isinstance(found, dict) else None
        if address and address.hostname:
            return {"X-Gitlab-Instance": f"{address.scheme}://{address.netloc.rpartition('@')[2]}"}
    return {}


def pagerduty_request(secret: str, _event: str, body: bytes, delivery_id: str) -> dict[str, str]:
    """https://developer.pagerduty.com/docs/webhooks-overview"""
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": "PagerDuty-Webhook/V3.0",
        "X-PagerDuty-Signature": f"v1={signature}",
        "X-Webhook-Id": delivery_id,
        "X-Webhook-Subscription": "PXSUIZH",
    }


def jenkins_request(secret: str, _event: str, _body: bytes, _delivery_id: str) -> dict[str, str]:
    """As the HTTP Request plugin would; the Notification plugin has the token in its URL instead."""
    return {"Authorization": f"Bearer {secret}", "Content-Type": "application/json;charset=UTF-8"}


def gitea_request(secret: str, event: str, body: bytes, delivery_id: str) -> dict[str, str]:
    """https://docs.gitea.com/usage/webhooks"""
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    own = {
        f"X-{brand}-{name}": value
        for brand in ("Gitea", "Gogs")
        for name, value in (("Delivery", delivery_id), ("Event", event), ("Signature", signature))
    }
    of_github = {"X-GitHub-Delivery": delivery_id, "X-GitHub-Event": event}
    hub = {"X-Hub-Signature-256": f"sha256={signature}"}
    return {"Content-Type": "application/json", "User-Agent": "Go-http-client/1.1"} | own | of_github | hub


def forgejo_request(secret: str, event: str, body: bytes, delivery_id: str) -> dict[str, str]:
    """https://forgejo.org/docs/latest/user/webhooks/"""
    headers = gitea_request(secret, event, body, delivery_id)
    own = {name.replace("X-Gitea", "X-Forgejo"): value for name, value in headers.items()}
    return headers | own


def alertmanager_request(secret: str, _event: str, _body: bytes, _delivery_id: str) -> dict[str, str]:
    """https://prometheus.io/docs/alerting/latest/configuration/#http_config"""
    return {
        "Authorization": f"Bearer {secret}",
        "Content-Type": "application/json",
        "User-Agent": "Alertmanager/0.25.0",
    }


def grafana_request(secret: str, _event: str, body: bytes, _delivery_id: str) -> dict[str, str]:
    """https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/"""
    timestamp = str(int(time.time()))
    signature = hmac.new(secret.encode(), f"{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "User-Agent": "Grafana",
        "X-Grafana-Alerting-Signature": signature,
        "X-Grafana-Alerting-Timestamp": timestamp,
    }


def annotations_request(secret: str, _event: str, _body: bytes, _delivery_id: str) -> dict[str, str]:
    """https://grafana.com/docs/grafana/latest/developers/http_api/annotations/"""
    return {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}


def events_request(secret: str, _event: str, body: bytes, delivery_id: str) -> dict[str, str]:
    """https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""
    timestamp = str(int(time.time()))
    key = secret.encode()
    if secret.startswith("whsec_"):
        encoded = secret.removeprefix("whsec_").rstrip("=").replace("-", "+").replace("_", "/")
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    message = f"{delivery_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": delivery_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }


SENDERS: Final = MappingProxyType(
    {
        "github": Sender("GITHUB_WEBHOOK_SECRET", github_request),
        "gitlab": Sender("GITLAB_WEBHOOK_TOKEN", gitlab_request),
        "jenkins": Sender("JENKINS_WEBHOOK_TOKEN", jenkins_request),
        "pagerduty": Sender("PAGERDUTY_WEBHOOK_SECRET", pagerduty_request),
        "gitea": Sender("GITEA_WEBHOOK_SECRET", gitea_request),
        "forgejo": Sender("FORGEJO_WEBHOOK_SECRET", forgejo_request),
        "alertmanager": Sender("ALERTMANAGER_WEBHOOK_TOKEN", alertmanager_request),
        "grafana": Sender("GRAFANA_WEBHOOK_SECRET", grafana_request),
        "annotations": Sender("ANNOTATIONS_TOKEN", annotations_request),
        "events": Sender("EVENTS_WEBHOOK_SECRET", events_request),
    }
)
"""Name under /webhooks/ -> how that sender makes requests."""
