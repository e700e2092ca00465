"""What of a trace travels along: with a job, through the spool, and from a job's try to whoever records it.

Nothing of OpenTelemetry is imported here. Where traces are off nothing is carried and nobody records.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from requests.adapters import HTTPAdapter

TRACEPARENT: Final = "traceparent"
"""In a job's meta, the span that queued it: https://www.w3.org/TR/trace-context/#traceparent-header

There, because RQ keeps what it does not know there through all tries, and a worker of any version leaves it
alone. Jobs that were queued without traces have none.
"""

T = TypeVar("T")


class AttemptRecorder(Protocol):
    """Records each try to deliver a change."""

    def recording(self, change: dict[str, Any]) -> AbstractContextManager[None]:
        """Around a try of the change with these fields."""

    def adapter(self) -> "HTTPAdapter":
        """What is to send the requests that a try makes."""

    def ended(self, outcome: str, retry_because: str | None) -> None:
        """How the try that is going on ended."""


_carried: ContextVar[str | None] = ContextVar("carried", default=None)
_recorder: ContextVar[AttemptRecorder | None] = ContextVar("recorder", default=None)


def carried() -> str | None:
    """The traceparent that jobs queued here are to have."""
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
    """Tries that are made inside are recorded; RQ calls a job by its name and so cannot hand it over."""
    token = _recorder.set(recorder)
    try:
        yield
    finally:
        _recorder.reset(token)


def recorded_attempt(job: Callable[[dict[str, Any]], T]) -> Callable[[dict[str, Any]], T]:
    """A job function whose calls are recorded where somebody records."""

    @wraps(job)
    def recorded(fields: dict[str, Any]) -> T:
        recorder = _recorder.get()
        if recorder is None:
            return job(fields)
        with recorder.recording(fields):
            return job(fields)

    return recorded


def adapter_of_calls() -> "HTTPAdapter | None":
    """What records the calls of the API; `None` where nobody does."""
    recorder = _recorder.get()
    return recorder.adapter() if recorder is not None else None


def attempt_ended(outcome: str, retry_because: str | None = None) -> None:
    recorder = _recorder.get()
    if recorder is not None:
        recorder.ended(outcome, retry_because)
