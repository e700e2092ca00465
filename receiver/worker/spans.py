"""Spans of a worker: one for each try to deliver a change, and within it one for each call of the Events API.

A try has a trace of its own that links to the span that queued the job, as the messaging conventions have it,
and is not a child of it: tries go on for up to three days, which no trace is kept open for.
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
from rq import get_current_job
from structlog.contextvars import bound_contextvars

from receiver.observability.spans import log_names_of, span_context_in, text, tracer
from receiver.observability.trace_context import TRACEPARENT

FAILED: Final = frozenset({"given_up", "failed"})
"""Outcomes that make a try's span one of an error; others that are not the last are ordinary."""


class SpanPerAttempt:
    @contextmanager
    def recording(self, change: dict[str, Any]) -> Iterator[None]:
        """Around a try of the change with these fields, which is what RQ's current job is about."""
        job = get_current_job()
        origin = job.origin if job else ""
        queued_by = span_context_in(job.meta.get(TRACEPARENT)) if job else None
        delivery = change.get("delivery") or {}
        attributes = {
            "messaging.system": "rq",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": origin,
            "messaging.message.id": job.id if job else "",
            "apitraffic.source": text(delivery.get("source", "")),
            "apitraffic.delivery.id": text(delivery.get("id", "")),
            "apitraffic.delivery.event": text(delivery.get("event", "")),
            "apitraffic.marker.key": text(change.get("key", "")),
            "apitraffic.effect": text(change.get("effect", "")),
        }
        with (
            tracer().start_as_current_span(
                f"process {origin}",
                kind=SpanKind.CONSUMER,
                attributes=attributes,
                links=[Link(queued_by)] if queued_by else [],
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
            bound_contextvars(**log_names_of(span)),
        ):
            yield

    def adapter(self) -> HTTPAdapter:
        return TracedAdapter(max_retries=0)

    def ended(self, outcome: str, retry_because: str | None) -> None:
        span = trace.get_current_span()
        span.set_attribute("apitraffic.outcome", outcome)
        if retry_because is not None:
            span.set_attribute("apitraffic.retry.reason", retry_because)
        if outcome in FAILED:
            span.set_attribute("error.type", retry_because or outcome)
            span.set_status(Status(StatusCode.ERROR))


class TracedAdapter(HTTPAdapter):
    """Each request that goes out, with no header of it and nothing of its body."""

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
