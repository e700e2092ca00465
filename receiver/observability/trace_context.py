"""How a trace is carried: with a job, through the spool, and from an attempt to its recorder.

Nothing of OpenTelemetry is imported here. If traces are off, nothing is carried and nothing is recorded.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from requests.adapters import HTTPAdapter

    from receiver.events import Change

TRACEPARENT: Final = "traceparent"
"""In a job's meta, the span that queued it: https://www.w3.org/TR/trace-context/#traceparent-header

It is in the meta because RQ keeps there what it does not know through all retries, and workers of all
versions leave it alone. Jobs that were queued without traces have none.
"""


class AttemptRecorder(Protocol):
    """Records each attempt to deliver a change."""

    def recording(self, job_id: str, queue: str, traceparent: object) -> AbstractContextManager[None]:
        """Record an attempt of this job; `traceparent` is the span that queued it, if one was stored."""

    def concerns(self, change: "Change") -> None:
        """The current attempt is to deliver this change."""

    def adapter(self) -> "HTTPAdapter":
        """The adapter that sends the requests of attempts."""

    def ended(self, outcome: str, retry_because: str | None) -> None:
        """How the current attempt ended."""


_carried: ContextVar[str | None] = ContextVar("carried", default=None)
_recorder: ContextVar[AttemptRecorder | None] = ContextVar("recorder", default=None)


def carried() -> str | None:
    """The traceparent for jobs that are queued now."""
    return _carried.get()


@contextmanager
def carrying(traceparent: str | None) -> Iterator[None]:
    token = _carried.set(traceparent)
    try:
        yield
    finally:
        _carried.reset(token)


@contextmanager
def recording_attempts(recorder: AttemptRecorder) -> Iterator[None]:
    """Record all attempts that are made inside."""
    token = _recorder.set(recorder)
    try:
        yield
    finally:
        _recorder.reset(token)


def recorded_attempt(job_id: str, queue: str, traceparent: object) -> AbstractContextManager[None]:
    """Around an attempt of this job, which is recorded if traces are on."""
    recorder = _recorder.get()
    return recorder.recording(job_id, queue, traceparent) if recorder is not None else nullcontext()


def attempt_concerns(change: "Change") -> None:
    recorder = _recorder.get()
    if recorder is not None:
        recorder.concerns(change)


def adapter_of_calls() -> "HTTPAdapter | None":
    """The adapter that records calls of the API; `None` if traces are off."""
    recorder = _recorder.get()
    return recorder.adapter() if recorder is not None else None


def attempt_ended(outcome: str, retry_because: str | None = None) -> None:
    recorder = _recorder.get()
    if recorder is not None:
        recorder.ended(outcome, retry_because)
