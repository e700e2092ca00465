"""Exporting spans with OpenTelemetry's SDK: in the background, bounded, and quiet where nobody takes them.

A span costs its request an entry in a queue in memory. A thread sends them every few seconds; where the
collector is away they are dropped, and that is said once.
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
"""Seconds that stopping may take longer than without traces."""
LONGEST_REASON: Final = 300
LONGEST_TEXT: Final = 300
"""Characters of what comes from outside."""


def tracer() -> Tracer:
    """May be asked for before `start_exporting`; spans count from then on."""
    return trace.get_tracer(DISTRIBUTION)


def start_exporting() -> None:
    resource = Resource.create({SERVICE_VERSION: version(DISTRIBUTION)})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: DISTRIBUTION}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OutageLoggingExporter(OTLPSpanExporter())))
    # It warns of each span that finds the queue full, which `OutageLoggingExporter` has said the cause of.
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
    """`None` where it is none; what comes from outside is not trusted to be one."""
    if not isinstance(traceparent, str):
        return None
    context = TraceContextTextMapPropagator().extract({TRACEPARENT: traceparent})
    found = trace.get_current_span(context).get_span_context()
    return found if found.is_valid else None


def text(value: object) -> str:
    """What comes from outside, bounded, and without what the wire format would refuse a whole batch for."""
    return one_line(str(value), LONGEST_TEXT)


def log_names_of(span: Span) -> dict[str, str]:
    """As OpenTelemetry names them in logs."""
    context = span.get_span_context()
    return {
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
    }


class FirstMessage(logging.Filter):
    """Keeps the first thing said since `words` was emptied, and lets nothing through."""

    words = ""

    def filter(self, record: logging.LogRecord) -> bool:
        self.words = self.words or record.getMessage()
        return False


class OutageLoggingExporter(SpanExporter):
    """Says when spans begin to be dropped and when they are taken again, and not with each attempt."""

    def __init__(self, exporter: OTLPSpanExporter) -> None:
        self._exporter = exporter
        self._said = FirstMessage()
        self._is_failing = False
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(self._said)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._said.words = ""
        result = self._exporter.export(spans)
        is_failing = result is not SpanExportResult.SUCCESS
        if is_failing != self._is_failing:
            self._is_failing = is_failing
            self._tell()
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # has no types here

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def _tell(self) -> None:
        log = get_logger("receiver.tracing")
        if not self._is_failing:
            log.info("spans are taken again")
            return
        log.warning(
            "spans are dropped: the collector does not take them",
            reason=one_line(self._said.words, LONGEST_REASON),
            advice="see that it is up and takes OTLP over HTTP where OTEL_EXPORTER_OTLP_ENDPOINT says; "
            "deliveries do not wait for it",
        )
