"""A span for each webhook request.

Its attributes are those of OpenTelemetry's conventions for HTTP, and `apitraffic.…`. None is text from a
request that is not authentic, and none holds a token: Jenkins may have one in the path.
https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from http import HTTPStatus
from typing import Final

from flask import Flask, Response, current_app, g, request
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from structlog.contextvars import bind_contextvars

from receiver.events import Delivery
from receiver.observability.spans import log_names_of, span_context_in, text, tracer
from receiver.observability.trace_context import TRACEPARENT
from receiver.reception.ingestion import Outcome

WEBHOOKS: Final = "webhooks"
"""The blueprint's name."""
REDACTED: Final = "REDACTED"


def trace_requests(app: Flask) -> None:
    """A span for each request to a webhook's address, started before the request is read or verified.

    It is the root of its trace even if the request has a traceparent, which would let anybody who can reach
    the receiver decide what is sampled and write into other people's traces.
    """
    spans = tracer()

    @app.before_request
    def begin() -> None:
        if request.blueprint != WEBHOOKS or request.url_rule is None:
            return
        route = request.url_rule.rule
        attributes = {
            "http.request.method": request.method,
            "http.route": route,
            "url.path": _path_without_token(),
            "url.scheme": request.scheme,
            "apitraffic.request_id": g.request_id,
        }
        span = spans.start_span(f"{request.method} {route}", kind=SpanKind.SERVER, attributes=attributes)
        g.span, g.span_is_current = span, trace.use_span(span, record_exception=False)
        g.span_is_current.__enter__()
        bind_contextvars(**log_names_of(span))

    @app.after_request
    def answered(response: Response) -> Response:
        if "span" in g:
            if "delivery" in g:
                _describe_delivery(g.span, g.delivery, g.get("outcome"))
            _describe_status(g.span, response.status_code)
        return response

    @app.teardown_request
    def end(_error: BaseException | None) -> None:
        if "span" in g:
            g.span_is_current.__exit__(None, None, None)
            g.span.end()


def _path_without_token() -> str:
    """Without text from the request: a token may be in the path, also in place of the source."""
    arguments = request.view_args or {}
    source_name = arguments.get("source_name")
    path = f"/webhooks/{source_name if source_name in current_app.extensions['sources'] else REDACTED}"
    return f"{path}/{REDACTED}" if "path_token" in arguments else path


def _describe_delivery(span: Span, delivery: Delivery, outcome: Outcome | None) -> None:
    """Which delivery this is; and its outcome, unless storing it failed."""
    span.set_attributes(
        {
            "apitraffic.source": delivery.source,
            "apitraffic.delivery.id": text(delivery.id),
            "apitraffic.delivery.event": text(delivery.event),
        }
    )
    # The sender is known by now, so its trace is linked; the link decides nothing about ours.
    if (sender := span_context_in(delivery.headers.get(TRACEPARENT))) is not None:
        span.add_link(sender)
    if outcome is not None:
        span.set_attribute("apitraffic.outcome", outcome.body["status"])
        if outcome.keys:
            span.set_attribute("apitraffic.marker.keys", outcome.keys)


def _describe_status(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.set_attribute("error.type", str(status))
        span.set_status(Status(StatusCode.ERROR))
