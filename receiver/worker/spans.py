"""Spans of a worker: one for each attempt to deliver a change, and within it one for each call of the Events
API.

An attempt has a trace of its own that links to the span that queued the job, as the messaging conventions
recommend. It is not a child of that span: attempts go on for up to three days, longer than traces are kept
open.
https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/#consumer-spans
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from requests import PreparedRequest, RequestException, Response
from requests.adapters import HTTPAdapter
from structlog.contextvars import bound_contextvars

from apitraffic_events.transport import OneServerAdapter
from receiver.events import Change
from receiver.observability.spans import log_names_of, span_context_in, text, tracer

FAILED: Final = frozenset({"given_up", "failed"})
"""Outcomes for which the span of an attempt is marked as an error."""


class SpanPerAttempt:
    @contextmanager
    def recording(self, job_id: str, queue: str, traceparent: object) -> Iterator[None]:
        queued_by = span_context_in(traceparent)
        attributes = {
            "messaging.system": "rq",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": queue,
            "messaging.message.id": job_id,
        }
        with (
            tracer().start_as_current_span(
                f"process {queue}",
                kind=SpanKind.CONSUMER,
                attributes=attributes,
                links=[Link(queued_by)] if queued_by else [],
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
            bound_contextvars(**log_names_of(span)),
        ):
            yield

    def concerns(self, change: Change) -> None:
        trace.get_current_span().set_attributes(
            {
                "apitraffic.source": text(change.delivery.source),
                "apitraffic.delivery.id": text(change.delivery.id),
                "apitraffic.delivery.event": text(change.delivery.event),
                "apitraffic.marker.key": text(change.key),
                "apitraffic.effect": change.effect.value,
            }
        )

    def adapter(self) -> HTTPAdapter:
        return TracedAdapter()

    def ended(self, outcome: str, retry_because: str | None) -> None:
        span = trace.get_current_span()
        span.set_attribute("apitraffic.outcome", outcome)
        if retry_because is not None:
            span.set_attribute("apitraffic.retry.reason", retry_because)
        if outcome in FAILED:
            span.set_attribute("error.type", retry_because or outcome)
            span.set_status(Status(StatusCode.ERROR))


class TracedAdapter(OneServerAdapter):
    """Records each request that is sent, without its headers and its body."""

    def send(self, request: PreparedRequest, *arguments: Any, **options: Any) -> Response:
        parts = urlsplit(request.url or "")
        route = re.sub(r"/(accounts|events)/[^/]+", r"/\1/{sid}", parts.path)
        attributes: dict[str, str | int] = {
            "http.request.method": request.method or "",
            "url.full": request.url or "",
            "url.template": route,
            "server.address": parts.hostname or "",
            "server.port": parts.port or (443 if parts.scheme == "https" else 80),
        }
        with tracer().start_as_current_span(
            f"{request.method} {route}",
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                response = super().send(request, *arguments, **options)
            except RequestException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise
            span.set_attribute("http.response.status_code", response.status_code)
            if response.status_code >= HTTPStatus.BAD_REQUEST:
                span.set_attribute("error.type", str(response.status_code))
                span.set_status(Status(StatusCode.ERROR))
            return response
