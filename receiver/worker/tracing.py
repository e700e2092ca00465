"""Spans of a worker, if traces are on; only then is OpenTelemetry imported."""

from collections.abc import Iterator
from contextlib import contextmanager

from receiver.observability.trace_context import recording_attempts
from receiver.observability.tracing import (
    are_on,
    start_in_this_process,
    stop_in_this_process,
    warn_of_obstacle,
)


@contextmanager
def traced_deliveries() -> Iterator[None]:
    """Around a worker: its attempts and its calls of the API have spans if traces are on."""
    warn_of_obstacle()
    if not are_on():
        yield
        return
    from receiver.worker.spans import SpanPerAttempt  # noqa: PLC0415 - see above

    start_in_this_process()
    try:
        with recording_attempts(SpanPerAttempt()):
            yield
    finally:
        stop_in_this_process()
