"""Whether requests make spans. OpenTelemetry is only imported if traces are on."""

from flask import Flask

from receiver.observability.tracing import are_on


def trace_requests_if_on(app: Flask) -> None:
    if are_on():
        from receiver.web.spans import trace_requests  # noqa: PLC0415 - see above

        trace_requests(app)
