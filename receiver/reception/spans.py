"""A span for what one delivery puts into the queue.

Its attributes are those of OpenTelemetry's conventions for messaging, and `apitraffic.…`.
https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
"""

from collections.abc import Sequence

from opentelemetry.trace import SpanKind

from receiver.events import Change, is_urgent
from receiver.observability.spans import traceparent_of, tracer
from receiver.observability.trace_context import carrying
from receiver.queue.queues import queue_name_for
from receiver.reception.delivery_store import DeliveryStore


class TracedDeliveryStore(DeliveryStore):
    """A span around each delivery's changes. Its context goes with each job, also by way of the spool."""

    def store(self, changes: Sequence[Change]) -> bool:
        queue = queue_name_for(next(filter(is_urgent, changes), changes[0]))
        attributes: dict[str, str | int] = {
            "messaging.system": "rq",
            "messaging.operation.name": "enqueue",
            "messaging.operation.type": "send",
            "messaging.destination.name": queue,
            "messaging.batch.message_count": len(changes),
        }
        with (
            tracer().start_as_current_span(
                f"enqueue {queue}", kind=SpanKind.PRODUCER, attributes=attributes, record_exception=False
            ) as span,
            carrying(traceparent_of(span)),
        ):
            is_new = super().store(changes)
            span.set_attribute("apitraffic.is_duplicate", not is_new)
            return is_new
