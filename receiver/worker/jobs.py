"""The RQ job: deliver one change, and on failure say when to try again."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from logging import ERROR, WARNING
from time import perf_counter
from typing import Any, Final

from rq import Retry, get_current_job
from rq.job import Job
from structlog import get_logger
from structlog.typing import FilteringBoundLogger

from apitraffic_events.errors import EventsApiError
from apitraffic_events.timestamps import now, parse_timestamp
from receiver.datastore.failures import UNREACHABLE, explain
from receiver.datastore.replication import Unreplicated
from receiver.delivery.budget import BudgetExhausted
from receiver.delivery.deliverer import Deliverer, Unsettled
from receiver.delivery.markers import MarkerBusy
from receiver.delivery.retries import PATIENCE, is_outage, is_refusal, needs_operator, pause_after
from receiver.events import Change
from receiver.observability.metrics import DeliveryMetrics
from receiver.observability.trace_context import attempt_ended, recorded_attempt
from receiver.queue.dead_letters import Cause, Death
from receiver.queue.queues import UNEXPECTED_RETRIES

ANY_NUMBER: Final = 1_000_000
"""Retries are bounded by time, not by number."""
PAUSE_WHEN_BUSY: Final = 1
"""Seconds."""
WHAT_TO_CHECK: Final = (
    "check APITRAFFIC_API_TOKEN, APITRAFFIC_ACCOUNT_SID and APITRAFFIC_API_URL; nothing is lost meanwhile"
)

WAITED: Final = "waited_s"
"""In a job's meta: the seconds for which a failing API has kept it waiting. RQ stores it with each retry."""
ATTEMPTS: Final = "tries"
"""In a job's meta: how often the API was asked in vain. RQ counts also the times when a job had to wait for
the budget or for another worker.
"""

_deliverer: ContextVar[Deliverer | None] = ContextVar("deliverer", default=None)
_metrics: ContextVar[DeliveryMetrics | None] = ContextVar("metrics", default=None)


class GivenUp(Exception):
    """A change that will not be tried again by itself; the message is the API's own words."""


@contextmanager
def delivering_with(deliverer: Deliverer, metrics: DeliveryMetrics | None = None) -> Iterator[None]:
    """Jobs that run inside deliver through this; RQ calls a job by its name and so cannot hand it over."""
    token, counting = _deliverer.set(deliverer), _metrics.set(metrics)
    try:
        yield
    finally:
        _deliverer.reset(token)
        _metrics.reset(counting)


@recorded_attempt
def deliver(fields: dict[str, Any]) -> Retry | None:
    """Deliver the change with these fields; RQ attempts again where a `Retry` is returned.

    Raises `GivenUp` where it is not to be tried again.
    """
    deliverer, job = _deliverer.get(), get_current_job()
    if deliverer is None or job is None:
        raise RuntimeError("this job is not for a plain `rq worker`; start `apitraffic-events worker`")
    try:
        return _deliver(fields, deliverer, job)
    except GivenUp:
        raise
    except Exception as error:
        _count("failed", retry_because="unexpected" if job.should_retry else None)
        if not job.should_retry:
            _record(job, Cause.UNEXPECTED, error, str(error))
        raise


def _deliver(fields: dict[str, Any], deliverer: Deliverer, job: Job) -> Retry | None:
    change = Change.model_validate(fields)
    log = get_logger("receiver.delivery").bind(delivery=change.delivery.id, key=change.key)
    began = perf_counter()
    try:
        outcome = deliverer.deliver(change)
    except Unreplicated as error:
        _count("not_yet", retry_because="unreplicated")
        log.warning("not delivered yet", reason=str(error), next_try_in_s=PAUSE_WHEN_BUSY)
        return Retry(max=ANY_NUMBER, interval=PAUSE_WHEN_BUSY)
    except MarkerBusy:
        _count("busy", retry_because="busy")
        return Retry(max=ANY_NUMBER, interval=PAUSE_WHEN_BUSY)
    except Unsettled as unsettled:
        _count("not_yet", retry_because="unsettled")
        log.info("waits for an earlier attempt", reason=str(unsettled))
        return Retry(max=ANY_NUMBER, interval=math.ceil(unsettled.wait))
    except UNREACHABLE as error:
        _count("not_yet", retry_because="redis")
        log.warning("not delivered yet", reason=explain(error), next_try_in_s=PAUSE_WHEN_BUSY)
        return Retry(max=ANY_NUMBER, interval=PAUSE_WHEN_BUSY)
    except EventsApiError as error:
        return _after(error, job, log)
    seconds = perf_counter() - began
    _count(outcome.name.lower(), seconds=seconds, accepted_at=job.created_at)
    log.info(outcome.value, effect=change.effect.value, ms=round(seconds * 1000, 1))
    return None


