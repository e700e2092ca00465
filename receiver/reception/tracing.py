"""Whether storing a delivery makes spans. OpenTelemetry is only imported if traces are on."""

from receiver.observability.tracing import are_on
from receiver.reception.delivery_store import DeliveryStore


def delivery_store_type() -> type[DeliveryStore]:
    if not are_on():
        return DeliveryStore
    from receiver.reception.spans import TracedDeliveryStore  # noqa: PLC0415 - see above

    return TracedDeliveryStore
