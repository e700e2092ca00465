"""Spans of the accept path, where traces are on; only then is OpenTelemetry imported."""

from flask import Flask

from receiver.observability.tracing import are_on
from receiver.reception.delivery_store import DeliveryStore
from receiver.reception.ingestion import Ingestor


def receiver_parts(app: Flask) -> tuple[type[DeliveryStore], type[Ingestor]]:
    """What takes deliveries in: with spans, also for this application's requests, where traces are on."""
    if not are_on():
        return DeliveryStore, Ingestor
    from receiver.web.spans import TracedDeliveryStore, TracedIngestor, trace_requests  # noqa: PLC0415 - see above

    trace_requests(app)
    return TracedDeliveryStore, TracedIngestor
