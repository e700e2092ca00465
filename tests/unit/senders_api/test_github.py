"""What is known of GitHub's API without asking it."""

from datetime import timedelta

import pytest

from receiver.senders_api.github_deliveries import Webhook, WebhookConfig, kept_for
from receiver.senders_api.github_owners import APP, organisation, repository


@pytest.mark.parametrize(
    ("api_url", "days"),
    [
        ("https://api.github.com", 3),
        ("https://api.acme.ghe.com", 3),
        ("https://github.acme.test/api/v3", 7),
        ("https://api.github.com.acme.test/api/v3", 7),
    ],
)
def test_how_long_deliveries_are_kept(api_url: str, days: int) -> None:
    assert kept_for(api_url) == timedelta(days=days)


def test_where_deliveries_are() -> None:
    assert repository("acme/shop").deliveries_path(7) == "/repos/acme/shop/hooks/7/deliveries"
    assert organisation("acme").deliveries_path(7) == "/orgs/acme/hooks/7/deliveries"
    assert APP.deliveries_path(None) == "/app/hook/deliveries"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://events.acme.test:8443/webhooks/github", "https://events.acme.test:8443/webhooks/github"),
        ("https://user:s3cret@acme.test/a?key=s3cret#s3cret", "https://acme.test/a"),
        ("https://[acme/s3cret", "(not a URL)"),
        ("https://acme.test/\x1b[31m", "https://acme.test/ [31m"),
    ],
)
def test_a_hook_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    hook = Webhook(id=7, config=WebhookConfig(url))
    assert hook.address == shown
    assert "s3cret" not in repr(hook)
