"""Export spans with OpenTelemetry's SDK: in the background, bounded, and quiet if the collector is down.

A span costs its request an entry in a queue in memory. A thread sends the queued spans every few seconds. If
the collector is unreachable they are dropped, which is logged once.
"""

import logging
import threading
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanContext, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog import get_logger

from apitraffic_events.text import one_line
from receiver.observability.trace_context import TRACEPARENT

DISTRIBUTION: Final = "apitraffic-events"
TIME_TO_FLUSH: Final = 2.0
"""Seconds by which traces may prolong stopping."""
LONGEST_REASON: Final = 300
LONGEST_TEXT: Final = 300
"""Characters of a text from outside."""


def tracer() -> Tracer:
    """May be called before `start_exporting`; spans are recorded from then on."""
    return trace.get_tracer(DISTRIBUTION)


def start_exporting() -> None:
    resource = Resource.create({SERVICE_VERSION: version(DISTRIBUTION)})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: DISTRIBUTION}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OutageLoggingExporter(OTLPSpanExporter())))
    # It warns for each span that finds the queue full; `OutageLoggingExporter` has logged the cause.
    logging.getLogger("opentelemetry.sdk").setLevel(logging.ERROR)
    trace.set_tracer_provider(provider)


def stop_exporting() -> None:
    """Send what is left. The SDK's own time-outs are longer than a service manager waits."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        flushing = threading.Thread(target=provider.shutdown, name="flush-spans", daemon=True)
        flushing.start()
        flushing.join(TIME_TO_FLUSH)


def traceparent_of(span: Span) -> str:
    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier, trace.set_span_in_context(span))
    return carrier.get(TRACEPARENT, "")


def span_context_in(traceparent: object) -> SpanContext | None:
    """`None` if it is not valid; it may come from outside."""
    if not isinstance(traceparent, str):
        return None
    context = TraceContextTextMapPropagator().extract({TRACEPARENT: traceparent})
    found = trace.get_current_span(context).get_span_context()
    return found if found.is_valid else None


def text(value: object) -> str:
    """Text from outside, bounded, without characters for which a collector would refuse the whole batch."""
    return one_line(str(value), LONGEST_TEXT)


def log_names_of(span: Span) -> dict[str, str]:
    """Fields for log lines, named as OpenTelemetry names them."""
    context = span.get_span_context()
    return {
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
    }


class FirstMessage(logging.Filter):
    """Keeps the first message since `text` was emptied, and lets no message through."""

    text = ""

    def filter(self, record: logging.LogRecord) -> bool:
        self.text = self.text or record.getMessage()
        return False


class OutageLoggingExporter(SpanExporter):
    """Logs when spans begin to be dropped and when they are taken again, but not each attempt."""

    def __init__(self, exporter: OTLPSpanExporter) -> None:
        self._exporter = exporter
        self._message = FirstMessage()
        self._is_failing = False
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(self._message)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._message.text = ""
        result = self._exporter.export(spans)
        is_failing = result is not SpanExportResult.SUCCESS
        if is_failing != self._is_failing:
            self._is_failing = is_failing
            self._log_outage()
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # has no types here

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def _log_outage(self) -> None:
        log = get_logger("receiver.tracing")
        if not self._is_failing:
            log.info("spans are taken again")
            return
        log.warning(
            "spans are dropped: the collector does not take them",
            reason=one_line(self._message.text, LONGEST_REASON),
            advice="see that it is up and takes OTLP over HTTP where OTEL_EXPORTER_OTLP_ENDPOINT says; "
            "deliveries do not wait for it",
        )