def _count(
    outcome: str,
    *,
    retry_because: str | None = None,
    seconds: float | None = None,
    accepted_at: datetime | None = None,
) -> None:
    attempt_ended(outcome, retry_because)
    metrics = _metrics.get()
    if metrics is None:
        return
    metrics.attempts.labels(outcome).inc()
    if retry_because is not None:
        metrics.retries.labels(retry_because).inc()
    if seconds is not None:
        metrics.seconds.observe(seconds)
    accepted = parse_timestamp(accepted_at)
    if accepted is not None:
        metrics.lag_seconds.observe(max(0.0, (now() - accepted).total_seconds()))


def _after(error: EventsApiError, job: Job, log: FilteringBoundLogger) -> Retry:
    waited, attempts = _waited(job), job.meta.get(ATTEMPTS, 0)
    pause = pause_after(error, attempts=attempts, waiting_for=waited)
    if pause is None:
        _count("given_up")
        raise _given_up(error, job, log) from None
    _count("not_yet", retry_because=type(error).__name__.lower())
    if not isinstance(error, BudgetExhausted):
        job.meta[ATTEMPTS] = attempts + 1
    if is_outage(error):
        job.meta[WAITED] = round(waited.total_seconds() + pause, 3)
    needs_a_person = needs_operator(error)
    log.log(
        ERROR if needs_a_person else WARNING,
        "not delivered yet",
        reason=str(error) or type(error).__name__,
        status=error.status,
        next_try_in_s=round(pause),
        advice=WHAT_TO_CHECK if needs_a_person else None,
    )
    return Retry(max=ANY_NUMBER, interval=max(1, round(pause)))


def _waited(job: Job) -> timedelta:
    """How long a failing API has kept this job waiting, with the try that has just failed.

    Counted from acceptance, or from a replay; the clock stands while it is not the API's failing that the job
    waits for: a refused token, a used-up budget, a worker that does not run.
    """
    began = parse_timestamp(job.started_at) or now()
    return timedelta(seconds=job.meta.get(WAITED, 0)) + max(now() - began, timedelta(0))


def _given_up(error: EventsApiError, job: Job, log: FilteringBoundLogger) -> GivenUp:
    words = str(error) or type(error).__name__
    cause, message = Cause.REFUSED, error.message
    if not is_refusal(error):
        hours = round(PATIENCE.total_seconds() / 3600)
        status = f"{error.status} " if error.status and f"HTTP {error.status}" not in words else ""
        cause, message = Cause.OUT_OF_TIME, f"ran out of time after {hours} h; last: {status}{words}"
        words = message
    _record(job, cause, error, message)
    job.retries_left = 0
    log.error("dead letter", kind=type(error).__name__, status=error.status, reason=words)
    return GivenUp(words)


def _record(job: Job, cause: Cause, error: Exception, message: str) -> None:
    """Store with the job why it dies, before RQ makes it a failed one.

    Were this process to die between the two, the job would still be in work and be taken over: what makes a
    dead letter is its place among RQ's failed jobs, and none gets there without these words.
    """
    if (metrics := _metrics.get()) is not None:
        metrics.dead_letters.labels(cause.value).inc()
    unexpected = UNEXPECTED_RETRIES - (UNEXPECTED_RETRIES if job.retries_left is None else job.retries_left)
    Death(
        at=now(),
        cause=cause,
        kind=type(error).__name__,
        code=error.code if isinstance(error, EventsApiError) else None,
        status=error.status if isinstance(error, EventsApiError) else None,
        message=message,
        attempts=job.meta.get(ATTEMPTS, 0) + max(0, unexpected) + 1,
    ).store(job)
