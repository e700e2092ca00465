"""A client of the Events API for the configured account."""

from apitraffic_events.client import EventsClient
from apitraffic_events.connection import Pacer
from apitraffic_events.errors import ConfigurationError
from receiver.config.account_settings import AccountSettings
from receiver.observability.trace_context import adapter_of_calls


def events_client(settings: AccountSettings, pacer: Pacer | None = None) -> EventsClient:
    """A client for the configured account; raises `ConfigurationError` that says what is missing."""
    if settings.api_token is None or settings.account_sid is None:
        name = "APITRAFFIC_API_TOKEN" if settings.api_token is None else "APITRAFFIC_ACCOUNT_SID"
        raise ConfigurationError(
            f"{name} is not set; copy it from ApiTraffic's settings, "
            "or run `apitraffic-events up`, which brings a local Events API"
        )
    return EventsClient(
        api_url=settings.api_url,
        account_sid=settings.account_sid,
        token=settings.api_token.get_secret_value(),
        pacer=pacer,
        adapter=adapter_of_calls(),
    )
