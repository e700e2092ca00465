"""Spans of the accept path, where traces are on; only then is OpenTelemetry imported."""

from flask import Flask

from receiver.observability.tracing import are_on
from receiver.reception.accepting import Reception
from receiver.reception.intake import Intake


def receiver_parts(app: Flask) -> tuple[type[Intake], type[Reception]]:
    """What takes deliveries in: with spans, also for this application's requests, where traces are on."""
    if not are_on():
        return Intake, Reception
    from receiver.web.spans import TracedIntake, TracedReception, trace_requests  # noqa: PLC0415 - see above

    trace_requests(app)
    return TracedIntake, TracedReception
